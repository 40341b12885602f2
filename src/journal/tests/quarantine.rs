//! What must not be lost waits in the quarantine, whoever replays it meanwhile.

use std::sync::atomic::Ordering;

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

/// Makes a quarantined receipt look as old as that.
fn set_age(place: &Place, ticket: Ticket, seconds: i64) {
    let path = place.path().join("quarantine").join(ticket.receipt.to_string());
    let file = fs::OpenOptions::new().write(true).open(path).expect("there");
    file.set_modified(Timestamp::from_second(BEGIN - seconds).expect("in range").into()).expect("set");
}

#[tokio::test]
async fn the_quarantine_forgets_after_the_retention_and_not_before() {
    let place = Place::new();
    let (journal, _tail) = place.open();
    let tickets = quarantined(&journal, 1..=3).await;
    let day = 86_400;
    for (ticket, days) in tickets.iter().zip([31, 29, 40]) {
        set_age(&place, *ticket, days * day);
    }
    let now = Timestamp::from_second(BEGIN).expect("in range");
    assert_eq!(journal.expire(now).expect("no error"), 2);
    let left = journal.quarantined().await.expect("listed");
    assert_eq!(left.iter().map(|one| one.receipt).collect::<Vec<_>>(), [tickets[1].receipt]);
    assert_eq!(journal.stats().quarantined, 1);
    assert_eq!(journal.quarantined_one(tickets[1].receipt).await.expect("no error"), left.first().cloned());
    assert_eq!(journal.quarantined_one(tickets[0].receipt).await.expect("no error"), None);
    assert_eq!(journal.expire(now).expect("no error"), 0);
}

#[tokio::test]
async fn a_full_quarantine_takes_more_and_nothing_from_the_journal() {
    let place = Place::new();
    let options = JournalOptions { max_bytes: Size::kib(512), ..place.options() };
    let (journal, tail) = Journal::open(options.clone()).expect("opens");
    let body = [b'x'; 8000];
    // Twice the limit, eight times the budget.
    for number in 1..=128 {
        let ticket = append(&journal, receipt(number, &body)).await.expect("appended").ticket();
        journal.quarantine(ticket, "no message").await.expect("quarantined");
        journal.settled(ticket.sequence);
    }
    let shared = &journal.0.shared;
    assert!(shared.quarantine().is_some(), "it was said that the quarantine is over its budget");
    assert_eq!(journal.quarantined().await.expect("listed").len(), 128);
    assert_eq!(journal.stats().quarantined, 128);
    let bytes = shared.quarantined_bytes.load(Ordering::Relaxed);
    assert!(bytes > 1 << 20, "{bytes}");
    assert!(journal.stats().bytes <= bytes + (512 << 10));

    let _ = quarantined(&journal, 1..=1).await;
    assert!(shared.quarantined_bytes.load(Ordering::Relaxed) < bytes, "a shorter file took the place of a longer one");
    let counted = journal.stats().quarantined;
    journal.close().await;
    drop((journal, tail));
    let (journal, _tail) = Journal::open(options).expect("opens");
    // The writer measures before it writes.
    append_all(&journal, 200..=200).await;
    assert_eq!(journal.stats().quarantined, counted);
}

#[tokio::test]
async fn a_receipt_that_is_damaged_on_the_disk_is_quarantined_from_memory_or_given_up() {
    let place = Place::new();
    for key in [None, Some(vec![7; 32].into())] {
        let options = JournalOptions { key, ..place.options() };
        let (journal, mut tail) = Journal::open(options.clone()).expect("opens");
        let (large, small) = (receipt(1, &vec![1; 70_000]), receipt(2, b"small"));
        append(&journal, large.clone()).await.expect("appended");
        append(&journal, small.clone()).await.expect("appended");
        // The pipeline has them from memory; then the disk loses both.
        let tickets: Vec<Ticket> = drain(&mut tail).await.iter().map(Journalled::ticket).collect();
        for body in files(&place.path().join("bodies")) {
            fs::remove_file(body).expect("gone");
        }
        let segment = place.segments().pop().expect("there");
        let length = fs::metadata(&segment).expect("there").len() as usize;
        let file = fs::OpenOptions::new().write(true).open(&segment).expect("there");
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xEE; length - 1024], 1024).expect("overwritten");
        for (ticket, receipt) in tickets.iter().zip([large, small]) {
            journal.quarantine(*ticket, "no message").await.expect("quarantined");
            assert_eq!(journal.find(receipt.id).await.expect("no error"), Some((receipt, verdict())));
        }
        journal.settled(tickets[1].sequence);
        drop((journal, tail));

        let (journal, tail) = Journal::open(options).expect("opens");
        let error = journal.quarantine(tickets[1], "no message").await.expect_err("nobody has it");
        assert!(matches!(error, JournalError::Gone(_)), "{error}");
        drop((journal, tail));
    }
}
