//! Another machine's /proc and /sys, below a directory.

use std::path::Path;

use serde_json::Value;

use crate::agent::{bare, finished};
use crate::home::Home;

fn fixture() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hosts/pc-nct6775").display().to_string()
}

#[test]
fn sensors_and_once_read_the_machine_below_sysroot() {
    let home = Home::new("sysroot");
    std::fs::write(home.config(), "").unwrap();
    let config = home.config().display().to_string();
    let sensors = finished(&mut bare(&["sensors", "--sysroot", &fixture(), "--conf", &config]));
    assert_eq!(sensors.code, Some(0), "{sensors:?}");
    let once = finished(&mut bare(&["once", "--sysroot", &fixture(), "--conf", &config]));
    assert_eq!(once.code, Some(0), "{once:?}");
    let once: Value = serde_json::from_str(&once.out).unwrap();
    let values = &once["metrics"]["Values"][0]["Values"];
    let proc = Path::new(&fixture()).join("proc");
    let loadavg = std::fs::read_to_string(proc.join("loadavg")).unwrap();
    let first: f64 = loadavg.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(values["loadavg1"]["Value"].as_f64(), Some(first), "{values}");
    let meminfo = std::fs::read_to_string(proc.join("meminfo")).unwrap();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let total: f64 = total.trim().trim_end_matches(" kB").parse().unwrap();
    assert_eq!(values["memory.total"]["Value"].as_f64(), Some(total * 1024.0), "{values}");
    let names: Vec<&String> = values.as_object().unwrap().keys().collect();
    assert!(names.iter().any(|name| name.starts_with("custom.hwmon.temperature.")), "{names:?}");
    for name in ["hwmon.temp", "hwmon.fan", "loadavg.1", "memory.MemTotal", "disk.reads_completed"] {
        assert!(sensors.out.contains(name), "{name} in {}", sensors.out);
    }
}
