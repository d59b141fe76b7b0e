//! Sensors read the kernel. Each is one file here and one line in [`SENSORS`].

mod chip;
mod devices;
mod error;
pub mod name;
mod readings;
mod sampler;
mod sysfs;
mod text;

mod cpu;
mod disk;
mod filesystem;
mod hwmon;
mod interface;
mod loadavg;
mod memory;
mod thermal;
mod uptime;

use crate::config::Sensors;
use crate::platform::host::Host;
use crate::platform::kernel_file::{Buffer, KernelFile};
use crate::series::Metric;

use error::Wrong;

pub use error::SensorError;
pub use readings::{Readings, Slot};
pub use sampler::{Health, Sampler, OWN_METRICS};

/// All sensors, in the order in which a frame holds their readings.
pub static SENSORS: &[Entry] = &[
    cpu::ENTRY,
    memory::ENTRY,
    loadavg::ENTRY,
    uptime::ENTRY,
    disk::ENTRY,
    interface::ENTRY,
    filesystem::ENTRY,
    hwmon::ENTRY,
    thermal::ENTRY,
];

/// A sensor's entry in the table.
#[derive(Debug)]
pub struct Entry {
    /// The name in the config, in `status` and in `iwashi.sensor.errors`.
    pub name: &'static str,
    /// What it can measure.
    pub metrics: &'static [Metric],
    /// Makes it. Nothing is read yet: what is absent now may appear later.
    pub open: fn(&Host, &Sensors) -> Box<dyn Sensor>,
}

/// What a sensor is given: what it may read, and where its readings go.
#[derive(Debug)]
pub struct Sampling<'a> {
    /// The machine.
    pub host: &'a Host,
    /// Shared by all kernel files.
    pub buffer: &'a mut Buffer,
    /// The frame that is being filled.
    pub readings: Readings<'a>,
}

/// Something that reads the kernel.
pub trait Sensor: Send {
    /// Reads once. Allocates nothing once every device has been seen.
    ///
    /// # Errors
    /// The first thing that went wrong. Readings already pushed stay: each stands for itself. What means nothing
    /// alone (one field of a line) is pushed only when all of it was read.
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError>;

    /// Forgets the numbers of all series, because their table was renewed.
    fn forget_series(&mut self);
}

/// What `parse` finds in the whole text of `file`.
fn read_parsed<'b, T>(
    file: &mut KernelFile,
    buffer: &'b mut Buffer,
    parse: impl FnOnce(&'b [u8]) -> Result<T, Wrong<'b>>,
) -> Result<T, SensorError> {
    let text = file.read(buffer).map_err(|source| SensorError::read(file.path(), source))?;
    parse(text).map_err(|wrong| SensorError::parse(file.path(), wrong))
}

/// Keeps the first of several errors.
fn first<E>(kept: Result<(), E>, next: Result<(), E>) -> Result<(), E> {
    kept.and(next)
}
