use std::fs;

use super::*;
use crate::frame::Frame;
use crate::platform::host::Host;
use crate::platform::kernel_file::Buffer;
use crate::sensor::readings::Readings;
use crate::series::{Kind, SeriesTable};

static QUANTITY: Quantity = Quantity {
    metric: Metric { name: "hwmon.temp", kind: Kind::Gauge, unit: "", source: "", help: "" },
    possible: POSSIBLE_MILLICELSIUS,
};

/// One input for each device: its file `temp`.
fn search(devices: &[PathBuf]) -> Vec<Input> {
    let input = |path: &PathBuf| {
        let fault = Some(path.join("fault")).filter(|path| path.exists());
        let zone = path.file_name().unwrap().to_str().unwrap();
        Input::new(&QUANTITY, vec![("zone", zone.into())], path.join("temp"), fault)
    };
    devices.iter().map(input).collect()
}

struct Bench {
    directory: PathBuf,
    inputs: Inputs,
}

impl Bench {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("iwashi-sysfs-{name}-{}", std::process::id()));
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        Self { inputs: Inputs::new(directory.clone(), "zone", search), directory }
    }

    fn put(&self, zone: u32, file: &str, text: &str) {
        let zone = self.directory.join(format!("zone{zone}"));
        fs::create_dir_all(&zone).unwrap();
        fs::write(zone.join(file), text).unwrap();
    }

    /// The values of one cycle, and whether it went well.
    fn sample(&mut self) -> (Vec<i64>, bool) {
        let (mut frame, mut series, mut dropped) = (Frame::default(), SeriesTable::default(), 0);
        let mut buffer = Buffer::default();
        let host = Host::new(Path::new("/"));
        let readings = Readings::new(&mut frame, &mut series, &mut dropped);
        let outcome = self.inputs.sample(&mut Sampling { host: &host, buffer: &mut buffer, readings });
        (frame.readings().iter().map(|reading| reading.value).collect(), outcome.is_ok())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory).unwrap();
        }
    }
}

#[test]
fn an_absent_directory_is_nothing_to_measure_until_it_appears() {
    let mut bench = Bench::new("absent");
    assert_eq!(bench.sample(), (vec![], true));
    bench.put(0, "temp", "25178\n");
    for _ in 1..CYCLES_BETWEEN_LOOKS {
        assert_eq!(bench.sample(), (vec![], true));
    }
    assert_eq!(bench.sample(), (vec![25178], true));
}

#[test]
fn a_bad_value_is_a_gap_and_the_others_stay() {
    let table = [
        ("25178\n", true),
        ("-40000", true),
        ("-273150\n", true),
        ("1000000\n", true),
        ("-273151\n", false),
        ("1000001\n", false),
        ("", false),
        ("\n", false),
        ("N/A\n", false),
        ("1 2\n", false),
        ("99999999999999999999\n", false),
        ("\0\0\0\0", false),
    ];
    for (text, is_good) in table {
        let mut bench = Bench::new("bad");
        bench.put(0, "temp", text);
        bench.put(1, "temp", "7\n");
        let (values, went_well) = bench.sample();
        assert_eq!((values.len(), went_well), (1 + usize::from(is_good), is_good), "{text:?}");
        assert_eq!(values.last(), Some(&7));
    }
}

#[test]
fn a_faulty_input_has_no_value_until_it_is_well() {
    let mut bench = Bench::new("fault");
    bench.put(0, "temp", "127000\n");
    bench.put(0, "fault", "1\n");
    assert_eq!(bench.sample(), (vec![], true));
    bench.put(0, "fault", "0\n");
    assert_eq!(bench.sample(), (vec![127_000], true));
}

#[test]
fn a_new_device_is_found_at_the_next_look_whatever_its_number() {
    let mut bench = Bench::new("new");
    bench.put(0, "temp", "1\n");
    bench.put(2, "temp", "3\n");
    assert_eq!(bench.sample(), (vec![1, 3], true));
    bench.put(1, "temp", "2\n");
    for _ in 1..CYCLES_BETWEEN_LOOKS {
        assert_eq!(bench.sample(), (vec![1, 3], true));
    }
    assert_eq!(bench.sample(), (vec![1, 2, 3], true));
    bench.put(3, "temp", "4\n");
    for _ in 0..CYCLES_BETWEEN_LOOKS {
        bench.sample();
    }
    assert_eq!(bench.sample(), (vec![1, 2, 3, 4], true));
}
