//! Files that the core handed in for its answers. A file leaves for one complaint: the first answer that takes it decides which,
//! so that what was meant for one citizen never reaches another. What no answer took is gone after a day.
//!
//! Below `uploads/` lie `<attachment id>.json`, the record, and `<attachment id>.for`, the complaint it leaves for. The record is
//! there before the bytes, so that the sweep finds whatever a crash left behind.

use std::{collections::BTreeSet, io};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Shelf, key};

/// A file that no answer took is kept so long.
pub const UNSENT_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Answers take a file this much before its end only, so that the sweep never meets one that is being taken.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);
/// A file of an answer is kept as long as the answer.
const SENT_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
const FOLDER: &str = "uploads";

/// Whose tokens may send a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    Core,
    /// For complaints of these queues.
    Queues(Vec<String>),
}

impl Owner {
    /// May a file of theirs leave for a complaint of this queue?
    pub fn covers(&self, queue: &str) -> bool {
        match self {
            Self::Core => true,
            Self::Queues(queues) => queues.iter().any(|name| name == queue),
        }
    }
}

/// What is known of a file that was handed in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub attachment_id: Uuid,
    pub owner: Owner,
    /// As its bytes say.
    pub media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    pub size_bytes: u64,
    pub sha256: String,
    pub at: Timestamp,
}

/// The name may say whom it is about.
impl std::fmt::Debug for Upload {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Upload({}, {} bytes)", self.attachment_id, self.size_bytes)
    }
}

impl Shelf {
    pub async fn upload(&self, attachment_id: Uuid) -> io::Result<Option<Upload>> {
        self.read(&place(attachment_id, "json")).await
    }

    pub async fn write_upload(&self, upload: &Upload) -> io::Result<()> {
        self.write(&place(upload.attachment_id, "json"), upload).await
    }

    /// Takes a file for an answer to this complaint; false when it is another's, or too old. Repeating it is harmless.
    pub async fn take(&self, upload: &Upload, complaint_id: Uuid, now: Timestamp) -> io::Result<bool> {
        let place = place(upload.attachment_id, "for");
        if let Some(taken) = self.read::<Uuid>(&place).await? {
            return Ok(taken == complaint_id);
        }
        if now.duration_since(upload.at) > UNSENT_KEPT - MARGIN {
            return Ok(false);
        }
        let words = serde_json::to_vec(&complaint_id).map_err(io::Error::other)?;
        if self.place.create(&place, words, self.scrap()).await? {
            return Ok(true);
        }
        Ok(self.read::<Uuid>(&place).await? == Some(complaint_id))
    }

    /// Which complaint a file leaves for; None while no answer took it.
    pub async fn taken_for(&self, attachment_id: Uuid) -> io::Result<Option<Uuid>> {
        self.read(&place(attachment_id, "for")).await
    }

    /// Removes what no answer took in time, and what belongs to answers that are forgotten; how many files went.
    pub async fn sweep(&self, now: Timestamp) -> io::Result<usize> {
        let names = self.place.names(FOLDER).await?;
        let ids = |ending: &'static str| {
            let id = move |name: &String| name.strip_suffix(ending)?.parse::<Uuid>().ok();
            names.iter().filter_map(id).collect::<BTreeSet<_>>()
        };
        let (known, taken) = (ids(".json"), ids(".for"));
        let mut gone = 0;
        for id in known.into_iter().filter(|id| is_over(*id, taken.contains(id), now)) {
            self.place.remove(&key(id)).await?;
            self.place.remove(&place(id, "for")).await?;
            // Last: after a crash it leads here again.
            self.place.remove(&place(id, "json")).await?;
            gone += 1;
        }
        Ok(gone)
    }
}

fn place(attachment_id: Uuid, ending: &str) -> String {
    format!("{FOLDER}/{attachment_id}.{ending}")
}

/// The time stands in the id.
fn is_over(id: Uuid, is_taken: bool, now: Timestamp) -> bool {
    let seconds = id.get_timestamp().and_then(|time| i64::try_from(time.to_unix().0).ok());
    let Some(at) = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) else { return false };
    now.duration_since(at) > if is_taken { SENT_KEPT } else { UNSENT_KEPT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock, units::Size};

    async fn handed_in(shelf: &Shelf, at: Timestamp) -> Upload {
        let id = clock::uuid7(at);
        let (mut draft, scrap) = shelf.draft(Size::kib(1)).expect("a draft");
        draft.write(b"%PDF-1.7").await.expect("room");
        let whole = draft.finish(scrap).await.expect("a file");
        let upload = Upload {
            attachment_id: id,
            owner: Owner::Core,
            media_type: "application/pdf".to_owned(),
            filename: None,
            size_bytes: whole.size,
            sha256: whole.sha256.clone(),
            at,
        };
        shelf.write_upload(&upload).await.expect("a record");
        shelf.put(id, whole).await.expect("a place");
        upload
    }

    #[tokio::test]
    async fn a_file_leaves_for_one_complaint_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::open(folder.path().to_owned()).expect("a shelf");
        let now = clock::now();
        let upload = handed_in(&shelf, now).await;
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(shelf.taken_for(upload.attachment_id).await.expect("a folder"), None);
        for (complaint, expected) in [(one, true), (two, false), (one, true)] {
            assert_eq!(shelf.take(&upload, complaint, now).await.expect("a folder"), expected, "{complaint}");
        }
        let late = now + SignedDuration::from_hours(200);
        assert!(shelf.take(&upload, one, late).await.expect("a folder"), "a repetition is never too late");
        let fresh = handed_in(&shelf, now).await;
        assert!(!shelf.take(&fresh, one, late).await.expect("a folder"), "its time is over");
    }

    #[tokio::test]
    async fn what_no_answer_took_goes_after_a_day_and_the_rest_with_its_answer() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::open(folder.path().to_owned()).expect("a shelf");
        let now = clock::now();
        let (unsent, sent) = (handed_in(&shelf, now).await, handed_in(&shelf, now).await);
        assert!(shelf.take(&sent, Uuid::from_u128(1), now).await.expect("a folder"));
        let is_there = async |upload: &Upload| shelf.bytes(upload.attachment_id).await.expect("a folder").is_some();
        for (hours, gone, expected) in [(23, 0, [true, true]), (25, 1, [false, true]), (31 * 24, 1, [false, false])] {
            assert_eq!(shelf.sweep(now + SignedDuration::from_hours(hours)).await.expect("a folder"), gone, "{hours}");
            assert_eq!([is_there(&unsent).await, is_there(&sent).await], expected, "{hours}");
        }
        let names = std::fs::read_dir(folder.path().join(FOLDER)).expect("a folder").count();
        assert_eq!(names, 0);
    }
}
