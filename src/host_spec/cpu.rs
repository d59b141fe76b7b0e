//! Logical processors, each described in strings.
//!
//! Reads `/proc/cpuinfo`, whose keys differ by architecture, and below `/sys/devices/system/cpu/cpuN/` the files
//! `topology/core_id` (where cpuinfo has none) and `cpufreq/cpuinfo_max_freq` (kHz; overrides cpuinfo's clock, which
//! is the present one).

use std::io;

use serde::Serialize;

use super::{arm_part, garbage, read_text};
use crate::platform::decimal::Decimal;
use crate::platform::host::Host;

const CPUINFO: &str = "/proc/cpuinfo";

/// A maximum above this many MHz was not in kHz but in Hz (some vendor kernels).
const MAX_CREDIBLE_MHZ: i64 = 9999;

/// One logical processor. Strings are empty where the architecture does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Maker: `GenuineIntel`, `ARM`.
    pub vendor_id: String,
    /// Model number, `0xd08` on ARM.
    pub model: String,
    /// Stepping or revision.
    pub stepping: String,
    /// Socket.
    pub physical_id: String,
    /// Core in the socket.
    pub core_id: String,
    /// Size of the last-level cache: `512 KB`.
    pub cache_size: String,
    /// Name of the model.
    pub model_name: String,
    /// Family number.
    pub family: String,
    /// Always `1`.
    pub cores: String,
    /// Highest clock, `0` where unknown.
    pub mhz: String,
}

/// Reads all processors.
///
/// # Errors
/// When a number that a processor is known by is none: mackerel-agent drops all of them then, and so do we.
pub(super) fn read(host: &Host) -> io::Result<Vec<Cpu>> {
    let mut cpus = parse(&read_text(host, CPUINFO)?)?;
    for (number, cpu) in &mut cpus {
        let first_line = |file: &str| {
            let text = read_text(host, &format!("/sys/devices/system/cpu/cpu{number}/{file}")).ok()?;
            text.lines().next().map(|line| line.trim().to_owned())
        };
        if cpu.core_id.is_empty() {
            cpu.core_id = first_line("topology/core_id").unwrap_or_default();
        }
        let max_khz = first_line("cpufreq/cpuinfo_max_freq").and_then(|text| text.parse::<u32>().ok());
        if let Some(units) = max_khz.map(i64::from) {
            let places = if units > MAX_CREDIBLE_MHZ * 1000 { 6 } else { 3 };
            cpu.mhz = Decimal { units, places }.shortest().to_string();
        }
    }
    Ok(cpus.into_iter().map(|(_, cpu)| cpu).collect())
}

/// The processors of cpuinfo with their numbers.
fn parse(text: &str) -> io::Result<Vec<(u32, Cpu)>> {
    let mut cpus: Vec<(u32, Cpu)> = Vec::new();
    // Old ARM kernels name the model once, before the first processor.
    let mut common_name = String::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "Processor" => value.clone_into(&mut common_name),
            "processor" | "cpu number" => cpus.push((number(key, value)?, with_defaults(&common_name))),
            _ => {
                if let Some((_, cpu)) = cpus.last_mut() {
                    note(cpu, key, value)?;
                }
            }
        }
    }
    Ok(cpus)
}

fn with_defaults(model_name: &str) -> Cpu {
    Cpu {
        model_name: model_name.to_owned(),
        stepping: "0".to_owned(),
        cache_size: "0 KB".to_owned(),
        cores: "1".to_owned(),
        mhz: "0".to_owned(),
        ..Cpu::default()
    }
}

/// Writes down what one line says of the processor above it.
fn note(cpu: &mut Cpu, key: &str, value: &str) -> io::Result<()> {
    match key {
        "vendorId" | "vendor_id" => value.clone_into(&mut cpu.vendor_id),
        "CPU implementer" => {
            if let Some(vendor) = arm_part::vendor(value) {
                vendor.clone_into(&mut cpu.vendor_id);
            }
        }
        "cpu family" => value.clone_into(&mut cpu.family),
        "model" | "CPU part" => {
            value.clone_into(&mut cpu.model);
            let name = (cpu.vendor_id == arm_part::ARM).then(|| arm_part::model_name(value)).flatten();
            if let Some(name) = name {
                name.clone_into(&mut cpu.model_name);
            }
        }
        // The fourth is MIPS, which mackerel-agent shows without a name.
        "model name" | "Model Name" | "cpu" | "cpu model" | "uarch" => value.clone_into(&mut cpu.model_name),
        "stepping" | "CPU revision" => cpu.stepping = number(key, value)?.to_string(),
        // PowerPC: 2.3 (pvr 004e 1203)
        "revision" => cpu.stepping = number(key, value.split('.').next().unwrap_or_default())?.to_string(),
        "cpu MHz" | "clock" | "cpu MHz dynamic" => {
            if let Some(mhz) = decimal(value.trim_end_matches("MHz")) {
                cpu.mhz = mhz.shortest().to_string();
            }
        }
        "cache size" => cpu.cache_size = format!("{} KB", number(key, value.trim_end_matches(" KB"))?),
        "physical id" => value.clone_into(&mut cpu.physical_id),
        "core id" => value.clone_into(&mut cpu.core_id),
        _ => {}
    }
    Ok(())
}

fn number(key: &str, value: &str) -> io::Result<u32> {
    value.parse().map_err(|_| garbage(CPUINFO, format_args!("{key}: not a number: {value:?}")))
}

/// A number with or without decimal places, of which six are read.
fn decimal(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let units = i64::from(whole.parse::<u32>().ok()?) * 1_000_000 + i64::from(fraction.parse::<u32>().ok()?);
    Some(Decimal { units, places: 6 })
}

#[cfg(test)]
#[path = "cpu_test.rs"]
mod tests;
