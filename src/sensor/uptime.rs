//! Time since the boot, in hundredths of a second.
//!
//! Reads `/proc/uptime`. It counts suspended time too.

use crate::config::Sensors;
use crate::platform::host::Host;
use crate::platform::kernel_file::KernelFile;
use crate::series::{Kind, Metric, Series};

use super::error::Wrong;
use super::readings::Slot;
use super::text::{fields, hundredths, lines};
use super::{read_parsed, Entry, Sampling, Sensor, SensorError};

const PATH: &str = "/proc/uptime";

const UPTIME: Metric =
    Metric { name: "uptime", kind: Kind::Gauge, unit: "centiseconds", source: PATH, help: "time since the boot" };

pub(super) const ENTRY: Entry = Entry { name: "uptime", metrics: &[UPTIME], open };

fn open(host: &Host, _: &Sensors) -> Box<dyn Sensor> {
    Box::new(Uptime { file: KernelFile::new(host.path(PATH)), slot: Slot::default() })
}

struct Uptime {
    file: KernelFile,
    slot: Slot,
}

impl Sensor for Uptime {
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        let uptime = read_parsed(&mut self.file, to.buffer, parse)?;
        to.readings.push(&mut self.slot, || Series::new(&UPTIME, &[]), uptime);
        Ok(())
    }

    fn forget_series(&mut self) {
        self.slot = Slot::default();
    }
}

fn parse(text: &[u8]) -> Result<i64, Wrong<'_>> {
    hundredths(fields(lines(text)?.next().unwrap_or_default()).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_read() {
        assert_eq!(parse(b"1507.55 2916.38\n"), Ok(150_755));
        for text in [&b""[..], b"\n", b"1507.5", b"x 1\n", b"-1.00 2\n"] {
            assert!(parse(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
