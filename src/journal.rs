//! The journal: every receipt is on the disk here before its provider is replied to.

use crate::receipt::{Receipt, ReceiptId, Verdict};

/// Where a receipt stands in the journal. Sequence numbers count from 1 without a gap, in the order of acceptance.
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

    pub fn into_parts(self) -> (Receipt, Verdict, Ticket) {
        (self.receipt, self.verdict, self.ticket)
    }
}

use std::{path::PathBuf, sync::Arc};

use crate::{signature::Verified, units::{Size, Span}};

/// How the journal is kept.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// `data/journal`
    pub folder: PathBuf,
    /// Bytes on the disk, segments, bodies and quarantine together.
    pub max_bytes: Size,
    /// How long raw receipts are kept (`retention.raw`).
    pub retention: Span,
    /// 32 bytes: encrypts everything that is written.
    pub key: Option<secrecy::SecretSlice<u8>>,
}

/// Why a receipt was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// 503 with `Retry-After`: the limit is reached, or the disk is full.
    #[error("the journal is full: {0}")]
    Full(String),
    /// 503: the disk fails.
    #[error("the journal cannot write: {0}")]
    Failed(String),
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
#[derive(Clone, Debug)]
pub struct Quarantined {
    pub receipt: ReceiptId,
    pub channel: crate::receipt::ChannelId,
    pub received_at: jiff::Timestamp,
    /// For operators; no words of a citizen.
    pub reason: String,
    pub size_bytes: u64,
}

/// Sizes for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalStats {
    /// Receipts that are durable and not settled.
    pub backlog: u64,
    pub bytes: u64,
    pub quarantined: u64,
}

/// The journal: a handle that is cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal(Arc<()>);

impl Journal {
    /// Opens the folder, repairs a torn tail, and finds where the last run stopped. Blocking.
    pub fn open(options: JournalOptions) -> Result<(Self, Tail), JournalError> { let _ = options; todo!() }
    /// Returns when the receipt is on the disk: one fdatasync for all who wait.
    pub async fn append(&self, verified: Verified) -> Result<Durable, JournalError> { let _ = verified; todo!() }
    /// Everything up to this sequence number has reached the store or the quarantine. Not fsynced at once: a repetition is harmless.
    pub fn settled(&self, through: u64) { let _ = through; todo!() }
    /// Copies a receipt to the quarantine, durably.
    pub async fn quarantine(&self, ticket: Ticket, reason: &str) -> Result<(), JournalError> { let _ = (ticket, reason); todo!() }
    /// Receipts in the quarantine, oldest first.
    pub async fn quarantined(&self) -> Result<Vec<Quarantined>, JournalError> { todo!() }
    /// Puts a quarantined receipt at the end of the journal again, and then takes it out of the quarantine. The copy keeps id,
    /// draw and time, so that what was made of it before is not made twice. False: not in the quarantine.
    pub async fn replay(&self, receipt: ReceiptId) -> Result<bool, JournalError> { let _ = receipt; todo!() }
    /// A receipt with its bytes, from the segments or the quarantine.
    pub async fn find(&self, receipt: ReceiptId) -> Result<Option<(Receipt, Verdict)>, JournalError> { let _ = receipt; todo!() }
    pub fn stats(&self) -> JournalStats { todo!() }
    /// Deletes what is settled and older than the retention; returns how many segments went. Blocking.
    pub fn expire(&self, now: jiff::Timestamp) -> Result<usize, JournalError> { let _ = now; todo!() }
    /// Writes what is left and syncs; appends after this fail.
    pub async fn close(&self) { todo!() }
}

/// Reads receipts in the order of acceptance, from the first that is not settled; there is one.
#[derive(Debug)]
pub struct Tail(());

impl Tail {
    /// The next receipts, at most `max`; waits while there is none. From memory where they were just written, else from
    /// the disk, so that a backlog costs no memory. None when the journal is closed and read to its end.
    pub async fn next(&mut self, max: usize) -> Result<Option<Vec<Journalled>>, JournalError> { let _ = max; todo!() }
}
