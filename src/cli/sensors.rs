//! `iwashi sensors`.

use super::args::Arguments;
use super::terminal::Terminal;
use super::{Command, Outcome};
use crate::frame::Frame;
use crate::platform::clock::{Clock, SystemClock};
use crate::sensor::{Sampler, OWN_METRICS, SENSORS};
use crate::series::{Kind, Metric, Series, SeriesTable};

pub(super) const COMMAND: Command = Command {
    name: "sensors",
    arguments: "",
    summary: "every sensor found here: name, value, unit, source",
    details: "Reads every sensor once and prints the raw readings, as the spool keeps them,\n\
              by the kernel file they come from. What cannot be read is said at the end.",
    options: &[],
    run,
};

fn run(arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let config = arguments.config()?;
    super::log::only_warnings();
    let mut table = SeriesTable::default();
    let mut frame = Box::<Frame>::default();
    let mut sampler = Sampler::open(arguments.host(), &config.sensors);
    sampler.sample(SystemClock::new(&arguments.sysroot()).now(), &mut table, &mut frame);
    let mut source = "";
    let readings = frame.readings().iter().filter_map(|r| Some((table.series(r.series)?, r.value)));
    for (series, value) in readings.filter(|(series, _)| !series.name.starts_with("iwashi.")) {
        if let Some(metric) = metric(series).filter(|metric| metric.source != source) {
            source = metric.source;
            terminal.heading(source);
        }
        terminal.line(&format!("  {:<48} {} {}", series.to_string(), number(series, value), series.unit));
    }
    for (name, health) in sampler.health().filter(|(_, health)| health.failing > 0) {
        let error = health.last_error.as_ref().map(ToString::to_string).unwrap_or_default();
        terminal.line(&terminal.warning(&format!("{name}: {error}")));
    }
    Ok(())
}

/// The metric that a series is of, if this version knows it.
fn metric(series: &Series) -> Option<&'static Metric> {
    let mut known = SENSORS.iter().flat_map(|sensor| sensor.metrics).chain(OWN_METRICS);
    known.find(|metric| metric.name == series.name.as_ref())
}

/// A raw value as a number: counters are unsigned.
pub(super) fn number(series: &Series, value: i64) -> String {
    match series.kind {
        Kind::Counter => value.cast_unsigned().to_string(),
        Kind::Gauge => value.to_string(),
    }
}
