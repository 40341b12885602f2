//! Public keys from the network, for `jwks-url` and `cert_url`.
//!
//! Verification never touches a socket. It looks keys up here by their URL; a task of the shell asks which URLs are
//! [wanted](KeyRing::wanted), fetches them and [puts](KeyRing::put) the text in. Whoever sends requests can name
//! certificate URLs (on the hosts that the manifest allows), so both lists are bounded.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use super::public_key::PublicKey;

/// URLs that are waited for, at most; further ones are asked for when they come again.
const MAX_WANTED: usize = 16;
/// Sources that are kept, at most; the oldest goes first.
const MAX_SOURCES: usize = 64;
/// Longest text that is looked at.
const MAX_TEXT: usize = 256 * 1024;

/// Keys by URL, shared between the verifiers and the task that fetches.
#[derive(Debug, Default)]
pub struct KeyRing {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sources: HashMap<String, Source>,
    /// Oldest first.
    order: VecDeque<String>,
    wanted: Vec<String>,
}

#[derive(Clone, Debug)]
enum Source {
    Keys(Arc<[PublicKey]>),
    /// It was fetched, or could not be, and there is no key.
    Bad,
}

/// The text of a URL holds no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no public key, certificate or key set in what was fetched")]
pub struct NoKeys;

/// What is known of a URL.
pub(super) enum Lookup {
    Keys(Arc<[PublicKey]>),
    Bad,
    /// It has been put on the list of what is wanted.
    Unknown,
}

impl KeyRing {
    /// Takes in what a URL answered: PEM or a JSON Web Key Set. A good set stays when a later answer is bad.
    pub fn put(&self, url: &str, text: &str) -> Result<(), NoKeys> {
        let text = if text.len() > MAX_TEXT { "" } else { text };
        let keys = PublicKey::from_pem(text).map(|key| vec![key]).or_else(|| PublicKey::from_jwks(text));
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
            self.reject(url);
            return Err(NoKeys);
        };
        self.insert(url, Source::Keys(keys.into()));
        Ok(())
    }

    /// The URL answers for good that there is nothing (404, say): requests that name it are refused from now on.
    pub fn reject(&self, url: &str) {
        let known = matches!(self.read().sources.get(url), Some(Source::Keys(_)));
        if !known {
            self.insert(url, Source::Bad);
        }
    }

    /// URLs that a request named and that are not here.
    pub fn wanted(&self) -> Vec<String> {
        self.read().wanted.clone()
    }

    fn insert(&self, url: &str, source: Source) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.wanted.retain(|wanted| wanted != url);
        if inner.sources.insert(url.to_owned(), source).is_none() {
            inner.order.push_back(url.to_owned());
        }
        if inner.order.len() > MAX_SOURCES
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.sources.remove(&oldest);
        }
    }

    pub(super) fn find(&self, url: &str) -> Lookup {
        match self.read().sources.get(url) {
            Some(Source::Keys(keys)) => return Lookup::Keys(Arc::clone(keys)),
            Some(Source::Bad) => return Lookup::Bad,
            None => {}
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.wanted.len() < MAX_WANTED && !inner.wanted.iter().any(|wanted| wanted == url) {
            inner.wanted.push(url.to_owned());
        }
        Lookup::Unknown
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{
        key_pair::generate_key_pair,
        rules::{KeyEncoding, VerifyKind},
    };

    #[test]
    fn an_unknown_url_is_wanted_until_its_keys_are_put_in() {
        let ring = KeyRing::default();
        let url = "https://keys.example/a.pem";
        assert!(matches!(ring.find(url), Lookup::Unknown));
        assert_eq!(ring.wanted(), [url]);
        let (pem, _) = generate_key_pair(VerifyKind::EcdsaP256, KeyEncoding::Pem).expect("a pair");
        ring.put(url, &pem).expect("a key");
        assert!(ring.wanted().is_empty() && matches!(ring.find(url), Lookup::Keys(_)));
        assert_eq!(ring.put(url, "<html>"), Err(NoKeys));
        assert!(matches!(ring.find(url), Lookup::Keys(_)), "a bad answer later changes nothing");
    }

    #[test]
    fn strangers_cannot_fill_the_ring() {
        let ring = KeyRing::default();
        for number in 0..1000 {
            let _ = ring.find(&format!("https://keys.example/{number}"));
            ring.reject(&format!("https://keys.example/bad/{number}"));
        }
        assert_eq!(ring.wanted().len(), MAX_WANTED);
        assert_eq!(ring.read().sources.len(), MAX_SOURCES);
    }

    #[test]
    fn a_key_set_gives_the_kinds_of_the_vocabulary_and_no_secrets() {
        // The keys of RFC 8037, appendix A.2, and RFC 7517, appendix A.1 and A.3.
        let text = r#"{"keys":[
            {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed"},
            {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
             "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"not for signatures"},
            {"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
        let keys = PublicKey::from_jwks(text).expect("a set");
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].id.as_deref(), Some("ed"));
    }
}
