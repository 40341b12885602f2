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

use std::{
    collections::{BTreeMap, btree_map::Entry},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{join_all, select_all};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    adapter::mail::{Mail, Security},
    channel::Channel,
    clock,
    http::Http,
    letterbox::Letterbox,
    receipt::ChannelId,
    store::Store,
};

mod books;
mod commands;
mod connection;
mod cursor;
pub mod doctor;
mod folder;
mod lease;
mod login;
mod names;
mod patience;
mod pause;
mod progress;
mod taking;
mod token;
mod trouble;
mod wire;

use books::Books;
use folder::{Folder, mailbox};
use lease::Lease;
use token::Token;

/// How long a reader may take to end.
const END: Duration = Duration::from_secs(5);
/// How often it is looked whether a reader has ended by itself, which is a defect.
const ROUND: Duration = Duration::from_secs(5);

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

/// A channel that is read, by a task of its own.
struct Desk {
    channel: Arc<Channel>,
    /// Dropped to end it.
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Reads the mailboxes of all channels until the gateway stops.
pub async fn run(parts: Parts) {
    let mut stop = parts.stop.clone();
    let mut channels = parts.letterbox.channels.clone();
    // Two gateways may have the same name in their configuration, and still only one of them reads.
    let owner = format!("{}/{}", parts.owner, clock::uuid7(clock::now()));
    let parts = Arc::new(Parts { owner, ..parts });
    let mut desks: BTreeMap<ChannelId, Desk> = BTreeMap::new();
    loop {
        channels.borrow_and_update();
        rearrange(&parts, &mut desks).await;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            changed = channels.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(ROUND) => {}
        }
    }
    join_all(desks.into_values().map(close)).await;
}

/// Ends what is no longer there or has changed, and begins what is new. A channel that is unchanged is left alone.
async fn rearrange(parts: &Arc<Parts>, desks: &mut BTreeMap<ChannelId, Desk>) {
    let open: BTreeMap<ChannelId, Arc<Channel>> =
        parts.letterbox.channels(Mail::Imap).into_iter().map(|channel| (channel.id().clone(), channel)).collect();
    let is_good = |desk: &Desk| {
        open.get(desk.channel.id()).is_some_and(|channel| Arc::ptr_eq(channel, &desk.channel))
            && !desk.task.is_finished()
    };
    let ended: Vec<ChannelId> = desks.iter().filter(|(_, desk)| !is_good(desk)).map(|(id, _)| id.clone()).collect();
    join_all(ended.iter().filter_map(|id| desks.remove(id)).map(close)).await;
    for (id, channel) in open {
        if let Entry::Vacant(place) = desks.entry(id) {
            let (end, ended) = oneshot::channel();
            let task = tokio::spawn(read(parts.clone(), channel.clone(), ended));
            place.insert(Desk { channel, end, task });
        }
    }
}

async fn close(desk: Desk) {
    drop(desk.end);
    let mut task = desk.task;
    match timeout(END, &mut task).await {
        Ok(Err(error)) if error.is_panic() => {
            tracing::error!(channel.id = %desk.channel.id(), "a mailbox's reader has panicked, please report it");
        }
        Ok(_) => {}
        Err(_) => task.abort(),
    }
}

/// Reads one channel's mailbox whenever this gateway holds the lease.
async fn read(parts: Arc<Parts>, channel: Arc<Channel>, mut ended: oneshot::Receiver<()>) {
    let Some(mailbox) = mailbox(&channel) else { return };
    if mailbox.server.security == Security::None {
        tracing::warn!(channel.id = %channel.id(), "the mailbox is read in clear: password and letters can be seen on the way");
    }
    let lease = Lease::new(parts.store.clone(), channel.id(), parts.owner.clone());
    let token = Arc::new(Token::new(parts.http.clone()));
    loop {
        let turn = async {
            lease.taken().await;
            tracing::info!(channel.id = %channel.id(), "this gateway reads the mailbox");
            tokio::select! {
                () = lease.lost() => {}
                never = read_folders(&parts, &channel, &token) => match never {},
            }
        };
        tokio::select! {
            () = turn => tracing::warn!(channel.id = %channel.id(), "this gateway no longer reads the mailbox: the lease is gone"),
            _ = &mut ended => break,
        }
    }
    lease.release().await;
}

/// All folders at once, each over a connection of its own: IDLE tells of one folder only.
async fn read_folders(parts: &Parts, channel: &Arc<Channel>, token: &Arc<Token>) -> Infallible {
    let folders = mailbox(channel).map(|mailbox| mailbox.folders.clone()).unwrap_or_default();
    let books = Arc::new(Books::new(channel.id().clone(), &folders, parts.letterbox.metrics.clone()));
    let read = folders.into_iter().map(|name| {
        let (letterbox, store) = (parts.letterbox.clone(), parts.store.clone());
        Box::pin(Folder::new(channel.clone(), name, letterbox, store, token.clone(), books.clone()).run())
    });
    // Settings have at least one folder.
    select_all(read).await.0
}
