//! Low-rank adapters that tokens switch on.

use super::reader::Reader;
use crate::error::EngineError;
use hewn_loader::Value;

/// The adapters of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapters {
    /// Their control tokens, ascending: the adapter of each, from 1 on, and the token whose embedding it has.
    pub tokens: Vec<(u32, [u32; 2])>,
    /// How many there are.
    pub count: usize,
    /// Channels inside of each.
    pub rank: usize,
    /// Control tokens score this where the choice attends, others minus as much.
    gain: f32,
}

/// No model has so many, or so wide ones.
const MOST: usize = 4096;

impl Adapters {
    /// The adapter of a control token, and the token whose embedding it has.
    pub fn of(&self, token: u32) -> Option<[u32; 2]> {
        self.tokens.binary_search_by_key(&token, |t| t.0).ok().map(|at| self.tokens[at].1)
    }

    /// The adapter of a row that sees so many tokens, of which `seen` are control tokens with adapters that sum to `sum`; 0 for
    /// none. One head's attention chooses: with a single control token it is its, and of several about the mean.
    pub fn choose(&self, tokens: usize, seen: usize, sum: u64) -> usize {
        if seen == 0 {
            return 0;
        }
        let others = (tokens - seen) as f32 * libm::expf(-2.0 * self.gain);
        let chosen = (sum as f32 / (seen as f32 + others)).round();
        (chosen as usize).min(self.count)
    }
}

impl Reader<'_> {
    /// The adapters, for a vocabulary of so many tokens.
    pub(super) fn adapters(&self, vocab: usize) -> Result<Adapters, EngineError> {
        let (count, rank) = (self.need("adapters.count")?, self.need("adapters.lora_rank")?);
        for (key, n) in [("adapters.count", count), ("adapters.lora_rank", rank)] {
            if n > MOST {
                return self.bad(key, format!("{n} is more than {MOST}"));
            }
        }
        let ids = |key: &str| {
            let id = |v: Value<'_>| v.as_int().and_then(|v| u32::try_from(v).ok()).filter(|v| (*v as usize) < vocab);
            let list: Option<Vec<u32>> = match self.meta.get(&self.key(key)) {
                Some(Value::Array(a)) if a.len() == count => a.iter().map(id).collect(),
                _ => None,
            };
            list.map_or_else(|| self.bad(key, format!("it is not a list of {count} tokens")), Ok)
        };
        let (activate, substitute) = (ids("adapters.token_ids_activate")?, ids("adapters.token_ids_substitute")?);
        let pairs = activate.into_iter().zip(substitute).enumerate();
        let mut tokens: Vec<_> = pairs.map(|(i, (token, other))| (token, [i as u32 + 1, other])).collect();
        tokens.sort_unstable();
        if tokens.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return self.bad("adapters.token_ids_activate", "a token is in it twice");
        }
        let gain = self.positive("adapters.router_gain")?.unwrap_or(15.0);
        Ok(Adapters { tokens, count, rank, gain })
    }
}
