//! Reads and writes that block devices completed.
//!
//! Reads `/proc/diskstats`. Left out, as mackerel-agent does: device mapper (`dm-`), devices that never did anything
//! (idle loop and ram devices), and what the config ignores. A line with fewer than eleven numbers (partitions before
//! Linux 2.6.25) ends the reading.

use crate::config::{Regex, Sensors};
use crate::platform::host::Host;
use crate::platform::kernel_file::KernelFile;
use crate::series::{Kind, Metric, Series};

use super::devices::{Devices, Found};
use super::error::Wrong;
use super::name::sanitise;
use super::readings::Readings;
use super::text::{fields, lines, name, number};
use super::{first, read_parsed, Entry, Sampling, Sensor, SensorError};

const PATH: &str = "/proc/diskstats";

/// Numbers that every line must have.
const COLUMNS: usize = 11;

const READS: Metric = completed("disk.reads_completed", "reads completed");
const WRITES: Metric = completed("disk.writes_completed", "writes completed");

const fn completed(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: "operations", source: PATH, help }
}

pub(super) const ENTRY: Entry = Entry { name: "disk", metrics: &[READS, WRITES], open };

fn open(host: &Host, settings: &Sensors) -> Box<dyn Sensor> {
    let file = KernelFile::new(host.path(PATH));
    Box::new(Disk { file, ignore: settings.disks_ignore.clone(), disks: Devices::new() })
}

struct Disk {
    file: KernelFile,
    ignore: Option<Regex>,
    disks: Devices<2>,
}

impl Sensor for Disk {
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        let Self { file, ignore, disks } = self;
        let is_ignored = |name: &str| ignore.as_ref().is_some_and(|ignore| ignore.is_match(&sanitise(name)));
        disks.restart();
        read_parsed(file, to.buffer, |text| {
            let mut outcome = Ok(());
            for line in lines(text)? {
                match Row::parse(line) {
                    Ok(row) if row.is_measured() => row.push(disks, is_ignored, &mut to.readings),
                    Ok(_) => {}
                    Err(Bad::Line(wrong)) => outcome = first(outcome, Err(wrong)),
                    Err(Bad::Rest(wrong)) => return first(outcome, Err(wrong)),
                }
            }
            outcome
        })
    }

    fn forget_series(&mut self) {
        self.disks.forget_series();
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Row<'t> {
    name: &'t str,
    reads: u64,
    writes: u64,
    is_idle: bool,
}

/// How much of the file a bad line spoils.
#[derive(Debug, PartialEq, Eq)]
enum Bad<'t> {
    Line(Wrong<'t>),
    Rest(Wrong<'t>),
}

impl<'t> Row<'t> {
    fn parse(line: &'t [u8]) -> Result<Self, Bad<'t>> {
        let mut words = fields(line);
        let (_major, _minor, device) = (words.next(), words.next(), words.next());
        let device = device.ok_or(Bad::Line(Wrong { expected: "a device", found: line }))?;
        let mut columns = [0; COLUMNS];
        for column in &mut columns {
            let word = words.next().ok_or(Bad::Rest(Wrong { expected: "eleven numbers", found: line }))?;
            *column = number(word).map_err(Bad::Line)?;
        }
        let [reads, _, _, _, writes, ..] = columns;
        let is_idle = columns.iter().all(|column| *column == 0);
        Ok(Self { name: name(device).map_err(Bad::Line)?, reads, writes, is_idle })
    }

    fn is_measured(&self) -> bool {
        !self.is_idle && !self.name.starts_with("dm-")
    }

    fn push(&self, disks: &mut Devices<2>, is_ignored: impl FnOnce(&str) -> bool, readings: &mut Readings<'_>) {
        let labels = [("device", self.name)];
        match disks.find(self.name, is_ignored) {
            Found::Measured([reads, writes]) => {
                readings.push_counter(reads, || Series::new(&READS, &labels), self.reads);
                readings.push_counter(writes, || Series::new(&WRITES, &labels), self.writes);
            }
            Found::Ignored => {}
            Found::NoRoom => readings.drop_reading(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_are_the_first_and_the_fifth_number() {
        let row = Row::parse(b" 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17").unwrap();
        assert_eq!(row, Row { name: "vda", reads: 1, writes: 5, is_idle: false });
        let row = Row::parse(b" 104       0 cciss/c0d0 18446744073709551615 0 0 0 0 0 0 0 0 0 0").unwrap();
        assert_eq!(row, Row { name: "cciss/c0d0", reads: u64::MAX, writes: 0, is_idle: false });
        assert!(Row::parse(b"   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0").unwrap().is_idle);
        assert!(!Row::parse(b"253 1 dm-1 1 2 3 4 5 6 7 8 9 10 11").unwrap().is_measured());
    }

    #[test]
    fn a_short_line_ends_the_file_and_a_bad_number_its_line() {
        assert!(matches!(Row::parse(b"   8       1 sda1 100 200 300 400"), Err(Bad::Rest(_))));
        let table: [&[u8]; 4] =
            [b"", b"8 0", b"8 0 sda 1 2 3 4 5 6 7 x 9 10 11", b"8 0 sda 18446744073709551616 2 3 4 5 6 7 8 9 10 11"];
        for line in table {
            assert!(matches!(Row::parse(line), Err(Bad::Line(_))), "{}", line.escape_ascii());
        }
        assert!(matches!(Row::parse(b"8 0 \xff 1 2 3 4 5 6 7 8 9 10 11"), Err(Bad::Line(_))));
    }
}
