//! The visible alphabet of byte-level vocabularies: GPT-2 writes each byte as one printable character.
//!
//! Bytes that Latin-1 prints stand for themselves; the 68 others are U+0100, U+0101, ... in ascending order.

/// Whether a byte stands for itself.
const fn prints(b: u8) -> bool {
    matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

/// From a character below U+0144 to its byte; `NO_BYTE` outside of the alphabet.
const BYTE_OF: [u16; 0x144] = {
    let (mut t, mut shifted, mut b) = ([NO_BYTE; 0x144], 0x100, 0);
    while b < 256 {
        if prints(b as u8) {
            t[b] = b as u16;
        } else {
            t[shifted] = b as u16;
            shifted += 1;
        }
        b += 1;
    }
    assert!(shifted == t.len());
    t
};

const NO_BYTE: u16 = 256;

/// Appends the bytes that `text` spells. Text with any character outside the alphabet, or that is not UTF-8, stands for
/// itself: such tokens are literal in the files that have them.
pub(super) fn spell(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = text;
    loop {
        let ascii = rest.iter().position(|b| !matches!(b, 0x21..=0x7e)).unwrap_or(rest.len());
        let (run, wide) = rest.split_at(ascii);
        out.extend_from_slice(run);
        // Two-byte characters hold the rest of the alphabet.
        let byte = match *wide {
            [] => return,
            [a @ 0xc2..=0xdf, b @ 0x80..=0xbf, ..] => {
                BYTE_OF.get(usize::from(a & 0x1f) << 6 | usize::from(b & 0x3f)).copied().unwrap_or(NO_BYTE)
            }
            _ => NO_BYTE,
        };
        if byte == NO_BYTE {
            out.truncate(start);
            out.extend_from_slice(text);
            return;
        }
        out.push(byte as u8);
        rest = &wide[2..];
    }
}

/// Number of bytes that a text in the alphabet spells: that of its characters.
pub(super) fn spelt_len(text: &[u8]) -> usize {
    text.iter().filter(|b| *b & 0xc0 != 0x80).count()
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

/// Appends what a text with escapes stands for: `\t`, `\n`, `\r`, a byte in two hexadecimal digits behind `\x`, and whatever
/// else is behind a `\` as such.
pub(super) fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let digit = |b: &u8| char::from(*b).to_digit(16);
        rest = match (first, behind) {
            (b'\\', [b'x', high, low, later @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                let pair = digit(high).zip(digit(low)).map_or(0, |(high, low)| high * 16 + low);
                out.push(pair as u8);
                later
            }
            (b'\\', [escaped, later @ ..]) => {
                out.push(match escaped {
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'r' => b'\r',
                    other => *other,
                });
                later
            }
            _ => {
                out.push(*first);
                behind
            }
        };
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
            let text = c.to_string();
            let bytes = spelled(&text);
            if BYTE_OF.get(c as usize).is_some_and(|b| *b != NO_BYTE) {
                assert!(bytes.len() == 1 && !std::mem::replace(&mut seen[bytes[0] as usize], true), "{c:?}");
            } else {
                assert_eq!(bytes, text.as_bytes());
            }
        }
        assert_eq!(seen, [true; 256]);
        assert_eq!((spelled("Ā"), spelled("Ġ"), spelled("Ń")), (vec![0], vec![b' '], vec![0xad]));
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
