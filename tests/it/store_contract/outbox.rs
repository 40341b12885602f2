//! Answers to citizens, and what providers report on them.

use loket::{
    message::DeliveryStatus,
    receipt::ChannelId,
    store::{OutboxEntry, Progress, SendOutcome, Transition},
};

use super::{Opened, answer, channel, message, seconds, settle, start};

async fn due(store: &Opened, after: i64) -> Vec<String> {
    let entries = store.outbox_due(&channel(), 100, seconds(60), start() + seconds(after)).await.expect("read");
    entries.into_iter().map(|entry| entry.id).collect()
}

async fn add(store: &Opened, id: &str, after: i64) {
    assert!(store.outbox_add(answer(id, start() + seconds(after))).await.expect("added"), "{id}");
}

async fn tried(store: &Opened, id: &str, outcome: SendOutcome, after: i64) -> OutboxEntry {
    store.outbox_tried(&channel(), id, outcome, start() + seconds(after)).await.expect("recorded");
    store.outbox_entry(&channel(), id).await.expect("read").expect("known")
}

fn sent(external_id: &str) -> SendOutcome {
    SendOutcome::Sent { external_id: Some(external_id.to_owned()) }
}

async fn report(store: &Opened, external_id: &str, status: DeliveryStatus, after: i64) -> bool {
    let error = (status == DeliveryStatus::Failed).then_some("30003");
    store.delivery_report(&channel(), external_id, status, error, start() + seconds(after)).await.expect("taken")
}

pub async fn answers_come_when_they_are_due_oldest_first(store: Opened) {
    add(&store, "b", 20).await;
    add(&store, "a", 10).await;
    add(&store, "c", 30).await;

    assert_eq!(due(&store, 9).await, Vec::<String>::new());
    let first = store.outbox_due(&channel(), 1, seconds(60), start() + seconds(20)).await.expect("read");
    assert_eq!(first, vec![answer("a", start() + seconds(10))]);
    assert_eq!(due(&store, 20).await, vec!["b"]);
    assert_eq!(due(&store, 30).await, vec!["c"]);
}

pub async fn an_answer_that_was_handed_out_is_hidden(store: Opened) {
    add(&store, "a", 0).await;

    assert_eq!(due(&store, 0).await, vec!["a"]);
    assert_eq!(due(&store, 59).await, Vec::<String>::new());
    // Whoever had it is gone.
    assert_eq!(due(&store, 60).await, vec!["a"]);
}

pub async fn an_answer_is_added_once(store: Opened) {
    add(&store, "a", 0).await;

    let again = OutboxEntry { text: "another text".to_owned(), ..answer("a", start()) };
    assert!(!store.outbox_add(again).await.expect("refused"));

    assert_eq!(store.outbox_entry(&channel(), "a").await.expect("read"), Some(answer("a", start())));
    assert_eq!(store.outbox_entry(&channel(), "b").await.expect("read"), None);
    tried(&store, "a", sent("SM1"), 0).await;
    assert!(!store.outbox_add(answer("a", start())).await.expect("refused"));
}

pub async fn an_answer_comes_with_its_transition(store: Opened) {
    let with_answer = |number| Transition { outbox: vec![answer("ack:1", start())], ..message(number) };

    settle(&*store, vec![with_answer(1), with_answer(1), with_answer(2)]).await;

    assert_eq!(due(&store, 0).await, vec!["ack:1"]);
}

pub async fn a_failed_try_is_repeated_later(store: Opened) {
    add(&store, "a", 0).await;
    due(&store, 0).await;
    let at = start() + seconds(30);

    let failure = "503 from the provider".to_owned();
    let outcome = SendOutcome::Retry { at, failure, unknown: false, progress: Progress::default() };
    let entry = tried(&store, "a", outcome, 1).await;

    assert_eq!((entry.attempts, entry.failure.as_deref()), (1, Some("503 from the provider")));
    assert_eq!(entry.due, at);
    assert_eq!(due(&store, 29).await, Vec::<String>::new());
    assert_eq!(due(&store, 30).await, vec!["a"]);

    let at = start() + seconds(120);
    let entry = tried(&store, "a", SendOutcome::Wait { at, failure: "our disk is full".to_owned() }, 31).await;
    assert_eq!((entry.attempts, entry.due), (1, at), "a failure of ours counts as no try");
    assert_eq!(due(&store, 119).await, Vec::<String>::new());
    assert_eq!(due(&store, 120).await, vec!["a"]);
}

pub async fn a_sent_answer_is_not_sent_again(store: Opened) {
    add(&store, "a", 0).await;
    due(&store, 0).await;

    let entry = tried(&store, "a", sent("SM1"), 1).await;

    assert_eq!((entry.attempts, entry.external_id.as_deref()), (1, Some("SM1")));
    assert_eq!((entry.status, entry.failure), (Some(DeliveryStatus::Sent), None));
    assert_eq!(due(&store, 3600).await, Vec::<String>::new());
}

pub async fn a_late_failure_does_not_unsend(store: Opened) {
    add(&store, "a", 0).await;
    tried(&store, "a", sent("SM1"), 1).await;

    let failure = "no answer".to_owned();
    let retry = SendOutcome::Retry { at: start(), failure, unknown: true, progress: Progress::default() };
    let entry = tried(&store, "a", retry, 2).await;
    let entry_after = tried(&store, "a", SendOutcome::Dead { failure: "no answer".to_owned() }, 3).await;

    assert_eq!((entry.external_id.as_deref(), entry.failure.as_deref()), (Some("SM1"), None));
    assert_eq!(entry_after, entry);
    assert_eq!(due(&store, 3600).await, Vec::<String>::new());
    assert_eq!(store.outbox_dead(10).await.expect("read"), vec![]);
    // A try for what nobody knows is no error.
    store.outbox_tried(&channel(), "unknown", sent("SM2"), start()).await.expect("ignored");
}

pub async fn a_hopeless_answer_is_kept_apart(store: Opened) {
    for (place, id) in ["a", "b", "c"].into_iter().enumerate() {
        add(&store, id, 0).await;
        tried(&store, id, SendOutcome::Dead { failure: "the number does not exist".to_owned() }, place as i64).await;
    }
    // A provider that had taken it after all.
    tried(&store, "b", sent("SM1"), 9).await;

    let dead = store.outbox_dead(10).await.expect("read");
    assert_eq!(dead.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), vec!["c", "a"]);
    assert_eq!(dead[0].failure.as_deref(), Some("the number does not exist"));
    assert_eq!(store.outbox_dead(1).await.expect("read").len(), 1);
    assert_eq!(due(&store, 3600).await, Vec::<String>::new());
}

pub async fn the_next_due_time_is_known(store: Opened) {
    let next = async || store.outbox_next(&channel()).await.expect("read");
    assert!(next().await.is_none_or(|at| at <= start()));
    add(&store, "b", 50).await;
    add(&store, "a", 10).await;
    assert!(next().await.expect("something waits") <= start() + seconds(10));

    due(&store, 20).await;
    assert!(next().await.expect("something waits") <= start() + seconds(50));
    tried(&store, "a", sent("SM1"), 20).await;
    add(&store, "c", 5).await;
    assert!(next().await.expect("something waits") <= start() + seconds(5));
    assert_eq!(due(&store, 5).await, vec!["c"]);
}

pub async fn a_delivery_report_never_steps_back(store: Opened) {
    add(&store, "a", 0).await;
    tried(&store, "a", sent("SM1"), 1).await;
    let status = async || store.outbox_entry(&channel(), "a").await.expect("read").expect("known").status;

    assert!(report(&store, "SM1", DeliveryStatus::Failed, 2).await);
    let failed = store.outbox_entry(&channel(), "a").await.expect("read").expect("known");
    assert_eq!((failed.status, failed.failure.as_deref()), (Some(DeliveryStatus::Failed), Some("30003")));
    assert!(report(&store, "SM1", DeliveryStatus::Sent, 2).await);
    assert_eq!(status().await, Some(DeliveryStatus::Failed));
    assert!(report(&store, "SM1", DeliveryStatus::Read, 3).await);
    assert!(report(&store, "SM1", DeliveryStatus::Delivered, 4).await);

    assert_eq!(status().await, Some(DeliveryStatus::Read));
    assert_eq!(due(&store, 3600).await, Vec::<String>::new());
}

pub async fn a_report_before_the_answer_waits_for_it(store: Opened) {
    add(&store, "a", 0).await;

    assert!(!report(&store, "SM1", DeliveryStatus::Delivered, 1).await);
    assert!(!report(&store, "SM1", DeliveryStatus::Queued, 2).await);
    let entry = tried(&store, "a", sent("SM1"), 3).await;

    assert_eq!(entry.status, Some(DeliveryStatus::Delivered));
    // It is joined once: the place is free.
    add(&store, "b", 0).await;
    assert_eq!(tried(&store, "b", sent("SM2"), 4).await.status, Some(DeliveryStatus::Sent));
}

pub async fn a_parked_report_is_forgotten_after_ten_minutes(store: Opened) {
    for id in ["early", "late"] {
        add(&store, id, 0).await;
        assert!(!report(&store, id, DeliveryStatus::Failed, 0).await);
    }

    assert_eq!(tried(&store, "early", sent("early"), 599).await.status, Some(DeliveryStatus::Failed));
    assert_eq!(tried(&store, "late", sent("late"), 600).await.status, Some(DeliveryStatus::Sent));
}

pub async fn reports_of_one_channel_do_not_touch_another(store: Opened) {
    add(&store, "a", 0).await;
    tried(&store, "a", sent("1"), 1).await;
    let other = ChannelId::new("sms").expect("a channel id");

    let joined = store.delivery_report(&other, "1", DeliveryStatus::Failed, None, start()).await.expect("taken");

    assert!(!joined);
    let entry = store.outbox_entry(&channel(), "a").await.expect("read").expect("known");
    assert_eq!(entry.status, Some(DeliveryStatus::Sent));
    assert_eq!(store.outbox_due(&other, 10, seconds(60), start()).await.expect("read"), vec![]);
}

pub async fn a_foreign_id_of_any_length_is_taken(store: Opened) {
    let long = "9".repeat(100_000);
    assert!(!report(&store, &long, DeliveryStatus::Delivered, 0).await);
    assert!(!report(&store, "", DeliveryStatus::Delivered, 0).await);
    add(&store, "a", 0).await;

    assert_eq!(tried(&store, "a", sent(&long), 1).await.status, Some(DeliveryStatus::Delivered));
    assert!(report(&store, &long, DeliveryStatus::Read, 2).await);
}
