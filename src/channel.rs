//! Channels: a manifest (`channels/<provider>.toml`) opened with an operator's settings (`config/channels/<id>.toml`).
//!
//! In: both folders and the environment. Out: a [`ChannelSet`], everything compiled and every secret resolved, or the
//! mistakes with file, line and hint. A file that fails never takes down what runs.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    adapter::{
        Engine,
        mail::{Mail, Post},
        telegram::{Account, Updates},
    },
    diagnostic::Diagnostic,
    mail::addresses::OurAddresses,
    mapping::Surroundings,
    message::Message,
    receipt::{ChannelId, Origin},
    settings::Settings,
    signature::{Transport, Verifier, VerifyMode},
    units::Size,
};

mod facts;

// The two files as they are written, and how their mistakes are found.
pub mod document;
pub mod file;
pub mod manifest;
pub mod lint;

// A manifest that is fit to be used, and its samples.
pub mod provider;
pub mod attempt;
pub mod request_file;
pub mod sample;
pub mod refusal;

// From folders to open channels.
pub mod folders;
pub mod open;
pub mod load;
pub mod reload;

pub use facts::ChannelFacts;
use manifest::Manifest;

/// A channel that is open: everything compiled, every secret resolved.
#[derive(Debug)]
pub struct Channel {
    pub facts: ChannelFacts,
    /// False: 401 to the provider, nothing sent.
    pub enabled: bool,
    pub manifest: Arc<Manifest>,
    pub engine: Arc<Engine>,
    /// What the settings of a channel for mail say.
    pub post: Option<Arc<Post>>,
    /// What the settings of a bot say, with `adapter = "telegram"`.
    pub bot: Option<Arc<Account>>,
    /// Of a channel that brings letters: its own addresses, and the servers that are believed.
    pub ours: OurAddresses,
    pub trusted_servers: Vec<String>,
    pub verifier: Verifier,
    pub mode: VerifyMode,
    pub settings: Settings,
    /// The channel whose URL and keys this one shares; then it has no URL of its own.
    pub receiver: Option<ChannelId>,
    /// The smaller of the manifest's and the channel's.
    pub max_body: Size,
    pub send_per_second: f64,
    /// Spend cap of acknowledgements; None: no cap.
    pub acks_per_day: Option<u64>,
    /// Media may be fetched from private addresses.
    pub allow_private_media: bool,
    /// `{public URL}/in/{channel}/status`
    pub receipts_url: String,
}

impl Channel {
    pub fn id(&self) -> &ChannelId {
        &self.facts.id
    }

    pub fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            settings: &self.settings,
            country: &self.facts.country,
            timezone: &self.facts.timezone,
            ours: &self.ours,
            trusted_servers: &self.trusted_servers,
            sharers: &[],
        }
    }

    /// How that reaches us which we fetch ourselves or are handed over; None: requests come, and are verified one by one.
    pub fn transport(&self) -> Option<Transport> {
        match self.polled() {
            Some(bot) => Some(bot.transport()),
            None => self.engine.mail().map(Mail::transport),
        }
    }

    /// The bot whose updates are asked for: nobody calls such a channel.
    pub fn polled(&self) -> Option<&Account> {
        self.bot.as_deref().filter(|bot| bot.updates == Updates::Polling)
    }

    /// Do whole letters come to it, which may be large?
    pub fn reads_letters(&self) -> bool {
        let has_mime = self.manifest.message.as_ref().is_some_and(|message| message.mime.is_some());
        self.engine.mail().is_some() || has_mime
    }

    /// Is a request of this method and content type looked at? The content type is compared without parameters.
    pub fn takes(&self, method: &str, content_type: Option<&str>) -> bool {
        if self.engine.mail().is_some() {
            // No request is for it; a letter that is tried has the name of its protocol for a method.
            return matches!(method, "SMTP" | "LMTP" | "IMAP");
        }
        let rules = &self.manifest.receive;
        let media_type = content_type.and_then(|value| value.split(';').next()).map_or("", str::trim);
        // A request without a body has no content type to compare.
        let is_bodiless = matches!(method, "GET" | "HEAD");
        let method_fits = rules.methods.iter().any(|wanted| wanted == method)
            || self.manifest.handshakes.iter().any(|handshake| handshake.method.as_deref() == Some(method));
        let type_fits = rules.content_types.iter().any(|wanted| wanted.eq_ignore_ascii_case(media_type));
        method_fits && (is_bodiless || rules.content_types.is_empty() || type_fits)
    }
}

/// `normalise` as samples and `loket channel try` need it: a message as it came, and as it goes on. It is handed in
/// because the stage knows of channels, and not the other way round.
pub type Normaliser = fn(&Arc<Origin>, usize, Message, &ChannelFacts) -> Message;

/// What stands behind a channel id.
#[derive(Clone, Debug)]
pub enum Slot {
    Open(Arc<Channel>),
    /// Answers 503; the reasons are shown in log, `/readyz`, `loket channel list`.
    Closed {
        reasons: Arc<Vec<Diagnostic>>,
    },
}

/// All channels of a gateway at one moment; swapped as a whole.
#[derive(Clone, Debug, Default)]
pub struct ChannelSet {
    pub slots: BTreeMap<ChannelId, Slot>,
    /// Mistakes in files that changed nothing because an older version runs on, and warnings.
    pub remarks: Vec<Diagnostic>,
    /// What the next load need not do again.
    pub(crate) memory: Arc<load::Memory>,
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

    /// The open channels that share this one's URL; none where nothing could tell their items apart.
    pub fn sharers(&self, receiver: &Channel) -> Arc<[Arc<Channel>]> {
        if receiver.manifest.receive.pick.is_none() {
            return Arc::default();
        }
        let open = self.slots.keys().filter_map(|id| self.open(id.as_str()));
        open.filter(|channel| channel.enabled && channel.receiver.as_ref() == Some(receiver.id())).cloned().collect()
    }
}
