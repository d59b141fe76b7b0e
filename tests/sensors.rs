//! All sensors over whole machines: fixture trees, their golden readings, and the same trees with a file spoiled.

// Clippy's leave for tests covers functions marked as such, not what they share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, unreachable_pub)]

mod hosts_support;

use std::fs;
use std::path::{Path, PathBuf};

use iwashi::config::Sensors;
use iwashi::sensor::{SensorError, OWN_METRICS, SENSORS};
use iwashi::series::SeriesTable;
use proptest::prelude::*;

use hosts_support::{host_at, hosts, Bench};

/// The files that each sensor reads, of the trees that have them.
const FILES: [(&str, &str); 9] = [
    ("cpu", "proc/stat"),
    ("memory", "proc/meminfo"),
    ("loadavg", "proc/loadavg"),
    ("uptime", "proc/uptime"),
    ("disk", "proc/diskstats"),
    ("interface", "proc/net/dev"),
    ("filesystem", "proc/self/mountinfo"),
    ("hwmon", "sys/class/hwmon/hwmon0/temp1_input"),
    ("thermal", "sys/class/thermal/thermal_zone0/temp"),
];

/// A copy of a fixture tree that a test may spoil.
struct Copy(PathBuf);

impl Copy {
    fn of(name: &str, test: &str) -> Self {
        let to = std::env::temp_dir().join(format!("iwashi-sensors-{test}-{}", std::process::id()));
        if to.exists() {
            fs::remove_dir_all(&to).unwrap();
        }
        copy_tree(&hosts().join(name), &to);
        Self(to)
    }

    fn write(&self, file: &str, text: &[u8]) {
        fs::write(self.0.join(file), text).unwrap();
    }

    fn bench(&self) -> Bench {
        Bench::new(host_at(&self.0), &Sensors::default())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else if kind.is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The readings of the kernel that are not of `sensor`.
fn others(text: &str, sensor: &str) -> Vec<String> {
    let of = |line: &str| line.split(['.', '{', ' ']).next().unwrap().to_owned();
    text.lines().filter(|line| of(line) != sensor && of(line) != "iwashi").map(str::to_owned).collect()
}

fn own(text: &str, sensor: &str) -> Vec<String> {
    text.lines().filter(|line| line.split(['.', '{', ' ']).next() == Some(sensor)).map(str::to_owned).collect()
}

fn errors_of_others(bench: &Bench, sensor: &str) -> u64 {
    bench.sampler.health().filter(|(name, _)| *name != sensor).map(|(_, health)| health.errors).sum()
}

fn errors(bench: &Bench, sensor: &str) -> u64 {
    bench.sampler.health().find(|(name, _)| *name == sensor).unwrap().1.errors
}

#[test]
fn each_host_gives_its_golden_readings() {
    for entry in fs::read_dir(hosts()).unwrap() {
        let root = entry.unwrap().path();
        let mut bench = Bench::new(host_at(&root), &Sensors::default());
        bench.sample();
        let golden = root.join("expected.txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, bench.text()).unwrap();
        }
        assert_eq!(bench.text(), fs::read_to_string(&golden).unwrap(), "{}", root.display());
        for (name, health) in bench.sampler.health() {
            if let Some(error) = &health.last_error {
                assert!(error.to_string().contains(root.to_str().unwrap()), "{name}: {error}");
            }
        }
    }
}

#[test]
fn every_reading_is_of_a_declared_metric() {
    let declared: Vec<_> = SENSORS.iter().flat_map(|entry| entry.metrics).chain(OWN_METRICS).collect();
    let mut names: Vec<_> = declared.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), declared.len(), "two metrics share a name");
    let mut bench = Bench::new(host_at(&hosts().join("pc-nct6775")), &Sensors::default());
    bench.sample();
    for reading in bench.frame.readings() {
        let series = bench.series.series(reading.series).unwrap();
        let metric = declared.iter().find(|metric| metric.name == series.name.as_ref()).unwrap();
        assert_eq!((series.kind, series.unit.as_ref()), (metric.kind, metric.unit));
    }
}

#[test]
fn the_config_switches_off_and_ignores() {
    let regex = |text| Some(regex_lite::Regex::new(text).unwrap());
    #[allow(clippy::needless_update)] // for fields that other sensors will have
    let settings = Sensors {
        disks_ignore: regex("^loop|^cciss_c0d0$"),
        interfaces_ignore: regex("^eth0_100$"),
        filesystems_ignore: regex("^/dev/cciss"),
        disabled: vec!["cpu".into(), "memory".into(), "loadavg".into()],
        ..Sensors::default()
    };
    let mut bench = Bench::new(host_at(&hosts().join("old-2.6.32")), &settings);
    bench.sample();
    let text = bench.text();
    let devices: Vec<_> = text.lines().filter(|line| line.contains("device=") || line.contains("interface=")).collect();
    assert!(!devices.is_empty());
    for line in devices {
        assert!(line.contains("\"eth0\"") || line.contains("vg-root"), "{line}");
    }
    assert_eq!((own(&text, "cpu").len(), own(&text, "memory").len(), own(&text, "uptime").len()), (0, 0, 1));
    assert!(!text.contains("sensor=\"cpu\""));
}

#[test]
fn a_bad_file_is_a_gap_of_its_sensor_alone_and_heals() {
    let bad: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("garbage", b"lorem ipsum\ndolor: sit amet, 1 2 3\n"),
        ("binary", b"\x00\xff\xfe\x80\n\x00: \xc3\x28 7\n"),
        ("huge numbers", b"99999999999999999999999 99999999999999999999999 99999999999999999999999\n"),
        ("only line feeds", b"\n\n\n\n"),
        ("no line feed", b"cpu 1 2 3 4"),
    ];
    let copy = Copy::of("rpi3", "bad");
    let mut bench = copy.bench();
    bench.sample();
    let golden = bench.text();
    for (sensor, file) in FILES {
        let good = fs::read(copy.0.join(file)).unwrap();
        let mut cases: Vec<(&str, &[u8])> = bad.to_vec();
        let cut = good.len() - 1;
        if file.starts_with("proc") {
            cases.push(("cut", &good[..cut]));
        }
        for (case, text) in cases {
            // A line that is no mount is no row; the table of the kernel has no bad lines.
            let is_lenient = sensor == "filesystem" && text.ends_with(b"\n");
            let (before, before_others) = (errors(&bench, sensor), errors_of_others(&bench, sensor));
            copy.write(file, text);
            bench.sample();
            assert_eq!(others(&bench.text(), sensor), others(&golden, sensor), "{sensor}: {case}");
            assert_eq!(own(&bench.text(), sensor), [""; 0], "{sensor}: {case}");
            assert_eq!(errors_of_others(&bench, sensor), before_others, "{sensor}: {case}");
            assert_eq!(errors(&bench, sensor), before + u64::from(!is_lenient), "{sensor}: {case}");
        }
        copy.write(file, &good);
        bench.sample();
        assert_eq!(own(&bench.text(), sensor), own(&golden, sensor), "{sensor} heals");
    }
}

#[test]
fn an_absent_proc_file_is_an_error_and_an_absent_sysfs_class_is_not() {
    let copy = Copy::of("rpi3", "absent");
    for (_, file) in FILES.iter().filter(|(_, file)| file.starts_with("proc")) {
        fs::remove_file(copy.0.join(file)).unwrap();
    }
    fs::remove_dir_all(copy.0.join("sys")).unwrap();
    let mut bench = copy.bench();
    bench.sample();
    bench.sample();
    for (sensor, file) in FILES {
        assert_eq!(errors(&bench, sensor), if file.starts_with("proc") { 2 } else { 0 }, "{sensor}");
    }
    assert!(bench.text().lines().all(|line| line.starts_with("iwashi.")), "{}", bench.text());
    let (_, health) = bench.sampler.health().next().unwrap();
    assert!(matches!(&health.last_error, Some(SensorError::Read { path, .. }) if path.ends_with("proc/stat")));
    assert_eq!(health.failing, 2);
}

#[test]
fn a_chip_keeps_its_series_when_hwmon_numbers_change() {
    let copy = Copy::of("pc-nct6775", "renumbered");
    let mut bench = copy.bench();
    bench.sample();
    let before = own(&bench.text(), "hwmon");
    let class = copy.0.join("sys/class/hwmon");
    for i in 0..6 {
        fs::rename(class.join(format!("hwmon{i}")), class.join(format!("hwmon{}", 15 - i))).unwrap();
    }
    let mut bench = copy.bench();
    bench.sample();
    assert_eq!(own(&bench.text(), "hwmon"), before);
    assert!(!before.iter().any(|line| line.contains("hwmon0")));
}

#[test]
fn a_renewed_table_gets_all_series_again() {
    let mut bench = Bench::new(host_at(&hosts().join("pc-nct6775")), &Sensors::default());
    bench.sample();
    let values =
        |text: &str| text.lines().filter(|line| !line.starts_with("iwashi.")).map(str::to_owned).collect::<Vec<_>>();
    let before = values(&bench.text());
    bench.series = SeriesTable::default();
    bench.sampler.reset_series();
    bench.sample();
    assert_eq!(values(&bench.text()), before);
}

#[test]
fn more_devices_than_a_sensor_keeps_are_counted() {
    let copy = Copy::of("rpi3", "many");
    let rows: String = (0..300).map(|i| format!("8 {i} sd{i} 1 0 0 0 2 0 0 0 0 0 0\n")).collect();
    copy.write("proc/diskstats", rows.as_bytes());
    let mut bench = copy.bench();
    bench.sample();
    bench.sample();
    assert_eq!(own(&bench.text(), "disk").len(), 2 * 256);
    assert_eq!(bench.sampler.dropped_readings(), 2 * 44);
    assert!(bench.text().ends_with("iwashi.frame.dropped_readings 88\n"));
}

#[test]
fn a_full_frame_still_says_so() {
    let copy = Copy::of("rpi3", "full");
    let disks: String = (0..256).map(|i| format!("8 {i} sd{i} 1 0 0 0 2 0 0 0 0 0 0\n")).collect();
    let interfaces: String = (0..256).map(|i| format!("eth{i}: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n")).collect();
    copy.write("proc/diskstats", disks.as_bytes());
    copy.write("proc/net/dev", format!("a|b\na|b\n{interfaces}").as_bytes());
    let mut bench = copy.bench();
    bench.sample();
    let dropped = bench.sampler.dropped_readings();
    assert!(dropped > 0);
    assert!(bench.text().ends_with(&format!("iwashi.frame.dropped_readings {dropped}\n")));
    assert_eq!((bench.frame.readings().len(), bench.frame.overflow()), (iwashi::frame::MAX_READINGS, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a file says, no sensor panics, and the others read what they read before.
    #[test]
    fn no_bytes_harm_another_sensor(place in 0..FILES.len(), noise in proptest::collection::vec(noise(), 0..40)) {
        let (sensor, file) = FILES[place];
        let copy = Copy::of("rpi3", "noise");
        let mut bench = copy.bench();
        bench.sample();
        let golden = others(&bench.text(), sensor);
        copy.write(file, &noise.concat());
        for _ in 0..2 {
            bench.sample();
            prop_assert_eq!(&others(&bench.text(), sensor), &golden);
            prop_assert_eq!(errors_of_others(&bench, sensor), 0);
        }
    }
}

/// Bytes of any kind, and pieces that lead a parser further in.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(vec![
        "cpu  ",
        "cpu0 ",
        "MemTotal: ",
        " kB\n",
        "eth0:",
        "8 0 sda ",
        "\n",
        " ",
        "0",
        "18446744073709551615",
        "-1",
        "1.5",
        "36 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
    ]);
    prop_oneof![piece.prop_map(|piece| piece.as_bytes().to_vec()), proptest::collection::vec(any::<u8>(), 0..30)]
}
