//! What the frames of a spool must have become at the service, computed here once more from the raw readings.

use std::collections::{BTreeMap, BTreeSet};

use crate::fake_mackerel::FakeMackerel;
use crate::home::{Frame, Home};

const CPU: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// `disk.reads_completed{device="vda"}` → (`disk.reads_completed`, label → value).
fn series(text: &str) -> (&str, BTreeMap<&str, &str>) {
    let Some((name, rest)) = text.split_once('{') else { return (text, BTreeMap::new()) };
    let pairs = rest.trim_end_matches('}').split("\",");
    (name, pairs.filter_map(|pair| pair.split_once("=\"")).map(|(k, v)| (k, v.trim_end_matches('"'))).collect())
}

fn sanitised(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

/// A good part of the points that `frame` makes, `before` being the frame before it in the spool.
pub fn points(before: Option<&Frame>, frame: &Frame) -> BTreeMap<String, f64> {
    let mut points = BTreeMap::new();
    let get = |name: &str| frame.values.get(name).copied();
    for (ours, theirs, divisor) in [
        ("loadavg.1", "loadavg1", 100.0),
        ("loadavg.5", "loadavg5", 100.0),
        ("loadavg.15", "loadavg15", 100.0),
        ("uptime", "custom.uptime.seconds", 100.0),
    ] {
        points.extend(get(ours).map(|value| (theirs.to_owned(), value / divisor)));
    }
    let kib = |name: &str| get(&format!("memory.{name}")).map(|value| value * 1024.0);
    let (total, available) = (kib("MemTotal").unwrap(), kib("MemAvailable").unwrap());
    for (name, value) in [
        ("total", total),
        ("mem_available", available),
        ("used", total - available),
        ("swap_total", kib("SwapTotal").unwrap()),
        ("swap_free", kib("SwapFree").unwrap()),
    ] {
        points.insert(format!("memory.{name}"), value);
    }
    filesystems(frame, &mut points);
    let before = before.filter(|before| before.boot_id == frame.boot_id && before.boottime_ms < frame.boottime_ms);
    if let Some(before) = before {
        rates(before, frame, &mut points);
    }
    points
}

fn filesystems(frame: &Frame, points: &mut BTreeMap<String, f64>) {
    let mut found: BTreeMap<String, BTreeMap<&str, f64>> = BTreeMap::new();
    let mut mounts: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (text, value) in &frame.values {
        let (name, labels) = series(text);
        let Some(field) = name.strip_prefix("filesystem.") else { continue };
        let name = sanitised(labels["device"].trim_start_matches("/dev/"));
        mounts.entry(name.clone()).or_default().insert(labels["mountpoint"]);
        found.entry(name).or_default().insert(field, *value);
    }
    let up = |bytes: f64| (bytes / 1024.0).ceil() * 1024.0;
    // Where one device is mounted twice, which of the two counts is not this test's matter.
    for (name, fields) in found.into_iter().filter(|(name, _)| mounts[name].len() == 1) {
        let used = up(fields["total"] - fields["free"]);
        points.insert(format!("filesystem.{name}.used"), used);
        points.insert(format!("filesystem.{name}.size"), used + up(fields["available"]));
    }
}

fn rates(before: &Frame, frame: &Frame, points: &mut BTreeMap<String, f64>) {
    #[allow(clippy::cast_precision_loss)] // milliseconds of one boot
    let seconds = (frame.boottime_ms - before.boottime_ms) as f64 / 1000.0;
    for (text, value) in &frame.values {
        let (name, labels) = series(text);
        let name = match name {
            "disk.reads_completed" => format!("disk.{}.reads.delta", sanitised(labels["device"])),
            "disk.writes_completed" => format!("disk.{}.writes.delta", sanitised(labels["device"])),
            "interface.rx_bytes" => format!("interface.{}.rxBytes.delta", sanitised(labels["interface"])),
            "interface.tx_bytes" => format!("interface.{}.txBytes.delta", sanitised(labels["interface"])),
            _ => continue,
        };
        let increase = before.values.get(text).map(|before| value - before).filter(|increase| *increase >= 0.0);
        points.extend(increase.map(|increase| (name, increase / seconds)));
    }
    let increase = |field: &str| {
        let name = format!("cpu.{field}");
        Some(frame.values.get(&name)? - before.values.get(&name)?)
    };
    let total: f64 = CPU.iter().filter_map(|field| increase(field)).sum();
    if total > 0.0 {
        for field in ["idle", "system", "iowait"] {
            let increase = increase(field).filter(|increase| *increase >= 0.0);
            let name = format!("cpu.{field}.percentage");
            points.extend(increase.map(|increase| (name, increase * frame.values["cpu.count"] * 100.0 / total)));
        }
    }
}

/// Checks what the service has against what the spool has: every point of every frame, each value right, and no
/// point at a time at which no frame was taken. Two frames may share a second: then either may have come last.
pub fn assert_same(home: &Home, fake: &FakeMackerel) {
    let frames = home.frames();
    assert!(frames.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq), "frames are missing from the spool");
    let id = home.id();
    let mut wanted: BTreeMap<(i64, String), Vec<f64>> = BTreeMap::new();
    let mut before = None;
    for frame in &frames {
        for (name, value) in points(before, frame) {
            wanted.entry((frame.second(), name)).or_default().push(value);
        }
        before = Some(frame);
    }
    let stored = fake.points();
    for ((second, name), values) in &wanted {
        let value = stored.get(&(id.clone(), name.clone(), *second));
        let value = value.unwrap_or_else(|| panic!("{name} at {second} did not arrive"));
        let is_close = |wanted: &f64| (wanted - value).abs() <= 1e-9 * wanted.abs();
        assert!(values.iter().any(is_close), "{name} at {second} is {value} and not {values:?}");
    }
    let names: BTreeSet<&String> = wanted.keys().map(|(_, name)| name).collect();
    let seconds: BTreeSet<i64> = frames.iter().map(Frame::second).collect();
    for (host, name, second) in stored.keys() {
        assert_eq!(*host, id, "a point of another host");
        assert!(seconds.contains(second), "{name} at {second}, when no frame was taken");
        assert!(!names.contains(name) || wanted.contains_key(&(*second, name.clone())), "{name} at {second}: whence?");
    }
}
