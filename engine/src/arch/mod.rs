//! Architectures: each file has the names and the differences of one, and nothing else.
//!
//! The common skeleton (norm, rotary positions, attention, gated feed-forward or a mixture of experts) lives in
//! [`crate::forward`]; a new architecture of that family is a file with an [`Arch`] constant, which says where it departs
//! from [`Arch::PLAIN`], and a line in [`ALL`]. What the files themselves tell (fused projections, biases that may be
//! there, scales in the metadata) the architecture does not have to.

mod afmoe;
mod apertus;
mod arcee;
mod baichuan;
mod bailingmoe;
mod bailingmoe2;
mod bitnet;
mod chatglm;
mod codeshell;
mod cohere2;
mod cohere2moe;
mod command_r;
mod dbrx;
mod deci;
mod deepseek;
mod deepseek2;
mod dots1;
mod ernie4_5;
mod ernie4_5_moe;
mod exaone;
mod exaone4;
mod exaone_moe;
mod falcon;
mod falcon_h1;
mod gemma;
mod gemma2;
mod gemma3;
mod gemma3n;
mod gemma4;
mod glm4;
mod glm4moe;
mod gpt2;
mod gpt_oss;
mod gptneox;
mod granite;
mod granite_swa;
mod granitehybrid;
mod granitemoe;
mod hunyuan_dense;
mod hunyuan_moe;
mod hy_v3;
mod internlm2;
mod jais2;
mod jamba;
mod kimi_linear;
mod laguna;
mod lfm2;
mod lfm2moe;
mod llama;
mod llama4;
mod maincoder;
mod mamba;
mod mamba2;
mod mellum;
mod mimo2;
mod minicpm;
mod minimax_m2;
mod mistral3;
mod mistral4;
mod nemotron;
mod nemotron_h;
mod nemotron_h_moe;
mod olmo;
mod olmo2;
mod olmoe;
mod openelm;
mod orion;
mod pangu_embedded;
mod phi2;
mod phi3;
mod phimoe;
mod plamo;
mod plamo3;
mod qwen;
mod qwen2;
mod qwen2moe;
mod qwen2vl;
mod qwen3;
mod qwen35;
mod qwen35moe;
mod qwen3moe;
mod qwen3next;
mod qwen3vl;
mod qwen3vlmoe;
mod seed_oss;
mod smallthinker;
mod smollm3;
mod spark2_5;
mod stablelm;
mod starcoder;
mod starcoder2;
mod xverse;

use hewn_kernels::op::activation::Activation;
use hewn_kernels::op::rope::Pairing;

/// What distinguishes one architecture from another.
#[derive(Debug)]
pub struct Arch {
    /// `general.architecture`, and the prefix of its metadata keys.
    pub name: &'static str,
    /// Which channels form a rotary pair.
    pub pairing: Pairing,
    /// Whether the query, key and value projections must have biases; where not, they may.
    pub qkv_bias: bool,
    /// The norms of the stream.
    pub norm: NormKind,
    /// Whether files with an epsilon by the name of that of RMS norms have those instead.
    pub norm_said: bool,
    /// Where they are.
    pub norms: Norms,
    /// Whether these, and the stream's last one, have no weights.
    pub norms_unweighted: bool,
    /// The name of the stream's last one.
    pub out_norm: &'static str,
    /// Norms of the queries and keys.
    pub head_norm: HeadNorm,
    /// Whether what the output matrix of the attention and the last one of the feed-forward part read is normed.
    pub inner_norms: bool,
    /// Whether each value head is normed, without weights.
    pub value_norm: bool,
    /// Whether a layer without value matrix takes what its key matrix gives, before keys are normed and turned.
    pub keys_as_values: bool,
    /// Whether the feed-forward part reads what the attention reads, with its own norm if it has one.
    pub parallel: Parallel,
    /// Whether the feed-forward part multiplies `up` with an activated `gate`; otherwise it activates `up`.
    pub gated: bool,
    /// The activation.
    pub activation: Activation,
    /// Whether it is xIELU instead, with numbers of each layer.
    pub xielu: bool,
    /// What a mixture of experts does where the file does not say; none where the architecture has no experts.
    pub experts: Option<Routing>,
    /// Whether the experts are chosen by the stream as it comes into the layer, before the attention and without a norm.
    pub early_choice: bool,
    /// Whether an expert's weight counts for its input, not for its output.
    pub weighed_input: bool,
    /// Whether one more expert, as wide as the others, takes every row where the file does not say.
    pub one_shared: bool,
    /// Whether what the chosen experts and the one of every row give is halved, where there is one.
    pub halved: bool,
    /// Whether files say that of every so many layers the last has experts.
    pub interleaved: bool,
    /// Whether the routers that files have tell which layers have experts.
    pub routers_tell: bool,
    /// Whether a layer's experts run beside a dense part, each with norms of its own, and the router norms the stream.
    pub experts_beside: bool,
    /// Multi-head latent attention.
    pub latent: bool,
    /// What some layers do with a running state, where there are such layers.
    pub recurrence: Option<Recurrence>,
    /// Whether a layer is a state space, attention or a feed-forward part, and only that.
    pub single: bool,
    /// Whether layers may lack attention or a feed-forward part, differ in their key/value heads and in the width of the
    /// latter, or have one matrix in the place of attention, where they have query heads but none of keys.
    pub sparse: bool,
    /// Whether no layer attends, nor has a feed-forward part: files say 0 heads and channels.
    pub recurrent_only: bool,
    /// Gates of the heads, whose logistic function their outputs are multiplied with.
    pub gated_heads: HeadGates,
    /// Whether each head's softmax has a sink.
    pub sinks: Sinks,
    /// The sliding window where the file does not say.
    pub window: Option<usize>,
    /// Whether windows are chunks of so many positions, of which a token sees its own.
    pub chunked: bool,
    /// With a window: every so many layers, the last sees everything; otherwise none does.
    pub full_every: Option<usize>,
    /// Whether it is the first of each so many, not the last.
    pub full_first: bool,
    /// Layers with a window have rotary positions of their own.
    pub local_rope: Option<LocalRope>,
    /// Whether the file must list divisors of the model's rotary frequencies.
    pub rope_divisors: bool,
    /// Every so many layers, one does not turn queries and keys.
    pub unturned_every: Option<usize>,
    /// Where some layers have a window, the others do not turn queries and keys.
    pub unturned_full: bool,
    /// Whether the first layers, which are dense, turn them all the same.
    pub turned_dense: bool,
    /// Whether `rope.scaling.finetuned` says if queries and keys are turned at all; they are where it is missing.
    pub turned_said: bool,
    /// How queries grow with their position, in layers that do not turn them; elsewhere files may say it of all layers.
    pub temperature: Option<Temperature>,
    /// Whether no layer turns queries and keys.
    pub unturned: bool,
    /// Whether each position has a row of its own that is added to the embedding, and nothing is turned.
    pub learned_positions: bool,
    /// Whether heads are normed after they are turned, not before.
    pub norm_turned: bool,
    /// Whether files may say how pairs share the coordinates of a position in an image. Of text all are the same, so that
    /// it makes no difference.
    pub coordinates: bool,
    /// The model of so many layers divides scores by the root of `dim / heads` instead of that of a head's channels.
    pub wide_scale_layers: Option<usize>,
    /// The bound of attention scores where the file does not say.
    pub score_cap: Option<f32>,
    /// The bound of logits likewise.
    pub logit_cap: Option<f32>,
    /// Whether embeddings are multiplied with the root of their width.
    pub embed_by_width: bool,
    /// Whether the epsilon of the norms may go by the name of that of the other kind.
    pub either_epsilon: bool,
    /// Whether `logit_scale` divides.
    pub logits_divided: bool,
    /// Whether the sizes of layers may differ: their key/value heads, the width of their feed-forward part, heads of their
    /// own size where there is a window, and last layers that read the keys and values of earlier ones.
    pub varied: bool,
    /// Whether each token may bring each layer something besides its embedding.
    pub layer_inputs: bool,
    /// Whether the residual stream is several (AltUp), with a low-rank part beside the attention (LAuReL).
    pub altup: bool,
    /// Gates that are cut off where the file does not say which; none in most architectures.
    pub cut_off: Option<CutOff>,
    /// Whether the stream may be multiplied with a number after each layer.
    pub layer_factor: bool,
    /// What scores are multiplied with where the file does not say and the channels of a head do not matter.
    pub score_scale: Option<f32>,
    /// Whether the width of the feed-forward part that files say is that of its gate and up together.
    pub ff_of_both: bool,
    /// How many layers the model must have: with other numbers it is one of another kind, which is not supported.
    pub only_layers: Option<usize>,
    /// Keys that the metadata must have, where other architectures have a default.
    pub needs: &'static [&'static str],
}

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
}

impl Norms {
    /// Before both parts.
    pub const BEFORE: Self = Self {
        before_attention: Some("attn_norm"),
        of_attention: None,
        after_attention: None,
        before_ff: Some("ffn_norm"),
        after_ff: None,
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
    /// Each head by itself, the mean taken off, with weights of its own (`[heads, k_dim]`), where the file has them.
    Own,
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

/// How the scores of experts become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    /// Softmax over all.
    Softmax,
    /// The logistic function of each.
    Sigmoid,
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

/// Rotary positions of layers with a window: never stretched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalRope {
    /// Base of the frequencies where the file does not say; the model's if not given.
    pub base: Option<f32>,
}

impl Arch {
    /// The skeleton without further ado.
    pub const PLAIN: Self = Self {
        name: "",
        pairing: Pairing::Halves,
        qkv_bias: false,
        norm: NormKind::Rms,
        norm_said: false,
        norms: Norms::BEFORE,
        norms_unweighted: false,
        out_norm: "output_norm",
        head_norm: HeadNorm::None,
        inner_norms: false,
        value_norm: false,
        keys_as_values: false,
        parallel: Parallel::Never,
        gated: true,
        activation: Activation::Silu,
        xielu: false,
        experts: None,
        early_choice: false,
        weighed_input: false,
        one_shared: false,
        halved: false,
        interleaved: false,
        routers_tell: false,
        experts_beside: false,
        latent: false,
        recurrence: None,
        single: false,
        sparse: false,
        recurrent_only: false,
        gated_heads: HeadGates::None,
        sinks: Sinks::None,
        window: None,
        chunked: false,
        full_every: None,
        full_first: false,
        local_rope: None,
        rope_divisors: false,
        unturned_every: None,
        unturned_full: false,
        turned_dense: false,
        turned_said: false,
        temperature: None,
        unturned: false,
        learned_positions: false,
        norm_turned: false,
        coordinates: false,
        wide_scale_layers: None,
        score_cap: None,
        logit_cap: None,
        embed_by_width: false,
        either_epsilon: false,
        logits_divided: false,
        varied: false,
        layer_inputs: false,
        altup: false,
        cut_off: None,
        layer_factor: false,
        score_scale: None,
        ff_of_both: false,
        only_layers: None,
        needs: &[],
    };
}

/// Every supported architecture.
pub const ALL: &[&Arch] = &[
    &afmoe::ARCH,
    &apertus::ARCH,
    &arcee::ARCH,
    &baichuan::ARCH,
    &bailingmoe::ARCH,
    &bailingmoe2::ARCH,
    &bitnet::ARCH,
    &chatglm::ARCH,
    &codeshell::ARCH,
    &cohere2::ARCH,
    &cohere2moe::ARCH,
    &command_r::ARCH,
    &dbrx::ARCH,
    &deci::ARCH,
    &deepseek::ARCH,
    &deepseek2::ARCH,
    &dots1::ARCH,
    &ernie4_5::ARCH,
    &ernie4_5_moe::ARCH,
    &exaone::ARCH,
    &exaone4::ARCH,
    &exaone_moe::ARCH,
    &falcon::ARCH,
    &falcon_h1::ARCH,
    &gemma::ARCH,
    &gemma2::ARCH,
    &gemma3::ARCH,
    &gemma3n::ARCH,
    &gemma4::ARCH,
    &glm4::ARCH,
    &glm4moe::ARCH,
    &gpt2::ARCH,
    &gpt_oss::ARCH,
    &gptneox::ARCH,
    &granite::ARCH,
    &granite_swa::ARCH,
    &granitehybrid::ARCH,
    &granitemoe::ARCH,
    &hunyuan_dense::ARCH,
    &hunyuan_moe::ARCH,
    &hy_v3::ARCH,
    &internlm2::ARCH,
    &jais2::ARCH,
    &jamba::ARCH,
    &kimi_linear::ARCH,
    &laguna::ARCH,
    &lfm2::ARCH,
    &lfm2moe::ARCH,
    &llama::ARCH,
    &llama4::ARCH,
    &maincoder::ARCH,
    &mamba::ARCH,
    &mamba2::ARCH,
    &mellum::ARCH,
    &mimo2::ARCH,
    &minicpm::ARCH,
    &minimax_m2::ARCH,
    &mistral3::ARCH,
    &mistral4::ARCH,
    &nemotron::ARCH,
    &nemotron_h::ARCH,
    &nemotron_h_moe::ARCH,
    &olmo::ARCH,
    &olmo2::ARCH,
    &olmoe::ARCH,
    &openelm::ARCH,
    &orion::ARCH,
    &pangu_embedded::ARCH,
    &phi2::ARCH,
    &phi3::ARCH,
    &phimoe::ARCH,
    &plamo::ARCH,
    &plamo3::ARCH,
    &qwen::ARCH,
    &qwen2::ARCH,
    &qwen2moe::ARCH,
    &qwen2vl::ARCH,
    &qwen3::ARCH,
    &qwen3moe::ARCH,
    &qwen3next::ARCH,
    &qwen35::ARCH,
    &qwen35moe::ARCH,
    &qwen3vl::ARCH,
    &qwen3vlmoe::ARCH,
    &seed_oss::ARCH,
    &smallthinker::ARCH,
    &smollm3::ARCH,
    &spark2_5::ARCH,
    &stablelm::ARCH,
    &starcoder::ARCH,
    &starcoder2::ARCH,
    &xverse::ARCH,
];

/// The architecture of this name.
pub fn find(name: &str) -> Option<&'static Arch> {
    ALL.iter().copied().find(|a| a.name == name)
}

/// The names of all, for messages.
pub fn names() -> String {
    ALL.iter().map(|a| a.name).collect::<Vec<_>>().join(", ")
}
