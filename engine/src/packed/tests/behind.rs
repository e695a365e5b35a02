//! What happens behind a model that is opened.

use super::*;
use crate::packed::{FoundState, partial::Partial};
use crate::packed::{PackCache, PackListener, PackMode, PackOptions, beside, find};
use crate::{EngineError, LoadOptions, Model};
use std::time::{Duration, Instant};

struct Place {
    dir: tempfile::TempDir,
    log: Arc<Log>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(TINY, dir.path().join("m.gguf")).unwrap();
        Self { dir, log: Arc::default() }
    }

    fn model(&self) -> PathBuf {
        self.dir.path().join("m.gguf")
    }

    fn cache(&self) -> PackCache {
        PackCache::new(self.dir.path().join("cache"), 1 << 30).with_reserve(0)
    }

    fn options(&self, mode: PackMode) -> LoadOptions {
        let log = self.log.clone();
        let listener = Some(PackListener::new(move |e| log.0.lock().unwrap().push(e)));
        let pack = PackOptions { mode, cache: Some(self.cache()), min_bytes: 0, listener };
        LoadOptions { pack, ..LoadOptions::default() }
    }

    fn open(&self, mode: PackMode) -> Model {
        Model::open(&self.model(), &self.options(mode)).unwrap()
    }

    /// The one finished file in the cache.
    fn cached(&self) -> PathBuf {
        let all: Vec<_> = self.cache().list().unwrap().into_iter().filter(|e| e.complete).collect();
        assert_eq!(all.len(), 1);
        all[0].path.clone()
    }

    fn ignored(&self) -> usize {
        self.log.count(|e| matches!(e, PackEvent::Ignored { .. }))
    }

    fn failed(&self) -> usize {
        self.log.count(|e| matches!(e, PackEvent::Failed { .. }))
    }

    fn used(&self) -> usize {
        self.log.count(|e| matches!(e, PackEvent::Used { .. }))
    }
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what} never happened");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn off_looks_at_nothing() {
    let p = Place::new();
    std::fs::write(beside(&p.model()), "HEWNPACK, but damaged").unwrap();
    let model = p.open(PackMode::Off);
    assert_eq!(model.packed(), (0, 15));
    drop(model);
    assert!(p.log.0.lock().unwrap().is_empty() && !p.cache().dir().exists());
}

#[test]
fn wait_makes_it_once() {
    let p = Place::new();
    let model = p.open(PackMode::Wait);
    assert_eq!(model.packed(), (15, 15));
    assert!(p.log.count(|e| matches!(e, PackEvent::Progress { .. })) > 15);
    let file = p.cached();
    let made = file.metadata().unwrap().modified().unwrap();
    let told = p.log.count(|e| matches!(e, PackEvent::Progress { .. }));
    assert_eq!(p.open(PackMode::Wait).packed(), (15, 15));
    assert_eq!(p.log.count(|e| matches!(e, PackEvent::Progress { .. })), told, "it was there");
    assert!(file.metadata().unwrap().modified().unwrap() >= made);
    assert_eq!((p.used(), p.ignored(), p.failed()), (2, 0, 0));
    assert!(
        matches!(&find(&model, Some(&p.cache()))[..], [f] if matches!(f.state, FoundState::Ready) && f.path == file)
    );
}

#[test]
fn auto_makes_it_behind_the_model() {
    let p = Place::new();
    let model = p.open(PackMode::Auto);
    until("the switch", || model.packed() == (15, 15));
    until("the event", || p.used() == 1);
    drop(model);
    let again = p.open(PackMode::Auto);
    until("the second use", || p.used() == 2);
    assert_eq!((again.packed(), p.ignored(), p.failed()), ((15, 15), 0, 0));
    p.cached();
}

#[test]
fn auto_leaves_small_models_alone_but_uses_what_is_there() {
    let p = Place::new();
    let mut options = p.options(PackMode::Auto);
    options.pack.min_bytes = 64 << 20;
    drop(Model::open(&p.model(), &options).unwrap());
    assert!(p.log.0.lock().unwrap().is_empty() && !p.cache().dir().exists());
    let plain = p.open(PackMode::Off);
    crate::packed::write(&plain, &beside(&p.model()), false, &CancelToken::new(), &|_| {}).unwrap();
    let model = Model::open(&p.model(), &options).unwrap();
    until("the switch", || model.packed() == (15, 15));
    options.mmap = false;
    let read = Model::open(&p.model(), &options).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(read.packed(), (0, 15), "a file that is not mapped is left alone");
}

#[test]
fn the_file_beside_the_model_comes_first() {
    let p = Place::new();
    let model = p.open(PackMode::Wait);
    crate::packed::write(&model, &beside(&p.model()), false, &CancelToken::new(), &|_| {}).unwrap();
    std::fs::write(p.cached(), "HEWNPACK, but damaged").unwrap();
    assert_eq!(p.open(PackMode::Wait).packed(), (15, 15));
    assert_eq!(p.ignored(), 0, "the cache was not asked");
    assert_eq!(find(&model, Some(&p.cache())).len(), 2);
}

#[test]
fn a_damaged_file_is_told_of_once_and_made_again() {
    for mode in [PackMode::Wait, PackMode::Auto] {
        for damage in [|b: &mut Vec<u8>| b.truncate(300), |b: &mut Vec<u8>| *b.last_mut().unwrap() ^= 1] {
            let p = Place::new();
            drop(p.open(PackMode::Wait));
            let mut bytes = std::fs::read(p.cached()).unwrap();
            let whole = bytes.clone();
            damage(&mut bytes);
            let path = p.cached();
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, &bytes).unwrap();
            let model = p.open(mode);
            until("the switch", || model.packed() == (15, 15) && p.used() == 2);
            assert_eq!((p.ignored(), p.failed()), (1, 0));
            assert!(std::fs::read(&path).unwrap() == whole);
        }
    }
}

#[test]
fn a_damaged_file_beside_the_model_is_the_users_and_stays() {
    let p = Place::new();
    std::fs::write(beside(&p.model()), "HEWNPACK, but damaged").unwrap();
    let model = p.open(PackMode::Auto);
    until("the switch", || model.packed() == (15, 15) && p.used() == 1);
    assert_eq!((p.ignored(), p.failed()), (1, 0));
    assert_eq!(std::fs::read(beside(&p.model())).unwrap(), b"HEWNPACK, but damaged");
    p.cached();
}

#[test]
fn a_cache_that_cannot_be_made_fails_once() {
    let p = Place::new();
    std::fs::write(p.dir.path().join("cache"), "a file, not a folder").unwrap();
    let model = p.open(PackMode::Auto);
    until("the failure", || p.failed() == 1);
    drop(model);
    assert_eq!((p.used(), p.ignored(), p.failed()), (0, 0, 1));
    let refused = Model::open(&p.model(), &p.options(PackMode::Wait)).unwrap_err();
    assert!(matches!(refused, EngineError::Pack(PackError::Io { .. })), "{refused}");
    assert_eq!(p.failed(), 1, "an error is no event");
}

#[test]
fn no_room_is_an_answer() {
    let p = Place::new();
    let mut options = p.options(PackMode::Wait);
    options.pack.cache = Some(PackCache::new(p.cache().dir(), 1000));
    let refused = Model::open(&p.model(), &options).unwrap_err();
    assert!(matches!(refused, EngineError::Pack(PackError::Limit { limit: 1000, .. })), "{refused}");
    options.pack.cache = None;
    assert_eq!(Model::open(&p.model(), &options).unwrap().packed(), (15, 15), "beside the model");
    assert!(beside(&p.model()).exists());
}

#[test]
fn another_process_is_not_disturbed_and_its_file_is_picked_up() {
    let p = Place::new();
    let target = p.cache().path(&p.open(PackMode::Off).plan().identity());
    std::fs::create_dir_all(p.cache().dir()).unwrap();
    let held = Partial::lock(&target, false, &CancelToken::new(), &|| {}).unwrap();
    let model = p.open(PackMode::Auto);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((model.packed().0, p.failed()), (0, 0));
    // Dropping a model that polls must not take until the next poll.
    let start = Instant::now();
    drop(p.open(PackMode::Auto));
    drop(held);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    until("the switch", || model.packed() == (15, 15));
}
