//! Operators: a provider added while the gateway runs, and broken channels beside good ones.

use crate::harness::{PUBLIC_URL, World, until};

const TEXT: &str = "Lampu jalan di depan pasar padam sudah dua minggu.";

/// A provider that nobody has heard of: JSON, and a shared token in a header.
const MANIFEST: &str = r#"
manifest = 1
id       = "kabar"
title    = "Kabar, an invented provider"
version  = "1.0.0"
adapter  = "webhook"
medium   = "sms"
address  = "phone"

[settings.token]
label  = "Token"
secret = true

[receive]
content_types = ["application/json"]

[[verify]]
kind   = "token"
from   = "header:X-Kabar-Token"
equals = "${token}"

[message]
each = ".body.pesan[]"
id   = ".nomor"
from = ".dari"
text = ".isi"

[[sample]]
name     = "two messages"
sign     = true
settings = { token = "made-up" }
url      = "https://loket.example/in/kabar"
headers  = { "Content-Type" = "application/json" }
body     = '{"pesan":[{"nomor":1,"dari":"081100000001","isi":"satu"},{"nomor":2,"dari":"081100000002","isi":"dua"}]}'
expect   = { verify = "pass", messages = [{ id = "1", from = "+6281100000001", text = "satu" }, { id = "2", text = "dua" }] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_added_to_a_running_gateway_by_two_files() {
    let world = World::start().await;
    world.write("config/kabar_token", "geheim");
    world.write("channels/kabar.toml", MANIFEST);
    world.write("config/channels/kabar.toml", "manifest = \"kabar\"\n[settings]\ntoken = { file = \"kabar_token\" }\n");
    let body = r#"{"pesan":[{"nomor":7,"dari":"081100000005","isi":"Jembatan di desa kami putus sejak tadi malam."}]}"#;
    let begin = std::time::Instant::now();
    until("the new channel is open", async || {
        let request = world.client.post(world.url("/in/kabar")).header("content-type", "application/json");
        let response = request.header("x-kabar-token", "geheim").body(body).send().await.expect("a reply");
        (response.status() == 200).then_some(())
    })
    .await;
    assert!(begin.elapsed().as_secs() < 10, "taken up after {:?}", begin.elapsed());
    let event = world.wait_for_events(1).await.remove(0);
    assert_eq!(event["source"], "/channels/kabar");
    assert_eq!(event["data"]["reporter"]["contact_points"][0]["value"], "+6281100000005");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_start_a_broken_and_an_empty_secret_channel_answer_503_while_a_good_one_serves() {
    let world = World::prepare().await;
    world.add_twilio("sms");
    let account = crate::harness::ACCOUNT;
    world.write("config/empty", "\n");
    world.write(
        "config/channels/empty.toml",
        &format!(
            "manifest = \"twilio-sms\"\n[settings]\naccount_sid = \"{account}\"\nauth_token = {{ file = \"empty\" }}\n"
        ),
    );
    world.write(
        "config/channels/broken.toml",
        "manifest = \"twilio-sms\"\ntitel = \"x\"\n[settings]\naccount_sid = 5\n",
    );
    let world = world.serve().await;
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    for path in ["/in/empty", "/in/broken"] {
        assert_eq!(world.post(path, &[], String::new()).await.0, 503, "{path}");
    }
    let (status, readiness) = world.get("/readyz").await;
    assert_eq!(status, 200);
    let reasons = |id: &str| {
        let channels = readiness["channels"].as_array().expect("a list");
        channels.iter().find(|channel| channel["id"] == id).expect("the channel")["reasons"].to_string()
    };
    assert!(reasons("empty").contains("auth_token") && reasons("empty").contains("empty"), "{}", reasons("empty"));
    assert!(reasons("broken").contains("titel") && reasons("broken").contains("title"), "{}", reasons("broken"));
    assert!(reasons("broken").contains("auth_token"), "all mistakes at once: {}", reasons("broken"));
    world.wait_for_events(1).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_hot_reload_a_broken_file_changes_nothing_and_is_shown() {
    let world = World::start().await;
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    world.write("config/channels/sms.toml", "manifest = \"twilio-sms\"\n[settings]\naccount_sid = \"nonsense\"\n");
    world.write("config/channels/new.toml", "manifest = \"nobody\"\n[settings]\n");
    let remarks = until("the mistake is shown", async || {
        let (_, channels) = world.get("/v1/channels").await;
        let text = channels.to_string();
        (text.contains("account_sid") && text.contains("nobody")).then_some(text)
    })
    .await;
    assert!(remarks.contains("sms.toml"), "{remarks}");
    assert_eq!(world.sms("SM2", "+6281100000002", TEXT).await, 200);
    assert_eq!(world.post("/in/new", &[], String::new()).await.0, 503);
    world.wait_for_events(2).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn observe_mode_takes_in_what_fails_and_flags_it() {
    let world = World::prepare().await;
    world.add_twilio("sms");
    let path = "config/channels/sms.toml";
    let text = std::fs::read_to_string(world.folder.path().join(path)).expect("a channel");
    world.write(path, &format!("{text}[verify]\nmode = \"observe\"\n"));
    let world = world.serve().await;
    let fields = crate::harness::sms("SM1", "+6281100000001", TEXT);
    assert_eq!(world.post("/in/sms", &[("x-twilio-signature", "AAAA")], crate::harness::form(&fields)).await.0, 200);
    let event = world.wait_for_events(1).await.remove(0);
    assert!(event["data"]["screening"]["flags"].to_string().contains("unverified"), "{event}");
    assert_eq!(event["data"]["provenance"]["proves"]["sender"], false);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_a_channel_that_does_not_open_after_a_restart_waits_and_comes_back_with_it() {
    let mut world = World::start().await;
    let path = world.folder.path().join("config/channels/sms.toml");
    let good = std::fs::read_to_string(&path).expect("a channel");
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    world.wait_for_events(1).await;
    world.stop().await;
    // The channel is broken when the gateway starts, and a receipt of it is still in the journal.
    let disabled = good.replace("manifest", "manifesto");
    std::fs::write(&path, disabled).expect("a file");
    world.resume().await;
    assert_eq!(world.post("/in/sms", &[], String::new()).await.0, 503);
    std::fs::write(&path, good).expect("a file");
    until("the channel opens", async || {
        (world.sms("SM2", "+6281100000002", &format!("{TEXT} {PUBLIC_URL}")).await == 200).then_some(())
    })
    .await;
    world.wait_for_events(2).await;
    world.finish().await;
}
