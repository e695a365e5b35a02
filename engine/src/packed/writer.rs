//! Making a packed file: tile groups stream through a small buffer into the unfinished file, which is renamed when it is
//! complete and on the disk. What is done is noted in its header after each tensor, for a later run to go on from.

use super::error::PackError;
use super::header::Header;
use super::identity::{self, Identity};
use super::os;
use super::partial::Partial;
use super::plan::{Item, Plan};
use super::reader::{self, Pack};
use super::{PackEvent, header};
use crate::cancel::CancelToken;
use crate::error::zeroed;
use hewn_kernels::CpuIsa;
use hewn_kernels::op::pack::pack_tiles;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Bytes packed at once, unless one tile is larger.
const GROUP: u64 = 1 << 20;
/// Bytes written before the disk must have them: so many pages at most wait in memory.
const FLUSH: u64 = 64 << 20;

/// When a file that is at the target already will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Never.
    Nothing,
    /// When its header is right.
    Header,
    /// When every byte is right.
    Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// One was there.
    Found,
    /// It was made.
    Written,
}

/// A packed file to be made.
pub(crate) struct Job<'a> {
    pub plan: &'a Plan,
    pub identity: Identity,
    pub target: &'a Path,
    /// Whether the target is in the cache, where all names are ours, whatever has become of a file.
    pub ours: bool,
    pub check: Check,
    /// Wait for another process that makes it, instead of [`PackError::Busy`].
    pub wait: bool,
    pub cancel: &'a CancelToken,
    pub on: &'a (dyn Fn(PackEvent) + Sync),
    /// Tell of a file at the target that will not do; otherwise the caller has.
    pub report: bool,
}

impl Job<'_> {
    /// Makes the file.
    pub fn write(&self) -> Result<Outcome, PackError> {
        if self.plan.items.is_empty() {
            return Err(PackError::Nothing);
        }
        if !may_replace(self.target, self.ours)? {
            return Err(PackError::NotAPack(self.target.to_owned()));
        }
        let mut rejected = None;
        if self.is_there(&mut rejected)? {
            return Ok(Outcome::Found);
        }
        let on_wait = || (self.on)(PackEvent::Waiting { path: self.target.to_owned() });
        let partial = Partial::lock(self.target, self.wait, self.cancel, &on_wait)?;
        // Another process may have finished it before the lock was ours.
        match self.is_there(&mut rejected) {
            Ok(false) => {}
            Ok(true) => {
                partial.discard();
                return Ok(Outcome::Found);
            }
            Err(e) => return Err(e),
        }
        if let Some(reason) = rejected.filter(|_| self.report) {
            (self.on)(PackEvent::Ignored { path: self.target.to_owned(), reason });
        }
        match self.fill(&partial.file) {
            Ok(()) => {}
            Err(e @ PackError::Space { .. }) => {
                partial.discard();
                return Err(e);
            }
            Err(e) => return Err(e),
        }
        std::fs::rename(&partial.path, self.target).map_err(PackError::io("rename to", self.target))?;
        let dir = self.target.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        os::sync_dir(dir).map_err(PackError::io("write", dir))?;
        Ok(Outcome::Written)
    }

    /// Whether the target will do; keeps the reason why it does not.
    fn is_there(&self, rejected: &mut Option<PackError>) -> Result<bool, PackError> {
        if self.check == Check::Nothing || !self.target.exists() {
            return Ok(false);
        }
        let checked = Pack::open(self.target, self.plan, &self.identity).and_then(|pack| match self.check {
            Check::Data => pack.verify_all(self.plan, self.cancel),
            _ => Ok(()),
        });
        match checked {
            Ok(()) => return Ok(true),
            Err(PackError::Cancelled) => return Err(PackError::Cancelled),
            Err(e) => *rejected = Some(e),
        }
        Ok(false)
    }

    /// Brings the unfinished file to its end.
    fn fill(&self, file: &File) -> Result<(), PackError> {
        let (plan, total) = (self.plan, self.plan.bytes());
        let fail = PackError::writing(self.target, plan.file_len());
        let largest = plan.items.iter().map(|i| group_bytes(i).min(i.bytes)).max().unwrap_or(0);
        let size = usize::try_from(largest).map_err(|_| PackError::Memory(usize::MAX))?;
        let mut buffer = zeroed(size, "packing").map_err(|_| PackError::Memory(size))?;
        let mut header = self.begin(file, &mut buffer)?;
        file.set_len(plan.file_len()).map_err(&fail)?;
        let kept = plan.items.iter().zip(&header.entries).filter(|(_, e)| e.sums.is_some());
        let mut done = kept.map(|(i, _)| i.bytes).sum();
        (self.on)(PackEvent::Progress { done, total });
        let mut out = Output { file, dirty: 0 };
        for (i, item) in plan.items.iter().enumerate() {
            if header.entries[i].sums.is_some() {
                continue;
            }
            let on = |n| (self.on)(PackEvent::Progress { done: done + n, total });
            header.entries[i].sums = Some(self.pack(&mut out, item, &mut buffer, &on)?);
            out.write_at(0, &header.encode()).map_err(&fail)?;
            done += item.bytes;
        }
        // Also with everything kept: the modification time may be another.
        out.write_at(0, &header.encode()).map_err(&fail)?;
        file.sync_all().map_err(fail)?;
        os::forget(file);
        Ok(())
    }

    /// The header to go on with: that of an earlier run where it was about the same file, with those of its tensors
    /// that are really there. The whole of it is checked before it is written again, as it then speaks for the source
    /// as it is now.
    fn begin(&self, file: &File, buffer: &mut [u8]) -> Result<Header, PackError> {
        let stamp = identity::stamp(&self.plan.gguf);
        let old = Header::read(file, self.target).and_then(|h| h.check(self.plan, &self.identity).map(|()| h));
        let Ok(mut header) = old else {
            file.set_len(0).map_err(PackError::writing(self.target, self.plan.file_len()))?;
            return Ok(Header::new(self.plan, self.identity, stamp));
        };
        let fresh = stamp != 0 && header.stamp == stamp;
        header.stamp = stamp;
        for (item, entry) in self.plan.items.iter().zip(&mut header.entries) {
            let Some([packed, source]) = entry.sums else { continue };
            let source_now = || reader::hash(self.plan.gguf.tensor_data(&item.target.tensor), self.cancel);
            if !self.holds(file, item, packed, buffer)? || !(fresh || source_now()? == source) {
                entry.sums = None;
            }
        }
        Ok(header)
    }

    /// Whether the file has the bytes with this checksum in the tensor's place.
    fn holds(&self, mut file: &File, item: &Item, sum: u64, buffer: &mut [u8]) -> Result<bool, PackError> {
        let io = PackError::io("read", self.target);
        file.seek(SeekFrom::Start(item.offset)).map_err(&io)?;
        let (mut found, mut left) = (Xxh3::new(), item.bytes);
        while left > 0 {
            self.go_on()?;
            let n = left.min(buffer.len() as u64);
            let part = &mut buffer[..n as usize];
            match file.read_exact(part) {
                Ok(()) => found.update(part),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(e) => return Err(io(e)),
            }
            left -= n;
        }
        Ok(found.digest() == sum)
    }

    /// Packs one tensor into its place; returns the checksums of the packed and of the source's bytes.
    fn pack(&self, out: &mut Output, item: &Item, buffer: &mut [u8], on: &dyn Fn(u64)) -> Result<[u64; 2], PackError> {
        let fail = PackError::writing(self.target, self.plan.file_len());
        let (target, isa) = (&item.target, CpuIsa::best());
        let (matrix, tile) = (target.matrix(&self.plan.gguf), target.tile_bytes());
        let source = matrix.data();
        let (mut packed_sum, mut source_sum) = (Xxh3::new(), Xxh3::new());
        let mut at = 0;
        while at < item.bytes {
            self.go_on()?;
            let n = group_bytes(item).min(item.bytes - at);
            let part = &mut buffer[..n as usize];
            pack_tiles(isa, &matrix, (at / tile) as usize, part);
            packed_sum.update(part);
            // A tile takes as many bytes in the source, but for the last one's padding.
            source_sum.update(&source[at as usize..source.len().min((at + n) as usize)]);
            out.write_at(item.offset + at, part).map_err(&fail)?;
            at += n;
            on(at);
        }
        Ok([packed_sum.digest(), source_sum.digest()])
    }

    fn go_on(&self) -> Result<(), PackError> {
        if self.cancel.is_cancelled() { Err(PackError::Cancelled) } else { Ok(()) }
    }
}

/// Bytes of the tiles of a tensor that are packed at once.
fn group_bytes(item: &Item) -> u64 {
    let tile = item.target.tile_bytes();
    (GROUP / tile).max(1).saturating_mul(tile)
}

/// Whether there is nothing at the target, or a packed file; an empty one has nothing to lose.
fn may_replace(target: &Path, ours: bool) -> Result<bool, PackError> {
    if !target.exists() {
        return Ok(true);
    }
    let mut magic = [0; 8];
    let file = match reader::open_regular(target) {
        Err(PackError::NotAPack(_)) => return Ok(false),
        opened => opened?,
    };
    if ours || file.metadata().map_err(PackError::io("read", target))?.len() == 0 {
        return Ok(true);
    }
    match (&file).take(8).read_exact(&mut magic) {
        Ok(()) => Ok(magic == *header::MAGIC),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(PackError::io("read", target)(e)),
    }
}

/// The unfinished file, and how much of it only the memory has.
struct Output<'a> {
    file: &'a File,
    dirty: u64,
}

impl Output<'_> {
    fn write_at(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(data)?;
        self.dirty += data.len() as u64;
        if self.dirty >= FLUSH {
            self.file.sync_data()?;
            self.dirty = 0;
        }
        Ok(())
    }
}
