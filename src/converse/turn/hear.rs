//! Content: words and files become a complaint, or are added to a report of the same sender.

use jiff::SignedDuration;
use uuid::Uuid;

use super::Turn;
use crate::{
    assemble::Assembled,
    complaint::{Complaint, EventKind, Intent, Medium, Privacy, Relation, Thread, TrackingId, event_id},
    converse::{
        Conversed, Said, WholeComplaint, WholeFollowUp,
        compose::{self, Addition, Choices, Material},
        earlier, mail_thread,
        said::PlaceKnown,
        sms,
        target::Target,
    },
    sender::Report,
};

/// The hint about a short text goes out once in this time.
const SHORT_HINT: SignedDuration = SignedDuration::from_hours(1);

impl Turn<'_> {
    /// Content without a thread: a number in the subject of a letter joins it to a report of the same sender, or mentions
    /// that of another.
    pub(super) fn hear_letter(self, text: String, language: &str) -> Conversed {
        let message = &self.material.assembled.message.message;
        let number = (self.material.channel.medium == Medium::Email).then(|| mail_thread::number(message)).flatten();
        let Some(number) = number else { return self.hear(text, Hint::None, language) };
        match self.own(&number) {
            Some(target) => {
                let intent = self.intent_of_answer();
                self.add(target, intent, text, language)
            }
            None => self.hear(text, Hint::Mentions(number), language),
        }
    }

    /// A message that is content: an addition within the window of an SMS, or a complaint.
    pub(super) fn hear(self, text: String, hint: Hint, language: &str) -> Conversed {
        let today = self.material.assembled.received_at.to_zoned(self.material.channel.timezone.clone()).date();
        let typed =
            matches!(self.material.channel.medium, Medium::Sms | Medium::Chat | Medium::Telegram | Medium::Whatsapp);
        let keyword = |token: &str| if typed { (self.keyword)(token) } else { None };
        let mut reading = sms::read(&text, keyword, today);
        if self.material.channel.medium == Medium::Email {
            let (anonymous, confidential) = mail_thread::wishes(&self.material.assembled.message.message);
            reading.anonymous |= anonymous;
            reading.confidential |= confidential;
        }
        let same = earlier::same_words(&self.material, self.sender, &reading).is_some();
        if !same
            && !matches!(hint, Hint::Mentions(_))
            && let Some(target) = earlier::open_window(&self.material, self.sender, &reading)
        {
            // A keyword has no field of its own in a follow-up, so its words stay together.
            let words = if reading.keyword.is_some() { text } else { reading.text };
            return self.add(target, Intent::AdditionalInformation, words, language);
        }
        self.new_complaint(reading, hint, language)
    }

    /// Words or files on an earlier report. Without either it is no addition, but a message of its own.
    pub(super) fn add(self, target: Target, intent: Intent, words: String, language: &str) -> Conversed {
        let place = self.material.assembled.message.message.location.as_ref().map(compose::place_in_words);
        let words = match place {
            Some(place) if words.is_empty() => place,
            Some(place) => format!("{words}\n{place}"),
            None => words,
        };
        if words.is_empty() && !self.material.carries_more() {
            return self.new_complaint(sms::Reading { too_short: true, ..Default::default() }, Hint::None, language);
        }
        let said = self.speaker(language).added(&target.tracking_id);
        self.follow(target, intent, Some(words), None, said, language)
    }

    pub(super) fn follow(
        self,
        target: Target,
        intent: Intent,
        words: Option<String>,
        privacy: Option<Privacy>,
        said: Said,
        language: &str,
    ) -> Conversed {
        let assembled = self.material.assembled;
        let kind = match intent {
            Intent::Withdrawal => EventKind::Withdrawn,
            Intent::PrivacyChange => EventKind::PrivacyChanged,
            Intent::ErasureRequest => EventKind::ErasureRequested,
            _ => EventKind::FollowUp,
        };
        let sequence = self.sender.next_sequence(target.complaint_id, target.sequence);
        let addition = Addition {
            complaint_id: target.complaint_id,
            tracking_id: target.tracking_id,
            sequence,
            intent,
            description: words,
            privacy,
            disclosure: privacy.unwrap_or(target.privacy).reporter_disclosure,
        };
        let follow_up = compose::follow_up(&self.material, addition);
        assembled.became(target.complaint_id, self.sender);
        let id = event_id(&self.material.channel.id, kind.short(), assembled.claims.iter().map(String::as_str));
        Conversed::FollowUp(Box::new(WholeFollowUp {
            follow_up,
            kind,
            event_id: id,
            queue: target.queue,
            sensitivity: privacy.unwrap_or(target.privacy).sensitivity(),
            matter: self.matter(Some(said), language),
        }))
    }

    fn new_complaint(mut self, reading: sms::Reading, hint: Hint, language: &str) -> Conversed {
        let assembled = self.material.assembled;
        let first = earlier::same_words(&self.material, self.sender, &reading);
        let thread = self.thread(first.as_ref().map(|(id, _)| *id), &hint);
        let privacy = compose::hidden(self.material.default_privacy(), reading.anonymous, reading.confidential);
        let (too_short, text) = (reading.too_short, earlier::words_hash(&reading.text));
        let complaint = compose::complaint(&self.material, Choices { reading, privacy, language, thread });
        let say = match &first {
            Some((_, id)) => Some(self.speaker(language).duplicate(id)),
            None => self.first_words(&complaint, too_short, hint, language),
        };
        self.remember(assembled, &complaint, text, first);
        self.whole(complaint, say, language)
    }

    /// Notes the complaint in the sender's memory. `words`: their hash.
    pub(super) fn remember(
        &mut self,
        assembled: &Assembled,
        complaint: &Complaint,
        words: u64,
        first: Option<(Uuid, TrackingId)>,
    ) {
        assembled.became(complaint.complaint_id, self.sender);
        self.sender.remember(Report {
            complaint_id: complaint.complaint_id,
            tracking_id: complaint.tracking_id.clone(),
            queue: String::new(),
            at: assembled.received_at.as_second(),
            text: words,
            sequence: 0,
            privacy: complaint.privacy,
            messages: assembled.message_ids.iter().map(|id| earlier::short_hash(id)).collect(),
            first,
        });
    }

    pub(super) fn whole(self, complaint: Complaint, say: Option<Said>, language: &str) -> Conversed {
        let claims = self.material.assembled.claims.iter().map(String::as_str);
        let id = event_id(&self.material.channel.id, EventKind::Received.short(), claims);
        Conversed::Complaint(Box::new(WholeComplaint { complaint, event_id: id, matter: self.matter(say, language) }))
    }

    /// Of a message that names no other report.
    pub(super) fn thread_of(material: &Material<'_>, first: Option<Uuid>) -> Thread {
        let message = &material.assembled.message.message;
        Thread {
            in_reply_to: message.reply_to.clone(),
            references: message.references.clone(),
            related_complaint_id: first,
            relation: first.map(|_| Relation::PossibleDuplicate),
        }
    }

    fn thread(&self, first: Option<Uuid>, hint: &Hint) -> Thread {
        // Only the core learns which report was mentioned, and only if it is there.
        let mentioned = match hint {
            Hint::Mentions(id) => self.known.filter(|known| known.tracking_id == *id).map(|known| known.complaint_id),
            _ => None,
        };
        let thread = Self::thread_of(&self.material, first);
        match mentioned.filter(|_| first.is_none()) {
            Some(mentioned) => {
                Thread { related_complaint_id: Some(mentioned), relation: Some(Relation::Mentions), ..thread }
            }
            None => thread,
        }
    }

    /// The one answer to a new complaint.
    fn first_words(&mut self, complaint: &Complaint, too_short: bool, hint: Hint, language: &str) -> Option<Said> {
        let speaker = self.speaker(language);
        let conversing = !matches!(self.material.channel.medium, Medium::Api | Medium::WebForm | Medium::Email);
        if let Hint::Mistyped(id) = hint {
            return Some(speaker.not_found(&id));
        }
        let empty = complaint.description.is_empty();
        if conversing && empty && self.material.assembled.message.message.unsupported.is_some() {
            return Some(speaker.unsupported());
        }
        if conversing && too_short && !self.material.carries_more() && self.may_hint() {
            return Some(speaker.too_short());
        }
        let known = complaint.location.is_some() || sms::names_a_place(&complaint.description);
        let place = if known { PlaceKnown::Yes } else { PlaceKnown::No };
        speaker.received(&complaint.tracking_id, complaint.privacy, place, self.material.assembled.received_at)
    }

    /// Once an hour.
    fn may_hint(&mut self) -> bool {
        let now = self.now.as_second();
        let said = self.sender.short_hint_at.is_some_and(|at| now.saturating_sub(at) < SHORT_HINT.as_secs());
        if !said {
            self.sender.short_hint_at = Some(now);
        }
        !said
    }
}

/// What else there is to say or to note about a message that is content.
pub(super) enum Hint {
    None,
    /// It looks like a command, but for its number.
    Mistyped(String),
    /// It wants to add to a report that is not the sender's.
    Mentions(TrackingId),
}
