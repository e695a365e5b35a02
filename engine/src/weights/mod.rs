//! The weights of a model: where each matrix lies in the file, and the small vectors as f32.

mod adapters;
mod altup;
mod channel_delta;
mod delta;
mod feed_forward;
mod hyper;
mod indexer;
mod latent;
mod layer;
mod lightning;
mod load;
mod matrix;
mod pooled;
mod selective;
mod short_convolution;
mod state_space;
mod streams;
mod told_scan;
mod vectors;
mod wkv;

pub(crate) use adapters::{LookedUp, LowRank};
pub(crate) use altup::{AltUp, Laurel, LayerAltUp};
pub(crate) use channel_delta::ChannelDelta;
pub(crate) use feed_forward::{Ahead, Beside, ExpertStacks, Experts, FeedForward, Gated, Narrow, Shared};
pub(crate) use hyper::{Hyper, LayerHyper, MixedShares};
pub(crate) use indexer::Indexer;
pub(crate) use latent::{Latent, LatentHeads};
pub(crate) use layer::{
    AttentionWeights, DeltaGates, DeltaNet, Grouped, LayerInput, LayerWeights, ShortConvolution, StateSpace,
};
pub(crate) use lightning::Lightning;
pub(crate) use matrix::{MatrixRef, Stack};
pub(crate) use pooled::{Pool, Pooled};
pub(crate) use selective::Selective;
pub(crate) use streams::{Shares, StreamsHead};
pub(crate) use told_scan::ToldScan;
pub(crate) use vectors::{Classifier, Vectors};
pub(crate) use wkv::{ChannelMix, Seventh, Then, Wkv};

use crate::adapter::Adapter;
use crate::arch::NormKind;
use crate::config::ModelConfig;
use crate::error::EngineError;
use crate::packed::Target;
use hewn_loader::Gguf;
use load::{Loader, need};

/// A matrix and the bias that may be added to its product.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub w: MatrixRef,
    pub bias: Option<Vec<f32>>,
}

/// A norm over as many channels as it has weights.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    pub kind: NormKind,
    pub w: Vec<f32>,
    /// Of a layer norm only.
    pub bias: Option<Vec<f32>>,
}

impl Norm {
    /// All its numbers.
    pub fn parts(&self) -> impl Iterator<Item = &[f32]> {
        [Some(&self.w), self.bias.as_ref()].into_iter().flatten().map(Vec::as_slice)
    }
}

/// Divisors of the rotary frequencies (`[rope_dim / 2]`).
#[derive(Clone, Debug)]
pub(crate) enum RopeFactors {
    /// None.
    None,
    /// The same for every sequence: Llama 3's long context.
    One(Vec<f32>),
    /// One set for sequences within the context of the pre-training, one for longer ones: Phi 3.
    ByLength { short: Vec<f32>, long: Vec<f32> },
}

/// What each token brings to each layer besides its embedding.
#[derive(Clone, Debug)]
pub(crate) struct LayerInputs {
    /// A row for each token, `[vocab, layers * inputs]`. It can be the larger part of a file; its rows are looked up there.
    pub table: MatrixRef,
    /// From the embedding to what is added to the row, `[layers * inputs, dim]`.
    pub project: MatrixRef,
    /// Of what that gives for one layer.
    pub norm: Norm,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub embed: MatrixRef,
    /// What adapters add to its rows.
    pub embed_low: Vec<LookedUp>,
    /// A row for each kind of token, `[kinds, dim]`, which is added.
    pub kinds: Option<MatrixRef>,
    /// Of what comes of all that; its weights may all be ones.
    pub embed_norm: Option<Norm>,
    /// What is added to the embedding at each position, `[ctx, dim]`.
    pub positions: Option<MatrixRef>,
    pub layer_inputs: Option<LayerInputs>,
    pub altup: Option<AltUp>,
    pub hyper: Option<Hyper>,
    pub layers: Vec<LayerWeights>,
    /// The low stream before the first cycle, `[dim]`, where there is one.
    pub low: Option<Vec<f32>>,
    pub streams: Option<StreamsHead>,
    /// What kept streams are scored with behind the last layer, `[dim]`.
    pub kept: Option<Vec<f32>>,
    pub out_norm: Option<Norm>,
    /// The embedding again where the file ties them; none where rows are all that a model gives.
    pub output: Option<MatrixRef>,
    /// Added to the logits, `[vocab]`.
    pub output_bias: Option<Vec<f32>>,
    pub vectors: Vectors,
    pub rope_factors: RopeFactors,
    /// What a row takes inside and behind the widest adapter, 0 without any.
    pub low_rank: usize,
    /// Bytes of adapters' matrices that were made f32.
    pub low_numbers: u64,
    /// The matrices that take part in products, in the order of their use. The embedding is none of them, as its rows
    /// are looked up in the file.
    targets: Vec<Target>,
}

impl Weights {
    /// Finds every tensor of the architecture and checks its shape and format; a tensor left over is an error.
    pub fn load(gguf: &Gguf, c: &ModelConfig, adapters: &[Adapter]) -> Result<Self, EngineError> {
        // A layer has several tensors: a bound on the layers before anything is sized by them.
        let own = c.cycles.map_or(c.layers / c.rounds, |cycles| 2 * cycles.stack);
        if own > gguf.tensors().len() {
            let reason = format!("{own} layers, but only {} tensors", gguf.tensors().len());
            return Err(EngineError::Config { key: format!("{}.block_count", c.arch.name), reason });
        }
        let mut l = Loader::new(gguf, c, adapters);
        let embed = need(l.table("token_embd.weight", c.vocab, c.dim)?, "token_embd.weight")?;
        let embed_low = l.embed_low("token_embd.weight")?;
        let embed_norm = match (c.arch.embed_norm, c.arch.embed_evened) {
            (true, _) => Some(l.stream_norm("token_embd_norm")?),
            (false, true) => Some(Norm { kind: c.norm, w: vec![1.0; c.dim], bias: None }),
            (false, false) => None,
        };
        let kinds = if c.arch.token_kinds { l.table("token_types.weight", c.vectors.kinds, c.dim)? } else { None };
        let there = c.arch.positions_if_there && l.has("position_embd.weight");
        let positions = match c.arch.learned_positions || there {
            true => Some(need(l.table("position_embd.weight", c.ctx, c.dim)?, "position_embd.weight")?),
            false => None,
        };
        let out_norm = c.arch.out_norm.map(|name| l.stream_norm(name)).transpose()?;
        let rope_factors = l.rope_factors()?;
        let layer_inputs = l.layer_inputs()?;
        let altup = l.bare(Loader::altup)?;
        let hyper = l.bare(Loader::hyper)?;
        let round: Vec<_> = (0..own).map(|i| l.layer(i)).collect::<Result<_, _>>()?;
        let layers = match &c.cycles {
            Some(cycles) => cycles.layers().map(|i| round[i].clone()).collect(),
            None => vec![round; c.rounds].concat(),
        };
        let low = match c.cycles {
            Some(_) => Some(need(l.numbers("hrm.z_l_init", &[c.dim])?, "hrm.z_l_init")?),
            None => None,
        };
        let streams = l.bare(Loader::streams_head)?;
        let kept = match c.kept_every {
            Some(_) => Some(need(l.numbers("output_res_score.weight", &[c.dim])?, "output_res_score.weight")?),
            None => None,
        };
        let vectors = l.bare(Loader::vectors)?;
        let output = match c.arch.encoder {
            // Some files keep what they were trained with, which has nothing to do.
            true => l.table("output.weight", c.vocab, c.dim)?.and(None),
            false => Some(match l.matrix("output.weight", c.vocab, c.dim)? {
                Some(output) => output,
                None => {
                    let output = embed.apart();
                    l.targets.push(output.target(true));
                    output
                }
            }),
        };
        let output_bias = if c.arch.encoder { None } else { l.numbers("output.bias", &[c.vocab])? };
        l.finish()?;
        let (targets, low_rank, low_numbers) = (l.targets, l.low_rank, l.low_numbers);
        Ok(Self {
            embed,
            embed_low,
            kinds,
            embed_norm,
            positions,
            layer_inputs,
            altup,
            hyper,
            layers,
            low,
            streams,
            kept,
            out_norm,
            output,
            output_bias,
            vectors,
            rope_factors,
            low_rank,
            low_numbers,
            targets,
        })
    }

    /// Where the matrices lie that take part in products: in a packed file, or in the model's own.
    pub fn memory<'a>(&'a self, gguf: &'a Gguf) -> impl Iterator<Item = &'a [u8]> {
        self.targets.iter().map(|t| t.slot.get().unwrap_or_else(|| gguf.tensor_data(&t.tensor)))
    }

    /// What a packed file of the model holds.
    pub fn targets(&self) -> Vec<Target> {
        self.targets.clone()
    }
}

impl Loader<'_> {
    fn layer_inputs(&mut self) -> Result<Option<LayerInputs>, EngineError> {
        let (c, n) = (self.config, self.config.layer_inputs);
        if n == 0 {
            return Ok(None);
        }
        let (width, table, project) = (c.layers * n, "per_layer_token_embd.weight", "per_layer_model_proj.weight");
        Ok(Some(LayerInputs {
            table: need(self.table(table, c.vocab, width)?, table)?,
            project: need(self.matrix(project, width, c.dim)?, project)?,
            norm: self.norm("per_layer_proj_norm", n, NormKind::Rms)?,
        }))
    }

    fn rope_factors(&mut self) -> Result<RopeFactors, EngineError> {
        let (half, needed) = (self.config.rope.dim / 2, self.config.arch.rope_divisors);
        // The rest is of layers that have their own frequencies.
        let listed = if self.config.arch.half_turned { 2 * half } else { half };
        let mut read = |name: &str| -> Result<Option<Vec<f32>>, EngineError> {
            let mut v = self.numbers(name, &[listed])?;
            v.iter_mut().for_each(|v| v.truncate(half));
            if v.iter().flatten().any(|f| !(f.is_finite() && *f > 0.0)) {
                let reason = "a divisor of the rotary frequencies is not a positive number".into();
                return Err(EngineError::Config { key: name.into(), reason });
            }
            Ok(v)
        };
        let one = read("rope_freqs.weight")?;
        if needed && one.is_none() {
            return Err(EngineError::MissingTensor { name: "rope_freqs.weight".into() });
        }
        match (one, read("rope_factors_short.weight")?, read("rope_factors_long.weight")?) {
            (None, None, None) => Ok(RopeFactors::None),
            (Some(f), None, None) => Ok(RopeFactors::One(f)),
            (None, Some(short), Some(long)) => Ok(RopeFactors::ByLength { short, long }),
            (_, None, Some(_)) => Err(EngineError::MissingTensor { name: "rope_factors_short.weight".into() }),
            (_, Some(_), None) => Err(EngineError::MissingTensor { name: "rope_factors_long.weight".into() }),
            (Some(_), ..) => Err(EngineError::UnexpectedTensor {
                name: "rope_factors_long.weight".into(),
                arch: self.config.arch.name,
            }),
        }
    }
}
