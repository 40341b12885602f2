//! The outbox against a real HTTP server on the loopback and a store in memory.

use std::sync::Mutex;

use jiff::{Timestamp, tz::TimeZone};

use super::{courier::Way, *};
use crate::{
    adapter::webhook::{rules::SendRules, send::Send},
    mapping::Surroundings,
    media::shelf::Shelf,
    settings::{Setting, Settings},
    store::{OutboxKind, SendOutcome},
    units::Span,
    vault::Address,
};

mod enclosures;
mod memory;
mod provider;
mod running;

use memory::Memory;
use provider::Provider;

const REFERENCE: &str = "rp_1";

/// A courier, and what it works with.
struct Bench {
    store: Arc<Memory>,
    provider: Provider,
    metrics: Arc<Metrics>,
    courier: Courier,
    settings: Settings,
    send: Send,
    folder: tempfile::TempDir,
    acks_per_day: Option<u64>,
    acknowledge: bool,
}

fn files(folder: &std::path::Path) -> Files {
    let shelf = Shelf::open(folder.to_owned()).expect("a shelf");
    Files { shelf, link_life: Span::from_secs(60) }
}

static ZONE: TimeZone = TimeZone::UTC;

impl Bench {
    /// `rules` may name the provider's address as `BASE`.
    async fn new(rules: &str) -> Self {
        let provider = Provider::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let rules: SendRules = toml::from_str(&rules.replace("BASE", &provider.base)).expect("the section parses");
        let mut errors = Vec::new();
        let send = Send::compile(&rules, &mut errors).unwrap_or_else(|| panic!("{errors:?}"));
        let store = Arc::new(Memory::default());
        let vault = Arc::new(Vault::new(Some([7; 32])));
        let address = Address {
            to: "+6281100000001".to_owned(),
            kind: "phone".to_owned(),
            from: Some("1708".to_owned()),
            heard_at: Some(Timestamp::UNIX_EPOCH),
            answered_at: None,
        };
        store.keep(vault.seal(REFERENCE, &address));
        let metrics = Arc::new(Metrics::default());
        let http = Http::for_tests(Duration::from_millis(400));
        let courier = Courier::new(
            Arc::clone(&store) as Arc<dyn Store>,
            vault,
            http,
            Arc::clone(&metrics),
            Arc::new(Gateway::example()),
            files(folder.path()),
        );
        let mut settings = Settings::default();
        settings.insert("token", Setting::Secret(vec!["s3cret".into()]));
        Self { store, provider, metrics, courier, settings, send, folder, acks_per_day: None, acknowledge: true }
    }

    /// One try with the entry as it stands in the store.
    async fn deliver(&self, id: &str) -> SendOutcome {
        let entry = self.store.entry(id);
        let pace = Pace::new(1000.0, Instant::now());
        let counter = Counter {
            id: &entry.channel,
            way: Way::Webhook(&self.send),
            surroundings: Surroundings::new(&self.settings, "ID", &ZONE),
            receipts_url: "https://loket.example/in/sms/status",
            acknowledge: self.acknowledge,
            acks_per_day: self.acks_per_day,
            pace: &pace,
        };
        self.courier.deliver(&counter, &entry).await;
        self.store.last_outcome(id)
    }

    fn counted(&self, result: &str) -> bool {
        self.metrics.render().contains(&format!("loket_answers_total{{channel=\"sms\",result=\"{result}\"}}"))
    }
}

fn entry(id: &str, kind: OutboxKind, text: &str) -> OutboxEntry {
    OutboxEntry {
        reporter_ref: REFERENCE.to_owned(),
        text: text.to_owned(),
        language: "id".to_owned(),
        ..OutboxEntry::new(id.to_owned(), kind, ChannelId::new("sms").expect("a slug"), Timestamp::UNIX_EPOCH)
    }
}

const PLAIN: &str = "url = 'BASE/send'\nbody = '1'\nretry = { max = 3 }\nidempotency = {}\n";

#[tokio::test]
async fn an_answer_that_the_provider_takes_is_sent() {
    let bench = Bench::new(PLAIN).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    assert_eq!(bench.deliver("ob_1").await, SendOutcome::Sent { external_id: None });
    assert_eq!(bench.provider.keys(), ["ob_1"]);
    assert!(bench.counted("sent"));
}

#[tokio::test]
async fn a_busy_provider_is_asked_again_when_it_says_so_and_under_the_same_key() {
    let bench = Bench::new(PLAIN).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    bench.provider.answers([(503, Some("120")), (429, None), (500, None)]);
    let before = clock::now();
    let SendOutcome::Retry { at, failure, unknown: false, .. } = bench.deliver("ob_1").await else {
        panic!("no retry")
    };
    let wait = at.duration_since(before).as_secs();
    assert!((119..=122).contains(&wait), "{wait}");
    assert!(failure.contains("503"), "{failure}");
    let SendOutcome::Retry { at, .. } = bench.deliver("ob_1").await else { panic!("no retry") };
    assert!(at.duration_since(clock::now()).as_secs() <= 10);
    let SendOutcome::Dead { failure } = bench.deliver("ob_1").await else { panic!("a fourth try") };
    assert!(failure.contains("3 tries") && failure.contains("500"), "{failure}");
    assert_eq!(bench.provider.keys(), ["ob_1", "ob_1", "ob_1"]);
}

#[tokio::test]
async fn a_refusal_is_a_dead_letter_at_once() {
    let bench = Bench::new(PLAIN).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    bench.provider.answers([(400, None)]);
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Dead { .. }));
    assert!(bench.counted("dead"));
}

#[tokio::test]
async fn a_permanent_code_is_a_dead_letter_although_its_status_may_be_tried_again() {
    let rules = format!("{PLAIN}error_code = '.body.code'\npermanent = [21610]\n");
    let bench = Bench::new(&rules).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    bench.provider.answers_with(429, r#"{"code":21610}"#);
    let SendOutcome::Dead { failure } = bench.deliver("ob_1").await else { panic!("tried again") };
    assert_eq!(failure, "the provider answers 429, code 21610");
}

#[tokio::test]
async fn silence_is_recorded_as_unknown_and_tried_again() {
    let bench = Bench::new(&PLAIN.replace("/send", "/silent")).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    let outcome = bench.deliver("ob_1").await;
    assert!(matches!(&outcome, SendOutcome::Retry { unknown: true, .. }), "{outcome:?}");
    assert!(bench.counted("unknown"));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_tried_again_and_nothing_is_unknown() {
    let bench = Bench::new("url = 'http://127.0.0.1:1/send'\nbody = '1'").await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    let outcome = bench.deliver("ob_1").await;
    assert!(matches!(&outcome, SendOutcome::Retry { unknown: false, .. }), "{outcome:?}");
    assert!(bench.counted("retry"));
}

#[tokio::test]
async fn a_failure_shows_neither_secret_nor_address_nor_text() {
    let rules = "url = 'http://127.0.0.1:1/bot{{ secret.token }}/{{ to }}'\nbody = '{{ text }}'\nencode = 'text'";
    let bench = Bench::new(rules).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "rahasia"));
    let SendOutcome::Retry { failure, .. } = bench.deliver("ob_1").await else { panic!("no retry") };
    assert!(failure.contains("http://127.0.0.1:1/bot{{ secret.token }}/{{ to }}"), "{failure}");
    for hidden in ["s3cret", "62811", "rahasia"] {
        assert!(!failure.contains(hidden), "{failure}");
    }
}

#[tokio::test]
async fn acknowledgements_stop_at_the_cap_of_the_day_and_replies_do_not() {
    let mut bench = Bench::new(PLAIN).await;
    bench.acks_per_day = Some(2);
    for id in ["ob_1", "ob_2", "ob_3"] {
        bench.store.add(entry(id, OutboxKind::Acknowledgement, "halo"));
    }
    bench.store.add(entry("ob_4", OutboxKind::Reply, "halo"));
    // A second try of the same answer takes nothing more from the budget.
    bench.provider.answers([(503, None)]);
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Retry { .. }));
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Sent { .. }));
    assert!(matches!(bench.deliver("ob_2").await, SendOutcome::Sent { .. }));
    let failure = "daily cap of acknowledgements reached".to_owned();
    assert_eq!(bench.deliver("ob_3").await, SendOutcome::Dead { failure });
    assert!(bench.counted("capped"));
    assert!(matches!(bench.deliver("ob_4").await, SendOutcome::Sent { .. }));
    assert_eq!(bench.provider.keys(), ["ob_1", "ob_1", "ob_2", "ob_4"]);
    let today = clock::now().to_zoned(TimeZone::UTC).date();
    assert_eq!(bench.store.budgets(), [format!("acks:sms:{today}")]);
}

#[tokio::test]
async fn a_channel_that_acknowledges_no_more_sends_replies_only() {
    let mut bench = Bench::new(PLAIN).await;
    bench.acknowledge = false;
    bench.store.add(entry("ob_1", OutboxKind::Acknowledgement, "halo"));
    bench.store.add(entry("ob_2", OutboxKind::Reply, "halo"));
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Dead { .. }));
    assert!(matches!(bench.deliver("ob_2").await, SendOutcome::Sent { .. }));
}

#[tokio::test]
async fn an_answer_without_an_address_is_a_dead_letter() {
    let bench = Bench::new(PLAIN).await;
    bench.store.add(OutboxEntry { reporter_ref: "rp_gone".to_owned(), ..entry("ob_1", OutboxKind::Reply, "halo") });
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Dead { .. }));
    assert_eq!(bench.provider.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_long_text_goes_in_parts_with_a_key_each() {
    let bench = Bench::new(&format!("{PLAIN}split = {{ max_chars = 20 }}")).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "Laporan Anda kami teruskan ke Dinas Pekerjaan Umum"));
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Sent { .. }));
    assert_eq!(bench.provider.keys(), ["ob_1", "ob_1-2", "ob_1-3"]);
}

#[tokio::test]
async fn an_answer_after_the_window_that_is_held_is_a_dead_letter_that_says_so() {
    let bench = Bench::new(&format!("{PLAIN}window = {{ hours = 24, outside = 'hold' }}")).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    let outcome = bench.deliver("ob_1").await;
    assert!(matches!(&outcome, SendOutcome::Dead { failure } if failure.contains("hours ago")), "{outcome:?}");
    assert_eq!(bench.provider.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_again_when_it_is_no_longer_taken() {
    let rules = "url = 'BASE/guarded'\nbody = '1'\n\
                 auth = { kind = 'oauth2', token_url = 'BASE/token', client_id = 'c', client_secret = '${token}' }";
    let bench = Bench::new(rules).await;
    bench.store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Sent { .. }));
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Sent { .. }));
    assert_eq!(bench.provider.tokens(), 1);
    bench.provider.withdraw();
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Retry { .. }));
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Sent { .. }));
    assert_eq!(bench.provider.tokens(), 2);
}

#[tokio::test]
async fn a_try_is_recorded_once_the_store_is_back() {
    let store = Arc::new(Memory::default());
    store.add(entry("ob_1", OutboxKind::Reply, "halo"));
    store.fail_records(2);
    let http = Http::for_tests(Duration::from_secs(1));
    let folder = tempfile::tempdir().expect("a folder");
    let courier = Courier::new(
        Arc::clone(&store) as Arc<dyn Store>,
        Arc::new(Vault::new(None)),
        http,
        Arc::default(),
        Arc::new(Gateway::example()),
        files(folder.path()),
    );
    let rules: SendRules = toml::from_str("url = 'http://127.0.0.1:1/'\nbody = '1'").expect("a section");
    let send = Send::compile(&rules, &mut Vec::new()).expect("no mistakes");
    let settings = Settings::default();
    let pace = Pace::new(1.0, Instant::now());
    let entry = store.entry("ob_1");
    let counter = Counter {
        id: &entry.channel,
        way: Way::Webhook(&send),
        surroundings: Surroundings::new(&settings, "ID", &ZONE),
        receipts_url: "",
        acknowledge: true,
        acks_per_day: None,
        pace: &pace,
    };
    courier.deliver(&counter, &entry).await;
    assert!(matches!(store.last_outcome("ob_1"), SendOutcome::Dead { .. }));
}

/// What a lock guards; a test that panicked before has failed already.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no test panics under it")
}

#[test]
fn a_question_that_was_cut_off_is_not_asked_again_behind_a_later_answer() {
    let at = |second: i64| Timestamp::from_second(1_000_000 + second).expect("a time");
    let question = OutboxEntry {
        fleeting: true,
        due: at(0),
        created: at(0),
        ..entry("q", OutboxKind::Acknowledgement, "Di mana?")
    };
    let overtaken =
        |entry: &OutboxEntry, answered: i64, now: i64| courier::is_overtaken(entry, Some(at(answered)), at(now));
    assert!(overtaken(&question, 5, 90));
    assert!(!overtaken(&question, 5, 89), "it may be on its way");
    assert!(!overtaken(&question, 0, 90), "it is the last word, and may never have left");
    assert!(!overtaken(&OutboxEntry { attempts: 1, ..question.clone() }, 5, 90), "the provider refused it");
    assert!(!overtaken(&OutboxEntry { fleeting: false, ..question }, 5, 90), "a number is told in any case");
}
