//! Which earlier report of the same sender does a message belong to? None of these joins anything to a stranger's report:
//! all of them look into the sender's own memory, and nobody who is not named has one.

use jiff::SignedDuration;
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use super::{compose, compose::Material, sms::Reading, target::Target};
use crate::{
    complaint::{Medium, TrackingId},
    sender::{Report, Sender},
};

/// Within this time after a complaint another SMS adds to it.
const APPEND: SignedDuration = SignedDuration::from_mins(10);
/// Within this time the same words are a possible duplicate.
const DUPLICATE: SignedDuration = SignedDuration::from_hours(24);

/// The report that has the message which was edited.
pub fn edited(material: &Material<'_>, sender: &Sender) -> Option<Target> {
    let edited = short_hash(material.assembled.message.message.edit_of.as_deref()?);
    let report = sender.reports.iter().rev().find(|report| report.messages.contains(&edited))?;
    (!material.is_nobody()).then(|| Target::of(report))
}

/// The report that another SMS within ten minutes adds to.
///
/// Who asks for more privacy than that report has begins a new one: its words must not be joined to a report that
/// names the person.
pub fn open_window(material: &Material<'_>, sender: &Sender, reading: &Reading) -> Option<Target> {
    if material.channel.medium != Medium::Sms || material.is_nobody() {
        return None;
    }
    let last = sender.reports.last()?;
    let since = material.assembled.received_at.as_second().saturating_sub(last.at);
    // Of two reports with the same words, the citizen knows the number of the first.
    let first = last.first.as_ref().and_then(|(id, _)| sender.reports.iter().find(|report| report.complaint_id == *id));
    let report = first.unwrap_or(last);
    let wanted = compose::hidden(report.privacy, reading.anonymous, reading.confidential);
    let stricter = wanted.reporter_disclosure != report.privacy.reporter_disclosure
        || wanted.content_disclosure != report.privacy.content_disclosure;
    let has_something = !reading.text.is_empty() || material.carries_more();
    (since < APPEND.as_secs() && !stricter && has_something).then(|| Target::of(report))
}

/// The first report of the last day with the same words.
pub fn same_words(material: &Material<'_>, sender: &Sender, reading: &Reading) -> Option<(Uuid, TrackingId)> {
    let words = words_hash(&reading.text);
    if words == 0 || material.is_nobody() {
        return None;
    }
    let received = material.assembled.received_at.as_second();
    let recent = |report: &&Report| received.saturating_sub(report.at).abs() < DUPLICATE.as_secs();
    let same = sender.reports.iter().filter(recent).find(|report| report.text == words)?;
    Some(same.first.clone().unwrap_or_else(|| (same.complaint_id, same.tracking_id.clone())))
}

/// Words alike but for case and space have the same hash; 0 is no words.
pub fn words_hash(text: &str) -> u64 {
    let mut words = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        words.push_str(&word.to_lowercase());
        words.push(' ');
    }
    if words.is_empty() { 0 } else { short_hash(&words).max(1) }
}

pub fn short_hash(text: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..8]);
    u64::from_be_bytes(bytes)
}
