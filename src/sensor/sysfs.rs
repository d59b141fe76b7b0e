//! Classes of /sys whose devices' files hold one number each.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::platform::kernel_file::{is_gone, KernelFile};
use crate::series::{Metric, Series};

use super::devices::MAX_DEVICES;
use super::error::Wrong;
use super::readings::Slot;
use super::text::signed;
use super::{first, read_parsed, Sampling, Sensor, SensorError};

/// Cycles between two looks for a new device.
const CYCLES_BETWEEN_LOOKS: u32 = 10;

/// What a file of one kind holds.
#[derive(Debug)]
pub(crate) struct Quantity {
    pub(crate) metric: Metric,
    /// Values outside cannot be; a probe that is not connected gives such.
    pub(crate) possible: RangeInclusive<i64>,
}

/// -273.15 °C up to 1000 °C.
pub(crate) const POSSIBLE_MILLICELSIUS: RangeInclusive<i64> = -273_150..=1_000_000;

/// One file, read each cycle.
#[derive(Debug)]
pub(crate) struct Input {
    quantity: &'static Quantity,
    labels: Vec<(&'static str, Box<str>)>,
    file: KernelFile,
    fault: Option<KernelFile>,
    slot: Slot,
    /// Whether it said, when asked last, that its device is gone. True until it is asked: what a search found gone
    /// already starts no other.
    is_gone: bool,
}

impl Input {
    /// The file at `path`; while the file `fault` holds a 1, its value is not one.
    pub(crate) fn new(
        quantity: &'static Quantity,
        labels: Vec<(&'static str, Box<str>)>,
        path: PathBuf,
        fault: Option<PathBuf>,
    ) -> Self {
        let (file, fault) = (KernelFile::new(path), fault.map(KernelFile::new));
        Self { quantity, labels, file, fault, slot: Slot::default(), is_gone: true }
    }

    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        if let Some(fault) = &mut self.fault {
            if read_parsed(fault, to.buffer, one_number)? != 0 {
                return Ok(());
            }
        }
        let value = read_parsed(&mut self.file, to.buffer, |text| {
            let wrong = Wrong { expected: "a possible value", found: text };
            one_number(text).and_then(|value| self.quantity.possible.contains(&value).then_some(value).ok_or(wrong))
        })?;
        let labels = &self.labels;
        let series = || {
            let labels: Vec<_> = labels.iter().map(|(key, value)| (*key, value.as_ref())).collect();
            Series::new(&self.quantity.metric, &labels)
        };
        to.readings.push(&mut self.slot, series, value);
        Ok(())
    }
}

/// The only number of a file of /sys. Some drivers print no line feed.
fn one_number(text: &[u8]) -> Result<i64, Wrong<'_>> {
    signed(text.trim_ascii())
}

/// The text of a small file, without blanks around it; `None` where it is absent, empty or not UTF-8.
pub(crate) fn text_at(path: &Path) -> Option<Box<str>> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim()).filter(|text| !text.is_empty()).map(Box::from)
}

/// All inputs below the devices of one class of /sys. An absent class has none, and is no error.
///
/// The kernel gives a new device the lowest free number. So a device that came is noticed by asking whether that
/// number exists, which costs one call and no memory. One that went is noticed when an input says so.
pub(crate) struct Inputs {
    class: PathBuf,
    /// What stands before the number in a device's name.
    prefix: &'static str,
    search: Search,
    found: Vec<Input>,
    /// Inputs beyond the most that are kept.
    excess: usize,
    /// Where the next new device will appear.
    next: PathBuf,
    cycles_until_look: u32,
    must_search: bool,
}

/// Finds the inputs of a class' devices.
type Search = fn(&[PathBuf]) -> Vec<Input>;

impl Inputs {
    pub(crate) fn new(class: PathBuf, prefix: &'static str, search: Search) -> Self {
        let next = class.join(format!("{prefix}0"));
        Self { class, prefix, search, found: Vec::new(), excess: 0, next, cycles_until_look: 0, must_search: true }
    }

    fn look(&mut self) -> Result<(), SensorError> {
        let is_due = self.cycles_until_look == 0;
        self.cycles_until_look = if is_due { CYCLES_BETWEEN_LOOKS } else { self.cycles_until_look } - 1;
        self.must_search |= is_due && self.next.exists();
        if self.must_search {
            let devices = match numbered(&self.class, self.prefix) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                devices => devices,
            };
            let devices = devices.map_err(|source| SensorError::read(&self.class.as_path().into(), source))?;
            self.adopt(&devices);
            self.must_search = false;
        }
        Ok(())
    }

    fn adopt(&mut self, devices: &[(u32, PathBuf)]) {
        let paths: Vec<_> = devices.iter().map(|(_, path)| path.clone()).collect();
        self.found = (self.search)(&paths);
        self.excess = self.found.len().saturating_sub(MAX_DEVICES);
        self.found.truncate(MAX_DEVICES);
        let free = (0..).zip(devices).take_while(|(expected, (number, _))| expected == number).count();
        self.next = self.class.join(format!("{}{free}", self.prefix));
    }
}

/// The entries of `class` whose names are `prefix` and a number, with that number and in its order.
fn numbered(class: &Path, prefix: &str) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(class)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok());
        found.extend(number.map(|number| (number, entry.path())));
    }
    found.sort();
    Ok(found)
}

impl Sensor for Inputs {
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        let mut outcome = self.look();
        for _ in 0..self.excess {
            to.readings.drop_reading();
        }
        for input in &mut self.found {
            let sampled = input.sample(to);
            let is_gone = matches!(&sampled, Err(SensorError::Read { source, .. }) if is_gone(source));
            self.must_search |= is_gone && !input.is_gone;
            input.is_gone = is_gone;
            outcome = first(outcome, sampled);
        }
        outcome
    }

    fn forget_series(&mut self) {
        self.found.iter_mut().for_each(|input| input.slot = Slot::default());
    }
}

#[cfg(test)]
#[path = "sysfs_test.rs"]
mod tests;
