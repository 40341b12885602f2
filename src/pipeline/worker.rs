//! The second half: reads the journal and takes each receipt through the stages, on a thread of its own.
//!
//! Live receipts and the replay after a crash come through the same reader, so there is one way to do it. A batch is
//! parsed and normalised by the mapping pool, then settled in order; when the store has confirmed, the receipts are
//! marked. With the store away the batch is repeated until it is back: receipts wait in the journal, not in memory.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::{error, info, warn};

use super::{
    Pipeline,
    settle::{Done, Task},
};
use crate::{
    adapter::Parsed,
    channel::{Channel, Door},
    clock,
    converse::facts::{ChannelFacts, ReceiptFacts},
    journal::{Journalled, Mark, MarkOutcome, Reader},
    message::DeliveryReport,
    normalise::{Normalised, normalise},
    receipt::{Receipt, ReceiptId},
    store::{Store, StoreError},
    telemetry::Outcome,
};

/// Receipts of one batch, and their bytes.
const BATCH_RECEIPTS: usize = 256;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Receipts handed to the mapping pool at once.
const CHUNK: usize = 64;
/// Marks wait this long for company, so that one confirmation of the store serves many batches.
const CONFIRM_EVERY: Duration = Duration::from_millis(50);
/// Pause before the store is tried again, doubled up to the cap.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long the worker sleeps without news; `stop` is looked at as often.
const IDLE: Duration = Duration::from_millis(100);

/// What the worker last heard of the store.
#[derive(Debug, Default)]
pub struct StoreHealth(Mutex<Option<String>>);

impl StoreHealth {
    /// Why the store does not answer; `None` while it does.
    pub fn failure(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, failure: Option<String>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = state.is_some() != failure.is_some();
        *state = failure;
        changed
    }
}

/// One receipt of a batch, while its messages are settled.
struct Work {
    receipt: Receipt,
    marks: Vec<Mark>,
    reports: Vec<DeliveryReport>,
    /// Why its raw bytes go to the quarantine, if they do.
    fault: Option<String>,
}

/// What the pool made of one receipt.
struct Taken {
    parsed: Vec<(usize, Normalised)>,
    reports: Vec<DeliveryReport>,
    ignored: u64,
    faults: Vec<String>,
}

impl Pipeline {
    /// Runs until `stop` is set; blocks the thread. `runtime` drives the store's futures.
    pub fn work(self: &Arc<Self>, mut reader: Reader, runtime: &tokio::runtime::Handle, stop: &AtomicBool) {
        let mut marks = Vec::new();
        let mut confirmed = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let mut batch = self.take_replays();
            match reader.next_batch(BATCH_RECEIPTS, BATCH_BYTES) {
                Ok(journalled) => batch.extend(journalled.into_iter().map(|journalled| (journalled, false))),
                Err(error) => error!(%error, "the journal cannot be read"),
            }
            let idle = batch.is_empty();
            if !idle {
                let Some(done) = self.process(batch, runtime, stop) else { break };
                marks.extend(done);
            }
            if !marks.is_empty() && (idle || confirmed.elapsed() >= CONFIRM_EVERY) {
                self.confirm(&mut marks, runtime, stop);
                confirmed = Instant::now();
            }
            self.gauges();
            if idle {
                reader.changed_blocking(IDLE);
            }
        }
        self.confirm(&mut marks, runtime, stop);
    }

    /// Receipts that an operator wants processed again, out of the quarantine.
    fn take_replays(&self) -> Vec<(Journalled, bool)> {
        let ids = std::mem::take(&mut *self.replays.lock().unwrap_or_else(PoisonError::into_inner));
        let mut batch = Vec::new();
        for id in ids {
            match self.journal.quarantined(id) {
                Ok(Some(journalled)) => batch.push((journalled, true)),
                Ok(None) => info!(receipt.id = %id, "a receipt to replay is not in the quarantine"),
                Err(error) => warn!(receipt.id = %id, %error, "a receipt of the quarantine cannot be read"),
            }
        }
        batch
    }

    /// Takes a batch through all stages. None when `stop` was set while the store was away.
    fn process(
        self: &Arc<Self>,
        batch: Vec<(Journalled, bool)>,
        runtime: &tokio::runtime::Handle,
        stop: &AtomicBool,
    ) -> Option<Vec<Mark>> {
        let now = clock::now();
        let (mut works, mut tasks, owners) = self.parse(batch);
        let done = self.until_stored(runtime, stop, || async { self.settle(&mut tasks, now).await })?;
        if done.iter().any(|done| done.outcome == Outcome::enqueued || done.outcome == Outcome::command) {
            self.outbox.notify_one();
        }
        for (done, (owner, task)) in done.into_iter().zip(owners.iter().zip(&tasks)) {
            self.metrics.book(task.channel.id.as_str(), done.outcome, 1);
            works[*owner].note(&done, now);
        }
        let mut marks = Vec::with_capacity(works.len());
        for work in works {
            marks.extend(self.finish(work, now, runtime, stop)?);
        }
        Some(marks)
    }

    /// Parses and normalises, by the pool. The second list holds the messages in order, the third their receipts' places.
    fn parse(self: &Arc<Self>, batch: Vec<(Journalled, bool)>) -> (Vec<Work>, Vec<Task>, Vec<usize>) {
        let channels = self.registry.snapshot();
        let mut works = Vec::with_capacity(batch.len());
        let (mut tasks, mut owners) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        let mut batch = batch.into_iter().peekable();
        while batch.peek().is_some() {
            let chunk: Vec<_> = batch.by_ref().take(CHUNK).collect();
            let jobs: Vec<_> = chunk
                .into_iter()
                .map(|(journalled, released)| {
                    let channel = match channels.find(&journalled.receipt().channel) {
                        Some(Door::Open(channel)) => Some(Arc::clone(channel)),
                        _ => None,
                    };
                    (journalled, released, channel)
                })
                .collect();
            let kept: Vec<_> = jobs
                .iter()
                .map(|(journalled, released, channel)| (journalled.clone(), *released, channel.clone()))
                .collect();
            let results = self.pool.map(jobs, |(journalled, _, channel)| channel.map(|channel| take(journalled, &channel)));
            for ((journalled, released, channel), taken) in kept.into_iter().zip(results) {
                let owner = works.len();
                let work = self.begin(journalled, released, channel.as_ref(), taken, owner, &mut tasks, &mut owners);
                works.push(work);
            }
        }
        (works, tasks, owners)
    }

    #[expect(clippy::too_many_arguments, reason = "the two lists grow in step")]
    fn begin(
        &self,
        journalled: Journalled,
        released: bool,
        channel: Option<&Arc<Channel>>,
        taken: Result<Option<Taken>, crate::mapping::Overrun>,
        owner: usize,
        tasks: &mut Vec<Task>,
        owners: &mut Vec<usize>,
    ) -> Work {
        let (receipt, verdict) = journalled.into_parts();
        let fault = |reason: &str| Work::faulty(receipt.clone(), reason);
        let (Some(channel), taken) = (channel, taken) else {
            return fault("the channel is not open; open it and replay the receipt");
        };
        let taken = match taken {
            Ok(Some(taken)) => taken,
            Ok(None) => return fault("the channel is not open; open it and replay the receipt"),
            Err(_) => {
                self.metrics.mapping_overruns.inc();
                return fault("the manifest's filters took more than 50 ms");
            }
        };
        let facts = Arc::new(self.channel_facts(channel));
        let expires_at = receipt.received_at.checked_add(self.facts.raw).unwrap_or(receipt.received_at);
        let mut receipt_facts = ReceiptFacts::new(&receipt, verdict, facts.time(expires_at));
        receipt_facts.released = released;
        let receipt_facts = Arc::new(receipt_facts);
        self.metrics.ignored(channel.id.as_str(), taken.ignored);
        for (index, message) in taken.parsed {
            owners.push(owner);
            tasks.push(Task {
                channel: Arc::clone(channel),
                facts: Arc::clone(&facts),
                receipt: Arc::clone(&receipt_facts),
                index,
                message,
                attempt: 0,
            });
        }
        let fault = (!taken.faults.is_empty()).then(|| taken.faults.join("; "));
        Work { receipt, marks: Vec::new(), reports: taken.reports, fault }
    }

    /// Delivery reports, quarantine and the last mark of a receipt.
    fn finish(
        self: &Arc<Self>,
        mut work: Work,
        now: Timestamp,
        runtime: &tokio::runtime::Handle,
        stop: &AtomicBool,
    ) -> Option<Vec<Mark>> {
        let channel = work.receipt.channel.clone();
        for report in &work.reports {
            self.until_stored(runtime, stop, || async {
                self.store.delivery_report(&channel, &report.id, report.status, report.error.as_deref(), now).await
            })?;
        }
        self.metrics.delivery_reports(channel.as_str(), work.reports.len() as u64);
        let id = work.receipt.id;
        if let Some(reason) = &work.fault {
            // Until the raw bytes lie in the quarantine the receipt stays unmarked, and is read again at the next start.
            while let Err(error) = self.journal.quarantine(id, reason, now) {
                error!(receipt.id = %id, %error, "a receipt cannot be put into the quarantine; trying again");
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                std::thread::sleep(LONGEST_PAUSE);
            }
            self.metrics.book(channel.as_str(), Outcome::quarantined, 1);
            warn!(channel.id = %channel, receipt.id = %id, reason, "a receipt went to the quarantine");
            work.marks.push(Mark::new(id, now, MarkOutcome::Quarantined).detail(reason));
        } else if let Err(error) = self.journal.release(id) {
            warn!(receipt.id = %id, %error, "a receipt that was processed is still in the quarantine");
        }
        if work.marks.is_empty() {
            let outcome = if work.reports.is_empty() { MarkOutcome::Ignored } else { MarkOutcome::Reported };
            work.marks.push(Mark::new(id, now, outcome));
        }
        if let Some(last) = work.marks.last_mut() {
            last.last = true;
        }
        Some(work.marks)
    }

    /// Waits for the store's word that all is durable, then marks the receipts and lets the replies go.
    fn confirm(self: &Arc<Self>, marks: &mut Vec<Mark>, runtime: &tokio::runtime::Handle, stop: &AtomicBool) {
        if marks.is_empty() || self.until_stored(runtime, stop, || self.store.confirm()).is_none() {
            return;
        }
        match self.journal.mark(marks) {
            Ok(()) => {
                for mark in marks.iter().filter(|mark| mark.last) {
                    self.settled(mark.receipt);
                }
                marks.clear();
            }
            // A mark that is lost only repeats work that is idempotent; they are kept for the next round.
            Err(error) => warn!(%error, "receipts could not be marked"),
        }
    }

    /// Repeats `work` until the store took it; None when `stop` is set first.
    fn until_stored<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        runtime: &tokio::runtime::Handle,
        stop: &AtomicBool,
        mut work: impl FnMut() -> F,
    ) -> Option<T> {
        let mut pause = FIRST_PAUSE;
        loop {
            match runtime.block_on(work()) {
                Ok(value) => {
                    if self.store_health.set(None) {
                        info!("the store answers again");
                    }
                    self.metrics.store_up.set(1);
                    return Some(value);
                }
                Err(error) => {
                    self.metrics.store_up.set(0);
                    if self.store_health.set(Some(error.to_string())) {
                        warn!(%error, "the store does not take the complaints; they wait in the journal");
                    }
                    if stop.load(Ordering::Relaxed) {
                        return None;
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn gauges(&self) {
        let state = self.journal.state();
        self.metrics.journal_backlog.set(state.backlog as i64);
        self.metrics.journal_bytes.set(state.bytes as i64);
        self.metrics.quarantined.set(state.quarantined as i64);
    }
}

/// Parse and normalise: the pure stages that a manifest takes part in, run by the pool under its deadline.
fn take(journalled: Journalled, channel: &Channel) -> Taken {
    let content_proven = journalled.verdict().proves.content;
    let received_at = journalled.receipt().received_at;
    let parsed: Parsed = channel.parse(journalled);
    let (messages, reports, faults, ignored) = parsed.into_parts();
    let rules = channel.normalise_rules(content_proven, received_at);
    Taken {
        parsed: messages.into_iter().map(|(index, message)| (index, normalise(message, &rules))).collect(),
        reports,
        ignored: u64::from(ignored),
        faults: faults.into_iter().map(|fault| fault.to_string()).collect(),
    }
}

impl Work {
    fn faulty(receipt: Receipt, reason: &str) -> Self {
        Self { receipt, marks: Vec::new(), reports: Vec::new(), fault: Some(reason.to_owned()) }
    }

    fn note(&mut self, done: &Done, now: Timestamp) {
        let outcome = match done.outcome {
            Outcome::enqueued => MarkOutcome::Enqueued,
            Outcome::duplicate => MarkOutcome::Duplicate,
            Outcome::command => MarkOutcome::Command,
            Outcome::drafted => MarkOutcome::Drafted,
            Outcome::expired => MarkOutcome::Expired,
            Outcome::quarantined | Outcome::refused => {
                self.fault.get_or_insert_with(|| "the nonce was used before with another body".to_owned());
                return;
            }
        };
        let mut mark = Mark::new(self.receipt.id, now, outcome);
        mark.complaint_id = done.complaint_id;
        mark.queue.clone_from(&done.queue);
        mark.event_id.clone_from(&done.event_id);
        self.marks.push(mark);
    }
}
