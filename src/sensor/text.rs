//! Parts of kernel texts, found in place.

use crate::sensor::error::Wrong;

/// The lines of a `/proc` file, without their ends.
///
/// # Errors
/// Such a file ends with a line feed: one that is empty or does not was cut, and its last number with it.
pub(crate) fn lines(text: &[u8]) -> Result<impl Iterator<Item = &[u8]>, Wrong<'_>> {
    match text.strip_suffix(b"\n") {
        Some(text) => Ok(text.split(|byte| *byte == b'\n')),
        None => Err(Wrong { expected: "whole lines", found: text }),
    }
}

/// The words of a line.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|field| !field.is_empty())
}

/// An unsigned decimal number, and nothing else.
pub(crate) fn number(text: &[u8]) -> Result<u64, Wrong<'_>> {
    let wrong = Wrong { expected: "a number below 2^64", found: text };
    let add = |sum: u64, byte: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit(*byte)?));
    if text.is_empty() {
        return Err(wrong);
    }
    text.iter().try_fold(0, add).ok_or(wrong)
}

/// A decimal number with an optional minus sign, and nothing else.
pub(crate) fn signed(text: &[u8]) -> Result<i64, Wrong<'_>> {
    let wrong = Wrong { expected: "a signed number below 2^63", found: text };
    let (digits, sign) = text.strip_prefix(b"-").map_or((text, 1), |digits| (digits, -1));
    let value = number(digits).ok().and_then(|value| i64::try_from(value).ok());
    value.map(|value| value * sign).ok_or(wrong)
}

/// A decimal fraction in hundredths: `0.5`, `0.50` and `0.504` are 50, `0.505` is 51 (the kernel prints two digits).
pub(crate) fn hundredths(text: &[u8]) -> Result<i64, Wrong<'_>> {
    let wrong = Wrong { expected: "a decimal fraction", found: text };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = number(parts.next().unwrap_or_default()).map_err(|_| wrong)?;
    let decimals = parts.next().unwrap_or(b"0");
    if decimals.is_empty() || !decimals.iter().all(u8::is_ascii_digit) {
        return Err(wrong);
    }
    let decimal = |place: usize| decimals.get(place).and_then(|byte| digit(*byte)).map_or(0, u64::from);
    let rounding = u64::from(decimal(2) >= 5);
    let value = whole.checked_mul(100).and_then(|sum| sum.checked_add(decimal(0) * 10 + decimal(1) + rounding));
    value.and_then(|value| i64::try_from(value).ok()).ok_or(wrong)
}

/// A device's name as text.
pub(crate) fn name(text: &[u8]) -> Result<&str, Wrong<'_>> {
    std::str::from_utf8(text).map_err(|_| Wrong { expected: "a name in UTF-8", found: text })
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_below_two_to_the_64() {
        let table: [(&[u8], Option<u64>); 9] = [
            (b"0", Some(0)),
            (b"0018446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"99999999999999999999999999", None),
            (b"", None),
            (b"-1", None),
            (b"+1", None),
            (b"12x", None),
            (b"\xff\x00", None),
        ];
        for (text, value) in table {
            assert_eq!(number(text).ok(), value, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_signed_number_may_be_negative() {
        let table: [(&[u8], Option<i64>); 6] = [
            (b"-12000", Some(-12000)),
            (b"25178", Some(25178)),
            (b"9223372036854775808", None),
            (b"--1", None),
            (b"-", None),
            (b"", None),
        ];
        for (text, value) in table {
            assert_eq!(signed(text).ok(), value, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn hundredths_are_exact_and_more_digits_are_rounded() {
        let table: [(&[u8], Option<i64>); 13] = [
            (b"0.52", Some(52)),
            (b"1507.55", Some(150_755)),
            (b"3", Some(300)),
            (b"0.5", Some(50)),
            (b"0.504999", Some(50)),
            (b"0.505", Some(51)),
            (b"0.995", Some(100)),
            (b"0.", None),
            (b".5", None),
            (b"-0.5", None),
            (b"1.2.3", None),
            (b"nan", None),
            (b"184467440737095516.16", None),
        ];
        for (text, value) in table {
            assert_eq!(hundredths(text).ok(), value, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn lines_end_with_a_line_feed() {
        assert_eq!(lines(b"a\nb\n").unwrap().collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(lines(b"").is_err());
        assert!(lines(b"a\n12").is_err());
    }
}
