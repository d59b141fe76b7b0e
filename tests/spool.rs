//! The laws of the spool on a simulated disk: damage, a full disk, retention. See `spool_crash.rs` for power cuts.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/sim_disk.rs"]
mod sim_disk;
#[path = "common/spool_life.rs"]
mod spool_life;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use iwashi::frame::Frame;
use iwashi::platform::clock::Stamp;
use iwashi::series::{Series, SeriesTable};
use iwashi::spool::{Limits, Reader, Spool, Writer, MIN_MAX_BYTES};
use sim_disk::{Choices, SimDisk};
use spool_life::{frame, live, read, METRIC};

#[test]
fn a_flipped_bit_never_gives_a_wrong_value_and_loses_little() {
    let mut choices = Choices::new(5);
    for round in 0..400 {
        let disk = SimDisk::default();
        live(&disk, 400, &mut Choices::new(round % 8));
        let (before, damage) = read(&disk);
        assert!(damage.is_none(), "{damage:?}");
        disk.flip_bit_in(&mut choices, ".seg");
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
        live(&disk, 50, &mut choices);
        let (frames, _) = read(&disk);
        let promised = disk.promised();
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
    disk.fail_after(Some(0));
    for minute in 2..=5 {
        append(&mut spool, &mut table, &["a"], minute);
    }
    assert!(spool.trouble().is_some());
    let held: Vec<u64> = spool.held(&table).iter().map(|held| held.seq).collect();
    assert_eq!((held, spool.uploadable_seq()), (vec![2, 3, 4, 5], 6));
    disk.fail_after(None);
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
