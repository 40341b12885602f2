//! What operators see of a mailbox in the metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::{receipt::ChannelId, telemetry::Metrics};

/// Of one channel.
#[derive(Debug)]
pub(super) struct Books {
    channel: ChannelId,
    metrics: Arc<Metrics>,
    /// When each folder was last read to its end, in Unix seconds; 0 before the first time.
    folders: Mutex<BTreeMap<String, i64>>,
}

impl Books {
    pub fn new(channel: ChannelId, folders: &[String], metrics: Arc<Metrics>) -> Self {
        metrics.mailbox_opened(channel.as_str());
        let folders = folders.iter().map(|folder| (folder.clone(), 0)).collect();
        Self { channel, metrics, folders: Mutex::new(folders) }
    }

    /// The gauge is the time of the folder that lags most: one that fails is not hidden by the others.
    pub fn succeeded(&self, folder: &str, now: Timestamp) {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = folders.get_mut(folder) {
            *last = now.as_second();
        }
        let oldest = folders.values().min().copied().unwrap_or_default();
        if oldest > 0 {
            self.metrics.mailbox_succeeded(self.channel.as_str(), oldest);
        }
    }

    pub fn failed(&self) {
        self.metrics.mailbox_failed(self.channel.as_str());
    }

    pub fn letter(&self) {
        self.metrics.mailbox_letter(self.channel.as_str());
    }
}
