//! Attention with grouped queries over the tiled cache.
//!
//! For a query at position `p`, per head and per tile of 64 positions, in ascending order:
//!
//! ```text
//! s[i]   = scale * (FMA chain over channels of q[d] * k[d][i])        lanes over positions; then perhaps bounded, then perhaps
//!                                                                    times the query's factor, then perhaps
//!                                                                    fma(slope, -|i - p|, s[i])
//! m_t    = max s,  e[i] = exp(s[i] - m_t),  l_t = sum of e             16 virtual lanes, fixed tree
//! o_t[c] = FMA chain over positions of e[i] * v[i][c]                  lanes over channels
//! merge:   M' = max(M, m_t);  L = fma(l_t, exp(m_t - M'), L exp(M - M'));  o likewise
//! ```
//!
//! Of a cache in blocks of 8 bits (Q8_0), queries are quantized like activations; for each block of 32 channels
//!
//! ```text
//! s[i]   = scale * (FMA chain over blocks of (d_k[i] * d_q) * sum of k[d][i] * q[d])       the sum is exact, in integers
//! o_t[c] = FMA chain over positions of (e[i] * d_v[i]) * v[i][c]
//! ```
//!
//! A query may see entries of a second cache besides, such as what stands for positions that are long past. Their tiles come
//! first, and are merged like the others.
//!
//! Where a query attends to chosen positions only, the others count as if they were not there, and tiles of nothing else are not
//! read for it.
//!
//! A sink is merged last, as a tile whose only score it is and whose value is 0. With a window, positions before it count as if
//! they were not there, and tiles of nothing else are not read. A query of a text that is read as a whole sees what follows it,
//! too.
//!
//! Tiles sit at absolute positions and are merged in order, so neither the batch nor the threads change a bit.
//!
//! ```text
//! attention   cuts the queries into blocks of one sequence's neighbours; a unit is a block and a KV head
//!   unit      walks the tiles: each is read once for all rows (queries x heads that share it) of the unit
//!     rows    up to six rows at a time in registers: scores, softmax (weights), values (blocks: of 8 bits)
//!   merge     where units are fewer than threads need: their tiles are cut into spans, each tile's part goes to
//!             memory, and the parts are merged in order
//! ```

mod blocks;
mod merge;
mod rows;
mod unit;
mod weights;

use crate::format::SUB;
use crate::isa::{CpuIsa, Isa};
use crate::kv::{KvLayer, KvShape, KvType, TILE, Tiles};
use crate::math::exp;
use crate::op::quantize::ActBlock;
use crate::team::{Crew, SendPtr};
use merge::Merge;
use unit::Unit;

/// One query row: a position of a sequence.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The sequence's cache of this layer.
    pub kv: &'a KvLayer,
    /// The position asking.
    pub pos: usize,
    /// It sees positions `0..end`, or those of them in its window: its own is the last of them, but where texts are read as a
    /// whole. The cache holds as many.
    pub end: usize,
    /// Which of those it sees, where not all; each of its heads at least one.
    pub chosen: Option<Chosen<'a>>,
    /// What it sees before those, of another cache.
    pub far: Option<Far<'a>>,
}

/// Some of the positions: a bit for each, 64 a word.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// At least as many words as positions need.
    pub words: &'a [u64],
    /// How far the words of one KV head are from those of the one before; 0 where all heads see the same.
    pub stride: usize,
}

impl<'a> Chosen<'a> {
    /// The same for all heads.
    pub fn of_all(words: &'a [u64]) -> Self {
        Self { words, stride: 0 }
    }
}

/// Entries that a query sees besides the positions of its sequence.
#[derive(Clone, Copy)]
pub struct Far<'a> {
    /// A cache of the same shape.
    pub kv: &'a KvLayer,
    /// Its first so many entries are seen; no fewer by a later query.
    pub len: usize,
    /// Which of those, where not all: a bit for each, 64 a word.
    pub chosen: Option<&'a [u64]>,
}

impl<'a> Query<'a> {
    /// Of all positions up to its own.
    pub fn all(kv: &'a KvLayer, pos: usize) -> Self {
        Self { kv, pos, end: pos + 1, chosen: None, far: None }
    }

    /// Of all positions of the cache.
    pub fn whole(kv: &'a KvLayer, pos: usize) -> Self {
        Self { end: kv.len(), ..Self::all(kv, pos) }
    }
}

/// What becomes of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules<'a> {
    /// Scores are multiplied with this.
    pub scale: f32,
    /// They are bounded to `cap * tanh(score / cap)`.
    pub cap: Option<f32>,
    /// Only some of the positions are seen.
    pub window: Option<Window>,
    /// A score of each head (`[heads]`) that counts in the softmax, with nothing behind it.
    pub sinks: Option<&'a [f32]>,
    /// How much less a score counts for each position further away (ALiBi, arXiv 2108.12409), a number a head (`[heads]`).
    pub slopes: Option<&'a [f32]>,
    /// What the scores of each query are multiplied with once they are bounded (`[queries]`).
    pub factors: Option<&'a [f32]>,
}

/// Which of the positions that a query may see it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last so many, the one asking among them; at least 1.
    Last(usize),
    /// Those of its own chunk, where chunks of so many begin at multiples of that; at least 1.
    Chunk(usize),
    /// Its own, and so many on each side.
    Around(usize),
}

impl Window {
    /// The most positions that are seen.
    pub fn most(self) -> usize {
        match self {
            Self::Last(n) | Self::Chunk(n) => n,
            Self::Around(n) => n.saturating_mul(2).saturating_add(1),
        }
    }

    /// Those that position `pos` sees of `0..end`: from the first to before the second.
    pub fn seen(self, pos: usize, end: usize) -> [usize; 2] {
        match self {
            Self::Last(n) => [(pos + 1).saturating_sub(n), end],
            Self::Chunk(n) => [pos / n * n, end],
            Self::Around(n) => [pos.saturating_sub(n), end.min(pos.saturating_add(n).saturating_add(1))],
        }
    }
}

impl Rules<'_> {
    /// Scaled scores and nothing else.
    pub fn plain(scale: f32) -> Self {
        Self { scale, cap: None, window: None, sinks: None, slopes: None, factors: None }
    }
}

/// Rows of a block of queries: so many that a tile is worth fetching, so few that their sums stay in the nearest cache.
const ROWS: usize = 24;

/// Fewest tiles of a span: below, threads are not worth waking for it.
const SPAN: usize = 4;

/// What all units of a call have in common.
struct Call<'a> {
    isa: CpuIsa,
    shape: KvShape,
    queries: &'a [Query<'a>],
    heads: usize,
    rules: Rules<'a>,
    /// How far ahead of what is read the cache is fetched, in bytes.
    ahead: usize,
    /// `[queries, heads, k_dim]`
    q: &'a [f32],
    /// `[queries, heads, v_dim]`
    out: SendPtr<f32>,
}

/// Neighbouring queries of one sequence: `first..first + count`.
#[derive(Clone, Copy)]
struct Block {
    first: usize,
    count: usize,
}

/// A tile that a block sees.
#[derive(Clone, Copy)]
struct Place {
    /// Whether it is one of the second cache.
    far: bool,
    /// Which one.
    tile: usize,
}

/// A span of a unit's tiles, counted from the first that it sees, and where in memory the parts of its tiles go.
struct Span {
    block: Block,
    head: usize,
    tiles: [usize; 2],
    part: usize,
}

/// Attends every row of `q` (`[queries.len(), heads, k_dim]`) to its sequence: `out` is `[queries.len(), heads, v_dim]`.
///
/// # Panics
/// When lengths do not fit, `heads` is not a multiple of the cache's heads, a cache is too short, a window is 0, or there are
/// slopes and a second cache.
pub fn attention(crew: &Crew<'_>, queries: &[Query<'_>], heads: usize, rules: &Rules<'_>, q: &[f32], out: &mut [f32]) {
    let Some(first) = queries.first() else { return };
    let shape = *first.kv.shape();
    assert!(heads.is_multiple_of(shape.heads), "query heads are a multiple of KV heads");
    assert_eq!(q.len(), queries.len() * heads * shape.k_dim, "q [n, heads, k_dim]");
    assert_eq!(out.len(), queries.len() * heads * shape.v_dim, "out [n, heads, v_dim]");
    assert!(
        queries.iter().all(|q| *q.kv.shape() == shape && q.pos < q.end && q.end <= q.kv.len()),
        "the position is cached"
    );
    let bits =
        |q: &Query<'_>| q.chosen.is_none_or(|c| c.words.len() > c.stride * (shape.heads - 1) + (q.end - 1) / TILE);
    assert!(queries.iter().all(bits), "a bit for each position");
    let far = || queries.iter().filter_map(|q| q.far);
    assert!(far().all(|f| *f.kv.shape() == shape && f.len <= f.kv.len()), "the entry is cached");
    assert!(far().all(|f| f.chosen.is_none_or(|c| c.len() >= f.len.div_ceil(TILE))), "a bit for each entry");
    assert!(rules.slopes.is_none() || far().next().is_none(), "entries of a second cache are nowhere");
    assert!(rules.window.is_none_or(|w| w.most() > 0), "a window");
    assert!([rules.sinks, rules.slopes].into_iter().flatten().all(|v| v.len() == heads), "sinks and slopes [heads]");
    assert!(rules.factors.is_none_or(|v| v.len() == queries.len()), "factors [queries]");
    let (isa, ahead) = (crew.isa(), crew.ahead().context.min(shape.head_bytes()));
    let call = Call { isa, shape, queries, heads, rules: *rules, ahead, q, out: SendPtr(out.as_mut_ptr()) };
    let blocks = call.blocks();
    let units = blocks.len() * shape.heads;
    let tiles = blocks.iter().map(|b| call.tiles(*b)).sum::<usize>() * shape.heads;
    // A unit too many or too few must not leave a thread without work for long.
    let span = tiles.div_ceil(crew.threads() * 4).max(SPAN);
    if crew.threads() > 1 && units < crew.threads() * 4 && tiles >= units * 2 * span.min(2 * SPAN) {
        return call.in_spans(crew, &blocks, span);
    }
    crew.run(units, &|worker, u| {
        let (block, head) = (blocks[u / shape.heads], u % shape.heads);
        let rows = block.count * call.group();
        let (queries, sums) = (call.queries_bytes(block), rows * (shape.v_pad() + 2) * size_of::<f32>());
        crew.with_scratch(worker, queries + sums, |bytes| {
            let (queries, sums) = bytes.split_at_mut(queries);
            let (queries, sums) = (bytemuck::cast_slice_mut(queries), bytemuck::cast_slice_mut(sums));
            call.unit(block, head, [0, call.tiles(block)], None, queries, sums);
        });
    });
}

impl<'a> Call<'a> {
    /// Query heads that share a KV head.
    fn group(&self) -> usize {
        self.heads / self.shape.heads
    }

    /// The positions that a query sees: from the first to before the second.
    fn seen(&self, query: usize) -> [usize; 2] {
        let Query { pos, end, .. } = self.queries[query];
        self.rules.window.map_or([0, end], |w| w.seen(pos, end))
    }

    /// Between which positions of a tile those are that a query sees.
    #[inline(always)]
    fn within(&self, query: usize, at: Place) -> [usize; 2] {
        let [from, to] = match at.far {
            true => [0, self.queries[query].far.map_or(0, |f| f.len)],
            false => self.seen(query),
        };
        let inside = |p: usize| p.saturating_sub(at.tile * TILE).min(TILE);
        [inside(from), inside(to)]
    }

    /// Which positions of a tile a query's heads of a KV head may see.
    #[inline(always)]
    fn chosen(&self, query: usize, head: usize, at: Place) -> u64 {
        let query = &self.queries[query];
        match at.far {
            true => query.far.and_then(|f| f.chosen).map_or(u64::MAX, |c| c[at.tile]),
            false => query.chosen.map_or(u64::MAX, |c| c.words[head * c.stride + at.tile]),
        }
    }

    /// Whether queries of a block may not see all that is before them.
    fn choosing(&self, b: Block) -> bool {
        let queries = &self.queries[b.first..b.first + b.count];
        queries.iter().any(|q| q.chosen.is_some() || q.far.is_some_and(|f| f.chosen.is_some()))
    }

    /// Whether a query's heads of a KV head see something of a tile.
    fn sees(&self, query: usize, head: usize, at: Place) -> bool {
        let [from, to] = self.within(query, at);
        // Shifts by all bits leave nothing.
        let before = |n: usize| 1u64.checked_shl(n as u32).map_or(u64::MAX, |bit| bit - 1);
        from < to && self.chosen(query, head, at) & before(to) & !before(from) != 0
    }

    /// Tiles of the second cache that a block sees.
    fn far_tiles(&self, b: Block) -> usize {
        self.queries[b.first + b.count - 1].far.map_or(0, |f| f.len.div_ceil(TILE))
    }

    /// Tiles that a block sees.
    fn tiles(&self, b: Block) -> usize {
        let [first, last] = [b.first, b.first + b.count - 1].map(|query| self.seen(query));
        self.far_tiles(b) + last[1].div_ceil(TILE) - first[0] / TILE
    }

    /// Where tile `t` of those is.
    #[inline(always)]
    fn place(&self, b: Block, t: usize) -> Place {
        match t.checked_sub(self.far_tiles(b)) {
            None => Place { far: true, tile: t },
            Some(near) => Place { far: false, tile: self.seen(b.first)[0] / TILE + near },
        }
    }

    /// The sink of a unit's row.
    fn sink(&self, head: usize, row: usize) -> Option<f32> {
        self.rules.sinks.map(|s| s[head * self.group() + row % self.group()])
    }

    /// What the bounded scores of a unit's row are multiplied with.
    fn factor(&self, block: Block, row: usize) -> f32 {
        self.rules.factors.map_or(1.0, |f| f[block.first + row / self.group()])
    }

    /// What each position of a tile costs a unit's row, and where the first one is from the row's own, where there are slopes.
    fn slope(&self, block: Block, head: usize, row: usize, tile: usize) -> Option<(f32, f32)> {
        let slopes = self.rules.slopes?;
        let (group, first) = (self.group(), tile * TILE);
        let pos = self.queries[block.first + row / group].pos;
        // Exact, as no cache has as many positions as whole numbers are exact in f32.
        Some((slopes[head * group + row % group], first as f32 - pos as f32))
    }

    /// Floats of one row's part of one tile: the weighted values, then the maximum and the sum.
    fn part_len(&self) -> usize {
        self.shape.v_pad() + 16
    }

    /// Cuts the queries into blocks: of one sequence, in ascending order, at most [`ROWS`] rows a KV head.
    fn blocks(&self) -> Vec<Block> {
        let most = (ROWS / self.group()).max(1);
        let mut blocks: Vec<Block> = Vec::new();
        let follows = |before: &Query<'_>, query: &Query<'_>| {
            let far = match (before.far, query.far) {
                (None, None) => true,
                (Some(a), Some(b)) => std::ptr::eq(a.kv, b.kv) && a.len <= b.len,
                _ => false,
            };
            std::ptr::eq(before.kv, query.kv) && before.pos <= query.pos && before.end <= query.end && far
        };
        for (i, query) in self.queries.iter().enumerate() {
            let before = i.checked_sub(1).map(|b| &self.queries[b]);
            match (blocks.last_mut(), before) {
                (Some(b), Some(before)) if b.count < most && follows(before, query) => b.count += 1,
                _ => blocks.push(Block { first: i, count: 1 }),
            }
        }
        blocks
    }

    /// Bytes of a block's rows of a KV head, quantized, where that is needed.
    fn queries_bytes(&self, block: Block) -> usize {
        let blocks = if self.shape.kind == KvType::Q8_0 { self.shape.k_pad() / SUB } else { 0 };
        block.count * self.group() * blocks * size_of::<ActBlock>()
    }

    /// Runs tiles `span` of a unit. Without `parts` they are all its tiles, and the result goes to the output; else each
    /// tile's part goes to `parts` (`[tiles, rows, part_len]`, from the first that the unit sees), of which other spans
    /// have other tiles. `queries` is room of [`queries_bytes`](Self::queries_bytes), `scratch` for sums where there are no parts.
    fn unit(
        &self,
        block: Block,
        head: usize,
        span: [usize; 2],
        parts: Option<SendPtr<f32>>,
        queries: &mut [ActBlock],
        scratch: &mut [f32],
    ) {
        let query = &self.queries[block.first];
        let far = query.far.map(|f| &f.kv.tiles);
        match (&query.kv.tiles, far) {
            (Tiles::F16(tiles), far) => {
                let far = if let Some(Tiles::F16(far)) = far { far } else { &[][..] };
                self.isa.run_lanes(Unit { call: self, tiles, far, block, head, span, parts, scratch, queries });
            }
            (Tiles::F32(tiles), far) => {
                let far = if let Some(Tiles::F32(far)) = far { far } else { &[][..] };
                self.isa.run_lanes(Unit { call: self, tiles, far, block, head, span, parts, scratch, queries });
            }
            (Tiles::Q8_0(tiles), far) => {
                let far = if let Some(Tiles::Q8_0(far)) = far { far } else { &[][..] };
                self.isa.run_products(Unit { call: self, tiles, far, block, head, span, parts, scratch, queries });
            }
        }
    }

    /// All units, in spans of about `span` tiles.
    fn in_spans(&self, crew: &Crew<'_>, blocks: &[Block], span: usize) {
        let (mut spans, mut units, mut parts) = (Vec::new(), Vec::new(), 0);
        for &block in blocks {
            let (tiles, rows) = (self.tiles(block), block.count * self.group());
            for head in 0..self.shape.heads {
                // Of equal length, give or take a tile.
                let n = tiles.div_ceil(span);
                for i in 0..n {
                    let tiles = [tiles * i / n, tiles * (i + 1) / n];
                    spans.push(Span { block, head, tiles, part: parts });
                }
                units.push((block, head, parts));
                parts += tiles * rows * self.part_len();
            }
        }
        crew.with_common(parts * size_of::<f32>(), |bytes| {
            let parts = SendPtr(bytemuck::cast_slice_mut::<u8, f32>(bytes).as_mut_ptr());
            crew.run(spans.len(), &|worker, i| {
                let s = &spans[i];
                // SAFETY: within the buffer: the parts of a unit begin at `part`, and all units' parts fit.
                let parts = SendPtr(unsafe { parts.get().add(s.part) });
                crew.with_scratch(worker, self.queries_bytes(s.block), |queries| {
                    let queries = bytemuck::cast_slice_mut(queries);
                    self.unit(s.block, s.head, s.tiles, Some(parts), queries, &mut []);
                });
            });
            let group = self.group();
            let rows: Vec<Merge<'_>> = units
                .iter()
                .flat_map(|&(block, head, part)| {
                    (0..block.count * group).map(move |row| Merge { call: self, parts, part, block, head, row })
                })
                .collect();
            let per = rows.len().div_ceil(crew.threads() * 2);
            crew.run(rows.len().div_ceil(per), &|_, i| {
                rows[i * per..((i + 1) * per).min(rows.len())].iter().for_each(|row| self.isa.run_lanes(*row));
            });
        });
    }

    /// Takes a sink into account; returns the sum with it, and what the values are multiplied with.
    #[inline(always)]
    fn with_sink<S: Isa>(s: S, sink: f32, max: f32, sum: f32) -> (f32, f32) {
        let top = if sink > max { sink } else { max };
        let mut factors = [0.0f32; 16];
        (factors[0], factors[1]) = (max - top, sink - top);
        let v = exp(s, s.f_load(&factors));
        s.f_store(&mut factors, v);
        (1.0f32.mul_add(factors[1], sum * factors[0]), factors[0])
    }

    /// Writes row `row` (query, then head of the group) of a unit.
    #[inline(always)]
    fn store(&self, block: Block, head: usize, row: usize, v: &[f32]) {
        let group = self.group();
        let (query, head) = (block.first + row / group, head * group + row % group);
        assert!(query < self.queries.len() && head < self.heads && v.len() == self.shape.v_dim);
        // SAFETY: inside `[queries, heads, v_dim]` by the assertion; a row belongs to one unit, which one thread runs or
        // merges; the owner of the output is borrowed mutably for the whole call.
        unsafe {
            let to = self.out.get().add((query * self.heads + head) * self.shape.v_dim);
            std::ptr::copy_nonoverlapping(v.as_ptr(), to, v.len());
        }
    }
}
