//! Matrix products.

use crate::testing::Lcg;
use crate::{emulated, teams};
use hewn_kernels::format::{Float, Format, FormatVisitor, Quant};
use hewn_kernels::op::activation::{self, Activation};
use hewn_kernels::op::matmul::{Gate, Input, Layout, Matrix, Product, gated_matmul, matmul};
use hewn_kernels::op::quantize::{ActBlock, NonFinite, block_index, quantize_all};
use hewn_kernels::{CpuIsa, Team, reference};

/// Random weights with finite scales.
struct Weights<'a>(usize, &'a mut Lcg);
impl FormatVisitor for Weights<'_> {
    type Out = Vec<u8>;
    fn quant<Q: Quant>(self) -> Vec<u8> {
        let mut data = self.1.bytes(self.0 / Q::BLOCK * Q::BYTES);
        data.chunks_exact_mut(Q::BYTES).for_each(|block| Q::write_scales(block, &mut || self.1.float()));
        data
    }
    fn float<T: Float>(self) -> Vec<u8> {
        (0..self.0)
            .flat_map(|_| {
                let v = self.1.float();
                match T::BYTES {
                    4 => v.to_le_bytes().to_vec(),
                    // Bits that are finite in both half formats.
                    _ => (half::f16::from_f32(v).to_bits() & 0xbfff).to_le_bytes().to_vec(),
                }
            })
            .collect()
    }
}

/// The blocks of row `c`.
fn row_blocks(n: usize, c: usize, blocks: &[ActBlock]) -> Vec<ActBlock> {
    let subs = blocks.len() / n;
    (0..subs).map(|k| blocks[block_index(n, subs, c, k)]).collect()
}

#[test]
fn products_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(21);
    let (all_rows, all_n) = match emulated() {
        // There, bits are compared without an emulator anyway.
        true if cfg!(target_arch = "x86_64") => (&[17][..], &[1, 2, 7, 33][..]),
        true => (&[0, 1, 17, 35, 57][..], &[0, 1, 2, 7, 15, 33, 65][..]),
        false => (&[0, 1, 4, 15, 16, 17, 57, 83, 363][..], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 33, 65, 83][..]),
    };
    for &format in Format::ALL {
        let unit = format.block_len().max(1);
        // Floats take any length; blocks only whole ones.
        let widths: &[usize] = if format.is_quant() { &[0, 1, 3] } else { &[0, 1, 15, 16, 17, 100, 523] };
        for &cols in widths {
            let cols = cols * unit;
            for &rows in all_rows {
                let data = format.visit(Weights(rows * cols, &mut rng));
                // An odd address: nothing may rely on alignment.
                let shifted: Vec<u8> = [&[0u8][..], &data].concat();
                let file = Matrix::new(format, Layout::File, rows, cols, &shifted[1..]).unwrap();
                let packed = file.pack();
                assert_eq!(packed.is_some(), format.is_quant());
                for &n in all_n {
                    // Chunks of several pairs of tiles: only the many columns of a prompt take them together.
                    if rows > 100 && n < 65 {
                        continue;
                    }
                    let x = rng.floats(n * cols);
                    let mut blocks = vec![ActBlock::default(); if format.is_quant() { n * cols / 32 } else { 0 }];
                    if format.is_quant() {
                        quantize_all(CpuIsa::best(), n, &x, &mut blocks).unwrap();
                    }
                    let want: Vec<u32> = (0..n * rows)
                        .map(|i| {
                            let (c, r) = (i / rows, i % rows);
                            let blocks = if format.is_quant() { row_blocks(n, c, &blocks) } else { Vec::new() };
                            let x = if cols == 0 { &[][..] } else { &x[c * cols..][..cols] };
                            reference::dot(format, file.file_row(r).unwrap(), x, &blocks).to_bits()
                        })
                        .collect();
                    for team in &teams {
                        let layouts = [
                            Some(file),
                            packed.as_ref().map(|p| Matrix::new(format, Layout::Packed, rows, cols, p).unwrap()),
                        ];
                        for w in layouts.into_iter().flatten() {
                            let mut out = vec![f32::NAN; n * rows];
                            let x = Input { floats: &x, blocks: &blocks };
                            team.step(|crew| matmul(crew, n, &mut [Product { w, x, out: &mut out }])).unwrap();
                            let got: Vec<u32> = out.iter().map(|v| v.to_bits()).collect();
                            let isa = team.isa().kind();
                            assert!(got == want, "{format:?} {rows}x{cols} n={n} {isa} t={}", team.threads());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_prompt_over_many_tiles_equals_its_rows_one_by_one() {
    if emulated() {
        return;
    }
    // Two blocks of columns, too many for the second cache by themselves; with one thread chunks of as many tiles as share a
    // pass, and a last one of a single tile.
    let (n, rows, cols) = (530, 16 * 96 + 5, 512);
    let mut rng = Lcg(27);
    for format in [Format::Q4_0, Format::Q6K] {
        let data = format.visit(Weights(rows * cols, &mut rng));
        let w = Matrix::new(format, Layout::File, rows, cols, &data).unwrap();
        let floats = rng.floats(n * cols);
        let mut blocks = vec![ActBlock::default(); n * cols / 32];
        quantize_all(CpuIsa::best(), n, &floats, &mut blocks).unwrap();
        let mut want = vec![f32::NAN; n * rows];
        let team = Team::new(2, CpuIsa::best()).unwrap();
        for (c, out) in want.chunks_exact_mut(rows).enumerate() {
            let x = Input { floats: &floats[c * cols..][..cols], blocks: &row_blocks(n, c, &blocks) };
            team.step(|crew| matmul(crew, 1, &mut [Product { w, x, out }])).unwrap();
        }
        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let want = bits(&want);
        for isa in CpuIsa::available() {
            for threads in [1, 3] {
                let mut out = vec![f32::NAN; n * rows];
                let x = Input { floats: &floats, blocks: &blocks };
                let team = Team::new(threads, isa).unwrap();
                team.step(|crew| matmul(crew, n, &mut [Product { w, x, out: &mut out }])).unwrap();
                assert!(bits(&out) == want, "{format:?} {} t={threads}", isa.kind());
            }
        }
    }
}

#[test]
fn a_gated_product_equals_its_operations_one_by_one() {
    let teams = teams();
    let mut rng = Lcg(31);
    let formats = [(Format::Q4_0, Format::Q4_0), (Format::Q4K, Format::Q6K), (Format::Q8_0, Format::F16)];
    for (i, (of_gate, of_up)) in formats.into_iter().enumerate() {
        for (cols, channels, n) in [
            (256, 32, 1),
            (256, 96, 2),
            (512, 352, 19),
            (256, 0, 3),
            (256, 64, 0),
            (512, 96, 3),
            (512, 96, 8),
            (256, 544, 70),
            (256, 96, 530),
        ] {
            if n >= 70 && emulated() {
                continue;
            }
            let data = [of_gate, of_up].map(|f| f.visit(Weights(channels * cols, &mut rng)));
            let x: Vec<f32> = rng.floats(n * cols).iter().map(|v| v * 0.1).collect();
            let mut blocks = vec![ActBlock::default(); n * cols / 32];
            quantize_all(CpuIsa::best(), n, &x, &mut blocks).unwrap();
            let x = Input { floats: &x, blocks: &blocks };
            let file = |f, data| Matrix::new(f, Layout::File, channels, cols, data).unwrap();
            let (gate, up) = (file(of_gate, &data[0]), file(of_up, &data[1]));
            let packed = gate.pack().unwrap();
            let packed = Matrix::new(of_gate, Layout::Packed, channels, cols, &packed).unwrap();
            let kind = [Activation::Silu, Activation::Gelu, Activation::Clamped][i];
            let (mut a, mut b) = (vec![0.0; n * channels], vec![0.0; n * channels]);
            let products = &mut [Product { w: gate, x, out: &mut a }, Product { w: up, x, out: &mut b }];
            teams[0].step(|crew| matmul(crew, n, products)).unwrap();
            activation::gate(CpuIsa::best(), kind, &mut a, &b);
            let mut want = vec![ActBlock::default(); n * channels / 32];
            quantize_all(CpuIsa::best(), n, &a, &mut want).unwrap();
            for team in &teams {
                for gate in [gate, packed] {
                    let mut got = vec![ActBlock::new(f32::NAN, [[1; 4]; 8]); n * channels / 32];
                    let g = Gate { gate, up, x, activation: kind };
                    team.step(|crew| gated_matmul(crew, n, &g, &mut got)).unwrap().unwrap();
                    assert!(
                        got == want,
                        "{of_gate:?} {channels}x{cols} n={n} {} {}",
                        team.isa().kind(),
                        team.threads()
                    );
                }
            }
        }
    }
}

#[test]
fn a_gated_product_that_is_not_finite_is_an_error() {
    let mut up = [0x3c00_u16.to_le_bytes(), [0; 2]].concat().repeat(32 * 16);
    let gate = up.clone();
    up[4 * 32 * 7..][..2].copy_from_slice(&0x7c00_u16.to_le_bytes());
    let [gate, up] = [&gate, &up].map(|d| Matrix::new(Format::F16, Layout::File, 32, 32, d).unwrap());
    let x = Input { floats: &[1.0; 64], blocks: &[] };
    for team in teams() {
        let run = |up| {
            let g = Gate { gate, up, x, activation: Activation::Silu };
            team.step(|crew| gated_matmul(crew, 2, &g, &mut [ActBlock::default(); 2])).unwrap()
        };
        assert_eq!(run(up), Err(NonFinite));
        assert_eq!(run(gate), Ok(()));
    }
}

#[test]
fn several_products_share_a_region() {
    let mut rng = Lcg(5);
    let (cols, n) = (64, 3);
    let x = rng.floats(n * cols);
    let mut blocks = vec![ActBlock::default(); n * cols / 32];
    quantize_all(CpuIsa::best(), n, &x, &mut blocks).unwrap();
    let input = Input { floats: &x, blocks: &blocks };
    let shapes = [(Format::Q4_0, 70), (Format::F16, 5), (Format::Q8_0, 0), (Format::Q5_1, 33)];
    let data: Vec<Vec<u8>> = shapes.iter().map(|(f, r)| f.visit(Weights(r * cols, &mut rng))).collect();
    let matrices: Vec<Matrix<'_>> =
        shapes.iter().zip(&data).map(|((f, r), d)| Matrix::new(*f, Layout::File, *r, cols, d).unwrap()).collect();
    for team in teams() {
        let mut outs: Vec<Vec<f32>> = shapes.iter().map(|(_, r)| vec![f32::NAN; n * r]).collect();
        let mut products: Vec<Product<'_>> =
            matrices.iter().zip(&mut outs).map(|(w, out)| Product { w: *w, x: input, out }).collect();
        team.step(|crew| matmul(crew, n, &mut products)).unwrap();
        for (w, out) in matrices.iter().zip(&outs) {
            for (i, v) in out.iter().enumerate() {
                let (c, r) = (i / w.rows(), i % w.rows());
                let want = reference::dot(
                    w.format(),
                    w.file_row(r).unwrap(),
                    &x[c * cols..][..cols],
                    &row_blocks(n, c, &blocks),
                );
                assert_eq!(v.to_bits(), want.to_bits());
            }
        }
    }
}

#[test]
fn matrices_are_checked() {
    assert!(Matrix::new(Format::Q4K, Layout::File, 1, 128, &[0; 72]).is_err());
    assert!(Matrix::new(Format::Q8_0, Layout::File, 2, 32, &[0; 67]).is_err());
    assert!(Matrix::new(Format::F32, Layout::Packed, 16, 1, &[0; 64]).is_err());
    assert!(Matrix::new(Format::Q8_0, Layout::File, usize::MAX, 32, &[]).is_err());
    assert!(Matrix::new(Format::Q8_0, Layout::Packed, 1, 32, &[0; 34 * 16]).is_ok());
}

/// A row of blocks whose bits are all `fill`, with scales of one.
struct Filled(usize, u8);
impl FormatVisitor for Filled {
    type Out = Vec<u8>;
    fn quant<Q: Quant>(self) -> Vec<u8> {
        let mut block = vec![self.1; Q::BYTES];
        Q::write_scales(&mut block, &mut || 1.0);
        block.repeat(self.0)
    }
    fn float<T: Float>(self) -> Vec<u8> {
        Vec::new()
    }
}

#[test]
fn extreme_integers_do_not_overflow() {
    // The largest weights of every format, -128 of Q8_0 and -128 as a scale of Q6_K, against +-127 activations.
    let quant = Format::ALL.iter().filter(|f| f.is_quant());
    for (&format, fill) in quant.flat_map(|f| [(f, 0xff), (f, 0x80), (f, 0x7f)]) {
        let cols = 2 * format.block_len();
        let row = format.visit(Filled(2, fill));
        for pattern in [|_| 1.0, |_| -1.0, |k| if k % 3 == 0 { 1.0 } else { -1.0 }] as [fn(usize) -> f32; 3] {
            let x: Vec<f32> = (0..cols).map(pattern).collect();
            let mut blocks = vec![ActBlock::default(); cols / 32];
            quantize_all(CpuIsa::best(), 1, &x, &mut blocks).unwrap();
            let want = reference::dot(format, &row, &x, &blocks).to_bits();
            let w = Matrix::new(format, Layout::File, 1, cols, &row).unwrap();
            for team in teams() {
                // One column goes straight through, as do four, sixteen go through a panel, sixty-four to a matrix unit.
                for n in [1, 4, 16, 64] {
                    let x = x.repeat(n);
                    let mut blocks = vec![ActBlock::default(); n * cols / 32];
                    quantize_all(CpuIsa::best(), n, &x, &mut blocks).unwrap();
                    let mut out = vec![f32::NAN; n];
                    let x = Input { floats: &x, blocks: &blocks };
                    team.step(|crew| matmul(crew, n, &mut [Product { w, x, out: &mut out }])).unwrap();
                    let same = out.iter().all(|v| v.to_bits() == want);
                    assert!(same, "{format:?} {fill:#x} n={n} {}", team.isa().kind());
                }
            }
        }
    }
}
