//! The connection to Redis: made again when it is lost or points to the wrong server, never in a hurry.
//!
//! A failed command is never repeated here: whether it was done is not known. Callers repeat whole steps, which are
//! idempotent.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use redis::{
    Cmd, RedisError, RedisResult, TlsCertificates, Value, aio::MultiplexedConnection, cluster_async::ClusterConnection,
    cluster_routing::Slot,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    checks::{self, Facts, Unfit},
    deployment::{Credentials, Deployment, Kind},
};
use crate::store::StoreError;

mod connecting;
mod sending;

/// To connect, with everything that is asked then.
const CONNECTING: Duration = Duration::from_secs(3);
/// First and longest pause between two tries to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What to connect to, and how.
#[derive(Clone, Debug)]
pub struct Access {
    pub deployment: Deployment,
    /// Of the Sentinels, where it is not that of the servers.
    pub sentinel: Credentials,
    pub certificates: Option<TlsCertificates>,
    /// The longest that a server may take to answer.
    pub response_timeout: Duration,
    /// Replicas that have to confirm a write; None: one, where the deployment has any.
    pub replicas: Option<u32>,
}

/// A command with the key that tells its slot.
#[derive(Clone, Debug)]
pub struct Command {
    pub slot: Slot,
    pub command: Cmd,
}

impl Command {
    pub fn new(key: &str, command: Cmd) -> Self {
        Self { slot: Slot::for_key(key), command }
    }
}

/// What a write has to reach before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// The master's memory, and its disk as `appendfsync` says. For reads, and for what may be lost.
    No,
    /// A replica, too, where the deployment has any.
    Yes,
    /// And the master's disk, where it can be asked.
    Disk,
}

/// [`Confirm`] as far as the deployment can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    replicas: u32,
    disk: bool,
}

const NOWHERE: Reach = Reach { replicas: 0, disk: false };

#[derive(Clone)]
enum Wire {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

#[derive(Default)]
struct State {
    wire: Option<Wire>,
    /// Raised with each connection.
    generation: u64,
    /// No try before; with the reason of the last failure.
    pause: Option<(Instant, Duration, String)>,
    /// What the deployment said of itself when it was connected to last.
    facts: Option<Facts>,
    /// Why it may not be used, if that is why it is not.
    unfit: Option<Unfit>,
}

/// Why there is no connection.
#[derive(Debug)]
enum Unconnected {
    Error(RedisError),
    Unfit(Unfit),
}

impl From<RedisError> for Unconnected {
    fn from(error: RedisError) -> Self {
        Self::Error(error)
    }
}

impl std::fmt::Display for Unconnected {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(error) => error.fmt(out),
            Self::Unfit(unfit) => unfit.fmt(out),
        }
    }
}

/// One connection, shared by all who call.
pub struct Link {
    access: Access,
    state: Mutex<State>,
    /// A connection was made since somebody last asked.
    is_new: AtomicBool,
    /// How many replicas have to confirm a write.
    replicas: AtomicU32,
    /// The servers can be asked whether their disks have a write.
    has_disk: AtomicBool,
    /// How often something was asked: a pipeline is one.
    round_trips: AtomicU64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Link({})", self.access.deployment)
    }
}

impl Link {
    pub fn new(access: Access) -> Self {
        Self {
            access,
            state: Mutex::default(),
            is_new: AtomicBool::new(false),
            replicas: AtomicU32::new(0),
            has_disk: AtomicBool::new(false),
            round_trips: AtomicU64::new(0),
        }
    }

    /// Connects if need be; what the deployment says of itself, or why it may not be used.
    pub async fn facts(&self) -> Result<Facts, StoreError> {
        let connected = self.wire().await;
        let state = self.state.lock().await;
        match (connected, &state.unfit, &state.facts) {
            (Err(_), Some(unfit), _) => Err(StoreError::Broken(unfit.to_string())),
            (Err(error), None, _) => Err(error),
            (Ok(_), _, facts) => Ok(facts.clone().unwrap_or_default()),
        }
    }

    /// Was a connection made since the last call? Then what was known of the server's memory may not be true any more.
    pub fn was_made_anew(&self) -> bool {
        self.is_new.swap(false, Ordering::Relaxed)
    }

    /// Round trips so far.
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    fn reach(&self, confirm: Confirm) -> Reach {
        if confirm == Confirm::No {
            return Reach { replicas: 0, disk: false };
        }
        let disk = confirm == Confirm::Disk && self.has_disk.load(Ordering::Relaxed);
        Reach { replicas: self.replicas.load(Ordering::Relaxed), disk }
    }

    /// A Sentinel or a cluster that started with the gateway may not have known its replicas yet.
    pub async fn look_for_replicas(&self) {
        let is_single = self.access.deployment.kind == Kind::Single;
        if is_single || self.replicas.load(Ordering::Relaxed) > 0 || self.access.replicas.is_some() {
            return;
        }
        let state = self.state.lock().await;
        let (wire, generation) = (state.wire.clone(), state.generation);
        drop(state);
        let found = match wire {
            Some(Wire::Cluster(mut cluster)) => {
                let nodes: RedisResult<String> = cluster_nodes().query_async(&mut cluster).await;
                nodes.map_or(0, |nodes| checks::cluster_replicas(&nodes))
            }
            // The Sentinels are asked when a connection is made.
            Some(Wire::Server(_)) => return self.drop_wire(generation).await,
            None => 0,
        };
        self.replicas.fetch_max(found, Ordering::Relaxed);
    }

    /// Sends all commands in one go (in a cluster in one go for each slot) and returns the answers in their order. With
    /// `confirm` it is an error when too few replicas, or not the disk, have confirmed.
    pub async fn run(&self, commands: Vec<Command>, confirm: Confirm) -> Result<Vec<Value>, StoreError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let (generation, wire) = self.wire().await?;
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        match self.send(wire, commands, self.reach(confirm)).await {
            Ok(values) => Ok(values),
            Err(error) => {
                if !is_about_the_moment(&error) {
                    self.drop_wire(generation).await;
                }
                Err(StoreError::Away(format!("{}: {error}", self.access.deployment)))
            }
        }
    }

    /// Sends commands, and others behind them. One server does them in their order, in one round trip; of several nodes those
    /// of the second kind are asked when all of the first kind have answered.
    pub async fn run_in_turn(
        &self,
        mut first: Vec<Command>,
        then: Vec<Command>,
        confirm: Confirm,
    ) -> Result<(), StoreError> {
        if self.access.deployment.kind == Kind::Cluster {
            self.run(first, confirm).await?;
            return self.run(then, confirm).await.map(drop);
        }
        first.extend(then);
        self.run(first, confirm).await.map(drop)
    }

    /// One command; its answer.
    pub async fn run_one(&self, key: &str, command: Cmd, confirm: Confirm) -> Result<Value, StoreError> {
        let mut values = self.run(vec![Command::new(key, command)], confirm).await?;
        values.pop().ok_or_else(|| StoreError::Away("the server did not answer".to_owned()))
    }

    async fn wire(&self) -> Result<(u64, Wire), StoreError> {
        let mut state = self.state.lock().await;
        if let Some(wire) = &state.wire {
            return Ok((state.generation, wire.clone()));
        }
        if let Some((until, _, reason)) = &state.pause
            && Instant::now() < *until
        {
            return Err(StoreError::Away(reason.clone()));
        }
        match timeout(CONNECTING, self.connect()).await.unwrap_or_else(|_| Err(too_late().into())) {
            Ok((wire, facts)) => {
                state.generation += 1;
                state.wire = Some(wire.clone());
                (state.pause, state.unfit) = (None, None);
                let before = state.facts.take();
                // Once there were replicas, a master without one is a master whose replica is away.
                let replicas = before.as_ref().map_or(0, |facts| facts.replicas).max(facts.replicas);
                let facts = Facts { replicas, ..facts };
                self.replicas.store(self.access.replicas.unwrap_or(replicas), Ordering::Relaxed);
                self.has_disk.store(facts.has_waitaof && facts.has_aof, Ordering::Relaxed);
                state.facts = Some(facts);
                self.is_new.store(true, Ordering::Relaxed);
                Ok((state.generation, wire))
            }
            Err(error) => {
                let before = state.pause.as_ref().map_or(FIRST_PAUSE, |(_, pause, _)| (*pause * 2).min(LONGEST_PAUSE));
                let reason = match &error {
                    Unconnected::Error(error) => format!("{} cannot be reached: {error}", self.access.deployment),
                    Unconnected::Unfit(unfit) => format!("{} is not used: {unfit}", self.access.deployment),
                };
                state.unfit = match error {
                    Unconnected::Unfit(unfit) => Some(unfit),
                    Unconnected::Error(_) => None,
                };
                state.pause = Some((Instant::now() + before, before, reason.clone()));
                Err(StoreError::Away(reason))
            }
        }
    }

    async fn drop_wire(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.wire = None;
        }
    }
}

fn cluster_nodes() -> Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg("NODES");
    command
}

/// The answers of all nodes, or the parts of one.
fn each(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        Value::Map(pairs) => pairs.into_iter().map(|(_, value)| value).collect(),
        value => vec![value],
    }
}

fn too_late() -> RedisError {
    RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))
}

/// Is the server the right one and well, and only this command or this moment is not? Everything else asks for a new
/// connection: lost, a replica (READONLY), a server without our scripts, or a Sentinel deployment whose master is alone.
fn is_about_the_moment(error: &RedisError) -> bool {
    matches!(
        error.code(),
        Some("OOM" | "MISCONF" | "BUSY" | "NOREPLICAS" | "CLUSTERDOWN" | "TRYAGAIN" | "LOADING" | "NOPERM")
    )
}

fn first_text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Array(values) => match values.first()? {
            Value::BulkString(text) => Some(text),
            Value::SimpleString(text) => Some(text.as_bytes()),
            _ => None,
        },
        _ => None,
    }
}
