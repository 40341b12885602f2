//! Telegram bots: updates are asked for where no public URL is to be had, and the webhook is looked after by the doctor.
//!
//! In: the channels whose bot says `updates = "polling"`, as they are loaded, changed and removed. Out: a journalled receipt for
//! every update, with the bytes that a webhook would have brought; only then is Telegram told, by the offset of the next
//! question, that it may forget them (G1). It must never stop because of an update, never wait for ever, never move the offset
//! over what is not on the disk, and never show a URL: the token is part of it.
//!
//! Of several gateways one asks a bot: it holds the lease `telegram:<channel>`. How far it was read is kept by Telegram and
//! nowhere else. A crash between journal and offset, or two who ask at once for a moment, only bring updates again that the
//! claims know already.
//!
//! In reading order: `asking` is the loop, `answer` reads what came, `trouble` says what can go wrong, [`doctor`] is
//! `loket channel doctor` over `calls`, the Bot API by `teloxide`.

use std::{convert::Infallible, sync::Arc};

use tokio::sync::watch;

use crate::{
    channel::{Channel, ChannelSet, Slot},
    http::Http,
    journal::Journal,
    poller::{self, Reader},
    store::Store,
    telemetry::Metrics,
};

mod answer;
mod asking;
mod calls;
pub mod doctor;
mod trouble;

use asking::Asking;

/// What bots are asked with.
pub struct Parts {
    pub journal: Journal,
    /// The channels as they are now.
    pub channels: watch::Receiver<Arc<ChannelSet>>,
    pub metrics: Arc<Metrics>,
    pub store: Arc<dyn Store>,
    pub http: Http,
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

/// Asks the bots of all channels until the gateway stops.
pub async fn run(parts: Parts) {
    let Parts { journal, channels, metrics, store, http, owner, stop } = parts;
    let round = poller::Parts { store, channels: channels.clone(), owner, stop };
    poller::run(Bots { journal, channels, metrics, http }, round).await;
}

struct Bots {
    journal: Journal,
    channels: watch::Receiver<Arc<ChannelSet>>,
    metrics: Arc<Metrics>,
    http: Http,
}

impl Reader for Bots {
    const KIND: &str = "telegram";
    type Kept = ();

    fn channels(&self) -> Vec<Arc<Channel>> {
        let set = self.channels.borrow();
        let open = set.slots.values().filter_map(|slot| match slot {
            Slot::Open(channel) if channel.enabled && channel.polled().is_some() => Some(channel.clone()),
            _ => None,
        });
        open.collect()
    }

    fn open(&self, channel: &Channel) {
        self.metrics.poll_opened(channel.id().as_str());
        if channel.polled().is_some_and(|bot| !bot.api_url.starts_with("https://")) {
            tracing::warn!(channel.id = %channel.id(), "the bot is asked in clear: token and messages can be seen on the way");
        }
    }

    async fn read(&self, channel: &Arc<Channel>, (): &()) -> Infallible {
        let Some(bot) = channel.polled() else { return std::future::pending().await };
        Asking::new(channel, bot, &self.journal, &self.metrics, &self.http).run().await
    }
}
