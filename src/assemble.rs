//! Assemble: parts of a long SMS become one message.
use jiff::Timestamp;
use crate::{channel::Channel, normalise::Normalised, receipt::ReceiptId, sender::Sender, store::ClaimKey};

/// A message with all its fragments.
#[derive(Debug)]
pub struct Assembled {
    pub message: Normalised,
    /// Words of the claims of all parts, in order; and their ids at the provider.
    pub claims: Vec<String>,
    pub receipts: Vec<ReceiptId>,
    pub incomplete: bool,
    _made_here: (),
}

/// What became of a message.
#[derive(Debug)]
pub enum Assembly {
    Whole(Box<Assembled>),
    /// It waits in the sender's memory for the others: `drafted`.
    Waits { claim_key: ClaimKey },
}

pub fn assemble(message: Normalised, sender: &mut Sender, now: Timestamp) -> Assembly { let _ = (message, sender, now); todo!() }

/// Fragments whose deadline has passed go on as they are.
pub fn flush_due(sender: &mut Sender, channel: &Channel, now: Timestamp) -> Vec<Assembled> { let _ = (sender, channel, now); todo!() }
