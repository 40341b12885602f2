//! A job: one file that a complaint came with, from the place where it lies to its final state.
//!
//! It is an entry of the store's outbox, so that it is added in the same step as the event of its complaint, waits out a
//! restart, and is leased by one gateway at a time. It stands on a list that no channel sends from: one that all gateways
//! work on, or one of the gateway whose journal holds the bytes.

use jiff::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    complaint::{FileRecord, Sensitivity, TrackingId, hex},
    message::Attachment,
    receipt::{ChannelId, ReceiptId},
    store::{OutboxEntry, OutboxKind, SenderKey},
};

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    /// Files that are fetched: any gateway can.
    pub shared: ChannelId,
    /// Files within receipts: only the gateway whose journal has them.
    pub own: ChannelId,
}

impl Lists {
    /// Those that the gateway of this name works on.
    pub fn of(gateway: &str) -> Self {
        Self { shared: list(""), own: list(gateway) }
    }
}

/// A hash, so that no channel of an operator has the same id by chance.
fn list(gateway: &str) -> ChannelId {
    let hash = digest::digest(&digest::SHA256, format!("loket media\n{gateway}").as_bytes());
    ChannelId::new(format!("media-{}", hex(&hash.as_ref()[..8]))).expect("letters, digits and a hyphen")
}

/// The complaint or follow-up that files came with.
#[derive(Clone, Debug)]
pub struct Cause<'a> {
    pub complaint_id: Uuid,
    pub tracking_id: &'a TrackingId,
    pub channel: &'a ChannelId,
    pub sender: SenderKey,
    pub queue: &'a str,
    pub sensitivity: Sensitivity,
    pub priority: u8,
    pub received_datetime: &'a str,
}

/// The files as they came, before the complaint was made.
#[derive(Clone, Debug)]
pub struct Files {
    pub attachments: Vec<Attachment>,
    /// The receipts of the message, and its place in the first.
    pub receipts: Vec<ReceiptId>,
    pub place: usize,
    pub received_at: Timestamp,
}

/// What is to be done.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub complaint_id: Uuid,
    pub tracking_id: TrackingId,
    /// The channel of the complaint.
    pub channel: ChannelId,
    sender: [u8; 16],
    pub receipts: Vec<ReceiptId>,
    pub place: usize,
    /// Among the files of its message, from 0.
    pub number: usize,
    pub queue: String,
    pub sensitivity: Sensitivity,
    pub priority: u8,
    pub received_datetime: String,
    pub received_at: Timestamp,
    /// Where it lies, if that came with the message; else `provider_media_id` of the file leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// As the complaint showed it: pending.
    pub file: FileRecord,
}

/// The URL may hold a token, and the name is a citizen's.
impl std::fmt::Debug for Job {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Job({} of {})", self.file.attachment_id, self.complaint_id)
    }
}

/// The id of the entry of an attachment's job.
pub fn entry_id(attachment_id: Uuid) -> String {
    format!("media:{attachment_id}")
}

impl Job {
    pub fn sender(&self) -> SenderKey {
        SenderKey(self.sender)
    }

    /// The job of an entry; the error is for operators.
    pub fn read(entry: &OutboxEntry) -> Result<Self, String> {
        serde_json::from_str(&entry.text).map_err(|error| format!("the job cannot be read: {error}"))
    }

    /// Does the file lie in its receipt?
    pub fn is_within(&self) -> bool {
        self.url.is_none() && self.file.provider_media_id.as_deref().is_some_and(is_within)
    }
}

/// `raw:N` of a multipart body, `part:N` of a letter.
fn is_within(reference: &str) -> bool {
    let number = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_digit());
    reference.strip_prefix("raw:").or_else(|| reference.strip_prefix("part:")).is_some_and(number)
}

/// The entries for the files of a complaint. `files` are what the records were made of, in the same order; `gateway` is the
/// name of the one whose journal has the receipts.
pub fn entries(
    cause: &Cause<'_>,
    records: &[FileRecord],
    files: &Files,
    gateway: &str,
    now: Timestamp,
) -> Vec<OutboxEntry> {
    if records.is_empty() {
        return Vec::new();
    }
    let lists = Lists::of(gateway);
    let entry = |(number, (file, source)): (usize, (&FileRecord, &Attachment))| {
        let job = Job {
            complaint_id: cause.complaint_id,
            tracking_id: cause.tracking_id.clone(),
            channel: cause.channel.clone(),
            sender: cause.sender.0,
            receipts: files.receipts.clone(),
            place: files.place,
            number,
            queue: cause.queue.to_owned(),
            sensitivity: cause.sensitivity,
            priority: cause.priority,
            received_datetime: cause.received_datetime.to_owned(),
            received_at: files.received_at,
            url: source.url.clone(),
            file: file.clone(),
        };
        OutboxEntry {
            complaint_id: Some(cause.complaint_id),
            text: serde_json::to_string(&job).expect("a job is plain data with string keys"),
            ..OutboxEntry::new(
                entry_id(file.attachment_id),
                OutboxKind::Fetch,
                if job.is_within() { lists.own.clone() } else { lists.shared.clone() },
                now,
            )
        }
    };
    records.iter().zip(&files.attachments).enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_channel_ids_and_each_gateway_has_its_own() {
        let (one, two) = (Lists::of("loket-1"), Lists::of("loket-2"));
        assert_eq!(one.shared, two.shared);
        assert_ne!(one.own, two.own);
        assert_ne!(one.own, one.shared);
    }

    #[test]
    fn only_numbered_parts_lie_within_the_receipt() {
        for (reference, expected) in
            [("raw:2", true), ("part:0/tnef:1", true), ("raw:", false), ("AgACAgQAAx", false), ("part:x", false)]
        {
            assert_eq!(is_within(reference), expected, "{reference}");
        }
    }
}
