//! Regular expressions as Go writes them, on `regex-lite`.
//!
//! The same: syntax apart from the below, and searching anywhere in the name. Translated: `\Q…\E`, `\<` and
//! `\>` (just the characters), a `{` that starts no repetition, and `[`, `&`, `~` and `-` inside a class. Not
//! supported, and so a mistake: Unicode classes (`\p{..}`), `\C`, octal escapes. `(?i)` folds ASCII only.

use regex_lite::Regex;

/// Compiles Go's `pattern`.
///
/// # Errors
/// What is wrong with it, without the pattern.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(&translate(pattern)).map_err(|error| error.to_string())
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\\' => escape(after, &mut out),
            '[' => class(after, &mut out),
            '{' if !starts_repetition(after) => {
                out.push_str("\\{");
                after
            }
            c => {
                out.push(c);
                after
            }
        };
    }
    out
}

/// Whether `{` with `after` behind it is `{n}`, `{n,}` or `{n,m}`; Go takes any other as the character.
fn starts_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (min, max) = inside.split_once(',').unwrap_or((inside, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !min.is_empty() && is_number(min) && is_number(max)
}

/// Copies one escape, without its backslash in `after`; gives what follows.
fn escape<'p>(after: &'p str, out: &mut String) -> &'p str {
    if let Some(quoted) = after.strip_prefix('Q') {
        let (text, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
        out.push_str(&regex_lite::escape(text));
        return rest;
    }
    if let Some(rest) = after.strip_prefix("x{") {
        out.push_str("\\x{");
        return rest;
    }
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    if !matches!(c, '<' | '>') {
        out.push('\\');
    }
    out.push(c);
    after.get(c.len_utf8()..).unwrap_or_default()
}

/// Copies a class, without its bracket in `after`, so that only ranges and named classes keep a meaning.
fn class<'p>(after: &'p str, out: &mut String) -> &'p str {
    out.push('[');
    let mut rest = after;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    let mut is_first = true;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(']').filter(|_| !is_first) {
            out.push(']');
            return after;
        }
        is_first = false;
        rest = match named_class(rest) {
            Some((name, after)) => {
                out.push_str(name);
                after
            }
            None => item(rest, out),
        };
        // A dash before the end of the class is a character, and the next turn takes it as one.
        let high = rest.strip_prefix('-').filter(|high| !high.starts_with(']') && !high.is_empty());
        if let Some(high) = high {
            out.push('-');
            rest = item(high, out);
        }
    }
    rest
}

/// Splits `[:alpha:]` off.
fn named_class(text: &str) -> Option<(&str, &str)> {
    let end = text.strip_prefix("[:")?.find(":]")? + 4;
    text.split_at_checked(end).filter(|(name, _)| name.bytes().all(|b| b.is_ascii_alphabetic() || b"[:^]".contains(&b)))
}

/// Copies one character of a class.
fn item<'p>(text: &'p str, out: &mut String) -> &'p str {
    if let Some(after) = text.strip_prefix('\\') {
        return escape(after, out);
    }
    let Some(c) = text.chars().next() else { return text };
    if matches!(c, '[' | ']' | '&' | '~' | '-') {
        out.push('\\');
    }
    out.push(c);
    text.get(c.len_utf8()..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn go_patterns_match_as_they_do_in_go() {
        for (pattern, text, is_match) in [
            ("/dev/(ram|loop).*", "/dev/loop0", true),
            ("loop", "xloop0", true),
            ("^sd[a-c]$", "sdb", true),
            (r"\Qa.b\E+", "a.b", true),
            (r"\Qa.b\E+", "axb", false),
            (r"\Qa.b", "a.b", true),
            (r"\<a\>", "<a>", true),
            (r"\<a\>", "a", false),
            ("a{", "a{", true),
            ("a{,2}", "a{,2}", true),
            ("^a{2}$", "aa", true),
            ("^a{2,}$", "aaa", true),
            ("^[a&&b]$", "&", true),
            ("^[[x]$", "[", true),
            ("^[a~~b]$", "~", true),
            ("^[+--]$", ",", true),
            ("^[a-]$", "-", true),
            ("^[]a]$", "]", true),
            ("^[^]a]$", "]", false),
            ("^[[:digit:]x]$", "7", true),
            (r"^[\d-]$", "-", true),
            (r"^\x{41}$", "A", true),
            (r"^\x41$", "A", true),
            (r"^\w$", "é", false),
        ] {
            let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text), is_match, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_not_supported_is_refused() {
        for pattern in ["(", "[a", "a)", "*", "\\", r"\pL", r"[\p{Greek}]", "(?=a)", r"(a)\1", "(a{1000}){1000}", "["] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[a-cQEx0-9\\\[\]{}()<>:^&~,*|鰯-]{0,20}") {
            let regex = compile(&pattern);
            prop_assert!(regex.is_ok() || !translate(&pattern).is_empty());
        }
    }
}
