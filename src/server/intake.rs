//! The door for providers: `/in/{channel}` and `/in/{channel}/{endpoint}`.
//!
//! Size, time and header limits first, then the channel by its URL, then the pipeline. An unknown channel, a wrong
//! method and a failed verification get one constant answer, so that channel ids cannot be guessed out.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tracing::{info, warn};

use super::{
    listen::{BodyError, read_body},
    proxies::TrustedProxies,
};
use crate::{
    channel::{Channel, Door},
    pipeline::{Incoming, Pipeline, Reply},
    receipt::{self, ChannelId},
    telemetry::Outcome,
};

/// What is read of a request to a channel that does not exist, before it is refused.
const UNKNOWN_BODY: usize = 1024 * 1024;
/// The one body of every refusal.
const REFUSED: &str = "refused\n";
/// Seconds after which a provider may come again when the journal could not take its request.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// What the door needs.
#[derive(Clone, Debug)]
pub struct Intake {
    pub pipeline: Arc<Pipeline>,
    pub proxies: Arc<TrustedProxies>,
}

/// `/in/{channel}`
pub async fn main_endpoint(
    State(intake): State<Intake>,
    Path(channel): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    intake.receive(&channel, "main", peer.ip(), request).await
}

/// `/in/{channel}/{endpoint}`
pub async fn named_endpoint(
    State(intake): State<Intake>,
    Path((channel, endpoint)): Path<(String, String)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    intake.receive(&channel, &endpoint, peer.ip(), request).await
}

impl Intake {
    async fn receive(&self, channel: &str, endpoint: &str, peer: IpAddr, request: Request) -> Response {
        let begin = Instant::now();
        let door = ChannelId::new(channel).ok().and_then(|id| self.pipeline.registry.snapshot().find(&id).cloned());
        let channel = match door {
            Some(Door::Open(channel)) => channel,
            Some(Door::Closed { reason }) => {
                info!(channel.id = channel, reason, "a request came to a channel that is closed");
                return later();
            }
            None => return refuse_unknown(request).await,
        };
        if !channel.manifest.takes(request.method().as_str(), content_type(&request)) {
            info!(channel.id = %channel.id, "a request has a method or content type that the manifest does not take");
            self.pipeline.metrics.book(channel.id.as_str(), Outcome::refused, 1);
            return refused();
        }
        let response = match self.read(&channel, endpoint, peer, request).await {
            Ok(incoming) => self.reply(&channel, incoming).await,
            Err(error) => {
                self.pipeline.metrics.book(channel.id.as_str(), Outcome::refused, 1);
                (error.status(), error.to_string()).into_response()
            }
        };
        self.pipeline.metrics.replied(begin.elapsed());
        response
    }

    async fn read(&self, channel: &Channel, endpoint: &str, peer: IpAddr, request: Request) -> Result<Incoming, BodyError> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str).to_owned();
        let headers: Vec<(String, Vec<u8>)> =
            parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        let remote = self.proxies.remote(peer, &parts.headers);
        let declared = parts.headers.get(header::CONTENT_LENGTH);
        let body = read_body(declared, body, channel.max_body()).await?;
        let request = receipt::Request { method: parts.method.as_str().to_owned(), target, headers, body };
        Ok(Incoming::new(endpoint, Some(remote), request))
    }

    async fn reply(&self, channel: &Channel, incoming: Incoming) -> Response {
        match self.pipeline.accept(channel, incoming).await {
            Reply::Answer(answer) => {
                let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
                let mut response = (status, answer.body).into_response();
                response.headers_mut().remove(header::CONTENT_TYPE);
                if let Some(Ok(content_type)) = answer.content_type.as_deref().map(HeaderValue::from_str) {
                    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
                    let nosniff = HeaderValue::from_static("nosniff");
                    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
                }
                response
            }
            Reply::Refused => refused(),
            Reply::Later => later(),
        }
    }
}

fn content_type(request: &Request<Body>) -> Option<&str> {
    request.headers().get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Reads the body as for a channel that exists, and hashes it as a signature check would: the time tells nothing.
async fn refuse_unknown(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match read_body(parts.headers.get(header::CONTENT_LENGTH), body, UNKNOWN_BODY).await {
        Ok(body) => {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"no channel");
            std::hint::black_box(ring::hmac::sign(&key, &body));
            refused()
        }
        Err(error) => {
            warn!(%error, "a request to an unknown channel was cut off");
            (error.status(), error.to_string()).into_response()
        }
    }
}

fn refused() -> Response {
    (StatusCode::UNAUTHORIZED, REFUSED).into_response()
}

fn later() -> Response {
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, "come again\n").into_response();
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}
