//! Puts the complaint document together (`complaint-format.md` §2 to §8), and the follow-up document (§5.3).
//!
//! Ids are derived from the draw of the first fragment's receipt and the message's place in it, so that a replay makes the
//! same ones again.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Address, mail_thread, sms::Reading};
use crate::{
    assemble::Assembled,
    channel::ChannelFacts,
    complaint::{
        Assurance, AttachmentKind, AttachmentState, ChannelRecord, ChosenBy, Classification, ClassificationSource,
        Complaint, Completeness, Consent, ConsentMethod, ContactPoint, ContentDisclosure, DESCRIPTION_MAX_CHARS,
        DatedCheck, Disposition, FileDisposition, FileRecord, Flag, FollowUp, Geometry, Intent, LegalBasis,
        LocationSource, Medium, Place, Privacy, Provenance, RawRef, ReplyCapability, ReplyWays, ReportType, Reporter,
        ReporterDisclosure, ReporterKind, SCHEMA_VERSION, Screening, TITLE_MAX_CHARS, Thread, TrackingId,
        derived_bytes, derived_uuid7, hex, reporter_ref,
    },
    gateway::Gateway,
    message::{Attachment, Identity, Location, Message},
    normalise::{Normalised, text::cut},
    receipt::{Check, Origin},
    sender::{AgreedBy, Answers, State},
};

/// A provider's time further from ours is not believed.
const SANE: SignedDuration = SignedDuration::from_hours(24);

/// Everything that the documents of one message are made of.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    pub assembled: &'a Assembled,
    pub channel: &'a ChannelFacts,
    pub gateway: &'a Gateway,
}

/// What a complaint is made of besides its message.
#[derive(Debug)]
pub struct Choices<'a> {
    pub reading: Reading,
    pub privacy: Privacy,
    /// BCP 47, of the answers.
    pub language: &'a str,
    pub thread: Thread,
}

fn is_hidden(disclosure: ReporterDisclosure) -> bool {
    matches!(disclosure, ReporterDisclosure::Withheld | ReporterDisclosure::NotCollected)
}

fn derived_id(received_at: Timestamp, draw: &[u8; 16], purpose: &str, place: usize) -> Uuid {
    let received = u64::try_from(received_at.as_millisecond()).unwrap_or(0);
    derived_uuid7(received, draw, &format!("{purpose}/{place}"))
}

/// The tracking id that a message would get, and the complaint that it would become if it is whole by itself.
pub fn draw(message: &Normalised) -> (TrackingId, Uuid) {
    (tracking_id(message), complaint_id(&message.origin, message.place))
}

fn tracking_id(message: &Normalised) -> TrackingId {
    let Normalised { origin, place, redraw, .. } = message;
    // The first draw has no number, so that it is the same for every version of the gateway.
    let purpose = if *redraw == 0 { format!("tracking/{place}") } else { format!("tracking/{place}/{redraw}") };
    let bytes = derived_bytes(&origin.draw, &purpose);
    TrackingId::from_random([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]])
}

/// The complaint that the message at `place` of a receipt became, if it became one and was whole by itself.
pub fn complaint_id(origin: &Origin, place: usize) -> Uuid {
    derived_id(origin.received_at, &origin.draw, "complaint", place)
}

impl Material<'_> {
    /// The provider named no sender.
    pub fn is_nobody(&self) -> bool {
        self.assembled.message.identity.value.is_empty()
    }

    /// Is there anything besides words?
    pub fn carries_more(&self) -> bool {
        !self.message().attachments.is_empty() || self.message().location.is_some()
    }

    fn message(&self) -> &Message {
        &self.assembled.message.message
    }

    fn origin(&self) -> &Origin {
        &self.assembled.message.origin
    }

    /// A `UUIDv7` for `purpose`, the same again on a replay.
    pub fn uuid(&self, purpose: &str) -> Uuid {
        derived_id(self.assembled.received_at, &self.origin().draw, purpose, self.assembled.message.place)
    }

    /// Who nobody named has a ref of their own: two of them are not the same person. So has whoever wants answers to a
    /// letter elsewhere (`Reply-To`): many people write through the address of one form, and anybody can write another's
    /// name above a letter, but answers to one complaint never go where another letter wants its own.
    pub fn reporter_ref(&self) -> String {
        let message = &self.assembled.message;
        let name = if message.identity.value.is_empty() { &message.claim } else { &message.identity.value };
        let key = self.gateway.reporter_key();
        match &message.message.reply_address {
            Some(reply) => reporter_ref(key, &self.channel.id, &format!("{name}\nreply-to {reply}")),
            None => reporter_ref(key, &self.channel.id, name),
        }
    }

    /// Where an answer goes.
    pub fn address(&self) -> Address {
        let message = self.message();
        let identity = &self.assembled.message.identity;
        Address {
            reporter_ref: self.reporter_ref(),
            to: message.reply_address.clone().unwrap_or_else(|| identity.value.clone()),
            kind: identity.kind.clone(),
            from: message.to.clone(),
        }
    }

    pub fn replyable(&self) -> bool {
        self.assembled.message.replyable && self.channel.can_reply
    }

    /// What stands when the reporter chose nothing.
    pub fn default_privacy(&self) -> Privacy {
        let nobody = self.message().identities.is_empty();
        Privacy {
            reporter_disclosure: if nobody {
                ReporterDisclosure::NotCollected
            } else {
                self.gateway.reporter_disclosure
            },
            content_disclosure: self.gateway.content_disclosure,
            chosen_by: ChosenBy::Default,
        }
    }

    fn received(&self) -> String {
        self.channel.time(self.assembled.received_at)
    }

    fn requested(&self) -> String {
        let received_at = self.assembled.received_at;
        let sane = |at: &Timestamp| at.duration_since(received_at).abs() < SANE;
        self.channel.time(self.message().sent_at.filter(sane).unwrap_or(received_at))
    }

    /// The id of a letter names the server of its writer, and with it sometimes the writer: where nobody may know who
    /// wrote, its hash stands for it.
    fn shown_id(&self, id: &str, disclosure: ReporterDisclosure) -> String {
        if is_hidden(disclosure) && self.channel.medium == Medium::Email {
            let hash = ring::hmac::sign(self.gateway.reporter_key(), id.as_bytes());
            return format!("id-hash:{}", hex(&hash.as_ref()[..16]));
        }
        id.to_owned()
    }

    /// The thread as this reporter's privacy lets it be seen.
    pub fn shown_thread(&self, thread: Thread, disclosure: ReporterDisclosure) -> Thread {
        let shown = |id: String| self.shown_id(&id, disclosure);
        Thread {
            in_reply_to: thread.in_reply_to.map(shown),
            references: thread.references.into_iter().map(shown).collect(),
            ..thread
        }
    }

    fn channel_record(&self, disclosure: ReporterDisclosure) -> ChannelRecord {
        let message = self.message();
        let conversation = &self.assembled.message.sender.0[..8];
        ChannelRecord {
            id: self.channel.id.to_string(),
            name: self.channel.medium,
            provider: Some(self.channel.provider.clone()).filter(|provider| !provider.is_empty()),
            recipient: message.to.clone(),
            conversation_id: message.conversation_key.as_ref().map(|_| format!("cv_{}", hex(conversation))),
            message_ids: self.assembled.message_ids.iter().map(|id| self.shown_id(id, disclosure)).collect(),
        }
    }

    fn provenance(&self, disclosure: ReporterDisclosure) -> Provenance {
        let verdict = &self.origin().verdict;
        let at = self.received();
        // The domains of a letter's checks are its writer's.
        let is_told = !(is_hidden(disclosure) && self.channel.medium == Medium::Email);
        let told = |detail: &String| is_told && !detail.is_empty();
        let dated = |check: &Check| DatedCheck {
            check: Check { detail: check.detail.clone().filter(told), ..check.clone() },
            at: Some(at.clone()),
        };
        Provenance {
            checks: verdict.checks.iter().filter(|check| !check.method.is_empty()).map(dated).collect(),
            proves: verdict.proves,
            assurance: self.assurance(),
            gateway: self.gateway.name.clone(),
            gateway_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The number of an SMS can be forged, so a signature of the provider proves the transport at most; the identities of
    /// WhatsApp and Telegram are the account's own.
    fn assurance(&self) -> Assurance {
        match (self.origin().verdict.proves.sender, self.channel.medium) {
            (true, Medium::Whatsapp | Medium::Telegram) => Assurance::ContactVerified,
            // Who may write from this address said that this letter is from it.
            (_, Medium::Email) if self.passes_dmarc() => Assurance::ContactVerified,
            (false, _) => Assurance::Unauthenticated,
            (true, _) => Assurance::TransportVerified,
        }
    }

    fn passes_dmarc(&self) -> bool {
        self.message().auth.as_ref().is_some_and(|auth| auth.dmarc == "pass")
    }

    fn raw_refs(&self) -> Vec<RawRef> {
        let reference = |origin: &std::sync::Arc<Origin>| {
            let expires = origin.received_at.checked_add(self.gateway.raw_retention.signed()).unwrap_or(Timestamp::MAX);
            let expires = Timestamp::from_second(expires.as_second()).unwrap_or(expires);
            RawRef {
                raw_id: origin.id.0,
                media_type: origin.media_type.clone(),
                size_bytes: origin.size_bytes,
                sha256: hex(&origin.sha256),
                expires_at: self.channel.time(expires),
            }
        };
        self.assembled.origins.iter().map(reference).collect()
    }

    fn files(&self, disclosure: ReporterDisclosure) -> Vec<FileRecord> {
        let message = self.message();
        let record = |(place, file): (usize, &Attachment)| FileRecord {
            attachment_id: self.uuid(&format!("attachment/{place}")),
            kind: attachment_kind(file.media_type.as_deref()),
            state: AttachmentState::Pending,
            reject_reason: None,
            media_type: file.media_type.clone(),
            detected_media_type: None,
            filename: file.filename.clone(),
            size_bytes: file.size_bytes,
            sha256: file.sha256.clone(),
            provider_media_id: file.reference.clone(),
            url: None,
            scan: None,
            exif: None,
            disposition: Some(if file.inline { FileDisposition::Inline } else { FileDisposition::Attachment }),
            // Which of several messages it came with is not known any more.
            part_of: message
                .id
                .as_ref()
                .filter(|_| self.assembled.message_ids.len() == 1)
                .map(|id| self.shown_id(id, disclosure)),
        };
        message.attachments.iter().enumerate().map(record).collect()
    }

    fn reporter(&self, disclosure: ReporterDisclosure, language: &str) -> Reporter {
        let message = self.message();
        let shown = matches!(disclosure, ReporterDisclosure::Public | ReporterDisclosure::Agency);
        let verified = (self.assurance() >= Assurance::ContactVerified).then_some(true);
        let contact =
            |identity: &Identity| ContactPoint { kind: identity.kind.clone(), value: identity.value.clone(), verified };
        Reporter {
            reference: self.reporter_ref(),
            display_name: message.sender_name.clone().filter(|_| shown),
            contact_points: if shown { message.identities.iter().map(contact).collect() } else { Vec::new() },
            preferred_language: Some(language.to_owned()),
            reporter_kind: Some(ReporterKind::Unknown),
        }
    }

    fn reply_ways(&self) -> ReplyWays {
        let mut capabilities = if self.replyable() { self.channel.capabilities.clone() } else { Vec::new() };
        if self.replyable() && capabilities.is_empty() {
            capabilities.push(ReplyCapability::Text);
        }
        capabilities.dedup();
        ReplyWays { capabilities, window_until: None }
    }

    /// The flags of the message with those of the text that goes into the document.
    fn screening(&self, description: &str, truncated: bool) -> Screening {
        let mut flags = self.assembled.message.flags.clone();
        flags.retain(|flag| *flag != Flag::EmptyText);
        if description.is_empty() {
            flags.push(Flag::EmptyText);
        }
        if truncated {
            flags.push(Flag::TextTruncated);
        }
        flags.sort_unstable();
        flags.dedup();
        let disposition = if flags.is_empty() { Disposition::Accept } else { Disposition::AcceptFlagged };
        Screening { flags, disposition }
    }
}

/// The complaint document of a whole message.
pub fn complaint(material: &Material<'_>, choices: Choices<'_>) -> Complaint {
    let message = material.message();
    let Choices { reading, privacy, language, thread } = choices;
    let location = place(message.location.as_ref(), reading.location.as_deref());
    let missing = missing(&reading, location.is_some());
    let (description, truncated) = cut(reading.text, DESCRIPTION_MAX_CHARS);
    let screening = material.screening(&description, truncated);
    let (keyword, agency_hint) = reading.keyword.unzip();
    let (incident_text, incident_date) = reading.incident.unzip();
    let (detected, confidence) = material.assembled.message.language.clone().unzip();
    Complaint {
        schema_version: SCHEMA_VERSION.to_owned(),
        complaint_id: material.uuid("complaint"),
        tracking_id: tracking_id(&material.assembled.message),
        report_type: ReportType::Unclassified,
        title: title(message, material.channel.medium),
        description,
        description_language: detected,
        language_confidence: confidence,
        incident_datetime: incident_date.flatten().map(|date| date.to_string()),
        incident_datetime_text: incident_text,
        requested_datetime: material.requested(),
        received_datetime: material.received(),
        service_code: None,
        agency_hint,
        keywords: keyword.into_iter().collect(),
        location,
        attachments: material.files(privacy.reporter_disclosure),
        reporter: material.reporter(privacy.reporter_disclosure, language),
        privacy,
        consent: Consent {
            legal_basis: LegalBasis::PublicTask,
            notice_version: material.gateway.notice_version.clone(),
            notice_language: Some(language.to_owned()),
            given_at: None,
            method: ConsentMethod::ImpliedByMessage,
        },
        channel: material.channel_record(privacy.reporter_disclosure),
        thread: Some(material.shown_thread(thread, privacy.reporter_disclosure))
            .filter(|thread| *thread != Thread::default()),
        provenance: material.provenance(privacy.reporter_disclosure),
        classification: None,
        screening,
        completeness: Completeness { missing, incomplete_parts: material.assembled.incomplete, single_shot: true },
        raw_refs: material.raw_refs(),
        reply: material.reply_ways(),
    }
}

/// Fills the fields of a complaint that a chat has asked about.
pub fn told(complaint: &mut Complaint, material: &Material<'_>, answers: &Answers) {
    if let Some(report_type) = answers.report_type {
        complaint.report_type = report_type;
        complaint.classification = Some(Classification { source: ClassificationSource::Citizen });
    }
    complaint.agency_hint = answers.agency.clone().or_else(|| complaint.agency_hint.take());
    if let Some(agreed) = &answers.consent {
        complaint.consent.given_at = Some(material.channel.time(agreed.at));
        complaint.consent.method = match agreed.how {
            AgreedBy::Button => ConsentMethod::Button,
            AgreedBy::Text => ConsentMethod::Text,
            AgreedBy::Writing => ConsentMethod::ImpliedByMessage,
        };
    }
    complaint.completeness.single_shot = false;
    // An agency that nobody wished for is not missing: the router decides.
    if answers.report_type.is_none() && answers.passed.contains(&State::Type) {
        complaint.completeness.missing.push("report_type".to_owned());
    }
}

/// What a follow-up says.
#[derive(Debug)]
pub struct Addition {
    pub complaint_id: Uuid,
    pub tracking_id: TrackingId,
    pub sequence: u32,
    pub intent: Intent,
    pub description: Option<String>,
    pub privacy: Option<Privacy>,
    /// Who may know the reporter of the complaint.
    pub disclosure: ReporterDisclosure,
}

/// The follow-up document of a whole message on an earlier complaint.
pub fn follow_up(material: &Material<'_>, addition: Addition) -> FollowUp {
    let words = addition.description.filter(|words| !words.is_empty());
    let (description, truncated) = match words {
        Some(words) => {
            let (words, truncated) = cut(words, DESCRIPTION_MAX_CHARS);
            (Some(words), truncated)
        }
        None => (None, false),
    };
    let mut screening = material.screening(description.as_deref().unwrap_or_default(), truncated);
    // A withdrawal has no words, and is no poorer for it.
    screening.flags.retain(|flag| *flag != Flag::EmptyText);
    FollowUp {
        schema_version: SCHEMA_VERSION.to_owned(),
        complaint_id: addition.complaint_id,
        tracking_id: addition.tracking_id,
        followup_id: material.uuid("followup"),
        sequence: addition.sequence,
        intent: addition.intent,
        description,
        attachments: material.files(addition.disclosure),
        privacy: addition.privacy,
        requested_datetime: material.requested(),
        received_datetime: material.received(),
        channel: material.channel_record(addition.disclosure),
        provenance: material.provenance(addition.disclosure),
        raw_refs: material.raw_refs(),
        screening: (!screening.flags.is_empty()).then_some(screening),
    }
}

/// The privacy after ANONIM and RAHASIA: hidden is only ever added.
pub fn hidden(before: Privacy, anonymous: bool, confidential: bool) -> Privacy {
    if !(anonymous || confidential) {
        return before;
    }
    let reporter_disclosure = match before.reporter_disclosure {
        ReporterDisclosure::NotCollected => ReporterDisclosure::NotCollected,
        _ if anonymous => ReporterDisclosure::Withheld,
        before => before,
    };
    let content_disclosure = if confidential { ContentDisclosure::Agency } else { before.content_disclosure };
    Privacy { reporter_disclosure, content_disclosure, chosen_by: ChosenBy::Reporter }
}

/// A place in words, for a follow-up, which has no other field for it.
pub fn place_in_words(location: &Location) -> String {
    let names = [location.label.as_deref(), location.address.as_deref()];
    let names = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("{names} ({}, {})", location.lat, location.lon).trim_start().to_owned()
}

fn missing(reading: &Reading, has_place: bool) -> Vec<String> {
    [("description", reading.too_short), ("location", !has_place), ("incident_datetime", reading.incident.is_none())]
        .into_iter()
        .filter(|(_, missing)| *missing)
        .map(|(field, _)| field.to_owned())
        .collect()
}

/// The subject of a letter or a form, without the marks of answers; an SMS has none.
fn title(message: &Message, medium: Medium) -> Option<String> {
    let subject = message.subject.as_deref().filter(|_| medium != Medium::Sms)?;
    mail_thread::title(subject, TITLE_MAX_CHARS)
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
        accuracy_m: pin.accuracy_m,
        address_string: Some(address).filter(|address| !address.is_empty()),
        region: None,
        source,
    })
}

fn attachment_kind(media_type: Option<&str>) -> AttachmentKind {
    match media_type.unwrap_or_default().split('/').next().unwrap_or_default() {
        "image" => AttachmentKind::Image,
        "video" => AttachmentKind::Video,
        "audio" => AttachmentKind::Audio,
        "text" if media_type.is_some_and(|media_type| media_type.contains("vcard")) => AttachmentKind::Contact,
        "application" | "text" => AttachmentKind::Document,
        _ => AttachmentKind::Other,
    }
}
