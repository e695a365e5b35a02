//! Reading the reference fixtures: a model, the tokens, and float32 reference logits of some positions.

use hewn_engine::{AdapterFile, LoadOptions, RopeOptions, RopeScaling};
use std::path::{Path, PathBuf};

/// One fixture.
pub struct Fixture {
    /// Its name.
    pub name: String,
    /// The model file.
    pub model: PathBuf,
    /// The whole input.
    pub tokens: Vec<u32>,
    /// The positions whose logits are kept.
    pub positions: Vec<usize>,
    /// `[positions, vocab]`.
    pub logits: Vec<f32>,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// The error of the leading C++ engine's quantized path on the same file.
    pub peer_nmse: f64,
    /// How often its best token is the reference's.
    pub peer_top1: f64,
    /// What changes the model.
    pub adapters: Vec<AdapterFile>,
    /// Its rotary positions, where the file says others.
    pub rope: RopeOptions,
}

impl Fixture {
    /// Reads `dir/name.{json,f32}`.
    pub fn read(dir: &Path, name: &str) -> Self {
        let json = std::fs::read_to_string(dir.join(format!("{name}.json"))).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let ints = |key: &str| json[key].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect::<Vec<_>>();
        let adapter = |a: &serde_json::Value| AdapterFile {
            path: dir.join(format!("{}.gguf", a[0].as_str().unwrap())),
            scale: a[1].as_f64().unwrap() as f32,
        };
        let raw = std::fs::read(dir.join(format!("{name}.f32"))).unwrap();
        Self {
            name: name.to_owned(),
            model: dir.join(json["model"].as_str().unwrap()),
            rope: rope(&json["rope"]),
            adapters: json["adapters"].as_array().into_iter().flatten().map(adapter).collect(),
            tokens: ints("tokens").iter().map(|t| *t as u32).collect(),
            positions: ints("positions").iter().map(|p| *p as usize).collect(),
            logits: raw.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            vocab: json["vocab"].as_u64().unwrap() as usize,
            peer_nmse: json["peer_nmse"].as_f64().unwrap(),
            peer_top1: json["peer_top1"].as_f64().unwrap(),
        }
    }

    /// How the model is opened, mapped or read.
    pub fn options(&self, mmap: bool) -> LoadOptions {
        LoadOptions { mmap, adapters: self.adapters.clone(), rope: self.rope.clone(), ..LoadOptions::default() }
    }

    /// The kept positions' rows of `all` (`[tokens, vocab]`).
    pub fn kept(&self, all: &[f32]) -> Vec<f32> {
        self.positions.iter().flat_map(|p| &all[p * self.vocab..(p + 1) * self.vocab]).copied().collect()
    }

    /// Share of the kept positions whose best token is the reference's.
    pub fn top1(&self, kept: &[f32]) -> f64 {
        let rows = kept.chunks(self.vocab).zip(self.logits.chunks(self.vocab));
        rows.filter(|(a, b)| crate::top(a) == crate::top(b)).count() as f64 / self.positions.len() as f64
    }
}

fn rope(json: &serde_json::Value) -> RopeOptions {
    let number = |key: &str| json[key].as_f64().map(|v| v as f32);
    RopeOptions {
        scaling: json["scaling"].as_str().map(|kind| match kind {
            "none" => RopeScaling::None,
            "linear" => RopeScaling::Linear,
            _ => RopeScaling::Yarn,
        }),
        scale: number("scale"),
        freq_base: number("freq_base"),
        yarn_orig_ctx: json["yarn_orig_ctx"].as_u64().map(|n| n as usize),
        yarn_ext_factor: number("yarn_ext_factor"),
        yarn_attn_factor: number("yarn_attn_factor"),
        yarn_beta_slow: number("yarn_beta_slow"),
        yarn_beta_fast: number("yarn_beta_fast"),
    }
}
