//! Data flows one way: which module may use which, and where each external crate lives.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each top module with the modules and the external crates that it may name. `log` and `serde` may be named anywhere.
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    ("platform", &[], &["nix"]),
    ("series", &[], &[]),
    ("frame", &["platform", "series"], &["heapless"]),
    ("config", &["platform"], &["toml", "regex_lite"]),
    ("sensor", &["platform", "series", "frame", "config"], &["crc", "heapless"]),
    ("spool", &["platform", "series", "frame"], &["postcard", "crc", "heapless"]),
    ("derive", &["series", "frame", "sensor", "platform"], &["serde_json"]),
    ("host_spec", &["platform", "config"], &["serde_json"]),
    (
        "sink",
        &["platform", "series", "frame", "config", "spool", "derive", "host_spec"],
        &["ureq", "rustls", "webpki", "ring", "serde_json", "httpdate"],
    ),
    (
        "agent",
        &["platform", "series", "frame", "config", "sensor", "spool", "derive", "host_spec", "sink"],
        &["smol", "serde_json"],
    ),
    ("cli", &["platform", "series", "frame", "config", "sensor", "spool", "sink", "agent"], &["lexopt", "serde_json"]),
];

const EXTERNAL: &[&str] = &[
    "smol",
    "ureq",
    "rustls",
    "webpki",
    "ring",
    "httpdate",
    "heapless",
    "postcard",
    "nix",
    "toml",
    "regex_lite",
    "lexopt",
    "crc",
    "serde_json",
];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// Whether `line` names `path` as the beginning of a path.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).unwrap().chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
    })
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for (module, crates_own, external) in LAYERS {
        let mut files = Vec::new();
        for place in [format!("src/{module}"), format!("src/{module}.rs")] {
            if Path::new(&place).exists() {
                sources(Path::new(&place), &mut files);
            }
        }
        assert!(!files.is_empty(), "there is no module {module}");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().lines().enumerate();
            for (number, line) in code.filter(|(_, line)| !line.trim_start().starts_with("//")) {
                let own = LAYERS.iter().map(|(other, ..)| *other);
                for other in own.filter(|other| other != module && !crates_own.contains(other)) {
                    if names(line, &format!("crate::{other}::")) {
                        wrong.push(format!("{}:{}: {module} uses {other}", file.display(), number + 1));
                    }
                }
                for krate in EXTERNAL.iter().filter(|krate| !external.contains(krate)) {
                    if names(line, &format!("{krate}::")) {
                        wrong.push(format!("{}:{}: {module} uses {krate}", file.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
