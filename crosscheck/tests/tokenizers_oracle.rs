//! The crate `tokenizers` as an independent oracle: built from the same vocabularies with the published patterns, it must
//! give the same ids on generated texts. Needs `../shared` beside the repository.

use hewn_engine::loader::{Gguf, OpenOptions};
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer as Ours, VocabSource};
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer as Theirs};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const BAILING: &str =
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const SEED_CODER: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const JAIS: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|",
    r"\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|",
    r"\s{1,2}(?!\S)|\s{1}"
);
const EXAONE_MOE: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
);
const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const KIMI: &str = concat!(
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
/// The letters are written as code points: some of them would not survive a tool that normalises text.
const DEEPSEEK_LLM: [&str; 6] = [
    "[\r\n]",
    concat!(
        r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ",
        "\u{1f5f}-\u{1f7d}ᾀ-ᾴᾶ-ᾼ\u{1fbe}ῂ-ῄῆ-ῌ\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212a}-ℭ",
        "ℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
    ),
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    "[一-龥\u{800}-一가-\u{d7ff}]+",
    r"\p{N}+",
];
const DEEPSEEK_CODER: [&str; 5] = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥\u{800}-一가-\u{d7ff}]+", r"\p{N}"];

/// xorshift64*: the texts are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn char(&mut self, ranges: &[(u32, u32)]) -> Option<char> {
        let (a, b) = ranges[self.below(ranges.len())];
        char::from_u32(a + self.below((b - a + 1) as usize) as u32)
    }
}

const WORDS: [&str; 28] = [
    "HTTPServer",
    "XML",
    "ǅunđa",
    "中A",
    "the",
    "Hello",
    "don't",
    "I'M",
    "we'Ve",
    "they'LL",
    "x'ſ",
    "'Re",
    "naïve",
    "Größe",
    "e\u{301}te",
    "Привет",
    "γειά",
    "שלום",
    "مرحبا",
    "हिन्दी",
    "中文字",
    "日本語",
    "カタカナ",
    "한국어",
    "ภาษาไทย",
    "კატა",
    "fn",
    "λx",
];
const MARKS: [&str; 26] = [
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    " \n ",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "!",
    "...",
    "(",
    ")",
    "'",
    "\"",
    "==",
    "-",
    "。",
    "，",
    "😶\u{200d}🌫\u{fe0f}",
    "🦙",
];
/// Long-assigned characters, for libraries differ in their Unicode version.
const BLOCKS: [(u32, u32); 16] = [
    (0x20, 0x7e),
    (0x20, 0x7e),
    (0, 0x1f),
    (0xa1, 0x17f),
    (0x300, 0x36f),
    (0x391, 0x3a1),
    (0x410, 0x44f),
    (0x5d0, 0x5ea),
    (0x905, 0x939),
    (0x2010, 0x2027),
    (0x2190, 0x21ff),
    (0x2150, 0x2188),
    (0x3041, 0x3096),
    (0x4e00, 0x9fa5),
    (0xff01, 0xff5e),
    (0x1f600, 0x1f64f),
];

/// A text of words, marks, digits, stray characters, and pieces of the vocabulary.
fn text(r: &mut Random, pieces: &[&str], special: &[String]) -> String {
    let mut s = String::new();
    for _ in 0..1 + r.below(40) {
        match r.below(12) {
            0..3 => s.push_str(r.pick(&WORDS)),
            3..6 => s.push_str(r.pick(&MARKS)),
            6 => (0..1 + r.below(7)).for_each(|_| s.push(char::from(b'0' + r.below(10) as u8))),
            7 => (0..1 + r.below(5)).for_each(|_| s.extend(r.char(&BLOCKS))),
            8 => (0..r.below(12)).for_each(|_| s.push_str([" ", "a", "\n", "ab"][r.below(4)])),
            9 if !special.is_empty() && r.below(4) == 0 => s.push_str(&special[r.below(special.len())]),
            _ if !pieces.is_empty() => s.push_str(r.pick(pieces)),
            _ => s.push(' '),
        }
    }
    s
}

fn split(pattern: &str) -> PreTokenizerWrapper {
    let pattern = SplitPattern::Regex(pattern.into());
    Split::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap().into()
}

fn utf8(b: &[u8]) -> String {
    String::from_utf8(b.to_vec()).unwrap()
}

/// Special tokens of ours: theirs must know them, too.
fn add_tokens(theirs: &mut Theirs, source: &VocabSource<'_>) -> Vec<String> {
    let kinds = source.types.as_ref().unwrap();
    let of = |kind| {
        let list = source.tokens.iter().zip(kinds).filter(move |(_, k)| **k == kind);
        list.map(|(t, _)| AddedToken::from(utf8(t), kind == 3).normalized(false)).collect::<Vec<_>>()
    };
    let (control, user) = (of(3), of(4));
    theirs.add_special_tokens(&control);
    theirs.add_tokens(&user);
    control.into_iter().chain(user).map(|t| t.content).collect()
}

/// Compares the ids of generated texts.
fn compare(name: &str, ours: &Ours, theirs: &Theirs, special: &[String]) {
    let texts: Vec<String> = (0..ours.vocab_size() as u32)
        .filter_map(|id| String::from_utf8(ours.token_bytes(id, false).to_vec()).ok())
        .filter(|s| !s.is_empty() && !s.starts_with("[PAD"))
        .collect();
    let pieces: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut r = Random(0x9e37_79b9_7f4a_7c15);
    let options = EncodeOptions { add_special: false, parse_special: true };
    let (mut tokens, mut bad) = (0, Vec::new());
    let rounds = 600;
    for _ in 0..rounds {
        let text = text(&mut r, &pieces, special);
        let want = theirs.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
        let have = ours.encode(&text, &options);
        tokens += want.len();
        if want != have {
            let at = want.iter().zip(&have).take_while(|(a, b)| a == b).count();
            let show = |ids: &[u32]| ids.iter().skip(at).take(6).map(|i| ours.token_text(*i)).collect::<Vec<_>>();
            bad.push(format!("{text:?}\n  theirs {:?}\n  ours   {:?}", show(&want), show(&have)));
        }
    }
    println!("{name}: {} of {rounds} texts equal, {tokens} tokens", rounds - bad.len());
    assert!(bad.is_empty(), "{name}:\n{}", bad[..bad.len().min(5)].join("\n"));
}

/// Runs `f` with the vocabulary `name`, if there is one.
fn with(name: &str, f: impl FnOnce(VocabSource<'_>, Ours)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vocab").join(name).with_extension("gguf");
    if !path.is_file() {
        eprintln!("skipped: no ../shared");
        return;
    }
    let gguf = Gguf::open(&path, &OpenOptions::default()).unwrap();
    f(VocabSource::from_gguf(&gguf).unwrap(), Ours::from_gguf(&gguf).unwrap());
}

/// `pre`: a pre-tokenizer to put in place of the file's own.
fn byte_level(name: &str, pre: Option<&'static str>, patterns: &[&str], ignore_merges: bool) {
    with(name, |mut source, mut ours| {
        if pre.is_some() {
            source.pre = pre;
            ours = Ours::new(source.clone()).unwrap();
        }
        let vocab = source.tokens.iter().zip(0..).map(|(t, i)| (utf8(t), i)).collect::<ahash::AHashMap<_, _>>();
        let merges = source.merges.as_ref().unwrap().iter().map(|m| {
            let m = utf8(m);
            let (a, b) = m.split_once(' ').unwrap();
            (a.to_owned(), b.to_owned())
        });
        let builder = BPE::builder().vocab_and_merges(vocab, merges.collect()).ignore_merges(ignore_merges);
        let mut theirs = Theirs::new(builder.build().unwrap());
        let mut stages: Vec<PreTokenizerWrapper> = patterns.iter().map(|p| split(p)).collect();
        stages.push(ByteLevel::new(false, false, false).into());
        theirs.with_pre_tokenizer(Some(Sequence::new(stages)));
        let special = add_tokens(&mut theirs, &source);
        compare(pre.unwrap_or(name), &ours, &theirs, &special);
    });
}

#[test]
fn gpt2() {
    byte_level("gpt-2", None, &[GPT2], false);
}

#[test]
fn llama_bpe() {
    byte_level("llama-bpe", None, &[LLAMA3], true);
}

#[test]
fn qwen2() {
    byte_level("qwen2", None, &[QWEN2], false);
}

#[test]
fn qwen35() {
    byte_level("qwen35", None, &[QWEN35], false);
}

#[test]
fn deepseek_llm() {
    byte_level("deepseek-llm", None, &DEEPSEEK_LLM, false);
}

#[test]
fn deepseek_coder() {
    byte_level("deepseek-coder", None, &DEEPSEEK_CODER, false);
}

#[test]
fn starcoder() {
    byte_level("starcoder", None, &[r"\p{N}", GPT2], false);
}

/// Pre-tokenizers without a vocabulary here, on those of others.
#[test]
fn other_pre_tokenizers() {
    let v3 = concat!(
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    );
    byte_level("qwen2", Some("deepseek-v3"), &[r"\p{N}{1,3}", "[一-龥\u{3040}-ゟ゠-ヿ]+", v3], false);
    let blocks = concat!(
        "[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{f900}-\u{faff}\u{3040}-\u{309f}\u{30a0}-\u{30ff}\u{ff65}-\u{ff9f}",
        "\u{2f00}-\u{2fdf}\u{e40}-\u{e7f}\u{e80}-\u{eff}\u{1780}-\u{17ff}\u{1000}-\u{109f}\u{aa60}-\u{aa7f}",
        "\u{a9e0}-\u{a9ff}\u{ac00}-\u{d7af}\u{1100}-\u{11ff}]+"
    );
    byte_level("qwen2", Some("afmoe"), &[r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))", blocks, v3], false);
    let spark = concat!(
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
        r"| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"
    );
    let stages = [r"\p{N}{1,3}", "[一-龥\u{3040}-ゟ゠-ヿ]+", spark, r"\p{N}"];
    byte_level("qwen2", Some("spark2_5"), &stages, false);
    byte_level("qwen2", Some("superbpe"), &[r"\p{N}+", r"(?=(\d{3})+(?!\d))"], false);
    byte_level("qwen2", Some("jais-2"), &[JAIS], false);
    byte_level("qwen2", Some("laguna"), &[r"[^\n]+|[\n]+", QWEN2], false);
    byte_level("llama-bpe", Some("minicpm5"), &[r"\p{N}{1,3}", &LLAMA3.replace("{1,3}", "+")], true);
    byte_level("qwen2", Some("exaone-moe"), &[EXAONE_MOE], false);
    byte_level("qwen2", Some("solar-open"), &[QWEN2], false);
    byte_level("qwen2", Some("glm4"), &[LLAMA3], false);
    byte_level("qwen2", Some("bailingmoe"), &[BAILING], false);
    byte_level("qwen2", Some("seed-coder"), &[SEED_CODER], false);
    byte_level("llama-bpe", Some("gpt-4o"), &[O200K], false);
    byte_level("llama-bpe", Some("kimi-k2"), &[KIMI], false);
    byte_level("llama-bpe", Some("tiny_aya"), &[r"\d{1,3}(?=(?:\d{3})*\b)", O200K], false);
    byte_level("llama-bpe", Some("tekken"), &[TEKKEN], true);
    byte_level("gpt-2", Some("bloom"), &[BLOOM], false);
    byte_level("gpt-2", Some("viking"), &[BLOOM, r"\p{N}"], false);
    byte_level("gpt-2", Some("falcon"), &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"], false);
    byte_level("gpt-2", Some("default"), &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], false);
}

/// Merges over characters, with marks for spaces; runs of line ends are merged like any other text.
#[test]
fn gemma_4() {
    with("gemma-4", |source, ours| {
        let vocab = source.tokens.iter().zip(0..).map(|(t, i)| (utf8(t), i)).collect::<ahash::AHashMap<_, _>>();
        let merges = source.merges.as_ref().unwrap().iter().map(|m| {
            let m = utf8(m);
            let (a, b) = m.split_once(' ').unwrap();
            (a.to_owned(), b.to_owned())
        });
        let builder = BPE::builder().vocab_and_merges(vocab, merges.collect()).byte_fallback(true);
        let mut theirs = Theirs::new(builder.unk_token("<unk>".into()).fuse_unk(true).build().unwrap());
        theirs.with_normalizer(Some(Replace::new(" ", "▁").unwrap()));
        let special = add_tokens(&mut theirs, &source);
        compare("gemma-4", &ours, &theirs, &special);
    });
}

/// The published conversion of a SentencePiece vocabulary: a merge for every cut of a token, the best score first.
#[test]
fn llama_spm() {
    with("llama-spm", |source, ours| {
        let vocab = source.tokens.iter().zip(0..).map(|(t, i)| (utf8(t), i)).collect::<ahash::AHashMap<_, _>>();
        let scores = source.scores.as_ref().unwrap();
        let tokens: Vec<&[u8]> = source.tokens.iter().collect();
        let mut order: Vec<usize> = (0..scores.len()).filter(|i| source.types.as_ref().unwrap()[*i] == 1).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut merges = Vec::new();
        for id in order {
            let t = utf8(tokens[id]);
            let cuts = t.char_indices().skip(1).map(|(i, _)| t.split_at(i));
            let known = cuts.filter(|(a, b)| vocab.contains_key(*a) && vocab.contains_key(*b));
            merges.extend(known.map(|(a, b)| (a.to_owned(), b.to_owned())));
        }
        let builder = BPE::builder().vocab_and_merges(vocab, merges).byte_fallback(true).unk_token("<unk>".into());
        let mut theirs = Theirs::new(builder.fuse_unk(true).build().unwrap());
        let normalizers = vec![Prepend::new("▁".into()).into(), Replace::new(" ", "▁").unwrap().into()];
        theirs.with_normalizer(Some(Normalizers::new(normalizers)));
        let special = add_tokens(&mut theirs, &source);
        compare("llama-spm", &ours, &theirs, &special);
    });
}
