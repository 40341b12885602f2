//! Letters: RFC 5322 bytes become one message, whoever wrote them and with whatever client.
//!
//! In: the bytes of a letter as they came, its [`Envelope`], and what the channel knows of itself ([`Circumstances`]). Out:
//! one [`Letter`]. It is pure: no socket, no clock. It never panics and never takes more time or memory than its limits
//! say, whatever the bytes; what it cannot decode it replaces and flags. Only a letter beyond every limit is [`Unreadable`],
//! and then its receipt waits in the quarantine with its raw bytes.

use jiff::Timestamp;

use crate::{
    message::{DeliveryReport, Message},
    receipt::Check,
};

pub mod addresses;
pub mod envelope;
mod read;
mod limits;
mod tree;
mod headers;
mod fields;
mod words;
mod charset;
mod transfer;
mod people;
mod dates;
mod identifiers;
mod text;
mod html;
mod flowed;
mod calendar;
pub mod quote;
pub mod machine;
pub mod attachments;
mod tnef;
mod bounce;
mod results;

use addresses::OurAddresses;
pub use envelope::Envelope;
pub use read::read;

/// What the reader is told besides the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    pub envelope: &'a Envelope,
    /// The channel's own addresses; those of the letter are compared with them.
    pub ours: &'a OurAddresses,
    /// Names of servers whose `Authentication-Results` are believed (RFC 8601, section 2.5): those that the operator runs.
    pub trusted_servers: &'a [String],
    pub received_at: Timestamp,
}

/// A letter, read.
#[derive(Debug)]
pub struct Letter {
    pub message: Message,
    /// What it reports of letters that we sent, by their Message-ID (RFC 3464): `failed` for a bounce, `delivered` and
    /// `read` for receipts that somebody's server or client wrote on its own.
    pub reports: Vec<DeliveryReport>,
    /// Verdicts of a trusted server on its sender.
    pub checks: Vec<Check>,
}

/// A letter that passes a limit; the reason is for operators and holds no word of the letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);
