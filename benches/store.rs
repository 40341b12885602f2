//! Throughput of the embedded store, empty and with a million entries in a queue: `cargo bench --bench store`.
//!
//! `-- --entries 100000` makes it shorter. A transition is what an SMS makes: a claim, a sender's state, an event of
//! 2 KB, an answer, a vault entry and a record. A batch of 256 is settled and confirmed as the worker does it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use loket::{
    complaint::{Event, EventKind, Sensitivity, TrackingId},
    receipt::{ChannelId, ReceiptId},
    store::{
        ClaimKey, ComplaintRecord, OutboxEntry, OutboxKind, QueuedEvent, SenderKey, SenderState, Settled, Store,
        StoreLimits, Transition, VaultEntry, embedded::EmbeddedStore,
    },
};
use uuid::Uuid;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: u64 = 256;
/// Transitions of one measurement.
const MEASURED: u64 = 256 * 400;
const LIMITS: StoreLimits = StoreLimits { max_attempts: 5 };

/// A well mixed number, so that keys lie at random places as hashes do.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(number).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

struct Maker {
    channel: ChannelId,
    now: Timestamp,
    words: String,
}

impl Maker {
    fn uuid7(&self, number: u64) -> Uuid {
        let millis = self.now.as_millisecond() as u64 + number / 10;
        let random = key(number);
        uuid::Builder::from_unix_timestamp_millis(millis, random.first_chunk().expect("sixteen bytes")).into_uuid()
    }

    fn transition(&self, number: u64, answered: bool) -> Transition {
        // Ten messages a millisecond: ids of complaints and receipts sort by time, all other keys are as hashes.
        let id = self.uuid7(number);
        let receipt = ReceiptId(id);
        let event_id = format!("{:064x}", mixed(number));
        let document = serde_json::json!({ "complaint_id": id, "description": self.words });
        let time = self.now.to_string();
        let event =
            Event::new(event_id.clone(), &self.channel, EventKind::Received, id, time, Sensitivity::Normal, &document);
        let reporter_ref = format!("rp_{:020}", mixed(number));
        let answer = OutboxEntry {
            reporter_ref: reporter_ref.clone(),
            complaint_id: Some(id),
            text: "Laporan Anda diterima dengan nomor E3S-3E2-8JE. Balas STATUS E3S3E28JE untuk melihat tindak lanjut."
                .to_owned(),
            language: "id".to_owned(),
            ..OutboxEntry::new(format!("ack:{id}"), OutboxKind::Acknowledgement, self.channel.clone(), self.now)
        };
        Transition {
            turn: None,
            reserved: None,
            receipt,
            claims: vec![ClaimKey(key(number))],
            nonce: None,
            claims_until: self.now + SignedDuration::from_hours(720),
            sender: SenderKey(key(number)),
            expected: 0,
            state: Some(SenderState { value: vec![b'x'; 400], deadline: None }),
            events: vec![QueuedEvent { queue: "triage".to_owned(), priority: 0, event }],
            outbox: if answered { vec![answer] } else { Vec::new() },
            vault: Some(VaultEntry { reporter_ref: reporter_ref.clone(), sealed: vec![7; 120] }),
            record: Some(ComplaintRecord {
                complaint_id: id,
                tracking_id: TrackingId::from_random(*number.to_be_bytes().last_chunk().expect("eight bytes")),
                channel: self.channel.clone(),
                reporter_ref,
                queue: "triage".to_owned(),
                event_id,
                language: "id".to_owned(),
                receipts: vec![receipt],
                received_at: self.now,
                enqueued_at: self.now,
                leased_at: None,
                acked_at: None,
                replyable: true,
                sequence: 0,
                status: Vec::new(),
            }),
        }
    }
}

/// Settles and confirms `numbers` in batches; the time that the store took, without making the transitions.
async fn settle(store: &EmbeddedStore, maker: &Maker, numbers: std::ops::Range<u64>, answered: bool) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut next = numbers.start;
    while next < numbers.end {
        let end = (next + BATCH).min(numbers.end);
        let transitions: Vec<_> = (next..end).map(|number| maker.transition(number, answered)).collect();
        let begin = Instant::now();
        let settled = store.settle(transitions).await.expect("settled");
        store.confirm().await.expect("confirmed");
        times.push(begin.elapsed());
        assert!(settled.iter().all(|settled| *settled == Settled::Applied));
        next = end;
    }
    times
}

fn report(what: &str, count: u64, times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    let rate = count as f64 / total.as_secs_f64();
    let millis = |place: usize| times[place.min(times.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "{what}: {rate:.0} a second, {:.1} us each; a call {:.1} ms in the middle, {:.1} ms p99, {:.1} ms at most",
        1e6 / rate,
        millis(times.len() / 2),
        millis(times.len() * 99 / 100),
        millis(times.len()),
    );
    rate
}

/// Memory that the process holds, and processor time that it used so far.
fn resources() -> (u64, f64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = stat.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    (kib.unwrap_or(0) / 1024, ticks as f64 / 100.0)
}

fn size_of(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .map(|file| match file.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&file.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

async fn open(folder: &Path) -> EmbeddedStore {
    let begin = Instant::now();
    let store = EmbeddedStore::open(&folder.join("store"), LIMITS).await.expect("opened");
    println!("opened in {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    store
}

async fn measure(store: &EmbeddedStore, maker: &Maker, from: u64, what: &str) -> f64 {
    let (_, before) = resources();
    let mut times = settle(store, maker, from..from + MEASURED, true).await;
    let (mib, after) = resources();
    let rate = report(what, MEASURED, &mut times);
    println!("  processor {:.1} us each, with making them; memory {mib} MiB", (after - before) * 1e6 / MEASURED as f64);
    rate
}

async fn drain(store: &EmbeddedStore, maker: &Maker) {
    let (mut leases, mut acks) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let begin = Instant::now();
        let deliveries = store.lease("triage", 100, SignedDuration::from_secs(60), maker.now).await.expect("leased");
        leases.push(begin.elapsed());
        let ids: Vec<String> = deliveries.into_iter().map(|delivery| delivery.delivery_id).collect();
        let begin = Instant::now();
        store.ack("triage", &ids, maker.now).await.expect("acknowledged");
        acks.push(begin.elapsed());
    }
    report("lease of 100", 20_000, &mut leases);
    report("ack of 100", 20_000, &mut acks);
}

#[tokio::main]
async fn main() {
    let entries = std::env::args().skip_while(|argument| argument != "--entries").nth(1);
    let entries: u64 = entries.and_then(|entries| entries.parse().ok()).unwrap_or(1_000_000);
    let maker = Maker {
        channel: ChannelId::new("sms-1708").expect("a channel id"),
        now: "2026-03-01T08:00:00Z".parse().expect("a time"),
        words: "Jalan di depan pasar berlubang dan sudah dua minggu tergenang air. ".repeat(24),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path()).await;
    let empty = measure(&store, &maker, 0, "empty").await;

    let begin = Instant::now();
    let mut filled = MEASURED;
    while filled < MEASURED + entries {
        let end = (filled + 200_000).min(MEASURED + entries);
        let mut times = settle(&store, &maker, filled..end, true).await;
        report(&format!("  filling to {end}"), end - filled, &mut times);
        filled = end;
    }
    println!(
        "filled with {entries} in {:.0} s, {} MiB on disk",
        begin.elapsed().as_secs_f64(),
        size_of(folder.path()) >> 20
    );
    let full = measure(&store, &maker, MEASURED + entries, "full").await;
    println!("full to empty: {:.2}", full / empty);
    drop(store);

    let store = open(folder.path()).await;
    drain(&store, &maker).await;
    let stats = store.queues(maker.now).await.expect("read").remove(0);
    println!("waiting {}, on disk {} MiB, memory {} MiB", stats.depth, size_of(folder.path()) >> 20, resources().0);
    drop(store);
    open(folder.path()).await;
}
