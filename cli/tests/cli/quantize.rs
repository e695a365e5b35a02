//! `hewn quantize`.

use crate::support::{TINY, VOCAB, arg, command, folder, hewn, refused};
use hewn_loader::{Gguf, GgufWriter, MetaValue, OpenOptions, TensorType, write_split};
use std::path::{Path, PathBuf};

fn open(path: &Path) -> Gguf {
    Gguf::open(path, &OpenOptions::default()).unwrap()
}

/// The tiny model in F32.
fn float(dir: &Path) -> PathBuf {
    let path = dir.join("f32.gguf");
    hewn(&["quantize", TINY, arg(&path), "--type", "F32", "--allow-requantize"]).ok();
    path
}

fn logits(dir: &Path, model: &Path) -> Vec<u8> {
    let out = dir.join("out.f32");
    hewn(&["logits", arg(model), "--tokens", "3,14,15,92,65", "--pack", "off", "-o", arg(&out)]).ok();
    std::fs::read(&out).unwrap()
}

#[test]
fn every_type_makes_a_model_that_runs() {
    let dir = folder();
    let source = float(dir.path());
    let want = logits(dir.path(), &source);
    let value = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().unwrap()));
    // Rows of 64 and 128: the 256-wide formats give way to others, which is said.
    for (kind, fallback) in [
        ("F32", None),
        ("F16", None),
        ("BF16", None),
        ("Q8_0", None),
        ("q4_0", Some("Q6_K, Q8_0")),
        ("Q4_1", Some("Q6_K, Q8_0")),
        ("Q5_0", Some("Q6_K, Q8_0")),
        ("Q5_1", Some("Q6_K, Q8_0")),
        ("Q2_K", Some("Q3_K, Q4_0")),
        ("Q3_K_L", Some("Q5_K, Q5_1")),
        ("Q4_K_M", Some("Q4_K, Q5_0")),
        ("Q5_K_S", Some("Q5_K, Q5_1")),
        ("Q6_K", Some("Q6_K, Q8_0")),
    ] {
        let out = dir.path().join(format!("{kind}.gguf"));
        let done = hewn(&["quantize", arg(&source), arg(&out), "--type", kind]).ok();
        assert!(done.out.is_empty() && done.err.contains("bits per weight"), "{}", done.err);
        match fallback {
            Some(f) => assert!(
                done.err.contains(&format!("warning: rows are no whole blocks of {f} instead: ")),
                "{}",
                done.err
            ),
            None => assert!(!done.err.contains("warning"), "{}", done.err),
        }
        let got = logits(dir.path(), &out);
        assert_eq!(got.len(), 5 * VOCAB * 4);
        let (mut error, mut power) = (0.0, 0.0);
        for (a, b) in want.chunks(4).zip(got.chunks(4)) {
            error += (value(a) - value(b)).powi(2);
            power += value(a).powi(2);
        }
        assert!(error < 0.1 * power && (kind != "F32" || error == 0.0), "{kind}: {error} of {power}");
        assert!(out.metadata().unwrap().len() <= source.metadata().unwrap().len());
    }
    // Nothing else is left in the folder.
    let names = || dir.path().read_dir().unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    assert!(names().all(|n| n.ends_with(".gguf") || n == "out.f32"), "{:?}", names().collect::<Vec<_>>());
}

#[test]
fn pure_threads_and_parts() {
    let dir = folder();
    let source = float(dir.path());
    let make = |input: &Path, more: &[&str]| {
        let out = dir.path().join("out.gguf");
        hewn(&[&["quantize", arg(input), arg(&out), "--type", "Q4_0"], more].concat()).ok();
        std::fs::read(&out).unwrap()
    };
    let want = make(&source, &["--threads", "1"]);
    assert!(make(&source, &["--threads", "3"]) == want);
    let parts = write_split(&open(&source), &dir.path().join("s.gguf"), 3).unwrap();
    assert!(make(&parts[1], &[]) == want, "a split file gives the same as a whole one");
    let pure = make(&source, &["--pure"]);
    assert!(pure != want);
    let pure = Gguf::from_bytes(pure).unwrap();
    assert_eq!(pure.tensor("token_embd.weight").unwrap().dtype.name(), "Q4_0");
    // The metadata are those of the source, but for the type.
    let source = open(Path::new(TINY));
    for (key, value) in source.metadata().iter() {
        assert_eq!(pure.metadata().get(key), Some(value), "{key}");
    }
    assert_eq!(pure.metadata().u32("general.file_type").unwrap(), Some(2));
    assert_eq!(pure.metadata().u32("general.quantization_version").unwrap(), Some(2));
}

#[test]
fn what_cannot_be_done_leaves_nothing() {
    let dir = folder();
    let source = float(dir.path());
    let out = dir.path().join("new.gguf");
    refused(&hewn(&["quantize", TINY, arg(&out), "--type", "Q8_0"]), 1, "quantized already");
    refused(&hewn(&["quantize", "no.gguf", arg(&out), "--type", "Q8_0"]), 1, "no.gguf");
    refused(&hewn(&["quantize", arg(&source), arg(&source), "--type", "Q8_0"]), 2, "the output is the input");
    refused(&hewn(&["quantize", arg(&source), arg(dir.path()), "--type", "Q8_0"]), 1, "cannot write");
    let nowhere = dir.path().join("no/new.gguf");
    refused(&hewn(&["quantize", arg(&source), arg(&nowhere), "--type", "Q8_0"]), 1, "cannot write");
    let bad = dir.path().join("nan.gguf");
    let mut w = GgufWriter::new();
    w.meta("general.architecture", MetaValue::Str("llama".into())).unwrap();
    w.tensor("blk.0.ffn_up.weight", &[32, 2], TensorType::from_id(0)).unwrap();
    let mut data = vec![0; 256];
    data[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    w.write_to(&mut std::fs::File::create(&bad).unwrap(), [&data[..]]).unwrap();
    refused(&hewn(&["quantize", arg(&bad), arg(&out), "--type", "Q8_0"]), 1, "`blk.0.ffn_up.weight`: weight 2 is NaN");
    for args in [
        vec!["quantize", arg(&source), arg(&out)],
        vec!["quantize", arg(&source), "--type", "Q8_0"],
        vec!["quantize", arg(&source), arg(&out), "--type", "Q7_0"],
        vec!["quantize", arg(&source), arg(&out), "--type", "IQ2_XS"],
        vec!["quantize", arg(&source), arg(&out), "--type", "Q8_0", "--threads", "0"],
    ] {
        let done = hewn(&args);
        assert!(done.code == Some(2) && done.out.is_empty() && !done.err.is_empty(), "{args:?}");
    }
    let names: Vec<_> = dir.path().read_dir().unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// Ctrl-C in the middle of a file that takes a while.
#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_no_file() {
    let dir = folder();
    let source = dir.path().join("large.gguf");
    let mut w = GgufWriter::new();
    w.meta("general.architecture", MetaValue::Str("llama".into())).unwrap();
    w.tensor("blk.0.ffn_up.weight", &[4096, 4096], TensorType::from_id(0)).unwrap();
    let data: Vec<u8> = (0..1u32 << 24).flat_map(|i| (i.wrapping_mul(2_654_435_761) as f32).to_le_bytes()).collect();
    // Within the range of Q6_K.
    let data: Vec<u8> =
        data.as_chunks::<4>().0.iter().flat_map(|b| (f32::from_le_bytes(*b) / 1e9).to_le_bytes()).collect();
    w.write_to(&mut std::fs::File::create(&source).unwrap(), [&data[..]]).unwrap();
    let out = dir.path().join("out.gguf");
    let child = command(&["quantize", arg(&source), arg(&out), "--type", "Q6_K", "--threads", "1"]).spawn().unwrap();
    // Once there is something that could be left.
    let begun =
        || dir.path().read_dir().unwrap().any(|f| f.unwrap().file_name().to_string_lossy().starts_with(".hewn-"));
    while !begun() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    let status = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(status.success() && done.status.code() == Some(130), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!out.exists() && !begun(), "an interrupted run leaves nothing behind");
}
