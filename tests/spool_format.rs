//! The dump in FORMAT.md is a segment, and says what it says there.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::ops::ControlFlow;
use std::sync::Arc;

use iwashi::platform::clock::{BootId, Stamp};
use iwashi::platform::disk::RealDisk;
use iwashi::spool::Reader;

/// Pages that the header of the dump tells of.
const FILE_BYTES: usize = 16 * 4096;

fn dumped() -> Vec<u8> {
    let text = include_str!("../src/spool/FORMAT.md");
    let dump = text.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let mut bytes = vec![0; FILE_BYTES];
    for line in dump.lines() {
        let (offset, rest) = line.split_once(": ").unwrap();
        let offset = usize::from_str_radix(offset, 16).unwrap();
        let digits: String = rest.chars().take(39).filter(char::is_ascii_hexdigit).collect();
        for (i, byte) in bytes[offset..offset + 16].iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap();
        }
    }
    bytes
}

#[test]
fn the_documented_dump_reads_as_documented() {
    let directory = std::env::temp_dir().join(format!("iwashi-format-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("0000000000000001.seg"), dumped()).unwrap();
    let disk = Arc::new(RealDisk::new(&directory));
    let mut reader = Reader::new(disk.clone());
    let mut frames = Vec::new();
    reader
        .frames(0, &mut |frame, table| {
            let readings = frame.readings().iter();
            let readings: Vec<_> = readings.map(|r| (table.series(r.series).unwrap().to_string(), r.value)).collect();
            frames.push((frame.seq, frame.stamp, readings));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(reader.damage.is_none(), "{:?}", reader.damage);
    let boot_id =
        BootId([0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0]);
    let stamp = |boottime_ms, wall_ms| Stamp { boot_id, boottime_ms, wall_ms };
    let values =
        |load, reads| vec![("loadavg.1".to_owned(), load), (r#"disk.reads_completed{device="sda"}"#.to_owned(), reads)];
    assert_eq!(
        frames,
        [
            (1, stamp(60_000, 1_795_305_600_000), values(52, 1000)),
            (2, stamp(120_000, 1_795_305_660_000), values(52, 1007)),
        ]
    );
    let (cursors, troubles) = Reader::sinks(disk.as_ref()).unwrap();
    assert_eq!((cursors[0].sink.as_str(), cursors[0].settled, cursors[0].delivered), ("mackerel", 2, 1));
    assert!(troubles.is_empty());
    std::fs::remove_dir_all(&directory).unwrap();
}
