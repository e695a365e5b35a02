//! What layers that keep a running state have in common.

use super::Segment;
use crate::error::EngineError;
use hewn_kernels::CpuIsa;
use hewn_kernels::op::activation::{add, multiply};
use hewn_kernels::op::elementary::{exp, softplus};
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

/// What each head of a state space keeps of its matrix in a row, `e^(rate * step)`, and how much of its value it takes up,
/// `step = softplus(opening + bias)`: `[2, heads]`.
pub(super) fn open(isa: CpuIsa, opening: &[f32], bias: &[f32], rate: &[f32], gates: &mut [f32]) {
    let (decays, steps) = gates.split_at_mut(opening.len());
    steps.copy_from_slice(opening);
    add(steps, bias);
    softplus(isa, steps);
    decays.copy_from_slice(steps);
    multiply(decays, rate);
    exp(isa, decays);
}
