//! The demonstration's page, as a visitor uses it with and without JavaScript.

use std::time::Duration;

use loket::demo::{self, Demo};
use serde_json::Value;

use crate::harness::{repository, until};

const WORDS: &str = "Lampu jalan di depan pasar padam sejak Senin, warga takut lewat malam hari.";

struct Visitor {
    demo: Demo,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Visitor {
    #[expect(clippy::disallowed_methods, reason = "a browser, which is no part of the gateway")]
    async fn comes() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listen = "127.0.0.1:0".parse().expect("an address");
        let demo = demo::start(folder.path(), listen).await.expect("a demonstration");
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        Self { demo, client: client.build().expect("a client"), _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.demo.page)
    }

    /// The form as a browser sends it, with a file or without; the status of the answer.
    async fn acts(&self, fields: &[(&str, &str)], file: Option<&[u8]>) -> u16 {
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend_from_slice(
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes(),
            );
        }
        // A form without a file sends one without a name and without bytes.
        let name = if file.is_some() { "lampu.jpg" } else { "" };
        body.extend_from_slice(format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n").as_bytes());
        body.extend_from_slice(file.unwrap_or_default());
        body.extend_from_slice(b"\r\n--b--\r\n");
        let request = self.client.post(self.url("/act")).header("content-type", "multipart/form-data; boundary=b");
        let response = request.body(body).timeout(Duration::from_secs(20)).send().await.expect("an answer");
        response.status().as_u16()
    }

    async fn state(&self) -> Value {
        let response = self.client.get(self.url("/state?channel=whatsapp&who=%2B6281100000009")).send().await;
        serde_json::from_str(&response.expect("an answer").text().await.expect("a body")).expect("a document")
    }

    /// The answer behind the ones that were read.
    async fn hears(&self, channel: &str, who: &str, read: usize) -> Value {
        until(&format!("answer {read} to {who}"), async || {
            let bubbles = self.state().await["chats"][channel][who].clone();
            let mut answers = bubbles.as_array()?.iter().filter(|bubble| bubble["side"] == "gateway");
            answers.nth(read).cloned()
        })
        .await
    }

    async fn leaves(self) {
        self.demo.gateway.stop().await;
    }
}

fn has_label(bubble: &Value, label: &str) -> bool {
    bubble["buttons"].as_array().is_some_and(|buttons| buttons.iter().any(|button| button["label"] == label))
}

/// A conversation on the page, to a complaint with a stored picture.
async fn converses(channel: &str, who: &str) {
    let visitor = Visitor::comes().await;
    let photo = std::fs::read(repository("src/demo/lamp.jpg")).expect("a picture");
    let field = format!("who_{channel}");
    let base = [("channel", channel), (field.as_str(), who)];
    let acts = async |more: &[(&str, &str)], file: Option<&[u8]>| {
        assert_eq!(visitor.acts(&[&base[..], more].concat(), file).await, 303, "the answer leads back to the page");
    };
    let presses = async |bubble: &Value, place: usize| {
        let data = bubble["buttons"][place]["data"].as_str().expect("a button").to_owned();
        acts(&[("message", bubble["id"].as_str().expect("an id")), ("press", &data)], None).await;
    };
    acts(&[("text", WORDS)], Some(&photo)).await;
    let consent = visitor.hears(channel, who, 0).await;
    assert!(has_label(&consent, "Ya, lanjutkan"), "{consent}");
    presses(&consent, 0).await;
    visitor.hears(channel, who, 1).await;
    acts(&[("location", "1")], None).await;
    let review = visitor.hears(channel, who, 2).await;
    assert!(has_label(&review, "Kirim"), "{review}");
    presses(&review, 0).await;
    let entry = until("the picture is stored", async || {
        let state = visitor.state().await;
        let entry = state["entries"].as_array()?.iter().find(|entry| entry["event"]["data"]["description"] == WORDS)?;
        (entry["files"][0]["state"] == "stored").then(|| entry.clone())
    })
    .await;
    assert_eq!(entry["event"]["data"]["location"]["geometry"]["coordinates"][0], 106.79);
    let id = entry["files"][0]["id"].as_str().expect("an id");
    let stored = visitor.client.get(visitor.url(&format!("/stored/{id}"))).send().await.expect("an answer");
    assert_eq!(
        (stored.status().as_u16(), &stored.headers()["content-type"]),
        (200, &"image/jpeg".parse().expect("a value"))
    );
    let sent = visitor.state().await["chats"][channel][who][0].clone();
    assert_eq!(sent["tick"], "delivered", "the gateway took it");
    let file = format!("/file/{channel}/{}", sent["file"]["id"].as_str().expect("a file"));
    let shown = visitor.client.get(visitor.url(&file)).send().await.expect("an answer").bytes().await.expect("bytes");
    assert_eq!(shown, photo);
    if channel == "whatsapp" {
        assert_eq!(visitor.hears(channel, who, 2).await["tick"], "read");
    }
    visitor.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_tells_the_bot_and_sees_the_stored_picture_in_the_queue() {
    converses("telegram", "5000000009").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_tells_the_number_and_sees_the_stored_picture_in_the_queue() {
    converses("whatsapp", "+6281100000009").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_and_a_letter_are_answered_on_the_page_and_nonsense_is_not_sent() {
    let visitor = Visitor::comes().await;
    assert_eq!(visitor.acts(&[("channel", "sms"), ("who_sms", "+6281100000009"), ("text", WORDS)], None).await, 303);
    assert_eq!(
        visitor.acts(&[("channel", "mail"), ("who_mail", "warga@example.org"), ("text", WORDS)], None).await,
        303
    );
    visitor.hears("sms", "+6281100000009", 0).await;
    visitor.hears("mail", "warga@example.org", 0).await;
    for fields in [
        [("channel", "sms"), ("who_sms", "nobody"), ("text", WORDS)],
        [("channel", "telegram"), ("who_telegram", "-5"), ("text", WORDS)],
        [("channel", "whatsapp"), ("who_whatsapp", "+62811x"), ("text", WORDS)],
        [("channel", "telegram"), ("who_telegram", "5"), ("text", " ")],
        [("channel", "telegram"), ("who_telegram", "5"), ("press", "no such button")],
        [("channel", "pigeon"), ("who_pigeon", "5"), ("text", WORDS)],
    ] {
        assert_eq!(visitor.acts(&fields, None).await, 400, "{fields:?}");
    }
    visitor.leaves().await;
}

#[test]
fn the_page_asks_nothing_of_another_host() {
    let page = std::fs::read_to_string(repository("src/demo/page.html")).expect("a file");
    for mark in ["http://", "https://", "src=\"//", "innerHTML", "@import"] {
        assert!(!page.contains(mark), "{mark}");
    }
}
