//! Interfaces that have an address other than loopback.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::platform::host::Host;
use crate::platform::network;

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// The kernel's name.
    pub name: String,
    /// Without prefix lengths.
    pub ipv4_addresses: Vec<Ipv4Addr>,
    /// Without prefix lengths and zones; link-local ones too.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// `02:fc:00:00:00:01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
}

/// Reads the interfaces of the running system.
///
/// Below another root there are none: its `/sys/class/net` has names and hardware addresses only, and an interface
/// without an IP address is not shown.
///
/// # Errors
/// Those of [`network::interfaces`].
pub(super) fn read(host: &Host) -> io::Result<Vec<Interface>> {
    if !host.is_running_system() {
        return Ok(Vec::new());
    }
    Ok(network::interfaces()?.into_iter().filter(is_shown).map(Interface::from).collect())
}

/// Down or virtual does not matter, and neither does the loopback flag: an address that others can reach does.
fn is_shown(interface: &network::Interface) -> bool {
    interface.ipv4.iter().any(|address| !address.is_loopback())
        || interface.ipv6.iter().any(|address| !address.is_loopback())
}

impl From<network::Interface> for Interface {
    fn from(found: network::Interface) -> Self {
        Self { name: found.name, ipv4_addresses: found.ipv4, ipv6_addresses: found.ipv6, mac_address: found.mac }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_shown_for_its_addresses_not_its_flag() {
        let v4 = |ipv4: &[Ipv4Addr]| network::Interface { ipv4: ipv4.to_vec(), ..network::Interface::default() };
        let v6 = |ipv6: &[&str]| network::Interface {
            ipv6: ipv6.iter().map(|text| text.parse().unwrap()).collect(),
            ..network::Interface::default()
        };
        assert!(!is_shown(&v4(&[])));
        assert!(!is_shown(&v4(&[Ipv4Addr::LOCALHOST])));
        assert!(!is_shown(&v6(&["::1"])));
        assert!(is_shown(&v6(&["fe80::1"])));
        let anycast_on_lo = v4(&[Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1)]);
        assert!(is_shown(&network::Interface { is_loopback: true, ..anycast_on_lo }));
    }

    #[test]
    fn addresses_are_text_without_prefix_or_zone() {
        let interface = Interface::from(network::Interface {
            name: "eth0".to_owned(),
            ipv4: vec![Ipv4Addr::new(192, 0, 2, 2)],
            ipv6: vec!["fd00:0:0::2".parse().unwrap(), "fe80::fc:ff:fe00:1".parse().unwrap()],
            mac: None,
            is_loopback: false,
        });
        let expected =
            r#"{"name":"eth0","ipv4Addresses":["192.0.2.2"],"ipv6Addresses":["fd00::2","fe80::fc:ff:fe00:1"]}"#;
        assert_eq!(serde_json::to_string(&interface).unwrap(), expected);
    }
}
