//! A running gateway: opens everything in the right order, wires it, and stops it in the reverse order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::future::select_all;
use ring::hmac;
use secrecy::ExposeSecret as _;
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    agencies::Agencies,
    authenticity::{Authenticator, Resolver},
    channel::{
        ChannelFacts, ChannelSet, Slot,
        folders::Folders,
        open::Defaults,
        reload::{self, Loader},
    },
    clock, config,
    config::Resolved,
    converse::chat::flow::Flow,
    diagnostic::Diagnostic,
    gateway::Gateway,
    http::{Http, guarded::Guarded},
    journal::{Journal, JournalOptions, Tail},
    letterbox::Letterbox,
    locale::Locales,
    mailbox,
    media::{self, inspect::Inspector, reception::Reception, shelf::Shelf},
    message::Message,
    normalise::normalise,
    outbox::{self, Outbox},
    pipeline::{Pipeline, Rules},
    receipt::Origin,
    route::Routing,
    server::{self, App},
    signature::replay::Nonces,
    smtp, telegram,
    telemetry::Metrics,
    vault::Vault,
};

mod housekeeping;
mod keys;
mod store;

/// Between two tries to ask a store that is away.
const AGAIN: Duration = Duration::from_millis(500);
/// Bodies that are being read, all together: 128 MiB.
const BODIES_KIB: usize = 128 << 10;

/// A gateway that runs in this process.
#[derive(Debug)]
pub struct Running {
    pub address: SocketAddr,
    /// Where mail is taken, if it is.
    pub smtp: Option<SocketAddr>,
    pub lmtp: Option<SocketAddr>,
    pub app: Arc<App>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    mail: Vec<JoinHandle<()>>,
    pipeline: JoinHandle<()>,
    _workshop: Workshop,
    outbox: JoinHandle<()>,
    media: JoinHandle<()>,
    mailboxes: JoinHandle<()>,
    bots: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

/// Threads for what happens behind the reply. They have a lower priority than those that take receipts in, so that under
/// a flood more is accepted and the backlog waits on the disk, and a reply is never late because of a mapping (G10).
#[derive(Debug)]
struct Workshop(Option<tokio::runtime::Runtime>);

/// Of the pipeline's threads, above that of the program.
const NICENESS: i32 = 5;

impl Workshop {
    fn new() -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("pipeline").enable_all();
        let runtime = builder.on_thread_start(lower_priority).build()?;
        Ok(Self(Some(runtime)))
    }

    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("the runtime is there until the drop").spawn(work)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // A thread that a filter holds must not hold up the end.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// On Linux a thread has a niceness of its own. Where it cannot be set, the priorities are equal.
fn lower_priority() {
    let thread = rustix::thread::gettid();
    let niceness = rustix::process::getpriority_process(Some(thread)).unwrap_or(0);
    let _ = rustix::process::setpriority_process(Some(thread), niceness + NICENESS);
}

/// What keeps a gateway from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mistakes in files, to be shown as the compiler shows them.
    #[error("{} mistakes in the configuration", .0.len())]
    Mistakes(Vec<Diagnostic>),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Does a channel that cannot be opened keep the gateway from starting?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// The others serve.
    Lenient,
    /// `serve --strict`
    Strict,
}

/// The rules that operators write. All mistakes at once.
pub fn load_rules(resolved: &Resolved) -> Result<Rules, Vec<Diagnostic>> {
    let folder = &resolved.config_dir;
    let mut mistakes = Vec::new();
    let agencies = Agencies::load(folder).unwrap_or_else(|found| {
        mistakes.extend(found);
        Agencies::default()
    });
    let routing = Routing::load(folder, &agencies).map_err(|found| mistakes.extend(found)).ok();
    let locales = Locales::load(folder).map_err(|found| mistakes.extend(found)).ok();
    let flow = Flow::load(folder).map_err(|found| mistakes.extend(found)).ok();
    match (routing, locales, flow) {
        (Some(routing), Some(locales), Some(flow)) if mistakes.is_empty() => {
            Ok(Rules { agencies, routing, locales, flow })
        }
        _ => Err(mistakes),
    }
}

/// Messages as samples and `loket channel try` show them.
pub fn normalised(origin: &Arc<Origin>, place: usize, message: Message, facts: &ChannelFacts) -> Message {
    normalise(origin, place, message, facts).message
}

/// Loads the channels of a configuration.
pub fn channel_loader(resolved: &Resolved) -> Loader {
    let folders =
        Folders { manifests: resolved.config.channels_dir.clone(), channels: resolved.config_dir.join("channels") };
    let defaults = Defaults {
        public_url: resolved.config.public_url.clone(),
        country: resolved.config.gateway.country.clone(),
        timezone: resolved.timezone.clone(),
        language: resolved.config.gateway.language.clone(),
        config_dir: resolved.config_dir.clone(),
        normalise: normalised,
    };
    Loader { folders, environment: Arc::new(config::environment), defaults: Arc::new(defaults) }
}

/// Opens journal, store and channels, and serves on `listener`.
pub async fn start(resolved: Resolved, listener: TcpListener, strictness: Strictness) -> Result<Running, StartError> {
    let rules = load_rules(&resolved).map_err(StartError::Mistakes)?;
    let loader = channel_loader(&resolved);
    let first = loader.clone();
    let (files, set) =
        tokio::task::spawn_blocking(move || first.start()).await.context("the channels cannot be loaded")?;
    report(&set);
    if strictness == Strictness::Strict {
        let closed: Vec<_> = set.slots.values().flat_map(reasons).collect();
        if !closed.is_empty() {
            return Err(StartError::Mistakes(closed));
        }
    }
    let data = resolved.config.data_dir.clone();
    let options = JournalOptions {
        folder: data.join("journal"),
        max_bytes: resolved.config.journal.max_size,
        retention: resolved.config.retention.raw,
        key: resolved.journal_key.clone(),
    };
    create_private(&data)?;
    let (journal, tail) = Journal::open(options).context("the journal cannot be opened")?;
    let workshop = Workshop::new().context("the threads of the pipeline")?;
    // Opened in the workshop: the store's own threads inherit its priority.
    let opening = workshop.spawn(store::open(resolved.clone()));
    let store = opening.await.context("the store cannot be opened")?.context("the store cannot be opened")?;
    let gateway = Arc::new(gateway(&resolved));
    let address = listener.local_addr().context("the address of the listener")?;
    let (stop, stopped) = watch::channel(false);
    let (set, watching) = reload::watch(loader, files, set);
    let channels = set.subscribe();
    let (applied, applied_through) = watch::channel(0);
    let http = Http::new().context("the HTTP client")?;
    let shelf = shelf(&resolved).context("where the files lie")?;
    let app = Arc::new(App {
        journal,
        store,
        channels,
        gateway,
        rules: Arc::new(rules),
        vault: Arc::new(Vault::new(vault_key(&resolved))),
        metrics: Arc::new(Metrics::default()),
        http: http.clone(),
        reception: reception(&resolved, &shelf),
        shelf: shelf.clone(),
        nonces: Arc::new(Nonces::default()),
        outbox_bell: Arc::new(Notify::new()),
        queue_bell: Arc::new(Notify::new()),
        bodies: Semaphore::new(BODIES_KIB),
        applied: applied_through,
        stop: stopped.clone(),
        resolved: Arc::new(resolved),
    });
    let pipeline = pipeline(&app, Arc::new(applied));
    let parts = outbox::Parts {
        vault: app.vault.clone(),
        http: http.clone(),
        metrics: app.metrics.clone(),
        gateway: app.gateway.clone(),
        channels: app.channels.clone(),
        files: outbox::files::Files { shelf: shelf.clone(), link_life: app.resolved.config.media.link_life },
        owner: app.gateway.name.clone(),
        wake: app.outbox_bell.clone(),
        stop: stopped.clone(),
    };
    let outbox = Outbox::new(app.store.clone(), parts);
    let media = media::Worker::new(app.store.clone(), media_parts(&app, shelf)?);
    let mail = mail_servers(&app, stopped.clone()).await.context("the mail server")?;
    let mailboxes = mailbox::Parts {
        letterbox: letterbox(&app),
        store: app.store.clone(),
        http: http.clone(),
        owner: app.gateway.name.clone(),
        stop: stopped.clone(),
    };
    let bots = telegram::Parts {
        journal: app.journal.clone(),
        channels: app.channels.clone(),
        metrics: app.metrics.clone(),
        store: app.store.clone(),
        http: http.clone(),
        owner: app.gateway.name.clone(),
        stop: stopped.clone(),
    };
    Ok(Running {
        address,
        smtp: mail.smtp,
        lmtp: mail.lmtp,
        mail: mail.tasks,
        stop,
        server: tokio::spawn(server::serve(listener, app.clone())),
        pipeline: workshop.spawn(run_when_keyed(pipeline, tail, stopped.clone())),
        _workshop: workshop,
        outbox: tokio::spawn(outbox.run()),
        media: tokio::spawn(media.run()),
        mailboxes: tokio::spawn(mailbox::run(mailboxes)),
        bots: tokio::spawn(telegram::run(bots)),
        others: vec![
            watching,
            tokio::spawn(keys::fetch(http, app.channels.clone(), stopped.clone())),
            tokio::spawn(housekeeping::sweep(app.journal.clone(), stopped.clone())),
            tokio::spawn(housekeeping::try_shelf(app.shelf.clone())),
            tokio::spawn(housekeeping::uploads(app.shelf.clone(), stopped.clone())),
            tokio::spawn(housekeeping::tend(app.clone(), stopped.clone())),
            tokio::spawn(housekeeping::reopened(app.clone(), stopped)),
        ],
        app,
    })
}

fn shelf(resolved: &Resolved) -> std::io::Result<Shelf> {
    let folder = resolved.config.media.folder.clone().unwrap_or_else(|| resolved.config.data_dir.join("media"));
    match &resolved.bucket {
        Some(access) => Shelf::in_bucket(&folder, access),
        None => Shelf::open(folder),
    }
}

/// Files that come in and files that go out are looked at alike.
fn inspector(resolved: &Resolved, shelf: Shelf) -> Inspector {
    let section = &resolved.config.media;
    Inspector {
        shelf,
        types: section.types.clone(),
        scanner: section.clamd.clone().map(media::scanner::Scanner),
        free_space: section.free_space,
    }
}

fn reception(resolved: &Resolved, shelf: &Shelf) -> Reception {
    let silence = resolved.config.server.body_timeout.duration();
    Reception::new(inspector(resolved, shelf.clone()), resolved.config.media.max_size, silence)
}

fn media_parts(app: &App, shelf: Shelf) -> anyhow::Result<media::Parts> {
    let section = &app.resolved.config.media;
    let terms = media::Terms {
        max_size: section.max_size,
        retry_first: section.retry_first,
        retry_max: section.retry_max,
        public_url: app.gateway.public_url.clone(),
    };
    Ok(media::Parts {
        terms,
        inspector: inspector(&app.resolved, shelf),
        journal: app.journal.clone(),
        http: app.http.clone(),
        guarded: Guarded::new().context("the HTTP client of files")?,
        metrics: app.metrics.clone(),
        channels: app.channels.clone(),
        owner: app.gateway.name.clone(),
        stop: app.stop.clone(),
    })
}

/// Drawn from the journal's key, so that one secret covers both and neither key is the other.
fn vault_key(resolved: &Resolved) -> Option<[u8; 32]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, resolved.journal_key.as_ref()?.expose_secret());
    hmac::sign(&key, b"loket vault").as_ref().try_into().ok()
}

/// The host of `public_url`.
fn public_host(resolved: &Resolved) -> String {
    let host = resolved.config.public_url.split("://").last().unwrap_or_default();
    host.split([':', '/']).next().unwrap_or_default().to_owned()
}

fn letterbox(app: &App) -> Letterbox {
    Letterbox { journal: app.journal.clone(), channels: app.channels.clone(), metrics: app.metrics.clone() }
}

/// Takes mail, where the configuration says so.
async fn mail_servers(app: &App, stop: watch::Receiver<bool>) -> Result<smtp::Servers, smtp::Unstarted> {
    let resolved = &app.resolved;
    let parts = smtp::Parts {
        letterbox: letterbox(app),
        hostname: public_host(resolved),
        config_dir: resolved.config_dir.clone(),
        data_dir: resolved.config.data_dir.clone(),
        is_encrypted_at_rest: resolved.journal_key.is_some(),
        trusted: resolved.trusted_relays.clone(),
        stop,
    };
    smtp::start(&resolved.config.smtp, parts).await
}

/// Letters are taken in all the same when nobody can be asked about their senders.
fn authenticator(resolved: &Resolved) -> Authenticator {
    let host = resolved.config.smtp.hostname.clone().unwrap_or_else(|| public_host(resolved));
    let resolver = resolved.config.mail.resolver().unwrap_or(Resolver::System);
    Authenticator::new(resolver, host, resolved.trusted_relays.clone()).unwrap_or_else(|error| {
        tracing::error!(%error, "senders of letters are not checked: see [mail] resolver");
        Authenticator::off()
    })
}

fn pipeline(app: &App, applied: Arc<watch::Sender<u64>>) -> Pipeline {
    Pipeline {
        journal: app.journal.clone(),
        store: app.store.clone(),
        channels: app.channels.clone(),
        gateway: app.gateway.clone(),
        rules: app.rules.clone(),
        vault: app.vault.clone(),
        metrics: app.metrics.clone(),
        authenticator: Arc::new(authenticator(&app.resolved)),
        outbox_bell: app.outbox_bell.clone(),
        queue_bell: app.queue_bell.clone(),
        applied,
    }
}

fn reasons(slot: &Slot) -> Vec<Diagnostic> {
    match slot {
        Slot::Open(_) => Vec::new(),
        Slot::Closed { reasons } => reasons.to_vec(),
    }
}

/// Says in the log what is open and what is not, and why.
fn report(set: &ChannelSet) {
    for (id, slot) in &set.slots {
        match slot {
            Slot::Open(_) => tracing::info!(channel.id = %id, "the channel is open"),
            Slot::Closed { reasons } => {
                for reason in reasons.iter() {
                    tracing::error!(channel.id = %id, %reason, "the channel is closed: it answers 503");
                }
            }
        }
    }
    for remark in &set.remarks {
        tracing::warn!(%remark, "a remark on a channel or manifest");
    }
}

/// The data folder belongs to the gateway alone.
fn create_private(folder: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the data folder {} cannot be made", folder.display()))
}

/// Runs the pipeline as soon as the store has told the key of reporter refs. It is shared by all gateways of a store, so
/// that a reporter keeps one ref; whoever comes first draws it.
async fn run_when_keyed(pipeline: Pipeline, tail: Tail, mut stop: watch::Receiver<bool>) {
    let proposal = clock::random::<32>();
    let mut is_told = false;
    loop {
        match pipeline.store.constant("reporter-key", &proposal).await {
            Ok(key) => {
                let _ = pipeline.gateway.reporter_key.set(hmac::Key::new(hmac::HMAC_SHA256, &key));
                return pipeline.run(tail, stop).await;
            }
            Err(error) if !is_told => {
                is_told = true;
                pipeline.metrics.store_up.set(0);
                tracing::error!(%error, "the store is away; receipts wait in the journal");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

fn gateway(resolved: &Resolved) -> Gateway {
    let section = &resolved.config.gateway;
    let privacy = &resolved.config.privacy;
    Gateway {
        name: section.name.clone(),
        organisation: section.organisation.clone(),
        public_url: resolved.config.public_url.clone(),
        country: section.country.clone(),
        timezone: resolved.timezone.clone(),
        language: section.language.clone(),
        privacy_url: privacy.notice_url.clone(),
        notice_version: privacy.notice_version.clone(),
        reporter_disclosure: privacy.reporter_disclosure,
        content_disclosure: privacy.content_disclosure,
        working_days: section.working_days,
        reporter_key: std::sync::OnceLock::new(),
        raw_retention: resolved.config.retention.raw,
        claim_window: resolved.config.retention.claims,
    }
}

/// Until one of them ends; for ever where there is none.
async fn any_ended(tasks: &mut [JoinHandle<()>]) {
    if tasks.is_empty() {
        return std::future::pending().await;
    }
    let _ = select_all(tasks).await;
}

impl Running {
    /// Returns when a part of the gateway has ended although nobody told it to: a defect. Intake must not go on alone.
    pub async fn broken(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.server => "server",
            _ = &mut self.pipeline => "pipeline",
            _ = &mut self.outbox => "outbox",
            _ = &mut self.media => "media",
            _ = &mut self.mailboxes => "mailboxes",
            _ = &mut self.bots => "bots",
            () = any_ended(&mut self.mail) => "mail server",
        }
    }

    /// Ends in order: no new requests, what is journalled applied, answers in flight recorded, journal closed.
    pub async fn stop(self) {
        let patience = self.app.resolved.config.server.stop_timeout.duration();
        // Nobody listens only when all tasks have ended.
        let _ = self.stop.send(true);
        let _ = self.server.await;
        for task in self.mail {
            // A letter that is in the middle is ended; what takes longer, its sender has still.
            let _ = tokio::time::timeout(patience, task).await;
        }
        // What they have not handed in yet stays in the mailbox, and with Telegram.
        let _ = tokio::time::timeout(patience, self.mailboxes).await;
        let _ = tokio::time::timeout(patience, self.bots).await;
        self.app.journal.close().await;
        for (task, name) in [(self.pipeline, "pipeline"), (self.outbox, "outbox"), (self.media, "media")] {
            if tokio::time::timeout(patience, task).await.is_err() {
                tracing::warn!(task = name, "still busy at the end of stop_timeout; the journal keeps what is left");
            }
        }
        for task in self.others {
            task.abort();
            // What it holds of the store is let go before whoever starts next opens it.
            let _ = task.await;
        }
    }
}
