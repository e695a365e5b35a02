//! A sequence in a file: what a prompt left behind, for a later run that begins with the same tokens.
//!
//! Little-endian, in this order; numbers are u64:
//!
//! ```text
//! magic       "hewnseq1"
//! model       digest of what computed it: the file's identity, adapters, rotary positions, this program's version
//! kind        number format of keys and values, by its place in `KvType::ALL`
//! long        1 where positions are turned as in long sequences, where a model tells these apart, else 0
//! //! tokens      how many; then each as u32
//! caches      of each layer: how many positions; for each tile a byte, 1 where its bytes follow
//! states      of each layer that has one: its rows, its floats
//! sum         xxh3 of all of the above
//! ```
//!
//! What follows the header has the sizes that the model says: nothing is allocated for a number in the file that was not held
//! against them.

use super::{Sequence, SequenceOptions};
use crate::error::{EngineError, zeroed};
use crate::model::Model;
use hewn_kernels::kv::TILE;
use hewn_kernels::{KvLayer, KvType};
use std::io::{ErrorKind, Read, Write};
use xxhash_rust::xxh3::Xxh3;

/// The first bytes of a saved sequence.
pub const MAGIC: &[u8; 8] = b"hewnseq1";

/// Sums up what is written.
struct Writing<'a> {
    inner: &'a mut dyn Write,
    sum: Xxh3,
}

/// Sums up what is read.
struct Reading<'a> {
    inner: &'a mut dyn Read,
    sum: Xxh3,
}

impl Writing<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        self.sum.update(bytes);
        self.inner.write_all(bytes).map_err(|e| saved(e.to_string()))
    }

    fn number(&mut self, n: usize) -> Result<(), EngineError> {
        self.bytes(&(n as u64).to_le_bytes())
    }

    fn cache(&mut self, layer: &KvLayer) -> Result<(), EngineError> {
        self.number(layer.len())?;
        for i in 0..layer.len().div_ceil(TILE) {
            let tile = layer.tile(i);
            self.bytes(&[u8::from(tile.is_some())])?;
            self.bytes(tile.unwrap_or(&[]))?;
        }
        Ok(())
    }
}

impl Reading<'_> {
    fn bytes(&mut self, bytes: &mut [u8]) -> Result<(), EngineError> {
        self.inner.read_exact(bytes).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => saved("it ends too soon"),
            _ => saved(e.to_string()),
        })?;
        self.sum.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EngineError> {
        let mut all = [0; N];
        self.bytes(&mut all)?;
        Ok(all)
    }

    /// A number of at most `most`.
    fn number(&mut self, most: usize, what: &str) -> Result<usize, EngineError> {
        let n = u64::from_le_bytes(self.array()?);
        usize::try_from(n).ok().filter(|n| *n <= most).ok_or_else(|| saved(format!("{n} {what}, of at most {most}")))
    }

    fn cache(&mut self, layer: &mut KvLayer, most: usize) -> Result<(), EngineError> {
        let len = self.number(most, "positions of a layer")?;
        for _ in 0..len.div_ceil(TILE) {
            match self.array()? {
                [0] => layer.add_forgotten()?,
                [1] => self.bytes(layer.add_tile()?)?,
                [n] => return Err(saved(format!("{n} where a tile is there (1) or is not (0)"))),
            }
        }
        layer.set_len(len);
        Ok(())
    }
}

impl Sequence {
    /// Whether sequences of this model can be [saved](Self::save).
    ///
    /// # Errors
    /// It reads texts as a whole, or chooses among positions.
    pub fn check_saving(model: &Model) -> Result<(), EngineError> {
        let c = model.config();
        if !c.causal {
            return Err(saved("models that read a text as a whole keep nothing of it"));
        }
        if c.indexer.is_some() || c.pooling.is_some() {
            return Err(saved("models that choose among positions are not supported"));
        }
        Ok(())
    }

    /// Writes all that is needed to go on from here: the tokens, their keys and values, running states.
    ///
    /// `model` is the one that it was computed with. Marks are left out.
    ///
    /// # Errors
    /// It cannot be written; or the sequence is of another model, or of one that reads texts as a whole.
    pub fn save(&self, model: &Model, out: &mut dyn Write) -> Result<(), EngineError> {
        if !self.fits(model.config()) {
            return Err(EngineError::ForeignSequence);
        }
        Self::check_saving(model)?;
        let kind = self.layers.first().map_or(KvType::default(), |l| l.shape().kind);
        let mut out = Writing { inner: out, sum: Xxh3::new() };
        out.bytes(MAGIC)?;
        out.bytes(&model.digest().to_le_bytes())?;
        out.number(KvType::ALL.iter().position(|k| *k == kind).unwrap_or(0))?;
        out.number(usize::from(model.turns_long(self.ctx)))?;
        out.number(self.tokens.len())?;
        for token in &self.tokens {
            out.bytes(&token.to_le_bytes())?;
        }
        for layer in &self.layers {
            out.cache(layer)?;
        }
        for state in self.states.iter().flatten() {
            out.number(state.rows())?;
            out.bytes(bytemuck::cast_slice(state.floats()))?;
        }
        let sum = out.sum.digest();
        out.inner.write_all(&sum.to_le_bytes()).map_err(|e| saved(e.to_string()))
    }

    /// A sequence as [`save`](Self::save) wrote it: it goes on with the same bits as the one that was saved. It is
    /// [marked](Self::mark) where it ends.
    ///
    /// # Errors
    /// What is read is damaged, or was saved by another model (another file, other adapters or rotary positions), with another
    /// number format of keys and values, by another version, or holds more tokens than `options` allow; or there is not enough
    /// memory.
    pub fn restore(model: &Model, options: &SequenceOptions, from: &mut dyn Read) -> Result<Self, EngineError> {
        Self::check_saving(model)?;
        let mut seq = Self::new(model, options)?;
        let mut from = Reading { inner: from, sum: Xxh3::new() };
        if from.array()? != *MAGIC {
            return Err(saved("it is no saved sequence, or of another version"));
        }
        if u64::from_le_bytes(from.array()?) != model.digest() {
            return Err(saved("it is of another model, or of one that was changed in another way"));
        }
        let kind = KvType::ALL[from.number(KvType::ALL.len() - 1, "for a number format")?];
        if kind != options.kv {
            let reason = format!("its keys and values are {}, not {}", kind.name(), options.kv.name());
            return Err(saved(reason));
        }
        if from.number(1, "for long sequences")? != usize::from(model.turns_long(seq.ctx)) {
            return Err(saved("it was made for a context of which positions are turned in another way"));
        }
        let n = from.number(seq.ctx, "tokens")?;
        seq.tokens = zeroed(n, "the tokens of a sequence")?;
        for token in &mut seq.tokens {
            *token = u32::from_le_bytes(from.array()?);
        }
        for layer in &mut seq.layers {
            from.cache(layer, n)?;
        }
        for state in seq.states.iter_mut().flatten() {
            let rows = from.number(n, "rows of a running state")?;
            from.bytes(bytemuck::cast_slice_mut(state.floats_mut(rows)))?;
        }
        let sum = from.sum.digest();
        if u64::from_le_bytes(from.array()?) != sum {
            return Err(saved("it is damaged: its sum does not match"));
        }
        // The sum tells of accidents; nobody who made a file on purpose is to get further than here either.
        let vocab = model.config().vocab;
        if !seq.fits(model.config()) || seq.tokens.iter().any(|t| *t as usize >= vocab) || !seq.is_whole() {
            return Err(saved("its parts do not fit together"));
        }
        seq.mark()?;
        Ok(seq)
    }

    /// Whether every position is there that the next token will see.
    fn is_whole(&self) -> bool {
        let n = self.tokens.len();
        let first = |i: usize| match &self.window {
            Some(w) if w.layers.has(i) => (n + 1).saturating_sub(w.size),
            _ => 0,
        };
        self.layers.iter().enumerate().all(|(i, l)| l.is_empty() || l.holds(first(i)..n))
    }
}

fn saved(reason: impl Into<String>) -> EngineError {
    EngineError::Saved { reason: reason.into() }
}
