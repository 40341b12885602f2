//! Conversations over real sockets: a chat provider that redelivers, citizens who answer what they are asked, gateways that are
//! killed in the middle. Each citizen ends with the one complaint that they meant.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::post};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

use crate::{
    crash::{Process, ready},
    harness::{TOKEN, World},
    redis_servers::{Server, free_port},
};

/// An invented chat provider: at-least-once, no order, no signature but a token.
const MANIFEST: &str = r#"
manifest = 1
id = "obrolan"
title = "An invented chat"
version = "1.0.0"
adapter = "webhook"
medium = "chat"
address = "opaque"
capabilities = ["text", "media", "location", "group", "reply"]
unconfirmed = true

[settings.key]
label = "Key"
secret = true

[settings.base]
label = "Where answers go"
kind = "url"

[receive]
methods = ["POST"]
content_types = ["application/json"]

[[verify]]
kind = "token"
from = "header:X-Key"
equals = "${key}"

[message]
each = ".body.messages[]"
id = ".id"
from = ".from"
text = ".text"
action = ".action"
attachments = '[.files[]? | {ref: .id, media_type: .type}]'
group = { key = ".album", window = "1s", max = "5s" }

[media]
hosts = ["files.obrolan.example"]
url = "https://files.obrolan.example/{{ ref }}"

[send]
url = "{{ settings.base }}/send"
encode = "json"
body = '{"to": {{ to }}, "text": {{ text }}, "key": {{ idempotency_key }}}'
rate = { per_second = 5000 }

[[sample]]
name = "two messages"
sign = true
settings = { key = "k", base = "http://127.0.0.1:1" }
url = "https://loket.example/in/obrolan"
headers = { "Content-Type" = "application/json" }
body = '{"messages":[{"id":"1","from":"a","text":"halo"},{"id":"2","from":"b","text":"halo"}]}'
[sample.expect]
verify = "pass"
messages = [{ id = "1" }, { id = "2" }]
"#;

const CHANNEL: &str =
    "manifest = \"obrolan\"\n[settings]\nkey = { file = \"chat_key\" }\nbase = \"http://127.0.0.1:PORT\"\n";

/// What arrived at one citizen, by the key of the answer.
#[derive(Default)]
struct Phone {
    answers: Vec<(String, String)>,
}

/// The side of the provider that takes answers.
#[derive(Clone, Default)]
struct Provider {
    phones: Arc<Mutex<HashMap<String, Phone>>>,
    rang: Arc<Notify>,
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
        let word = |name: &str| body[name].as_str().expect("a text").to_owned();
        let mut phones = provider.phones.lock().expect("no test panics with the lock");
        let phone = phones.entry(word("to")).or_default();
        // The same key is the same answer: it was sent again after a kill.
        if !phone.answers.iter().any(|(key, _)| *key == word("key")) {
            phone.answers.push((word("key"), word("text")));
        }
        drop(phones);
        provider.rang.notify_waiters();
        Json(json!({ "ok": true }))
    }

    fn answers(&self, to: &str) -> Vec<String> {
        let phones = self.phones.lock().expect("no test panics with the lock");
        phones.get(to).map(|phone| phone.answers.iter().map(|(_, text)| text.clone()).collect()).unwrap_or_default()
    }

    /// The answer behind the ones that were read already.
    async fn next(&self, to: &str, read: usize) -> String {
        let waiting = async {
            loop {
                let rang = self.rang.notified();
                if let Some(text) = self.answers(to).get(read) {
                    return text.clone();
                }
                let _ = tokio::time::timeout(Duration::from_millis(250), rang).await;
            }
        };
        let patience = Duration::from_mins(5);
        let text = tokio::time::timeout(patience, waiting).await;
        assert!(text.is_ok(), "{to} waits for answer {read}");
        text.unwrap_or_default()
    }
}

/// A citizen in front of a chat.
struct Citizen {
    name: String,
    provider: Provider,
    client: reqwest::Client,
    gateways: Arc<Vec<String>>,
    sent: usize,
    read: usize,
}

impl Citizen {
    /// One message, delivered until it is taken, and sometimes again.
    async fn sends(&mut self, mut message: Value) {
        self.sent += 1;
        message["id"] = json!(format!("{}-{}", self.name, self.sent));
        message["from"] = json!(self.name);
        let body = json!({ "messages": [message] }).to_string();
        self.deliver(body.clone()).await;
        if self.sent % 5 == self.name.len() % 5 {
            self.deliver(body).await;
        }
    }

    async fn deliver(&self, body: String) {
        for attempt in 0..2_000_usize {
            // Now to this gateway, now to that, in no pattern.
            let gateway = &self.gateways[(self.sent * 7 + attempt + self.name.len()) % self.gateways.len()];
            let request = self.client.post(format!("{gateway}/in/obrolan")).header("x-key", "chat-key");
            let request = request.header("content-type", "application/json").timeout(Duration::from_secs(10));
            match request.body(body.clone()).send().await {
                Ok(response) if response.status() == 200 => return,
                _ => tokio::time::sleep(Duration::from_millis(25)).await,
            }
        }
        unreachable!("{}: no gateway takes a message", self.name);
    }

    async fn says(&mut self, text: &str) {
        self.sends(json!({ "text": text })).await;
    }

    async fn hears(&mut self) -> String {
        let text = self.provider.next(&self.name, self.read).await;
        self.read += 1;
        text
    }

    /// Answers whatever is asked until the number is there; how often, at most, is bounded.
    async fn answers_until_the_number(&mut self, yes: &str, send: &str, skip: &str) -> String {
        let mut before = String::new();
        for _ in 0..40 {
            let heard = self.hears().await;
            let question = heard.rsplit("\n\n").next().unwrap_or_default().to_owned();
            // Photos that came late are answered with the question that stands there already.
            if question == before {
                continue;
            }
            before.clone_from(&question);
            let asks = |words: &[&str]| words.iter().any(|words| question.contains(words));
            if asks(&["Nomor lacak", "Tracking number", "dengan nomor", "already have this"]) {
                return question;
            } else if asks(&["Lanjutkan membuat", "Shall we continue"]) {
                self.says(yes).await;
            } else if asks(&["Periksa laporan", "check your report"]) {
                self.says(send).await;
            } else if asks(&["Apa yang ingin", "What would you like"]) {
                self.says("1").await;
            } else if asks(&["Tercatat", "Noted"]) {
                self.says("SELESAI").await;
            } else if asks(&["Di mana lokasinya", "Where is it"]) {
                self.says(&format!("Jl. Melati {}", self.name)).await;
            } else {
                self.says(skip).await;
            }
        }
        unreachable!("{} gets no number: {:?}", self.name, self.provider.answers(&self.name));
    }
}

/// What a citizen meant to report.
fn words(name: &str) -> String {
    format!("Lampu jalan di depan rumah {name} padam sejak Senin dan warga takut lewat.")
}

fn english(name: &str) -> String {
    format!("The street light in front of house {name} has been broken since Monday and people are afraid.")
}

/// One whole conversation in the manner of its number; the description that has to come of it.
async fn converses(mut citizen: Citizen, number: usize) -> (String, String, usize) {
    let name = citizen.name.clone();
    let (indonesian, other) = (words(&name), english(&name));
    let wanted = match number % 7 {
        // Happy, in one language or the other.
        0 => {
            citizen.says(&indonesian).await;
            citizen.answers_until_the_number("ya", "kirim", "lewati").await;
            indonesian
        }
        1 => {
            citizen.says(&other).await;
            citizen.answers_until_the_number("yes", "send", "skip").await;
            other
        }
        // In a hurry: the next message goes before the answer to the last is there.
        2 => {
            citizen.says("tolong pak").await;
            citizen.says(&indonesian).await;
            citizen.hears().await;
            citizen.hears().await;
            citizen.says("ya").await;
            citizen.answers_until_the_number("ya", "kirim", "lewati").await;
            format!("tolong pak\n{indonesian}")
        }
        // Mistypes, and is understood the second time.
        3 => {
            citizen.says(&indonesian).await;
            citizen.hears().await;
            citizen.says("yaaa").await;
            citizen.answers_until_the_number("ya", "kirim", "lewati").await;
            format!("{indonesian}\nyaaa")
        }
        // Changes the mind, and begins anew.
        4 => {
            citizen.says("Sampah menumpuk di pasar").await;
            citizen.hears().await;
            citizen.says("BATAL").await;
            citizen.hears().await;
            citizen.says(&indonesian).await;
            citizen.answers_until_the_number("setuju", "kirim", "lewati").await;
            indonesian
        }
        // Changes the language in the middle.
        5 => {
            citizen.says(&indonesian).await;
            citizen.hears().await;
            citizen.says("bahasa en").await;
            citizen.hears().await;
            citizen.says("yes").await;
            citizen.answers_until_the_number("yes", "send", "skip").await;
            indonesian
        }
        // Ten photos at once, in no order, the words on one of them.
        _ => {
            for place in [7, 2, 9, 1, 0, 5, 8, 3, 6, 4] {
                let file = json!({ "id": format!("{name}-f{place}"), "type": "image/jpeg" });
                let caption = (place == 3).then_some(&indonesian);
                citizen.sends(json!({ "text": caption, "album": "a1", "files": [file] })).await;
            }
            citizen.answers_until_the_number("ya", "kirim", "lewati").await;
            indonesian
        }
    };
    (name, wanted, citizen.sent)
}

fn prepare(world: &World, port: u16) {
    world.write("channels/obrolan.toml", MANIFEST);
    world.write("config/chat_key", "chat-key");
    world.write("config/channels/obrolan.toml", &CHANNEL.replace("PORT", &port.to_string()));
}

fn citizen(number: usize, provider: &Provider, client: &reqwest::Client, gateways: &Arc<Vec<String>>) -> Citizen {
    Citizen {
        name: format!("warga-{number:04}"),
        provider: provider.clone(),
        client: client.clone(),
        gateways: Arc::clone(gateways),
        sent: 0,
        read: 0,
    }
}

/// Every complaint in the queue, by who wrote it.
async fn complaints(client: &reqwest::Client, base: &str) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    loop {
        let request = client.post(format!("{base}/v1/queues/triage/lease")).bearer_auth(TOKEN);
        let request = request.header("content-type", "application/json");
        let body = json!({ "max": 100, "visibility_seconds": 600, "wait_seconds": 2 }).to_string();
        let text = request.body(body).send().await.expect("a reply").text().await.expect("a body");
        let leased: Value = serde_json::from_str(&text).expect("JSON");
        let deliveries = leased["deliveries"].as_array().expect("a list");
        if deliveries.is_empty() {
            return found;
        }
        for delivery in deliveries {
            let event = &delivery["event"];
            assert_eq!(event["type"], "id.loket.complaint.received.v1", "{event}");
            let who = event["data"]["reporter"]["contact_points"][0]["value"].as_str().expect("a name").to_owned();
            found.entry(who).or_default().push(event["data"].clone());
        }
    }
}

fn judge(ends: &[(String, String, usize)], found: &BTreeMap<String, Vec<Value>>, provider: &Provider) {
    for (name, wanted, sent) in ends {
        let mine = found.get(name).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(mine.len(), 1, "{name} has {} complaints", mine.len());
        assert_eq!(mine[0]["description"].as_str(), Some(wanted.as_str()), "{name}: {:#?}", provider.answers(name));
        let files = mine[0]["attachments"].as_array().map_or(0, Vec::len);
        assert!(files == 0 || files == 10, "{name} has {files} files");
        assert!(provider.answers(name).len() <= *sent, "{name}: more answers than messages");
    }
    let known: BTreeSet<_> = ends.iter().map(|(name, ..)| name).collect();
    assert!(found.keys().all(|name| known.contains(name)), "complaints of nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn citizens_of_every_manner_end_with_their_one_complaint_and_the_books_balance() {
    let (provider, port) = Provider::listen().await;
    let world = World::prepare().await;
    prepare(&world, port);
    let world = world.serve().await;
    let gateways = Arc::new(vec![world.url("").trim_end_matches('/').to_owned()]);

    let talks = (0..70).map(|number| converses(citizen(number, &provider, &world.client, &gateways), number));
    let ends = join_all(talks).await;

    world.quiet().await;
    let found = complaints(&world.client, &gateways[0]).await;
    judge(&ends, &found, &provider);
    assert!(world.metric("loket_outcome_total", "outcome=\"expired\"").await >= 10, "cancelled drafts are expired");
    world.stop_and_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_survives_a_restart_in_the_middle_of_a_conversation() {
    let (provider, port) = Provider::listen().await;
    let world = World::prepare().await;
    prepare(&world, port);
    let mut world = world.serve().await;
    let mut one = citizen(1, &provider, &world.client, &Arc::new(vec![world.url("")]));
    let said = words(&one.name);
    one.says(&said).await;
    assert!(one.hears().await.contains("Lanjutkan membuat laporan?"));

    world.stop().await;
    world.resume().await;

    one.gateways = Arc::new(vec![world.url("")]);
    one.says("ya").await;
    let number = one.answers_until_the_number("ya", "kirim", "lewati").await;
    let event = world.wait_for_events(1).await.remove(0);
    assert_eq!(event["data"]["description"], said.as_str());
    assert!(number.contains(event["data"]["tracking_id"].as_str().expect("a number")));
    assert_eq!(event["data"]["channel"]["message_ids"].as_array().map(Vec::len), Some(4));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_texts_and_the_questions_of_an_operator_are_those_that_a_citizen_reads() {
    let (provider, port) = Provider::listen().await;
    let world = World::prepare().await;
    prepare(&world, port);
    std::fs::create_dir_all(world.folder.path().join("config/locales")).expect("a folder");
    world.write("config/locales/id.ftl", "chat-ask_when = Sejak kapan?\n");
    world.write(
        "config/conversation.toml",
        "order = [\"description\", \"when\", \"review\"]\nquick = [\"description\", \"when\", \"review\"]\n",
    );
    let world = world.serve().await;
    let mut one = citizen(1, &provider, &world.client, &Arc::new(vec![world.url("")]));
    one.says(&words(&one.name)).await;
    let question = one.hears().await;
    assert!(
        question.contains("Sebelum mulai") && question.ends_with("Sejak kapan?\n1. Hari ini\n2. Kemarin\n3. Lewati"),
        "{question}"
    );
    one.says("20/11").await;
    assert!(one.hears().await.contains("Periksa laporan Anda"));
    one.says("kirim").await;
    let event = world.wait_for_events(1).await.remove(0);
    assert_eq!(event["data"]["consent"]["method"], "implied_by_message");
    assert_eq!(event["data"]["incident_datetime_text"], "20/11");
    world.finish().await;
}

/// How many talk at once in the test with kills.
const CROWD: usize = 200;

async fn a_crowd_talks_while_gateways_are_killed(stores: &[String], kills: usize) {
    let (provider, chat_port) = Provider::listen().await;
    let mut worlds = Vec::new();
    for store in stores {
        let mut world = World::prepare().await;
        store.clone_into(&mut world.store);
        prepare(&world, chat_port);
        worlds.push((world, free_port()));
    }
    let client = worlds[0].0.client.clone();
    let bases: Vec<_> = worlds.iter().map(|(_, port)| format!("http://127.0.0.1:{port}")).collect();
    let mut processes: Vec<_> = worlds.iter().map(|(world, port)| Process::start(world, *port)).collect();
    for base in &bases {
        ready(&client, base).await;
    }
    let gateways = Arc::new(bases.clone());
    let over = Arc::new(AtomicUsize::new(0));

    let talks = (0..CROWD).map(|number| {
        let (over, citizen) = (Arc::clone(&over), citizen(number, &provider, &client, &gateways));
        tokio::spawn(async move {
            let end = converses(citizen, number).await;
            over.fetch_add(1, Ordering::Relaxed);
            end
        })
    });
    let talks: Vec<_> = talks.collect();
    for kill in 0..kills {
        // Each time when some have ended and most are in the middle.
        while over.load(Ordering::Relaxed) < CROWD * kill / (kills + 1)
            && !talks.iter().all(tokio::task::JoinHandle::is_finished)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let place = kill % processes.len();
        processes[place].kill();
        processes[place] = Process::start(&worlds[place].0, worlds[place].1);
        ready(&client, &bases[place]).await;
    }
    let ends: Vec<_> = join_all(talks).await.into_iter().map(|end| end.expect("a citizen does not panic")).collect();

    let found = complaints(&client, &bases[0]).await;
    judge(&ends, &found, &provider);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_talk_in_words_while_two_gateways_on_one_redis_are_killed() {
    let server = Server::start(&[]).await;
    a_crowd_talks_while_gateways_are_killed(&[server.url(), server.url()], 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_talk_in_words_while_a_gateway_on_its_own_store_is_killed() {
    a_crowd_talks_while_gateways_are_killed(&["embedded".to_owned()], 3).await;
}
