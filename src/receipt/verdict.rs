//! What verification found out: three booleans instead of one, and the checks behind them.

use serde::{Deserialize, Serialize};

/// What a channel's scheme establishes for one receipt (`provenance.proves` of the complaint format).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proves {
    /// The request came from who holds the key.
    pub sender: bool,
    /// A changed body would have been refused.
    pub content: bool,
    /// A signed time was checked against the clock.
    pub freshness: bool,
}

/// The words of RFC 8601, section 2.7, for the result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    None,
    Pass,
    Fail,
    Softfail,
    Neutral,
    Temperror,
    Permerror,
    Policy,
}

/// One check, as it stands in `provenance.checks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A method word of the complaint format, section 6: `hmac_sha1`, `shared_secret`, `ip_allowlist` …
    pub method: String,
    pub result: CheckResult,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The answer in one word, as `loket channel try` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictResult {
    Pass,
    /// Only in observe mode: a failed receipt is otherwise refused.
    Fail,
    /// The manifest says `verify = "none"`.
    None,
}

/// The whole verdict on a receipt. All of `proves` is false unless `result` is `pass`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub result: VerdictResult,
    #[serde(flatten)]
    pub proves: Proves,
    /// The operator's reason; never told to the sender of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The nonce that the scheme's `replay` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
}

/// A nonce with the body it came with: the same nonce with another body is a forgery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonce {
    /// SHA-256 of the block's name and the nonce, cut to 16 bytes.
    pub key: [u8; 16],
    /// SHA-256 of the raw body (of the raw query too where there is no body), cut to 16 bytes.
    pub body: [u8; 16],
    /// How long it is remembered, from the moment the receipt is journalled.
    pub ttl_seconds: u32,
}
