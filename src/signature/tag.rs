//! What a signature should be, and whether one of those shown is it. Every comparison takes the same time for each of its
//! outcomes.

use ring::{digest, hmac};
use subtle::ConstantTimeEq;

use super::{
    block::{Algorithm, Signed},
    part::Piece,
    public_key::{PublicKey, decode_hex},
    rules::{HashName, SignatureEncoding},
};

/// Longest signature, in bytes.
const MAX_SIGNATURE: usize = 1024;

/// Is it one of the signatures?
pub(super) fn is_among(wanted: &[u8], candidates: &[Vec<u8>]) -> bool {
    candidates.iter().fold(subtle::Choice::from(0), |found, candidate| found | wanted.ct_eq(candidate)).into()
}

pub(super) fn decode(text: &str, encoding: SignatureEncoding) -> Option<Vec<u8>> {
    use base64::{
        Engine,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    if text.is_empty() || text.len() > MAX_SIGNATURE * 2 {
        return None;
    }
    match encoding {
        SignatureEncoding::Hex if text.bytes().any(|byte| byte.is_ascii_uppercase()) => None,
        SignatureEncoding::Hex | SignatureEncoding::HexNocase => decode_hex(text),
        SignatureEncoding::Base64 => STANDARD.decode(text).ok(),
        SignatureEncoding::Base64url => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok(),
    }
}

pub(super) fn hmac_matches(
    signed: &Signed,
    key: &hmac::Key,
    pieces: &[Piece<'_>],
    url: &str,
    candidates: &[Vec<u8>],
) -> bool {
    is_among(tagged(signed, key, pieces, url).as_ref(), candidates)
}

pub(super) fn tagged(signed: &Signed, key: &hmac::Key, pieces: &[Piece<'_>], url: &str) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    signed.message.feed(pieces, url, b"", &mut context);
    context.sign()
}

/// The digest over a list that holds the secret.
pub(super) fn hashed(signed: &Signed, secret: &[u8], pieces: &[Piece<'_>], url: &str) -> Vec<u8> {
    let algorithm = match signed.algorithm {
        Algorithm::Hash(HashName::Md5) => {
            let mut context = <md5::Md5 as md5::Digest>::new();
            signed.message.feed(pieces, url, secret, &mut context);
            return md5::Digest::finalize(context).to_vec();
        }
        Algorithm::Hash(HashName::Sha1) => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Hash(HashName::Sha384) => &digest::SHA384,
        Algorithm::Hash(HashName::Sha512) => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let mut context = digest::Context::new(algorithm);
    signed.message.feed(pieces, url, secret, &mut context);
    context.finish().as_ref().to_vec()
}

/// The whole message, for signatures that cannot be checked piece by piece.
pub(super) fn whole(signed: &Signed, pieces: &[Piece<'_>], url: &str) -> Vec<u8> {
    let mut message = Vec::new();
    signed.message.feed(pieces, url, b"", &mut message);
    message
}

pub(super) fn public_matches(
    signed: &Signed,
    key: &PublicKey,
    pieces: &[Piece<'_>],
    url: &str,
    candidates: &[Vec<u8>],
) -> bool {
    let Some((algorithm, how)) = signed.algorithm.public() else { return false };
    let message = whole(signed, pieces, url);
    key.algorithm == algorithm && candidates.iter().any(|candidate| key.verifies(how, &message, candidate))
}
