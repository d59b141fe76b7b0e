//! `floor DIRECTORY CYCLES`: processor time of one warm cycle beside that of the floor program, in turn.
//!
//! The floor opens, reads and closes the files that Mackerel's six groups need, and asks the same mounts for their
//! space; it looks at nothing that it read. Prints medians in microseconds and their ratios.

#![allow(clippy::print_stdout, clippy::cast_possible_truncation)]

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use iwashi::agent::collector::Collector;
use iwashi::config::{Config, Sensors};
use iwashi::frame::Frame;
use iwashi::platform::clock::{Clock, Stamp, SystemClock};
use iwashi::platform::host::Host;
use iwashi::sensor::Sampler;
use iwashi::series::SeriesTable;
use nix::sys::statvfs::statvfs;
use nix::time::{clock_gettime, ClockId};

const ROUNDS: usize = 31;
const FILES: [&str; 6] =
    ["/proc/stat", "/proc/meminfo", "/proc/loadavg", "/proc/diskstats", "/proc/net/dev", "/proc/self/mountinfo"];
const OTHERS: [&str; 3] = ["hwmon", "thermal", "uptime"];

/// Microseconds of processor time that one of `cycles` runs of `work` takes.
fn measure(cycles: u32, work: &mut dyn FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let now = || clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from);
    let start = now()?;
    for _ in 0..cycles {
        work()?;
    }
    Ok((now()? - start).as_secs_f64() * 1e6 / f64::from(cycles))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(cycles)) = (arguments.next(), arguments.next()) else {
        return Err("usage: floor DIRECTORY CYCLES".into());
    };
    let cycles: u32 = cycles.parse()?;

    let six = Sensors { disabled: OTHERS.map(String::from).to_vec(), ..Sensors::default() };
    let mut sampler = Sampler::open(Host::new(Path::new("/")), &six);
    let (mut table, mut frame) = (SeriesTable::default(), Box::<Frame>::default());
    sampler.sample(Stamp::default(), &mut table, &mut frame);
    let series = frame.readings().iter().filter_map(|reading| table.series(reading.series));
    let mut mounts: Vec<PathBuf> = series.filter_map(|s| s.label("mountpoint")).map(PathBuf::from).collect();
    mounts.dedup();

    let clock = SystemClock::new(Path::new("/"));
    let mut config = Config::without_file(PathBuf::from(directory));
    config.spool.sync_interval = Duration::from_secs(3600);
    let open = |config: &Config| Collector::open(config, Host::new(Path::new("/")), Duration::ZERO);
    let mut every = open(&config)?;
    config.sensors = six;
    config.spool.path = Some("of-six".into());
    let mut of_six = open(&config)?;

    let mut bytes = vec![0; 1 << 16];
    let mut floor = || {
        for file in FILES {
            let mut file = File::open(file)?;
            while file.read(&mut bytes)? > 0 {}
        }
        mounts.iter().try_for_each(|mount| statvfs(mount).map(drop))?;
        Ok(())
    };
    let (mut a, mut b, mut c, mut d) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let times = [
            measure(cycles, &mut floor)?,
            measure(cycles, &mut || {
                sampler.sample(Stamp::default(), &mut table, &mut frame);
                Ok(())
            })?,
            measure(cycles, &mut || {
                of_six.collect(clock.now());
                Ok(())
            })?,
            measure(cycles, &mut || {
                every.collect(clock.now());
                Ok(())
            })?,
        ];
        // The first warms up.
        if round > 0 {
            for (list, time) in [&mut a, &mut b, &mut c, &mut d].into_iter().zip(times) {
                list.push(time);
            }
        }
    }
    let ratio = |list: &[f64]| median(list.iter().zip(&a).map(|(own, floor)| own / floor).collect());
    println!("mounts {} readings {} cycles {cycles} rounds {ROUNDS}", mounts.len(), every.last().0.readings().len());
    for (name, list) in [("sampler", &b), ("six_groups_and_append", &c), ("all_sensors_and_append", &d)] {
        println!("{name}_us {:.1} ratio {:.3}", median(list.clone()), ratio(list));
    }
    println!("floor_us {:.1}", median(a));
    Ok(())
}
