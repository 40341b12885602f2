//! Complaint records, the vault, budgets, constants and leases.

use loket::{
    complaint::{EventKind, TrackingId},
    store::{QueuedEvent, StatusChange, Transition, VaultEntry},
};

use super::{
    Opened, complaint_id, days, event, ids, lease_all, message, record, seconds, sender, settle, start, tracking_id,
};

async fn settle_record(store: &Opened, number: u64) {
    settle(&**store, vec![Transition { record: Some(record(number)), ..message(number) }]).await;
}

pub async fn a_complaint_is_found_by_both_ids(store: Opened) {
    settle_record(&store, 1).await;
    settle_record(&store, 2).await;

    assert_eq!(store.complaint(complaint_id(1)).await.expect("read"), Some(record(1)));
    assert_eq!(store.complaint_by_tracking_id(&tracking_id(2)).await.expect("read"), Some(record(2)));
    let typed: TrackingId = tracking_id(2).as_str().to_lowercase().parse().expect("a tracking id");
    assert_eq!(store.complaint_by_tracking_id(&typed).await.expect("read"), Some(record(2)));
    assert_eq!(store.complaint(complaint_id(3)).await.expect("read"), None);
    assert_eq!(store.complaint_by_tracking_id(&tracking_id(3)).await.expect("read"), None);
}

pub async fn the_first_lease_and_the_acknowledgement_are_noted(store: Opened) {
    settle_record(&store, 1).await;
    let times = async || {
        let record = store.complaint(complaint_id(1)).await.expect("read").expect("known");
        (record.leased_at, record.acked_at)
    };
    assert_eq!(times().await, (None, None));

    lease_all(&*store, start() + seconds(1)).await;
    assert_eq!(times().await, (Some(start() + seconds(1)), None));
    let again = lease_all(&*store, start() + seconds(100)).await;
    assert_eq!(times().await, (Some(start() + seconds(1)), None));
    store.ack("triage", &ids(&again), start() + seconds(101)).await.expect("acknowledged");
    let both = (Some(start() + seconds(1)), Some(start() + seconds(101)));
    assert_eq!(times().await, both);

    // A follow-up of the complaint is no second complaint.
    let mut follow_up = event(1, EventKind::FollowUp);
    follow_up.id = "f".repeat(64);
    let events = vec![QueuedEvent { queue: "triage".to_owned(), priority: 0, event: follow_up }];
    settle(&*store, vec![Transition { sender: sender(1), expected: 1, events, ..message(2) }]).await;
    let leased = lease_all(&*store, start() + seconds(200)).await;
    store.ack("triage", &ids(&leased), start() + seconds(201)).await.expect("acknowledged");
    assert_eq!((leased.len(), times().await), (1, both));
}

pub async fn a_status_is_added_once_and_a_record_is_written_once(store: Opened) {
    settle_record(&store, 1).await;
    let change = |status: &str, after| StatusChange {
        status: status.to_owned(),
        note: Some("diteruskan".to_owned()),
        at: start() + seconds(after),
    };

    assert!(store.add_status(complaint_id(1), change("forwarded", 1)).await.expect("added"));
    // A repetition comes later.
    assert!(store.add_status(complaint_id(1), change("forwarded", 9)).await.expect("added"));
    assert!(store.add_status(complaint_id(1), change("done", 2)).await.expect("added"));
    assert!(!store.add_status(complaint_id(2), change("done", 2)).await.expect("refused"));
    let mut newer = record(1);
    newer.sequence = 1;
    let transition = Transition { record: Some(newer), sender: sender(1), expected: 1, ..message(2) };
    settle(&*store, vec![transition]).await;

    let record = store.complaint(complaint_id(1)).await.expect("read").expect("known");
    assert_eq!((record.sequence, record.status), (0, vec![change("forwarded", 1), change("done", 2)]));
}

pub async fn the_vault_gives_back_what_was_put(store: Opened) {
    let vault = |sealed: &[u8]| Some(VaultEntry { reporter_ref: "rp_1".to_owned(), sealed: sealed.to_vec() });
    settle(&*store, vec![Transition { vault: vault(b"\0sealed\xff"), ..message(1) }]).await;
    assert_eq!(store.vault("rp_1").await.expect("read").as_deref(), Some(b"\0sealed\xff".as_slice()));

    settle(&*store, vec![Transition { vault: vault(b"again"), ..message(2) }]).await;

    assert_eq!(store.vault("rp_1").await.expect("read").as_deref(), Some(b"again".as_slice()));
    assert_eq!(store.vault("rp_2").await.expect("read"), None);
}

pub async fn a_budget_is_spent_once_and_begins_again(store: Opened) {
    let spend = async |budget: &str, day: i64| {
        store.spend(budget, 2, start() + days(day + 1), start() + days(day)).await.expect("asked")
    };

    assert_eq!([spend("sms", 0).await, spend("sms", 0).await, spend("sms", 0).await], [true, true, false]);
    assert!(spend("mail", 0).await);
    assert!(spend("sms", 1).await);
    assert!(!store.spend("none", 0, start() + days(1), start()).await.expect("asked"));
}

pub async fn the_first_constant_stays(store: Opened) {
    assert_eq!(store.constant("reporter-key", b"one").await.expect("read"), b"one");
    assert_eq!(store.constant("reporter-key", b"two").await.expect("read"), b"one");
    assert_eq!(store.constant("other", b"").await.expect("read"), b"");
    assert_eq!(store.constant("other", b"three").await.expect("read"), b"");
}

pub async fn a_held_lease_excludes_others_until_it_ends(store: Opened) {
    let hold = async |owner: &str, after| {
        store.hold("poll:mail", owner, seconds(30), start() + seconds(after)).await.expect("asked")
    };

    assert!(hold("one", 0).await);
    assert!(!hold("two", 29).await);
    assert!(hold("one", 29).await);
    assert!(!hold("two", 58).await);
    assert!(hold("two", 59).await);
    assert!(!hold("one", 60).await);
    assert!(store.hold("poll:telegram", "one", seconds(30), start()).await.expect("asked"));
}

pub async fn a_store_that_is_there_answers_a_ping(store: Opened) {
    store.ping().await.expect("there");
    store.confirm().await.expect("nothing to confirm");
}

pub async fn a_cursor_is_what_was_set_last(store: Opened) {
    assert_eq!(store.cursor("mailbox:surat").await.expect("read"), None);
    store.set_cursor("mailbox:surat", b"1").await.expect("written");
    store.set_cursor("mailbox:surat", b"").await.expect("written");
    assert_eq!(store.cursor("mailbox:surat").await.expect("read").as_deref(), Some(b"".as_slice()));
    assert_eq!(store.cursor("mailbox:lain").await.expect("read"), None);
}
