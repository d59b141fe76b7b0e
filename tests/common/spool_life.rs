//! A mixed life of a spool on a simulated disk, whose every value can be checked.

#![allow(dead_code)] // each test uses a part of it

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use iwashi::frame::Frame;
use iwashi::platform::clock::{BootId, Stamp, Trust};
use iwashi::series::{Kind, Metric, Series, SeriesTable};
use iwashi::spool::{Damage, Fate, Reader, Writer, MIN_MAX_BYTES};

use super::sim_disk::{Choices, SimDisk};

pub const METRIC: Metric = Metric { name: "test.value", kind: Kind::Counter, unit: "operations", source: "", help: "" };

/// A frame whose every value follows from its number, so that a wrong value is seen.
pub fn frame(seq: u64, devices: u64, table: &mut SeriesTable) -> Frame {
    let mut frame = Frame::default();
    frame.restart(stamp(seq));
    for device in 0..devices {
        if !(seq + device).is_multiple_of(11) {
            let series = Series::new(&METRIC, &[("device", &format!("disk{device}"))]);
            frame.push(table.intern(series).unwrap(), value(seq, device));
        }
    }
    frame
}

/// A boot of 50 frames after the other; every third knows its time only half way through.
fn stamp(minute: u64) -> Stamp {
    let is_late = (minute / 50).is_multiple_of(3) && minute % 50 < 20;
    Stamp {
        boot_id: BootId([(minute / 50) as u8; 16]),
        boottime_ms: minute * 60_000,
        wall_ms: if is_late { 7_000 } else { 1_800_000_000_000 },
        trust: if is_late { Trust::Unknown } else { Trust::Synchronised },
    }
}

fn value(seq: u64, device: u64) -> i64 {
    (seq.wrapping_mul(device * device * 977) >> (device % 7)) as i64
}

/// Frames by number with the count of their readings, each checked against what was written; `damage` of the read
/// beside.
pub fn read(disk: &SimDisk) -> (BTreeMap<u64, usize>, Damage) {
    let mut reader = Reader::new(Arc::new(disk.clone()));
    let mut frames = BTreeMap::new();
    let mut devices: Vec<Option<u64>> = Vec::new();
    reader
        .frames(0, &mut |frame, table| {
            let minute = frame.stamp.boottime_ms / 60_000;
            for reading in frame.readings() {
                let place = usize::from(reading.series);
                devices.resize(devices.len().max(place + 1), None);
                let device = *devices[place].get_or_insert_with(|| {
                    let series = table.series(reading.series).unwrap();
                    series.label("device").unwrap().strip_prefix("disk").unwrap().parse().unwrap()
                });
                assert_eq!(reading.value, value(minute, device), "frame {}", frame.seq);
            }
            assert_eq!(frame.stamp, stamp(minute), "frame {}", frame.seq);
            frames.insert(frame.seq, frame.readings().len());
            ControlFlow::Continue(())
        })
        .unwrap();
    (frames, reader.damage)
}

/// Lives `steps` steps on `disk`: appends, syncs, seals, moves cursors, runs out of space, is reopened as cron's runs
/// do. Tells the disk at each step what is promised; returns the number of the next frame.
pub fn live(disk: &SimDisk, steps: u64, choices: &mut Choices) -> u64 {
    disk.set_full(false);
    let open = |table: &mut SeriesTable| Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, table).unwrap();
    let mut table = SeriesTable::default();
    let mut writer = open(&mut table);
    let first = writer.next_seq();
    for _ in 0..steps {
        match choices.below(40) {
            0 => {
                drop(writer);
                table = SeriesTable::default();
                writer = open(&mut table);
            }
            1..=25 => {
                let seq = writer.next_seq();
                let next = frame(seq, 3 + choices.below(3) * 60, &mut table);
                let is_appended = writer.append(&next, &table).is_ok();
                assert!(writer.next_seq() == seq + u64::from(is_appended) || disk.is_full());
            }
            26..=28 => {
                let end = writer.durable_seq();
                if let Some(cursor) = writer.cursor("mackerel") {
                    cursor.settle(end, Fate::Delivered);
                }
            }
            // A full disk refuses what takes new space, and nothing else.
            29 => disk.set_full(choices.below(3) == 0),
            30..=31 => assert!(writer.seal_next().is_ok() || disk.is_full()),
            _ => writer.sync().unwrap(),
        }
        assert!(writer.bytes() <= MIN_MAX_BYTES);
        disk.promise(first..writer.durable_seq());
    }
    writer.next_seq()
}

/// The frames of a promise that are not there and are not older than what retention left.
pub fn broken(promised: &Range<u64>, frames: &BTreeMap<u64, usize>) -> Vec<u64> {
    let oldest = frames.keys().next().copied().unwrap_or(promised.end);
    promised.clone().filter(|seq| *seq >= oldest && !frames.contains_key(seq)).collect()
}
