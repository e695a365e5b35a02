//! Tokenizers: text to token ids and back, made from the vocabulary that a GGUF file carries.
//!
//! Byte-level byte-pair encoding (`gpt2`) and the SentencePiece style (`llama`, `gemma4`) merge neighbouring symbols, best
//! pair first. They differ in what a symbol is at first, in what makes a pair good, and in whether the text is cut into
//! words before. Unigram vocabularies (`t5`) take the tokens whose scores sum to the most, as PLaMo's (`plamo2`) do by another
//! rule, WordPiece ones (`bert`) the longest token of a word each time, those of RWKV (`rwkv`) the longest of the text. All of
//! them first cut the text at special tokens.
//!
//! Made for opening files fast: a vocabulary is two arenas, a hash table and one array of merges; no allocation is made
//! per token.

mod agglomerate;
mod bpe;
mod bytes;
mod charsmap;
mod cheapest;
mod error;
mod greedy;
mod merges;
mod roles;
mod sentence;
mod source;
mod special;
mod split;
mod table;
mod trie;
mod unigram;
mod vocab;
mod whole;
mod word_piece;

pub use error::TokenizerError;
pub use source::{Strings, VocabSource};

use agglomerate::Agglomerator;
use bpe::Bpe;
use cheapest::Cheapest;
use greedy::Greedy;
use hewn_loader::Gguf;
use roles::Roles;
use sentence::Sentence;
use special::Specials;
use split::PreTokenizer;
use std::borrow::Cow;
use unigram::Unigram;
use vocab::{Kind, Spelling, Vocab};
use word_piece::WordPiece;

/// Values of `tokenizer.ggml.model` that are supported.
const MODELS: [&str; 7] = ["gpt2", "llama", "gemma4", "t5", "plamo2", "bert", "rwkv"];

/// How to read a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Add the begin and end tokens that the file asks for (`add_bos_token`, `add_eos_token`).
    pub add_special: bool,
    /// Control tokens that the text spells out (`<|im_start|>`) become those tokens. Leave it off for text that comes
    /// from a user. User-defined tokens (type 4) are always recognised.
    pub parse_special: bool,
}

#[derive(Clone)]
enum Family {
    Bpe(Bpe),
    Sentence(Sentence),
    Unigram(Unigram),
    Cheapest(Cheapest),
    WordPiece(WordPiece),
    Greedy(Greedy),
}

/// A tokenizer. Immutable: share it between threads.
#[derive(Clone)]
pub struct Tokenizer {
    vocab: Vocab,
    family: Family,
    specials: Specials,
    roles: Roles,
    suppressed: Vec<u32>,
    model: String,
    pre: String,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("model", &self.model)
            .field("pre", &self.pre)
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// The tokenizer of a file.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, TokenizerError> {
        Self::new(VocabSource::from_gguf(gguf)?)
    }

    /// A tokenizer from the parts of a vocabulary.
    pub fn new(mut source: VocabSource<'_>) -> Result<Self, TokenizerError> {
        let model = source.model;
        let missing = |key| TokenizerError::Missing { key, model: model.into() };
        let kinds = source.types.take().map(|types| {
            types.into_iter().enumerate().map(|(id, t)| Kind::of_type(id, t)).collect::<Result<Vec<_>, _>>()
        });
        let kinds = kinds.transpose()?;
        let (vocab, family, frame) = match model {
            "gpt2" => {
                let pre = PreTokenizer::find(source.pre).ok_or_else(|| TokenizerError::UnknownPre {
                    pre: source.pre.unwrap_or_default().into(),
                    known: PreTokenizer::known(),
                })?;
                let merges = source.merges.take().ok_or_else(|| missing("tokenizer.ggml.merges"))?;
                let vocab = Vocab::new(&source.tokens, kinds, Spelling::ByteLevel)?;
                let bpe = Bpe::new(&vocab, pre, &merges)?;
                (vocab, Family::Bpe(bpe), [pre.add_bos, false])
            }
            "llama" => {
                let scores = source.scores.take().ok_or_else(|| missing("tokenizer.ggml.scores"))?;
                let vocab = Vocab::new(&source.tokens, kinds, Spelling::Sentence)?;
                let sentence = Sentence::by_scores(&vocab, &scores)?.unknown(source.unknown);
                let sentence = sentence.space_prefix(source.add_space_prefix.unwrap_or(true));
                (vocab, Family::Sentence(sentence), [true, false])
            }
            "gemma4" => {
                let merges = source.merges.take().ok_or_else(|| missing("tokenizer.ggml.merges"))?;
                let vocab = Vocab::new(&source.tokens, kinds, Spelling::Sentence)?;
                let sentence = Sentence::by_merges(&vocab, &merges)?.unknown(source.unknown);
                let sentence = sentence.space_prefix(source.add_space_prefix.unwrap_or(false));
                (vocab, Family::Sentence(sentence), [true, false])
            }
            "t5" => {
                let scores = source.scores.take().ok_or_else(|| missing("tokenizer.ggml.scores"))?;
                let vocab = Vocab::new(&source.tokens, kinds, Spelling::Sentence)?;
                let unigram = Unigram::new(&vocab, &scores, &source)?;
                (vocab, Family::Unigram(unigram), [false, true])
            }
            "plamo2" => {
                let scores = source.scores.take().ok_or_else(|| missing("tokenizer.ggml.scores"))?;
                let vocab = Vocab::new(&source.tokens, kinds, Spelling::Plain)?;
                let cheapest = Cheapest::new(&vocab, &scores)?;
                (vocab, Family::Cheapest(cheapest), [false, false])
            }
            "bert" => {
                let vocab = Vocab::new(&source.tokens, kinds, Spelling::Sentence)?;
                let word_piece = WordPiece::new(&vocab, &source)?;
                (vocab, Family::WordPiece(word_piece), [true, true])
            }
            "rwkv" => {
                let vocab = Vocab::new(&source.tokens, kinds, Spelling::Escaped)?;
                let greedy = Greedy::new(&vocab, source.unknown);
                (vocab, Family::Greedy(greedy), [false, false])
            }
            other => {
                return Err(TokenizerError::UnknownModel { model: other.into(), known: MODELS.join(", ") });
            }
        };
        let phi3 = is_phi3(source.name);
        let specials = Specials::new(&vocab, |text| phi3 && !matches!(text, b"<unk>" | b"<s>" | b"<|endoftext|>"));
        let roles = Roles::new(&source, &vocab, &specials, frame)?;
        // Some name tokens that there are none of; those cannot be generated anyway.
        let id = |id: &i64| u32::try_from(*id).ok().filter(|id| (*id as usize) < vocab.len());
        let suppressed = source.suppressed.iter().flatten().filter_map(id).collect();
        let pre = source.pre.unwrap_or("default").into();
        Ok(Self { vocab, family, specials, roles, suppressed, model: model.into(), pre })
    }

    /// The token ids of a text.
    ///
    /// Linear in the text up to a logarithm, whatever the text. Bytes that a byte-level vocabulary has no token for are
    /// left out, as its makers' own tokenizers do (some vocabularies lack rare control characters); the other family
    /// gives its unknown token where it has neither a character nor its bytes. What the last two families do not tell
    /// apart (spaces, and case and accents in `bert`) is lost.
    pub fn encode(&self, text: &str, options: &EncodeOptions) -> Vec<u32> {
        let mut out = Vec::with_capacity(text.len() / 4 + 2);
        let mut work = Agglomerator::default();
        if options.add_special && self.roles.add_bos {
            out.extend(self.roles.bos);
        }
        let mut rest = text;
        while !rest.is_empty() {
            let found = self.specials.find(rest, &self.vocab, options.parse_special);
            let plain = &rest[..found.as_ref().map_or(rest.len(), |f| f.start)];
            if !plain.is_empty() {
                match &self.family {
                    Family::Bpe(f) => f.encode(&self.vocab, plain, &mut work, &mut out),
                    Family::Sentence(f) => f.encode(&self.vocab, plain, &mut work, &mut out),
                    Family::Unigram(f) => f.encode(plain, &mut out),
                    Family::Cheapest(f) => f.encode(&self.vocab, plain, &mut out),
                    Family::WordPiece(f) => f.encode(&self.vocab, plain, &mut out),
                    Family::Greedy(f) => f.encode(plain, &mut out),
                }
            }
            let Some(f) = found else { break };
            out.push(f.id);
            rest = &rest[f.end..];
        }
        if options.add_special && self.roles.add_eos {
            out.extend(self.roles.eos);
        }
        out
    }

    /// The bytes of a whole text, the inverse of [`encode`](Self::encode): a space that `encode` puts before the text
    /// is taken off again. For a text that goes on, join [`token_bytes`](Self::token_bytes) instead. `special`: spell
    /// out control tokens. Ids out of range are skipped.
    pub fn decode(&self, ids: &[u32], special: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(ids.len() * 4);
        for id in ids {
            out.extend_from_slice(self.token_bytes(*id, special));
        }
        // Not where a special token that is spelled out comes first: the added space is behind it then.
        let first = ids.iter().find(|id| !self.token_bytes(**id, special).is_empty());
        let plain = first.is_some_and(|id| matches!(self.vocab.kind(*id), Some(Kind::Normal)));
        let prefixed = match &self.family {
            Family::Bpe(_) | Family::Cheapest(_) | Family::Greedy(_) => false,
            Family::Sentence(f) => f.space_prefix,
            Family::Unigram(f) => f.space_prefix,
            Family::WordPiece(_) => true,
        };
        if plain && prefixed && out.first() == Some(&b' ') {
            out.remove(0);
        }
        out
    }

    /// The bytes that a token adds to a text; not always whole characters. Control, unknown and unused tokens give
    /// nothing unless `special`; so do ids out of range.
    pub fn token_bytes(&self, id: u32, special: bool) -> &[u8] {
        match self.vocab.kind(id) {
            Some(kind) if special || kind.visible() => self.vocab.bytes(id),
            _ => &[],
        }
    }

    /// A token's text as the file has it (`Ġthe`, `▁the`, `<0x0A>`).
    pub fn token_text(&self, id: u32) -> Option<Cow<'_, str>> {
        self.vocab.kind(id).map(|_| String::from_utf8_lossy(self.vocab.text(id)))
    }

    /// The token with this text in the file.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        let text = text.as_bytes();
        let mut spelt = Vec::new();
        self.vocab.spelling.spell(text, &mut spelt);
        let byte = || bytes::byte_token(text).and_then(|b| self.vocab.byte_id(b));
        let same = |id: &u32| self.vocab.text(*id) == text;
        self.specials
            .exact(text)
            .or_else(|| self.vocab.find(&spelt).filter(same))
            .or_else(|| byte().filter(same))
            .or_else(|| self.vocab.ids(|k| matches!(k, Kind::Unknown | Kind::Unused)).find(same))
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.vocab.len()
    }

    /// The begin token.
    pub fn bos(&self) -> Option<u32> {
        self.roles.bos
    }

    /// The end token.
    pub fn eos(&self) -> Option<u32> {
        self.roles.eos
    }

    /// The token that ends a turn: as the file says, else by its text.
    pub fn eot(&self) -> Option<u32> {
        self.roles.eot
    }

    /// Whether generation ends after this token: the end and end-of-turn tokens of the file, and special tokens whose
    /// text is known to end a turn (`<|im_end|>`, `<|eot_id|>`, ...).
    pub fn is_eog(&self, id: u32) -> bool {
        self.roles.ends.binary_search(&id).is_ok()
    }

    /// Tokens that the file says are never to be generated.
    pub fn suppressed(&self) -> &[u32] {
        &self.suppressed
    }

    /// Whether the token is of the control type.
    pub fn is_control(&self, id: u32) -> bool {
        self.vocab.kind(id) == Some(Kind::Control)
    }

    /// Whether [`EncodeOptions::add_special`] puts a begin token before the text.
    pub fn add_bos(&self) -> bool {
        self.roles.add_bos
    }

    /// Whether [`EncodeOptions::add_special`] puts an end token after the text.
    pub fn add_eos(&self) -> bool {
        self.roles.add_eos
    }

    /// `tokenizer.ggml.model` of the file.
    pub fn model_name(&self) -> &str {
        &self.model
    }

    /// `tokenizer.ggml.pre` of the file; `default` where it is missing.
    pub fn pre_name(&self) -> &str {
        &self.pre
    }
}

/// Special tokens of Phi-3, but for three, take the white space after them. The format has no key for this, so it goes
/// by the model's name, as in the files' other readers.
fn is_phi3(name: Option<&str>) -> bool {
    let name = name.unwrap_or_default().to_lowercase();
    name.contains("phi-3") || name.contains("phi3")
}

#[cfg(test)]
mod tests;
