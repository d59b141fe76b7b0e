//! What a sync promised survives a power cut at every operation, whatever the disk did of what was not synced.
//!
//! A failure names its seed; `IWASHI_CRASH_SEED=N cargo test --test spool_crash` replays that one alone.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/sim_disk.rs"]
mod sim_disk;
#[path = "common/spool_life.rs"]
mod spool_life;

use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;

use iwashi::spool::MIN_MAX_BYTES;
use sim_disk::{Choices, SimDisk};
use spool_life::{broken, live, read};

const SEEDS: u64 = 20;
const STEPS: u64 = 600;
/// Images of the disk that are tried for each operation at which the power goes.
const VARIANTS: u64 = 8;

/// All images that a cut may leave in one life, each tried once. Returns how many lives sealed a segment.
fn cuts_of(seed: u64, tried: &Mutex<HashSet<u64>>) -> bool {
    let disk = SimDisk::default();
    disk.keep_moments();
    live(&disk, STEPS, &mut Choices::new(seed));
    assert!(disk.peak_bytes() <= MIN_MAX_BYTES, "seed {seed}: {} bytes", disk.peak_bytes());
    let mut was_sealed = false;
    for (cut, moment) in disk.moments().into_iter().enumerate() {
        for variant in 0..VARIANTS {
            let mut choices = Choices::new((seed * 1_000_003 + cut as u64) * VARIANTS + variant);
            let after = moment.after_power_cut(&mut choices);
            if tried.lock().unwrap().insert(after.image()) {
                was_sealed |= after.names().iter().any(|name| name.ends_with(".col"));
                check(&after, &moment, &mut choices, &format!("seed {seed}, operation {cut}, variant {variant}"));
            }
        }
    }
    was_sealed
}

fn check(after: &SimDisk, moment: &SimDisk, choices: &mut Choices, context: &str) {
    let (frames, damage) = read(after);
    let promised = moment.promised();
    let lost = broken(&promised, &frames);
    assert!(lost.is_empty(), "{context}: {lost:?} of {promised:?} lost, {damage:?}");
    // The next life starts without help, loses nothing of what was found, and reuses no number.
    let next = live(after, 30, choices);
    let (again, _) = read(after);
    let kept = again.keys().next().copied().unwrap_or(0);
    for seq in frames.keys().filter(|seq| **seq >= kept) {
        assert!(again.get(seq) >= frames.get(seq), "{context}: of frame {seq} more was there before the restart");
    }
    assert!(frames.keys().next_back().copied().unwrap_or(0) <= next, "{context}");
    assert!(after.peak_bytes() <= MIN_MAX_BYTES, "{context}");
}

#[test]
fn what_a_sync_promised_survives_a_cut_at_every_operation() {
    let tried = Mutex::new(HashSet::new());
    if let Ok(seed) = std::env::var("IWASHI_CRASH_SEED") {
        cuts_of(seed.parse().unwrap(), &tried);
        return;
    }
    let seeds = Mutex::new(0..SEEDS);
    let sealed = Mutex::new(0);
    let next_seed = || seeds.lock().unwrap().next();
    let worker = || {
        while let Some(seed) = next_seed() {
            *sealed.lock().unwrap() += u64::from(cuts_of(seed, &tried));
        }
    };
    thread::scope(|scope| {
        scope.spawn(worker);
        scope.spawn(worker);
    });
    let cuts = tried.lock().unwrap().len();
    eprintln!("{cuts} distinct cuts");
    assert!(cuts >= 10_000, "only {cuts} distinct cuts");
    assert_eq!(*sealed.lock().unwrap(), SEEDS, "segments are sealed in every life");
}
