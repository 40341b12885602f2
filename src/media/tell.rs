//! Tells the core that a file has reached its final state: one `attachment_stored` event on the queue of its complaint.
//!
//! The id of the event comes from the complaint and the file, so that the store appends it once, whoever says it again. The
//! number of the follow-up is taken from the sender's memory in the same step; a crash behind that step may leave out a number.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{job::Job, shelf::Record};
use crate::{
    clock,
    complaint::{AttachmentFinal, Event, EventKind, Intent, SCHEMA_VERSION, derived_uuid7, event_id},
    receipt::ReceiptId,
    sender::Sender,
    store::{Opening, QueuedEvent, SenderState, Settled, Store, StoreError, Transition},
};

/// How long the event is remembered as appended. A job is over in days.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Messages of the same sender may be settled at the same time; each of them is a try.
const TRIES: u64 = 20;

/// Appends the event. True when it is in the queue.
pub async fn tell(store: &dyn Store, job: &Job, record: &Record) -> Result<bool, StoreError> {
    for tries in 0..TRIES {
        let now = clock::now();
        let receipt = ReceiptId(clock::uuid7(now));
        let opening = Opening { receipt, sender: job.sender(), nonce: None, draw: None };
        let Some(begun) = store.begin(&[opening]).await?.into_iter().next() else { return Ok(false) };
        let mut sender = Sender::decode(&begun.sender.state.value).map_err(StoreError::Broken)?;
        let sequence = sender.next_sequence(job.complaint_id, 0);
        // A draft or an album may wait in the same memory: its time is kept.
        let state = SenderState { value: sender.encode(), deadline: sender.deadline() };
        let transition = transition(job, record, sequence, begun.sender.version, state, receipt, now);
        match store.settle(vec![transition]).await?.first() {
            Some(Settled::Applied | Settled::Repeated) => {
                store.confirm().await?;
                return Ok(true);
            }
            _ => tokio::time::sleep(Duration::from_millis(20 * (tries + 1))).await,
        }
    }
    Ok(false)
}

fn transition(
    job: &Job,
    record: &Record,
    sequence: u32,
    expected: u64,
    state: SenderState,
    receipt: ReceiptId,
    now: Timestamp,
) -> Transition {
    let event = QueuedEvent { queue: job.queue.clone(), priority: job.priority, event: event(job, record, sequence) };
    Transition {
        turn: None,
        receipt,
        reserved: None,
        claims: Vec::new(),
        nonce: None,
        claims_until: now.checked_add(REMEMBERED).unwrap_or(Timestamp::MAX),
        sender: job.sender(),
        expected,
        state: Some(state),
        events: vec![event],
        outbox: Vec::new(),
        vault: None,
        record: None,
    }
}

fn event(job: &Job, record: &Record, sequence: u32) -> Event {
    let kind = EventKind::AttachmentStored;
    let file = &record.file;
    let (complaint, attachment) = (job.complaint_id.to_string(), file.attachment_id.to_string());
    let millis = u64::try_from(job.received_at.as_millisecond()).unwrap_or(0);
    let document = AttachmentFinal {
        schema_version: SCHEMA_VERSION.to_owned(),
        complaint_id: job.complaint_id,
        tracking_id: job.tracking_id.clone(),
        followup_id: derived_uuid7(millis, file.attachment_id.as_bytes(), "attachment_stored"),
        sequence,
        intent: Intent::AttachmentStored,
        attachments: vec![file.clone()],
        received_datetime: job.received_datetime.clone(),
    };
    let id = event_id(&job.channel, kind.short(), [complaint.as_str(), attachment.as_str()]);
    let time = job.received_datetime.clone();
    Event::new(id, &job.channel, kind, job.complaint_id, time, job.sensitivity, &document)
}
