//! Lanes: messages of one sender keep their order over all gateways (G5).
//!
//! Each gateway tells the others, under its id, how far it has read its journal: *everything that I replied to before this
//! time stands in its lane*. A lane is what waits of one sender, in order of arrival. Step 1 of a message is done when
//! every other gateway has come as far as its arrival and nothing of another gateway stands before it in its lane; until then
//! it is `NotYet`. A place is left when step 2 is done. Whoever has read least is never held up by the others, so that
//! somebody always goes on. A gateway that shows no sign of life is not waited for, and its places are taken away; it takes
//! them again when it is back. A message that has waited for [`PATIENCE`] goes on out of turn: order is worth a wait, and not
//! a standstill.
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
/// Whoever saw nobody else so recently asks for nothing: signs are given twice a second.
const RECENT: Duration = Duration::from_secs(1);
/// A gateway whose sign has not changed for so many looks is gone: 12 seconds, longer than it takes one to reconnect.
const GONE_AFTER: u32 = 30;
/// A sign that is found at the start and does not change for so many looks is of a gateway that was gone before.
const LEFT_OVER_AFTER: u32 = 8;
/// A gateway that starts beside others waits until they have seen it.
const PROBATION: Duration = Duration::from_secs(2);
/// A message goes on out of turn after so many rounds of waiting, of 2 to 50 ms each. An outage of the server is none.
const PATIENCE: u32 = 400;

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
    /// Looks in which it came no further. One that is alive and stuck is not waited for either.
    still: u32,
    /// It has been seen to change its sign.
    has_lived: bool,
}

impl Other {
    fn is_alive(&self) -> bool {
        self.has_lived && self.same < GONE_AFTER
    }

    /// Nobody can say yet whether it is.
    fn is_undecided(&self) -> bool {
        !self.has_lived && self.same < LEFT_OVER_AFTER
    }

    fn is_waited_for(&self) -> bool {
        self.is_alive() && self.still < GONE_AFTER
    }
}

#[derive(Debug)]
struct Place {
    partition: u8,
    bytes: Vec<u8>,
    arrival: i64,
    /// It was asked for, and stands on the server.
    is_asked: bool,
    is_taken: bool,
    /// Rounds in which its message had to wait.
    waited: u32,
}

impl Place {
    fn leaving(&self) -> Command {
        let key = of_senders(self.partition, "lanes");
        let mut remove = redis::cmd("ZREM");
        remove.arg(&key).arg(&self.bytes);
        Command::new(&key, remove)
    }
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
    /// Gateways whose places are still to be cleared: those that are gone, and this one before its restart.
    to_clear: Vec<String>,
    /// A sign was given before.
    has_signed: bool,
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
            to_clear: vec![hex(id)],
            has_signed: false,
        }
    }

    /// Is another gateway alive?
    pub fn is_shared(&self) -> bool {
        self.others.values().any(Other::is_alive)
    }

    /// Nobody else was there a moment ago, so that nothing has to be asked for each batch.
    pub fn is_alone(&self) -> bool {
        self.has_signed
            && self.to_clear.is_empty()
            && self.others.is_empty()
            && self.last_look.is_some_and(|last| last.elapsed() < RECENT)
    }

    /// May messages go on? Not before those gateways that are there know of this one.
    pub fn is_on_probation(&self) -> bool {
        let others = || self.others.values();
        let is_young = self.begun.elapsed() < PROBATION;
        others().any(Other::is_undecided) || (is_young && others().any(Other::is_alive))
    }

    /// Gives a sign of life that says how far the journal is read, and looks at those of the others. `through` holds only as
    /// far as all places are taken and the others know of this gateway.
    pub fn sign(&mut self, through: i64) -> Vec<Command> {
        self.beat += 1;
        let holds = self.is_shared() && !self.is_on_probation() && self.places.values().all(|place| place.is_taken);
        let through = if holds { through } else { 0 };
        let mut set = redis::cmd("HSET");
        set.arg(GATEWAYS).arg(hex(self.id)).arg(format!("{through}:{}", self.beat));
        let mut all = redis::cmd("HGETALL");
        all.arg(GATEWAYS);
        vec![Command::new(GATEWAYS, set), Command::new(GATEWAYS, all)]
    }

    /// The answers to a sign: whether it is the first one there, and all signs. Another gateway that took this one for gone
    /// has cleared its places with its sign: they are to be taken again.
    pub fn see(&mut self, is_new: &Value, signs: &Value) {
        if *is_new == Value::Int(1) && self.has_signed {
            self.places.values_mut().for_each(|place| place.is_taken = false);
        }
        self.has_signed = true;
        let counts = self.last_look.is_none_or(|last| last.elapsed() >= LOOK);
        if counts {
            self.last_look = Some(Instant::now());
        }
        let Value::Array(values) = signs else { return };
        // Whose sign is not there has taken its leave, or was taken for gone by another.
        let present: Vec<String> = values.iter().step_by(2).filter_map(string).collect();
        self.others.retain(|id, _| present.contains(id));
        let own = hex(self.id);
        for pair in values.chunks_exact(2) {
            let (Some(id), Some(sign)) = (string(&pair[0]), string(&pair[1])) else { continue };
            if id != own {
                self.see_other(id, &sign, counts);
            }
        }
    }

    fn see_other(&mut self, id: String, sign: &str, counts: bool) {
        let through = sign.split_once(':').and_then(|(through, _)| through.parse().ok()).unwrap_or(0);
        let other = self.others.entry(id.clone()).or_insert_with(|| Other {
            sign: sign.to_owned(),
            through,
            same: 0,
            still: 0,
            has_lived: false,
        });
        if other.through != through {
            (other.through, other.still) = (through, 0);
        } else if counts {
            other.still = other.still.saturating_add(1);
        }
        if other.sign != sign {
            sign.clone_into(&mut other.sign);
            (other.same, other.has_lived) = (0, true);
        } else if counts {
            other.same = other.same.saturating_add(1);
            let limit = if other.has_lived { GONE_AFTER } else { LEFT_OVER_AFTER };
            if other.same >= limit && !self.to_clear.contains(&id) {
                tracing::warn!(gateway = id, "another gateway gives no sign of life: it is not waited for");
                self.to_clear.push(id);
            }
        }
    }

    /// Messages get places, in the order given. They are taken on the server when another gateway is there, and be it only
    /// while the messages are under way: until then no sign says that they stand.
    pub fn note(&mut self, turns: &[Turn]) {
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
            let partition = partition(turn.sender);
            self.places.insert(key, Place { partition, bytes, arrival, is_asked: false, is_taken: false, waited: 0 });
        }
    }

    /// Takes the places that do not stand yet, and those that were taken from this gateway; nothing when no other gateway
    /// is there.
    pub fn take(&mut self) -> Vec<Command> {
        if !self.is_shared() {
            return Vec::new();
        }
        let mut of_partition: HashMap<u8, Vec<&[u8]>> = HashMap::new();
        for place in self.places.values_mut().filter(|place| !place.is_taken) {
            place.is_asked = true;
            of_partition.entry(place.partition).or_default().push(&place.bytes);
        }
        let taking = |(partition, places): (u8, Vec<&[u8]>)| {
            let key = of_senders(partition, "lanes");
            let mut command = Script::LineUp.call(&[&key]);
            command.arg(places);
            Command::new(&key, command)
        };
        of_partition.into_iter().map(taking).collect()
    }

    /// The places that were asked for stand on the server.
    pub fn taken(&mut self) {
        self.places.values_mut().for_each(|place| place.is_taken = true);
    }

    /// The place of a transition's message. An error says that it has to wait in any case.
    pub fn place(&mut self, transition: &Transition) -> Result<Option<Lane>, NotYet> {
        let Some(turn) = transition.turn.filter(|_| self.is_shared()) else { return Ok(None) };
        let Some(place) = self.places.get_mut(&(turn.receipt, turn.place)) else { return Ok(None) };
        let is_patient = place.waited < PATIENCE;
        let is_behind = |other: &Other| other.is_waited_for() && other.through < place.arrival;
        if is_patient && (!place.is_taken || self.others.values().any(is_behind)) {
            place.waited += 1;
            return Err(NotYet);
        }
        Ok(Some(Lane { place: place.bytes.clone(), waits: is_patient }))
    }

    /// A message was told to wait for one of another gateway.
    pub fn waited(&mut self, turn: Turn) {
        if let Some(place) = self.places.get_mut(&(turn.receipt, turn.place)) {
            place.waited += 1;
        }
    }

    /// Takes away the places of messages, as far as they may still stand.
    pub fn leaving(&self, turns: &[Turn]) -> Vec<Command> {
        let leave = |turn: &Turn| {
            // One that was asked for and not confirmed may stand, too.
            let place = self.places.get(&(turn.receipt, turn.place)).filter(|place| place.is_asked)?;
            Some(place.leaving())
        };
        turns.iter().filter_map(leave).collect()
    }

    /// Forgets the places of messages.
    pub fn forget(&mut self, turns: &[Turn]) {
        for turn in turns {
            self.places.remove(&(turn.receipt, turn.place));
        }
    }

    /// Takes away what gateways left in the lanes, and their signs, so that one that is alive after all finds out.
    pub fn clearing(&self) -> (Vec<String>, Vec<Command>) {
        let ids: Vec<Vec<u8>> = self.to_clear.iter().filter_map(|id| unhex(id)).collect();
        if ids.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let clear = |partition| {
            let key = of_senders(partition, "lanes");
            let mut command = Script::ClearLanes.call(&[&key]);
            for id in &ids {
                command.arg(id);
            }
            Command::new(&key, command)
        };
        let mut commands: Vec<Command> = (0..PARTITIONS).map(clear).collect();
        let own = hex(self.id);
        for id in self.to_clear.iter().filter(|id| **id != own) {
            let mut delete = redis::cmd("HDEL");
            delete.arg(GATEWAYS).arg(id);
            commands.push(Command::new(GATEWAYS, delete));
        }
        (self.to_clear.clone(), commands)
    }

    /// Takes away this gateway's sign and places.
    pub fn departing(&self) -> Vec<Command> {
        let mut delete = redis::cmd("HDEL");
        delete.arg(GATEWAYS).arg(hex(self.id));
        let places = self.places.values().filter(|place| place.is_asked).map(Place::leaving);
        places.chain([Command::new(GATEWAYS, delete)]).collect()
    }

    /// What was to be cleared is.
    pub fn cleared(&mut self, ids: &[String]) {
        self.to_clear.retain(|id| !ids.contains(id));
        for id in ids {
            self.others.remove(id);
        }
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

#[cfg(test)]
mod tests;
