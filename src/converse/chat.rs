//! Chat: a complaint is asked about step by step (`conversation-flow.md` §1). This is where the steps meet the rest: what
//! opens a draft, what its buttons are, and how it becomes a complaint, an addition, or nothing.

use jiff::{SignedDuration, Timestamp};

use super::{
    Conversed, Drafted, Said,
    command::{Command, Motion, Reading},
    compose::{self, Choices, Material},
    earlier, sms,
    target::Target,
    turn::Turn,
};
use crate::{
    assemble::Assembled,
    complaint::{ChosenBy, Intent, Privacy, TrackingId, base32, derived_bytes},
    sender::{Answers, Draft, Kept, Part, State, Submitted},
};

pub mod ask;
pub mod flow;
pub mod step;
pub mod words;

use step::{Ears, Heard, Next};

/// The payload of a button: whose it is, the question, the choice.
struct Press<'a> {
    owner: &'a str,
    about: &'a str,
    key: &'a str,
}

impl<'a> Press<'a> {
    fn read(action: &'a str) -> Option<Self> {
        let mut parts = action.splitn(3, ':');
        Some(Self { owner: parts.next()?, about: parts.next()?, key: parts.next()? })
    }
}

impl Turn<'_> {
    /// A message in a chat that asks questions. What is about an earlier report was found before.
    pub(super) fn chat(mut self, command: Reading, text: String, language: &str) -> Conversed {
        let ended = self.end_of_expired();
        let action = self.material.assembled.message.message.action.clone();
        let press = action.as_deref().and_then(Press::read);
        let takes_files = match &press {
            Some(press) => State::of_word(press.about).is_some(),
            None => {
                matches!(
                    command,
                    Reading::Content
                        | Reading::Mistyped(_)
                        | Reading::Command(Command::Add(..) | Command::New(_) | Command::Move(_), _)
                ) || (self.sender.draft.is_some()
                    && matches!(command, Reading::Command(Command::Hide { report: None, .. }, _)))
            }
        };
        if !takes_files && self.material.carries_more() {
            // Photos that waited for words, and then came with a command: they are kept before anything is answered.
            let conversed = match self.sender.draft.take() {
                Some(draft) => self.step(draft, Spoken::of(""), language),
                None => self.begin(String::new(), language),
            };
            return with_expired(conversed, ended);
        }
        if let Some(press) = press {
            return with_expired(self.press(&press, language), ended);
        }
        let conversed = match command {
            Reading::Command(Command::New(payload), _) => self.begin_anew(payload.as_deref(), language),
            Reading::Command(Command::Move(motion), _) => match self.sender.draft.take() {
                Some(draft) => self.step(draft, Spoken { motion: Some(motion), ..Spoken::of(&text) }, language),
                None if self.material.carries_more() => self.begin(String::new(), language),
                None => self.obey(Command::Move(motion), text, language),
            },
            Reading::Command(Command::Hide { anonymous, confidential, report: None }, _) => {
                match self.sender.draft.take() {
                    Some(draft) => {
                        let hide = Some((anonymous, confidential));
                        self.step(draft, Spoken { hide, ..Spoken::of(&text) }, language)
                    }
                    None => self.obey(Command::Hide { anonymous, confidential, report: None }, text, language),
                }
            }
            Reading::Command(Command::Withdraw(id), _) => self.ask_to_withdraw(&id, language),
            Reading::Command(command, _) => self.obey(command, text, language),
            Reading::Mistyped(_) | Reading::Content => match self.sender.draft.take() {
                Some(draft) => self.step(draft, Spoken::of(&text), language),
                None => self.begin(text, language),
            },
        };
        with_expired(conversed, ended)
    }

    /// A timer that is late must not let a citizen go on in a draft that they were told is gone.
    fn end_of_expired(&mut self) -> u64 {
        let expire = self.flow.times.expire.signed();
        let is_over = |draft: &Draft| since(draft.touched, self.now) >= expire;
        match self.sender.draft.take_if(|draft| is_over(draft)) {
            Some(draft) => {
                self.sender.expired = true;
                draft.messages()
            }
            None => 0,
        }
    }

    /// The first message of a conversation: it is the draft's first part.
    fn begin(self, text: String, language: &str) -> Conversed {
        if let Some(target) = self.asked() {
            return self.add(target, Intent::Reply, text, language);
        }
        let follows = self.sender.reports.last().is_some_and(|last| {
            let received = self.material.assembled.received_at;
            received.as_second().saturating_sub(last.at) < self.flow.times.append.as_secs() as i64
        });
        self.open(None, follows, language)
    }

    /// BARU and `/start`: a new draft, whatever was open.
    fn begin_anew(self, payload: Option<&str>, language: &str) -> Conversed {
        self.sender.stopped = false;
        let (ended, mut waiting) = match self.sender.draft.take() {
            // The words that waited for this very answer.
            Some(draft) if draft.state == State::Addition => (0, Some(draft)),
            Some(draft) => (draft.messages(), None),
            None => (0, None),
        };
        let agency = payload.and_then(|payload| (self.keyword)(payload).or_else(|| (self.agency)(payload)));
        if let Some(draft) = waiting.take() {
            return self.step(draft, Spoken { key: Some("new"), ..Spoken::of("") }, language);
        }
        with_expired(self.open(agency, false, language), ended)
    }

    /// Opens a draft with the message, unless it is only a word that asks for one.
    fn open(self, agency: Option<crate::complaint::AgencyHint>, follows: bool, language: &str) -> Conversed {
        let assembled = self.material.assembled;
        let message = &assembled.message.message;
        let command = message.text.as_deref().map(super::command::read);
        let is_command = matches!(command, Some(Reading::Command(..)));
        let privacy = match command {
            Some(Reading::Command(Command::Hide { anonymous, confidential, report: None }, _)) => {
                Some((anonymous, confidential))
            }
            _ => None,
        };
        let is_bare = is_command && !self.material.carries_more();
        let mut kept = assembled.kept(if is_bare { Part::Answer } else { Part::Content });
        if is_command {
            kept.fragment.message.text = None;
        }
        let pin = kept.fragment.message.location.take();
        let mut before: Vec<&'static str> = Vec::new();
        if std::mem::take(&mut self.sender.expired) {
            before.push("chat.expired");
        }
        let mut draft = Box::new(Draft {
            id: draft_id(assembled),
            channel: self.material.channel.id.clone(),
            state: State::Addition,
            behind: Vec::new(),
            kept: vec![kept],
            answers: Answers { pin, agency, privacy, ..Answers::default() },
            misses: 0,
            editing: false,
            quick: false,
            rewrites: false,
            warned: false,
            remarked: Vec::new(),
            touched: self.now.as_millisecond(),
            language: language.to_owned(),
            next: 0,
            reporter_ref: self.material.reporter_ref(),
        });
        if is_emergency(assembled) && draft.remark("emergency") {
            before.push("chat.emergency");
        }
        if message.unsupported.is_some() && draft.remark("unsupported") {
            before.push("chat.unsupported");
        }
        if follows {
            let last = self.sender.reports.last().map(|report| report.tracking_id.to_string()).unwrap_or_default();
            let mut say = ask::question(&draft, self.flow, language);
            say.arguments.push(("id", last));
            say.before = before;
            return self.went(Next::Open { draft, say: Some(say) }, language);
        }
        before.extend(["chat.welcome", "chat.privacy_notice"]);
        let next = step::open(draft, &self.ears(language), before);
        self.went(next, language)
    }

    fn ears<'e>(&'e self, language: &'e str) -> Ears<'e> {
        Ears { flow: self.flow, locales: self.locales, agency: self.agency, language }
    }

    /// A message into the draft.
    fn step(self, draft: Box<Draft>, spoken: Spoken<'_>, language: &str) -> Conversed {
        let assembled = self.material.assembled;
        let message = &assembled.message.message;
        let sound = |file: &crate::message::Attachment| {
            file.media_type.as_deref().is_some_and(|media_type| media_type.starts_with("audio/"))
        };
        let today = assembled.received_at.to_zoned(self.material.channel.timezone.clone()).date();
        let state = draft.state;
        let heard = Heard {
            text: spoken.text,
            press: spoken.press.or(spoken.key.map(|key| (state, key))),
            motion: spoken.motion,
            hide: spoken.hide,
            pin: message.location.as_ref(),
            files: message.attachments.len(),
            is_voice: message.text.is_none() && message.attachments.iter().any(sound),
            is_unsupported: message.unsupported.is_some(),
            is_emergency: is_emergency(assembled),
            kept: assembled.kept(Part::Content),
            now: self.now,
            today,
        };
        let next = step::step(draft, &heard, &self.ears(language));
        self.went(next, language)
    }

    /// What came of a step.
    fn went(self, next: Next, language: &str) -> Conversed {
        match next {
            Next::Open { mut draft, say } => {
                draft.next = deadline(&draft, self.flow);
                let say = say.map(|say| self.filled(say));
                let matter = self.matter(say, language);
                let cause = self.material.assembled.message.claim.clone();
                self.sender.draft = Some(draft);
                Conversed::Drafted(Box::new(Drafted { cause, matter }))
            }
            Next::Dropped { draft, say } => {
                // The message itself is a command, and not one of those that are gone with the draft.
                let gone = draft.messages().saturating_sub(1);
                let said = Said::new(say, Vec::new(), language);
                with_expired(self.done(Some(said), language), gone)
            }
            Next::Submitted(draft) => self.submitted(*draft, language),
            Next::Addition(draft) => self.added(*draft, language),
        }
    }

    /// Arguments that only the gateway knows.
    fn filled(&self, mut said: Said) -> Said {
        said.arguments.push(("org", self.material.gateway.organisation.clone()));
        said.arguments.push(("url", self.material.gateway.privacy_url.clone()));
        if said.message == "chat.new_or_followup" && !said.arguments.iter().any(|(name, _)| *name == "id") {
            let last = self.sender.reports.last().map(|report| report.tracking_id.to_string());
            said.arguments.push(("id", last.unwrap_or_default()));
        }
        said
    }

    /// A button was pressed: one of the open draft, one that is stale, or one about a report.
    fn press(self, press: &Press<'_>, language: &str) -> Conversed {
        if press.about == "withdraw" {
            return self.withdrawal(press, language);
        }
        if press.about == "status" {
            let id = press.key.parse::<TrackingId>().ok();
            return self.obey(Command::Status(id), String::new(), language);
        }
        let state = State::of_word(press.about);
        match (self.sender.draft.take_if(|draft| draft.id == press.owner), state) {
            (Some(draft), Some(state)) => {
                let spoken = Spoken { press: Some((state, press.key)), ..Spoken::of("") };
                self.step(draft, spoken, language)
            }
            (draft, _) => {
                if draft.is_some() {
                    self.sender.draft = draft;
                }
                let submitted = self.sender.submitted.clone().filter(|submitted| submitted.draft == press.owner);
                // Files that came with the tap are not lost with it.
                if self.material.carries_more() {
                    return match self.sender.draft.take() {
                        Some(draft) => self.step(draft, Spoken::of(""), language),
                        None => self.begin(String::new(), language),
                    };
                }
                let said = match submitted {
                    Some(submitted) => self.speaker(language).duplicate(&submitted.tracking_id),
                    None => Said::new("chat.stale_button", Vec::new(), language),
                };
                self.done(Some(said), language)
            }
        }
    }

    fn ask_to_withdraw(self, id: &TrackingId, language: &str) -> Conversed {
        let Some(target) = self.own(id) else { return self.not_found(id, language) };
        let mut said = Said::new("chat.withdraw_confirm", vec![("id", id.to_string())], language);
        let offer = |key: &str, label| super::said::Offer {
            key: format!("{}:withdraw:{key}", id.as_str().replace('-', "")),
            label: super::said::Label::Text(label),
        };
        said.choices =
            vec![offer("yes", "chat.withdraw_confirm.withdraw_yes"), offer("no", "chat.withdraw_confirm.withdraw_no")];
        self.done_about(Some(said), Some(target.complaint_id), language)
    }

    fn withdrawal(self, press: &Press<'_>, language: &str) -> Conversed {
        let Ok(id) = press.owner.parse::<TrackingId>() else {
            return self.done(Some(Said::new("chat.stale_button", Vec::new(), language)), language);
        };
        if press.key == "yes" {
            return self.obey(Command::Withdraw(id), String::new(), language);
        }
        self.obey(Command::Status(Some(id)), String::new(), language)
    }

    /// The report whose agency has asked, within the last 14 days.
    fn asked(&self) -> Option<Target> {
        let report = self.sender.reports.last()?;
        let target = || {
            let known = self.known.filter(|known| known.complaint_id == report.complaint_id);
            Target { sequence: known.map_or(0, |known| known.sequence), ..Target::of(report) }
        };
        (self.intent_of_answer() == Intent::Reply).then(target)
    }

    /// The draft becomes a complaint.
    fn submitted(mut self, draft: Draft, language: &str) -> Conversed {
        let Draft { id, kept, answers, .. } = draft;
        let is_short = !is_enough(&kept, self.flow);
        let Some(mut assembled) = Assembled::of_draft(kept, self.material.assembled, self.material.channel) else {
            let said = self.speaker(language).nothing_to_move();
            return self.done(Some(said), language);
        };
        assembled.message.message.location.clone_from(&answers.pin);
        let material = Material { assembled: &assembled, ..self.material };
        let (anonymous, confidential) = answers.privacy.unwrap_or_default();
        let reading = sms::Reading {
            anonymous,
            confidential,
            text: assembled.message.message.text.clone().unwrap_or_default(),
            location: answers.place.clone(),
            incident: answers.when.clone(),
            too_short: is_short,
            keyword: None,
        };
        let first = earlier::same_words(&material, self.sender, &reading);
        let thread = Turn::thread_of(&material, first.as_ref().map(|(id, _)| *id));
        let privacy = privacy(&material, &answers);
        let words = earlier::words_hash(&reading.text);
        let mut complaint = compose::complaint(&material, Choices { reading, privacy, language, thread });
        compose::told(&mut complaint, &material, &answers);
        let say = match &first {
            Some((_, id)) => Some(self.speaker(language).duplicate(id)),
            None => Some(self.received(&complaint.tracking_id, anonymous, language)),
        };
        self.remember(&assembled, &complaint, words, first);
        self.sender.submitted = Some(Submitted {
            draft: id,
            complaint_id: complaint.complaint_id,
            tracking_id: complaint.tracking_id.clone(),
        });
        let turn = Turn { material, ..self };
        turn.whole(complaint, say, language)
    }

    fn received(&self, id: &TrackingId, anonymous: bool, language: &str) -> Said {
        let days = ("n", self.material.gateway.working_days.to_string());
        let mut said = Said::new("chat.submitted", vec![("id", id.to_string()), days], language);
        if anonymous {
            said.before.push("chat.privacy_caveat");
        }
        said
    }

    /// The draft's words belong to the last report.
    fn added(self, draft: Draft, language: &str) -> Conversed {
        let last = self.sender.reports.last().map(Target::of);
        let assembled = Assembled::of_draft(draft.kept, self.material.assembled, self.material.channel);
        let (Some(target), Some(mut assembled)) = (last, assembled) else {
            let said = self.speaker(language).nothing_to_move();
            return self.done(Some(said), language);
        };
        assembled.message.message.location = draft.answers.pin;
        let words = assembled.message.message.text.clone().unwrap_or_default();
        let material = Material { assembled: &assembled, ..self.material };
        Turn { material, ..self }.add(target, Intent::AdditionalInformation, words, language)
    }
}

/// What the message says, besides its files.
#[derive(Clone, Copy, Default)]
struct Spoken<'a> {
    text: &'a str,
    press: Option<(State, &'a str)>,
    /// A choice of the question that is open.
    key: Option<&'a str>,
    motion: Option<Motion>,
    hide: Option<(bool, bool)>,
}

impl<'a> Spoken<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, ..Self::default() }
    }
}

fn is_enough(kept: &[Kept], flow: &flow::Flow) -> bool {
    let words = kept.iter().filter(|kept| kept.part == Part::Content);
    let words: Vec<_> = words.filter_map(|kept| kept.fragment.message.text.as_deref()).collect();
    let characters: usize = words.iter().map(|words| words.trim().chars().count()).sum();
    let count: usize = words.iter().map(|words| words.split_whitespace().count()).sum();
    characters >= flow.limits.description_characters && count >= flow.limits.description_words
}

fn is_emergency(assembled: &Assembled) -> bool {
    assembled.message.flags.contains(&crate::complaint::Flag::EmergencySuspected)
}

fn privacy(material: &Material<'_>, answers: &Answers) -> Privacy {
    let before = material.default_privacy();
    match answers.privacy {
        None => before,
        Some((anonymous, confidential)) => {
            Privacy { chosen_by: ChosenBy::Reporter, ..compose::hidden(before, anonymous, confidential) }
        }
    }
}

/// 8 characters of the receipt's draw, the same again on a replay.
fn draft_id(assembled: &Assembled) -> String {
    let message = &assembled.message;
    let bytes = derived_bytes(&message.origin.draw, &format!("draft/{}", message.place));
    base32(&bytes[..5]).to_lowercase()
}

/// When a timer has to look at the draft, Unix milliseconds.
pub fn deadline(draft: &Draft, flow: &flow::Flow) -> i64 {
    let span = if draft.warned { flow.times.expire } else { flow.times.warn };
    let millis = i64::try_from(span.duration().as_millis()).unwrap_or(i64::MAX);
    draft.touched.saturating_add(millis)
}

fn since(touched: i64, now: Timestamp) -> SignedDuration {
    SignedDuration::from_millis(now.as_millisecond().saturating_sub(touched))
}

/// Messages of a draft that ended unsent are booked as expired.
fn with_expired(mut conversed: Conversed, messages: u64) -> Conversed {
    conversed.matter_mut().expired += messages;
    conversed
}

/// What a timer does with a draft.
#[derive(Debug)]
pub enum Idle {
    /// The citizen is reminded.
    Warned(Said),
    /// It is deleted; so many messages of it are expired.
    Ended(u64),
    /// It is not time yet.
    Waits,
}

/// A draft whose time has come. `sender` is left as it is to be.
pub fn idle(sender: &mut crate::sender::Sender, flow: &flow::Flow, now: Timestamp) -> Idle {
    let Some(draft) = sender.draft.as_mut().filter(|draft| draft.next <= now.as_millisecond()) else {
        return Idle::Waits;
    };
    if since(draft.touched, now) >= flow.times.expire.signed() {
        let messages = draft.messages();
        sender.draft = None;
        sender.expired = true;
        return Idle::Ended(messages);
    }
    draft.warned = true;
    draft.next = deadline(draft, flow);
    let left = flow.times.expire.as_secs().saturating_sub(flow.times.warn.as_secs()) / 60;
    Idle::Warned(Said::new("chat.idle_warning", vec![("minutes", left.max(1).to_string())], &draft.language))
}
