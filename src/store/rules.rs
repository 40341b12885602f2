//! What every store asks of names, and how long it keeps things.

use jiff::{SignedDuration, Timestamp};

use super::Transition;
use crate::receipt::is_slug;

/// Answers that were sent, or given up on, are kept so long: a delivery report comes within it or never.
pub(super) const ANSWERS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A report that comes before its answer was noted as sent waits so long.
pub(super) const REPORTS_PARKED: SignedDuration = SignedDuration::from_mins(10);
/// The longest id of an answer, in bytes.
const LONGEST_ID: usize = 512;

/// A time after `now`, as far as the calendar goes.
pub(super) fn later(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(if span.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

/// Has a transition names that a store can take? The error is for whoever made it.
pub(super) fn check(transition: &Transition) -> Result<(), String> {
    if transition.events.iter().any(|event| !is_slug(&event.queue)) {
        let text = "a queue has no proper name: use 1 to 63 of a-z, 0-9 and `-`, not beginning with `-`";
        return Err(text.to_owned());
    }
    transition.outbox.iter().try_for_each(|entry| check_answer_id(&entry.id))
}

/// An id that can stand in a key.
pub(super) fn check_answer_id(id: &str) -> Result<(), String> {
    if (1..=LONGEST_ID).contains(&id.len()) {
        return Ok(());
    }
    Err(format!("the id of an answer has {} bytes; use 1 to {LONGEST_ID}", id.len()))
}
