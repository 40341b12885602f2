//! Puts the complaint document together (`complaint-format.md` §2 to §8), and the follow-up document (§5.3).

use uuid::Uuid;

use super::{
    facts::{ChannelFacts, ReceiptFacts, ReporterKey},
    sms::Reading,
};
use crate::{
    complaint::{
        AgencyHint, Assurance, AttachmentKind, AttachmentState, ChannelRecord, ChosenBy, Completeness, Complaint, Consent,
        ConsentMethod, ContactPoint, ContentDisclosure, DatedCheck, Disposition, FileDisposition, FileRecord, Flag,
        FollowUp, Geometry, HintSource, Intent, LegalBasis, LocationSource, Medium, Place, Privacy, Provenance, Relation,
        ReplyWays, Reporter, ReporterDisclosure, ReporterKind, ReportType, SCHEMA_VERSION, Screening, Thread, TrackingId,
        derived_bytes, derived_uuid7, reporter_ref,
    },
    message::{Attachment, Location, Message},
    normalise::Normalised,
    receipt::VerdictResult,
};

/// Everything that the documents of one message are made of.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    pub channel: &'a ChannelFacts,
    pub receipt: &'a ReceiptFacts,
    /// Place of the message in its receipt, from 0: ids are derived from it.
    pub index: usize,
    pub message: &'a Normalised,
    pub reporter_key: &'a ReporterKey,
}

impl Material<'_> {
    /// A `UUIDv7` for `purpose`, the same again on a replay.
    pub fn uuid(&self, purpose: &str) -> Uuid {
        derived_uuid7(self.receipt.unix_ms(), &self.receipt.draw, &format!("{purpose}/{}", self.index))
    }

    /// The tracking id of the complaint that this message becomes; `attempt` above 0 when an earlier one was taken.
    pub fn tracking_id(&self, attempt: u32) -> TrackingId {
        let bytes = derived_bytes(&self.receipt.draw, &format!("tracking/{}/{attempt}", self.index));
        TrackingId::from_random([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]])
    }

    pub fn reporter_ref(&self) -> String {
        let identity = self.message.message().identities.first().map_or("", |identity| identity.value.as_str());
        reporter_ref(&self.reporter_key.0, &self.channel.id, identity)
    }

    /// What stands when the reporter chose nothing.
    pub fn default_privacy(&self) -> Privacy {
        Privacy {
            reporter_disclosure: self.channel.reporter_disclosure,
            content_disclosure: self.channel.content_disclosure,
            chosen_by: ChosenBy::Default,
        }
    }

    fn channel_record(&self) -> ChannelRecord {
        let message = self.message.message();
        ChannelRecord {
            id: self.channel.id.to_string(),
            name: self.channel.medium,
            provider: Some(self.channel.provider.clone()),
            recipient: message.to.clone(),
            conversation_id: None,
            message_ids: vec![message.id.clone().unwrap_or_else(|| self.message.claim().to_owned())],
        }
    }

    fn provenance(&self) -> Provenance {
        let at = self.channel.time(self.receipt.received_at);
        let verdict = &self.receipt.verdict;
        let check = |check: &crate::receipt::Check| DatedCheck { check: check.clone(), at: Some(at.clone()) };
        Provenance {
            checks: verdict.checks.iter().map(check).collect(),
            proves: verdict.proves,
            assurance: self.assurance(),
            gateway: self.channel.gateway.clone(),
            gateway_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The number of an SMS can be forged, so a signature of the provider proves the transport at most; the identities of
    /// WhatsApp and Telegram are the account's own.
    fn assurance(&self) -> Assurance {
        match (self.receipt.verdict.proves.sender, self.channel.medium) {
            (false, _) => Assurance::Unauthenticated,
            (true, Medium::Whatsapp | Medium::Telegram) => Assurance::ContactVerified,
            (true, _) => Assurance::TransportVerified,
        }
    }

    fn screening(&self, mut flags: Vec<Flag>) -> Screening {
        if self.receipt.verdict.result != VerdictResult::Pass {
            flags.push(Flag::Unverified);
        }
        flags.sort_unstable();
        flags.dedup();
        let disposition = if self.receipt.released {
            Disposition::Released
        } else if flags.is_empty() {
            Disposition::Accept
        } else {
            Disposition::AcceptFlagged
        };
        Screening { flags, disposition }
    }

    fn files(&self) -> Vec<FileRecord> {
        let message = self.message.message();
        let record = |(place, attachment): (usize, &Attachment)| FileRecord {
            attachment_id: self.uuid(&format!("attachment/{place}")),
            kind: attachment_kind(attachment.media_type.as_deref()),
            state: AttachmentState::Pending,
            media_type: attachment.media_type.clone(),
            filename: attachment.filename.clone(),
            size_bytes: attachment.size_bytes,
            sha256: attachment.sha256.clone(),
            provider_media_id: attachment.reference.clone(),
            disposition: Some(if attachment.inline { FileDisposition::Inline } else { FileDisposition::Attachment }),
            part_of: message.id.clone(),
        };
        message.attachments.iter().enumerate().map(record).collect()
    }

    fn reporter(&self, disclosure: ReporterDisclosure, language: &str) -> Reporter {
        let message = self.message.message();
        let shown = matches!(disclosure, ReporterDisclosure::Public | ReporterDisclosure::Agency);
        let verified = matches!(self.assurance(), Assurance::ContactVerified | Assurance::IdentityVerified);
        let contact = |identity: &crate::message::Identity| ContactPoint {
            kind: identity.kind.clone(),
            value: identity.value.clone(),
            verified: verified.then_some(true),
        };
        Reporter {
            reference: self.reporter_ref(),
            display_name: message.sender_name.clone().filter(|_| shown),
            contact_points: if shown { message.identities.iter().map(contact).collect() } else { Vec::new() },
            preferred_language: Some(language.to_owned()),
            reporter_kind: Some(ReporterKind::Unknown),
        }
    }

    fn reply_ways(&self) -> ReplyWays {
        let capabilities =
            if self.message.replyable() { self.channel.capabilities.clone() } else { Vec::new() };
        ReplyWays { capabilities, window_until: None }
    }
}

/// What a complaint is made of besides its message.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    pub reading: &'a Reading,
    pub privacy: Privacy,
    /// BCP 47, of the answers.
    pub language: &'a str,
    pub agency_hint: Option<AgencyHint>,
    /// The first complaint with the same text.
    pub possible_duplicate: Option<Uuid>,
    /// Attempt to draw a tracking id that nobody has.
    pub attempt: u32,
}

/// The complaint document of a message that stands for itself.
pub fn complaint(material: &Material<'_>, choices: Choices<'_>) -> Complaint {
    let (channel, receipt) = (material.channel, material.receipt);
    let message = material.message.message();
    let reading = choices.reading;
    let description = reading.text.clone();
    let mut flags = material.message.flags().to_vec();
    flags.retain(|flag| *flag != Flag::EmptyText);
    if description.is_empty() {
        flags.push(Flag::EmptyText);
    }
    let location = place(message.location.as_ref(), reading.location.as_deref());
    let mut missing = Vec::new();
    if reading.too_short {
        missing.push("description".to_owned());
    }
    if location.is_none() {
        missing.push("location".to_owned());
    }
    missing.push("incident_datetime".to_owned());
    let (language, confidence) = material.message.language().unzip();
    Complaint {
        schema_version: SCHEMA_VERSION.to_owned(),
        complaint_id: material.uuid("complaint"),
        tracking_id: material.tracking_id(choices.attempt),
        report_type: ReportType::Unclassified,
        title: message.subject.clone(),
        description,
        description_language: language.map(str::to_owned),
        language_confidence: confidence,
        requested_datetime: channel.time(material.message.requested_at()),
        received_datetime: channel.time(receipt.received_at),
        service_code: None,
        keywords: reading.keyword.iter().cloned().collect(),
        agency_hint: choices.agency_hint,
        location,
        attachments: material.files(),
        reporter: material.reporter(choices.privacy.reporter_disclosure, choices.language),
        privacy: choices.privacy,
        consent: Consent {
            legal_basis: LegalBasis::PublicTask,
            notice_version: channel.notice_version.clone(),
            notice_language: Some(choices.language.to_owned()),
            given_at: None,
            method: ConsentMethod::ImpliedByMessage,
        },
        channel: material.channel_record(),
        thread: thread(message, choices.possible_duplicate),
        provenance: material.provenance(),
        classification: None,
        screening: material.screening(flags),
        completeness: Completeness {
            missing,
            // Until parts are gathered, each part stands for itself and says that it is not the whole.
            incomplete_parts: message.group.is_some(),
            single_shot: true,
        },
        raw_refs: vec![receipt.raw.clone()],
        reply: material.reply_ways(),
    }
}

/// A follow-up document of this message on an earlier complaint.
pub fn follow_up(
    material: &Material<'_>,
    report: &super::memory::Remembered,
    intent: Intent,
    description: Option<String>,
    privacy: Option<Privacy>,
) -> FollowUp {
    let screening = material.screening(material.message.flags().to_vec());
    FollowUp {
        schema_version: SCHEMA_VERSION.to_owned(),
        complaint_id: report.complaint_id,
        tracking_id: report.tracking_id.clone(),
        followup_id: material.uuid("followup"),
        sequence: report.sequence + 1,
        intent,
        description: description.filter(|text| !text.is_empty()),
        attachments: material.files(),
        privacy,
        requested_datetime: material.channel.time(material.message.requested_at()),
        received_datetime: material.channel.time(material.receipt.received_at),
        channel: material.channel_record(),
        provenance: material.provenance(),
        raw_refs: vec![material.receipt.raw.clone()],
        screening: Some(screening).filter(|screening| !screening.flags.is_empty()),
    }
}

/// The privacy after ANONIM and RAHASIA.
pub fn chosen_privacy(default: Privacy, anonymous: bool, confidential: bool) -> Privacy {
    if !(anonymous || confidential) {
        return default;
    }
    Privacy {
        reporter_disclosure: if anonymous { ReporterDisclosure::Withheld } else { default.reporter_disclosure },
        content_disclosure: if confidential { ContentDisclosure::Agency } else { default.content_disclosure },
        chosen_by: ChosenBy::Reporter,
    }
}

/// The agency that an SMS keyword names.
pub fn keyword_hint(code: Option<&str>, name: &str) -> AgencyHint {
    AgencyHint { code: code.map(str::to_owned), name: name.to_owned(), source: HintSource::Keyword }
}

fn place(pin: Option<&Location>, words: Option<&str>) -> Option<Place> {
    let Some(pin) = pin else {
        let place = |address: &str| Place {
            geometry: None,
            accuracy_m: None,
            address_string: Some(address.to_owned()),
            region: None,
            source: LocationSource::Text,
        };
        return words.filter(|words| !words.is_empty()).map(place);
    };
    let source = match pin {
        Location { live: true, .. } => LocationSource::Live,
        Location { label: Some(_), .. } => LocationSource::Venue,
        _ => LocationSource::Pin,
    };
    let address = [pin.label.as_deref(), pin.address.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
    Some(Place {
        geometry: Some(Geometry::Point { coordinates: [pin.lon, pin.lat] }),
        accuracy_m: pin.accuracy_m.filter(|accuracy| *accuracy >= 0.0),
        address_string: Some(address).filter(|address| !address.is_empty()),
        region: None,
        source,
    })
}

fn thread(message: &Message, possible_duplicate: Option<Uuid>) -> Option<Thread> {
    let thread = Thread {
        in_reply_to: message.reply_to.clone(),
        references: message.references.clone(),
        related_complaint_id: possible_duplicate,
        relation: possible_duplicate.map(|_| Relation::PossibleDuplicate),
    };
    Some(thread).filter(|thread| *thread != Thread::default())
}

fn attachment_kind(media_type: Option<&str>) -> AttachmentKind {
    match media_type.unwrap_or_default().split('/').next().unwrap_or_default() {
        "image" => AttachmentKind::Image,
        "video" => AttachmentKind::Video,
        "audio" => AttachmentKind::Audio,
        "application" | "text" => AttachmentKind::Document,
        _ => AttachmentKind::Other,
    }
}
