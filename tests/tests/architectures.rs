//! What architectures take for granted where a file does not say, and which of their files are refused.

use hewn_engine::loader::{Gguf, GgufWriter, MetaValue};
use hewn_engine::{Model, ModelConfig};

fn fixture(name: &str) -> Gguf {
    let path = format!("{}/data/arch/{name}.gguf", env!("CARGO_MANIFEST_DIR"));
    Gguf::from_bytes(std::fs::read(path).unwrap()).unwrap()
}

/// The fixture without a key, or with another value of it.
fn with(name: &str, key: &str, value: Option<MetaValue>) -> Result<Model, String> {
    let gguf = fixture(name);
    let mut w = GgufWriter::new();
    gguf.metadata().iter().filter(|(k, _)| *k != key).try_for_each(|(k, v)| w.value(k, &v)).unwrap();
    value.map(|v| w.meta(key, v).unwrap());
    let mut data = Vec::new();
    for t in gguf.tensors() {
        w.tensor(&t.name, &t.dims, Some(t.dtype)).unwrap();
        data.push(gguf.tensor_data(t));
    }
    let mut file = Vec::new();
    w.write_to(&mut file, data).unwrap();
    Model::from_gguf(Gguf::from_bytes(file).unwrap()).map_err(|e| e.to_string())
}

/// That this is an error about the key.
fn refused(name: &str, key: &str, value: Option<MetaValue>) {
    let err = with(name, key, value).map(|_| ()).unwrap_err();
    assert!(err.contains(key), "{key}: {err}");
}

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
