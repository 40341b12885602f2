//! Channels: a manifest (`channels/<provider>.toml`) opened with an operator's settings (`config/channels/<id>.toml`).

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZone;

use crate::{
    adapter::webhook::Webhook,
    diagnostic::Diagnostic,
    mapping::Surroundings,
    receipt::ChannelId,
    settings::Settings,
    signature::{Verifier, VerifyMode},
    units::Size,
};

mod facts;
pub mod manifest;

pub use facts::ChannelFacts;
use manifest::Manifest;

/// A channel that is open: everything compiled, every secret resolved.
#[derive(Debug)]
pub struct Channel {
    pub id: ChannelId,
    pub title: String,
    /// False: 401 to the provider, nothing sent.
    pub enabled: bool,
    pub manifest: Arc<Manifest>,
    pub engine: Arc<Webhook>,
    pub verifier: Verifier,
    pub mode: VerifyMode,
    pub settings: Settings,
    /// ISO 3166 code.
    pub country: String,
    pub timezone: TimeZone,
    /// BCP 47, of the first answer.
    pub language: String,
    /// False: nothing is sent on our own initiative.
    pub acknowledge: bool,
    /// The queue that the channel names, ahead of the routing rules' default.
    pub queue: Option<String>,
    /// The channel whose URL and keys this one shares.
    pub receiver: Option<ChannelId>,
    /// The smaller of the manifest's and the channel's.
    pub max_body: Size,
    pub send_per_second: f64,
    /// Spend cap of acknowledgements; None: no cap.
    pub acks_per_day: Option<u64>,
    /// `{public URL}/in/{channel}/status`
    pub receipts_url: String,
}

impl Channel {
    pub fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { settings: &self.settings, country: &self.country, timezone: &self.timezone }
    }
}

/// What stands behind a channel id.
#[derive(Clone, Debug)]
pub enum Slot {
    Open(Arc<Channel>),
    /// Answers 503; the reasons are shown in log, `/readyz`, `loket channel list`.
    Closed { reasons: Arc<Vec<Diagnostic>> },
}

/// All channels of a gateway at one moment; swapped as a whole.
#[derive(Clone, Debug, Default)]
pub struct ChannelSet {
    pub slots: BTreeMap<ChannelId, Slot>,
    /// Mistakes in files that changed nothing because an older version runs on, and warnings.
    pub remarks: Vec<Diagnostic>,
}

impl ChannelSet {
    pub fn slot(&self, id: &str) -> Option<&Slot> {
        // Lookups borrow the text: no allocation for ids that nobody knows.
        self.slots.get(id)
    }

    pub fn open(&self, id: &str) -> Option<&Arc<Channel>> {
        match self.slot(id)? {
            Slot::Open(channel) => Some(channel),
            Slot::Closed { .. } => None,
        }
    }
}
