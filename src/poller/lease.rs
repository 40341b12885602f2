//! The right to read a channel: of several gateways one has it, under `<kind>:<channel>` in the store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use tokio::time::{Instant, timeout};

use crate::{clock, receipt::ChannelId, store::Store};

/// A gateway that is gone is followed by another after this.
const HELD: SignedDuration = SignedDuration::from_secs(20);
/// It is renewed after this.
const RENEWED: Duration = Duration::from_secs(5);
/// It is asked for again after this, by those who wait for it.
const ASKED_AGAIN: Duration = Duration::from_secs(2);
/// Without a renewal for so long, somebody else may soon have it.
const DOUBTFUL: Duration = Duration::from_secs(14);
/// For one question to the store.
const STORE: Duration = Duration::from_secs(4);

pub(super) struct Lease {
    store: Arc<dyn Store>,
    name: String,
    owner: String,
    is_ours: AtomicBool,
}

impl Lease {
    pub fn new(store: Arc<dyn Store>, kind: &str, channel: &ChannelId, owner: String) -> Self {
        Self { store, name: format!("{kind}:{channel}"), owner, is_ours: AtomicBool::new(false) }
    }

    /// Is it ours for a while from now on? None: the store does not say.
    async fn ask(&self, ttl: SignedDuration) -> Option<bool> {
        let asked = self.store.hold(&self.name, &self.owner, ttl, clock::now());
        timeout(STORE, asked).await.ok()?.ok()
    }

    /// Until it is ours.
    pub async fn taken(&self) {
        while self.ask(HELD).await != Some(true) {
            tokio::time::sleep(ASKED_AGAIN).await;
        }
        self.is_ours.store(true, Ordering::Relaxed);
    }

    /// Renews it until it is no longer ours, or nobody can tell.
    pub async fn lost(&self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RENEWED).await;
            let asked = Instant::now();
            match self.ask(HELD).await {
                Some(true) => renewed = asked,
                None if renewed.elapsed() < DOUBTFUL => {}
                Some(false) | None => break,
            }
        }
        self.is_ours.store(false, Ordering::Relaxed);
    }

    /// Another gateway goes on at once. Where that cannot be said, it does a little later. One who only waits for the lease
    /// has nothing to give up, and must not take it from whoever has it.
    pub async fn release(&self) {
        if self.is_ours.load(Ordering::Relaxed) {
            self.ask(SignedDuration::ZERO).await;
        }
    }
}
