//! Whether a time server disciplines the kernel's clock.

use nix::libc;

/// Whether the kernel holds its clock for synchronised (`adjtimex(2)`, the flag `STA_UNSYNC`): some NTP client set it,
/// and said so again within the last hours.
#[must_use]
pub fn is_synchronised() -> bool {
    status().is_some_and(|status| status & libc::STA_UNSYNC == 0)
}

/// The kernel's clock status; nothing is changed. `None` where the call is forbidden.
///
/// No crate that we could find asks for it: `nix` and `rustix` lack the call, and `clock-steering` keeps the status to
/// itself.
#[allow(unsafe_code)]
fn status() -> Option<libc::c_int> {
    // SAFETY: `timex` is a plain C struct of integers, for which all bits zero is a value; a `modes` of zero makes the
    // call read only. The pointer is to a local that outlives the call, and the kernel keeps none of it.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    (state >= 0).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers() {
        assert!(status().is_some());
    }
}
