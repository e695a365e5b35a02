//! Low-rank adapters: which rows have one, and what it adds to their products.

use super::{Forward, Segment};
use crate::weights::{Adapted, LayerAdapters};
use hewn_kernels::op::activation::add;
use hewn_kernels::op::matmul::{Input, Product, matmul};

/// Rows of a step and the adapter that all of them have.
pub(crate) type Switched = Vec<(usize, Vec<usize>)>;

impl<'m> Forward<'m, '_> {
    /// Finds out which rows have an adapter: the tokens before them in their sequences tell.
    pub(super) fn switch(&mut self, segments: &[Segment<'_>]) {
        let Some(adapters) = &self.model.config().adapters else { return };
        let mut row = 0;
        for seg in segments {
            let (mut tokens, mut seen, mut sum) = (0, 0, 0);
            for (i, token) in seg.seq.tokens().iter().chain(seg.tokens).enumerate() {
                tokens += 1;
                if let Some([adapter, _]) = adapters.of(*token) {
                    (seen, sum) = (seen + 1, sum + u64::from(adapter));
                }
                if i < seg.seq.len() {
                    continue;
                }
                match (adapters.choose(tokens, seen, sum), &mut self.switched) {
                    (0, _) => {}
                    (adapter, switched) => match switched.iter_mut().find(|s| s.0 == adapter) {
                        Some((_, rows)) => rows.push(row),
                        None => switched.push((adapter, vec![row])),
                    },
                }
                row += 1;
            }
        }
    }

    /// The adapters of layer `i`, where rows of this step have one.
    pub(super) fn adapters(&self, i: usize) -> Option<&'m LayerAdapters> {
        self.model.weights().layers[i].adapters.as_deref().filter(|_| !self.switched.is_empty())
    }

    /// Adds what the rows' adapters make of `x` (`[n, ins]`) to `out` (`[n, outs]`), both of which `of` tells.
    pub(super) fn adapt(&mut self, w: &Adapted, of: impl Fn(&mut crate::scratch::Scratch) -> (&[f32], &mut [f32])) {
        let (crew, gguf) = (self.crew, self.model.gguf());
        let (ins, rank, outs) = (w.a.cols(), w.a.rows, w.b.rows);
        let (x, out) = of(self.s);
        for (adapter, rows) in &self.switched {
            let n = rows.len();
            let own: Vec<f32> = rows.iter().flat_map(|r| &x[r * ins..][..ins]).copied().collect();
            let (mut inside, mut added) = (vec![0.0; n * rank], vec![0.0; n * outs]);
            let input = Input { floats: &own, blocks: &[] };
            matmul(crew, n, &mut [Product { w: w.a.view(gguf, *adapter), x: input, out: &mut inside }]);
            let input = Input { floats: &inside, blocks: &[] };
            matmul(crew, n, &mut [Product { w: w.b.view(gguf, *adapter), x: input, out: &mut added }]);
            rows.iter().zip(added.chunks_exact(outs)).for_each(|(r, added)| add(&mut out[r * outs..][..outs], added));
        }
    }
}
