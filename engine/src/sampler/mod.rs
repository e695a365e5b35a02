//! From logits to a token: a chain of steps in the customary order.
//!
//! Logit bias, penalties, top-k, top-p, min-p, temperature, then a draw. At temperature 0 the largest logit after bias
//! and penalties wins, the lower id of equals.
//!
//! The same seed, options and logits give the same tokens on every machine: the generator is ChaCha8 (`rand_chacha`),
//! its key the seed in little-endian bytes, the rest zero; probabilities are computed in f64 with the `libm` crate,
//! never the platform's, and summed in an order that depends on the logits alone.

mod bias;
mod draw;
mod min_p;
mod options;
mod penalties;
mod softmax;
#[cfg(test)]
pub(crate) mod testing;
mod top_k;
mod top_p;

pub use options::{SamplerError, SamplerOptions};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::cmp::Ordering;

/// A token that may still be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// Its logit after bias and penalties, before temperature.
    pub logit: f32,
}

impl Candidate {
    /// Larger logits first, of equals the lower id. Adding zero makes the two zeros equal.
    fn order(&self, other: &Self) -> Ordering {
        (other.logit + 0.0).total_cmp(&(self.logit + 0.0)).then(self.id.cmp(&other.id))
    }
}

/// Chooses tokens; keeps the state of its generator, and its buffers, between calls.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplerOptions,
    vocab: usize,
    seed: u64,
    rng: ChaCha8Rng,
    candidates: Vec<Candidate>,
    probabilities: Vec<f64>,
    recent: Vec<u32>,
    /// Logits after bias and penalties, where there are any.
    adjusted: Vec<f32>,
}

impl Sampler {
    /// A sampler for a vocabulary of `vocab` tokens; `seed` counts where the options have none.
    ///
    /// # Errors
    /// An option out of range, or a bias for a token that does not exist.
    pub fn new(options: SamplerOptions, vocab: usize, seed: u64) -> Result<Self, SamplerError> {
        options.validate(vocab)?;
        let seed = options.seed.unwrap_or(seed);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Ok(Self {
            options,
            vocab,
            seed,
            rng: ChaCha8Rng::from_seed(key),
            candidates: Vec::new(),
            probabilities: Vec::new(),
            recent: Vec::new(),
            adjusted: Vec::new(),
        })
    }

    /// The seed in use.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The options in use.
    pub fn options(&self) -> &SamplerOptions {
        &self.options
    }

    /// Chooses the next token from `logits` (`[vocab]`), given the tokens so far.
    ///
    /// # Errors
    /// Too few or too many logits, one that is a NaN, or none that can be chosen.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32, SamplerError> {
        self.narrow(logits, history)?;
        // One draw a token, even if there is no choice: the n-th token depends on the n-th draw.
        let at = draw::index(&self.probabilities, &mut self.rng);
        Ok(self.candidates[at].id)
    }

    /// The tokens that [`Self::sample`] would choose from, each with its probability. The generator does not advance.
    ///
    /// # Errors
    /// As for [`Self::sample`].
    pub fn distribution(&mut self, logits: &[f32], history: &[u32]) -> Result<Vec<(u32, f64)>, SamplerError> {
        self.narrow(logits, history)?;
        Ok(self.candidates.iter().map(|c| c.id).zip(self.probabilities.iter().copied()).collect())
    }

    /// The chain up to the draw. Leaves at least one candidate.
    fn narrow(&mut self, logits: &[f32], history: &[u32]) -> Result<(), SamplerError> {
        let (o, candidates) = (&self.options, &mut self.candidates);
        if logits.len() != self.vocab {
            return Err(SamplerError::Length { have: logits.len(), vocab: self.vocab });
        }
        // Without a way out of the loop, so that the compiler looks at several at once.
        if logits.iter().fold(false, |any, l| any | l.is_nan()) {
            return Err(SamplerError::NotANumber);
        }
        let mut logits = logits;
        if !o.logit_bias.is_empty() || penalties::some(o) {
            self.adjusted.clear();
            self.adjusted.extend_from_slice(logits);
            bias::apply(&o.logit_bias, &mut self.adjusted);
            penalties::apply(o, history, &mut self.recent, &mut self.adjusted);
            logits = &self.adjusted;
        }
        let greedy = o.temperature == 0.0;
        let k = if greedy { 1 } else { o.top_k };
        top_k::best(k.max(1), logits, candidates);
        let Some(&best) = candidates.first() else {
            return Err(SamplerError::Nothing);
        };
        match k {
            0 if o.top_p < 1.0 => top_p::select(o.top_p, best.logit, logits, candidates, &mut self.probabilities),
            0 => top_k::all(logits, candidates),
            _ if greedy => {}
            _ => top_p::cut(o.top_p, best.logit, candidates),
        }
        if !greedy {
            min_p::apply(o.min_p, best.logit, candidates);
        }
        softmax::probabilities(candidates, best.logit, o.temperature, &mut self.probabilities);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
