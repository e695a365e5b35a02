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

/// The vocabularies of `data/vocab`, whose families lose spaces or case.
const OWN: [&str; 2] = ["t5", "bert"];

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/vocab").join(name)
}

/// The texts beside a vocabulary, and their ids.
fn expected(path: &Path) -> Vec<(String, Vec<u32>)> {
    let input = std::fs::read_to_string(path.with_extension("inp")).unwrap();
    let expected = std::fs::read_to_string(path.with_extension("out")).unwrap();
    let texts: Vec<&str> = input.split("\n__ggml_vocab_test__\n").collect();
    let lines: Vec<&str> = expected.strip_suffix('\n').unwrap_or(&expected).split('\n').collect();
    // The text after the last separator is empty, and has no line.
    assert!(
        texts.len() == lines.len() || texts.len() == lines.len() + 1,
        "{}: {} texts, {} lines",
        path.display(),
        texts.len(),
        lines.len()
    );
    let ids = |line: &str| line.split_whitespace().map(|id| id.parse().unwrap()).collect();
    texts.iter().zip(&lines).map(|(text, line)| ((*text).to_owned(), ids(line))).collect()
}

#[test]
fn expected_ids_of_families_that_lose_something() {
    for (name, begins) in OWN.into_iter().zip([false, true]) {
        let path = own(name);
        let (tokenizer, ms) = open(&path.with_extension("gguf"));
        assert_eq!((tokenizer.add_bos(), tokenizer.add_eos()), (begins, true), "{name}");
        let all = expected(&path);
        let plain = EncodeOptions::default();
        for (text, want) in &all {
            let have = tokenizer.encode(text, &plain);
            assert_eq!(have, *want, "{name}: {text:?}");
            let framed = tokenizer.encode(text, &EncodeOptions { add_special: true, parse_special: false });
            let begin = tokenizer.bos().filter(|_| begins);
            assert_eq!(framed, begin.into_iter().chain(have).chain(tokenizer.eos()).collect::<Vec<_>>());
        }
        println!("{name}: {} texts, loaded in {ms:.1} ms", all.len());
    }
    let (t5, _) = open(&own("t5.gguf"));
    let ids = t5.encode(" the  kernels read<extra_id_0>", &EncodeOptions::default());
    assert_eq!(t5.decode(&ids, false), b"the kernels read<extra_id_0>");
    let (bert, _) = open(&own("bert.gguf"));
    let text = "[CLS]The KERNELS";
    let parse_special = EncodeOptions { add_special: false, parse_special: true };
    assert_eq!(bert.encode(text, &parse_special)[0], bert.bos().unwrap());
    assert_ne!(bert.encode(text, &EncodeOptions::default())[0], bert.bos().unwrap());
    assert_eq!(bert.decode(&bert.encode(text, &parse_special), false), b"the kernels");
}

#[test]
fn expected_ids_of_plamo() {
    let (tokenizer, ms) = open(&own("plamo2.gguf"));
    assert_eq!((tokenizer.add_bos(), tokenizer.add_eos()), (true, false));
    let all = expected(&own("plamo2.inp"));
    for (text, want) in &all {
        let have = tokenizer.encode(text, &EncodeOptions::default());
        assert_eq!(have, *want, "{text:?}");
        // A byte order mark in front is lost.
        let kept = text.strip_prefix('\u{feff}').unwrap_or(text);
        assert_eq!(tokenizer.decode(&have, false), kept.as_bytes(), "{text:?}");
    }
    println!("plamo2: {} texts, loaded in {ms:.1} ms", all.len());
    // Control tokens are made on request only.
    let text = "<|plamo:op|>語";
    let parse_special = EncodeOptions { add_special: false, parse_special: true };
    assert_eq!(tokenizer.encode(text, &parse_special)[0], 4);
    assert!(!tokenizer.encode(text, &EncodeOptions::default()).contains(&4));
}

#[test]
fn expected_ids() {
    let Some(dir) = shared() else { return };
    let mut failures = Vec::new();
    for name in NAMES {
        let path = dir.join("vocab").join(name);
        let (tokenizer, ms) = open(&path.with_extension("gguf"));
        let all = expected(&path);
        let mut good = 0;
        for (text, want) in &all {
            let have = tokenizer.encode(text, &EncodeOptions::default());
            let back = tokenizer.decode(&have, false);
            let framed = tokenizer.encode(text, &EncodeOptions { add_special: true, parse_special: false });
            let begin = tokenizer.bos().filter(|_| tokenizer.add_bos());
            let end = tokenizer.eos().filter(|_| tokenizer.add_eos());
            assert_eq!(
                framed,
                begin.into_iter().chain(have.clone()).chain(end).collect::<Vec<_>>(),
                "{name}: {text:?}"
            );
            if have != *want {
                failures.push(format!("{name}: {text:?}\n  want {want:?}\n  have {have:?}"));
            } else if back != text.as_bytes() {
                failures.push(format!("{name}: {text:?} came back as {:?}", String::from_utf8_lossy(&back)));
            } else {
                good += 1;
            }
        }
        println!("{name}: {good} of {} texts, loaded in {ms:.1} ms", all.len());
        let begins = ["gemma-4", "llama-bpe", "deepseek-llm", "deepseek-coder", "llama-spm", "phi-3"].contains(&name);
        assert_eq!(tokenizer.add_bos(), begins, "{name}: whether texts begin with a token of their own");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// xorshift64*: the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as u32 % n
    }

    /// Any character, the common ones more often.
    fn char(&mut self) -> char {
        let (from, to) =
            [(0, 0x7f), (0x20, 0x7e), (0x80, 0x7ff), (0x800, 0xffff), (0x1_0000, 0x10_ffff), (0x1f300, 0x1faff)]
                [self.below(6) as usize];
        char::from_u32(from + self.below(to - from + 1)).unwrap_or(' ')
    }
}

/// Every text comes back exactly, byte for byte. By design, two things do not: `▁` is how the SentencePiece style writes
/// a space, and some byte-level vocabularies lack tokens for bytes that they never met (control characters, or lead
/// bytes of scripts), which are then left out.
#[test]
fn any_text_comes_back() {
    let Some(dir) = shared() else { return };
    for name in NAMES {
        let (tokenizer, _) = open(&dir.join("vocab").join(name).with_extension("gguf"));
        let options = EncodeOptions { add_special: false, parse_special: false };
        let mut random = Random(42);
        let byte_level = tokenizer.model_name() == "gpt2";
        let lacks = |b: &u8| byte_level && tokenizer.token_id(&glyph(*b).to_string()).is_none();
        let lacking: Vec<u8> = (0..=255).filter(lacks).collect();
        println!("{name}: bytes without a token: {lacking:02x?}");
        assert!(lacking.len() < 40, "{name}");
        for round in 0..3000 {
            let mut text = String::new();
            for _ in 0..random.below(30) {
                match random.below(4) {
                    0 => {
                        let id = random.below(tokenizer.vocab_size() as u32);
                        text.push_str(&String::from_utf8_lossy(tokenizer.token_bytes(id, true)));
                    }
                    1 => (0..random.below(9)).for_each(|_| text.push_str([" ", "\n", "a", "0"][round % 4])),
                    _ => text.push(random.char()),
                }
            }
            if !byte_level {
                text = text.replace('▁', "");
            }
            let ids = tokenizer.encode(&text, &options);
            let back = tokenizer.decode(&ids, true);
            let kept: Vec<u8> = text.bytes().filter(|b| !lacking.contains(b)).collect();
            assert_eq!(back, kept, "{name}: {text:?} as {ids:?}");
        }
    }
}

/// The character by which byte-level vocabularies write a byte.
fn glyph(byte: u8) -> char {
    let prints = |b: &u8| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let shifted = (0..byte).filter(|b| !prints(b)).count() as u32;
    if prints(&byte) { byte.into() } else { char::from_u32(0x100 + shifted).unwrap() }
}

/// A text of one thing, over and over, takes time and memory in proportion. Were it the square, this would never end.
/// `HEWN_TEST_TEXT`: another length in bytes.
#[test]
fn long_texts_of_one_thing() {
    let dir = shared().unwrap_or_default();
    let size = std::env::var("HEWN_TEST_TEXT").map_or(1 << 18, |n| n.parse().unwrap());
    for path in NAMES.map(|n| dir.join("vocab").join(n)).into_iter().chain(OWN.map(own)) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let file = path.with_extension("gguf");
        if !file.is_file() {
            continue;
        }
        let (tokenizer, _) = open(&file);
        let exact = !OWN.contains(&name);
        let options = EncodeOptions { add_special: false, parse_special: true };
        for unit in ["a", "A", " ", "\n", "\t", "7", "!", "'", "<", "=", "🦙", "中", "é", "ab ", "a\n", "\r\n ", "<|"]
        {
            let text = unit.repeat(size / unit.len());
            let start = Instant::now();
            let ids = tokenizer.encode(&text, &options);
            let seconds = start.elapsed().as_secs_f64();
            println!("{name:16} {unit:8?} {:8} tokens {:6.1} MB/s", ids.len(), text.len() as f64 / 1e6 / seconds);
            if exact {
                assert!(tokenizer.decode(&ids, true) == text.as_bytes(), "{name}: {unit:?}");
            }
        }
    }
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
