//! Refusals derived from a sample that passes (`channel-manifest.md` §9): neighbours of a good request, with what the
//! scheme promises about each. The runner fails a manifest when one that must be refused is accepted.
//!
//! Pure: requests in, requests out. A sample that has nothing to change (no body, say) gives fewer of them.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::{
    Verifier,
    block::{Kind, Signature},
    evidence::Evidence,
    keys::{Armed, Keys},
    replay::Nonces,
    rules::Require,
    write::append,
};
use crate::receipt::{Request, VerdictResult};

/// Which keys a changed request is checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysUsed {
    /// The sample's.
    Same,
    /// Keys that nobody holds.
    Foreign,
}

/// One changed request.
#[derive(Clone, Debug)]
pub struct Derived {
    /// For operators: `one byte of the body flipped`.
    pub name: String,
    pub request: Request,
    pub remote: Option<IpAddr>,
    pub now: Timestamp,
    pub keys: KeysUsed,
    /// The sample itself was seen before, so that its nonce is remembered.
    pub follows: Option<Request>,
    /// False: accepting it is in line with what the scheme proves, and is printed as "not proven".
    pub must_refuse: bool,
}

impl Derived {
    /// Runs it. True: it was let in.
    pub fn is_accepted(&self, verifier: &Verifier) -> bool {
        let foreign = match self.keys {
            KeysUsed::Same => None,
            KeysUsed::Foreign => Some(verifier.with_foreign_keys()),
        };
        let verifier = foreign.as_ref().unwrap_or(verifier);
        let verdict = verifier.check(&self.request, self.remote, self.now);
        if verdict.result == VerdictResult::Fail {
            return false;
        }
        let Some(first) = &self.follows else { return true };
        let nonces = Nonces::with_capacity(8);
        if let Some(nonce) = verifier.check(first, self.remote, self.now).nonce {
            nonces.remember(&nonce, self.now);
        }
        verdict.nonce.is_none_or(|nonce| nonces.check(&nonce, self.now).is_ok())
    }
}

/// All changes of the table for one request that passes.
pub fn derive(verifier: &Verifier, request: &Request, remote: Option<IpAddr>, now: Timestamp) -> Vec<Derived> {
    let deriver = Deriver { verifier, request, remote, now };
    let mut all = Vec::new();
    deriver.credentials(&mut all);
    deriver.content(&mut all);
    deriver.clock(&mut all);
    deriver.nonce(&mut all);
    deriver.address(&mut all);
    all
}

struct Deriver<'d> {
    verifier: &'d Verifier,
    request: &'d Request,
    remote: Option<IpAddr>,
    now: Timestamp,
}

impl Deriver<'_> {
    fn derived(&self, name: &str, request: Request, must_refuse: bool) -> Derived {
        Derived {
            name: name.to_owned(),
            request,
            remote: self.remote,
            now: self.now,
            keys: KeysUsed::Same,
            follows: None,
            must_refuse,
        }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence::new(self.request, self.verifier.reading())
    }

    /// Blocks with something in the request to take away: each for itself where all are needed, all at once where one
    /// would do.
    fn groups(&self) -> Vec<Vec<&Armed>> {
        let blocks = self.verifier.armed().iter().filter(|armed| armed.can_sign());
        match self.verifier.policy() {
            Require::All => blocks.map(|armed| vec![armed]).collect(),
            Require::Any => Some(blocks.collect::<Vec<_>>()).filter(|blocks| !blocks.is_empty()).into_iter().collect(),
        }
    }

    /// Where one of several checks is enough, an address that is let in by itself would hide every other refusal.
    fn remote_beside(&self) -> Option<IpAddr> {
        match self.verifier.policy() {
            Require::All => self.remote,
            Require::Any => self.outside(),
        }
    }

    fn credentials(&self, all: &mut Vec<Derived>) {
        let remote = self.remote_beside();
        for group in self.groups() {
            let mut add = |name: &str, change: &dyn Fn(&Armed, &mut Request) -> Option<()>| {
                let mut request = self.request.clone();
                let changed = group.iter().filter(|armed| change(armed, &mut request).is_some()).count();
                if changed > 0 && request != *self.request {
                    all.push(Derived { remote, ..self.derived(name, request, true) });
                }
            };
            add("signature, token or credentials missing", &|armed, request| {
                armed.block.credentials()?.remove(request).ok()
            });
            add("one byte of the signature flipped", &|armed, request| self.flip_signature(armed, request));
            add("signature given twice", &|armed, request| {
                armed.block.credentials()?.duplicate(request, &self.evidence())
            });
            add("timestamp given twice", &|armed, request| {
                armed.block.timestamp.as_ref()?.place.duplicate(request, &self.evidence())
            });
        }
        if !self.groups().is_empty() {
            let keys = KeysUsed::Foreign;
            all.push(Derived { remote, keys, ..self.derived("another key", self.request.clone(), true) });
        }
    }

    fn flip_signature(&self, armed: &Armed, request: &mut Request) -> Option<()> {
        let place = armed.block.credentials()?;
        let evidence = self.evidence();
        let text = String::from_utf8(place.find(&evidence).ok()??.into_owned()).ok()?;
        let changed = match &armed.block.kind {
            Kind::Signed(signed) => flip_signatures(&signed.signature, &text),
            Kind::Jwt(_) => {
                let at = text.rfind('.')? + 1;
                flip(&text, at)
            }
            Kind::Token { prefix, .. } => flip(&text, prefix.len()),
            _ => flip(&text, "Basic ".len()),
        };
        place.write(request, &changed).ok()
    }

    fn content(&self, all: &mut Vec<Derived>) {
        let proves = self.verifier.proves();
        if let Some(body) = flip_content(&self.request.body) {
            let request = Request { body: body.into(), ..self.request.clone() };
            all.push(self.derived("one byte of the body flipped", request, proves.content));
        } else if let Some(query) = flip_content(self.request.query().as_bytes()) {
            // A request without a body says what it says in its query. Whether that is proven shows in the verdict.
            let proven = self.verifier.check(self.request, self.remote, self.now).proves.content;
            let target = format!("{}?{}", self.request.path(), String::from_utf8_lossy(&query));
            let request = Request { target, ..self.request.clone() };
            all.push(self.derived("one byte of the query flipped", request, proven));
        }
        let query = self.request.target.get(self.request.path().len()..).unwrap_or_default();
        let target = format!("{}x{query}", self.request.path());
        let request = Request { target, ..self.request.clone() };
        all.push(self.derived("another path", request, self.verifier.binds_url()));
    }

    fn clock(&self, all: &mut Vec<Derived>) {
        let must_refuse = self.verifier.proves().freshness;
        let windows = || self.verifier.armed().iter().filter_map(|armed| armed.block.window());
        let hour = SignedDuration::from_hours(1);
        // A sample's own time may lie anywhere in the window, so the clock goes past the far end of it.
        let past = |widest: SignedDuration| widest.saturating_add(widest).saturating_add(hour);
        let late = past(windows().map(|(old, _)| old).max().unwrap_or_default());
        let early = past(windows().map(|(old, young)| old.max(young)).max().unwrap_or_default());
        for (name, step) in [("an hour past the tolerance", late), ("an hour before the tolerance", -early)] {
            if let Ok(now) = self.now.checked_add(step) {
                all.push(Derived { now, ..self.derived(name, self.request.clone(), must_refuse) });
            }
        }
    }

    fn nonce(&self, all: &mut Vec<Derived>) {
        if self.verifier.check(self.request, self.remote, self.now).nonce.is_none() {
            return;
        }
        let mut request = self.request.clone();
        if let Some(body) = flip_content(&request.body) {
            request.body = body.into();
        } else {
            request.target = append(&request.target, request.query(), "x=1");
        }
        let follows = Some(self.request.clone());
        all.push(Derived { follows, ..self.derived("same nonce with another body", request, true) });
    }

    fn address(&self, all: &mut Vec<Derived>) {
        let is_network = |armed: &Armed| matches!(armed.keys, Keys::Networks(_));
        let matters = match self.verifier.policy() {
            Require::All => self.verifier.armed().iter().any(is_network),
            Require::Any => !self.verifier.armed().is_empty() && self.verifier.armed().iter().all(is_network),
        };
        if matters {
            let request = self.request.clone();
            let remote = self.outside();
            all.push(Derived { remote, ..self.derived("remote address outside the networks", request, true) });
        }
    }

    /// An address in none of the networks; none at all when they hold every one.
    fn outside(&self) -> Option<IpAddr> {
        let networks = || {
            self.verifier.armed().iter().flat_map(|armed| match &armed.keys {
                Keys::Networks(networks) => networks.as_slice(),
                _ => &[],
            })
        };
        ["192.0.2.1", "198.51.100.1", "203.0.113.1", "100.64.0.1", "2001:db8::1"]
            .iter()
            .filter_map(|text| text.parse().ok())
            .find(|address| !networks().any(|network| network.contains(*address)))
    }
}

/// Another letter or digit of the same alphabets (hexadecimal, base64) at a place.
fn flip(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte = other(*byte);
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn other(byte: u8) -> u8 {
    match byte {
        b'0' => b'1',
        b'a' => b'b',
        b'A' => b'B',
        b'1'..=b'9' => b'0',
        b'b'..=b'z' => b'a',
        _ => b'A',
    }
}

/// Every signature of the place: with one left, the request would rightly pass.
fn flip_signatures(rules: &Signature, text: &str) -> String {
    let one =
        |text: &str| if text.starts_with(&rules.prefix) { flip(text, rules.prefix.len()) } else { text.to_owned() };
    match (&rules.pair, &rules.split) {
        (Some(wanted), split) => {
            let separator = split.as_deref().unwrap_or(",");
            let pairs = text.split(separator).map(|pair| match pair.split_once('=') {
                Some((name, value)) if name.trim() == wanted => format!("{name}={}", one(value)),
                _ => pair.to_owned(),
            });
            pairs.collect::<Vec<_>>().join(separator)
        }
        (None, Some(split)) => text.split(split.as_str()).map(one).collect::<Vec<_>>().join(split),
        (None, None) => one(text),
    }
}

/// The last letter or digit that is no part of an escape, changed: in whatever format, that is another content.
fn flip_content(content: &[u8]) -> Option<Vec<u8>> {
    let escaped = |at: usize| (at >= 1 && content[at - 1] == b'%') || (at >= 2 && content[at - 2] == b'%');
    let at = (0..content.len()).rev().find(|at| content[*at].is_ascii_alphanumeric() && !escaped(*at));
    let at = at.or_else(|| content.len().checked_sub(1))?;
    let mut changed = content.to_vec();
    changed[at] = if changed[at].is_ascii_alphanumeric() { other(changed[at]) } else { changed[at] ^ 1 };
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::place::Place;

    #[test]
    fn a_flipped_text_is_another_one_of_the_same_alphabet() {
        for text in ["sha256=00ff", "v1,AAAA", "z", "/+=="] {
            assert_ne!(flip(text, 0), text);
        }
        assert_eq!(flip("sha256=0a", 7), "sha256=1a");
        assert_eq!(flip("", 3), "");
        for byte in 0..=u8::MAX {
            assert_ne!(other(byte), byte, "{byte}");
        }
    }

    #[test]
    fn a_flipped_content_never_changes_only_an_escape() {
        assert_eq!(flip_content(b"a=%2B").as_deref(), Some(&b"b=%2B"[..]));
        assert_eq!(flip_content(b"").as_deref(), None);
        assert_eq!(flip_content(b"%%").as_deref(), Some(&b"%$"[..]));
    }

    #[test]
    fn every_signature_of_a_list_is_flipped() {
        let rules = Signature {
            place: Place::Header("s".to_owned()),
            prefix: "v1,".to_owned(),
            split: Some(" ".to_owned()),
            pair: None,
            encoding: crate::signature::rules::SignatureEncoding::Base64,
        };
        assert_eq!(flip_signatures(&rules, "v1,aa v2,cc v1,bb"), "v1,ba v2,cc v1,ab");
    }
}
