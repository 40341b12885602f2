//! Public keys for one request: those of the settings, or what the key ring holds for a URL.

use std::{borrow::Cow, sync::Arc};

use super::{
    failure::Failure,
    key_ring::{KeyRing, Lookup},
    keys::Keys,
    public_key::PublicKey,
};

/// Bytes of a URL that a request may name: a confirmation of Amazon SNS has a topic of 256 and a token of some hundred.
const LONGEST_URL: usize = 2048;

/// Keys that do not depend on the request.
pub(super) fn known_keys<'k>(keys: &'k Keys, ring: &KeyRing) -> Result<Cow<'k, [PublicKey]>, Failure> {
    match keys {
        Keys::Public(keys) => Ok(Cow::Borrowed(keys)),
        Keys::Generated(pair) => Ok(Cow::Owned(vec![pair.public().clone()])),
        Keys::Urls(urls) => {
            let mut all = Vec::new();
            for url in urls {
                all.extend_from_slice(&fetched(ring, url)?);
            }
            Ok(Cow::Owned(all))
        }
        _ => Err(Failure::wrong("there is no public key")),
    }
}

pub(super) fn fetched(ring: &KeyRing, url: &str) -> Result<Arc<[PublicKey]>, Failure> {
    match ring.find(url) {
        Lookup::Keys(keys) => Ok(keys),
        Lookup::Bad => Err(Failure::wrong("the URL of the key or certificate answers without one")),
        Lookup::Unknown => Err(Failure::later("the key or certificate is not fetched yet")),
    }
}

/// Only https, a host of the list, no user, no port.
pub fn is_allowed(url: &str, hosts: &[String]) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let Some((host, path)) = rest.split_once('/') else { return false };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>#@".contains(&byte));
    url.len() <= LONGEST_URL && plain(path) && is_listed(&host.to_ascii_lowercase(), hosts)
}

/// Is the host, in lower case, one of the list: exact names, or `*.` and a name?
pub fn is_listed(host: &str, hosts: &[String]) -> bool {
    hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|front| front.len() > 1 && front.ends_with('.')),
        None => allowed == host,
    })
}
