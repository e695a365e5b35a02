//! Rotary frequencies: the base, and the ways to stretch a context beyond the one of the pre-training.

use super::reader::Reader;
use super::{LayerSet, Varied};
use crate::arch::Arch;
use crate::error::EngineError;
use std::f64::consts::TAU;

/// How positions are turned.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Channels of a head that are turned.
    pub dim: usize,
    /// Base of the frequencies.
    pub base: f32,
    /// How the context was stretched.
    pub scaling: Scaling,
    /// The context of the pre-training, before it was stretched.
    pub original_ctx: usize,
    /// A factor of the turned channels.
    pub magnitude: f32,
}

/// A way to stretch the context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all, or by divisors that the file lists.
    None,
    /// Positions are divided by this.
    Linear(f32),
    /// YaRN (arXiv 2309.00071): low frequencies are divided, high ones are kept, those between are mixed.
    Yarn {
        /// What low frequencies are divided by.
        factor: f32,
        /// Full turns within the original context from which a frequency is kept.
        fast: f32,
        /// Full turns up to which it is divided.
        slow: f32,
        /// How much of the mixing applies, 1 for all.
        mix: f32,
        /// `mscale_all_dim`, 0 for none: the `1 + 0.1 ln factor` that turned channels are multiplied with is divided by
        /// `1 + 0.1 m ln factor`.
        all_dims: f32,
        /// DeepSeek's, where it is not divided but left out, and attention scores are multiplied with the square of the
        /// latter.
        latent: bool,
    },
}

/// Frequencies of the pairs, and the factor of the turned channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RopeTable {
    pub freqs: Vec<f64>,
    pub magnitude: f64,
}

impl Rope {
    pub(super) fn read(r: &Reader<'_>, arch: &Arch, [dim, k_dim]: [usize; 2], ctx: usize) -> Result<Self, EngineError> {
        // Models that see images: a position has several coordinates, and the pairs may be others.
        if r.meta.contains(&r.key("rope.dimension_sections")) && !arch.coordinates {
            return r.bad("rope.dimension_sections", "positions of several coordinates are not supported");
        }
        let legacy = r.factor("rope.scale_linear")?;
        let factor = r.factor("rope.scaling.factor")?.or(legacy);
        let scaling = match r.meta.str(&r.key("rope.scaling.type"))? {
            None | Some("linear") => factor.map_or(Scaling::None, Scaling::Linear),
            // The divisors are tensors of their own.
            Some("none" | "longrope") => Scaling::None,
            Some("yarn") if arch.unstretched => {
                for key in ["ext_factor", "attn_factor", "beta_fast", "beta_slow"] {
                    r.key(&format!("rope.scaling.yarn_{key}"));
                }
                Scaling::None
            }
            Some("yarn") => Scaling::Yarn {
                factor: match factor {
                    Some(f) if f >= 1.0 => f,
                    Some(f) => return r.bad("rope.scaling.factor", format!("YaRN stretches, but {f} is below 1")),
                    None => return r.missing("rope.scaling.factor"),
                },
                fast: r.positive("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                slow: r.positive("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
                mix: r.factor("rope.scaling.yarn_ext_factor")?.unwrap_or(1.0),
                // DeepSeek's files hold a tenth of it.
                all_dims: r.factor("rope.scaling.yarn_log_multiplier")?.unwrap_or(0.0)
                    * if arch.latent { 10.0 } else { 1.0 },
                latent: arch.latent,
            },
            Some(other) => {
                let reason = format!("`{other}` is not supported; none, linear, yarn and longrope are");
                return r.bad("rope.scaling.type", reason);
            }
        };
        let base = r.positive("rope.freq_base")?.unwrap_or(10000.0);
        let alpha = if arch.rope_alpha { r.factor("rope.scaling.alpha")? } else { None };
        Ok(Self {
            dim,
            base: match alpha {
                Some(alpha) if k_dim > 2 => {
                    let grown = libm::pow(f64::from(alpha), k_dim as f64 / (k_dim - 2) as f64);
                    let base = (f64::from(base) * grown) as f32;
                    if !base.is_finite() {
                        return r.bad("rope.scaling.alpha", format!("{alpha} is out of any bounds"));
                    }
                    base
                }
                _ => base,
            },
            scaling,
            original_ctx: r.size_or_none("rope.scaling.original_context_length")?.unwrap_or(ctx),
            magnitude: r.factor("rope.scaling.attn_factor")?.unwrap_or(1.0),
        })
    }

    /// The frequencies, with further divisors (`[dim / 2]`) where there are some.
    pub(crate) fn table(&self, divisors: Option<&[f32]>) -> RopeTable {
        let (dim, base) = (self.dim as f64, f64::from(self.base));
        let plain = |i: usize| {
            let freq = libm::pow(base, -2.0 * i as f64 / dim);
            freq / divisors.map_or(1.0, |d| f64::from(d[i]))
        };
        let half = 0..self.dim / 2;
        let magnitude = f64::from(self.magnitude);
        match self.scaling {
            Scaling::None => RopeTable { freqs: half.map(plain).collect(), magnitude },
            Scaling::Linear(f) => RopeTable { freqs: half.map(|i| plain(i) / f64::from(f)).collect(), magnitude },
            Scaling::Yarn { factor, fast, slow, mix, all_dims, latent } => {
                let factor = f64::from(factor);
                // The pair that turns `n` times within the original context.
                let pair =
                    |n: f32| dim * libm::log(self.original_ctx as f64 / (f64::from(n) * TAU)) / (2.0 * libm::log(base));
                let low = libm::floor(pair(fast)).max(0.0);
                let high = libm::ceil(pair(slow)).min(dim - 1.0);
                let freqs = half.map(|i| {
                    let ramp = ((i as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
                    let keep = (1.0 - ramp) * f64::from(mix);
                    plain(i) / factor * (1.0 - keep) + plain(i) * keep
                });
                let stretched = |m: f64| 1.0 + 0.1 * m * libm::log(factor);
                let own = match all_dims {
                    0.0 => stretched(1.0),
                    _ if latent => 1.0,
                    m => stretched(1.0) / stretched(f64::from(m)),
                };
                RopeTable { freqs: freqs.collect(), magnitude: magnitude * own }
            }
        }
    }

    /// What attention scores are multiplied with besides the usual scale.
    pub(super) fn score_factor(&self) -> f32 {
        match self.scaling {
            Scaling::Yarn { factor, all_dims, .. } => {
                let m = 1.0 + 0.1 * f64::from(all_dims) * libm::log(f64::from(factor));
                (m * m) as f32
            }
            _ => 1.0,
        }
    }
}

impl Reader<'_> {
    /// Rotary positions of the layers with a window, where they have their own.
    pub(super) fn local_rope(
        &self,
        arch: &Arch,
        rope: &Rope,
        varied: &Varied,
        k_dim: usize,
    ) -> Result<Option<Rope>, EngineError> {
        let Some(local) = &arch.local_rope else { return Ok(None) };
        let base = self.positive("rope.freq_base_swa")?.or(local.base).unwrap_or(rope.base);
        let (most, otherwise) = match varied.window_dims {
            _ if arch.latent => (rope.dim, rope.dim),
            Some([k_dim, _]) => (k_dim, k_dim),
            None if arch.half_turned => (k_dim, 2 * rope.dim),
            None => (k_dim, rope.dim),
        };
        let key = "rope.dimension_count_swa";
        let dim = self.size(key)?.unwrap_or(otherwise);
        if arch.latent && dim != rope.dim {
            return self.bad(key, format!("{dim} channels, where other layers turn {}", rope.dim));
        }
        if dim > most || !dim.is_multiple_of(2) {
            return self.bad(key, format!("{dim} is not an even number up to {most}"));
        }
        Ok(Some(Rope { dim, base, scaling: Scaling::None, magnitude: 1.0, ..rope.clone() }))
    }

    /// Which layers turn queries and keys.
    pub(super) fn turned(&self, arch: &Arch, layers: usize) -> Result<LayerSet, EngineError> {
        if arch.unturned
            || arch.learned_positions
            || arch.turned_said && self.flag("rope.scaling.finetuned")? == Some(false)
        {
            return Ok(LayerSet::none());
        }
        Ok(self.flags("attention.rope_pattern", layers)?.map_or(LayerSet::All, LayerSet::Listed))
    }
}
