//! The dumps in FORMAT.md are a segment in both forms, and say what they say there.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::ops::ControlFlow;
use std::sync::Arc;

use iwashi::platform::clock::{BootId, Stamp, Trust};
use iwashi::platform::disk::RealDisk;
use iwashi::series::SeriesTable;
use iwashi::spool::{Reader, Writer, MIN_MAX_BYTES};

/// Pages that the header of the first dump tells of.
const FILE_BYTES: usize = 16 * 4096;

const PAGES: &str = "0000000000000001.seg";
const SEALED: &str = "0000000000000001.col";

/// The bytes of the `nth` dump.
fn dumped(nth: usize) -> Vec<u8> {
    let text = include_str!("../src/spool/FORMAT.md");
    let dump = text.split("```text\n").nth(nth).unwrap().split("```").next().unwrap();
    let mut bytes = Vec::new();
    for line in dump.lines() {
        let (offset, rest) = line.split_once(": ").unwrap();
        bytes.resize(usize::from_str_radix(offset, 16).unwrap(), 0);
        let digits: String = rest.chars().take(39).filter(char::is_ascii_hexdigit).collect();
        bytes.extend((0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()));
    }
    bytes
}

#[test]
fn the_documented_dumps_read_as_documented() {
    let directory = std::env::temp_dir().join(format!("iwashi-format-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut pages = dumped(1);
    pages.resize(FILE_BYTES, 0);
    std::fs::write(directory.join(PAGES), pages).unwrap();
    let disk = Arc::new(RealDisk::new(&directory));
    reads_as_documented(&disk);
    // The second dump is what becomes of the first when it is sealed.
    let mut writer = Writer::open(disk.clone(), MIN_MAX_BYTES, &mut SeriesTable::default()).unwrap();
    writer.end_segment().unwrap();
    writer.seal_next().unwrap();
    let sealed = std::fs::read(directory.join(SEALED)).unwrap();
    assert!(sealed == dumped(2), "it is\n{}", dump(&sealed));
    assert!(!directory.join(PAGES).exists());
    reads_as_documented(&disk);
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Bytes as FORMAT.md shows them.
fn dump(bytes: &[u8]) -> String {
    let line = |(i, line): (usize, &[u8])| {
        let words: Vec<String> =
            line.chunks(2).map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        let text = line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' });
        format!("{:08x}: {:<39}  {}\n", i * 16, words.join(" "), text.collect::<String>())
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

fn reads_as_documented(disk: &Arc<RealDisk>) {
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
    let stamp = |boottime_ms, wall_ms| Stamp { boot_id, boottime_ms, wall_ms, trust: Trust::Synchronised };
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
}
