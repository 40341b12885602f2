//! The sections of a manifest that take a receipt apart: `[receive]`, `[message]`, `[receipts]`
//! (`channel-manifest.md` §3 and §8). Plain data as they stand in the file; `Mapping::compile` checks them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Size, Span};

/// How the body is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyKind {
    /// By content type.
    #[default]
    Auto,
    Json,
    Form,
    Multipart,
    Xml,
    Text,
    None,
}

/// `[receive]`: which requests are looked at, and how their bytes become text.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiveRules {
    pub methods: Vec<String>,
    /// Compared without parameters; empty: any.
    pub content_types: Vec<String>,
    pub body: BodyKind,
    /// Of form and text bodies without a charset of their own: a label, or `param:<name>`.
    pub charset: String,
    /// Steps on the raw body after verification: `gzip`, `base64`, `hex`, then a charset label such as `utf-16be`.
    pub decode: Vec<String>,
    /// At most 32 MiB.
    pub max_body: Size,
    /// Of JSON and XML.
    pub max_depth: usize,
    pub pick: Option<PickRules>,
}

impl Default for ReceiveRules {
    fn default() -> Self {
        Self {
            methods: vec!["POST".to_owned()],
            content_types: Vec::new(),
            body: BodyKind::Auto,
            charset: "utf-8".to_owned(),
            decode: Vec::new(),
            max_body: Size::mib(1),
            max_depth: 64,
            pick: None,
        }
    }
}

/// Several channels behind one URL: each item goes to the channel whose setting equals the value.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PickRules {
    /// jq over the item.
    pub from: String,
    /// Name of a setting.
    pub setting: String,
}

/// `[message]`: jq for every field. `each` runs once over the evaluation root; the others run on each item.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageRules {
    pub each: String,
    #[serde(default)]
    pub when: Option<String>,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub to: Option<String>,
    #[serde(default)]
    pub identities: Option<String>,
    #[serde(default)]
    pub reply_address: Option<String>,
    #[serde(default)]
    pub conversation_key: Option<String>,
    #[serde(default)]
    pub sender_name: Option<String>,
    #[serde(default)]
    pub subject: Option<String>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub action: Option<String>,
    #[serde(default)]
    pub edit_of: Option<String>,
    #[serde(default)]
    pub reply_to: Option<String>,
    #[serde(default)]
    pub references: Option<String>,
    #[serde(default)]
    pub sent_at: Option<String>,
    #[serde(default)]
    pub location: Option<String>,
    #[serde(default)]
    pub attachments: Option<String>,
    #[serde(default)]
    pub unsupported: Option<String>,
    /// A whole RFC 5322 letter: the mail parser takes over.
    #[serde(default)]
    pub mime: Option<String>,
    /// What the provider says of a letter's sender: `{spf, dkim, dmarc}` in the words of RFC 8601.
    #[serde(default)]
    pub auth: Option<String>,
    #[serde(default)]
    pub group: Option<GroupRules>,
    #[serde(default)]
    pub concat: Option<ConcatRules>,
}

/// Albums: members with one key become one message.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRules {
    /// jq; absent for what is no member.
    pub key: String,
    /// Quiet time after which the album is whole.
    #[serde(default = "album_window")]
    pub window: Span,
    /// Longest wait.
    #[serde(default = "album_max")]
    pub max: Span,
}

fn album_window() -> Span {
    Span::from_secs(2)
}

fn album_max() -> Span {
    Span::from_secs(10)
}

/// Parts of a long SMS: jq keys that announce a part.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcatRules {
    /// Gives a boolean. Default: whether `ref` gives anything.
    #[serde(default)]
    pub when: Option<String>,
    #[serde(rename = "ref")]
    pub reference: String,
    pub part: String,
    pub total: String,
    /// After this what is there goes on.
    #[serde(default = "parts_timeout")]
    pub timeout: Span,
}

fn parts_timeout() -> Span {
    Span::from_secs(600)
}

/// Where delivery reports come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptEndpoint {
    /// `/in/{channel}/status`.
    #[default]
    Status,
    /// Mixed with messages on the main URL.
    Main,
}

/// `[receipts]`: the provider's reports on our answers.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRules {
    #[serde(default)]
    pub endpoint: ReceiptEndpoint,
    pub each: String,
    pub id: String,
    pub status: String,
    #[serde(default)]
    pub error: Option<String>,
}
