//! What the pure stages know of the gateway that they run in: names and defaults, no handles.

use jiff::tz::TimeZone;
use ring::hmac;

use crate::units::Span;

/// Facts of this gateway.
#[derive(Debug)]
pub struct Gateway {
    /// `provenance.gateway`.
    pub name: String,
    /// Who runs it, as citizens read it: `{org}` of the messages.
    pub organisation: String,
    /// Without a slash at the end.
    pub public_url: String,
    /// ISO 3166.
    pub country: String,
    pub timezone: TimeZone,
    /// BCP 47.
    pub language: String,
    /// Of the privacy notice: `consent.notice_version`.
    pub notice_version: String,
    /// Of `reporter.ref`; shared by all gateways of a store.
    pub reporter_key: hmac::Key,
    /// `retention.raw`: when a raw reference expires.
    pub raw_retention: Span,
    /// How long claims are remembered; 30 days or longer.
    pub claim_window: Span,
}
