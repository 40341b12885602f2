//! Applying: what came of the messages goes into the store, and then the journal is told.
//!
//! A batch is applied in rounds. Each round reads the memory of the senders, runs the stages over what is left, and
//! settles all of it in one call. What met a conflict (another gateway, or a duplicate ahead of it in the batch) goes into
//! the next round. While the store is away the batch waits here and the backlog stays on the disk.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Pipeline,
    reading::{Outcome as Reading, Read},
    signs::Signs,
};
use crate::{
    channel::Channel,
    clock,
    journal::{JournalError, Ticket},
    mail::token::complaint_of_message_id,
    message::{DeliveryReport, DeliveryStatus},
    normalise::Normalised,
    receipt::ChannelId,
    store::{Opening, StoreError, Transition, Undeliverable},
    telemetry::Outcome,
};

/// How often timers are looked at.
const TIMER: Duration = Duration::from_millis(500);
/// First and longest wait while the store is away.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(50);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The task that applies.
#[derive(Debug)]
pub struct Applier {
    pub pipeline: Pipeline,
    pub signs: Arc<Signs>,
    /// Under which this gateway holds leases.
    pub owner: String,
}

/// A message that waits for its place in the store.
#[derive(Debug)]
pub(super) struct Pending {
    pub ticket: Ticket,
    pub channel: Arc<Channel>,
    pub message: Normalised,
    /// What came of it when the store broke off over it.
    pub tried: Option<Came>,
}

/// What came of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub outcome: Outcome,
    /// An answer to the citizen waits to be sent.
    pub answers: bool,
    /// Messages that were drafted before and ended with it.
    pub expired: u64,
}

/// Of a message that came to nothing because it was here before.
impl Default for Came {
    fn default() -> Self {
        Self { outcome: Outcome::duplicate, answers: false, expired: 0 }
    }
}

/// A batch taken apart.
#[derive(Debug, Default)]
struct Batch {
    messages: Vec<Pending>,
    reports: Vec<(Ticket, ChannelId, Vec<DeliveryReport>)>,
    quarantine: Vec<(Ticket, String)>,
    booked: Vec<(ChannelId, Outcome, u64)>,
}

/// The gateway stops; what is not applied stays in the journal.
#[derive(Debug)]
pub(super) struct Stopped;

impl Applier {
    /// Applies batch after batch, and timers in between, until the reader ends.
    pub async fn run(self, mut batches: mpsc::Receiver<Vec<Read>>, mut stop: watch::Receiver<bool>) {
        let mut timer = interval(TIMER);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                batch = batches.recv() => match batch {
                    Some(batch) => self.batch(batch, &mut stop).await,
                    None => return,
                },
                _ = timer.tick() => self.timers(&mut stop).await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn batch(&self, read: Vec<Read>, stop: &mut watch::Receiver<bool>) -> Result<(), Stopped> {
        let Some(last) = read.last().map(|read| read.ticket) else { return Ok(()) };
        let through = last.sequence;
        let batch = self.take_apart(read);
        self.quarantine(&batch.quarantine, stop).await?;
        // Whoever was replied to before one of these arrived stands before it in the journal.
        let turns: Vec<_> = batch.messages.iter().map(|pending| Pipeline::turn(&pending.message)).collect();
        let arrivals = turns.iter().map(|turn| turn.arrived_at).chain([last.receipt.arrived_at()]);
        let read_through = arrivals.fold(self.signs.read_through(), Timestamp::max);
        let is_shared = self.until_it_works(stop, || self.pipeline.store.line_up(&turns, read_through)).await?;
        self.signs.raise(read_through);
        self.signs.found(is_shared);
        let rung = self.side_by_side(batch.messages, stop).await?;
        // Each has left when it was done with; a place that stays would hold up its sender for ever, so all leave again.
        self.until_it_works(stop, || self.pipeline.store.leave(&turns)).await?;
        for (ticket, channel, reports) in batch.reports {
            self.reports(ticket, &channel, reports, stop).await?;
        }
        // The journal may forget the receipts only when the store cannot.
        self.until_it_works(stop, || self.pipeline.store.confirm()).await?;
        for (channel, outcome, messages) in batch.booked {
            self.pipeline.metrics.book(channel.as_str(), outcome, messages);
        }
        self.pipeline.journal.settled(through);
        self.pipeline.applied.send_replace(through);
        if rung {
            self.pipeline.queue_bell.notify_waiters();
        }
        Ok(())
    }

    /// Messages of different senders know nothing of each other: while the store answers for some, the stages run over
    /// others. Those of one sender stay together, in their order. True when a queue has grown.
    async fn side_by_side(&self, messages: Vec<Pending>, stop: &watch::Receiver<bool>) -> Result<bool, Stopped> {
        let mut groups: Vec<Vec<Pending>> =
            std::iter::repeat_with(Vec::new).take(self.pipeline.store.groups()).collect();
        let count = groups.len();
        for pending in messages {
            groups[usize::from(pending.message.sender.0[0]) % count].push(pending);
        }
        let groups = groups.into_iter().filter(|group| !group.is_empty()).map(|group| {
            let mut stop = stop.clone();
            async move { self.messages(group, &mut stop).await }
        });
        join_all(groups).await.into_iter().try_fold(false, |rung, grown| Ok(rung | grown?))
    }

    fn take_apart(&self, read: Vec<Read>) -> Batch {
        let mut batch = Batch::default();
        for Read { ticket, channel: id, outcome } in read {
            match outcome {
                Reading::Unread { reason } => {
                    batch.booked.push((id, Outcome::quarantined, 1));
                    batch.quarantine.push((ticket, reason));
                }
                Reading::Messages { messages, reports, faults, ignored } => {
                    self.pipeline.metrics.ignored(id.as_str(), ignored.into());
                    let reasons: Vec<_> = faults.iter().map(|(_, reason)| reason.as_str()).collect();
                    if !reasons.is_empty() {
                        batch.quarantine.push((ticket, reasons.join("; ").chars().take(1000).collect()));
                    }
                    batch.booked.extend(faults.into_iter().map(|(channel, _)| (channel, Outcome::quarantined, 1)));
                    let mut reports_by_channel: BTreeMap<ChannelId, Vec<DeliveryReport>> = BTreeMap::new();
                    for (channel, report) in reports {
                        reports_by_channel.entry(channel).or_default().push(report);
                    }
                    batch.reports.extend(reports_by_channel.into_iter().map(|(id, reports)| (ticket, id, reports)));
                    let pending = messages.into_iter().map(|(channel, message)| Pending {
                        ticket,
                        channel,
                        message,
                        tried: None,
                    });
                    batch.messages.extend(pending);
                }
            }
        }
        batch
    }

    /// Durable before the journal's mark moves on. A receipt that nobody can read any more must not hold up the others; the
    /// books count it as quarantined like the rest.
    pub(super) async fn quarantine(
        &self,
        receipts: &[(Ticket, String)],
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Stopped> {
        for (ticket, reason) in receipts {
            tracing::info!(receipt.id = %ticket.receipt, reason, "a receipt is quarantined");
            let mut wait = FIRST_WAIT;
            while let Err(error) = self.pipeline.journal.quarantine(*ticket, reason).await {
                if matches!(error, JournalError::Gone(_)) {
                    tracing::error!(%error, receipt.id = %ticket.receipt, "a receipt is lost: its record is damaged");
                    break;
                }
                tracing::error!(%error, receipt.id = %ticket.receipt, "the quarantine cannot be written; trying again");
                pause(&mut wait, LONGEST_WAIT, stop).await?;
            }
        }
        Ok(())
    }

    async fn reports(
        &self,
        ticket: Ticket,
        channel: &ChannelId,
        reports: Vec<DeliveryReport>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Stopped> {
        self.pipeline.metrics.delivery_reports(channel.as_str(), reports.len() as u64);
        for DeliveryReport { id, status, error } in reports {
            let mut wait = FIRST_WAIT;
            loop {
                let now = clock::now();
                match self.report(channel, &id, status, error.as_deref(), now).await {
                    Ok(()) => break,
                    Err(error) if error.is_transient() => self.store_is_away(&error),
                    Err(error) => {
                        tracing::error!(%error, channel.id = %channel, "the store refuses a delivery report");
                        self.quarantine(&[(ticket, error.to_string())], stop).await?;
                        break;
                    }
                }
                pause(&mut wait, LONGEST_WAIT, stop).await?;
            }
        }
        Ok(())
    }

    /// A bounce of a letter of ours stands on its complaint too: whoever works on it sees that nobody was reached.
    async fn report(
        &self,
        channel: &ChannelId,
        id: &str,
        status: DeliveryStatus,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let store = &self.pipeline.store;
        store.delivery_report(channel, id, status, error, now).await?;
        let key = self.pipeline.gateway.reporter_key();
        match complaint_of_message_id(key, id).filter(|_| status == DeliveryStatus::Failed) {
            Some(complaint_id) => {
                let bounce = Undeliverable { at: now, failure: error.map(str::to_owned) };
                store.set_undeliverable(complaint_id, &bounce).await
            }
            None => Ok(()),
        }
    }

    /// Repeats until the store has done it, or the gateway stops.
    pub(super) async fn until_it_works<T, F>(
        &self,
        stop: &mut watch::Receiver<bool>,
        mut work: impl FnMut() -> F,
    ) -> Result<T, Stopped>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut wait = FIRST_WAIT;
        loop {
            match work().await {
                Ok(value) => return Ok(value),
                Err(error) => self.store_is_away(&error),
            }
            pause(&mut wait, LONGEST_WAIT, stop).await?;
        }
    }

    pub(super) fn store_is_away(&self, error: &StoreError) {
        if self.pipeline.metrics.store_up.set(0) != 0 {
            tracing::error!(%error, "the store is away; receipts wait in the journal");
        }
    }
}

/// What has to be reserved for the complaint of a transition, if it makes one.
pub(super) fn reservation(transition: &Transition) -> Option<Opening> {
    let record = transition.record.as_ref()?;
    let draw = Some((record.tracking_id.clone(), record.complaint_id));
    Some(Opening { receipt: transition.receipt, sender: transition.sender, nonce: None, draw })
}

/// Waits a little, longer each time.
pub(super) async fn pause(
    wait: &mut Duration,
    longest: Duration,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), Stopped> {
    let until = Instant::now() + *wait;
    *wait = (*wait * 2).min(longest);
    tokio::select! {
        () = tokio::time::sleep_until(until) => Ok(()),
        _ = stop.wait_for(|stop| *stop) => Err(Stopped),
    }
}
