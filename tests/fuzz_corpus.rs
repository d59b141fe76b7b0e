//! The fuzzers' corpora, replayed; `scripts/fuzz` looks for more.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "../fuzz/inputs.rs"]
mod inputs;
#[path = "common/sim_disk.rs"]
mod sim_disk;

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        run(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", corpus.display());
}

#[test]
fn pages() {
    replay("pages", inputs::pages);
}

#[test]
fn sealed() {
    replay("sealed", inputs::sealed);
}

#[test]
fn config() {
    replay("config", inputs::config);
}
