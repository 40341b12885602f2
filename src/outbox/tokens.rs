//! OAuth tokens of providers, kept in memory until they expire. A restart asks anew.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::{
    adapter::webhook::send::{Outgoing, auth::OauthToken},
    http::Http,
};

/// More tokens than channels that a gateway has. Beyond it all are asked for again.
const MOST: usize = 1024;

/// Tokens by the request that gets them: a channel with another secret asks anew.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<Key, Kept>>);

/// SHA-256 of the request.
type Key = [u8; 32];

#[derive(Debug)]
struct Kept {
    secret: SecretString,
    until: Instant,
}

impl Tokens {
    /// The token that the request leads to. The error is for operators. Two sends that miss it at once both ask; the
    /// providers do not mind, and no lock is held meanwhile.
    pub async fn token(&self, http: &Http, request: Outgoing) -> Result<SecretString, String> {
        let key = key(&request);
        let now = Instant::now();
        if let Some(kept) = self.lock().get(&key).filter(|kept| kept.until > now) {
            return Ok(kept.secret.clone());
        }
        let response = http.send(request).await.map_err(|error| error.to_string())?;
        let token = OauthToken::read(&response)?;
        let mut kept = self.lock();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, Kept { secret: token.secret.clone(), until: now + token.lifetime });
        Ok(token.secret)
    }

    /// After a 401: the provider no longer takes it.
    pub fn forget(&self, request: &Outgoing) {
        self.lock().remove(&key(request));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request of ours is called `Authorization: Bearer` with.
pub(super) fn exposed(token: Option<&SecretString>) -> Option<&str> {
    token.map(ExposeSecret::expose_secret)
}

fn key(request: &Outgoing) -> Key {
    let mut context = digest::Context::new(&digest::SHA256);
    let headers = request.headers.iter().map(|(_, value)| value.as_bytes());
    for part in [request.url.as_bytes(), &request.body].into_iter().chain(headers) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut key = Key::default();
    key.copy_from_slice(context.finish().as_ref());
    key
}
