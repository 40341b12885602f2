//! A manifest as it stands in its file (`channel-manifest.md` §3). Plain data; `lint` checks it and `load` compiles it.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use crate::{
    adapter::webhook::rules::{HandshakeRules, MediaRules, ProbeRules, RespondRules, SendRules},
    complaint::{Medium, ReplyCapability},
    mapping::rules::{MessageRules, ReceiptRules, ReceiveRules},
    signature::rules::{VerifyPolicy, VerifyRules},
};

/// One provider.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the specification: 1.
    pub manifest: u32,
    /// Equal to the file name.
    pub id: String,
    pub title: String,
    /// Of the manifest, semver.
    pub version: String,
    pub adapter: String,
    /// Becomes `channel.name` of the complaint format.
    pub medium: Medium,
    #[serde(default)]
    pub provider: Option<String>,
    /// Type of `from`: `phone`, `email`, `telegram_user_id`, `whatsapp_bsuid`, `opaque`.
    pub address: String,
    #[serde(default = "text_only")]
    pub capabilities: Vec<Capability>,
    #[serde(default)]
    pub docs: Option<String>,
    /// True until its scheme and fields have been seen in a recorded request or a published vector.
    #[serde(default)]
    pub unconfirmed: bool,
    /// Blocks of `[[verify]]`, or the word `none` (then with a reason).
    #[serde(default)]
    pub verify: Verify,
    #[serde(default)]
    pub verify_reason: Option<String>,
    #[serde(default)]
    pub verify_policy: VerifyPolicy,
    #[serde(default)]
    pub settings: BTreeMap<String, SettingRules>,
    #[serde(default)]
    pub receive: ReceiveRules,
    #[serde(default, rename = "handshake")]
    pub handshakes: Vec<HandshakeRules>,
    #[serde(default)]
    pub message: Option<MessageRules>,
    #[serde(default)]
    pub media: Option<MediaRules>,
    #[serde(default)]
    pub respond: RespondRules,
    #[serde(default)]
    pub receipts: Option<ReceiptRules>,
    #[serde(default)]
    pub send: Option<SendRules>,
    #[serde(default)]
    pub probe: Option<ProbeRules>,
    #[serde(default, rename = "sample")]
    pub samples: Vec<Sample>,
}

impl Manifest {
    /// `channel.provider` of the complaint format.
    pub fn provider(&self) -> &str {
        self.provider.as_deref().unwrap_or(&self.id)
    }
}

/// JSON Schema of a manifest, for editors (`loket schema manifest`).
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Manifest)
}

fn text_only() -> Vec<Capability> {
    vec![Capability::Text]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    Text,
    Media,
    Location,
    Buttons,
    List,
    Edit,
    Group,
    Reply,
    Receipts,
    Window,
}

impl Capability {
    /// What it means for an answer. None: nothing. Media count for what comes in: `[send.media]` says whether files leave.
    pub fn of_replies(self) -> Option<ReplyCapability> {
        match self {
            Self::Text => Some(ReplyCapability::Text),
            Self::Buttons => Some(ReplyCapability::Buttons),
            _ => None,
        }
    }
}

/// `[[verify]]` blocks, or `verify = "none"`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Verify {
    Word(String),
    Blocks(Vec<VerifyRules>),
}

impl Verify {
    /// The blocks; none for `verify = "none"`.
    pub fn blocks(&self) -> &[VerifyRules] {
        match self {
            Self::Word(_) => &[],
            Self::Blocks(blocks) => blocks,
        }
    }
}

/// By hand, because a mistake in a block would lose its place in an untagged enum.
impl<'de> Deserialize<'de> for Verify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Verify;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("blocks of [[verify]], or the word \"none\"")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Verify, E> {
                Ok(Verify::Word(word.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, blocks: A) -> Result<Verify, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(blocks)).map(Verify::Blocks)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Default for Verify {
    fn default() -> Self {
        Self::Blocks(Vec::new())
    }
}

/// A text in one language or two.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "a text, or { id = text, en = text }")]
pub enum Label {
    Plain(String),
    Both { id: String, en: String },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    #[default]
    Text,
    Url,
    Number,
    Boolean,
    Choice,
    /// A comma-separated list of CIDR.
    Networks,
}

/// `[settings.<name>]`: draws the operator's form.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingRules {
    pub label: Label,
    #[serde(default)]
    pub help: Option<Label>,
    #[serde(default)]
    pub kind: SettingKind,
    #[serde(default)]
    pub secret: bool,
    #[serde(default)]
    pub rotate: bool,
    /// True without a `default`.
    #[serde(default)]
    pub required: Option<bool>,
    #[serde(default)]
    pub default: Option<serde_json::Value>,
    #[serde(default)]
    pub example: Option<serde_json::Value>,
    /// A regular expression over the whole value.
    #[serde(default)]
    pub pattern: Option<String>,
    #[serde(default)]
    pub choices: Option<Vec<String>>,
    #[serde(default)]
    pub generate: bool,
}

impl SettingRules {
    /// Must a channel give a value?
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(self.default.is_none())
    }
}

/// `[[sample]]`: a real request with the messages expected.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    pub name: String,
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderValues>,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub body_base64: Option<String>,
    /// A whole raw request beside the manifest.
    #[serde(default)]
    pub file: Option<String>,
    /// Secrets in clear: made up for the sample, never real.
    #[serde(default)]
    pub settings: BTreeMap<String, SampleSetting>,
    /// The harness signs with the last value of the key.
    #[serde(default)]
    pub sign: bool,
    /// Seconds since 1970; default: the time of the run.
    #[serde(default)]
    pub now: Option<i64>,
    #[serde(default)]
    pub remote: Option<std::net::IpAddr>,
    pub expect: Expect,
}

/// One header, or one that is sent twice.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "a text, or a list of texts")]
pub enum HeaderValues {
    One(String),
    Many(Vec<String>),
}

/// A value, or several of a secret that is rotated.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "a value, or a list of texts")]
pub enum SampleSetting {
    Many(Vec<String>),
    One(serde_json::Value),
}

/// What a sample expects. What is not given is not checked.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    pub verify: Option<ExpectVerify>,
    pub handshake: Option<bool>,
    pub messages: Option<Vec<serde_json::Map<String, serde_json::Value>>>,
    pub receipts: Option<Vec<serde_json::Map<String, serde_json::Value>>>,
    pub reply: Option<ExpectReply>,
    /// Part of the operator's message.
    pub error: Option<String>,
}

impl Expect {
    /// Does the sample show that the manifest works? A letter that nobody vouches for is not verified.
    pub fn shows_a_message(&self, is_mail: bool) -> bool {
        self.verify == Some(ExpectVerify::Pass) || (is_mail && self.messages.is_some())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExpectVerify {
    Pass,
    Fail,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectReply {
    pub status: Option<u16>,
    pub content_type: Option<String>,
    pub body: Option<String>,
}
