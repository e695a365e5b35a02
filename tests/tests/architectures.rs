//! What architectures take for granted where a file does not say, and which of their files are refused.

use hewn_engine::loader::{Gguf, GgufWriter, MetaValue};
use hewn_engine::quantize::{QuantType, QuantizeOptions, quantize};
use hewn_engine::{CancelToken, CpuIsa, KvType, Model, ModelConfig, Team};
use hewn_kernels::op::activation::Activation;
use hewn_tests::altered::{fixture, refused, with};
use hewn_tests::{Setup, all_logits, nmse};
use std::sync::Arc;

fn windows(c: &ModelConfig) -> Vec<Option<usize>> {
    (0..c.layers).map(|i| c.window_of(i)).collect()
}

/// Of Apertus: numbers of each layer's activation.
#[test]
fn activations_of_layers_are_checked() {
    for key in ["xielu.alpha_p", "xielu.alpha_n", "xielu.beta", "xielu.eps"] {
        refused("apertus", key, None);
        // One for all layers will do, unless it is none.
        assert_eq!(with("apertus", key, Some(MetaValue::F32(-0.5))).unwrap().config().xielu.len(), 2);
        refused("apertus", key, Some(MetaValue::F32(f32::NAN)));
        refused("apertus", key, Some(MetaValue::U32(1)));
    }
    refused("apertus", "xielu.eps", Some(MetaValue::F32(0.5)));
    // Lists for another number of layers.
    let err = with("apertus", "apertus.block_count", Some(MetaValue::U32(1))).map(|_| ()).unwrap_err();
    assert!(err.contains("xielu.alpha_p"), "{err}");
}

#[test]
fn smallthinker_sees_everything_in_the_first_of_four_layers() {
    let with_windows = with("smallthinker-windows", "vocab_size", None).unwrap();
    let w = Some(4096);
    assert_eq!(windows(with_windows.config()), [None, w, w, w, None, w]);
    let without = with("smallthinker", "vocab_size", None).unwrap();
    assert_eq!(windows(without.config()), [None; 2]);
    refused("smallthinker", "smallthinker.expert_gating_func", None);
    refused("smallthinker", "smallthinker.expert_shared_count", Some(MetaValue::U32(1)));
}

#[test]
fn llama4_has_chunks_of_8192_where_the_file_does_not_say() {
    let key = "llama4.attention.sliding_window";
    let model = with("llama4", key, None).unwrap();
    let c = model.config();
    let w = Some(8192);
    assert_eq!(windows(c), [w, w, w, None, w]);
    assert!(c.window.as_ref().is_some_and(|w| w.chunks));
    assert_eq!(c.temperature.map(|t| (t.scale, t.every)), Some((0.1, 41)));
    let key_of_length = "llama4.attention.temperature_length";
    let model = with("llama4", key_of_length, None).unwrap();
    assert_eq!(model.config().temperature.map(|t| t.every), Some(8192));
    refused("llama4", key, Some(MetaValue::U32(0)));
    refused("llama4", "llama4.interleave_moe_layer_step", None);
    refused("llama4", "llama4.expert_count", None);
    // Of every three layers one has experts, the file has them in others.
    let step = "llama4.interleave_moe_layer_step";
    let err = with("llama4", step, Some(MetaValue::U32(3))).map(|_| ()).unwrap_err();
    assert!(err.contains("blk.1.ffn"), "{err}");
}

#[test]
fn phimoe_has_no_groups_of_experts() {
    refused("phimoe", "phimoe.expert_group_count", Some(MetaValue::U32(2)));
    assert!(!with("phimoe", "vocab_size", None).unwrap().config().experts.as_ref().unwrap().normalize);
}

#[test]
fn afmoe_needs_a_window() {
    refused("afmoe", "afmoe.attention.sliding_window", None);
}

#[test]
fn parts_are_side_by_side_where_files_say_so() {
    let key = "gptneox.use_parallel_residual";
    refused("gptneox", key, None);
    refused("gptneox", key, Some(MetaValue::U32(1)));
    assert_eq!(with("gptneox", key, Some(MetaValue::Bool(false))).unwrap().config().parallel, Some(false));
    // Here the tensors tell.
    let key = "stablelm.use_parallel_residual";
    assert_eq!(with("stablelm-12b", key, Some(MetaValue::Bool(false))).unwrap().config().parallel, None);
}

/// Of Nemotron's pruned Llamas: what layers lack, and what they differ in.
#[test]
fn layers_that_lack_something_are_checked() {
    let list = |v: &[u32]| Some(MetaValue::Array(v.iter().map(|n| MetaValue::U32(*n)).collect()));
    let [heads, kv, ff] = ["deci.attention.head_count", "deci.attention.head_count_kv", "deci.feed_forward_length"];
    let model = with("deci", "vocab_size", None).unwrap();
    let c = model.config();
    let all = |of: &dyn Fn(usize) -> bool| (0..7).filter(|i| of(*i)).collect::<Vec<_>>();
    assert_eq!(all(&|i| c.attends(i)), [0, 1, 5, 6]);
    assert_eq!(all(&|i| c.linear.has(i)), [3]);
    assert_eq!(all(&|i| c.feeding.has(i)), [0, 1, 2, 3, 5, 6]);
    assert_eq!((c.layer(1).kv_heads, c.layer(1).ff, c.layer(5).kv_heads), (1, 32, 4));
    for key in [heads, kv, ff] {
        refused("deci", key, list(&[0; 7]));
        refused("deci", key, list(&[4; 6]));
    }
    refused("deci", heads, list(&[4, 4, 0, 4, 0, 2, 4]));
    refused("deci", kv, list(&[3, 1, 0, 0, 0, 4, 2]));
    // Keys without queries.
    refused("deci", kv, list(&[2, 1, 1, 0, 0, 4, 2]));
    refused("deci", ff, None);
}

#[test]
fn exaone_moe_needs_a_window_and_a_kind_of_gate() {
    refused("exaone-moe", "exaone-moe.attention.sliding_window", None);
    refused("exaone-moe", "exaone-moe.expert_gating_func", None);
}

#[test]
fn cohere2moe_has_the_norms_that_the_epsilon_names() {
    let norm = |name: &str| format!("{:?}", with(name, "vocab_size", None).unwrap().config().norm);
    assert_eq!([norm("cohere2moe"), norm("cohere2moe-rms")], ["Layer", "Rms"]);
    let model = with("cohere2moe-rms", "vocab_size", None).unwrap();
    let w = Some(20);
    assert_eq!(windows(model.config()), [None, w, w, w, None]);
    for key in ["attention.sliding_window", "logit_scale", "leading_dense_block_count"] {
        refused("cohere2moe", &format!("cohere2moe.{key}"), None);
    }
}

#[test]
fn of_baichuan_only_the_published_sizes_are_read() {
    // The others have no positions but slopes, of which their files do not tell.
    refused("baichuan", "baichuan.block_count", Some(MetaValue::U32(31)));
}

#[test]
fn learned_positions_are_as_many_as_the_context() {
    let err = with("gpt2", "gpt2.context_length", Some(MetaValue::U32(97))).map(|_| ()).unwrap_err();
    assert!(err.contains("position_embd.weight"), "{err}");
    let c = with("gpt2", "vocab_size", None).unwrap();
    assert!((0..2).all(|i| !c.config().turned.has(i)));
}

#[test]
fn qwen_says_the_width_of_gate_and_up_together() {
    let key = "qwen.feed_forward_length";
    assert_eq!(with("qwen", "vocab_size", None).unwrap().config().ff, 48);
    refused("qwen", key, Some(MetaValue::U32(97)));
    let err = with("qwen", key, Some(MetaValue::U32(48))).map(|_| ()).unwrap_err();
    assert!(err.contains("ffn_gate.weight"), "{err}");
}

#[test]
fn queries_keys_and_values_are_bounded_where_files_say_so() {
    let bound = |name: &str| with(name, "vocab_size", None).unwrap().config().qkv_bound;
    assert_eq!(["olmo", "olmo-bounded", "dbrx"].map(bound), [None, Some(1.0), Some(1.0)]);
    refused("dbrx", "dbrx.attention.clamp_kqv", None);
    refused("dbrx", "dbrx.attention.clamp_kqv", Some(MetaValue::F32(-1.0)));
    refused("olmo-bounded", "olmo.attention.clamp_kqv", Some(MetaValue::F32(f32::NAN)));
}

#[test]
fn heads_of_layers_are_checked() {
    let list = |v: &[u32]| Some(MetaValue::Array(v.iter().map(|n| MetaValue::U32(*n)).collect()));
    let model = with("openelm", "vocab_size", None).unwrap();
    let sizes = |i| (model.config().layer(i).heads, model.config().layer(i).kv_heads, model.config().layer(i).ff);
    assert_eq!([sizes(0), sizes(2), sizes(3)], [(2, 1, 16), (4, 2, 48), (6, 3, 64)]);
    let [heads, kv] = ["openelm.attention.head_count", "openelm.attention.head_count_kv"];
    refused("openelm", heads, list(&[2, 4, 4]));
    refused("openelm", heads, list(&[0, 4, 4, 6]));
    refused("openelm", kv, list(&[1, 3, 2, 3]));
    refused("openelm", kv, list(&[1, 1, 2, 4]));
    let err = with("openelm", heads, list(&[2, 4, 4, 3])).map(|_| ()).unwrap_err();
    assert!(err.contains("blk.3.attn_qkv.weight"), "{err}");
}

#[test]
fn mimo2_is_told_which_layers_have_a_window() {
    let key = "mimo2.attention.sliding_window_pattern";
    let model = with("mimo2", "vocab_size", None).unwrap();
    let (c, w) = (model.config(), Some(20));
    assert_eq!(windows(c), [None, w, w, None]);
    let experts = c.experts.as_ref().unwrap();
    assert_eq!([0, 1, 2, 3].map(|i| experts.in_layer(i)), [false, true, true, true]);
    assert_eq!([0, 1].map(|i| (c.layer(i).kv_heads, c.layer(i).k_dim, c.layer(i).v_dim)), [(1, 12, 8), (2, 12, 8)]);
    refused("mimo2", key, None);
    let numbers = |v: [u32; 4]| Some(MetaValue::Array(v.map(MetaValue::U32).to_vec()));
    refused("mimo2", key, numbers([0, 1, 2, 0]));
    refused("mimo2", "mimo2.attention.sliding_window", None);
    assert_eq!(with("mimo2", "mimo2.attention.value_scale", None).unwrap().config().value_scale, 1.0);
    refused("mimo2", "mimo2.attention.value_scale", Some(MetaValue::F32(f32::INFINITY)));
}

#[test]
fn granite_with_windows_is_told_which_layers_turn() {
    let key = "granite_swa.attention.rope_pattern";
    let turned = |value| with("granite_swa", key, value).map(|m| [0, 1, 2].map(|i| m.config().turned.has(i)));
    let list = |v: &[bool]| Some(MetaValue::Array(v.iter().map(|b| MetaValue::Bool(*b)).collect()));
    assert_eq!(turned(list(&[false, true, true])).unwrap(), [false, true, true]);
    assert_eq!(turned(None).unwrap(), [true; 3]);
    refused("granite_swa", key, list(&[false, true]));
    refused("granite_swa", "granite_swa.logit_scale", None);
    let model = with("granite_swa-moe", "vocab_size", None).unwrap();
    assert!(model.config().experts.is_some());
}

#[test]
fn laguna_sees_everything_in_the_first_of_four_layers() {
    let model = with("laguna", "vocab_size", None).unwrap();
    let (c, w) = (model.config(), Some(20));
    assert_eq!(windows(c), [None, w, w, w, None]);
    assert_eq!([0, 1, 4].map(|i| c.layer(i).heads), [2, 4, 2]);
    assert_eq!((c.rope.dim, c.local_rope.as_ref().unwrap().dim), (4, 8));
    assert_eq!(windows(with("laguna-m", "vocab_size", None).unwrap().config()), [None; 2]);
    refused("laguna", "laguna.leading_dense_block_count", None);
    refused("laguna", "laguna.attention.sliding_window", Some(MetaValue::U32(0)));
    // One gate a head or one a channel, and no other number.
    let err = with("laguna-m", "laguna.attention.value_length", Some(MetaValue::U32(4))).map(|_| ()).unwrap_err();
    assert!(err.contains("blk.0.attn_"), "{err}");
}

#[test]
fn layers_with_a_window_turn_no_more_channels_than_a_head_has() {
    refused("spark2_5", "spark2_5.rope.dimension_count_swa", Some(MetaValue::U32(10)));
    refused("spark2_5", "spark2_5.rope.dimension_count_swa", Some(MetaValue::U32(3)));
    refused("spark2_5", "spark2_5.attention.sliding_window_pattern", None);
}

/// Each way of quantized weights through the parts that few architectures have: one row at a time and many.
#[test]
fn quantized_weights_give_the_same_bits_in_any_batch() {
    let names = [
        "afmoe",
        "apertus",
        "arcee",
        "arctic",
        "arwkv7",
        "baichuan-13b",
        "bailingmoe3",
        "bitnet",
        "bloom",
        "cohere2moe",
        "dbrx",
        "deci",
        "deepseek2-whole",
        "deepseek32",
        "deepseek4",
        "exaone-moe",
        "falcon-mamba",
        "glm5-next",
        "gpt2",
        "gptneox",
        "grovemoe",
        "granite_swa",
        "graniteswitch",
        "jais",
        "jamba",
        "kimi-linear",
        "kimi-linear-20",
        "laguna",
        "laguna-m",
        "llama4",
        "mamba",
        "mimo2",
        "minicpm3",
        "muse-glimmer",
        "nanbeige",
        "minimax-01",
        "mpt",
        "nemotron",
        "olmo-bounded",
        "openelm",
        "phi2",
        "phimoe",
        "plamo2",
        "plm",
        "rwkv6",
        "rwkv6qwen2",
        "rwkv7",
        "smallthinker",
        "spark2_5",
        "stablelm-12b",
        "talkie",
    ];
    for name in names {
        let (whole, mut file) = (fixture(name), Vec::new());
        let team = Team::new(1, CpuIsa::best()).unwrap();
        // Some widths are no multiple of 32: those matrices stay as they are.
        let options = QuantizeOptions { to: QuantType::Q8_0, pure: false, requantize: false };
        quantize(&whole, &mut file, &options, &team, &CancelToken::new(), &mut |_| {}).unwrap();
        let [whole, model] = [whole, Gguf::from_bytes(file).unwrap()].map(|g| Arc::new(Model::from_gguf(g).unwrap()));
        let tokens: Vec<u32> = (0..50).map(|i| (i * i * 7 + 3) % model.config().vocab as u32).collect();
        let run = |model, chunk, isa| all_logits(model, &tokens, Setup { chunk, isa, ..Setup::new(KvType::F32) });
        let want = run(&model, 50, CpuIsa::best());
        let err = nmse(&want, &run(&whole, 50, CpuIsa::best()));
        println!("{name:14} nmse {err:.1e}");
        // Another choice of an expert outweighs all rounding, and a running state keeps what it was given.
        let c = model.config();
        let bar = if c.experts.is_some() || c.recurrent.is_some() { 0.1 } else { 0.01 };
        assert!(err < bar, "{name}: {err}");
        for (chunk, isa) in [(1, CpuIsa::best()), (7, CpuIsa::best()), (50, CpuIsa::available()[0])] {
            let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&run(&model, chunk, isa)) == bits(&want), "{name} {chunk} {isa:?}");
        }
    }
}

#[test]
fn latent_attention_is_told_where_queries_grow() {
    refused("mistral4", "mistral4.attention.temperature_length", None);
    let model = with("mistral4", "mistral4.attention.temperature_scale", None).unwrap();
    assert!(model.config().temperature.is_none());
}

#[test]
fn heads_without_split_matrices_are_made_of_the_latent() {
    let c = with("minicpm3", "vocab_size", None).unwrap().config().clone();
    assert_eq!((c.kv_heads, c.k_dim, c.v_dim, c.embed_scale), (4, 12, 8, 12.0));
    assert_eq!((c.residual_scale, c.logit_scale), (1.4 / 3f32.sqrt(), 8.0));
    refused("minicpm3", "minicpm3.attention.key_length", Some(MetaValue::U32(4)));
    refused("minicpm3", "minicpm3.attention.q_lora_rank", None);
    refused("plm", "plm.attention.key_length", None);
    refused("plm", "plm.attention.kv_lora_rank", Some(MetaValue::U32(0)));
    let err = with("plm", "plm.attention.value_length", None).map(|_| ()).unwrap_err();
    assert!(err.contains("attn_kv_b.weight"), "{err}");
}

#[test]
fn bounds_of_activations_are_checked() {
    let key = "step35.swiglu_clamp_exp";
    let c = with("step35", key, Some(MetaValue::F32(7.0))).unwrap().config().clone();
    assert_eq!(c.expert_activation(0), Activation::SiluUpTo(7.0));
    assert_eq!([0, 1].map(|i| c.activation(i)), [Activation::SiluUpTo(0.4), Activation::Silu]);
    assert_eq!(with("step35", key, None).unwrap().config().expert_activation(3), Activation::Silu);
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        refused("step35", key, Some(MetaValue::F32(bad)));
    }
    refused("step35", key, Some(MetaValue::U32(7)));
    refused("maple", "maple.swiglu_clamp_exp", None);
    assert_eq!(with("maple", "vocab_size", None).unwrap().config().expert_activation(1), Activation::SiluOfUpTo(0.7));
}

#[test]
fn what_layers_do_more_than_once_or_share_is_checked() {
    let c = with("nanbeige", "vocab_size", None).unwrap().config().clone();
    assert_eq!((c.layers, c.rounds, c.round_norm), (6, 3, true));
    for rounds in [0, 5000, u32::MAX] {
        refused("nanbeige", "nanbeige.num_loops", Some(MetaValue::U32(rounds)));
    }
    for key in ["grovemoe.experts_per_group", "grovemoe.expert_chunk_feed_forward_length"] {
        refused("grovemoe", key, None);
        refused("grovemoe", key, Some(MetaValue::U32(0)));
    }
    refused("grovemoe", "grovemoe.experts_per_group", Some(MetaValue::U32(4)));
    refused("grovemoe", "grovemoe.expert_group_scale", None);
}

#[test]
fn of_arctic_files_say_the_width_of_the_experts() {
    let c = with("arctic", "arctic.expert_feed_forward_length", None).unwrap().config().clone();
    assert_eq!((c.ff, c.experts.unwrap().ff), (32, 48));
}

#[test]
fn old_files_of_grok_do_not_say_the_numbers() {
    let c = with("grok", "vocab_size", None).unwrap().config().clone();
    assert_eq!((c.score_cap, c.embed_scale, c.heat), (Some(30.0), 78.383_67, None));
    // Of Grok 2 they do, and a dense part is beside the experts, of another width.
    let c = with("grok-2", "vocab_size", None).unwrap().config().clone();
    let experts = c.experts.unwrap();
    assert_eq!((c.heat, experts.ff, experts.shared_ff), (Some(10), 16, 24));
    refused("grok-2", "grok.attention.temperature_length", Some(MetaValue::U32(1)));
    let err = with("grok-2", "grok.feed_forward_length", Some(MetaValue::U32(20))).map(|_| ()).unwrap_err();
    assert!(err.contains("blk.0.ffn"), "{err}");
}

#[test]
fn what_kimi_k3_keeps_and_bounds_is_checked() {
    for key in ["attn_res.block_size", "activation.situ_beta", "activation.situ_linear_beta", "expert_gating_func"] {
        refused("kimi-k3", &format!("kimi-k3.{key}"), None);
    }
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refused("kimi-k3", "kimi-k3.activation.situ_beta", Some(MetaValue::F32(bad)));
    }
    refused("kimi-k3", "kimi-k3.activation.situ_linear_beta", Some(MetaValue::F32(f32::NAN)));
    let c = with("kimi-k3", "kimi-k3.activation.situ_linear_beta", Some(MetaValue::F32(0.0))).unwrap().config().clone();
    assert_eq!(c.activation, Activation::Situ { gate: 1.5, up: None });
    for (key, part) in [("expert_latent_length", "ffn_gate_exps"), ("attn_res.block_size", "attn_res_score")] {
        // Without, experts are as wide as the stream, and what scores kept streams is left over.
        let err = with("kimi-k3", &format!("kimi-k3.{key}"), Some(MetaValue::U32(0))).map(|_| ()).unwrap_err();
        assert!(err.contains(part) || err.contains("res_score"), "{err}");
    }
    refused("minimax-m3", "minimax-m3.expert_latent_length", Some(MetaValue::U32(8)));
    refused("nemotron_h_moe", "nemotron_h_moe.expert_latent_length", Some(MetaValue::U32(8)));
}

#[test]
fn streams_that_stay_apart_are_checked() {
    for key in ["count", "epsilon", "magnitude"] {
        refused("hy_v4", &format!("hy_v4.hyper_connection.{key}"), None);
    }
    for bad in [0, 65, u32::MAX] {
        refused("hy_v4", "hy_v4.hyper_connection.count", Some(MetaValue::U32(bad)));
    }
    refused("hy_v4", "hy_v4.hyper_connection.epsilon", Some(MetaValue::F32(f32::NAN)));
    refused("hy_v4", "hy_v4.hyper_connection.magnitude", Some(MetaValue::F32(-1.0)));
    // Without its number an indexer is left over.
    let err = with("hy_v4-sparse", "hy_v4.attention.indexer.top_k", None).map(|_| ()).unwrap_err();
    assert!(err.contains("blk.0.indexer"), "{err}");
}

#[test]
fn cycles_are_as_many_as_layers() {
    let c = with("hrm_text", "vocab_size", None).unwrap().config().clone();
    let order = [0, 1, 0, 1, 2, 3].repeat(3);
    assert_eq!((c.layers, c.cycles.unwrap().layers().collect::<Vec<_>>()), (18, order));
    for key in ["layers_per_stack", "h_cycles", "l_cycles"] {
        refused("hrm_text", &format!("hrm_text.hrm.{key}"), None);
        let err = with("hrm_text", &format!("hrm_text.hrm.{key}"), Some(MetaValue::U32(1 << 20))).map(|_| ());
        assert!(err.unwrap_err().contains("block_count"));
    }
    refused("hrm_text", "hrm_text.hrm.prefix_lm", Some(MetaValue::Bool(true)));
    assert!(with("hrm_text", "hrm_text.hrm.prefix_lm", Some(MetaValue::Bool(false))).is_ok());
}

/// In a vocabulary that has them.
#[test]
fn tokens_of_images_are_never_the_next() {
    const TOKENS: usize = 8200;
    let (small, mut w, mut data) = (fixture("chameleon-behind"), GgufWriter::new(), Vec::new());
    small.metadata().iter().try_for_each(|(key, v)| w.value(key, &v)).unwrap();
    for t in small.tensors() {
        let (mut dims, mut all) = (t.dims.clone(), small.tensor_data(t).to_vec());
        if t.name == "token_embd.weight" {
            let row = all.len() / dims[1] as usize;
            dims[1] = TOKENS as u64;
            all = all.iter().copied().cycle().take(row * TOKENS).collect();
        }
        w.tensor(&t.name, &dims, Some(t.dtype)).unwrap();
        data.push(all);
    }
    let mut file = Vec::new();
    w.write_to(&mut file, data.iter().map(Vec::as_slice)).unwrap();
    let model = Arc::new(Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap());
    let logits = all_logits(&model, &[1, 50, 7], Setup::new(KvType::F32));
    let unspoken: Vec<usize> = (0..TOKENS).filter(|t| logits[2 * TOKENS + t] == f32::MIN).collect();
    assert_eq!(unspoken, (4..8196).collect::<Vec<_>>());
}

#[test]
fn running_states_of_ling_and_plamo_are_checked() {
    let key = "bailingmoe3.kda.gate_lower_bound";
    refused("bailingmoe3", key, None);
    for bad in [0.0, 1.0, f32::NAN, f32::NEG_INFINITY] {
        refused("bailingmoe3", key, Some(MetaValue::F32(bad)));
    }
    // Kimi K3's converter turns the sign of rates.
    refused("kimi-k3", "kimi-k3.kda.gate_lower_bound", Some(MetaValue::F32(1.0)));
    refused("bailingmoe3", "bailingmoe3.kda.safe_gate", Some(MetaValue::Bool(false)));
    refused("plamo2", "plamo2.ssm.group_count", Some(MetaValue::U32(1)));
    for key in ["plamo2.ssm.state_size", "plamo2.ssm.inner_size", "plamo2.attention.head_count_kv"] {
        refused("plamo2", key, Some(MetaValue::U32(u32::MAX)));
    }
}

#[test]
fn tokens_choose_adapters_that_there_are() {
    let c = with("graniteswitch", "vocab_size", None).unwrap().config().clone();
    let adapters = c.adapters.unwrap();
    assert_eq!([10, 34, 95, 1].map(|t| adapters.of(t)), [Some([3, 3]), Some([1, 1]), Some([2, 2]), None]);
    // None was switched on, one, two, and more than there are.
    assert_eq!(
        [(9, 0, 0), (9, 1, 3), (9, 2, 4), (1, 1, 9)].map(|(n, seen, sum)| adapters.choose(n, seen, sum)),
        [0, 3, 2, 3]
    );
    for (key, bad) in [("count", 0), ("count", 5000), ("lora_rank", 5000), ("router_gain", 1)] {
        refused("graniteswitch", &format!("graniteswitch.adapters.{key}"), Some(MetaValue::U32(bad)));
    }
    for key in ["activate", "substitute"] {
        let key = format!("graniteswitch.adapters.token_ids_{key}");
        refused("graniteswitch", &key, None);
        let list = |ids: &[u32]| Some(MetaValue::Array(ids.iter().map(|id| MetaValue::U32(*id)).collect()));
        refused("graniteswitch", &key, list(&[1, 2, 96]));
        refused("graniteswitch", &key, list(&[1, 2]));
    }
    let err =
        with("graniteswitch", "graniteswitch.adapters.lora_rank", Some(MetaValue::U32(5))).map(|_| ()).unwrap_err();
    assert!(err.contains("lora_a"), "{err}");
}

#[test]
fn scores_lean_where_files_or_their_sizes_say() {
    let slopes = |name: &str, key: &str, value| with(name, key, value).unwrap().config().slopes.clone();
    let halves = [0.25, 0.0625, 0.015625, 0.00390625];
    assert_eq!(slopes("refact", "vocab_size", None).unwrap(), halves);
    // Two more heads than a power of two: between the first ones.
    let bloom = slopes("bloom", "vocab_size", None).unwrap();
    assert_eq!((&bloom[..4], &bloom[4..]), (&halves[..], &[0.5, 0.125][..]));
    assert_eq!(slopes("mpt", "mpt.attention.max_alibi_bias", None), None);
    assert_eq!(slopes("baichuan", "vocab_size", None), None);
    let model = with("baichuan-13b", "vocab_size", None).unwrap();
    assert_eq!(model.config().slopes, Some(vec![0.0625, 0.00390625]));
    assert!((0..40).all(|i| !model.config().turned.has(i)));
    refused("jais", "jais.attention.max_alibi_bias", None);
    refused("mpt", "mpt.attention.max_alibi_bias", Some(MetaValue::F32(-8.0)));
}

#[test]
fn the_sizes_of_rwkv_are_checked() {
    for name in ["rwkv6", "rwkv7"] {
        refused(name, &format!("{name}.wkv.head_size"), None);
        refused(name, &format!("{name}.wkv.head_size"), Some(MetaValue::U32(7)));
        refused(name, &format!("{name}.token_shift_count"), Some(MetaValue::U32(1)));
        assert!(with(name, &format!("{name}.token_shift_count"), None).is_ok());
    }
    refused("rwkv7", "rwkv7.attention.decay_lora_rank", None);
    refused("rwkv6", "rwkv6.time_mix_extra_dim", None);
    refused("rwkv6qwen2", "rwkv6qwen2.attention.head_count_kv", Some(MetaValue::U32(3)));
    refused("minimax-01", "minimax-01.residual_scale", None);
    refused("minimax-01", "minimax-01.attention.value_length", Some(MetaValue::U32(10)));
}
