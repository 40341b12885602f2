//! What happens to a good message: G1, G3, G5, G9, and the answer to the citizen.

use serde_json::json;

use crate::harness::{PUBLIC_URL, World, form, sms, twilio_signature, until};

const TEXT: &str = "Lampu jalan di depan pasar padam sudah dua minggu.";

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_webhook_becomes_a_complaint_and_an_acknowledgement() {
    let world = World::start().await;
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    let events = world.wait_for_events(1).await;
    let event = &events[0];
    assert_eq!(event["type"], "id.loket.complaint.received.v1");
    assert_eq!(event["source"], "/channels/sms");
    assert_eq!(event["data"]["description"], TEXT);
    assert_eq!(event["data"]["channel"]["message_ids"], json!(["SM1"]));
    assert_eq!(event["data"]["provenance"]["proves"], json!({ "sender": true, "content": true, "freshness": false }));
    let sent = world.wait_for_sent(1).await;
    assert_eq!(sent[0]["To"], "+6281100000001");
    assert_eq!(sent[0]["From"], "+6281500001708");
    assert_eq!(sent[0]["StatusCallback"], format!("{PUBLIC_URL}/in/sms/status"));
    let tracking_id = event["data"]["tracking_id"].as_str().expect("a tracking id");
    assert!(sent[0]["Body"].contains(tracking_id), "{}", sent[0]["Body"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_no_positive_reply_before_the_receipt_is_in_the_journal() {
    let world = World::start().await;
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    // The raw bytes are on the disk at the moment of the reply, whatever the pipeline has done by then.
    let journal = world.folder.path().join("data/journal");
    let needle = form(&[("Body", TEXT)]);
    let holds = |path: &std::path::Path| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle.as_bytes()))
    };
    let files: Vec<_> = files(&journal);
    assert!(files.iter().any(|path| holds(path)), "no file of the journal holds the receipt");
    world.finish().await;
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_repeated_delivery_is_enqueued_once_and_answered_alike() {
    let world = World::start().await;
    let deliveries = (0..20).map(|_| world.sms("SM1", "+6281100000001", TEXT));
    let statuses = futures_util::future::join_all(deliveries).await;
    assert_eq!(statuses, vec![200; 20]);
    world.quiet().await;
    world.wait_for_events(1).await;
    assert_eq!(world.metric("loket_outcome_total", "outcome=\"duplicate\"").await, 19);
    world.wait_for_sent(1).await;
    assert_eq!(world.provider.sent().len(), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_repeated_delivery_adds_nothing_after_a_restart() {
    let mut world = World::start().await;
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    world.wait_for_events(1).await;
    world.stop().await;
    world.resume().await;
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    world.quiet().await;
    world.wait_for_events(1).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_messages_of_one_sender_are_queued_in_the_order_received() {
    let world = World::start().await;
    for number in 0..40 {
        let text = format!("Laporan nomor {number} tentang jalan rusak di Cimahi.");
        assert_eq!(world.sms(&format!("SM{number}"), "+6281100000001", &text).await, 200);
    }
    let events = world.wait_for_events(40).await;
    let numbers: Vec<_> =
        events.iter().map(|event| event["data"]["description"].as_str().expect("a text").to_owned()).collect();
    for (number, text) in numbers.iter().enumerate() {
        assert!(text.contains(&format!("nomor {number} ")), "{text} in place {number}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sms_within_ten_minutes_is_an_addition_to_the_first() {
    let world = World::start().await;
    world.sms("SM1", "+6281100000001", TEXT).await;
    world.wait_for_events(1).await;
    world.sms("SM2", "+6281100000001", "Tiangnya juga sudah miring sejak kemarin.").await;
    let events = world.wait_for_events(2).await;
    assert_eq!(events[1]["type"], "id.loket.complaint.followup.v1");
    assert_eq!(events[1]["subject"], events[0]["subject"]);
    assert_eq!(events[1]["data"]["sequence"], 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_complaint_leaves_no_address_in_any_event() {
    let world = World::start().await;
    world.sms("SM1", "+6281100000077", "ANONIM RAHASIA Ada pungutan liar saat urus KTP di kelurahan.").await;
    let event = world.wait_for_events(1).await.remove(0);
    assert_eq!(event["sensitivity"], "confidential");
    assert_eq!(event["data"]["privacy"]["reporter_disclosure"], "withheld");
    assert!(!event.to_string().contains("81100000077"), "{event}");
    // They are answered all the same: the address lies in the vault.
    assert_eq!(world.wait_for_sent(1).await[0]["To"], "+6281100000077");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_answers_a_citizen_without_knowing_an_address() {
    let world = World::start().await;
    world.sms("SM1", "+6281100000001", TEXT).await;
    let event = world.wait_for_events(1).await.remove(0);
    world.wait_for_sent(1).await;
    let path = format!("/v1/complaints/{}/replies", event["subject"].as_str().expect("an id"));
    let reply = json!({ "text": "Petugas datang besok pagi.", "idempotency_key": "k1" });
    assert_eq!(world.api(&path, reply.clone()).await.0, 202);
    let (status, answer) = world.api(&path, reply).await;
    assert_eq!((status, &answer["repeated"]), (202, &json!(true)));
    let sent = world.wait_for_sent(2).await;
    assert_eq!(sent[1]["Body"], "Petugas datang besok pagi.");
    assert_eq!(sent.len(), 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_provider_refuses_for_now_is_tried_again_and_a_delivery_report_is_recorded() {
    let world = World::start().await;
    world.provider.answers.lock().expect("a lock").push(503);
    world.sms("SM1", "+6281100000001", TEXT).await;
    let sent = world.wait_for_sent(2).await;
    assert_eq!(sent[0]["Body"], sent[1]["Body"]);
    let report = [("MessageSid", "SMout2"), ("MessageStatus", "delivered")];
    assert_eq!(world.signed("sms/status", &report).await, 200);
    until("the report is counted", async || {
        (world.metric("loket_delivery_reports_total", "sms").await == 1).then_some(())
    })
    .await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_leases_acknowledges_and_finds_the_proof_of_receipt() {
    let world = World::start().await;
    world.sms("SM1", "+6281100000001", TEXT).await;
    let event = world.wait_for_events(1).await.remove(0);
    let (status, leased) =
        world.api("/v1/queues/triage/lease", json!({ "max": 10, "visibility_seconds": 60, "wait_seconds": 0 })).await;
    assert_eq!(status, 200);
    assert_eq!(leased["deliveries"][0]["event"], event);
    assert_eq!(leased["deliveries"][0]["attempt"], 1);
    let id = leased["deliveries"][0]["delivery_id"].clone();
    assert_eq!(world.api("/v1/queues/triage/ack", json!({ "delivery_ids": [id] })).await, (200, json!({ "count": 1 })));
    let receipt = event["data"]["raw_refs"][0]["raw_id"].as_str().expect("a receipt id").to_owned();
    let (status, proof) = world.get(&format!("/v1/receipts/{receipt}")).await;
    assert_eq!(status, 200, "{proof}");
    assert_eq!(proof["verified"]["result"], "pass");
    assert_eq!(proof["complaints"][0]["complaint_id"], event["subject"]);
    assert!(proof["complaints"][0]["acked_at"].is_string(), "{proof}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_waits_for_the_first_event() {
    let world = World::start().await;
    let lease = world.api("/v1/queues/triage/lease", json!({ "max": 1, "visibility_seconds": 60, "wait_seconds": 20 }));
    let ((status, leased), _) = tokio::join!(lease, world.sms("SM1", "+6281100000001", TEXT));
    assert_eq!(status, 200);
    assert_eq!(leased["deliveries"].as_array().map(Vec::len), Some(1));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_code_is_taken_in_and_never_answered() {
    let world = World::start().await;
    world.sms("SM1", "3636", TEXT).await;
    let event = world.wait_for_events(1).await.remove(0);
    assert_eq!(event["data"]["screening"]["flags"], json!(["not_replyable"]));
    assert_eq!(event["data"]["reply"]["capabilities"], json!([]));
    let path = format!("/v1/complaints/{}/replies", event["subject"].as_str().expect("an id"));
    assert_eq!(world.api(&path, json!({ "text": "Halo", "idempotency_key": "k1" })).await.0, 409);
    assert!(world.provider.sent().is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reply_after_queue_answers_when_the_complaint_is_in_its_queue() {
    let world = World::prepare().await;
    world.add_twilio("sms");
    world.write("config/loket.toml", "reply_after = \"queue\"\n");
    let world = world.serve().await;
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    assert_eq!(world.events().await.len(), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_and_forwarded_headers_change_nothing_in_verification() {
    let world = World::start().await;
    let fields = sms("SM1", "+6281100000001", TEXT);
    let signature = twilio_signature(&format!("{PUBLIC_URL}/in/sms"), &fields);
    let headers = [
        ("x-twilio-signature", signature.as_str()),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "198.51.100.7"),
    ];
    assert_eq!(world.post("/in/sms", &headers, form(&fields)).await.0, 200);
    let forged = twilio_signature("https://evil.example/in/sms", &fields);
    let headers = [("x-twilio-signature", forged.as_str()), ("x-forwarded-host", "evil.example")];
    assert_eq!(world.post("/in/sms", &headers, form(&fields)).await.0, 401);
    world.quiet().await;
    world.wait_for_events(1).await;
    world.finish().await;
}
