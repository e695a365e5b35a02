//! The two readings of every format agree, and agree with sums done in f64.

use super::*;
use crate::isa::{CpuIsa, Kernel, scalar::Scalar};
use crate::testing::Lcg;

/// Sixteen rows of one random block each, with finite and small scales.
fn random_rows<Q: Quant>(rng: &mut Lcg) -> Vec<Vec<u8>> {
    (0..TILE_ROWS)
        .map(|_| {
            let mut row = rng.bytes(Q::BYTES);
            Q::write_scales(&mut row, &mut || rng.float() * 0.1);
            row
        })
        .collect()
}

struct Sub<'a, Q>(&'a [u8], usize, std::marker::PhantomData<Q>);
impl<Q: Quant> Kernel for Sub<'_, Q> {
    type Out = Vec<Canon>;
    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> Vec<Canon> {
        let lanes = Q::sub(s, self.0, self.1);
        let ints = |v| {
            // The narrow way out of a register that every ISA has: one byte of each lane at a time.
            std::array::from_fn::<_, 4, _>(|t| s.i_narrow(s.i_shr(v, 8 * t as u32)))
        };
        let floats = |v| {
            let mut out = [0.0; 16];
            s.f_store(&mut out, v);
            out
        };
        let bytes = lanes.w.map(ints);
        let (half, offset_half) = (lanes.half.map(floats), lanes.offset_half.map(floats));
        let (scale, offset) = (floats(lanes.scale), floats(lanes.offset));
        (0..16)
            .map(|j| Canon {
                q: std::array::from_fn(|k| bytes[k / 4][k % 4][j].wrapping_sub(Q::Form::ZERO as i8)),
                half: half.map(|h| h[j]),
                scale: scale[j],
                offset: offset[j],
                offset_half: offset_half.map(|h| h[j]),
            })
            .collect()
    }
}

struct Agree;
impl FormatVisitor for Agree {
    type Out = ();

    fn quant<Q: Quant>(self) {
        let mut rng = Lcg(11);
        for _ in 0..8 {
            let rows = random_rows::<Q>(&mut rng);
            let refs = std::array::from_fn(|j| &rows[j][..]);
            let mut tile = vec![0xaa; Q::PACKED];
            pack_tile::<_, Q>(Scalar, LooseRows::new(refs), &mut tile);
            for i in 0..Q::BLOCK / SUB {
                let want: Vec<Canon> = rows.iter().map(|r| Q::decode(r, i)).collect();
                for isa in CpuIsa::available() {
                    let got = isa.run_lanes(Sub::<Q>(&tile, i, std::marker::PhantomData));
                    assert!(got == want, "sub-block {i} on {}:\n{got:?}\n{want:?}", isa.kind());
                }
                #[cfg(target_arch = "x86_64")]
                if let Some(s) = crate::isa::avx512vnni::Avx512Vnni::<false, true>::new() {
                    let got = s.run(Sub::<Q>(&tile, i, std::marker::PhantomData));
                    assert!(got == want, "sub-block {i} with lookups of bytes:\n{got:?}\n{want:?}");
                }
                if Q::Form::BITS < 8 {
                    let range = -Q::Form::ZERO..(1 << Q::Form::BITS) - Q::Form::ZERO;
                    assert!(want.iter().all(|c| c.q.iter().all(|q| range.contains(&i32::from(*q)))));
                }
            }
        }
    }

    fn float<T: Float>(self) {
        struct Load<'a, T>(&'a [u8], std::marker::PhantomData<T>);
        impl<T: Float> Kernel for Load<'_, T> {
            type Out = [f32; 16];
            #[inline(always)]
            fn call<S: Isa>(self, s: S) -> [f32; 16] {
                let mut out = [f32::NAN; 16];
                s.f_store(&mut out, T::load(s, self.0));
                out
            }
        }
        let mut rng = Lcg(13);
        for _ in 0..100 {
            let bytes = rng.bytes(16 * T::BYTES);
            for isa in CpuIsa::available() {
                let got = isa.run_lanes(Load::<T>(&bytes, std::marker::PhantomData));
                for (g, b) in got.iter().zip(bytes.chunks_exact(T::BYTES)) {
                    let want = T::decode(b);
                    assert!(g.to_bits() == want.to_bits() || (g.is_nan() && want.is_nan()));
                }
            }
        }
    }
}

#[test]
fn lanes_agree_with_the_readable_decoder() {
    Format::ALL.iter().for_each(|f| f.visit(Agree));
}

#[test]
fn packing_keeps_every_bit_once() {
    struct Count;
    impl FormatVisitor for Count {
        type Out = ();
        fn quant<Q: Quant>(self) {
            let covered: usize = Q::PLAN
                .iter()
                .map(|s| match s {
                    Section::Half(_) | Section::Short(_) => 2,
                    Section::Exponent(_) => 1,
                    Section::Words { n, .. } => 4 * n,
                    Section::Bits(_) => 4,
                })
                .sum();
            assert_eq!(covered, Q::BYTES);
        }
        fn float<T: Float>(self) {}
    }
    Format::ALL.iter().for_each(|f| f.visit(Count));
}

#[test]
fn ids_round_trip() {
    for f in Format::ALL {
        assert_eq!(Format::from_id(f.id()), Some(*f));
    }
    assert_eq!(Format::from_id(4), None);
    assert_eq!(Format::Q4K.row_bytes(255), None);
    assert_eq!(Format::Q4K.row_bytes(512), Some(288));
    assert_eq!(Format::F32.row_bytes(3), Some(12));
}

#[test]
fn known_blocks_by_hand() {
    // Q4_0: d = 2, first byte 0x9f: weight 0 is 15 - 8 = 7, weight 16 is 9 - 8 = 1.
    let mut b = [0x88u8; 18];
    b[..2].copy_from_slice(&half::f16::from_f32(2.0).to_le_bytes());
    b[2] = 0x9f;
    let mut w = [0.0; 32];
    Format::Q4_0.dequantize(&b, &mut w);
    assert_eq!((w[0], w[16], w[1]), (14.0, 2.0, 0.0));
    // Q6_K: all bits clear is -32; scale of the second sixteen is -3.
    let mut b = [0u8; 210];
    b[192] = 1;
    b[193] = (-3i8) as u8;
    b[208..].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
    let mut w = [0.0; 256];
    Format::Q6K.dequantize(&b, &mut w);
    assert_eq!((w[0], w[15], w[16], w[32]), (-16.0, -16.0, 48.0, 0.0));
    // Q4_K: sub-block 5 takes its scale from byte 9 and the top bits of byte 1, its minimum likewise.
    let mut b = [0u8; 144];
    b[..2].copy_from_slice(&half::f16::from_f32(1.0).to_le_bytes());
    b[2..4].copy_from_slice(&half::f16::from_f32(1.0).to_le_bytes());
    b[4 + 1] = 0b1000_0000;
    b[4 + 5] = 0b0100_0000;
    b[4 + 9] = 0x73;
    b[16 + 64..16 + 96].fill(0x20);
    let mut w = [0.0; 256];
    Format::Q4K.dequantize(&b, &mut w);
    assert_eq!(w[160], 2.0 * 35.0 - 23.0);
}
