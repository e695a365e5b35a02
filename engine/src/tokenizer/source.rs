//! What a tokenizer is made from: the vocabulary's keys of a GGUF file.

use super::error::TokenizerError;
use hewn_loader::{Array, Gguf, ValueType};

/// A list of byte strings, in a file or in memory. Those of a file are read where they lie: a list of slices of its
/// merges would be larger than the merges.
#[derive(Clone, Debug)]
pub enum Strings<'a> {
    /// An array of strings in a file.
    File(Array<'a>),
    /// A list in memory.
    List(Vec<&'a [u8]>),
}

impl Default for Strings<'_> {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl<'a> From<Vec<&'a [u8]>> for Strings<'a> {
    fn from(list: Vec<&'a [u8]>) -> Self {
        Self::List(list)
    }
}

impl<'a> Strings<'a> {
    fn new(array: Array<'a>, key: &'static str) -> Result<Self, TokenizerError> {
        match array.item_type() {
            ValueType::Str => Ok(Self::File(array)),
            _ if array.is_empty() => Ok(Self::default()),
            _ => Err(TokenizerError::ArrayType { key, want: "strings" }),
        }
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        match self {
            Self::File(array) => array.len(),
            Self::List(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The strings, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let (file, list) = match self {
            Self::File(array) => (array.strings(), None),
            Self::List(list) => (None, Some(list.iter().copied())),
        };
        file.into_iter().flatten().chain(list.into_iter().flatten())
    }
}

/// The parts of a vocabulary, as the `tokenizer.ggml.*` keys of a file give them. [`Default`] leaves all out.
#[derive(Clone, Debug, Default)]
pub struct VocabSource<'a> {
    /// `tokenizer.ggml.model`: the family, such as `gpt2` or `llama`.
    pub model: &'a str,
    /// `tokenizer.ggml.pre`: how text falls into pieces.
    pub pre: Option<&'a str>,
    /// `general.name`: a few models have rules that the format has no key for.
    pub name: Option<&'a str>,
    /// `tokenizer.ggml.tokens`
    pub tokens: Strings<'a>,
    /// `tokenizer.ggml.token_type`; without it all tokens are normal ones.
    pub types: Option<Vec<i64>>,
    /// `tokenizer.ggml.scores`
    pub scores: Option<Vec<f32>>,
    /// `tokenizer.ggml.merges`
    pub merges: Option<Strings<'a>>,
    /// `tokenizer.ggml.bos_token_id`
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`
    pub eos: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`
    pub eot: Option<u32>,
    /// `tokenizer.ggml.eom_token_id`
    pub eom: Option<u32>,
    /// `tokenizer.ggml.cls_token_id`: what texts begin with where there is no BOS.
    pub cls: Option<u32>,
    /// `tokenizer.ggml.seperator_token_id` (spelt so): what texts of a `bert` vocabulary end with.
    pub separator: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`
    pub unknown: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.normalizer.lowercase`: whether `bert` vocabularies have no capitals; they have none where it is missing.
    pub lowercase: Option<bool>,
    /// `tokenizer.ggml.normalizer.strip_accents`: whether they have no accents; as with capitals where it is missing.
    pub strip_accents: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.ggml.remove_extra_whitespaces`
    pub remove_extra_whitespaces: Option<bool>,
    /// `tokenizer.ggml.precompiled_charsmap`
    pub charsmap: Option<Vec<u8>>,
    /// `tokenizer.ggml.suppress_tokens`: tokens that are never to be generated.
    pub suppressed: Option<Vec<i64>>,
}

impl<'a> VocabSource<'a> {
    /// Reads the keys of a file.
    pub fn from_gguf(gguf: &'a Gguf) -> Result<Self, TokenizerError> {
        let meta = gguf.metadata();
        let model = meta.str("tokenizer.ggml.model")?.ok_or(TokenizerError::NoVocabulary)?;
        let strings = |key| meta.array(key)?.map(|array| Strings::new(array, key)).transpose();
        let integers = |key| meta.array(key)?.map(|array| integers(array, key)).transpose();
        let missing = |key| TokenizerError::Missing { key, model: model.into() };
        Ok(Self {
            model,
            pre: meta.str("tokenizer.ggml.pre")?,
            name: meta.str("general.name")?,
            tokens: strings("tokenizer.ggml.tokens")?.ok_or_else(|| missing("tokenizer.ggml.tokens"))?,
            types: integers("tokenizer.ggml.token_type")?,
            scores: meta.array("tokenizer.ggml.scores")?.map(scores).transpose()?,
            merges: strings("tokenizer.ggml.merges")?,
            bos: meta.u32("tokenizer.ggml.bos_token_id")?,
            eos: meta.u32("tokenizer.ggml.eos_token_id")?,
            eot: meta.u32("tokenizer.ggml.eot_token_id")?,
            eom: meta.u32("tokenizer.ggml.eom_token_id")?,
            cls: meta.u32("tokenizer.ggml.cls_token_id")?,
            separator: meta.u32("tokenizer.ggml.seperator_token_id")?,
            unknown: meta.u32("tokenizer.ggml.unknown_token_id")?,
            add_bos: meta.bool("tokenizer.ggml.add_bos_token")?,
            lowercase: meta.bool("tokenizer.ggml.normalizer.lowercase")?,
            strip_accents: meta.bool("tokenizer.ggml.normalizer.strip_accents")?,
            add_eos: meta.bool("tokenizer.ggml.add_eos_token")?,
            add_space_prefix: meta.bool("tokenizer.ggml.add_space_prefix")?,
            remove_extra_whitespaces: meta.bool("tokenizer.ggml.remove_extra_whitespaces")?,
            charsmap: meta.array("tokenizer.ggml.precompiled_charsmap")?.map(bytes).transpose()?,
            suppressed: integers("tokenizer.ggml.suppress_tokens")?,
        })
    }
}

fn integers(array: Array<'_>, key: &'static str) -> Result<Vec<i64>, TokenizerError> {
    let wrong = TokenizerError::ArrayType { key, want: "integers" };
    Ok(sized(array.len(), array.ints().ok_or(wrong)?))
}

/// Bytes, signed in some files.
fn bytes(array: Array<'_>) -> Result<Vec<u8>, TokenizerError> {
    let wrong = TokenizerError::ArrayType { key: "tokenizer.ggml.precompiled_charsmap", want: "bytes" };
    match array.item_type() {
        ValueType::U8 | ValueType::I8 => Ok(sized(array.len(), array.ints().ok_or(wrong)?.map(|b| b as u8))),
        _ => Err(wrong),
    }
}

fn scores(array: Array<'_>) -> Result<Vec<f32>, TokenizerError> {
    let wrong = TokenizerError::ArrayType { key: "tokenizer.ggml.scores", want: "floats" };
    Ok(sized(array.len(), array.f32s().ok_or(wrong)?))
}

/// Collects without growing step by step; the file was checked to hold so many.
fn sized<T>(len: usize, items: impl Iterator<Item = T>) -> Vec<T> {
    let mut list = Vec::with_capacity(len);
    list.extend(items);
    list
}
