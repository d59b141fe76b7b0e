//! What goes to a sink, in which order, and what is counted when it does not.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/sim_disk.rs"]
mod sim_disk;

use std::sync::Arc;
use std::time::Duration;

use iwashi::derive::{Derive, Point};
use iwashi::frame::Frame;
use iwashi::platform::clock::{BootId, Clock, Stamp, Trust};
use iwashi::series::{Kind, Metric, Series, SeriesTable};
use iwashi::sink::drain::{Fresh, Job, Next, Progress, Round};
use iwashi::sink::{Failure, Profile, Receipt, Sink};
use iwashi::spool::{Cursor, Fate, Limits, Reader, Spool, Writer, MIN_MAX_BYTES};
use sim_disk::SimDisk;

/// 2027-01-15T08:00:00Z, in seconds.
const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
const METRIC: Metric = Metric { name: "test.value", kind: Kind::Gauge, unit: "", source: "", help: "" };

#[derive(Clone, Copy)]
struct FixedClock(Stamp);

impl Clock for FixedClock {
    fn now(&self) -> Stamp {
        self.0
    }
}

fn clock(seconds: i64) -> FixedClock {
    FixedClock(Stamp {
        boot_id: BootId([9; 16]),
        boottime_ms: 500_000,
        wall_ms: seconds * 1000,
        trust: Trust::Synchronised,
    })
}

/// One point a frame: its number, by the name `frame` or `frame+rate` when the frame before was there.
struct Numbers;

impl Derive for Numbers {
    fn points(&self, before: Option<&Frame>, frame: &Frame, _: &SeriesTable, time: i64) -> Vec<Point> {
        let name = if before.is_some_and(|before| before.seq + 1 == frame.seq) { "frame+rate" } else { "frame" };
        vec![Point { name: name.to_owned(), time, value: frame.readings()[0].value as f64 }]
    }
}

#[derive(Default)]
struct Recorder {
    /// Values of each request.
    requests: Vec<Vec<f64>>,
    points: Vec<Point>,
    fail_after: Option<usize>,
    server_time: Option<Stamp>,
}

impl Sink for Recorder {
    fn name(&self) -> &'static str {
        "mackerel"
    }
    fn profile(&self) -> Profile {
        let day = Duration::from_secs(DAY as u64);
        Profile { max_age: day, max_points: 4, pause: Duration::ZERO }
    }
    fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }
    fn deriver(&self) -> Arc<dyn Derive> {
        Arc::new(Numbers)
    }
    fn send(&mut self, points: &[Point]) -> Result<Receipt, Failure> {
        if self.fail_after == Some(self.requests.len()) {
            return Err(Failure::Later { reason: "no network".to_owned(), retry_after: None });
        }
        self.requests.push(points.iter().map(|point| point.value).collect());
        self.points.extend_from_slice(points);
        Ok(Receipt { accepted: points.len() as u64, rejected: 0 })
    }
    fn server_time(&self) -> Option<Stamp> {
        self.server_time
    }
    fn phase(&self) -> f64 {
        0.0
    }
    fn finish(&mut self) {}
}

/// A spool of one frame for each stamp, numbered from 1; each frame's value is its number.
fn spool(stamps: &[Stamp]) -> SimDisk {
    let disk = SimDisk::default();
    let mut table = SeriesTable::default();
    let mut writer = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table).unwrap();
    for stamp in stamps {
        let mut frame = Frame::default();
        frame.restart(*stamp);
        frame.push(table.intern(Series::new(&METRIC, &[])).unwrap(), writer.next_seq() as i64);
        writer.append(&frame, &table).unwrap();
    }
    writer.sync().unwrap();
    disk
}

/// Frames a minute apart, the last one at `last` seconds.
fn minutes(count: i64, last: i64) -> Vec<Stamp> {
    let stamp = |i: i64| Stamp {
        boot_id: BootId([1; 16]),
        boottime_ms: (i * 60_000) as u64,
        wall_ms: (last - (count - 1 - i) * 60) * 1000,
        trust: Trust::Synchronised,
    };
    (0..count).map(stamp).collect()
}

fn round(
    disk: &SimDisk,
    sink: &mut Recorder,
    clock: FixedClock,
    cursor: &mut Cursor,
    job: Job,
) -> (Result<(), Failure>, Vec<Progress>) {
    let mut done = Vec::new();
    let mut report = |progress| done.push(progress);
    let mut pause = |_| Next::GoOn;
    let round = Round { sink, clock: &clock, cursor, report: &mut report, pause: &mut pause };
    let outcome = round.run(job, &mut Reader::new(Arc::new(disk.clone())));
    (outcome, done)
}

fn job(end: u64) -> Job {
    Job { fresh: None, end, held: Vec::new() }
}

#[test]
fn the_fresh_frame_goes_first_and_the_backlog_from_its_oldest() {
    let disk = spool(&minutes(10, NOW));
    let mut sink = Recorder::default();
    let mut cursor = Cursor::new("mackerel");
    let points = vec![Point { name: "frame".to_owned(), time: 0, value: 10.0 }];
    let fresh = Fresh { seq: 10, stamp: minutes(10, NOW)[9], points };
    let (outcome, _) = round(&disk, &mut sink, clock(NOW), &mut cursor, Job { fresh: Some(fresh), ..job(11) });
    outcome.unwrap();
    assert_eq!(sink.requests, [vec![10.0], vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0], vec![9.0]]);
    assert_eq!((cursor.settled, cursor.delivered, cursor.points), (11, 10, 10));
}

#[test]
fn a_restart_in_the_middle_has_rates_from_the_frame_before() {
    let disk = spool(&minutes(6, NOW));
    let mut sink = Recorder::default();
    let mut cursor = Cursor::new("mackerel");
    cursor.settle(4, Fate::Delivered);
    round(&disk, &mut sink, clock(NOW), &mut cursor, job(7)).0.unwrap();
    let names: Vec<_> = sink.points.iter().map(|point| (point.name.as_str(), point.value)).collect();
    assert_eq!(names, [("frame+rate", 4.0), ("frame+rate", 5.0), ("frame+rate", 6.0)]);
}

#[test]
fn what_is_too_old_is_expired_and_counted() {
    let mut stamps = minutes(3, NOW - DAY - 1);
    stamps.extend(minutes(2, NOW));
    let disk = spool(&stamps);
    let mut sink = Recorder::default();
    let mut cursor = Cursor::new("mackerel");
    round(&disk, &mut sink, clock(NOW), &mut cursor, job(6)).0.unwrap();
    assert_eq!(sink.requests, [[4.0, 5.0]]);
    assert_eq!((cursor.expired, cursor.delivered, cursor.settled), (3, 2, 6));
}

/// The same stamps by a clock that nobody vouches for.
fn unsure(stamps: &[Stamp]) -> Vec<Stamp> {
    stamps.iter().map(|stamp| Stamp { trust: Trust::Unknown, ..*stamp }).collect()
}

#[test]
fn nothing_leaves_while_the_clock_is_not_known_to_be_right() {
    for seconds in [300, NOW] {
        let disk = spool(&minutes(3, seconds));
        let mut sink = Recorder::default();
        let mut cursor = Cursor::new("mackerel");
        let clock = FixedClock(Stamp { trust: Trust::Unknown, ..clock(seconds).0 });
        let (outcome, done) = round(&disk, &mut sink, clock, &mut cursor, job(4));
        assert!(outcome.unwrap_err().to_string().contains("clock"));
        assert!(sink.requests.is_empty() && done.is_empty());
    }
}

#[test]
fn frames_of_this_boot_are_dated_once_the_clock_is_set_and_those_of_others_are_not() {
    let mut stamps = unsure(&minutes(2, 120));
    let this_boot = Stamp { boot_id: BootId([9; 16]), boottime_ms: 440_000, wall_ms: 440_000, trust: Trust::Unknown };
    stamps.push(this_boot);
    let disk = spool(&stamps);
    let mut sink = Recorder::default();
    let mut cursor = Cursor::new("mackerel");
    round(&disk, &mut sink, clock(NOW), &mut cursor, job(4)).0.unwrap();
    assert_eq!(sink.points.iter().map(|point| (point.value, point.time)).collect::<Vec<_>>(), [(3.0, NOW - 60)]);
    assert_eq!((cursor.timeless, cursor.delivered), (2, 1));
}

#[test]
fn frames_of_an_earlier_boot_are_dated_by_a_later_one_that_knew_the_time() {
    // A board without a clock wakes three times: it learns the time late, never, and at once. Then it is this boot.
    let boot = |id, stamps: &[Stamp]| stamps.iter().map(|s| Stamp { boot_id: BootId([id; 16]), ..*s }).collect();
    let minutes_of = |id, count, last| -> Vec<Stamp> { boot(id, &minutes(count, last)) };
    let asleep = |stamps: &[Stamp]| -> Vec<Stamp> {
        unsure(stamps).iter().map(|s| Stamp { wall_ms: s.boottime_ms as i64, ..*s }).collect()
    };
    let first = minutes_of(1, 4, NOW - 3600);
    let stamps = [asleep(&first[..3]), first[3..].to_vec(), asleep(&minutes_of(2, 2, 0)), minutes_of(3, 1, NOW - 600)];
    let disk = spool(&stamps.concat());
    let mut sink = Recorder::default();
    let mut cursor = Cursor::new("mackerel");
    round(&disk, &mut sink, clock(NOW), &mut cursor, job(8)).0.unwrap();
    let sent: Vec<_> = sink.points.iter().map(|point| (point.value, NOW - point.time)).collect();
    assert_eq!(sent, [(1.0, 3780), (2.0, 3720), (3.0, 3660), (4.0, 3600), (7.0, 600)]);
    assert_eq!((cursor.timeless, cursor.delivered), (2, 5));
}

#[test]
fn a_stamp_from_the_far_future_is_never_sent_as_it_is() {
    let disk = spool(&minutes(1, NOW + 10 * 365 * DAY));
    let mut sink = Recorder::default();
    let mut cursor = Cursor::new("mackerel");
    round(&disk, &mut sink, clock(NOW), &mut cursor, job(2)).0.unwrap();
    assert!(sink.points.is_empty());
    assert_eq!(cursor.timeless, 1);
}

#[test]
fn a_failure_keeps_what_was_not_sent() {
    let disk = spool(&minutes(10, NOW));
    let mut sink = Recorder { fail_after: Some(1), ..Recorder::default() };
    let mut cursor = Cursor::new("mackerel");
    assert!(round(&disk, &mut sink, clock(NOW), &mut cursor, job(11)).0.is_err());
    assert_eq!((cursor.settled, cursor.delivered, cursor.waiting(11)), (5, 4, 6));
    sink.fail_after = None;
    round(&disk, &mut sink, clock(NOW), &mut cursor, job(11)).0.unwrap();
    let sent: Vec<f64> = sink.requests.concat();
    assert_eq!(sent, (1..=10).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn frames_that_retention_took_are_lost_and_counted() {
    // Enough to go through the smallest spool several times.
    let disk = spool(&minutes(1200 * 20, NOW));
    let mut sink = Recorder::default();
    let mut cursor = Cursor::new("mackerel");
    round(&disk, &mut sink, clock(NOW), &mut cursor, job(24_001)).0.unwrap();
    assert!(cursor.lost > 0);
    assert_eq!(cursor.settled, 24_001);
    assert_eq!(cursor.delivered + cursor.expired + cursor.lost, 24_000);
    assert_eq!(*sink.requests.concat().last().unwrap(), 24_000.0);
}

#[test]
fn frames_that_only_memory_holds_are_sent_too() {
    let disk = SimDisk::default();
    disk.set_full(true);
    let mut table = SeriesTable::default();
    let limits = Limits { max_bytes: MIN_MAX_BYTES, sync_interval: Duration::ZERO };
    let mut spool = Spool::on_disk(Arc::new(disk.clone()), limits);
    for (stamp, value) in minutes(5, NOW).into_iter().zip(1..) {
        let mut frame = Frame::default();
        frame.restart(stamp);
        frame.push(table.intern(Series::new(&METRIC, &[])).unwrap(), value);
        spool.append(&mut frame, &mut table);
    }
    let mut sink = Recorder::default();
    let mut cursor = spool.cursor("mackerel");
    let job = Job { fresh: None, end: spool.uploadable_seq(), held: spool.held(&table) };
    round(&disk, &mut sink, clock(NOW), &mut cursor, job).0.unwrap();
    assert_eq!(sink.requests.concat(), [1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn a_clock_that_is_days_off_costs_nothing_once_the_server_tells_its_time() {
    // Also one that the kernel holds for synchronised, as that of a machine that was paused.
    for (days_off, trust) in
        [(-2, Trust::Unknown), (2, Trust::Unknown), (-2, Trust::Synchronised), (2, Trust::Synchronised)]
    {
        // A good backlog of an earlier boot, and two frames of this one, stamped wrong.
        let mut stamps = minutes(3, NOW - 600);
        for boottime_ms in [380_000, 440_000] {
            let wall_ms = (NOW + days_off * DAY) * 1000 - 500_000 + boottime_ms as i64;
            stamps.push(Stamp { boot_id: BootId([9; 16]), boottime_ms, wall_ms, trust });
        }
        let disk = spool(&stamps);
        let wrong = FixedClock(Stamp { trust, ..clock(NOW + days_off * DAY).0 });
        let mut sink = Recorder { server_time: Some(clock(NOW).0), ..Recorder::default() };
        let mut cursor = Cursor::new("mackerel");
        round(&disk, &mut sink, wrong, &mut cursor, job(6)).0.unwrap();
        let times: Vec<i64> = sink.points.iter().map(|point| point.time - NOW).collect();
        assert_eq!(times, [-720, -660, -600, -120, -60], "{days_off} days off");
        assert_eq!(cursor.delivered, 5);
    }
}

#[test]
fn a_long_expired_backlog_is_reported_in_few_steps() {
    let disk = spool(&minutes(2000, NOW - 2 * DAY));
    let mut sink = Recorder::default();
    let mut cursor = Cursor::new("mackerel");
    let (outcome, done) = round(&disk, &mut sink, clock(NOW), &mut cursor, job(2001));
    outcome.unwrap();
    assert_eq!((cursor.expired, done.len()), (2000, 1));
}
