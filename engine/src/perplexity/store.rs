//! Saved logits.
//!
//! ```text
//!  0  "HEWNLGTS"                                   little-endian throughout
//!  8  version u32 = 1 | vocabulary: tokens u32
//! 16  vocabulary: xxh3 of the token texts u64      0 where the model has none
//! 24  tokens in a window u32 | begin token u32     2^32 - 1 for none
//! 32  number of tokens u64                         whole windows
//! 40  tokens u32 x number
//!     logits f32 [windows x positions that count, vocabulary]
//! ```

use super::{PerplexityError, PerplexityOptions};
use crate::error::zeroed;
use crate::model::Model;
use hewn_loader::Gguf;
use std::io::{Read, Write};
use xxhash_rust::xxh3::Xxh3;

const MAGIC: &[u8; 8] = b"HEWNLGTS";
const VERSION: u32 = 1;
const NONE: u32 = u32::MAX;

/// What the logits are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogitsHeader {
    /// Tokens in the vocabulary.
    pub vocab: u32,
    /// Hash of their texts; 0 where the model has none.
    pub vocab_hash: u64,
    /// Tokens in a window.
    pub ctx: u32,
    /// What the first token of a window was replaced by.
    pub begin: Option<u32>,
    /// The text, in whole windows.
    pub tokens: Vec<u32>,
}

/// A hash of the vocabulary's texts; 0 where the file has none.
pub fn vocabulary_hash(gguf: &Gguf) -> u64 {
    let list = gguf.metadata().array("tokenizer.ggml.tokens").ok().flatten();
    let Some(texts) = list.and_then(|a| a.strings()) else { return 0 };
    let mut hash = Xxh3::new();
    for text in texts {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.digest()
}

impl LogitsHeader {
    pub(super) fn new(model: &Model, tokens: &[u32], o: &PerplexityOptions) -> Self {
        let count = |n: usize| u32::try_from(n).unwrap_or(NONE);
        let (vocab, vocab_hash) = (count(model.config().vocab), vocabulary_hash(model.gguf()));
        Self { vocab, vocab_hash, ctx: count(o.ctx), begin: o.begin, tokens: tokens.to_vec() }
    }

    /// An error unless both are about the same.
    pub(super) fn check(&self, want: &Self) -> Result<(), PerplexityError> {
        let no = |what: String| Err(PerplexityError::Mismatch(what));
        match () {
            () if self.vocab != want.vocab => {
                no(format!("the vocabulary had {} tokens, this model's has {}", self.vocab, want.vocab))
            }
            () if self.vocab_hash != want.vocab_hash => no("the vocabulary had other tokens".into()),
            () if self.ctx != want.ctx => {
                no(format!("they were made with windows of {} tokens, not {}", self.ctx, want.ctx))
            }
            () if self.begin != want.begin => no("their windows began with another token".into()),
            () if self.tokens != want.tokens => no("the text had other tokens".into()),
            () => Ok(()),
        }
    }

    fn options(&self) -> PerplexityOptions {
        PerplexityOptions { ctx: self.ctx as usize, kv: hewn_kernels::KvType::F16, begin: self.begin }
    }

    /// Length of the file with this header.
    pub fn file_len(&self) -> u64 {
        let (o, tokens) = (self.options(), self.tokens.len() as u64);
        let rows = (o.windows(self.tokens.len()) as u64).saturating_mul(o.scored() as u64);
        rows.saturating_mul(u64::from(self.vocab)).saturating_add(tokens).saturating_mul(4).saturating_add(40)
    }
}

/// Saves logits.
pub struct LogitsWriter<'a> {
    out: &'a mut dyn Write,
    bytes: Vec<u8>,
}

impl<'a> LogitsWriter<'a> {
    /// A writer to `out`, which should buffer.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, bytes: Vec::new() }
    }

    pub(super) fn begin(&mut self, h: &LogitsHeader) -> Result<(), PerplexityError> {
        let mut head = MAGIC.to_vec();
        [VERSION, h.vocab].iter().for_each(|v| head.extend(v.to_le_bytes()));
        head.extend(h.vocab_hash.to_le_bytes());
        [h.ctx, h.begin.unwrap_or(NONE)].iter().for_each(|v| head.extend(v.to_le_bytes()));
        head.extend((h.tokens.len() as u64).to_le_bytes());
        h.tokens.iter().for_each(|t| head.extend(t.to_le_bytes()));
        self.out.write_all(&head).map_err(PerplexityError::Write)
    }

    pub(super) fn write(&mut self, logits: &[f32]) -> Result<(), PerplexityError> {
        for part in logits.chunks(1 << 16) {
            self.bytes.clear();
            part.iter().for_each(|v| self.bytes.extend(v.to_le_bytes()));
            self.out.write_all(&self.bytes).map_err(PerplexityError::Write)?;
        }
        Ok(())
    }
}

/// Reads saved logits.
pub struct LogitsReader<'a> {
    input: &'a mut dyn Read,
    header: LogitsHeader,
    row: Vec<u8>,
    logits: Vec<f32>,
}

impl<'a> LogitsReader<'a> {
    /// Reads the header of a file of `len` bytes; `input` should buffer.
    ///
    /// # Errors
    /// It is no file of saved logits, of another version, or has not the length that its header asks for.
    pub fn open(input: &'a mut dyn Read, len: u64) -> Result<Self, PerplexityError> {
        let damaged = |what: &str| PerplexityError::Damaged(what.to_owned());
        let mut head = [0; 40];
        if len < 40 {
            return Err(damaged("the file is too short"));
        }
        input.read_exact(&mut head).map_err(PerplexityError::Read)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if head[..8] != *MAGIC {
            return Err(damaged("the file does not begin like one of saved logits"));
        }
        if word(8) != VERSION {
            return Err(PerplexityError::Damaged(format!("their version is {}, and {VERSION} can be read", word(8))));
        }
        let (ctx, n) = (word(24), long(32));
        if ctx < 4 || n == 0 || n > (len - 40) / 4 || !n.is_multiple_of(ctx.into()) {
            return Err(damaged("the number of tokens cannot be"));
        }
        // It fits in the file.
        let n = usize::try_from(n).map_err(|_| damaged("the number of tokens cannot be"))?;
        let mut bytes: Vec<u8> = zeroed(n * 4, "the tokens of saved logits")?;
        input.read_exact(&mut bytes).map_err(PerplexityError::Read)?;
        let tokens = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        let begin = Some(word(28)).filter(|t| *t != NONE);
        let header = LogitsHeader { vocab: word(12), vocab_hash: long(16), ctx, begin, tokens };
        if header.file_len() != len {
            let want = header.file_len();
            return Err(PerplexityError::Damaged(format!("the file has {len} bytes, but its header asks for {want}")));
        }
        Ok(Self { input, header, row: Vec::new(), logits: Vec::new() })
    }

    /// What the logits are of.
    pub fn header(&self) -> &LogitsHeader {
        &self.header
    }

    /// The next rows.
    pub(super) fn read(&mut self, rows: usize) -> Result<&[f32], PerplexityError> {
        let vocab = self.header.vocab as usize;
        if self.logits.len() < rows * vocab {
            self.row = zeroed(vocab * 4, "a row of saved logits")?;
            self.logits = zeroed(rows * vocab, "saved logits")?;
        }
        for out in self.logits[..rows * vocab].chunks_exact_mut(vocab) {
            self.input.read_exact(&mut self.row).map_err(PerplexityError::Read)?;
            for (o, b) in out.iter_mut().zip(self.row.as_chunks::<4>().0) {
                *o = f32::from_le_bytes(*b);
                if !o.is_finite() {
                    return Err(PerplexityError::Damaged("a logit is not a finite number".into()));
                }
            }
        }
        Ok(&self.logits[..rows * vocab])
    }
}
