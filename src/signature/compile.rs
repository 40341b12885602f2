//! From `[[verify]]` as it is written to blocks that cannot be wrong; every mistake at once.

use super::{
    SchemeError,
    block::{
        Algorithm, Bind, Block, Covers, Jwt, JwtAlgorithm, KeySource, Kind, Replay, Signature, Signed, Time, Value,
    },
    lint::{self, Lint},
    part::{Message, Part},
    place::Place,
    pointer::Pointer,
    rules::{HashName, KeyEncoding, SignatureFormat, UrlVariant, VerifyKind, VerifyRules},
};
use crate::{settings::reference, units::Span};

/// Compiles one block. None when it has errors.
pub(super) fn block(rules: &VerifyRules, index: usize, mistakes: &mut Vec<SchemeError>) -> Option<Block> {
    let mut lint = Lint::new(index, mistakes);
    lint::keys_fit(rules, &mut lint);
    let kind = kind(rules, &mut lint);
    let timestamp = timestamp(rules, &mut lint);
    let replay = replay(rules, &mut lint);
    let binds = binds(rules, &mut lint);
    let mut block = Block {
        index,
        name: rules.name.clone().unwrap_or_else(|| format!("block {}", index + 1)),
        kind: kind?,
        timestamp: timestamp.ok()?,
        replay: replay.ok()?,
        binds: binds?,
        url_variants: rules.url_variants.clone(),
        covers: Covers::default(),
    };
    if block.url_variants.is_empty() {
        block.url_variants.push(UrlVariant::AsConfigured);
    }
    settle_cover(&mut block);
    lint::scheme(&block, rules, &mut lint);
    (!lint.has_errors()).then_some(block)
}

fn kind(rules: &VerifyRules, lint: &mut Lint<'_>) -> Option<Kind> {
    match rules.kind {
        VerifyKind::Hmac | VerifyKind::Hash | VerifyKind::Ed25519 | VerifyKind::EcdsaP256 | VerifyKind::Rsa => {
            signed(rules, lint).map(|signed| Kind::Signed(Box::new(signed)))
        }
        VerifyKind::Jwt => jwt(rules, lint).map(|jwt| Kind::Jwt(Box::new(jwt))),
        VerifyKind::Token => {
            let place = lint.place("from", rules.from.as_deref());
            let setting = lint.setting("equals", rules.equals.as_deref());
            Some(Kind::Token { place: place?, prefix: rules.prefix.clone().unwrap_or_default(), setting: setting? })
        }
        VerifyKind::Basic => {
            let user = lint.setting("user", rules.user.as_deref());
            let password = lint.setting("password", rules.password.as_deref());
            Some(Kind::Basic { user: user?, password: password? })
        }
        VerifyKind::Ip => lint.setting("allow", rules.allow.as_deref()).map(|setting| Kind::Ip { setting }),
        VerifyKind::Mtls => {
            let subject = lint.required("subject", rules.subject.as_deref())?;
            if subject.is_empty() {
                lint.error("subject", "`subject` is empty", None);
                return None;
            }
            Some(Kind::Mtls { subject: value(subject) })
        }
    }
}

fn value(text: &str) -> Value {
    reference(text).map_or_else(|| Value::Literal(text.to_owned()), |name| Value::Setting(name.to_owned()))
}

fn signed(rules: &VerifyRules, lint: &mut Lint<'_>) -> Option<Signed> {
    let algorithm = algorithm(rules, lint);
    let parts = parts(rules, lint);
    let signature = signature(rules, lint);
    let key = key(rules, algorithm.is_some_and(|algorithm| algorithm.public().is_some()), lint);
    if rules.params.iter().any(|params| params.replace.contains_key("")) {
        lint.error("params.replace", "an empty text cannot be replaced", None);
    }
    let message = Message {
        parts: parts?,
        join: rules.join.clone().unwrap_or_default().into_bytes(),
        is_sorted: rules.sort.unwrap_or(false),
        params: rules.params.clone().unwrap_or_default(),
    };
    Some(Signed { algorithm: algorithm?, key: key?, message, signature: signature? })
}

fn algorithm(rules: &VerifyRules, lint: &mut Lint<'_>) -> Option<Algorithm> {
    let format = rules.signature.as_ref().map(|signature| signature.format).unwrap_or_default();
    if format != SignatureFormat::Raw && rules.kind != VerifyKind::EcdsaP256 {
        lint.error("signature.format", "`format` is for kind `ecdsa-p256` only", None);
    }
    let hash = match (rules.hash, rules.kind) {
        (None, VerifyKind::Hmac | VerifyKind::Hash | VerifyKind::Rsa) => {
            lint.error("hash", "`hash` is missing", Some("one of sha1, sha256, sha384, sha512"));
            return None;
        }
        (Some(HashName::Md5), VerifyKind::Hmac | VerifyKind::Rsa) => {
            lint.error("hash", "`md5` is for kind `hash` only", Some("one of sha1, sha256, sha384, sha512"));
            return None;
        }
        (hash, _) => hash.unwrap_or(HashName::Sha256),
    };
    if matches!(hash, HashName::Md5 | HashName::Sha1) {
        lint.warn("hash", "md5 and sha1 are weak", Some("use sha256 if the provider has it"));
    }
    match rules.kind {
        VerifyKind::Hmac => Some(Algorithm::Hmac(hash)),
        VerifyKind::Hash => Some(Algorithm::Hash(hash)),
        VerifyKind::Rsa => Some(Algorithm::Rsa(hash)),
        VerifyKind::Ed25519 => Some(Algorithm::Ed25519),
        VerifyKind::EcdsaP256 => Some(Algorithm::EcdsaP256(format)),
        _ => None,
    }
}

fn parts(rules: &VerifyRules, lint: &mut Lint<'_>) -> Option<Vec<Part>> {
    if rules.signed.is_empty() {
        lint.error("signed", "`signed` names no part", Some("list what the signature is made over, like [\"body\"]"));
        return None;
    }
    let mut parts = Vec::with_capacity(rules.signed.len());
    for text in &rules.signed {
        match Part::parse(text) {
            Ok(part) => parts.push(part),
            Err(message) => lint.error("signed", &message, None),
        }
    }
    (parts.len() == rules.signed.len()).then_some(parts)
}

fn signature(rules: &VerifyRules, lint: &mut Lint<'_>) -> Option<Signature> {
    let Some(signature) = &rules.signature else {
        lint.error("signature", "`signature` is missing", Some("signature = { from = \"header:X-Signature\" }"));
        return None;
    };
    if signature.split.as_deref() == Some("") || signature.kv.as_deref() == Some("") {
        lint.error("signature", "`split` and `kv` cannot be empty", None);
        return None;
    }
    Some(Signature {
        place: lint.place("signature.from", Some(&signature.from))?,
        prefix: signature.prefix.clone().unwrap_or_default(),
        split: signature.split.clone(),
        pair: signature.kv.clone(),
        encoding: signature.encoding,
    })
}

fn key(rules: &VerifyRules, is_public: bool, lint: &mut Lint<'_>) -> Option<KeySource> {
    let encoding = rules.key_encoding.unwrap_or_default();
    if let Some(pointer) = &rules.cert_url {
        if rules.key.is_some() || rules.key_encoding.is_some() || rules.key_prefix.is_some() {
            lint.error("cert_url", "with `cert_url` there is no `key`", Some("keep one of the two"));
        }
        lint::hosts(&rules.cert_hosts, lint);
        let Some(pointer) = Pointer::parse(pointer) else {
            lint.error("cert_url", "`cert_url` is no JSON pointer", Some("like \"/SigningCertURL\""));
            return None;
        };
        let hosts = rules.cert_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        return Some(KeySource::Certificate { pointer, hosts });
    }
    let name = lint.setting("key", rules.key.as_deref());
    match (is_public, encoding) {
        (true, KeyEncoding::Utf8) => {
            lint.error("key_encoding", "a public key needs `key_encoding`", Some("base64, hex, pem or jwks-url"));
        }
        (false, KeyEncoding::Pem | KeyEncoding::JwksUrl) => {
            lint.error("key_encoding", "pem and jwks-url are for public keys", Some("utf8, base64 or hex"));
        }
        _ => {}
    }
    Some(KeySource::Setting { name: name?, prefix: rules.key_prefix.clone().unwrap_or_default(), encoding })
}

fn jwt(rules: &VerifyRules, lint: &mut Lint<'_>) -> Option<Jwt> {
    let algorithms = algorithms(rules, lint);
    let is_public = algorithms.as_ref().is_some_and(|list| list.iter().all(|one| one.signs().public().is_some()));
    let key = key(rules, is_public, lint);
    let token = lint.place("token.from", rules.token.as_ref().map(|token| token.from.as_str()));
    if rules.max_age.is_some_and(|max_age| max_age > Span::from_secs(300)) {
        lint.warn("max_age", "a token older than 300s is accepted", None);
    }
    let claims = rules.claims.iter().map(|(name, text)| (name.clone(), value(text))).collect();
    Some(Jwt {
        token: token?,
        prefix: rules.token.as_ref().and_then(|token| token.prefix.clone()).unwrap_or_default(),
        algorithms: algorithms?,
        key: key?,
        claims,
        leeway: rules.leeway.unwrap_or(Span::from_secs(60)).signed(),
        max_age: rules.max_age.map(Span::signed),
    })
}

fn algorithms(rules: &VerifyRules, lint: &mut Lint<'_>) -> Option<Vec<JwtAlgorithm>> {
    let known = "HS256, HS384, HS512, RS256, RS384, RS512, ES256 or EdDSA";
    if rules.algs.is_empty() {
        lint.error("algs", "`algs` is missing: a token does not choose how it is checked", Some(known));
        return None;
    }
    let list: Vec<_> = rules.algs.iter().filter_map(|text| JwtAlgorithm::parse(text)).collect();
    if list.len() < rules.algs.len() {
        lint.error("algs", "`algs` names an algorithm that is not in the vocabulary", Some(known));
        return None;
    }
    if list.iter().any(|one| one.family() != list[0].family()) {
        lint.error("algs", "`algs` mixes families of algorithms", Some("one of HS, RS, ES and EdDSA for a block"));
        return None;
    }
    Some(list)
}

fn timestamp(rules: &VerifyRules, lint: &mut Lint<'_>) -> Result<Option<Time>, ()> {
    let Some(time) = &rules.timestamp else { return Ok(None) };
    if time.tolerance > Span::from_secs(3600) {
        lint.error("timestamp.tolerance", "`tolerance` is above 1h", Some("300s is usual"));
    } else if time.tolerance > Span::from_secs(300) {
        lint.warn("timestamp.tolerance", "`tolerance` is above 300s", Some("300s is usual"));
    }
    let pair = rules.signature.as_ref().is_some_and(|signature| signature.kv.is_some());
    let place = match Place::parse(&time.from) {
        Ok(place @ Place::SignaturePair(_)) if pair => Some(place),
        _ => lint.place("timestamp.from", Some(&time.from)),
    };
    Ok(Some(Time { place: place.ok_or(())?, unit: time.unit, tolerance: time.tolerance.signed() }))
}

fn replay(rules: &VerifyRules, lint: &mut Lint<'_>) -> Result<Option<Replay>, ()> {
    let Some(replay) = &rules.replay else { return Ok(None) };
    let place = lint.place_or_claim("replay.from", &replay.from, rules.kind).ok_or(())?;
    let ttl_seconds = u32::try_from(replay.ttl.as_secs()).unwrap_or(u32::MAX);
    Ok(Some(Replay { place, ttl_seconds }))
}

fn binds(rules: &VerifyRules, lint: &mut Lint<'_>) -> Option<Vec<Bind>> {
    let mut binds = Vec::with_capacity(rules.bind.len());
    for bind in &rules.bind {
        if let Some(place) = lint.place_or_claim("bind.from", &bind.from, rules.kind) {
            binds.push(Bind { place, equals: bind.equals, required: bind.required, is_signed: false });
        }
    }
    (binds.len() == rules.bind.len()).then_some(binds)
}

/// Works out what the signature reaches. Binds count only where their value is signed itself.
fn settle_cover(block: &mut Block) {
    let mut covers = Covers { sender: !matches!(block.kind, Kind::Ip { .. }), ..Covers::default() };
    if let Kind::Signed(signed) = &block.kind {
        covers.body = signed.has_part(&Part::Body) || signed.has_part(&Part::BodySha256Hex);
        let params = signed.has_part(&Part::ParamsSortedAmp);
        covers.form = covers.body || signed.has_part(&Part::FormSortedConcat) || params;
        covers.query = signed.has_part(&Part::Url) || params;
        covers.url = [Part::Url, Part::UrlNoQuery, Part::Path].iter().any(|part| signed.has_part(part));
    }
    // A hash of the URL may stand in the body that another bind covers, so the binds are gone through twice.
    for _ in 0..2 {
        for at in 0..block.binds.len() {
            let is_signed = lint::is_covered(&block.kind, covers, &block.binds[at].place);
            block.binds[at].is_signed = is_signed;
            if is_signed {
                lint::add_bind(&mut covers, &block.binds[at]);
            }
        }
    }
    let aged = matches!(&block.kind, Kind::Jwt(jwt) if jwt.max_age.is_some());
    let timed = block.timestamp.as_ref().is_some_and(|time| lint::is_covered(&block.kind, covers, &time.place));
    let has_part = matches!(&block.kind, Kind::Signed(signed) if signed.has_part(&Part::Timestamp));
    covers.freshness = aged || block.timestamp.is_some() && (timed || has_part);
    block.covers = covers;
}
