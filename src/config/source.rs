//! One file being read: where its lines begin, and what was found wrong in it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use super::mistake::{Kind, Mistake};

/// The file that the tables under it report to.
#[derive(Debug)]
pub(super) struct Source<'t> {
    path: &'t Path,
    text: &'t str,
    line_starts: Vec<usize>,
    /// Lines that are not TOML: what was recovered from them is not judged any further.
    broken: BTreeSet<usize>,
    found: RefCell<Found>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What the file is refused for.
    pub(super) mistakes: Vec<Mistake>,
    /// The rest.
    pub(super) warnings: Vec<Mistake>,
}

impl<'t> Source<'t> {
    /// The file at `path`, which holds `text`.
    pub(super) fn new(path: &'t Path, text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path, text, line_starts, broken: BTreeSet::new(), found: RefCell::default() }
    }

    /// Notes that the text is not TOML at byte `at`. Call before anything else is reported, from first to last.
    ///
    /// The first of a line is kept: what follows in it is mostly the parser finding its way back.
    pub(super) fn not_toml(&mut self, at: usize, message: &str) {
        let line = self.line(at);
        if self.broken.insert(line) {
            let mut mistake = self.mistake(line, None, message.to_string(), Kind::Syntax);
            mistake.column = Some(self.column(at));
            self.found.get_mut().mistakes.push(mistake);
        }
    }

    /// Notes that a line is not UTF-8. Call before anything else is reported.
    pub(super) fn not_utf8(&mut self, line: usize) {
        if self.broken.insert(line) {
            let mistake = self.mistake(line, None, "not UTF-8".into(), Kind::Syntax);
            self.found.get_mut().mistakes.push(mistake);
        }
    }

    /// Reports `message` about `key`, which stands at byte `at`.
    ///
    /// Nothing is said of a line that is not TOML. In a file that has such lines keys may only look unknown, and
    /// may be the rest of a secret, so of those nothing is said either.
    pub(super) fn report(&self, at: usize, key: &str, kind: Kind, message: String) {
        let line = self.line(at);
        if self.broken.contains(&line) || (kind == Kind::UnknownKey && !self.broken.is_empty()) {
            return;
        }
        let mistake = self.mistake(line, Some(key.to_string()), message, kind);
        let mut found = self.found.borrow_mut();
        match kind {
            Kind::UnknownKey | Kind::Ignored => found.warnings.push(mistake),
            Kind::Unreadable | Kind::Syntax | Kind::Value => found.mistakes.push(mistake),
        }
    }

    /// All that was found, by line.
    pub(super) fn into_found(self) -> Found {
        let mut found = self.found.into_inner();
        found.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        found.warnings.sort_by_key(|mistake| (mistake.line, mistake.column));
        found
    }

    fn mistake(&self, line: usize, key: Option<String>, message: String, kind: Kind) -> Mistake {
        Mistake { file: Some(self.path.into()), line: Some(line), column: None, key, message, kind }
    }

    fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    fn column(&self, at: usize) -> usize {
        let start = self.line_starts.get(self.line(at).saturating_sub(1)).copied().unwrap_or_default();
        self.text.get(start..at).map_or(1, |before| before.chars().count() + 1)
    }
}
