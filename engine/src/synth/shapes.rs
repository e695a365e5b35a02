//! The shapes of well-known models, from their published configurations.

use super::{Delta, Gemma3n, Gemma4, Mamba, Rwkv7, Space, delta};

/// Hyperparameters of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// The name by which it is asked for.
    pub name: &'static str,
    /// `general.architecture`.
    pub arch: &'static str,
    /// Layers.
    pub layers: usize,
    /// Channels of the residual stream.
    pub dim: usize,
    /// Channels of the feed-forward part.
    pub ff: usize,
    /// Experts that take its place, where there are some.
    pub experts: Option<Experts>,
    /// Gated delta nets that take the place of attention, where there are some: in three of four layers.
    pub delta: Option<Delta>,
    /// State spaces that take the place of attention, where there are some.
    pub space: Option<Space>,
    /// The layers that attend, where the others are state spaces or short convolutions.
    pub attending: Option<&'static [usize]>,
    /// What Gemma 4's small models have besides.
    pub gemma4: Option<Gemma4>,
    /// What Gemma 3n has besides.
    pub gemma3n: Option<Gemma3n>,
    /// What RWKV 7 has besides, in place of attention.
    pub rwkv7: Option<Rwkv7>,
    /// What the first Mamba has instead.
    pub mamba: Option<Mamba>,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Tokens.
    pub vocab: usize,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    /// Positions.
    pub ctx: usize,
    /// Rotary base.
    pub rope_base: f32,
    /// Factor by which Llama 3 stretches its low rotary frequencies; 0 where the file has no such table.
    pub rope_stretch: f32,
    /// Epsilon of the norms.
    pub eps: f32,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many take each row.
    pub used: usize,
    /// Channels of each.
    pub ff: usize,
    /// The first layers, which have none.
    pub dense: usize,
}

/// Llama 3's tokenizer and rotary table.
const LLAMA3: Shape = Shape {
    name: "",
    arch: "llama",
    layers: 0,
    dim: 0,
    ff: 0,
    experts: None,
    delta: None,
    space: None,
    attending: None,
    gemma4: None,
    gemma3n: None,
    rwkv7: None,
    mamba: None,
    heads: 32,
    kv_heads: 8,
    head_dim: 128,
    vocab: 128_256,
    tied: false,
    ctx: 131_072,
    rope_base: 500_000.0,
    rope_stretch: 8.0,
    eps: 1e-5,
};

/// Qwen 2.5, whose distillations differ in the rotary base and the context.
const QWEN2: Shape = Shape {
    arch: "qwen2",
    kv_heads: 2,
    vocab: 151_936,
    ctx: 32_768,
    rope_base: 1_000_000.0,
    rope_stretch: 0.0,
    eps: 1e-6,
    ..LLAMA3
};

const R1_QWEN: Shape = Shape { ctx: 131_072, rope_base: 10_000.0, ..QWEN2 };

const QWEN3: Shape = Shape { arch: "qwen3", kv_heads: 8, ctx: 40_960, ..QWEN2 };

const QWEN3_MOE: Shape = Shape { arch: "qwen3moe", kv_heads: 4, ..QWEN3 };

const QWEN35: Shape = Shape {
    arch: "qwen35",
    delta: Some(Delta { k_heads: 16, v_heads: 16, dim: 128 }),
    heads: 8,
    kv_heads: 2,
    head_dim: 256,
    vocab: 248_320,
    tied: true,
    ctx: 262_144,
    rope_base: 10_000_000.0,
    ..QWEN2
};

const GRANITE_H: Shape = Shape {
    arch: "granitehybrid",
    vocab: 100_352,
    tied: true,
    ctx: 1 << 20,
    rope_base: 10_000.0,
    rope_stretch: 0.0,
    ..LLAMA3
};

const LFM2: Shape = Shape {
    arch: "lfm2",
    layers: 16,
    attending: Some(&[2, 5, 8, 10, 12, 14]),
    head_dim: 64,
    vocab: 65_536,
    tied: true,
    ctx: 128_000,
    rope_base: 1_000_000.0,
    rope_stretch: 0.0,
    ..LLAMA3
};

/// E2B and E4B differ in the layers and in the width of their feed-forward parts.
const GEMMA3N: Shape = Shape {
    arch: "gemma3n",
    dim: 2048,
    heads: 8,
    kv_heads: 2,
    head_dim: 256,
    vocab: 262_400,
    tied: true,
    ctx: 32_768,
    rope_base: 1_000_000.0,
    rope_stretch: 0.0,
    eps: 1e-6,
    ..LLAMA3
};

/// RWKV World's vocabulary; the text's own positions are all it knows.
const RWKV7: Shape = Shape {
    arch: "rwkv7",
    dim: 2048,
    ff: 8192,
    kv_heads: 32,
    head_dim: 64,
    vocab: 65_536,
    ctx: 4096,
    rope_stretch: 0.0,
    ..LLAMA3
};

const MAMBA: Shape = Shape {
    arch: "mamba",
    heads: 1,
    kv_heads: 1,
    vocab: 50_280,
    tied: true,
    ctx: 1 << 20,
    rope_stretch: 0.0,
    ..LLAMA3
};

/// All shapes, small ones first within a family.
pub const SHAPES: &[Shape] = &[
    Shape {
        name: "tiny",
        layers: 2,
        dim: 256,
        ff: 512,
        heads: 4,
        head_dim: 64,
        vocab: 512,
        tied: true,
        ctx: 2048,
        ..QWEN2
    },
    Shape {
        name: "tiny-moe",
        layers: 2,
        dim: 256,
        ff: 512,
        experts: Some(Experts { count: 8, used: 2, ff: 256, dense: 0 }),
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        vocab: 512,
        ctx: 2048,
        ..QWEN3_MOE
    },
    Shape {
        name: "tiny-delta",
        layers: 4,
        dim: 256,
        ff: 512,
        delta: Some(Delta { k_heads: 2, v_heads: 4, dim: 64 }),
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        vocab: 512,
        ctx: 2048,
        ..QWEN35
    },
    Shape {
        name: "tiny-gemma4",
        arch: "gemma4",
        layers: 5,
        dim: 256,
        ff: 256,
        gemma4: Some(Gemma4 { window_head_dim: 32, window: 16, full_every: 2, shared_kv: 2, inputs: 32 }),
        heads: 4,
        kv_heads: 1,
        head_dim: 64,
        vocab: 512,
        tied: true,
        ctx: 2048,
        rope_stretch: 0.0,
        ..LLAMA3
    },
    Shape {
        name: "tiny-ssm",
        layers: 3,
        dim: 256,
        ff: 512,
        space: Some(Space { heads: 8, dim: 64, keys: 32 }),
        attending: Some(&[1]),
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        vocab: 512,
        ctx: 2048,
        ..GRANITE_H
    },
    Shape {
        name: "tiny-gemma3n",
        layers: 6,
        dim: 256,
        ff: 512,
        gemma3n: Some(Gemma3n { window: 16, full_every: 2, shared_kv: 2, inputs: 32, rank: 32, cut_off: 3 }),
        heads: 4,
        head_dim: 64,
        vocab: 512,
        ctx: 2048,
        ..GEMMA3N
    },
    Shape {
        name: "tiny-lfm2",
        arch: "lfm2moe",
        layers: 4,
        dim: 256,
        ff: 512,
        experts: Some(Experts { count: 4, used: 2, ff: 256, dense: 1 }),
        attending: Some(&[2]),
        heads: 4,
        kv_heads: 2,
        vocab: 512,
        ctx: 2048,
        ..LFM2
    },
    Shape {
        name: "tiny-rwkv7",
        layers: 2,
        dim: 256,
        ff: 512,
        rwkv7: Some(Rwkv7 { decay: 32, rate: 32, residual: 16, gate: 64 }),
        heads: 4,
        kv_heads: 4,
        vocab: 512,
        ctx: 2048,
        ..RWKV7
    },
    Shape {
        name: "tiny-mamba",
        layers: 2,
        dim: 256,
        mamba: Some(Mamba { width: 512, keys: 16, rank: 32 }),
        vocab: 512,
        ctx: 2048,
        ..MAMBA
    },
    Shape { name: "r1-distill-qwen-1.5b", layers: 28, dim: 1536, ff: 8960, heads: 12, ..R1_QWEN },
    Shape {
        name: "r1-distill-qwen-7b",
        layers: 28,
        dim: 3584,
        ff: 18_944,
        heads: 28,
        kv_heads: 4,
        vocab: 152_064,
        ..R1_QWEN
    },
    Shape { name: "r1-distill-llama-8b", layers: 32, dim: 4096, ff: 14_336, ..LLAMA3 },
    Shape {
        name: "llama-3.2-1b",
        layers: 16,
        dim: 2048,
        ff: 8192,
        head_dim: 64,
        tied: true,
        rope_stretch: 32.0,
        ..LLAMA3
    },
    Shape {
        name: "llama-3.2-3b",
        layers: 28,
        dim: 3072,
        ff: 8192,
        heads: 24,
        tied: true,
        rope_stretch: 32.0,
        ..LLAMA3
    },
    Shape { name: "llama-3.1-8b", layers: 32, dim: 4096, ff: 14_336, ..LLAMA3 },
    Shape { name: "qwen2.5-0.5b", layers: 24, dim: 896, ff: 4864, heads: 14, head_dim: 64, tied: true, ..QWEN2 },
    Shape { name: "qwen2.5-1.5b", layers: 28, dim: 1536, ff: 8960, heads: 12, tied: true, ..QWEN2 },
    Shape { name: "qwen2.5-3b", layers: 36, dim: 2048, ff: 11_008, heads: 16, tied: true, ..QWEN2 },
    Shape { name: "qwen2.5-7b", layers: 28, dim: 3584, ff: 18_944, heads: 28, kv_heads: 4, vocab: 152_064, ..QWEN2 },
    Shape { name: "qwen3-0.6b", layers: 28, dim: 1024, ff: 3072, heads: 16, tied: true, ..QWEN3 },
    Shape { name: "qwen3-1.7b", layers: 28, dim: 2048, ff: 6144, heads: 16, tied: true, ..QWEN3 },
    Shape { name: "qwen3-4b", layers: 36, dim: 2560, ff: 9728, tied: true, ..QWEN3 },
    Shape { name: "qwen3-8b", layers: 36, dim: 4096, ff: 12_288, ..QWEN3 },
    Shape { name: "qwen3.5-0.8b", layers: 24, dim: 1024, ff: 3584, ..QWEN35 },
    Shape { name: "qwen3.5-2b", layers: 24, dim: 2048, ff: 6144, ..QWEN35 },
    Shape {
        name: "qwen3.5-4b",
        layers: 32,
        dim: 2560,
        ff: 9216,
        delta: Some(Delta { k_heads: 16, v_heads: 32, dim: 128 }),
        heads: 16,
        kv_heads: 4,
        ..QWEN35
    },
    Shape {
        name: "qwen3.5-9b",
        layers: 32,
        dim: 4096,
        ff: 12_288,
        delta: Some(Delta { k_heads: 16, v_heads: 32, dim: 128 }),
        heads: 16,
        kv_heads: 4,
        tied: false,
        ..QWEN35
    },
    Shape {
        name: "qwen3-30b-a3b",
        layers: 48,
        dim: 2048,
        ff: 6144,
        experts: Some(Experts { count: 128, used: 8, ff: 768, dense: 0 }),
        ..QWEN3_MOE
    },
    Shape {
        name: "smollm2-135m",
        layers: 30,
        dim: 576,
        ff: 1536,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        vocab: 49_152,
        tied: true,
        ctx: 8192,
        rope_base: 100_000.0,
        rope_stretch: 0.0,
        ..LLAMA3
    },
    Shape {
        name: "tinyllama-1.1b",
        layers: 22,
        dim: 2048,
        ff: 5632,
        kv_heads: 4,
        head_dim: 64,
        vocab: 32_000,
        ctx: 2048,
        rope_base: 10_000.0,
        rope_stretch: 0.0,
        ..LLAMA3
    },
    Shape {
        name: "gemma-4-e2b",
        arch: "gemma4",
        layers: 35,
        dim: 1536,
        ff: 6144,
        gemma4: Some(Gemma4 { window_head_dim: 256, window: 512, full_every: 5, shared_kv: 20, inputs: 256 }),
        heads: 8,
        kv_heads: 1,
        head_dim: 512,
        vocab: 262_144,
        tied: true,
        rope_base: 1_000_000.0,
        rope_stretch: 0.0,
        eps: 1e-6,
        ..LLAMA3
    },
    Shape {
        name: "granite-4.0-h-350m",
        layers: 32,
        dim: 768,
        ff: 2048,
        space: Some(Space { heads: 48, dim: 32, keys: 128 }),
        attending: Some(&[10, 13, 17, 27]),
        heads: 12,
        kv_heads: 4,
        head_dim: 64,
        ..GRANITE_H
    },
    Shape {
        name: "gemma-3n-e2b",
        layers: 30,
        ff: 8192,
        gemma3n: Some(Gemma3n { window: 512, full_every: 5, shared_kv: 10, inputs: 256, rank: 64, cut_off: 10 }),
        ..GEMMA3N
    },
    Shape {
        name: "gemma-3n-e4b",
        layers: 35,
        ff: 16_384,
        gemma3n: Some(Gemma3n { window: 512, full_every: 5, shared_kv: 15, inputs: 256, rank: 64, cut_off: 10 }),
        ..GEMMA3N
    },
    Shape { name: "lfm2-350m", dim: 1024, ff: 4608, heads: 16, ..LFM2 },
    Shape { name: "lfm2-700m", dim: 1536, ff: 6912, heads: 24, ..LFM2 },
    Shape { name: "lfm2-1.2b", dim: 2048, ff: 8192, ..LFM2 },
    Shape {
        name: "lfm2-8b-a1b",
        arch: "lfm2moe",
        layers: 24,
        dim: 2048,
        ff: 7168,
        experts: Some(Experts { count: 32, used: 4, ff: 1792, dense: 2 }),
        attending: Some(&[2, 6, 10, 14, 18, 21]),
        ..LFM2
    },
    Shape {
        name: "rwkv7-1.5b",
        layers: 24,
        rwkv7: Some(Rwkv7 { decay: 96, rate: 96, residual: 64, gate: 256 }),
        ..RWKV7
    },
    Shape {
        name: "mamba-1.4b",
        layers: 48,
        dim: 2048,
        mamba: Some(Mamba { width: 4096, keys: 16, rank: 128 }),
        ..MAMBA
    },
    Shape {
        name: "mistral-7b",
        layers: 32,
        dim: 4096,
        ff: 14_336,
        vocab: 32_768,
        ctx: 32_768,
        rope_base: 1_000_000.0,
        rope_stretch: 0.0,
        ..LLAMA3
    },
];

impl Shape {
    /// Whether layer `i` attends.
    pub(super) fn attends(&self, i: usize) -> bool {
        (self.delta.is_none() || delta::attends(i)) && self.attending.is_none_or(|list| list.contains(&i))
    }

    /// Those whose architecture can be run.
    pub fn runnable() -> impl Iterator<Item = &'static Self> {
        SHAPES.iter().filter(|s| crate::arch::find(s.arch).is_some())
    }

    /// The runnable one of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::runnable().find(|s| s.name == name)
    }
}
