//! Which part of a spool is asked for: `--series`, `--since`, `--until`.

use super::super::args::Arguments;
use super::super::{Stop, USAGE};
use crate::platform::clock::{Clock, SystemClock};
use crate::platform::date::Date;
use crate::series::Series;
use crate::spool::Time;

/// A selection of frames and series.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    globs: Vec<String>,
    since_ms: i64,
    until_ms: i64,
}

impl Selection {
    pub(super) fn of(arguments: &Arguments) -> Result<Self, Stop> {
        let now_ms = SystemClock::new(&arguments.sysroot()).now().wall_ms;
        let time = |option: &str, default| match arguments.text(option) {
            None => Ok(default),
            Some(text) => parse_time(&text, now_ms).ok_or_else(|| {
                let forms = "a UTC date as 2026-11-23 or 2026-11-23T13:37, or a time ago as 90m, 12h or 7d";
                Stop::new(USAGE, format!("--{option} takes {forms}, not {text:?}"))
            }),
        };
        let since_ms = time("since", i64::MIN)?;
        Ok(Self { globs: arguments.texts("series"), since_ms, until_ms: time("until", i64::MAX)? })
    }

    /// Whether a frame of this time is asked for. One of unknown time is, as long as no time is.
    pub(super) fn has_time(&self, time: Time) -> bool {
        match time {
            Time::Known(wall_ms) | Time::Estimated(wall_ms) => (self.since_ms..self.until_ms).contains(&wall_ms),
            Time::Unknown => self.since_ms == i64::MIN && self.until_ms == i64::MAX,
        }
    }

    pub(super) fn has_series(&self, series: &Series) -> bool {
        self.globs.is_empty() || self.globs.iter().any(|glob| matches(glob, &series.name))
    }
}

/// A date, or how long ago, in milliseconds since 1970.
fn parse_time(text: &str, now_ms: i64) -> Option<i64> {
    let unit_ms = match text.bytes().next_back()? {
        b'm' => 60_000,
        b'h' => 3_600_000,
        b'd' => 86_400_000,
        _ => return Date::parse(text).map(|date| date.0),
    };
    let count: u32 = text.get(..text.len() - 1)?.parse().ok()?;
    Some(now_ms - i64::from(count) * unit_ms)
}

/// `*` stands for anything, `?` for one character.
fn matches(glob: &str, name: &str) -> bool {
    let mut rest = glob.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => (0..=name.len()).filter_map(|start| name.get(start..)).any(|name| matches(rest.as_str(), name)),
        Some(wanted) => {
            let mut name = name.chars();
            name.next().is_some_and(|c| (wanted == '?' || wanted == c) && matches(rest.as_str(), name.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_names() {
        assert!(matches("cpu.*", "cpu.user") && matches("*", "uptime") && matches("loadavg.?", "loadavg.5"));
        assert!(!matches("cpu.*", "memory.MemFree") && !matches("loadavg.?", "loadavg.15"));
    }

    #[test]
    fn times_are_dates_or_ago() {
        let now = 1_795_305_600_000;
        assert_eq!(parse_time("90m", now), Some(now - 5_400_000));
        assert_eq!(parse_time("7d", now), Some(now - 604_800_000));
        assert_eq!(parse_time("2026-11-22T00:00:00Z", 0), Some(now));
        for bad in ["", "m", "-1h", "1.5h", "yesterday", "1w", "é"] {
            assert_eq!(parse_time(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn frames_of_unknown_time_are_there_until_a_time_is_asked_for() {
        let all = Selection { globs: Vec::new(), since_ms: i64::MIN, until_ms: i64::MAX };
        assert!(all.has_time(Time::Unknown) && all.has_time(Time::Known(5)));
        let part = Selection { since_ms: 10, until_ms: 20, ..all };
        assert!(part.has_time(Time::Estimated(10)) && !part.has_time(Time::Known(20)) && !part.has_time(Time::Unknown));
    }
}
