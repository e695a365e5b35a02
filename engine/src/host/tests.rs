//! Made-up machines: a tree of files each, as `/proc` and `/sys` would have them.

use super::root::{Root, parse_list};
use super::{Cache, Core, Facts, Memory, Reason, ThreadChoice};
use std::path::PathBuf;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
        self
    }

    /// A machine whose cores have these processors each, all allowed.
    fn machine(cores: &[&[usize]]) -> Self {
        let last = cores.iter().flat_map(|c| c.iter()).max().unwrap();
        let mut tree =
            Self::new().file("sys/devices/system/cpu/online", &format!("0-{last}")).allowed(&format!("0-{last}"));
        for core in cores {
            let list = core.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            for cpu in *core {
                tree = tree.file(&format!("sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list"), &list);
            }
        }
        tree
    }

    fn allowed(self, list: &str) -> Self {
        let status = format!("Name:\thewn\nCpus_allowed:\tff\nCpus_allowed_list:\t{list}\nMems_allowed_list:\t0");
        self.file("proc/self/status", &status)
    }

    fn version1(self, group: &str) -> Self {
        let mounts = "30 1 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:7 - cgroup cgroup rw,cpu,cpuacct\n\
                      33 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        self.file("proc/self/mountinfo", mounts)
            .file("proc/self/cgroup", &format!("5:memory:{group}\n4:cpu,cpuacct:{group}\n3:cpuset:/elsewhere\n0::/"))
    }

    fn version2(self, group: &str) -> Self {
        self.file("proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate")
            .file("proc/self/cgroup", &format!("0::{group}"))
    }

    fn quota1(self, group: &str, quota: &str, period: &str) -> Self {
        self.file(&format!("sys/fs/cgroup/cpu,cpuacct{group}/cpu.cfs_quota_us"), quota)
            .file(&format!("sys/fs/cgroup/cpu,cpuacct{group}/cpu.cfs_period_us"), period)
    }

    fn quota2(self, group: &str, max: &str) -> Self {
        self.file(&format!("sys/fs/cgroup{group}/cpu.max"), max)
    }

    fn choice(&self) -> ThreadChoice {
        ThreadChoice::read(Root(self.0.path()), 3)
    }

    fn facts(&self) -> Facts {
        Facts::read(Root(self.0.path()))
    }
}

const EIGHT: [&[usize]; 8] = [&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[7]];
const SMT: [&[usize]; 4] = [&[0, 4], &[1, 5], &[2, 6], &[3, 7]];

#[test]
fn lists_parse() {
    assert_eq!(parse_list("0-2,5"), Some(vec![0, 1, 2, 5]));
    assert_eq!(parse_list(""), Some(vec![]));
    for bad in ["x", "3-1", "0-99999999999", "1,,-", "-1", "0-65536"] {
        assert_eq!(parse_list(bad), None, "{bad}");
    }
}

#[test]
fn hyperthreads_count_once() {
    let c = Tree::machine(&SMT).choice();
    assert_eq!((c.logical, c.allowed, c.threads, c.reason), (Some(8), 8, 4, Reason::Cores));
    assert_eq!(c.cores.as_ref().unwrap()[1], Core { processors: vec![1, 5], capacity: None });
    // One hyperthread of each of two cores, then both of one.
    let c = Tree::machine(&SMT).allowed("4-5").choice();
    assert_eq!((c.logical, c.allowed, c.threads), (Some(8), 2, 2));
    assert_eq!(Tree::machine(&SMT).allowed("3,7").choice().threads, 1);
}

#[test]
fn processors_that_are_off_do_not_count() {
    // The affinity mask of a machine with room for more names them all.
    let c = Tree::machine(&SMT).allowed("0-127").choice();
    assert_eq!((c.allowed, c.threads, c.reason), (8, 4, Reason::Cores));
}

#[test]
fn old_kernels_name_siblings_otherwise() {
    let mut tree = Tree::new().file("sys/devices/system/cpu/online", "0-3").allowed("0-3");
    for cpu in 0..4 {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        tree = tree.file(&path, if cpu < 2 { "0-1" } else { "2-3" });
    }
    assert_eq!(tree.choice().threads, 2);
}

#[test]
fn hybrids_show_their_kinds() {
    let mut tree = Tree::machine(&EIGHT);
    for cpu in 0..8 {
        let capacity = [446, 446, 446, 446, 871, 871, 871, 1024][cpu];
        tree = tree.file(&format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity"), &capacity.to_string());
    }
    let c = tree.choice();
    assert_eq!(c.kinds(), [(Some(1024), 1), (Some(871), 3), (Some(446), 4)]);
    assert_eq!((c.threads, c.performance, c.reason), (4, Some(4), Reason::Performance));
    // In a cpuset of little cores the fastest of them count.
    let c = tree.allowed("0-3").choice();
    assert_eq!((c.threads, c.performance, c.reason), (4, Some(4), Reason::Cores));
    // P cores with hyperthreads and E cores, told apart by their clock.
    let mut tree = Tree::machine(&[&[0, 1], &[2, 3], &[4], &[5]]);
    for cpu in 0..6 {
        let clock = if cpu < 4 { "5000000" } else { "3800000" };
        tree = tree.file(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"), clock);
    }
    let c = tree.choice();
    assert_eq!((c.threads, c.kinds()), (2, vec![(Some(5_000_000), 2), (Some(3_800_000), 2)]));
    // A quota below that still decides.
    let c = tree.version2("/").quota2("", "100000 100000").choice();
    assert_eq!((c.threads, c.reason), (1, Reason::Quota));
}

/// Threads for eight cores, `n` of which have `slow` in the file `name` and the others `fast`.
fn with_slow(name: &str, n: usize, slow: u64, fast: u64) -> ThreadChoice {
    let mut tree = Tree::machine(&EIGHT);
    for cpu in 0..8 {
        let value = if cpu < n { slow } else { fast };
        tree = tree.file(&format!("sys/devices/system/cpu/cpu{cpu}/{name}"), &value.to_string());
    }
    tree.choice()
}

#[test]
fn little_cores_are_left_out() {
    let clock = "cpufreq/cpuinfo_max_freq";
    // Capacities and clocks of chips that exist: the second kind of the first is a middle core, that of the fourth a core
    // that turns a little faster than its neighbours.
    for (name, n, slow, fast, threads) in [
        ("cpu_capacity", 2, 498, 1024, 8),
        ("cpu_capacity", 4, 397, 1024, 4),
        (clock, 4, 1_800_000, 2_400_000, 4),
        (clock, 6, 5_500_000, 5_800_000, 8),
        ("cpu_capacity", 0, 0, 1024, 8),
    ] {
        let c = with_slow(name, n, slow, fast);
        let reason = if threads < 8 { Reason::Performance } else { Reason::Cores };
        assert_eq!((c.threads, c.performance, c.reason), (threads, Some(threads), reason), "{name} {slow} {fast}");
    }
}

#[test]
fn a_measure_counts_only_where_all_cores_have_it() {
    let mut tree = Tree::machine(&EIGHT).file("sys/devices/system/cpu/cpu7/cpu_capacity", "1024");
    assert_eq!((tree.choice().threads, tree.choice().performance), (8, None));
    for cpu in 0..8 {
        let clock = if cpu < 6 { "1000000" } else { "2000000" };
        tree = tree.file(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"), clock);
    }
    let c = tree.choice();
    assert_eq!((c.threads, c.reason, c.cores.unwrap()[7].capacity), (2, Reason::Performance, Some(2_000_000)));
    let c = with_slow("cpu_capacity", 8, 0, 0);
    assert_eq!((c.threads, c.performance), (8, None));
}

#[test]
fn quotas_of_version_1() {
    let tree = || Tree::machine(&EIGHT).version1("/a/b");
    assert_eq!(tree().quota1("/a/b", "-1", "100000").choice().quota, None);
    let c = tree().quota1("/a/b", "400000", "100000").choice();
    assert_eq!((c.threads, c.reason), (4, Reason::Quota));
    // The tightest on the way to the root, the root itself included.
    let c = tree().quota1("/a/b", "400000", "100000").quota1("/a", "100000", "50000").choice();
    assert_eq!((c.threads, c.quota.unwrap().group), (2, PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/a")));
    assert_eq!(tree().quota1("", "300000", "100000").choice().threads, 3);
    // Not a group of this process.
    assert_eq!(tree().quota1("/a/c", "100000", "100000").choice().threads, 8);
    assert_eq!(tree().quota1("/elsewhere", "100000", "100000").choice().threads, 8);
}

#[test]
fn quotas_of_version_2() {
    let tree = || Tree::machine(&EIGHT).version2("/user.slice/app");
    assert_eq!(tree().quota2("/user.slice/app", "max 100000").choice().threads, 8);
    assert_eq!(tree().quota2("/user.slice/app", "500000 100000").choice().threads, 5);
    assert_eq!(tree().quota2("/user.slice/app", "200000").choice().threads, 2);
    let c = tree().quota2("/user.slice/app", "500000 100000").quota2("/user.slice", "150000 50000").choice();
    assert_eq!((c.threads, c.quota.unwrap().cpus), (3, 3.0));
    // More than there are cores does not decide.
    let c = tree().quota2("/user.slice", "1600000 100000").choice();
    assert_eq!((c.threads, c.reason), (8, Reason::Cores));
}

#[test]
fn a_hybrid_of_both_versions() {
    let tree = Tree::machine(&EIGHT);
    let mounts = "32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  34 30 0:31 / /sys/fs/cgroup/my\\040groups rw - cgroup2 cgroup2 rw";
    let tree = tree.file("proc/self/mountinfo", mounts).file("proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/b/c");
    let tree = tree.quota1("/a", "600000", "100000").quota2("/my groups/b", "300000 100000");
    assert_eq!(tree.choice().threads, 3);
}

#[test]
fn groups_as_a_container_sees_them() {
    // The mount shows the container's group, which the path names from the host's root.
    let mounts = "32 30 0:29 /docker/x /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct";
    let tree = Tree::machine(&EIGHT).file("proc/self/mountinfo", mounts);
    let tree = tree.file("proc/self/cgroup", "4:cpu,cpuacct:/docker/x/sub").quota1("/sub", "200000", "100000");
    assert_eq!(tree.choice().threads, 2);
    // Paths that lead out of what is mounted mean its root, and nothing outside is read.
    for path in ["/docker/y", "/docker/x/../../..", "/.."] {
        let tree = Tree::machine(&EIGHT).file("proc/self/mountinfo", mounts);
        let tree = tree.file("proc/self/cgroup", &format!("4:cpu,cpuacct:{path}")).quota1("", "400000", "100000");
        assert_eq!(tree.choice().threads, 4, "{path}");
    }
}

#[test]
fn quotas_round_to_the_nearest() {
    let threads = |max: &str| Tree::machine(&EIGHT).version2("/").quota2("", max).choice().threads;
    for (max, want) in [("1000 100000", 1), ("140000 100000", 1), ("150000 100000", 2), ("249000 100000", 2)] {
        assert_eq!(threads(max), want, "{max}");
    }
}

#[test]
fn missing_files_and_garbage() {
    let c = Tree::new().choice();
    let nothing = ThreadChoice {
        logical: None,
        allowed: 3,
        cores: None,
        performance: None,
        quota: None,
        threads: 3,
        reason: Reason::System,
    };
    assert_eq!(c, nothing);
    assert_eq!(Tree::new().facts(), Facts::default());
    // Topology of one processor missing, then contradicting itself.
    let missing = Tree::machine(&SMT);
    std::fs::remove_file(missing.0.path().join("sys/devices/system/cpu/cpu2/topology/core_cpus_list")).unwrap();
    let wrong = Tree::machine(&SMT).file("sys/devices/system/cpu/cpu2/topology/core_cpus_list", "0-1");
    for tree in [missing, wrong] {
        let c = tree.choice();
        assert_eq!((c.threads, c.reason, c.cores), (8, Reason::Processors, None));
    }
    for garbage in ["", "\u{0}", "max", "nan 100000", "1e400 1", "-5 100000", "100000 0", "inf 1", "a b c", "- - -"] {
        let tree = Tree::machine(&SMT).version2("/").quota2("", garbage);
        assert_eq!(tree.choice().quota, None, "{garbage:?}");
        let tree = Tree::machine(&SMT).version1("/").quota1("", garbage, garbage);
        assert_eq!(tree.choice().quota, None, "{garbage:?}");
        let tree = tree
            .file("proc/self/mountinfo", garbage)
            .file("proc/self/cgroup", garbage)
            .file("proc/meminfo", garbage)
            .file("proc/cpuinfo", garbage)
            .file("sys/kernel/mm/transparent_hugepage/enabled", garbage)
            .file("sys/devices/system/cpu/cpu0/cache/index0/type", garbage)
            .file("sys/devices/system/cpu/cpu0/cache/index0/size", garbage);
        assert_eq!(tree.choice().threads, 4);
        assert_eq!(tree.facts(), Facts::default(), "{garbage:?}");
        assert_eq!(tree.allowed(garbage).choice().threads, 3);
    }
}

#[test]
fn facts_of_a_machine() {
    let mut tree = Tree::machine(&SMT)
        .file("proc/cpuinfo", "processor\t: 0\nmodel name\t: Example(R) CPU @ 3 GHz\nflags\t\t: fpu avx2")
        .file("proc/meminfo", "MemTotal:       16384 kB\nMemFree:            1 kB\nMemAvailable:    4096 kB")
        .file("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never")
        .version1("/a/b")
        .file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
        .file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1048576");
    for cpu in 0..8 {
        let core = format!("{},{}", cpu % 4, cpu % 4 + 4);
        for (i, level, kind, size, shared) in [
            (0, 1, "Data", "48K", &*core),
            (1, 1, "Instruction", "32K", &core),
            (2, 2, "Unified", "2M", &core),
            (3, 3, "Unified", "30720K", "0-7"),
        ] {
            let dir = format!("sys/devices/system/cpu/cpu{cpu}/cache/index{i}");
            tree = tree
                .file(&format!("{dir}/level"), &level.to_string())
                .file(&format!("{dir}/type"), kind)
                .file(&format!("{dir}/size"), size)
                .file(&format!("{dir}/shared_cpu_list"), shared);
        }
    }
    let f = tree.facts();
    assert_eq!(f.model.as_deref(), Some("Example(R) CPU @ 3 GHz"));
    assert_eq!(f.memory, Some(Memory { total: 16 << 20, available: Some(4 << 20) }));
    assert_eq!(f.huge_pages.as_deref(), Some("madvise"));
    let limit = f.memory_limit.unwrap();
    assert_eq!((limit.bytes, limit.group), (1 << 20, PathBuf::from("/sys/fs/cgroup/memory/a")));
    let caches = [(1, 48 << 10, 2, 4), (2, 2 << 20, 2, 4), (3, 30 << 20, 8, 1)]
        .map(|(level, bytes, shared_by, count)| Cache { level, bytes, shared_by, count });
    assert_eq!(f.caches, caches);
}

#[test]
fn this_machine() {
    let c = ThreadChoice::detect();
    assert!(c.threads >= 1 && c.threads <= c.allowed);
    if let Some(cores) = &c.cores {
        assert_eq!(cores.iter().map(|core| core.processors.len()).sum::<usize>(), c.allowed);
    }
}
