//! `buttons` and `list`: what the citizen may choose from, as the provider shows it (`channel-manifest.md` §3 `[send]`).

use super::{Compiler, request::Content};
use crate::{
    adapter::webhook::rules::{ChoiceRules, Encode},
    message::Choice,
};

/// A text cut to what the provider takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    pub texts: Vec<String>,
    /// The provider shows the choices under the text; otherwise they are lines of it.
    pub choices_are_shown: bool,
    /// The provider asks for the position itself, by `location`.
    pub asks_location: bool,
}

/// What an answer asks for, beside its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A choice, or nothing.
    Words,
    Position,
}

/// One way to show choices, compiled.
#[derive(Debug)]
pub(super) struct Offer {
    rules: ChoiceRules,
    content: Content,
}

impl Offer {
    pub fn compile(
        key: &'static str,
        rules: &ChoiceRules,
        encode: Encode,
        compiler: &mut Compiler<'_>,
    ) -> Option<Self> {
        if rules.max == 0 && key != "location" {
            compiler.mistake_with_hint(&format!("{key}.max"), "no choice would ever fit", "write at least 1");
        }
        let content = Content::of_template(&format!("{key}.body"), &rules.body, encode, compiler)?;
        Some(Self { rules: rules.clone(), content })
    }

    /// Nothing is ever cut short to fit: a label that lost its end may mean the opposite.
    pub fn has_room(&self, text: &str, choices: &[Choice]) -> bool {
        choices.len() <= self.rules.max
            && fits(text, self.rules.text_max)
            && choices.iter().all(|choice| fits(&choice.label, self.rules.label_max))
    }

    pub fn content(&self) -> &Content {
        &self.content
    }
}

fn fits(text: &str, max: Option<usize>) -> bool {
    max.is_none_or(|max| text.chars().count() <= max)
}
