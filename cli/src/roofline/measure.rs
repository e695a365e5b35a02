//! The ceilings of this machine: measured, kept in the cache folder, read again.

use crate::cache;
use crate::errors::CliError;
use crate::output::note;
use crate::temporary;
use hewn_engine::{CpuIsa, EngineError, Team};
use hewn_kernels::probe::{Buffer, DotKind, cached_read_rate, data_caches, dot_rate, fma_rate, read_rate};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const GIB: u64 = 1 << 30;
/// How long a pass of a cache or an arithmetic measurement takes.
const PASS: Duration = Duration::from_millis(5);
const PASSES: usize = 3;

/// What the ceilings belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The CPU, as it calls itself.
    pub cpu: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// Instruction sets that Hewn can use on it.
    pub isas: Vec<String>,
    /// Version of the program that measured.
    pub version: String,
}

/// The rate of reads from one level of the memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reads {
    /// `L1`, `L2`, `L3` or `memory`.
    pub level: String,
    /// Bytes that were read over and over.
    pub bytes: u64,
    /// Threads reading.
    pub threads: usize,
    /// 10^9 bytes per second, all threads together.
    pub gb_per_s: f64,
}

/// The arithmetic of one instruction set, in 10^9 operations per second of all threads together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peak {
    /// The instruction set.
    pub isa: String,
    /// Threads computing.
    pub threads: usize,
    /// 8-bit products with unsigned weights of up to 4 bits.
    pub int8_gop_per_s: f64,
    /// 8-bit products with signed weights of 8 bits.
    pub int8_signed_gop_per_s: f64,
    /// f32 multiply-adds.
    pub f32_gop_per_s: f64,
}

/// All ceilings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Roofline {
    /// Where they were measured.
    pub machine: Machine,
    /// The most threads measured.
    pub threads: usize,
    /// Reads by level and threads.
    pub reads: Vec<Reads>,
    /// Arithmetic by instruction set and threads.
    pub peaks: Vec<Peak>,
}

impl Machine {
    /// The one that the program runs on.
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
        Self {
            cpu: name.map_or(std::env::consts::ARCH, |(_, n)| n.trim()).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            isas: CpuIsa::available().iter().map(|i| i.kind().name().to_owned()).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// 1, 2, 4, ... and `n`.
fn steps(n: usize) -> Vec<usize> {
    let mut all: Vec<usize> = std::iter::successors(Some(1), |t| Some(t * 2)).take_while(|t| *t < n).collect();
    all.push(n);
    all
}

/// A buffer that the caches cannot hold, of what memory there is.
pub fn large_buffer(team: &Team) -> Result<Buffer, CliError> {
    let last = data_caches().last().map_or(0, |c| c.bytes as u64);
    let want = GIB.max((4 * last).min(2 * GIB));
    let bytes = available_memory().map_or(want, |free| want.min(free / 4));
    let buffer = usize::try_from(bytes).ok().and_then(|n| Buffer::new(team, n));
    buffer.ok_or_else(|| CliError::failure("not enough memory to measure the read rate", "close other programs"))
}

/// What may be taken without swapping, as the system and the control group tell.
pub fn available_memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let group =
        |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?.trim().parse::<u64>().ok();
    let left = group("max").map(|max| max.saturating_sub(group("current").unwrap_or(0)));
    Some(left.map_or(free, |l| l.min(free)))
}

impl Roofline {
    /// Measures with 1, 2, 4, ... up to `threads`; a few seconds.
    pub fn measure(threads: usize) -> Result<Self, CliError> {
        let mut reads = Vec::new();
        let all = Team::new(threads, CpuIsa::best()).map_err(EngineError::from)?;
        let large = large_buffer(&all)?;
        for t in steps(threads) {
            let team = Team::new(t, CpuIsa::best()).map_err(EngineError::from)?;
            let mut push = |level: String, bytes: usize, rate: f64| {
                reads.push(Reads { level, bytes: bytes as u64, threads: t, gb_per_s: rate / 1e9 });
            };
            for (cache, bytes) in data_caches().iter().zip([16 << 10, 512 << 10, 16 << 20]) {
                // Half of the cache leaves room for everything else; a shared last one is not all ours.
                let part = Buffer::new(&team, (cache.bytes / 2).clamp(4 << 10, 2 * bytes));
                let part = part.ok_or_else(|| CliError::failure("not enough memory", "close other programs"))?;
                let rate = cached_read_rate(&team, &part, PASS, PASSES).map_err(EngineError::from)?;
                push(format!("L{}", cache.level), part.bytes(), rate);
            }
            let rate = read_rate(&team, &large, PASSES).map_err(EngineError::from)?;
            push("memory".to_owned(), large.bytes(), rate);
        }
        let mut peaks = Vec::new();
        for isa in CpuIsa::available() {
            let mut counts = vec![1, threads];
            counts.dedup();
            for t in counts {
                let team = Team::new(t, isa).map_err(EngineError::from)?;
                peaks.push(Peak::measure(&team, PASS, PASSES)?);
            }
        }
        Ok(Self { machine: Machine::here(), threads, reads, peaks })
    }

    /// The kept result for this machine and at least so many threads, where there is one; otherwise measures and keeps.
    pub fn get(threads: usize, fresh: bool) -> Result<Self, CliError> {
        let file = file()?;
        if !fresh
            && let Some(kept) = file.as_ref().and_then(|f| fs::read(f).ok())
            && let Ok(kept) = serde_json::from_slice::<Self>(&kept)
            && kept.machine == Machine::here()
            && kept.threads == threads
        {
            return Ok(kept);
        }
        let measured = Self::measure(threads)?;
        if let Some(file) = file
            && let Err(e) = measured.keep(&file)
        {
            note(&format!("the result could not be kept in {}: {e}", file.display()));
        }
        Ok(measured)
    }

    fn keep(&self, file: &std::path::Path) -> std::io::Result<()> {
        let dir = file.parent().unwrap_or(std::path::Path::new("."));
        fs::create_dir_all(dir)?;
        let temporary = temporary::file_in(dir)?;
        serde_json::to_writer_pretty(&*temporary, self)?;
        temporary.persist(file)
    }

    /// Read rate of a level with so many threads.
    pub fn read(&self, level: &str, threads: usize) -> Option<f64> {
        self.reads.iter().find(|r| r.level == level && r.threads == threads).map(|r| r.gb_per_s)
    }
}

impl Peak {
    /// Measures the team's instruction set with the team's threads.
    pub fn measure(team: &Team, time: Duration, passes: usize) -> Result<Self, CliError> {
        let dot = |kind| dot_rate(team, kind, time, passes).map(|r| r / 1e9).map_err(EngineError::from);
        Ok(Self {
            isa: team.isa().kind().name().to_owned(),
            threads: team.threads(),
            int8_gop_per_s: dot(DotKind::Narrow)?,
            int8_signed_gop_per_s: dot(DotKind::Signed)?,
            f32_gop_per_s: fma_rate(team, time, passes).map_err(EngineError::from)? / 1e9,
        })
    }
}

fn file() -> Result<Option<PathBuf>, CliError> {
    Ok(cache::folder()?.map(|c| c.dir().join("roofline.json")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn thread_steps_end_with_all() {
        assert_eq!(super::steps(1), [1]);
        assert_eq!(super::steps(2), [1, 2]);
        assert_eq!(super::steps(12), [1, 2, 4, 8, 12]);
    }
}
