//! From logits to a token: a chain of steps in the customary order.
//!
//! Logit bias, penalties, top-k, top-p, min-p, temperature, then a draw. At temperature 0 the largest logit after bias
//! and penalties wins, the lower id of equals. The generator is ChaCha8 (`rand_chacha`), so a seed means the same
//! tokens on every machine; probabilities use the `libm` crate, never the platform's.

mod draw;
mod options;
mod penalties;
#[cfg(test)]
pub(crate) mod testing;
mod truncate;

pub use options::{SamplerError, SamplerOptions};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// A token that may still be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// Its logit after bias and penalties, before temperature.
    pub logit: f32,
}

/// Chooses tokens; keeps the state of its generator between calls.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplerOptions,
    seed: u64,
    rng: ChaCha8Rng,
    candidates: Vec<Candidate>,
    probabilities: Vec<f64>,
}

impl Sampler {
    /// A sampler for a vocabulary of `vocab` tokens; `seed` counts where the options have none.
    ///
    /// # Errors
    /// An option out of range, or a bias for a token that does not exist.
    pub fn new(options: SamplerOptions, vocab: usize, seed: u64) -> Result<Self, SamplerError> {
        options.validate(vocab)?;
        let seed = options.seed.unwrap_or(seed);
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Ok(Self { options, seed, rng, candidates: Vec::new(), probabilities: Vec::new() })
    }

    /// The seed in use.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Chooses the next token from `logits` (`[vocab]`), given the tokens so far.
    ///
    /// # Errors
    /// A logit that is a NaN, or none that can be chosen.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32, SamplerError> {
        let o = &self.options;
        if logits.iter().any(|l| l.is_nan()) {
            return Err(SamplerError::NotANumber);
        }
        self.candidates.clear();
        self.candidates.extend(logits.iter().enumerate().map(|(id, &logit)| Candidate { id: id as u32, logit }));
        for &(id, bias) in &o.logit_bias {
            self.candidates[id as usize].logit += bias;
        }
        penalties::apply(o, history, &mut self.candidates);
        if o.temperature == 0.0 {
            return truncate::best(&self.candidates).map(|c| c.id).ok_or(SamplerError::Nothing);
        }
        truncate::top_k(&mut self.candidates, o.top_k);
        draw::probabilities(&self.candidates, 1.0, &mut self.probabilities)?;
        truncate::top_p(&mut self.candidates, &self.probabilities, o.top_p);
        truncate::min_p(&mut self.candidates, o.min_p);
        draw::probabilities(&self.candidates, o.temperature, &mut self.probabilities)?;
        Ok(self.candidates[draw::index(&self.probabilities, &mut self.rng)].id)
    }
}

#[cfg(test)]
mod tests;
