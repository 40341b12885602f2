//! Redis gone, read-only, out of memory, slow, unable to save: providers get their 200 from the journal, nothing is given up,
//! and all of it is queued when the server is well again.

use std::time::Duration;

use loket::{
    config,
    runtime::{self, Strictness},
};
use tokio::net::TcpListener;

use crate::{
    harness::{PUBLIC_URL, World, until},
    redis_servers::{self, Sentinel, Server},
};

const TEXT: &str = "Lampu jalan di depan pasar padam sudah dua minggu.";

/// Sends `count` messages of as many senders; each is replied to with 200.
async fn send(world: &World, from: usize, count: usize) {
    for number in from..from + count {
        let (sid, sender) = (format!("SM{number}"), format!("+62811{number:08}"));
        assert_eq!(world.sms(&sid, &sender, TEXT).await, 200, "message {number}");
    }
}

async fn readiness(world: &World) -> (u16, String) {
    let (status, body) = world.get("/readyz").await;
    (status, body["store"].as_str().unwrap_or_default().to_owned())
}

async fn until_ready(world: &World) {
    until("the gateway is ready", async || (readiness(world).await.0 == 200).then_some(())).await;
}

/// All of `count` messages are queued, nothing is in the quarantine, and the gateway says that it is well.
async fn well_again(world: &World, count: usize) {
    until_ready(world).await;
    world.quiet().await;
    world.wait_for_events(count).await;
    assert_eq!(world.metric("loket_quarantine_receipts", "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_gone_receipts_wait_in_the_journal() {
    let mut server = Server::start(&[]).await;
    let world = World::on(&server.url()).await;
    send(&world, 0, 5).await;
    world.wait_for_events(5).await;

    server.kill();
    send(&world, 5, 20).await;
    let (status, store) = readiness(&world).await;
    assert_eq!(status, 503);
    assert!(!store.is_empty() && store != "ok", "{store}");
    assert_eq!(world.get("/healthz").await.0, 200);
    server.restart().await;

    well_again(&world, 25).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_while_redis_is_away() {
    let mut server = Server::start(&[]).await;
    server.kill();
    let world = World::on(&server.url()).await;
    send(&world, 0, 3).await;
    assert_eq!(readiness(&world).await.0, 503);

    server.restart().await;

    well_again(&world, 3).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_stops_while_redis_is_away_and_loses_nothing() {
    let mut server = Server::start(&[]).await;
    let mut world = World::on(&server.url()).await;
    server.kill();
    send(&world, 0, 3).await;

    tokio::time::timeout(Duration::from_secs(30), world.stop()).await.expect("it stops in time");
    server.restart().await;
    world.resume().await;

    well_again(&world, 3).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_is_waited_out() {
    let server = Server::start(&[]).await;
    let world = World::on(&server.url()).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    send(&world, 0, 5).await;
    until("the gateway says so", async || readiness(&world).await.1.contains("OOM").then_some(())).await;

    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;

    well_again(&world, 5).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_is_waited_out() {
    let server = Server::start(&[]).await;
    let world = World::on(&server.url()).await;
    send(&world, 0, 1).await;
    world.wait_for_events(1).await;
    server.command(&["REPLICAOF", "127.0.0.1", "9"]).await;
    send(&world, 1, 5).await;
    until("the gateway says so", async || readiness(&world).await.1.contains("READONLY").then_some(())).await;

    server.command(&["REPLICAOF", "NO", "ONE"]).await;

    well_again(&world, 6).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_save_is_waited_out() {
    let server = Server::start(&["min-replicas-to-write 0"]).await;
    let world = World::on(&server.url()).await;
    // The same refusal as MISCONF has: the server is well and takes no writes.
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    send(&world, 0, 5).await;
    until("the gateway says so", async || readiness(&world).await.1.contains("NOREPLICAS").then_some(())).await;

    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;

    well_again(&world, 5).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_redis_holds_up_no_reply() {
    let server = Server::start(&[]).await;
    let world = World::on(&server.url()).await;
    server.pause();
    let begin = std::time::Instant::now();
    send(&world, 0, 10).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "replies waited for the store: {:?}", begin.elapsed());
    let begin = std::time::Instant::now();
    assert!(world.metrics().await.contains("loket_journal_backlog"));
    assert!(begin.elapsed() < Duration::from_secs(5), "the metrics waited for the store: {:?}", begin.elapsed());
    server.resume();

    well_again(&world, 10).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_a_server_forgot_are_loaded_again() {
    let server = Server::start(&[]).await;
    let world = World::on(&server.url()).await;
    send(&world, 0, 1).await;
    world.wait_for_events(1).await;

    server.command(&["SCRIPT", "FLUSH"]).await;
    send(&world, 1, 1).await;

    well_again(&world, 2).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_is_followed() {
    let mut sentinel = Sentinel::start().await;
    let world = World::on(&sentinel.url()).await;
    send(&world, 0, 5).await;
    world.wait_for_events(5).await;
    let old = sentinel.master().await;

    sentinel.nodes[old].kill();
    send(&world, 5, 10).await;
    // Without its replica the new master confirms nothing: receipts wait until the old one follows it.
    until("another master", async || (sentinel.master().await != old).then_some(())).await;
    sentinel.nodes[old].restart().await;
    sentinel.wait_in_step().await;

    well_again(&world, 15).await;
    world.finish().await;
}

/// What `runtime::start` says to a store.
async fn refusal(store: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let environment = |name: &str| match name {
        "LOKET_STORE" => Some(store.to_owned()),
        "LOKET_DATA_DIR" => Some(data.clone()),
        "LOKET_PUBLIC_URL" => Some(PUBLIC_URL.to_owned()),
        _ => None,
    };
    let resolved = config::load(&folder.path().join("config"), &environment).expect("a configuration without mistakes");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let started = runtime::start(resolved, listener, Strictness::Lenient).await;
    format!("{:#}", anyhow::Error::from(started.expect_err("a refusal")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_would_delete_complaints_is_refused() {
    let server = Server::start(&["maxmemory-policy allkeys-lru"]).await;

    let refusal = refusal(&server.url()).await;

    assert!(refusal.contains("allkeys-lru") && refusal.contains("noeviction"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_an_authority_of_its_own_is_spoken() {
    let (server, authority) = redis_servers::tls().await;
    let mut world = World::prepare().await;
    world.store = format!("rediss://127.0.0.1:{}", server.port());
    world.write("config/loket.toml", &format!("[redis]\nca_file = \"{}\"\n", authority.display()));
    world.add_twilio("sms");
    let world = world.serve().await;

    send(&world, 0, 3).await;

    well_again(&world, 3).await;
    world.finish().await;
}

/// The rights that docs/redis.md gives to the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn an_acl_user_with_the_documented_rights_is_enough() {
    let server = Server::start(&[]).await;
    let page = std::fs::read_to_string(crate::harness::repository("docs/redis.md")).expect("a page");
    let line = page.lines().find(|line| line.starts_with("ACL SETUSER loket ")).expect("the rights of the gateway");
    let words: Vec<&str> = line.split(' ').collect();
    server.command(&words).await;
    server.command(&["ACL", "SETUSER", "default", "off"]).await;
    let mut world = World::prepare().await;
    world.store = format!("redis://127.0.0.1:{}", server.port());
    world.write("config/redis-password", "change-me");
    world.write("config/loket.toml", "[redis]\nusername = \"loket\"\npassword = { file = \"redis-password\" }\n");
    world.add_twilio("sms");
    let world = world.serve().await;

    send(&world, 0, 3).await;

    well_again(&world, 3).await;
    let (status, _) = world.api("/v1/queues/triage/lease", serde_json::json!({ "max": 3 })).await;
    assert_eq!(status, 200);
    world.finish().await;
}
