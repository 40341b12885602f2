//! Takes a file that the core hands in for an answer: streamed into a draft, looked at like every other file, and put on the
//! shelf under an id of ours. Nothing of it is in memory as a whole.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use tokio::sync::Semaphore;

use super::{
    fetch::Failing,
    inspect::{Fate, Inspector},
    name,
    shelf::{
        draft::DraftError,
        uploads::{Owner, Upload},
    },
};
use crate::{clock, complaint::RejectReason, units::Size};

/// Files that are taken at once.
const LANES: usize = 8;
/// For a whole file.
const WHOLE: Duration = Duration::from_mins(10);

/// Where files are handed in.
pub struct Reception {
    inspector: Inspector,
    max_size: Size,
    /// The longest wait for a piece of a file.
    silence: Duration,
    lanes: Semaphore,
}

impl fmt::Debug for Reception {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Reception({} free)", self.lanes.available_permits())
    }
}

/// Why a file was not taken. Each is an answer of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    #[error("the file is larger than {0}, the limit of [media] max_size")]
    TooLarge(Size),
    #[error("the file is empty")]
    Empty,
    #[error("the file is {0} by its bytes, which [media] types does not name")]
    Type(&'static str),
    #[error("a scanner found malware in the file")]
    Malware,
    #[error("the body broke off or came too slowly")]
    Broken,
    #[error("too many files are handed in at once; try again")]
    Crowded,
    /// A disk, or a scanner that is away. For the log; whoever asks is told to come again.
    #[error("the file cannot be taken now: {0}")]
    Ours(String),
}

impl Reception {
    pub fn new(inspector: Inspector, max_size: Size, silence: Duration) -> Self {
        Self { inspector, max_size, silence, lanes: Semaphore::new(LANES) }
    }

    /// `declared` is the length that was announced.
    pub async fn take<S, E>(
        &self,
        body: S,
        declared: Option<u64>,
        filename: Option<String>,
        owner: Owner,
    ) -> Result<Upload, Untaken>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        if declared.is_some_and(|declared| declared > self.max_size.as_u64()) {
            return Err(Untaken::TooLarge(self.max_size));
        }
        let _lane = self.lanes.try_acquire().map_err(|_| Untaken::Crowded)?;
        self.inspector.ready().await.map_err(Untaken::Ours)?;
        let taken = tokio::time::timeout(WHOLE, self.file(body, filename, owner)).await;
        taken.map_err(|_| Untaken::Broken)?
    }

    async fn file<S, E>(&self, mut body: S, filename: Option<String>, owner: Owner) -> Result<Upload, Untaken>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let shelf = &self.inspector.shelf;
        let (mut draft, scrap) = shelf.draft(self.max_size).map_err(ours)?;
        while let Some(piece) = tokio::time::timeout(self.silence, body.next()).await.map_err(|_| Untaken::Broken)? {
            let piece = piece.map_err(|_| Untaken::Broken)?;
            draft.write(&piece).await.map_err(|error| match error {
                DraftError::TooLarge => Untaken::TooLarge(self.max_size),
                DraftError::Io(error) => ours(error),
            })?;
        }
        let whole = draft.finish(scrap).await.map_err(ours)?;
        let inspected = self.inspector.inspect(whole).await.map_err(|failing| match failing {
            Failing::Ours(reason) | Failing::Refused(reason) | Failing::Again { reason, .. } => Untaken::Ours(reason),
            Failing::TooLarge => Untaken::TooLarge(self.max_size),
        })?;
        let kind = inspected.kind.unwrap_or("application/octet-stream");
        let whole = match inspected.fate {
            Fate::Good { whole, .. } => whole,
            Fate::Bad { reason: RejectReason::TypeNotAllowed, .. } => return Err(Untaken::Type(kind)),
            Fate::Bad { reason: RejectReason::Malware, .. } => return Err(Untaken::Malware),
            Fate::Bad { .. } => return Err(Untaken::Empty),
        };
        let now = clock::now();
        let upload = Upload {
            attachment_id: clock::uuid7(now),
            owner,
            media_type: kind.to_owned(),
            filename: filename.map(|filename| name::shown(&filename)).filter(|filename| !filename.is_empty()),
            size_bytes: whole.size,
            sha256: whole.sha256.clone(),
            at: now,
        };
        // The record first: what a crash leaves is found by the sweep.
        shelf.write_upload(&upload).await.map_err(ours)?;
        shelf.put(upload.attachment_id, whole).await.map_err(ours)?;
        Ok(upload)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` calls")]
fn ours(error: std::io::Error) -> Untaken {
    Untaken::Ours(error.to_string())
}
