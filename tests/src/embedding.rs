//! Reading the fixtures of `data/embed`: a model, texts as tokens, reference rows and vectors.

use hewn_engine::embed::TextPooling;
use std::path::{Path, PathBuf};

/// One fixture.
pub struct EmbedFixture {
    /// Its name.
    pub name: String,
    /// The model file.
    pub model: PathBuf,
    /// Texts.
    pub texts: Vec<Vec<u32>>,
    /// Numbers of a vector.
    pub width: usize,
    /// What becomes of rows.
    pub pooling: TextPooling,
    /// Where the second part of the first text begins, if there is a reference of that.
    pub second: Option<usize>,
    /// Of all texts, `[tokens, dim]`.
    pub rows: Vec<f32>,
    /// `[texts, width]`
    pub vectors: Vec<f32>,
    /// Of the first text in two parts.
    pub second_vector: Vec<f32>,
    /// How far llama.cpp's vectors are from the reference.
    pub peer_nmse: f64,
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/embed")
}

/// All of them.
pub fn embed_fixtures() -> Vec<EmbedFixture> {
    let files = std::fs::read_dir(dir()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter_map(|f| f.strip_suffix(".gguf").map(str::to_owned)).collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    names.iter().map(|name| EmbedFixture::read(name)).collect()
}

impl EmbedFixture {
    /// Reads `data/embed/name.{json,f32}`.
    pub fn read(name: &str) -> Self {
        let dir = dir();
        let json = std::fs::read_to_string(dir.join(format!("{name}.json"))).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let texts: Vec<Vec<u32>> = serde_json::from_value(json["texts"].clone()).unwrap();
        let number = |key: &str| json[key].as_u64().map(|n| n as usize);
        let raw = std::fs::read(dir.join(format!("{name}.f32"))).unwrap();
        let mut all: Vec<f32> = raw.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let (width, second) = (number("width").unwrap(), number("second"));
        let second_vector = all.split_off(all.len() - second.map_or(0, |_| width));
        let vectors = all.split_off(all.len() - texts.len() * width);
        Self {
            name: name.to_owned(),
            model: dir.join(format!("{name}.gguf")),
            texts,
            width,
            pooling: TextPooling::ALL[number("pooling").unwrap()],
            second,
            rows: all,
            vectors,
            second_vector,
            peer_nmse: json["peer_nmse"][1].as_f64().unwrap(),
        }
    }
}
