//! The embedded store: everything on one machine, in one folder, without a server.
//!
//! All of one `settle` is one atomic batch of the engine, so that the two steps of a transition are one and a claim that
//! stands is done. A batch is synced when somebody waits for it: `confirm`, `ack` and what else is documented as
//! durable share one sync. All work on the disk is done on the threads for blocking work.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{
    Begun, ComplaintRecord, DeadLetter, Delivery, Opening, OutboxEntry, QueueStats, SendOutcome, SenderKey, Settled,
    StatusChange, Store, StoreError, StoreLimits, Transition,
};
use crate::{
    complaint::TrackingId,
    message::{DeliveryReport, DeliveryStatus},
    receipt::ChannelId,
};

mod engine;
mod expiry;
mod layout;
mod memory;
mod outbox;
mod queues;
mod records;
mod settle;
mod supervision;
mod torn;

use engine::{Engine, Failure};
use supervision::Supervision;

/// A store in a folder of this machine. One process at a time holds it.
#[derive(Debug)]
pub struct EmbeddedStore {
    supervision: Arc<Supervision>,
    /// Whoever holds it syncs for all who wait.
    turn: tokio::sync::Mutex<()>,
}

impl EmbeddedStore {
    /// Opens the store at `path` (`data/store`), or makes it. Fails when another process holds it.
    pub async fn open(path: &Path, limits: StoreLimits) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let place = path.display().to_string();
        let opened = spawn_blocking(move || Supervision::open(&path, limits)).await;
        match opened {
            Ok(Ok(supervision)) => Ok(Self { supervision: Arc::new(supervision), turn: tokio::sync::Mutex::default() }),
            Ok(Err(Failure::Disk(fjall::Error::Locked))) => Err(StoreError::Broken(format!(
                "another process uses {place}; stop it, or give this one its own data_dir"
            ))),
            Ok(Err(failure)) => Err(failure.into()),
            Err(_) => Err(broken_off()),
        }
    }

    /// Does `work` on a thread for blocking work.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let supervision = Arc::clone(&self.supervision);
        spawn_blocking(move || supervision.with(work)).await.unwrap_or_else(|_| Err(broken_off()))
    }

    /// Does `work` at the time given.
    async fn run_at<T: Send + 'static>(
        &self,
        now: Timestamp,
        work: impl FnOnce(&Engine) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.supervision.clock.tell(now);
        self.run(work).await
    }

    /// Returns when all that was written before is on the disk. Whoever comes while a sync runs shares the next one.
    async fn synced(&self) -> Result<(), StoreError> {
        let progress = &self.supervision.progress;
        let written = progress.written();
        if progress.is_synced(written) {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if progress.is_synced(written) {
            return Ok(());
        }
        self.run(Engine::sync).await
    }
}

/// The engine panicked, or the runtime is being shut down.
fn broken_off() -> StoreError {
    StoreError::Away("an operation of the embedded store was broken off".to_owned())
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn begin(&self, openings: &[Opening]) -> Result<Vec<Begun>, StoreError> {
        let keys: Vec<SenderKey> = openings.iter().map(|opening| opening.sender).collect();
        let senders = self.run(move |engine| settle::senders(engine, &keys)).await?;
        // All of a transition is one write here, so that `settle` itself tells of nonces and tracking ids.
        Ok(senders.into_iter().map(|sender| Begun { sender, settled: None }).collect())
    }

    async fn settle(&self, transitions: Vec<Transition>) -> Result<Vec<Settled>, StoreError> {
        self.run(move |engine| settle::settle(engine, transitions)).await
    }

    async fn confirm(&self) -> Result<(), StoreError> {
        self.synced().await
    }

    async fn due_senders(&self, now: Timestamp, limit: usize) -> Result<Vec<SenderKey>, StoreError> {
        self.run_at(now, move |engine| {
            expiry::sweep(engine, now)?;
            settle::due_senders(engine, now, limit)
        })
        .await
    }

    async fn lease(
        &self,
        queue: &str,
        max: usize,
        visibility: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        let queue = queue.to_owned();
        self.run_at(now, move |engine| queues::lease(engine, &queue, max, visibility, now)).await
    }

    async fn ack(&self, queue: &str, delivery_ids: &[String], now: Timestamp) -> Result<usize, StoreError> {
        let (queue, ids) = (queue.to_owned(), delivery_ids.to_vec());
        let count = self.run_at(now, move |engine| queues::ack(engine, &queue, &ids, now)).await?;
        self.synced().await.map(|()| count)
    }

    async fn nack(
        &self,
        queue: &str,
        delivery_ids: &[String],
        reason: &str,
        delay: SignedDuration,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (queue, ids, reason) = (queue.to_owned(), delivery_ids.to_vec(), reason.to_owned());
        self.run_at(now, move |engine| queues::nack(engine, &queue, &ids, &reason, delay, now)).await
    }

    async fn extend(
        &self,
        queue: &str,
        delivery_ids: &[String],
        visibility: SignedDuration,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (queue, ids) = (queue.to_owned(), delivery_ids.to_vec());
        self.run_at(now, move |engine| queues::extend(engine, &queue, &ids, visibility, now)).await
    }

    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueStats>, StoreError> {
        self.run_at(now, move |engine| queues::stats(engine, now)).await
    }

    async fn peek(&self, queue: &str, after: Option<&str>, max: usize) -> Result<Vec<Delivery>, StoreError> {
        let (queue, after) = (queue.to_owned(), after.map(str::to_owned));
        self.run(move |engine| queues::peek(engine, &queue, after.as_deref(), max)).await
    }

    async fn dead(&self, queue: &str, after: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let (queue, after) = (queue.to_owned(), after.map(str::to_owned));
        self.run(move |engine| queues::dead(engine, &queue, after.as_deref(), max)).await
    }

    async fn requeue(&self, queue: &str, delivery_ids: &[String], now: Timestamp) -> Result<usize, StoreError> {
        let (queue, ids) = (queue.to_owned(), delivery_ids.to_vec());
        let count = self.run_at(now, move |engine| queues::requeue(engine, &queue, &ids, now)).await?;
        self.synced().await.map(|()| count)
    }

    async fn outbox_add(&self, entry: OutboxEntry) -> Result<bool, StoreError> {
        let added = self.run(move |engine| outbox::add(engine, &entry)).await?;
        // One that is known already may still be on its way to the disk.
        self.synced().await.map(|()| added)
    }

    async fn outbox_due(
        &self,
        channel: &ChannelId,
        max: usize,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let channel = channel.clone();
        self.run_at(now, move |engine| {
            expiry::sweep(engine, now)?;
            outbox::due(engine, &channel, max, lease, now)
        })
        .await
    }

    async fn outbox_next(&self, channel: &ChannelId) -> Result<Option<Timestamp>, StoreError> {
        let channel = channel.clone();
        self.run(move |engine| outbox::next(engine, &channel)).await
    }

    async fn outbox_tried(
        &self,
        _: &ChannelId,
        id: &str,
        outcome: SendOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run_at(now, move |engine| outbox::tried(engine, &id, &outcome, now)).await?;
        self.synced().await
    }

    async fn outbox_entry(&self, _: &ChannelId, id: &str) -> Result<Option<OutboxEntry>, StoreError> {
        let id = id.to_owned();
        self.run(move |engine| outbox::entry(engine, &id)).await
    }

    async fn outbox_dead(&self, max: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.run(move |engine| outbox::dead(engine, max)).await
    }

    async fn delivery_report(
        &self,
        channel: &ChannelId,
        external_id: &str,
        status: DeliveryStatus,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let channel = channel.clone();
        let report = DeliveryReport { id: external_id.to_owned(), status, error: error.map(str::to_owned) };
        self.run_at(now, move |engine| outbox::report(engine, &channel, report, now)).await
    }

    async fn spend(&self, budget: &str, limit: u64, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let budget = budget.to_owned();
        self.run_at(now, move |engine| records::spend(engine, &budget, limit, until, now)).await
    }

    async fn vault(&self, reporter_ref: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let reporter_ref = reporter_ref.to_owned();
        self.run(move |engine| records::vault(engine, &reporter_ref)).await
    }

    async fn complaint(&self, complaint_id: Uuid) -> Result<Option<ComplaintRecord>, StoreError> {
        self.run(move |engine| records::complaint(engine, complaint_id)).await
    }

    async fn complaint_by_tracking_id(&self, tracking_id: &TrackingId) -> Result<Option<ComplaintRecord>, StoreError> {
        let tracking_id = tracking_id.clone();
        self.run(move |engine| records::complaint_by_tracking_id(engine, &tracking_id)).await
    }

    async fn add_status(&self, complaint_id: Uuid, change: StatusChange) -> Result<bool, StoreError> {
        let known = self.run(move |engine| records::add_status(engine, complaint_id, change)).await?;
        self.synced().await.map(|()| known)
    }

    async fn constant(&self, name: &str, proposal: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (name, proposal) = (name.to_owned(), proposal.to_vec());
        let value = self.run(move |engine| records::constant(engine, &name, &proposal)).await?;
        self.synced().await.map(|()| value)
    }

    async fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        self.run(move |engine| records::cursor(engine, &name)).await
    }

    async fn set_cursor(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.run(move |engine| records::set_cursor(engine, &name, &value)).await?;
        self.synced().await
    }

    async fn hold(&self, name: &str, owner: &str, ttl: SignedDuration, now: Timestamp) -> Result<bool, StoreError> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.run_at(now, move |engine| records::hold(engine, &name, &owner, ttl, now)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run(Engine::probe).await
    }
}
