//! What Mackerel knows of a host besides metrics: kernel, processors, memory, disks, filesystems and interfaces.
//!
//! The shape is mackerel-agent's, because the service shows these parts by their names. A part that cannot be read
//! is left out and the reason logged at debug level: an edge device without `/sys/block` is still a host.

mod arm_part;
mod block_device;
mod cpu;
mod filesystem;
mod interfaces;
mod kernel;
mod memory;
mod platform_name;
#[cfg(test)]
mod tree;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use serde::Serialize;

pub use self::cpu::Cpu;
pub use self::filesystem::Filesystem;
pub use self::interfaces::Interface;
pub use self::kernel::Kernel;

use crate::config::CheckMonitor;
use crate::platform::host::Host;

/// The most that is read of one file; the longest, cpuinfo, has some 1.5 KiB per processor.
const MAX_BYTES: u64 = 1 << 20;

/// Strings by name.
pub type Fields = BTreeMap<&'static str, String>;

/// The host as Mackerel's API wants it in `POST` and `PUT /api/v0/hosts`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostSpec {
    /// The hostname, as short or long as the machine has it.
    pub name: String,
    /// The name shown instead, from the config.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// The description.
    pub meta: Meta,
    /// The interfaces with an address; JSON `null` when there are none, as mackerel-agent sends.
    #[serde(serialize_with = "null_when_empty")]
    pub interfaces: Vec<Interface>,
    /// `service:role`, all of them: the server drops those that are missing.
    pub role_fullnames: Vec<String>,
    /// The check monitors, all of them: the server deletes those that are missing. [`collect`] leaves this empty.
    pub checks: Vec<CheckMonitor>,
    /// The identifier from the config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_identifier: Option<String>,
}

/// The description of a host. Empty parts are left out of the JSON.
#[derive(Debug, Serialize)]
pub struct Meta {
    /// The commit this agent was built from.
    #[serde(rename = "agent-revision", skip_serializing_if = "str::is_empty")]
    pub agent_revision: &'static str,
    /// This agent's version.
    #[serde(rename = "agent-version")]
    pub agent_version: &'static str,
    /// This agent's name and version.
    #[serde(rename = "agent-name")]
    pub agent_name: &'static str,
    /// Block devices by kernel name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub block_device: BTreeMap<String, Fields>,
    /// Logical processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpu: Vec<Cpu>,
    /// Mounted local filesystems by source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filesystem: BTreeMap<String, Filesystem>,
    /// Kernel and distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    /// Sizes of memory, as `24684096kB`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub memory: Fields,
}

/// What the config says the host is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity<'a> {
    /// `display_name`.
    pub display_name: Option<&'a str>,
    /// `roles`.
    pub roles: &'a [String],
    /// `custom_identifier`.
    pub custom_identifier: Option<&'a str>,
    /// Every check monitor: the service deletes those that are left out.
    pub checks: &'a [CheckMonitor],
}

/// Describes `host`.
#[must_use]
pub fn collect(host: &Host, identity: &Identity<'_>) -> HostSpec {
    HostSpec {
        name: kernel::hostname(host),
        display_name: identity.display_name.unwrap_or_default().to_owned(),
        meta: Meta {
            agent_revision: option_env!("IWASHI_REVISION").unwrap_or_default(),
            agent_version: env!("CARGO_PKG_VERSION"),
            agent_name: concat!("iwashi/", env!("CARGO_PKG_VERSION")),
            block_device: part("block_device", block_device::read(host)),
            cpu: part("cpu", cpu::read(host)),
            filesystem: part("filesystem", filesystem::read(host)),
            kernel: part("kernel", kernel::read(host).map(Some)),
            memory: part("memory", memory::read(host)),
        },
        interfaces: part("interfaces", interfaces::read(host)),
        role_fullnames: identity.roles.to_vec(),
        checks: identity.checks.to_vec(),
        custom_identifier: identity.custom_identifier.filter(|id| !id.is_empty()).map(str::to_owned),
    }
}

/// The part, or nothing where it could not be read.
fn part<T: Default>(name: &str, outcome: io::Result<T>) -> T {
    outcome.unwrap_or_else(|error| {
        crate::verbose!("host spec: {name} left out: {error}");
        T::default()
    })
}

fn null_when_empty<T: Serialize, S: serde::Serializer>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    (!items.is_empty()).then_some(items).serialize(serializer)
}

/// The whole file at `path` below the host's root. What is not UTF-8 becomes U+FFFD.
fn read_text(host: &Host, path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(host.path(path))
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| io::Error::new(error.kind(), format!("read {path}: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(garbage(path, "larger than 1 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn garbage(path: &str, what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {what}"))
}

#[cfg(test)]
mod tests;
