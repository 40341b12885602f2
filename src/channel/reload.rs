//! Follows the two folders while the gateway runs: what changed is checked, compiled, rehearsed, and only then swapped in
//! as a whole. Nothing is ever half applied.
//!
//! The folders are read every second and compared by content: notifications of the file system are lost on network
//! shares and mounted volumes, and times are set by whoever copies. A change is taken up when two readings agree, so that a
//! file that is still being written is left alone; together that is well within five seconds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};
use tracing::{error, info, warn};

use super::{
    ChannelSet,
    folders::{Files, Folders},
    load::load,
    open::Defaults,
};
use crate::diagnostic::{Diagnostic, Severity};

/// Time between two readings.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks a variable of the environment up, from any thread.
pub type SharedEnvironment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Everything that a load needs beside the files.
#[derive(Clone)]
pub struct Loader {
    pub folders: Folders,
    pub environment: SharedEnvironment,
    pub defaults: Arc<Defaults>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Loader").field("folders", &self.folders).finish_non_exhaustive()
    }
}

impl Loader {
    /// The set at start. Blocking.
    pub fn start(&self) -> (Files, ChannelSet) {
        let files = Files::read(&self.folders);
        let set = load(&files, &*self.environment, &self.defaults, None);
        (files, set)
    }

    /// One reading. Blocking. Gives the new set when a change was seen twice.
    fn reading(&self, known: &mut Known, current: &ChannelSet) -> Option<ChannelSet> {
        let files = Files::read(&self.folders);
        let secrets = current.memory.has_new_secrets();
        if files == known.loaded && !secrets {
            known.seen = None;
            return None;
        }
        let sighting = (files, secrets);
        if known.seen.as_ref() != Some(&sighting) {
            known.seen = Some(sighting);
            return None;
        }
        known.seen = None;
        known.loaded = sighting.0;
        Some(load(&known.loaded, &*self.environment, &self.defaults, Some(current)))
    }
}

/// What the watcher has read.
#[derive(Debug)]
struct Known {
    /// What the current set was made of.
    loaded: Files,
    /// A change that was seen once, and whether secrets are part of it.
    seen: Option<(Files, bool)>,
}

/// Starts to follow the folders. The sender gives the current set and tells subscribers of each swap; the task runs until
/// it is aborted.
pub fn watch(loader: Loader, files: Files, first: ChannelSet) -> (watch::Sender<Arc<ChannelSet>>, JoinHandle<()>) {
    watch_every(INTERVAL, loader, files, first)
}

fn watch_every(
    interval: Duration,
    loader: Loader,
    files: Files,
    first: ChannelSet,
) -> (watch::Sender<Arc<ChannelSet>>, JoinHandle<()>) {
    let (sender, _) = watch::channel(Arc::new(first));
    let swap = sender.clone();
    let task = tokio::spawn(async move {
        let mut known = Known { loaded: files, seen: None };
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let current = Arc::clone(&swap.borrow());
            let reader = loader.clone();
            let reading = tokio::task::spawn_blocking(move || {
                let set = reader.reading(&mut known, &current);
                (known, set)
            });
            match reading.await {
                Ok((read, set)) => {
                    known = read;
                    if let Some(set) = set {
                        tell(&swap.borrow(), &set);
                        swap.send_replace(Arc::new(set));
                    }
                }
                Err(failure) => {
                    // A bug: what runs goes on, and the folders are read afresh.
                    error!(%failure, "the channel folders could not be loaded; the channels that run go on");
                    known = Known { loaded: Files::default(), seen: None };
                }
            }
        }
    });
    (sender, task)
}

/// What a swap changed, for the log.
fn tell(before: &ChannelSet, after: &ChannelSet) {
    for (id, slot) in &after.slots {
        match (slot, before.slots.get(id)) {
            (super::Slot::Open(now), Some(super::Slot::Open(then))) if Arc::ptr_eq(now, then) => {}
            (super::Slot::Open(_), _) => info!(channel.id = %id, "channel opened"),
            (super::Slot::Closed { reasons }, _) => {
                for reason in reasons.iter() {
                    error!(channel.id = %id, file = %file(reason).display(), reason = reason.message, "channel closed");
                }
            }
        }
    }
    for id in before.slots.keys().filter(|id| !after.slots.contains_key(*id)) {
        info!(channel.id = %id, "channel removed");
    }
    for remark in after.remarks.iter().filter(|remark| !before.remarks.contains(remark)) {
        match remark.severity {
            Severity::Error => {
                error!(file = %file(remark).display(), reason = remark.message, "a file has a mistake; what ran before runs on");
            }
            Severity::Warning => warn!(file = %file(remark).display(), reason = remark.message, "a file can be better"),
        }
    }
}

fn file(diagnostic: &Diagnostic) -> &PathBuf {
    &diagnostic.source.path
}

#[cfg(test)]
mod tests;
