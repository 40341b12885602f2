//! What becomes of an answer when it is tried and reported on, the same in every store.

use super::{OutboxEntry, SendOutcome};
use crate::message::{DeliveryReport, DeliveryStatus};

/// Notes a try. Returns the provider's id when it gave one, under which reports will come.
pub fn tried(entry: &mut OutboxEntry, outcome: &SendOutcome) -> Option<String> {
    if !matches!(outcome, SendOutcome::Wait { .. }) {
        entry.attempts += 1;
    }
    match outcome {
        SendOutcome::Sent { external_id } => {
            entry.failure = None;
            entry.status = Some(join(entry.status, DeliveryStatus::Sent));
            if let Some(external_id) = external_id {
                entry.external_id = Some(external_id.clone());
            }
            external_id.clone()
        }
        SendOutcome::Retry { at, failure, unknown: _, progress } => {
            // A try that brought the answer on is the first of what is left.
            if progress.is_beyond(entry.progress) {
                entry.attempts = 1;
            }
            entry.progress = *progress;
            entry.due = *at;
            entry.failure = Some(failure.clone());
            None
        }
        SendOutcome::Wait { at, failure } => {
            entry.due = *at;
            entry.failure = Some(failure.clone());
            None
        }
        SendOutcome::Dead { failure } => {
            entry.failure = Some(failure.clone());
            None
        }
    }
}

fn join(status: Option<DeliveryStatus>, report: DeliveryStatus) -> DeliveryStatus {
    status.map_or(report, |status| status.join(report))
}

/// Joins a report to its answer: the status never steps back, and the failure is that of the status.
pub fn join_report(entry: &mut OutboxEntry, status: DeliveryStatus, error: Option<String>) {
    let joined = join(entry.status, status);
    if joined == DeliveryStatus::Failed && status == DeliveryStatus::Failed {
        entry.failure = error.or_else(|| entry.failure.take());
    } else if joined != DeliveryStatus::Failed && entry.status == Some(DeliveryStatus::Failed) {
        entry.failure = None;
    }
    entry.status = Some(joined);
}

/// Two reports on an answer that nobody knows yet, as one.
pub fn join_reports(before: DeliveryReport, report: DeliveryReport) -> DeliveryReport {
    let status = before.status.join(report.status);
    let error = if status == report.status { report.error } else { before.error };
    DeliveryReport { id: report.id, status, error }
}
