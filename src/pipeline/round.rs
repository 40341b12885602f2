//! A round: the messages of a batch that are left go through the stages and are settled in one call.
//!
//! What met a conflict, or has to let a message of another gateway go first, is left for the next round. While the store is
//! away a round is repeated; one message that the store will never take is found by halves and quarantined.

use std::{collections::HashMap, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::{
    Pipeline,
    applying::{Applier, Came, FIRST_WAIT, LONGEST_WAIT, Pending, Stopped, pause, reservation},
    transition::{Memory, Step},
};
use crate::{
    clock,
    normalise::Normalised,
    sender::Sender,
    store::{Begun, SenderKey, Settled, StoreError, Versioned},
    telemetry::Outcome,
};

/// First and longest wait for the messages of other gateways that come first.
const FIRST_TURN: Duration = Duration::from_millis(2);
const LONGEST_TURN: Duration = Duration::from_millis(50);

/// What the store said to a message in a round.
#[derive(Debug)]
struct Answered {
    settled: Settled,
    came: Came,
}

/// Why a round came to nothing.
#[derive(Debug)]
enum Interrupted {
    Store(StoreError),
    /// A stage panicked over the message at this place.
    Panicked {
        place: usize,
    },
}

impl Answered {
    /// Is the message done with?
    fn is_over(&self) -> bool {
        !matches!(self.settled, Settled::Conflict | Settled::NotYet | Settled::TrackingIdTaken)
    }
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Applier {
    /// True when a queue has grown.
    pub(super) async fn messages(
        &self,
        mut pending: Vec<Pending>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<bool, Stopped> {
        let (mut wait, mut turn, mut rung) = (FIRST_WAIT, FIRST_TURN, false);
        while !pending.is_empty() {
            match self.round(&mut pending).await {
                Ok(settled) => {
                    if self.pipeline.metrics.store_up.set(1) == 0 {
                        tracing::info!("the store is back");
                    }
                    (wait, turn) = (FIRST_WAIT, if settled.iter().any(Answered::is_over) { FIRST_TURN } else { turn });
                    let is_early = settled.iter().any(|answered| answered.settled == Settled::NotYet);
                    let over = pending.iter().zip(&settled).filter(|(_, answered)| answered.is_over());
                    let turns: Vec<_> = over.map(|(pending, _)| Pipeline::turn(&pending.message)).collect();
                    let (left, grown) = self.book(pending, settled, stop).await?;
                    pending = left;
                    rung |= grown;
                    self.until_it_works(stop, || self.pipeline.store.leave(&turns)).await?;
                    if is_early {
                        // Even when the gateway stops: the others will come as far soon.
                        tokio::time::sleep(turn).await;
                        turn = (turn * 2).min(LONGEST_TURN);
                        let look = || self.pipeline.store.line_up(&[], self.signs.read_through());
                        self.until_it_works(stop, look).await?;
                    }
                }
                Err(Interrupted::Panicked { place }) => {
                    let one = pending.remove(place);
                    let reason = "a stage failed inside the gateway; please report this".to_owned();
                    self.give_up(&one, reason, stop).await?;
                }
                Err(Interrupted::Store(error)) if error.is_transient() => {
                    self.store_is_away(&error);
                    pause(&mut wait, LONGEST_WAIT, stop).await?;
                }
                Err(Interrupted::Store(error)) => {
                    tracing::error!(%error, messages = pending.len(), "the store refuses");
                    pending = self.give_up_on_one(pending, &error, stop).await?;
                    pause(&mut wait, LONGEST_WAIT, stop).await?;
                }
            }
        }
        Ok(rung)
    }

    /// One round over all that is left: the memory of each sender, the stages, and one call of the store.
    async fn round(&self, pending: &mut [Pending]) -> Result<Vec<Answered>, Interrupted> {
        let now = clock::now();
        let (mut memories, mut over) = self.begin(pending).await?;
        let mut steps = Vec::with_capacity(pending.len());
        for (place, Pending { channel, message, .. }) in pending.iter().enumerate() {
            if over[place].is_some() {
                continue;
            }
            let memory = memories.get_mut(&message.sender).expect("the memory of every sender was read");
            // A defect in a stage must not end the pipeline, nor meet the same message again at each start.
            let step = AssertUnwindSafe(self.pipeline.message(message.clone(), channel, memory, now)).catch_unwind();
            steps.push((place, step.await.map_err(|_| Interrupted::Panicked { place })??));
        }
        self.reserve_others(pending, &mut steps, &mut over).await?;
        let (transitions, rest): (Vec<_>, Vec<_>) = steps
            .into_iter()
            .map(|(place, Step { transition, outcome, expired })| {
                let answers = !transition.outbox.is_empty();
                (transition, (place, Came { outcome, answers, expired }))
            })
            .unzip();
        let settled = match self.pipeline.store.settle(transitions).await {
            Ok(settled) => settled,
            Err(error) => {
                // It may have been applied for all we know: then the next round is told that it was, and not as what.
                for (place, came) in rest {
                    pending[place].tried = Some(came);
                }
                return Err(error.into());
            }
        };
        let mut answered: Vec<_> = over
            .into_iter()
            .map(|over| Answered { settled: over.unwrap_or(Settled::Conflict), came: Came::default() })
            .collect();
        for (settled, (place, came)) in settled.into_iter().zip(rest) {
            answered[place] = Answered { settled, came };
        }
        for (pending, answered) in pending.iter().zip(&mut answered) {
            if answered.settled == Settled::Repeated {
                answered.came = pending.tried.unwrap_or_default();
            }
        }
        Ok(answered)
    }

    /// The memory of each sender, and what the store says already. A tracking id that is taken is drawn again at once, so
    /// that nothing of the same sender overtakes the message.
    async fn begin(
        &self,
        pending: &mut [Pending],
    ) -> Result<(HashMap<SenderKey, Memory>, Vec<Option<Settled>>), StoreError> {
        let mut memories = HashMap::new();
        let mut over: Vec<Option<Settled>> = vec![None; pending.len()];
        let mut places: Vec<usize> = (0..pending.len()).collect();
        while !places.is_empty() {
            let openings: Vec<_> = places.iter().map(|place| Pipeline::opening(&pending[*place].message)).collect();
            let begun = self.pipeline.store.begin(&openings).await?;
            let mut again = Vec::new();
            for (place, Begun { sender, settled }) in places.into_iter().zip(begun) {
                let message = &mut pending[place].message;
                memories.entry(message.sender).or_insert_with(|| memory(&sender));
                if settled == Some(Settled::TrackingIdTaken) && message.redraw < u8::MAX {
                    redraw(message);
                    again.push(place);
                } else {
                    over[place] = settled;
                }
            }
            places = again;
        }
        Ok((memories, over))
    }

    /// Complaints of several fragments have ids that were not reserved yet.
    async fn reserve_others(
        &self,
        pending: &mut [Pending],
        steps: &mut Vec<(usize, Step)>,
        over: &mut [Option<Settled>],
    ) -> Result<(), StoreError> {
        let drawn = |place: usize| Pipeline::opening(&pending[place].message).draw;
        let others: Vec<_> = steps
            .iter()
            .filter_map(|(place, step)| {
                let opening = reservation(&step.transition)?;
                (opening.draw != drawn(*place)).then_some((*place, opening))
            })
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let (places, openings): (Vec<_>, Vec<_>) = others.into_iter().unzip();
        for (place, begun) in places.into_iter().zip(self.pipeline.store.begin(&openings).await?) {
            let Some(settled) = begun.settled else { continue };
            if settled == Settled::TrackingIdTaken {
                redraw(&mut pending[place].message);
            }
            over[place] = Some(if settled == Settled::TrackingIdTaken { Settled::Conflict } else { settled });
            steps.retain(|(other, _)| *other != place);
        }
        Ok(())
    }

    /// Books what is settled; what met a conflict is left.
    async fn book(
        &self,
        pending: Vec<Pending>,
        answered: Vec<Answered>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(Vec<Pending>, bool), Stopped> {
        let (mut left, mut rung) = (Vec::new(), false);
        for (mut pending, Answered { settled, came: Came { outcome, answers, expired } }) in
            pending.into_iter().zip(answered)
        {
            let channel = pending.channel.facts.id.as_str();
            let outcome = match settled {
                Settled::Applied | Settled::Repeated => {
                    self.pipeline.metrics.expired(channel, expired);
                    outcome
                }
                Settled::Duplicate { .. } => Outcome::duplicate,
                Settled::NonceReused => {
                    let reason = "the nonce was used before with another body".to_owned();
                    self.quarantine(&[(pending.ticket, reason)], stop).await?;
                    Outcome::quarantined
                }
                Settled::Conflict | Settled::NotYet => {
                    left.push(pending);
                    continue;
                }
                Settled::TrackingIdTaken => {
                    redraw(&mut pending.message);
                    left.push(pending);
                    continue;
                }
            };
            rung |= outcome == Outcome::enqueued;
            self.pipeline.metrics.book(channel, outcome, 1);
            self.pipeline.metrics.last_message(channel, pending.message.origin.received_at.as_second());
            if answers {
                self.pipeline.outbox_bell.notify_one();
            }
        }
        Ok((left, rung))
    }

    /// One message that the store will never take must not hold up all others: it is found by halves and quarantined.
    async fn give_up_on_one(
        &self,
        mut pending: Vec<Pending>,
        error: &StoreError,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Vec<Pending>, Stopped> {
        if pending.len() > 1 {
            let rest = pending.split_off(pending.len() / 2);
            Box::pin(self.messages(pending, stop)).await?;
            Box::pin(self.messages(rest, stop)).await?;
            return Ok(Vec::new());
        }
        for one in pending {
            self.give_up(&one, error.to_string(), stop).await?;
        }
        Ok(Vec::new())
    }

    /// Quarantines a message. Nobody waits for it any more.
    async fn give_up(&self, one: &Pending, reason: String, stop: &mut watch::Receiver<bool>) -> Result<(), Stopped> {
        self.quarantine(&[(one.ticket, reason)], stop).await?;
        self.pipeline.metrics.book(one.channel.facts.id.as_str(), Outcome::quarantined, 1);
        let turn = [Pipeline::turn(&one.message)];
        self.until_it_works(stop, || self.pipeline.store.leave(&turn)).await
    }
}

/// Its tracking id is taken: it gets another.
fn redraw(message: &mut Normalised) {
    message.redraw = message.redraw.saturating_add(1);
}

fn memory(found: &Versioned) -> Memory {
    let sender = Sender::decode(&found.state.value).unwrap_or_else(|error| {
        // A memory that cannot be read must not stop the citizen: it begins anew.
        tracing::error!(error, "the memory of a sender cannot be read and begins anew");
        Sender::default()
    });
    Memory { version: found.version, sender }
}
