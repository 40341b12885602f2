//! Limits and failures of the disk.

use std::sync::atomic::Ordering;

use super::*;

fn small(place: &Place) -> JournalOptions {
    JournalOptions { max_bytes: Size::kib(512), ..place.options() }
}

/// Appends until the journal refuses; how many it took.
async fn fill(journal: &Journal) -> u64 {
    for number in 1..=1000 {
        match append(journal, receipt(number, &[b'x'; 8000])).await {
            Ok(_) => {}
            Err(JournalError::Full(_)) => return number - 1,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it never refuses")
}

/// Tries until the pause after a refusal is over.
async fn append_soon(journal: &Journal, receipt: Receipt) -> u64 {
    for _ in 0..200 {
        match append(journal, receipt.clone()).await {
            Ok(durable) => return durable.ticket().sequence,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("it does not recover")
}

#[tokio::test]
async fn g7_a_full_journal_refuses_and_recovers_when_receipts_are_settled() {
    let place = Place::new();
    let (journal, mut tail) = Journal::open(small(&place)).expect("opens");
    let taken = fill(&journal).await;
    assert!(taken > 40, "{taken} receipts of 8 KB in 512 KiB");
    assert!(journal.stats().bytes <= 512 << 10);
    let error = append(&journal, receipt(1, &vec![1; 90_000])).await.expect_err("large ones are refused too");
    assert!(matches!(error, JournalError::Full(_)), "{error}");

    assert_eq!(sequences(&drain(&mut tail).await), (1..=taken).collect::<Vec<_>>());
    journal.settled(taken);
    // The evidence gives way, and nobody was told that it had been taken.
    assert_eq!(append_soon(&journal, receipt(2000, b"after")).await, taken + 1);
    assert_eq!(receipts(rest(&journal, &mut tail).await), [receipt(2000, b"after")]);
    assert_eq!(place.segments().len(), 8, "one segment gave way, not more");
}

#[tokio::test]
async fn what_was_refused_after_it_was_written_does_not_come_back() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    append_all(&journal, 1..=3).await;
    journal.0.shared.break_next.store(true, Ordering::Relaxed);
    let error = append(&journal, receipt(50, b"refused")).await.expect_err("the disk is full");
    assert!(matches!(error, JournalError::Full(_)), "{error}");
    let error = append(&journal, receipt(51, b"refused")).await.expect_err("still, and at once");
    assert!(matches!(error, JournalError::Full(_)), "{error}");

    assert_eq!(append_soon(&journal, receipt(4, b"body 4")).await, 4, "the number is given again");
    append_all(&journal, 5..=5).await;
    assert_eq!(sequences(&drain(&mut tail).await), [1, 2, 3, 4, 5]);
    drop((journal, tail));

    let (journal, mut tail) = place.open();
    let out = receipts(rest(&journal, &mut tail).await);
    assert_eq!(out, (1..=5).map(|number| receipt(number, format!("body {number}").as_bytes())).collect::<Vec<_>>());
    assert_eq!(journal.find(receipt(50, b"").id).await.expect("no error"), None);
}

#[tokio::test]
async fn a_large_body_that_is_refused_leaves_no_file() {
    let place = Place::new();
    let (journal, tail) = place.open();
    journal.0.shared.break_next.store(true, Ordering::Relaxed);
    let _ = append(&journal, receipt(1, &vec![1; 90_000])).await.expect_err("the disk is full");
    assert!(files(&place.path().join("bodies")).is_empty());
    assert!(journal.0.shared.in_flight().is_empty());
    assert_eq!(append_soon(&journal, receipt(2, &vec![1; 90_000])).await, 1);
    assert_eq!(files(&place.path().join("bodies")).len(), 1);
    drop(tail);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_of_a_large_body() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    append_all(&journal, 1..=1).await;
    let before = journal.stats().bytes;
    let bodies = place.path().join("bodies");
    // Nothing else is admitted: the caller waits with its body on the disk.
    let all = journal.0.shared.admit(usize::MAX).await.expect("open");
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { append(&journal, receipt(2, &vec![1; 90_000])).await }
    });
    while journal.stats().bytes == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(files(&bodies).len(), 1);
    // The body may not have reached its caller yet, or it has: both ways it goes.
    waiting.abort();
    assert!(waiting.await.expect_err("given up").is_cancelled());
    while !journal.0.shared.in_flight().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(files(&bodies).is_empty());
    assert_eq!(journal.stats().bytes, before);
    drop(all);
    append_all(&journal, 3..=3).await;
    assert_eq!(sequences(&rest(&journal, &mut tail).await), [1, 2]);
}

#[tokio::test]
async fn a_folder_that_is_away_for_a_while_is_found_again() {
    let place = Place::new();
    let (journal, mut tail) = Journal::open(small(&place)).expect("opens");
    let away = place.path().with_extension("away");
    fs::rename(place.path(), &away).expect("moved");
    let error = append(&journal, receipt(1, b"body 1")).await.expect_err("no segment can be made");
    assert!(matches!(error, JournalError::Failed(_)), "{error}");
    fs::rename(&away, place.path()).expect("moved back");
    assert_eq!(append_soon(&journal, receipt(1, b"body 1")).await, 1);
    assert_eq!(sequences(&rest(&journal, &mut tail).await), [1]);
}

#[tokio::test]
async fn old_evidence_does_not_slow_the_start() {
    let place = Place::new();
    let mut options = place.options();
    options.max_bytes = Size::mib(512);
    let (journal, tail) = Journal::open(options.clone()).expect("opens");
    append_all(&journal, 1..=10).await;
    journal.settled(10);
    drop((journal, tail));
    // A hundred segments of sixteen megabytes that nobody may read.
    let head = fs::read(&place.segments()[0]).expect("readable")[..1024].to_vec();
    let header = super::super::frame::FileHeader::decode(&head).expect("a head");
    fs::remove_file(&place.segments()[0]).expect("gone");
    for place_of in 0..100 {
        let header = super::super::frame::FileHeader { first: place_of + 1, ..header.clone() };
        let path = place.path().join(format!("{:020}.segment", place_of + 1));
        let file = super::super::folder::create(&path).expect("made");
        std::os::unix::fs::FileExt::write_all_at(&file, &header.encode(), 0).expect("written");
        std::os::unix::fs::FileExt::write_all_at(&file, b"not zero", (16 << 20) - 8).expect("written");
    }
    let begin = std::time::Instant::now();
    let (journal, tail) = Journal::open(options).expect("opens");
    let took = begin.elapsed();
    // One segment is read, not a hundred: the bound is generous for a slow machine and an unoptimised build.
    assert!(took < Duration::from_millis(1500), "{took:?}");
    drop((journal, tail));
}

#[tokio::test]
async fn g7_on_a_disk_that_is_smaller_than_the_limit_evidence_gives_way_and_nothing_else() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    let shared = &journal.0.shared;
    shared.folder.disk.store(1 << 20, Ordering::Relaxed);
    // Four times the disk, every fourth with a file for its body.
    for number in 1..=200 {
        let body = vec![b'x'; if number % 4 == 0 { 70_000 } else { 8000 }];
        let durable = append(&journal, receipt(number, &body)).await.expect("there is room");
        journal.settled(durable.ticket().sequence);
    }
    assert_eq!(sequences(&drain(&mut tail).await).last(), Some(&200));
    let floor = (1 << 20) / 16;
    assert!(shared.folder.lacking(0).expect("readable") == 0, "the floor of {floor} bytes is left");

    let taken = fill(&journal).await;
    assert!(taken > 40, "{taken} receipts of 8 KB on a disk of 1 MiB");
    let error = append(&journal, receipt(1, &vec![1; 90_000])).await.expect_err("large ones are refused too");
    assert!(matches!(error, JournalError::Full(_)), "{error}");
    let out = drain(&mut tail).await;
    assert_eq!(sequences(&out), (201..=200 + taken).collect::<Vec<_>>(), "what is not settled stays");
}
