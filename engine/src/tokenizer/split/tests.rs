use super::*;

fn split(pre: &str, text: &str) -> Vec<String> {
    let p = PreTokenizer::find(Some(pre)).unwrap();
    let mut out = Vec::new();
    p.split(text, &mut |s| out.push(s.to_owned()));
    assert_eq!(out.concat(), text, "{pre} must keep every character");
    assert!(out.iter().all(|s| !s.is_empty()));
    out
}

#[test]
fn gpt2_pieces() {
    assert_eq!(split("gpt-2", "I'm 12 'S x!!  \n y "), ["I", "'m", " 12", " '", "S", " x", "!!", "  \n", " y", " "]);
    assert_eq!(split("gpt-2", "\tfoo 　x"), ["\t", "foo", " ", "\u{3000}", "x"]);
    assert_eq!(split("gpt-2", "'re'll've'd'"), ["'re", "'ll", "'ve", "'d", "'"]);
    assert!(split("gpt-2", "").is_empty());
}

#[test]
fn llama3_pieces() {
    assert_eq!(split("llama-bpe", "We'Ve 12345\n\n  x"), ["We", "'Ve", " ", "123", "45", "\n\n", " ", " x"]);
    assert_eq!(split("llama-bpe", "a?!\r\nb (c)"), ["a", "?!\r\n", "b", " (", "c", ")"]);
    assert_eq!(split("llama-bpe", " \n \t x"), [" \n", " \t", " x"]);
    assert_eq!(split("llama-bpe", "\tfoo   "), ["\tfoo", "   "]);
    assert_eq!(split("qwen2", "123 '\u{17f}"), ["1", "2", "3", " '", "\u{17f}"]);
    assert_eq!(split("qwen2", "x'\u{17f}"), ["x", "'\u{17f}"]);
    // A mark begins a new piece for Qwen2 and belongs to the word for Qwen3.5.
    assert_eq!(split("qwen2", "ae\u{301}x"), ["ae", "\u{301}x"]);
    assert_eq!(split("qwen35", "ae\u{301}x"), ["ae\u{301}x"]);
}

#[test]
fn cased_pieces() {
    assert_eq!(split("gpt-4o", "HTTPServer's aBC'LLx 12345"), ["HTTPServer's", " a", "BC'LL", "x", " ", "123", "45"]);
    assert_eq!(split("tekken", "HTTPServer's 123"), ["HTTPServer", "'s", " ", "1", "2", "3"]);
    assert_eq!(split("gpt-4o", "a//\n/b?!/ x"), ["a", "//\n/", "b", "?!/", " x"]);
    // Letters without case, and marks, belong to either part of a word.
    assert_eq!(split("gpt-4o", "中文AB中文ab"), ["中文AB中文ab"]);
    assert_eq!(split("gpt-4o", "中文AB"), ["中文", "AB"]);
    assert_eq!(split("tekken", "E\u{301}AB \u{301}AB"), ["E\u{301}", "AB", " \u{301}", "AB"]);
    assert_eq!(split("tekken", "\u{301}AB\u{301}ab!!\u{301}"), ["\u{301}AB\u{301}ab", "!!\u{301}"]);
    assert_eq!(split("tekken", "!\u{301}A \n\n  x"), ["!\u{301}", "A", " \n\n", " ", " x"]);
}

#[test]
fn seed_coder_and_bloom_pieces() {
    assert_eq!(split("seed-coder", "a?!\n\nb"), ["a", "?!", "\n\n", "b"]);
    assert_eq!(split("bloom", "a, b12 (x)…c"), ["a", ",", " b12", " (", "x", ")…", "c"]);
    assert_eq!(split("viking", " b12"), [" b", "1", "2"]);
}

#[test]
fn chameleon_pieces() {
    let want = "Hi| |<|sentinel|:|1|2|>|IMGIMGABZ| |3|x|  |y|,|    |\t|z|'|s";
    let got = split("chameleon", "Hi <sentinel:12>IMGIMGABZ 3x  y,    \tz's");
    assert_eq!(got, want.split('|').collect::<Vec<_>>());
    assert_eq!(split("chameleon", "IMGIMGZ IMGIMGABCDEZ"), ["IMGIMGZ", " IMGIMGABCDEZ"]);
}

#[test]
fn deepseek_pieces() {
    assert_eq!(
        split("deepseek-coder", "a b\n\n12 中文!"),
        ["a", " b", "\n", "\n", "1", "2", " ", "中文", "!"].map(String::from)
    );
    assert_eq!(split("deepseek-llm", "ab  12  "), ["ab", "  ", "12", "  "]);
    assert_eq!(split("deepseek-v3", "1234 日本,x"), ["123", "4", " ", "日本", ",x"]);
}

#[test]
fn afmoe_pieces() {
    assert_eq!(split("afmoe", "1234567x12 123456"), ["1", "234", "567", "x", "12", " ", "123", "456"]);
    assert_eq!(split("afmoe", "½1234 ab"), ["½1", "234", " ab"]);
    assert_eq!(split("afmoe", "a日本語ลาวxy ,x!!\n"), ["a", "日本語", "ลาวxy", " ,", "x", "!!\n"]);
    assert_eq!(split("afmoe", "xລາວ한국"), ["x", "ລາວ한국"]);
    // Of these only the first is of a listed block.
    assert_eq!(split("afmoe", "a\u{f900}a\u{a000}a"), ["a", "\u{f900}", "a\u{a000}a"]);
}

#[test]
fn kimi_pieces() {
    assert_eq!(split("kimi-k2", "中文abC中's 12345"), ["中文", "ab", "C", "中", "'s", " ", "123", "45"]);
    assert_eq!(split("kimi-k2", "We're  中 〇x!/\n"), ["We're", " ", " ", "中", " ", "〇", "x", "!/\n"]);
    // A radical is no letter: it goes on with punctuation, but begins a piece of its own.
    assert_eq!(split("kimi-k2", "!⺀⺀a //\n/"), ["!⺀⺀", "a", " //\n", "/"]);
    assert_eq!(split("kimi-k2", "カナ中カナ"), ["カナ", "中", "カナ"]);
}

#[test]
fn tiny_aya_pieces() {
    assert_eq!(split("tiny_aya", "1234567 12345."), ["1", "234", "567", " ", "12", "345", "."]);
    // Behind these digits a word goes on.
    assert_eq!(split("tiny_aya", "1234x 1234_ 1½"), ["123", "4", "x", " ", "123", "4", "_", " ", "1", "½"]);
    assert_eq!(
        split("tiny_aya", "a  1234x  1234 ½½½½"),
        ["a", " ", " ", "123", "4", "x", "  ", "1", "234", " ", "½½½", "½"]
    );
    assert_eq!(split("tiny_aya", "HTTPServer's ٣٤٥٦"), ["HTTPServer's", " ", "٣", "٤٥٦"]);
}

#[test]
fn exaone_moe_pieces() {
    assert_eq!(split("exaone-moe", "the cat's  hat 12"), ["the cat", "'s", " ", " hat", " ", "1", "2"]);
    assert_eq!(split("exaone-moe", "e\u{301}a o\u{301} \u{301}x"), ["e\u{301}a o\u{301}", " \u{301}", "x"]);
    assert_eq!(
        split("exaone-moe", "(ab cd)\n\n!/ x//y \n z"),
        ["(ab cd", ")\n", "\n", "!/", " x", "//", "y", " \n", " z"]
    );
}

#[test]
fn superbpe_pieces() {
    assert_eq!(
        split("superbpe", "1234567 ab 12, 123456x 100² 1000² Ⅷ1234"),
        ["1", "234", "567", " ab ", "12", ", ", "123", "456", "x ", "100²", " ", "1", "000²", " ", "Ⅷ1", "234"]
    );
    assert_eq!(
        split("superbpe", "٣٤٥٦ 12½123456 123½1234"),
        ["٣", "٤٥٦", " ", "12½", "123", "456", " ", "123½1", "234"]
    );
    assert_eq!(split("superbpe", "½½½½ 12345½"), ["½½½½", " ", "12", "345½"]);
    assert_eq!(split("superbpe", "no digits"), ["no digits"]);
}

#[test]
fn spark_pieces() {
    assert_eq!(
        split("spark2_5", "We're 12345 日本,x!!\n\nb"),
        ["We", "'re", " ", "1", "2", "3", "4", "5", " ", "日本", ",x", "!!", "\n", "\n", "b"]
    );
    assert_eq!(split("spark2_5", "  \n\n x\n\n"), ["  \n\n", " x", "\n", "\n"]);
    assert_eq!(split("spark2_5", " (a) é \t\n!? \n"), [" (", "a", ")", " é", " \t", "\n", "!?", " \n"]);
}

#[test]
fn jais_and_minicpm_pieces() {
    assert_eq!(split("jais-2", "a        x"), ["a", "    ", "  ", " ", " x"]);
    assert_eq!(split("jais-2", "a         x"), ["a", "        ", " x"]);
    assert_eq!(split("jais-2", "a       "), ["a", "    ", "  ", " "]);
    assert_eq!(split("jais-2", "  \n   \n  x \t\t\t\t\ty"), ["  \n   \n", " ", " x", " \t\t\t", "\t", "\ty"]);
    let pieces = split("jais-2", &format!("{}x 5!!\n", " ".repeat(1100)));
    let lengths: Vec<usize> = pieces.iter().map(String::len).collect();
    assert_eq!(lengths, [512, 512, 64, 8, 2, 1, 2, 1, 1, 3]);
    assert_eq!(split("laguna", "a  \n\n b\n12\r\n"), ["a", "  ", "\n\n", " b", "\n", "1", "2", "\r", "\n"]);
    assert_eq!(
        split("minicpm5", "a1b 12345's x!!\n\n  y"),
        ["a", "1", "b", " ", "123", "45", "'s", " x", "!!\n\n", " ", " y"]
    );
}

#[test]
fn digit_stages() {
    assert_eq!(split("starcoder", "a 123"), ["a", " ", "1", "2", "3"]);
    assert_eq!(split("falcon", "a`` 12345"), ["a", "``", " ", "123", "45"]);
    assert_eq!(split("default", "x=1 234"), ["x", "=", "1", " ", "234"]);
}

#[test]
fn names_are_unique_and_unknown_ones_are_refused() {
    let mut names: Vec<_> = PRE_TOKENIZERS.iter().flat_map(|p| p.names).collect();
    let n = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), n);
    assert!(PreTokenizer::find(Some("nonesuch")).is_none());
    assert_eq!(PreTokenizer::find(None).unwrap().names[0], "default");
}

/// A stage that looks at a run of white space again from each of its characters would take minutes here.
#[test]
fn long_runs_take_linear_time() {
    for p in PRE_TOKENIZERS {
        for unit in
            [" ", "\n", "\t1", "a", "A", "中A", "aA", "A\u{301}", "中", "!", "' ", "0", "\r\n ", "🦙", ".\u{301}"]
        {
            for tail in ["", "1", "x"] {
                let text = unit.repeat(300_000) + tail;
                let mut n = 0;
                p.split(&text, &mut |s| n += s.len());
                assert_eq!(n, text.len(), "{:?} {unit:?}", p.names[0]);
            }
        }
    }
}
