//! How things are forgotten: lazily when they are read, and swept so that their space comes back.
//!
//! Claims are many and lie at random places: the compaction, which copies them anyway, leaves out those that are long
//! over. The few other things that expire (parked reports, budgets, answers that were sent) stand in an index by time
//! and are removed a handful at a time.

use std::{
    panic::RefUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};
use jiff::{SignedDuration, Timestamp};

use super::{
    engine::{Changes, Engine, Failure, Space},
    layout::{self, Reader, Value, time_of},
    memory::Memory,
};

/// Claims are kept for this long after their end: a clock that runs ahead for a while takes nothing away.
const MARGIN_MICROSECONDS: i64 = 24 * 3600 * 1_000_000;
/// A sweep is this small, and not more often than the pause.
const SWEEP_ENTRIES: usize = 1000;
const SWEEP_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// The time as the callers told it last. The store reads no clock.
#[derive(Debug)]
pub(super) struct Clock(AtomicI64);

impl Default for Clock {
    /// Until somebody says what time it is, nothing is over.
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Clock {
    pub fn tell(&self, now: Timestamp) {
        self.0.store(now.as_microsecond(), Ordering::Relaxed);
    }
}

/// The compaction filter of the claims; the other keyspaces have none.
pub(super) fn claims_expire(keyspace: &str, clock: &Arc<Clock>) -> Option<Arc<dyn Factory>> {
    (keyspace == "claims").then(|| Arc::new(ClaimsExpire(Arc::clone(clock))) as Arc<dyn Factory>)
}

struct ClaimsExpire(Arc<Clock>);

impl RefUnwindSafe for ClaimsExpire {}

impl Factory for ClaimsExpire {
    fn name(&self) -> &'static str {
        "claims expire"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(OverBefore(self.0.0.load(Ordering::Relaxed).saturating_sub(MARGIN_MICROSECONDS)))
    }
}

/// Leaves out what was over at this time, in microseconds.
struct OverBefore(i64);

impl CompactionFilter for OverBefore {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let value = item.value()?;
        // All values of this keyspace begin with their version and the time until which they count.
        let until = value.get(1..).and_then(|rest| rest.first_chunk::<8>()).map(|bytes| time_of(*bytes));
        Ok(match until {
            Some(until) if until.as_microsecond() < self.0 => Verdict::Remove,
            _ => Verdict::Keep,
        })
    }
}

/// Puts a value that begins with `until`, which a sweep removes some time after that.
pub(super) fn put_expiring(changes: &mut Changes<'_>, key: Vec<u8>, until: Timestamp, rest: &[u8]) {
    changes.put(Space::State, layout::timed(b'z', until, &key), Value::with_room(0).done());
    changes.put(Space::State, key, Value::with_room(8 + rest.len()).time(until).bytes(rest).done());
}

/// The rest of a value that begins with `until`, if its time is not over.
pub(super) fn unexpired(value: &[u8], now: Timestamp) -> Result<Option<Reader<'_>>, Failure> {
    let mut reader = Reader::new(value)?;
    Ok((reader.time()? > now).then_some(reader))
}

/// Removes a handful of what is over, if the last sweep was a while ago or left something.
pub(super) fn sweep(engine: &Engine, now: Timestamp) -> Result<(), Failure> {
    if engine.lock()?.swept_at.is_some_and(|swept| swept <= now && now.duration_since(swept) < SWEEP_PAUSE) {
        return Ok(());
    }
    engine.write(|memory, changes| sweep_now(memory, changes, now))
}

fn sweep_now(memory: &mut Memory, changes: &mut Changes<'_>, now: Timestamp) -> Result<(), Failure> {
    // Marks are made for the future, so that none stands before those that were swept; what was swept is a tombstone
    // that need not be stepped over again.
    let from = memory.swept_to.filter(|swept| *swept <= now).unwrap_or(Timestamp::MIN);
    let over: Vec<_> = changes
        .before()
        .scan(Space::State, layout::timed(b'z', from, &[])..layout::timed(b'z', now, &[]))
        .take(SWEEP_ENTRIES)
        .collect::<Result<_, _>>()?;
    let last = over.last().and_then(|(mark, _)| mark.get(1..)?.first_chunk::<8>().map(|bytes| time_of(*bytes)));
    if over.len() < SWEEP_ENTRIES {
        (memory.swept_at, memory.swept_to) = (Some(now), Some(now));
    } else {
        memory.swept_to = last;
    }
    for (mark, _) in over {
        // The letter and eight bytes of time stand before the key.
        let Some(key) = mark.get(9..) else { continue };
        // What was written again lives longer and has a later mark.
        if let Some(value) = changes.get(Space::State, key)?
            && unexpired(&value, now)?.is_none()
        {
            super::outbox::forget_with(changes, key, &value)?;
            changes.remove(Space::State, key);
        }
        changes.remove(Space::State, mark);
    }
    Ok(())
}
