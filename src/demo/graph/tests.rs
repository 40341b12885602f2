//! The rules of the simulated Graph API, asked over its socket as a client of the real one does.

use axum::{
    Router,
    extract::{Query, State},
    http::HeaderMap,
    routing::get,
};
use serde_json::{Value, json};

use super::{
    super::{
        delivery::Proof,
        files::File,
        phones::{Side, Tick},
    },
    *,
};
use crate::adapter::webhook::send::Outgoing;

const PATIENCE: Duration = Duration::from_secs(20);
const NUMBER: &str = "777";
const PHONE: &str = "6281100000001";

struct Client {
    api: Arc<GraphApi>,
    http: Http,
}

impl Client {
    async fn start() -> Self {
        let numbers =
            BTreeMap::from([(NUMBER.to_owned(), "+62 815 0000 1709".to_owned()), ("778".to_owned(), String::new())]);
        let app = App {
            access_token: "at".to_owned(),
            app_secret: "s3cr3t".to_owned(),
            verify_token: "v t".to_owned(),
            numbers,
        };
        let api = GraphApi::start(app).await.expect("a provider");
        Self { api, http: Http::local_within(PATIENCE).expect("a client") }
    }

    async fn ask(&self, method: &str, url: String, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Vec<u8>) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let outgoing = Outgoing { method: method.to_owned(), url, shown: method.to_owned(), headers, body };
        let response = self.http.send(outgoing).await.expect("an answer");
        (response.status, response.body)
    }

    async fn post(&self, number: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/v22.0/{number}/messages", self.api.url());
        let headers = [("authorization", "Bearer at"), ("content-type", "application/json")];
        let (status, document) = self.ask("POST", url, &headers, body.to_string().into_bytes()).await;
        (status, serde_json::from_slice(&document).expect("a document"))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}/v22.0/{path}", self.api.url());
        let (status, document) = self.ask("GET", url, &[("authorization", "Bearer at")], Vec::new()).await;
        (status, serde_json::from_slice(&document).expect("a document"))
    }

    async fn text(&self, text: &str) -> (u16, Value) {
        self.post(NUMBER, json!({ "messaging_product": "whatsapp", "to": PHONE, "text": { "body": text } })).await
    }

    fn siti(&self) -> Citizen {
        self.api.citizen(NUMBER, Person::with_phone(PHONE, "Siti"))
    }
}

fn code(answer: &(u16, Value)) -> i64 {
    answer.1["error"]["code"].as_i64().unwrap_or_else(|| unreachable!("no error: {answer:?}"))
}

/// A gateway: answers the handshake, remembers what it was sent, and checks the signature.
#[derive(Clone, Default)]
struct Gateway {
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Gateway {
    async fn listen() -> (Self, String) {
        let gateway = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/in/wa", listener.local_addr().expect("an address"));
        let router = Router::new().route("/in/wa", get(Self::shake).post(Self::take)).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gateway, url)
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn shake(Query(query): Query<BTreeMap<String, String>>) -> String {
        let is_ours = query["hub.verify_token"] == "v t" && query["hub.mode"] == "subscribe";
        if is_ours { query["hub.challenge"].clone() } else { "no".to_owned() }
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn take(State(gateway): State<Self>, headers: HeaderMap, body: String) {
        let proof = Proof::Signature { header: "x-hub-signature-256", secret: "s3cr3t".to_owned() };
        let (name, value) = proof.header(body.as_bytes()).expect("a header");
        assert_eq!(headers[name], value);
        gateway.seen.lock().expect("a lock").push(serde_json::from_str(&body).expect("JSON"));
    }

    fn seen(&self) -> Vec<Value> {
        self.seen.lock().expect("a lock").clone()
    }

    /// The items of a kind in everything that came.
    fn items(&self, kind: &str) -> Vec<Value> {
        let seen = self.seen();
        let changes = seen.iter().flat_map(|body| body["entry"][0]["changes"].as_array().expect("changes"));
        changes.flat_map(|change| change["value"][kind].as_array().cloned().unwrap_or_default()).collect()
    }
}

async fn subscribed() -> (Client, Gateway) {
    let (client, (gateway, url)) = (Client::start().await, Gateway::listen().await);
    assert!(client.api.subscribe(&url).await.expect("an answer"));
    (client, gateway)
}

#[tokio::test]
async fn a_webhook_that_does_not_return_the_challenge_is_not_called() {
    let (client, (_, url)) = (Client::start().await, Gateway::listen().await);
    assert!(!client.api.subscribe(&format!("{url}/elsewhere")).await.expect("an answer"));
    assert!(client.api.delivery().target().is_none());
}

#[tokio::test]
async fn a_message_comes_signed_with_its_sender_and_its_number() {
    let (client, gateway) = subscribed().await;
    client.siti().says("air mati");
    let hidden =
        client.api.citizen("778", Person { username: Some("adi".to_owned()), ..Person::with_user_id("ID.42", "Adi") });
    hidden.says("lampu mati");
    assert!(client.api.delivery().settled(PATIENCE).await);
    let seen = gateway.seen();
    let values: Vec<_> = seen.iter().map(|body| &body["entry"][0]["changes"][0]["value"]).collect();
    let of =
        |number: &str| values.iter().find(|value| value["metadata"]["phone_number_id"] == number).expect("a value");
    let (first, second) = (of(NUMBER), of("778"));
    assert_eq!((&first["messages"][0]["from"], &first["contacts"][0]["wa_id"]), (&json!(PHONE), &json!(PHONE)));
    assert_eq!((&second["messages"][0]["from_user_id"], second["messages"][0].get("from")), (&json!("ID.42"), None));
    assert_eq!(second["contacts"][0]["profile"]["username"], "adi");
}

#[tokio::test]
async fn what_is_held_leaves_as_one_batch_with_a_change_for_each_number() {
    let (client, gateway) = subscribed().await;
    let (siti, other) = (client.siti(), client.api.citizen("778", Person::with_phone("6281100000002", "Budi")));
    client.api.hold();
    for word in ["satu", "dua", "tiga"] {
        siti.says(word);
        other.says(word);
    }
    siti.sends_raw(json!({ "id": 5 }));
    assert_eq!(client.api.delivery().waiting(), 0);
    client.api.release();
    assert!(client.api.delivery().settled(PATIENCE).await);
    let seen = gateway.seen();
    let changes = seen[0]["entry"][0]["changes"].as_array().expect("changes");
    let counts: Vec<_> = changes.iter().map(|change| change["value"]["messages"].as_array().map(Vec::len)).collect();
    assert_eq!((seen.len(), counts), (1, vec![Some(4), Some(3)]));
}

#[tokio::test]
async fn free_text_leaves_within_a_day_and_a_template_behind_it() {
    let (client, gateway) = subscribed().await;
    assert_eq!(code(&client.text("halo").await), 131_026, "nobody has this number");
    let siti = client.siti();
    assert_eq!(code(&client.text("halo").await), 131_047, "she has not written yet");
    siti.says("air mati");
    assert_eq!(client.text("halo").await.0, 200);
    client.api.turn_clock(24);
    assert_eq!(code(&client.text("halo").await), 131_047);
    let template = json!({ "name": "jawaban", "language": { "code": "id" }, "components": [{ "type": "body", "parameters": [{ "type": "text", "text": "selesai" }] }] });
    let template =
        json!({ "messaging_product": "whatsapp", "to": format!("+{PHONE}"), "type": "template", "template": template });
    assert_eq!(client.post(NUMBER, template.clone()).await.0, 200);
    client.api.set_templates(&["another"]);
    assert_eq!(code(&client.post(NUMBER, template).await), 132_001);
    assert_eq!(siti.chat().pop().expect("a bubble").text, "selesai");
    client.api.set_verdict(Verdict::ByStatus);
    assert_eq!(client.text("halo").await.0, 200);
    assert!(client.api.delivery().settled(PATIENCE).await);
    let failed = gateway.items("statuses").into_iter().find(|status| status["status"] == "failed").expect("a status");
    assert_eq!(failed["errors"][0]["code"], 131_047);
}

#[tokio::test]
async fn a_token_a_number_and_a_pace_have_their_codes() {
    let client = Client::start().await;
    client.siti().says("halo");
    assert_eq!(client.get(NUMBER).await.1["display_phone_number"], "+62 815 0000 1709");
    assert_eq!(code(&client.post("999", json!({})).await), 100);
    client.api.expire_token();
    assert_eq!((client.text("halo").await.0, code(&client.get(NUMBER).await)), (401, 190));
    client.api.renew_token();
    client.api.set_pace(Some(Pace { chat_burst: 1.0, ..Pace::whatsapp() }));
    assert_eq!((client.text("satu").await.0, code(&client.text("dua").await)), (200, 131_056));
    client.api.set_pace(Some(Pace { burst: 0.0, per_second: 0.1, ..Pace::whatsapp() }));
    assert_eq!(code(&client.text("tiga").await), 130_429);
    client.api.set_pace(None);
    client.api.refuse_next(400, 131_048);
    assert_eq!((code(&client.text("empat").await), client.text("lima").await.0), (131_048, 200));
}

#[tokio::test]
async fn statuses_come_in_order_or_backwards() {
    let (client, gateway) = subscribed().await;
    let siti = client.siti();
    siti.says("halo");
    let id = client.text("apa kabar?").await.1["messages"][0]["id"].clone();
    assert!(client.api.delivery().settled(PATIENCE).await);
    siti.reads();
    assert!(client.api.delivery().settled(PATIENCE).await);
    let words: Vec<_> = gateway.items("statuses").iter().map(|status| status["status"].clone()).collect();
    assert_eq!(words, ["sent", "delivered", "read"]);
    assert!(gateway.items("statuses").iter().all(|status| status["id"] == id && status["recipient_id"] == PHONE));
    assert_eq!(siti.chat().pop().expect("a bubble").tick, Tick::Read);
    client.api.set_statuses(Statuses::Backwards);
    client.text("lagi").await;
    assert!(client.api.delivery().settled(PATIENCE).await);
    assert_eq!(gateway.items("statuses").len(), 6);
}

#[tokio::test]
async fn media_is_fetched_in_two_steps_at_a_place_that_is_good_for_five_minutes() {
    let (client, gateway) = subscribed().await;
    let siti = client.siti();
    siti.sends_image(b"\xff\xd8\xff\xe0picture".to_vec(), Some("jalan berlubang"));
    assert!(client.api.delivery().settled(PATIENCE).await);
    let image = &gateway.items("messages")[0]["image"];
    assert_eq!((&image["caption"], &image["mime_type"]), (&json!("jalan berlubang"), &json!("image/jpeg")));
    let id = image["id"].as_str().expect("an id").to_owned();
    let place = client.get(&id).await.1;
    let url = place["url"].as_str().expect("a place").to_owned();
    let bearer = [("authorization", "Bearer at")];
    assert_eq!(client.ask("GET", url.clone(), &[], Vec::new()).await.0, 401);
    assert_eq!(client.ask("GET", url.clone(), &bearer, Vec::new()).await, (200, b"\xff\xd8\xff\xe0picture".to_vec()));
    client.api.turn_clock(1);
    assert_eq!(client.ask("GET", url, &bearer, Vec::new()).await.0, 404);
    assert_eq!(code(&client.get("999").await), 100);
    // Ours to the citizen: by upload and by id.
    let form = "--b\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--b\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\napplication/pdf\r\n\
        --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"surat.pdf\"\r\n\r\n%PDF-1.7\r\n--b--\r\n";
    let headers = [bearer[0], ("content-type", "multipart/form-data; boundary=b")];
    let (_, answer) =
        client.ask("POST", format!("{}/v22.0/{NUMBER}/media", client.api.url()), &headers, form.into()).await;
    let uploaded = serde_json::from_slice::<Value>(&answer).expect("a document")["id"].clone();
    let document = json!({ "messaging_product": "whatsapp", "to": PHONE, "type": "document", "document": { "id": uploaded, "filename": "surat.pdf" } });
    assert_eq!(client.post(NUMBER, document).await.0, 200);
    let shown = siti.chat().pop().expect("a bubble").file.expect("a file");
    assert_eq!((shown.media_type.as_str(), shown.name.as_deref()), ("application/pdf", Some("surat.pdf")));
    let link = json!({ "messaging_product": "whatsapp", "to": PHONE, "type": "image", "image": { "link": "http://media.example/x.jpg" } });
    assert_eq!(code(&client.post(NUMBER, link).await), 131_053, "nothing leaves this machine");
}

#[tokio::test]
async fn every_way_to_write_makes_a_message_of_its_kind() {
    let (client, gateway) = subscribed().await;
    let siti = client.siti();
    let first = siti.says("lampu mati");
    let send = async |interactive: Value| {
        let body =
            json!({ "messaging_product": "whatsapp", "to": PHONE, "type": "interactive", "interactive": interactive });
        assert_eq!(client.post(NUMBER, body).await.0, 200);
    };
    let reply = json!({ "type": "reply", "reply": { "id": "yes", "title": "Ya, lanjutkan" } });
    send(json!({ "type": "button", "body": { "text": "Lanjut?" }, "action": { "buttons": [reply] } })).await;
    assert!(siti.presses("Ya, lanjutkan"));
    let row = json!({ "id": "agency:7", "title": "Dinas PU" });
    send(json!({ "type": "list", "body": { "text": "Siapa?" }, "action": { "button": "Pilih", "sections": [{ "rows": [row] }] } })).await;
    assert!(siti.presses("agency:7") && !siti.presses("Dinas Lain"));
    send(json!({ "type": "location_request_message", "body": { "text": "Di mana?" }, "action": { "name": "send_location" } })).await;
    assert!(siti.presses("Send location"));
    siti.edits(&first, "lampu jalan mati");
    siti.replies(&first, "sejak Senin");
    siti.revokes(&first);
    siti.reacts(&first, "👍");
    siti.sends_voice(vec![1]);
    siti.sends_document(File::new(vec![1], "application/pdf").named("surat.pdf"), None);
    siti.shares_contact("Budi", "+6281100000002");
    siti.sends_unsupported();
    siti.sends("hologram", json!({ "id": "h" }));
    assert!(client.api.delivery().settled(PATIENCE).await);
    let messages = gateway.items("messages");
    let of = |kind: &str| messages.iter().find(|message| message["type"] == kind).expect(kind)[kind].clone();
    let interactive: Vec<_> = messages.iter().filter(|message| message["type"] == "interactive").collect();
    assert!(interactive.iter().any(|message| message["interactive"]["button_reply"]["id"] == "yes"));
    assert!(interactive.iter().any(|message| message["interactive"]["list_reply"]["title"] == "Dinas PU"));
    assert!(interactive.iter().all(|message| message["context"]["id"].is_string()));
    assert_eq!(
        of("edit"),
        json!({ "original_message_id": first, "message": { "type": "text", "text": { "body": "lampu jalan mati" } } })
    );
    assert_eq!(of("revoke")["original_message_id"], first);
    assert_eq!(of("reaction")["emoji"], "👍");
    assert_eq!((&of("audio")["voice"], &of("document")["filename"]), (&json!(true), &json!("surat.pdf")));
    assert!(of("location")["latitude"].is_number());
    assert_eq!(of("contacts")[0]["phones"][0]["phone"], "+6281100000002");
    assert_eq!(of("hologram")["id"], "h");
    assert!(messages.iter().any(|message| message["type"] == "unsupported" && message["errors"][0]["code"] == 131_051));
    assert_eq!(messages.len(), 13);
}

#[tokio::test]
async fn a_message_is_marked_as_read_and_reacted_to() {
    let client = Client::start().await;
    let siti = client.siti();
    let id = siti.says("halo");
    let read = |id: &str| json!({ "messaging_product": "whatsapp", "status": "read", "message_id": id });
    assert_eq!(client.post(NUMBER, read(&id)).await, (200, json!({ "success": true })));
    assert_eq!(code(&client.post(NUMBER, read("wamid.other")).await), 100);
    let reaction = json!({ "message_id": id, "emoji": "🙏" });
    client
        .post(NUMBER, json!({ "messaging_product": "whatsapp", "to": PHONE, "type": "reaction", "reaction": reaction }))
        .await;
    let bubble = siti.chat().remove(0);
    assert_eq!((bubble.tick, bubble.reaction.as_deref(), bubble.side), (Tick::Read, Some("🙏"), Side::Citizen));
}
