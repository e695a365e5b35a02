//! The gated half of a feed-forward part in one region: `quantize(activation(gate x) * (up x))`.
//!
//! ```text
//! chunk          up to 8 tiles of `gate`, and the same of `up`
//!   products     of all rows of x, to scratch that stays in the second cache
//!   finish       activation, product and quantization of 32 channels at a time
//! ```
//!
//! A block of activations is 32 channels of one row, so all it needs is in the chunk. Apart, the operations would write
//! and read two matrices of floats, each twice the size of the blocks. With a single row it does not pay (measured: 5 %
//! slower): the weights come in twice as many streams, and memory waits while a thread finishes.

use super::matrix::Matrix;
use super::{Input, Rows, Task, panel, tiles_per_chunk};
use crate::format::{SUB, TILE_ROWS};
use crate::isa::{Isa, Kernel};
use crate::op::activation::{Activation, gated};
use crate::op::quantize::{ActBlock, GROUP, NonFinite, block, block_index};
use crate::team::{Crew, SendPtr};
use std::sync::atomic::{AtomicBool, Ordering};

/// The two products and what joins them.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// `[channels, cols]`, activated; `channels` is a multiple of 32.
    pub gate: Matrix<'a>,
    /// `[channels, cols]`.
    pub up: Matrix<'a>,
    /// `[n, cols]`.
    pub x: Input<'a>,
    /// What is done to the gate.
    pub activation: Activation,
}

/// `out = quantize(activation(gate x) * (up x))`: the groups of `n` rows of `channels / 32` blocks. The same bits as the
/// operations one after the other.
///
/// # Errors
/// A product is not finite; the blocks are unspecified then.
///
/// # Panics
/// When shapes or lengths do not fit together.
pub fn gated_matmul(crew: &Crew<'_>, n: usize, g: &Gate<'_>, out: &mut [ActBlock]) -> Result<(), NonFinite> {
    let channels = g.gate.rows();
    assert!(g.up.rows() == channels && channels.is_multiple_of(SUB), "gate and up [channels, cols]");
    assert_eq!(out.len(), n * channels / SUB, "blocks [n, channels / 32]");
    for w in [&g.gate, &g.up] {
        g.x.check(w, n);
    }
    if out.is_empty() {
        return Ok(());
    }
    let tiles = channels / TILE_ROWS;
    let per = tiles_per_chunk(crew.threads(), n, [g.gate].into_iter()).next_multiple_of(2).min(2 * panel::PAIRS);
    let (blocks, bad) = (SendPtr(out.as_mut_ptr()), AtomicBool::new(false));
    crew.run(tiles.div_ceil(per), &|worker, chunk| {
        let range = [chunk * per, ((chunk + 1) * per).min(tiles)];
        let width = (range[1] - range[0]) * TILE_ROWS;
        crew.with_room(worker, 2 * n * width * size_of::<f32>(), |floats| {
            let (gate, up) = bytemuck::cast_slice_mut(floats).split_at_mut(n * width);
            for (w, out) in [(&g.gate, &mut *gate), (&g.up, &mut *up)] {
                let out = Rows::part(out, n, range[0] * TILE_ROWS, width);
                w.format().visit(Task { crew, worker, w, x: g.x, range, out });
            }
            let to = Blocks { out: blocks, n, subs: channels / SUB, first: range[0] * TILE_ROWS / SUB };
            if crew.isa().run_lanes(Finish { gate, up, width, activation: g.activation, to }).is_err() {
                bad.store(true, Ordering::Relaxed);
            }
        });
    });
    if bad.into_inner() { Err(NonFinite) } else { Ok(()) }
}

/// Where a chunk's blocks go: those of sub-blocks `first..` of all `n` rows.
#[derive(Clone, Copy)]
struct Blocks {
    out: SendPtr<ActBlock>,
    n: usize,
    subs: usize,
    first: usize,
}

impl Blocks {
    #[inline(always)]
    fn store(&self, row: usize, sub: usize, block: ActBlock) {
        let (row, sub) = (row, self.first + sub);
        assert!(row < self.n && sub < self.subs);
        // SAFETY: inside the `n * subs` blocks by the assertion; a chunk stores only sub-blocks of its own channels, and
        // each belongs to one chunk; the owner is borrowed mutably for the whole region.
        unsafe { self.out.get().add(block_index(self.n, self.subs, row, sub)).write(block) }
    }
}

/// `gate` and `up` are `[to.n, width]`.
struct Finish<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    width: usize,
    activation: Activation,
    to: Blocks,
}

impl Kernel for Finish<'_> {
    type Out = Result<(), NonFinite>;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> Self::Out {
        for first in (0..self.to.n).step_by(GROUP) {
            for sub in 0..self.width / SUB {
                for row in first..self.to.n.min(first + GROUP) {
                    let at = row * self.width + sub * SUB;
                    let (g, u) = (&self.gate[at..at + SUB], &self.up[at..at + SUB]);
                    let part = |x: &[f32]| -> [[f32; 16]; 2] { bytemuck::pod_read_unaligned(bytemuck::cast_slice(x)) };
                    let (g, u) = (part(g), part(u));
                    let low = gated(s, self.activation, s.f_load(&g[0]), s.f_load(&u[0]));
                    let high = gated(s, self.activation, s.f_load(&g[1]), s.f_load(&u[1]));
                    self.to.store(row, sub, block(s, low, high)?);
                }
            }
        }
        Ok(())
    }
}
