//! The machine that is measured: every path hangs from one root, so that fixture trees and containers work.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::stat::stat;
use nix::sys::statvfs::statvfs;
pub use nix::sys::utsname::uname;

/// Space of one mounted filesystem, in units of `fragment_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Space {
    /// Size of one unit in bytes (`f_frsize`).
    pub fragment_bytes: u64,
    /// All units (`f_blocks`).
    pub total: u64,
    /// Free units, those reserved for root included (`f_bfree`).
    pub free: u64,
    /// Free units for ordinary users (`f_bavail`).
    pub available: u64,
}

/// What the kernel answers about mount points; tests put their own in its place.
pub trait Mounts: Send + Sync {
    /// The device number that `stat(2)` gives for `path`.
    fn device(&self, path: &Path) -> io::Result<u64>;
    /// The space that `statvfs(3)` gives for `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// The running kernel's answers.
#[derive(Debug, Clone, Copy)]
pub struct KernelMounts;

impl Mounts for KernelMounts {
    fn device(&self, path: &Path) -> io::Result<u64> {
        let found = stat(path)?;
        #[allow(clippy::useless_conversion)] // st_dev is 32 bits wide on some targets
        Ok(found.st_dev.into())
    }

    #[allow(clippy::useless_conversion)] // the fields are 32 bits wide on some targets
    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = statvfs(path)?;
        Ok(Space {
            fragment_bytes: found.fragment_size().into(),
            total: found.blocks().into(),
            free: found.blocks_free().into(),
            available: found.blocks_available().into(),
        })
    }
}

/// The machine that is measured.
pub struct Host {
    root: PathBuf,
    mounts: Box<dyn Mounts>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Host {
    /// The machine whose `/proc` and `/sys` lie below `root` (`/` for this one).
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self::with_mounts(root, Box::new(KernelMounts))
    }

    /// The same, with another teller of mount points.
    #[must_use]
    pub fn with_mounts(root: &Path, mounts: Box<dyn Mounts>) -> Self {
        Self { root: root.to_owned(), mounts }
    }

    /// The root itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this is the running system, not a tree elsewhere.
    #[must_use]
    pub fn is_running_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where the absolute path `path` lies below the root.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Who tells about mount points.
    #[must_use]
    pub fn mounts(&self) -> &dyn Mounts {
        self.mounts.as_ref()
    }
}
