//! What is asked of a selected folder. Letters are named by UID alone: numbers of their place in the folder change under
//! our hands.

use std::collections::BTreeMap;

use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response};
use bytes::Bytes;

use super::{connection::Connection, names, trouble::Trouble};

/// Most bytes of one letter that are fetched. What is longer is taken in without its end, and says so.
pub(super) const MOST_BYTES: u32 = 32 << 20;

/// How much of a letter is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// The first [`MOST_BYTES`].
    Beginning,
}

impl Connection {
    /// UIDs that fit a search, in rising order.
    pub async fn search(&mut self, query: &str) -> Result<Vec<u32>, Trouble> {
        let mut found = Vec::new();
        self.command("UID SEARCH", &format!("UID SEARCH {query}"), |response| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                found.extend_from_slice(uids);
            }
        })
        .await?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// UIDs beyond this one. A server asked for `n:*` gives the last letter in any case, so that it is left out here.
    pub async fn beyond(&mut self, uid: u32) -> Result<Vec<u32>, Trouble> {
        let Some(next) = uid.checked_add(1) else { return Ok(Vec::new()) };
        let mut found = self.search(&format!("UID {next}:*")).await?;
        found.retain(|found| *found > uid);
        Ok(found)
    }

    /// Sizes in bytes, as far as the server tells them.
    pub async fn sizes(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, u32>, Trouble> {
        let mut sizes = BTreeMap::new();
        let command = format!("UID FETCH {} (UID RFC822.SIZE)", names::set(uids));
        let answered = self.command("UID FETCH", &command, |response| {
            let Response::Fetch(_, attributes) = response else { return };
            let size = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::Rfc822Size(size) => Some(*size),
                _ => None,
            });
            sizes.extend(uid(attributes).zip(size));
        });
        unless_no(answered.await)?;
        Ok(sizes)
    }

    /// Letters as they are, without marking them as read. Those that the server does not give are not in the answer.
    pub async fn letters(&mut self, uids: &[u32], extent: Extent) -> Result<BTreeMap<u32, Bytes>, Trouble> {
        let partial = match extent {
            Extent::Whole => String::new(),
            Extent::Beginning => format!("<0.{MOST_BYTES}>"),
        };
        let mut letters = BTreeMap::new();
        let command = format!("UID FETCH {} (UID BODY.PEEK[]{partial})", names::set(uids));
        let answered = self.command("UID FETCH", &command, |response| {
            let Response::Fetch(_, attributes) = response else { return };
            let body = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::BodySection { section: None, data: Some(data), .. } => Some(data),
                _ => None,
            });
            letters.extend(uid(attributes).zip(body).map(|(uid, body)| (uid, Bytes::copy_from_slice(body))));
        });
        unless_no(answered.await)?;
        letters.retain(|uid, _| uids.binary_search(uid).is_ok());
        Ok(letters)
    }

    /// Sets a flag (`\Seen`, `\Deleted`).
    pub async fn flag(&mut self, uids: &[u32], flag: &str) -> Result<(), Trouble> {
        let command = format!("UID STORE {} +FLAGS.SILENT ({flag})", names::set(uids));
        self.command("UID STORE", &command, |_| {}).await
    }

    /// Moves letters to a folder, given as a quoted string. It is made if the server says that it is missing.
    pub async fn shift(&mut self, uids: &[u32], folder: &str) -> Result<(), Trouble> {
        let (name, word) = if self.capabilities.moves { ("UID MOVE", "MOVE") } else { ("UID COPY", "COPY") };
        let command = format!("UID {word} {} {folder}", names::set(uids));
        match self.command(name, &command, |_| {}).await {
            Err(Trouble::No { is_folder_missing: true, .. }) => {
                self.command("CREATE", &format!("CREATE {folder}"), |_| {}).await?;
                self.command(name, &command, |_| {}).await?;
            }
            answered => answered?,
        }
        if self.capabilities.moves { Ok(()) } else { self.delete(uids).await }
    }

    /// Deletes letters. Where the server cannot expunge just these, they stay flagged while others are flagged too: those
    /// are somebody else's business.
    pub async fn delete(&mut self, uids: &[u32]) -> Result<(), Trouble> {
        self.flag(uids, "\\Deleted").await?;
        if self.capabilities.uidplus {
            let command = format!("UID EXPUNGE {}", names::set(uids));
            return self.command("UID EXPUNGE", &command, |_| {}).await;
        }
        let deleted = self.search("DELETED").await?;
        if deleted.iter().all(|uid| uids.binary_search(uid).is_ok()) {
            self.command("EXPUNGE", "EXPUNGE", |_| {}).await?;
        }
        Ok(())
    }

    /// Is there such a folder? Given as a quoted string.
    pub async fn has_folder(&mut self, folder: &str) -> Result<bool, Trouble> {
        let mut is_there = false;
        self.command("LIST", &format!("LIST \"\" {folder}"), |response| {
            is_there |= matches!(response, Response::MailboxData(MailboxDatum::List(_)));
        })
        .await?;
        Ok(is_there)
    }
}

fn uid(attributes: &[AttributeValue<'_>]) -> Option<u32> {
    attributes.iter().find_map(|attribute| match attribute {
        AttributeValue::Uid(uid) => Some(*uid),
        _ => None,
    })
}

/// A server that cannot give one of many says `NO` behind those that it can: what is missing is asked for again.
fn unless_no(answered: Result<(), Trouble>) -> Result<(), Trouble> {
    match answered {
        Err(Trouble::No { .. }) => Ok(()),
        other => other,
    }
}
