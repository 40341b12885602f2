//! The Redis store keeps the contract on every deployment, and what servers add to it.

use std::time::Duration;

use loket::{
    complaint::EventKind,
    store::{
        Opening, QueuedEvent, Settled, Store, StoreError, Transition, Turn, VaultEntry,
        redis::{RedisOptions, RedisStore, deployment::Credentials, link::Access},
    },
};

use crate::{
    redis_servers::{self, Cluster, Reply, Sentinel, Server},
    store_contract::{
        LIMITS, Opened, answer, channel, complaint_id, contract, contract_in_turn, days, event, ids, lease_all,
        message, numbers, receipt, record, seconds, sender, settle, settle_messages, start,
    },
};

const STREAM: &str = "loket:{q:triage}:events";

fn options(url: &str) -> RedisOptions {
    let access = Access {
        deployment: url.parse().expect("a deployment"),
        sentinel: Credentials::default(),
        certificates: None,
        response_timeout: Duration::from_secs(5),
        replicas: None,
    };
    RedisOptions { access, limits: LIMITS, window: days(30), waits_for_disk: false, gateway: [1; 8] }
}

fn store(url: &str) -> RedisStore {
    RedisStore::new(options(url))
}

async fn open() -> Opened {
    let server = Server::start(&[]).await;
    Opened::new(store(&server.url()), server)
}

contract!(open);

async fn flush(nodes: &[Server]) {
    for node in nodes {
        node.command(&["FLUSHALL"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel_keeps_the_contract() {
    let sentinel = Sentinel::start().await;
    let open = async || {
        flush(&sentinel.nodes).await;
        Opened::new(store(&sentinel.url()), ())
    };
    contract_in_turn!(open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_the_contract() {
    let cluster = Cluster::start().await;
    let open = async || {
        flush(&cluster.nodes).await;
        Opened::new(store(&cluster.url()), ())
    };
    contract_in_turn!(open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_keeps_the_contract() {
    if !redis_servers::valkey() {
        eprintln!("skipped: valkey-server is not installed");
        return;
    }
    let server = Server::start_valkey(&[]).await;
    let open = async || {
        server.command(&["FLUSHALL"]).await;
        Opened::new(store(&server.url()), ())
    };
    contract_in_turn!(open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_replicas_keeps_the_contract() {
    let cluster = Cluster::with_replicas().await;
    let open = async || {
        for node in &cluster.nodes {
            // A replica refuses, and follows its master.
            node.command(&["FLUSHALL"]).await;
        }
        Opened::new(store(&cluster.url()), ())
    };
    contract_in_turn!(open());
}

#[tokio::test]
async fn an_entry_is_a_cloud_event_in_binary_mode() {
    let server = Server::start(&[]).await;
    let store = store(&server.url());
    settle(&store, vec![Transition { record: Some(record(1)), ..message(1) }]).await;

    let entries = server.command(&["XRANGE", STREAM, "-", "+"]).await;

    let fields = &entries.items()[0].items()[1];
    let names: Vec<&str> = fields.items().iter().step_by(2).map(Reply::text).collect();
    let expected = [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_datacontenttype",
        "ce_dataschema",
        "ce_partitionkey",
        "ce_sensitivity",
        "priority",
        "enqueued_at",
        "data",
    ];
    assert_eq!(names, expected);
    let made = event(1, EventKind::Received);
    let value =
        |name: &str| fields.items()[names.iter().position(|other| *other == name).expect("a field") * 2 + 1].text();
    assert_eq!((value("ce_id"), value("ce_type")), (made.id.as_str(), "id.loket.complaint.received.v1"));
    assert_eq!((value("ce_subject"), value("data")), (made.subject.to_string().as_str(), made.data.get()));
    // The group is made with the stream, and nothing in it was read.
    let groups = server.command(&["XINFO", "GROUPS", STREAM]).await;
    assert_eq!(groups.items()[0].items()[1].text(), "core");
}

#[tokio::test]
async fn what_a_gateway_left_undone_is_finished_by_another_and_only_once() {
    let server = Server::start(&[]).await;
    let (one, other) = (store(&server.url()), store(&server.url()));
    // The queue cannot be written to, so that step 1 is done and step 2 is not.
    server.command(&["SET", STREAM, "not a stream"]).await;
    let broken_off = one.settle(vec![message(1), message(2)]).await;
    assert!(matches!(broken_off, Err(StoreError::Away(_))), "{broken_off:?}");
    server.command(&["DEL", STREAM]).await;

    other.tend(start() + seconds(30), start()).await.expect("tended");
    assert_eq!(server.command(&["EXISTS", STREAM]).await, Reply::Number(0), "it may still be at work");
    other.tend(start() + seconds(90), start()).await.expect("tended");
    other.tend(start() + seconds(99), start()).await.expect("tended");

    assert_eq!(numbers(&lease_all(&other, start()).await).len(), 2);
    // The gateway that began it comes back.
    assert_eq!(settle(&one, vec![message(1), message(2)]).await, vec![Settled::Repeated; 2]);
    assert_eq!(lease_all(&other, start()).await, vec![]);
    other.due_senders(start(), 1).await.expect("struck out");
    other.tend(start() + seconds(200), start()).await.expect("tended");
    for partition in 0..64 {
        let left = server.command(&["EXISTS", &format!("loket:{{s:{partition}}}:pending")]).await;
        assert_eq!(left, Reply::Number(0));
    }
}

#[tokio::test]
async fn an_event_enters_a_queue_once_whatever_sender_it_came_from() {
    let server = Server::start(&[]).await;
    let store = store(&server.url());
    settle_messages(&store, [1]).await;
    // The same event again: a mended manifest reads another sender out of the same message.
    let events = vec![QueuedEvent { queue: "triage".to_owned(), priority: 0, event: event(1, EventKind::Received) }];

    settle(&store, vec![Transition { events, ..message(2) }]).await;

    assert_eq!(numbers(&lease_all(&store, start()).await), vec![1]);
}

#[tokio::test]
async fn nothing_is_trimmed_that_a_group_has_not_acknowledged() {
    let server = Server::start(&[]).await;
    let store = store(&server.url());
    settle_messages(&store, 1..=500).await;
    let length = async || match server.command(&["XLEN", STREAM]).await {
        Reply::Number(length) => length,
        other => panic!("{other:?}"),
    };
    // Everything that exists is past its retention.
    let tend = async || store.tend(start(), "2100-01-01T00:00:00Z".parse().expect("a time")).await.expect("tended");
    server.command(&["XGROUP", "CREATE", STREAM, "archive", "0"]).await;

    tend().await;
    assert_eq!(length().await, 500, "nobody has read anything");
    let leased = ids(&lease_all(&store, start()).await);
    store.ack("triage", &leased, start()).await.expect("acknowledged");
    tend().await;
    assert_eq!(length().await, 500, "the archive has read nothing");
    let read = ["XREADGROUP", "GROUP", "archive", "a", "COUNT", "500", "STREAMS", STREAM, ">"];
    server.command(&read).await;
    tend().await;
    assert_eq!(length().await, 500, "the archive has acknowledged nothing");
    let acknowledge: Vec<&str> =
        ["XACK", STREAM, "archive"].into_iter().chain(leased.iter().map(String::as_str)).collect();
    server.command(&acknowledge).await;
    tend().await;

    assert!(length().await < 200, "{}", length().await);
    settle_messages(&store, [501]).await;
    assert_eq!(numbers(&lease_all(&store, start()).await), vec![501]);
    let stats = store.queues(start()).await.expect("read").remove(0);
    assert_eq!((stats.depth, stats.in_flight), (0, 1));
}

#[tokio::test]
async fn what_is_kept_by_retention_is_not_trimmed() {
    let server = Server::start(&[]).await;
    let store = store(&server.url());
    settle_messages(&store, 1..=300).await;
    let leased = ids(&lease_all(&store, start()).await);
    store.ack("triage", &leased, start()).await.expect("acknowledged");

    store.tend(start(), start() - days(7)).await.expect("tended");

    assert_eq!(server.command(&["XLEN", STREAM]).await, Reply::Number(300));
}

#[tokio::test]
async fn http_and_native_consumers_share_the_group() {
    let server = Server::start(&[]).await;
    let store = store(&server.url());
    settle_messages(&store, 1..=4).await;

    let over_http = lease_all_but(&store, 2).await;
    let natively = server.command(&["XREADGROUP", "GROUP", "core", "me", "COUNT", "1", "STREAMS", STREAM, ">"]).await;
    let native = natively.items()[0].items()[1].items()[0].items()[0].text().to_owned();

    // Each sees its own, and the books know of both.
    let stats = store.queues(start()).await.expect("read").remove(0);
    assert_eq!((stats.depth, stats.in_flight), (1, 3));
    assert!(!over_http.contains(&native));
    assert_eq!(store.ack("triage", std::slice::from_ref(&native), start()).await.expect("asked"), 0);
    // A native consumer takes over what the HTTP consumer left, and the lease is void.
    let claimed = server.command(&["XCLAIM", STREAM, "core", "me", "0", &over_http[0], "JUSTID"]).await;
    assert_eq!(claimed.items().len(), 1);
    let again = store.lease("triage", 9, seconds(60), start() + seconds(3600)).await.expect("leased");
    assert_eq!(numbers(&again), vec![2, 4]);
    let both = ["XACK", STREAM, "core", &native, &over_http[0]];
    assert_eq!(server.command(&both).await, Reply::Number(2));
    assert_eq!(store.ack("triage", &ids(&again), start()).await.expect("acknowledged"), 2);
    let stats = store.queues(start()).await.expect("read").remove(0);
    assert_eq!((stats.depth, stats.in_flight), (0, 0));
}

async fn lease_all_but(store: &RedisStore, max: usize) -> Vec<String> {
    ids(&store.lease("triage", max, seconds(60), start()).await.expect("leased"))
}

#[tokio::test]
async fn what_a_native_consumer_abandoned_comes_out_over_http() {
    let server = Server::start(&[]).await;
    let store = store(&server.url());
    settle_messages(&store, [1, 2]).await;
    server.command(&["XREADGROUP", "GROUP", "core", "me", "COUNT", "2", "STREAMS", STREAM, ">"]).await;
    let entries = server.command(&["XRANGE", STREAM, "-", "+"]).await;
    let first = entries.items()[0].items()[0].text().to_owned();
    // One of them for longer than a native consumer may take.
    server.command(&["XCLAIM", STREAM, "core", "me", "0", &first, "IDLE", "1000000", "JUSTID"]).await;

    store.tend(start(), start() - days(7)).await.expect("tended");

    let leased = lease_all(&store, start()).await;
    assert_eq!((numbers(&leased), leased[0].attempt), (vec![1], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_counts_when_a_replica_has_confirmed_it() {
    let mut sentinel = Sentinel::start().await;
    let store = store(&sentinel.url());
    settle_messages(&store, [1]).await;
    let replica = 1 - sentinel.master().await;
    sentinel.nodes[replica].kill();

    let alone = store.settle(vec![message(2)]).await;
    assert!(matches!(&alone, Err(StoreError::Away(why)) if why.contains("replicas")), "{alone:?}");
    sentinel.nodes[replica].restart().await;
    sentinel.wait_in_step().await;

    let again = Transition { receipt: receipt(2, start()), ..message(2) };
    assert_eq!(settle(&store, vec![again]).await, vec![Settled::Repeated]);
    assert_eq!(numbers(&lease_all(&store, start()).await), vec![1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_a_cluster_that_was_lost_is_waited_for() {
    let mut cluster = Cluster::start().await;
    let store = store(&cluster.url());
    settle_messages(&store, 1..=50).await;
    cluster.nodes[1].kill();
    let without = store.settle((51..=100).map(message).collect()).await;
    assert!(matches!(without, Err(StoreError::Away(_))), "{without:?}");

    cluster.nodes[1].restart().await;
    cluster.wait_ok().await;

    let settled = crate::harness::until("the cluster takes writes again", async || {
        store.settle((1..=100).map(message).collect()).await.ok()
    })
    .await;
    assert!(settled.iter().all(|settled| matches!(settled, Settled::Applied | Settled::Repeated)), "{settled:?}");
    let mut found = numbers(&lease_all(&store, start()).await);
    found.sort_unstable();
    assert_eq!(found, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_takes_three_round_trips_alone_and_with_a_hundred_others() {
    let server = Server::start(&[]).await;
    let store = store(&server.url());
    // What is asked once: the connection's scripts, the longest window, the names of queue and channel.
    store.line_up(&[], start()).await.expect("alone");
    let whole = |number| Transition { record: Some(record(number)), ..message(number) };
    settle(&store, vec![whole(1)]).await;

    for numbers in [2..=2, 3..=102] {
        let before = store.round_trips();
        let transitions: Vec<Transition> = numbers.map(whole).collect();
        let turn = Turn { sender: sender(1), receipt: receipt(1, start()), place: 0, arrived_at: start() };
        store.line_up(&[turn], start()).await.expect("alone");
        let signs = store.round_trips() - before;
        settle(&store, transitions).await;
        assert_eq!((signs, store.round_trips() - before - signs), (0, 3));
    }
}

#[tokio::test]
async fn with_a_server_that_can_be_asked_a_step_waits_for_its_disk() {
    if !redis_servers::valkey() {
        eprintln!("skipped: valkey-server is not installed, and this Redis may not know WAITAOF");
        return;
    }
    let server = Server::start_valkey(&[]).await;
    let store = RedisStore::new(RedisOptions { waits_for_disk: true, ..options(&server.url()) });
    settle_messages(&store, [1]).await;
    let asked = server.command(&["INFO", "commandstats"]).await;
    assert!(asked.text().contains("cmdstat_waitaof"), "{}", asked.text());

    // A server that leaves the disk to the kernel confirms nothing in time.
    server.command(&["CONFIG", "SET", "appendfsync", "no"]).await;
    let unconfirmed = store.settle(vec![message(2)]).await;
    assert!(matches!(&unconfirmed, Err(StoreError::Away(why)) if why.contains("disk")), "{unconfirmed:?}");

    server.command(&["CONFIG", "SET", "appendfsync", "always"]).await;
    assert_eq!(settle(&store, vec![message(2)]).await, vec![Settled::Repeated]);
    assert_eq!(numbers(&lease_all(&store, start()).await), vec![1, 2]);
}

/// What a message of complaint `number` asks that wants the tracking id of complaint 1.
fn wants_the_first_id(number: u64) -> Opening {
    let draw = Some((record(1).tracking_id, complaint_id(number)));
    Opening { receipt: receipt(number, start()), sender: sender(number), nonce: None, draw }
}

/// A message that reserved an id and became no complaint.
fn no_complaint(number: u64) -> Transition {
    let reserved = Some((record(number).tracking_id, complaint_id(number)));
    Transition { reserved, events: Vec::new(), ..message(number) }
}

#[tokio::test]
async fn a_tracking_id_that_named_nothing_is_given_back_though_the_server_was_away() {
    let mut server = Server::start(&[]).await;
    let store = store(&server.url());
    assert_eq!(store.begin(&[wants_the_first_id(1)]).await.expect("begun")[0].settled, None);
    store.settle(vec![no_complaint(1)]).await.expect("settled");
    // Whatever would give it back fails.
    server.kill();
    store.begin(&[wants_the_first_id(2)]).await.expect_err("the server is away");
    server.restart().await;

    let begun = crate::harness::until("the server is there", async || store.begin(&[wants_the_first_id(2)]).await.ok());

    assert_eq!(begun.await[0].settled, None);
}

#[tokio::test]
async fn a_tracking_id_that_names_another_by_now_is_not_taken_from_it() {
    let server = Server::start(&[]).await;
    let store = store(&server.url());
    store.begin(&[wants_the_first_id(1)]).await.expect("begun");
    store.settle(vec![no_complaint(1)]).await.expect("settled");
    // It was given back, and somebody else has it, when it is given back again.
    let hash = server.command(&["KEYS", "loket:tracking:*"]).await.items()[0].text().to_owned();
    server.command(&["HSET", &hash, record(1).tracking_id.as_str(), "sixteen bytes ok"]).await;

    let begun = store.begin(&[wants_the_first_id(2)]).await.expect("begun");

    assert_eq!(begun[0].settled, Some(Settled::TrackingIdTaken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_an_answer_waits_for_its_event_and_its_address() {
    let cluster = Cluster::start().await;
    let store = store(&cluster.url());
    let vault = |number| Transition {
        vault: Some(VaultEntry { reporter_ref: "rp_1".to_owned(), sealed: b"sealed".to_vec() }),
        outbox: vec![answer(&format!("ack:{number}"), start())],
        ..message(number)
    };
    settle(&store, vec![vault(1)]).await;
    // The hash of addresses cannot be written to; the nodes of everything else are well.
    let (mut home, mut hash) = (0, String::new());
    for (place, node) in cluster.nodes.iter().enumerate() {
        if let Some(key) = node.command(&["KEYS", "loket:vault:*"]).await.items().first() {
            (home, hash) = (place, key.text().to_owned());
        }
    }
    cluster.nodes[home].command(&["SET", &hash, "no hash"]).await;
    let due = async || store.outbox_due(&channel(), 9, seconds(60), start()).await.expect("read").len();
    assert_eq!(due().await, 1);

    store.settle(vec![vault(2)]).await.expect_err("the address is not there");
    assert_eq!(due().await, 0, "an answer without an address would be given up");
    cluster.nodes[home].command(&["DEL", &hash]).await;

    assert_eq!(settle(&store, vec![vault(2)]).await, vec![Settled::Repeated]);
    assert_eq!(due().await, 1);
}
