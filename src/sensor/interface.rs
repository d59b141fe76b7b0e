//! Bytes that network interfaces received and sent.
//!
//! Reads `/proc/net/dev`. Left out, as mackerel-agent does: `lo`, `veth*` and what the config ignores. An interface
//! that is down counts too.

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

const PATH: &str = "/proc/net/dev";

/// Lines of the table's head.
const HEAD_LINES: usize = 2;

/// Numbers that every line must have.
const COLUMNS: usize = 16;

const RX: Metric = bytes("interface.rx_bytes", "bytes received");
const TX: Metric = bytes("interface.tx_bytes", "bytes sent");

const fn bytes(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: "bytes", source: PATH, help }
}

pub(super) const ENTRY: Entry = Entry { name: "interface", metrics: &[RX, TX], open };

fn open(host: &Host, settings: &Sensors) -> Box<dyn Sensor> {
    let file = KernelFile::new(host.path(PATH));
    Box::new(Interface { file, ignore: settings.interfaces_ignore.clone(), interfaces: Devices::new() })
}

struct Interface {
    file: KernelFile,
    ignore: Option<Regex>,
    interfaces: Devices<2>,
}

impl Sensor for Interface {
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        let Self { file, ignore, interfaces } = self;
        let is_ignored = |name: &str| ignore.as_ref().is_some_and(|ignore| ignore.is_match(&sanitise(name)));
        interfaces.restart();
        read_parsed(file, to.buffer, |text| {
            let mut lines = lines(text)?;
            for line in lines.by_ref().take(HEAD_LINES) {
                // Only the head of the table has these.
                line.contains(&b'|').then_some(()).ok_or(Wrong { expected: "the head of the table", found: line })?;
            }
            let mut outcome = Ok(());
            for line in lines {
                match Row::parse(line) {
                    Ok(row) if row.is_measured() => row.push(interfaces, is_ignored, &mut to.readings),
                    Ok(_) => {}
                    Err(wrong) => outcome = first(outcome, Err(wrong)),
                }
            }
            outcome
        })
    }

    fn forget_series(&mut self) {
        self.interfaces.forget_series();
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Row<'t> {
    name: &'t str,
    rx: u64,
    tx: u64,
}

impl<'t> Row<'t> {
    fn parse(line: &'t [u8]) -> Result<Self, Wrong<'t>> {
        // Old kernels print no space after the colon.
        let mut halves = line.rsplitn(2, |byte| *byte == b':');
        let (numbers, interface) = (halves.next().unwrap_or_default(), halves.next());
        let interface = interface.ok_or(Wrong { expected: "an interface and a colon", found: line })?;
        let mut words = fields(numbers);
        let mut columns = [0; COLUMNS];
        for column in &mut columns {
            *column = number(words.next().ok_or(Wrong { expected: "sixteen numbers", found: line })?)?;
        }
        let [rx, _, _, _, _, _, _, _, tx, ..] = columns;
        Ok(Self { name: name(interface.trim_ascii())?, rx, tx })
    }

    fn is_measured(&self) -> bool {
        self.name != "lo" && !self.name.starts_with("veth")
    }

    fn push(&self, interfaces: &mut Devices<2>, is_ignored: impl FnOnce(&str) -> bool, readings: &mut Readings<'_>) {
        let labels = [("interface", self.name)];
        match interfaces.find(self.name, is_ignored) {
            Found::Measured([rx, tx]) => {
                readings.push_counter(rx, || Series::new(&RX, &labels), self.rx);
                readings.push_counter(tx, || Series::new(&TX, &labels), self.tx);
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
    fn received_and_sent_are_the_first_and_the_ninth_number() {
        let row = Row::parse(b"  eth0: 458736825 14922 0 0 0 0 0 0 875835 9723 0 0 0 0 0 0").unwrap();
        assert_eq!(row, Row { name: "eth0", rx: 458_736_825, tx: 875_835 });
        let row = Row::parse(b"eth0.100:4294967295 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17").unwrap();
        assert_eq!(row, Row { name: "eth0.100", rx: 4_294_967_295, tx: 9 });
    }

    #[test]
    fn the_loopback_and_containers_ends_are_left_out() {
        let is_measured = |name| Row { name, rx: 0, tx: 0 }.is_measured();
        assert!(!is_measured("lo"));
        assert!(!is_measured("veth1a2b3c"));
        assert!(is_measured("lo0"));
        assert!(is_measured("eth0"));
        assert!(is_measured("docker0"));
    }

    #[test]
    fn a_bad_line_is_refused() {
        let table: [&[u8]; 6] = [
            b"",
            b"eth0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
            b"eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
            b"eth0: 18446744073709551616 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
            b"eth0: 1 2 3 4 5 6 7 8 -9 10 11 12 13 14 15 16",
            b"\xff: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
        ];
        for line in table {
            assert!(Row::parse(line).is_err(), "{}", line.escape_ascii());
        }
    }
}
