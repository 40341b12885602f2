//! The writer: one thread that takes every record that waits, writes them with one call, syncs once, and answers everybody.
//!
//! After a failed write or sync the segment is given up at the last place that is known to be good, and the numbers of the
//! refused records are given again: the next segment begins with the first of them, which says that whatever the
//! old one holds behind its good end was never accepted. Requests are refused for a moment, then a new segment is tried.

use std::{
    fs::{self, File},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tracing::{error, info, warn};

use super::{
    Durable, JournalError, Journalled, Ticket,
    checkpoint::Checkpoint,
    folder,
    frame::{BLOCK, Frame},
    index::Entry,
    retain,
    segment::Segment,
    shared::{Pending, Record, Shared},
};

/// What is settled is written down this often.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(100);
/// How long everything is refused after a failure.
const REFUSE_PAUSE: Duration = Duration::from_millis(250);
/// One write call.
const WRITE_BYTES: usize = 1 << 20;
/// A segment is a sixteenth of the limit, within these bounds.
const SEGMENT_PART: u64 = 16;
const SEGMENT_LEAST: u64 = 64 << 10;
const SEGMENT_MOST: u64 = 32 << 20;

/// The state of the thread.
pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub checkpoint: Checkpoint,
    /// Held until the thread ends.
    _lock: File,
    segment: Option<Segment>,
    /// Of the segment that is open.
    first: u64,
    /// Number of the next receipt.
    next: u64,
    buffer: Vec<u8>,
}

/// Nobody waits for a writer that is gone, however it went.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.ended();
    }
}

impl Writer {
    pub fn new(shared: Arc<Shared>, checkpoint: Checkpoint, lock: File, next: u64) -> Self {
        Self { shared, checkpoint, _lock: lock, segment: None, first: next, next, buffer: Vec::new() }
    }

    /// Works until the journal is closed.
    pub fn run(mut self) {
        self.measure();
        let mut due: Option<Instant> = None;
        loop {
            let work = self.shared.work(due);
            if due.is_none() && self.shared.has_settled() {
                due = Some(Instant::now() + CHECKPOINT_PAUSE);
            }
            self.write(work.pending);
            if work.roll {
                self.end_segment();
            }
            if work.closing {
                break;
            }
            if due.is_some_and(|due| Instant::now() >= due) {
                due = None;
                self.mark();
            }
        }
        self.end_segment();
    }

    /// Bodies and quarantine are counted here, so that many files do not hold up the start.
    fn measure(&self) {
        let Shared { folder, bytes, quarantined, quarantined_bytes, .. } = &*self.shared;
        match folder::measure(&folder.bodies) {
            Ok((found, _)) => {
                bytes.fetch_add(found, Ordering::Relaxed);
            }
            Err(error) => warn!(%error, "the bodies of the journal cannot be measured; the limit does not count them"),
        }
        match folder::measure(&folder.quarantine) {
            Ok((found, files)) => {
                quarantined_bytes.fetch_add(found, Ordering::Relaxed);
                quarantined.fetch_add(files, Ordering::Relaxed);
            }
            Err(error) => warn!(%error, "the quarantine cannot be measured; its budget does not count what is there"),
        }
    }

    fn mark(&mut self) {
        if self.shared.take_settled() {
            let settled = self.shared.settled.load(Ordering::Acquire);
            if let Err(error) = self.checkpoint.write(settled) {
                warn!(%error, "the journal's checkpoint cannot be written; receipts may be processed again after a restart");
            }
        }
    }

    /// Gives the open segment its final length; the next append begins a new one.
    fn end_segment(&mut self) {
        self.mark();
        if let Err(error) = self.checkpoint.sync() {
            warn!(%error, "the journal's checkpoint cannot be synced");
        }
        let Some(segment) = self.segment.take() else { return };
        let (end, size) = (segment.end(), segment.size());
        let cut = segment.cut();
        let mut state = self.shared.state();
        let is_empty = state.index.get_mut(self.first).is_some_and(|entry| {
            entry.open = false;
            entry.size = if cut.is_ok() { end } else { size };
            entry.is_empty()
        });
        self.shared.freed(if cut.is_ok() { size.saturating_sub(end) } else { 0 });
        if is_empty {
            state.index.remove(self.first);
            drop(state);
            let _ = fs::remove_file(self.shared.folder.segment(self.first));
            self.shared.freed(if cut.is_ok() { end } else { size });
        }
    }

    /// Writes all of it, as many at a time as fit one call and the segment.
    fn write(&mut self, pending: Vec<Pending>) {
        let mut waiting = pending.into_iter().peekable();
        while let Some(first) = waiting.peek() {
            let ready = self.shared.refusal().map_or_else(|| self.ready_for(first.record.len() as u64), Err);
            if let Err(error) = ready {
                refuse(waiting, &error);
                return;
            }
            let Some(segment) = &mut self.segment else { return };
            let room = segment.room();
            self.buffer.clear();
            let mut group = Vec::new();
            let held = |buffer: &Vec<u8>, record: &Pending| {
                let length = buffer.len() + record.record.len();
                length as u64 <= room && (length <= WRITE_BYTES || buffer.is_empty())
            };
            while let Some(mut record) = waiting.next_if(|record| held(&self.buffer, record)) {
                Frame::number(&mut record.record, self.next + group.len() as u64, &self.shared.session.key);
                self.buffer.extend_from_slice(&record.record);
                group.push(record);
            }
            let from = segment.end();
            #[cfg(not(test))]
            let appended = segment.append(&self.buffer);
            #[cfg(test)]
            let appended = if self.shared.break_next.swap(false, Ordering::Relaxed) {
                segment.break_off(&self.buffer)
            } else {
                segment.append(&self.buffer)
            };
            match appended {
                Ok(()) => self.accept(group, from),
                Err(error) => {
                    let error = folder::refusal("a segment of the journal", &error);
                    self.give_up(&error);
                    refuse(group.into_iter().chain(waiting), &error);
                    return;
                }
            }
        }
        if self.buffer.capacity() > 2 * WRITE_BYTES {
            self.buffer = Vec::new();
        }
    }

    /// The records of a group are durable: tells the index, the reader, and everybody who waits.
    fn accept(&mut self, group: Vec<Pending>, from: u64) {
        let mut answers = Vec::with_capacity(group.len());
        let mut at = from;
        let mut state = self.shared.state();
        for pending in group {
            let Pending { record, receipt, verdict, body, answer, permit } = pending;
            let ticket = Ticket { sequence: self.next, receipt: receipt.id };
            self.next += 1;
            if let (Some(entry), Some(frame)) =
                (state.index.get_mut(self.first), Frame::read(&record, &self.shared.session.key))
            {
                entry.record(&frame, at);
                entry.end = at + record.len() as u64;
            }
            at += record.len() as u64;
            let outside = body.as_ref().map(|_| receipt.request.body.clone());
            state.recent.push(ticket.sequence, Record { frame: record, body: outside });
            state.ring.push(Journalled { receipt, verdict, ticket });
            answers.push((answer, ticket, body, permit));
        }
        drop(state);
        self.shared.durable.store(self.next - 1, Ordering::Release);
        self.shared.news.notify_one();
        for (answer, ticket, body, permit) in answers {
            // Whoever does not wait any more has lost nothing: the receipt is here.
            let _ = answer.send(Ok(Durable { ticket }));
            drop(permit);
            if let Some(body) = body {
                body.keep();
            }
        }
    }

    /// After a failed write nothing behind the last good place is believed, and the file is not written again.
    fn give_up(&mut self, error: &JournalError) {
        error!(%error, "the journal cannot write; requests are refused");
        self.shared.refuse_for(REFUSE_PAUSE, error.clone());
        self.end_segment();
    }

    /// An open segment with room for so many bytes.
    fn ready_for(&mut self, needed: u64) -> Result<(), JournalError> {
        if self.segment.as_ref().is_some_and(|segment| segment.room() >= needed) {
            return Ok(());
        }
        self.end_segment();
        let begun = self.begin_segment(needed + BLOCK as u64);
        if let Err(error) = &begun {
            warn!(%error, "the journal takes nothing more; requests are refused");
            self.shared.refuse_for(REFUSE_PAUSE, error.clone());
        }
        begun
    }

    fn begin_segment(&mut self, needed: u64) -> Result<(), JournalError> {
        let size = self.size_of_next(needed)?;
        let path = self.shared.folder.segment(self.next);
        // The index knows of no such segment: what has its name is an empty one that could not be deleted.
        let _ = fs::remove_file(&path);
        let head = self.shared.session.key.header(self.next).encode();
        let segment = Segment::create(&path, &head, size)
            .map_err(|error| folder::refusal("a new segment of the journal", &error))?;
        self.first = self.next;
        self.shared.bytes.fetch_add(size, Ordering::Relaxed);
        self.shared.state().index.push(Entry::new(self.first, size));
        self.segment = Some(segment);
        Ok(())
    }

    /// How large the next segment may be: within the limit, and within what the disk has. Settled segments give way to it on
    /// both counts.
    fn size_of_next(&self, needed: u64) -> Result<u64, JournalError> {
        let wanted = (self.shared.max_bytes / SEGMENT_PART).clamp(SEGMENT_LEAST, SEGMENT_MOST).max(needed);
        let left = retain::make_room(&self.shared, wanted);
        let least = SEGMENT_LEAST.max(needed);
        let available = retain::make_disk_room(&self.shared, least.min(left))
            .map_err(|error| folder::refusal("the disk", &error))?;
        // On a disk that is nearly full not all of the rest is taken at once.
        let size = wanted.min(left).min((available / 4).max(least));
        if size < needed {
            return Err(JournalError::Full(format!(
                "its {} bytes hold receipts that are not settled; see why the store does not take them, or raise journal.max_size",
                self.shared.max_bytes
            )));
        }
        if size > available {
            return Err(JournalError::Full("the disk of the data folder has no room left; make some".to_owned()));
        }
        if size < wanted {
            info!(bytes = size, "the journal goes on with a small segment, as little room is left");
        }
        Ok(size)
    }
}

fn refuse(pending: impl Iterator<Item = Pending>, error: &JournalError) {
    for Pending { body, answer, .. } in pending {
        // It goes before anybody hears of it.
        drop(body);
        let _ = answer.send(Err(error.clone()));
    }
}
