//! How far a sink has come.

use serde::{Deserialize, Serialize};

use crate::platform::clock::Stamp;

/// The most sinks that one spool serves.
pub const MAX_SINKS: usize = 3;

/// How far one sink has come, and what became of every frame on the way.
///
/// Frames before `settled` are done with. `ahead_from..ahead_to` was delivered out of order (fresh first, while a
/// backlog waits). Kept true at every step:
/// `settled - 1 = delivered + expired + timeless + lost`, where frames ahead count once `settled` passes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The sink's name.
    pub sink: heapless::String<16>,
    /// The first frame that is not done with.
    pub settled: u64,
    /// First frame that was delivered ahead of `settled`; equal to `ahead_to` when there is none.
    pub ahead_from: u64,
    /// The frame after the last one delivered ahead.
    pub ahead_to: u64,
    /// Frames whose points the upstream took.
    pub delivered: u64,
    /// Frames that were older than the upstream accepts.
    pub expired: u64,
    /// Frames whose time could not be known.
    pub timeless: u64,
    /// Frames that retention, damage or a full memory took before they were delivered.
    pub lost: u64,
    /// Points that the upstream took.
    pub points: u64,
    /// Points that the upstream refused for good.
    pub rejected_points: u64,
    /// When the upstream last took something, in milliseconds since 1970; 0 for never.
    pub last_success_ms: i64,
    /// When the upstream last told its time, and what it was. It outlives the process, and serves its whole boot.
    pub server_time: Stamp,
}

/// What became of a run of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The upstream took their points.
    Delivered,
    /// They were older than the upstream accepts.
    Expired,
    /// Their time could not be known.
    Timeless,
    /// They are gone from the spool.
    Lost,
}

impl Cursor {
    /// A sink that has seen nothing. It wants every frame from the first; what is gone already counts as lost.
    #[must_use]
    pub fn new(sink: &str) -> Self {
        let mut name = heapless::String::new();
        // Sink names are ours, and shorter than the room.
        name.push_str(sink).ok();
        Self {
            sink: name,
            settled: 1,
            ahead_from: 1,
            ahead_to: 1,
            delivered: 0,
            expired: 0,
            timeless: 0,
            lost: 0,
            points: 0,
            rejected_points: 0,
            last_success_ms: 0,
            server_time: Stamp::default(),
        }
    }

    /// Settles every frame before `end` with the same fate. Frames already delivered ahead stay delivered.
    pub fn settle(&mut self, end: u64, fate: Fate) {
        if end <= self.settled {
            return;
        }
        let overlap = end.min(self.ahead_to).saturating_sub(self.settled.max(self.ahead_from));
        let count = end - self.settled - overlap;
        match fate {
            Fate::Delivered => self.delivered += count,
            Fate::Expired => self.expired += count,
            Fate::Timeless => self.timeless += count,
            Fate::Lost => self.lost += count,
        }
        self.delivered += overlap;
        self.settled = end;
        self.join_ahead();
    }

    /// Notes that frame `seq` was delivered, though earlier ones may wait.
    ///
    /// Only one run ahead is remembered: a frame that does not continue it starts a new one, and the frames of the
    /// old run will be sent again with the backlog, which the upstream takes for the same points.
    pub fn deliver_ahead(&mut self, seq: u64) {
        if seq < self.settled {
            return;
        }
        if self.ahead_from < self.ahead_to && seq == self.ahead_to {
            self.ahead_to = seq + 1;
        } else if !(self.ahead_from..self.ahead_to).contains(&seq) {
            self.ahead_from = seq;
            self.ahead_to = seq + 1;
        }
        self.join_ahead();
    }

    /// Moves `settled` over the run ahead once it has reached it.
    fn join_ahead(&mut self) {
        if self.ahead_from <= self.settled && self.settled < self.ahead_to {
            self.delivered += self.ahead_to - self.settled;
            self.settled = self.ahead_to;
        }
        if self.ahead_to <= self.settled {
            self.ahead_from = self.settled;
            self.ahead_to = self.settled;
        }
    }

    /// The next run of frames to send in order: from `settled` to before the run ahead, or to `end`.
    #[must_use]
    pub fn backlog(&self, end: u64) -> std::ops::Range<u64> {
        let stop = if self.ahead_from < self.ahead_to { self.ahead_from } else { end };
        self.settled..stop.max(self.settled)
    }

    /// How many of the frames before `end` still wait.
    #[must_use]
    pub fn waiting(&self, end: u64) -> u64 {
        end.saturating_sub(self.settled).saturating_sub(self.ahead_to - self.ahead_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ahead_counts_once_the_backlog_reaches_it() {
        let mut cursor = Cursor::new("mackerel");
        cursor.deliver_ahead(10);
        cursor.deliver_ahead(11);
        assert_eq!((cursor.settled, cursor.delivered, cursor.waiting(12)), (1, 0, 9));
        assert_eq!(cursor.backlog(12), 1..10);
        cursor.settle(4, Fate::Expired);
        cursor.settle(10, Fate::Delivered);
        assert_eq!((cursor.settled, cursor.delivered, cursor.expired, cursor.waiting(12)), (12, 8, 3, 0));
    }

    #[test]
    fn a_broken_run_ahead_is_sent_again() {
        let mut cursor = Cursor::new("mackerel");
        cursor.deliver_ahead(10);
        cursor.deliver_ahead(20);
        assert_eq!(cursor.backlog(21), 1..20);
        cursor.settle(20, Fate::Delivered);
        assert_eq!((cursor.settled, cursor.delivered), (21, 20));
    }

    #[test]
    fn loss_across_a_run_ahead_counts_only_what_was_not_delivered() {
        let mut cursor = Cursor::new("mackerel");
        cursor.deliver_ahead(3);
        cursor.settle(6, Fate::Lost);
        assert_eq!((cursor.delivered, cursor.lost, cursor.settled), (1, 4, 6));
    }

    proptest::proptest! {
        #[test]
        fn every_frame_has_one_fate(steps in proptest::collection::vec((0u8..5, 0u64..20), 0..80)) {
            let mut cursor = Cursor::new("mackerel");
            let mut end = 1;
            for (step, amount) in steps {
                match step {
                    0 => end += amount,
                    1 if end > 1 => cursor.deliver_ahead(end - 1),
                    2 => cursor.settle((cursor.settled + amount).min(end), Fate::Delivered),
                    3 => cursor.settle((cursor.settled + amount).min(end), Fate::Expired),
                    _ => cursor.settle((cursor.settled + amount).min(end), Fate::Lost),
                }
                proptest::prop_assert_eq!(
                    cursor.settled - 1,
                    cursor.delivered + cursor.expired + cursor.timeless + cursor.lost
                );
                let ahead = cursor.ahead_to - cursor.ahead_from;
                proptest::prop_assert_eq!(cursor.settled - 1 + ahead + cursor.waiting(end), end - 1);
                proptest::prop_assert!(cursor.backlog(end).end <= end);
            }
        }
    }
}
