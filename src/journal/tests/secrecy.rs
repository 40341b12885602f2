//! Encryption and modes.

use std::os::unix::fs::PermissionsExt;

use super::*;

const CANARY: &str = "CANARY lampu jalan mati di Gang Melati 7";

fn with_key(place: &Place, byte: u8) -> JournalOptions {
    JournalOptions { key: Some(vec![byte; 32].into()), ..place.options() }
}

fn with_canary(number: u64, length: usize) -> Receipt {
    let body: Vec<u8> = CANARY.bytes().cycle().take(length).collect();
    let mut receipt = receipt(number, &body);
    receipt.request.target = format!("/in/sms-1708?text={CANARY}");
    receipt.request.headers.push(("x-canary".to_owned(), CANARY.into()));
    receipt
}

/// Does any file below the folder hold these bytes?
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).expect("it is there").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        fs::read(&path).expect("readable").windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn p6_nothing_readable_is_on_the_disk_with_a_key() {
    for (key, expected) in [(Some(vec![7; 32].into()), false), (None, true)] {
        let place = Place::new();
        let options = JournalOptions { key, ..place.options() };
        let (journal, mut tail) = Journal::open(options.clone()).expect("opens");
        append(&journal, with_canary(1, 60)).await.expect("appended");
        append(&journal, with_canary(2, 80_000)).await.expect("appended");
        let tickets: Vec<Ticket> = drain(&mut tail).await.iter().map(Journalled::ticket).collect();
        journal.quarantine(tickets[1], "no CANARY reason").await.expect("quarantined");
        drop((journal, tail));
        // Without a key it is found: the search works.
        assert_eq!(holds(&place.path(), b"CANARY"), expected);

        let (journal, mut tail) = Journal::open(options).expect("opens");
        assert_eq!(receipts(drain(&mut tail).await), [with_canary(1, 60), with_canary(2, 80_000)]);
        let list = journal.quarantined().await.expect("listed");
        assert_eq!(list[0].reason, "no CANARY reason");
        assert!(journal.replay(tickets[1].receipt).await.expect("replayed"));
        assert_eq!(receipts(drain(&mut tail).await), [with_canary(2, 80_000)]);
    }
}

#[tokio::test]
async fn a_wrong_key_or_none_is_an_error_and_no_damage() {
    let place = Place::new();
    let (journal, _tail) = Journal::open(with_key(&place, 1)).expect("opens");
    append_all(&journal, 1..=3).await;
    drop(journal);
    let error = Journal::open(with_key(&place, 2)).expect_err("another key").to_string();
    assert!(error.contains("another key"), "{error}");
    let error = Journal::open(place.options()).expect_err("no key").to_string();
    assert!(error.contains("journal.key is not set"), "{error}");
    let short = JournalOptions { key: Some(vec![1; 31].into()), ..place.options() };
    assert!(Journal::open(short).expect_err("short").to_string().contains("32 bytes"));

    let (journal, mut tail) = Journal::open(with_key(&place, 1)).expect("nothing was changed");
    assert_eq!(sequences(&rest(&journal, &mut tail).await), [1, 2, 3]);
}

#[tokio::test]
async fn a_plain_journal_goes_on_encrypted_when_a_key_is_set() {
    let place = Place::new();
    let (journal, _tail) = place.open();
    append_all(&journal, 1..=2).await;
    drop(journal);
    let (journal, mut tail) = Journal::open(with_key(&place, 1)).expect("opens");
    append(&journal, with_canary(3, 60)).await.expect("appended");
    assert_eq!(sequences(&rest(&journal, &mut tail).await), [1, 2, 3]);
    assert!(!holds(&place.path(), b"CANARY"));
}

#[tokio::test]
async fn an_encrypted_record_that_was_changed_is_not_believed() {
    let place = Place::new();
    let (journal, _tail) = Journal::open(with_key(&place, 1)).expect("opens");
    append_all(&journal, 1..=2).await;
    drop(journal);
    // A forger who mends the checksums needs the salt, which is there to read, and the key, which is not.
    let path = place.segments()[0].clone();
    let mut bytes = fs::read(&path).expect("readable");
    let header = super::super::frame::FileHeader::decode(&bytes).expect("a head");
    let master = super::super::seal::MasterKey::new(Some(vec![1; 32].into())).expect("32 bytes");
    let key = super::super::seal::FileKey::of(&header, &master).expect("the key");
    let mut frame = super::super::frame::Frame::read(&bytes[1024..], &key).expect("a record");
    let end = 1024 + frame.total() as usize;
    bytes[1024 + 64 + 9] ^= 1;
    frame.checksum = key.checksum(&bytes[1024 + 64..end]);
    frame.write(&mut bytes[1024..end], &key);
    fs::write(&path, bytes).expect("written");
    let (journal, mut tail) = Journal::open(with_key(&place, 1)).expect("opens");
    assert_eq!(sequences(&rest(&journal, &mut tail).await), [2]);
}

#[tokio::test]
async fn p6_files_are_for_us_alone_and_wider_modes_are_refused() {
    let place = Place::new();
    let (journal, mut tail) = place.open();
    append(&journal, receipt(1, &vec![1; 70_000])).await.expect("appended");
    let ticket = drain(&mut tail).await[0].ticket();
    journal.quarantine(ticket, "a reason").await.expect("quarantined");
    drop((journal, tail));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    for folder in [place.path(), place.path().join("bodies"), place.path().join("quarantine")] {
        assert_eq!(mode(&folder), 0o700);
        let files = files(&folder);
        assert!(!files.is_empty());
        assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    }

    for (path, wide, good) in [(place.path(), 0o750, 0o700), (place.segments()[0].clone(), 0o644, 0o600)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(wide)).expect("set");
        let error = Journal::open(place.options()).expect_err("others can read it").to_string();
        assert!(error.contains(&format!("chmod {good:o}")), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(good)).expect("set");
    }
    let _ = place.open();
}
