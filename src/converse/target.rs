//! A report that a message is about: always one of its own sender.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    complaint::{ChosenBy, ContentDisclosure, Privacy, ReporterDisclosure, TrackingId},
    sender::Report,
    store::ComplaintRecord,
};

/// A report of this very sender.
#[derive(Debug)]
pub struct Target {
    pub complaint_id: Uuid,
    pub tracking_id: TrackingId,
    pub queue: String,
    /// Follow-ups that the tracking index knows of.
    pub sequence: u32,
    /// The strictest where only the index knows the report: hidden never becomes public again by accident.
    pub privacy: Privacy,
    pub received_at: Timestamp,
}

impl Target {
    pub fn of(report: &Report) -> Self {
        Self {
            complaint_id: report.complaint_id,
            tracking_id: report.tracking_id.clone(),
            queue: report.queue.clone(),
            sequence: report.sequence,
            privacy: report.privacy,
            received_at: Timestamp::from_second(report.at).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    pub fn known(record: &ComplaintRecord) -> Self {
        Self {
            complaint_id: record.complaint_id,
            tracking_id: record.tracking_id.clone(),
            queue: record.queue.clone(),
            sequence: record.sequence,
            privacy: Privacy {
                reporter_disclosure: ReporterDisclosure::Withheld,
                content_disclosure: ContentDisclosure::Agency,
                chosen_by: ChosenBy::Reporter,
            },
            received_at: record.received_at,
        }
    }
}
