//! Time that all processors together spent, by purpose.
//!
//! Reads the first line of `/proc/stat` and counts the processors' lines below it. Old kernels print fewer fields:
//! those absent give no reading. Fields after the tenth are not known yet and are left alone.

use crate::config::Sensors;
use crate::platform::host::Host;
use crate::platform::kernel_file::KernelFile;
use crate::series::{Kind, Metric, Series};

use super::error::Wrong;
use super::readings::Slot;
use super::text::{fields, lines, number};
use super::{read_parsed, Entry, Sampling, Sensor, SensorError};

const PATH: &str = "/proc/stat";

/// The fields of the line `cpu`, in its order.
const FIELDS: usize = 10;

/// Fields that every kernel prints.
const FIELDS_AT_LEAST: usize = 4;

const COUNT: Metric =
    Metric { name: "cpu.count", kind: Kind::Gauge, unit: "cpus", source: PATH, help: "processors that are online" };

const METRICS: [Metric; FIELDS + 1] = [
    jiffies("cpu.user", "normal processes, guests included"),
    jiffies("cpu.nice", "niced processes, their guests included"),
    jiffies("cpu.system", "the kernel for processes"),
    jiffies("cpu.idle", "nothing to do"),
    jiffies("cpu.iowait", "nothing to do but wait for a disk"),
    jiffies("cpu.irq", "hardware interrupts"),
    jiffies("cpu.softirq", "deferred work of interrupts"),
    jiffies("cpu.steal", "taken by the hypervisor"),
    jiffies("cpu.guest", "running a virtual processor, also within user"),
    jiffies("cpu.guest_nice", "running a niced virtual processor, also within nice"),
    COUNT,
];

const fn jiffies(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: "jiffies", source: PATH, help }
}

pub(super) const ENTRY: Entry = Entry { name: "cpu", metrics: &METRICS, open };

fn open(host: &Host, _: &Sensors) -> Box<dyn Sensor> {
    Box::new(Cpu { file: KernelFile::new(host.path(PATH)), jiffies: Default::default(), count: Slot::default() })
}

struct Cpu {
    file: KernelFile,
    jiffies: [Slot; FIELDS],
    count: Slot,
}

impl Sensor for Cpu {
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        let spent = read_parsed(&mut self.file, to.buffer, Spent::parse)?;
        for ((slot, metric), value) in self.jiffies.iter_mut().zip(&METRICS).zip(&spent.jiffies) {
            to.readings.push_counter(slot, || Series::new(metric, &[]), *value);
        }
        to.readings.push(&mut self.count, || Series::new(&COUNT, &[]), spent.count);
        Ok(())
    }

    fn forget_series(&mut self) {
        self.jiffies = Default::default();
        self.count = Slot::default();
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Spent {
    jiffies: heapless::Vec<u64, FIELDS>,
    count: i64,
}

impl Spent {
    fn parse(text: &[u8]) -> Result<Self, Wrong<'_>> {
        let mut lines = lines(text)?;
        let line = lines.next().unwrap_or_default();
        let mut words = fields(line);
        let name = words.next();
        let jiffies = words.take(FIELDS).map(number).collect::<Result<heapless::Vec<u64, FIELDS>, _>>()?;
        if name != Some(b"cpu") || jiffies.len() < FIELDS_AT_LEAST {
            return Err(Wrong { expected: "cpu and four numbers", found: line });
        }
        let is_one = |line: &&[u8]| line.strip_prefix(b"cpu").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit);
        match lines.take_while(is_one).map(|_| 1).sum() {
            0 => Err(Wrong { expected: "a line for each cpu", found: line }),
            count => Ok(Self { jiffies, count }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(Vec<u64>, i64)> {
        Spent::parse(text.as_bytes()).ok().map(|spent| (spent.jiffies.to_vec(), spent.count))
    }

    #[test]
    fn only_fields_on_the_line_are_read_and_later_ones_are_left_alone() {
        let new = "cpu  5889 0 2771 291638 482 0 92 11 3 4 77 88\ncpu0 2 0 1 6 8 0 0 3 0 0\ncpu1 3 0 6 4 4 0 1 7 0 0\nintr 9\n";
        assert_eq!(parse(new), Some((vec![5889, 0, 2771, 291_638, 482, 0, 92, 11, 3, 4], 2)));
        assert_eq!(parse("cpu  1 2 3 4\ncpu0 1 2 3 4\n"), Some((vec![1, 2, 3, 4], 1)));
        assert_eq!(parse("cpu  1 2 3 18446744073709551615\ncpu0 1\n"), Some((vec![1, 2, 3, u64::MAX], 1)));
    }

    #[test]
    fn a_line_that_is_not_whole_gives_nothing() {
        let table = [
            "",
            "\n",
            "cpu  1 2 3 4",
            "cpu  1 2 3 4\n",
            "cpu  1 2 3\ncpu0 1 2 3\n",
            "cpu0 1 2 3 4\ncpu0 1 2 3 4\n",
            "cpu  1 2 3 x\ncpu0 1 2 3 4\n",
            "cpu  1 2 -3 4\ncpu0 1 2 3 4\n",
            "cpu  1 2 3 18446744073709551616\ncpu0 1 2 3 4\n",
        ];
        for text in table {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
