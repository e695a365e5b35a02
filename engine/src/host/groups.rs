//! The control groups of this process: how much CPU time and memory it may use.
//!
//! A limit may stand at any level, so all groups from the process's own up to the root of what is mounted are read, and
//! the tightest limit counts. A controller belongs to version 1 or to version 2 of the interface; a machine may run
//! both at once (`hybrid`), so both are looked at.
//!
//! ```text
//! /proc/self/mountinfo   36 31 0:33 /shown /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
//! /proc/self/cgroup      4:cpu,cpuacct:/shown/a/b         -> /sys/fs/cgroup/cpu/a/b, then /a, then /
//! ```

use super::root::Root;
use std::path::{Component, Path, PathBuf};

/// The tightest bound on CPU time.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuQuota {
    /// Processors' worth of time.
    pub cpus: f64,
    /// The folder of the control group that sets it.
    pub group: PathBuf,
}

/// The tightest bound on memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes.
    pub bytes: u64,
    /// The folder of the control group that sets it.
    pub group: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

pub(super) fn cpu_quota(root: Root<'_>) -> Option<CpuQuota> {
    let quotas = groups(root, "cpu").into_iter().filter_map(|(version, group)| {
        let (quota, period): (f64, f64) = match version {
            Version::One => {
                (root.number(group.join("cpu.cfs_quota_us"))?, root.number(group.join("cpu.cfs_period_us"))?)
            }
            Version::Two => {
                let text = root.text(group.join("cpu.max"))?;
                // `max` is no limit; the period may be left out.
                let mut parts = text.split_whitespace();
                (parts.next()?.parse().ok()?, parts.next().map_or(Ok(100_000.0), str::parse).ok()?)
            }
        };
        // Version 1 says -1 for no limit.
        let cpus = quota / period;
        (quota > 0.0 && period > 0.0 && cpus.is_finite()).then_some(CpuQuota { cpus, group })
    });
    quotas.min_by(|a, b| a.cpus.total_cmp(&b.cpus))
}

pub(super) fn memory_limit(root: Root<'_>) -> Option<MemoryLimit> {
    let limits = groups(root, "memory").into_iter().filter_map(|(version, group)| {
        let file = match version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        // `max` in version 2; version 1 says i64::MAX in whole pages for no limit.
        let bytes = root.number(group.join(file)).filter(|b: &u64| *b < 1 << 62)?;
        Some(MemoryLimit { bytes, group })
    });
    limits.min_by_key(|l| l.bytes)
}

/// The folders of the groups which this process is in and to which `controller` may belong, from its own to the root
/// of the mount.
fn groups(root: Root<'_>, controller: &str) -> Vec<(Version, PathBuf)> {
    let (Some(mounts), Some(own)) = (root.text("/proc/self/mountinfo"), root.text("/proc/self/cgroup")) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for mount in mounts.lines().filter_map(Mount::parse) {
        let path = own.lines().find_map(|line| {
            // `id:controllers:path`; version 2 has id 0 and no controllers.
            let mut parts = line.splitn(3, ':');
            let (id, names, path) = (parts.next()?, parts.next()?, parts.next()?);
            let mine = match mount.version {
                Version::One => names.split(',').any(|n| n == controller),
                Version::Two => id == "0" && names.is_empty(),
            };
            mine.then_some(path)
        });
        let shown = mount.version == Version::Two || mount.options.split(',').any(|o| o == controller);
        let (Some(path), true) = (path, shown) else { continue };
        // A group outside of what is mounted here (another namespace's) is seen as the mount's root.
        let below = Path::new(path).strip_prefix(&mount.root).unwrap_or(Path::new(""));
        let inside = below.components().all(|c| matches!(c, Component::Normal(_)));
        let below = if inside { below } else { Path::new("") };
        all.extend(below.ancestors().map(|dir| (mount.version, mount.point.join(dir))));
    }
    all
}

/// A mounted hierarchy of control groups.
struct Mount {
    version: Version,
    /// The group that is shown at `point`.
    root: PathBuf,
    point: PathBuf,
    /// Of the file system; version 1 names its controllers here.
    options: String,
}

impl Mount {
    /// A line of `mountinfo`: `id parent device root point options.. - type source options`.
    fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let version = match system.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let options = system.nth(1).unwrap_or("").to_owned();
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (unescape(mount.next()?), unescape(mount.next()?));
        Some(Self { version, root, point, options })
    }
}

/// White space in a path of `mountinfo` is written as a backslash and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut out = text.to_owned();
    for (code, c) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, c);
    }
    out.into()
}
