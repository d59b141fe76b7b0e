//! The thread that sends, so that nothing it waits for ever holds up a sample.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::Duration;

use super::collector::Collector;
use crate::derive::Derive;
use crate::platform::clock::{Clock, Stamp};
use crate::platform::disk::Disk;
use crate::sink::backoff::Backoff;
use crate::sink::drain::{Fresh, Job, Next, Progress, Round};
use crate::sink::{Failure, Sink};
use crate::spool::{Cursor, Reader};

/// What the thread is told.
#[derive(Debug)]
pub enum Command {
    /// There is something to send.
    Send(Job),
    /// Send what there is once more, briefly, say good-bye to the upstream, and end.
    Stop(Job),
}

/// What the thread tells.
#[derive(Debug)]
pub enum Report {
    /// Something was done.
    Progress(Progress),
    /// The upstream told its time.
    Time(Stamp),
    /// A round went well (`None`) or failed.
    Outcome(Option<String>),
    /// It has ended.
    Ended,
}

/// Sends frames to one sink.
pub struct Uploader {
    sink: Box<dyn Sink>,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    cursor: Cursor,
    interval: Duration,
    backoff: Backoff,
    commands: Receiver<Command>,
    reports: Box<dyn Fn(Report) + Send>,
}

impl std::fmt::Debug for Uploader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploader").field("sink", &self.sink.name()).finish_non_exhaustive()
    }
}

/// What is to be done once the wait is over.
enum Wake {
    Send(Job),
    /// With what there is to send still; nothing, and no good-bye, when only this thread ends.
    Stop(Option<Job>),
}

impl Uploader {
    /// An uploader that begins at `cursor`, and has something new every `interval`.
    #[must_use]
    pub fn new(
        sink: Box<dyn Sink>,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
        cursor: Cursor,
        interval: Duration,
        commands: Receiver<Command>,
        reports: Box<dyn Fn(Report) + Send>,
    ) -> Self {
        let backoff = Backoff::new(interval, RandomState::new().hash_one(std::process::id()));
        Self { sink, clock, disk, cursor, interval, backoff, commands, reports }
    }

    /// Works until told to stop, or until nobody is left to tell.
    pub fn run(mut self) {
        let mut not_before_ms = 0;
        let mut phase = Duration::ZERO;
        let mut waiting = None;
        loop {
            let job = match self.sleep(not_before_ms, phase, waiting.take()) {
                Wake::Send(job) => job,
                Wake::Stop(job) => break self.stop(job),
            };
            let (end, held) = (job.end, job.held.clone());
            let (outcome, queued) = self.round(job, false);
            if let Some(time) = self.sink.server_time() {
                (self.reports)(Report::Time(time));
            }
            match outcome {
                Ok(()) => {
                    self.backoff.succeed();
                    not_before_ms = 0;
                    phase = self.interval.mul_f64(self.sink.phase());
                    (self.reports)(Report::Outcome(None));
                }
                Err(failure) => {
                    let retry_after = match &failure {
                        Failure::Later { retry_after, .. } => *retry_after,
                        Failure::Content { .. } | Failure::Denied { .. } => None,
                    };
                    let wait = self.backoff.fail(retry_after);
                    crate::verbose!("{}: {failure}; again in {wait:?}", self.sink.name());
                    not_before_ms = self.clock.now().boottime_ms.saturating_add(millis(wait));
                    waiting = Some(Job { fresh: None, end, held });
                    (self.reports)(Report::Outcome(Some(failure.to_string())));
                }
            }
            match queued {
                Some(Command::Stop(job)) => break self.stop(Some(job)),
                Some(Command::Send(job)) => waiting = Some(job),
                None => {}
            }
        }
        (self.reports)(Report::Ended);
    }

    /// One short try to send what is left, and good-bye.
    fn stop(&mut self, job: Option<Job>) {
        if job.is_some_and(|job| self.round(job, true).0.is_ok()) {
            self.sink.finish();
        }
    }

    /// Waits for something to do and for the time to do it: not before `not_before_ms`, and this host's own `phase`
    /// after it came. A newer job takes the place of an older one.
    fn sleep(&mut self, not_before_ms: u64, phase: Duration, mut job: Option<Job>) -> Wake {
        let mut due_ms = not_before_ms;
        loop {
            let command = if job.is_some() {
                let left = due_ms.saturating_sub(self.clock.now().boottime_ms);
                self.commands.recv_timeout(Duration::from_millis(left))
            } else {
                self.commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match (command, job.take()) {
                (Ok(Command::Send(newer)), older) => {
                    if older.is_none() {
                        due_ms = not_before_ms.max(self.clock.now().boottime_ms.saturating_add(millis(phase)));
                    }
                    job = Some(newer);
                }
                (Ok(Command::Stop(job)), _) => return Wake::Stop(Some(job)),
                (Err(RecvTimeoutError::Timeout), Some(job)) => return Wake::Send(job),
                (Err(RecvTimeoutError::Timeout), None) => {}
                (Err(RecvTimeoutError::Disconnected), _) => return Wake::Stop(None),
            }
        }
    }

    /// One round; returns the command that came meanwhile, its fresh frame already sent.
    fn round(&mut self, job: Job, is_last: bool) -> (Result<(), Failure>, Option<Command>) {
        let mut queued = None;
        let commands = &self.commands;
        let reports = &self.reports;
        let mut pause = |time: Duration| {
            if is_last {
                return Next::Stop;
            }
            match commands.recv_timeout(time) {
                Ok(Command::Send(Job { fresh, end, held })) => {
                    queued = Some(Command::Send(Job { fresh: None, end, held }));
                    fresh.map_or(Next::GoOn, Next::Fresh)
                }
                Ok(stop @ Command::Stop(_)) => {
                    queued = Some(stop);
                    Next::Stop
                }
                Err(RecvTimeoutError::Timeout) => Next::GoOn,
                Err(RecvTimeoutError::Disconnected) => Next::Stop,
            }
        };
        let mut report = |progress| reports(Report::Progress(progress));
        let round = Round {
            sink: self.sink.as_mut(),
            clock: self.clock.as_ref(),
            cursor: &mut self.cursor,
            report: &mut report,
            pause: &mut pause,
        };
        let outcome = round.run(job, &mut Reader::new(Arc::clone(&self.disk)));
        (outcome, queued)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The newest frame as points, if its rates can be known from memory alone; else it goes with the backlog.
#[must_use]
pub fn fresh(derive: &dyn Derive, collector: &Collector) -> Option<Fresh> {
    let (frame, before) = collector.last();
    let before = before?;
    let points = derive.points(Some(before), frame, collector.table(), 0);
    Some(Fresh { seq: frame.seq, stamp: frame.stamp, points })
}
