//! `iwashi run`.

use std::sync::Arc;
use std::time::Duration;

use super::args::Arguments;
use super::terminal::{bytes, Terminal};
use super::{Command, Outcome, Stop, CONFIG, FAILED, TRY_AGAIN};
use crate::agent::{self, RunError, Settings, View};
use crate::platform::clock::{Clock, SystemClock};
use crate::platform::date::Date;
use crate::platform::pidfile::Pidfile;
use crate::platform::signals::Signals;
use crate::sink::mackerel;
use crate::spool::OpenError;

pub(super) const COMMAND: Command = Command {
    name: "run",
    arguments: "",
    summary: "collect and upload, in the foreground",
    details: "Takes a frame of all sensors each interval, keeps it in the spool, and uploads\n\
              it when there is an API key and a connection. Without a key it only collects.\n\
              TERM and INT flush the spool, try one short upload and end; HUP reads the\n\
              config again.",
    options: &["interval", "for"],
    run,
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

fn run(arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let interval = arguments.seconds("interval", 1, 600)?.unwrap_or(DEFAULT_INTERVAL);
    let limit = arguments.seconds("for", 1, u64::from(u32::MAX))?;
    let signals = Signals::take_over().map_err(|error| Stop::new(FAILED, format!("signals: {error}")))?;
    let config = arguments.config()?;
    let _pidfile = config.pidfile.as_deref().map(Pidfile::create).transpose().map_err(|error| {
        Stop::new(FAILED, format!("pidfile {}: {error}", config.pidfile.clone().unwrap_or_default().display()))
    })?;
    log::info!("iwashi {} starts: spool {}", env!("CARGO_PKG_VERSION"), config.spool_path().display());
    let file = config.file.clone();
    if config.api_key.is_none() {
        let place = file.map_or("/etc/iwashi/iwashi.conf".to_owned(), |file| file.display().to_string());
        log::info!("no API key, so nothing is uploaded");
        log::info!("to upload: apikey = \"…\" in {place}");
    }
    let is_watched = terminal.is_person();
    let cap = config.spool.max_size;
    agent::run(
        config,
        signals,
        Settings {
            interval,
            limit,
            clock: Arc::new(SystemClock::new(&arguments.sysroot())) as Arc<dyn Clock>,
            host: &|| arguments.host(),
            reload: &|| match arguments.config() {
                Ok(config) => Some(config),
                Err(stop) => {
                    log::error!("{}; going on with the old configuration", stop.message);
                    None
                }
            },
            watch: &mut |view| {
                if is_watched {
                    terminal.line(&describe(view, cap));
                }
            },
        },
    )
    .map_err(|error| stop(&error))?;
    log::info!("iwashi ends");
    Ok(())
}

/// How a failed run ends the program.
pub(super) fn stop(error: &RunError) -> Stop {
    let code = match error {
        RunError::Spool(OpenError::Busy(_)) => TRY_AGAIN,
        RunError::Spool(_) | RunError::System(_) => FAILED,
        RunError::Sink(_) => CONFIG,
    };
    Stop::new(code, error)
}

/// One line about the frame just taken, within 80 columns as long as nothing is wrong.
fn describe(view: &View<'_>, cap: u64) -> String {
    let (frame, _) = view.collector.last();
    let spool = &view.collector.spool;
    let time = Date(frame.stamp.wall_ms).to_string();
    let time = time.get(11..19).unwrap_or_default();
    let failing: Vec<&str> =
        view.collector.sampler().health().filter(|(_, health)| health.failing > 0).map(|(name, _)| name).collect();
    let mut line = format!(
        "{time} frame {}: {} readings; {} written, spool {} of {}",
        frame.seq,
        frame.readings().len(),
        bytes(spool.bytes_written()),
        bytes(spool.bytes()),
        bytes(cap)
    );
    if !failing.is_empty() {
        line.push_str(&format!("; failing: {}", failing.join(", ")));
    }
    if let Some(trouble) = spool.trouble() {
        line.push_str(&format!("; {} frames in memory: {trouble}", view.collector.held().len()));
    }
    if view.has_sink {
        let cursor = spool.cursor(mackerel::NAME);
        let waiting = cursor.waiting(spool.next_seq());
        line.push_str(&format!("; {} points sent, {waiting} frames wait", cursor.points));
        if let Some(trouble) = view.sink_trouble {
            line.push_str(&format!(": {trouble}"));
        }
    }
    line
}
