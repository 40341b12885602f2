//! The Redis store keeps the contract on every deployment, and what servers add to it.

use std::time::Duration;

use loket::store::{
    Settled, Store, StoreError, Transition,
    redis::{RedisOptions, RedisStore, deployment::Credentials, link::Access},
};

use crate::{
    redis_servers::{self, Cluster, Sentinel, Server},
    store_contract::{
        LIMITS, Opened, claim, contract, contract_in_turn, days, lease_all, message, numbers, receipt, sender, settle,
        settle_messages, start,
    },
};

fn options(url: &str) -> RedisOptions {
    let access = Access {
        deployment: url.parse().expect("a deployment"),
        sentinel: Credentials::default(),
        certificates: None,
        response_timeout: Duration::from_secs(5),
        replicas: None,
    };
    RedisOptions { access, limits: LIMITS, waits_for_disk: false, gateway: [1; 8] }
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
