//! The quarantine: receipts that could not be processed, whole, one file each, until an operator replays them.
//!
//! A file has two records: a note that lists need (channel, reason, size), and the receipt.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    sync::atomic::Ordering,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::{
    JournalError, Quarantined, Ticket, bodies, folder,
    frame::{BLOCK, FRAME},
    lookup,
    record::{self, BodyPlace},
    scan::{Found, Scan, ScanError},
    seal::Kind,
    shared::Shared,
};
use crate::receipt::{ChannelId, Receipt, ReceiptId, Verdict};

/// The quarantine's own budget is this part of the journal's limit, beside it: receipts that cannot be read must not take
/// the room of those that can.
const BUDGET_PART: u64 = 4;
/// How often it is said that the budget is used up.
const COMPLAINT_PAUSE: Duration = Duration::from_mins(1);
/// Longer reasons are cut.
const REASON_CHARACTERS: usize = 1000;
/// A note is never longer than this.
const NOTE_BYTES: u64 = 8 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    channel: ChannelId,
    received_at: Timestamp,
    reason: String,
    size_bytes: u64,
}

/// A quarantined receipt with its bytes.
pub(super) struct Whole {
    pub receipt: Receipt,
    pub verdict: Verdict,
    pub seen: Seen,
}

/// Which file was read. The same receipt may be quarantined again at any time, and then its name stands for another
/// file; the time tells them apart where the file system gives an inode number again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    inode: u64,
    seconds: i64,
    nanos: i64,
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), seconds: metadata.mtime(), nanos: metadata.mtime_nsec() }
    }
}

/// Copies a receipt out of memory or the segments; durable when it returns. Blocking.
pub(super) fn put(shared: &Shared, ticket: Ticket, reason: &str) -> Result<(), JournalError> {
    let (receipt, verdict) = lookup::by_ticket(shared, ticket)?.ok_or_else(|| {
        JournalError::Gone(format!(
            "receipt {} cannot be quarantined: the record is damaged on the disk",
            ticket.receipt
        ))
    })?;
    let note = Note {
        channel: receipt.channel.clone(),
        received_at: receipt.received_at,
        reason: reason.chars().take(REASON_CHARACTERS).collect(),
        size_bytes: receipt.request.body.len() as u64,
    };
    let frame = record::frame_of(&receipt, 0);
    let (note, verdict) = (json(&note)?, json(&verdict)?);
    let note = shared.session.frame(Kind::Note, frame, note.len(), |out| out.extend_from_slice(&note));
    let size = record::size_hint(&receipt) + receipt.request.body.len();
    let whole = shared.session.frame(Kind::Record, frame, size, |out| {
        record::encode(&receipt, &verdict, BodyPlace::Inside, out);
    });
    let (Some(note), Some(whole)) = (note, whole) else {
        return Err(JournalError::Failed("a receipt of more than 4 GiB cannot be quarantined".to_owned()));
    };
    let head = shared.session.key.header(0).encode();
    keep(shared, ticket.receipt, &[&head, &note, &whole]).map_err(|error| folder::refusal("the quarantine", &error))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, JournalError> {
    serde_json::to_vec(value).map_err(|error| JournalError::Failed(format!("the quarantine: {error}")))
}

fn keep(shared: &Shared, id: ReceiptId, parts: &[&[u8]]) -> io::Result<()> {
    let mut complained = shared.quarantine();
    let name = shared.folder.quarantined(id);
    let new = name.with_extension("new");
    let _ = fs::remove_file(&new);
    let written = bodies::write_file(&new, parts);
    let replaced = fs::metadata(&name).map(|metadata| metadata.len());
    let kept = written.and_then(|length| fs::rename(&new, &name).map(|()| length));
    let length = kept.inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })?;
    if let Ok(length) = replaced {
        shared.released(1, length);
    }
    shared.quarantined.fetch_add(1, Ordering::Relaxed);
    let bytes = shared.quarantined_bytes.fetch_add(length, Ordering::Relaxed) + length;
    let budget = shared.max_bytes / BUDGET_PART;
    if bytes > budget && complained.is_none_or(|last| last.elapsed() >= COMPLAINT_PAUSE) {
        *complained = Some(Instant::now());
        // Kept all the same: what was verified is not lost before its retention ends.
        error!(bytes, budget, "the quarantine is over its budget; mend what its receipts failed on and replay them");
    }
    folder::sync_folder(&shared.folder.quarantine)
}

/// Deletes receipts that have lain here for the retention, oldest first; returns how many. What counts is the time in the
/// quarantine, so that an operator has all of it, however late the receipt came here. Blocking.
pub(super) fn expire(shared: &Shared, now: Timestamp) -> Result<usize, JournalError> {
    let failed = |error: io::Error| folder::refusal("the quarantine", &error);
    let Ok(cut) = now.checked_sub(shared.retention).map(SystemTime::from) else { return Ok(0) };
    let names = folder::names(&shared.folder.quarantine).map_err(failed)?;
    let mut old: Vec<(SystemTime, ReceiptId)> = names
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter_map(|id| Some((fs::metadata(shared.folder.quarantined(id)).ok()?.modified().ok()?, id)))
        .filter(|(changed, _)| *changed < cut)
        .collect();
    old.sort_unstable();
    let mut count = 0;
    for (_, id) in old {
        let path = shared.folder.quarantined(id);
        let _turn = shared.quarantine();
        // It may be another file by now.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.modified().is_ok_and(|changed| changed < cut) {
            fs::remove_file(&path).map_err(failed)?;
            shared.released(1, metadata.len());
            count += 1;
            warn!(receipt.id = %id, "a quarantined receipt that nobody replayed is deleted after its retention");
        }
    }
    if count > 0 {
        folder::sync_folder(&shared.folder.quarantine).map_err(failed)?;
    }
    Ok(count)
}

/// Everything in the quarantine, oldest first. Blocking.
pub(super) fn list(shared: &Shared) -> Result<Vec<Quarantined>, JournalError> {
    let names = folder::names(&shared.folder.quarantine).map_err(|error| folder::refusal("the quarantine", &error))?;
    let mut list = Vec::new();
    for id in names.iter().filter_map(|name| name.parse().ok()) {
        list.extend(note(shared, id)?);
    }
    list.sort_unstable_by_key(|quarantined| (quarantined.received_at, quarantined.receipt));
    Ok(list)
}

/// What lists say of one receipt; None when it is not here, or damaged. Blocking.
pub(super) fn note(shared: &Shared, receipt: ReceiptId) -> Result<Option<Quarantined>, JournalError> {
    let Some(mut scan) = open(shared, receipt)? else { return Ok(None) };
    let found = scan.next(BLOCK as u64 + FRAME as u64 + NOTE_BYTES);
    let Found::Record { frame, .. } = found.map_err(|error| folder::refusal("the quarantine", &error))? else {
        error!(receipt.id = %receipt, "a receipt in the quarantine is damaged");
        return Ok(None);
    };
    let (key, payload) = scan.payload();
    let note: Option<Note> = key.open(&frame, Kind::Note, payload).and_then(|note| serde_json::from_slice(note).ok());
    Ok(note.map(|note| Quarantined {
        receipt,
        channel: note.channel,
        received_at: note.received_at,
        reason: note.reason,
        size_bytes: note.size_bytes,
    }))
}

fn open(shared: &Shared, receipt: ReceiptId) -> Result<Option<Scan>, JournalError> {
    match Scan::open(&shared.folder.quarantined(receipt), &shared.master, BLOCK as u64) {
        Ok(scan) => Ok(Some(scan)),
        Err(ScanError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(lookup::failed(error, &format!("receipt {receipt} in the quarantine"))),
    }
}

/// A receipt with its bytes; None when it is not here. Blocking.
pub(super) fn get(shared: &Shared, receipt: ReceiptId) -> Result<Option<Whole>, JournalError> {
    let Some(mut scan) = open(shared, receipt)? else { return Ok(None) };
    let failed = |error: io::Error| folder::refusal("the quarantine", &error);
    let metadata = scan.metadata().map_err(failed)?;
    let (length, seen) = (metadata.len(), Seen::of(&metadata));
    // The first record is the note.
    let _ = scan.next(length).map_err(failed)?;
    let found = scan.next(length).map_err(failed)?;
    let whole = if let Found::Record { frame, .. } = found { lookup::read(shared, &mut scan, &frame)? } else { None };
    match whole.filter(|(found, _)| found.id == receipt) {
        Some((receipt, verdict)) => Ok(Some(Whole { receipt, verdict, seen })),
        None => Err(JournalError::Failed(format!("receipt {receipt} in the quarantine is damaged"))),
    }
}

/// Takes a receipt out, durably, if its file is still the one that was seen; one that was quarantined anew since then stays.
/// Blocking.
pub(super) fn release(shared: &Shared, receipt: ReceiptId, seen: Seen) -> Result<(), JournalError> {
    let failed = |error: io::Error| folder::refusal("the quarantine", &error);
    let path = shared.folder.quarantined(receipt);
    let _turn = shared.quarantine();
    let metadata = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(failed)?,
    };
    if Seen::of(&metadata) != seen {
        return Ok(());
    }
    fs::remove_file(&path).map_err(failed)?;
    shared.released(1, metadata.len());
    folder::sync_folder(&shared.folder.quarantine).map_err(failed)
}
