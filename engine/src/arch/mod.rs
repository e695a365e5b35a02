//! Architectures: each file has the names and the differences of one, and nothing else.
//!
//! The common skeleton (norm, rotary positions, attention, gated feed-forward or a mixture of experts) lives in
//! [`crate::forward`]; a new architecture of that family is a file with an [`Arch`] constant, which says where it departs
//! from [`Arch::PLAIN`], and a line in [`ALL`]. What the files themselves tell (fused projections, biases that may be
//! there, scales in the metadata) the architecture does not have to.

mod afmoe;
mod apertus;
mod arcee;
mod arctic;
mod arwkv7;
mod baichuan;
mod bailingmoe;
mod bailingmoe2;
mod bailingmoe3;
mod bert;
mod bitnet;
mod bloom;
mod chameleon;
mod chatglm;
mod codeshell;
mod cohere2;
mod cohere2moe;
mod command_r;
mod dbrx;
mod deci;
mod deepseek;
mod deepseek2;
mod deepseek32;
mod deepseek4;
mod differences;
mod dots1;
mod dots3note;
mod ernie4_5;
mod ernie4_5_moe;
mod eurobert;
mod exaone;
mod exaone4;
mod exaone_moe;
mod falcon;
mod falcon_h1;
mod gemma;
mod gemma2;
mod gemma3;
mod gemma3n;
mod gemma4;
mod gemma_embedding;
mod glm4;
mod glm4moe;
mod glm5_next;
mod glm_dsa;
mod gpt2;
mod gpt_oss;
mod gptneox;
mod granite;
mod granite_swa;
mod granitehybrid;
mod granitemoe;
mod graniteswitch;
mod grok;
mod grovemoe;
mod hrm_text;
mod hunyuan_dense;
mod hunyuan_moe;
mod hunyuan_vl;
mod hy_v3;
mod hy_v4;
mod internlm2;
mod jais;
mod jais2;
mod jamba;
mod jina_bert_v2;
mod jina_bert_v3;
mod kimi_k3;
mod kimi_linear;
mod kinds;
mod laguna;
mod lfm2;
mod lfm2moe;
mod llama;
mod llama4;
mod llama_embed;
mod maincoder;
mod mamba;
mod mamba2;
mod maple;
mod mellum;
mod mimo2;
mod minicpm;
mod minicpm3;
mod minimax_01;
mod minimax_m2;
mod minimax_m3;
mod mistral3;
mod mistral4;
mod modern_bert;
mod mpt;
mod muse_glimmer;
mod nanbeige;
mod nemotron;
mod nemotron_h;
mod nemotron_h_moe;
mod neo_bert;
mod nomic_bert;
mod nomic_bert_moe;
mod olmo;
mod olmo2;
mod olmoe;
mod openelm;
mod orion;
mod paddleocr;
mod pangu_embedded;
mod phi2;
mod phi3;
mod phimoe;
mod plamo;
mod plamo2;
mod plamo3;
mod plm;
mod qwen;
mod qwen2;
mod qwen2moe;
mod qwen2vl;
mod qwen3;
mod qwen35;
mod qwen35moe;
mod qwen3moe;
mod qwen3next;
mod qwen3vl;
mod qwen3vlmoe;
mod refact;
mod rwkv6;
mod rwkv6qwen2;
mod rwkv7;
mod seed_oss;
mod smallthinker;
mod smollm3;
mod spark2_5;
mod stablelm;
mod starcoder;
mod starcoder2;
mod step35;
mod talkie;
mod xverse;

pub use differences::Arch;
pub use kinds::{
    Bounded, CutOff, DeltaLayout, Gating, HeadGates, HeadNorm, Indexed, Leaning, LocalRope, Narrow, NormKind, Norms,
    Parallel, Recurrence, Routing, ScanLayout, Scoring, Sinks, Temperature, Wkv,
};

/// Every supported architecture.
pub const ALL: &[&Arch] = &[
    &afmoe::ARCH,
    &apertus::ARCH,
    &arcee::ARCH,
    &arctic::ARCH,
    &arwkv7::ARCH,
    &baichuan::ARCH,
    &bailingmoe::ARCH,
    &bailingmoe2::ARCH,
    &bailingmoe3::ARCH,
    &bert::ARCH,
    &bitnet::ARCH,
    &bloom::ARCH,
    &chameleon::ARCH,
    &chatglm::ARCH,
    &codeshell::ARCH,
    &cohere2::ARCH,
    &cohere2moe::ARCH,
    &command_r::ARCH,
    &dbrx::ARCH,
    &deci::ARCH,
    &deepseek::ARCH,
    &deepseek2::ARCH,
    &deepseek32::ARCH,
    &deepseek4::ARCH,
    &dots1::ARCH,
    &dots3note::ARCH,
    &ernie4_5::ARCH,
    &ernie4_5_moe::ARCH,
    &eurobert::ARCH,
    &exaone::ARCH,
    &exaone4::ARCH,
    &exaone_moe::ARCH,
    &falcon::ARCH,
    &falcon_h1::ARCH,
    &gemma::ARCH,
    &gemma2::ARCH,
    &gemma3::ARCH,
    &gemma3n::ARCH,
    &gemma4::ARCH,
    &gemma_embedding::ARCH,
    &glm4::ARCH,
    &glm4moe::ARCH,
    &glm5_next::ARCH,
    &glm_dsa::ARCH,
    &gpt2::ARCH,
    &gpt_oss::ARCH,
    &gptneox::ARCH,
    &granite::ARCH,
    &granite_swa::ARCH,
    &granitehybrid::ARCH,
    &granitemoe::ARCH,
    &graniteswitch::ARCH,
    &grok::ARCH,
    &grovemoe::ARCH,
    &hrm_text::ARCH,
    &hunyuan_dense::ARCH,
    &hunyuan_moe::ARCH,
    &hunyuan_vl::ARCH,
    &hy_v3::ARCH,
    &hy_v4::ARCH,
    &internlm2::ARCH,
    &jais::ARCH,
    &jais2::ARCH,
    &jamba::ARCH,
    &jina_bert_v2::ARCH,
    &jina_bert_v3::ARCH,
    &kimi_k3::ARCH,
    &kimi_linear::ARCH,
    &laguna::ARCH,
    &lfm2::ARCH,
    &lfm2moe::ARCH,
    &llama::ARCH,
    &llama4::ARCH,
    &llama_embed::ARCH,
    &maincoder::ARCH,
    &mamba::ARCH,
    &mamba2::ARCH,
    &maple::ARCH,
    &mellum::ARCH,
    &mimo2::ARCH,
    &minicpm::ARCH,
    &minicpm3::ARCH,
    &minimax_01::ARCH,
    &minimax_m2::ARCH,
    &minimax_m3::ARCH,
    &mistral3::ARCH,
    &mistral4::ARCH,
    &modern_bert::ARCH,
    &mpt::ARCH,
    &muse_glimmer::ARCH,
    &nanbeige::ARCH,
    &nemotron::ARCH,
    &nemotron_h::ARCH,
    &nemotron_h_moe::ARCH,
    &neo_bert::ARCH,
    &nomic_bert::ARCH,
    &nomic_bert_moe::ARCH,
    &olmo::ARCH,
    &olmo2::ARCH,
    &olmoe::ARCH,
    &openelm::ARCH,
    &orion::ARCH,
    &paddleocr::ARCH,
    &pangu_embedded::ARCH,
    &phi2::ARCH,
    &phi3::ARCH,
    &phimoe::ARCH,
    &plamo::ARCH,
    &plamo2::ARCH,
    &plamo3::ARCH,
    &plm::ARCH,
    &qwen::ARCH,
    &qwen2::ARCH,
    &qwen2moe::ARCH,
    &qwen2vl::ARCH,
    &qwen3::ARCH,
    &qwen3moe::ARCH,
    &qwen3next::ARCH,
    &qwen35::ARCH,
    &qwen35moe::ARCH,
    &qwen3vl::ARCH,
    &qwen3vlmoe::ARCH,
    &refact::ARCH,
    &rwkv6::ARCH,
    &rwkv6qwen2::ARCH,
    &rwkv7::ARCH,
    &seed_oss::ARCH,
    &smallthinker::ARCH,
    &smollm3::ARCH,
    &spark2_5::ARCH,
    &stablelm::ARCH,
    &starcoder::ARCH,
    &starcoder2::ARCH,
    &step35::ARCH,
    &talkie::ARCH,
    &xverse::ARCH,
];

/// The architecture of this name.
pub fn find(name: &str) -> Option<&'static Arch> {
    ALL.iter().copied().find(|a| a.name == name)
}

/// The names of all, for messages.
pub fn names() -> String {
    ALL.iter().map(|a| a.name).collect::<Vec<_>>().join(", ")
}
