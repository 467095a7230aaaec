//! Sizes and times as people write and read them; pure.

use std::time::Duration;

/// A number of bytes: digits, and K, M, G or T for powers of 1024; `bare` is
/// what a number without a letter counts in.
pub fn size(text: &str, bare: u64) -> Option<u64> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        (at, 't' | 'T') => (&text[..at], 1 << 40),
        _ => (text, bare),
    };
    number(digits)?.checked_mul(unit)
}

/// Bytes a second: a size, or, with `bit` behind it, bits in powers of 1000
/// as networks count them (`20Mbit` is 2,500,000 bytes). Not 0.
pub fn rate(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let bytes = match lower.strip_suffix("bit") {
        None => size(text, 1),
        Some(bits) => {
            let (digits, unit) = match bits.char_indices().next_back()? {
                (at, 'k') => (&bits[..at], 1000),
                (at, 'm') => (&bits[..at], 1_000_000),
                (at, 'g') => (&bits[..at], 1_000_000_000),
                _ => (bits, 1),
            };
            number(digits)?.checked_mul(unit).map(|bits| bits / 8)
        }
    };
    bytes.filter(|bytes| *bytes > 0)
}

/// A time: digits, and s, m, h or d; seconds without a letter. At most a
/// century, so that arithmetic with it cannot overflow.
pub fn time(text: &str) -> Option<Duration> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        (at, 'd') => (&text[..at], 86_400),
        _ => (text, 1),
    };
    let seconds = number(digits)?.checked_mul(unit)?;
    (seconds <= 100 * 366 * 86_400).then(|| Duration::from_secs(seconds))
}

/// A whole number: digits only, no sign.
pub fn number(digits: &str) -> Option<u64> {
    let fine = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| fine)
}

/// Bytes in units of 1024, with one decimal.
pub fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1023.95 {
            let digits = usize::from(unit != "B");
            return format!("{value:.digits$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} PiB")
}

/// Hours, minutes and seconds.
pub fn clock(seconds: u64) -> String {
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{h}:{m:02}:{s:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        assert_eq!(size("64", 1024), Some(65536));
        assert_eq!(size("16m", 1), Some(16 << 20));
        assert_eq!(size("2T", 1), Some(2 << 40));
        assert_eq!(rate("500k"), Some(512_000));
        assert_eq!(rate("20Mbit"), Some(2_500_000));
        assert_eq!(rate("64000bit"), Some(8000));
        assert_eq!(rate("1gBIT"), Some(125_000_000));
        for wrong in [
            "0",
            "7bit",
            "bit",
            "Mbit",
            "-1",
            "1.5M",
            "20Mb",
            "99999999999Gbit",
        ] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
        assert_eq!(time("90"), Some(Duration::from_secs(90)));
        assert_eq!(time("7d"), Some(Duration::from_secs(7 * 86_400)));
        for wrong in [
            "",
            "K",
            "-1",
            "+1",
            "1.5M",
            "1e3",
            "\u{e9}",
            "18446744073709551615G",
        ] {
            assert_eq!(size(wrong, 1), None, "{wrong}");
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_people_read() {
        assert_eq!(human(0), "0 B");
        assert_eq!(human(1023), "1023 B");
        assert_eq!(human(1024), "1.0 KiB");
        assert_eq!(human((1 << 20) - 1), "1.0 MiB");
        assert_eq!(human(u64::MAX), "16384.0 PiB");
        assert_eq!(clock(3 * 3600 + 62), "3:01:02");
    }
}
