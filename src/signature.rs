//! Verification: is the request from who holds the key, is its content what they signed, and is it fresh?
//! (`channel-manifest.md` §6.) Over raw bytes, in constant time, before anything is parsed.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::{
    receipt::{Proves, Receipt, Request, Verdict},
    settings::Settings,
};

/// A receipt that passed verification, or that observe mode let through; only this module makes one.
#[derive(Debug)]
pub struct Verified {
    receipt: Receipt,
    verdict: Verdict,
}

impl Verified {
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub fn into_parts(self) -> (Receipt, Verdict) {
        (self.receipt, self.verdict)
    }
}

pub mod rules;

use rules::{VerifyPolicy, VerifyRules};

/// What a failed verification means for a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerifyMode {
    /// 401, nothing journalled.
    #[default]
    Enforce,
    /// Accept, flag, count.
    Observe,
}

/// A mistake in a `[[verify]]` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeError {
    /// Place of the block in the manifest; None: the manifest as a whole.
    pub block: Option<usize>,
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
    /// A warning does not keep the manifest from loading.
    pub is_warning: bool,
}

/// The compiled verification of a manifest, without keys.
#[derive(Clone, Debug)]
pub struct Scheme;

impl Scheme {
    /// Checks the blocks; all mistakes at once, warnings among them. `none` is `verify = "none"`.
    pub fn compile(rules: &[VerifyRules], policy: VerifyPolicy, none: bool) -> (Option<Self>, Vec<SchemeError>) { let _ = (rules, policy, none); todo!() }
    /// What a receipt that passes has proven (with every block switched on).
    pub fn proves(&self) -> Proves { todo!() }
    /// Is a request to another URL refused?
    pub fn binds_url(&self) -> bool { todo!() }
    /// Names of the settings that the blocks read.
    pub fn settings_used(&self) -> Vec<String> { todo!() }
    /// Reads the keys of a channel. A block whose settings are left out is switched off; with none left it is an error.
    pub fn with_keys(&self, settings: &Settings, mode: VerifyMode, public_url: &str) -> Result<Verifier, Vec<SchemeError>> { let _ = (settings, mode, public_url); todo!() }
}

/// Why a request is refused. The sender of the request is told nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 401: for the operator's log.
    #[error("{0}")]
    Unverified(String),
    /// 503: a certificate that could not be fetched in time; the provider tries again.
    #[error("{0}")]
    Later(String),
}

/// The verification of one channel, with its keys.
#[derive(Debug)]
pub struct Verifier;

impl Verifier {
    /// The one way to a [`Verified`]. `now` is when the receipt came.
    pub fn verify(&self, receipt: Receipt, now: Timestamp) -> Result<Verified, Refused> { let _ = (receipt, now); todo!() }
    /// The verdict alone, for handshakes, samples and `loket channel try`.
    pub fn check(&self, request: &Request, remote: Option<IpAddr>, now: Timestamp) -> Verdict { let _ = (request, remote, now); todo!() }
    /// Signs a request as the provider would, with the last value of each key: for samples.
    pub fn sign(&self, request: &mut Request, now: Timestamp) -> Result<(), String> { let _ = (request, now); todo!() }
}
