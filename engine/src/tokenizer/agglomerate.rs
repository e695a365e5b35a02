//! Merging neighbours, best pair first: the loop that byte-pair and SentencePiece vocabularies share.
//!
//! Symbols are ranges of the piece in a linked list; a heap holds (key, position) of the pairs that may merge, so a
//! piece of n bytes costs n log n, whatever it holds. An entry that a merge made stale is told by the pair's present
//! key and skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest piece that is merged as one: it bounds the memory (some 40 bytes per byte of the piece). Longer ones are cut
/// at a character, far longer than any word.
pub(super) const MAX_PIECE: usize = 1 << 22;

/// Neither a pair nor a token.
pub(super) const NONE: u32 = u32::MAX;

struct Symbol {
    start: u32,
    /// 0 once merged into the symbol before.
    len: u32,
    prev: u32,
    next: u32,
    /// Key of the pair with the next symbol.
    key: u32,
    /// Token of the pair with the next symbol.
    pair: u32,
    /// Token of the symbol.
    id: u32,
}

/// Working memory, kept between pieces.
#[derive(Default)]
pub(super) struct Agglomerator {
    symbols: Vec<Symbol>,
    heap: BinaryHeap<Reverse<u64>>,
}

fn entry(key: u32, at: u32) -> Reverse<u64> {
    Reverse(u64::from(key) << 32 | u64::from(at))
}

impl Agglomerator {
    /// Merges the symbols of a piece of at most [`MAX_PIECE`] bytes.
    ///
    /// `symbols`: length and token (or [`NONE`]) of each symbol at first. `pair(start, cut, end)`: key (lower merges
    /// first, equal ones from the left) and token of the pair that lies in these bytes. `emit`: start, end and token of
    /// each symbol at last.
    pub fn run(
        &mut self,
        symbols: impl Iterator<Item = (usize, u32)>,
        pair: impl Fn(usize, usize, usize) -> Option<(u32, u32)>,
        mut emit: impl FnMut(usize, usize, u32),
    ) {
        let list = &mut self.symbols;
        list.clear();
        let mut start = 0;
        for (len, id) in symbols {
            let i = list.len() as u32;
            list.push(Symbol {
                start,
                len: len as u32,
                prev: i.wrapping_sub(1),
                next: i + 1,
                key: NONE,
                pair: NONE,
                id,
            });
            start += len as u32;
        }
        let Some(last) = list.last_mut() else { return };
        last.next = NONE;

        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.clear();
        for i in 0..list.len() {
            if score(list, i, &pair) {
                entries.push(entry(list[i].key, i as u32));
            }
        }
        let mut heap = BinaryHeap::from(entries);
        while let Some(Reverse(e)) = heap.pop() {
            let (key, i) = ((e >> 32) as u32, e as u32 as usize);
            let (prev, right) = (list[i].prev, list[i].next);
            if list[i].key != key || list[i].len == 0 || right == NONE {
                continue;
            }
            let right = right as usize;
            let (len, after) = (list[right].len, list[right].next);
            list[right].len = 0;
            let s = &mut list[i];
            s.len += len;
            s.id = s.pair;
            s.next = after;
            if after != NONE {
                list[after as usize].prev = i as u32;
            }
            if score(list, i, &pair) {
                heap.push(entry(list[i].key, i as u32));
            }
            if prev != NONE && score(list, prev as usize, &pair) {
                heap.push(entry(list[prev as usize].key, prev));
            }
        }
        self.heap = heap;
        let mut i = 0;
        while let Some(s) = self.symbols.get(i as usize) {
            emit(s.start as usize, (s.start + s.len) as usize, s.id);
            i = s.next;
        }
        // A piece as long as a book must not hold its memory until the end of the text.
        if self.symbols.capacity() > 1 << 16 {
            *self = Self::default();
        }
    }
}

/// Looks up the pair of symbol `i` with its next one.
fn score(list: &mut [Symbol], i: usize, pair: &impl Fn(usize, usize, usize) -> Option<(u32, u32)>) -> bool {
    let s = &list[i];
    let found = list.get(s.next as usize).and_then(|n| {
        let (a, b) = (s.start as usize, n.start as usize);
        pair(a, b, b + n.len as usize)
    });
    let (key, id) = found.unwrap_or((NONE, NONE));
    list[i].key = key;
    list[i].pair = id;
    found.is_some()
}

/// Cuts `text` into parts of at most [`MAX_PIECE`] bytes, at characters.
pub(super) fn bounded(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A character has at most four bytes, so the cut is near the limit and never at 0.
        let cut = (0..=MAX_PIECE.min(rest.len())).rev().find(|i| rest.is_char_boundary(*i))?;
        let (part, after) = rest.split_at(cut);
        rest = after;
        Some(part)
    })
}
