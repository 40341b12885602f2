//! The letterbox: the one way of a letter into the journal, whoever brought it. A mailbox or a server of ours hands it in
//! and gets the journal's proof; only then may it say `250`, or mark the letter as read (G1).

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    adapter::mail::Mail,
    channel::{Channel, ChannelSet, Slot},
    clock,
    journal::{Durable, Journal, JournalError},
    mail::{Envelope, addresses::Recipient},
    receipt::{ChannelId, Receipt, ReceiptId},
    signature::{Transport, Verified},
    telemetry::Metrics,
};

/// Where letters are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Letterbox {
    pub journal: Journal,
    /// The channels as they are now.
    pub channels: watch::Receiver<Arc<ChannelSet>>,
    pub metrics: Arc<Metrics>,
}

impl Letterbox {
    /// Mail channels that are open and enabled, with the word of their adapter.
    pub fn channels(&self, adapter: Mail) -> Vec<Arc<Channel>> {
        let set = self.channels.borrow();
        let open = set.slots.values().filter_map(|slot| match slot {
            Slot::Open(channel) if channel.enabled && channel.engine.mail() == Some(adapter) => Some(channel.clone()),
            _ => None,
        });
        open.collect()
    }

    /// Whose address is this? The channels of our own server alone take mail for others.
    pub fn recipient(&self, address: &str) -> Option<(Arc<Channel>, Recipient)> {
        let channels = self.channels(Mail::Smtp);
        channels.into_iter().find_map(|channel| {
            let recipient = channel.ours.find(address)?;
            Some((channel, recipient))
        })
    }

    /// Is this an address of a channel that is there but not open? Its mail is wanted later: `451`, not `550`.
    pub fn has_closed_channels(&self) -> bool {
        self.channels.borrow().slots.values().any(|slot| matches!(slot, Slot::Closed { .. }))
    }

    /// Hands a letter in; returns when the journal has it on the disk.
    pub async fn put(
        &self,
        channel: &Channel,
        envelope: &Envelope,
        letter: Bytes,
        remote: Option<IpAddr>,
    ) -> Result<Durable, JournalError> {
        let now = clock::now();
        let receipt = Receipt {
            id: ReceiptId(clock::uuid7(now)),
            channel: channel.id().clone(),
            endpoint: "main".to_owned(),
            received_at: now,
            remote,
            draw: clock::random(),
            request: envelope.request(channel.id().as_str(), letter),
        };
        let transport = channel.engine.mail().map_or(Transport::Unasked, Mail::transport);
        let appended = self.journal.append(Verified::brought(receipt, transport)).await;
        if let Err(error) = &appended {
            self.refused(channel.id(), error);
        }
        appended
    }

    fn refused(&self, channel: &ChannelId, error: &JournalError) {
        tracing::error!(channel.id = %channel, %error, "a letter was refused");
        self.metrics.refused_full.inc();
    }
}
