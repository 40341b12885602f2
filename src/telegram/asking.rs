//! One bot, asked for updates for as long as its channel is open: ask, journal, tell, and begin anew after a failure.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    answer::{Update, updates},
    trouble::Trouble,
};
use crate::{
    adapter::{
        telegram::{Account, Method, call_of_reply},
        webhook::send::Outgoing,
    },
    channel::Channel,
    clock,
    http::Http,
    journal::{Journal, JournalError},
    receipt::{Receipt, ReceiptId, Request},
    signature::Verified,
    telemetry::Metrics,
    units::Size,
};

/// How long Telegram holds a question that it has no answer to.
const HELD: Duration = Duration::from_secs(50);
/// Until the whole answer is there.
const PATIENCE: Duration = Duration::from_secs(70);
/// Updates of one answer, at most; Telegram's own limit too.
const MOST: usize = 100;
/// One answer. An update has up to a few KiB, of a text in escapes some 30.
const ANSWER: Size = Size::mib(8);
/// Bodies that the journal puts beside its records are written one after the other, so that the order holds.
const APART: usize = 32 << 10;
/// Receipts that wait for one fdatasync together. As many are begun in their order.
const GROUP: usize = 25;
/// For the calls that a webhook would have had in its reply, all together.
const CALLS: Duration = Duration::from_secs(4);
/// Without an update for so long the offset is left out: numbers may begin anew after a week without any
/// (<https://core.telegram.org/bots/api#update>), and one that is too high would make Telegram forget what we never saw.
/// By then it has forgotten by itself what it was told (after 24 hours).
const STALE: Duration = Duration::from_hours(48);

/// The loop of one bot.
pub(super) struct Asking<'a> {
    channel: &'a Arc<Channel>,
    bot: &'a Account,
    journal: &'a Journal,
    metrics: &'a Metrics,
    http: &'a Http,
    /// Everything below is in the journal. None: Telegram knows best what it was told.
    offset: Option<i64>,
    /// When the offset was last moved.
    moved_at: Instant,
    /// Updates that are asked for at once: fewer after an answer that was too large.
    limit: usize,
    /// Questions in a row that failed.
    failures: u32,
    /// The failure that the log was told of; empty while all is well.
    told: String,
}

impl<'a> Asking<'a> {
    pub fn new(
        channel: &'a Arc<Channel>,
        bot: &'a Account,
        journal: &'a Journal,
        metrics: &'a Metrics,
        http: &'a Http,
    ) -> Self {
        let (moved_at, limit) = (Instant::now(), MOST);
        Self { channel, bot, journal, metrics, http, offset: None, moved_at, limit, failures: 0, told: String::new() }
    }

    /// Until it is dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            match self.round().await {
                Ok(taken) => self.succeeded(taken),
                Err(Trouble::TooLarge) if self.limit > 1 => self.limit /= 2,
                Err(trouble) => {
                    self.failed(&trouble);
                    let draw = u64::from_le_bytes(clock::random());
                    tokio::time::sleep(trouble.pause(self.failures, draw)).await;
                }
            }
        }
    }

    /// One question; how many updates it brought into the journal.
    async fn round(&mut self) -> Result<usize, Trouble> {
        if self.moved_at.elapsed() > STALE {
            self.offset = None;
        }
        let response = self.http.wait(self.question(), ANSWER, PATIENCE).await?;
        let updates = updates(&response, self.bot)?;
        let (calls, outcome) = self.keep(&updates).await;
        let taken = calls.len();
        self.call(calls.into_iter().flatten().collect()).await;
        outcome?;
        self.limit = (self.limit * 2).min(MOST);
        Ok(taken)
    }

    /// <https://core.telegram.org/bots/api#getupdates>
    fn question(&self) -> Outgoing {
        let mut parameters =
            json!({ "timeout": HELD.as_secs(), "limit": self.limit, "allowed_updates": self.bot.allowed });
        if let Some(offset) = self.offset {
            parameters["offset"] = Value::from(offset);
        }
        let method = Method::new("getUpdates").expect("letters only");
        self.bot.call(&method, &parameters)
    }

    /// Journals the updates in their order, and moves the offset behind those that are on the disk. Gives the call that each of
    /// them asks for, and the failure that keeps the others with Telegram.
    async fn keep(&mut self, updates: &[Update]) -> (Vec<Option<Outgoing>>, Result<(), Trouble>) {
        let mut calls = Vec::new();
        let mut left = updates;
        while !left.is_empty() {
            let is_small = |update: &&Update| update.raw.len() < APART;
            let small = left.iter().take(GROUP).take_while(is_small).count();
            let (group, rest) = left.split_at(small.max(1));
            // A call is begun when it is polled first, and this polls them in their order.
            let appended = join_all(group.iter().map(|update| self.append(update))).await;
            for (update, appended) in group.iter().zip(appended) {
                match appended {
                    Ok(call) => calls.push(call),
                    // Those behind it may be in the journal: they come again, and their claims are known.
                    Err(error) => return (calls, Err(error.into())),
                }
                if let Some(id) = update.id {
                    self.offset = Some(self.offset.unwrap_or(i64::MIN).max(id.saturating_add(1)));
                    self.moved_at = Instant::now();
                }
            }
            left = rest;
        }
        (calls, Ok(()))
    }

    /// The receipt that a webhook would have brought; returns when the journal has it on the disk.
    async fn append(&self, update: &Update) -> Result<Option<Outgoing>, JournalError> {
        let now = clock::now();
        let request = Request {
            method: "POST".to_owned(),
            target: format!("/in/{}", self.channel.id()),
            headers: vec![("content-type".to_owned(), b"application/json".to_vec())],
            body: update.raw.clone(),
        };
        let receipt = Receipt {
            id: ReceiptId(clock::uuid7(now)),
            channel: self.channel.id().clone(),
            endpoint: "main".to_owned(),
            received_at: now,
            remote: None,
            draw: clock::random(),
            request,
        };
        let reply = self.channel.engine.respond(&receipt, &self.channel.settings);
        self.journal.append(Verified::brought(receipt, self.bot.transport())).await?;
        Ok(call_of_reply(&reply.body).map(|(method, parameters)| self.bot.call(&method, &parameters)))
    }

    /// As with the reply to a webhook, nobody learns what became of it.
    async fn call(&self, calls: Vec<Outgoing>) {
        let calls = calls.into_iter().map(|call| self.http.send(call));
        let _ = timeout(CALLS, join_all(calls)).await;
    }

    fn succeeded(&mut self, taken: usize) {
        self.metrics.polled(self.channel.id().as_str(), taken as u64, clock::now().as_second());
        self.failures = 0;
        if !std::mem::take(&mut self.told).is_empty() {
            tracing::info!(channel.id = %self.channel.id(), "the bot gives its updates again");
        }
    }

    /// Said once, when it begins, and again when the reason is another. The counter goes on, and the gauge of the last
    /// success stands still.
    fn failed(&mut self, trouble: &Trouble) {
        self.metrics.poll_failed(self.channel.id().as_str());
        if matches!(trouble, Trouble::Journal(_)) {
            self.metrics.refused_full.inc();
        }
        self.failures = self.failures.saturating_add(1);
        let reason = trouble.to_string();
        if reason != self.told {
            let channel = self.channel.id();
            tracing::error!(channel.id = %channel, %reason, hint = trouble.hint(channel), "the bot gives no updates");
            self.told = reason;
        }
    }
}
