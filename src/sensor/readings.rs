//! What a sensor writes into: the frame, through numbers of series that are asked for once.

use crate::frame::{Frame, MAX_READINGS};
use crate::series::{Series, SeriesId, SeriesTable};

/// The number of one series, asked of the table at its first reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot(State);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Unasked,
    Known(SeriesId),
    Refused,
}

/// The frame that is being filled, and the table that numbers its series.
#[derive(Debug)]
pub struct Readings<'a> {
    frame: &'a mut Frame,
    series: &'a mut SeriesTable,
    dropped: &'a mut u64,
}

impl<'a> Readings<'a> {
    /// Readings that go into `frame`; those that find no room are counted in `dropped`.
    pub fn new(frame: &'a mut Frame, series: &'a mut SeriesTable, dropped: &'a mut u64) -> Self {
        Self { frame, series, dropped }
    }

    /// Adds a gauge's value. `name` makes the series, at the first reading only.
    pub fn push(&mut self, slot: &mut Slot, name: impl FnOnce() -> Series, value: i64) {
        if matches!(slot.0, State::Unasked) {
            slot.0 = self.series.intern(name()).map_or(State::Refused, State::Known);
        }
        match slot.0 {
            State::Known(id) if self.frame.readings().len() < MAX_READINGS => self.frame.push(id, value),
            _ => self.drop_reading(),
        }
    }

    /// Adds a counter's value.
    pub fn push_counter(&mut self, slot: &mut Slot, name: impl FnOnce() -> Series, value: u64) {
        self.push(slot, name, value.cast_signed());
    }

    /// Counts a reading that finds no room.
    pub fn drop_reading(&mut self) {
        *self.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Kind, Metric, MAX_SERIES_BYTES};

    const METRIC: Metric = Metric { name: "uptime", kind: Kind::Gauge, unit: "", source: "", help: "" };

    #[test]
    fn a_series_is_named_once_and_what_finds_no_room_is_counted() {
        let (mut frame, mut series, mut dropped) = (Frame::default(), SeriesTable::default(), 0);
        let mut readings = Readings::new(&mut frame, &mut series, &mut dropped);
        let mut slot = Slot::default();
        readings.push(&mut slot, || Series::new(&METRIC, &[]), 1);
        readings.push(&mut slot, || unreachable!(), 2);
        let long = "x".repeat(MAX_SERIES_BYTES);
        let mut refused = Slot::default();
        readings.push(&mut refused, || Series::new(&METRIC, &[("zone", &long)]), 3);
        readings.push(&mut refused, || unreachable!(), 4);
        for _ in 0..MAX_READINGS {
            readings.push(&mut slot, || unreachable!(), 5);
        }
        assert_eq!(dropped, 4, "two of the refused series, two that found the frame full");
        assert_eq!(frame.overflow(), 0);
    }
}
