//! Queues and dead letters.

use loket::store::{Delivery, QueueStats, QueuedEvent, Settled, StoreError, Transition};

use super::{LIMITS, Opened, event, ids, lease_all, message, number, numbers, seconds, settle, settle_messages, start};

async fn lease(store: &Opened, max: usize, after: i64) -> Vec<Delivery> {
    store.lease("triage", max, seconds(60), start() + seconds(after)).await.expect("leased")
}

async fn stats(store: &Opened, after: i64) -> QueueStats {
    store.queues(start() + seconds(after)).await.expect("read").remove(0)
}

/// Leases and returns everything, with `attempts` deliveries behind it.
async fn wear_out(store: &Opened, attempts: u32) {
    for _ in 0..attempts {
        let deliveries = lease_all(&**store, start()).await;
        store.nack("triage", &ids(&deliveries), "no agency is in charge", seconds(0), start()).await.expect("returned");
    }
}

pub async fn events_are_leased_in_the_order_of_arrival(store: Opened) {
    settle_messages(&*store, [5, 3, 9]).await;
    settle_messages(&*store, [1, 7]).await;

    assert_eq!(numbers(&lease(&store, 2, 0).await), vec![5, 3]);
    assert_eq!(numbers(&lease(&store, 0, 0).await), Vec::<u64>::new());
    let rest = lease(&store, 100, 0).await;

    assert_eq!(numbers(&rest), vec![9, 1, 7]);
    assert!(rest.iter().all(|delivery| delivery.attempt == 1));
    assert_eq!(lease(&store, 100, 0).await, vec![]);
}

pub async fn a_lease_hides_until_it_runs_out(store: Opened) {
    settle_messages(&*store, [1, 2, 3]).await;
    let first = lease(&store, 2, 0).await;

    assert_eq!(numbers(&lease(&store, 100, 59).await), vec![3]);
    let again = lease(&store, 100, 60).await;

    assert_eq!(numbers(&again), vec![1, 2]);
    assert_eq!(ids(&again), ids(&first));
    assert!(again.iter().all(|delivery| delivery.attempt == 2));
    assert_eq!(again[0].event, first[0].event);
}

pub async fn an_extended_lease_hides_longer(store: Opened) {
    settle_messages(&*store, [1, 2]).await;
    let leased = ids(&lease(&store, 2, 0).await);

    let extended = store.extend("triage", &leased[..1], seconds(60), start() + seconds(30)).await.expect("extended");

    assert_eq!(extended, 1);
    assert_eq!(numbers(&lease(&store, 100, 60).await), vec![2]);
    assert_eq!(numbers(&lease(&store, 100, 90).await), vec![1]);
}

pub async fn an_acknowledged_event_never_comes_back(store: Opened) {
    settle_messages(&*store, [1, 2, 3]).await;
    let leased = ids(&lease(&store, 2, 0).await);

    assert_eq!(store.ack("triage", &leased, start()).await.expect("acknowledged"), 2);
    assert_eq!(store.ack("triage", &leased, start()).await.expect("acknowledged"), 0);

    assert_eq!(numbers(&lease(&store, 100, 3600).await), vec![3]);
}

pub async fn a_late_acknowledgement_counts_until_the_event_is_handed_out_again(store: Opened) {
    settle_messages(&*store, [1]).await;
    let leased = ids(&lease(&store, 1, 0).await);

    let late = start() + seconds(3600);
    store.queues(late).await.expect("read");
    assert_eq!(store.ack("triage", &leased, late).await.expect("acknowledged"), 1);

    assert_eq!(lease(&store, 100, 3600).await, vec![]);
}

pub async fn a_returned_event_comes_again_after_its_delay(store: Opened) {
    settle_messages(&*store, [1, 2]).await;
    let leased = ids(&lease(&store, 2, 0).await);

    let returned = store.nack("triage", &leased[..1], "busy", seconds(10), start()).await.expect("returned");

    assert_eq!(returned, 1);
    // It is not leased any more, so that it cannot be returned or acknowledged.
    assert_eq!(store.nack("triage", &leased[..1], "busy", seconds(0), start()).await.expect("returned"), 0);
    assert_eq!(store.ack("triage", &leased[..1], start()).await.expect("acknowledged"), 0);
    assert_eq!(lease(&store, 100, 9).await, vec![]);
    let again = lease(&store, 100, 10).await;
    assert_eq!((numbers(&again), again[0].attempt), (vec![1], 2));
}

pub async fn an_event_that_is_never_acknowledged_is_buried(store: Opened) {
    settle_messages(&*store, [1]).await;
    for delivery in 0..i64::from(LIMITS.max_attempts) {
        assert_eq!(numbers(&lease(&store, 1, delivery * 60).await), vec![1]);
    }

    let after = i64::from(LIMITS.max_attempts) * 60;
    assert_eq!(lease(&store, 1, after).await, vec![]);

    let dead = store.dead("triage", None, 10).await.expect("read");
    assert_eq!(dead.len(), 1);
    assert_eq!((number(&dead[0].event), dead[0].attempts), (1, LIMITS.max_attempts));
    assert_eq!(dead[0].dead_at, start() + seconds(after));
    assert!(dead[0].reason.contains("not acknowledged"), "{}", dead[0].reason);
    assert_eq!(lease(&store, 1, after + 3600).await, vec![]);
}

pub async fn an_event_that_is_returned_too_often_is_buried_with_its_reason(store: Opened) {
    settle_messages(&*store, [1]).await;
    wear_out(&store, LIMITS.max_attempts - 1).await;
    assert_eq!(store.dead("triage", None, 10).await.expect("read"), vec![]);

    wear_out(&store, 1).await;

    let dead = store.dead("triage", None, 10).await.expect("read");
    assert_eq!((dead.len(), dead[0].reason.as_str()), (1, "no agency is in charge"));
    assert_eq!(lease(&store, 1, 3600).await, vec![]);
}

pub async fn dead_letters_go_back_to_the_end_of_the_queue(store: Opened) {
    settle_messages(&*store, [1, 2, 3]).await;
    wear_out(&store, LIMITS.max_attempts).await;
    settle_messages(&*store, [4]).await;
    let dead = store.dead("triage", None, 10).await.expect("read");

    let one = store.requeue("triage", &[dead[1].delivery_id.clone()], start()).await.expect("requeued");
    assert_eq!((one, stats(&store, 0).await.dead), (1, 2));
    let others = store.requeue("triage", &[], start()).await.expect("requeued");

    assert_eq!((others, store.requeue("triage", &[], start()).await.expect("requeued")), (2, 0));
    let again = lease(&store, 100, 0).await;
    assert_eq!(numbers(&again), vec![4, 2, 1, 3]);
    assert!(again.iter().all(|delivery| delivery.attempt == 1));
    assert_eq!(store.dead("triage", None, 10).await.expect("read"), vec![]);
}

pub async fn dead_letters_are_shown_in_pages(store: Opened) {
    settle_messages(&*store, 1..=5).await;
    wear_out(&store, LIMITS.max_attempts).await;

    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.dead("triage", after.as_deref(), 2).await.expect("read");
        let Some(last) = page.last() else { break };
        after = Some(last.delivery_id.clone());
        seen.extend(page.iter().map(|letter| number(&letter.event)));
    }

    assert_eq!(seen, vec![1, 2, 3, 4, 5]);
}

pub async fn a_peek_shows_pages_without_leasing(store: Opened) {
    settle_messages(&*store, 1..=5).await;
    let leased = lease(&store, 2, 0).await;
    store.ack("triage", &ids(&leased)[..1], start()).await.expect("acknowledged");

    let first = store.peek("triage", None, 2).await.expect("read");
    let second = store.peek("triage", Some(&first[1].delivery_id), 10).await.expect("read");

    assert_eq!((numbers(&first), numbers(&second)), (vec![2, 3], vec![4, 5]));
    assert_eq!(first.iter().map(|delivery| delivery.attempt).collect::<Vec<_>>(), vec![1, 0]);
    let last = &second[1].delivery_id;
    assert_eq!(store.peek("triage", Some(last), 10).await.expect("read"), vec![]);
    assert_eq!(numbers(&lease(&store, 100, 0).await), vec![3, 4, 5]);
}

pub async fn a_queue_needs_a_proper_name(store: Opened) {
    let into = |queue: &str| {
        let event = event(1, loket::complaint::EventKind::Received);
        Transition { events: vec![QueuedEvent { queue: queue.to_owned(), priority: 0, event }], ..message(1) }
    };
    for bad in ["", "-a", "Dinas", "a_b", "a/b", "a\0b", &"a".repeat(64)] {
        let refused = store.settle(vec![into(bad)]).await;
        assert!(matches!(refused, Err(StoreError::Broken(_))), "{bad:?}");
    }
    assert_eq!(store.queues(start()).await.expect("read"), vec![]);

    let longest = "0".repeat(63);
    assert_eq!(settle(&*store, vec![into(&longest)]).await, vec![Settled::Applied]);
    assert_eq!(store.queues(start()).await.expect("read")[0].name, longest);
}

pub async fn an_unknown_queue_is_empty(store: Opened) {
    let none: [String; 1] = ["0".repeat(16)];

    assert_eq!(store.lease("nobody", 10, seconds(60), start()).await.expect("leased"), vec![]);
    assert_eq!(store.ack("nobody", &none, start()).await.expect("acknowledged"), 0);
    assert_eq!(store.peek("nobody", None, 10).await.expect("read"), vec![]);
    assert_eq!(store.dead("nobody", None, 10).await.expect("read"), vec![]);
    assert_eq!(store.requeue("nobody", &[], start()).await.expect("requeued"), 0);
    assert_eq!(store.queues(start()).await.expect("read"), vec![]);
}

pub async fn the_books_of_a_queue_are_kept(store: Opened) {
    let enqueued = |number| Transition { record: Some(super::record(number)), ..message(number) };
    settle(&*store, (1..=5).map(enqueued).collect()).await;
    let book = async |after| {
        let stats = stats(&store, after).await;
        (stats.depth, stats.in_flight, stats.dead, stats.oldest_seconds)
    };
    assert_eq!(book(7).await, (5, 0, 0, 7));

    let leased = ids(&lease(&store, 3, 10).await);
    assert_eq!(book(10).await, (2, 3, 0, 10));
    store.ack("triage", &leased[..1], start()).await.expect("acknowledged");
    store.nack("triage", &leased[1..2], "busy", seconds(30), start() + seconds(10)).await.expect("returned");
    assert_eq!(book(11).await, (3, 1, 0, 11));

    // The last lease runs out.
    assert_eq!(book(70).await, (4, 0, 0, 70));
    wear_out_all(&store).await;
    assert_eq!(book(2000).await, (0, 0, 4, 0));
    store.requeue("triage", &[], start() + seconds(2000)).await.expect("requeued");
    assert_eq!(book(2005).await, (4, 0, 0, 5));
}

/// Leases everything until all of it is dead.
async fn wear_out_all(store: &Opened) {
    for round in 0..=i64::from(LIMITS.max_attempts) {
        lease(store, 100, 100 + round * 60).await;
    }
}

pub async fn a_priority_changes_no_order(store: Opened) {
    let with_priority = |number, priority| {
        let mut message = message(number);
        message.events[0].priority = priority;
        message
    };
    settle(&*store, vec![with_priority(1, 0), with_priority(2, 9), with_priority(3, 5)]).await;

    assert_eq!(numbers(&lease_all(&*store, start()).await), vec![1, 2, 3]);
}

pub async fn nonsense_delivery_ids_change_nothing(store: Opened) {
    settle_messages(&*store, [1]).await;
    lease(&store, 1, 0).await;
    let nonsense: Vec<String> =
        ["", "0", "zzzzzzzzzzzzzzzz", "ffffffffffffffff", "+000000000000000", "1-0", &"é".repeat(8)]
            .iter()
            .map(|id| (*id).to_owned())
            .collect();

    assert_eq!(store.ack("triage", &nonsense, start()).await.expect("acknowledged"), 0);
    assert_eq!(store.nack("triage", &nonsense, "?", seconds(0), start()).await.expect("returned"), 0);
    assert_eq!(store.extend("triage", &nonsense, seconds(60), start()).await.expect("extended"), 0);
    assert_eq!(store.requeue("triage", &nonsense, start()).await.expect("requeued"), 0);
    assert_eq!(store.peek("triage", Some("no id"), 10).await.expect("read"), vec![]);
    assert_eq!(stats(&store, 0).await.in_flight, 1);
}
