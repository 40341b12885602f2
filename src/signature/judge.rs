//! One block looks at one request: does it pass, and what does that establish?

use std::{borrow::Cow, net::IpAddr};

use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

use super::{
    block::{Bind, Block, KeySource, Kind, Replay, Signature, Signed, Time},
    evidence::{Evidence, hex, sha256},
    failure::Failure,
    jwt::{self, Claims},
    key_ring::KeyRing,
    keys::{Armed, Credential, Keys},
    lookup::{fetched, is_allowed, known_keys},
    place::Place,
    public_key::{BASE64, PublicKey},
    public_url::PublicUrl,
    rules::{BindHash, BindRequired, TimestampUnit},
    tag::{decode, hashed, hmac_matches, is_among, public_matches},
};
use crate::receipt::{Nonce, Proves, Request};

/// More signatures than this in one request are not looked at.
const MAX_CANDIDATES: usize = 16;

/// What is known of a request beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'c> {
    pub(super) remote: Option<IpAddr>,
    pub(super) client_subject: Option<&'c str>,
    pub(super) now: Timestamp,
    pub(super) urls: &'c PublicUrl,
    pub(super) ring: &'c KeyRing,
    /// Whose nonces these are.
    pub(super) channel: &'c str,
}

/// What a block that passed establishes.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    pub(super) proves: Proves,
    pub(super) nonce: Option<Nonce>,
}

impl Armed {
    pub(super) fn judge(&self, evidence: &Evidence<'_>, around: &Circumstances<'_>) -> Result<Passed, Failure> {
        let block = &*self.block;
        let mut case = Case { block, evidence, around, claims: None, pairs: Vec::new() };
        match &block.kind {
            Kind::Signed(signed) => {
                return case.signed(signed, &self.keys);
            }
            Kind::Jwt(rules) => case.claims = Some(jwt::check(rules, self, evidence, around)?),
            Kind::Token { place, prefix, .. } => case.token(place, prefix, &self.keys)?,
            Kind::Basic { .. } => case.basic(&self.keys)?,
            Kind::Ip { .. } => case.network(&self.keys)?,
            Kind::Mtls { .. } => case.subject(&self.keys)?,
        }
        if let Some(time) = &block.timestamp {
            let text = case.timestamp(time)?;
            fresh(time, &text, around.now)?;
        }
        case.settle()
    }
}

/// A block at work on a request.
struct Case<'c> {
    block: &'c Block,
    evidence: &'c Evidence<'c>,
    around: &'c Circumstances<'c>,
    /// Of the token that was checked.
    claims: Option<Claims>,
    /// Of a `t=…,v1=…` list.
    pairs: Vec<(String, String)>,
}

impl Case<'_> {
    fn signed(&mut self, signed: &Signed, keys: &Keys) -> Result<Passed, Failure> {
        let place = &signed.signature.place;
        let text = place.find(self.evidence)?.ok_or_else(|| Failure::absent(format!("{place} is missing")))?;
        let candidates = self.candidates(&signed.signature, &text)?;
        let time = self.block.timestamp.as_ref();
        let timestamp = time.map(|time| self.timestamp(time)).transpose()?;
        let pieces = signed.message.resolve(self.evidence, timestamp.as_deref())?;
        let matches = match keys {
            Keys::Hmac(keys) => self.any(signed, keys, |key, url| hmac_matches(signed, key, &pieces, url, &candidates)),
            Keys::Secrets(secrets) => self.any(signed, secrets, |secret, url| {
                let digest = hashed(signed, secret.bytes(), &pieces, url);
                is_among(&digest, &candidates)
            }),
            keys => {
                let keys = self.public_keys(&signed.key, keys)?;
                self.any(signed, &keys, |key, url| public_matches(signed, key, &pieces, url, &candidates))
            }
        };
        if !matches {
            return Err(Failure::wrong(format!("the signature at {place} does not match")));
        }
        if let (Some(time), Some(text)) = (time, &timestamp) {
            fresh(time, text, self.around.now)?;
        }
        self.settle()
    }

    /// Tries every key with every spelling of the URL that the block allows.
    fn any<K>(&self, signed: &Signed, keys: &[K], matches: impl Fn(&K, &str) -> bool) -> bool {
        let variants = &self.block.url_variants[..];
        let variants = if signed.uses_url() { variants } else { variants.get(..1).unwrap_or_default() };
        let urls = || variants.iter().map(|variant| self.around.urls.spelt(*variant));
        urls().enumerate().any(|(place, url)| {
            // Without a port in the configured URL two spellings are one.
            let is_new = !urls().take(place).any(|earlier| earlier == url);
            is_new && keys.iter().any(|key| matches(key, url))
        })
    }

    fn public_keys<'k>(&self, source: &KeySource, keys: &'k Keys) -> Result<Cow<'k, [PublicKey]>, Failure> {
        match (keys, source) {
            (Keys::Certificate, KeySource::Certificate { pointer, hosts }) => {
                let place = Place::Body(pointer.clone());
                let url = place.find(self.evidence)?.ok_or_else(|| Failure::absent(format!("{place} is missing")))?;
                let url = std::str::from_utf8(&url).ok().filter(|url| is_allowed(url, hosts));
                let url =
                    url.ok_or_else(|| Failure::wrong(format!("{place} is no https URL on one of `cert_hosts`")))?;
                fetched(self.around.ring, url).map(|keys| Cow::Owned(keys.to_vec()))
            }
            _ => known_keys(keys, self.around.ring),
        }
    }

    /// The signatures that the place holds, decoded.
    fn candidates(&mut self, rules: &Signature, text: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        let place = &rules.place;
        let bad = || Failure::wrong(format!("{place} does not hold a signature as the manifest describes it"));
        let text = std::str::from_utf8(text).map_err(|_| bad())?;
        let mut found = Vec::with_capacity(1);
        let mut take = |text: &str| {
            let decoded = text.strip_prefix(rules.prefix.as_str()).and_then(|text| decode(text, rules.encoding));
            found.extend(decoded.filter(|_| found.len() < MAX_CANDIDATES));
        };
        match (&rules.pair, &rules.split) {
            (Some(wanted), split) => {
                let pairs = text.split(split.as_deref().unwrap_or(",")).filter_map(|pair| pair.trim().split_once('='));
                for (name, value) in pairs.take(MAX_CANDIDATES) {
                    if name == wanted {
                        take(value);
                    } else {
                        self.pairs.push((name.to_owned(), value.to_owned()));
                    }
                }
            }
            (None, Some(split)) => text.split(split.as_str()).take(MAX_CANDIDATES).for_each(take),
            (None, None) => take(text),
        }
        if found.is_empty() { Err(bad()) } else { Ok(found) }
    }

    /// The text as received.
    fn timestamp<'v>(&'v self, time: &'v Time) -> Result<Cow<'v, [u8]>, Failure> {
        self.value(&time.place)?.ok_or_else(|| Failure::absent("the timestamp is missing"))
    }

    /// The value at a place of the request, of its token or of its signature.
    fn value<'v>(&'v self, place: &'v Place) -> Result<Option<Cow<'v, [u8]>>, Failure> {
        match place {
            Place::Claim(name) => {
                let claim = self.claims.as_ref().and_then(|claims| claims.get(name)?.as_str());
                Ok(claim.map(|text| Cow::Borrowed(text.as_bytes())))
            }
            Place::SignaturePair(name) => {
                let mut values = self.pairs.iter().filter(|(pair, _)| pair == name);
                match (values.next(), values.next()) {
                    (value, None) => Ok(value.map(|(_, value)| Cow::Borrowed(value.as_bytes()))),
                    (_, Some(_)) => Err(place.twice()),
                }
            }
            place => place.find(self.evidence),
        }
    }

    fn token(&self, place: &Place, prefix: &str, keys: &Keys) -> Result<(), Failure> {
        let token = place.find(self.evidence)?.ok_or_else(|| Failure::absent(format!("{place} is missing")))?;
        // A missing prefix is compared like a wrong token.
        let token = token.strip_prefix(prefix.as_bytes()).unwrap_or(b"");
        if shows(keys, token) { Ok(()) } else { Err(Failure::wrong(format!("{place} does not hold the token"))) }
    }

    fn basic(&self, keys: &Keys) -> Result<(), Failure> {
        let place = Place::Header("authorization".to_owned());
        let header = place.find(self.evidence)?.ok_or_else(|| Failure::absent(format!("{place} is missing")))?;
        let credentials = match header.split_at_checked(6) {
            Some((scheme, text)) if scheme.eq_ignore_ascii_case(b"basic ") => decode_credentials(text),
            _ => Vec::new(),
        };
        if shows(keys, &credentials) {
            Ok(())
        } else {
            Err(Failure::wrong("the user name or the password is not the right one"))
        }
    }

    fn network(&self, keys: &Keys) -> Result<(), Failure> {
        let Keys::Networks(networks) = keys else { return Err(Failure::wrong("no networks")) };
        let remote = self.around.remote.ok_or_else(|| Failure::absent("the address of the sender is not known"))?;
        if networks.iter().any(|network| network.contains(remote)) {
            Ok(())
        } else {
            Err(Failure::wrong("the sender's address is outside the networks allowed"))
        }
    }

    fn subject(&self, keys: &Keys) -> Result<(), Failure> {
        let Keys::Subjects(subjects) = keys else { return Err(Failure::wrong("no subject")) };
        let shown = self.around.client_subject.ok_or_else(|| Failure::absent("no client certificate was shown"))?;
        if subjects.iter().any(|subject| is_subject(shown, subject)) {
            Ok(())
        } else {
            Err(Failure::wrong("the client certificate is another one's"))
        }
    }

    /// After the signature: binds, content, nonce.
    fn settle(&self) -> Result<Passed, Failure> {
        let mut body_bound = false;
        for bind in &self.block.binds {
            let held = self.bound(bind)?;
            body_bound |= held && bind.is_signed && bind.equals != BindHash::Sha256HexUrl;
        }
        let covers = self.block.covers;
        let content = self.content(body_bound)?;
        let nonce = self.block.replay.as_ref().map(|replay| self.nonce(replay)).transpose()?;
        Ok(Passed { proves: Proves { content, ..covers.proves() }, nonce })
    }

    /// Compares one bind. False: there was nothing to compare, and that is allowed.
    fn bound(&self, bind: &Bind) -> Result<bool, Failure> {
        let place = &bind.place;
        let Some(value) = self.value(place)? else {
            let has_body = !self.evidence.request.body.is_empty();
            return match bind.required {
                BindRequired::WhenPresent => Ok(false),
                BindRequired::WithBody if !has_body => Ok(false),
                _ => Err(Failure::wrong(format!("{place} is missing"))),
            };
        };
        let holds = match bind.equals {
            BindHash::Sha256HexUrl => self.block.url_variants.iter().any(|variant| {
                let url = bind_value(bind.equals, self.evidence, self.around.urls.spelt(*variant));
                bool::from(url.as_bytes().ct_eq(&value))
            }),
            _ => bind_value(bind.equals, self.evidence, "").as_bytes().ct_eq(&value).into(),
        };
        if holds { Ok(true) } else { Err(Failure::wrong(format!("{place} is the hash of something else"))) }
    }

    /// Is the content of this very request proven? A body that a scheme promises to cover and does not reach (a form
    /// signature over a body that is no form) is refused.
    fn content(&self, body_bound: bool) -> Result<bool, Failure> {
        let covers = self.block.covers;
        let request = self.evidence.request;
        if request.body.is_empty() {
            return Ok(covers.query || covers.content() && request.query().is_empty());
        }
        if covers.body || body_bound || covers.form && self.evidence.is_url_encoded() {
            return Ok(true);
        }
        if covers.content() {
            return Err(Failure::wrong("the body is not a form, and nothing binds it to the signature"));
        }
        Ok(false)
    }

    fn nonce(&self, replay: &Replay) -> Result<Nonce, Failure> {
        let place = &replay.place;
        let text = self.value(place)?.ok_or_else(|| Failure::wrong(format!("the nonce at {place} is missing")))?;
        let key = sha256(&[self.around.channel.as_bytes(), &[0], self.block.name.as_bytes(), &[0], &text]);
        Ok(Nonce { key: half(key), body: half(content_digest(self.evidence)), ttl_seconds: replay.ttl_seconds })
    }
}

/// SHA-256 of the body, or of the query where there is no body.
fn content_digest(evidence: &Evidence<'_>) -> [u8; 32] {
    let request: &Request = evidence.request;
    if request.body.is_empty() { sha256(&[request.query().as_bytes()]) } else { *evidence.body_sha256() }
}

fn half(digest: [u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&digest[..16]);
    out
}

/// What a bind has to hold.
pub(super) fn bind_value(hash: BindHash, evidence: &Evidence<'_>, url: &str) -> String {
    match hash {
        BindHash::Sha256HexBody => hex(evidence.body_sha256()),
        BindHash::Sha256Base64Body => {
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, evidence.body_sha256())
        }
        BindHash::Sha256HexUrl => hex(&sha256(&[url.as_bytes(), evidence.request.target.as_bytes()])),
    }
}

/// A name, or `*.` and a name for any one label in front of it.
fn is_subject(shown: &str, wanted: &str) -> bool {
    match wanted.strip_prefix("*.") {
        Some(parent) => {
            shown.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
        }
        None => shown.as_bytes().ct_eq(wanted.as_bytes()).into(),
    }
}

/// Base64 of the `Authorization` header: what does not decode is compared like a wrong password.
fn decode_credentials(text: &[u8]) -> Vec<u8> {
    let text = if text.len() > 4096 { b"" } else { text.trim_ascii() };
    base64::Engine::decode(&BASE64, text).unwrap_or_default()
}

/// Is it one of the credentials? All are compared, whatever the first ones say.
fn shows(keys: &Keys, shown: &[u8]) -> bool {
    let Keys::Credentials(list) = keys else { return false };
    let digest = sha256(&[shown]);
    let any = |found, credential: &Credential| found | credential.digest.0.ct_eq(&digest);
    list.iter().fold(subtle::Choice::from(0), any).into()
}

/// Both ends of the tolerance are inside.
fn fresh(time: &Time, text: &[u8], now: Timestamp) -> Result<(), Failure> {
    let bad = || Failure::wrong("the timestamp is not written as the manifest describes it");
    let text = std::str::from_utf8(text).map_err(|_| bad())?;
    let number = || {
        let digits = !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<i64>().map_err(|_| bad()) } else { Err(bad()) }
    };
    let signed_at = match time.unit {
        TimestampUnit::S => number()?.saturating_mul(1000),
        TimestampUnit::Ms => number()?,
        TimestampUnit::Rfc3339 => text.parse::<Timestamp>().map_err(|_| bad())?.as_millisecond(),
    };
    let distance = SignedDuration::from_millis(now.as_millisecond().saturating_sub(signed_at)).abs();
    if distance <= time.tolerance { Ok(()) } else { Err(Failure::wrong("the timestamp is outside the tolerance")) }
}
