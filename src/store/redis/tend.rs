//! What is done beside the messages: timers, signs of life, what others left behind.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    RedisStore,
    answer::{list, number, odd, text},
    lanes::nanos,
    layout::{PARTITIONS, millis, of_senders},
    link::{Command, Confirm},
};
use crate::store::{SenderKey, StoreError, Turn};

/// Between two looks of a gateway that waits to be known.
const PROBATION: Duration = Duration::from_millis(200);
/// The most looks before messages go on: as long as a gateway may be on probation.
const MOST_LOOKS: u32 = 40;

impl RedisStore {
    /// Takes places in the lanes, gives a sign of life and sees those of the others, who are there or not.
    pub(super) async fn take_places(&self, turns: &[Turn], at: Timestamp) -> Result<bool, StoreError> {
        let _alone = self.lining_up.lock().await;
        self.lanes().note(turns);
        if !turns.is_empty() && self.lanes().is_alone() {
            return Ok(false);
        }
        // Whoever was alone until this look has no places yet, and one that was taken for gone has lost them: then once more.
        for _ in 0..MOST_LOOKS {
            let places = self.lanes().take();
            if !places.is_empty() {
                self.work.run(places, Confirm::Yes).await?;
                self.lanes().taken();
            }
            self.give_a_sign(at).await?;
            let is_on_probation = self.lanes().is_on_probation();
            if is_on_probation {
                tokio::time::sleep(PROBATION).await;
            } else if self.lanes().take().is_empty() {
                break;
            }
        }
        Ok(self.lanes().is_shared())
    }

    /// Leaves the lanes.
    pub(super) async fn leave_places(&self, turns: &[Turn]) -> Result<(), StoreError> {
        let commands = self.lanes().leaving(turns);
        self.work.run(commands, Confirm::No).await?;
        // Forgotten only now: a place that still stands would hold up the sender.
        self.lanes().forget(turns);
        Ok(())
    }

    async fn give_a_sign(&self, at: Timestamp) -> Result<(), StoreError> {
        let sign = self.lanes().sign(nanos(at));
        let answers = self.work.run(sign, Confirm::No).await?;
        let [is_new, signs] = &answers[..] else { return Err(odd("a sign of life")) };
        self.lanes().see(is_new, signs);
        let (ids, clearing) = self.lanes().clearing();
        self.work.run(clearing, Confirm::No).await?;
        self.lanes().cleared(&ids);
        Ok(())
    }

    /// Senders whose deadline has passed, from all partitions.
    pub(super) async fn senders_with_a_deadline(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<SenderKey>, StoreError> {
        let commands = (0..PARTITIONS).map(|partition| {
            let key = of_senders(partition, "deadlines");
            let mut range = redis::cmd("ZRANGEBYSCORE");
            range.arg(&key).arg("-inf").arg(millis(now)).arg("WITHSCORES").arg("LIMIT").arg(0).arg(limit);
            Command::new(&key, range)
        });
        let found = self.strike_out_and(commands.collect(), Confirm::No).await?;
        let mut due = Vec::new();
        for pairs in found {
            for pair in list(pairs).chunks_exact(2) {
                let sender = text(&pair[0]).and_then(|bytes| bytes.try_into().ok());
                let (Some(sender), Some(at)) = (sender, number(&pair[1])) else { return Err(odd("a deadline")) };
                due.push((at, SenderKey(sender)));
            }
        }
        due.sort_unstable();
        Ok(due.into_iter().take(limit).map(|(_, sender)| sender).collect())
    }

    /// Does what a gateway wrote down a while ago and did not do. What cannot be done now does not keep the rest.
    pub(super) async fn finish_abandoned(&self, now: Timestamp) -> Result<(), StoreError> {
        let commands = (0..PARTITIONS).map(|partition| {
            let key = of_senders(partition, "pending");
            let mut length = redis::cmd("HLEN");
            length.arg(&key);
            Command::new(&key, length)
        });
        let lengths = self.api.run(commands.collect(), Confirm::No).await?;
        for (partition, length) in (0..PARTITIONS).zip(lengths) {
            if number(&length).unwrap_or(0) == 0 {
                continue;
            }
            for step in self.abandoned(partition, now).await? {
                tracing::info!(partition, "finishing what a gateway began");
                if let Err(error) = self.step_two(vec![step]).await {
                    tracing::warn!(%error, partition, "what a gateway began cannot be finished yet");
                }
            }
        }
        Ok(())
    }

    /// A server that is read-only, out of memory or unable to save answers a read as if all were well: so it is a write.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let mut set = redis::cmd("SET");
        set.arg("loket:probe").arg("1").arg("PX").arg(60_000);
        self.api.run_one("loket:probe", set, Confirm::No).await.map(drop)
    }
}
