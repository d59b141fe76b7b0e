//! Temperatures, fans and voltages of hardware-monitoring chips, as their drivers print them.
//!
//! Reads `/sys/class/hwmon/hwmon*/{temp,fan,in}*_input` (kernel doc hwmon/sysfs-interface): millidegrees Celsius,
//! revolutions per minute, millivolts at the chip's pin. Chips are named by name and device path (`chip.rs`), never
//! by `hwmonN`. A sensor that is switched off or faulty answers ENODATA, EAGAIN, EINVAL or EIO, or says so in its
//! `*_fault`: a gap, never a zero.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use crate::config::Sensors;
use crate::platform::host::Host;
use crate::series::{Kind, Metric};

use super::chip::Chip;
use super::sysfs::{text_at, Input, Inputs, Quantity, POSSIBLE_MILLICELSIUS};
use super::{Entry, Sensor};

const CLASS: &str = "/sys/class/hwmon";

const TEMP: Metric = Metric {
    name: "hwmon.temp",
    kind: Kind::Gauge,
    unit: "millidegree Celsius",
    source: "/sys/class/hwmon/hwmon*/temp*_input",
    help: "temperature that a chip measures",
};

const FAN: Metric = Metric {
    name: "hwmon.fan",
    kind: Kind::Gauge,
    unit: "rpm",
    source: "/sys/class/hwmon/hwmon*/fan*_input",
    help: "speed of a fan",
};

const IN: Metric = Metric {
    name: "hwmon.in",
    kind: Kind::Gauge,
    unit: "millivolt",
    source: "/sys/class/hwmon/hwmon*/in*_input",
    help: "voltage at a chip's pin, not scaled for what lies before it on the board",
};

/// Prefixes of the files, and what they hold.
static QUANTITIES: [(&str, Quantity); 3] = [
    ("temp", Quantity { metric: TEMP, possible: POSSIBLE_MILLICELSIUS }),
    ("fan", Quantity { metric: FAN, possible: 0..=1_000_000 }),
    ("in", Quantity { metric: IN, possible: -1_000_000..=1_000_000 }),
];

pub(super) const ENTRY: Entry = Entry { name: "hwmon", metrics: &[TEMP, FAN, IN], open };

fn open(host: &Host, _: &Sensors) -> Box<dyn Sensor> {
    Box::new(Inputs::new(host.path(CLASS), "hwmon", search))
}

fn search(devices: &[PathBuf]) -> Vec<Input> {
    // A chip without a name has gone meanwhile.
    let mut chips: Vec<Chip> = devices.iter().filter_map(|path| Chip::at(path)).collect();
    chips.sort();
    let mut of_key: HashMap<Box<str>, u32> = HashMap::new();
    let mut inputs = Vec::new();
    for chip in chips {
        let nth = of_key.entry(chip.key.clone()).or_insert(0);
        *nth += 1;
        let label = if *nth == 1 { chip.key.clone() } else { format!("{}#{nth}", chip.key).into() };
        inputs.extend(inputs_of(&chip, &label).unwrap_or_default());
    }
    inputs
}

fn inputs_of(chip: &Chip, label: &str) -> io::Result<Vec<Input>> {
    let mut found: Vec<(usize, u32)> = Vec::new();
    for entry in std::fs::read_dir(&chip.attributes)? {
        found.extend(entry?.file_name().to_str().and_then(channel_of));
    }
    // Each reading of an NVMe sensor is a command to the disk; the first is the one that the disk vouches for.
    found.retain(|(_, number)| *number == 1 || chip.name.as_ref() != "nvme");
    found.sort_unstable();
    Ok(found.iter().filter_map(|(place, number)| Some(input(chip, label, QUANTITIES.get(*place)?, *number))).collect())
}

/// Which of [`QUANTITIES`] the file `name` holds, and its number.
fn channel_of(name: &str) -> Option<(usize, u32)> {
    let name = name.strip_suffix("_input")?;
    let number = |prefix: &str| name.strip_prefix(prefix).and_then(|number| number.parse().ok());
    QUANTITIES.iter().enumerate().find_map(|(place, (prefix, _))| Some((place, number(prefix)?)))
}

fn input(chip: &Chip, label: &str, of: &'static (&str, Quantity), number: u32) -> Input {
    let (prefix, quantity) = of;
    let sensor = format!("{prefix}{number}");
    let file = |what: &str| -> PathBuf { chip.attributes.join(format!("{sensor}_{what}")) };
    let fault = Some(file("fault")).filter(|path| path.exists());
    let (path, text) = (file("input"), text_at(&file("label")));
    let mut labels = vec![("chip", label.into()), ("sensor", sensor.into())];
    labels.extend(text.map(|text| ("label", text)));
    Input::new(quantity, labels, path, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inputs_are_channels() {
        assert_eq!(channel_of("temp12_input"), Some((0, 12)));
        assert_eq!(channel_of("fan1_input"), Some((1, 1)));
        assert_eq!(channel_of("in0_input"), Some((2, 0)));
        for name in
            ["temp1_max", "temp_input", "intrusion0_input", "power1_input", "temp1_reset_history", "tempx_input"]
        {
            assert_eq!(channel_of(name), None, "{name}");
        }
    }
}
