//! Bad input: a constant short answer, a counter, nothing in the queue. After verification nothing is refused for its content.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{PUBLIC_URL, World, form, sms, twilio_signature, until};

const TEXT: &str = "Lampu jalan di depan pasar padam sudah dua minggu.";

#[tokio::test(flavor = "multi_thread")]
async fn everything_unverified_gets_one_constant_answer_and_no_place_in_the_journal() {
    let world = World::start().await;
    let fields = sms("SM1", "+6281100000001", TEXT);
    let good = twilio_signature(&format!("{PUBLIC_URL}/in/sms"), &fields);
    let tampered = form(&sms("SM1", "+6281100000001", "Lain sekali."));
    let before = world.gateway().app.journal.stats();
    let mut answers = Vec::new();
    for (path, headers, body) in [
        ("/in/sms", vec![], form(&fields)),
        ("/in/sms", vec![("x-twilio-signature", "")], form(&fields)),
        ("/in/sms", vec![("x-twilio-signature", "AAAA")], form(&fields)),
        ("/in/sms", vec![("x-twilio-signature", &good), ("x-twilio-signature", &good)], form(&fields)),
        ("/in/sms", vec![("x-twilio-signature", &good)], tampered),
        ("/in/sms?x=1", vec![("x-twilio-signature", &good)], form(&fields)),
        ("/in/unknown", vec![("x-twilio-signature", &good)], form(&fields)),
    ] {
        answers.push(world.post(path, &headers, body).await);
    }
    assert!(answers.iter().all(|answer| *answer == (401, "refused\n".to_owned())), "{answers:?}");
    assert_eq!(world.gateway().app.journal.stats().backlog, before.backlog);
    assert_eq!(world.metric("loket_outcome_total", "outcome=\"refused\"").await, 6);
    assert!(world.events().await.is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_does_not_come_by_http_whatever_the_method_says() {
    let world = World::prepare().await;
    world.manifest("smtp");
    world.write("config/channels/surat.toml", "manifest = \"smtp\"\n[settings]\naddresses = \"lapor@kota.example\"\n");
    let world = world.serve().await;
    for method in ["SMTP", "LMTP", "IMAP", "POST"] {
        let method: reqwest::Method = method.parse().expect("a method");
        let letter = "From: siti@example.org\r\nSubject: Uji\r\n\r\nLampu padam.\r\n";
        let request = world.client.request(method.clone(), world.url("/in/surat")).body(letter);
        assert_eq!(request.send().await.expect("a reply").status(), 401, "{method}");
    }
    assert!(world.events().await.is_empty());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_body_is_refused_before_it_is_read() {
    let world = World::start().await;
    let mut stream = tokio::net::TcpStream::connect(world.gateway().address).await.expect("a connection");
    let head = "POST /in/sms HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.expect("an answer although no body was sent");
    assert_eq!(&answer, b"HTTP/1.1 413");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_body_of_unknown_length_is_refused_while_it_comes() {
    let world = World::start().await;
    let mut stream = tokio::net::TcpStream::connect(world.gateway().address).await.expect("a connection");
    let head = "POST /in/sms HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(65536));
    for _ in 0..16 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.expect("an answer before the end of the body");
    assert_eq!(&answer, b"HTTP/1.1 413");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_headers_and_huge_request_lines_are_refused() {
    let world = World::start().await;
    for head in [
        format!("POST /in/sms HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-a: b\r\n".repeat(200)),
        format!("POST /in/sms?{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000)),
    ] {
        let mut stream = tokio::net::TcpStream::connect(world.gateway().address).await.expect("a connection");
        // The server may hang up while we still write.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    assert_eq!(world.sms("SM1", "+6281100000001", TEXT).await, 200);
    world.wait_for_events(1).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_verified_receipt_that_cannot_be_read_is_quarantined_and_comes_back_once_the_manifest_is_mended() {
    let world = World::prepare().await;
    world.add_twilio("sms");
    let path = world.folder.path().join("channels/twilio-sms.toml");
    let good = std::fs::read_to_string(&path).expect("a manifest");
    // A mapping that fails on a text with the word in it, and passes its samples.
    let broken = good.replace(
        "text             = \".form.Body\"",
        "text = 'if ((.form.Body // \"\") | test(\"beringin\")) then error(\"x\") else .form.Body end'",
    );
    assert_ne!(good, broken);
    std::fs::write(&path, broken).expect("a file");
    let world = world.serve().await;
    assert_eq!(world.sms("SM1", "+6281100000001", "Pohon beringin tumbang di depan sekolah dasar.").await, 200);
    assert_eq!(world.sms("SM2", "+6281100000002", TEXT).await, 200);
    world.quiet().await;
    world.wait_for_events(1).await;
    let (_, quarantine) = world.get("/v1/receipts").await;
    let id = quarantine["receipts"][0]["receipt_id"].as_str().expect("one receipt").to_owned();
    assert!(!quarantine.to_string().contains("beringin"), "the reason quotes the citizen: {quarantine}");
    assert_eq!(world.metric("loket_quarantine_receipts", "").await, 1);

    std::fs::write(&path, good).expect("a file");
    until("the mended manifest is taken up and the receipt replayed", async || {
        let (status, _) = world.api(&format!("/v1/receipts/{id}/replay"), json!({})).await;
        assert!(status == 202 || status == 404, "{status}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        (world.events().await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(world.api(&format!("/v1/receipts/{id}/replay"), json!({})).await.0, 404);
    world.quiet().await;
    world.wait_for_events(2).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_api_wants_a_token_and_says_what_is_wrong() {
    let world = World::start().await;
    let response = world.client.get(world.url("/v1/queues")).send().await.expect("a reply");
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let (status, problem) = world.api("/v1/queues/triage/lease", json!({ "max": 1, "visibilty_seconds": 3 })).await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("visibilty_seconds")), "{problem}");
    assert_eq!(world.get("/v1/nothing").await.0, 404);
    assert_eq!(world.get("/v1/complaints/E3S-3E2-8JE").await.0, 404);
    assert_eq!(world.get("/v1/complaints/nonsense").await.0, 400);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_queue_sees_no_other() {
    let world = World::prepare().await;
    world.add_twilio("sms");
    world.write("config/other_token", "other");
    world.write("config/loket.toml", "[[token]]\nscope = \"queue:other\"\nvalue = { file = \"other_token\" }\n");
    let world = world.serve().await;
    world.sms("SM1", "+6281100000001", TEXT).await;
    let event = world.wait_for_events(1).await.remove(0);
    let ask = |path: String| world.client.get(world.url(&path)).bearer_auth("other").send();
    assert_eq!(ask("/v1/queues/triage/dead".to_owned()).await.expect("a reply").status(), 403);
    assert_eq!(
        ask(format!("/v1/complaints/{}", event["subject"].as_str().expect("an id"))).await.expect("a reply").status(),
        404
    );
    assert_eq!(ask("/v1/queues".to_owned()).await.expect("a reply").text().await.expect("a body"), "{\"queues\":[]}");
    assert_eq!(ask("/v1/receipts".to_owned()).await.expect("a reply").status(), 403);
    world.finish().await;
}
