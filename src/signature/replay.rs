//! The nonces that this gateway has seen: the same one with another body is a forgery, with the same body a redelivery.
//!
//! Looked at before the reply, written after the journal has the receipt, so that a delivery that was never accepted
//! does not block its retry. Bounded: the oldest goes first, and then the claim of the message id is what is left.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use subtle::ConstantTimeEq;

use super::Refused;
use crate::receipt::Nonce;

/// About 100 MB when full.
const CAPACITY: usize = 1_000_000;

/// Nonces of all channels of one gateway, until their time is over.
#[derive(Debug)]
pub struct Nonces {
    seen: Mutex<Seen>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Seen {
    by_key: HashMap<[u8; 16], Entry>,
    /// In the order they were remembered. A key that was renewed stands here twice; the older mark is void.
    order: VecDeque<([u8; 16], i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    body: [u8; 16],
    remembered: i64,
    /// Seconds since 1970.
    until: i64,
}

impl Default for Nonces {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl Nonces {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { seen: Mutex::default(), capacity: capacity.max(1) }
    }

    /// Refuses a nonce that came with another body before and is still remembered.
    pub fn check(&self, nonce: &Nonce, now: Timestamp) -> Result<(), Refused> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.by_key.get(&nonce.key) {
            Some(entry) if entry.until >= now.as_second() && !bool::from(entry.body.ct_eq(&nonce.body)) => {
                Err(Refused::Unverified("the nonce came with another body before".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// To be called when the receipt is journalled. A redelivery does not lengthen the time.
    pub fn remember(&self, nonce: &Nonce, now: Timestamp) {
        let now = now.as_second();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.by_key.get(&nonce.key).is_some_and(|entry| entry.until >= now) {
            return;
        }
        let until = now.saturating_add(i64::from(nonce.ttl_seconds));
        seen.by_key.insert(nonce.key, Entry { body: nonce.body, remembered: now, until });
        seen.order.push_back((nonce.key, now));
        seen.drop_old(now, self.capacity);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).by_key.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Seen {
    /// Drops what is over at the front, and the oldest beyond the capacity: a few steps for each that is added.
    fn drop_old(&mut self, now: i64, capacity: usize) {
        for _ in 0..4 {
            let Some((key, remembered)) = self.order.front().copied() else { return };
            let entry = self.by_key.get(&key).filter(|entry| entry.remembered == remembered);
            let is_over = entry.is_none_or(|entry| entry.until < now);
            if !is_over && self.order.len() <= capacity {
                return;
            }
            if entry.is_some() {
                self.by_key.remove(&key);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(key: u8, body: u8) -> Nonce {
        Nonce { key: [key; 16], body: [body; 16], ttl_seconds: 600 }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn the_same_nonce_with_another_body_is_a_forgery_and_with_the_same_one_a_redelivery() {
        let nonces = Nonces::default();
        assert_eq!(nonces.check(&nonce(1, 1), at(0)), Ok(()));
        nonces.remember(&nonce(1, 1), at(0));
        assert_eq!(nonces.check(&nonce(1, 1), at(600)), Ok(()));
        assert!(matches!(nonces.check(&nonce(1, 2), at(600)), Err(Refused::Unverified(_))));
        assert_eq!(nonces.check(&nonce(2, 2), at(600)), Ok(()));
        assert_eq!(nonces.check(&nonce(1, 2), at(601)), Ok(()), "its time is over");
    }

    #[test]
    fn what_was_not_remembered_blocks_no_retry() {
        let nonces = Nonces::default();
        assert_eq!(nonces.check(&nonce(1, 1), at(0)), Ok(()));
        assert_eq!(nonces.check(&nonce(1, 2), at(0)), Ok(()));
    }

    #[test]
    fn a_redelivery_does_not_lengthen_the_time_and_a_reuse_afterwards_does() {
        let nonces = Nonces::default();
        nonces.remember(&nonce(1, 1), at(0));
        nonces.remember(&nonce(1, 1), at(500));
        assert_eq!(nonces.check(&nonce(1, 2), at(700)), Ok(()));
        nonces.remember(&nonce(1, 2), at(700));
        assert!(nonces.check(&nonce(1, 1), at(1300)).is_err());
        assert_eq!(nonces.len(), 1);
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes_first() {
        let nonces = Nonces::with_capacity(3);
        for key in 0..100 {
            nonces.remember(&nonce(key, 1), at(i64::from(key)));
            assert!(nonces.len() <= 3);
        }
        assert_eq!(nonces.check(&nonce(0, 2), at(100)), Ok(()));
        assert!(nonces.check(&nonce(99, 2), at(100)).is_err());
    }
}
