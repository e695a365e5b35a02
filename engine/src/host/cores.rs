//! Processors as the kernel numbers them, and the physical cores that they belong to.

use super::root::{Root, field};
use std::collections::BTreeMap;

const CPUS: &str = "/sys/devices/system/cpu";

/// A physical core with the processors (hyperthreads) of it that this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// The kernel's numbers.
    pub processors: Vec<usize>,
    /// How fast it is beside the others of this machine: `cpu_capacity` (the fastest has 1024), else the highest clock
    /// in kHz; `None` where neither is known. Hybrid CPUs have cores of several capacities.
    pub capacity: Option<u64>,
}

/// The processors that are switched on.
pub(super) fn online(root: Root<'_>) -> Option<Vec<usize>> {
    root.list(format!("{CPUS}/online")).filter(|l| !l.is_empty())
}

/// The processors that this process may use: the affinity mask, in which a cpuset shows as well.
pub(super) fn allowed(root: Root<'_>) -> Option<Vec<usize>> {
    let status = root.text("/proc/self/status")?;
    let mut list = super::root::parse_list(field(&status, "Cpus_allowed_list")?)?;
    // The mask may name processors that are switched off or not even plugged in.
    if let Some(online) = online(root) {
        list.retain(|cpu| online.contains(cpu));
    }
    (!list.is_empty()).then_some(list)
}

/// The cores of `processors`, ordered by their first; `None` where the kernel does not say which belong together.
pub(super) fn cores(root: Root<'_>, processors: &[usize]) -> Option<Vec<Core>> {
    // A core is known by the first of all its processors, allowed or not.
    let mut cores: BTreeMap<usize, Core> = BTreeMap::new();
    for &cpu in processors {
        let file = |name: &str| format!("{CPUS}/cpu{cpu}/{name}");
        // The second is the name in kernels before 5.8.
        let siblings = root
            .list(file("topology/core_cpus_list"))
            .or_else(|| root.list(file("topology/thread_siblings_list")))
            .filter(|l| l.contains(&cpu))?;
        let first = siblings.into_iter().min()?;
        let capacity = || root.number(file("cpu_capacity")).or_else(|| root.number(file("cpufreq/cpuinfo_max_freq")));
        let core = cores.entry(first).or_insert_with(|| Core { processors: Vec::new(), capacity: capacity() });
        core.processors.push(cpu);
    }
    Some(cores.into_values().collect())
}
