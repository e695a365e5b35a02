//! Packed files that are made, cut, bent, raced for and removed.

mod behind;
mod cache;
mod damage;
mod files;
#[cfg(unix)]
mod resume;
mod switch;

use super::identity::Identity;
use super::plan::{Plan, Target};
use super::reader::Pack;
use super::slot::Slot;
use super::writer::{Check, Job, Outcome};
use super::{PackError, PackEvent};
use crate::cancel::CancelToken;
use hewn_kernels::Format;
use hewn_loader::{Gguf, GgufWriter, MetaValue, OpenOptions, TensorType};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The random-weight model that the project carries.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny-random.gguf");

/// A matrix of every block format and a few heights, and some that are not packed.
fn source(dir: &Path) -> PathBuf {
    let mut w = GgufWriter::new();
    w.meta("general.name", MetaValue::Str("many".into())).unwrap();
    let mut data = Vec::new();
    for &format in Format::ALL {
        for rows in [16, 47, 112, 100, 3] {
            let cols = if format.is_quant() { format.block_len() * 2 } else { 8 };
            let kind = TensorType::from_id(format.id());
            w.tensor(&format!("{}.{rows}", format.name()), &[cols as u64, rows], kind).unwrap();
            let len = rows as usize * format.row_bytes(cols).unwrap();
            let seed = data.len() as u32 * 977;
            data.push((0..len as u32).map(|i| ((i + seed).wrapping_mul(2654435761) >> 11) as u8).collect::<Vec<u8>>());
        }
    }
    let path = dir.join("many.gguf");
    w.write_to(&mut BufWriter::new(File::create(&path).unwrap()), data.iter().map(Vec::as_slice)).unwrap();
    path
}

/// The plan of a file with all its tensors as matrices.
fn plan(path: &Path) -> Plan {
    let gguf = Arc::new(Gguf::open(path, &OpenOptions::default()).unwrap());
    let targets: Vec<Target> = gguf
        .tensors()
        .iter()
        .map(|t| Target {
            tensor: t.clone(),
            format: Format::from_id(t.dtype.id()).unwrap(),
            rows: t.rows() as usize,
            cols: t.cols() as usize,
            looked_up: false,
            slot: Slot::default(),
        })
        .collect();
    Plan::new(gguf, targets)
}

/// Everything that was told.
#[derive(Default)]
struct Log(Mutex<Vec<PackEvent>>);

impl Log {
    fn count(&self, which: impl Fn(&PackEvent) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|e| which(e)).count()
    }
}

/// Makes the packed file.
fn make(plan: &Plan, target: &Path, check: Check) -> Result<Outcome, PackError> {
    make_with(plan, target, check, &CancelToken::new(), &|_| {})
}

fn make_with(
    plan: &Plan,
    target: &Path,
    check: Check,
    cancel: &CancelToken,
    on: &(dyn Fn(PackEvent) + Sync),
) -> Result<Outcome, PackError> {
    Job { plan, identity: plan.identity(), target, ours: false, check, wait: true, cancel, on, report: true }.write()
}

fn open(plan: &Plan, target: &Path) -> Result<Pack, PackError> {
    Pack::open(target, plan, &Identity::of(plan))
}

/// Checks every byte.
fn check(plan: &Plan, target: &Path) -> Result<(), PackError> {
    open(plan, target)?.verify_all(plan, &CancelToken::new())
}

/// The names in a folder.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        dir.read_dir().unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
