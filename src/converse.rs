//! Converse: what does the citizen want? A complaint, an addition to one, or an answer to a command.
use jiff::Timestamp;
use crate::{agencies::Agencies, assemble::Assembled, channel::Channel, complaint::{Complaint, EventKind, FollowUp, TrackingId}, gateway::Gateway, sender::Sender, store::{ComplaintRecord, VaultEntry}};

/// What a message came to.
#[derive(Debug)]
pub enum Conversed {
    Complaint(Box<WholeComplaint>),
    FollowUp(Box<WholeFollowUp>),
    /// Answered and done: `command`. The text is a message id of the locales with its arguments.
    Command(Said),
}

#[derive(Debug)]
pub struct WholeComplaint { pub complaint: Complaint, pub event_id: String, pub say: Option<Said>, pub vault: VaultEntry, pub replyable: bool }
#[derive(Debug)]
pub struct WholeFollowUp { pub follow_up: FollowUp, pub kind: EventKind, pub event_id: String, pub queue: String, pub say: Option<Said> }

/// What the citizen is to be told: a message of the locales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said { pub message: &'static str, pub arguments: Vec<(&'static str, String)>, pub language: String }

/// The tracking id that the message asks about: the pipeline looks it up before `converse`.
pub fn asks_about(message: &Assembled) -> Option<TrackingId> { let _ = message; todo!() }

pub fn converse(message: Assembled, sender: &mut Sender, known: Option<&ComplaintRecord>, agencies: &Agencies, channel: &Channel, gateway: &Gateway, now: Timestamp) -> Conversed { let _ = (message, sender, known, agencies, channel, gateway, now); todo!() }
