//! Chats through the front door, on two stores in one go: `cargo bench --bench chat`.
//!
//! An invented chat provider brings citizens at a fixed rate, whether or not the gateway keeps up. Each has a conversation of
//! four messages: a long first one, the consent, the place, and the one that sends the report; each writes on when the answer
//! to the last message is there. Measured are the time from a webhook to our reply, and to the request that carries the
//! answer to the citizen. Then so many citizens write one message and stop, and what their open drafts weigh is read from
//! the server and from the process.
//!
//! `-- --rate 500 --seconds 20 --drafts 10000`. The gateway is a process of its own; the citizens and the provider are this
//! one, on the same machine, so that the figures are those of a gateway that has only a part of it.

use std::{
    collections::HashMap,
    fs,
    net::TcpListener as Reserved,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet, time};

const MESSAGES: [&str; 4] = [
    "Lampu jalan di depan pasar padam sejak Senin, warga takut lewat malam hari.",
    "ya",
    "Jl. Melati, Cilandak",
    "kirim",
];
/// A citizen who waits longer counts as unanswered.
const PATIENCE: Duration = Duration::from_secs(30);

const MANIFEST: &str = r#"
manifest = 1
id = "chat"
title = "An invented chat"
version = "1.0.0"
adapter = "webhook"
medium = "chat"
address = "opaque"
capabilities = ["text", "reply"]
unconfirmed = true
verify = "none"
verify_reason = "a measurement on the loopback interface"

[settings.base]
label = "Where answers go"
kind = "url"

[receive]
methods = ["POST"]
content_types = ["application/json"]

[message]
each = ".body"
id = ".id"
from = ".from"
text = ".text"

[send]
url = "{{ settings.base }}/send"
encode = "json"
body = '{"to": {{ to }}, "text": {{ text }}}'
rate = { per_second = 100000 }

[[sample]]
name = "a text"
url = "https://loket.example/in/chat"
headers = { "Content-Type" = "application/json" }
body = '{"id":"1","from":"a","text":"halo"}'
[sample.expect]
verify = "pass"
messages = [{ id = "1" }]
"#;

/// Where answers arrive; whoever waits for one is woken.
#[derive(Clone, Default)]
struct Provider {
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<Instant>>>>,
}

impl Provider {
    async fn listen() -> (Self, u16) {
        let provider = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().route("/send", post(Self::take)).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (provider, port)
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn take(State(provider): State<Self>, Json(body): Json<Value>) -> Json<Value> {
        let to = body["to"].as_str().unwrap_or_default();
        if let Some(waiting) = provider.waiting.lock().expect("nobody panics with it").remove(to) {
            let _ = waiting.send(Instant::now());
        }
        Json(json!({ "ok": true }))
    }

    fn expect(&self, who: &str) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().expect("nobody panics with it").insert(who.to_owned(), sender);
        receiver
    }
}

/// A process that ends with the measurement.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    Reserved::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

struct World {
    folder: PathBuf,
    gateway: Process,
    redis: Option<(Process, u16)>,
    base: String,
    provider: Provider,
    client: reqwest::Client,
}

impl World {
    async fn start(store: &str) -> Self {
        let (provider, port) = Provider::listen().await;
        let folder = std::env::temp_dir().join(format!("loket-bench-chat-{}-{store}", std::process::id()));
        fs::create_dir_all(folder.join("config/channels")).expect("a folder");
        fs::create_dir_all(folder.join("channels")).expect("a folder");
        fs::create_dir_all(folder.join("redis")).expect("a folder");
        fs::write(folder.join("channels/chat.toml"), MANIFEST).expect("a file");
        let channel = format!("manifest = \"chat\"\n[settings]\nbase = \"http://127.0.0.1:{port}\"\n");
        fs::write(folder.join("config/channels/chat.toml"), channel).expect("a file");
        let redis = (store == "redis").then(|| redis(&folder.join("redis")));
        let store = redis.as_ref().map_or("embedded".to_owned(), |(_, port)| format!("redis://127.0.0.1:{port}"));
        let listen = free_port();
        let gateway = Command::new(env!("CARGO_BIN_EXE_loket"))
            .arg("serve")
            .env("LOKET_LISTEN", format!("127.0.0.1:{listen}"))
            .env("LOKET_PUBLIC_URL", "https://loket.example")
            .env("LOKET_CONFIG_DIR", folder.join("config"))
            .env("LOKET_CHANNELS_DIR", folder.join("channels"))
            .env("LOKET_DATA_DIR", folder.join("data"))
            .env("LOKET_STORE", store)
            .env("LOKET_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let gateway = Process(gateway.expect("the program starts"));
        let base = format!("http://127.0.0.1:{listen}");
        #[expect(clippy::disallowed_methods, reason = "citizens are no part of the program")]
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        for _ in 0..400 {
            let ready = client.get(format!("{base}/readyz")).send().await;
            if ready.is_ok_and(|response| response.status() == 200) {
                return Self { folder, gateway, redis, base, provider, client };
            }
            time::sleep(Duration::from_millis(50)).await;
        }
        unreachable!("the gateway is not ready");
    }

    fn citizen(&self, name: String) -> Citizen {
        let (provider, client) = (self.provider.clone(), self.client.clone());
        Citizen { name, url: format!("{}/in/chat", self.base), provider, client }
    }

    /// Bytes of the process that are in memory.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.gateway.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    }

    /// Bytes that the store has: of the server's memory, or of the folder.
    fn stored(&self) -> u64 {
        match &self.redis {
            Some((_, port)) => {
                let info = Command::new("redis-cli").args(["-p", &port.to_string(), "info", "memory"]).output();
                let info = String::from_utf8(info.expect("redis-cli is there").stdout).unwrap_or_default();
                let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap_or_default();
                used.trim().parse().unwrap_or_default()
            }
            None => size_of(&self.folder.join("data/store")),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.gateway.0.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(
            |entry| {
                if entry.path().is_dir() {
                    size_of(&entry.path())
                } else {
                    entry.metadata().map_or(0, |meta| meta.len())
                }
            },
        )
        .sum()
}

fn redis(folder: &Path) -> (Process, u16) {
    let port = free_port();
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--dir", &folder.display().to_string(), "--bind", "127.0.0.1"])
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--save", ""])
        .stdout(Stdio::null())
        .spawn();
    (Process(child.expect("redis-server starts")), port)
}

#[derive(Clone)]
struct Citizen {
    name: String,
    url: String,
    provider: Provider,
    client: reqwest::Client,
}

/// Times of one message; the answer is missing when nobody got it within the patience.
struct Times {
    reply: Duration,
    answer: Option<Duration>,
}

impl Citizen {
    async fn says(&self, number: usize, text: &str) -> Times {
        let answer = self.provider.expect(&self.name);
        let body = json!({ "id": format!("{}-{number}", self.name), "from": self.name, "text": text }).to_string();
        let begun = Instant::now();
        let request = self.client.post(&self.url).header("content-type", "application/json").body(body);
        let status = request.send().await.map(|response| response.status().as_u16()).unwrap_or_default();
        let reply = begun.elapsed();
        assert_eq!(status, 200, "the gateway takes every message");
        let answer = time::timeout(PATIENCE, answer).await.ok().and_then(Result::ok);
        Times { reply, answer: answer.map(|at| at.duration_since(begun)) }
    }

    async fn talks(self) -> Vec<Times> {
        let mut all = Vec::with_capacity(MESSAGES.len());
        for (number, text) in MESSAGES.iter().enumerate() {
            all.push(self.says(number, text).await);
        }
        all
    }
}

/// The value below which so many of a hundred are.
fn percentile(sorted: &[Duration], hundredths: f64) -> f64 {
    let place = ((sorted.len() as f64 - 1.0) * hundredths / 100.0).round() as usize;
    sorted.get(place).copied().unwrap_or_default().as_secs_f64() * 1000.0
}

async fn conversations(world: &World, rate: u32, seconds: u32) -> f64 {
    let mut ticks = time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Burst);
    let mut talks = JoinSet::new();
    let begun = Instant::now();
    for number in 0..rate * seconds {
        ticks.tick().await;
        talks.spawn(world.citizen(format!("warga-{number}")).talks());
    }
    let arrived = begun.elapsed();
    let times: Vec<_> = talks.join_all().await.into_iter().flatten().collect();
    let lasted = begun.elapsed();
    let mut replies: Vec<_> = times.iter().map(|times| times.reply).collect();
    let mut answers: Vec<_> = times.iter().filter_map(|times| times.answer).collect();
    let unanswered = times.len() - answers.len();
    replies.sort_unstable();
    answers.sort_unstable();
    println!(
        "  {} conversations in {:.1} s ({:.0} began a second): reply p50 {:.1} ms, p99 {:.1} ms; answer sent p50 {:.1} ms, p99 {:.1} ms, \
         longest {:.0} ms; unanswered {unanswered}",
        rate * seconds,
        lasted.as_secs_f64(),
        f64::from(rate * seconds) / arrived.as_secs_f64(),
        percentile(&replies, 50.0),
        percentile(&replies, 99.0),
        percentile(&answers, 50.0),
        percentile(&answers, 99.0),
        percentile(&answers, 100.0),
    );
    percentile(&answers, 99.0)
}

/// Citizens who wrote one message and stopped.
async fn drafts(world: &World, count: u32) {
    let (before, process) = (world.stored(), world.resident());
    let mut talks = JoinSet::new();
    for number in 0..count {
        if talks.len() >= 64 {
            talks.join_next().await;
        }
        let citizen = world.citizen(format!("diam-{number}"));
        talks.spawn(async move { citizen.says(0, MESSAGES[0]).await });
    }
    talks.join_all().await;
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / f64::from(count);
    println!(
        "  {count} open drafts: {:.0} bytes each in the store (with claim, address and the answer's entry), {:.0} bytes each in the gateway's memory",
        each(world.stored(), before),
        each(world.resident(), process),
    );
}

fn argument(name: &str, otherwise: u32) -> u32 {
    let arguments: Vec<_> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == name);
    place.and_then(|place| arguments.get(place + 1)).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

#[tokio::main]
async fn main() {
    let (rate, seconds, count) = (argument("--rate", 500), argument("--seconds", 20), argument("--drafts", 10_000));
    let mut p99 = Vec::new();
    for store in ["embedded", "redis"] {
        println!("{store}:");
        let world = World::start(store).await;
        // The first second warms connections and caches.
        let warm = world.citizen("hangat".to_owned()).talks().await;
        assert_eq!(warm.len(), MESSAGES.len());
        drafts(&world, count).await;
        p99.push(conversations(&world, rate, seconds).await);
    }
    println!("p99 until the answer is sent: Redis to embedded {:.2}", p99[1] / p99[0]);
}
