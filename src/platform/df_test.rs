use std::collections::HashMap;
use std::io;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::super::host::Mounts;
use super::*;

/// Device numbers by mount point; what is not listed cannot be entered.
struct Devices(HashMap<PathBuf, u64>);

impl Mounts for Devices {
    fn device(&self, path: &Path) -> io::Result<u64> {
        self.0.get(path).copied().ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn host(devices: &[(&str, u64)]) -> Host {
    let devices = devices.iter().map(|(path, device)| (PathBuf::from(path), *device)).collect();
    Host::with_mounts(Path::new("/"), Box::new(Devices(devices)))
}

/// `source point` of each row.
fn table(mountinfo: &str, devices: &[(&str, u64)]) -> Vec<String> {
    rows(mountinfo.as_bytes(), &host(devices)).iter().map(|r| format!("{} {}", r.device, r.mount_point)).collect()
}

#[test]
fn dummy_and_remote_filesystems_make_no_row() {
    let mut mountinfo = String::from("27 1 179:2 / / rw - ext4 /dev/root rw\n");
    for (fs_type, source) in [
        ("proc", "proc"),
        ("sysfs", "sysfs"),
        ("autofs", "systemd-1"),
        ("devpts", "devpts"),
        ("mqueue", "mqueue"),
        ("debugfs", "debugfs"),
        ("fusectl", "fusectl"),
        ("fuse.portal", "portal"),
        ("rpc_pipefs", "sunrpc"),
        ("none", "none"),
        ("nfs4", "nas:/export"),
        ("cifs", "//nas/share"),
        ("fuse.sshfs", "me@nas:"),
        ("ocfs2", "/dev/sdz"),
        ("ext4", "-hosts"),
    ] {
        mountinfo += &format!("90 27 0:90 / /skip rw shared:9 master:1 - {fs_type} {source} rw\n");
    }
    // Neither of these is remote to df, whatever it sounds like.
    mountinfo += "91 27 0:91 / /slashes rw - fuse.x //nas/share rw\n92 27 0:92 / /plan9 rw - 9p host rw\n";
    let found = table(&mountinfo, &[("/", 1), ("/skip", 90), ("/slashes", 91), ("/plan9", 92)]);
    assert_eq!(found, ["/dev/root /", "//nas/share /slashes", "host /plan9"]);
}

#[test]
fn of_several_mounts_of_a_device_one_makes_the_row() {
    for (what, first, second, expected) in [
        ("a bind mount deeper in the tree", "/ / - ext4 /dev/sda1", "/srv /mnt/srv - ext4 /dev/sda1", "/dev/sda1 /"),
        ("(a) a source with a slash", "/ /a - overlay overlay", "/ /long - ext4 /dev/sda1", "/dev/sda1 /long"),
        ("(a) not when both have one", "/ /a - ext4 /dev/sda1", "/ /long - ext4 /dev/sda1", "/dev/sda1 /a"),
        ("(a) nor the other way", "/ /long - ext4 /dev/sda1", "/ /long2 - ext4 disk", "/dev/sda1 /long"),
        ("(b) a shorter mount point", "/ /mnt/long - ext4 /dev/sda1", "/ /a - ext4 /dev/sda1", "/dev/sda1 /a"),
        ("(b) of the same bind root", "/srv /mnt/long - ext4 d", "/xyz /a - ext4 d", "d /a"),
        ("(b) not a deeper bind root", "/ /mnt/long - ext4 d", "/srv /a - ext4 d", "d /mnt/long"),
        ("(b) escapes count undone", "/ /a\\040b - ext4 d", "/ /abcd - ext4 d", "d /a b"),
        ("(c) mounted over", "/ /a - ext4 /dev/old", "/ /a - ext4 /dev/new", "/dev/new /a"),
        ("(c) not elsewhere", "/ /a - ext4 /dev/old", "/ /b - ext4 /dev/new", "/dev/old /a"),
    ] {
        let line = |text: &str| format!("27 1 8:1 {} \n", text.replacen(" -", " rw -", 1));
        let devices = ["/", "/mnt/srv", "/a", "/b", "/long", "/long2", "/mnt/long", "/a b", "/abcd"].map(|p| (p, 1));
        let found = table(&(line(first) + &line(second)), &devices);
        assert_eq!(found, [expected], "{what}");
    }
}

#[test]
fn a_displaced_row_keeps_its_place() {
    let mountinfo = "1 1 8:1 / /mnt/one rw - ext4 /dev/sda1 rw\n\
                     2 1 8:2 / /two rw - ext4 /dev/sda2 rw\n\
                     3 1 8:1 / /one rw - ext4 /dev/sda1 rw\n";
    let found = table(mountinfo, &[("/mnt/one", 1), ("/two", 2), ("/one", 1)]);
    assert_eq!(found, ["/dev/sda1 /one", "/dev/sda2 /two"]);
}

#[test]
fn every_overlay_is_a_row_of_its_own() {
    let mountinfo = "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     2 1 0:50 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw,lowerdir=/x\\040y\n\
                     3 1 0:51 / /var/lib/docker/overlay2/b/merged rw - overlay overlay rw\n";
    let (a, b) = ("/var/lib/docker/overlay2/a/merged", "/var/lib/docker/overlay2/b/merged");
    let found = table(mountinfo, &[("/", 1), (a, 50), (b, 51)]);
    assert_eq!(found, ["/dev/sda1 /", &format!("overlay {a}"), &format!("overlay {b}")]);
}

#[test]
fn a_point_that_may_not_be_entered_is_a_row_under_its_own_device() {
    // makedev(8, 2) is what stat answers for /shown: the hidden row is then displaced by it.
    let mountinfo = "1 1 8:2 / /hidden rw - ext4 /dev/sda2 rw\n\
                     2 1 8:3 / /other-hidden rw - ext4 /dev/sda3 rw\n\
                     3 1 8:2 / /shown rw - ext4 /dev/sda2 rw\n";
    let found = table(mountinfo, &[("/shown", nix::sys::stat::makedev(8, 2))]);
    assert_eq!(found, ["/dev/sda2 /shown", "/dev/sda3 /other-hidden"]);
}

#[test]
fn escapes_of_blanks_and_backslashes_are_undone() {
    let mountinfo = "1 1 8:1 / /media/My\\040Disk\\134x\\011y rw - vfat /dev/disk\\040a rw\n";
    let found = rows(mountinfo.as_bytes(), &host(&[]));
    let row = Row {
        device: "/dev/disk a".to_owned(),
        mount_point: "/media/My Disk\\x\ty".to_owned(),
        fs_type: "vfat".to_owned(),
    };
    assert_eq!(found, [row]);
    assert_eq!(unescape(b"\\04 \\48a \\400 \\"), b"\\04 \\48a \\400 \\", "no escapes");
}

#[test]
fn lines_that_are_not_mountinfo_are_skipped() {
    for garbage in
        ["", "\n\n", "rootfs / rootfs rw 0 0", "1 1 8:1 / /", "1 1 8:1 / / rw - ext4", "1 1 8-1 / / rw - a b"]
    {
        assert_eq!(table(garbage, &[("/", 1)]), Vec::<String>::new(), "{garbage}");
    }
    assert_eq!(rows(b"\xff\xfe\n1 1 8:1 / /\xff rw - ext4 /dev/a rw", &host(&[])).len(), 1);
}

#[test]
fn docker_device_mapper_mounts_are_left_out() {
    let mountinfo = "1 1 253:1 / /a rw - ext4 /dev/mapper/docker-8:1-1-pool rw\n\
                     2 1 253:2 / /b rw - ext4 /dev/mapper/docker-pool rw\n\
                     3 1 253:3 / /var/lib/docker/devicemapper/mnt/1 rw - ext4 /dev/dm-3 rw\n\
                     4 1 253:4 / /c rw - ext4 /dev/dm-4 rw\n\
                     5 1 253:5 / /d rw - ext4 /dev/mapper/vg-root rw\n";
    assert_eq!(table(mountinfo, &[]), ["/dev/dm-4 /c", "/dev/mapper/vg-root /d"]);
}

#[test]
fn a_source_that_ends_in_a_uuid_is_followed_inside_the_root() {
    const UUID: &str = "828fc648-9f30-43d8-a0b1-f7196a2edb66";
    let root = std::env::temp_dir().join(format!("iwashi-df-{}", std::process::id()));
    std::fs::create_dir_all(root.join("dev/disk/by-uuid")).unwrap();
    std::fs::create_dir_all(root.join("dev/mapper")).unwrap();
    std::fs::write(root.join("dev/sda1"), "").unwrap();
    std::fs::write(root.join("dev/dm-0"), "").unwrap();
    symlink("../../sda1", root.join("dev/disk/by-uuid").join(UUID)).unwrap();
    symlink("/dev/dm-0", root.join(format!("dev/mapper/luks-{UUID}"))).unwrap();
    symlink("../dm-0", root.join("dev/mapper/vg-root")).unwrap();
    symlink("../gone", root.join(format!("dev/mapper/gone-{UUID}"))).unwrap();
    symlink(format!("loop-{UUID}"), root.join(format!("dev/mapper/loop-{UUID}"))).unwrap();
    let host = Host::with_mounts(&root, Box::new(Devices(HashMap::new())));
    for (source, printed) in [
        (format!("/dev/disk/by-uuid/{UUID}"), "/dev/sda1".to_owned()),
        (format!("/dev/mapper/luks-{UUID}"), "/dev/dm-0".to_owned()),
        ("/dev/mapper/vg-root".to_owned(), "/dev/mapper/vg-root".to_owned()),
        ("/dev/root".to_owned(), "/dev/root".to_owned()),
        (format!("/dev/mapper/gone-{UUID}"), format!("/dev/mapper/gone-{UUID}")),
        (format!("/dev/mapper/loop-{UUID}"), format!("/dev/mapper/loop-{UUID}")),
        (UUID.to_owned(), UUID.to_owned()),
    ] {
        let mountinfo = format!("1 1 8:1 / / rw - ext4 {source} rw\n");
        assert_eq!(rows(mountinfo.as_bytes(), &host)[0].device, printed, "{source}");
    }
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn another_root_has_the_mount_table_of_its_process_1() {
    let root = std::env::temp_dir().join(format!("iwashi-df-table-{}", std::process::id()));
    std::fs::create_dir_all(root.join("proc/1")).unwrap();
    assert_eq!(mountinfo_path(&Host::new(&root)), root.join("proc/self/mountinfo"));
    std::fs::write(root.join("proc/1/mountinfo"), "").unwrap();
    assert_eq!(mountinfo_path(&Host::new(&root)), root.join("proc/1/mountinfo"));
    assert_eq!(mountinfo_path(&Host::new(Path::new("/"))), Path::new("/proc/self/mountinfo"));
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn numbers_are_rounded_up_to_kib() {
    let space = |fragment_bytes, total, free, available| Space { fragment_bytes, total, free, available }.kib();
    let kib = |total, used, available, used_percent| Some(Kib { total, used, available, used_percent });
    assert_eq!(space(4096, 100, 40, 30), kib(400, 240, 120, 67));
    assert_eq!(space(512, 101, 1, 1), kib(51, 50, 1, 100), "percent is of units, not of KiB: ceil(100*100/101)");
    assert_eq!(space(1024, 10, 10, 10), kib(10, 0, 10, 0));
    assert_eq!(space(1024, 10, 0, 0), kib(10, 10, 0, 100));
    assert_eq!(space(1024, 10, 5, u64::MAX), None, "negative available");
    assert_eq!(space(1024, 10, 11, 5), None, "negative used");
    assert_eq!(space(1024, 10, 10, 0), None, "df prints - for the percentage");
    assert_eq!(space(4096, 0, 0, 0), None, "no storage");
    assert_eq!(space(u64::MAX, u64::MAX, 0, 0), None, "more than a u64 holds");
}

/// Device, mount point, and size in KiB as df prints them.
fn printed_by_df() -> Option<Vec<(String, String, u64)>> {
    let output = Command::new("df").arg("-Pkl").env("LC_ALL", "C").output().ok()?;
    let is_gnu = Command::new("df").arg("--version").output().is_ok_and(|o| o.stdout.starts_with(b"df (GNU"));
    let text = String::from_utf8(output.stdout).ok()?;
    let rows = text.lines().skip(1).map(|line| {
        let mut words = line.split_whitespace();
        let device = words.next().unwrap().to_owned();
        let size_kib = words.next().unwrap().parse().unwrap();
        (device, words.skip(3).collect::<Vec<_>>().join(" "), size_kib)
    });
    is_gnu.then(|| rows.collect())
}

#[test]
#[allow(clippy::print_stderr)] // says why it was skipped
fn rows_of_this_machine_are_those_of_its_df() {
    let Some(expected) = printed_by_df() else {
        eprintln!("skipped: no GNU df here");
        return;
    };
    let host = Host::new(Path::new("/"));
    let mountinfo = std::fs::read(mountinfo_path(&host)).unwrap();
    let found: Vec<(String, String, u64)> = rows(&mountinfo, &host)
        .into_iter()
        .filter_map(|row| {
            let kib = host.mounts().space(&host.path(&row.mount_point)).ok()?.kib()?;
            Some((row.device, row.mount_point, kib.total))
        })
        .collect();
    assert_eq!(found, expected);
}
