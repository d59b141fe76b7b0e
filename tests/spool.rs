//! The laws of the spool, on a simulated disk whose power is cut at every operation.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/sim_disk.rs"]
mod sim_disk;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use iwashi::frame::Frame;
use iwashi::platform::clock::{BootId, Stamp};
use iwashi::series::{Kind, Metric, Series, SeriesTable};
use iwashi::spool::{Damage, Fate, Limits, Reader, Spool, Writer, MIN_MAX_BYTES};
use sim_disk::{Choices, SimDisk};

const METRIC: Metric = Metric { name: "test.value", kind: Kind::Counter, unit: "operations", source: "", help: "" };

/// A frame whose every value follows from its number, so that a wrong value is seen.
fn frame(seq: u64, devices: u64, table: &mut SeriesTable) -> Frame {
    let mut frame = Frame::default();
    let stamp =
        Stamp { boot_id: BootId([(seq / 50) as u8; 16]), boottime_ms: seq * 60_000, wall_ms: 1_800_000_000_000 };
    frame.restart(stamp);
    for device in 0..devices {
        if !(seq + device).is_multiple_of(11) {
            let series = Series::new(&METRIC, &[("device", &format!("disk{device}"))]);
            frame.push(table.intern(series).unwrap(), value(seq, device));
        }
    }
    frame
}

fn value(seq: u64, device: u64) -> i64 {
    (seq.wrapping_mul(device * device * 977) >> (device % 7)) as i64
}

/// Frames by number, checked against what was written; `damage` of the read beside.
fn read(disk: &SimDisk) -> (BTreeMap<u64, usize>, Damage) {
    let mut reader = Reader::new(Arc::new(disk.clone()));
    let mut frames = BTreeMap::new();
    reader
        .frames(0, &mut |frame, table| {
            for reading in frame.readings() {
                let series = table.series(reading.series).unwrap();
                let device: u64 = series.label("device").unwrap().strip_prefix("disk").unwrap().parse().unwrap();
                assert_eq!(reading.value, value(frame.stamp.boottime_ms / 60_000, device), "frame {}", frame.seq);
            }
            frames.insert(frame.seq, frame.readings().len());
            ControlFlow::Continue(())
        })
        .unwrap();
    (frames, reader.damage)
}

/// Runs a mixed life on `disk` until it ends or the power goes. Returns the frames promised and all those appended.
fn live(disk: &SimDisk, steps: u64, choices: &mut Choices) -> (Option<std::ops::Range<u64>>, u64) {
    let mut table = SeriesTable::default();
    let Ok(mut writer) = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table) else { return (None, 0) };
    let first = writer.next_seq();
    let mut promised = None;
    for _ in 0..steps {
        match choices.below(40) {
            0 => {
                // Another process takes over, as cron's runs do.
                drop(writer);
                table = SeriesTable::default();
                match Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table) {
                    Ok(reopened) => writer = reopened,
                    Err(_) => return (promised, 0),
                }
            }
            1..=25 => {
                let seq = writer.next_seq();
                let next = frame(seq, 3 + choices.below(3) * 60, &mut table);
                if writer.append(&next, &table).is_err() {
                    return (promised, seq);
                }
                assert_eq!(seq + 1, writer.next_seq());
            }
            26..=28 => {
                let end = writer.durable_seq();
                if let Some(cursor) = writer.cursor("mackerel") {
                    cursor.settle(end, Fate::Delivered);
                }
            }
            _ => {
                if writer.sync().is_err() {
                    return (promised, writer.next_seq());
                }
            }
        }
        assert!(writer.bytes() <= MIN_MAX_BYTES);
        promised = Some(first..writer.durable_seq());
    }
    (promised, writer.next_seq())
}

#[test]
fn what_a_sync_promised_survives_a_cut_at_every_operation() {
    let mut cuts = 0;
    for seed in 0..12 {
        let whole = SimDisk::default();
        live(&whole, 300, &mut Choices::new(seed));
        for cut in 0..whole.operations() {
            let disk = SimDisk::default();
            disk.cut_after(Some(cut));
            let (promised, _) = live(&disk, 300, &mut Choices::new(seed));
            let after = disk.after_power_cut(&mut Choices::new(seed * 1_000_003 + cut));
            let context = format!("seed {seed}, cut at operation {cut}");
            let (frames, _) = read(&after);
            if let Some(promised) = promised {
                let oldest = frames.keys().next().copied().unwrap_or(promised.end);
                for seq in promised.clone() {
                    assert!(frames.contains_key(&seq) || seq < oldest, "{context}: frame {seq} of {promised:?} lost");
                }
            }
            // The next life starts without help, loses nothing of what was found, and reuses no number.
            let (_, next) = live(&after, 30, &mut Choices::new(cut));
            let (again, _) = read(&after);
            let kept = again.keys().next().copied().unwrap_or(0);
            for seq in frames.keys().filter(|seq| **seq >= kept) {
                assert!(again.contains_key(seq), "{context}: frame {seq} was there before the restart");
            }
            assert!(frames.keys().next_back().copied().unwrap_or(0) <= next, "{context}");
            assert!(after.peak_bytes() <= MIN_MAX_BYTES && disk.peak_bytes() <= MIN_MAX_BYTES, "{context}");
            cuts += 1;
        }
    }
    assert!(cuts > 1000);
}

#[test]
fn a_flipped_bit_never_gives_a_wrong_value_and_loses_little() {
    let mut choices = Choices::new(5);
    for round in 0..400 {
        let disk = SimDisk::default();
        live(&disk, 400, &mut Choices::new(round % 8));
        let (before, damage) = read(&disk);
        assert!(damage.is_none(), "{damage:?}");
        disk.flip_bit(&mut choices);
        let (after, _) = read(&disk);
        assert!(before.len() - after.len() <= 60, "round {round}: {} of {} frames left", after.len(), before.len());
        live(&disk, 20, &mut choices);
        read(&disk);
    }
}

#[test]
fn arbitrary_bytes_on_disk_never_stop_it() {
    for seed in 0..60 {
        let mut choices = Choices::new(seed);
        let disk = SimDisk::default();
        live(&disk, 200, &mut choices);
        disk.scramble(&mut choices);
        read(&disk);
        let (promised, _) = live(&disk, 50, &mut choices);
        let (frames, _) = read(&disk);
        let promised = promised.unwrap();
        assert!(promised.clone().all(|seq| frames.contains_key(&seq)), "seed {seed}: {promised:?}");
    }
}

fn limits() -> Limits {
    Limits { max_bytes: MIN_MAX_BYTES, sync_interval: Duration::ZERO }
}

#[test]
fn a_full_disk_costs_nothing_that_memory_can_hold() {
    let disk = SimDisk::default();
    let mut table = SeriesTable::default();
    let mut spool = Spool::on_disk(Arc::new(disk.clone()), limits());
    disk.set_full(true);
    for seq in 1..=20 {
        let mut next = frame(seq, 5, &mut table);
        spool.append(&mut next, &mut table);
        assert_eq!(next.seq, seq);
    }
    assert!(spool.trouble().is_some());
    assert_eq!((spool.held(&table).len(), spool.uploadable_seq(), read(&disk).0.len()), (20, 21, 0));
    disk.set_full(false);
    let mut next = frame(21, 5, &mut table);
    spool.append(&mut next, &mut table);
    assert_eq!(spool.trouble(), None);
    assert_eq!(read(&disk).0.keys().copied().collect::<Vec<_>>(), (1..=21).collect::<Vec<_>>());
    assert_eq!(spool.dropped_frames(), 0);
}

#[test]
fn a_disk_that_stays_full_costs_bounded_memory_and_is_counted() {
    let disk = SimDisk::default();
    disk.set_full(true);
    let mut table = SeriesTable::default();
    let mut spool = Spool::on_disk(Arc::new(disk.clone()), limits());
    for seq in 1..=5000 {
        let mut next = frame(seq, 60, &mut table);
        spool.append(&mut next, &mut table);
        // A sink that has come past a number never asks for it again.
        assert_eq!((next.seq, spool.uploadable_seq()), (seq, seq + 1), "no number is given twice");
    }
    let held = spool.held(&table).len() as u64;
    assert!(held < 200, "{held}");
    assert_eq!(held + spool.dropped_frames(), 5000);
    let numbers: Vec<u64> = spool.held(&table).iter().map(|held| held.seq).collect();
    assert_eq!(numbers, (5001 - held..=5000).collect::<Vec<_>>());
    disk.set_full(false);
    spool.append(&mut frame(5001, 60, &mut table), &mut table);
    assert_eq!(read(&disk).0.keys().copied().collect::<Vec<_>>(), (5001 - held..=5001).collect::<Vec<_>>());
}

#[test]
fn a_sink_is_told_of_frames_that_retention_took() {
    let disk = SimDisk::default();
    let mut table = SeriesTable::default();
    let mut writer = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table).unwrap();
    writer.cursor("mackerel").unwrap();
    for seq in 1..=6000 {
        writer.append(&frame(seq, 20, &mut table), &table).unwrap();
    }
    writer.sync().unwrap();
    let oldest = *read(&disk).0.keys().next().unwrap();
    assert!(oldest > 1);
    let (cursors, _) = Reader::sinks(&disk).unwrap();
    let cursor = &cursors[0];
    // The segment's first page may begin with the rest of a frame of the one before.
    assert!(cursor.settled.abs_diff(oldest) <= 1, "{} {oldest}", cursor.settled);
    assert_eq!(cursor.lost, cursor.settled - 1);
}

/// Frames with one series whose value is its place in `names`, appended through a spool.
fn append(spool: &mut Spool, table: &mut SeriesTable, names: &[&str], minute: u64) {
    let mut frame = Frame::default();
    frame.restart(Stamp { boottime_ms: minute * 60_000, wall_ms: 1_800_000_000_000, ..Stamp::default() });
    for name in names {
        let id = table.intern(Series::new(&METRIC, &[("device", name)])).unwrap();
        frame.push(id, i64::from(name.as_bytes()[0]));
    }
    spool.append(&mut frame, table);
}

#[test]
fn a_disk_that_comes_late_does_not_mix_up_series() {
    let disk = SimDisk::default();
    let mut table = SeriesTable::default();
    let mut spool = Spool::on_disk(Arc::new(disk.clone()), limits());
    append(&mut spool, &mut table, &["a", "z"], 1);
    drop(spool);
    // The next process cannot read the disk at first, and numbers series in another order meanwhile.
    disk.set_unreadable(true);
    let mut table = SeriesTable::default();
    let mut spool = Spool::on_disk(Arc::new(disk.clone()), limits());
    append(&mut spool, &mut table, &["n", "a", "z"], 2);
    disk.set_unreadable(false);
    append(&mut spool, &mut table, &["n", "a", "z"], 3);
    let mut reader = Reader::new(Arc::new(disk));
    let mut seqs = Vec::new();
    reader
        .frames(0, &mut |frame, table| {
            seqs.push(frame.seq);
            for reading in frame.readings() {
                let name = table.series(reading.series).unwrap().label("device").unwrap();
                assert_eq!(reading.value, i64::from(name.as_bytes()[0]), "{name} of frame {}", frame.seq);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn frames_that_a_failing_sync_left_in_the_page_are_held_for_upload() {
    let disk = SimDisk::default();
    let mut table = SeriesTable::default();
    let mut spool = Spool::on_disk(Arc::new(disk.clone()), limits());
    append(&mut spool, &mut table, &["a"], 1);
    disk.cut_after(Some(0));
    for minute in 2..=5 {
        append(&mut spool, &mut table, &["a"], minute);
    }
    assert!(spool.trouble().is_some());
    let held: Vec<u64> = spool.held(&table).iter().map(|held| held.seq).collect();
    assert_eq!((held, spool.uploadable_seq()), (vec![2, 3, 4, 5], 6));
    disk.cut_after(None);
    append(&mut spool, &mut table, &["a"], 6);
    assert_eq!((spool.trouble(), spool.held(&table).len()), (None, 0));
}

#[test]
fn a_full_memory_never_gives_a_number_twice() {
    let disk = SimDisk::default();
    disk.set_full(true);
    let mut table = SeriesTable::default();
    let mut spool = Spool::on_disk(Arc::new(disk.clone()), limits());
    let mut last = 0;
    for seq in 1..=2000 {
        let mut next = frame(seq, 60, &mut table);
        spool.append(&mut next, &mut table);
        assert_eq!(next.seq, last + 1);
        last = next.seq;
    }
    disk.set_full(false);
    append(&mut spool, &mut table, &["a"], 3000);
    let mut reader = Reader::new(Arc::new(disk));
    let mut seqs = Vec::new();
    reader
        .frames(0, &mut |frame, _| {
            seqs.push(frame.seq);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((seqs.last(), seqs.len() as u64), (Some(&2001), 2001 - spool.dropped_frames()));
}

#[test]
fn the_end_of_a_trouble_is_kept_wherever_it_falls_and_so_is_a_lone_frame() {
    for frames in 1..=60 {
        let disk = SimDisk::default();
        let mut table = SeriesTable::default();
        let mut writer = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table).unwrap();
        writer.cursor("mackerel").unwrap();
        for seq in 1..=frames {
            writer.append(&frame(seq, 20, &mut table), &table).unwrap();
            writer.set_trouble("mackerel", 1, "no network, as it is with every other link that has been tried so far");
        }
        writer.set_trouble("mackerel", 2, "");
        writer.sync().unwrap();
        assert_eq!(Reader::sinks(&disk).unwrap().1.len(), 0, "after {frames} frames");
        let mut reader = Reader::new(Arc::new(disk.clone()));
        assert_eq!(reader.last_frame().unwrap().map(|(frame, _)| frame.seq), Some(frames));
    }
}
