//! All readings of one instant.

use crate::platform::clock::Stamp;
use crate::series::SeriesId;

/// The most readings one frame holds; further ones are dropped and counted.
pub const MAX_READINGS: usize = 1024;

/// One raw value, exactly as the kernel gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which series it belongs to.
    pub series: SeriesId,
    /// The value; a counter's unsigned 64 bits are kept in the same 64 bits.
    pub value: i64,
}

/// All readings of one instant, of fixed capacity: sampling into it allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// When it was taken.
    pub stamp: Stamp,
    /// Its place among all frames of the spool, from 1; 0 until the spool has numbered it.
    pub seq: u64,
    readings: heapless::Vec<Reading, MAX_READINGS>,
    overflow: u64,
}

impl Frame {
    /// Empties the frame for the instant `stamp`.
    pub fn restart(&mut self, stamp: Stamp) {
        self.stamp = stamp;
        self.seq = 0;
        self.readings.clear();
        self.overflow = 0;
    }

    /// Adds a gauge's value (or any value that fits).
    pub fn push(&mut self, series: SeriesId, value: i64) {
        if self.readings.push(Reading { series, value }).is_err() {
            self.overflow += 1;
        }
    }

    /// Adds a counter's value.
    pub fn push_counter(&mut self, series: SeriesId, value: u64) {
        self.push(series, value.cast_signed());
    }

    /// The readings, in the order they were taken.
    #[must_use]
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// The value of one series, if it was read.
    #[must_use]
    pub fn value(&self, series: SeriesId) -> Option<i64> {
        self.readings.iter().find(|r| r.series == series).map(|r| r.value)
    }

    /// Takes back the readings after the first `len`: a sensor that failed half way leaves none.
    pub fn truncate(&mut self, len: usize) {
        self.readings.truncate(len);
    }

    /// Readings that found no room.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_frame_drops_and_counts() {
        let mut frame = Frame::default();
        for i in 0..=MAX_READINGS {
            frame.push(1, i64::try_from(i).unwrap());
        }
        assert_eq!((frame.readings().len(), frame.overflow()), (MAX_READINGS, 1));
        frame.restart(Stamp::default());
        assert_eq!((frame.readings().len(), frame.overflow()), (0, 0));
    }

    #[test]
    fn a_counter_keeps_all_its_bits() {
        let mut frame = Frame::default();
        frame.push_counter(3, u64::MAX);
        assert_eq!(frame.value(3).unwrap().cast_unsigned(), u64::MAX);
    }
}
