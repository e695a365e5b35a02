//! `hewn cpu`: the machine as Hewn sees it, and what it would use of it.

use crate::args::CpuArgs;
use crate::errors::CliError;
use crate::output::bytes;
use crate::setup;
use hewn_engine::host::{Cache, Core, Facts, Reason};
use hewn_engine::{CpuIsa, IsaKind, ThreadChoice};
use serde_json::{Map, Value, json};
use std::env::consts::ARCH;
use std::io::{BufWriter, Write, stdout};

/// Runs the subcommand.
pub fn run(a: &CpuArgs) -> Result<(), CliError> {
    let isa = setup::isa(a.isa.as_deref())?;
    let forced = a.isa.as_deref().is_some_and(|name| !name.is_empty());
    let cpu = Cpu { facts: Facts::detect(), threads: ThreadChoice::detect(), isa, forced };
    let mut out = BufWriter::new(stdout().lock());
    match a.json {
        true => writeln!(out, "{:#}", cpu.json())?,
        false => cpu.print(&mut out)?,
    }
    Ok(out.flush()?)
}

struct Cpu {
    facts: Facts,
    threads: ThreadChoice,
    isa: CpuIsa,
    /// Whether the user asked for that instruction set.
    forced: bool,
}

/// Every feature that some instruction set needs, in their order, and whether the CPU has it.
fn features() -> Vec<(&'static str, bool)> {
    let mut all: Vec<(&str, bool)> = Vec::new();
    for f in IsaKind::ALL.into_iter().filter_map(IsaKind::features).flatten() {
        if !all.contains(&f) {
            all.push(f);
        }
    }
    all
}

/// What the CPU lacks for an instruction set; `None` where it is one of another architecture.
fn lacking(kind: IsaKind) -> Option<Vec<&'static str>> {
    Some(kind.features()?.into_iter().filter(|(_, has)| !has).map(|(name, _)| name).collect())
}

impl Cpu {
    fn why(&self) -> &'static str {
        if self.forced { "asked for with --isa or HEWN_ISA" } else { "the fastest that this CPU has" }
    }

    fn json(&self) -> Value {
        let (f, t) = (&self.facts, &self.threads);
        let sets = IsaKind::ALL.into_iter().map(|kind| {
            let lacks = lacking(kind);
            let usable = lacks.as_ref().is_some_and(Vec::is_empty);
            (kind.name().to_owned(), json!({"usable": usable, "lacks": lacks}))
        });
        let core = |c: &Core| json!({"processors": c.processors, "capacity": c.capacity});
        let cache = |c: &Cache| json!({"level": c.level, "bytes": c.bytes, "shared_by": c.shared_by, "count": c.count});
        json!({
            "model": f.model,
            "architecture": ARCH,
            "features": features().into_iter().map(|(name, has)| (name.to_owned(), json!(has))).collect::<Map<_, _>>(),
            "isa": {"chosen": self.isa.kind().name(), "reason": self.why(), "all": sets.collect::<Map<_, _>>()},
            "processors": {"online": t.logical, "allowed": t.allowed},
            "cores": t.cores.as_ref().map(|all| all.iter().map(core).collect::<Vec<_>>()),
            "performance_cores": t.performance,
            "cpu_quota": t.quota.as_ref().map(|q| json!({"cpus": q.cpus, "group": q.group.display().to_string()})),
            "threads": {"default": t.threads, "decided_by": decided_by(t.reason), "reason": t.reason.to_string()},
            "caches": f.caches.iter().map(cache).collect::<Vec<_>>(),
            "memory": f.memory.map(|m| json!({"total": m.total, "available": m.available})),
            "memory_limit": f.memory_limit.as_ref().map(|l| json!({"bytes": l.bytes, "group": l.group.display().to_string()})),
            "huge_pages": f.huge_pages,
        })
    }

    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        const UNKNOWN: &str = "unknown";
        let (f, t) = (&self.facts, &self.threads);
        let mut row = |name: &str, value: &str| writeln!(out, "{name:<16}{value}");
        row("CPU", &format!("{} ({ARCH})", f.model.as_deref().unwrap_or(UNKNOWN)))?;
        let has: Vec<&str> = features().into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
        row("features", &if has.is_empty() { "none that Hewn uses".to_owned() } else { has.join(" ") })?;
        row("instruction set", &format!("{}: {}", self.isa.kind(), self.why()))?;
        for kind in IsaKind::ALL {
            let state = match lacking(kind) {
                None => "of another architecture".to_owned(),
                Some(lacks) if lacks.is_empty() => "usable".to_owned(),
                Some(lacks) => format!("lacks {}", lacks.join(", ")),
            };
            row("", &format!("{:<14}{state}", kind.name()))?;
        }
        let online = t.logical.map_or(String::new(), |n| format!(" of {n}"));
        row("processors", &format!("{}{online} may be used", t.allowed))?;
        match &t.cores {
            None => row("cores", UNKNOWN)?,
            Some(all) => match t.performance {
                Some(fast) if fast < all.len() => row("cores", &format!("{}, {fast} of them fast", all.len()))?,
                _ => row("cores", &all.len().to_string())?,
            },
        }
        // Cores of one kind say nothing by their number.
        for (capacity, cores) in t.kinds().into_iter().filter(|_| t.kinds().len() > 1) {
            let capacity = capacity.map_or(UNKNOWN.to_owned(), |c| c.to_string());
            row("", &format!("{cores} of relative speed {capacity}"))?;
        }
        let quota = t.quota.as_ref().map(|q| format!("{:.2} processors, by {}", q.cpus, q.group.display()));
        row("CPU quota", quota.as_deref().unwrap_or("none"))?;
        row("threads", &format!("{}: {}", t.threads, t.reason))?;
        if f.caches.is_empty() {
            row("caches", UNKNOWN)?;
        }
        for (i, c) in f.caches.iter().enumerate() {
            let shared = match c.shared_by {
                1 => "one a processor".to_owned(),
                n => format!("shared by {n} processors"),
            };
            let text = format!("L{} {} x {}, {shared}", c.level, c.count, binary(c.bytes));
            row(if i == 0 { "caches" } else { "" }, &text)?;
        }
        let memory = f.memory.map(|m| {
            let available = m.available.map_or(String::new(), |a| format!(", {} available", bytes(a)));
            format!("{}{available}", bytes(m.total))
        });
        row("memory", memory.as_deref().unwrap_or(UNKNOWN))?;
        let limit = f.memory_limit.as_ref().map(|l| format!("{}, by {}", bytes(l.bytes), l.group.display()));
        row("memory limit", limit.as_deref().unwrap_or("none"))?;
        row("huge pages", f.huge_pages.as_deref().unwrap_or(UNKNOWN))
    }
}

fn decided_by(reason: Reason) -> &'static str {
    match reason {
        Reason::Cores => "cores",
        Reason::Performance => "performance_cores",
        Reason::Processors => "processors",
        Reason::Quota => "quota",
        Reason::System => "system",
    }
}

/// Caches come in powers of two.
fn binary(n: u64) -> String {
    match n {
        _ if n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        _ => format!("{} KiB", n >> 10),
    }
}
