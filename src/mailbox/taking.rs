//! From the mailbox into the journal: fetched, journalled, noted in the cursor, and only then marked (G1).

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{
    commands::{Extent, MOST_BYTES},
    connection::Connection,
    cursor::Cursor,
    folder::{CHUNK, Folder},
    trouble::Trouble,
};
use crate::{
    adapter::mail::After,
    journal::JournalError,
    mail::{
        Envelope,
        envelope::{Place, Protocol},
    },
};

impl Folder {
    /// Takes letters in, in rising order. When it fails, everything up to the cursor is safe and the rest is as it was.
    pub(super) async fn take(
        &mut self,
        connection: &mut Connection,
        cursor: &mut Cursor,
        uids: &[u32],
        after: &After,
    ) -> Result<(), Trouble> {
        let sizes = connection.sizes(uids).await?;
        let mut rest = uids;
        while !rest.is_empty() {
            let (count, extent) = self.progress.batch(rest, &sizes);
            let (batch, behind) = rest.split_at(count.max(1));
            let done = self.take_batch(connection, cursor, batch, extent, &sizes).await?;
            cursor.uid = batch[batch.len() - 1];
            self.keep(cursor).await?;
            self.progress.settled(cursor.uid);
            // It goes on: the next failure is not punished for those before.
            self.failures = 0;
            self.finish(connection, &done, after).await?;
            rest = behind;
        }
        Ok(())
    }

    /// The letters that are in the journal now.
    async fn take_batch(
        &mut self,
        connection: &mut Connection,
        cursor: &mut Cursor,
        batch: &[u32],
        extent: Extent,
        sizes: &BTreeMap<u32, u32>,
    ) -> Result<Vec<u32>, Trouble> {
        if let [uid] = batch
            && self.progress.is_hopeless(*uid)
        {
            self.pass_over(cursor, *uid)?;
            return Ok(Vec::new());
        }
        let letters = self.fetch(connection, batch, extent).await?;
        let missing: Vec<u32> = batch.iter().copied().filter(|uid| !letters.contains_key(uid)).collect();
        let mut done: Vec<u32> = letters.keys().copied().collect();
        self.journal(connection, cursor, letters, sizes).await?;
        for uid in missing {
            done.extend(self.take_one(connection, cursor, uid, sizes).await?);
        }
        done.sort_unstable();
        Ok(done)
    }

    /// A letter that was not given with the others: it is gone, or is asked for alone, or is passed over.
    async fn take_one(
        &mut self,
        connection: &mut Connection,
        cursor: &mut Cursor,
        uid: u32,
        sizes: &BTreeMap<u32, u32>,
    ) -> Result<Option<u32>, Trouble> {
        self.progress.tried(uid);
        while !self.progress.is_hopeless(uid) {
            if connection.search(&format!("UID {uid}")).await?.is_empty() {
                return Ok(None);
            }
            let extent = self.progress.batch(&[uid], sizes).1;
            let letters = self.fetch(connection, &[uid], extent).await?;
            if !letters.is_empty() {
                self.journal(connection, cursor, letters, sizes).await?;
                return Ok(Some(uid));
            }
            self.progress.tried(uid);
        }
        self.pass_over(cursor, uid)?;
        Ok(None)
    }

    async fn fetch(
        &mut self,
        connection: &mut Connection,
        uids: &[u32],
        extent: Extent,
    ) -> Result<BTreeMap<u32, Bytes>, Trouble> {
        let fetched = connection.letters(uids, extent).await;
        if fetched.is_err() {
            self.progress.broke(uids);
        }
        fetched
    }

    /// A letter that cannot be had must not keep the others from coming in.
    fn pass_over(&self, cursor: &mut Cursor, uid: u32) -> Result<(), Trouble> {
        if !cursor.skip(uid) {
            return Err(Trouble::TooManySkipped(cursor.skipped.len()));
        }
        self.books.failed();
        tracing::error!(
            channel.id = %self.channel.id(), folder = self.name, uid,
            "the mail server cannot give a letter; it is passed over and asked for again every hour"
        );
        Ok(())
    }

    /// All of them are on the disk when it returns; in order, so that what one citizen wrote is read in order (G5).
    async fn journal(
        &self,
        connection: &Connection,
        cursor: &Cursor,
        letters: BTreeMap<u32, Bytes>,
        sizes: &BTreeMap<u32, u32>,
    ) -> Result<(), Trouble> {
        let puts = letters.into_iter().map(async |(uid, letter)| {
            let place = Place { folder: self.name.clone(), uid_validity: cursor.uid_validity, uid };
            let whole = sizes.get(&uid).copied().unwrap_or_default();
            // Nothing else tells the reader that the end of the letter is missing.
            let is_cut = letter.len() >= MOST_BYTES as usize && whole > MOST_BYTES;
            let envelope = Envelope {
                protocol: Some(Protocol::Imap),
                parameters: is_cut.then(|| format!("SIZE={whole}")).into_iter().collect(),
                tls: connection.is_encrypted,
                place: Some(place),
                ..Envelope::default()
            };
            self.letterbox.put(&self.channel, &envelope, letter, None).await?;
            self.books.letter();
            Ok::<_, JournalError>(())
        });
        join_all(puts).await.into_iter().collect::<Result<(), _>>()?;
        Ok(())
    }

    /// Asks once more for letters that were passed over.
    pub(super) async fn take_skipped(
        &mut self,
        connection: &mut Connection,
        cursor: &mut Cursor,
        after: &After,
    ) -> Result<(), Trouble> {
        for uid in cursor.skipped.clone() {
            let mut is_gone = connection.search(&format!("UID {uid}")).await?.is_empty();
            if !is_gone {
                let sizes = connection.sizes(&[uid]).await?;
                let extent = self.progress.batch(&[uid], &sizes).1;
                let letters = connection.letters(&[uid], extent).await?;
                if !letters.is_empty() {
                    self.journal(connection, cursor, letters, &sizes).await?;
                    self.finish(connection, &[uid], after).await?;
                    is_gone = true;
                }
            }
            if is_gone {
                cursor.skipped.retain(|skipped| *skipped != uid);
                self.keep(cursor).await?;
            }
        }
        Ok(())
    }

    /// What was moved or deleted in vain before: letters up to the cursor that are still there.
    pub(super) async fn finish_left_over(
        &mut self,
        connection: &mut Connection,
        cursor: &Cursor,
        after: &After,
    ) -> Result<(), Trouble> {
        if *after == After::Seen || cursor.uid == 0 {
            return Ok(());
        }
        let mut left = connection.search(&format!("UID 1:{} UNDELETED", cursor.uid)).await?;
        left.retain(|uid| *uid <= cursor.uid && !cursor.skipped.contains(uid));
        for chunk in left.chunks(CHUNK) {
            self.finish(connection, chunk, after).await?;
        }
        Ok(())
    }

    /// Does with journalled letters what the channel says. A `NO` leaves them where they are; that is told, and changes
    /// nothing else.
    async fn finish(&self, connection: &mut Connection, uids: &[u32], after: &After) -> Result<(), Trouble> {
        if uids.is_empty() {
            return Ok(());
        }
        let finished = match after {
            After::Seen => connection.flag(uids, "\\Seen").await,
            After::Delete => connection.delete(uids).await,
            After::Move(folder) => match super::names::folder(folder) {
                Some(folder) => connection.shift(uids, &folder).await,
                None => Err(Trouble::Settings("setting `move_to` is no name of a folder".to_owned())),
            },
        };
        match finished {
            Err(trouble @ Trouble::No { .. }) => {
                self.books.failed();
                let (channel, folder, letters) = (self.channel.id(), &self.name, uids.len());
                tracing::warn!(channel.id = %channel, folder, letters, %trouble, "letters that are safe stay as they are");
                Ok(())
            }
            other => other,
        }
    }
}
