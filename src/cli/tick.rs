//! `iwashi tick`.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use super::args::Arguments;
use super::terminal::Terminal;
use super::{run, Command, Outcome, Stop, FAILED};
use crate::agent::tick::{self, Upload};
use crate::platform::clock::{Clock, SystemClock};
use crate::platform::decimal::Decimal;

pub(super) const COMMAND: Command = Command {
    name: "tick",
    arguments: "",
    summary: "take one frame, try one upload, end (for cron)",
    details: "For cron, where no daemon may run:\n\n\
              \x20   * * * * * iwashi tick --spread 20\n\n\
              Runs may overlap: one at a time writes, one at a time uploads, none loses a\n\
              frame. A failed upload is said once, when it begins; frames wait in the spool.\n\
              Exits 0 once the frame is safe on disk, 75 when the spool stays busy.",
    options: &["spread"],
    run,
};

fn run(arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let spread = arguments.seconds("spread", 0, 50)?.unwrap_or_default();
    let config = arguments.config()?;
    super::log::only_warnings();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(&arguments.sysroot()));
    let wait = || {
        let share = RandomState::new().hash_one(std::process::id()) % 1000;
        #[allow(clippy::disallowed_methods)] // a command with nothing else to wait for
        std::thread::sleep(spread.mul_f64(share as f64 / 1000.0));
    };
    let before_upload: &dyn Fn() = if spread > Duration::ZERO { &wait } else { &|| () };
    let ticked = tick::tick(&Arc::new(config), &|| arguments.host(), &clock, before_upload)
        .map_err(|error| run::stop(&error))?;
    if terminal.is_person() || arguments.is_given("verbose") {
        let tenths = i64::try_from(ticked.collecting.as_micros() / 100).unwrap_or(i64::MAX);
        let milliseconds = Decimal { units: tenths, places: 1 };
        terminal.line(&format!("frame {}: {} readings in {milliseconds} ms", ticked.seq, ticked.readings));
        match &ticked.upload {
            Upload::NoSink => terminal.line("nothing sent: no API key"),
            Upload::Busy => terminal.line("nothing sent: another run is sending"),
            Upload::Done(Ok(points)) => terminal.line(&format!("{points} points sent")),
            Upload::Done(Err(failure)) => terminal.line(&format!("not everything sent: {failure}")),
        }
    }
    match ticked.spool_trouble {
        Some(trouble) => Err(Stop::new(FAILED, format!("the frame is not on disk: {trouble}"))),
        None => Ok(()),
    }
}
