//! How many threads to use by default: physical cores that this process may really run on, the fast ones of them.
//!
//! Two threads on one core's hyperthreads share its vector units and gain nothing; threads beyond the CPU quota stand
//! still together for the rest of every period (usually 100 ms) once the quota is spent.

use super::cores::{self, Core};
use super::groups::{self, CpuQuota};
use super::root::Root;
use std::fmt;

/// A number of threads and what it was derived from.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadChoice {
    /// Processors of the machine that are switched on; `None` where the system does not say.
    pub logical: Option<usize>,
    /// Of those, how many this process may use (affinity, cpuset).
    pub allowed: usize,
    /// The physical cores among the allowed; `None` where the system does not say which processors share one.
    pub cores: Option<Vec<Core>>,
    /// How many of those are performance cores; `None` where nothing tells the cores apart. The others are left out by
    /// default: all threads wait for the slowest at the end of every operation.
    pub performance: Option<usize>,
    /// The tightest CPU quota that the process is under.
    pub quota: Option<CpuQuota>,
    /// How many threads, at least 1.
    pub threads: usize,
    /// Which of the above decided.
    pub reason: Reason,
}

/// What decided on the number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// One for each physical core.
    Cores,
    /// One for each performance core; there are slower ones too.
    Performance,
    /// One for each processor, as the cores are not known.
    Processors,
    /// The CPU quota is less than there are cores.
    Quota,
    /// The system's files could not be read; this is what the standard library found.
    System,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cores => "one for each physical core that this process may use",
            Self::Performance => {
                "one for each performance core that this process may use; the slower ones would hold them up"
            }
            Self::Processors => {
                "one for each processor that this process may use; which of them share a core is unknown"
            }
            Self::Quota => "the control group's CPU quota is less than there are cores",
            Self::System => "what the system offers; it does not tell more",
        })
    }
}

/// The number of threads that [`ThreadChoice::detect`] arrives at.
pub fn default_threads() -> usize {
    ThreadChoice::detect().threads
}

impl ThreadChoice {
    /// Looks at the machine.
    pub fn detect() -> Self {
        Self::read(Root::system(), std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// `offered` is what the standard library says, for systems without the files.
    pub(super) fn read(root: Root<'_>, offered: usize) -> Self {
        let quota = groups::cpu_quota(root);
        let logical = cores::online(root).map(|l| l.len());
        let (allowed, known, all) = match cores::allowed(root) {
            Some(list) => match cores::cores(root, &list) {
                Some((cores, Some(fast))) if fast < cores.len() => {
                    (list.len(), Some((cores, Some(fast))), Reason::Performance)
                }
                Some(known) => (list.len(), Some(known), Reason::Cores),
                None => (list.len(), None, Reason::Processors),
            },
            None => (offered.max(1), None, Reason::System),
        };
        let most = known.as_ref().map_or(allowed, |(cores, fast)| fast.unwrap_or(cores.len())).max(1);
        let (cores, performance) = known.map_or((None, None), |(cores, fast)| (Some(cores), fast));
        let bound = quota.as_ref().map_or(usize::MAX, |q| whole(q.cpus));
        let (threads, reason) = if bound < most { (bound, Reason::Quota) } else { (most, all) };
        Self { logical, allowed, cores, performance, quota, threads, reason }
    }

    /// How many cores there are of each capacity, the fastest first; one entry unless the CPU is a hybrid.
    pub fn kinds(&self) -> Vec<(Option<u64>, usize)> {
        let mut kinds = std::collections::BTreeMap::new();
        for core in self.cores.iter().flatten() {
            *kinds.entry(core.capacity).or_default() += 1;
        }
        kinds.into_iter().rev().collect()
    }
}

/// Threads for a quota of `cpus`: to the nearest, halves up, at least 1.
///
/// With one thread more than the quota all stand still for a part of every period, with one less a part of the quota
/// stays unused. Where speed grows with the threads, the first is faster from half a processor on: a 1.5B model with a
/// quota of 1.5 (two threads stopped for 25 of every 100 ms) decodes 16.8 tokens/s with two threads and 12.5 with one,
/// and with a quota of 1.2 13.6. Below a half the gain is small, gone where memory is the bound, and answers stutter.
fn whole(cpus: f64) -> usize {
    // `as` saturates.
    ((cpus + 0.5).floor() as usize).max(1)
}
