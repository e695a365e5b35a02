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
    /// The numbers of an entry's weights once more, in a byte for each half of them: two bits each of eight, four of four.
    pub(super) bytes: [[u8; N]; 2],
    /// The weights that a number stands for whose low bits are a weight's number and the next one says that it is negative;
    /// bits above do not count.
    pub(super) signed: [u8; 64],
}

impl<const N: usize> Book<N> {
    /// Entries with two numbers of two bits in each byte, at bits 0 and 4. `levels` is what they stand for, four further on
    /// with the other sign.
    pub const fn pairs(words: [[u8; 4]; N], levels: &[u8; 16]) -> Self {
        let (mut short, mut bytes, mut signed) = ([0; N], [[0; N]; 2], [0; 64]);
        let mut i = 0;
        while i < N {
            let [a, b, c, d] = words[i];
            assert!((a | b | c | d) & !0x33 == 0);
            short[i] = u16::from_le_bytes([a | c << 2, b | d << 2]);
            bytes[0][i] = (a & 3) | (b & 3) << 2 | (c & 3) << 4 | (d & 3) << 6;
            bytes[1][i] = a >> 4 | (b >> 4) << 2 | (c >> 4) << 4 | (d >> 4) << 6;
            i += 1;
        }
        let mut n = 0;
        while n < signed.len() {
            signed[n] = levels[n % 8];
            n += 1;
        }
        Self { short, words, step: 2, mask: 0x3333_3333, levels: None, bytes, signed }
    }

    /// Entries whose bytes are among `levels`; with the other sign `b` is `sum - b`.
    pub const fn of_levels(words: [[u8; 4]; N], levels: [u8; 8], sum: u8) -> Self {
        let (mut short, mut bytes, mut signed) = ([0; N], [[0; N]; 2], [0; 64]);
        let mut i = 0;
        while i < N {
            let [a, b, c, d] = words[i];
            let numbers = [number(a, &levels), number(b, &levels), number(c, &levels), number(d, &levels)];
            short[i] = u16::from_le_bytes([numbers[0] | numbers[2] << 4, numbers[1] | numbers[3] << 4]);
            bytes[0][i] = numbers[0] | numbers[1] << 4;
            bytes[1][i] = numbers[2] | numbers[3] << 4;
            i += 1;
        }
        let mut n = 0;
        while n < signed.len() {
            let level = levels[n % 8];
            signed[n] = if n & 8 == 0 { level } else { sum.wrapping_sub(level) };
            n += 1;
        }
        let mut all = [0; 16];
        let mut n = 0;
        while n < 8 {
            all[n] = levels[n];
            n += 1;
        }
        Self { short, words, step: 4, mask: 0x0f0f_0f0f, levels: Some(all), bytes, signed }
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
        let of_levels = Box::new(Book::of_levels(words, levels, 0));
        words.as_flattened_mut().fill_with(|| random() as u8 & 0x33);
        let pairs = Box::new(Book::pairs(words, &[0; 16]));
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

    /// Lanes of four bytes.
    type Lanes = [[u8; 4]; 16];

    struct Fours<'a, const N: usize> {
        book: &'a Book<N>,
        index: [Lanes; 2],
        high: (Lanes, u32),
        signs: Lanes,
    }

    impl<const N: usize> Kernel for Fours<'_, N> {
        type Out = [Lanes; 8];
        #[inline(always)]
        fn call<S: Isa>(self, s: S) -> Self::Out {
            let lanes = |v: &Lanes| s.i_load(bytemuck::cast_ref(v));
            let index = self.index.each_ref().map(lanes);
            let w = s.b_fours(self.book, index, (lanes(&self.high.0), self.high.1), lanes(&self.signs));
            w.map(|w| stored(s, w))
        }
    }

    struct Eights<'a> {
        book: &'a Book<256>,
        index: Lanes,
        signs: Lanes,
    }

    impl Kernel for Eights<'_> {
        type Out = [Lanes; 8];
        #[inline(always)]
        fn call<S: Isa>(self, s: S) -> Self::Out {
            let lanes = |v: &Lanes| s.i_load(bytemuck::cast_ref(v));
            s.b_eights(self.book, lanes(&self.index), lanes(&self.signs)).map(|w| stored(s, w))
        }
    }

    fn stored<S: Isa>(s: S, v: S::I) -> Lanes {
        let mut out = [[0; 4]; 16];
        s.i_store(bytemuck::cast_mut(&mut out), v);
        out
    }

    fn lanes(random: &mut impl FnMut() -> u32) -> Lanes {
        std::array::from_fn(|_| random().to_le_bytes())
    }

    /// The bytes of entries and the weights made of them, against one weight at a time.
    fn find_fours<S: Isa, const N: usize>(s: S, random: &mut impl FnMut() -> u32) {
        let mut levels = [0; 8];
        levels.fill_with(|| random() as u8);
        let sum = random() as u8;
        let mut words = [[0; 4]; N];
        words.as_flattened_mut().fill_with(|| levels[random() as usize % 8]);
        let book = Box::new(Book::of_levels(words, levels, sum));
        for turn in 0..400 {
            let mut index = [lanes(random), lanes(random)];
            // Every entry is asked for.
            index[turn % 2][turn % 16][turn / 16 % 4] = turn as u8;
            let (high, at, signs) = (lanes(random), 8 * (turn as u32 % 4), lanes(random));
            let found = s.run(Fours { book: &book, index, high: (high, at), signs });
            for (j, g, k) in (0..16).flat_map(|j| (0..32).map(move |n| (j, n / 4, n % 4))) {
                let above = u32::from_le_bytes(high[j]) >> (at as usize + g) & 1;
                let entry = (usize::from(index[g / 4][j][g % 4]) | (above as usize) << 8) % N;
                let b = book.words[entry][k];
                let minus = signs[j][g / 2] >> (4 * (g % 2) + k) & 1 == 1;
                assert_eq!(found[g][j][k], if minus { sum.wrapping_sub(b) } else { b }, "{N}: {j} {g} {k}");
            }
        }
    }

    fn find_eights<S: Isa>(s: S, random: &mut impl FnMut() -> u32) {
        let mut levels = [0; 16];
        levels.fill_with(|| random() as u8);
        let mut words = [[0; 4]; 256];
        words.as_flattened_mut().fill_with(|| random() as u8 & 0x33);
        let book = Box::new(Book::pairs(words, &levels));
        for turn in 0..400 {
            let (mut index, signs) = (lanes(random), lanes(random));
            index[turn % 16][turn / 16 % 4] = turn as u8;
            let found = s.run(Eights { book: &book, index, signs });
            for (j, l, k) in (0..16).flat_map(|j| (0..32).map(move |n| (j, n / 8, n % 8))) {
                let number = book.words[usize::from(index[j][l])][k % 4] >> (4 * (k / 4)) & 3;
                let minus = signs[j][l] >> k & 1;
                let want = levels[usize::from(number | minus << 2)];
                assert_eq!(found[2 * l + k / 4][j][k % 4], want, "{j} {l} {k}");
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
        if S::FINDS_BYTES {
            find_eights(s, &mut random);
            find_fours::<S, 256>(s, &mut random);
            find_fours::<S, 512>(s, &mut random);
        }
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
            if let Some(mut s) = Avx512Vnni::<false, false>::new() {
                s.1.slow = slow;
                all_sizes(s);
            }
        }
        match Avx512Vnni::<false, true>::new() {
            Some(s) => all_sizes(s),
            None => eprintln!("not compared: this CPU finds no bytes (AVX-512 VBMI)"),
        }
    }
}
