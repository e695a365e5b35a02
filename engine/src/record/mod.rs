//! Where the time of a step goes: a recorder is told of every operation, and of every thread at work.
//!
//! The leader's time is cut without gaps: an operation lasts from its own beginning to that of the next, so the times of a
//! step's operations add up to the step's. What the other threads did meanwhile comes from
//! [`TeamWatch`](hewn_kernels::TeamWatch), and belongs to the operation in whose time it lies.
//!
//! Without a recorder an operation costs one branch.

mod memory;

pub use hewn_kernels::Cost;
pub use memory::{Busy, MemoryRecorder, Recording};

use hewn_kernels::TeamWatch;
use std::fmt::Debug;
use std::time::Instant;

/// What is computed, in the order of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Waking the team up before the first operation, and waiting for it after the last.
    Team,
    /// Looking up the rows of the tokens.
    Embedding,
    /// The products for what tokens bring to layers besides their embeddings: from the embeddings, and into each layer.
    LayerInput,
    /// Several residual streams: made of the embedding, guessed before each layer and corrected after it, or mixed around each
    /// part, and one again.
    AltUp,
    /// The products of the low-rank part beside the attention, and adding it to the stream.
    Laurel,
    /// Sines and cosines of the positions.
    RopeTables,
    /// A norm of the stream, of compressed queries, or of what a delta net or a state space gives, with its gate.
    Norm,
    /// Activations to 8 bits.
    Quantize,
    /// The products with the query, key and value matrices, or with those that make compressed ones; in a delta net or a
    /// state space, also of its gates.
    QkvProduct,
    /// Biases and norms of queries, keys and values, and turning queries and keys.
    Rope,
    /// The convolution of queries, keys and values in a delta net or a state space, and making one entry of several positions.
    Convolution,
    /// A delta net's matrices: updated, and asked.
    DeltaRule,
    /// A state space's matrices: faded, added to, and asked.
    Scan,
    /// Of latent attention: each head's products to the latent's channels and back.
    LatentProduct,
    /// Putting rows into another order: head by head, or expert by expert.
    Regroup,
    /// Storing keys and values in the cache.
    KvStore,
    /// Scores, softmax and the weighted sum of values.
    Attention,
    /// The product with the attention's output matrix.
    AttentionOutput,
    /// Choosing the experts of a mixture.
    Router,
    /// The products with the chosen experts' gate and up matrices.
    ExpertGateUp,
    /// The products with the chosen experts' down matrices.
    ExpertDown,
    /// The weighted sum of the experts' outputs.
    Combine,
    /// The products with the gate and up matrices that all rows take: of a dense layer, or of a shared expert. With
    /// several rows of a dense layer of block formats, the activation and its quantization are part of it.
    GateUpProduct,
    /// The activation between the products of the feed-forward part, where it is an operation of its own.
    Activation,
    /// The product with the down matrix that all rows take.
    DownProduct,
    /// Adding a part's result to the stream.
    ResidualAdd,
    /// The product with the output matrix, over the vocabulary.
    Logits,
    /// Scaling the logits, and bounding them.
    LogitBounds,
}

impl Op {
    /// Every kind.
    pub const ALL: [Self; 28] = [
        Self::Team,
        Self::Embedding,
        Self::LayerInput,
        Self::AltUp,
        Self::Laurel,
        Self::RopeTables,
        Self::Norm,
        Self::Quantize,
        Self::QkvProduct,
        Self::Rope,
        Self::Convolution,
        Self::DeltaRule,
        Self::Scan,
        Self::LatentProduct,
        Self::Regroup,
        Self::KvStore,
        Self::Attention,
        Self::AttentionOutput,
        Self::Router,
        Self::ExpertGateUp,
        Self::ExpertDown,
        Self::Combine,
        Self::GateUpProduct,
        Self::Activation,
        Self::DownProduct,
        Self::ResidualAdd,
        Self::Logits,
        Self::LogitBounds,
    ];

    /// The name for people and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Embedding => "embedding",
            Self::LayerInput => "layer input",
            Self::AltUp => "altup",
            Self::Laurel => "laurel",
            Self::RopeTables => "rope tables",
            Self::Norm => "norm",
            Self::Quantize => "quantize",
            Self::QkvProduct => "qkv product",
            Self::Rope => "bias, norm, rope",
            Self::Convolution => "convolution",
            Self::DeltaRule => "delta rule",
            Self::Scan => "scan",
            Self::LatentProduct => "latent product",
            Self::Regroup => "regroup",
            Self::KvStore => "kv store",
            Self::Attention => "attention",
            Self::AttentionOutput => "attention output",
            Self::Router => "router",
            Self::ExpertGateUp => "expert gate/up",
            Self::ExpertDown => "expert down",
            Self::Combine => "combine",
            Self::GateUpProduct => "gate/up product",
            Self::Activation => "activation",
            Self::DownProduct => "down product",
            Self::ResidualAdd => "residual add",
            Self::Logits => "logits",
            Self::LogitBounds => "logit bounds",
        }
    }
}

/// One operation that is over.
#[derive(Clone, Copy, Debug)]
pub struct OpEvent {
    /// What it was.
    pub op: Op,
    /// In which layer; none before the first and after the last.
    pub layer: Option<usize>,
    /// What it had to read and compute.
    pub cost: Cost,
    /// When it began.
    pub start: Instant,
    /// When the next began.
    pub end: Instant,
}

/// One step of a team that is over: what [`Runner::step`](crate::Runner::step) computes at once.
#[derive(Clone, Copy, Debug)]
pub struct StepEvent {
    /// Rows: tokens of all sequences together.
    pub rows: usize,
    /// Sequences that they belong to.
    pub sequences: usize,
    /// Rows whose logits were computed.
    pub logits: usize,
    /// When it began.
    pub start: Instant,
    /// When it ended.
    pub end: Instant,
}

/// Is told what a [`Runner`](crate::Runner) does (see [`Runner::record`](crate::Runner::record)), from the middle of a
/// step: the calls should be short.
pub trait Recorder: TeamWatch + Debug {
    /// An operation is over. Told by the team's leader, in order.
    fn op(&self, event: &OpEvent);

    /// A step is over; its operations were told before. A step that fails is not told.
    fn step(&self, event: &StepEvent);
}

/// The operation that runs now, on its way to the recorder.
pub(crate) struct Lap<'r> {
    recorder: Option<&'r dyn Recorder>,
    now: Option<(Op, Option<usize>, Cost, Instant)>,
    /// The layer that operations belong to from here on.
    pub layer: Option<usize>,
}

impl<'r> Lap<'r> {
    pub fn new(recorder: Option<&'r dyn Recorder>) -> Self {
        Self { recorder, now: None, layer: None }
    }

    /// From here on it is `op`, which costs `cost()`; what was before is over.
    #[inline]
    pub fn op(&mut self, op: Op, cost: impl FnOnce() -> Cost) {
        if let Some(recorder) = self.recorder {
            let start = self.close(recorder);
            self.now = Some((op, self.layer, cost(), start));
        }
    }

    /// The last one is over.
    pub fn finish(&mut self) {
        if let Some(recorder) = self.recorder {
            self.close(recorder);
        }
    }

    #[cold]
    fn close(&mut self, recorder: &dyn Recorder) -> Instant {
        let end = Instant::now();
        if let Some((op, layer, cost, start)) = self.now.take() {
            recorder.op(&OpEvent { op, layer, cost, start, end });
        }
        end
    }
}
