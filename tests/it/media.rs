//! Files that come with complaints, from the provider's place, the form or the letter to `GET /v1/attachments/{id}`.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path as Segment, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    answers::{ADDRESS, arrives},
    harness::{World, is_of_message, until},
    redis_servers::Server,
};

const TEXT: &str = "Jalan di depan pasar berlubang sejak hujan kemarin.";
/// A JPEG with an EXIF block that names nobody, and a comment that does.
pub const PHOTO: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x02\0\0\x01\0\x01\0\0\xff\xfe\0\x0dkamera Siti\
    \xff\xdb\0\x03\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\x12\x34\xff\xd9";
const EICAR: &[u8] = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

/// A provider of files.
#[derive(Clone, Default)]
struct Files {
    /// Authorization header of each request.
    asked: Arc<Mutex<Vec<String>>>,
    /// Statuses to give before the file.
    statuses: Arc<Mutex<Vec<u16>>>,
    canary: u16,
}

impl Files {
    async fn listen(canary: u16) -> (Self, u16) {
        let files = Self { canary, ..Self::default() };
        let router = Router::new()
            .route("/file/{name}", get(Self::give))
            .route("/place/{name}", get(Self::tell))
            .with_state(files.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (files, port)
    }

    /// The first of two steps: where a file is. The name is `at-` and a host, or that of a file here.
    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn tell(State(files): State<Self>, Segment(name): Segment<String>, headers: HeaderMap) -> String {
        let here = headers[header::HOST].to_str().expect("a host");
        let url = match name.strip_prefix("at-") {
            Some(host) => format!("http://{host}:{}/stolen", files.canary),
            None => format!("http://{here}/file/{name}"),
        };
        json!({ "url": url }).to_string()
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn give(State(files): State<Self>, Segment(name): Segment<String>, headers: HeaderMap) -> Response {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        files.asked.lock().expect("a lock").push(authorization.unwrap_or_default().to_owned());
        let status = files.statuses.lock().expect("a lock").pop().unwrap_or(200);
        if status != 200 {
            return StatusCode::from_u16(status).expect("a status").into_response();
        }
        if let Some(host) = name.strip_prefix("redirect-") {
            let to = format!("http://{host}:{}/stolen", files.canary);
            return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
        }
        match name.as_str() {
            "photo" => PHOTO.into_response(),
            "page" => "<html><script>alert(1)</script></html>".into_response(),
            "program" => b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".into_response(),
            "empty" => StatusCode::OK.into_response(),
            "eicar" => EICAR.into_response(),
            "endless" => Body::from_stream(futures_util::stream::repeat_with(|| {
                Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 << 10]))
            }))
            .into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }
}

const MANIFEST: &str = r#"
manifest      = 1
id            = "foto"
title         = "Chat with photos"
version       = "1.0.0"
adapter       = "webhook"
medium        = "chat"
address       = "opaque"
verify        = "none"
verify_reason = "a provider in a test that signs nothing"

[settings.base]
label = "Where files are"
kind  = "url"

[settings.token]
label  = "Token of files"
secret = true

[receive]
methods       = ["POST"]
content_types = ["application/json"]

[message]
each        = ".body"
id          = ".id"
from        = ".from"
text        = ".text"
attachments = "[.files[]? | {ref, url, media_type, filename}]"

[media]
hosts    = ["files.gateway.example"]
url      = "{{ settings.base }}/file/{{ ref }}"
auth     = { kind = "bearer", token = "${token}" }
max_size = "1 MiB"
timeout  = "3s"

[[sample]]
name    = "a message"
url     = "https://loket.example/in/foto"
headers = { "Content-Type" = "application/json" }
body    = '{"id": "1", "from": "u1", "text": "halo"}'
[sample.expect]
verify   = "pass"
messages = [{ id = "1", from = "u1", text = "halo" }]
"#;

const FORM: &str = r#"
manifest      = 1
id            = "formulir"
title         = "Form with files"
version       = "1.0.0"
adapter       = "webhook"
medium        = "web_form"
address       = "opaque"
verify        = "none"
verify_reason = "a provider in a test that signs nothing"

[receive]
methods       = ["POST"]
content_types = ["multipart/form-data"]

[message]
each        = "."
id          = ".form.id"
from        = ".form.from"
text        = ".form.text"
attachments = ".files"

[media]
hosts = []

[[sample]]
name    = "a message"
url     = "https://loket.example/in/formulir"
headers = { "Content-Type" = "multipart/form-data; boundary=b" }
body    = "--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhalo\r\n--b--\r\n"
[sample.expect]
verify   = "pass"
messages = [{ id = "1", text = "halo" }]
"#;

/// The same, where the place of a file has to be asked for.
fn asking(manifest: &str) -> String {
    manifest.replace("{{ settings.base }}/file/{{ ref }}", "{{ resolved }}").replace(
        "[[sample]]",
        "[media.resolve]\nurl = \"{{ settings.base }}/place/{{ ref }}\"\nat = \".body.url\"\n\n[[sample]]",
    )
}

/// A gateway with the channel `foto`, whose files are at `port`.
async fn prepare(port: u16, config: &str) -> World {
    let world = World::prepare().await;
    world.write("channels/foto.toml", MANIFEST);
    world.write("config/files_token", "s3cret");
    let channel = format!(
        "manifest = \"foto\"\n[settings]\nbase = \"http://127.0.0.1:{port}\"\ntoken = {{ file = \"files_token\" }}\n[media]\nallow_private = true\n"
    );
    world.write("config/channels/foto.toml", &channel);
    world.write(
        "config/loket.toml",
        &format!("[media]\nretry_first = \"100ms\"\nretry_max = 3\nfree_space = \"1 MiB\"\n{config}"),
    );
    world
}

async fn post(world: &World, id: &str, files: Value) {
    let body = json!({ "id": id, "from": "u1", "text": format!("{TEXT} {id}"), "files": files });
    let request = world.client.post(world.url("/in/foto")).header("content-type", "application/json");
    assert_eq!(request.body(body.to_string()).send().await.expect("a reply").status(), 200);
}

/// The attachments that reached their final state, when there are so many.
pub async fn files(world: &World, count: usize) -> Vec<Value> {
    until(&format!("{count} files in their final state"), async || {
        let events: Vec<_> =
            world.events().await.into_iter().map(|(_, event)| event).filter(|event| !is_of_message(event)).collect();
        assert!(events.len() <= count, "more than {count} files: {events:#?}");
        (events.len() == count).then(|| events.iter().map(|event| event["data"]["attachments"][0].clone()).collect())
    })
    .await
}

async fn get_file(world: &World, file: &Value, token: &str) -> reqwest::Response {
    let path = format!("/v1/attachments/{}", file["attachment_id"].as_str().expect("an id"));
    world.client.get(world.url(&path)).bearer_auth(token).send().await.expect("a reply")
}

/// A listener that nobody may come to.
async fn canary() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, hits)
}

fn paths(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { paths(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_of_a_provider_is_stored_told_and_given_out() {
    let (provider, port) = Files::listen(0).await;
    let tokens = "[[token]]\nscope = \"queue:triage\"\nvalue = { file = \"triage\" }\n[[token]]\nscope = \"queue:other\"\nvalue = { file = \"other\" }\n";
    let world = prepare(port, tokens).await;
    world.write("config/triage", "triage-token");
    world.write("config/other", "other-token");
    let world = world.serve().await;
    let name = "../../\u{202e}gpj.exe";
    post(&world, "m1", json!([{ "ref": "photo", "media_type": "image/png", "filename": name }])).await;

    let file = files(&world, 1).await.remove(0);

    assert_eq!((&file["state"], &file["detected_media_type"]), (&json!("stored"), &json!("image/jpeg")), "{file}");
    assert_eq!((&file["exif"]["stripped"], &file["scan"]["result"]), (&json!(true), &json!("not_scanned")));
    assert_eq!(provider.asked(), ["Bearer s3cret"]);
    let response = get_file(&world, &file, "triage-token").await;
    assert_eq!(response.status(), 200);
    let told = |name: &str| response.headers()[name].to_str().expect("a value").to_owned();
    assert_eq!(told("content-type"), "image/jpeg");
    assert!(told("content-disposition").starts_with("inline; filename*=UTF-8''"), "{}", told("content-disposition"));
    assert_eq!(told("x-content-type-options"), "nosniff");
    assert!(told("content-security-policy").contains("sandbox"));
    let bytes = response.bytes().await.expect("a body");
    assert_eq!(bytes.len() as u64, file["size_bytes"], "{file}");
    assert!(!bytes.windows(4).any(|word| word == b"Siti") && bytes.ends_with(b"\xff\xd9"));
    // Unknown and foreign answer alike.
    let foreign = get_file(&world, &file, "other-token").await;
    assert_eq!(foreign.status(), 404);
    let unknown =
        get_file(&world, &json!({ "attachment_id": "01900000-0000-7000-8000-000000000000" }), "other-token").await;
    assert_eq!(foreign.text().await.expect("a body"), unknown.text().await.expect("a body"));
    // It is counted when its record says that it was told.
    let line = "loket_media_total{channel=\"foto\",result=\"stored\"} 1";
    until("the file is counted", async || world.metrics().await.contains(line).then_some(())).await;
    // The folder holds ids only, for nobody else to read.
    let folder = world.folder.path().join("data/media");
    let id = file["attachment_id"].as_str().expect("an id");
    let found = paths(&folder);
    assert_eq!(found.len(), 2, "{found:?}");
    for path in &found {
        assert!(path.file_name().expect("a name").to_string_lossy().starts_with(id), "{}", path.display());
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(path.parent().expect("a folder").metadata().expect("a folder").permissions().mode() & 0o777, 0o700);
    }
    let events = world.events().await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].1["data"]["sequence"], 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_form_is_stored_from_the_journal() {
    let world = prepare(1, "").await;
    world.write("channels/formulir.toml", FORM);
    world.write("config/channels/formulir.toml", "manifest = \"formulir\"\n");
    let world = world.serve().await;
    let field =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body = [
        field("id", "1").into_bytes(),
        field("text", TEXT).into_bytes(),
        b"--b\r\nContent-Disposition: form-data; name=\"foto\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
            .to_vec(),
        PHOTO.to_vec(),
        b"\r\n--b--\r\n".to_vec(),
    ];
    let request =
        world.client.post(world.url("/in/formulir")).header("content-type", "multipart/form-data; boundary=b");
    assert_eq!(request.body(body.concat()).send().await.expect("a reply").status(), 200);
    let file = files(&world, 1).await.remove(0);
    assert_eq!((&file["state"], &file["filename"]), (&json!("stored"), &json!("a.jpg")), "{file}");
    assert_eq!(get_file(&world, &file, crate::harness::TOKEN).await.status(), 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_letter_is_stored_from_the_journal() {
    let world = World::prepare().await;
    world.manifest("smtp");
    world.write("config/loket.toml", "[mail]\nresolver = \"off\"\n[media]\nfree_space = \"1 MiB\"\n");
    world.write("config/channels/surat.toml", &format!("manifest = \"smtp\"\n[settings]\naddresses = \"{ADDRESS}\"\n"));
    let world = world.serve().await;
    let photo = STANDARD.encode(PHOTO);
    let letter = format!(
        "From: Siti <siti@example.org>\nTo: {ADDRESS}\nSubject: Jalan rusak\nMessage-ID: <a1@example.org>\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=b\n\n--b\n\n{TEXT}\n--b\nContent-Type: image/jpeg; name=jalan.jpg\n\
         Content-Disposition: attachment\nContent-Transfer-Encoding: base64\n\n{photo}\n--b--\n"
    );
    arrives(&world, ADDRESS, &letter).await;
    let file = files(&world, 1).await.remove(0);
    assert_eq!((&file["state"], &file["filename"]), (&json!("stored"), &json!("jalan.jpg")), "{file}");
    let bytes = get_file(&world, &file, crate::harness::TOKEN).await.bytes().await.expect("a body");
    assert!(bytes.starts_with(b"\xff\xd8") && bytes.len() as u64 == file["size_bytes"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_download_is_retried_and_one_given_up_on_is_visible() {
    let (provider, port) = Files::listen(0).await;
    let world = prepare(port, "").await.serve().await;
    *provider.statuses.lock().expect("a lock") = vec![503, 500];
    post(&world, "m1", json!([{ "ref": "photo" }])).await;
    let file = files(&world, 1).await.remove(0);
    assert_eq!(file["state"], "stored", "{file}");
    assert_eq!(provider.asked().len(), 3);

    post(&world, "m2", json!([{ "ref": "none" }])).await;
    let gone = files(&world, 2).await.remove(1);
    assert_eq!((&gone["state"], &gone["reject_reason"]), (&json!("expired"), &json!("download_failed")), "{gone}");
    assert_eq!(provider.asked().len(), 6);
    let response = get_file(&world, &gone, crate::harness::TOKEN).await;
    assert_eq!(response.status(), 404);
    assert!(response.text().await.expect("a body").contains("expired"));
    let dead = until("the job is among the dead", async || {
        let (_, dead) = world.get("/v1/outbox/dead").await;
        (dead["answers"].as_array().map_or(0, Vec::len) == 1).then_some(dead)
    });
    assert!(
        dead.await["answers"][0]["failure"].as_str().is_some_and(|failure| failure.contains("could not be fetched"))
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_that_we_keep_is_rejected_with_the_reason() {
    if !is_alone("media::what_is_no_file_that_we_keep_is_rejected_with_the_reason") {
        return;
    }
    let (_, port) = Files::listen(0).await;
    let world = prepare(port, "").await.serve().await;
    let before = resident();
    let names = ["page", "program", "empty", "endless"];
    post(&world, "m1", names.iter().map(|name| json!({ "ref": name, "media_type": "image/jpeg" })).collect()).await;
    let mut reasons: Vec<_> = files(&world, 4).await.iter().map(|file| file["reject_reason"].to_string()).collect();
    reasons.sort();
    assert_eq!(reasons, ["\"empty\"", "\"too_large\"", "\"type_not_allowed\"", "\"type_not_allowed\""]);
    assert!(resident().saturating_sub(before) < 32 << 10, "{before} KiB before, {} KiB now", resident());
    world.finish().await;
}

/// Memory is of a process: a test that measures it runs in one of its own. False in the process that has waited for it.
fn is_alone(test: &str) -> bool {
    if std::env::args().any(|argument| argument == "--exact") {
        return true;
    }
    let program = std::env::current_exe().expect("a program");
    let output = std::process::Command::new(program).args(["--exact", test]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    false
}

/// Memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Raw answers that no server gives.
#[tokio::test(flavor = "multi_thread")]
async fn slow_silent_and_lying_providers_hold_nothing_up() {
    if !is_alone("media::slow_silent_and_lying_providers_hold_nothing_up") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let head = |length: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                if request.contains("/lies") {
                    let _ = stream.write_all(head("1000").as_bytes()).await;
                    let _ = stream.write_all(b"half").await;
                    return;
                }
                if request.contains("/huge") {
                    let _ = stream.write_all(head("99999999999").as_bytes()).await;
                    return;
                }
                let _ = stream.write_all(head("1000").as_bytes()).await;
                // One byte a second, or none at all.
                while request.contains("/slow") && stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
                std::future::pending::<()>().await;
            });
        }
    });
    let world = prepare(port, "").await.serve().await;
    let before = resident();
    post(&world, "m1", json!([{ "ref": "lies" }, { "ref": "huge" }, { "ref": "slow" }, { "ref": "hang" }])).await;
    let mut states: Vec<_> = files(&world, 4)
        .await
        .iter()
        .map(|file| {
            format!("{} {}", file["state"].as_str().expect("a word"), file["reject_reason"].as_str().expect("a word"))
        })
        .collect();
    states.sort();
    assert_eq!(
        states,
        ["failed download_failed", "failed download_failed", "failed download_failed", "rejected too_large"]
    );
    assert!(resident().saturating_sub(before) < 32 << 10);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attachment_leads_into_our_network() {
    let (canary, hits) = canary().await;
    let (_, port) = Files::listen(canary).await;
    let world = prepare(port, "").await.serve().await;
    let hosts = [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "localhost.",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "127.1",
    ];
    let urls = hosts.iter().flat_map(|host| {
        [
            format!("http://{host}:{canary}/"),
            format!("https://{host}:{canary}/"),
            format!("https://files.gateway.example@{host}:{canary}/"),
        ]
    });
    let others = [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "data:text/plain,x",
        "http://169.254.169.254/",
    ];
    let urls: Vec<_> = urls.chain(others.map(str::to_owned)).collect();
    // At most 20 of a message are looked at: each has less.
    let mut count = 0;
    for (number, some) in urls.chunks(10).enumerate() {
        count += some.len();
        post(&world, &format!("m{number}"), some.iter().map(|url| json!({ "url": url })).collect()).await;
    }
    count += 3;
    post(
        &world,
        "redirects",
        json!([{ "ref": "redirect-127.0.0.1" }, { "ref": "redirect-localhost" }, { "ref": "redirect-0x7f.1" }]),
    )
    .await;
    for file in files(&world, count).await {
        assert_eq!(file["state"], "failed", "{file}");
    }
    assert_eq!(hits.load(Ordering::Relaxed), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_asked_for_and_held_against_the_list_as_well() {
    let (canary, hits) = canary().await;
    let (provider, port) = Files::listen(canary).await;
    let world = prepare(port, "").await;
    world.write("channels/foto.toml", &asking(MANIFEST));
    let world = world.serve().await;
    let hosts = ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1", "169.254.169.254"];
    let wanted = hosts.iter().map(|host| format!("at-{host}")).chain(["photo".to_owned()]);
    post(&world, "m1", wanted.map(|name| json!({ "ref": name })).collect()).await;
    let mut states: Vec<_> = files(&world, 8).await.iter().map(|file| file["state"].to_string()).collect();
    states.sort();
    assert_eq!(states[..7], vec!["\"failed\""; 7]);
    assert_eq!(states[7], "\"stored\"");
    assert_eq!((hits.load(Ordering::Relaxed), provider.asked()), (0, vec!["Bearer s3cret".to_owned()]));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_gateway() {
    let (provider, port) = Files::listen(0).await;
    let mut world = prepare(port, "").await.serve().await;
    *provider.statuses.lock().expect("a lock") = vec![503];
    post(&world, "m1", json!([{ "ref": "photo" }])).await;
    until("the first try", async || (provider.asked().len() == 1).then_some(())).await;
    world.stop().await;
    world.resume().await;
    let file = files(&world, 1).await.remove(0);
    assert_eq!((&file["state"], provider.asked().len()), (&json!("stored"), 2), "{file}");
    // It is over: a restart fetches and tells nothing again.
    world.stop().await;
    world.resume().await;
    world.quiet().await;
    assert_eq!((files(&world, 1).await.len(), provider.asked().len()), (1, 2));
    world.finish().await;
}

/// A scanner over a real socket; no answer while `answers` is false.
async fn scanner(answers: Arc<std::sync::atomic::AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                let mut command = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    if byte == 0 {
                        break;
                    }
                    command.push(byte);
                }
                if !answers.load(Ordering::Relaxed) {
                    return;
                }
                if command == b"zPING" {
                    let _ = stream.write_all(b"PONG\0").await;
                    return;
                }
                assert_eq!(command, b"zINSTREAM");
                let mut file = Vec::new();
                while let Ok(length) = stream.read_u32().await {
                    if length == 0 {
                        break;
                    }
                    let mut piece = vec![0; length as usize];
                    stream.read_exact(&mut piece).await.expect("a piece");
                    file.extend(piece);
                }
                let is_bad = file.windows(5).any(|word| word == b"EICAR");
                let answer: &[u8] = if is_bad { b"stream: Eicar-Test-Signature FOUND\0" } else { b"stream: OK\0" };
                let _ = stream.write_all(answer).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn an_infected_file_is_dropped_and_a_clean_one_says_who_looked() {
    let port = scanner(Arc::new(true.into())).await;
    let (_, files_port) = Files::listen(0).await;
    let world = prepare(files_port, &format!("clamd = \"127.0.0.1:{port}\"\n")).await.serve().await;
    post(&world, "m1", json!([{ "ref": "photo" }, { "ref": "eicar" }])).await;
    let mut found = files(&world, 2).await;
    found.sort_by_key(|file| file["state"].to_string());
    let [bad, good] = &found[..] else { panic!("two files") };
    assert_eq!((&bad["reject_reason"], &bad["scan"]["result"]), (&json!("malware"), &json!("infected")), "{bad}");
    assert_eq!(
        (&good["state"], &good["scan"]["result"], &good["scan"]["engine"]),
        (&json!("stored"), &json!("clean"), &json!("clamd"))
    );
    for path in paths(&world.folder.path().join("data/media")) {
        let bytes = std::fs::read(&path).expect("a file");
        assert!(!bytes.windows(5).any(|word| word == b"EICAR"), "{}", path.display());
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_scanner_a_file_stays_pending() {
    let (provider, files_port) = Files::listen(0).await;
    let port = scanner(Arc::new(false.into())).await;
    let world = prepare(files_port, &format!("clamd = \"127.0.0.1:{port}\"\n")).await.serve().await;
    post(&world, "m1", json!([{ "ref": "photo" }])).await;
    let event = world.wait_for_events(1).await.remove(0);
    let file = event["data"]["attachments"][0].clone();
    assert_eq!(file["state"], "pending");
    until("a try is recorded", async || {
        let id = format!("media:{}", file["attachment_id"].as_str().expect("an id"));
        let list = loket::media::job::Lists::of("loket").shared;
        let entry = world.gateway().app.store.outbox_entry(&list, &id).await.expect("the store answers")?;
        entry.failure.filter(|failure| failure.contains("scanner")).map(drop)
    })
    .await;
    let response = get_file(&world, &file, crate::harness::TOKEN).await;
    assert_eq!(response.status(), 409);
    assert!(response.text().await.expect("a body").contains("pending"));
    // The provider was not asked in vain.
    assert_eq!(provider.asked().len(), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_on_one_store_fetch_a_file_once() {
    let server = Server::start(&[]).await;
    let (provider, port) = Files::listen(0).await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut worlds = Vec::new();
    for name in ["one", "two"] {
        let config = format!("folder = \"{}\"\n[gateway]\nname = \"{name}\"\n", folder.path().display());
        let mut world = prepare(port, &config).await;
        world.store = server.url();
        worlds.push(world.serve().await);
    }
    for number in 0..10 {
        post(&worlds[number % 2], &format!("m{number}"), json!([{ "ref": "photo" }])).await;
    }
    let found = files(&worlds[0], 10).await;
    assert_eq!(provider.asked().len(), 10);
    for file in &found {
        assert_eq!(get_file(&worlds[1], file, crate::harness::TOKEN).await.status(), 200);
    }
    for world in worlds {
        world.finish().await;
    }
}
