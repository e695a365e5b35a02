//! The hyperparameters of layers that keep a running state.

use super::LayerSet;
use super::reader::Reader;
use crate::arch::{Arch, DeltaLayout, Recurrence};
use crate::error::EngineError;
use hewn_kernels::op::delta::DeltaShape;
use hewn_kernels::state::{MAX_TAPS, StateShape};
use hewn_loader::Value;

/// Lists the key/value heads of the layers, of which some have none.
const KV_HEADS: &str = "attention.head_count_kv";

/// Layers that keep a running state instead of keys and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// What they do with it.
    pub part: RecurrentPart,
    /// Which they are.
    pub layers: LayerSet,
}

/// What a layer does with its running state.
#[derive(Clone, Debug, PartialEq)]
pub enum RecurrentPart {
    /// A gated delta net.
    Delta(DeltaShape),
    /// A convolution between two gates.
    ShortConvolution {
        /// Positions that it sees.
        taps: usize,
        /// Channels; those of the stream.
        channels: usize,
    },
}

impl RecurrentPart {
    /// The size of a state.
    pub fn state(&self) -> StateShape {
        match self {
            Self::Delta(d) => d.state(),
            Self::ShortConvolution { taps, channels } => StateShape { taps: *taps, channels: *channels, matrices: 0 },
        }
    }
}

impl Recurrent {
    /// Reads them, where the architecture has some.
    pub(super) fn read(r: &Reader<'_>, arch: &Arch, layers: usize, dim: usize) -> Result<Option<Self>, EngineError> {
        Ok(match &arch.recurrence {
            None => None,
            Some(Recurrence::Delta(layout)) => Some(Self {
                part: RecurrentPart::Delta(r.delta(layout)?),
                layers: match r.flags("attention.recurrent_layers", layers)? {
                    Some(list) => LayerSet::Listed(list),
                    None => LayerSet::AllButEvery(r.size("full_attention_interval")?.unwrap_or(4)),
                },
            }),
            Some(Recurrence::ShortConvolution) => Some(Self {
                part: RecurrentPart::ShortConvolution { taps: r.taps("shortconv.l_cache")?, channels: dim },
                layers: r.without(KV_HEADS, layers)?,
            }),
        })
    }
}

impl Reader<'_> {
    fn delta(&self, layout: &DeltaLayout) -> Result<DeltaShape, EngineError> {
        let (taps, dim) = (self.taps("ssm.conv_kernel")?, self.need("ssm.state_size")?);
        let (k_heads, v_heads) = (self.need("ssm.group_count")?, self.need("ssm.time_step_rank")?);
        if !v_heads.is_multiple_of(k_heads) {
            return self.bad("ssm.group_count", format!("{k_heads} key heads do not divide the {v_heads} value heads"));
        }
        let inner = self.need("ssm.inner_size")?;
        if v_heads.checked_mul(dim) != Some(inner) {
            return self.bad("ssm.inner_size", format!("{inner} is not {v_heads} heads of {dim} channels"));
        }
        // The state of a layer is a matrix a head.
        if inner.saturating_mul(dim) > super::reader::MAX {
            return self.bad("ssm.state_size", format!("{v_heads} matrices of {dim} x {dim} are out of any bounds"));
        }
        Ok(DeltaShape { k_heads, v_heads, dim, taps, interleaved: layout.interleaved })
    }

    /// The layers that have 0 of something.
    fn without(&self, key: &str, layers: usize) -> Result<LayerSet, EngineError> {
        Ok(LayerSet::Listed(match self.meta.get(&self.key(key)) {
            Some(Value::Array(a)) if a.len() >= layers => {
                a.iter().take(layers).map(|v| v.as_int() == Some(0)).collect()
            }
            Some(Value::Array(a)) => return self.bad(key, format!("it lists {} layers of {layers}", a.len())),
            _ => Vec::new(),
        }))
    }

    /// Positions that a convolution sees.
    fn taps(&self, key: &str) -> Result<usize, EngineError> {
        match self.need(key)? {
            taps if taps > MAX_TAPS => self.bad(key, format!("{taps} positions; up to {MAX_TAPS} are supported")),
            taps => Ok(taps),
        }
    }
}
