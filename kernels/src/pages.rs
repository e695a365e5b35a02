//! Memory from the operating system, in huge pages where it is much.

use memmap2::MmapMut;
use std::ops::{Deref, DerefMut};

/// A huge page on most machines.
pub(crate) const HUGE: usize = 2 << 20;

/// Bytes, zero at first. What is never touched takes no memory.
#[derive(Debug)]
pub(crate) struct Pages {
    map: MmapMut,
    start: usize,
    len: usize,
}

impl Pages {
    /// `len` bytes from a multiple of `align` on. From the size of a huge page on they are asked for, and begin at a multiple
    /// of it; where huge pages are not to be had, small ones do. `None` where memory does not suffice.
    pub fn zeroed(len: usize, align: usize) -> Option<Self> {
        let align = if len >= HUGE { align.max(HUGE) } else { align };
        let map = MmapMut::map_anon(len.checked_add(align)?).ok()?;
        #[cfg(target_os = "linux")]
        if len >= HUGE {
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        let first = map.as_ptr() as usize;
        Some(Self { map, start: first.next_multiple_of(align) - first, len })
    }

    /// Where the first byte lies, for as long as `self` lives.
    pub fn address(&self) -> usize {
        self.map.as_ptr() as usize + self.start
    }
}

impl Deref for Pages {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map[self.start..][..self.len]
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zero_aligned_and_as_long_as_asked_for() {
        for (len, align) in [(0, 1), (1, 64), (4097, 128), (HUGE - 1, 64), (HUGE, 64), (HUGE + 5, 4 * HUGE)] {
            let mut pages = Pages::zeroed(len, align).unwrap();
            let want = if len >= HUGE { align.max(HUGE) } else { align };
            assert!(pages.len() == len && (pages.as_ptr() as usize).is_multiple_of(want), "{len} {align}");
            assert!(pages.iter().all(|b| *b == 0));
            pages.fill(1);
            assert!(pages.iter().all(|b| *b == 1));
        }
        assert!(Pages::zeroed(usize::MAX, 64).is_none());
    }
}
