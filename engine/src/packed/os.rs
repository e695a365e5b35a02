//! What the system is asked for besides files: room on the disk, and to be served last.

use std::path::Path;

/// Bytes that this user may still write, and the size of the disk that `dir` is on; `None` where nobody knows.
#[cfg(unix)]
pub(super) fn disk(dir: &Path) -> Option<[u64; 2]> {
    let s = rustix::fs::statvfs(dir).ok()?;
    Some([s.f_bavail.saturating_mul(s.f_frsize), s.f_blocks.saturating_mul(s.f_frsize)])
}

#[cfg(not(unix))]
pub(super) fn disk(_dir: &Path) -> Option<[u64; 2]> {
    None
}

/// Lets the calling thread, and those it starts, compute only where nobody else wants to. It cannot be undone.
#[cfg(target_os = "linux")]
pub(super) fn step_back() {
    // A thread's id names the thread alone. Without it packing is merely less polite.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn step_back() {}

/// Drops the pages of a synced file from the page cache. Those that writing left are of 4 KiB each; read again through a
/// map that asks for them, they come in huge pages. A hint: failure is no error.
#[cfg(target_os = "linux")]
pub(super) fn forget(file: &std::fs::File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn forget(_file: &std::fs::File) {}

/// Asks for huge pages where the page cache has none of the file's yet: they save most of the misses of address
/// translation. A hint: failure is no error.
#[cfg(target_os = "linux")]
pub(super) fn huge_pages(map: &memmap2::Mmap) {
    let _ = map.advise(memmap2::Advice::HugePage);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn huge_pages(_map: &memmap2::Mmap) {}

/// Makes a rename in `dir` last.
pub(super) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    if cfg!(unix) { std::fs::File::open(dir)?.sync_all() } else { Ok(()) }
}
