//! What the embedded store keeps in memory: for each queue where it begins and ends and what is out of it, and how far
//! the indexes by time are empty. All of it is read back at start, without reading the entries that wait.
//!
//! A queue is the numbers `head..tail`, which nobody leased yet and of which none is missing, and what is *out*:
//! numbers before `head` that are leased, or were given back and wait. Its size is so known without counting.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::{
    engine::{Engine, Failure, Space},
    layout::{self, Reader, Value},
};
use crate::store::SenderKey;

/// All that is kept in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub queues: BTreeMap<String, Queue>,
    /// No sender has a deadline before this.
    pub deadlines_from: Option<Timestamp>,
    /// No answer of the channel waits for a time before this.
    pub waiting_from: HashMap<String, Timestamp>,
    /// Senders that were read or written lately: a settle follows the reading of its senders.
    pub senders: HashMap<SenderKey, KnownSender>,
    /// When a sweep last found everything swept, and the time of the last mark that was swept.
    pub swept_at: Option<Timestamp>,
    pub swept_to: Option<Timestamp>,
}

/// What a settle needs to know of a sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownSender {
    pub version: u64,
    pub deadline: Option<Timestamp>,
}

/// More senders than this are not remembered.
const MOST_SENDERS: usize = 8192;

/// One queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The first number that was never leased.
    pub head: u64,
    /// The next number to give.
    pub tail: u64,
    /// Dead letters.
    pub dead: u64,
    /// By number. Bounded by [`MOST_OUT`].
    out: BTreeMap<u64, Out>,
    /// What is out, by the end of its lease or delay, until that has come.
    timed: BTreeSet<(Timestamp, u64)>,
    /// What is out and may be leased again.
    ready: BTreeSet<u64>,
    /// Leases in `timed`.
    leased: u64,
}

/// A queue hands out nothing new while this many entries are leased or given back: memory is bounded.
pub(super) const MOST_OUT: usize = 100_000;

/// An entry that was leased at least once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    /// False: it was given back.
    pub leased: bool,
    pub flags: u8,
    pub attempt: u32,
    /// End of the lease or the delay.
    pub until: Timestamp,
    pub complaint: [u8; 16],
    pub enqueued_at: Timestamp,
}

impl Out {
    pub fn write(self) -> Vec<u8> {
        Value::with_room(38)
            .bytes(&[u8::from(self.leased), self.flags])
            .bytes(&self.attempt.to_be_bytes())
            .time(self.until)
            .bytes(&self.complaint)
            .time(self.enqueued_at)
            .done()
    }

    fn read(value: &[u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(value)?;
        Ok(Self {
            leased: reader.byte()? != 0,
            flags: reader.byte()?,
            attempt: reader.small()?,
            until: reader.time()?,
            complaint: reader.bytes()?,
            enqueued_at: reader.time()?,
        })
    }
}

impl Queue {
    /// Room for new leases.
    pub fn room(&self) -> usize {
        MOST_OUT.saturating_sub(self.out.len())
    }

    /// Takes note of an entry that is leased or given back.
    pub fn put_out(&mut self, number: u64, out: Out) {
        self.take(number);
        self.leased += u64::from(out.leased);
        self.timed.insert((out.until, number));
        self.out.insert(number, out);
    }

    /// Forgets an entry that is out.
    pub fn take(&mut self, number: u64) -> Option<Out> {
        let out = self.out.remove(&number)?;
        if !self.ready.remove(&number) && self.timed.remove(&(out.until, number)) {
            self.leased -= u64::from(out.leased);
        }
        Some(out)
    }

    /// The entry, if it is leased; a lease that ran out counts until the entry is handed out again.
    pub fn leased(&self, number: u64) -> Option<Out> {
        self.out.get(&number).copied().filter(|out| out.leased)
    }

    /// How often each of the entries from this number on was delivered; at most `max` that are out.
    pub fn attempts(&self, from: u64, max: usize) -> HashMap<u64, u32> {
        self.out.range(from..).take(max).map(|(number, out)| (*number, out.attempt)).collect()
    }

    /// The oldest entry whose lease or delay is over.
    pub fn first_ready(&self) -> Option<(u64, Out)> {
        let number = *self.ready.first()?;
        self.out.get(&number).map(|out| (number, *out))
    }

    /// The number of the oldest entry, waiting or leased.
    pub fn oldest(&self) -> u64 {
        self.out.first_key_value().map_or(self.head, |(number, _)| *number)
    }

    /// Moves what is over at `now`.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((until, number)) = self.timed.first().copied().filter(|(until, _)| *until <= now) {
            self.timed.remove(&(until, number));
            if self.out.get(&number).is_some_and(|out| out.leased) {
                self.leased -= 1;
            }
            self.ready.insert(number);
        }
    }

    pub fn in_flight(&self) -> u64 {
        self.leased
    }

    pub fn depth(&self) -> u64 {
        self.tail - self.head + self.out.len() as u64 - self.leased
    }

    /// When the oldest entry that was out and waits again came into the queue.
    pub fn oldest_waiting_again(&self) -> Option<Timestamp> {
        let waits = |number: &u64, out: &Out| !out.leased || self.ready.contains(number);
        self.out.iter().find(|(number, out)| waits(number, out)).map(|(_, out)| out.enqueued_at)
    }

    /// What is written of the queue itself.
    pub fn write(&self) -> Vec<u8> {
        Value::with_room(16).bytes(&self.head.to_be_bytes()).bytes(&self.dead.to_be_bytes()).done()
    }
}

impl Memory {
    /// Remembers a sender as it is on disk, or will be when the write that is under way is committed.
    pub fn remember_sender(&mut self, key: SenderKey, known: KnownSender) {
        if self.senders.len() >= MOST_SENDERS {
            self.senders.clear();
        }
        self.senders.insert(key, known);
    }

    /// Reads what a start needs: one small entry for each queue, and one for each entry that is out.
    pub fn load(engine: &Engine) -> Result<Self, Failure> {
        let mut memory = Self::default();
        for pair in engine.scan(Space::State, vec![b'q']..vec![b'q' + 1]) {
            let (key, value) = pair?;
            let name = std::str::from_utf8(&key[1..])
                .map_err(|_| Failure::Corrupt("the name of a queue is no text".to_owned()))?;
            let mut reader = Reader::new(&value)?;
            let (head, dead) = (reader.number()?, reader.number()?);
            memory.queues.insert(name.to_owned(), load_queue(engine, name, head, dead)?);
        }
        Ok(memory)
    }
}

fn load_queue(engine: &Engine, name: &str, head: u64, dead: u64) -> Result<Queue, Failure> {
    let numbers =
        |letter: u8, from: u64| layout::numbered(letter, name, from)..layout::numbered(letter, name, u64::MAX);
    // Everything before `head` was leased, so no number is given twice, even when the last entry is gone.
    let last = engine.scan(Space::Events, numbers(b'e', head)).next_back().transpose()?;
    let tail = last.and_then(|(key, _)| layout::number_of(&key)).map_or(head, |number| number + 1);
    let mut queue = Queue { head, tail, dead, ..Queue::default() };
    for pair in engine.scan(Space::State, numbers(b'l', 0)) {
        let (key, value) = pair?;
        if let Some(number) = layout::number_of(&key) {
            queue.put_out(number, Out::read(&value)?);
        }
    }
    Ok(queue)
}
