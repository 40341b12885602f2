//! What must not be lost waits in the quarantine, whoever replays it meanwhile.

use super::{super::quarantine, *};

/// A journal whose first receipts are quarantined.
async fn quarantined(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for number in numbers {
        let durable = append(journal, receipt(number, b"unreadable")).await.expect("appended");
        journal.quarantine(durable.ticket(), "no message").await.expect("quarantined");
        tickets.push(durable.ticket());
    }
    tickets
}

#[tokio::test]
async fn a_receipt_that_is_quarantined_again_while_it_is_replayed_stays() {
    let place = Place::new();
    let (journal, _tail) = place.open();
    let ticket = quarantined(&journal, 1..=1).await[0];
    let shared = &journal.0.shared;
    let seen = quarantine::get(shared, ticket.receipt).expect("readable").expect("there").seen;
    // Its copy was appended, and the pipeline was faster than the replay.
    journal.quarantine(ticket, "no message, once more").await.expect("quarantined");
    quarantine::release(shared, ticket.receipt, seen).expect("no error");
    let list = journal.quarantined().await.expect("listed");
    assert_eq!(list.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(), ["no message, once more"]);
    assert_eq!(journal.stats().quarantined, 1);

    assert!(journal.replay(ticket.receipt).await.expect("replayed"));
    assert!(journal.quarantined().await.expect("listed").is_empty());
    assert_eq!(journal.stats().quarantined, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replays_at_once_bring_a_receipt_back_once() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    let tickets = quarantined(&journal, 1..=10).await;
    for ticket in tickets {
        let (one, other) = tokio::join!(journal.replay(ticket.receipt), journal.replay(ticket.receipt));
        assert_eq!(u8::from(one.expect("no error")) + u8::from(other.expect("no error")), 1);
    }
    assert_eq!(sequences(&rest(&journal, &mut tail).await), (1..=20).collect::<Vec<_>>());
}
