//! Once every device has been seen, sampling and appending to the spool allocate nothing.

// Clippy's leave for tests covers functions marked as such, not what they share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, unreachable_pub)]

mod hosts_support;

use std::path::Path;
use std::time::Duration;

use iwashi::agent::collector::Collector;
use iwashi::config::{Config, Sensors};
use iwashi::platform::clock::{Clock, SystemClock};
use iwashi::platform::host::Host;

use hosts_support::{host_at, hosts, Bench};

/// Enough for all sensors to look into their directories again.
const WARM_CYCLES: u64 = 25;

fn allocations_when_warm(bench: &mut Bench) -> u64 {
    bench.sample();
    bench.sample();
    allocation_counter::measure(|| (0..WARM_CYCLES).for_each(|_| bench.sample())).count_total
}

#[test]
fn a_warm_sample_of_this_machine_allocates_nothing() {
    let mut bench = Bench::new(Host::new(Path::new("/")), &Sensors::default());
    assert_eq!(allocations_when_warm(&mut bench), 0);
    assert!(bench.text().contains("uptime "), "{}", bench.text());
}

#[test]
fn a_warm_sample_of_many_chips_with_lasting_errors_allocates_nothing() {
    let mut bench = Bench::new(host_at(&hosts().join("pc-nct6775")), &Sensors::default());
    // What the test itself allocates to answer for mount points is measured apart, without its filesystems.
    let settings = Sensors { disabled: vec!["filesystem".into()], ..Sensors::default() };
    assert!(allocations_when_warm(&mut bench) > 0, "the counter counts");
    let mut bench = Bench::new(host_at(&hosts().join("pc-nct6775")), &settings);
    assert_eq!(allocations_when_warm(&mut bench), 0);
    let (_, hwmon) = bench.sampler.health().find(|(name, _)| *name == "hwmon").unwrap();
    assert_eq!(hwmon.errors, WARM_CYCLES + 2, "it has an input that never answers");
}

#[test]
fn a_warm_cycle_with_its_append_and_sync_allocates_nothing() {
    let root = std::env::temp_dir().join(format!("iwashi-no-allocation-{}", std::process::id()));
    let mut config = Config::without_file(root.clone());
    config.spool.sync_interval = Duration::ZERO;
    let mut collector = Collector::open(&config, Host::new(Path::new("/")), Duration::ZERO).unwrap();
    let clock = SystemClock::new(Path::new("/"));
    collector.spool.update_cursor("mackerel", |_| ());
    collector.collect(clock.now());
    collector.collect(clock.now());
    let before = collector.spool.bytes_written();
    let cycles = || (0..WARM_CYCLES * 10).for_each(|_| collector.collect(clock.now()));
    let allocations = allocation_counter::measure(cycles).count_total;
    // Many pages were filled on the way, yet not a segment: beginning one may allocate, once a day.
    assert!(collector.spool.bytes_written() > before + WARM_CYCLES * 10 * 4096, "each was synced");
    assert_eq!(collector.spool.trouble(), None);
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(allocations, 0);
}
