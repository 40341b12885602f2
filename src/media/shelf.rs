//! The shelf: where the bytes of files lie, each under its attachment id, `<last two digits>/<attachment id>`, with a record
//! beside it, `<attachment id>.json`. Files that the core handed in for its answers have theirs below `uploads/`.
//!
//! Nothing that a stranger wrote stands in a name. A file is written as a draft in a local folder, and put to its place when all
//! of it is there; to put it again is harmless.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock,
    complaint::{FileRecord, hex},
    units::Size,
};

pub mod bucket;
pub mod draft;
mod folder;
pub mod uploads;

use bucket::{Access, Bucket};
use draft::{Draft, Scrap, Whole};
use folder::Folder;

/// A record is a few hundred bytes, of which a name may be most.
const LONGEST_RECORD: usize = 64 << 10;
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

/// The bytes of a file, piece by piece: it is never in memory as a whole.
pub struct Opened {
    pub size: u64,
    pub pieces: BoxStream<'static, io::Result<Bytes>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Opened({} bytes)", self.size)
    }
}

/// Where what is whole lies, under keys that the shelf makes. What is written is durable before a method returns.
#[async_trait]
trait Place: fmt::Debug + Send + Sync {
    /// Puts a whole file there, over what there was.
    async fn put_file(&self, key: &str, file: Scrap) -> io::Result<()>;

    /// The same with a few bytes. `scrap` is a free name for a draft of them.
    async fn write(&self, key: &str, bytes: Vec<u8>, scrap: Scrap) -> io::Result<()>;

    /// As `write`, unless there is something already: then false. Of two who try, one gets true.
    async fn create(&self, key: &str, bytes: Vec<u8>, scrap: Scrap) -> io::Result<bool>;

    async fn open(&self, key: &str) -> io::Result<Option<Opened>>;

    /// Whether it was there or not.
    async fn remove(&self, key: &str) -> io::Result<()>;

    /// The names below a folder of the shelf.
    async fn names(&self, folder: &'static str) -> io::Result<Vec<String>>;
}

/// The shelf. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// Local: what is not whole yet.
    incoming: PathBuf,
    place: Arc<dyn Place>,
}

impl Shelf {
    /// Everything in a folder. Blocking.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        let incoming = incoming(&folder)?;
        Ok(Self { incoming, place: Arc::new(Folder::new(folder)) })
    }

    /// Drafts in a folder, and what is whole in a bucket, which is not asked yet. Blocking.
    pub fn in_bucket(folder: &Path, access: &Access) -> io::Result<Self> {
        Ok(Self { incoming: incoming(folder)?, place: Arc::new(Bucket::new(access)?) })
    }

    /// Does the place keep what it is given, and does it give a name to one of two only? The error is for operators.
    pub async fn check(&self) -> Result<(), String> {
        let key = format!("check/{}", hex(&clock::random::<16>()));
        let create = async || self.place.create(&key, b"loket".to_vec(), self.scrap()).await;
        let failed = |error: io::Error| error.to_string();
        let (first, second) = (create().await.map_err(failed)?, create().await.map_err(failed)?);
        self.place.remove(&key).await.map_err(failed)?;
        if first && !second {
            return Ok(());
        }
        Err("it does not know conditional writes (If-None-Match): a file of an answer might leave for two complaints"
            .into())
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
        self.place.put_file(&key(attachment_id), whole.path).await
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
        self.write(&format!("{}.json", key(record.file.attachment_id)), record).await
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> io::Result<Option<T>> {
        let Some(mut opened) = self.place.open(key).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        while let Some(piece) = opened.pieces.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() > LONGEST_RECORD {
                return Err(io::Error::other("the record of a file is too long"));
            }
        }
        serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other)
    }

    async fn write<T: Serialize>(&self, key: &str, record: &T) -> io::Result<()> {
        let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
        self.place.write(key, bytes, self.scrap()).await
    }
}

/// The last digits of an id are random; the first are the time, and would put a week of files into one folder.
fn key(attachment_id: Uuid) -> String {
    let name = attachment_id.to_string();
    format!("{}/{name}", &name[name.len() - 2..])
}

/// The folder of drafts, without those of tries that are over.
fn incoming(folder: &Path) -> io::Result<PathBuf> {
    let incoming = folder.join("incoming");
    folder::make_private(&incoming)?;
    for entry in std::fs::read_dir(&incoming)? {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > DRAFT_AGE {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(incoming)
}
