//! The pipeline: the only module that knows the order of the stages.
//!
//! It has two halves with the journal between them. [`Pipeline::accept`] verifies a receipt, journals it and says what
//! to reply; it never waits for the store. The worker, on a thread of its own, reads the journal, whether what it finds came
//! a moment ago or before a crash, and takes each receipt through parse, normalise, assemble, converse, route, enqueue
//! and acknowledge. What it cannot take apart goes to the quarantine. Messages of one sender are processed in the order
//! received, as the worker settles its batches in order (G5).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jiff::SignedDuration;
use tokio::sync::{Notify, oneshot};

use crate::{
    acknowledge::Locales,
    channel::{Channel, Registry},
    complaint::{ContentDisclosure, ReplyCapability, ReporterDisclosure},
    converse::facts::{ChannelFacts, ReporterKey},
    journal::Journal,
    mapping::Pool,
    receipt::ReceiptId,
    route::Router,
    signature::Nonces,
    store::Store,
    telemetry::Metrics,
    vault::Vault,
};

mod accept;
mod settle;
mod worker;

pub use accept::{Incoming, Reply};
pub use worker::StoreHealth;

/// What the gateway's configuration says to the pure stages.
#[derive(Clone, Debug)]
pub struct GatewayFacts {
    pub gateway: String,
    pub organisation: String,
    pub privacy_url: String,
    pub working_days: u32,
    pub reporter_disclosure: ReporterDisclosure,
    pub content_disclosure: ContentDisclosure,
    pub notice_version: String,
    /// How long raw receipts are kept.
    pub raw: SignedDuration,
    /// How long claims are kept.
    pub claims: SignedDuration,
    /// The reply waits for the store, up to half a second.
    pub reply_after_queue: bool,
}

/// What the pipeline works with. Shared by the server's handlers and the worker.
pub struct Pipeline {
    pub registry: Arc<Registry>,
    pub journal: Journal,
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub metrics: Arc<Metrics>,
    pub locales: Arc<Locales>,
    pub nonces: Nonces,
    pub reporter_key: ReporterKey,
    pub facts: GatewayFacts,
    pub public_url: String,
    pub pool: Pool,
    /// Wakes the outbox when answers were added.
    pub outbox: Arc<Notify>,
    /// What the worker last heard of the store, for `/readyz`.
    pub store_health: StoreHealth,
    /// Receipts of the quarantine that an operator wants processed again.
    pub replays: Mutex<Vec<ReceiptId>>,
    router: RwLock<Arc<Router>>,
    waiting: Mutex<HashMap<ReceiptId, oneshot::Sender<()>>>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Pipeline({})", self.facts.gateway)
    }
}

/// The parts of a [`Pipeline`] that are made outside.
#[derive(Debug)]
pub struct Parts {
    pub registry: Arc<Registry>,
    pub journal: Journal,
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub metrics: Arc<Metrics>,
    pub locales: Arc<Locales>,
    pub reporter_key: ReporterKey,
    pub facts: GatewayFacts,
    pub public_url: String,
    pub outbox: Arc<Notify>,
    pub router: Arc<Router>,
}

impl Pipeline {
    pub fn new(parts: Parts) -> Self {
        Self {
            registry: parts.registry,
            journal: parts.journal,
            store: parts.store,
            vault: parts.vault,
            metrics: parts.metrics,
            locales: parts.locales,
            nonces: Nonces::default(),
            reporter_key: parts.reporter_key,
            facts: parts.facts,
            public_url: parts.public_url,
            pool: Pool::new(),
            outbox: parts.outbox,
            store_health: StoreHealth::default(),
            replays: Mutex::default(),
            router: RwLock::new(parts.router),
            waiting: Mutex::default(),
        }
    }

    /// The routing rules as they are now.
    pub fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes up new routing rules; complaints from now on follow them.
    pub fn set_router(&self, router: Arc<Router>) {
        *self.router.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    /// The channel with the gateway's defaults, as the stages see it.
    fn channel_facts(&self, channel: &Channel) -> ChannelFacts {
        ChannelFacts {
            id: channel.id.clone(),
            medium: channel.manifest.medium,
            provider: channel.manifest.provider.clone(),
            capabilities: if channel.send_rate().is_some() { vec![ReplyCapability::Text] } else { Vec::new() },
            timezone: channel.timezone.clone(),
            language: channel.language.clone(),
            reporter_disclosure: self.facts.reporter_disclosure,
            content_disclosure: self.facts.content_disclosure,
            notice_version: self.facts.notice_version.clone(),
            gateway: self.facts.gateway.clone(),
        }
    }
}
