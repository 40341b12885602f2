//! Timers: fragments whose time is over go on as they are, and a draft that nobody goes on with is reminded of, then deleted.

use std::panic::AssertUnwindSafe;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{
    Pipeline,
    applying::{Applier, Stopped, reservation},
    transition::Memory,
};
use crate::{
    assemble::{Assembled, flush_due},
    clock,
    receipt::ChannelId,
    sender::Sender,
    store::{ComplaintRecord, Opening, SenderKey, SenderState, Settled, StoreError, Transition},
};

/// A gateway that looks at timers and is gone is followed by another after this.
const TIMERS_HELD: SignedDuration = SignedDuration::from_secs(5);
/// Most senders whose deadline is handled at once.
const DUE: usize = 256;
/// Fragments of a closed channel are looked at again after this.
const CLOSED_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// What a timer finds.
#[derive(Debug)]
enum Due {
    /// So many messages of a draft ended unsent with the last of them.
    Flushed(Vec<Transition>, u64),
    /// Nothing now; look again at this time, or never.
    Later { at: Option<Timestamp> },
}

impl Applier {
    /// Fragments whose time is over go on.
    pub(super) async fn timers(&self, stop: &mut watch::Receiver<bool>) -> Result<(), Stopped> {
        let now = clock::now();
        let due = match self.due(now).await {
            Ok(due) => due,
            // The next message or the next tick will tell.
            Err(error) => {
                self.store_is_away(&error);
                return Ok(());
            }
        };
        let mut rung = false;
        for sender in due {
            match self.flush(sender, 0, now).await {
                Ok(grown) => rung |= grown,
                Err(error) => self.store_is_away(&error),
            }
        }
        if rung {
            self.until_it_works(stop, || self.pipeline.store.confirm()).await?;
            self.pipeline.queue_bell.notify_waiters();
            self.pipeline.outbox_bell.notify_one();
        }
        Ok(())
    }

    /// The senders to look at. Of several gateways one looks at a time, which saves the others the asking; that a timer
    /// fires once is the doing of the sender's version.
    async fn due(&self, now: Timestamp) -> Result<Vec<SenderKey>, StoreError> {
        let store = &self.pipeline.store;
        if self.signs.is_shared() && !store.hold("timers", &self.owner, TIMERS_HELD, now).await? {
            return Ok(Vec::new());
        }
        store.due_senders(now, DUE).await
    }

    async fn flush(&self, key: SenderKey, redraw: u8, now: Timestamp) -> Result<bool, StoreError> {
        let opening = Opening { receipt: Pipeline::NOBODY, sender: key, nonce: None, draw: None };
        let Some(found) = self.pipeline.store.begin(&[opening]).await?.into_iter().next() else { return Ok(false) };
        let found = found.sender;
        let (channel, due) = if let Ok(sender) = Sender::decode(&found.state.value) {
            let known = self.pipeline.asking_of(&sender, now).await?;
            let memory = Memory { version: found.version, sender };
            self.due_fragments(key, memory, known.as_ref(), redraw, now)
        } else {
            tracing::error!("the memory of a sender with fragments cannot be read; they stay where they are");
            (None, Due::Later { at: None })
        };
        let (transitions, expired) = match due {
            Due::Flushed(transitions, expired) => (transitions, expired),
            Due::Later { at } => {
                // The deadline is written anew, so that this sender does not stand before all others at each tick.
                let state = SenderState { value: found.state.value, deadline: at };
                self.pipeline.store.settle(vec![Pipeline::unchanged(key, found.version, state)]).await?;
                return Ok(false);
            }
        };
        let openings: Vec<_> = transitions.iter().filter_map(reservation).collect();
        let begun = self.pipeline.store.begin(&openings).await?;
        let is_taken = |settled: &Settled| *settled == Settled::TrackingIdTaken && redraw < u8::MAX;
        if begun.iter().filter_map(|begun| begun.settled.as_ref()).any(is_taken) {
            return Box::pin(self.flush(key, redraw + 1, now)).await;
        }
        // A conflict says that somebody else was faster: the next tick looks again.
        let settled = self.pipeline.store.settle(transitions).await?;
        if settled.iter().any(is_taken) {
            return Box::pin(self.flush(key, redraw + 1, now)).await;
        }
        if let Some(channel) = channel.filter(|_| settled.last() == Some(&Settled::Applied)) {
            self.pipeline.metrics.expired(channel.as_str(), expired);
        }
        Ok(true)
    }

    /// The channel of what waits, and what is to be done with it.
    fn due_fragments(
        &self,
        key: SenderKey,
        mut memory: Memory,
        known: Option<&ComplaintRecord>,
        redraw: u8,
        now: Timestamp,
    ) -> (Option<ChannelId>, Due) {
        let sender = &memory.sender;
        let waiting = sender.waiting.first().map(|waiting| waiting.channel.clone());
        let Some(id) = waiting.or_else(|| sender.draft.as_ref().map(|draft| draft.channel.clone())) else {
            return (None, Due::Later { at: None });
        };
        // What belongs to a channel that is closed waits until it opens.
        let later = Due::Later { at: now.checked_add(CLOSED_WAIT).ok() };
        let Some(channel) = self.pipeline.channels.borrow().open(id.as_str()).cloned() else {
            return (Some(id), later);
        };
        let deadline = sender.deadline();
        let flushed = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let due = flush_due(&mut memory.sender, key, &channel.facts, now);
            let mut expired = 0;
            let flush = |mut assembled: Assembled| {
                assembled.message.redraw = redraw;
                let step = self.pipeline.flushed(assembled, known, &channel, &mut memory, now);
                expired += step.expired;
                step.transition
            };
            let mut transitions: Vec<_> = due.into_iter().map(flush).collect();
            if let Some(step) = self.pipeline.idle(key, &channel, &mut memory, now) {
                expired += step.expired;
                transitions.push(step.transition);
            }
            (transitions, expired)
        }));
        let due = match flushed {
            Ok((transitions, _)) if transitions.is_empty() => Due::Later { at: deadline },
            Ok((transitions, expired)) => {
                tracing::info!(channel.id = %id, messages = transitions.len(), "a sender's deadline has passed");
                Due::Flushed(transitions, expired)
            }
            Err(_) => later,
        };
        (Some(id), due)
    }
}
