//! Fetches a file of a provider: asks for its place where the manifest says so, follows at most three redirects, all of them
//! on the list, and writes what comes into a draft.
//!
//! A credential goes to the scheme, host and port that the manifest signed the request for, and to no other. What is written
//! is bounded by the draft, the time by the caller, and each silence here.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    place::{Places, origin},
    shelf::draft::{Draft, DraftError},
};
use crate::{
    adapter::webhook::send::{
        Outgoing, Response,
        auth::OauthToken,
        media::{Media, Wanted},
    },
    channel::Channel,
    http::{
        Http, HttpError,
        guarded::{Guarded, Opened},
    },
};

/// Redirects that are followed.
const REDIRECTS: usize = 3;
/// The longest wait for the head of an answer, and for each piece of the body.
const SILENCE: Duration = Duration::from_secs(15);
/// Bytes of what the first step answers.
const ANSWER: usize = 64 << 10;

/// Why there is no file. Each is a decision of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failing {
    /// A later try may be better. `is_gone`: the provider says that there is no such file.
    Again {
        reason: String,
        is_gone: bool,
    },
    /// It leads where nothing is fetched, now or later.
    Refused(String),
    TooLarge,
    /// The fault is ours (a full disk): it counts as no try.
    Ours(String),
}

impl Failing {
    pub(super) fn again(reason: impl Into<String>) -> Self {
        Self::Again { reason: reason.into(), is_gone: false }
    }
}

impl From<DraftError> for Failing {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::TooLarge => Self::TooLarge,
            DraftError::Io(error) => Self::Ours(error.to_string()),
        }
    }
}

impl From<HttpError> for Failing {
    fn from(error: HttpError) -> Self {
        Self::again(error.to_string())
    }
}

/// What a fetch needs.
#[derive(Debug)]
pub struct Trip<'a> {
    pub http: &'a Http,
    pub guarded: &'a Guarded,
    pub channel: &'a Channel,
}

impl Trip<'_> {
    /// The bytes of the file go into `draft`.
    pub async fn fetch(&self, wanted: Wanted<'_>, draft: &mut Draft) -> Result<(), Failing> {
        let no_rules = || Failing::Refused("the manifest has no [media]: nothing says where files are".to_owned());
        let media = self.channel.engine.webhook().and_then(|webhook| webhook.media.as_ref()).ok_or_else(no_rules)?;
        let places = Places::of(self.channel).ok_or_else(no_rules)?;
        let settings = &self.channel.settings;
        let [first, second] = self.tokens(media).await?;
        let resolved = match media.resolve(wanted, settings, exposed(first.as_ref())) {
            Some(request) => Some(self.resolve(media, request.map_err(Failing::again)?, &places).await?),
            None => None,
        };
        let request = media.bytes(wanted, resolved.as_deref(), settings, exposed(second.as_ref()));
        let opened = follow(self.guarded, request.map_err(Failing::Refused)?, &places).await?;
        save(opened, draft).await
    }

    async fn tokens(&self, media: &Media) -> Result<[Option<SecretString>; 2], Failing> {
        let mut tokens = [None, None];
        for (token, request) in tokens.iter_mut().zip(media.oauth(&self.channel.settings).map_err(Failing::again)?) {
            if let Some(request) = request {
                let response = self.http.send(request).await?;
                *token = Some(OauthToken::read(&response).map_err(Failing::again)?.secret);
            }
        }
        Ok(tokens)
    }

    /// The first step: asks where the file is.
    async fn resolve(&self, media: &Media, request: Outgoing, places: &Places<'_>) -> Result<String, Failing> {
        let mut opened = follow(self.guarded, request, places).await?;
        let mut body = Vec::new();
        while let Some(chunk) = piece(&mut opened).await? {
            if body.len() + chunk.len() > ANSWER {
                return Err(Failing::again("the provider's answer about the file is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        let response = Response { status: opened.status, headers: opened.headers, body };
        media.resolved(&response, &self.channel.surroundings()).map_err(Failing::again)
    }
}

fn exposed(token: Option<&SecretString>) -> Option<&str> {
    token.map(SecretString::expose_secret)
}

/// The answer at the end of at most three redirects: 2xx.
pub(super) async fn follow(guarded: &Guarded, mut request: Outgoing, places: &Places<'_>) -> Result<Opened, Failing> {
    for _ in 0..=REDIRECTS {
        let url = places.check(&request.url).map_err(Failing::Refused)?;
        request.url = url.to_string();
        let opened = tokio::time::timeout(SILENCE, guarded.open(&request, places.least)).await;
        let opened = opened.map_err(|_| Failing::again(format!("{}: no answer in time", request.shown)))??;
        match opened.status {
            200 => return Ok(opened),
            301 | 302 | 303 | 307 | 308 => {
                let to = opened.header("location").ok_or_else(|| Failing::again("a redirect leads nowhere"))?;
                // A line break in it would be taken out without a word.
                if to.bytes().any(|byte| byte <= b' ' || byte == b'\\') {
                    return Err(Failing::Refused("a redirect holds a space or a control character".to_owned()));
                }
                let next = url.join(to).map_err(|_| Failing::again("a redirect leads to no URL"))?;
                if origin(&next) != origin(&url) {
                    request.headers.clear();
                }
                request.url = next.to_string();
                "GET".clone_into(&mut request.method);
                request.body.clear();
                "the place of a redirect".clone_into(&mut request.shown);
            }
            status => {
                let reason = format!("{}: the provider answers {status}", request.shown);
                return Err(Failing::Again { reason, is_gone: matches!(status, 404 | 410) });
            }
        }
    }
    Err(Failing::again("the file is behind more than three redirects"))
}

/// The next piece of a body, or a failure when none comes for a while.
async fn piece(opened: &mut Opened) -> Result<Option<bytes::Bytes>, Failing> {
    let piece = tokio::time::timeout(SILENCE, opened.chunk()).await;
    Ok(piece.map_err(|_| Failing::again("the provider went silent in the middle of the file"))??)
}

async fn save(mut opened: Opened, draft: &mut Draft) -> Result<(), Failing> {
    // We said that we take none: a server that compresses all the same may send a bomb.
    if opened.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Failing::Refused("the provider compresses the file although it was told not to".to_owned()));
    }
    let declared = opened.header("content-length").and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > draft.limit()) {
        return Err(Failing::TooLarge);
    }
    while let Some(chunk) = piece(&mut opened).await? {
        draft.write(&chunk).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
