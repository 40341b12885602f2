//! The store: claims, drafts, queues, outbox, vault and tracking index, behind one trait.
//!
//! What comes in are [`Transition`]s: all that one message changes, made by the pure stages. The store applies each
//! once, whatever repeats it, and hands out deliveries to the core and answers to the outbox. It decides nothing else.
//!
//! A transition has two steps. Step 1, where the sender lives: claim the message, compare-and-set the sender's draft,
//! append to the outbox, write the vault and the index. Step 2, where the queue lives: append the events, unless their
//! ids were appended before. A claim is *leased* by its receipt in step 1 and *done* after step 2, so that a failure in
//! between is repeated by the same receipt and never remembered as a success. An implementation that can do both in
//! one atomic write (the embedded one) does so.
//!
//! Applied is not yet durable: the journal's mark waits for [`Store::confirm`].

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    complaint::{Event, TrackingId},
    message::{Choice, DeliveryStatus, Enclosure},
    receipt::{ChannelId, ReceiptId},
};

pub mod answers;
pub mod embedded;
pub mod redis;
mod rules;

/// SHA-256 of channel and conversation key, cut to 16 bytes: no address stands in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SenderKey(pub [u8; 16]);

/// SHA-256 of channel and claim (`complaint-format.md` §5.1), cut to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimKey(pub [u8; 16]);

/// What the gateway remembers of one sender on one channel: the open draft, the last complaints, the last answers.
/// The bytes are the pipeline's; the store only compares the version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderState {
    pub value: Vec<u8>,
    /// When a timer has to look at it (a draft or an assembly that waits). None: never.
    pub deadline: Option<Timestamp>,
}

/// A sender's state with its version; version 0 is "never written".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versioned {
    pub version: u64,
    pub state: SenderState,
}

/// An event on its way to a queue.
#[derive(Clone, Debug)]
pub struct QueuedEvent {
    pub queue: String,
    pub priority: u8,
    pub event: Event,
}

/// The address of a reporter, sealed or plain as the vault decides; the store never looks inside.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultEntry {
    /// `rp_…`
    pub reporter_ref: String,
    pub sealed: Vec<u8>,
}

impl std::fmt::Debug for VaultEntry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "VaultEntry({}, {} bytes)", self.reporter_ref, self.sealed.len())
    }
}

/// The claim on a nonce: held by whatever came with this body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceClaim {
    pub key: ClaimKey,
    /// Hash of the raw body.
    pub body: [u8; 16],
    pub until: Timestamp,
}

/// The place of a message in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub sender: SenderKey,
    pub receipt: ReceiptId,
    /// In its receipt.
    pub place: u16,
    /// When it arrived, as finely as the clock tells: a citizen's next message may come in the same millisecond.
    pub arrived_at: Timestamp,
}

/// All that one message changes. Applied once per claim, whatever repeats it.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The place of its message in the order of arrival, if a message caused it.
    pub turn: Option<Turn>,
    /// Who does it: a claim that the same receipt holds is no duplicate but a repetition of ours. Its id tells when it
    /// arrived, and claims of others that were over by then count as absent.
    pub receipt: ReceiptId,
    /// What was reserved for its message, whether it became a complaint or not.
    pub reserved: Option<(TrackingId, Uuid)>,
    /// The claims of all parts; none for what no message caused (a timer).
    pub claims: Vec<ClaimKey>,
    /// The nonce of the receipt, claimed with the hash of the body it came with.
    pub nonce: Option<NonceClaim>,
    /// Claims are forgotten after this; 30 days or longer.
    pub claims_until: Timestamp,
    pub sender: SenderKey,
    /// The version of the sender's state that the stages saw.
    pub expected: u64,
    /// The state to write, which raises the version by one; None leaves state and version as they are.
    pub state: Option<SenderState>,
    /// Appended unless an event with the id was appended before. The id of an event is made from the claims, so that a
    /// store that applies all in one write needs to ask only where there are none.
    pub events: Vec<QueuedEvent>,
    pub outbox: Vec<OutboxEntry>,
    pub vault: Option<VaultEntry>,
    /// The store keeps `leased_at`, `acked_at` and `status` of a record itself, and does not read them here.
    pub record: Option<ComplaintRecord>,
}

/// What a message asks of the store before the stages run over it.
#[derive(Clone, Debug)]
pub struct Opening {
    pub receipt: ReceiptId,
    pub sender: SenderKey,
    pub nonce: Option<NonceClaim>,
    /// The tracking id and the complaint that it shall name, should the message become one.
    pub draw: Option<(TrackingId, Uuid)>,
}

/// What the stages may build on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    pub sender: Versioned,
    /// The message goes no further: `Repeated`, `NonceReused` or `TrackingIdTaken`. A store that can tell only when all is
    /// settled leaves it to [`Store::settle`].
    pub settled: Option<Settled>,
}

/// What became of a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Applied now.
    Applied,
    /// The same receipt had it applied before: nothing was changed.
    Repeated,
    /// Another receipt holds one of the claims: nothing was changed.
    Duplicate { first: ReceiptId },
    /// The nonce was used before with another body: a forgery. Nothing was changed.
    NonceReused,
    /// The sender's state has moved on: read it again and repeat the stages.
    Conflict,
    /// The record's tracking id names another complaint: draw another. Nothing was changed.
    TrackingIdTaken,
    /// Another gateway has a message of this sender that arrived before: try again soon. Nothing was changed.
    NotYet,
}

/// What the core gets of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub delivery_id: String,
    /// From 1; 0 in a peek at what was never leased.
    pub attempt: u32,
    /// The event in structured mode, JSON.
    #[serde(with = "raw_json")]
    pub event: String,
}

/// An event that was given up on, or rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub delivery_id: String,
    pub reason: String,
    pub attempts: u32,
    pub dead_at: Timestamp,
    #[serde(with = "raw_json")]
    pub event: String,
}

/// JSON text that is already serialised, embedded as it is.
mod raw_json {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};
    use serde_json::value::RawValue;

    pub fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(text).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| raw.get().to_owned())
    }
}

/// The state of one queue, as `GET /v1/queues` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    pub name: String,
    /// Waiting, not leased.
    pub depth: u64,
    /// Leased and neither acknowledged nor returned.
    pub in_flight: u64,
    pub dead: u64,
    /// Age of the oldest entry that waits; 0 when none does.
    pub oldest_seconds: u64,
}

/// Why an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxKind {
    /// On our own initiative: the tracking id, or a hint. Counted against the channel's cap.
    Acknowledgement,
    /// Words of the core or an agency.
    Reply,
    /// No answer but a file that is to be fetched (`media`): it waits, is leased and is tried again like one, on a list of
    /// its own that no channel sends from.
    Fetch,
}

/// An answer to a citizen that waits to be sent, or was.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// The idempotency key towards the provider; a second entry with the same id is not added.
    pub id: String,
    pub kind: OutboxKind,
    pub channel: ChannelId,
    /// Where the address lies in the vault.
    pub reporter_ref: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint_id: Option<Uuid>,
    pub text: String,
    /// BCP 47.
    pub language: String,
    /// Tries so far.
    #[serde(default)]
    pub attempts: u32,
    /// Not before.
    pub due: Timestamp,
    pub created: Timestamp,
    /// The provider's id, once it accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DeliveryStatus>,
    /// The last failure, in words for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Of an answer by mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<LetterHead>,
    /// What the citizen may choose from, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// It asks where something is: a channel that can do so asks for the position itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks_location: bool,
    /// A question alone: it is of no use when a later answer was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fleeting: bool,
    /// Files that leave behind the words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enclosures: Vec<Enclosure>,
    /// Which parts of it the provider took in tries that failed behind them.
    #[serde(default, skip_serializing_if = "Progress::is_none")]
    pub progress: Progress,
}

impl OutboxEntry {
    /// One that says nothing yet, to nobody: due now, and never tried.
    pub fn new(id: String, kind: OutboxKind, channel: ChannelId, now: Timestamp) -> Self {
        Self {
            id,
            kind,
            channel,
            reporter_ref: String::new(),
            complaint_id: None,
            text: String::new(),
            language: "und".to_owned(),
            attempts: 0,
            due: now,
            created: now,
            external_id: None,
            status: None,
            failure: None,
            head: None,
            choices: Vec::new(),
            asks_location: false,
            fleeting: false,
            enclosures: Vec::new(),
            progress: Progress::default(),
        }
    }
}

/// How far an answer of several parts has come: its words, cut to what the provider takes, then its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Pieces of the words that were taken, and a hash of all of them: cut otherwise, they are said again.
    pub texts: u16,
    #[serde(default)]
    pub cut: u64,
    pub files: u16,
}

impl Progress {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Was anything taken that had not been before?
    pub fn is_beyond(self, before: Self) -> bool {
        let texts_before = if self.cut == before.cut { before.texts } else { 0 };
        self.texts > texts_before || self.files > before.files
    }
}

/// What an answer by mail has besides its words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterHead {
    pub subject: String,
    /// Message-ID of the letter that is answered: a citizen's, or the one that acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
}

impl std::fmt::Debug for LetterHead {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("LetterHead(***)")
    }
}

/// A citizen's address did not take an answer of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeliverable {
    pub at: Timestamp,
    /// Status and words of the server that refused it, without addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl std::fmt::Debug for OutboxEntry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "OutboxEntry({}, {:?}, attempt {})", self.id, self.kind, self.attempts)
    }
}

/// What became of one try to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider took it; `external_id` is what its delivery reports will name.
    Sent { external_id: Option<String> },
    /// Again at this time. `unknown`: the request left and no answer came, so it may have been sent. `progress`: how far the
    /// answer has come, with this try.
    Retry { at: Timestamp, failure: String, unknown: bool, progress: Progress },
    /// Again at this time, for a failure of ours: it counts as no try.
    Wait { at: Timestamp, failure: String },
    /// Never again.
    Dead { failure: String },
}

/// One change of a complaint's state, as the core reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub at: Timestamp,
}

/// The tracking index's entry: enough to answer, to follow up and to prove receipt; no words and no address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComplaintRecord {
    pub complaint_id: Uuid,
    pub tracking_id: TrackingId,
    pub channel: ChannelId,
    pub reporter_ref: String,
    pub queue: String,
    pub event_id: String,
    /// BCP 47, of the answers.
    pub language: String,
    pub receipts: Vec<ReceiptId>,
    pub received_at: Timestamp,
    pub enqueued_at: Timestamp,
    /// First lease to the core, and its acknowledgement. The store sets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked_at: Option<Timestamp>,
    /// False: short code, letters, or a channel that cannot answer.
    pub replyable: bool,
    /// Number of follow-ups so far.
    #[serde(default)]
    pub sequence: u32,
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<StatusChange>,
}

/// How the store answers when it cannot do its work. Each variant is a decision of the caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Repeat later: the journal keeps what is not settled.
    #[error("the store is away: {0}")]
    Away(String),
    /// A person has to look: the data contradict themselves or the server is set up wrongly.
    #[error("the store refuses: {0}")]
    Broken(String),
}

impl StoreError {
    /// Would a retry help?
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

/// How often an event is delivered before it is poison, and how long things are remembered.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Deliveries before an event goes to the dead letters.
    pub max_attempts: u32,
}

/// Everything that is shared and must outlive a process. Times are arguments; no implementation reads a clock.
///
/// All methods are idempotent, or say what makes a repetition harmless.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Notes, in the order of arrival, which messages will be settled next, and that everything replied to before `through`
    /// has been noted. A store that several gateways share keeps the messages of one sender in this order. Called with no
    /// messages when there are none, at least every half second. True when other gateways are there, who wait for it.
    async fn line_up(&self, _turns: &[Turn], _through: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// These messages are settled, or were given up on: nothing waits for them any more.
    async fn leave(&self, _turns: &[Turn]) -> Result<(), StoreError> {
        Ok(())
    }

    /// How many groups of senders are worth working on side by side. More than one for a store that answers from elsewhere: the
    /// stages run over one group while the store works on another.
    fn groups(&self) -> usize {
        1
    }

    /// This gateway settles nothing more: others need not wait for it.
    async fn depart(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Step 0: the state of each message's sender, `Versioned::default()` for one never seen. What stands outside the
    /// sender's slot, nonces and tracking ids, is reserved for a while, so that `settle` needs to look at nothing else.
    async fn begin(&self, openings: &[Opening]) -> Result<Vec<Begun>, StoreError>;

    /// Steps 1 and 2: applies each transition once, in order; the answers are in the same order. A claim is one of its
    /// sender: two senders with the same claim are two messages. An error says that none, some or all
    /// were applied: repeat the whole call.
    async fn settle(&self, transitions: Vec<Transition>) -> Result<Vec<Settled>, StoreError>;

    /// Returns when everything applied before the call would survive a crash as well as the deployment can promise.
    async fn confirm(&self) -> Result<(), StoreError>;

    /// Senders whose deadline has passed, oldest first, at most `limit`.
    async fn due_senders(&self, now: Timestamp, limit: usize) -> Result<Vec<SenderKey>, StoreError>;

    /// Leases up to `max` entries, oldest first, until `now` and `visibility`. An entry whose lease ran out is handed out
    /// again with `attempt` raised; beyond the limit it goes to the dead letters.
    async fn lease(
        &self,
        queue: &str,
        max: usize,
        visibility: jiff::SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Takes leased entries off the queue, durably before it returns; how many were still leased under these ids. Here and
    /// below a lease that ran out counts until the entry is handed out again: late work is better than work done twice.
    async fn ack(&self, queue: &str, delivery_ids: &[String], now: Timestamp) -> Result<usize, StoreError>;

    /// Gives leased entries back: again after `delay`, or to the dead letters with `reason` when the attempts are used up.
    async fn nack(
        &self,
        queue: &str,
        delivery_ids: &[String],
        reason: &str,
        delay: jiff::SignedDuration,
        now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// Extends leases to `now` and `visibility`; how many were still leased.
    async fn extend(
        &self,
        queue: &str,
        delivery_ids: &[String],
        visibility: jiff::SignedDuration,
        now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// Every queue that was ever written to.
    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueStats>, StoreError>;

    /// Entries of a queue (waiting or leased) behind `after`, oldest first, without leasing them.
    async fn peek(&self, queue: &str, after: Option<&str>, max: usize) -> Result<Vec<Delivery>, StoreError>;

    async fn dead(&self, queue: &str, after: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// Puts dead letters back at the end of the queue, with no attempts counted; all of them when `delivery_ids` is empty.
    async fn requeue(&self, queue: &str, delivery_ids: &[String], now: Timestamp) -> Result<usize, StoreError>;

    /// Adds an answer, durably; false when its id is known already.
    async fn outbox_add(&self, entry: OutboxEntry) -> Result<bool, StoreError>;

    /// Answers whose time has come, oldest first, hidden from other gateways until `now` and `lease`.
    async fn outbox_due(
        &self,
        channel: &ChannelId,
        max: usize,
        lease: jiff::SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<OutboxEntry>, StoreError>;

    /// When the next answer of the channel will be shown; None when none waits. May be too early, never too late: a store
    /// that cannot tell says that it is now.
    async fn outbox_next(&self, _channel: &ChannelId) -> Result<Option<Timestamp>, StoreError> {
        Ok(Some(Timestamp::MIN))
    }

    /// Records a try, durably. What was sent stays sent. An id that is not known (any more) changes nothing.
    async fn outbox_tried(
        &self,
        channel: &ChannelId,
        id: &str,
        outcome: SendOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// One answer, sent or not.
    async fn outbox_entry(&self, channel: &ChannelId, id: &str) -> Result<Option<OutboxEntry>, StoreError>;

    /// Answers that were given up on, newest first.
    async fn outbox_dead(&self, max: usize) -> Result<Vec<OutboxEntry>, StoreError>;

    /// Joins a delivery report to the answer with this external id. False when the id is not known (yet): the report is
    /// parked for ten minutes and joined when the id appears.
    async fn delivery_report(
        &self,
        channel: &ChannelId,
        external_id: &str,
        status: DeliveryStatus,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Takes one from a budget (acknowledgements of a channel and a day, say); false when `limit` is used up.
    async fn spend(&self, budget: &str, limit: u64, until: Timestamp, now: Timestamp) -> Result<bool, StoreError>;

    async fn vault(&self, reporter_ref: &str) -> Result<Option<Vec<u8>>, StoreError>;

    async fn complaint(&self, complaint_id: Uuid) -> Result<Option<ComplaintRecord>, StoreError>;

    async fn complaint_by_tracking_id(&self, tracking_id: &TrackingId) -> Result<Option<ComplaintRecord>, StoreError>;

    /// Appends a status, durably, unless it is the last one already; false when there is no such complaint.
    async fn add_status(&self, complaint_id: Uuid, change: StatusChange) -> Result<bool, StoreError>;

    /// The value under `name`, which is `proposal` if nobody wrote one before (keys that all gateways share).
    async fn constant(&self, name: &str, proposal: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// How far something outside was read (a mailbox, a provider's list); None when nobody has read it yet.
    async fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Notes how far it was read, durably. Whoever reads holds a lease; one who lost it may set the cursor back, which
    /// costs nothing but reading again.
    async fn set_cursor(&self, name: &str, value: &[u8]) -> Result<(), StoreError>;

    /// The last bounce of an answer on this complaint.
    async fn undeliverable(&self, complaint_id: Uuid) -> Result<Option<Undeliverable>, StoreError> {
        let value = self.cursor(&format!("undeliverable:{complaint_id}")).await?;
        // What cannot be read was written by a version that is not there yet.
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Notes a bounce, durably.
    async fn set_undeliverable(&self, complaint_id: Uuid, bounce: &Undeliverable) -> Result<(), StoreError> {
        let value = serde_json::to_vec(bounce).map_err(|error| StoreError::Broken(error.to_string()))?;
        self.set_cursor(&format!("undeliverable:{complaint_id}"), &value).await
    }

    /// Takes or renews the lease `name` for `owner` until `now` and `ttl`; false while somebody else holds it.
    async fn hold(
        &self,
        name: &str,
        owner: &str,
        ttl: jiff::SignedDuration,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Housekeeping, called every few seconds by each gateway: finishes what a gateway that is gone began, and forgets what
    /// was acknowledged before `keep_from`.
    async fn tend(&self, _now: Timestamp, _keep_from: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    /// Can it be written to? For `/readyz`.
    async fn ping(&self) -> Result<(), StoreError>;
}
