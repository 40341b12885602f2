//! A whole gateway in a temporary folder, with an invented provider on the loopback interface.
//!
//! A test reads as given, when, then; everything else is here. When a world ends it checks that the books balance and that
//! every event that was made validates against the schema.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Form, Router, extract::State, http::StatusCode, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use loket::{
    config,
    runtime::{self, Running, Strictness},
};
use ring::hmac;
use serde_json::Value;
use tokio::net::TcpListener;

pub const TOKEN: &str = "test-token";
pub const AUTH: &str = "test-auth-token";
pub const ACCOUNT: &str = "AC00000000000000000000000000000000";
pub const PUBLIC_URL: &str = "https://loket.example";

/// One answer that the invented provider was asked to send.
pub type Sent = BTreeMap<String, String>;

/// How the invented provider answers, in order; 201 when the list is empty.
#[derive(Clone, Default)]
pub struct Provider {
    pub sent: Arc<Mutex<Vec<Sent>>>,
    pub answers: Arc<Mutex<Vec<u16>>>,
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub running: Option<Running>,
    pub provider: Provider,
    pub provider_port: u16,
    pub client: reqwest::Client,
    /// `LOKET_STORE`.
    pub store: String,
}

impl Provider {
    async fn listen() -> (Self, u16) {
        let provider = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new()
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(Self::take))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (provider, port)
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn take(State(provider): State<Self>, Form(fields): Form<Sent>) -> (StatusCode, String) {
        let mut answers = provider.answers.lock().expect("no test panics with the lock");
        let status = if answers.is_empty() { 201 } else { answers.remove(0) };
        let mut sent = provider.sent.lock().expect("no test panics with the lock");
        sent.push(fields);
        let sid = format!("SMout{}", sent.len());
        (
            StatusCode::from_u16(status).expect("a status"),
            serde_json::json!({ "sid": sid, "status": "queued" }).to_string(),
        )
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("no test panics with the lock").clone()
    }
}

/// Repository files that tests start from.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Polls until the condition holds; panics with `what` after 20 seconds.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "not within 20 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What Twilio signs: the URL, then names and values in the order of the names.
pub fn twilio_signature(url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, AUTH.as_bytes()));
    context.update(url.as_bytes());
    for (name, value) in sorted {
        context.update(name.as_bytes());
        context.update(value.as_bytes());
    }
    STANDARD.encode(context.sign())
}

/// HMAC-SHA256 in hex, as many providers sign a body.
pub fn body_signature(secret: &str, body: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

pub fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect::<Vec<_>>().join("&")
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

pub fn sms<'a>(sid: &'a str, from: &'a str, text: &'a str) -> [(&'a str, &'a str); 7] {
    [
        ("MessageSid", sid),
        ("AccountSid", ACCOUNT),
        ("SmsStatus", "received"),
        ("From", from),
        ("To", "+6281500001708"),
        ("Body", text),
        ("NumMedia", "0"),
    ]
}

impl World {
    /// A gateway with the channel `sms`, a Twilio number.
    pub async fn start() -> Self {
        let world = Self::prepare().await;
        world.add_twilio("sms");
        world.serve().await
    }

    /// As `start`, on a store that others may share.
    pub async fn on(store: &str) -> Self {
        let mut world = Self::prepare().await;
        store.clone_into(&mut world.store);
        world.add_twilio("sms");
        world.serve().await
    }

    /// The folders and the provider; channels are still to be written, and `serve` to be called.
    pub async fn prepare() -> Self {
        let (provider, provider_port) = Provider::listen().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("config/channels")).expect("a folder");
        std::fs::create_dir_all(folder.path().join("channels")).expect("a folder");
        std::fs::write(folder.path().join("config/auth_token"), AUTH).expect("a file");
        #[expect(clippy::disallowed_methods, reason = "the client of a test is no part of the gateway")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { folder, running: None, provider, provider_port, client, store: "embedded".to_owned() }
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.folder.path().join(path), text).expect("a file");
    }

    pub fn manifest(&self, name: &str) {
        let text = std::fs::read_to_string(repository(&format!("channels/{name}.toml"))).expect("a manifest");
        let local = format!("http://127.0.0.1:{}", self.provider_port);
        self.write(
            &format!("channels/{name}.toml"),
            &text.replace("\"https://api.twilio.com/2010", &format!("\"{local}/2010")),
        );
    }

    pub fn add_twilio(&self, id: &str) {
        self.manifest("twilio-sms");
        self.write(
            &format!("config/channels/{id}.toml"),
            &format!("manifest = \"twilio-sms\"\n[settings]\naccount_sid = \"{ACCOUNT}\"\nauth_token = {{ file = \"auth_token\" }}\n"),
        );
    }

    pub async fn serve(mut self) -> Self {
        self.resume().await;
        self
    }

    /// Starts the gateway (again) on the folder as it is.
    pub async fn resume(&mut self) {
        let folder = self.folder.path().to_owned();
        let environment = BTreeMap::from([
            ("LOKET_LISTEN", "127.0.0.1:0".to_owned()),
            ("LOKET_PUBLIC_URL", PUBLIC_URL.to_owned()),
            ("LOKET_DATA_DIR", folder.join("data").display().to_string()),
            ("LOKET_CHANNELS_DIR", folder.join("channels").display().to_string()),
            ("LOKET_API_TOKEN", TOKEN.to_owned()),
            ("LOKET_STORE", self.store.clone()),
        ]);
        let environment = |name: &str| environment.get(name).cloned();
        let resolved = config::load(&folder.join("config"), &environment).expect("a configuration without mistakes");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.running = Some(runtime::start(resolved, listener, Strictness::Lenient).await.expect("a gateway"));
    }

    pub fn gateway(&self) -> &Running {
        self.running.as_ref().expect("the gateway runs")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway().address)
    }

    /// One signed delivery of an SMS; the status of the reply.
    pub async fn sms(&self, sid: &str, from: &str, text: &str) -> u16 {
        self.signed("sms", &sms(sid, from, text)).await
    }

    pub async fn signed(&self, path: &str, fields: &[(&str, &str)]) -> u16 {
        let signature = twilio_signature(&format!("{PUBLIC_URL}/in/{path}"), fields);
        self.post(&format!("/in/{path}"), &[("x-twilio-signature", &signature)], form(fields)).await.0
    }

    /// A form post; status and body of the reply.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: String) -> (u16, String) {
        let mut request = self.client.post(self.url(path)).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await.expect("a reply");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.client.get(self.url(path)).bearer_auth(TOKEN).send().await.expect("a reply");
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.expect("a body")).unwrap_or_default())
    }

    pub async fn api(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(self.url(path)).bearer_auth(TOKEN).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.expect("a reply");
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.expect("a body")).unwrap_or_default())
    }

    pub async fn metrics(&self) -> String {
        let response = self.client.get(self.url("/metrics")).send().await.expect("a reply");
        response.text().await.expect("a body")
    }

    /// A counter or gauge, all labels of the channel added up.
    pub async fn metric(&self, name: &str, label: &str) -> u64 {
        self.metrics().await.lines().filter(|line| line.starts_with(name) && line.contains(label)).map(value).sum()
    }

    /// Every event in every queue, in the order of the queues and within.
    pub async fn events(&self) -> Vec<(String, Value)> {
        events(self.gateway()).await
    }

    /// Waits until so many events are queued that messages caused, and returns them. Files come when they come.
    pub async fn wait_for_events(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} events in the queues"), async || {
            let events = self.events().await.into_iter().map(|(_, event)| event);
            let events: Vec<_> = events.filter(is_of_message).collect();
            assert!(events.len() <= count, "more events than expected: {}", events.len());
            (events.len() == count).then_some(events)
        })
        .await
    }

    /// Waits until every accepted receipt is settled.
    pub async fn quiet(&self) {
        until("the backlog is empty", async || (self.gateway().app.journal.stats().backlog == 0).then_some(())).await;
    }

    pub async fn wait_for_sent(&self, count: usize) -> Vec<Sent> {
        until(&format!("{count} answers at the provider"), async || {
            let sent = self.provider.sent();
            (sent.len() >= count).then_some(sent)
        })
        .await
    }

    /// Ends the gateway in order; the folder stays for `resume`.
    pub async fn stop(&mut self) {
        self.running.take().expect("the gateway runs").stop().await;
    }

    /// The end of a test with more events than can be checked one by one.
    pub async fn stop_and_balance(mut self) {
        self.quiet().await;
        balance(&self.metrics().await);
        self.stop().await;
    }

    /// The end of every test: the books balance (G9) and every event is a valid document.
    pub async fn finish(mut self) {
        self.quiet().await;
        balance(&self.metrics().await);
        for (_, event) in self.events().await {
            assert_valid(&event);
        }
        self.stop().await;
    }
}

/// Did a message cause it? A file that is stored is an event of its own.
pub fn is_of_message(event: &Value) -> bool {
    event["type"] != "id.loket.complaint.attachment_stored.v1"
}

/// Every event of a gateway, with its queue.
pub async fn events(running: &Running) -> Vec<(String, Value)> {
    let store = &running.app.store;
    let mut events = Vec::new();
    for queue in store.queues(jiff::Timestamp::UNIX_EPOCH).await.expect("the store answers") {
        let mut after = None;
        loop {
            let page = store.peek(&queue.name, after.as_deref(), 1000).await.expect("the store answers");
            let Some(last) = page.last() else { break };
            after = Some(last.delivery_id.clone());
            let parsed = page.iter().map(|delivery| serde_json::from_str(&delivery.event).expect("an event is JSON"));
            events.extend(parsed.map(|event| (queue.name.clone(), event)));
        }
    }
    events
}

fn value(line: &str) -> u64 {
    line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or_default() as u64
}

/// `received = enqueued + drafted + duplicate + quarantined + refused + command + expired`, per channel.
pub fn balance(metrics: &str) {
    let mut books: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in metrics.lines() {
        let Some(channel) = line.split("channel=\"").nth(1).and_then(|rest| rest.split('"').next()) else { continue };
        if line.starts_with("loket_received_total{") {
            books.entry(channel.to_owned()).or_default().0 += value(line);
        } else if line.starts_with("loket_outcome_total{") {
            books.entry(channel.to_owned()).or_default().1 += value(line);
        }
    }
    for (channel, (received, outcomes)) in books {
        assert_eq!(received, outcomes, "the books of {channel} do not balance:\n{metrics}");
    }
}

/// Envelope and data are what `complaint-format` says.
pub fn assert_valid(event: &Value) {
    for attribute in [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "partitionkey",
        "sensitivity",
    ] {
        assert!(event[attribute].is_string(), "{attribute} is missing in {event}");
    }
    let schema = match event["type"].as_str() {
        Some("id.loket.complaint.received.v1") => loket::complaint::COMPLAINT_SCHEMA,
        _ => loket::complaint::FOLLOWUP_SCHEMA,
    };
    let schema: Value = serde_json::from_str(schema).expect("a schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> =
        validator.iter_errors(&event["data"]).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\nin {event:#}");
}
