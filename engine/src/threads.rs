//! How many threads to use by default: physical cores that this process may really run on.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Physical cores within the processors that this process may use, bounded by the control group's CPU quota.
///
/// Two threads on one core's hyperthreads share its vector units and gain nothing; a thread beyond the quota makes the
/// whole team wait while the group is throttled.
pub fn default_threads() -> usize {
    // Honours the affinity mask (cpuset) and, on Linux, cgroup quotas of both versions, rounded up.
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    physical_cores().map_or(usable, |cores| usable.min(cores)).max(1)
}

/// Cores among the processors allowed, from the kernel's topology files; `None` where there are none to read.
fn physical_cores() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let allowed = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = HashSet::new();
    for cpu in parse_list(allowed.trim())? {
        let dir = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
        let siblings = fs::read_to_string(Path::new(&dir).join("thread_siblings_list")).ok()?;
        cores.insert(siblings);
    }
    Some(cores.len())
}

/// `0-3,8` as numbers; `None` when it is not such a list or longer than any machine.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (a, b) = part.split_once('-').unwrap_or((part, part));
        let (a, b): (usize, usize) = (a.parse().ok()?, b.parse().ok()?);
        if b < a || b - a > 65_536 {
            return None;
        }
        all.extend(a..=b);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    #[test]
    fn lists_parse() {
        assert_eq!(super::parse_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(super::parse_list("x"), None);
        assert_eq!(super::parse_list("3-1"), None);
        assert_eq!(super::parse_list("0-99999999999"), None);
    }

    #[test]
    fn there_is_at_least_one_thread() {
        assert!(super::default_threads() >= 1);
    }
}
