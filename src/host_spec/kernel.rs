//! Names and versions of kernel and distribution, and the hostname.

use std::io;

use crate::platform::host::uname;
use serde::Serialize;

use super::{garbage, platform_name, read_text};
use crate::platform::host::Host;

/// Kernel and distribution.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// `uname -s`: `Linux`.
    pub name: String,
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// What GNU `uname -o` says: `GNU/Linux` on Linux, else the name.
    pub os: String,
    /// The distribution as Mackerel shows it: `Raspbian`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub platform_name: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub platform_version: String,
}

/// Reads uname(2) on the running system and `/proc/sys/kernel/{ostype,osrelease,version,arch}`, which hold the same
/// strings, below another root.
///
/// `arch` came with Linux 6.1; where it is missing the machine is the running system's.
///
/// # Errors
/// When one of the names is missing or empty: half a kernel is not shown.
pub(super) fn read(host: &Host) -> io::Result<Kernel> {
    let (platform_name, platform_version) = platform_name::read(host);
    let running = uname()?;
    let machine = running.machine().to_string_lossy().into_owned();
    let [name, release, version, machine] = if host.is_running_system() {
        let text = |field: &std::ffi::OsStr| field.to_string_lossy().into_owned();
        [text(running.sysname()), text(running.release()), text(running.version()), machine]
    } else {
        let machine = sysctl(host, "arch").unwrap_or(machine);
        [sysctl(host, "ostype")?, sysctl(host, "osrelease")?, sysctl(host, "version")?, machine]
    };
    let os = if name == "Linux" { "GNU/Linux".to_owned() } else { name.clone() };
    Ok(Kernel { name, release, version, machine, os, platform_name, platform_version })
}

/// The hostname of uname(2) on the running system; below another root `/proc/sys/kernel/hostname`, else the first
/// line of `/etc/hostname` that is no comment. Where neither tells, the running system's: the API needs a name.
pub(super) fn hostname(host: &Host) -> String {
    let here = || uname().map(|running| running.nodename().to_string_lossy().into_owned()).unwrap_or_default();
    if host.is_running_system() {
        return here();
    }
    sysctl(host, "hostname").or_else(|_| configured_hostname(host)).unwrap_or_else(|error| {
        crate::verbose!("host spec: the name is the running system's: {error}");
        here()
    })
}

fn configured_hostname(host: &Host) -> io::Result<String> {
    const PATH: &str = "/etc/hostname";
    let text = read_text(host, PATH)?;
    let mut names = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.next().map(str::to_owned).ok_or_else(|| garbage(PATH, "no name"))
}

fn sysctl(host: &Host, name: &str) -> io::Result<String> {
    let path = format!("/proc/sys/kernel/{name}");
    let text = read_text(host, &path)?;
    let value = text.trim();
    if value.is_empty() {
        return Err(garbage(&path, "empty"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn another_root_tells_its_own_kernel() {
        let tree = Tree::new(&[
            ("proc/sys/kernel/ostype", "Linux\n"),
            ("proc/sys/kernel/osrelease", "6.6.20+rpt-rpi-v8\n"),
            ("proc/sys/kernel/version", "#1 SMP PREEMPT Debian 1:6.6.20\n"),
            ("proc/sys/kernel/arch", "aarch64\n"),
            ("proc/sys/kernel/hostname", "pi\n"),
            ("etc/hostname", "other\n"),
            ("etc/alpine-release", "3.20.3\n"),
        ]);
        let kernel = read(&tree.host()).unwrap();
        let expected = ["Linux", "6.6.20+rpt-rpi-v8", "#1 SMP PREEMPT Debian 1:6.6.20", "aarch64", "GNU/Linux"];
        assert_eq!([kernel.name, kernel.release, kernel.version, kernel.machine, kernel.os], expected);
        assert_eq!([kernel.platform_name, kernel.platform_version], ["Alpine Linux", "3.20.3"]);
        assert_eq!(hostname(&tree.host()), "pi");
    }

    #[test]
    fn a_kernel_that_is_not_known_in_full_is_no_kernel() {
        let tree = Tree::new(&[("proc/sys/kernel/ostype", "Linux\n"), ("proc/sys/kernel/osrelease", "6.6\n")]);
        assert_eq!(read(&tree.host()).unwrap_err().kind(), io::ErrorKind::NotFound);
        tree.write("proc/sys/kernel/version", b"\n");
        assert_eq!(read(&tree.host()).unwrap_err().to_string(), "/proc/sys/kernel/version: empty");
    }

    #[test]
    fn a_root_without_proc_is_named_by_its_etc_hostname() {
        let tree = Tree::new(&[("etc/hostname", "# set by hand\n\n gateway-7 \n")]);
        assert_eq!(hostname(&tree.host()), "gateway-7");
    }

    #[test]
    fn the_running_system_tells_what_its_sysctls_hold() {
        let host = Host::new(Path::new("/"));
        let kernel = read(&host).unwrap();
        assert_eq!(kernel.release, sysctl(&host, "osrelease").unwrap());
        assert_eq!(kernel.version, sysctl(&host, "version").unwrap());
        assert_eq!(hostname(&host), sysctl(&host, "hostname").unwrap());
    }
}
