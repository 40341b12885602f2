//! Media: every file that a complaint came with becomes a stored file, or a stated reason why not.
//!
//! In: jobs of the store's outbox ([`job`]). Out: files on the [`shelf`] under generated ids, a record of each, and one
//! `attachment_stored` event. A job is tried again as long as its file can be had, and never holds up what came with it: the
//! complaint is queued before its files are fetched. Nothing here logs a URL, a name of a file or a byte of one.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use crate::{
    channel::ChannelSet,
    clock,
    http::{Http, guarded::Guarded},
    journal::Journal,
    receipt::ChannelId,
    store::{OutboxEntry, Store, StoreError},
    telemetry::Metrics,
    units::{Size, Span},
};

mod fetch;
pub mod inspect;
pub mod job;
pub mod kind;
pub mod link;
pub mod metadata;
pub mod name;
mod place;
pub mod reception;
pub mod scanner;
pub mod shelf;
mod tell;
mod within;
mod work;

use inspect::Inspector;
use job::Lists;

/// Files at once.
const LANES: usize = 4;
/// How long a job is hidden from others while it is worked on. Longer than a try can take, so that nobody else begins it;
/// after a crash it is the wait until the next try.
const LEASE: SignedDuration = SignedDuration::from_secs(600);
/// Between two looks into the store.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after the store failed.
const STORE_AWAY: Duration = Duration::from_secs(5);
/// How long files that are under way may take when the gateway stops. What is cut off is fetched again after its lease.
const STOP: Duration = Duration::from_secs(5);

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Of one file; a manifest may only lower it.
    pub max_size: Size,
    /// Wait after the first try that failed; each is four times the one before it.
    pub retry_first: Span,
    pub retry_max: u32,
    /// `https://loket.example`, before `/v1/attachments/…`.
    pub public_url: String,
}

/// What the worker is handed.
#[derive(Debug)]
pub struct Parts {
    pub terms: Terms,
    pub inspector: Inspector,
    pub journal: Journal,
    pub http: Http,
    pub guarded: Guarded,
    pub metrics: Arc<Metrics>,
    pub channels: watch::Receiver<Arc<ChannelSet>>,
    /// This gateway's name.
    pub owner: String,
    /// True when the gateway stops.
    pub stop: watch::Receiver<bool>,
}

/// The task that works on files. One in a process; those of other gateways share the store.
pub struct Worker {
    desk: Arc<work::Desk>,
    lists: Lists,
    stop: watch::Receiver<bool>,
    lanes: Arc<Semaphore>,
    under_way: JoinSet<()>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Worker({} files under way)", self.under_way.len())
    }
}

impl Worker {
    pub fn new(store: Arc<dyn Store>, parts: Parts) -> Self {
        Self {
            lists: Lists::of(&parts.owner),
            stop: parts.stop.clone(),
            desk: Arc::new(work::Desk::new(store, parts)),
            lanes: Arc::new(Semaphore::new(LANES)),
            under_way: JoinSet::new(),
        }
    }

    /// Runs until the gateway stops, and ends within a few seconds of that.
    pub async fn run(mut self) {
        let mut is_away = false;
        let mut first = 0;
        while !*self.stop.borrow() && self.stop.has_changed().is_ok() {
            first += 1;
            let pause = match self.round(first).await {
                Ok(()) => {
                    is_away = false;
                    LOOK
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(%error, "the store cannot be read, files wait");
                    }
                    STORE_AWAY
                }
            };
            self.wait(pause).await;
        }
        self.finish().await;
    }

    /// Takes what is due of both lists, as far as there is room. They take turns at being first.
    async fn round(&mut self, first: usize) -> Result<(), StoreError> {
        let mut lists = [self.lists.own.clone(), self.lists.shared.clone()];
        lists.rotate_left(first % 2);
        for list in &lists {
            self.take(list).await?;
        }
        Ok(())
    }

    async fn take(&mut self, list: &ChannelId) -> Result<(), StoreError> {
        let room = self.lanes.available_permits();
        if room == 0 {
            return Ok(());
        }
        for entry in self.desk.store.outbox_due(list, room, LEASE, clock::now()).await? {
            // Invariant: only this loop takes lanes.
            let Ok(lane) = Arc::clone(&self.lanes).try_acquire_owned() else { break };
            self.under_way.spawn(work(Arc::clone(&self.desk), entry, lane));
        }
        Ok(())
    }

    /// Until it is time to look again: after the pause, or when a file is done and there may be more.
    async fn wait(&mut self, pause: Duration) {
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => {}
            Some(done) = self.under_way.join_next() => report_panic(done),
            () = tokio::time::sleep(pause) => {}
        }
        while let Some(done) = self.under_way.try_join_next() {
            report_panic(done);
        }
    }

    async fn finish(mut self) {
        let rest = async {
            while let Some(done) = self.under_way.join_next().await {
                report_panic(done);
            }
        };
        if tokio::time::timeout(STOP, rest).await.is_err() {
            tracing::warn!(files = self.under_way.len(), "files under way were cut off, they are fetched again");
            self.under_way.shutdown().await;
        }
    }
}

/// One entry, with its lane held until it is done.
async fn work(desk: Arc<work::Desk>, entry: OutboxEntry, _lane: OwnedSemaphorePermit) {
    desk.work(&entry).await;
}

/// A file that made us panic is a bug of ours; its job is tried again after the lease.
fn report_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!("the work on a file has panicked, please report it");
    }
}
