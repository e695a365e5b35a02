//! The folder of packed files.

use super::*;
use crate::packed::PackCache;
use crate::packed::partial::{self, Partial};
use std::time::{Duration, SystemTime};

/// A cache with four entries of 1000 bytes, `0` the oldest; not really packed files.
fn filled(dir: &Path, limit: u64) -> PackCache {
    for i in 0..4u64 {
        let path = dir.join(format!("{i}.hewnpack"));
        std::fs::write(&path, [0; 1000]).unwrap();
        let age = Duration::from_secs(1000 - 100 * i);
        File::open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }
    std::fs::write(dir.join("notes.txt"), "not ours").unwrap();
    PackCache::new(dir, limit).with_reserve(0)
}

#[test]
fn lists_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    assert!(PackCache::new(dir.path().join("none"), 0).list().unwrap().is_empty());
    let cache = filled(dir.path(), 0);
    let list = cache.list().unwrap();
    let names: Vec<&str> = list.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["0.hewnpack", "1.hewnpack", "2.hewnpack", "3.hewnpack"]);
    assert!(list.iter().all(|e| e.bytes == 1000 && e.complete && !e.busy && e.model.is_none()));

    let work = tempfile::tempdir().unwrap();
    let plan = plan(&source(work.path()));
    let target = cache.path(&plan.identity());
    make(&plan, &target, Check::Data).unwrap();
    let entry = cache.list().unwrap().pop().unwrap();
    assert_eq!((entry.path, entry.bytes, entry.busy), (target.clone(), plan.file_len(), false));
    assert_eq!(entry.model.as_deref(), Some("many.gguf"));
    let used = open(&plan, &target).unwrap();
    assert!(cache.list().unwrap().pop().unwrap().busy);
    drop(used);
    assert!(!cache.list().unwrap().pop().unwrap().busy);
}

#[test]
fn room_is_made_by_removing_the_least_recently_used() {
    let dir = tempfile::tempdir().unwrap();
    let cache = filled(dir.path(), 3500);
    let target = dir.path().join("new.hewnpack");
    // The oldest is in use, the next one was used just now.
    let in_use = File::open(dir.path().join("0.hewnpack")).unwrap();
    in_use.lock_shared().unwrap();
    cache.touch(&dir.path().join("1.hewnpack"));
    cache.make_room(&target, 900).unwrap();
    assert_eq!(names(dir.path()), ["0.hewnpack", "1.hewnpack", "notes.txt"]);
    cache.make_room(&target, 1500).unwrap();
    assert_eq!(names(dir.path()), ["0.hewnpack", "1.hewnpack", "notes.txt"]);
    assert!(matches!(cache.make_room(&target, 3501), Err(PackError::Limit { need: 3501, limit: 3500 })));
    assert_eq!(names(dir.path()), ["0.hewnpack", "1.hewnpack", "notes.txt"], "nothing is gained by removing");
    assert!(matches!(cache.make_room(&target, 3000), Err(PackError::Limit { .. })), "one is in use");
    drop(in_use);
    cache.make_room(&target, 3000).unwrap();
    assert_eq!(names(dir.path()), ["notes.txt"]);
}

#[test]
fn its_own_file_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let cache = filled(dir.path(), 4000);
    std::fs::write(partial::name(&dir.path().join("3.hewnpack")), [0; 1000]).unwrap();
    cache.make_room(&dir.path().join("3.hewnpack"), 1000).unwrap();
    assert_eq!(names(dir.path()).len(), 6);
}

#[cfg(unix)]
#[test]
fn the_disk_keeps_a_reserve() {
    let dir = tempfile::tempdir().unwrap();
    let cache = PackCache::new(dir.path(), u64::MAX);
    let target = dir.path().join("p.hewnpack");
    let full = cache.make_room(&target, 1 << 60);
    assert!(matches!(full, Err(PackError::Space { have: Some(_), .. })), "{full:?}");
    // A twentieth of the disk stays free: of what is free now, something cannot be had.
    let [free, size] = crate::packed::os::disk(dir.path()).unwrap();
    let all = cache.with_reserve(u64::MAX).make_room(&target, free.saturating_sub(size / 40));
    assert!(matches!(all, Err(PackError::Space { .. })), "{all:?}");
}

#[test]
fn what_is_being_made_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = PackCache::new(dir.path(), 0);
    let target = dir.path().join("p.hewnpack");
    let held = Partial::lock(&target, false, &CancelToken::new(), &|| {}).unwrap();
    let [entry] = &cache.list().unwrap()[..] else { panic!("one entry") };
    assert!(entry.busy && !entry.complete);
    assert!(!cache.remove(entry).unwrap());
    drop(held);
    assert!(cache.remove(entry).unwrap() && cache.list().unwrap().is_empty());
    assert!(cache.remove(entry).unwrap(), "gone is gone");
}
