//! One round of sending: the fresh frame at once, then the backlog from the oldest that still counts.

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Profile, Receipt, Sink};
use crate::derive::{Derive, Point};
use crate::frame::Frame;
use crate::platform::clock::{Clock, Stamp, Trust};
use crate::series::SeriesTable;
use crate::spool::{Cursor, Fate, HeldFrame, Reader, Time, Timeline, MAX_STEP_MS};

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

/// A clock further off than this from the server's is wrong, even if a time server set it; and a frame further than
/// this in the future was not taken then.
const MAX_SKEW_MS: u64 = 300_000;

/// How far a wall time may be off before another's word counts more.
fn tolerance_ms(trust: Trust) -> u64 {
    match trust {
        Trust::Synchronised => MAX_SKEW_MS,
        Trust::Hardware | Trust::Unknown => MAX_STEP_MS,
    }
}

impl Round<'_> {
    /// Sends what `job` has, until all is done or something fails; `reader` gives the backlog.
    ///
    /// # Errors
    /// The first failure; what was reported before stays true.
    pub fn run(mut self, job: Job, reader: &mut Reader) -> Result<(), Failure> {
        self.sink.prepare()?;
        if self.now().trust == Trust::Unknown {
            return Err(Failure::later(
                "this machine's clock is not known to be right, and no server over TLS has told the time; uploads wait",
            ));
        }
        if let Some(fresh) = job.fresh {
            self.send_fresh(fresh)?;
        }
        let range = self.cursor.backlog(job.end);
        if range.is_empty() {
            return Ok(());
        }
        crate::verbose!("{}: {} frames wait", self.sink.name(), range.end - range.start);
        let from = range.start.saturating_sub(1);
        // A spool that cannot be read is told of below.
        let timeline = reader.timeline(from).unwrap_or_default();
        let mut backlog = Backlog::new(&mut self, &range, timeline);
        let outcome = reader.frames(from, &mut |frame, table| backlog.frame(frame, table));
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

    /// The present moment, by the server's clock where ours is not known to be right, or clearly wrong.
    fn now(&self) -> Stamp {
        let now = self.clock.stamp();
        match self.sink.server_time().filter(|seen| seen.boot_id == now.boot_id) {
            Some(seen) => now.dated_by(&seen, tolerance_ms(now.trust)),
            None => now,
        }
    }

    /// The seconds since 1970 at which a frame was taken, if they are known.
    fn time_of(&self, stamp: &Stamp, timeline: &Timeline) -> Option<i64> {
        let now = self.now();
        let time = if stamp.is_same_boot(&now) {
            Time::Known(stamp.dated_by(&now, tolerance_ms(stamp.trust)).wall_ms)
        } else {
            timeline.time(stamp)
        };
        match time {
            Time::Known(wall_ms) if wall_ms <= now.wall_ms.saturating_add_unsigned(MAX_SKEW_MS) => {
                Some(wall_ms.div_euclid(1000))
            }
            Time::Known(_) | Time::Estimated(_) | Time::Unknown => None,
        }
    }

    fn send_fresh(&mut self, fresh: Fresh) -> Result<(), Failure> {
        let time = self.time_of(&fresh.stamp, &Timeline::default());
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
        progress.enter(self.cursor, &self.now());
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
    timeline: Timeline,
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
    fn new(round: &'r mut Round<'w>, range: &Range<u64>, timeline: Timeline) -> Self {
        let (profile, derive) = (round.sink.profile(), round.sink.deriver());
        Self {
            round,
            profile,
            derive,
            timeline,
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
        let after = frame.seq + 1;
        let Some(time) = self.round.time_of(&frame.stamp, &self.timeline) else {
            return self.settle(after, Fate::Timeless);
        };
        let age = self.round.now().wall_ms.div_euclid(1000).saturating_sub(time);
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
