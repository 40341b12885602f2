//! What is done now and then, beside everything: old receipts go, the store is tended, closed channels' receipts come back.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    channel::ChannelSet,
    clock,
    journal::{Journal, JournalError},
    media::shelf::Shelf,
    pipeline::CHANNEL_CLOSED,
    server::App,
};

/// How often the journal is swept for receipts past their retention, and the shelf for files of answers.
const SWEEP: Duration = Duration::from_mins(10);
/// How often receipts of channels that were closed are looked at, besides each change of the channels.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How often the store is tended.
const TEND: Duration = Duration::from_secs(10);

/// The store's housekeeping.
pub async fn tend(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let keep = app.resolved.config.retention.queue.signed();
    loop {
        tokio::select! {
            () = tokio::time::sleep(TEND) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let now = clock::now();
        let keep_from = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
        if let Err(error) = app.store.tend(now, keep_from).await {
            tracing::debug!(%error, "the store's housekeeping waits");
        }
    }
}

pub async fn sweep(journal: Journal, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let journal = journal.clone();
        let swept = tokio::task::spawn_blocking(move || journal.expire(clock::now())).await;
        match swept {
            Ok(Ok(segments)) if segments > 0 => {
                tracing::info!(files = segments, "raw receipts past their retention are deleted");
            }
            Ok(Err(error)) => tracing::warn!(%error, "old receipts cannot be deleted"),
            _ => {}
        }
    }
}

/// Says at the start when files cannot be put where they belong: a wrong key, say. They wait, and nothing else does.
pub async fn try_shelf(shelf: Shelf) {
    if let Err(reason) = shelf.check().await {
        tracing::error!(%reason, "the place of the files does not take them: see [media] storage");
    }
}

/// Files that the core handed in and no answer took, and those of answers that are forgotten. Several gateways may do it at once.
pub async fn uploads(shelf: Shelf, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        match shelf.sweep(clock::now()).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "files of answers whose time is over are deleted"),
            Err(error) => tracing::warn!(%error, "old files of answers cannot be deleted"),
        }
    }
}

/// Receipts that waited because their channel was closed come back when it opens.
pub async fn reopened(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut channels = app.channels.clone();
    loop {
        let set = channels.borrow_and_update().clone();
        if app.journal.stats().quarantined > 0
            && let Err(error) = bring_back(&app.journal, &set).await
        {
            tracing::warn!(%error, "receipts of channels that were closed cannot be brought back yet");
        }
        tokio::select! {
            changed = channels.changed() => if changed.is_err() { return },
            // A receipt may reach the quarantine after its channel has opened, or a replay may fail.
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn bring_back(journal: &Journal, set: &ChannelSet) -> Result<(), JournalError> {
    let waiting = journal.quarantined().await?.into_iter().filter(|entry| entry.reason == CHANNEL_CLOSED);
    for entry in waiting.filter(|entry| set.open(entry.channel.as_str()).is_some()) {
        journal.replay(entry.receipt).await?;
    }
    Ok(())
}
