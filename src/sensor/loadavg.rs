//! Load averages over 1, 5 and 15 minutes, in hundredths.
//!
//! Reads `/proc/loadavg`, which prints two decimals; further ones would be rounded.

use crate::config::Sensors;
use crate::platform::host::Host;
use crate::platform::kernel_file::KernelFile;
use crate::series::{Kind, Metric, Series};

use super::error::Wrong;
use super::readings::Slot;
use super::text::{fields, hundredths, lines};
use super::{read_parsed, Entry, Sampling, Sensor, SensorError};

const PATH: &str = "/proc/loadavg";

const METRICS: [Metric; 3] = [
    load("loadavg.1", "tasks running, runnable or waiting for a disk, averaged over 1 minute"),
    load("loadavg.5", "the same over 5 minutes"),
    load("loadavg.15", "the same over 15 minutes"),
];

const fn load(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: "hundredths", source: PATH, help }
}

pub(super) const ENTRY: Entry = Entry { name: "loadavg", metrics: &METRICS, open };

fn open(host: &Host, _: &Sensors) -> Box<dyn Sensor> {
    Box::new(Loadavg { file: KernelFile::new(host.path(PATH)), slots: Default::default() })
}

struct Loadavg {
    file: KernelFile,
    slots: [Slot; 3],
}

impl Sensor for Loadavg {
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        let loads = read_parsed(&mut self.file, to.buffer, parse)?;
        for ((slot, metric), value) in self.slots.iter_mut().zip(&METRICS).zip(loads) {
            to.readings.push(slot, || Series::new(metric, &[]), value);
        }
        Ok(())
    }

    fn forget_series(&mut self) {
        self.slots = Default::default();
    }
}

fn parse(text: &[u8]) -> Result<[i64; 3], Wrong<'_>> {
    let mut words = fields(lines(text)?.next().unwrap_or_default());
    let mut load = || hundredths(words.next().unwrap_or_default());
    Ok([load()?, load()?, load()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_decimals_are_read_or_none() {
        let table: [(&[u8], Option<[i64; 3]>); 7] = [
            (b"0.52 1.05 12.00 1/88 5365\n", Some([52, 105, 1200])),
            (b"0.52 1.05 12.00\n", Some([52, 105, 1200])),
            (b"0.52 1.05 12.0", None),
            (b"0.52 1.05\n", None),
            (b"", None),
            (b"0.52 x 12.00 1/88 5365\n", None),
            (b"\x00\xff\n", None),
        ];
        for (text, loads) in table {
            assert_eq!(parse(text).ok(), loads, "{}", text.escape_ascii());
        }
    }
}
