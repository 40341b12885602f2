//! The reader: what the pipeline is fed from, whether a receipt came a moment ago or before a crash.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use tokio::task::spawn_blocking;
use tracing::error;

use super::{
    JournalError, Journalled, Ticket, folder,
    index::Place,
    lookup::{self, receipt_id},
    scan::{Found, Scan, ScanError, Unreadable},
    shared::Shared,
};

/// Read from the disk at once.
const READ_BYTES: usize = 512 << 10;
/// What the disk does not give in so many tries at one place is damage; the receipts behind it must not wait for ever.
const TRIES: u32 = 5;

/// Reads receipts in the order of acceptance, from the first that is not settled; there is one.
#[derive(Debug)]
pub struct Tail {
    shared: Arc<Shared>,
    /// Number of the receipt that comes next. It moves only with what is handed out, so that a call that is dropped
    /// before it is ready loses nothing.
    next: u64,
    disk: Option<Disk>,
}

impl Tail {
    pub(super) fn new(shared: Arc<Shared>, next: u64) -> Self {
        Self { shared, next, disk: None }
    }

    /// The next receipts, at most `max`; waits while there is none. From memory where they were just written, else from
    /// the disk, so that a backlog costs no memory. None when the journal is closed and read to its end.
    pub async fn next(&mut self, max: usize) -> Result<Option<Vec<Journalled>>, JournalError> {
        let max = max.max(1);
        loop {
            // Asked in this order, as the writer ends after its last receipt.
            let is_closed = self.shared.is_closed();
            let durable = self.shared.durable.load(Ordering::Acquire);
            if self.next > durable {
                if is_closed {
                    // Another call must not wait either.
                    self.shared.news.notify_one();
                    return Ok(None);
                }
                self.shared.news.notified().await;
                continue;
            }
            let receipts = self.shared.state().ring.take(self.next, max);
            if let Some(last) = receipts.last() {
                self.next = last.ticket.sequence + 1;
                self.disk = None;
                return Ok(Some(receipts));
            }
            let disk = self.disk.take().filter(|disk| disk.next == self.next);
            let disk = disk.unwrap_or_else(|| Disk::new(Arc::clone(&self.shared), self.next));
            let (disk, receipts) = spawn_blocking(move || disk.read(max, durable))
                .await
                .map_err(|error| JournalError::Failed(format!("the journal's reader stopped: {error}")))?;
            self.next = disk.next;
            self.disk = Some(disk);
            let receipts = receipts?;
            if !receipts.is_empty() {
                return Ok(Some(receipts));
            }
        }
    }
}

/// The place in the segments.
#[derive(Debug)]
struct Disk {
    shared: Arc<Shared>,
    next: u64,
    /// The segment that is being read, by its first number.
    open: Option<(u64, Scan)>,
    /// The number at which reading failed last, and how many times.
    failed: (u64, u32),
}

impl Disk {
    fn new(shared: Arc<Shared>, next: u64) -> Self {
        Self { shared, next, open: None, failed: (0, 0) }
    }

    /// Reads on. After an error the same receipts are read again, and after some errors without what cannot be read.
    fn read(mut self, max: usize, durable: u64) -> (Self, Result<Vec<Journalled>, JournalError>) {
        let mut receipts = Vec::new();
        let from = self.next;
        let mut bytes = 0;
        while self.next <= durable && receipts.len() < max && bytes < READ_BYTES {
            if let Err(error) = self.step(durable, &mut receipts, &mut bytes) {
                if receipts.is_empty() {
                    let tries = if self.failed.0 == self.next { self.failed.1 + 1 } else { 1 };
                    self.failed = (self.next, tries);
                    if tries == TRIES {
                        error!(%error, sequence = self.next, tries, "the journal cannot be read here; what the disk does not give is stepped over");
                    }
                    (self.next, self.open) = (from, None);
                    return (self, Err(error));
                }
                // What was read before the error goes out first.
                self.open = None;
                break;
            }
        }
        (self, Ok(receipts))
    }

    /// One record, or one step to the next segment.
    fn step(&mut self, durable: u64, receipts: &mut Vec<Journalled>, bytes: &mut usize) -> Result<(), JournalError> {
        let Some(place) = self.shared.state().index.locate(self.next) else {
            self.skip_to(durable + 1);
            return Ok(());
        };
        if place.first > self.next {
            self.skip_to(place.first);
        }
        let Some(mut scan) = self.take_scan(&place)? else {
            self.skip_to(place.next.unwrap_or(durable + 1));
            return Ok(());
        };
        match scan.next(place.end).map_err(|error| folder::refusal("a segment", &error))? {
            Found::Record { frame, .. } if place.next.is_some_and(|next| frame.sequence >= next) => {
                // It was refused when it was written.
                self.skip_to(place.next.unwrap_or(durable + 1));
            }
            Found::Record { frame, .. } if frame.sequence < self.next => {}
            Found::Record { at, frame } => {
                let found = lookup::read(&self.shared, &mut scan, &frame)?;
                self.shared.state().mark(place.first, frame.sequence, at);
                self.skip_to(frame.sequence);
                self.next = frame.sequence + 1;
                *bytes += frame.length as usize;
                if let Some((receipt, verdict)) = found {
                    *bytes += if frame.body == 0 { 0 } else { receipt.request.body.len() };
                    let ticket = Ticket { sequence: frame.sequence, receipt: receipt.id };
                    receipts.push(Journalled { receipt, verdict, ticket });
                }
            }
            Found::Damaged { at, length, frame } => {
                let receipt = frame.map(|frame| receipt_id(&frame).to_string());
                error!(segment = place.first, at, length, receipt.id = receipt, "a record of the journal is damaged");
            }
            Found::End { .. } => self.skip_to(place.next.unwrap_or(durable + 1)),
        }
        // After an error it is opened anew, at the record that comes next.
        self.open = Some((place.first, scan));
        Ok(())
    }

    /// Goes on behind receipts that cannot be read.
    fn skip_to(&mut self, next: u64) {
        if next > self.next {
            error!(first = self.next, last = next - 1, "receipts that were accepted cannot be read from the journal");
            self.next = next;
        }
    }

    /// The segment of a place, opened; None when it is gone or cannot be read.
    fn take_scan(&mut self, place: &Place) -> Result<Option<Scan>, JournalError> {
        if let Some((_, scan)) = self.open.take().filter(|(first, _)| *first == place.first) {
            return Ok(Some(scan));
        }
        // On the way to the place that failed there may be damage, which is read again.
        let unreadable =
            if self.failed.0 >= self.next && self.failed.1 >= TRIES { Unreadable::IsDamage } else { Unreadable::Fails };
        match Scan::open_with(&self.shared.folder.segment(place.first), &self.shared.master, place.from, unreadable) {
            Ok(scan) => Ok(Some(scan)),
            Err(ScanError::Io(error)) if error.kind() != io::ErrorKind::NotFound => {
                Err(folder::refusal("a segment", &error))
            }
            Err(error @ ScanError::Key(_)) => Err(lookup::failed(error, "a segment")),
            Err(error) => {
                error!(%error, segment = place.first, "a segment of the journal cannot be read");
                Ok(None)
            }
        }
    }
}
