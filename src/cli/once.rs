//! `iwashi once`.

use super::args::Arguments;
use super::terminal::Terminal;
use super::{Command, Outcome, Stop, FAILED};
use crate::agent::once;
use crate::platform::clock::SystemClock;

pub(super) const COMMAND: Command = Command {
    name: "once",
    arguments: "",
    summary: "print what would be posted, as JSON",
    details: "Takes two frames a second apart and prints the host's description and the\n\
              values of all metrics, in the shape of mackerel-agent's once. Nothing is\n\
              stored or sent.",
    options: &[],
    run,
};

fn run(arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let config = arguments.config()?;
    super::log::only_warnings();
    let clock = SystemClock::new(&arguments.sysroot());
    let value = once::once(&config, &|| arguments.host(), &clock).map_err(|error| Stop::new(FAILED, error))?;
    terminal.line(&value.to_string());
    Ok(())
}
