//! Network interfaces of the running system and their addresses.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::{getifaddrs, InterfaceAddress};
use nix::net::if_::InterfaceFlags;

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Interface {
    /// The kernel's name: `eth0`.
    pub name: String,
    /// Its own IPv4 addresses, not the far ends of point-to-point links.
    pub ipv4: Vec<Ipv4Addr>,
    /// Its own IPv6 addresses, link-local ones without their zone.
    pub ipv6: Vec<Ipv6Addr>,
    /// The hardware address: `02:fc:00:00:00:01`. None on links that have none, and on those (InfiniBand) whose
    /// address is longer than six bytes.
    pub mac: Option<String>,
    /// Whether the kernel flags it as loopback.
    pub is_loopback: bool,
}

/// The interfaces of this network namespace, up or down, in the kernel's order.
///
/// # Errors
/// Those of getifaddrs(3): no memory, or no netlink (a seccomp filter or `RestrictAddressFamilies=` forbids it).
pub fn interfaces() -> io::Result<Vec<Interface>> {
    Ok(gather(getifaddrs()?.map(Entry::from)))
}

/// One address of one interface.
struct Entry {
    name: String,
    address: Address,
    is_loopback: bool,
}

enum Address {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Mac(Option<String>),
    Other,
}

impl From<InterfaceAddress> for Entry {
    fn from(found: InterfaceAddress) -> Self {
        let storage = found.address.as_ref();
        let address = if let Some(v4) = storage.and_then(|s| s.as_sockaddr_in()) {
            Address::V4(v4.ip())
        } else if let Some(v6) = storage.and_then(|s| s.as_sockaddr_in6()) {
            Address::V6(v6.ip())
        } else if let Some(link) = storage.and_then(|s| s.as_link_addr()) {
            Address::Mac(link.addr().and_then(|bytes| mac_text(bytes.get(..link.halen())?)))
        } else {
            Address::Other
        };
        let is_loopback = found.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        Self { name: found.interface_name, address, is_loopback }
    }
}

fn mac_text(bytes: &[u8]) -> Option<String> {
    let is_absent = bytes.is_empty();
    (!is_absent).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

fn gather(entries: impl Iterator<Item = Entry>) -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in entries {
        // An IPv4 address comes under its label (eth0:1); no interface has a colon in its own name.
        let name = entry.name.split(':').next().unwrap_or_default();
        let known = interfaces.iter().position(|interface| interface.name == name);
        let index = known.unwrap_or_else(|| {
            let is_loopback = entry.is_loopback;
            interfaces.push(Interface { name: name.to_owned(), is_loopback, ..Interface::default() });
            interfaces.len() - 1
        });
        let Some(interface) = interfaces.get_mut(index) else { continue };
        match entry.address {
            Address::V4(address) => interface.ipv4.push(address),
            Address::V6(address) => interface.ipv6.push(address),
            Address::Mac(mac) => interface.mac = mac,
            Address::Other => {}
        }
    }
    interfaces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_gathered_by_interface_and_labels_are_not_interfaces() {
        let entry = |name: &str, address| Entry { name: name.to_owned(), address, is_loopback: name == "lo" };
        let found = gather(
            [
                entry("lo", Address::Mac(mac_text(&[0; 6]))),
                entry("eth0", Address::Mac(mac_text(&[2, 0xfc, 0, 0, 0, 1]))),
                entry("wg0", Address::Mac(mac_text(&[]))),
                entry("lo", Address::V4(Ipv4Addr::LOCALHOST)),
                entry("eth0", Address::V4(Ipv4Addr::new(192, 0, 2, 2))),
                entry("eth0:1", Address::V4(Ipv4Addr::new(192, 0, 2, 3))),
                entry("eth0", Address::V6(Ipv6Addr::UNSPECIFIED)),
                entry("ppp0", Address::Other),
            ]
            .into_iter(),
        );
        let names: Vec<&str> = found.iter().map(|interface| interface.name.as_str()).collect();
        assert_eq!(names, ["lo", "eth0", "wg0", "ppp0"]);
        assert!(found[0].is_loopback && !found[1].is_loopback);
        assert_eq!(found[1].mac.as_deref(), Some("02:fc:00:00:00:01"));
        assert_eq!(found[1].ipv4, [Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 3)]);
        assert_eq!(found[1].ipv6, [Ipv6Addr::UNSPECIFIED]);
        assert_eq!(found[2].mac, None);
    }
}
