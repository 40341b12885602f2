//! One turn of a conversation: the tests of `complaint-format.md` §5.2 in their order, and what follows from each.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    AnsweredLetter, Conversed, Drafted, Matter, Obeyed, Said, WholeComplaint, WholeFollowUp,
    chat::flow::Flow,
    command::{self, Command},
    compose::{self, Addition, Choices, Material},
    earlier, mail_thread,
    said::{PlaceKnown, Speaker},
    sms,
    target::Target,
};
use crate::{
    assemble::Assembled,
    complaint::{
        AgencyHint, Complaint, EventKind, Flag, Intent, Medium, Privacy, Relation, Thread, TrackingId, event_id,
    },
    locale::Locales,
    sender::{Report, Sender},
    store::ComplaintRecord,
};

/// The hint about a short text goes out once in this time.
const SHORT_HINT: SignedDuration = SignedDuration::from_hours(1);
/// An answer to the agency's question comes within this time.
const ASKED: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A language that the detector is surer of than this is the one to answer in.
const SURE: f64 = 0.6;

/// One message, and everything that it is judged by.
pub struct Turn<'a> {
    pub material: Material<'a>,
    pub sender: &'a mut Sender,
    pub known: Option<&'a ComplaintRecord>,
    /// The agency of an SMS keyword.
    pub keyword: &'a dyn Fn(&str) -> Option<AgencyHint>,
    /// The agency whose name, alias or code a text is.
    pub agency: &'a dyn Fn(&str) -> Option<AgencyHint>,
    pub flow: &'a Flow,
    pub locales: &'a Locales,
    pub now: Timestamp,
}

impl Turn<'_> {
    pub fn take(mut self) -> Conversed {
        let text = self.text();
        let command =
            if obeys(self.material.channel.medium) { command::read(&text) } else { command::Reading::Content };
        let command = match command {
            command::Reading::Command(word, _) if self.is_content_of_a_letter(&word) || self.is_forged() => {
                command::Reading::Content
            }
            command => command,
        };
        let language = self.language(match &command {
            command::Reading::Command(_, language) => *language,
            _ => None,
        });
        if let Some(late_for) = self.material.assembled.late_for
            && let Some(report) = self.sender.reports.iter().find(|report| report.complaint_id == late_for)
        {
            let target = Target::of(report);
            return self.add(target, Intent::AdditionalInformation, text, &language);
        }
        if self.asks() && self.edits_the_draft() {
            let cause = self.material.assembled.message.claim.clone();
            let matter = self.matter(None, &language);
            return Conversed::Drafted(Box::new(Drafted { cause, matter }));
        }
        if self.asks() && text.is_empty() && self.takes_back() {
            // What was taken back stays in the report that it is in, as what was sent by letter does.
            return self.done(None, &language);
        }
        if let Some(target) = earlier::edited(&self.material, self.sender) {
            return self.add(target, Intent::Correction, text, &language);
        }
        if self.asks() {
            return self.chat(command, text, &language);
        }
        let thread = self.thread_target();
        if thread.is_some() && self.is_bounce() {
            // It is noted on the complaint by its report; nobody has said anything.
            return self.done_about(None, thread.map(|target| target.complaint_id), &language);
        }
        match (command, thread) {
            (command::Reading::Command(command, _), Some(target)) => self.obey(command.about(&target), text, &language),
            (command::Reading::Command(command, _), None) => self.obey(command, text, &language),
            (_, Some(target)) => {
                let intent = self.intent_of_answer();
                self.add(target, intent, text, &language)
            }
            (command::Reading::Mistyped(id), None) => self.hear(text, Hint::Mistyped(id), &language),
            (command::Reading::Content, None) => self.hear_letter(text, &language),
        }
    }

    /// Is the citizen asked step by step? Only one who can be answered.
    fn asks(&self) -> bool {
        self.material.channel.converses() && self.material.replyable() && !self.material.is_nobody()
    }

    /// A message that was deleted: an edit that leaves nothing.
    fn takes_back(&self) -> bool {
        self.material.assembled.message.message.edit_of.is_some() && !self.material.carries_more()
    }

    /// An edited message takes the place of its words in the draft; the draft is asked about as before.
    fn edits_the_draft(&mut self) -> bool {
        let message = &self.material.assembled.message.message;
        let (Some(edited), Some(draft)) = (&message.edit_of, self.sender.draft.as_mut()) else { return false };
        let is_it = |kept: &&mut crate::sender::Kept| kept.fragment.message.id.as_ref() == Some(edited);
        let Some(kept) = draft.kept.iter_mut().find(is_it) else { return false };
        if kept.part == crate::sender::Part::Content {
            kept.fragment.message.text.clone_from(&message.text);
        }
        draft.kept.push(self.material.assembled.kept(crate::sender::Part::Answer));
        draft.touched = self.now.as_millisecond();
        draft.next = super::chat::deadline(draft, self.flow);
        true
    }

    /// A letter may say in its subject or its files what it is about, and have one word besides: only an answer to us, or
    /// a letter of nothing else, is a command without a number. `Selesai` in answer to a question is the answer.
    fn is_content_of_a_letter(&self, command: &Command) -> bool {
        if self.material.channel.medium != Medium::Email || command.names().is_some() {
            return false;
        }
        let message = &self.material.assembled.message.message;
        if mail_thread::complaint(message, self.material.gateway).is_some() || mail_thread::is_answer(message) {
            return matches!(command, Command::Move(_) | Command::New(_));
        }
        let says_more = |matter: String| command::read(&matter) == command::Reading::Content;
        self.material.carries_more() || mail_thread::matter(message).is_some_and(says_more)
    }

    /// A report on a letter of ours that did not arrive. One that names no letter of ours is noted nowhere else, and is heard.
    fn is_bounce(&self) -> bool {
        let message = &self.material.assembled.message.message;
        let is_bounce = message.auto.as_ref().is_some_and(|auto| auto.bounce);
        is_bounce && mail_thread::names_a_letter_of_ours(message, self.material.gateway)
    }

    /// The agency has asked within the last 14 days, and this is the answer (`complaint-format.md` §5.2, 6).
    pub(super) fn intent_of_answer(&self) -> Intent {
        let last = self.known.and_then(|known| known.status.last());
        let is_asked =
            last.is_some_and(|last| last.status == "info_requested" && self.now.duration_since(last.at).abs() < ASKED);
        if is_asked { Intent::Reply } else { Intent::AdditionalInformation }
    }

    /// Content without a thread: a number in the subject of a letter joins it to a report of the same sender, or mentions
    /// that of another.
    fn hear_letter(self, text: String, language: &str) -> Conversed {
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

    fn text(&self) -> String {
        self.material.assembled.message.message.text.clone().unwrap_or_default()
    }

    /// What the citizen asked for, what the provider says, what the words are in, and at last the channel's.
    fn language(&self, word: Option<&str>) -> String {
        // The words of a chat are few: what was spoken before counts more than the account's setting.
        let before = self.sender.draft.as_ref().map(|draft| draft.language.as_str());

        let message = &self.material.assembled.message;
        let spoken = |tag: &str| {
            let base = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
            matches!(base.as_str(), "id" | "en").then_some(base)
        };
        let detected =
            message.language.as_ref().filter(|(_, sure)| *sure >= SURE).map(|(language, _)| language.as_str());
        let chosen = self.sender.language.as_deref().and_then(spoken);
        let chosen = chosen.or_else(|| word.and_then(spoken));
        let account = message.message.language.as_deref().and_then(spoken);
        let chosen = if self.material.channel.converses() {
            chosen.or_else(|| detected.and_then(spoken)).or_else(|| before.and_then(spoken)).or(account)
        } else {
            chosen.or(account).or_else(|| detected.and_then(spoken))
        };
        chosen.unwrap_or_else(|| self.material.channel.language.clone())
    }

    pub(super) fn speaker<'b>(&self, language: &'b str) -> Speaker<'b>
    where
        Self: 'b,
    {
        Speaker { channel: self.material.channel, gateway: self.material.gateway, language }
    }

    pub(super) fn matter(&self, say: Option<Said>, language: &str) -> Matter {
        let assembled = self.material.assembled;
        // Two machines that answer each other never stop, so a machine is taken in and not answered (RFC 3834).
        let automatic = assembled.message.flags.iter().any(|flag| matches!(flag, Flag::AutoReply | Flag::Bulk));
        let message = &assembled.message.message;
        let letter = (self.material.channel.medium == Medium::Email)
            .then(|| AnsweredLetter { message_id: message.id.clone().filter(|id| id.starts_with('<')) });
        Matter {
            say: say.filter(|_| !automatic && !self.may_be_forged()),
            letter,
            vault: self.material.address(),
            replyable: self.material.replyable(),
            language: language.to_owned(),
            claim_keys: assembled.claim_keys.clone(),
            receipts: assembled.receipts(),
            attachments: message.attachments.clone(),
            place: assembled.message.place,
            received_at: assembled.received_at,
            expired: 0,
        }
    }

    /// Whoever is named in a forged letter must not get an answer to it (backscatter). `policy`: its head is such that nobody
    /// can tell.
    fn may_be_forged(&self) -> bool {
        self.has_bad_dmarc() || (self.material.channel.answers_aligned_only && self.dmarc() != "pass")
    }

    fn dmarc(&self) -> &str {
        self.material.assembled.message.message.auth.as_ref().map_or("", |auth| auth.dmarc.as_str())
    }

    /// The domain of the sender says that the letter is not the sender's: nothing of the sender's is changed by it.
    fn is_forged(&self) -> bool {
        self.material.channel.medium == Medium::Email && self.has_bad_dmarc()
    }

    fn has_bad_dmarc(&self) -> bool {
        matches!(self.dmarc(), "fail" | "policy")
    }

    /// The complaint of the signed thread that the letter stands in. The sender's own memory knows most of it.
    fn thread_target(&self) -> Option<Target> {
        if self.material.channel.medium != Medium::Email {
            return None;
        }
        let id = mail_thread::complaint(&self.material.assembled.message.message, self.material.gateway)?;
        let known = self.known.filter(|known| known.complaint_id == id);
        match self.sender.reports.iter().find(|report| report.complaint_id == id) {
            Some(report) => {
                let sequence = known.map_or(0, |known| known.sequence);
                Some(Target { sequence, ..Target::of(report) })
            }
            None => known.map(Target::known),
        }
    }

    /// A report with this number, if it is this sender's.
    pub(super) fn own(&self, id: &TrackingId) -> Option<Target> {
        if self.material.is_nobody() || self.is_forged() {
            return None;
        }
        let known = self.known.filter(|known| {
            known.tracking_id == *id
                && known.channel == self.material.channel.id
                && known.reporter_ref == self.material.reporter_ref()
        });
        match (self.sender.report(id), known) {
            (Some(report), known) => {
                let sequence = known.map_or(0, |known| known.sequence);
                Some(Target { sequence, ..Target::of(report) })
            }
            (None, Some(known)) => Some(Target::known(known)),
            (None, None) => None,
        }
    }

    pub(super) fn obey(self, command: Command, text: String, language: &str) -> Conversed {
        let speaker = self.speaker(language);
        match command {
            Command::Status(id) => self.status(id, language),
            Command::Add(id, words) => self.add_by_number(&id, words, text, language),
            Command::Withdraw(id) => self.change(&id, Intent::Withdrawal, language),
            Command::Erase(id) => self.change(&id, Intent::ErasureRequest, language),
            Command::Hide { anonymous, confidential, report } => self.hide(anonymous, confidential, report, language),
            Command::Move(_) => self.done(Some(speaker.nothing_to_move()), language),
            Command::New(_) => {
                self.sender.stopped = false;
                self.done(Some(speaker.welcome()), language)
            }
            Command::Help => self.done(Some(speaker.help()), language),
            Command::Notice => self.done(Some(speaker.notice()), language),
            Command::Language(chosen) => {
                self.sender.language = Some(chosen.to_owned());
                let said = self.speaker(chosen).language_set();
                self.done(Some(said), chosen)
            }
            Command::Stop => {
                self.sender.stopped = true;
                self.done(Some(speaker.stopped()), language)
            }
        }
    }

    pub(super) fn done(self, say: Option<Said>, language: &str) -> Conversed {
        self.done_about(say, None, language)
    }

    pub(super) fn done_about(self, say: Option<Said>, complaint_id: Option<Uuid>, language: &str) -> Conversed {
        let cause = self.material.assembled.message.claim.clone();
        Conversed::Command(Box::new(Obeyed { cause, complaint_id, matter: self.matter(say, language) }))
    }

    pub(super) fn not_found(self, id: &TrackingId, language: &str) -> Conversed {
        let said = self.speaker(language).not_found(id.as_str());
        self.done(Some(said), language)
    }

    fn status(self, id: Option<TrackingId>, language: &str) -> Conversed {
        let speaker = self.speaker(language);
        if !self.sender.may_look_up(self.now) {
            return self.done(Some(speaker.too_often()), language);
        }
        let Some(id) = id.or_else(|| self.sender.reports.last().map(|report| report.tracking_id.clone())) else {
            return self.done(Some(speaker.which()), language);
        };
        let Some(target) = self.own(&id) else { return self.not_found(&id, language) };
        let last = self.known.filter(|known| known.tracking_id == id).and_then(|known| known.status.last());
        let (status, at) = last.map_or(("received", target.received_at), |last| (last.status.as_str(), last.at));
        let said = speaker.status(&id, status, at);
        self.done_about(Some(said), Some(target.complaint_id), language)
    }

    fn add_by_number(self, id: &TrackingId, words: String, text: String, language: &str) -> Conversed {
        match self.own(id) {
            Some(target) if words.is_empty() && !self.material.carries_more() => {
                let said = self.speaker(language).help();
                self.done_about(Some(said), Some(target.complaint_id), language)
            }
            Some(target) => self.add(target, Intent::AdditionalInformation, words, language),
            // Somebody else's number, or nobody's: the words are a complaint of their own, and the answer tells nothing.
            None => self.hear(text, Hint::Mentions(id.clone()), language),
        }
    }

    fn change(self, id: &TrackingId, intent: Intent, language: &str) -> Conversed {
        let Some(target) = self.own(id) else { return self.not_found(id, language) };
        let speaker = self.speaker(language);
        let said = if intent == Intent::Withdrawal { speaker.withdrawn(id) } else { speaker.erasure(id) };
        self.follow(target, intent, None, None, said, language)
    }

    fn hide(self, anonymous: bool, confidential: bool, id: Option<TrackingId>, language: &str) -> Conversed {
        let speaker = self.speaker(language);
        let Some(id) = id.or_else(|| self.sender.reports.last().map(|report| report.tracking_id.clone())) else {
            return self.done(Some(speaker.help()), language);
        };
        let Some(target) = self.own(&id) else { return self.not_found(&id, language) };
        let privacy = compose::hidden(target.privacy, anonymous, confidential);
        if let Some(report) = self.sender.report_mut(target.complaint_id) {
            report.privacy = privacy;
        }
        let said = speaker.privacy(&id, privacy);
        self.follow(target, Intent::PrivacyChange, None, Some(privacy), said, language)
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

    fn follow(
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

    /// A message that is content: an addition within the window of an SMS, or a complaint.
    fn hear(self, text: String, hint: Hint, language: &str) -> Conversed {
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
enum Hint {
    None,
    /// It looks like a command, but for its number.
    Mistyped(String),
    /// It wants to add to a report that is not the sender's.
    Mentions(TrackingId),
}

/// Programs and forms give no commands: what they send is content.
fn obeys(medium: Medium) -> bool {
    !matches!(medium, Medium::Api | Medium::WebForm)
}
