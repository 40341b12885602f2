//! The shelf: where the bytes of files lie, each under its attachment id, `<last two digits>/<attachment id>`, with a record
//! beside it, `<attachment id>.json`. Files that the core handed in for its answers have theirs below `uploads/`.
//!
//! Nothing that a stranger wrote stands in a name. A file is written as a draft in a local folder, and put to its place when all
//! of it is there; to put it again is harmless.

use std::{io, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{clock, complaint::FileRecord, complaint::hex, units::Size};

pub mod draft;
mod folder;
pub mod uploads;

use draft::{Draft, Scrap, Whole};
use folder::Folder;
pub use folder::Opened;

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

/// The shelf. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// Local: what is not whole yet.
    incoming: PathBuf,
    place: Folder,
}

impl Shelf {
    /// Makes the folder, and removes the drafts of tries that are over. Blocking.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        let incoming = folder.join("incoming");
        folder::make_private(&incoming)?;
        for entry in std::fs::read_dir(&incoming)? {
            let entry = entry?;
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > DRAFT_AGE {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { incoming, place: Folder::new(folder) })
    }

    /// Bytes that are free on the disk that drafts are written to.
    pub fn free(&self) -> io::Result<Size> {
        let stats = rustix::fs::statvfs(&self.incoming)?;
        Ok(Size::bytes(stats.f_bavail.saturating_mul(stats.f_frsize)))
    }

    /// A name for a draft, which nobody has yet.
    pub fn scrap(&self) -> Scrap {
        Scrap(self.incoming.join(hex(&clock::random::<16>())))
    }

    /// Begins a file of at most `limit` bytes.
    pub fn draft(&self, limit: Size) -> io::Result<(Draft, Scrap)> {
        Draft::begin(self.scrap(), limit)
    }

    /// Puts a file to its place, durably. Repeating it is harmless.
    pub async fn put(&self, attachment_id: Uuid, whole: Whole) -> io::Result<()> {
        self.place.put_file(key(attachment_id), whole.path).await
    }

    /// The bytes of a file; None where there is none.
    pub async fn bytes(&self, attachment_id: Uuid) -> io::Result<Option<Opened>> {
        self.place.open(&key(attachment_id)).await
    }

    /// The record of a file; None while it has none.
    pub async fn record(&self, attachment_id: Uuid) -> io::Result<Option<Record>> {
        self.read(&format!("{}.json", key(attachment_id))).await
    }

    /// Writes the record, durably.
    pub async fn write_record(&self, record: &Record) -> io::Result<()> {
        self.write(format!("{}.json", key(record.file.attachment_id)), record).await
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> io::Result<Option<T>> {
        let bytes = self.place.read(key, LONGEST_RECORD).await?;
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other)).transpose()
    }

    async fn write<T: Serialize>(&self, key: String, record: &T) -> io::Result<()> {
        let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
        self.place.write(key, bytes, self.scrap()).await
    }
}

/// The last digits of an id are random; the first are the time, and would put a week of files into one folder.
fn key(attachment_id: Uuid) -> String {
    let name = attachment_id.to_string();
    format!("{}/{name}", &name[name.len() - 2..])
}
