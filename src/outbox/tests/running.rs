//! The task as a whole: it is woken, keeps the pace, waits in peace and stops.

use std::collections::BTreeMap;

use super::*;
use crate::{
    adapter::{
        Engine,
        webhook::{Sections, Webhook},
    },
    channel::{
        ChannelFacts,
        manifest::{Manifest, Verify},
    },
    complaint::Medium,
    mail::addresses::OurAddresses,
    outbox::probe::ProbeResult,
    signature::{Scheme, VerifyMode},
};

const MANIFEST: &str = r#"
manifest = 1
id = "test"
title = "Test"
version = "1.0.0"
adapter = "webhook"
medium = "sms"
address = "phone"

[settings.key]
label = "Key"
secret = true

[[verify]]
kind = "token"
from = "header:X-Key"
equals = "${key}"

[message]
each = "."

[send]
url = "BASE/send"
encode = "form"
form = { To = "{{ to }}", From = "{{ from }}", Text = "{{ text }}" }
idempotency = {}

[probe]
method = "POST"
url = "BASE/send"
headers = { X-Key = "{{ secret.key }}" }
"#;

fn channel(base: &str, per_second: f64) -> Channel {
    let manifest: Manifest = toml::from_str(&MANIFEST.replace("BASE", base)).expect("the manifest parses");
    let sections = Sections {
        receive: &manifest.receive,
        message: manifest.message.as_ref().expect("a section"),
        receipts: None,
        respond: &manifest.respond,
        handshakes: &[],
        media: None,
        send: manifest.send.as_ref(),
        probe: manifest.probe.as_ref(),
    };
    let engine = Webhook::compile(&sections).expect("no mistakes");
    let mut settings = Settings::default();
    settings.insert("key", Setting::Secret(vec!["k".into()]));
    let Verify::Blocks(blocks) = &manifest.verify else { panic!("blocks") };
    let (scheme, _) = Scheme::compile(blocks, manifest.verify_policy, false);
    let public_url = "https://loket.example";
    let verifier = scheme.expect("a scheme").with_keys(&settings, VerifyMode::Enforce, public_url).expect("a key");
    Channel {
        facts: ChannelFacts::new(ChannelId::new("sms").expect("a slug"), Medium::Sms, TimeZone::UTC),
        allow_private_media: false,
        enabled: true,
        max_body: manifest.receive.max_body,
        manifest: Arc::new(manifest),
        engine: Arc::new(Engine::Webhook(Box::new(engine))),
        post: None,
        bot: None,
        ours: OurAddresses::none(),
        trusted_servers: Vec::new(),
        verifier,
        mode: VerifyMode::Enforce,
        settings,
        receiver: None,
        send_per_second: per_second,
        acks_per_day: None,
        receipts_url: format!("{public_url}/in/sms/status"),
    }
}

/// A running outbox and the ends of its strings.
struct Running {
    store: Arc<Memory>,
    provider: Provider,
    channels: watch::Sender<Arc<ChannelSet>>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(per_second: f64, change: impl FnOnce(&mut Channel)) -> Self {
        let provider = Provider::start().await;
        let mut channel = channel(&provider.base, per_second);
        change(&mut channel);
        let store = Arc::new(Memory::default());
        let vault = Arc::new(Vault::new(None));
        let address = Address {
            to: "+6281100000001".to_owned(),
            kind: "phone".to_owned(),
            from: None,
            heard_at: None,
            answered_at: None,
        };
        store.keep(vault.seal(REFERENCE, &address));
        let (channels, set) = watch::channel(Arc::new(set(channel)));
        let (stop, stopped) = watch::channel(false);
        let wake = Arc::new(Notify::new());
        let folder = tempfile::tempdir().expect("a folder");
        let parts = Parts {
            files: files(folder.path()),
            owner: "loket".to_owned(),
            vault,
            http: Http::for_tests(Duration::from_secs(5)),
            metrics: Arc::default(),
            gateway: Arc::new(Gateway::example()),
            channels: set,
            wake: Arc::clone(&wake),
            stop: stopped,
        };
        let outbox = Outbox::new(Arc::clone(&store) as Arc<dyn Store>, parts);
        Self { store, provider, channels, wake, stop, task: tokio::spawn(outbox.run()) }
    }

    fn add(&self, count: usize) {
        for place in 0..count {
            self.store.add(entry(&format!("ob_{place:04}"), OutboxKind::Reply, "halo"));
        }
        self.wake.notify_one();
    }

    /// Until so many entries are settled.
    async fn settled(&self, count: usize) {
        let done = async {
            while self.store.settled() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), done).await.expect("all are sent");
    }

    async fn stop(self) -> Arc<Memory> {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(6), self.task).await.expect("it stops").expect("it does not panic");
        self.store
    }
}

fn set(channel: Channel) -> ChannelSet {
    let slots = BTreeMap::from([(ChannelId::new("sms").expect("a slug"), Slot::Open(Arc::new(channel)))]);
    ChannelSet { slots, ..ChannelSet::default() }
}

#[tokio::test]
async fn what_is_added_is_sent_once() {
    let running = Running::start(1000.0, |_| ()).await;
    running.add(100);
    running.settled(100).await;
    let mut keys = running.provider.keys();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((keys.len(), running.provider.keys().len()), (100, 100));
    running.stop().await;
}

#[tokio::test]
async fn a_channel_keeps_its_pace() {
    let running = Running::start(20.0, |_| ()).await;
    running.add(30);
    running.settled(30).await;
    let times = running.provider.times();
    let took = *times.last().expect("sends") - times[0];
    // One leaves at once, or two as a tenth of a second's worth, the others every 50 ms.
    assert!(took >= Duration::from_millis(1350), "{took:?}");
    running.stop().await;
}

#[tokio::test]
async fn an_idle_outbox_looks_once_a_second_and_a_disabled_channel_is_left_alone() {
    let running = Running::start(1000.0, |_| ()).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let looks = running.stop().await.looks();
    assert!((1..=3).contains(&looks), "{looks}");

    let running = Running::start(1000.0, |channel| channel.enabled = false).await;
    running.add(1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.stop().await.looks(), 0);
}

#[tokio::test]
async fn a_channel_that_is_opened_later_sends_what_waits() {
    let running = Running::start(1000.0, |channel| channel.enabled = false).await;
    running.add(3);
    running.channels.send_replace(Arc::new(set(channel(&running.provider.base, 1000.0))));
    running.settled(3).await;
    running.stop().await;
}

#[tokio::test]
async fn a_send_under_way_ends_before_the_gateway_does() {
    let running = Running::start(1000.0, |_| ()).await;
    running.provider.slow_down(Duration::from_millis(400));
    running.add(4);
    let all_left = async {
        while running.provider.keys().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), all_left).await.expect("all are under way");
    assert_eq!(running.stop().await.settled(), 4);
}

#[tokio::test]
async fn a_channel_has_no_more_sends_at_once_than_its_lanes() {
    let running = Running::start(1000.0, |_| ()).await;
    running.provider.slow_down(Duration::from_millis(300));
    running.add(200);
    running.settled(1).await;
    let left = running.provider.keys().len();
    assert!((LANES..=2 * LANES).contains(&left), "{left} of 200 left before the first answer and shortly after it");
    running.settled(200).await;
    assert_eq!(running.provider.keys().len(), 200);
    running.stop().await;
}

#[tokio::test]
async fn a_store_that_is_away_is_left_in_peace_however_often_the_bell_rings() {
    let running = Running::start(1000.0, |_| ()).await;
    running.store.go_away();
    let before = running.store.looks();
    for _ in 0..30 {
        running.wake.notify_one();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let looks = running.store.looks() - before;
    assert!((1..=2).contains(&looks), "{looks}");
    running.stop().await;
}

#[tokio::test]
async fn a_probe_tells_bad_credentials_from_a_provider_that_is_not_there() {
    let provider = Provider::start().await;
    let http = Http::for_tests(Duration::from_secs(5));
    let open = channel(&provider.base, 1.0);
    assert_eq!(probe::probe(&http, &open).await, ProbeResult::Good { owner: None });
    provider.answers([(401, None)]);
    let reason = "the provider answers 401".to_owned();
    assert_eq!(probe::probe(&http, &open).await, ProbeResult::Bad { reason, owner: None });
    let nobody = channel("http://127.0.0.1:1", 1.0);
    assert!(matches!(probe::probe(&http, &nobody).await, ProbeResult::Unreachable { .. }));
}
