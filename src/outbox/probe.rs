//! The probe: do the credentials of a channel work, and who holds its webhook now? An expired token is found here, before
//! the first answer fails.

use super::{
    mailer::Mailer,
    tokens::{Tokens, exposed},
};
use crate::{channel::Channel, http::Http};

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The manifest has no `[probe]`.
    None,
    Good {
        /// Who holds the webhook, where the provider says so.
        owner: Option<String>,
    },
    /// The provider does not take the credentials, or says no otherwise.
    Bad { reason: String, owner: Option<String> },
    /// The provider could not be asked: nothing is known of the credentials.
    Unreachable { reason: String },
}

/// Asks the provider once, within the client's time-outs.
pub async fn probe(http: &Http, channel: &Channel) -> ProbeResult {
    if let Some(post) = channel.post.as_ref().filter(|post| post.submission.is_some()) {
        return match Mailer::default().probe(channel.id(), post, http).await {
            Ok(()) => ProbeResult::Good { owner: None },
            Err(reason) => ProbeResult::Bad { reason: format!("sending: {reason}"), owner: None },
        };
    }
    let Some(probe) = channel.engine.webhook().and_then(|webhook| webhook.probe.as_ref()) else {
        return ProbeResult::None;
    };
    let bad = |reason: String| ProbeResult::Bad { reason, owner: None };
    let token = match probe.oauth(&channel.settings) {
        Ok(Some(request)) => match Tokens::default().token(http, request).await {
            Ok(token) => Some(token),
            Err(reason) => return bad(reason),
        },
        Ok(None) => None,
        Err(reason) => return bad(reason),
    };
    let outgoing = match probe.compose(&channel.settings, exposed(token.as_ref())) {
        Ok(outgoing) => outgoing,
        Err(reason) => return bad(reason),
    };
    let response = match http.send(outgoing).await {
        Ok(response) => response,
        Err(error) => return ProbeResult::Unreachable { reason: error.to_string() },
    };
    match probe.judge(&response, &channel.surroundings()) {
        (true, owner) => ProbeResult::Good { owner },
        (false, owner) => ProbeResult::Bad { reason: format!("the provider answers {}", response.status), owner },
    }
}
