//! Frames in memory, while the disk cannot take them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::frame::{Frame, Reading};
use crate::platform::clock::Stamp;
use crate::series::{Series, SeriesTable};

/// The most bytes that frames in memory take: about two hours of a small host at one a minute.
const MAX_BYTES: usize = 128 * 1024;

/// One frame in memory, independent of any table of series.
#[derive(Clone, Debug)]
pub struct HeldFrame {
    /// The number it will have.
    pub seq: u64,
    /// When it was taken.
    pub stamp: Stamp,
    readings: Vec<(Arc<Series>, i64)>,
}

impl HeldFrame {
    pub(super) fn new(seq: u64, stamp: Stamp, readings: Vec<(Arc<Series>, i64)>) -> Self {
        Self { seq, stamp, readings }
    }

    /// Readings by their series, not by numbers.
    pub(super) fn readings_of<'r>(
        readings: impl Iterator<Item = &'r Reading>,
        table: &SeriesTable,
    ) -> Vec<(Arc<Series>, i64)> {
        readings.filter_map(|r| Some((Arc::clone(table.series(r.series)?), r.value))).collect()
    }

    pub(super) fn extend(&mut self, more: Vec<(Arc<Series>, i64)>) {
        self.readings.extend(more);
    }

    /// The frame by the numbers of `table`.
    #[must_use]
    pub fn frame(&self, table: &mut SeriesTable) -> Box<Frame> {
        let mut frame = Box::<Frame>::default();
        frame.restart(self.stamp);
        frame.seq = self.seq;
        for (series, value) in &self.readings {
            if let Some(id) = table.intern(series.as_ref().clone()) {
                frame.push(id, *value);
            }
        }
        frame
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val::<[_]>(&self.readings)
    }
}

/// A bounded ring of frames: when full, the oldest goes, counted.
#[derive(Debug, Default)]
pub(super) struct Memory {
    frames: VecDeque<Arc<HeldFrame>>,
    bytes: usize,
    dropped: u64,
}

impl Memory {
    /// Adds a frame; the oldest make room.
    pub(super) fn push(&mut self, frame: &Frame, table: &SeriesTable) {
        let readings = HeldFrame::readings_of(frame.readings().iter(), table);
        let held = HeldFrame::new(frame.seq, frame.stamp, readings);
        self.bytes += held.bytes();
        self.frames.push_back(Arc::new(held));
        while self.bytes > MAX_BYTES && self.frames.len() > 1 {
            self.pop_first();
            self.dropped += 1;
        }
    }

    pub(super) fn first(&self) -> Option<&Arc<HeldFrame>> {
        self.frames.front()
    }

    pub(super) fn pop_first(&mut self) {
        if let Some(gone) = self.frames.pop_front() {
            self.bytes = self.bytes.saturating_sub(gone.bytes());
        }
    }

    /// All frames, oldest first.
    pub(super) fn held(&self) -> impl Iterator<Item = Arc<HeldFrame>> + '_ {
        self.frames.iter().map(Arc::clone)
    }

    /// The number after the last frame's, if there is one.
    pub(super) fn end(&self) -> Option<u64> {
        self.frames.back().map(|held| held.seq + 1)
    }

    /// Moves the numbers up so that they begin at `first`: the disk turned out to hold frames of those numbers.
    pub(super) fn renumber(&mut self, first: u64) {
        let shift = first.saturating_sub(self.frames.front().map_or(first, |held| held.seq));
        for held in self.frames.iter_mut().filter(|_| shift > 0) {
            *held = Arc::new(HeldFrame { seq: held.seq + shift, ..held.as_ref().clone() });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
