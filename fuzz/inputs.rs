//! What each fuzz target does with its bytes. `tests/fuzz_corpus.rs` replays the corpora through the same.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use iwashi::config::Config;
use iwashi::frame::Frame;
use iwashi::platform::clock::Stamp;
use iwashi::series::{Kind, Metric, Series, SeriesTable};
use iwashi::spool::{list, Reader, Writer, MIN_MAX_BYTES};

use crate::sim_disk::SimDisk;

const METRIC: Metric = Metric { name: "test.value", kind: Kind::Gauge, unit: "", source: "", help: "" };

/// A segment of pages.
pub fn pages(bytes: &[u8]) {
    spool("0000000000000003.seg", bytes);
}

/// A sealed segment.
pub fn sealed(bytes: &[u8]) {
    spool("0000000000000003.col", bytes);
}

/// A spool of one file: it is read, opened, added to, sealed and read again, and what was added is there.
fn spool(name: &str, bytes: &[u8]) {
    let disk = SimDisk::default();
    disk.put(name, bytes.to_vec());
    read(&disk);
    let mut table = SeriesTable::default();
    let mut writer = Writer::open(Arc::new(disk.clone()), MIN_MAX_BYTES, &mut table).unwrap();
    let mut frame = Frame::default();
    frame.restart(Stamp::default());
    if let Some(id) = table.intern(Series::new(&METRIC, &[])) {
        frame.push(id, 42);
    }
    let appended = (writer.append(&frame, &table).unwrap(), writer.append(&frame, &table).unwrap());
    writer.sync().unwrap();
    writer.seal_next().unwrap();
    writer.end_segment().unwrap();
    writer.seal_next().unwrap();
    let frames = read(&disk);
    assert!(frames.contains(&appended.0) && frames.contains(&appended.1), "{appended:?} of {frames:?}");
}

fn read(disk: &SimDisk) -> Vec<u64> {
    let disk = Arc::new(disk.clone());
    let mut frames = Vec::new();
    let mut reader = Reader::new(disk.clone());
    reader
        .frames(0, &mut |frame, _| {
            frames.push(frame.seq);
            ControlFlow::Continue(())
        })
        .unwrap();
    reader.last_frame().unwrap();
    Reader::sinks(disk.as_ref()).unwrap();
    for file in list(disk.as_ref()).unwrap() {
        Reader::glance(disk.as_ref(), &file).unwrap().unwrap();
    }
    reader.timeline(0).unwrap();
    frames
}

/// A configuration file.
pub fn config(bytes: &[u8]) {
    match Config::parse(bytes, Path::new("fuzzed.conf"), &["cpu", "disk"]) {
        Ok(loaded) => drop(format!("{:?}", loaded.config)),
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
}
