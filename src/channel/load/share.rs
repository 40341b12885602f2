//! What two channels may share: a URL with its keys, by `receiver`; and never a secret otherwise.

use std::sync::Arc;

use super::{Loading, Written};
use crate::{
    channel::{Channel, Slot, provider::Provider},
    diagnostic::Diagnostic,
    receipt::ChannelId,
    settings::{Setting, Settings},
};

impl Loading<'_> {
    /// The channel whose URL and keys this one shares; an error when what `receiver` names cannot be one.
    pub(super) fn receiver(
        &self,
        id: &ChannelId,
        written: &Written,
        provider: &Provider,
    ) -> Result<Option<Arc<Channel>>, Vec<Diagnostic>> {
        let Some(name) = written.file.receiver.as_deref() else { return Ok(None) };
        let mistake = match self.written.get(name) {
            _ if name == id.as_str() => format!("channel {id} names itself as its receiver"),
            None => format!("channel {id}: there is no channel {name} that could be its receiver"),
            Some(receiver) if receiver.file.receiver.is_some() => {
                format!("channel {id}: channel {name} has a receiver itself, and one level is all there is")
            }
            Some(receiver) if receiver.file.manifest != written.file.manifest => {
                format!("channel {id}: its receiver {name} has another manifest, {}", receiver.file.manifest)
            }
            Some(_) if provider.manifest.receive.pick.is_none() => {
                format!(
                    "channel {id}: manifest {} has no [receive] pick that could tell it from its receiver",
                    written.file.manifest
                )
            }
            Some(_) => match self.slots.get(name) {
                Some(Slot::Open(receiver)) => return Ok(Some(Arc::clone(receiver))),
                _ => format!("channel {id}: its receiver {name} is closed"),
            },
        };
        let hint = "name the channel whose URL the provider calls".to_owned();
        Err(vec![written.document.error("receiver", mistake, Some(hint))])
    }

    /// The first setting whose secret another open channel has too, and that channel; None where both schemes bind the URL,
    /// as then nothing that was sent to one is accepted by the other.
    pub(super) fn shares_a_secret(&self, channel: &Channel, provider: &Provider) -> Option<(String, ChannelId)> {
        if channel.receiver.is_some() || !channel.enabled {
            return None;
        }
        let names = provider.scheme.settings_used();
        for (id, slot) in &self.slots {
            let (Slot::Open(other), Some(origin)) = (slot, self.memory.opened.get(id)) else { continue };
            let both_bind = provider.scheme.binds_url() && origin.provider.scheme.binds_url();
            if both_bind || id == channel.id() || other.receiver.is_some() || !other.enabled {
                continue;
            }
            let others: Vec<_> = origin.provider.scheme.settings_used();
            let theirs: Vec<_> = others.iter().flat_map(|name| secrets(&other.settings, name)).collect();
            let shared =
                names.iter().find(|name| secrets(&channel.settings, name).iter().any(|value| theirs.contains(value)));
            if let Some(name) = shared {
                return Some((name.clone(), id.clone()));
            }
        }
        None
    }
}

/// The values of a setting that is a secret.
fn secrets<'a>(settings: &'a Settings, name: &str) -> Vec<&'a str> {
    match settings.get(name) {
        Some(Setting::Secret(_)) => settings.values(name),
        _ => Vec::new(),
    }
}
