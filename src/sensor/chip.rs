//! A hardware-monitoring chip, and the name that it keeps over boots.
//!
//! `hwmonN`, an I2C bus' number, `nvmeN` and SCSI's `host:channel:target:lun` are given out in the order of loading.
//! What stays is how the chip is wired, so the key is made of the chip's name and the last stable part of its
//! device's path; a disk is named by its serial number or world-wide name.

use std::path::{Component, Path, PathBuf};

use super::sysfs::text_at;

/// A chip. Chips are in the order of their keys and, where these are equal, of their devices' paths.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Chip {
    /// `coretemp.0`, `lm75-fe804000.i2c-0048`, `nvme-S4EWNX0R`.
    pub(crate) key: Box<str>,
    /// Where its device really is.
    device: PathBuf,
    /// The directory with its inputs.
    pub(crate) attributes: PathBuf,
    /// Its driver's name for it.
    pub(crate) name: Box<str>,
}

impl Chip {
    /// The chip of the directory `hwmon`, unless it has gone.
    pub(crate) fn at(hwmon: &Path) -> Option<Self> {
        let link = hwmon.join("device");
        // Before Linux 3.13 most drivers put everything into the device's directory.
        let attributes = if hwmon.join("name").exists() { hwmon.to_owned() } else { link.clone() };
        let name = text_at(&attributes.join("name"))?;
        let device = link.canonicalize().unwrap_or_default();
        let part = stable_part(&device);
        Some(Self { key: key(&name, &part), device, attributes, name })
    }
}

fn key(name: &str, part: &str) -> Box<str> {
    let says_it_all = part.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    match (part, says_it_all) {
        ("", _) => name.into(),
        (_, true) => part.into(),
        (_, false) => format!("{name}-{part}").into(),
    }
}

/// What of the path of `device` does not depend on the order of loading; empty where nothing does not.
fn stable_part(device: &Path) -> String {
    let (Some(Component::Normal(last)), Some(parent)) = (device.components().next_back(), device.parent()) else {
        return String::new();
    };
    let last = last.to_string_lossy();
    let of_parent = || stable_part(parent);
    match kind_of(&last) {
        Part::Stable => last.into_owned(),
        Part::Numbered => of_parent(),
        Part::OnBus(address) => format!("{}-{address}", of_parent()).trim_start_matches('-').to_owned(),
        Part::Disk => serial(device).unwrap_or_else(of_parent),
        Part::Hid(id) => id.to_owned(),
        Part::Nowhere => String::new(),
    }
}

fn serial(device: &Path) -> Option<String> {
    let text = text_at(&device.join("serial")).or_else(|| text_at(&device.join("wwid")))?;
    Some(text.split_whitespace().collect::<Vec<_>>().join("_"))
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'n> {
    Stable,
    /// Its number means nothing.
    Numbered,
    /// An address on a bus whose number means nothing.
    OnBus(&'n str),
    /// A disk, which has a serial number.
    Disk,
    /// Vendor and product, without the running number.
    Hid(&'n str),
    /// No hardware.
    Nowhere,
}

fn kind_of(name: &str) -> Part<'_> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_numbered = |prefix: &str| name.strip_prefix(prefix).is_some_and(is_number);
    if is_numbered("nvme") {
        return Part::Disk;
    }
    if matches!(name, "virtual" | "devices") {
        return Part::Nowhere;
    }
    let classes = ["i2c-", "spi", "ata", "host", "hwmon", "thermal_zone", "usb", "mmc", "ieee80211", "phy"];
    if matches!(name, "nvme" | "thermal" | "hwmon" | "spi_master" | "i2c")
        || name.starts_with("target")
        || classes.into_iter().any(is_numbered)
    {
        return Part::Numbered;
    }
    // 1-0048: I2C. spi0.1: SPI. 0:0:0:0: SCSI. 0003:1B1C:0C10.0005: HID.
    if let Some((_, address)) = name.split_once('-').filter(|(bus, at)| is_number(bus) && at.len() == 4 && is_hex(at)) {
        return Part::OnBus(address);
    }
    if let Some((_, select)) = name.strip_prefix("spi").and_then(|rest| rest.split_once('.')) {
        return Part::OnBus(select);
    }
    if name.split(':').count() == 4 && name.split(':').all(is_number) {
        return Part::Disk;
    }
    match name.split_once('.') {
        Some((id, number)) if id.split(':').count() == 3 && id.split(':').all(is_hex) && number.len() == 4 => {
            Part::Hid(id)
        }
        _ => Part::Stable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_is_named_by_what_does_not_depend_on_the_order_of_loading() {
        let table = [
            ("coretemp", "/sys/devices/platform/coretemp.0", "coretemp.0"),
            ("nct6798", "/sys/devices/platform/nct6775.656", "nct6798-nct6775.656"),
            ("amdgpu", "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0", "amdgpu-0000:01:00.0"),
            ("k10temp", "/sys/devices/pci0000:00/0000:00:18.3", "k10temp-0000:00:18.3"),
            ("lm75", "/sys/devices/platform/soc/fe804000.i2c/i2c-1/1-0048", "lm75-fe804000.i2c-0048"),
            ("lm75", "/sys/devices/platform/soc/fe804000.i2c/i2c-7/7-0048", "lm75-fe804000.i2c-0048"),
            ("jc42", "/sys/devices/pci0000:00/0000:00:1f.4/i2c-0/0-0018", "jc42-0000:00:1f.4-0018"),
            ("max31722", "/sys/devices/platform/soc/fe204000.spi/spi_master/spi0/spi0.1", "max31722-fe204000.spi-1"),
            ("nvme", "/sys/devices/pci0000:00/0000:00:1d.0/0000:02:00.0/nvme/nvme0", "nvme-0000:02:00.0"),
            (
                "drivetemp",
                "/sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0",
                "drivetemp-0000:00:17.0",
            ),
            (
                "corsaircpro",
                "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.0/0003:1B1C:0C10.0005",
                "corsaircpro-0003:1B1C:0C10",
            ),
            ("acpitz", "/sys/devices/virtual/thermal/thermal_zone0", "acpitz"),
            ("cpu_thermal", "/sys/devices/virtual/thermal/thermal_zone0", "cpu_thermal"),
            ("iwlwifi_1", "/sys/devices/virtual/thermal/thermal_zone4", "iwlwifi_1"),
            ("rpi_volt", "/sys/devices/platform/soc/soc:firmware/raspberrypi-hwmon", "rpi_volt-raspberrypi-hwmon"),
            ("asus", "", "asus"),
        ];
        for (name, device, chip) in table {
            assert_eq!(&*key(name, &stable_part(Path::new(device))), chip, "{device}");
        }
    }
}
