//! A text of the manifest that goes into a request: most are templates, some are fixed.

use std::borrow::Cow;

use serde_json::Value;

use super::Compiler;
use crate::mapping::{Escape, Template};

/// What templates of `[send]` may read (`channel-manifest.md` §5).
const SEND: [&str; 12] = [
    "to",
    "to_type",
    "from",
    "text",
    "lang",
    "template",
    "buttons",
    "reply_to",
    "idempotency_key",
    "receipts_url",
    "settings",
    "secret",
];

/// What those of a file of an answer may read besides (`[send.media]`).
const FILE: [&str; 4] = ["link", "media_type", "filename", "caption"];

/// What templates of `[probe]` may read.
const PROBE: [&str; 2] = ["settings", "secret"];

/// What templates of `[media]` may read.
const MEDIA: [&str; 5] = ["ref", "url", "resolved", "settings", "secret"];

/// Names that the template language brings along.
const BUILT_IN: [&str; 4] = ["loop", "range", "dict", "namespace"];

/// A fixed text is never rendered.
#[derive(Debug)]
pub(super) enum Text {
    Fixed(String),
    Template(Template),
}

impl Text {
    /// The error says what is wrong with the template, and holds no value.
    pub fn render(&self, context: &Value) -> Result<Cow<'_, str>, String> {
        match self {
            Self::Fixed(text) => Ok(Cow::Borrowed(text)),
            Self::Template(template) => template.render(context).map(Cow::Owned),
        }
    }
}

/// Is there anything in the text that a template would replace?
pub(super) fn is_fixed(source: &str) -> bool {
    !["{{", "{%", "{#"].iter().any(|opening| source.contains(opening))
}

impl Compiler<'_> {
    /// A text whose variables are those of the section.
    pub(super) fn text(&mut self, key: &str, source: &str, escape: Escape) -> Option<Text> {
        if is_fixed(source) {
            return Some(Text::Fixed(source.to_owned()));
        }
        let template = self.template(key, source, escape)?;
        let known: Vec<&str> = match self.section {
            "probe" => PROBE.to_vec(),
            "media" | "media.resolve" => MEDIA.to_vec(),
            section if section.starts_with("send.media") => [&SEND[..], &FILE].concat(),
            _ => SEND.to_vec(),
        };
        let unknown = |name: &String| !known.contains(&name.as_str()) && !BUILT_IN.contains(&name.as_str());
        let strangers: Vec<_> = template.variables().into_iter().filter(unknown).collect();
        for name in &strangers {
            self.mistake_with_hint(
                key,
                format!("there is no variable `{name}` here"),
                format!("there are {}", known.join(", ")),
            );
        }
        strangers.is_empty().then_some(Text::Template(template))
    }
}
