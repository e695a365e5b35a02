//! Files that are cut off, bent, or made from something else are never believed.

use super::*;
use crate::packed::header::{self, Header, STAMP};
use std::time::{Duration, SystemTime};

struct Made {
    _dir: tempfile::TempDir,
    model: PathBuf,
    target: PathBuf,
    plan: Plan,
    bytes: Vec<u8>,
}

fn made() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let model = source(dir.path());
    let (plan, target) = (plan(&model), dir.path().join("p"));
    make(&plan, &target, Check::Data).unwrap();
    let bytes = std::fs::read(&target).unwrap();
    Made { _dir: dir, model, target, plan, bytes }
}

fn header_len(plan: &Plan) -> usize {
    header::len(plan.items.iter().map(|i| i.target.tensor.name.as_str())) as usize
}

#[test]
fn cut_anywhere() {
    let m = made();
    let lens = (0..header_len(&m.plan) + 200).chain((0..m.bytes.len()).step_by(997)).chain([m.bytes.len() - 1]);
    for len in lens {
        std::fs::write(&m.target, &m.bytes[..len]).unwrap();
        let e = open(&m.plan, &m.target).expect_err("it is cut off");
        assert!(matches!(e, PackError::Damaged(_)), "{len}: {e}");
    }
    std::fs::write(&m.target, [&m.bytes[..], &[0]].concat()).unwrap();
    assert!(matches!(open(&m.plan, &m.target), Err(PackError::Damaged(_))));
}

#[test]
fn every_bit_of_the_header() {
    let m = made();
    let mut bytes = m.bytes.clone();
    for i in 0..header_len(&m.plan) {
        for bit in 0..8 {
            bytes[i] ^= 1 << bit;
            match Header::decode(&bytes) {
                // A wrong stamp only means that the source is compared once more.
                Ok(h) if STAMP.contains(&i) => assert_eq!(h.stamp, 0),
                Err(PackError::Version { .. }) => assert!((8..12).contains(&i)),
                Err(PackError::Damaged(_)) => {}
                other => panic!("byte {i}, bit {bit}: {other:?}"),
            }
            bytes[i] ^= 1 << bit;
        }
    }
    assert!(Header::decode(&bytes).is_ok());
}

/// A change to a header.
type Lie = dyn Fn(&mut Header);

#[test]
fn headers_that_lie_with_a_right_checksum() {
    let m = made();
    let good = Header::decode(&m.bytes).unwrap();
    let lies: Vec<Box<Lie>> = vec![
        Box::new(|h| h.file_len += 128),
        Box::new(|h| h.file_len = u64::MAX),
        Box::new(|h| h.entries[3].offset = u64::MAX - 1),
        Box::new(|h| h.entries[3].offset -= 128),
        Box::new(|h| h.entries[3].bytes = u64::MAX),
        Box::new(|h| h.entries[3].rows += 1),
        Box::new(|h| h.entries[3].cols = 0),
        Box::new(|h| h.entries[3].format = 999),
        Box::new(|h| h.entries[3].sums = None),
        Box::new(|h| h.entries[3].name = "other".into()),
        Box::new(|h| h.entries.swap(0, 1)),
        Box::new(|h| drop(h.entries.pop())),
        Box::new(|h| h.entries.clear()),
        Box::new(|h| h.identity.len += 1),
        Box::new(|h| h.identity.head ^= 1),
        Box::new(|h| h.identity.edges ^= 1),
    ];
    for (i, lie) in lies.iter().enumerate() {
        let mut header = good.clone();
        lie(&mut header);
        let mut bytes = header.encode();
        let rest = bytes.len().min(m.bytes.len());
        bytes.extend_from_slice(&m.bytes[rest..]);
        std::fs::write(&m.target, bytes).unwrap();
        assert!(matches!(open(&m.plan, &m.target), Err(PackError::Stale(_) | PackError::Damaged(_))), "lie {i}");
    }
}

#[test]
fn bits_of_the_data() {
    let m = made();
    let mut bytes = m.bytes.clone();
    for item in &m.plan.items {
        let (first, last) = (item.offset as usize, (item.offset + item.bytes) as usize - 1);
        for i in [first, last, (first + last) / 2] {
            bytes[i] ^= 0x10;
            std::fs::write(&m.target, &bytes).unwrap();
            let pack = open(&m.plan, &m.target).expect("the header is right");
            let e = pack.verify_all(&m.plan, &CancelToken::new()).unwrap_err();
            assert!(matches!(&e, PackError::Checksum { tensor } if *tensor == item.target.tensor.name), "{e}");
            bytes[i] ^= 0x10;
        }
    }
    // The tensors before the damaged one are right, and switched; it and those behind it are not.
    bytes[m.plan.items[5].offset as usize] ^= 1;
    std::fs::write(&m.target, &bytes).unwrap();
    assert!(open(&m.plan, &m.target).unwrap().switch(&m.plan, &CancelToken::new()).is_err());
    for (i, item) in m.plan.items.iter().enumerate() {
        assert_eq!(item.target.slot.get().is_some(), i < 5);
    }
}

#[test]
fn other_versions() {
    let m = made();
    let mut bytes = m.bytes.clone();
    bytes[8] = 9;
    std::fs::write(&m.target, &bytes).unwrap();
    assert!(matches!(open(&m.plan, &m.target), Err(PackError::Version { found: 9, supported: header::VERSION })));
    // It is a packed file all the same, and may be replaced.
    let log = Log::default();
    let on = |e| log.0.lock().unwrap().push(e);
    assert_eq!(make_with(&m.plan, &m.target, Check::Data, &CancelToken::new(), &on).unwrap(), Outcome::Written);
    assert_eq!(log.count(|e| matches!(e, PackEvent::Ignored { reason: PackError::Version { .. }, .. })), 1);
    check(&m.plan, &m.target).unwrap();
}

/// Writes the model anew with one byte changed, at another time.
fn change(m: &Made, at: usize) -> Plan {
    let mut model = std::fs::read(&m.model).unwrap();
    model[at] ^= 1;
    replace(m, &model)
}

fn replace(m: &Made, model: &[u8]) -> Plan {
    // A mapped file is replaced, never rewritten.
    std::fs::remove_file(&m.model).unwrap();
    std::fs::write(&m.model, model).unwrap();
    File::open(&m.model).unwrap().set_modified(SystemTime::now() - Duration::from_secs(77)).unwrap();
    plan(&m.model)
}

#[test]
fn a_changed_source_is_noticed_wherever_it_changed() {
    let m = made();
    let tensor = |i: usize| m.plan.items[i].target.tensor.clone();
    let large = (0..m.plan.items.len()).max_by_key(|i| tensor(*i).bytes).unwrap();
    let (start, bytes) = (tensor(large).offset as usize, tensor(large).bytes as usize);
    assert!(bytes > 3 * 4096, "a middle that no edge covers");
    for at in [start, start + bytes - 1, start + bytes / 2] {
        let changed = change(&m, at);
        let e = check(&changed, &m.target).unwrap_err();
        assert!(matches!(e, PackError::Stale(_)), "{at}: {e}");
        change(&m, at);
    }
    // The metadata: the name's last letter.
    let model = std::fs::read(&m.model).unwrap();
    let at = model.windows(4).position(|w| w == b"many").unwrap();
    assert!(matches!(open(&change(&m, at + 3), &m.target), Err(PackError::Stale(_))));
}

#[test]
fn a_copied_source_is_compared_once() {
    let m = made();
    let model = std::fs::read(&m.model).unwrap();
    let stamp = || Header::decode(&std::fs::read(&m.target).unwrap()).unwrap().stamp;
    let first = stamp();
    assert!(first != 0);
    let copy = replace(&m, &model);
    check(&copy, &m.target).unwrap();
    assert!(stamp() != first && stamp() != 0);
    assert_eq!(std::fs::read(&m.target).unwrap()[48..], m.bytes[48..]);
    // From now on only the packed bytes are hashed: a source that changes in its middle and keeps its time is the one
    // thing that goes unnoticed.
    open(&copy, &m.target).unwrap().switch(&copy, &CancelToken::new()).unwrap();
}

#[test]
fn things_that_are_no_files() {
    let m = made();
    let dir = m.target.parent().unwrap();
    assert!(matches!(open(&m.plan, dir), Err(PackError::NotAPack(_))));
    assert!(matches!(open(&m.plan, &dir.join("none")), Err(PackError::Io { .. })));
    assert!(matches!(open(&m.plan, &m.model), Err(PackError::Damaged(_))));
}

#[test]
fn long_names_of_sources_are_cut() {
    let m = made();
    let mut header = Header::decode(&m.bytes).unwrap();
    assert_eq!(header.source_name, "many.gguf");
    header.source_name = "ä".repeat(48) + "x";
    assert_eq!(Header::decode(&header.encode()).unwrap().source_name, "ä".repeat(48));
    header.source_name = "x".to_owned() + &"ä".repeat(48);
    assert_eq!(Header::decode(&header.encode()).unwrap().source_name, "x".to_owned() + &"ä".repeat(47) + "\u{fffd}");
}
