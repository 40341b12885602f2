//! The envelope: CloudEvents 1.0, structured over HTTP and binary in a stream (`complaint-format.md` §1).

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::receipt::ChannelId;

/// The `type` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    #[serde(rename = "id.loket.complaint.received.v1")]
    Received,
    #[serde(rename = "id.loket.complaint.followup.v1")]
    FollowUp,
    #[serde(rename = "id.loket.complaint.withdrawn.v1")]
    Withdrawn,
    #[serde(rename = "id.loket.complaint.privacy_changed.v1")]
    PrivacyChanged,
    #[serde(rename = "id.loket.complaint.erasure_requested.v1")]
    ErasureRequested,
    #[serde(rename = "id.loket.complaint.attachment_stored.v1")]
    AttachmentStored,
}

impl EventKind {
    /// The type without prefix and version, as the event id needs it: `complaint.received`.
    pub fn short(self) -> &'static str {
        match self {
            Self::Received => "complaint.received",
            Self::FollowUp => "complaint.followup",
            Self::Withdrawn => "complaint.withdrawn",
            Self::PrivacyChanged => "complaint.privacy_changed",
            Self::ErasureRequested => "complaint.erasure_requested",
            Self::AttachmentStored => "complaint.attachment_stored",
        }
    }

    /// The `type`, as it stands in the envelope.
    pub fn name(self) -> String {
        format!("id.loket.{}.v1", self.short())
    }

    /// The schema of `data`: an identifier, not a place to fetch from.
    pub fn schema(self) -> &'static str {
        match self {
            Self::Received => "https://loket.example/schemas/complaint/v1.json",
            _ => "https://loket.example/schemas/followup/v1.json",
        }
    }
}

/// `confidential` when the content may not be published or the report is whistle-blowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    Normal,
    Confidential,
}

/// One event in structured mode; the members are the attributes and `data`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Event {
    pub specversion: String,
    pub id: String,
    pub source: String,
    #[serde(rename = "type")]
    pub kind: EventKind,
    pub subject: Uuid,
    /// When the message that completed the complaint was received.
    pub time: String,
    pub datacontenttype: String,
    pub dataschema: String,
    /// The complaint id: follow-ups stay ordered behind their complaint.
    pub partitionkey: Uuid,
    pub sensitivity: Sensitivity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The document, already serialised: it is written once and copied from then on.
    pub data: Box<RawValue>,
}

/// The document is a citizen's.
impl std::fmt::Debug for Event {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Event({}, {})", self.kind.name(), self.id)
    }
}

impl Event {
    /// The attributes with their values, in the order of the specification: binary mode.
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let sensitivity = match self.sensitivity {
            Sensitivity::Normal => "normal",
            Sensitivity::Confidential => "confidential",
        };
        let mut attributes = vec![
            ("specversion", self.specversion.clone()),
            ("id", self.id.clone()),
            ("source", self.source.clone()),
            ("type", self.kind.name()),
            ("subject", self.subject.to_string()),
            ("time", self.time.clone()),
            ("datacontenttype", self.datacontenttype.clone()),
            ("dataschema", self.dataschema.clone()),
            ("partitionkey", self.partitionkey.to_string()),
            ("sensitivity", sensitivity.to_owned()),
        ];
        attributes.extend(self.traceparent.clone().map(|traceparent| ("traceparent", traceparent)));
        attributes
    }

    /// The envelope around `document`, which is serialised here, once.
    pub fn new(
        id: String,
        channel: &ChannelId,
        kind: EventKind,
        complaint_id: Uuid,
        time: String,
        sensitivity: Sensitivity,
        document: &impl Serialize,
    ) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id,
            source: format!("/channels/{channel}"),
            kind,
            subject: complaint_id,
            time,
            datacontenttype: "application/json".to_owned(),
            dataschema: kind.schema().to_owned(),
            partitionkey: complaint_id,
            sensitivity,
            traceparent: None,
            data: to_raw_value(document).expect("the documents are plain data with string keys"),
        }
    }
}
