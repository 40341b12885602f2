//! The journal as a whole: what is appended comes out, whatever happens in between.

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;

use super::{
    Durable, Journal, JournalError, JournalOptions, Journalled, Tail, Ticket,
    samples::{BEGIN, receipt, verdict},
};
use crate::{
    receipt::Receipt,
    signature::Verified,
    units::{Size, Span},
};

mod damage;
mod quarantine;
mod room;
mod secrecy;

/// A folder that goes with the test.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("journal")
    }

    fn options(&self) -> JournalOptions {
        JournalOptions {
            folder: self.path(),
            max_bytes: Size::mib(8),
            retention: Span::from_secs(30 * 86_400),
            key: None,
        }
    }

    fn open(&self) -> (Journal, Tail) {
        Journal::open(self.options()).expect("it opens")
    }

    /// Segment files, oldest first.
    fn segments(&self) -> Vec<std::path::PathBuf> {
        let mut segments: Vec<_> = files(&self.path()).into_iter().filter(|path| path.extension().is_some()).collect();
        segments.sort();
        segments
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there");
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect()
}

async fn append(journal: &Journal, receipt: Receipt) -> Result<Durable, JournalError> {
    journal.append(Verified::for_tests(receipt, verdict())).await
}

async fn append_all(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        append(journal, receipt(number, format!("body {number}").as_bytes())).await.expect("appended");
    }
}

/// What the tail has now.
async fn drain(tail: &mut Tail) -> Vec<Journalled> {
    let mut all = Vec::new();
    while let Ok(more) = tokio::time::timeout(Duration::from_millis(50), tail.next(7)).await {
        match more.expect("readable") {
            Some(more) => all.extend(more),
            None => break,
        }
    }
    all
}

/// Everything up to the end of a journal that is closed.
async fn rest(journal: &Journal, tail: &mut Tail) -> Vec<Journalled> {
    journal.close().await;
    let mut all = Vec::new();
    while let Some(more) = tail.next(7).await.expect("readable") {
        all.extend(more);
    }
    all
}

fn sequences(receipts: &[Journalled]) -> Vec<u64> {
    receipts.iter().map(|journalled| journalled.ticket().sequence).collect()
}

fn receipts(journalled: Vec<Journalled>) -> Vec<Receipt> {
    journalled.into_iter().map(|journalled| journalled.into_parts().0).collect()
}

#[tokio::test]
async fn a_receipt_comes_out_as_it_went_in_and_in_order() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    append_all(&journal, 1..=20).await;
    let out = rest(&journal, &mut tail).await;
    assert_eq!(sequences(&out), (1..=20).collect::<Vec<_>>());
    assert!(out.iter().all(|journalled| *journalled.verdict() == verdict()));
    assert_eq!(
        receipts(out),
        (1..=20).map(|number| receipt(number, format!("body {number}").as_bytes())).collect::<Vec<_>>()
    );
    assert!(matches!(append(&journal, receipt(21, b"")).await, Err(JournalError::Failed(_))), "it is closed");
    assert!(tail.next(1).await.expect("readable").is_none(), "and stays closed");
}

#[tokio::test]
async fn what_is_not_settled_is_read_again_after_a_restart() {
    let place = Place::new();
    let (journal, tail) = place.open();
    append_all(&journal, 1..=10).await;
    journal.settled(4);
    assert_eq!(journal.stats().backlog, 6);
    drop((journal, tail));

    let (journal, mut tail) = place.open();
    assert_eq!(journal.stats().backlog, 6);
    append_all(&journal, 11..=12).await;
    assert_eq!(sequences(&rest(&journal, &mut tail).await), (5..=12).collect::<Vec<_>>());
    drop((journal, tail));

    let (journal, tail) = place.open();
    journal.settled(99);
    assert_eq!(journal.stats().backlog, 0, "nothing is settled before it is there");
    drop((journal, tail));
    let (journal, mut tail) = place.open();
    assert!(rest(&journal, &mut tail).await.is_empty());
}

#[tokio::test]
async fn what_is_settled_reaches_the_disk_without_another_receipt() {
    let place = Place::new();
    let (journal, tail) = place.open();
    append_all(&journal, 1..=3).await;
    journal.settled(3);
    let path = place.path().join("checkpoint");
    let mut seen = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen = super::checkpoint::Checkpoint::open(&path).expect("readable").settled;
        if seen == 3 {
            break;
        }
    }
    assert_eq!(seen, 3);
    drop((journal, tail));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_callers_share_syncs_and_lose_nothing() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..64 {
        let journal = journal.clone();
        tasks.spawn(async move {
            let mut last = 0;
            for turn in 0..20 {
                let durable = append(&journal, receipt(caller * 20 + turn + 1, &[b'x'; 1500])).await.expect("appended");
                assert!(durable.ticket().sequence > last, "a caller's receipts keep their order");
                last = durable.ticket().sequence;
            }
        });
    }
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(more) = tail.next(100).await.expect("readable") {
            all.extend(more);
        }
        all
    });
    tasks.join_all().await;
    journal.close().await;
    let out = reader.await.expect("it reads");
    assert_eq!(sequences(&out), (1..=1280).collect::<Vec<_>>());
    let mut ids: Vec<_> = out.iter().map(|journalled| journalled.receipt().id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=1280).map(|number| receipt(number, b"").id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_that_falls_behind_reads_from_the_disk_and_catches_up() {
    let place = Place::new();
    let (journal, mut tail) =
        Journal::open(JournalOptions { max_bytes: Size::mib(64), ..place.options() }).expect("opens");
    // Twelve megabytes: more than the memory that is set aside, and four segments.
    let body = vec![b'y'; 60 << 10];
    for number in 1..=200 {
        append(&journal, receipt(number, &body)).await.expect("appended");
    }
    let mut all = sequences(&tail.next(3).await.expect("readable").expect("open"));
    assert_eq!(all, [1, 2, 3]);
    append_all(&journal, 201..=202).await;
    for _ in 0..5 {
        // A call that is given up while it reads the disk loses nothing.
        if let Ok(some) = tokio::time::timeout(Duration::ZERO, tail.next(5)).await {
            all.extend(sequences(&some.expect("readable").expect("open")));
        }
    }
    all.extend(sequences(&rest(&journal, &mut tail).await));
    assert_eq!(all, (1..=202).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_tail_waits_for_the_next_receipt() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    let waiting = tokio::spawn(async move { tail.next(10).await.expect("readable").map(|some| sequences(&some)) });
    tokio::task::yield_now().await;
    append_all(&journal, 1..=1).await;
    assert_eq!(waiting.await.expect("it ends"), Some(vec![1]));
}

#[tokio::test]
async fn a_large_body_lies_in_a_file_of_its_own() {
    let place = Place::new();
    let (journal, tail) = place.open();
    let body: Vec<u8> = (0..200_000u32).map(|byte| byte as u8).collect();
    append(&journal, receipt(1, &body)).await.expect("appended");
    append(&journal, receipt(2, &body[..100])).await.expect("appended");
    assert!(journal.stats().bytes > 200_000);
    drop((journal, tail));
    let bodies = files(&place.path().join("bodies"));
    assert_eq!(bodies.len(), 1);
    assert!(fs::metadata(&place.segments()[0]).expect("there").len() < 4000);

    let (journal, mut tail) = place.open();
    assert_eq!(receipts(drain(&mut tail).await), [receipt(1, &body), receipt(2, &body[..100])]);
    drop((journal, tail));
    fs::remove_file(&bodies[0]).expect("gone");
    let (journal, mut tail) = place.open();
    assert_eq!(sequences(&rest(&journal, &mut tail).await), [2], "a receipt without its body is reported and passed");
}

#[tokio::test]
async fn a_quarantined_receipt_is_replayed_as_it_was() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    let large = vec![b'z'; 100_000];
    append_all(&journal, 1..=3).await;
    append(&journal, receipt(4, &large)).await.expect("appended");
    let tickets: Vec<Ticket> = drain(&mut tail).await.iter().map(Journalled::ticket).collect();
    journal.quarantine(tickets[3], "the mapping found no sender").await.expect("quarantined");
    journal.quarantine(tickets[1], "no message").await.expect("quarantined");
    journal.settled(4);
    let list = journal.quarantined().await.expect("listed");
    assert_eq!(list.iter().map(|it| it.receipt).collect::<Vec<_>>(), [tickets[1].receipt, tickets[3].receipt]);
    assert_eq!((list[1].size_bytes, list[1].reason.as_str()), (100_000, "the mapping found no sender"));
    assert_eq!(journal.stats().quarantined, 2);
    drop((journal, tail));

    let (journal, mut tail) = place.open();
    let id = receipt(4, &large).id;
    assert_eq!(journal.find(id).await.expect("found"), Some((receipt(4, &large), verdict())));
    assert!(journal.replay(id).await.expect("replayed"));
    assert!(!journal.replay(id).await.expect("no error"), "it is not in the quarantine any more");
    assert_eq!(journal.stats().quarantined, 1);
    let out = drain(&mut tail).await;
    assert_eq!(sequences(&out), [5]);
    assert_eq!(receipts(out), [receipt(4, &large)]);
    assert_eq!(files(&place.path().join("bodies")).len(), 2, "each record has a body of its own");
}

#[tokio::test]
async fn a_receipt_is_found_by_its_id_in_whatever_segment() {
    let place = Place::new();
    for numbers in [1..=5, 6..=10, 11..=15] {
        let (journal, _tail) = place.open();
        append_all(&journal, numbers).await;
    }
    let (journal, _tail) = place.open();
    assert_eq!(place.segments().len(), 3);
    for number in 1..=15 {
        let wanted = receipt(number, format!("body {number}").as_bytes());
        assert_eq!(journal.find(wanted.id).await.expect("no error"), Some((wanted, verdict())));
    }
    assert_eq!(journal.find(receipt(99, b"").id).await.expect("no error"), None);
}

#[tokio::test]
async fn settled_receipts_go_with_their_bodies_when_the_retention_ends() {
    let place = Place::new();
    let body = vec![1; 70_000];
    for number in 1..=2 {
        let (journal, _tail) = place.open();
        append(&journal, receipt(number, &body)).await.expect("appended");
    }
    let (journal, tail) = place.open();
    append(&journal, receipt(3, &body)).await.expect("appended");
    let month = Timestamp::from_second(BEGIN + 31 * 86_400).expect("in range");
    assert_eq!(journal.expire(month).expect("no error"), 0, "nothing is settled");
    journal.settled(1);
    let day = Timestamp::from_second(BEGIN + 86_400).expect("in range");
    assert_eq!(journal.expire(day).expect("no error"), 0, "nothing is old");
    let before = journal.stats().bytes;
    assert_eq!(journal.expire(month).expect("no error"), 1);
    assert!(journal.stats().bytes + 70_000 < before);
    assert_eq!(files(&place.path().join("bodies")).len(), 2);
    journal.settled(3);
    // The open segment is old: it is ended, and goes the next time.
    let mut gone = journal.expire(month).expect("no error");
    for _ in 0..200 {
        if place.segments().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        gone += journal.expire(month).expect("no error");
    }
    assert_eq!(gone, 2);
    assert!(files(&place.path().join("bodies")).is_empty());
    append_all(&journal, 4..=4).await;
    drop((journal, tail));
    let (journal, mut tail) = place.open();
    assert_eq!(sequences(&rest(&journal, &mut tail).await), [4], "the numbers go on");
}

#[tokio::test]
async fn a_body_without_a_record_is_cleared_away_and_one_with_a_record_is_kept() {
    let place = Place::new();
    let (journal, tail) = place.open();
    append(&journal, receipt(1, &vec![1; 70_000])).await.expect("appended");
    drop((journal, tail));
    let bodies = place.path().join("bodies");
    let body = files(&bodies).remove(0);
    let new = format!("{}.new", body.display());
    fs::rename(&body, &new).expect("as if the crash came before the renaming");
    fs::copy(&new, bodies.join(format!("{}-00000000000000ff.new", receipt(2, b"").id))).expect("an orphan");

    let (journal, mut tail) = place.open();
    assert_eq!(receipts(drain(&mut tail).await), [receipt(1, &vec![1; 70_000])], "it is found under either name");
    journal.expire(Timestamp::from_second(BEGIN).expect("in range")).expect("no error");
    assert_eq!(files(&bodies), [body]);
}

#[tokio::test]
async fn one_process_has_the_journal() {
    let place = Place::new();
    let (journal, tail) = place.open();
    let error = Journal::open(place.options()).expect_err("it is open");
    assert!(error.to_string().contains("in use by another gateway"), "{error}");
    drop((journal, tail));
    let _ = place.open();
}
