//! Which distribution this is, told from files in `/etc`.
//!
//! The order of the files is mackerel-agent's (gopsutil's): changing it would rename hosts that exist. Most
//! distributions have an os-release besides, which is asked late.

use super::read_text;
use crate::platform::host::Host;

/// A release file this short or shorter says nothing (Debian testing once shipped an empty one).
const MAX_EMPTY_BYTES: usize = 4;

/// What Mackerel shows for a distribution's identifier; others are shown as they are.
const DISPLAY_NAMES: [(&str, &str); 22] = [
    ("debian", "Debian"),
    ("ubuntu", "Ubuntu"),
    ("linuxmint", "Linux Mint"),
    ("raspbian", "Raspbian"),
    ("fedora", "Fedora"),
    ("oracle", "Oracle Linux"),
    ("enterpriseenterprise", "Oracle Enterprise Linux"),
    ("centos", "CentOS"),
    ("redhat", "Red Hat Enterprise Linux"),
    ("scientific", "Scientific Linux"),
    ("amazon", "Amazon Linux"),
    ("xenserver", "XenServer"),
    ("cloudlinux", "CloudLinux"),
    ("ibm_powerkvm", "IBM PowerKVM"),
    ("suse", "SUSE Linux Enterprise Server"),
    ("opensuse", "openSUSE"),
    ("gentoo", "Gentoo Linux"),
    ("slackware", "Slackware"),
    ("arch", "Arch Linux"),
    ("exherbo", "Exherbo"),
    ("alpine", "Alpine Linux"),
    ("coreos", "CoreOS"),
];

/// Tells identifier and version from the text of a release file.
type Teller = fn(&Release<'_>) -> (String, String);

/// The files in the order asked; the first that says anything decides.
const FILES: [(&str, Teller); 13] = [
    ("/etc/oracle-release", |r| ("oracle".to_owned(), version_after_release(r.text))),
    ("/etc/enterprise-release", |r| ("oracle".to_owned(), version_after_release(r.text))),
    ("/etc/slackware-version", |r| {
        ("slackware".to_owned(), r.text.trim().to_lowercase().replacen("slackware ", "", 1))
    }),
    ("/etc/debian_version", debian),
    ("/etc/neokylin-release", red_hat_like),
    ("/etc/redhat-release", red_hat_like),
    ("/etc/system-release", red_hat_like),
    ("/etc/gentoo-release", |r| ("gentoo".to_owned(), version_after_release(r.text))),
    ("/etc/SuSE-release", suse),
    ("/etc/arch-release", |r| ("arch".to_owned(), r.lsb("DISTRIB_RELEASE"))),
    ("/etc/alpine-release", |r| ("alpine".to_owned(), first_line(r.text))),
    ("/etc/os-release", os_release),
    ("/etc/lsb-release", lsb_release),
];

/// The display name and version of the distribution below the host's root, each empty where nothing tells.
pub(super) fn read(host: &Host) -> (String, String) {
    let said = |path| read_text(host, path).ok().filter(|text| text.len() > MAX_EMPTY_BYTES);
    let lsb = read_text(host, "/etc/lsb-release").unwrap_or_default();
    let is_raspberry_pi_os = said("/usr/bin/raspi-config").is_some();
    let told = FILES.iter().find_map(|(path, tell)| {
        let text = said(path)?;
        Some(tell(&Release { text: &text, lsb: &lsb, is_raspberry_pi_os }))
    });
    let (id, version) = told.unwrap_or_default();
    let shown = DISPLAY_NAMES.iter().find(|(known, _)| *known == id);
    (shown.map_or(id, |(_, name)| (*name).to_owned()), version)
}

/// What a teller may look at.
struct Release<'a> {
    text: &'a str,
    lsb: &'a str,
    is_raspberry_pi_os: bool,
}

impl Release<'_> {
    fn lsb(&self, key: &str) -> String {
        assigned(self.lsb, key)
    }
}

fn debian(release: &Release<'_>) -> (String, String) {
    let derived = match release.lsb("DISTRIB_ID").as_str() {
        "Ubuntu" => Some("ubuntu"),
        "LinuxMint" => Some("linuxmint"),
        "Kylin" => Some("Kylin"),
        "Cumulus Linux" => Some("cumuluslinux"),
        "uos" => Some("uos"),
        "Deepin" => Some("Deepin"),
        _ => None,
    };
    match derived {
        Some(id) => (id.to_owned(), release.lsb("DISTRIB_RELEASE")),
        None if release.is_raspberry_pi_os => ("raspbian".to_owned(), first_line(release.text)),
        None => ("debian".to_owned(), first_line(release.text)),
    }
}

fn red_hat_like(release: &Release<'_>) -> (String, String) {
    let text = release.text.to_lowercase();
    let first_word = text.split_whitespace().next().unwrap_or_default();
    let id = if text.contains("red hat") { "redhat" } else { first_word };
    (id.to_owned(), version_after_release(release.text))
}

/// The dotted number in `CentOS Linux release 7.9.2009 (Core)`.
fn version_after_release(text: &str) -> String {
    let text = text.to_lowercase();
    if text.contains("rawhide") {
        return "rawhide".to_owned();
    }
    let mut versions = text.split("release ").skip(1).map(leading_version);
    versions.find(|version| version.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default()
}

fn leading_version(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}

fn suse(release: &Release<'_>) -> (String, String) {
    let is_open = release.text.to_lowercase().contains("opensuse");
    let after = |key: &str| release.text.lines().find_map(|line| line.split_once(key)).map(|(_, v)| leading_version(v));
    let version = [after("VERSION = "), after("PATCHLEVEL = ")].into_iter().flatten().collect::<Vec<_>>().join(".");
    (if is_open { "opensuse" } else { "suse" }.to_owned(), version)
}

fn os_release(release: &Release<'_>) -> (String, String) {
    let id = assigned(release.text, "ID");
    (if id == "amzn" { "amazon".to_owned() } else { id }, assigned(release.text, "VERSION_ID"))
}

fn lsb_release(release: &Release<'_>) -> (String, String) {
    let id = match release.lsb("DISTRIB_ID") {
        scientific if scientific == "ScientificSL" => "scientific".to_owned(),
        other => other.to_lowercase(),
    };
    (id, release.lsb("DISTRIB_RELEASE"))
}

/// The value of the last `key=value` line, quotes taken off; empty where there is none.
fn assigned(text: &str, key: &str) -> String {
    let mut values = text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name == key);
    values.next_back().map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    const CENTOS: &str = "CentOS Linux release 7.9.2009 (Core)\n";
    const RHEL: &str = "Red Hat Enterprise Linux release 9.4 (Plow)\n";
    const UBUNTU: &str = "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=24.04\nDISTRIB_DESCRIPTION=\"Ubuntu 24.04.1 LTS\"\n";
    const OPENWRT: &str = "NAME=\"OpenWrt\"\nVERSION=\"23.05.5\"\nID=\"openwrt\"\nID_LIKE=\"lede openwrt\"\n\
                           PRETTY_NAME=\"OpenWrt 23.05.5\"\nVERSION_ID=\"23.05.5\"\n";
    const BUILDROOT: &str = "NAME=Buildroot\nVERSION=2024.02.1\nID=buildroot\nVERSION_ID=2024.02.1\n";
    const DEBIAN_OS: &str = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n";
    const SLES: &str = "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n";

    /// Files below `/etc`, and the name and version they tell.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

    #[test]
    fn each_distribution_goes_by_the_name_mackerel_shows() {
        let cases: [Case<'_>; 20] = [
            (&[("debian_version", "12.11\n"), ("os-release", DEBIAN_OS)], "Debian", "12.11"),
            (&[("debian_version", "trixie/sid\n")], "Debian", "trixie/sid"),
            (&[("debian_version", "12.5\n"), ("../usr/bin/raspi-config", "#!/bin/sh\n")], "Raspbian", "12.5"),
            (&[("debian_version", "12.5\n"), ("../usr/bin/raspi-config", "")], "Debian", "12.5"),
            (&[("debian_version", "trixie/sid\n"), ("lsb-release", UBUNTU)], "Ubuntu", "24.04"),
            (&[("alpine-release", "3.20.3\n"), ("os-release", "ID=alpine\n")], "Alpine Linux", "3.20.3"),
            (&[("os-release", OPENWRT)], "openwrt", "23.05.5"),
            (&[("os-release", BUILDROOT)], "buildroot", "2024.02.1"),
            (&[("os-release", "ID=\"amzn\"\nVERSION_ID=\"2023\"\n")], "Amazon Linux", "2023"),
            (&[("redhat-release", CENTOS), ("os-release", "ID=centos\n")], "CentOS", "7.9.2009"),
            (&[("redhat-release", RHEL)], "Red Hat Enterprise Linux", "9.4"),
            (&[("redhat-release", "Rocky Linux release 9.3 (Blue Onyx)\n")], "rocky", "9.3"),
            (&[("redhat-release", "Fedora release 42 (Rawhide)\n")], "Fedora", "rawhide"),
            (
                &[("oracle-release", "Oracle Linux Server release 8.9\n"), ("redhat-release", RHEL)],
                "Oracle Linux",
                "8.9",
            ),
            (&[("SuSE-release", SLES)], "SUSE Linux Enterprise Server", "11.4"),
            (&[("slackware-version", "Slackware 15.0\n")], "Slackware", "15.0"),
            (&[("gentoo-release", "Gentoo Base System release 2.15\n")], "Gentoo Linux", "2.15"),
            (&[("lsb-release", "DISTRIB_ID=XenServer\nDISTRIB_RELEASE=7.1\n")], "XenServer", "7.1"),
            (&[("debian_version", "12\n"), ("os-release", BUILDROOT)], "buildroot", "2024.02.1"),
            (&[], "", ""),
        ];
        for (files, name, version) in cases {
            let tree = Tree::new(&[("etc/passwd", "")]);
            files.iter().for_each(|(path, text)| tree.write(&format!("etc/{path}"), text.as_bytes()));
            assert_eq!(read(&tree.host()), (name.to_owned(), version.to_owned()), "{files:?}");
        }
    }

    #[test]
    fn garbage_tells_an_empty_or_odd_name_but_no_panic() {
        for (path, _) in FILES {
            for garbage in [&b"\xff\xfe\x00\x01\x02"[..], b"=====\n", b"release \nrelease", b"\n\n\n\n\n\n"] {
                let tree = Tree::new(&[]);
                tree.write(path.trim_start_matches('/'), garbage);
                let (_, version) = read(&tree.host());
                assert!(version.len() <= 16, "{path}: {version}");
            }
        }
    }
}
