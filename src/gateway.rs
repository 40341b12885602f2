//! What the pure stages know of the gateway that they run in: names and defaults, no handles.

use std::sync::OnceLock;

use jiff::tz::TimeZone;
use ring::hmac;

use crate::{
    complaint::{ContentDisclosure, ReporterDisclosure},
    units::Span,
};

/// Facts of this gateway.
#[derive(Debug)]
pub struct Gateway {
    /// `provenance.gateway`.
    pub name: String,
    /// Who runs it, as citizens read it: `{org}` of the messages.
    pub organisation: String,
    /// Without a slash at the end.
    pub public_url: String,
    /// Page with the privacy notice, as citizens read it: `{url}` of the messages.
    pub privacy_url: String,
    /// Working days until the first check, as citizens are told: `{n}` of the messages.
    pub working_days: u32,
    /// ISO 3166.
    pub country: String,
    pub timezone: TimeZone,
    /// BCP 47.
    pub language: String,
    /// Of the privacy notice: `consent.notice_version`.
    pub notice_version: String,
    /// Who learns the reporter when the reporter chose nothing.
    pub reporter_disclosure: ReporterDisclosure,
    /// May the text be published when the reporter chose nothing.
    pub content_disclosure: ContentDisclosure,
    /// Of `reporter.ref`; shared by all gateways of a store, which tells it. The pipeline waits until it is known.
    pub reporter_key: OnceLock<hmac::Key>,
    /// `retention.raw`: when a raw reference expires.
    pub raw_retention: Span,
    /// How long claims are remembered; 30 days or longer.
    pub claim_window: Span,
}

impl Gateway {
    /// The key of `reporter.ref`.
    pub fn reporter_key(&self) -> &hmac::Key {
        self.reporter_key.get().expect("the pipeline waits until the store has told it")
    }
}

#[cfg(test)]
impl Gateway {
    /// A gateway for tests.
    pub fn example() -> Self {
        Self {
            name: "gw-1".to_owned(),
            organisation: "Kota Contoh".to_owned(),
            public_url: "https://loket.example".to_owned(),
            privacy_url: "loket.example/data".to_owned(),
            working_days: 3,
            country: "ID".to_owned(),
            timezone: TimeZone::get("Asia/Jakarta").expect("a zone"),
            language: "id".to_owned(),
            notice_version: "2026-10".to_owned(),
            reporter_disclosure: ReporterDisclosure::Agency,
            content_disclosure: ContentDisclosure::Public,
            reporter_key: hmac::Key::new(hmac::HMAC_SHA256, b"a key").into(),
            raw_retention: Span::from_secs(30 * 86_400),
            claim_window: Span::from_secs(30 * 86_400),
        }
    }
}
