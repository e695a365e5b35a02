//! Hyperparameters, read from the metadata and checked before anything is sized by them.

mod adapters;
mod altup;
mod bounds;
mod cycles;
mod experts;
mod heads;
mod hyper;
mod indexer;
mod layer_set;
mod layers;
mod pooling;
mod reader;
mod recurrent;
mod rope;
mod slopes;
mod sparse;
mod streams;
mod stretch;
mod temperature;
mod vectors;
mod window;
mod wkv;
mod xielu;

pub use adapters::Adapters;
pub use altup::AltUp;
pub use bounds::Bounds;
pub use cycles::Cycles;
pub use experts::Experts;
pub use heads::Latent;
pub use hyper::Hyper;
pub use indexer::{Blocks, Indexer};
pub use layer_set::LayerSet;
pub use layers::{LayerSizes, Varied};
pub use pooling::Pooling;
pub use recurrent::{ChannelDelta, Recurrent, RecurrentPart, Selective, ToldScan};
pub(crate) use rope::RopeTable;
pub use rope::{Rope, Scaling};
pub use streams::Streams;
pub use stretch::{RopeOptions, RopeScaling};
pub use temperature::Growth;
pub use vectors::{TextPooling, Vectors};
pub use window::Window;
pub use wkv::Wkv;

use crate::arch::{self, Arch, Bounded, NormKind, Norms, Parallel, Recurrence};
use crate::error::EngineError;
use hewn_kernels::op::activation::Activation;
use hewn_kernels::op::xielu::Xielu;
use hewn_kernels::state::StateShape;
use hewn_loader::Gguf;
use reader::{MAX, Reader};

/// The shape of a model.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// The architecture.
    pub arch: &'static Arch,
    /// `general.name`, where there is one.
    pub name: Option<String>,
    /// Whether tokens see only those before them; otherwise a text is read as a whole.
    pub causal: bool,
    /// How texts become vectors.
    pub vectors: Vectors,
    /// Layers, those of all rounds.
    pub layers: usize,
    /// How often the file's layers run; 1 in most models.
    pub rounds: usize,
    /// Whether the stream's last norm is also between rounds.
    pub round_norm: bool,
    /// Layers behind those, which the file has for guessing further tokens; they are not read.
    pub further_layers: usize,
    /// Channels of the residual stream.
    pub dim: usize,
    /// Channels of the feed-forward part, in layers without experts; where layers differ, the most that one has.
    pub ff: usize,
    /// Query heads; 0 where no layer attends, as are their sizes.
    pub heads: usize,
    /// Key/value heads; divides `heads`. Where layers differ, the most that one has.
    pub kv_heads: usize,
    /// Channels of a query or key head, as the cache holds them; see [`layer`](Self::layer) for those of one layer.
    pub k_dim: usize,
    /// Channels of a value head likewise.
    pub v_dim: usize,
    /// What layers differ in.
    pub varied: Varied,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// Positions that the model was trained for.
    pub ctx: usize,
    /// The norms of the stream.
    pub norm: NormKind,
    /// Where they are.
    pub norms: Norms,
    /// Epsilon of the norms.
    pub eps: f32,
    /// Rotary positions.
    pub rope: Rope,
    /// Layers that turn queries and keys, but for those that the architecture leaves alone.
    pub turned: LayerSet,
    /// Rotary positions of the layers with a window, or without pooled positions, where they have their own.
    pub local_rope: Option<Rope>,
    /// What attention scores are multiplied with.
    pub scale: f32,
    /// What queries, keys and values are cut to, up and down.
    pub qkv_bound: Option<f32>,
    /// What values are multiplied with.
    pub value_scale: f32,
    /// How queries grow with their position.
    pub temperature: Option<Growth>,
    /// Positions up to which bounded scores stay as they are; from there on they grow with the logarithm of their query's.
    pub heat: Option<usize>,
    /// How much less a score counts for each position further away, a number a head, where files have such a bias.
    pub slopes: Option<Vec<f32>>,
    /// Attention scores end up within this: `cap * tanh(score / cap)`.
    pub score_cap: Option<f32>,
    /// Logits likewise.
    pub logit_cap: Option<f32>,
    /// Layers that see the last positions only.
    pub window: Option<Window>,
    /// Low-rank adapters that tokens switch on.
    pub adapters: Option<Adapters>,
    /// What a row takes inside and behind the widest adapter, 0 without any.
    pub(crate) low_rank: usize,
    /// Channels of what each token brings to each layer besides its embedding; 0 for nothing.
    pub layer_inputs: usize,
    /// Several residual streams, with a low-rank part beside the attention.
    pub altup: Option<AltUp>,
    /// Several residual streams that layers mix.
    pub hyper: Option<Hyper>,
    /// Standard deviations above their mean from which a layer's gates count, where it has such a bound; of the first
    /// layers, as many as matter.
    pub cut_offs: Vec<Option<f32>>,
    /// Whether attention and feed-forward part are side by side, where that is the same in all layers.
    pub parallel: Option<bool>,
    /// The numbers of each layer's activation, where that is xIELU; otherwise empty.
    pub xielu: Vec<Xielu>,
    /// The activation of layers without numbers or bounds of their own.
    pub activation: Activation,
    /// Bounds of the activation.
    pub bounds: Bounds,
    /// Two stacks of layers that run in cycles.
    pub cycles: Option<Cycles>,
    /// Several residual streams that stay apart.
    pub streams: Option<Streams>,
    /// Layers from one where the stream is kept and begun anew to the next, where it is; the first is one.
    pub kept_every: Option<usize>,
    /// What embeddings are multiplied with.
    pub embed_scale: f32,
    /// What each part's contribution to the stream is multiplied with.
    pub residual_scale: f32,
    /// What the normed stream is multiplied with before parts are added to it, where it is that; see [`Arch::norms_stay`].
    pub stream_scale: f32,
    /// What logits are multiplied with.
    pub logit_scale: f32,
    /// Multi-head latent attention; then the cache holds one head.
    pub latent: Option<Latent>,
    /// That of layers with a window, where they have their own.
    pub window_latent: Option<Latent>,
    /// Entries that stand for several positions each, which layers see besides their window.
    pub pooling: Option<Pooling>,
    /// What chooses the positions that queries attend to, where not all.
    pub indexer: Option<Indexer>,
    /// Layers that keep a running state.
    pub recurrent: Option<Recurrent>,
    /// Of so many layers, the stream is halved after the last, so that it stays within half precision.
    pub halved_every: Option<usize>,
    /// Layers that attend to keys and values.
    pub attending: LayerSet,
    /// Layers that have one matrix in the place of attention.
    pub linear: LayerSet,
    /// Layers that have a feed-forward part.
    pub feeding: LayerSet,
    /// A mixture of experts.
    pub experts: Option<Experts>,
    /// Keys of the architecture in the file that nothing here reads: a model that behaves strangely may need one.
    pub unread: Vec<String>,
}

impl ModelConfig {
    /// Reads and checks the hyperparameters of a file.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, EngineError> {
        Self::changed(gguf, &RopeOptions::default())
    }

    /// The same with other rotary positions.
    pub(crate) fn changed(gguf: &Gguf, rope_options: &RopeOptions) -> Result<Self, EngineError> {
        let meta = gguf.metadata();
        let arch_key = "general.architecture";
        let Some(name) = meta.str(arch_key)? else {
            return Err(EngineError::Config { key: arch_key.into(), reason: "the key is missing".into() });
        };
        let Some(arch) = arch::find(name) else {
            return Err(EngineError::Architecture { name: name.into(), supported: arch::names() });
        };
        let r = Reader::new(meta, arch.name);
        if let Some(key) = arch.needs.iter().find(|key| !meta.contains(&r.key(key))) {
            return r.missing(key);
        }
        if let Some(key) = arch.refused.iter().find(|key| meta.contains(&r.key(key))) {
            return r.bad(key, format!("models of `{}` with it are not supported", arch.name));
        }
        let causal = r.causal(arch)?;
        let vocab = match gguf.tensor("token_embd.weight") {
            Some(t) => usize::try_from(t.rows()).unwrap_or(usize::MAX),
            None => return Err(EngineError::MissingTensor { name: "token_embd.weight".into() }),
        };
        if !(1..=MAX).contains(&vocab) {
            return Err(EngineError::Config { key: "token_embd.weight".into(), reason: format!("{vocab} tokens") });
        }
        let (dim, ctx, (layers, further)) = (r.need("embedding_length")?, r.need("context_length")?, r.layers()?);
        let (rounds, round_norm) = if arch.looped { r.rounds(layers, further)? } else { (1, false) };
        let layers = layers * rounds;
        if !arch.only_layers.is_empty() && !arch.only_layers.contains(&layers) {
            let only = arch.only_layers;
            let reason = format!("{layers} layers; of `{}`, only models with {only:?} are supported", arch.name);
            return r.bad("block_count", reason);
        }
        let all = layers + further;
        let sparse = if arch.sparse { Some(r.sparse(all)?) } else { None };
        let (heads, attending) = match &sparse {
            Some(s) => (r.grouped_heads(arch, [s.heads, s.kv_heads], dim)?, s.attending.clone()),
            None => r.heads(arch, dim, all)?,
        };
        r.check_heads(&heads)?;
        let rope = Rope::read(&r, arch, [heads.rope_dim, heads.k_dim], ctx)?;
        let pooling = if arch.pooled { Some(r.pooling(&heads, layers)?) } else { None };
        let (rope, plain) = match &pooling {
            Some(_) => {
                let [pooled, plain] = r.pooled_ropes(rope)?;
                (pooled, Some(plain))
            }
            None => (rope, None),
        };
        let window = r.window(arch, layers)?;
        if !causal && window.is_some() && !arch.around {
            return r.bad("attention.sliding_window", "a window in a text that is read as a whole is not supported");
        }
        let varied = match &sparse {
            Some(s) => s.varied.clone(),
            None if arch.varied => r.varied(&heads, all, &window)?,
            None => Varied::default(),
        };
        let linear = sparse.as_ref().map_or(LayerSet::none(), |s| s.linear.clone());
        let (ff, feeding) = match (arch.varied, arch.single) {
            _ if sparse.is_some() => sparse.map_or((None, LayerSet::none()), |s| (Some(s.ff), s.feeding)),
            (true, _) => (r.most("feed_forward_length", all)?, LayerSet::All),
            _ if arch.recurrent_only && !matches!(arch.recurrence, Some(Recurrence::Wkv(_))) => {
                r.key("feed_forward_length");
                (Some(0), LayerSet::none())
            }
            (_, true) => r.size_of_some("feed_forward_length", all)?,
            _ => (r.size("feed_forward_length")?, LayerSet::All),
        };
        let ff = match (ff, &arch.experts) {
            (Some(ff), _) => ff,
            // No layer is dense.
            (None, Some(rules)) if rules.always => r.need("expert_feed_forward_length")?,
            (None, _) => return r.missing("feed_forward_length"),
        };
        let ff = match arch.ff_of_both {
            true if !ff.is_multiple_of(2) => return r.bad("feed_forward_length", format!("{ff} is no even number")),
            true => ff / 2,
            false => ff,
        };
        // What files say is the width of the experts there.
        let (ff, expert_ff) = if arch.experts_ahead { (dim, ff) } else { (ff, ff) };
        let divisor = match heads.latent {
            Some(ref l) => l.nope + heads.rope_dim,
            None if arch.wide_scale_layers == Some(layers) => dim / heads.q,
            None => heads.k_dim.max(1),
        };
        let grouped = heads.latent.is_none();
        let k_dim = heads.k_dim;
        let score_factor = if heads.latent.is_some() { rope.score_factor() } else { 1.0 };
        let logit_scale = arch.logit_scale.or(arch.logit_width.map(|w| w / dim as f32)).unwrap_or(1.0);
        let logit_scale = r.factor("logit_scale")?.unwrap_or(logit_scale);
        let residual_scale = r.factor("residual_scale")?.or(arch.depth_scale.map(|s| s / (layers as f32).sqrt()));
        let residual_scale = residual_scale.unwrap_or(1.0);
        let recurrent = Recurrent::read(&r, arch, layers, dim, &heads, [&attending, &feeding])?;
        let attending = match (&recurrent, &arch.recurrence) {
            (Some(nets), Some(Recurrence::Delta(_) | Recurrence::Lightning)) => nets.layers.others(layers),
            _ => attending,
        };
        let temperature = r.temperature(arch, &rope)?;
        let slopes = r.slopes(arch, layers, heads.q)?;
        let said = arch.norm_said && meta.contains(&r.key("attention.layer_norm_rms_epsilon"));
        let norm = if said { NormKind::Rms } else { arch.norm };
        let eps = r.epsilon(arch, norm)?;
        let indexer = match (&pooling, &arch.indexed) {
            (_, None) => None,
            (Some(pooling), _) => Some(r.pooled_indexer(pooling, layers, heads.rope_dim)?),
            (None, Some(_)) if arch.indexes_pools => Some(r.pool_indexer(&attending, layers, heads.rope_dim)?),
            (None, Some(kind)) => r.indexer(kind, [layers, ctx], &heads, eps, window.as_ref())?,
        };
        let window_latent = match (&heads.latent, &window) {
            (Some(full), Some(_)) if arch.varied => Some(r.window_latent(full, &heads, varied.window_dims)?),
            _ => None,
        };
        let mut config = Self {
            arch,
            name: meta.str("general.name").ok().flatten().map(str::to_owned),
            causal,
            vectors: r.vectors(arch, dim)?,
            layers,
            rounds,
            round_norm,
            further_layers: further,
            dim,
            ff,
            heads: heads.q,
            kv_heads: heads.kv,
            k_dim: heads.k_dim,
            v_dim: heads.v_dim,
            vocab,
            ctx,
            norm,
            norms: r.norms(arch)?,
            eps,
            turned: if slopes.is_some() { LayerSet::none() } else { r.turned(arch, layers)? },
            local_rope: match plain {
                None if window.is_some() => r.local_rope(arch, &rope, &varied, k_dim)?,
                plain => plain,
            },
            varied,
            rope,
            scale: match (r.factor("attention.scale")?.or(r.factor("attention.output_scale")?), arch.score_scale) {
                (Some(said), _) => said,
                (None, Some(fixed)) => fixed,
                (None, None) if arch.scale_by_channels => 1.0 / divisor as f32,
                (None, None) => score_factor / (divisor as f32).sqrt(),
            },
            qkv_bound: if grouped { r.factor("attention.clamp_kqv")? } else { None },
            value_scale: if grouped { r.factor("attention.value_scale")?.unwrap_or(1.0) } else { 1.0 },
            temperature,
            heat: if arch.heated { r.heat()? } else { None },
            slopes,
            score_cap: r.factor("attn_logit_softcapping")?.or(arch.score_cap),
            logit_cap: r.factor("final_logit_softcapping")?.or(arch.logit_cap),
            window,
            adapters: if arch.adapters { Some(r.adapters(vocab)?) } else { None },
            low_rank: 0,
            layer_inputs: if arch.layer_inputs { r.layer_inputs(layers)? } else { 0 },
            altup: AltUp::read(&r, arch, gguf)?,
            hyper: Hyper::read(&r, arch)?,
            cut_offs: r.cut_offs(arch, layers)?,
            parallel: match arch.parallel {
                Parallel::Never => Some(false),
                Parallel::Always => Some(true),
                Parallel::Unnormed => {
                    // Old files say it wrong; the tensors tell.
                    r.key("use_parallel_residual");
                    None
                }
                Parallel::Said => r.flag("use_parallel_residual")?,
            },
            xielu: if arch.xielu { r.xielu(layers)? } else { Vec::new() },
            activation: match (arch.situ, arch.activation_said) {
                (true, _) => r.situ()?,
                (_, true) => r.activation(arch.activation)?,
                (false, false) => arch.activation,
            },
            cycles: if arch.cycled { Some(r.cycles(layers)?) } else { None },
            streams: if arch.streams { Some(r.streams()?) } else { None },
            kept_every: if arch.keeps_streams { r.size_or_none("attn_res.block_size")? } else { None },
            bounds: if arch.bounded.is_some() { r.bounds(all, arch.hyper)? } else { Bounds::default() },
            embed_scale: match arch.embed_by_width {
                true => (dim as f32).sqrt(),
                false => r.factor("embedding_scale")?.or(arch.embed_scale).unwrap_or(1.0),
            },
            residual_scale: if arch.norms_stay { 1.0 } else { residual_scale },
            stream_scale: if arch.norms_stay { residual_scale } else { 1.0 },
            logit_scale: if arch.logits_divided { 1.0 / logit_scale } else { logit_scale },
            latent: heads.latent,
            window_latent,
            indexer,
            pooling,
            halved_every: match arch.channel_mix {
                true => r.size_or_none("rescale_every_n_layers")?,
                false => None,
            },
            recurrent,
            attending,
            linear,
            feeding,
            experts: Experts::read(&r, arch, expert_ff, gguf, layers)?,
            unread: Vec::new(),
        };
        r.check_caches(&config)?;
        let [by_length, divided] = ["rope_factors_long.weight", "rope_freqs.weight"].map(|t| gguf.tensor(t).is_some());
        config.stretch(rope_options, by_length, divided)?;
        config.unread = r.unread();
        Ok(config)
    }

    /// Channels of all query heads together; where layers differ, the most that one has.
    pub fn q_width(&self) -> usize {
        self.widest(LayerSizes::q_width)
    }

    /// Channels of all attention outputs together likewise.
    pub fn att_width(&self) -> usize {
        self.widest(LayerSizes::att_width)
    }

    /// How many standard deviations above their mean the gates of layer `i` must lie, where there is a bound.
    pub fn cut_off(&self, i: usize) -> Option<f32> {
        self.cut_offs.get(i).copied().flatten()
    }

    /// The sizes of latent attention in layer `i`, where it is that.
    pub fn latent_of(&self, i: usize) -> Option<&Latent> {
        self.window_latent.as_ref().filter(|_| self.window_of(i).is_some()).or(self.latent.as_ref())
    }

    /// What attention scores are multiplied with in layer `i`.
    pub fn scale_of(&self, i: usize) -> f32 {
        match &self.window_latent {
            Some(l) if self.window_of(i).is_some() => 1.0 / ((l.nope + self.rope.dim) as f32).sqrt(),
            _ => self.scale,
        }
    }

    /// The activation of layer `i`, but for experts that do not take every row.
    pub fn activation(&self, i: usize) -> Activation {
        self.xielu.get(i).map_or_else(|| self.bounded(self.bounds.all.get(i)), |p| Activation::Xielu(*p))
    }

    /// The activation of the experts of layer `i`.
    pub fn expert_activation(&self, i: usize) -> Activation {
        self.bounded(self.bounds.experts.get(i))
    }

    /// The architecture's activation with a bound, where there is one.
    fn bounded(&self, most: Option<&Option<f32>>) -> Activation {
        match (most.copied().flatten(), self.arch.bounded) {
            (Some(most), Some(Bounded::After)) => Activation::SiluUpTo(most),
            (Some(most), Some(Bounded::Before)) => Activation::SiluOfUpTo(most),
            _ => self.activation,
        }
    }

    /// How many streams were kept before layer `i` begins.
    pub(crate) fn kept_before(&self, i: usize) -> usize {
        self.kept_every.map_or(0, |n| i.div_ceil(n))
    }

    /// What layer `i` does with a running state, where it has one.
    pub fn recurrent_of(&self, i: usize) -> Option<&RecurrentPart> {
        self.recurrent.as_ref().filter(|r| r.layers.has(i)).map(|r| &r.part)
    }

    /// The size of the running state of layer `i`, where it has one.
    pub fn state_of(&self, i: usize) -> Option<StateShape> {
        self.recurrent_of(i).map(RecurrentPart::state).or_else(|| self.pool_state(i))
    }

    /// Whether layer `i` attends to keys and values.
    pub fn attends(&self, i: usize) -> bool {
        self.attending.has(i)
    }

    /// Which rotary table layer `i` uses: 0 for the model's, 1 for that of layers with a window, or without pooled positions
    /// where others have some; none where positions are not turned.
    pub(crate) fn rope_of(&self, i: usize) -> Option<usize> {
        let full = || self.window.is_some() && self.window_of(i).is_none();
        let dense = || self.experts.as_ref().is_some_and(|e| i < e.first);
        if let Some(pooling) = &self.pooling {
            return Some(usize::from(pooling.ratio(i).is_none()));
        }
        match self.arch.unturned_every {
            Some(n) if i % n == n - 1 => None,
            _ if !self.turned.has(i) || self.arch.unturned_full && full() && !(self.arch.turned_dense && dense()) => {
                None
            }
            _ => Some(usize::from(self.local_rope.is_some() && self.window_of(i).is_some())),
        }
    }

    /// Pairs of channels that the rotary tables turn, table by table.
    pub(crate) fn rope_pairs(&self) -> impl Iterator<Item = usize> {
        std::iter::once(&self.rope).chain(&self.local_rope).map(|r| r.dim / 2)
    }
}

/// Before anything is made for each of them. The deepest models have less than two hundred.
const MOST_LAYERS: usize = 4096;

impl Reader<'_> {
    /// The layers, and those of them that only guess further tokens, which are the last.
    fn layers(&self) -> Result<(usize, usize), EngineError> {
        let (all, key) = (self.need("block_count")?, "nextn_predict_layers");
        if all > MOST_LAYERS {
            return self.bad("block_count", format!("{all} is out of any bounds"));
        }
        let further = self.size_or_none(key)?.unwrap_or(0);
        match all.checked_sub(further) {
            Some(layers) if layers > 0 => Ok((layers, further)),
            _ => self.bad(key, format!("{further} of {all} layers")),
        }
    }

    /// How often layers run, and whether a norm parts the rounds.
    fn rounds(&self, layers: usize, further: usize) -> Result<(usize, bool), EngineError> {
        let key = "num_loops";
        let rounds = self.size(key)?.unwrap_or(1);
        if rounds > 1 && further > 0 {
            return self.bad("nextn_predict_layers", format!("{further}, where layers run {rounds} times"));
        }
        if layers.saturating_mul(rounds) > MOST_LAYERS {
            return self.bad(key, format!("{rounds} times {layers} layers are out of any bounds"));
        }
        Ok((rounds, !self.flag("skip_loop_final_norm")?.unwrap_or(false)))
    }

    /// Where the norms of the stream are.
    fn norms(&self, arch: &Arch) -> Result<Norms, EngineError> {
        let plain = arch.norms;
        Ok(match arch.norms_behind {
            Some(key) if self.flag(key)? == Some(true) => Norms {
                before_attention: None,
                after_attention: plain.before_attention,
                before_ff: None,
                after_ff: plain.before_ff,
                ..plain
            },
            _ => plain,
        })
    }

    fn epsilon(&self, arch: &Arch, norm: NormKind) -> Result<f32, EngineError> {
        let [rms, layer] = ["attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"];
        let (key, other) = match norm {
            NormKind::Rms => (rms, layer),
            NormKind::Layer => (layer, rms),
        };
        let other = if arch.either_epsilon { self.positive(other)? } else { None };
        self.positive(key)?.or(other).map_or_else(|| self.missing(key), Ok)
    }

    /// Kimi K3's activation: a bound of 0 or less for what the gate lets through is none.
    fn situ(&self) -> Result<Activation, EngineError> {
        let (key, other) = ("activation.situ_beta", "activation.situ_linear_beta");
        let Some(gate) = self.positive(key)? else { return self.missing(key) };
        match self.meta.f32(&self.key(other))? {
            Some(up) if up.is_finite() => Ok(Activation::Situ { gate, up: Some(up).filter(|up| *up > 0.0) }),
            Some(up) => self.bad(other, format!("{up} is not a number")),
            None => self.missing(other),
        }
    }

    fn layer_inputs(&self, layers: usize) -> Result<usize, EngineError> {
        let key = "embedding_length_per_layer_input";
        match self.size_or_none(key)?.unwrap_or(0) {
            n if n.saturating_mul(layers) > MAX => self.bad(key, format!("{n} times {layers} is out of any bounds")),
            n => Ok(n),
        }
    }
}
