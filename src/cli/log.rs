//! Messages to people, on standard error: `2026-11-23T13:37:00Z WARN  message`.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::Config;
use crate::platform::clock::{Clock, SystemClock};
use crate::platform::date::Date;

/// The target of messages that only `verbose` asks for; see the macro of that name.
const VERBOSE: &str = "iwashi::verbose";
static IS_VERBOSE: AtomicBool = AtomicBool::new(false);

struct Stderr {
    clock: SystemClock,
    /// journald stamps what it reads by itself.
    has_dates: bool,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries talk of their own innards; what matters reaches us as errors.
        match metadata.target() {
            VERBOSE => IS_VERBOSE.load(Ordering::Relaxed),
            target => target.starts_with("iwashi"),
        }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = if record.target() == VERBOSE { Level::Debug } else { record.level() };
        let message = record.args();
        let date = if self.has_dates { format!("{} ", Date(self.clock.now().wall_ms)) } else { String::new() };
        let line = format!("{date}{level:<5} {message}\n");
        // In one write, so that lines of several processes do not mix. A full or closed log must not stop the agent.
        std::io::stderr().lock().write_all(line.as_bytes()).ok();
    }

    fn flush(&self) {}
}

/// Starts logging as the config says. Later calls only change the level.
pub(super) fn start(config: &Config) {
    let level = match (config.verbose, config.silent) {
        (false, true) => LevelFilter::Error,
        _ => LevelFilter::Info,
    };
    IS_VERBOSE.store(config.verbose, Ordering::Relaxed);
    let has_dates = std::env::var_os("JOURNAL_STREAM").is_none();
    let logger = Stderr { clock: SystemClock::new(std::path::Path::new("/")), has_dates };
    // Fails only when it was started before.
    log::set_boxed_logger(Box::new(logger)).ok();
    log::set_max_level(level);
}

/// Lets only warnings through: for commands whose output is their result.
pub(super) fn only_warnings() {
    log::set_max_level(log::max_level().min(LevelFilter::Warn));
}
