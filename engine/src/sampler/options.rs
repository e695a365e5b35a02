//! The settings of the chain.

/// How tokens are chosen. The defaults are the customary ones.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerOptions {
    /// Spread of the choice; 0 always takes the best.
    pub temperature: f32,
    /// Keep the best so many; 0 for all.
    pub top_k: usize,
    /// Keep the best that together have this probability; 1 for all.
    pub top_p: f32,
    /// Keep those with at least this share of the best one's probability; 0 for all.
    pub min_p: f32,
    /// Divide positive (multiply negative) logits of tokens that occurred; 1 for none.
    pub repeat_penalty: f32,
    /// Subtract this for every occurrence.
    pub frequency_penalty: f32,
    /// Subtract this once for tokens that occurred.
    pub presence_penalty: f32,
    /// How many of the last tokens the penalties look at; 0 for none, `usize::MAX` for all.
    pub repeat_last_n: usize,
    /// Seed of the generator; the caller's where not given.
    pub seed: Option<u64>,
    /// Added to the logits of single tokens; minus infinity forbids one.
    pub logit_bias: Vec<(u32, f32)>,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            repeat_last_n: 64,
            seed: None,
            logit_bias: Vec::new(),
        }
    }
}

/// Why sampling cannot go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SamplerError {
    /// A setting is out of range.
    #[error("{name} is {value}; it must be {range}")]
    Option {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f32,
        /// What it may be.
        range: &'static str,
    },
    /// A bias for a token that does not exist.
    #[error("logit bias for the token {id}, but there are {vocab} tokens")]
    BiasToken {
        /// The id.
        id: u32,
        /// Tokens there are.
        vocab: usize,
    },
    /// Not one logit for each token.
    #[error("{have} logits for a vocabulary of {vocab} tokens")]
    Length {
        /// Logits given.
        have: usize,
        /// Tokens there are.
        vocab: usize,
    },
    /// A logit is a NaN.
    #[error("a logit is not a number")]
    NotANumber,
    /// Every token is forbidden.
    #[error("no token can be chosen: every logit is minus infinity")]
    Nothing,
}

impl SamplerOptions {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first one out of range.
    pub fn validate(&self, vocab: usize) -> Result<(), SamplerError> {
        let finite = f32::MIN..=f32::MAX;
        let checks = [
            ("temperature", self.temperature, 0.0..=f32::MAX, "a finite number, 0 or more"),
            ("top-p", self.top_p, f32::MIN_POSITIVE..=1.0, "above 0 and at most 1"),
            ("min-p", self.min_p, 0.0..=1.0, "from 0 to 1"),
            ("repeat penalty", self.repeat_penalty, f32::MIN_POSITIVE..=f32::MAX, "a finite number above 0"),
            ("frequency penalty", self.frequency_penalty, finite.clone(), "a finite number"),
            ("presence penalty", self.presence_penalty, finite, "a finite number"),
        ];
        for (name, value, allowed, range) in checks {
            if !allowed.contains(&value) {
                return Err(SamplerError::Option { name, value, range });
            }
        }
        for &(id, bias) in &self.logit_bias {
            if id as usize >= vocab {
                return Err(SamplerError::BiasToken { id, vocab });
            }
            if bias.is_nan() || bias == f32::INFINITY {
                return Err(SamplerError::Option {
                    name: "logit bias",
                    value: bias,
                    range: "finite or minus infinity",
                });
            }
        }
        Ok(())
    }
}
