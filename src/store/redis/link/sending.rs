//! How commands go out: one pipeline to a server, one for each slot of a cluster, each with what it has to reach.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, Slot, SlotAddr},
};
use tokio::time::timeout;

use super::{Command, Link, Reach, Wire, each, too_late};
use crate::store::redis::answer::number;

/// For replicas to confirm, in milliseconds. A replica that is in step does so at once.
const CONFIRMING: u64 = 1000;
/// For the server's disk, in milliseconds: `everysec` needs a second.
const DISK: u64 = 3000;

impl Link {
    pub(super) async fn send(&self, wire: Wire, commands: Vec<Command>, reach: Reach) -> RedisResult<Vec<Value>> {
        match wire {
            Wire::Server(mut server) => {
                let commands = commands.into_iter().map(|command| command.command);
                let (pipeline, count) = pipeline(commands, reach);
                let values = self.in_time(server.send_packed_commands(&pipeline, 0, count)).await?;
                checked(values, reach)
            }
            Wire::Cluster(cluster) => self.send_to_slots(&cluster, commands, reach).await,
        }
    }

    /// A pipeline belongs to one slot, and those of all slots run side by side.
    async fn send_to_slots(
        &self,
        cluster: &ClusterConnection,
        commands: Vec<Command>,
        reach: Reach,
    ) -> RedisResult<Vec<Value>> {
        let total = commands.len();
        let mut slots: Vec<(Slot, Vec<usize>, Vec<Cmd>)> = Vec::new();
        let mut known = HashMap::new();
        for (place, Command { slot, command }) in commands.into_iter().enumerate() {
            let at = *known.entry(slot).or_insert_with(|| {
                slots.push((slot, Vec::new(), Vec::new()));
                slots.len() - 1
            });
            slots[at].1.push(place);
            slots[at].2.push(command);
        }
        let answers = join_all(slots.into_iter().map(async |(slot, places, commands)| {
            let (pipeline, count) = pipeline(commands.into_iter(), reach);
            let route = SingleNodeRoutingInfo::SpecificNode(Route::with_slot(slot, SlotAddr::Master));
            let mut cluster = cluster.clone();
            let values = self.in_time(cluster.route_pipeline(pipeline, 0, count, route)).await?;
            checked(values, reach).map(|values| (places, values))
        }))
        .await;
        let mut ordered = BTreeMap::new();
        for answer in answers {
            let (places, values) = answer?;
            ordered.extend(places.into_iter().zip(values));
        }
        if ordered.len() == total {
            return Ok(ordered.into_values().collect());
        }
        Err(RedisError::from((ErrorKind::Client, "a node left commands without an answer")))
    }

    async fn in_time<T>(&self, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        // The library has a time-out for each answer; this one is for all of a pipeline.
        let patience = self.access.response_timeout * 2;
        timeout(patience, work).await.unwrap_or_else(|_| Err(too_late()))
    }
}

pub(super) fn pipeline(commands: impl Iterator<Item = Cmd>, reach: Reach) -> (Pipeline, usize) {
    let mut pipeline = Pipeline::new();
    let mut count = 0;
    for command in commands {
        pipeline.add_command(command);
        count += 1;
    }
    if reach.replicas > 0 {
        let mut wait = redis::cmd("WAIT");
        wait.arg(reach.replicas).arg(CONFIRMING);
        pipeline.add_command(wait);
        count += 1;
    }
    if reach.disk {
        let mut wait = redis::cmd("WAITAOF");
        wait.arg(1).arg(0).arg(DISK);
        pipeline.add_command(wait);
        count += 1;
    }
    (pipeline, count)
}

/// The answers, if none is an error and enough replicas have confirmed.
pub(super) fn checked(mut values: Vec<Value>, reach: Reach) -> RedisResult<Vec<Value>> {
    if let Some(Value::ServerError(error)) = values.iter().find(|value| matches!(value, Value::ServerError(_))) {
        return Err(error.clone().into());
    }
    if reach.disk && values.pop().is_none_or(|answer| each(answer).first().and_then(number).unwrap_or(0) < 1) {
        return Err(RedisError::from((ErrorKind::Client, "the server's disk has not confirmed the write")));
    }
    if reach.replicas > 0 {
        let confirmed = values.pop().as_ref().and_then(number).unwrap_or(0);
        if confirmed < i64::from(reach.replicas) {
            return Err(RedisError::from((
                ErrorKind::Client,
                "too few replicas have confirmed the write",
                format!("{confirmed} of {}", reach.replicas),
            )));
        }
    }
    Ok(values)
}
