//! `iwashi configtest`.

use super::args::Arguments;
use super::terminal::Terminal;
use super::{Command, Outcome, Stop, FAILED};
use crate::config::Kind;

pub(super) const COMMAND: Command = Command {
    name: "configtest",
    arguments: "",
    summary: "check the config file",
    details: "Reads the config and everything it includes, and tells every mistake with file\n\
              and line. Exits 0 if all is well, 78 if `run` would refuse it, 1 if it has keys\n\
              that nobody knows (`run` only warns about those).",
    options: &[],
    run,
};

fn run(arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let loaded = arguments.load()?;
    for warning in &loaded.warnings {
        terminal.error(&format!("warning: {warning}"));
    }
    let file = match &loaded.config.file {
        Some(file) => file.display().to_string(),
        None => "no config file; defaults".to_owned(),
    };
    if loaded.warnings.iter().any(|warning| warning.kind == Kind::UnknownKey) {
        return Err(Stop::new(FAILED, format!("{file}: unknown keys")));
    }
    // To standard error, as mackerel-agent.
    terminal.error(&format!("SUCCESS ({file})"));
    Ok(())
}
