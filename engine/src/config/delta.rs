//! The hyperparameters of gated delta nets.

use super::LayerSet;
use super::reader::Reader;
use crate::arch::Arch;
use crate::error::EngineError;
use hewn_kernels::op::delta::{DeltaShape, MAX_TAPS};

/// Layers that keep a running state instead of keys and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// Their sizes.
    pub shape: DeltaShape,
    /// Which they are.
    pub layers: LayerSet,
}

impl Delta {
    /// Reads them, where the architecture has some.
    pub(super) fn read(r: &Reader<'_>, arch: &Arch, layers: usize) -> Result<Option<Self>, EngineError> {
        let Some(layout) = &arch.delta else { return Ok(None) };
        let (taps, dim) = (r.need("ssm.conv_kernel")?, r.need("ssm.state_size")?);
        let (k_heads, v_heads) = (r.need("ssm.group_count")?, r.need("ssm.time_step_rank")?);
        if taps > MAX_TAPS {
            return r.bad("ssm.conv_kernel", format!("{taps} positions; up to {MAX_TAPS} are supported"));
        }
        if !v_heads.is_multiple_of(k_heads) {
            return r.bad("ssm.group_count", format!("{k_heads} key heads do not divide the {v_heads} value heads"));
        }
        let inner = r.need("ssm.inner_size")?;
        if v_heads.checked_mul(dim) != Some(inner) {
            return r.bad("ssm.inner_size", format!("{inner} is not {v_heads} heads of {dim} channels"));
        }
        // The state of a layer is a matrix a head.
        if inner.saturating_mul(dim) > super::reader::MAX {
            return r.bad("ssm.state_size", format!("{v_heads} matrices of {dim} x {dim} are out of any bounds"));
        }
        let layers = match r.flags("attention.recurrent_layers", layers)? {
            Some(list) => LayerSet::Listed(list),
            None => LayerSet::AllButEvery(r.size("full_attention_interval")?.unwrap_or(4)),
        };
        let shape = DeltaShape { k_heads, v_heads, dim, taps, interleaved: layout.interleaved };
        Ok(Some(Self { shape, layers }))
    }
}
