//! What iwashi tells about itself in each frame, beside what its sampler tells: the spool, and what became of frames.

use crate::sensor::{Readings, Slot};
use crate::series::{Kind, Metric, Series};
use crate::spool::{Spool, MAX_SINKS};

const SOURCE: &str = "iwashi";

const BYTES_WRITTEN: Metric = Metric {
    name: "iwashi.spool.bytes_written",
    kind: Kind::Counter,
    unit: "bytes",
    source: SOURCE,
    help: "bytes written to the disk for the spool since iwashi started, file system overhead excluded",
};

const DROPPED_FRAMES: Metric = Metric {
    name: "iwashi.spool.dropped_frames",
    kind: Kind::Counter,
    unit: "frames",
    source: SOURCE,
    help: "frames for which neither disk nor memory had room since iwashi started",
};

const SINK_FRAMES: Metric = Metric {
    name: "iwashi.sink.frames",
    kind: Kind::Counter,
    unit: "frames",
    source: SOURCE,
    help: "frames that a sink is done with, by their fate: delivered, expired, timeless or lost",
};

const SINK_POINTS: Metric = Metric {
    name: "iwashi.sink.points",
    kind: Kind::Counter,
    unit: "points",
    source: SOURCE,
    help: "points that an upstream took (accepted) or refused for good (rejected)",
};

/// The numbers of its series.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    spool: [Slot; 2],
    sinks: [[Slot; 6]; MAX_SINKS],
}

impl Own {
    /// Adds the readings to a frame. Allocates nothing once a sink's first were added.
    pub(super) fn push(&mut self, spool: &Spool, readings: &mut Readings<'_>) {
        let values = [(BYTES_WRITTEN, spool.bytes_written()), (DROPPED_FRAMES, spool.dropped_frames())];
        for (slot, (metric, value)) in self.spool.iter_mut().zip(values) {
            readings.push_counter(slot, || Series::new(&metric, &[]), value);
        }
        for (slots, cursor) in self.sinks.iter_mut().zip(spool.cursors()) {
            let values = [
                (SINK_FRAMES, "delivered", cursor.delivered),
                (SINK_FRAMES, "expired", cursor.expired),
                (SINK_FRAMES, "timeless", cursor.timeless),
                (SINK_FRAMES, "lost", cursor.lost),
                (SINK_POINTS, "accepted", cursor.points),
                (SINK_POINTS, "rejected", cursor.rejected_points),
            ];
            for (slot, (metric, fate, value)) in slots.iter_mut().zip(values) {
                let labels = [("sink", cursor.sink.as_str()), ("fate", fate)];
                readings.push_counter(slot, || Series::new(&metric, &labels), value);
            }
        }
    }
}
