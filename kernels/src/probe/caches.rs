//! The data caches, as the operating system describes them.

use std::fs;
use std::path::Path;

/// One level of data cache, as the first processor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// 1 for the nearest.
    pub level: u32,
    /// Bytes.
    pub bytes: usize,
}

/// The data and unified caches of the first processor, nearest first; empty where the system does not tell.
pub fn data_caches() -> Vec<Cache> {
    read(Path::new("/sys/devices/system/cpu/cpu0/cache"))
}

fn read(dir: &Path) -> Vec<Cache> {
    let mut all: Vec<Cache> = (0..16).filter_map(|i| entry(&dir.join(format!("index{i}")))).collect();
    all.sort_by_key(|c| c.level);
    all
}

fn entry(dir: &Path) -> Option<Cache> {
    let text = |name: &str| fs::read_to_string(dir.join(name)).ok();
    if text("type")?.trim() == "Instruction" {
        return None;
    }
    let size = text("size")?;
    let size = size.trim();
    let (number, unit) = match size.strip_suffix('K') {
        Some(n) => (n, 1 << 10),
        None => size.strip_suffix('M').map_or((size, 1), |n| (n, 1 << 20)),
    };
    let bytes = number.parse::<usize>().ok()?.checked_mul(unit)?;
    Some(Cache { level: text("level")?.trim().parse().ok()?, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_order_without_instructions() {
        let dir = std::env::temp_dir().join(format!("hewn-caches-{}", std::process::id()));
        for (i, (level, kind, size)) in
            [("3", "Unified", "32M"), ("1", "Instruction", "64K"), ("1", "Data", "48K"), ("x", "Data", "48K")]
                .iter()
                .enumerate()
        {
            let sub = dir.join(format!("index{i}"));
            fs::create_dir_all(&sub).unwrap();
            for (name, text) in [("level", level), ("type", kind), ("size", size)] {
                fs::write(sub.join(name), format!("{text}\n")).unwrap();
            }
        }
        let found = read(&dir);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found, [Cache { level: 1, bytes: 48 << 10 }, Cache { level: 3, bytes: 32 << 20 }]);
        assert!(read(&dir).is_empty());
    }
}
