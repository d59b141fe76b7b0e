//! The command line: GNU-style options, and mackerel-agent's single-dash spellings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Command, Outcome, Stop, COMMANDS, CONFIG, USAGE};
use crate::config::{Config, Kind, Loaded, Overrides};
use crate::platform::host::Host;
use crate::platform::user;
use crate::sensor::SENSORS;

/// An option.
pub(super) struct Opt {
    pub(super) name: &'static str,
    /// What stands for its value in the help; empty for a switch.
    pub(super) value: &'static str,
    pub(super) help: &'static str,
    /// Whether every command takes it.
    pub(super) is_common: bool,
}

const fn common(name: &'static str, value: &'static str, help: &'static str) -> Opt {
    Opt { name, value, help, is_common: true }
}

const fn own(name: &'static str, value: &'static str, help: &'static str) -> Opt {
    Opt { name, value, help, is_common: false }
}

/// All options.
pub(super) const OPTIONS: &[Opt] = &[
    common(
        "conf",
        "FILE",
        "config file (default: /etc/iwashi/iwashi.conf, else\n/etc/mackerel-agent/mackerel-agent.conf)",
    ),
    common("root", "DIR", "state directory: id file and spool"),
    common("apibase", "URL", "where the API is"),
    common("role", "SERVICE:ROLE", "role of this host (repeatable; replaces those of\nthe config)"),
    common("pidfile", "FILE", "where to write the process id"),
    common("sysroot", "DIR", "measure the machine whose /proc and /sys are in DIR"),
    common("verbose", "", "say more (also -v)"),
    common("help", "", "show help (also -h)"),
    common("version", "", "show the version (also -V)"),
    own("interval", "SECONDS", "between two frames, 1 to 600 (default: 60)"),
    own("for", "SECONDS", "stop after this long"),
    own(
        "spread",
        "SECONDS",
        "wait a random time up to this before the upload, so that\nmany hosts do not call at once (default: 0)",
    ),
    own("json", "", "as JSON"),
    own("path", "DIR", "the spool to look into (default: the config's)"),
    own("format", "FORMAT", "csv, jsonl or openmetrics (default: csv)"),
    own("series", "GLOB", "only series whose name matches, as in 'cpu.*'\n(repeatable)"),
    own("since", "TIME", "only frames from then on: a UTC date as 2026-11-23T13:37,\nor a time ago as 90m, 12h or 7d"),
    own("until", "TIME", "only frames before then"),
    // mackerel-agent's, accepted so that its unit files work.
    own("diagnostic", "", ""),
    own("child", "", ""),
    own("private-autoshutdown", "", ""),
    own("apikey", "KEY", ""),
];

/// Options of mackerel-agent that `run` takes and that change nothing.
const WITHOUT_EFFECT: &[&str] = &["diagnostic", "child", "private-autoshutdown"];

/// The command line, taken apart.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) command: Option<String>,
    pub(super) words: Vec<String>,
    pub(super) has_options: bool,
    pub(super) help: bool,
    pub(super) version: bool,
    given: Vec<(&'static str, OsString)>,
}

/// Takes the command line apart.
pub(super) fn parse(arguments: Vec<OsString>) -> Result<Arguments, Stop> {
    use lexopt::Arg;
    let mut parsed = Arguments::default();
    let mut parser = lexopt::Parser::from_args(arguments.into_iter().map(doubled));
    let usage = |error: lexopt::Error| Stop::new(USAGE, format!("{error}; see iwashi --help"));
    while let Some(argument) = parser.next().map_err(usage)? {
        let name = match &argument {
            Arg::Short('h') => "help",
            Arg::Short('v') => "verbose",
            Arg::Short('V') => "version",
            Arg::Long(name) => name,
            Arg::Short(letter) => return Err(Stop::new(USAGE, format!("unknown option -{letter}; see iwashi --help"))),
            Arg::Value(word) => {
                let word = word.to_string_lossy().into_owned();
                match parsed.command {
                    None => parsed.command = Some(word),
                    Some(_) => parsed.words.push(word),
                }
                continue;
            }
        };
        let Some(option) = OPTIONS.iter().find(|option| option.name == name) else {
            return Err(Stop::new(USAGE, format!("unknown option --{name}; see iwashi --help")));
        };
        let value = if option.value.is_empty() { OsString::new() } else { parser.value().map_err(usage)? };
        match option.name {
            "help" => parsed.help = true,
            "version" => parsed.version = true,
            _ => parsed.has_options = true,
        }
        parsed.given.push((option.name, value));
    }
    Ok(parsed)
}

/// `-conf` as `--conf`: every long option may be written with one dash, as Go's programs have it.
fn doubled(argument: OsString) -> OsString {
    let Some(name) = argument.to_str().and_then(|text| text.strip_prefix('-')) else { return argument };
    let long = name.split('=').next().unwrap_or(name);
    if OPTIONS.iter().any(|option| option.name == long) {
        return format!("--{name}").into();
    }
    argument
}

/// The command called `name`.
pub(super) fn command(name: &str) -> Result<&'static Command, Stop> {
    let name = if name == "supervise" { "run" } else { name };
    COMMANDS.iter().find(|command| command.name == name).ok_or_else(|| {
        let all: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        Stop::new(USAGE, format!("unknown command {name:?}; there are: {}", all.join(", ")))
    })
}

impl Arguments {
    /// Refuses options that `command` does not take.
    pub(super) fn refuse_strange(&self, command: &Command) -> Outcome {
        for (name, _) in &self.given {
            let is_common = OPTIONS.iter().any(|option| option.name == *name && option.is_common);
            let is_ignored = command.name == "run" && WITHOUT_EFFECT.contains(name);
            if *name == "apikey" {
                let why = "every user of this machine could read a key on the command line; put it into the config";
                return Err(Stop::new(USAGE, format!("--apikey is not taken: {why}")));
            }
            if !is_common && !is_ignored && !command.options.contains(name) {
                let message = format!("{} takes no --{name}; see iwashi {} --help", command.name, command.name);
                return Err(Stop::new(USAGE, message));
            }
        }
        if !command.arguments.contains(|c: char| c.is_ascii_lowercase()) && !self.words.is_empty() {
            let words = self.words.join(" ");
            return Err(Stop::new(USAGE, format!("{} takes no {words:?}; see iwashi {0} --help", command.name)));
        }
        Ok(())
    }

    /// The value of option `name`; of several, the last.
    pub(super) fn value(&self, name: &str) -> Option<&OsString> {
        self.given.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_string_lossy().into_owned())
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let given = self.given.iter().filter(|(given, _)| *given == name);
        given.map(|(_, value)| value.to_string_lossy().into_owned()).collect()
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    pub(super) fn is_given(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whole seconds between `least` and `most`.
    pub(super) fn seconds(&self, name: &str, least: u64, most: u64) -> Result<Option<Duration>, Stop> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(seconds) if (least..=most).contains(&seconds) => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(Stop::new(USAGE, format!("--{name} takes whole seconds from {least} to {most}, not {text:?}"))),
        }
    }

    /// The machine to measure.
    pub(super) fn host(&self) -> Host {
        Host::new(&self.sysroot())
    }

    pub(super) fn sysroot(&self) -> PathBuf {
        self.path("sysroot").unwrap_or_else(|| PathBuf::from("/"))
    }

    /// The config file: the one named, or the first there is.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        const DEFAULTS: [&str; 2] = ["/etc/iwashi/iwashi.conf", "/etc/mackerel-agent/mackerel-agent.conf"];
        let there = DEFAULTS.iter().map(Path::new).find(|path| path.exists());
        self.path("conf").or_else(|| there.map(Path::to_path_buf))
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            api_base: self.text("apibase"),
            root: self.path("root"),
            pidfile: self.path("pidfile"),
            roles: self.texts("role"),
            verbose: self.is_given("verbose"),
            ..Overrides::default()
        }
    }

    /// The config and what is doubtful in it.
    pub(super) fn load(&self) -> Result<Loaded, Stop> {
        let known: Vec<&str> = SENSORS.iter().map(|sensor| sensor.name).collect();
        let loaded = match self.config_file() {
            Some(file) => Config::load(&file, &known, &self.overrides()),
            None => Config::without_file(default_root()).overridden(&self.overrides()),
        };
        loaded.map_err(|mistakes| {
            let warnings: String = mistakes.warnings.iter().map(|warning| format!("\nwarning: {warning}")).collect();
            Stop::new(CONFIG, format!("configuration:\n{mistakes}{warnings}"))
        })
    }

    /// The config; starts logging, and logs what is doubtful.
    pub(super) fn config(&self) -> Result<Config, Stop> {
        let loaded = self.load()?;
        super::log::start(&loaded.config);
        for warning in &loaded.warnings {
            match warning.kind {
                Kind::Ignored => ::log::info!("config: {warning}"),
                _ => ::log::warn!("config: {warning}"),
            }
        }
        Ok(loaded.config)
    }
}

/// Where state goes without a config: the system's place for root, the user's own for others (XDG base directories).
fn default_root() -> PathBuf {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(systemd) = directory("STATE_DIRECTORY") {
        return systemd;
    }
    if user::is_root() {
        return PathBuf::from("/var/lib/iwashi");
    }
    let state = directory("XDG_STATE_HOME").or_else(|| directory("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(std::env::temp_dir).join("iwashi")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Arguments {
        parse(line.split(' ').map(OsString::from).collect()).unwrap()
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        let arguments = parsed("-conf /a run -role=S:r --role S:q -v");
        assert_eq!(arguments.command.as_deref(), Some("run"));
        assert_eq!(arguments.text("conf").unwrap(), "/a");
        assert_eq!(arguments.texts("role"), ["S:r", "S:q"]);
        assert!(arguments.is_given("verbose"));
    }

    #[test]
    fn what_a_command_does_not_take_is_refused() {
        let refused = |line: &str| {
            let arguments = parsed(line);
            let command = command(arguments.command.as_deref().unwrap()).unwrap();
            arguments.refuse_strange(command).unwrap_err().message
        };
        assert!(refused("status --interval 5").contains("status takes no --interval"));
        assert!(refused("run again").contains("takes no \"again\""));
        assert!(!refused("run -apikey SECRET").contains("SECRET"));
        assert!(parse(vec!["--nonsense".into()]).is_err());
        assert!(parsed("supervise -child").refuse_strange(command("supervise").unwrap()).is_ok());
    }

    #[test]
    fn seconds_have_limits() {
        assert_eq!(parsed("run --interval 600").seconds("interval", 1, 600).unwrap(), Some(Duration::from_secs(600)));
        for bad in ["0", "601", "1.5", "-1", "x"] {
            assert!(parsed(&format!("run --interval={bad}")).seconds("interval", 1, 600).is_err(), "{bad}");
        }
    }
}
