//! Real vocabularies: the expected ids of every text, and the way back. Needs `../shared` beside the repository.

use hewn_engine::loader::{Gguf, OpenOptions};
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer};
use std::path::{Path, PathBuf};
use std::time::Instant;

const NAMES: [&str; 10] = [
    "gemma-4",
    "gpt-2",
    "llama-bpe",
    "qwen2",
    "qwen35",
    "deepseek-llm",
    "deepseek-coder",
    "starcoder",
    "llama-spm",
    "phi-3",
];

fn shared() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if !dir.is_dir() {
        eprintln!("skipped: no ../shared");
        return None;
    }
    Some(dir)
}

fn open(path: &Path) -> (Tokenizer, f64) {
    let gguf = Gguf::open(path, &OpenOptions::default()).unwrap();
    let start = Instant::now();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    (tokenizer, start.elapsed().as_secs_f64() * 1e3)
}

#[test]
fn expected_ids() {
    let Some(dir) = shared() else { return };
    let mut failures = Vec::new();
    for name in NAMES {
        let path = dir.join("vocab").join(name);
        let (tokenizer, ms) = open(&path.with_extension("gguf"));
        let input = std::fs::read_to_string(path.with_extension("inp")).unwrap();
        let expected = std::fs::read_to_string(path.with_extension("out")).unwrap();
        let texts: Vec<&str> = input.split("\n__ggml_vocab_test__\n").collect();
        let lines: Vec<&str> = expected.strip_suffix('\n').unwrap_or(&expected).split('\n').collect();
        // The text after the last separator is empty, and has no line.
        assert!(
            texts.len() == lines.len() || texts.len() == lines.len() + 1,
            "{name}: {} texts, {} lines",
            texts.len(),
            lines.len()
        );
        let mut good = 0;
        for (text, line) in texts.iter().zip(&lines) {
            let want: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
            let have = tokenizer.encode(text, &EncodeOptions::default());
            let back = tokenizer.decode(&have, false);
            if have != want {
                failures.push(format!("{name}: {text:?}\n  want {want:?}\n  have {have:?}"));
            } else if back != text.as_bytes() {
                failures.push(format!("{name}: {text:?} came back as {:?}", String::from_utf8_lossy(&back)));
            } else {
                good += 1;
            }
        }
        println!("{name}: {good} of {} texts, loaded in {ms:.1} ms", lines.len());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn story_model_prompts() {
    let Some(dir) = shared() else { return };
    let golden = std::fs::read(dir.join("models/stories260k.greedy.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    let stories = golden.as_array().unwrap();
    assert!(!stories.is_empty());
    for file in ["stories260k.gguf", "stories260k-v1.gguf"] {
        let (tokenizer, _) = open(&dir.join("models").join(file));
        let ids = |v: &serde_json::Value| -> Vec<u32> {
            v.as_array().unwrap().iter().map(|id| id.as_u64().unwrap().try_into().unwrap()).collect()
        };
        let options = EncodeOptions { add_special: true, parse_special: false };
        for story in stories {
            let prompt = story["prompt"].as_str().unwrap();
            let want = ids(&story["prompt_tokens"]);
            assert_eq!(tokenizer.encode(prompt, &options), want, "{file}: {prompt:?}");
            assert_eq!(tokenizer.decode(&want, false), prompt.as_bytes(), "{file}");
        }
    }
}
