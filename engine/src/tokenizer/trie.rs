//! All tokens that begin at a place in a text: a trie over many texts, made at once from the sorted list.
//!
//! Nodes lie breadth first, so the children of node `i` are the nodes `first[i]..first[i + 1]`, with their bytes in order.

/// Not a token.
const NONE: u32 = u32::MAX;

#[derive(Clone)]
pub(super) struct Trie {
    first: Vec<u32>,
    /// The byte that leads to each node; unused for the root.
    bytes: Vec<u8>,
    /// The token whose text ends at each node.
    tokens: Vec<u32>,
}

impl Trie {
    /// Of texts and their tokens; empty texts are left out, and of equal ones the lowest token stays.
    pub fn new(mut texts: Vec<(&[u8], u32)>) -> Self {
        texts.retain(|t| !t.0.is_empty());
        texts.sort_unstable();
        texts.dedup_by_key(|t| t.0);
        let mut this = Self { first: Vec::new(), bytes: vec![0], tokens: vec![NONE] };
        // The texts below each node, and how many bytes of them lead to it.
        let mut below = vec![(0, texts.len(), 0)];
        let mut node = 0;
        while let Some(&(mut from, to, depth)) = below.get(node) {
            this.first.push(this.bytes.len() as u32);
            if let Some((text, token)) = texts.get(from)
                && from < to
                && text.len() == depth
            {
                this.tokens[node] = *token;
                from += 1;
            }
            while from < to {
                let byte = texts[from].0[depth];
                let same = texts[from..to].partition_point(|t| t.0[depth] == byte);
                this.bytes.push(byte);
                this.tokens.push(NONE);
                below.push((from, from + same, depth + 1));
                from += same;
            }
            node += 1;
        }
        this.first.push(this.bytes.len() as u32);
        this
    }

    /// Calls `found(length, token)` for each text that `text` begins with, the shortest first.
    pub fn prefixes(&self, text: &[u8], mut found: impl FnMut(usize, u32)) {
        let mut node = 0;
        for (i, byte) in text.iter().enumerate() {
            let (from, to) = (self.first[node] as usize, self.first[node + 1] as usize);
            let Ok(at) = self.bytes[from..to].binary_search(byte) else { return };
            node = from + at;
            if self.tokens[node] != NONE {
                found(i + 1, self.tokens[node]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(t: &Trie, text: &str) -> Vec<(usize, u32)> {
        let mut all = Vec::new();
        t.prefixes(text.as_bytes(), |n, id| all.push((n, id)));
        all
    }

    #[test]
    fn every_prefix_is_found() {
        let texts: Vec<(&[u8], u32)> =
            [("ab", 3), ("abcd", 1), ("", 9), ("b", 0), ("ab", 2), ("é", 5)].map(|(t, i)| (t.as_bytes(), i)).to_vec();
        let t = Trie::new(texts);
        assert_eq!(prefixes(&t, "abcde"), [(2, 2), (4, 1)]);
        assert_eq!(prefixes(&t, "abc"), [(2, 2)]);
        assert_eq!(prefixes(&t, "bab"), [(1, 0)]);
        assert_eq!(prefixes(&t, "éa"), [(2, 5)]);
        assert!(prefixes(&t, "").is_empty() && prefixes(&t, "x").is_empty());
        assert!(prefixes(&Trie::new(Vec::new()), "x").is_empty());
    }
}
