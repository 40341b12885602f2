//! What step 2 of a transition has to do: made of the transition, written down by step 1, and turned into commands.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    answer,
    layout::{self, EVENT_BUCKETS, arrival, buckets, millis},
    link::Command,
    outbox, queues,
    script::Script,
};
use crate::{
    complaint::{Event, TrackingId},
    store::{ComplaintRecord, OutboxEntry, QueuedEvent, StoreError, Transition},
};

/// What a gateway began and did not finish for so long is finished by any other.
pub const ABANDONED: SignedDuration = SignedDuration::from_secs(60);

/// What step 2 has to do, as step 1 writes it down.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Due {
    /// When it was written down, in milliseconds, and until when event ids are remembered.
    pub at: i64,
    pub until: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<DueEvent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<OutboxEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vault: Option<DueVault>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<ComplaintRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct DueEvent {
    pub queue: String,
    priority: u8,
    event: Event,
    enqueued_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct DueVault {
    reporter_ref: String,
    sealed: Vec<u8>,
}

impl std::fmt::Debug for DueVault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "DueVault({})", self.reporter_ref)
    }
}

impl Due {
    /// Takes it out of the transition.
    pub fn of(transition: &mut Transition) -> Self {
        let arrived = layout::time(arrival(transition.receipt));
        let enqueued_at = transition.record.as_ref().map_or(arrived, |record| record.enqueued_at);
        let event = |QueuedEvent { queue, priority, event }| DueEvent { queue, priority, event, enqueued_at };
        Self {
            at: millis(enqueued_at),
            until: transition.claims_until,
            events: std::mem::take(&mut transition.events).into_iter().map(event).collect(),
            outbox: std::mem::take(&mut transition.outbox),
            vault: transition
                .vault
                .take()
                .map(|vault| DueVault { reporter_ref: vault.reporter_ref, sealed: vault.sealed }),
            record: transition.record.take(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.outbox.is_empty() && self.vault.is_none() && self.record.is_none()
    }

    pub fn written(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| StoreError::Broken(format!("a transition cannot be written: {error}")))
    }

    pub fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| answer::unreadable("what is pending", &error))
    }

    pub fn is_abandoned(&self, now: Timestamp) -> bool {
        self.at < millis(now) - ABANDONED.as_millis() as i64
    }

    /// The commands of step 2 that come first: events, record, address.
    pub fn commands(&self, longest: i64) -> Result<Vec<Command>, StoreError> {
        let mut commands = Vec::with_capacity(self.events.len() + 2);
        for event in &self.events {
            commands.push(event.command(self.at, self.until, longest));
        }
        if let Some(record) = &self.record {
            let key = layout::of_complaint(record.complaint_id, "records");
            let document = answer::document(&ComplaintRecord {
                leased_at: None,
                acked_at: None,
                status: Vec::new(),
                ..record.clone()
            })?;
            let mut set = redis::cmd("HSET");
            set.arg(&key).arg(record.complaint_id.as_bytes()).arg(document);
            commands.push(Command::new(&key, set));
        }
        if let Some(vault) = &self.vault {
            let key = layout::vault(&vault.reporter_ref);
            let mut set = redis::cmd("HSET");
            set.arg(&key).arg(&vault.reporter_ref).arg(&vault.sealed);
            commands.push(Command::new(&key, set));
        }
        Ok(commands)
    }

    /// Those that come behind: no citizen hears of a complaint before it is queued, and an answer needs its address.
    pub fn answers(&self) -> Result<Vec<Command>, StoreError> {
        self.outbox.iter().map(outbox::adding).collect()
    }

    pub fn complaint(&self) -> Option<(TrackingId, Uuid)> {
        self.record.as_ref().map(|record| (record.tracking_id.clone(), record.complaint_id))
    }
}

impl DueEvent {
    fn command(&self, from: i64, until: Timestamp, longest: i64) -> Command {
        let id = layout::short_hash(self.event.id.as_bytes());
        let stream = layout::of_queue(&self.queue, "events");
        let seen = buckets(&layout::of_queue(&self.queue, "seen:"), EVENT_BUCKETS, id, from, until, longest);
        let mut keys = vec![stream.clone()];
        keys.extend(seen.keys);
        let mut command = Script::Append.call(&keys);
        command.arg(&id).arg(seen.life);
        queues::fields(&mut command, &self.event, self.priority, self.enqueued_at);
        Command::new(&stream, command)
    }
}
