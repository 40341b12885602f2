//! What every store does: the same facts for each implementation.
//!
//! An implementation brings an async `open()` that gives an empty store with [`LIMITS`], and calls [`contract!`] with it.

use std::{any::Any, ops::Deref, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use loket::{
    complaint::{Event, EventKind, Sensitivity, TrackingId},
    receipt::{ChannelId, ReceiptId},
    store::{
        ClaimKey, ComplaintRecord, Delivery, Opening, OutboxEntry, OutboxKind, QueuedEvent, SenderKey, SenderState,
        Settled, Store, StoreLimits, Transition, Versioned,
    },
};
use serde_json::json;
use uuid::Uuid;

pub mod claims;
pub mod concurrency;
pub mod outbox;
pub mod queues;
pub mod records;

/// What the stores under test are opened with.
pub const LIMITS: StoreLimits = StoreLimits { max_attempts: 3 };

/// A store under test, and what must live as long as it does.
pub struct Opened {
    pub store: Arc<dyn Store>,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Opened {
    pub fn new(store: impl Store, keep: impl Any + Send + Sync) -> Self {
        Self { store: Arc::new(store), _keep: Box::new(keep) }
    }
}

impl Deref for Opened {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// Hands all facts to another macro.
macro_rules! facts {
    ($macro:path, $($argument:tt)*) => {
        $macro! { $($argument)*;
        claims {
            a_claim_is_applied_once
            a_complaint_that_is_there_is_not_made_again_under_another_claim
            a_repetition_by_the_same_receipt_changes_nothing
            another_receipt_with_the_claim_is_a_duplicate
            a_receipt_may_hold_claims_of_several_messages
            one_foreign_claim_of_several_makes_a_duplicate
            a_nonce_with_another_body_is_refused
            a_claim_is_forgotten_after_its_window_and_not_a_day_before
            a_moved_on_sender_is_a_conflict
            messages_of_one_sender_in_one_call_build_on_each_other
            a_transition_without_a_state_leaves_the_version
            an_event_id_is_appended_once
            a_taken_tracking_id_is_told
            senders_are_found_by_their_deadline
        }
        queues {
            events_are_leased_in_the_order_of_arrival
            a_lease_hides_until_it_runs_out
            an_extended_lease_hides_longer
            an_acknowledged_event_never_comes_back
            a_late_acknowledgement_counts_until_the_event_is_handed_out_again
            a_returned_event_comes_again_after_its_delay
            an_event_that_is_never_acknowledged_is_buried
            an_event_that_is_returned_too_often_is_buried_with_its_reason
            dead_letters_go_back_to_the_end_of_the_queue
            dead_letters_are_shown_in_pages
            a_peek_shows_pages_without_leasing
            a_queue_needs_a_proper_name
            an_unknown_queue_is_empty
            the_books_of_a_queue_are_kept
            a_priority_changes_no_order
            nonsense_delivery_ids_change_nothing
        }
        outbox {
            answers_come_when_they_are_due_oldest_first
            an_answer_that_was_handed_out_is_hidden
            an_answer_is_added_once
            an_answer_comes_with_its_transition
            a_failed_try_is_repeated_later
            a_sent_answer_is_not_sent_again
            a_late_failure_does_not_unsend
            a_hopeless_answer_is_kept_apart
            the_next_due_time_is_known
            a_delivery_report_never_steps_back
            a_report_before_the_answer_waits_for_it
            a_parked_report_is_forgotten_after_ten_minutes
            reports_of_one_channel_do_not_touch_another
            a_foreign_id_of_any_length_is_taken
        }
        records {
            a_complaint_is_found_by_both_ids
            the_first_lease_and_the_acknowledgement_are_noted
            a_status_is_added_once_and_a_record_is_written_once
            the_vault_gives_back_what_was_put
            a_budget_is_spent_once_and_begins_again
            the_first_constant_stays
            a_cursor_is_what_was_set_last
            a_held_lease_excludes_others_until_it_ends
            a_store_that_is_there_answers_a_ping
        }
        concurrency {
            ten_thousand_transitions_of_many_tasks_give_one_entry_a_claim
        }
        }
    };
}
pub(crate) use facts;

/// Runs each fact against a store of its own.
macro_rules! contract {
    ($open:ident) => {
        $crate::store_contract::facts! { $crate::store_contract::each_alone, $open }
    };
}
pub(crate) use contract;

macro_rules! each_alone {
    ($open:ident; $($group:ident { $($fact:ident)+ })+) => {
        $(mod $group {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fact() {
                $crate::store_contract::$group::$fact(super::$open().await).await;
            })+
        })+
    };
}
pub(crate) use each_alone;

/// Runs all facts one after the other, each against what `$open` gives for the deployment: servers that take seconds to
/// start are started once.
macro_rules! contract_in_turn {
    ($open:expr) => {
        $crate::store_contract::facts! { $crate::store_contract::all_in_turn, $open }
    };
}
pub(crate) use contract_in_turn;

macro_rules! all_in_turn {
    ($open:expr; $($group:ident { $($fact:ident)+ })+) => {
        $($(
            // A failure is preceded by the name of its fact.
            eprintln!("fact: {}", stringify!($fact));
            $crate::store_contract::$group::$fact($open.await).await;
        )+)+
    };
}
pub(crate) use all_in_turn;

/// A fixed beginning of time.
pub fn start() -> Timestamp {
    "2026-03-01T08:00:00Z".parse().expect("a time")
}

pub fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

pub fn channel() -> ChannelId {
    ChannelId::new("sms-1708").expect("a channel id")
}

/// The receipt number `number`, which arrived at `at`.
pub fn receipt(number: u64, at: Timestamp) -> ReceiptId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let millis = u64::try_from(at.as_millisecond()).expect("after 1970");
    ReceiptId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

pub fn claim(number: u64) -> ClaimKey {
    ClaimKey(u128::from(number).to_be_bytes())
}

pub fn sender(number: u64) -> SenderKey {
    SenderKey(u128::from(number).to_be_bytes())
}

pub fn complaint_id(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

pub fn tracking_id(number: u64) -> TrackingId {
    let bytes = number.to_be_bytes();
    TrackingId::from_random(bytes[3..].try_into().expect("five bytes"))
}

/// An event of complaint `number`.
pub fn event(number: u64, kind: EventKind) -> Event {
    let id = format!("{number:064x}");
    let time = start().to_string();
    Event::new(id, &channel(), kind, complaint_id(number), time, Sensitivity::Normal, &json!({ "number": number }))
}

/// Message `number` from a sender of its own: it claims, writes the sender's state and appends one event.
pub fn message(number: u64) -> Transition {
    Transition {
        turn: None,
        reserved: None,
        receipt: receipt(number, start()),
        claims: vec![claim(number)],
        nonce: None,
        claims_until: start() + days(30),
        sender: sender(number),
        expected: 0,
        state: Some(SenderState { value: number.to_be_bytes().to_vec(), deadline: None }),
        events: vec![QueuedEvent {
            queue: "triage".to_owned(),
            priority: 0,
            event: event(number, EventKind::Received),
        }],
        outbox: Vec::new(),
        vault: None,
        record: None,
    }
}

pub fn record(number: u64) -> ComplaintRecord {
    ComplaintRecord {
        complaint_id: complaint_id(number),
        tracking_id: tracking_id(number),
        channel: channel(),
        reporter_ref: format!("rp_{number:020}"),
        queue: "triage".to_owned(),
        event_id: format!("{number:064x}"),
        language: "id".to_owned(),
        receipts: vec![receipt(number, start())],
        received_at: start(),
        enqueued_at: start(),
        leased_at: None,
        acked_at: None,
        replyable: true,
        sequence: 0,
        status: Vec::new(),
    }
}

pub fn answer(id: &str, due: Timestamp) -> OutboxEntry {
    OutboxEntry {
        reporter_ref: "rp_00000000000000000001".to_owned(),
        complaint_id: Some(complaint_id(1)),
        text: "Laporan Anda diterima.".to_owned(),
        language: "id".to_owned(),
        due,
        ..OutboxEntry::new(id.to_owned(), OutboxKind::Acknowledgement, channel(), start())
    }
}

/// Begins and settles as the pipeline does: what `begin` says is over goes no further.
pub async fn settle(store: &dyn Store, transitions: Vec<Transition>) -> Vec<Settled> {
    let opening = |transition: &Transition| Opening {
        receipt: transition.receipt,
        sender: transition.sender,
        nonce: transition.nonce,
        draw: transition.record.as_ref().map(|record| (record.tracking_id.clone(), record.complaint_id)),
    };
    let openings: Vec<_> = transitions.iter().map(opening).collect();
    let begun = store.begin(&openings).await.expect("begun");
    let over: Vec<_> = begun.into_iter().map(|begun| begun.settled).collect();
    let left = transitions.into_iter().zip(&over).filter(|(_, over)| over.is_none()).map(|(transition, _)| transition);
    let mut settled = store.settle(left.collect()).await.expect("settled").into_iter();
    over.into_iter().map(|over| over.or_else(|| settled.next()).expect("an answer for each")).collect()
}

/// The states of senders, in order.
pub async fn senders(store: &dyn Store, keys: &[SenderKey]) -> Vec<Versioned> {
    let opening =
        |sender: &SenderKey| Opening { receipt: receipt(0, start()), sender: *sender, nonce: None, draw: None };
    let openings: Vec<_> = keys.iter().map(opening).collect();
    store.begin(&openings).await.expect("read").into_iter().map(|begun| begun.sender).collect()
}

/// Settles the messages `numbers`, each from a sender of its own.
pub async fn settle_messages(store: &dyn Store, numbers: impl IntoIterator<Item = u64>) {
    let transitions: Vec<Transition> = numbers.into_iter().map(message).collect();
    let settled = settle(store, transitions).await;
    // The journal may repeat what was settled before.
    assert!(settled.iter().all(|settled| matches!(settled, Settled::Applied | Settled::Repeated)), "{settled:?}");
}

/// The number that the event of a delivery was made with.
pub fn number(event: &str) -> u64 {
    let event: Event = serde_json::from_str(event).expect("an event");
    let data: serde_json::Value = serde_json::from_str(event.data.get()).expect("a document");
    data["number"].as_u64().expect("the number")
}

pub fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| number(&delivery.event)).collect()
}

pub fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.delivery_id.clone()).collect()
}

/// Everything that waits in `triage`, leased for a minute.
pub async fn lease_all(store: &dyn Store, now: Timestamp) -> Vec<Delivery> {
    store.lease("triage", 1000, seconds(60), now).await.expect("leased")
}
