//! One run from cron: one frame into the spool, one bounded try to upload.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collector::Collector;
use super::{say_trouble, RunError};
use crate::config::Config;
use crate::platform::clock::{Clock, Stamp};
use crate::platform::disk::{Disk, RealDisk};
use crate::platform::host::Host;
use crate::platform::lock::FileLock;
use crate::sink::drain::{Job, Next, Progress, Round};
use crate::sink::mackerel::{self, Mackerel};
use crate::sink::{Failure, Sink};
use crate::spool::{HeldFrame, Reader, MAX_STEP_MS};

/// How long to wait for another run to leave the spool.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the upload of a backlog may go on: the next run is a minute away.
const UPLOAD: Duration = Duration::from_secs(20);

/// What a run did.
#[derive(Debug)]
pub struct Ticked {
    /// How long collecting took, the sync included.
    pub collecting: Duration,
    /// The frame's number.
    pub seq: u64,
    /// How many readings it has.
    pub readings: usize,
    /// What keeps the disk from taking it.
    pub spool_trouble: Option<String>,
    /// What became of the upload.
    pub upload: Upload,
}

/// What became of a run's upload.
#[derive(Debug)]
pub enum Upload {
    /// There is no API key.
    NoSink,
    /// Another run is at it.
    Busy,
    /// It went so, with that many points.
    Done(Result<u64, Failure>),
}

/// Takes one frame, and uploads what waits, `before_upload` first.
///
/// Safe when runs overlap: the spool is held only while a frame is written, and one run at a time uploads.
///
/// # Errors
/// When the spool stays busy, or the sink cannot be set up.
pub fn tick(
    config: &Arc<Config>,
    host: &dyn Fn() -> Host,
    clock: &Arc<dyn Clock>,
    before_upload: &dyn Fn(),
) -> Result<Ticked, RunError> {
    let started = Instant::now();
    let mut collector = Collector::open(config, host(), PATIENCE).map_err(RunError::Spool)?;
    collector.collect(clock.stamp());
    collector.spool.sync();
    let mut ticked = Ticked {
        collecting: started.elapsed(),
        seq: collector.last().0.seq,
        readings: collector.last().0.readings().len(),
        spool_trouble: collector.spool.trouble().map(str::to_owned),
        upload: Upload::NoSink,
    };
    let end = collector.spool.uploadable_seq();
    let held = collector.held();
    drop(collector);
    let sink = Mackerel::new(config, &Arc::new(host()), clock).map_err(RunError::Sink)?;
    if let Some(sink) = sink {
        before_upload();
        ticked.upload = upload(config, &mut sink.for_tick(), clock, end, held);
    }
    Ok(ticked)
}

fn upload(config: &Config, sink: &mut dyn Sink, clock: &Arc<dyn Clock>, end: u64, held: Vec<Arc<HeldFrame>>) -> Upload {
    let directory = config.spool_path();
    // A disk that cannot hold the lock cannot hold a cursor either; sending twice is harmless.
    let _lock = match FileLock::acquire(&directory.join("upload.lock"), Duration::ZERO) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Upload::Busy,
        lock => lock.ok(),
    };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(&directory));
    let (cursors, troubles) = Reader::sinks(disk.as_ref()).unwrap_or_default();
    let known = cursors.into_iter().find(|cursor| cursor.sink == sink.name());
    let mut cursor = known.unwrap_or_else(|| crate::spool::Cursor::new(sink.name()));
    let before = troubles.into_iter().find(|trouble| trouble.sink == sink.name()).map(|trouble| trouble.text);

    let started = Instant::now();
    let mut done = Vec::new();
    let mut report = |progress: Progress| done.push(progress);
    let mut pause = |_| if started.elapsed() < UPLOAD { Next::GoOn } else { Next::Stop };
    let round =
        Round { sink: &mut *sink, clock: clock.as_ref(), cursor: &mut cursor, report: &mut report, pause: &mut pause };
    let outcome = round.run(Job { fresh: None, end, held }, &mut Reader::new(disk));
    let trouble = outcome.as_ref().err().map(ToString::to_string);
    if trouble != before {
        say_trouble(mackerel::NAME, before.as_deref(), trouble.as_deref());
    }
    let points = done.iter().map(Progress::accepted).sum();
    if !done.is_empty() || trouble != before {
        write_back(config, clock.as_ref(), &done, sink.server_time(), trouble.as_deref());
    }
    Upload::Done(outcome.map(|()| points))
}

/// Enters into the spool what the upload did.
fn write_back(
    config: &Config,
    clock: &dyn Clock,
    done: &[Progress],
    server_time: Option<Stamp>,
    trouble: Option<&str>,
) {
    let limits = crate::spool::Limits { max_bytes: config.spool.max_size, sync_interval: Duration::ZERO };
    let mut table = crate::series::SeriesTable::default();
    match crate::spool::Spool::open(&config.spool_path(), limits, PATIENCE, &mut table) {
        Ok(mut spool) => {
            let now = clock.stamp();
            let now = server_time.map_or(now, |time| now.dated_by(&time, MAX_STEP_MS));
            for progress in done {
                spool.update_cursor(mackerel::NAME, |cursor| progress.enter(cursor, &now));
            }
            if let Some(time) = server_time {
                spool.update_cursor(mackerel::NAME, |cursor| cursor.server_time = time);
            }
            spool.set_sink_trouble(mackerel::NAME, now.wall_ms, trouble.unwrap_or_default());
            spool.sync();
        }
        Err(error) => log::warn!("{error}: what was sent now will be sent again"),
    }
}
