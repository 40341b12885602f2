//! Queues and dead letters of the embedded store.

use jiff::{SignedDuration, Timestamp};

use super::{
    engine::{Changes, Engine, Failure, Space},
    layout::{self, Dead, Entry, FIRST_EVENT, LEASED_BEFORE, Value},
    memory::{Memory, Out, Queue},
};
use crate::store::{DeadLetter, Delivery, QueueStats, rules::later};

/// The most that is handed out at once: bodies are held in memory meanwhile.
const MOST_AT_ONCE: usize = 1000;
/// A requeue works in batches of this size.
const REQUEUE_BATCH: usize = 200;

/// The number of an entry as the core sees it. It keeps its number as long as it is in the queue.
fn delivery_id(number: u64) -> String {
    format!("{number:016x}")
}

fn number_of(delivery_id: &str) -> Option<u64> {
    let digits = delivery_id.len() == 16 && delivery_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(delivery_id, 16).ok())?
}

/// Appends an entry to a queue, which is made if it is new.
pub(super) fn append(memory: &mut Memory, changes: &mut Changes<'_>, queue: &str, entry: Entry<'_>) {
    if !memory.queues.contains_key(queue) {
        memory.queues.insert(queue.to_owned(), Queue::default());
        save(changes, queue, &Queue::default());
    }
    if let Some(state) = memory.queues.get_mut(queue) {
        changes.put(Space::Events, layout::numbered(b'e', queue, state.tail), entry.write());
        state.tail += 1;
    }
}

fn save(changes: &mut Changes<'_>, name: &str, queue: &Queue) {
    changes.put(Space::State, layout::named(b'q', name), queue.write());
}

fn put_out(changes: &mut Changes<'_>, name: &str, queue: &mut Queue, number: u64, out: Out) {
    queue.put_out(number, out);
    changes.put(Space::State, layout::numbered(b'l', name, number), out.write());
}

/// Leases what ran out before, then what is new.
pub(super) fn lease(
    engine: &Engine,
    name: &str,
    max: usize,
    visibility: SignedDuration,
    now: Timestamp,
) -> Result<Vec<Delivery>, Failure> {
    let until = later(now, visibility);
    engine.write(|memory, changes| {
        let mut deliveries = Vec::new();
        let Some(queue) = memory.queues.get_mut(name) else { return Ok(deliveries) };
        let max = max.min(MOST_AT_ONCE);
        let before = (queue.head, queue.dead);
        queue.advance(now);
        lease_again(engine, changes, name, queue, (max, until, now), &mut deliveries)?;
        lease_new(engine, changes, name, queue, (max, until, now), &mut deliveries)?;
        if before != (queue.head, queue.dead) {
            save(changes, name, queue);
        }
        Ok(deliveries)
    })
}

fn lease_again(
    engine: &Engine,
    changes: &mut Changes<'_>,
    name: &str,
    queue: &mut Queue,
    (max, until, now): (usize, Timestamp, Timestamp),
    deliveries: &mut Vec<Delivery>,
) -> Result<(), Failure> {
    // Each turn takes one entry from those that are ready; the turns that bury one are bounded, too.
    for _ in 0..MOST_AT_ONCE {
        let Some((number, out)) = queue.first_ready().filter(|_| deliveries.len() < max) else { break };
        if out.attempt >= engine.limits.max_attempts {
            let reason = format!("not acknowledged in {} deliveries", out.attempt);
            bury(changes, name, queue, (number, out), &reason, now)?;
            continue;
        }
        let Some(body) = changes.get(Space::Events, &layout::numbered(b'e', name, number))? else {
            forget(changes, name, queue, number);
            continue;
        };
        let attempt = out.attempt + 1;
        put_out(changes, name, queue, number, Out { leased: true, attempt, until, ..out });
        deliveries.push(delivery(number, attempt, &body)?);
    }
    Ok(())
}

fn lease_new(
    engine: &Engine,
    changes: &mut Changes<'_>,
    name: &str,
    queue: &mut Queue,
    (max, until, now): (usize, Timestamp, Timestamp),
    deliveries: &mut Vec<Delivery>,
) -> Result<(), Failure> {
    let room = (max - deliveries.len()).min(queue.room());
    let waiting = layout::numbered(b'e', name, queue.head)..layout::numbered(b'e', name, queue.tail);
    for pair in engine.scan(Space::Events, waiting).take(room) {
        let (key, body) = pair?;
        let Some(number) = layout::number_of(&key) else { continue };
        let entry = Entry::read(&body)?;
        let Entry { flags, complaint, enqueued_at, .. } = entry;
        if flags & FIRST_EVENT != 0 && flags & LEASED_BEFORE == 0 {
            let mut key = vec![b'L'];
            key.extend_from_slice(&complaint);
            changes.put(Space::State, key, Value::with_room(8).time(now).done());
        }
        let out = Out { leased: true, flags, attempt: 1, until, complaint, enqueued_at };
        put_out(changes, name, queue, number, out);
        queue.head = number + 1;
        deliveries.push(Delivery { delivery_id: delivery_id(number), attempt: 1, event: entry.event.to_owned() });
    }
    Ok(())
}

fn delivery(number: u64, attempt: u32, body: &[u8]) -> Result<Delivery, Failure> {
    Ok(Delivery { delivery_id: delivery_id(number), attempt, event: Entry::read(body)?.event.to_owned() })
}

/// Takes an entry that is out off the queue.
fn forget(changes: &mut Changes<'_>, name: &str, queue: &mut Queue, number: u64) {
    queue.take(number);
    changes.remove(Space::Events, layout::numbered(b'e', name, number));
    changes.remove(Space::State, layout::numbered(b'l', name, number));
}

/// Moves an entry that is out to the dead letters. The caller saves the queue.
fn bury(
    changes: &mut Changes<'_>,
    name: &str,
    queue: &mut Queue,
    (number, out): (u64, Out),
    reason: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let body = changes.get(Space::Events, &layout::numbered(b'e', name, number))?;
    forget(changes, name, queue, number);
    if let Some(body) = body {
        let entry = Entry::read(&body)?;
        let letter = Dead { dead_at: now, attempts: out.attempt, reason, entry };
        changes.put(Space::Events, layout::numbered(b'd', name, number), letter.write());
        queue.dead += 1;
    }
    Ok(())
}

/// Does `step` with each entry that is leased under one of the ids; how many there were.
fn each_leased(
    engine: &Engine,
    name: &str,
    delivery_ids: &[String],
    mut step: impl FnMut(&mut Changes<'_>, &mut Queue, u64, Out) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    engine.write(|memory, changes| {
        let Some(queue) = memory.queues.get_mut(name) else { return Ok(0) };
        let mut count = 0;
        let dead = queue.dead;
        for number in delivery_ids.iter().filter_map(|id| number_of(id)) {
            if let Some(out) = queue.leased(number) {
                step(changes, queue, number, out)?;
                count += 1;
            }
        }
        if queue.dead != dead {
            save(changes, name, queue);
        }
        Ok(count)
    })
}

pub(super) fn ack(engine: &Engine, name: &str, delivery_ids: &[String], now: Timestamp) -> Result<usize, Failure> {
    each_leased(engine, name, delivery_ids, |changes, queue, number, out| {
        if out.flags & FIRST_EVENT != 0 {
            let mut key = vec![b'A'];
            key.extend_from_slice(&out.complaint);
            changes.put(Space::State, key, Value::with_room(8).time(now).done());
        }
        forget(changes, name, queue, number);
        Ok(())
    })
}

pub(super) fn nack(
    engine: &Engine,
    name: &str,
    delivery_ids: &[String],
    reason: &str,
    delay: SignedDuration,
    now: Timestamp,
) -> Result<usize, Failure> {
    let until = later(now, delay);
    each_leased(engine, name, delivery_ids, |changes, queue, number, out| {
        if out.attempt >= engine.limits.max_attempts {
            return bury(changes, name, queue, (number, out), reason, now);
        }
        put_out(changes, name, queue, number, Out { leased: false, until, ..out });
        Ok(())
    })
}

pub(super) fn extend(
    engine: &Engine,
    name: &str,
    delivery_ids: &[String],
    visibility: SignedDuration,
    now: Timestamp,
) -> Result<usize, Failure> {
    let until = later(now, visibility);
    each_leased(engine, name, delivery_ids, |changes, queue, number, out| {
        put_out(changes, name, queue, number, Out { until, ..out });
        Ok(())
    })
}

pub(super) fn stats(engine: &Engine, now: Timestamp) -> Result<Vec<QueueStats>, Failure> {
    let mut memory = engine.lock()?;
    let mut stats = Vec::with_capacity(memory.queues.len());
    for (name, queue) in &mut memory.queues {
        queue.advance(now);
        let first = engine.get(Space::Events, &layout::numbered(b'e', name, queue.head))?;
        let first = first.map(|body| Entry::read(&body).map(|entry| entry.enqueued_at)).transpose()?;
        let oldest = queue.oldest_waiting_again().into_iter().chain(first).min();
        stats.push(QueueStats {
            name: name.clone(),
            depth: queue.depth(),
            in_flight: queue.in_flight(),
            dead: queue.dead,
            oldest_seconds: oldest.map_or(0, |oldest| now.duration_since(oldest).as_secs().max(0) as u64),
        });
    }
    Ok(stats)
}

/// The number behind `after`; None when `after` is no delivery id.
fn behind(after: Option<&str>, first: u64) -> Option<u64> {
    match after {
        Some(after) => number_of(after)?.checked_add(1),
        None => Some(first),
    }
}

pub(super) fn peek(engine: &Engine, name: &str, after: Option<&str>, max: usize) -> Result<Vec<Delivery>, Failure> {
    let (from, tail, attempts) = {
        let memory = engine.lock()?;
        let Some(queue) = memory.queues.get(name) else { return Ok(Vec::new()) };
        // What stood before the oldest entry is gone: no need to look for it.
        let Some(from) = behind(after, 0).map(|from| from.max(queue.oldest())) else { return Ok(Vec::new()) };
        let attempts = queue.attempts(from, max.min(MOST_AT_ONCE));
        (from, queue.tail, attempts)
    };
    if from >= tail {
        return Ok(Vec::new());
    }
    engine
        .scan(Space::Events, layout::numbered(b'e', name, from)..layout::numbered(b'e', name, tail))
        .take(max.min(MOST_AT_ONCE))
        .map(|pair| {
            let (key, body) = pair?;
            let number = layout::number_of(&key).unwrap_or_default();
            delivery(number, attempts.get(&number).copied().unwrap_or(0), &body)
        })
        .collect()
}

pub(super) fn dead(engine: &Engine, name: &str, after: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, Failure> {
    let Some(from) = behind(after, 0) else { return Ok(Vec::new()) };
    engine
        .scan(Space::Events, layout::numbered(b'd', name, from)..layout::numbered(b'd', name, u64::MAX))
        .take(max.min(MOST_AT_ONCE))
        .map(|pair| {
            let (key, value) = pair?;
            let dead = Dead::read(&value)?;
            Ok(DeadLetter {
                delivery_id: delivery_id(layout::number_of(&key).unwrap_or_default()),
                reason: dead.reason.to_owned(),
                attempts: dead.attempts,
                dead_at: dead.dead_at,
                event: dead.entry.event.to_owned(),
            })
        })
        .collect()
}

/// Requeues in small batches; a crash in between leaves the others dead.
pub(super) fn requeue(engine: &Engine, name: &str, delivery_ids: &[String], now: Timestamp) -> Result<usize, Failure> {
    let mut count = 0;
    if delivery_ids.is_empty() {
        let mut from = 0;
        loop {
            let numbers: Vec<u64> = engine
                .scan(Space::Events, layout::numbered(b'd', name, from)..layout::numbered(b'd', name, u64::MAX))
                .take(REQUEUE_BATCH)
                .filter_map(|pair| pair.map(|(key, _)| layout::number_of(&key)).transpose())
                .collect::<Result<_, _>>()?;
            let Some(last) = numbers.last() else { return Ok(count) };
            from = last + 1;
            count += requeue_batch(engine, name, &numbers, now)?;
        }
    }
    let numbers: Vec<u64> = delivery_ids.iter().filter_map(|id| number_of(id)).collect();
    for numbers in numbers.chunks(REQUEUE_BATCH) {
        count += requeue_batch(engine, name, numbers, now)?;
    }
    Ok(count)
}

fn requeue_batch(engine: &Engine, name: &str, numbers: &[u64], now: Timestamp) -> Result<usize, Failure> {
    engine.write(|memory, changes| {
        let mut count = 0;
        for number in numbers {
            let key = layout::numbered(b'd', name, *number);
            let Some(value) = changes.get(Space::Events, &key)? else { continue };
            let entry = Dead::read(&value)?.entry;
            let entry = Entry { flags: entry.flags | LEASED_BEFORE, enqueued_at: now, ..entry };
            append(memory, changes, name, entry);
            changes.remove(Space::Events, key);
            count += 1;
        }
        if let Some(queue) = memory.queues.get_mut(name).filter(|_| count > 0) {
            queue.dead = queue.dead.saturating_sub(count as u64);
            save(changes, name, queue);
        }
        Ok(count)
    })
}
