//! The courier carries one entry: looks its address up, composes, sends, judges, and records what became of it.
//!
//! A text of several parts is one entry. A try that fails in the middle repeats all of them, each under its own
//! idempotency key, so that a provider that honours the key sends none twice; one that does not may.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    LEASE,
    attempt::Tried,
    mailer::Mailer,
    pace::Pace,
    tokens::{Tokens, exposed},
};
use crate::{
    adapter::{
        mail::Post,
        webhook::{
            rules::RetryRules,
            send::{Judgement, Letter, Outgoing, Parts, Send, Standing},
        },
    },
    channel::Channel,
    clock,
    gateway::Gateway,
    http::Http,
    mail::answer::{Desk, Draft, Writer, answer},
    mapping::Surroundings,
    message::numbered,
    receipt::ChannelId,
    store::{OutboxEntry, OutboxKind, SendOutcome, Store, StoreError},
    telemetry::Metrics,
    vault::{Address, Vault},
};

/// No part begins later than this after the entry was taken: what then remains of the lease is enough for its time-out.
pub(super) const BUDGET: Duration = Duration::from_secs(45);

/// How long the record of a try is repeated while the store is away.
const RECORDING: Duration = Duration::from_mins(1);

/// How long a day's budget is remembered.
const BUDGET_DAY: SignedDuration = SignedDuration::from_hours(48);

/// Sends entries, of whatever channel.
pub(super) struct Courier {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    http: Http,
    metrics: Arc<Metrics>,
    gateway: Arc<Gateway>,
    tokens: Tokens,
    mailer: Mailer,
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

/// A gateway was killed while this question left, so that nobody knows whether it did: a citizen who wrote on since has read
/// it, or needs it no more.
pub(super) fn is_overtaken(entry: &OutboxEntry, heard_at: Option<Timestamp>, now: Timestamp) -> bool {
    let was_handed_out = entry.attempts == 0 && now.duration_since(entry.due) >= LEASE;
    entry.fleeting && was_handed_out && heard_at.is_some_and(|heard_at| heard_at > entry.created)
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
    ) -> Self {
        Self { store, vault, http, metrics, gateway, tokens: Tokens::default(), mailer: Mailer::default() }
    }

    /// One try, recorded. When the store is away before anything left, the entry stays as it is.
    pub async fn deliver(&self, counter: &Counter<'_>, entry: &OutboxEntry) {
        let tried = match self.attempt(counter, entry).await {
            Ok(tried) => tried,
            Err(error) => {
                tracing::warn!(channel.id = %counter.id, outbox.id = %entry.id, %error, "an answer waits for the store");
                return;
            }
        };
        let tries = entry.attempts.saturating_add(1);
        let draw = u64::from_le_bytes(clock::random());
        let (outcome, word) = tried.outcome(&counter.way.retry(), tries, clock::now(), draw);
        log(counter.id, entry, &outcome, tries);
        self.metrics.answer(counter.id.as_str(), word);
        self.record(counter, entry, outcome).await;
    }

    async fn attempt(&self, counter: &Counter<'_>, entry: &OutboxEntry) -> Result<Tried, StoreError> {
        if entry.kind == OutboxKind::Acknowledgement {
            if !counter.acknowledge {
                return Ok(Tried::never("the channel says acknowledge = false"));
            }
            // A second try of the same answer is paid for already.
            if entry.attempts == 0 && !self.spend(counter).await? {
                return Ok(Tried::Capped);
            }
        }
        let Some(sealed) = self.store.vault(&entry.reporter_ref).await? else {
            return Ok(Tried::never("the vault holds no address of this reporter"));
        };
        Ok(match self.vault.open(&entry.reporter_ref, &sealed) {
            Ok(address) => match counter.way {
                Way::Webhook(send) => self.send(counter, send, entry, &address).await,
                Way::Mail(post) => self.mail(counter, post, entry, &address).await,
            },
            Err(error) => Tried::again(error.to_string()),
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
            text: &numbered(&entry.text, &entry.choices),
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
        self.mailer.send(counter.id, post, &self.http, &answer(&draft, &desk, key)).await
    }

    /// Every part in order; the first that is not taken ends the try.
    async fn send(&self, counter: &Counter<'_>, send: &Send, entry: &OutboxEntry, address: &Address) -> Tried {
        if is_overtaken(entry, address.heard_at, clock::now()) {
            tracing::info!(channel.id = %counter.id, outbox.id = %entry.id, "a question that was cut off is not asked again, as its citizen has written on");
            return Tried::Sent { external_id: None };
        }
        let is_late = match send.standing(address.heard_at, clock::now()) {
            Standing::Free => false,
            Standing::Template => true,
            // Only the citizen can open the window again: to try until then would end as a dead letter without this reason.
            Standing::Held { reason } => return Tried::never(reason),
        };
        let parts = if is_late {
            // A template takes the words as one value and has its own buttons.
            Ok(Parts { texts: vec![numbered(&entry.text, &entry.choices)], choices_are_shown: false })
        } else {
            send.parts(&entry.text, &entry.choices)
        };
        let Parts { texts: parts, choices_are_shown } = match parts {
            Ok(parts) => parts,
            Err(reason) => return Tried::never(reason),
        };
        let begun = Instant::now();
        let mut last = None;
        for (place, text) in parts.iter().enumerate() {
            let wait = if place == 0 { Duration::ZERO } else { counter.pace.reserve(Instant::now()) };
            if begun.elapsed() + wait > BUDGET {
                return Tried::again("the parts take too long at the channel's pace");
            }
            tokio::time::sleep(wait).await;
            let key = if place == 0 { entry.id.clone() } else { format!("{}-{}", entry.id, place + 1) };
            let letter = Letter {
                to: &address.to,
                to_type: &address.kind,
                from: address.from.as_deref().unwrap_or_default(),
                text,
                language: &entry.language,
                idempotency_key: &key,
                receipts_url: counter.receipts_url,
                reply_to: None,
                choices: if choices_are_shown { &entry.choices } else { &[] },
                asks_location: entry.asks_location && place + 1 == parts.len(),
                is_late,
            };
            match self.send_part(counter, send, &letter).await {
                // Reports on the last part tell most of the whole.
                Tried::Sent { external_id } => last = external_id.or(last),
                otherwise => return otherwise,
            }
        }
        Tried::Sent { external_id: last }
    }

    async fn send_part(&self, counter: &Counter<'_>, send: &Send, letter: &Letter<'_>) -> Tried {
        let settings = counter.surroundings.settings;
        let asking = match send.oauth(settings) {
            Ok(asking) => asking,
            Err(reason) => return Tried::again(reason),
        };
        let token = match &asking {
            Some(request) => match self.tokens.token(&self.http, request.clone()).await {
                Ok(token) => Some(token),
                Err(reason) => return Tried::again(reason),
            },
            None => None,
        };
        // A request that cannot be composed is a mistake in the manifest or the settings, which an operator may mend
        // before the tries are used up.
        let outgoing = match send.compose(letter, settings, exposed(token.as_ref())) {
            Ok(outgoing) => outgoing,
            Err(reason) => return Tried::again(reason),
        };
        self.exchange(counter, send, outgoing, asking.as_ref()).await
    }

    async fn exchange(
        &self,
        counter: &Counter<'_>,
        send: &Send,
        outgoing: Outgoing,
        asking: Option<&Outgoing>,
    ) -> Tried {
        let response = match self.http.send(outgoing).await {
            Ok(response) => response,
            Err(error) => {
                let is_unknown = error.may_have_left();
                return Tried::Again { after: None, reason: error.to_string(), is_unknown };
            }
        };
        if let Some(asking) = asking.filter(|_| response.status == 401) {
            // The token was withdrawn before its time: a new one is asked for.
            self.tokens.forget(asking);
            return Tried::again("the provider no longer takes the token");
        }
        match send.judge(&response, &counter.surroundings, clock::now()) {
            Judgement::Accepted { external_id } => Tried::Sent { external_id },
            Judgement::Again { after, reason } => Tried::Again { after, reason, is_unknown: false },
            Judgement::Never { reason } => Tried::Never { reason },
        }
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

fn log(channel: &ChannelId, entry: &OutboxEntry, outcome: &SendOutcome, tries: u32) {
    match outcome {
        SendOutcome::Sent { .. } => {
            tracing::info!(channel.id = %channel, outbox.id = %entry.id, tries, "an answer was sent");
        }
        SendOutcome::Retry { at, failure, unknown } => {
            tracing::info!(channel.id = %channel, outbox.id = %entry.id, tries, %at, unknown, reason = %failure, "an answer is tried again");
        }
        SendOutcome::Dead { failure } => {
            tracing::warn!(channel.id = %channel, outbox.id = %entry.id, tries, reason = %failure, "an answer is given up");
        }
    }
}
