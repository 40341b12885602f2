//! `[[verify]]` and `[verify_policy]` as they stand in the manifest (`channel-manifest.md` §6). Plain data;
//! `Scheme::compile` checks what fits what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// The kinds of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyKind {
    Hmac,
    Hash,
    Ed25519,
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    Rsa,
    Jwt,
    Basic,
    Token,
    Ip,
    Mtls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HashName {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// How a key's text becomes bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyEncoding {
    #[default]
    Utf8,
    Base64,
    Hex,
    Pem,
    JwksUrl,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureEncoding {
    #[default]
    Hex,
    HexNocase,
    Base64,
    Base64url,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureFormat {
    #[default]
    Raw,
    Der,
}

/// Where the signature stands and how it is written.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureRules {
    /// A place: `header:NAME`, `query:NAME`, `form:NAME`, `param:NAME`, `body:/json/pointer`.
    pub from: String,
    /// Cut off.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Cuts several signatures apart; any may match.
    #[serde(default)]
    pub split: Option<String>,
    /// Reads lists like `t=…,v1=…`: the name of the wanted pair.
    #[serde(default)]
    pub kv: Option<String>,
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// Of `ecdsa-p256`.
    #[serde(default)]
    pub format: SignatureFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimestampUnit {
    #[default]
    S,
    Ms,
    Rfc3339,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimestampRules {
    /// A place; with `kv` in the signature's rules also `kv:NAME` of the same header.
    pub from: String,
    #[serde(default)]
    pub unit: TimestampUnit,
    pub tolerance: Span,
}

/// A nonce: the same one with another body is a forgery.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRules {
    /// A place, or `claim:NAME` of a JWT.
    pub from: String,
    pub ttl: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum BindHash {
    #[serde(rename = "sha256-hex:body")]
    Sha256HexBody,
    #[serde(rename = "sha256-hex:url")]
    Sha256HexUrl,
    #[serde(rename = "sha256-base64:body")]
    Sha256Base64Body,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BindRequired {
    #[default]
    Always,
    WithBody,
    WhenPresent,
}

/// A value that must equal a hash of the request.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BindRules {
    /// A place, or `claim:NAME` of a JWT.
    pub from: String,
    pub equals: BindHash,
    #[serde(default)]
    pub required: BindRequired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UrlVariant {
    AsConfigured,
    WithDefaultPort,
    WithoutPort,
}

/// Of the part `params:sorted-amp`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParamsRules {
    pub exclude: Vec<String>,
    /// Characters inside values, and what stands for them.
    pub replace: BTreeMap<String, String>,
    pub leading: String,
}

/// Where a JWT stands.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenPlace {
    pub from: String,
    #[serde(default)]
    pub prefix: Option<String>,
}

/// One `[[verify]]` block. Which keys fit which kind is checked by `Scheme::compile`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRules {
    #[serde(default)]
    pub name: Option<String>,
    pub kind: VerifyKind,
    #[serde(default)]
    pub hash: Option<HashName>,
    /// `"${setting}"`; every value of a list is tried.
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub key_prefix: Option<String>,
    #[serde(default)]
    pub key_encoding: Option<KeyEncoding>,
    /// Parts, in the specification's words.
    #[serde(default)]
    pub signed: Vec<String>,
    #[serde(default)]
    pub join: Option<String>,
    #[serde(default)]
    pub sort: Option<bool>,
    #[serde(default)]
    pub params: Option<ParamsRules>,
    #[serde(default)]
    pub signature: Option<SignatureRules>,
    #[serde(default)]
    pub timestamp: Option<TimestampRules>,
    #[serde(default)]
    pub replay: Option<ReplayRules>,
    #[serde(default)]
    pub bind: Vec<BindRules>,
    #[serde(default)]
    pub url_variants: Vec<UrlVariant>,
    /// JSON pointer to the certificate's URL.
    #[serde(default)]
    pub cert_url: Option<String>,
    #[serde(default)]
    pub cert_hosts: Vec<String>,
    #[serde(default)]
    pub token: Option<TokenPlace>,
    #[serde(default)]
    pub algs: Vec<String>,
    /// Exact values.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    #[serde(default)]
    pub leeway: Option<Span>,
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Of `token`: a place.
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub prefix: Option<String>,
    /// Of `token`: `"${setting}"`.
    #[serde(default)]
    pub equals: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<String>,
    /// Of `ip`: `"${setting}"` of kind `networks`.
    #[serde(default)]
    pub allow: Option<String>,
    /// Of `mtls`.
    #[serde(default)]
    pub subject: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// The blocks are alternatives.
    #[default]
    Any,
    All,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyPolicy {
    pub require: Require,
}
