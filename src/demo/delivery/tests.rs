use axum::{Router, extract::State as Shared, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// A target that remembers what it was sent and answers as it is told, then 200.
#[derive(Clone, Default)]
struct Gateway {
    bodies: Arc<Mutex<Vec<Value>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Gateway {
    async fn listen() -> (Self, Target) {
        let gateway = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/in", listener.local_addr().expect("an address"));
        let router = Router::new().route("/in", post(Self::take)).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gateway, Target::new(vec![url], Proof::None, 4))
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn take(Shared(gateway): Shared<Self>, body: String) -> (StatusCode, [(&'static str, &'static str); 1]) {
        gateway.bodies.lock().expect("a lock").push(serde_json::from_str(&body).expect("JSON"));
        let status = gateway.statuses.lock().expect("a lock").pop_front().unwrap_or(200);
        (StatusCode::from_u16(status).expect("a status"), [("retry-after", "0")])
    }

    fn numbers(&self) -> Vec<u64> {
        self.bodies.lock().expect("a lock").iter().filter_map(|body| body["n"].as_u64()).collect()
    }
}

fn delivery() -> Arc<Delivery> {
    let policy = Policy::telegram().hurried(Duration::from_millis(1), Duration::from_millis(5));
    Delivery::new(policy, 1).expect("a client")
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn documents_of_a_lane_wait_for_the_one_that_fails() {
    let (gateway, target) = Gateway::listen().await;
    gateway.statuses.lock().expect("a lock").extend([500, 503]);
    let delivery = delivery();
    delivery.set_target(Some(target));
    for _ in 0..3 {
        delivery.push("5", |id| json!({ "n": id }));
    }
    assert!(delivery.settled(PATIENCE).await);
    assert_eq!(gateway.numbers(), [1, 1, 1, 2, 3]);
    assert!(delivery.trouble().expect("a trouble").reason.contains("503"));
}

#[tokio::test]
async fn another_lane_does_not_wait() {
    let (gateway, target) = Gateway::listen().await;
    let delivery = delivery();
    delivery.set_target(Some(target));
    gateway.statuses.lock().expect("a lock").extend([500; 40]);
    delivery.push("5", |id| json!({ "n": id }));
    while gateway.numbers().len() < 5 {
        delivery.moves(Duration::from_millis(10)).await;
    }
    delivery.push("6", |id| json!({ "n": id }));
    assert!(delivery.settled(PATIENCE).await);
    assert!(gateway.numbers().iter().filter(|number| **number == 2).count() >= 1);
}

#[tokio::test]
async fn what_waits_is_fetched_when_there_is_no_target() {
    let delivery = delivery();
    for lane in ["5", "6", "5"] {
        delivery.push(lane, |id| json!({ "n": id }));
    }
    assert_eq!(delivery.peek(0, 2).len(), 2);
    assert_eq!(delivery.last(1), 3);
    delivery.forget_below(3);
    assert_eq!(delivery.waiting(), 1);
    let (gateway, target) = Gateway::listen().await;
    delivery.set_target(Some(target));
    assert!(delivery.settled(PATIENCE).await);
    assert_eq!(gateway.numbers(), [3]);
}

#[tokio::test]
async fn a_document_is_delivered_again_as_often_as_was_asked() {
    let (gateway, target) = Gateway::listen().await;
    let delivery = delivery();
    delivery.set_mischief(Mischief { copies: 2, jitter: Duration::from_millis(3), ..Mischief::default() });
    delivery.set_target(Some(target));
    delivery.push("5", |id| json!({ "n": id }));
    delivery.push("5", |id| json!({ "n": id }));
    assert!(delivery.settled(PATIENCE).await);
    assert_eq!(gateway.numbers(), [1, 1, 1, 2, 2, 2]);
}

#[tokio::test]
async fn gateways_behind_one_name_share_what_comes() {
    let ((one, first), (other, second)) = (Gateway::listen().await, Gateway::listen().await);
    let delivery = delivery();
    delivery.set_target(Some(Target::new([first.urls, second.urls].concat(), Proof::None, 4)));
    for number in 0..64 {
        delivery.push(&number.to_string(), |id| json!({ "n": id }));
    }
    assert!(delivery.settled(PATIENCE).await);
    let (one, other) = (one.numbers(), other.numbers());
    assert!(one.len() + other.len() == 64 && !one.is_empty() && !other.is_empty(), "{one:?} {other:?}");
}

#[tokio::test]
async fn a_document_is_dropped_when_the_provider_gives_up() {
    let (gateway, target) = Gateway::listen().await;
    gateway.statuses.lock().expect("a lock").extend([500; 1000]);
    let delivery = delivery();
    let policy = Policy::telegram().hurried(Duration::from_millis(5), Duration::from_millis(5));
    delivery.set_policy(Policy { gives_up: Duration::from_millis(30), obeys: Duration::ZERO, ..policy });
    delivery.set_target(Some(target));
    delivery.push("5", |id| json!({ "n": id }));
    assert!(delivery.settled(PATIENCE).await);
    assert_eq!(delivery.dropped(), 1);
}
