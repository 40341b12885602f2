//! Metrics and logs: how operators see what the gateway does, without a single name, number or word of a citizen.
//!
//! The books of G9 are kept here: `received = enqueued + drafted + duplicate + quarantined + refused + command + expired`
//! per channel, at any quiet moment. The unit is a message: a receipt with a batch counts each of its items, one that
//! cannot be taken apart counts once.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tracing_subscriber::EnvFilter;

/// What became of one message. The words are the labels of `loket_outcome_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variants are the words of the metric's label")]
pub enum Outcome {
    enqueued,
    drafted,
    duplicate,
    quarantined,
    refused,
    command,
    expired,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabel {
    channel: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    channel: String,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabel {
    channel: String,
    result: &'static str,
}

/// All metrics of the process, handed to whoever counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    received: Family<ChannelLabel, Counter>,
    /// Messages of a draft that ends unsent go from `drafted` to `expired`, so that these are no counters.
    outcomes: Family<OutcomeLabel, Gauge>,
    ignored: Family<ChannelLabel, Counter>,
    reports: Family<ChannelLabel, Counter>,
    answers: Family<AnswerLabel, Counter>,
    media: Family<AnswerLabel, Counter>,
    media_bytes: Family<ChannelLabel, Counter>,
    last_message: Family<ChannelLabel, Gauge>,
    mailbox_last_success: Family<ChannelLabel, Gauge>,
    mailbox_letters: Family<ChannelLabel, Counter>,
    mailbox_failures: Family<ChannelLabel, Counter>,
    poll_last_success: Family<ChannelLabel, Gauge>,
    poll_updates: Family<ChannelLabel, Counter>,
    poll_failures: Family<ChannelLabel, Counter>,
    queue_depth: Family<QueueLabel, Gauge>,
    queue_dead: Family<QueueLabel, Gauge>,
    reply_seconds: Histogram,
    /// Receipts that are journalled and not yet marked.
    pub journal_backlog: Gauge,
    /// Receipts that wait in the quarantine for an operator.
    pub quarantined: Gauge,
    /// Bytes of the journal, bodies and quarantine together.
    pub journal_bytes: Gauge,
    /// Requests that were told to come back later because the journal could not take them.
    pub refused_full: Counter,
    /// 1 while the store answers.
    pub store_up: Gauge,
    /// Mapping workers that ran over their deadline and were left behind.
    pub mapping_overruns: Counter,
    /// Processor seconds and memory are the platform's business; this is the process's own uptime anchor.
    pub open_channels: Gauge,
    pub closed_channels: Gauge,
}

/// Upper bounds of `loket_reply_seconds`, in seconds; 0.25 is the promise of G10.
const REPLY_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("loket");
        let received = Family::default();
        registry.register("received", "Messages that came in, by channel", received.clone());
        let outcomes = Family::default();
        registry.register("outcome_total", "What became of each message, by channel", outcomes.clone());
        let ignored = Family::default();
        registry.register("ignored", "Items of verified requests that are no messages", ignored.clone());
        let reports = Family::default();
        registry.register("delivery_reports", "Reports of providers on our answers", reports.clone());
        let answers = Family::default();
        registry.register("answers", "Tries to send an answer, by result", answers.clone());
        let media = Family::default();
        registry.register("media", "Tries to get a file, by result", media.clone());
        let media_bytes = Family::default();
        registry.register("media_bytes", "Bytes of files that were stored", media_bytes.clone());
        let last_message = Family::default();
        registry.register("last_message_timestamp_seconds", "When the last message came", last_message.clone());
        let mailbox_last_success = Family::default();
        registry.register(
            "mailbox_last_success_timestamp_seconds",
            "When a mailbox was last read to its end",
            mailbox_last_success.clone(),
        );
        let mailbox_letters = Family::default();
        registry.register("mailbox_letters", "Letters that a mailbox gave", mailbox_letters.clone());
        let mailbox_failures = Family::default();
        registry.register("mailbox_failures", "Failures in reading a mailbox", mailbox_failures.clone());
        let poll_last_success = Family::default();
        registry.register(
            "poll_last_success_timestamp_seconds",
            "When a bot was last asked for updates and answered",
            poll_last_success.clone(),
        );
        let poll_updates = Family::default();
        registry.register("poll_updates", "Updates that a bot gave when it was asked", poll_updates.clone());
        let poll_failures = Family::default();
        registry.register("poll_failures", "Failures in asking a bot for updates", poll_failures.clone());
        let queue_depth = Family::default();
        registry.register("queue_depth", "Entries that wait in a queue", queue_depth.clone());
        let queue_dead = Family::default();
        registry.register("queue_dead", "Dead letters of a queue", queue_dead.clone());
        let reply_seconds = Histogram::new(REPLY_BUCKETS);
        registry.register("reply_seconds", "From the whole request to the reply", reply_seconds.clone());
        let mut gauge = |name, help| {
            let gauge: Gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let journal_backlog = gauge("journal_backlog", "Receipts that are journalled and not yet settled");
        let quarantined = gauge("quarantine_receipts", "Receipts that wait in the quarantine");
        let journal_bytes = gauge("journal_bytes", "Size of the journal on disk");
        let store_up = gauge("store_up", "1 while the store answers");
        let open_channels = gauge("channels_open", "Channels that are open");
        let closed_channels = gauge("channels_closed", "Channels that could not be opened");
        let mut counter = |name, help| {
            let counter: Counter<u64, AtomicU64> = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let refused_full = counter("refused_full", "Requests refused because the journal could not take them");
        let mapping_overruns = counter("mapping_overruns", "Mapping workers left behind at their deadline");
        Self {
            registry,
            received,
            outcomes,
            ignored,
            reports,
            answers,
            media,
            media_bytes,
            last_message,
            mailbox_last_success,
            mailbox_letters,
            mailbox_failures,
            poll_last_success,
            poll_updates,
            poll_failures,
            queue_depth,
            queue_dead,
            reply_seconds,
            journal_backlog,
            quarantined,
            journal_bytes,
            refused_full,
            store_up,
            mapping_overruns,
            open_channels,
            closed_channels,
        }
    }
}

impl Metrics {
    /// Books messages of one channel: as received, and with the same stroke as what became of them.
    pub fn book(&self, channel: &str, outcome: Outcome, messages: u64) {
        if messages > 0 {
            let channel = channel.to_owned();
            self.received.get_or_create(&ChannelLabel { channel: channel.clone() }).inc_by(messages);
            self.outcomes.get_or_create(&OutcomeLabel { channel, outcome }).inc_by(as_signed(messages));
        }
    }

    /// Messages that were drafted and will be nothing else: their draft was cancelled, or left too long.
    pub fn expired(&self, channel: &str, messages: u64) {
        if messages > 0 {
            let label = |outcome| OutcomeLabel { channel: channel.to_owned(), outcome };
            self.outcomes.get_or_create(&label(Outcome::drafted)).dec_by(as_signed(messages));
            self.outcomes.get_or_create(&label(Outcome::expired)).inc_by(as_signed(messages));
        }
    }

    /// What `loket_outcome_total` says, for tests and the console.
    pub fn booked(&self, channel: &str, outcome: Outcome) -> i64 {
        self.outcomes.get_or_create(&OutcomeLabel { channel: channel.to_owned(), outcome }).get()
    }

    pub fn ignored(&self, channel: &str, items: u64) {
        if items > 0 {
            self.ignored.get_or_create(&ChannelLabel { channel: channel.to_owned() }).inc_by(items);
        }
    }

    pub fn delivery_reports(&self, channel: &str, reports: u64) {
        if reports > 0 {
            self.reports.get_or_create(&ChannelLabel { channel: channel.to_owned() }).inc_by(reports);
        }
    }

    /// `result`: `sent`, `retry`, `unknown`, `dead`, `capped`.
    pub fn answer(&self, channel: &str, result: &'static str) {
        self.answers.get_or_create(&AnswerLabel { channel: channel.to_owned(), result }).inc();
    }

    /// `result`: `stored`, `rejected`, `failed`, `expired`, `retry`. `bytes` are those of a file that is stored.
    pub fn media(&self, channel: &str, result: &'static str, bytes: u64) {
        self.media.get_or_create(&AnswerLabel { channel: channel.to_owned(), result }).inc();
        if result == "stored" {
            self.media_bytes.get_or_create(&ChannelLabel { channel: channel.to_owned() }).inc_by(bytes);
        }
    }

    pub fn last_message(&self, channel: &str, unix_seconds: i64) {
        self.last_message.get_or_create(&ChannelLabel { channel: channel.to_owned() }).set(unix_seconds);
    }

    /// A mailbox is about to be read: from now on its numbers are there, so that a silence can be told from an absence.
    pub fn mailbox_opened(&self, channel: &str) {
        let label = ChannelLabel { channel: channel.to_owned() };
        drop(self.mailbox_last_success.get_or_create(&label));
        drop(self.mailbox_letters.get_or_create(&label));
        drop(self.mailbox_failures.get_or_create(&label));
    }

    /// All its folders were read to their end, the last of them at this time.
    pub fn mailbox_succeeded(&self, channel: &str, unix_seconds: i64) {
        self.mailbox_last_success.get_or_create(&ChannelLabel { channel: channel.to_owned() }).set(unix_seconds);
    }

    pub fn mailbox_letter(&self, channel: &str) {
        self.mailbox_letters.get_or_create(&ChannelLabel { channel: channel.to_owned() }).inc();
    }

    pub fn mailbox_failed(&self, channel: &str) {
        self.mailbox_failures.get_or_create(&ChannelLabel { channel: channel.to_owned() }).inc();
    }

    /// A bot is about to be asked for updates: its numbers are there from now on.
    pub fn poll_opened(&self, channel: &str) {
        let label = ChannelLabel { channel: channel.to_owned() };
        drop(self.poll_last_success.get_or_create(&label));
        drop(self.poll_updates.get_or_create(&label));
        drop(self.poll_failures.get_or_create(&label));
    }

    /// It answered, and what it gave is in the journal.
    pub fn polled(&self, channel: &str, updates: u64, unix_seconds: i64) {
        let label = ChannelLabel { channel: channel.to_owned() };
        self.poll_last_success.get_or_create(&label).set(unix_seconds);
        self.poll_updates.get_or_create(&label).inc_by(updates);
    }

    pub fn poll_failed(&self, channel: &str) {
        self.poll_failures.get_or_create(&ChannelLabel { channel: channel.to_owned() }).inc();
    }

    pub fn queue(&self, queue: &str, depth: u64, dead: u64) {
        let label = QueueLabel { queue: queue.to_owned() };
        self.queue_depth.get_or_create(&label).set(depth as i64);
        self.queue_dead.get_or_create(&label).set(dead as i64);
    }

    pub fn replied(&self, took: Duration) {
        self.reply_seconds.observe(took.as_secs_f64());
    }

    /// The OpenMetrics text of `/metrics`.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn as_signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Sets up the log: JSON lines on standard error, so that a text can never forge a line. `filter` is `LOKET_LOG`.
pub fn start_log(filter: &str) {
    let mut filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // At `trace` it writes every line that goes over the wire, letters and passwords too.
    if let Ok(never) = "async_imap=off".parse() {
        filter = filter.add_directive(never);
    }
    let layer = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (tests) keeps the first log.
    let _ = layer.try_init();
    // The message of a panic may quote the text that it fell over: the place is enough to mend it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a defect: a part of the program panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_outside_checks_read() {
        let metrics = Metrics::default();
        metrics.book("sms", Outcome::enqueued, 2);
        metrics.queue("triage", 7, 0);
        metrics.replied(Duration::from_millis(3));
        let text = metrics.render();
        for line in [
            "loket_received_total{channel=\"sms\"} 2",
            "loket_outcome_total{channel=\"sms\",outcome=\"enqueued\"} 2",
            "loket_queue_depth{queue=\"triage\"} 7",
            "loket_journal_backlog 0",
            "loket_reply_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
