//! What architectures choose among: the kinds of norms, gates, experts and running states.

use hewn_kernels::op::rope::Pairing;

/// A kind of norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Divided by the root of the mean square.
    Rms,
    /// The mean taken off, divided by the standard deviation; biased where the file says so.
    Layer,
}

/// The names of a layer's norms, where there are some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norms {
    /// Of the input of the attention.
    pub before_attention: Option<&'static str>,
    /// One that some files have for the attention alone; then the one before is the feed-forward part's.
    pub of_attention: Option<&'static str>,
    /// Of what it adds to the stream.
    pub after_attention: Option<&'static str>,
    /// Of the input of the feed-forward part.
    pub before_ff: Option<&'static str>,
    /// Of what it adds to the stream.
    pub after_ff: Option<&'static str>,
    /// Its name in other files.
    pub after_ff_or: Option<&'static str>,
    /// Of the stream once the attention is added.
    pub behind_attention: Option<&'static str>,
    /// Of the stream once the feed-forward part is added.
    pub behind_ff: Option<&'static str>,
}

impl Norms {
    /// Before both parts.
    pub const BEFORE: Self = Self {
        before_attention: Some("attn_norm"),
        of_attention: None,
        after_attention: None,
        before_ff: Some("ffn_norm"),
        after_ff: None,
        after_ff_or: None,
        behind_attention: None,
        behind_ff: None,
    };
    /// Of the stream behind both parts.
    pub const BEHIND: Self = Self {
        before_attention: None,
        before_ff: None,
        behind_attention: Some("attn_output_norm"),
        behind_ff: Some("layer_output_norm"),
        ..Self::BEFORE
    };
    /// Before and after both parts.
    pub const AROUND: Self =
        Self { after_attention: Some("post_attention_norm"), after_ff: Some("post_ffw_norm"), ..Self::BEFORE };
}

/// Whether attention and feed-forward part are side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parallel {
    /// One comes after the other.
    Never,
    /// They are.
    Always,
    /// In layers whose feed-forward part has no norm of its own.
    Unnormed,
    /// Where `use_parallel_residual` says so.
    Said,
}

/// Whether queries and keys are normed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadNorm {
    /// They are not.
    None,
    /// Each head by itself, with weights that all heads share (`[k_dim]`).
    Each,
    /// The same, where the file has them.
    EachOrNone,
    /// Each head by itself, without weights, where it is turned; not in the model of so many experts.
    TurnedUnless(usize),
    /// All heads as one vector (`[heads * k_dim]`).
    Whole,
    /// Likewise, the mean taken off, where the file has such norms.
    WholeLayer,
    /// Each head by itself, with weights of its own (`[heads, k_dim]`), where the file has them.
    Own(NormKind),
    /// Each head by itself; those of queries are then multiplied with a number each (`[heads, 1]`).
    Gains,
}

/// Whether scores count less the further away a position is (ALiBi, arXiv 2108.12409).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaning {
    /// They do not.
    None,
    /// As much as files say, where they do.
    Said,
    /// So much.
    Always(f32),
    /// So much in the model of so many layers.
    WithLayers(usize, f32),
}

/// How a classifier scores texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// Perhaps a matrix and a hyperbolic tangent, then a matrix.
    Tanh,
    /// A matrix, the Gaussian error linear unit, a norm, a matrix.
    Gelu,
    /// A matrix; its softmax counts, of the last row.
    Softmax,
}

/// Whether the softmax of each head counts something besides the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sinks {
    /// It does not.
    None,
    /// It does.
    Always,
    /// In layers where the file has it.
    IfThere,
}

/// Where indexers differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Indexed {
    /// Which channels of its heads form rotary pairs.
    pub pairing: Pairing,
    /// Whether the last channels of a head are turned, not the first.
    pub turned_last: bool,
    /// Whether the epsilon of its norms is the stream's.
    pub stream_eps: bool,
    /// Whether files without one see everything.
    pub may_lack: bool,
    /// Whether which layers choose is known where files with a long context do not say.
    pub known_types: bool,
    /// Whether it chooses blocks of positions, for each key/value head by a head of its own, in the layers that are not dense.
    pub blocks: bool,
}

impl Indexed {
    /// DeepSeek V3.2's.
    pub const PLAIN: Self = Self {
        pairing: Pairing::Halves,
        turned_last: false,
        stream_eps: false,
        may_lack: false,
        known_types: false,
        blocks: false,
    };
}

/// Whether heads are gated: their outputs are multiplied with the logistic function of their gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadGates {
    /// They are not.
    None,
    /// Each query head comes with its gate, in one matrix.
    WithQueries,
    /// The gates are a projection of their own.
    Apart,
    /// Likewise, with one gate for all channels of a head.
    OneEach,
    /// A projection of their own, with one gate for each channel or for all of a head, as the file has it; `ln(1 + e^gate)`
    /// counts.
    Softplus,
}

/// What layers with a running state do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// Gated delta nets.
    Delta(DeltaLayout),
    /// Convolutions between two gates, in the layers without key/value heads.
    ShortConvolution,
    /// Delta nets, each channel of whose keys fades by a factor of its own, in the layers without key/value heads.
    ChannelDelta,
    /// State spaces of the first Mamba, in the layers without key/value heads.
    Selective {
        /// Whether what the values tell is normed, with weights; where not, files may have it normed without.
        weighed_norms: bool,
    },
    /// State spaces of the second Mamba.
    Scan(ScanLayout),
    /// State spaces of heads, as the second Mamba's, whose values tell keys, queries and steps, as the first's, in the layers
    /// without heads.
    ToldScan,
    /// RWKV's time mixing, in every layer.
    Wkv(Wkv),
    /// Lightning attention: without a softmax, each position counting less by the same factor than the one behind it.
    Lightning,
}

/// Versions of RWKV's time mixing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wkv {
    /// The sixth.
    Sixth,
    /// The sixth's, around linear attention.
    Linear,
    /// The seventh.
    Seventh,
}

/// Where files of gated delta nets differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLayout {
    /// Whether value head `h` reads key head `h` modulo their number; otherwise neighbours share one.
    pub interleaved: bool,
    /// Whether one matrix tells corrections and decays, key head by key head; otherwise there is one for each.
    pub fused_gates: bool,
}

/// Where files of state spaces differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLayout {
    /// Whether every layer has one, beside its attention; otherwise they are the layers without key/value heads, and
    /// without a feed-forward part where layers have only [one](Arch::single).
    pub beside_attention: bool,
    /// Whether what they give must be normed; where not, it may.
    pub normed: bool,
}

/// How a mixture of experts chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Whether every file of the architecture has experts.
    pub always: bool,
    /// Whether they are as wide as a dense feed-forward part where the file does not say.
    pub dense_width: bool,
    /// How scores become weights.
    pub gating: Gating,
    /// Whether the weights of the chosen ones are made to sum to 1.
    pub normalize: bool,
}

/// The names around experts that run on fewer channels than the stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrow {
    /// The key of the number of channels.
    pub key: &'static str,
    /// The matrix from the stream to these.
    pub down: &'static str,
    /// The norm of the sum of the experts, where the file has it.
    pub norm: Option<&'static str>,
    /// The matrix back to the stream.
    pub up: &'static str,
}

/// How the scores of experts become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    /// Softmax over all.
    Softmax,
    /// The logistic function of each.
    Sigmoid,
    /// The root of `ln(1 + e^score)`.
    SqrtSoftplus,
    /// Softmax over those that were chosen.
    SoftmaxOfChosen,
    /// The logistic function of those that were chosen by their scores themselves.
    SigmoidOfChosen,
    /// One after the other by the best score, with the softmax over those of the others whose scores are within a share of
    /// it: hardly ever is that another than 1 (arXiv 2409.12136).
    SparseMixer,
}

/// Queries of position `p` are multiplied with `1 + scale ln(1 + floor((p + 1) / every))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature {
    /// How much.
    pub scale: f32,
    /// Positions from one step to the next.
    pub every: usize,
}

/// Gates of which only the largest count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CutOff {
    /// First layers that have them.
    pub layers: usize,
    /// Standard deviations above their mean that gates count from.
    pub deviations: f32,
}

/// Which side of SiLU a bound is on, where files list bounds; what it lets through is bounded likewise, up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// What it gives.
    After,
    /// What it takes.
    Before,
}

/// Rotary positions of layers with a window: never stretched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalRope {
    /// Base of the frequencies where the file does not say; the model's if not given.
    pub base: Option<f32>,
}
