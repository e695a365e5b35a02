//! A cursor over untrusted bytes: every read is checked against what is left.

use crate::error::LoadError;

/// GGUF version differences that matter to reading: v1 has 32-bit counts and lengths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub data: &'a [u8],
    pub at: usize,
    pub wide: bool,
}

impl<'a> Reader<'a> {
    pub fn left(&self) -> usize {
        self.data.len() - self.at
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: u64, what: &dyn Fn() -> String) -> Result<&'a [u8], LoadError> {
        match usize::try_from(n).ok().filter(|n| *n <= self.left()) {
            Some(n) => {
                let bytes = &self.data[self.at..self.at + n];
                self.at += n;
                Ok(bytes)
            }
            None => Err(LoadError::Truncated { what: what(), at: self.at, need: n, left: self.left() as u64 }),
        }
    }

    fn array<const N: usize>(&mut self, what: &dyn Fn() -> String) -> Result<[u8; N], LoadError> {
        let bytes = self.take(N as u64, what)?;
        let mut out = [0; N];
        out.copy_from_slice(bytes);
        Ok(out)
    }

    pub fn u32(&mut self, what: &dyn Fn() -> String) -> Result<u32, LoadError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &dyn Fn() -> String) -> Result<u64, LoadError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count or length, 4 bytes in version 1 and 8 later, of things of at least `unit` bytes each.
    pub fn count(&mut self, unit: u64, what: &dyn Fn() -> String) -> Result<u64, LoadError> {
        let at = self.at;
        let count = if self.wide { self.u64(what)? } else { u64::from(self.u32(what)?) };
        match count.checked_mul(unit) {
            Some(bytes) if bytes <= self.left() as u64 => Ok(count),
            _ => Err(LoadError::Count { what: what(), at, count }),
        }
    }

    /// A length-prefixed string, as bytes.
    pub fn string(&mut self, what: &dyn Fn() -> String) -> Result<&'a [u8], LoadError> {
        let n = self.count(1, what)?;
        self.take(n, what)
    }
}
