//! Finding special tokens in a text: a trie over their texts, longest match first.

use super::vocab::{Kind, Vocab};

const END: u32 = u32::MAX;

/// Children of a node are a chain of siblings: a few thousand special tokens must not slow down opening a file.
#[derive(Clone, Copy, Debug)]
struct Node {
    byte: u8,
    child: u32,
    sibling: u32,
    /// The token whose text ends here.
    token: u32,
}

const ROOT: Node = Node { byte: 0, child: END, sibling: END, token: END };

#[derive(Clone, Debug)]
pub(super) struct Specials {
    nodes: Vec<Node>,
    /// Nodes of the first bytes.
    first: Box<[u32; 256]>,
    /// Control tokens that take the white space after them, ascending.
    strips: Vec<u32>,
}

/// A special token in a text.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub start: usize,
    /// Behind it, and behind the white space that it takes.
    pub end: usize,
    pub id: u32,
}

impl Specials {
    pub fn new(vocab: &Vocab, strips: impl Fn(&[u8]) -> bool) -> Self {
        let mut this = Self { nodes: Vec::new(), first: Box::new([END; 256]), strips: Vec::new() };
        for id in vocab.ids(|k| matches!(k, Kind::Control | Kind::UserDefined)) {
            let text = vocab.text(id);
            // An empty text, or one that is not UTF-8, cannot be found in a text.
            if text.is_empty() || std::str::from_utf8(text).is_err() {
                continue;
            }
            this.insert(text, id);
            if strips(text) {
                this.strips.push(id);
            }
        }
        this
    }

    fn insert(&mut self, text: &[u8], id: u32) {
        let mut at = END;
        for b in text {
            let mut next = match self.nodes.get(at as usize) {
                Some(n) => n.child,
                None => self.first[*b as usize],
            };
            while let Some(n) = self.nodes.get(next as usize) {
                if n.byte == *b {
                    break;
                }
                next = n.sibling;
            }
            if next == END {
                next = self.nodes.len() as u32;
                let head = match self.nodes.get_mut(at as usize) {
                    Some(n) => &mut n.child,
                    None => &mut self.first[*b as usize],
                };
                let sibling = std::mem::replace(head, next);
                self.nodes.push(Node { byte: *b, sibling, ..ROOT });
            }
            at = next;
        }
        // The first of equal texts stays.
        if let Some(n) = self.nodes.get_mut(at as usize).filter(|n| n.token == END) {
            n.token = id;
        }
    }

    /// The special token whose text is exactly `text`.
    pub fn exact(&self, text: &[u8]) -> Option<u32> {
        let (first, rest) = text.split_first()?;
        let mut node = self.nodes.get(self.first[*first as usize] as usize)?;
        for b in rest {
            node = self.nodes.get(node.child as usize)?;
            while node.byte != *b {
                node = self.nodes.get(node.sibling as usize)?;
            }
        }
        Some(node.token).filter(|t| *t != END)
    }

    /// The first special token of `text`, the longest where several begin; control tokens only if asked.
    pub fn find(&self, text: &str, vocab: &Vocab, control: bool) -> Option<Found> {
        let bytes = text.as_bytes();
        for start in 0..bytes.len() {
            let mut at = self.first[bytes[start] as usize];
            let (mut end, mut best) = (start, None);
            // Here `at` is a node that could stand for the byte at `end`.
            while let Some(n) = self.nodes.get(at as usize) {
                if bytes.get(end) != Some(&n.byte) {
                    at = n.sibling;
                    continue;
                }
                end += 1;
                if n.token != END && (control || vocab.kind(n.token) != Some(Kind::Control)) {
                    best = Some((end, n.token));
                }
                at = n.child;
            }
            if let Some((end, id)) = best {
                let strip = self.strips.binary_search(&id).is_ok();
                let taken = if strip { text[end..].len() - text[end..].trim_start().len() } else { 0 };
                return Some(Found { start, end: end + taken, id });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::vocab::Spelling;
    use super::*;

    fn specials(tokens: &[(&str, Kind)], strip: &str) -> (Vocab, Specials) {
        let texts: Vec<&[u8]> = tokens.iter().map(|t| t.0.as_bytes()).collect();
        let v = Vocab::new(&texts.into(), Some(tokens.iter().map(|t| t.1).collect()), Spelling::ByteLevel).unwrap();
        let s = Specials::new(&v, |t| t == strip.as_bytes());
        (v, s)
    }

    #[test]
    fn longest_first_and_control_on_request() {
        let (v, s) = specials(
            &[("<a>", Kind::Control), ("<a>b", Kind::UserDefined), ("<", Kind::UserDefined), ("x", Kind::Normal)],
            "",
        );
        let find = |t, c| s.find(t, &v, c).map(|f| (f.start, f.end, f.id));
        assert_eq!(find("x<a>b", true), Some((1, 5, 1)));
        assert_eq!(find("x<a>c", true), Some((1, 4, 0)));
        assert_eq!(find("x<a>c", false), Some((1, 2, 2)));
        assert_eq!(find("x", true), None);
        assert_eq!(find("", true), None);
    }

    #[test]
    fn siblings_and_multibyte() {
        let (v, s) = specials(&[("[1]", Kind::Control), ("[2]", Kind::Control), ("<｜e｜>", Kind::Control)], "[2]");
        assert_eq!(s.find("é[2] \n[1]", &v, true), Some(Found { start: 2, end: 7, id: 1 }));
        assert_eq!(s.find("[3]<｜e｜>", &v, true), Some(Found { start: 3, end: 12, id: 2 }));
    }
}
