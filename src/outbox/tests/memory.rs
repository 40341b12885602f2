//! A store in memory, as far as the outbox calls it.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::locked;
use crate::{
    complaint::TrackingId,
    message::DeliveryStatus,
    receipt::ChannelId,
    store::{
        Begun, ComplaintRecord, DeadLetter, Delivery, Opening, OutboxEntry, QueueStats, SendOutcome, SenderKey,
        Settled, StatusChange, Store, StoreError, Transition, VaultEntry, answers,
    },
};

#[derive(Default)]
struct State {
    /// Entries that wait, with the end of their lease.
    waiting: BTreeMap<String, (OutboxEntry, Timestamp)>,
    outcomes: Vec<(String, SendOutcome)>,
    vault: BTreeMap<String, Vec<u8>>,
    spent: BTreeMap<String, u64>,
    /// Records that fail before one succeeds.
    failing: u32,
    is_away: bool,
    looks: u32,
}

#[derive(Default)]
pub(super) struct Memory(Mutex<State>);

impl Memory {
    pub fn add(&self, entry: OutboxEntry) {
        locked(&self.0).waiting.insert(entry.id.clone(), (entry, Timestamp::UNIX_EPOCH));
    }

    pub fn keep(&self, entry: VaultEntry) {
        locked(&self.0).vault.insert(entry.reporter_ref, entry.sealed);
    }

    pub fn entry(&self, id: &str) -> OutboxEntry {
        locked(&self.0).waiting[id].0.clone()
    }

    pub fn last_outcome(&self, id: &str) -> SendOutcome {
        let state = locked(&self.0);
        let last = state.outcomes.iter().rev().find(|(tried, _)| tried == id);
        last.map(|(_, outcome)| outcome.clone()).expect("a try was recorded")
    }

    /// Entries that were sent or given up.
    pub fn settled(&self) -> usize {
        let is_settled =
            |outcome: &SendOutcome| !matches!(outcome, SendOutcome::Retry { .. } | SendOutcome::Wait { .. });
        locked(&self.0).outcomes.iter().filter(|(_, outcome)| is_settled(outcome)).count()
    }

    pub fn budgets(&self) -> Vec<String> {
        locked(&self.0).spent.keys().cloned().collect()
    }

    pub fn fail_records(&self, times: u32) {
        locked(&self.0).failing = times;
    }

    /// What is due cannot be read from now on.
    pub fn go_away(&self) {
        locked(&self.0).is_away = true;
    }

    /// How often the outbox asked what is due.
    pub fn looks(&self) -> u32 {
        locked(&self.0).looks
    }
}

#[async_trait]
impl Store for Memory {
    async fn outbox_due(
        &self,
        channel: &ChannelId,
        max: usize,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut state = locked(&self.0);
        state.looks += 1;
        if state.is_away {
            return Err(StoreError::Away("for a while".to_owned()));
        }
        let mut due: Vec<_> = state
            .waiting
            .values_mut()
            .filter(|(entry, hidden)| entry.channel == *channel && entry.due <= now && *hidden <= now)
            .collect();
        due.sort_by_key(|(entry, _)| (entry.due, entry.id.clone()));
        let take = |(entry, hidden): &mut (OutboxEntry, Timestamp)| {
            *hidden = now + lease;
            entry.clone()
        };
        Ok(due.into_iter().take(max).map(take).collect())
    }

    async fn outbox_tried(
        &self,
        _: &ChannelId,
        id: &str,
        outcome: SendOutcome,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = locked(&self.0);
        if state.failing > 0 {
            state.failing -= 1;
            return Err(StoreError::Away("for a moment".to_owned()));
        }
        if let Some((entry, hidden)) = state.waiting.get_mut(id) {
            answers::tried(entry, &outcome);
            // What is settled stays for the test to look at, and is never due again.
            entry.due = match &outcome {
                SendOutcome::Retry { at, .. } | SendOutcome::Wait { at, .. } => *at,
                SendOutcome::Sent { .. } | SendOutcome::Dead { .. } => Timestamp::MAX,
            };
            *hidden = Timestamp::UNIX_EPOCH;
        }
        state.outcomes.push((id.to_owned(), outcome));
        Ok(())
    }

    async fn spend(&self, budget: &str, limit: u64, _: Timestamp, _: Timestamp) -> Result<bool, StoreError> {
        let mut state = locked(&self.0);
        let spent = state.spent.entry(budget.to_owned()).or_default();
        let is_left = *spent < limit;
        *spent += u64::from(is_left);
        Ok(is_left)
    }

    async fn vault(&self, reporter_ref: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(locked(&self.0).vault.get(reporter_ref).cloned())
    }

    async fn begin(&self, _: &[Opening]) -> Result<Vec<Begun>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn settle(&self, _: Vec<Transition>) -> Result<Vec<Settled>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn confirm(&self) -> Result<(), StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn due_senders(&self, _: Timestamp, _: usize) -> Result<Vec<SenderKey>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn lease(&self, _: &str, _: usize, _: SignedDuration, _: Timestamp) -> Result<Vec<Delivery>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn ack(&self, _: &str, _: &[String], _: Timestamp) -> Result<usize, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn nack(&self, _: &str, _: &[String], _: &str, _: SignedDuration, _: Timestamp) -> Result<usize, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn extend(&self, _: &str, _: &[String], _: SignedDuration, _: Timestamp) -> Result<usize, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn queues(&self, _: Timestamp) -> Result<Vec<QueueStats>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn peek(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Delivery>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn dead(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<DeadLetter>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn requeue(&self, _: &str, _: &[String], _: Timestamp) -> Result<usize, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn outbox_add(&self, _: OutboxEntry) -> Result<bool, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn outbox_entry(&self, _: &ChannelId, _: &str) -> Result<Option<OutboxEntry>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn outbox_dead(&self, _: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn delivery_report(
        &self,
        _: &ChannelId,
        _: &str,
        _: DeliveryStatus,
        _: Option<&str>,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn complaint(&self, _: Uuid) -> Result<Option<ComplaintRecord>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn complaint_by_tracking_id(&self, _: &TrackingId) -> Result<Option<ComplaintRecord>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn add_status(&self, _: Uuid, _: StatusChange) -> Result<bool, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn constant(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn cursor(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn set_cursor(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        unreachable!("the outbox does not call it")
    }
    async fn hold(&self, _: &str, _: &str, _: SignedDuration, _: Timestamp) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn ping(&self) -> Result<(), StoreError> {
        unreachable!("the outbox does not call it")
    }
}
