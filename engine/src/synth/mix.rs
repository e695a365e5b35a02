//! Which matrix is in which format: the mixes that files are customarily made with, without an importance matrix.

use super::Shape;
use hewn_kernels::Format;

/// A mix by its customary name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Such as `q4_k_m`.
    pub name: &'static str,
    /// `general.file_type`.
    pub file_type: u32,
    /// Of most matrices.
    base: Format,
    /// What some layers' value and down matrices are in.
    more: Option<More>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    /// Q6_K in the first and the last eighth of the layers, and in every third between.
    Medium,
    /// Q5_K in the value matrix of the first four layers, and in the down matrix of the first eighth of them.
    Small,
}

const fn mix(name: &'static str, file_type: u32, base: Format) -> Mix {
    Mix { name, file_type, base, more: None }
}

/// All mixes.
pub const MIXES: &[Mix] = &[
    Mix { more: Some(More::Medium), ..mix("q4_k_m", 15, Format::Q4K) },
    Mix { more: Some(More::Small), ..mix("q4_k_s", 14, Format::Q4K) },
    Mix { more: Some(More::Medium), ..mix("q5_k_m", 17, Format::Q5K) },
    mix("q5_k_s", 16, Format::Q5K),
    mix("q6_k", 18, Format::Q6K),
    mix("q4_0", 2, Format::Q4_0),
    mix("q4_1", 3, Format::Q4_1),
    mix("q5_0", 8, Format::Q5_0),
    mix("q5_1", 9, Format::Q5_1),
    mix("q8_0", 7, Format::Q8_0),
    mix("f16", 1, Format::F16),
    mix("bf16", 32, Format::Bf16),
    mix("f32", 0, Format::F32),
];

impl Mix {
    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        MIXES.iter().copied().find(|m| m.name.eq_ignore_ascii_case(name))
    }

    /// The format of a matrix with rows of `cols` weights; `layer` for those of a layer.
    pub(super) fn format(self, part: &str, layer: usize, s: &Shape, cols: usize) -> Format {
        if !self.base.is_quant() {
            return self.base;
        }
        let output = part == "output" || (part == "token_embd" && s.tied);
        if output && self.base != Format::Q8_0 {
            return if cols.is_multiple_of(256) { Format::Q6K } else { Format::Q8_0 };
        }
        let (n, eighth) = (s.layers, s.layers / 8);
        let more = match (self.more, part) {
            (Some(More::Medium), "attn_v" | "ffn_down") => {
                let here = layer < eighth || layer >= 7 * n / 8 || (layer - eighth) % 3 == 2;
                here.then_some(Format::Q6K)
            }
            (Some(More::Small), "attn_v") => (layer < 4).then_some(Format::Q5K),
            (Some(More::Small), "ffn_down") => (layer < eighth).then_some(Format::Q5K),
            _ => None,
        };
        let format = more.unwrap_or(self.base);
        if cols.is_multiple_of(format.block_len()) {
            return format;
        }
        // Rows that are no whole blocks of 256 go to the next larger format of 32.
        match format {
            Format::Q4K => Format::Q5_0,
            Format::Q5K => Format::Q5_1,
            Format::Q6K => Format::Q8_0,
            _ => Format::F16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_customary_mixes() {
        let s = Shape::find("r1-distill-qwen-1.5b").unwrap();
        let mix = Mix::find("Q4_K_M").unwrap();
        let of = |part: &str, layer| mix.format(part, layer, s, 1536);
        assert_eq!((of("output", 0), of("token_embd", 0), of("attn_q", 9)), (Format::Q6K, Format::Q4K, Format::Q4K));
        let better: Vec<usize> = (0..28).filter(|&l| of("ffn_down", l) == Format::Q6K).collect();
        assert_eq!(better, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27]);
        let small = Shape::find("qwen2.5-0.5b").unwrap();
        assert_eq!(mix.format("token_embd", 0, small, 896), Format::Q8_0);
        assert_eq!(mix.format("attn_q", 9, small, 896), Format::Q5_0);
        assert_eq!(Mix::find("q8_0").unwrap().format("output", 0, s, 1536), Format::Q8_0);
    }
}
