//! The access token of a mailbox (RFC 6749, section 6): asked for with the refresh token, and kept until it expires.

use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use serde::Deserialize;
use tokio::time::Instant;

use super::trouble::Trouble;
use crate::{
    adapter::{mail::OAuth, webhook::send::auth::OauthToken},
    http::Http,
};

/// One mailbox's token. It is in memory only; a restart asks anew.
#[derive(Debug)]
pub(super) struct Token {
    http: Http,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// With the time until which it is good.
    access: Option<(SecretString, Instant)>,
    /// Given in place of the channel's own by a provider that changes it with every use. Lost at a restart: the channel's own
    /// has to be renewed before it ends.
    refresh: Option<SecretString>,
}

impl Token {
    pub fn new(http: Http) -> Self {
        Self { http, kept: Mutex::default() }
    }

    /// Is there one that was used before?
    pub fn is_kept(&self) -> bool {
        self.access().is_some()
    }

    /// The server does not take it any more.
    pub fn forget(&self) {
        self.lock().access = None;
    }

    fn access(&self) -> Option<SecretString> {
        let kept = self.lock();
        kept.access.as_ref().filter(|(_, until)| *until > Instant::now()).map(|(secret, _)| secret.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, fetched if there is none. No lock is held meanwhile: two folders may both ask, which nobody minds.
    pub async fn current(&self, oauth: &OAuth) -> Result<SecretString, Trouble> {
        if let Some(kept) = self.access() {
            return Ok(kept);
        }
        let newer = self.lock().refresh.clone();
        if let Some(newer) = newer {
            match self.fetch(oauth, &newer).await {
                Err(Trouble::Refused(_)) => self.lock().refresh = None,
                fetched => return fetched,
            }
        }
        self.fetch(oauth, &oauth.refresh_token).await
    }

    async fn fetch(&self, oauth: &OAuth, refresh: &SecretString) -> Result<SecretString, Trouble> {
        let answered = self.http.send(oauth.request(refresh)).await;
        let response = answered.map_err(|error| Trouble::Lost(error.to_string()))?;
        if response.status >= 500 || response.status == 429 {
            return Err(Trouble::Lost(format!("the token endpoint answers {}", response.status)));
        }
        // 400 `invalid_grant`: the refresh token was revoked or has expired, and a person has to give another.
        let token = OauthToken::read(&response)
            .map_err(|words| Trouble::Refused(format!("{words}; is the refresh token still good?")))?;
        let mut kept = self.lock();
        kept.access = Some((token.secret.clone(), Instant::now() + token.lifetime));
        if let Ok(Given { refresh_token: Some(given) }) = serde_json::from_slice(&response.body) {
            kept.refresh = Some(given.into());
        }
        Ok(token.secret)
    }
}

/// What a token endpoint may give besides.
#[derive(Deserialize)]
struct Given {
    refresh_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::http::StatusCode;
    use secrecy::ExposeSecret as _;

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
        let request = oauth.request(&oauth.refresh_token);
        let body = String::from_utf8(request.body.clone()).expect("a text");
        assert_eq!(
            body,
            "grant_type=refresh_token&refresh_token=r%26s&client_id=c%20d&scope=https%3A%2F%2Fmail.google.com%2F"
        );
        assert!(!format!("{request:?}").contains("tenant") && !format!("{request:?}").contains("r%26s"));
    }

    /// Changes the refresh token with every use, and takes the newest one and the first.
    async fn provider(uses: Arc<AtomicUsize>) -> String {
        let answer = async move |body: String| {
            let number = uses.load(Ordering::SeqCst);
            let is_good =
                ["r0".to_owned(), format!("r{number}")].iter().any(|good| body.contains(&format!("={good}&")));
            if !is_good {
                return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#.to_owned());
            }
            let next = uses.fetch_add(1, Ordering::SeqCst) + 1;
            let body = format!(r#"{{"access_token":"a{next}","expires_in":3600,"refresh_token":"r{next}"}}"#);
            (StatusCode::OK, body)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = axum::Router::new().route("/", axum::routing::post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/")
    }

    #[tokio::test]
    async fn a_token_is_kept_and_a_newer_refresh_token_is_used() {
        let uses = Arc::new(AtomicUsize::new(0));
        let token_url = provider(uses.clone()).await;
        let refresh_token = "r0".to_owned().into();
        let oauth = OAuth { token_url, client_id: "c".into(), client_secret: None, refresh_token, scope: None };
        let token = Token::new(Http::for_tests(std::time::Duration::from_secs(5)));
        let current = async || token.current(&oauth).await.expect("a token").expose_secret().to_owned();
        assert_eq!([current().await, current().await], ["a1", "a1"]);
        token.forget();
        assert_eq!(current().await, "a2");
        // The newer one is no longer taken; the channel's own still is.
        token.forget();
        uses.store(7, Ordering::SeqCst);
        assert_eq!(current().await, "a8");
        // And neither: a person has to act, and is told so without a word of either.
        token.forget();
        let revoked = OAuth { refresh_token: "gone".to_owned().into(), ..oauth };
        uses.store(9, Ordering::SeqCst);
        let error = token.current(&revoked).await.expect_err("refused");
        assert!(matches!(error, Trouble::Refused(_)) && !error.to_string().contains("gone"), "{error}");
    }
}
