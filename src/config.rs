//! The gateway's configuration: `config/loket.toml`, every key optional, with the environment on top.
//!
//! This is the only module that reads the environment. What comes out cannot be wrong any more: addresses are parsed,
//! secrets resolved, zones known. All mistakes are reported at once.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    complaint::{ContentDisclosure, ReporterDisclosure},
    units::{Size, Span},
};

mod secret;

pub use secret::{SecretRef, Secrets};

/// When the provider gets its reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplyAfter {
    /// When the journal has synced the receipt.
    #[default]
    Journal,
    /// When the complaint is in its queue as well, or 500 ms have passed since the journal had it.
    Queue,
}

/// `config/loket.toml`. Every field has a default: an empty folder is a valid configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port of the server. Environment: `LOKET_LISTEN`.
    pub listen: String,
    /// How providers reach the gateway; verification and links use it, never the `Host` header. Empty: `http://` and
    /// `listen`. Environment: `LOKET_PUBLIC_URL`.
    pub public_url: String,
    /// Journal, embedded store and quarantine. Environment: `LOKET_DATA_DIR`.
    pub data_dir: PathBuf,
    /// `embedded`, or a Redis URL. Environment: `LOKET_STORE`.
    pub store: String,
    /// The manifests. Environment: `LOKET_CHANNELS_DIR`.
    pub channels_dir: PathBuf,
    /// Filter of the log: `error`, `warn`, `info`, `debug`, or `loket::outbox=debug`. Environment: `LOKET_LOG`.
    pub log: String,
    /// Name of this gateway in `provenance.gateway`.
    pub gateway: String,
    /// Who answers, in the words that citizens read.
    pub organisation: String,
    /// Page with the privacy notice, named in acknowledgements. Keep it short: it counts in every SMS.
    pub privacy_url: String,
    /// National phone numbers are read as this country's (ISO 3166).
    pub country: String,
    /// Times without a zone are read in it, and written in it (IANA name).
    pub timezone: String,
    /// Language of the first answer when nothing better is known (BCP 47).
    pub language: String,
    /// Working days until the first check, as citizens are told.
    pub working_days: u32,
    /// Networks (CIDR) whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// What a provider's reply waits for.
    pub reply_after: ReplyAfter,
    pub journal: JournalConfig,
    pub retention: RetentionConfig,
    pub queue: QueueConfig,
    pub api: ApiConfig,
    pub privacy: PrivacyConfig,
    pub limits: LimitsConfig,
}

/// `[journal]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Size of one segment file.
    pub segment_size: Size,
    /// Limit of journal, bodies and quarantine together; beyond it requests are refused before they are accepted.
    pub max_size: Size,
    /// Requests are refused while the disk has less free space than this.
    pub min_free: Size,
    /// 32 bytes in base64 that encrypt the journal; none: plain files.
    pub key: Option<SecretRef>,
}

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// How long raw receipts are kept after they were settled.
    pub raw: Span,
    /// How long a message id is remembered; 30 days at least.
    pub claims: Span,
}

/// `[queue]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Deliveries of one event before it goes to the dead letters.
    pub max_attempts: u32,
}

/// `[api]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// A token with the scopes `core` and `operator`. Environment: `LOKET_API_TOKEN`.
    pub token: Option<SecretRef>,
    /// More tokens, each with its own scopes.
    pub tokens: Vec<TokenConfig>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    pub token: SecretRef,
    /// `core`, `operator`, `queue:<name>`.
    pub scopes: Vec<String>,
}

/// `[privacy]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrivacyConfig {
    /// Who may learn the reporter when the reporter chose nothing.
    pub reporter_disclosure: ReporterDisclosure,
    /// May the text be published when the reporter chose nothing.
    pub content_disclosure: ContentDisclosure,
    /// Version of the notice that acknowledgements point to.
    pub notice_version: String,
    /// 32 bytes in base64 that seal the addresses of reporters; none: plain.
    pub vault_key: Option<SecretRef>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one address (of one /64 for IPv6).
    pub connections_per_address: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: String::new(),
            data_dir: "data".into(),
            store: "embedded".to_owned(),
            channels_dir: "channels".into(),
            log: "info".to_owned(),
            gateway: "gw-1".to_owned(),
            organisation: "Loket".to_owned(),
            privacy_url: "loket.example/data".to_owned(),
            country: "ID".to_owned(),
            timezone: "Asia/Jakarta".to_owned(),
            language: "id".to_owned(),
            working_days: 3,
            trusted_proxies: Vec::new(),
            reply_after: ReplyAfter::default(),
            journal: JournalConfig::default(),
            retention: RetentionConfig::default(),
            queue: QueueConfig::default(),
            api: ApiConfig::default(),
            privacy: PrivacyConfig::default(),
            limits: LimitsConfig::default(),
        }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            segment_size: Size::from_bytes(32 << 20),
            max_size: Size::from_bytes(8 << 30),
            min_free: Size::from_bytes(64 << 20),
            key: None,
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { raw: Span::from_secs(30 * 86_400), claims: Span::from_secs(31 * 86_400) }
    }
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { max_attempts: 10 }
    }
}

impl Default for PrivacyConfig {
    fn default() -> Self {
        Self {
            reporter_disclosure: ReporterDisclosure::Agency,
            content_disclosure: ContentDisclosure::Public,
            notice_version: "2026-10".to_owned(),
            vault_key: None,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { connections: 4096, connections_per_address: 1024 }
    }
}

/// A key of 32 bytes; prints nothing.
#[derive(Clone)]
pub struct Key32(pub [u8; 32]);

impl fmt::Debug for Key32 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key32(***)")
    }
}

/// One token of the core API with its scopes.
#[derive(Clone, Debug)]
pub struct Token {
    pub secret: SecretString,
    pub scopes: Vec<String>,
}

/// The configuration as the gateway uses it: read, checked and resolved.
#[derive(Debug)]
pub struct Resolved {
    pub config: Config,
    pub config_dir: PathBuf,
    pub listen: SocketAddr,
    pub public_url: String,
    pub timezone: TimeZone,
    pub journal_key: Option<Key32>,
    pub vault_key: Option<Key32>,
    pub tokens: Vec<Token>,
    pub secrets: Secrets,
}

/// What is wrong with the configuration: one line a mistake, each with its place and the fix.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Least time for which message ids are remembered (G3).
const LEAST_CLAIMS_DAYS: u64 = 30;

impl Config {
    /// Reads `loket.toml` in `config_dir` (a missing file is an empty one) and puts the environment on top.
    pub fn load(config_dir: &Path, secrets: &Secrets) -> Result<Self, ConfigError> {
        let path = config_dir.join("loket.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ConfigError(vec![format!("{}: {error}", path.display())])),
        };
        let mut config: Self =
            toml::from_str(&text).map_err(|error| ConfigError(vec![format!("{}: {error}", path.display())]))?;
        let set = |name: &str, field: &mut String| {
            if let Some(value) = secrets.variable(name) {
                *field = value;
            }
        };
        set("LOKET_LISTEN", &mut config.listen);
        set("LOKET_PUBLIC_URL", &mut config.public_url);
        set("LOKET_STORE", &mut config.store);
        set("LOKET_LOG", &mut config.log);
        for (name, field) in
            [("LOKET_DATA_DIR", &mut config.data_dir), ("LOKET_CHANNELS_DIR", &mut config.channels_dir)]
        {
            if let Some(value) = secrets.variable(name) {
                *field = value.into();
            }
        }
        Ok(config)
    }

    /// Checks every value and resolves the secrets; all mistakes at once.
    pub fn resolve(self, config_dir: &Path, secrets: Secrets) -> Result<Resolved, ConfigError> {
        let mut mistakes = Vec::new();
        let listen = self.listen.parse().unwrap_or_else(|_| {
            mistakes.push(format!("listen: {:?} is no address and port; write 127.0.0.1:8080", self.listen));
            SocketAddr::from(([127, 0, 0, 1], 8080))
        });
        let public_url = if self.public_url.is_empty() { format!("http://{listen}") } else { self.public_url.clone() };
        if !(public_url.starts_with("https://") || public_url.starts_with("http://")) || public_url.ends_with('/') {
            mistakes.push(format!("public_url: {public_url:?} must begin with https:// and not end with a slash"));
        }
        let timezone = TimeZone::get(&self.timezone).unwrap_or_else(|_| {
            mistakes.push(format!("timezone: {:?} is no IANA zone; write Asia/Jakarta", self.timezone));
            TimeZone::UTC
        });
        if self.country.len() != 2 || !self.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            mistakes.push(format!("country: {:?} is no ISO 3166 code; write ID", self.country));
        }
        if self.retention.claims.duration().as_secs() < LEAST_CLAIMS_DAYS * 86_400 {
            mistakes.push("retention.claims: providers repeat for days; at least 30d".to_owned());
        }
        if self.queue.max_attempts == 0 {
            mistakes.push("queue.max_attempts: at least 1".to_owned());
        }
        let mut key = |name: &str, reference: Option<&SecretRef>| {
            let secret = secrets.resolve(reference?).map_err(|error| error.to_string());
            match secret.and_then(|secret| secret::key32(&secret)) {
                Ok(key) => Some(key),
                Err(error) => {
                    mistakes.push(format!("{name}: {error}"));
                    None
                }
            }
        };
        let journal_key = key("journal.key", self.journal.key.as_ref());
        let vault_key = key("privacy.vault_key", self.privacy.vault_key.as_ref());
        let tokens = self.tokens(&secrets, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(ConfigError(mistakes));
        }
        let config_dir = config_dir.to_owned();
        Ok(Resolved { config: self, config_dir, listen, public_url, timezone, journal_key, vault_key, tokens, secrets })
    }

    fn tokens(&self, secrets: &Secrets, mistakes: &mut Vec<String>) -> Vec<Token> {
        let all = || vec!["core".to_owned(), "operator".to_owned()];
        let mut tokens = Vec::new();
        if let Some(token) = secrets.variable("LOKET_API_TOKEN").filter(|token| !token.trim().is_empty()) {
            tokens.push(Token { secret: token.into(), scopes: all() });
        } else if let Some(reference) = &self.api.token {
            match secrets.resolve(reference) {
                Ok(secret) => tokens.push(Token { secret, scopes: all() }),
                Err(error) => mistakes.push(format!("api.token: {error}")),
            }
        }
        for (place, token) in self.api.tokens.iter().enumerate() {
            let known = |scope: &str| matches!(scope, "core" | "operator") || scope.starts_with("queue:");
            if let Some(scope) = token.scopes.iter().find(|scope| !known(scope)) {
                mistakes.push(format!("api.tokens[{place}].scopes: {scope:?} is none of core, operator, queue:<name>"));
            }
            match secrets.resolve(&token.token) {
                Ok(secret) => tokens.push(Token { secret, scopes: token.scopes.clone() }),
                Err(error) => mistakes.push(format!("api.tokens[{place}].token: {error}")),
            }
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_lists_every_setting_with_its_default() {
        let file: Config = toml::from_str(include_str!("../config/loket.toml")).expect("the file parses");
        assert_eq!(file, Config::default());
        let listed: toml::Table = toml::from_str(include_str!("../config/loket.toml")).expect("a table");
        let all = toml::Table::try_from(Config::default()).expect("serialisable");
        for (key, value) in &all {
            assert!(listed.contains_key(key), "config/loket.toml does not list {key}");
            if let (toml::Value::Table(all), Some(toml::Value::Table(listed))) = (value, listed.get(key)) {
                for key in all.keys() {
                    assert!(listed.contains_key(key), "config/loket.toml does not list {key}");
                }
            }
        }
    }

    #[test]
    fn all_mistakes_are_reported_at_once_and_the_environment_wins() {
        let directory = tempfile::tempdir().expect("a folder");
        std::fs::write(directory.path().join("loket.toml"), "listen = \"x\"\ntimezone = \"Mars\"\ncountry = \"id\"\n")
            .expect("written");
        let none = Secrets::fixed([]);
        let config = Config::load(directory.path(), &none).expect("it parses");
        let error = config.resolve(directory.path(), none).expect_err("three mistakes");
        assert_eq!(error.0.len(), 3, "{error}");
        let secrets = Secrets::fixed([("LOKET_LISTEN", "127.0.0.1:9"), ("LOKET_API_TOKEN", "t")]);
        let config = Config::load(Path::new("/nowhere"), &secrets).expect("a missing file is an empty one");
        let resolved = config.resolve(Path::new("/nowhere"), secrets).expect("good");
        assert_eq!(resolved.public_url, "http://127.0.0.1:9");
        assert_eq!(resolved.tokens.len(), 1);
    }
}
