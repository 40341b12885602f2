//! Transitions: claims, sender states and all that a message changes, in one batch for a whole call.

use jiff::Timestamp;

use super::{
    engine::{Changes, Engine, Failure, Space},
    expiry::unexpired,
    layout::{self, Entry, FIRST_EVENT, Reader, Value},
    memory::{KnownSender, Memory},
    outbox, queues, records,
};
use crate::{
    complaint::EventKind,
    receipt::ReceiptId,
    store::{ClaimKey, QueuedEvent, SenderKey, SenderState, Settled, Transition, Versioned, rules},
};

/// A deadline that is none.
const NO_DEADLINE: [u8; 8] = [0xff; 8];

/// Applies the transitions in order.
pub(super) fn settle(engine: &Engine, transitions: Vec<Transition>) -> Result<Vec<Settled>, Failure> {
    for transition in &transitions {
        rules::check(transition).map_err(Failure::Misuse)?;
    }
    engine.write(|memory, changes| {
        transitions.into_iter().map(|transition| settle_one(memory, changes, transition)).collect()
    })
}

fn settle_one(memory: &mut Memory, changes: &mut Changes<'_>, transition: Transition) -> Result<Settled, Failure> {
    // Claims are judged by the time of arrival, so that a replay is judged like the first time.
    let now = transition.receipt.arrived_at();
    if let Some(nonce) = &transition.nonce
        && let Some(value) = changes.get(Space::Claims, &layout::nonce(nonce.key))?
        && let Some(reader) = unexpired(&value, now)?
        && reader.rest() != nonce.body
    {
        return Ok(Settled::NonceReused);
    }
    match held(changes, &transition.claims, transition.receipt, now)? {
        Held::ByOther(first) => return Ok(Settled::Duplicate { first }),
        Held::Already => return Ok(Settled::Repeated),
        Held::No => {}
    }
    // A complaint's id comes from the receipt's own draw. When it is there, this receipt made it before, though its claim may
    // be another by now: a mended manifest reads other words, and claims are forgotten while a quarantine is not.
    if let Some(record) = &transition.record
        && records::is_there(changes, record.complaint_id)?
    {
        return Ok(Settled::Repeated);
    }
    let sender = known_sender(memory, changes, transition.sender)?;
    if sender.version != transition.expected {
        return Ok(Settled::Conflict);
    }
    if let Some(record) = &transition.record
        && records::tracking_id_is_taken(changes, record)?
    {
        return Ok(Settled::TrackingIdTaken);
    }
    apply(memory, changes, transition, sender, now)?;
    Ok(Settled::Applied)
}

/// Who holds the claims of a transition?
enum Held {
    No,
    /// This receipt holds all of them: it was settled before.
    Already,
    ByOther(ReceiptId),
}

fn held(changes: &Changes<'_>, claims: &[ClaimKey], receipt: ReceiptId, now: Timestamp) -> Result<Held, Failure> {
    let mut ours = 0;
    for claim in claims {
        let Some(value) = changes.get(Space::Claims, &layout::claim(*claim))? else { continue };
        let Some(mut reader) = unexpired(&value, now)? else { continue };
        let holder = ReceiptId(uuid::Uuid::from_bytes(reader.bytes()?));
        if holder != receipt {
            return Ok(Held::ByOther(holder));
        }
        ours += 1;
    }
    // A transition is applied whole or not at all, so that a part of the claims is another transition of the receipt.
    Ok(if ours > 0 && ours == claims.len() { Held::Already } else { Held::No })
}

fn apply(
    memory: &mut Memory,
    changes: &mut Changes<'_>,
    transition: Transition,
    before: KnownSender,
    now: Timestamp,
) -> Result<(), Failure> {
    let until = transition.claims_until;
    for claim in &transition.claims {
        let value = Value::with_room(24).time(until).bytes(transition.receipt.0.as_bytes()).done();
        changes.put(Space::Claims, layout::claim(*claim), value);
    }
    if let Some(nonce) = &transition.nonce {
        let value = Value::with_room(24).time(nonce.until).bytes(&nonce.body).done();
        changes.put(Space::Claims, layout::nonce(nonce.key), value);
    }
    if let Some(state) = transition.state {
        put_sender(memory, changes, transition.sender, before, &state);
    }
    let enqueued_at = transition.record.as_ref().map_or(now.max(Timestamp::UNIX_EPOCH), |record| record.enqueued_at);
    for event in &transition.events {
        // An event id is made from the claims, so that a claim that was free has no event yet.
        if transition.claims.is_empty() && was_appended(changes, event, until, enqueued_at)? {
            continue;
        }
        put_event(memory, changes, event, enqueued_at)?;
    }
    for entry in &transition.outbox {
        outbox::put_new(memory, changes, entry)?;
    }
    if let Some(vault) = transition.vault {
        let value = Value::with_room(vault.sealed.len()).bytes(&vault.sealed).done();
        changes.put(Space::Senders, layout::named(b'v', &vault.reporter_ref), value);
    }
    match transition.record {
        Some(record) => records::put_record(changes, record),
        None => Ok(()),
    }
}

/// Was the event of a transition without claims appended before? Notes that it is now.
fn was_appended(
    changes: &mut Changes<'_>,
    event: &QueuedEvent,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, Failure> {
    let seen = layout::event_seen(&event.event.id);
    if let Some(value) = changes.get(Space::Claims, &seen)?
        && unexpired(&value, now)?.is_some()
    {
        return Ok(true);
    }
    changes.put(Space::Claims, seen, Value::with_room(8).time(until).done());
    Ok(false)
}

fn put_event(
    memory: &mut Memory,
    changes: &mut Changes<'_>,
    QueuedEvent { queue, priority, event }: &QueuedEvent,
    enqueued_at: Timestamp,
) -> Result<(), Failure> {
    let text = serde_json::to_string(event)
        .map_err(|error| Failure::Corrupt(format!("an event cannot be written as JSON: {error}")))?;
    let flags = if event.kind == EventKind::Received { FIRST_EVENT } else { 0 };
    let complaint = event.subject.into_bytes();
    queues::append(memory, changes, queue, Entry { flags, priority: *priority, complaint, enqueued_at, event: &text });
    Ok(())
}

fn put_sender(
    memory: &mut Memory,
    changes: &mut Changes<'_>,
    key: SenderKey,
    before: KnownSender,
    state: &SenderState,
) {
    if let Some(old) = before.deadline.filter(|_| before.deadline != state.deadline) {
        changes.remove(Space::State, layout::deadline(old, key));
    }
    if let Some(new) = state.deadline {
        changes.put(Space::State, layout::deadline(new, key), Value::with_room(0).done());
        memory.deadlines_from = memory.deadlines_from.map(|from| from.min(new));
    }
    let after = KnownSender { version: before.version + 1, deadline: state.deadline };
    let value = Value::with_room(16 + state.value.len())
        .bytes(&after.version.to_be_bytes())
        .bytes(&after.deadline.map_or(NO_DEADLINE, layout::stamp))
        .bytes(&state.value)
        .done();
    changes.put(Space::Senders, layout::sender(key), value);
    memory.remember_sender(key, after);
}

/// What is known of a sender from memory, or else from the disk.
fn known_sender(memory: &mut Memory, changes: &Changes<'_>, key: SenderKey) -> Result<KnownSender, Failure> {
    if let Some(known) = memory.senders.get(&key) {
        return Ok(*known);
    }
    let stored = stored_sender(changes.get(Space::Senders, &layout::sender(key))?.as_deref())?;
    let known = KnownSender { version: stored.version, deadline: stored.state.deadline };
    memory.remember_sender(key, known);
    Ok(known)
}

fn stored_sender(value: Option<&[u8]>) -> Result<Versioned, Failure> {
    let Some(value) = value else { return Ok(Versioned::default()) };
    let mut reader = Reader::new(value)?;
    let version = reader.number()?;
    let deadline = Some(reader.bytes()?).filter(|bytes| *bytes != NO_DEADLINE).map(layout::time_of);
    Ok(Versioned { version, state: SenderState { value: reader.rest().to_vec(), deadline } })
}

/// The states of senders, in order.
pub(super) fn senders(engine: &Engine, keys: &[SenderKey]) -> Result<Vec<Versioned>, Failure> {
    // The lock keeps what is remembered true: nobody writes a sender meanwhile.
    let mut memory = engine.lock()?;
    let read = |key: &SenderKey| {
        let sender = stored_sender(engine.get(Space::Senders, &layout::sender(*key))?.as_deref())?;
        memory.remember_sender(*key, KnownSender { version: sender.version, deadline: sender.state.deadline });
        Ok(sender)
    };
    keys.iter().map(read).collect()
}

/// Senders whose deadline has come, the oldest deadline first.
pub(super) fn due_senders(engine: &Engine, now: Timestamp, limit: usize) -> Result<Vec<SenderKey>, Failure> {
    // The lock keeps the lower bound true: nobody adds an earlier deadline meanwhile.
    let mut memory = engine.lock()?;
    let from = memory.deadlines_from.unwrap_or(Timestamp::MIN);
    let (from, to) = (layout::timed(b't', from, &[]), layout::timed(b't', layout::next_instant(now), &[]));
    if from >= to {
        return Ok(Vec::new());
    }
    let mut due = Vec::new();
    let mut first = None;
    for pair in engine.scan(Space::State, from..to).take(limit) {
        let (key, _) = pair?;
        if let Some((time, sender)) = key[1..].split_first_chunk::<8>()
            && let Ok(sender) = sender.try_into()
        {
            first.get_or_insert(layout::time_of(*time));
            due.push(SenderKey(sender));
        }
    }
    if limit > 0 {
        memory.deadlines_from = Some(first.unwrap_or(layout::next_instant(now)));
    }
    Ok(due)
}
