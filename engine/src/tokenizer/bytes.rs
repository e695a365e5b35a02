//! The visible alphabet of byte-level vocabularies: GPT-2 writes each byte as one printable character.
//!
//! Bytes that Latin-1 prints stand for themselves; the 68 others are U+0100, U+0101, ... in ascending order.

/// Whether a byte stands for itself.
const fn prints(b: u8) -> bool {
    matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

/// From U+0100 + index to the byte.
const SHIFTED: [u8; 68] = {
    let (mut t, mut n, mut b) = ([0; 68], 0, 0);
    while b < 256 {
        if !prints(b as u8) {
            t[n] = b as u8;
            n += 1;
        }
        b += 1;
    }
    t
};

/// The byte that a character of the alphabet stands for.
pub(super) fn byte_of(c: char) -> Option<u8> {
    match c as u32 {
        c @ 0..=0xff => prints(c as u8).then_some(c as u8),
        c => SHIFTED.get(c as usize - 0x100).copied(),
    }
}

/// Appends the bytes that `text` spells. Text with any character outside the alphabet, or that is not UTF-8, stands for
/// itself: such tokens are literal in the files that have them.
pub(super) fn spell(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = text;
    while let Some((&b, after)) = rest.split_first() {
        let byte = match b {
            0x21..=0x7e => {
                rest = after;
                Some(b)
            }
            // Two-byte characters hold the rest of the alphabet.
            0xc2..=0xc5 if after.first().is_some_and(|c| c & 0xc0 == 0x80) => {
                rest = &after[1..];
                char::from_u32(u32::from(b & 0x1f) << 6 | u32::from(after[0] & 0x3f)).and_then(byte_of)
            }
            _ => None,
        };
        let Some(byte) = byte else {
            out.truncate(start);
            out.extend_from_slice(text);
            return;
        };
        out.push(byte);
    }
}

/// The byte of a token such as `<0x41>`.
pub(super) fn byte_token(text: &[u8]) -> Option<u8> {
    let hex = text.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let digit = |b: u8| char::from(b).to_digit(16);
    match *hex {
        [a, b] => Some((digit(a)? << 4 | digit(b)?) as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(s: &str) -> Vec<u8> {
        let mut v = b"x".to_vec();
        spell(s.as_bytes(), &mut v);
        v.split_off(1)
    }

    #[test]
    fn alphabet_is_a_bijection() {
        let mut seen = [false; 256];
        for c in (0..0x200).filter_map(char::from_u32) {
            if let Some(b) = byte_of(c) {
                assert!(!std::mem::replace(&mut seen[b as usize], true), "{c:?}");
                assert_eq!(spelled(&c.to_string()), [b]);
            }
        }
        assert_eq!(seen, [true; 256]);
    }

    #[test]
    fn spelling() {
        assert_eq!(spelled("Ġthe"), b" the");
        assert_eq!(spelled("Ċ"), b"\n");
        assert_eq!(spelled("Ã¤"), "ä".as_bytes());
        // Literal: a space and a full-width bar are outside of the alphabet.
        assert_eq!(spelled("a b"), b"a b");
        assert_eq!(spelled("<｜end｜>"), "<｜end｜>".as_bytes());
        let mut v = Vec::new();
        spell(&[b'a', 0xc3], &mut v);
        assert_eq!(v, [b'a', 0xc3]);
    }

    #[test]
    fn byte_tokens() {
        assert_eq!(byte_token(b"<0x0A>"), Some(10));
        assert_eq!(byte_token(b"<0xfF>"), Some(255));
        for bad in [&b"<0x1>"[..], b"<0x123>", b"<0xG0>", b"0x10", b"<0x10", b""] {
            assert_eq!(byte_token(bad), None);
        }
    }
}
