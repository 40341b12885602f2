//! The journal: every receipt is on the disk here before its provider is replied to.
//!
//! In: what verification let through. Out: the same receipts in the order of acceptance, a moment later or after a
//! crash, until they are settled; then they are kept as evidence until the retention ends. Append-only segment files
//! under one folder, one thread that writes, one sync for all who wait. It must never let a reply out before the disk has
//! the bytes, never overwrite what is not settled, and never panic on what it finds in its files.
//!
//! The choice of the engine, with figures: `docs/decisions/journal-engine.md`. The modules in reading order: [`frame`] and
//! `record` are the bytes, `seal` checksums and encrypts them, [`segment`] and `writer` bring them to the disk, `scan`
//! reads them back, `tail` hands them out, `recover` opens what an earlier run left, `retain` deletes.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::{self, JoinHandle},
};

use tokio::{sync::oneshot, task::spawn_blocking};
use tracing::warn;

use crate::{
    receipt::{Check, Receipt, ReceiptId, Verdict},
    signature::Verified,
    units::{Size, Span},
};

mod bodies;
mod checkpoint;
mod folder;
pub mod frame;
mod index;
mod lookup;
mod quarantine;
mod record;
mod recover;
mod retain;
mod scan;
mod seal;
pub mod segment;
mod shared;
mod tail;
mod writer;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use checkpoint::Checkpoint;
use folder::{Folder, unusable};
use record::BodyPlace;
use seal::{Kind, MasterKey};
use shared::{Pending, Shared};
pub use tail::Tail;
use writer::Writer;

/// The journal: a handle that is cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Handle>);

/// How the journal is kept.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// `data/journal`
    pub folder: PathBuf,
    /// Bytes on the disk, segments and bodies together. The quarantine has a quarter of it beside, as a budget that is
    /// complained about when it is exceeded.
    pub max_bytes: Size,
    /// How long raw receipts are kept (`retention.raw`).
    pub retention: Span,
    /// 32 bytes: encrypts everything that is written.
    pub key: Option<secrecy::SecretSlice<u8>>,
}

/// Why a receipt was not taken, or the journal not opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// 503 with `Retry-After`: the limit is reached, or the disk is full.
    #[error("the journal is full: {0}")]
    Full(String),
    /// 503: the disk fails.
    #[error("the journal cannot write: {0}")]
    Failed(String),
    /// From [`Journal::quarantine`] alone: neither memory nor the disk has the receipt whole, and trying again changes
    /// nothing.
    #[error("the journal has lost a receipt: {0}")]
    Gone(String),
    /// From [`Journal::open`] alone: somebody has to mend the folder or the configuration before the gateway can start.
    #[error("the journal cannot be opened: {0}")]
    Unusable(String),
}

/// Where a receipt stands in the journal. Sequence numbers count from 1 in the order of acceptance, without a gap as long
/// as no record is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    pub sequence: u64,
    pub receipt: ReceiptId,
}

/// A receipt that is durable; only the journal makes one.
#[derive(Debug)]
pub struct Journalled {
    receipt: Receipt,
    verdict: Verdict,
    ticket: Ticket,
}

impl Journalled {
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Notes what was found out about the sender since; the record on the disk stays as it is.
    pub fn note(&mut self, checks: Vec<Check>) {
        self.verdict.checks.extend(checks);
    }

    pub fn into_parts(self) -> (Receipt, Verdict, Ticket) {
        (self.receipt, self.verdict, self.ticket)
    }
}

/// Proof that a receipt is on the disk; needed to reply to the provider.
#[derive(Debug)]
pub struct Durable {
    ticket: Ticket,
}

impl Durable {
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

/// A receipt in the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    pub receipt: ReceiptId,
    pub channel: crate::receipt::ChannelId,
    pub received_at: jiff::Timestamp,
    /// For operators; no words of a citizen.
    pub reason: String,
    pub size_bytes: u64,
}

/// Sizes for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Receipts that are durable and not settled.
    pub backlog: u64,
    /// On the disk: segments, bodies and quarantine together.
    pub bytes: u64,
    pub quarantined: u64,
    /// False while appends are refused, as the limit is reached or the disk fails.
    pub is_writable: bool,
}

impl Journal {
    /// Opens the folder, steps over a torn tail, and finds where the last run stopped. Blocking.
    pub fn open(options: JournalOptions) -> Result<(Self, Tail), JournalError> {
        let folder = Folder::open(&options.folder)?;
        let lock = folder.lock()?;
        let master = MasterKey::new(options.key)
            .ok_or_else(|| JournalError::Unusable("journal.key must have 32 bytes".to_owned()))?;
        let path = folder.root.join("checkpoint");
        let checkpoint = Checkpoint::open(&path).map_err(|error| unusable(&path, &error))?;
        let (index, next) = recover::recover(&folder, &master, checkpoint.settled)?;
        let oldest = index.first().map_or(next, |entry| entry.first);
        if checkpoint.is_new() && oldest < next {
            warn!(
                "the journal's checkpoint is gone: every receipt that is kept is processed again, which changes nothing"
            );
        }
        let settled = checkpoint.settled.max(oldest - 1);
        let retention = options.retention.signed();
        let shared = Arc::new(Shared::new(folder, options.max_bytes.as_u64(), retention, master, index));
        shared.durable.store(next - 1, Ordering::Release);
        shared.settled.store(settled, Ordering::Release);
        let writer = Writer::new(Arc::clone(&shared), checkpoint, lock, next);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| JournalError::Unusable(format!("its thread cannot be started: {error}")))?;
        let tail = Tail::new(Arc::clone(&shared), settled + 1);
        Ok((Self(Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) })), tail))
    }

    /// Has a body of so many bytes a file of its own? What is appended a moment later may come before it.
    pub fn is_kept_apart(length: usize) -> bool {
        length > bodies::INSIDE
    }

    /// Returns when the receipt is on the disk: one fdatasync for all who wait. A call that is dropped before that leaves
    /// either the whole receipt or nothing of it.
    pub async fn append(&self, verified: Verified) -> Result<Durable, JournalError> {
        let (receipt, verdict) = verified.into_parts();
        self.append_again(receipt, verdict).await
    }

    /// Everything up to this sequence number has reached the store or the quarantine. Not fsynced at once: a repetition is harmless.
    pub fn settled(&self, through: u64) {
        self.0.shared.settled(through);
    }

    /// Copies a receipt to the quarantine, durably. While it is in memory, damage to its record on the disk does not matter.
    pub async fn quarantine(&self, ticket: Ticket, reason: &str) -> Result<(), JournalError> {
        let reason = reason.to_owned();
        self.blocking(move |shared| quarantine::put(shared, ticket, &reason)).await
    }

    /// Receipts in the quarantine, oldest first.
    pub async fn quarantined(&self) -> Result<Vec<Quarantined>, JournalError> {
        self.blocking(|shared| quarantine::list(shared)).await
    }

    /// One receipt of the quarantine, without its bytes.
    pub async fn quarantined_one(&self, id: ReceiptId) -> Result<Option<Quarantined>, JournalError> {
        self.blocking(move |shared| quarantine::note(shared, id)).await
    }

    /// Puts a quarantined receipt at the end of the journal again, and then takes it out of the quarantine. The copy keeps id,
    /// draw and time, so that what was made of it before is not made twice. False: not in the quarantine. Where two ask for
    /// one receipt, one of them gets it. A receipt that the pipeline quarantines again in the meantime stays there.
    pub async fn replay(&self, receipt: ReceiptId) -> Result<bool, JournalError> {
        let _turn = self.0.shared.replays.lock().await;
        let Some(whole) = self.blocking(move |shared| quarantine::get(shared, receipt)).await? else {
            return Ok(false);
        };
        self.append_again(whole.receipt, whole.verdict).await?;
        self.blocking(move |shared| quarantine::release(shared, receipt, whole.seen)).await?;
        Ok(true)
    }

    /// A receipt with its bytes, from the segments or the quarantine.
    pub async fn find(&self, receipt: ReceiptId) -> Result<Option<(Receipt, Verdict)>, JournalError> {
        self.blocking(move |shared| match quarantine::get(shared, receipt)? {
            Some(found) => Ok(Some((found.receipt, found.verdict))),
            None => lookup::by_id(shared, receipt),
        })
        .await
    }

    /// How long a receipt is kept. A full disk may end it earlier.
    pub fn retention(&self) -> jiff::SignedDuration {
        self.0.shared.retention
    }

    /// Cheap: a few numbers that are kept anyway.
    pub fn stats(&self) -> JournalStats {
        self.0.shared.stats()
    }

    /// Deletes what is settled and older than the retention, and what has lain in the quarantine for so long; returns how
    /// many segments and quarantined receipts went. Blocking.
    pub fn expire(&self, now: jiff::Timestamp) -> Result<usize, JournalError> {
        // Neither must keep the other from its turn.
        let (segments, receipts) = (retain::expire(&self.0.shared, now), quarantine::expire(&self.0.shared, now));
        Ok(segments? + receipts?)
    }

    /// Writes what is left and syncs; appends after this fail.
    pub async fn close(&self) {
        let handle = Arc::clone(&self.0);
        // The thread that waits cannot fail, and when the runtime is going down the handle waits when it is dropped.
        let _ = spawn_blocking(move || handle.end()).await;
    }

    async fn append_again(&self, receipt: Receipt, verdict: Verdict) -> Result<Durable, JournalError> {
        let shared = &self.0.shared;
        if let Some(error) = shared.refusal() {
            return Err(error);
        }
        let body = if Self::is_kept_apart(receipt.request.body.len()) {
            // A few at a time: each is in memory twice while it is written, even when nobody waits for it any more.
            let turn = Arc::clone(&shared.bodies).acquire_owned().await;
            let (id, body) = (receipt.id, receipt.request.body.clone());
            let work = move |shared: &Arc<Shared>| {
                let _turn = turn;
                bodies::write(shared, id, &body)
            };
            Some(self.blocking(work).await?)
        } else {
            None
        };
        let (place, inside) = match body {
            Some(_) => (BodyPlace::Outside, 0),
            None => (BodyPlace::Inside, receipt.request.body.len()),
        };
        let capacity = record::size_hint(&receipt) + inside;
        let permit = shared.admit(capacity).await?;
        let words = serde_json::to_vec(&verdict).map_err(|error| JournalError::Failed(error.to_string()))?;
        let frame = record::frame_of(&receipt, body.as_ref().map_or(0, |body| body.number));
        let record = shared.session.frame(Kind::Record, frame, capacity, |out| {
            record::encode(&receipt, &words, place, out);
        });
        let record = record.ok_or_else(|| JournalError::Failed("a receipt of more than 4 GiB".to_owned()))?;
        let (answer, answered) = oneshot::channel();
        shared.push(Pending { record, receipt, verdict, body, answer, permit })?;
        answered.await.unwrap_or_else(|_| Err(JournalError::Failed("the gateway is stopping".to_owned())))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Shared>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let shared = Arc::clone(&self.0.shared);
        spawn_blocking(move || work(&shared))
            .await
            .map_err(|error| JournalError::Failed(format!("a task of the journal stopped: {error}")))?
    }
}

/// Ends the writer when the last handle goes.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    /// Has the writer write what is left, and waits for it.
    fn end(&self) {
        self.shared.close();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // A panic of the writer was reported by itself, and everybody who waited got an error.
        let _ = thread.take().map(JoinHandle::join);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end();
    }
}
