//! Steps 1 and 2 of a transition, and what others left of them.
//!
//! Step 1 is one script in the slot of the sender; it also writes down what step 2 has to do. Step 2 writes events, record and
//! address, and then answers, each in its own slot and each unless it is there. What was written down is struck out with the
//! next call; if that never comes, `tend` of any gateway finds it, does step 2 again and strikes it out.

use std::{collections::HashMap, sync::atomic::Ordering};

use jiff::Timestamp;
use redis::{Cmd, Value};
use uuid::Uuid;

use super::{
    RedisStore,
    answer::{self, texts},
    done::Done,
    due::Due,
    lanes::Lane,
    layout::{self, CLAIM_BUCKETS, arrival, buckets, claim_value, millis},
    link::{Command, Confirm},
    script::Script,
};
use crate::{
    receipt::ReceiptId,
    store::{SenderKey, Settled, StoreError, Transition, Turn, rules},
};

const DAY: i64 = 86_400_000;
/// Where the longest window of claims stands.
const LONGEST: &str = "loket:claims-window";
/// Pages of about a hundred that `tend` looks through in a partition.
const MOST_PAGES: usize = 100;

impl RedisStore {
    /// Steps 1 and 2.
    pub(super) async fn settle_all(&self, mut transitions: Vec<Transition>) -> Result<Vec<Settled>, StoreError> {
        for transition in &transitions {
            rules::check(transition).map_err(StoreError::Broken)?;
        }
        let window = |transition: &Transition| millis(transition.claims_until) - arrival(transition.receipt);
        let longest = self.longest_window(transitions.iter().filter(|one| !one.claims.is_empty()).map(window)).await?;
        let mut dues = Vec::with_capacity(transitions.len());
        let mut commands = Vec::with_capacity(transitions.len());
        let mut waits = Vec::with_capacity(transitions.len());
        let mut unused = Vec::with_capacity(transitions.len());
        // By sender and version that is left.
        let mut writers: HashMap<(SenderKey, u64), [u8; 8]> = HashMap::new();
        for transition in &mut transitions {
            let made = transition.record.as_ref().map(|record| &record.tracking_id);
            unused.push(transition.reserved.take().filter(|(reserved, _)| Some(reserved) != made));
            let due = Due::of(transition);
            let lane = self.lanes().place(transition);
            // What has to wait is not sent, and neither is what builds on it: its version will not be there.
            waits.push(lane.is_err());
            let before = writers.get(&(transition.sender, transition.expected)).copied();
            if let Ok(lane) = lane {
                commands.push(step_one(transition, &due, lane.as_ref(), before, longest)?);
            }
            if transition.state.is_some() {
                writers.entry((transition.sender, transition.expected + 1)).or_insert_with(|| writer(transition));
            }
            dues.push(due);
        }
        self.register(&dues).await?;
        let mut answers = self.work.run(commands, self.confirmation()).await?.into_iter();
        let mut settled = Vec::with_capacity(transitions.len());
        let mut todo = Vec::new();
        for ((transition, due), waits) in transitions.iter().zip(dues).zip(waits) {
            if waits {
                settled.push(Settled::NotYet);
                continue;
            }
            let value = answers.next().ok_or_else(|| answer::odd("step 1"))?;
            let (outcome, due) = outcome(&value, due)?;
            if let (Settled::NotYet, Some(turn)) = (&outcome, transition.turn) {
                self.lanes().waited(turn);
            }
            if let Some(due) = due {
                todo.push((layout::partition(transition.sender), field(transition), due));
            }
            settled.push(outcome);
        }
        self.step_two(todo).await?;
        self.give_back(unused, &settled);
        // Places are left only now, or the next message of the sender would reach its queue first through another gateway.
        let is_over = |settled: &Settled| !matches!(settled, Settled::NotYet | Settled::Conflict);
        let over = transitions.iter().zip(&settled).filter(|(_, settled)| is_over(settled));
        let turns: Vec<Turn> = over.filter_map(|(transition, _)| transition.turn).collect();
        self.leave_places(&turns).await?;
        Ok(settled)
    }

    /// Does what was written down, and notes that it is done.
    pub(super) async fn step_two(&self, todo: Vec<(u8, Vec<u8>, Due)>) -> Result<(), StoreError> {
        let longest = self.longest_window(todo.iter().map(|(_, _, due)| millis(due.until) - due.at)).await?;
        let (mut first, mut answers) = (Vec::with_capacity(todo.len() * 3), Vec::with_capacity(todo.len()));
        for (_, _, due) in &todo {
            first.extend(due.commands(longest)?);
            answers.extend(due.answers()?);
        }
        self.work.run_in_turn(first, answers, self.confirmation()).await?;
        let step = |(partition, field, due): (u8, Vec<u8>, Due)| Done::Step { partition, field, made: due.complaint() };
        self.note_done(todo.into_iter().map(step));
        Ok(())
    }

    /// The longest that any gateway has ever kept claims, in milliseconds: an operator who shortens the window must not lose
    /// sight of those that were written before.
    async fn longest_window(&self, windows: impl Iterator<Item = i64>) -> Result<i64, StoreError> {
        let known = self.longest.load(Ordering::Relaxed);
        // In whole days: a receipt that waited a while in the journal needs no other answer than the one before it.
        let needed = (windows.max().unwrap_or(0) + DAY - 1) / DAY * DAY;
        if known >= needed && known > 0 {
            return Ok(known);
        }
        let mut raise = Script::Longest.call(&[LONGEST]);
        raise.arg(needed.max(self.window.as_millis() as i64));
        let longest = self.work.run_one(LONGEST, raise, Confirm::Yes).await?;
        let longest = answer::number(&longest).ok_or_else(|| answer::odd("the longest window of claims"))?;
        self.longest.store(longest, Ordering::Relaxed);
        Ok(longest)
    }

    /// The names of queues and of channels with answers, before anything stands in them.
    async fn register(&self, dues: &[Due]) -> Result<(), StoreError> {
        let mut new = Vec::new();
        {
            let known = self.known();
            let queues = dues.iter().flat_map(|due| &due.events).map(|event| ("loket:queues", event.queue.as_str()));
            let channels =
                dues.iter().flat_map(|due| &due.outbox).map(|entry| ("loket:channels", entry.channel.as_str()));
            for (set, name) in queues.chain(channels) {
                if !known.contains(&(set, name.to_owned())) && !new.contains(&(set, name.to_owned())) {
                    new.push((set, name.to_owned()));
                }
            }
        }
        self.register_names(new).await
    }

    pub(super) async fn register_names(&self, new: Vec<(&'static str, String)>) -> Result<(), StoreError> {
        let adding = |(set, name): &(&'static str, String)| {
            let mut add = redis::cmd("SADD");
            add.arg(*set).arg(name);
            Command::new(set, add)
        };
        self.work.run(new.iter().map(adding).collect(), Confirm::Yes).await?;
        self.known().extend(new);
        Ok(())
    }

    /// What a gateway that is gone left behind in a partition.
    pub(super) async fn abandoned(&self, partition: u8, now: Timestamp) -> Result<Vec<(u8, Vec<u8>, Due)>, StoreError> {
        let key = layout::of_senders(partition, "pending");
        let (mut cursor, mut abandoned) = ("0".to_owned(), Vec::new());
        for _ in 0..MOST_PAGES {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&key).arg(&cursor).arg("COUNT").arg(100);
            let page = answer::list(self.api.run_one(&key, scan, Confirm::No).await?);
            for pair in page.get(1).map(texts).unwrap_or_default().chunks_exact(2) {
                match Due::read(pair[1]) {
                    Ok(due) if due.is_abandoned(now) => abandoned.push((partition, pair[0].to_vec(), due)),
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, partition, "what a gateway left behind stays where it is"),
                }
            }
            cursor = page.first().and_then(answer::string).unwrap_or_default();
            if cursor.is_empty() || cursor == "0" || abandoned.len() >= 100 {
                break;
            }
        }
        Ok(abandoned)
    }
}

/// Under which a transition's step 2 is written down: its first claim, or for a timer the sender and the version.
fn field(transition: &Transition) -> Vec<u8> {
    match transition.claims.first() {
        Some(claim) => claim.0.to_vec(),
        None => [transition.sender.0.as_slice(), &transition.expected.to_be_bytes()].concat(),
    }
}

/// By which the memory that a transition writes is told from others of the same version.
fn writer(transition: &Transition) -> [u8; 8] {
    let hash = layout::short_hash(&[transition.receipt.0.as_bytes().as_slice(), &field(transition)].concat());
    let mut writer = [0; 8];
    writer.copy_from_slice(&hash[..8]);
    writer
}

/// `before` is the writer of the transition of the same call that this one builds on.
fn step_one(
    transition: &Transition,
    due: &Due,
    lane: Option<&Lane>,
    before: Option<[u8; 8]>,
    longest: i64,
) -> Result<Command, StoreError> {
    let Transition { receipt, claims, claims_until, sender, expected, state, .. } = transition;
    let partition = layout::partition(*sender);
    let from = arrival(*receipt);
    let memory = layout::memories(*sender);
    let mut keys = vec![
        memory.clone(),
        layout::of_senders(partition, "deadlines"),
        layout::of_senders(partition, "pending"),
        layout::of_senders(partition, "lanes"),
    ];
    let prefix = layout::of_senders(partition, "claims:");
    let (mut each, mut written_life) = (0, 1);
    for claim in claims {
        let found = buckets(&prefix, CLAIM_BUCKETS, claim.0, from, *claims_until, longest);
        (each, written_life) = (found.keys.len(), found.life);
        keys.extend(found.keys);
    }
    let state_bytes =
        state.as_ref().map(|state| layout::write_memory(expected + 1, writer(transition), state)).unwrap_or_default();
    let deadline = state.as_ref().and_then(|state| state.deadline).map(|at| millis(at).to_string()).unwrap_or_default();
    let pending = if due.is_empty() { Vec::new() } else { due.written()? };
    let (place, mode) = lane.map_or((&[][..], ""), |lane| (&lane.place[..], if lane.waits { "wait" } else { "" }));
    let mut command: Cmd = Script::Settle.call(&keys);
    command
        .arg(receipt.0.as_bytes())
        .arg(from)
        .arg(&expected.to_be_bytes())
        .arg(state_bytes)
        .arg(before.as_ref().map_or(&[][..], |before| &before[..]))
        .arg(deadline)
        .arg(&sender.0)
        .arg(field(transition))
        .arg(pending)
        .arg(claims.len())
        .arg(each)
        .arg(claim_value(*receipt, *claims_until))
        .arg(written_life)
        .arg(place)
        .arg(mode);
    for claim in claims {
        command.arg(&claim.0);
    }
    Ok(Command::new(&memory, command))
}

/// What step 1 said, and what is left to do.
fn outcome(value: &Value, due: Due) -> Result<(Settled, Option<Due>), StoreError> {
    let parts = texts(value);
    match (parts.first().copied(), parts.get(1)) {
        (Some(b"A"), _) => Ok((Settled::Applied, Some(due).filter(|due| !due.is_empty()))),
        // Step 2 of the first time may not have come to its end.
        (Some(b"R"), pending) => {
            let due = pending.filter(|bytes| !bytes.is_empty()).map(|bytes| Due::read(bytes)).transpose()?;
            Ok((Settled::Repeated, due))
        }
        (Some(b"D"), Some(first)) => {
            let first = ReceiptId(Uuid::from_slice(first).unwrap_or_default());
            Ok((Settled::Duplicate { first }, None))
        }
        (Some(b"N"), _) => Ok((Settled::NotYet, None)),
        (Some(b"C"), _) => Ok((Settled::Conflict, None)),
        _ => Err(answer::odd("step 1")),
    }
}
