//! Which proxies are believed about the address of a request. A forwarded address decides the remote address of a
//! receipt and nothing else: no verification, no link.

use std::net::IpAddr;

use axum::http::HeaderMap;

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    prefix: u32,
    is_v4: bool,
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.trim().split_once('/').map_or((text.trim(), None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(width), |prefix| prefix.parse().ok().filter(|prefix| *prefix <= width))?;
        Some(Self { address: bits(address), prefix, is_v4: address.is_ipv4() })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let width = if self.is_v4 { 32 } else { 128 };
        address.is_ipv4() == self.is_v4 && (self.prefix == 0 || (bits(address) ^ self.address) >> (width - self.prefix) == 0)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The networks of `trusted_proxies`.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Every text that is no network is named in the error.
    pub fn parse(networks: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            Network::parse(text).ok_or_else(|| format!("trusted_proxies: {text:?} is no network; write 10.0.0.0/8"))
        };
        networks.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The peer, or, behind trusted proxies, the last address of `X-Forwarded-For` that is none of them.
    pub fn remote(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |address: IpAddr| self.0.iter().any(|network| network.contains(address));
        if !trusted(peer) {
            return peer;
        }
        let mut remote = peer;
        let hops = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).collect();
        for hop in hops.into_iter().rev() {
            let Ok(address) = hop.trim().parse() else { break };
            remote = address;
            if !trusted(address) {
                break;
            }
        }
        remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(peer: &str, forwarded: &str) -> String {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8".to_owned(), "::1".to_owned()]).expect("networks");
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().expect("a header"));
        proxies.remote(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn a_forwarded_address_is_believed_from_a_trusted_proxy_only() {
        assert_eq!(remote("203.0.113.9", "198.51.100.7"), "203.0.113.9");
        assert_eq!(remote("10.1.2.3", "198.51.100.7"), "198.51.100.7");
        assert_eq!(remote("10.1.2.3", "192.0.2.66, 198.51.100.7, 10.9.9.9"), "198.51.100.7");
        assert_eq!(remote("10.1.2.3", "nonsense"), "10.1.2.3");
    }

    #[test]
    fn a_text_that_is_no_network_is_named() {
        let error = TrustedProxies::parse(&["10.0.0.0/40".to_owned()]).expect_err("a prefix too long");
        assert!(error.contains("10.0.0.0/40"));
        assert!(Network::parse("0.0.0.0/0").is_some_and(|all| all.contains("8.8.8.8".parse().expect("an address"))));
    }
}
