//! Channels whose messages we ask for ourselves, in place of being called: one task for each, on one gateway at a time.
//!
//! In: the channels as they are loaded, changed and removed, and a [`Reader`] that knows the protocol. Out: the reader at
//! work on each of its channels, whenever this gateway holds the lease `<kind>:<channel>` in the store. A lease that is lost
//! ends the reading at once, wherever it is: what it had not told the other side is brought again to whoever goes on.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    channel::{Channel, ChannelSet},
    clock,
    receipt::ChannelId,
    store::Store,
};

mod lease;
pub mod pause;

use lease::Lease;

/// How long the reading of a channel may take to end.
const END: Duration = Duration::from_secs(5);
/// How often it is looked whether a task has ended by itself, which is a defect.
const ROUND: Duration = Duration::from_secs(5);

/// What every round needs.
pub struct Parts {
    pub store: Arc<dyn Store>,
    /// The channels as they are now.
    pub channels: watch::Receiver<Arc<ChannelSet>>,
    /// This gateway's name.
    pub owner: String,
    /// True when the gateway stops.
    pub stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Parts({})", self.owner)
    }
}

/// Reads one kind of channel.
pub trait Reader: Send + Sync + 'static {
    /// Of the lease.
    const KIND: &str;
    /// What is kept of a channel from one turn of the lease to the next.
    type Kept: Send + Sync;

    /// The channels that are to be read now.
    fn channels(&self) -> Vec<Arc<Channel>>;

    /// A channel is about to be read, or was changed.
    fn open(&self, channel: &Channel) -> Self::Kept;

    /// Reads a channel until it is dropped.
    fn read(&self, channel: &Arc<Channel>, kept: &Self::Kept) -> impl Future<Output = Infallible> + Send;
}

/// A channel that is read, by a task of its own.
struct Desk {
    channel: Arc<Channel>,
    /// Dropped to end it.
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What the tasks share.
struct Round<R> {
    reader: R,
    store: Arc<dyn Store>,
    owner: String,
}

/// Reads the channels of a kind until the gateway stops.
pub async fn run<R: Reader>(reader: R, parts: Parts) {
    let Parts { store, mut channels, owner, mut stop } = parts;
    // Two gateways may have the same name in their configuration, and still only one of them reads.
    let owner = format!("{owner}/{}", clock::uuid7(clock::now()));
    let round = Arc::new(Round { reader, store, owner });
    let mut desks: BTreeMap<ChannelId, Desk> = BTreeMap::new();
    loop {
        channels.borrow_and_update();
        rearrange(&round, &mut desks).await;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            changed = channels.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(ROUND) => {}
        }
    }
    join_all(desks.into_values().map(close)).await;
}

/// Ends what is no longer there or has changed, and begins what is new. A channel that is unchanged is left alone.
async fn rearrange<R: Reader>(round: &Arc<Round<R>>, desks: &mut BTreeMap<ChannelId, Desk>) {
    let open: BTreeMap<ChannelId, Arc<Channel>> =
        round.reader.channels().into_iter().map(|channel| (channel.id().clone(), channel)).collect();
    let is_good = |desk: &Desk| {
        open.get(desk.channel.id()).is_some_and(|channel| Arc::ptr_eq(channel, &desk.channel))
            && !desk.task.is_finished()
    };
    let ended: Vec<ChannelId> = desks.iter().filter(|(_, desk)| !is_good(desk)).map(|(id, _)| id.clone()).collect();
    join_all(ended.iter().filter_map(|id| desks.remove(id)).map(close)).await;
    for (id, channel) in open {
        if let Entry::Vacant(place) = desks.entry(id) {
            let (end, ended) = oneshot::channel();
            let task = tokio::spawn(read(round.clone(), channel.clone(), ended));
            place.insert(Desk { channel, end, task });
        }
    }
}

async fn close(desk: Desk) {
    drop(desk.end);
    let mut task = desk.task;
    match timeout(END, &mut task).await {
        Ok(Err(error)) if error.is_panic() => {
            tracing::error!(channel.id = %desk.channel.id(), "the reader of a channel has panicked, please report it");
        }
        Ok(_) => {}
        Err(_) => task.abort(),
    }
}

/// Reads one channel whenever this gateway holds the lease.
async fn read<R: Reader>(round: Arc<Round<R>>, channel: Arc<Channel>, mut ended: oneshot::Receiver<()>) {
    let kept = round.reader.open(&channel);
    let lease = Lease::new(round.store.clone(), R::KIND, channel.id(), round.owner.clone());
    loop {
        let turn = async {
            lease.taken().await;
            tracing::info!(channel.id = %channel.id(), kind = R::KIND, "this gateway reads the channel");
            tokio::select! {
                () = lease.lost() => {}
                never = round.reader.read(&channel, &kept) => match never {},
            }
        };
        tokio::select! {
            () = turn => {
                tracing::warn!(channel.id = %channel.id(), kind = R::KIND, "this gateway no longer reads the channel: the lease is gone");
            }
            _ = &mut ended => break,
        }
    }
    lease.release().await;
}
