//! The weights of a short convolution.

use super::layer::ShortConvolution;
use super::load::Loader;
use crate::error::EngineError;

impl Loader<'_> {
    pub(super) fn short_convolution(
        &mut self,
        taps: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<ShortConvolution, EngineError> {
        let dim = self.config.dim;
        Ok(ShortConvolution {
            input: self.parts(&name("shortconv.in_proj.weight"), [dim; 3], dim)?,
            taps,
            conv: self.convolution(&name("shortconv.conv.weight"), taps, dim)?,
            o: self.linear(&name("shortconv.out_proj"), dim, dim, false)?,
        })
    }
}
