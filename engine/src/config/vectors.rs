//! How texts become vectors.

use super::ModelConfig;
use super::reader::{MAX, Reader};
use crate::arch::{Arch, Scoring};
use crate::error::EngineError;
use hewn_kernels::op::activation::Activation;
use hewn_loader::Value;

/// What becomes of the rows of a text, which are the stream behind its last norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextPooling {
    /// They stay: a vector for each token.
    None,
    /// Their mean.
    Mean,
    /// The first one.
    First,
    /// The last one.
    Last,
    /// A classifier's scores of one of them, or of their mean.
    Rank,
}

impl TextPooling {
    /// Every one, as files number them.
    pub const ALL: [Self; 5] = [Self::None, Self::Mean, Self::First, Self::Last, Self::Rank];

    /// Its name: `none`, `mean`, `cls`, `last` or `rank`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mean => "mean",
            Self::First => "cls",
            Self::Last => "last",
            Self::Rank => "rank",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }
}

/// How texts become vectors, as the file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// What becomes of the rows, where the file says so.
    pub pooling: Option<TextPooling>,
    /// What a classifier scores: the first row, the last, or their mean.
    pub ranked: TextPooling,
    /// Scores that a classifier gives.
    pub labels: usize,
    /// Channels that come out of each matrix which vectors go through in the end.
    pub dense: Vec<usize>,
    /// Kinds of tokens that have a row each.
    pub kinds: usize,
}

impl ModelConfig {
    /// Channels of the vector of a text.
    pub fn vector_width(&self) -> usize {
        self.vectors.dense.last().copied().unwrap_or(self.dim)
    }
}

/// No classifier has so many.
const MAX_LABELS: usize = 1 << 16;

impl Reader<'_> {
    /// Whether a token sees only those before it. Where all are seen, layers must attend to keys and values of their own.
    pub(super) fn causal(&self, arch: &Arch) -> Result<bool, EngineError> {
        let key = "attention.causal";
        let causal = self.flag(key)?.unwrap_or(!arch.encoder);
        if causal && arch.encoder {
            return self.bad(key, format!("`{}` reads texts as a whole", arch.name));
        }
        let others = arch.recurrence.is_some() || arch.latent || arch.pooled || arch.indexed.is_some() || arch.varied;
        if !causal && (others || arch.adapters || arch.chunked) {
            return self.bad(key, format!("`{}` whose tokens see later ones is not supported", arch.name));
        }
        Ok(causal)
    }

    pub(super) fn vectors(&self, arch: &Arch, dim: usize) -> Result<Vectors, EngineError> {
        let classified = self.pooling_of("classifier.pooling_type")?;
        let ranked = match (classified, arch.scoring) {
            (_, Some(Scoring::Softmax)) => TextPooling::Last,
            (Some(said @ (TextPooling::Mean | TextPooling::First | TextPooling::Last)), _) => said,
            (Some(said), _) => {
                return self.bad("classifier.pooling_type", format!("`{}` leaves nothing to score", said.name()));
            }
            (None, Some(Scoring::Gelu)) => TextPooling::Mean,
            (None, _) => TextPooling::First,
        };
        let key = "classifier.output_labels";
        let labels = match self.meta.get(&self.key(key)) {
            None => 1,
            Some(Value::Array(a)) if (1..=MAX_LABELS).contains(&a.len()) => a.len(),
            Some(_) => return self.bad(key, format!("it is not a list of 1 to {MAX_LABELS} names")),
        };
        let dense = if arch.dense_modules { self.dense(dim)? } else { Vec::new() };
        let key = "tokenizer.ggml.token_type_count";
        let kinds = match self.meta.u32(key)? {
            Some(n) if arch.token_kinds && (n == 0 || n as usize > MAX_LABELS) => {
                let reason = format!("{n} kinds of tokens are not within 1..={MAX_LABELS}");
                return Err(EngineError::Config { key: key.into(), reason });
            }
            n => n.unwrap_or(1) as usize,
        };
        Ok(Vectors { pooling: self.pooling_of("pooling_type")?, ranked, labels, dense, kinds })
    }

    /// The activation that the file names, or the usual one.
    pub(super) fn activation(&self, usual: Activation) -> Result<Activation, EngineError> {
        let key = "hidden_activation";
        match self.meta.str(&self.key(key))? {
            None => Ok(usual),
            Some("gelu") => Ok(Activation::GeluErf),
            Some("silu" | "swish") => Ok(Activation::Silu),
            Some(other) => self.bad(key, format!("`{other}` is not supported; gelu and silu are")),
        }
    }

    fn pooling_of(&self, key: &str) -> Result<Option<TextPooling>, EngineError> {
        let Some(number) = self.meta.u32(&self.key(key))? else { return Ok(None) };
        match TextPooling::ALL.get(number as usize) {
            Some(pooling) => Ok(Some(*pooling)),
            None => self.bad(key, format!("{number} is unknown; 0 to {} are not", TextPooling::ALL.len() - 1)),
        }
    }

    /// The matrices that vectors go through in the end: what each gives, the next one reads.
    fn dense(&self, dim: usize) -> Result<Vec<usize>, EngineError> {
        let (mut all, mut width) = (Vec::new(), dim);
        for i in 2..4 {
            let [from, to] = ["in", "out"].map(|end| format!("dense_{i}_feat_{end}"));
            match (self.size_or_none(&from)?, self.size_or_none(&to)?) {
                (None, None) => {}
                (Some(from), Some(to)) if from == width && to <= MAX => {
                    all.push(to);
                    width = to;
                }
                (Some(n), Some(_)) => return self.bad(&from, format!("{n} channels, where {width} go in")),
                (None, Some(_)) => return self.missing(&from),
                (Some(_), None) => return self.missing(&to),
            }
        }
        Ok(all)
    }
}
