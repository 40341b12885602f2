//! A receipt: one delivery of a provider, byte for byte as it came, before anybody has read it.
//!
//! In: nothing but the bytes and the time. Out: the value that verification, the journal and the adapters pass on.
//! A receipt never changes after it was made; what is learnt about it (the [`Verdict`], the messages) stands beside it.

use std::{fmt, net::IpAddr, str::FromStr};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod verdict;

pub use verdict::{Check, CheckResult, Nonce, Proves, Verdict, VerdictResult};

/// Identity of a receipt: a `UUIDv7`, so that ids sort by the time of arrival.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReceiptId(pub Uuid);

impl ReceiptId {
    /// When the receipt arrived, by the time in its id; the earliest of all times for an id that has none.
    pub fn arrived_at(self) -> Timestamp {
        let time = self.0.get_timestamp().map(|time| time.to_unix());
        time.and_then(|(seconds, nanos)| Timestamp::new(i64::try_from(seconds).ok()?, nanos as i32).ok())
            .unwrap_or(Timestamp::MIN)
    }
}

impl fmt::Display for ReceiptId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for ReceiptId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for ReceiptId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Id of a channel: `[a-z0-9][a-z0-9-]{0,62}`, the name of its file in `config/channels/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelId(String);

/// The text is not a channel id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a channel id is 1 to 63 of a-z, 0-9 and `-`, and does not begin with `-`")]
pub struct BadChannelId;

/// Is it `[a-z0-9][a-z0-9-]{0,62}`? So are channels and queues named.
pub fn is_slug(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = text.bytes();
    text.len() <= 63 && bytes.next().is_some_and(good) && bytes.all(|byte| good(byte) || byte == b'-')
}

impl ChannelId {
    /// Checks the alphabet and the length.
    pub fn new(text: impl Into<String>) -> Result<Self, BadChannelId> {
        let text = text.into();
        if is_slug(&text) { Ok(Self(text)) } else { Err(BadChannelId) }
    }

    /// The id as it stands in URLs and events.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lets maps be asked with a borrowed text.
impl std::borrow::Borrow<str> for ChannelId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for ChannelId {
    type Error = BadChannelId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<ChannelId> for String {
    fn from(id: ChannelId) -> Self {
        id.0
    }
}

/// What the provider sent. Verification needs every byte as it was, so nothing here is decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Upper case, as on the wire: `POST`.
    pub method: String,
    /// The raw request target: path and query, byte for byte (`/in/sms?x=%41`).
    pub target: String,
    /// In the order of arrival; names in lower case, values untouched, repeated names kept.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
}

impl Request {
    /// The path of the target, without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The raw query without `?`; empty when there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Every value of a header, in order. `name` is in lower case.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.headers.iter().filter(move |(header, _)| header == name).map(|(_, value)| value.as_slice())
    }

    /// The first value of a header, if it is UTF-8. `name` is in lower case.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.header_values(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// Prints sizes only: a request holds what a citizen wrote, and credentials.
impl fmt::Debug for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Request({} with {} headers and {} bytes)", self.method, self.headers.len(), self.body.len())
    }
}

/// One delivery at one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    pub id: ReceiptId,
    pub channel: ChannelId,
    /// `main`, or the segment behind the channel in the URL (`status`).
    pub endpoint: String,
    /// First byte at the gateway.
    pub received_at: Timestamp,
    /// The peer, after trusted proxies. None where the channel has no peer (a mailbox).
    pub remote: Option<IpAddr>,
    /// Drawn at random when the receipt is made. Every id that is derived from the receipt (complaint, tracking id)
    /// comes from it, so that a replay gives the same ids.
    pub draw: [u8; 16],
    pub request: Request,
}

impl Receipt {
    /// What the raw reference of a complaint describes: the body, or the query where there is no body (a GET).
    pub fn payload(&self) -> &[u8] {
        if self.request.body.is_empty() { self.request.query().as_bytes() } else { &self.request.body }
    }
}

/// The facts of a receipt that every later stage may need, without its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    pub id: ReceiptId,
    pub channel: ChannelId,
    pub received_at: Timestamp,
    pub draw: [u8; 16],
    pub verdict: Verdict,
    /// Of the payload, without parameters.
    pub media_type: String,
    pub size_bytes: u64,
    /// Of the payload.
    pub sha256: [u8; 32],
}

impl Origin {
    pub fn of(receipt: &Receipt, verdict: Verdict) -> Self {
        let payload = receipt.payload();
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, payload).as_ref());
        let declared = receipt.request.header("content-type").and_then(|value| value.split(';').next()).map(str::trim);
        let media_type = match declared {
            Some(media_type) if !receipt.request.body.is_empty() && media_type.contains('/') => {
                media_type.to_ascii_lowercase()
            }
            _ if receipt.request.body.is_empty() => "application/x-www-form-urlencoded".to_owned(),
            _ => "application/octet-stream".to_owned(),
        };
        Self {
            id: receipt.id,
            channel: receipt.channel.clone(),
            received_at: receipt.received_at,
            draw: receipt.draw,
            verdict,
            media_type,
            size_bytes: payload.len() as u64,
            sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_id_is_a_short_slug() {
        assert!(ChannelId::new("sms-1708").is_ok());
        for bad in ["", "-a", "A", "a_b", "a/b", &"a".repeat(64)] {
            assert_eq!(ChannelId::new(bad), Err(BadChannelId), "{bad:?}");
        }
    }
}
