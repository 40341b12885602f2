//! Reads a queue of Loket and prints each event as one line of JSON.
//!
//! ```sh
//! cargo add redis serde_json jiff signal-hook
//! REDIS_URL=redis://dinas-pu:secret@127.0.0.1:6379 QUEUE=dinas-pu CONSUMER=core-1 cargo run -- [--once]
//! ```
//!
//! `--once` works off what is there and ends. SIGTERM ends it after the event in hand. The rules: `docs/consumers.md`.

// A program of its own, not part of the gateway: it may ask for the time and the environment itself.
#![allow(clippy::disallowed_methods)]

use std::{
    collections::HashMap,
    env,
    error::Error,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use redis::{
    Commands, Connection, RedisResult, Value, from_redis_value_ref,
    streams::{
        StreamAutoClaimOptions, StreamAutoClaimReply, StreamId, StreamPendingCountReply, StreamReadOptions,
        StreamReadReply,
    },
};
use serde_json::{Value as Json, json};

const GROUP: &str = "core";
const MAX_DELIVERIES: usize = 5;
const BATCH: usize = 10;
const BLOCK: Duration = Duration::from_secs(5);
/// At least the longest lease or delay asked for over HTTP: with less we would take what is being worked on.
const ABANDONED: Duration = Duration::from_mins(10);
const LOOK_FOR_ABANDONED: Duration = Duration::from_mins(1);

/// Your work. An event can come twice: store (`ce_source`, `ce_id`) under a unique key, together with the work.
fn handle(event: &HashMap<String, Value>) -> Result<(), Box<dyn Error>> {
    let field = |name: &str| -> Result<String, Box<dyn Error>> {
        Ok(from_redis_value_ref(event.get(name).ok_or_else(|| format!("{name} is missing"))?)?)
    };
    let data: Json = serde_json::from_str(&field("data")?)?;
    println!(
        "{}",
        json!({"id": field("ce_id")?, "type": field("ce_type")?, "subject": field("ce_subject")?, "data": data})
    );
    Ok(())
}

struct Consumer {
    events: String,
    dead: String,
    name: String,
    once: bool,
    failures: u32,
    stop: Arc<AtomicBool>,
}

impl Consumer {
    fn run(&mut self, redis: &mut Connection) -> RedisResult<()> {
        self.redeliver_own(redis)?;
        let mut look_at = Instant::now();
        while !self.stopping() {
            if Instant::now() >= look_at {
                self.redeliver_abandoned(redis)?;
                look_at = Instant::now() + LOOK_FOR_ABANDONED;
            }
            let batch = self.read(redis, ">", BATCH, !self.once)?;
            self.failures = 0;
            if self.once && batch.is_empty() {
                break;
            }
            for entry in batch {
                if self.stopping() {
                    break; // The rest stays pending and comes first after the restart.
                }
                self.settle(redis, &entry, 1)?;
            }
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn read(&self, redis: &mut Connection, after: &str, count: usize, wait: bool) -> RedisResult<Vec<StreamId>> {
        let mut options = StreamReadOptions::default().group(GROUP, &self.name).count(count);
        if wait {
            options = options.block(BLOCK.as_millis() as usize);
        }
        let reply: Option<StreamReadReply> = redis.xread_options(&[&self.events], &[after], &options)?;
        Ok(reply.and_then(|mut reply| reply.keys.pop()).map(|stream| stream.ids).unwrap_or_default())
    }

    // Both redeliver one by one: to read is to count a delivery, and only the event in hand shall be counted.
    fn redeliver_own(&self, redis: &mut Connection) -> RedisResult<()> {
        let mut after = "0".to_owned();
        while !self.stopping() {
            let Some(entry) = self.read(redis, &after, 1, false)?.pop() else { break };
            self.redeliver(redis, &entry)?;
            after = entry.id;
        }
        Ok(())
    }

    fn redeliver_abandoned(&self, redis: &mut Connection) -> RedisResult<()> {
        let mut start = "-".to_owned();
        while !self.stopping() && start != "0-0" {
            let one = StreamAutoClaimOptions::default().count(1);
            let idle = ABANDONED.as_millis() as usize;
            let claimed: StreamAutoClaimReply =
                redis.xautoclaim_options(&self.events, GROUP, &self.name, idle, &start, one)?;
            for entry in &claimed.claimed {
                self.redeliver(redis, entry)?;
            }
            start = claimed.next_stream_id;
        }
        Ok(())
    }

    fn redeliver(&self, redis: &mut Connection, entry: &StreamId) -> RedisResult<()> {
        let pending: StreamPendingCountReply = redis.xpending_count(&self.events, GROUP, &entry.id, &entry.id, 1)?;
        pending.ids.first().map_or(Ok(()), |pending| self.settle(redis, entry, pending.times_delivered))
    }

    fn settle(&self, redis: &mut Connection, entry: &StreamId, attempts: usize) -> RedisResult<()> {
        let result = if attempts > MAX_DELIVERIES {
            Err(format!("delivered {MAX_DELIVERIES} times, and the consumer ended each time").into())
        } else if entry.map.is_empty() {
            Ok(()) // An entry that was deleted while pending has no fields left.
        } else {
            handle(&entry.map)
        };
        if let Err(error) = result {
            eprintln!("entry {}: delivery {attempts} failed", entry.id);
            if attempts < MAX_DELIVERIES {
                return Ok(()); // It stays pending, and comes again after `ABANDONED` or a restart.
            }
            let mut dead = redis::cmd("XADD");
            dead.arg(&self.dead).arg("*");
            for (field, value) in &entry.map {
                dead.arg(field).arg(from_redis_value_ref::<Vec<u8>>(value)?);
            }
            let reason: String = error.to_string().chars().take(500).collect();
            dead.arg("reason").arg(reason).arg("attempts").arg(attempts);
            dead.arg("dead_at").arg(jiff::Timestamp::now().to_string()).exec(redis)?;
        }
        redis.xack(&self.events, GROUP, &[&entry.id])
    }
}

fn connect(url: &str) -> RedisResult<Connection> {
    let redis = redis::Client::open(url)?.get_connection_with_timeout(Duration::from_secs(5))?;
    redis.set_read_timeout(Some(BLOCK + Duration::from_secs(5)))?; // Longer than BLOCK.
    redis.set_write_timeout(Some(Duration::from_secs(5)))?;
    Ok(redis)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let once = env::args().nth(1).as_deref() == Some("--once");
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(queue), Some(name), true) =
        (variable("QUEUE"), variable("CONSUMER"), env::args().len() == 1 + usize::from(once))
    else {
        eprintln!("usage: [REDIS_URL=…] QUEUE=… CONSUMER=… consumer [--once]");
        return Ok(ExitCode::from(2));
    };
    let url = variable("REDIS_URL").unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let (events, dead) = (format!("loket:{{q:{queue}}}:events"), format!("loket:{{q:{queue}}}:dead"));
    let mut consumer = Consumer { events, dead, name, once, failures: 0, stop };
    while !consumer.stopping() {
        // A connection that failed is never used again: an answer may have been lost with it, so we begin again with
        // what is pending.
        let Err(error) = connect(&url).and_then(|mut redis| consumer.run(&mut redis)) else { break };
        if consumer.stopping() {
            break; // The signal ended the blocking read.
        }
        eprintln!("redis: {error}");
        if once {
            return Ok(ExitCode::FAILURE);
        }
        let again = Instant::now() + Duration::from_secs(1 << consumer.failures.min(5)).min(Duration::from_secs(30));
        while !consumer.stopping() && Instant::now() < again {
            sleep(Duration::from_millis(100));
        }
        consumer.failures += 1;
    }
    Ok(ExitCode::SUCCESS)
}
