//! `capabilities` and `[send]` say the same of choices and of the window: operators read the one and the gateway does the
//! other.

use super::Report;
use crate::channel::manifest::{Capability, Manifest};

pub fn check(manifest: &Manifest, report: &mut Report<'_>) {
    let send = manifest.send.as_ref();
    let pairs = [
        ("buttons", Capability::Buttons, send.is_some_and(|send| send.buttons.is_some())),
        ("list", Capability::List, send.is_some_and(|send| send.list.is_some())),
        ("window", Capability::Window, send.is_some_and(|send| send.window.is_some())),
    ];
    for (word, capability, is_written) in pairs {
        let is_claimed = manifest.capabilities.contains(&capability);
        if is_written && !is_claimed {
            let hint = format!("add {word:?} to `capabilities`");
            report.warning(&format!("send.{word}"), format!("`capabilities` does not name {word:?}"), Some(hint));
        }
        if is_claimed && !is_written {
            let hint = format!("write it, or take {word:?} out");
            report.warning(
                "capabilities",
                format!("`capabilities` names {word:?}, and there is no `send.{word}`"),
                Some(hint),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::lint::tests::{tells, told},
        diagnostic::Severity::Warning,
    };

    const SEND: &str = "[send]\nurl = \"https://a.example\"\nbody = '1'\nlist = { max = 3, body = '2' }\n\n[[sample]]";

    #[test]
    fn what_is_claimed_is_written_and_the_other_way_round() {
        let claims = "address = \"phone\"\ncapabilities = [\"text\", \"list\"]";
        tells("address = \"phone\"", claims, check, (Warning, "there is no `send.list`", "[\"text\", \"list\"]"));
        let written = told("[[sample]]", SEND, check);
        assert_eq!(written.len(), 1, "{written:?}");
        assert!(written[0].1.contains("does not name \"list\""), "{written:?}");
    }
}
