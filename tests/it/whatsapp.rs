//! WhatsApp by its manifest, against the simulated Graph API.

use std::{sync::Arc, time::Duration};

use loket::demo::{
    graph::{App, GraphApi, Statuses, citizen::Citizen, people::Person},
    phones::Bubble,
};
use serde_json::json;

use crate::harness::{World, repository, until};

const HANDSHAKE: &str = "/in/wa?hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=";
const WORDS: &str = "Lampu jalan di depan pasar padam sudah dua minggu, gelap sekali.";
const PATIENCE: Duration = Duration::from_secs(20);

async fn world() -> (World, Arc<GraphApi>) {
    world_with(24).await
}

/// `hours` is how long free text may leave.
async fn world_with(hours: u32) -> (World, Arc<GraphApi>) {
    let app = App {
        access_token: "at".to_owned(),
        app_secret: "s3cr3t".to_owned(),
        verify_token: "vt".to_owned(),
        numbers: [("777".to_owned(), "+62 815 0000 0777".to_owned())].into(),
    };
    let graph = GraphApi::start(app).await.expect("a Graph API");
    let world = World::prepare().await;
    let manifest = std::fs::read_to_string(repository("channels/whatsapp-cloud.toml")).expect("a manifest");
    // The first wait of a second try is five seconds; a test does not wait for it.
    let manifest = manifest.replace("max = 8 }", "max = 8, first = \"10ms\" }");
    let manifest = manifest.replace("hours = 24,", &format!("hours = {hours},"));
    world.write("channels/whatsapp-cloud.toml", &manifest);
    world.write("config/app_secret", "s3cr3t");
    world.write("config/verify_token", "vt");
    world.write("config/access_token", "at");
    world.write(
        "config/channels/wa.toml",
        &format!(
            "manifest = \"whatsapp-cloud\"\n[settings]\nphone_number_id = \"777\"\ntemplate = \"jawaban\"\ngraph_url = \"{}\"\n\
            app_secret = {{ file = \"app_secret\" }}\nverify_token = {{ file = \"verify_token\" }}\naccess_token = {{ file = \"access_token\" }}\n",
            graph.url()
        ),
    );
    let world = world.serve().await;
    assert!(graph.subscribe(&world.url("/in/wa")).await.expect("an answer"), "the handshake");
    (world, graph)
}

fn citizen(graph: &Arc<GraphApi>, number: usize) -> Citizen {
    graph.citizen("777", Person::with_phone(&format!("62811000000{number:02}"), "Siti"))
}

async fn answer(citizen: &Citizen) -> Bubble {
    citizen.hears(0, PATIENCE).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_echoed_as_text_with_the_right_token_only() {
    let (world, _) = world().await;
    let ask =
        async |token: &str| world.client.get(world.url(&format!("{HANDSHAKE}{token}"))).send().await.expect("a reply");
    let good = ask("vt").await;
    assert_eq!(good.status(), 200);
    assert_eq!(
        (&good.headers()["content-type"], &good.headers()["x-content-type-options"]),
        (&"text/plain".parse().expect("a value"), &"nosniff".parse().expect("a value"),)
    );
    assert_eq!(good.text().await.expect("a body"), "<script>");
    assert_eq!(ask("no").await.status(), 403);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_twice_and_in_another_order_is_taken_in_once() {
    let (world, graph) = world().await;
    let citizens: Vec<_> = (1..=3).map(|number| citizen(&graph, number)).collect();
    graph.hold();
    for citizen in &citizens {
        citizen.says(WORDS);
    }
    graph.release();
    assert!(graph.delivery().settled(PATIENCE).await);
    graph.hold();
    for citizen in [&citizens[2], &citizens[0]] {
        citizen.sends_raw(citizen.chat().remove(0).document);
    }
    graph.release();
    assert!(graph.delivery().settled(PATIENCE).await);
    world.quiet().await;
    assert_eq!(world.metric("loket_outcome_total", "outcome=\"duplicate\"").await, 2);
    for citizen in &citizens {
        answer(citizen).await;
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citizen_without_a_number_is_answered_by_the_id_of_the_business() {
    let (world, graph) = world().await;
    let adi = graph.citizen("777", Person::with_user_id("ID.42", "Adi"));
    adi.says(WORDS);
    let sent = answer(&adi).await.document;
    assert_eq!((&sent["recipient"], sent.get("to")), (&json!("ID.42"), None));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_when_the_provider_says_slow_down_whatever_the_status() {
    let (world, graph) = world().await;
    graph.refuse_next(400, 130_429);
    graph.refuse_next(400, 131_056);
    let siti = citizen(&graph, 5);
    siti.says(WORDS);
    answer(&siti).await;
    world.quiet().await;
    assert_eq!(world.metric("loket_answers_total", "channel=\"wa\",result=\"dead\"").await, 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_the_window_is_the_template_with_its_words() {
    let (world, graph) = world_with(0).await;
    let siti = citizen(&graph, 6);
    siti.says(WORDS);
    let sent = answer(&siti).await;
    assert_eq!((&sent.document["type"], &sent.document["template"]["name"]), (&json!("template"), &json!("jawaban")));
    assert!(!sent.text.is_empty() && !sent.text.contains('\n'), "{}", sent.text);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outside_the_window_by_the_providers_word_is_given_up_at_once() {
    let (world, graph) = world().await;
    graph.refuse_next(400, 131_047);
    let siti = citizen(&graph, 7);
    siti.says(WORDS);
    until("the answer is dead", async || {
        (world.metric("loket_answers_total", "channel=\"wa\",result=\"dead\"").await == 1).then_some(())
    })
    .await;
    assert_eq!(siti.chat().len(), 1, "a second try would have arrived");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_come_backwards_and_before_their_answer_are_no_messages() {
    let (world, graph) = world().await;
    graph.set_statuses(Statuses::Backwards);
    let value = json!({ "metadata": { "phone_number_id": "777" }, "statuses": [{ "id": "wamid.unknown", "status": "delivered" }] });
    graph.sends_raw(json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": value }] }] }));
    assert!(graph.delivery().settled(PATIENCE).await);
    let siti = citizen(&graph, 8);
    siti.says(WORDS);
    answer(&siti).await;
    assert!(graph.delivery().settled(PATIENCE).await);
    world.quiet().await;
    assert_eq!(world.metric("loket_delivery_reports_total", "channel=\"wa\"").await, 4);
    assert_eq!(world.metric("loket_received_total", "channel=\"wa\"").await, 1);
    world.finish().await;
}
