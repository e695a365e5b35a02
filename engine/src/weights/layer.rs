//! The weights of one layer, found by the names that all architectures share.

use super::load::{Loader, need};
use super::matrix::MatrixRef;
use super::{
    Ahead, ChannelDelta, FeedForward, Indexer, Latent, LayerAltUp, LayerHyper, Lightning, Linear, Norm, Pooled,
    Selective, Shares, ToldScan, Wkv,
};
use crate::arch::{HeadGates, HeadNorm, NormKind, Sinks};
use crate::config::RecurrentPart;
use crate::error::EngineError;

/// One layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerWeights {
    pub ahead: Option<Box<Ahead>>,
    /// Of what the attention or the state space reads, or both.
    pub before_attention: Option<Norm>,
    pub space: Option<Box<StateSpace>>,
    pub attention: Option<AttentionWeights>,
    pub after_attention: Option<Norm>,
    /// Whether the feed-forward part reads what the attention reads.
    pub parallel: bool,
    pub before_ff: Option<Norm>,
    pub feed_forward: Option<FeedForward>,
    pub after_ff: Option<Norm>,
    /// Of the stream once the attention is added, and once the feed-forward part is.
    pub behind: [Option<Norm>; 2],
    /// Of that and the layer's input once more.
    pub again: Option<Norm>,
    pub input: Option<LayerInput>,
    pub altup: Option<Box<LayerAltUp>>,
    pub hyper: Option<Box<LayerHyper>>,
    /// Of several streams that stay apart, what is read by the attention and by the feed-forward part, and what is added.
    pub shares_of: Option<Box<[Shares; 2]>>,
    /// What kept streams are scored with before the attention and before the feed-forward part, `[dim]` each.
    pub kept: Option<Box<[Vec<f32>; 2]>>,
    /// What the stream is multiplied with after the layer.
    pub factor: Option<f32>,
    /// Where the layer adds the embedding again: what that, the attention's and the feed-forward part's contribution are
    /// multiplied with.
    pub shares: Option<[f32; 3]>,
}

/// How what a token brings to a layer joins the stream: `norm(back(act(gate x) * input))`.
#[derive(Clone, Debug)]
pub(crate) struct LayerInput {
    /// `[inputs, dim]`
    pub gate: MatrixRef,
    /// `[dim, inputs]`
    pub back: Linear,
    pub norm: Norm,
}

/// How a layer comes by queries, keys and values.
#[derive(Clone, Debug)]
pub(crate) enum AttentionWeights {
    Grouped(Box<Grouped>),
    Latent(Box<Latent>),
    Pooled(Box<Pooled>),
    Delta(Box<DeltaNet>),
    ChannelDelta(Box<ChannelDelta>),
    Selective(Box<Selective>),
    ToldScan(Box<ToldScan>),
    ShortConvolution(Box<ShortConvolution>),
    Wkv(Box<Wkv>),
    Lightning(Box<Lightning>),
    /// One matrix in its place, `[dim, dim]`.
    Linear(Linear),
}

/// Projections to query heads and to key/value heads.
#[derive(Clone, Debug)]
pub(crate) struct Grouped {
    /// `[heads * k_dim, dim]`; where heads are gated, each one's query channels and then its gate's,
    /// `[heads * 2 * k_dim, dim]`.
    pub q: Linear,
    /// None where the layer reads the keys and values of another; see [`config::ModelConfig::cache_of`].
    pub k: Option<Linear>,
    /// None where values are what `k` gives, or there is no `k`.
    pub v: Option<Linear>,
    pub q_norm: Option<Norm>,
    pub k_norm: Option<Norm>,
    /// Of each value head; its weights are ones.
    pub v_norm: Option<Norm>,
    /// What gates the heads' outputs, `[heads * v_dim, dim]`, where that is apart from the queries.
    pub gate: Option<Linear>,
    /// What each head's softmax counts besides the positions, `[heads]`.
    pub sinks: Option<Vec<f32>>,
    /// What chooses the positions that queries attend to, where the layer does.
    pub indexer: Option<Indexer>,
    /// Of what `o` reads, `[heads * v_dim]`.
    pub before_o: Option<Norm>,
    /// Back to the stream, `[dim, heads * v_dim]`.
    pub o: Linear,
}

/// A gated delta net.
#[derive(Clone, Debug)]
pub(crate) struct DeltaNet {
    /// The stream to queries, keys and values, `[channels, dim]`.
    pub qkv: MatrixRef,
    /// The stream to what gates the output, `[width, dim]`.
    pub z: MatrixRef,
    pub gates: DeltaGates,
    /// The convolution, `[taps, channels]`.
    pub conv: Vec<f32>,
    /// Added to what decays are made of, `[v_heads]`.
    pub step_bias: Vec<f32>,
    /// The logarithm of a head's decay for a step of 1, `[v_heads]`.
    pub rate: Vec<f32>,
    /// Of each head's output, `[dim]`.
    pub norm: Norm,
    /// Back to the stream, `[dim, width]`.
    pub o: Linear,
}

/// A convolution between two gates.
#[derive(Clone, Debug)]
pub(crate) struct ShortConvolution {
    /// The stream to the gate before, the gate behind, and what is convolved, `[dim, dim]` each.
    pub input: [MatrixRef; 3],
    /// Positions that it sees.
    pub taps: usize,
    /// `[taps, dim]`
    pub conv: Vec<f32>,
    /// Back to the stream, `[dim, dim]`.
    pub o: Linear,
}

/// A state space.
#[derive(Clone, Debug)]
pub(crate) struct StateSpace {
    /// The stream to what gates the output, `[width, dim]`.
    pub z: MatrixRef,
    /// The stream to values, keys and queries, `[channels, dim]`.
    pub vkq: MatrixRef,
    /// The stream to what the lengths of steps are made of, `[heads, dim]`.
    pub step: MatrixRef,
    /// The convolution, `[taps, channels]`.
    pub conv: Vec<f32>,
    /// `[channels]`
    pub conv_bias: Option<Vec<f32>>,
    /// Added to what the lengths of steps are made of, `[heads]`.
    pub step_bias: Vec<f32>,
    /// The logarithm of a head's decay for a step of 1, `[heads]`.
    pub rate: Vec<f32>,
    /// How much of a value passes by the matrix, `[heads]`.
    pub skip: Vec<f32>,
    /// Of the output once it is gated, each group of channels by itself, `[key_heads, width / key_heads]`.
    pub norm: Option<Vec<f32>>,
    /// Back to the stream, `[dim, width]`.
    pub o: Linear,
}

/// The stream to how much each head's matrix is corrected (beta), and to how much of it is left (alpha).
#[derive(Clone, Debug)]
pub(crate) enum DeltaGates {
    /// `[v_heads, dim]` each.
    Apart { beta: MatrixRef, alpha: MatrixRef },
    /// `[k_heads, 2, v_heads / k_heads]` rows: key head by key head, its value heads' betas and then their alphas.
    Fused(MatrixRef),
}

impl DeltaGates {
    /// The matrices, in the order of what they give.
    pub fn all(&self) -> Vec<&MatrixRef> {
        match self {
            Self::Apart { beta, alpha } => vec![beta, alpha],
            Self::Fused(both) => vec![both],
        }
    }
}

impl LayerWeights {
    /// The matrices that are read first.
    pub fn first(&self) -> Vec<&MatrixRef> {
        if let Some(a) = &self.altup {
            return vec![&a.laurel.down];
        }
        if let Some(h) = &self.hyper {
            return vec![&h.attention.w];
        }
        let parts =
            self.space.iter().map(|s| vec![&s.z, &s.vkq]).chain(self.attention.iter().map(AttentionWeights::first));
        parts.chain(self.feed_forward.iter().map(FeedForward::first)).next().unwrap_or_default()
    }
}

impl AttentionWeights {
    /// The matrices that are read first.
    pub fn first(&self) -> Vec<&MatrixRef> {
        match self {
            Self::Grouped(g) => g.projections().map(|p| &p.w).collect(),
            Self::Delta(d) => vec![&d.qkv, &d.z],
            Self::ChannelDelta(d) => d.first(),
            Self::Selective(s) => s.input.iter().collect(),
            Self::ToldScan(s) => vec![&s.input],
            Self::ShortConvolution(s) => s.input.iter().collect(),
            Self::Wkv(w) => vec![w.mixing.learnt.as_ref().map_or(&w.asks.w, |l| &l.into)],
            Self::Lightning(l) => vec![&l.qkv, &l.gate],
            Self::Linear(l) => vec![&l.w],
            Self::Latent(l) => l.first(),
            Self::Pooled(p) => p.first(),
        }
    }
}

impl Grouped {
    /// The projections of the layer's input.
    pub fn projections(&self) -> impl Iterator<Item = &Linear> {
        [&self.q].into_iter().chain(&self.k).chain(&self.v).chain(&self.gate)
    }
}

impl Loader<'_> {
    pub(super) fn layer(&mut self, i: usize) -> Result<LayerWeights, EngineError> {
        let c = self.config;
        let name = |part: &str| format!("blk.{i}.{part}");
        let norm = |l: &mut Self, part: Option<&str>| part.map(|part| l.stream_norm(&name(part))).transpose();
        let norms = &c.norms;
        let (first, second) = match norms.of_attention {
            Some(own) if self.has(&format!("{}.weight", name(own))) => (Some(own), norms.before_attention),
            _ => (norms.before_attention, norms.before_ff),
        };
        let lacking = |l: &Self, own: &str| c.arch.first_unnormed && i == 0 && !l.has(&format!("{}.weight", name(own)));
        let first = first.filter(|own| !lacking(self, own));
        let (second, parallel) = match c.parallel {
            Some(parallel) => (second, parallel),
            None => {
                let own = second.filter(|own| self.has(&format!("{}.weight", name(own))));
                (own, own.is_none())
            }
        };
        let (attends, feeds) = (c.attends(i), c.feeding.has(i));
        let recurrent = c.recurrent_of(i);
        let linear = c.linear.has(i);
        let mixes = attends || recurrent.is_some() || linear;
        let after_ff =
            norms.after_ff_or.filter(|other| self.has(&format!("{}.weight", name(other)))).or(norms.after_ff);
        let mut layer = LayerWeights {
            ahead: match &c.experts {
                Some(e) if c.arch.experts_ahead => Some(Box::new(Ahead {
                    norm: self.stream_norm(&name("ffn_norm_exps"))?,
                    experts: self.experts(e, &name)?,
                })),
                _ => None,
            },
            before_attention: if mixes { norm(self, first)? } else { None },
            again: norm(self, c.arch.input_again.filter(|own| self.has(&format!("{}.weight", name(own)))))?,
            behind: [norm(self, norms.behind_attention)?, norm(self, norms.behind_ff)?],
            space: match recurrent {
                Some(RecurrentPart::Scan(s)) => Some(Box::new(self.state_space(s, &name)?)),
                _ => None,
            },
            attention: match (recurrent, c.latent_of(i)) {
                (Some(RecurrentPart::Delta(d)), _) => {
                    Some(AttentionWeights::Delta(Box::new(self.delta_net(d, &name)?)))
                }
                (Some(RecurrentPart::ChannelDelta(d)), _) => {
                    Some(AttentionWeights::ChannelDelta(Box::new(self.channel_delta(d, &name)?)))
                }
                (Some(RecurrentPart::Selective(s)), _) => {
                    Some(AttentionWeights::Selective(Box::new(self.selective(s, &name)?)))
                }
                (Some(RecurrentPart::ToldScan(s)), _) => {
                    Some(AttentionWeights::ToldScan(Box::new(self.told_scan(s, &name)?)))
                }
                (Some(RecurrentPart::Lightning(shape)), _) => {
                    Some(AttentionWeights::Lightning(Box::new(self.lightning(i, shape, &name)?)))
                }
                (Some(RecurrentPart::Wkv(w)), _) => {
                    Some(AttentionWeights::Wkv(Box::new(self.bare(|l| l.wkv(i, w, &name))?)))
                }
                (Some(RecurrentPart::ShortConvolution { taps, .. }), _) => {
                    Some(AttentionWeights::ShortConvolution(Box::new(self.short_convolution(*taps, &name)?)))
                }
                _ if linear => {
                    Some(AttentionWeights::Linear(self.linear(&name("attn_output"), c.dim, c.dim, false)?))
                }
                _ if !attends => None,
                (_, Some(l)) => Some(AttentionWeights::Latent(Box::new(self.latent(i, l, c.layer(i).heads, &name)?))),
                (_, None) => Some(match &c.pooling {
                    Some(p) => AttentionWeights::Pooled(Box::new(self.bare(|l| l.pooled(i, p, &name))?)),
                    None => AttentionWeights::Grouped(Box::new(self.grouped(i, &name)?)),
                }),
            },
            after_attention: norm(self, norms.after_attention)?,
            parallel,
            before_ff: if feeds { norm(self, second)? } else { None },
            feed_forward: if feeds { Some(self.feed_forward(i, &name)?) } else { None },
            after_ff: norm(self, after_ff)?,
            input: if c.layer_inputs > 0 { Some(self.layer_input(&name)?) } else { None },
            altup: c.altup.as_ref().map(|a| self.layer_altup(a, &name).map(Box::new)).transpose()?,
            hyper: if c.hyper.is_some() { Some(Box::new(self.bare(|l| l.layer_hyper(&name))?)) } else { None },
            shares_of: c.streams.map(|s| self.bare(|l| l.layer_shares(s.count, &name)).map(Box::new)).transpose()?,
            kept: match c.kept_every {
                Some(_) => {
                    let mut score = |part: &str| need(self.numbers(&name(part), &[c.dim])?, &name(part));
                    Some(Box::new([score("attn_res_score.weight")?, score("ffn_res_score.weight")?]))
                }
                None => None,
            },
            factor: match c.arch.layer_factor {
                true => self.numbers(&name("layer_output_scale.weight"), &[1])?.map(|f| f[0]),
                false => c.halved_every.filter(|n| (i + 1).is_multiple_of(*n)).map(|_| 0.5),
            },
            shares: match c.arch.embed_again {
                true => Some(self.shares(&name)?),
                false => None,
            },
        };
        if let Some(w) = layer.feed_forward.as_ref().filter(|_| c.cut_off(i).is_some()) {
            self.check_cut_off(w, &name)?;
        }
        if let Some(adapters) = &c.adapters {
            self.switched(adapters, &mut layer, &name)?;
        }
        Ok(layer)
    }

    /// What the embedding and the two parts' contributions are multiplied with; where a part has no number, 1.
    fn shares(&mut self, name: &dyn Fn(&str) -> String) -> Result<[f32; 3], EngineError> {
        let embedding = name("layer_output_scale.weight");
        let embedding = need(self.numbers(&embedding, &[1])?, &embedding)?[0];
        let mut part = |part: &str| Ok::<_, EngineError>(self.numbers(&name(part), &[1])?.map_or(1.0, |f| f[0]));
        Ok([embedding, part("attn_output.scale")?, part("ffn_down.scale")?])
    }

    fn feed_forward(&mut self, i: usize, name: &dyn Fn(&str) -> String) -> Result<FeedForward, EngineError> {
        let (c, ff) = (self.config, self.config.layer(i).ff);
        Ok(match &c.experts {
            Some(e) if e.in_layer(i) && c.arch.experts_beside => {
                FeedForward::Beside(Box::new(self.beside(e, ff, name)?))
            }
            Some(e) if e.in_layer(i) && !c.arch.experts_ahead => {
                FeedForward::Experts(Box::new(self.experts_of(i, e, name)?))
            }
            _ if c.arch.channel_mix => FeedForward::Mixed(Box::new(self.bare(|l| l.channel_mix(ff, name))?)),
            _ => FeedForward::Dense(Box::new(self.gated(name, "", ff)?)),
        })
    }

    fn layer_input(&mut self, name: &dyn Fn(&str) -> String) -> Result<LayerInput, EngineError> {
        let (dim, n) = (self.config.dim, self.config.layer_inputs);
        Ok(LayerInput {
            gate: need(self.matrix(&name("inp_gate.weight"), n, dim)?, &name("inp_gate.weight"))?,
            back: self.linear(&name("proj"), dim, n, false)?,
            norm: self.norm(&name("post_norm"), dim, NormKind::Rms)?,
        })
    }

    fn grouped(&mut self, i: usize, name: &dyn Fn(&str) -> String) -> Result<Grouped, EngineError> {
        let (c, sizes) = (self.config, self.config.layer(i));
        let (dim, biased, k_dim) = (c.dim, c.arch.qkv_bias, sizes.k_dim);
        let gated = if c.arch.gated_heads == HeadGates::WithQueries { 2 } else { 1 };
        let rows = [sizes.q_width() * gated, sizes.k_width(), sizes.v_width()];
        let own = c.cache_of(i) == i;
        let v_is_k = c.arch.keys_as_values && rows[1] == rows[2] && !self.has(&name("attn_v.weight"));
        let (q, k, v) = match self.has(&name("attn_qkv.weight")) {
            true if own => {
                let [q, k, v] = self.fused(&name("attn_qkv"), rows, dim, biased)?;
                (q, Some(k), Some(v))
            }
            _ => {
                let q = self.linear(&name("attn_q"), rows[0], dim, biased)?;
                let mut if_there = |part: &str, rows, there: bool| {
                    there.then(|| self.linear(&name(part), rows, dim, biased)).transpose()
                };
                (q, if_there("attn_k", rows[1], own)?, if_there("attn_v", rows[2], own && !v_is_k)?)
            }
        };
        let ones = |n: usize| Norm { kind: NormKind::Rms, w: vec![1.0; n], bias: None };
        let mut norm = |part: &str, heads: usize| -> Result<Option<Norm>, EngineError> {
            Ok(match c.arch.head_norm {
                HeadNorm::None => None,
                HeadNorm::TurnedUnless(n) => {
                    let unnormed = c.rope_of(i).is_none() || c.experts.as_ref().is_some_and(|e| e.count == n);
                    (!unnormed).then(|| ones(k_dim))
                }
                HeadNorm::EachOrNone if !self.has(&name(&format!("{part}.weight"))) => None,
                HeadNorm::Each | HeadNorm::EachOrNone => Some(self.norm(&name(part), k_dim, NormKind::Rms)?),
                HeadNorm::WholeLayer if !self.has(&name(&format!("{part}.weight"))) => None,
                HeadNorm::WholeLayer => Some(self.norm(&name(part), heads * k_dim, NormKind::Layer)?),
                HeadNorm::Whole => Some(self.norm(&name(part), heads * k_dim, NormKind::Rms)?),
                HeadNorm::Own(kind) => {
                    let w = self.numbers(&name(&format!("{part}.weight")), &[k_dim, heads])?;
                    let bias = match kind {
                        NormKind::Layer => self.numbers(&name(&format!("{part}.bias")), &[k_dim, heads])?,
                        NormKind::Rms => None,
                    };
                    w.map(|w| Norm { kind, w, bias })
                }
                // Of queries only.
                HeadNorm::Gains if part == "attn_k_norm" => Some(ones(heads * k_dim)),
                HeadNorm::Gains => {
                    let weight = name(&format!("{part}.weight"));
                    let gains = need(self.numbers(&weight, &[1, heads])?, &weight)?;
                    let w = gains.iter().flat_map(|gain| std::iter::repeat_n(*gain, k_dim)).collect();
                    Some(Norm { kind: NormKind::Rms, w, bias: None })
                }
            })
        };
        let q_norm = norm("attn_q_norm", sizes.heads)?;
        let k_norm = if own { norm("attn_k_norm", sizes.kv_heads)? } else { None };
        let v_norm = (own && c.arch.value_norm).then(|| ones(sizes.v_dim));
        let mut read_sinks = || self.numbers(&name("attn_sinks.weight"), &[sizes.heads]);
        let sinks = match c.arch.sinks {
            Sinks::None => None,
            Sinks::IfThere => read_sinks()?,
            Sinks::Always => Some(need(read_sinks()?, &name("attn_sinks.weight"))?),
        };
        let gate = match c.arch.gated_heads {
            HeadGates::None | HeadGates::WithQueries => None,
            HeadGates::Apart => Some(self.linear(&name("attn_gate"), sizes.att_width(), dim, false)?),
            HeadGates::OneEach => Some(self.linear(&name("attn_gate"), sizes.heads, dim, false)?),
            HeadGates::Softplus => {
                let one_each =
                    self.gguf.tensor(&name("attn_gate.weight")).is_some_and(|t| t.rows() == sizes.heads as u64);
                let rows = if one_each { sizes.heads } else { sizes.att_width() };
                Some(self.linear(&name("attn_gate"), rows, dim, false)?)
            }
        };
        let indexer = match c.indexer.as_ref().filter(|x| x.layers.has(i)) {
            Some(x) => Some(self.bare(|l| l.block_indexer(x, name))?),
            None => None,
        };
        let o = self.linear(&name("attn_output"), dim, sizes.att_width(), false)?;
        let before_o = match c.arch.inner_norms {
            true => Some(self.norm(&name("attn_sub_norm"), sizes.att_width(), NormKind::Rms)?),
            false => None,
        };
        Ok(Grouped { q, k, v, q_norm, k_norm, v_norm, gate, sinks, indexer, before_o, o })
    }
}
