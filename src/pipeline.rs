//! The pipeline: the only module that knows the order of the stages.
//!
//! It follows the journal. [`reading`] takes receipts in the order of acceptance, parses and normalises them on a thread
//! that can be left behind; [`applying`] runs the stages that need the sender's memory (assemble, converse, route,
//! acknowledge), gives the store what came of them, and tells the journal how far it has come. A batch is repeated until
//! the store has it, so that an outage or a crash between two steps is harmless: every id is derived from the receipt,
//! and the store applies each claim once.
//!
//! One task reads and one applies, so messages of one sender are processed in the order received (G5).

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tokio::sync::{Notify, mpsc, watch};

use crate::{
    agencies::Agencies,
    authenticity::Authenticator,
    channel::ChannelSet,
    converse::chat::flow::Flow,
    gateway::Gateway,
    journal::{Journal, Tail},
    locale::Locales,
    route::Routing,
    store::Store,
    telemetry::Metrics,
    vault::Vault,
};

mod applying;
mod reading;
mod round;
mod signs;
mod timers;
mod transition;

/// Why a receipt of a channel that is not open waits in the quarantine; it comes back by itself when the channel opens.
pub const CHANNEL_CLOSED: &str = "the channel is not open";

/// As long as a gateway that stops takes leave of the others.
const FAREWELL: Duration = Duration::from_secs(2);

/// Most receipts of one batch.
const BATCH: usize = 128;

/// The rules that operators write, swapped as a whole.
#[derive(Debug)]
pub struct Rules {
    pub agencies: Agencies,
    pub routing: Routing,
    pub locales: Locales,
    /// The questions of chats.
    pub flow: Flow,
}

/// Everything that the stages are handed.
#[derive(Clone)]
pub struct Pipeline {
    pub journal: Journal,
    pub store: Arc<dyn Store>,
    pub channels: watch::Receiver<Arc<ChannelSet>>,
    pub gateway: Arc<Gateway>,
    pub rules: Arc<Rules>,
    pub vault: Arc<Vault>,
    pub metrics: Arc<Metrics>,
    /// Asks who sent a letter.
    pub authenticator: Arc<Authenticator>,
    /// Rung when an answer waits to be sent.
    pub outbox_bell: Arc<Notify>,
    /// Rung when a queue has grown.
    pub queue_bell: Arc<Notify>,
    /// Sequence number through which the store has everything.
    pub applied: Arc<watch::Sender<u64>>,
}

impl Pipeline {
    /// Runs until the journal is closed and read to its end, or `stop` turns true. What is not applied by then is still in
    /// the journal.
    pub async fn run(self, tail: Tail, stop: watch::Receiver<bool>) {
        // One batch is read while the one before it is applied.
        let (sender, receiver) = mpsc::channel(1);
        let reader = reading::Reader { pipeline: self.clone(), left_behind: Arc::new(AtomicUsize::new(0)) };
        let reading = tokio::spawn(reader.run(tail, sender));
        let store = Arc::clone(&self.store);
        let owner = self.gateway.name.clone();
        let signs = Arc::new(signs::Signs::default());
        let signing = tokio::spawn({
            let (signs, pipeline) = (Arc::clone(&signs), self.clone());
            async move { signs.run(pipeline).await }
        });
        let applier = applying::Applier { pipeline: self, signs, owner };
        applier.run(receiver, stop).await;
        signing.abort();
        reading.abort();
        // Nobody has to wait for this gateway now. If that cannot be said, the others find out.
        let _ = tokio::time::timeout(FAREWELL, store.depart()).await;
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Pipeline")
    }
}
