//! The outbox of the embedded store: answers that wait, by channel and time, and what became of them.

use jiff::{SignedDuration, Timestamp};

use super::{
    engine::{Changes, Engine, Failure, Space},
    expiry::{put_expiring, unexpired},
    layout::{self, Reader, Value, next_instant},
    memory::Memory,
};
use crate::{
    message::DeliveryReport,
    receipt::ChannelId,
    store::{
        OutboxEntry, SendOutcome,
        answers::{self, join_report, join_reports},
        rules::{self, ANSWERS_KEPT, REPORTS_PARKED, later},
    },
};

/// The most that is handed out at once.
const MOST_AT_ONCE: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting = 0,
    Sent = 1,
    Dead = 2,
}

/// An answer as it is stored.
struct Stored {
    stage: Stage,
    /// While it waits, when it is shown again; the place in the index of the dead else.
    at: Timestamp,
    entry: OutboxEntry,
}

impl Stored {
    fn read(value: &[u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(value)?;
        let _until = reader.time()?;
        let (stage, at) = stage_and_time(&mut reader)?;
        Ok(Self { stage, at, entry: reader.json()? })
    }

    fn load(changes: &Changes<'_>, id: &str) -> Result<Option<Self>, Failure> {
        changes.get(Space::State, &layout::named(b'o', id))?.map(|value| Self::read(&value)).transpose()
    }

    fn put(&self, changes: &mut Changes<'_>, until: Timestamp) -> Result<(), Failure> {
        let value = Value::with_room(256).time(until).bytes(&[self.stage as u8]).time(self.at).json(&self.entry)?;
        let key = layout::named(b'o', &self.entry.id);
        if until != Timestamp::MAX {
            changes.put(Space::State, layout::timed(b'z', until, &key), Value::with_room(0).done());
        }
        changes.put(Space::State, key, value);
        Ok(())
    }
}

fn stage_and_time(reader: &mut Reader<'_>) -> Result<(Stage, Timestamp), Failure> {
    let stage = match reader.byte()? {
        0 => Stage::Waiting,
        1 => Stage::Sent,
        2 => Stage::Dead,
        other => return Err(Failure::Corrupt(format!("an answer has the unknown stage {other}"))),
    };
    Ok((stage, reader.time()?))
}

/// Removes what points to a value that is being swept.
pub(super) fn forget_with(changes: &mut Changes<'_>, key: &[u8], value: &[u8]) -> Result<(), Failure> {
    let Some((b'o', id)) = key.split_first() else { return Ok(()) };
    let mut reader = Reader::new(value)?;
    let _until = reader.time()?;
    if let (Stage::Dead, at) = stage_and_time(&mut reader)? {
        changes.remove(Space::State, layout::timed(b'g', at, id));
    }
    Ok(())
}

fn wait_until(memory: &mut Memory, changes: &mut Changes<'_>, entry: &OutboxEntry, at: Timestamp) {
    let channel = entry.channel.as_str();
    changes.put(Space::State, layout::waiting(channel, at, &entry.id), Value::with_room(0).done());
    if let Some(from) = memory.waiting_from.get_mut(channel) {
        *from = at.min(*from);
    }
}

/// Adds an answer; false when its id is known.
pub(super) fn put_new(memory: &mut Memory, changes: &mut Changes<'_>, entry: &OutboxEntry) -> Result<bool, Failure> {
    if changes.get(Space::State, &layout::named(b'o', &entry.id))?.is_some() {
        return Ok(false);
    }
    wait_until(memory, changes, entry, entry.due);
    Stored { stage: Stage::Waiting, at: entry.due, entry: entry.clone() }.put(changes, Timestamp::MAX)?;
    Ok(true)
}

pub(super) fn add(engine: &Engine, entry: &OutboxEntry) -> Result<bool, Failure> {
    rules::check_answer_id(&entry.id).map_err(Failure::Misuse)?;
    engine.write(|memory, changes| put_new(memory, changes, entry))
}

/// The keys of what waits on a channel until `to`, oldest first. Also raises the lower bound when nothing does.
fn waiting(
    engine: &Engine,
    memory: &mut Memory,
    channel: &str,
    to: Timestamp,
    max: usize,
) -> Result<Vec<Vec<u8>>, Failure> {
    let from = memory.waiting_from.get(channel).copied().unwrap_or(Timestamp::MIN);
    let range = layout::under(b'w', channel, &layout::stamp(from))..layout::under(b'w', channel, &layout::stamp(to));
    if range.start >= range.end || max == 0 {
        return Ok(Vec::new());
    }
    let keys: Vec<Vec<u8>> = engine
        .scan(Space::State, range)
        .take(max.min(MOST_AT_ONCE))
        .map(|pair| pair.map(|(key, _)| key.to_vec()))
        .collect::<Result<_, _>>()?;
    let first = keys.first().and_then(|key| time_and_id(key, channel)).map_or(to, |(time, _)| time);
    memory.waiting_from.insert(channel.to_owned(), first);
    Ok(keys)
}

fn time_and_id<'a>(key: &'a [u8], channel: &str) -> Option<(Timestamp, &'a str)> {
    // A letter stands before the channel and a NUL behind it.
    let (time, id) = key.get(channel.len() + 2..)?.split_first_chunk::<8>()?;
    Some((layout::time_of(*time), std::str::from_utf8(id).ok()?))
}

pub(super) fn due(
    engine: &Engine,
    channel: &ChannelId,
    max: usize,
    lease: SignedDuration,
    now: Timestamp,
) -> Result<Vec<OutboxEntry>, Failure> {
    // A lease shows the answer again later, or a loop over what is due would not end.
    let again = later(now, lease).max(next_instant(now));
    engine.write(|memory, changes| {
        let keys = waiting(engine, memory, channel.as_str(), next_instant(now), max)?;
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            let stored = match time_and_id(&key, channel.as_str()) {
                Some((at, id)) => Stored::load(changes, id)?
                    .filter(|stored| stored.stage == Stage::Waiting && layout::stamp(stored.at) == layout::stamp(at)),
                None => None,
            };
            changes.remove(Space::State, key);
            if let Some(stored) = stored {
                wait_until(memory, changes, &stored.entry, again);
                let stored = Stored { at: again, ..stored };
                stored.put(changes, Timestamp::MAX)?;
                entries.push(stored.entry);
            }
        }
        Ok(entries)
    })
}

/// When the next answer of a channel is shown.
pub(super) fn next(engine: &Engine, channel: &ChannelId) -> Result<Option<Timestamp>, Failure> {
    let mut memory = engine.lock()?;
    let keys = waiting(engine, &mut memory, channel.as_str(), Timestamp::MAX, 1)?;
    Ok(keys.first().and_then(|key| time_and_id(key, channel.as_str())).map(|(time, _)| time))
}

pub(super) fn tried(engine: &Engine, id: &str, outcome: &SendOutcome, now: Timestamp) -> Result<(), Failure> {
    engine.write(|memory, changes| {
        let Some(mut stored) = Stored::load(changes, id)? else { return Ok(()) };
        let before = (stored.stage, stored.at);
        // What was sent stays sent, whatever a slower try says.
        if before.0 == Stage::Sent && !matches!(outcome, SendOutcome::Sent { .. }) {
            return Ok(());
        }
        if let Some(external_id) = answers::tried(&mut stored.entry, outcome) {
            note_external_id(changes, &mut stored.entry, &external_id, now)?;
        }
        (stored.stage, stored.at) = match outcome {
            SendOutcome::Sent { .. } => (Stage::Sent, now),
            SendOutcome::Retry { at, .. } | SendOutcome::Wait { at, .. } => (Stage::Waiting, *at),
            SendOutcome::Dead { .. } => (Stage::Dead, now),
        };
        move_in_indexes(memory, changes, before, &stored);
        let until = if stored.stage == Stage::Waiting { Timestamp::MAX } else { later(now, ANSWERS_KEPT) };
        stored.put(changes, until)
    })
}

fn move_in_indexes(memory: &mut Memory, changes: &mut Changes<'_>, before: (Stage, Timestamp), stored: &Stored) {
    let entry = &stored.entry;
    match before {
        (Stage::Waiting, at) => {
            changes.remove(Space::State, layout::waiting(entry.channel.as_str(), at, &entry.id));
        }
        (Stage::Dead, at) => changes.remove(Space::State, layout::timed(b'g', at, entry.id.as_bytes())),
        (Stage::Sent, _) => {}
    }
    match stored.stage {
        Stage::Waiting => wait_until(memory, changes, entry, stored.at),
        Stage::Dead => {
            let key = layout::timed(b'g', stored.at, entry.id.as_bytes());
            changes.put(Space::State, key, Value::with_room(0).done());
        }
        Stage::Sent => {}
    }
}

/// Makes the answer known by the provider's id, and joins the reports that came before.
fn note_external_id(
    changes: &mut Changes<'_>,
    entry: &mut OutboxEntry,
    external_id: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let channel = entry.channel.as_str();
    put_expiring(changes, layout::foreign(b'x', channel, external_id), later(now, ANSWERS_KEPT), entry.id.as_bytes());
    let parked = layout::foreign(b'p', channel, external_id);
    if let Some(value) = changes.get(Space::State, &parked)? {
        if let Some(reader) = unexpired(&value, now)? {
            let report: DeliveryReport = reader.json()?;
            join_report(entry, report.status, report.error);
        }
        changes.remove(Space::State, parked);
    }
    Ok(())
}

pub(super) fn report(
    engine: &Engine,
    channel: &ChannelId,
    report: DeliveryReport,
    now: Timestamp,
) -> Result<bool, Failure> {
    let known = layout::foreign(b'x', channel.as_str(), &report.id);
    let parked = layout::foreign(b'p', channel.as_str(), &report.id);
    engine.write(|_, changes| {
        if let Some(value) = changes.get(Space::State, &known)?
            && let Some(reader) = unexpired(&value, now)?
            && let Some(mut stored) = Stored::load(changes, reader.text()?)?
        {
            join_report(&mut stored.entry, report.status, report.error);
            let until = if stored.stage == Stage::Waiting { Timestamp::MAX } else { later(now, ANSWERS_KEPT) };
            stored.put(changes, until)?;
            return Ok(true);
        }
        let report = match changes.get(Space::State, &parked)? {
            Some(value) => match unexpired(&value, now)? {
                Some(reader) => join_reports(reader.json()?, report),
                None => report,
            },
            None => report,
        };
        let text = serde_json::to_vec(&report)
            .map_err(|error| Failure::Corrupt(format!("a report cannot be written: {error}")))?;
        put_expiring(changes, parked, later(now, REPORTS_PARKED), &text);
        Ok(false)
    })
}

pub(super) fn entry(engine: &Engine, id: &str) -> Result<Option<OutboxEntry>, Failure> {
    let value = engine.get(Space::State, &layout::named(b'o', id))?;
    value.map(|value| Stored::read(&value).map(|stored| stored.entry)).transpose()
}

/// What was given up on, the newest first.
pub(super) fn dead(engine: &Engine, max: usize) -> Result<Vec<OutboxEntry>, Failure> {
    let mut entries = Vec::new();
    for pair in engine.scan(Space::State, vec![b'g']..vec![b'g' + 1]).rev().take(max.min(MOST_AT_ONCE)) {
        let (key, _) = pair?;
        if let Some(id) = key.get(9..).and_then(|id| std::str::from_utf8(id).ok()) {
            entries.extend(entry(engine, id)?);
        }
    }
    Ok(entries)
}
