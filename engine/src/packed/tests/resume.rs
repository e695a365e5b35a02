//! Stopped, continued, and raced for.

use super::*;
use crate::packed::header::Header;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Makes the file but stops after so many bytes; returns the unfinished one.
fn stopped(plan: &Plan, target: &Path, after: u64) -> PathBuf {
    let cancel = CancelToken::new();
    let on = |e| {
        if matches!(e, PackEvent::Progress { done, .. } if done >= after) {
            cancel.cancel();
        }
    };
    assert!(matches!(make_with(plan, target, Check::Data, &cancel, &on), Err(PackError::Cancelled)));
    assert!(!target.exists());
    super::super::partial::name(target)
}

/// Finishes it.
fn finish(plan: &Plan, target: &Path) {
    assert_eq!(make(plan, target, Check::Data).unwrap(), Outcome::Written);
    check(plan, target).unwrap();
    assert!(!super::super::partial::name(target).exists());
}

#[test]
fn what_was_done_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, target) = (plan(&source(dir.path())), dir.path().join("p"));
    let partial = stopped(&plan, &target, plan.bytes() / 2);
    let header = Header::decode(&std::fs::read(&partial).unwrap()).unwrap();
    let done: Vec<bool> = header.entries.iter().map(|e| e.sums.is_some()).collect();
    let n = done.iter().filter(|d| **d).count();
    assert!(n > 0 && n < done.len() && done[..n].iter().all(|d| *d), "{done:?}");
    let found = super::super::reader::progress(&partial, &plan, &plan.identity());
    assert_eq!(found, Some(plan.items[..n].iter().map(|i| i.bytes).sum()));

    // What is kept is not packed again: another content with its own checksum stays.
    let item = &plan.items[1];
    let file = File::options().read(true).write(true).open(&partial).unwrap();
    let odd = vec![0x5a; item.bytes as usize];
    file.write_all_at(&odd, item.offset).unwrap();
    let mut lie = header.clone();
    lie.entries[1].sums = Some([xxhash_rust::xxh3::xxh3_64(&odd), 0]);
    file.write_all_at(&lie.encode(), 0).unwrap();
    drop(file);
    make(&plan, &target, Check::Header).unwrap();
    let made = std::fs::read(&target).unwrap();
    assert!(made[item.offset as usize..][..odd.len()] == odd);
}

/// A change to a file.
type Damage<'a> = dyn Fn(&mut Vec<u8>) + 'a;

#[test]
fn what_is_damaged_meanwhile_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, target) = (plan(&source(dir.path())), dir.path().join("p"));
    make(&plan, &target, Check::Data).unwrap();
    let want = std::fs::read(&target).unwrap();
    let header = want.len() - plan.bytes() as usize;
    // A bit of the data, of the header, a file cut short, and something else altogether.
    let cases: [&Damage<'_>; 5] = [
        &|b| b[plan.items[0].offset as usize + 7] ^= 1,
        &|b| b[200] ^= 1,
        &|b| b.truncate(plan.items[1].offset as usize + 5),
        &|b| b.truncate(header.min(100)),
        &|b| *b = b"something else".to_vec(),
    ];
    for (i, case) in cases.iter().enumerate() {
        std::fs::remove_file(&target).unwrap();
        let partial = stopped(&plan, &target, plan.bytes() / 2);
        let mut bytes = std::fs::read(&partial).unwrap();
        case(&mut bytes);
        std::fs::write(&partial, bytes).unwrap();
        finish(&plan, &target);
        assert!(std::fs::read(&target).unwrap() == want, "case {i}");
    }
}

#[test]
fn an_unfinished_file_of_another_model_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let model = source(dir.path());
    let (old, target) = (plan(&model), dir.path().join("p"));
    stopped(&old, &target, old.bytes() / 2);
    let mut bytes = std::fs::read(&model).unwrap();
    bytes[old.items[0].target.tensor.offset as usize] ^= 1;
    std::fs::remove_file(&model).unwrap();
    std::fs::write(&model, bytes).unwrap();
    let new = plan(&model);
    finish(&new, &target);
    assert!(check(&old, &target).is_err());
}

#[test]
fn what_was_done_of_a_source_that_changed_since_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let model = source(dir.path());
    let (old, target) = (plan(&model), dir.path().join("p"));
    // In the middle of a tensor, where only its own checksum sees it.
    let large = old.items.iter().max_by_key(|i| i.target.tensor.bytes).unwrap();
    let partial = stopped(&old, &target, old.bytes() - old.items.last().unwrap().bytes);
    let header = Header::decode(&std::fs::read(&partial).unwrap()).unwrap();
    let entry = header.entries.iter().find(|e| e.name == large.target.tensor.name).unwrap();
    assert!(entry.sums.is_some(), "it was done");
    let mut bytes = std::fs::read(&model).unwrap();
    bytes[(large.target.tensor.offset + large.bytes / 2) as usize] ^= 1;
    std::fs::remove_file(&model).unwrap();
    std::fs::write(&model, bytes).unwrap();
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(77);
    File::open(&model).unwrap().set_modified(time).unwrap();
    let new = plan(&model);
    assert_eq!(old.identity(), new.identity());
    finish(&new, &target);
    open(&new, &target).unwrap().switch(&new, &CancelToken::new()).unwrap();
    for item in &new.items {
        assert!(item.target.slot.get().unwrap() == item.target.matrix(&new.gguf).pack().unwrap());
    }
}

#[test]
fn cancelling_is_prompt_and_leaves_the_unfinished_file_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, target) = (plan(&source(dir.path())), dir.path().join("p"));
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(matches!(make_with(&plan, &target, Check::Data, &cancel, &|_| {}), Err(PackError::Cancelled)));
    assert_eq!(names(dir.path()), ["many.gguf", "p.partial"]);
    finish(&plan, &target);
}

#[test]
fn many_at_once_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let (model, target) = (source(dir.path()), dir.path().join("p"));
    let (written, waited) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..10 {
        let _ = std::fs::remove_file(&target);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let plan = plan(&model);
                    let on = |e| {
                        waited.fetch_add(usize::from(matches!(e, PackEvent::Waiting { .. })), Ordering::Relaxed);
                    };
                    let outcome = make_with(&plan, &target, Check::Data, &CancelToken::new(), &on).unwrap();
                    written.fetch_add(usize::from(outcome == Outcome::Written), Ordering::Relaxed);
                    check(&plan, &target).unwrap();
                });
            }
        });
        assert_eq!(written.load(Ordering::Relaxed), round + 1);
        assert_eq!(names(dir.path()), ["many.gguf", "p"]);
    }
    assert!(waited.into_inner() > 0, "nobody ever waited");
}

#[test]
fn who_does_not_wait_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (plan, target) = (plan(&source(dir.path())), dir.path().join("p"));
    let held = super::super::partial::Partial::lock(&target, false, &CancelToken::new(), &|| {}).unwrap();
    let identity = plan.identity();
    let job = |wait, cancel| {
        Job {
            plan: &plan,
            identity,
            target: &target,
            ours: false,
            check: Check::Header,
            wait,
            cancel,
            on: &|_| {},
            report: true,
        }
        .write()
    };
    let cancel = CancelToken::new();
    assert!(matches!(job(false, &cancel), Err(PackError::Busy)));
    cancel.cancel();
    assert!(matches!(job(true, &cancel), Err(PackError::Cancelled)));
    drop(held);
    assert_eq!(job(false, &CancelToken::new()).unwrap(), Outcome::Written);
}
