//! Attention to some of the positions, or to what stands for several: what is chosen, whatever the chunks, and which files are
//! refused.

use hewn_engine::loader::{Gguf, MetaValue};
use hewn_engine::{KvType, Model};
use hewn_tests::altered::{fixture, refused, with};
use hewn_tests::{Setup, all_logits};
use std::sync::Arc;

#[test]
fn blocks_are_chosen_where_there_are_more() {
    let tokens: Vec<u32> = (0..60).map(|i| (i * i * 7 + 3) % 96).collect();
    let key = |part: &str| format!("minimax-m3.attention.indexer.{part}");
    let logits = |part: &str, n: u32, chunk| {
        let model = Arc::new(with("minimax-m3", &key(part), Some(MetaValue::U32(n))).unwrap());
        let logits = all_logits(&model, &tokens, Setup { chunk, ..Setup::new(KvType::F32) });
        logits.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let dense = logits("top_k", 1000, 60);
    assert!(logits("top_k", 8, 7) == dense && logits("top_k", 7, 60) != dense);
    // All of those that are chosen are the last ones; or none is chosen in any case.
    for (part, n) in [("local_blocks", 3), ("local_blocks", 0), ("block_size", 5), ("block_size", 1)] {
        let all = logits(part, n, 60);
        assert!(all != dense && logits(part, n, 7) == all && logits(part, n, 1) == all, "{part} {n}");
    }
    for part in ["top_k", "head_count", "key_length", "block_size", "local_blocks"] {
        refused("minimax-m3", &key(part), None);
    }
    refused("minimax-m3", &key("local_blocks"), Some(MetaValue::U32(4)));
    refused("minimax-m3", &key("head_count"), Some(MetaValue::U32(4)));
    refused("minimax-m3", &key("block_size"), Some(MetaValue::U32(u32::MAX)));
}

#[test]
fn layers_of_dots_with_a_window_have_sizes_of_their_own() {
    let c = with("dots3note", "vocab_size", None).unwrap().config().clone();
    assert_eq!((0..4).map(|i| c.latent_of(i).unwrap().kv_rank).collect::<Vec<_>>(), [16, 12, 12, 16]);
    for key in ["kv_lora_rank_swa", "key_length_mla_swa", "value_length_mla_swa", "key_length_swa", "sliding_window"] {
        refused("dots3note", &format!("dots3note.attention.{key}"), None);
    }
    refused("dots3note", "dots3note.rope.dimension_count_swa", Some(MetaValue::U32(2)));
    refused("dots3note", "dots3note.attention.key_length_mla_swa", Some(MetaValue::U32(4)));
    let key = "dots3note.attention.indexer.types";
    let list = |v: &[u32]| Some(MetaValue::Array(v.iter().map(|n| MetaValue::U32(*n)).collect()));
    refused("dots3note", key, None);
    refused("dots3note", key, list(&[1, 1, 0, 1]));
    refused("dots3note", key, list(&[1, 0, 0, 0]));
}

#[test]
fn an_indexer_chooses_nothing_where_all_are_few() {
    let tokens: Vec<u32> = (0..60).map(|i| (i * i * 7 + 3) % 96).collect();
    for (name, arch) in [("deepseek32", "deepseek32"), ("glm-dsa", "glm-dsa")] {
        let key = format!("{arch}.attention.indexer.top_k");
        let logits = |most: u32, chunk| {
            let model = Arc::new(with(name, &key, Some(MetaValue::U32(most))).unwrap());
            let logits = all_logits(&model, &tokens, Setup { chunk, ..Setup::new(KvType::F32) });
            logits.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let dense = logits(1000, 60);
        assert!(logits(60, 7) == dense && logits(59, 60) != dense, "{name}");
        assert!(logits(5, 60) == logits(5, 1) && logits(5, 7) == logits(5, 60), "{name}");
        for key in ["top_k", "head_count", "key_length"] {
            refused(name, &format!("{arch}.attention.indexer.{key}"), None);
        }
    }
    let key = "glm-dsa.attention.indexer.types";
    let list = |v: &[u32]| Some(MetaValue::Array(v.iter().map(|n| MetaValue::U32(*n)).collect()));
    refused("glm-dsa", key, list(&[0, 1, 1]));
    // The keys of the second layer's indexer are left over.
    let err = with("glm-dsa", key, list(&[1, 0, 1])).map(|_| ()).unwrap_err();
    assert!(err.contains("blk.1.indexer"), "{err}");
}

#[test]
fn entries_of_several_positions_are_the_same_in_any_chunks() {
    let tokens: Vec<u32> = (0..290).map(|i| (i * i * 7 + 3) % 96).collect();
    let key = "deepseek4.attention.indexer.top_k";
    for kv in [KvType::F32, KvType::F16] {
        let logits = |most: u32, chunk| {
            let model = Arc::new(with("deepseek4", key, Some(MetaValue::U32(most))).unwrap());
            let logits = all_logits(&model, &tokens, Setup { chunk, ..Setup::new(kv) });
            logits.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let want = logits(5, 290);
        for chunk in [1, 7, 64, 129] {
            assert!(logits(5, chunk) == want, "{chunk}");
        }
        // As many entries as there are need no choice.
        let all = logits(72, 290);
        assert!(all != want && logits(1000, 7) == all && logits(71, 64) != all);
    }
}

#[test]
fn the_sizes_of_entries_and_streams_are_checked() {
    let name = |key: &str| format!("deepseek4.{key}");
    for key in ["top_k", "head_count", "key_length"].map(|key| format!("attention.indexer.{key}")) {
        refused("deepseek4", &name(&key), None);
    }
    for key in [
        "attention.sliding_window",
        "attention.compress_ratios",
        "attention.key_length",
        "attention.q_lora_rank",
        "attention.output_group_count",
        "attention.output_lora_rank",
        "attention.compress_rope_freq_base",
        "hyper_connection.count",
        "hyper_connection.sinkhorn_iterations",
        "hyper_connection.epsilon",
        "expert_gating_func",
        "expert_weights_norm",
        "expert_weights_scale",
        "swiglu_clamp_exp",
    ] {
        refused("deepseek4", &name(key), None);
    }
    let list = |v: &[u32]| Some(MetaValue::Array(v.iter().map(|n| MetaValue::U32(*n)).collect()));
    for ratios in [&[4, 0][..], &[4, 0, 8], &[4, 0, u32::MAX]] {
        refused("deepseek4", &name("attention.compress_ratios"), list(ratios));
    }
    for (key, v) in [
        ("attention.head_count_kv", 2),
        ("attention.value_length", 16),
        ("attention.indexer.key_length", 6),
        ("attention.output_group_count", 3),
        ("attention.output_lora_rank", 1 << 24),
        ("hyper_connection.count", 2),
        ("hyper_connection.sinkhorn_iterations", 1 << 20),
        ("expert_gating_func", 2),
    ] {
        refused("deepseek4", &name(key), Some(MetaValue::U32(v)));
    }
    // The last layer has what it takes to make entries, which is left over.
    let err = with("deepseek4", &name("attention.compress_ratios"), list(&[4, 0, 0])).map(|_| ()).unwrap_err();
    assert!(err.contains("blk.2.attn_compressor"), "{err}");
    // A list that is missing, and one that is left over.
    for (n, says) in [(3, "blk.2.ffn_gate_tid2eid"), (1, "blk.1.ffn_gate_tid2eid")] {
        let err = with("deepseek4", &name("hash_layer_count"), Some(MetaValue::U32(n))).map(|_| ()).unwrap_err();
        assert!(err.contains(says), "{err}");
    }
    // An expert that there is not.
    let whole = fixture("deepseek4");
    let table = whole.tensor_data(whole.tensor("blk.1.ffn_gate_tid2eid.weight").unwrap()).to_vec();
    let path = format!("{}/data/arch/deepseek4.gguf", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(path).unwrap();
    let at = file.windows(table.len()).position(|w| w == table).unwrap() + table.len() - 4;
    for bad in [4, -1] {
        let mut file = file.clone();
        file[at..at + 4].copy_from_slice(&i32::to_le_bytes(bad));
        let err = Model::from_gguf(Gguf::from_bytes(file).unwrap()).map(|_| ()).unwrap_err().to_string();
        assert!(err.contains("blk.1.ffn_gate_tid2eid.weight") && err.contains(&bad.to_string()), "{err}");
    }
    // The bound of the experts is that of the one that takes every row, where only that is said.
    let c = with("deepseek4", &name("swiglu_clamp_shexp"), None).unwrap().config().clone();
    assert_eq!(c.bounds.all, c.bounds.experts);
}

#[test]
fn an_indexer_chooses_neighbours_together() {
    let tokens: Vec<u32> = (0..90).map(|i| (i * i * 7 + 3) % 96).collect();
    let name = |key: &str| format!("glm5-next.{key}");
    let logits = |most: u32, chunk| {
        let key = name("attention.indexer.top_k");
        let model = Arc::new(with("glm5-next", &key, Some(MetaValue::U32(most))).unwrap());
        let logits = all_logits(&model, &tokens, Setup { chunk, ..Setup::new(KvType::F32) });
        logits.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let (want, all) = (logits(12, 90), logits(88, 90));
    for chunk in [1, 7, 64] {
        assert!(logits(12, chunk) == want && logits(88, chunk) == all, "{chunk}");
    }
    assert!(all != want && logits(1000, 7) == all && logits(84, 64) != all);
    for key in ["kpool", "top_k", "head_count", "key_length"].map(|key| format!("attention.indexer.{key}")) {
        refused("glm5-next", &name(&key), None);
    }
    for v in [0, 1, 5, 1 << 22] {
        refused("glm5-next", &name("attention.indexer.kpool"), Some(MetaValue::U32(v)));
    }
    refused("glm5-next", &name("attention.indexer.kpool_select_tail"), Some(MetaValue::Bool(false)));
    let list = |v: &[u32]| Some(MetaValue::Array(v.iter().map(|n| MetaValue::U32(*n)).collect()));
    refused("glm5-next", &name("attention.layer_norm_epsilon"), Some(MetaValue::F32(1e-5)));
    refused("glm5-next", &name("attention.indexer.types"), list(&[1, 0, 1, 1, 0]));
    let err = with("glm5-next", &name("attention.indexer.types"), list(&[1; 5])).map(|_| ()).unwrap_err();
    assert!(err.contains("blk.4.indexer"), "{err}");
}
