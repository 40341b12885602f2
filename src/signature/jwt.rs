//! JSON Web Tokens (RFC 7519, signed as in RFC 7515): the manifest says how a token is checked, never the token.
//!
//! `alg` only has to be on the allow-list, whose algorithms are all of one family, so that a public key is never taken
//! for a secret. `none` cannot be written there. Tokens with critical extensions are refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::{
    block::{Algorithm, Jwt, JwtAlgorithm, hmac_algorithm},
    evidence::Evidence,
    failure::Failure,
    judge::Circumstances,
    keys::{Armed, Keys},
    lookup::known_keys,
};

/// Longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;

pub(super) type Claims = Map<String, Value>;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

/// Checks the token of a request and gives its claims.
pub(super) fn check(
    rules: &Jwt,
    armed: &Armed,
    evidence: &Evidence<'_>,
    around: &Circumstances<'_>,
) -> Result<Claims, Failure> {
    let place = &rules.token;
    let bad = || Failure::wrong(format!("{place} does not hold a token"));
    let text = place.find(evidence)?.ok_or_else(|| Failure::absent(format!("{place} is missing")))?;
    let token = text.strip_prefix(rules.prefix.as_bytes()).filter(|token| token.len() <= MAX_TOKEN).ok_or_else(bad)?;
    let token = std::str::from_utf8(token).map_err(|_| bad())?;
    let (message, signature) = token.rsplit_once('.').ok_or_else(bad)?;
    let (header, payload) = message.split_once('.').filter(|(_, payload)| !payload.contains('.')).ok_or_else(bad)?;
    let segment = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| bad());
    let header: Header = serde_json::from_slice(&segment(header)?).map_err(|_| bad())?;
    if header.crit.is_some() {
        return Err(Failure::wrong("the token has critical extensions"));
    }
    let allowed = rules.algorithms.iter().copied().find(|algorithm| algorithm.name() == header.alg);
    let algorithm = allowed.ok_or_else(|| Failure::wrong("the token's algorithm is not on the allow-list"))?;
    let signature = segment(signature)?;
    let key_id = header.kid.as_deref();
    if !is_signed(algorithm, armed, around, key_id, message.as_bytes(), &signature)? {
        return Err(Failure::wrong("the token's signature does not match"));
    }
    let claims: Claims = serde_json::from_slice(&segment(payload)?).map_err(|_| bad())?;
    times(rules, &claims, around.now.as_millisecond())?;
    exact(&armed.claims, &claims)?;
    Ok(claims)
}

fn is_signed(
    algorithm: JwtAlgorithm,
    armed: &Armed,
    around: &Circumstances<'_>,
    key_id: Option<&str>,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, Failure> {
    if let (Algorithm::Hmac(hash), Keys::Hmac(keys)) = (algorithm.signs(), &armed.keys) {
        let wanted = hmac_algorithm(hash);
        let matches = |key: &hmac::Key| bool::from(hmac::sign(key, message).as_ref().ct_eq(signature));
        return Ok(keys.iter().filter(|key| key.algorithm() == wanted).any(matches));
    }
    let Some((kind, how)) = algorithm.signs().public() else { return Ok(false) };
    let keys = known_keys(&armed.keys, around.ring)?;
    let fits = |id: Option<&str>| key_id.is_none() || id.is_none() || id == key_id;
    let mut keys = keys.iter().filter(|key| key.algorithm == kind && fits(key.id.as_deref()));
    Ok(keys.any(|key| key.verifies(how, message, signature)))
}

/// A `NumericDate`, in milliseconds.
fn date(claims: &Claims, name: &str) -> Result<Option<i64>, Failure> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let millis = value.as_i64().map(|seconds| seconds.saturating_mul(1000));
    let millis = millis.or_else(|| value.as_f64().map(|seconds| (seconds * 1000.0) as i64));
    millis.map(Some).ok_or_else(|| Failure::wrong(format!("claim:{name} is no time")))
}

fn times(rules: &Jwt, claims: &Claims, now: i64) -> Result<(), Failure> {
    // How long ago a time was; negative in the future.
    let since = |time: i64| SignedDuration::from_millis(now.saturating_sub(time));
    let issued = date(claims, "iat")?;
    if date(claims, "exp")?.is_some_and(|end| since(end) > rules.leeway) {
        return Err(Failure::wrong("the token has expired"));
    }
    if date(claims, "nbf")?.is_some_and(|start| since(start) < -rules.leeway) {
        return Err(Failure::wrong("the token is not valid yet"));
    }
    if issued.is_some_and(|issued| since(issued) < -rules.leeway) {
        return Err(Failure::wrong("the token is from the future"));
    }
    let Some(max_age) = rules.max_age else { return Ok(()) };
    match issued {
        None => Err(Failure::wrong("claim:iat is missing")),
        Some(issued) if since(issued) > max_age => Err(Failure::wrong("the token is older than `max_age`")),
        Some(_) => Ok(()),
    }
}

/// Exact values; `aud` may be a list that holds the value (RFC 7519, section 4.1.3).
fn exact(wanted: &[(String, Vec<String>)], claims: &Claims) -> Result<(), Failure> {
    for (name, values) in wanted {
        let is = |claim: &Value| {
            let text = claim.as_str().unwrap_or_default().as_bytes();
            claim.is_string() && values.iter().any(|value| bool::from(value.as_bytes().ct_eq(text)))
        };
        let holds = match claims.get(name) {
            Some(Value::Array(list)) if name == "aud" => list.iter().any(is),
            claim => claim.is_some_and(is),
        };
        if !holds {
            return Err(Failure::wrong(format!("claim:{name} is not what the manifest says")));
        }
    }
    Ok(())
}
