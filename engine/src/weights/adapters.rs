//! The weights of low-rank adapters: `scale * B (A x)` is added to a matrix's product.

use super::FeedForward;
use super::layer::{AttentionWeights, LayerWeights};
use super::load::{Loader, format_of, significant};
use super::matrix::{Elsewhere, MatrixRef, Stack};
use crate::adapter::Adapter;
use crate::config;
use crate::error::{EngineError, zeroed};
use hewn_kernels::Format;
use hewn_kernels::op::matmul::{Layout, Matrix};
use hewn_loader::TensorInfo;

/// What is added to a product, of one matrix or of those of a stack.
#[derive(Clone, Debug)]
pub(crate) struct LowRank {
    /// `[rank, ins]` each.
    pub a: Stack,
    /// `[outs, rank]` each.
    pub b: Stack,
    pub scale: f32,
    /// Whether tokens tell which rows have which of them, the first of which does nothing; otherwise all rows have that of the
    /// matrix.
    pub switched: bool,
}

impl LowRank {
    /// What is added to the products of so many rows of each matrix.
    pub fn part(&self, first: usize, rows: usize) -> Self {
        Self { a: self.a.clone(), b: self.b.part(first, rows), ..*self }
    }
}

/// What is added to the rows of a table.
#[derive(Clone, Debug)]
pub(crate) struct LookedUp {
    /// As many rows as the table has, `[rows, rank]`.
    pub a: MatrixRef,
    /// `[dim, rank]`
    pub b: MatrixRef,
    pub scale: f32,
}

impl Loader<'_> {
    /// What adapters add to the product with a matrix, or with each of a stack; the dimensions with the row length first.
    pub(super) fn low_ranks(&mut self, name: &str, dims: &[usize]) -> Result<Vec<LowRank>, EngineError> {
        let (cols, rows, count) = (dims[0], dims[1], dims.get(2).copied().unwrap_or(1));
        let mut all = Vec::new();
        for (i, adapter) in self.adapters.iter().enumerate() {
            let Some([a, b]) = adapter.pair(name)? else { continue };
            let rank = rank_of(b);
            let a = self.half(i, adapter, a, [cols, rank, count])?;
            let b = self.half(i, adapter, b, [rank, rows, count])?;
            let scale = adapter.factor(rank)?;
            // One that adds nothing is checked all the same.
            if adapter.counts() {
                self.low_rank = self.low_rank.max(rank + rows);
                all.push(LowRank { a: Stack::new(a, rank), b: Stack::new(b, rows), scale, switched: false });
            }
        }
        Ok(all)
    }

    /// What adapters add to the rows of the embedding; there, a token's row of `A` is looked up.
    pub(super) fn embed_low(&mut self, name: &str) -> Result<Vec<LookedUp>, EngineError> {
        let c = self.config;
        let mut all = Vec::new();
        for (i, adapter) in self.adapters.iter().enumerate() {
            let Some([a, b]) = adapter.pair(name)? else { continue };
            if !c.arch.encoder && !self.has("output.weight") {
                let reason = "the model's output is the same matrix, and nothing says whether that is changed, too";
                return Err(adapter.bad(format!("it changes `{name}`: {reason}")));
            }
            let rank = rank_of(b);
            let a = self.half(i, adapter, a, [rank, c.vocab, 1])?;
            let b = self.half(i, adapter, b, [rank, c.dim, 1])?;
            let scale = adapter.factor(rank)?;
            if adapter.counts() {
                self.low_rank = self.low_rank.max(rank + c.dim);
                all.push(LookedUp { a, b, scale });
            }
        }
        Ok(all)
    }

    /// One of an adapter's two matrices for a matrix, or all of them for a stack. What is in blocks becomes f32: the input of the
    /// second is not worth quantizing, and that of the first may not be quantized.
    fn half(
        &mut self,
        i: usize,
        adapter: &Adapter,
        t: &TensorInfo,
        dims: [usize; 3],
    ) -> Result<MatrixRef, EngineError> {
        let want = dims.map(|d| d as u64);
        if significant(&t.dims) != significant(&want) {
            return Err(adapter.bad(EngineError::TensorShape {
                name: t.name.clone(),
                want: significant(&want).to_vec(),
                have: t.dims.clone(),
            }));
        }
        let format = format_of(t).map_err(|e| adapter.bad(e))?;
        let (shape, gguf) = ([dims[1] * dims[2], dims[0]], adapter.gguf());
        Matrix::new(format, Layout::File, shape[0], shape[1], gguf.tensor_data(t))
            .map_err(|source| adapter.bad(EngineError::Matrix { name: t.name.clone(), source }))?;
        self.taken[i].insert(t.name.clone());
        if !format.is_quant() {
            return Ok(MatrixRef::elsewhere(t.clone(), format, shape, Elsewhere::File(gguf.clone())));
        }
        let mut numbers = zeroed(shape[0].saturating_mul(shape[1]), "an adapter")?;
        let rows = gguf.tensor_data(t).chunks_exact(format.row_bytes(shape[1]).unwrap_or(usize::MAX));
        numbers.chunks_exact_mut(shape[1]).zip(rows).for_each(|(out, row)| format.dequantize(row, out));
        self.low_numbers = self.low_numbers.saturating_add(size_of_val(&numbers[..]) as u64);
        Ok(MatrixRef::elsewhere(t.clone(), Format::F32, shape, Elsewhere::Numbers(numbers)))
    }

    /// An error if an adapter has a tensor that nobody asked for.
    pub(super) fn finish_adapters(&self) -> Result<(), EngineError> {
        for (adapter, taken) in self.adapters.iter().zip(&self.taken) {
            if let Some(t) = adapter.gguf().tensors().iter().find(|t| !taken.contains(&t.name)) {
                return Err(adapter.left_over(&t.name, self.gguf));
            }
        }
        Ok(())
    }

    /// Reads the adapters of a layer's projections that tokens switch on.
    pub(super) fn switched(
        &mut self,
        adapters: &config::Adapters,
        layer: &mut LayerWeights,
        name: &dyn Fn(&str) -> String,
    ) -> Result<(), EngineError> {
        let count = adapters.count + 1;
        let mut stack = |name: String, rows: usize, cols: usize| {
            let stack = self.bare(|l| l.stack(&name, count, rows, cols))?;
            match stack.is_quant() {
                true => Err(EngineError::Config { key: name, reason: "adapters in blocks are not supported".into() }),
                false => Ok(stack),
            }
        };
        let mut widest = 0;
        let mut adapt = |part: &str, w: &mut MatrixRef| {
            widest = widest.max(adapters.rank + w.rows);
            let a = stack(name(&format!("{part}.lora_a")), adapters.rank, w.cols)?;
            let b = stack(name(&format!("{part}.lora_b")), w.rows, adapters.rank)?;
            w.low.push(LowRank { a, b, scale: 1.0, switched: true });
            Ok::<_, EngineError>(())
        };
        if let Some(AttentionWeights::Grouped(g)) = &mut layer.attention {
            adapt("attn_q", &mut g.q.w)?;
            g.k.iter_mut().try_for_each(|k| adapt("attn_k", &mut k.w))?;
            g.v.iter_mut().try_for_each(|v| adapt("attn_v", &mut v.w))?;
            adapt("attn_output", &mut g.o.w)?;
        }
        if let Some(FeedForward::Dense(d)) = &mut layer.feed_forward {
            d.gate.iter_mut().try_for_each(|gate| adapt("ffn_gate", &mut gate.w))?;
            adapt("ffn_up", &mut d.up.w)?;
            adapt("ffn_down", &mut d.down.w)?;
        }
        self.low_rank = self.low_rank.max(widest);
        Ok(())
    }
}

/// The rank that the second of an adapter's matrices tells.
fn rank_of(b: &TensorInfo) -> usize {
    usize::try_from(b.cols()).unwrap_or(usize::MAX)
}
