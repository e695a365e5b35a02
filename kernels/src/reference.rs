//! The oracle: the numeric contract at a glance, one output at a time, with no lanes, tiles or threads.
//!
//! Everything fast is tested to equal these few lines bit for bit.

use crate::format::{Float, Form, Format, FormatVisitor, Quant, SUB};
use crate::isa::{Isa, Kernel, scalar::Scalar};
use crate::kv::{KvType, TILE};
use crate::op::altup::{Router, STREAMS};
use crate::op::attention::{Rules, Window};
use crate::op::convolution::{Convolution, Then};
use crate::op::delta::DeltaShape;
use crate::op::quantize::ActBlock;
use crate::op::scan::ScanShape;
use crate::op::selective::SelectiveShape;
use crate::op::wkv::{Answer, Told, WkvShape};

/// One output of a matrix product: `row` in file layout, the column as f32 (`[cols]`) and quantized (`[cols / 32]`).
pub fn dot(format: Format, row: &[u8], floats: &[f32], blocks: &[ActBlock]) -> f32 {
    struct Dot<'a>(&'a [u8], &'a [f32], &'a [ActBlock]);
    impl FormatVisitor for Dot<'_> {
        type Out = f32;

        fn quant<Q: Quant>(self) -> f32 {
            let subs = Q::BLOCK / SUB;
            let mut acc = 0.0f32;
            for (i, x) in self.2.iter().enumerate() {
                let c = Q::decode(&self.0[i / subs * Q::BYTES..][..Q::BYTES], i % subs);
                let x_at = |k: usize| i32::from(x.q[k / 4][k % 4]);
                let isum = |h: usize| (16 * h..16 * h + 16).map(|k| i32::from(c.q[k]) * x_at(k)).sum::<i32>() as f32;
                let asum = |h: usize| (16 * h..16 * h + 16).map(x_at).sum::<i32>() as f32;
                // Halves are put together in f32, exactly where their factors are integers.
                let both = |sum: [f32; 2], factor: [f32; 2]| sum[1].mul_add(factor[1], sum[0] * factor[0]);
                acc = (c.scale * x.d).mul_add(both([isum(0), isum(1)], c.half), acc);
                if Q::Form::OFFSET {
                    acc = (c.offset * x.d).mul_add(both([asum(0), asum(1)], c.offset_half), acc);
                }
            }
            acc
        }

        fn float<T: Float>(self) -> f32 {
            let mut lanes = [0.0f32; 16];
            for k in 0..self.1.len().next_multiple_of(16) {
                let (w, x) = match self.1.get(k) {
                    Some(&x) => (T::decode(&self.0[k * T::BYTES..]), x),
                    None => (0.0, 0.0),
                };
                lanes[k % 16] = w.mul_add(x, lanes[k % 16]);
            }
            tree(lanes)
        }
    }
    format.visit(Dot(row, floats, blocks))
}

/// Sums sixteen lanes by the contract's tree.
fn tree(mut lanes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|j| lanes[j] += lanes[j + half]);
    }
    lanes[0]
}

/// One number's `e^x`.
pub fn exp(x: f32) -> f32 {
    struct One(f32);
    impl Kernel for One {
        type Out = f32;
        #[inline(always)]
        fn call<S: Isa>(self, s: S) -> f32 {
            let mut out = [0.0; 16];
            s.f_store(&mut out, crate::math::exp(s, s.f_splat(self.0)));
            out[0]
        }
    }
    Scalar.run(One(x))
}

/// One number's hyperbolic tangent.
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(x + x) + 1.0)
}

/// A query or a row of keys or values as a cache of this format holds them: numbers, and what those from each multiple of 32 on
/// are multiplied with.
pub fn cached(kind: KvType, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    match kind {
        KvType::F32 => (x.to_vec(), Vec::new()),
        KvType::F16 => (x.iter().map(|x| half::f16::from_f32(*x).to_f32()).collect(), Vec::new()),
        KvType::Q8_0 => {
            let (q, d): (Vec<_>, Vec<_>) = x.chunks(SUB).map(eight_bits).unzip();
            (q.concat(), d.into_iter().map(|d| half::f16::from_f32(d).to_f32()).collect())
        }
    }
}

/// Up to 32 values as integers, and their scale.
fn eight_bits(x: &[f32]) -> (Vec<f32>, f32) {
    let d = x.iter().fold(0.0f32, |m, x| m.max(x.abs())) / 127.0;
    let q = |x: &f32| if d < f32::MIN_POSITIVE { 0.0 } else { (x * (1.0 / d)).round_ties_even() };
    (x.iter().map(q).collect(), if d < f32::MIN_POSITIVE { 0.0 } else { d })
}

/// The product of a query with a [`cached`] key.
pub fn score(kind: KvType, q: &[f32], (k, scales): &(Vec<f32>, Vec<f32>)) -> f32 {
    match kind {
        KvType::F16 | KvType::F32 => q.iter().zip(k).fold(0.0f32, |acc, (q, k)| q.mul_add(*k, acc)),
        KvType::Q8_0 => q.chunks(SUB).zip(k.chunks(SUB)).zip(scales).fold(0.0, |acc, ((q, k), d_k)| {
            let (q, d_q) = eight_bits(q);
            // Exact: integers below 2^24.
            let sum: f32 = q.iter().zip(k).map(|(q, k)| q * k).sum();
            (d_k * d_q).mul_add(sum, acc)
        }),
    }
}

/// Attention of one head: a query at position `pos` over positions `0..seen` (or those in its window), whose [`score`]s and
/// [`cached`] values come from `score(position)` and `v(position, channel)`, with the value's scale (1 where its format has none). The head's sink and slope and
/// the query's factor are the ones of `rules`; of the positions, only the chosen ones count.
pub fn attention(
    [pos, seen]: [usize; 2],
    v_dim: usize,
    rules: &Rules<'_>,
    chosen: impl Fn(usize) -> bool,
    score: impl Fn(usize) -> f32,
    v: impl Fn(usize, usize) -> [f32; 2],
) -> Vec<f32> {
    let (mut max, mut sum, mut out) = (f32::NEG_INFINITY, 0.0f32, vec![0.0f32; v_dim]);
    let (first, seen) = match rules.window {
        None => (0, seen),
        Some(Window::Last(n)) => ((pos + 1).saturating_sub(n), seen),
        Some(Window::Chunk(n)) => (pos / n * n, seen),
        Some(Window::Around(n)) => (pos.saturating_sub(n), seen.min(pos + n + 1)),
    };
    for start in (first / TILE * TILE..seen).step_by(TILE) {
        let positions = || (start.max(first)..seen.min(start + TILE)).filter(|p| chosen(*p));
        if positions().next().is_none() {
            continue;
        }
        let finished = |p| {
            let s = score(p) * rules.scale;
            let s = rules.cap.map_or(s, |cap| cap * tanh(s / cap));
            let s = rules.factors.map_or(s, |factor| s * factor[0]);
            rules.slopes.map_or(s, |slope| slope[0].mul_add(-(p.abs_diff(pos) as f32), s))
        };
        let scores: Vec<f32> = positions().map(finished).collect();
        let top = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
        let e: Vec<f32> = scores.iter().map(|s| exp(s - top)).collect();
        let mut lanes = [0.0f32; 16];
        positions().zip(&e).for_each(|(p, e)| lanes[p % 16] += e);
        let new = max.max(top);
        let (keep, add) = (exp(max - new), exp(top - new));
        max = new;
        sum = tree(lanes).mul_add(add, sum * keep);
        for (c, o) in out.iter_mut().enumerate() {
            let part = positions().zip(&e).fold(0.0f32, |acc, (p, e)| {
                let [value, scale] = v(p, c);
                (e * scale).mul_add(value, acc)
            });
            *o = part.mul_add(add, *o * keep);
        }
    }
    if let Some(&[sink]) = rules.sinks {
        let new = max.max(sink);
        let (keep, add) = (exp(max - new), exp(sink - new));
        sum = sum * keep + add;
        out.iter_mut().for_each(|o| *o *= keep);
    }
    out.iter().map(|o| o * (1.0 / sum)).collect()
}

/// One channel of pooled rows, each a value and its score.
pub fn pool(rows: &[[f32; 2]]) -> f32 {
    let top = rows.iter().fold(f32::NEG_INFINITY, |m, r| m.max(r[1]));
    let (sum, acc) = rows.iter().fold((0.0f32, 0.0f32), |(sum, acc), [value, score]| {
        let e = exp(score - top);
        (sum + e, e.mul_add(*value, acc))
    });
    acc / sum
}

/// Row `r` of a convolution, `[channels]`: `raw` (`[rows, channels]`) begins with the sequence.
pub fn convolve(conv: &Convolution<'_>, raw: &[f32], r: usize) -> Vec<f32> {
    let channels = conv.channels();
    let sum = |c: usize| {
        let x = |tap: usize| (r + tap + 1).checked_sub(conv.taps).map_or(0.0, |row| raw[row * channels + c]);
        let first = conv.bias.map_or(0.0, |bias| bias[c]);
        (0..conv.taps).fold(first, |sum, tap| conv.weights[tap * channels + c].mul_add(x(tap), sum))
    };
    let silu = |x: f32| x / (1.0 + exp(0.0 - x));
    match conv.then {
        Then::Times(by) => (0..channels).map(|c| sum(c) * by[r * channels + c]).collect(),
        Then::Silu => (0..channels).map(|c| silu(sum(c))).collect(),
        Then::SiluUnits { dim, queries, eps } => {
            let mut out: Vec<f32> = (0..channels).map(|c| silu(sum(c))).collect();
            for (head, v) in out.chunks_exact_mut(dim).enumerate().take(2 * queries) {
                let mut lanes = [0.0f32; 16];
                v.iter().enumerate().for_each(|(i, v)| lanes[i % 16] = v.mul_add(*v, lanes[i % 16]));
                let unit = if head < queries { 1.0 / (dim as f32).sqrt() } else { 1.0 };
                let factor = unit / tree(lanes).sqrt().max(eps);
                v.iter_mut().for_each(|v| *v *= factor);
            }
            out
        }
    }
}

/// The gated delta rule from a sequence's first row on: `qkv` (`[rows, channels]`), `gates` (`[rows, 2, v_heads]`), and
/// what comes out (`[rows, width]`).
pub fn delta_rule(shape: &DeltaShape, qkv: &[f32], gates: &[f32]) -> Vec<f32> {
    let (dim, v_heads) = (shape.dim, shape.v_heads);
    let rows = qkv.len() / shape.channels();
    let mut out = vec![0.0; rows * shape.width()];
    for head in 0..v_heads {
        let key = shape.key_head(head);
        for c in 0..dim {
            // The value channel's column of the matrix, one number a key channel.
            let mut column = vec![0.0f32; dim];
            let answer = |column: &[f32], to: &[f32]| {
                let chain = |first| (first..dim).step_by(2).fold(0.0f32, |sum, i| to[i].mul_add(column[i], sum));
                chain(0) + chain(1)
            };
            for r in 0..rows {
                let of = |head: usize| &qkv[r * shape.channels() + head * dim..][..dim];
                let (q, k, v) = (of(key), of(shape.k_heads + key), of(2 * shape.k_heads + head)[c]);
                let (decay, beta) = (gates[r * 2 * v_heads + head], gates[(r * 2 + 1) * v_heads + head]);
                let change = beta * (-decay).mul_add(answer(&column, k), v);
                column.iter_mut().zip(k).for_each(|(m, k)| *m = k.mul_add(change, decay * *m));
                out[r * shape.width() + head * dim + c] = answer(&column, q);
            }
        }
    }
    out
}

/// The same with a factor for each channel of a key (`[rows, v_heads, dim]`), and how much is corrected (`[rows, v_heads]`).
pub fn channel_delta_rule(shape: &DeltaShape, qkv: &[f32], decays: &[f32], betas: &[f32]) -> Vec<f32> {
    let (dim, v_heads) = (shape.dim, shape.v_heads);
    let mut out = vec![0.0; qkv.len() / shape.channels() * shape.width()];
    for head in 0..v_heads {
        let key = shape.key_head(head);
        for c in 0..dim {
            let mut column = vec![0.0f32; dim];
            let chain = |column: &[f32], to: &[f32], first| {
                (first..dim).step_by(2).fold(0.0f32, |sum, i| to[i].mul_add(column[i], sum))
            };
            let answer = |column: &[f32], to: &[f32]| chain(column, to, 0) + chain(column, to, 1);
            for (r, row) in qkv.chunks_exact(shape.channels()).enumerate() {
                let of = |head: usize| &row[head * dim..][..dim];
                let (q, k, v) = (of(key), of(shape.k_heads + key), of(2 * shape.k_heads + head)[c]);
                let decays = &decays[(r * v_heads + head) * dim..][..dim];
                let faded: Vec<f32> = k.iter().zip(decays).map(|(k, d)| d * k).collect();
                let change = betas[r * v_heads + head] * (v - answer(&column, &faded));
                for (i, m) in column.iter_mut().enumerate() {
                    *m = k[i].mul_add(change, decays[i] * *m);
                }
                out[r * shape.width() + head * dim + c] = answer(&column, q);
            }
        }
    }
    out
}

/// The scan of a state space from a sequence's first row on: `vkq` (`[rows, channels]`), `gates` (`[rows, 2, heads]`), `skip`
/// (`[heads]`), and what comes out (`[rows, width]`).
pub fn scan(shape: &ScanShape, vkq: &[f32], gates: &[f32], skip: &[f32]) -> Vec<f32> {
    let ScanShape { heads, key_heads, k_dim, v_dim, .. } = *shape;
    let (width, rows) = (shape.width(), vkq.len() / shape.channels());
    let mut out = vec![0.0; rows * width];
    for c in 0..width {
        let head = c / v_dim;
        let key = width + head / (heads / key_heads) * k_dim;
        // The value channel's column of the matrix, one number a key channel.
        let mut column = vec![0.0f32; k_dim];
        for r in 0..rows {
            let row = &vkq[r * shape.channels()..][..shape.channels()];
            let (v, k, q) = (row[c], &row[key..][..k_dim], &row[key + key_heads * k_dim..][..k_dim]);
            let (decay, step) = (gates[r * 2 * heads + head], gates[(r * 2 + 1) * heads + head]);
            column.iter_mut().zip(k).for_each(|(m, k)| *m = k.mul_add(step * v, decay * *m));
            let chain = |first| (first..k_dim).step_by(2).fold(0.0f32, |sum, i| q[i].mul_add(column[i], sum));
            out[r * width + c] = skip[head].mul_add(v, chain(0) + chain(1));
        }
    }
    out
}

/// The scan of a first Mamba's state space from a sequence's first row on: values and steps (`[rows, width]`), keys and queries
/// (`[rows, 2, k_dim]`), rates (`[width, k_dim]`), `skip` (`[width]`), and what comes out (`[rows, width]`).
pub fn selective_scan(shape: &SelectiveShape, [values, steps, keys, rates, skip]: [&[f32]; 5]) -> Vec<f32> {
    let SelectiveShape { width, k_dim, .. } = *shape;
    let mut out = vec![0.0; values.len()];
    for c in 0..width {
        let mut column = vec![0.0f32; k_dim];
        for r in 0..values.len() / width {
            let (v, step) = (values[r * width + c], steps[r * width + c]);
            let (k, q) = keys[r * 2 * k_dim..][..2 * k_dim].split_at(k_dim);
            for (i, m) in column.iter_mut().enumerate() {
                *m = k[i].mul_add(step * v, exp(step * rates[c * k_dim + i]) * *m);
            }
            let chain = |first| (first..k_dim).step_by(2).fold(0.0f32, |sum, i| q[i].mul_add(column[i], sum));
            out[r * width + c] = skip[c].mul_add(v, chain(0) + chain(1));
        }
    }
    out
}

/// What the matrices of RWKV's heads answer from a sequence's first row on: all `[rows, width]`.
pub fn wkv(shape: &WkvShape, told: Told<'_>, answer: Answer<'_>) -> Vec<f32> {
    let (dim, width) = (shape.dim, shape.width());
    let mut out = vec![0.0; told.values.len()];
    for c in 0..width {
        // The value channel's column of the matrix, one number a key channel.
        let (mut column, head) = (vec![0.0f32; dim], c / dim * dim);
        let sum = |column: &[f32], by: &[f32]| {
            let chain = |first| (first..dim).step_by(2).fold(0.0f32, |sum, i| by[i].mul_add(column[i], sum));
            chain(0) + chain(1)
        };
        for r in 0..told.values.len() / width {
            let of = |all: &'_ [f32]| all[r * width + head..][..dim].to_vec();
            let (asks, d, k, v) = (of(told.asks), of(told.decays), of(told.keys), told.values[r * width + c]);
            let old = column.clone();
            column.iter_mut().enumerate().for_each(|(i, m)| *m = k[i].mul_add(v, d[i] * *m));
            out[r * width + c] = match answer {
                Answer::Corrected([a, b]) => {
                    let (back, b) = (sum(&old, &of(a)), of(b));
                    column.iter_mut().zip(b).for_each(|(m, b)| *m = b.mul_add(back, *m));
                    sum(&column, &asks)
                }
                Answer::Before(u) => {
                    let seen: Vec<f32> = (0..dim).map(|i| (u[head + i] * k[i]).mul_add(v, old[i])).collect();
                    sum(&seen, &asks)
                }
                Answer::After => sum(&column, &asks),
            };
        }
    }
    out
}

/// A sum over channels: sixteen lanes and the tree.
fn lanes(x: impl Iterator<Item = f32>, add: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    x.enumerate().for_each(|(i, v)| lanes[i % 16] = add(v, lanes[i % 16]));
    tree(lanes)
}

fn squares(x: &[f32]) -> f32 {
    lanes(x.iter().copied(), |v, sum| v.mul_add(v, sum))
}

/// The properties of a row of AltUp's.
fn ask(router: &Router<'_>, x: &[f32]) -> [f32; STREAMS] {
    let n = x.len() as f32;
    let r = 1.0 / (squares(x) / n + router.eps).sqrt();
    let h: Vec<f32> = x.iter().zip(router.norm).map(|(x, norm)| x * r * norm * (1.0 / n)).collect();
    let dot = |w: &[f32]| {
        let mut lanes = [0.0f32; 16];
        w.iter().zip(&h).enumerate().for_each(|(i, (w, h))| lanes[i % 16] = w.mul_add(*h, lanes[i % 16]));
        tree(lanes)
    };
    std::array::from_fn(|j| libm::tanhf(dot(&router.w[j * x.len()..][..x.len()])))
}

/// A row's guessed streams, `[STREAMS, dim]`.
pub fn predict(router: &Router<'_>, matrix: &[f32; 64], streams: &[f32]) -> Vec<f32> {
    let dim = streams.len() / STREAMS;
    let m = ask(router, &streams[..dim]);
    let share = |to: usize| (0..STREAMS).fold(0.0f32, |sum, k| matrix[k * 16 + to].mul_add(m[k], sum));
    let new = |j: usize, c: usize| {
        (0..STREAMS).fold(streams[j * dim + c], |sum, i| share(j * STREAMS + i).mul_add(streams[i * dim + c], sum))
    };
    (0..STREAMS * dim).map(|at| new(at / dim, at % dim)).collect()
}

/// A row's corrected streams, and the first times `scale`.
pub fn correct(router: &Router<'_>, matrix: &[f32; 16], streams: &[f32], x: &[f32], scale: &[f32]) -> [Vec<f32>; 2] {
    let (dim, m) = (x.len(), ask(router, x));
    let share = |j: usize| (0..STREAMS).fold(0.0f32, |sum, k| matrix[k * STREAMS + j].mul_add(m[k], sum)) + 1.0;
    let new = |j: usize, c: usize| share(j).mul_add(x[c] - streams[c], streams[j * dim + c]);
    let all: Vec<f32> = (0..STREAMS * dim).map(|at| new(at / dim, at % dim)).collect();
    let first = all.iter().zip(scale).map(|(v, scale)| v * scale).collect();
    [all, first]
}

/// `x` with the length of `like`.
pub fn match_length(x: &[f32], like: &[f32]) -> Vec<f32> {
    let factor = squares(like).sqrt() / squares(x).sqrt();
    x.iter().map(|x| x * factor).collect()
}

/// What is left of a row above its mean and so many standard deviations.
pub fn cut_off(x: &[f32], deviations: f32) -> Vec<f32> {
    let mean = lanes(x.iter().copied(), |v, sum| v + sum) / x.len() as f32;
    let off: Vec<f32> = x.iter().map(|x| x - mean).collect();
    let cut = deviations * (squares(&off) / (x.len().max(2) - 1) as f32).sqrt();
    off.iter().map(|v| v - cut).map(|v| if v < 0.0 { 0.0 } else { v }).collect()
}
