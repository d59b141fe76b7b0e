//! Sizes as people write them: a whole number with a unit.

/// The units, largest first. `B` is there so that every size can be shown.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// The bytes that `text` stands for, such as `64 MiB` or `512KiB`.
///
/// None without a unit, with an unknown one, with a fraction, and past `u64`.
pub(super) fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let unit = unit.trim_start_matches(' ');
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// `bytes` in the largest unit that leaves no fraction; [`parse`] reads it back.
pub(super) fn show(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    let (name, factor) = unit.unwrap_or(&("B", 1));
    format!("{} {name}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_a_whole_number_with_a_unit() {
        for (text, bytes) in [
            ("64 MiB", Some(64 << 20)),
            ("512KiB", Some(512 << 10)),
            ("1 GB", Some(1_000_000_000)),
            ("3 kB", Some(3000)),
            ("0 B", Some(0)),
            ("64", None),
            ("", None),
            ("MiB", None),
            ("64 mib", None),
            ("-1 MiB", None),
            ("+1 MiB", None),
            ("1.5 GiB", None),
            ("64 MiB ", None),
            ("64 MiB/s", None),
            ("17179869184 GiB", None),
            ("99999999999999999999 B", None),
            ("６４ MiB", None),
        ] {
            assert_eq!(parse(text), bytes, "{text:?}");
        }
        assert_eq!(show(64 << 20), "64 MiB");
        assert_eq!(show(1_000_000_000), "1 GB");
        assert_eq!(show(1025), "1025 B");
        assert_eq!(show(0), "0 B");
    }

    proptest! {
        #[test]
        fn every_size_shown_reads_back(bytes in any::<u64>()) {
            prop_assert_eq!(parse(&show(bytes)), Some(bytes));
        }

        #[test]
        fn every_number_with_every_unit_round_trips(number in 0..1u64 << 34, unit in 0..UNITS.len(), space in " ?") {
            let (name, factor) = UNITS[unit];
            let bytes = number * factor;
            prop_assert_eq!(parse(&format!("{number}{space}{name}")), Some(bytes));
            prop_assert_eq!(parse(&show(bytes)), Some(bytes));
        }
    }
}
