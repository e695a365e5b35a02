//! What makes vectors of a text's rows, and scores of those.

use super::load::Loader;
use super::{Linear, Norm};
use crate::arch::{NormKind, Scoring};
use crate::error::EngineError;

/// What comes behind the rows of a text.
#[derive(Clone, Debug)]
pub(crate) struct Vectors {
    /// Matrices that its vector goes through.
    pub dense: Vec<Linear>,
    pub classifier: Option<Classifier>,
}

/// What scores a row: `output(norm(activation(inner x)))`, as far as the file has it.
#[derive(Clone, Debug)]
pub(crate) struct Classifier {
    pub kind: Scoring,
    /// `[dim, dim]`
    pub inner: Option<Linear>,
    pub norm: Option<Norm>,
    /// `[labels, dim]`
    pub output: Linear,
}

impl Loader<'_> {
    pub(super) fn vectors(&mut self) -> Result<Vectors, EngineError> {
        let (c, mut dense, mut width) = (self.config, Vec::new(), self.config.dim);
        for (i, rows) in c.vectors.dense.iter().enumerate() {
            dense.push(self.linear(&format!("dense_{}", i + 2), *rows, width, false)?);
            width = *rows;
        }
        let classifier = match c.arch.scoring {
            Some(kind) if self.has("cls.output.weight") => Some(self.classifier(kind)?),
            _ => None,
        };
        Ok(Vectors { dense, classifier })
    }

    fn classifier(&mut self, kind: Scoring) -> Result<Classifier, EngineError> {
        let (dim, inner) = (self.config.dim, self.has("cls.weight") && kind != Scoring::Softmax);
        let output = self.linear("cls.output", self.config.vectors.labels, dim, false)?;
        let norm = inner && kind == Scoring::Gelu && self.has("cls.norm.weight");
        Ok(Classifier {
            kind,
            inner: if inner { Some(self.linear("cls", dim, dim, false)?) } else { None },
            norm: if norm { Some(self.norm("cls.norm", dim, NormKind::Layer)?) } else { None },
            output,
        })
    }
}
