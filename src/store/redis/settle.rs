//! The two steps of a transition, and what stands before and behind them.
//!
//! `begin` (step 0) reads the memory of senders and reserves nonces and tracking ids. Step 1 is one script in the slot of
//! the sender; it also writes down what step 2 has to do. Step 2 appends events, answers, vault entry and record, each in
//! its own slot and each unless it is there. What was written down is struck out with the next `begin`; if that never
//! comes, `tend` of any gateway finds it, does step 2 again and strikes it out.

use std::{collections::HashMap, sync::atomic::Ordering};

use jiff::Timestamp;
use redis::{Cmd, Value};
use uuid::Uuid;

use super::{
    Begun, RedisStore,
    answer::{self, texts},
    due::Due,
    lanes::Lane,
    layout::{self, CLAIM_BUCKETS, arrival, buckets, claim_value, millis},
    link::{Command, Confirm},
    outbox, queues,
    script::Script,
};
use crate::{
    complaint::TrackingId,
    receipt::ReceiptId,
    store::{Opening, SenderKey, Settled, StoreError, Transition, Turn, Versioned},
};

const DAY: i64 = 86_400_000;
/// Where the longest window of claims stands.
const LONGEST: &str = "loket:claims-window";
/// Pages of about a hundred that `tend` looks through in a partition.
const MOST_PAGES: usize = 100;
/// What is struck out with the next call; more is left for `tend`.
const MOST_DONE: usize = 10_000;

/// What waits to be struck out.
#[derive(Debug)]
pub enum Done {
    /// Step 2 of a transition, under a field of a partition, and the complaint that is made by it.
    Step { partition: u8, field: Vec<u8>, made: Option<(TrackingId, Uuid)> },
    /// A tracking id that was reserved and named nothing.
    Reservation(TrackingId),
}

impl RedisStore {
    /// Step 0.
    pub(super) async fn read_and_reserve(&self, openings: &[Opening]) -> Result<Vec<Begun>, StoreError> {
        let mut commands = self.striking_out();
        let skipped = commands.len();
        let mut senders: Vec<SenderKey> = Vec::new();
        let mut place_of = HashMap::new();
        for opening in openings {
            place_of.entry(opening.sender).or_insert_with(|| {
                senders.push(opening.sender);
                senders.len() - 1
            });
        }
        for sender in &senders {
            let key = layout::memories(*sender);
            let mut get = redis::cmd("HGET");
            get.arg(&key).arg(&sender.0);
            commands.push(Command::new(&key, get));
        }
        for opening in openings {
            commands.extend(reservations(opening));
        }
        let mut values = self.work.run(commands, Confirm::Yes).await?.into_iter().skip(skipped);
        let memories: Vec<Versioned> =
            values.by_ref().take(senders.len()).map(|value| read_memory(&value)).collect::<Result<_, _>>()?;
        let mut begun = Vec::with_capacity(openings.len());
        let mut renewed = Vec::new();
        for opening in openings {
            let mut settled = None;
            if let Some(nonce) = &opening.nonce {
                match nonce_is_reused(opening, values.next()) {
                    Some(false) => {}
                    Some(true) => settled = Some(Settled::NonceReused),
                    None => renewed.push(nonce_command(nonce, opening.receipt, false)),
                }
            }
            if let Some((_, complaint)) = &opening.draw {
                let (_is_new, holder) = (values.next(), values.next());
                settled = settled.or_else(|| named(holder.as_ref(), *complaint));
            }
            begun.push(Begun { sender: memories[place_of[&opening.sender]].clone(), settled });
        }
        self.work.run(renewed, Confirm::Yes).await?;
        Ok(begun)
    }

    /// Steps 1 and 2.
    pub(super) async fn settle_all(&self, mut transitions: Vec<Transition>) -> Result<Vec<Settled>, StoreError> {
        for transition in &transitions {
            transition.events.iter().try_for_each(|event| queues::check_name(&event.queue))?;
            transition.outbox.iter().try_for_each(|entry| outbox::check_id(&entry.id))?;
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
            unused.push(transition.reserved.take().filter(|reserved| Some(reserved) != made));
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

    /// Tracking ids of messages that became no complaint are free again.
    fn give_back(&self, unused: Vec<Option<TrackingId>>, settled: &[Settled]) {
        let is_over = |settled: &Settled| matches!(settled, Settled::Applied | Settled::Duplicate { .. });
        let free =
            unused.into_iter().zip(settled).filter(|(_, settled)| is_over(settled)).filter_map(|(unused, _)| unused);
        let mut done = self.done();
        let room = MOST_DONE.saturating_sub(done.len());
        done.extend(free.take(room).map(Done::Reservation));
    }

    /// Does what was written down, and notes that it is done.
    pub(super) async fn step_two(&self, todo: Vec<(u8, Vec<u8>, Due)>) -> Result<(), StoreError> {
        let longest = self.longest_window(todo.iter().map(|(_, _, due)| millis(due.until) - due.at)).await?;
        let mut commands = Vec::with_capacity(todo.len() * 4);
        for (_, _, due) in &todo {
            commands.extend(due.commands(longest)?);
        }
        self.work.run(commands, self.confirmation()).await?;
        let mut done = self.done();
        for (partition, field, due) in todo {
            if done.len() < MOST_DONE {
                done.push(Done::Step { partition, field, made: due.complaint() });
            }
        }
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

    /// Strikes out what is done. If the call fails, `tend` will find it.
    pub(super) fn striking_out(&self) -> Vec<Command> {
        if self.work.was_made_anew() {
            // A failover or a restart may have lost names that we wrote.
            self.known().clear();
        }
        let done = std::mem::take(&mut *self.done());
        let mut commands = Vec::with_capacity(done.len() * 2);
        for done in done {
            match done {
                Done::Step { partition, field, made } => {
                    if let Some((tracking_id, complaint)) = made {
                        // Reserved for this complaint since step 0; the mark says that it is made.
                        let key = layout::tracking_ids(&tracking_id);
                        let mut name = redis::cmd("HSET");
                        name.arg(&key).arg(tracking_id.as_str()).arg([complaint.as_bytes().as_slice(), b"!"].concat());
                        commands.push(Command::new(&key, name));
                    }
                    let key = layout::of_senders(partition, "pending");
                    let mut delete = redis::cmd("HDEL");
                    delete.arg(&key).arg(field);
                    commands.push(Command::new(&key, delete));
                }
                Done::Reservation(tracking_id) => {
                    let key = layout::tracking_ids(&tracking_id);
                    let mut delete = redis::cmd("HDEL");
                    delete.arg(&key).arg(tracking_id.as_str());
                    commands.push(Command::new(&key, delete));
                }
            }
        }
        commands
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

fn read_memory(value: &Value) -> Result<Versioned, StoreError> {
    match value {
        Value::Nil => Ok(Versioned::default()),
        Value::BulkString(bytes) => layout::read_memory(bytes).ok_or_else(|| answer::odd("the memory of a sender")),
        _ => Err(answer::odd("the memory of a sender")),
    }
}

fn reservations(opening: &Opening) -> Vec<Command> {
    let mut commands = Vec::with_capacity(2);
    if let Some(nonce) = &opening.nonce {
        commands.push(nonce_command(nonce, opening.receipt, true));
    }
    if let Some((tracking_id, complaint)) = &opening.draw {
        let key = layout::tracking_ids(tracking_id);
        let mut set = redis::cmd("HSETNX");
        set.arg(&key).arg(tracking_id.as_str()).arg(complaint.as_bytes());
        let mut get = redis::cmd("HGET");
        get.arg(&key).arg(tracking_id.as_str());
        commands.extend([Command::new(&key, set), Command::new(&key, get)]);
    }
    commands
}

fn nonce_command(nonce: &crate::store::NonceClaim, receipt: ReceiptId, only_if_new: bool) -> Command {
    let key = layout::nonce(nonce.key);
    let mut set = redis::cmd("SET");
    set.arg(&key).arg(layout::nonce_value(nonce.body, nonce.until));
    if only_if_new {
        set.arg("NX").arg("GET");
    }
    set.arg("PX").arg((millis(nonce.until) - arrival(receipt)).max(1));
    Command::new(&key, set)
}

/// None: what stands there is over and has to be written anew.
fn nonce_is_reused(opening: &Opening, value: Option<Value>) -> Option<bool> {
    let nonce = opening.nonce.as_ref()?;
    let Some(Value::BulkString(bytes)) = value else { return Some(false) };
    let (body, until) = layout::read_nonce(&bytes)?;
    if until <= arrival(opening.receipt) {
        return None;
    }
    Some(body != nonce.body)
}

/// What the holder of a tracking id says of the complaint that wants it.
fn named(holder: Option<&Value>, complaint: Uuid) -> Option<Settled> {
    let Some(Value::BulkString(holder)) = holder else { return None };
    let (id, rest) = holder.split_at_checked(16).unwrap_or((holder, &[]));
    if id != complaint.as_bytes() {
        return Some(Settled::TrackingIdTaken);
    }
    // The mark says that step 2 is done: this receipt made the complaint before, though its claim may be another by now, as a
    // mended manifest reads other words, and claims are forgotten while a quarantine is not.
    (rest == b"!").then_some(Settled::Repeated)
}
