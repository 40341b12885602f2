//! Letters that a mail provider brings by its webhook: each becomes a complaint, with what the provider says of its sender.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    harness::{World, repository},
    media::files,
};

const LETTER: &str = "From: Siti <siti@example.org>\r\nTo: lapor@kota.example\r\nSubject: Jalan rusak\r\nMessage-ID: <ID@example.org>\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nJalan di depan caf=E9 rusak.\r\n";

async fn start() -> World {
    let world = World::prepare().await;
    world.write("config/secret", "made-up");
    for (id, secret) in [
        ("generic-mime", "secret"),
        ("cloudflare-email", "secret"),
        ("mailgun-inbound", "signing_key"),
        ("mailgun-parsed", "signing_key"),
        ("postmark-inbound", "password"),
        ("sendgrid-inbound", "password"),
    ] {
        world.manifest(id);
        // Two channels never share a secret.
        world.write(&format!("config/secret-{id}"), &format!("made-up-{id}"));
        let channel = format!(
            "manifest = \"{id}\"\n[settings]\naddresses = \"lapor@kota.example\"\n{secret} = {{ file = \"secret-{id}\" }}\n"
        );
        world.write(&format!("config/channels/{id}.toml"), &channel);
    }
    world.serve().await
}

fn tag(id: &str, parts: &[&[u8]]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, format!("made-up-{id}").as_bytes()));
    for part in parts {
        context.update(part);
    }
    loket::complaint::hex(context.sign().as_ref())
}

async fn post(world: &World, id: &str, headers: &[(&str, &str)], body: Vec<u8>) -> u16 {
    let mut request = world.client.post(world.url(&format!("/in/{id}")));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).send().await.expect("a reply").status().as_u16()
}

fn multipart(fields: &[(&str, &str)]) -> Vec<u8> {
    let part = |(name, value): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    format!("{}--b--\r\n", fields.iter().map(part).collect::<String>()).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_each_provider_is_a_complaint() {
    let world = start().await;
    let now = loket::clock::now().as_second().to_string();
    let letter = |id: &str| LETTER.replace("ID@", &format!("{id}@"));
    let basic = |id: &str| format!("Basic {}", STANDARD.encode(format!("loket:made-up-{id}")));
    for id in ["generic-mime", "cloudflare-email"] {
        let body = letter(id);
        let signature = tag(id, &[now.as_bytes(), b".", body.as_bytes()]);
        let headers = [("content-type", "message/rfc822"), ("x-timestamp", &*now), ("x-signature", &*signature)];
        assert_eq!(post(&world, id, &headers, body.clone().into_bytes()).await, 200, "{id}");
        assert_eq!(post(&world, id, &headers, format!("{body}x").into_bytes()).await, 401, "{id}");
    }
    let (id, form) = ("mailgun-inbound", "multipart/form-data; boundary=b");
    let signature = tag(id, &[now.as_bytes(), b"token1"]);
    let body = letter(id);
    let fields = [
        ("timestamp", &*now),
        ("token", "token1"),
        ("signature", &*signature),
        ("recipient", "lapor@kota.example"),
        ("body-mime", &*body),
    ];
    assert_eq!(post(&world, id, &[("content-type", form)], multipart(&fields)).await, 200);
    let id = "mailgun-parsed";
    let signature = tag(id, &[now.as_bytes(), b"token2"]);
    let fields = [
        ("timestamp", &*now),
        ("token", "token2"),
        ("signature", &*signature),
        ("recipient", "lapor@kota.example"),
        ("from", "Siti <siti@example.org>"),
        ("subject", "Jalan rusak"),
        ("Message-Id", "<mailgun-parsed@example.org>"),
        ("stripped-text", "Jalan di depan caf\u{e9} rusak."),
    ];
    assert_eq!(post(&world, id, &[("content-type", form)], multipart(&fields)).await, 200);
    let id = "postmark-inbound";
    let body = json!({ "MessageID": "x", "From": "siti@example.org", "RawEmail": letter(id) }).to_string();
    let headers = [("content-type", "application/json"), ("authorization", &*basic(id))];
    assert_eq!(post(&world, id, &headers, body.into_bytes()).await, 200);
    let id = "sendgrid-inbound";
    let body = letter(id);
    let fields = [("email", &*body), ("SPF", "pass"), ("dkim", "{@example.org : pass}")];
    let headers = [("content-type", form), ("authorization", &*basic(id))];
    assert_eq!(post(&world, id, &headers, multipart(&fields)).await, 200);

    let events = world.wait_for_events(6).await;
    for event in &events {
        let data = &event["data"];
        assert_eq!((&data["title"], &data["channel"]["name"]), (&json!("Jalan rusak"), &json!("email")), "{event}");
        assert_eq!(data["description"], "Jalan di depan caf\u{e9} rusak.", "{event}");
        assert_eq!(data["reporter"]["contact_points"][0]["value"], "siti@example.org");
    }
    let of = |id: &str| events.iter().find(|event| event["source"] == format!("/channels/{id}")).expect("a complaint");
    let checks = of("sendgrid-inbound")["data"]["provenance"]["checks"].as_array().expect("checks").clone();
    let said =
        |method: &str| checks.iter().find(|check| check["method"] == method).map(|check| check["result"].clone());
    assert_eq!((said("spf"), said("dkim")), (Some(Value::from("pass")), Some(Value::from("pass"))));
    world.finish().await;
}

const SUBSCRIBER: &str = r#"
manifest = 1
id = "subscriber"
title = "Whoever wants a URL to be asked for"
version = "1.0.0"
adapter = "webhook"
medium = "sms"
address = "phone"
capabilities = ["text"]
unconfirmed = true

[settings.key]
label = { id = "Kunci", en = "Key" }
secret = true

[receive]
methods = ["POST"]
content_types = ["application/json"]
body = "json"

[[handshake]]
method = "POST"
when = '.body.subscribe != null'
respond = { status = 200, body = "" }
fetch = ".body.subscribe"
fetch_hosts = ["confirm.provider.invalid"]

[[verify]]
kind = "token"
from = "header:X-Key"
equals = "${key}"

[message]
each = ".body"
id = ".id"
from = ".from"
text = ".text"

[[sample]]
name = "a message"
settings = { key = "made-up" }
url = "https://loket.example/in/subscriber"
headers = { "Content-Type" = "application/json", "X-Key" = "made-up" }
body = '{"id": "1", "from": "+6281100000001", "text": "air mati"}'
[sample.expect]
verify = "pass"
messages = [{ id = "1" }]
"#;

/// Amazon SNS repeats only what is answered with a 5xx: a subscription that is answered otherwise waits for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_cannot_be_confirmed_yet_is_to_be_sent_again() {
    let world = World::prepare().await;
    let text = std::fs::read_to_string(repository("channels/ses-inbound.toml")).expect("the manifest");
    world.write(
        "channels/ses-inbound.toml",
        &text.replace("\"sns.us-east-1.amazonaws.com\"", "\"sns.provider.invalid\""),
    );
    let arn = "arn:aws:sns:us-east-1:123456789012:surat";
    let settings = format!("[settings]\naddresses = \"lapor@kota.example\"\ntopic_arn = \"{arn}\"\n");
    world.write("config/channels/ses.toml", &format!("manifest = \"ses-inbound\"\n{settings}"));
    world.write("channels/subscriber.toml", SUBSCRIBER);
    world.write("config/secret-subscriber", "made-up");
    let subscriber = "manifest = \"subscriber\"\n[settings]\nkey = { file = \"secret-subscriber\" }\n";
    world.write("config/channels/subscriber.toml", subscriber);
    let world = world.serve().await;

    let certificate = "https://sns.provider.invalid/SimpleNotificationService-0.pem";
    let mut body = json!({
        "Type": "SubscriptionConfirmation", "MessageId": "m1", "Token": "t", "TopicArn": arn, "Message": "You have chosen",
        "SubscribeURL": "https://sns.provider.invalid/?Action=ConfirmSubscription", "Timestamp": "2025-11-05T01:00:01.000Z",
        "SignatureVersion": "2", "Signature": "bWFkZSB1cA==", "SigningCertURL": certificate,
    });
    let sns = [("content-type", "text/plain; charset=UTF-8")];
    assert_eq!(post(&world, "ses", &sns, body.to_string().into_bytes()).await, 503, "the certificate is not there yet");
    body["SigningCertURL"] = json!("https://elsewhere.invalid/a.pem");
    assert_eq!(post(&world, "ses", &sns, body.to_string().into_bytes()).await, 401, "a certificate of somebody else");

    for (key, url, status, words) in [
        ("made-up", "https://confirm.provider.invalid/?token=1", 503, "the subscription is not confirmed\n"),
        ("made-up", "https://elsewhere.invalid/?token=1", 503, "the subscription is not confirmed\n"),
        ("another", "https://confirm.provider.invalid/?token=1", 401, "refused\n"),
    ] {
        let request = world.client.post(world.url("/in/subscriber")).header("content-type", "application/json");
        let request = request.header("x-key", key).body(json!({ "subscribe": url }).to_string());
        let response = request.send().await.expect("a reply");
        let said = (response.status().as_u16(), response.text().await.expect("words"));
        assert_eq!(said, (status, words.to_owned()), "{key} {url}");
    }
    assert!(world.events().await.is_empty(), "a handshake is no message");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_letter_of_a_webhook_is_stored() {
    let world = start().await;
    let (id, now) = ("generic-mime", loket::clock::now().as_second().to_string());
    let body = "From: Siti <siti@example.org>\r\nTo: lapor@kota.example\r\nSubject: Jalan rusak\r\nMessage-ID: <f1@example.org>\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nJalan di depan pasar rusak.\r\n\
        --b\r\nContent-Type: text/plain; name=catatan.txt\r\nContent-Disposition: attachment\r\n\r\nDua lubang besar.\r\n--b--\r\n";
    let signature = tag(id, &[now.as_bytes(), b".", body.as_bytes()]);
    let headers = [("content-type", "message/rfc822"), ("x-timestamp", &*now), ("x-signature", &*signature)];
    assert_eq!(post(&world, id, &headers, body.as_bytes().to_vec()).await, 200);
    let file = files(&world, 1).await.remove(0);
    assert_eq!((&file["state"], &file["filename"]), (&json!("stored"), &json!("catatan.txt")), "{file}");
    assert_eq!(file["detected_media_type"], "text/plain");
    world.finish().await;
}
