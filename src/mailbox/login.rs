//! The way to a session: the greeting, STARTTLS, and the login by LOGIN, `PLAIN` (RFC 4616) or `XOAUTH2`.

use async_imap::{
    Authenticator, Client, Session,
    error::Error,
    imap_proto::{Capability, Response, ResponseCode, Status},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    connection::{Line, given},
    token::Token,
    trouble::{Trouble, reason},
};
use crate::adapter::mail::Credential;

/// What the server said first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    /// `LOGINDISABLED`: the command LOGIN is not to be used.
    is_login_disabled: bool,
}

/// What the login is made with.
#[derive(Debug)]
pub(super) enum Secret {
    Password(SecretString),
    AccessToken(SecretString),
}

pub(super) async fn secret(credential: &Credential, token: &Token) -> Result<Secret, Trouble> {
    match credential {
        Credential::Password(password) => Ok(Secret::Password(password.clone())),
        Credential::OAuth(oauth) => token.current(oauth).await.map(Secret::AccessToken),
    }
}

/// Reads the greeting.
pub(super) async fn greeted(line: Line) -> Result<(Client<Line>, Greeting), Trouble> {
    let mut client = Client::new(line);
    let answer = given(client.read_response().await)?;
    let mut greeting = Greeting::default();
    match answer.parsed() {
        Response::Data { status: Status::Ok, outcome } => {
            if let Some(ResponseCode::Capabilities(capabilities)) = &outcome.code {
                let is = |one: &Capability<'_>| matches!(one, Capability::Atom(atom) if atom.eq_ignore_ascii_case("LOGINDISABLED"));
                greeting.is_login_disabled = capabilities.iter().any(is);
            }
        }
        // Somebody in between may have said it to keep us from STARTTLS.
        Response::Data { status: Status::PreAuth, .. } => {
            return Err(Trouble::Lost("the server greets with PREAUTH, and asks for no login".to_owned()));
        }
        Response::Data { outcome, .. } => {
            let words = reason(outcome.information.as_deref());
            return Err(Trouble::Lost(format!("the server does not take us: {words}")));
        }
        _ => return Err(Trouble::Lost("what answers is no IMAP server".to_owned())),
    }
    Ok((client, greeting))
}

/// Asks for TLS. What the server sent behind its yes goes with the buffer, so that nobody can put words into the mouth of
/// the encrypted connection.
pub(super) async fn start_tls(mut client: Client<Line>) -> Result<Line, Trouble> {
    let asked = client.run_command_and_check_ok("STARTTLS", None).await;
    asked.map_err(|error| Trouble::of_library(&error, "STARTTLS"))?;
    Ok(client.into_inner())
}

pub(super) async fn login(
    client: Client<Line>,
    username: &str,
    secret: &Secret,
    greeting: Greeting,
) -> Result<Session<Line>, Trouble> {
    let logged_in = match secret {
        Secret::AccessToken(token) => client.authenticate("XOAUTH2", XOAuth2::new(username, token)).await,
        Secret::Password(password) => {
            let password = password.expose_secret();
            // A quoted string is for ASCII; the other way takes everything.
            if username.is_ascii() && password.is_ascii() && !greeting.is_login_disabled {
                client.login(username, password).await
            } else {
                client.authenticate("PLAIN", Plain { username, password }).await
            }
        }
    };
    logged_in.map_err(|(error, _)| match error {
        Error::No(words) => Trouble::Refused(reason(Some(said(&words)))),
        // It may repeat the command, with the password.
        Error::Bad(_) => Trouble::Refused("it does not understand the login".to_owned()),
        Error::Validate(_) => Trouble::Settings("user name or password hold a line break".to_owned()),
        other => Trouble::of_library(&other, "the login"),
    })
}

/// The server's own words within those of the library (`code: None, info: Some("…")`).
fn said(words: &str) -> &str {
    let said = words.split_once("info: Some(\"").and_then(|(_, said)| said.strip_suffix("\")"));
    said.unwrap_or(words)
}

struct Plain<'a> {
    username: &'a str,
    password: &'a str,
}

impl Authenticator for Plain<'_> {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        format!("\0{}\0{}", self.username, self.password)
    }
}

/// The first answer is the token. A second question is the reason why it is not taken, and wants an empty answer.
struct XOAuth2 {
    first: Option<String>,
}

impl XOAuth2 {
    fn new(username: &str, token: &SecretString) -> Self {
        Self { first: Some(format!("user={username}\x01auth=Bearer {}\x01\x01", token.expose_secret())) }
    }
}

impl Authenticator for XOAuth2 {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        self.first.take().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
