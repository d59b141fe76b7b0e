//! `make-backlog DIRECTORY FRAMES hourly|each`: a spool of one frame a minute up to now, as of an earlier boot.
//!
//! The series are this machine's. Counters go on at the pace they had since boot, and gauges wander, so that rows
//! have the sizes of real ones. `hourly` syncs once an hour (it is quick), `each` every frame (as by default).

#![allow(clippy::cast_possible_truncation)] // invented values

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use iwashi::config::Sensors;
use iwashi::frame::Frame;
use iwashi::platform::clock::{BootId, Clock, Stamp, SystemClock, Trust};
use iwashi::platform::host::Host;
use iwashi::sensor::Sampler;
use iwashi::series::{Kind, SeriesTable};
use iwashi::spool::{Limits, Spool};

const MINUTE_MS: u64 = 60_000;
const MAX_BYTES: u64 = 64 << 20;

/// A 64-bit linear congruential generator: the same spool each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: make-backlog DIRECTORY FRAMES hourly|each";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, frames, sync] = arguments.as_slice() else { return Err(usage.into()) };
    let frames: u64 = frames.parse()?;
    let sync_interval = match sync.as_str() {
        "hourly" => Duration::from_secs(3600),
        "each" => Duration::ZERO,
        _ => return Err(usage.into()),
    };

    let mut table = SeriesTable::default();
    let limits = Limits { max_bytes: MAX_BYTES, sync_interval };
    let mut spool = Spool::open(Path::new(directory), limits, Duration::ZERO, &mut table)?;
    let now = SystemClock::new(Path::new("/")).now();
    let mut sample = Box::<Frame>::default();
    Sampler::open(Host::new(Path::new("/")), &Sensors::default()).sample(now, &mut table, &mut sample);

    let minutes_up = (now.boottime_ms / MINUTE_MS).max(1);
    let mut values: Vec<i64> = sample.readings().iter().map(|reading| reading.value).collect();
    let mut chance = Chance(1);
    let mut frame = Box::<Frame>::default();
    for minute in 0..frames {
        let before_now = (frames - minute) * MINUTE_MS;
        // Milliseconds of lateness, as a timer has.
        let boottime_ms = 1_000_000 + minute * MINUTE_MS + chance.below(3);
        frame.restart(Stamp {
            boot_id: BootId([0xb0; 16]),
            boottime_ms,
            wall_ms: now.wall_ms.saturating_sub_unsigned(before_now),
            trust: Trust::Synchronised,
        });
        for (reading, value) in sample.readings().iter().zip(&mut values) {
            let series = table.series(reading.series).ok_or("a reading without a series")?;
            let lasts = ["total", "size"].iter().any(|word| series.name.contains(word));
            *value = value.wrapping_add(match series.kind {
                Kind::Counter => chance.below(reading.value.unsigned_abs() / minutes_up * 2 + 1).cast_signed(),
                Kind::Gauge if lasts => 0,
                Kind::Gauge => {
                    let width = reading.value.unsigned_abs() / 500;
                    chance.below(width * 2 + 1).cast_signed() - width.cast_signed()
                }
            });
            frame.push(reading.series, *value);
        }
        spool.append(&mut frame, &mut table);
    }
    spool.sync();
    spool.trouble().map_or(Ok(()), |trouble| Err(trouble.into()))
}
