//! Several residual streams that layers mix (hyper-connections).

use super::reader::Reader;
use crate::arch::Arch;
use crate::error::EngineError;
use hewn_kernels::op::hyper::STREAMS;

/// How shares of streams are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// How often the shares of the streams in each other are made to sum to 1, from both sides.
    pub iterations: usize,
    /// What is added to shares, and to what they are divided by.
    pub eps: f32,
}

/// More change nothing any more.
const MOST_ITERATIONS: usize = 1000;

impl Hyper {
    /// Reads what there is to know, where the architecture has several streams.
    pub(super) fn read(r: &Reader<'_>, arch: &Arch) -> Result<Option<Self>, EngineError> {
        if !arch.hyper {
            return Ok(None);
        }
        let count = "hyper_connection.count";
        match r.need(count)? {
            STREAMS => {}
            n => return r.bad(count, format!("{n} streams; {STREAMS} are supported")),
        }
        let (key, iterations) =
            ("hyper_connection.sinkhorn_iterations", r.need("hyper_connection.sinkhorn_iterations")?);
        if iterations > MOST_ITERATIONS {
            return r.bad(key, format!("{iterations} is more than {MOST_ITERATIONS}"));
        }
        let key = "hyper_connection.epsilon";
        match r.positive(key)? {
            Some(eps) => Ok(Some(Self { iterations, eps })),
            None => r.missing(key),
        }
    }
}
