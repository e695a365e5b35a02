//! A sequence: the tokens so far and their keys and values.

mod saved;

use crate::config::{ModelConfig, Window};
use crate::error::EngineError;
use crate::model::Model;
use hewn_kernels::kv::TILE;
use hewn_kernels::state::{RunningState, StateShape};
use hewn_kernels::{KvLayer, KvShape, KvType};
pub use saved::MAGIC;
use std::ops::Range;

/// How a sequence is made.
#[derive(Clone, Debug, Default)]
pub struct SequenceOptions {
    /// The most positions it may hold; the model's trained context when not given.
    pub ctx: Option<usize>,
    /// Number format of its cache.
    pub kv: KvType,
}

/// One conversation's state. Its cache grows as tokens arrive, in tiles of 64 positions.
///
/// Not every layer keeps everything. Those of some architectures (gated delta nets, say) have a *running state* of a fixed size
/// instead, and those with a sliding window forget what lies before it. So there is not always a way back: see
/// [`truncate`](Self::truncate) and [`mark`](Self::mark).
#[derive(Debug)]
pub struct Sequence {
    /// Of the layers that read no other's; those with a running state leave theirs empty.
    pub(crate) layers: Vec<KvLayer>,
    /// Running states, `[layers]`; empty where no layer has one.
    pub(crate) states: Vec<Option<RunningState>>,
    pub(crate) tokens: Vec<u32>,
    /// Entries that stand for several positions each, as keys and values, `[layers]`; empty where no layer has any.
    pub(crate) pooled: Vec<KvLayer>,
    /// How many positions an entry of each layer stands for; 0 where it has none.
    ratios: Vec<usize>,
    /// What an indexer compares its queries with, `[positions, dim]` (or entries) of each layer that has one; empty where none will have
    /// to choose.
    pub(crate) index: Vec<Vec<f32>>,
    /// Channels of that, and positions that each is of.
    index_dim: [usize; 2],
    /// Layers that see the last positions only.
    window: Option<Window>,
    mark: Option<Mark>,
    /// From which position on tokens are of the second kind, of models that tell two texts apart.
    pub(crate) second_from: usize,
    /// Another, of running states only, for a few tokens that are only guessed.
    checkpoint: Option<Mark>,
    ctx: usize,
}

/// How far [`Sequence::truncate`] can go back in any case, where layers have a window: so many positions before its
/// beginning are kept. More than the tokens with which templates open an answer, and than anyone guesses ahead.
pub(crate) const WAY_BACK: usize = 256 + GUESSES;

/// The most tokens that are guessed ahead: they are positions, too, until they turn out wrong.
pub(crate) const GUESSES: usize = 64;

/// A length to come back to, and the running states once more as they were.
#[derive(Debug)]
struct Mark {
    /// Tokens held then.
    len: usize,
    states: Vec<Option<RunningState>>,
}

/// The first position that a layer with such a window must keep, to go on from `len` and a little before it.
pub(crate) fn kept_from(window: usize, len: usize) -> usize {
    (len + 1).saturating_sub(window).saturating_sub(WAY_BACK)
}

/// The shape of the cache of layer `i`, if it has one of its own.
pub(crate) fn kv_shape(c: &ModelConfig, i: usize, kind: KvType) -> KvShape {
    let l = c.layer(i);
    KvShape { kind, heads: l.kv_heads, k_dim: l.k_dim, v_dim: l.v_dim }
}

/// How many positions an entry of each layer stands for, 0 where it has none; nothing where no layer has any.
fn ratios(c: &ModelConfig) -> Vec<usize> {
    let layers = if c.pooling.is_some() { 0..c.layers } else { 0..0 };
    layers.map(|i| c.pooled_of(i).unwrap_or(0)).collect()
}

/// Layers that may have keys of an indexer in a sequence of up to `ctx` positions, and channels and positions of each key.
fn index_of(c: &ModelConfig, ctx: usize) -> (usize, [usize; 2]) {
    c.indexer.as_ref().filter(|x| x.chooses(ctx)).map_or((0, [0, 1]), |x| (c.layers, [x.dim, x.ratio]))
}

/// States of these shapes where there are some, those that are alike side by side; nothing where there are none.
fn new_states(shapes: impl Iterator<Item = Option<StateShape>>) -> Result<Vec<Option<RunningState>>, EngineError> {
    let shapes: Vec<_> = shapes.collect();
    let mut states: Vec<Option<RunningState>> = Vec::new();
    for &shape in shapes.iter().flatten() {
        if states.iter().flatten().any(|s| *s.shape() == shape) {
            continue;
        }
        let count = shapes.iter().flatten().filter(|s| **s == shape).count();
        let bytes = shape.bytes().saturating_mul(count);
        let all = RunningState::several(shape, count);
        let mut all = all.ok_or(EngineError::Memory { what: "the running states", bytes })?.into_iter();
        states.resize_with(shapes.len(), || None);
        let alike = states.iter_mut().zip(&shapes).filter(|(_, s)| **s == Some(shape));
        alike.for_each(|(state, _)| *state = all.next());
    }
    Ok(states)
}

/// Makes `to` the same as `from`, in the memory that it has.
fn copy_states(to: &mut Vec<Option<RunningState>>, from: &[Option<RunningState>]) -> Result<(), EngineError> {
    if to.is_empty() {
        *to = new_states(from.iter().map(|state| state.as_ref().map(|s| *s.shape())))?;
    }
    let pairs = to.iter_mut().zip(from).filter_map(|(to, from)| to.as_mut().zip(from.as_ref()));
    pairs.for_each(|(to, from)| to.copy_from(from));
    Ok(())
}

impl Sequence {
    /// An empty sequence for `model`.
    ///
    /// # Errors
    /// A context of 0 or beyond what the model was trained for.
    pub fn new(model: &Model, options: &SequenceOptions) -> Result<Self, EngineError> {
        let c = model.config();
        let ctx = options.ctx.unwrap_or(c.ctx);
        if ctx == 0 || ctx > c.ctx {
            let reason = format!("{ctx} is not within 1..={}, the context that the model was trained for", c.ctx);
            return Err(EngineError::Option { name: "ctx", reason });
        }
        let first = KvLayer::new(kv_shape(c, 0, options.kv));
        let layers = (0..c.caches()).map(|i| first.sibling(kv_shape(c, i, options.kv))).collect();
        let states = new_states((0..c.layers).map(|i| c.state_of(i)))?;
        let (index, index_dim) = match index_of(c, ctx) {
            (0, dim) => (Vec::new(), dim),
            (layers, dim) => (vec![Vec::new(); layers], dim),
        };
        let ratios = ratios(c);
        let pooled = (0..ratios.len()).map(|i| first.sibling(kv_shape(c, i, options.kv))).collect();
        let (tokens, window) = (Vec::new(), c.window.clone());
        Ok(Self {
            layers,
            states,
            tokens,
            pooled,
            ratios,
            index,
            index_dim,
            window,
            mark: None,
            second_from: usize::MAX,
            checkpoint: None,
            ctx,
        })
    }

    /// The same tokens, keys and values once more: a conversation that goes on in two ways.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn try_clone(&self) -> Result<Self, EngineError> {
        let layers = self.layers.iter().map(KvLayer::try_clone).collect::<Result<_, _>>()?;
        let pooled = self.pooled.iter().map(KvLayer::try_clone).collect::<Result<_, _>>()?;
        let mut states = Vec::new();
        copy_states(&mut states, &self.states)?;
        let mark = match &self.mark {
            Some(mark) => {
                let mut states = Vec::new();
                copy_states(&mut states, &mark.states)?;
                Some(Mark { len: mark.len, states })
            }
            None => None,
        };
        let mut index = Vec::with_capacity(self.index.len());
        for keys in &self.index {
            let mut copy = crate::error::zeroed(keys.len(), "the keys of an indexer")?;
            copy.copy_from_slice(keys);
            index.push(copy);
        }
        Ok(Self {
            layers,
            states,
            tokens: self.tokens.clone(),
            pooled,
            ratios: self.ratios.clone(),
            index,
            index_dim: self.index_dim,
            window: self.window.clone(),
            mark,
            second_from: self.second_from,
            checkpoint: None,
            ctx: self.ctx,
        })
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens held.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The most tokens it can hold.
    pub fn ctx(&self) -> usize {
        self.ctx
    }

    /// Bytes of cache held now, running states and their copies among them.
    pub fn kv_bytes(&self) -> usize {
        let copies = self.mark.iter().chain(&self.checkpoint).flat_map(|mark| &mark.states);
        let states = self.states.iter().chain(copies).flatten().map(|s| s.shape().bytes());
        let index = self.index.iter().map(|keys| keys.len() * size_of::<f32>());
        self.layers.iter().chain(&self.pooled).map(KvLayer::bytes).chain(states).chain(index).sum()
    }

    /// Whether layers keep a running state, which can go back only to a mark or to the beginning.
    pub fn has_running_state(&self) -> bool {
        !self.states.is_empty()
    }

    /// Whether layers forget what lies before their window.
    pub fn has_window(&self) -> bool {
        self.windowed().next().is_some()
    }

    /// Forgets the tokens from `len` on, as for an edit or another try, and returns how many are left: `len`, or as many as
    /// there were.
    ///
    /// Layers with a [window](Self::has_window) can go back to the last 320 positions that there ever were (of which 64 may be
    /// tokens that were only guessed), and to as many before the last [`mark`](Self::mark);
    /// [running states](Self::has_running_state) exactly to the mark; both to the beginning. Where there is no other way, fewer
    /// are left than asked for, and what was forgotten needlessly has to be computed again.
    pub fn truncate(&mut self, len: usize) -> usize {
        if len < self.tokens.len() {
            self.go_back(len);
        }
        self.tokens.len()
    }

    /// Notes the present length as one that [`truncate`](Self::truncate) can go back to exactly, in place of the one noted
    /// before. Takes as much memory as the running states, and windows are kept as they are now; where no layer has one or the
    /// other, nothing, and every length will do.
    ///
    /// # Errors
    /// There is not enough memory; the mark before is lost.
    pub fn mark(&mut self) -> Result<(), EngineError> {
        if self.has_running_state() || self.has_window() {
            let (before, len) = (self.mark.take(), self.tokens.len());
            let from = before.as_ref().map_or(0, |mark| mark.len);
            // What was kept for the mark before, if it lies apart from what is kept now.
            self.forget(0..self.seen_from(len).min(from.next_multiple_of(TILE)));
            let mut states = before.map_or_else(Vec::new, |mark| mark.states);
            copy_states(&mut states, &self.states)?;
            self.mark = Some(Mark { len, states });
            self.forget_unseen();
        }
        Ok(())
    }

    /// Notes the present length beside the mark, as one to go back to from a few tokens that are only guessed.
    ///
    /// # Errors
    /// There is not enough memory; the checkpoint before is lost.
    pub(crate) fn checkpoint(&mut self) -> Result<(), EngineError> {
        if self.has_running_state() {
            let mut states = self.checkpoint.take().map_or_else(Vec::new, |c| c.states);
            copy_states(&mut states, &self.states)?;
            self.checkpoint = Some(Mark { len: self.tokens.len(), states });
        }
        Ok(())
    }

    /// After a step: gives back the memory of what no layer will see again, nor after going back.
    pub(crate) fn forget_unseen(&mut self) {
        let mark = self.mark.as_ref().map_or(0, |mark| mark.len);
        self.forget(mark..self.seen_from(self.tokens.len()));
        self.forget(0..self.seen_from(mark));
    }

    /// The first position that a layer with a window must keep, to go on from `len` and a little before it.
    fn seen_from(&self, len: usize) -> usize {
        self.window.as_ref().map_or(0, |w| kept_from(w.size, len))
    }

    fn forget(&mut self, positions: Range<usize>) {
        let Some(window) = self.window.as_ref().filter(|_| !positions.is_empty()) else { return };
        let layers = self.layers.iter_mut().enumerate().filter(|(i, _)| window.layers.has(*i));
        layers.filter(|(_, l)| !l.is_empty()).for_each(|(_, l)| l.forget(positions.clone()));
    }

    /// The caches of layers with a window.
    fn windowed(&self) -> impl Iterator<Item = &KvLayer> {
        let windowed =
            self.window.iter().flat_map(|w| self.layers.iter().enumerate().filter(|(i, _)| w.layers.has(*i)));
        windowed.map(|(_, l)| l)
    }

    /// Whether the windows that tokens from `len` on will see are there.
    fn sees(&self, len: usize) -> bool {
        let first = self.window.as_ref().map_or(0, |w| (len + 1).saturating_sub(w.size));
        self.windowed().filter(|l| !l.is_empty()).all(|l| l.holds(first..len))
    }

    /// After a step that failed: some layers may be ahead of the tokens.
    pub(crate) fn undo(&mut self) {
        self.go_back(self.tokens.len());
    }

    fn go_back(&mut self, len: usize) {
        // The windows of a checkpoint of long ago may be forgotten.
        let marks =
            self.checkpoint.iter().filter(|c| self.sees(c.len)).chain(&self.mark).filter(|mark| mark.len <= len);
        let len = match marks.max_by_key(|mark| mark.len) {
            _ if self.states.is_empty() && self.sees(len) => len,
            Some(mark) => {
                let pairs = self.states.iter_mut().zip(&mark.states);
                pairs.for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(to, from)| to.copy_from(from)));
                mark.len
            }
            None => {
                self.states.iter_mut().flatten().for_each(RunningState::clear);
                0
            }
        };
        // Those that lie ahead are of tokens that are no more.
        self.mark.take_if(|mark| mark.len > len);
        self.checkpoint.take_if(|checkpoint| checkpoint.len > len);
        self.tokens.truncate(len);
        self.layers.iter_mut().for_each(|l| l.truncate(len));
        let entries = self.pooled.iter_mut().zip(&self.ratios).filter(|(_, ratio)| **ratio > 0);
        entries.for_each(|(l, ratio)| l.truncate(len / ratio));
        let [dim, ratio] = self.index_dim;
        self.index.iter_mut().for_each(|keys| keys.truncate(len / ratio * dim));
    }

    /// Whether the sequence was made for a model of this shape.
    pub(crate) fn fits(&self, c: &ModelConfig) -> bool {
        let state = |i: usize| self.states.get(i).and_then(Option::as_ref).map(|s| *s.shape());
        self.window == c.window
            && (self.index.len(), self.index_dim) == index_of(c, self.ctx)
            && self.ratios == ratios(c)
            && self.pooled.iter().enumerate().all(|(i, l)| *l.shape() == kv_shape(c, i, l.shape().kind))
            && self.layers.len() == c.caches()
            && self.layers.iter().enumerate().all(|(i, l)| {
                // Where a text is read as a whole, nothing is left of it.
                let len = if c.attends(i) && c.causal { self.tokens.len() } else { 0 };
                state(i) == c.state_of(i) && *l.shape() == kv_shape(c, i, l.shape().kind) && l.len() == len
            })
    }
}
