//! The question of each state, with its choices, as it is said to the citizen.

use super::{flow::Flow, words};
use crate::{
    complaint::ReportType,
    converse::said::{Label, Offer, Said},
    normalise::text::cut,
    sender::{Draft, State},
};

/// A body with buttons has at most 1,024 characters (WhatsApp); the longest fixed part of the review has about 200.
const REVIEWED_WORDS: usize = 500;
const REVIEWED_LINE: usize = 80;

/// The question of the state that the draft is in.
pub fn question(draft: &Draft, flow: &Flow, language: &str) -> Said {
    let message = match draft.state {
        State::Consent => "chat.consent_ask",
        State::Type => "chat.ask_type",
        State::Description if draft.words().next().is_some() => "chat.description_more",
        State::Description => "chat.ask_description",
        State::When => "chat.ask_when",
        State::Location => "chat.ask_location",
        State::Agency => "chat.ask_agency",
        State::Attachments => "chat.ask_attachments",
        State::Privacy => "chat.ask_privacy",
        State::Review => "chat.review",
        State::Edit => "chat.edit_which",
        State::Addition => "chat.new_or_followup",
    };
    let mut said = Said::new(message, Vec::new(), language);
    if draft.state == State::Review {
        review(draft, &mut said);
    }
    let megabytes = (flow.limits.file_size.as_u64() >> 20).to_string();
    said.arguments.push(("max", flow.limits.files.to_string()));
    said.arguments.push(("mb", megabytes));
    said.asks_location = draft.state == State::Location;
    said.choices = choices(draft, flow);
    said
}

fn choices(draft: &Draft, flow: &Flow) -> Vec<Offer> {
    let offered = words::options(draft, draft.state, &flow.order).into_iter();
    let offered = offered.filter(|(key, _)| *key != "skip" || flow.may_skip(draft.state));
    offered
        .map(|(key, label)| Offer {
            key: format!("{}:{}:{key}", draft.id, draft.state.word()),
            label: Label::Text(label),
        })
        .collect()
}

fn review(draft: &Draft, said: &mut Said) {
    let answers = &draft.answers;
    let line = |text: &str| match text.trim() {
        "" => "-".to_owned(),
        text => shortened(text, REVIEWED_LINE),
    };
    let place = match (&answers.pin, &answers.place) {
        (Some(pin), _) => crate::converse::compose::place_in_words(pin),
        (None, place) => place.clone().unwrap_or_default(),
    };
    let words = draft.words().collect::<Vec<_>>().join("\n");
    let when = answers.when.as_ref().map_or("", |(words, _)| words.as_str());
    let agency = answers.agency.as_ref().map_or("", |agency| agency.name.as_str());
    let text = if words.is_empty() { "-".to_owned() } else { shortened(&words, REVIEWED_WORDS) };
    said.arguments.extend([
        ("text", text),
        ("date", line(when)),
        ("place", line(&place)),
        ("agency", line(agency)),
        ("count", draft.files().to_string()),
    ]);
    let report_type = match answers.report_type {
        Some(ReportType::Aspiration) => "chat.ask_type.type_aspiration",
        Some(ReportType::InformationRequest) => "chat.ask_type.type_information",
        _ => "chat.ask_type.type_complaint",
    };
    let privacy = match answers.privacy.unwrap_or_default() {
        (true, true) => "chat.ask_privacy.privacy_both",
        (true, false) => "chat.ask_privacy.privacy_anonymous",
        (false, true) => "chat.ask_privacy.privacy_confidential",
        (false, false) => "chat.ask_privacy.privacy_normal",
    };
    said.named = vec![("type", report_type), ("privacy", privacy)];
}

fn shortened(text: &str, most: usize) -> String {
    match cut(text.to_owned(), most) {
        (text, true) => format!("{text}…"),
        (text, false) => text,
    }
}

/// The question again, for an answer that did not fit it. A review is long and says itself what can be done.
pub fn again(draft: &Draft, flow: &Flow, language: &str) -> Said {
    let mut said = question(draft, flow, language);
    if draft.state == State::Description {
        said.message = "chat.description_too_short";
    } else if !matches!(draft.state, State::Review | State::Addition) {
        said.named.push(("question", said.message));
        said.message = "chat.not_understood";
    }
    said
}
