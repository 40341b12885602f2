//! A Telegram bot that is asked for its updates, over real sockets against the simulated Bot API: nothing is lost or doubled,
//! one gateway asks at a time, and trouble is named without the token.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
};
use loket::demo::{
    phones::{Bubble, Side},
    telegram::{BotApi, citizen::Citizen},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    crash::ready,
    harness::{PUBLIC_URL, TOKEN, World, until},
    redis_servers::Server,
};

const WORDS: &str = "Lampu jalan di depan pasar padam sejak Senin, warga takut lewat malam hari.";
const BOT_TOKEN: &str = "1:made-up_Token-aaaaaaaa";
const USERNAME: &str = "lapor_kota_bot";
const PATIENCE: Duration = Duration::from_secs(20);
/// The lease of a gateway that was killed ends after 20 seconds.
const AFTER_A_KILL: Duration = Duration::from_secs(45);

async fn bot_api() -> Arc<BotApi> {
    let api = BotApi::start(BOT_TOKEN, USERNAME).await.expect("a simulated provider");
    api.set_pace(None);
    api
}

/// Writes the channel `bot`; what stands in `more` are further settings.
fn open(world: &World, api_url: &str, more: &str) {
    world.write("config/bot_token", BOT_TOKEN);
    world.write(
        "config/channels/bot.toml",
        &format!(
            "manifest = \"telegram\"\n[settings]\nbot_token = {{ file = \"bot_token\" }}\napi_url = \"{api_url}\"\nbot_username = \"{USERNAME}\"\n{more}"
        ),
    );
}

async fn prepared(api_url: &str) -> World {
    let world = World::prepare().await;
    world.manifest("telegram");
    open(&world, api_url, "updates = \"polling\"\n");
    world
}

/// Everything that makes a complaint, without waiting for questions.
fn complains(citizen: &Citizen) {
    for words in [WORDS, "ya", "lewati", "kirim"] {
        citizen.says(words);
    }
}

async fn answer(citizen: &Citizen, read: usize) -> Bubble {
    citizen.hears(read, PATIENCE).await.unwrap_or_else(|| unreachable!("answer {read} of {:?}", citizen.chat()))
}

/// A program of its own, with its log in a file; killed by its id when it goes out of scope.
struct Program {
    child: Child,
    log: PathBuf,
    base: String,
}

impl Program {
    async fn start(world: &World, filter: &str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let log = world.folder.path().join("log");
        let file = File::options().append(true).create(true).open(&log).expect("a file");
        let child = command(world)
            .arg("serve")
            .env("LOKET_LISTEN", address.to_string())
            .env("LOKET_LOG", filter)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .spawn()
            .expect("the program starts");
        let program = Self { child, log, base: format!("http://{address}") };
        ready(&world.client, &program.base).await;
        program
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    async fn says(&self, words: &str) {
        until(&format!("{words:?} in the log"), async || self.log().contains(words).then_some(())).await;
    }

    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(world: &World) -> Command {
    let folder = world.folder.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_loket"));
    command
        .env("LOKET_PUBLIC_URL", PUBLIC_URL)
        .env("LOKET_CONFIG_DIR", folder.join("config"))
        .env("LOKET_CHANNELS_DIR", folder.join("channels"))
        .env("LOKET_DATA_DIR", folder.join("data"))
        .env("LOKET_API_TOKEN", TOKEN)
        .env("LOKET_STORE", &world.store);
    command
}

async fn doctor(world: &World, arguments: &[&str]) -> Output {
    let mut command = command(world);
    command.args(["channel", "doctor", "bot"]).args(arguments);
    tokio::task::spawn_blocking(move || command.output().expect("the program runs")).await.expect("it ends")
}

/// Status and document of `loket channel doctor bot --json`; the token is in neither stream.
async fn diagnosis(world: &World, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = doctor(world, &[arguments, &["--json"]].concat()).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains(BOT_TOKEN) && !errors.contains(BOT_TOKEN), "{text}{errors}");
    (output.status.code(), serde_json::from_str(&text).unwrap_or_else(|_| unreachable!("{text}{errors}")))
}

/// Stands before the Bot API. While it is shut, no question with an offset goes through: what is journalled stays untold.
#[derive(Clone)]
struct Front {
    api_url: String,
    is_shut: Arc<AtomicBool>,
    /// Answers to the next questions for updates, the last one first.
    refusals: Arc<Mutex<Vec<(StatusCode, &'static str)>>>,
    client: reqwest::Client,
}

impl Front {
    async fn listen(api: &BotApi, client: &reqwest::Client) -> (Self, String) {
        let (is_shut, refusals) = (Arc::default(), Arc::default());
        let front = Self { api_url: api.url(), is_shut, refusals, client: client.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(Self::pass).with_state(front.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (front, format!("http://{address}"))
    }

    async fn pass(State(front): State<Self>, uri: Uri, body: Bytes) -> (StatusCode, Bytes) {
        let refusal = || front.refusals.lock().expect("no test panics with the lock").pop();
        if let Some((status, words)) =
            Some(&uri).filter(|uri| uri.path().ends_with("/getUpdates")).and_then(|_| refusal())
        {
            return (status, Bytes::from_static(words.as_bytes()));
        }
        let tells = body.windows(8).any(|part| part == b"\"offset\"");
        if tells && front.is_shut.load(Ordering::SeqCst) {
            return (StatusCode::BAD_GATEWAY, Bytes::new());
        }
        let request = front.client.post(format!("{}{uri}", front.api_url)).header("content-type", "application/json");
        let Ok(response) = request.body(body).send().await else { return (StatusCode::BAD_GATEWAY, Bytes::new()) };
        (response.status(), response.bytes().await.unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_polled_brings_a_complaint_and_answers() {
    let api = bot_api().await;
    let world = prepared(&api.url()).await.serve().await;
    let citizen = api.citizen("Siti", "id");

    citizen.says(WORDS);
    let question = answer(&citizen, 0).await;
    assert!(citizen.presses("Ya, lanjutkan"), "{:?}", question.labels());
    answer(&citizen, 1).await;
    until("the button is told that it was heard", async || (api.turning() == 0).then_some(())).await;
    citizen.shares_location(-6.31, 106.79);
    answer(&citizen, 2).await;
    citizen.says("kirim");

    let event = world.wait_for_events(1).await.remove(0);
    let data = &event["data"];
    assert_eq!((&data["description"], &data["consent"]["method"]), (&json!(WORDS), &json!("button")));
    assert_eq!(data["location"]["geometry"]["coordinates"], json!([106.79, -6.31]));
    let number = answer(&citizen, 3).await;
    assert!(number.text.contains(data["tracking_id"].as_str().expect("a number")), "{}", number.text);
    assert!(api.delivery().settled(PATIENCE).await, "Telegram is told what was taken");
    assert_eq!(world.metric("loket_poll_updates_total", "bot").await, 4);
    assert!(world.metric("loket_poll_last_success_timestamp_seconds", "bot").await > 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_a_kill_between_journal_and_offset_loses_and_doubles_nothing() {
    const CITIZENS: usize = 5;
    let api = bot_api().await;
    let mut world = World::prepare().await;
    let (front, url) = Front::listen(&api, &world.client).await;
    world.manifest("telegram");
    open(&world, &url, "updates = \"polling\"\n");
    front.is_shut.store(true, Ordering::SeqCst);
    let citizens: Vec<_> = (0..CITIZENS).map(|_| api.citizen("Siti", "id")).collect();
    citizens.iter().for_each(complains);

    // Journalled and worked on, and Telegram has not been told.
    let program = Program::start(&world, "warn").await;
    for citizen in &citizens {
        answer(citizen, 3).await;
    }
    program.says("the bot gives no updates").await;
    program.kill();
    assert_eq!(api.delivery().waiting(), CITIZENS * 4);
    front.is_shut.store(false, Ordering::SeqCst);
    world.resume().await;

    assert!(api.delivery().settled(AFTER_A_KILL).await, "everything was taken and told");
    world.quiet().await;
    assert_eq!(world.wait_for_events(CITIZENS).await.len(), CITIZENS);
    assert_eq!(world.metric("loket_outcome_total", "duplicate").await, CITIZENS as u64 * 4);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_kills_at_any_moment_lose_and_double_nothing() {
    const CITIZENS: usize = 40;
    let api = bot_api().await;
    let mut world = prepared(&api.url()).await;
    let citizens: Vec<_> = (0..CITIZENS).map(|_| api.citizen("Siti", "id")).collect();

    let (first, second) = citizens.split_at(CITIZENS / 2);
    let program = Program::start(&world, "error").await;
    first.iter().for_each(complains);
    // In the middle of the work.
    answer(&first[0], 0).await;
    program.kill();
    second.iter().for_each(complains);
    let program = Program::start(&world, "error").await;
    // In the middle of the telling.
    let told = async || {
        while api.delivery().waiting() == CITIZENS * 4 {
            api.delivery().moves(PATIENCE).await;
        }
    };
    tokio::time::timeout(AFTER_A_KILL, told()).await.expect("some are told");
    program.kill();
    world.resume().await;

    assert!(api.delivery().settled(AFTER_A_KILL).await, "everything was taken and told");
    world.quiet().await;
    world.wait_for_events(CITIZENS).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_on_one_redis_ask_one_at_a_time() {
    let (api, server) = (bot_api().await, Server::start(&[]).await);
    let named = async |name: &str| {
        let mut world = prepared(&api.url()).await;
        world.store = server.url();
        world.write("config/loket.toml", &format!("[gateway]\nname = \"{name}\"\n"));
        world.serve().await
    };
    let mut worlds = vec![named("one").await, named("two").await];
    let first: Vec<_> = (0..5).map(|_| api.citizen("Siti", "id")).collect();
    first.iter().for_each(complains);
    for citizen in &first {
        answer(citizen, 3).await;
    }
    let mut taken = Vec::new();
    for world in &worlds {
        world.quiet().await;
        assert_eq!(world.metric("loket_poll_failures_total", "bot").await, 0, "two asked at once");
        taken.push(world.metric("loket_poll_updates_total", "bot").await);
    }
    taken.sort_unstable();
    assert_eq!(taken, [0, 20]);

    // The one that asks goes; the other goes on.
    let asking = usize::from(worlds[0].metric("loket_poll_updates_total", "bot").await == 0);
    let mut gone = worlds.remove(asking);
    gone.stop().await;
    let second = api.citizen("Budi", "id");
    complains(&second);
    answer(&second, 3).await;

    let here = worlds.remove(0);
    here.quiet().await;
    assert_eq!(here.wait_for_events(6).await.len(), 6);
    here.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_somebody_else_is_named_and_taken_over() {
    let api = bot_api().await;
    let world = prepared(&api.url()).await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    api.set_webhook(&format!("http://{elsewhere}/hook/s3cret"), "made-up-secret").expect("a webhook");
    let citizen = api.citizen("Siti", "id");
    complains(&citizen);
    let program = Program::start(&world, "info").await;

    program.says("a webhook is set").await;
    assert!(program.log().contains("loket channel doctor bot"), "{}", program.log());
    let (status, found) = diagnosis(&world, &[]).await;
    assert_eq!((status, &found["credentials"]), (Some(1), &json!("good")), "{found}");
    assert_eq!(found["owner"], format!("http://{elsewhere}/…"), "{found}");
    assert!(found["detail"].as_str().is_some_and(|detail| detail.contains("--delete-webhook")), "{found}");
    let (status, found) = diagnosis(&world, &["--delete-webhook"]).await;
    assert_eq!((status, &found["telegram"]["webhook"]["owner"]), (Some(0), &Value::Null), "{found}");

    answer(&citizen, 3).await;
    program.says("the bot gives its updates again").await;
    assert!(!program.log().contains(BOT_TOKEN) && !program.log().contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_taken_is_named_and_mended_without_a_restart() {
    let api = bot_api().await;
    let world = prepared(&api.url()).await;
    world.write("config/bot_token", "1:another-made-up_Token");
    let program = Program::start(&world, "info").await;

    program.says("Telegram does not take the token (it answers 401)").await;
    let (status, found) = diagnosis(&world, &[]).await;
    assert_eq!((status, &found["credentials"]), (Some(1), &json!("bad")), "{found}");
    world.write("config/bot_token", BOT_TOKEN);

    let citizen = api.citizen("Siti", "id");
    citizen.says(WORDS);
    answer(&citizen, 0).await;
    assert!(!program.log().contains("made-up_Token"), "{}", program.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_in_no_log_at_any_level() {
    let api = bot_api().await;
    let world = prepared(&api.url()).await;
    let program = Program::start(&world, "trace").await;
    let citizen = api.citizen("Siti", "id");
    complains(&citizen);
    answer(&citizen, 3).await;
    // A server that is not there any more.
    open(&world, "http://127.0.0.1:9", "updates = \"polling\"\n");

    program.says("the bot gives no updates").await;
    let log = program.log();
    assert!(log.contains("bot{{ secret.bot_token }}/getUpdates"), "the URL is shown without the token");
    let found = log.lines().find(|line| line.contains(BOT_TOKEN) || line.contains("made-up_Token"));
    assert_eq!(found, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind_of_update_is_kept_raw_and_counted() {
    let api = bot_api().await;
    let world = prepared(&api.url()).await;
    open(&world, &api.url(), "updates = \"polling\"\nallowed_updates = \"message,invented_kind\"\n");
    let world = world.serve().await;
    let citizen = api.citizen("Siti", "id");

    let number = citizen.sends_raw("invented_kind", json!({ "of": "tomorrow", "n": 1.5 })).expect("an update");
    complains(&citizen);

    world.wait_for_events(1).await;
    world.quiet().await;
    assert_eq!(world.metric("loket_ignored_total", "bot").await, 1);
    let raw = format!("{{\"update_id\":{number},\"invented_kind\":{{\"of\":\"tomorrow\",\"n\":1.5}}}}");
    let folder = world.folder.path().join("data/journal");
    let files: Vec<_> = walk(&folder).into_iter().filter_map(|path| std::fs::read(path).ok()).collect();
    let is_kept = files.iter().any(|bytes| bytes.windows(raw.len()).any(|part| part == raw.as_bytes()));
    assert!(is_kept, "{raw} is not in the journal");
    world.finish().await;
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_polled_called_and_closed_on_a_running_gateway() {
    let api = bot_api().await;
    let world = World::prepare().await;
    world.manifest("telegram");
    world.write("config/secret", "made-up-secret");
    let world = world.serve().await;
    let post = async || {
        let request = world.client.post(world.url("/in/bot")).header("content-type", "application/json");
        let request = request.header("x-telegram-bot-api-secret-token", "made-up-secret").body("{}");
        request.send().await.expect("a reply").status().as_u16()
    };

    open(&world, &api.url(), "updates = \"polling\"\nsecret_token = { file = \"secret\" }\n");
    let citizen = api.citizen("Siti", "id");
    citizen.says(WORDS);
    answer(&citizen, 0).await;
    assert_eq!(post().await, 401, "nobody calls a bot that is polled");

    open(&world, &api.url(), "secret_token = { file = \"secret\" }\n");
    until("the channel is called", async || (post().await == 200).then_some(())).await;
    api.set_webhook(&world.url("/in/bot"), "made-up-secret").expect("a webhook");
    citizen.says("ya");
    answer(&citizen, 1).await;

    // What was polled before has the same claim when a webhook brings it.
    let polled = json!({ "update_id": 1, "message": citizen.chat()[0].document });
    let request = world.client.post(world.url("/in/bot")).header("content-type", "application/json");
    let request = request.header("x-telegram-bot-api-secret-token", "made-up-secret").body(polled.to_string());
    assert_eq!(request.send().await.expect("a reply").status(), 200);
    world.quiet().await;
    assert_eq!(world.metric("loket_outcome_total", "duplicate").await, 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_a_secret_would_let_everybody_in_and_stays_closed() {
    let world = World::prepare().await;
    world.manifest("telegram");
    open(&world, "http://127.0.0.1:9", "");
    let world = world.serve().await;
    assert_eq!(world.post("/in/bot", &[], String::new()).await.0, 503);
    let (_, ready) = world.get("/readyz").await;
    let reason = ready["channels"][0]["reasons"][0].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("everybody would be let in"), "{ready}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_sets_the_webhook_and_says_what_is_wrong() {
    let api = bot_api().await;
    let world = World::prepare().await;
    world.manifest("telegram");
    world.write("config/secret", "made-up-secret");
    open(&world, &api.url(), "secret_token = { file = \"secret\" }\n");

    let (status, found) = diagnosis(&world, &[]).await;
    assert_eq!((status, &found["owner"]), (Some(1), &Value::Null), "{found}");
    assert!(found["detail"].as_str().is_some_and(|detail| detail.contains("--set-webhook")), "{found}");
    let (status, found) = diagnosis(&world, &["--set-webhook"]).await;
    assert_eq!((status, &found["owner"]), (Some(0), &json!("https://loket.example/in/bot")), "{found}");
    let webhook = &found["telegram"]["webhook"];
    assert_eq!(webhook["allowed_updates"], json!(["message", "edited_message", "callback_query"]), "{found}");
    assert_eq!((&webhook["is_ours"], &webhook["max_connections"]), (&json!(true), &json!(40)), "{found}");
    assert_eq!(found["telegram"]["bot"]["username"], USERNAME, "{found}");

    let shown = doctor(&world, &[]).await;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in [
        "credentials  good",
        "bot          @lapor_kota_bot",
        "groups       may be added; privacy mode: on",
        "webhook      https://loket.example/in/bot (this channel)",
        "waiting      0 updates",
        "result       messages can come",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    open(&world, &api.url(), "updates = \"polling\"\n");
    assert_eq!(doctor(&world, &["--set-webhook"]).await.status.code(), Some(2), "it would end the polling");
    open(&world, "http://127.0.0.1:9", "updates = \"polling\"\n");
    let (status, found) = diagnosis(&world, &[]).await;
    assert_eq!((status, &found["credentials"]), (Some(1), &json!("unknown")), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_channel_that_is_closed_is_not_lost() {
    let api = bot_api().await;
    let world = prepared(&api.url()).await.serve().await;
    let citizen = api.citizen("Siti", "id");
    citizen.says(WORDS);
    answer(&citizen, 0).await;
    let file = world.folder.path().join("config/channels/bot.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::remove_file(&file).expect("a file");
    until("nobody asks", async || world.get("/v1/channels").await.1["channels"].as_array()?.is_empty().then_some(()))
        .await;
    for words in ["ya", "lewati", "kirim"] {
        citizen.says(words);
    }
    world.write("config/channels/bot.toml", &text);

    answer(&citizen, 3).await;
    let said = citizen.chat().iter().filter(|bubble| bubble.side == Side::Gateway).count();
    assert_eq!((world.wait_for_events(1).await.len(), said), (1, 4));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_wait_or_meets_a_broken_server_asks_again() {
    let api = bot_api().await;
    let world = World::prepare().await;
    let (front, url) = Front::listen(&api, &world.client).await;
    world.manifest("telegram");
    open(&world, &url, "updates = \"polling\"\n");
    let later = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":2}}"#;
    *front.refusals.lock().expect("nobody panics with the lock") = vec![
        (StatusCode::OK, r#"{"ok":true,"result":[{"no":"number"}]}"#),
        (StatusCode::OK, "<html>"),
        (StatusCode::BAD_GATEWAY, "<html>"),
        (StatusCode::TOO_MANY_REQUESTS, later),
    ];
    let citizen = api.citizen("Siti", "id");
    citizen.says(WORDS);
    let begin = std::time::Instant::now();
    let world = world.serve().await;

    answer(&citizen, 0).await;
    assert!(begin.elapsed() >= Duration::from_secs(2), "Telegram's wish is granted");
    assert_eq!(world.metric("loket_poll_failures_total", "bot").await, 4);
    assert_eq!(world.metric("loket_poll_updates_total", "bot").await, 1);
    world.finish().await;
}

/// Updates of a kind that nobody reads, each so many bytes.
fn flood(citizen: &Citizen, updates: usize, bytes: usize) {
    for number in 0..updates {
        citizen.sends_raw("invented_kind", json!({ "number": number, "words": "x".repeat(bytes) })).expect("an update");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_a_full_journal_leaves_updates_with_telegram_and_takes_them_later() {
    let api = bot_api().await;
    let mut world = prepared(&api.url()).await;
    open(&world, &api.url(), "updates = \"polling\"\nallowed_updates = \"invented_kind\"\n");
    world.write("config/loket.toml", "[journal]\nmax_size = \"1 MiB\"\n");
    let citizen = api.citizen("Siti", "id");
    flood(&citizen, 1, 100);
    flood(&citizen, 2, 1200 << 10);
    world.resume().await;

    until("a refusal", async || (world.metric("loket_poll_failures_total", "bot").await > 0).then_some(())).await;
    until("the first is told", async || (api.delivery().waiting() == 2).then_some(())).await;
    world.stop().await;
    assert_eq!(api.delivery().waiting(), 2, "nothing is told that is not safe");
    world.write("config/loket.toml", "[journal]\nmax_size = \"64 MiB\"\n");
    world.resume().await;

    assert!(api.delivery().settled(PATIENCE).await, "the others are taken later");
    world.quiet().await;
    assert_eq!(world.metric("loket_poll_updates_total", "bot").await, 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_asked_for_in_parts() {
    const UPDATES: usize = 100;
    let api = bot_api().await;
    let world = prepared(&api.url()).await;
    open(&world, &api.url(), "updates = \"polling\"\nallowed_updates = \"invented_kind\"\n");
    flood(&api.citizen("Siti", "id"), UPDATES, 110 << 10);
    let world = world.serve().await;

    assert!(api.delivery().settled(PATIENCE).await, "all of it is taken");
    world.quiet().await;
    assert_eq!(world.metric("loket_poll_updates_total", "bot").await, UPDATES as u64);
    assert_eq!(world.metric("loket_ignored_total", "bot").await, UPDATES as u64);
    world.finish().await;
}
