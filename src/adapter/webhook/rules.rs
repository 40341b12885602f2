//! The sections of a manifest that say how we answer and send: `[respond]`, `[[handshake]]`, `[media]`, `[send]`,
//! `[probe]` (`channel-manifest.md` §3 and §5). Plain data as they stand in the file; `Webhook::compile` checks them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Size, Span};

pub mod files;

use files::SendMediaRules;

/// `[respond]`: the reply to the provider, the same for the first delivery and for every repetition.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RespondRules {
    /// HTTP status.
    pub status: u16,
    pub content_type: Option<String>,
    /// Template over the evaluation root, without secrets.
    pub body: Option<String>,
}

impl Default for RespondRules {
    fn default() -> Self {
        Self { status: 200, content_type: None, body: None }
    }
}

/// `[[handshake]]`: a request that is answered and ends there; nothing is journalled.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandshakeRules {
    /// When to look at it at all. Default: any method.
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default = "main_endpoint")]
    pub endpoint: String,
    /// jq over the evaluation root, gives a boolean.
    pub when: String,
    /// `[[verify]]` must pass first. Default: false for GET, true otherwise.
    #[serde(default)]
    pub signed: Option<bool>,
    pub respond: HandshakeAnswer,
    /// jq over the evaluation root: a URL that is asked for once behind the answer, as some providers want a subscription
    /// confirmed. Only https, only hosts of `fetch_hosts`, and only where the request is verified.
    #[serde(default)]
    pub fetch: Option<String>,
    #[serde(default)]
    pub fetch_hosts: Vec<String>,
    /// The reply when the method fits and `when` is false. Default: the request goes on.
    #[serde(default)]
    pub otherwise: Option<HandshakeOtherwise>,
}

fn main_endpoint() -> String {
    "main".to_owned()
}

/// The answer of a handshake; the body is a template, at most 1 KiB rendered.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandshakeAnswer {
    #[serde(default = "ok_status")]
    pub status: u16,
    #[serde(default = "text_plain")]
    pub content_type: String,
    #[serde(default)]
    pub body: String,
}

fn ok_status() -> u16 {
    200
}

fn text_plain() -> String {
    "text/plain".to_owned()
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandshakeOtherwise {
    pub status: u16,
}

/// How a request of ours proves who we are. Values are `"${setting}"` or literals.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum AuthTable {
    Basic {
        user: String,
        password: String,
    },
    Bearer {
        token: String,
    },
    Header {
        name: String,
        value: String,
        #[serde(default)]
        prefix: String,
    },
    Query {
        name: String,
        value: String,
    },
    /// Client credentials (RFC 6749 §4.4), cached until the token expires.
    Oauth2 {
        token_url: String,
        client_id: String,
        client_secret: String,
        #[serde(default)]
        scope: Option<String>,
    },
}

impl AuthTable {
    /// Every value of the table that may name a setting.
    pub fn values(&self) -> Vec<&str> {
        match self {
            Self::Basic { user, password } => vec![user, password],
            Self::Bearer { token } => vec![token],
            Self::Header { value, .. } | Self::Query { value, .. } => vec![value],
            Self::Oauth2 { client_id, client_secret, token_url, .. } => vec![client_id, client_secret, token_url],
        }
    }
}

/// How the body of a request of ours is escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encode {
    #[default]
    Json,
    Form,
    Query,
    Xml,
    Text,
}

/// A provider's error code: providers write numbers and words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ErrorCode {
    Number(i64),
    Word(String),
}

impl ErrorCode {
    /// Does it stand for what `error_code` gave?
    pub fn is(&self, code: &str) -> bool {
        match self {
            Self::Number(number) => code.parse() == Ok(*number),
            Self::Word(word) => word == code,
        }
    }
}

/// Which answers of the provider are tried again, how often and when: doubling from `first` to `cap`, with jitter.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryRules {
    /// HTTP statuses.
    pub on: Vec<u16>,
    /// Tries in all.
    pub max: u32,
    pub first: Span,
    pub cap: Span,
}

impl Default for RetryRules {
    fn default() -> Self {
        Self { on: vec![408, 429, 500, 502, 503, 504], max: 8, first: Span::from_secs(5), cap: Span::from_secs(3600) }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdempotencyRules {
    /// Header that carries the outbox id.
    pub header: String,
}

impl Default for IdempotencyRules {
    fn default() -> Self {
        Self { header: "Idempotency-Key".to_owned() }
    }
}

/// In what `max_chars` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SplitUnit {
    #[default]
    Chars,
    /// GSM-7 septets, or UCS-2 code units where the text needs them.
    Sms,
}

/// Long texts are cut at word ends, never inside a character.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRules {
    pub max_chars: usize,
    #[serde(default)]
    pub unit: SplitUnit,
    #[serde(default = "max_parts")]
    pub max_parts: usize,
}

fn max_parts() -> usize {
    10
}

/// How choices are shown as buttons, or as rows of a list. Lengths are in characters.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceRules {
    /// Most choices that fit.
    pub max: usize,
    /// Longest label that fits. Default: any.
    #[serde(default)]
    pub label_max: Option<usize>,
    /// Longest text above the choices that fits. Default: any.
    #[serde(default)]
    pub text_max: Option<usize>,
    /// Template of the body that is sent instead of `body`; `buttons` is the list of choices, each with `key` and `label`.
    pub body: String,
}

/// What applies outside the time in which the provider lets us answer freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutsideWindow {
    Template,
    Hold,
}

/// How long after the citizen's last message the provider takes free text.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowRules {
    pub hours: u32,
    pub outside: OutsideWindow,
    /// Template of the body that is sent instead of `body`; required where `outside` is `template`.
    #[serde(default)]
    pub body: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRules {
    pub per_second: f64,
}

impl Default for RateRules {
    fn default() -> Self {
        Self { per_second: 10.0 }
    }
}

/// `[send]`: how an answer reaches the citizen through the provider.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendRules {
    #[serde(default = "post")]
    pub method: String,
    /// Template; scheme and host are literal, or one setting of kind `url`.
    pub url: String,
    #[serde(default)]
    pub auth: Option<AuthTable>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub encode: Encode,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub form: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub query: Option<BTreeMap<String, String>>,
    /// jq over the response root `{status, headers, body}`, gives a boolean.
    #[serde(default)]
    pub ok: Option<String>,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub error_code: Option<String>,
    /// Codes after which the address is never tried again.
    #[serde(default)]
    pub permanent: Vec<ErrorCode>,
    /// Codes that are tried again whatever status they come with.
    #[serde(default)]
    pub temporary: Vec<ErrorCode>,
    #[serde(default)]
    pub retry: RetryRules,
    #[serde(default)]
    pub idempotency: Option<IdempotencyRules>,
    #[serde(default)]
    pub split: Option<SplitRules>,
    #[serde(default)]
    pub buttons: Option<ChoiceRules>,
    /// Where `buttons` have no room.
    #[serde(default)]
    pub list: Option<ChoiceRules>,
    /// How the citizen is asked for a position. Choices beyond its `max`, which may be 0, become numbered lines of the text.
    #[serde(default)]
    pub location: Option<ChoiceRules>,
    #[serde(default)]
    pub window: Option<WindowRules>,
    /// Files of an answer. Without it the channel sends text only.
    #[serde(default)]
    pub media: SendMediaRules,
    #[serde(default)]
    pub rate: RateRules,
}

fn post() -> String {
    "POST".to_owned()
}

/// `[probe]`: a request that tells whether the credentials work.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeRules {
    #[serde(default = "method_get")]
    pub method: String,
    pub url: String,
    #[serde(default)]
    pub auth: Option<AuthTable>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// jq over the response root, gives a boolean. Default: any 2xx.
    #[serde(default)]
    pub ok: Option<String>,
    /// jq over the response root: who holds the webhook now.
    #[serde(default)]
    pub owner: Option<String>,
}

fn method_get() -> String {
    "GET".to_owned()
}

/// `[media]`: where files may be fetched.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MediaRules {
    /// Exact names, or `*.` and a name.
    #[serde(default)]
    pub hosts: Vec<String>,
    #[serde(default)]
    pub auth: Option<AuthTable>,
    #[serde(default)]
    pub resolve: Option<ResolveRules>,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default = "media_size")]
    pub max_size: Size,
    #[serde(default = "media_count")]
    pub max_count: usize,
    #[serde(default = "media_timeout")]
    pub timeout: Span,
    #[serde(default)]
    pub expires: Option<Span>,
}

fn media_size() -> Size {
    Size::mib(25)
}

fn media_count() -> usize {
    20
}

fn media_timeout() -> Span {
    Span::from_secs(60)
}

/// First step of a `ref`: asks for the place.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRules {
    pub url: String,
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default)]
    pub auth: Option<AuthTable>,
    /// jq over the response root.
    pub at: String,
}
