//! RWKV's time mixing: a matrix a head in place of keys and values, each channel of whose keys fades by a factor of its own and
//! of the row's.

use super::mix::{Job, products};
use super::running::{starts, states};
use super::{Forward, SPLIT, Segment, Source};
use crate::config::{self, RecurrentPart};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{Linear, Seventh, Then, Wkv};
use hewn_kernels::CpuIsa;
use hewn_kernels::op::activation::{Activation, activate, add, gate, multiply, scale};
use hewn_kernels::op::elementary::{exp, tanh};
use hewn_kernels::op::layer_norm::layer_norm;
use hewn_kernels::op::wkv::{Answer, Told, wkv};

/// Epsilon of the norms of what heads give.
const HEAD_EPS: f32 = 64e-5;

/// Arrays of rows that go into the matrices and come out: what asks, decays, keys, values, two more, and gates.
pub(crate) const ARRAYS: usize = 7;

impl Forward<'_, '_> {
    /// `t = O(gate * norm(wkv(...)))`.
    pub(super) fn time_mix(&mut self, i: usize, w: &Wkv, segments: &mut [Segment<'_>]) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let Some(RecurrentPart::Wkv(sizes)) = c.recurrent_of(i) else { return Ok(()) };
        let (shape, width) = (&sizes.shape, sizes.shape.width());
        self.mix_products(i, w, sizes, segments)?;
        self.keep_last(i, 0, segments)?;
        match &w.then {
            Then::Sixth { first, .. } => self.sixth(i, w, first.is_none(), sizes)?,
            Then::Seventh(seventh) => self.seventh(i, w, seventh, sizes)?,
        }
        let mut parts = states(segments, i)?;
        self.lap.op(Op::DeltaRule, || Cost {
            kv_bytes: (2 * parts.len() * shape.state().bytes()) as u64,
            float: (n * shape.operations()) as u64,
            ..Cost::elements(n, 5 * width, 1, 0)
        });
        let s = &mut *self.s;
        let rows = &s.wkv.rows[..ARRAYS * n * width];
        let [asks, decays, keys, values, at, back] = [0, 1, 2, 3, 4, 5].map(|j| &rows[j * n * width..][..n * width]);
        let answer = match &w.then {
            Then::Seventh(_) => Answer::Corrected([at, back]),
            Then::Sixth { first: Some(first), .. } => Answer::Before(first),
            Then::Sixth { first: None, .. } => Answer::After,
        };
        let out = &mut s.running.raw[..n * shape.padded_width()];
        wkv(crew, shape, &mut parts, Told { asks, decays, keys, values }, answer, out);

        self.lap.op(Op::Norm, || Cost::elements(n, width, 5, 22));
        let (starts, out, padded, dim) = (starts(&parts), &*out, shape.padded_width(), shape.dim);
        let gates = &rows[6 * n * width..];
        crew.rows(&mut s.up[..n * width], width, n >= SPLIT, |_, r, row| {
            let ([first, rows], isa) = (starts[r], crew.isa());
            shape.gather(&out[first * padded..][..rows * padded], rows, r - first, row);
            if let Some(with) = &w.norm {
                let bias = with.bias.as_deref().map_or(&[][..], |b| b);
                for (h, head) in row.chunks_mut(dim).enumerate() {
                    let bias = bias.get(h * dim..(h + 1) * dim);
                    layer_norm(isa, head, &with.w[h * dim..][..dim], bias, HEAD_EPS);
                }
            }
            let [asks, keys, values, gates] = [asks, keys, values, gates].map(|all| &all[r * width..][..width]);
            match &w.then {
                Then::Sixth { first, .. } => {
                    let (mut gates, kind) = (gates.to_vec(), Activation::Silu);
                    gate(isa, if first.is_some() { kind } else { Activation::Logistic }, &mut gates, row);
                    row.copy_from_slice(&gates);
                }
                Then::Seventh(seventh) => {
                    for (h, head) in row.chunks_mut(dim).enumerate() {
                        let at = h * dim..(h + 1) * dim;
                        let terms = asks[at.clone()].iter().zip(&keys[at.clone()]).zip(&seventh.own[at.clone()]);
                        let share = terms.fold(0.0, |sum, ((r, k), own)| sum + k * r * own);
                        head.iter_mut().zip(&values[at]).for_each(|(out, v)| *out += v * share);
                    }
                    if seventh.gate.is_some() {
                        multiply(row, gates);
                    }
                }
            }
        });
        let then = self.after_attention(i);
        self.project(Source::Gated, &w.o, &then, || format!("after the time mixing of layer {i}"))
    }

    /// What the products read.
    fn mix_products(
        &mut self,
        i: usize,
        w: &Wkv,
        sizes: &config::Wkv,
        segments: &[Segment<'_>],
    ) -> Result<(), EngineError> {
        let (n, dim, crew, gguf) = (self.n, self.model.config().dim, self.crew, self.model.gguf());
        let shares: Vec<&[f32]> = w.mixing.shares.chunks(dim).collect();
        let Some(learnt) = &w.mixing.learnt else { return self.mix(i, 0, &shares, false, segments) };
        self.mix(i, 0, &[&learnt.share], false, segments)?;
        let (s, rank) = (&mut *self.s, learnt.rank);
        let at = || format!("before the time mixing of layer {i}");
        let (inside, parts) = s.wkv.inside[..n * sizes.inside()].split_at_mut(n * 5 * rank);
        let job = Job { w: learnt.into.view(gguf), x: &s.wkv.mixed[..n * dim], out: &mut *inside };
        products(crew, self.lap, n, vec![job], &mut s.wkv.blocks, at)?;
        self.lap.op(Op::Activation, || Cost::elements(n, 5 * rank, 2, 40));
        let (inside, parts) = (&*inside, &mut parts[..n * 5 * rank]);
        crew.rows(parts, rank, n >= SPLIT, |_, j, out| {
            let (part, r) = (j / n, j % n);
            let x = &inside[(r * 5 + part) * rank..][..rank];
            out.copy_from_slice(x);
            tanh(crew.isa(), out);
        });
        let outs = s.wkv.mixed[..5 * n * dim].chunks_mut(n * dim);
        let jobs = parts.chunks(n * rank).zip(outs).enumerate();
        let jobs = jobs.map(|(j, (x, out))| Job { w: learnt.back.view(gguf, j), x, out }).collect();
        products(crew, self.lap, n, jobs, &mut s.wkv.blocks, at)?;
        self.mix(i, 0, &shares, true, segments)
    }

    /// What goes into the matrices in the sixth, and the gates.
    fn sixth(&mut self, i: usize, w: &Wkv, linear: bool, sizes: &config::Wkv) -> Result<(), EngineError> {
        let Then::Sixth { gate, .. } = &w.then else { return Ok(()) };
        let (n, crew, gguf, stream) = (self.n, self.crew, self.model.gguf(), self.model.config().dim);
        let (shape, width, dim, kv_heads) = (&sizes.shape, sizes.shape.width(), sizes.shape.dim, sizes.kv_heads);
        let kv_width = kv_heads * dim;
        let at = || format!("before the time mixing of layer {i}");
        let s = &mut *self.s;
        let [xw, xk, xv, xr, xg] = [0, 1, 2, 3, 4].map(|j| &s.wkv.mixed[j * n * stream..][..n * stream]);
        let [asks, decays, keys, values, raw_keys, raw_values, gates] = arrays(&mut s.wkv.rows, n * width);
        let inside = &mut s.wkv.inside[..n * sizes.decay_rank];
        let jobs = vec![
            Job { w: w.asks.w.view(gguf), x: xr, out: &mut *asks },
            Job { w: w.keys.w.view(gguf), x: xk, out: &mut raw_keys[..n * kv_width] },
            Job { w: w.values.w.view(gguf), x: xv, out: &mut raw_values[..n * kv_width] },
            Job { w: gate.view(gguf), x: xg, out: gates },
            Job { w: w.decay.into.view(gguf), x: xw, out: &mut *inside },
        ];
        products(crew, self.lap, n, jobs, &mut s.wkv.blocks, at)?;
        crew.rows(inside, sizes.decay_rank, n >= SPLIT, |_, _, row| tanh(crew.isa(), row));
        let job = Job { w: w.decay.back.view(gguf), x: inside, out: &mut *decays };
        products(crew, self.lap, n, vec![job], &mut s.wkv.blocks, at)?;

        self.lap.op(Op::Activation, || Cost::elements(n, width, 6, 80));
        biased(crew, &w.asks, asks, n);
        biased(crew, &w.keys, &mut raw_keys[..n * kv_width], n);
        biased(crew, &w.values, &mut raw_values[..n * kv_width], n);
        let (raw_keys, raw_values) = (&*raw_keys, &*raw_values);
        let heads =
            asks.chunks_mut(dim).zip(decays.chunks_mut(dim)).zip(keys.chunks_mut(dim).zip(values.chunks_mut(dim)));
        let mut heads: Vec<_> = heads.collect();
        let scale = 1.0 / (dim as f32).sqrt();
        crew.rows(&mut heads, 1, true, |_, j, heads| {
            let (r, head) = (j / shape.heads, j % shape.heads);
            let from = r * kv_width + head / (shape.heads / kv_heads) * dim;
            for ((asks, decays), (keys, values)) in heads {
                values.copy_from_slice(&raw_values[from..][..dim]);
                keys.copy_from_slice(&raw_keys[from..][..dim]);
                let base = &w.decay.base[head * dim..][..dim];
                add(decays, base);
                exp(crew.isa(), decays);
                decays.iter_mut().for_each(|d| *d = -*d);
                exp(crew.isa(), decays);
                if linear {
                    // What fades makes room for the key.
                    keys.iter_mut().zip(decays.iter()).for_each(|(k, d)| *k -= *k * d);
                    asks.iter_mut().for_each(|q| *q *= scale);
                }
            }
        });
        Ok(())
    }

    /// What goes into the matrices in the seventh, and the gates.
    fn seventh(&mut self, i: usize, w: &Wkv, own: &Seventh, sizes: &config::Wkv) -> Result<(), EngineError> {
        let (n, crew, gguf, stream) = (self.n, self.crew, self.model.gguf(), self.model.config().dim);
        let (shape, width, dim) = (&sizes.shape, sizes.shape.width(), sizes.shape.dim);
        let at = || format!("before the time mixing of layer {i}");
        let s = &mut *self.s;
        // The last one is for the gates, where there are some.
        let products_read = w.mixing.shares.len() / stream;
        let mixed = |j: usize| &s.wkv.mixed[j.min(products_read - 1) * n * stream..][..n * stream];
        let [asks, decays, keys, values, rates, residuals, gates] = arrays(&mut s.wkv.rows, n * width);
        let (in_decay, rest) = s.wkv.inside.split_at_mut(n * sizes.decay_rank);
        let (in_rate, rest) = rest.split_at_mut(n * sizes.rate_rank);
        let (in_residual, rest) = rest.split_at_mut(n * sizes.residual_rank);
        let in_gate = &mut rest[..n * sizes.gate_rank];
        let mut jobs = vec![
            Job { w: w.asks.w.view(gguf), x: mixed(0), out: &mut *asks },
            Job { w: w.keys.w.view(gguf), x: mixed(2), out: &mut *keys },
            Job { w: w.values.w.view(gguf), x: mixed(3), out: &mut *values },
            Job { w: w.decay.into.view(gguf), x: mixed(1), out: &mut *in_decay },
            Job { w: own.rate.into.view(gguf), x: mixed(4), out: &mut *in_rate },
        ];
        if let Some(residual) = &own.residual {
            jobs.push(Job { w: residual.into.view(gguf), x: mixed(3), out: &mut *in_residual });
        }
        if let Some(gate) = &own.gate {
            jobs.push(Job { w: gate.into.view(gguf), x: mixed(5), out: &mut *in_gate });
        }
        products(crew, self.lap, n, jobs, &mut s.wkv.blocks, at)?;
        self.lap.op(Op::Activation, || Cost::elements(n, sizes.decay_rank + sizes.gate_rank, 2, 25));
        crew.rows(in_decay, sizes.decay_rank, n >= SPLIT, |_, _, row| tanh(crew.isa(), row));
        crew.rows(in_gate, sizes.gate_rank, n >= SPLIT, |_, _, row| activate(crew.isa(), Activation::Logistic, row));
        let mut jobs = vec![
            Job { w: w.decay.back.view(gguf), x: in_decay, out: &mut *decays },
            Job { w: own.rate.back.view(gguf), x: in_rate, out: &mut *rates },
        ];
        if let Some(residual) = &own.residual {
            jobs.push(Job { w: residual.back.view(gguf), x: in_residual, out: &mut *residuals });
        }
        if let Some(gate) = &own.gate {
            jobs.push(Job { w: gate.back.view(gguf), x: in_gate, out: gates });
        }
        products(crew, self.lap, n, jobs, &mut s.wkv.blocks, at)?;

        self.lap.op(Op::Activation, || Cost::elements(n, width, 8, 120));
        for (linear, out) in [(&w.asks, asks), (&w.keys, &mut *keys), (&w.values, &mut *values)] {
            biased(crew, linear, out, n);
        }
        if own.residual.is_none() {
            s.wkv.first[..n * width].copy_from_slice(values);
        }
        let first = &s.wkv.first;
        let pairs = decays.chunks_mut(dim).zip(keys.chunks_mut(dim)).zip(values.chunks_mut(dim));
        let mut heads: Vec<_> = pairs.zip(rates.chunks_mut(dim).zip(residuals.chunks_mut(dim))).collect();
        crew.rows(&mut heads, 1, true, |_, j, heads| {
            for (((decays, keys), values), (rates, residuals)) in heads {
                let (from, head) = (j * dim, j % shape.heads * dim);
                let head = Head { w, own, head, first: &first[from..][..dim] };
                head.finish(crew.isa(), decays, keys, values, rates, residuals);
            }
        });
        Ok(())
    }
}

/// One head of one row in the seventh.
struct Head<'a> {
    w: &'a Wkv,
    own: &'a Seventh,
    /// Its first channel.
    head: usize,
    /// The first layer's values.
    first: &'a [f32],
}

impl Head<'_> {
    /// What products gave becomes decays, keys and values; rates become what asks before the matrix is corrected, and residuals
    /// where it is.
    fn finish(
        &self,
        isa: CpuIsa,
        decays: &mut [f32],
        keys: &mut [f32],
        values: &mut [f32],
        rates: &mut [f32],
        residuals: &mut [f32],
    ) {
        // The root of 1/e, so that nothing fades faster.
        const FASTEST: f32 = -0.606_531;
        let (own, all) = (self.own, self.head..self.head + keys.len());
        let logistic = |x: &mut [f32], base: &[f32]| {
            add(x, &base[all.clone()]);
            activate(isa, Activation::Logistic, x);
        };
        logistic(decays, &self.w.decay.base);
        scale(decays, FASTEST);
        exp(isa, decays);
        if let Some(residual) = &own.residual {
            logistic(residuals, &residual.base);
            let shares = self.first.iter().zip(&*residuals);
            values.iter_mut().zip(shares).for_each(|(v, (first, share))| *v += (first - *v) * share);
        }
        logistic(rates, &own.rate.base);
        let mut squares = 0.0;
        for c in 0..keys.len() {
            let at = self.head + c;
            let (rate, key) = (rates[c], keys[c]);
            let (corrected, rated) = (key * own.corrected[at], key * own.rated[at]);
            keys[c] = key + (rate * rated - rated);
            squares += corrected * corrected;
            (rates[c], residuals[c]) = (-corrected, corrected * rate);
        }
        let unit = 1.0 / squares.sqrt().max(1e-12);
        rates.iter_mut().chain(residuals).for_each(|v| *v *= unit);
    }
}

/// The arrays of `len` numbers each.
pub(super) fn arrays<const N: usize>(rows: &mut [f32], len: usize) -> [&mut [f32]; N] {
    let mut rest = rows;
    [(); N].map(|()| super::running::take(&mut rest, len))
}

fn biased(crew: &hewn_kernels::Crew<'_>, linear: &Linear, out: &mut [f32], n: usize) {
    if let Some(bias) = &linear.bias {
        crew.rows(out, bias.len(), n >= SPLIT, |_, _, row| add(row, bias));
    }
}
