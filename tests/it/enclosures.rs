//! Files that the core sends with its answers, over real sockets: handed in, refused or accepted, and at the citizen's provider
//! byte by byte.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    http::StatusCode,
    routing::post,
};
use jiff::SignedDuration;
use loket::clock;
use ring::digest;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{
    harness::{TOKEN, World, body_signature, repository, until},
    media::PHOTO,
};

pub const WORDS: &str = "Lampu jalan di depan pasar padam sejak Senin, warga takut lewat malam hari.";
pub const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\r\n<< /Title (Surat tugas) >>\r\n--\r\n\xff\xfe\0endobj\n%%EOF\n";
const SECRET: &str = "made-up-secret";

/// A request to send that a provider was asked.
#[derive(Clone, Debug, Default)]
struct Asked {
    method: String,
    /// The JSON of it, or the fields of its form.
    said: Value,
    /// Field, name and type of the file, and its bytes.
    file: Option<([String; 3], Vec<u8>)>,
}

/// The APIs of Telegram and WhatsApp, as far as answers go.
#[derive(Clone, Default)]
struct Apis {
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Methods that fail as often as they stand here.
    failing: Arc<Mutex<Vec<&'static str>>>,
}

impl Apis {
    async fn listen() -> (Self, u16) {
        let apis = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new()
            .route("/bot{token}/{method}", post(Self::telegram))
            .route("/v22.0/777/messages", post(Self::graph))
            .with_state(apis.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (apis, port)
    }

    /// `sendMessage` takes JSON, the methods with a file `multipart/form-data`: <https://core.telegram.org/bots/api#sending-files>.
    async fn telegram(
        State(apis): State<Self>,
        Path((token, method)): Path<(String, String)>,
        request: Request,
    ) -> (StatusCode, Json<Value>) {
        assert_eq!(token, "1:made-up");
        let kind = request.headers()["content-type"].to_str().expect("a type").to_owned();
        assert!(request.headers().contains_key("content-length"), "the length is known, and told");
        let body = request.into_body();
        let asked = if let Some(boundary) = kind.strip_prefix("multipart/form-data; boundary=") {
            taken_apart(&method, boundary, body).await
        } else {
            let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            Asked { method: method.clone(), said: serde_json::from_slice(&bytes).expect("JSON"), file: None }
        };
        if apis.fails(&method) {
            let error = json!({ "ok": false, "error_code": 429, "parameters": { "retry_after": 1 } });
            return (StatusCode::TOO_MANY_REQUESTS, Json(error));
        }
        let chat = asked.said["chat_id"].clone();
        let number = apis.note(asked);
        let result = json!({ "message_id": number, "chat": { "id": chat } });
        (StatusCode::OK, Json(json!({ "ok": true, "result": result })))
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn graph(State(apis): State<Self>, Json(said): Json<Value>) -> Json<Value> {
        let method = said["type"].as_str().expect("a type").to_owned();
        let number = apis.note(Asked { method, said, file: None });
        Json(json!({ "messages": [{ "id": format!("wamid.out{number}") }] }))
    }

    fn note(&self, asked: Asked) -> usize {
        let mut all = self.asked.lock().expect("no test panics with the lock");
        all.push(asked);
        all.len()
    }

    fn fails(&self, method: &str) -> bool {
        let mut failing = self.failing.lock().expect("no test panics with the lock");
        let place = failing.iter().position(|name| *name == method);
        place.map(|place| failing.remove(place)).is_some()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics with the lock").clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<Asked> {
        until(&format!("{count} requests at the provider"), async || {
            let asked = self.asked();
            (asked.len() >= count).then_some(asked)
        })
        .await
    }
}

async fn taken_apart(method: &str, boundary: &str, body: Body) -> Asked {
    let mut asked = Asked { method: method.to_owned(), said: json!({}), file: None };
    let mut form = multer::Multipart::new(body.into_data_stream(), boundary);
    while let Some(field) = form.next_field().await.expect("a form") {
        let name = field.name().expect("a name").to_owned();
        match field.file_name().map(str::to_owned) {
            Some(filename) => {
                let kind = field.content_type().expect("a type").to_string();
                asked.file = Some(([name, filename, kind], field.bytes().await.expect("bytes").to_vec()));
            }
            None => asked.said[name] = field.text().await.expect("text").into(),
        }
    }
    asked
}

/// A gateway with the channels `telegram`, `wa` and `sms`.
async fn chats() -> (World, Apis) {
    chats_within(24).await
}

/// `hours` is how long WhatsApp takes more than a template.
async fn chats_within(hours: u32) -> (World, Apis) {
    let (apis, port) = Apis::listen().await;
    let world = World::prepare().await;
    world.add_twilio("sms");
    world.write("config/secret", SECRET);
    world.write("config/bot_token", "1:made-up");
    world.manifest("telegram");
    let manifest = std::fs::read_to_string(repository("channels/whatsapp-cloud.toml")).expect("a manifest");
    world.write("channels/whatsapp-cloud.toml", &manifest.replace("hours = 24,", &format!("hours = {hours},")));
    world.write(
        "config/channels/telegram.toml",
        &format!(
            "manifest = \"telegram\"\n[settings]\nbot_token = {{ file = \"bot_token\" }}\nsecret_token = {{ file = \"secret\" }}\napi_url = \"http://127.0.0.1:{port}\"\n"
        ),
    );
    for file in ["wa_secret", "wa_verify", "wa_access"] {
        world.write(&format!("config/{file}"), &format!("made-up-{file}"));
    }
    world.write(
        "config/channels/wa.toml",
        &format!(
            "manifest = \"whatsapp-cloud\"\n[settings]\napp_secret = {{ file = \"wa_secret\" }}\nverify_token = {{ file = \"wa_verify\" }}\naccess_token = {{ file = \"wa_access\" }}\nphone_number_id = \"777\"\ngraph_url = \"http://127.0.0.1:{port}\"\n"
        ),
    );
    world.write("config/loket.toml", "[media]\nfree_space = \"1 MiB\"\nmax_size = \"1 MiB\"\n");
    (world.serve().await, apis)
}

/// What a citizen types until the complaint is there; its id.
async fn complains_on_telegram(world: &World, apis: &Apis) -> String {
    for (number, text) in (1..).zip([WORDS, "ya", "lewati", "kirim"]) {
        let message = json!({ "message_id": number, "date": 1_795_493_648, "chat": { "id": 5, "type": "private" },
            "from": { "id": 5, "first_name": "Siti", "language_code": "id" }, "text": text });
        let body = json!({ "update_id": number, "message": message });
        let request = world.client.post(world.url("/in/telegram")).header("content-type", "application/json");
        let request = request.header("x-telegram-bot-api-secret-token", SECRET).body(body.to_string());
        assert_eq!(request.send().await.expect("a reply").status(), 200);
        apis.wait_for(number).await;
    }
    complaint(world).await
}

async fn complains_on_whatsapp(world: &World, apis: &Apis) -> String {
    for (number, text) in (1..).zip([WORDS, "ya", "lewati", "kirim"]) {
        let message = json!({ "from": "6281100000001", "id": format!("wamid.{number}"), "timestamp": "1795493648",
            "type": "text", "text": { "body": text } });
        let value = json!({ "metadata": { "phone_number_id": "777" }, "contacts": [], "messages": [message] });
        let change = json!({ "field": "messages", "value": value });
        let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [change] }] });
        let signature = format!("sha256={}", body_signature("made-up-wa_secret", &body.to_string()));
        let request = world.client.post(world.url("/in/wa")).header("content-type", "application/json");
        let request = request.header("x-hub-signature-256", signature).body(body.to_string());
        assert_eq!(request.send().await.expect("a reply").status(), 200);
        apis.wait_for(number).await;
    }
    complaint(world).await
}

pub async fn complaint(world: &World) -> String {
    let event = world.wait_for_events(1).await.remove(0);
    event["data"]["complaint_id"].as_str().expect("an id").to_owned()
}

/// Hands a file in; status and answer.
pub async fn hand_in_as(world: &World, token: &str, name: &str, bytes: &[u8]) -> (u16, Value) {
    let request = world.client.post(world.url("/v1/attachments")).bearer_auth(token);
    let request = request.header("content-disposition", format!("attachment; filename=\"{name}\""));
    let response = request.body(bytes.to_vec()).send().await.expect("a reply");
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.expect("a body")).unwrap_or_default())
}

pub async fn hand_in(world: &World, name: &str, bytes: &[u8]) -> Value {
    let (status, answer) = hand_in_as(world, TOKEN, name, bytes).await;
    assert_eq!(status, 201, "{answer}");
    answer
}

pub async fn reply(world: &World, complaint: &str, key: &str, attachments: Value) -> (u16, Value) {
    let body = json!({ "text": "Terlampir suratnya.", "idempotency_key": key, "attachments": attachments });
    world.api(&format!("/v1/complaints/{complaint}/replies"), body).await
}

pub fn hash(bytes: &[u8]) -> String {
    loket::complaint::hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_reach_telegram_byte_by_byte_and_a_busy_provider_gets_none_twice() {
    let (world, apis) = chats().await;
    let complaint = complains_on_telegram(&world, &apis).await;
    let photo = hand_in(&world, "lampu.jpg", PHOTO).await;
    let letter = hand_in(&world, "surat \u{202e}tugas.pdf", PDF).await;
    assert_eq!((&letter["media_type"], &letter["size_bytes"]), (&json!("application/pdf"), &json!(PDF.len())));
    assert_eq!(letter["sha256"], hash(PDF));
    apis.failing.lock().expect("no test panics with the lock").push("sendDocument");
    let attachments = json!([
        { "attachment_id": photo["attachment_id"], "caption": "Lampu \"baru\"\nsudah dipasang" },
        { "attachment_id": letter["attachment_id"] },
    ]);
    let (status, accepted) = reply(&world, &complaint, "k1", attachments.clone()).await;
    assert_eq!(status, 202, "{accepted}");
    let (status, again) = reply(&world, &complaint, "k1", attachments).await;
    assert_eq!((status, &again["repeated"]), (202, &json!(true)));

    let asked = apis.wait_for(7).await;

    let methods: Vec<_> = asked[4..].iter().map(|asked| asked.method.as_str()).collect();
    assert_eq!(methods, ["sendMessage", "sendPhoto", "sendDocument"]);
    assert_eq!(asked[4].said["text"], "Terlampir suratnya.");
    assert_eq!(asked[5].said, json!({ "chat_id": "5", "caption": "Lampu \"baru\"\nsudah dipasang" }));
    let (named, bytes) = asked[5].file.clone().expect("a file");
    assert_eq!(named, ["photo", "lampu.jpg", "image/jpeg"].map(str::to_owned));
    assert_eq!(hash(&bytes), photo["sha256"].as_str().expect("a hash"));
    assert!(!bytes.windows(4).any(|word| word == b"Siti"), "what a picture says of its maker is taken out");
    let (named, bytes) = asked[6].file.clone().expect("a file");
    assert_eq!(named, ["document", "surat tugas.pdf", "application/pdf"].map(str::to_owned));
    assert_eq!(bytes, PDF);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatsapp_fetches_a_file_by_a_link_that_is_good_for_it_alone() {
    let (world, apis) = chats().await;
    let complaint = complains_on_whatsapp(&world, &apis).await;
    let letter = hand_in(&world, "surat.pdf", PDF).await;
    let attachments = json!([{ "attachment_id": letter["attachment_id"], "filename": "Jawaban.pdf" }]);
    assert_eq!(reply(&world, &complaint, "k1", attachments).await.0, 202);

    let document = apis.wait_for(6).await.remove(5).said;

    assert_eq!((&document["to"], &document["document"]["filename"]), (&json!("6281100000001"), &json!("Jawaban.pdf")));
    let link = document["document"]["link"].as_str().expect("a link");
    let path = link.strip_prefix("https://loket.example").expect("a link of ours");
    let response = world.client.get(world.url(path)).send().await.expect("a reply");
    assert_eq!(response.status(), 200);
    let told = |name: &str| response.headers()[name].to_str().expect("a value").to_owned();
    assert_eq!((told("content-type"), told("content-length")), ("application/pdf".into(), PDF.len().to_string()));
    assert_eq!((told("x-content-type-options"), told("cache-control")), ("nosniff".into(), "private, no-store".into()));
    assert!(
        told("content-disposition").starts_with("attachment;") && told("content-security-policy").contains("sandbox")
    );
    assert_eq!(response.bytes().await.expect("a body"), PDF);
    // Wrong, over, of no file and made with another key: all answer alike.
    let app = &world.gateway().app;
    let id: Uuid = letter["attachment_id"].as_str().expect("an id").parse().expect("a UUID");
    let (key, now) = (app.gateway.reporter_key(), clock::now());
    let (hour, other) = (SignedDuration::from_hours(1), ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"other"));
    let token = |key, id, until| loket::media::link::token(key, id, "answer", until);
    let mut answers = Vec::new();
    for token in [
        "x".to_owned(),
        format!("{}{}", &path[7..path.len() - 1], if path.ends_with('A') { 'B' } else { 'A' }),
        token(key, id, now - hour),
        token(key, clock::uuid7(clock::now()), now + hour),
        token(&other, id, now + hour),
    ] {
        let response = world.client.get(world.url(&format!("/files/{token}"))).send().await.expect("a reply");
        assert_eq!(response.status(), 404, "{token}");
        answers.push(response.text().await.expect("a body"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(world.client.get(world.url("/files/")).send().await.expect("a reply").status(), 404);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_channel_does_not_take_is_refused_before_anything_is_accepted() {
    let (world, apis) = chats().await;
    let on_whatsapp = complains_on_whatsapp(&world, &apis).await;
    assert_eq!(world.sms("SM1", "+6281100000002", "Jalan di depan pasar berlubang.").await, 200);
    let events = world.wait_for_events(2).await;
    let by_sms = events.iter().find(|event| event["source"] == "/channels/sms").expect("a complaint by SMS");
    let by_sms = by_sms["data"]["complaint_id"].as_str().expect("an id").to_owned();
    let letter = hand_in(&world, "surat.pdf", PDF).await;
    let gif = hand_in(&world, "gerak.gif", b"GIF89a\x01\0\x01\0\0\0\0;").await;
    let one = |file: &Value| json!([{ "attachment_id": file["attachment_id"] }]);
    let refused = async |complaint: &str, attachments: Value| {
        let (status, problem) = reply(&world, complaint, "k1", attachments).await;
        assert_eq!((status, &problem["status"]), (422, &json!(422)), "{problem}");
        problem["detail"].as_str().expect("a detail").to_owned()
    };
    assert!(refused(&by_sms, one(&letter)).await.contains("this channel sends text only"));
    let detail = refused(&on_whatsapp, one(&gif)).await;
    assert!(detail.contains("image/gif") && detail.contains("image (image/jpeg, image/png)"), "{detail}");
    let (_, before) = reply(&world, &on_whatsapp, "k2", json!(vec![one(&letter)[0].clone(); 11])).await;
    assert_eq!(before["status"], 400, "at most ten");
    let sent = (apis.asked().len(), world.provider.sent().len());
    // The same keys are free still, and the letter is nobody's yet.
    assert_eq!(reply(&world, &on_whatsapp, "k1", one(&letter)).await.0, 202);
    apis.wait_for(sent.0 + 2).await;
    assert!(world.provider.sent().len() <= 1 && sent.1 <= 1, "nothing but the acknowledgement went by SMS");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_outlives_its_gateway_until_its_provider_takes_it() {
    let (mut world, apis) = chats().await;
    let complaint = complains_on_telegram(&world, &apis).await;
    let letter = hand_in(&world, "surat.pdf", PDF).await;
    let unsent = hand_in(&world, "lain.pdf", PDF).await;
    apis.failing.lock().expect("no test panics with the lock").push("sendDocument");
    let attachments = json!([{ "attachment_id": letter["attachment_id"] }]);
    assert_eq!(reply(&world, &complaint, "k1", attachments).await.0, 202);
    apis.wait_for(5).await;
    until("the failure", async || apis.failing.lock().expect("no test panics with the lock").is_empty().then_some(()))
        .await;
    world.stop().await;
    world.resume().await;
    let asked = apis.wait_for(6).await;
    assert_eq!(asked[5].file.as_ref().map(|(_, bytes)| bytes.as_slice()), Some(PDF));
    // A day later what no answer took is gone, and what one took stays.
    let shelf = &world.gateway().app.shelf;
    let tomorrow = clock::now() + SignedDuration::from_hours(25);
    assert_eq!(shelf.sweep(tomorrow).await.expect("a folder"), 1);
    for (file, status) in [(&letter, 200), (&unsent, 404)] {
        let path = format!("/v1/attachments/{}", file["attachment_id"].as_str().expect("an id"));
        assert_eq!(world.get(&path).await.0, status);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_window_files_are_refused_and_words_alone_leave() {
    let (world, apis) = chats_within(0).await;
    let complaint = complains_on_whatsapp(&world, &apis).await;
    let letter = hand_in(&world, "surat.pdf", PDF).await;
    let (status, problem) =
        reply(&world, &complaint, "k1", json!([{ "attachment_id": letter["attachment_id"] }])).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("wrote too long ago")), "{problem}");
    assert_eq!(reply(&world, &complaint, "k1", json!([])).await.0, 202, "the key is free still");
    assert_eq!(apis.wait_for(5).await[4].method, "template");
    world.finish().await;
}
