//! Lanes: messages of one sender keep their order over all gateways (G5).
//!
//! Each gateway tells the others, under its id, how far it has read its journal: *everything that I replied to before this
//! time stands in its lane*. A lane is what waits of one sender, in order of arrival. Step 1 of a message is done when
//! every other gateway has come as far as its arrival and nothing of another gateway stands before it in its lane; until then
//! it is `NotYet`. A place is left when step 2 is done. Whoever has read least is never held up by the others, so that somebody always goes on. A gateway that shows no
//! sign of life is not waited for, and its places are taken away; it takes them again when it is back. A message that has
//! waited for [`PATIENCE`] goes on out of turn: order is worth a wait, and not a standstill.
//!
//! With one gateway there is nobody to wait for and nothing of this is asked of the server but a sign of life.
//!
//! Times of two gateways are compared, so that the order is as good as their clocks agree (NTP: milliseconds). Whether one
//! is alive is judged by the reader's own clock alone, from signs that change.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use redis::Value;

use super::{
    answer::string,
    layout::{PARTITIONS, of_senders, partition},
    link::Command,
    script::Script,
};
use crate::{
    receipt::ReceiptId,
    store::{Transition, Turn},
};

/// Where gateways give their signs of life.
const GATEWAYS: &str = "loket:gateways";
/// Two looks closer together count as one.
const LOOK: Duration = Duration::from_millis(400);
/// A gateway whose sign has not changed for so many looks is gone.
const GONE_AFTER: u32 = 8;
/// A gateway that starts beside others waits until they have seen it.
const PROBATION: Duration = Duration::from_secs(2);
/// As long as a gateway may be held up by others.
const PATIENCE: Duration = Duration::from_secs(10);

/// The id of a gateway: random, and the same after a restart.
pub type GatewayId = [u8; 8];

/// A place in a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Sender, order, gateway.
    pub place: Vec<u8>,
    /// Does it wait for those before it?
    pub waits: bool,
}

/// What is known of another gateway.
#[derive(Debug)]
struct Other {
    sign: String,
    /// Everything that it replied to before this time, in nanoseconds, stands in its lane. 0: it does not know of us yet.
    through: i64,
    /// Looks in which its sign was the same.
    same: u32,
    /// It has been seen to change its sign.
    has_lived: bool,
}

impl Other {
    fn is_alive(&self) -> bool {
        self.has_lived && self.same < GONE_AFTER
    }

    /// Nobody can say yet whether it is.
    fn is_undecided(&self) -> bool {
        !self.has_lived && self.same < GONE_AFTER
    }
}

#[derive(Debug)]
struct Place {
    bytes: Vec<u8>,
    arrival: i64,
    since: Instant,
}

/// The gateway's view of the lanes.
#[derive(Debug)]
pub struct Lanes {
    id: GatewayId,
    beat: u64,
    begun: Instant,
    last_look: Option<Instant>,
    others: HashMap<String, Other>,
    /// Grows with each place, so that places of one gateway are in the order of its journal.
    order: u64,
    places: HashMap<(ReceiptId, u16), Place>,
    /// Own places of before a restart are taken away.
    is_clean: bool,
}

fn hex(id: GatewayId) -> String {
    crate::complaint::hex(&id)
}

impl Lanes {
    pub fn new(id: GatewayId) -> Self {
        Self {
            id,
            beat: 0,
            begun: Instant::now(),
            last_look: None,
            others: HashMap::new(),
            order: 0,
            places: HashMap::new(),
            is_clean: false,
        }
    }

    /// Is another gateway alive?
    pub fn is_shared(&self) -> bool {
        self.others.values().any(Other::is_alive)
    }

    /// May messages go on? Not before those gateways that are there know of this one.
    pub fn is_on_probation(&self) -> bool {
        let others = || self.others.values();
        let is_young = self.begun.elapsed() < PROBATION;
        others().any(Other::is_undecided) || (is_young && others().any(Other::is_alive))
    }

    /// Gives a sign of life that says how far the journal is read, and looks at those of the others.
    pub fn sign(&mut self, through: i64) -> Vec<Command> {
        self.beat += 1;
        let through = if self.is_shared() { through } else { 0 };
        let mut set = redis::cmd("HSET");
        set.arg(GATEWAYS).arg(hex(self.id)).arg(format!("{through}:{}", self.beat));
        let mut all = redis::cmd("HGETALL");
        all.arg(GATEWAYS);
        vec![Command::new(GATEWAYS, set), Command::new(GATEWAYS, all)]
    }

    /// The signs of all gateways. Returns the ids of those that are gone since.
    pub fn see(&mut self, signs: &Value) -> Vec<String> {
        let counts = self.last_look.is_none_or(|last| last.elapsed() >= LOOK);
        if counts {
            self.last_look = Some(Instant::now());
        }
        let Value::Array(values) = signs else { return Vec::new() };
        let own = hex(self.id);
        let mut gone = Vec::new();
        for pair in values.chunks_exact(2) {
            let (Some(id), Some(sign)) = (string(&pair[0]), string(&pair[1])) else { continue };
            if id == own {
                continue;
            }
            let through = sign.split_once(':').and_then(|(through, _)| through.parse().ok()).unwrap_or(0);
            let other = self.others.entry(id.clone()).or_insert_with(|| Other {
                sign: sign.clone(),
                through,
                same: 0,
                has_lived: false,
            });
            if other.sign != sign {
                other.sign.clone_from(&sign);
                (other.through, other.same, other.has_lived) = (through, 0, true);
            } else if counts {
                other.same = other.same.saturating_add(1);
                if other.same == GONE_AFTER {
                    gone.push(id);
                }
            }
        }
        gone
    }

    /// Takes places for messages, in the order given; nothing when no other gateway is there.
    pub fn take(&mut self, turns: &[Turn]) -> Vec<Command> {
        if !self.is_shared() {
            return Vec::new();
        }
        let mut of_partition: HashMap<u8, Vec<Vec<u8>>> = HashMap::new();
        for turn in turns {
            let key = (turn.receipt, turn.place);
            if self.places.contains_key(&key) {
                continue;
            }
            let arrival = nanos(turn.arrived_at);
            self.order = (self.order + 1).max(arrival.unsigned_abs());
            let mut bytes = turn.sender.0.to_vec();
            bytes.extend_from_slice(&self.order.to_be_bytes());
            bytes.extend_from_slice(&self.id);
            of_partition.entry(partition(turn.sender)).or_default().push(bytes.clone());
            self.places.insert(key, Place { bytes, arrival, since: Instant::now() });
        }
        let taking = |(partition, places): (u8, Vec<Vec<u8>>)| {
            let key = of_senders(partition, "lanes");
            let mut command = Script::LineUp.call(&[&key]);
            for place in places {
                command.arg(place);
            }
            Command::new(&key, command)
        };
        of_partition.into_iter().map(taking).collect()
    }

    /// The place of a transition's message. An error says that it has to wait in any case.
    pub fn place(&self, transition: &Transition) -> Result<Option<Lane>, NotYet> {
        let Some(turn) = transition.turn else { return Ok(None) };
        let Some(place) = self.places.get(&(turn.receipt, turn.place)) else { return Ok(None) };
        let is_patient = place.since.elapsed() < PATIENCE;
        let is_behind = |other: &Other| other.is_alive() && other.through < place.arrival;
        if is_patient && self.others.values().any(is_behind) {
            return Err(NotYet);
        }
        Ok(Some(Lane { place: place.bytes.clone(), waits: is_patient }))
    }

    /// Takes away the places of messages, as far as they may still stand.
    pub fn leaving(&self, turns: &[Turn]) -> Vec<Command> {
        let leave = |turn: &Turn| {
            let place = self.places.get(&(turn.receipt, turn.place))?;
            let key = of_senders(partition(turn.sender), "lanes");
            let mut remove = redis::cmd("ZREM");
            remove.arg(&key).arg(&place.bytes);
            Some(Command::new(&key, remove))
        };
        turns.iter().filter_map(leave).collect()
    }

    /// Forgets the places of messages.
    pub fn forget(&mut self, turns: &[Turn]) {
        for turn in turns {
            self.places.remove(&(turn.receipt, turn.place));
        }
    }

    /// Takes away what a gateway left in the lanes: another one that is gone, or this one before its restart.
    pub fn clearing(&mut self, gone: &[String]) -> Vec<Command> {
        let mut ids: Vec<Vec<u8>> = gone.iter().filter_map(|id| unhex(id)).collect();
        if !self.is_clean {
            ids.push(self.id.to_vec());
            self.is_clean = true;
        }
        if ids.is_empty() {
            return Vec::new();
        }
        let clear = |partition| {
            let key = of_senders(partition, "lanes");
            let mut command = Script::ClearLanes.call(&[&key]);
            for id in &ids {
                command.arg(id);
            }
            Command::new(&key, command)
        };
        (0..PARTITIONS).map(clear).collect()
    }
}

/// Another gateway has not read as far as this message's arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYet;

fn unhex(text: &str) -> Option<Vec<u8>> {
    (text.len() == 16 && text.is_ascii())
        .then(|| (0..8).map(|place| u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).ok()).collect())?
}

/// Nanoseconds since 1970, until the year 2262.
pub fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond().max(0)).unwrap_or(i64::MAX)
}
