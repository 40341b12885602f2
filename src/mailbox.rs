//! Mailboxes: letters are read over IMAP and handed to the letterbox, and the mailbox is told only when they are safe (G1).
//!
//! In: the channels with `adapter = "imap"`, as they are loaded, changed and removed. Out: a journalled receipt for every
//! letter; then `\Seen`, a move or a deletion, as the channel says. How far a folder was read is kept in the store as UID and
//! UIDVALIDITY, never as a date. It must never stop because of a letter, never wait for ever, and never mark what is not
//! on the disk.
//!
//! Of several gateways one reads a mailbox: it holds the lease `mailbox:<channel>`. A crash between journal and cursor, or two
//! who read at once for a moment, only bring letters again that the claims know already.
//!
//! In reading order: [`folder`] is the loop around everything, `taking` brings letters in, `connection` and `commands` are
//! the protocol, `login` and `token` the way in, `patience` the clock on every read.

use std::{convert::Infallible, sync::Arc};

use futures_util::future::select_all;
use tokio::sync::watch;

use crate::{
    adapter::mail::{Mail, Security},
    channel::Channel,
    http::Http,
    letterbox::Letterbox,
    poller::{self, Reader},
    store::Store,
};

mod books;
mod commands;
mod connection;
mod cursor;
pub mod doctor;
mod folder;
mod login;
mod names;
mod patience;
mod progress;
mod taking;
mod token;
mod trouble;
mod wire;

use books::Books;
use folder::{Folder, mailbox};
use token::Token;

/// What mailboxes are read with.
pub struct Parts {
    pub letterbox: Letterbox,
    pub store: Arc<dyn Store>,
    pub http: Http,
    /// This gateway's name.
    pub owner: String,
    /// True when the gateway stops.
    pub stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Parts({})", self.owner)
    }
}

/// Reads the mailboxes of all channels until the gateway stops.
pub async fn run(parts: Parts) {
    let Parts { letterbox, store, http, owner, stop } = parts;
    let round = poller::Parts { store: store.clone(), channels: letterbox.channels.clone(), owner, stop };
    poller::run(Mailboxes { letterbox, store, http }, round).await;
}

struct Mailboxes {
    letterbox: Letterbox,
    store: Arc<dyn Store>,
    http: Http,
}

impl Reader for Mailboxes {
    const KIND: &str = "mailbox";
    /// Kept over turns, as a provider may have changed the refresh token.
    type Kept = Arc<Token>;

    fn channels(&self) -> Vec<Arc<Channel>> {
        self.letterbox.channels(Mail::Imap)
    }

    fn open(&self, channel: &Channel) -> Arc<Token> {
        if mailbox(channel).is_some_and(|mailbox| mailbox.server.security == Security::None) {
            tracing::warn!(channel.id = %channel.id(), "the mailbox is read in clear: password and letters can be seen on the way");
        }
        Arc::new(Token::new(self.http.clone()))
    }

    /// All folders at once, each over a connection of its own: IDLE tells of one folder only.
    async fn read(&self, channel: &Arc<Channel>, token: &Arc<Token>) -> Infallible {
        let folders = mailbox(channel).map(|mailbox| mailbox.folders.clone()).unwrap_or_default();
        if folders.is_empty() {
            // Settings have at least one folder.
            return std::future::pending().await;
        }
        let books = Arc::new(Books::new(channel.id().clone(), &folders, self.letterbox.metrics.clone()));
        let read = folders.into_iter().map(|name| {
            let (letterbox, store) = (self.letterbox.clone(), self.store.clone());
            Box::pin(Folder::new(channel.clone(), name, letterbox, store, token.clone(), books.clone()).run())
        });
        select_all(read).await.0
    }
}
