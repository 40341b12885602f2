//! A file that is being written: hashed, counted against its limit, and gone again unless it becomes whole.

use std::{
    io,
    path::{Path, PathBuf},
};

use ring::digest;
use tokio::io::AsyncWriteExt as _;

use crate::{complaint::hex, units::Size};

/// Bytes of a file that its type is recognised by.
const HEAD: usize = 8 << 10;

/// A file that is being written.
pub struct Draft {
    path: PathBuf,
    file: tokio::fs::File,
    hash: digest::Context,
    size: u64,
    limit: u64,
    head: Vec<u8>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Draft({} of {} bytes)", self.size, self.limit)
    }
}

/// Why bytes were not written. Each is a decision of the caller.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    #[error("the file is larger than the limit")]
    TooLarge,
    #[error("the folder of the files cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// A whole file that is on the disk and not yet on the shelf.
#[derive(Debug)]
pub struct Whole {
    pub path: Scrap,
    pub size: u64,
    pub sha256: String,
    pub head: Vec<u8>,
}

/// A path whose file goes with it.
#[derive(Debug)]
pub struct Scrap(pub PathBuf);

impl Drop for Scrap {
    fn drop(&mut self) {
        // It may have been moved to its place.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Draft {
    pub(super) fn begin(scrap: Scrap, limit: Size) -> io::Result<(Self, Scrap)> {
        let file = private_file(&scrap.0)?;
        let draft = Self {
            path: scrap.0.clone(),
            file: tokio::fs::File::from_std(file),
            hash: digest::Context::new(&digest::SHA256),
            size: 0,
            limit: limit.as_u64(),
            head: Vec::new(),
        };
        Ok((draft, scrap))
    }

    /// How much there is room for.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), DraftError> {
        let size = self.size + bytes.len() as u64;
        if size > self.limit {
            return Err(DraftError::TooLarge);
        }
        self.size = size;
        self.hash.update(bytes);
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(self.file.write_all(bytes).await?)
    }

    /// The whole file, durably.
    pub async fn finish(mut self, scrap: Scrap) -> io::Result<Whole> {
        debug_assert_eq!(self.path, scrap.0);
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(Whole { path: scrap, size: self.size, sha256: hex(self.hash.finish().as_ref()), head: self.head })
    }
}

/// A new file that is ours alone; one that is there already is none of ours.
pub fn private_file(path: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
