//! The hyperparameters of layers that keep a running state.

use super::LayerSet;
use super::Wkv;
use super::heads::Heads;
use super::reader::{MAX, Reader};
use crate::arch::{Arch, DeltaLayout, Recurrence, ScanLayout};
use crate::error::EngineError;
use hewn_kernels::op::delta::DeltaShape;
use hewn_kernels::op::scan::ScanShape;
use hewn_kernels::op::selective::SelectiveShape;
use hewn_kernels::op::wkv::WkvShape;
use hewn_kernels::state::{MAX_TAPS, StateShape};

/// Layers that keep a running state, most of them instead of keys and values.
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
    /// A delta net, each channel of whose keys fades by a factor of its own.
    ChannelDelta(ChannelDelta),
    /// A state space of the first Mamba.
    Selective(Selective),
    /// A convolution between two gates.
    ShortConvolution {
        /// Positions that it sees.
        taps: usize,
        /// Channels; those of the stream.
        channels: usize,
    },
    /// A state space.
    Scan(ScanShape),
    /// A state space whose values tell the rest.
    ToldScan(ToldScan),
    /// RWKV's time mixing.
    Wkv(Wkv),
    /// Lightning attention.
    Lightning(WkvShape),
}

/// The sizes of a state space of heads whose values tell keys, queries and steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ToldScan {
    /// Of the scan, all of whose heads share a key and a query; the convolution is of the values alone.
    pub shape: ScanShape,
    /// Channels that the lengths of steps are made of.
    pub rank: usize,
}

/// A delta net whose keys fade channel by channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelDelta {
    /// Of the rule.
    pub shape: DeltaShape,
    /// The logarithm of the least factor, where there is one.
    pub least: Option<f32>,
}

/// The sizes of a first Mamba's state space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selective {
    /// Of the scan.
    pub shape: SelectiveShape,
    /// Channels that the lengths of steps are made of.
    pub rank: usize,
    /// Whether these, keys and queries are normed, without weights.
    pub normed: bool,
}

impl RecurrentPart {
    /// The size of a state.
    pub fn state(&self) -> StateShape {
        match self {
            Self::Delta(d) => d.state(),
            Self::ChannelDelta(d) => d.shape.state(),
            Self::Selective(s) => s.shape.state(),
            Self::ShortConvolution { taps, channels } => StateShape { taps: *taps, channels: *channels, matrices: 0 },
            Self::Scan(s) => s.state(),
            Self::ToldScan(s) => StateShape { channels: s.shape.width(), ..s.shape.state() },
            Self::Wkv(w) => w.shape.state(),
            Self::Lightning(shape) => shape.state(),
        }
    }

    /// Channels of what the layer's output projection reads.
    pub fn width(&self) -> usize {
        match self {
            Self::Delta(d) => d.width(),
            Self::ChannelDelta(d) => d.shape.width(),
            Self::Selective(s) => s.shape.width,
            Self::ShortConvolution { channels, .. } => *channels,
            Self::Scan(s) => s.width(),
            Self::ToldScan(s) => s.shape.width(),
            Self::Wkv(w) => w.shape.width(),
            Self::Lightning(shape) => shape.width(),
        }
    }
}

impl Recurrent {
    /// Reads them, where the architecture has some; known are the layers with keys and values, and those with a feed-forward
    /// part.
    pub(super) fn read(
        r: &Reader<'_>,
        arch: &Arch,
        layers: usize,
        dim: usize,
        heads: &Heads,
        [attending, feeding]: [&LayerSet; 2],
    ) -> Result<Option<Self>, EngineError> {
        Ok(match &arch.recurrence {
            None => None,
            Some(Recurrence::Delta(layout)) => {
                Some(Self { part: RecurrentPart::Delta(r.delta(layout)?), layers: r.all_but_some(4, layers)? })
            }
            Some(Recurrence::ChannelDelta) => {
                Some(Self { part: RecurrentPart::ChannelDelta(r.channel_delta()?), layers: attending.others(layers) })
            }
            Some(Recurrence::Selective { .. }) => {
                Some(Self { part: RecurrentPart::Selective(r.selective()?), layers: attending.others(layers) })
            }
            Some(Recurrence::ShortConvolution) => Some(Self {
                part: RecurrentPart::ShortConvolution { taps: r.taps("shortconv.l_cache")?, channels: dim },
                layers: attending.others(layers),
            }),
            Some(Recurrence::ToldScan) => {
                Some(Self { part: RecurrentPart::ToldScan(r.told_scan(dim)?), layers: attending.others(layers) })
            }
            Some(Recurrence::Lightning) => {
                if layers < 2 {
                    return r.bad("block_count", "one layer only, where factors depend on their number");
                }
                let part = RecurrentPart::Lightning(r.lightning(heads)?);
                Some(Self { part, layers: r.all_but_some(8, layers)? })
            }
            Some(Recurrence::Wkv(kind)) => {
                Some(Self { part: RecurrentPart::Wkv(r.wkv(arch, *kind, dim)?), layers: LayerSet::All })
            }
            Some(Recurrence::Scan(layout)) => Some(Self {
                part: RecurrentPart::Scan(r.scan()?),
                layers: r.scanning(arch, layout, layers, [attending, feeding])?,
            }),
        })
    }
}

impl Reader<'_> {
    /// The layers that the file lists, or all but every so many.
    fn all_but_some(&self, every: usize, layers: usize) -> Result<LayerSet, EngineError> {
        Ok(match self.flags("attention.recurrent_layers", layers)? {
            Some(list) => LayerSet::Listed(list),
            None => LayerSet::AllButEvery(self.size("full_attention_interval")?.unwrap_or(every)),
        })
    }

    fn lightning(&self, heads: &Heads) -> Result<WkvShape, EngineError> {
        if heads.v_dim != heads.k_dim {
            let reason = format!("{} channels, but keys have {}", heads.v_dim, heads.k_dim);
            return self.bad("attention.value_length", reason);
        }
        if heads.q.saturating_mul(heads.k_dim.max(16)).saturating_mul(heads.k_dim) > MAX {
            return self.bad("attention.key_length", "heads times channels times channels is out of any bounds");
        }
        Ok(WkvShape { heads: heads.q, dim: heads.k_dim, kept: 0 })
    }

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
        if inner.saturating_mul(dim) > MAX {
            return self.bad("ssm.state_size", format!("{v_heads} matrices of {dim} x {dim} are out of any bounds"));
        }
        Ok(DeltaShape { k_heads, v_heads, dim, taps, interleaved: layout.interleaved })
    }

    fn scan(&self) -> Result<ScanShape, EngineError> {
        let (taps, k_dim) = (self.taps("ssm.conv_kernel")?, self.need("ssm.state_size")?);
        let (key_heads, heads) = (self.need("ssm.group_count")?, self.need("ssm.time_step_rank")?);
        if !heads.is_multiple_of(key_heads) {
            return self.bad("ssm.group_count", format!("{key_heads} groups do not divide the {heads} heads"));
        }
        self.scan_shape(heads, key_heads, k_dim, taps)
    }

    /// No key says how many channels steps are made of.
    fn told_scan(&self, dim: usize) -> Result<ToldScan, EngineError> {
        let (taps, k_dim) = (self.taps("ssm.conv_kernel")?, self.need("ssm.state_size")?);
        if let Some(groups) = self.size_or_none("ssm.group_count")? {
            return self.bad("ssm.group_count", format!("{groups}; all heads share a key"));
        }
        let shape = self.scan_shape(self.need("ssm.time_step_rank")?, 1, k_dim, taps)?;
        Ok(ToldScan { shape, rank: (dim / 16).max(64) })
    }

    fn scan_shape(&self, heads: usize, key_heads: usize, k_dim: usize, taps: usize) -> Result<ScanShape, EngineError> {
        let inner = self.need("ssm.inner_size")?;
        if !inner.is_multiple_of(heads) {
            return self.bad("ssm.inner_size", format!("{heads} heads do not divide {inner} channels"));
        }
        // Heads are padded to whole lanes, at the most sixteenfold.
        let shape = ScanShape { heads, key_heads, k_dim, v_dim: inner / heads, taps };
        if inner.max(heads * 16).saturating_mul(k_dim) > MAX || key_heads.saturating_mul(k_dim) > MAX {
            return self.bad("ssm.state_size", format!("{inner} x {k_dim} numbers a layer are out of any bounds"));
        }
        Ok(shape)
    }

    fn channel_delta(&self) -> Result<ChannelDelta, EngineError> {
        let (taps, dim) = (self.taps("ssm.conv_kernel")?, self.need("kda.head_dim")?);
        let heads = self.need("attention.head_count")?;
        if heads.saturating_mul(dim).saturating_mul(dim) > MAX {
            return self.bad("kda.head_dim", format!("{heads} matrices of {dim} x {dim} are out of any bounds"));
        }
        let key = "kda.gate_lower_bound";
        let least = match self.meta.f32(&self.key(key))? {
            Some(least) if !(least.is_finite() && least < 0.0) => {
                return self.bad(key, format!("{least} is not a number below 0"));
            }
            least => least,
        };
        if self.flag("kda.safe_gate")?.is_some_and(|safe| safe != least.is_some()) {
            return self.bad("kda.safe_gate", format!("it does not go with `{}`", self.key(key)));
        }
        let shape = DeltaShape { k_heads: heads, v_heads: heads, dim, taps, interleaved: false };
        Ok(ChannelDelta { shape, least })
    }

    fn selective(&self) -> Result<Selective, EngineError> {
        let (taps, k_dim) = (self.taps("ssm.conv_kernel")?, self.need("ssm.state_size")?);
        let (width, rank) = (self.need("ssm.inner_size")?, self.need("ssm.time_step_rank")?);
        // Channels are padded to whole lanes.
        if width.max(16).saturating_mul(k_dim) > MAX || width.saturating_mul(rank) > MAX << 4 {
            return self.bad("ssm.state_size", format!("{width} x {k_dim} numbers a layer are out of any bounds"));
        }
        let normed = self.flag("ssm.dt_b_c_rms")?.unwrap_or(false);
        Ok(Selective { shape: SelectiveShape { width, k_dim, taps }, rank, normed })
    }

    /// The layers that are state spaces or have one.
    fn scanning(
        &self,
        arch: &Arch,
        layout: &ScanLayout,
        layers: usize,
        [attending, feeding]: [&LayerSet; 2],
    ) -> Result<LayerSet, EngineError> {
        let key = "attention.head_count_kv";
        if layout.beside_attention {
            return match (0..layers).find(|i| !attending.has(*i)) {
                Some(i) => self.bad(key, format!("layer {i} has none")),
                None => Ok(LayerSet::All),
            };
        }
        if arch.single
            && let Some(i) = (0..layers).find(|i| attending.has(*i) && feeding.has(*i))
        {
            return self.bad(key, format!("layer {i} has a feed-forward part too"));
        }
        let other = |i| attending.has(i) || arch.single && feeding.has(i);
        Ok(LayerSet::Listed((0..layers).map(|i| !other(i)).collect()))
    }

    /// Positions that a convolution sees.
    fn taps(&self, key: &str) -> Result<usize, EngineError> {
        match self.need(key)? {
            taps if taps > MAX_TAPS => self.bad(key, format!("{taps} positions; up to {MAX_TAPS} are supported")),
            taps => Ok(taps),
        }
    }
}
