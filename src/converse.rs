//! Converse: what does the citizen want? A complaint, an addition to one, or an answer to a command.
//!
//! In: a whole message, the memory of its sender, and what the tracking index knows of the report that it asks about. Out:
//! a document of the one format with its event id, and what the citizen is to be told. The tests stand in the order of
//! `complaint-format.md` §5.2, and the first that hits wins. In this version one message is one complaint; nothing here
//! asks back. It never tells anything about another person's report, nor adds to it.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    agencies::Agencies,
    assemble::Assembled,
    channel::ChannelFacts,
    complaint::{Complaint, Event, EventKind, FollowUp, Medium, Sensitivity, TrackingId},
    gateway::Gateway,
    locale::Locales,
    message::Attachment,
    receipt::{ChannelId, ReceiptId},
    sender::Sender,
    store::{ClaimKey, ComplaintRecord},
};

pub mod chat;
pub mod command;
pub mod compose;
mod earlier;
pub mod mail_thread;
pub mod said;
pub mod sms;
mod target;
mod turn;

use chat::flow::Flow;
use command::Command;
use compose::Material;
pub use said::Said;
use turn::Turn;

/// An answer to the agency's question comes within this time.
const ASKED: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What a message came to.
#[derive(Debug)]
pub enum Conversed {
    Complaint(Box<WholeComplaint>),
    FollowUp(Box<WholeFollowUp>),
    /// It waits in a draft, and the citizen is asked on: `drafted`.
    Drafted(Box<Drafted>),
    /// Answered and done: `command`.
    Command(Box<Obeyed>),
}

impl Conversed {
    pub fn matter(&self) -> &Matter {
        match self {
            Self::Complaint(whole) => &whole.matter,
            Self::FollowUp(whole) => &whole.matter,
            Self::Drafted(drafted) => &drafted.matter,
            Self::Command(obeyed) => &obeyed.matter,
        }
    }

    fn matter_mut(&mut self) -> &mut Matter {
        match self {
            Self::Complaint(whole) => &mut whole.matter,
            Self::FollowUp(whole) => &mut whole.matter,
            Self::Drafted(drafted) => &mut drafted.matter,
            Self::Command(obeyed) => &mut obeyed.matter,
        }
    }
}

/// What stands beside every outcome.
#[derive(Debug)]
pub struct Matter {
    /// What the citizen is to be told, if anything.
    pub say: Option<Said>,
    /// For the vault, to be sealed.
    pub vault: Address,
    /// Both the sender's address and the channel allow an answer.
    pub replyable: bool,
    /// BCP 47, of the answers.
    pub language: String,
    /// The claims to make now.
    pub claim_keys: Vec<ClaimKey>,
    pub receipts: Vec<ReceiptId>,
    /// Files of all its messages, in the order of the document.
    pub attachments: Vec<Attachment>,
    /// Of the first message in its receipt.
    pub place: usize,
    pub received_at: Timestamp,
    /// Of a channel for mail.
    pub letter: Option<AnsweredLetter>,
    /// Messages of a draft that ended without becoming anything.
    pub expired: u64,
}

/// The letter that an answer goes out to.
#[derive(Clone, PartialEq, Eq)]
pub struct AnsweredLetter {
    /// Its Message-ID, if it had one.
    pub message_id: Option<String>,
}

impl std::fmt::Debug for AnsweredLetter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("AnsweredLetter(***)")
    }
}

#[derive(Debug)]
pub struct WholeComplaint {
    pub complaint: Complaint,
    pub event_id: String,
    pub matter: Matter,
}

#[derive(Debug)]
pub struct WholeFollowUp {
    pub follow_up: FollowUp,
    pub kind: EventKind,
    pub event_id: String,
    /// Where the complaint went; empty when nobody knows any more: then the default queue.
    pub queue: String,
    pub sensitivity: Sensitivity,
    pub matter: Matter,
}

#[derive(Debug)]
pub struct Drafted {
    /// The claim of the message: an answer's id is derived from it.
    pub cause: String,
    pub matter: Matter,
}

#[derive(Debug)]
pub struct Obeyed {
    /// The claim of the message: an answer's id is derived from it.
    pub cause: String,
    /// The report that was asked about, if it is the sender's.
    pub complaint_id: Option<Uuid>,
    pub matter: Matter,
}

/// Where a reporter is answered; the vault seals it.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Address {
    #[serde(skip)]
    pub reporter_ref: String,
    pub to: String,
    /// `phone`, `email`, …: `to_type` of `[send]`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Our number or account that the citizen wrote to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Address({}, {}, ***)", self.reporter_ref, self.kind)
    }
}

impl Address {
    /// The text to be sealed: JSON with `to`, `type` and `from`.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an address is plain text")
    }
}

impl WholeComplaint {
    pub fn event(&self, channel: &ChannelId) -> Event {
        let complaint = &self.complaint;
        let time = complaint.received_datetime.clone();
        let (id, sensitivity) = (self.event_id.clone(), complaint.sensitivity());
        Event::new(id, channel, EventKind::Received, complaint.complaint_id, time, sensitivity, complaint)
    }
}

impl WholeFollowUp {
    pub fn event(&self, channel: &ChannelId) -> Event {
        let time = self.follow_up.received_datetime.clone();
        let complaint_id = self.follow_up.complaint_id;
        Event::new(self.event_id.clone(), channel, self.kind, complaint_id, time, self.sensitivity, &self.follow_up)
    }
}

/// What a message asks about: the pipeline looks it up before [`converse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Tracking(TrackingId),
    /// The complaint of a signed thread.
    Complaint(Uuid),
    /// Has somebody who works on one of these asked the citizen something? Newest first.
    Any(Vec<Uuid>),
}

/// The one report that a message names, if it names one. A number in a command says more than the thread that it stands
/// in, and that more than a number in a subject.
pub fn asks_about(message: &Assembled, sender: &Sender, channel: &ChannelFacts, gateway: &Gateway) -> Option<Asked> {
    let command = message.message.message.text.as_deref().map(command::read);
    let command = match command {
        Some(command::Reading::Command(command, _)) => Some(command),
        _ => None,
    };
    if let Some(id) = command.as_ref().and_then(Command::names) {
        return Some(Asked::Tracking(id.clone()));
    }
    if channel.converses() && message.message.replyable {
        if let Some(looked_up) = turn::looked_up(message, sender) {
            return Some(Asked::Tracking(looked_up));
        }
        if command.is_none() {
            return may_be_asked(sender).map(Asked::Any);
        }
    }
    if channel.medium == Medium::Email {
        let message = &message.message.message;
        let thread = mail_thread::complaint(message, gateway).map(Asked::Complaint);
        let named = thread.or_else(|| mail_thread::number(message).map(Asked::Tracking));
        if named.is_some() {
            return named;
        }
    }
    let last = || sender.reports.last().map(|report| Asked::Tracking(report.tracking_id.clone()));
    command.filter(|command| *command == Command::Status(None)).and_then(|_| last())
}

/// The reports that a message which opens a conversation may be the answer about.
pub fn may_be_asked(sender: &Sender) -> Option<Vec<Uuid>> {
    let is_open = sender.draft.is_none() && !sender.reports.is_empty();
    is_open.then(|| sender.reports.iter().rev().map(|report| report.complaint_id).collect())
}

/// Does whoever works on this report wait for an answer of the citizen?
pub fn waits_for_an_answer(known: &ComplaintRecord, now: Timestamp) -> bool {
    let last = known.status.last();
    last.is_some_and(|last| last.status == "info_requested" && now.duration_since(last.at).abs() < ASKED)
}

/// Decides, and changes nothing but the sender's memory. `known` is the entry of what [`asks_about`] named.
#[expect(clippy::needless_pass_by_value, reason = "a stage takes the message away: nobody converses about it twice")]
pub fn converse(
    message: Assembled,
    sender: &mut Sender,
    known: Option<&ComplaintRecord>,
    rules: Rules<'_>,
    channel: &ChannelFacts,
    gateway: &Gateway,
    now: Timestamp,
) -> Conversed {
    let Rules { agencies, flow, locales } = rules;
    let keyword = |token: &str| agencies.keyword(token);
    let agency = |text: &str| agencies.named(text, None);
    let material = Material { assembled: &message, channel, gateway };
    Turn { material, sender, known, keyword: &keyword, agency: &agency, flow, locales, now }.take()
}

/// What operators write about conversations.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub agencies: &'a Agencies,
    pub flow: &'a Flow,
    pub locales: &'a Locales,
}

#[cfg(test)]
mod tests;
