//! Split files: any part opens the whole, and sets of parts that do not fit together are refused, each with the error
//! that says why and names the file. `cargo test --test malformed_split -- --nocapture` lists the errors.

use hewn_engine::packed::{self, FoundState};
use hewn_engine::{CancelToken, KvType, LoadOptions, Model, PackMode, PackOptions};
use hewn_kernels::Format;
use hewn_loader::{
    Gguf, GgufWriter, LoadError, MetaValue, OpenOptions, SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS, SplitFault, TensorType,
    part_path, write_split,
};
use hewn_tests::tiny::{Shape, Tiny};
use hewn_tests::{Setup, all_logits};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn tiny(seed: u64) -> Gguf {
    Gguf::from_bytes(Tiny::make(Shape { layers: 1, ..Shape::qwen2(Format::Q8_0) }, seed).bytes).unwrap()
}

/// The parts of the tiny model in a folder.
fn parts(dir: &Path, count: u64) -> Vec<PathBuf> {
    write_split(&tiny(1), &dir.join("m.gguf"), count).unwrap()
}

fn off() -> LoadOptions {
    LoadOptions { pack: PackOptions { mode: PackMode::Off, ..PackOptions::default() }, ..LoadOptions::default() }
}

#[test]
fn any_part_opens_the_whole() {
    let whole = tiny(1);
    let dir = tempfile::tempdir().unwrap();
    // With 50 parts, some hold no tensor at all.
    for count in [2, 3, 50] {
        let paths = parts(dir.path(), count);
        assert_eq!(paths.len() as u64, count);
        for (i, path) in paths.iter().enumerate().step_by(1 + paths.len() / 5) {
            for mmap in [true, false] {
                let g = Gguf::open(path, &OpenOptions { mmap }).unwrap();
                assert_eq!((g.path(), g.is_mapped()), (Some(&*paths[0]), mmap), "part {i}");
                assert!(g.parts().iter().map(|p| p.path().unwrap()).eq(paths.iter()));
                let len: u64 = paths.iter().map(|p| p.metadata().unwrap().len()).sum();
                assert_eq!((g.tensors().len(), g.file_len()), (whole.tensors().len(), len));
                for (a, b) in g.tensors().iter().zip(whole.tensors()) {
                    assert_eq!((&a.name, &a.dims, a.dtype), (&b.name, &b.dims, b.dtype));
                    assert!(g.tensor_data(a) == whole.tensor_data(b) && g.tensor(&a.name) == Some(a));
                }
                // Three keys more than the whole file has.
                assert_eq!(g.metadata().len(), whole.metadata().len() + 3);
                assert!(whole.metadata().iter().all(|(k, v)| g.metadata().get(k) == Some(v)));
            }
        }
    }
}

#[test]
fn a_model_of_parts_gives_the_same_bits() {
    let tokens: Vec<u32> = (0..40).map(|i| i * 7 % 256).collect();
    let want = all_logits(&Arc::new(Model::from_gguf(tiny(1)).unwrap()), &tokens, Setup::new(KvType::F16));
    let dir = tempfile::tempdir().unwrap();
    let paths = parts(dir.path(), 3);
    for mmap in [true, false] {
        let model = Arc::new(Model::open(&paths[2], &LoadOptions { mmap, ..off() }).unwrap());
        assert!(all_logits(&model, &tokens, Setup::new(KvType::F16)) == want);
        // The packed file is that of all parts, beside the first.
        let target = packed::beside(model.gguf().path().unwrap());
        packed::write(&model, &target, false, &CancelToken::new(), &|_| {}).unwrap();
        packed::attach(&model, &target, &CancelToken::new()).unwrap();
        assert!(model.packed().0 > 0 && model.packed().0 == model.packed().1);
        assert!(all_logits(&model, &tokens, Setup::new(KvType::F16)) == want);
    }
}

#[test]
fn a_packed_file_knows_every_part() {
    let dir = tempfile::tempdir().unwrap();
    let paths = parts(dir.path(), 3);
    let open = |i: usize| Model::open(&paths[i], &off()).unwrap();
    let target = packed::beside(&paths[0]);
    packed::write(&open(1), &target, false, &CancelToken::new(), &|_| {}).unwrap();
    let state = |i: usize| {
        let found = packed::find(&open(i), None);
        assert_eq!((found.len(), &found[0].path), (1, &target));
        matches!(found[0].state, FoundState::Ready)
    };
    assert!(state(0) && state(1) && state(2));
    // The same bytes, written again: the sums decide, then the new times are noted.
    for path in &paths {
        std::fs::write(path, std::fs::read(path).unwrap()).unwrap();
        packed::attach(&open(0), &target, &CancelToken::new()).unwrap();
    }
    for (i, path) in paths.iter().enumerate() {
        let good = std::fs::read(path).unwrap();
        let mut bad = good.clone();
        // The last tensor's middle: no edge of a large matrix, so that only its sum tells.
        let g = Gguf::open(path, &OpenOptions::default()).unwrap();
        let largest = g.tensors().iter().filter(|t| t.part == i).max_by_key(|t| t.bytes).unwrap().clone();
        if largest.bytes < 3 * 4096 || largest.name == "token_embd.weight" {
            continue;
        }
        drop(g);
        bad[(largest.offset + largest.bytes / 2) as usize] ^= 1;
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, &bad).unwrap();
        let refused = packed::attach(&open(0), &target, &CancelToken::new());
        assert!(matches!(refused, Err(packed::PackError::Stale(_))), "part {i}: {refused:?}");
        std::fs::write(path, &good).unwrap();
        packed::attach(&open(0), &target, &CancelToken::new()).unwrap();
    }
}

/// One part by hand: its keys and its tensors, each of eight numbers.
fn part(path: &Path, no: u64, count: u64, all: u64, more: &[(&str, MetaValue)], tensors: &[&str]) {
    let mut w = GgufWriter::new();
    w.meta(SPLIT_NO, MetaValue::U16(no as u16)).unwrap();
    w.meta(SPLIT_COUNT, MetaValue::U16(count as u16)).unwrap();
    w.meta(SPLIT_TENSORS, MetaValue::I32(all as i32)).unwrap();
    more.iter().for_each(|(k, v)| w.meta(k, v.clone()).unwrap());
    tensors.iter().for_each(|t| w.tensor(t, &[8], TensorType::from_id(0)).unwrap());
    let mut bytes = Vec::new();
    w.write_to(&mut bytes, tensors.iter().map(|_| &[0u8; 32][..])).unwrap();
    std::fs::write(path, bytes).unwrap();
}

type Break = fn(&Path, &[PathBuf; 3]);
type Check = fn(&LoadError) -> bool;

/// Name, how a right set of three parts is broken, which file the error must name, the error.
fn classes() -> Vec<(&'static str, Break, usize, Check)> {
    use LoadError as E;
    use SplitFault as F;
    macro_rules! split {
        ($p:pat) => {
            |e| matches!(e, E::Split { fault: $p, .. })
        };
    }
    macro_rules! inner {
        ($p:pat) => {
            |e| matches!(e, E::Part { source, .. } if matches!(**source, $p))
        };
    }
    vec![
        ("a missing part", |_, p| std::fs::remove_file(&p[1]).unwrap(), 1, split!(F::Missing { no: 2, count: 3 })),
        ("a missing last part", |_, p| std::fs::remove_file(&p[2]).unwrap(), 2, split!(F::Missing { no: 3, .. })),
        ("a whole file in a part's place", |_, p| whole(&p[1]), 1, split!(F::Whole)),
        ("another number", |_, p| part(&p[1], 2, 3, 3, &[], &["b"]), 1, split!(F::Number { name_no: 2, no: 3, .. })),
        ("another count", |_, p| part(&p[1], 1, 4, 3, &[], &["b"]), 1, split!(F::Number { count: 4, .. })),
        (
            "a number beyond the count",
            |_, p| part(&p[1], 3, 3, 3, &[], &["b"]),
            1,
            split!(F::Number { no: 4, count: 3, .. }),
        ),
        ("another number of tensors", |_, p| part(&p[1], 1, 3, 4, &[], &["b"]), 1, split!(F::Foreign { .. })),
        (
            "another model's part",
            |_, p| part(&p[2], 2, 3, 3, &[("general.architecture", MetaValue::Str("qwen2".into()))], &["c"]),
            2,
            split!(F::Foreign { .. }),
        ),
        ("a tensor in two parts", |_, p| part(&p[2], 2, 3, 3, &[], &["a"]), 2, split!(F::Tensor { .. })),
        ("too few tensors", |_, p| part(&p[2], 2, 3, 3, &[], &[]), 0, split!(F::Tensors { want: 3, have: 2 })),
        ("too many tensors", |_, p| part(&p[2], 2, 3, 3, &[], &["c", "d"]), 0, split!(F::Tensors { have: 4, .. })),
        ("a part cut off", |_, p| cut(&p[1], 1), 1, inner!(E::OutOfFile { .. })),
        ("an empty part", |_, p| std::fs::write(&p[1], "").unwrap(), 1, inner!(E::Magic { .. })),
        ("a big-endian part", |_, p| big_endian(&p[1]), 1, inner!(E::BigEndian(3))),
        (
            "a folder in a part's place",
            |_, p| {
                std::fs::remove_file(&p[1]).unwrap();
                std::fs::create_dir(&p[1]).unwrap();
            },
            1,
            |e| matches!(e, E::Io { .. }),
        ),
        (
            "a part without a total",
            |_, p| {
                let mut w = GgufWriter::new();
                w.meta(SPLIT_NO, MetaValue::U16(1)).unwrap();
                w.meta(SPLIT_COUNT, MetaValue::U16(3)).unwrap();
                w.write_to(&mut std::fs::File::create(&p[1]).unwrap(), []).unwrap();
            },
            1,
            inner!(E::MissingKey(_)),
        ),
        (
            "a count that is text",
            |_, p| {
                let mut w = GgufWriter::new();
                w.meta(SPLIT_COUNT, MetaValue::Str("3".into())).unwrap();
                w.write_to(&mut std::fs::File::create(&p[1]).unwrap(), []).unwrap();
            },
            1,
            inner!(E::WrongType { .. }),
        ),
    ]
}

fn whole(path: &Path) {
    let mut w = GgufWriter::new();
    // What merging leaves behind.
    w.meta(SPLIT_COUNT, MetaValue::U16(0)).unwrap();
    w.write_to(&mut std::fs::File::create(path).unwrap(), []).unwrap();
}

fn cut(path: &Path, n: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - n).unwrap();
}

fn big_endian(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[4..8].reverse();
    std::fs::write(path, bytes).unwrap();
}

/// A right set of three.
fn set(dir: &Path) -> [PathBuf; 3] {
    let paths = [1, 2, 3].map(|no| part_path(&dir.join("m.gguf"), no, 3));
    part(&paths[0], 0, 3, 3, &[("general.architecture", MetaValue::Str("llama".into()))], &["a"]);
    part(&paths[1], 1, 3, 3, &[], &["b"]);
    part(&paths[2], 2, 3, 3, &[("general.architecture", MetaValue::Str("llama".into()))], &["c"]);
    paths
}

#[test]
fn every_class_is_refused_with_its_error() {
    let mut table = String::new();
    for (name, broken, at, check) in classes() {
        let dir = tempfile::tempdir().unwrap();
        let paths = set(dir.path());
        assert_eq!(Gguf::open(&paths[1], &OpenOptions::default()).unwrap().tensors().len(), 3);
        broken(dir.path(), &paths);
        // By any part that is right for itself.
        for given in (0..3).filter(|i| *i != at || at == 0) {
            for mmap in [true, false] {
                let err = Gguf::open(&paths[given], &OpenOptions { mmap }).expect_err(name);
                assert!(check(&err), "{name}: {err:?}");
                let file = paths[at].file_name().unwrap().to_str().unwrap();
                assert!(err.to_string().contains(file), "{name}: {err}");
                if given == 0 && mmap {
                    writeln!(table, "{name:32} {}", err.to_string().replace(dir.path().to_str().unwrap(), "DIR"))
                        .unwrap();
                }
            }
        }
    }
    println!("{table}");
}

#[test]
fn a_part_by_another_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let paths = set(dir.path());
    let refused = |path: &Path| {
        std::fs::copy(&paths[0], path).unwrap();
        match Gguf::open(path, &OpenOptions::default()) {
            Err(LoadError::Split { path: named, fault }) if named == path => fault,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(refused(&dir.path().join("first.gguf")), SplitFault::Name { no: 1, count: 3 }));
    let fault = refused(&part_path(&dir.path().join("m.gguf"), 1, 4));
    assert!(matches!(fault, SplitFault::Number { name_count: 4, count: 3, .. }));
    let err = Gguf::from_bytes(std::fs::read(&paths[0]).unwrap()).unwrap_err();
    assert!(matches!(err, LoadError::Split { fault: SplitFault::Memory, .. }), "{err:?}");
    // Merged files say that they are in no part, whatever their name.
    let merged = dir.path().join("x-00007-of-00009.gguf");
    whole(&merged);
    assert_eq!(Gguf::open(&merged, &OpenOptions::default()).unwrap().parts().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_link_of_another_name_stands_for_its_part() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("far")).unwrap();
    let paths = parts(&dir.path().join("far"), 3);
    let of = |name: &str| dir.path().join(name);
    symlink(&paths[0], of("m.gguf")).unwrap();
    symlink("m.gguf", of("again.gguf")).unwrap();
    // As caches of downloads have it: the name is that of a link, the file is called otherwise.
    for (i, path) in paths.iter().enumerate() {
        std::fs::rename(path, of(&format!("blob{i}"))).unwrap();
        symlink(format!("../blob{i}"), path).unwrap();
    }
    for name in ["m.gguf", "again.gguf"] {
        let g = Gguf::open(&of(name), &OpenOptions::default()).unwrap();
        assert!(g.parts().iter().map(|p| p.path().unwrap()).eq(paths.iter()), "{name}");
    }
    for name in ["loop.gguf", "blob.gguf"] {
        symlink(if name == "loop.gguf" { "loop.gguf" } else { "blob0" }, of(name)).unwrap();
        assert!(Gguf::open(&of(name), &OpenOptions::default()).is_err(), "{name}");
    }
}

#[test]
fn parts_that_cannot_be_named_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    for count in [0, 1, 100_000] {
        assert!(write_split(&tiny(1), &dir.path().join("m.gguf"), count).is_err());
    }
    assert!(dir.path().read_dir().unwrap().next().is_none());
}
