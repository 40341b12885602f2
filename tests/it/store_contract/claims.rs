//! Claims, nonces and the states of senders.

use loket::{
    complaint::EventKind,
    store::{NonceClaim, QueuedEvent, SenderState, Settled, Transition, Versioned},
};

use super::{
    Opened, claim, days, event, lease_all, message, numbers, receipt, record, seconds, sender, senders, settle, start,
};

async fn settle_one(store: &Opened, transition: Transition) -> Settled {
    settle(&**store, vec![transition]).await.remove(0)
}

pub async fn a_claim_is_applied_once(store: Opened) {
    assert_eq!(settle_one(&store, message(1)).await, Settled::Applied);
    store.confirm().await.expect("confirmed");

    let states = senders(&*store, &[sender(2), sender(1)]).await;
    let state = SenderState { value: 1_u64.to_be_bytes().to_vec(), deadline: None };
    assert_eq!(states, vec![Versioned::default(), Versioned { version: 1, state }]);
    assert_eq!(numbers(&lease_all(&*store, start()).await), vec![1]);
}

pub async fn a_repetition_by_the_same_receipt_changes_nothing(store: Opened) {
    settle_one(&store, message(1)).await;

    // Once in a later call, and twice in one call.
    assert_eq!(settle_one(&store, message(1)).await, Settled::Repeated);
    let twice = settle(&*store, vec![message(2), message(2)]).await;

    assert_eq!(twice, vec![Settled::Applied, Settled::Repeated]);
    let versions: Vec<u64> =
        senders(&*store, &[sender(1), sender(2)]).await.iter().map(|state| state.version).collect();
    assert_eq!(versions, vec![1, 1]);
    assert_eq!(numbers(&lease_all(&*store, start()).await), vec![1, 2]);
}

pub async fn another_receipt_with_the_claim_is_a_duplicate(store: Opened) {
    settle_one(&store, message(1)).await;
    let again = Transition { claims: vec![claim(1)], sender: sender(1), ..message(2) };

    let settled = settle(&*store, vec![again.clone(), again]).await;

    let first = receipt(1, start());
    assert_eq!(settled, vec![Settled::Duplicate { first }; 2]);
    assert_eq!(senders(&*store, &[sender(1)]).await[0].version, 1);
    assert_eq!(numbers(&lease_all(&*store, start()).await), vec![1]);
}

pub async fn a_receipt_may_hold_claims_of_several_messages(store: Opened) {
    let first = Transition { receipt: receipt(9, start()), ..message(1) };
    let second = Transition {
        receipt: receipt(9, start()),
        claims: vec![claim(1), claim(2)],
        sender: sender(1),
        expected: 1,
        ..message(2)
    };

    let settled = settle(&*store, vec![first, second]).await;

    assert_eq!(settled, vec![Settled::Applied; 2]);
    assert_eq!(numbers(&lease_all(&*store, start()).await), vec![1, 2]);
}

pub async fn one_foreign_claim_of_several_makes_a_duplicate(store: Opened) {
    settle_one(&store, message(1)).await;
    let both = Transition { claims: vec![claim(2), claim(1)], sender: sender(1), ..message(2) };

    assert_eq!(settle_one(&store, both).await, Settled::Duplicate { first: receipt(1, start()) });

    // The other claim was not taken.
    assert_eq!(settle_one(&store, message(2)).await, Settled::Applied);
}

pub async fn a_nonce_with_another_body_is_refused(store: Opened) {
    let nonce = |body: u8| Some(NonceClaim { key: claim(77), body: [body; 16], until: start() + days(1) });
    let at = |number, time| Transition { receipt: receipt(number, time), ..message(number) };

    let settled = [
        settle_one(&store, Transition { nonce: nonce(1), ..at(1, start()) }).await,
        settle_one(&store, Transition { nonce: nonce(1), ..at(2, start()) }).await,
        settle_one(&store, Transition { nonce: nonce(2), ..at(3, start()) }).await,
        settle_one(&store, Transition { nonce: nonce(2), ..at(4, start() + days(1)) }).await,
    ];

    assert_eq!(settled, [Settled::Applied, Settled::Applied, Settled::NonceReused, Settled::Applied]);
    assert_eq!(senders(&*store, &[sender(3)]).await, vec![Versioned::default()]);
}

pub async fn a_claim_is_forgotten_after_its_window_and_not_a_day_before(store: Opened) {
    settle_one(&store, message(1)).await;
    let later = |number, after| Transition {
        receipt: receipt(number, start() + after),
        claims: vec![claim(1)],
        claims_until: start() + after + days(30),
        sender: sender(1),
        expected: 1,
        ..message(number)
    };

    assert_eq!(settle_one(&store, later(2, days(29))).await, Settled::Duplicate { first: receipt(1, start()) });
    let just_before = days(30) - seconds(1);
    assert_eq!(settle_one(&store, later(3, just_before)).await, Settled::Duplicate { first: receipt(1, start()) });
    assert_eq!(settle_one(&store, later(4, days(30))).await, Settled::Applied);
    assert_eq!(
        settle_one(&store, later(5, days(31))).await,
        Settled::Duplicate { first: receipt(4, start() + days(30)) }
    );
}

pub async fn a_moved_on_sender_is_a_conflict(store: Opened) {
    settle_one(&store, message(1)).await;
    let stale = Transition { sender: sender(1), ..message(2) };

    assert_eq!(settle_one(&store, stale.clone()).await, Settled::Conflict);

    // Nothing was changed, so that the claim is free.
    assert_eq!(settle_one(&store, Transition { expected: 1, ..stale }).await, Settled::Applied);
    assert_eq!(numbers(&lease_all(&*store, start()).await), vec![1, 2]);
}

pub async fn messages_of_one_sender_in_one_call_build_on_each_other(store: Opened) {
    let of_one = |number, expected| Transition { sender: sender(1), expected, ..message(number) };

    let settled = settle(&*store, vec![of_one(1, 0), of_one(2, 1), of_one(3, 1), of_one(4, 2)]).await;

    assert_eq!(settled, vec![Settled::Applied, Settled::Applied, Settled::Conflict, Settled::Applied]);
    let state = senders(&*store, &[sender(1)]).await.remove(0);
    assert_eq!((state.version, state.state.value), (3, 4_u64.to_be_bytes().to_vec()));
}

pub async fn a_transition_without_a_state_leaves_the_version(store: Opened) {
    settle_one(&store, message(1)).await;

    let stateless = Transition { sender: sender(1), expected: 1, state: None, ..message(2) };
    assert_eq!(settle_one(&store, stateless).await, Settled::Applied);

    assert_eq!(senders(&*store, &[sender(1)]).await[0].version, 1);
}

pub async fn an_event_id_is_appended_once(store: Opened) {
    // A timer has no claim; its event id alone keeps it from entering twice.
    let timer = |expected| Transition {
        receipt: receipt(1, start()),
        claims: Vec::new(),
        expected,
        events: vec![QueuedEvent { queue: "triage".to_owned(), priority: 0, event: event(1, EventKind::Received) }],
        ..message(1)
    };

    let settled = settle(&*store, vec![timer(0), timer(1)]).await;
    let later = settle_one(&store, timer(2)).await;

    assert_eq!((settled, later), (vec![Settled::Applied; 2], Settled::Applied));
    assert_eq!(numbers(&lease_all(&*store, start()).await), vec![1]);
}

pub async fn a_taken_tracking_id_is_told(store: Opened) {
    settle_one(&store, Transition { record: Some(record(1)), ..message(1) }).await;
    let mut other = record(2);
    other.tracking_id = record(1).tracking_id;

    let taken = settle_one(&store, Transition { record: Some(other), ..message(2) }).await;
    assert_eq!(taken, Settled::TrackingIdTaken);

    assert_eq!(settle_one(&store, Transition { record: Some(record(2)), ..message(2) }).await, Settled::Applied);
}

pub async fn a_complaint_that_is_there_is_not_made_again_under_another_claim(store: Opened) {
    settle_one(&store, Transition { record: Some(record(1)), ..message(1) }).await;

    // The manifest was mended, and the same receipt is read to other words.
    let again = Transition { record: Some(record(1)), sender: sender(1), expected: 1, ..message(3) };

    assert_eq!(settle_one(&store, again).await, Settled::Repeated);
    assert_eq!(numbers(&lease_all(&*store, start()).await), vec![1]);
}

pub async fn senders_are_found_by_their_deadline(store: Opened) {
    let with_deadline = |number: u64, expected, after: Option<i64>| {
        let deadline = after.map(|after| start() + seconds(after));
        Transition {
            claims: Vec::new(),
            expected,
            state: Some(SenderState { value: Vec::new(), deadline }),
            events: Vec::new(),
            ..message(number)
        }
    };
    let transitions = vec![
        with_deadline(1, 0, Some(30)),
        with_deadline(2, 0, Some(10)),
        with_deadline(3, 0, None),
        with_deadline(4, 0, Some(20)),
    ];
    settle(&*store, transitions).await;
    let due = async |after, limit| store.due_senders(start() + seconds(after), limit).await.expect("read");

    assert_eq!(due(9, 10).await, vec![]);
    assert_eq!(due(10, 10).await, vec![sender(2)]);
    assert_eq!(due(60, 2).await, vec![sender(2), sender(4)]);

    // One is done, another is put off, and an earlier one comes.
    let transitions = vec![
        with_deadline(2, 1, None),
        with_deadline(4, 1, Some(90)),
        with_deadline(5, 0, Some(5)),
        with_deadline(1, 1, Some(30)),
    ];
    settle(&*store, transitions).await;

    assert_eq!(due(60, 10).await, vec![sender(5), sender(1)]);
    assert_eq!(due(90, 10).await, vec![sender(5), sender(1), sender(4)]);
}
