//! One folder, read for as long as its channel is open: connect, take what is new, wait, and begin anew after a failure.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    books::Books,
    connection::{Connection, Selected},
    cursor::{Anew, Cursor, account},
    names,
    progress::Progress,
    token::Token,
    trouble::Trouble,
};
use crate::{
    adapter::mail::Mailbox, channel::Channel, clock, letterbox::Letterbox, poller::pause::pause, store::Store,
};

/// IDLE is begun anew after this at the latest: firewalls forget silent connections, and servers end them after 30 minutes.
const IDLE: Duration = Duration::from_mins(5);
/// Letters that the server would not give are asked for again after this.
const RETRY_SKIPPED: Duration = Duration::from_hours(1);
/// Letters whose sizes are asked for at once, and that are finished at once.
pub(super) const CHUNK: usize = 100;

/// What reads a folder.
pub(super) struct Folder {
    pub channel: Arc<Channel>,
    pub name: String,
    pub letterbox: Letterbox,
    pub store: Arc<dyn Store>,
    pub token: Arc<Token>,
    pub books: Arc<Books>,
    pub progress: Progress,
    /// Tries in a row that failed, with nothing journalled in between.
    pub failures: u32,
    /// The failure that the log was told of; empty while all is well.
    told: String,
    /// When everything is looked at again, and not only what is new.
    full_at: Instant,
    retry_at: Instant,
    /// Nothing can be marked in it. Told once.
    pub is_read_only: bool,
    /// Letters that were copied to where they go, and may not be deleted yet; of a server without MOVE.
    pub copied: BTreeSet<u32>,
}

/// What a channel's mailbox is.
pub(super) fn mailbox(channel: &Channel) -> Option<&Mailbox> {
    channel.post.as_ref().and_then(|post| post.mailbox.as_ref())
}

impl Folder {
    pub fn new(
        channel: Arc<Channel>,
        name: String,
        letterbox: Letterbox,
        store: Arc<dyn Store>,
        token: Arc<Token>,
        books: Arc<Books>,
    ) -> Self {
        let now = Instant::now();
        Self {
            channel,
            name,
            letterbox,
            store,
            token,
            books,
            progress: Progress::default(),
            failures: 0,
            told: String::new(),
            full_at: now,
            retry_at: now,
            is_read_only: false,
            copied: BTreeSet::new(),
        }
    }

    /// Until it is dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            let Err(trouble) = self.follow().await;
            self.failed(&trouble);
            tokio::time::sleep(pause(self.failures, u64::from_le_bytes(clock::random()))).await;
        }
    }

    async fn follow(&mut self) -> Result<Infallible, Trouble> {
        let channel = Arc::clone(&self.channel);
        let mailbox = mailbox(&channel).ok_or_else(|| Trouble::Settings("the channel has no mailbox".to_owned()))?;
        let quoted = names::folder(&self.name);
        let quoted = quoted.ok_or_else(|| Trouble::Settings("a name in `folders` is none".to_owned()))?;
        let mut connection = Connection::open(mailbox, &self.token).await?;
        loop {
            self.look(&mut connection, mailbox, &quoted).await?;
            self.succeeded();
            connection.wait(mailbox.poll_every.duration().min(IDLE)).await?;
        }
    }

    /// Takes in what is new; at times, what was left over too.
    async fn look(&mut self, connection: &mut Connection, mailbox: &Mailbox, quoted: &str) -> Result<(), Trouble> {
        let after = &mailbox.after;
        let selected = connection.select(quoted).await?;
        self.warn_of_read_only(&selected);
        let mut cursor = self.cursor(mailbox, &selected).await?;
        // Whatever comes from now on is seen by the search or is news for the wait behind it.
        connection.hear();
        let uids = if selected.exists == 0 { Vec::new() } else { connection.beyond(cursor.uid).await? };
        for chunk in uids.chunks(CHUNK) {
            self.take(connection, &mut cursor, chunk, after).await?;
        }
        let now = Instant::now();
        if !cursor.skipped.is_empty() && now >= self.retry_at {
            // Noted before: a letter that ends the connection does so once an hour.
            self.retry_at = now + RETRY_SKIPPED;
            self.take_skipped(connection, &mut cursor, after).await?;
        }
        if now >= self.full_at {
            self.finish_left_over(connection, &cursor, after).await?;
            self.full_at = now + mailbox.poll_every.duration();
        }
        Ok(())
    }

    async fn cursor(&mut self, mailbox: &Mailbox, selected: &Selected) -> Result<Cursor, Trouble> {
        let stored = self.store.cursor(&Cursor::name(self.channel.id(), &self.name)).await?;
        let (cursor, anew) = Cursor::continued(stored.as_deref(), &account(mailbox), selected);
        if let Some(anew) = anew {
            // Noted at once, so that what goes wrong with the first letters is not forgotten with each try.
            self.progress.restart();
            self.copied.clear();
            self.keep(&cursor).await?;
            let (channel, folder, letters) = (self.channel.id(), &self.name, selected.exists);
            let words = anew.words();
            if anew == Anew::First {
                tracing::info!(channel.id = %channel, folder, letters, "{words}");
            } else {
                let hint = "all of it is read again, and what is known is not taken twice";
                tracing::warn!(channel.id = %channel, folder, letters, "{words}: {hint}");
            }
        }
        Ok(cursor)
    }

    pub async fn keep(&self, cursor: &Cursor) -> Result<(), Trouble> {
        let name = Cursor::name(self.channel.id(), &self.name);
        Ok(self.store.set_cursor(&name, &cursor.bytes()).await?)
    }

    fn warn_of_read_only(&mut self, selected: &Selected) {
        let was_read_only = std::mem::replace(&mut self.is_read_only, selected.is_read_only);
        if selected.is_read_only && !was_read_only {
            let channel = self.channel.id();
            tracing::warn!(channel.id = %channel, folder = self.name, "the folder is read-only: letters cannot be marked");
        }
    }

    fn succeeded(&mut self) {
        self.books.succeeded(&self.name, clock::now());
        self.failures = 0;
        if !std::mem::take(&mut self.told).is_empty() {
            tracing::info!(channel.id = %self.channel.id(), folder = self.name, "the mailbox is read again");
        }
    }

    /// Said once, when it begins, and again when the reason is another. The counter goes on, and the gauge of the last
    /// success stands still.
    fn failed(&mut self, trouble: &Trouble) {
        self.books.failed();
        self.failures = self.failures.saturating_add(1);
        let reason = trouble.to_string();
        if reason != self.told {
            let (channel, folder) = (self.channel.id(), &self.name);
            tracing::error!(channel.id = %channel, folder, %reason, "the mailbox cannot be read; it is tried again");
            self.told = reason;
        }
    }
}
