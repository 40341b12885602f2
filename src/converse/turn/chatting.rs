//! A message in a chat that asks step by step: what opens a draft, whose button was pressed, and where a step leads.

use super::Turn;
use crate::{
    assemble::Assembled,
    complaint::{AgencyHint, Flag, Intent, TrackingId, base32, derived_bytes},
    converse::{
        Conversed, Drafted, Said,
        chat::{
            ask, deadline, since,
            step::{self, Ears, Heard, Next},
            words,
        },
        command::{self, Command, Motion, Reading},
        said::{Label, Offer},
        target::Target,
        waits_for_an_answer,
    },
    message::Attachment,
    sender::{Answers, Draft, Part, Question, Sender, State},
};

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
        let action = action.or_else(|| self.answers_a_question(&text));
        self.sender.question = None;
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
            return with_expired(self.go_on(String::new(), language), ended);
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
            Reading::Mistyped(id) => with_hint(self.go_on(text, language), id),
            Reading::Content => self.go_on(text, language),
        };
        with_expired(conversed, ended)
    }

    /// Into the draft, or into a new one.
    fn go_on(self, text: String, language: &str) -> Conversed {
        match self.sender.draft.take() {
            Some(draft) => self.step(draft, Spoken::of(&text), language),
            None => self.begin(text, language),
        }
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
    fn open(self, agency: Option<AgencyHint>, follows: bool, language: &str) -> Conversed {
        let assembled = self.material.assembled;
        let message = &assembled.message.message;
        let command = message.text.as_deref().map(command::read);
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
        let sound =
            |file: &Attachment| file.media_type.as_deref().is_some_and(|media_type| media_type.starts_with("audio/"));
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
                    return self.go_on(String::new(), language);
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
        let offer = |(key, label)| Offer { key: withdrawal(id, key), label: Label::Text(label) };
        said.choices = words::WITHDRAWAL.into_iter().map(offer).collect();
        self.sender.question = Some(Question::Withdraw(id.clone()));
        self.done_about(Some(said), Some(target.complaint_id), language)
    }

    fn withdrawal(self, press: &Press<'_>, language: &str) -> Conversed {
        let Ok(id) = press.owner.parse::<TrackingId>() else {
            return self.done(Some(Said::new("chat.stale_button", Vec::new(), language)), language);
        };
        if press.key == "withdraw_yes" {
            return self.obey(Command::Withdraw(id), String::new(), language);
        }
        self.obey(Command::Status(Some(id)), String::new(), language)
    }

    /// The choice that a text is of the question which was asked last, as the payload of its button.
    fn answers_a_question(&self, text: &str) -> Option<String> {
        match self.sender.question.as_ref()? {
            Question::Withdraw(id) => words::key(text, &words::WITHDRAWAL, self.locales).map(|key| withdrawal(id, key)),
            Question::Which(ids) => which(text, ids).map(|id| format!("report:status:{id}")),
        }
    }

    /// The report whose agency has asked, within the last 14 days.
    fn asked(&self) -> Option<Target> {
        let known = self.known.filter(|known| waits_for_an_answer(known, self.now))?;
        let report = self.sender.reports.iter().find(|report| report.complaint_id == known.complaint_id)?;
        Some(Target { sequence: known.sequence, ..Target::of(report) })
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

/// The report that a button or a number asks the state of.
pub fn looked_up(assembled: &Assembled, sender: &Sender) -> Option<TrackingId> {
    let message = &assembled.message.message;
    if let Some(press) = message.action.as_deref().and_then(Press::read) {
        return (press.about == "status").then(|| press.key.parse().ok())?;
    }
    match (&message.text, &sender.question) {
        (Some(text), Some(Question::Which(ids))) => which(text, ids).cloned(),
        _ => None,
    }
}

/// The number of a report in the list, or the report's own number.
fn which<'a>(text: &str, ids: &'a [TrackingId]) -> Option<&'a TrackingId> {
    let text = text.trim();
    let place = || text.parse::<usize>().ok()?.checked_sub(1);
    let named = || text.parse::<TrackingId>().ok().and_then(|named| ids.iter().find(|id| **id == named));
    place().and_then(|place| ids.get(place)).or_else(named)
}

/// The payload of a button that withdraws a report, or does not.
fn withdrawal(id: &TrackingId, key: &str) -> String {
    format!("{}:withdraw:{key}", id.as_str().replace('-', ""))
}

/// What looked like a command was kept as words, as its number is none: that is said before the question.
fn with_hint(mut conversed: Conversed, id: String) -> Conversed {
    // A question that names a report itself says enough.
    let say = conversed.matter_mut().say.as_mut().filter(|say| say.arguments.iter().all(|(name, _)| *name != "id"));
    if let Some(say) = say {
        say.before.insert(0, "chat.status_not_found");
        say.arguments.push(("id", id));
    }
    conversed
}

fn is_emergency(assembled: &Assembled) -> bool {
    assembled.message.flags.contains(&Flag::EmergencySuspected)
}

/// 8 characters of the receipt's draw, the same again on a replay.
fn draft_id(assembled: &Assembled) -> String {
    let message = &assembled.message;
    let bytes = derived_bytes(&message.origin.draw, &format!("draft/{}", message.place));
    base32(&bytes[..5]).to_lowercase()
}

/// Messages of a draft that ended unsent are booked as expired.
fn with_expired(mut conversed: Conversed, messages: u64) -> Conversed {
    conversed.matter_mut().expired += messages;
    conversed
}
