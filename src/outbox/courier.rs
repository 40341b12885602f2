//! The courier carries one entry: looks its address up, composes, sends, judges, and records what became of it.
//!
//! A text of several parts and its files are one entry; how its parts leave through a provider stands in `parts`.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    LEASE,
    attempt::Tried,
    files::{Files, Missing},
    mailer::{LetterFile, Mailer},
    pace::Pace,
    tokens::Tokens,
};
use crate::{
    adapter::{
        mail::Post,
        webhook::{rules::RetryRules, send::Send},
    },
    channel::Channel,
    clock,
    gateway::Gateway,
    http::Http,
    mail::answer::{Desk, Draft, ENCLOSED, Writer, answer},
    mapping::Surroundings,
    message::{Enclosure, numbered},
    receipt::ChannelId,
    store::{OutboxEntry, OutboxKind, Progress, SendOutcome, Store, StoreError},
    telemetry::Metrics,
    vault::{Address, Vault},
};

/// No part begins later than this after the entry was taken: what then remains of the lease is enough for its time-out.
pub(super) const BUDGET: Duration = Duration::from_secs(45);

/// How long the record of a try is repeated while the store is away.
const RECORDING: Duration = Duration::from_mins(1);

/// For the files of a letter: with its token and its sending, it still ends within the lease.
const HEAVY: Duration = Duration::from_secs(30);

/// How long a day's budget is remembered.
const BUDGET_DAY: SignedDuration = SignedDuration::from_hours(48);

/// Sends entries, of whatever channel.
pub(super) struct Courier {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    pub(super) http: Http,
    metrics: Arc<Metrics>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) tokens: Tokens,
    pub(super) files: Files,
    mailer: Mailer,
    /// A letter with files is in memory as a whole: one at a time.
    heavy: Semaphore,
}

/// How the answers of a channel leave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'a> {
    Webhook(&'a Send),
    Mail(&'a Arc<Post>),
}

/// What the courier needs of a channel.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    pub id: &'a ChannelId,
    pub way: Way<'a>,
    pub surroundings: Surroundings<'a>,
    pub receipts_url: &'a str,
    /// False: nothing leaves on our own initiative, whatever was put into the outbox before the operator said so.
    pub acknowledge: bool,
    pub acks_per_day: Option<u64>,
    pub pace: &'a Pace,
}

impl Way<'_> {
    fn retry(self) -> RetryRules {
        match self {
            Self::Webhook(send) => send.rules().retry.clone(),
            Self::Mail(_) => RetryRules::default(),
        }
    }
}

impl<'a> Counter<'a> {
    /// None when the channel cannot send.
    pub fn of(id: &'a ChannelId, channel: &'a Channel, pace: &'a Pace) -> Option<Self> {
        Some(Self {
            id,
            way: match channel.engine.webhook().and_then(|webhook| webhook.send.as_ref()) {
                Some(send) => Way::Webhook(send),
                None => Way::Mail(channel.post.as_ref().filter(|post| post.submission.is_some())?),
            },
            surroundings: channel.surroundings(),
            receipts_url: &channel.receipts_url,
            acknowledge: channel.facts.acknowledge,
            acks_per_day: channel.acks_per_day,
            pace,
        })
    }
}

/// This question has waited for as long as one that was cut off, and a later answer was made since: whether it left or not,
/// its citizen needs it no more. One that is the last word is asked in any case, as it may never have left.
pub(super) fn is_overtaken(entry: &OutboxEntry, answered_at: Option<Timestamp>, now: Timestamp) -> bool {
    let is_old = entry.attempts == 0 && now.duration_since(entry.due) >= LEASE;
    entry.fleeting && is_old && answered_at.is_some_and(|at| at.as_second() > entry.created.as_second())
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Courier")
    }
}

impl Courier {
    pub fn new(
        store: Arc<dyn Store>,
        vault: Arc<Vault>,
        http: Http,
        metrics: Arc<Metrics>,
        gateway: Arc<Gateway>,
        files: Files,
    ) -> Self {
        let (tokens, mailer, heavy) = (Tokens::default(), Mailer::default(), Semaphore::new(1));
        Self { store, vault, http, metrics, gateway, tokens, files, mailer, heavy }
    }

    /// One try, recorded. When the store is away before anything left, the entry stays as it is.
    pub async fn deliver(&self, counter: &Counter<'_>, entry: &OutboxEntry) {
        let mut progress = entry.progress;
        let tried = match self.attempt(counter, entry, &mut progress).await {
            Ok(tried) => tried,
            Err(error) => {
                tracing::warn!(channel.id = %counter.id, outbox.id = %entry.id, %error, "an answer waits for the store");
                return;
            }
        };
        // A try that brought the answer on is the first of what is left, in the store too.
        let tries = if progress.is_beyond(entry.progress) { 1 } else { entry.attempts.saturating_add(1) };
        let draw = u64::from_le_bytes(clock::random());
        let (outcome, word) = tried.outcome(&counter.way.retry(), tries, progress, clock::now(), draw);
        log(counter.id, entry, &outcome, tries);
        self.metrics.answer(counter.id.as_str(), word);
        self.record(counter, entry, outcome).await;
    }

    async fn attempt(
        &self,
        counter: &Counter<'_>,
        entry: &OutboxEntry,
        progress: &mut Progress,
    ) -> Result<Tried, StoreError> {
        let is_ours = entry.kind == OutboxKind::Acknowledgement;
        if is_ours && !counter.acknowledge {
            return Ok(Tried::never("the channel says acknowledge = false"));
        }
        let Some(sealed) = self.store.vault(&entry.reporter_ref).await? else {
            return Ok(Tried::never("the vault holds no address of this reporter"));
        };
        let address = match self.vault.open(&entry.reporter_ref, &sealed) {
            Ok(address) => address,
            Err(error) => return Ok(Tried::again(error.to_string())),
        };
        if is_overtaken(entry, address.answered_at, clock::now()) {
            tracing::info!(channel.id = %counter.id, outbox.id = %entry.id, "a question that was cut off is not asked again, as its citizen has a later answer");
            return Ok(Tried::Sent { external_id: None });
        }
        // A second try of the same answer is paid for already.
        if is_ours && entry.attempts == 0 && !self.spend(counter).await? {
            return Ok(Tried::Capped);
        }
        Ok(match counter.way {
            Way::Webhook(send) => self.send(counter, send, entry, &address, progress).await,
            Way::Mail(post) => self.mail(counter, post, entry, &address).await,
        })
    }

    /// Takes one from the channel's acknowledgements of the day.
    async fn spend(&self, counter: &Counter<'_>) -> Result<bool, StoreError> {
        let Some(limit) = counter.acks_per_day else { return Ok(true) };
        let now = clock::now();
        let day = now.to_zoned(counter.surroundings.timezone.clone()).date();
        let until = now.checked_add(BUDGET_DAY).unwrap_or(now);
        self.store.spend(&format!("acks:{}:{day}", counter.id), limit, until, now).await
    }

    /// A letter is one part, however long.
    async fn mail(&self, counter: &Counter<'_>, post: &Arc<Post>, entry: &OutboxEntry, address: &Address) -> Tried {
        // The store tells it before the first complaint is made; a restart may meet an answer a moment before.
        let Some(key) = self.gateway.reporter_key.get() else {
            return Tried::again("the store has not told its key yet");
        };
        let subject = entry.head.as_ref().map_or(self.gateway.organisation.as_str(), |head| &head.subject);
        let draft = Draft {
            id: &entry.id,
            complaint_id: entry.complaint_id,
            to: &address.to,
            subject,
            text: &with_captions(numbered(&entry.text, &entry.choices), &entry.enclosures),
            language: &entry.language,
            in_reply_to: entry.head.as_ref().and_then(|head| head.in_reply_to.as_deref()),
            writer: match entry.kind {
                OutboxKind::Acknowledgement | OutboxKind::Fetch => Writer::Machine,
                OutboxKind::Reply => Writer::Person,
            },
        };
        let mailbox = post.ours.first().unwrap_or_else(|| post.from.clone());
        let desk = Desk {
            from: &post.from,
            from_name: post.from_name.as_deref(),
            mailbox: &mailbox,
            plus_addressing: post.plus_addressing,
        };
        let answer = answer(&draft, &desk, key);
        let heavy = async {
            let alone = if entry.enclosures.is_empty() { None } else { self.heavy.acquire().await.ok() };
            (alone, self.enclosed(entry).await)
        };
        match tokio::time::timeout(HEAVY, heavy).await {
            Ok((_alone, Ok(files))) => self.mailer.send(counter.id, post, &self.http, &answer, files).await,
            Ok((_, Err(tried))) => tried,
            Err(_) => Tried::again("the files of other letters, or of this one, take too long"),
        }
    }

    /// The files of a letter, as a whole; their sizes were looked at when the answer was taken.
    async fn enclosed(&self, entry: &OutboxEntry) -> Result<Vec<LetterFile>, Tried> {
        let mut files = Vec::with_capacity(entry.enclosures.len());
        let mut room = ENCLOSED.as_u64();
        for enclosure in &entry.enclosures {
            let bytes = self.files.whole(enclosure, room).await.map_err(Missing::tried)?;
            room = room.saturating_sub(bytes.len() as u64);
            let (filename, media_type) = (enclosure.filename.clone(), enclosure.media_type.clone());
            files.push(LetterFile { filename, media_type, bytes });
        }
        Ok(files)
    }

    /// What is not recorded is sent again, so the record is worth some patience.
    async fn record(&self, counter: &Counter<'_>, entry: &OutboxEntry, outcome: SendOutcome) {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(250);
        loop {
            let Err(error) = self.store.outbox_tried(&entry.channel, &entry.id, outcome.clone(), clock::now()).await
            else {
                return;
            };
            if !error.is_transient() || begun.elapsed() + pause > RECORDING {
                tracing::error!(channel.id = %counter.id, outbox.id = %entry.id, %error, "a try is not recorded and is made again");
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

/// A letter has no place under a file.
fn with_captions(mut text: String, enclosures: &[Enclosure]) -> String {
    for (place, enclosure) in enclosures.iter().filter(|enclosure| enclosure.caption.is_some()).enumerate() {
        let caption = enclosure.caption.as_deref().unwrap_or_default();
        text.push_str(if place == 0 { "\n\n" } else { "\n" });
        text.extend([enclosure.filename.as_str(), ": ", caption]);
    }
    text
}

fn log(channel: &ChannelId, entry: &OutboxEntry, outcome: &SendOutcome, tries: u32) {
    match outcome {
        SendOutcome::Sent { .. } => {
            tracing::info!(channel.id = %channel, outbox.id = %entry.id, tries, "an answer was sent");
        }
        SendOutcome::Retry { at, failure, unknown, .. } => {
            tracing::info!(channel.id = %channel, outbox.id = %entry.id, tries, %at, unknown, reason = %failure, "an answer is tried again");
        }
        SendOutcome::Wait { at, failure } => {
            tracing::info!(channel.id = %channel, outbox.id = %entry.id, %at, reason = %failure, "an answer waits for us");
        }
        SendOutcome::Dead { failure } => {
            tracing::warn!(channel.id = %channel, outbox.id = %entry.id, tries, reason = %failure, "an answer is given up");
        }
    }
}
