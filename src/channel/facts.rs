//! What the pure stages know of a channel: plain facts, no handles and no secrets.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    complaint::{Medium, ReplyCapability},
    receipt::ChannelId,
    units::Span,
};

/// A channel as `normalise`, `assemble`, `converse`, `route` and `acknowledge` see it.
#[derive(Clone, Debug)]
pub struct ChannelFacts {
    pub id: ChannelId,
    pub title: String,
    pub medium: Medium,
    /// `channel.provider`: the manifest's `provider`, or its id.
    pub provider: String,
    /// Type of `from` when `identities` does not say (`phone`, `email`, …): the manifest's `address`.
    pub address: String,
    /// ISO 3166: national numbers are read as this country's.
    pub country: String,
    /// The zone of the times in the documents.
    pub timezone: TimeZone,
    /// BCP 47, of the first answer when nothing better is known.
    pub language: String,
    /// False: nothing is sent on our own initiative.
    pub acknowledge: bool,
    /// The queue that the channel names, ahead of the routing rules' default.
    pub queue: Option<String>,
    /// The manifest has a `[send]`.
    pub can_reply: bool,
    /// What an answer may hold, out of the manifest's capabilities; not looked at unless `can_reply`.
    pub capabilities: Vec<ReplyCapability>,
    /// `[message.concat] timeout`: after this the parts that are there go on.
    pub parts_timeout: Span,
    /// `group.window`: quiet time after which an album is whole.
    pub album_window: Span,
    /// `group.max`: longest wait for an album.
    pub album_max: Span,
    /// Answers on our own initiative to one sender in a day; None: no cap of this kind.
    pub answers_a_day: Option<usize>,
    /// Only letters whose DMARC passes are answered.
    pub answers_aligned_only: bool,
}

impl ChannelFacts {
    /// Facts with every default of the specification.
    pub fn new(id: ChannelId, medium: Medium, timezone: TimeZone) -> Self {
        Self {
            title: id.to_string(),
            provider: id.to_string(),
            id,
            medium,
            address: if medium == Medium::Sms { "phone" } else { "opaque" }.to_owned(),
            country: "ID".to_owned(),
            timezone,
            language: "id".to_owned(),
            acknowledge: true,
            queue: None,
            can_reply: true,
            capabilities: vec![ReplyCapability::Text],
            parts_timeout: Span::from_secs(600),
            album_window: Span::from_secs(2),
            album_max: Span::from_secs(10),
            answers_a_day: None,
            answers_aligned_only: false,
        }
    }

    /// Are complaints asked about step by step (`conversation-flow.md` §1)? Where nothing may be said on our own initiative
    /// nothing can be asked, and each message is taken as it is.
    pub fn converses(&self) -> bool {
        let is_chat = matches!(self.medium, Medium::Chat | Medium::Telegram | Medium::Whatsapp);
        is_chat && self.can_reply && self.acknowledge
    }

    /// RFC 3339 in the channel's zone; to the millisecond, unless the second is whole.
    pub fn time(&self, at: Timestamp) -> String {
        let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
        let shown = at.display_with_offset(self.timezone.to_offset(at));
        if at.subsec_millisecond() == 0 { format!("{shown:.0}") } else { format!("{shown:.3}") }
    }
}
