//! Adapters: one for each wire protocol. An adapter takes a journalled receipt apart into messages, and composes the
//! request of an answer and judges what came back. It is synchronous and pure: the shell sends what it composed.
//!
//! `webhook` is the declarative engine behind every HTTP provider. A new protocol is one file beside it and three lines here.
//! `telegram` is no engine of its own: its manifest is read by the webhook engine, and it says what the shell asks for beside it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    journal::Journalled,
    mapping::{Mapped, MappingFault, Owners, Surroundings},
    message::{DeliveryReport, Message},
    receipt::{Origin, Receipt, Request},
    settings::Settings,
};

pub mod mail;
pub mod telegram;
pub mod webhook;

use mail::Mail;
use webhook::{Answer, Handshaken, Webhook};

/// The adapter of a manifest, compiled.
#[derive(Debug)]
pub enum Engine {
    Webhook(Box<Webhook>),
    Mail(Mail),
}

impl Engine {
    /// Takes a receipt apart. What cannot be read is in the faults, never a failure of the channel.
    pub fn parse(&self, journalled: Journalled, surroundings: &Surroundings<'_>) -> Parsed {
        match self {
            Self::Webhook(webhook) => webhook.parse(journalled, surroundings),
            Self::Mail(_) => Mail::parse(journalled, surroundings),
        }
    }

    /// What a receipt says, for samples and `loket channel try`: there the journal is not asked.
    pub fn read(&self, receipt: &Receipt, surroundings: &Surroundings<'_>) -> Result<Mapped, MappingFault> {
        match self {
            Self::Webhook(webhook) => webhook.read(receipt, surroundings),
            Self::Mail(_) => Mail::read(receipt, surroundings),
        }
    }

    /// The reply to an HTTP provider; a letter has none.
    pub fn respond(&self, receipt: &Receipt, settings: &Settings) -> Answer {
        match self {
            Self::Webhook(webhook) => webhook.respond(receipt, settings),
            Self::Mail(_) => Answer { status: 250, content_type: None, body: String::new() },
        }
    }

    /// The first handshake that a request is.
    pub fn handshake(
        &self,
        endpoint: &str,
        request: &Request,
        received_at: Timestamp,
        surroundings: &Surroundings<'_>,
    ) -> Option<Handshaken> {
        self.webhook()?.handshake(endpoint, request, received_at, surroundings)
    }

    pub fn webhook(&self) -> Option<&Webhook> {
        match self {
            Self::Webhook(webhook) => Some(webhook),
            Self::Mail(_) => None,
        }
    }

    pub fn mail(&self) -> Option<Mail> {
        match self {
            Self::Mail(mail) => Some(*mail),
            Self::Webhook(_) => None,
        }
    }
}

/// A receipt taken apart; only an adapter makes one.
#[derive(Debug)]
#[expect(clippy::manual_non_exhaustive, reason = "the private field keeps other modules from making one")]
pub struct Parsed {
    pub origin: Arc<Origin>,
    /// With their places in the receipt.
    pub messages: Vec<(usize, Message)>,
    pub reports: Vec<DeliveryReport>,
    /// What could not be read.
    pub faults: Vec<MappingFault>,
    /// Items that are no messages.
    pub ignored: u32,
    /// Whose the items are, where channels share a URL.
    pub owners: Owners,
    _made_by_an_adapter: (),
}

impl Parsed {
    fn new(origin: Origin, mapped: Mapped) -> Self {
        let Mapped { messages, reports, faults, ignored, owners, checks: _ } = mapped;
        Self { origin: Arc::new(origin), messages, reports, faults, ignored, owners, _made_by_an_adapter: () }
    }

    /// Nothing in it could be read.
    fn unreadable(origin: Origin, fault: MappingFault) -> Self {
        Self::new(origin, Mapped { faults: vec![fault], ..Mapped::default() })
    }
}
