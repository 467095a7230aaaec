//! Hexadecimal, and the hashes that are written in it.

/// A SHA-256, in bytes.
pub type Hash = [u8; 32];

/// Bytes in hexadecimal, lower case.
pub fn encode(bytes: &[u8]) -> String {
    let digits = |b: &u8| [digit(b >> 4), digit(b & 15)];
    bytes.iter().flat_map(digits).collect()
}

/// The bytes that `text` shows in hexadecimal, upper or lower case; `None`
/// where it holds anything else or half a byte.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let pair = |p: &[u8]| Some(value(p[0])? << 4 | value(p[1])?);
    text.as_bytes().chunks_exact(2).map(pair).collect()
}

/// As [`decode`], of exactly so many bytes: a [`Hash`], an id.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// The digit of a value from 0 to 15, lower case.
pub(super) fn digit(value: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(value & 15)])
}

/// The value of a digit, upper or lower case.
pub(super) fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        assert_eq!(encode(&[0, 1, 0xab, 0xff]), "0001abff");
        assert_eq!(decode("aBFf"), Some(vec![0xab, 0xff]));
        assert_eq!(decode(""), Some(vec![]));
        for bad in ["0", "0g", "+1", " 1", "é", "00é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode_array("00ff"), Some([0, 0xff]));
        for bad in ["00", "00ff00", "00fg"] {
            assert_eq!(decode_array::<2>(bad), None, "{bad}");
        }
    }
}
