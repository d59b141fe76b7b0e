//! Time as the kernel tells it, behind a trait so that tests can set it.

use std::fmt;
use std::path::Path;

use nix::time::{clock_gettime, ClockId};
use serde::{Deserialize, Serialize};

/// Wall times before this are not believed: iwashi did not exist yet (2025-01-01T00:00:00Z, in milliseconds).
///
/// A board without a battery-backed clock wakes in 1970 or at its last shutdown; what it stamps before its clock
/// is set must not be uploaded under a wrong date.
pub const EARLIEST_CREDIBLE_WALL_MS: i64 = 1_735_689_600_000;

/// The kernel's random identifier of one boot (`/proc/sys/kernel/random/boot_id`).
///
/// All zero where the kernel does not tell; boot times of such stamps are compared as if of one boot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// Reads the identifier below `root` (`/` for the running system).
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let text = std::fs::read_to_string(root.join("proc/sys/kernel/random/boot_id")).unwrap_or_default();
        Self::parse(&text).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut id = [0u8; 16];
        let mut digits = text.trim().bytes().filter(|b| *b != b'-');
        for byte in &mut id {
            let high = char::from(digits.next()?).to_digit(16)?;
            let low = char::from(digits.next()?).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        digits.next().is_none().then_some(Self(id))
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// When something happened: in which boot, how long after its start, and what the wall clock said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// The boot the times belong to.
    pub boot_id: BootId,
    /// `CLOCK_BOOTTIME` in milliseconds: counts suspend, never steps.
    pub boottime_ms: u64,
    /// `CLOCK_REALTIME` in milliseconds since 1970, right or not.
    pub wall_ms: i64,
}

impl Stamp {
    /// Whether the wall time can be true at all (see [`EARLIEST_CREDIBLE_WALL_MS`]).
    #[must_use]
    pub fn is_wall_credible(&self) -> bool {
        self.wall_ms >= EARLIEST_CREDIBLE_WALL_MS
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Stamp;
}

/// The kernel's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    boot_id: BootId,
}

impl SystemClock {
    /// A clock whose boot identifier is read below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { boot_id: BootId::read(root) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        // Both clocks exist on every kernel since 2.6.39; an error would need a seccomp filter that forbids them.
        #[allow(clippy::useless_conversion)] // time_t and long are 32 bits wide on some targets
        let read =
            |id| clock_gettime(id).map_or(0, |t| i64::from(t.tv_sec()) * 1000 + i64::from(t.tv_nsec()) / 1_000_000);
        Stamp {
            boot_id: self.boot_id,
            boottime_ms: u64::try_from(read(ClockId::CLOCK_BOOTTIME)).unwrap_or(0),
            wall_ms: read(ClockId::CLOCK_REALTIME),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_id_is_sixteen_bytes_of_hex() {
        let id = BootId::parse("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n").unwrap();
        assert_eq!(id.to_string(), "0f1e2d3c4b5a69788796a5b4c3d2e1f0");
        assert_eq!(BootId::parse("0f1e"), None);
        assert_eq!(BootId::parse("zz1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"), None);
        assert_eq!(BootId::parse("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0f0"), None);
    }

    #[test]
    fn boottime_does_not_go_back() {
        let clock = SystemClock::new(Path::new("/"));
        let first = clock.now();
        let second = clock.now();
        assert!(second.boottime_ms >= first.boottime_ms);
        assert_eq!(second.boot_id, first.boot_id);
    }
}
