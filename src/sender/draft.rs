//! A draft in a sender's memory: a complaint that a chat is still asking about, with every message that went into it.
//!
//! It is all that a conversation needs to go on after a crash, on any gateway. The words stay as they were written; which of
//! them become the description is told by their part in the draft.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Fragment;
use crate::{
    complaint::{AgencyHint, ReportType, TrackingId},
    message::Location,
    receipt::{ChannelId, ReceiptId, Verdict},
};

/// Where a conversation stands (`conversation-flow.md` §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Consent,
    Type,
    Description,
    When,
    Location,
    Agency,
    Attachments,
    Privacy,
    Review,
    /// Which field is to be changed?
    Edit,
    /// Is it an addition to the last report, or a new one?
    Addition,
}

impl State {
    pub const ALL: [Self; 11] = [
        Self::Consent,
        Self::Type,
        Self::Description,
        Self::When,
        Self::Location,
        Self::Agency,
        Self::Attachments,
        Self::Privacy,
        Self::Review,
        Self::Edit,
        Self::Addition,
    ];

    /// As it stands in `conversation.toml` and in a button.
    pub fn word(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Type => "type",
            Self::Description => "description",
            Self::When => "when",
            Self::Location => "location",
            Self::Agency => "agency",
            Self::Attachments => "attachments",
            Self::Privacy => "privacy",
            Self::Review => "review",
            Self::Edit => "edit",
            Self::Addition => "addition",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// What a message is to the draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Its words and files belong to the complaint.
    #[serde(rename = "c")]
    Content,
    /// It answered a question: it stands in the ids of the complaint, and its words in the field that they fill.
    #[serde(rename = "a")]
    Answer,
}

/// A message in the draft. An album is one message of many claims and receipts.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    #[serde(rename = "p")]
    pub part: Part,
    #[serde(rename = "f")]
    pub fragment: Fragment,
    /// Claims and ids of its other members, in order.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    #[serde(rename = "i", default, skip_serializing_if = "Vec::is_empty")]
    pub message_ids: Vec<String>,
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<FurtherReceipt>,
    /// Under which a photo that comes too late for its album looks for the complaint.
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub flushed: Vec<String>,
}

/// Facts of the receipt of another member.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct FurtherReceipt {
    pub id: ReceiptId,
    pub received_at: Timestamp,
    pub verdict: Verdict,
    pub media_type: String,
    pub size_bytes: u64,
    pub sha256: String,
}

/// What the citizen has answered.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<Agreed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_type: Option<ReportType>,
    /// The words, and the day if they are one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<(String, Option<Date>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency: Option<AgencyHint>,
    /// Anonymous, confidential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy: Option<(bool, bool)>,
    /// Questions that were passed over, by the citizen or after two misses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<State>,
}

/// The citizen has agreed that the report is taken down.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    pub at: Timestamp,
    pub how: AgreedBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgreedBy {
    Button,
    Text,
    /// The notice was read and the citizen went on writing.
    Writing,
}

/// A complaint that is being asked about.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// The first part of every button's payload, 8 characters.
    #[serde(rename = "i")]
    pub id: String,
    #[serde(rename = "c")]
    pub channel: ChannelId,
    #[serde(rename = "s")]
    pub state: State,
    /// States that were left forwards, for KEMBALI.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<State>,
    #[serde(rename = "k", default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    #[serde(rename = "a", default)]
    pub answers: Answers,
    /// Answers in this state that did not fit.
    #[serde(rename = "m", default)]
    pub misses: u8,
    /// A single field is changed, and then the review comes again.
    #[serde(rename = "e", default, skip_serializing_if = "std::ops::Not::not")]
    pub editing: bool,
    /// The first message was long: few questions.
    #[serde(rename = "q", default, skip_serializing_if = "std::ops::Not::not")]
    pub quick: bool,
    /// The description is asked for again, and the first new words stand instead of the old ones.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub rewrites: bool,
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    pub warned: bool,
    /// Remarks that are made once: by their names.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub remarked: Vec<String>,
    /// When the citizen wrote last, Unix milliseconds.
    #[serde(rename = "t")]
    pub touched: i64,
    /// BCP 47, of the last question.
    #[serde(rename = "l")]
    pub language: String,
    /// When a timer has to look at it, Unix milliseconds.
    #[serde(rename = "n")]
    pub next: i64,
    /// Whom a timer speaks to.
    #[serde(rename = "o")]
    pub reporter_ref: String,
}

/// The last draft that became a complaint: its buttons are still in the chat, and a finger may tap twice.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    #[serde(rename = "d")]
    pub draft: String,
    #[serde(rename = "c")]
    pub complaint_id: Uuid,
    #[serde(rename = "t")]
    pub tracking_id: TrackingId,
}

/// What was asked last outside a draft: the next message may be the answer, in words where the channel has no buttons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Shall this report be withdrawn?
    #[serde(rename = "w")]
    Withdraw(TrackingId),
    /// Which of these?
    #[serde(rename = "s")]
    Which(Vec<TrackingId>),
}

macro_rules! redacted {
    ($($name:ident),+) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(concat!(stringify!($name), "(***)"))
            }
        })+
    };
}

redacted!(Kept, FurtherReceipt, Answers, Agreed, Draft, Submitted);

impl Draft {
    /// Messages that are booked as drafted because of it.
    pub fn messages(&self) -> u64 {
        self.kept.iter().map(|kept| 1 + kept.claims.len() as u64).sum()
    }

    /// Words that are content, in the order of arrival.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let content = self.kept.iter().filter(|kept| kept.part == Part::Content);
        content.filter_map(|kept| kept.fragment.message.text.as_deref())
    }

    pub fn files(&self) -> usize {
        self.kept.iter().map(|kept| kept.fragment.message.attachments.len()).sum()
    }

    /// Makes a remark once: false when it was made before.
    pub fn remark(&mut self, name: &str) -> bool {
        let is_new = !self.remarked.iter().any(|made| made == name);
        if is_new {
            self.remarked.push(name.to_owned());
        }
        is_new
    }
}
