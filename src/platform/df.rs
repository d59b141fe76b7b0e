//! The rows that `df -Pkl` prints, without running df.
//!
//! mackerel-agent names filesystem metrics after the rows of GNU df, so which mounts make a row, and under which
//! source, decides the names on graphs that exist already. This is that choice, made from
//! `/proc/self/mountinfo` (kernel doc filesystems/proc, 3.5), whose lines look like this:
//!
//! ```text
//! 27 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw
//! ```
//!
//! Used are the third field (device), the fourth (which directory of the filesystem is mounted), the fifth (mount
//! point), and after the lone `-` the type and the source.

use std::path::{Component, Path, PathBuf};

use super::host::{Host, Space};

/// Types that df takes for filesystems without storage (gnulib mountlist, `ME_DUMMY`).
const DUMMY_TYPES: [&[u8]; 14] = [
    b"autofs",
    b"proc",
    b"subfs",
    b"debugfs",
    b"devpts",
    b"fusectl",
    b"fuse.portal",
    b"mqueue",
    b"rpc_pipefs",
    b"sysfs",
    b"devfs",
    b"kernfs",
    b"ignore",
    b"none",
];

/// Types that df takes for remote whatever their source (gnulib mountlist, `ME_REMOTE`).
const REMOTE_TYPES: [&[u8]; 9] =
    [b"acfs", b"afs", b"coda", b"auristorfs", b"fhgfs", b"gpfs", b"ibrix", b"ocfs2", b"vxfs"];

/// Types that df takes for remote when their source starts with `//`.
const SMB_TYPES: [&[u8]; 3] = [b"smbfs", b"smb3", b"cifs"];

/// The length of a UUID in text.
const UUID_LEN: usize = 36;

/// How many symbolic links the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// One row of df, its numbers not yet asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The source as df prints it: `/dev/mmcblk0p2`, `tmpfs`.
    pub device: String,
    /// The mount point in the measured machine; [`Host::path`] gives where it is here.
    pub mount_point: String,
    /// The type: `ext4`.
    pub fs_type: String,
}

/// The numbers of one row, in KiB rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kib {
    /// The whole filesystem, space reserved for root included.
    pub total: u64,
    /// In use.
    pub used: u64,
    /// Free for ordinary users.
    pub available: u64,
    /// `used` in percent of `used` + `available`, rounded up.
    pub used_percent: u64,
}

impl Space {
    /// The numbers that df prints for this space.
    ///
    /// `None` where df prints no row (no blocks at all), or one that mackerel-agent cannot read (`-` for the
    /// percentage, negative numbers).
    #[must_use]
    pub fn kib(&self) -> Option<Kib> {
        let used = self.total.checked_sub(self.free)?;
        // A filesystem filled past its reserve answers a negative number in the unsigned field.
        let is_negative = i64::try_from(self.available).is_err();
        if self.total == 0 || is_negative {
            return None;
        }
        let in_kib =
            |units: u64| u64::try_from((u128::from(units) * u128::from(self.fragment_bytes)).div_ceil(1024)).ok();
        let usable = u128::from(used) + u128::from(self.available);
        if usable == 0 {
            return None;
        }
        Some(Kib {
            total: in_kib(self.total)?,
            used: in_kib(used)?,
            available: in_kib(self.available)?,
            used_percent: u64::try_from((u128::from(used) * 100).div_ceil(usable)).ok()?,
        })
    }
}

/// Where the mount table of `host` is.
///
/// In another root it is that of process 1, because `self` there is not a process of that machine when the root is
/// a container's view of it.
#[must_use]
pub fn mountinfo_path(host: &Host) -> PathBuf {
    let of_init = host.path("/proc/1/mountinfo");
    if !host.is_running_system() && of_init.exists() {
        return of_init;
    }
    host.path("/proc/self/mountinfo")
}

/// The rows of `df -Pkl` in its order, given the bytes of the file at [`mountinfo_path`].
///
/// Rows without storage ([`Space::kib`] is `None`) and rows whose space cannot be asked are the caller's to skip, as
/// df does when a mount point is hidden or may not be entered. Left out besides are Docker's device-mapper mounts,
/// as mackerel-agent does. Lines that are not mountinfo are skipped. Text that is not UTF-8 is made so with U+FFFD.
#[must_use]
pub fn rows(mountinfo: &[u8], host: &Host) -> Vec<Row> {
    let mut kept: Vec<(u64, Mount)> = Vec::new();
    for mount in mountinfo.split(|byte| *byte == b'\n').filter_map(Mount::parse) {
        if mount.is_dummy() || mount.is_remote() {
            continue;
        }
        // Asked, not taken from mountinfo: something else may be mounted over this point.
        let asked = host.mounts().device(&host.path(&mount.mount_point())).ok();
        let seen = asked.and_then(|device| kept.iter_mut().rfind(|(of, _)| *of == device));
        match seen {
            Some((_, before)) => {
                if mount.displaces(before) {
                    *before = mount;
                }
            }
            None => kept.push((asked.unwrap_or(mount.device), mount)),
        }
    }
    kept.iter().map(|(_, mount)| mount.row(host)).filter(|row| !row.is_of_docker()).collect()
}

impl Row {
    fn is_of_docker(&self) -> bool {
        self.device.starts_with("/dev/mapper/docker-")
            || (self.device.starts_with("/dev/dm-") && self.mount_point.contains("devicemapper/mnt"))
    }
}

/// One line of mountinfo, escapes undone.
struct Mount {
    device: u64,
    root: Vec<u8>,
    point: Vec<u8>,
    fs_type: Vec<u8>,
    source: Vec<u8>,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let device = std::str::from_utf8(fields.nth(2)?).ok()?;
        let (major, minor) = device.split_once(':')?;
        let device = nix::sys::stat::makedev(major.parse().ok()?, minor.parse().ok()?);
        let root = unescape(fields.next()?);
        let point = unescape(fields.next()?);
        fields.find(|field| *field == b"-")?;
        let fs_type = unescape(fields.next()?);
        let source = unescape(fields.next()?);
        #[allow(clippy::useless_conversion)] // dev_t is 32 bits wide on some targets
        let device = device.into();
        Some(Self { device, root, point, fs_type, source })
    }

    fn is_dummy(&self) -> bool {
        DUMMY_TYPES.contains(&self.fs_type.as_slice())
    }

    fn is_remote(&self) -> bool {
        let fs_type = self.fs_type.as_slice();
        self.source.contains(&b':')
            || (self.source.starts_with(b"//") && SMB_TYPES.contains(&fs_type))
            || REMOTE_TYPES.contains(&fs_type)
            || self.source == b"-hosts"
    }

    /// Whether this one stands for the device from now on, not `before`, which was read earlier.
    fn displaces(&self, before: &Self) -> bool {
        let is_real_device = self.source.contains(&b'/') && !before.source.contains(&b'/');
        let is_nearer_root = self.point.len() < before.point.len();
        let is_deeper_bind = self.root.len() > before.root.len();
        let is_mounted_over = self.point == before.point && self.source != before.source;
        is_real_device || (is_nearer_root && !is_deeper_bind) || is_mounted_over
    }

    fn mount_point(&self) -> String {
        String::from_utf8_lossy(&self.point).into_owned()
    }

    fn row(&self, host: &Host) -> Row {
        let source = String::from_utf8_lossy(&self.source);
        let resolved = ends_in_uuid(&self.source).then(|| resolve(&source, host)).flatten();
        Row {
            device: resolved.unwrap_or_else(|| source.into_owned()),
            mount_point: self.mount_point(),
            fs_type: String::from_utf8_lossy(&self.fs_type).into_owned(),
        }
    }
}

/// Undoes `\040` and its like, with which the kernel writes blanks and backslashes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = octal(rest).unwrap_or((*first, after));
        text.push(byte);
        rest = after;
    }
    text
}

/// The byte that an escape at the start of `text` stands for, and what follows it.
fn octal(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', rest @ ..] = text else {
        return None;
    };
    Some((((high - b'0') << 6) | ((middle - b'0') << 3) | (low - b'0'), rest))
}

/// Whether something and then 36 characters of a UUID make up `source`.
fn ends_in_uuid(source: &[u8]) -> bool {
    match source.len().checked_sub(UUID_LEN).and_then(|start| source.split_at_checked(start)) {
        Some((before, uuid)) => !before.is_empty() && uuid.iter().all(|b| *b == b'-' || b.is_ascii_hexdigit()),
        None => false,
    }
}

/// Follows the symbolic link `source` inside the host's root; `None` where it leads nowhere.
fn resolve(source: &str, host: &Host) -> Option<String> {
    let mut path = PathBuf::from(source);
    for _ in 0..MAX_LINKS {
        let here = host.path(path.to_str()?);
        let Ok(target) = std::fs::read_link(&here) else {
            return here.exists().then_some(path).and_then(|path| path.into_os_string().into_string().ok());
        };
        path = normalise(&path.parent()?.join(target));
    }
    None
}

/// Takes `.` and `..` out of an absolute path by its text alone; the directories of `/dev` are not links.
fn normalise(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

#[cfg(test)]
#[path = "df_test.rs"]
mod tests;
