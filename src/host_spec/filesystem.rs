//! Mounted local filesystems by source, those in memory included.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::{garbage, read_text};
use crate::platform::df;
use crate::platform::host::Host;

/// One row of df.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Filesystem {
    /// The whole filesystem in KiB.
    pub kb_size: u64,
    /// In use, in KiB.
    pub kb_used: u64,
    /// Free for ordinary users, in KiB.
    pub kb_available: u64,
    /// In use: `41%`.
    pub percent_used: String,
    /// Where it is mounted.
    pub mount: String,
}

/// Reads all rows of df. Of rows with the same source (`tmpfs`) the last one counts. The config's
/// `[filesystems] ignore` is about metrics and does not apply here.
///
/// # Errors
/// When the mount table cannot be read or holds no row.
pub(super) fn read(host: &Host) -> io::Result<BTreeMap<String, Filesystem>> {
    let path = df::mountinfo_path(host);
    let below_root = path.strip_prefix(host.root()).unwrap_or(&path).to_string_lossy();
    let rows = df::rows(read_text(host, &below_root)?.as_bytes(), host);
    let described: BTreeMap<_, _> = rows.into_iter().filter_map(|row| describe(host, row)).collect();
    if described.is_empty() {
        return Err(garbage(&below_root, "no filesystem with storage"));
    }
    Ok(described)
}

fn describe(host: &Host, row: df::Row) -> Option<(String, Filesystem)> {
    let space = host.mounts().space(&host.path(&row.mount_point));
    let space = space.inspect_err(|error| crate::verbose!("host spec: {} left out: {error}", row.mount_point)).ok()?;
    let kib = space.kib()?;
    let filesystem = Filesystem {
        kb_size: kib.total,
        kb_used: kib.used,
        kb_available: kib.available,
        percent_used: format!("{}%", kib.used_percent),
        mount: row.mount_point,
    };
    Some((row.device, filesystem))
}
