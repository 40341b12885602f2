//! Public keys: from the text of a setting, a certificate or a JSON Web Key to the bytes that ring checks with.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};
use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;

use super::{
    der::{self, Algorithm, INTEGER, SEQUENCE},
    rules::KeyEncoding,
};

/// Base64 as people paste it: padding or none.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A JSON Web Key Set longer than this is cut off.
const MAX_KEYS: usize = 64;

/// One key, its length and shape checked.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub(super) algorithm: Algorithm,
    /// 32 bytes, a point of 65 bytes, or an `RSAPublicKey` (RFC 8017).
    bytes: Vec<u8>,
    /// `kid` of a JSON Web Key.
    pub(super) id: Option<String>,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PublicKey({:?})", self.algorithm)
    }
}

impl PublicKey {
    /// None: the bytes are no key of this kind.
    pub(super) fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let good = match algorithm {
            Algorithm::Ed25519 => bytes.len() == 32,
            Algorithm::P256 => bytes.len() == 65 && bytes[0] == 4,
            Algorithm::Rsa => is_rsa(bytes),
        };
        good.then(|| Self { algorithm, bytes: bytes.to_vec(), id: None })
    }

    /// Reads the value of a setting, for a block that wants `algorithm`.
    pub(super) fn read(text: &str, encoding: KeyEncoding, algorithm: Algorithm) -> Result<Self, &'static str> {
        let bytes = match encoding {
            KeyEncoding::Pem => return Self::from_pem(text).filter(|key| key.algorithm == algorithm).ok_or(NO_PEM),
            KeyEncoding::Base64 => BASE64.decode(text.trim()).map_err(|_| "it is not base64")?,
            KeyEncoding::Hex => decode_hex(text.trim()).ok_or("it is not hexadecimal")?,
            KeyEncoding::Utf8 | KeyEncoding::JwksUrl => return Err("a public key is written in base64, hex or PEM"),
        };
        Self::new(algorithm, &bytes)
            .or_else(|| Self::from_spki(&bytes).filter(|key| key.algorithm == algorithm))
            .ok_or("it is no public key of this kind")
    }

    fn from_spki(spki: &[u8]) -> Option<Self> {
        let (algorithm, bytes) = der::subject_public_key(spki)?;
        Self::new(algorithm, bytes)
    }

    /// The first public key or certificate of a PEM text.
    pub(super) fn from_pem(text: &str) -> Option<Self> {
        let (_, text) = text.split_once("-----BEGIN ")?;
        let (label, text) = text.split_once("-----")?;
        let (body, _) = text.split_once("-----END ")?;
        let body: String = body.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
        let der = BASE64.decode(body).ok()?;
        match label {
            "PUBLIC KEY" => Self::from_spki(&der),
            "CERTIFICATE" => Self::from_spki(der::certificate_key(&der)?),
            "RSA PUBLIC KEY" => Self::new(Algorithm::Rsa, &der),
            _ => None,
        }
    }

    /// The keys of a JSON Web Key Set (RFC 7517). Kinds that are not in the vocabulary are left out, and so are
    /// symmetric ones: a secret has no business on the network.
    pub(super) fn from_jwks(text: &str) -> Option<Vec<Self>> {
        let set: KeySet = serde_json::from_str(text).ok()?;
        Some(set.keys.into_iter().take(MAX_KEYS).filter_map(Self::from_jwk).collect())
    }

    fn from_jwk(jwk: Jwk) -> Option<Self> {
        if jwk.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let part = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok();
        let (algorithm, bytes) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let numbers = [der::write_integer(&part(jwk.n)?), der::write_integer(&part(jwk.e)?)].concat();
                (Algorithm::Rsa, der::write(SEQUENCE, &numbers))
            }
            ("EC", Some("P-256")) => (Algorithm::P256, [vec![4], part(jwk.x)?, part(jwk.y)?].concat()),
            ("OKP", Some("Ed25519")) => (Algorithm::Ed25519, part(jwk.x)?),
            _ => return None,
        };
        Some(Self { id: jwk.kid, ..Self::new(algorithm, &bytes)? })
    }

    pub(super) fn verifies(&self, how: &'static dyn VerificationAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(how, &self.bytes).verify(message, signature).is_ok()
    }

    pub(super) fn spki(&self) -> Vec<u8> {
        der::write_subject_public_key(self.algorithm, &self.bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

const NO_PEM: &str = "it is no PEM text (PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE) with a key of this kind";

/// Two numbers, the modulus of 2048 to 8192 bits: ring checks with no shorter one.
fn is_rsa(bytes: &[u8]) -> bool {
    let numbers = || {
        let (numbers, rest) = der::expect(bytes, SEQUENCE)?;
        let (modulus, numbers) = der::expect(numbers, INTEGER)?;
        let (exponent, numbers) = der::expect(numbers, INTEGER)?;
        (rest.is_empty() && numbers.is_empty() && !exponent.is_empty()).then_some(modulus)
    };
    numbers().is_some_and(|modulus| (256..=1025).contains(&modulus.len()))
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Both cases, an even number of digits.
pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits.len().is_multiple_of(2).then_some(())?;
    digits.chunks_exact(2).map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()).collect()
}
