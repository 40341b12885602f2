//! The scripts, each an atomic step whose keys share a slot.

use std::sync::LazyLock;

use redis::{Cmd, Script as Source};

/// One script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Script {
    Settle,
    Append,
    Lease,
    Ack,
    Nack,
    Extend,
    Stats,
    Peek,
    Requeue,
    Tend,
    OutboxAdd,
    OutboxDue,
    OutboxPut,
    OutboxPark,
    Status,
    Longest,
    Spend,
    Hold,
    LineUp,
    ClearLanes,
    GiveBack,
}

/// Those of a queue share functions, which stand before each.
macro_rules! of_queue {
    ($file:literal) => {
        concat!(include_str!("lua/entries.lua"), include_str!($file))
    };
}

/// In the order of [`Script`].
const SOURCES: [&str; 21] = [
    include_str!("lua/settle.lua"),
    include_str!("lua/append.lua"),
    of_queue!("lua/lease.lua"),
    of_queue!("lua/ack.lua"),
    of_queue!("lua/nack.lua"),
    of_queue!("lua/extend.lua"),
    of_queue!("lua/stats.lua"),
    of_queue!("lua/peek.lua"),
    of_queue!("lua/requeue.lua"),
    of_queue!("lua/tend.lua"),
    include_str!("lua/outbox_add.lua"),
    include_str!("lua/outbox_due.lua"),
    include_str!("lua/outbox_put.lua"),
    include_str!("lua/outbox_park.lua"),
    include_str!("lua/status.lua"),
    include_str!("lua/longest.lua"),
    include_str!("lua/spend.lua"),
    include_str!("lua/hold.lua"),
    include_str!("lua/line_up.lua"),
    include_str!("lua/clear_lanes.lua"),
    include_str!("lua/give_back.lua"),
];

static HASHES: LazyLock<Vec<String>> =
    LazyLock::new(|| SOURCES.iter().map(|source| Source::new(source).get_hash().to_owned()).collect());

/// Loads all scripts into a server.
pub fn loading() -> impl Iterator<Item = Cmd> {
    SOURCES.iter().map(|source| {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(*source);
        command
    })
}

impl Script {
    /// A call with its keys; arguments are added by the caller.
    pub fn call<K: AsRef<str>>(self, keys: &[K]) -> Cmd {
        let mut command = Cmd::with_capacity(24, 1024);
        command.arg("EVALSHA").arg(&HASHES[self as usize]).arg(keys.len());
        for key in keys {
            command.arg(key.as_ref());
        }
        command
    }
}
