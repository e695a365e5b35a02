//! Both families over vocabularies that are made here.

use super::*;
use crate::generate::{FinishReason, Thinking, assemble};

/// How a byte is written in the visible alphabet.
fn glyph(byte: u8) -> char {
    let spells = |c: &char| {
        let mut out = Vec::new();
        bytes::spell(c.to_string().as_bytes(), &mut out);
        out == [byte]
    };
    (0x21..0x200).filter_map(char::from_u32).find(spells).unwrap()
}

fn glyphs(text: &str) -> String {
    text.bytes().map(glyph).collect()
}

/// Tokens with types and merges; owns what a [`VocabSource`] borrows.
#[derive(Default)]
struct Parts {
    tokens: Vec<String>,
    types: Vec<i64>,
    scores: Vec<f32>,
    merges: Vec<String>,
}

impl Parts {
    fn add(&mut self, text: &str, kind: i64) -> u32 {
        self.tokens.push(text.into());
        self.types.push(kind);
        self.scores.push(0.0);
        self.tokens.len() as u32 - 1
    }

    fn merge(&mut self, left: &str, right: &str) -> u32 {
        let (l, r) = (glyphs(left), glyphs(right));
        self.merges.push(format!("{l} {r}"));
        self.add(&(l + &r), 1)
    }

    fn source(&self, model: &'static str) -> VocabSource<'_> {
        VocabSource {
            model,
            tokens: self.tokens.iter().map(|t| t.as_bytes()).collect::<Vec<_>>().into(),
            types: Some(self.types.clone()),
            scores: Some(self.scores.clone()),
            merges: Some(self.merges.iter().map(|t| t.as_bytes()).collect::<Vec<_>>().into()),
            ..VocabSource::default()
        }
    }
}

/// All bytes, a few merges, special tokens.
fn byte_level() -> Parts {
    let mut p = Parts::default();
    for b in 0..=255 {
        p.add(&glyph(b).to_string(), 1);
    }
    for (l, r) in [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), (" ", "hello"), ("a", "a"), ("aa", "aa")] {
        p.merge(l, r);
    }
    p.add("<|im_end|>", 3);
    p.add("<think>", 4);
    p.add("[gone]", 5);
    p
}

/// Characters, pieces with scores, byte tokens.
fn sentence() -> Parts {
    let mut p = Parts::default();
    p.add("<unk>", 2);
    p.add("<s>", 3);
    p.add("</s>", 3);
    for b in 0..=255u8 {
        p.add(&format!("<0x{b:02X}>"), 6);
    }
    for (t, score) in [("▁", -9.0), ("a", -9.0), ("b", -9.0), ("ab", -2.0), ("ba", -1.0), ("▁a", -3.0), ("▁ab", -4.0)]
    {
        let id = p.add(t, 1);
        p.scores[id as usize] = score;
    }
    p
}

fn make(parts: &Parts, model: &'static str) -> Tokenizer {
    Tokenizer::new(parts.source(model)).unwrap()
}

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const SPECIAL: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };

fn texts(t: &Tokenizer, ids: &[u32]) -> Vec<String> {
    ids.iter().map(|id| t.token_text(*id).unwrap().into_owned()).collect()
}

#[test]
fn byte_level_merges_by_rank() {
    let t = make(&byte_level(), "gpt2");
    let ids = t.encode("hello hello hell aaaaa", &PLAIN);
    assert_eq!(texts(&t, &ids), ["hello", "Ġhello", "Ġ", "hell", "Ġ", "aaaa", "a"]);
    assert_eq!(t.decode(&ids, false), b"hello hello hell aaaaa");
    assert!(t.encode("", &PLAIN).is_empty());
}

/// A token that merges never make stays unmade, however often its text comes by.
#[test]
fn what_is_learned_changes_nothing() {
    let mut p = byte_level();
    let unmade = p.add(&glyphs("xyz"), 1);
    let t = make(&p, "gpt2");
    for _ in 0..3 {
        let ids = t.encode("xyz hello", &PLAIN);
        assert_eq!(texts(&t, &ids), ["x", "y", "z", "Ġhello"]);
        assert!(!ids.contains(&unmade));
        let fresh = make(&p, "gpt2").encode("hello xyz", &PLAIN);
        assert_eq!(t.encode("hello xyz", &PLAIN), fresh);
    }
    let mut p = sentence();
    p.add("▁bab", 1);
    let t = make(&p, "llama");
    for _ in 0..3 {
        assert_eq!(texts(&t, &t.encode("bab", &PLAIN)), ["▁", "ba", "b"]);
        assert_eq!(texts(&t, &t.encode("ab", &PLAIN)), ["▁ab"]);
    }
}

#[test]
fn special_tokens() {
    let t = make(&byte_level(), "gpt2");
    let (end, think) = (t.token_id("<|im_end|>").unwrap(), t.token_id("<think>").unwrap());
    let text = "<think>hello<|im_end|>";
    let ids = t.encode(text, &SPECIAL);
    assert_eq!(ids, [think, t.token_id("hello").unwrap(), end]);
    assert_eq!(t.decode(&ids, true), text.as_bytes());
    assert_eq!(t.decode(&ids, false), b"<think>hello");
    let ids = t.encode(text, &PLAIN);
    assert!(ids[0] == think && !ids.contains(&end));
    assert_eq!(t.decode(&ids, false), text.as_bytes());
    assert!(t.is_control(end) && !t.is_control(think));
    assert!(t.is_eog(end) && t.eot() == Some(end) && t.eos().is_none() && !t.is_eog(think));
    // An unused token is never made from text, and shown only on request.
    let gone = t.token_id("[gone]").unwrap();
    assert!(!t.encode("[gone]", &SPECIAL).contains(&gone));
    assert_eq!((t.token_bytes(gone, false), t.token_bytes(gone, true)), (&b""[..], &b"[gone]"[..]));
}

#[test]
fn gemma_4_ends_turns_and_waits_for_tools() {
    let mut parts = byte_level();
    let [start, end, think, thought] = ["<|turn>", "<turn|>", "<|channel>", "<channel|>"]
        .map(|mark| parts.add(mark, if mark.contains("turn") { 3 } else { 4 }));
    let tool = parts.add("<|tool_response>", 4);
    let t = make(&parts, "gpt2");
    assert_eq!([start, end, think, thought, tool].map(|id| t.is_eog(id)), [false, true, false, false, true]);
    let said = |text: &str| {
        let think = Thinking { parse: true, opened: None, budget: None };
        let said = assemble(&t, think, t.encode(text, &SPECIAL), FinishReason::MaxTokens);
        (said.reasoning, said.text)
    };
    assert_eq!(said("<|channel>thought\nwhy<channel|>yes<turn|>"), ("why".into(), "yes".into()));
    assert_eq!(said("<|channel>thought\n<channel|>yes"), (String::new(), "yes".into()));
    // Control tokens in the files of the first converters.
    let mut old = byte_level();
    ["<|channel>", "<channel|>"].iter().for_each(|mark| {
        old.add(mark, 3);
    });
    let t = make(&old, "gpt2");
    let think = Thinking { parse: true, opened: None, budget: None };
    let said = assemble(&t, think, t.encode("<|channel>thought\nwhy<channel|>yes", &SPECIAL), FinishReason::MaxTokens);
    assert_eq!((said.reasoning.as_str(), said.text.as_str()), ("why", "yes"));
}

#[test]
fn a_turn_of_several_messages_ends_with_the_last() {
    let mut parts = byte_level();
    let marks = ["<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>"];
    marks.iter().for_each(|mark| {
        parts.add(mark, 3);
    });
    let ends = |t: &Tokenizer| ["<|end|>", "<|return|>"].map(|mark| t.is_eog(t.token_id(mark).unwrap()));
    assert_eq!(ends(&make(&parts, "gpt2")), [true, true]);
    // gpt-oss: reasoning, then the answer.
    parts.add("<|call|>", 3);
    let t = make(&parts, "gpt2");
    assert_eq!(ends(&t), [false, true]);
    let said = |text: &str, parse| {
        let think = Thinking { parse, opened: None, budget: None };
        let said = assemble(&t, think, t.encode(text, &SPECIAL), FinishReason::MaxTokens);
        (said.reasoning, said.text)
    };
    let both = "<|channel|>analysis<|message|>why<|end|><|start|>assistant<|channel|>final<|message|>yes<|channel|>";
    assert_eq!(said(both, true), ("why".into(), "yes".into()));
    assert_eq!(said("<|channel|>final<|message|>yes", true), (String::new(), "yes".into()));
    assert_eq!(said("<think>a</think>b", true), ("a".into(), "b".into()));
    assert_eq!(said("<|channel|>final", false), (String::new(), "final".into()));
}

#[test]
fn characters_split_over_tokens() {
    let t = make(&byte_level(), "gpt2");
    let ids = t.encode("é🦙", &PLAIN);
    assert_eq!(ids.len(), 6);
    let mut joined = Vec::new();
    for id in &ids {
        let b = t.token_bytes(*id, false);
        assert!(b.len() == 1 && std::str::from_utf8(b).is_err());
        joined.extend_from_slice(b);
    }
    assert_eq!(joined, "é🦙".as_bytes());
}

#[test]
fn sentence_merges_by_score() {
    let t = make(&sentence(), "llama");
    let ids = t.encode("aba", &PLAIN);
    // `ba` has the best score; then `▁a`.
    assert_eq!(texts(&t, &ids), ["▁a", "ba"]);
    assert_eq!(t.decode(&ids, false), b"aba");
    assert_eq!(texts(&t, &t.encode("ab  ab", &PLAIN)), ["▁ab", "▁", "▁ab"]);
    // Text after a special token gets its space as well.
    assert_eq!(texts(&t, &t.encode("ab</s>ab", &SPECIAL)), ["▁ab", "</s>", "▁ab"]);
    // Spelling out a control token does not make one.
    assert!(!t.encode("<s>", &PLAIN).contains(&1));
}

#[test]
fn sentence_byte_fallback() {
    let t = make(&sentence(), "llama");
    let ids = t.encode("é\n", &PLAIN);
    assert_eq!(texts(&t, &ids), ["▁", "<0xC3>", "<0xA9>", "<0x0A>"]);
    assert_eq!(t.decode(&ids, false), "é\n".as_bytes());
    assert_eq!(t.token_id("<0xC3>"), Some(ids[1]));
    // Without the byte tokens: the unknown token, once a character.
    let mut p = sentence();
    for k in p.types.iter_mut().filter(|k| **k == 6) {
        *k = 5;
    }
    let t = Tokenizer::new(VocabSource { unknown: Some(0), ..p.source("llama") }).unwrap();
    assert_eq!(texts(&t, &t.encode("é\n", &PLAIN)), ["▁", "<unk>", "<unk>"]);
    assert_eq!(texts(&make(&p, "llama"), &make(&p, "llama").encode("é", &PLAIN)), ["▁"]);
}

#[test]
fn sentence_space_prefix_and_decoding() {
    let p = sentence();
    let t = Tokenizer::new(VocabSource { add_space_prefix: Some(false), ..p.source("llama") }).unwrap();
    assert_eq!(texts(&t, &t.encode(" a", &PLAIN)), ["▁a"]);
    assert_eq!(t.decode(&t.encode(" a", &PLAIN), false), b" a");
    let source = VocabSource { bos: Some(1), eos: Some(2), add_eos: Some(true), ..p.source("llama") };
    let t = Tokenizer::new(source).unwrap();
    let ids = t.encode(" a", &EncodeOptions { add_special: true, parse_special: false });
    assert_eq!(texts(&t, &ids), ["<s>", "▁", "▁a", "</s>"]);
    assert_eq!(t.decode(&ids, false), b" a");
    assert_eq!(t.decode(&ids, true), b"<s>  a</s>");
    assert!(t.is_eog(2) && !t.is_eog(1));
}

#[test]
fn sentence_tokens_across_words() {
    let mut p = sentence();
    let id = p.add("a▁b", 1);
    p.scores[id as usize] = -0.5;
    p.add("a▁", 1);
    let t = make(&p, "llama");
    assert_eq!(texts(&t, &t.encode("a b", &PLAIN)), ["▁", "a▁b"]);
}

#[test]
fn phi3_control_tokens_take_the_space_behind() {
    let mut p = sentence();
    let user = p.add("<|user|>", 3);
    p.add("<|endoftext|>", 3);
    let t = Tokenizer::new(VocabSource { name: Some("Phi3"), ..p.source("llama") }).unwrap();
    let ids = t.encode("<|user|>\n ab<|endoftext|> ab", &SPECIAL);
    assert_eq!(texts(&t, &ids), ["<|user|>", "▁ab", "<|endoftext|>", "▁", "▁ab"]);
    let ids = make(&p, "llama").encode("<|user|>\nab", &SPECIAL);
    assert_eq!(ids[0], user);
    assert_eq!(texts(&t, &ids[1..]), ["▁", "<0x0A>", "ab"]);
}

#[test]
fn long_texts_of_one_letter() {
    for (parts, model) in [(byte_level(), "gpt2"), (sentence(), "llama")] {
        let t = make(&parts, model);
        for unit in ["a", "b", "é", " ", "ab"] {
            let text = unit.repeat(2_000_000 / unit.len());
            let ids = t.encode(&text, &PLAIN);
            assert_eq!(t.decode(&ids, false), text.as_bytes(), "{model} {unit:?}");
        }
    }
}

#[test]
fn ids_out_of_range() {
    let t = make(&byte_level(), "gpt2");
    let n = t.vocab_size() as u32;
    assert_eq!(t.decode(&[104, n, u32::MAX, 105], true), b"hi");
    assert!(t.token_text(n).is_none() && t.token_bytes(n, true).is_empty());
    assert!(!t.is_control(n) && !t.is_eog(n));
}

#[test]
fn missing_bytes_are_left_out() {
    let mut p = byte_level();
    p.types[7] = 5;
    let t = make(&p, "gpt2");
    assert_eq!(t.decode(&t.encode("h\u{7}i", &PLAIN), false), b"hi");
}

fn error(change: impl Fn(&mut VocabSource<'_>)) -> String {
    let parts = byte_level();
    let mut source = parts.source("gpt2");
    change(&mut source);
    Tokenizer::new(source).unwrap_err().to_string()
}

#[test]
fn malformed_vocabularies() {
    let cases: [(&str, String); 13] = [
        ("`tokenizer.ggml.tokens` is empty", error(|s| (s.tokens, s.types) = (Strings::default(), Some(vec![])))),
        ("`tokenizer.ggml.token_type` has 3 elements, but there are 266 tokens", error(|s| s.types = Some(vec![1; 3]))),
        ("`tokenizer.ggml.token_type`[0] is 9, known types are 0 to 6", error(|s| s.types = Some(vec![9; 266]))),
        ("`tokenizer.ggml.merges` is missing", error(|s| s.merges = None)),
        ("`tokenizer.ggml.merges`[0] is \"ab\", which", error(|s| s.merges = Some(vec![&b"ab"[..]].into()))),
        ("`tokenizer.ggml.merges`[1] is \"x y\", but", error(|s| s.merges = Some(vec![&b"h e"[..], b"x y"].into()))),
        ("`tokenizer.ggml.bos_token_id` is 266, but there are only 266 tokens", error(|s| s.bos = Some(266))),
        ("`tokenizer.ggml.eos_token_id` is 4294967295", error(|s| s.eos = Some(u32::MAX))),
        (
            "`tokenizer.ggml.add_bos_token` is true, but `tokenizer.ggml.bos_token_id`",
            error(|s| s.add_bos = Some(true)),
        ),
        (
            "`tokenizer.ggml.model` is \"nonesuch\", which is not supported (supported: gpt2,",
            error(|s| s.model = "nonesuch"),
        ),
        ("`tokenizer.ggml.pre` is \"nonesuch\", which is not supported (supported: default,", {
            error(|s| s.pre = Some("nonesuch"))
        }),
        ("`tokenizer.ggml.scores` has 1 elements", { error(|s| (s.model, s.scores) = ("llama", Some(vec![0.0]))) }),
        ("`tokenizer.ggml.scores`[265] is not a number", {
            error(|s| {
                s.model = "llama";
                s.scores.as_mut().unwrap()[265] = f32::NAN;
            })
        }),
    ];
    for (want, have) in cases {
        assert!(have.starts_with(want), "want {want}\nhave {have}");
    }
    let long = vec![b'x'; 70_000];
    let e = Tokenizer::new(VocabSource {
        model: "llama",
        tokens: vec![&long[..]].into(),
        scores: Some(vec![0.0]),
        ..Default::default()
    });
    assert!(matches!(e, Err(TokenizerError::TooLarge { have: 70_000, .. })));
    let tokens: Vec<&[u8]> = vec![b"<0xZZ>"];
    let e = Tokenizer::new(VocabSource {
        model: "llama",
        tokens: tokens.into(),
        types: Some(vec![6]),
        scores: Some(vec![0.0]),
        ..Default::default()
    });
    assert!(matches!(e, Err(TokenizerError::ByteToken { id: 0, .. })));
}

#[test]
fn repeated_tokens_are_tolerated() {
    let mut p = byte_level();
    let again = p.add(&glyphs("hello"), 1);
    let t = make(&p, "gpt2");
    let ids = t.encode("hello", &PLAIN);
    assert!(ids.len() == 1 && ids[0] < again);
    assert_eq!(t.decode(&[again], false), b"hello");
}

#[test]
fn shared_between_threads() {
    fn check<T: Send + Sync>(_: &T) {}
    check(&make(&byte_level(), "gpt2"));
}

#[test]
fn rwkv_takes_the_longest_token() {
    let mut p = Parts::default();
    let start = p.add("<s>", 3);
    for b in 0..=255u8 {
        p.add(&format!("\\x{b:02x}"), 1);
    }
    let long = ["ab", "abcd", "\\n\\n", "\\'", "\\\\", "\\xe4\\xbd"].map(|text| p.add(text, 1));
    p.add("[PAD]", 5);
    let t = Tokenizer::new(p.source("rwkv")).unwrap();
    let encode = |text: &str| t.encode(text, &EncodeOptions { add_special: true, parse_special: false });
    let byte = |b: u8| 1 + u32::from(b);
    assert_eq!(encode("abcabcd"), [long[0], byte(b'c'), long[1]]);
    assert_eq!(encode("\n\n\n"), [long[2], byte(b'\n')]);
    // Of equal ones the lowest.
    assert_eq!(encode("'\\"), [byte(b'\''), byte(b'\\')]);
    // A token may end within a character.
    assert_eq!(encode("你"), [long[5], byte(0xa0)]);
    assert_eq!(t.decode(&encode("你好<s>[PAD]\t"), false), "你好<s>[PAD]\t".as_bytes());
    let special = t.encode("<s>", &EncodeOptions { add_special: false, parse_special: true });
    assert_eq!(special, [start]);
}

#[test]
fn no_score_of_plamo_is_out_of_bounds() {
    let mut p = Parts::default();
    for b in 0..=255u8 {
        p.add(&format!("<0x{b:02X}>"), 6);
    }
    let strange = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN, f32::MIN, f32::MAX];
    let ids = ["a", "b", "c", "d", "ef"].map(|text| p.add(text, 1));
    ids.iter().zip(strange).for_each(|(id, score)| p.scores[*id as usize] = score);
    let t = Tokenizer::new(p.source("plamo2")).unwrap();
    // Of these only the last is one that a text becomes; the others are bytes.
    let encode = |text: &str| t.encode(text, &EncodeOptions { add_special: true, parse_special: false });
    assert_eq!(encode("abcdef"), [97, 98, 99, 100, ids[4]]);
    assert_eq!(encode("ee"), [101, 101]);
}

#[test]
fn word_pieces_have_capitals_where_the_file_says_so() {
    let mut p = Parts::default();
    let (unknown, cls, sep) = (p.add("[UNK]", 3), p.add("[CLS]", 3), p.add("[SEP]", 3));
    let [small, large, accent, rest] = ["▁ete", "▁Ete", "▁\u{c9}te", "s"].map(|t| p.add(t, 1));
    let tokens = |lowercase, strip_accents| {
        let ids = VocabSource { unknown: Some(unknown), cls: Some(cls), separator: Some(sep), ..p.source("bert") };
        let t = Tokenizer::new(VocabSource { lowercase, strip_accents, ..ids }).unwrap();
        t.encode("Etes \u{c9}te", &EncodeOptions { add_special: true, parse_special: false })
    };
    assert_eq!(tokens(None, None), [cls, small, rest, small, sep]);
    assert_eq!(tokens(Some(false), None), [cls, large, rest, accent, sep]);
    assert_eq!(tokens(Some(false), Some(true)), [cls, large, rest, large, sep]);
    assert_eq!(tokens(Some(true), Some(false)), [cls, small, rest, unknown, sep]);
}
