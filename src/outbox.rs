//! The outbox: sends what waits, by the channel's manifest, at its pace, and records what became of each try.
//!
//! In: entries of the store that are due. Out: requests to providers, and the outcome of each in the store. An answer is
//! sent at least once (G6): a crash between the provider's yes and the record of it sends it again, under the same idempotency
//! key. It keeps nothing in memory that a restart would miss, decides nothing about what is said, and never logs an
//! address or a text: channel, id of the entry, result and reason are all that is told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    channel::{Channel, ChannelSet, Slot},
    clock,
    gateway::Gateway,
    http::Http,
    receipt::ChannelId,
    store::{OutboxEntry, Store, StoreError},
    telemetry::Metrics,
    vault::Vault,
};

mod attempt;
mod backoff;
mod courier;
pub mod files;
mod mailer;
mod pace;
mod parts;
pub mod probe;
mod tokens;

use courier::{Counter, Courier};
use files::Files;
use pace::Pace;

/// Sends of one channel at once, at most.
const LANES: usize = 64;

/// Sends of all channels at once.
const LANES_IN_ALL: usize = 256;

/// A provider that takes so many seconds for a request does not slow a channel down.
const PATIENCE_SECONDS: f64 = 0.5;

/// How long an entry is hidden from others while it is sent. Longer than [`courier::BUDGET`], so that nobody else sends it
/// meanwhile; after a crash it is the wait until the next try.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

/// Of several gateways one sends for a channel at a time, so that its pace is the provider's. One that is gone is followed by
/// another after this.
const HELD: SignedDuration = SignedDuration::from_secs(10);
/// It is renewed, or asked for again, after these.
const RENEWED: Duration = Duration::from_secs(4);
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// Longest pause between two looks into the store.
const LOOK: Duration = Duration::from_secs(1);

/// Shortest pause: entries that a fast channel may send meanwhile are taken together.
const BREATH: Duration = Duration::from_millis(2);

/// Pause after the store failed.
const STORE_AWAY: Duration = Duration::from_secs(5);

/// How long sends that are under way may take when the gateway stops. What is cut off is sent again after its lease.
const STOP: Duration = Duration::from_secs(5);

/// What the outbox works with.
#[derive(Debug)]
pub struct Parts {
    pub vault: Arc<Vault>,
    pub http: Http,
    pub metrics: Arc<Metrics>,
    /// Its key signs the threads of letters.
    pub gateway: Arc<Gateway>,
    /// Where the files of answers are.
    pub files: Files,
    /// This gateway's name: under it the sending of a channel is held.
    pub owner: String,
    /// The channels as they are now.
    pub channels: watch::Receiver<Arc<ChannelSet>>,
    /// Rung when answers were added.
    pub wake: Arc<Notify>,
    /// True when the gateway stops.
    pub stop: watch::Receiver<bool>,
}

/// The task that empties the outbox. One in a process; those of other gateways share the store.
pub struct Outbox {
    courier: Arc<Courier>,
    store: Arc<dyn Store>,
    owner: String,
    channels: watch::Receiver<Arc<ChannelSet>>,
    wake: Arc<Notify>,
    stop: watch::Receiver<bool>,
    desks: BTreeMap<ChannelId, Desk>,
    lanes: Arc<Semaphore>,
    under_way: JoinSet<()>,
    /// Channel that the next round begins with, so that a few busy ones do not take every lane.
    first: usize,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Outbox({} channels, {} sends under way)", self.desks.len(), self.under_way.len())
    }
}

/// What is kept of one channel between rounds.
#[derive(Debug)]
struct Desk {
    pace: Arc<Pace>,
    lanes: Arc<Semaphore>,
    /// Whether this gateway sends for the channel, and until when that is taken as known.
    turn: (bool, Instant),
}

/// What a round found.
struct Round {
    /// When to look again at the latest.
    next: Instant,
    /// A channel waits for a lane: look again when a send ends.
    is_crowded: bool,
}

impl Outbox {
    pub fn new(store: Arc<dyn Store>, parts: Parts) -> Self {
        let courier =
            Courier::new(Arc::clone(&store), parts.vault, parts.http, parts.metrics, parts.gateway, parts.files);
        Self {
            courier: Arc::new(courier),
            store,
            owner: parts.owner,
            channels: parts.channels,
            wake: parts.wake,
            stop: parts.stop,
            desks: BTreeMap::new(),
            lanes: Arc::new(Semaphore::new(LANES_IN_ALL)),
            under_way: JoinSet::new(),
            first: 0,
        }
    }

    /// Runs until the gateway stops, and ends within a few seconds of that.
    pub async fn run(mut self) {
        let mut is_away = false;
        while !*self.stop.borrow() && self.stop.has_changed().is_ok() {
            match self.round().await {
                Ok(round) => {
                    if std::mem::take(&mut is_away) {
                        tracing::info!("the outbox reaches the store again");
                    }
                    self.wait(&round).await;
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(%error, "the outbox cannot read the store, answers wait");
                    }
                    self.pause().await;
                }
            }
        }
        self.finish().await;
    }

    /// Takes what is due of every channel, as far as there is room for it.
    async fn round(&mut self) -> Result<Round, StoreError> {
        let set = Arc::clone(&self.channels.borrow_and_update());
        let sends = |channel: &Channel| channel.enabled && channel.facts.can_reply;
        let open = |(id, slot): (&ChannelId, &Slot)| match slot {
            Slot::Open(channel) if sends(channel) => Some((id.clone(), Arc::clone(channel))),
            _ => None,
        };
        let channels: Vec<_> = set.slots.iter().filter_map(open).collect();
        self.desks.retain(|id, _| set.open(id.as_str()).is_some());
        let mut round = Round { next: Instant::now() + LOOK, is_crowded: false };
        if !channels.is_empty() {
            self.first = (self.first + 1) % channels.len();
        }
        for (id, channel) in channels.iter().cycle().skip(self.first).take(channels.len()) {
            self.take(id, channel, &mut round).await?;
        }
        round.next = round.next.max(Instant::now() + BREATH);
        Ok(round)
    }

    /// Takes what is due of one channel.
    async fn take(&mut self, id: &ChannelId, channel: &Arc<Channel>, round: &mut Round) -> Result<(), StoreError> {
        let desk = self.desks.entry(id.clone()).or_insert_with(|| Desk {
            pace: Arc::new(Pace::new(channel.send_per_second, Instant::now())),
            lanes: Arc::new(Semaphore::new(LANES)),
            turn: (false, Instant::now()),
        });
        desk.pace.set_rate(channel.send_per_second);
        let busy = LANES - desk.lanes.available_permits();
        let room = lanes(channel.send_per_second).saturating_sub(busy).min(self.lanes.available_permits());
        if room == 0 {
            round.is_crowded = true;
            return Ok(());
        }
        let allowed = desk.pace.allowed(Instant::now()).min(room);
        if allowed > 0 {
            if desk.turn.1 <= Instant::now() {
                let name = format!("send:{id}");
                let is_ours = self.store.hold(&name, &self.owner, HELD, clock::now()).await?;
                desk.turn = (is_ours, Instant::now() + if is_ours { RENEWED } else { ASKED_AGAIN });
            }
            if !desk.turn.0 {
                return Ok(());
            }
            let due = self.store.outbox_due(id, allowed, LEASE, clock::now()).await?;
            let is_all = due.len() < allowed;
            for entry in due {
                let (Ok(lane), Ok(shared)) =
                    (Arc::clone(&desk.lanes).try_acquire_owned(), Arc::clone(&self.lanes).try_acquire_owned())
                else {
                    // Invariant: only this loop takes lanes, so that there is room for all that was asked for. A store
                    // that gives more sees the rest again after its lease.
                    break;
                };
                // The first part's place in the pace; the courier takes those of the others.
                desk.pace.reserve(Instant::now());
                let courier = Arc::clone(&self.courier);
                self.under_way.spawn(carry(
                    courier,
                    Arc::clone(channel),
                    Arc::clone(&desk.pace),
                    entry,
                    [lane, shared],
                ));
            }
            if is_all {
                return Ok(());
            }
            round.is_crowded |= allowed == room;
        }
        round.next = round.next.min(desk.pace.next());
        Ok(())
    }

    /// Until there is something to do.
    async fn wait(&mut self, round: &Round) {
        loop {
            tokio::select! {
                () = stopped(&mut self.stop) => return,
                Some(done) = self.under_way.join_next() => {
                    report_panic(done);
                    if round.is_crowded {
                        break;
                    }
                }
                // Many answers are added at once, and many sends end: a moment later one look takes them together.
                () = self.wake.notified() => break,
                Ok(()) = self.channels.changed() => return,
                () = tokio::time::sleep_until(round.next) => return,
            }
        }
        tokio::time::sleep(BREATH).await;
        while let Some(done) = self.under_way.try_join_next() {
            report_panic(done);
        }
    }

    /// After a failure of the store: the bell does not shorten it.
    async fn pause(&mut self) {
        let end = Instant::now() + STORE_AWAY;
        loop {
            tokio::select! {
                () = stopped(&mut self.stop) => return,
                Some(done) = self.under_way.join_next() => report_panic(done),
                () = tokio::time::sleep_until(end) => return,
            }
        }
    }

    async fn finish(mut self) {
        for (id, _) in self.desks.iter().filter(|(_, desk)| desk.turn.0) {
            // Another gateway takes over at once; if that cannot be said, it does a little later.
            let name = format!("send:{id}");
            let release = self.store.hold(&name, &self.owner, SignedDuration::ZERO, clock::now());
            let _ = tokio::time::timeout(ASKED_AGAIN, release).await;
        }
        let rest = async {
            while let Some(done) = self.under_way.join_next().await {
                report_panic(done);
            }
        };
        if tokio::time::timeout(STOP, rest).await.is_err() {
            tracing::warn!(sends = self.under_way.len(), "answers under way were cut off, they are tried again");
            self.under_way.shutdown().await;
        }
    }
}

/// A slow channel has few sends at once, so that the parts of a long text do not wait for those of many others.
fn lanes(per_second: f64) -> usize {
    1 + ((per_second * PATIENCE_SECONDS).ceil() as usize).clamp(1, LANES - 1)
}

/// One entry, with its lanes held until it is done.
async fn carry(
    courier: Arc<Courier>,
    channel: Arc<Channel>,
    pace: Arc<Pace>,
    entry: OutboxEntry,
    _lanes: [OwnedSemaphorePermit; 2],
) {
    let Some(counter) = Counter::of(&entry.channel, &channel, &pace) else { return };
    courier.deliver(&counter, &entry).await;
}

/// Until the gateway stops, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A send that panicked is a bug of ours; its entry is tried again after the lease.
fn report_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!("a send has panicked, please report it");
    }
}

#[cfg(test)]
mod tests;
