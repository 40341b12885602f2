//! The one complaint format, version 1: what the queue carries and every channel ends in.
//!
//! Rules for the whole format: absent means unknown (never `null`, never `""`, but for `description`); lists keep the
//! order of arrival; times are RFC 3339 with an offset. The JSON Schemas beside this file are the contract, and a test
//! validates against them every event that any test makes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::receipt::{Check, Proves};

mod event;
mod ids;

pub use event::{Event, EventKind, Sensitivity};
pub use ids::{
    BadTrackingId, TrackingId, base32, derived_bytes, derived_uuid7, event_id, from_base32, hex, reporter_ref,
};

/// JSON Schema of [`Complaint`].
pub const COMPLAINT_SCHEMA: &str = include_str!("complaint/complaint.schema.json");
/// JSON Schema of [`FollowUp`].
pub const FOLLOWUP_SCHEMA: &str = include_str!("complaint/followup.schema.json");
/// `schema_version` of everything that this version writes.
pub const SCHEMA_VERSION: &str = "1.0";
/// Most characters of a description; longer text is cut and kept whole in the raw receipt, flag `text_truncated`.
pub const DESCRIPTION_MAX_CHARS: usize = 20_000;
/// Most characters of a title.
pub const TITLE_MAX_CHARS: usize = 120;

/// Declares a fieldless enum whose serialised words are the snake case of its variants.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),+ }
    };
}

words!(ReportType { Complaint, Aspiration, InformationRequest, Whistleblowing, Unclassified });
words!(
    /// Who may learn who the reporter is.
    ReporterDisclosure { Public, Agency, Withheld, NotCollected }
);
words!(
    /// May the text be published.
    ContentDisclosure { Public, Agency }
);
words!(ChosenBy { Reporter, Default, Operator });
words!(LegalBasis { PublicTask, Consent, LegalObligation, VitalInterest });
words!(ConsentMethod { Button, Text, Form, ImpliedByMessage, None });
words!(HintSource { Citizen, Keyword, Recipient, Region });
words!(LocationSource { Pin, Live, Exif, Text, Form, Venue, SenderProfile });
words!(AttachmentKind { Image, Video, Audio, Document, Contact, Other });
words!(AttachmentState { Pending, Stored, Rejected, Expired, Failed });
words!(Relation { Followup, PossibleDuplicate, Reopened, Mentions });
words!(
    /// What the transport proved about the reporter, in rising order.
    Assurance { Unauthenticated, TransportVerified, ContactVerified, IdentityVerified }
);
words!(
    /// Remarks of the screening; nothing is dropped because of one.
    Flag {
        SpamSuspected, AbusiveLanguage, EmergencySuspected, PiiThirdParty, EmptyText, TextTruncated, LossyText,
        UnsupportedContent, AutoReply, Bulk, Malware, NotReplyable, DedupeWeak, Unverified,
    }
);
words!(Disposition { Accept, AcceptFlagged, Released });
words!(ReporterKind { Individual, Organisation, Official, Unknown });
words!(ReplyCapability { Text, Buttons, Media });
words!(
    /// Why a follow-up was sent.
    Intent {
        AdditionalInformation, Reply, Correction, Reopen, Rating, Withdrawal, PrivacyChange, ErasureRequest,
        AttachmentStored,
    }
);
words!(
    /// The medium of a channel: `channel.name`.
    Medium { Sms, Email, Telegram, Whatsapp, Chat, WebForm, Api }
);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgencyHint {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub name: String,
    pub source: HintSource,
}

/// RFC 7946 point: longitude, latitude.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Geometry {
    Point { coordinates: [f64; 2] },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    pub scheme: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edition: Option<String>,
    pub code: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<Geometry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_string: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    pub source: LocationSource,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    pub attachment_id: Uuid,
    pub kind: AttachmentKind,
    pub state: AttachmentState,
    /// Of a file that is not to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject_reason: Option<RejectReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// As its bytes say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_media_id: Option<String>,
    /// Where this gateway gives it out, once it is stored; never the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exif: Option<Exif>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<FileDisposition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
}

words!(FileDisposition { Attachment, Inline });
words!(
    /// Why a file is not to be had.
    RejectReason { TooLarge, TypeNotAllowed, Malware, Empty, DownloadFailed }
);
words!(ScanResult { Clean, Infected, NotScanned });

/// What a scanner for malware said of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    pub result: ScanResult,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// What a picture said of itself before that was taken out of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exif {
    pub stripped: bool,
    /// Local time without a zone, as cameras write it: `2026-01-31T12:00:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<Geometry>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPoint {
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// Who reported. With an identity that is withheld or not collected only `reference`, the language and the kind are there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reporter {
    #[serde(rename = "ref")]
    pub reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact_points: Vec<ContactPoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reporter_kind: Option<ReporterKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privacy {
    pub reporter_disclosure: ReporterDisclosure,
    pub content_disclosure: ContentDisclosure,
    pub chosen_by: ChosenBy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub legal_basis: LegalBasis,
    pub notice_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_at: Option<String>,
    pub method: ConsentMethod,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    pub id: String,
    pub name: Medium,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Our number or account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// The provider's ids of all parts; the claim where the provider gave none.
    pub message_ids: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related_complaint_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
}

/// A [`Check`] with the time when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedCheck {
    #[serde(flatten)]
    pub check: Check,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    pub checks: Vec<DatedCheck>,
    pub proves: Proves,
    pub assurance: Assurance,
    pub gateway: String,
    pub gateway_version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screening {
    pub flags: Vec<Flag>,
    pub disposition: Disposition,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    pub missing: Vec<String>,
    pub incomplete_parts: bool,
    pub single_shot: bool,
}

/// A receipt that the complaint was made from; its bytes stay in the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRef {
    pub raw_id: Uuid,
    pub media_type: String,
    pub size_bytes: u64,
    pub sha256: String,
    pub expires_at: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyWays {
    pub capabilities: Vec<ReplyCapability>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_until: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    pub source: ClassificationSource,
}

words!(ClassificationSource { Citizen, Rule, Model });

/// `data` of `id.loket.complaint.received.v1`: `complaint-format.md` §2, field by field.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Complaint {
    pub schema_version: String,
    pub complaint_id: Uuid,
    pub tracking_id: TrackingId,
    pub report_type: ReportType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_confidence: Option<f64>,
    /// RFC 3339 date, or date and time: when it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_datetime: Option<String>,
    /// The citizen's words for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_datetime_text: Option<String>,
    pub requested_datetime: String,
    pub received_datetime: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agency_hint: Option<AgencyHint>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Place>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<FileRecord>,
    pub reporter: Reporter,
    pub privacy: Privacy,
    pub consent: Consent,
    pub channel: ChannelRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Thread>,
    pub provenance: Provenance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    pub screening: Screening,
    pub completeness: Completeness,
    pub raw_refs: Vec<RawRef>,
    pub reply: ReplyWays,
}

/// `data` of every event after the first: `complaint-format.md` §5.3.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct FollowUp {
    pub schema_version: String,
    pub complaint_id: Uuid,
    pub tracking_id: TrackingId,
    pub followup_id: Uuid,
    /// From 1, per complaint.
    pub sequence: u32,
    pub intent: Intent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<FileRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
    pub requested_datetime: String,
    pub received_datetime: String,
    pub channel: ChannelRecord,
    pub provenance: Provenance,
    pub raw_refs: Vec<RawRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screening: Option<Screening>,
}

/// `data` of `attachment_stored`: a follow-up that no message caused (`complaint-format.md` §5.3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttachmentFinal {
    pub schema_version: String,
    pub complaint_id: Uuid,
    pub tracking_id: TrackingId,
    pub followup_id: Uuid,
    /// As that of a [`FollowUp`].
    pub sequence: u32,
    pub intent: Intent,
    pub attachments: Vec<FileRecord>,
    /// When the message came that brought the file.
    pub received_datetime: String,
}

/// Debug output of what holds a citizen's words or address: the name of the type and no more.
macro_rules! redacted {
    ($($name:ident),+) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(concat!(stringify!($name), "(***)"))
            }
        })+
    };
}

redacted!(ContactPoint, Reporter, ChannelRecord, Complaint, FollowUp);

impl Privacy {
    /// What a router may refuse without reading the document.
    pub fn sensitivity(self) -> Sensitivity {
        match self.content_disclosure {
            ContentDisclosure::Agency => Sensitivity::Confidential,
            ContentDisclosure::Public => Sensitivity::Normal,
        }
    }
}

impl Complaint {
    /// `confidential` when the content may not be published or the report is whistle-blowing.
    pub fn sensitivity(&self) -> Sensitivity {
        match self.report_type {
            ReportType::Whistleblowing => Sensitivity::Confidential,
            _ => self.privacy.sensitivity(),
        }
    }
}
