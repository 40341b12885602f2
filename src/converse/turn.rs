//! One turn of a conversation: the tests of `complaint-format.md` §5.2 in their order, and what follows from each.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    AnsweredLetter, Conversed, Drafted, Matter, Obeyed, Said,
    chat::{self, flow::Flow},
    command::{self, Command},
    compose::Material,
    earlier, mail_thread,
    said::Speaker,
    target::Target,
    waits_for_an_answer,
};
use crate::{
    complaint::{AgencyHint, Flag, Intent, Medium, TrackingId},
    locale::Locales,
    sender::{Kept, Part, Sender},
    store::ComplaintRecord,
};

mod chatting;
mod hear;
mod obey;
mod submit;

pub use chatting::looked_up;
use hear::Hint;

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
        let is_it = |kept: &&mut Kept| kept.fragment.message.id.as_ref() == Some(edited);
        let Some(kept) = draft.kept.iter_mut().find(is_it) else { return false };
        if kept.part == Part::Content {
            kept.fragment.message.text.clone_from(&message.text);
        }
        draft.kept.push(self.material.assembled.kept(Part::Answer));
        draft.touched = self.now.as_millisecond();
        draft.next = chat::deadline(draft, self.flow);
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
    fn intent_of_answer(&self) -> Intent {
        let is_asked = self.known.is_some_and(|known| waits_for_an_answer(known, self.now));
        if is_asked { Intent::Reply } else { Intent::AdditionalInformation }
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

    fn speaker<'b>(&self, language: &'b str) -> Speaker<'b>
    where
        Self: 'b,
    {
        Speaker { channel: self.material.channel, gateway: self.material.gateway, language }
    }

    fn matter(&self, say: Option<Said>, language: &str) -> Matter {
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
    fn own(&self, id: &TrackingId) -> Option<Target> {
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

    fn done(self, say: Option<Said>, language: &str) -> Conversed {
        self.done_about(say, None, language)
    }

    fn done_about(self, say: Option<Said>, complaint_id: Option<Uuid>, language: &str) -> Conversed {
        let cause = self.material.assembled.message.claim.clone();
        Conversed::Command(Box::new(Obeyed { cause, complaint_id, matter: self.matter(say, language) }))
    }

    fn not_found(self, id: &TrackingId, language: &str) -> Conversed {
        let said = self.speaker(language).not_found(id.as_str());
        self.done(Some(said), language)
    }
}

/// Programs and forms give no commands: what they send is content.
fn obeys(medium: Medium) -> bool {
    !matches!(medium, Medium::Api | Medium::WebForm)
}
