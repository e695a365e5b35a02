//! `hewn synth` and models that are made to be measured.

use crate::support::{TINY, arg, folder, hewn};

#[test]
fn a_made_model_is_a_model() {
    let dir = folder();
    let path = dir.path().join("m.gguf");
    let done = hewn(&["synth", "--shape", "tiny", "--quant", "q5_k_m", "-o", arg(&path)]).ok();
    assert!(done.err.contains("of random weights"), "{}", done.err);
    let v = hewn(&["inspect", arg(&path), "--json"]).ok().json();
    assert!(v.to_string().contains("qwen2"), "{v}");
    let text = hewn(&["run", arg(&path), "Hello", "-n", "3", "--seed", "1", "--pack", "off", "-q"]).ok();
    assert!(text.text().starts_with("Hello"), "{}", text.text());
    assert_eq!(dir.path().read_dir().unwrap().count(), 1, "only the file is left");
}

#[test]
fn shapes_are_listed_and_measured() {
    for args in [["bench", "--list-shapes"], ["synth", "--list-shapes"], ["profile", "--list-shapes"]] {
        let list = hewn(&args).ok();
        assert!(list.text().contains("r1-distill-qwen-1.5b") && list.text().contains("q4_k_m"), "{}", list.text());
    }
    let args =
        ["bench", "--shape", "tiny", "--quant", "q4_0,q8_0", "-p", "8", "-r", "1", "--json", "--layout", "file,packed"];
    let v = hewn(&args).ok().json();
    let rows = v["results"].as_array().unwrap();
    let names: Vec<_> =
        rows.iter().map(|r| format!("{} {}", r["model"].as_str().unwrap(), r["layout"].as_str().unwrap())).collect();
    let want = ["tiny-q4_0 file", "tiny-q4_0 packed", "tiny-q8_0 file", "tiny-q8_0 packed"];
    assert_eq!(names, want);
    assert!(v["machine"]["cpu"].as_str().is_some_and(|c| !c.is_empty()) && v["machine"]["isas"].is_array());
    let both = hewn(&["bench", TINY, "--shape", "tiny", "-p", "8", "-r", "1", "--layout", "file"]).ok();
    assert!(both.text().contains("tiny-random") && both.text().contains("tiny-q4_k_m"), "{}", both.text());
}

#[test]
fn kernels_are_measured_by_name() {
    let v = hewn(&["bench", "--kernels", "q4_k/packed", "-t", "1,2", "-r", "2", "--json"]).ok().json();
    let rows = v["results"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|r| format!("{} {}", r["kernel"].as_str().unwrap(), r["threads"])).collect();
    let want =
        ["matmul/q4_k/packed/1 1", "matmul/q4_k/packed/1 2", "matmul/q4_k/packed/64 1", "matmul/q4_k/packed/64 2"];
    assert_eq!(names, want);
    for r in rows {
        assert!(["gb_per_s", "gop_per_s", "share"].iter().all(|f| r[f].as_f64().unwrap() > 0.0), "{r}");
        assert!(["memory", "cache", "arithmetic"].contains(&r["bound"].as_str().unwrap()), "{r}");
    }
    assert!(v["machine"]["cpu"].is_string());
    let csv = hewn(&["bench", "--kernels", "norm", "-r", "1", "--csv"]).ok();
    assert!(csv.text().starts_with("kernel,isa,threads,microseconds_median,") && csv.text().lines().count() == 2);
}

#[test]
fn what_cannot_be_made_is_told_at_once() {
    let dir = folder();
    let nowhere = dir.path().join("no").join("x.gguf");
    for (args, says) in [
        (&["synth", "--shape", "tiny", "-o", arg(&nowhere)][..], "cannot write"),
        (&["synth", "--shape", "tiny", "-o", arg(dir.path())], "cannot write"),
        (&["synth", "--shape", "nothing", "-o", arg(&dir.path().join("x"))], "there is no shape `nothing`"),
        (&["synth", "--shape", "tiny", "--quant", "q9", "-o", arg(&dir.path().join("x"))], "there is no mix `q9`"),
        (&["synth", "--shape", "tiny"], "--output"),
        (&["bench", "--shape", "nothing"], "there is no shape `nothing`"),
        (&["bench", "--kernels", "nothing"], "no kernel is called `nothing`"),
        (&["bench", "--kernels", "--shape", "tiny"], "cannot be used with"),
        (&["bench", "no/such.gguf"], "no/such.gguf"),
    ] {
        let done = hewn(args);
        assert!(matches!(done.code, Some(1 | 2)) && done.err.contains(says), "{args:?}: {}", done.err);
        assert!(done.out.is_empty());
    }
    assert!(dir.path().read_dir().unwrap().next().is_none(), "nothing is left behind");
}
