//! What layers that keep a running state have in common.

use super::Segment;
use crate::error::EngineError;
use hewn_kernels::state::StateRows;

/// The running states of layer `i`, with how many rows of each are in the step.
pub(super) fn states<'a>(segments: &'a mut [Segment<'_>], i: usize) -> Result<Vec<StateRows<'a>>, EngineError> {
    let part = |seg: &'a mut Segment<'_>| {
        Some(StateRows { rows: seg.tokens.len(), state: seg.seq.states.get_mut(i)?.as_mut()? })
    };
    segments.iter_mut().map(part).collect::<Option<_>>().ok_or(EngineError::ForeignSequence)
}

/// Of each row, the first row of its sequence's part and how many that has.
pub(super) fn starts(parts: &[StateRows<'_>]) -> Vec<[usize; 2]> {
    let mut starts = Vec::with_capacity(parts.iter().map(|p| p.rows).sum());
    for p in parts {
        starts.extend(std::iter::repeat_n([starts.len(), p.rows], p.rows));
    }
    starts
}

/// The first `n` of what is left of a buffer.
pub(super) fn take<'a>(rest: &mut &'a mut [f32], n: usize) -> &'a mut [f32] {
    let (own, later) = std::mem::take(rest).split_at_mut(n);
    *rest = later;
    own
}

/// `ln(1 + e^x)`, which is `x` where that is large.
pub(super) fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { libm::log1pf(libm::expf(x)) }
}
