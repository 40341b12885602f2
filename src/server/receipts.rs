//! `/v1/receipts`: proof of receipt, and the quarantine.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{App, authority::Authority, problem::Problem};
use crate::{
    complaint::{TrackingId, hex},
    converse::compose::complaint_id,
    receipt::{Origin, Proves, Receipt, ReceiptId, Verdict, VerdictResult},
};

/// Most messages of a receipt that the proof looks up.
const MOST_MESSAGES: usize = 100;

#[derive(Debug, Serialize)]
pub struct Quarantine {
    receipts: Vec<QuarantinedReceipt>,
}

#[derive(Debug, Serialize)]
pub struct QuarantinedReceipt {
    receipt_id: ReceiptId,
    channel: String,
    received_at: Timestamp,
    size_bytes: u64,
    reason: String,
}

/// One receipt with every step that it has taken.
#[derive(Debug, Serialize)]
pub struct Proof {
    receipt_id: ReceiptId,
    channel: String,
    received_at: Timestamp,
    media_type: String,
    size_bytes: u64,
    sha256: String,
    verified: Verified,
    /// `quarantined`, `settled`, or `journalled` while the store has not got it yet.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    complaints: Vec<Steps>,
}

#[derive(Debug, Serialize)]
struct Verified {
    result: VerdictResult,
    #[serde(flatten)]
    proves: Proves,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

/// The steps of one complaint that the receipt was part of.
#[derive(Debug, Serialize)]
struct Steps {
    complaint_id: Uuid,
    tracking_id: TrackingId,
    queue: String,
    /// All receipts that it was made from.
    grouped: Vec<ReceiptId>,
    accepted_at: Timestamp,
    enqueued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    leased_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acked_at: Option<Timestamp>,
}

fn receipt_id(text: &str) -> Result<ReceiptId, Problem> {
    text.parse().map_err(|_| Problem::bad_request("write a receipt id (UUID)"))
}

/// The quarantine, oldest first.
pub async fn list(State(app): State<Arc<App>>, authority: Authority) -> Result<Json<Quarantine>, Problem> {
    authority.operator()?;
    let receipts = app.journal.quarantined().await?;
    let receipts = receipts.into_iter().map(|entry| QuarantinedReceipt {
        receipt_id: entry.receipt,
        channel: entry.channel.to_string(),
        received_at: entry.received_at,
        size_bytes: entry.size_bytes,
        reason: entry.reason,
    });
    Ok(Json(Quarantine { receipts: receipts.collect() }))
}

pub async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    authority: Authority,
) -> Result<Json<Proof>, Problem> {
    authority.core_or_operator()?;
    let id = receipt_id(&id)?;
    let found = app.journal.find(id).await?;
    let (receipt, verdict) =
        found.ok_or_else(|| Problem::not_found("no receipt has this id, or its retention has ended"))?;
    proof(&app, receipt, verdict).await.map(Json)
}

async fn proof(app: &App, receipt: Receipt, verdict: Verdict) -> Result<Proof, Problem> {
    let quarantined = app.journal.quarantined_one(receipt.id).await?;
    let origin = Origin::of(&receipt, verdict);
    let complaints = complaints(app, &origin).await?;
    let state = match (&quarantined, complaints.is_empty()) {
        (Some(_), _) => "quarantined",
        (None, false) => "settled",
        (None, true) if app.journal.stats().backlog == 0 => "settled",
        (None, true) => "journalled",
    };
    let Verdict { result, proves, detail, .. } = origin.verdict;
    Ok(Proof {
        receipt_id: origin.id,
        channel: origin.channel.to_string(),
        received_at: origin.received_at,
        media_type: origin.media_type,
        size_bytes: origin.size_bytes,
        sha256: hex(&origin.sha256),
        verified: Verified { result, proves, detail },
        state,
        reason: quarantined.map(|entry| entry.reason),
        complaints,
    })
}

/// Ids of complaints are derived from the receipt, so that no index from one to the other is needed.
async fn complaints(app: &App, origin: &Origin) -> Result<Vec<Steps>, Problem> {
    let mut complaints = Vec::new();
    let mut misses = 0;
    for place in 0..MOST_MESSAGES {
        match app.store.complaint(complaint_id(origin, place)).await? {
            Some(record) => complaints.push(Steps {
                complaint_id: record.complaint_id,
                tracking_id: record.tracking_id,
                queue: record.queue,
                grouped: record.receipts,
                accepted_at: record.received_at,
                enqueued_at: record.enqueued_at,
                leased_at: record.leased_at,
                acked_at: record.acked_at,
            }),
            // Items that became something else leave gaps; a long gap is the end.
            None if misses > 10 => break,
            None => misses += 1,
        }
    }
    Ok(complaints)
}

/// Brings a quarantined receipt back: it goes through the whole pipeline again, once.
pub async fn replay(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    authority: Authority,
) -> Result<StatusCode, Problem> {
    authority.operator()?;
    let id = receipt_id(&id)?;
    if app.journal.replay(id).await? {
        return Ok(StatusCode::ACCEPTED);
    }
    Err(Problem::not_found("no receipt with this id is in the quarantine"))
}
