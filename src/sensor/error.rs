//! Why a sensor gave no reading. Making, keeping and comparing such an error allocates nothing: it may come each cycle.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The most bytes of an offending text that an error quotes.
const QUOTED_BYTES: usize = 40;

/// Why a sensor gave no reading, or not all.
#[derive(Debug)]
pub enum SensorError {
    /// The kernel did not give a value.
    Read {
        /// The file, or the mount point.
        path: Arc<Path>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file did not say what it should.
    Parse {
        /// The file.
        path: Arc<Path>,
        /// What was expected.
        expected: &'static str,
        /// The beginning of what was found.
        found: heapless::Vec<u8, QUOTED_BYTES>,
    },
}

impl SensorError {
    pub(crate) fn read(path: &Arc<Path>, source: io::Error) -> Self {
        Self::Read { path: Arc::clone(path), source }
    }

    pub(crate) fn parse(path: &Arc<Path>, wrong: Wrong<'_>) -> Self {
        let found = wrong.found.iter().copied().take(QUOTED_BYTES).collect();
        Self::Parse { path: Arc::clone(path), expected: wrong.expected, found }
    }

    /// Whether both name the same file and trouble; the offending text may differ.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Read { path, source }, Self::Read { path: other_path, source: other_source }) => {
                path == other_path
                    && source.kind() == other_source.kind()
                    && source.raw_os_error() == other_source.raw_os_error()
            }
            (Self::Parse { path, expected, .. }, Self::Parse { path: other_path, expected: other_expected, .. }) => {
                path == other_path && expected == other_expected
            }
            _ => false,
        }
    }
}

impl fmt::Display for SensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "read {}: {source}", path.display()),
            Self::Parse { path, expected, found } => {
                write!(f, "read {}: expected {expected}, found \"{}\"", path.display(), found.escape_ascii())
            }
        }
    }
}

impl std::error::Error for SensorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Parse { .. } => None,
        }
    }
}

/// What is wrong with a text: what it should have been, and the part that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong<'t> {
    pub(crate) expected: &'static str,
    pub(crate) found: &'t [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(expected: &'static str, found: &[u8]) -> SensorError {
        SensorError::parse(&Path::new("/proc/stat").into(), Wrong { expected, found })
    }

    #[test]
    fn the_offending_text_is_quoted_and_cut() {
        assert_eq!(parse("a number", b"1\xff2").to_string(), r#"read /proc/stat: expected a number, found "1\xff2""#);
        let long = parse("a number", &[b'9'; 500]).to_string();
        assert_eq!(long, format!(r#"read /proc/stat: expected a number, found "{}""#, "9".repeat(QUOTED_BYTES)));
    }

    #[test]
    fn the_same_trouble_with_another_text_is_alike() {
        assert!(parse("a number", b"x").is_like(&parse("a number", b"y")));
        assert!(!parse("a number", b"x").is_like(&parse("ten numbers", b"x")));
        let read = |errno| SensorError::read(&Path::new("/proc/stat").into(), io::Error::from_raw_os_error(errno));
        assert!(read(5).is_like(&read(5)));
        assert!(!read(5).is_like(&read(61)));
        assert!(!read(5).is_like(&parse("a number", b"x")));
    }
}
