//! Key pairs of the harness: a sample whose setting says `"@generated"` is signed with one, and nothing else ever is.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
    },
};

use super::{
    der::Algorithm,
    evidence::hex,
    public_key::PublicKey,
    rules::{HashName, KeyEncoding, SignatureFormat, VerifyKind},
};

/// The value of a setting that asks for a key pair.
pub const GENERATED: &str = "@generated";

/// RSA keys cannot be made by ring, so that samples share this one. It protects nothing, and a verifier that holds it
/// lets no receipt in.
const SAMPLE_RSA_KEY: &str = include_str!("sample_rsa_key.txt");

/// A private key with its public half.
#[derive(Clone)]
pub struct KeyPair {
    private: Vec<u8>,
    public: PublicKey,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "KeyPair({:?})", self.public.algorithm)
    }
}

/// A key pair for a kind of check, and its public half as a provider would hand it out. None: the kind has no key
/// pairs, or a key is not written so.
pub fn generate_key_pair(kind: VerifyKind, encoding: KeyEncoding) -> Option<(String, KeyPair)> {
    let pair = KeyPair::generate(match kind {
        VerifyKind::Ed25519 => Algorithm::Ed25519,
        VerifyKind::EcdsaP256 => Algorithm::P256,
        VerifyKind::Rsa => Algorithm::Rsa,
        _ => return None,
    })?;
    let text = match encoding {
        KeyEncoding::Base64 => STANDARD.encode(pair.public.bytes()),
        KeyEncoding::Hex => hex(pair.public.bytes()),
        KeyEncoding::Pem => {
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(pair.public.spki()))
        }
        KeyEncoding::Utf8 | KeyEncoding::JwksUrl => return None,
    };
    Some((text, pair))
}

impl KeyPair {
    /// ring takes its randomness from the operating system itself; there is no way to hand it in.
    pub(super) fn generate(algorithm: Algorithm) -> Option<Self> {
        let random = SystemRandom::new();
        let (private, public) = match algorithm {
            Algorithm::Ed25519 => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).ok()?.as_ref().to_vec();
                let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
                (pkcs8, pair.public_key().as_ref().to_vec())
            }
            Algorithm::P256 => {
                let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &random).ok()?.as_ref().to_vec();
                let pair = EcdsaKeyPair::from_pkcs8(how, &pkcs8, &random).ok()?;
                (pkcs8, pair.public_key().as_ref().to_vec())
            }
            Algorithm::Rsa => {
                let text: String = SAMPLE_RSA_KEY.split_ascii_whitespace().collect();
                let private = STANDARD.decode(text).ok()?;
                let pair = RsaKeyPair::from_der(&private).ok()?;
                (private, pair.public_key().as_ref().to_vec())
            }
        };
        Some(Self { private, public: PublicKey::new(algorithm, &public)? })
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// `hash` and `format` are looked at where the algorithm has a choice.
    pub(super) fn sign(&self, hash: HashName, format: SignatureFormat, message: &[u8]) -> Result<Vec<u8>, String> {
        let broken = "the sample's key pair cannot sign";
        match self.public.algorithm {
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(&self.private).map_err(|_| broken)?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
            Algorithm::P256 => {
                let random = SystemRandom::new();
                let how: &'static EcdsaSigningAlgorithm = match format {
                    SignatureFormat::Raw => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    SignatureFormat::Der => &ECDSA_P256_SHA256_ASN1_SIGNING,
                };
                let pair = EcdsaKeyPair::from_pkcs8(how, &self.private, &random).map_err(|_| broken)?;
                Ok(pair.sign(&random, message).map_err(|_| broken)?.as_ref().to_vec())
            }
            Algorithm::Rsa => {
                let how: &'static dyn RsaEncoding = match hash {
                    HashName::Sha256 => &RSA_PKCS1_SHA256,
                    HashName::Sha384 => &RSA_PKCS1_SHA384,
                    HashName::Sha512 => &RSA_PKCS1_SHA512,
                    HashName::Md5 | HashName::Sha1 => {
                        return Err("RSA with SHA-1 is checked and never made; record a real request".to_owned());
                    }
                };
                let pair = RsaKeyPair::from_der(&self.private).map_err(|_| broken)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(how, &SystemRandom::new(), message, &mut signature).map_err(|_| broken)?;
                Ok(signature)
            }
        }
    }
}
