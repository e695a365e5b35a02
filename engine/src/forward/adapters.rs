//! Low-rank adapters: which rows have one, and what it adds to their products.

use super::running::take;
use super::{Forward, Segment};
use crate::config::ModelConfig;
use crate::record::Cost;
use crate::weights::{LookedUp, LowRank, MatrixRef, Stack};
use hewn_kernels::Crew;
use hewn_kernels::op::activation::add_scaled;
use hewn_kernels::op::matmul::{Input, Matrix, Product, matmul, matmul_each};
use hewn_loader::Gguf;
use std::ops::Range;

/// Rows of a step and the adapter that tokens have switched on for all of them.
pub(crate) type Switched = Vec<(usize, Vec<usize>)>;

/// Numbers that there is room for where products of low rank are made; more only if one row takes more.
pub(crate) const ROOM: usize = 1 << 20;

/// Numbers that a thread adds at a time.
const PART: usize = 16 << 10;

/// Finds out which rows have an adapter: the tokens before them in their sequences tell.
pub(crate) fn switched(c: &ModelConfig, segments: &[Segment<'_>]) -> Switched {
    let mut switched = Switched::new();
    let Some(adapters) = &c.adapters else { return switched };
    let mut row = 0;
    for seg in segments {
        let (mut tokens, mut seen, mut sum) = (0, 0, 0);
        for (i, token) in seg.seq.tokens().iter().chain(seg.tokens).enumerate() {
            tokens += 1;
            if let Some([adapter, _]) = adapters.of(*token) {
                (seen, sum) = (seen + 1, sum + u64::from(adapter));
            }
            if i < seg.seq.len() {
                continue;
            }
            match adapters.choose(tokens, seen, sum) {
                0 => {}
                adapter => match switched.iter_mut().find(|s| s.0 == adapter) {
                    Some((_, rows)) => rows.push(row),
                    None => switched.push((adapter, vec![row])),
                },
            }
            row += 1;
        }
    }
    switched
}

impl<'m> Forward<'m, '_> {
    /// What multiplies with matrices that may have adapters.
    pub(super) fn times(&self) -> Times<'m> {
        Times { crew: self.crew, gguf: self.model.gguf(), switched: self.switched }
    }
}

/// Products with matrices and their adapters.
#[derive(Clone, Copy)]
pub(super) struct Times<'a> {
    pub crew: &'a Crew<'a>,
    pub gguf: &'a Gguf,
    pub switched: &'a Switched,
}

/// What adapters add to a product.
struct Job<'a> {
    low: &'a [LowRank],
    /// Which of their matrices, where rows do not tell.
    matrix: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

/// What one adapter adds to some rows of a product.
struct Piece<'a> {
    a: Matrix<'a>,
    b: Matrix<'a>,
    scale: f32,
    job: usize,
    /// The rows that it is added to, where not to all.
    only: Option<&'a [usize]>,
    first: usize,
    x: &'a [f32],
}

impl Piece<'_> {
    fn rows(&self) -> usize {
        self.x.len() / self.a.cols()
    }

    fn numbers(&self) -> usize {
        self.rows() * (self.a.rows() + self.b.rows())
    }
}

impl<'a> Times<'a> {
    /// Whether an adapter adds anything to the product with `w`; then it reads `w`'s input as f32.
    pub fn adapts(&self, w: &MatrixRef) -> bool {
        w.low.iter().any(|low| !low.switched || !self.switched.is_empty())
    }

    /// What the products of `n` rows with matrices and their adapters cost.
    pub fn cost<'w>(&self, n: usize, of: impl IntoIterator<Item = &'w MatrixRef> + Clone) -> Cost {
        let views: Vec<_> = of.clone().into_iter().map(|w| w.view(self.gguf)).collect();
        let mut all = Cost::products(n, &views);
        self.add_cost(&mut all, of.into_iter().map(|w| (&w.low[..], 0)), n);
        all
    }

    /// Counts what adapters add to `n` rows of products of the same input.
    pub fn add_cost<'w>(&self, all: &mut Cost, of: impl Iterator<Item = (&'w [LowRank], usize)>, n: usize) {
        let mut seen = Vec::new();
        for (low, matrix) in of.flat_map(|(low, matrix)| low.iter().map(move |low| (low, matrix))) {
            let mut count = |matrix: usize, rows: usize| {
                let (a, b) = (low.a.view(self.gguf, matrix), low.b.view(self.gguf, matrix));
                // Parts of one matrix share it.
                let first = if seen.contains(&a.data().as_ptr()) { &[][..] } else { &[a] };
                seen.push(a.data().as_ptr());
                *all += Cost { rows: 0, ..Cost::products(rows, first) };
                *all += Cost { rows: 0, ..Cost::products(rows, &[b]) };
            };
            match low.switched {
                false => count(matrix, n),
                true => self.switched.iter().for_each(|(adapter, rows)| count(*adapter, rows.len())),
            }
        }
    }

    /// `out = w x`, of `n` rows.
    pub fn one(&self, n: usize, w: &MatrixRef, x: Input<'_>, out: &mut [f32], room: &mut [f32]) {
        matmul(self.crew, n, &mut [Product { w: w.view(self.gguf), x, out: &mut *out }]);
        if self.adapts(w) {
            self.add(vec![Job { low: &w.low, matrix: 0, x: x.floats, out }], room);
        }
    }

    /// The products with `of`, in that order, of `n` rows each.
    pub fn all<'w>(
        &self,
        n: usize,
        of: impl IntoIterator<Item = &'w MatrixRef> + Clone,
        products: &mut [Product<'_>],
        room: &mut [f32],
    ) {
        matmul(self.crew, n, products);
        if of.clone().into_iter().any(|w| self.adapts(w)) {
            let each = of.into_iter().zip(products).filter(|(w, _)| self.adapts(w));
            let jobs = each.map(|(w, p)| Job { low: &w.low, matrix: 0, x: p.x.floats, out: p.out });
            self.add(jobs.collect(), room);
        }
    }

    /// The products with matrices of stacks, in the order of `of`, each of as many rows as it has.
    pub fn each<'w>(
        &self,
        of: impl Iterator<Item = (&'w Stack, usize)> + Clone,
        products: &mut [Product<'_>],
        room: &mut [f32],
    ) {
        matmul_each(self.crew, products);
        if of.clone().any(|(w, _)| w.is_adapted()) {
            let jobs = of.zip(products).map(|((w, i), p)| {
                let (low, matrix) = w.low(i);
                Job { low, matrix, x: p.x.floats, out: p.out }
            });
            self.add(jobs.filter(|job| !job.low.is_empty()).collect(), room);
        }
    }

    /// `out += scale * B a`, where `a` is the row of `A` that is looked up for each row.
    pub fn look_up(&self, low: &LookedUp, rows: &[usize], out: &mut [f32], room: &mut [f32]) {
        let (table, b) = (low.a.view(self.gguf), low.b.view(self.gguf));
        let (rank, outs) = (table.cols(), b.rows());
        let at_once = (room.len() / (rank + outs)).max(1);
        for (rows, out) in rows.chunks(at_once).zip(out.chunks_mut(at_once * outs)) {
            let (inside, added) = room.split_at_mut(rows.len() * rank);
            for (to, row) in inside.chunks_exact_mut(rank).zip(rows) {
                table.format().dequantize(table.file_row(*row).unwrap_or(&[]), to);
            }
            let added = &mut added[..out.len()];
            matmul(self.crew, rows.len(), &mut [Product { w: b, x: floats(inside), out: &mut *added }]);
            self.join(out, added, low.scale);
        }
    }

    /// `out += scale * added`
    fn join(&self, out: &mut [f32], added: &[f32], scale: f32) {
        self.crew.rows(out, PART, true, |_, i, out| add_scaled(out, &added[i * PART..][..out.len()], scale));
    }

    /// `out += scale * B (A x)` for each job's adapters in their order. The products with `A` of all jobs are one region, as are
    /// those with `B`, as far as there is room for what they give.
    fn add<'x>(&self, mut jobs: Vec<Job<'x>>, room: &mut [f32])
    where
        'a: 'x,
    {
        let most = jobs.iter().map(|job| job.low.len()).max().unwrap_or(0);
        for k in 0..most {
            let mut pieces: Vec<Piece<'x>> = Vec::new();
            for (i, job) in jobs.iter().enumerate() {
                let Some(low) = job.low.get(k) else { continue };
                let mut cut = |matrix: usize, rows: Range<usize>, only: Option<&'x [usize]>| {
                    let (a, b) = (low.a.view(self.gguf, matrix), low.b.view(self.gguf, matrix));
                    let at_once = (room.len() / (a.rows() + b.rows())).max(1);
                    for first in rows.clone().step_by(at_once) {
                        let n = at_once.min(rows.end - first);
                        let x = &job.x[first * a.cols()..][..n * a.cols()];
                        pieces.push(Piece { a, b, scale: low.scale, job: i, only, first, x });
                    }
                };
                match low.switched {
                    false => cut(job.matrix, 0..job.x.len() / low.a.cols(), None),
                    true => self.switched.iter().for_each(|(adapter, rows)| {
                        let end = rows.last().map_or(0, |last| last + 1);
                        cut(*adapter, rows.first().copied().unwrap_or(0)..end, Some(rows));
                    }),
                }
            }
            let mut rest = &pieces[..];
            while !rest.is_empty() {
                let mut taken = 0;
                let fits = |piece: &&Piece<'_>| {
                    taken += piece.numbers();
                    taken <= room.len()
                };
                let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
                self.add_pieces(now, &mut jobs, room);
                rest = later;
            }
        }
    }

    fn add_pieces(&self, pieces: &[Piece<'_>], jobs: &mut [Job<'_>], mut room: &mut [f32]) {
        let crew = self.crew;
        // Parts of one matrix share the first of an adapter's two.
        let same = |p: &Piece<'_>, q: &Piece<'_>| p.a.data().as_ptr() == q.a.data().as_ptr() && std::ptr::eq(p.x, q.x);
        let (mut insides, mut inside_of, mut added) = (Vec::new(), Vec::new(), Vec::new());
        for (i, p) in pieces.iter().enumerate() {
            let shared = pieces[..i].iter().position(|q| same(p, q)).map(|q| inside_of[q]);
            inside_of.push(shared.unwrap_or_else(|| {
                insides.push((p, take(&mut room, p.rows() * p.a.rows())));
                insides.len() - 1
            }));
            added.push(take(&mut room, p.rows() * p.b.rows()));
        }
        let first = insides.iter_mut().map(|(p, inside)| Product { w: p.a, x: floats(p.x), out: inside });
        matmul_each(crew, &mut first.collect::<Vec<_>>());
        let second = pieces.iter().zip(&inside_of).zip(&mut added);
        let second = second.map(|((p, i), out)| Product { w: p.b, x: floats(insides[*i].1), out });
        matmul_each(crew, &mut second.collect::<Vec<_>>());
        for (added, p) in added.iter().zip(pieces) {
            let outs = p.b.rows();
            let out = &mut jobs[p.job].out[p.first * outs..][..added.len()];
            match p.only {
                None => self.join(out, added, p.scale),
                Some(rows) => {
                    let here = rows.iter().filter_map(|r| r.checked_sub(p.first)).take_while(|r| *r < p.rows());
                    here.for_each(|r| add_scaled(&mut out[r * outs..][..outs], &added[r * outs..][..outs], p.scale));
                }
            }
        }
    }
}

fn floats(x: &[f32]) -> Input<'_> {
    Input { floats: x, blocks: &[] }
}
