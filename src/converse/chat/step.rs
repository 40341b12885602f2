//! One step of a conversation: a draft, what the citizen said, and the time give the draft that is left and what is said to
//! it. Pure. Nobody is trapped: what does not fit a question twice is kept as words of the complaint, and the conversation
//! moves on.

use jiff::{Timestamp, civil::Date};

use super::{ask, flow::Flow, words};
use crate::{
    complaint::{AgencyHint, HintSource, ReportType},
    converse::{command::Motion, said::Said},
    locale::Locales,
    message::Location,
    sender::{Agreed, AgreedBy, Draft, Kept, Part, State},
};

/// Words of a draft, in bytes; the description has room for less.
const TEXT_MAX: usize = 256 << 10;

/// What the citizen said, in one message.
#[derive(Debug)]
pub struct Heard<'a> {
    pub text: &'a str,
    /// The state and the key of a button of this very draft.
    pub press: Option<(State, &'a str)>,
    pub motion: Option<Motion>,
    /// ANONIM and RAHASIA as whole messages: anonymous, confidential.
    pub hide: Option<(bool, bool)>,
    pub pin: Option<&'a Location>,
    pub files: usize,
    /// Sound, and no words.
    pub is_voice: bool,
    /// A kind that cannot be shown.
    pub is_unsupported: bool,
    pub is_emergency: bool,
    /// To be kept in the draft.
    pub kept: Kept,
    pub now: Timestamp,
    /// In the zone of the channel.
    pub today: Date,
}

/// What the engine knows beside the draft.
pub struct Ears<'a> {
    pub flow: &'a Flow,
    pub locales: &'a Locales,
    /// The agency whose name, alias or code a text is.
    pub agency: &'a dyn Fn(&str) -> Option<AgencyHint>,
    pub language: &'a str,
}

impl std::fmt::Debug for Ears<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Ears({})", self.language)
    }
}

/// What became of the draft.
#[derive(Debug)]
pub enum Next {
    /// It goes on; what is said may be nothing.
    Open {
        draft: Box<Draft>,
        say: Option<Said>,
    },
    Submitted(Box<Draft>),
    /// The citizen cancelled, or did not agree.
    Dropped {
        draft: Box<Draft>,
        say: &'static str,
    },
    /// Its words are an addition to the last report.
    Addition(Box<Draft>),
}

/// What an answer leads to.
enum Way {
    Forward,
    /// The question again: the answer did not fit.
    Miss,
    /// The question again, as there was no answer in it.
    Stay,
    /// A button that was pressed twice.
    Silent,
    Read,
    To(State),
    Submit,
    Drop(&'static str),
    Add,
}

/// What the words of a message are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// Of the complaint.
    Content,
    /// They answered, or there were none.
    Answer,
}

/// A message, taken for what it is.
struct Taken {
    way: Way,
    part: Part,
    words: Words,
}

/// Is there enough to act on?
pub fn is_described(draft: &Draft, flow: &Flow) -> bool {
    let limits = &flow.limits;
    let (mut characters, mut count) = (0, 0);
    for words in draft.words() {
        characters += words.trim().chars().count();
        count += words.split_whitespace().count();
    }
    characters >= limits.description_characters && count >= limits.description_words
}

/// Takes one message. The draft has the language of what is said.
pub fn step(mut draft: Box<Draft>, heard: &Heard<'_>, ears: &Ears<'_>) -> Next {
    let flow = ears.flow;
    let mut before = Vec::new();
    draft.touched = heard.now.as_millisecond();
    draft.warned = false;
    ears.language.clone_into(&mut draft.language);
    if heard.is_emergency && draft.remark("emergency") {
        before.push("chat.emergency");
    }
    let bytes: usize = draft.words().map(str::len).sum();
    if draft.kept.len() >= flow.limits.messages || bytes > TEXT_MAX {
        // Nothing that was written is lost: it goes as it is, with what was asked last among what is missing.
        keep(&mut draft, heard, Part::Content, Words::Content);
        return Next::Submitted(draft);
    }
    let Taken { way, part, words } = take(&mut draft, heard, ears, &mut before);
    let tells = words == Words::Content && draft.state == State::Description;
    keep(&mut draft, heard, part, words);
    let is_short = matches!(way, Way::Stay) && tells && !is_described(&draft, flow);
    go(draft, if is_short { Way::Miss } else { way }, ears, before)
}

/// The first question to a draft that was just opened; its first message is in it.
pub fn open(mut draft: Box<Draft>, ears: &Ears<'_>, before: Vec<&'static str>) -> Next {
    draft.quick = is_long(&draft, ears.flow);
    match next_state(&draft, ears.flow, None) {
        Some(state) => draft.state = state,
        None => return Next::Submitted(draft),
    }
    let mut say = ask::question(&draft, ears.flow, ears.language);
    say.before = before;
    Next::Open { draft, say: Some(say) }
}

/// Files and a pin first, as they fit every question; then a button, a word, an answer.
fn take(draft: &mut Draft, heard: &Heard<'_>, ears: &Ears<'_>, before: &mut Vec<&'static str>) -> Taken {
    let brings_more = heard.files > 0 || heard.pin.is_some();
    let part = if brings_more || heard.is_unsupported { Part::Content } else { Part::Answer };
    if let Some(pin) = heard.pin {
        draft.answers.pin = Some(pin.clone());
    }
    let way = if let Some(hide) = heard.hide {
        draft.answers.privacy = Some(hide);
        if draft.state == State::Privacy { Way::Forward } else { Way::Stay }
    } else if let Some((state, key)) = heard.press {
        pressed(draft, state, key, heard, ears)
    } else if let Some(motion) = heard.motion {
        moved(draft, motion, ears.flow, brings_more)
    } else if !heard.text.is_empty() {
        let options = words::options(draft, draft.state, &ears.flow.order);
        match words::key(heard.text, &options, ears.locales) {
            Some(key) => answered(draft, key, AgreedBy::Text, heard),
            None => return written(draft, heard, ears, before),
        }
    } else if heard.is_unsupported {
        if draft.remark("unsupported") {
            before.push("chat.unsupported");
            Way::Stay
        } else {
            Way::Silent
        }
    } else {
        brought(draft, heard, before)
    };
    Taken { way, part, words: Words::Answer }
}

/// Files or a pin without a word.
fn brought(draft: &Draft, heard: &Heard<'_>, before: &mut Vec<&'static str>) -> Way {
    if heard.is_voice && draft.state == State::Description {
        before.push("chat.voice_note");
        return Way::Silent;
    }
    match draft.state {
        State::Location if heard.pin.is_some() => {
            before.push("chat.location_ok");
            Way::Forward
        }
        _ => {
            if heard.files > 0 {
                before.push("chat.attachment_ok");
            } else if heard.pin.is_some() {
                before.push("chat.location_ok");
            }
            // With neither it is the own phone number, say, which stands with the sender: the question again.
            Way::Stay
        }
    }
}

fn pressed(draft: &mut Draft, state: State, key: &str, heard: &Heard<'_>, ears: &Ears<'_>) -> Way {
    let options = words::options(draft, state, &ears.flow.order);
    let Some(key) = options.iter().map(|(offered, _)| *offered).find(|offered| *offered == key) else {
        return Way::Stay;
    };
    if state == draft.state {
        return answered(draft, key, AgreedBy::Button, heard);
    }
    // The button of an earlier question: another answer to it counts, the same one was a second tap.
    let before = draft.answers.clone();
    let way = match (state, key) {
        (State::Review | State::Edit | State::Addition, _) | (_, "skip" | "done" | "privacy_more") => Way::Silent,
        _ => answered(draft, key, AgreedBy::Button, heard),
    };
    match way {
        Way::Drop(words) => Way::Drop(words),
        _ if is_same(&before, &draft.answers) => {
            draft.answers = before;
            Way::Silent
        }
        _ => Way::Stay,
    }
}

/// When the citizen agreed is no answer of its own.
fn is_same(before: &crate::sender::Answers, after: &crate::sender::Answers) -> bool {
    before.report_type == after.report_type && before.when == after.when && before.privacy == after.privacy
}

/// The meaning of a key.
fn answered(draft: &mut Draft, key: &'static str, how: AgreedBy, heard: &Heard<'_>) -> Way {
    let answers = &mut draft.answers;
    match key {
        "consent_yes" => answers.consent = Some(Agreed { at: heard.now, how }),
        "consent_no" => return Way::Drop("chat.consent_declined"),
        "privacy_more" => return Way::Read,
        "type_complaint" => answers.report_type = Some(ReportType::Complaint),
        "type_aspiration" => answers.report_type = Some(ReportType::Aspiration),
        "type_information" => answers.report_type = Some(ReportType::InformationRequest),
        "when_today" => answers.when = Some((heard.today.to_string(), Some(heard.today))),
        "when_yesterday" => {
            let day = heard.today.yesterday().unwrap_or(heard.today);
            answers.when = Some((day.to_string(), Some(day)));
        }
        "privacy_normal" => answers.privacy = Some((false, false)),
        "privacy_anonymous" => answers.privacy = Some((true, false)),
        "privacy_confidential" => answers.privacy = Some((false, true)),
        "privacy_both" => answers.privacy = Some((true, true)),
        "skip" | "done" => {
            let state = draft.state;
            pass(draft, state);
        }
        "submit" => return Way::Submit,
        "edit" => return Way::To(State::Edit),
        "cancel" => return Way::Drop("chat.cancelled"),
        "followup" => return Way::Add,
        "new" => {}
        field => return State::of_word(field).map_or(Way::Stay, Way::To),
    }
    Way::Forward
}

/// LEWATI, SELESAI, KEMBALI, BATAL.
fn moved(draft: &mut Draft, motion: Motion, flow: &Flow, brings_more: bool) -> Way {
    let state = draft.state;
    match motion {
        Motion::Cancel => Way::Drop("chat.cancelled"),
        Motion::Back if draft.editing || state == State::Edit => {
            draft.editing = false;
            draft.rewrites = false;
            Way::To(State::Review)
        }
        Motion::Back => match draft.behind.pop() {
            Some(state) => {
                draft.answers.passed.retain(|passed| *passed != state);
                Way::To(state)
            }
            None => Way::Stay,
        },
        Motion::Done if state == State::Description => {
            if is_described(draft, flow) {
                Way::Forward
            } else {
                Way::Miss
            }
        }
        // `Selesai` behind the last photo is the answer to a question that was not asked yet.
        Motion::Done if brings_more && !flow.may_skip(state) => Way::Stay,
        Motion::Done | Motion::Skip if flow.may_skip(state) => {
            pass(draft, state);
            Way::Forward
        }
        Motion::Done | Motion::Skip => Way::Miss,
    }
}

fn pass(draft: &mut Draft, state: State) {
    if !draft.answers.passed.contains(&state) {
        draft.answers.passed.push(state);
    }
}

/// Words that are no choice.
fn written(draft: &mut Draft, heard: &Heard<'_>, ears: &Ears<'_>, before: &mut Vec<&'static str>) -> Taken {
    let text = heard.text.to_owned();
    let part = if heard.files > 0 { Part::Content } else { Part::Answer };
    let answer = |way| Taken { way, part, words: Words::Answer };
    let content = |way| Taken { way, part: Part::Content, words: Words::Content };
    if words::is_answer(heard.text) || is_answered_so(draft, heard.text) {
        // To a question that was asked before: it stands in the draft, and not among its words. `ya` is no place either.
        return answer(Way::Stay);
    }
    if heard.files > 0 && draft.state != State::Description {
        // The caption of a photo belongs to the photo, and answers nothing.
        before.push("chat.attachment_ok");
        return content(Way::Stay);
    }
    match draft.state {
        State::When => {
            draft.answers.when = Some((text, words::day(heard.text, heard.today)));
            answer(Way::Forward)
        }
        State::Location => {
            draft.answers.place = Some(text);
            draft.answers.pin = heard.pin.cloned();
            before.push("chat.location_ok");
            answer(Way::Forward)
        }
        State::Agency => {
            let unknown = || AgencyHint { code: None, name: text.clone(), source: HintSource::Citizen };
            draft.answers.agency = Some((ears.agency)(heard.text).unwrap_or_else(unknown));
            answer(Way::Forward)
        }
        State::Description => {
            if std::mem::take(&mut draft.rewrites) {
                for kept in draft.kept.iter_mut().filter(|kept| kept.part == Part::Content) {
                    kept.fragment.message.text = None;
                }
            }
            // Whether it is enough is seen when it stands in the draft.
            content(Way::Stay)
        }
        State::Review => content(Way::Stay),
        _ => content(Way::Miss),
    }
}

/// The same words as before, of a citizen who was asked again before the first answer was there.
fn is_answered_so(draft: &Draft, text: &str) -> bool {
    let answers = &draft.answers;
    let when = answers.when.as_ref().map(|(words, _)| words);
    let before = [answers.place.as_ref(), when, answers.agency.as_ref().map(|agency| &agency.name)];
    draft.state != State::Description && before.into_iter().flatten().any(|before| before == text)
}

/// The message stands in the draft from now on. Its pin is the draft's, and words that were an answer stand in their field.
fn keep(draft: &mut Draft, heard: &Heard<'_>, part: Part, words: Words) {
    let mut kept = heard.kept.clone();
    kept.part = part;
    let message = &mut kept.fragment.message;
    message.location = None;
    if words == Words::Answer {
        message.text = None;
    }
    draft.kept.push(kept);
}

fn go(mut draft: Box<Draft>, way: Way, ears: &Ears<'_>, mut before: Vec<&'static str>) -> Next {
    let flow = ears.flow;
    let way = match way {
        Way::Miss => missed(&mut draft, flow),
        way => way,
    };
    let mut say = match way {
        Way::Silent if before.is_empty() => return Next::Open { draft, say: None },
        Way::Silent => {
            let last = before.pop().unwrap_or("chat.not_understood");
            Said::new(last, Vec::new(), ears.language)
        }
        Way::Drop(say) => return Next::Dropped { draft, say },
        Way::Add => return Next::Addition(draft),
        Way::Read => {
            before.push("chat.privacy_notice");
            ask::question(&draft, flow, ears.language)
        }
        Way::Stay => ask::question(&draft, flow, ears.language),
        Way::Miss => ask::again(&draft, flow, ears.language),
        Way::To(state) => {
            draft.editing = draft.state == State::Edit && state != State::Review;
            draft.rewrites = draft.editing && state == State::Description;
            draft.misses = 0;
            draft.answers.passed.retain(|passed| *passed != state);
            draft.state = state;
            ask::question(&draft, flow, ears.language)
        }
        Way::Forward if forward(&mut draft, flow) => ask::question(&draft, flow, ears.language),
        Way::Forward | Way::Submit => return Next::Submitted(draft),
    };
    say.before = before;
    say.arguments.push(("n", draft.files().to_string()));
    let place = draft.answers.pin.as_ref().map(crate::converse::compose::place_in_words);
    if !say.arguments.iter().any(|(name, _)| *name == "place") {
        say.arguments.push(("place", place.or_else(|| draft.answers.place.clone()).unwrap_or_default()));
    }
    Next::Open { draft, say: Some(say) }
}

/// One more answer that does not fit; the last of them moves the conversation on.
fn missed(draft: &mut Draft, flow: &Flow) -> Way {
    draft.misses = draft.misses.saturating_add(1);
    if draft.misses < flow.limits.misses {
        return Way::Miss;
    }
    match draft.state {
        State::Review => Way::Stay,
        State::Edit => Way::To(State::Review),
        State::Consent => {
            // The notice was read, and the citizen goes on writing.
            let at = Timestamp::from_millisecond(draft.touched).unwrap_or(Timestamp::UNIX_EPOCH);
            draft.answers.consent = Some(Agreed { at, how: AgreedBy::Writing });
            Way::Forward
        }
        state => {
            pass(draft, state);
            Way::Forward
        }
    }
}

/// To the next question whose answer is not there; false when nothing is left to ask.
fn forward(draft: &mut Draft, flow: &Flow) -> bool {
    let from = draft.state;
    draft.misses = 0;
    // Words that came with the consent count as those of the first message.
    draft.quick |= from == State::Consent && is_long(draft, flow);
    let next = if std::mem::take(&mut draft.editing) {
        Some(State::Review)
    } else if from == State::Addition {
        draft.quick = is_long(draft, flow);
        next_state(draft, flow, None)
    } else {
        next_state(draft, flow, Some(from))
    };
    draft.rewrites = false;
    let Some(next) = next else { return false };
    if !matches!(from, State::Edit | State::Addition) {
        draft.behind.retain(|state| *state != from);
        draft.behind.push(from);
    }
    draft.state = next;
    true
}

/// Did the citizen begin with so many words that few questions are left?
fn is_long(draft: &Draft, flow: &Flow) -> bool {
    let words: usize = draft.words().map(|words| words.split_whitespace().count()).sum();
    words >= flow.limits.quick_words
}

fn next_state(draft: &Draft, flow: &Flow, from: Option<State>) -> Option<State> {
    let order = if draft.quick { &flow.quick } else { &flow.order };
    let begin = from.and_then(|from| order.iter().position(|state| *state == from)).map_or(0, |place| place + 1);
    order[begin..].iter().copied().find(|state| !is_answered(draft, *state, flow))
}

fn is_answered(draft: &Draft, state: State, flow: &Flow) -> bool {
    let answers = &draft.answers;
    let is_filled = match state {
        State::Consent => answers.consent.is_some(),
        State::Type => answers.report_type.is_some(),
        State::Description => is_described(draft, flow),
        State::When => answers.when.is_some(),
        State::Location => answers.pin.is_some() || answers.place.is_some(),
        State::Agency => answers.agency.is_some(),
        State::Attachments => draft.files() > 0,
        State::Privacy => answers.privacy.is_some(),
        State::Review | State::Edit | State::Addition => false,
    };
    is_filled || answers.passed.contains(&state)
}
