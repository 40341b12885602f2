//! The HTTP server: providers, the core system, operators and machines. It decides nothing about messages.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{any, get, post},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, watch},
};
use tower::ServiceExt as _;

use crate::{
    channel::ChannelSet,
    config::Resolved,
    gateway::Gateway,
    http::Http,
    journal::Journal,
    media::{reception::Reception, shelf::Shelf},
    pipeline::Rules,
    signature::replay::Nonces,
    store::Store,
    telemetry::Metrics,
    vault::Vault,
};

mod attachments;
mod authority;
mod complaints;
mod health;
mod intake;
mod page;
mod problem;
mod queues;
mod receipts;
mod replies;
mod uploads;

/// The API's description, and the page that shows it.
pub const OPENAPI: &str = include_str!("server/openapi.json");
/// Largest body of the core API.
const API_BODY: usize = 1 << 20;
/// Request line and headers together (`channel-manifest.md` §11).
const HEADER_BYTES: usize = 32 << 10;
const HEADER_COUNT: usize = 100;

/// What the handlers are handed.
pub struct App {
    pub resolved: Arc<Resolved>,
    pub journal: Journal,
    pub store: Arc<dyn Store>,
    pub channels: watch::Receiver<Arc<ChannelSet>>,
    pub gateway: Arc<Gateway>,
    pub rules: Arc<Rules>,
    pub vault: Arc<Vault>,
    pub metrics: Arc<Metrics>,
    /// For what a provider wants to be asked.
    pub http: Http,
    /// Files that came with complaints, and those of answers.
    pub shelf: Shelf,
    /// Where the core hands in files of answers.
    pub reception: Reception,
    pub nonces: Arc<Nonces>,
    pub outbox_bell: Arc<Notify>,
    pub queue_bell: Arc<Notify>,
    /// Room for the bodies that are being read, in KiB.
    pub bodies: Semaphore,
    /// Sequence number through which the store has everything.
    pub applied: watch::Receiver<u64>,
    /// Turns true when the gateway is to stop.
    pub stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("App")
    }
}

/// Every path that is answered; `openapi.json` has the same, and a test holds the two together.
pub fn router(app: Arc<App>) -> Router {
    let core = Router::new()
        .route("/v1/queues", get(queues::list))
        .route("/v1/queues/{queue}/entries", get(queues::entries))
        .route("/v1/queues/{queue}/lease", post(queues::lease))
        .route("/v1/queues/{queue}/ack", post(queues::ack))
        .route("/v1/queues/{queue}/nack", post(queues::nack))
        .route("/v1/queues/{queue}/extend", post(queues::extend))
        .route("/v1/queues/{queue}/dead", get(queues::dead))
        .route("/v1/queues/{queue}/dead/requeue", post(queues::requeue))
        .route("/v1/complaints/{id}", get(complaints::show))
        .route("/v1/complaints/{id}/replies", post(replies::reply))
        .route("/v1/complaints/{id}/status", post(complaints::status))
        .route("/v1/attachments", post(uploads::take))
        .route("/v1/attachments/{id}", get(attachments::show))
        .route("/v1/receipts", get(receipts::list))
        .route("/v1/receipts/{id}", get(receipts::show))
        .route("/v1/receipts/{id}/replay", post(receipts::replay))
        .route("/v1/channels", get(health::channels))
        .route("/v1/outbox/dead", get(complaints::dead_answers))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(DefaultBodyLimit::max(API_BODY));
    Router::new()
        .route("/in/{channel}", any(intake::main))
        .route("/in/{channel}/{endpoint}", any(intake::endpoint))
        .route("/files/{token}", get(attachments::linked))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(page::openapi))
        .route("/docs", get(page::docs))
        .route("/", get(page::front))
        .merge(core)
        .with_state(app)
}

/// The peer of a connection, before trusted proxies.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Serves until `stop` turns true, then lets what is in flight end, for at most `stop_timeout`.
pub async fn serve(listener: TcpListener, app: Arc<App>) {
    let settings = app.resolved.config.server.clone();
    let places = Arc::new(Semaphore::new(settings.max_connections));
    let mut stop = app.stop.clone();
    let router = router(app);
    let graceful = GracefulShutdown::new();
    let builder = Arc::new(connection_builder(settings.header_timeout.duration()));
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: waiting is all that helps.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let has_asked = Arc::new(AtomicBool::new(false));
        let connection = connection(&builder, stream, peer, &router, has_asked.clone());
        let watched = graceful.watch(connection);
        let patience = settings.header_timeout.duration();
        tokio::spawn(async move {
            tokio::pin!(watched);
            // The server's own time-out begins with the first byte of a request. Who says nothing at all must not keep a
            // place for ever. A client that breaks off is no matter of ours.
            if let Ok(_ended) = tokio::time::timeout(patience, &mut watched).await {
            } else if has_asked.load(Ordering::Relaxed) {
                let _ = watched.await;
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(settings.stop_timeout.duration(), graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open at the end of stop_timeout");
    }
}

fn connection_builder(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEADER_BYTES.max(64 << 10))
        .max_headers(HEADER_COUNT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(32)
        .max_header_list_size(HEADER_BYTES as u32)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

fn connection(
    builder: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    has_asked: Arc<AtomicBool>,
) -> impl hyper_util::server::graceful::GracefulConnection + use<> {
    // Replies are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let service = router.clone().map_request(move |mut request: axum::http::Request<hyper::body::Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Peer(peer));
        request
    });
    builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned()
}
