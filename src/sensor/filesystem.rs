//! Space of the mounted filesystems that `df -Pkl` shows and whose source is a device.
//!
//! Reads `/proc/self/mountinfo` and chooses the rows anew only when its text changed; then asks `statvfs(3)` for
//! each. Remote filesystems are never asked, so that a server that is gone cannot hang the sampling. A mount point
//! that is hidden or may not be entered, or one without storage, has no reading, as df has no row for it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::{Regex, Sensors};
use crate::platform::df;
use crate::platform::host::{Host, Space};
use crate::platform::kernel_file::KernelFile;
use crate::series::{Kind, Metric, Series};

use super::devices::MAX_DEVICES;
use super::error::Wrong;
use super::readings::{Readings, Slot};
use super::text::lines;
use super::{first, read_parsed, Entry, Sampling, Sensor, SensorError};

const METRICS: [Metric; 3] = [
    bytes("filesystem.total", "size, space reserved for root included"),
    bytes("filesystem.free", "space not used, that reserved for root included"),
    bytes("filesystem.available", "space that ordinary users can fill"),
];

const fn bytes(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: "bytes", source: "statvfs", help }
}

const CRC: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_XZ);

pub(super) const ENTRY: Entry = Entry { name: "filesystem", metrics: &METRICS, open };

fn open(host: &Host, settings: &Sensors) -> Box<dyn Sensor> {
    Box::new(Filesystem {
        mountinfo: KernelFile::new(df::mountinfo_path(host)),
        ignore: settings.filesystems_ignore.clone(),
        chosen_from: None,
        rows: Vec::new(),
        excess: 0,
    })
}

struct Filesystem {
    mountinfo: KernelFile,
    ignore: Option<Regex>,
    /// The checksum of the text that the rows were chosen from.
    chosen_from: Option<u64>,
    rows: Vec<Row>,
    /// Rows beyond the most that are kept.
    excess: usize,
}

struct Row {
    device: Box<str>,
    mount_point: Box<str>,
    path: Arc<Path>,
    slots: [Slot; 3],
}

impl Sensor for Filesystem {
    fn sample(&mut self, to: &mut Sampling<'_>) -> Result<(), SensorError> {
        let Self { mountinfo, ignore, chosen_from, rows, excess } = self;
        read_parsed(mountinfo, to.buffer, |text| {
            lines(text).map(drop)?;
            let sum = CRC.checksum(text);
            if *chosen_from != Some(sum) {
                (*rows, *excess) = choose(text, to.host, ignore.as_ref());
                *chosen_from = Some(sum);
            }
            Ok::<_, Wrong<'_>>(())
        })?;
        for _ in 0..*excess {
            to.readings.drop_reading();
        }
        let mut outcome = Ok(());
        for row in rows {
            outcome = first(outcome, row.sample(to.host, &mut to.readings));
        }
        outcome
    }

    fn forget_series(&mut self) {
        self.rows.iter_mut().for_each(|row| row.slots = Default::default());
    }
}

fn choose(mountinfo: &[u8], host: &Host, ignore: Option<&Regex>) -> (Vec<Row>, usize) {
    let is_ignored = |device: &str| ignore.is_some_and(|ignore| ignore.is_match(device));
    let mut rows = df::rows(mountinfo, host);
    rows.retain(|row| row.device.starts_with("/dev/") && !is_ignored(&row.device));
    let excess = rows.len().saturating_sub(MAX_DEVICES);
    let keep = |row: df::Row| Row {
        path: host.path(&row.mount_point).into(),
        device: row.device.into(),
        mount_point: row.mount_point.into(),
        slots: Default::default(),
    };
    (rows.into_iter().take(MAX_DEVICES).map(keep).collect(), excess)
}

impl Row {
    fn sample(&mut self, host: &Host, readings: &mut Readings<'_>) -> Result<(), SensorError> {
        let space = match host.mounts().space(&self.path) {
            Ok(space) if space.total == 0 => return Ok(()),
            Ok(space) => space,
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
                return Ok(())
            }
            Err(error) => return Err(SensorError::read(&self.path, error)),
        };
        let absurd = Wrong { expected: "numbers of bytes below 2^63", found: b"more" };
        let values = bytes_of(&space).ok_or_else(|| SensorError::parse(&self.path, absurd))?;
        let labels = [("device", self.device.as_ref()), ("mountpoint", self.mount_point.as_ref())];
        for ((slot, metric), value) in self.slots.iter_mut().zip(&METRICS).zip(values) {
            readings.push(slot, || Series::new(metric, &labels), value);
        }
        Ok(())
    }
}

/// Total, free and available. `None` also for a filesystem filled past its reserve, which answers a negative number
/// in an unsigned field.
fn bytes_of(space: &Space) -> Option<[i64; 3]> {
    let bytes = |units: u64| units.checked_mul(space.fragment_bytes).and_then(|bytes| i64::try_from(bytes).ok());
    Some([bytes(space.total)?, bytes(space.free)?, bytes(space.available)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_in_bytes_or_not_given() {
        let space = Space { fragment_bytes: 4096, total: 10, free: 4, available: 3 };
        assert_eq!(bytes_of(&space), Some([40960, 16384, 12288]));
        assert_eq!(bytes_of(&Space { available: u64::MAX - 7, ..space }), None);
        assert_eq!(bytes_of(&Space { total: 1 << 52, ..space }), None);
    }
}
