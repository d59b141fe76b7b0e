//! The durations of plugin tables: whole minutes, written in Go's ways.

/// Go's units in nanoseconds.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The minutes that `text` stands for: an integer, or a Go duration such as `1h30m` of whole minutes.
///
/// None when it is neither, when it is negative, and past what Go's duration holds (292 years).
pub(super) fn parse(text: &str) -> Option<u32> {
    let minutes = match text.parse::<i64>() {
        Ok(minutes) => i128::from(minutes),
        Err(_) => whole_minutes(nanoseconds(text)?)?,
    };
    let in_range = minutes * 60_000_000_000 <= i128::from(i64::MAX);
    u32::try_from(minutes).ok().filter(|_| in_range)
}

fn whole_minutes(nanoseconds: i128) -> Option<i128> {
    (nanoseconds % 60_000_000_000 == 0).then_some(nanoseconds / 60_000_000_000)
}

/// Go's `time.ParseDuration`.
fn nanoseconds(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(number_len)?;
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_len)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *factor)?)?;
        rest = next;
    }
    Some(sign * total).filter(|total| total.unsigned_abs() <= u128::from(u64::MAX))
}

/// The decimal `number` times `factor`, cut to an integer.
fn scaled(number: &str, factor: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { i128::from(whole.parse::<u64>().ok()?) };
    let (mut part, mut divisor) = (0, 1);
    for digit in fraction.chars() {
        let digit = i128::from(digit.to_digit(10)?);
        // More digits than these cannot show in nanoseconds; they are checked and dropped.
        if divisor < 1_000_000_000_000_000 {
            part = part * 10 + digit;
            divisor *= 10;
        }
    }
    Some(whole * factor + part * factor / divisor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_whole_minutes_or_nothing() {
        for (text, minutes) in [
            ("30", Some(30)),
            ("1h30m", Some(90)),
            ("90m", Some(90)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1.5h", Some(90)),
            (".5h", Some(30)),
            ("60s", Some(1)),
            ("+2m", Some(2)),
            ("60000ms", Some(1)),
            ("60000000µs", Some(1)),
            ("90s", None),
            ("-1m", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("m", None),
            (".m", None),
            ("1.2.3h", None),
            ("1 h", None),
            ("1d", None),
            ("true", None),
            ("99999999999999999999h", None),
            ("4000000000", None),
        ] {
            assert_eq!(parse(text), minutes, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-+.0-9nuµmsh]{0,40}") {
            let minutes = parse(&text);
            prop_assert!(minutes.is_none_or(|minutes| minutes < 153_722_868));
        }
    }
}
