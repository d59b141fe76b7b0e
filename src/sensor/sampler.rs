//! All sensors of the machine, read together.

use crate::config::Sensors;
use crate::frame::{Frame, MAX_READINGS};
use crate::platform::clock::Stamp;
use crate::platform::host::Host;
use crate::platform::kernel_file::Buffer;
use crate::series::{Kind, Metric, Series, SeriesTable};

use super::readings::{Readings, Slot};
use super::{Entry, Sampling, Sensor, SensorError, SENSORS};

const SOURCE: &str = "iwashi";

const ERRORS: Metric = Metric {
    name: "iwashi.sensor.errors",
    kind: Kind::Counter,
    unit: "errors",
    source: SOURCE,
    help: "samples in which the sensor could not read all it should, since iwashi started",
};

const DROPPED: Metric = Metric {
    name: "iwashi.frame.dropped_readings",
    kind: Kind::Counter,
    unit: "readings",
    source: SOURCE,
    help: "readings that found no room, since iwashi started",
};

/// What the sampler tells about itself, at the end of each frame.
pub static OWN_METRICS: &[Metric] = &[ERRORS, DROPPED];

/// All sensors that the config leaves on, and what went wrong with them.
pub struct Sampler {
    host: Host,
    buffer: Buffer,
    sensors: Vec<Open>,
    dropped: u64,
    dropped_slot: Slot,
}

struct Open {
    name: &'static str,
    sensor: Box<dyn Sensor>,
    health: Health,
    errors_slot: Slot,
}

/// How a sensor fares.
#[derive(Debug, Default)]
pub struct Health {
    /// Samples in which it could not read all it should.
    pub errors: u64,
    /// How many of them in a row, the last sample included; 0 while it is well.
    pub failing: u64,
    /// What went wrong last; kept when it is over.
    pub last_error: Option<SensorError>,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.sensors.iter().map(|open| open.name).collect();
        f.debug_struct("Sampler").field("host", &self.host).field("sensors", &names).finish_non_exhaustive()
    }
}

impl Sampler {
    /// Opens every one of [`SENSORS`] that the config does not switch off by name.
    #[must_use]
    pub fn open(host: Host, settings: &Sensors) -> Self {
        let is_on = |entry: &&Entry| !settings.disabled.iter().any(|name| name == entry.name);
        let open = |entry: &Entry| Open {
            name: entry.name,
            sensor: (entry.open)(&host, settings),
            health: Health::default(),
            errors_slot: Slot::default(),
        };
        let sensors = SENSORS.iter().filter(is_on).map(open).collect();
        Self { host, buffer: Buffer::default(), sensors, dropped: 0, dropped_slot: Slot::default() }
    }

    /// Restarts `frame` with the readings of all sensors. None that fails harms another.
    ///
    /// Allocates nothing once every device has been seen and while no error begins or ends.
    pub fn sample(&mut self, stamp: Stamp, series: &mut SeriesTable, frame: &mut Frame) {
        frame.restart(stamp);
        for open in &mut self.sensors {
            let readings = Readings::new(frame, series, &mut self.dropped);
            let mut to = Sampling { host: &self.host, buffer: &mut self.buffer, readings };
            let outcome = open.sensor.sample(&mut to);
            open.health.note(open.name, outcome);
        }
        self.push_own(series, frame);
    }

    /// How each open sensor fares.
    pub fn health(&self) -> impl Iterator<Item = (&'static str, &Health)> {
        self.sensors.iter().map(|open| (open.name, &open.health))
    }

    /// Readings that found no room, in a frame, a series table or a sensor's list of devices.
    #[must_use]
    pub fn dropped_readings(&self) -> u64 {
        self.dropped
    }

    /// Forgets the numbers of all series: call it when the table was renewed.
    pub fn reset_series(&mut self) {
        for open in &mut self.sensors {
            open.sensor.forget_series();
            open.errors_slot = Slot::default();
        }
        self.dropped_slot = Slot::default();
    }

    fn push_own(&mut self, series: &mut SeriesTable, frame: &mut Frame) {
        // A full frame must still say that it was full.
        let room = MAX_READINGS - (self.sensors.len() + 1).min(MAX_READINGS);
        self.dropped += frame.readings().len().saturating_sub(room) as u64;
        frame.truncate(room);
        let dropped = self.dropped;
        let mut readings = Readings::new(frame, series, &mut self.dropped);
        for open in &mut self.sensors {
            let labels = [("sensor", open.name)];
            readings.push_counter(&mut open.errors_slot, || Series::new(&ERRORS, &labels), open.health.errors);
        }
        readings.push_counter(&mut self.dropped_slot, || Series::new(&DROPPED, &[]), dropped);
    }
}

impl Health {
    fn note(&mut self, name: &str, outcome: Result<(), SensorError>) {
        let is_failing = self.failing > 0;
        match outcome {
            Ok(()) => {
                if is_failing {
                    log::info!("sensor {name}: well again after {} failed samples", self.failing);
                }
                self.failing = 0;
            }
            Err(error) => {
                self.errors += 1;
                self.failing += 1;
                if !is_failing || !self.last_error.as_ref().is_some_and(|last| last.is_like(&error)) {
                    log::warn!("sensor {name}: {error}");
                }
                self.last_error = Some(error);
            }
        }
    }
}
