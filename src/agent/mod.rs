//! The daemon: frames on time, uploads beside them, signals.

pub mod collector;
pub mod once;
mod own;
pub mod tick;
pub mod uploader;

use std::io::{pipe, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{sync_channel, SyncSender, TrySendError};
use std::sync::Arc;
use std::time::Duration;

use smol::channel::{self, Receiver, TryRecvError};

use crate::config::Config;
use crate::derive::Derive;
use crate::platform::clock::Clock;
use crate::platform::disk::{Disk, RealDisk};
use crate::platform::host::Host;
use crate::platform::signals::{Request, Signals, Wake};
use crate::sink::drain::Job;
use crate::sink::http::SetupError;
use crate::sink::mackerel::{self, Mackerel};
use crate::sink::Sink;
use crate::spool::{Cursor, OpenError};
use collector::Collector;
use uploader::{fresh, Command, Report, Uploader};

/// How much too soon the timer may fire.
const EARLY: Duration = Duration::from_millis(100);
/// How long to wait for another iwashi, a `tick` perhaps, to leave the spool.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a stop may take for the last upload and the status.
const FAREWELL: Duration = Duration::from_secs(10);

/// What a run is told.
pub struct Settings<'a> {
    /// Between two frames.
    pub interval: Duration,
    /// Stop after this long.
    pub limit: Option<Duration>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Makes the machine that is measured.
    pub host: &'a dyn Fn() -> Host,
    /// Reads the config again.
    pub reload: &'a dyn Fn() -> Option<Config>,
    /// Told of each frame, for a person to read.
    pub watch: &'a mut dyn FnMut(&View<'_>),
}

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("interval", &self.interval).field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// How things stand after a frame.
#[derive(Debug)]
pub struct View<'a> {
    /// The sensors, the spool and the last frame.
    pub collector: &'a Collector,
    /// What keeps the sink from sending.
    pub sink_trouble: Option<&'a str>,
    /// Whether there is a sink at all.
    pub has_sink: bool,
}

/// Why a run did not start or did not end well.
#[derive(Debug)]
pub enum RunError {
    /// The spool is somebody else's.
    Spool(OpenError),
    /// The sink cannot be set up.
    Sink(SetupError),
    /// The kernel refused something a daemon needs.
    System(std::io::Error),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spool(error) => error.fmt(f),
            Self::Sink(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

/// How one life ended.
enum End {
    Stopped,
    Reload(Box<Config>),
}

/// Collects and uploads until a signal or the time limit says stop.
///
/// # Errors
/// What keeps it from starting. Once it runs, nothing but a signal ends it.
pub fn run(config: Config, signals: Signals, mut settings: Settings<'_>) -> Result<(), RunError> {
    let until_ms = settings.limit.map(|limit| settings.clock.now().boottime_ms.saturating_add(millis(limit)));
    let mut config = Arc::new(config);
    let mut before: Option<Arc<Config>> = None;
    let mut held = Vec::new();
    loop {
        let mut life = match (Life::begin(&config, &settings, before.is_some()), before.take()) {
            (Ok(life), _) => life,
            (Err(error), None) => return Err(error),
            (Err(error), Some(before)) => {
                log::error!("{error}; going on with the old configuration");
                config = before;
                continue;
            }
        };
        life.collector.adopt(&std::mem::take(&mut held));
        match life.live(&signals, until_ms, &mut settings) {
            End::Stopped => {
                life.end(&signals);
                return Ok(());
            }
            End::Reload(new) => {
                // The thread that sends ends by itself; what it is sending now is sent again by the next one.
                life.collector.spool.sync();
                held = life.collector.held();
                drop(life);
                before = Some(std::mem::replace(&mut config, Arc::new(*new)));
                log::info!("config: read again");
            }
        }
    }
}

/// One life of the agent: from one config to the next.
struct Life {
    collector: Collector,
    clock: Arc<dyn Clock>,
    sink: Option<SinkThread>,
    interval: Duration,
}

/// The thread that sends, seen from here.
struct SinkThread {
    name: &'static str,
    derive: Arc<dyn Derive>,
    commands: SyncSender<Command>,
    reports: Receiver<Report>,
    /// Readable when there are reports.
    wake: PipeReader,
    /// Kept, so that the end of the thread does not look like a report without end.
    _waker: PipeWriter,
    trouble: Option<String>,
}

enum Event {
    Tick,
    Signal(std::io::Result<Option<Request>>),
    Reports,
    TimeIsUp,
}

impl SinkThread {
    fn start(
        sink: Mackerel,
        clock: &Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
        cursor: Cursor,
        interval: Duration,
    ) -> std::io::Result<Self> {
        let (name, derive) = (sink.name(), sink.deriver());
        let (commands, inbox) = sync_channel(4);
        let (outbox, reports) = channel::bounded(64);
        let (wake, waker) = pipe()?;
        let kept = waker.try_clone()?;
        let tell = Box::new(move |report| {
            // Either fails only when nobody wants to know any more.
            if outbox.send_blocking(report).is_ok() {
                (&waker).write_all(&[0]).ok();
            }
        });
        let uploader = Uploader::new(Box::new(sink), Arc::clone(clock), disk, cursor, interval, inbox, tell);
        // Never awaited: what still waits for the network must not hold up the end, and nothing it does is lost.
        smol::unblock(move || uploader.run()).detach();
        Ok(Self { name, derive, commands, reports, wake, _waker: kept, trouble: None })
    }
}

impl Life {
    fn begin(config: &Arc<Config>, settings: &Settings<'_>, is_reload: bool) -> Result<Self, RunError> {
        let mut collector = Collector::open(config, (settings.host)(), PATIENCE).map_err(RunError::Spool)?;
        let clock = Arc::clone(&settings.clock);
        let host = Arc::new((settings.host)());
        let sink = Mackerel::new(config, &host, &clock).map_err(RunError::Sink)?;
        let sink = match sink {
            Some(sink) => {
                let sink = if is_reload { sink.after_reload() } else { sink };
                let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(&config.spool_path()));
                // From its first moment on `status` tells of it.
                collector.spool.update_cursor(mackerel::NAME, |_| ());
                let cursor = collector.spool.cursor(mackerel::NAME);
                let start = SinkThread::start(sink, &clock, disk, cursor, settings.interval);
                Some(start.map_err(RunError::System)?)
            }
            None => None,
        };
        Ok(Self { collector, clock, sink, interval: settings.interval })
    }

    fn live(&mut self, signals: &Signals, until_ms: Option<u64>, settings: &mut Settings<'_>) -> End {
        self.frame(settings);
        let mut due_ms = self.next_ms();
        loop {
            match self.next_event(signals, due_ms, until_ms) {
                Event::Tick => {
                    // A clock that is being slewed makes the timer fire a little before the whole minute.
                    let early = self.until_next();
                    if early >= EARLY.min(self.interval / 10) {
                        self.frame(settings);
                    }
                    due_ms = self.next_ms();
                }
                Event::TimeIsUp | Event::Signal(Ok(Some(Request::Stop))) => return End::Stopped,
                Event::Signal(Ok(Some(Request::Reload))) => {
                    if let Some(config) = (settings.reload)() {
                        return End::Reload(Box::new(config));
                    }
                }
                Event::Signal(Ok(None)) => {}
                Event::Signal(Err(error)) => log::warn!("signals: {error}"),
                Event::Reports => self.take_reports(),
            }
        }
    }

    /// Whatever comes first; a frame that is due goes before everything else. One system call while nothing does.
    fn next_event(&self, signals: &Signals, due_ms: u64, until_ms: Option<u64>) -> Event {
        let first = due_ms.min(until_ms.unwrap_or(u64::MAX));
        let left = first.saturating_sub(self.clock.now().boottime_ms);
        if left > 0 {
            let wake = self.sink.as_ref().map(|sink| sink.wake.as_fd());
            match signals.wait(wake, Duration::from_millis(left)) {
                Ok(Wake::Time) => {}
                Ok(Wake::Signal) => return Event::Signal(signals.next()),
                Ok(Wake::Other) => return Event::Reports,
                Err(error) => return Event::Signal(Err(error)),
            }
        }
        if first == due_ms {
            Event::Tick
        } else {
            Event::TimeIsUp
        }
    }

    fn take_reports(&mut self) {
        let Some(sink) = &mut self.sink else { return };
        // A byte for each report; one that comes in between only wakes once more.
        if let Err(error) = sink.wake.read(&mut [0; 64]) {
            log::warn!("{}: {error}", sink.name);
        }
        while let Some(report) = self.sink.as_ref().and_then(|sink| sink.reports.try_recv().ok()) {
            self.note(report);
        }
    }

    /// Takes a frame and hands it to the sink.
    fn frame(&mut self, settings: &mut Settings<'_>) {
        self.collector.collect(self.clock.stamp());
        if let Some(sink) = &self.sink {
            let end = self.collector.spool.uploadable_seq();
            let (frame, _) = self.collector.last();
            let is_uploadable = frame.seq < end;
            let fresh = if is_uploadable { fresh(sink.derive.as_ref(), &self.collector) } else { None };
            let job = Job { fresh, end, held: self.collector.held() };
            match sink.commands.try_send(Command::Send(job)) {
                // A thread that is busy for minutes finds the frame in the backlog afterwards.
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => log::error!("{}: the thread that sends has ended", sink.name),
            }
        }
        let sink_trouble = self.sink.as_ref().and_then(|sink| sink.trouble.as_deref());
        let has_sink = self.sink.is_some();
        (settings.watch)(&View { collector: &self.collector, sink_trouble, has_sink });
    }

    /// Until the next whole interval of the wall clock: whole minutes are what Mackerel draws.
    fn until_next(&self) -> Duration {
        let now = self.clock.now();
        let interval = millis(self.interval).max(1);
        let into = now.wall_ms.rem_euclid(interval.cast_signed()).cast_unsigned();
        Duration::from_millis(interval - into)
    }

    /// Its boot time.
    fn next_ms(&self) -> u64 {
        self.clock.now().boottime_ms.saturating_add(millis(self.until_next()))
    }

    fn note(&mut self, report: Report) {
        let now = self.collector.believed(self.clock.now());
        let Some(sink) = &mut self.sink else { return };
        match report {
            Report::Progress(progress) => {
                self.collector.spool.update_cursor(sink.name, |cursor| progress.enter(cursor, &now));
            }
            Report::Outcome(trouble) => {
                // Always: an earlier life may have left a trouble in the spool that this one never had.
                let text = trouble.as_deref().unwrap_or_default();
                self.collector.spool.set_sink_trouble(sink.name, now.wall_ms, text);
                if trouble != sink.trouble {
                    say_trouble(sink.name, sink.trouble.as_deref(), trouble.as_deref());
                    sink.trouble = trouble;
                }
            }
            Report::Time(time) => {
                self.collector.note_time(&time);
                self.collector.spool.update_cursor(sink.name, |cursor| cursor.server_time = time);
            }
            Report::Ended => {}
        }
    }

    /// Makes everything durable, and lets the sink try once more.
    fn end(mut self, signals: &Signals) {
        self.collector.spool.sync();
        if let Some(sink) = &self.sink {
            let job = Job { fresh: None, end: self.collector.spool.uploadable_seq(), held: self.collector.held() };
            if sink.commands.try_send(Command::Stop(job)).is_ok() {
                self.hear_out(signals);
            }
        }
        self.collector.spool.sync();
    }

    /// Notes what the sink reports until it has ended, but not for long.
    fn hear_out(&mut self, signals: &Signals) {
        let deadline_ms = self.clock.now().boottime_ms.saturating_add(millis(FAREWELL));
        while let Some(sink) = &self.sink {
            match sink.reports.try_recv() {
                Ok(Report::Ended) | Err(TryRecvError::Closed) => return,
                Ok(report) => self.note(report),
                Err(TryRecvError::Empty) => {
                    let left = deadline_ms.saturating_sub(self.clock.now().boottime_ms);
                    match signals.wait(Some(sink.wake.as_fd()), Duration::from_millis(left)) {
                        // What the byte stands for is in the channel.
                        Ok(Wake::Other) => drop((&sink.wake).read(&mut [0; 64])),
                        // Time is up, or somebody insists.
                        _ => return,
                    }
                }
            }
        }
    }
}

/// Says a change of state once.
pub(crate) fn say_trouble(sink: &str, before: Option<&str>, now: Option<&str>) {
    match (before, now) {
        (_, Some(trouble)) => log::warn!("{sink}: {trouble}; frames wait in the spool"),
        (Some(before), None) => log::info!("{sink}: sending again (was: {before})"),
        (None, None) => {}
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
