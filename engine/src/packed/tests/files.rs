//! What is in a finished file.

use super::*;
use hewn_kernels::op::matmul::{Layout, Matrix};

#[test]
fn every_format_and_height_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, target) = (plan(&source(dir.path())), dir.path().join("many.hewnpack"));
    // Ten block formats; three rows of sixteen would be mostly padding, and floats are not packed.
    let formats = Format::ALL.iter().filter(|f| f.is_quant()).count();
    assert_eq!(plan.items.len(), formats * 4);
    assert_eq!(make(&plan, &target, Check::Header).unwrap(), Outcome::Written);
    assert_eq!(target.metadata().unwrap().len(), plan.file_len());
    open(&plan, &target).unwrap().switch(&plan, &CancelToken::new()).unwrap();
    for item in &plan.items {
        let t = &item.target;
        let packed = t.slot.get().unwrap();
        assert!(packed == t.matrix(&plan.gguf).pack().unwrap(), "{}", t.tensor.name);
        assert_eq!(item.offset % 128, 0);
        assert!(Matrix::new(t.format, Layout::Packed, t.rows, t.cols, packed).is_ok());
    }
    assert_eq!(names(dir.path()), ["many.gguf", "many.hewnpack"]);
}

#[test]
fn padding_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(&source(dir.path()));
    let of_tensors: u64 = plan.items.iter().map(|i| i.target.tensor.bytes).sum();
    assert!(plan.bytes() <= of_tensors * 9 / 8);
    // Heights of real models are multiples of 16: then only the header and the alignment are added.
    let whole: Vec<_> = plan.items.iter().filter(|i| i.target.rows % 16 == 0).collect();
    assert!(!whole.is_empty() && whole.iter().all(|i| i.bytes == i.target.tensor.bytes));
}

#[test]
fn one_that_is_there_will_do() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, target) = (plan(&source(dir.path())), dir.path().join("p"));
    make(&plan, &target, Check::Data).unwrap();
    let before = std::fs::read(&target).unwrap();
    assert_eq!(make(&plan, &target, Check::Header).unwrap(), Outcome::Found);
    assert_eq!(make(&plan, &target, Check::Data).unwrap(), Outcome::Found);
    assert_eq!(make(&plan, &target, Check::Nothing).unwrap(), Outcome::Written);
    assert_eq!(std::fs::read(&target).unwrap(), before);
}

#[test]
fn nothing_else_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, target) = (plan(&source(dir.path())), dir.path().join("p"));
    for content in [&b"HEWN"[..], b"something else"] {
        std::fs::write(&target, content).unwrap();
        for how in [Check::Nothing, Check::Data] {
            assert!(matches!(make(&plan, &target, how), Err(PackError::NotAPack(_))));
        }
        assert_eq!(std::fs::read(&target).unwrap(), content);
    }
    assert!(matches!(make(&plan, dir.path(), Check::Nothing), Err(PackError::NotAPack(_))));
    assert_eq!(names(dir.path()), ["many.gguf", "p"]);
    // An empty file has nothing to lose.
    std::fs::write(&target, "").unwrap();
    assert_eq!(make(&plan, &target, Check::Data).unwrap(), Outcome::Written);
}

#[test]
fn a_model_without_block_formats_has_nothing_to_pack() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(&source(dir.path()));
    plan = Plan::new(plan.gguf, []);
    assert!(matches!(make(&plan, &dir.path().join("p"), Check::Data), Err(PackError::Nothing)));
    assert_eq!(names(dir.path()), ["many.gguf"]);
}

#[cfg(unix)]
#[test]
fn folders_that_cannot_be_written_to() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(&source(dir.path()));
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
    let root = File::create(closed.join("probe")).is_ok();
    let missing = make(&plan, &dir.path().join("none/p"), Check::Data);
    assert!(matches!(missing, Err(PackError::Io { action: "write", .. })), "{missing:?}");
    if root {
        eprintln!("skipped in part: the superuser writes everywhere");
        return;
    }
    let refused = make(&plan, &closed.join("p"), Check::Data);
    assert!(matches!(refused, Err(PackError::Io { action: "write", .. })), "{refused:?}");
}
