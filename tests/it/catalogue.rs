//! Every manifest of the catalogue, once through a running gateway: a sample as its provider would send it, the complaint in the
//! queue, the acknowledgement out in the provider's format, and the report on it back.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, body::Bytes, extract::State, http::Uri, routing::any};
use futures_util::future::join_all;
use loket::{
    acknowledge::outbox_id,
    adapter::webhook::rules::SendRules,
    channel::{
        Slot,
        folders::{Files, Folders},
        manifest::{ExpectVerify, Manifest, Sample, SampleSetting, SettingKind, SettingRules},
        provider::Provider,
        sample,
    },
    clock,
    complaint::Medium,
    receipt::{ChannelId, Request},
    runtime,
    store::OutboxEntry,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{PUBLIC_URL, World, repository, until};

/// The API of a provider: it takes everything, and answers as it was told to.
#[derive(Clone, Default)]
struct Sink {
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<Value>>,
}

impl Sink {
    async fn listen() -> (Self, String) {
        let sink = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(any(Self::take)).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (sink, base)
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn take(State(sink): State<Self>, uri: Uri, body: Bytes) -> Json<Value> {
        let asked = format!("{uri} {}", String::from_utf8_lossy(&body));
        let is_for_a_token = asked.contains("client_credentials");
        if is_for_a_token {
            return Json(json!({ "access_token": "made-up", "token_type": "bearer", "expires_in": 3600 }));
        }
        sink.asked.lock().expect("no test panics with the lock").push(asked);
        Json(sink.answer.lock().expect("no test panics with the lock").clone())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics with the lock").clone()
    }
}

/// A manifest with the sample that is sent.
struct Tried {
    provider: Arc<Provider>,
    text: String,
    sample: Sample,
}

impl Tried {
    fn manifest(&self) -> &Manifest {
        &self.provider.manifest
    }

    fn id(&self) -> &str {
        &self.manifest().id
    }

    /// A chat asks before there is a complaint.
    fn asks(&self) -> bool {
        matches!(self.manifest().medium, Medium::Chat | Medium::Telegram | Medium::Whatsapp)
    }

    /// The sample as it comes to the channel.
    fn request(&self, sample: &Sample) -> Request {
        let sent = sample::sent_to(&self.provider.parts(), sample, self.id(), PUBLIC_URL, clock::now());
        sent.unwrap_or_else(|reasons| unreachable!("{}: {reasons:?}", self.id()))
    }

    /// The first report of the samples, and whose answer it is about.
    fn report(&self) -> Option<(&Sample, String)> {
        self.manifest().samples.iter().filter(|sample| is_genuine(&self.provider, sample)).find_map(|sample| {
            let id = sample.expect.receipts.as_ref()?.first()?.get("id")?.as_str()?;
            Some((sample, id.to_owned()))
        })
    }
}

/// Words of a person, as the gateway can sign them now.
fn is_message(provider: &Provider, sample: &Sample) -> bool {
    let says = |messages: &Vec<serde_json::Map<String, Value>>| {
        messages.len() == 1
            && messages[0].get("text").and_then(Value::as_str).is_some_and(|text| !text.is_empty())
            && ["edit_of", "group", "unsupported", "action"]
                .iter()
                .all(|key| messages[0].get(*key).is_none_or(Value::is_null))
    };
    is_genuine(provider, sample) && sample.expect.messages.as_ref().is_some_and(says)
}

/// Can it be sent now? A signature that is in the file already may be over its URL and its time.
fn is_genuine(provider: &Provider, sample: &Sample) -> bool {
    let passes = sample.expect.verify == Some(ExpectVerify::Pass) && sample.file.is_none();
    let is_made_up = sample
        .settings
        .values()
        .any(|value| matches!(value, SampleSetting::One(Value::String(text)) if text == "@generated"));
    passes && !is_made_up && (sample.sign || (sample.now.is_none() && !provider.scheme.binds_url()))
}

/// Every manifest whose provider calls by HTTP and is answered.
fn catalogue() -> Vec<Tried> {
    let folders = Folders { manifests: repository("channels"), channels: repository("channels/none") };
    let files = Files::read(&folders);
    let check = |(name, file): (&String, &loket::channel::folders::TomlFile)| {
        let checked = Provider::check(name, &file.source, &files.recordings, clock::now(), runtime::normalised);
        let provider = checked.provider.unwrap_or_else(|| unreachable!("{name} is no good manifest"));
        provider.engine.webhook().and_then(|webhook| webhook.send.as_ref())?;
        let sample = provider.manifest.samples.iter().find(|sample| is_message(&provider, sample))?.clone();
        Some(Tried { text: file.source.text.clone(), sample, provider })
    };
    files.manifests.iter().filter_map(check).collect()
}

/// The manifest as it ships, but that its answers go to the sink.
fn redirected(text: &str, base: &str) -> String {
    let mut in_send = false;
    let line = |line: &str| {
        if let Some(section) = line.trim().strip_prefix('[') {
            in_send = section.starts_with("send]") || section.starts_with("send.");
        }
        let is_url = line.trim_start().starts_with("url") || line.trim_start().starts_with("auth");
        if !(in_send && is_url) {
            return line.to_owned();
        }
        let Some(at) = line.find("\"http") else { return line.to_owned() };
        let host = at + 1 + line[at + 1..].find("://").map_or(0, |place| place + 3);
        let end = line[host..].find(['/', '?', '"']).map_or(line.len(), |place| host + place);
        format!("{}{base}{}", &line[..=at], &line[end..])
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn value_of(name: &str, rules: &SettingRules, sample: &Sample, base: &str) -> Option<Vec<String>> {
    if rules.kind == SettingKind::Url {
        return Some(vec![base.to_owned()]);
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (sample.settings.get(name), &rules.example) {
        (Some(SampleSetting::Many(values)), _) => Some(values.clone()),
        (Some(SampleSetting::One(value)), _) => Some(vec![text(value)]),
        (None, _) if !rules.is_required() => None,
        (None, Some(example)) => Some(vec![text(example)]),
        (None, None) => Some(vec!["made-up".to_owned()]),
    }
}

fn write(world: &World, tried: &Tried, base: &str, more: &str) {
    let id = tried.id();
    world.write(&format!("channels/{id}.toml"), &redirected(&tried.text, base));
    let mut channel = format!("manifest = \"{id}\"\n{more}\n[settings]\n");
    for (name, rules) in &tried.manifest().settings {
        let Some(values) = value_of(name, rules, &tried.sample, base) else { continue };
        if rules.secret {
            let files: Vec<_> =
                (0..values.len()).map(|place| format!("{{ file = \"{id}-{name}-{place}\" }}")).collect();
            for (place, value) in values.iter().enumerate() {
                world.write(&format!("config/{id}-{name}-{place}"), value);
            }
            let written = if files.len() == 1 { files[0].clone() } else { format!("[{}]", files.join(", ")) };
            channel.extend([name, " = ", &written, "\n"]);
        } else {
            let value = values.join(",");
            let is_bare = matches!(rules.kind, SettingKind::Boolean | SettingKind::Number);
            let written = if is_bare { value } else { format!("{value:?}") };
            channel.extend([name, " = ", &written, "\n"]);
        }
    }
    world.write(&format!("config/channels/{id}.toml"), &channel);
}

/// A document in which a path like `.body.messages[0].id` finds the value; None where the filter is more than a path.
fn document(filter: &str, value: &Value) -> Option<Value> {
    let path = filter.split("//").next()?.trim().strip_prefix(".body")?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '[' | ']');
    if path.is_empty() || !path.chars().all(is_plain) {
        return None;
    }
    let steps = path.replace('[', ".[");
    Some(steps.split('.').rev().filter(|step| !step.is_empty()).fold(value.clone(), |inner, step| {
        match step.strip_prefix('[').and_then(|step| step.strip_suffix(']')?.parse::<usize>().ok()) {
            Some(place) => {
                let mut list = vec![inner.clone(); place];
                list.push(inner);
                Value::Array(list)
            }
            None => json!({ step: inner }),
        }
    }))
}

/// One document of both.
fn merged(into: Value, from: Value) -> Value {
    match (into, from) {
        (Value::Object(mut into), Value::Object(from)) => {
            for (name, value) in from {
                let before = into.remove(&name);
                into.insert(name, before.map_or(value.clone(), |before| merged(before, value)));
            }
            Value::Object(into)
        }
        (Value::Array(into), Value::Array(from)) => {
            let places = into.len().max(from.len());
            let at = |list: &Vec<Value>, place: usize| list.get(place).cloned().unwrap_or(Value::Null);
            Value::Array((0..places).map(|place| merged(at(&into, place), at(&from, place))).collect())
        }
        (into, Value::Null) => into,
        (_, from) => from,
    }
}

/// What the provider has to answer so that our answer gets this id; None where only the provider could say.
fn answer_with(rules: &SendRules, id: &str) -> Option<Value> {
    let mut answer = document(rules.external_id.as_deref()?, &json!(id))?;
    if let Some(ok) = &rules.ok {
        let (path, wanted) = ok.split_once("==")?;
        answer = merged(answer, document(path.trim(), &serde_json::from_str(wanted.trim()).ok()?)?);
    }
    Some(answer)
}

async fn post(world: &World, tried: &Tried, sample: &Sample) -> (u16, String) {
    let request = tried.request(sample);
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).expect("a method");
    let mut sent = world.client.request(method, world.url(&request.target));
    for (name, value) in &request.headers {
        sent = sent.header(name, value.as_slice());
    }
    if let Some(remote) = sample.remote {
        sent = sent.header("x-forwarded-for", remote.to_string());
    }
    let response = sent.body(request.body.to_vec()).send().await.expect("a reply");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

/// A gateway with this channel.
async fn open(tried: &Tried, more: &str) -> (World, Sink) {
    let (sink, base) = Sink::listen().await;
    let world = World::prepare().await;
    world.write("config/loket.toml", "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n");
    write(&world, tried, &base, more);
    let world = world.serve().await;
    let set = world.gateway().app.channels.borrow().clone();
    assert!(set.slots.values().all(|slot| matches!(slot, Slot::Open(_))), "{}: {:#?}", tried.id(), set.slots);
    (world, sink)
}

/// The acknowledgement of the complaint, which a chat has none of yet.
async fn acknowledgement(world: &World, tried: &Tried, events: &[(String, Value)]) -> Option<OutboxEntry> {
    let channel = ChannelId::new(tried.id()).expect("a slug");
    let id = outbox_id(&channel, events.first()?.1["id"].as_str().expect("an id"));
    world.gateway().app.store.outbox_entry(&channel, &id).await.expect("the store answers")
}

/// Why it did not leave.
async fn failure(world: &World, tried: &Tried, events: &[(String, Value)]) -> Option<String> {
    acknowledgement(world, tried, events).await?.failure
}

/// Whether a report came back is told.
async fn whole_way(tried: Arc<Tried>) -> bool {
    let tried = &*tried;
    let (world, sink) = open(tried, "").await;
    let report = tried.report();
    let answer = report.as_ref().and_then(|(_, id)| answer_with(tried.manifest().send.as_ref()?, id));
    if let Some(answer) = &answer {
        *sink.answer.lock().expect("no test panics with the lock") = answer.clone();
    }
    let (status, body) = post(&world, tried, &tried.sample).await;
    assert!((200..300).contains(&status), "{}: the message is answered {status} {body}", tried.id());
    world.quiet().await;
    let events = world.events().await;
    let answered = async || {
        let has_left = !sink.asked().is_empty();
        let failure = failure(&world, tried, &events).await;
        assert!(has_left || failure.is_none(), "{}: {failure:?}", tried.id());
        has_left.then_some(())
    };
    until(&format!("{} answers", tried.id()), answered).await;
    assert_eq!(events.len(), usize::from(!tried.asks()), "{}: {events:#?}", tried.id());
    let hears = report.filter(|_| answer.is_some());
    if let Some((sample, _)) = &hears {
        let (status, body) = post(&world, tried, sample).await;
        assert!((200..300).contains(&status), "{}: the report is answered {status} {body}", tried.id());
        let joined = async || {
            if tried.asks() {
                return (world.metric("loket_delivery_reports_total", "").await > 0).then_some(());
            }
            acknowledgement(&world, tried, &events).await?.status.map(|_| ())
        };
        until(&format!("{} hears of its answer", tried.id()), joined).await;
    }
    world.finish().await;
    hears.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_manifest_takes_a_message_and_answers_it_and_hears_what_became_of_the_answer() {
    let all: Vec<_> = catalogue().into_iter().map(Arc::new).collect();
    assert!(all.len() >= 50, "{} manifests", all.len());
    let (mut reports, mut failed) = (0, Vec::new());
    for some in all.chunks(4) {
        let ways = join_all(some.iter().map(|tried| tokio::spawn(whole_way(Arc::clone(tried))))).await;
        for (tried, way) in some.iter().zip(ways) {
            match way {
                Ok(heard) => reports += usize::from(heard),
                Err(_) => failed.push(tried.id()),
            }
        }
    }
    assert!(failed.is_empty(), "these fail, as is said above: {failed:?}");
    println!("{} manifests, {reports} with a report", all.len());
    assert!(reports >= 20, "{reports} heard what became of their answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_chat_that_is_not_to_ask_makes_a_complaint_of_the_message() {
    for tried in catalogue().iter().filter(|tried| tried.asks()) {
        let (world, _sink) = open(tried, "acknowledge = false").await;
        let (status, body) = post(&world, tried, &tried.sample).await;
        assert!((200..300).contains(&status), "{}: {status} {body}", tried.id());
        world.wait_for_events(1).await;
        world.finish().await;
    }
}
