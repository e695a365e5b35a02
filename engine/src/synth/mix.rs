//! Which matrix is in which format: the mixes that [`quantize`](crate::quantize) makes, by the same rules. (Of Gemma 4 as for
//! the published files, which have value matrices in all layers; here those that nobody reads are left out.)

use super::Shape;
use crate::quantize::{Facts, QuantType, format_of};
use hewn_kernels::Format;

/// A mix by its customary name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Such as `q4_k_m`.
    pub name: &'static str,
    to: QuantType,
}

const fn mix(name: &'static str, to: QuantType) -> Mix {
    Mix { name, to }
}

/// All mixes.
pub const MIXES: &[Mix] = &[
    mix("q4_k_m", QuantType::Q4_K_M),
    mix("q4_k_s", QuantType::Q4_K_S),
    mix("q5_k_m", QuantType::Q5_K_M),
    mix("q5_k_s", QuantType::Q5_K_S),
    mix("q6_k", QuantType::Q6_K),
    mix("q3_k_l", QuantType::Q3_K_L),
    mix("q3_k_m", QuantType::Q3_K_M),
    mix("q3_k_s", QuantType::Q3_K_S),
    mix("q2_k", QuantType::Q2_K),
    mix("q4_0", QuantType::Q4_0),
    mix("q4_1", QuantType::Q4_1),
    mix("q5_0", QuantType::Q5_0),
    mix("q5_1", QuantType::Q5_1),
    mix("q8_0", QuantType::Q8_0),
    mix("f16", QuantType::F16),
    mix("bf16", QuantType::BF16),
    mix("f32", QuantType::F32),
];

impl Mix {
    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        MIXES.iter().copied().find(|m| m.name.eq_ignore_ascii_case(name))
    }

    /// `general.file_type`.
    pub fn file_type(self) -> u32 {
        self.to.file_type()
    }

    /// The format of the matrix of that name, with rows of `cols` weights.
    pub(super) fn format(self, name: &str, facts: &Facts, cols: usize) -> Format {
        // Every format of a mix is one that runs; a test makes a file of each.
        Format::from_id(format_of(name, cols as u64, self.to, facts)).unwrap_or(Format::F16)
    }
}

/// What the rules go by.
pub(super) fn facts(s: &Shape) -> Facts {
    let experts = s.experts.map_or(0, |e| e.count);
    // As in a file that lists them: the first layer speaks for all.
    let kv_heads = if s.attending.is_some() && !s.attends(0) { 0 } else { s.kv_heads };
    Facts::plain(s.arch, s.layers as u64, [s.heads as u64, kv_heads as u64], experts as u64, s.tied)
        .valued(|i| s.attends(i), s.attending.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::choose;
    use crate::synth;
    use hewn_loader::Gguf;
    use std::ops::ControlFlow;

    #[test]
    fn the_customary_mixes() {
        let s = Shape::find("r1-distill-qwen-1.5b").unwrap();
        let of = |name: &str| Mix::find("Q4_K_M").unwrap().format(name, &facts(s), 1536);
        let some = ["output.weight", "token_embd.weight", "blk.9.attn_q.weight"].map(of);
        assert_eq!(some, [Format::Q6K, Format::Q4K, Format::Q4K]);
        let better: Vec<usize> = (0..28).filter(|l| of(&format!("blk.{l}.ffn_down.weight")) == Format::Q6K).collect();
        assert_eq!(better, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27]);
        let of =
            |name: &str| Mix::find("q4_k_m").unwrap().format(name, &facts(Shape::find("qwen2.5-0.5b").unwrap()), 896);
        assert_eq!([of("token_embd.weight"), of("blk.9.attn_q.weight")], [Format::Q8_0, Format::Q5_0]);
    }

    #[test]
    fn they_are_those_of_quantized_files() {
        let names = ["tiny", "tiny-moe", "tiny-delta", "tiny-lfm2", "tiny-ssm", "tiny-rwkv7", "tiny-mamba"];
        for shape in names.map(|n| Shape::find(n).unwrap()) {
            let file = |mix| {
                let mut file = Vec::new();
                synth::write(shape, mix, 1, &mut file, &mut |_, _| ControlFlow::Continue(())).unwrap();
                Gguf::from_bytes(file).unwrap()
            };
            let full = file(Mix::find("f32").unwrap());
            for &mix in MIXES {
                let made = file(mix);
                for choice in choose(&full, mix.to, false).unwrap() {
                    let have = made.tensor(&choice.tensor).unwrap().dtype;
                    assert_eq!(have, choice.to, "{} {}", mix.name, choice.tensor);
                }
            }
        }
    }
}
