//! A `[[verify]]` block after it was checked: what is looked up where, and what it proves. Without keys.

use jiff::SignedDuration;
use ring::{hmac, signature as checks};

use super::{
    der,
    part::{Message, Part},
    place::Place,
    pointer::Pointer,
    rules::{
        BindHash, BindRequired, HashName, KeyEncoding, SignatureEncoding, SignatureFormat, TimestampUnit, UrlVariant,
    },
};
use crate::receipt::Proves;

/// One block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Place in the manifest, for mistakes that are found when keys are read.
    pub(super) index: usize,
    /// Shown to operators, and part of a nonce.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) timestamp: Option<Time>,
    pub(super) replay: Option<Replay>,
    pub(super) binds: Vec<Bind>,
    pub(super) url_variants: Vec<UrlVariant>,
    pub(super) covers: Covers,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Signed(Box<Signed>),
    Jwt(Box<Jwt>),
    Token { place: Place, prefix: String, setting: String },
    Basic { user: String, password: String },
    Ip { setting: String },
    Mtls { subject: Value },
}

/// A signature over parts of the request.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) algorithm: Algorithm,
    pub(super) key: KeySource,
    pub(super) message: Message,
    pub(super) signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hmac(HashName),
    Hash(HashName),
    Ed25519,
    EcdsaP256(SignatureFormat),
    Rsa(HashName),
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub(super) enum KeySource {
    Setting {
        name: String,
        prefix: String,
        encoding: KeyEncoding,
    },
    /// A certificate whose URL stands in the body.
    Certificate {
        pointer: Pointer,
        hosts: Vec<String>,
    },
}

/// Where the signature stands and how it is written.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    pub(super) place: Place,
    pub(super) prefix: String,
    pub(super) split: Option<String>,
    pub(super) pair: Option<String>,
    pub(super) encoding: SignatureEncoding,
}

#[derive(Clone, Debug)]
pub(super) struct Jwt {
    pub(super) token: Place,
    pub(super) prefix: String,
    /// Of one family.
    pub(super) algorithms: Vec<JwtAlgorithm>,
    pub(super) key: KeySource,
    pub(super) claims: Vec<(String, Value)>,
    pub(super) leeway: SignedDuration,
    pub(super) max_age: Option<SignedDuration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JwtAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Es256,
    EdDsa,
}

/// A literal, or the name of a setting.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Literal(String),
    Setting(String),
}

#[derive(Clone, Debug)]
pub(super) struct Time {
    pub(super) place: Place,
    pub(super) unit: TimestampUnit,
    pub(super) tolerance: SignedDuration,
}

#[derive(Clone, Debug)]
pub(super) struct Replay {
    pub(super) place: Place,
    pub(super) ttl_seconds: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Bind {
    pub(super) place: Place,
    pub(super) equals: BindHash,
    pub(super) required: BindRequired,
    /// Does the signature cover the value? One that it does not cover binds nothing.
    pub(super) is_signed: bool,
}

/// What the signature of a block reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Covers {
    /// Whoever sent it holds a secret.
    pub(super) sender: bool,
    /// Every byte of the body, whatever it is.
    pub(super) body: bool,
    /// Every field of a form.
    pub(super) form: bool,
    /// Every parameter of the query.
    pub(super) query: bool,
    /// Another path would be refused.
    pub(super) url: bool,
    /// The body is bound by its hash, whenever there is one.
    pub(super) bound_body: bool,
    /// A signed time is checked.
    pub(super) freshness: bool,
}

impl Covers {
    pub(super) fn content(self) -> bool {
        self.body || self.form || self.bound_body
    }

    pub(super) fn proves(self) -> Proves {
        Proves { sender: self.sender, content: self.content(), freshness: self.freshness }
    }
}

impl Block {
    /// The method word of the complaint format, §6.
    pub(super) fn method(&self) -> &'static str {
        match &self.kind {
            Kind::Signed(signed) => match signed.algorithm {
                Algorithm::Hmac(HashName::Sha1) => "hmac_sha1",
                Algorithm::Hmac(HashName::Sha384) => "hmac_sha384",
                Algorithm::Hmac(HashName::Sha512) => "hmac_sha512",
                Algorithm::Hmac(HashName::Sha256 | HashName::Md5) => "hmac_sha256",
                Algorithm::Hash(_) => "hash",
                Algorithm::Ed25519 => "ed25519",
                Algorithm::EcdsaP256(_) => "ecdsa_p256",
                Algorithm::Rsa(_) => "rsa",
            },
            Kind::Jwt(_) => "jwt",
            Kind::Token { place: Place::Header(_), .. } => "secret_token",
            Kind::Token { .. } => "shared_secret",
            Kind::Basic { .. } => "basic",
            Kind::Ip { .. } => "ip_allowlist",
            Kind::Mtls { .. } => "mtls",
        }
    }

    /// Where the credentials stand; None: in the connection.
    pub(super) fn credentials(&self) -> Option<&Place> {
        match &self.kind {
            Kind::Signed(signed) => Some(&signed.signature.place),
            Kind::Jwt(jwt) => Some(&jwt.token),
            Kind::Token { place, .. } => Some(place),
            Kind::Basic { .. } => Some(&AUTHORIZATION),
            Kind::Ip { .. } | Kind::Mtls { .. } => None,
        }
    }

    /// Names of the settings that the block reads.
    pub(super) fn settings(&self) -> Vec<&str> {
        let key = |source: &'_ KeySource| match source {
            KeySource::Setting { .. } => true,
            KeySource::Certificate { .. } => false,
        };
        match &self.kind {
            Kind::Signed(signed) if key(&signed.key) => signed.key.setting().into_iter().collect(),
            Kind::Signed(_) => Vec::new(),
            Kind::Jwt(jwt) => {
                let claims = jwt.claims.iter().filter_map(|(_, value)| value.setting());
                jwt.key.setting().into_iter().chain(claims).collect()
            }
            Kind::Token { setting, .. } | Kind::Ip { setting } => vec![setting],
            Kind::Basic { user, password } => vec![user, password],
            Kind::Mtls { subject } => subject.setting().into_iter().collect(),
        }
    }

    /// How far a clock may be off before the request is stale, and before it is from the future.
    pub(super) fn window(&self) -> Option<(SignedDuration, SignedDuration)> {
        let age = match &self.kind {
            Kind::Jwt(jwt) => jwt.max_age.map(|max_age| (max_age, jwt.leeway)),
            _ => None,
        };
        age.or_else(|| self.timestamp.as_ref().map(|time| (time.tolerance, time.tolerance)))
    }
}

static AUTHORIZATION: std::sync::LazyLock<Place> =
    std::sync::LazyLock::new(|| Place::Header("authorization".to_owned()));

impl Value {
    fn setting(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Setting(name) => Some(name),
        }
    }
}

impl KeySource {
    pub(super) fn setting(&self) -> Option<&str> {
        match self {
            Self::Setting { name, .. } => Some(name),
            Self::Certificate { .. } => None,
        }
    }
}

impl Signed {
    pub(super) fn uses_url(&self) -> bool {
        self.message.has_url()
    }

    pub(super) fn has_part(&self, wanted: &Part) -> bool {
        self.message.parts.contains(wanted)
    }
}

impl Algorithm {
    /// What a public key must be for, and how ring checks with it. None: the keys are secrets.
    pub(super) fn public(self) -> Option<(der::Algorithm, &'static dyn checks::VerificationAlgorithm)> {
        Some(match self {
            Self::Hmac(_) | Self::Hash(_) => return None,
            Self::Ed25519 => (der::Algorithm::Ed25519, &checks::ED25519),
            Self::EcdsaP256(SignatureFormat::Raw) => (der::Algorithm::P256, &checks::ECDSA_P256_SHA256_FIXED),
            Self::EcdsaP256(SignatureFormat::Der) => (der::Algorithm::P256, &checks::ECDSA_P256_SHA256_ASN1),
            Self::Rsa(HashName::Sha1 | HashName::Md5) => {
                (der::Algorithm::Rsa, &checks::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY)
            }
            Self::Rsa(HashName::Sha256) => (der::Algorithm::Rsa, &checks::RSA_PKCS1_2048_8192_SHA256),
            Self::Rsa(HashName::Sha384) => (der::Algorithm::Rsa, &checks::RSA_PKCS1_2048_8192_SHA384),
            Self::Rsa(HashName::Sha512) => (der::Algorithm::Rsa, &checks::RSA_PKCS1_2048_8192_SHA512),
        })
    }
}

/// ring's HMAC of a hash. MD5 is refused when the manifest is read.
pub(super) fn hmac_algorithm(hash: HashName) -> hmac::Algorithm {
    match hash {
        HashName::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HashName::Md5 | HashName::Sha256 => hmac::HMAC_SHA256,
        HashName::Sha384 => hmac::HMAC_SHA384,
        HashName::Sha512 => hmac::HMAC_SHA512,
    }
}

impl JwtAlgorithm {
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("HS256", Self::Hs256),
        ("HS384", Self::Hs384),
        ("HS512", Self::Hs512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("ES256", Self::Es256),
        ("EdDSA", Self::EdDsa),
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, algorithm)| *algorithm)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }

    /// As a signature over the two segments.
    pub(super) fn signs(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::Hmac(HashName::Sha256),
            Self::Hs384 => Algorithm::Hmac(HashName::Sha384),
            Self::Hs512 => Algorithm::Hmac(HashName::Sha512),
            Self::Rs256 => Algorithm::Rsa(HashName::Sha256),
            Self::Rs384 => Algorithm::Rsa(HashName::Sha384),
            Self::Rs512 => Algorithm::Rsa(HashName::Sha512),
            Self::Es256 => Algorithm::EcdsaP256(SignatureFormat::Raw),
            Self::EdDsa => Algorithm::Ed25519,
        }
    }

    /// HS, RS, ES, EdDSA.
    pub(super) fn family(self) -> std::mem::Discriminant<Algorithm> {
        std::mem::discriminant(&self.signs())
    }
}
