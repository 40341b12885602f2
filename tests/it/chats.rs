//! Telegram and WhatsApp over real sockets, against the simulated providers: citizens talk on phones, answers arrive on them.

use std::{sync::Arc, time::Duration};

use loket::demo::{
    delivery::Mischief,
    graph::{self, GraphApi, people::Person},
    phones::{Bubble, ButtonKind},
    telegram::{self, BotApi},
};
use serde_json::{Value, json};

use crate::{
    harness::{World, until},
    media::{PHOTO, files},
};

const WORDS: &str = "Lampu jalan di depan pasar padam sejak Senin, warga takut lewat malam hari.";
const PATIENCE: Duration = Duration::from_secs(20);
/// What the providers do now and then: everything comes twice.
const TWICE: Mischief = Mischief { copies: 1, delay: Duration::ZERO, jitter: Duration::ZERO };

struct Chats {
    world: World,
    telegram: Arc<BotApi>,
    whatsapp: Arc<GraphApi>,
}

/// A gateway with a bot and a number, which know its webhooks.
async fn start() -> Chats {
    let telegram = BotApi::start("1:made-up", "lapor_kota_bot").await.expect("a Bot API");
    let app = graph::App {
        access_token: "made-up-access".to_owned(),
        app_secret: "made-up-app".to_owned(),
        verify_token: "made-up-verify".to_owned(),
        numbers: [("777".to_owned(), "+62 815 0000 0777".to_owned())].into(),
    };
    let whatsapp = GraphApi::start(app).await.expect("a Graph API");
    let world = World::prepare().await;
    for (file, secret) in [
        ("token", "1:made-up"),
        ("secret", "made-up-secret"),
        ("wa_access", "made-up-access"),
        ("wa_app", "made-up-app"),
        ("wa_verify", "made-up-verify"),
    ] {
        world.write(&format!("config/{file}"), secret);
    }
    let bot = format!(
        "bot_token = {{ file = \"token\" }}\nsecret_token = {{ file = \"secret\" }}\napi_url = \"{}\"\n",
        telegram.url()
    );
    let number = format!(
        "app_secret = {{ file = \"wa_app\" }}\nverify_token = {{ file = \"wa_verify\" }}\naccess_token = {{ file = \"wa_access\" }}\n\
         phone_number_id = \"777\"\ngraph_url = \"{}\"\n",
        whatsapp.url()
    );
    for (manifest, settings) in [("telegram", bot), ("whatsapp-cloud", number)] {
        world.manifest(manifest);
        let channel = format!("manifest = \"{manifest}\"\n[settings]\n{settings}[media]\nallow_private = true\n");
        world.write(&format!("config/channels/{manifest}.toml"), &channel);
    }
    world.write("config/loket.toml", "[media]\nfree_space = \"1 MiB\"\n");
    let world = world.serve().await;
    telegram.set_webhook(&world.url("/in/telegram"), "made-up-secret").expect("a webhook");
    assert!(whatsapp.subscribe(&world.url("/in/whatsapp-cloud")).await.expect("an answer"), "the handshake");
    Chats { world, telegram, whatsapp }
}

/// The answer behind the ones that were read.
async fn hears(siti: &telegram::citizen::Citizen, read: usize) -> Bubble {
    siti.hears(read, PATIENCE).await.unwrap_or_else(|| unreachable!("answer {read} does not come"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telegram_conversation_ends_in_a_complaint_and_a_number() {
    let Chats { world, telegram, .. } = start().await;
    telegram.set_mischief(TWICE);
    let siti = telegram.citizen_with(5, "Siti", "id");
    let wrong = world.client.post(world.url("/in/telegram")).header("content-type", "application/json");
    let wrong = wrong.header("x-telegram-bot-api-secret-token", "another").body("{}").send().await.expect("a reply");
    assert_eq!(wrong.status(), 401);

    siti.says(WORDS);
    let question = hears(&siti, 0).await;
    assert!(question.text.contains("Lanjutkan membuat laporan?"), "{question:?}");
    assert!(siti.presses("Ya, lanjutkan"));
    let place = hears(&siti, 1).await;
    assert!(place.text.contains("Di mana lokasinya?"), "{place:?}");
    let keys: Vec<_> = place.buttons.iter().map(|key| (key.label.as_str(), key.kind)).collect();
    assert_eq!(
        keys,
        [("Kirim lokasi", ButtonKind::Location), ("Lewati", ButtonKind::Key)],
        "a key comes back as its words"
    );
    assert!(siti.presses("Kirim lokasi"));
    let review = hears(&siti, 2).await;
    assert!(review.text.contains("Periksa laporan Anda"), "{review:?}");
    telegram.refuse_next(429, "Too Many Requests: retry after 1", Some(1));
    siti.says("kirim");
    let event = world.wait_for_events(1).await.remove(0);
    let data = &event["data"];
    assert_eq!((&data["description"], &data["channel"]["name"]), (&json!(WORDS), &json!("telegram")));
    assert_eq!(data["reporter"]["contact_points"][0]["type"], "telegram_user_id");
    assert_eq!(data["location"]["geometry"]["coordinates"], json!([106.79, -6.31]));
    assert_eq!(data["consent"]["method"], "button");
    let number = hears(&siti, 3).await;
    assert!(number.text.contains(data["tracking_id"].as_str().expect("a number")));
    assert!(telegram.delivery().settled(PATIENCE).await);
    assert_eq!(telegram.turning(), 0, "the button was told that it was heard");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citizen_who_blocked_the_bot_is_not_tried_again() {
    let Chats { world, telegram, .. } = start().await;
    let siti = telegram.citizen_with(5, "Siti", "id");
    siti.says(WORDS);
    siti.blocks();
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
    let Chats { world, whatsapp, .. } = start().await;
    whatsapp.set_mischief(TWICE);
    let siti = whatsapp.citizen("777", Person::with_phone("+6281100000001", "Siti"));
    let hears = async |read: usize| siti.hears(read, PATIENCE).await.unwrap_or_else(|| unreachable!("answer {read}"));

    siti.says(WORDS);
    let question = hears(0).await;
    assert_eq!(question.document["type"], "interactive", "{question:?}");
    assert!(siti.presses("Ya, lanjutkan"));
    hears(1).await;
    siti.says("Jl. Melati, Cilandak");
    hears(2).await;
    assert!(siti.presses("Kirim"));
    let event = world.wait_for_events(1).await.remove(0);
    assert_eq!(event["data"]["description"], WORDS);
    assert_eq!(event["data"]["reporter"]["contact_points"][0]["value"], "+6281100000001");
    assert_eq!(hears(3).await.document["type"], "text");
    assert!(whatsapp.delivery().settled(PATIENCE).await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_photos_of_a_telegram_album_are_stored_behind_the_complaint() {
    let Chats { world, telegram, .. } = start().await;
    // The parts of an album come in any order.
    telegram.set_mischief(Mischief { jitter: Duration::from_millis(2), ..TWICE });
    let siti = telegram.citizen_with(5, "Siti", "id");
    siti.sends_album(vec![PHOTO.to_vec(); 3], Some(WORDS));
    let sent: Vec<_> = siti.chat().into_iter().map(|bubble| json!(bubble.file.expect("a photo").id)).collect();
    assert!(hears(&siti, 0).await.text.contains("Lanjutkan membuat laporan?"));
    for (read, words) in ["ya", "lewati", "kirim"].into_iter().enumerate() {
        hears(&siti, read).await;
        siti.says(words);
    }
    let event = world.wait_for_events(1).await.remove(0);
    let pending = event["data"]["attachments"].as_array().expect("files").clone();
    let ids: Vec<Value> = pending.iter().map(|file| file["provider_media_id"].clone()).collect();
    assert_eq!(
        (ids, &event["data"]["description"]),
        (sent, &json!(WORDS)),
        "the largest of each, in the order of the album"
    );
    let stored = files(&world, 3).await;
    assert!(stored.iter().all(|file| file["state"] == "stored"), "{stored:#?}");
    assert!(stored.iter().all(|file| pending.iter().any(|before| before["attachment_id"] == file["attachment_id"])));
    world.finish().await;
}
