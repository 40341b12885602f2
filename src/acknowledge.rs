//! Acknowledge: at most one answer a complaint, in the citizen's language, never to a machine or in a loop.
use jiff::Timestamp;
use crate::{channel::Channel, converse::Said, locale::Locales, sender::Sender, store::OutboxEntry};

/// What an answer is about.
#[derive(Debug)]
pub struct Occasion<'a> {
    pub said: &'a Said,
    /// The event id, or the claim: the outbox id is derived from it, so that a replay adds nothing.
    pub cause: &'a str,
    pub reporter_ref: &'a str,
    pub complaint_id: Option<uuid::Uuid>,
    pub replyable: bool,
}

/// None where nothing may be sent: not replyable, the channel says `acknowledge = false` or cannot send, or a loop.
pub fn acknowledge(occasion: &Occasion<'_>, sender: &mut Sender, channel: &Channel, locales: &Locales, now: Timestamp) -> Option<OutboxEntry> { let _ = (occasion, sender, channel, locales, now); todo!() }
