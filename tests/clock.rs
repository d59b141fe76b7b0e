//! What the collector makes of a clock that is wrong, late, stepped or told better.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use iwashi::agent::collector::Collector;
use iwashi::config::Config;
use iwashi::platform::clock::{BootId, Stamp, Trust};
use iwashi::platform::host::Host;

/// 2027-01-15T08:00:00Z, in milliseconds.
const NOON: i64 = 1_800_000_000_000;
const YEAR: i64 = 365 * 86_400_000;

struct Bench {
    root: PathBuf,
    collector: Option<Collector>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("iwashi-clock-{}-{name}", std::process::id()));
        let mut bench = Self { root, collector: None };
        bench.restart();
        bench
    }

    /// The process ends, and another takes its place.
    fn restart(&mut self) {
        self.collector = None;
        let config = Config::without_file(self.root.clone());
        self.collector = Some(Collector::open(&config, Host::new(Path::new("/")), Duration::ZERO).unwrap());
    }

    fn collector(&mut self) -> &mut Collector {
        self.collector.as_mut().unwrap()
    }

    /// Takes a frame of boot `boot`; returns its wall time less `NOON`, and its trust.
    fn frame(&mut self, boot: u8, boottime_ms: u64, wall_ms: i64, trust: Trust) -> (i64, Trust) {
        self.collector().collect(stamp(boot, boottime_ms, wall_ms, trust));
        let kept = self.collector().last().0.stamp;
        assert_eq!((kept.boot_id, kept.boottime_ms), (BootId([boot; 16]), boottime_ms), "these are never changed");
        (kept.wall_ms - NOON, kept.trust)
    }

    /// The upstream tells the time, as the uploader reports it.
    fn told(&mut self, time: Stamp) {
        let collector = self.collector();
        collector.note_time(&time);
        collector.spool.update_cursor("mackerel", |cursor| cursor.server_time = time);
        collector.spool.sync();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.root).unwrap();
    }
}

fn stamp(boot: u8, boottime_ms: u64, wall_ms: i64, trust: Trust) -> Stamp {
    Stamp { boot_id: BootId([boot; 16]), boottime_ms, wall_ms, trust }
}

#[test]
fn a_board_that_wakes_in_1970_has_the_servers_time_from_the_first_contact_on() {
    let mut bench = Bench::new("1970");
    assert_eq!(bench.frame(1, 10_000, 10_000, Trust::Unknown), (10_000 - NOON, Trust::Unknown));
    bench.told(stamp(1, 60_000, NOON, Trust::Synchronised));
    assert_eq!(bench.frame(1, 70_000, 70_000, Trust::Unknown), (10_000, Trust::Synchronised));
    // Suspended for an hour, which boot time counts.
    assert_eq!(bench.frame(1, 3_670_000, 70_000, Trust::Unknown), (3_610_000, Trust::Synchronised));
    bench.restart();
    assert_eq!(bench.frame(1, 3_700_000, 100_000, Trust::Unknown), (3_640_000, Trust::Synchronised), "it is on disk");
    assert_eq!(bench.frame(2, 5_000, 5_000, Trust::Unknown), (5_000 - NOON, Trust::Unknown), "not after a reboot");
}

#[test]
fn where_the_kernel_does_not_name_its_boots_no_boot_is_taken_for_another() {
    let mut bench = Bench::new("nameless");
    bench.told(stamp(0, 500_000, NOON, Trust::Synchronised));
    bench.restart();
    assert_eq!(bench.frame(0, 5_000, 7_000, Trust::Unknown), (7_000 - NOON, Trust::Unknown));
}

#[test]
fn the_kernels_word_counts_once_a_time_server_has_set_it() {
    let mut bench = Bench::new("ntp");
    bench.frame(1, 10_000, 10_000, Trust::Unknown);
    assert_eq!(bench.frame(1, 70_000, NOON, Trust::Synchronised), (0, Trust::Synchronised));
    // Hours later the time server is gone, and the clock drifts on; then somebody sets it years ahead, and back.
    assert_eq!(bench.frame(1, 130_000, NOON + 60_300, Trust::Unknown), (60_300, Trust::Synchronised));
    assert_eq!(bench.frame(1, 190_000, NOON + 3 * YEAR, Trust::Unknown), (120_000, Trust::Synchronised));
    assert_eq!(bench.frame(1, 250_000, NOON + 180_400, Trust::Unknown), (180_400, Trust::Synchronised));
}

#[test]
fn a_battery_backed_clock_is_believed_until_it_is_set_by_hand() {
    let mut bench = Bench::new("hardware");
    assert_eq!(bench.frame(1, 10_000, NOON, Trust::Hardware), (0, Trust::Hardware));
    let (_, trust) = bench.frame(1, 70_000, NOON - YEAR, Trust::Hardware);
    assert_eq!(trust, Trust::Unknown, "nobody can tell which was right");
    assert_eq!(bench.frame(1, 130_000, NOON + 120_000, Trust::Hardware), (120_000, Trust::Hardware));
    // The server says that it was an hour slow all the while.
    bench.told(stamp(1, 190_000, NOON + 3_780_000, Trust::Synchronised));
    assert_eq!(bench.frame(1, 250_000, NOON + 240_000, Trust::Hardware), (3_840_000, Trust::Synchronised));
}
