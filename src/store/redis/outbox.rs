//! Answers to citizens, in the slot of their channel. What becomes of a try or a report is worked out here and written with
//! a comparison of versions, so that of two gateways one writes at a time.

use jiff::{SignedDuration, Timestamp};
use redis::Value;
use serde::{Deserialize, Serialize};

use super::{
    RedisStore,
    answer::{document, list, number, odd, read, string, text, yes},
    layout::{hashed, life, millis, of_channel, time},
    link::{Command, Confirm},
    script::Script,
};
use crate::{
    message::{DeliveryReport, DeliveryStatus},
    receipt::ChannelId,
    store::{
        OutboxEntry, SendOutcome, StoreError,
        answers::{self, join_reports},
        rules::{self, ANSWERS_KEPT, REPORTS_PARKED, later},
    },
};

/// The most that is handed out at once.
const MOST_AT_ONCE: usize = 1000;
/// Another gateway may write the same answer at the same time; it does so once or twice.
const MOST_TRIES: usize = 20;
/// A report that waits for its answer.
#[derive(Debug, Serialize, Deserialize)]
struct Parked {
    report: DeliveryReport,
    until: Timestamp,
}

/// An answer as it is stored.
#[derive(Debug)]
struct Stored {
    version: i64,
    stage: String,
    entry: OutboxEntry,
}

/// Where a change moves an answer to.
#[derive(Debug)]
struct Move<'a> {
    stage: &'static str,
    at: Timestamp,
    external_id: Option<&'a str>,
    /// The parked report that was joined.
    parked: String,
}

fn key(channel: &ChannelId, id: &str) -> String {
    of_channel(channel, &format!("answer:{id}"))
}

/// Adds an answer unless its id is known.
pub fn adding(entry: &OutboxEntry) -> Result<Command, StoreError> {
    let key = key(&entry.channel, &entry.id);
    let mut command = Script::OutboxAdd.call(&[&key, &of_channel(&entry.channel, "waiting")]);
    command.arg(&entry.id).arg(millis(entry.due)).arg(document(entry)?);
    Ok(Command::new(&key, command))
}

/// The keys that a provider's id has on a channel: of the answer, and of reports that came before it.
fn foreign(channel: &ChannelId, external_id: &str) -> [String; 2] {
    let hash = hashed(external_id);
    [of_channel(channel, &format!("named:{hash}")), of_channel(channel, &format!("parked:{hash}"))]
}

impl RedisStore {
    pub(super) async fn add_answer(&self, entry: &OutboxEntry) -> Result<bool, StoreError> {
        rules::check_answer_id(&entry.id).map_err(StoreError::Broken)?;
        let name = ("loket:channels", entry.channel.to_string());
        if !self.known().contains(&name) {
            self.register_names(vec![name]).await?;
        }
        let added = self.api.run(vec![adding(entry)?], Confirm::Yes).await?;
        yes(added.first().unwrap_or(&Value::Nil), "an answer")
    }

    pub(super) async fn due_answers(
        &self,
        channel: &ChannelId,
        max: usize,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        // A lease shows the answer again later, or a loop over what is due would not end.
        let again = millis(later(now, lease)).max(millis(now) + 1);
        let waiting = of_channel(channel, "waiting");
        let mut command = Script::OutboxDue.call(&[&waiting]);
        command.arg(millis(now)).arg(max.min(MOST_AT_ONCE)).arg(again).arg(of_channel(channel, "answer:"));
        let due = self.api.run_one(&waiting, command, Confirm::No).await?;
        list(due).iter().map(|bytes| read(text(bytes).unwrap_or_default(), "an answer")).collect()
    }

    pub(super) async fn next_answer(&self, channel: &ChannelId) -> Result<Option<Timestamp>, StoreError> {
        let waiting = of_channel(channel, "waiting");
        let mut range = redis::cmd("ZRANGE");
        range.arg(&waiting).arg(0).arg(0).arg("WITHSCORES");
        let found = list(self.api.run_one(&waiting, range, Confirm::No).await?);
        Ok(found.get(1).and_then(number).map(time))
    }

    async fn stored(&self, channel: &ChannelId, id: &str) -> Result<Option<Stored>, StoreError> {
        let key = key(channel, id);
        let mut get = redis::cmd("HMGET");
        get.arg(&key).arg("document").arg("stage").arg("version");
        let parts = list(self.api.run_one(&key, get, Confirm::No).await?);
        let [document, stage, version] = &parts[..] else { return Err(odd("an answer")) };
        let Some(document) = text(document) else { return Ok(None) };
        Ok(Some(Stored {
            version: number(version).ok_or_else(|| odd("an answer"))?,
            stage: string(stage).ok_or_else(|| odd("an answer"))?,
            entry: read(document, "an answer")?,
        }))
    }

    pub(super) async fn answer_entry(&self, channel: &ChannelId, id: &str) -> Result<Option<OutboxEntry>, StoreError> {
        Ok(self.stored(channel, id).await?.map(|stored| stored.entry))
    }

    /// Given up on, the newest first, over all channels.
    pub(super) async fn dead_answers(&self, max: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        let max = max.min(MOST_AT_ONCE);
        let mut members = redis::cmd("SMEMBERS");
        members.arg("loket:channels");
        let channels = list(self.api.run_one("loket:channels", members, Confirm::No).await?);
        let channels: Vec<ChannelId> =
            channels.iter().filter_map(string).filter_map(|name| ChannelId::new(name).ok()).collect();
        let ranges = channels.iter().map(|channel| {
            let key = of_channel(channel, "dead");
            let mut range = redis::cmd("ZRANGE");
            range.arg(&key).arg(0).arg(max).arg("REV").arg("WITHSCORES");
            Command::new(&key, range)
        });
        let found = self.api.run(ranges.collect(), Confirm::No).await?;
        let mut dead: Vec<(i64, &ChannelId, String)> = Vec::new();
        for (channel, pairs) in channels.iter().zip(found) {
            for pair in list(pairs).chunks_exact(2) {
                if let (Some(id), Some(at)) = (string(&pair[0]), number(&pair[1])) {
                    dead.push((at, channel, id));
                }
            }
        }
        dead.sort_by_key(|(at, _, _)| std::cmp::Reverse(*at));
        let mut entries = Vec::new();
        for (_, channel, id) in dead.into_iter().take(max) {
            entries.extend(self.answer_entry(channel, &id).await?);
        }
        Ok(entries)
    }

    pub(super) async fn answer_tried(
        &self,
        channel: &ChannelId,
        id: &str,
        outcome: SendOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for _ in 0..MOST_TRIES {
            let Some(stored) = self.stored(channel, id).await? else { return Ok(()) };
            // What was sent stays sent, whatever a slower try says.
            if stored.stage == "sent" && !matches!(outcome, SendOutcome::Sent { .. }) {
                return Ok(());
            }
            let mut entry = stored.entry.clone();
            let external_id = answers::tried(&mut entry, &outcome);
            let (stage, at) = match &outcome {
                SendOutcome::Sent { .. } => ("sent", now),
                SendOutcome::Retry { at, .. } | SendOutcome::Wait { at, .. } => ("waiting", *at),
                SendOutcome::Dead { .. } => ("dead", now),
            };
            let mut parked = String::new();
            if let Some(external_id) = &external_id {
                parked = self.join_parked(channel, external_id, &mut entry, now).await?;
            }
            let to = Move { stage, at, external_id: external_id.as_deref(), parked };
            if self.put(channel, id, stored.version, &entry, Some(to), now).await? {
                return Ok(());
            }
        }
        Err(StoreError::Away("an answer is written by others all the time".to_owned()))
    }

    /// Joins a report that came before; returns what stood there.
    async fn join_parked(
        &self,
        channel: &ChannelId,
        external_id: &str,
        entry: &mut OutboxEntry,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let [_, key] = foreign(channel, external_id);
        let mut get = redis::cmd("GET");
        get.arg(&key);
        let Some(text) = string(&self.api.run_one(&key, get, Confirm::No).await?) else { return Ok(String::new()) };
        let parked: Parked = read(text.as_bytes(), "a parked report")?;
        if parked.until > now {
            answers::join_report(entry, parked.report.status, parked.report.error);
        }
        Ok(text)
    }

    /// Writes an answer, and moves it if there is a place to move it to; false when somebody else has written it meanwhile.
    async fn put(
        &self,
        channel: &ChannelId,
        id: &str,
        version: i64,
        entry: &OutboxEntry,
        to: Option<Move<'_>>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = key(channel, id);
        let external_id = to.as_ref().and_then(|to| to.external_id);
        let [named, parked] = foreign(channel, external_id.unwrap_or_default());
        let keys = [key.clone(), of_channel(channel, "waiting"), of_channel(channel, "dead"), named, parked];
        let kept = life(now, later(now, ANSWERS_KEPT));
        let mut command = Script::OutboxPut.call(&keys);
        command.arg(id).arg(version).arg(document(entry)?);
        match &to {
            Some(to) => {
                command.arg(to.stage).arg(millis(to.at));
                if to.stage == "waiting" {
                    command.arg("")
                } else {
                    command.arg(kept)
                };
                command.arg(if external_id.is_some() { "named" } else { "" }).arg(kept).arg(&to.parked);
            }
            None => {
                for _ in 0..6 {
                    command.arg("");
                }
            }
        }
        yes(&self.api.run_one(&key, command, Confirm::Yes).await?, "an answer")
    }

    pub(super) async fn join_delivery_report(
        &self,
        channel: &ChannelId,
        report: DeliveryReport,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let [named, parked] = foreign(channel, &report.id);
        for _ in 0..MOST_TRIES {
            let get = |key: &String| {
                let mut get = redis::cmd("GET");
                get.arg(key);
                Command::new(key, get)
            };
            let found = self.api.run(vec![get(&named), get(&parked)], Confirm::No).await?;
            if let Some(id) = found.first().and_then(string)
                && let Some(mut stored) = self.stored(channel, &id).await?
            {
                answers::join_report(&mut stored.entry, report.status, report.error.clone());
                if self.put(channel, &id, stored.version, &stored.entry, None, now).await? {
                    return Ok(true);
                }
                continue;
            }
            let before = found.get(1).and_then(string).unwrap_or_default();
            let known: Option<Parked> =
                if before.is_empty() { None } else { Some(read(before.as_bytes(), "a parked report")?) };
            let joined = match known.filter(|known| known.until > now) {
                Some(known) => join_reports(known.report, report.clone()),
                None => report.clone(),
            };
            let until = later(now, REPORTS_PARKED);
            let mut park = Script::OutboxPark.call(&[&named, &parked]);
            park.arg(&before).arg(document(&Parked { report: joined, until })?).arg(life(now, until));
            if yes(&self.api.run_one(&named, park, Confirm::Yes).await?, "a report")? {
                return Ok(false);
            }
        }
        Err(StoreError::Away("a report is written by others all the time".to_owned()))
    }

    /// A status that a report may have.
    pub(super) fn report(id: &str, status: DeliveryStatus, error: Option<&str>) -> DeliveryReport {
        DeliveryReport { id: id.to_owned(), status, error: error.map(str::to_owned) }
    }
}
