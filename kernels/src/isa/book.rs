//! Codebooks of quantized weights, as instruction sets look entries up.

/// `N` entries of four bytes.
///
/// No entry has more than sixteen bits of news, and tables of those are small enough for registers: see
/// [`Isa::i_entries`](super::Isa::i_entries).
#[derive(Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only registers of 512 bits hold such tables"))]
#[repr(C, align(64))]
pub struct Book<const N: usize> {
    /// Sixteen bits an entry. With `w = short | short << 16`, and the upper half of `w` shifted right by `step`, an
    /// entry is `w & mask`, or with levels `levels[b]` for each byte `b` of that.
    pub(super) short: [u16; N],
    /// The entries.
    pub words: [[u8; 4]; N],
    pub(super) step: u32,
    pub(super) mask: u32,
    pub(super) levels: Option<[u8; 16]>,
}

impl<const N: usize> Book<N> {
    /// Entries with two numbers of two bits in each byte, at bits 0 and 4.
    pub const fn pairs(words: [[u8; 4]; N]) -> Self {
        let mut short = [0; N];
        let mut i = 0;
        while i < N {
            let [a, b, c, d] = words[i];
            assert!((a | b | c | d) & !0x33 == 0);
            short[i] = u16::from_le_bytes([a | c << 2, b | d << 2]);
            i += 1;
        }
        Self { short, words, step: 2, mask: 0x3333_3333, levels: None }
    }

    /// Entries whose bytes are among `levels`.
    pub const fn of_levels(words: [[u8; 4]; N], levels: [u8; 8]) -> Self {
        let mut short = [0; N];
        let mut i = 0;
        while i < N {
            let [a, b, c, d] = words[i];
            let numbers = [number(a, &levels), number(b, &levels), number(c, &levels), number(d, &levels)];
            short[i] = u16::from_le_bytes([numbers[0] | numbers[2] << 4, numbers[1] | numbers[3] << 4]);
            i += 1;
        }
        let mut all = [0; 16];
        let mut n = 0;
        while n < 8 {
            all[n] = levels[n];
            n += 1;
        }
        Self { short, words, step: 4, mask: 0x0f0f_0f0f, levels: Some(all) }
    }
}

/// Which of the levels a byte is.
const fn number(byte: u8, levels: &[u8; 8]) -> u8 {
    let mut n = 0;
    while levels[n] != byte {
        n += 1;
    }
    n as u8
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::Book;
    use crate::isa::avx512::Avx512;
    use crate::isa::avx512vnni::Avx512Vnni;
    use crate::isa::{Isa, Kernel};

    struct Find<'a, const N: usize>(&'a Book<N>, [[[u16; 2]; 16]; 3]);

    impl<const N: usize> Kernel for Find<'_, N> {
        type Out = [[[[u8; 4]; 16]; 2]; 3];
        #[inline(always)]
        fn call<S: Isa>(self, s: S) -> Self::Out {
            let mut index = [s.i_splat(0); 3];
            for (index, lanes) in index.iter_mut().zip(&self.1) {
                *index = s.i_load(bytemuck::cast_ref(lanes));
            }
            let found = s.i_entries(self.0, index);
            let mut out = [[[[0; 4]; 16]; 2]; 3];
            for (out, found) in out.as_flattened_mut().iter_mut().zip(found.as_flattened()) {
                s.i_store(bytemuck::cast_mut(out), *found);
            }
            out
        }
    }

    fn look_up<S: Isa, const N: usize>(s: S, random: &mut impl FnMut() -> u32) {
        assert!(S::BOOKS);
        let mut levels = [0; 8];
        levels.fill_with(|| random() as u8);
        let mut words = [[0; 4]; N];
        words.as_flattened_mut().fill_with(|| levels[random() as usize % 8]);
        let of_levels = Box::new(Book::of_levels(words, levels));
        words.as_flattened_mut().fill_with(|| random() as u8 & 0x33);
        let pairs = Box::new(Book::pairs(words));
        for turn in 0..200 {
            // What is above the number of an entry does not count. Every entry is asked for.
            let mut index = [[[0; 2]; 16]; 3];
            for (k, half) in index.as_flattened_mut().as_flattened_mut().iter_mut().enumerate() {
                *half = ((96 * turn + k) % N) as u16 | (random() as u16 & !(N as u16 - 1));
            }
            for book in [&of_levels, &pairs] {
                let found = s.run(Find(book, index));
                for (index, found) in index.iter().zip(found) {
                    for (j, lane) in index.iter().enumerate() {
                        for h in 0..2 {
                            assert_eq!(found[h][j], book.words[usize::from(lane[h]) % N], "{N}, {lane:?}");
                        }
                    }
                }
            }
        }
    }

    fn all_sizes<S: Isa>(s: S) {
        let mut state = 5u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        look_up::<S, 64>(s, &mut random);
        look_up::<S, 128>(s, &mut random);
        look_up::<S, 256>(s, &mut random);
        look_up::<S, 512>(s, &mut random);
    }

    #[test]
    fn entries_are_those_of_the_halves_whatever_the_way() {
        if Avx512::new().is_none() {
            eprintln!("nothing to compare: this CPU has no AVX-512");
        }
        for slow in [false, true] {
            if let Some(mut s) = Avx512::new() {
                s.1.slow = slow;
                all_sizes(s);
            }
            if let Some(mut s) = Avx512Vnni::<false>::new() {
                s.1.slow = slow;
                all_sizes(s);
            }
        }
    }
}
