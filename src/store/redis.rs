//! The Redis store: one Redis or Valkey, behind Sentinel or as a cluster, shared by any number of gateways.
//!
//! The idea: **every step is one script in one slot, every step may be repeated, and what a later step has to do is written
//! down by the step before it.** A crash, a lost answer or a failover between two steps leaves something that is repeated,
//! by the gateway that has the receipt in its journal or by any other (`tend`), until it is done.
//!
//! Step 0 (`begin`) reads the memory of senders and reserves nonces and tracking ids, which have slots of their own. Step 1
//! claims the message and writes the sender's memory, if its version is the one that was read, in the slot of the sender;
//! in the same script it writes down step 2. Step 2 appends events to their queues, answers to their channels, the vault
//! entry and the record, each in its own slot, each unless it is there. A claim is *leased* as long as its step 2 stands
//! written down, and *done* when it is struck out. Pipelined, that is three round trips for a message or for a
//! hundred; one more in a cluster, where answers wait until everything else has come to its node.
//!
//! With replicas a write counts when one has confirmed it (`WAIT`); a repeated step writes what it finds again, so that the
//! confirmation covers it whichever connection wrote it first.
//!
//! # Keys
//!
//! Slot `{s:<partition>}`, 64 of them, by the hash of channel and sender:
//! - `memories:<bucket>` hash: sender to version, deadline and writer (8 bytes each) and the conversation's memory. What step 1
//!   compares and sets. Kept.
//! - `claims:<epoch>:<bucket>` hash: claim to receipt and end (16 and 6 bytes). What was accepted, for 30 days or longer.
//!   A claim in a small hash takes a third of the memory of a key of its own; a hash is forgotten when the last claim of
//!   its 32 days is over.
//! - `pending` hash: what step 2 has to do, under the first claim. Empty when all is well.
//! - `deadlines` sorted set: senders whose fragments or drafts wait, by the time to look at them.
//! - `lanes` sorted set: places of messages that several gateways work on, see [`lanes`]. Empty with one gateway.
//!
//! Slot `{q:<queue>}`, what consumers may see:
//! - `events` stream: CloudEvents in binary mode, group `core`. Trimmed when every group has acknowledged and
//!   `retention.queue` is over.
//! - `dead` stream: dead letters, with `reason`, `attempts` and `dead_at`.
//! - `leases`, `returned` sorted sets: entries that the HTTP API handed out (by the end of the lease), and those that came
//!   back (by the time to hand them out again). They are pending in the group for the consumer `loket-http`.
//! - `seen:<epoch>:<bucket>` hash: ids of events that were appended, as long as claims.
//! - `times:<epoch>:<bucket>` hash: when a complaint was first leased and acknowledged over HTTP, for 400 days.
//!
//! Slot `{o:<channel>}`, answers to citizens:
//! - `answer:<id>` hash: document, stage, version. Kept for 30 days after it was sent or given up.
//! - `waiting`, `dead` sorted sets: by the time to show it, and when it was given up.
//! - `named:<hash>`, `parked:<hash>` strings: the answer of a provider's id, and reports that came before it was known.
//!
//! Slot `{c:<bucket>}`, the tracking index: `records` hash, complaint to its record; `status:<complaint>` list. Kept.
//!
//! Without a slot of others: `tracking:<bucket>` hash, tracking id to its complaint (16 bytes), with `!` when it is made and
//! without while it is reserved; `vault:<bucket>` hash, reporter ref to the sealed address; `nonce:<key>`; `constant:<name>`; `cursor:<name>`; `lease:<name>`;
//! `budget:<name>`; `claims-window` the longest that claims were ever kept; `queues`, `channels` sets of names; `gateways` hash: signs of life.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicI64},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    Begun, ComplaintRecord, DeadLetter, Delivery, Opening, OutboxEntry, QueueStats, SendOutcome, SenderKey, Settled,
    StatusChange, Store, StoreError, StoreLimits, Transition, Turn,
};
use crate::{complaint::TrackingId, message::DeliveryStatus, receipt::ChannelId};

mod answer;
mod begin;
mod checks;
pub mod deployment;
mod done;
mod due;
mod lanes;
mod layout;
pub mod link;
mod outbox;
mod queues;
mod records;
mod script;
mod settle;
mod tend;

use done::Done;
use lanes::{GatewayId, Lanes};
use link::{Access, Confirm, Link};

/// Groups of senders that are worked on side by side.
const GROUPS: usize = 4;
/// For `/readyz`: whoever asks has no patience.
const PING: Duration = Duration::from_secs(1);

/// How the store is opened.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    pub access: Access,
    pub limits: StoreLimits,
    /// How long this gateway's claims are kept, at most.
    pub window: SignedDuration,
    /// With `reply_after = "queue"`: a reply also waits for the server's disk, where it has WAITAOF.
    pub waits_for_disk: bool,
    pub gateway: GatewayId,
}

/// A store on Redis or Valkey.
#[derive(Debug)]
pub struct RedisStore {
    /// For the pipeline, whose large pipelines and waits for replicas hold up nobody else.
    work: Link,
    /// For everything else.
    api: Link,
    limits: StoreLimits,
    window: SignedDuration,
    /// The longest window of all gateways, once it is known; milliseconds.
    longest: AtomicI64,
    waits_for_disk: bool,
    /// Names of sets that are known to be registered.
    known: Mutex<HashSet<(&'static str, String)>>,
    /// Step 2 is done, and what was written down of it is still to be struck out.
    done: Mutex<Vec<Done>>,
    lanes: Mutex<Lanes>,
    /// Whoever takes places does so alone: what is asked for and what stands are then the same places.
    lining_up: tokio::sync::Mutex<()>,
}

impl RedisStore {
    /// Connects if the server is there; without it everything answers `Away` until it is.
    pub fn new(options: RedisOptions) -> Self {
        let RedisOptions { access, limits, window, waits_for_disk, gateway } = options;
        Self {
            work: Link::new(access.clone()),
            api: Link::new(access),
            limits,
            window,
            longest: AtomicI64::new(0),
            waits_for_disk,
            known: Mutex::default(),
            done: Mutex::default(),
            lanes: Mutex::new(Lanes::new(gateway)),
            lining_up: tokio::sync::Mutex::default(),
        }
    }

    /// What the deployment's durability is worth, in words for operators, and whether they are a warning. `Broken` when it
    /// may not be used at all, `Away` when nobody can say now.
    pub async fn durability(&self) -> Result<(String, bool), StoreError> {
        self.api.facts().await.map(|facts| facts.durability())
    }

    /// Round trips of the pipeline's connection so far; a pipeline of commands is one.
    pub fn round_trips(&self) -> u64 {
        self.work.round_trips()
    }

    /// What a step of the pipeline has to reach before it counts.
    fn confirmation(&self) -> Confirm {
        if self.waits_for_disk { Confirm::Disk } else { Confirm::Yes }
    }

    fn known(&self) -> MutexGuard<'_, HashSet<(&'static str, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) -> MutexGuard<'_, Vec<Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn line_up(&self, turns: &[Turn], through: Timestamp) -> Result<bool, StoreError> {
        self.take_places(turns, through).await
    }

    async fn leave(&self, turns: &[Turn]) -> Result<(), StoreError> {
        self.leave_places(turns).await
    }

    fn groups(&self) -> usize {
        GROUPS
    }

    async fn depart(&self) -> Result<(), StoreError> {
        let commands = self.lanes().departing();
        self.work.run(commands, Confirm::No).await.map(drop)
    }

    async fn begin(&self, openings: &[Opening]) -> Result<Vec<Begun>, StoreError> {
        self.read_and_reserve(openings).await
    }

    async fn settle(&self, transitions: Vec<Transition>) -> Result<Vec<Settled>, StoreError> {
        self.settle_all(transitions).await
    }

    async fn confirm(&self) -> Result<(), StoreError> {
        // Each step has waited for what it has to reach, on the connection that wrote it.
        Ok(())
    }

    async fn due_senders(&self, now: Timestamp, limit: usize) -> Result<Vec<SenderKey>, StoreError> {
        self.senders_with_a_deadline(now, limit).await
    }

    async fn tend(&self, now: Timestamp, keep_from: Timestamp) -> Result<(), StoreError> {
        self.work.look_for_replicas().await;
        self.api.look_for_replicas().await;
        self.finish_abandoned(now).await?;
        self.tend_queues(now, keep_from).await
    }

    async fn lease(
        &self,
        queue: &str,
        max: usize,
        visibility: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.lease_entries(queue, max, visibility, now).await
    }

    async fn ack(&self, queue: &str, delivery_ids: &[String], now: Timestamp) -> Result<usize, StoreError> {
        self.ack_entries(queue, delivery_ids, now).await
    }

    async fn nack(
        &self,
        queue: &str,
        delivery_ids: &[String],
        reason: &str,
        delay: SignedDuration,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.nack_entries(queue, delivery_ids, reason, delay, now).await
    }

    async fn extend(
        &self,
        queue: &str,
        delivery_ids: &[String],
        visibility: SignedDuration,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.extend_entries(queue, delivery_ids, visibility, now).await
    }

    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueStats>, StoreError> {
        self.queue_stats(now).await
    }

    async fn peek(&self, queue: &str, after: Option<&str>, max: usize) -> Result<Vec<Delivery>, StoreError> {
        self.peek_entries(queue, after, max).await
    }

    async fn dead(&self, queue: &str, after: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.dead_entries(queue, after, max).await
    }

    async fn requeue(&self, queue: &str, delivery_ids: &[String], now: Timestamp) -> Result<usize, StoreError> {
        self.requeue_entries(queue, delivery_ids, now).await
    }

    async fn outbox_add(&self, entry: OutboxEntry) -> Result<bool, StoreError> {
        self.add_answer(&entry).await
    }

    async fn outbox_due(
        &self,
        channel: &ChannelId,
        max: usize,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        self.due_answers(channel, max, lease, now).await
    }

    async fn outbox_next(&self, channel: &ChannelId) -> Result<Option<Timestamp>, StoreError> {
        self.next_answer(channel).await
    }

    async fn outbox_tried(
        &self,
        channel: &ChannelId,
        id: &str,
        outcome: SendOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.answer_tried(channel, id, outcome, now).await
    }

    async fn outbox_entry(&self, channel: &ChannelId, id: &str) -> Result<Option<OutboxEntry>, StoreError> {
        self.answer_entry(channel, id).await
    }

    async fn outbox_dead(&self, max: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.dead_answers(max).await
    }

    async fn delivery_report(
        &self,
        channel: &ChannelId,
        external_id: &str,
        status: DeliveryStatus,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.join_delivery_report(channel, Self::report(external_id, status, error), now).await
    }

    async fn spend(&self, budget: &str, limit: u64, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.take_from_budget(budget, limit, until, now).await
    }

    async fn vault(&self, reporter_ref: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.sealed(reporter_ref).await
    }

    async fn complaint(&self, complaint_id: Uuid) -> Result<Option<ComplaintRecord>, StoreError> {
        self.record(complaint_id).await
    }

    async fn complaint_by_tracking_id(&self, tracking_id: &TrackingId) -> Result<Option<ComplaintRecord>, StoreError> {
        self.record_by_tracking_id(tracking_id).await
    }

    async fn add_status(&self, complaint_id: Uuid, change: StatusChange) -> Result<bool, StoreError> {
        self.append_status(complaint_id, &change).await
    }

    async fn constant(&self, name: &str, proposal: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.shared_constant(name, proposal).await
    }

    async fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared_cursor(name).await
    }

    async fn set_cursor(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.set_shared_cursor(name, value).await
    }

    async fn hold(&self, name: &str, owner: &str, ttl: SignedDuration, now: Timestamp) -> Result<bool, StoreError> {
        self.hold_lease(name, owner, ttl, now).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        match tokio::time::timeout(PING, self.probe()).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Away(format!("no answer from redis within {} s", PING.as_secs()))),
        }
    }
}
