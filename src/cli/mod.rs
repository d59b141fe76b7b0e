//! The commands. Each is one file here and one line in `COMMANDS`.

mod args;
mod configtest;
mod help;
mod log;
mod once;
mod run;
mod sensors;
mod spool;
mod status;
mod terminal;
mod tick;

use std::process::ExitCode;

use args::Arguments;
use terminal::Terminal;

/// Done.
const DONE: u8 = 0;
/// Something failed.
const FAILED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;
/// Try again later (`EX_TEMPFAIL` of sysexits.h).
const TRY_AGAIN: u8 = 75;
/// The configuration is wrong (`EX_CONFIG` of sysexits.h).
const CONFIG: u8 = 78;

/// A command that did not do what it was asked for.
#[derive(Debug)]
struct Stop {
    code: u8,
    message: String,
}

impl Stop {
    fn new(code: u8, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}

type Outcome = Result<(), Stop>;

/// A command.
struct Command {
    name: &'static str,
    /// How its own arguments are written, after the name.
    arguments: &'static str,
    /// One line for the list.
    summary: &'static str,
    /// What `iwashi NAME --help` says below the summary.
    details: &'static str,
    /// Names of the options it takes, beside the common ones.
    options: &'static [&'static str],
    run: fn(&Arguments, &mut Terminal) -> Outcome,
}

/// All commands, in the order of the list.
static COMMANDS: &[Command] = &[
    run::COMMAND,
    tick::COMMAND,
    once::COMMAND,
    status::COMMAND,
    sensors::COMMAND,
    spool::COMMAND,
    configtest::COMMAND,
];

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let mut terminal = Terminal::new();
    let outcome = dispatch(std::env::args_os().skip(1).collect(), &mut terminal);
    match outcome {
        Ok(()) => ExitCode::from(DONE),
        Err(stop) => {
            terminal.error(&stop.message);
            ExitCode::from(stop.code)
        }
    }
}

fn dispatch(arguments: Vec<std::ffi::OsString>, terminal: &mut Terminal) -> Outcome {
    let arguments = args::parse(arguments)?;
    if arguments.version {
        terminal.line(&format!("iwashi {}", env!("CARGO_PKG_VERSION")));
        return Ok(());
    }
    let command = match &arguments.command {
        None if arguments.help => {
            help::general(terminal);
            return Ok(());
        }
        // mackerel-agent without a command runs; ours does so once it is given any option.
        None if arguments.has_options => &run::COMMAND,
        None => {
            help::general(terminal);
            return Err(Stop::new(USAGE, "which command? `iwashi run` starts collecting"));
        }
        Some(name) => args::command(name)?,
    };
    if arguments.help {
        help::of(command, terminal);
        return Ok(());
    }
    arguments.refuse_strange(command)?;
    (command.run)(&arguments, terminal)
}
