//! The rules of the simulated Bot API, asked over its socket as a bot does.

use std::collections::BTreeMap;

use axum::{Router, extract::State, http::HeaderMap, routing::post};

use super::{super::phones::ButtonKind, *};
use crate::adapter::webhook::send::Outgoing;

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "1:made-up";

struct Bot {
    api: Arc<BotApi>,
    client: Http,
}

impl Bot {
    async fn start() -> Self {
        let api = BotApi::start(TOKEN, "lapor_kota_bot").await.expect("a provider");
        Self { api, client: Http::local_within(PATIENCE).expect("a client") }
    }

    async fn call_as(&self, token: &str, method: &str, content_type: &str, body: Vec<u8>) -> (u16, Value) {
        let outgoing = Outgoing {
            method: "POST".to_owned(),
            url: format!("{}/bot{token}/{method}", self.api.url()),
            shown: method.to_owned(),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body,
        };
        let response = self.client.send(outgoing).await.expect("an answer");
        (response.status, serde_json::from_slice(&response.body).expect("a document"))
    }

    async fn call(&self, method: &str, body: Value) -> (u16, Value) {
        self.call_as(TOKEN, method, "application/json", body.to_string().into_bytes()).await
    }

    async fn result(&self, method: &str, body: Value) -> Value {
        let (status, document) = self.call(method, body).await;
        assert_eq!((status, &document["ok"]), (200, &json!(true)), "{document}");
        document["result"].clone()
    }

    async fn refusal(&self, method: &str, body: Value) -> (u16, String) {
        let (status, document) = self.call(method, body).await;
        assert_eq!((&document["ok"], &document["error_code"]), (&json!(false), &json!(status)), "{document}");
        (status, document["description"].as_str().expect("a description").to_owned())
    }

    async fn bytes(&self, path: &str) -> Vec<u8> {
        let url = format!("{}/file/bot{TOKEN}/{path}", self.api.url());
        self.client.fetch(&url, crate::units::Size::mib(1)).await.expect("a file")
    }
}

fn numbers(updates: &Value) -> Vec<i64> {
    updates.as_array().expect("updates").iter().map(|update| update["update_id"].as_i64().expect("an id")).collect()
}

/// A gateway: remembers headers and bodies, and replies with what it is told.
#[derive(Clone, Default)]
struct Gateway {
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    reply: Arc<Mutex<String>>,
}

impl Gateway {
    async fn listen() -> (Self, String) {
        let gateway = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/in/bot", listener.local_addr().expect("an address"));
        let router = Router::new().route("/in/bot", post(Self::take)).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gateway, url)
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn take(State(gateway): State<Self>, headers: HeaderMap, body: String) -> String {
        let token = headers.get("x-telegram-bot-api-secret-token");
        let token = token.and_then(|token| token.to_str().ok()).unwrap_or_default().to_owned();
        gateway.seen.lock().expect("a lock").push((token, serde_json::from_str(&body).expect("JSON")));
        gateway.reply.lock().expect("a lock").clone()
    }

    fn seen(&self) -> Vec<(String, Value)> {
        self.seen.lock().expect("a lock").clone()
    }
}

#[tokio::test]
async fn a_wrong_token_and_a_wrong_method_are_refused_as_the_real_one_does() {
    let bot = Bot::start().await;
    let (status, document) = bot.call_as("2:other", "getMe", "application/json", Vec::new()).await;
    assert_eq!((status, document), (401, json!({ "ok": false, "error_code": 401, "description": "Unauthorized" })));
    assert_eq!(bot.refusal("getEverything", json!({})).await.0, 404);
    assert_eq!(bot.result("getme", json!({})).await["username"], "lapor_kota_bot");
}

#[tokio::test]
async fn an_offset_confirms_what_is_below_it() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    for text in ["satu", "dua", "tiga"] {
        siti.says(text);
    }
    assert_eq!(numbers(&bot.result("getUpdates", json!({ "limit": 2 })).await), [1, 2]);
    assert_eq!(numbers(&bot.result("getUpdates", json!({})).await), [1, 2, 3], "nothing was confirmed");
    assert_eq!(numbers(&bot.result("getUpdates", json!({ "offset": 3 })).await), [3]);
    assert_eq!(numbers(&bot.result("getUpdates", json!({ "offset": -1 })).await), [3]);
    assert_eq!(numbers(&bot.result("getUpdates", json!({ "offset": 4, "timeout": 0 })).await), [0_i64; 0]);
    assert_eq!(bot.api.delivery().waiting(), 0);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_next_update() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    let poll = bot.result("getUpdates", json!({ "timeout": 50 }));
    let (updates, ()) = tokio::join!(poll, async {
        tokio::task::yield_now().await;
        siti.says("halo");
    });
    assert_eq!(updates[0]["message"]["text"], "halo");
    assert_eq!(updates[0]["message"]["chat"]["type"], "private");
}

#[tokio::test]
async fn a_second_poll_ends_the_first_and_a_webhook_ends_both() {
    let bot = Bot::start().await;
    let first = bot.refusal("getUpdates", json!({ "timeout": 50 }));
    let second = async {
        let mut polls = bot.api.polls.subscribe();
        polls.wait_for(|polls| *polls == 1).await.expect("the first poll has come");
        bot.refusal("getUpdates", json!({ "timeout": 50 })).await
    };
    let webhook = async {
        let mut polls = bot.api.polls.subscribe();
        polls.wait_for(|polls| *polls == 2).await.expect("the second poll has come");
        bot.result("setWebhook", json!({ "url": "http://127.0.0.1:1/in" })).await
    };
    let (first, second, _) = tokio::join!(first, second, webhook);
    assert_eq!((first.0, first.1.contains("terminated by other getUpdates")), (409, true));
    assert_eq!((second.0, second.1.contains("webhook is active")), (409, true));
}

#[tokio::test]
async fn a_webhook_has_its_secret_and_its_reply_is_carried_out() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    let (gateway, url) = Gateway::listen().await;
    let buttons = json!({ "inline_keyboard": [[{ "text": "Ya", "callback_data": "yes" }]] });
    bot.result("sendMessage", json!({ "chat_id": siti.id, "text": "Lanjut?", "reply_markup": buttons })).await;
    bot.result("setWebhook", json!({ "url": url, "secret_token": "s3cr3t", "allowed_updates": ["callback_query"] }))
        .await;
    siti.says("not asked for");
    assert!(siti.presses("Ya") && siti.presses("yes"), "a button may be touched twice");
    assert_eq!(bot.api.turning(), 2);
    assert!(bot.api.delivery().settled(PATIENCE).await);
    assert_eq!(bot.api.turning(), 2, "nobody has told that it was heard");
    let seen = gateway.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].0.as_str(), &seen[0].1["callback_query"]["data"]), ("s3cr3t", &json!("yes")));
    assert_eq!(seen[0].1["callback_query"]["message"]["text"], "Lanjut?");
    let id = seen[0].1["callback_query"]["id"].clone();
    *gateway.reply.lock().expect("a lock") =
        json!({ "method": "answerCallbackQuery", "callback_query_id": id }).to_string();
    siti.presses("Ya");
    assert!(bot.api.delivery().settled(PATIENCE).await);
    assert_eq!(bot.api.turning(), 2, "one stopped, one began");
    let (status, reason) = bot.refusal("answerCallbackQuery", json!({ "callback_query_id": id })).await;
    assert_eq!((status, reason.contains("query is too old")), (400, true));
}

#[tokio::test]
async fn a_webhook_that_fails_is_told_about_and_keeps_its_updates() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    bot.result("setWebhook", json!({ "url": "http://127.0.0.1:1/in", "max_connections": 7 })).await;
    siti.says("halo");
    while bot.api.delivery().trouble().is_none() {
        bot.api.delivery().moves(PATIENCE).await;
    }
    let info = bot.result("getWebhookInfo", json!({})).await;
    assert_eq!((&info["pending_update_count"], &info["max_connections"]), (&json!(1), &json!(7)));
    assert!(info["last_error_date"].is_i64() && info["last_error_message"].is_string(), "{info}");
    bot.result("deleteWebhook", json!({})).await;
    assert_eq!(numbers(&bot.result("getUpdates", json!({})).await), [1]);
    bot.result("deleteWebhook", json!({ "drop_pending_updates": true })).await;
    assert_eq!(bot.result("getWebhookInfo", json!({})).await["pending_update_count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_chats_at_once_are_each_delivered_in_order_and_twice() {
    let bot = Bot::start().await;
    let (gateway, url) = Gateway::listen().await;
    bot.api.set_mischief(Mischief { copies: 1, jitter: Duration::from_millis(5), ..Mischief::default() });
    bot.result("setWebhook", json!({ "url": url, "max_connections": 100 })).await;
    let citizens: Vec<_> = (0..1000).map(|_| bot.api.citizen("Siti", "id")).collect();
    for word in ["satu", "dua", "tiga"] {
        for citizen in &citizens {
            citizen.says(word);
        }
    }
    assert!(bot.api.delivery().settled(Duration::from_mins(2)).await);
    let mut heard = BTreeMap::<i64, Vec<i64>>::new();
    for (_, update) in gateway.seen() {
        let message = &update["message"];
        let chat = message["chat"]["id"].as_i64().expect("a chat");
        heard.entry(chat).or_default().push(message["message_id"].as_i64().expect("a number"));
    }
    assert_eq!(heard.len(), 1000);
    assert!(heard.values().all(|numbers| numbers == &[1, 1, 2, 2, 3, 3]), "{heard:?}");
}

#[tokio::test]
async fn a_message_has_its_limits() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    let send = async |to: Value, text: String| bot.refusal("sendMessage", json!({ "chat_id": to, "text": text })).await;
    assert_eq!(send(json!(999), "halo".to_owned()).await, (400, "Bad Request: chat not found".to_owned()));
    assert_eq!(send(json!(siti.id), " ".to_owned()).await, (400, "Bad Request: message text is empty".to_owned()));
    assert_eq!(send(json!(siti.id), "x".repeat(4097)).await, (400, "Bad Request: message is too long".to_owned()));
    let sent = bot.result("sendMessage", json!({ "chat_id": siti.id.to_string(), "text": "x".repeat(4096) })).await;
    assert_eq!((&sent["message_id"], &sent["from"]["is_bot"]), (&json!(1), &json!(true)));
    siti.blocks();
    assert_eq!(
        send(json!(siti.id), "halo".to_owned()).await,
        (403, "Forbidden: bot was blocked by the user".to_owned())
    );
    let update = bot.result("getUpdates", json!({})).await;
    assert_eq!(update[0]["my_chat_member"]["new_chat_member"]["status"], "kicked");
}

#[tokio::test]
async fn who_sends_too_fast_is_told_how_long_to_wait() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    bot.api.set_pace(Some(Pace { chat_burst: 2.0, chat_per_second: 0.1, ..Pace::telegram() }));
    let message = || json!({ "chat_id": siti.id, "text": "halo" });
    bot.result("sendMessage", message()).await;
    bot.result("sendMessage", message()).await;
    let (status, document) = bot.call("sendMessage", message()).await;
    assert_eq!((status, &document["parameters"]["retry_after"]), (429, &json!(10)), "{document}");
    bot.api.set_pace(None);
    bot.api.refuse_next(502, "Bad Gateway", None);
    assert_eq!(bot.refusal("sendMessage", message()).await, (502, "Bad Gateway".to_owned()));
    bot.result("sendMessage", message()).await;
    assert_eq!(siti.chat().len(), 3, "what was refused is on no phone");
}

#[tokio::test]
async fn a_photo_goes_both_ways() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    let picture = b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec();
    siti.sends_album(vec![picture.clone(), picture.clone()], Some("jalan berlubang"));
    let updates = bot.result("getUpdates", json!({})).await;
    let (first, second) = (&updates[0]["message"], &updates[1]["message"]);
    assert_eq!((&first["media_group_id"], &first["caption"]), (&second["media_group_id"], &json!("jalan berlubang")));
    let id = &first["photo"][1]["file_id"];
    let place = bot.result("getFile", json!({ "file_id": id })).await;
    assert_eq!(bot.bytes(place["file_path"].as_str().expect("a path")).await, picture);
    // Sent back by its id, and as an upload.
    let again = bot.result("sendPhoto", json!({ "chat_id": siti.id, "photo": id, "caption": "ini?" })).await;
    assert_eq!(again["photo"][1]["file_id"], *id);
    let mut body = b"--b\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n".to_vec();
    body.extend_from_slice(siti.id.to_string().as_bytes());
    body.extend_from_slice(b"\r\n--b\r\nContent-Disposition: form-data; name=\"document\"; filename=\"surat.pdf\"\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.7\r\n--b--\r\n");
    let (status, sent) = bot.call_as(TOKEN, "sendDocument", "multipart/form-data; boundary=b", body).await;
    assert_eq!((status, &sent["result"]["document"]["file_name"]), (200, &json!("surat.pdf")), "{sent}");
    let shown = siti.chat().pop().expect("a bubble").file.expect("a file");
    assert_eq!(&bot.api.stored().find(&shown.id).expect("kept").bytes[..], b"%PDF-1.7");
    let (status, reason) =
        bot.refusal("sendPhoto", json!({ "chat_id": siti.id, "photo": "http://media.example/x.jpg" })).await;
    assert_eq!(
        (status, reason.as_str()),
        (400, "Bad Request: failed to get HTTP URL content"),
        "nothing leaves this machine"
    );
}

#[tokio::test]
async fn every_way_to_write_makes_an_update_of_its_kind() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    siti.starts("dinas-jalan");
    let number = siti.says("lampu mati");
    siti.edits(number, "lampu jalan mati");
    siti.replies(number, "sejak Senin");
    let live = siti.shares_live_location(-6.3, 106.7, 900);
    siti.moves(live, -6.4, 106.8);
    siti.shares_contact();
    siti.sends_voice(vec![1]);
    siti.sends(json!({ "dice": { "emoji": "🎲", "value": 4 } }));
    siti.sends_raw("hologram", json!({ "x": 1 }));
    let updates = bot.result("getUpdates", json!({})).await;
    assert_eq!(updates[0]["message"]["entities"][0], json!({ "offset": 0, "length": 6, "type": "bot_command" }));
    assert_eq!(
        (&updates[2]["edited_message"]["text"], &updates[2]["edited_message"]["message_id"]),
        (&json!("lampu jalan mati"), &json!(2))
    );
    assert_eq!(updates[3]["message"]["reply_to_message"]["message_id"], 2);
    assert_eq!(updates[4]["message"]["location"]["live_period"], 900);
    assert_eq!(
        (
            &updates[5]["edited_message"]["location"]["latitude"],
            &updates[5]["edited_message"]["location"]["live_period"]
        ),
        (&json!(-6.4), &json!(900))
    );
    assert_eq!(updates[6]["message"]["contact"]["user_id"], siti.id);
    assert_eq!(updates[7]["message"]["voice"]["mime_type"], "audio/ogg");
    assert_eq!(updates[8]["message"]["dice"]["value"], 4);
    assert_eq!(updates[9]["hologram"]["x"], 1);
}

#[tokio::test]
async fn a_key_of_the_keyboard_comes_back_as_words_or_as_a_place() {
    let bot = Bot::start().await;
    let siti = bot.api.citizen("Siti", "id");
    let keys = json!({ "one_time_keyboard": true, "keyboard": [[{ "text": "Kirim lokasi", "request_location": true }], [{ "text": "Lewati" }]] });
    let form =
        format!("chat_id={}&text=Di+mana%3F&reply_markup={}", siti.id, crate::percent::encoded(&keys.to_string()));
    let (status, sent) =
        bot.call_as(TOKEN, "sendMessage", "application/x-www-form-urlencoded", form.into_bytes()).await;
    assert_eq!((status, sent["result"].get("reply_markup")), (200, None), "{sent}");
    assert_eq!(siti.chat()[0].buttons[0].kind, ButtonKind::Location);
    assert!(siti.presses("Lewati") && siti.presses("Kirim lokasi") && !siti.presses("Kirim"));
    let updates = bot.result("getUpdates", json!({})).await;
    assert_eq!(
        (&updates[0]["message"]["text"], updates[1]["message"]["location"]["latitude"].is_number()),
        (&json!("Lewati"), true)
    );
}
