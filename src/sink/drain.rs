//! One round of sending: the fresh frame at once, then the backlog from the oldest that still counts.

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Profile, Receipt, Sink};
use crate::derive::{Derive, Point};
use crate::frame::Frame;
use crate::platform::clock::{BootId, Clock, Stamp};
use crate::series::SeriesTable;
use crate::spool::{Cursor, Fate, HeldFrame, Reader};

/// The newest frame, already made into points by whoever sampled it.
#[derive(Debug)]
pub struct Fresh {
    /// Its number.
    pub seq: u64,
    /// When it was taken.
    pub stamp: Stamp,
    /// Its points; their times are set when they are sent.
    pub points: Vec<Point>,
}

/// What there is to do.
#[derive(Debug)]
pub struct Job {
    /// The newest frame, if it is to go first.
    pub fresh: Option<Fresh>,
    /// Frames from here on are not durable yet, and wait.
    pub end: u64,
    /// Frames that only memory holds.
    pub held: Vec<Arc<HeldFrame>>,
}

/// What happened, to be written into the sink's cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A fresh frame was delivered.
    Ahead {
        /// Its number.
        seq: u64,
        /// What became of its points.
        receipt: Receipt,
    },
    /// All frames before `end` are done with.
    Settled {
        /// The first frame that is not.
        end: u64,
        /// What became of them.
        fate: Fate,
        /// What became of their points.
        receipt: Receipt,
    },
}

impl Progress {
    /// How many points the upstream took.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        match self {
            Self::Ahead { receipt, .. } | Self::Settled { receipt, .. } => receipt.accepted,
        }
    }

    /// Enters it into a cursor.
    pub fn enter(&self, cursor: &mut Cursor, now: &Stamp) {
        let receipt = match *self {
            Self::Ahead { seq, receipt } => {
                cursor.deliver_ahead(seq);
                receipt
            }
            Self::Settled { end, fate, receipt } => {
                cursor.settle(end, fate);
                receipt
            }
        };
        cursor.points += receipt.accepted;
        cursor.rejected_points += receipt.rejected;
        if receipt.accepted > 0 {
            cursor.last_success_ms = now.wall_ms;
        }
    }
}

/// What to do after a pause between two requests.
#[derive(Debug)]
pub enum Next {
    /// Go on.
    GoOn,
    /// Send this first.
    Fresh(Fresh),
    /// Stop: time is up, or the process ends.
    Stop,
}

/// What a round needs of the world.
pub struct Round<'a> {
    /// Where to send.
    pub sink: &'a mut dyn Sink,
    /// The time.
    pub clock: &'a dyn Clock,
    /// How far the sink has come.
    pub cursor: &'a mut Cursor,
    /// Told of everything that is done.
    pub report: &'a mut dyn FnMut(Progress),
    /// Waits between two requests.
    pub pause: &'a mut dyn FnMut(Duration) -> Next,
}

impl std::fmt::Debug for Round<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Round").field("sink", &self.sink.name()).finish_non_exhaustive()
    }
}

/// A clock further off than this from the server's is wrong; closer than that, nobody can tell.
const MAX_SKEW_MS: u64 = 300_000;

/// A stamp of this boot further off than this from its boot time was made before the clock was set.
const MAX_STEP_MS: u64 = 60_000;

/// The seconds since 1970 at which a frame was taken, as far as they can be known `now`.
///
/// A frame of this boot that was stamped before the clock was set is placed by its boot time. One of an earlier
/// boot whose clock was never set has no time that could be told.
#[must_use]
pub fn time_of(stamp: &Stamp, now: &Stamp, max_future: Duration) -> Option<i64> {
    if !now.is_wall_credible() {
        return None;
    }
    let is_this_boot = stamp.boot_id == now.boot_id && stamp.boot_id != BootId::default();
    if let Some(ago) = now.boottime_ms.checked_sub(stamp.boottime_ms).filter(|_| is_this_boot) {
        let wall_ms = now.wall_ms.checked_sub_unsigned(ago)?;
        let is_stepped = wall_ms.abs_diff(stamp.wall_ms) > MAX_STEP_MS;
        return Some(if is_stepped { wall_ms } else { stamp.wall_ms }.div_euclid(1000));
    }
    let max_future = i64::try_from(max_future.as_millis()).unwrap_or(i64::MAX);
    let is_possible = stamp.is_wall_credible() && stamp.wall_ms <= now.wall_ms.saturating_add(max_future);
    is_possible.then(|| stamp.wall_ms.div_euclid(1000))
}

impl Round<'_> {
    /// Sends what `job` has, until all is done or something fails; `reader` gives the backlog.
    ///
    /// # Errors
    /// The first failure; what was reported before stays true.
    pub fn run(mut self, job: Job, reader: &mut Reader) -> Result<(), Failure> {
        self.sink.prepare()?;
        if !self.now().is_wall_credible() {
            return Err(Failure::later("the clock of this machine is not set; uploads wait until it is"));
        }
        if let Some(fresh) = job.fresh {
            self.send_fresh(fresh)?;
        }
        let range = self.cursor.backlog(job.end);
        if range.is_empty() {
            return Ok(());
        }
        crate::verbose!("{}: {} frames wait", self.sink.name(), range.end - range.start);
        let mut backlog = Backlog::new(&mut self, &range);
        let outcome = reader.frames(range.start.saturating_sub(1), &mut |frame, table| backlog.frame(frame, table));
        if let Err(error) = outcome {
            // Without a disk, memory has all there is; with one that cannot be read just now, it may.
            let is_gone = error.kind() == io::ErrorKind::NotFound;
            if !job.held.first().is_some_and(|held| is_gone || held.seq <= range.start) {
                return Err(Failure::later(format!("read the spool: {error}")));
            }
        }
        for held in &job.held {
            let frame = held.frame(reader.table_mut());
            if backlog.frame(&frame, reader.table()).is_break() {
                break;
            }
        }
        backlog.finish()
    }

    /// The present moment, by the server's clock where ours is clearly wrong.
    fn now(&self) -> Stamp {
        let mut now = self.clock.now();
        let seen = self.sink.server_time().filter(|seen| seen.boot_id == now.boot_id);
        if let Some(seen) = seen {
            let since = now.boottime_ms.saturating_sub(seen.boottime_ms);
            let wall_ms = seen.wall_ms.saturating_add_unsigned(since);
            if wall_ms.abs_diff(now.wall_ms) > MAX_SKEW_MS {
                now.wall_ms = wall_ms;
            }
        }
        now
    }

    fn send_fresh(&mut self, fresh: Fresh) -> Result<(), Failure> {
        let time = time_of(&fresh.stamp, &self.now(), Duration::ZERO);
        let Some(time) = time.filter(|_| fresh.seq >= self.cursor.settled) else { return Ok(()) };
        let mut points = fresh.points;
        for point in &mut points {
            point.time = time;
        }
        let receipt = if points.is_empty() { Receipt::default() } else { self.sink.send(&points)? };
        self.note(Progress::Ahead { seq: fresh.seq, receipt });
        Ok(())
    }

    fn note(&mut self, progress: Progress) {
        progress.enter(self.cursor, &self.clock.now());
        (self.report)(progress);
    }
}

/// The most frames of one fate that are reported as one: a stop is heeded in between.
const MAX_RUN: u64 = 4096;

/// The backlog on its way: frames come in order, points leave in batches.
struct Backlog<'r, 'w> {
    round: &'r mut Round<'w>,
    profile: Profile,
    derive: Arc<dyn Derive>,
    /// The frame that is to come next, and the one after the last wanted.
    next: u64,
    end: u64,
    /// The frame before, for rates.
    before: Option<Box<Frame>>,
    generation: u64,
    /// What becomes of the frames from the cursor to `next`, where that is not delivery.
    run: Option<Fate>,
    /// Points of frames up to `next` that are not sent yet.
    batch: Vec<Point>,
    outcome: Option<Result<(), Failure>>,
}

impl<'r, 'w> Backlog<'r, 'w> {
    fn new(round: &'r mut Round<'w>, range: &Range<u64>) -> Self {
        let (profile, derive) = (round.sink.profile(), round.sink.deriver());
        Self {
            round,
            profile,
            derive,
            next: range.start,
            end: range.end,
            before: None,
            generation: 0,
            run: None,
            batch: Vec::new(),
            outcome: None,
        }
    }

    /// Takes one frame; breaks once nothing more is wanted.
    fn frame(&mut self, frame: &Frame, table: &SeriesTable) -> ControlFlow<()> {
        if self.outcome.is_some() || frame.seq >= self.end {
            return ControlFlow::Break(());
        }
        if frame.seq >= self.next {
            if let Err(over) = self.wanted(frame, table) {
                self.outcome = Some(over);
                return ControlFlow::Break(());
            }
        }
        self.generation = table.generation();
        match &mut self.before {
            Some(before) => before.as_mut().clone_from(frame),
            before @ None => *before = Some(Box::new(frame.clone())),
        }
        ControlFlow::Continue(())
    }

    /// `Err` ends the backlog: with a failure, or `Ok` when it was told to stop.
    fn wanted(&mut self, frame: &Frame, table: &SeriesTable) -> Result<(), Result<(), Failure>> {
        if frame.seq > self.next {
            self.settle(frame.seq, Fate::Lost)?;
        }
        let now = self.round.now();
        let after = frame.seq + 1;
        let Some(time) = time_of(&frame.stamp, &now, self.profile.max_future) else {
            return self.settle(after, Fate::Timeless);
        };
        let age = now.wall_ms.div_euclid(1000).saturating_sub(time);
        if age > i64::try_from(self.profile.max_age.as_secs()).unwrap_or(i64::MAX) {
            return self.settle(after, Fate::Expired);
        }
        if self.run.is_some() {
            self.flush()?;
        }
        // Numbers of another table say nothing of this one's series.
        self.before = self.before.take().filter(|_| self.generation == table.generation());
        let points = self.derive.points(self.before.as_deref(), frame, table, time);
        if self.batch.len() + points.len() > self.profile.max_points {
            self.flush()?;
        }
        self.batch.extend(points);
        self.next = after;
        Ok(())
    }

    /// Gives the frames from `next` to before `end` another fate than delivery. Runs of one fate are reported as one.
    fn settle(&mut self, end: u64, fate: Fate) -> Result<(), Result<(), Failure>> {
        if self.run.is_some_and(|run| run != fate) || !self.batch.is_empty() {
            self.flush()?;
        }
        self.run = Some(fate);
        self.next = end;
        if self.next - self.round.cursor.settled >= MAX_RUN {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what has gathered: every frame before `next` is delivered then.
    fn flush(&mut self) -> Result<(), Result<(), Failure>> {
        if self.next <= self.round.cursor.settled {
            return Ok(());
        }
        if let Some(fate) = self.run.take() {
            self.round.note(Progress::Settled { end: self.next, fate, receipt: Receipt::default() });
            return self.pause(Duration::ZERO);
        }
        let mut receipt = Receipt::default();
        for points in self.batch.chunks(self.profile.max_points.max(1)) {
            let sent = self.round.sink.send(points).map_err(Err)?;
            receipt.accepted += sent.accepted;
            receipt.rejected += sent.rejected;
        }
        self.batch.clear();
        self.round.note(Progress::Settled { end: self.next, fate: Fate::Delivered, receipt });
        self.pause(self.profile.pause)
    }

    fn pause(&mut self, time: Duration) -> Result<(), Result<(), Failure>> {
        match (self.round.pause)(time) {
            Next::GoOn => Ok(()),
            Next::Fresh(fresh) => self.round.send_fresh(fresh).map_err(Err),
            Next::Stop => Err(Ok(())),
        }
    }

    /// Sends the rest. What was asked for and did not come is not there any more.
    fn finish(mut self) -> Result<(), Failure> {
        if let Some(outcome) = self.outcome.take() {
            return outcome;
        }
        let rest = match self.flush() {
            Ok(()) if self.next < self.end => self.settle(self.end, Fate::Lost).and_then(|()| self.flush()),
            flushed => flushed,
        };
        rest.or_else(|over| over)
    }
}
