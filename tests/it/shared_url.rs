//! One URL for several numbers: `[receive] pick` and `receiver`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{World, body_signature};

const SECRET: &str = "s3cr3t";

const MANIFEST: &str = r#"
manifest = 1
id       = "kota-chat"
title    = "Kota chat"
version  = "1.0.0"
adapter  = "webhook"
medium   = "chat"
address  = "phone"

[settings.app_secret]
label  = "App secret"
secret = true

[settings.number_id]
label = "Number"

[receive]
pick = { from = ".meta.number_id", setting = "number_id" }

[[verify]]
kind      = "hmac"
hash      = "sha256"
key       = "${app_secret}"
signature = { from = "header:X-Signature", encoding = "hex" }
signed    = ["body"]

[message]
each    = '.body.changes[] | .meta as $meta | .messages[] | {m: ., meta: $meta}'
id      = ".m.id"
from    = ".m.from"
to      = ".meta.number_id"
text    = ".m.text"
sent_at = ".m.at | tonumber"

[[sample]]
name     = "one message"
sign     = true
settings = { app_secret = "k", number_id = "1" }
url      = "https://loket.example/in/kota-chat"
headers  = { "Content-Type" = "application/json" }
body     = '{"changes":[{"meta":{"number_id":"1"},"messages":[{"id":"m","from":"+6281100000001","text":"halo","at":"1700000000"}]}]}'
[sample.expect]
verify   = "pass"
messages = [{ id = "m", text = "halo" }]
"#;

impl World {
    /// The channels `satu`, whose URL is called, `dua` and `tiga`.
    async fn with_three_numbers() -> Self {
        let world = Self::prepare().await;
        world.write("channels/kota-chat.toml", MANIFEST);
        world.write("config/app_secret", SECRET);
        let keys = "app_secret = { file = \"app_secret\" }\n";
        for (id, number, receiver, keys) in [
            ("satu", "1", "", keys),
            ("dua", "2", "receiver = \"satu\"\n", ""),
            ("tiga", "3", "receiver = \"satu\"\n", ""),
        ] {
            world.write(
                &format!("config/channels/{id}.toml"),
                &format!("manifest = \"kota-chat\"\n{receiver}[settings]\nnumber_id = \"{number}\"\n{keys}"),
            );
        }
        world.serve().await
    }

    async fn deliver(&self, channel: &str, body: &Value) -> u16 {
        let body = body.to_string();
        let signature = body_signature(SECRET, &body);
        let headers = [("x-signature", signature.as_str()), ("content-type", "application/json")];
        let mut request = self.client.post(self.url(&format!("/in/{channel}")));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(body).send().await.expect("a reply").status().as_u16()
    }
}

/// `number` is whom it was sent to.
fn message(place: usize, number: &str) -> Value {
    let at = if place == 17 { json!("kemarin") } else { json!("1700000000") };
    json!({
        "meta": { "number_id": number },
        "messages": [{
            "id": format!("m{place}"),
            "from": format!("+62811000000{place:02}"),
            "text": format!("Lampu jalan nomor {place} di depan pasar padam sudah dua minggu."),
            "at": at,
        }],
    })
}

fn count_by_source(events: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event["source"].as_str().expect("a source")).or_insert(0) += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_for_three_numbers_goes_to_three_channels_and_a_bad_item_to_the_quarantine_alone() {
    let world = World::with_three_numbers().await;
    let items: Vec<_> = (0..50).map(|place| message(place, ["1", "2", "3"][place % 3])).collect();
    let batch = json!({ "changes": items });
    assert_eq!(world.deliver("satu", &batch).await, 200);
    let events = world.wait_for_events(49).await;
    assert_eq!(
        count_by_source(&events),
        BTreeMap::from([("/channels/dua", 17), ("/channels/satu", 17), ("/channels/tiga", 15)])
    );
    world.quiet().await;
    for (channel, enqueued, quarantined) in [("satu", 17, 0), ("dua", 17, 0), ("tiga", 15, 1)] {
        let booked = async |outcome: &str| {
            world.metric("loket_outcome_total", &format!("channel=\"{channel}\",outcome=\"{outcome}\"")).await
        };
        assert_eq!((booked("enqueued").await, booked("quarantined").await), (enqueued, quarantined), "{channel}");
    }
    // The same batch again: each claim is its own channel's.
    assert_eq!(world.deliver("satu", &batch).await, 200);
    world.quiet().await;
    assert_eq!(world.metric("loket_outcome_total", "channel=\"dua\",outcome=\"duplicate\"").await, 17);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_strangers_number_stays_with_the_receiver_and_is_flagged() {
    let world = World::with_three_numbers().await;
    assert_eq!(world.deliver("satu", &json!({ "changes": [message(1, "1"), message(2, "999")] })).await, 200);
    let events = world.wait_for_events(2).await;
    assert_eq!(count_by_source(&events), BTreeMap::from([("/channels/satu", 2)]));
    let flags = |number: usize| {
        let id = json!([format!("m{number}")]);
        let event = events.iter().find(|event| event["data"]["channel"]["message_ids"] == id).expect("an event");
        event["data"]["screening"]["flags"].to_string()
    };
    assert!(!flags(1).contains("unverified") && flags(2).contains("unverified"), "{} {}", flags(1), flags(2));
    // A channel that shares a URL has none of its own.
    assert_eq!(world.deliver("dua", &json!({ "changes": [message(3, "2")] })).await, 401);
    world.finish().await;
}
