//! Attention with grouped queries over the tiled cache.
//!
//! For a query at position `p`, per head and per tile of 64 positions, in ascending order:
//!
//! ```text
//! s[i]   = scale * (FMA chain over channels of q[d] * k[d][i])        lanes over positions
//! m_t    = max s,  e[i] = exp(s[i] - m_t),  l_t = sum of e             16 virtual lanes, fixed tree
//! o_t[c] = FMA chain over positions of e[i] * v[i][c]                  lanes over channels
//! merge:   M' = max(M, m_t);  L = fma(l_t, exp(m_t - M'), L exp(M - M'));  o likewise
//! ```
//!
//! Tiles sit at absolute positions and are merged in order, so neither the batch nor the threads change a bit. Each
//! K and V tile is read once for all query heads that share it.

use crate::isa::{Isa, Kernel};
use crate::kv::{Elem, KvLayer, TILE, Tiles};
use crate::math::exp;
use crate::team::Crew;

/// One query row: a position of a sequence. The cache holds at least `pos + 1` positions.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The sequence's cache of this layer.
    pub kv: &'a KvLayer,
    /// The position asking; it sees positions `0..=pos`.
    pub pos: usize,
}

/// Attends every row of `q` (`[queries.len(), heads, k_dim]`) to its sequence: `out` is `[queries.len(), heads, v_dim]`.
///
/// # Panics
/// When the lengths do not fit, `heads` is not a multiple of the cache's heads, or a cache is too short.
pub fn attention(crew: &Crew<'_>, queries: &[Query<'_>], heads: usize, scale: f32, q: &[f32], out: &mut [f32]) {
    let Some(first) = queries.first() else { return };
    let shape = *first.kv.shape();
    assert!(heads.is_multiple_of(shape.heads), "query heads are a multiple of KV heads");
    assert_eq!(q.len(), queries.len() * heads * shape.k_dim, "q [n, heads, k_dim]");
    assert_eq!(out.len(), queries.len() * heads * shape.v_dim, "out [n, heads, v_dim]");
    assert!(queries.iter().all(|q| *q.kv.shape() == shape && q.pos < q.kv.len()), "the position is cached");
    let group = heads / shape.heads;
    let scratch = group * (TILE + shape.v_pad() + 2);
    crew.rows(out, group * shape.v_dim, true, |worker, i, out| {
        let (query, head) = (&queries[i / shape.heads], i % shape.heads);
        let q = &q[i * group * shape.k_dim..][..group * shape.k_dim];
        crew.with_scratch(worker, scratch * size_of::<f32>(), |bytes| {
            let scratch: &mut [f32] = bytemuck::cast_slice_mut(bytes);
            match &query.kv.tiles {
                Tiles::F16(t) => crew.isa().run(Head { tiles: t, query, head, q, scale, scratch, out }),
                Tiles::F32(t) => crew.isa().run(Head { tiles: t, query, head, q, scale, scratch, out }),
            }
        });
    });
}

/// All query heads of one KV head for one query.
struct Head<'a, E> {
    tiles: &'a [Box<[E]>],
    query: &'a Query<'a>,
    head: usize,
    /// `[group, k_dim]`
    q: &'a [f32],
    scale: f32,
    scratch: &'a mut [f32],
    /// `[group, v_dim]`
    out: &'a mut [f32],
}

impl<E: Elem> Kernel for Head<'_, E> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let shape = self.query.kv.shape();
        let (k_dim, v_pad) = (shape.k_dim, shape.v_pad());
        let group = self.q.len() / k_dim;
        let (e, rest) = self.scratch.split_at_mut(group * TILE);
        let (o, rest) = rest.split_at_mut(group * v_pad);
        let (max, sum) = rest.split_at_mut(group);
        o.fill(0.0);
        max.fill(f32::NEG_INFINITY);
        sum.fill(0.0);
        let seen = self.query.pos + 1;
        for (t, tile) in self.tiles[..seen.div_ceil(TILE)].iter().enumerate() {
            let n = (seen - t * TILE).min(TILE);
            let tile = &tile[self.head * shape.head_len()..][..shape.head_len()];
            let (kt, vt) = tile.split_at(k_dim * TILE);
            let mut g = 0;
            while group - g >= 4 {
                scores::<S, E, 4>(s, kt, &self.q[g * k_dim..], self.scale, &mut e[g * TILE..]);
                g += 4;
            }
            for g in g..group {
                scores::<S, E, 1>(s, kt, &self.q[g * k_dim..], self.scale, &mut e[g * TILE..]);
            }
            for g in 0..group {
                let row = e[g * TILE..].first_chunk_mut().expect("a tile of scores");
                let (m, l) = softmax(s, row, n);
                let top = if m > max[g] { m } else { max[g] };
                let factors = [max[g] - top, m - top];
                let mut pair = [0.0; 16];
                pair[..2].copy_from_slice(&factors);
                let v = exp(s, s.f_load(&pair));
                s.f_store(&mut pair, v);
                let [keep, add] = [pair[0], pair[1]];
                max[g] = top;
                sum[g] = l.mul_add(add, sum[g] * keep);
                values(row, keep, add, s, &mut o[g * v_pad..][..v_pad], vt, n);
            }
        }
        for ((o, sum), out) in o.chunks_exact(v_pad).zip(sum).zip(self.out.chunks_exact_mut(shape.v_dim)) {
            let r = 1.0 / *sum;
            out.iter_mut().zip(o).for_each(|(out, o)| *out = o * r);
        }
    }
}

/// Scores of `G` heads (`q` is `[G.., k_dim]`) against a whole tile, written to `e` (`[G.., 64]`).
#[inline(always)]
fn scores<S: Isa, E: Elem, const G: usize>(s: S, kt: &[E], q: &[f32], scale: f32, e: &mut [f32]) {
    let k_dim = kt.len() / TILE;
    let q: [&[f32]; G] = std::array::from_fn(|g| &q[g * k_dim..][..k_dim]);
    let mut acc = [[s.f_splat(0.0); 4]; G];
    for (d, k) in kt.as_chunks::<TILE>().0.iter().enumerate() {
        let mut lanes = [s.f_splat(0.0); 4];
        for i in 0..4 {
            lanes[i] = E::load(s, k[16 * i..].first_chunk().expect("16 of 64"));
        }
        for g in 0..G {
            let qd = s.f_splat(q[g][d]);
            for i in 0..4 {
                acc[g][i] = s.f_fma(qd, lanes[i], acc[g][i]);
            }
        }
    }
    for g in 0..G {
        for i in 0..4 {
            let out = e[g * TILE + 16 * i..].first_chunk_mut().expect("16 of 64");
            s.f_store(out, s.f_mul(acc[g][i], s.f_splat(scale)));
        }
    }
}

/// Turns the first `n` scores into `exp(score - max)` and the rest into 0; returns the maximum and the sum.
#[inline(always)]
fn softmax<S: Isa>(s: S, e: &mut [f32; TILE], n: usize) -> (f32, f32) {
    e[n..].fill(f32::NEG_INFINITY);
    let rows = e.as_chunks_mut::<16>().0;
    let mut top = s.f_load(&rows[0]);
    for r in &rows[1..] {
        top = s.f_max(top, s.f_load(r));
    }
    let max = s.f_top(top);
    let mut sum = s.f_splat(0.0);
    for r in rows {
        let v = exp(s, s.f_sub(s.f_load(r), s.f_splat(max)));
        sum = s.f_add(sum, v);
        s.f_store(r, v);
    }
    (max, s.f_sum(sum))
}

/// `o = fma(o_t, add, o * keep)` where `o_t` is the tile's weighted sum of values.
#[inline(always)]
fn values<S: Isa, E: Elem>(e: &[f32; TILE], keep: f32, add: f32, s: S, o: &mut [f32], vt: &[E], n: usize) {
    let v_pad = o.len();
    let (keep, add) = (s.f_splat(keep), s.f_splat(add));
    let mut c = 0;
    // Eight independent chains hide the latency of the FMA.
    while v_pad - c >= 128 {
        channels::<S, E, 8>(s, e, vt, n, v_pad, c, keep, add, o);
        c += 128;
    }
    while v_pad - c >= 64 {
        channels::<S, E, 4>(s, e, vt, n, v_pad, c, keep, add, o);
        c += 64;
    }
    while c < v_pad {
        channels::<S, E, 1>(s, e, vt, n, v_pad, c, keep, add, o);
        c += 16;
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)] // registers, really
fn channels<S: Isa, E: Elem, const C: usize>(
    s: S,
    e: &[f32; TILE],
    vt: &[E],
    n: usize,
    v_pad: usize,
    c: usize,
    keep: S::F,
    add: S::F,
    o: &mut [f32],
) {
    let mut acc = [s.f_splat(0.0); C];
    for (p, v) in vt.chunks_exact(v_pad).take(n).enumerate() {
        let w = s.f_splat(e[p]);
        for (i, v) in v[c..].as_chunks::<16>().0[..C].iter().enumerate() {
            acc[i] = s.f_fma(w, E::load(s, v), acc[i]);
        }
    }
    for (acc, o) in acc.into_iter().zip(o[c..].as_chunks_mut::<16>().0) {
        let v = s.f_fma(acc, add, s.f_mul(s.f_load(o), keep));
        s.f_store(o, v);
    }
}
