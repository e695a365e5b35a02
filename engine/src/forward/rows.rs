//! Quantized rows of a step.

use super::SPLIT;
use crate::error::EngineError;
use hewn_kernels::Crew;
use hewn_kernels::op::quantize::{ActBlock, GROUP, block_index, quantize};
use std::sync::atomic::{AtomicBool, Ordering};

/// The blocks of `n` rows; none where rows are not whole blocks, in which case no block format reads them.
pub(super) fn blocks_of(blocks: &[ActBlock], n: usize, width: usize) -> &[ActBlock] {
    if width.is_multiple_of(32) { &blocks[..n * width / 32] } else { &[] }
}

/// Quantizes rows of `width`, if that is needed.
pub(super) fn quantize_rows(
    crew: &Crew<'_>,
    needed: bool,
    x: &[f32],
    width: usize,
    blocks: &mut [ActBlock],
    at: impl Fn() -> String,
) -> Result<(), EngineError> {
    if !needed {
        return Ok(());
    }
    let n = x.len() / width;
    let bad = AtomicBool::new(false);
    crew.rows(&mut blocks[..n * width / 32], GROUP * width / 32, n >= SPLIT, |_, g, blocks| {
        let rows = GROUP.min(n - g * GROUP);
        if quantize(crew.isa(), rows, &x[g * GROUP * width..][..rows * width], blocks).is_err() {
            bad.store(true, Ordering::Relaxed);
        }
    });
    if bad.into_inner() { Err(EngineError::NonFinite { at: at() }) } else { Ok(()) }
}

/// A group of rows and its blocks.
struct Group<'a> {
    first: usize,
    rows: usize,
    blocks: &'a mut [ActBlock],
}

/// Cuts the blocks of parts of so many rows each into groups; the first row of each group counts from the first part on.
fn groups<'a>(parts: &[usize], width: usize, mut blocks: &'a mut [ActBlock]) -> Vec<Group<'a>> {
    let (mut all, mut first) = (Vec::new(), 0);
    for &part in parts {
        let end = first + part;
        while first < end {
            let rows = GROUP.min(end - first);
            let (own, rest) = blocks.split_at_mut(rows * width / 32);
            all.push(Group { first, rows, blocks: own });
            (blocks, first) = (rest, first + rows);
        }
    }
    all
}

/// Quantizes parts of so many rows each, every part by itself: their blocks are as those of separate inputs.
pub(super) fn quantize_parts(
    crew: &Crew<'_>,
    parts: &[usize],
    x: &[f32],
    width: usize,
    blocks: &mut [ActBlock],
    at: impl Fn() -> String,
) -> Result<(), EngineError> {
    let mut groups = groups(parts, width, blocks);
    let bad = AtomicBool::new(false);
    let split = groups.len() > 1;
    crew.rows(&mut groups, 1, split, |_, _, group| {
        for g in group {
            if quantize(crew.isa(), g.rows, &x[g.first * width..][..g.rows * width], g.blocks).is_err() {
                bad.store(true, Ordering::Relaxed);
            }
        }
    });
    if bad.into_inner() { Err(EngineError::NonFinite { at: at() }) } else { Ok(()) }
}

/// Copies the blocks of some of `n` rows to parts of so many rows each: row `i` of all parts is row `rows[i]` of `from`.
pub(super) fn gather_parts(
    crew: &Crew<'_>,
    parts: &[usize],
    rows: &[usize],
    (from, n): (&[ActBlock], usize),
    width: usize,
    to: &mut [ActBlock],
) {
    let subs = width / 32;
    let mut groups = groups(parts, width, to);
    let split = groups.len() > 1;
    crew.rows(&mut groups, 1, split, |_, _, group| {
        for g in group {
            for (i, &row) in rows[g.first..][..g.rows].iter().enumerate() {
                for sub in 0..subs {
                    g.blocks[sub * g.rows + i] = from[block_index(n, subs, row, sub)];
                }
            }
        }
    });
}
