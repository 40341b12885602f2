//! G2: kill -9 at any moment loses nothing that was replied to and doubles nothing. The real program, its own process.

use std::{
    collections::BTreeSet,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::harness::{AUTH, PUBLIC_URL, TOKEN, World, form, sms, twilio_signature, until};

/// The program in a process of its own; killed by its id when it goes out of scope.
pub struct Process(Child);

impl Process {
    pub fn start(world: &World, port: u16) -> Self {
        let folder = world.folder.path();
        let child = Command::new(env!("CARGO_BIN_EXE_loket"))
            .arg("serve")
            .env("LOKET_LISTEN", format!("127.0.0.1:{port}"))
            .env("LOKET_PUBLIC_URL", PUBLIC_URL)
            .env("LOKET_CONFIG_DIR", folder.join("config"))
            .env("LOKET_CHANNELS_DIR", folder.join("channels"))
            .env("LOKET_DATA_DIR", folder.join("data"))
            .env("LOKET_API_TOKEN", TOKEN)
            .env("LOKET_STORE", &world.store)
            .env("LOKET_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self(child)
    }

    pub fn kill(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Sends numbered messages until told to stop; returns the numbers that were replied to with 200.
async fn send(client: reqwest::Client, base: String, next: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Vec<usize> {
    let mut accepted = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (sid, from) = (format!("SM{number}"), format!("+62811{number:08}"));
        let text = format!("Lampu jalan di depan pasar padam, laporan uji-{number}-.");
        let fields = sms(&sid, &from, &text);
        let signature = twilio_signature(&format!("{PUBLIC_URL}/in/sms"), &fields);
        let request = client
            .post(format!("{base}/in/sms"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-twilio-signature", signature)
            .body(form(&fields));
        match request.send().await {
            Ok(response) if response.status() == 200 => accepted.push(number),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    accepted
}

pub async fn ready(client: &reqwest::Client, base: &str) {
    until("the program is ready", async || {
        let response = client.get(format!("{base}/readyz")).send().await.ok()?;
        (response.status() == 200).then_some(())
    })
    .await;
}

/// Leases and acknowledges until nothing comes any more; the numbers in the order of the queue.
async fn drain(client: &reqwest::Client, base: &str) -> Vec<usize> {
    let ask = async |path: &str, body: Value| -> Value {
        let request =
            client.post(format!("{base}{path}")).bearer_auth(TOKEN).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.expect("a reply");
        assert_eq!(response.status(), 200);
        serde_json::from_str(&response.text().await.expect("a body")).expect("JSON")
    };
    let mut numbers = Vec::new();
    loop {
        let lease = json!({ "max": 100, "visibility_seconds": 600, "wait_seconds": 2 });
        let leased = ask("/v1/queues/triage/lease", lease).await;
        let deliveries = leased["deliveries"].as_array().expect("a list").clone();
        if deliveries.is_empty() {
            return numbers;
        }
        for delivery in &deliveries {
            let text = delivery["event"]["data"]["description"].as_str().expect("a text");
            let number = text.split("uji-").nth(1).and_then(|rest| rest.split('-').next()).expect("a number");
            numbers.push(number.parse().expect("a number"));
        }
        let ids: Vec<_> = deliveries.iter().map(|delivery| delivery["delivery_id"].clone()).collect();
        ask("/v1/queues/triage/ack", json!({ "delivery_ids": ids })).await;
    }
}

/// Everything that was answered is in the queue, and everything in the queue is there once.
fn judge(accepted: &[usize], queued: &[usize]) {
    let unique: BTreeSet<_> = queued.iter().copied().collect();
    let lost: Vec<_> = accepted.iter().filter(|number| !unique.contains(number)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(queued.len(), unique.len(), "something was doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_nothing_replied_to_is_lost_or_doubled_over_ten_kills() {
    let world = World::prepare().await;
    world.add_twilio("sms");
    world.write("config/auth_token", AUTH);
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let client = world.client.clone();
    let (next, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut process = Process::start(&world, port);
    ready(&client, &base).await;
    let senders: Vec<_> =
        (0..8).map(|_| tokio::spawn(send(client.clone(), base.clone(), next.clone(), stop.clone()))).collect();
    for kill in 0..10_u64 {
        let before = next.load(Ordering::Relaxed);
        // Killed with requests in flight, at another moment each time.
        until("messages are on their way", async || {
            (next.load(Ordering::Relaxed) > before + 20 + 7 * kill as usize).then_some(())
        })
        .await;
        process.kill();
        process = Process::start(&world, port);
        ready(&client, &base).await;
    }
    stop.store(true, Ordering::Relaxed);
    let accepted = join_all(senders).await;
    let accepted: Vec<_> = accepted.into_iter().flat_map(|sent| sent.expect("a sender does not panic")).collect();
    assert!(accepted.len() > 100, "too few to judge: {}", accepted.len());
    judge(&accepted, &drain(&client, &base).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_signal_ends_the_program_in_order_and_at_once() {
    let world = World::prepare().await;
    world.add_twilio("sms");
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let mut process = Process::start(&world, port);
    ready(&world.client, &base).await;
    let health = Command::new(env!("CARGO_BIN_EXE_loket"))
        .arg("health")
        .env("LOKET_LISTEN", format!("127.0.0.1:{port}"))
        .env("LOKET_CONFIG_DIR", world.folder.path().join("config"))
        .status();
    assert!(health.expect("the program runs").success(), "a gateway that serves is alive");
    let id = process.0.id().to_string();
    let begin = std::time::Instant::now();
    let signalled = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
    assert!(signalled.success());
    let status = process.0.wait().expect("it ends");
    assert!(status.success(), "{status}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// Hands letters over in pieces until told to stop, so that a kill finds some of them in the middle; returns the numbers that were
/// answered with 250. A letter without an answer is sent again, as a mail server does.
async fn hand_over(port: u16, next: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Vec<usize> {
    let mut accepted = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        while !stop.load(Ordering::Relaxed) {
            match one_letter(port, number).await {
                Ok(answer) if answer.starts_with("250") => {
                    accepted.push(number);
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
    accepted
}

async fn one_letter(port: u16, number: usize) -> std::io::Result<String> {
    let mut wire = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    let mut answer = String::new();
    wire.read_line(&mut answer).await?;
    let commands = "HELO client.example\r\nMAIL FROM:<siti@example.org>\r\nRCPT TO:<lapor@kota.example>\r\nDATA\r\n";
    wire.get_mut().write_all(commands.as_bytes()).await?;
    while !answer.starts_with("354") {
        answer.clear();
        if wire.read_line(&mut answer).await? == 0 {
            return Ok(String::new());
        }
    }
    // Every third is larger than what is kept in memory.
    let padding = "x".repeat(if number.is_multiple_of(3) { 90_000 } else { 100 });
    let head = format!("From: siti{number}@example.org\r\nSubject: Uji\r\nMessage-ID: <{number}@example.org>\r\n\r\n");
    wire.get_mut().write_all(head.as_bytes()).await?;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let body = format!("Lampu padam, laporan uji-{number}-.\r\n{padding}\r\n");
    wire.get_mut().write_all(body.as_bytes()).await?;
    tokio::time::sleep(Duration::from_millis(2)).await;
    wire.get_mut().write_all(b".\r\n").await?;
    answer.clear();
    wire.read_line(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_no_letter_that_was_answered_is_lost_or_doubled_over_a_hundred_kills() {
    let world = World::prepare().await;
    world.manifest("smtp");
    let (port, mail_port) = (free_port(), free_port());
    world.write(
        "config/loket.toml",
        &format!(
            "[mail]\nresolver = \"off\"\n[smtp]\nlisten = \"127.0.0.1:{mail_port}\"\nletters_per_minute = 1000000\n"
        ),
    );
    world.write("config/channels/surat.toml", "manifest = \"smtp\"\n[settings]\naddresses = \"lapor@kota.example\"\n");
    let base = format!("http://127.0.0.1:{port}");
    let client = world.client.clone();
    let (next, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut process = Process::start(&world, port);
    ready(&client, &base).await;
    let senders: Vec<_> = (0..8).map(|_| tokio::spawn(hand_over(mail_port, next.clone(), stop.clone()))).collect();
    for kill in 0..100_usize {
        let before = next.load(Ordering::Relaxed);
        until("letters are on their way", async || (next.load(Ordering::Relaxed) > before + kill % 13).then_some(()))
            .await;
        process.kill();
        process = Process::start(&world, port);
        ready(&client, &base).await;
    }
    stop.store(true, Ordering::Relaxed);
    let accepted = join_all(senders).await;
    let accepted: Vec<_> = accepted.into_iter().flat_map(|sent| sent.expect("a sender does not panic")).collect();
    assert!(accepted.len() > 300, "too few to judge: {}", accepted.len());
    judge(&accepted, &drain(&client, &base).await);
}
