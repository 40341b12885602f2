//! A message: what one item of a receipt says, in the terms of `channel-manifest.md` §3 `[message]`.
//!
//! An adapter makes it, `normalise` cleans it, and `loket channel try` prints it. Absent means unknown: an empty
//! string is never kept. The type prints redacted, as it holds a citizen's words and address.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::receipt::Check;

/// A name of the sender.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// `phone`, `email`, `telegram_user_id`, `whatsapp_bsuid`, `username`, `short_code`, `alphanumeric`, `opaque`.
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identity({}, ***)", self.kind)
    }
}

/// A place, in WGS 84 degrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    pub lat: f64,
    pub lon: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<f64>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub live: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A file that came with the message or can be fetched: `url` as it is, `reference` through `[media]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub inline: bool,
}

/// The message is a fragment of a larger one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Group {
    /// A part of a long SMS.
    Parts { key: String, part: u8, total: u8 },
    /// A member of an album.
    Album { key: String },
}

/// Signs that a machine wrote the message (mail).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Automatic {
    pub auto_generated: bool,
    pub bounce: bool,
    pub list: bool,
    pub reason: String,
}

/// Verdicts of mail authentication, in the words of RFC 8601.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailAuthentication {
    pub spf: String,
    pub dkim: String,
    pub dmarc: String,
}

impl MailAuthentication {
    /// From checks by these methods; None when there is none of them.
    pub fn of(checks: &[Check]) -> Option<Self> {
        let word = |method: &str| {
            let check = checks.iter().find(|check| check.method == method)?;
            serde_json::to_value(check.result).ok()?.as_str().map(str::to_owned)
        };
        let (spf, dkim, dmarc) = (word("spf"), word("dkim"), word("dmarc"));
        let is_told = spf.is_some() || dkim.is_some() || dmarc.is_some();
        let told = |word: Option<String>| word.unwrap_or_default();
        is_told.then(|| Self { spf: told(spf), dkim: told(dkim), dmarc: told(dmarc) })
    }
}

/// One message. The field names are those that `loket channel try` prints (DESIGN §6).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// The provider's id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The sender as the provider names it; after normalising the primary identity's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// All names of the sender, the primary first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Identity>,
    /// Our number or account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The new words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Everything, with what was quoted, when that differs from `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_full: Option<String>,
    /// As the provider says (BCP 47), not as detected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit_of: Option<String>,
    /// Payload of the button that was pressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Name of a kind that cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto: Option<Automatic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<MailAuthentication>,
    /// `weak` when the provider gives no id and the claim is a hash of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
    /// Where an answer goes, if not to the primary identity. Kept in the vault, never in the complaint.
    #[serde(skip_serializing)]
    pub reply_address: Option<String>,
    /// Lane and draft of the sender, if not `from`.
    #[serde(skip_serializing)]
    pub conversation_key: Option<String>,
    /// Bytes that were no text in their charset were replaced.
    #[serde(skip_serializing)]
    pub lossy: bool,
    /// What stood behind `+` in our address: the token of a signed reply address, if it is one.
    #[serde(skip_serializing)]
    pub reply_token: Option<String>,
}

impl fmt::Debug for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.as_deref().map_or(0, str::len);
        write!(
            out,
            "Message({} identities, {text} bytes of text, {} attachments)",
            self.identities.len(),
            self.attachments.len()
        )
    }
}

/// Something that a citizen is offered to choose: a button, a row of a list, or a number to type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What comes back as [`Message::action`] when it is pressed; at most 64 bytes (`callback_data` of Telegram).
    pub key: String,
    /// At most 20 characters (the title of a reply button of WhatsApp).
    pub label: String,
}

/// A file that leaves with an answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclosure {
    /// Where the shelf has it.
    pub attachment_id: Uuid,
    /// As its bytes say.
    pub media_type: String,
    pub size_bytes: u64,
    /// Cleaned, never empty.
    pub filename: String,
    /// Words under the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
}

impl fmt::Debug for Enclosure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Enclosure({}, {} bytes)", self.attachment_id, self.size_bytes)
    }
}

/// A text with its choices as numbered lines under it, for whoever cannot press a button; the text alone where there is
/// nothing to choose. The numbers are those that a citizen may type, so no other place writes them.
pub fn numbered(text: &str, choices: &[Choice]) -> String {
    let mut lines = vec![text.to_owned()];
    lines.extend(choices.iter().enumerate().map(|(place, choice)| format!("{}. {}", place + 1, choice.label)));
    lines.join("\n")
}

/// A step of an answer on its way to the citizen. The order is the lattice of `channel-manifest.md` §3 `[receipts]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    Queued,
    Sent,
    Delivered,
    Read,
    Failed,
}

impl DeliveryStatus {
    /// The status after a report: a step back changes nothing, and `failed` stays unless the answer was delivered after all.
    #[must_use]
    pub fn join(self, report: Self) -> Self {
        match (self, report) {
            (Self::Failed, Self::Delivered | Self::Read) => report,
            (Self::Delivered | Self::Read, Self::Failed) => self,
            _ => self.max(report),
        }
    }
}

/// A provider's report on an answer of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// The id that the provider gave when it accepted the answer.
    pub id: String,
    pub status: DeliveryStatus,
    /// The provider's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{Choice, DeliveryStatus::*, numbered};

    #[test]
    fn choices_are_numbered_under_the_text_and_a_text_alone_stays_as_it_is() {
        let choice = |label: &str| Choice { key: label.to_lowercase(), label: label.to_owned() };
        assert_eq!(numbered("Benar?", &[choice("Ya"), choice("Tidak")]), "Benar?\n1. Ya\n2. Tidak");
        assert_eq!(numbered("Benar?\n", &[]), "Benar?\n");
    }

    #[test]
    fn a_delivery_report_never_steps_back() {
        for (now, report, then) in [
            (Sent, Queued, Sent),
            (Sent, Delivered, Delivered),
            (Read, Delivered, Read),
            (Sent, Failed, Failed),
            (Failed, Sent, Failed),
            (Failed, Delivered, Delivered),
            (Delivered, Failed, Delivered),
        ] {
            assert_eq!(now.join(report), then, "{now:?} and then {report:?}");
        }
    }
}
