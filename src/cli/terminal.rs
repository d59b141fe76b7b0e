//! What is written for a person: the one place that prints.

use std::io::{self, IsTerminal, Write};

use crate::platform::decimal::Decimal;

/// Standard output and error.
#[derive(Debug)]
pub(super) struct Terminal {
    is_coloured: bool,
}

impl Terminal {
    pub(super) fn new() -> Self {
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { is_coloured: is_wanted && io::stdout().is_terminal() }
    }

    /// Whether a person reads the output.
    #[allow(clippy::unused_self)] // a terminal is asked, though there is only one
    pub(super) fn is_person(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// One line to standard output. A reader that has gone (`| head`) ends the program quietly.
    pub(super) fn line(&mut self, text: &str) {
        self.raw(&format!("{text}\n"));
    }

    /// Text without a line feed.
    #[allow(clippy::unused_self)]
    pub(super) fn raw(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    pub(super) fn heading(&mut self, text: &str) {
        let text = self.bold(text);
        self.line(&text);
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    /// For what a person should look at.
    pub(super) fn warning(&self, text: &str) -> String {
        self.styled("33", text)
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.is_coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// Why the program ends, to standard error.
    #[allow(clippy::unused_self)]
    pub(super) fn error(&mut self, text: &str) {
        // Nobody left to tell is no reason to fail otherwise.
        writeln!(io::stderr().lock(), "iwashi: {text}").ok();
    }
}

/// Bytes for a person: `88 B`, `3.2 KiB`, `64 MiB`.
pub(super) fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut divisor, mut names) = (1024u64, units.iter());
    let mut unit = names.next().copied().unwrap_or_default();
    while count / divisor >= 1024 {
        let Some(next) = names.next() else { break };
        (divisor, unit) = (divisor * 1024, next);
    }
    let is_short = count / divisor < 10 && !count.is_multiple_of(divisor);
    // Rounded to the nearest.
    let places = u32::from(is_short);
    let value = Decimal::ratio(count.saturating_add(divisor / 2 / 10u64.pow(places)), divisor, places);
    format!("{value} {unit}")
}

/// A stretch of time for a person: `42 s`, `3 min`, `5 h 20 min`, `12 d 4 h`.
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        assert_eq!(
            [0, 1023, 1024, 3300, 65_536, 1 << 26, 3 << 30].map(bytes),
            ["0 B", "1023 B", "1 KiB", "3.2 KiB", "64 KiB", "64 MiB", "3 GiB"]
        );
        assert_eq!(
            [900, 42_000, 180_000, 19_200_000, 1_051_200_000].map(duration),
            ["0 s", "42 s", "3 min", "5 h 20 min", "12 d 4 h"]
        );
    }
}
