//! What is wrong in a configuration, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What sort of thing a [`Mistake`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The file could not be read, or is too large.
    Unreadable,
    /// The file is not TOML there.
    Syntax,
    /// A value of the wrong type, or one that is not allowed.
    Value,
    /// A key that nothing knows. Always a warning.
    UnknownKey,
    /// Something understood that has no effect, or hardly the one that was meant. Always a warning.
    Ignored,
}

/// One thing wrong, or doubtful, in the configuration.
///
/// Its text never holds a value of `apikey`, nor the password part of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file; none when it was given on the command line.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1; only syntax errors have one.
    pub column: Option<usize>,
    /// The key with its tables, as in `spool.max_size`.
    pub key: Option<String>,
    /// What is wrong with it.
    pub message: String,
    /// What sort of thing it is.
    pub kind: Kind,
}

impl Mistake {
    /// A file that could not be read.
    pub(super) fn unreadable(file: &Path, error: &io::Error) -> Self {
        let message = format!("read: {error}");
        Self { file: Some(file.into()), line: None, column: None, key: None, message, kind: Kind::Unreadable }
    }

    /// Something about `key` that belongs to no line: of `file`, or of the command line.
    pub(super) fn of_key(file: Option<&Path>, key: &str, kind: Kind, message: String) -> Self {
        Self { file: file.map(Path::to_path_buf), line: None, column: None, key: Some(key.into()), message, kind }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Every mistake of a refused configuration: file by file as they were read, by line in each. One per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    /// Why it is refused; never empty.
    pub mistakes: Vec<Mistake>,
    /// What would have been warned about.
    pub warnings: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_reads_as_place_then_key_then_what() {
        let mut mistake = Mistake {
            file: Some("iwashi.conf".into()),
            line: Some(12),
            column: None,
            key: Some("spool.max_size".into()),
            message: "expected a size with a unit such as \"64 MiB\", found 64".into(),
            kind: Kind::Value,
        };
        let text = "iwashi.conf:12: spool.max_size: expected a size with a unit such as \"64 MiB\", found 64";
        assert_eq!(mistake.to_string(), text);
        (mistake.column, mistake.key) = (Some(3), None);
        assert!(mistake.to_string().starts_with("iwashi.conf:12:3: expected"));
        (mistake.file, mistake.line) = (None, None);
        assert!(mistake.to_string().starts_with("expected"));
    }
}
