//! Memory and swap, in the kernel's names.
//!
//! Reads `/proc/meminfo`. `MemAvailable` is absent before Linux 3.14 and then gives no reading; any other absent line
//! counts as 0, as mackerel-agent has it. Without `MemTotal` the file is not believed.

use crate::config::Sensors;
use crate::platform::host::Host;
use crate::platform::kernel_file::KernelFile;
use crate::series::{Kind, Metric, Series};

use super::error::Wrong;
use super::readings::Slot;
use super::text::{fields, lines, signed};
use super::{read_parsed, Entry, Sampling, Sensor, SensorError};

const PATH: &str = "/proc/meminfo";
const LINES: usize = 8;
const PREFIX: &str = "memory.";
const TOTAL: &str = "memory.MemTotal";
const AVAILABLE: &str = "memory.MemAvailable";

const METRICS: [Metric; LINES] = [
    kilobytes(TOTAL, "memory that the kernel manages"),
    kilobytes("memory.MemFree", "memory not used at all"),
    kilobytes(AVAILABLE, "memory that a new process could get without swapping"),
    kilobytes("memory.Buffers", "cache of block devices"),
    kilobytes("memory.Cached", "cache of files, tmpfs included"),
    kilobytes("memory.SwapCached", "memory that is also in swap"),
    kilobytes("memory.SwapTotal", "swap space"),
    kilobytes("memory.SwapFree", "swap space not used"),
];

const fn kilobytes(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: "kB", source: PATH, help }
}

pub(super) const ENTRY: Entry = Entry { name: "memory", metrics: &METRICS, open };

fn open(host: &Host, _: &Sensors) -> Box<dyn Sensor> {
    Box::new(Memory { file: KernelFile::new(host.path(PATH)), slots: Default::default() })
}

struct Memory {
    file: KernelFile,
    slots: [Slot; LINES],
}

impl Sensor for Memory {
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        let values = read_parsed(&mut self.file, to.buffer, parse)?;
        for ((slot, metric), value) in self.slots.iter_mut().zip(&METRICS).zip(values) {
            if let Some(value) = value {
                to.readings.push(slot, || Series::new(metric, &[]), value);
            }
        }
        Ok(())
    }

    fn forget_series(&mut self) {
        self.slots = Default::default();
    }
}

/// The value of each of [`METRICS`].
fn parse(text: &[u8]) -> Result<[Option<i64>; LINES], Wrong<'_>> {
    let mut found = [None; LINES];
    let mut missing = LINES;
    for line in lines(text)? {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let (key, rest) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        let is_it = |metric: &Metric| metric.name.strip_prefix(PREFIX).is_some_and(|name| name.as_bytes() == key);
        let Some(value) = METRICS.iter().position(is_it).and_then(|place| found.get_mut(place)) else {
            continue;
        };
        if value.replace(kilobytes_of(rest)?).is_none() {
            missing -= 1;
        }
        if missing == 0 {
            break;
        }
    }
    let wrong = Wrong { expected: "a line MemTotal", found: text };
    let mut values = [None; LINES];
    for ((value, found), metric) in values.iter_mut().zip(found).zip(&METRICS) {
        *value = match metric.name {
            TOTAL => Some(found.filter(|total| *total > 0).ok_or(wrong)?),
            AVAILABLE => found,
            _ => Some(found.unwrap_or(0)),
        };
    }
    Ok(values)
}

fn kilobytes_of(rest: &[u8]) -> Result<i64, Wrong<'_>> {
    let mut words = fields(rest);
    let (value, unit) = (words.next().unwrap_or_default(), words.next());
    signed(value)
        .ok()
        .filter(|value| *value >= 0 && unit == Some(b"kB"))
        .ok_or(Wrong { expected: "a number of kB", found: rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE_3_14: &str = "MemTotal:  100 kB\nMemFree: 20 kB\nBuffers: 3 kB\nCached: 40 kB\nSwapCached: 5 kB\n\
                               Active: 1 kB\nActive(anon): 1 kB\nSwapTotal: 600 kB\nSwapFree: 7 kB\nHugePages_Total: 0\n";

    fn parse_text(text: &str) -> Option<[Option<i64>; LINES]> {
        parse(text.as_bytes()).ok()
    }

    #[test]
    fn lines_are_found_by_their_exact_names() {
        let some = [Some(100), Some(20), None, Some(3), Some(40), Some(5), Some(600), Some(7)];
        assert_eq!(parse_text(BEFORE_3_14), Some(some));
        let mut with_available = some;
        with_available[2] = Some(9);
        assert_eq!(parse_text(&format!("MemAvailable: 9 kB\n{BEFORE_3_14}")), Some(with_available));
    }

    #[test]
    fn absent_lines_count_as_zero_but_mem_total_must_be_there() {
        let least = [Some(1), Some(0), None, Some(0), Some(0), Some(0), Some(0), Some(0)];
        assert_eq!(parse_text("MemTotal: 1 kB\n"), Some(least));
        let table = [
            "",
            "MemTotal: 1 kB",
            "MemFree: 1 kB\n",
            "MemTotal: 0 kB\n",
            "MemTotal: 1\n",
            "MemTotal: 1 MB\n",
            "MemTotal: -1 kB\n",
            "MemTotal: x kB\n",
            "MemTotal 1 kB\n",
            "MemTotal: 1 kB\nMemFree: \n",
            "MemTotal: 9223372036854775808 kB\n",
        ];
        for text in table {
            assert_eq!(parse_text(text), None, "{text}");
        }
    }
}
