//! The embedded store keeps the contract, and what a folder on a disk adds to it.

use std::{fs, path::Path};

use loket::store::{SenderState, Settled, Store, StoreError, Transition, embedded::EmbeddedStore};

use crate::store_contract::{
    LIMITS, Opened, answer, channel, complaint_id, contract, days, ids, lease_all, message, numbers, receipt, record,
    seconds, sender, senders, settle_messages, start,
};

async fn open_at(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(&folder.join("store"), LIMITS).await.expect("opened")
}

async fn open() -> Opened {
    let folder = tempfile::tempdir().expect("a folder");
    Opened::new(open_at(folder.path()).await, folder)
}

contract!(open);

/// What a crash leaves: the files as they are at this moment, while the store is still open.
fn crash(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    copy_folder(folder, copy.path());
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("a folder") {
        let file = file.expect("an entry");
        let target = to.join(file.file_name());
        if file.file_type().expect("a type").is_dir() {
            fs::create_dir_all(&target).expect("made");
            copy_folder(&file.path(), &target);
        } else {
            fs::copy(file.path(), &target).expect("copied");
        }
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(folder.path()).await;
    let deadline = Some(start() + seconds(5));
    let first = Transition {
        record: Some(record(1)),
        outbox: vec![answer("ack:1", start())],
        state: Some(SenderState { value: b"draft".to_vec(), deadline }),
        ..message(1)
    };
    store.settle(vec![first]).await.unwrap();
    settle_messages(&store, 2..=9).await;
    let leased = store.lease("triage", 5, seconds(60), start()).await.unwrap();
    store.ack("triage", &ids(&leased)[..1], start()).await.unwrap();
    store.nack("triage", &ids(&leased)[1..2], "busy", seconds(10), start()).await.unwrap();
    let before = store.queues(start()).await.unwrap();
    let key = store.constant("key", b"one").await.unwrap();
    drop(store);

    let store = open_at(folder.path()).await;

    assert_eq!(store.queues(start()).await.unwrap(), before);
    assert_eq!(store.constant("key", b"two").await.unwrap(), key);
    assert_eq!(senders(&store, &[sender(1)]).await[0].state.deadline, deadline);
    assert_eq!(store.due_senders(start() + seconds(5), 9).await.unwrap(), vec![sender(1)]);
    assert_eq!(store.complaint(complaint_id(1)).await.unwrap().unwrap().acked_at, Some(start()));
    assert_eq!(store.outbox_due(&channel(), 9, seconds(60), start()).await.unwrap().len(), 1);
    assert_eq!(store.settle(vec![message(1)]).await.unwrap(), vec![Settled::Repeated]);
    // The rest in its order, then what was returned, then what was leased before.
    assert_eq!(numbers(&lease_all(&store, start()).await), vec![6, 7, 8, 9]);
    let again = lease_all(&store, start() + seconds(10)).await;
    assert_eq!((numbers(&again), again[0].attempt), (vec![2], 2));
    assert_eq!(numbers(&store.lease("triage", 9, seconds(1), start() + seconds(60)).await.unwrap())[..3], [3, 4, 5]);
}

#[tokio::test]
async fn what_was_confirmed_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(folder.path()).await;
    settle_messages(&store, 1..=50).await;
    store.confirm().await.unwrap();
    let leased = ids(&store.lease("triage", 10, seconds(60), start()).await.unwrap());
    store.ack("triage", &leased, start()).await.unwrap();
    store.outbox_add(answer("a", start())).await.unwrap();

    let after = crash(folder.path());
    let store = open_at(after.path()).await;

    assert_eq!(numbers(&lease_all(&store, start()).await), (11..=50).collect::<Vec<_>>());
    assert!(store.outbox_entry(&channel(), "a").await.unwrap().is_some());
    let again = (1..=50).map(|number| Transition { receipt: receipt(99, start()), ..message(number) }).collect();
    let settled = store.settle(again).await.unwrap();
    assert!(settled.iter().all(|settled| matches!(settled, Settled::Duplicate { .. })));
}

#[tokio::test]
async fn a_torn_last_write_is_left_out_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(folder.path()).await;
    settle_messages(&store, 1..=20).await;
    store.confirm().await.unwrap();
    let journal = folder.path().join("store/0.jnl");
    let confirmed = written_length(&journal);
    settle_messages(&store, 21..=40).await;
    let whole = written_length(&journal);

    for torn in [confirmed + 1, confirmed + 40, confirmed + (whole - confirmed) / 2, whole - 1] {
        let after = crash(folder.path());
        let journal = after.path().join("store/0.jnl");
        let mut content = fs::read(&journal).unwrap();
        content[torn..].fill(0);
        fs::write(&journal, content).unwrap();

        let store = open_at(after.path()).await;
        assert_eq!(store.queues(start()).await.unwrap()[0].depth, 20, "torn at {torn} of {whole}");
        // The journal replays what was not confirmed.
        let again = store.settle((15..=40).map(message).collect()).await.unwrap();
        assert_eq!(again[..6], vec![Settled::Repeated; 6]);
        assert_eq!(again[6..], vec![Settled::Applied; 20]);
        assert_eq!(numbers(&lease_all(&store, start()).await), (1..=40).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_hole_in_the_last_write_is_left_out_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(folder.path()).await;
    settle_messages(&store, 1..=20).await;
    store.confirm().await.unwrap();
    let confirmed = written_length(&folder.path().join("store/0.jnl"));
    settle_messages(&store, 21..=80).await;

    // One page of the second write never reached the disk. It hits a value, or the engine would notice it itself.
    let mut mended = 0;
    for page in (confirmed.div_ceil(512)..).take(20) {
        let after = crash(folder.path());
        let journal = after.path().join("store/0.jnl");
        let mut content = fs::read(&journal).unwrap();
        content[page * 512..][..512].fill(0);
        fs::write(&journal, content).unwrap();

        let store = open_at(after.path()).await;
        assert_eq!(store.queues(start()).await.unwrap()[0].depth, 20, "a hole at {page}");
        settle_messages(&store, 15..=80).await;
        assert_eq!(numbers(&lease_all(&store, start()).await), (1..=80).collect::<Vec<_>>());
        mended += usize::from(after.path().join("store/0.torn").exists());
    }
    assert!(mended > 0, "no hole hit a value");
}

#[tokio::test]
async fn a_store_that_was_closed_has_nothing_to_replay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(folder.path()).await;
    settle_messages(&store, 1..=20).await;
    drop(store);
    assert_eq!(fs::metadata(folder.path().join("store/0.jnl")).unwrap().len(), 0);

    let store = open_at(folder.path()).await;
    settle_messages(&store, 21..=40).await;
    drop(store);

    let store = open_at(folder.path()).await;
    settle_messages(&store, 1..=50).await;
    assert_eq!(numbers(&lease_all(&store, start()).await), (1..=50).collect::<Vec<_>>());
}

/// A journal is as long as it may become; behind what was written it is zero.
fn written_length(journal: &Path) -> usize {
    let content = fs::read(journal).expect("a journal");
    content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test]
async fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(folder.path()).await;

    let second = EmbeddedStore::open(&folder.path().join("store"), LIMITS).await;

    assert!(matches!(&second, Err(StoreError::Broken(what)) if what.contains("another process")), "{second:?}");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_store_that_was_never_finished_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("store.new/keyspaces")).unwrap();
    fs::write(folder.path().join("store.new/0.jnl"), b"half").unwrap();
    fs::create_dir_all(folder.path().join("store")).unwrap();

    let store = open_at(folder.path()).await;

    settle_messages(&store, [1]).await;
    assert!(!folder.path().join("store.new").exists());
}

#[tokio::test]
async fn what_expired_is_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(folder.path()).await;
    store.outbox_add(answer("sent", start())).await.unwrap();
    let sent = loket::store::SendOutcome::Sent { external_id: Some("SM1".to_owned()) };
    store.outbox_tried(&channel(), "sent", sent, start()).await.unwrap();
    store.outbox_add(answer("dead", start())).await.unwrap();
    let dead = loket::store::SendOutcome::Dead { failure: "gone".to_owned() };
    store.outbox_tried(&channel(), "dead", dead, start()).await.unwrap();
    store.outbox_add(answer("waits", start() + days(60))).await.unwrap();
    store.due_senders(start() + days(29), 1).await.unwrap();
    assert!(store.outbox_entry(&channel(), "sent").await.unwrap().is_some());

    store.due_senders(start() + days(31), 1).await.unwrap();

    assert_eq!(store.outbox_entry(&channel(), "sent").await.unwrap(), None);
    assert_eq!(store.outbox_entry(&channel(), "dead").await.unwrap(), None);
    assert_eq!(store.outbox_dead(9).await.unwrap(), vec![]);
    assert!(store.outbox_entry(&channel(), "waits").await.unwrap().is_some());
}
