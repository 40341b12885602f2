//! The rules of `channel-manifest.md` §10 that concern verification.

use super::{
    SchemeError,
    block::{Algorithm, Bind, Block, Covers, Kind},
    part::Part,
    place::Place,
    rules::{BindHash, BindRequired, VerifyKind, VerifyRules},
};
use crate::settings::reference;

/// Gathers the mistakes of one block.
#[derive(Debug)]
pub(super) struct Lint<'m> {
    index: usize,
    mistakes: &'m mut Vec<SchemeError>,
    has_errors: bool,
}

impl<'m> Lint<'m> {
    pub(super) fn new(index: usize, mistakes: &'m mut Vec<SchemeError>) -> Self {
        Self { index, mistakes, has_errors: false }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.has_errors
    }

    pub(super) fn error(&mut self, key: &str, message: &str, hint: Option<&str>) {
        self.has_errors = true;
        self.add(key, message, hint).is_warning = false;
    }

    pub(super) fn warn(&mut self, key: &str, message: &str, hint: Option<&str>) {
        self.add(key, message, hint).is_warning = true;
    }

    fn add(&mut self, key: &str, message: &str, hint: Option<&str>) -> &mut SchemeError {
        let place = self.mistakes.len();
        self.mistakes.push(SchemeError {
            block: Some(self.index),
            key: key.to_owned(),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
            is_warning: false,
        });
        &mut self.mistakes[place]
    }

    pub(super) fn required<'t>(&mut self, key: &str, text: Option<&'t str>) -> Option<&'t str> {
        if text.is_none() {
            self.error(key, &format!("`{key}` is missing"), None);
        }
        text
    }

    /// The name in `"${name}"`.
    pub(super) fn setting(&mut self, key: &str, text: Option<&str>) -> Option<String> {
        let text = self.required(key, text)?;
        let name = reference(text);
        if name.is_none() {
            let hint = "write \"${name}\", with name being one of [settings]; a manifest holds no secret";
            self.error(key, &format!("`{key}` must name a setting"), Some(hint));
        }
        name.map(str::to_owned)
    }

    /// A place of the request.
    pub(super) fn place(&mut self, key: &str, text: Option<&str>) -> Option<Place> {
        match Place::parse(self.required(key, text)?) {
            Ok(Place::Claim(_)) => self.error(key, "a claim can stand in `bind` and `replay` of kind `jwt` only", None),
            Ok(Place::SignaturePair(_)) => {
                self.error(key, "`kv:` can stand in `timestamp` only, and needs `kv` in `signature`", None);
            }
            Ok(place) => return Some(place),
            Err(message) => self.error(key, &message, None),
        }
        None
    }

    /// A place of the request, or a claim of the block's JWT.
    pub(super) fn place_or_claim(&mut self, key: &str, text: &str, kind: VerifyKind) -> Option<Place> {
        match Place::parse(text) {
            Ok(place @ Place::Claim(_)) if kind == VerifyKind::Jwt => Some(place),
            _ => self.place(key, Some(text)),
        }
    }
}

/// A key that is written and does not belong to the kind is a misunderstanding.
pub(super) fn keys_fit(rules: &VerifyRules, lint: &mut Lint<'_>) {
    let written = [
        ("hash", rules.hash.is_some()),
        ("key", rules.key.is_some()),
        ("key_prefix", rules.key_prefix.is_some()),
        ("key_encoding", rules.key_encoding.is_some()),
        ("signed", !rules.signed.is_empty()),
        ("join", rules.join.is_some()),
        ("sort", rules.sort.is_some()),
        ("params", rules.params.is_some()),
        ("signature", rules.signature.is_some()),
        ("timestamp", rules.timestamp.is_some()),
        ("replay", rules.replay.is_some()),
        ("bind", !rules.bind.is_empty()),
        ("url_variants", !rules.url_variants.is_empty()),
        ("cert_url", rules.cert_url.is_some()),
        ("cert_hosts", !rules.cert_hosts.is_empty()),
        ("token", rules.token.is_some()),
        ("algs", !rules.algs.is_empty()),
        ("claims", !rules.claims.is_empty()),
        ("leeway", rules.leeway.is_some()),
        ("max_age", rules.max_age.is_some()),
        ("from", rules.from.is_some()),
        ("prefix", rules.prefix.is_some()),
        ("equals", rules.equals.is_some()),
        ("user", rules.user.is_some()),
        ("password", rules.password.is_some()),
        ("allow", rules.allow.is_some()),
        ("subject", rules.subject.is_some()),
    ];
    let (kind, fitting) = fitting(rules.kind);
    for (key, is_written) in written {
        if is_written && !fitting.split(' ').any(|fits| fits == key) {
            lint.error(key, &format!("`{key}` does not go with kind `{kind}`"), Some(&format!("it takes: {fitting}")));
        }
    }
}

fn fitting(kind: VerifyKind) -> (&'static str, &'static str) {
    match kind {
        VerifyKind::Hmac => (
            "hmac",
            "hash key key_prefix key_encoding signed join sort params signature timestamp replay bind url_variants",
        ),
        VerifyKind::Hash => (
            "hash",
            "hash key key_prefix key_encoding signed join sort params signature timestamp replay bind url_variants",
        ),
        VerifyKind::Ed25519 => (
            "ed25519",
            "key key_prefix key_encoding signed join sort params signature timestamp replay bind url_variants",
        ),
        VerifyKind::EcdsaP256 => (
            "ecdsa-p256",
            "key key_prefix key_encoding signed join sort params signature timestamp replay bind url_variants",
        ),
        VerifyKind::Rsa => (
            "rsa",
            "hash key key_prefix key_encoding cert_url cert_hosts signed join sort params signature timestamp replay bind url_variants",
        ),
        VerifyKind::Jwt => {
            ("jwt", "token algs key key_prefix key_encoding claims leeway max_age timestamp replay bind url_variants")
        }
        VerifyKind::Token => ("token", "from prefix equals timestamp replay"),
        VerifyKind::Basic => ("basic", "user password timestamp replay"),
        VerifyKind::Ip => ("ip", "allow replay"),
        VerifyKind::Mtls => ("mtls", "subject replay"),
    }
}

/// Hosts that certificates may come from.
pub(super) fn hosts(hosts: &[String], lint: &mut Lint<'_>) {
    let hint = Some("exact names, or `*.` and a name of two labels or more, like sns.eu-west-1.amazonaws.com");
    if hosts.is_empty() {
        lint.error("cert_hosts", "`cert_url` needs `cert_hosts`: the sender must not choose the host", hint);
    }
    for host in hosts {
        let name = host.strip_prefix("*.").unwrap_or(host);
        let is_name = name.contains('.') && !name.starts_with('.') && !name.ends_with('.');
        let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        if !is_name || !good || name.parse::<std::net::IpAddr>().is_ok() {
            lint.error("cert_hosts", &format!("`{host}` is no host that can be trusted by its name"), hint);
        }
    }
}

/// The rules that need the whole block.
pub(super) fn scheme(block: &Block, rules: &VerifyRules, lint: &mut Lint<'_>) {
    if let Kind::Signed(signed) = &block.kind {
        parts(block, lint);
        if rules.params.is_some() && !signed.has_part(&Part::ParamsSortedAmp) {
            lint.error("params", "`params` needs the part `params:sorted-amp`", None);
        }
    }
    let uses_url = matches!(&block.kind, Kind::Signed(signed) if signed.uses_url())
        || block.binds.iter().any(|bind| bind.equals == BindHash::Sha256HexUrl);
    if !rules.url_variants.is_empty() && !uses_url {
        lint.error("url_variants", "`url_variants` needs a part or a bind of the URL", None);
    }
    for bind in block.binds.iter().filter(|bind| !bind.is_signed) {
        let message = format!("{} is not signed, so the hash in it binds nothing", bind.place);
        lint.warn("bind", &message, Some("sign the place too"));
    }
    if block.timestamp.is_some() && !block.covers.freshness {
        lint.warn("timestamp", "the timestamp is not signed, so it proves nothing", Some("add the part `timestamp`"));
    }
    replay(block, lint);
}

fn parts(block: &Block, lint: &mut Lint<'_>) {
    let Kind::Signed(signed) = &block.kind else { return };
    let is_hash = matches!(signed.algorithm, Algorithm::Hash(_));
    if is_hash && !signed.has_part(&Part::Key) {
        lint.error(
            "signed",
            "a hash without the part `key` can be made by anybody",
            Some("add \"key\" where it stands"),
        );
    }
    if !is_hash && signed.has_part(&Part::Key) {
        lint.error("signed", "the part `key` is for kind `hash` only", None);
    }
    if signed.has_part(&Part::Timestamp) && block.timestamp.is_none() {
        lint.error("signed", "the part `timestamp` needs `timestamp`", Some("timestamp = { from, unit, tolerance }"));
    }
    if contains_signature(block) {
        let place = &signed.signature.place;
        let message = format!("the signature at {place} would have to sign itself");
        lint.error("signed", &message, Some("with params:sorted-amp, name it in params.exclude"));
    }
}

/// Does the signature stand in what it signs?
fn contains_signature(block: &Block) -> bool {
    let Kind::Signed(signed) = &block.kind else { return false };
    let has = |part| signed.has_part(&part);
    let in_body = has(Part::Body) || has(Part::BodySha256Hex) || has(Part::FormSortedConcat);
    let in_params = |name: &String| has(Part::ParamsSortedAmp) && !signed.message.params.exclude.contains(name);
    match &signed.signature.place {
        Place::Header(_) | Place::Claim(_) | Place::SignaturePair(_) => {
            has(Part::Place(signed.signature.place.clone()))
        }
        Place::Query(name) => has(Part::Url) || in_params(name),
        Place::Form(name) => in_body || in_params(name),
        Place::Param(name) => in_params(name),
        Place::Body(_) => in_body,
    }
}

fn replay(block: &Block, lint: &mut Lint<'_>) {
    let has_signature = matches!(block.kind, Kind::Signed(_) | Kind::Jwt(_));
    let Some(replay) = &block.replay else {
        if has_signature && !block.covers.content() {
            let hint = "sign the body, bind its hash, or name a nonce in `replay`";
            lint.error("signed", "the signature covers no content, and there is no `replay`", Some(hint));
        }
        return;
    };
    let ttl = jiff::SignedDuration::from_secs(i64::from(replay.ttl_seconds));
    match block.window() {
        Some((old, _)) if ttl < old.saturating_add(old) => {
            let hint = "a captured request must stay known for as long as it would be fresh";
            lint.error("replay.ttl", "`ttl` is shorter than twice the tolerance", Some(hint));
        }
        None if ttl < jiff::SignedDuration::from_hours(30 * 24) => {
            lint.error("replay.ttl", "`ttl` is shorter than 30d, and no timestamp makes requests stale", Some("30d"));
        }
        _ => {}
    }
    if !is_covered(&block.kind, block.covers, &replay.place) {
        lint.warn("replay", "the nonce is not signed, so whoever repeats a request can change it", None);
    }
}

/// Would a changed value at this place be refused?
pub(super) fn is_covered(kind: &Kind, covers: Covers, place: &Place) -> bool {
    let signed = match kind {
        Kind::Jwt(_) => None,
        Kind::Signed(signed) => Some(signed),
        _ => return false,
    };
    let is_part = signed.is_some_and(|signed| signed.has_part(&Part::Place(place.clone())));
    let excluded = |name: &String| {
        signed.is_some_and(|signed| {
            let others = [Part::Url, Part::Body, Part::BodySha256Hex, Part::FormSortedConcat];
            signed.message.params.exclude.contains(name) && !others.iter().any(|part| signed.has_part(part))
        })
    };
    let body = covers.body || covers.bound_body;
    is_part
        || match place {
            Place::Claim(_) => signed.is_none(),
            Place::Query(name) => covers.query && !excluded(name),
            Place::Form(name) => body || covers.form && !excluded(name),
            Place::Param(name) => covers.query && (body || covers.form) && !excluded(name),
            Place::Body(_) => body,
            Place::Header(_) | Place::SignaturePair(_) => false,
        }
}

/// Adds what a bind reaches whose value is signed. One that is looked at only when present covers nothing for certain.
pub(super) fn add_bind(covers: &mut Covers, bind: &Bind) {
    match (bind.equals, bind.required) {
        (_, BindRequired::WhenPresent) | (BindHash::Sha256HexUrl, BindRequired::WithBody) => {}
        (BindHash::Sha256HexUrl, BindRequired::Always) => {
            covers.url = true;
            covers.query = true;
        }
        (BindHash::Sha256HexBody | BindHash::Sha256Base64Body, _) => covers.bound_body = true,
    }
}
