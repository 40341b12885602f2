//! What the stages behind the parser need to know of the channel and the receipt: plain data, gathered by the pipeline.

use jiff::{Timestamp, tz::TimeZone};
use ring::hmac;

use crate::{
    complaint::{ContentDisclosure, Medium, RawRef, ReplyCapability, ReporterDisclosure},
    receipt::{ChannelId, Receipt, ReceiptId, Verdict},
};

/// The channel as the complaint format sees it, and the gateway's defaults for it.
#[derive(Clone, Debug)]
pub struct ChannelFacts {
    pub id: ChannelId,
    pub medium: Medium,
    pub provider: String,
    /// How a citizen of this channel can be answered; empty: not at all.
    pub capabilities: Vec<ReplyCapability>,
    pub timezone: TimeZone,
    /// BCP 47, of the first answer.
    pub language: String,
    pub reporter_disclosure: ReporterDisclosure,
    pub content_disclosure: ContentDisclosure,
    pub notice_version: String,
    pub gateway: String,
}

impl ChannelFacts {
    /// RFC 3339 in the channel's zone, to the millisecond.
    pub fn time(&self, at: Timestamp) -> String {
        let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
        at.display_with_offset(self.timezone.to_offset(at)).to_string()
    }
}

/// The receipt behind a message.
#[derive(Clone, Debug)]
pub struct ReceiptFacts {
    pub id: ReceiptId,
    pub received_at: Timestamp,
    pub draw: [u8; 16],
    pub verdict: Verdict,
    pub raw: RawRef,
    /// An operator released it from the quarantine.
    pub released: bool,
}

impl ReceiptFacts {
    /// Of a receipt whose raw bytes are kept until `expires_at`.
    pub fn new(receipt: &Receipt, verdict: Verdict, expires_at: String) -> Self {
        let request = &receipt.request;
        // A request without a body says what it has to say in its query.
        let (content, fallback) = if request.body.is_empty() {
            (request.query().as_bytes(), "application/x-www-form-urlencoded")
        } else {
            (&request.body[..], "application/octet-stream")
        };
        let declared = request.header("content-type").and_then(|value| value.split(';').next()).map(str::trim);
        let media_type = declared.filter(|media_type| !media_type.is_empty()).unwrap_or(fallback).to_ascii_lowercase();
        let hash = ring::digest::digest(&ring::digest::SHA256, content);
        let raw = RawRef {
            raw_id: receipt.id.0,
            media_type,
            size_bytes: content.len() as u64,
            sha256: crate::complaint::hex(hash.as_ref()),
            expires_at,
        };
        Self { id: receipt.id, received_at: receipt.received_at, draw: receipt.draw, verdict, raw, released: false }
    }

    /// Milliseconds since 1970, for ids.
    pub fn unix_ms(&self) -> u64 {
        u64::try_from(self.received_at.as_millisecond()).unwrap_or(0)
    }
}

/// The key of reporters' refs; prints nothing.
pub struct ReporterKey(pub hmac::Key);

impl std::fmt::Debug for ReporterKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ReporterKey(***)")
    }
}
