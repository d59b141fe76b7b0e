//! Dates for people, in UTC.

use std::fmt;

/// Milliseconds since 1970, shown as RFC 3339 in whole seconds: `2026-11-23T13:37:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1000);
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let second = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Year, month and day of a day since 1970 (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

impl Date {
    /// Reads `2026-11-23`, `2026-11-23T13:37` or `2026-11-23T13:37:00`, with or without a `Z` at the end: always UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z').unwrap_or(text);
        let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
        let mut day = day.split('-').map(digits);
        let (year, month, day, more) = (day.next()??, day.next()??, day.next()??, day.next());
        let mut time = time.split(':').map(digits);
        let (hour, minute) = (time.next()??, time.next()??);
        let second = time.next().unwrap_or(Some(0))?;
        let seconds = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
        let date = Self(seconds * 1000);
        // What the calendar does not have comes back as another day or hour.
        let written = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        (more.is_none() && time.next().is_none() && date.to_string() == written).then_some(date)
    }
}

fn digits(text: &str) -> Option<i64> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Days from 1970 to a date of the calendar; the inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for seconds in [0, -1, 951_782_400, 951_868_799, 1_795_305_600, 4_107_542_399, 253_402_300_799] {
            assert_eq!(Date::parse(&Date(seconds * 1000).to_string()), Some(Date(seconds * 1000)), "{seconds}");
        }
        let noon = Date::parse("2026-11-23T12:00:00Z");
        assert_eq!(Date::parse("2026-11-23 12:00"), noon);
        assert_eq!(
            Date::parse("2026-11-23T12:00").map(|date| date.0),
            Date::parse("2026-11-23").map(|d| d.0 + 43_200_000)
        );
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "2026-11-23T24:00",
            "2026-11-23T12",
            "2026-11-23T12:00:00:00",
            "2026-11-23-01",
            "-2026-11-23",
            "26-+1-23",
            "2026-11-23T12:60",
        ] {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_305_600, "2026-11-22T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Date(seconds * 1000).to_string(), text);
        }
    }
}
