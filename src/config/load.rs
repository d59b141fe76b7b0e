//! From files to a configuration: reading, including, overriding.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::keys;
use super::mistake::{Kind, Mistake, Mistakes};
use super::source::{Found, Source};
use super::table::{Table, Value};
use super::{glob, url, Config, Loaded, Overrides};

/// The largest file that is read.
const MAX_FILE_BYTES: usize = 1 << 20;

impl Config {
    /// The configuration of the file at `path` and of those it includes, with `overrides` on top.
    ///
    /// `known_sensors` are the names that `[sensors]` may switch off.
    ///
    /// # Errors
    /// Every mistake of every file, when there is any.
    pub fn load(path: &Path, known_sensors: &[&str], overrides: &Overrides) -> Result<Loaded, Mistakes> {
        let mut config = Self { file: Some(path.into()), ..Self::without_file(Self::DEFAULT_ROOT.into()) };
        let mut found = Found::default();
        let included = apply_file(&mut config, path, known_sensors, Level::Main, &mut found);
        for file in included {
            apply_file(&mut config, &file, known_sensors, Level::Included, &mut found);
        }
        config.finish(overrides, found)
    }

    /// The configuration that `text` holds, as if it were read from `file`. Nothing is included, nor read.
    ///
    /// # Errors
    /// Every mistake in it, when there is any.
    pub fn parse(text: &[u8], file: &Path, known_sensors: &[&str]) -> Result<Loaded, Mistakes> {
        let mut config = Self { file: Some(file.into()), ..Self::without_file(Self::DEFAULT_ROOT.into()) };
        let mut found = Found::default();
        apply_text(&mut config, text, file, known_sensors, Level::Main, &mut found);
        config.finish(&Overrides::default(), found)
    }

    /// The same with `overrides` on top, for when no file was read.
    ///
    /// # Errors
    /// Every override that is malformed.
    pub fn overridden(self, overrides: &Overrides) -> Result<Loaded, Mistakes> {
        self.finish(overrides, Found::default())
    }

    fn finish(mut self, overrides: &Overrides, mut found: Found) -> Result<Loaded, Mistakes> {
        overrides.apply(&mut self, &mut found);
        if self.verbose && self.silent {
            self.silent = false;
            let message = "ignored: verbose is set too, and wins".to_string();
            found.warnings.push(Mistake::of_key(self.file.as_deref(), "silent", Kind::Ignored, message));
        }
        if found.mistakes.is_empty() {
            Ok(Loaded { config: self, warnings: found.warnings })
        } else {
            Err(Mistakes { mistakes: found.mistakes, warnings: found.warnings })
        }
    }
}

/// Whether a file may include others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Main,
    Included,
}

impl Overrides {
    fn apply(&self, config: &mut Config, found: &mut Found) {
        if let Some(key) = &self.api_key {
            config.api_key = Some(key.clone());
        }
        if let Some(text) = &self.api_base {
            match url::base(text) {
                Some(base) => config.api_base = base,
                None => {
                    found.mistakes.push(Mistake::of_key(None, "--apibase", Kind::Value, keys::not_a_url(text)));
                }
            }
        }
        if let Some(root) = &self.root {
            config.root.clone_from(root);
        }
        if let Some(pidfile) = &self.pidfile {
            config.pidfile = Some(pidfile.clone());
        }
        if !self.roles.is_empty() {
            let (good, bad) =
                self.roles.iter().flat_map(|roles| roles.split(',')).partition(|role| keys::is_role(role));
            let bad: Vec<&str> = bad;
            let good: Vec<&str> = good;
            config.roles = good.into_iter().map(str::to_string).collect();
            found.warnings.extend(bad.into_iter().map(|role| {
                let message = format!("ignored: {}", keys::not_a_role(&format!("{role:?}")));
                Mistake::of_key(None, "--role", Kind::Ignored, message)
            }));
        }
        config.verbose |= self.verbose;
    }
}

/// Applies the file at `path`; gives the files it includes.
fn apply_file(config: &mut Config, path: &Path, sensors: &[&str], level: Level, found: &mut Found) -> Vec<PathBuf> {
    match read(path) {
        Ok(text) => apply_text(config, &text, path, sensors, level, found),
        Err(error) => {
            found.mistakes.push(Mistake::unreadable(path, &error));
            Vec::new()
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text)?;
    if text.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(text)
}

fn apply_text(
    config: &mut Config,
    text: &[u8],
    path: &Path,
    sensors: &[&str],
    level: Level,
    found: &mut Found,
) -> Vec<PathBuf> {
    let text = text.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(text);
    // Lossy, so that one bad byte does not hide what else is wrong. Lines stay where they are.
    let readable = String::from_utf8_lossy(text);
    let mut source = Source::new(path, &readable);
    for line in lines_not_utf8(text) {
        source.not_utf8(line);
    }
    let (root, errors) = DeTable::parse_recoverable(&readable);
    // Only the message is taken: the error's own text quotes the line, which may be the API key's.
    let mut errors: Vec<_> =
        errors.iter().map(|error| (error.span().map_or(0, |span| span.start), error.message())).collect();
    errors.sort_by_key(|(at, _)| *at);
    for (at, message) in errors {
        source.not_toml(at, message);
    }
    let include = keys::apply(config, Table::new(&source, root.get_ref(), String::new()), sensors);
    let files = include.map(|include| included(&include, level)).unwrap_or_default();
    let Found { mistakes, warnings } = source.into_found();
    found.mistakes.extend(mistakes);
    found.warnings.extend(warnings);
    files
}

fn lines_not_utf8(text: &[u8]) -> Vec<usize> {
    let (mut line, mut lines) = (1, Vec::new());
    for chunk in text.utf8_chunks() {
        line += chunk.valid().matches('\n').count();
        if !chunk.invalid().is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// The files that `include` names.
fn included(include: &Value<'_>, level: Level) -> Vec<PathBuf> {
    let Some(pattern) = include.string().filter(|pattern| !pattern.is_empty()) else { return Vec::new() };
    if level == Level::Included {
        include.ignored("only the main file includes others");
        return Vec::new();
    }
    glob::files(pattern).or_else(|| include.expected("a file pattern such as \"conf.d/*.conf\"")).unwrap_or_default()
}
