//! Step 0: the memory of senders is read, and what stands outside their slots is reserved.

use std::collections::HashMap;

use redis::Value;
use uuid::Uuid;

use super::{
    Begun, RedisStore, answer,
    layout::{self, arrival, millis},
    link::{Command, Confirm},
};
use crate::{
    receipt::ReceiptId,
    store::{NonceClaim, Opening, SenderKey, Settled, StoreError, Versioned},
};

impl RedisStore {
    /// One round trip, and one more when an old nonce has to be written anew.
    pub(super) async fn read_and_reserve(&self, openings: &[Opening]) -> Result<Vec<Begun>, StoreError> {
        let mut commands = Vec::with_capacity(openings.len() * 3);
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
        let mut values = self.strike_out_and(commands, Confirm::Yes).await?.into_iter();
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

fn nonce_command(nonce: &NonceClaim, receipt: ReceiptId, only_if_new: bool) -> Command {
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
