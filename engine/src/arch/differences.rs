//! What distinguishes one architecture from another.

use super::{
    Bounded, CutOff, HeadGates, HeadNorm, Indexed, Leaning, LocalRope, Narrow, NormKind, Norms, Parallel, Recurrence,
    Routing, Scoring, Sinks, Temperature,
};
use hewn_kernels::op::activation::Activation;
use hewn_kernels::op::rope::Pairing;

/// What distinguishes one architecture from another.
#[derive(Debug)]
pub struct Arch {
    /// `general.architecture`, and the prefix of its metadata keys.
    pub name: &'static str,
    /// Whether it reads texts as a whole, every token of which sees all others, and has rows for them instead of logits.
    pub encoder: bool,
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
    /// Whether what parts are added to is the stream as they read it, normed, times `residual_scale`.
    pub norms_stay: bool,
    /// The key that says whether those before parts are behind them instead.
    pub norms_behind: Option<&'static str>,
    /// Whether these, and the stream's last one, have no weights.
    pub norms_unweighted: bool,
    /// The name of another one that files may have, of what comes of the attention and the layer's input once more.
    pub input_again: Option<&'static str>,
    /// Whether the first layer may lack the one before its attention.
    pub first_unnormed: bool,
    /// The name of the stream's last one, where there is one.
    pub out_norm: Option<&'static str>,
    /// Norms of the queries and keys.
    pub head_norm: HeadNorm,
    /// Epsilon of these, where it is another than the stream's.
    pub head_eps: Option<f32>,
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
    /// Whether files may name another.
    pub activation_said: bool,
    /// Whether it is xIELU instead, with numbers of each layer.
    pub xielu: bool,
    /// Whether it is Kimi K3's, with bounds that files say.
    pub situ: bool,
    /// Whether files may list bounds of it, for the experts and for what takes every row, layer by layer.
    pub bounded: Option<Bounded>,
    /// What a mixture of experts does where the file does not say; none where the architecture has no experts.
    pub experts: Option<Routing>,
    /// Whether the experts are chosen by the stream as it comes into the layer, before the attention and without a norm.
    pub early_choice: bool,
    /// Whether an expert's weight counts for its input, not for its output.
    pub weighed_input: bool,
    /// Whether one more expert, as wide as the others, takes every row where the file does not say.
    pub one_shared: bool,
    /// Whether that one is a dense part, where the file has it.
    pub dense_shared: bool,
    /// What the sum of the chosen experts and of the one of every row is multiplied with, where there is one.
    pub shared_scale: f32,
    /// Whether files say that of every so many layers the last has experts.
    pub interleaved: bool,
    /// Whether they say that of every so many the second has.
    pub second_of_every: bool,
    /// Whether the routers that files have tell which layers have experts.
    pub routers_tell: bool,
    /// Whether in the first layers, of which files say how many, a token's experts are listed.
    pub hashed_experts: bool,
    /// Whether a layer's experts run beside a dense part, each with norms of its own, and the router norms the stream.
    pub experts_beside: bool,
    /// Whether they read the stream as it comes into the layer, before the attention, and a dense part as wide as the stream
    /// is behind that.
    pub experts_ahead: bool,
    /// Whether groups of experts share smaller ones.
    pub adjugates: bool,
    /// The bound of the router's scores where the file does not say.
    pub router_cap: Option<f32>,
    /// Names of what takes the stream to narrower channels, on which the experts run, and back, where files say how many.
    pub narrow_experts: Option<Narrow>,
    /// Multi-head latent attention.
    pub latent: bool,
    /// Whether the part of its keys that is turned is normed before.
    pub latent_key_norm: bool,
    /// Whether a layer sees entries besides its window that stand for several positions each, and has one key for all heads,
    /// which is the value, too.
    pub pooled: bool,
    /// An indexer that chooses the positions that a query attends to.
    pub indexed: Option<Indexed>,
    /// Whether it compares queries with what stands for several neighbouring positions, which are chosen together.
    pub indexes_pools: bool,
    /// What some layers do with a running state, where there are such layers.
    pub recurrence: Option<Recurrence>,
    /// Whether a layer is a state space, attention or a feed-forward part, and only that.
    pub single: bool,
    /// Whether layers may lack attention or a feed-forward part, differ in their key/value heads and in the width of the
    /// latter, or have one matrix in the place of attention, where they have query heads but none of keys.
    pub sparse: bool,
    /// Whether no layer attends: files say 0 heads. Nor has one a feed-forward part, but for RWKV's.
    pub recurrent_only: bool,
    /// Whether the feed-forward part reads the row before, too, and activates what `channel_mix_key` gives.
    pub channel_mix: bool,
    /// Gates of the heads, whose logistic function their outputs are multiplied with.
    pub gated_heads: HeadGates,
    /// Whether each head's softmax has a sink.
    pub sinks: Sinks,
    /// The sliding window where the file does not say.
    pub window: Option<usize>,
    /// Whether windows reach half of what files say to each side.
    pub around: bool,
    /// Whether windows are chunks of so many positions, of which a token sees its own.
    pub chunked: bool,
    /// With a window: every so many layers, the last sees everything; otherwise none does.
    pub full_every: Option<usize>,
    /// Whether it is the first of each so many, not the last.
    pub full_first: bool,
    /// Layers with a window have rotary positions of their own.
    pub local_rope: Option<LocalRope>,
    /// Whether layers without a window turn only half of the channels that files say.
    pub half_turned: bool,
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
    /// Whether bounded scores grow with the logarithm of their query's position, as files say.
    pub heated: bool,
    /// Whether the frequencies of rotary positions are those of the base whatever files say of their stretching.
    pub unstretched: bool,
    /// Whether no layer turns queries and keys.
    pub unturned: bool,
    /// Whether each position has a row of its own that is added to the embedding, and nothing is turned.
    pub learned_positions: bool,
    /// Whether that is so where the file has such rows.
    pub positions_if_there: bool,
    /// Whether scores count less the further away a position is, and nothing is turned.
    pub leaning: Leaning,
    /// Whether each kind of token may have a row that is added to the embedding.
    pub token_kinds: bool,
    /// Whether embeddings are normed, once everything is added.
    pub embed_norm: bool,
    /// Whether they are, without weights.
    pub embed_evened: bool,
    /// Whether heads are normed after they are turned, not before.
    pub norm_turned: bool,
    /// Whether files may say how pairs share the coordinates of a position in an image. Of text all are the same, so that
    /// it makes no difference.
    pub coordinates: bool,
    /// Whether files may say a number that, by its power `k_dim / (k_dim - 2)`, the rotary base is multiplied with.
    pub rope_alpha: bool,
    /// The model of so many layers divides scores by the root of `dim / heads` instead of that of a head's channels.
    pub wide_scale_layers: Option<usize>,
    /// The bound of attention scores where the file does not say.
    pub score_cap: Option<f32>,
    /// The bound of logits likewise.
    pub logit_cap: Option<f32>,
    /// Whether embeddings are multiplied with the root of their width.
    pub embed_by_width: bool,
    /// What they are multiplied with where the file does not say.
    pub embed_scale: Option<f32>,
    /// Where the file does not say, contributions to the stream are multiplied with this, divided by the root of the number
    /// of layers.
    pub depth_scale: Option<f32>,
    /// Likewise logits, divided by the width of the stream.
    pub logit_width: Option<f32>,
    /// Likewise, as it is.
    pub logit_scale: Option<f32>,
    /// Whether the epsilon of the norms may go by the name of that of the other kind.
    pub either_epsilon: bool,
    /// Tokens that are never the next, in vocabularies with more.
    pub unspoken: Option<std::ops::Range<usize>>,
    /// Whether `logit_scale` divides.
    pub logits_divided: bool,
    /// Whether the sizes of layers may differ: their key/value heads, the width of their feed-forward part, heads of their
    /// own size where there is a window, and last layers that read the keys and values of earlier ones.
    pub varied: bool,
    /// Whether each token may bring each layer something besides its embedding.
    pub layer_inputs: bool,
    /// Whether the residual stream is several (AltUp), with a low-rank part beside the attention (LAuReL).
    pub altup: bool,
    /// Whether the residual stream is several that layers mix (hyper-connections).
    pub hyper: bool,
    /// Whether what is left of those in the end is their mean.
    pub streams_even: bool,
    /// Gates that are cut off where the file does not say which; none in most architectures.
    pub cut_off: Option<CutOff>,
    /// Whether the stream may be multiplied with a number after each layer.
    pub layer_factor: bool,
    /// Whether the residual stream is several that stay apart, of which each part reads a mixture.
    pub streams: bool,
    /// Whether the stream is kept and begun anew every so many layers, and each part reads a mixture of what was kept and of the
    /// stream.
    pub keeps_streams: bool,
    /// Whether each layer adds the embedding to the stream, multiplied with a number of its own, and has numbers for what
    /// attention and feed-forward part add.
    pub embed_again: bool,
    /// Epsilon of the norms of what parts add to the stream, where it is another.
    pub after_eps: Option<f32>,
    /// Whether tokens choose among low-rank adapters of all projections, which the file has.
    pub adapters: bool,
    /// Whether two stacks of layers run in cycles, as files say, each on the sum of two streams.
    pub cycled: bool,
    /// Whether files may say that all layers run more than once, one round behind the other.
    pub looped: bool,
    /// What scores are multiplied with where the file does not say and the channels of a head do not matter.
    pub score_scale: Option<f32>,
    /// Whether scores are divided by a head's channels instead of their root.
    pub scale_by_channels: bool,
    /// Whether the width of the feed-forward part that files say is that of its gate and up together.
    pub ff_of_both: bool,
    /// What becomes of a text's vector where files have a classifier.
    pub scoring: Option<Scoring>,
    /// Whether files may say matrices that vectors of texts go through in the end.
    pub dense_modules: bool,
    /// How many layers the model may have: with other numbers it is one of another kind, which is not supported.
    pub only_layers: &'static [usize],
    /// Keys that the metadata must have, where other architectures have a default.
    pub needs: &'static [&'static str],
    /// Keys that it must not have: models of another kind, which are not supported.
    pub refused: &'static [&'static str],
}

impl Arch {
    /// The skeleton without further ado.
    pub const PLAIN: Self = Self {
        name: "",
        encoder: false,
        pairing: Pairing::Halves,
        qkv_bias: false,
        norm: NormKind::Rms,
        norm_said: false,
        norms: Norms::BEFORE,
        norms_stay: false,
        norms_behind: None,
        norms_unweighted: false,
        input_again: None,
        first_unnormed: false,
        out_norm: Some("output_norm"),
        head_norm: HeadNorm::None,
        head_eps: None,
        inner_norms: false,
        value_norm: false,
        keys_as_values: false,
        parallel: Parallel::Never,
        gated: true,
        activation: Activation::Silu,
        activation_said: false,
        xielu: false,
        situ: false,
        bounded: None,
        experts: None,
        early_choice: false,
        weighed_input: false,
        one_shared: false,
        dense_shared: false,
        shared_scale: 1.0,
        interleaved: false,
        second_of_every: false,
        routers_tell: false,
        hashed_experts: false,
        experts_beside: false,
        experts_ahead: false,
        adjugates: false,
        router_cap: None,
        narrow_experts: None,
        latent: false,
        latent_key_norm: false,
        pooled: false,
        indexed: None,
        indexes_pools: false,
        recurrence: None,
        single: false,
        sparse: false,
        recurrent_only: false,
        channel_mix: false,
        gated_heads: HeadGates::None,
        sinks: Sinks::None,
        window: None,
        around: false,
        chunked: false,
        full_every: None,
        full_first: false,
        local_rope: None,
        half_turned: false,
        rope_divisors: false,
        unturned_every: None,
        unturned_full: false,
        turned_dense: false,
        turned_said: false,
        temperature: None,
        heated: false,
        unstretched: false,
        unturned: false,
        learned_positions: false,
        positions_if_there: false,
        leaning: Leaning::None,
        token_kinds: false,
        embed_norm: false,
        norm_turned: false,
        coordinates: false,
        rope_alpha: false,
        wide_scale_layers: None,
        score_cap: None,
        logit_cap: None,
        embed_by_width: false,
        embed_scale: None,
        depth_scale: None,
        logit_width: None,
        logit_scale: None,
        either_epsilon: false,
        unspoken: None,
        logits_divided: false,
        varied: false,
        layer_inputs: false,
        altup: false,
        hyper: false,
        streams_even: false,
        cut_off: None,
        layer_factor: false,
        embed_evened: false,
        streams: false,
        keeps_streams: false,
        embed_again: false,
        after_eps: None,
        adapters: false,
        cycled: false,
        looped: false,
        score_scale: None,
        scale_by_channels: false,
        ff_of_both: false,
        scoring: None,
        dense_modules: false,
        only_layers: &[],
        needs: &[],
        refused: &[],
    };
}
