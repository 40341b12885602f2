//! Reading: receipts of the journal are parsed and normalised, in order, on a thread of their own.
//!
//! A filter that runs cannot be stopped from outside. Its thread is therefore watched: one that has spent 50 ms of processor
//! time on one receipt is left behind, the receipt goes to the quarantine, and a new thread takes the rest. What counts is
//! the thread's processor time: on a busy machine a good message that only waits for its turn must not be given up. With
//! four threads left behind at once, receipts of the channels that caused it go to the quarantine unread, and the others
//! go on.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{BATCH, CHANNEL_CLOSED, Pipeline};
use crate::{
    adapter::Parsed,
    channel::{Channel, ChannelSet, Slot},
    journal::{Journalled, Tail, Ticket},
    mapping::{Owner, Surroundings},
    message::DeliveryReport,
    normalise::{Normalised, normalise},
    receipt::ChannelId,
};

/// Processor time for all filters of one receipt (`channel-manifest.md` §4).
const DEADLINE: Duration = Duration::from_millis(50);
/// For a letter, which may have 32 MiB (`threats.md` M1).
const DEADLINE_OF_LETTERS: Duration = Duration::from_secs(2);
/// Wall time after which a thread is left behind whatever it did.
const PATIENCE: Duration = Duration::from_secs(10);
/// Threads left behind at once before the channels that caused it have to wait.
const MOST_LEFT_BEHIND: usize = 4;

/// A receipt, read.
#[derive(Debug)]
pub struct Read {
    pub ticket: Ticket,
    pub channel: ChannelId,
    pub outcome: Outcome,
}

/// What reading came to.
#[derive(Debug)]
pub enum Outcome {
    Messages {
        /// Each with the channel it belongs to, which differs from the receipt's where channels share a URL.
        messages: Vec<(Arc<Channel>, Normalised)>,
        reports: Vec<(ChannelId, DeliveryReport)>,
        faults: Vec<(ChannelId, String)>,
        ignored: u32,
    },
    /// Nothing of it could be read now.
    Unread { reason: String },
}

/// The task that reads.
#[derive(Debug)]
pub struct Reader {
    pub pipeline: Pipeline,
    /// Threads that still run behind us.
    pub left_behind: Arc<AtomicUsize>,
}

/// Receipts with their channels, and those that share the URL of each, in order.
type Waiting = VecDeque<(Journalled, Counter)>;

/// The channel that a receipt came to, and those that share its URL.
#[derive(Clone, Debug)]
struct Counter {
    channel: Arc<Channel>,
    sharers: Arc<[Arc<Channel>]>,
}

/// The receipts that a thread takes one by one. Everything that both sides decide is behind one lock: a receipt is either
/// read by the thread or given up by the watcher, never both and never neither.
#[derive(Debug)]
struct Work(Mutex<Desk>);

#[derive(Debug)]
struct Desk {
    waiting: Waiting,
    current: Option<Current>,
    is_abandoned: bool,
    /// It was left behind with a receipt in hand, and counts as such until it ends.
    is_counted: bool,
    /// Of the kernel.
    thread: Option<u32>,
}

/// The receipt in hand.
#[derive(Clone, Debug)]
struct Current {
    ticket: Ticket,
    channel: ChannelId,
    /// Processor time that it may take.
    allowed: Duration,
}

/// What the watcher sees next.
enum Seen {
    Result(Read),
    Overrun,
    /// The thread ended: it panicked.
    Died,
}

impl Reader {
    /// Reads until the journal ends or nobody listens any more.
    pub async fn run(self, mut tail: Tail, batches: mpsc::Sender<Vec<Read>>) {
        let mut slow_channels = BTreeSet::new();
        loop {
            let mut receipts = match tail.next(BATCH).await {
                Ok(Some(receipts)) => receipts,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read; trying again in a second");
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            self.authenticate(&mut receipts).await;
            let channels = self.pipeline.channels.borrow().clone();
            let batch = self.read(receipts, &channels, &mut slow_channels).await;
            if batches.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// Asks who sent the letters of a batch, all at once; it takes a few seconds at most.
    async fn authenticate(&self, receipts: &mut [Journalled]) {
        let authenticator = &self.pipeline.authenticator;
        let letters = receipts.iter_mut().filter(|journalled| authenticator.concerns(journalled.receipt()));
        let asking = letters.map(|journalled| async {
            let checks = authenticator.checks(journalled.receipt()).await;
            journalled.note(checks);
        });
        join_all(asking).await;
    }

    async fn read(
        &self,
        receipts: Vec<Journalled>,
        channels: &ChannelSet,
        slow: &mut BTreeSet<ChannelId>,
    ) -> Vec<Read> {
        let mut read: Vec<Read> = Vec::with_capacity(receipts.len());
        let mut waiting = VecDeque::with_capacity(receipts.len());
        if self.left_behind.load(Ordering::Relaxed) == 0 {
            slow.clear();
        }
        for journalled in receipts {
            let (ticket, channel) = (journalled.ticket(), journalled.receipt().channel.clone());
            let reason = match channels.slot(channel.as_str()) {
                Some(Slot::Open(open)) if !self.has_to_wait(&channel, slow) => {
                    let counter = Counter { channel: open.clone(), sharers: channels.sharers(open) };
                    waiting.push_back((journalled, counter));
                    continue;
                }
                Some(Slot::Open(_)) => "mappings of this channel run too long",
                _ => CHANNEL_CLOSED,
            };
            read.push(Read { ticket, channel, outcome: Outcome::Unread { reason: reason.to_owned() } });
        }
        while !waiting.is_empty() {
            waiting = self.read_on_a_thread(waiting, &mut read, slow).await;
        }
        read.sort_by_key(|read| read.ticket.sequence);
        read
    }

    fn has_to_wait(&self, channel: &ChannelId, slow: &BTreeSet<ChannelId>) -> bool {
        slow.contains(channel) && self.left_behind.load(Ordering::Relaxed) >= MOST_LEFT_BEHIND
    }

    /// Hands everything to a thread and collects; returns what is left when the thread had to be left behind.
    async fn read_on_a_thread(
        &self,
        waiting: Waiting,
        read: &mut Vec<Read>,
        slow: &mut BTreeSet<ChannelId>,
    ) -> Waiting {
        let mut expected = waiting.len();
        let desk = Desk { waiting, current: None, is_abandoned: false, is_counted: false, thread: None };
        let work = Arc::new(Work(Mutex::new(desk)));
        // Never more than the batch waits in it.
        let (sender, mut results) = mpsc::unbounded_channel();
        let (thread_work, left_behind) = (work.clone(), self.left_behind.clone());
        tokio::task::spawn_blocking(move || thread_work.run(&sender, &left_behind));
        while expected > 0 {
            let reason = match watched(&mut results, &work).await {
                Seen::Result(result) => {
                    read.push(result);
                    expected -= 1;
                    continue;
                }
                Seen::Overrun => "reading it took longer than it may: 50 ms of filters, or 2 s of a letter",
                Seen::Died => "reading it failed inside the gateway; please report this",
            };
            let (left, given_up) = work.abandon(&self.left_behind);
            while let Ok(result) = results.try_recv() {
                read.push(result);
            }
            if let Some((ticket, channel)) = given_up {
                self.give_up(ticket, channel, reason, read, slow);
            }
            return left;
        }
        VecDeque::new()
    }

    fn give_up(
        &self,
        ticket: Ticket,
        channel: ChannelId,
        reason: &str,
        read: &mut Vec<Read>,
        slow: &mut BTreeSet<ChannelId>,
    ) {
        self.pipeline.metrics.mapping_overruns.inc();
        tracing::error!(channel.id = %channel, receipt.id = %ticket.receipt, reason, "a receipt is quarantined");
        slow.insert(channel.clone());
        read.push(Read { ticket, channel, outcome: Outcome::Unread { reason: reason.to_owned() } });
    }
}

/// Waits for the next result, and watches the thread meanwhile.
async fn watched(results: &mut mpsc::UnboundedReceiver<Read>, work: &Work) -> Seen {
    // The receipt in hand, and the thread's processor time when it was first seen there.
    let mut watched: Option<(Ticket, Duration)> = None;
    for _ in 0..PATIENCE.as_millis() / DEADLINE.as_millis() {
        match timeout(DEADLINE, results.recv()).await {
            Ok(Some(result)) => return Seen::Result(result),
            Ok(None) => return Seen::Died,
            Err(_) => {}
        }
        let (thread, current) = {
            let desk = work.desk();
            (desk.thread, desk.current.as_ref().map(|current| (current.ticket, current.allowed)))
        };
        // A thread that has not begun waits for a place in the pool, not in a filter.
        let (Some(used), Some((current, allowed))) = (thread.and_then(processor_time), current) else { continue };
        match watched {
            Some((ticket, before)) if ticket == current => {
                if used.saturating_sub(before) >= allowed {
                    return Seen::Overrun;
                }
            }
            _ => watched = Some((current, used)),
        }
    }
    Seen::Overrun
}

/// Processor time that a thread of ours has used. Linux: `/proc/self/task/<tid>/schedstat`, nanoseconds.
fn processor_time(thread: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

impl Work {
    /// A desk stays whole when a thread panics: nothing is changed half under the lock.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back what was not begun, and tells what was. A thread that still has a receipt in hand counts as left behind
    /// until it ends.
    fn abandon(&self, left_behind: &AtomicUsize) -> (Waiting, Option<(Ticket, ChannelId)>) {
        let mut desk = self.desk();
        desk.is_abandoned = true;
        let current = desk.current.take();
        if current.is_some() && desk.thread.is_some() {
            desk.is_counted = true;
            left_behind.fetch_add(1, Ordering::Relaxed);
        }
        (std::mem::take(&mut desk.waiting), current.map(|current| (current.ticket, current.channel)))
    }

    fn run(&self, results: &mpsc::UnboundedSender<Read>, left_behind: &AtomicUsize) {
        let id = std::fs::read_link("/proc/thread-self").ok();
        self.desk().thread = id.as_deref().and_then(|path| path.file_name()?.to_str()?.parse().ok());
        let _end = End { work: self, left_behind };
        while let Some((journalled, counter)) = self.begin() {
            let read = read_one(journalled, &counter);
            let mut desk = self.desk();
            if desk.is_abandoned {
                return;
            }
            desk.current = None;
            // Nobody listens only when the gateway stops.
            let _ = results.send(read);
        }
    }

    fn begin(&self) -> Option<(Journalled, Counter)> {
        let mut desk = self.desk();
        let next = desk.waiting.pop_front().filter(|_| !desk.is_abandoned)?;
        let allowed = if next.1.channel.reads_letters() { DEADLINE_OF_LETTERS } else { DEADLINE };
        desk.current = Some(Current { ticket: next.0.ticket(), channel: next.0.receipt().channel.clone(), allowed });
        Some(next)
    }
}

/// The end of a thread, by return or by panic.
struct End<'a> {
    work: &'a Work,
    left_behind: &'a AtomicUsize,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut desk = self.work.desk();
        // Nobody counts a thread that is gone.
        desk.thread = None;
        if desk.is_counted {
            self.left_behind.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Parsed and normalised, each item with the facts of the channel it belongs to.
fn read_one(journalled: Journalled, counter: &Counter) -> Read {
    let Counter { channel, sharers } = counter;
    let ticket = journalled.ticket();
    let theirs: Vec<_> = sharers.iter().map(|sharer| sharer.surroundings()).collect();
    let surroundings = Surroundings { sharers: &theirs, ..channel.surroundings() };
    let Parsed { origin, messages, reports, faults, ignored, owners, .. } =
        channel.engine.parse(journalled, &surroundings);
    let channel_of = |owner: Option<&Owner>| match owner {
        Some(Owner::Sharer(place)) => sharers.get(*place).unwrap_or(channel),
        _ => channel,
    };
    let messages = messages.into_iter().map(|(place, message)| {
        let owner = owners.messages.get(&place);
        let channel = channel_of(owner);
        let mut normalised = normalise(&origin, place, message, &channel.facts);
        if owner == Some(&Owner::Nobody) {
            tracing::warn!(channel.id = %channel.id(), receipt.id = %ticket.receipt, "a message names an account that no channel has");
            normalised.mark_as_nobodys();
        }
        (channel.clone(), normalised)
    });
    let messages = messages.collect();
    let reports = reports.into_iter().enumerate();
    let reports =
        reports.map(|(place, report)| (channel_of(owners.reports.get(&place)).id().clone(), report)).collect();
    let faults = faults.into_iter().enumerate();
    let faults =
        faults.map(|(place, fault)| (channel_of(owners.faults.get(&place)).id().clone(), fault.to_string())).collect();
    let outcome = Outcome::Messages { messages, reports, faults, ignored };
    Read { ticket, channel: channel.id().clone(), outcome }
}
