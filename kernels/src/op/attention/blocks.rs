//! Rows against a tile in blocks of 8 bits: scores of products of integers, and weights that take the scales of values with them.

use super::rows::Rows;
use crate::format::{Q8_0, Quant, SUB};
use crate::isa::{Isa, Words, each};
use crate::kv::{Elem, LINE, TILE, blocks};

type Whole = <Q8_0 as Quant>::Form;

/// Bytes of sixteen keys' blocks, and lines that are asked for with each. Their scales lie before the words of all, but what is
/// asked for goes evenly from byte to byte.
const STEP: usize = 16 * (SUB + 2);
const LINES: usize = STEP.div_ceil(LINE);

/// A row's weights of the positions of a tile times the scales of their values, of up to four blocks of channels.
pub(super) type Scaled = [[f32; TILE]; 4];

/// Eight words in memory, read where they are multiplied.
struct InMemory<'a>(&'a [[u8; 64]; 8]);

impl<S: Isa> Words<S> for InMemory<'_> {
    #[inline(always)]
    fn word(&self, s: S, g: usize) -> S::I {
        s.i_signed(s.i_load(&self.0[g]))
    }
}

impl<E: Elem> Rows<'_, E> {
    /// As of floats; for each block of 32 channels `fma(d_k * d_q, sum of products, score)`.
    #[inline(always)]
    pub fn scores_of_blocks<S: Isa, const G: usize>(&self, s: S, row: usize, e: &mut [[f32; TILE]; G]) {
        let shape = &self.call.shape;
        let (keys, n) = (blocks::keys(shape, bytemuck::cast_slice(self.keys)), shape.k_pad() / SUB);
        let mut x = [&self.queries[..0]; G];
        each!(G, g => { x[g] = &self.queries[(row + g) * n..][..n]; });
        let mut ahead = self.ahead(self.fetch, 0, STEP);
        for i in 0..TILE / 16 {
            let mut acc = [s.f_splat(0.0); G];
            let side = keys.scales[i * n..][..n].iter().zip(&keys.words[i * n..][..n]);
            for (b, (scales, words)) in side.enumerate() {
                let (line, scale, mut w) = (ahead.turn(), s.f_load_f16(scales), [s.i_splat(0); 8]);
                if S::MANY {
                    each!(8, j => { w[j] = s.i_signed(s.i_load(&words[j])); });
                }
                each!(G, g => {
                    for at in g * LINES / G..(g + 1) * LINES / G {
                        s.prefetch_far(line.wrapping_add(at * LINE));
                    }
                    let (x, start) = (&x[g][b], x[g][b].start::<S, Whole>(s));
                    let sum = match S::MANY {
                        true => s.dot::<8, 8>(&w, &x.q, start),
                        false => s.dot::<8, 8>(&InMemory(words), &x.q, start),
                    };
                    acc[g] = s.f_fma(s.f_mul(scale, s.f_splat(x.d)), s.i_to_f(sum), acc[g]);
                });
            }
            each!(G, g => {
                let out = e[g][16 * i..].first_chunk_mut().expect("16 of 64");
                s.f_store(out, s.f_mul(acc[g], s.f_splat(self.call.rules.scale)));
            });
        }
    }

    /// The weights `e` of `G` rows times the scales of values, of `n` blocks of channels from `from` on.
    #[inline(always)]
    pub fn scale<S: Isa, const G: usize>(
        &self,
        s: S,
        e: &[[f32; TILE]; G],
        [from, n]: [usize; 2],
        scaled: &mut [Scaled],
    ) {
        let of = blocks::values(&self.call.shape, bytemuck::cast_slice(self.values));
        let start = size_of_val(self.keys) + from * 2 * LINE;
        let mut ahead = self.ahead(self.fetch, start, 2 * LINE);
        for (b, scales) in of.scales[from..].iter().take(n).enumerate() {
            let line = ahead.turn();
            s.prefetch_far(line);
            s.prefetch_far(line.wrapping_add(LINE));
            for i in (0..TILE).step_by(16) {
                let scale = s.f_load_f16(scales[i..].first_chunk().expect("16 of 64"));
                each!(G, g => {
                    let v = s.f_mul(s.f_load(e[g][i..].first_chunk().expect("16 of 64")), scale);
                    s.f_store(scaled[g][b][i..].first_chunk_mut().expect("16 of 64"), v);
                });
            }
        }
    }
}
