//! What can be wrong with a vocabulary.

use hewn_loader::LoadError;
use thiserror::Error;

/// Why a vocabulary cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A key could not be read from the file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A key that this tokenizer needs is missing.
    #[error("`{key}` is missing: a `{model}` tokenizer cannot work without it")]
    Missing {
        /// The key.
        key: &'static str,
        /// The tokenizer model of the file.
        model: String,
    },
    /// `tokenizer.ggml.model` is missing: the file has no vocabulary.
    #[error("`tokenizer.ggml.model` is missing: the file carries no vocabulary")]
    NoVocabulary,
    /// A tokenizer family that is not supported.
    #[error("`tokenizer.ggml.model` is {model:?}, which is not supported (supported: {known})")]
    UnknownModel {
        /// The family that the file names.
        model: String,
        /// The supported families.
        known: String,
    },
    /// A pre-tokenizer that is not supported.
    #[error("`tokenizer.ggml.pre` is {pre:?}, which is not supported (supported: {known})")]
    UnknownPre {
        /// The pre-tokenizer that the file names.
        pre: String,
        /// The supported names.
        known: String,
    },
    /// A key's value is of the wrong type.
    #[error("`{key}` must be an array of {want}")]
    ArrayType {
        /// The key.
        key: &'static str,
        /// The wanted element type.
        want: &'static str,
    },
    /// The list of tokens is empty.
    #[error("`tokenizer.ggml.tokens` is empty")]
    NoTokens,
    /// Too many tokens or merges, or a token that is too long.
    #[error("`{key}`: {what} is {have}, the limit is {max}")]
    TooLarge {
        /// The key.
        key: &'static str,
        /// What is too large.
        what: String,
        /// The value.
        have: usize,
        /// The limit.
        max: usize,
    },
    /// An array with one element per token has another length.
    #[error("`{key}` has {have} elements, but there are {tokens} tokens")]
    Length {
        /// The key.
        key: &'static str,
        /// Its length.
        have: usize,
        /// The number of tokens.
        tokens: usize,
    },
    /// A token type outside of 0..=6.
    #[error("`tokenizer.ggml.token_type`[{id}] is {value}, known types are 0 to 6")]
    TokenType {
        /// The token.
        id: usize,
        /// Its type.
        value: i64,
    },
    /// A score that is not a number.
    #[error("`tokenizer.ggml.scores`[{id}] is not a number")]
    Score {
        /// The token.
        id: usize,
    },
    /// The table of characters is not one.
    #[error("`tokenizer.ggml.precompiled_charsmap` is damaged: {what}")]
    CharsMap {
        /// What is wrong.
        what: &'static str,
    },
    /// A token of type 6 (byte) whose text is not of the form `<0x41>`.
    #[error("`tokenizer.ggml.tokens`[{id}] is {text:?}, but a token of the byte type must look like \"<0x41>\"")]
    ByteToken {
        /// The token.
        id: usize,
        /// Its text.
        text: String,
    },
    /// A byte that no token stands for, where each must have one.
    #[error("no token of the byte type stands for {byte:#04x}, as a `plamo2` tokenizer needs")]
    NoByteToken {
        /// The byte.
        byte: u8,
    },
    /// A merge that is not two texts with a space between.
    #[error("`tokenizer.ggml.merges`[{index}] is {merge:?}, which is not two texts with a space between")]
    MergeForm {
        /// Index of the merge.
        index: usize,
        /// Its text.
        merge: String,
    },
    /// A merge that makes a text which is not a token.
    #[error("`tokenizer.ggml.merges`[{index}] is {merge:?}, but the vocabulary has no token of that text")]
    MergeToken {
        /// Index of the merge.
        index: usize,
        /// Its text.
        merge: String,
    },
    /// A token id outside of the vocabulary.
    #[error("`{key}` is {id}, but there are only {tokens} tokens")]
    IdRange {
        /// The key.
        key: &'static str,
        /// Its value.
        id: u32,
        /// The number of tokens.
        tokens: usize,
    },
    /// A token is to be added to every text, but the file does not say which.
    #[error("`{flag}` is true, but `{key}` is missing")]
    NoId {
        /// The flag.
        flag: &'static str,
        /// The key that would give the id.
        key: &'static str,
    },
}
