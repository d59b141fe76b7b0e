//! Sealed segments: they say what the pages said, one series at a time, and damage costs what it touches.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

#[path = "common/sim_disk.rs"]
mod sim_disk;
#[path = "common/spool_life.rs"]
mod spool_life;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use iwashi::frame::Frame;
use iwashi::platform::clock::{BootId, Stamp};
use iwashi::series::{Kind, Metric, Series, SeriesTable};
use iwashi::spool::{list, Form, Reader, Stored, Writer, MIN_MAX_BYTES};
use proptest::prelude::*;
use sim_disk::{Choices, SimDisk};
use spool_life::{frame, read};

/// Stamp and values of one frame, by series.
type Row = (Stamp, Vec<(String, i64)>);

fn rows(reader: &mut Reader, from: u64) -> BTreeMap<u64, Row> {
    let mut rows = BTreeMap::new();
    reader
        .frames(from, &mut |frame, table| {
            let mut values: Vec<_> =
                frame.readings().iter().map(|r| (table.series(r.series).unwrap().to_string(), r.value)).collect();
            values.sort();
            rows.insert(frame.seq, (frame.stamp, values));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn all(disk: &SimDisk) -> BTreeMap<u64, Row> {
    let mut reader = Reader::new(Arc::new(disk.clone()));
    let rows = rows(&mut reader, 0);
    assert!(reader.damage.is_none(), "{:?}", reader.damage);
    rows
}

/// A spool of `frames` frames in segments not sealed yet, and its writer.
fn unsealed(frames: u64, devices: u64) -> (SimDisk, Writer) {
    let disk = SimDisk::default();
    let mut table = SeriesTable::default();
    let mut writer = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table).unwrap();
    writer.cursor("mackerel").unwrap();
    for seq in 1..=frames {
        writer.append(&frame(seq, devices, &mut table), &table).unwrap();
        writer.sync().unwrap();
    }
    (disk, writer)
}

/// Seals all that is full; tells how many segments that was.
fn seal(disk: &SimDisk, writer: &mut Writer) -> usize {
    let count = || list(disk).unwrap().iter().filter(|file| file.form == Form::Sealed).count();
    let before = count();
    (0..20).for_each(|_| writer.seal_next().unwrap());
    count() - before
}

#[test]
fn sealing_changes_nothing_but_the_size() {
    // Small frames, and frames of several parts that begin in one segment and end in the next.
    for (frames, devices) in [(1500, 12), (30, 300)] {
        let (disk, mut writer) = unsealed(frames, devices);
        let before = all(&disk);
        let bytes = writer.bytes();
        let sealed = seal(&disk, &mut writer);
        assert!(sealed >= 2, "{sealed} sealed");
        assert!(all(&disk) == before);
        assert!(writer.bytes() < bytes);
        let on_disk: u64 = list(&disk).unwrap().iter().map(|file| file.len).sum();
        assert_eq!(writer.bytes(), on_disk, "what counts against the cap");

        // Read from the middle, and after another process took over.
        let middle = frames / 2;
        assert!(rows(&mut Reader::new(Arc::new(disk.clone())), middle) == before.clone().split_off(&middle));
        let mut table = SeriesTable::default();
        let reopened = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table).unwrap();
        assert_eq!(reopened.next_seq(), writer.next_seq());
        assert_eq!(reopened.cursors(), writer.cursors());
    }
}

#[test]
fn one_series_is_read_without_the_others() {
    let (disk, mut writer) = unsealed(1500, 12);
    seal(&disk, &mut writer);
    let is_wanted = |series: &Series| series.label("device") == Some("disk7");
    let mut reader = Reader::new(Arc::new(disk.clone())).only(is_wanted);
    let one = rows(&mut reader, 0);
    assert!(reader.damage.is_none(), "{:?}", reader.damage);
    let expected: BTreeMap<_, _> = all(&disk)
        .into_iter()
        .map(|(seq, (stamp, mut values))| {
            values.retain(|(series, _)| series.contains("\"disk7\""));
            (seq, (stamp, values))
        })
        .collect();
    assert!(one == expected);
}

#[test]
fn a_flipped_bit_costs_a_column_at_most_and_is_told() {
    let mut choices = Choices::new(9);
    let (disk, mut writer) = unsealed(1500, 12);
    assert!(seal(&disk, &mut writer) >= 1);
    drop(writer);
    let before = all(&disk);
    let readings = |rows: &BTreeMap<u64, Row>| rows.values().map(|(_, values)| values.len()).sum::<usize>();
    for round in 0..600 {
        let spoiled = disk.after_power_cut(&mut choices);
        spoiled.flip_bit_in(&mut choices, ".col");
        let (after, damage) = read(&spoiled);
        assert_eq!(after.len(), before.len(), "round {round}: every frame is there");
        let lost = readings(&before) - after.values().sum::<usize>();
        assert!(lost <= 1500, "round {round}: {lost} readings lost");
        assert!(!damage.is_none(), "round {round}");
        // A writer goes on beside it.
        Writer::open(Arc::new(spoiled.clone()), MIN_MAX_BYTES, &mut SeriesTable::default()).unwrap();
    }
}

#[test]
fn a_damaged_segment_is_not_sealed_and_not_tried_again() {
    let (disk, mut writer) = unsealed(1500, 12);
    let first = disk.names()[0].clone();
    // In the middle of the first segment's body.
    disk.flip(&first, 4096 * 8 + 500);
    // One call seals the next one that can be, as each run of cron has but one.
    writer.seal_next().unwrap();
    assert!(disk.names().contains(&first), "{:?}", disk.names());
    assert!(disk.names().iter().any(|name| name.ends_with(".col")), "{:?}", disk.names());
    let mut reopened = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut SeriesTable::default()).unwrap();
    assert_eq!(seal(&disk, &mut reopened), 0);
}

#[test]
fn a_page_that_was_wiped_is_damage_too() {
    let (disk, mut writer) = unsealed(1500, 12);
    let first = disk.names()[0].clone();
    let mut bytes = disk.bytes_of(&first);
    bytes[4096 * 8..4096 * 9].fill(0);
    disk.put(&first, bytes);
    let before = read(&disk).0;
    seal(&disk, &mut writer);
    assert!(disk.names().contains(&first), "{:?}", disk.names());
    assert!(read(&disk).0 == before);
}

#[test]
fn bytes_that_look_like_blocks_everywhere_cost_little() {
    let disk = SimDisk::default();
    disk.put("0000000000000001.col", [4, 0].repeat(1 << 19));
    read(&disk);
    Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut SeriesTable::default()).unwrap();
}

#[test]
fn a_segment_in_both_forms_becomes_one_again() {
    let (disk, mut writer) = unsealed(1500, 12);
    let unsealed_copy = disk.after_power_cut(&mut Choices::new(1));
    assert!(seal(&disk, &mut writer) >= 1);
    let before = all(&disk);
    let sealed_name = disk.names().into_iter().find(|name| name.ends_with(".col")).unwrap();
    for is_damaged in [false, true] {
        let both = disk.after_power_cut(&mut Choices::new(1));
        let pages = sealed_name.replace(".col", ".seg");
        both.put(&pages, unsealed_copy.bytes_of(&pages));
        if is_damaged {
            both.flip(&sealed_name, 700);
        } else {
            assert!(all(&both) == before, "read as one");
        }
        Writer::open(Arc::new(both.clone()), MIN_MAX_BYTES, &mut SeriesTable::default()).unwrap();
        assert!(both.names().contains(if is_damaged { &pages } else { &sealed_name }), "{:?}", both.names());
        assert!(all(&both) == before);
    }
}

#[test]
fn where_there_is_no_room_for_both_forms_the_oldest_segment_goes() {
    // As full as it may be, and nothing sealed yet.
    let (disk, mut writer) = unsealed(2400, 12);
    let before = all(&disk);
    assert_eq!(writer.bytes(), MIN_MAX_BYTES);
    assert_eq!(seal(&disk, &mut writer), 2);
    let after = all(&disk);
    let oldest = *after.keys().next().unwrap();
    assert!(after == before.clone().split_off(&oldest), "what is newer than the oldest segment stays");
    assert!(disk.peak_bytes() <= MIN_MAX_BYTES);
}

const GAUGE: Metric = Metric { name: "test.gauge", kind: Kind::Gauge, unit: "things", source: "", help: "" };
const COUNTER: Metric = Metric { name: "test.counter", kind: Kind::Counter, unit: "things", source: "", help: "" };

#[test]
fn the_footer_tells_times_and_sums() {
    let disk = SimDisk::default();
    let mut table = SeriesTable::default();
    let mut writer = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table).unwrap();
    let gauge = table.intern(Series::new(&GAUGE, &[])).unwrap();
    let counter = table.intern(Series::new(&COUNTER, &[])).unwrap();
    let mut frame = Frame::default();
    for minute in 0..5000u64 {
        frame.restart(Stamp { boot_id: BootId([1; 16]), boottime_ms: minute * 60_000, ..Stamp::default() });
        frame.push(gauge, (minute % 7) as i64 - 3);
        // Counts to 99, then begins again; above 2^63 all the while.
        frame.push_counter(counter, u64::MAX - 200 + minute % 100);
        writer.append(&frame, &table).unwrap();
    }
    writer.cursor("mackerel").unwrap();
    writer.sync().unwrap();
    assert!(seal(&disk, &mut writer) >= 1);
    let file = list(&disk).unwrap().into_iter().find(|file| file.form == Form::Sealed).unwrap();
    let Stored::Sealed(sealed) = Stored::open(&disk, &file).unwrap() else { panic!("{file:?}") };
    let footer = sealed.footer().unwrap();
    let count = u64::from(footer.columns[0].count);
    assert_eq!((footer.first.0, footer.last.0), (1, count));
    assert_eq!(footer.last.1.boottime_ms, (count - 1) * 60_000);
    let [of_gauge, of_counter] = footer.columns[..] else { panic!("{footer:?}") };
    let minutes = || 0..count;
    assert_eq!((of_gauge.least, of_gauge.greatest), (-3, 3));
    assert_eq!(of_gauge.sum, minutes().map(|minute| i128::from(minute % 7) - 3).sum());
    assert_eq!(
        (of_counter.least.cast_unsigned(), of_counter.greatest.cast_unsigned()),
        (u64::MAX - 200, u64::MAX - 101)
    );
    assert_eq!(of_counter.sum, minutes().skip(1).filter(|minute| minute % 100 != 0).count() as i128);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
    #[test]
    fn any_bytes_in_a_sealed_segment_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000), keep in 0usize..3000,
    ) {
        let (disk, mut writer) = unsealed(1500, 12);
        seal(&disk, &mut writer);
        let name = disk.names().into_iter().find(|name| name.ends_with(".col")).unwrap();
        let mut whole = disk.bytes_of(&name);
        let place = keep.min(whole.len());
        let end = (place + bytes.len()).min(whole.len());
        whole.splice(place..end, bytes);
        disk.put(&name, whole);
        read(&disk);
        Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut SeriesTable::default()).unwrap();
    }
}
