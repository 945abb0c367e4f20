//! Networks of IP addresses.

use std::net::IpAddr;

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Network {
    /// IPv4 addresses are mapped into IPv6.
    bits: u128,
    length: u32,
}

const IPV4_PREFIX: u32 = 96;

// === impl Network ===

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32` or a single address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (most, before) = if address.is_ipv4() { (32, IPV4_PREFIX) } else { (128, 0) };
        let length = length.unwrap_or(most);
        (length <= most).then(|| Self { bits: mapped(address), length: before + length })
    }

    /// Whether one of these contains the address, given as text.
    pub(crate) fn any_contains(networks: &[Self], address: &[u8]) -> bool {
        let parsed = std::str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok());
        parsed.is_some_and(|address| networks.iter().any(|network| network.contains(mapped(address))))
    }

    fn contains(self, address: u128) -> bool {
        let ignored = 128 - self.length;
        (self.bits ^ address).checked_shr(ignored).unwrap_or_default() == 0
    }
}

fn mapped(address: IpAddr) -> u128 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    u128::from(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_that_share_its_prefix() {
        let contains = |network: &str, address: &str| {
            Network::any_contains(&[Network::parse(network).unwrap()], address.as_bytes())
        };
        assert!(contains("10.1.0.0/16", "10.1.255.3") && !contains("10.1.0.0/16", "10.2.0.1"));
        assert!(contains("10.1.2.3", "10.1.2.3") && !contains("10.1.2.3", "10.1.2.4"));
        assert!(contains("10.1.0.0/16", "::ffff:10.1.0.9"));
        assert!(contains("2001:db8::/32", "2001:db8:7::1") && !contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("0.0.0.0/0", "9.9.9.9") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "9.9.9.9") && !contains("::/0", "no address"));
        for wrong in ["10.0.0.0/33", "10.0.0", "::/129", "", "x/8"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
