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
    /// in kHz; `None` where neither is known of all cores. Hybrid CPUs have cores of several capacities.
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

/// How [`Core::capacity`] was told, and from which share of the fastest core's on a core counts as a performance core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// `cpu_capacity`: work per time. Little cores have 0.15 to 0.44, middle ones of phones 0.49 and more.
    Capacity,
    /// The highest clock, which makes slow cores look better than they are: little ones have 0.63 to 0.76. The best
    /// cores of a server differ among each other by less than a tenth.
    Clock,
}

impl Measure {
    fn file(self) -> &'static str {
        match self {
            Self::Capacity => "cpu_capacity",
            Self::Clock => "cpufreq/cpuinfo_max_freq",
        }
    }

    /// In percent.
    fn least(self) -> u64 {
        match self {
            Self::Capacity => 45,
            Self::Clock => 80,
        }
    }
}

/// The cores of `processors`, ordered by their first, and how many of them are performance cores (`None` where nothing
/// tells them apart); `None` where the kernel does not say which processors belong together.
pub(super) fn cores(root: Root<'_>, processors: &[usize]) -> Option<(Vec<Core>, Option<usize>)> {
    let file = |cpu: usize, name: &str| format!("{CPUS}/cpu{cpu}/{name}");
    // One measure for all: a capacity says nothing beside a clock.
    let measure = [Measure::Capacity, Measure::Clock]
        .into_iter()
        .find(|m| processors.iter().all(|&cpu| root.number::<u64>(file(cpu, m.file())).is_some_and(|n| n > 0)));
    // A core is known by the first of all its processors, allowed or not.
    let mut cores: BTreeMap<usize, Core> = BTreeMap::new();
    for &cpu in processors {
        // The second is the name in kernels before 5.8.
        let siblings = root
            .list(file(cpu, "topology/core_cpus_list"))
            .or_else(|| root.list(file(cpu, "topology/thread_siblings_list")))
            .filter(|l| l.contains(&cpu))?;
        let first = siblings.into_iter().min()?;
        let capacity = || root.number(file(cpu, measure?.file()));
        let core = cores.entry(first).or_insert_with(|| Core { processors: Vec::new(), capacity: capacity() });
        core.processors.push(cpu);
    }
    let cores: Vec<Core> = cores.into_values().collect();
    let top = cores.iter().filter_map(|c| c.capacity).max();
    let fast = |least: u64, top: u64| {
        let enough = |c: &&Core| c.capacity.is_some_and(|n| u128::from(n) * 100 >= u128::from(top) * u128::from(least));
        cores.iter().filter(enough).count()
    };
    let performance = measure.zip(top).map(|(measure, top)| fast(measure.least(), top));
    Some((cores, performance))
}
