//! Pre-tokenizers of byte-level vocabularies: how a text falls into the pieces within which merges happen.
//!
//! A pre-tokenizer is a chain of stages. A stage finds the matches of one published pattern from left to right; matches
//! and the gaps between them are the pieces that the next stage splits further. The patterns are written as small state
//! machines, linear in the text. A new pre-tokenizer is one entry of [`PRE_TOKENIZERS`].

mod cased;
mod chameleon;
pub(super) mod class;
mod deepseek;
mod gpt2;
mod grouped;
mod llama3;

use class::{WS, is, run};

/// Where a stage's next match lies; empty at the end of the text when there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    start: usize,
    end: usize,
}

type Stage = fn(&str) -> Match;

/// A pre-tokenizer: its names in files, its stages, and what else depends on it.
#[derive(Debug)]
pub struct PreTokenizer {
    /// Values of `tokenizer.ggml.pre`.
    pub names: &'static [&'static str],
    stages: &'static [Stage],
    /// A piece that is a token as a whole is that token, whatever the merges say.
    pub whole_pieces: bool,
    /// Whether BOS is added where the file does not say.
    pub add_bos: bool,
}

const PLAIN: PreTokenizer = PreTokenizer { names: &[], stages: &[], whole_pieces: false, add_bos: false };

/// The pre-tokenizers. The first is that of a file that does not name one.
pub static PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer {
        names: &["default"],
        stages: &[gpt2::punctuation, gpt2::words, gpt2::numbers, gpt2::three_digits],
        ..PLAIN
    },
    PreTokenizer {
        names: &[
            "gpt-2",
            "phi-2",
            "jina-v1-en",
            "jina-v2-code",
            "roberta-bpe",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
            "modern-bert",
        ],
        stages: &[gpt2::words],
        ..PLAIN
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        stages: &[llama3::llama3],
        whole_pieces: true,
        add_bos: true,
    },
    PreTokenizer { names: &["dbrx", "smaug-bpe", "chatglm-bpe", "glm4"], stages: &[llama3::llama3], ..PLAIN },
    PreTokenizer { names: &["glm5"], stages: &[llama3::llama3], whole_pieces: true, ..PLAIN },
    PreTokenizer {
        names: &["minicpm5"],
        stages: &[deepseek::up_to_three_digits, llama3::llama3],
        whole_pieces: true,
        ..PLAIN
    },
    PreTokenizer { names: &["jais-2"], stages: &[llama3::llama3, llama3::halves_of_spaces], ..PLAIN },
    PreTokenizer {
        names: &[
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "megrez",
            "stablelm2",
            "hunyuan",
            "grok-2",
            "bailingmoe",
            "bailingmoe2",
            "llada-moe",
            "solar-open",
        ],
        stages: &[llama3::qwen2],
        ..PLAIN
    },
    PreTokenizer { names: &["laguna"], stages: &[lines, llama3::qwen2], ..PLAIN },
    PreTokenizer { names: &["qwen35"], stages: &[llama3::qwen35], ..PLAIN },
    PreTokenizer { names: &["seed-coder"], stages: &[llama3::seed_coder], ..PLAIN },
    PreTokenizer { names: &["exaone-moe"], stages: &[llama3::exaone_moe], ..PLAIN },
    PreTokenizer { names: &["gpt-4o", "talkie", "llama4", "kanana2", "minimax-m2"], stages: &[cased::o200k], ..PLAIN },
    PreTokenizer {
        names: &["tiny_aya", "cohere2moe"],
        stages: &[grouped::number_words, grouped::threes_of_digits, cased::o200k],
        ..PLAIN
    },
    PreTokenizer { names: &["kimi-k2"], stages: &[cased::kimi], ..PLAIN },
    PreTokenizer { names: &["tekken"], stages: &[cased::tekken], whole_pieces: true, add_bos: true },
    PreTokenizer {
        names: &["deepseek-llm"],
        stages: &[
            deepseek::line_end,
            deepseek::cased_letters,
            deepseek::marks_and_ascii,
            deepseek::trailing_spaces,
            deepseek::east_asian,
            gpt2::numbers,
        ],
        ..PLAIN
    },
    PreTokenizer {
        names: &["deepseek-coder"],
        stages: &[deepseek::line_end, deepseek::letters, deepseek::punctuation, deepseek::east_asian, gpt2::digit],
        ..PLAIN
    },
    PreTokenizer {
        names: &["deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm"],
        stages: &[deepseek::up_to_three_digits, deepseek::han_and_kana, deepseek::v3_words],
        ..PLAIN
    },
    PreTokenizer {
        names: &["spark2_5"],
        stages: &[deepseek::up_to_three_digits, deepseek::han_and_kana, deepseek::spark_words, gpt2::digit],
        ..PLAIN
    },
    PreTokenizer { names: &["superbpe"], stages: &[gpt2::numbers, grouped::up_to_threes, grouped::threes], ..PLAIN },
    PreTokenizer {
        names: &["afmoe"],
        stages: &[
            gpt2::numbers,
            grouped::threes_of_numbers,
            deepseek::up_to_three_digits,
            deepseek::scripts,
            deepseek::v3_words,
        ],
        ..PLAIN
    },
    PreTokenizer {
        names: &["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
        stages: &[gpt2::digit, gpt2::words],
        ..PLAIN
    },
    PreTokenizer {
        names: &["falcon"],
        stages: &[gpt2::punctuation_backtick, gpt2::words, gpt2::three_digits],
        ..PLAIN
    },
    PreTokenizer {
        names: &["chameleon"],
        stages: &[chameleon::sentinel, chameleon::image, chameleon::blanks, gpt2::digit, chameleon::mark, gpt2::words],
        add_bos: true,
        ..PLAIN
    },
    PreTokenizer { names: &["bloom", "poro-chat", "gpt3-finnish"], stages: &[gpt2::bloom], ..PLAIN },
    PreTokenizer { names: &["viking"], stages: &[gpt2::bloom, gpt2::digit], ..PLAIN },
];

impl PreTokenizer {
    /// The pre-tokenizer of a name; none: that of a file that does not name one.
    pub fn find(name: Option<&str>) -> Option<&'static Self> {
        match name {
            None | Some("") => PRE_TOKENIZERS.first(),
            Some(name) => PRE_TOKENIZERS.iter().find(|p| p.names.contains(&name)),
        }
    }

    /// All names, for messages.
    pub fn known() -> String {
        PRE_TOKENIZERS.iter().flat_map(|p| p.names).copied().collect::<Vec<_>>().join(", ")
    }

    /// Calls `emit` with each piece of `text`, in order; together they are the text.
    pub fn split(&self, text: &str, emit: &mut dyn FnMut(&str)) {
        chain(self.stages, text, emit);
    }
}

/// As deep as the chain is long.
fn chain(stages: &[Stage], text: &str, emit: &mut dyn FnMut(&str)) {
    let Some((stage, later)) = stages.split_first() else {
        return emit(text);
    };
    let mut rest = text;
    while !rest.is_empty() {
        let m = stage(rest);
        if m.start > 0 {
            chain(later, &rest[..m.start], emit);
        }
        if m.start < m.end {
            chain(later, &rest[m.start..m.end], emit);
        }
        rest = &rest[m.end..];
    }
}

/// The first match in `text`, where `at` gives the length of a match at the beginning of its argument (0: none).
fn each(text: &str, at: impl Fn(&str) -> usize) -> Match {
    for (start, _) in text.char_indices() {
        let n = at(&text[start..]);
        if n > 0 {
            return Match { start, end: start + n };
        }
    }
    Match { start: text.len(), end: text.len() }
}

fn newline(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

/// `[^\n]+|[\n]+`
fn lines(text: &str) -> Match {
    let ends = text.starts_with('\n');
    Match { start: 0, end: run(text, |c| (c == '\n') == ends) }
}

/// `\s+(?!\S)|\s+`: white space up to the last one before other text, which goes with that text.
fn spaces(text: &str) -> usize {
    let n = run(text, |c| is(c, WS));
    match text[..n].char_indices().next_back() {
        Some((last, _)) if n < text.len() && last > 0 => last,
        _ => n,
    }
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`: white space up to its last line end, or [`spaces`].
fn lines_or_spaces(text: &str) -> usize {
    let white = &text[..run(text, |c| is(c, WS))];
    match white.rfind(newline) {
        Some(i) => i + 1,
        None => spaces(text),
    }
}

#[cfg(test)]
mod tests;
