//! Where files lie: a folder and a bucket keep one contract, and a gateway works on either.

use std::path::Path;

use futures_util::StreamExt as _;
use jiff::SignedDuration;
use loket::{
    clock,
    complaint::hex,
    media::shelf::{
        Shelf,
        uploads::{Owner, Upload},
    },
    units::Size,
};
use ring::digest;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    answers::{ADDRESS, arrives},
    harness::{TOKEN, World},
    mail_sink::Sink,
    media::{PHOTO, files},
    s3_server::{BUCKET, S3},
};

/// Bytes of a part of an upload.
const PART: usize = 5 << 20;

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place % 251) as u8).collect()
}

async fn put(shelf: &Shelf, id: Uuid, bytes: &[u8]) {
    let (mut draft, scrap) = shelf.draft(Size::mib(64)).expect("a draft");
    for piece in bytes.chunks(1 << 20) {
        draft.write(piece).await.expect("room");
    }
    let whole = draft.finish(scrap).await.expect("a file");
    assert_eq!(whole.sha256, hex(digest::digest(&digest::SHA256, bytes).as_ref()));
    shelf.put(id, whole).await.expect("a place");
}

async fn got(shelf: &Shelf, id: Uuid) -> Option<Vec<u8>> {
    let mut opened = shelf.bytes(id).await.expect("the place answers")?;
    let mut bytes = Vec::new();
    while let Some(piece) = opened.pieces.next().await {
        bytes.extend_from_slice(&piece.expect("a piece"));
    }
    assert_eq!(bytes.len() as u64, opened.size);
    Some(bytes)
}

async fn handed_in(shelf: &Shelf) -> Upload {
    let now = clock::now();
    let upload = Upload {
        attachment_id: clock::uuid7(now),
        owner: Owner::Queues(vec!["triage".to_owned()]),
        media_type: "application/pdf".to_owned(),
        filename: Some("surat.pdf".to_owned()),
        size_bytes: 3,
        sha256: String::new(),
        at: now,
    };
    shelf.write_upload(&upload).await.expect("a record");
    put(shelf, upload.attachment_id, b"%PD").await;
    upload
}

/// What the shelf promises wherever its files lie.
async fn contract(shelf: &Shelf, drafts: &Path) {
    shelf.check().await.expect("the place is good");
    let unknown = clock::uuid7(clock::now());
    assert_eq!(got(shelf, unknown).await, None);
    assert!(shelf.record(unknown).await.expect("the place answers").is_none());
    for size in [1, PART, PART + 1, 2 * PART + 12345] {
        let id = clock::uuid7(clock::now());
        for _ in 0..2 {
            put(shelf, id, &bytes(size)).await;
            assert!(got(shelf, id).await.expect("it is there") == bytes(size), "{size} bytes come back as they were");
        }
    }
    let upload = handed_in(shelf).await;
    assert_eq!(shelf.upload(upload.attachment_id).await.expect("the place answers"), Some(upload.clone()));
    // Of many who take it at the same time, one complaint gets it.
    let now = clock::now();
    let takes = (1..=8).map(|complaint| shelf.take(&upload, Uuid::from_u128(complaint), now));
    let taken = futures_util::future::join_all(takes).await;
    assert_eq!(taken.iter().filter(|taken| matches!(taken, Ok(true))).count(), 1, "{taken:?}");
    let owner = shelf.taken_for(upload.attachment_id).await.expect("the place answers").expect("it is taken");
    assert!(shelf.take(&upload, owner, now).await.expect("the place answers"), "repeating it is harmless");
    let unsent = handed_in(shelf).await;
    let gone = async |hours| shelf.sweep(now + SignedDuration::from_hours(hours)).await.expect("the place answers");
    assert_eq!([gone(1).await, gone(25).await, gone(26).await], [0, 1, 0]);
    assert_eq!(got(shelf, unsent.attachment_id).await, None);
    assert!(shelf.upload(unsent.attachment_id).await.expect("the place answers").is_none());
    assert!(got(shelf, upload.attachment_id).await.is_some());
    assert_eq!(std::fs::read_dir(drafts.join("incoming")).expect("a folder").count(), 0, "no draft stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_the_contract_of_the_shelf() {
    let folder = tempfile::tempdir().expect("a folder");
    contract(&Shelf::open(folder.path().to_owned()).expect("a shelf"), folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_the_contract_of_the_shelf() {
    let Some(server) = S3::start().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let shelf = |prefix: &str| Shelf::in_bucket(folder.path(), &server.access(prefix)).expect("a shelf");
    contract(&shelf("kota/media"), folder.path()).await;
    // Another prefix is another shelf.
    let upload = handed_in(&shelf("one")).await;
    assert!(shelf("two").upload(upload.attachment_id).await.expect("the place answers").is_none());
    assert_eq!(got(&shelf("two"), upload.attachment_id).await, None);
    // Nothing but drafts was ever local.
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_refuses_or_is_away_is_an_error_and_never_an_absence() {
    let Some(server) = S3::start().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let right = Shelf::in_bucket(folder.path(), &server.access("")).expect("a shelf");
    let upload = handed_in(&right).await;
    let mut wrong = server.access("");
    wrong.secret_key = SecretString::from("made-up");
    let wrong = Shelf::in_bucket(folder.path(), &wrong).expect("a shelf");
    let error = wrong.upload(upload.attachment_id).await.expect_err("the signature is wrong").to_string();
    assert!(!error.contains("made-up"), "{error}");
    assert!(wrong.check().await.is_err() && wrong.bytes(upload.attachment_id).await.is_err());
    let mut other = server.access("");
    other.bucket = "no-such-bucket".to_owned();
    let other = Shelf::in_bucket(folder.path(), &other).expect("a shelf");
    assert!(other.check().await.is_err(), "the bucket is not there");
    drop(server);
    assert!(right.bytes(upload.attachment_id).await.is_err());
    assert!(right.sweep(clock::now()).await.is_err());
    assert_eq!(std::fs::read_dir(folder.path().join("incoming")).expect("a folder").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_keeps_its_files_in_a_bucket() {
    let Some(server) = S3::start().await else { return };
    let sink = Sink::listen().await;
    let world = World::prepare().await;
    world.manifest("smtp");
    let [access_key, secret_key] = server.keys();
    world.write("config/s3_access", &access_key);
    world.write("config/s3_secret", &secret_key);
    let config = format!(
        "[mail]\nresolver = \"off\"\n[media]\nfree_space = \"1 MiB\"\nstorage = \"s3://{BUCKET}/kota\"\n[media.s3]\nendpoint = \"{}\"\naccess_key = {{ file = \"s3_access\" }}\nsecret_key = {{ file = \"s3_secret\" }}\n",
        server.endpoint()
    );
    world.write("config/loket.toml", &config);
    let settings = format!(
        "manifest = \"smtp\"\n[settings]\naddresses = \"{ADDRESS}\"\nsend_host = \"127.0.0.1\"\nsend_port = {}\nsend_security = \"none\"\n",
        sink.port
    );
    world.write("config/channels/surat.toml", &settings);
    let mut world = world.serve().await;
    let photo = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, PHOTO);
    let letter = format!(
        "From: Siti <siti@example.org>\nTo: {ADDRESS}\nSubject: Jalan rusak\nMessage-ID: <a1@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nJalan di depan pasar rusak.\n--b\nContent-Type: image/jpeg; name=a.jpg\nContent-Transfer-Encoding: base64\n\n{photo}\n--b--\n"
    );
    arrives(&world, ADDRESS, &letter).await;
    let file = files(&world, 1).await.remove(0);
    assert_eq!(file["state"], "stored", "{file}");
    let get = async |world: &World, id: &Value| {
        let path = format!("/v1/attachments/{}", id.as_str().expect("an id"));
        let response = world.client.get(world.url(&path)).bearer_auth(TOKEN).send().await.expect("a reply");
        assert_eq!(response.status(), 200);
        hex(digest::digest(&digest::SHA256, &response.bytes().await.expect("a body")).as_ref())
    };
    assert_eq!(get(&world, &file["attachment_id"]).await, file["sha256"].as_str().expect("a hash"));
    let request = world.client.post(world.url("/v1/attachments?filename=surat.pdf")).bearer_auth(TOKEN);
    let response = request.body([b"%PDF-1.7".as_slice(), &bytes(6 << 20)].concat()).send().await.expect("a reply");
    let pdf: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    let complaint =
        world.wait_for_events(1).await.remove(0)["data"]["complaint_id"].as_str().expect("an id").to_owned();
    let body = json!({ "text": "Terlampir.", "idempotency_key": "k1", "attachments": [
        { "attachment_id": pdf["attachment_id"] }, { "attachment_id": file["attachment_id"] },
    ] });
    assert_eq!(world.api(&format!("/v1/complaints/{complaint}/replies"), body).await.0, 202);
    let handed = sink.wait_for(2).await.remove(1);
    let letter = mail_parser::MessageParser::default().parse(handed.letter.as_bytes()).expect("a letter").into_owned();
    let hashes: Vec<_> =
        letter.attachments().map(|part| hex(digest::digest(&digest::SHA256, part.contents()).as_ref())).collect();
    assert_eq!(hashes, [&pdf["sha256"], &file["sha256"]].map(|hash| hash.as_str().expect("a hash").to_owned()));
    // A gateway that starts anew finds them, and nothing lies in its own folder.
    world.stop().await;
    world.resume().await;
    assert_eq!(get(&world, &pdf["attachment_id"]).await, pdf["sha256"].as_str().expect("a hash"));
    let local = std::fs::read_dir(world.folder.path().join("data/media")).expect("a folder").count();
    assert_eq!(local, 1, "only the folder of drafts");
    world.finish().await;
}
