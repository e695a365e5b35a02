//! The hyperparameters of several residual streams that are mixed for each part and stay apart otherwise.

use super::reader::Reader;
use crate::error::EngineError;

/// Streams of which each part reads a mixture, and to each of which what it gives is added, times a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Streams {
    /// How many.
    pub count: usize,
    /// What is added to shares.
    pub eps: f32,
    /// The most that what a part gives is multiplied with, but for that.
    pub magnitude: f32,
}

/// No model has so many; that their channels stay within bounds.
const MOST: usize = 64;

impl Reader<'_> {
    pub(super) fn streams(&self) -> Result<Streams, EngineError> {
        let (key, count) = ("hyper_connection.count", self.need("hyper_connection.count")?);
        if count > MOST {
            return self.bad(key, format!("{count} streams are out of any bounds"));
        }
        let number = |key: &str| match self.meta.f32(&self.key(key))? {
            Some(v) if v.is_finite() && v >= 0.0 => Ok(v),
            Some(v) => self.bad(key, format!("{v} is not a number from 0 on")),
            None => self.missing(key),
        };
        let (eps, magnitude) = (number("hyper_connection.epsilon")?, number("hyper_connection.magnitude")?);
        Ok(Streams { count, eps, magnitude })
    }
}
