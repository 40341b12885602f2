//! Normalise: phones to E.164, text cleaned, language detected, the claim computed.

use std::sync::Arc;
use crate::{channel::Channel, complaint::Flag, message::{Identity, Message}, receipt::Origin, store::{ClaimKey, SenderKey}};

/// A message that every later stage can rely on; only this module makes one.
#[derive(Debug)]
pub struct Normalised {
    pub origin: Arc<Origin>,
    /// Place of the message in its receipt.
    pub place: usize,
    pub message: Message,
    /// The primary name of the sender.
    pub identity: Identity,
    pub replyable: bool,
    pub sender: SenderKey,
    /// In words (`complaint-format.md` §5.1) and as a key.
    pub claim: String,
    pub claim_key: ClaimKey,
    pub claim_is_weak: bool,
    pub flags: Vec<Flag>,
    /// BCP 47 and the detector's confidence.
    pub language: Option<(String, f64)>,
    _made_here: (),
}

/// Never fails: what cannot be cleaned is flagged.
pub fn normalise(origin: &Arc<Origin>, place: usize, message: Message, channel: &Channel) -> Normalised { let _ = (origin, place, message, channel); todo!() }
