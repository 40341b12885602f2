//! What can go wrong with a bot that is asked for updates. Each variant is a decision of the loop; none holds a word of an
//! update, nor a URL.

use std::time::Duration;

use crate::{http::HttpError, journal::JournalError, poller::pause::pause, receipt::ChannelId};

/// A token that is not taken is a person's to mend, who writes it into the channel, which begins anew then.
const REFUSED: Duration = Duration::from_mins(5);
/// Telegram asks for seconds, or minutes at most.
const LATEST: Duration = Duration::from_hours(1);

#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The connection, or the server for the moment.
    #[error("{0}")]
    Lost(String),
    #[error("Telegram does not take the token (it answers {0}): look at `bot_token`, and at `api_url` if it is set")]
    Refused(u16),
    #[error("{0}")]
    Conflict(Rival),
    /// 429.
    #[error("Telegram asks to come again in {} s", .0.as_secs())]
    Later(Duration),
    #[error("Telegram answers {status}: {words}")]
    Answered { status: u16, words: String },
    #[error("Telegram's answer cannot be understood")]
    NotUnderstood,
    /// Even one update alone.
    #[error("an update is too large to be read, or its answer broke off")]
    TooLarge,
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Who gets the updates in our place (409).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rival {
    #[error("a webhook is set, and as long as it is, nobody may ask for updates (409)")]
    Webhook,
    #[error("somebody else asks for the updates of the same bot (409)")]
    Asking,
    #[error("somebody else gets the updates of the same bot (409)")]
    Unknown,
}

impl Trouble {
    /// How long to wait before the next question. `draw` is random.
    pub fn pause(&self, failures: u32, draw: u64) -> Duration {
        match self {
            Self::Refused(_) => REFUSED,
            Self::Later(told) => (*told).clamp(Duration::from_secs(1), LATEST),
            _ => pause(failures, draw),
        }
    }

    /// What a person can do.
    pub fn hint(&self, channel: &ChannelId) -> String {
        match self {
            Self::Refused(_) => format!("ask @BotFather for the token, then `loket channel doctor {channel}`"),
            Self::Conflict(Rival::Asking) => {
                "is the bot in another channel, another gateway with its own store, or another program?".to_owned()
            }
            Self::Conflict(_) => {
                format!(
                    "`loket channel doctor {channel}` says whose it is; with --delete-webhook this gateway takes over, and nothing is lost"
                )
            }
            Self::Journal(_) => "Telegram keeps the updates for 24 hours; make room".to_owned(),
            _ => "it is tried again".to_owned(),
        }
    }
}

impl From<HttpError> for Trouble {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::TooLarge { .. } => Self::TooLarge,
            error => Self::Lost(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_to_wait_waits_and_a_bad_token_is_tried_slowly() {
        assert_eq!(Trouble::Refused(401).pause(1, 0), REFUSED);
        assert_eq!(Trouble::Later(Duration::from_secs(17)).pause(9, 0), Duration::from_secs(17));
        assert_eq!(Trouble::Later(Duration::from_secs(u64::MAX)).pause(1, 0), LATEST);
        assert_eq!(Trouble::Later(Duration::ZERO).pause(1, 0), Duration::from_secs(1));
        assert!(Trouble::Conflict(Rival::Webhook).pause(1, 0) <= Duration::from_secs(1));
    }

    #[test]
    fn a_webhook_is_taken_over_by_the_doctor() {
        let channel = ChannelId::new("bot").expect("a slug");
        let hint = Trouble::Conflict(Rival::Webhook).hint(&channel);
        assert!(hint.contains("loket channel doctor bot") && hint.contains("--delete-webhook"), "{hint}");
    }
}
