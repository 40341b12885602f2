//! One request run through verify, parse and normalise without a server, a journal or a store: for `loket channel try`
//! and for the samples of a manifest. In: a raw request. Out: what it proves, says and is answered. It changes nothing.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Channel, Normaliser,
    provider::Provider,
    request_file::{self, endpoint_of},
};
use crate::{
    adapter::webhook::Answer,
    message::DeliveryReport,
    receipt::{Origin, Proves, Receipt, ReceiptId, Request, Verdict, VerdictResult},
    signature::VerifyMode,
};

/// What became of one file, in the shape that `loket channel try` prints (DESIGN §6). Its `Debug` is what is printed:
/// a person asked for it.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    pub file: String,
    pub verified: Verified,
    /// As they go on after normalising.
    pub messages: Vec<Value>,
    pub receipts: Vec<DeliveryReport>,
    pub reply: Option<Reply>,
    /// The operator's reason.
    pub error: Option<String>,
    /// It was a handshake: answered, and nothing would have been journalled.
    #[serde(skip)]
    pub is_handshake: bool,
}

/// The verdict in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub result: VerdictResult,
    pub sender: bool,
    pub content: bool,
    pub freshness: bool,
    pub detail: String,
}

/// What the provider is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reply {
    pub status: u16,
    pub body: String,
    #[serde(skip)]
    pub content_type: Option<String>,
}

/// Is the request verified at all?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    Check,
    /// `--no-verify`: to look at the mapping of a request whose key is not at hand.
    Skip,
}

/// A request as it comes to a channel's door.
#[derive(Clone, Debug)]
pub struct Knock {
    pub request: Request,
    pub endpoint: String,
    pub remote: Option<IpAddr>,
    pub now: Timestamp,
}

impl Knock {
    /// The endpoint stands in the path.
    pub fn new(request: Request, remote: Option<IpAddr>, now: Timestamp) -> Self {
        let endpoint = endpoint_of(request.path()).to_owned();
        Self { request, endpoint, remote, now }
    }
}

/// `loket channel try`: a file with a raw request. `now` is when it is taken to have come.
pub fn try_file(
    channel: &Channel,
    name: &str,
    content: &[u8],
    verification: Verification,
    now: Timestamp,
    normalise: Normaliser,
) -> Attempt {
    if let Some(mail) = channel.engine.mail() {
        let request = mail.envelope().request(channel.id().as_str(), Bytes::copy_from_slice(content));
        let knock = Knock::new(request, None, now);
        return Attempt { file: name.to_owned(), ..attempt(channel, &knock, verification, normalise) };
    }
    match request_file::parse(content) {
        Ok(request) => {
            let knock = Knock::new(request, Some(IpAddr::from([127, 0, 0, 1])), now);
            Attempt { file: name.to_owned(), ..attempt(channel, &knock, verification, normalise) }
        }
        Err(error) => Attempt { file: name.to_owned(), error: Some(error.to_string()), ..Attempt::nothing() },
    }
}

/// A channel for trying a bare manifest: with the settings of its first sample that passes.
pub fn stand_in(provider: &Provider, public_url: &str) -> Result<Channel, String> {
    let manifest = &provider.manifest;
    let sample = manifest.samples.iter().find(|sample| sample.expect.shows_a_message(provider.engine.mail().is_some()));
    let sample = sample.ok_or_else(|| {
        format!("manifest {}: no sample passes, so there are no settings to try it with", manifest.id)
    })?;
    super::sample::channel_of(&provider.parts(), sample, public_url).map_err(|reasons| reasons.join("; "))
}

/// Runs one request.
pub fn attempt(channel: &Channel, knock: &Knock, verification: Verification, normalise: Normaliser) -> Attempt {
    let Knock { request, endpoint, remote, now } = knock;
    if !channel.takes(&request.method, request.header("content-type")) {
        let error = "the manifest's [receive] does not take this method or content type".to_owned();
        return Attempt { reply: Some(Reply::refused()), error: Some(error), ..Attempt::nothing() };
    }
    let check = || match verification {
        Verification::Check => match channel.transport() {
            Some(transport) => transport.verdict(),
            None => channel.verifier.check(request, *remote, *now),
        },
        Verification::Skip => not_checked(),
    };
    if let Some(handshake) = channel.engine.handshake(endpoint, request, *now, &channel.surroundings()) {
        let verdict = if handshake.signed { check() } else { not_checked() };
        let refused = refuses(channel, &verdict);
        let reply = if refused { Reply::refused() } else { handshake.answer.into() };
        let error = refused.then(|| verdict.detail.clone());
        return Attempt {
            verified: verdict.into(),
            reply: Some(reply),
            error,
            is_handshake: true,
            ..Attempt::nothing()
        };
    }
    let verdict = check();
    if refuses(channel, &verdict) {
        let error = Some(verdict.detail.clone());
        return Attempt { verified: verdict.into(), reply: Some(Reply::refused()), error, ..Attempt::nothing() };
    }
    read(channel, knock, verdict, normalise)
}

/// The same decision as the gateway's: in observe mode what fails goes on, flagged.
fn refuses(channel: &Channel, verdict: &Verdict) -> bool {
    verdict.result == VerdictResult::Fail && channel.mode == VerifyMode::Enforce
}

fn read(channel: &Channel, knock: &Knock, verdict: Verdict, normalise: Normaliser) -> Attempt {
    let receipt = Receipt {
        id: ReceiptId(Uuid::nil()),
        channel: channel.id().clone(),
        endpoint: knock.endpoint.clone(),
        received_at: knock.now,
        remote: knock.remote,
        draw: [0; 16],
        request: knock.request.clone(),
    };
    let reply = Some(channel.engine.respond(&receipt, &channel.settings).into());
    let origin = Arc::new(Origin::of(&receipt, verdict.clone()));
    let found = Attempt { verified: verdict.into(), reply, ..Attempt::nothing() };
    let mapped = match channel.engine.read(&receipt, &channel.surroundings()) {
        Ok(mapped) => mapped,
        Err(fault) => return Attempt { error: Some(fault.reason), ..found },
    };
    let messages = mapped.messages.into_iter().map(|(place, message)| {
        let message = normalise(&origin, place, message, &channel.facts);
        // A message is made of texts, numbers and lists: all of them are JSON.
        serde_json::to_value(message).unwrap_or(Value::Null)
    });
    let faults = mapped.faults.iter().map(|fault| match fault.item {
        Some(item) => format!("item {item}: {}", fault.reason),
        None => fault.reason.clone(),
    });
    let faults = faults.collect::<Vec<_>>().join("; ");
    let error = (!faults.is_empty()).then_some(faults);
    Attempt { messages: messages.collect(), receipts: mapped.reports, error, ..found }
}

fn not_checked() -> Verdict {
    Verdict {
        result: VerdictResult::None,
        proves: Proves::default(),
        detail: "not checked".to_owned(),
        checks: Vec::new(),
        nonce: None,
    }
}

impl Attempt {
    fn nothing() -> Self {
        Self {
            file: String::new(),
            verified: not_checked().into(),
            messages: Vec::new(),
            receipts: Vec::new(),
            reply: None,
            error: None,
            is_handshake: false,
        }
    }
}

impl From<Verdict> for Verified {
    fn from(verdict: Verdict) -> Self {
        let Proves { sender, content, freshness } = verdict.proves;
        Self { result: verdict.result, sender, content, freshness, detail: verdict.detail }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { status: answer.status, body: answer.body, content_type: answer.content_type }
    }
}

impl Reply {
    /// The one constant answer to everything that is refused; the door of the server gives the same.
    fn refused() -> Self {
        Self { status: 401, body: "refused\n".to_owned(), content_type: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_prints_in_the_order_of_the_contract() {
        let attempt = Attempt { file: "a.http".to_owned(), reply: Some(Reply::refused()), ..Attempt::nothing() };
        assert_eq!(
            serde_json::to_string(&attempt).expect("JSON"),
            r#"{"file":"a.http","verified":{"result":"none","sender":false,"content":false,"freshness":false,"detail":"not checked"},"messages":[],"receipts":[],"reply":{"status":401,"body":"refused\n"},"error":null}"#
        );
    }
}
