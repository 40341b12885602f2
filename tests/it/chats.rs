//! Telegram and WhatsApp over real sockets: updates come as the provider sends them, and answers arrive at its API.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use ring::hmac;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    harness::{World, until},
    media::{PHOTO, files},
};

const WORDS: &str = "Lampu jalan di depan pasar padam sejak Senin, warga takut lewat malam hari.";
const PROVIDER_SECRET: &str = "made-up-secret";

/// The APIs of both providers, as far as answers go: what was asked of them, in order.
#[derive(Clone, Default)]
struct Apis {
    asked: Arc<Mutex<Vec<Value>>>,
    /// Answers of the Bot API to be given before the usual one: error code, and seconds to wait.
    refusals: Arc<Mutex<Vec<(u16, u64)>>>,
}

impl Apis {
    async fn listen() -> (Self, u16) {
        let apis = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new()
            .route("/bot{token}/sendMessage", post(Self::send_message))
            .route("/bot{token}/getFile", get(Self::file_path))
            .route("/file/bot{token}/photos/{name}", get(|| async { PHOTO }))
            .route("/v22.0/{number}/messages", post(Self::messages))
            .with_state(apis.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (apis, port)
    }

    /// <https://core.telegram.org/bots/api#sendmessage>
    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn send_message(
        State(apis): State<Self>,
        Path(token): Path<String>,
        Json(body): Json<Value>,
    ) -> (axum::http::StatusCode, Json<Value>) {
        assert_eq!(token, "1:made-up");
        let refusal = apis.refusals.lock().expect("no test panics with the lock").pop();
        if let Some((code, seconds)) = refusal {
            let status = axum::http::StatusCode::from_u16(code).expect("a status");
            let error = json!({ "ok": false, "error_code": code, "description": "no", "parameters": { "retry_after": seconds } });
            return (status, Json(error));
        }
        let mut asked = apis.asked.lock().expect("no test panics with the lock");
        asked.push(body.clone());
        let result = json!({ "message_id": 1000 + asked.len(), "chat": { "id": body["chat_id"] } });
        (axum::http::StatusCode::OK, Json(json!({ "ok": true, "result": result })))
    }

    /// <https://core.telegram.org/bots/api#getfile>: the path is good for an hour.
    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn file_path(Query(query): Query<HashMap<String, String>>) -> Json<Value> {
        Json(json!({ "ok": true, "result": { "file_path": format!("photos/{}.jpg", query["file_id"]) } }))
    }

    /// `POST /<version>/<phone number id>/messages` of the Graph API.
    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn messages(State(apis): State<Self>, Path(number): Path<String>, Json(body): Json<Value>) -> Json<Value> {
        assert_eq!(number, "777");
        let mut asked = apis.asked.lock().expect("no test panics with the lock");
        asked.push(body);
        Json(json!({ "messages": [{ "id": format!("wamid.out{}", asked.len()) }] }))
    }

    async fn answer(&self, place: usize) -> Value {
        until(&format!("answer {place}"), async || {
            self.asked.lock().expect("no test panics with the lock").get(place).cloned()
        })
        .await
    }
}

async fn post_to(world: &World, channel: &str, header: (&str, &str), body: &Value) -> (u16, String) {
    let request = world.client.post(world.url(&format!("/in/{channel}"))).header("content-type", "application/json");
    let response = request.header(header.0, header.1).body(body.to_string()).send().await.expect("a reply");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

async fn start() -> (World, Apis) {
    let (apis, port) = Apis::listen().await;
    let world = World::prepare().await;
    world.write("config/secret", PROVIDER_SECRET);
    world.write("config/bot_token", "1:made-up");
    for (manifest, settings) in [
        (
            "telegram",
            format!(
                "bot_token = {{ file = \"bot_token\" }}\nsecret_token = {{ file = \"secret\" }}\napi_url = \"http://127.0.0.1:{port}\"\n[media]\nallow_private = true\n"
            ),
        ),
        (
            "whatsapp-cloud",
            format!(
                "app_secret = {{ file = \"wa_secret\" }}\nverify_token = {{ file = \"wa_verify\" }}\naccess_token = {{ file = \"wa_access\" }}\nphone_number_id = \"777\"\ngraph_url = \"http://127.0.0.1:{port}\"\n"
            ),
        ),
    ] {
        world.manifest(manifest);
        world.write(
            &format!("config/channels/{manifest}.toml"),
            &format!("manifest = \"{manifest}\"\n[settings]\n{settings}"),
        );
    }
    for file in ["wa_secret", "wa_verify", "wa_access"] {
        world.write(&format!("config/{file}"), &format!("made-up-{file}"));
    }
    world.write("config/loket.toml", "[media]\nfree_space = \"1 MiB\"\n");
    (world.serve().await, apis)
}

fn update(number: u32, content: &Value) -> Value {
    let mut message = json!({ "message_id": number, "date": 1_795_493_648, "chat": { "id": 5, "type": "private" }, "from": { "id": 5, "first_name": "Siti", "language_code": "id" } });
    message.as_object_mut().expect("an object").extend(content.as_object().expect("an object").clone());
    json!({ "update_id": number, "message": message })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telegram_conversation_ends_in_a_complaint_and_a_number() {
    let (world, apis) = start().await;
    let token = ("x-telegram-bot-api-secret-token", PROVIDER_SECRET);
    let says = async |number: u32, content: Value| post_to(&world, "telegram", token, &update(number, &content)).await;

    let wrong = ("x-telegram-bot-api-secret-token", "another");
    assert_eq!(post_to(&world, "telegram", wrong, &update(1, &json!({ "text": "halo" }))).await.0, 401);
    assert_eq!(says(1, json!({ "text": WORDS })).await.0, 200);
    assert_eq!(says(1, json!({ "text": WORDS })).await.0, 200, "Telegram delivers again what it heard no answer to");
    let question = apis.answer(0).await;
    assert_eq!(question["chat_id"], "5");
    assert!(question["text"].as_str().is_some_and(|text| text.contains("Lanjutkan membuat laporan?")), "{question}");
    let tap = json!({ "update_id": 2, "callback_query": {
        "id": "99", "from": { "id": 5 }, "data": button(&question, 0), "message": { "message_id": 1001, "chat": { "id": 5 } },
    } });
    let (status, reply) = post_to(&world, "telegram", token, &tap).await;
    assert_eq!(status, 200);
    assert_eq!(reply, "{\"method\": \"answerCallbackQuery\", \"callback_query_id\": \"99\"}");
    let place = apis.answer(1).await;
    assert!(place["text"].as_str().is_some_and(|text| text.contains("Di mana lokasinya?")), "{place}");
    let keyboard = &place["reply_markup"]["keyboard"];
    assert_eq!(keyboard[0][0], json!({ "text": "Kirim lokasi", "request_location": true }));
    assert_eq!(keyboard[1][0], json!({ "text": "Lewati" }), "a key comes back as its words");
    says(3, json!({ "location": { "latitude": -6.31, "longitude": 106.79 } })).await;
    let review = apis.answer(2).await;
    assert!(review["text"].as_str().is_some_and(|text| text.contains("Periksa laporan Anda")), "{review}");
    apis.refusals.lock().expect("no test panics with the lock").push((429, 1));
    says(4, json!({ "text": "kirim" })).await;
    let event = world.wait_for_events(1).await.remove(0);
    let data = &event["data"];
    assert_eq!((&data["description"], &data["channel"]["name"]), (&json!(WORDS), &json!("telegram")));
    assert_eq!(data["reporter"]["contact_points"][0]["type"], "telegram_user_id");
    assert_eq!(data["location"]["geometry"]["coordinates"], json!([106.79, -6.31]));
    assert_eq!(data["consent"]["method"], "button");
    let number = apis.answer(3).await;
    assert!(number["text"].as_str().is_some_and(|text| text.contains(data["tracking_id"].as_str().expect("a number"))));
    world.finish().await;
}

/// The payload of a button of an answer.
fn button(answer: &Value, place: usize) -> String {
    let telegram = &answer["reply_markup"]["inline_keyboard"][place][0]["callback_data"];
    let whatsapp = &answer["interactive"]["action"]["buttons"][place]["reply"]["id"];
    telegram.as_str().or(whatsapp.as_str()).unwrap_or_else(|| unreachable!("no button in {answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citizen_who_blocked_the_bot_is_not_tried_again() {
    let (world, apis) = start().await;
    let token = ("x-telegram-bot-api-secret-token", PROVIDER_SECRET);
    apis.refusals.lock().expect("no test panics with the lock").push((403, 0));
    post_to(&world, "telegram", token, &update(1, &json!({ "text": WORDS }))).await;
    let dead = until("a dead letter", async || {
        world.gateway().app.store.outbox_dead(10).await.expect("the store answers").pop()
    })
    .await;
    assert!(dead.failure.as_deref().is_some_and(|failure| failure.contains("403")), "{:?}", dead.failure);
    assert!(!dead.failure.unwrap_or_default().contains("made-up"), "no token in a failure");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whatsapp_conversation_ends_in_a_complaint_and_a_number() {
    let (world, apis) = start().await;
    let says = async |message: Value| {
        let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": {
            "metadata": { "phone_number_id": "777" }, "contacts": [{ "profile": { "name": "Siti" }, "wa_id": "6281100000001" }],
            "messages": [message],
        } }] }] });
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"made-up-wa_secret");
        let tag = loket::complaint::hex(hmac::sign(&key, body.to_string().as_bytes()).as_ref());
        let header = format!("sha256={tag}");
        assert_eq!(post_to(&world, "whatsapp-cloud", ("x-hub-signature-256", &header), &body).await.0, 200);
    };
    let message = |id: &str, kind: &str, content: Value| json!({ "from": "6281100000001", "id": id, "timestamp": "1795493648", "type": kind, kind: content });

    says(message("wamid.1", "text", json!({ "body": WORDS }))).await;
    let question = apis.answer(0).await;
    assert_eq!((&question["to"], &question["type"]), (&json!("6281100000001"), &json!("interactive")), "{question}");
    let tap =
        json!({ "type": "button_reply", "button_reply": { "id": button(&question, 0), "title": "Ya, lanjutkan" } });
    says(message("wamid.2", "interactive", tap)).await;
    apis.answer(1).await;
    says(message("wamid.3", "text", json!({ "body": "Jl. Melati, Cilandak" }))).await;
    let review = apis.answer(2).await;
    let tap = json!({ "type": "button_reply", "button_reply": { "id": button(&review, 0), "title": "Kirim" } });
    says(message("wamid.4", "interactive", tap.clone())).await;
    says(message("wamid.4", "interactive", tap)).await;
    let event = world.wait_for_events(1).await.remove(0);
    assert_eq!(event["data"]["description"], WORDS);
    assert_eq!(event["data"]["reporter"]["contact_points"][0]["value"], "+6281100000001");
    let number = apis.answer(3).await;
    assert_eq!(number["type"], "text");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_photos_of_a_telegram_album_are_stored_behind_the_complaint() {
    let (world, apis) = start().await;
    let token = ("x-telegram-bot-api-secret-token", PROVIDER_SECRET);
    let says = async |number: u32, content: Value| post_to(&world, "telegram", token, &update(number, &content)).await;
    for (number, caption) in [(3, None), (1, Some(WORDS)), (2, None)] {
        let sizes = json!([{ "file_id": format!("s{number}"), "width": 90, "height": 60 }, { "file_id": format!("L{number}"), "width": 1280, "height": 853 }]);
        says(number, json!({ "media_group_id": "g1", "photo": sizes, "caption": caption })).await;
    }
    assert!(apis.answer(0).await["text"].as_str().is_some_and(|text| text.contains("Lanjutkan membuat laporan?")));
    says(4, json!({ "text": "ya" })).await;
    apis.answer(1).await;
    says(5, json!({ "text": "lewati" })).await;
    apis.answer(2).await;
    says(6, json!({ "text": "kirim" })).await;
    let event = world.wait_for_events(1).await.remove(0);
    let pending = event["data"]["attachments"].as_array().expect("files").clone();
    let ids: Vec<_> = pending.iter().map(|file| file["provider_media_id"].clone()).collect();
    assert_eq!((ids, &event["data"]["description"]), (vec![json!("L1"), json!("L2"), json!("L3")], &json!(WORDS)));
    let stored = files(&world, 3).await;
    assert!(stored.iter().all(|file| file["state"] == "stored"), "{stored:#?}");
    assert!(stored.iter().all(|file| pending.iter().any(|before| before["attachment_id"] == file["attachment_id"])));
    world.finish().await;
}
