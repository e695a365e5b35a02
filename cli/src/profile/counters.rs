//! Hardware counters of the compute threads, where the system has them and lets this process read them.

use std::collections::BTreeMap;

#[cfg(target_os = "linux")]
mod linux {
    use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware};
    use perf_event::{Builder, Counter};

    pub fn open() -> Result<Vec<(&'static str, Counter)>, String> {
        // They follow the threads that this one starts from now on, but not those that it has.
        let build = |mut b: Builder<'_>| b.inherit(true).build();
        let misses = Cache { which: CacheId::LL, operation: CacheOp::READ, result: CacheResult::MISS };
        let all = [
            ("cycles", build(Builder::new(Hardware::CPU_CYCLES))),
            ("instructions", build(Builder::new(Hardware::INSTRUCTIONS))),
            ("cache references", build(Builder::new(Hardware::CACHE_REFERENCES))),
            ("cache misses", build(Builder::new(Hardware::CACHE_MISSES))),
            ("last-level read misses", build(Builder::new(misses))),
        ];
        let (mut have, mut first) = (Vec::new(), None);
        for (name, counter) in all {
            match counter {
                Ok(c) => have.push((name, c)),
                Err(e) => _ = first.get_or_insert_with(|| format!("perf_event_open: {e}")),
            }
        }
        // A virtual machine has some or none.
        match first {
            Some(e) if have.is_empty() => Err(e),
            _ => Ok(have),
        }
    }
}

/// The counters that could be opened.
pub struct Counters {
    #[cfg(target_os = "linux")]
    open: Vec<(&'static str, perf_event::Counter)>,
    missing: Option<String>,
}

impl Counters {
    #[cfg(target_os = "linux")]
    pub fn open() -> Self {
        match linux::open() {
            Ok(open) => Self { open, missing: None },
            Err(e) => Self { open: Vec::new(), missing: Some(format!("{e}; virtual machines often have none")) },
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn open() -> Self {
        Self { missing: Some("they are read on Linux only".to_owned()) }
    }

    /// Why there are none.
    pub fn missing(&self) -> Option<String> {
        self.missing.clone()
    }

    /// Starts from zero.
    pub fn start(&mut self) {
        #[cfg(target_os = "linux")]
        for (_, c) in &mut self.open {
            // What cannot be started counts nothing, and is left out at the end.
            let _ = c.reset().and_then(|()| c.enable());
        }
    }

    /// What was counted since, without those that counted nothing.
    pub fn stop(&mut self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        #[cfg(target_os = "linux")]
        for (name, c) in &mut self.open {
            if c.disable().is_ok()
                && let Ok(n) = c.read()
                && n > 0
            {
                all.insert(*name, n);
            }
        }
        #[cfg(not(target_os = "linux"))]
        all.clear();
        all
    }
}
