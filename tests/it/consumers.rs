//! The consumers in `docs/examples`, run as their readers run them: beside a real gateway, as the Redis user that
//! `docs/consumers.md` gives them, in each language that is installed.
//!
//! `scripts/test` puts the client libraries into `consumers` in the target folder. A language without its own is named
//! on stderr and left out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde_json::{Value, json};

use crate::{
    harness::{World, repository},
    redis_servers::{Reply, Server},
};

/// The queue of the page, which is the name of its user, too.
const QUEUE: &str = "dinas-pu";
const EVENTS: &str = "loket:{q:dinas-pu}:events";
const DEAD: &str = "loket:{q:dinas-pu}:dead";
/// The consumer that the examples are.
const CONSUMER: &str = "core-1";
const OTHER_CONSUMER: &str = "core-2";

/// What each language needs to be here is looked for once; Go's example is built then.
static LANGUAGES: LazyLock<[Language; 4]> = LazyLock::new(|| {
    let program = std::env::current_exe().expect("a running program lies somewhere");
    // It lies in `<target>/<profile>/deps`.
    let folder = |levels| program.ancestors().nth(levels).expect("cargo puts tests three folders deep");
    let (profile, consumers) = (folder(2), folder(3).join("consumers"));
    [("Python", python(&consumers)), ("Node", node(&consumers)), ("Go", go(&consumers)), ("Rust", rust(profile))]
        .map(|(name, start)| Language { name, start: start.unwrap_or_default() })
});

/// A language that an example is written in.
#[derive(Debug)]
struct Language {
    name: &'static str,
    /// The words that start the example; none when the language or its client library is not here.
    start: Vec<PathBuf>,
}

impl Language {
    /// The languages that are here; both they and the others are named on stderr.
    fn installed() -> impl Iterator<Item = &'static Self> {
        LANGUAGES.iter().filter(|language| {
            let is_installed = !language.start.is_empty();
            let what = if is_installed { "runs" } else { "is skipped, as its client library is not installed" };
            eprintln!("the consumer in {} {what}", language.name);
            is_installed
        })
    }

    /// Lets the example work off what is there; the lines that it printed.
    fn run_once(&self, server: &Server) -> Vec<Value> {
        let mut command = bounded();
        command.args(&self.start).arg("--once");
        command.env("REDIS_URL", format!("redis://{QUEUE}:secret@127.0.0.1:{}", server.port()));
        let output = command.env("QUEUE", QUEUE).env("CONSUMER", CONSUMER).output().expect("it can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {}\n{errors}", self.name, output.status);
        let printed = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        printed.lines().map(|line| serde_json::from_str(line).expect("each line is a JSON document")).collect()
    }
}

/// Runs the words that are added to it, and ends them when they take too long.
fn bounded() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120"]).stdin(Stdio::null());
    command
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn python(consumers: &Path) -> Option<Vec<PathBuf>> {
    let python = consumers.join("venv/bin/python");
    succeeds(bounded().arg(&python).args(["-c", "import redis"]))
        .then(|| vec![python, repository("docs/examples/consumer.py")])
}

fn node(consumers: &Path) -> Option<Vec<PathBuf>> {
    let import = "import('redis').catch(() => process.exit(1))";
    if !succeeds(bounded().args(["node", "-e", import]).current_dir(consumers)) {
        return None;
    }
    // Node looks for libraries beside the file that imports them.
    let file = consumers.join("consumer.mjs");
    fs::copy(repository("docs/examples/consumer.mjs"), &file).expect("a file");
    Some(vec!["node".into(), file])
}

fn go(consumers: &Path) -> Option<Vec<PathBuf>> {
    let folder = consumers.join("go");
    let build = |words: &[&str]| {
        let mut command = bounded();
        // What is not here is not fetched.
        command.args(["go", "build"]).args(words).current_dir(&folder).env("GOPROXY", "off");
        command
    };
    if !succeeds(&mut build(&["github.com/redis/go-redis/v9"])) {
        return None;
    }
    fs::copy(repository("docs/examples/consumer.go"), folder.join("consumer.go")).expect("a file");
    let built = build(&["-o", "consumer", "consumer.go"]).output().expect("it ran just before");
    assert!(built.status.success(), "consumer.go: {}", String::from_utf8_lossy(&built.stderr));
    Some(vec![folder.join("consumer")])
}

/// `cargo test` builds the examples, too; with `--test it` it runs what was built before.
fn rust(profile: &Path) -> Option<Vec<PathBuf>> {
    let program = profile.join("examples/consumer");
    program.is_file().then(|| vec![program])
}

/// A gateway with complaints in the queue, which are given in their order, and a server that knows the page's user.
async fn queue_of(count: usize) -> (Server, World, Vec<Value>) {
    let server = Server::start(&[]).await;
    let reply = server.command(&user().iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(reply.text(), "OK", "{reply:?}");
    let mut world = World::prepare().await;
    world.store = server.url();
    world.add_twilio("sms");
    world.write("config/routing.toml", &format!("[default]\nqueue = \"{QUEUE}\"\n"));
    let world = world.serve().await;
    for number in 0..count {
        let (sid, sender) = (format!("SM{number}"), format!("+62811{number:08}"));
        let text = "Lampu jalan di depan pasar padam sudah dua minggu, “gelap” <sekali>.";
        assert_eq!(world.sms(&sid, &sender, text).await, 200);
    }
    let events = world.wait_for_events(count).await;
    (server, world, events)
}

/// The words of the command that makes the page's user.
fn user() -> Vec<String> {
    let page = fs::read_to_string(repository("docs/consumers.md")).expect("a page");
    let (_, command) = page.split_once("redis-cli ACL SETUSER").expect("the page makes a user");
    let command = format!("ACL SETUSER {}", command.replace("\\\n", " "));
    let line = command.lines().next().expect("it has a line");
    // What stands in quotes is one word.
    let word = |(number, part): (usize, &str)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    };
    line.split('\'').enumerate().flat_map(word).collect()
}

/// Of events, or of the lines that an example printed for them.
fn ids(events: &[Value]) -> Vec<&Value> {
    events.iter().map(|event| &event["id"]).collect()
}

/// Takes new entries as a consumer that then goes no further; their ids.
async fn take(server: &Server, consumer: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let read = ["XREADGROUP", "GROUP", "core", consumer, "COUNT", &count, "STREAMS", EVENTS, ">"];
    let reply = server.command(&read).await;
    let entries = reply.items()[0].items()[1].items();
    entries.iter().map(|entry| entry.items()[0].text().to_owned()).collect()
}

/// Whose the entries are that are pending.
async fn pending(server: &Server) -> Vec<String> {
    let reply = server.command(&["XPENDING", EVENTS, "core", "-", "+", "100"]).await;
    assert!(matches!(reply, Reply::List(_)), "{reply:?}");
    reply.items().iter().map(|entry| entry.items()[1].text().to_owned()).collect()
}

/// Depth, leases and dead letters of the queue, as the gateway counts them.
async fn books(world: &World) -> [u64; 3] {
    let (status, body) = world.get("/v1/queues").await;
    let queue = &body["queues"][0];
    assert_eq!((status, queue["name"].as_str()), (200, Some(QUEUE)), "{body}");
    ["depth", "in_flight", "dead"].map(|name| queue[name].as_u64().expect("a number"))
}

async fn ask(world: &World, what: &str, body: Value) -> Value {
    let (status, answer) = world.api(&format!("/v1/queues/{QUEUE}/{what}"), body).await;
    assert_eq!(status, 200, "{what}: {answer}");
    answer
}

/// Leases what there is over HTTP: ids of the deliveries and of their events.
async fn lease(world: &World, max: usize) -> (Vec<Value>, Vec<Value>) {
    let leased = ask(world, "lease", json!({ "max": max, "visibility_seconds": 600 })).await;
    let deliveries = leased["deliveries"].as_array().expect("a list");
    let pair = |delivery: &Value| (delivery["delivery_id"].clone(), delivery["event"]["id"].clone());
    deliveries.iter().map(pair).unzip()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_reads_what_the_gateway_enqueued() {
    for language in Language::installed() {
        // More than one batch.
        let (server, world, events) = queue_of(15).await;

        let printed = language.run_once(&server);

        assert_eq!(ids(&printed), ids(&events));
        for (line, event) in printed.iter().zip(&events) {
            let expected = ["id", "type", "subject", "data"].map(|name| (name.to_owned(), event[name].clone()));
            assert_eq!(*line, Value::from_iter(expected));
        }
        assert!(pending(&server).await.is_empty());
        assert!(language.run_once(&server).is_empty(), "a second run has nothing to do");
        assert_eq!(books(&world).await, [0, 0, 0]);
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_consumer_begins_with_what_is_pending() {
    for language in Language::installed() {
        let (server, world, events) = queue_of(4).await;
        take(&server, CONSUMER, 2).await;
        assert_eq!(pending(&server).await, [CONSUMER; 2]);

        let printed = language.run_once(&server);

        assert_eq!(ids(&printed), ids(&events));
        assert!(pending(&server).await.is_empty());
        assert_eq!(books(&world).await, [0, 0, 0]);
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_consumer_abandoned_is_taken_over() {
    for language in Language::installed() {
        let (server, world, events) = queue_of(3).await;
        let taken = take(&server, OTHER_CONSUMER, 2).await;
        let idle = ["XCLAIM", EVENTS, "core", OTHER_CONSUMER, "0", &taken[0], "IDLE", "700000", "JUSTID"];
        assert_eq!(server.command(&idle).await.items().len(), 1);

        let printed = language.run_once(&server);

        // The second is being worked on.
        assert_eq!(ids(&printed), [&events[0]["id"], &events[2]["id"]]);
        assert_eq!(pending(&server).await, [OTHER_CONSUMER]);
        assert_eq!(books(&world).await, [0, 1, 0]);
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_goes_to_the_dead_letters() {
    for language in Language::installed() {
        let (server, world, events) = queue_of(1).await;
        let names = ["ce_id", "poison", "ce_source", "/test", "ce_type", "test", "ce_subject", "test"];
        let poison = ["XADD", EVENTS, "*"].into_iter().chain(names).chain(["data", "{ not json"]);
        server.command(&poison.collect::<Vec<_>>()).await;

        let printed: Vec<_> = (0..5).flat_map(|_| language.run_once(&server)).collect();

        assert_eq!(ids(&printed), ids(&events), "the good one comes through, once");
        assert!(pending(&server).await.is_empty());
        assert_eq!(books(&world).await, [0, 0, 1]);
        let (_, body) = world.get(&format!("/v1/queues/{QUEUE}/dead")).await;
        let letter = &body["dead"][0];
        assert_eq!((&letter["attempts"], &letter["event"]["id"]), (&json!(5), &json!("poison")));
        assert!(letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{letter}");
        assert!(letter["dead_at"].as_str().is_some_and(|time| time > "2020"), "{letter}");
        let entries = server.command(&["XRANGE", DEAD, "-", "+"]).await;
        let fields = entries.items()[0].items()[1].items();
        assert!(fields.contains(&Reply::Text(b"{ not json".to_vec())), "it is kept as it was: {fields:?}");
        assert_eq!(ask(&world, "dead/requeue", json!({})).await["count"], 1);
        assert_eq!(books(&world).await, [1, 0, 0]);
        let (deliveries, leased) = lease(&world, 10).await;
        assert_eq!(leased, ["poison"]);
        ask(&world, "ack", json!({ "delivery_ids": deliveries })).await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_and_native_consumers_share_the_group() {
    for language in Language::installed() {
        let (server, world, events) = queue_of(3).await;
        let (deliveries, leased) = lease(&world, 1).await;
        assert_eq!(leased, [events[0]["id"].clone()]);

        let printed = language.run_once(&server);

        assert_eq!(ids(&printed), ids(&events[1..]));
        assert_eq!(books(&world).await, [0, 1, 0]);
        let settled = ask(&world, "nack", json!({ "delivery_ids": deliveries })).await;
        assert_eq!(settled["count"], 1, "the lease is still good");
        let (deliveries, again) = lease(&world, 10).await;
        assert_eq!(again, leased, "what was acknowledged natively does not come over HTTP");
        assert_eq!(ask(&world, "ack", json!({ "delivery_ids": deliveries })).await["count"], 1);
        assert_eq!(books(&world).await, [0, 0, 0]);
        world.finish().await;
    }
}
