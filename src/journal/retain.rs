//! What goes, and when: settled segments after the retention, earlier when the limit is reached or the disk is full, and bodies
//! that no record names.

use std::{collections::HashSet, fs, io, sync::atomic::Ordering};

use jiff::Timestamp;
use tracing::{error, info, warn};

use super::{
    JournalError, bodies, folder,
    frame::{BLOCK, Frame},
    index::{Entry, Place},
    scan::{Found, Scan, ScanError},
    shared::Shared,
};

/// A segment is ended after this part of the retention, so that a quiet gateway forgets in time as well.
const AGE_PART: i32 = 16;
/// Bodies that are looked after at once.
const ORPHANS_AT_ONCE: usize = 1024;

/// Bytes that may be written within the limit, at least `wanted` if settled segments can give way. They are the evidence,
/// but a complaint that comes now counts for more than one that is in its queue already.
pub(super) fn make_room(shared: &Shared, wanted: u64) -> u64 {
    loop {
        let left = shared.max_bytes.saturating_sub(shared.bytes.load(Ordering::Relaxed));
        if left >= wanted {
            return left;
        }
        let Some(entry) = take_oldest_settled(shared, |_| true) else { return left };
        warn!(
            segment = entry.first,
            "the journal is at its limit: settled receipts are deleted before their retention ends; raise journal.max_size"
        );
        delete(shared, &entry);
    }
}

/// Bytes of the disk that may be written, at least `wanted` if settled segments can give way: on a disk that is smaller than the
/// limit they are what fills it.
pub(super) fn make_disk_room(shared: &Shared, wanted: u64) -> io::Result<u64> {
    // Asked once: a file system that frees blocks a while after the deletion must not cost all of the evidence.
    let mut lacking = shared.folder.lacking(wanted)?;
    while lacking > 0 {
        let Some(entry) = take_oldest_settled(shared, |_| true) else { break };
        warn!(
            segment = entry.first,
            "the disk is full: settled receipts are deleted before their retention ends; make room, or lower journal.max_size"
        );
        lacking = lacking.saturating_sub(delete(shared, &entry));
    }
    shared.folder.available()
}

/// Deletes settled segments that are older than the retention. Blocking.
pub(super) fn expire(shared: &Shared, now: Timestamp) -> Result<usize, JournalError> {
    let before =
        |span: jiff::SignedDuration| now.checked_sub(span).map_or(i64::MIN, |time: Timestamp| time.as_microsecond());
    let cut = before(shared.retention);
    let mut count = 0;
    loop {
        learn_oldest(shared)?;
        let is_old = |entry: &Entry| entry.received.is_none_or(|(_, greatest)| greatest < cut);
        let Some(entry) = take_oldest_settled(shared, is_old) else { break };
        delete(shared, &entry);
        count += 1;
    }
    if count > 0 {
        info!(segments = count, "raw receipts were deleted after their retention");
    }
    let is_aged = shared.state().index.last_mut().is_some_and(|entry| {
        entry.open && entry.received.is_some_and(|(least, _)| least < before(shared.retention / AGE_PART))
    });
    if is_aged {
        shared.roll();
    }
    adopt_bodies(shared)?;
    Ok(count)
}

fn take_oldest_settled(shared: &Shared, wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
    let settled = shared.settled.load(Ordering::Acquire);
    let durable = shared.durable.load(Ordering::Acquire);
    let mut state = shared.state();
    let first = state.index.oldest_settled(settled, durable).filter(|entry| wanted(entry))?.first;
    state.index.remove(first)
}

/// Reads the times of the oldest settled segment, if they are not known.
fn learn_oldest(shared: &Shared) -> Result<(), JournalError> {
    let settled = shared.settled.load(Ordering::Acquire);
    let durable = shared.durable.load(Ordering::Acquire);
    let unknown = {
        let state = shared.state();
        let oldest = state.index.oldest_settled(settled, durable).filter(|entry| entry.received.is_none());
        oldest.map(|entry| (entry.first, entry.end))
    };
    let Some((first, end)) = unknown else { return Ok(()) };
    let mut received: Option<(i64, i64)> = None;
    let mut has_bodies = false;
    frames(shared, first, end, |frame| {
        let (least, greatest) = received.unwrap_or((frame.micros, frame.micros));
        received = Some((least.min(frame.micros), greatest.max(frame.micros)));
        has_bodies |= frame.body != 0;
        true
    })
    .map_err(|error| folder::refusal("an old segment", &error))?;
    if let Some(entry) = shared.state().index.get_mut(first) {
        entry.received = received;
        entry.has_bodies = Some(has_bodies);
    }
    Ok(())
}

/// Shows the head of every whole record of a segment, until `visit` says that it has seen enough.
pub(super) fn frames(shared: &Shared, first: u64, end: u64, mut visit: impl FnMut(&Frame) -> bool) -> io::Result<()> {
    let mut scan = match Scan::open(&shared.folder.segment(first), &shared.master, BLOCK as u64) {
        Ok(scan) => scan,
        Err(ScanError::Io(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Nothing can be read from it; it was reported when it was opened.
        Err(_) => return Ok(()),
    };
    loop {
        match scan.next(end)? {
            Found::Record { frame, .. } => {
                if !visit(&frame) {
                    return Ok(());
                }
            }
            Found::Damaged { .. } => {}
            Found::End { .. } => return Ok(()),
        }
    }
}

/// Deletes a segment that is out of the index, and its bodies before it: a crash leaves no body behind that way. Returns
/// how many bytes went.
fn delete(shared: &Shared, entry: &Entry) -> u64 {
    let mut gone = 0;
    if entry.has_bodies != Some(false) {
        let visit = |frame: &Frame| {
            if frame.body != 0 {
                gone += bodies::remove(shared, &frame.id, frame.body);
            }
            true
        };
        if let Err(error) = frames(shared, entry.first, entry.end, visit) {
            warn!(%error, segment = entry.first, "bodies of an expired segment may be left behind");
        }
    }
    match fs::remove_file(shared.folder.segment(entry.first)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            error!(%error, segment = entry.first, "a segment cannot be deleted; see who owns the files of the journal");
        }
        _ => {
            shared.freed(entry.size);
            gone += entry.size;
        }
    }
    gone
}

/// Bodies whose name is not final: a crash came before their record was written, or before they got their name.
fn adopt_bodies(shared: &Shared) -> Result<(), JournalError> {
    let failed = |error: io::Error| folder::refusal("bodies", &error);
    let names = folder::names(&shared.folder.bodies).map_err(failed)?;
    // Asked after the names were read: what is not in flight now either has its record in a segment or never gets one.
    let in_flight = shared.in_flight().clone();
    let mut orphans: HashSet<([u8; 16], u64)> = names
        .iter()
        .filter_map(|name| parse_new_body(name))
        .filter(|(_, number)| !in_flight.contains(number))
        .take(ORPHANS_AT_ONCE)
        .collect();
    if orphans.is_empty() {
        return Ok(());
    }
    let places: Vec<Place> = shared.state().index.places();
    for place in places.iter().rev() {
        frames(shared, place.first, place.end, |frame| {
            if frame.body != 0 && orphans.remove(&(frame.id, frame.body)) {
                let new = shared.folder.new_body(&frame.id, frame.body);
                let _ = fs::rename(new, shared.folder.body(&frame.id, frame.body));
            }
            !orphans.is_empty()
        })
        .map_err(failed)?;
    }
    for (id, number) in &orphans {
        bodies::remove(shared, id, *number);
    }
    info!(bodies = orphans.len(), "bodies of receipts that were never accepted were deleted");
    Ok(())
}

/// `<receipt id>-<number>.new`
fn parse_new_body(name: &str) -> Option<([u8; 16], u64)> {
    let (id, number) = name.strip_suffix(".new")?.rsplit_once('-')?;
    Some((*uuid::Uuid::try_parse(id).ok()?.as_bytes(), u64::from_str_radix(number, 16).ok()?))
}
