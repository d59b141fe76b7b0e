use std::io;
use std::path::{Path, PathBuf};

use serde_json::{json, Value};

use super::tree::Tree;
use super::*;
use crate::platform::host::{Mounts, Space};

const CAPTURE: &str = include_str!("../../tests/fixtures/spec/capture.json");
const CPUINFO: &str = include_str!("../../tests/fixtures/spec/cpuinfo-xeon");
const MEMINFO: &str = include_str!("../../tests/fixtures/spec/meminfo");
const MOUNTINFO: &str = "22 27 0:21 / /proc rw - proc proc rw\n\
                         24 27 0:6 / /dev rw - devtmpfs devtmpfs rw\n\
                         25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw\n\
                         27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                         28 27 0:25 / /mnt/sandboxing/model_tools_env/v1/python ro - tmpfs model_tools_unavailable ro\n\
                         31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n";

/// The captured host's mounts: each its own device.
struct Captured(PathBuf);

impl Captured {
    fn kib(&self, path: &Path) -> io::Result<(u64, [u64; 3])> {
        match path.strip_prefix(&self.0).unwrap().to_str().unwrap() {
            "" => Ok((1, [264_212_084, 238_697_200, 69_771_004])),
            "dev" => Ok((2, [12_334_524; 3])),
            "dev/shm" => Ok((3, [24_684_084; 3])),
            "mnt/sandboxing/model_tools_env/v1/python" => Ok((4, [4; 3])),
            "sys/fs/cgroup" => Ok((5, [12_342_048; 3])),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Mounts for Captured {
    fn device(&self, path: &Path) -> io::Result<u64> {
        self.kib(path).map(|(device, _)| device)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let (_, [total, free, available]) = self.kib(path)?;
        Ok(Space { fragment_bytes: 1024, total, free, available })
    }
}

/// The captured host's files again.
fn captured_tree() -> Tree {
    let tree = Tree::new(&[
        ("proc/cpuinfo", CPUINFO),
        ("proc/meminfo", MEMINFO),
        ("proc/1/mountinfo", MOUNTINFO),
        ("proc/sys/kernel/ostype", "Linux\n"),
        ("proc/sys/kernel/osrelease", "6.18.44-fc-v595\n"),
        ("proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC @0\n"),
        ("proc/sys/kernel/arch", "x86_64\n"),
        ("proc/sys/kernel/hostname", "vm\n"),
        ("etc/debian_version", "12.11\n"),
        ("sys/block/vda/device/vendor", "0x1af4\n"),
    ]);
    for device in ["loop0", "loop1", "loop2", "loop3", "loop4", "loop5", "loop6", "loop7", "vda", "zram0"] {
        let sectors = if device == "vda" { "536870912\n" } else { "0\n" };
        tree.write(&format!("sys/block/{device}/size"), sectors.as_bytes());
        tree.write(&format!("sys/block/{device}/removable"), b"0\n");
    }
    tree
}

#[test]
fn the_captured_host_is_described_as_mackerel_agent_described_it() {
    let tree = captured_tree();
    let host = Host::with_mounts(&tree.0, Box::new(Captured(tree.0.clone())));
    let roles = ["Svc:edge".to_owned()];
    let identity = Identity { display_name: Some("Edge 1"), roles: &roles, ..Identity::default() };
    let mut spec = collect(&host, &identity);
    spec.interfaces = vec![Interface {
        name: "eth0".to_owned(),
        ipv4_addresses: vec!["192.0.2.2".parse().unwrap()],
        ipv6_addresses: vec!["fd00::2".parse().unwrap(), "fe80::fc:ff:fe00:1".parse().unwrap()],
        mac_address: Some("02:fc:00:00:00:01".to_owned()),
    }];
    spec.checks = ["disk", "flip"].map(|name| CheckMonitor { name: name.to_owned(), memo: String::new() }).into();
    let mut found = serde_json::to_value(&spec).unwrap();
    let mut expected: Value = serde_json::from_str(CAPTURE).unwrap();

    // Who describes it differs, by intent.
    assert_eq!(found["meta"]["agent-name"], concat!("iwashi/", env!("CARGO_PKG_VERSION")));
    assert_eq!(found["meta"]["agent-version"], env!("CARGO_PKG_VERSION"));
    for meta in [&mut found["meta"], &mut expected["meta"]] {
        let meta = meta.as_object_mut().unwrap();
        meta.retain(|key, _| !key.starts_with("agent-"));
    }
    assert_eq!(found, expected);
}

#[test]
fn an_empty_root_is_still_a_host() {
    let tree = Tree::new(&[("etc/hostname", "bare\n")]);
    let found = serde_json::to_value(collect(&tree.host(), &Identity::default())).unwrap();
    let meta = found["meta"].as_object().unwrap();
    assert!(meta.keys().all(|key| key.starts_with("agent-")), "{meta:?}");
    let mut without_meta = found.clone();
    without_meta.as_object_mut().unwrap().remove("meta");
    assert_eq!(without_meta, json!({"name": "bare", "interfaces": null, "roleFullnames": [], "checks": []}));
}

#[test]
fn garbage_leaves_parts_out_and_never_panics() {
    let tree = Tree::new(&[("etc/hostname", "odd\n"), ("sys/block", "")]);
    for file in ["cpuinfo", "meminfo", "1/mountinfo", "sys/kernel/ostype", "sys/kernel/osrelease"] {
        tree.write(&format!("proc/{file}"), b"\xff\x00:\n: : :\nprocessor : \xfe\n");
    }
    let found = serde_json::to_value(collect(&tree.host(), &Identity::default())).unwrap();
    assert!(found["meta"].as_object().unwrap().keys().all(|key| key.starts_with("agent-")));
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused() {
    let tree = Tree::new(&[]);
    tree.write("proc/meminfo", &vec![b'x'; 1 << 20]);
    assert_eq!(read_text(&tree.host(), "/proc/meminfo").unwrap().len(), 1 << 20);
    tree.write("proc/meminfo", &vec![b'x'; (1 << 20) + 1]);
    let error = read_text(&tree.host(), "/proc/meminfo").unwrap_err();
    assert_eq!(error.to_string(), "/proc/meminfo: larger than 1 MiB");
}

#[test]
fn a_custom_identifier_and_memos_are_sent_where_set() {
    let tree = Tree::new(&[("etc/hostname", "bare\n")]);
    let identity = Identity { custom_identifier: Some("serial-1"), display_name: Some(""), ..Identity::default() };
    let mut spec = collect(&tree.host(), &identity);
    spec.checks = vec![CheckMonitor { name: "ssh".to_owned(), memo: "port 22".to_owned() }];
    let found = serde_json::to_value(spec).unwrap();
    assert_eq!(found["customIdentifier"], "serial-1");
    assert_eq!(found["checks"], json!([{"name": "ssh", "memo": "port 22"}]));
    assert_eq!(found.get("displayName"), None);
}
