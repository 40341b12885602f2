//! What machines ask: is the process alive, is it ready, what has it counted?

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{App, authority::Authority, problem::Problem};
use crate::{
    channel::{ChannelSet, Slot},
    clock,
    diagnostic::Diagnostic,
};

/// For the depths of the queues in the metrics.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// 200 while the process lives, whatever the store does.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Readiness, dependency by dependency.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    journal: &'static str,
    store: String,
    backlog: u64,
    quarantine: u64,
    channels: Vec<ChannelState>,
}

/// One channel as operators see it.
#[derive(Debug, Serialize)]
pub struct ChannelState {
    id: String,
    /// `open`, `disabled` or `closed`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// What an operator can see at `GET /v1/channels`.
#[derive(Debug, Serialize)]
pub struct Channels {
    channels: Vec<ChannelState>,
    /// Mistakes in files that changed nothing, and warnings.
    remarks: Vec<String>,
}

fn channel_states(app: &App, set: &ChannelSet) -> Vec<ChannelState> {
    let url = |id: &str| Some(format!("{}/in/{id}", app.gateway.public_url));
    let states = set.slots.iter().map(|(id, slot)| match slot {
        Slot::Open(channel) => ChannelState {
            id: id.to_string(),
            state: if channel.enabled { "open" } else { "disabled" },
            title: Some(channel.facts.title.clone()),
            manifest: Some(channel.manifest.id.clone()),
            // Nobody calls a bot that is asked for its updates.
            url: channel.polled().map_or_else(|| url(channel.receiver.as_ref().unwrap_or(id).as_str()), |_| None),
            reasons: Vec::new(),
        },
        Slot::Closed { reasons } => ChannelState {
            id: id.to_string(),
            state: "closed",
            title: None,
            manifest: None,
            url: None,
            reasons: reasons.iter().map(Diagnostic::to_string).collect(),
        },
    });
    states.collect()
}

/// 200 when receipts can be taken in and the store answers. A closed channel is named; it does not make the gateway
/// unready for the others.
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    let store = app.store.ping().await;
    app.metrics.store_up.set(i64::from(store.is_ok()));
    let stats = app.journal.stats();
    let stopping = *app.stop.borrow();
    let ready = store.is_ok() && stats.is_writable && !stopping;
    let set = app.channels.borrow().clone();
    let readiness = Readiness {
        ready,
        journal: if stats.is_writable { "ok" } else { "refuses: full or failing" },
        store: store.map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        backlog: stats.backlog,
        quarantine: stats.quarantined,
        channels: channel_states(&app, &set),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

pub async fn channels(State(app): State<Arc<App>>, authority: Authority) -> Result<Json<Channels>, Problem> {
    authority.operator()?;
    let set = app.channels.borrow().clone();
    let remarks = set.remarks.iter().map(Diagnostic::to_string).collect();
    Ok(Json(Channels { channels: channel_states(&app, &set), remarks }))
}

/// OpenMetrics.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let stats = app.journal.stats();
    app.metrics.journal_backlog.set(stats.backlog as i64);
    app.metrics.journal_bytes.set(stats.bytes as i64);
    app.metrics.quarantined.set(stats.quarantined as i64);
    // While the store does not answer, everything else is told all the more.
    if let Ok(Ok(queues)) = tokio::time::timeout(STORE_PATIENCE, app.store.queues(clock::now())).await {
        for queue in queues {
            app.metrics.queue(&queue.name, queue.depth, queue.dead);
        }
    }
    let is_open = |slot: &&Slot| matches!(slot, Slot::Open(_));
    let (open, all) = {
        let set = app.channels.borrow();
        (set.slots.values().filter(is_open).count(), set.slots.len())
    };
    app.metrics.open_channels.set(open as i64);
    app.metrics.closed_channels.set((all - open) as i64);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], app.metrics.render()).into_response()
}
