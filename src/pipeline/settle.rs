//! From normalised messages to settled transitions: the loop that reads what is known of the senders, lets the pure
//! stages decide, and has the store apply it, until every message of the batch has its outcome.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::Pipeline;
use crate::{
    acknowledge::{Circumstances, acknowledgement},
    assemble::{Assembled, assemble},
    channel::Channel,
    complaint::{Complaint, Event, EventKind, event_id},
    converse::{
        Conversed, Known, What, command_target,
        compose::Material,
        facts::{ChannelFacts, ReceiptFacts},
        memory::{Memory, Remembered},
        step,
    },
    normalise::Normalised,
    receipt::{ChannelId, VerdictResult},
    store::{
        ClaimKey, ComplaintRecord, NonceClaim, OutboxEntry, OutboxKind, QueuedEvent, SenderKey, SenderState, Settled, Store,
        StoreError, Transition, VaultEntry, Versioned,
    },
    telemetry::Outcome,
    vault::Address,
};

/// One message on its way through the stages.
#[derive(Debug)]
pub(super) struct Task {
    pub channel: Arc<Channel>,
    pub facts: Arc<ChannelFacts>,
    pub receipt: Arc<ReceiptFacts>,
    /// Place in its receipt.
    pub index: usize,
    pub message: Normalised,
    /// Raised when a tracking id was taken.
    pub attempt: u32,
}

/// What became of a task, for the receipt's mark and the books.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub outcome: Outcome,
    pub complaint_id: Option<uuid::Uuid>,
    pub queue: Option<String>,
    pub event_id: Option<String>,
    /// The nonce was used with another body: the receipt goes to the quarantine.
    pub forged: bool,
}

/// What a transition will have done, told when the store applied it.
struct Proposal {
    transition: Transition,
    done: Done,
}

impl Pipeline {
    /// Settles every task; the answers are in the order of the tasks. Fails only when the store does: repeat it all.
    pub(super) async fn settle(&self, tasks: &mut [Task], now: Timestamp) -> Result<Vec<Done>, StoreError> {
        let mut done: Vec<Option<Done>> = tasks.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..tasks.len()).collect();
        // A conflict means that another gateway or an earlier message of this batch moved the sender on; each round
        // settles at least the first message of each sender, so the rounds are bounded by the batch.
        for _ in 0..tasks.len().saturating_mul(2) + 8 {
            if open.is_empty() {
                break;
            }
            let proposals = self.propose(tasks, &open, now).await?;
            let (transitions, dones): (Vec<_>, Vec<_>) =
                proposals.into_iter().map(|proposal| (proposal.transition, proposal.done)).unzip();
            let settled = self.store.settle(transitions).await?;
            let mut again = Vec::new();
            for ((place, outcome), proposed) in open.iter().zip(settled).zip(dones) {
                match outcome {
                    Settled::Applied => done[*place] = Some(proposed),
                    Settled::Duplicate { .. } => done[*place] = Some(Done::plain(Outcome::duplicate)),
                    Settled::NonceReused => {
                        done[*place] = Some(Done { forged: true, ..Done::plain(Outcome::quarantined) });
                    }
                    Settled::TrackingIdTaken => {
                        tasks[*place].attempt += 1;
                        again.push(*place);
                    }
                    Settled::Conflict => again.push(*place),
                }
            }
            open = again;
        }
        done.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| {
            warn!("a sender's state changed again and again while a batch was settled");
            StoreError::Away("senders are being changed by others; trying again".to_owned())
        })
    }

    /// The transitions of the open tasks, in order. Messages of one sender build on each other.
    async fn propose(&self, tasks: &[Task], open: &[usize], now: Timestamp) -> Result<Vec<Proposal>, StoreError> {
        let keys: Vec<SenderKey> = open.iter().map(|place| tasks[*place].sender_key()).collect();
        let mut unique = keys.clone();
        unique.sort_unstable();
        unique.dedup();
        let states = self.store.senders(&unique).await?;
        let mut senders: HashMap<SenderKey, Versioned> = unique.into_iter().zip(states).collect();
        let mut proposals = Vec::with_capacity(open.len());
        for (place, key) in open.iter().zip(keys) {
            let task = &tasks[*place];
            let known = self.known(task).await?;
            let Some(sender) = senders.get_mut(&key) else { continue };
            proposals.push(self.proposal(task, key, sender, &known, now));
        }
        Ok(proposals)
    }

    /// What a command asks about, if the message is one.
    async fn known(&self, task: &Task) -> Result<Known, StoreError> {
        let record = match command_target(task.message.message()) {
            Some(tracking_id) => self.store.complaint_by_tracking_id(&tracking_id).await?,
            None => None,
        };
        Ok(Known { record })
    }

    fn proposal(&self, task: &Task, key: SenderKey, sender: &mut Versioned, known: &Known, now: Timestamp) -> Proposal {
        let material = Material {
            channel: &task.facts,
            receipt: &task.receipt,
            index: task.index,
            message: &task.message,
            reporter_key: &self.reporter_key,
        };
        let memory = Memory::read(&sender.state.value);
        let assembled: Assembled<'_> = assemble(material);
        let router = self.router();
        let keywords = |word: &str| router.keyword(word);
        let conversed = step(memory, &assembled, known, &keywords, task.attempt);
        let (transition, done) = self.transition(task, key, sender.version, &material, conversed, now);
        *sender = Versioned {
            version: sender.version + 1,
            state: transition.state.clone().unwrap_or_else(|| sender.state.clone()),
        };
        Proposal { transition, done }
    }

    fn transition(
        &self,
        task: &Task,
        sender: SenderKey,
        expected: u64,
        material: &Material<'_>,
        conversed: Conversed,
        now: Timestamp,
    ) -> (Transition, Done) {
        let Conversed { mut memory, what, answer, language } = conversed;
        let reporter_ref = material.reporter_ref();
        let mut events = Vec::new();
        let mut record = None;
        let done = match what {
            What::Complaint { complaint, text } => {
                let decision = self.router().decide(&complaint);
                let event = complaint_event(&task.channel.id, &complaint, task.message.claim());
                memory.remember(Remembered {
                    complaint_id: complaint.complaint_id,
                    tracking_id: complaint.tracking_id.clone(),
                    queue: decision.queue.clone(),
                    at: task.receipt.received_at.as_second(),
                    text,
                    sequence: 0,
                    privacy: complaint.privacy,
                });
                record = Some(ComplaintRecord {
                    complaint_id: complaint.complaint_id,
                    tracking_id: complaint.tracking_id.clone(),
                    channel: task.channel.id.clone(),
                    reporter_ref: reporter_ref.clone(),
                    queue: decision.queue.clone(),
                    event_id: event.id.clone(),
                    language: language.clone(),
                    receipts: vec![task.receipt.id],
                    received_at: task.receipt.received_at,
                    enqueued_at: now,
                    leased_at: None,
                    acked_at: None,
                    replyable: task.message.replyable() && !task.facts.capabilities.is_empty(),
                    sequence: 0,
                    status: Vec::new(),
                });
                let done = Done::enqueued(complaint.complaint_id, &decision.queue, &event);
                events.push(QueuedEvent { queue: decision.queue, priority: decision.priority, event });
                done
            }
            What::FollowUp { kind, follow_up, queue, sensitivity } => {
                let id = event_id(&task.channel.id, kind.short(), [task.message.claim()]);
                let time = follow_up.received_datetime.clone();
                let event = Event::new(id, &task.channel.id, kind, follow_up.complaint_id, time, sensitivity, &follow_up);
                let done = Done::enqueued(follow_up.complaint_id, &queue, &event);
                events.push(QueuedEvent { queue, priority: 0, event });
                done
            }
            What::Command => Done::plain(Outcome::command),
        };
        let outbox = answer.and_then(|answer| {
            let circumstances = Circumstances {
                medium: task.facts.medium,
                language: &language,
                working_days: self.facts.working_days,
                privacy_url: &self.facts.privacy_url,
                organisation: &self.facts.organisation,
            };
            let wanted = task.channel.acknowledges() && !task.facts.capabilities.is_empty() && task.message.replyable();
            let quiet = memory.answers_within(LOOP_SECONDS, now) > LOOP_ANSWERS;
            if !wanted || quiet {
                return None;
            }
            let text = acknowledgement(&self.locales, &answer, &circumstances)?;
            memory.answered(now);
            Some(OutboxEntry {
                id: format!("ack:{}", material.uuid("answer")),
                kind: OutboxKind::Acknowledgement,
                channel: task.channel.id.clone(),
                reporter_ref: reporter_ref.clone(),
                complaint_id: done.complaint_id,
                text,
                language: language.clone(),
                attempts: 0,
                due: now,
                created: now,
                external_id: None,
                status: None,
                failure: None,
            })
        });
        let address = task.address();
        let transition = Transition {
            receipt: task.receipt.id,
            claims: vec![claim_key(&task.channel.id, task.message.claim())],
            nonce: task.nonce(now),
            claims_until: later(now, task.message.claim_window().unwrap_or(self.facts.claims)),
            sender,
            expected,
            state: Some(SenderState { value: memory.write(), deadline: None }),
            events,
            outbox: outbox.into_iter().collect(),
            vault: Some(VaultEntry { sealed: self.vault.seal(&address, &task.receipt.draw), reporter_ref }),
            record,
        };
        (transition, done)
    }
}

/// An automatic answer is the last one when more than this many …
const LOOP_ANSWERS: usize = 3;
/// … went out within this time: two machines that answer each other stop here (`conversation-flow.md` §3).
const LOOP_SECONDS: i64 = 300;

impl Done {
    fn plain(outcome: Outcome) -> Self {
        Self { outcome, complaint_id: None, queue: None, event_id: None, forged: false }
    }

    fn enqueued(complaint_id: uuid::Uuid, queue: &str, event: &Event) -> Self {
        Self {
            outcome: Outcome::enqueued,
            complaint_id: Some(complaint_id),
            queue: Some(queue.to_owned()),
            event_id: Some(event.id.clone()),
            forged: false,
        }
    }
}

impl Task {
    /// The lane and the memory of the sender.
    fn sender_key(&self) -> SenderKey {
        SenderKey(hashed(&["sender", self.channel.id.as_str(), self.message.conversation_key()]))
    }

    fn address(&self) -> Address {
        let message = self.message.message();
        let identity = message.identities.first();
        let to = message.reply_address.clone().or_else(|| identity.map(|identity| identity.value.clone()));
        Address {
            to: to.unwrap_or_default(),
            kind: identity.map_or_else(|| "opaque".to_owned(), |identity| identity.kind.clone()),
            from: message.to.clone(),
        }
    }

    /// Only a receipt that passed holds its nonce: in observe mode a forgery must not block the genuine request.
    fn nonce(&self, now: Timestamp) -> Option<NonceClaim> {
        let verdict = &self.receipt.verdict;
        let nonce = verdict.nonce.as_ref().filter(|_| verdict.result == VerdictResult::Pass)?;
        let key = crate::complaint::hex(&nonce.key);
        Some(NonceClaim {
            key: ClaimKey(hashed(&["nonce", self.channel.id.as_str(), &key])),
            body: nonce.body,
            until: later(now, SignedDuration::from_secs(i64::from(nonce.ttl_seconds))),
        })
    }
}

/// SHA-256 over length-prefixed parts, cut to 16 bytes: nothing can be shifted from one part to the next.
fn hashed(parts: &[&str]) -> [u8; 16] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut key = [0; 16];
    key.copy_from_slice(&context.finish().as_ref()[..16]);
    key
}

fn claim_key(channel: &ChannelId, claim: &str) -> ClaimKey {
    ClaimKey(hashed(&["claim", channel.as_str(), claim]))
}

fn later(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn complaint_event(channel: &ChannelId, complaint: &Complaint, claim: &str) -> Event {
    let kind = EventKind::Received;
    let id = event_id(channel, kind.short(), [claim]);
    Event::new(id, channel, kind, complaint.complaint_id, complaint.received_datetime.clone(), complaint.sensitivity(), complaint)
}
