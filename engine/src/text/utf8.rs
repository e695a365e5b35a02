//! UTF-8 across tokens: a character may be cut in the middle.

/// Takes bytes as they come and gives complete characters. Bytes that can be no character become U+FFFD, as
/// `String::from_utf8_lossy` on the whole would have it.
#[derive(Clone, Debug, Default)]
pub struct Utf8Assembler {
    /// An incomplete character, at most 3 bytes.
    held: Vec<u8>,
}

impl Utf8Assembler {
    /// Nothing held.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes; returns the text that is complete now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let (mut out, mut rest) = (String::new(), &self.held[..]);
        loop {
            match std::str::from_utf8(rest) {
                Ok(s) => {
                    out.push_str(s);
                    rest = &[];
                    break;
                }
                Err(e) => {
                    let (good, bad) = rest.split_at(e.valid_up_to());
                    out.push_str(&String::from_utf8_lossy(good));
                    match e.error_len() {
                        Some(n) => {
                            out.push(char::REPLACEMENT_CHARACTER);
                            rest = &bad[n..];
                        }
                        None => {
                            rest = bad;
                            break;
                        }
                    }
                }
            }
        }
        self.held = rest.to_vec();
        out
    }

    /// The end: an incomplete character becomes U+FFFD.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::testing::Lcg;

    #[test]
    fn any_cut_gives_the_same_text() {
        let mut rng = Lcg(1);
        let samples: Vec<Vec<u8>> = vec![
            "aé漢😀z".into(),
            vec![0xff, b'a', 0xe2, 0x82, b'b', 0xf0, 0x9f, 0x98, 0x80, 0x80],
            vec![0xe2, 0x82],
            (0..200).map(|_| rng.next() as u8).collect(),
        ];
        for bytes in samples {
            let want = String::from_utf8_lossy(&bytes).into_owned();
            for _ in 0..50 {
                let mut a = Utf8Assembler::new();
                let (mut got, mut rest) = (String::new(), &bytes[..]);
                while !rest.is_empty() {
                    let n = 1 + rng.next() as usize % rest.len().min(5);
                    got += &a.push(&rest[..n]);
                    rest = &rest[n..];
                }
                got += &a.finish();
                assert_eq!(got, want);
            }
        }
    }

    #[test]
    fn complete_characters_are_not_held() {
        let mut a = Utf8Assembler::new();
        assert_eq!(a.push("é".as_bytes()), "é");
        assert_eq!(a.push(&[0xf0, 0x9f]), "");
        assert_eq!(a.push(&[0x98, 0x80]), "😀");
    }
}
