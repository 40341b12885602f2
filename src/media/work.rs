//! One job: fetch, look at, clean, scan, put on the shelf, tell; and what becomes of a try that failed.
//!
//! The order is what makes a crash harmless: the file is on the shelf before its record, the record before the event, the event
//! before the job is over. A try that finds the record there goes on behind it.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::{
    Parts, Terms,
    fetch::{Failing, Trip},
    inspect::{Fate, Inspected, Inspector},
    job::Job,
    shelf::{
        Record, Shelf,
        draft::{Draft, Whole},
    },
    tell, within,
};
use crate::{
    adapter::webhook::{rules::MediaRules, send::media::Wanted},
    channel::{Channel, ChannelSet},
    clock,
    complaint::{AttachmentState, FileRecord, RejectReason},
    http::{Http, guarded::Guarded},
    journal::Journal,
    store::{OutboxEntry, Progress, SendOutcome, Store, StoreError},
    telemetry::Metrics,
};

/// The longest that a manifest's `timeout` may let a try take: well within the lease.
const LONGEST_TRY: Duration = Duration::from_mins(4);
/// For a file on its way to the shelf, which may be a bucket far away: with the try and the scanner within the lease.
const LONGEST_PUT: Duration = Duration::from_mins(3);
/// Wait after a failure that is ours: the disk, the scanner, a channel that is closed.
const OUR_WAIT: SignedDuration = SignedDuration::from_secs(60);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_hours(6);
/// Each wait is so many times the one before it. Providers block whoever hammers (`provider-facts.md` §4).
const FACTOR: u32 = 4;
/// How long the record of a try is repeated while the store is away.
const RECORDING: Duration = Duration::from_mins(2);
/// Files of one message, where the manifest does not say.
const MOST_FILES: usize = 100;

/// What every job is worked on with.
pub(super) struct Desk {
    pub store: Arc<dyn Store>,
    terms: Terms,
    shelf: Shelf,
    inspector: Inspector,
    journal: Journal,
    http: Http,
    guarded: Guarded,
    metrics: Arc<Metrics>,
    channels: watch::Receiver<Arc<ChannelSet>>,
    /// A receipt is in memory as a whole while its parts are read: one at a time.
    receipts: Semaphore,
}

/// Where a job has come to.
enum Came {
    /// Its final state, which may have been reached before.
    Final(Box<FileRecord>),
    Again {
        at: Timestamp,
        reason: String,
    },
    /// The fault is ours: it is tried again, and counts as no try.
    Ours(String),
}

impl Desk {
    pub fn new(store: Arc<dyn Store>, parts: Parts) -> Self {
        let Parts { terms, inspector, journal, http, guarded, metrics, channels, .. } = parts;
        let (shelf, receipts) = (inspector.shelf.clone(), Semaphore::new(1));
        Self { store, terms, shelf, inspector, journal, http, guarded, metrics, channels, receipts }
    }

    /// One try, recorded.
    pub async fn work(&self, entry: &OutboxEntry) {
        let job = match Job::read(entry) {
            Ok(job) => job,
            Err(reason) => {
                tracing::error!(outbox.id = %entry.id, %reason, "a file is given up on");
                return self.record(entry, SendOutcome::Dead { failure: reason }).await;
            }
        };
        let outcome = match self.attempt(entry, &job).await {
            Ok(outcome) => outcome,
            Err(reason) => {
                tracing::warn!(complaint.id = %job.complaint_id, %reason, "a file waits");
                SendOutcome::Wait { at: later(OUR_WAIT), failure: reason }
            }
        };
        self.record(entry, outcome).await;
    }

    /// The error is a failure of ours, which is tried again.
    async fn attempt(&self, entry: &OutboxEntry, job: &Job) -> Result<SendOutcome, String> {
        let known = self.shelf.record(job.file.attachment_id).await.map_err(|error| error.to_string())?;
        let record = match known {
            Some(record) => record,
            None => match self.file(entry, job).await {
                Came::Again { at, reason } => {
                    tracing::info!(complaint.id = %job.complaint_id, %reason, "a file is tried again");
                    self.metrics.media(job.channel.as_str(), "retry", 0);
                    return Ok(SendOutcome::Retry {
                        at,
                        failure: reason,
                        unknown: false,
                        progress: Progress::default(),
                    });
                }
                Came::Ours(reason) => return Err(reason),
                Came::Final(file) => {
                    let record =
                        Record { complaint_id: job.complaint_id, queue: job.queue.clone(), file: *file, told: false };
                    self.shelf.write_record(&record).await.map_err(|error| error.to_string())?;
                    record
                }
            },
        };
        self.told(job, record).await
    }

    /// The event of a file that has reached its final state.
    async fn told(&self, job: &Job, mut record: Record) -> Result<SendOutcome, String> {
        if !record.told {
            let is_told = tell::tell(self.store.as_ref(), job, &record).await.map_err(|error| error.to_string())?;
            if !is_told {
                return Err("the sender's memory is busy".to_owned());
            }
            record.told = true;
            self.shelf.write_record(&record).await.map_err(|error| error.to_string())?;
            let size = record.file.size_bytes.unwrap_or(0);
            self.metrics.media(job.channel.as_str(), word(record.file.state), size);
            tracing::info!(complaint.id = %job.complaint_id, state = word(record.file.state), "a file is done");
        }
        Ok(match record.file.state {
            AttachmentState::Failed | AttachmentState::Expired => SendOutcome::Dead {
                failure: "the file could not be fetched; its attachment_stored event says so".to_owned(),
            },
            _ => SendOutcome::Sent { external_id: None },
        })
    }

    /// From the place to the shelf.
    async fn file(&self, entry: &OutboxEntry, job: &Job) -> Came {
        let Some(channel) = self.channels.borrow().open(job.channel.as_str()).cloned() else {
            return Came::Ours("the channel of the file is not open".to_owned());
        };
        if let Err(reason) = self.inspector.ready().await {
            return Came::Ours(reason);
        }
        let rules = channel.manifest.media.as_ref();
        if job.number >= rules.map_or(MOST_FILES, |rules| rules.max_count) {
            return reject(job, RejectReason::TooLarge);
        }
        match self.obtain(&channel, rules, job).await {
            Ok(whole) => self.keep(job, whole).await.unwrap_or_else(|failing| self.failed(entry, job, rules, failing)),
            Err(failing) => self.failed(entry, job, rules, failing),
        }
    }

    /// The bytes, whole, on the disk.
    async fn obtain(&self, channel: &Arc<Channel>, rules: Option<&MediaRules>, job: &Job) -> Result<Whole, Failing> {
        let limit = rules.map_or(self.terms.max_size, |rules| rules.max_size.min(self.terms.max_size));
        let ours = |error: std::io::Error| Failing::Ours(error.to_string());
        let (mut draft, scrap) = self.shelf.draft(limit).map_err(ours)?;
        if job.is_within() {
            self.read(channel, job, &mut draft).await?;
        } else {
            let wanted = Wanted { reference: job.file.provider_media_id.as_deref(), url: job.url.as_deref() };
            let trip = Trip { http: &self.http, guarded: &self.guarded, channel };
            let time = rules.map_or(LONGEST_TRY, |rules| rules.timeout.duration()).min(LONGEST_TRY);
            let fetched = tokio::time::timeout(time, trip.fetch(wanted, &mut draft)).await;
            fetched.map_err(|_| Failing::again("the file did not come within the time-out"))??;
        }
        draft.finish(scrap).await.map_err(ours)
    }

    async fn read(&self, channel: &Arc<Channel>, job: &Job, draft: &mut Draft) -> Result<(), Failing> {
        let _alone = self.receipts.acquire().await.map_err(|_| Failing::again("the gateway stops"))?;
        let bytes = within::bytes(&self.journal, channel, job).await?;
        Ok(draft.write(&bytes).await?)
    }

    /// Looks at the file, and puts it on the shelf.
    async fn keep(&self, job: &Job, whole: Whole) -> Result<Came, Failing> {
        let Inspected { kind, scan, fate } = self.inspector.inspect(whole).await?;
        let mut file = FileRecord { detected_media_type: kind.map(str::to_owned), scan, ..job.file.clone() };
        match fate {
            Fate::Bad { reason: RejectReason::Empty, .. } => Ok(reject(job, RejectReason::Empty)),
            Fate::Bad { size, sha256, reason } => {
                (file.size_bytes, file.sha256) = (Some(size), Some(sha256));
                Ok(rejected(file, reason))
            }
            Fate::Good { whole, exif } => {
                let url = format!("{}/v1/attachments/{}", self.terms.public_url, file.attachment_id);
                let file = FileRecord {
                    state: AttachmentState::Stored,
                    size_bytes: Some(whole.size),
                    sha256: Some(whole.sha256.clone()),
                    url: Some(url),
                    exif,
                    ..file
                };
                let put = tokio::time::timeout(LONGEST_PUT, self.shelf.put(file.attachment_id, whole)).await;
                let put = put.map_err(|_| Failing::Ours("the place of the files is too slow".to_owned()))?;
                put.map_err(|error| Failing::Ours(error.to_string()))?;
                Ok(Came::Final(Box::new(file)))
            }
        }
    }

    /// What becomes of a try that failed: the next, or the end.
    fn failed(&self, entry: &OutboxEntry, job: &Job, rules: Option<&MediaRules>, failing: Failing) -> Came {
        match failing {
            Failing::TooLarge => reject(job, RejectReason::TooLarge),
            Failing::Ours(reason) => Came::Ours(reason),
            Failing::Refused(reason) => {
                tracing::warn!(complaint.id = %job.complaint_id, channel.id = %job.channel, %reason, "a file is not fetched");
                ended(job, AttachmentState::Failed)
            }
            Failing::Again { reason, is_gone } => {
                let tries = entry.attempts.saturating_add(1);
                let is_over = job.url.is_some() && is_expired(job, rules);
                if tries < self.terms.retry_max && !is_over && !(is_gone && job.is_within()) {
                    return Came::Again { at: later(self.wait(tries)), reason };
                }
                tracing::warn!(complaint.id = %job.complaint_id, channel.id = %job.channel, %reason, "a file is given up on");
                let is_gone = is_gone || is_over;
                ended(job, if is_gone { AttachmentState::Expired } else { AttachmentState::Failed })
            }
        }
    }

    fn wait(&self, tries: u32) -> SignedDuration {
        let factor = FACTOR.saturating_pow(tries.saturating_sub(1));
        let wait = self.terms.retry_first.duration().saturating_mul(factor).min(LONGEST_WAIT);
        SignedDuration::try_from(wait).unwrap_or(OUR_WAIT)
    }

    /// Notes what became of a try. While the store is away it is repeated; then the lease runs out, and the next try finds
    /// the record on the shelf.
    async fn record(&self, entry: &OutboxEntry, outcome: SendOutcome) {
        let end = Instant::now() + RECORDING;
        loop {
            let tried = self.store.outbox_tried(&entry.channel, &entry.id, outcome.clone(), clock::now()).await;
            match tried {
                Err(StoreError::Away(_)) if Instant::now() < end => tokio::time::sleep(Duration::from_secs(1)).await,
                Err(error) => {
                    tracing::warn!(outbox.id = %entry.id, %error, "a try to fetch a file is not recorded");
                    return;
                }
                Ok(()) => return,
            }
        }
    }
}

/// The place that came with the message is no longer valid, and nobody can be asked for another.
fn is_expired(job: &Job, rules: Option<&MediaRules>) -> bool {
    let expires = rules.and_then(|rules| rules.expires);
    expires.is_some_and(|expires| job.received_at.checked_add(expires.signed()).is_ok_and(|until| until < clock::now()))
}

fn later(wait: SignedDuration) -> Timestamp {
    clock::now().checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn reject(job: &Job, reason: RejectReason) -> Came {
    rejected(job.file.clone(), reason)
}

fn rejected(file: FileRecord, reason: RejectReason) -> Came {
    Came::Final(Box::new(FileRecord { state: AttachmentState::Rejected, reject_reason: Some(reason), ..file }))
}

fn ended(job: &Job, state: AttachmentState) -> Came {
    let reject_reason = Some(RejectReason::DownloadFailed);
    Came::Final(Box::new(FileRecord { state, reject_reason, ..job.file.clone() }))
}

fn word(state: AttachmentState) -> &'static str {
    match state {
        AttachmentState::Pending => "pending",
        AttachmentState::Stored => "stored",
        AttachmentState::Rejected => "rejected",
        AttachmentState::Expired => "expired",
        AttachmentState::Failed => "failed",
    }
}
