//! A letter while it comes in: small ones in memory, large ones in a file without a name, so that hundreds of senders at once
//! need little memory. Where the journal is encrypted nothing may touch the disk in clear: then all of it stays in
//! memory, within the room that all letters share.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{clock, complaint::hex};

/// Longer letters go to a file.
const INSIDE: usize = 64 << 10;

/// Where letters are kept until they are whole.
#[derive(Clone, Debug)]
pub struct Spooling {
    /// `data/spool`; None: in memory alone.
    pub folder: Option<PathBuf>,
    /// Room in memory for all letters, in KiB.
    pub room: Arc<Semaphore>,
    /// Room in files for all letters, in KiB: what more came would take the journal's disk.
    pub disk: Arc<Semaphore>,
}

/// Why a letter cannot go on; the sender is told to come again.
#[derive(Debug, thiserror::Error)]
pub enum Unspooled {
    #[error("the disk cannot take it: {0}")]
    Disk(#[from] io::Error),
    #[error("there is no room for one more letter of this size")]
    Full,
}

/// One letter on its way in.
#[derive(Debug)]
pub struct Spool {
    spooling: Spooling,
    memory: Vec<u8>,
    file: Option<File>,
    pub length: usize,
    permits: Option<OwnedSemaphorePermit>,
}

/// A whole letter, and the room in memory that it takes.
#[derive(Debug)]
pub struct Whole {
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Spool {
    pub fn new(spooling: Spooling) -> Self {
        Self { spooling, memory: Vec::new(), file: None, length: 0, permits: None }
    }

    /// Adds bytes. Writes to the page cache, which is fast enough for the thread that reads the socket.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Unspooled> {
        self.length += bytes.len();
        if let Some(folder) = &self.spooling.folder
            && self.file.is_none()
            && self.length > INSIDE
        {
            let mut file = unnamed(folder)?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        if self.length > INSIDE {
            self.take_room()?;
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        Ok(())
    }

    /// The letter in one piece.
    pub async fn whole(mut self) -> Result<Whole, Unspooled> {
        if self.file.is_some() {
            // Whoever waits here holds nothing but a file.
            let kib = kib(self.length);
            let room = Arc::clone(&self.spooling.room).acquire_many_owned(kib).await.map_err(|_| Unspooled::Full)?;
            self.permits = Some(room);
        }
        let Self { memory, file, length, permits, .. } = self;
        let bytes = match file {
            None => memory,
            Some(mut file) => tokio::task::spawn_blocking(move || {
                let mut bytes = Vec::with_capacity(length);
                file.seek(SeekFrom::Start(0))?;
                file.read_to_end(&mut bytes)?;
                io::Result::Ok(bytes)
            })
            .await
            .map_err(|_| Unspooled::Full)??,
        };
        Ok(Whole { bytes: bytes.into(), _room: permits })
    }

    fn take_room(&mut self) -> Result<(), Unspooled> {
        let held = self.permits.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) as u32;
        // Ahead by an eighth, so that not every piece asks.
        let wanted = kib(self.length + self.length / 8).saturating_sub(held);
        if wanted == 0 {
            return Ok(());
        }
        let of = if self.file.is_some() { &self.spooling.disk } else { &self.spooling.room };
        let more = Arc::clone(of).try_acquire_many_owned(wanted).map_err(|_| Unspooled::Full)?;
        match &mut self.permits {
            Some(permits) => permits.merge(more),
            None => self.permits = Some(more),
        }
        Ok(())
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// A file that goes when it is closed, whatever happens.
fn unnamed(folder: &std::path::Path) -> io::Result<File> {
    let path = folder.join(hex(&clock::random::<16>()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooling(folder: Option<PathBuf>, kib: usize) -> Spooling {
        Spooling { folder, room: Arc::new(Semaphore::new(kib)), disk: Arc::new(Semaphore::new(kib)) }
    }

    #[tokio::test]
    async fn a_letter_comes_out_as_it_went_in_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        for folder in [Some(folder.path().to_owned()), None] {
            let mut spool = Spool::new(spooling(folder, 1024));
            let pieces: Vec<Vec<u8>> = (0..40_u8).map(|piece| vec![piece; 5000]).collect();
            for piece in &pieces {
                spool.add(piece).expect("room");
            }
            assert_eq!(spool.whole().await.expect("room").bytes, pieces.concat());
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[tokio::test]
    async fn letters_in_memory_share_a_room() {
        let spooling = spooling(None, 256);
        let mut first = Spool::new(spooling.clone());
        first.add(&vec![0; 150 << 10]).expect("room");
        let mut second = Spool::new(spooling.clone());
        assert!(matches!(second.add(&vec![0; 150 << 10]), Err(Unspooled::Full)));
        let whole = first.whole().await.expect("room");
        assert!(spooling.room.available_permits() < 150);
        drop((whole, second));
        assert_eq!(spooling.room.available_permits(), 256);
    }
}
