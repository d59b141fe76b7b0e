//! A TOML table read key by key, which remembers what was asked for: what is left over at the end is unknown.

use std::path::PathBuf;

use toml::de::{DeString, DeTable, DeValue};

use super::mistake::Kind;
use super::source::Source;

/// Keys whose values may hold a secret; those of almost the same name are taken for typing errors of them.
const SECRET_KEYS: [&str; 4] = ["apikey", "apibase", "http_proxy", "https_proxy"];

/// The most of a text that a message quotes, in characters.
const QUOTED_CHARS: usize = 60;

type Entry<'t> = (&'t toml::Spanned<DeString<'t>>, &'t toml::Spanned<DeValue<'t>>);

/// One table.
#[derive(Debug)]
pub(super) struct Table<'t> {
    source: &'t Source<'t>,
    entries: Vec<Entry<'t>>,
    path: String,
    is_read: Vec<bool>,
    known: Vec<&'t str>,
}

/// One value, and the key it stands under.
#[derive(Clone, Debug)]
pub(super) struct Value<'t> {
    source: &'t Source<'t>,
    /// The key with its tables, fit for printing.
    pub(super) path: String,
    /// The key as written.
    pub(super) name: &'t str,
    value: &'t DeValue<'t>,
    at: usize,
    is_secret: bool,
}

impl<'t> Table<'t> {
    /// The table with `entries` and the given path, which is empty for the root.
    pub(super) fn new(source: &'t Source<'t>, entries: &'t DeTable<'t>, path: String) -> Self {
        Self { source, entries: entries.iter().collect(), path, is_read: vec![false; entries.len()], known: Vec::new() }
    }

    /// The value of `key`, or else of a key that differs by case alone, as the agent finds them.
    pub(super) fn take(&mut self, key: &'t str) -> Option<Value<'t>> {
        self.known.push(key);
        let names = || self.entries.iter().map(|(name, _)| name.get_ref());
        let index =
            names().position(|name| name == key).or_else(|| names().position(|name| name.eq_ignore_ascii_case(key)))?;
        *self.is_read.get_mut(index)? = true;
        self.value(index)
    }

    /// The values of all keys: those of a table whose keys are free.
    pub(super) fn take_all(&mut self) -> Vec<Value<'t>> {
        self.is_read.fill(true);
        (0..self.entries.len()).filter_map(|index| self.value(index)).collect()
    }

    /// The table under `key`.
    pub(super) fn table(&mut self, key: &'t str) -> Option<Table<'t>> {
        self.take(key)?.table()
    }

    /// The text under `key`.
    pub(super) fn string(&mut self, key: &'t str) -> Option<&'t str> {
        self.take(key)?.string()
    }

    /// The truth under `key`.
    pub(super) fn boolean(&mut self, key: &'t str) -> Option<bool> {
        self.take(key)?.boolean()
    }

    /// The path under `key`; an empty one is given as `Some(None)`.
    pub(super) fn path(&mut self, key: &'t str) -> Option<Option<PathBuf>> {
        self.take(key)?.path()
    }

    /// Warns of every key that nobody asked for.
    pub(super) fn finish(self) {
        let unread = self.is_read.iter().enumerate().filter(|(_, is_read)| !**is_read);
        for value in unread.filter_map(|(index, _)| self.value(index)) {
            let twin = self.known.iter().find(|known| known.eq_ignore_ascii_case(value.name));
            if let Some(twin) = twin {
                value.ignored(&format!("{twin} is set too, and wins"));
                continue;
            }
            let nearest = self.known.iter().map(|known| (distance(value.name, known), known)).min();
            let hint = nearest
                .filter(|(distance, _)| *distance < 3)
                .map(|(_, known)| format!("; did you mean {known}?"))
                .unwrap_or_default();
            self.source.report(value.at, &value.path, Kind::UnknownKey, format!("unknown key{hint}"));
        }
    }

    fn value(&self, index: usize) -> Option<Value<'t>> {
        let (name, value) = *self.entries.get(index)?;
        let path = join(&self.path, name.get_ref());
        let at = name.span().start;
        let (name, value) = (name.get_ref().as_ref(), value.get_ref());
        Some(Value { source: self.source, path, name, value, at, is_secret: false })
    }
}

impl<'t> Value<'t> {
    /// The same, never to be quoted in a message.
    pub(super) fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// A mistake unless it is a table.
    pub(super) fn table(&self) -> Option<Table<'t>> {
        match self.value {
            DeValue::Table(entries) => Some(Table::new(self.source, entries, self.path.clone())),
            _ => self.expected("a table"),
        }
    }

    /// A mistake unless it is a string.
    pub(super) fn string(&self) -> Option<&'t str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.expected("a string"),
        }
    }

    /// A mistake unless it is a boolean.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(truth) => Some(*truth),
            _ => self.expected("true or false"),
        }
    }

    /// A mistake unless it is an integer within `i64`.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.value {
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
                number.or_else(|| self.expected("an integer of 64 bits"))
            }
            _ => self.expected("an integer"),
        }
    }

    /// A path, none when empty; a mistake unless it is a string that can be one.
    pub(super) fn path(&self) -> Option<Option<PathBuf>> {
        let text = self.string()?;
        if text.contains('\0') {
            return self.expected("a path, which has no NUL");
        }
        Some((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    /// The elements; a mistake unless it is an array.
    pub(super) fn elements(&self, expected: &str) -> Option<Vec<Value<'t>>> {
        let DeValue::Array(array) = self.value else { return self.expected(expected) };
        let element = |value: &'t toml::Spanned<DeValue<'t>>| Value {
            value: value.get_ref(),
            at: value.span().start,
            ..self.clone()
        };
        Some(array.iter().map(element).collect())
    }

    /// Any scalar as text, as Go's decoder hands it to types that read themselves from text.
    pub(super) fn text(&self, expected: &str) -> Option<String> {
        match self.value {
            DeValue::Array(_) | DeValue::Table(_) => self.expected(expected),
            DeValue::Integer(_) => Some(self.integer()?.to_string()),
            _ => Some(self.plain()),
        }
    }

    /// Whether it is a string.
    pub(super) fn is_string(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// Reports that something else was expected.
    pub(super) fn expected<T>(&self, expected: &str) -> Option<T> {
        self.wrong(&format!("expected {expected}, found {}", self.shown()))
    }

    /// Reports a mistake.
    pub(super) fn wrong<T>(&self, message: &str) -> Option<T> {
        self.source.report(self.at, &self.path, Kind::Value, message.to_string());
        None
    }

    /// Warns that it has no effect.
    pub(super) fn ignored(&self, reason: &str) {
        self.warn(&format!("ignored: {reason}"));
    }

    /// Warns of what is understood, but hardly meant.
    pub(super) fn warn(&self, message: &str) {
        self.source.report(self.at, &self.path, Kind::Ignored, message.to_string());
    }

    /// The value as a message may show it.
    pub(super) fn shown(&self) -> String {
        match self.value {
            DeValue::Array(_) => "an array".into(),
            DeValue::Table(_) => "a table".into(),
            value if self.may_be_secret() => format!("a value of type {}", value.type_str()),
            DeValue::String(text) => quoted(text),
            _ => shortened(&self.plain()),
        }
    }

    fn may_be_secret(&self) -> bool {
        self.is_secret || SECRET_KEYS.iter().any(|key| distance(self.name, key) < 3)
    }

    fn plain(&self) -> String {
        match self.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Float(float) => float.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Datetime(datetime) => datetime.to_string(),
            DeValue::Array(_) | DeValue::Table(_) => String::new(),
        }
    }
}

/// `name` behind `path`, quoted when it is no bare key.
fn join(path: &str, name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let name = if is_bare { shortened(name) } else { quoted(name) };
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// How many characters must be added, dropped or replaced between the two, regardless of case; 3 stands for more.
fn distance(a: &str, b: &str) -> usize {
    if a.chars().count().abs_diff(b.chars().count()) >= 3 {
        return 3;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (index, x) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (y, above) in b.chars().zip(row.iter_mut().skip(1)) {
            left = (diagonal + usize::from(!x.eq_ignore_ascii_case(&y))).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, left);
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default().min(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_the_changes_up_to_three() {
        for (a, b, changes) in [
            ("apikey", "apikey", 0),
            ("APIKEY", "apikey", 0),
            ("apikye", "apikey", 2),
            ("api_key", "apikey", 1),
            ("rolls", "roles", 1),
            ("role", "roles", 1),
            ("", "ab", 2),
            ("verbose", "silent", 3),
            ("a", "a_very_long_name_indeed", 3),
        ] {
            assert_eq!(distance(a, b), changes, "{a} {b}");
            assert_eq!(distance(b, a), changes, "{b} {a}");
        }
    }

    #[test]
    fn a_key_that_is_not_bare_is_quoted() {
        assert_eq!(join("plugin", "a-b_1"), "plugin.a-b_1");
        assert_eq!(join("", "a b\n"), r#""a b\n""#);
        assert_eq!(join("x", ""), r#"x."""#);
    }
}
