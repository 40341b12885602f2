//! What the handles, the writer's thread and the reader share: the queue of records that wait for the disk, the index, and
//! the receipts that were just written.

use std::{
    collections::{HashSet, VecDeque},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{self, Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    Durable, JournalError, JournalStats, Journalled,
    bodies::Written,
    folder::Folder,
    index::Index,
    seal::{MasterKey, Session},
};
use crate::receipt::{Receipt, Verdict};

/// Records that wait for the disk, KiB.
const WAITING_KIB: u32 = 4 << 10;
/// Bodies that are being written to files of their own at the same time.
const BODIES_AT_ONCE: usize = 4;
/// Receipts that are kept for the reader.
const RING_RECEIPTS: usize = 512;
const RING_BYTES: usize = 2 << 20;

/// A record that waits for the disk.
pub(super) struct Pending {
    pub record: Vec<u8>,
    pub receipt: Receipt,
    pub verdict: Verdict,
    /// The body, when it lies in a file of its own.
    pub body: Option<Written>,
    pub answer: oneshot::Sender<Result<Durable, JournalError>>,
    /// Given back when the record was written.
    pub permit: OwnedSemaphorePermit,
}

/// What the writer has to do.
#[derive(Default)]
pub(super) struct Work {
    pub pending: Vec<Pending>,
    /// End the segment, so that it can grow old.
    pub roll: bool,
    pub closing: bool,
}

#[derive(Default)]
struct Queue {
    work: Work,
    /// Something was settled since the checkpoint was written.
    settled: bool,
    /// The writer is gone.
    closed: bool,
}

/// The receipts written last, in order and without a gap.
#[derive(Debug, Default)]
pub(super) struct Ring {
    receipts: VecDeque<Journalled>,
    bytes: usize,
}

/// The records written last, as they are on the disk. The reader may have got them from memory long ago; whoever quarantines one
/// then needs no good copy on the disk.
#[derive(Debug, Default)]
pub(super) struct Recent {
    records: VecDeque<(u64, Record)>,
    bytes: usize,
}

/// A record as it is on the disk, with the body that lies in another file, if one does.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub frame: Vec<u8>,
    pub body: Option<Bytes>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub index: Index,
    pub ring: Ring,
    pub recent: Recent,
}

pub(super) struct Shared {
    pub folder: Folder,
    pub max_bytes: u64,
    pub retention: jiff::SignedDuration,
    pub master: MasterKey,
    pub session: Session,
    queue: Mutex<Queue>,
    arrived: Condvar,
    state: Mutex<State>,
    /// Wakes the reader.
    pub news: Notify,
    /// The last sequence number on the disk.
    pub durable: AtomicU64,
    pub settled: AtomicU64,
    /// Of segments and bodies: what the limit counts.
    pub bytes: AtomicU64,
    /// Receipts in the quarantine, and their bytes.
    pub quarantined: AtomicU64,
    pub quarantined_bytes: AtomicU64,
    /// After a failure everything is refused until then.
    refusing: Mutex<Option<(Instant, JournalError)>>,
    waiting: Arc<Semaphore>,
    pub bodies: Arc<Semaphore>,
    /// Numbers of bodies whose record is not durable yet.
    in_flight: Mutex<HashSet<u64>>,
    /// Held while a file of the quarantine comes or goes. When was it last said that there are too many?
    quarantine: Mutex<Option<Instant>>,
    /// Held from the reading of a quarantined receipt until it is released, so that nobody brings it back twice.
    pub replays: sync::Mutex<()>,
    /// The next append writes everything and then fails as a full disk does.
    #[cfg(test)]
    pub break_next: std::sync::atomic::AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Shared({})", self.folder.root.display())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics while he holds one of these locks halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_off(count: &AtomicU64, less: u64) {
    let update = |held: u64| Some(held.saturating_sub(less));
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
}

fn closed() -> JournalError {
    JournalError::Failed("the gateway is stopping".to_owned())
}

impl Shared {
    pub fn new(
        folder: Folder,
        max_bytes: u64,
        retention: jiff::SignedDuration,
        master: MasterKey,
        index: Index,
    ) -> Self {
        Self {
            folder,
            max_bytes,
            retention,
            session: Session::new(&master),
            master,
            queue: Mutex::default(),
            arrived: Condvar::new(),
            bytes: AtomicU64::new(index.bytes()),
            state: Mutex::new(State { index, ..State::default() }),
            news: Notify::new(),
            durable: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            quarantined: AtomicU64::new(0),
            quarantined_bytes: AtomicU64::new(0),
            refusing: Mutex::new(None),
            waiting: Arc::new(Semaphore::new(WAITING_KIB as usize)),
            bodies: Arc::new(Semaphore::new(BODIES_AT_ONCE)),
            in_flight: Mutex::default(),
            quarantine: Mutex::default(),
            replays: sync::Mutex::default(),
            #[cfg(test)]
            break_next: false.into(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub fn in_flight(&self) -> MutexGuard<'_, HashSet<u64>> {
        lock(&self.in_flight)
    }

    pub fn quarantine(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.quarantine)
    }

    pub fn stats(&self) -> JournalStats {
        let durable = self.durable.load(Ordering::Acquire);
        JournalStats {
            backlog: durable.saturating_sub(self.settled.load(Ordering::Relaxed)),
            bytes: self.bytes.load(Ordering::Relaxed) + self.quarantined_bytes.load(Ordering::Relaxed),
            quarantined: self.quarantined.load(Ordering::Relaxed),
            is_writable: self.refusal().is_none(),
        }
    }

    /// Takes bytes off the books.
    pub fn freed(&self, bytes: u64) {
        take_off(&self.bytes, bytes);
    }

    /// Takes files of the quarantine off the books.
    pub fn released(&self, files: u64, bytes: u64) {
        take_off(&self.quarantined, files);
        take_off(&self.quarantined_bytes, bytes);
    }

    /// Waits until there is room in memory for a record of this size.
    pub async fn admit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, JournalError> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, WAITING_KIB);
        Arc::clone(&self.waiting).acquire_many_owned(kib).await.map_err(|_| closed())
    }

    /// Why nothing is taken at the moment.
    pub fn refusal(&self) -> Option<JournalError> {
        let mut refusing = lock(&self.refusing);
        match &*refusing {
            Some((until, error)) if Instant::now() < *until => Some(error.clone()),
            Some(_) => {
                *refusing = None;
                None
            }
            None => None,
        }
    }

    pub fn refuse_for(&self, pause: Duration, error: JournalError) {
        *lock(&self.refusing) = Some((Instant::now() + pause, error));
    }

    pub fn push(&self, pending: Pending) -> Result<(), JournalError> {
        let mut queue = lock(&self.queue);
        if queue.closed || queue.work.closing {
            return Err(closed());
        }
        queue.work.pending.push(pending);
        // The writer sleeps only when there is nothing: the first one wakes it.
        if queue.work.pending.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(())
    }

    pub fn settled(&self, through: u64) {
        let through = through.min(self.durable.load(Ordering::Acquire));
        if self.settled.fetch_max(through, Ordering::AcqRel) >= through {
            return;
        }
        let mut queue = lock(&self.queue);
        if !mem::replace(&mut queue.settled, true) {
            self.arrived.notify_one();
        }
    }

    pub fn roll(&self) {
        lock(&self.queue).work.roll = true;
        self.arrived.notify_one();
    }

    pub fn close(&self) {
        lock(&self.queue).work.closing = true;
        self.arrived.notify_one();
    }

    pub fn is_closed(&self) -> bool {
        lock(&self.queue).closed
    }

    /// The writer is gone: nobody may wait for it.
    pub fn ended(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        let pending = mem::take(&mut queue.work.pending);
        drop(queue);
        drop(pending);
        self.news.notify_one();
    }

    /// Everything that waits. Returns without work when `until` has passed, or when something was settled and `until` is
    /// None: the checkpoint has to be written soon.
    pub fn work(&self, until: Option<Instant>) -> Work {
        let mut queue = lock(&self.queue);
        loop {
            let work = &queue.work;
            if !work.pending.is_empty() || work.roll || work.closing || (until.is_none() && queue.settled) {
                let closing = queue.work.closing;
                return mem::replace(&mut queue.work, Work { closing, ..Work::default() });
            }
            queue = match until {
                None => self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Work::default();
                    }
                    self.arrived.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Was something settled since the last call?
    pub fn take_settled(&self) -> bool {
        mem::take(&mut lock(&self.queue).settled)
    }

    pub fn has_settled(&self) -> bool {
        lock(&self.queue).settled
    }
}

impl State {
    /// Remembers where a record lies that was read from a segment of an earlier run.
    pub fn mark(&mut self, first: u64, sequence: u64, at: u64) {
        if let Some(entry) = self.index.get_mut(first) {
            entry.mark(sequence, at);
        }
    }
}

impl Recent {
    /// Keeps a record; the oldest go when there are too many.
    pub fn push(&mut self, sequence: u64, record: Record) {
        self.bytes += record.weight();
        self.records.push_back((sequence, record));
        while self.records.len() > RING_RECEIPTS || self.bytes > RING_BYTES {
            let Some((_, record)) = self.records.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(record.weight());
        }
    }

    pub fn get(&self, sequence: u64) -> Option<&Record> {
        let place = self.records.binary_search_by_key(&sequence, |(sequence, _)| *sequence).ok()?;
        self.records.get(place).map(|(_, record)| record)
    }
}

impl Record {
    fn weight(&self) -> usize {
        self.frame.capacity() + self.body.as_ref().map_or(0, Bytes::len)
    }
}

impl Ring {
    /// Keeps a receipt for the reader; the oldest go when there are too many, and are read from the disk.
    pub fn push(&mut self, journalled: Journalled) {
        self.bytes += weight(&journalled);
        self.receipts.push_back(journalled);
        while self.receipts.len() > RING_RECEIPTS || self.bytes > RING_BYTES {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Journalled> {
        let journalled = self.receipts.pop_front()?;
        self.bytes = self.bytes.saturating_sub(weight(&journalled));
        Some(journalled)
    }

    /// The receipts from this number on, at most `max`, if the first of them is here.
    pub fn take(&mut self, sequence: u64, max: usize) -> Vec<Journalled> {
        while self.receipts.front().is_some_and(|first| first.ticket.sequence < sequence) {
            self.pop();
        }
        if self.receipts.front().is_none_or(|first| first.ticket.sequence != sequence) {
            return Vec::new();
        }
        let count = max.min(self.receipts.len());
        (0..count).map_while(|_| self.pop()).collect()
    }
}

/// About how much memory a receipt takes.
fn weight(journalled: &Journalled) -> usize {
    let request = &journalled.receipt.request;
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len() + 96).sum();
    1024 + request.target.len() + headers + request.body.len()
}
