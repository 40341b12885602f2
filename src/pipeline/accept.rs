//! The first half: verified, journalled, replied to. Nothing here waits for the store, for DNS or for a provider.

use std::{net::IpAddr, sync::PoisonError, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::Pipeline;
use crate::{
    adapter::webhook::Answer,
    channel::Channel,
    clock,
    journal::JournalError,
    receipt::{Receipt, ReceiptId, Request},
    signature::{Circumstances, Refusal, Verified, verify},
    telemetry::Outcome,
};

/// A request at a channel's door, read whole.
#[derive(Debug)]
pub struct Incoming {
    pub endpoint: String,
    /// The peer after trusted proxies.
    pub remote: Option<IpAddr>,
    pub received_at: Timestamp,
    pub request: Request,
}

/// What the provider is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `[respond]` of the manifest, or a handshake's answer: the receipt is durable, or there was none.
    Answer(Answer),
    /// 401 with the one constant body.
    Refused,
    /// 503: come again. The text is for operators and goes to the log.
    Later,
}

/// With `reply_after = "queue"` the reply waits this long for the store and then takes the journal's word.
const QUEUE_PATIENCE: Duration = Duration::from_millis(500);

impl Pipeline {
    /// Verifies, journals and says what to reply.
    pub async fn accept(&self, channel: &Channel, incoming: Incoming) -> Reply {
        let now = clock::now();
        let circumstances = Circumstances {
            public_url: &self.public_url,
            now,
            nonces: Some(&self.nonces),
            client_subject: None,
            remote_keys: None,
        };
        if let Some(reply) = self.handshake(channel, &incoming, &circumstances) {
            return reply;
        }
        let receipt = Receipt {
            id: ReceiptId(clock::uuid7(incoming.received_at)),
            channel: channel.id.clone(),
            endpoint: incoming.endpoint,
            received_at: incoming.received_at,
            remote: incoming.remote,
            draw: clock::random(),
            request: incoming.request,
        };
        // The answer is rendered before the receipt is handed on: it depends on the request alone.
        let answer = channel.manifest.webhook.respond(&receipt, &channel.settings);
        match verify(receipt, &channel.policy, channel.mode, &circumstances) {
            Ok(verified) => self.journal_and_reply(channel, verified, answer, now).await,
            Err(refusal) => self.refuse(channel, &refusal),
        }
    }

    fn handshake(&self, channel: &Channel, incoming: &Incoming, circumstances: &Circumstances<'_>) -> Option<Reply> {
        let handshake = channel.manifest.webhook.handshake(incoming, &channel.settings)?;
        if handshake.signed
            && let Err(refusal) = channel.policy.check(&incoming.request, incoming.remote, circumstances)
        {
            return Some(self.refuse(channel, &refusal));
        }
        Some(Reply::Answer(handshake.answer))
    }

    /// One path for every cause: a counter, a line for the operator, and nothing that tells the sender which it was.
    fn refuse(&self, channel: &Channel, refusal: &Refusal) -> Reply {
        info!(channel.id = %channel.id, detail = refusal.detail, "a request was refused");
        if refusal.retry {
            return Reply::Later;
        }
        self.metrics.book(channel.id.as_str(), Outcome::refused, 1);
        Reply::Refused
    }

    async fn journal_and_reply(&self, channel: &Channel, verified: Verified, answer: Answer, now: Timestamp) -> Reply {
        let nonce = verified.verdict().nonce.clone();
        let id = verified.receipt().id;
        let settled = self.facts.reply_after_queue.then(|| self.wait_for(id));
        match self.journal.append(verified).await {
            Ok(_) => {}
            Err(error) => {
                self.forget(id);
                return self.refuse_full(channel, &error);
            }
        }
        if let Some(nonce) = nonce {
            self.nonces.remember(&nonce, now);
        }
        self.metrics.last_message(channel.id.as_str(), now.as_second());
        if let Some(settled) = settled
            && tokio::time::timeout(QUEUE_PATIENCE, settled).await.is_err()
        {
            self.forget(id);
            debug!(channel.id = %channel.id, receipt.id = %id, "the store takes long; the journal's word has to do");
        }
        Reply::Answer(answer)
    }

    /// G7: a journal that is full or failing refuses before anything is accepted.
    fn refuse_full(&self, channel: &Channel, error: &JournalError) -> Reply {
        self.metrics.refused_full.inc();
        warn!(channel.id = %channel.id, %error, "a request could not be accepted and was told to come again");
        Reply::Later
    }

    fn wait_for(&self, id: ReceiptId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        receiver
    }

    fn forget(&self, id: ReceiptId) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Tells a waiting reply that its receipt is settled.
    pub(super) fn settled(&self, id: ReceiptId) {
        if self.facts.reply_after_queue
            && let Some(sender) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
        {
            // The reply may have stopped waiting.
            let _ = sender.send(());
        }
    }
}

/// The raw parts of a request as the server read them.
impl Incoming {
    pub fn new(endpoint: &str, remote: Option<IpAddr>, request: Request) -> Self {
        Self { endpoint: endpoint.to_owned(), remote, received_at: clock::now(), request }
    }

    /// A request without headers, for handshakes in tests.
    pub fn bare(method: &str, target: &str) -> Self {
        let request =
            Request { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Bytes::new() };
        Self { endpoint: "main".to_owned(), remote: None, received_at: Timestamp::UNIX_EPOCH, request }
    }
}
