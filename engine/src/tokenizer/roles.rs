//! Tokens with a role: begin, end, end of turn.

use super::error::TokenizerError;
use super::source::VocabSource;
use super::special::Specials;
use super::vocab::Vocab;

const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";

/// Texts that end a turn, the most specific first. Files name only one end token, and chat models use others.
const END_OF_TURN: &[&[u8]] = &[
    b"<|eot_id|>",
    b"<|im_end|>",
    b"<|end|>",
    b"<end_of_turn>",
    b"<turn|>",
    "<｜end▁of▁sentence｜>".as_bytes(),
    b"<end_of_utterance>",
    b"[EOT]",
    b"<|endoftext|>",
    b"<EOT>",
    b"_<EOT>",
];

/// Further texts after which generation ends. Gemma 4 waits for a tool's answer with the last.
const END_OF_GENERATION: &[&[u8]] = &[
    b"<|eom_id|>",
    b"<|end_of_text|>",
    b"<|return|>",
    b"<|call|>",
    b"<|endofassistant|>",
    b"<|eos|>",
    b"[EOS]",
    b"<|tool_response>",
];

/// The ids of the roles.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub eot: Option<u32>,
    pub add_bos: bool,
    pub add_eos: bool,
    /// Ascending.
    pub ends: Vec<u32>,
}

impl Roles {
    /// `default_bos`, `default_eos`: whether they are added where the file does not say.
    pub fn new(
        source: &VocabSource<'_>,
        vocab: &Vocab,
        specials: &Specials,
        [default_bos, default_eos]: [bool; 2],
    ) -> Result<Self, TokenizerError> {
        let check = |key, id: Option<u32>| match id {
            Some(id) if id as usize >= vocab.len() => Err(TokenizerError::IdRange { key, id, tokens: vocab.len() }),
            id => Ok(id),
        };
        let bos = check(BOS, source.bos)?.or(check("tokenizer.ggml.cls_token_id", source.cls)?);
        // Texts of these vocabularies end with what separates sentences.
        let separator = check("tokenizer.ggml.seperator_token_id", source.separator)?;
        let eos = check(EOS, source.eos)?;
        let eos = if source.model == "bert" { separator.or(eos) } else { eos.or(separator) };
        let eom = check("tokenizer.ggml.eom_token_id", source.eom)?;
        let eot = check("tokenizer.ggml.eot_token_id", source.eot)?;
        check("tokenizer.ggml.unknown_token_id", source.unknown)?;
        if source.add_bos == Some(true) && bos.is_none() {
            return Err(TokenizerError::NoId { flag: "tokenizer.ggml.add_bos_token", key: BOS });
        }
        if source.add_eos == Some(true) && eos.is_none() {
            return Err(TokenizerError::NoId { flag: "tokenizer.ggml.add_eos_token", key: EOS });
        }
        // In gpt-oss's format it ends a message, behind which the same turn goes on: the reasoning, then the answer.
        let messages = specials.exact(b"<|return|>").is_some() && specials.exact(b"<|call|>").is_some();
        let ends_message = specials.exact(b"<|end|>").filter(|_| messages);
        let ends_more = |id: &u32| ends_message != Some(*id);
        let known =
            |texts: &[&[u8]]| texts.iter().filter_map(|t| specials.exact(t)).filter(ends_more).collect::<Vec<_>>();
        let eot = eot.filter(ends_more);
        let turns = known(END_OF_TURN);
        let eot = eot.or(turns.first().copied());
        let mut ends = known(END_OF_GENERATION);
        ends.extend(turns);
        ends.extend([eos, eot, eom].into_iter().flatten());
        ends.sort_unstable();
        ends.dedup();
        let add_bos = source.add_bos.unwrap_or(default_bos) && bos.is_some();
        let add_eos = source.add_eos.unwrap_or(default_eos) && eos.is_some();
        Ok(Self { bos, eos, eot, add_bos, add_eos, ends })
    }
}
