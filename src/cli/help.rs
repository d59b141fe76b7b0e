//! Help, made from the tables of commands and options.

use super::args::{Opt, OPTIONS};
use super::terminal::Terminal;
use super::{Command, COMMANDS};

/// `iwashi --help`.
pub(super) fn general(terminal: &mut Terminal) {
    terminal.line("iwashi: a small Mackerel agent that keeps every sample on disk until it is sent");
    terminal.line("");
    terminal.heading("Usage");
    terminal.line("  iwashi COMMAND [OPTIONS]");
    terminal.line("");
    terminal.heading("Commands");
    for command in COMMANDS {
        terminal.line(&format!("  {:<11} {}", command.name, command.summary));
    }
    terminal.line("");
    terminal.heading("Options of every command");
    options(terminal, &|option| option.is_common);
    terminal.line("");
    terminal.heading("Try it");
    terminal.line("  iwashi run --interval 1 --for 10    collect for ten seconds; needs no account");
    terminal.line("  iwashi status                       see what was kept");
    terminal.line("  iwashi COMMAND --help               more about one command");
    terminal.line("");
    terminal.line("Exit codes: 0 done, 1 failed, 2 usage, 75 try again later, 78 configuration.");
}

/// `iwashi COMMAND --help`.
pub(super) fn of(command: &Command, terminal: &mut Terminal) {
    terminal.line(&format!("iwashi {}: {}", command.name, command.summary));
    terminal.line("");
    terminal.heading("Usage");
    let arguments = if command.arguments.is_empty() { String::new() } else { format!(" {}", command.arguments) };
    terminal.line(&format!("  iwashi {}{arguments} [OPTIONS]", command.name));
    terminal.line("");
    terminal.line(command.details);
    if !command.options.is_empty() {
        terminal.line("");
        terminal.heading("Options");
        options(terminal, &|option| command.options.contains(&option.name));
    }
    terminal.line("");
    terminal.line("Options of every command: see iwashi --help.");
}

fn options(terminal: &mut Terminal, is_wanted: &dyn Fn(&Opt) -> bool) {
    const INDENT: usize = 24;
    for option in OPTIONS.iter().filter(|option| is_wanted(option)) {
        let spelling = format!("--{} {}", option.name, option.value);
        for (i, help) in option.help.lines().enumerate() {
            let left = if i == 0 { spelling.trim_end() } else { "" };
            terminal.line(&format!("  {left:<INDENT$}{help}"));
        }
    }
}
