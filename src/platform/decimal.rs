//! Decimal fractions for people, from whole numbers: the standard library's for floats are 20 KiB of the program.

use std::fmt;

/// `units` of the `places`-th decimal place: `Decimal { units: 12345, places: 3 }` is 12.345.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// How many of the smallest place.
    pub units: i64,
    /// Places behind the point, 18 at most.
    pub places: u32,
}

impl Decimal {
    /// `dividend / divisor`, rounded down to `places`; nothing divided by zero is zero.
    #[must_use]
    pub fn ratio(dividend: u64, divisor: u64, places: u32) -> Self {
        let units = u128::from(dividend) * u128::from(10u64.pow(places)) / u128::from(divisor.max(1));
        Self { units: i64::try_from(units).unwrap_or(i64::MAX), places }
    }

    /// The same without zeros at the end.
    #[must_use]
    pub fn shortest(mut self) -> Self {
        while self.places > 0 && self.units % 10 == 0 {
            self.units /= 10;
            self.places -= 1;
        }
        self
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = 10u64.pow(self.places);
        let (sign, units) = (if self.units < 0 { "-" } else { "" }, self.units.unsigned_abs());
        write!(f, "{sign}{}", units / whole)?;
        if self.places > 0 {
            write!(f, ".{:0width$}", units % whole, width = self.places as usize)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_out() {
        let show = |units, places| Decimal { units, places }.to_string();
        assert_eq!(show(12_345, 3), "12.345");
        assert_eq!(
            (show(5, 3), show(-5, 3), show(0, 0), show(7, 0)),
            ("0.005".into(), "-0.005".into(), "0".into(), "7".into())
        );
        assert_eq!(show(i64::MIN, 18), "-9.223372036854775808");
        assert_eq!(Decimal { units: 1_512_500, places: 3 }.shortest().to_string(), "1512.5");
        assert_eq!(Decimal { units: 2_400_000, places: 3 }.shortest().to_string(), "2400");
        assert_eq!(Decimal::ratio(2, 3, 2).to_string(), "0.66");
        assert_eq!(
            (Decimal::ratio(5, 0, 1).to_string(), Decimal::ratio(0, 0, 1).to_string()),
            ("5.0".into(), "0.0".into())
        );
    }
}
