//! `conversation.toml`: which questions a chat asks, in which order, and its limits. Plain data, checked when it is read.

use std::{path::Path, sync::Arc};

use serde::Deserialize;

use crate::{
    diagnostic::{Diagnostic, Source},
    sender::State,
    units::{Size, Span},
};

/// The questions and their limits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flow {
    pub order: Vec<State>,
    /// After a long first message.
    pub quick: Vec<State>,
    pub skippable: Vec<State>,
    pub limits: Limits,
    pub times: Times,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Words of a first message after which few questions are asked.
    pub quick_words: usize,
    pub description_characters: usize,
    pub description_words: usize,
    /// Answers to one question that do not fit, before it is passed over.
    pub misses: u8,
    /// As the question for files says them.
    pub files: usize,
    pub file_size: Size,
    /// Of one draft.
    pub messages: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    pub warn: Span,
    pub expire: Span,
    pub append: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            quick_words: 8,
            description_characters: 15,
            description_words: 3,
            misses: 2,
            files: 10,
            file_size: Size::mib(20),
            messages: 100,
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self { warn: Span::from_secs(900), expire: Span::from_secs(3600), append: Span::from_secs(1800) }
    }
}

impl Default for Flow {
    fn default() -> Self {
        use State::{Agency, Attachments, Consent, Description, Location, Privacy, Review, Type, When};
        Self {
            order: vec![Consent, Type, Description, When, Location, Agency, Attachments, Privacy, Review],
            quick: vec![Consent, Description, Location, Review],
            skippable: vec![Type, When, Location, Agency, Attachments, Privacy],
            limits: Limits::default(),
            times: Times::default(),
        }
    }
}

impl Flow {
    /// Reads `conversation.toml` of the folder; a file that is not there is the default. All mistakes at once.
    pub fn load(folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        let path = folder.join("conversation.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::read(&Source::new(path, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(vec![Diagnostic::of_file(path, error.to_string())]),
        }
    }

    fn read(source: &Arc<Source>) -> Result<Self, Vec<Diagnostic>> {
        let flow: Self = toml::from_str(&source.text).map_err(|error| vec![Diagnostic::of_toml(source, &error)])?;
        let mistakes: Vec<_> = flow
            .mistakes()
            .into_iter()
            .map(|(key, message, hint)| {
                let at = source.text.find(key).unwrap_or(0);
                Diagnostic::error(source, at..at + key.len(), message).with_hint(hint)
            })
            .collect();
        if mistakes.is_empty() { Ok(flow) } else { Err(mistakes) }
    }

    /// With the key that each is about.
    fn mistakes(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut found = Vec::new();
        for (key, list) in [("order", &self.order), ("quick", &self.quick)] {
            if list.last() != Some(&State::Review) {
                found.push((key, format!("`{key}` does not end with \"review\""), "the citizen sees what is sent"));
            }
            if !list.contains(&State::Description) {
                found.push((key, format!("`{key}` has no \"description\""), "a complaint is what it describes"));
            }
            let is_question = |state: &State| !matches!(state, State::Edit | State::Addition);
            if !list.iter().all(is_question) {
                found.push((key, format!("`{key}` has a word that is no question"), "leave out `edit` and `addition`"));
            }
            if list.iter().enumerate().any(|(place, state)| list[..place].contains(state)) {
                found.push((key, format!("`{key}` asks the same question twice"), "name each once"));
            }
        }
        if self.skippable.iter().any(|state| matches!(state, State::Consent | State::Description | State::Review)) {
            let message = "`skippable` has a question that cannot be passed over".to_owned();
            found.push(("skippable", message, "leave out consent, description and review"));
        }
        if self.limits.misses == 0 || self.limits.messages < 10 {
            found.push(("limits", "`misses` is below 1, or `messages` below 10".to_owned(), "raise it"));
        }
        if self.times.warn >= self.times.expire {
            found.push(("warn", "the warning comes after the end".to_owned(), "let `warn` be shorter than `expire`"));
        }
        found
    }

    pub fn may_skip(&self, state: State) -> bool {
        self.skippable.contains(&state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_IN: &str = include_str!("../../../config/conversation.toml");

    fn read(text: &str) -> Result<Flow, Vec<Diagnostic>> {
        Flow::read(&Source::new("conversation.toml", text))
    }

    #[test]
    fn the_file_in_the_repository_shows_the_defaults() {
        assert_eq!(read(BUILT_IN).expect("good"), Flow::default());
        assert_eq!(read("").expect("good"), Flow::default());
    }

    #[test]
    fn a_conversation_that_cannot_end_is_refused_with_its_line() {
        for (text, words) in [
            ("order = [\"consent\", \"review\"]", "no \"description\""),
            ("order = [\"description\"]", "does not end with \"review\""),
            ("quick = [\"description\", \"description\", \"review\"]", "the same question twice"),
            ("order = [\"description\", \"edit\", \"review\"]", "no question"),
            ("skippable = [\"consent\"]", "cannot be passed over"),
            ("[limits]\nmisses = 0", "below 1"),
            ("[times]\nwarn = \"2h\"", "after the end"),
            ("[times]\nwrn = \"2h\"", "unknown field"),
            ("order = [\"consnt\"]", "unknown variant"),
        ] {
            let mistakes = read(text).expect_err(text);
            assert!(mistakes.iter().any(|mistake| mistake.message.contains(words)), "{text}: {mistakes:?}");
        }
    }
}
