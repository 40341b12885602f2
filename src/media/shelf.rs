//! The folder of the files: `<first two digits>/<attachment id>` and a record beside it, `<attachment id>.json`.
//!
//! Nothing that a stranger wrote stands in a name. A file is written as a draft, and moved to its place when all of it is on
//! the disk; files are `0600` and folders `0700`.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use ring::digest;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use crate::{
    clock,
    complaint::{FileRecord, hex},
    units::Size,
};

/// Bytes of a file that its type is recognised by.
const HEAD: usize = 8 << 10;
/// A record is a few hundred bytes, of which a name may be most.
const LONGEST_RECORD: u64 = 64 << 10;
/// A draft that old belongs to a try that is over.
const DRAFT_AGE: Duration = Duration::from_hours(1);

/// What is known of a file that has reached its final state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub complaint_id: Uuid,
    /// Whose token may have it.
    pub queue: String,
    pub file: FileRecord,
    /// The event of it is in the queue.
    pub told: bool,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

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

impl Shelf {
    /// Makes the folder, and removes the drafts of tries that are over. Blocking.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        make_private(&folder.join("incoming"))?;
        let shelf = Self { folder };
        for entry in std::fs::read_dir(shelf.folder.join("incoming"))? {
            let entry = entry?;
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > DRAFT_AGE {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(shelf)
    }

    pub fn path(&self, attachment_id: Uuid) -> PathBuf {
        // The last digits are random; the first are the time, and would put a week of files into one folder.
        let name = attachment_id.to_string();
        self.folder.join(&name[name.len() - 2..]).join(name)
    }

    fn record_path(&self, attachment_id: Uuid) -> PathBuf {
        self.path(attachment_id).with_extension("json")
    }

    /// Bytes that are free on the disk.
    pub fn free(&self) -> io::Result<Size> {
        let stats = rustix::fs::statvfs(&self.folder)?;
        Ok(Size::bytes(stats.f_bavail.saturating_mul(stats.f_frsize)))
    }

    /// A name for a draft, which nobody has yet.
    pub fn scrap(&self) -> Scrap {
        Scrap(self.folder.join("incoming").join(hex(&clock::random::<16>())))
    }

    /// Begins a file of at most `limit` bytes.
    pub fn draft(&self, limit: Size) -> io::Result<(Draft, Scrap)> {
        let scrap = self.scrap();
        let file = private_file(&scrap.0)?;
        let draft = Draft {
            path: scrap.0.clone(),
            file: tokio::fs::File::from_std(file),
            hash: digest::Context::new(&digest::SHA256),
            size: 0,
            limit: limit.as_u64(),
            head: Vec::new(),
        };
        Ok((draft, scrap))
    }

    /// Puts a file to its place, durably. Repeating it is harmless.
    pub async fn put(&self, attachment_id: Uuid, whole: Whole) -> io::Result<()> {
        let place = self.path(attachment_id);
        tokio::task::spawn_blocking(move || {
            let folder = place.parent().expect("the place is in a folder");
            make_private(folder)?;
            std::fs::rename(&whole.path.0, &place)?;
            std::fs::File::open(folder)?.sync_all()
        })
        .await
        .map_err(io::Error::other)?
    }

    /// The record of a file; None while it has none.
    pub async fn record(&self, attachment_id: Uuid) -> io::Result<Option<Record>> {
        let path = self.record_path(attachment_id);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) if metadata.len() <= LONGEST_RECORD => {}
            Ok(_) => return Err(io::Error::other("the record of a file is too long")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let bytes = tokio::fs::read(&path).await?;
        serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other)
    }

    /// Writes the record, durably.
    pub async fn write_record(&self, record: &Record) -> io::Result<()> {
        let (place, scrap) = (self.record_path(record.file.attachment_id), self.scrap());
        let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
        tokio::task::spawn_blocking(move || {
            use std::io::Write as _;
            let folder = place.parent().expect("the place is in a folder");
            make_private(folder)?;
            let mut file = private_file(&scrap.0)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&scrap.0, &place)?;
            std::fs::File::open(folder)?.sync_all()
        })
        .await
        .map_err(io::Error::other)?
    }
}

impl Draft {
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

fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
