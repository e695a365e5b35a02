//! The packed file: a model's matrices as kernels like to read them, on disk, made once and shared by all processes.
//!
//! A matrix in a GGUF file is regrouped to tiles of 16 rows in lanes each time it is read (see
//! [`hewn_kernels::format`]); a packed file holds the tiles themselves, which doubles the speed of decoding on few
//! cores. It is a cache: it can be deleted at any time, is never believed without proof, and changes no bit of any
//! result. One file serves every instruction set.
//!
//! ```text
//!   0  "HEWNPACK"                                          little-endian throughout
//!   8  layout version u32 | number of tensors u32
//!  16  length of the header u64 | length of the file u64
//!  32  stamp: modification time of the source i64 (ns) | check u64     (rewritten in place, see `header`)
//!  48  source: length u64 | hash of its head u64 | hash of its tensors' edges u64
//!  72  name of the source, for people: 96 bytes, zero-padded
//! 168  for each tensor:
//!        length of the name u16 | name | GGUF type u32 | written u32
//!        rows u64 | cols u64 | offset u64 | bytes u64 | xxh3 of the packed bytes u64 | of the source's bytes u64
//!      xxh3 of the header but for the stamp u64
//!      zeros up to a multiple of 128
//!      tiles of the first tensor, zeros up to a multiple of 128, tiles of the second, ...
//! ```
//!
//! All of it but the hashes follows from the GGUF, so a reader compares the header with the one that it would write
//! (`reader`) and believes no number in it. Each tensor is switched to the packed bytes once their hash has been
//! checked, between any two operations, even in the middle of an answer.
//!
//! Who does what: `plan` what goes where, `identity` which file it was made from, `header` the bytes above, `reader`
//! the checks, `partial` and `writer` the way to a finished file, `cache` the folder, `worker` all of it behind a
//! running model.

mod cache;
mod error;
mod header;
mod identity;
mod os;
mod partial;
mod plan;
mod reader;
mod slot;
mod worker;
mod writer;

#[cfg(test)]
mod tests;

pub use cache::{CacheEntry, PackCache};
pub use error::PackError;
pub(crate) use plan::{Plan, Target};
pub(crate) use slot::Slot;
pub(crate) use worker::Worker;

use crate::cancel::CancelToken;
use crate::model::Model;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The extension of packed files.
pub const EXTENSION: &str = "hewnpack";

/// Whether and when a model's packed file is used and made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PackMode {
    /// Never look for one.
    #[default]
    Off,
    /// Use one that is there; otherwise make one in the background, while the model runs from its own file.
    Auto,
    /// Make or check it before the model runs.
    Wait,
}

/// How a model's packed file is handled.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Whether and when. [`PackMode::Off`] unless asked for.
    pub mode: PackMode,
    /// Where packed files are made. Without a cache, a file beside the model is used but none is made in `Auto`;
    /// `Wait` makes it beside the model.
    pub cache: Option<PackCache>,
    /// In `Auto`, a model with fewer bytes to pack is left alone.
    pub min_bytes: u64,
    /// Called with what happens, in `Auto` from another thread.
    pub listener: Option<PackListener>,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { mode: PackMode::Off, cache: None, min_bytes: 64 << 20, listener: None }
    }
}

/// A callback for [`PackEvent`]s.
#[derive(Clone)]
pub struct PackListener(Arc<dyn Fn(PackEvent) + Send + Sync>);

impl PackListener {
    /// Wraps a function.
    pub fn new(f: impl Fn(PackEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(f))
    }
}

impl fmt::Debug for PackListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PackListener")
    }
}

/// What happens to a packed file.
#[derive(Debug)]
#[non_exhaustive]
pub enum PackEvent {
    /// A packed file was found that cannot be believed: the model's own file is read instead. Once for each.
    Ignored {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: PackError,
    },
    /// Another process is making the same file.
    Waiting {
        /// The file.
        path: PathBuf,
    },
    /// The file is being made.
    Progress {
        /// Bytes written, those of an earlier run included.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Every matrix that can be is now read from the file.
    Used {
        /// The file.
        path: PathBuf,
    },
    /// No file was made. Once at most; the model runs on without.
    Failed {
        /// Why.
        reason: PackError,
    },
}

/// The packed file of a model beside it: `model.gguf.hewnpack`.
pub fn beside(model: &Path) -> PathBuf {
    with_suffix(model, &format!(".{EXTENSION}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.into();
    name.push(suffix);
    name.into()
}

/// What [`write`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackReport {
    /// Length of the file.
    pub bytes: u64,
    /// False when a valid one was there already.
    pub written: bool,
}

/// Makes the packed file of `model` at `path`, or checks the one that is there, every byte of it. Waits for another
/// process that does the same. With `force` it is made anew in any case.
///
/// # Errors
/// There is nothing to pack, `path` is something else than a packed file, the disk is full or cannot be written to, or
/// `cancel` was raised: then what is done stays beside `path` as `.partial`, and the next call goes on from there.
pub fn write(
    model: &Model,
    path: &Path,
    force: bool,
    cancel: &CancelToken,
    on: &(dyn Fn(PackEvent) + Sync),
) -> Result<PackReport, PackError> {
    let plan = model.plan();
    let check = if force { writer::Check::Nothing } else { writer::Check::Data };
    let (identity, target) = (plan.identity(), path);
    let job = writer::Job { plan: &plan, identity, target, ours: false, check, wait: true, cancel, on, report: true };
    let outcome = job.write()?;
    Ok(PackReport { bytes: plan.file_len(), written: outcome == writer::Outcome::Written })
}

/// Checks the packed file at `path` and switches the matrices of `model` to it, one by one; a step that is being
/// computed meanwhile goes on undisturbed.
///
/// # Errors
/// The file is not there, damaged, or was not made from this model. What was switched before is right and stays.
pub fn attach(model: &Model, path: &Path, cancel: &CancelToken) -> Result<(), PackError> {
    let plan = model.plan();
    reader::Pack::open(path, &plan, &plan.identity())?.switch(&plan, cancel)
}

/// A packed file of a model, as found by [`find`].
#[derive(Debug)]
pub struct FoundPack {
    /// Where it is.
    pub path: PathBuf,
    /// Length of the file.
    pub bytes: u64,
    /// What can be said without reading all of it.
    pub state: FoundState,
}

/// The state of a packed file.
#[derive(Debug)]
pub enum FoundState {
    /// Complete and made from this model. The data are checked when it is used.
    Ready,
    /// Begun and not finished.
    Partial {
        /// Bytes written.
        done: u64,
    },
    /// It cannot be believed.
    Bad(PackError),
}

/// The packed files of `model`: beside it, and in the cache.
pub fn find(model: &Model, cache: Option<&PackCache>) -> Vec<FoundPack> {
    let (plan, path) = (model.plan(), model.gguf().path());
    let identity = plan.identity();
    let places = path.map(beside).into_iter().chain(cache.map(|c| c.path(&identity)));
    let mut found = Vec::new();
    for place in places {
        if place.exists() {
            let state = match reader::Pack::open(&place, &plan, &identity) {
                Ok(_) => FoundState::Ready,
                Err(e) => FoundState::Bad(e),
            };
            let bytes = place.metadata().map_or(0, |m| m.len());
            found.push(FoundPack { path: place.clone(), bytes, state });
        }
        let partial = partial::name(&place);
        if let Some(done) = reader::progress(&partial, &plan, &identity) {
            let bytes = partial.metadata().map_or(0, |m| m.len());
            found.push(FoundPack { path: partial, bytes, state: FoundState::Partial { done } });
        }
    }
    found
}
