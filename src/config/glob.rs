//! The file patterns of `include`: `*`, `?` and `[..]` as Go's `filepath.Glob` has them.
//!
//! Two things differ from a shell: a class is negated by `^` only, and `*` matches a leading dot.

use std::fs;
use std::path::{Path, PathBuf};

/// One element of a pattern for a file name.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// `*`
    Any,
    /// `?`
    One,
    /// A character, or one behind a backslash.
    Literal(char),
    /// `[a-z]`
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// The files that match `pattern`, ordered by name within each folder.
///
/// A folder that cannot be listed counts as empty. None when the pattern is malformed.
pub(super) fn files(pattern: &str) -> Option<Vec<PathBuf>> {
    let names: Vec<(&str, Vec<Piece>)> = pattern
        .split('/')
        .filter(|name| !name.is_empty())
        .map(|name| Some((name, compile(name)?)))
        .collect::<Option<_>>()?;
    if names.is_empty() {
        return Some(Vec::new());
    }
    let start = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
    let mut paths = vec![start];
    for (name, pieces) in names {
        paths = paths.into_iter().flat_map(|path| step(path, name, &pieces)).collect();
    }
    Some(paths)
}

/// What `pieces` match within `folder`.
fn step(folder: PathBuf, name: &str, pieces: &[Piece]) -> Vec<PathBuf> {
    let literal: Option<String> = pieces.iter().map(literal_of).collect();
    if let Some(literal) = literal {
        let path = folder.join(literal);
        let is_there = matches!(name, "." | "..") || path.symlink_metadata().is_ok();
        return if is_there { vec![path] } else { Vec::new() };
    }
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
    let Ok(entries) = fs::read_dir(listed) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| matches(pieces, &name.to_string_lossy()))
        .collect();
    found.sort();
    found.into_iter().map(|name| folder.join(name)).collect()
}

fn literal_of(piece: &Piece) -> Option<char> {
    match piece {
        Piece::Literal(c) => Some(*c),
        _ => None,
    }
}

/// None when a class is not closed or empty, a range runs backwards, or a backslash is last.
fn compile(name: &str) -> Option<Vec<Piece>> {
    let mut chars = name.chars().peekable();
    let mut pieces = Vec::new();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => Piece::Literal(chars.next()?),
            '[' => class(&mut chars)?,
            c => Piece::Literal(c),
        });
    }
    Some(pieces)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Piece> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Some(Piece::Class { negated, ranges });
        }
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { class_char(chars)? } else { low };
        if low > high {
            return None;
        }
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

/// Whether the whole of `name` matches. Never takes longer than the product of the two lengths.
fn matches(pieces: &[Piece], name: &str) -> bool {
    let (mut rest, mut left) = (name.chars(), pieces);
    // Where to go on when a match fails: behind the last `*`, one character further.
    let mut retry: Option<(std::str::Chars<'_>, &[Piece])> = None;
    loop {
        let advanced = match left.split_first() {
            Some((Piece::Any, after)) => {
                retry = Some((rest.clone(), after));
                Some(after)
            }
            Some((piece, after)) => rest.next().filter(|c| piece.admits(*c)).map(|_| after),
            None if rest.as_str().is_empty() => return true,
            None => None,
        };
        if let Some(after) = advanced {
            left = after;
            continue;
        }
        let Some((from, after)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (rest, left) = (from.clone(), after);
    }
}

impl Piece {
    fn admits(&self, c: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Literal(literal) => *literal == c,
            Self::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, name: &str) -> Option<bool> {
        Some(matches(&compile(pattern)?, name))
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, outcome) in [
            ("*.conf", "a.conf", Some(true)),
            ("*.conf", ".conf", Some(true)),
            ("*.conf", "a.conf.bak", Some(false)),
            ("a*b*c", "a-b-b-c", Some(true)),
            ("a*b*c", "a-b-b-", Some(false)),
            ("*", "", Some(true)),
            ("", "", Some(true)),
            ("?", "鰯", Some(true)),
            ("?", "", Some(false)),
            ("[a-c]x", "bx", Some(true)),
            ("[^a-c]x", "bx", Some(false)),
            ("[!a]", "!", Some(true)),
            (r"\*", "*", Some(true)),
            (r"\*", "a", Some(false)),
            (r"[\]]", "]", Some(true)),
            ("[", "a", None),
            ("[]", "a", None),
            ("[]a]", "a", None),
            ("[a", "a", None),
            ("[z-a]", "a", None),
            ("[a-]", "a", None),
            ("a\\", "a", None),
        ] {
            assert_eq!(fits(pattern, name), outcome, "{pattern} on {name}");
        }
    }

    #[test]
    fn many_stars_stay_quick() {
        let name = "a".repeat(2000);
        assert_eq!(fits(&"a*".repeat(500), &name), Some(true));
        assert_eq!(fits(&format!("{}b", "a*".repeat(500)), &name), Some(false));
    }

    #[test]
    fn files_come_in_the_order_of_their_names_folder_by_folder() {
        let root = std::env::temp_dir().join(format!("iwashi-glob-{}", std::process::id()));
        for file in ["b/1.conf", "a/2.conf", "a/10.conf", "a/x.txt", "a-/3.conf", "c"] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| -> Option<Vec<String>> {
            let paths = files(&format!("{}/{pattern}", root.display()))?;
            Some(paths.iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect())
        };
        assert_eq!(found("*/*.conf").unwrap(), ["a/10.conf", "a/2.conf", "a-/3.conf", "b/1.conf"]);
        assert_eq!(found("a/x.txt").unwrap(), ["a/x.txt"]);
        assert!(found("absent").unwrap().is_empty());
        assert!(found("absent/*").unwrap().is_empty());
        assert_eq!(found("*/[").as_deref(), None);
        assert_eq!(files(""), Some(Vec::new()));
        fs::remove_dir_all(&root).unwrap();
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[a-c*?\[\]^\\-]{0,12}", name in "[a-c]{0,12}") {
            let outcome = fits(&pattern, &name);
            prop_assert_eq!(outcome.is_none(), compile(&pattern).is_none());
        }
    }
}
