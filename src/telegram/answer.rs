//! What `getUpdates` answers, read without touching the updates: each keeps the bytes that came. Pure.
//!
//! The answer is read by ourselves because `teloxide` makes values of its own out of updates, of which a kind that it does not
//! know has none of its content left.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use teloxide::ApiError;

use super::trouble::{Rival, Trouble};
use crate::adapter::{telegram::Account, webhook::send::Response};

/// An update as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    /// None: it cannot be told that it was taken.
    pub id: Option<i64>,
    pub raw: Bytes,
}

/// <https://core.telegram.org/bots/api#making-requests>
#[derive(Deserialize)]
struct Answer<'a> {
    ok: bool,
    #[serde(borrow, default)]
    result: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    retry_after: Option<u64>,
}

#[derive(Deserialize)]
struct Numbered {
    update_id: i64,
}

/// The updates of an answer, in its order, or why there are none.
pub(super) fn updates(response: &Response, account: &Account) -> Result<Vec<Update>, Trouble> {
    let answer = serde_json::from_slice::<Answer<'_>>(&response.body).ok();
    match (response.status, answer) {
        (200, Some(Answer { ok: true, result: Some(updates), .. })) => {
            let updates: Vec<Update> = updates.into_iter().map(Update::of).collect();
            // Without a number in it, the same answer would come again and again.
            let is_numbered = updates.is_empty() || updates.iter().any(|update| update.id.is_some());
            if is_numbered { Ok(updates) } else { Err(Trouble::NotUnderstood) }
        }
        (200, _) => Err(Trouble::NotUnderstood),
        (status, answer) => Err(refusal(status, response, answer.as_ref(), account)),
    }
}

impl Update {
    fn of(raw: &RawValue) -> Self {
        let numbered = serde_json::from_str::<Numbered>(raw.get()).ok();
        let id = numbered.map(|numbered| numbered.update_id);
        Self { id, raw: Bytes::copy_from_slice(raw.get().as_bytes()) }
    }
}

fn refusal(status: u16, response: &Response, answer: Option<&Answer<'_>>, account: &Account) -> Trouble {
    let description = answer.and_then(|answer| answer.description.as_deref()).unwrap_or_default();
    match status {
        401 | 404 => Trouble::Refused(status),
        409 => Trouble::Conflict(Rival::named(description)),
        429 => {
            let told = answer.and_then(|answer| answer.parameters.as_ref()?.retry_after);
            let header = || response.headers.iter().find(|(name, _)| name == "retry-after")?.1.trim().parse().ok();
            Trouble::Later(Duration::from_secs(told.or_else(header).unwrap_or(1)))
        }
        500.. => Trouble::Lost(format!("the server answers {status}")),
        _ => Trouble::Answered { status, words: account.cleaned(description) },
    }
}

impl Rival {
    /// By the words of a 409.
    fn named(description: &str) -> Self {
        let known = serde_json::from_value::<ApiError>(description.into()).ok();
        match known {
            Some(ApiError::CantGetUpdates) => Self::Webhook,
            Some(ApiError::TerminatedByOtherGetUpdates) => Self::Asking,
            // What Telegram says today has more words around it.
            _ if description.contains("webhook is active") => Self::Webhook,
            _ if description.contains("other getUpdates") => Self::Asking,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Setting, Settings};

    fn account() -> Account {
        let mut settings = Settings::default();
        settings.insert("bot_token", Setting::Secret(vec!["1:made-up".into()]));
        Account::read(&settings).expect("an account")
    }

    fn read(status: u16, body: &str) -> Result<Vec<Update>, Trouble> {
        updates(&Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }, &account())
    }

    #[test]
    fn an_update_keeps_its_bytes() {
        let first = r#"{"update_id":7 , "message" :{"text":"\u004a\/x","n":1.50,"n":2}}"#;
        let second = r#"{"invented_kind":{"deep":[1e400]},"update_id":9}"#;
        let found = read(200, &format!(r#"{{"ok":true, "result":[ {first},{second} ]}}"#)).expect("updates");
        let expected = [(Some(7), first), (Some(9), second)];
        let expected = expected.map(|(id, raw)| Update { id, raw: Bytes::copy_from_slice(raw.as_bytes()) });
        assert_eq!(found, expected);
        assert_eq!(read(200, r#"{"ok":true,"result":[]}"#).expect("none"), []);
    }

    #[test]
    fn an_update_without_a_number_goes_with_its_neighbours_only() {
        let found = read(200, r#"{"ok":true,"result":[{"x":1},{"update_id":3},7]}"#).expect("updates");
        assert_eq!(found.iter().map(|update| update.id).collect::<Vec<_>>(), [None, Some(3), None]);
        assert!(matches!(read(200, r#"{"ok":true,"result":[{"x":1}]}"#), Err(Trouble::NotUnderstood)));
    }

    #[test]
    fn each_refusal_is_a_decision() {
        let refused = |status, words: &str| {
            let body = format!(r#"{{"ok":false,"error_code":{status},"description":"{words}"}}"#);
            read(status, &body).expect_err("refused").to_string()
        };
        assert!(refused(401, "Unauthorized").contains("bot_token"));
        assert!(refused(404, "Not Found").contains("bot_token"));
        let today = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
        assert!(refused(409, today).contains("a webhook is set"));
        let rival = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
        assert!(refused(409, rival).contains("somebody else"));
        assert!(refused(409, "no").contains("409"));
        assert!(refused(502, "").contains("502"));
        assert!(refused(400, "Bad Request: bot1:made-up").contains("bot***"));
        let later = r#"{"ok":false,"error_code":429,"parameters":{"retry_after":17}}"#;
        assert!(matches!(read(429, later), Err(Trouble::Later(pause)) if pause == Duration::from_secs(17)));
        assert!(matches!(read(200, "<html>"), Err(Trouble::NotUnderstood)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_trouble(status in 100_u16..600, body: Vec<u8>) {
            let _ = updates(&Response { status, headers: Vec::new(), body }, &account());
        }

        #[test]
        fn any_updates_come_out_as_they_went_in(words in proptest::collection::vec("[^\u{0}-\u{1f}\"\\\\]{0,40}", 0..20)) {
            let raw: Vec<String> =
                words.iter().enumerate().map(|(id, word)| format!(r#"{{"update_id": {id}, "x": "{word}"}}"#)).collect();
            let found = read(200, &format!(r#"{{"ok":true,"result":[{}]}}"#, raw.join(","))).expect("updates");
            let found: Vec<_> = found.iter().map(|update| update.raw.to_vec()).collect();
            proptest::prop_assert_eq!(found, raw.into_iter().map(String::into_bytes).collect::<Vec<_>>());
        }
    }
}
