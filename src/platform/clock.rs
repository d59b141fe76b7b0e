//! Time as the kernel tells it, behind a trait so that tests can set it.

use std::fmt;
use std::path::Path;

use nix::time::{clock_gettime, ClockId};
use serde::{Deserialize, Serialize};

use super::ntp;

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

/// How far the wall time of a stamp is to be believed. The order of the variants is part of the spool's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Trust {
    /// Nothing vouches for it: it may be of 1970, or of the last shutdown.
    #[default]
    Unknown,
    /// The kernel took it from a battery-backed clock at boot.
    Hardware,
    /// A time server (NTP), or the upstream, told it.
    Synchronised,
}

/// When something happened: in which boot, how long after its start, and what the wall clock said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// The boot the times belong to.
    pub boot_id: BootId,
    /// `CLOCK_BOOTTIME` in milliseconds: counts suspend, never steps.
    pub boottime_ms: u64,
    /// Milliseconds since 1970: `CLOCK_REALTIME`, or a better time where one is known.
    pub wall_ms: i64,
    /// How far `wall_ms` is to be believed.
    pub trust: Trust,
}

impl Stamp {
    /// The wall time at which the boot of this stamp began, by this stamp.
    #[must_use]
    pub fn boot_began_ms(&self) -> i64 {
        self.wall_ms.wrapping_sub(self.boottime_ms.cast_signed())
    }

    /// Whether both are known to be of one boot.
    #[must_use]
    pub fn is_same_boot(&self, other: &Self) -> bool {
        self.boot_id == other.boot_id && self.boot_id != BootId::default()
    }

    /// This stamp, dated by `anchor`, one of the same boot. It keeps its own wall time where the two differ by no more
    /// than `tolerance_ms`: clocks are slewed, and the time that a server tells is a second or two old.
    #[must_use]
    pub fn dated_by(self, anchor: &Self, tolerance_ms: u64) -> Self {
        let told = anchor.wall_at(self.boottime_ms);
        let wall_ms = if told.abs_diff(self.wall_ms) <= tolerance_ms { self.wall_ms } else { told };
        Self { wall_ms, trust: anchor.trust, ..self }
    }

    /// What the wall clock said, or would have said, at `boottime_ms` of the same boot, by this stamp.
    #[must_use]
    pub fn wall_at(&self, boottime_ms: u64) -> i64 {
        self.boot_began_ms().wrapping_add(boottime_ms.cast_signed())
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The present moment, for measuring time: nothing is said about its trust.
    fn now(&self) -> Stamp;

    /// The present moment, for keeping: with what is known of its trust, at the price of a system call.
    fn stamp(&self) -> Stamp {
        self.now()
    }
}

/// The kernel's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    boot_id: BootId,
    has_hardware: bool,
}

impl SystemClock {
    /// A clock whose boot identifier, and whether the kernel was told the time by a battery-backed clock, are read
    /// below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { boot_id: BootId::read(root), has_hardware: was_set_by_hardware(root) }
    }

    fn trust(&self, wall_ms: i64) -> Trust {
        match wall_ms >= EARLIEST_CREDIBLE_WALL_MS {
            true if ntp::is_synchronised() => Trust::Synchronised,
            true if self.has_hardware => Trust::Hardware,
            _ => Trust::Unknown,
        }
    }
}

/// Whether the kernel set its clock from a battery-backed one when it booted (`/sys/class/rtc/rtc*/hctosys`, kernel
/// document admin-guide/rtc).
fn was_set_by_hardware(root: &Path) -> bool {
    let clocks = std::fs::read_dir(root.join("sys/class/rtc")).into_iter().flatten().flatten();
    let mut flags = clocks.filter_map(|clock| std::fs::read_to_string(clock.path().join("hctosys")).ok());
    flags.any(|flag| flag.trim() == "1")
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
            trust: Trust::Unknown,
        }
    }

    fn stamp(&self) -> Stamp {
        let now = self.now();
        Stamp { trust: self.trust(now.wall_ms), ..now }
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
    fn a_battery_backed_clock_counts_if_the_kernel_was_set_by_it() {
        let root = std::env::temp_dir().join(format!("iwashi-rtc-{}", std::process::id()));
        assert!(!was_set_by_hardware(&root));
        for (clock, flag) in [("rtc0", "0\n"), ("rtc1", "1\n")] {
            let directory = root.join("sys/class/rtc").join(clock);
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("hctosys"), flag).unwrap();
            assert_eq!(was_set_by_hardware(&root), clock == "rtc1");
        }
        let clock = SystemClock::new(&root);
        assert_eq!(clock.trust(EARLIEST_CREDIBLE_WALL_MS - 1), Trust::Unknown, "a battery that is empty");
        assert!(clock.trust(EARLIEST_CREDIBLE_WALL_MS) >= Trust::Hardware);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_stamp_tells_the_wall_time_of_its_whole_boot() {
        let stamp = Stamp { boottime_ms: 5_000, wall_ms: 1_800_000_000_000, ..Stamp::default() };
        assert_eq!(stamp.wall_at(2_000), 1_799_999_997_000);
        assert_eq!(stamp.wall_at(6_500), 1_800_000_001_500);
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
