//! Complaints, the vault, constants, cursors, budgets and leases.

use jiff::{SignedDuration, Timestamp};
use redis::Value;
use uuid::Uuid;

use super::{
    RedisStore,
    answer::{document, list, number, read, text, yes},
    layout::{self, millis, of_complaint},
    link::{Command, Confirm},
    queues::times_of,
    script::Script,
};
use crate::{
    complaint::TrackingId,
    store::{ComplaintRecord, StatusChange, StoreError, rules::later},
};

/// A field of a hash.
fn get(key: &str, field: &[u8]) -> Command {
    let mut get = redis::cmd("HGET");
    get.arg(key).arg(field);
    Command::new(key, get)
}

fn statuses(complaint_id: Uuid) -> String {
    of_complaint(complaint_id, &format!("status:{complaint_id}"))
}

impl RedisStore {
    pub(super) async fn record(&self, complaint_id: Uuid) -> Result<Option<ComplaintRecord>, StoreError> {
        let statuses = statuses(complaint_id);
        let mut range = redis::cmd("LRANGE");
        range.arg(&statuses).arg(0).arg(-1);
        let commands =
            vec![get(&of_complaint(complaint_id, "records"), complaint_id.as_bytes()), Command::new(&statuses, range)];
        let mut found = self.api.run(commands, Confirm::No).await?.into_iter();
        let (record, statuses) = (found.next().unwrap_or(Value::Nil), found.next().unwrap_or(Value::Nil));
        let Some(bytes) = text(&record) else { return Ok(None) };
        let mut record: ComplaintRecord = read(bytes, "a complaint's record")?;
        let status = |value: &Value| read(text(value).unwrap_or_default(), "a status");
        record.status = list(statuses).iter().map(status).collect::<Result<_, _>>()?;
        let (key, fields) = times_of(&record.queue, complaint_id);
        let mut times = redis::cmd("HMGET");
        times.arg(&key).arg(&fields[..]);
        let times = list(self.api.run_one(&key, times, Confirm::No).await?);
        let at = |place: usize| times.get(place).and_then(number).map(layout::time);
        (record.leased_at, record.acked_at) = (at(0), at(1));
        Ok(Some(record))
    }

    pub(super) async fn record_by_tracking_id(&self, id: &TrackingId) -> Result<Option<ComplaintRecord>, StoreError> {
        let found = self.api.run(vec![get(&layout::tracking_ids(id), id.as_str().as_bytes())], Confirm::No).await?;
        let holder = found.first().and_then(text).and_then(|bytes| bytes.get(..16));
        match holder.and_then(|bytes| Uuid::from_slice(bytes).ok()) {
            // A reservation that came to nothing names a complaint that does not exist.
            Some(complaint_id) => self.record(complaint_id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn append_status(&self, complaint_id: Uuid, change: &StatusChange) -> Result<bool, StoreError> {
        let key = of_complaint(complaint_id, "records");
        let mut command = Script::Status.call(&[&key, &statuses(complaint_id)]);
        command.arg(document(change)?).arg(&change.status).arg(change.note.as_deref().unwrap_or_default());
        command.arg(complaint_id.as_bytes());
        yes(&self.api.run_one(&key, command, Confirm::Yes).await?, "a status")
    }

    pub(super) async fn sealed(&self, reporter_ref: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.api.run(vec![get(&layout::vault(reporter_ref), reporter_ref.as_bytes())], Confirm::No).await?;
        Ok(found.first().and_then(text).map(<[u8]>::to_vec))
    }

    pub(super) async fn shared_constant(&self, name: &str, proposal: &[u8]) -> Result<Vec<u8>, StoreError> {
        let key = format!("loket:constant:{name}");
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(proposal).arg("NX").arg("GET");
        let before = self.api.run_one(&key, set, Confirm::Yes).await?;
        Ok(text(&before).map_or_else(|| proposal.to_vec(), <[u8]>::to_vec))
    }

    pub(super) async fn shared_cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = format!("loket:cursor:{name}");
        let mut command = redis::cmd("GET");
        command.arg(&key);
        Ok(text(&self.api.run_one(&key, command, Confirm::No).await?).map(<[u8]>::to_vec))
    }

    pub(super) async fn set_shared_cursor(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let key = format!("loket:cursor:{name}");
        let mut command = redis::cmd("SET");
        command.arg(&key).arg(value);
        self.api.run_one(&key, command, Confirm::Yes).await.map(drop)
    }

    pub(super) async fn take_from_budget(
        &self,
        budget: &str,
        limit: u64,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = format!("loket:budget:{budget}");
        let mut command = Script::Spend.call(&[&key]);
        command.arg(limit).arg(millis(now)).arg(millis(until));
        yes(&self.api.run_one(&key, command, Confirm::No).await?, "a budget")
    }

    pub(super) async fn hold_lease(
        &self,
        name: &str,
        owner: &str,
        ttl: SignedDuration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = format!("loket:lease:{name}");
        let mut command = Script::Hold.call(&[&key]);
        command.arg(owner).arg(millis(now)).arg(millis(later(now, ttl)));
        yes(&self.api.run_one(&key, command, Confirm::No).await?, "a lease")
    }
}
