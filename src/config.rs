//! Configuration: `config/loket.toml`, overridden by the environment. The one module that reads the environment.
//!
//! Everything has a default, so that an empty folder is a valid configuration. All mistakes are reported at once, each
//! with its place; secrets are references and are resolved here into types that print nothing.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    complaint::{ContentDisclosure, ReporterDisclosure},
    diagnostic::{Diagnostic, Source},
    media::shelf::bucket::Access,
    secret::SecretRef,
    units::{Size, Span},
};

mod mail;
mod media;
mod smtp;
mod store;

pub use mail::MailSection;
pub use media::MediaSection;
pub use smtp::SmtpSection;
pub use store::{RedisSection, StoreChoice};

/// The commented file with every setting and its default; a test holds it against the struct.
pub const COMMENTED: &str = include_str!("../config/loket.toml");

/// `config/loket.toml`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port of the HTTP server. `LOKET_LISTEN`.
    pub listen: SocketAddr,
    /// What providers and citizens see of us, without a slash at the end; part of what several providers sign. Empty:
    /// `http://` and the address that is listened on. `LOKET_PUBLIC_URL`.
    pub public_url: String,
    /// Journal and embedded store. `LOKET_DATA_DIR`.
    pub data_dir: PathBuf,
    /// `embedded`, `redis://…`, `redis-sentinel://…` or `redis-cluster://…`. `LOKET_STORE`.
    pub store: String,
    /// Folder of the manifests. `LOKET_CHANNELS_DIR`.
    pub channels_dir: PathBuf,
    /// Token of the core system (scope `core` and `operator`). `LOKET_API_TOKEN`.
    pub api_token: Option<SecretRef>,
    /// Password of the operators' console. `LOKET_CONSOLE_PASSWORD`.
    pub console_password: Option<SecretRef>,
    /// What is logged: a level, or `tracing` directives. `LOKET_LOG`.
    pub log: String,
    /// When the provider gets its reply.
    pub reply_after: ReplyAfter,
    pub gateway: GatewaySection,
    pub privacy: PrivacySection,
    pub journal: JournalSection,
    pub retention: RetentionSection,
    pub queues: QueuesSection,
    pub redis: RedisSection,
    pub mail: MailSection,
    pub media: MediaSection,
    pub smtp: SmtpSection,
    pub server: ServerSection,
    /// More tokens, each with its scope.
    pub token: Vec<TokenSection>,
}

/// The moment of the reply (G1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplyAfter {
    /// The receipt is fsynced in the journal.
    #[default]
    Journal,
    /// The complaint is in the store too; after 500 ms the journal's word is enough.
    Queue,
}

/// Names and defaults of this gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySection {
    /// `provenance.gateway` of every complaint.
    pub name: String,
    /// Who runs it, as citizens read it.
    pub organisation: String,
    /// ISO 3166: national numbers are read as this country's.
    pub country: String,
    /// IANA name: times without a zone are read in it, and times are written in it.
    pub timezone: String,
    /// BCP 47: of the first answer, when nothing better is known.
    pub language: String,
    /// Working days until the first check, as citizens are told.
    pub working_days: u32,
}

/// What citizens are told and what holds for those who choose nothing.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrivacySection {
    /// Page with the privacy notice. Keep it short: it counts in every SMS.
    pub notice_url: String,
    /// Version of the notice: `consent.notice_version`.
    pub notice_version: String,
    /// Who may learn who reported.
    pub reporter_disclosure: ReporterDisclosure,
    /// May the text be published.
    pub content_disclosure: ContentDisclosure,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSection {
    /// Most bytes on the disk. Settled evidence gives way first; then new receipts are refused with 503.
    pub max_size: Size,
    /// 32 bytes in base64: everything written is encrypted.
    pub key: Option<SecretRef>,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSection {
    /// How long raw receipts are kept.
    pub raw: Span,
    /// How long a repeated delivery is recognised; 30 days or longer.
    pub claims: Span,
    /// How long entries of a queue on Redis are kept after every group has acknowledged them.
    pub queue: Span,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueuesSection {
    /// Deliveries of an event before it goes to the dead letters.
    pub max_attempts: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// Networks (CIDR) whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Connections at once; more wait in the listen queue.
    pub max_connections: usize,
    /// For the request line and headers.
    pub header_timeout: Span,
    /// For the whole body.
    pub body_timeout: Span,
    /// For what is in flight when the gateway is told to stop.
    pub stop_timeout: Span,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSection {
    /// `core`, `operator`, or `queue:<name>`.
    pub scope: String,
    pub value: SecretRef,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            data_dir: PathBuf::from("data"),
            store: "embedded".to_owned(),
            channels_dir: PathBuf::from("channels"),
            api_token: None,
            console_password: None,
            log: "info".to_owned(),
            reply_after: ReplyAfter::Journal,
            gateway: GatewaySection::default(),
            privacy: PrivacySection::default(),
            journal: JournalSection::default(),
            retention: RetentionSection::default(),
            queues: QueuesSection::default(),
            redis: RedisSection::default(),
            mail: MailSection::default(),
            media: MediaSection::default(),
            smtp: SmtpSection::default(),
            server: ServerSection::default(),
            token: Vec::new(),
        }
    }
}

impl Default for GatewaySection {
    fn default() -> Self {
        Self {
            name: "loket".to_owned(),
            organisation: "Loket".to_owned(),
            country: "ID".to_owned(),
            timezone: "Asia/Jakarta".to_owned(),
            language: "id".to_owned(),
            working_days: 3,
        }
    }
}

impl Default for PrivacySection {
    fn default() -> Self {
        Self {
            notice_url: "loket.example/data".to_owned(),
            notice_version: "1".to_owned(),
            reporter_disclosure: ReporterDisclosure::Agency,
            content_disclosure: ContentDisclosure::Public,
        }
    }
}

impl Default for JournalSection {
    fn default() -> Self {
        Self { max_size: Size::mib(8192), key: None }
    }
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self {
            raw: Span::from_secs(30 * 86_400),
            claims: Span::from_secs(30 * 86_400),
            queue: Span::from_secs(7 * 86_400),
        }
    }
}

impl Default for QueuesSection {
    fn default() -> Self {
        Self { max_attempts: 10 }
    }
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            max_connections: 4096,
            header_timeout: Span::from_secs(10),
            body_timeout: Span::from_secs(30),
            stop_timeout: Span::from_secs(20),
        }
    }
}

/// What a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every queue, complaints and replies.
    Core,
    /// Receipts, quarantine, dead letters, channels.
    Operator,
    /// One queue.
    Queue(String),
}

/// A token with its scopes.
#[derive(Clone, Debug)]
pub struct Token {
    pub scopes: Vec<Scope>,
    pub value: SecretString,
}

/// The configuration with everything resolved: it cannot be wrong any more.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub config: Config,
    pub config_dir: PathBuf,
    pub timezone: TimeZone,
    pub tokens: Vec<Token>,
    pub store: StoreChoice,
    /// Where files lie; None: in their folder.
    pub bucket: Option<Access>,
    pub journal_key: Option<SecretSlice<u8>>,
    pub trusted_proxies: Vec<crate::network::Network>,
    /// Relays of our own for mail.
    pub trusted_relays: Vec<crate::network::Network>,
}

/// One variable of the environment.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `LOKET_CONFIG_DIR`, or `config`.
pub fn config_dir() -> PathBuf {
    environment("LOKET_CONFIG_DIR").map_or_else(|| PathBuf::from("config"), PathBuf::from)
}

/// Reads `loket.toml` of the folder (a folder or file that is not there is an empty one), lets the environment win, and
/// checks everything.
pub fn load(folder: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Resolved, Vec<Diagnostic>> {
    let path = folder.join("loket.toml");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(vec![Diagnostic::of_file(path, format!("cannot be read: {error}"))]);
        }
    };
    let source = Source::new(path, text);
    let mut config: Config =
        toml::from_str(&source.text).map_err(|error| vec![Diagnostic::of_toml(&source, &error)])?;
    let mut mistakes = Mistakes { source, found: Vec::new() };
    config.override_from(environment, &mut mistakes);
    config.resolve(folder, environment, mistakes)
}

/// Gathers mistakes and finds the key that each is about.
struct Mistakes {
    source: Arc<Source>,
    found: Vec<Diagnostic>,
}

impl Mistakes {
    /// At the line of `key`, or at the whole file when the value came from elsewhere.
    fn add(&mut self, key: &str, message: String, hint: &str) {
        let line_start = |at: usize| self.source.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let is_key = |at: usize| self.source.text[line_start(at)..at].trim().is_empty();
        let span = self.source.text.match_indices(key).map(|(at, _)| at).find(|at| is_key(*at));
        let span = span.map_or(0..0, |at| at..at + key.len());
        self.found.push(Diagnostic::error(&self.source, span, message).with_hint(hint));
    }
}

impl Config {
    fn override_from(&mut self, environment: &dyn Fn(&str) -> Option<String>, mistakes: &mut Mistakes) {
        if let Some(text) = environment("LOKET_LISTEN") {
            match text.parse() {
                Ok(listen) => self.listen = listen,
                Err(_) => mistakes.add(
                    "listen",
                    format!("LOKET_LISTEN is `{text}`"),
                    "write an address and a port, like 127.0.0.1:8080",
                ),
            }
        }
        let text = |name: &str, value: &mut String| {
            if let Some(text) = environment(name) {
                *value = text;
            }
        };
        text("LOKET_PUBLIC_URL", &mut self.public_url);
        text("LOKET_STORE", &mut self.store);
        text("LOKET_LOG", &mut self.log);
        for (name, value) in [("LOKET_DATA_DIR", &mut self.data_dir), ("LOKET_CHANNELS_DIR", &mut self.channels_dir)] {
            if let Some(text) = environment(name) {
                *value = PathBuf::from(text);
            }
        }
        let secrets =
            [("LOKET_API_TOKEN", &mut self.api_token), ("LOKET_CONSOLE_PASSWORD", &mut self.console_password)];
        for (name, value) in secrets {
            if environment(name).is_some() {
                *value = Some(SecretRef::Env(name.to_owned()));
            }
        }
        let trimmed = self.public_url.trim_end_matches('/').len();
        self.public_url.truncate(trimmed);
        if self.public_url.is_empty() {
            self.public_url = format!("http://{}", self.listen);
        }
    }

    fn resolve(
        self,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        mut mistakes: Mistakes,
    ) -> Result<Resolved, Vec<Diagnostic>> {
        self.check_plain(&mut mistakes);
        let timezone = TimeZone::get(&self.gateway.timezone).unwrap_or_else(|_| {
            let message = format!("timezone `{}` is not known", self.gateway.timezone);
            mistakes.add("timezone", message, "write an IANA name, like Asia/Jakarta");
            TimeZone::UTC
        });
        let mut secret = |key: &str, reference: &SecretRef| match reference.resolve(folder, environment) {
            Ok(value) => Some(value),
            Err(error) => {
                mistakes.add(key, format!("{key}: {error}"), "set it, or take the key out");
                None
            }
        };
        let mut tokens = Vec::new();
        if let Some(value) = self.api_token.as_ref().and_then(|reference| secret("api_token", reference)) {
            tokens.push(Token { scopes: vec![Scope::Core, Scope::Operator], value });
        }
        let more = self.token.iter().map(|section| (section, secret("value", &section.value))).collect::<Vec<_>>();
        let key = self.journal.key.as_ref().and_then(|reference| secret("key", reference));
        for (section, value) in more {
            match scope(&section.scope) {
                Some(scope) => tokens.extend(value.map(|value| Token { scopes: vec![scope], value })),
                None => mistakes.add(
                    "scope",
                    format!("scope `{}` is not known", section.scope),
                    "core, operator, or queue:<name>",
                ),
            }
        }
        let journal_key = key.and_then(|key| journal_key(&key, &mut mistakes));
        let trusted_proxies = networks("trusted_proxies", &self.server.trusted_proxies, &mut mistakes);
        let trusted_relays = networks("trusted_networks", &self.smtp.trusted_networks, &mut mistakes);
        let store = StoreChoice::resolve(&self.store, &self.redis, folder, environment, &mut mistakes);
        let bucket = self.media.bucket(folder, environment, &mut mistakes);
        if mistakes.found.is_empty() {
            let config_dir = folder.to_owned();
            return Ok(Resolved {
                config: self,
                config_dir,
                timezone,
                tokens,
                store,
                bucket,
                journal_key,
                trusted_proxies,
                trusted_relays,
            });
        }
        Err(mistakes.found)
    }

    fn check_plain(&self, mistakes: &mut Mistakes) {
        let rest = self.public_url.strip_prefix("https://").or_else(|| self.public_url.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#', ' '])) {
            let hint = "write what providers call, like https://loket.example";
            mistakes.add("public_url", format!("public_url is `{}`", self.public_url), hint);
        }
        if self.retention.claims < RetentionSection::default().claims {
            mistakes.add("claims", format!("claims are kept for {}", self.retention.claims), "30 days or longer");
        }
        if self.mail.resolver().is_none() {
            let hint = "write \"system\", \"off\", or an address with a port, like \"127.0.0.1:53\"";
            mistakes.add("resolver", format!("resolver is `{}`", self.mail.resolver), hint);
        }
        if self.smtp.max_size > Size::mib(32) || self.smtp.max_size == Size::bytes(0) {
            mistakes.add("max_size", format!("[smtp] max_size is {}", self.smtp.max_size), "at most 32 MiB");
        }
        if self.smtp.certificate.is_some() != self.smtp.key.is_some() {
            let hint = "STARTTLS needs `certificate` and `key`, both in PEM";
            mistakes.add("certificate", "[smtp] has one of certificate and key".to_owned(), hint);
        }
        if self.media.retry_max == 0 {
            mistakes.add("retry_max", "[media] retry_max is 0".to_owned(), "1 or more");
        }
        if self.media.clamd.as_ref().is_some_and(|clamd| !clamd.contains(':')) {
            mistakes.add("clamd", "clamd is no address with a port".to_owned(), "write it like \"127.0.0.1:3310\"");
        }
        if self.queues.max_attempts == 0 {
            mistakes.add("max_attempts", "max_attempts is 0".to_owned(), "1 or more");
        }
    }
}

fn networks(key: &str, list: &[String], mistakes: &mut Mistakes) -> Vec<crate::network::Network> {
    let mut read = |text: &String| {
        let network = text.parse().ok();
        if network.is_none() {
            mistakes.add(key, format!("`{text}` is no network"), "write CIDR, like 10.0.0.0/8");
        }
        network
    };
    list.iter().filter_map(&mut read).collect()
}

fn scope(text: &str) -> Option<Scope> {
    match text {
        "core" => Some(Scope::Core),
        "operator" => Some(Scope::Operator),
        _ => text.strip_prefix("queue:").filter(|name| !name.is_empty()).map(|name| Scope::Queue(name.to_owned())),
    }
}

fn journal_key(text: &SecretString, mistakes: &mut Mistakes) -> Option<SecretSlice<u8>> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.expose_secret()).ok();
    let Some(bytes) = bytes.filter(|bytes| bytes.len() == 32) else {
        mistakes.add(
            "key",
            "the journal's key is not 32 bytes in base64".to_owned(),
            "make one with: openssl rand -base64 32",
        );
        return None;
    };
    Some(bytes.into())
}

/// The address of who really asked: the peer, or what a trusted proxy says of it.
pub fn remote_address(peer: IpAddr, forwarded_for: &[&str], trusted: &[crate::network::Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let hops = forwarded_for.iter().flat_map(|value| value.split(',')).map(|text| text.trim().parse::<IpAddr>());
    let mut remote = peer;
    for hop in hops.rev() {
        match hop {
            // From the nearest to the farthest: the first address that no trusted proxy vouches for is the one.
            Ok(hop) if is_trusted(remote) => remote = hop,
            _ => break,
        }
    }
    remote
}

/// The system's folder for temporary files.
pub fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}
