//! Intake: `/in/{channel}`. Size and time limits, the channel by URL, verification, the journal, and then, only then, the
//! reply. An unknown channel answers exactly as a failed verification does.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Path, Request as HttpRequest, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use super::{App, Peer};
use crate::{
    adapter::webhook::{Answer, Fetch, Handshaken, send::Outgoing},
    channel::{Channel, Slot},
    clock,
    config::{ReplyAfter, remote_address},
    http::Http,
    journal::Durable,
    receipt::{Receipt, ReceiptId, Request, VerdictResult},
    signature::Refused,
    telemetry::Outcome,
};

/// How long the reply waits for the store with `reply_after = "queue"`.
const QUEUE_PATIENCE: Duration = Duration::from_millis(500);
/// How long a handshake waits for what it has to ask for: providers give up after 15 s at the earliest (Amazon SNS).
const CONFIRM_PATIENCE: Duration = Duration::from_secs(5);
/// A body has to come at this pace at least, after its first seconds.
const SLOWEST_BYTES_PER_SECOND: u64 = 1024;

pub async fn main(State(app): State<Arc<App>>, Path(channel): Path<String>, request: HttpRequest) -> Response {
    receive(&app, &channel, "main", request).await
}

pub async fn endpoint(
    State(app): State<Arc<App>>,
    Path((channel, endpoint)): Path<(String, String)>,
    request: HttpRequest,
) -> Response {
    receive(&app, &channel, &endpoint, request).await
}

/// The constant answer to everything that is not let in.
fn refused() -> Response {
    (StatusCode::UNAUTHORIZED, "refused\n").into_response()
}

fn come_again(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, HeaderValue::from_static("5"))], why).into_response()
}

async fn receive(app: &Arc<App>, channel: &str, endpoint: &str, request: HttpRequest) -> Response {
    let slot = app.channels.borrow().slot(channel).cloned();
    let channel = match slot {
        Some(Slot::Open(channel)) => channel,
        Some(Slot::Closed { .. }) => return come_again("the channel is closed\n"),
        None => return refused(),
    };
    // A channel that shares another's URL has none of its own. A bot that is polled and a mailbox have none at all: what they
    // bring comes by another way, and whoever writes the name of that way as an HTTP method is nobody.
    if !channel.enabled || channel.receiver.is_some() || channel.transport().is_some() {
        return refused();
    }
    match take(app, &channel, endpoint, request).await {
        Ok(response) => response,
        Err(refusal) => {
            app.metrics.book(channel.facts.id.as_str(), Outcome::refused, 1);
            refusal
        }
    }
}

/// Takes one request in; the error is a refusal that is counted.
async fn take(app: &Arc<App>, channel: &Arc<Channel>, endpoint: &str, http: HttpRequest) -> Result<Response, Response> {
    let (parts, body) = http.into_parts();
    if !channel.takes(parts.method.as_str(), content_type(&parts.headers)) {
        return Err(refused());
    }
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let body = read_body(body, &parts.headers, channel.max_body.as_usize(), app).await?;
    let whole = Instant::now();
    let remote = peer.map(|peer| remote(app, peer, &parts.headers));
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let request =
        Request { method: parts.method.as_str().to_owned(), target, headers: raw_headers(&parts.headers), body };
    let now = clock::now();
    if let Some(handshaken) = handshake(channel, endpoint, &request, remote, now)? {
        if let Some(fetch) = handshaken.fetch {
            confirm(&app.http, channel, fetch).await?;
        }
        return Ok(respond(handshaken.answer));
    }
    let id = ReceiptId(clock::uuid7(now));
    let facts = &channel.facts;
    let endpoint = endpoint.to_owned();
    let receipt =
        Receipt { id, channel: facts.id.clone(), endpoint, received_at: now, remote, draw: clock::random(), request };
    let answer = channel.engine.respond(&receipt, &channel.settings);
    let verified = channel.verifier.verify(receipt, now).map_err(|error| refusal(channel, &error))?;
    let nonce = verified.verdict().nonce.clone();
    if let Some(nonce) = &nonce {
        app.nonces.check(nonce, now).map_err(|error| refusal(channel, &error))?;
    }
    let durable = app.journal.append(verified).await.map_err(|error| {
        tracing::error!(channel.id = %facts.id, %error, "a receipt was refused");
        app.metrics.refused_full.inc();
        come_again("try again later\n")
    })?;
    if let Some(nonce) = &nonce {
        app.nonces.remember(nonce, now);
    }
    if app.resolved.config.reply_after == ReplyAfter::Queue {
        let mut applied = app.applied.clone();
        let sequence = durable.ticket().sequence;
        // After the patience the journal's word is enough.
        let _ = tokio::time::timeout(QUEUE_PATIENCE, applied.wait_for(|applied| *applied >= sequence)).await;
    }
    app.metrics.replied(whole.elapsed());
    Ok(reply(&durable, answer))
}

/// A positive reply needs the journal's proof.
fn reply(_durable: &Durable, answer: Answer) -> Response {
    respond(answer)
}

fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Some(value) = answer.content_type.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn refusal(channel: &Channel, error: &Refused) -> Response {
    tracing::info!(channel.id = %channel.facts.id, reason = %error, "a request was refused");
    match error {
        Refused::Unverified(_) => refused(),
        Refused::Later(_) => come_again("try again later\n"),
    }
}

/// Asks for the URL that a verified handshake named, so that the provider begins to send. Without its yes the handshake
/// fails, so that the provider comes again.
async fn confirm(http: &Http, channel: &Channel, fetch: Fetch) -> Result<(), Response> {
    let reason = match fetch {
        Fetch::Elsewhere => "it names no https URL on one of `fetch_hosts`".to_owned(),
        Fetch::Url(url) => {
            let shown = url.split('?').next().unwrap_or_default().to_owned();
            let outgoing = Outgoing { method: "GET".to_owned(), url, shown, headers: Vec::new(), body: Vec::new() };
            match tokio::time::timeout(CONFIRM_PATIENCE, http.send(outgoing)).await {
                Ok(Ok(response)) if response.status < 300 => {
                    tracing::info!(channel.id = %channel.id(), "a subscription is confirmed");
                    return Ok(());
                }
                Ok(Ok(response)) => format!("the status is {}", response.status),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            }
        }
    };
    tracing::error!(channel.id = %channel.id(), reason, "a subscription is not confirmed");
    Err(come_again("the subscription is not confirmed\n"))
}

/// The handshake that the request is, if it is one; nothing is journalled.
#[expect(clippy::result_large_err, reason = "the error is the answer to the provider, and is returned at once")]
fn handshake(
    channel: &Channel,
    endpoint: &str,
    request: &Request,
    remote: Option<IpAddr>,
    now: jiff::Timestamp,
) -> Result<Option<Handshaken>, Response> {
    let Some(handshaken) = channel.engine.handshake(endpoint, request, now, &channel.surroundings()) else {
        return Ok(None);
    };
    if handshaken.signed {
        let verdict = channel.verifier.check(request, remote, now);
        if verdict.result == VerdictResult::Fail {
            return Err(refusal(channel, &Refused::of(verdict)));
        }
    }
    Ok(Some(handshaken))
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

fn raw_headers(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn remote(app: &App, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = &app.resolved.trusted_proxies;
    if trusted.is_empty() {
        return peer.to_canonical();
    }
    let forwarded: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    remote_address(peer.to_canonical(), &forwarded, trusted)
}

/// The whole body: 413 before a byte is read where the length is declared, 408 when it does not come.
async fn read_body(body: Body, headers: &HeaderMap, limit: usize, app: &App) -> Result<Bytes, Response> {
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, "too large\n").into_response();
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    // What is being read has a bound in all, as nobody has proven anything yet.
    let room = declared.unwrap_or(limit).div_ceil(1024).max(1) as u32;
    let Ok(_room) = app.bodies.try_acquire_many(room) else {
        app.metrics.refused_full.inc();
        return Err(come_again("too much at once\n"));
    };
    let timeout = app.resolved.config.server.body_timeout.duration();
    let reading = collect(body, declared.unwrap_or(0), limit, timeout);
    match tokio::time::timeout(timeout, reading).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(Unread::TooLarge)) => Err(too_large()),
        Ok(Err(Unread::Broken)) => Err((StatusCode::BAD_REQUEST, "the body broke off\n").into_response()),
        Ok(Err(Unread::TooSlow)) | Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "too slow\n").into_response()),
    }
}

enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

async fn collect(mut body: Body, declared: usize, limit: usize, patience: Duration) -> Result<Bytes, Unread> {
    let (begin, grace) = (Instant::now(), patience / 6);
    // Most bodies come in one frame, which is passed on without a copy.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(declared.min(limit));
        }
        rest.extend_from_slice(&data);
        let took = begin.elapsed();
        if took > grace && ((first.len() + rest.len()) as u64) < took.as_secs() * SLOWEST_BYTES_PER_SECOND {
            return Err(Unread::TooSlow);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}
