//! One message through the stages that need the sender's memory: what it changes, as one [`Transition`].

use jiff::Timestamp;
use uuid::Uuid;

use super::{Pipeline, Rules};
use crate::{
    acknowledge::{CHAT_ANSWERS, LOOP_ANSWERS, Occasion, Terms, acknowledge},
    assemble::{Assembled, Assembly, assemble},
    channel::{Channel, ChannelFacts},
    complaint::{Event, Sensitivity},
    converse::{
        self, Address, Asked, Conversed, Drafted, Matter, Obeyed, WholeComplaint, WholeFollowUp, asks_about,
        chat::{self, Idle},
        compose::draw,
        may_be_asked, waits_for_an_answer,
    },
    media::job::{Cause, Files, entries},
    normalise::Normalised,
    receipt::ReceiptId,
    route::{PRIORITY, TRIAGE},
    sender::Sender,
    store::{
        ClaimKey, ComplaintRecord, NonceClaim, Opening, OutboxEntry, QueuedEvent, SenderKey, SenderState, StoreError,
        Transition, Turn,
    },
    telemetry::Outcome,
    vault,
};

/// Confidential events are a little more urgent than others, so that a flood does not bury them.
const CONFIDENTIAL_PRIORITY: u8 = PRIORITY + 1;

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
    /// Messages that were drafted before, and will never be anything else.
    pub expired: u64,
}

/// A transition that changes nothing yet.
fn empty(receipt: ReceiptId, sender: SenderKey, claims_until: Timestamp) -> Transition {
    Transition {
        turn: None,
        reserved: None,
        receipt,
        claims: Vec::new(),
        nonce: None,
        claims_until,
        sender,
        expected: 0,
        state: None,
        events: Vec::new(),
        outbox: Vec::new(),
        vault: None,
        record: None,
    }
}

/// The claim on the receipt's nonce, from the receipt's own time, so that a repetition claims the same.
fn nonce_claim(message: &Normalised) -> Option<NonceClaim> {
    let nonce = message.origin.verdict.nonce.as_ref()?;
    let ttl = jiff::SignedDuration::from_secs(nonce.ttl_seconds.into());
    let until = message.origin.received_at.checked_add(ttl).unwrap_or(Timestamp::MAX);
    Some(NonceClaim { key: ClaimKey(nonce.key), body: nonce.body, until })
}

impl Pipeline {
    /// The receipt of what no message caused.
    pub(super) const NOBODY: ReceiptId = ReceiptId(Uuid::nil());

    /// The place of a message in the order of arrival.
    pub(super) fn turn(message: &Normalised) -> Turn {
        // A receipt has far fewer messages; more of them would stand in one place.
        let place = u16::try_from(message.place).unwrap_or(u16::MAX);
        Turn { sender: message.sender, receipt: message.origin.id, place, arrived_at: message.origin.received_at }
    }

    /// What a message asks of the store before the stages run.
    pub(super) fn opening(message: &Normalised) -> Opening {
        Opening {
            receipt: message.origin.id,
            sender: message.sender,
            nonce: nonce_claim(message),
            draw: Some(draw(message)),
        }
    }

    /// A message that a citizen sent. `memory` is left as it will be when the transition is applied.
    pub(super) async fn message(
        &self,
        message: Normalised,
        channel: &Channel,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<Step, StoreError> {
        let claims_until = now + message.claim_window.unwrap_or(self.gateway.claim_window).signed();
        let (receipt, sender) = (message.origin.id, message.sender);
        let turn = Self::turn(&message);
        let reserved = draw(&message);
        let nonce = nonce_claim(&message);
        let claims = message.claim_keys.clone();
        let nothing = |outcome| Step { transition: empty(receipt, sender, claims_until), outcome, expired: 0 };
        let mut step = match assemble(message, &mut memory.sender, &channel.facts, now) {
            Assembly::Waits { .. } => nothing(Outcome::drafted),
            Assembly::Repeated { .. } => nothing(Outcome::duplicate),
            Assembly::Whole(assembled) => {
                let known = self.known(&assembled, &memory.sender, &channel.facts, now).await?;
                self.whole(*assembled, known.as_ref(), channel, memory, now)
            }
        };
        step.transition.turn = Some(turn);
        step.transition.reserved = Some(reserved);
        step.transition.claims = claims;
        step.transition.nonce = nonce;
        step.transition.claims_until = claims_until;
        Ok(remember(step, memory))
    }

    /// Fragments that a timer has flushed: their messages were claimed when they came.
    pub(super) fn flushed(
        &self,
        assembled: Assembled,
        known: Option<&ComplaintRecord>,
        channel: &Channel,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Step {
        let step = self.whole(assembled, known, channel, memory, now);
        remember(step, memory)
    }

    /// A draft whose time has come: the citizen is reminded of it, or it is deleted. None: it waits.
    pub(super) fn idle(&self, key: SenderKey, channel: &Channel, memory: &mut Memory, now: Timestamp) -> Option<Step> {
        let draft = memory.sender.draft.clone()?;
        let mut transition = empty(Self::NOBODY, key, now);
        let expired = match chat::idle(&mut memory.sender, &self.rules.flow, now) {
            Idle::Waits => return None,
            Idle::Ended(messages) => messages,
            Idle::Warned(said) => {
                let cause = format!("{}/{}/idle", draft.id, draft.touched);
                let occasion = Occasion {
                    said: &said,
                    cause: &cause,
                    reporter_ref: &draft.reporter_ref,
                    complaint_id: None,
                    replyable: true,
                    letter: None,
                };
                let terms = terms(channel, !memory.sender.stopped);
                let answer = acknowledge(&occasion, &mut memory.sender, terms, &self.rules.locales, now);
                transition.outbox.extend(answer);
                0
            }
        };
        Some(remember(Step { transition, outcome: Outcome::expired, expired }, memory))
    }

    /// The complaint that a message asks about, if it names one.
    async fn known(
        &self,
        message: &Assembled,
        sender: &Sender,
        channel: &ChannelFacts,
        now: Timestamp,
    ) -> Result<Option<ComplaintRecord>, StoreError> {
        match asks_about(message, sender, channel, &self.gateway) {
            Some(Asked::Tracking(tracking_id)) => self.store.complaint_by_tracking_id(&tracking_id).await,
            Some(Asked::Complaint(complaint_id)) => self.store.complaint(complaint_id).await,
            Some(Asked::Any(ids)) => self.asking(&ids, now).await,
            None => Ok(None),
        }
    }

    /// The first of these complaints whose agency waits for the citizen.
    async fn asking(&self, ids: &[Uuid], now: Timestamp) -> Result<Option<ComplaintRecord>, StoreError> {
        for id in ids {
            let found = self.store.complaint(*id).await?;
            if let Some(known) = found.filter(|known| waits_for_an_answer(known, now)) {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// The same for what a timer is about to flush: photos without a word may be the answer.
    pub(super) async fn asking_of(
        &self,
        sender: &Sender,
        now: Timestamp,
    ) -> Result<Option<ComplaintRecord>, StoreError> {
        match may_be_asked(sender).filter(|_| !sender.waiting.is_empty()) {
            Some(ids) => self.asking(&ids, now).await,
            None => Ok(None),
        }
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
        let mut transition = empty(receipt, sender, now + self.gateway.claim_window.signed());
        let Rules { agencies, flow, locales, .. } = &*self.rules;
        let rules = converse::Rules { agencies, flow, locales };
        let conversed =
            converse::converse(assembled, &mut memory.sender, known, rules, &channel.facts, &self.gateway, now);
        let expired = conversed.matter().expired;
        let outcome = match conversed {
            Conversed::Complaint(whole) => {
                self.complaint(*whole, channel, &mut memory.sender, now, &mut transition);
                Outcome::enqueued
            }
            Conversed::FollowUp(whole) => {
                self.follow_up(*whole, channel, &mut memory.sender, now, &mut transition);
                Outcome::enqueued
            }
            Conversed::Drafted(drafted) => {
                let Drafted { cause, matter } = *drafted;
                self.answer(&matter, &cause, None, channel, &mut memory.sender, now, &mut transition);
                Outcome::drafted
            }
            Conversed::Command(obeyed) => {
                let Obeyed { cause, complaint_id, matter } = *obeyed;
                self.answer(&matter, &cause, complaint_id, channel, &mut memory.sender, now, &mut transition);
                Outcome::command
            }
        };
        Step { transition, outcome, expired }
    }

    fn complaint(
        &self,
        whole: WholeComplaint,
        channel: &Channel,
        sender: &mut Sender,
        now: Timestamp,
        transition: &mut Transition,
    ) {
        let event = whole.event(&channel.facts.id);
        let WholeComplaint { complaint, event_id, matter } = whole;
        let route = self.rules.routing.route(&complaint, channel.facts.queue.as_deref());
        sender.routed(complaint.complaint_id, &route.queue);
        let cause = Cause {
            complaint_id: complaint.complaint_id,
            tracking_id: &complaint.tracking_id,
            queue: &route.queue,
            sensitivity: complaint.sensitivity(),
            priority: route.priority,
            received_datetime: &complaint.received_datetime,
            channel: &channel.facts.id,
            sender: transition.sender,
        };
        transition.outbox.extend(entries(&cause, &complaint.attachments, &files(&matter), &self.gateway.name, now));
        transition.record = Some(ComplaintRecord {
            complaint_id: complaint.complaint_id,
            tracking_id: complaint.tracking_id,
            channel: channel.facts.id.clone(),
            reporter_ref: matter.vault.reporter_ref.clone(),
            queue: route.queue.clone(),
            event_id: event_id.clone(),
            language: matter.language.clone(),
            receipts: matter.receipts.clone(),
            received_at: matter.received_at,
            enqueued_at: now,
            leased_at: None,
            acked_at: None,
            replyable: matter.replyable,
            sequence: 0,
            status: Vec::new(),
        });
        transition.events.push(QueuedEvent { queue: route.queue, priority: route.priority, event });
        let complaint_id = Some(complaint.complaint_id);
        self.answer(&matter, &event_id, complaint_id, channel, sender, now, transition);
    }

    fn follow_up(
        &self,
        whole: WholeFollowUp,
        channel: &Channel,
        sender: &mut Sender,
        now: Timestamp,
        transition: &mut Transition,
    ) {
        let event: Event = whole.event(&channel.facts.id);
        let priority = match whole.sensitivity {
            Sensitivity::Confidential => CONFIDENTIAL_PRIORITY,
            Sensitivity::Normal => PRIORITY,
        };
        let WholeFollowUp { follow_up, event_id, queue, matter, sensitivity, .. } = whole;
        let queue = if queue.is_empty() { TRIAGE.to_owned() } else { queue };
        let cause = Cause {
            complaint_id: follow_up.complaint_id,
            tracking_id: &follow_up.tracking_id,
            queue: &queue,
            sensitivity,
            priority,
            received_datetime: &follow_up.received_datetime,
            channel: &channel.facts.id,
            sender: transition.sender,
        };
        transition.outbox.extend(entries(&cause, &follow_up.attachments, &files(&matter), &self.gateway.name, now));
        transition.events.push(QueuedEvent { queue, priority, event });
        self.answer(&matter, &event_id, Some(follow_up.complaint_id), channel, sender, now, transition);
    }

    /// What the citizen is told, and the address that it goes to.
    #[expect(clippy::too_many_arguments, reason = "each is another thing; a struct for one caller would hide nothing")]
    fn answer(
        &self,
        matter: &Matter,
        cause: &str,
        complaint_id: Option<Uuid>,
        channel: &Channel,
        sender: &mut Sender,
        now: Timestamp,
        transition: &mut Transition,
    ) {
        let Address { reporter_ref, to, kind, from } = &matter.vault;
        if let Some(said) = &matter.say {
            let (replyable, letter) = (matter.replyable, matter.letter.as_ref());
            let occasion = Occasion { said, cause, reporter_ref, complaint_id, replyable, letter };
            // What is said in a conversation answers the citizen, even one who wants no notifications.
            let terms = terms(channel, !sender.stopped || channel.facts.converses());
            let answer: Option<OutboxEntry> = acknowledge(&occasion, sender, terms, &self.rules.locales, now);
            transition.outbox.extend(answer);
        }
        if matter.replyable {
            // The time of the receipt, not of now: what was heard is the same in a repeated transition.
            let (heard_at, answered_at) = (Some(matter.received_at), sender.answered_at());
            let address =
                vault::Address { to: to.clone(), kind: kind.clone(), from: from.clone(), heard_at, answered_at };
            transition.vault = Some(self.vault.seal(reporter_ref, &address));
        }
    }

    /// A sender's state alone, to be looked at again at another time.
    pub(super) fn unchanged(sender: SenderKey, expected: u64, state: SenderState) -> Transition {
        Transition { expected, state: Some(state), ..empty(Self::NOBODY, sender, Timestamp::UNIX_EPOCH) }
    }
}

/// The files of a message as they came.
fn files(matter: &Matter) -> Files {
    Files {
        attachments: matter.attachments.clone(),
        receipts: matter.receipts.clone(),
        place: matter.place,
        received_at: matter.received_at,
    }
}

/// What the channel allows. `is_wanted`: the citizen has not said BERHENTI.
fn terms(channel: &Channel, is_wanted: bool) -> Terms<'_> {
    let facts = &channel.facts;
    Terms {
        channel: &facts.id,
        acknowledge: facts.acknowledge && is_wanted,
        can_send: facts.can_reply,
        answers_in_a_row: if facts.converses() { CHAT_ANSWERS } else { LOOP_ANSWERS },
        answers_a_day: facts.answers_a_day,
        title: &facts.title,
    }
}

/// Writes the sender's memory into the step, and moves it on for the message behind.
fn remember(mut step: Step, memory: &mut Memory) -> Step {
    step.transition.expected = memory.version;
    step.transition.state = Some(SenderState { value: memory.sender.encode(), deadline: memory.sender.deadline() });
    memory.version += 1;
    step
}
