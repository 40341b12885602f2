//! Who may connect, and how often: limits for each address and for all (`threats.md` M6). An IPv6 address counts as its /64,
//! which is what one subscriber has.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::network::Network;

/// Addresses that are remembered; with more the oldest minute is forgotten.
const MOST: usize = 10_000;
const MINUTE: Duration = Duration::from_mins(1);

/// The numbers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a letter.
    pub letter: usize,
    pub connections: usize,
    pub connections_of_one: usize,
    /// Letters of one address in a minute.
    pub letters_a_minute: u32,
    /// For a command, and for each piece of a letter.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            letter: 25 << 20,
            connections: 500,
            connections_of_one: 20,
            letters_a_minute: 120,
            patience: Duration::from_mins(5),
        }
    }
}

/// Counts connections and letters.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    /// Relays of our own, whose letters are everybody's.
    trusted: Vec<Network>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    strangers: usize,
    /// Of relays of our own: no flood of strangers takes their places.
    relays: usize,
    of_one: HashMap<IpAddr, Count>,
}

#[derive(Debug)]
struct Count {
    open: usize,
    letters: u32,
    since: Instant,
}

/// A connection that was let in; it is counted out when this is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    who: Option<IpAddr>,
}

impl Gate {
    pub fn new(limits: Limits, trusted: Vec<Network>) -> Self {
        Self { limits, trusted, counts: Mutex::default() }
    }

    /// None: too many are here already.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Pass> {
        let who = (!self.trusted.iter().any(|network| network.contains(peer))).then(|| subscriber(peer));
        let mut counts = self.counts();
        let open = *counts.places(who);
        if open >= self.limits.connections {
            return None;
        }
        if let Some(who) = who {
            let count = counts.of(who);
            if count.open >= self.limits.connections_of_one {
                return None;
            }
            count.open += 1;
        }
        *counts.places(who) += 1;
        Some(Pass { gate: Arc::clone(self), who })
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// How many places are taken that are for strangers, or for relays of our own (None).
    fn places(&mut self, who: Option<IpAddr>) -> &mut usize {
        if who.is_some() { &mut self.strangers } else { &mut self.relays }
    }

    fn of(&mut self, who: IpAddr) -> &mut Count {
        if self.of_one.len() >= MOST {
            self.of_one.retain(|_, count| count.open > 0);
        }
        let fresh = || Count { open: 0, letters: 0, since: Instant::now() };
        self.of_one.entry(who).or_insert_with(fresh)
    }
}

impl Pass {
    /// May this address hand over one more letter now?
    pub fn may_send(&self) -> bool {
        let Some(who) = self.who else { return true };
        let mut counts = self.gate.counts();
        let count = counts.of(who);
        if count.since.elapsed() >= MINUTE {
            (count.letters, count.since) = (0, Instant::now());
        }
        count.letters += 1;
        count.letters <= self.gate.limits.letters_a_minute
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        let places = counts.places(self.who);
        *places = places.saturating_sub(1);
        if let Some(who) = self.who {
            let count = counts.of(who);
            count.open = count.open.saturating_sub(1);
        }
    }
}

fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_has_a_share_and_leaves_room_for_others() {
        let limits = Limits { connections: 4, connections_of_one: 2, ..Limits::default() };
        let gate = Arc::new(Gate::new(limits, vec!["10.0.0.0/8".parse().expect("a network")]));
        let first = gate.enter(address("203.0.113.7")).expect("room");
        let _second = gate.enter(address("203.0.113.7")).expect("room");
        assert!(gate.enter(address("203.0.113.7")).is_none());
        let _other = gate.enter(address("2001:db8::1")).expect("room");
        let _same = gate.enter(address("2001:db8::2")).expect("room for a second of one subscriber");
        assert!(gate.enter(address("198.51.100.1")).is_none(), "all are taken");
        let relays: Vec<_> = (0..5).map(|_| gate.enter(address("10.0.0.9"))).collect();
        assert_eq!(relays.iter().flatten().count(), 4, "a flood of strangers leaves the places of our relays");
        drop(first);
        assert!(gate.enter(address("198.51.100.1")).is_some());
    }

    #[test]
    fn one_address_hands_over_so_many_letters_in_a_minute() {
        let limits = Limits { letters_a_minute: 2, ..Limits::default() };
        let gate = Arc::new(Gate::new(limits, vec!["10.0.0.0/8".parse().expect("a network")]));
        let pass = gate.enter(address("203.0.113.7")).expect("room");
        assert_eq!([pass.may_send(), pass.may_send(), pass.may_send()], [true, true, false]);
        let relay = gate.enter(address("10.0.0.9")).expect("room");
        assert!((0..10).all(|_| relay.may_send()));
    }
}
