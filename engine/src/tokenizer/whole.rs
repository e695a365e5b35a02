//! Which tokens are what their own text becomes.
//!
//! Most words are tokens, and merging a word that is one mostly ends with that token, but not in every vocabulary and
//! for every token, so it is found out once for each and then remembered. What is remembered follows from the vocabulary
//! alone: it may be seen by other threads early or late, and no result depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

/// One state a token.
#[derive(Clone, Debug)]
pub(super) struct Whole(Arc<[AtomicU8]>);

impl Whole {
    /// Nothing known of `n` tokens.
    pub fn new(n: usize) -> Self {
        Self((0..n).map(|_| AtomicU8::new(UNKNOWN)).collect())
    }

    /// Whether merging the text of token `id` is known to end with just that token.
    pub fn known(&self, id: u32) -> bool {
        self.0.get(id as usize).is_some_and(|s| s.load(Ordering::Relaxed) == YES)
    }

    /// Remembers what the text of token `id` became.
    pub fn learn(&self, id: u32, tokens: &[u32]) {
        if let Some(s) = self.0.get(id as usize)
            && s.load(Ordering::Relaxed) == UNKNOWN
        {
            s.store(if tokens == [id] { YES } else { NO }, Ordering::Relaxed);
        }
    }
}
