//! Networks of `kind = "ip"`: a comma-separated list of addresses and CIDR blocks.

use std::net::IpAddr;

/// A block of addresses, as a 128-bit number; version 4 lies in `::ffff:0:0/96`, so that a mapped address is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    bits: u128,
    mask: u128,
}

impl Network {
    /// None: the text is no address and no CIDR block.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(width);
        let host_bits = width.checked_sub(length)?;
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Some(Self { bits: number(address) & mask, mask })
    }

    /// Every network of a list; None when one of them is none, or the list is empty.
    pub(super) fn parse_list(text: &str) -> Option<Vec<Self>> {
        let networks: Option<Vec<_>> = text.split(',').map(|network| Self::parse(network.trim())).collect();
        networks.filter(|networks| !networks.is_empty())
    }

    pub(super) fn contains(self, address: IpAddr) -> bool {
        number(address) & self.mask == self.bits
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_its_networks_and_in_no_other() {
        let networks = Network::parse_list("203.0.113.0/24, 192.0.2.7,2001:db8::/32").expect("networks");
        let inside = |text: &str| {
            let address = text.parse().expect("an address");
            networks.iter().any(|network| network.contains(address))
        };
        for good in ["203.0.113.0", "203.0.113.255", "::ffff:203.0.113.9", "192.0.2.7", "2001:db8:1::5"] {
            assert!(inside(good), "{good}");
        }
        for bad in ["203.0.112.255", "203.0.114.0", "192.0.2.8", "2001:db9::", "::203.0.113.9"] {
            assert!(!inside(bad), "{bad}");
        }
    }

    #[test]
    fn a_list_with_one_mistake_is_refused() {
        for bad in ["", ",", "203.0.113.0/33", "2001:db8::/129", "example.org", "203.0.113.0/24,x", "1.2.3.4/-1"] {
            assert_eq!(Network::parse_list(bad), None, "{bad}");
        }
        let all = Network::parse("0.0.0.0/0").expect("a network");
        assert!(all.contains("255.1.2.3".parse().expect("an address")));
        assert!(!all.contains("2001:db8::1".parse().expect("an address")), "version 4 only");
    }
}
