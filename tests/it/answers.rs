//! Answers by mail: what leaves, to whom, how often, and what comes back to it.

use bytes::Bytes;
use loket::{
    letterbox::Letterbox,
    mail::{Envelope, envelope::Protocol},
};
use serde_json::{Value, json};

use crate::{
    harness::{World, until},
    mail_sink::{Handed, Sink},
    redis_servers::free_port,
};

pub const ADDRESS: &str = "lapor@kota.example";

/// A gateway with the channel `surat`, which answers through the sink.
async fn start(more: &str) -> (World, Sink) {
    let sink = Sink::listen().await;
    let world = World::prepare().await;
    world.manifest("smtp");
    world.write("config/loket.toml", "[mail]\nresolver = \"off\"\n[gateway]\norganisation = \"Kota Contoh\"\n");
    let settings = format!(
        "manifest = \"smtp\"\n[settings]\naddresses = \"{ADDRESS}\"\nfrom_name = \"Lapor Kota\"\nsend_host = \"127.0.0.1\"\nsend_port = {}\nsend_security = \"none\"\n{more}",
        sink.port
    );
    world.write("config/channels/surat.toml", &settings);
    (world.serve().await, sink)
}

/// Hands a letter in as our server does.
pub async fn arrives(world: &World, to: &str, letter: &str) {
    let app = &world.gateway().app;
    let letterbox =
        Letterbox { journal: app.journal.clone(), channels: app.channels.clone(), metrics: app.metrics.clone() };
    let (channel, _) = letterbox.recipient(to).expect("one of our addresses");
    let envelope = Envelope {
        protocol: Some(Protocol::Smtp),
        mail_from: Some("siti@example.org".to_owned()),
        rcpt_to: vec![to.to_owned()],
        ..Envelope::default()
    };
    let letter = Bytes::from(letter.replace('\n', "\r\n"));
    letterbox.put(&channel, &envelope, letter, None).await.expect("room in the journal");
}

fn letter(id: &str, subject: &str, text: &str) -> String {
    format!(
        "From: Siti <siti@example.org>\nTo: {ADDRESS}\nSubject: {subject}\nMessage-ID: <{id}@example.org>\n\n{text}\n"
    )
}

/// Encoded words and quoted-printable bodies are for clients; tests look for plain pieces.
fn text(handed: &Handed) -> String {
    handed.letter.replace("=\r\n", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_acknowledged_once_in_two_bodies_and_says_that_a_machine_wrote() {
    let (world, sink) = start("").await;
    arrives(&world, ADDRESS, &letter("a1", "Jalan rusak", "Jalan di depan pasar rusak sejak hujan kemarin.")).await;
    arrives(&world, ADDRESS, &letter("a1", "Jalan rusak", "Jalan di depan pasar rusak sejak hujan kemarin.")).await;
    let event = world.wait_for_events(1).await.remove(0);
    let tracking_id = event["data"]["tracking_id"].as_str().expect("a number").to_owned();
    let handed = sink.wait_for(1).await.remove(0);
    assert_eq!((handed.mail_from.as_str(), handed.rcpt_to.as_str()), ("", "siti@example.org"));
    let header = |name: &str| handed.header(name).unwrap_or_default();
    assert_eq!(header("Subject"), format!("[#{tracking_id}] Laporan Anda kami terima"));
    assert_eq!(header("Auto-Submitted"), "auto-replied");
    assert_eq!(
        (header("In-Reply-To"), header("References")),
        ("<a1@example.org>".to_owned(), "<a1@example.org>".to_owned())
    );
    assert!(header("Reply-To").starts_with("lapor+") && header("Reply-To").ends_with("@kota.example"));
    assert_eq!(header("From"), "\"Lapor Kota\" <lapor@kota.example>");
    assert!(header("Content-Type").starts_with("multipart/alternative"));
    assert!(text(&handed).contains("Content-Type: text/html") && text(&handed).contains(&tracking_id));
    assert!(!text(&handed).contains("pasar"), "nothing that the citizen wrote is repeated");
    world.quiet().await;
    assert_eq!(world.metric("loket_outcome_total", "outcome=\"duplicate\"").await, 1);
    assert_eq!(sink.handed().len(), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_our_letter_is_an_addition_by_address_by_reference_and_by_number() {
    let (world, sink) = start("").await;
    arrives(&world, ADDRESS, &letter("a1", "Jalan rusak", "Jalan di depan pasar rusak.")).await;
    let first = world.wait_for_events(1).await.remove(0);
    let handed = sink.wait_for(1).await.remove(0);
    let reply_to = handed.header("Reply-To").expect("a reply address");
    let message_id = handed.header("Message-ID").expect("an id");
    arrives(&world, &reply_to, &letter("a2", "tanpa nomor", "Satu: lubangnya makin besar.")).await;
    let by_reference = letter("a3", "tanpa nomor", "Dua: ada yang jatuh di sana.");
    arrives(&world, ADDRESS, &by_reference.replace("\n\n", &format!("\nReferences: {message_id}\n\n"))).await;
    let subject = format!("Re: {}", handed.header("Subject").expect("a subject"));
    arrives(&world, ADDRESS, &letter("a4", &subject, "Tiga: polisi sudah datang.")).await;
    let events = world.wait_for_events(4).await;
    for event in &events[1..] {
        assert_eq!(event["type"], "id.loket.complaint.followup.v1");
        assert_eq!(event["data"]["complaint_id"], first["data"]["complaint_id"], "{event}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_gets_no_answer_and_its_letter_is_kept() {
    let (world, sink) = start("").await;
    for (id, header) in
        [("m1", "Auto-Submitted: auto-replied"), ("m2", "Precedence: bulk"), ("m3", "List-Id: <x.example.org>")]
    {
        let letter = letter(id, "Di luar kantor", &format!("Saya sedang cuti, nomor {id}."));
        arrives(&world, ADDRESS, &letter.replace("\n\n", &format!("\n{header}\n\n"))).await;
    }
    let events = world.wait_for_events(3).await;
    for event in &events {
        let flags = event["data"]["screening"]["flags"].to_string();
        assert!(flags.contains("auto_reply") || flags.contains("bulk"), "{flags}");
    }
    world.quiet().await;
    assert!(sink.handed().is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sender_gets_so_many_answers_a_day_and_every_letter_is_kept() {
    let (world, sink) = start("answers_a_day = 2\n").await;
    for number in 0..5 {
        let letter = letter(&format!("a{number}"), "Jalan", &format!("Jalan nomor {number} rusak sejak kemarin."));
        arrives(&world, ADDRESS, &letter).await;
        world.quiet().await;
    }
    world.wait_for_events(5).await;
    sink.wait_for(2).await;
    until("the outbox is empty", async || {
        let channel = loket::receipt::ChannelId::new("surat").expect("a slug");
        let next = world.gateway().app.store.outbox_next(&channel).await.expect("the store answers");
        next.is_none().then_some(())
    })
    .await;
    assert_eq!(sink.handed().len(), 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_the_agency_stand_in_the_thread_and_their_bounce_on_the_complaint() {
    let (world, sink) = start("").await;
    arrives(&world, ADDRESS, &letter("a1", "Jalan rusak", "Jalan di depan pasar rusak.")).await;
    let event = world.wait_for_events(1).await.remove(0);
    let acknowledged = sink.wait_for(1).await.remove(0);
    let id = event["data"]["complaint_id"].as_str().expect("an id").to_owned();
    let reply = json!({ "text": "Tim kami datang besok.", "idempotency_key": "k1" });
    assert_eq!(world.api(&format!("/v1/complaints/{id}/replies"), reply).await.0, 202);
    let handed = sink.wait_for(2).await.remove(1);
    assert_eq!(handed.header("In-Reply-To"), acknowledged.header("Message-ID"));
    assert_eq!(handed.header("Auto-Submitted"), None, "a person wrote it");
    assert_eq!(Some(handed.mail_from.clone()), handed.header("Reply-To"), "a bounce has to come back");
    let message_id = handed.header("Message-ID").expect("an id");
    let bounce = format!(
        "From: MAILER-DAEMON@mx.example.org\nTo: {}\nSubject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\nMessage-ID: <b1@mx.example.org>\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: text/plain\n\nNo such user.\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; siti@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n\n--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: {message_id}\nSubject: x\n\n--b--\n",
        handed.mail_from
    );
    arrives(&world, &handed.mail_from, &bounce).await;
    let shown = until("the bounce is noted", async || {
        let (_, shown) = world.get(&format!("/v1/complaints/{id}")).await;
        shown["undeliverable"].is_object().then_some(shown)
    })
    .await;
    assert!(shown["undeliverable"]["failure"].as_str().unwrap_or_default().contains("5.1.1"), "{shown}");
    world.quiet().await;
    assert_eq!(world.events().await.len(), 1, "a bounce of ours is no complaint");
    assert_eq!(sink.handed().len(), 2, "and is not answered");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_refused_is_given_up_and_a_busy_server_asked_again() {
    let (world, sink) = start("").await;
    *sink.answers.lock().expect("no test panics with the lock") = vec!["550 5.1.1 no such user"];
    arrives(&world, ADDRESS, &letter("a1", "Jalan rusak", "Jalan di depan pasar rusak.")).await;
    world.wait_for_events(1).await;
    let dead = until("the answer is given up", async || {
        let (_, dead) = world.get("/v1/outbox/dead").await;
        dead["answers"].as_array().is_some_and(|answers| !answers.is_empty()).then_some(dead)
    })
    .await;
    let failure = dead["answers"][0]["failure"].as_str().expect("a reason");
    assert!(failure.contains("550") && !failure.contains('@'), "{failure}");
    assert!(sink.handed().is_empty());
    *sink.answers.lock().expect("no test panics with the lock") = vec!["451 4.7.1 later"];
    arrives(&world, ADDRESS, &letter("a2", "Lampu mati", "Lampu di depan pasar mati.")).await;
    sink.wait_for(1).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_word_in_answer_to_the_acknowledgement_hides_who_wrote() {
    let (world, sink) = start("").await;
    arrives(&world, ADDRESS, &letter("a1", "Jalan rusak", "Jalan di depan pasar rusak.")).await;
    let handed = sink.wait_for(1).await.remove(0);
    let reply_to = handed.header("Reply-To").expect("a reply address");
    let answer = "ANONIM\n\nPada Rab, 25 Nov 2026 pukul 08.00 Lapor Kota <lapor@kota.example> menulis:\n> Terima kasih.\n> Laporan Anda tercatat.";
    arrives(&world, &reply_to, &letter("a2", "Re: x", answer)).await;
    let events = world.wait_for_events(2).await;
    assert_eq!(events[1]["type"], "id.loket.complaint.privacy_changed.v1");
    let privacy: &Value = &events[1]["data"]["privacy"];
    assert_eq!(privacy["reporter_disclosure"], "withheld");
    world.finish().await;
}

/// A gateway that takes mail for `lapor@<domain>` at one port and sends its answers to another.
async fn gateway(domain: &str, listen: u16, send_to: u16) -> World {
    let world = World::prepare().await;
    world.manifest("smtp");
    world.write("config/loket.toml", &format!("[mail]\nresolver = \"off\"\n[smtp]\nlisten = \"127.0.0.1:{listen}\"\n"));
    let channel = format!(
        "manifest = \"smtp\"\n[settings]\naddresses = \"lapor@{domain}\"\nsend_host = \"127.0.0.1\"\nsend_port = {send_to}\nsend_security = \"none\"\n"
    );
    world.write("config/channels/surat.toml", &channel);
    world.serve().await
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_two_gateways_face_to_face_stop_after_two_letters() {
    let (one_port, two_port) = (free_port(), free_port());
    let one = gateway("satu.example", one_port, two_port).await;
    let two = gateway("dua.example", two_port, one_port).await;
    // The first letter looks as if a person wrote it, and comes from the other gateway's address.
    let first = "From: lapor@dua.example\nTo: lapor@satu.example\nSubject: Jalan rusak\nMessage-ID: <x1@dua.example>\n\nJalan di depan pasar rusak.\n";
    arrives(&one, "lapor@satu.example", first).await;
    one.wait_for_events(1).await;
    let answered = two.wait_for_events(1).await.remove(0);
    assert!(answered["data"]["screening"]["flags"].to_string().contains("auto_reply"), "{answered}");
    two.quiet().await;
    let channel = loket::receipt::ChannelId::new("surat").expect("a slug");
    for world in [&one, &two] {
        let next = world.gateway().app.store.outbox_next(&channel).await.expect("the store answers");
        assert_eq!(next, None, "nothing more is to be sent");
    }
    assert_eq!((one.events().await.len(), two.events().await.len()), (1, 1));
    one.finish().await;
    two.finish().await;
}
