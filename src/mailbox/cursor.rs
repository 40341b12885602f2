//! The cursor: how far a folder was read. It is kept in the store as JSON under `mailbox:<channel>:<folder>`.
//!
//! Everything up to `uid` is in the journal, but for the few in `skipped`. Never a date: a mailbox that was away for a week,
//! or a clock that was wrong, must not lose a letter.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::connection::Selected;
use crate::{adapter::mail::Mailbox, receipt::ChannelId};

/// Letters that are passed over at most. Where a server cannot give so many, it is the server that has to be mended, and
/// the folder waits for that.
const MOST_SKIPPED: usize = 1000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// Which mailbox it is about: a channel that is pointed at another account begins anew.
    #[serde(default)]
    pub account: String,
    pub uid_validity: u32,
    /// Everything up to it was journalled; 0 when nothing was.
    pub uid: u32,
    /// Letters up to it that the server would not give; they are asked for again now and then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<u32>,
}

/// Why a folder is read from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anew {
    /// Nobody has read it before.
    First,
    /// The cursor is about another server or user.
    Account,
    /// The server has numbered its letters anew.
    UidValidity,
    /// The server's next number is not beyond the cursor: it was restored from a backup, or numbers as it likes.
    Shrunk,
    /// What the store holds is no cursor.
    Unreadable,
}

impl Anew {
    pub fn words(self) -> &'static str {
        match self {
            Self::First => "the folder is read for the first time",
            Self::Account => "the channel names another mailbox than before",
            Self::UidValidity => "the server has numbered its letters anew (UIDVALIDITY)",
            Self::Shrunk => "the server has fewer letters than were read",
            Self::Unreadable => "the note of how far it was read cannot be read",
        }
    }
}

impl Cursor {
    /// The name under which the store keeps it.
    pub fn name(channel: &ChannelId, folder: &str) -> String {
        format!("mailbox:{channel}:{folder}")
    }

    /// What the store holds, as far as it is about this mailbox; else the cursor of a folder that nobody has read.
    pub fn continued(stored: Option<&[u8]>, account: &str, selected: &Selected) -> (Self, Option<Anew>) {
        let fresh = Self { account: account.to_owned(), uid_validity: selected.uid_validity, ..Self::default() };
        let Some(stored) = stored else { return (fresh, Some(Anew::First)) };
        let Ok(cursor) = serde_json::from_slice::<Self>(stored) else { return (fresh, Some(Anew::Unreadable)) };
        let is_shrunk = selected.uid_next.is_some_and(|next| cursor.uid >= next);
        if cursor.account != account {
            (fresh, Some(Anew::Account))
        } else if cursor.uid_validity != selected.uid_validity {
            (fresh, Some(Anew::UidValidity))
        } else if is_shrunk {
            (fresh, Some(Anew::Shrunk))
        } else {
            (cursor, None)
        }
    }

    /// Passes a letter over; false when too many are.
    pub fn skip(&mut self, uid: u32) -> bool {
        if self.skipped.len() >= MOST_SKIPPED {
            return false;
        }
        if !self.skipped.contains(&uid) {
            self.skipped.push(uid);
        }
        true
    }

    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and a text are JSON")
    }
}

/// Tells mailboxes apart without naming them.
pub(super) fn account(mailbox: &Mailbox) -> String {
    let named = format!("{}\n{}", mailbox.server.host.to_lowercase(), mailbox.username);
    let hash = digest::digest(&digest::SHA256, named.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..9])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(uid_validity: u32, uid_next: Option<u32>) -> Selected {
        Selected { uid_validity, uid_next, ..Selected::default() }
    }

    #[test]
    fn a_cursor_goes_on_only_where_it_is_about_the_same_letters() {
        let cursor = Cursor { account: "a".into(), uid_validity: 7, uid: 41, skipped: vec![3] };
        let stored = cursor.bytes();
        let continued = |selected, account| Cursor::continued(Some(&stored), account, &selected);
        assert_eq!(continued(selected(7, Some(42)), "a"), (cursor.clone(), None));
        assert_eq!(continued(selected(7, None), "a"), (cursor, None));
        let fresh =
            |validity, account: &str| Cursor { account: account.into(), uid_validity: validity, ..Cursor::default() };
        assert_eq!(continued(selected(8, Some(42)), "a"), (fresh(8, "a"), Some(Anew::UidValidity)));
        assert_eq!(continued(selected(7, Some(41)), "a"), (fresh(7, "a"), Some(Anew::Shrunk)));
        assert_eq!(continued(selected(7, Some(42)), "b"), (fresh(7, "b"), Some(Anew::Account)));
        assert_eq!(Cursor::continued(None, "a", &selected(7, None)), (fresh(7, "a"), Some(Anew::First)));
        let broken = Cursor::continued(Some(b"{}"), "a", &selected(7, None));
        assert_eq!(broken, (fresh(7, "a"), Some(Anew::Unreadable)));
    }

    #[test]
    fn the_value_is_plain_json() {
        let cursor = Cursor { account: "a".into(), uid_validity: 7, uid: 41, skipped: Vec::new() };
        assert_eq!(cursor.bytes(), br#"{"account":"a","uid_validity":7,"uid":41}"#);
        let old = serde_json::from_str::<Cursor>(r#"{"uid_validity":7,"uid":41}"#).expect("a cursor");
        assert_eq!((old.uid_validity, old.uid), (7, 41));
    }

    #[test]
    fn only_so_many_are_passed_over() {
        let mut cursor = Cursor::default();
        assert!((1..=MOST_SKIPPED as u32).all(|uid| cursor.skip(uid)));
        assert!(!cursor.skip(5000));
        assert_eq!(cursor.skipped.len(), MOST_SKIPPED);
    }
}
