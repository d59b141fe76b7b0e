//! Mackerel's names and values, as mackerel-agent posts them.
//!
//! Rates and percentages need two frames of one boot, the second at most [`MAX_GAP_MS`] after the first. They are
//! averages over the time between the two, stamped with the later one. A counter that went backwards gives no point.

use std::collections::HashMap;

use super::{Derive, Point};
use crate::frame::{Frame, Reading};
use crate::sensor::name::sanitise;
use crate::series::{Series, SeriesTable};

/// Two frames further apart than this give no rates: an average over hours, drawn in one minute, misleads.
///
/// One hour, so that hosts that run from cron every half hour have rates too.
pub const MAX_GAP_MS: u64 = 3_600_000;

/// The fields of `/proc/stat` in the order of the kernel, with Mackerel's names for those it has.
const CPU_FIELDS: [(&str, Option<&str>); 10] = [
    ("cpu.user", Some("cpu.user.percentage")),
    ("cpu.nice", Some("cpu.nice.percentage")),
    ("cpu.system", Some("cpu.system.percentage")),
    ("cpu.idle", Some("cpu.idle.percentage")),
    ("cpu.iowait", Some("cpu.iowait.percentage")),
    ("cpu.irq", Some("cpu.irq.percentage")),
    ("cpu.softirq", Some("cpu.softirq.percentage")),
    ("cpu.steal", Some("cpu.steal.percentage")),
    ("cpu.guest", Some("cpu.guest.percentage")),
    ("cpu.guest_nice", None),
];
const GUEST: usize = 8;
const GUEST_NICE: usize = 9;

/// Makes points out of frames whose series are numbered by one table.
#[derive(Debug, Default)]
pub struct Deriver {
    /// Name filesystems, and disks that hold one, by mount point (`[filesystems] use_mountpoint`).
    pub use_mountpoint: bool,
}

/// One reading with what it was in the frame before.
struct Change<'a> {
    series: &'a Series,
    value: i64,
    before: Option<i64>,
}

impl Change<'_> {
    /// How far a counter went; nothing when it went backwards or was not read before.
    fn increase(&self) -> Option<f64> {
        let before = self.before?.cast_unsigned();
        self.value.cast_unsigned().checked_sub(before).map(|count| count as f64)
    }

    /// A gauge's value.
    fn level(&self) -> f64 {
        self.value as f64
    }
}

/// What is known of one filesystem.
#[derive(Default)]
struct Filesystem<'a> {
    device: &'a str,
    mount_point: &'a str,
    total: Option<u64>,
    free: Option<u64>,
    available: Option<u64>,
}

impl Derive for Deriver {
    fn points(&self, before: Option<&Frame>, frame: &Frame, table: &SeriesTable, time: i64) -> Vec<Point> {
        let before = before.filter(|before| {
            let gap = frame.stamp.boottime_ms.checked_sub(before.stamp.boottime_ms);
            before.stamp.boot_id == frame.stamp.boot_id && gap.is_some_and(|gap| gap > 0 && gap <= MAX_GAP_MS)
        });
        let seconds = before.map_or(0.0, |b| (frame.stamp.boottime_ms - b.stamp.boottime_ms) as f64 / 1000.0);
        let changes: Vec<Change<'_>> = frame
            .readings()
            .iter()
            .enumerate()
            .filter_map(|(i, reading)| {
                let series = table.series(reading.series)?;
                let before = before.and_then(|before| value_before(before, i, reading));
                Some(Change { series, value: reading.value, before })
            })
            .collect();
        let mut out = Points { time, list: Vec::with_capacity(changes.len()) };
        cpu(&changes, &mut out);
        memory(&changes, &mut out);
        let filesystems = filesystems(&changes);
        for filesystem in &filesystems {
            self.filesystem(filesystem, &mut out);
        }
        for change in &changes {
            self.single(change, seconds, &filesystems, &mut out);
        }
        out.finish()
    }
}

impl Deriver {
    /// Series that need no other.
    fn single(&self, change: &Change<'_>, seconds: f64, filesystems: &[Filesystem<'_>], out: &mut Points) {
        let label = |key| change.series.label(key).unwrap_or_default();
        let rate = || change.increase().map(|count| count / seconds);
        match change.series.name.as_ref() {
            "loadavg.1" => out.push("loadavg1", change.level() / 100.0),
            "loadavg.5" => out.push("loadavg5", change.level() / 100.0),
            "loadavg.15" => out.push("loadavg15", change.level() / 100.0),
            "uptime" => out.push("custom.uptime.seconds", change.level() / 100.0),
            "disk.reads_completed" => {
                out.push_some(&format!("disk.{}.reads.delta", self.disk(label("device"), filesystems)), rate());
            }
            "disk.writes_completed" => {
                out.push_some(&format!("disk.{}.writes.delta", self.disk(label("device"), filesystems)), rate());
            }
            "interface.rx_bytes" => {
                out.push_some(&format!("interface.{}.rxBytes.delta", sanitise(label("interface"))), rate());
            }
            "interface.tx_bytes" => {
                out.push_some(&format!("interface.{}.txBytes.delta", sanitise(label("interface"))), rate());
            }
            "hwmon.temp" => out.push(&hwmon("temperature", change.series), change.level() / 1000.0),
            "hwmon.fan" => out.push(&hwmon("fan", change.series), change.level()),
            "hwmon.in" => out.push(&hwmon("voltage", change.series), change.level() / 1000.0),
            "thermal.temp" => {
                out.push(&format!("custom.thermal.temperature.{}", sanitise(label("zone"))), change.level() / 1000.0);
            }
            _ => {}
        }
    }

    /// A disk's name: with `use_mountpoint`, where the filesystem on it is mounted.
    fn disk(&self, device: &str, filesystems: &[Filesystem<'_>]) -> String {
        let name = sanitise(device);
        let mounted = filesystems
            .iter()
            .rev()
            .find(|filesystem| filesystem.device.strip_prefix("/dev/").is_some_and(|source| sanitise(source) == name));
        match mounted.filter(|_| self.use_mountpoint) {
            Some(filesystem) => sanitise(filesystem.mount_point),
            None => name,
        }
    }

    fn filesystem(&self, filesystem: &Filesystem<'_>, out: &mut Points) {
        let (Some(total), Some(free), Some(available)) = (filesystem.total, filesystem.free, filesystem.available)
        else {
            return;
        };
        let name = if self.use_mountpoint {
            sanitise(filesystem.mount_point)
        } else {
            sanitise(filesystem.device.strip_prefix("/dev/").unwrap_or(filesystem.device))
        };
        // df counts in KiB, rounded up, and calls used + available the size.
        let kib = |bytes: u64| bytes.div_ceil(1024).saturating_mul(1024);
        let used = kib(total.saturating_sub(free));
        out.push(&format!("filesystem.{name}.size"), used.saturating_add(kib(available)) as f64);
        out.push(&format!("filesystem.{name}.used"), used as f64);
    }
}

/// `custom.hwmon.GROUP.CHIP.SENSOR`, the sensor by its label where it has one.
fn hwmon(group: &str, series: &Series) -> String {
    let label = |key| series.label(key).filter(|value| !value.is_empty());
    let sensor = label("label").or_else(|| label("sensor")).unwrap_or("unknown");
    format!("custom.hwmon.{group}.{}.{}", sanitise(label("chip").unwrap_or("unknown")), sanitise(sensor))
}

fn value_before(before: &Frame, place: usize, reading: &Reading) -> Option<i64> {
    // Sensors read in the same order each time, so it is nearly always at the same place.
    match before.readings().get(place) {
        Some(same) if same.series == reading.series => Some(same.value),
        _ => before.value(reading.series),
    }
}

fn cpu(changes: &[Change<'_>], out: &mut Points) {
    let find = |name: &str| changes.iter().find(|change| change.series.name.as_ref() == name);
    let fields: Vec<Option<&Change<'_>>> = CPU_FIELDS.iter().map(|(name, _)| find(name)).collect();
    let field = |i: usize| fields.get(i).copied().flatten();
    // A field that damage took would make all others too large.
    let known = fields.iter().take_while(|field| field.is_some()).count();
    if known < 4 || fields.iter().skip(known).any(Option::is_some) {
        return;
    }
    let Some(count) = find("cpu.count").map(Change::level) else { return };
    // The kernel counts guest within user and guest_nice within nice.
    let total: Option<i128> = fields
        .iter()
        .flatten()
        .enumerate()
        .filter(|(i, _)| *i != GUEST && *i != GUEST_NICE)
        .map(|(_, change)| Some(i128::from(change.value.cast_unsigned()) - i128::from(change.before?.cast_unsigned())))
        .sum();
    let Some(total) = total.filter(|total| *total > 0).map(|total| total as f64) else { return };
    let percentage = |jiffies: f64| jiffies * count * 100.0 / total;
    for (i, (_, name)) in CPU_FIELDS.iter().enumerate() {
        let (Some(name), Some(increase)) = (name, field(i).and_then(Change::increase)) else { continue };
        let jiffies = match field(GUEST).filter(|_| i == 0) {
            None => Some(increase),
            Some(guest) => guest.increase().map(|guest| increase - guest).filter(|jiffies| *jiffies >= 0.0),
        };
        out.push_some(name, jiffies.map(percentage));
    }
}

fn memory(changes: &[Change<'_>], out: &mut Points) {
    let field = |name: &str| {
        let mut found = changes.iter().filter(|change| change.series.name.strip_prefix("memory.") == Some(name));
        found.next().map(|change| change.level() * 1024.0)
    };
    let level = |name: &str| field(name).unwrap_or_default();
    // The sensor reads all of them or none; a frame that has but some is damaged.
    let always = ["MemTotal", "MemFree", "Buffers", "Cached", "SwapTotal", "SwapCached", "SwapFree"];
    if !always.iter().all(|name| field(name).is_some()) {
        return;
    }
    let total = level("MemTotal");
    out.push("memory.total", total);
    if let Some(available) = field("MemAvailable") {
        out.push("memory.mem_available", available);
        out.push("memory.used", total - available);
    } else {
        let (free, buffers, cached) = (level("MemFree"), level("Buffers"), level("Cached"));
        out.push("memory.free", free);
        out.push("memory.buffers", buffers);
        out.push("memory.cached", cached);
        out.push("memory.used", total - free - buffers - cached);
    }
    out.push("memory.swap_total", level("SwapTotal"));
    out.push("memory.swap_cached", level("SwapCached"));
    out.push("memory.swap_free", level("SwapFree"));
}

fn filesystems<'a>(changes: &'a [Change<'a>]) -> Vec<Filesystem<'a>> {
    let mut found: Vec<Filesystem<'a>> = Vec::new();
    for change in changes {
        let Some(field) = change.series.name.strip_prefix("filesystem.") else { continue };
        let label = |key| change.series.label(key).unwrap_or_default();
        let (device, mount_point) = (label("device"), label("mountpoint"));
        let known = found.iter_mut().position(|fs| fs.device == device && fs.mount_point == mount_point);
        let place = known.unwrap_or_else(|| {
            found.push(Filesystem { device, mount_point, ..Filesystem::default() });
            found.len() - 1
        });
        let Some(filesystem) = found.get_mut(place) else { continue };
        let value = u64::try_from(change.value).ok();
        match field {
            "total" => filesystem.total = value,
            "free" => filesystem.free = value,
            "available" => filesystem.available = value,
            _ => {}
        }
    }
    found
}

/// Points in the making.
struct Points {
    time: i64,
    list: Vec<Point>,
}

impl Points {
    fn push(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.list.push(Point { name: name.to_owned(), time: self.time, value });
        }
    }

    fn push_some(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    /// Of two points with one name the later stays, as with two rows of df.
    fn finish(self) -> Vec<Point> {
        let mut last: HashMap<&str, usize> = HashMap::with_capacity(self.list.len());
        for (i, point) in self.list.iter().enumerate() {
            last.insert(&point.name, i);
        }
        let keep: Vec<bool> =
            self.list.iter().enumerate().map(|(i, p)| last.get(p.name.as_str()) == Some(&i)).collect();
        self.list.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(point, _)| point).collect()
    }
}

/// Graph definitions for what mackerel-agent itself does not post, so that units are shown.
#[must_use]
pub fn graph_definitions() -> serde_json::Value {
    let graph = |name: &str, title: &str, unit: &str, metric: &str| {
        serde_json::json!({
            "name": name, "displayName": title, "unit": unit,
            "metrics": [{ "name": format!("{name}.{metric}"), "displayName": "%1", "isStacked": false }],
        })
    };
    serde_json::json!([
        {
            "name": "custom.uptime", "displayName": "Uptime", "unit": "seconds",
            "metrics": [{ "name": "custom.uptime.seconds", "displayName": "Seconds", "isStacked": false }],
        },
        graph("custom.hwmon.temperature.#", "Temperature (°C)", "float", "*"),
        graph("custom.hwmon.fan.#", "Fan (rpm)", "integer", "*"),
        graph("custom.hwmon.voltage.#", "Voltage (V)", "float", "*"),
        {
            "name": "custom.thermal.temperature", "displayName": "Thermal zones (°C)", "unit": "float",
            "metrics": [{ "name": "custom.thermal.temperature.*", "displayName": "%1", "isStacked": false }],
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::{BootId, Stamp};
    use crate::series::{Kind, Metric};

    /// One reading by name, labels and value.
    type Given<'a> = (&'static str, &'a [(&'a str, &'a str)], u64);

    fn frame(table: &mut SeriesTable, boottime_ms: u64, given: &[Given<'_>]) -> Frame {
        let mut frame = Frame::default();
        frame.restart(Stamp { boot_id: BootId([1; 16]), boottime_ms, ..Stamp::default() });
        for (name, labels, value) in given {
            let metric = Metric { name, kind: Kind::Counter, unit: "", source: "", help: "" };
            frame.push_counter(table.intern(Series::new(&metric, labels)).unwrap(), *value);
        }
        frame
    }

    fn derive(deriver: &Deriver, first: &[Given<'_>], second: &[Given<'_>]) -> Vec<(String, f64)> {
        let mut table = SeriesTable::default();
        let before = frame(&mut table, 1_000, first);
        let after = frame(&mut table, 61_000, second);
        let points = deriver.points(Some(&before), &after, &table, 60);
        assert!(points.iter().all(|point| point.time == 60));
        points.into_iter().map(|point| (point.name, point.value)).collect()
    }

    fn value(points: &[(String, f64)], name: &str) -> Option<f64> {
        points.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    #[test]
    fn cpu_is_percent_times_the_number_of_cpus() {
        let names = ["cpu.user", "cpu.nice", "cpu.system", "cpu.idle", "cpu.iowait", "cpu.irq", "cpu.softirq"];
        let deltas = [600, 60, 240, 23_000, 96, 0, 4];
        let first: Vec<Given<'_>> =
            names.iter().map(|name| (*name, &[][..], 7)).chain([("cpu.count", &[][..], 4)]).collect();
        let mut second = first.clone();
        for (given, delta) in second.iter_mut().zip(deltas) {
            given.2 += delta;
        }
        let points = derive(&Deriver::default(), &first, &second);
        for (name, expected) in [
            ("cpu.user.percentage", 10.0),
            ("cpu.nice.percentage", 1.0),
            ("cpu.system.percentage", 4.0),
            ("cpu.idle.percentage", 23_000.0 * 4.0 / 240.0),
            ("cpu.iowait.percentage", 1.6),
            ("cpu.irq.percentage", 0.0),
            ("cpu.softirq.percentage", 4.0 * 4.0 / 240.0),
        ] {
            let found = value(&points, name).unwrap();
            assert!((found - expected).abs() < 1e-9, "{name}: {found}");
        }
        assert_eq!(value(&points, "cpu.steal.percentage"), None, "a field that the kernel lacks");
    }

    #[test]
    fn guest_time_is_not_user_time() {
        let given = |user, guest, idle| -> [Given<'static>; 10] {
            [
                ("cpu.user", &[], user),
                ("cpu.nice", &[], 0),
                ("cpu.system", &[], 0),
                ("cpu.idle", &[], idle),
                ("cpu.iowait", &[], 0),
                ("cpu.irq", &[], 0),
                ("cpu.softirq", &[], 0),
                ("cpu.steal", &[], 0),
                ("cpu.guest", &[], guest),
                ("cpu.count", &[], 1),
            ]
        };
        let points = derive(&Deriver::default(), &given(0, 0, 0), &given(60, 40, 40));
        assert_eq!(value(&points, "cpu.user.percentage"), Some(20.0));
        assert_eq!(value(&points, "cpu.guest.percentage"), Some(40.0));
        assert_eq!(value(&points, "cpu.idle.percentage"), Some(40.0));
    }

    #[test]
    fn a_counter_that_went_back_gives_no_point() {
        let eth0 = &[("interface", "eth0")][..];
        let first = [("interface.rx_bytes", eth0, 100), ("interface.tx_bytes", eth0, 700)];
        let second = [("interface.rx_bytes", eth0, 700), ("interface.tx_bytes", eth0, 100)];
        assert_eq!(derive(&Deriver::default(), &first, &second), [("interface.eth0.rxBytes.delta".to_owned(), 10.0)]);
    }

    #[test]
    fn rates_need_one_boot_and_a_short_gap() {
        let mut table = SeriesTable::default();
        let given: [Given<'_>; 1] = [("disk.reads_completed", &[("device", "sda")], 5)];
        let first = frame(&mut table, 1_000, &given);
        let late = frame(&mut table, 1_001 + MAX_GAP_MS, &given);
        let deriver = Deriver::default();
        assert!(deriver.points(Some(&first), &late, &table, 0).is_empty());
        assert!(deriver.points(None, &first, &table, 0).is_empty());
        assert!(deriver.points(Some(&first), &first, &table, 0).is_empty(), "no time passed");
        let mut rebooted = frame(&mut table, 2_000, &given);
        rebooted.stamp.boot_id = BootId([2; 16]);
        assert!(deriver.points(Some(&first), &rebooted, &table, 0).is_empty());
    }

    #[test]
    fn filesystem_size_is_used_and_available() {
        let root = &[("device", "/dev/sda1"), ("mountpoint", "/")][..];
        let given = [
            ("filesystem.total", root, 100 * 1024),
            ("filesystem.free", root, 40 * 1024),
            ("filesystem.available", root, 30 * 1024 - 1),
            ("disk.reads_completed", &[("device", "sda1")][..], 60),
        ];
        let points = derive(&Deriver::default(), &given, &given);
        assert_eq!(value(&points, "filesystem.sda1.size"), Some(92_160.0));
        assert_eq!(value(&points, "filesystem.sda1.used"), Some(61_440.0));
        assert_eq!(value(&points, "disk.sda1.reads.delta"), Some(0.0));
        let points = derive(&Deriver { use_mountpoint: true }, &given, &given);
        assert_eq!(value(&points, "filesystem._.size"), Some(92_160.0));
        assert_eq!(value(&points, "disk._.reads.delta"), Some(0.0));
    }

    #[test]
    fn memory_of_an_old_kernel_is_told_by_its_parts() {
        let given = |available: Option<u64>| -> Vec<Given<'static>> {
            let mut given: Vec<Given<'static>> =
                vec![("memory.MemTotal", &[], 1000), ("memory.MemFree", &[], 200), ("memory.Buffers", &[], 50)];
            given.extend([("memory.Cached", &[][..], 150), ("memory.SwapTotal", &[], 0)]);
            given.extend([("memory.SwapCached", &[][..], 0), ("memory.SwapFree", &[], 0)]);
            given.extend(available.map(|kb| ("memory.MemAvailable", &[][..], kb)));
            given
        };
        let old = derive(&Deriver::default(), &[], &given(None));
        assert_eq!(value(&old, "memory.used"), Some(600.0 * 1024.0));
        assert_eq!(value(&old, "memory.free"), Some(200.0 * 1024.0));
        assert_eq!(value(&old, "memory.mem_available"), None);
        let new = derive(&Deriver::default(), &[], &given(Some(700)));
        assert_eq!(value(&new, "memory.used"), Some(300.0 * 1024.0));
        assert_eq!(value(&new, "memory.mem_available"), Some(700.0 * 1024.0));
        assert_eq!(value(&new, "memory.buffers"), None);
        assert_eq!(value(&new, "memory.swap_free"), Some(0.0));
    }
}
