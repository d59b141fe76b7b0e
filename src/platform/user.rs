//! Who runs this process.

use nix::unistd::geteuid;

/// The effective user id.
#[must_use]
pub fn effective() -> u32 {
    geteuid().as_raw()
}

/// Whether it is root's.
#[must_use]
pub fn is_root() -> bool {
    geteuid().is_root()
}
