//! Matrix products and attention equal the oracle bit for bit: every ISA, team size, layout and awkward shape.
//!
//! Not unit tests: those would compile every kernel of every format once more, which takes minutes.

#[path = "../src/testing.rs"]
mod testing;

use hewn_kernels::format::{Float, Format, FormatVisitor, Quant};
use hewn_kernels::op::activation::{self, Activation};
use hewn_kernels::op::attention::{Chosen, Far, Query, Rules, Window, attention};
use hewn_kernels::op::matmul::{Gate, Input, Layout, Matrix, Product, gated_matmul, matmul};
use hewn_kernels::op::quantize::{ActBlock, NonFinite, block_index, quantize_all};
use hewn_kernels::op::wkv::{Answer, Told, WkvShape, wkv};
use hewn_kernels::state::{RunningState, StateRows};
use hewn_kernels::{CpuIsa, KvLayer, KvShape, KvType, Team, reference};
use testing::Lcg;

/// Whether the CPU is an emulated one (`.ci/emulated`), a fiftieth as fast: then smaller shapes do.
fn emulated() -> bool {
    std::env::var_os("HEWN_EMULATED").is_some()
}

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

fn teams() -> Vec<Team> {
    let isas = CpuIsa::available();
    let mut teams: Vec<Team> = isas.iter().map(|i| Team::new(1, *i).unwrap()).collect();
    teams.push(Team::new(2, CpuIsa::best()).unwrap());
    if !emulated() {
        teams.push(Team::new(5, CpuIsa::best()).unwrap());
        teams.push(Team::new(3, isas[0]).unwrap());
    }
    teams
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

/// Keys and values of one sequence, and its cache.
struct Cached {
    shape: KvShape,
    k: Vec<f32>,
    v: Vec<f32>,
    kv: KvLayer,
    /// Whether queries see what follows them, too.
    whole: bool,
}

impl Cached {
    fn new(rng: &mut Lcg, shape: KvShape, len: usize) -> Self {
        let (kw, vw) = (shape.heads * shape.k_dim, shape.heads * shape.v_dim);
        let (k, v) = (rng.floats(len * kw), rng.floats(len * vw));
        let mut kv = KvLayer::new(shape);
        let cut = len / 2;
        kv.append(CpuIsa::best(), &k[..cut * kw], &v[..cut * vw]).unwrap();
        kv.append(CpuIsa::best(), &k[cut * kw..], &v[cut * vw..]).unwrap();
        Self { shape, k, v, kv, whole: false }
    }

    fn query(&self, pos: usize) -> Query<'_> {
        if self.whole { Query::whole(&self.kv, pos) } else { Query::all(&self.kv, pos) }
    }

    /// The oracle's answer for one head at one position.
    fn want(&self, q: &[f32], pos: usize, head: usize, rules: &Rules<'_>, chosen: Option<&[u64]>) -> Vec<f32> {
        let s = self.shape;
        let round = |x: f32| if s.kind == KvType::F16 { half::f16::from_f32(x).to_f32() } else { x };
        reference::attention(
            q,
            [pos, if self.whole { self.kv.len() } else { pos + 1 }],
            s.v_dim,
            rules,
            |p| chosen.is_none_or(|c| c[p / 64] >> (p % 64) & 1 == 1),
            |p, d| round(self.k[(p * s.heads + head) * s.k_dim + d]),
            |p, c| round(self.v[(p * s.heads + head) * s.v_dim + c]),
        )
    }
}

/// Every team gives the oracle's bits for `(sequence, position)` queries.
fn check_attention(rng: &mut Lcg, seqs: &[Cached], group: usize, at: &[(usize, usize)], teams: &[Team]) {
    check_rules(rng, seqs, group, at, teams, Rules::plain(0.3));
}

fn check_rules(rng: &mut Lcg, seqs: &[Cached], group: usize, at: &[(usize, usize)], teams: &[Team], rules: Rules<'_>) {
    check_chosen(rng, seqs, group, at, teams, rules, &[]);
}

/// The same where queries see chosen positions only, as far as there are some for them: all heads the same, or each KV head its
/// own, where there are words for each.
fn check_chosen(
    rng: &mut Lcg,
    seqs: &[Cached],
    group: usize,
    at: &[(usize, usize)],
    teams: &[Team],
    rules: Rules<'_>,
    chosen: &[Option<Vec<u64>>],
) {
    let shape = seqs[0].shape;
    let chosen = |i: usize| {
        let words = chosen.get(i).and_then(Option::as_deref)?;
        let needed = at[i].1 / 64 + 1;
        Some(Chosen { words, stride: if words.len() == needed { 0 } else { words.len() / shape.heads } })
    };
    let heads = shape.heads * group;
    let q: Vec<f32> = rng.floats(at.len() * heads * shape.k_dim).iter().map(|x| x * 4.0).collect();
    let want: Vec<u32> = (0..at.len() * heads)
        .flat_map(|i| {
            let (seq, pos) = at[i / heads];
            let of_head = |all: Option<&'_ [f32]>| all.map(|all| [all[i % heads]]);
            let (sink, slope) = (of_head(rules.sinks), of_head(rules.slopes));
            let factor = rules.factors.map(|all| [all[i / heads]]);
            let [sinks, slopes, factors] = [&sink, &slope, &factor].map(|one| one.as_ref().map(|s| &s[..]));
            let rules = Rules { sinks, slopes, factors, ..rules };
            let head = i % heads / group;
            let chosen = chosen(i / heads).map(|c| &c.words[head * c.stride..]);
            seqs[seq].want(&q[i * shape.k_dim..][..shape.k_dim], pos, head, &rules, chosen)
        })
        .map(f32::to_bits)
        .collect();
    let query = |(i, &(seq, pos)): (usize, &(usize, usize))| Query { chosen: chosen(i), ..seqs[seq].query(pos) };
    let queries: Vec<Query<'_>> = at.iter().enumerate().map(query).collect();
    for team in teams {
        // Twice: what the first call leaves behind must not matter.
        for _ in 0..if emulated() { 1 } else { 2 } {
            let mut out = vec![f32::NAN; at.len() * heads * shape.v_dim];
            team.step(|crew| attention(crew, &queries, heads, &rules, &q, &mut out)).unwrap();
            let got: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
            assert!(got == want, "{shape:?} group {group} {rules:?} {} t={}", team.isa().kind(), team.threads());
        }
    }
}

#[test]
fn attention_equals_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(31);
    for (heads, group, k_dim, v_dim) in
        [(1, 1, 8, 8), (2, 3, 64, 64), (2, 6, 128, 128), (1, 5, 96, 80), (3, 4, 16, 208), (1, 13, 24, 48)]
    {
        for kind in [KvType::F16, KvType::F32] {
            let seqs = [Cached::new(&mut rng, KvShape { kind, heads, k_dim, v_dim }, 150)];
            let at = [0, 1, 62, 63, 64, 65, 127, 128, 149].map(|pos| (0, pos));
            check_attention(&mut rng, &seqs, group, &at, &teams);
        }
    }
}

#[test]
fn long_contexts_are_split_over_threads() {
    let teams = teams();
    let mut rng = Lcg(37);
    for (heads, group, k_dim, v_dim) in [(2, 6, 32, 32), (1, 1, 16, 40)] {
        for kind in [KvType::F16, KvType::F32] {
            let shape = KvShape { kind, heads, k_dim, v_dim };
            let seqs = [1400, 700, 64].map(|len| Cached::new(&mut rng, shape, len));
            check_attention(&mut rng, &seqs, group, &[(0, 1399)], &teams);
            // A batch of sequences, one of them with several queries around a tile's edge.
            let at = [(1, 699), (0, 1340), (0, 1341), (0, 1343), (0, 1344), (0, 1399), (2, 0), (2, 63)];
            check_attention(&mut rng, &seqs, group, &at, &teams);
        }
    }
}

#[test]
fn windows_bounds_sinks_and_slopes_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(43);
    let shape = KvShape { kind: KvType::F16, heads: 2, k_dim: 32, v_dim: 24 };
    let seqs = [1400, 300].map(|len| Cached::new(&mut rng, shape, len));
    let sinks = rng.floats(6);
    let slopes = [0.5, 0.25, 0.0, 1.0, 0.001953125, 0.3];
    let factors = [1.0, 1.25, 0.5, 1.0, 3.0, 1.1, 1.2, 1.3, 1.4, 1.5];
    let plain = Rules::plain(0.3);
    let some = [(0, 0), (0, 1), (0, 63), (0, 64), (0, 127), (0, 128), (0, 129), (0, 130), (0, 200), (1, 299)];
    let late = [(1, 290), (0, 1340), (0, 1341), (0, 1343), (0, 1344), (0, 1399)];
    for at in [&some[..], &late, &[(0, 1399)]] {
        for rules in [
            Rules { cap: Some(2.0), ..plain },
            Rules { sinks: Some(&sinks), ..plain },
            Rules { window: Some(Window::Last(1)), ..plain },
            Rules { window: Some(Window::Last(3)), ..plain },
            Rules { window: Some(Window::Last(64)), ..plain },
            Rules { window: Some(Window::Last(65)), cap: Some(5.0), sinks: Some(&sinks), ..plain },
            Rules { window: Some(Window::Last(900)), sinks: Some(&sinks), ..plain },
            Rules { window: Some(Window::Last(4096)), ..plain },
            Rules { window: Some(Window::Chunk(1)), ..plain },
            Rules { window: Some(Window::Chunk(30)), ..plain },
            Rules { window: Some(Window::Chunk(64)), ..plain },
            Rules { window: Some(Window::Chunk(200)), cap: Some(5.0), sinks: Some(&sinks), ..plain },
            Rules { window: Some(Window::Chunk(4096)), ..plain },
            Rules { slopes: Some(&slopes), ..plain },
            Rules {
                window: Some(Window::Last(65)),
                cap: Some(5.0),
                sinks: Some(&sinks),
                slopes: Some(&slopes),
                ..plain
            },
            Rules { window: Some(Window::Chunk(200)), slopes: Some(&slopes), ..plain },
            Rules { factors: Some(&factors[..at.len()]), ..plain },
            Rules { cap: Some(2.0), factors: Some(&factors[..at.len()]), slopes: Some(&slopes), ..plain },
        ] {
            check_rules(&mut rng, &seqs, 3, at, &teams, rules);
        }
    }
}

/// Texts of which every position sees every other, or those around it.
#[test]
fn whole_texts_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(67);
    let slopes = [0.5, 0.25, 0.0, 1.0, 0.001953125, 0.3];
    let plain = Rules::plain(0.3);
    for (kind, group) in [(KvType::F32, 1), (KvType::F16, 3)] {
        let shape = KvShape { kind, heads: 2, k_dim: 24, v_dim: 40 };
        let mut seqs = [1, 40, 64, 65, 300, 1400].map(|len| Cached::new(&mut rng, shape, len));
        seqs.iter_mut().for_each(|s| s.whole = true);
        // A long one alone, in spans; otherwise whole texts side by side, and a few rows of long ones.
        let whole = |seq: usize, len: usize| (0..len).map(move |pos| (seq, pos));
        let texts: Vec<_> = whole(0, 1).chain(whole(1, 40)).chain(whole(2, 64)).chain(whole(3, 65)).collect();
        let some: Vec<_> = [0, 1, 62, 63, 64, 65, 127, 128, 290, 299].map(|pos| (4, pos)).into();
        let one = vec![(5, 0), (5, 700), (5, 1399)];
        for at in [texts, some, one] {
            for rules in [
                plain,
                Rules { slopes: Some(&slopes[..2 * group]), ..plain },
                Rules { window: Some(Window::Around(1)), ..plain },
                Rules { window: Some(Window::Around(31)), slopes: Some(&slopes[..2 * group]), ..plain },
                Rules { window: Some(Window::Around(64)), ..plain },
                Rules { window: Some(Window::Around(500)), ..plain },
                Rules { window: Some(Window::Around(4096)), ..plain },
            ] {
                check_rules(&mut rng, &seqs, group, &at, &teams, rules);
            }
        }
    }
}

#[test]
fn chosen_positions_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(59);
    let shape = KvShape { kind: KvType::F32, heads: 2, k_dim: 32, v_dim: 24 };
    let seqs = [1400, 300].map(|len| Cached::new(&mut rng, shape, len));
    let sinks = rng.floats(6);
    let some = [(0, 0), (0, 1), (0, 63), (0, 64), (0, 127), (0, 128), (0, 129), (0, 130), (0, 200), (1, 299)];
    let late = [(1, 290), (0, 1340), (0, 1341), (0, 1343), (0, 1344), (0, 1399)];
    for at in [&some[..], &late, &[(0, 1399)]] {
        for (density, rules) in [
            (1, Rules::plain(0.3)),
            (30, Rules::plain(0.3)),
            (200, Rules { sinks: Some(&sinks), ..Rules::plain(0.3) }),
            (5000, Rules::plain(0.3)),
        ] {
            let mut pick = |(i, &(_, pos)): (usize, &(usize, usize))| {
                let mut words = vec![0u64; pos / 64 + 1];
                // The last one in any case, of the others one of so many; every third query sees all.
                words[pos / 64] |= 1 << (pos % 64);
                let all = 0..=pos;
                all.filter(|_| (((rng.float() + 1.0) * 1e6) as u64).is_multiple_of(density))
                    .for_each(|p| words[p / 64] |= 1 << (p % 64));
                (i % 3 != 2).then_some(words)
            };
            let alike: Vec<_> = at.iter().enumerate().map(&mut pick).collect();
            // Each head its own, a word apart from those of the other.
            let of_each = |words: [Vec<u64>; 2]| [words[0].as_slice(), &[u64::MAX], &words[1], &[u64::MAX]].concat();
            let each: Vec<_> = at.iter().enumerate().map(|i| Some(of_each([pick(i)?, pick(i)?]))).collect();
            check_chosen(&mut rng, &seqs, 3, at, &teams, rules, &alike);
            check_chosen(&mut rng, &seqs, 3, at, &teams, rules, &each);
        }
    }
}

#[test]
fn entries_of_a_second_cache_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(61);
    for (kind, window) in [(KvType::F32, Some(100)), (KvType::F16, None), (KvType::F32, Some(1))] {
        let shape = KvShape { kind, heads: 2, k_dim: 24, v_dim: 40 };
        let (near, far) = (Cached::new(&mut rng, shape, 900), Cached::new(&mut rng, shape, 700));
        let (sinks, heads) = (rng.floats(6), 6);
        // What each query sees of the second cache: nothing yet, a part of a tile, whole ones; then fewer, of another text.
        let at = [(0, 0), (3, 0), (4, 1), (63, 15), (64, 64), (65, 65), (255, 128), (256, 129), (899, 700), (300, 75)];
        for density in [0, 1, 20, 3000] {
            let mut pick = |(i, &(_, len)): (usize, &(usize, usize))| {
                let mut words = vec![0u64; usize::div_ceil(len, 64)];
                let one = |rng: &mut Lcg| (((rng.float() + 1.0) * 1e6) as u64).is_multiple_of(density);
                (0..len).filter(|_| one(&mut rng)).for_each(|p| words[p / 64] |= 1 << (p % 64));
                (density > 0 && i % 3 != 2).then_some(words)
            };
            let chosen: Vec<_> = at.iter().enumerate().map(&mut pick).collect();
            let rules = Rules { window: window.map(Window::Last), sinks: Some(&sinks), ..Rules::plain(0.3) };
            let q: Vec<f32> = rng.floats(at.len() * heads * shape.k_dim).iter().map(|x| x * 4.0).collect();
            let mut want = Vec::new();
            for (i, &(pos, len)) in at.iter().enumerate() {
                for h in 0..heads {
                    // The same as one cache, of which what lies between is not seen.
                    let (behind, first) =
                        (usize::div_ceil(len, 64) * 64, window.map_or(0, |n| (pos + 1).saturating_sub(n)));
                    let seen = |p: usize| match p.checked_sub(behind) {
                        None => p < len && chosen[i].as_ref().is_none_or(|c| c[p / 64] >> (p % 64) & 1 == 1),
                        Some(p) => p >= first,
                    };
                    let round = |x: f32| if kind == KvType::F16 { half::f16::from_f32(x).to_f32() } else { x };
                    let of = |p: usize| p.checked_sub(behind).map_or((&far, p), |p| (&near, p));
                    let (k_dim, v_dim) = (shape.k_dim, shape.v_dim);
                    want.extend(reference::attention(
                        &q[(i * heads + h) * k_dim..][..k_dim],
                        [behind + pos, behind + pos + 1],
                        v_dim,
                        &Rules { window: None, sinks: Some(&sinks[h..=h]), ..rules },
                        seen,
                        |p, d| round(of(p).0.k[(of(p).1 * shape.heads + h / 3) * k_dim + d]),
                        |p, c| round(of(p).0.v[(of(p).1 * shape.heads + h / 3) * v_dim + c]),
                    ));
                }
            }
            let query = |(i, &(pos, len)): (usize, &(usize, usize))| Query {
                far: Some(Far { kv: &far.kv, len, chosen: chosen[i].as_deref() }),
                ..Query::all(&near.kv, pos)
            };
            let queries: Vec<Query<'_>> = at.iter().enumerate().map(query).collect();
            for team in &teams {
                // All at once, and the one that sees most alone, in spans.
                for part in [0..at.len(), 8..9] {
                    let mut out = vec![f32::NAN; part.len() * heads * shape.v_dim];
                    let q = &q[part.start * heads * shape.k_dim..part.end * heads * shape.k_dim];
                    team.step(|crew| attention(crew, &queries[part.clone()], heads, &rules, q, &mut out)).unwrap();
                    let want = &want[part.start * heads * shape.v_dim..part.end * heads * shape.v_dim];
                    let same = out.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{shape:?} {density} {part:?} {} t={}", team.isa().kind(), team.threads());
                }
            }
        }
    }
}

#[test]
fn a_window_does_not_look_outside() {
    let shape = KvShape { kind: KvType::F32, heads: 1, k_dim: 16, v_dim: 16 };
    let mut rng = Lcg(47);
    let (mut k, mut v) = (rng.floats(200 * 16), rng.floats(200 * 16));
    let team = Team::new(1, CpuIsa::best()).unwrap();
    let q = rng.floats(16);
    let run = |window, k: &[f32], v: &[f32]| {
        let mut kv = KvLayer::new(shape);
        kv.append(CpuIsa::best(), k, v).unwrap();
        let (mut out, rules) = (vec![f32::NAN; 16], Rules { window: Some(window), ..Rules::plain(0.25) });
        team.step(|crew| attention(crew, &[Query::all(&kv, 199)], 1, &rules, &q, &mut out)).unwrap();
        out
    };
    let windows = [Window::Last(70), Window::Chunk(130)];
    let want = windows.map(|w| run(w, &k, &v));
    assert_eq!(want[0], want[1]);
    k[..130 * 16].fill(f32::NAN);
    v[..130 * 16].fill(f32::INFINITY);
    assert_eq!(windows.map(|w| run(w, &k, &v)), want);
}

#[test]
fn a_truncated_cache_is_as_if_never_filled() {
    let shape = KvShape { kind: KvType::F16, heads: 2, k_dim: 16, v_dim: 16 };
    let mut rng = Lcg(41);
    let (k, v) = (rng.floats(200 * 32), rng.floats(200 * 32));
    let mut kv = KvLayer::new(shape);
    kv.append(CpuIsa::best(), &k[..130 * 32], &v[..130 * 32]).unwrap();
    kv.truncate(70);
    assert_eq!((kv.len(), kv.bytes()), (70, 2 * shape.tile_bytes()));
    kv.append(CpuIsa::best(), &k[150 * 32..], &v[150 * 32..]).unwrap();
    let mut fresh = KvLayer::new(shape);
    fresh.append(CpuIsa::best(), &k[..70 * 32], &v[..70 * 32]).unwrap();
    fresh.append(CpuIsa::best(), &k[150 * 32..], &v[150 * 32..]).unwrap();
    let q = rng.floats(4 * 16);
    let team = Team::new(1, CpuIsa::best()).unwrap();
    let run = |kv: &KvLayer| {
        let mut out = vec![f32::NAN; 4 * 16];
        team.step(|crew| attention(crew, &[Query::all(kv, 119)], 4, &Rules::plain(0.25), &q, &mut out)).unwrap();
        out
    };
    assert_eq!(run(&kv), run(&fresh));
    let twin = kv.try_clone().unwrap();
    kv.truncate(3);
    kv.append(CpuIsa::best(), &k[..120 * 32], &v[..120 * 32]).unwrap();
    assert_eq!(run(&twin), run(&fresh));
    assert_ne!(run(&kv), run(&fresh));
}

/// `rows` of `all` (`[n, width]`) from row `at` on, twice.
fn twice(all: &[f32], at: usize, rows: usize, width: usize) -> Vec<f32> {
    all[at * width..(at + rows) * width].repeat(2)
}

#[test]
fn matrices_of_rwkv_equal_the_oracle_however_rows_are_cut() {
    let mut rng = Lcg(53);
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    // The last one has more rows than a block of them.
    for (heads, dim, n) in [(1, 1, 9), (1, 16, 9), (3, 20, 9), (2, 50, 9), (1, 33, 137)] {
        let shape = WkvShape { heads, dim, kept: 3 };
        let width = shape.width();
        let [asks, keys, values, at, back] = [(); 5].map(|()| rng.floats(n * width));
        let decays: Vec<f32> = rng.floats(n * width).iter().map(|d| 0.5 + 0.5 * d.abs()).collect();
        let back: Vec<f32> = back.iter().map(|b| 0.3 * b).collect();
        let first = rng.floats(width);
        for kind in 0..3 {
            let told = Told { asks: &asks, decays: &decays, keys: &keys, values: &values };
            let answer = [Answer::Corrected([&at, &back]), Answer::Before(&first), Answer::After][kind];
            let want = reference::wkv(&shape, told, answer);
            assert!(want.iter().all(|v| v.is_finite()) && want.iter().any(|v| v.abs() > 0.1));
            for isa in CpuIsa::available() {
                for (threads, steps) in [(1, vec![n]), (3, vec![1; n]), (2, vec![0, 2, 1, n - 3])] {
                    let team = Team::new(threads, isa).unwrap();
                    let mut states = [(); 2].map(|()| RunningState::new(shape.state()).unwrap());
                    let mut row = 0;
                    for step in steps {
                        let of = |all: &[f32]| twice(all, row, step, width);
                        let [asks, decays, keys, values] = [&asks, &decays, &keys, &values].map(|all| of(all));
                        let (at, back) = (of(&at), of(&back));
                        let told = Told { asks: &asks, decays: &decays, keys: &keys, values: &values };
                        let answer = [Answer::Corrected([&at, &back]), Answer::Before(&first), Answer::After][kind];
                        let half = step * shape.padded_width();
                        let mut out = vec![f32::NAN; 2 * half];
                        let mut parts = states.each_mut().map(|state| StateRows { state, rows: step });
                        team.step(|crew| wkv(crew, &shape, &mut parts, told, answer, &mut out)).unwrap();
                        let mut got = vec![f32::NAN; width];
                        for (r, part) in (0..step).flat_map(|r| [(r, &out[..half]), (r, &out[half..])]) {
                            shape.gather(part, step, r, &mut got);
                            let want = &want[(row + r) * width..][..width];
                            assert_eq!(bits(&got), bits(want), "{shape:?} {kind} {} row {}", isa.kind(), row + r);
                        }
                        row += step;
                    }
                }
            }
        }
    }
}
