//! Normalise: a message as its adapter made it becomes one that every later stage can rely on.
//!
//! In: the message, the facts of its receipt and of its channel. Out: names typed and phones in E.164, text in NFC without
//! controls, the language, the claim, and remarks as flags. It never fails and never drops a message: what cannot be
//! cleaned is flagged, and the original stays in the raw receipt.

use std::sync::Arc;

use crate::{
    channel::ChannelFacts,
    complaint::Flag,
    message::{Attachment, Identity, Location, Message},
    receipt::{Origin, VerdictResult},
    sender::Fragment,
    store::{ClaimKey, SenderKey},
    units::Span,
};

mod claim;
mod emergency;
mod identity;
mod language;
pub mod text;

use claim::Claim;
use text::{clean, clean_line};

/// Longest provider's id that is kept as it is, in bytes.
const ID_MAX: usize = 512;
/// Longest name of a person or a file, and longest heading, in characters.
const LINE_MAX: usize = 255;

/// A message that every later stage can rely on; only this module makes one.
#[derive(Clone, Debug)]
#[expect(clippy::manual_non_exhaustive, reason = "the attribute would let every module of this crate make one")]
pub struct Normalised {
    pub origin: Arc<Origin>,
    /// Place of the message in its receipt.
    pub place: usize,
    /// How often its tracking id was found taken and has to be drawn anew.
    pub redraw: u8,
    pub message: Message,
    /// The primary name of the sender; an empty `opaque` one when the provider named nobody.
    pub identity: Identity,
    /// Can the sender be answered, as far as the address tells? The channel may still be unable to.
    pub replyable: bool,
    pub sender: SenderKey,
    /// In words (`complaint-format.md` §5.1).
    pub claim: String,
    /// As keys: all of them are claimed together, and one that is held by another receipt makes a duplicate.
    pub claim_keys: Vec<ClaimKey>,
    /// The provider gave no id: the claim is a hash of the content.
    pub claim_is_weak: bool,
    /// How long the claims are remembered, if not as long as all others.
    pub claim_window: Option<Span>,
    pub flags: Vec<Flag>,
    /// BCP 47 and the detector's confidence.
    pub language: Option<(String, f64)>,
    _made_here: (),
}

/// Never fails: what cannot be cleaned is flagged. The second time it changes nothing.
pub fn normalise(origin: &Arc<Origin>, place: usize, message: Message, channel: &ChannelFacts) -> Normalised {
    let mut message = tidy(message);
    let identities = identity::identities(&message, channel);
    let replyable = identity::is_replyable(&message, identities.first());
    message.from = identities.first().map(|identity| identity.value.clone());
    message.identities = identities;
    let identity = message.identities.first().cloned().unwrap_or_else(nobody);
    let Claim { claim, keys, weak, window } = Claim::of(&message, origin, channel);
    message.dedupe = weak.then(|| "weak".to_owned());
    let sender = claim::sender(&message, channel, &claim);
    let flags = remarks(&message, origin, replyable, weak);
    let language = message.text.as_deref().and_then(language::detect);
    Normalised {
        origin: Arc::clone(origin),
        place,
        redraw: 0,
        message,
        identity,
        replyable,
        sender,
        claim,
        claim_keys: keys,
        claim_is_weak: weak,
        claim_window: window,
        flags,
        language,
        _made_here: (),
    }
}

impl Normalised {
    /// What has to be remembered while the message waits for its other fragments.
    pub fn into_fragment(mut self) -> Fragment {
        let origin = &self.origin;
        Fragment {
            receipt: origin.id,
            received_at: origin.received_at,
            draw: origin.draw,
            verdict: origin.verdict.clone(),
            media_type: origin.media_type.clone(),
            size_bytes: origin.size_bytes,
            sha256: origin.sha256,
            place: self.place,
            reply_address: self.message.reply_address.take(),
            conversation_key: self.message.conversation_key.take(),
            message: self.message,
            claim: self.claim,
            weak: self.claim_is_weak,
            replyable: self.replyable,
            flags: self.flags,
        }
    }

    /// A fragment whose wait is over. Its claims were made when it began to wait.
    pub fn from_fragment(fragment: Fragment, sender: SenderKey, channel: &ChannelFacts) -> Self {
        let origin = Origin {
            id: fragment.receipt,
            channel: channel.id.clone(),
            received_at: fragment.received_at,
            draw: fragment.draw,
            verdict: fragment.verdict,
            media_type: fragment.media_type,
            size_bytes: fragment.size_bytes,
            sha256: fragment.sha256,
        };
        let mut message = fragment.message;
        message.reply_address = fragment.reply_address;
        message.conversation_key = fragment.conversation_key;
        Self {
            origin: Arc::new(origin),
            place: fragment.place,
            redraw: 0,
            identity: message.identities.first().cloned().unwrap_or_else(nobody),
            replyable: fragment.replyable,
            sender,
            claim: fragment.claim,
            claim_keys: Vec::new(),
            claim_is_weak: fragment.weak,
            claim_window: None,
            flags: fragment.flags,
            language: message.text.as_deref().and_then(language::detect),
            message,
            _made_here: (),
        }
    }

    /// Takes the text that was joined from all fragments.
    pub fn set_text(&mut self, text: String) {
        let text = clean(text).trim().to_owned();
        self.message.text = Some(text).filter(|text| !text.is_empty());
        self.language = self.message.text.as_deref().and_then(language::detect);
        self.flags.retain(|flag| !matches!(flag, Flag::EmptyText | Flag::EmergencySuspected));
        self.flags.extend(remarks_on_text(&self.message));
    }

    /// It names an account that no channel of its URL has. The format has no word of its own for that, and `unverified` says
    /// what is true of it: nobody vouches that it was meant for us.
    pub fn mark_as_nobodys(&mut self) {
        if !self.flags.contains(&Flag::Unverified) {
            self.flags.push(Flag::Unverified);
        }
    }

    /// The provider's id; the claim where it gave none.
    pub fn message_id(&self) -> &str {
        self.message.id.as_deref().unwrap_or(&self.claim)
    }
}

fn nobody() -> Identity {
    Identity { kind: "opaque".to_owned(), value: String::new() }
}

/// Everything that needs no knowledge of the channel.
fn tidy(message: Message) -> Message {
    let line = |text: Option<String>| text.and_then(|text| clean_line(&text, LINE_MAX));
    let id = |id: Option<String>| id.and_then(safe_id);
    // Parts of a long SMS are joined first: space at their ends may stand between two words.
    let is_part = message.group.is_some();
    let text = |text: Option<String>| {
        let text = clean(text?);
        let text = if is_part || text.trim().len() == text.len() { text } else { text.trim().to_owned() };
        Some(text).filter(|text| !text.is_empty())
    };
    let text_full = text(message.text_full).filter(|full| Some(full) != message.text.as_ref());
    Message {
        id: id(message.id),
        to: line(message.to),
        sender_name: line(message.sender_name),
        subject: line(message.subject),
        text: text(message.text),
        text_full,
        language: message.language.filter(|tag| is_language_tag(tag)),
        location: message.location.and_then(sane_place),
        attachments: message.attachments.into_iter().map(tidy_file).collect(),
        reply_to: id(message.reply_to),
        references: message.references.into_iter().filter_map(safe_id).collect(),
        edit_of: id(message.edit_of),
        action: line(message.action),
        unsupported: line(message.unsupported),
        reply_address: line(message.reply_address),
        conversation_key: id(message.conversation_key),
        ..message
    }
}

/// Ids go into keys, event ids and logs: one with controls, or a very long one, is replaced by its hash.
fn safe_id(id: String) -> Option<String> {
    let trimmed = id.trim();
    if trimmed.is_empty() {
        return None;
    }
    if trimmed.len() <= ID_MAX && !trimmed.chars().any(char::is_control) {
        return Some(if trimmed.len() == id.len() { id } else { trimmed.to_owned() });
    }
    Some(format!("id-sha256:{}", claim::sha256_hex(trimmed.as_bytes())))
}

/// The shape that the format demands of a language: `id`, `zh-Hant`.
fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=8).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Coordinates outside the world are no place; the raw receipt keeps them.
fn sane_place(location: Location) -> Option<Location> {
    let line = |text: Option<String>| text.and_then(|text| clean_line(&text, LINE_MAX));
    let in_the_world = (-90.0..=90.0).contains(&location.lat) && (-180.0..=180.0).contains(&location.lon);
    in_the_world.then(|| Location {
        label: line(location.label),
        address: line(location.address),
        accuracy_m: location.accuracy_m.filter(|accuracy| accuracy.is_finite() && *accuracy >= 0.0),
        ..location
    })
}

fn tidy_file(file: Attachment) -> Attachment {
    let line = |text: Option<String>| text.and_then(|text| clean_line(&text, LINE_MAX));
    let is_sha256 = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    Attachment {
        filename: line(file.filename),
        media_type: line(file.media_type).map(|media_type| media_type.to_ascii_lowercase()),
        sha256: file.sha256.filter(is_sha256).map(|hash| hash.to_ascii_lowercase()),
        url: file.url.filter(|url| !url.is_empty()),
        reference: file.reference.filter(|reference| !reference.is_empty()),
        ..file
    }
}

fn remarks(message: &Message, origin: &Origin, replyable: bool, weak: bool) -> Vec<Flag> {
    let mut flags = remarks_on_text(message);
    let mut note = |flag: Flag, holds: bool| {
        if holds {
            flags.push(flag);
        }
    };
    let automatic = message.auto.as_ref();
    // A letter that anybody may hand over is as good as what its sender's domain says of it.
    let is_aligned = message.auth.as_ref().is_some_and(|auth| auth.dmarc == "pass");
    note(Flag::Unverified, origin.verdict.result != VerdictResult::Pass && !is_aligned);
    note(Flag::NotReplyable, !replyable);
    note(Flag::DedupeWeak, weak);
    note(Flag::LossyText, message.lossy);
    note(Flag::UnsupportedContent, message.unsupported.is_some());
    note(Flag::AutoReply, automatic.is_some_and(|auto| auto.auto_generated || auto.bounce));
    note(Flag::Bulk, automatic.is_some_and(|auto| auto.list));
    flags
}

fn remarks_on_text(message: &Message) -> Vec<Flag> {
    match &message.text {
        None => vec![Flag::EmptyText],
        Some(text) if emergency::is_suspected(text) => vec![Flag::EmergencySuspected],
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
