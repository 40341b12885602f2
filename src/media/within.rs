//! Files that lie in their receipt: a part of a multipart body, or of a letter. They are read from the journal of the gateway
//! that took the receipt, and written into a draft piece by piece.

use std::sync::Arc;

use ring::digest;

use super::{fetch::Failing, job::Job};
use crate::{
    adapter::Engine,
    channel::Channel,
    clock,
    complaint::hex,
    journal::{Journal, JournalError},
    mail::attachments,
    receipt::Receipt,
};

/// The bytes of the file of a job. A message of several receipts does not say which of them a part is of: it is the one whose
/// bytes are those that the complaint told of.
pub async fn bytes(journal: &Journal, channel: &Arc<Channel>, job: &Job) -> Result<Vec<u8>, Failing> {
    let reference = job.file.provider_media_id.clone().unwrap_or_default();
    let mut is_there = false;
    for (number, id) in job.receipts.iter().enumerate() {
        let found = journal.find(*id).await.map_err(|error: JournalError| Failing::Ours(error.to_string()))?;
        let Some((receipt, _)) = found else { continue };
        is_there = true;
        // Only the first receipt is known to have the message at this place.
        let place = if number == 0 { job.place } else { 0 };
        let (channel, reference, expected) = (Arc::clone(channel), reference.clone(), job.file.sha256.clone());
        let taken = tokio::task::spawn_blocking(move || {
            let bytes = part(&channel, &receipt, place, &reference)?;
            let hash = hex(digest::digest(&digest::SHA256, &bytes).as_ref());
            expected.is_none_or(|expected| expected == hash).then_some(bytes)
        });
        if let Some(bytes) = taken.await.map_err(|_| Failing::again("the receipt could not be taken apart"))? {
            return Ok(bytes);
        }
    }
    // Another gateway of the same name may have it: only time says that it is nowhere.
    if !is_there && clock::now().duration_since(job.received_at) < journal.retention() {
        return Err(Failing::Ours("the receipt is not in the journal of this gateway".to_owned()));
    }
    let reason = if is_there { "the receipt has no such part" } else { "the receipt is no longer in the journal" };
    Err(Failing::Again { reason: reason.to_owned(), is_gone: true })
}

fn part(channel: &Channel, receipt: &Receipt, place: usize, reference: &str) -> Option<Vec<u8>> {
    match channel.engine.as_ref() {
        Engine::Mail(_) => attachments::part(&receipt.request.body, reference),
        Engine::Webhook(webhook) => webhook.file(receipt, place, reference, &channel.surroundings()),
    }
}
