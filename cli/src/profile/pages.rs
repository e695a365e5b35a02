//! In what pages the weights lie: reading huge ones takes far fewer translations of addresses.

use std::ops::Range;

/// The part of `memory` that is in huge pages, of what is in memory; `None` where the system does not tell.
pub fn huge(memory: &[&[u8]]) -> Option<f64> {
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let places: Vec<Range<usize>> =
        memory.iter().map(|m| m.as_ptr_range()).map(|m| m.start.addr()..m.end.addr()).collect();
    part(&maps, &places)
}

/// Of the mappings in the text of `smaps` that some of `places` lie in: bytes in huge pages over bytes in memory.
fn part(maps: &str, places: &[Range<usize>]) -> Option<f64> {
    let (mut here, mut all, mut huge) = (false, 0u64, 0u64);
    for line in maps.lines() {
        if let Some(range) = mapping(line) {
            here = places.iter().any(|p| p.start < range.end && range.start < p.end);
        } else if here {
            match line.split_once(':') {
                Some(("Rss", size)) => all = all.saturating_add(kilobytes(size)?),
                Some(("FilePmdMapped" | "AnonHugePages" | "ShmemPmdMapped", size)) => {
                    huge = huge.saturating_add(kilobytes(size)?);
                }
                _ => {}
            }
        }
    }
    (all > 0).then(|| huge as f64 / all as f64)
}

/// The addresses that a mapping's first line begins with.
fn mapping(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

fn kilobytes(text: &str) -> Option<u64> {
    text.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{huge, part};

    const MAPS: &str = "\
1000-3000 r--s 00000000 fe:00 10 /a b-c.gguf
Size:                  8 kB
Rss:                   8 kB
FilePmdMapped:         6 kB
VmFlags: rd sh mr
5000-6000 rw-p 00000000 00:00 0
Rss:                 100 kB
AnonHugePages:         0 kB
7000-8000 r--s 00000000 fe:00 11 /part-2.gguf
Rss:                   4 kB
FilePmdMapped:         0 kB
";

    #[test]
    fn only_mappings_with_weights_count() {
        assert_eq!(part(MAPS, &[0x1100..0x1200, 0x2000..0x3000]), Some(0.75));
        assert_eq!(part(MAPS, &[0x1100..0x1200, 0x7fff..0x8000]), Some(0.5));
        assert_eq!(part(MAPS, &[0x3000..0x5000, 0x6000..0x7000]), None);
        assert_eq!(part(&MAPS.replace(" 8 kB", " eight"), &[0x1100..0x1200, 0x3000..0x4000]), None);
    }

    #[test]
    fn this_process_tells_of_its_own() {
        let some = vec![1u8; 1 << 16];
        let told = huge(&[&some]);
        assert_eq!(told.is_some(), std::path::Path::new("/proc/self/smaps").exists());
        assert!(told.is_none_or(|part| (0.0..=1.0).contains(&part)));
    }
}
