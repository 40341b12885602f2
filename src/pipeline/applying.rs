//! Applying: what came of the messages goes into the store, and then the journal is told.
//!
//! A batch is applied in rounds. Each round reads the memory of the senders, runs the stages over what is left, and
//! settles all of it in one call. What met a conflict (another gateway, or a duplicate ahead of it in the batch) goes into
//! the next round. While the store is away the batch waits here and the backlog stays on the disk.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Pipeline,
    reading::{Outcome as Reading, Read},
    transition::{Memory, Step},
};
use crate::{
    assemble::{Assembled, flush_due},
    channel::Channel,
    clock,
    journal::{JournalError, Ticket},
    message::DeliveryReport,
    normalise::Normalised,
    receipt::ChannelId,
    sender::Sender,
    store::{Begun, Opening, SenderKey, SenderState, Settled, StoreError, Transition, Versioned},
    telemetry::Outcome,
};

/// How often timers are looked at.
const TIMER: Duration = Duration::from_millis(500);
/// A gateway that looks at timers and is gone is followed by another after this.
const TIMERS_HELD: SignedDuration = SignedDuration::from_secs(5);
/// Most senders whose deadline is handled at once.
const DUE: usize = 256;
/// Fragments of a closed channel are looked at again after this.
const CLOSED_WAIT: SignedDuration = SignedDuration::from_secs(60);
/// First and longest wait while the store is away.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often other gateways are told how far this one has come, when there are any.
const SIGN: Duration = Duration::from_millis(50);
/// First and longest wait for the messages of other gateways that come first.
const FIRST_TURN: Duration = Duration::from_millis(2);
const LONGEST_TURN: Duration = Duration::from_millis(50);

/// The task that applies.
#[derive(Debug)]
pub struct Applier {
    pub pipeline: Pipeline,
    /// Everything that was replied to before stands in its lane.
    pub read_through: Timestamp,
    /// Other gateways share the store.
    pub is_shared: bool,
    /// Under which this gateway holds leases.
    pub owner: String,
}

/// A message that waits for its place in the store.
#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    channel: Arc<Channel>,
    message: Normalised,
    /// What it was to be booked as, and whether an answer goes out, when the store broke off over it.
    tried: Option<(Outcome, bool)>,
}

/// What the store said to a message in a round.
#[derive(Debug)]
struct Answered {
    settled: Settled,
    outcome: Outcome,
    /// An answer to the citizen waits to be sent.
    answers: bool,
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
struct Stopped;

/// What a timer finds.
#[derive(Debug)]
enum Due {
    Flushed(Vec<Transition>),
    /// Nothing now; look again at this time, or never.
    Later {
        at: Option<Timestamp>,
    },
}

/// Why a round came to nothing.
#[derive(Debug)]
enum Interrupted {
    Store(StoreError),
    /// A stage panicked over the message at this place.
    Panicked {
        place: usize,
    },
}

impl Answered {
    /// Is the message done with?
    fn is_over(&self) -> bool {
        !matches!(self.settled, Settled::Conflict | Settled::NotYet | Settled::TrackingIdTaken)
    }
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Applier {
    /// Applies batch after batch, and timers in between, until the reader ends.
    pub async fn run(mut self, mut batches: mpsc::Receiver<Vec<Read>>, mut stop: watch::Receiver<bool>) {
        let [mut timer, mut sign] = [TIMER, SIGN].map(|period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        loop {
            let done = tokio::select! {
                batch = batches.recv() => match batch {
                    Some(batch) => self.batch(batch, &mut stop).await,
                    None => return,
                },
                _ = timer.tick() => {
                    self.sign().await;
                    self.timers(&mut stop).await
                }
                _ = sign.tick(), if self.is_shared => {
                    self.sign().await;
                    Ok(())
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn batch(&mut self, read: Vec<Read>, stop: &mut watch::Receiver<bool>) -> Result<(), Stopped> {
        let Some(last) = read.last().map(|read| read.ticket) else { return Ok(()) };
        let through = last.sequence;
        let batch = self.take_apart(read);
        self.quarantine(&batch.quarantine, stop).await?;
        // Whoever was replied to before one of these arrived stands before it in the journal.
        let turns: Vec<_> = batch.messages.iter().map(|pending| Pipeline::turn(&pending.message)).collect();
        let arrivals = turns.iter().map(|turn| turn.arrived_at).chain([last.receipt.arrived_at()]);
        self.read_through = arrivals.fold(self.read_through, Timestamp::max);
        self.is_shared = self.until_it_works(stop, || self.pipeline.store.line_up(&turns, self.read_through)).await?;
        let rung = self.messages(batch.messages, stop).await?;
        if self.is_shared {
            self.until_it_works(stop, || self.pipeline.store.leave(&turns)).await?;
        }
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

    /// Tells other gateways how far this one has come while it has nothing to do.
    async fn sign(&mut self) {
        // The time before the look: what is replied to in between is not covered by it.
        let now = clock::now();
        if self.pipeline.journal.stats().backlog == 0 {
            self.read_through = self.read_through.max(now);
        }
        match self.pipeline.store.line_up(&[], self.read_through).await {
            Ok(is_shared) => self.is_shared = is_shared,
            // The next message or the next tick will tell.
            Err(error) => self.store_is_away(&error),
        }
    }

    fn take_apart(&self, read: Vec<Read>) -> Batch {
        let mut batch = Batch::default();
        for Read { ticket, channel: id, outcome } in read {
            match outcome {
                Reading::Unread { reason } => {
                    batch.booked.push((id, Outcome::quarantined, 1));
                    batch.quarantine.push((ticket, reason));
                }
                Reading::Messages { channel, messages, reports, faults, ignored } => {
                    self.pipeline.metrics.ignored(id.as_str(), ignored.into());
                    if !faults.is_empty() {
                        batch.booked.push((id.clone(), Outcome::quarantined, faults.len() as u64));
                        batch.quarantine.push((ticket, faults.join("; ").chars().take(1000).collect()));
                    }
                    if !reports.is_empty() {
                        batch.reports.push((ticket, id, reports));
                    }
                    let pending = messages.into_iter().map(|message| Pending {
                        ticket,
                        channel: channel.clone(),
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
    async fn quarantine(&self, receipts: &[(Ticket, String)], stop: &mut watch::Receiver<bool>) -> Result<(), Stopped> {
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

    /// True when a queue has grown.
    async fn messages(&self, mut pending: Vec<Pending>, stop: &mut watch::Receiver<bool>) -> Result<bool, Stopped> {
        let (mut wait, mut turn, mut rung) = (FIRST_WAIT, FIRST_TURN, false);
        while !pending.is_empty() {
            match self.round(&mut pending).await {
                Ok(settled) => {
                    self.pipeline.metrics.store_up.set(1);
                    (wait, turn) = (FIRST_WAIT, if settled.iter().any(Answered::is_over) { FIRST_TURN } else { turn });
                    let is_early = settled.iter().any(|answered| answered.settled == Settled::NotYet);
                    let (left, grown) = self.book(pending, settled, stop).await?;
                    pending = left;
                    rung |= grown;
                    if is_early {
                        pause(&mut turn, LONGEST_TURN, stop).await?;
                        self.until_it_works(stop, || self.pipeline.store.line_up(&[], self.read_through)).await?;
                    }
                }
                Err(Interrupted::Panicked { place }) => {
                    let one = pending.remove(place);
                    let reason = "a stage failed inside the gateway; please report this".to_owned();
                    self.quarantine(&[(one.ticket, reason)], stop).await?;
                    self.pipeline.metrics.book(one.channel.facts.id.as_str(), Outcome::quarantined, 1);
                }
                Err(Interrupted::Store(error)) if error.is_transient() => {
                    self.store_is_away(&error);
                    pause(&mut wait, LONGEST_WAIT, stop).await?;
                }
                Err(Interrupted::Store(error)) => {
                    tracing::error!(%error, messages = pending.len(), "the store refuses");
                    pending = self.give_up_on_one(pending, &error, stop).await?;
                    pause(&mut wait, LONGEST_WAIT, stop).await?;
                }
            }
        }
        Ok(rung)
    }

    /// One round over all that is left: the memory of each sender, the stages, and one call of the store.
    async fn round(&self, pending: &mut [Pending]) -> Result<Vec<Answered>, Interrupted> {
        let now = clock::now();
        let (mut memories, mut over) = self.begin(pending).await?;
        let mut steps = Vec::with_capacity(pending.len());
        for (place, Pending { channel, message, .. }) in pending.iter().enumerate() {
            if over[place].is_some() {
                continue;
            }
            let memory = memories.get_mut(&message.sender).expect("the memory of every sender was read");
            // A defect in a stage must not end the pipeline, nor meet the same message again at each start.
            let step = AssertUnwindSafe(self.pipeline.message(message.clone(), channel, memory, now)).catch_unwind();
            steps.push((place, step.await.map_err(|_| Interrupted::Panicked { place })??));
        }
        self.reserve_others(pending, &mut steps, &mut over).await?;
        let (transitions, rest): (Vec<_>, Vec<_>) = steps
            .into_iter()
            .map(|(place, Step { transition, outcome })| {
                let answers = !transition.outbox.is_empty();
                (transition, (place, outcome, answers))
            })
            .unzip();
        let settled = match self.pipeline.store.settle(transitions).await {
            Ok(settled) => settled,
            Err(error) => {
                // It may have been applied for all we know: then the next round is told that it was, and not as what.
                for (place, outcome, answers) in rest {
                    pending[place].tried = Some((outcome, answers));
                }
                return Err(error.into());
            }
        };
        let mut answered: Vec<_> = over
            .into_iter()
            .map(|over| Answered {
                settled: over.unwrap_or(Settled::Conflict),
                outcome: Outcome::duplicate,
                answers: false,
            })
            .collect();
        for (settled, (place, outcome, answers)) in settled.into_iter().zip(rest) {
            answered[place] = Answered { settled, outcome, answers };
        }
        for (pending, answered) in pending.iter().zip(&mut answered) {
            if answered.settled == Settled::Repeated {
                (answered.outcome, answered.answers) = pending.tried.unwrap_or((Outcome::duplicate, false));
            }
        }
        Ok(answered)
    }

    /// The memory of each sender, and what the store says already. A tracking id that is taken is drawn again at once, so
    /// that nothing of the same sender overtakes the message.
    async fn begin(
        &self,
        pending: &mut [Pending],
    ) -> Result<(HashMap<SenderKey, Memory>, Vec<Option<Settled>>), StoreError> {
        let mut memories = HashMap::new();
        let mut over: Vec<Option<Settled>> = vec![None; pending.len()];
        let mut places: Vec<usize> = (0..pending.len()).collect();
        while !places.is_empty() {
            let openings: Vec<_> = places.iter().map(|place| Pipeline::opening(&pending[*place].message)).collect();
            let begun = self.pipeline.store.begin(&openings).await?;
            let mut again = Vec::new();
            for (place, Begun { sender, settled }) in places.into_iter().zip(begun) {
                let message = &mut pending[place].message;
                memories.entry(message.sender).or_insert_with(|| memory(&sender));
                if settled == Some(Settled::TrackingIdTaken) && message.redraw < u8::MAX {
                    message.redraw += 1;
                    again.push(place);
                } else {
                    over[place] = settled;
                }
            }
            places = again;
        }
        Ok((memories, over))
    }

    /// Complaints of several fragments have ids that were not reserved yet.
    async fn reserve_others(
        &self,
        pending: &mut [Pending],
        steps: &mut Vec<(usize, Step)>,
        over: &mut [Option<Settled>],
    ) -> Result<(), StoreError> {
        let drawn = |place: usize| Pipeline::opening(&pending[place].message).draw;
        let others: Vec<_> = steps
            .iter()
            .filter_map(|(place, step)| {
                let opening = reservation(&step.transition)?;
                (opening.draw != drawn(*place)).then_some((*place, opening))
            })
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let (places, openings): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        for (place, begun) in places.into_iter().zip(self.pipeline.store.begin(&openings).await?) {
            let Some(settled) = begun.settled else { continue };
            if settled == Settled::TrackingIdTaken {
                pending[place].message.redraw += 1;
            }
            over[place] = Some(if settled == Settled::TrackingIdTaken { Settled::Conflict } else { settled });
            steps.retain(|(other, _)| *other != place);
        }
        Ok(())
    }

    /// Books what is settled; what met a conflict is left.
    async fn book(
        &self,
        pending: Vec<Pending>,
        answered: Vec<Answered>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(Vec<Pending>, bool), Stopped> {
        let (mut left, mut rung) = (Vec::new(), false);
        for (mut pending, Answered { settled, outcome, answers }) in pending.into_iter().zip(answered) {
            let channel = pending.channel.facts.id.as_str();
            let outcome = match settled {
                Settled::Applied | Settled::Repeated => outcome,
                Settled::Duplicate { .. } => Outcome::duplicate,
                Settled::NonceReused => {
                    let reason = "the nonce was used before with another body".to_owned();
                    self.quarantine(&[(pending.ticket, reason)], stop).await?;
                    Outcome::quarantined
                }
                Settled::Conflict | Settled::NotYet => {
                    left.push(pending);
                    continue;
                }
                Settled::TrackingIdTaken => {
                    pending.message.redraw += 1;
                    left.push(pending);
                    continue;
                }
            };
            rung |= outcome == Outcome::enqueued;
            self.pipeline.metrics.book(channel, outcome, 1);
            self.pipeline.metrics.last_message(channel, pending.message.origin.received_at.as_second());
            if answers {
                self.pipeline.outbox_bell.notify_one();
            }
        }
        Ok((left, rung))
    }

    /// One message that the store will never take must not hold up all others: it is found by halves and quarantined.
    async fn give_up_on_one(
        &self,
        mut pending: Vec<Pending>,
        error: &StoreError,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Vec<Pending>, Stopped> {
        if pending.len() > 1 {
            let rest = pending.split_off(pending.len() / 2);
            Box::pin(self.messages(pending, stop)).await?;
            Box::pin(self.messages(rest, stop)).await?;
            return Ok(Vec::new());
        }
        for one in pending {
            self.quarantine(&[(one.ticket, error.to_string())], stop).await?;
            self.pipeline.metrics.book(one.channel.facts.id.as_str(), Outcome::quarantined, 1);
        }
        Ok(Vec::new())
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
                match self.pipeline.store.delivery_report(channel, &id, status, error.as_deref(), now).await {
                    Ok(_is_known) => break,
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

    /// Fragments whose time is over go on.
    async fn timers(&self, stop: &mut watch::Receiver<bool>) -> Result<(), Stopped> {
        let now = clock::now();
        let due = match self.due(now).await {
            Ok(due) => due,
            // The next message or the next tick will tell.
            Err(error) => {
                self.store_is_away(&error);
                return Ok(());
            }
        };
        let mut rung = false;
        for sender in due {
            match self.flush(sender, 0, now).await {
                Ok(grown) => rung |= grown,
                Err(error) => self.store_is_away(&error),
            }
        }
        if rung {
            self.until_it_works(stop, || self.pipeline.store.confirm()).await?;
            self.pipeline.queue_bell.notify_waiters();
            self.pipeline.outbox_bell.notify_one();
        }
        Ok(())
    }

    /// The senders to look at. Of several gateways one looks at a time, which saves the others the asking; that a timer
    /// fires once is the doing of the sender's version.
    async fn due(&self, now: Timestamp) -> Result<Vec<SenderKey>, StoreError> {
        let store = &self.pipeline.store;
        if self.is_shared && !store.hold("timers", &self.owner, TIMERS_HELD, now).await? {
            return Ok(Vec::new());
        }
        store.due_senders(now, DUE).await
    }

    async fn flush(&self, key: SenderKey, redraw: u8, now: Timestamp) -> Result<bool, StoreError> {
        let opening = Opening { receipt: Pipeline::NOBODY, sender: key, nonce: None, draw: None };
        let Some(found) = self.pipeline.store.begin(&[opening]).await?.into_iter().next() else { return Ok(false) };
        let found = found.sender;
        let transitions = match self.due_fragments(key, &found, redraw, now) {
            Due::Flushed(transitions) => transitions,
            Due::Later { at } => {
                // The deadline is written anew, so that this sender does not stand before all others at each tick.
                let state = SenderState { value: found.state.value, deadline: at };
                self.pipeline.store.settle(vec![Pipeline::unchanged(key, found.version, state)]).await?;
                return Ok(false);
            }
        };
        let openings: Vec<_> = transitions.iter().filter_map(reservation).collect();
        let begun = self.pipeline.store.begin(&openings).await?;
        let is_taken = |settled: &Settled| *settled == Settled::TrackingIdTaken && redraw < u8::MAX;
        if begun.iter().filter_map(|begun| begun.settled.as_ref()).any(is_taken) {
            return Box::pin(self.flush(key, redraw + 1, now)).await;
        }
        // A conflict says that somebody else was faster: the next tick looks again.
        let settled = self.pipeline.store.settle(transitions).await?;
        if settled.iter().any(is_taken) {
            return Box::pin(self.flush(key, redraw + 1, now)).await;
        }
        Ok(true)
    }

    fn due_fragments(&self, key: SenderKey, found: &Versioned, redraw: u8, now: Timestamp) -> Due {
        let Ok(sender) = Sender::decode(&found.state.value) else {
            tracing::error!("the memory of a sender with fragments cannot be read; they stay where they are");
            return Due::Later { at: None };
        };
        let Some(id) = sender.waiting.first().map(|waiting| waiting.channel.clone()) else {
            return Due::Later { at: None };
        };
        // Fragments of a channel that is closed wait until it opens.
        let later = Due::Later { at: now.checked_add(CLOSED_WAIT).ok() };
        let Some(channel) = self.pipeline.channels.borrow().open(id.as_str()).cloned() else { return later };
        let deadline = sender.deadline();
        let mut memory = Memory { version: found.version, sender };
        let flushed = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let due = flush_due(&mut memory.sender, key, &channel.facts, now);
            let flush = |mut assembled: Assembled| {
                assembled.message.redraw = redraw;
                self.pipeline.flushed(assembled, &channel, &mut memory, now).transition
            };
            due.into_iter().map(flush).collect::<Vec<_>>()
        }));
        match flushed {
            Ok(transitions) if transitions.is_empty() => Due::Later { at: deadline },
            Ok(transitions) => {
                tracing::info!(channel.id = %id, messages = transitions.len(), "fragments go on at their deadline");
                Due::Flushed(transitions)
            }
            Err(_) => later,
        }
    }

    /// Repeats until the store has done it, or the gateway stops.
    async fn until_it_works<T, F>(
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

    fn store_is_away(&self, error: &StoreError) {
        if self.pipeline.metrics.store_up.set(0) != 0 {
            tracing::error!(%error, "the store is away; receipts wait in the journal");
        }
    }
}

/// What has to be reserved for the complaint of a transition, if it makes one.
fn reservation(transition: &Transition) -> Option<Opening> {
    let record = transition.record.as_ref()?;
    let draw = Some((record.tracking_id.clone(), record.complaint_id));
    Some(Opening { receipt: transition.receipt, sender: transition.sender, nonce: None, draw })
}

fn memory(found: &Versioned) -> Memory {
    let sender = Sender::decode(&found.state.value).unwrap_or_else(|error| {
        // A memory that cannot be read must not stop the citizen: it begins anew.
        tracing::error!(error, "the memory of a sender cannot be read and begins anew");
        Sender::default()
    });
    Memory { version: found.version, sender }
}

/// Waits a little, longer each time.
async fn pause(wait: &mut Duration, longest: Duration, stop: &mut watch::Receiver<bool>) -> Result<(), Stopped> {
    let until = Instant::now() + *wait;
    *wait = (*wait * 2).min(longest);
    tokio::select! {
        () = tokio::time::sleep_until(until) => Ok(()),
        _ = stop.wait_for(|stop| *stop) => Err(Stopped),
    }
}
