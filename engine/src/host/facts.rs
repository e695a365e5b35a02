//! What there is to know about the machine beside its cores.

use super::cores;
use super::groups::{self, MemoryLimit};
use super::root::{Root, field};
use std::collections::{BTreeMap, BTreeSet};

/// The machine, as far as the system tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The CPU's name, or the board's where the CPU has none.
    pub model: Option<String>,
    /// Caches for data, nearest first.
    pub caches: Vec<Cache>,
    /// Memory of the whole machine.
    pub memory: Option<Memory>,
    /// The tightest memory limit of the process's control groups.
    pub memory_limit: Option<MemoryLimit>,
    /// When the system backs ordinary memory with huge pages: `always`, `madvise` or `never`.
    pub huge_pages: Option<String>,
}

/// Caches of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cache {
    /// 1 is the nearest.
    pub level: u32,
    /// Bytes of each.
    pub bytes: u64,
    /// Processors that share one.
    pub shared_by: usize,
    /// How many there are.
    pub count: usize,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Installed, less what the kernel keeps.
    pub total: u64,
    /// What a program can get without swapping; `None` on old kernels.
    pub available: Option<u64>,
}

impl Facts {
    /// Looks at the machine.
    pub fn detect() -> Self {
        Self::read(Root::system())
    }

    pub(super) fn read(root: Root<'_>) -> Self {
        Self {
            model: model(root),
            caches: caches(root),
            memory: memory(root),
            memory_limit: groups::memory_limit(root),
            huge_pages: huge_pages(root),
        }
    }
}

fn model(root: Root<'_>) -> Option<String> {
    let info = root.text("/proc/cpuinfo").unwrap_or_default();
    let named = ["model name", "Model", "Hardware"].into_iter().find_map(|key| field(&info, key));
    let board = || root.text("/sys/firmware/devicetree/base/model");
    named.map(str::to_owned).or_else(board).filter(|name| !name.is_empty())
}

fn caches(root: Root<'_>) -> Vec<Cache> {
    // Every processor lists all that it can reach; those with the same list of processors are one and the same.
    let mut found: BTreeMap<(u32, u64, usize), BTreeSet<Vec<usize>>> = BTreeMap::new();
    for cpu in cores::online(root).unwrap_or_default() {
        for index in 0..16 {
            let file = |name| format!("/sys/devices/system/cpu/cpu{cpu}/cache/index{index}/{name}");
            let Some(kind) = root.text(file("type")) else { break };
            let (Some(level), Some(bytes)) =
                (root.number(file("level")), root.text(file("size")).and_then(|s| size(&s)))
            else {
                continue;
            };
            if kind != "Instruction" {
                let shared = root.list(file("shared_cpu_list")).unwrap_or_else(|| vec![cpu]);
                found.entry((level, bytes, shared.len())).or_default().insert(shared);
            }
        }
    }
    found
        .into_iter()
        .map(|((level, bytes, shared_by), all)| Cache { level, bytes, shared_by, count: all.len() })
        .collect()
}

/// `48K`, `2M`, or bytes.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn memory(root: Root<'_>) -> Option<Memory> {
    let info = root.text("/proc/meminfo")?;
    let bytes = |key| field(&info, key)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024);
    Some(Memory { total: bytes("MemTotal")?, available: bytes("MemAvailable") })
}

/// The word in brackets of `always [madvise] never`.
fn huge_pages(root: Root<'_>) -> Option<String> {
    let text = root.text("/sys/kernel/mm/transparent_hugepage/enabled")?;
    let (_, chosen) = text.split_once('[')?;
    Some(chosen.split_once(']')?.0.to_owned())
}
