//! Finds one receipt again: by its ticket for the quarantine, by its id for an operator.

use std::io;

use tracing::error;

use super::{
    JournalError, Ticket, bodies, folder,
    frame::{BLOCK, FRAME, Frame},
    index::Place,
    record::{self, Decoded},
    scan::{Found, Scan, ScanError},
    seal::Kind,
    shared::{Record, Shared},
};
use crate::receipt::{Receipt, ReceiptId, Verdict};

/// The record that a scan has just found, with its body. None when it is damaged, which is reported here.
pub(super) fn read(
    shared: &Shared,
    scan: &mut Scan,
    frame: &Frame,
) -> Result<Option<(Receipt, Verdict)>, JournalError> {
    let unreadable = scan.unreadable;
    let (key, payload) = scan.payload();
    let decoded = key.open(frame, Kind::Record, payload).and_then(|payload| record::decode(frame, payload));
    let Some(Decoded { mut receipt, verdict, body_length }) = decoded else {
        error!(sequence = frame.sequence, receipt.id = %receipt_id(frame), "a receipt in the journal cannot be decoded");
        return Ok(None);
    };
    if frame.body != 0 {
        let body = bodies::read(shared, frame, unreadable).map_err(|error| failed(error, "the body of a receipt"))?;
        let Some(body) = body.filter(|body| body.len() as u64 == body_length) else {
            error!(sequence = frame.sequence, receipt.id = %receipt.id, "the body of a receipt is gone or damaged");
            return Ok(None);
        };
        receipt.request.body = body;
    }
    Ok(Some((receipt, verdict)))
}

/// The receipt of a ticket: from memory while it is there, then from its segment. None when the segment is gone, or the
/// record or its body damaged. Blocking.
pub(super) fn by_ticket(shared: &Shared, ticket: Ticket) -> Result<Option<(Receipt, Verdict)>, JournalError> {
    let recent = shared.state().recent.get(ticket.sequence).cloned();
    let recent = recent.and_then(|record| decode_recent(shared, record));
    if let Some(found) = recent.filter(|(receipt, _)| receipt.id == ticket.receipt) {
        return Ok(Some(found));
    }
    let Some(place) = shared.state().index.locate(ticket.sequence) else { return Ok(None) };
    search(shared, &place, |frame| frame.sequence == ticket.sequence && frame.id == *ticket.receipt.0.as_bytes())
}

fn decode_recent(shared: &Shared, mut record: Record) -> Option<(Receipt, Verdict)> {
    let key = &shared.session.key;
    let frame = Frame::read(&record.frame, key)?;
    let payload = key.open(&frame, Kind::Record, record.frame.get_mut(FRAME..)?)?;
    let Decoded { mut receipt, verdict, .. } = record::decode(&frame, payload)?;
    if let Some(body) = record.body {
        receipt.request.body = body;
    }
    Some((receipt, verdict))
}

/// A receipt, from whatever segment has it. Blocking, and slow where there are gigabytes.
pub(super) fn by_id(shared: &Shared, id: ReceiptId) -> Result<Option<(Receipt, Verdict)>, JournalError> {
    let places = shared.state().index.places();
    for place in likely_first(shared, places, id) {
        if let Some(found) = search(shared, &place, |frame| frame.id == *id.0.as_bytes())? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The segment that was written when the id was made comes first, then its neighbours, then the others.
fn likely_first(shared: &Shared, places: Vec<Place>, id: ReceiptId) -> Vec<Place> {
    let Some((seconds, nanos)) = id.0.get_timestamp().map(|time| time.to_unix()) else { return places };
    let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000) + i64::from(nanos / 1000);
    // Ids count milliseconds, receipts microseconds.
    let begins_before = |place: &Place| first_micros(shared, place).is_none_or(|first| first < micros + 1000);
    let likely = places.iter().rposition(begins_before).unwrap_or(0);
    let mut order: Vec<(usize, Place)> = places.into_iter().enumerate().collect();
    order.sort_by_key(|(place, _)| place.abs_diff(likely));
    order.into_iter().map(|(_, place)| place).collect()
}

fn first_micros(shared: &Shared, place: &Place) -> Option<i64> {
    let mut scan = Scan::open(&shared.folder.segment(place.first), &shared.master, BLOCK as u64).ok()?;
    scan.head(BLOCK as u64, BLOCK as u64 + FRAME as u64).ok()?.map(|frame| frame.micros)
}

fn search(
    shared: &Shared,
    place: &Place,
    is_it: impl Fn(&Frame) -> bool,
) -> Result<Option<(Receipt, Verdict)>, JournalError> {
    let mut scan = match Scan::open(&shared.folder.segment(place.first), &shared.master, place.from) {
        Ok(scan) => scan,
        Err(ScanError::NoHead) => return Ok(None),
        Err(ScanError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error, "a segment")),
    };
    loop {
        match scan.next(place.end).map_err(|error| folder::refusal("a segment", &error))? {
            Found::Record { frame, .. } if place.next.is_some_and(|next| frame.sequence >= next) => return Ok(None),
            Found::Record { frame, .. } if is_it(&frame) => return read(shared, &mut scan, &frame),
            Found::Record { .. } | Found::Damaged { .. } => {}
            Found::End { .. } => return Ok(None),
        }
    }
}

pub(super) fn failed(error: ScanError, what: &str) -> JournalError {
    match error {
        ScanError::Io(error) => folder::refusal(what, &error),
        ScanError::Key(error) => JournalError::Failed(format!("{what} {error}")),
        ScanError::NoHead => JournalError::Failed(format!("{what}: {error}")),
    }
}

/// The receipt of a frame.
pub(super) fn receipt_id(frame: &Frame) -> ReceiptId {
    ReceiptId(uuid::Uuid::from_bytes(frame.id))
}
