//! The keys of one block in one channel: read from the settings once, never printed.

use std::{fmt, sync::Arc};

use base64::Engine;
use ring::hmac;
use zeroize::Zeroize;

use super::{
    SchemeError,
    block::{Algorithm, Block, KeySource, Kind, Value, hmac_algorithm},
    evidence::sha256,
    key_pair::{GENERATED, KeyPair},
    network::Network,
    public_key::{BASE64, PublicKey, decode_hex},
    rules::KeyEncoding,
};
use crate::settings::Settings;

/// A block with its keys.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) block: Arc<Block>,
    pub(super) keys: Keys,
    /// Exact values of claims: one of the list.
    pub(super) claims: Vec<(String, Vec<String>)>,
}

/// All values of a setting, the last one being the one that a sample is signed with.
#[derive(Debug)]
pub(super) enum Keys {
    /// One for each value, and for a JWT for each algorithm of the allow-list.
    Hmac(Vec<hmac::Key>),
    Secrets(Vec<Secret>),
    Public(Vec<PublicKey>),
    /// Of a sample.
    Generated(KeyPair),
    /// Sets on the network.
    Urls(Vec<String>),
    /// The request names its certificate.
    Certificate,
    /// What a request shows as it is: a token, or `user:password`.
    Credentials(Vec<Credential>),
    Networks(Vec<Network>),
    Subjects(Vec<String>),
}

/// Bytes that print nothing and are wiped.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Vec<u8>);

impl Secret {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(***)")
    }
}

/// Compared by its digest, so that neither its bytes nor its length can be learnt from the time it takes.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) digest: Digest,
    /// Written into samples.
    pub(super) text: Secret,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest(pub(super) [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Digest(***)")
    }
}

impl Credential {
    pub(super) fn new(text: Vec<u8>) -> Self {
        Self { digest: Digest(sha256(&[&text])), text: Secret(text) }
    }
}

/// Reads the keys of a block. None: the channel leaves its settings out, and the block is switched off.
pub(super) fn arm(block: &Arc<Block>, settings: &Settings, mistakes: &mut Vec<SchemeError>) -> Option<Armed> {
    let wanted = block.settings();
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| settings.get(name).is_none()).collect();
    if !missing.is_empty() && missing.len() == wanted.len() {
        return None;
    }
    let mut reader = Reader { block, settings, mistakes, failed: false };
    for name in missing {
        reader.error(name, "is missing while others of the same check are set", "set it, or leave all of them out");
    }
    for name in wanted {
        if settings.values(name).iter().any(|value| value.trim().is_empty()) {
            reader.error(name, "is empty", "an empty secret would let everybody in; set it");
        }
    }
    if reader.failed {
        return None;
    }
    let keys = reader.keys();
    let claims = reader.claims();
    let failed = reader.failed;
    keys.filter(|_| !failed).map(|keys| Armed { block: Arc::clone(block), keys, claims })
}

struct Reader<'a> {
    block: &'a Block,
    settings: &'a Settings,
    mistakes: &'a mut Vec<SchemeError>,
    failed: bool,
}

impl Reader<'_> {
    fn error(&mut self, setting: &str, message: &str, hint: &str) {
        self.failed = true;
        self.mistakes.push(SchemeError {
            block: Some(self.block.index),
            key: setting.to_owned(),
            message: format!("the setting `{setting}` {message} ({})", self.block.name),
            hint: Some(hint.to_owned()),
            is_warning: false,
        });
    }

    fn keys(&mut self) -> Option<Keys> {
        // The block is borrowed for longer than the reader, which notes mistakes meanwhile.
        let block = self.block;
        match &block.kind {
            Kind::Signed(signed) => self.signing_keys(&signed.key, &[signed.algorithm]),
            Kind::Jwt(jwt) => {
                let algorithms: Vec<_> = jwt.algorithms.iter().map(|algorithm| algorithm.signs()).collect();
                self.signing_keys(&jwt.key, &algorithms)
            }
            Kind::Token { setting, .. } => {
                let values = self.settings.values(setting);
                Some(Keys::Credentials(values.into_iter().map(|value| Credential::new(value.into())).collect()))
            }
            Kind::Basic { user, password } => {
                let passwords = self.settings.values(password);
                let pairs = self.settings.values(user).into_iter().flat_map(|user| {
                    passwords.iter().map(move |password| Credential::new(format!("{user}:{password}").into_bytes()))
                });
                Some(Keys::Credentials(pairs.collect()))
            }
            Kind::Ip { setting } => {
                let lists: Option<Vec<_>> =
                    self.settings.values(setting).into_iter().map(Network::parse_list).collect();
                let Some(lists) = lists else {
                    self.error(setting, "is no list of networks", "separate CIDR blocks by commas: 203.0.113.0/24");
                    return None;
                };
                Some(Keys::Networks(lists.concat()))
            }
            Kind::Mtls { subject } => Some(Keys::Subjects(self.values(subject))),
        }
    }

    fn values(&self, value: &Value) -> Vec<String> {
        match value {
            Value::Literal(text) => vec![text.clone()],
            Value::Setting(name) => self.settings.values(name).into_iter().map(str::to_owned).collect(),
        }
    }

    fn claims(&self) -> Vec<(String, Vec<String>)> {
        let Kind::Jwt(jwt) = &self.block.kind else { return Vec::new() };
        jwt.claims.iter().map(|(name, value)| (name.clone(), self.values(value))).collect()
    }

    fn signing_keys(&mut self, source: &KeySource, algorithms: &[Algorithm]) -> Option<Keys> {
        let KeySource::Setting { name, prefix, encoding } = source else { return Some(Keys::Certificate) };
        let values: Vec<String> = self
            .settings
            .values(name)
            .into_iter()
            .map(|value| value.strip_prefix(prefix.as_str()).unwrap_or(value).to_owned())
            .collect();
        match algorithms.first()?.public() {
            Some((algorithm, _)) => self.public_keys(name, &values, *encoding, algorithm),
            None => Some(self.secret_keys(name, &values, *encoding, algorithms)),
        }
    }

    fn public_keys(
        &mut self,
        name: &str,
        values: &[String],
        encoding: KeyEncoding,
        algorithm: super::der::Algorithm,
    ) -> Option<Keys> {
        if values.iter().any(|value| value == GENERATED) {
            return KeyPair::generate(algorithm).map(Keys::Generated);
        }
        if encoding == KeyEncoding::JwksUrl {
            if values.iter().any(|value| !value.starts_with("https://")) {
                self.error(name, "is no https URL", "give the provider's key set, like https://keys.example/jwks.json");
                return None;
            }
            return Some(Keys::Urls(values.to_vec()));
        }
        let mut keys = Vec::with_capacity(values.len());
        for value in values {
            match PublicKey::read(value, encoding, algorithm) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    self.error(name, &format!("cannot be read: {why}"), "copy it from the provider's console again");
                }
            }
        }
        Some(Keys::Public(keys))
    }

    fn secret_keys(&mut self, name: &str, values: &[String], encoding: KeyEncoding, algorithms: &[Algorithm]) -> Keys {
        let mut secrets = Vec::with_capacity(values.len());
        for value in values {
            let bytes = match encoding {
                KeyEncoding::Base64 => BASE64.decode(value.trim()).ok(),
                KeyEncoding::Hex => decode_hex(value.trim()),
                KeyEncoding::Utf8 | KeyEncoding::Pem | KeyEncoding::JwksUrl => Some(value.clone().into_bytes()),
            };
            match bytes {
                None => self.error(name, "cannot be decoded", "the manifest says in `key_encoding` how it is written"),
                Some(bytes) if bytes.is_empty() => {
                    self.error(name, "is empty", "an empty secret would let everybody in; set it");
                }
                Some(bytes) => secrets.push(Secret(bytes)),
            }
        }
        if let [Algorithm::Hash(_), ..] = algorithms {
            return Keys::Secrets(secrets);
        }
        Keys::Hmac(hmac_keys(&secrets, algorithms))
    }
}

fn hmac_keys(secrets: &[Secret], algorithms: &[Algorithm]) -> Vec<hmac::Key> {
    let hashes = |secret: &Secret| {
        let keys = algorithms.iter().filter_map(|algorithm| match algorithm {
            Algorithm::Hmac(hash) => Some(hmac::Key::new(hmac_algorithm(*hash), secret.bytes())),
            _ => None,
        });
        keys.collect::<Vec<_>>()
    };
    secrets.iter().flat_map(hashes).collect()
}

impl Armed {
    /// With a key pair of the harness where the request would name a certificate.
    pub(super) fn with_sample_certificate(self) -> Self {
        let keys = match self.keys {
            Keys::Certificate => {
                KeyPair::generate(super::der::Algorithm::Rsa).map_or(Keys::Certificate, Keys::Generated)
            }
            keys => keys,
        };
        Self { keys, ..self }
    }

    /// The same block with keys that nobody holds: every request that needed the real ones must be refused.
    pub(super) fn with_foreign_keys(&self) -> Self {
        let generated = |algorithm: Option<super::der::Algorithm>| {
            algorithm.and_then(KeyPair::generate).map_or_else(|| Keys::Public(Vec::new()), Keys::Generated)
        };
        let foreign = |secret: &[u8]| sha256(&[b"another key", secret]).to_vec();
        let keys = match &self.keys {
            Keys::Hmac(keys) => {
                let keys = keys.iter().map(|key| hmac::Key::new(key.algorithm(), &foreign(b"hmac")));
                Keys::Hmac(keys.collect())
            }
            Keys::Secrets(secrets) => {
                Keys::Secrets(secrets.iter().map(|secret| Secret(foreign(secret.bytes()))).collect())
            }
            Keys::Public(keys) => generated(keys.first().map(|key| key.algorithm)),
            // Samples share one RSA key, so that another one is another certificate's: none at all.
            Keys::Generated(pair) if pair.public().algorithm == super::der::Algorithm::Rsa => Keys::Public(Vec::new()),
            Keys::Generated(pair) => generated(Some(pair.public().algorithm)),
            Keys::Urls(_) | Keys::Certificate => Keys::Public(Vec::new()),
            Keys::Credentials(list) => Keys::Credentials(
                list.iter().map(|credential| Credential::new(foreign(credential.text.bytes()))).collect(),
            ),
            Keys::Networks(networks) => Keys::Networks(networks.clone()),
            Keys::Subjects(_) => Keys::Subjects(Vec::new()),
        };
        Self { block: Arc::clone(&self.block), keys, claims: self.claims.clone() }
    }
}
