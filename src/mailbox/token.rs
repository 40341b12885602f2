//! The access token of a mailbox (RFC 6749, section 6): asked for with the refresh token, and kept until it expires.

use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::trouble::Trouble;
use crate::{
    adapter::{
        mail::OAuth,
        webhook::send::{Outgoing, auth::OauthToken},
    },
    http::Http,
    percent,
};

/// One mailbox's token. It is in memory only; a restart asks anew.
#[derive(Debug)]
pub(super) struct Token {
    http: Http,
    /// With the time until which it is good.
    kept: Mutex<Option<(SecretString, Instant)>>,
}

impl Token {
    pub fn new(http: Http) -> Self {
        Self { http, kept: Mutex::default() }
    }

    /// Is there one that was used before?
    pub fn is_kept(&self) -> bool {
        self.kept().is_some()
    }

    /// The server does not take it any more.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn kept(&self) -> Option<SecretString> {
        let kept = self.lock();
        kept.as_ref().filter(|(_, until)| *until > Instant::now()).map(|(secret, _)| secret.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(SecretString, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, fetched if there is none. No lock is held meanwhile: two folders may both ask, which nobody minds.
    pub async fn current(&self, oauth: &OAuth) -> Result<SecretString, Trouble> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let response = self.http.send(request(oauth)).await.map_err(|error| Trouble::Lost(error.to_string()))?;
        // 400 `invalid_grant`: the refresh token was revoked or has expired, and a person has to give another.
        let token = OauthToken::read(&response)
            .map_err(|words| Trouble::Refused(format!("{words}; is the refresh token still good?")))?;
        *self.lock() = Some((token.secret.clone(), Instant::now() + token.lifetime));
        Ok(token.secret)
    }
}

fn request(oauth: &OAuth) -> Outgoing {
    let secret = oauth.client_secret.as_ref().map(ExposeSecret::expose_secret);
    let fields = [
        ("grant_type", Some("refresh_token")),
        ("refresh_token", Some(oauth.refresh_token.expose_secret())),
        ("client_id", Some(oauth.client_id.as_str())),
        ("client_secret", secret),
        ("scope", oauth.scope.as_deref()),
    ];
    let pair = |(name, value): (&str, Option<&str>)| Some(format!("{name}={}", percent::encoded(value?)));
    let body = fields.into_iter().filter_map(pair).collect::<Vec<_>>().join("&");
    Outgoing {
        method: "POST".to_owned(),
        url: oauth.token_url.clone(),
        shown: oauth.token_url.split(['?', '#']).next().unwrap_or_default().to_owned(),
        headers: vec![
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ],
        body: body.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_a_form_that_shows_nothing() {
        let oauth = OAuth {
            token_url: "https://login.example/token?tenant=1".into(),
            client_id: "c d".into(),
            client_secret: None,
            refresh_token: "r&s".into(),
            scope: Some("https://mail.google.com/".into()),
        };
        let request = request(&oauth);
        let body = String::from_utf8(request.body.clone()).expect("a text");
        assert_eq!(
            body,
            "grant_type=refresh_token&refresh_token=r%26s&client_id=c%20d&scope=https%3A%2F%2Fmail.google.com%2F"
        );
        assert!(!format!("{request:?}").contains("tenant") && !format!("{request:?}").contains("r%26s"));
    }
}
