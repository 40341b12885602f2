//! WhatsApp by its manifest, against a small Graph API on the loopback interface.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{World, body_signature, repository, until};

const SECRET: &str = "s3cr3t";
const HANDSHAKE: &str = "/in/wa?hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=";

/// Answers every request to send, and remembers it.
#[derive(Clone, Default)]
struct Graph {
    taken: Arc<Mutex<Vec<Value>>>,
    /// Error codes for the next requests, with their statuses; then everything is taken.
    errors: Arc<Mutex<Vec<(u16, i64)>>>,
}

impl Graph {
    async fn listen() -> (Self, String) {
        let graph = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/v22.0/777/messages", post(Self::take)).with_state(graph.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (graph, format!("http://{address}"))
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn take(State(graph): State<Self>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
        let mut taken = graph.taken.lock().expect("no test panics with the lock");
        taken.push(body);
        let error = graph.errors.lock().expect("no test panics with the lock").pop();
        match error {
            Some((status, code)) => {
                (StatusCode::from_u16(status).expect("a status"), Json(json!({ "error": { "code": code } })))
            }
            None => (StatusCode::OK, Json(json!({ "messages": [{ "id": format!("wamid.out{}", taken.len()) }] }))),
        }
    }

    fn taken(&self) -> Vec<Value> {
        self.taken.lock().expect("no test panics with the lock").clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} requests at the Graph API"), async || {
            let taken = self.taken();
            (taken.len() >= count).then_some(taken)
        })
        .await
    }
}

async fn world() -> (World, Graph) {
    world_with(24).await
}

/// `hours` is how long free text may leave.
async fn world_with(hours: u32) -> (World, Graph) {
    let (graph, url) = Graph::listen().await;
    let world = World::prepare().await;
    let manifest = std::fs::read_to_string(repository("channels/whatsapp-cloud.toml")).expect("a manifest");
    // The first wait of a second try is five seconds; a test does not wait for it.
    let manifest = manifest.replace("max = 8 }", "max = 8, first = \"10ms\" }");
    let manifest = manifest.replace("hours = 24,", &format!("hours = {hours},"));
    world.write("channels/whatsapp-cloud.toml", &manifest);
    world.write("config/app_secret", SECRET);
    world.write("config/verify_token", "vt");
    world.write("config/access_token", "at");
    world.write(
        "config/channels/wa.toml",
        &format!(
            "manifest = \"whatsapp-cloud\"\n[settings]\nphone_number_id = \"777\"\ntemplate = \"jawaban\"\ngraph_url = \"{url}\"\n\
            app_secret = {{ file = \"app_secret\" }}\nverify_token = {{ file = \"verify_token\" }}\naccess_token = {{ file = \"access_token\" }}\n"
        ),
    );
    (world.serve().await, graph)
}

async fn deliver(world: &World, value: &Value) -> u16 {
    let mut value = value.clone();
    value["metadata"] = json!({ "phone_number_id": "777" });
    let change = json!({ "field": "messages", "value": value });
    let body =
        json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [change] }] }).to_string();
    let hex = body_signature(SECRET, &body);
    let request = world.client.post(world.url("/in/wa")).header("content-type", "application/json");
    let request = request.header("x-hub-signature-256", format!("sha256={hex}")).body(body);
    request.send().await.expect("a reply").status().as_u16()
}

fn text(number: usize) -> Value {
    json!({
        "from": format!("62811000000{number:02}"),
        "id": format!("wamid.{number}"),
        "timestamp": "1700000000",
        "type": "text",
        "text": { "body": format!("Lampu jalan nomor {number} di depan pasar padam sudah dua minggu.") },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_echoed_as_text_with_the_right_token_only() {
    let (world, _) = world().await;
    let ask =
        async |token: &str| world.client.get(world.url(&format!("{HANDSHAKE}{token}"))).send().await.expect("a reply");
    let good = ask("vt").await;
    assert_eq!(good.status(), 200);
    assert_eq!(
        (&good.headers()["content-type"], &good.headers()["x-content-type-options"]),
        (&"text/plain".parse().expect("a value"), &"nosniff".parse().expect("a value"),)
    );
    assert_eq!(good.text().await.expect("a body"), "<script>");
    assert_eq!(ask("no").await.status(), 403);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_twice_and_in_another_order_is_taken_in_once() {
    let (world, graph) = world().await;
    assert_eq!(deliver(&world, &json!({ "messages": [text(1), text(2), text(3)] })).await, 200);
    assert_eq!(deliver(&world, &json!({ "messages": [text(3), text(1)] })).await, 200);
    world.quiet().await;
    assert_eq!(world.metric("loket_outcome_total", "outcome=\"duplicate\"").await, 2);
    let mut to: Vec<_> = graph.wait_for(3).await.iter().map(|body| body["to"].to_string()).collect();
    to.sort_unstable();
    assert_eq!(to, ["\"6281100000001\"", "\"6281100000002\"", "\"6281100000003\""]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citizen_without_a_number_is_answered_by_the_id_of_the_business() {
    let (world, graph) = world().await;
    let mut message = text(4);
    message["from"] = Value::Null;
    message["from_user_id"] = json!("ID.42");
    assert_eq!(deliver(&world, &json!({ "messages": [message] })).await, 200);
    let sent = graph.wait_for(1).await;
    assert_eq!((&sent[0]["recipient"], sent[0].get("to")), (&json!("ID.42"), None));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_when_the_provider_says_slow_down_whatever_the_status() {
    let (world, graph) = world().await;
    graph.errors.lock().expect("a lock").extend([(400, 131_056), (400, 130_429)]);
    assert_eq!(deliver(&world, &json!({ "messages": [text(5)] })).await, 200);
    let taken = graph.wait_for(3).await;
    assert_eq!((&taken[0], &taken[1]), (&taken[1], &taken[2]));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_the_window_is_the_template_with_its_words() {
    let (world, graph) = world_with(0).await;
    assert_eq!(deliver(&world, &json!({ "messages": [text(6)] })).await, 200);
    let sent = graph.wait_for(1).await;
    assert_eq!((&sent[0]["type"], &sent[0]["template"]["name"]), (&json!("template"), &json!("jawaban")));
    let words = sent[0]["template"]["components"][0]["parameters"][0]["text"].as_str().expect("a text");
    assert!(!words.is_empty() && !words.contains('\n'), "{words}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outside_the_window_by_the_providers_word_is_given_up_at_once() {
    let (world, graph) = world().await;
    graph.errors.lock().expect("a lock").push((400, 131_047));
    assert_eq!(deliver(&world, &json!({ "messages": [text(7)] })).await, 200);
    until("the answer is dead", async || {
        (world.metric("loket_answers_total", "channel=\"wa\",result=\"dead\"").await == 1).then_some(())
    })
    .await;
    assert_eq!(graph.taken().len(), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_comes_before_its_answer_is_taken_on_the_same_url_and_is_no_message() {
    let (world, graph) = world().await;
    let statuses = json!({ "statuses": [{ "id": "wamid.out1", "status": "delivered" }] });
    assert_eq!(deliver(&world, &statuses).await, 200);
    assert_eq!(deliver(&world, &json!({ "messages": [text(8)] })).await, 200);
    graph.wait_for(1).await;
    world.quiet().await;
    assert_eq!(world.metric("loket_delivery_reports_total", "channel=\"wa\"").await, 1);
    assert_eq!(world.metric("loket_received_total", "channel=\"wa\"").await, 1);
    world.finish().await;
}
