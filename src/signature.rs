//! Verification: is the request from who holds the key, is its content what they signed, and is it fresh?
//! (`channel-manifest.md` §6.) Over raw bytes, in constant time, before anything is parsed.
//!
//! In: a [`Receipt`] and the time. Out: [`Verified`], which nothing else can make, or [`Refused`], whose text is for
//! operators only. On the way there: `[[verify]]` as written ([`rules`]) is compiled once to a [`Scheme`], and the
//! settings of a channel make it a [`Verifier`]. Nothing here touches a socket: keys that live on the network are put
//! into a [`KeyRing`] by the shell.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;

use crate::{
    receipt::{Check, CheckResult, Proves, Receipt, Request, Verdict, VerdictResult},
    settings::Settings,
};

pub mod rules;
pub mod replay;
pub mod refusals;
pub mod key_pair;
pub mod key_ring;

mod block;
mod compile;
mod lint;
mod keys;
mod judge;
mod tally;
mod tag;
mod lookup;
mod public_url;
mod jwt;
mod sign;
mod write;
mod part;
mod place;
mod evidence;
mod failure;
mod pairs;
mod multipart;
mod pointer;
mod network;
mod public_key;
mod der;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod threats;
#[cfg(test)]
mod promises;

use block::{Block, Covers};
use evidence::Evidence;
use judge::Circumstances;
use key_ring::KeyRing;
use keys::{Armed, Keys};
pub use lookup::{is_allowed, is_listed};
use public_url::PublicUrl;
use rules::{Require, VerifyPolicy, VerifyRules};
use sign::Pen;
use tally::{Tally, blank};

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

    /// What we fetched ourselves, or a mail server handed over: there is nothing to verify in it. `transport` says what is
    /// known all the same.
    pub fn brought(receipt: Receipt, transport: Transport) -> Self {
        Self { receipt, verdict: transport.verdict() }
    }

    /// A receipt that tests of other modules call verified.
    #[cfg(test)]
    pub(crate) fn for_tests(receipt: Receipt, verdict: Verdict) -> Self {
        Self { receipt, verdict }
    }
}

/// How something came to us that nobody has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// We asked for it, at a server whose certificate was verified (`channel-manifest.md` §3 `[poll]`).
    AskedOverTls,
    /// The provider gave it when we asked, and its certificate was verified. As with its webhook, the id alone is not taken for
    /// the content: what comes by both ways has one claim.
    PolledOverTls,
    /// Anybody may have handed it over: what SPF, DKIM and DMARC say of its sender comes later, as data.
    Unasked,
}

impl Transport {
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Unasked => blank(VerdictResult::None),
            Self::AskedOverTls => asked(Proves { sender: true, content: true, freshness: false }),
            Self::PolledOverTls => asked(Proves { sender: true, content: false, freshness: false }),
        }
    }
}

fn asked(proves: Proves) -> Verdict {
    let checks = vec![Check { method: "poll_tls".to_owned(), result: CheckResult::Pass, detail: None }];
    Verdict { proves, checks, ..blank(VerdictResult::Pass) }
}

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

/// When a body is looked at as a form. It has to be what `[receive] body` says, or the two would read two requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormReading {
    /// When the content type says so.
    #[default]
    ByContentType,
    /// `[receive] body = "form"`: the provider labels its forms as something else.
    Always,
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
pub struct Scheme {
    blocks: Vec<Arc<Block>>,
    require: Require,
    reading: FormReading,
}

impl Scheme {
    /// Checks the blocks; all mistakes at once, warnings among them. `none` is `verify = "none"`.
    pub fn compile(rules: &[VerifyRules], policy: VerifyPolicy, none: bool) -> (Option<Self>, Vec<SchemeError>) {
        let mut mistakes = Vec::new();
        if none != rules.is_empty() {
            let (message, hint) = if none {
                ("`verify = \"none\"` beside [[verify]]", "keep one of the two")
            } else {
                (
                    "there is no [[verify]]",
                    "say how requests are checked, or verify = \"none\" and why in verify_reason",
                )
            };
            mistakes.push(whole_mistake(message, hint));
        }
        let blocks: Vec<_> = rules
            .iter()
            .enumerate()
            .filter_map(|(index, rules)| compile::block(rules, index, &mut mistakes))
            .map(Arc::new)
            .collect();
        let good = mistakes.iter().all(|mistake| mistake.is_warning);
        let scheme = Self { blocks, require: policy.require, reading: FormReading::default() };
        (good.then_some(scheme), mistakes)
    }

    /// The same scheme for a manifest whose `[receive]` fixes how bodies are read.
    #[must_use]
    pub fn reading(self, reading: FormReading) -> Self {
        Self { reading, ..self }
    }

    /// What a receipt that passes has proven (with every block switched on).
    pub fn proves(&self) -> Proves {
        proves(self.require, &self.blocks.iter().map(|block| block.covers))
    }

    /// Is a request to another URL refused?
    pub fn binds_url(&self) -> bool {
        holds(self.require, self.blocks.iter().map(|block| block.covers.url))
    }

    /// Names of the settings that the blocks read.
    pub fn settings_used(&self) -> Vec<String> {
        let mut names: Vec<String> = self.blocks.iter().flat_map(|block| block.settings()).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Reads the keys of a channel. A block whose settings are left out is switched off; with none left it is an error.
    /// The key of a mistake is the name of the setting.
    pub fn with_keys(
        &self,
        settings: &Settings,
        mode: VerifyMode,
        public_url: &str,
    ) -> Result<Verifier, Vec<SchemeError>> {
        let mut mistakes = Vec::new();
        let armed: Vec<_> = self.blocks.iter().filter_map(|block| keys::arm(block, settings, &mut mistakes)).collect();
        if mistakes.is_empty() && armed.is_empty() && !self.blocks.is_empty() {
            let hint = format!("set one of: {}", self.settings_used().join(", "));
            mistakes
                .push(whole_mistake("no check of the manifest has its settings, so everybody would be let in", &hint));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Verifier {
            armed,
            require: self.require,
            reading: self.reading,
            mode,
            urls: PublicUrl::new(public_url),
            ring: Arc::default(),
            is_shut: false,
        })
    }

    /// The verifier of a channel that nobody may call, whatever keys it has: it lets no request in.
    pub fn shut(&self, public_url: &str) -> Verifier {
        Verifier {
            armed: Vec::new(),
            require: self.require,
            reading: self.reading,
            mode: VerifyMode::Enforce,
            urls: PublicUrl::new(public_url),
            ring: Arc::default(),
            is_shut: true,
        }
    }
}

fn whole_mistake(message: &str, hint: &str) -> SchemeError {
    SchemeError {
        block: None,
        key: "verify".to_owned(),
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
        is_warning: false,
    }
}

/// Of alternatives only what each of them establishes is certain; where all are needed, what any does.
fn holds(require: Require, mut each: impl ExactSizeIterator<Item = bool>) -> bool {
    match require {
        Require::Any => each.len() > 0 && each.all(|holds| holds),
        Require::All => each.any(|holds| holds),
    }
}

fn proves(require: Require, covers: &(impl ExactSizeIterator<Item = Covers> + Clone)) -> Proves {
    let each = |wanted: fn(Proves) -> bool| holds(require, covers.clone().map(|covers| wanted(covers.proves())));
    Proves {
        sender: each(|proves| proves.sender),
        content: each(|proves| proves.content),
        freshness: each(|proves| proves.freshness),
    }
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

impl Refused {
    /// Of a failed verdict: what could not be judged yet may be sent again.
    pub fn of(verdict: Verdict) -> Self {
        let later = verdict.checks.iter().any(|check| check.result == CheckResult::Temperror);
        if later { Self::Later(verdict.detail) } else { Self::Unverified(verdict.detail) }
    }
}

/// What the connection tells beside the request itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer<'p> {
    /// After trusted proxies.
    pub remote: Option<IpAddr>,
    /// Subject or subject alternative name of the client certificate, from our own TLS or from a trusted proxy's header.
    /// Never from a header that anybody else can send.
    pub client_subject: Option<&'p str>,
}

const SHUT: &str = "the channel fetches its messages itself, and takes no request";

/// The verification of one channel, with its keys.
#[derive(Debug)]
pub struct Verifier {
    /// Blocks that are switched on; none at all is `verify = "none"`.
    armed: Vec<Armed>,
    require: Require,
    reading: FormReading,
    mode: VerifyMode,
    urls: PublicUrl,
    ring: Arc<KeyRing>,
    /// It lets nothing in.
    is_shut: bool,
}

impl Verifier {
    /// The one way to a [`Verified`]. `now` is when the receipt came.
    pub fn verify(&self, receipt: Receipt, now: Timestamp) -> Result<Verified, Refused> {
        self.verify_from(receipt, None, now)
    }

    /// The same, of a peer that has shown a client certificate with this subject.
    pub fn verify_from(
        &self,
        receipt: Receipt,
        client_subject: Option<&str>,
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        if self.is_shut {
            return Err(Refused::Unverified(SHUT.to_owned()));
        }
        if self.has_generated_keys() {
            return Err(Refused::Unverified(format!(
                "the key is \"{}\", which is for samples; set the provider's public key",
                key_pair::GENERATED
            )));
        }
        let peer = Peer { remote: receipt.remote, client_subject };
        let verdict = self.judge(&receipt.request, peer, now, receipt.channel.as_str());
        if verdict.result == VerdictResult::Fail && self.mode == VerifyMode::Enforce {
            return Err(Refused::of(verdict));
        }
        Ok(Verified { receipt, verdict })
    }

    /// The verdict alone, for handshakes, samples and `loket channel try`.
    pub fn check(&self, request: &Request, remote: Option<IpAddr>, now: Timestamp) -> Verdict {
        self.check_from(request, Peer { remote, client_subject: None }, now)
    }

    /// The verdict alone, with all that is known of the peer.
    pub fn check_from(&self, request: &Request, peer: Peer<'_>, now: Timestamp) -> Verdict {
        self.judge(request, peer, now, "")
    }

    /// Signs a request as the provider would, with the last value of each key: for samples. Writes a time and a nonce
    /// where the scheme has them and the request does not. Of alternatives the first that fits the request is used.
    pub fn sign(&self, request: &mut Request, now: Timestamp) -> Result<(), String> {
        let pen = Pen { now, urls: &self.urls, reading: self.reading };
        let mut blocks = self.armed.iter().filter(|armed| armed.can_sign());
        match self.require {
            Require::Any => {
                let mut outcome = Ok(());
                for armed in blocks {
                    let mut signed = request.clone();
                    outcome = armed.sign(&mut signed, pen);
                    if outcome.is_ok() {
                        *request = signed;
                        break;
                    }
                }
                outcome
            }
            Require::All => blocks.try_for_each(|armed| armed.sign(request, pen)),
        }
    }

    /// What a receipt that passes has proven, with the blocks that are switched on.
    pub fn proves(&self) -> Proves {
        proves(self.require, &self.armed.iter().map(|armed| armed.block.covers))
    }

    /// Is a request to another URL refused, with the blocks that are switched on?
    pub fn binds_url(&self) -> bool {
        holds(self.require, self.armed.iter().map(|armed| armed.block.covers.url))
    }

    /// Is a key one of the harness's own? Such a verifier checks samples, and lets no receipt in.
    pub fn has_generated_keys(&self) -> bool {
        self.armed.iter().any(|armed| matches!(armed.keys, Keys::Generated(_)))
    }

    /// URLs whose keys are to be fetched: key sets for ever again, certificates once, when a request has named them.
    /// What they answer goes into the [key ring](Self::key_ring).
    pub fn wanted_urls(&self) -> Vec<String> {
        let sets = self.armed.iter().flat_map(|armed| match &armed.keys {
            Keys::Urls(urls) => urls.as_slice(),
            _ => &[],
        });
        let mut urls: Vec<String> = sets.cloned().chain(self.ring.wanted()).collect();
        urls.sort();
        urls.dedup();
        urls
    }

    pub fn key_ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Shares what was fetched with the verifier that this one takes the place of.
    #[must_use]
    pub fn with_key_ring(self, ring: Arc<KeyRing>) -> Self {
        Self { ring, ..self }
    }

    /// For samples of a provider whose requests name their certificate: nobody can sign with that, so that a key of the harness takes
    /// its place. Such a verifier lets no receipt in.
    #[must_use]
    pub fn with_sample_certificates(self) -> Self {
        Self { armed: self.armed.into_iter().map(Armed::with_sample_certificate).collect(), ..self }
    }

    fn armed(&self) -> &[Armed] {
        &self.armed
    }

    fn policy(&self) -> Require {
        self.require
    }

    fn reading(&self) -> FormReading {
        self.reading
    }

    fn with_foreign_keys(&self) -> Self {
        Self {
            armed: self.armed.iter().map(Armed::with_foreign_keys).collect(),
            require: self.require,
            reading: self.reading,
            mode: self.mode,
            urls: self.urls.clone(),
            ring: Arc::clone(&self.ring),
            is_shut: self.is_shut,
        }
    }

    fn judge(&self, request: &Request, peer: Peer<'_>, now: Timestamp, channel: &str) -> Verdict {
        if self.is_shut {
            return Verdict { detail: SHUT.to_owned(), ..blank(VerdictResult::Fail) };
        }
        if self.armed.is_empty() {
            return blank(VerdictResult::None);
        }
        let (remote, client_subject) = (peer.remote, peer.client_subject);
        let around = Circumstances { remote, client_subject, now, urls: &self.urls, ring: &self.ring, channel };
        let evidence = Evidence::new(request, self.reading);
        let mut tally = Tally::default();
        for armed in &self.armed {
            tally.add(&armed.block, armed.judge(&evidence, &around));
        }
        tally.verdict(self.require)
    }
}
