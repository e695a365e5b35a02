//! What tokens, their positions and their kinds bring to the stream.

use super::{Forward, SPLIT, Segment};
use crate::record::{Cost, Op};
use crate::weights::MatrixRef;
use hewn_kernels::op::activation::{add, add_scaled, scale};

impl Forward<'_, '_> {
    /// `x` = the rows of the tokens.
    pub(super) fn embed(&mut self) {
        let embed = self.model.weights().embed.view(self.model.gguf());
        let low = &self.model.weights().embed_low;
        let factor = self.model.config().embed_scale;
        let adapters = self.model.config().adapters.as_ref();
        let shown = |token: u32| adapters.and_then(|a| a.of(token)).map_or(token, |[_, other]| other);
        let tokens = &self.tokens;
        let dim = embed.cols();
        self.lap.op(Op::Embedding, || Cost {
            weight_bytes: (embed.data().len() / embed.rows().max(1) * self.n) as u64,
            ..Cost::elements(self.n, dim, 1, 1 + usize::from(factor != 1.0))
        });
        self.crew.rows(&mut self.s.x[..self.n * dim], dim, self.n >= SPLIT, |_, i, x| {
            // Tokens were checked against the vocabulary.
            let row = embed.file_row(shown(tokens[i]) as usize).unwrap_or(&[]);
            embed.format().dequantize(row, x);
            // What adapters add comes before.
            if factor != 1.0 && low.is_empty() {
                scale(x, factor);
            }
        });
        if low.is_empty() {
            return;
        }
        let shown: Vec<usize> = tokens.iter().map(|token| shown(*token) as usize).collect();
        let (times, s) = (self.times(), &mut *self.s);
        low.iter().for_each(|low| times.look_up(low, &shown, &mut s.x[..shown.len() * dim], &mut s.low));
        if factor != 1.0 {
            self.multiply_stream(factor);
        }
    }

    /// `x += table[row]`, row by row, where its position tells which.
    pub(super) fn add_rows_of(
        &mut self,
        w: &MatrixRef,
        segments: &[Segment<'_>],
        row: impl Fn(&Segment<'_>, usize) -> usize,
    ) {
        let (table, n, mut at) = (w.view(self.model.gguf()), self.n, Vec::with_capacity(self.n));
        for seg in segments {
            at.extend((seg.seq.len()..seg.seq.len() + seg.tokens.len()).map(|pos| row(seg, pos)));
        }
        let dim = table.cols();
        self.lap.op(Op::Embedding, || Cost {
            weight_bytes: (table.data().len() / table.rows().max(1) * n) as u64,
            ..Cost::elements(n, dim, 2, 1)
        });
        self.crew.rows(&mut self.s.x[..n * dim], dim, n >= SPLIT, |_, i, x| {
            let mut added = vec![0.0; dim];
            table.format().dequantize(table.file_row(at[i]).unwrap_or(&[]), &mut added);
            add(x, &added);
        });
    }

    /// Keeps the stream as it is, the embedding or a layer's input, for [`join_embedding`](Self::join_embedding).
    pub(super) fn keep_embedding(&mut self) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::Embedding, || Cost::elements(n, dim, 2, 0));
        let x = &self.s.x;
        self.crew.rows(&mut self.s.embedding[..n * dim], dim, n >= SPLIT, |_, r, kept| {
            kept.copy_from_slice(&x[r * dim..][..dim]);
        });
    }

    /// `x += share * embedding`, row by row.
    pub(super) fn join_embedding(&mut self, share: f32) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::ResidualAdd, || Cost::elements(n, dim, 3, 1));
        let kept = &self.s.embedding;
        self.crew.rows(&mut self.s.x[..n * dim], dim, n >= SPLIT, |_, r, x| {
            add_scaled(x, &kept[r * dim..][..dim], share);
        });
    }
}
