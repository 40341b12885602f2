//! Files that leave by mail, who may send which, and what is not taken in at all.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use loket::clock;
use mail_parser::{MessageParser, MimeHeaders as _};
use serde_json::{Value, json};

use crate::{
    answers::{ADDRESS, arrives},
    enclosures::{PDF, hand_in, hand_in_as, hash, reply},
    harness::{TOKEN, World},
    mail_sink::Sink,
    media::{PHOTO, files},
};

/// A gateway with the channel `surat`, which answers through the sink, and tokens of two queues.
async fn letters() -> (World, Sink) {
    let sink = Sink::listen().await;
    let world = World::prepare().await;
    world.manifest("smtp");
    for (file, value) in [("triage", "triage-token"), ("other", "other-token"), ("operator", "operator-token")] {
        world.write(&format!("config/{file}"), value);
    }
    world.write(
        "config/loket.toml",
        "[mail]\nresolver = \"off\"\n[media]\nfree_space = \"1 MiB\"\nmax_size = \"1 MiB\"\n[[token]]\nscope = \"queue:triage\"\nvalue = { file = \"triage\" }\n[[token]]\nscope = \"queue:other\"\nvalue = { file = \"other\" }\n[[token]]\nscope = \"operator\"\nvalue = { file = \"operator\" }\n",
    );
    let settings = format!(
        "manifest = \"smtp\"\n[settings]\naddresses = \"{ADDRESS}\"\nsend_host = \"127.0.0.1\"\nsend_port = {}\nsend_security = \"none\"\n",
        sink.port
    );
    world.write("config/channels/surat.toml", &settings);
    (world.serve().await, sink)
}

/// A letter with a photo; the ids of its complaint and of its photo.
async fn writes(world: &World, number: usize) -> (String, String) {
    let photo = STANDARD.encode(PHOTO);
    let letter = format!(
        "From: Siti <siti{number}@example.org>\nTo: {ADDRESS}\nSubject: Jalan rusak\nMessage-ID: <a{number}@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nJalan nomor {number} di depan pasar rusak.\n--b\nContent-Type: image/jpeg; name=a.jpg\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=a{number}.jpg\n\n{photo}\n--b--\n"
    );
    arrives(world, ADDRESS, &letter).await;
    let events = world.wait_for_events(number).await;
    let event =
        events.into_iter().find(|event| event["data"]["attachments"][0]["filename"] == format!("a{number}.jpg"));
    let event = event.expect("the complaint of this letter");
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    (text(&event["data"]["complaint_id"]), text(&event["data"]["attachments"][0]["attachment_id"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_takes_its_files_along() {
    let (world, sink) = letters().await;
    let (complaint, _) = writes(&world, 1).await;
    sink.wait_for(1).await;
    let pdf = hand_in(&world, "surat tugas é.pdf", PDF).await;
    let photo = hand_in(&world, "foto.jpg", PHOTO).await;
    let attachments = json!([
        { "attachment_id": pdf["attachment_id"], "caption": "Surat tugas" },
        { "attachment_id": photo["attachment_id"] },
    ]);
    assert_eq!(reply(&world, &complaint, "k1", attachments).await.0, 202);

    let handed = sink.wait_for(2).await.remove(1);

    let letter = MessageParser::default().parse(handed.letter.as_bytes()).expect("a letter");
    let attached: Vec<_> = letter.attachments().collect();
    assert_eq!(attached.len(), 2, "{}", handed.letter);
    assert_eq!((attached[0].attachment_name(), attached[0].contents()), (Some("surat tugas é.pdf"), PDF));
    assert_eq!(hash(attached[1].contents()), photo["sha256"].as_str().expect("a hash"));
    let kind = attached[1].content_type().expect("a type");
    assert_eq!((kind.ctype(), kind.subtype()), ("image", Some("jpeg")));
    let text = letter.body_text(0).expect("a text");
    assert!(text.contains("Terlampir suratnya.") && text.contains("surat tugas é.pdf: Surat tugas"), "{text}");
    assert!(letter.body_html(0).is_some_and(|html| html.contains("Terlampir suratnya.")));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_leaves_for_the_complaint_it_is_meant_for_and_no_other() {
    let (world, sink) = letters().await;
    let (one, photo_of_one) = writes(&world, 1).await;
    let (two, _) = writes(&world, 2).await;
    assert!(files(&world, 2).await.iter().all(|file| file["state"] == "stored"));
    let by = async |token: &str, complaint: &str, key: &str, id: &str| {
        let request = world.client.post(world.url(&format!("/v1/complaints/{complaint}/replies"))).bearer_auth(token);
        let body = json!({ "text": "Terlampir.", "idempotency_key": key, "attachments": [{ "attachment_id": id }] });
        let response = request.header("content-type", "application/json").body(body.to_string()).send().await;
        let response = response.expect("a reply");
        (response.status().as_u16(), response.text().await.expect("a body"))
    };
    let id = |answer: (u16, Value)| answer.1["attachment_id"].as_str().expect("an id").to_owned();
    let of_core = id(hand_in_as(&world, TOKEN, "a.pdf", PDF).await);
    let of_triage = id(hand_in_as(&world, "triage-token", "b.pdf", PDF).await);
    let of_other = id(hand_in_as(&world, "other-token", "c.pdf", PDF).await);
    let unknown = clock::uuid7(clock::now()).to_string();
    // What came with one complaint leaves for no other, whoever asks; foreign and unknown answer alike.
    let mut refusals = Vec::new();
    for (token, complaint, file) in [
        (TOKEN, &two, &unknown),
        (TOKEN, &two, &photo_of_one),
        ("triage-token", &two, &photo_of_one),
        ("triage-token", &two, &of_core),
        ("triage-token", &two, &of_other),
        (TOKEN, &two, &of_other),
    ] {
        let (status, problem) = by(token, complaint, "k0", file).await;
        assert_eq!(status, 422, "{problem}");
        refusals.push(problem);
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(by("other-token", &two, "k0", &of_other).await.0, 404, "a complaint of another queue does not exist");
    // What may leave: the citizen's own file, the queue's, and the core's; each for one complaint.
    for (token, complaint, key, file) in [
        (TOKEN, &one, "k1", &photo_of_one),
        ("triage-token", &two, "k2", &of_triage),
        (TOKEN, &one, "k3", &of_core),
        (TOKEN, &one, "k4", &of_core),
    ] {
        assert_eq!(by(token, complaint, key, file).await.0, 202, "{key}");
    }
    for (complaint, file) in [(&two, &of_core), (&one, &of_triage)] {
        assert_eq!(by(TOKEN, complaint, "k5", file).await.0, 422, "it left for another complaint");
    }
    let handed = sink.wait_for(6).await;
    let attached = |handed: &crate::mail_sink::Handed| {
        let letter = MessageParser::default().parse(handed.letter.as_bytes()).map(mail_parser::Message::into_owned);
        letter.expect("a letter").attachment_count()
    };
    for handed in handed.iter().filter(|handed| handed.header("Auto-Submitted").is_none()) {
        assert_eq!(attached(handed), 1);
    }
    // Its owner may look at a file that was handed in; nobody else learns that it is there.
    for (token, status) in [("triage-token", 200), (TOKEN, 200), ("other-token", 404), ("operator-token", 404)] {
        let request = world.client.get(world.url(&format!("/v1/attachments/{of_triage}"))).bearer_auth(token);
        assert_eq!(request.send().await.expect("a reply").status(), status, "{token}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_for_a_citizen_is_not_taken_in() {
    let (world, _) = letters().await;
    let large = vec![b'x'; (1 << 20) + 1];
    for (token, bytes, status) in [
        ("wrong", PDF, 401),
        ("operator-token", PDF, 403),
        (TOKEN, b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".as_slice(), 415),
        (TOKEN, b"<html><script>alert(1)</script>", 415),
        (TOKEN, b"", 400),
        (TOKEN, &large, 413),
    ] {
        let (given, problem) = hand_in_as(&world, token, "foto.jpg", bytes).await;
        assert_eq!(given, status, "{problem}");
        assert!(problem["detail"].is_string(), "{problem}");
    }
    // A length that is not told is counted.
    let pieces = futures_util::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 64 << 10])));
    let request = world.client.post(world.url("/v1/attachments")).bearer_auth(TOKEN);
    let response = request.body(reqwest::Body::wrap_stream(pieces)).send().await.expect("a reply");
    assert_eq!(response.status(), 413);
    let left = std::fs::read_dir(world.folder.path().join("data/media/incoming")).expect("a folder").count();
    assert_eq!(left, 0, "nothing of what was refused stays");
    world.finish().await;
}
