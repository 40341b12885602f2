//! `/v1/queues`: the core system leases events, and acknowledges them or gives them back.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{App, authority::Authority, problem::Problem};
use crate::{
    clock,
    store::{DeadLetter, Delivery, QueueStats},
};

/// Most deliveries of one lease, and most entries of one page.
const MOST: usize = 1000;
/// Longest time that a lease holds.
const LONGEST_VISIBILITY: u64 = 12 * 3600;
/// Longest time that a request waits for something to lease.
const LONGEST_WAIT: u64 = 60;

#[derive(Debug, Serialize)]
pub struct Queues {
    queues: Vec<QueueStats>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    #[serde(default = "one")]
    max: usize,
    #[serde(default = "one_minute")]
    visibility_seconds: u64,
    #[serde(default)]
    wait_seconds: u64,
}

fn one() -> usize {
    1
}

fn one_minute() -> u64 {
    60
}

#[derive(Debug, Serialize)]
pub struct Deliveries {
    deliveries: Vec<Delivery>,
}

/// Ids of leased deliveries, with what nack and extend say besides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    delivery_ids: Vec<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    delay_seconds: Option<u64>,
    #[serde(default)]
    visibility_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct Count {
    count: usize,
}

#[derive(Debug, Deserialize)]
pub struct Page {
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    max: Option<usize>,
}

#[derive(Debug, Serialize)]
pub struct Dead {
    dead: Vec<DeadLetter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requeue {
    #[serde(default)]
    delivery_ids: Vec<String>,
}

/// A body that is JSON of the shape wanted, or an answer that says what is wrong with it.
pub(super) fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|error| Problem::new(error.status(), error.body_text()))
}

fn visibility(seconds: u64) -> Result<SignedDuration, Problem> {
    if seconds == 0 || seconds > LONGEST_VISIBILITY {
        return Err(Problem::bad_request(format!("visibility_seconds is {seconds}: write 1 to {LONGEST_VISIBILITY}")));
    }
    Ok(SignedDuration::from_secs(seconds as i64))
}

pub async fn list(State(app): State<Arc<App>>, authority: Authority) -> Result<Json<Queues>, Problem> {
    let mut queues = app.store.queues(clock::now()).await?;
    queues.retain(|queue| authority.sees_queue(&queue.name));
    Ok(Json(Queues { queues }))
}

pub async fn lease(
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    authority: Authority,
    request: Result<Json<LeaseRequest>, JsonRejection>,
) -> Result<Json<Deliveries>, Problem> {
    authority.queue(&queue)?;
    let request = body(request)?;
    let visibility = visibility(request.visibility_seconds)?;
    let wait = Duration::from_secs(request.wait_seconds.min(LONGEST_WAIT));
    let end = tokio::time::Instant::now() + wait;
    let mut stop = app.stop.clone();
    loop {
        // Registered before the look, so that what is appended in between is not missed.
        let grown = app.queue_bell.notified();
        let deliveries = app.store.lease(&queue, request.max.min(MOST), visibility, clock::now()).await?;
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        if !deliveries.is_empty() || left.is_zero() || *stop.borrow() {
            return Ok(Json(Deliveries { deliveries }));
        }
        // A lease that runs out, or a delay that ends, rings no bell.
        let look_again = left.min(Duration::from_secs(1));
        tokio::select! {
            () = grown => {}
            () = tokio::time::sleep(look_again) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

pub async fn ack(
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    authority: Authority,
    request: Result<Json<Settle>, JsonRejection>,
) -> Result<Json<Count>, Problem> {
    authority.queue(&queue)?;
    let request = body(request)?;
    let count = app.store.ack(&queue, &request.delivery_ids, clock::now()).await?;
    Ok(Json(Count { count }))
}

pub async fn nack(
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    authority: Authority,
    request: Result<Json<Settle>, JsonRejection>,
) -> Result<Json<Count>, Problem> {
    authority.queue(&queue)?;
    let request = body(request)?;
    let reason: String =
        request.reason.unwrap_or_else(|| "returned by the core".to_owned()).chars().take(500).collect();
    let delay = SignedDuration::from_secs(request.delay_seconds.unwrap_or(0).min(LONGEST_VISIBILITY) as i64);
    let count = app.store.nack(&queue, &request.delivery_ids, &reason, delay, clock::now()).await?;
    app.queue_bell.notify_waiters();
    Ok(Json(Count { count }))
}

pub async fn extend(
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    authority: Authority,
    request: Result<Json<Settle>, JsonRejection>,
) -> Result<Json<Count>, Problem> {
    authority.queue(&queue)?;
    let request = body(request)?;
    let visibility = visibility(request.visibility_seconds.unwrap_or_else(one_minute))?;
    let count = app.store.extend(&queue, &request.delivery_ids, visibility, clock::now()).await?;
    Ok(Json(Count { count }))
}

/// Entries without leasing them, for operators.
pub async fn entries(
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    authority: Authority,
    Query(page): Query<Page>,
) -> Result<Json<Deliveries>, Problem> {
    authority.queue(&queue)?;
    let max = page.max.unwrap_or(100).min(MOST);
    let deliveries = app.store.peek(&queue, page.after.as_deref(), max).await?;
    Ok(Json(Deliveries { deliveries }))
}

pub async fn dead(
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    authority: Authority,
    Query(page): Query<Page>,
) -> Result<Json<Dead>, Problem> {
    authority.queue(&queue)?;
    let dead = app.store.dead(&queue, page.after.as_deref(), page.max.unwrap_or(100).min(MOST)).await?;
    Ok(Json(Dead { dead }))
}

/// All dead letters when no ids are given.
pub async fn requeue(
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    authority: Authority,
    request: Result<Json<Requeue>, JsonRejection>,
) -> Result<Json<Count>, Problem> {
    authority.queue(&queue)?;
    let request = body(request)?;
    let count = app.store.requeue(&queue, &request.delivery_ids, clock::now()).await?;
    app.queue_bell.notify_waiters();
    Ok(Json(Count { count }))
}
