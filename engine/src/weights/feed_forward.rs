//! The weights of feed-forward parts: dense ones and mixtures of experts.

use super::load::{Loader, need};
use super::matrix::{MatrixRef, Stack};
use super::{ChannelMix, Linear, Norm};
use crate::arch::NormKind;
use crate::config;
use crate::error::EngineError;

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
    /// The experts of each token, `[vocab, used]`, where they do not follow from scores.
    pub hashed: Option<Vec<u32>>,
    pub stacks: ExpertStacks,
    /// What is around them, where they run on fewer channels than the stream has.
    pub narrow: Option<Narrow>,
    /// What each expert's output is multiplied with, `[experts]`.
    pub scale: Option<Vec<f32>>,
    /// Those that groups of experts share.
    pub adjugates: Option<ExpertStacks>,
    pub shared: Option<Shared>,
}

/// The experts' matrices.
#[derive(Clone, Debug)]
pub(crate) struct ExpertStacks {
    /// None where experts activate what `up` gives.
    pub gate: Option<Stack>,
    pub up: Stack,
    pub down: Stack,
    /// `[experts, rows]` each.
    pub gate_bias: Option<Vec<f32>>,
    pub up_bias: Option<Vec<f32>>,
    pub down_bias: Option<Vec<f32>>,
}

/// `up(norm(experts(down h)))`
#[derive(Clone, Debug)]
pub(crate) struct Narrow {
    /// `[narrow, dim]`
    pub down: MatrixRef,
    pub norm: Option<Norm>,
    /// `[dim, narrow]`
    pub up: MatrixRef,
}

/// `experts(norm(x))` of the stream as it comes into the layer, added behind it.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    pub norm: Norm,
    pub experts: Experts,
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

impl ExpertStacks {
    /// The matrices that an expert's input is multiplied with.
    pub fn first(&self) -> impl Iterator<Item = &Stack> + Clone {
        self.gate.iter().chain([&self.up])
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
    /// The projections `ffn_gate`, `ffn_up` and `ffn_down` with a suffix, `ff` channels wide.
    pub(super) fn gated(
        &mut self,
        name: &dyn Fn(&str) -> String,
        suffix: &str,
        ff: usize,
    ) -> Result<Gated, EngineError> {
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

    /// Those of layer `i`.
    pub(super) fn experts_of(
        &mut self,
        i: usize,
        e: &config::Experts,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Experts, EngineError> {
        let hashed = match i < e.hashed {
            true => Some(self.indices(&name("ffn_gate_tid2eid.weight"), [e.used, self.config.vocab], e.count)?),
            false => None,
        };
        let experts = self.experts(e, name)?;
        if hashed.is_some() && experts.choice_bias.is_some() {
            let (name, arch) = (name("exp_probs_b.bias"), self.config.arch.name);
            return Err(EngineError::UnexpectedTensor { name, arch });
        }
        Ok(Experts { hashed, ..experts })
    }

    pub(super) fn experts(
        &mut self,
        e: &config::Experts,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Experts, EngineError> {
        let (stream, dim, n) = (self.config.dim, e.narrow.unwrap_or(self.config.dim), e.count);
        let narrow = match (e.narrow, &self.config.arch.narrow_experts) {
            (Some(_), Some(names)) => Some(self.narrow(names, dim, name)?),
            _ => None,
        };
        let shared = match e.shared_ff {
            0 => None,
            ff => Some(Shared {
                gate: self.matrix(&name("ffn_gate_inp_shexp.weight"), 1, stream)?,
                part: self.gated(name, if self.config.arch.dense_shared { "" } else { "_shexp" }, ff)?,
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
            router: self.linear(&name("ffn_gate_inp"), n, stream, false)?,
            hashed: None,
            choice_bias: match self.numbers(&name("exp_probs_b.bias"), &[n])? {
                // Some converters lose the suffix.
                None => self.numbers(&name("exp_probs_b"), &[n])?,
                bias => bias,
            },
            stacks: ExpertStacks {
                gate,
                up,
                down: self.expert_stack(&name("ffn_down"), n, dim, e.ff)?,
                gate_bias: match self.config.arch.gated {
                    true => self.numbers(&name("ffn_gate_exps.bias"), &[e.ff, n])?,
                    false => None,
                },
                up_bias: self.numbers(&name("ffn_up_exps.bias"), &[e.ff, n])?,
                down_bias: self.numbers(&name("ffn_down_exps.bias"), &[dim, n])?,
            },
            adjugates: match &e.adjugates {
                Some(a) => {
                    let n = n / a.sharing;
                    Some(ExpertStacks {
                        gate: Some(self.stack(&name("ffn_gate_chexps.weight"), n, a.ff, dim)?),
                        up: self.stack(&name("ffn_up_chexps.weight"), n, a.ff, dim)?,
                        down: self.stack(&name("ffn_down_chexps.weight"), n, dim, a.ff)?,
                        gate_bias: None,
                        up_bias: None,
                        down_bias: None,
                    })
                }
                None => None,
            },
            narrow,
            scale: if beside { self.numbers(&name("ffn_down_exps.scale"), &[n])? } else { None },
            shared,
        })
    }

    fn narrow(
        &mut self,
        names: &crate::arch::Narrow,
        width: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Narrow, EngineError> {
        let dim = self.config.dim;
        let matrix = |l: &mut Self, part: &str, rows, cols| {
            let name = name(&format!("{part}.weight"));
            need(l.matrix(&name, rows, cols)?, &name)
        };
        let norm = names.norm.filter(|part| self.has(&name(&format!("{part}.weight"))));
        Ok(Narrow {
            down: matrix(self, names.down, width, dim)?,
            norm: norm.map(|part| self.norm(&name(part), width, NormKind::Rms)).transpose()?,
            up: matrix(self, names.up, dim, width)?,
        })
    }

    pub(super) fn beside(
        &mut self,
        e: &config::Experts,
        ff: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Beside, EngineError> {
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
