//! Complaint records, the vault, constants, cursors, budgets and leases of the embedded store.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    engine::{Changes, Engine, Failure, Space},
    expiry::{put_expiring, unexpired},
    layout::{self, Reader, Value},
};
use crate::{
    complaint::TrackingId,
    store::{ComplaintRecord, StatusChange, rules::later},
};

/// Does the record's tracking id name another complaint?
pub(super) fn tracking_id_is_taken(changes: &Changes<'_>, record: &ComplaintRecord) -> Result<bool, Failure> {
    let holder = changes.get(Space::Senders, &layout::named(b'k', record.tracking_id.as_str()))?;
    Ok(holder.is_some_and(|holder| holder.get(1..) != Some(record.complaint_id.as_bytes().as_slice())))
}

/// Was this complaint made before?
pub(super) fn is_there(changes: &Changes<'_>, complaint_id: Uuid) -> Result<bool, Failure> {
    Ok(changes.get(Space::State, &layout::of_complaint(b'r', complaint_id))?.is_some())
}

/// Writes a record. Its lease, acknowledgement and status changes are the store's and lie beside it, so that a record
/// that is written again cannot undo them.
pub(super) fn put_record(changes: &mut Changes<'_>, mut record: ComplaintRecord) -> Result<(), Failure> {
    (record.leased_at, record.acked_at) = (None, None);
    record.status.clear();
    let complaint_id = record.complaint_id;
    let tracking_id = layout::named(b'k', record.tracking_id.as_str());
    changes.put(Space::Senders, tracking_id, Value::with_room(16).bytes(complaint_id.as_bytes()).done());
    let value = Value::with_room(512).json(&record)?;
    changes.put(Space::State, layout::of_complaint(b'r', complaint_id), value);
    Ok(())
}

pub(super) fn complaint(engine: &Engine, complaint_id: Uuid) -> Result<Option<ComplaintRecord>, Failure> {
    let part = |letter: u8| engine.get(Space::State, &layout::of_complaint(letter, complaint_id));
    let Some(value) = part(b'r')? else { return Ok(None) };
    let mut record: ComplaintRecord = Reader::new(&value)?.json()?;
    record.leased_at = part(b'L')?.map(|value| Reader::new(&value)?.time()).transpose()?;
    record.acked_at = part(b'A')?.map(|value| Reader::new(&value)?.time()).transpose()?;
    if let Some(status) = part(b'S')? {
        record.status = Reader::new(&status)?.json()?;
    }
    Ok(Some(record))
}

pub(super) fn complaint_by_tracking_id(
    engine: &Engine,
    tracking_id: &TrackingId,
) -> Result<Option<ComplaintRecord>, Failure> {
    match engine.get(Space::Senders, &layout::named(b'k', tracking_id.as_str()))? {
        Some(value) => complaint(engine, Uuid::from_bytes(Reader::new(&value)?.bytes()?)),
        None => Ok(None),
    }
}

pub(super) fn add_status(engine: &Engine, complaint_id: Uuid, change: StatusChange) -> Result<bool, Failure> {
    engine.write(|_, changes| {
        if !is_there(changes, complaint_id)? {
            return Ok(false);
        }
        let key = layout::of_complaint(b'S', complaint_id);
        let mut status: Vec<StatusChange> = match changes.get(Space::State, &key)? {
            Some(value) => Reader::new(&value)?.json()?,
            None => Vec::new(),
        };
        // The last of the list again, whenever it comes, is a repetition.
        let is_last = |last: &StatusChange| last.status == change.status && last.note == change.note;
        if !status.last().is_some_and(is_last) {
            status.push(change);
            changes.put(Space::State, key, Value::with_room(128).json(&status)?);
        }
        Ok(true)
    })
}

pub(super) fn vault(engine: &Engine, reporter_ref: &str) -> Result<Option<Vec<u8>>, Failure> {
    let value = engine.get(Space::Senders, &layout::named(b'v', reporter_ref))?;
    value.map(|value| Reader::new(&value).map(|reader| reader.rest().to_vec())).transpose()
}

pub(super) fn constant(engine: &Engine, name: &str, proposal: &[u8]) -> Result<Vec<u8>, Failure> {
    engine.write(|_, changes| {
        let key = layout::named(b'u', name);
        if let Some(value) = changes.get(Space::State, &key)? {
            return Ok(Reader::new(&value)?.rest().to_vec());
        }
        changes.put(Space::State, key, Value::with_room(proposal.len()).bytes(proposal).done());
        Ok(proposal.to_vec())
    })
}

pub(super) fn cursor(engine: &Engine, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let value = engine.get(Space::State, &layout::named(b'c', name))?;
    value.map(|value| Reader::new(&value).map(|reader| reader.rest().to_vec())).transpose()
}

pub(super) fn set_cursor(engine: &Engine, name: &str, value: &[u8]) -> Result<(), Failure> {
    engine.write(|_, changes| {
        let key = layout::named(b'c', name);
        changes.put(Space::State, key, Value::with_room(value.len()).bytes(value).done());
        Ok(())
    })
}

pub(super) fn spend(
    engine: &Engine,
    budget: &str,
    limit: u64,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, Failure> {
    engine.write(|_, changes| {
        let key = layout::named(b'b', budget);
        let value = changes.get(Space::State, &key)?;
        let spent = match value.as_deref().map(|value| unexpired(value, now)).transpose()?.flatten() {
            Some(mut reader) => reader.number()?,
            None => 0,
        };
        if spent >= limit {
            return Ok(false);
        }
        put_expiring(changes, key, until, &(spent + 1).to_be_bytes());
        Ok(true)
    })
}

pub(super) fn hold(
    engine: &Engine,
    name: &str,
    owner: &str,
    ttl: SignedDuration,
    now: Timestamp,
) -> Result<bool, Failure> {
    engine.write(|_, changes| {
        let key = layout::named(b'h', name);
        let value = changes.get(Space::State, &key)?;
        let holder = value.as_deref().map(|value| unexpired(value, now)).transpose()?.flatten();
        if holder.is_some_and(|holder| holder.rest() != owner.as_bytes()) {
            return Ok(false);
        }
        // Names are few, so that nothing has to sweep them.
        let value = Value::with_room(8 + owner.len()).time(later(now, ttl)).bytes(owner.as_bytes()).done();
        changes.put(Space::State, key, value);
        Ok(true)
    })
}
