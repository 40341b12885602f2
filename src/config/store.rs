//! Which store, and how to reach it.

use std::path::{Path, PathBuf};

use redis::{ClientTlsConfig, TlsCertificates};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Mistakes;
use crate::{
    secret::SecretRef,
    store::redis::{
        deployment::{Credentials, Deployment},
        link::Access,
    },
    units::Span,
};

/// `[redis]`: what the URL of the store should not hold.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedisSection {
    /// ACL user; empty: the one of the URL, or the default user.
    pub username: String,
    /// Its password, in place of one in the URL.
    pub password: Option<SecretRef>,
    /// Of the Sentinels, if they ask for one.
    pub sentinel_password: Option<SecretRef>,
    /// PEM file of the authority that signed the servers' certificates; without it the system's authorities are trusted.
    pub ca_file: Option<PathBuf>,
    /// PEM files of a certificate that the gateway shows to the servers, and of its key.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// The longest that a server may take to answer.
    pub response_timeout: Span,
    /// Replicas that have to confirm a write before a receipt counts as done. Left out: one, behind Sentinel and in a
    /// cluster with replicas, else none.
    pub replicas: Option<u32>,
}

impl Default for RedisSection {
    fn default() -> Self {
        Self {
            username: String::new(),
            password: None,
            sentinel_password: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            response_timeout: Span::from_secs(5),
            replicas: None,
        }
    }
}

/// The store of a configuration.
#[derive(Clone, Debug)]
pub enum StoreChoice {
    Embedded,
    Redis(Box<Access>),
}

impl StoreChoice {
    pub(super) fn resolve(
        url: &str,
        section: &RedisSection,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        mistakes: &mut Mistakes,
    ) -> Self {
        if url == "embedded" {
            return Self::Embedded;
        }
        let mut deployment: Deployment = match url.parse() {
            Ok(deployment) => deployment,
            Err(error) => {
                let hint = "embedded, redis://host:port, rediss://host:port, redis-sentinel://host:port,host:port/master or redis-cluster://host:port,host:port";
                mistakes.add("store", format!("store `{}`: {error}", redacted_url(url)), hint);
                return Self::Embedded;
            }
        };
        let mut reading = Reading { folder, environment, mistakes };
        if !section.username.is_empty() {
            deployment.credentials.username = Some(section.username.clone());
        }
        if let Some(password) = reading.secret("password", section.password.as_ref()) {
            deployment.credentials.password = Some(password);
        }
        let sentinel_password = reading.secret("sentinel_password", section.sentinel_password.as_ref());
        let sentinel = Credentials { username: None, password: sentinel_password };
        let certificates = reading.certificates(section, deployment.is_tls);
        Self::Redis(Box::new(Access {
            deployment,
            sentinel,
            certificates,
            response_timeout: section.response_timeout.duration(),
            replicas: section.replicas,
        }))
    }
}

/// Reads what the section refers to.
struct Reading<'a> {
    folder: &'a Path,
    environment: &'a dyn Fn(&str) -> Option<String>,
    mistakes: &'a mut Mistakes,
}

impl Reading<'_> {
    fn secret(&mut self, key: &str, reference: Option<&SecretRef>) -> Option<SecretString> {
        let resolved = reference?.resolve(self.folder, self.environment);
        resolved.map_err(|error| self.mistakes.add(key, format!("{key}: {error}"), "set it, or take the key out")).ok()
    }

    fn file(&mut self, key: &str, path: Option<&PathBuf>) -> Option<Vec<u8>> {
        let path = self.folder.join(path?);
        let read = std::fs::read(&path);
        let unreadable = |error| format!("{key}: {} cannot be read: {error}", path.display());
        read.map_err(|error| self.mistakes.add(key, unreadable(error), "name a PEM file, relative to the folder")).ok()
    }

    fn certificates(&mut self, section: &RedisSection, is_tls: bool) -> Option<TlsCertificates> {
        let root_cert = self.file("ca_file", section.ca_file.as_ref());
        let client_cert = self.file("cert_file", section.cert_file.as_ref());
        let client_key = self.file("key_file", section.key_file.as_ref());
        let client_tls = match (client_cert, client_key) {
            (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
            _ if section.cert_file.is_some() != section.key_file.is_some() => {
                let message = "cert_file and key_file belong together".to_owned();
                self.mistakes.add("cert_file", message, "write both, or neither");
                None
            }
            _ => None,
        };
        if root_cert.is_none() && client_tls.is_none() {
            return None;
        }
        if !is_tls {
            let message = "certificates are given and the store is not asked over TLS".to_owned();
            self.mistakes.add("store", message, "write rediss:// in place of redis://");
        }
        Some(TlsCertificates { client_tls, root_cert })
    }
}

/// A URL without what may be a password.
fn redacted_url(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://***{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}
