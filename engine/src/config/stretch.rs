//! Rotary positions other than the file says, for contexts beyond those of the training.

use super::reader::MAX;
use super::{ModelConfig, Rope, Scaling};
use crate::error::EngineError;

/// What replaces the file's rotary positions; nothing by default. The names are those of llama.cpp's options.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RopeOptions {
    /// How the context is stretched.
    pub scaling: Option<RopeScaling>,
    /// How many times as long it becomes.
    pub scale: Option<f32>,
    /// The base of the frequencies.
    pub freq_base: Option<f32>,
    /// YaRN: the context of the training, before it is stretched.
    pub yarn_orig_ctx: Option<usize>,
    /// YaRN: how much of the mixing applies; 0 stretches all frequencies alike.
    pub yarn_ext_factor: Option<f32>,
    /// YaRN: a factor of the turned channels, besides the one that follows from the scale.
    pub yarn_attn_factor: Option<f32>,
    /// YaRN: full turns within the original context up to which a frequency is stretched by all.
    pub yarn_beta_slow: Option<f32>,
    /// YaRN: full turns from which it is kept.
    pub yarn_beta_fast: Option<f32>,
}

/// A way to stretch the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All frequencies alike.
    Linear,
    /// YaRN (arXiv 2309.00071).
    Yarn,
}

fn bad<T>(name: &'static str, reason: impl Into<String>) -> Result<T, EngineError> {
    Err(EngineError::Option { name, reason: reason.into() })
}

impl RopeOptions {
    /// Whether anything is replaced.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Refuses numbers that nothing could come of.
    fn check(&self) -> Result<(), EngineError> {
        for (name, value, least) in [
            ("rope-scale", self.scale, 0.0),
            ("rope-freq-base", self.freq_base, 1.0),
            ("yarn-attn-factor", self.yarn_attn_factor, 0.0),
            ("yarn-beta-slow", self.yarn_beta_slow, 0.0),
            ("yarn-beta-fast", self.yarn_beta_fast, 0.0),
        ] {
            if let Some(v) = value.filter(|v| !(v.is_finite() && *v > least)) {
                return bad(name, format!("{v} is not a number above {least}"));
            }
        }
        if let Some(v) = self.yarn_ext_factor.filter(|v| !(v.is_finite() && *v >= 0.0)) {
            return bad("yarn-ext-factor", format!("{v} is not a number from 0 on"));
        }
        match self.yarn_orig_ctx {
            Some(n) if !(1..=MAX).contains(&n) => bad("yarn-orig-ctx", format!("{n} is not within 1..={MAX}")),
            _ => Ok(()),
        }
    }

    /// The first option that is YaRN's and given.
    fn of_yarn(&self) -> Option<&'static str> {
        let given = [
            ("yarn-orig-ctx", self.yarn_orig_ctx.is_some()),
            ("yarn-ext-factor", self.yarn_ext_factor.is_some()),
            ("yarn-attn-factor", self.yarn_attn_factor.is_some()),
            ("yarn-beta-slow", self.yarn_beta_slow.is_some()),
            ("yarn-beta-fast", self.yarn_beta_fast.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// The file's rotary positions as the options have them.
    fn apply(&self, rope: &Rope) -> Result<Rope, EngineError> {
        self.check()?;
        let (said, old) = match rope.scaling {
            Scaling::None => (RopeScaling::None, None),
            Scaling::Linear(f) => (RopeScaling::Linear, Some(f)),
            Scaling::Yarn { factor, .. } => (RopeScaling::Yarn, Some(factor)),
        };
        let kind = match (self.scaling, said) {
            (Some(kind), _) => kind,
            // A scale alone stretches all frequencies alike.
            (None, RopeScaling::None) if self.scale.is_some() => RopeScaling::Linear,
            (None, said) => said,
        };
        if let Some(name) = self.of_yarn().filter(|_| kind != RopeScaling::Yarn) {
            return bad(name, "it is YaRN's, and the scaling is not `yarn`");
        }
        let factor = self.scale.or(old);
        let (scaling, attention) = match (kind, factor) {
            (RopeScaling::None, _) if self.scale.is_some() => {
                return bad("rope-scale", "the scaling is `none`");
            }
            (RopeScaling::None, _) => (Scaling::None, 1.0),
            (kind, None) => return bad("rope-scaling", format!("{kind:?} needs a scale, which the file does not say")),
            (RopeScaling::Linear, Some(1.0)) => (Scaling::None, 1.0),
            (RopeScaling::Linear, Some(factor)) => (Scaling::Linear(factor), 1.0),
            (RopeScaling::Yarn, Some(factor)) if factor < 1.0 => {
                return bad("rope-scale", format!("YaRN stretches, but {factor} is below 1"));
            }
            (RopeScaling::Yarn, Some(factor)) => {
                let (fast, slow, mix, all_dims) = match rope.scaling {
                    Scaling::Yarn { fast, slow, mix, all_dims, .. } => (fast, slow, mix, all_dims),
                    _ => (32.0, 1.0, 1.0, 0.0),
                };
                let (fast, slow) = (self.yarn_beta_fast.unwrap_or(fast), self.yarn_beta_slow.unwrap_or(slow));
                let scaling = match self.yarn_ext_factor.unwrap_or(mix) {
                    0.0 => Scaling::Linear(factor),
                    mix => Scaling::Yarn { factor, fast, slow, mix, all_dims, latent: false },
                };
                (scaling, self.yarn_attn_factor.unwrap_or(1.0))
            }
        };
        Ok(Rope {
            dim: rope.dim,
            base: self.freq_base.unwrap_or(rope.base),
            scaling,
            original_ctx: self.yarn_orig_ctx.unwrap_or(rope.original_ctx),
            magnitude: rope.magnitude * attention,
        })
    }
}

impl ModelConfig {
    /// Replaces the rotary positions. The context grows by as much as the slowest pair of channels does.
    /// Layers with a window keep theirs, where others have none: they see no more than before. `divided` is whether the file
    /// lists divisors of the frequencies.
    pub(super) fn stretch(&mut self, options: &RopeOptions, by_length: bool, divided: bool) -> Result<(), EngineError> {
        if !options.any() {
            return Ok(());
        }
        let arch = self.arch.name;
        let windowed = |i: usize| self.window_of(i).is_some();
        let attending = || (0..self.layers).filter(|i| self.attends(*i));
        let mut turned = attending().filter(|i| self.rope.dim > 0 && self.rope_of(*i) == Some(0)).peekable();
        if turned.peek().is_none() {
            return bad("rope-scaling", format!("the model (`{arch}`) has no rotary positions"));
        }
        let (all_windowed, keep) = (turned.all(windowed), attending().any(windowed) && !attending().all(windowed));
        if all_windowed && keep {
            let reason = format!("the model (`{arch}`) has rotary positions in layers with a window only");
            return bad("rope-scaling", reason);
        }
        if by_length
            || keep && divided && self.local_rope.is_none()
            || self.latent.is_some()
            || self.pooling.is_some()
            || self.arch.unstretched
        {
            let reason = format!("the model (`{arch}`) stretches rotary positions by a rule of its own");
            return bad("rope-scaling", reason);
        }
        let rope = options.apply(&self.rope)?;
        let slowest = |rope: &Rope| rope.table(None).freqs.last().copied().unwrap_or(1.0);
        let longer = slowest(&self.rope) / slowest(&rope);
        let grown = match (options.yarn_orig_ctx, options.scale) {
            (Some(original), Some(scale)) => original as f64 * f64::from(scale),
            _ => self.ctx as f64 * longer,
        };
        if !(grown.is_finite() && grown <= MAX as f64) {
            return bad("rope-scale", format!("a context of {grown} is out of any bounds"));
        }
        self.ctx = self.ctx.max(libm::round(grown) as usize);
        let old = std::mem::replace(&mut self.rope, rope);
        if keep {
            self.local_rope.get_or_insert(old);
        }
        Ok(())
    }
}
