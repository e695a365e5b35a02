//! A sequence: the tokens so far and their keys and values.

use crate::config::ModelConfig;
use crate::error::EngineError;
use crate::model::Model;
use hewn_kernels::state::{RunningState, StateShape};
use hewn_kernels::{KvLayer, KvShape, KvType};

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
/// Layers of some architectures (gated delta nets, say) keep a *running state* of a fixed size instead, which has no way back:
/// see [`truncate`](Self::truncate) and [`mark`](Self::mark).
#[derive(Debug)]
pub struct Sequence {
    /// Of the layers that read no other's; those with a running state leave theirs empty.
    pub(crate) layers: Vec<KvLayer>,
    /// Running states, `[layers]`; empty where no layer has one.
    pub(crate) states: Vec<Option<RunningState>>,
    pub(crate) tokens: Vec<u32>,
    mark: Option<Mark>,
    ctx: usize,
}

/// The running states once more, as they were.
#[derive(Debug)]
struct Mark {
    /// Tokens held then.
    len: usize,
    states: Vec<Option<RunningState>>,
}

/// The shape of the cache of layer `i`, if it has one of its own.
pub(crate) fn kv_shape(c: &ModelConfig, i: usize, kind: KvType) -> KvShape {
    let l = c.layer(i);
    KvShape { kind, heads: l.kv_heads, k_dim: l.k_dim, v_dim: l.v_dim }
}

/// States of these shapes, which are alike, where there are some; nothing where there are none.
fn new_states(
    shapes: impl Iterator<Item = Option<StateShape>> + Clone,
) -> Result<Vec<Option<RunningState>>, EngineError> {
    let count = shapes.clone().flatten().count();
    let Some(shape) = shapes.clone().flatten().next() else { return Ok(Vec::new()) };
    let bytes = shape.bytes().saturating_mul(count);
    let all = RunningState::several(shape, count);
    let mut all = all.ok_or(EngineError::Memory { what: "the running states", bytes })?.into_iter();
    Ok(shapes.map(|shape| shape.and_then(|_| all.next())).collect())
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
        Ok(Self { layers, states, tokens: Vec::new(), mark: None, ctx })
    }

    /// The same tokens, keys and values once more: a conversation that goes on in two ways.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn try_clone(&self) -> Result<Self, EngineError> {
        let layers = self.layers.iter().map(KvLayer::try_clone).collect::<Result<_, _>>()?;
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
        Ok(Self { layers, states, tokens: self.tokens.clone(), mark, ctx: self.ctx })
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
        let copies = self.mark.iter().flat_map(|mark| &mark.states);
        let states = self.states.iter().chain(copies).flatten().map(|s| s.shape().bytes());
        self.layers.iter().map(KvLayer::bytes).chain(states).sum()
    }

    /// Whether layers keep a running state, which can go back only to a mark or to the beginning.
    pub fn has_running_state(&self) -> bool {
        !self.states.is_empty()
    }

    /// Forgets the tokens from `len` on, as for an edit or another try, and returns how many are left: `len`, or as many as
    /// there were.
    ///
    /// [Running states](Self::has_running_state) can only go back to the last [`mark`](Self::mark), where that is not beyond
    /// `len`, or to the beginning: then fewer are left, and what was forgotten needlessly has to be computed again.
    pub fn truncate(&mut self, len: usize) -> usize {
        if len < self.tokens.len() {
            self.go_back(len);
        }
        self.tokens.len()
    }

    /// Notes the present length as one that [`truncate`](Self::truncate) can go back to exactly, in place of the one noted
    /// before. Takes as much memory as the running states; where no layer has one, nothing, and every length will do.
    ///
    /// # Errors
    /// There is not enough memory; the mark before is lost.
    pub fn mark(&mut self) -> Result<(), EngineError> {
        if self.has_running_state() {
            let mut states = self.mark.take().map_or_else(Vec::new, |mark| mark.states);
            copy_states(&mut states, &self.states)?;
            self.mark = Some(Mark { len: self.tokens.len(), states });
        }
        Ok(())
    }

    /// After a step that failed: some layers may be ahead of the tokens.
    pub(crate) fn undo(&mut self) {
        self.go_back(self.tokens.len());
    }

    fn go_back(&mut self, len: usize) {
        let len = match &self.mark {
            _ if self.states.is_empty() => len,
            Some(mark) if mark.len <= len => {
                let pairs = self.states.iter_mut().zip(&mark.states);
                pairs.for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(to, from)| to.copy_from(from)));
                mark.len
            }
            _ => {
                self.states.iter_mut().flatten().for_each(RunningState::clear);
                0
            }
        };
        // One that lies ahead is of tokens that are no more.
        self.mark.take_if(|mark| mark.len > len);
        self.tokens.truncate(len);
        self.layers.iter_mut().for_each(|l| l.truncate(len));
    }

    /// Whether the sequence was made for a model of this shape.
    pub(crate) fn fits(&self, c: &ModelConfig) -> bool {
        let state = |i: usize| self.states.get(i).and_then(Option::as_ref).map(|s| *s.shape());
        self.layers.len() == c.caches()
            && self.layers.iter().enumerate().all(|(i, l)| {
                let len = if c.attends(i) { self.tokens.len() } else { 0 };
                state(i) == c.state_of(i) && *l.shape() == kv_shape(c, i, l.shape().kind) && l.len() == len
            })
    }
}
