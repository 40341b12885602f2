//! What is done beside the messages: timers, signs of life, what others left behind.

use std::time::Duration;

use jiff::Timestamp;
use redis::Value;

use super::{
    RedisStore,
    answer::{list, number, odd, text},
    lanes::nanos,
    layout::{PARTITIONS, millis, of_senders},
    link::{Command, Reach},
};
use crate::store::{SenderKey, StoreError, Turn};

/// Between two looks of a gateway that waits to be known.
const PROBATION: Duration = Duration::from_millis(200);
/// For the server's disk, in milliseconds: `everysec` needs a second.
const DISK: u64 = 3000;

impl RedisStore {
    /// Takes places in the lanes, gives a sign of life and sees those of the others, who are there or not.
    pub(super) async fn take_places(&self, turns: &[Turn], at: Timestamp) -> Result<bool, StoreError> {
        // Places first: the sign says that they are taken.
        let places = self.lanes().take(turns);
        self.work.run(places, self.reach()).await?;
        self.give_a_sign(at).await?;
        while self.lanes().is_on_probation() {
            tokio::time::sleep(PROBATION).await;
            self.give_a_sign(at).await?;
        }
        // Whoever was alone until this look has no places yet.
        let places = self.lanes().take(turns);
        self.work.run(places, self.reach()).await?;
        Ok(self.lanes().is_shared())
    }

    /// Leaves the lanes.
    pub(super) async fn leave_places(&self, turns: &[Turn]) -> Result<(), StoreError> {
        let commands = self.lanes().leaving(turns);
        self.work.run(commands, Reach::Master).await?;
        // Forgotten only now: a place that still stands would hold up the sender.
        self.lanes().forget(turns);
        Ok(())
    }

    async fn give_a_sign(&self, at: Timestamp) -> Result<(), StoreError> {
        let sign = self.lanes().sign(nanos(at));
        let signs = self.work.run(sign, Reach::Master).await?;
        let clearing = {
            let mut lanes = self.lanes();
            let gone = lanes.see(signs.get(1).unwrap_or(&Value::Nil));
            for gateway in &gone {
                tracing::warn!(gateway, "another gateway gives no sign of life: it is not waited for");
            }
            lanes.clearing(&gone)
        };
        self.work.run(clearing, Reach::Master).await.map(drop)
    }

    /// Senders whose deadline has passed, from all partitions.
    pub(super) async fn senders_with_a_deadline(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<SenderKey>, StoreError> {
        let mut commands = self.striking_out();
        let skipped = commands.len();
        commands.extend((0..PARTITIONS).map(|partition| {
            let key = of_senders(partition, "deadlines");
            let mut range = redis::cmd("ZRANGEBYSCORE");
            range.arg(&key).arg("-inf").arg(millis(now)).arg("WITHSCORES").arg("LIMIT").arg(0).arg(limit);
            Command::new(&key, range)
        }));
        let found = self.work.run(commands, Reach::Master).await?;
        let mut due = Vec::new();
        for pairs in found.into_iter().skip(skipped) {
            for pair in list(pairs).chunks_exact(2) {
                let sender = text(&pair[0]).and_then(|bytes| bytes.try_into().ok());
                let (Some(sender), Some(at)) = (sender, number(&pair[1])) else { return Err(odd("a deadline")) };
                due.push((at, SenderKey(sender)));
            }
        }
        due.sort_unstable();
        Ok(due.into_iter().take(limit).map(|(_, sender)| sender).collect())
    }

    /// Does what a gateway wrote down a while ago and did not do.
    pub(super) async fn finish_abandoned(&self, now: Timestamp) -> Result<(), StoreError> {
        let commands = (0..PARTITIONS).map(|partition| {
            let key = of_senders(partition, "pending");
            let mut length = redis::cmd("HLEN");
            length.arg(&key);
            Command::new(&key, length)
        });
        let lengths = self.api.run(commands.collect(), Reach::Master).await?;
        for (partition, length) in (0..PARTITIONS).zip(lengths) {
            if number(&length).unwrap_or(0) == 0 {
                continue;
            }
            let abandoned = self.abandoned(partition, now).await?;
            if !abandoned.is_empty() {
                tracing::info!(steps = abandoned.len(), partition, "finishing what a gateway began");
                self.step_two(abandoned).await?;
            }
        }
        Ok(())
    }

    /// With `reply_after = "queue"`: what was written before is on the server's disk, where it can be asked.
    pub(super) async fn wait_for_disk(&self) -> Result<(), StoreError> {
        if !self.waits_for_disk {
            return Ok(());
        }
        let facts = self.work.facts().await?;
        if !facts.has_waitaof || !facts.has_aof {
            return Ok(());
        }
        let mut wait = redis::cmd("WAITAOF");
        wait.arg(1).arg(0).arg(DISK);
        for answer in self.work.run_everywhere(wait).await? {
            if list(answer).first().and_then(number).unwrap_or(0) < 1 {
                return Err(StoreError::Away("the server's disk has not confirmed the write".to_owned()));
            }
        }
        Ok(())
    }

    /// A server that is read-only, out of memory or unable to save answers a read as if all were well: so it is a write.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let mut set = redis::cmd("SET");
        set.arg("loket:probe").arg("1").arg("PX").arg(60_000);
        self.api.run_one("loket:probe", set, Reach::Master).await.map(drop)
    }
}
