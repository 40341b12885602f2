//! From what a try gave to what the store remembers of it. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::backoff;
use crate::{
    adapter::webhook::rules::RetryRules,
    store::{Progress, SendOutcome},
};

/// What one try gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    Sent {
        external_id: Option<String>,
    },
    /// Not taken, and a later try may be. `is_unknown`: the request may have left.
    Again {
        after: Option<Duration>,
        reason: String,
        is_unknown: bool,
    },
    Never {
        reason: String,
    },
    /// The channel has used up its acknowledgements of the day.
    Capped,
}

impl Tried {
    /// A later try may be better, and nothing has left.
    pub fn again(reason: impl Into<String>) -> Self {
        Self::Again { after: None, reason: reason.into(), is_unknown: false }
    }

    pub fn never(reason: impl Into<String>) -> Self {
        Self::Never { reason: reason.into() }
    }

    /// The outcome after `tries` tries with this one, and the word of the metric. `progress` is how far the answer has come.
    pub fn outcome(
        self,
        rules: &RetryRules,
        tries: u32,
        progress: Progress,
        now: Timestamp,
        draw: u64,
    ) -> (SendOutcome, &'static str) {
        match self {
            Self::Sent { external_id } => (SendOutcome::Sent { external_id }, "sent"),
            Self::Never { reason } => (SendOutcome::Dead { failure: reason }, "dead"),
            Self::Capped => {
                let failure = "daily cap of acknowledgements reached".to_owned();
                (SendOutcome::Dead { failure }, "capped")
            }
            Self::Again { reason, is_unknown, .. } if tries >= rules.max => {
                let known = if is_unknown { ", it may have been sent" } else { "" };
                (SendOutcome::Dead { failure: format!("given up after {tries} tries{known}: {reason}") }, "dead")
            }
            Self::Again { after, reason, is_unknown } => {
                let wait = SignedDuration::try_from(backoff::wait(rules, tries, after, draw));
                // A wait is a hundred years at most, and the clock far from its end.
                let at = wait.ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX);
                let word = if is_unknown { "unknown" } else { "retry" };
                (SendOutcome::Retry { at, failure: reason, unknown: is_unknown, progress }, word)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_is_a_dead_letter_and_says_what_is_not_known() {
        let rules = RetryRules { max: 3, ..RetryRules::default() };
        let now = Timestamp::UNIX_EPOCH;
        let tried = Tried::Again { after: Some(Duration::from_secs(30)), reason: "busy".to_owned(), is_unknown: true };
        let progress = Progress { texts: 1, cut: 2, files: 0 };
        let (outcome, word) = tried.clone().outcome(&rules, 2, progress, now, 0);
        let at = now + Duration::from_secs(30);
        let expected = SendOutcome::Retry { at, failure: "busy".to_owned(), unknown: true, progress };
        assert_eq!((outcome, word), (expected, "unknown"));
        let (outcome, word) = tried.outcome(&rules, 3, progress, now, 0);
        let failure = "given up after 3 tries, it may have been sent: busy".to_owned();
        assert_eq!((outcome, word), (SendOutcome::Dead { failure }, "dead"));
    }

    #[test]
    fn a_capped_acknowledgement_is_counted_as_such() {
        let (outcome, word) =
            Tried::Capped.outcome(&RetryRules::default(), 1, Progress::default(), Timestamp::UNIX_EPOCH, 0);
        let failure = "daily cap of acknowledgements reached".to_owned();
        assert_eq!((outcome, word), (SendOutcome::Dead { failure }, "capped"));
    }
}
