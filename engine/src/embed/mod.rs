//! Texts in, vectors out: what search, clustering and retrieval compare texts by.
//!
//! A text's rows (the stream behind its last norm) become one vector as the file says ([`TextPooling`]), which perhaps goes through
//! further matrices and is made to have length 1. Models that read texts as a whole do this (BERT and its kin), and so do decoders
//! that were trained for it (Qwen3-Embedding). The vector of a text does not depend on the others, nor on how they are put together.
//!
//! ```no_run
//! use hewn_engine::embed::{EmbedOptions, Embedder};
//! use hewn_engine::tokenizer::Tokenizer;
//! use hewn_engine::{CpuIsa, LoadOptions, Model, Runner, RunnerOptions, Team};
//! use std::{ops::ControlFlow, path::Path, sync::Arc};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Arc::new(Model::open(Path::new("model.gguf"), &LoadOptions::default())?);
//! let team = Arc::new(Team::new(hewn_engine::default_threads(), CpuIsa::best())?);
//! let tokenizer = Tokenizer::from_gguf(model.gguf())?;
//! let runner = Runner::new(model, team, &RunnerOptions::default())?;
//! let mut embedder = Embedder::new(runner, &EmbedOptions::default())?;
//! let texts = ["a cat", "a kitten"];
//! let vectors = embedder.embed(&tokenizer, &texts, &mut |_, _| ControlFlow::Continue(()))?;
//! assert_eq!(vectors[0].values.len(), embedder.width());
//! # Ok(())
//! # }
//! ```

mod error;
mod pool;
mod rank;

pub use crate::config::TextPooling;
pub use error::EmbedError;
pub use rank::Pair;

use crate::error::EngineError;
use crate::forward::{classify, through};
use crate::model::Model;
use crate::runner::{Logits, Progress, Runner, Work};
use crate::sequence::{Sequence, SequenceOptions};
use crate::tokenizer::{EncodeOptions, Tokenizer};
use hewn_kernels::KvType;
use pool::Pool;
use std::ops::{ControlFlow, Range};

/// How vectors are made.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// What becomes of a text's rows; as the file says when not given.
    pub pooling: Option<TextPooling>,
    /// Whether vectors are divided by their length.
    pub normalize: bool,
    /// Number format of keys and values.
    pub kv: KvType,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self { pooling: None, normalize: true, kv: KvType::default() }
    }
}

/// What became of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// Its tokens.
    pub tokens: usize,
    /// Numbers of a vector.
    pub width: usize,
    /// Its vector; without pooling one for each token, side by side; the scores of a classifier.
    pub values: Vec<f32>,
}

impl Embedded {
    /// Its vectors, of which there is one but without pooling.
    pub fn vectors(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

/// Makes vectors of texts.
pub struct Embedder {
    runner: Runner,
    pooling: TextPooling,
    normalize: bool,
    kv: KvType,
}

impl Embedder {
    /// One that runs on `runner`.
    ///
    /// # Errors
    /// Neither the file nor the options say what becomes of a text's rows, or it takes a classifier that the file lacks.
    pub fn new(runner: Runner, options: &EmbedOptions) -> Result<Self, EmbedError> {
        let arch = runner.model().config().arch.name;
        let said = options.pooling.or(runner.model().config().vectors.pooling);
        let pooling = said.ok_or(EmbedError::Pooling { arch })?;
        if pooling == TextPooling::Rank && runner.model().weights().vectors.classifier.is_none() {
            return Err(EmbedError::NoClassifier { arch });
        }
        Ok(Self { runner, pooling, normalize: options.normalize, kv: options.kv })
    }

    /// What becomes of a text's rows.
    pub fn pooling(&self) -> TextPooling {
        self.pooling
    }

    /// The runner.
    pub fn runner(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        let c = self.runner.model().config();
        if self.pooling == TextPooling::Rank { c.vectors.labels } else { c.vector_width() }
    }

    /// The most tokens of a text: where it is read as a whole, those that are computed at once.
    pub fn longest(&self) -> usize {
        let c = self.runner.model().config();
        if c.causal { c.ctx } else { c.ctx.min(self.runner.rows_at_once()) }
    }

    /// The vectors of texts, in their order. The tokenizer adds what the file says texts begin and end with.
    ///
    /// # Errors
    /// A text without tokens or with too many, or a failed or cancelled step; then there are none.
    pub fn embed(
        &mut self,
        tokenizer: &Tokenizer,
        texts: &[impl AsRef<str>],
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Embedded>, EmbedError> {
        let options = EncodeOptions { add_special: true, parse_special: false };
        let tokens: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text.as_ref(), &options)).collect();
        self.embed_tokens(&tokens, progress)
    }

    /// The same of texts that are tokens already. `progress` is called with the tokens done and those in all; `Break` cancels.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_tokens(
        &mut self,
        texts: &[Vec<u32>],
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Embedded>, EmbedError> {
        let texts: Vec<Text<'_>> = texts.iter().map(|tokens| Text { tokens, second_from: usize::MAX }).collect();
        self.run(&texts, progress)
    }

    fn run(&mut self, texts: &[Text<'_>], progress: &mut Progress<'_>) -> Result<Vec<Embedded>, EmbedError> {
        let most = self.longest();
        for (i, text) in texts.iter().enumerate() {
            match text.tokens.len() {
                0 => return Err(EmbedError::Empty { text: i }),
                n if n > most => return Err(EmbedError::TooLong { text: i, tokens: n, most }),
                _ => {}
            }
        }
        let total = texts.iter().map(|t| t.tokens.len()).sum();
        let (mut done, mut all) = (0, Vec::with_capacity(texts.len()));
        while all.len() < texts.len() {
            let group = self.group(texts, all.len());
            let before = done;
            let (vectors, stopped) = self.group_vectors(&texts[group], &mut |d| progress(before + d, total))?;
            done += vectors.iter().map(|v| v.tokens).sum::<usize>();
            all.extend(vectors);
            if stopped && all.len() < texts.len() {
                return Err(EngineError::Cancelled.into());
            }
        }
        Ok(all)
    }

    /// Those that go together, from `first` on: as many as are computed at once, and at least one.
    fn group(&self, texts: &[Text<'_>], first: usize) -> Range<usize> {
        let (mut end, mut rows) = (first, 0);
        while end < texts.len() && (end == first || rows + texts[end].tokens.len() <= self.runner.rows_at_once()) {
            rows += texts[end].tokens.len();
            end += 1;
        }
        first..end
    }

    /// Their vectors, and whether `progress` said to stop behind the last step.
    fn group_vectors(
        &mut self,
        texts: &[Text<'_>],
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<(Vec<Embedded>, bool), EmbedError> {
        let model = self.runner.model().clone();
        let dim = model.config().dim;
        let what = match self.pooling {
            TextPooling::Rank => model.config().vectors.ranked,
            pooling => pooling,
        };
        let mut seqs = Vec::with_capacity(texts.len());
        for text in texts {
            let mut seq = Sequence::new(&model, &SequenceOptions { ctx: Some(text.tokens.len()), kv: self.kv })?;
            seq.second_from = text.second_from;
            seqs.push((seq, Pool::new(what, dim)));
        }
        // A long text of a decoder goes piece by piece, so that not all of its rows are there at once.
        let piece = self.runner.rows_at_once();
        let (mut done, mut stopped) = (0, false);
        let longest = texts.iter().map(|t| t.tokens.len()).max().unwrap_or(0);
        for from in (0..longest).step_by(piece) {
            let parts = || texts.iter().map(|t| from..t.tokens.len().min(from + piece));
            let asked = |text: &Text<'_>, part: &Range<usize>| match what {
                TextPooling::First if part.start > 0 => Logits::None,
                TextPooling::First => Logits::First,
                TextPooling::Last if part.end < text.tokens.len() => Logits::None,
                TextPooling::Last => Logits::Last,
                _ => Logits::All,
            };
            let mut works: Vec<Work<'_>> = seqs
                .iter_mut()
                .zip(texts)
                .zip(parts())
                .map(|(((seq, _), text), part)| Work { seq, logits: asked(text, &part), tokens: &text.tokens[part] })
                .collect();
            let mut tell = |d, _| {
                let flow = progress(done + d);
                stopped = flow.is_break();
                flow
            };
            let mut rows = self.runner.rows(&mut works, &mut tell)?;
            let counts: Vec<usize> = works.iter().map(|w| w.logits.count(w.tokens.len()) * dim).collect();
            drop(works);
            for ((_, pool), count) in seqs.iter_mut().zip(counts) {
                let (own, others) = rows.split_at(count);
                pool.add(own)?;
                rows = others;
            }
            done += parts().map(|part| part.len()).sum::<usize>();
            if stopped && from + piece < longest {
                return Err(EngineError::Cancelled.into());
            }
        }
        let vectors = seqs.into_iter().zip(texts).map(|((_, pool), text)| {
            let values = self.finish(&model, pool.finish())?;
            Ok(Embedded { tokens: text.tokens.len(), width: self.width(), values })
        });
        Ok((vectors.collect::<Result<_, EmbedError>>()?, stopped))
    }

    /// What comes behind pooling.
    fn finish(&self, model: &Model, mut values: Vec<f32>) -> Result<Vec<f32>, EngineError> {
        let (team, w) = (self.runner.team(), &model.weights().vectors);
        let scores = self.pooling == TextPooling::Rank;
        match &w.classifier {
            Some(classifier) if scores => values = classify(model, team, classifier, &values)?,
            _ => {
                for dense in &w.dense {
                    values = through(model, team, dense, &values)?;
                }
            }
        }
        // Rows are, but what they are multiplied with may be too large.
        if values.iter().any(|v| !v.is_finite()) {
            return Err(EngineError::NonFinite { at: "in the vector of a text".into() });
        }
        if self.normalize && !scores {
            values.chunks_exact_mut(self.width()).for_each(pool::normalize);
        }
        Ok(values)
    }
}

/// One text.
struct Text<'a> {
    tokens: &'a [u32],
    /// Where the second of two texts begins, of models that tell them apart.
    second_from: usize,
}
