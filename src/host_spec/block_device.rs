//! Block devices, loop and RAM disks included, by kernel name.
//!
//! Reads `/sys/block/D/{size,removable}` (sectors of 512 bytes; 0 or 1) and `/sys/block/D/device/{model,rev,state,
//! timeout,vendor}`, each where the driver has it (SCSI has all, eMMC none of the latter).

use std::collections::BTreeMap;
use std::io;

use super::{read_text, Fields};
use crate::platform::host::Host;

const BLOCK: &str = "/sys/block";

/// The files of a device, and under which name they are shown.
const FILES: [(&str, &str); 7] = [
    ("size", "size"),
    ("removable", "removable"),
    ("device/model", "model"),
    ("device/rev", "rev"),
    ("device/state", "state"),
    ("device/timeout", "timeout"),
    ("device/vendor", "vendor"),
];

/// Reads all devices.
///
/// # Errors
/// When `/sys/block` or a file that exists cannot be read.
pub(super) fn read(host: &Host) -> io::Result<BTreeMap<String, Fields>> {
    let directory = std::fs::read_dir(host.path(BLOCK))
        .map_err(|error| io::Error::new(error.kind(), format!("read {BLOCK}: {error}")))?;
    let mut devices = BTreeMap::new();
    for entry in directory {
        let device = entry?.file_name().to_string_lossy().into_owned();
        devices.insert(device.clone(), describe(host, &device)?);
    }
    Ok(devices)
}

fn describe(host: &Host, device: &str) -> io::Result<Fields> {
    let mut fields = Fields::new();
    for (file, name) in FILES {
        match read_text(host, &format!("{BLOCK}/{device}/{file}")) {
            Ok(text) => {
                fields.insert(name, text.trim().to_owned());
            }
            // NotADirectory: something stands in /sys/block that is no device.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn each_device_shows_the_files_that_it_has() {
        let tree = Tree::new(&[
            ("sys/block/loop0/size", "0\n"),
            ("sys/block/loop0/removable", "0\n"),
            ("sys/block/mmcblk0/size", "62333952\n"),
            ("sys/block/mmcblk0/removable", "0\n"),
            ("sys/block/mmcblk0/device/name", "SC32G\n"),
            ("sys/block/sda/size", "1953525168\n"),
            ("sys/block/sda/removable", "1\n"),
            ("sys/block/sda/device/model", "Portable SSD T5 \n"),
            ("sys/block/sda/device/rev", "0   \n"),
            ("sys/block/sda/device/state", "running\n"),
            ("sys/block/sda/device/timeout", "30\n"),
            ("sys/block/sda/device/vendor", "Samsung \n"),
            ("sys/block/odd", ""),
        ]);
        let found = read(&tree.host()).unwrap();
        let json = serde_json::to_string(&found).unwrap();
        let expected = concat!(
            r#"{"loop0":{"removable":"0","size":"0"},"mmcblk0":{"removable":"0","size":"62333952"},"odd":{},"#,
            r#""sda":{"model":"Portable SSD T5","removable":"1","rev":"0","size":"1953525168","state":"running","#,
            r#""timeout":"30","vendor":"Samsung"}}"#,
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn an_unreadable_file_drops_the_part_and_so_does_an_absent_directory() {
        let tree = Tree::new(&[("sys/block/sda/size/is-a-directory", "")]);
        assert_eq!(read(&tree.host()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read(&Tree::new(&[]).host()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
