//! The buffers of a step, made once and reused.

use crate::arch::HeadGates;
use crate::config::{self, LayerSizes, ModelConfig, RecurrentPart};
use crate::error::EngineError;
use crate::forward::{LOW_ROOM, WKV_ARRAYS};
use crate::speculate;
use bytemuck::Zeroable;
use hewn_kernels::op::altup::STREAMS;
use hewn_kernels::op::hyper;
use hewn_kernels::op::quantize::ActBlock;
use hewn_kernels::{Arena, Buffer};

/// An expert that takes a row, and how much its output counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Choice {
    pub expert: u32,
    pub weight: f32,
}

/// Every buffer of a step of up to `rows` rows. Shapes in the comments; widths from [`ModelConfig`].
pub(crate) struct Scratch {
    /// The residual stream, `[rows, dim]`.
    pub x: Buffer<f32>,
    /// Normed input of a projection, `[rows, dim]`.
    pub h: Buffer<f32>,
    /// A part's result on its way back to the stream, `[rows, dim]`.
    pub t: Buffer<f32>,
    /// The stream as it was before the first layer, or before this one, `[rows, dim]`, where layers add it again.
    pub embedding: Buffer<f32>,
    /// Streams that were kept, `[rows, streams, dim]`, where some are.
    pub kept: Buffer<f32>,
    /// Queries `[rows, heads * k_dim]`.
    pub q: Buffer<f32>,
    /// Keys `[rows, kv_heads * k_dim]`.
    pub k: Buffer<f32>,
    /// Values `[rows, kv_heads * v_dim]`.
    pub v: Buffer<f32>,
    /// Attention's output `[rows, heads * v_dim]`.
    pub att: Buffer<f32>,
    /// `[rows, ff]`, or `[rows * used, ff]` of the experts; also the gated product. Before: queries with their gates
    /// `[rows, heads, 2, k_dim]`, or the gates alone `[rows, heads * v_dim]`, the convolution of a delta net or state space `[rows, channels]`, or the gate before a
    /// short convolution.
    pub gate: Buffer<f32>,
    /// Likewise. Before: gated outputs of heads `[rows, heads * v_dim]`, those of a delta net or state space
    /// `[rows, width]`, or the gate behind a short convolution.
    pub up: Buffer<f32>,
    /// Whatever was quantized last, `[rows, widest / 32]`.
    pub blocks: Buffer<ActBlock>,
    /// The gated product in blocks, where the operations before it are one region, `[rows, ff / 32]`.
    pub inner: Buffer<ActBlock>,
    /// Cosines of the rows' positions, `[rows, rope_dim / 2]` of one table behind the other.
    pub cos: Buffer<f32>,
    /// Sines likewise.
    pub sin: Buffer<f32>,
    /// What queries are multiplied with, `[rows]`; nothing where that is 1 everywhere.
    pub query_factors: Buffer<f32>,
    /// What bounded scores are multiplied with, `[rows]`; nothing where that is 1 everywhere.
    pub score_factors: Buffer<f32>,
    /// Two streams that stacks of layers replace in turns, `[rows, 2, dim]`, where there are such.
    pub cycles: Buffer<f32>,
    /// What the rows' tokens bring to the layers, `[rows, layers * layer_inputs]`.
    pub layer_inputs: Buffer<f32>,
    /// Of several residual streams.
    pub altup: AltUpScratch,
    /// Of several that stay apart.
    pub streams: StreamsScratch,
    /// Of several that layers mix.
    pub hyper: HyperScratch,
    /// Of latent attention, and of compressed queries.
    pub latent: LatentScratch,
    /// Of entries that stand for several positions.
    pub pool: PoolScratch,
    /// Of layers with a running state.
    pub running: RunningScratch,
    /// Of RWKV's layers.
    pub wkv: WkvScratch,
    /// Of a mixture of experts.
    pub experts: ExpertScratch,
    /// What products of low rank give; nothing without.
    pub low: Buffer<f32>,
}

/// What RWKV's layers take besides; nothing without.
pub(crate) struct WkvScratch {
    /// What the products read, `[products, rows, dim]`.
    pub mixed: Buffer<f32>,
    /// The inside of matrices of low rank.
    pub inside: Buffer<f32>,
    /// Both quantized.
    pub blocks: Buffer<ActBlock>,
    /// What goes into the matrices and comes with them, `[arrays, rows, width]`.
    pub rows: Buffer<f32>,
    /// The first layer's values, `[rows, width]`.
    pub first: Buffer<f32>,
}

/// What several residual streams take besides; nothing without.
pub(crate) struct AltUpScratch {
    /// All of them, `[rows, STREAMS, dim]`; `x` is what a layer makes of the first.
    pub streams: Buffer<f32>,
    /// The inside of the low-rank part beside the attention, `[rows, rank]`.
    pub rank: Buffer<f32>,
    /// Its output, `[rows, dim]`.
    pub beside: Buffer<f32>,
}

/// What several residual streams that stay apart take; nothing without.
pub(crate) struct StreamsScratch {
    /// All of them, `[rows, count, dim]`; `x` is what a part reads.
    pub all: Buffer<f32>,
    /// The same, normed.
    pub even: Buffer<f32>,
    /// How much a part reads of each, then how much each gets of what it gives, `[rows, 2 * count]`.
    pub shares: Buffer<f32>,
}

/// What residual streams that layers mix take besides; nothing without.
pub(crate) struct HyperScratch {
    /// All of them, `[rows, STREAMS, dim]`; `x` is the mixture that a part reads.
    pub streams: Buffer<f32>,
    /// The same normed as one, `[rows, STREAMS * dim]`.
    pub flat: Buffer<f32>,
    /// What each row's shares are made of, then those: `[rows, (2 + STREAMS) * STREAMS]`.
    pub shares: Buffer<f32>,
}

/// What entries that stand for several positions take besides; nothing without.
pub(crate) struct PoolScratch {
    /// What the products give, `[rows, width]` of one behind the other.
    pub parts: Buffer<f32>,
    /// The same row by row, `[rows, channels]`.
    pub rows: Buffer<f32>,
    /// Entries that are whole, `[entries, dim]` of one kind behind the other.
    pub entries: Buffer<f32>,
}

/// What latent attention takes besides; nothing without.
pub(crate) struct LatentScratch {
    /// Compressed queries `[rows, q_rank]`.
    pub q_a: Buffer<f32>,
    /// The heads' queries `[rows, heads * (nope + rope)]`.
    pub q_b: Buffer<f32>,
    /// One head after the other: `[heads, rows, nope]`, then `[heads, rows, kv_rank]`. Where keys and values are made of it,
    /// the latent and the turned part of the key, `[rows, kv_rank + rope]`.
    pub heads_in: Buffer<f32>,
    /// Likewise: `[heads, rows, kv_rank]`, then `[heads, rows, v_dim]`. Otherwise the normed latent, `[rows, kv_rank]`.
    pub heads_out: Buffer<f32>,
    /// The heads' outputs side by side, `[rows, heads * v_dim]`, or their keys and values, `[rows, heads * (nope + v_dim)]`.
    pub out: Buffer<f32>,
    /// An indexer's queries `[rows, heads * dim]`, keys `[rows, dim]`, and how much heads count `[rows, heads]`.
    pub index: [Buffer<f32>; 3],
    /// The positions that each row attends to, a bit for each, where not all.
    pub chosen: Vec<Option<Vec<u64>>>,
}

/// What layers with a running state take besides; nothing without.
pub(crate) struct RunningScratch {
    /// What is convolved, `[rows, channels]`, then what the delta rule or the scan gives `[rows * padded_width]`.
    pub raw: Buffer<f32>,
    /// What the gates are made of: of delta nets `[rows, 2 * v_heads]`, of state spaces `[rows, heads]`. Where values tell the
    /// rest, what they tell, `[rows, 2 * k_dim + rank]`, then what the scan gives.
    pub opening: Buffer<f32>,
    /// Those gates, `[rows, 2, heads]`.
    pub gates: Buffer<f32>,
}

/// What a mixture of experts takes besides; nothing without.
pub(crate) struct ExpertScratch {
    /// `[rows, experts]`.
    pub scores: Buffer<f32>,
    /// `[rows, used]`, the best first.
    pub chosen: Buffer<Choice>,
    /// Rows sorted by expert: their inputs, then their outputs, `[rows * used, dim]`.
    pub rows: Buffer<f32>,
    /// The same quantized, `[rows * used, wider / 32]`.
    pub blocks: Buffer<ActBlock>,
    /// What experts read and what they give together, `[rows, narrow]` each, where that is narrower than the stream.
    pub narrow: [Buffer<f32>; 2],
    /// One of these quantized, `[rows, narrow / 32]`.
    pub narrow_blocks: Buffer<ActBlock>,
    /// What the shared expert's output is scaled with, `[rows]`.
    pub shared: Buffer<f32>,
    /// What the dense part beside the experts gave, or the experts ahead of the attention, `[rows, dim]`.
    pub dense: Buffer<f32>,
}

/// Makes buffers of so many elements a row.
trait Make {
    fn rows(&self) -> usize;

    /// A buffer of so many elements whatever the rows.
    fn take<T: Zeroable + Copy>(&mut self, elements: usize) -> Result<Buffer<T>, EngineError>;

    fn make<T: Zeroable + Copy>(&mut self, width: usize) -> Result<Buffer<T>, EngineError> {
        self.take(self.rows().saturating_mul(width))
    }
}

/// What all buffers are cut from.
struct Rows {
    rows: usize,
    arena: Arena,
    bytes: usize,
}

impl Make for Rows {
    fn rows(&self) -> usize {
        self.rows
    }

    fn take<T: Zeroable + Copy>(&mut self, elements: usize) -> Result<Buffer<T>, EngineError> {
        self.arena.take(elements).ok_or(too_much(self.bytes))
    }
}

struct Count {
    rows: usize,
    bytes: usize,
}

impl Make for Count {
    fn rows(&self) -> usize {
        self.rows
    }

    fn take<T: Zeroable + Copy>(&mut self, elements: usize) -> Result<Buffer<T>, EngineError> {
        self.bytes = self.bytes.saturating_add(Arena::bytes_of::<T>(elements));
        Ok(Buffer::default())
    }
}

fn too_much(bytes: usize) -> EngineError {
    EngineError::Memory { what: "the buffers of a step", bytes }
}

impl Scratch {
    /// Buffers for `rows` rows, side by side in huge pages where they are many: the rows of a prompt are further apart than
    /// small pages.
    pub fn new(c: &ModelConfig, rows: usize) -> Result<Self, EngineError> {
        let bytes = Self::buffers(c, rows);
        let arena = Arena::new(bytes).ok_or(too_much(bytes))?;
        Self::build(c, &mut Rows { rows, arena, bytes })
    }

    /// Bytes of the buffers for `rows` rows, with the logits of a row and of the usual number of guesses.
    pub fn bytes(c: &ModelConfig, rows: usize) -> u64 {
        let logits = (1 + speculate::USUAL) * c.vocab * size_of::<f32>();
        (Self::buffers(c, rows) as u64).saturating_add(logits as u64)
    }

    fn buffers(c: &ModelConfig, rows: usize) -> usize {
        let mut count = Count { rows, bytes: 0 };
        // Counting makes nothing that could fail.
        let _ = Self::build(c, &mut count);
        count.bytes
    }

    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        let tables = c.rope_pairs().sum();
        let (mut ff, mut widest) = (c.ff.max(c.layer_inputs), c.dim.max(c.att_width()).max(c.layer_inputs));
        if let Some(e) = &c.experts {
            (ff, widest) = (ff.max(e.used * e.widest()).max(e.shared_ff), widest.max(e.shared_ff));
        }
        let (mut gate, mut up, mut att) = (ff, ff, c.att_width());
        match c.arch.gated_heads {
            HeadGates::None => {}
            HeadGates::WithQueries => (gate, up) = (gate.max(2 * c.q_width()), up.max(att)),
            HeadGates::Apart | HeadGates::OneEach | HeadGates::Softplus => (gate, up) = (gate.max(att), up.max(att)),
        }
        if let Some(r) = &c.recurrent {
            let (channels, width) = (r.part.state().channels, r.part.width());
            (gate, up, att) = (gate.max(channels), up.max(width), att.max(width));
            widest = widest.max(att);
            match &r.part {
                RecurrentPart::Selective(s) => widest = widest.max(s.rank),
                RecurrentPart::ToldScan(s) => {
                    (gate, att, widest) = (gate.max(2 * width), att.max(s.shape.heads), widest.max(s.rank));
                }
                _ => {}
            }
        }
        if let Some(s) = &c.streams {
            widest = widest.max(s.count * c.dim);
        }
        if let Some(a) = &c.altup {
            widest = widest.max(a.rank);
        }
        for l in c.latent.iter().chain(&c.window_latent) {
            if c.arch.gated_heads == HeadGates::Apart {
                gate = gate.max(c.heads * l.v_dim);
            }
            widest = widest.max(l.q_rank.unwrap_or(0)).max(l.kv_rank).max(c.heads * l.nope.max(l.v_dim));
        }
        if let Some(p) = &c.pooling {
            widest = widest.max(p.q_rank).max(p.groups * p.out_rank);
        }
        if c.hyper.is_some() {
            widest = widest.max(hyper::STREAMS * c.dim);
        }
        Ok(Self {
            x: m.make(c.dim)?,
            h: m.make(c.dim)?,
            t: m.make(c.dim)?,
            embedding: m.make(if c.arch.embed_again || c.arch.input_again.is_some() { c.dim } else { 0 })?,
            kept: m.make(c.kept_before(c.layers) * c.dim)?,
            q: m.make(c.q_width())?,
            k: m.make(c.widest(LayerSizes::k_width))?,
            v: m.make(c.widest(LayerSizes::v_width))?,
            att: m.make(att)?,
            gate: m.make(gate)?,
            up: m.make(up)?,
            blocks: m.make(widest.max(c.ff).div_ceil(32))?,
            inner: m.make(c.ff.div_ceil(32))?,
            cos: m.make(tables)?,
            sin: m.make(tables)?,
            query_factors: m.make(usize::from(c.temperature.is_some()))?,
            score_factors: m.make(usize::from(c.heat.is_some()))?,
            cycles: m.make(if c.cycles.is_some() { 2 * c.dim } else { 0 })?,
            layer_inputs: m.make(c.layers * c.layer_inputs)?,
            altup: AltUpScratch::build(c, m)?,
            streams: StreamsScratch::build(c, m)?,
            hyper: HyperScratch::build(c, m)?,
            latent: LatentScratch::build(c, m)?,
            pool: PoolScratch::build(c, m)?,
            running: RunningScratch::build(c, m)?,
            wkv: WkvScratch::build(c, m)?,
            experts: ExpertScratch::build(c, m)?,
            low: m.take(if c.low_rank > 0 { c.low_rank.max(LOW_ROOM) } else { 0 })?,
        })
    }
}

impl AltUpScratch {
    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        let [streams, rank, beside] = c.altup.as_ref().map_or([0; 3], |a| [STREAMS * c.dim, a.rank, c.dim]);
        Ok(Self { streams: m.make(streams)?, rank: m.make(rank)?, beside: m.make(beside)? })
    }
}

impl StreamsScratch {
    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        let [all, shares] = c.streams.map_or([0; 2], |s| [s.count * c.dim, 2 * s.count]);
        Ok(Self { all: m.make(all)?, even: m.make(all)?, shares: m.make(shares)? })
    }
}

impl HyperScratch {
    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        const N: usize = hyper::STREAMS;
        let [all, shares] = c.hyper.map_or([0; 2], |_| [N * c.dim, (2 + N) * N]);
        Ok(Self { streams: m.make(all)?, flat: m.make(all)?, shares: m.make(shares)? })
    }
}

impl PoolScratch {
    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        let rows = (0..c.layers).map(|i| c.pool_width(i)).max().unwrap_or(0);
        let entries = (0..c.layers).map(|i| c.entries_of(i).sum()).max().unwrap_or(0);
        Ok(Self { parts: m.make(rows)?, rows: m.make(rows)?, entries: m.make(entries)? })
    }
}

impl LatentScratch {
    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        let mut most = [0; 5];
        for l in c.latent.iter().chain(&c.window_latent) {
            let (q_a, q_b) = (l.q_rank.unwrap_or(0), c.heads * (l.nope + c.rope.dim));
            let (inside, outside) = (l.nope.max(l.kv_rank), l.kv_rank.max(l.v_dim));
            let sizes = match l.expanded {
                true => [q_a, q_b, l.kv_rank + c.rope.dim, l.kv_rank, c.heads * (l.nope + l.v_dim)],
                false => [q_a, q_b, c.heads * inside, c.heads * outside, c.heads * l.v_dim],
            };
            most.iter_mut().zip(sizes).for_each(|(most, size)| *most = size.max(*most));
        }
        let [q_a, q_b, heads_in, heads_out, out] = most;
        let [q_a, heads_in, heads_out, out] = match &c.pooling {
            Some(p) => [p.q_rank, c.att_width(), p.groups * p.out_rank, p.groups * p.out_rank],
            None => [q_a, heads_in, heads_out, out],
        };
        let index = c.indexer.as_ref().map_or([0; 3], |x| [x.heads * x.dim, x.dim, x.heads]);
        Ok(Self {
            q_a: m.make(q_a)?,
            q_b: m.make(q_b)?,
            heads_in: m.make(heads_in)?,
            heads_out: m.make(heads_out)?,
            out: m.make(out)?,
            index: [m.make(index[0])?, m.make(index[1])?, m.make(index[2])?],
            chosen: Vec::new(),
        })
    }
}

impl RunningScratch {
    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        let [raw, gates] = match c.recurrent.as_ref().map(|r| &r.part) {
            Some(RecurrentPart::Delta(d)) => [d.channels().max(d.padded_width()), 2 * d.v_heads],
            Some(RecurrentPart::ChannelDelta(config::ChannelDelta { shape: d, .. })) => {
                [d.channels().max(d.padded_width()), (d.width() + d.v_heads).max(2 * d.dim)]
            }
            Some(RecurrentPart::Selective(s)) => [s.shape.padded_width().max(s.rank), s.rank + 2 * s.shape.k_dim],
            Some(RecurrentPart::ShortConvolution { channels, .. }) => [*channels, 0],
            Some(RecurrentPart::Wkv(w)) => [w.shape.padded_width(), 0],
            Some(RecurrentPart::Lightning(shape)) => [shape.padded_width(), 0],
            Some(RecurrentPart::Scan(s)) => [s.channels().max(s.padded_width()), 2 * s.heads],
            Some(RecurrentPart::ToldScan(s)) => {
                let told = 2 * s.shape.k_dim + s.rank;
                [s.shape.channels().max(s.rank), told.max(s.shape.padded_width()).max(2 * s.shape.heads)]
            }
            None => [0; 2],
        };
        Ok(Self { raw: m.make(raw)?, opening: m.make(gates)?, gates: m.make(gates)? })
    }
}

impl WkvScratch {
    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        let [mixed, inside, rows, first] = match c.recurrent.as_ref().map(|r| &r.part) {
            Some(RecurrentPart::Wkv(w)) => {
                let width = w.shape.width();
                [6 * c.dim, w.inside(), WKV_ARRAYS * width, width]
            }
            Some(RecurrentPart::Lightning(shape)) => [0, 0, WKV_ARRAYS * shape.width(), 0],
            _ => [0; 4],
        };
        Ok(Self {
            mixed: m.make(mixed)?,
            inside: m.make(inside)?,
            blocks: m.make((mixed + inside).div_ceil(32))?,
            rows: m.make(rows)?,
            first: m.make(first)?,
        })
    }
}

impl ExpertScratch {
    fn build(c: &ModelConfig, m: &mut impl Make) -> Result<Self, EngineError> {
        let dense = c.experts.is_some() && (c.arch.experts_beside || c.arch.experts_ahead);
        let dense = if dense { c.dim } else { 0 };
        let [scores, used, rows, blocks, shared] = c.experts.as_ref().map_or([0; 5], |e| {
            let wide = c.dim.max(e.narrow.unwrap_or(0));
            [e.count, e.used, e.used * wide, e.used * wide.max(e.widest()).div_ceil(32), usize::from(e.shared_ff > 0)]
        });
        let narrow = c.experts.as_ref().and_then(|e| e.narrow).unwrap_or(0);
        Ok(Self {
            scores: m.make(scores)?,
            chosen: m.make(used)?,
            rows: m.make(rows)?,
            blocks: m.make(blocks)?,
            narrow: [m.make(narrow)?, m.make(narrow)?],
            narrow_blocks: m.make(narrow.div_ceil(32))?,
            shared: m.make(shared)?,
            dense: m.make(dense)?,
        })
    }
}
