//! `window`: for how long after the citizen's last message the provider takes free text (`channel-manifest.md` §3 `[send]`).

use jiff::{SignedDuration, Timestamp};

use super::{Compiler, request::Content};
use crate::adapter::webhook::rules::{Encode, OutsideWindow, WindowRules};

/// What may leave now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Free,
    /// The window's own body only.
    Template,
    /// Nothing.
    Held {
        reason: String,
    },
}

/// The window, compiled.
#[derive(Debug)]
pub(super) struct Window {
    hours: u32,
    /// None: what comes too late is held.
    content: Option<Content>,
}

impl Window {
    pub fn compile(rules: &WindowRules, encode: Encode, compiler: &mut Compiler<'_>) -> Option<Self> {
        let key = "window.body";
        let body = match (rules.outside, &rules.body) {
            (OutsideWindow::Hold, None) => return Some(Self { hours: rules.hours, content: None }),
            (OutsideWindow::Template, Some(body)) => body,
            (OutsideWindow::Template, None) => {
                compiler.mistake_with_hint(key, "it is missing", "write what is sent outside, or outside = \"hold\"");
                return None;
            }
            (OutsideWindow::Hold, Some(_)) => {
                compiler.mistake_with_hint(key, "it is never sent", "leave it out, or write outside = \"template\"");
                return None;
            }
        };
        let content = Content::of_template(key, body, encode, compiler)?;
        Some(Self { hours: rules.hours, content: Some(content) })
    }

    /// A clock that was set back makes the message younger, never older than it is.
    pub fn standing(&self, heard_at: Timestamp, now: Timestamp) -> Standing {
        let passed = now.duration_since(heard_at);
        if passed < SignedDuration::from_hours(self.hours.into()) {
            return Standing::Free;
        }
        if self.content.is_some() {
            return Standing::Template;
        }
        let reason = format!(
            "the citizen wrote {} hours ago, and the provider takes answers for {} hours; requeue it when the citizen has \
             written again",
            passed.as_hours(),
            self.hours
        );
        Standing::Held { reason }
    }

    pub fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }
}
