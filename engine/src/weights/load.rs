//! Finding tensors by name, checking their shape and format, and noting which were used.

use super::matrix::{MatrixRef, Stack};
use super::{Linear, LowRank, Norm};
use crate::adapter::Adapter;
use crate::arch::NormKind;
use crate::config::ModelConfig;
use crate::error::{EngineError, zeroed};
use crate::packed::Target;
use hewn_kernels::Format;
use hewn_kernels::format::TILE_ROWS;
use hewn_kernels::op::matmul::{Layout, Matrix};
use hewn_loader::{Gguf, TensorInfo};
use std::collections::HashSet;

/// The tensors of a file as the architecture asks for them.
pub(super) struct Loader<'a> {
    pub gguf: &'a Gguf,
    pub config: &'a ModelConfig,
    used: HashSet<String>,
    pub adapters: &'a [Adapter],
    /// The tensors of each that were used.
    pub taken: Vec<HashSet<String>>,
    /// Whether matrices are read whose products have no adapters.
    bare: bool,
    /// What may be packed, in the order of the first use.
    pub targets: Vec<Target>,
    /// What a row takes inside and behind the widest adapter so far.
    pub low_rank: usize,
    /// Bytes of adapters' matrices that were made f32.
    pub low_numbers: u64,
}

impl<'a> Loader<'a> {
    pub fn new(gguf: &'a Gguf, config: &'a ModelConfig, adapters: &'a [Adapter]) -> Self {
        let taken = vec![HashSet::new(); adapters.len()];
        let (used, targets) = (HashSet::new(), Vec::new());
        Self { gguf, config, used, adapters, taken, bare: false, targets, low_rank: 0, low_numbers: 0 }
    }

    /// Reads matrices whose products have no adapters: a file that has one is refused in the end.
    pub fn bare<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.bare, true);
        let read = read(self);
        self.bare = before;
        read
    }

    /// The checked matrix of all rows of a tensor of these dimensions, with its adapters.
    fn adapted(&mut self, name: &str, dims: &[usize]) -> Result<Option<MatrixRef>, EngineError> {
        let Some(m) = self.rows(name, dims)? else { return Ok(None) };
        let low: Vec<LowRank> = if self.bare { Vec::new() } else { self.low_ranks(name, dims)? };
        Ok(Some(m.with(low)))
    }

    /// Whether the file has a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.gguf.tensor(name).is_some()
    }

    fn find(&mut self, name: &str, dims: &[usize]) -> Result<Option<TensorInfo>, EngineError> {
        let Some(t) = self.gguf.tensor(name) else { return Ok(None) };
        let want: Vec<u64> = dims.iter().map(|d| *d as u64).collect();
        if significant(&t.dims) != significant(&want) {
            return Err(EngineError::TensorShape { name: name.into(), want, have: t.dims.clone() });
        }
        self.used.insert(name.to_owned());
        Ok(Some(t.clone()))
    }

    /// The checked matrix of all rows of a tensor of these dimensions, row length first.
    fn rows(&mut self, name: &str, dims: &[usize]) -> Result<Option<MatrixRef>, EngineError> {
        let Some(tensor) = self.find(name, dims)? else { return Ok(None) };
        let format = format_of(&tensor)?;
        let (cols, rows) = (dims[0], dims[1..].iter().product());
        Matrix::new(format, Layout::File, rows, cols, self.gguf.tensor_data(&tensor))
            .map_err(|source| EngineError::Matrix { name: name.into(), source })?;
        Ok(Some(MatrixRef::whole(tensor, format, rows, cols)))
    }

    /// A matrix that is not to be packed.
    pub fn table(&mut self, name: &str, rows: usize, cols: usize) -> Result<Option<MatrixRef>, EngineError> {
        self.rows(name, &[cols, rows])
    }

    /// The matrix `name`, if the file has it.
    pub fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Option<MatrixRef>, EngineError> {
        let m = self.adapted(name, &[cols, rows])?;
        self.targets.extend(m.iter().map(|m| m.target(false)));
        Ok(m)
    }

    /// `count` matrices in one tensor. They are packed if each is whole tiles.
    pub fn stack(&mut self, name: &str, count: usize, rows: usize, cols: usize) -> Result<Stack, EngineError> {
        let all = need(self.adapted(name, &[cols, rows, count])?, name)?;
        if rows.is_multiple_of(TILE_ROWS) || count == 1 {
            self.targets.push(all.target(false));
        }
        Ok(Stack::new(all, rows))
    }

    /// The same where the tensor has no dimension of its own for their number.
    pub fn flat_stack(&mut self, name: &str, count: usize, rows: usize, cols: usize) -> Result<Stack, EngineError> {
        if self.gguf.tensor(name).is_some_and(|t| significant(&t.dims).len() > 2) {
            return self.stack(name, count, rows, cols);
        }
        let all = need(self.rows(name, &[cols, rows * count])?, name)?;
        if rows.is_multiple_of(TILE_ROWS) || count == 1 {
            self.targets.push(all.target(false));
        }
        Ok(Stack::new(all, rows))
    }

    /// Whole numbers below `end`; the dimensions with the row length first.
    pub fn indices(&mut self, name: &str, dims: [usize; 2], end: usize) -> Result<Vec<u32>, EngineError> {
        let t = need(self.find(name, &dims)?, name)?;
        if t.dtype.name() != "I32" {
            return Err(EngineError::TensorFormat {
                name: name.into(),
                format: t.dtype.name().to_owned(),
                id: t.dtype.id(),
                supported: "I32".into(),
            });
        }
        let mut all = zeroed(dims[0].saturating_mul(dims[1]), "a table of experts")?;
        for (to, from) in all.iter_mut().zip(self.gguf.tensor_data(&t).as_chunks::<4>().0) {
            *to = u32::from_le_bytes(*from);
            if *to as usize >= end {
                let reason = format!("{} is not within 0..{end}", i32::from_le_bytes(*from));
                return Err(EngineError::Config { key: name.into(), reason });
            }
        }
        Ok(all)
    }

    /// The experts' gate and up matrices in one tensor, each expert's gate above its up.
    pub fn gate_up_stack(
        &mut self,
        name: &str,
        count: usize,
        rows: usize,
        cols: usize,
    ) -> Result<[Stack; 2], EngineError> {
        let all = need(self.adapted(name, &[cols, 2 * rows, count])?, name)?;
        if rows.is_multiple_of(TILE_ROWS) {
            self.targets.push(all.target(false));
        }
        Ok(Stack::in_turns(all, rows))
    }

    /// The experts' matrices: `blk.0.ffn_up_exps.weight`, or, as old converters wrote them, `blk.0.ffn_up.3.weight` for each.
    pub fn expert_stack(&mut self, name: &str, count: usize, rows: usize, cols: usize) -> Result<Stack, EngineError> {
        let stacked = format!("{name}_exps.weight");
        let one = |i: usize| format!("{name}.{i}.weight");
        if self.has(&stacked) || !self.has(&one(0)) {
            return self.stack(&stacked, count, rows, cols);
        }
        let mut each = Vec::with_capacity(count);
        for i in 0..count {
            let m = need(self.matrix(&one(i), rows, cols)?, &one(i))?;
            let alike = each.first().is_none_or(|first: &MatrixRef| first.is_quant() == m.is_quant());
            if !alike {
                let reason = format!("it is quantized and `{}` is not, or the other way round", one(0));
                return Err(EngineError::Config { key: one(i), reason });
            }
            each.push(m);
        }
        Ok(Stack::of(each, rows))
    }

    /// Numbers as f32, whatever their format; the dimensions with the row length first.
    pub fn numbers(&mut self, name: &str, dims: &[usize]) -> Result<Option<Vec<f32>>, EngineError> {
        let Some(t) = self.find(name, dims)? else { return Ok(None) };
        let format = format_of(&t)?;
        let mut v = zeroed(dims.iter().product(), "a vector of weights")?;
        let row = format.row_bytes(dims[0]).unwrap_or(usize::MAX);
        let rows = self.gguf.tensor_data(&t).chunks_exact(row);
        v.chunks_exact_mut(dims[0]).zip(rows).for_each(|(out, row)| format.dequantize(row, out));
        Ok(Some(v))
    }

    /// The norm `name` over `n` channels.
    pub fn norm(&mut self, name: &str, n: usize, kind: NormKind) -> Result<Norm, EngineError> {
        let mut weight = format!("{name}.weight");
        // Files of Falcon H1 leave the suffix out.
        if !self.has(&weight) && self.has(name) {
            weight = name.into();
        }
        let w = need(self.numbers(&weight, &[n])?, &weight)?;
        let bias = if kind == NormKind::Layer { self.numbers(&format!("{name}.bias"), &[n])? } else { None };
        Ok(Norm { kind, w, bias })
    }

    /// The norm `name` of the stream.
    pub fn stream_norm(&mut self, name: &str) -> Result<Norm, EngineError> {
        let c = self.config;
        match c.arch.norms_unweighted {
            true => Ok(Norm { kind: c.norm, w: vec![1.0; c.dim], bias: None }),
            false => self.norm(name, c.dim, c.norm),
        }
    }

    /// The projection `name` with the bias that it must or may have.
    pub fn linear(&mut self, name: &str, rows: usize, cols: usize, biased: bool) -> Result<Linear, EngineError> {
        let weight = format!("{name}.weight");
        let w = need(self.matrix(&weight, rows, cols)?, &weight)?;
        Ok(Linear { w, bias: self.bias(name, rows, biased)? })
    }

    /// Projections of the same input that lie below each other in one tensor.
    pub fn fused<const N: usize>(
        &mut self,
        name: &str,
        rows: [usize; N],
        cols: usize,
        biased: bool,
    ) -> Result<[Linear; N], EngineError> {
        let parts = self.parts(&format!("{name}.weight"), rows, cols)?;
        let bias = self.bias(name, rows.iter().sum(), biased)?;
        let mut first = 0;
        Ok(parts.map(|w| {
            let bias = bias.as_ref().map(|b| b[first..first + w.rows].to_vec());
            first += w.rows;
            Linear { w, bias }
        }))
    }

    /// Matrices of so many rows that lie below each other in one tensor.
    pub fn parts<const N: usize>(
        &mut self,
        name: &str,
        rows: [usize; N],
        cols: usize,
    ) -> Result<[MatrixRef; N], EngineError> {
        let w = need(self.adapted(name, &[cols, rows.iter().sum()])?, name)?;
        if rows[..N - 1].iter().all(|r| r.is_multiple_of(TILE_ROWS)) {
            self.targets.push(w.target(false));
        }
        let mut first = 0;
        Ok(rows.map(|n| {
            first += n;
            w.part(first - n, n)
        }))
    }

    /// The weights of a convolution, channels side by side as they are computed: `[taps, channels]`.
    pub fn convolution(&mut self, name: &str, taps: usize, channels: usize) -> Result<Vec<f32>, EngineError> {
        let by_channel = need(self.numbers(name, &[taps, channels])?, name)?;
        let mut conv = by_channel.clone();
        for (c, weights) in by_channel.chunks_exact(taps).enumerate() {
            weights.iter().enumerate().for_each(|(tap, w)| conv[tap * channels + c] = *w);
        }
        Ok(conv)
    }

    fn bias(&mut self, name: &str, n: usize, needed: bool) -> Result<Option<Vec<f32>>, EngineError> {
        let name = format!("{name}.bias");
        let bias = self.numbers(&name, &[n])?;
        if needed && bias.is_none() { Err(EngineError::MissingTensor { name }) } else { Ok(bias) }
    }

    /// An error if the file has a tensor that nobody asked for.
    pub fn finish(&self) -> Result<(), EngineError> {
        let further = self.config.layers..self.config.layers + self.config.further_layers;
        let unread = |name: &str| {
            is_ignorable(name)
                || self.config.is_spare(name)
                || name
                    .strip_prefix("blk.")
                    .and_then(|rest| rest.split('.').next()?.parse().ok())
                    .is_some_and(|i| further.contains(&i))
        };
        match self.gguf.tensors().iter().find(|t| !self.used.contains(&t.name) && !unread(&t.name)) {
            Some(t) => Err(EngineError::UnexpectedTensor { name: t.name.clone(), arch: self.config.arch.name }),
            None => self.finish_adapters(),
        }
    }
}

/// The number format of a tensor, where it has kernels.
pub(super) fn format_of(t: &TensorInfo) -> Result<Format, EngineError> {
    Format::from_id(t.dtype.id()).ok_or_else(|| EngineError::TensorFormat {
        name: t.name.clone(),
        format: t.dtype.name().to_owned(),
        id: t.dtype.id(),
        supported: Format::ALL.iter().map(|f| f.name()).collect::<Vec<_>>().join(", "),
    })
}

/// Dimensions without trailing ones, which mean nothing.
pub(super) fn significant(dims: &[u64]) -> &[u64] {
    &dims[..dims.iter().rposition(|d| *d != 1).map_or(1, |last| last + 1).min(dims.len())]
}

/// What was found, or the error that names what was not.
pub(super) fn need<T>(found: Option<T>, name: &str) -> Result<T, EngineError> {
    found.ok_or_else(|| EngineError::MissingTensor { name: name.into() })
}

/// Tables that old converters stored and every reader computes for itself.
fn is_ignorable(name: &str) -> bool {
    name.ends_with(".attn_rot_embd")
        || name.ends_with(".rotary_emb.inv_freq")
        || name.ends_with(".attn_rot_embd.weight")
}
