//! A vocabulary that works, of any size: the bytes, a few merges, three control tokens, and padding.

use super::Shape;
use hewn_loader::{GgufWriter, MetaValue};
use std::io;

/// Pairs that become tokens. A space is written as the byte alphabet has it.
const MERGES: [&str; 8] = ["Ġ t", "h e", "Ġt he", "i n", "e r", "Ġ a", "o n", "a n"];
const CONTROL: [&str; 3] = ["<|begin|>", "<|end|>", "<|pad|>"];
/// `tokenizer.ggml.token_type`: ordinary, control, unused.
const KINDS: [i32; 3] = [1, 3, 5];

/// The 256 bytes as the characters that byte-level vocabularies write for them: printable ones for themselves, the others
/// from U+0100 on.
fn bytes() -> impl Iterator<Item = String> {
    let mut extra = 0x100;
    (0u32..256).filter_map(move |b| {
        let c = if matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) {
            b
        } else {
            extra += 1;
            extra - 1
        };
        char::from_u32(c).map(String::from)
    })
}

/// Adds the vocabulary's metadata.
pub(super) fn write(w: &mut GgufWriter, s: &Shape) -> io::Result<()> {
    let mut tokens: Vec<String> = bytes().chain(MERGES.map(|m| m.replace(' ', ""))).collect();
    let mut kinds = vec![KINDS[0]; tokens.len()];
    let first = tokens.len() as u32;
    tokens.extend(CONTROL.map(String::from));
    kinds.extend([KINDS[1]; CONTROL.len()]);
    for i in tokens.len()..s.vocab {
        tokens.push(format!("[PAD{i}]"));
        kinds.push(KINDS[2]);
    }
    let array = |v: Vec<MetaValue>| MetaValue::Array(v);
    // The chain of splits that files of this kind are made for.
    let pre = if s.arch == "llama" { "llama-bpe" } else { "qwen2" };
    w.meta("tokenizer.ggml.model", MetaValue::Str("gpt2".into()))?;
    w.meta("tokenizer.ggml.pre", MetaValue::Str(pre.into()))?;
    w.meta("tokenizer.ggml.tokens", array(tokens.into_iter().map(MetaValue::Str).collect()))?;
    w.meta("tokenizer.ggml.token_type", array(kinds.into_iter().map(MetaValue::I32).collect()))?;
    w.meta("tokenizer.ggml.merges", array(MERGES.map(|m| MetaValue::Str(m.into())).to_vec()))?;
    for (i, key) in ["bos", "eos", "padding"].into_iter().enumerate() {
        w.meta(&format!("tokenizer.ggml.{key}_token_id"), MetaValue::U32(first + i as u32))?;
    }
    w.meta("tokenizer.ggml.add_bos_token", MetaValue::Bool(false))
}
