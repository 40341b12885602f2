//! One message through the stages that need the sender's memory: what it changes, as one [`Transition`].

use jiff::Timestamp;

use super::{Pipeline, Rules};
use crate::{
    acknowledge::{Occasion, acknowledge},
    assemble::{Assembled, Assembly, assemble},
    channel::Channel,
    complaint::{Event, EventKind},
    converse::{Conversed, Said, WholeComplaint, WholeFollowUp, converse},
    normalise::Normalised,
    sender::Sender,
    store::{
        ClaimKey, ComplaintRecord, NonceClaim, OutboxEntry, QueuedEvent, SenderKey, SenderState, Transition, VaultEntry,
    },
    telemetry::Outcome,
};

/// The sender as the store has it, or as the messages before this one in the batch have left it.
#[derive(Clone, Debug)]
pub struct Memory {
    pub version: u64,
    pub sender: Sender,
}

/// A transition with what it is booked as.
#[derive(Debug)]
pub struct Step {
    pub transition: Transition,
    pub outcome: Outcome,
}

impl Pipeline {
    /// A message that a citizen sent. `memory` is as it will be when the transition is applied.
    pub(super) fn message(
        &self,
        message: Normalised,
        known: Option<&ComplaintRecord>,
        channel: &Channel,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Step {
        let claim = message.claim_key;
        let claims_until = now + message.claim_window.unwrap_or(self.gateway.claim_window).signed();
        let nonce = message.origin.verdict.nonce.as_ref().map(|nonce| NonceClaim {
            key: ClaimKey(nonce.key),
            body: nonce.body,
            until: now + jiff::SignedDuration::from_secs(nonce.ttl_seconds.into()),
        });
        let (receipt, sender) = (message.origin.id, message.sender);
        let mut step = match assemble(message, &mut memory.sender, &channel.facts, now) {
            Assembly::Waits { .. } => Step { transition: empty(receipt, sender), outcome: Outcome::drafted },
            Assembly::Whole(assembled) => self.whole(*assembled, known, channel, memory, now),
        };
        step.transition.claims = vec![claim];
        step.transition.nonce = nonce;
        step.transition.claims_until = claims_until;
        self.remember(step, memory)
    }

    /// Fragments that a timer has flushed: their messages were claimed when they came.
    pub(super) fn flushed(&self, assembled: Assembled, channel: &Channel, memory: &mut Memory, now: Timestamp) -> Step {
        let step = self.whole(assembled, None, channel, memory, now);
        self.remember(step, memory)
    }

    /// Writes the sender's memory into the step, and moves it on for the message behind.
    fn remember(&self, mut step: Step, memory: &mut Memory) -> Step {
        step.transition.expected = memory.version;
        step.transition.state = Some(SenderState { value: memory.sender.encode(), deadline: memory.sender.deadline() });
        memory.version += 1;
        step
    }

    fn whole(
        &self,
        assembled: Assembled,
        known: Option<&ComplaintRecord>,
        channel: &Channel,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Step {
        let (receipt, sender) = (assembled.message.origin.id, assembled.message.sender);
        let mut transition = empty(receipt, sender);
        let Rules { agencies, .. } = &*self.rules;
        let conversed = converse(assembled, &mut memory.sender, known, agencies, &channel.facts, &self.gateway, now);
        let outcome = match conversed {
            Conversed::Complaint(whole) => {
                self.complaint(*whole, channel, memory, now, &mut transition);
                Outcome::enqueued
            }
            Conversed::FollowUp(whole) => {
                self.follow_up(*whole, channel, memory, now, &mut transition);
                Outcome::enqueued
            }
            Conversed::Command(command) => {
                transition.vault = Some(self.vault.seal(&command.address));
                transition.outbox.extend(self.answer(&command, channel, memory, now));
                Outcome::command
            }
        };
        Step { transition, outcome }
    }
}
