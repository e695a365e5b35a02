//! Rotary positions other than files say: against llama.cpp, and what is refused.

use hewn_engine::loader::Gguf;
use hewn_engine::{KvType, LoadOptions, Model, RopeOptions, RopeScaling};
use hewn_tests::fixture::Fixture;
use hewn_tests::{Setup, all_logits, nmse};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// A model of `data/arch` with these rotary positions.
fn with(name: &str, rope: RopeOptions) -> Result<Model, String> {
    let file = std::fs::read(data().join(format!("arch/{name}.gguf"))).unwrap();
    Model::changed(Gguf::from_bytes(file).unwrap(), Vec::new(), &rope).map_err(|e| e.to_string())
}

fn yarn(scale: f32) -> RopeOptions {
    RopeOptions { scaling: Some(RopeScaling::Yarn), scale: Some(scale), ..RopeOptions::default() }
}

#[test]
fn the_peer_computes_the_same() {
    let dir = data().join("changed");
    for name in
        ["rope-yarn", "rope-yarn-mixed", "rope-yarn-alike", "rope-linear", "rope-none", "rope-rescaled", "rope-windows"]
    {
        let f = Fixture::read(&dir, name);
        assert!(f.rope.any() && f.peer_nmse > 1e-3, "{name}: positions that change much");
        let model = Arc::new(Model::open(&f.model, &f.options(true)).unwrap());
        let err = nmse(&f.kept(&all_logits(&model, &f.tokens, Setup::new(KvType::F32))), &f.logits);
        println!("{name}: nmse {err:.2e}");
        assert!(err <= 1e-9, "{name}: {err:e}");
    }
}

#[test]
fn the_context_grows_with_the_scale() {
    let file = with("seed_oss", RopeOptions::default()).unwrap().config().ctx;
    let grown = |rope| with("seed_oss", rope).unwrap().config().ctx;
    assert_eq!(
        [grown(yarn(4.0)), grown(RopeOptions { scale: Some(3.0), ..RopeOptions::default() })],
        [4 * file, 3 * file]
    );
    assert_eq!(grown(RopeOptions { yarn_orig_ctx: Some(100), ..yarn(8.0) }), 800);
    // Never less than the file says.
    assert_eq!(grown(RopeOptions { yarn_orig_ctx: Some(10), ..yarn(2.0) }), file);
    assert_eq!(grown(RopeOptions { scale: Some(0.5), ..RopeOptions::default() }), file);
    assert_eq!(grown(RopeOptions { freq_base: Some(2.0), ..RopeOptions::default() }), file);
    // Another base, by as much as the slowest pair: of 4 pairs it is the fourth, whose frequency is base^(-3/4).
    assert_eq!(grown(RopeOptions { freq_base: Some(160_000.0), ..RopeOptions::default() }), 8 * file);
    // What the file says is already stretched.
    let plain = with("llama-yarn", RopeOptions::default()).unwrap().config().ctx;
    let longer = with("llama-yarn", RopeOptions { scale: Some(8.0), ..RopeOptions::default() }).unwrap().config().ctx;
    assert_eq!(longer, 2 * plain);
}

#[test]
fn positions_behind_the_file_s_context_have_the_same_bits() {
    let model = Arc::new(with("seed_oss", yarn(4.0)).unwrap());
    let n = model.config().ctx as u32 - 3;
    let tokens: Vec<u32> = (0..n).map(|i| (i * 31 + 5) % 96).collect();
    let run = |chunk, threads| {
        let setup = Setup { chunk, threads, ..Setup::new(KvType::F16) };
        all_logits(&model, &tokens, setup).iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    assert!(run(512, 1) == run(77, 2));
}

#[test]
fn models_with_rules_of_their_own_are_refused() {
    for name in ["gpt2", "bloom", "mamba", "rwkv7", "jais", "granite-unturned"] {
        let e = with(name, yarn(2.0)).map(|_| ()).unwrap_err();
        assert!(e.contains("no rotary positions"), "{name}: {e}");
    }
    for name in ["deepseek2-whole", "deepseek4", "minicpm3", "phi3-long", "grok-2"] {
        let e = with(name, yarn(2.0)).map(|_| ()).unwrap_err();
        assert!(e.contains("a rule of its own"), "{name}: {e}");
    }
    for name in ["cohere2", "exaone4-windows", "smallthinker-windows"] {
        let e = with(name, yarn(2.0)).map(|_| ()).unwrap_err();
        assert!(e.contains("with a window only"), "{name}: {e}");
    }
    assert!(with("gpt2", RopeOptions::default()).is_ok());
}

/// Layers with a window keep the file's positions where others have none.
#[test]
fn windows_are_not_stretched() {
    for name in ["gpt-oss", "gemma3-linear", "olmo3"] {
        let Ok(model) = with(name, yarn(2.0)) else { panic!("{name}") };
        let (before, after) = (with(name, RopeOptions::default()).unwrap(), model.config().clone());
        let local = before.config().local_rope.clone().unwrap_or(before.config().rope.clone());
        assert!(after.rope != before.config().rope && after.local_rope == Some(local), "{name}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let plain = RopeOptions::default;
    for (rope, said) in [
        (yarn(0.5), "below 1"),
        (yarn(0.0), "rope-scale"),
        (yarn(-1.0), "rope-scale"),
        (yarn(f32::NAN), "rope-scale"),
        (yarn(f32::INFINITY), "rope-scale"),
        (yarn(1e9), "out of any bounds"),
        (RopeOptions { scale: Some(f32::MIN_POSITIVE), ..plain() }, ""),
        (RopeOptions { scaling: Some(RopeScaling::Yarn), ..plain() }, "needs a scale"),
        (RopeOptions { scaling: Some(RopeScaling::Linear), ..plain() }, "needs a scale"),
        (RopeOptions { scaling: Some(RopeScaling::None), scale: Some(2.0), ..plain() }, "rope-scale"),
        (RopeOptions { freq_base: Some(1.0), ..plain() }, "rope-freq-base"),
        (RopeOptions { freq_base: Some(f32::NAN), ..plain() }, "rope-freq-base"),
        (RopeOptions { freq_base: Some(f32::MAX), ..plain() }, "out of any bounds"),
        (RopeOptions { yarn_orig_ctx: Some(64), ..plain() }, "yarn-orig-ctx"),
        (RopeOptions { yarn_orig_ctx: Some(0), ..yarn(2.0) }, "yarn-orig-ctx"),
        (RopeOptions { yarn_orig_ctx: Some(usize::MAX), ..yarn(2.0) }, "yarn-orig-ctx"),
        (RopeOptions { yarn_ext_factor: Some(-1.0), ..yarn(2.0) }, "yarn-ext-factor"),
        (RopeOptions { yarn_attn_factor: Some(0.0), ..yarn(2.0) }, "yarn-attn-factor"),
        (RopeOptions { yarn_beta_slow: Some(f32::NAN), ..yarn(2.0) }, "yarn-beta-slow"),
        (RopeOptions { yarn_beta_fast: Some(0.0), ..yarn(2.0) }, "yarn-beta-fast"),
        (
            RopeOptions { scaling: Some(RopeScaling::Linear), scale: Some(2.0), yarn_beta_fast: Some(8.0), ..plain() },
            "YaRN",
        ),
    ] {
        match with("seed_oss", rope.clone()) {
            Ok(model) => assert!(said.is_empty() && model.config().ctx > 0, "{rope:?}"),
            Err(e) => assert!(!said.is_empty() && e.contains(said), "{rope:?}: {e}"),
        }
    }
    assert!(!LoadOptions::default().rope.any());
}
