//! The weights of one layer, found by the names that all architectures share.

use super::load::{Loader, need};
use super::matrix::{MatrixRef, Stack};
use super::{ChannelDelta, ChannelMix, Indexer, LayerAltUp, Lightning, Linear, Norm, Selective, Wkv};
use crate::arch::{HeadGates, HeadNorm, NormKind, Sinks};
use crate::config::{self, RecurrentPart};
use crate::error::EngineError;

/// One layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerWeights {
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
    pub input: Option<LayerInput>,
    pub altup: Option<Box<LayerAltUp>>,
    /// What the stream is multiplied with after the layer.
    pub factor: Option<f32>,
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
    Delta(Box<DeltaNet>),
    ChannelDelta(Box<ChannelDelta>),
    Selective(Box<Selective>),
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
    /// Of what `o` reads, `[heads * v_dim]`.
    pub before_o: Option<Norm>,
    /// Back to the stream, `[dim, heads * v_dim]`.
    pub o: Linear,
}

/// Multi-head latent attention: all heads share one compressed key/value per position.
#[derive(Clone, Debug)]
pub(crate) struct Latent {
    /// The stream to compressed queries `[q_rank, dim]` and their norm, where queries are compressed.
    pub q_a: Option<(Linear, Norm)>,
    /// To the heads' queries, `[heads * (nope + rope), q_rank or dim]`.
    pub q_b: Linear,
    /// The stream to the latent and the turned part of the key, `[kv_rank + rope, dim]`.
    pub kv_a: Linear,
    pub kv_norm: Norm,
    /// For each head, a query's unturned channels to the latent's, `[kv_rank, nope]`.
    pub k_b: Stack,
    /// For each head, the latent to the head's values, `[v_dim, kv_rank]`.
    pub v_b: Stack,
    /// Back to the stream, `[dim, heads * v_dim]`.
    pub o: Linear,
    /// What chooses the positions that queries attend to, where the layer does.
    pub indexer: Option<Indexer>,
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

/// The feed-forward part.
#[derive(Clone, Debug)]
pub(crate) enum FeedForward {
    Dense(Box<Gated>),
    Experts(Box<Experts>),
    Beside(Box<Beside>),
    Mixed(Box<ChannelMix>),
}

/// `down(act(gate h) * up h)`, or `down(act(up h))` without a gate.
#[derive(Clone, Debug)]
pub(crate) struct Gated {
    pub gate: Option<Linear>,
    pub up: Linear,
    /// Of what `down` reads, `[ff]`.
    pub before_down: Option<Norm>,
    pub down: Linear,
}

/// A mixture of experts.
#[derive(Clone, Debug)]
pub(crate) struct Experts {
    /// The stream to the experts' scores, `[experts, dim]`.
    pub router: Linear,
    /// Added to the probabilities for the choice alone, `[experts]`.
    pub choice_bias: Option<Vec<f32>>,
    /// None where experts activate what `up` gives.
    pub gate: Option<Stack>,
    pub up: Stack,
    pub down: Stack,
    /// `[experts, rows]` each.
    pub gate_bias: Option<Vec<f32>>,
    pub up_bias: Option<Vec<f32>>,
    pub down_bias: Option<Vec<f32>>,
    /// What each expert's output is multiplied with, `[experts]`.
    pub scale: Option<Vec<f32>>,
    pub shared: Option<Shared>,
}

/// `norm(dense(h)) + norm(experts(norm(x)))`, where the experts are chosen by `router_norm(x)`.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    pub dense: Gated,
    pub after_dense: Norm,
    /// Of what the router reads.
    pub router_norm: Norm,
    pub before_experts: Norm,
    pub experts: Experts,
    pub after_experts: Norm,
}

/// The expert that takes every row.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub part: Gated,
    /// `[1, dim]`: the sigmoid of its product scales the expert's output.
    pub gate: Option<MatrixRef>,
}

impl Experts {
    /// The matrices that an expert's input is multiplied with.
    pub fn first(&self) -> impl Iterator<Item = &Stack> {
        self.gate.iter().chain([&self.up])
    }
}

impl LayerWeights {
    /// The matrices that are read first.
    pub fn first(&self) -> Vec<&MatrixRef> {
        if let Some(a) = &self.altup {
            return vec![&a.laurel.down];
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
            Self::ChannelDelta(d) => d.first().to_vec(),
            Self::Selective(s) => s.input.iter().collect(),
            Self::ShortConvolution(s) => s.input.iter().collect(),
            Self::Wkv(w) => vec![w.mixing.learnt.as_ref().map_or(&w.asks.w, |l| &l.into)],
            Self::Lightning(l) => vec![&l.qkv, &l.gate],
            Self::Linear(l) => vec![&l.w],
            Self::Latent(l) => vec![l.q_a.as_ref().map_or(&l.q_b.w, |(q, _)| &q.w), &l.kv_a.w],
        }
    }
}

impl Grouped {
    /// The projections of the layer's input.
    pub fn projections(&self) -> impl Iterator<Item = &Linear> {
        [&self.q].into_iter().chain(&self.k).chain(&self.v).chain(&self.gate)
    }
}

impl Gated {
    /// The matrices that are read first: those that the part's input is multiplied with.
    pub fn first(&self) -> Vec<&MatrixRef> {
        self.gate.iter().chain([&self.up]).map(|l| &l.w).collect()
    }

    /// The gate, if everything up to the input of `down` can be one region: what it makes is quantized, and nothing is
    /// added on the way.
    pub fn fused(&self) -> Option<&MatrixRef> {
        let plain = |g: &&Linear| g.bias.is_none() && self.up.bias.is_none() && self.before_down.is_none();
        let gate = self.gate.as_ref().filter(plain)?;
        self.down.w.is_quant().then_some(&gate.w)
    }
}

impl FeedForward {
    /// The matrices that are read first.
    pub fn first(&self) -> Vec<&MatrixRef> {
        match self {
            Self::Dense(d) => d.first(),
            Self::Experts(e) => vec![&e.router.w],
            Self::Beside(b) => b.dense.first(),
            Self::Mixed(m) => m.part.first(),
        }
    }
}

impl Loader<'_> {
    pub(super) fn layer(&mut self, i: usize) -> Result<LayerWeights, EngineError> {
        let c = self.config;
        let name = |part: &str| format!("blk.{i}.{part}");
        let norm = |l: &mut Self, part: Option<&str>| part.map(|part| l.stream_norm(&name(part))).transpose();
        let norms = &c.arch.norms;
        let (first, second) = match norms.of_attention {
            Some(own) if self.has(&format!("{}.weight", name(own))) => (Some(own), norms.before_attention),
            _ => (norms.before_attention, norms.before_ff),
        };
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
        let layer = LayerWeights {
            before_attention: if mixes { norm(self, first)? } else { None },
            space: match recurrent {
                Some(RecurrentPart::Scan(s)) => Some(Box::new(self.state_space(s, &name)?)),
                _ => None,
            },
            attention: match (recurrent, &c.latent) {
                (Some(RecurrentPart::Delta(d)), _) => {
                    Some(AttentionWeights::Delta(Box::new(self.delta_net(d, &name)?)))
                }
                (Some(RecurrentPart::ChannelDelta(d)), _) => {
                    Some(AttentionWeights::ChannelDelta(Box::new(self.channel_delta(d, &name)?)))
                }
                (Some(RecurrentPart::Selective(s)), _) => {
                    Some(AttentionWeights::Selective(Box::new(self.selective(s, &name)?)))
                }
                (Some(RecurrentPart::Lightning(shape)), _) => {
                    Some(AttentionWeights::Lightning(Box::new(self.lightning(i, shape, &name)?)))
                }
                (Some(RecurrentPart::Wkv(w)), _) => Some(AttentionWeights::Wkv(Box::new(self.wkv(i, w, &name)?))),
                (Some(RecurrentPart::ShortConvolution { taps, .. }), _) => {
                    Some(AttentionWeights::ShortConvolution(Box::new(self.short_convolution(*taps, &name)?)))
                }
                _ if linear => {
                    Some(AttentionWeights::Linear(self.linear(&name("attn_output"), c.dim, c.dim, false)?))
                }
                _ if !attends => None,
                (_, Some(l)) => Some(AttentionWeights::Latent(Box::new(self.latent(i, l, &name)?))),
                (_, None) => Some(AttentionWeights::Grouped(Box::new(self.grouped(i, &name)?))),
            },
            after_attention: norm(self, norms.after_attention)?,
            parallel,
            before_ff: if feeds { norm(self, second)? } else { None },
            feed_forward: if feeds { Some(self.feed_forward(i, &name)?) } else { None },
            after_ff: norm(self, norms.after_ff)?,
            input: if c.layer_inputs > 0 { Some(self.layer_input(&name)?) } else { None },
            altup: c.altup.as_ref().map(|a| self.layer_altup(a, &name).map(Box::new)).transpose()?,
            factor: match c.arch.layer_factor {
                true => self.numbers(&name("layer_output_scale.weight"), &[1])?.map(|f| f[0]),
                false => c.halved_every.filter(|n| (i + 1).is_multiple_of(*n)).map(|_| 0.5),
            },
        };
        if let Some(w) = layer.feed_forward.as_ref().filter(|_| c.cut_off(i).is_some()) {
            self.check_cut_off(w, &name)?;
        }
        Ok(layer)
    }

    fn feed_forward(&mut self, i: usize, name: &dyn Fn(&str) -> String) -> Result<FeedForward, EngineError> {
        let (c, ff) = (self.config, self.config.layer(i).ff);
        Ok(match &c.experts {
            Some(e) if e.in_layer(i) && c.arch.experts_beside => {
                FeedForward::Beside(Box::new(self.beside(e, ff, name)?))
            }
            Some(e) if e.in_layer(i) => FeedForward::Experts(Box::new(self.experts(e, name)?)),
            _ if c.arch.channel_mix => FeedForward::Mixed(Box::new(self.channel_mix(ff, name)?)),
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
                HeadNorm::Own => {
                    let w = self.numbers(&name(&format!("{part}.weight")), &[k_dim, heads])?;
                    w.map(|w| Norm { kind: NormKind::Layer, w, bias: None })
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
        let o = self.linear(&name("attn_output"), dim, sizes.att_width(), false)?;
        let before_o = match c.arch.inner_norms {
            true => Some(self.norm(&name("attn_sub_norm"), sizes.att_width(), NormKind::Rms)?),
            false => None,
        };
        Ok(Grouped { q, k, v, q_norm, k_norm, v_norm, gate, sinks, before_o, o })
    }

    fn latent(&mut self, i: usize, l: &config::Latent, name: &dyn Fn(&str) -> String) -> Result<Latent, EngineError> {
        let c = self.config;
        let q_rows = c.heads * (l.nope + c.rope.dim);
        let (q_a, q_b) = match l.q_rank {
            Some(rank) => {
                let a = self.linear(&name("attn_q_a"), rank, c.dim, false)?;
                let norm = self.norm(&name("attn_q_a_norm"), rank, NormKind::Rms)?;
                (Some((a, norm)), self.linear(&name("attn_q_b"), q_rows, rank, false)?)
            }
            None => (None, self.linear(&name("attn_q"), q_rows, c.dim, false)?),
        };
        let indexer = match (c.indexer.as_ref().filter(|x| x.layers.has(i)), l.q_rank) {
            (Some(x), Some(rank)) => Some(self.indexer(x, rank, name)?),
            _ => None,
        };
        Ok(Latent {
            indexer,
            q_a,
            q_b,
            kv_a: self.linear(&name("attn_kv_a_mqa"), l.kv_rank + c.rope.dim, c.dim, false)?,
            kv_norm: self.norm(&name("attn_kv_a_norm"), l.kv_rank, NormKind::Rms)?,
            k_b: self.stack(&name("attn_k_b.weight"), c.heads, l.kv_rank, l.nope)?,
            v_b: self.stack(&name("attn_v_b.weight"), c.heads, l.v_dim, l.kv_rank)?,
            o: self.linear(&name("attn_output"), c.dim, c.heads * l.v_dim, false)?,
        })
    }

    /// The projections `ffn_gate`, `ffn_up` and `ffn_down` with a suffix, `ff` channels wide.
    fn gated(&mut self, name: &dyn Fn(&str) -> String, suffix: &str, ff: usize) -> Result<Gated, EngineError> {
        let dim = self.config.dim;
        let part = |p: &str| name(&format!("ffn_{p}{suffix}"));
        let (gate, up) = match self.config.arch.gated {
            false => (None, self.linear(&part("up"), ff, dim, false)?),
            true if self.has(&format!("{}.weight", part("gate"))) => {
                (Some(self.linear(&part("gate"), ff, dim, false)?), self.linear(&part("up"), ff, dim, false)?)
            }
            true => {
                let [gate, up] = self.fused(&part("up"), [ff; 2], dim, false)?;
                (Some(gate), up)
            }
        };
        let before_down = match self.config.arch.inner_norms {
            true => Some(self.norm(&part("sub_norm"), ff, NormKind::Rms)?),
            false => None,
        };
        Ok(Gated { gate, up, before_down, down: self.linear(&part("down"), dim, ff, false)? })
    }

    fn experts(&mut self, e: &config::Experts, name: &dyn Fn(&str) -> String) -> Result<Experts, EngineError> {
        let (dim, n) = (self.config.dim, e.count);
        let shared = match e.shared_ff {
            0 => None,
            ff => Some(Shared {
                gate: self.matrix(&name("ffn_gate_inp_shexp.weight"), 1, dim)?,
                part: self.gated(name, "_shexp", ff)?,
            }),
        };
        let (beside, gate_up) = (self.config.arch.experts_beside, name("ffn_gate_up_exps.weight"));
        let (gate, up) = match self.config.arch.gated && self.has(&gate_up) {
            true => {
                let [gate, up] = self.gate_up_stack(&gate_up, n, e.ff, dim)?;
                (Some(gate), up)
            }
            false => {
                let gated = self.config.arch.gated;
                let gate = gated.then(|| self.expert_stack(&name("ffn_gate"), n, e.ff, dim)).transpose()?;
                (gate, self.expert_stack(&name("ffn_up"), n, e.ff, dim)?)
            }
        };
        Ok(Experts {
            router: self.linear(&name("ffn_gate_inp"), n, dim, false)?,
            choice_bias: match self.numbers(&name("exp_probs_b.bias"), &[n])? {
                // Some converters lose the suffix.
                None => self.numbers(&name("exp_probs_b"), &[n])?,
                bias => bias,
            },
            gate,
            up,
            down: self.expert_stack(&name("ffn_down"), n, dim, e.ff)?,
            gate_bias: match self.config.arch.gated {
                true => self.numbers(&name("ffn_gate_exps.bias"), &[e.ff, n])?,
                false => None,
            },
            up_bias: self.numbers(&name("ffn_up_exps.bias"), &[e.ff, n])?,
            down_bias: self.numbers(&name("ffn_down_exps.bias"), &[dim, n])?,
            scale: if beside { self.numbers(&name("ffn_down_exps.scale"), &[n])? } else { None },
            shared,
        })
    }

    fn beside(&mut self, e: &config::Experts, ff: usize, name: &dyn Fn(&str) -> String) -> Result<Beside, EngineError> {
        let (dim, scale) = (self.config.dim, name("ffn_gate_inp.scale"));
        let norm = |l: &mut Self, part: &str| l.norm(&name(part), dim, NormKind::Rms);
        let (dense, after_dense) = (self.gated(name, "", ff)?, norm(self, "post_ffw_norm_1")?);
        let mut w = need(self.numbers(&scale, &[dim])?, &scale)?;
        // Normed channels are divided by the root of their number besides.
        w.iter_mut().for_each(|w| *w /= (dim as f32).sqrt());
        Ok(Beside {
            dense,
            after_dense,
            router_norm: Norm { kind: NormKind::Rms, w, bias: None },
            before_experts: norm(self, "pre_ffw_norm_2")?,
            experts: self.experts(e, name)?,
            after_experts: norm(self, "post_ffw_norm_2")?,
        })
    }
}
