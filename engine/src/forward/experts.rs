//! A mixture of experts: each row goes to a few of them.
//!
//! Rows are sorted by expert, so that an expert's weights are read once for all rows that chose it, and those of an
//! expert that nobody chose are not read at all. A row's result is the sum over its experts, the best first: neither the
//! other rows of the step nor the threads have a say in it.

use super::adapters::Times;
use super::route::{route, route_to, sigmoid};
use super::rows::{gather_parts, quantize_parts};
use super::{Forward, SPLIT, bias, blocks_of, foresee, quantize_rows};
use crate::config;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::scratch::Choice;
use crate::weights::{Beside, ExpertStacks, Experts, Shared, Stack};
use hewn_kernels::Crew;
use hewn_kernels::op::activation::{activate, add, add_scaled, gate, scale};
use hewn_kernels::op::matmul::{Input, Product};
use hewn_kernels::op::quantize::ActBlock;
use hewn_kernels::op::soft_cap::soft_cap;

/// The rows of a step sorted by the experts that take them.
struct Sorted {
    /// Experts that take rows, ascending, and how many.
    experts: Vec<(usize, usize)>,
    /// The row of each sorted place, `[rows * used]`.
    rows: Vec<usize>,
    /// Its expert.
    expert: Vec<usize>,
    /// The sorted place of each row's choice, `[rows, used]`.
    places: Vec<usize>,
}

impl Sorted {
    fn new(chosen: &[Choice], used: usize, count: usize) -> Self {
        let mut taken = vec![0; count];
        chosen.iter().for_each(|c| taken[c.expert as usize] += 1);
        let mut next: Vec<usize> = taken
            .iter()
            .scan(0, |at, n| {
                *at += n;
                Some(*at - n)
            })
            .collect();
        let (mut rows, mut expert, mut places) = (vec![0; chosen.len()], vec![0; chosen.len()], Vec::new());
        for (i, c) in chosen.iter().enumerate() {
            let e = c.expert as usize;
            (rows[next[e]], expert[next[e]]) = (i / used, e);
            places.push(next[e]);
            next[e] += 1;
        }
        let experts = taken.into_iter().enumerate().filter(|(_, n)| *n > 0).collect();
        Self { experts, rows, expert, places }
    }

    fn parts(&self) -> Vec<usize> {
        self.experts.iter().map(|e| e.1).collect()
    }
}

impl Forward<'_, '_> {
    /// The choice of each row's experts by the stream as it is.
    pub(super) fn choose_early(&mut self, i: usize, w: &Experts) -> Result<(), EngineError> {
        let Some(e) = &self.model.config().experts else { return Ok(()) };
        self.normed(None);
        self.quantize_h(&[&w.router.w], || format!("before the router of layer {i}"))?;
        self.choose(i, e, w)
    }

    /// `t = sum over the chosen experts of weight * Down(act(Gate h) * Up h)` (`act(Up h)` without gates), and the shared expert's output.
    pub(super) fn experts(&mut self, i: usize, w: &Experts) -> Result<(), EngineError> {
        let c = self.model.config();
        let Some(e) = &c.experts else { return Ok(()) };
        let at = || format!("before the feed-forward part of layer {i}");
        let early = c.arch.early_choice;
        let quant = !early && w.router.w.is_quant()
            || w.stacks.first().chain(w.adjugates.iter().flat_map(ExpertStacks::first)).any(Stack::is_quant)
            || w.narrow.as_ref().is_some_and(|narrow| narrow.down.is_quant())
            || w.shared.iter().flat_map(|s| s.part.first().into_iter().chain(&s.gate)).any(|m| m.is_quant());
        self.quantize_h_if(quant, at)?;
        if !early {
            self.choose(i, e, w)?;
        }
        if let Some(narrow) = &w.narrow {
            self.narrow(i, narrow, &w.stacks)?;
        }
        let sorted = Sorted::new(&self.s.experts.chosen[..self.n * e.used], e.used, e.count);
        self.run_experts(i, e.ff, &w.stacks, &sorted)?;
        self.combine(&w.stacks, &sorted, false);
        if let Some(narrow) = &w.narrow {
            self.widen(i, narrow)?;
        }
        if let (Some(a), Some(w)) = (&e.adjugates, &w.adjugates) {
            // The same rows with the same weights, by way of what each expert's group shares.
            let chosen = &mut self.s.experts.chosen[..self.n * e.used];
            chosen.iter_mut().for_each(|c| (c.expert, c.weight) = (c.expert / a.sharing as u32, c.weight * a.scale));
            let sorted = Sorted::new(chosen, e.used, e.count / a.sharing);
            self.run_experts(i, a.ff, w, &sorted)?;
            self.combine(w, &sorted, true);
        }
        match &w.shared {
            Some(shared) => self.shared_expert(i, shared),
            None => Ok(()),
        }
    }

    /// `t = norm(dense(h)) + norm(experts(norm(x)))`; the router reads the stream with a norm of its own.
    pub(super) fn beside(&mut self, i: usize, w: &Beside) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let Some(e) = &c.experts else { return Ok(()) };
        self.dense(i, &w.dense)?;
        self.norm_part(&w.after_dense);
        std::mem::swap(&mut self.s.t, &mut self.s.experts.dense);
        let at = || format!("before the router of layer {i}");
        self.normed(Some(&w.router_norm));
        self.quantize_h(&[&w.experts.router.w], at)?;
        self.choose(i, e, &w.experts)?;
        self.normed(Some(&w.before_experts));
        let at = || format!("before the experts of layer {i}");
        self.quantize_h_if(w.experts.stacks.first().any(Stack::is_quant), at)?;
        let sorted = Sorted::new(&self.s.experts.chosen[..n * e.used], e.used, e.count);
        self.run_experts(i, e.ff, &w.experts.stacks, &sorted)?;
        self.combine(&w.experts.stacks, &sorted, false);
        self.norm_part(&w.after_experts);
        self.lap.op(Op::Combine, || Cost::elements(n, c.dim, 3, 1));
        let dense = &self.s.experts.dense;
        crew.rows(&mut self.s.t[..n * c.dim], c.dim, n >= SPLIT, |_, r, t| add(t, &dense[r * c.dim..][..c.dim]));
        Ok(())
    }

    /// The scores of all experts, and the choice of each row.
    fn choose(&mut self, i: usize, e: &config::Experts, w: &Experts) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let (times, shared) = (self.times(), w.shared.as_ref().and_then(|s| s.gate.as_ref()));
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let scores = &mut s.experts.scores[..n * e.count];
        let mut products = vec![Product { w: w.router.w.view(gguf), x, out: &mut *scores }];
        if let Some(gate) = shared {
            products.push(Product { w: gate.view(gguf), x, out: &mut s.experts.shared[..n] });
        }
        self.lap.op(Op::Router, || {
            let mut cost = times.cost(n, [&w.router.w].into_iter().chain(shared));
            // An exponential, and a comparison for each one that is chosen.
            cost += Cost { rows: 0, ..Cost::elements(n, e.count, 2, 20 + e.used) };
            cost
        });
        times.all(n, [&w.router.w].into_iter().chain(shared), &mut products, &mut s.low);
        crew.rows(scores, e.count, n >= SPLIT, |_, _, row| {
            bias(&w.router, row);
            if let Some(cap) = e.score_cap {
                soft_cap(crew.isa(), row, cap);
            }
        });
        if !scores.iter().all(|v| v.is_finite()) {
            return Err(EngineError::NonFinite { at: format!("among the experts' scores of layer {i}") });
        }
        let (scores, tokens) = (&*scores, &self.tokens);
        crew.rows(&mut s.experts.chosen[..n * e.used], e.used, n >= SPLIT, |_, r, chosen| {
            let mut scores = scores[r * e.count..][..e.count].to_vec();
            match &w.hashed {
                Some(table) => route_to(e, &mut scores, &table[tokens[r] as usize * e.used..][..e.used], chosen),
                None => route(e, &mut scores, w.choice_bias.as_deref(), chosen),
            }
            if let Some(scale) = &w.scale {
                chosen.iter_mut().for_each(|c| c.weight *= scale[c.expert as usize]);
            }
        });
        Ok(())
    }

    /// The chosen experts' outputs, sorted by expert: `experts.rows`.
    fn run_experts(&mut self, i: usize, ff: usize, w: &ExpertStacks, order: &Sorted) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let (dim, parts, all) = (w.up.cols(), order.parts(), order.rows.len());
        let times = self.times();
        let s = &mut *self.s;
        let (h, h_blocks) = match c.experts.as_ref().and_then(|e| e.narrow) {
            Some(_) => (&s.experts.narrow[0], &s.experts.narrow_blocks),
            None => (&s.h, &s.blocks),
        };
        let (floats, blocks) = (&mut s.experts.rows[..all * dim], &mut s.experts.blocks[..]);
        // One row is the same input for all of its experts, unless one takes it twice: for two that share it.
        let single = n == 1 && parts.iter().all(|rows| *rows == 1);
        if !single {
            self.lap.op(Op::Regroup, || {
                let of = |m: &Stack| if m.is_quant() { dim / 32 * size_of::<ActBlock>() } else { dim * 4 };
                let up = of(&w.up);
                let row = up + w.gate.as_ref().map(of).filter(|gate| *gate != up).unwrap_or(0);
                Cost { rows: all, activation_bytes: (2 * all * row) as u64, ..Cost::default() }
            });
            if w.first().any(Stack::is_quant) {
                gather_parts(crew, &parts, &order.rows, (h_blocks, n), dim, blocks);
            }
            if !w.first().all(|m| m.is_quant() && !m.is_adapted()) {
                crew.rows(floats, dim, true, |_, p, x| x.copy_from_slice(&h[order.rows[p] * dim..][..dim]));
            }
        }
        let (out, up) = (&mut s.gate[..all * ff], &mut s.up[..all * ff]);
        self.lap.op(Op::ExpertGateUp, || expert_cost(times, order, || w.first()));
        {
            let input = |first: usize, rows: usize| match single {
                true => Input { floats: &h[..dim], blocks: blocks_of(h_blocks, 1, dim) },
                false => Input { floats: &floats[first * dim..][..rows * dim], blocks: part(blocks, first, rows, dim) },
            };
            let (mut gates, mut ups, mut first) = (&mut *out, &mut *up, 0);
            let mut products = Vec::with_capacity(2 * parts.len());
            for &(expert, rows) in &order.experts {
                let x = input(first, rows);
                // Without gates, what `up` gives is where they would be.
                for (w, out) in w.first().zip([&mut gates, &mut ups]) {
                    products.push(Product { w: w.view(gguf, expert), x, out: take(out, rows * ff) });
                }
                first += rows;
            }
            let of = order.experts.iter().flat_map(|(expert, _)| w.first().map(|m| (m, *expert)));
            times.each(of, &mut products, &mut s.low);
        }
        let (gated, kind) = (w.gate.is_some(), c.expert_activation(i));
        if c.arch.weighed_input {
            weigh(crew, &mut s.experts.chosen[..all], order, ff, [&mut *out, if gated { &mut *up } else { &mut [] }]);
        }
        self.lap.op(Op::Activation, || Cost::elements(all, ff, 2 + usize::from(gated), 20));
        if let Some(b) = &w.up_bias {
            let up = if gated { &mut *up } else { &mut *out };
            crew.rows(up, ff, all >= SPLIT, |_, p, row| add(row, &b[order.expert[p] * ff..][..ff]));
        }
        crew.rows(out, ff, all >= SPLIT, |_, p, row| {
            if let Some(b) = &w.gate_bias {
                add(row, &b[order.expert[p] * ff..][..ff]);
            }
            match gated {
                true => gate(crew.isa(), kind, row, &up[p * ff..][..ff]),
                false => activate(crew.isa(), kind, row),
            }
        });
        let blocks = &mut s.experts.blocks[..];
        if w.down.is_quant() {
            self.lap.op(Op::Quantize, || Cost::quantize(all, ff));
            quantize_parts(crew, &parts, out, ff, blocks, || format!("in the experts of layer {i}"))?;
        }
        self.lap.op(Op::ExpertDown, || expert_cost(times, order, || [&w.down].into_iter()));
        let (mut outs, mut first) = (floats, 0);
        let mut products = Vec::with_capacity(parts.len());
        for &(expert, rows) in &order.experts {
            let x = Input { floats: &out[first * ff..][..rows * ff], blocks: part(blocks, first, rows, ff) };
            products.push(Product { w: w.down.view(gguf, expert), x, out: take(&mut outs, rows * dim) });
            first += rows;
        }
        times.each(order.experts.iter().map(|(expert, _)| (&w.down, *expert)), &mut products, &mut s.low);
        Ok(())
    }

    /// `t` = the weighted sum of each row's experts, the best first; where there is a sum already, they are added to it. Of experts
    /// that run on fewer channels than the stream has, `experts.narrow[1]`.
    fn combine(&mut self, w: &ExpertStacks, order: &Sorted, more: bool) {
        let (dim, n, crew) = (w.down.rows, self.n, self.crew);
        let (s, used) = (&mut *self.s, order.rows.len() / n);
        let narrow = self.model.config().experts.as_ref().and_then(|e| e.narrow);
        let sum = if narrow.is_some() { &mut s.experts.narrow[1] } else { &mut s.t };
        self.lap.op(Op::Combine, || Cost::elements(n, dim, used + 1, used));
        let outs = &mut s.experts.rows[..n * used * dim];
        if let Some(b) = &w.down_bias {
            crew.rows(outs, dim, n >= SPLIT, |_, p, row| add(row, &b[order.expert[p] * dim..][..dim]));
        }
        let chosen = &s.experts.chosen;
        crew.rows(&mut sum[..n * dim], dim, n >= SPLIT, |_, r, t| {
            if !more {
                t.fill(0.0);
            }
            for j in r * used..(r + 1) * used {
                add_scaled(t, &outs[order.places[j] * dim..][..dim], chosen[j].weight);
            }
        });
    }

    /// `t += sigmoid(gate h) * Down(act(Gate h) * Up h)`; then times the architecture's factor.
    fn shared_expert(&mut self, i: usize, w: &Shared) -> Result<(), EngineError> {
        self.activated(self.model.config().activation(i), &w.part);
        let then = self.after_ff(i);
        let (dim, n, crew, times) = (self.model.config().dim, self.n, self.crew, self.times());
        let down = &w.part.down;
        self.lap_quantize(down.w.is_quant(), n, down.w.cols);
        let s = &mut *self.s;
        let floats = &s.gate[..n * down.w.cols];
        let at = || format!("in the shared expert of layer {i}");
        quantize_rows(crew, down.w.is_quant(), floats, down.w.cols, &mut s.blocks, at)?;
        let x = Input { floats, blocks: blocks_of(&s.blocks, n, down.w.cols) };
        self.lap.op(Op::DownProduct, || times.cost(n, [&down.w]));
        let out = &mut s.experts.rows[..n * dim];
        foresee(crew, n, self.model, &then.weights);
        times.one(n, &down.w, x, out, &mut s.low);
        self.lap.op(Op::Combine, || Cost::elements(n, dim, 3, 1));
        let (out, scores, factor) = (&*out, &s.experts.shared, self.model.config().arch.shared_scale);
        crew.rows(&mut s.t[..n * dim], dim, n >= SPLIT, |_, r, t| {
            match &w.gate {
                Some(_) => add_scaled(t, &out[r * dim..][..dim], sigmoid(scores[r])),
                None => add(t, &out[r * dim..][..dim]),
            }
            if factor != 1.0 {
                scale(t, factor);
            }
        });
        Ok(())
    }
}

/// Multiplies what each expert's rows gave with the choice's weight, as if their input had been; from then on that is 1.
fn weigh(crew: &Crew<'_>, chosen: &mut [Choice], order: &Sorted, ff: usize, parts: [&mut [f32]; 2]) {
    let mut weights = vec![1.0; chosen.len()];
    chosen.iter_mut().zip(&order.places).for_each(|(c, place)| weights[*place] = std::mem::replace(&mut c.weight, 1.0));
    for part in parts {
        crew.rows(part, ff, weights.len() >= SPLIT, |_, p, row| scale(row, weights[p]));
    }
}

/// What products of each expert's rows with its matrices cost: the weights of those that take rows, and no others.
fn expert_cost<'a, I: Iterator<Item = &'a Stack>>(times: Times<'_>, order: &Sorted, stacks: impl Fn() -> I) -> Cost {
    let mut all = Cost::default();
    for (expert, rows) in &order.experts {
        let views: Vec<_> = stacks().map(|m| m.view(times.gguf, *expert)).collect();
        all += Cost::products(*rows, &views);
        times.add_cost(&mut all, stacks().map(|stack| stack.low(*expert)), *rows);
    }
    all
}

/// The blocks of `rows` rows from sorted place `first` on; none where rows are not whole blocks.
fn part<T>(blocks: &[T], first: usize, rows: usize, width: usize) -> &[T] {
    if width.is_multiple_of(32) { &blocks[first * width / 32..][..rows * width / 32] } else { &[] }
}

/// Takes the first `n` off a slice.
fn take<'a>(from: &mut &'a mut [f32], n: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(from).split_at_mut(n);
    *from = rest;
    first
}
