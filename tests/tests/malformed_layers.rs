//! Files whose layers are not all alike, with metadata and tensors that do not fit together.

use hewn_engine::Model;
use hewn_engine::loader::Gguf;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/data/arch/{name}.gguf", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn load(file: Vec<u8>) -> Result<Model, String> {
    Model::from_gguf(Gguf::from_bytes(file).unwrap()).map_err(|e| e.to_string())
}

fn find(file: &[u8], what: &str) -> usize {
    file.windows(what.len()).position(|w| w == what.as_bytes()).unwrap()
}

/// Sets the value of a key, or an item of its list.
fn set(file: &mut [u8], key: &str, item: Option<usize>, v: u32) {
    // The value lies behind its type; of a list, also behind the items' type and their number.
    let at = find(file, key) + key.len() + item.map_or(4, |item| 16 + 4 * item);
    file[at..at + 4].copy_from_slice(&v.to_le_bytes());
}

/// The model of a fixture with another value of a key, or of an item of its list.
fn with(name: &str, key: &str, item: Option<usize>, v: u32) -> Result<Model, String> {
    let mut file = file(name);
    set(&mut file, key, item, v);
    load(file)
}

/// That this is an error which says all of that.
fn refused(name: &str, key: &str, item: Option<usize>, v: u32, says: &[&str]) {
    let err = with(name, key, item, v).map(|_| ()).unwrap_err();
    assert!(says.iter().all(|s| err.contains(s)), "{key} = {v}: {err}");
}

/// The error of a file that has another name for a key or tensor.
fn without(name: &str, part: &str) -> String {
    let mut file = file(name);
    let at = find(&file, part);
    file[at + part.len() - 1] = b'x';
    load(file).map(|_| ()).unwrap_err()
}

/// Of Gemma 4: lists of sizes, shared caches, and what every layer gets.
#[test]
fn layers_that_differ_are_checked() {
    let model = with("gemma4", "attention.shared_kv_layers", None, 3).unwrap();
    let c = model.config();
    assert_eq!((c.caches(), (0..7).map(|i| c.cache_of(i)).collect::<Vec<_>>()), (4, vec![0, 1, 2, 3, 2, 3, 2]));
    let sizes = |i| (c.layer(i).kv_heads, c.layer(i).k_dim, c.layer(i).v_dim, c.layer(i).ff);
    assert_eq!((sizes(2), sizes(5)), ((2, 8, 8, 32), (2, 16, 16, 64)));
    assert_eq!(with("gemma4-dense", "vocab_size", None, 96).unwrap().config().layer(2).kv_heads, 1);
    // The file has keys and values for all layers, but a full layer that shares needs one before it.
    assert_eq!(with("gemma4", "attention.shared_kv_layers", None, 0).unwrap().config().caches(), 7);
    for v in [4, 5, 6, 7, u32::MAX] {
        refused("gemma4", "attention.shared_kv_layers", None, v, &["shared_kv_layers"]);
    }
    for v in [0, 3, 5, 1 << 25] {
        refused("gemma4-dense", "attention.head_count_kv", Some(2), v, &["head_count_kv"]);
    }
    refused("gemma4-dense", "attention.head_count_kv", Some(2), 4, &["blk.2.attn_k.weight"]);
    refused("gemma4-dense", "gemma4.block_count", None, 3, &["head_count_kv", "4 layers of 3"]);
    refused("gemma4", "feed_forward_length", Some(6), 0, &["feed_forward_length"]);
    refused("gemma4", "feed_forward_length", Some(6), 32, &["blk.6.ffn_"]);
    for v in [0, 1 << 23, u32::MAX] {
        refused("gemma4", "attention.key_length_swa", None, v, &["key_length_swa"]);
    }
    refused("gemma4", "attention.key_length_swa", None, 16, &["blk.0.attn_q.weight"]);
    for v in [0, 7, 10] {
        refused("gemma4", "rope.dimension_count_swa", None, v, &["dimension_count_swa"]);
    }
    refused("gemma4", "embedding_length_per_layer_input", None, 1 << 23, &["embedding_length_per_layer_input"]);
    refused("gemma4", "embedding_length_per_layer_input", None, 16, &["per_layer_token_embd.weight"]);
    refused("gemma4", "embedding_length_per_layer_input", None, 0, &["per_layer_"]);
    refused("gemma4-moe", "expert_feed_forward_length", None, 16, &["_exps.weight"]);
    for (name, part) in [
        ("gemma4", "attention.sliding_window_pattern"),
        ("gemma4", "rope_freqs.weight"),
        ("gemma4-dense", "blk.0.attn_k.weight"),
        ("gemma4-moe", "blk.1.ffn_gate_inp.scale"),
        ("gemma4-moe", "blk.1.ffn_gate_up_exps.weight"),
    ] {
        let err = without(name, part);
        assert!(err.contains(part) || err.contains("blk.1.ffn_"), "{part}: {err}");
    }
    // Others have all layers alike.
    let mut other = file("gemma4-dense");
    for at in 0..other.len() - 6 {
        if other[at..].starts_with(b"gemma4") {
            other[at + 5] = b'3';
        }
    }
    let err = load(other).map(|_| ()).unwrap_err();
    assert!(err.contains("differs from layer to layer"), "{err}");
}

/// Of LFM 2: which layers have key/value heads, and the sizes of the convolutions in the others.
#[test]
fn short_convolutions_are_checked() {
    let with = |key: &str, item, v| with("lfm2", key, item, v);
    let refused = |key: &str, item, v, says: &str| refused("lfm2", key, item, v, &[says]);
    let model = with("vocab_size", None, 96).unwrap();
    let c = model.config();
    let attending: Vec<usize> = (0..c.layers).filter(|i| c.attends(*i)).collect();
    assert_eq!((attending, c.kv_heads), (vec![2, 4], 2));
    for v in [0, 9, u32::MAX] {
        refused("shortconv.l_cache", None, v, "shortconv.l_cache");
    }
    refused("shortconv.l_cache", None, 2, "blk.0.shortconv.conv.weight");
    refused("attention.head_count_kv", Some(0), 2, "blk.0.attn_q.weight");
    refused("attention.head_count_kv", Some(2), 0, "blk.2.shortconv.in_proj.weight");
    refused("attention.head_count_kv", Some(2), 4, "differs between layers");
    refused("attention.head_count_kv", Some(2), u32::MAX, "head_count_kv");
    refused("lfm2.block_count", None, 7, "6 layers of 7");
    for part in
        ["shortconv.l_cache", "blk.0.shortconv.conv.weight", "blk.5.shortconv.in_proj.weight", "token_embd_norm"]
    {
        let err = without("lfm2", part);
        assert!(err.contains(part), "{part}: {err}");
    }
}

/// Of Granite's, Falcon's and Nemotron's hybrids: the sizes of state spaces, and what each layer is.
#[test]
fn state_spaces_are_checked() {
    let with = |name: &str, edits: &[(&str, Option<usize>, u32)]| {
        let mut file = file(name);
        edits.iter().for_each(|(key, item, v)| set(&mut file, key, *item, *v));
        load(file)
    };
    let refused = |name: &str, edits: &[(&str, Option<usize>, u32)], says: &str| {
        let err = with(name, edits).map(|_| ()).unwrap_err();
        assert!(err.contains(says), "{edits:?}: {err}");
    };
    let is = |name: &str| {
        let model = with(name, &[]).unwrap();
        let c = model.config();
        let of = |i| [c.recurrent_of(i).is_some(), c.attends(i), c.feeding.has(i)].map(|is| if is { '+' } else { '-' });
        (0..c.layers).map(|i| String::from_iter(of(i))).collect::<Vec<_>>()
    };
    assert_eq!(is("granitehybrid"), ["+-+", "-++", "+-+", "+-+", "-++"]);
    assert_eq!(is("falcon-h1"), ["+++"; 3]);
    assert_eq!(is("mamba2"), ["+--"; 3]);
    assert_eq!(is("nemotron_h_moe"), ["+--", "--+", "-+-", "--+"]);
    assert_eq!(is("nemotron_h"), ["+--", "--+", "+--", "-+-", "--+", "+--", "--+"]);
    for (key, wrong) in [
        ("ssm.conv_kernel", &[0, 9, u32::MAX][..]),
        ("ssm.group_count", &[0, 3, 8, u32::MAX]),
        ("ssm.time_step_rank", &[0, 5, 1 << 25]),
        ("ssm.state_size", &[0, 1 << 24, 1 << 25]),
        ("ssm.inner_size", &[0, 65, u32::MAX]),
    ] {
        for v in wrong {
            for name in ["granitehybrid", "nemotron_h"] {
                // Those have other groups.
                if !(name == "nemotron_h" && (key, *v) == ("ssm.time_step_rank", 5)) {
                    refused(name, &[(key, None, *v)], "ssm.");
                }
            }
        }
    }
    // Many heads of one channel are padded sixteenfold.
    let padded = [("ssm.time_step_rank", None, 1 << 18), ("ssm.inner_size", None, 1 << 18)];
    refused("granitehybrid", &padded, "ssm.state_size");
    refused("granitehybrid", &[("ssm.conv_kernel", None, 3)], "blk.0.ssm_conv1d.weight");
    refused("granitehybrid", &[("ssm.state_size", None, 16)], "blk.0.ssm_in.weight");
    refused("granitehybrid", &[("ssm.time_step_rank", None, 2)], "blk.0.ssm_in.weight");
    refused("granitehybrid-moe", &[("ssm.group_count", None, 1)], "blk.0.ssm_in.weight");
    let kv = "attention.head_count_kv";
    refused("granitehybrid", &[(kv, Some(1), 1)], kv);
    refused("granitehybrid", &[(kv, Some(1), u32::MAX)], kv);
    refused("granitehybrid", &[(kv, Some(1), 0), (kv, Some(4), 0)], "0 for all layers");
    refused("granitehybrid", &[(kv, Some(1), 3), (kv, Some(4), 3)], kv);
    refused("granitehybrid", &[("granitehybrid.block_count", None, 4)], "5 layers of 4");
    refused("granitehybrid", &[(kv, Some(1), 0)], "blk.1.ssm_in.weight");
    refused("granitehybrid", &[(kv, Some(0), 2)], "blk.0.attn_q.weight");
    refused("falcon-h1", &[(kv, None, 0)], kv);
    refused("nemotron_h", &[(kv, Some(1), 2)], "layer 1 has a feed-forward part too");
    refused("nemotron_h", &[("feed_forward_length", Some(1), 0)], "blk.1.ssm_in.weight");
    refused("nemotron_h", &[("feed_forward_length", Some(0), 48)], "blk.0.ffn_up.weight");
    refused("nemotron_h", &[("feed_forward_length", Some(1), 24)], "feed_forward_length");
    for (name, part) in [
        ("granitehybrid", "ssm.inner_size"),
        ("granitehybrid", "blk.0.ssm_a"),
        ("granitehybrid", "blk.0.ssm_d"),
        ("granitehybrid", "blk.0.ssm_dt.bias"),
        ("granitehybrid", "blk.0.ssm_norm.weight"),
        ("granitehybrid", "blk.0.ssm_out.weight"),
        ("falcon-h1", "blk.1.ssm_in.weight"),
        ("falcon-h1", "blk.1.attn_k.weight"),
        ("nemotron_h", "blk.1.attn_norm.weight"),
    ] {
        let err = without(name, part);
        assert!(err.contains(part), "{part}: {err}");
    }
}

/// Of Qwen 3.5: the sizes of gated delta nets, and which layers are such.
#[test]
fn delta_nets_are_checked() {
    let with = |name: &str, edits: &[(&str, u32)]| {
        let mut file = file(name);
        edits.iter().for_each(|(key, v)| set(&mut file, key, None, *v));
        load(file)
    };
    let refused = |name: &str, edits: &[(&str, u32)], says: &str| {
        let err = with(name, edits).map(|_| ()).unwrap_err();
        assert!(err.contains(says), "{edits:?}: {err}");
    };
    assert!(with("qwen35", &[("vocab_size", 96)]).unwrap().config().attends(3));
    for (key, wrong) in [
        ("ssm.conv_kernel", &[0, 9, u32::MAX][..]),
        ("ssm.group_count", &[0, 3, 8, u32::MAX]),
        ("ssm.time_step_rank", &[0, 1 << 25]),
        ("ssm.state_size", &[0, 1 << 25]),
        ("ssm.inner_size", &[0, 65, u32::MAX]),
        ("full_attention_interval", &[0, u32::MAX]),
    ] {
        for v in wrong {
            refused("qwen35", &[(key, *v)], key);
        }
    }
    refused("qwen35", &[("ssm.time_step_rank", 6)], "ssm.inner_size");
    refused("qwen35", &[("ssm.state_size", 1 << 24)], "ssm.inner_size");
    refused("qwen35", &[("ssm.state_size", 4096), ("ssm.inner_size", 4 * 4096)], "ssm.state_size");
    refused("qwen35", &[("ssm.conv_kernel", 3)], "blk.0.ssm_conv1d.weight");
    refused("qwen35", &[("ssm.group_count", 1)], "blk.0.");
    refused("qwen35", &[("full_attention_interval", 3)], "blk.2.");
    refused("qwen35", &[("attention.value_length", 4)], "attention.value_length");
    refused("qwen35-listed", &[("qwen35.block_count", 6)], "attention.recurrent_layers");
    // The first layer attends.
    let mut listed = file("qwen35-listed");
    let at = find(&listed, "recurrent_layers") + "recurrent_layers".len() + 16;
    listed[at] = 1;
    assert!(load(listed).map(|_| ()).unwrap_err().contains("blk.0."));
    for part in ["ssm.inner_size", "ssm.conv_kernel", "blk.0.ssm_a", "blk.0.ssm_dt.bias", "blk.4.attn_gate.weight"] {
        let err = without("qwen35", part);
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(without("qwen3next", "blk.1.ssm_ba.weight").contains("blk.1.ssm_ba.weight"));
}

/// Of the first Mamba and Jamba: the sizes of state spaces, and which layers are such or have experts.
#[test]
fn selective_state_spaces_are_checked() {
    let is = |name: &str| {
        let model = load(file(name)).unwrap();
        let c = model.config();
        let experts = |i| c.experts.as_ref().is_some_and(|e| e.in_layer(i));
        let of = |i| [c.recurrent_of(i).is_some(), c.attends(i), c.feeding.has(i), experts(i)];
        let row = |i| of(i).map(|is| if is { '+' } else { '-' });
        (0..c.layers).map(|i| String::from_iter(row(i))).collect::<Vec<_>>()
    };
    assert_eq!(is("mamba"), ["+---"; 3]);
    assert_eq!(is("jamba"), ["+-+-", "-+++", "-++-", "+-++"]);
    assert_eq!(is("jamba-dense"), ["+-+-", "-++-", "+-+-"]);
    for (key, wrong) in [
        ("ssm.conv_kernel", &[0, 9, u32::MAX][..]),
        ("ssm.time_step_rank", &[0, 1 << 25]),
        ("ssm.state_size", &[0, 1 << 24, 1 << 25]),
        ("ssm.inner_size", &[0, 1 << 24, u32::MAX]),
    ] {
        for v in wrong {
            refused("mamba", key, None, *v, &["ssm."]);
            refused("jamba", key, None, *v, &["ssm."]);
        }
    }
    refused("mamba", "ssm.conv_kernel", None, 3, &["blk.0.ssm_conv1d.weight"]);
    refused("mamba", "ssm.state_size", None, 16, &["blk.0.ssm_x.weight"]);
    refused("mamba", "ssm.time_step_rank", None, 5, &["blk.0.ssm_"]);
    refused("mamba", "ssm.inner_size", None, 48, &["blk.0.ssm_in.weight"]);
    let kv = "attention.head_count_kv";
    refused("jamba", kv, Some(1), 0, &["blk.1.ssm_"]);
    refused("jamba", kv, Some(0), 2, &["blk.0.attn_q.weight"]);
    for (name, part) in [
        ("mamba", "ssm.time_step_rank"),
        ("mamba", "blk.0.ssm_a"),
        ("mamba", "blk.0.ssm_d"),
        ("mamba", "blk.1.ssm_dt.bias"),
        ("mamba", "blk.2.ssm_out.weight"),
        ("jamba", "blk.0.ssm_dt_norm.weight"),
        ("jamba", "blk.3.ssm_c_norm.weight"),
        ("jamba", "blk.1.ffn_up_exps.weight"),
    ] {
        let err = without(name, part);
        assert!(err.contains(part), "{part}: {err}");
    }
    // The router of a layer tells that it has experts.
    assert!(without("jamba", "blk.1.ffn_gate_inp.weight").contains("blk.1.ffn_"));
}

/// Of Kimi Linear: the sizes of its delta nets, and which layers are such.
#[test]
fn channel_delta_nets_are_checked() {
    let model = load(file("kimi-linear")).unwrap();
    let c = model.config();
    assert_eq!([0, 1, 2, 3].map(|i| (c.attends(i), c.recurrent_of(i).is_some(), c.turned.has(i))), {
        let net = (false, true, false);
        [net, net, (true, false, false), net]
    });
    for (key, wrong) in [("ssm.conv_kernel", &[0, 9, u32::MAX][..]), ("kda.head_dim", &[0, 1 << 12, u32::MAX])] {
        for v in wrong {
            refused("kimi-linear", key, None, *v, &[key]);
        }
    }
    refused("kimi-linear", "kda.head_dim", None, 8, &["blk.0.attn_q.weight"]);
    refused("kimi-linear", "ssm.conv_kernel", None, 3, &["blk.0.ssm_conv1d_q.weight"]);
    let kv = "attention.head_count_kv";
    refused("kimi-linear", kv, Some(2), 0, &["0 for all layers"]);
    refused("kimi-linear", kv, Some(1), 1, &["blk.1.attn_q.weight"]);
    for part in [
        "attention.head_count_kv",
        "expert_gating_func",
        "kda.head_dim",
        "blk.0.ssm_f_b.weight",
        "blk.0.ssm_g_a.weight",
        "blk.0.ssm_conv1d_v.weight",
        "blk.1.ssm_beta.weight",
        "blk.1.ssm_a",
        "blk.3.ssm_dt.bias",
        "blk.2.attn_k_b.weight",
    ] {
        let err = without("kimi-linear", part);
        assert!(err.contains(part), "{part}: {err}");
    }
}

/// Of Gemma 3n: its residual streams, the part beside the attention, and gates that are cut off.
#[test]
fn residual_streams_are_checked() {
    let with = |key: &str, item, v| with("gemma3n", key, item, v);
    let refused = |key: &str, item, v, says: &str| refused("gemma3n", key, item, v, &[says]);
    let model = with("vocab_size", None, 96).unwrap();
    let c = model.config();
    assert_eq!((c.altup.map(|a| a.rank), c.caches(), c.cache_of(20), c.cache_of(21)), (Some(16), 20, 18, 19));
    assert!(c.cut_off(9).is_some_and(|v| (v - 1.6449).abs() < 1e-4) && c.cut_off(10).is_none());
    // What the file does not say is as in the published models.
    let mut silent = file("gemma3n");
    for key in ["activation_sparsity_scale", "altup.num_inputs", "altup.active_idx"] {
        let at = find(&silent, key);
        silent[at] = b'x';
    }
    let silent = load(silent).unwrap();
    assert_eq!((silent.config().cut_offs.len(), silent.config().unread.len()), (10, 3));
    for v in [0, 1, 3, 5, u32::MAX] {
        refused("altup.num_inputs", None, v, "altup.num_inputs");
    }
    for v in [1, 3, 4, u32::MAX] {
        refused("altup.active_idx", None, v, "altup.active_idx");
    }
    for v in [f32::NAN, f32::INFINITY] {
        refused("activation_sparsity_scale", Some(3), v.to_bits(), "activation_sparsity_scale");
    }
    refused("gemma3n.block_count", None, 21, "a list of");
    for v in [22, u32::MAX] {
        refused("attention.shared_kv_layers", None, v, "shared_kv_layers");
    }
    refused("embedding_length_per_layer_input", None, 32, "per_layer_token_embd.weight");
    // The second dimension of a tensor.
    for (part, rows, says) in [
        ("blk.0.laurel_l.weight", 8u64, "blk.0.laurel_r.weight"),
        ("blk.5.laurel_l.weight", 8, "blk.5.laurel_l.weight"),
        ("blk.5.altup_predict_coef.weight", 4, "blk.5.altup_predict_coef.weight"),
        ("blk.5.altup_router.weight", 3, "blk.5.altup_router.weight"),
        ("altup_unembd_proj.weight", 16, "altup_unembd_proj.weight"),
    ] {
        let mut file = file("gemma3n");
        let at = find(&file, part) + part.len() + 4 + 8;
        file[at..at + 8].copy_from_slice(&rows.to_le_bytes());
        let err = load(file).map(|_| ()).unwrap_err();
        assert!(err.contains(says), "{part}: {err}");
    }
    for part in [
        "attention.shared_kv_layers",
        "embedding_length_per_layer_input",
        "altup_proj.weight",
        "altup_unembd_proj.weight",
        "blk.0.laurel_l.weight",
        "blk.21.laurel_r.weight",
        "blk.7.laurel_post_norm.weight",
        "blk.7.altup_router.weight",
        "blk.7.altup_router_norm.weight",
        "blk.7.altup_predict_coef.weight",
        "blk.7.altup_correct_coef.weight",
        "blk.7.altup_correct_scale.weight",
    ] {
        let err = without("gemma3n", part);
        assert!(err.contains(part), "{part}: {err}");
    }
}
