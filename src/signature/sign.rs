//! Samples signed as the provider would, so that they do not go stale. The last value of a key signs: during a rotation
//! it is the one that must work too.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use ring::hmac;
use serde_json::{Map, Value, json};

use super::{
    FormReading,
    block::{Algorithm, Block, Jwt, Kind, Signature, Signed, Time, hmac_algorithm},
    evidence::{Evidence, hex, sha256},
    judge::bind_value,
    keys::{Armed, Keys},
    place::Place,
    public_url::PublicUrl,
    rules::{BindHash, BindRequired, HashName, SignatureEncoding, SignatureFormat, TimestampUnit},
    tag::{hashed, tagged, whole},
};
use crate::receipt::Request;

/// The clock and the address that samples are signed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen<'p> {
    pub(super) now: Timestamp,
    pub(super) urls: &'p PublicUrl,
    pub(super) reading: FormReading,
}

impl Armed {
    /// Can a request be given what this block asks for?
    pub(super) fn can_sign(&self) -> bool {
        self.block.credentials().is_some()
    }

    pub(super) fn sign(&self, request: &mut Request, pen: Pen<'_>) -> Result<(), String> {
        let block = &*self.block;
        match &block.kind {
            Kind::Signed(signed) => {
                let time = self.prepare(request, pen)?;
                self.write_signature(signed, time.as_deref(), request, pen)
            }
            Kind::Jwt(jwt) => {
                self.prepare(request, pen)?;
                let token = self.token(jwt, request, pen)?;
                jwt.token.write(request, &format!("{}{token}", jwt.prefix))
            }
            Kind::Token { place, prefix, .. } => {
                self.prepare(request, pen)?;
                place.write(request, &format!("{prefix}{}", self.credential()?))
            }
            Kind::Basic { .. } => {
                self.prepare(request, pen)?;
                let header = format!("Basic {}", STANDARD.encode(self.credential()?));
                Place::Header("authorization".to_owned()).write(request, &header)
            }
            Kind::Ip { .. } | Kind::Mtls { .. } => Ok(()),
        }
    }

    fn credential(&self) -> Result<String, String> {
        let Keys::Credentials(list) = &self.keys else { return Err(no_key(&self.block)) };
        let last = list.last().ok_or_else(|| no_key(&self.block))?;
        String::from_utf8(last.text.bytes().to_vec()).map_err(|_| no_key(&self.block))
    }

    /// Writes the time, the nonce and the hashes that the sample lacks. Gives the time as text if it is to stand beside
    /// the signature.
    fn prepare(&self, request: &mut Request, pen: Pen<'_>) -> Result<Option<String>, String> {
        let block = &*self.block;
        let mut beside = None;
        if let Some(time) = &block.timestamp {
            match &time.place {
                Place::SignaturePair(_) => beside = Some(written(time, pen.now)),
                place if read(place, request, pen)?.is_none() => place.write(request, &written(time, pen.now))?,
                _ => {}
            }
        }
        if let Some(replay) = &block.replay
            && !matches!(replay.place, Place::Claim(_))
            && read(&replay.place, request, pen)?.is_none()
        {
            replay.place.write(request, &nonce(request, pen.now))?;
        }
        for bind in block.binds.iter().filter(|bind| !matches!(bind.place, Place::Claim(_))) {
            let is_there = read(&bind.place, request, pen)?.is_some();
            let is_wanted = match bind.required {
                BindRequired::Always => true,
                BindRequired::WithBody => !request.body.is_empty(),
                BindRequired::WhenPresent => false,
            };
            if is_there || is_wanted {
                let value = self.bound(bind.equals, request, pen);
                bind.place.write(request, &value)?;
            }
        }
        Ok(beside)
    }

    fn bound(&self, hash: BindHash, request: &Request, pen: Pen<'_>) -> String {
        bind_value(hash, &Evidence::new(request, pen.reading), self.url(pen))
    }

    fn url<'p>(&self, pen: Pen<'p>) -> &'p str {
        pen.urls.spelt(self.block.url_variants.first().copied().unwrap_or(super::rules::UrlVariant::AsConfigured))
    }

    fn write_signature(
        &self,
        signed: &Signed,
        time: Option<&str>,
        request: &mut Request,
        pen: Pen<'_>,
    ) -> Result<(), String> {
        let signature = {
            let evidence = Evidence::new(request, pen.reading);
            let standing = match &self.block.timestamp {
                Some(rules) => rules.place.find(&evidence).map_err(|failure| failure.detail)?,
                None => None,
            };
            let timestamp = time.map(str::as_bytes).or(standing.as_deref());
            let pieces = signed.message.resolve(&evidence, timestamp).map_err(|failure| failure.detail)?;
            let url = self.url(pen);
            match &self.keys {
                Keys::Hmac(keys) => {
                    let key = keys.last().ok_or_else(|| no_key(&self.block))?;
                    tagged(signed, key, &pieces, url).as_ref().to_vec()
                }
                Keys::Secrets(secrets) => {
                    let secret = secrets.last().ok_or_else(|| no_key(&self.block))?;
                    hashed(signed, secret.bytes(), &pieces, url)
                }
                Keys::Generated(pair) => {
                    let (hash, format) = choices(signed.algorithm);
                    pair.sign(hash, format, &whole(signed, &pieces, url))?
                }
                _ => return Err(no_private_key(&self.block)),
            }
        };
        let text = encoded(&signed.signature, &signature);
        let text = match (&signed.signature.pair, &self.block.timestamp, time) {
            (Some(pair), Some(Time { place: Place::SignaturePair(name), .. }), Some(time)) => {
                let separator = signed.signature.split.as_deref().unwrap_or(",");
                format!("{name}={time}{separator}{pair}={text}")
            }
            (Some(pair), ..) => format!("{pair}={text}"),
            (None, ..) => text,
        };
        signed.signature.place.write(request, &text)
    }

    fn token(&self, jwt: &Jwt, request: &Request, pen: Pen<'_>) -> Result<String, String> {
        let algorithm = *jwt.algorithms.first().ok_or_else(|| no_key(&self.block))?;
        let now = pen.now.as_second();
        let mut claims = Map::new();
        for (name, values) in &self.claims {
            claims.insert(name.clone(), values.last().map_or(Value::Null, |value| value.clone().into()));
        }
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(jwt.max_age.map_or(300, |age| age.as_secs())).into());
        if let Some(Place::Claim(name)) = self.block.replay.as_ref().map(|replay| &replay.place) {
            claims.insert(name.clone(), nonce(request, pen.now).into());
        }
        for bind in &self.block.binds {
            if let Place::Claim(name) = &bind.place
                && (bind.required != BindRequired::WithBody || !request.body.is_empty())
            {
                claims.insert(name.clone(), self.bound(bind.equals, request, pen).into());
            }
        }
        let header = json!({ "alg": algorithm.name(), "typ": "JWT" }).to_string();
        let segment = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", segment(&header), segment(&Value::Object(claims).to_string()));
        let signature = match (algorithm.signs(), &self.keys) {
            (Algorithm::Hmac(hash), Keys::Hmac(keys)) => {
                let wanted = hmac_algorithm(hash);
                let key = keys.iter().rfind(|key| key.algorithm() == wanted).ok_or_else(|| no_key(&self.block))?;
                hmac::sign(key, message.as_bytes()).as_ref().to_vec()
            }
            (algorithm, Keys::Generated(pair)) => {
                let (hash, format) = choices(algorithm);
                pair.sign(hash, format, message.as_bytes())?
            }
            _ => return Err(no_private_key(&self.block)),
        };
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn no_key(block: &Block) -> String {
    format!("{} has no key to sign the sample with", block.name)
}

fn no_private_key(block: &Block) -> String {
    format!("{} checks with a public key; set it to \"@generated\" in the sample, or record a real request", block.name)
}

fn choices(algorithm: Algorithm) -> (HashName, SignatureFormat) {
    match algorithm {
        Algorithm::Rsa(hash) | Algorithm::Hmac(hash) | Algorithm::Hash(hash) => (hash, SignatureFormat::Raw),
        Algorithm::EcdsaP256(format) => (HashName::Sha256, format),
        Algorithm::Ed25519 => (HashName::Sha512, SignatureFormat::Raw),
    }
}

fn read(place: &Place, request: &Request, pen: Pen<'_>) -> Result<Option<Vec<u8>>, String> {
    let evidence = Evidence::new(request, pen.reading);
    let value = place.find(&evidence).map_err(|failure| failure.detail)?;
    Ok(value.map(std::borrow::Cow::into_owned))
}

fn written(time: &Time, now: Timestamp) -> String {
    match time.unit {
        TimestampUnit::S => now.as_second().to_string(),
        TimestampUnit::Ms => now.as_millisecond().to_string(),
        TimestampUnit::Rfc3339 => now.to_string(),
    }
}

/// Drawn from the sample itself: another one for another sample.
fn nonce(request: &Request, now: Timestamp) -> String {
    let time = now.as_nanosecond().to_be_bytes();
    hex(&sha256(&[request.target.as_bytes(), &request.body, &time])[..16])
}

fn encoded(rules: &Signature, signature: &[u8]) -> String {
    let text = match rules.encoding {
        SignatureEncoding::Hex | SignatureEncoding::HexNocase => hex(signature),
        SignatureEncoding::Base64 => STANDARD.encode(signature),
        SignatureEncoding::Base64url => URL_SAFE_NO_PAD.encode(signature),
    };
    format!("{}{text}", rules.prefix)
}
