//! Several residual streams, a low-rank part beside the attention, and gates that are cut off.

use super::reader::{MAX, Reader};
use crate::arch::Arch;
use crate::error::EngineError;
use hewn_kernels::op::altup::STREAMS;
use hewn_loader::{Gguf, Value};

/// AltUp's residual streams, of which layers compute on the first, with LAuReL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AltUp {
    /// Channels of the low-rank part beside the attention.
    pub rank: usize,
}

impl AltUp {
    /// Reads what there is to know, where the architecture has several streams.
    pub(super) fn read(r: &Reader<'_>, arch: &Arch, gguf: &Gguf) -> Result<Option<Self>, EngineError> {
        if !arch.altup {
            return Ok(None);
        }
        let [count, active] = ["altup.num_inputs", "altup.active_idx"];
        match r.size(count)?.unwrap_or(STREAMS) {
            STREAMS => {}
            n => return r.bad(count, format!("{n} streams; {STREAMS} are supported")),
        }
        if let Some(i) = r.size_or_none(active)? {
            return r.bad(active, format!("layers compute on stream {i}; only the first is supported"));
        }
        // No key says it.
        let name = "blk.0.laurel_l.weight";
        let Some(tensor) = gguf.tensor(name) else { return Err(EngineError::MissingTensor { name: name.into() }) };
        match usize::try_from(tensor.rows()) {
            Ok(rank) if (1..=MAX).contains(&rank) => Ok(Some(Self { rank })),
            _ => Err(EngineError::Config { key: name.into(), reason: format!("{} rows", tensor.rows()) }),
        }
    }
}

impl Reader<'_> {
    /// For each of the first layers, how many standard deviations above their mean gates are cut off, where they are; minus
    /// infinity in the file where they are not.
    pub(super) fn cut_offs(&self, arch: &Arch, layers: usize) -> Result<Vec<Option<f32>>, EngineError> {
        let Some(customary) = &arch.cut_off else { return Ok(Vec::new()) };
        let key = "activation_sparsity_scale";
        let Some(value) = self.meta.get(&self.key(key)) else {
            return Ok(vec![Some(customary.deviations); customary.layers.min(layers)]);
        };
        let read = |v: Value<'_>| match v {
            Value::F32(f32::NEG_INFINITY) => Some(None),
            Value::F32(v) if v.is_finite() => Some(Some(v)),
            _ => None,
        };
        let list: Option<Vec<_>> = match value {
            Value::Array(a) if a.len() == layers => a.iter().map(read).collect(),
            _ => None,
        };
        list.map_or_else(|| self.bad(key, format!("it is not a list of {layers} numbers, or minus infinities")), Ok)
    }
}
