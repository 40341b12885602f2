//! Webhooks of simulated providers on their way to the gateway, with each provider's own patience.
//!
//! In: documents, each in a lane; those of one lane are delivered in order, one after another, and lanes go at the same time.
//! Out: requests at the target, until one is taken or the provider gives up. Without a target everything waits, and may be
//! fetched instead. Can be told to misbehave as real providers do: twice, late, in another order. Bounded: a document too many
//! is refused.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    adapter::webhook::send::{Outgoing, Response},
    clock,
    http::{Http, HttpError},
};

mod target;

pub use target::{Mischief, Policy, Proof, Target};

/// Most documents that wait at once.
const MOST_WAITING: usize = 200_000;

/// Why a delivery failed last, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub at: Timestamp,
    pub reason: String,
}

/// Told of the document that was taken, and of the reply.
type Heard = Box<dyn Fn(&[u8], &Response) + Send + Sync>;

struct Parcel {
    lane: String,
    body: Bytes,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<u64>,
    /// A task delivers its documents.
    runs: bool,
}

struct State {
    parcels: BTreeMap<u64, Parcel>,
    lanes: HashMap<String, Lane>,
    next: u64,
    trouble: Option<Trouble>,
    /// Since when the target says that it is gone for good.
    gone: Option<Instant>,
    dropped: u64,
}

/// The queue of a provider.
pub struct Delivery {
    client: Http,
    policy: Mutex<Policy>,
    mischief: Mutex<Mischief>,
    target: watch::Sender<Option<Arc<Target>>>,
    state: Mutex<State>,
    /// Told when a document is taken.
    heard: OnceLock<Heard>,
    /// A document came, or went.
    moved: Notify,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Delivery({} waiting)", self.waiting())
    }
}

/// What became of one request.
enum Attempt {
    Taken(Response),
    Failed { reason: String, retry_after: Option<Duration>, is_gone: bool },
}

impl Delivery {
    /// Numbers its documents from `first` on.
    pub fn new(policy: Policy, first: u64) -> Result<Arc<Self>, HttpError> {
        let client = Http::local_within(policy.patience)?;
        let state = State {
            parcels: BTreeMap::new(),
            lanes: HashMap::new(),
            next: first,
            trouble: None,
            gone: None,
            dropped: 0,
        };
        Ok(Arc::new(Self {
            client,
            policy: Mutex::new(policy),
            mischief: Mutex::new(Mischief::default()),
            target: watch::Sender::new(None),
            state: Mutex::new(state),
            heard: OnceLock::new(),
            moved: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets, once, who is told of each document that was taken, and what the target replied.
    pub fn on_reply(&self, heard: impl Fn(&[u8], &Response) + Send + Sync + 'static) {
        // Invariant: the provider calls it once, when it is made.
        let _ = self.heard.set(Box::new(heard));
    }

    pub fn set_policy(&self, policy: Policy) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    fn policy(&self) -> Policy {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_mischief(&self, mischief: Mischief) {
        *self.mischief.lock().unwrap_or_else(PoisonError::into_inner) = mischief;
    }

    pub fn mischief(&self) -> Mischief {
        *self.mischief.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where documents go from now on; what waits for its next try is tried at once.
    pub fn set_target(self: &Arc<Self>, target: Option<Target>) {
        self.target.send_replace(target.map(Arc::new));
        let mut state = self.state();
        (state.trouble, state.gone) = (None, None);
        let lanes: Vec<_> = state.lanes.keys().cloned().collect();
        for lane in lanes {
            self.wake(&mut state, &lane);
        }
    }

    pub fn target(&self) -> Option<Arc<Target>> {
        self.target.borrow().clone()
    }

    /// Documents that are not delivered yet.
    pub fn waiting(&self) -> usize {
        self.state().parcels.len()
    }

    /// Documents that were given up on, by the policy or for want of room.
    pub fn dropped(&self) -> u64 {
        self.state().dropped
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }

    /// Hands a document over; it is made from its number. Nothing when there is no room for it.
    pub fn push(self: &Arc<Self>, lane: &str, document: impl FnOnce(u64) -> serde_json::Value) -> Option<u64> {
        let mut state = self.state();
        if state.parcels.len() >= MOST_WAITING {
            state.dropped += 1;
            return None;
        }
        let id = state.next;
        state.next += 1;
        let body = Bytes::from(document(id).to_string());
        state.parcels.insert(id, Parcel { lane: lane.to_owned(), body });
        state.lanes.entry(lane.to_owned()).or_default().waiting.push_back(id);
        self.wake(&mut state, lane);
        drop(state);
        self.moved.notify_waiters();
        Some(id)
    }

    /// The first documents from number `from` on, without delivering them.
    pub fn peek(&self, from: u64, limit: usize) -> Vec<Bytes> {
        self.state().parcels.range(from..).take(limit).map(|(_, parcel)| parcel.body.clone()).collect()
    }

    /// The number of the first of the last `count` documents.
    pub fn last(&self, count: usize) -> u64 {
        let state = self.state();
        state
            .parcels
            .keys()
            .rev()
            .nth(count.saturating_sub(1))
            .or_else(|| state.parcels.keys().next())
            .map_or(0, |id| *id)
    }

    /// Forgets every document below a number, and returns them: they were fetched.
    pub fn forget_below(&self, number: u64) -> Vec<Bytes> {
        let mut state = self.state();
        let kept = state.parcels.split_off(&number);
        let gone = std::mem::replace(&mut state.parcels, kept);
        for parcel in gone.values() {
            let Some(lane) = state.lanes.get_mut(&parcel.lane) else { continue };
            lane.waiting.retain(|id| *id >= number);
            if lane.waiting.is_empty() && !lane.runs {
                state.lanes.remove(&parcel.lane);
            }
        }
        drop(state);
        self.moved.notify_waiters();
        gone.into_values().map(|parcel| parcel.body).collect()
    }

    /// Returns when something came or went, or after `patience`.
    pub async fn moves(&self, patience: Duration) {
        let _ = timeout(patience, self.moved.notified()).await;
    }

    /// Waits until nothing is on its way any more.
    pub async fn settled(&self, patience: Duration) -> bool {
        let waiting = async {
            while self.waiting() > 0 {
                self.moves(Duration::from_millis(100)).await;
            }
        };
        timeout(patience, waiting).await.is_ok()
    }

    fn wake(self: &Arc<Self>, state: &mut State, name: &str) {
        let Some(lane) = state.lanes.get_mut(name) else { return };
        if !lane.runs && !lane.waiting.is_empty() && self.target.borrow().is_some() {
            lane.runs = true;
            tokio::spawn(Arc::clone(self).run(name.to_owned()));
        }
    }

    async fn run(self: Arc<Self>, lane: String) {
        let mut target = self.target.subscribe();
        while let Some((id, body)) = self.front(&lane) {
            self.carry(id, &body, &mut target).await;
        }
    }

    /// The next document of a lane; when there is none, or no target, the lane rests.
    fn front(&self, name: &str) -> Option<(u64, Bytes)> {
        let mut guard = self.state();
        let state = &mut *guard;
        let lane = state.lanes.get_mut(name)?;
        while lane.waiting.front().is_some_and(|id| !state.parcels.contains_key(id)) {
            lane.waiting.pop_front();
        }
        let front = lane.waiting.front().and_then(|id| state.parcels.get(id).map(|parcel| (*id, parcel.body.clone())));
        if front.is_some() && self.target.borrow().is_some() {
            return front;
        }
        lane.runs = false;
        if lane.waiting.is_empty() {
            state.lanes.remove(name);
        }
        None
    }

    /// Tries until it is taken, given up, fetched, or has no target.
    async fn carry(self: &Arc<Self>, id: u64, body: &Bytes, target: &mut watch::Receiver<Option<Arc<Target>>>) {
        let (begun, mut tries) = (Instant::now(), 0);
        let mischief = self.mischief();
        sleep(mischief.wait(u64::from_le_bytes(clock::random()))).await;
        loop {
            let Some(now) = target.borrow_and_update().clone() else { return };
            if !self.state().parcels.contains_key(&id) {
                return;
            }
            match self.attempt(&now, body).await {
                Attempt::Taken(response) => {
                    for _ in 0..mischief.copies {
                        let _ = self.attempt(&now, body).await;
                    }
                    self.settle(id, body, &response);
                    return;
                }
                Attempt::Failed { reason, retry_after, is_gone } => {
                    tries += 1;
                    let policy = self.policy();
                    let chance = u64::from_le_bytes(clock::random());
                    let obeyed = retry_after.filter(|_| !policy.obeys.is_zero()).map(|wait| wait.min(policy.obeys));
                    let wait = obeyed.unwrap_or_else(|| policy.wait(tries, chance));
                    self.note(reason);
                    if self.is_closed(is_gone, &policy) {
                        return self.set_target(None);
                    }
                    if begun.elapsed() + wait > policy.gives_up {
                        return self.drop_parcel(id);
                    }
                    tokio::select! {
                        () = sleep(wait) => {}
                        _ = target.changed() => {}
                    }
                }
            }
        }
    }

    async fn attempt(&self, target: &Target, body: &Bytes) -> Attempt {
        let failed = |reason: String| Attempt::Failed { reason, retry_after: None, is_gone: false };
        let Ok(_slot) = target.slots.acquire().await else { return failed("the webhook is closed".to_owned()) };
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(target.proof.header(body));
        let outgoing = Outgoing {
            method: "POST".to_owned(),
            url: target.chosen(u64::from_le_bytes(clock::random())).to_owned(),
            shown: "the webhook".to_owned(),
            headers,
            body: body.to_vec(),
        };
        let policy = self.policy();
        match timeout(policy.patience, self.client.send(outgoing)).await {
            Ok(Ok(response)) if policy.success.contains(&response.status) => Attempt::Taken(response),
            Ok(Ok(response)) => Attempt::Failed {
                reason: format!("Wrong response from the webhook: {}", status_line(response.status)),
                retry_after: retry_after(&response),
                is_gone: response.status == 410,
            },
            Ok(Err(error)) if error.may_have_left() => failed("Connection closed".to_owned()),
            Ok(Err(_)) => failed("Connection refused".to_owned()),
            Err(_) => failed("Read timeout expired".to_owned()),
        }
    }

    fn settle(&self, id: u64, body: &[u8], response: &Response) {
        self.state().gone = None;
        if let Some(heard) = self.heard.get() {
            heard(body, response);
        }
        self.state().parcels.remove(&id);
        self.moved.notify_waiters();
    }

    fn drop_parcel(&self, id: u64) {
        let mut state = self.state();
        state.parcels.remove(&id);
        state.dropped += 1;
        drop(state);
        self.moved.notify_waiters();
    }

    fn note(&self, reason: String) {
        self.state().trouble = Some(Trouble { at: clock::now(), reason });
        self.moved.notify_waiters();
    }

    /// Has the target said for so long that it is gone that the provider believes it?
    fn is_closed(&self, is_gone: bool, policy: &Policy) -> bool {
        let mut state = self.state();
        if !is_gone {
            state.gone = None;
            return false;
        }
        let since = *state.gone.get_or_insert_with(Instant::now);
        policy.closes.is_some_and(|closes| since.elapsed() > closes)
    }
}

fn status_line(status: u16) -> String {
    let reason = axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!("{status} {}", reason.unwrap_or_default())
}

/// Seconds only: no gateway of ours sends a date.
fn retry_after(response: &Response) -> Option<Duration> {
    let (_, value) = response.headers.iter().find(|(name, _)| name == "retry-after")?;
    value.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
