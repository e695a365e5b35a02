//! The operations on bytes, half words and tables are the same on every instruction set, whatever the bits.

use hewn_kernels::isa::scalar::Scalar;
use hewn_kernels::isa::{CpuIsa, Isa, Kernel};

static FOURS: [[u8; 4]; 64] = table();

const fn table<const N: usize>() -> [[u8; 4]; N] {
    let mut all = [[0; 4]; N];
    let mut i = 0;
    while i < 4 * N {
        all[i / 4][i % 4] = (i as u8).wrapping_mul(97);
        i += 1;
    }
    all
}

/// Every operation on the same two registers; the results as bytes, one after the other.
struct All<'a>(&'a [u8; 64], &'a [u8; 64]);

impl Kernel for All<'_> {
    type Out = Vec<[u8; 64]>;
    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> Self::Out {
        let (a, b) = (s.i_load(self.0), s.i_load(self.1));
        let nibbles = s.i_and(a, s.i_splat(0x0f0f_0f0f));
        let mut results = vec![
            s.i_xor(a, b),
            s.i_sub(a, b),
            s.b_thrice(a),
            s.b_sub(a, b),
            s.b_lookup(self.1.first_chunk().unwrap(), nibbles),
            s.h_mul(a, b),
            s.h_mul_high(a, b),
            s.b_lookup_low(self.1.first_chunk().unwrap(), s.i_and(a, s.i_splat(0x7f7f_7f7f))),
            s.i_load_u8(self.1.first_chunk().unwrap()),
            s.i_load_i8(bytemuck::cast_ref::<_, [[i8; 16]; 4]>(self.1).first().unwrap()),
            s.i_load_u16(bytemuck::cast_ref::<_, [[u16; 16]; 2]>(self.1).first().unwrap()),
            s.f_as_i(s.i_half(s.i_shr(a, 16))),
        ];
        for l in 0..4 {
            results.push(s.b_signs(a, l));
        }
        for g in 0..8 {
            results.push(s.b_reflect(a, 77, b, g));
        }
        results.push(s.i_gather(&FOURS, a));
        let mut out = vec![[0; 64]; results.len()];
        for (out, v) in out.iter_mut().zip(results) {
            s.i_store(out, v);
        }
        out
    }
}

#[test]
fn every_isa_does_the_same() {
    let mut state = 3u64;
    for turn in 0..2000 {
        let mut all = [0; 128];
        for byte in &mut all {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 33) as u8;
        }
        if turn < 3 {
            all.fill([0x00, 0x80, 0xff][turn]);
        }
        for half in all[..64].as_chunks_mut::<4>().0 {
            // No half of the test is a NaN, whose bits hardware may change.
            if half[3] & 0x7c == 0x7c {
                half[3] ^= 0x40;
            }
        }
        let (a, b) = (all[..64].first_chunk().unwrap(), all[64..].first_chunk().unwrap());
        let isas = CpuIsa::available();
        let want = isas[0].run(All(a, b));
        for isa in &isas[1..] {
            for (i, (got, want)) in isa.run(All(a, b)).iter().zip(&want).enumerate() {
                assert_eq!(got, want, "operation {i} on {}", isa.kind());
            }
        }
    }
}

#[test]
fn scalar_operations_are_what_they_say() {
    let s = Scalar;
    let one = |v: [i32; 16]| v[5];
    let put = |v: u32| {
        let mut all = [0; 16];
        all[5] = v as i32;
        all
    };
    assert_eq!(one(s.b_thrice(put(0x0155_ff56))) as u32, 0x03ff_fd02);
    assert_eq!(one(s.b_sub(put(0x0100_ff05), put(0x0201_0006))) as u32, 0xffff_ffff);
    assert_eq!(one(s.h_mul(put(0x0003_ffff), put(0x0007_0002))) as u32, 0x0015_fffe);
    assert_eq!(one(s.h_mul_high(put(0x8000_ffff), put(0x0004_ffff))) as u32, 0x0002_fffe);
    // Signs 4 g + t: for g = 3, bits 12..16.
    assert_eq!(one(s.b_reflect(put(0x0403_0201), 16, put(0b1010 << 12), 3)) as u32, 0x0c03_0e01);
    // Bits 1, 4 and 7 of byte 2.
    assert_eq!(one(s.b_signs(put(0x0092_0000), 2)) as u32, 0x4000_0440);
    assert_eq!(one(s.b_lookup_low(&std::array::from_fn(|i| 3 * i as u8), put(0x7f10_3214))) as u32, 0x2d00_060c);
    assert_eq!(one(s.i_gather(&FOURS, put(64 + 3))), i32::from_le_bytes(FOURS[3]));
    assert_eq!(s.i_half(put(0x3c00))[5], 1.0);
}
