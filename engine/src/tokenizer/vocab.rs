//! The tokens of a vocabulary: their texts in the file, the bytes they stand for, their kinds, and the way back.

use super::bytes::{byte_token, spell, spelt_len, unescape};
use super::error::TokenizerError;
use super::source::Strings;
use super::table::TokenTable;

pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";

/// Longest token text. Real vocabularies stay under 1 KiB; the merges keep lengths in 16 bits.
pub(super) const MAX_TOKEN: usize = u16::MAX as usize;

/// What a token is, by its type in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    /// Never shown, and made from text only on request.
    Control,
    /// Matched in text as a whole, before anything else.
    UserDefined,
    Unused,
    /// One byte, written `<0x41>`.
    Byte,
}

impl Kind {
    /// Type 0 (undefined) is what files say that predate the types: a normal token.
    pub fn of_type(id: usize, value: i64) -> Result<Self, TokenizerError> {
        Ok(match value {
            0 | 1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            value => return Err(TokenizerError::TokenType { id, value }),
        })
    }

    /// Whether its bytes are part of a text shown to people.
    pub fn visible(self) -> bool {
        matches!(self, Self::Normal | Self::UserDefined | Self::Byte)
    }
}

/// How a normal token's text spells its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// In the visible alphabet of GPT-2.
    ByteLevel,
    /// As UTF-8, with `▁` for a space.
    Sentence,
    /// As it is.
    Plain,
    /// As UTF-8, with escapes as in the texts of programs: `\n`, `\xff`.
    Escaped,
}

impl Spelling {
    /// Appends the bytes that `text` stands for.
    pub fn spell(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::ByteLevel => spell(text, out),
            Self::Sentence => plain_spaces(text, out),
            Self::Plain => out.extend_from_slice(text),
            Self::Escaped => unescape(text, out),
        }
    }

    /// Number of bytes that `text` stands for, if it keeps to the alphabet.
    pub fn spelt_len(self, text: &[u8]) -> usize {
        match self {
            Self::ByteLevel => spelt_len(text),
            // The mark has three bytes, a space one.
            Self::Escaped => {
                let mut out = Vec::new();
                unescape(text, &mut out);
                out.len()
            }
            Self::Sentence => text.len() - 2 * text.windows(MARK.len()).filter(|w| *w == MARK).count(),
            Self::Plain => text.len(),
        }
    }
}

/// Byte strings one after another, by index.
#[derive(Clone, Default)]
struct Arena {
    data: Vec<u8>,
    ends: Vec<u32>,
}

impl Arena {
    fn with_capacity(items: usize, bytes: usize) -> Self {
        Self { data: Vec::with_capacity(bytes), ends: Vec::with_capacity(items) }
    }

    /// Ends the item that was appended to `data`.
    fn close(&mut self) {
        self.ends.push(self.data.len() as u32);
    }

    fn get(&self, i: u32) -> &[u8] {
        let i = i as usize;
        let Some(end) = self.ends.get(i) else { return &[] };
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.data[start as usize..*end as usize]
    }
}

/// The vocabulary.
#[derive(Clone)]
pub(super) struct Vocab {
    pub spelling: Spelling,
    texts: Arena,
    bytes: Arena,
    kinds: Vec<Kind>,
    /// Of the normal tokens, by their bytes. The others never come out of merges: user-defined ones were matched
    /// before, control ones must not be made from a user's text, byte tokens are the fallback.
    table: TokenTable,
    /// Tokens of the byte kind, by byte.
    byte_ids: [Option<u32>; 256],
    max_bytes: usize,
    repeats: bool,
}

impl Vocab {
    /// `kinds`: as many as tokens, or none at all (all normal).
    pub fn new(tokens: &Strings<'_>, kinds: Option<Vec<Kind>>, spelling: Spelling) -> Result<Self, TokenizerError> {
        if tokens.is_empty() {
            return Err(TokenizerError::NoTokens);
        }
        let kinds = kinds.unwrap_or_else(|| vec![Kind::Normal; tokens.len()]);
        if kinds.len() != tokens.len() {
            let key = "tokenizer.ggml.token_type";
            return Err(TokenizerError::Length { key, have: kinds.len(), tokens: tokens.len() });
        }
        let (mut total, mut longest) = (0usize, 0);
        for t in tokens.iter() {
            total = total.saturating_add(t.len());
            longest = longest.max(t.len());
        }
        let large = |what: &str, have, max| TokenizerError::TooLarge { key: TOKENS, what: what.into(), have, max };
        if longest > MAX_TOKEN {
            return Err(large("the length of a token in bytes", longest, MAX_TOKEN));
        }
        let max = i32::MAX as usize;
        if tokens.len() > max || total > max {
            return Err(large("the size in tokens or bytes", tokens.len().max(total), max));
        }
        let mut texts = Arena::with_capacity(tokens.len(), total);
        let mut bytes = Arena::with_capacity(tokens.len(), total);
        let mut byte_ids = [None; 256];
        let mut max_bytes = 0;
        for (id, (text, kind)) in tokens.iter().zip(&kinds).enumerate() {
            texts.data.extend_from_slice(text);
            texts.close();
            let start = bytes.data.len();
            match kind {
                Kind::Byte => {
                    let Some(b) = byte_token(text) else {
                        return Err(TokenizerError::ByteToken { id, text: lossy(text) });
                    };
                    byte_ids[b as usize].get_or_insert(id as u32);
                    bytes.data.push(b);
                }
                Kind::Normal => spelling.spell(text, &mut bytes.data),
                _ => bytes.data.extend_from_slice(text),
            }
            bytes.close();
            if *kind == Kind::Normal {
                max_bytes = max_bytes.max(bytes.data.len() - start);
            }
        }
        let mut table = TokenTable::new(tokens.len());
        let mut repeats = false;
        for (id, kind) in kinds.iter().enumerate() {
            let id = id as u32;
            let b = bytes.get(id);
            if *kind == Kind::Normal && !b.is_empty() {
                repeats |= !table.insert(b, id, |i| bytes.get(i));
            }
        }
        Ok(Self { spelling, texts, bytes, kinds, table, byte_ids, max_bytes, repeats })
    }

    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// The text in the file; empty when the id is out of range.
    pub fn text(&self, id: u32) -> &[u8] {
        self.texts.get(id)
    }

    /// The bytes that the token stands for; empty when the id is out of range.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id)
    }

    pub fn kind(&self, id: u32) -> Option<Kind> {
        self.kinds.get(id as usize).copied()
    }

    /// The ids of a kind that `f` accepts.
    pub fn ids(&self, f: impl Fn(Kind) -> bool) -> impl Iterator<Item = u32> {
        self.kinds.iter().enumerate().filter(move |(_, k)| f(**k)).map(|(i, _)| i as u32)
    }

    /// The most bytes that a normal token stands for.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The normal token that stands for `bytes`; the lowest id, should several do.
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        if bytes.len() > self.max_bytes {
            return None;
        }
        self.table.find(bytes, |i| self.bytes.get(i))
    }

    /// Whether several normal tokens stand for the same bytes (tolerated: all but the first are only ever decoded).
    pub fn repeats(&self) -> bool {
        self.repeats
    }

    /// The token of a byte that no text expresses.
    pub fn byte_id(&self, byte: u8) -> Option<u32> {
        self.byte_ids[byte as usize]
    }
}

/// Stands for a space in a token's text.
pub(super) const MARK: &[u8] = "▁".as_bytes();

/// Appends `text` with `▁` replaced by a space.
pub(super) fn plain_spaces(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((b, after)) = rest.split_first() {
        rest = match rest.strip_prefix(MARK) {
            Some(after) => {
                out.push(b' ');
                after
            }
            None => {
                out.push(*b);
                after
            }
        };
    }
}

/// A text of the file for a message, cut to a readable length.
pub(super) fn lossy(text: &[u8]) -> String {
    let mut s: String = String::from_utf8_lossy(&text[..text.len().min(400)]).chars().take(80).collect();
    if s.len() < text.len() && s.chars().count() == 80 {
        s.push('…');
    }
    s
}
