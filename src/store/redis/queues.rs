//! Queues: streams that any client reads with a consumer group, and leases on top of the same group for the HTTP API.

use jiff::{SignedDuration, Timestamp};
use redis::{Cmd, Value};
use serde_json::value::RawValue;

use super::{
    RedisStore,
    answer::{count, list, number, odd, string, text, texts},
    layout::{self, is_entry_id, millis, of_queue},
    link::{Command, Confirm},
    script::Script,
};
use crate::{
    complaint::Event,
    store::{DeadLetter, Delivery, QueueStats, StoreError, rules::later},
};

/// The most that is handed out at once: bodies are held in memory meanwhile.
const MOST_AT_ONCE: usize = 1000;
/// A requeue works in batches of this size.
const REQUEUE_BATCH: usize = 200;
/// A native consumer that leaves an entry pending for so long is gone.
const NATIVE_GONE: SignedDuration = SignedDuration::from_mins(15);

/// The fields of an entry: CloudEvents binary mode, and what the envelope has no name for.
pub fn fields(command: &mut Cmd, event: &Event, priority: u8, enqueued_at: Timestamp) {
    for (name, value) in event.attributes() {
        command.arg(format!("ce_{name}")).arg(value);
    }
    command.arg("priority").arg(priority).arg("enqueued_at").arg(enqueued_at.to_string());
    command.arg("data").arg(event.data.get());
}

/// An entry in structured mode. What another program wrote into the stream is shown as far as it is an event.
fn structured(fields: &Value) -> Result<String, StoreError> {
    let pairs = texts(fields);
    let mut event = serde_json::Map::new();
    let mut data = None;
    for pair in pairs.chunks_exact(2) {
        let value = String::from_utf8_lossy(pair[1]);
        match pair[0] {
            b"data" => data = RawValue::from_string(value.into_owned()).ok(),
            name => {
                if let Some(name) = name.strip_prefix(b"ce_") {
                    event.insert(String::from_utf8_lossy(name).into_owned(), value.into_owned().into());
                }
            }
        }
    }
    let mut text = serde_json::to_string(&event).map_err(|_| odd("an entry"))?;
    if let Some(data) = data {
        text.pop();
        text.push_str(if event.is_empty() { "\"data\":" } else { ",\"data\":" });
        text.push_str(data.get());
        text.push('}');
    }
    Ok(text)
}

/// Deliveries as the scripts return them: entry, attempt, fields.
fn deliveries(value: Value) -> Result<Vec<Delivery>, StoreError> {
    let delivery = |item: Value| {
        let parts = list(item);
        let [id, attempt, fields] = &parts[..] else { return Err(odd("a delivery")) };
        Ok(Delivery {
            delivery_id: string(id).ok_or_else(|| odd("a delivery"))?,
            attempt: number(attempt).unwrap_or(0) as u32,
            event: structured(fields)?,
        })
    };
    list(value).into_iter().map(delivery).collect()
}

/// The keys of a queue, in the order in which its scripts want them.
fn keys(queue: &str) -> [String; 4] {
    ["events", "leases", "returned", "dead"].map(|name| of_queue(queue, name))
}

fn times(queue: &str) -> String {
    of_queue(queue, "times:")
}

/// When the first event of a complaint was leased and acknowledged: the hash and its two fields.
pub fn times_of(queue: &str, complaint: uuid::Uuid) -> (String, [Vec<u8>; 2]) {
    let bytes = complaint.as_bytes();
    let ms = bytes[..6].iter().fold(0_i64, |ms, byte| ms << 8 | i64::from(*byte));
    let key = format!("{}{}:{}", times(queue), layout::epoch(ms), &crate::complaint::hex(bytes)[29..]);
    let field = |letter: u8| [&[letter][..], bytes].concat();
    (key, [field(b'L'), field(b'A')])
}

impl RedisStore {
    async fn on_queue(
        &self,
        script: Script,
        queue: &str,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value, StoreError> {
        let keys = keys(queue);
        let mut command = script.call(&keys);
        arguments(&mut command);
        self.api.run_one(&keys[0], command, Confirm::No).await
    }

    pub(super) async fn lease_entries(
        &self,
        queue: &str,
        max: usize,
        visibility: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        let leased = self.on_queue(Script::Lease, queue, |command| {
            command.arg(max.min(MOST_AT_ONCE)).arg(millis(later(now, visibility))).arg(millis(now));
            command.arg(self.limits.max_attempts).arg(times(queue)).arg(now.to_string());
        });
        deliveries(leased.await?)
    }

    pub(super) async fn ack_entries(&self, queue: &str, ids: &[String], now: Timestamp) -> Result<usize, StoreError> {
        let ids: Vec<&String> = ids.iter().filter(|id| is_entry_id(id)).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let acked = self.on_queue(Script::Ack, queue, |command| {
            command.arg(millis(now)).arg(times(queue)).arg(ids);
        });
        count(&acked.await?, "an acknowledgement")
    }

    pub(super) async fn nack_entries(
        &self,
        queue: &str,
        ids: &[String],
        reason: &str,
        delay: SignedDuration,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let ids: Vec<&String> = ids.iter().filter(|id| is_entry_id(id)).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let returned = self.on_queue(Script::Nack, queue, |command| {
            command
                .arg(now.to_string())
                .arg(millis(later(now, delay)))
                .arg(self.limits.max_attempts)
                .arg(reason)
                .arg(ids);
        });
        count(&returned.await?, "a return")
    }

    pub(super) async fn extend_entries(
        &self,
        queue: &str,
        ids: &[String],
        visibility: SignedDuration,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let ids: Vec<&String> = ids.iter().filter(|id| is_entry_id(id)).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let extended = self.on_queue(Script::Extend, queue, |command| {
            command.arg(millis(later(now, visibility))).arg(ids);
        });
        count(&extended.await?, "an extension")
    }

    /// The names of all queues, in order.
    pub(super) async fn queue_names(&self) -> Result<Vec<String>, StoreError> {
        let mut members = redis::cmd("SMEMBERS");
        members.arg("loket:queues");
        let found = self.api.run_one("loket:queues", members, Confirm::No).await?;
        let mut names: Vec<String> = list(found).iter().filter_map(string).collect();
        names.sort();
        Ok(names)
    }

    pub(super) async fn queue_stats(&self, now: Timestamp) -> Result<Vec<QueueStats>, StoreError> {
        let names = self.queue_names().await?;
        let commands = names.iter().map(|name| {
            let keys = keys(name);
            let mut command = Script::Stats.call(&keys);
            command.arg(millis(now));
            Command::new(&keys[0], command)
        });
        let found = self.api.run(commands.collect(), Confirm::No).await?;
        names.into_iter().zip(found).map(|(name, value)| stats(name, &list(value), now)).collect()
    }

    pub(super) async fn peek_entries(
        &self,
        queue: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        if after.is_some_and(|after| !is_entry_id(after)) {
            return Ok(Vec::new());
        }
        let found = self.on_queue(Script::Peek, queue, |command| {
            command.arg(after.unwrap_or_default()).arg(max.min(MOST_AT_ONCE));
        });
        deliveries(found.await?)
    }

    pub(super) async fn dead_entries(
        &self,
        queue: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        if after.is_some_and(|after| !is_entry_id(after)) || max == 0 {
            return Ok(Vec::new());
        }
        let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
        let key = of_queue(queue, "dead");
        let mut range = redis::cmd("XRANGE");
        range.arg(&key).arg(from).arg("+").arg("COUNT").arg(max.min(MOST_AT_ONCE));
        let found = self.api.run_one(&key, range, Confirm::No).await?;
        list(found).into_iter().map(dead_letter).collect()
    }

    pub(super) async fn requeue_entries(
        &self,
        queue: &str,
        ids: &[String],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let mut total = 0;
        if ids.is_empty() {
            // Each batch shortens the list. What is buried meanwhile is taken along, up to a bound.
            for _ in 0..10_000 {
                let page = self.dead_entries(queue, None, REQUEUE_BATCH).await?;
                if page.is_empty() {
                    break;
                }
                let ids: Vec<String> = page.into_iter().map(|letter| letter.delivery_id).collect();
                total += self.requeue_batch(queue, &ids, now).await?;
            }
        }
        for ids in ids.chunks(REQUEUE_BATCH) {
            total += self.requeue_batch(queue, ids, now).await?;
        }
        Ok(total)
    }

    async fn requeue_batch(&self, queue: &str, ids: &[String], now: Timestamp) -> Result<usize, StoreError> {
        let ids: Vec<&String> = ids.iter().filter(|id| is_entry_id(id)).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let put_back = self.on_queue(Script::Requeue, queue, |command| {
            command.arg(now.to_string()).arg(ids);
        });
        count(&put_back.await?, "a requeue")
    }

    /// Trims what every group has acknowledged and nobody keeps, and takes over what native consumers left.
    pub(super) async fn tend_queues(&self, now: Timestamp, keep_from: Timestamp) -> Result<(), StoreError> {
        let names = self.queue_names().await?;
        let commands = names.iter().map(|name| {
            let keys = keys(name);
            let mut command = Script::Tend.call(&keys);
            command.arg(millis(keep_from)).arg(NATIVE_GONE.as_millis() as i64).arg(millis(now));
            Command::new(&keys[0], command)
        });
        let trimmed = self.api.run(commands.collect(), Confirm::No).await?;
        let trimmed: i64 = trimmed.iter().filter_map(number).sum();
        if trimmed > 0 {
            tracing::info!(entries = trimmed, "acknowledged entries past their retention are trimmed");
        }
        Ok(())
    }
}

fn stats(name: String, values: &[Value], now: Timestamp) -> Result<QueueStats, StoreError> {
    let [depth, in_flight, dead, oldest] = values else { return Err(odd("the state of a queue")) };
    let count = |value: &Value| number(value).and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    let oldest: Option<Timestamp> = string(oldest).and_then(|time| time.parse().ok());
    let oldest_seconds = oldest.map_or(0, |oldest| now.duration_since(oldest).as_secs().max(0) as u64);
    Ok(QueueStats { name, depth: count(depth), in_flight: count(in_flight), dead: count(dead), oldest_seconds })
}

fn dead_letter(item: Value) -> Result<DeadLetter, StoreError> {
    let parts = list(item);
    let [id, fields] = &parts[..] else { return Err(odd("a dead letter")) };
    let pairs = texts(fields);
    let field = |name: &[u8]| {
        let found = pairs.chunks_exact(2).find(|pair| pair[0] == name);
        found.map(|pair| String::from_utf8_lossy(pair[1]).into_owned()).unwrap_or_default()
    };
    Ok(DeadLetter {
        delivery_id: text(id).map(|id| String::from_utf8_lossy(id).into_owned()).ok_or_else(|| odd("a dead letter"))?,
        reason: field(b"reason"),
        attempts: field(b"attempts").parse().unwrap_or(0),
        dead_at: field(b"dead_at").parse().unwrap_or(Timestamp::UNIX_EPOCH),
        event: structured(fields)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields_of(pairs: &[(Vec<u8>, Vec<u8>)]) -> Value {
        Value::Array(pairs.iter().flat_map(|(name, value)| [name, value]).cloned().map(Value::BulkString).collect())
    }

    proptest! {
        /// Another program may have written into the stream.
        #[test]
        fn any_entry_is_shown_as_json(pairs: Vec<(Vec<u8>, Vec<u8>)>, data: Vec<u8>, text: String) {
            let mut pairs = pairs;
            pairs.push((b"ce_id".to_vec(), text.clone().into_bytes()));
            pairs.push((b"data".to_vec(), data));
            let shown = structured(&fields_of(&pairs)).expect("an entry");
            let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            prop_assert!(shown["id"].is_string());
        }
    }

    #[test]
    fn an_entry_is_shown_in_structured_mode() {
        let pairs = [("ce_id", "1"), ("priority", "5"), ("data", r#"{"a": 1}"#)];
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        assert_eq!(structured(&fields_of(&pairs)).expect("an entry"), r#"{"id":"1","data":{"a": 1}}"#);
    }
}
