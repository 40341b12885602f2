//! The invented SMS provider: signs its webhooks as Twilio does, and takes answers at Twilio's path.
//!
//! As the real one it waits 15 seconds for us and does not come again when we answer anything but 2xx.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use tokio::sync::Notify;

use super::{ACCOUNT, CHANNEL, KEY, NUMBER};
use crate::{adapter::webhook::send::Outgoing, clock, complaint::hex, http::Http, percent};

/// Most messages that are remembered for the page.
const MOST_MESSAGES: usize = 1000;

/// A message on a phone or in a mailbox.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Bubble {
    /// The citizen's number or mail address.
    pub phone: String,
    pub text: String,
    /// From the citizen to us, or the other way.
    pub is_from_citizen: bool,
}

/// The provider and the phones that hang on it.
#[derive(Debug)]
pub struct Provider {
    gateway: String,
    /// Where the gateway takes mail.
    pub mail: SocketAddr,
    client: Http,
    bubbles: Mutex<Vec<Bubble>>,
    answered: Notify,
}

impl Provider {
    pub fn new(gateway: String, mail: SocketAddr) -> anyhow::Result<Self> {
        let client = Http::local()?;
        Ok(Self { gateway, mail, client, bubbles: Mutex::new(Vec::new()), answered: Notify::new() })
    }

    fn bubbles_now(&self) -> MutexGuard<'_, Vec<Bubble>> {
        self.bubbles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything on every phone, oldest first.
    pub fn bubbles(&self) -> Vec<Bubble> {
        self.bubbles_now().clone()
    }

    fn remember(&self, bubble: Bubble) {
        let mut bubbles = self.bubbles_now();
        if bubbles.len() >= MOST_MESSAGES {
            bubbles.remove(0);
        }
        bubbles.push(bubble);
    }

    /// A citizen texts us: one signed webhook. The status is the gateway's reply.
    pub async fn deliver(&self, from: &str, text: &str) -> anyhow::Result<u16> {
        self.remember(Bubble { phone: from.to_owned(), text: text.to_owned(), is_from_citizen: true });
        let sid = format!("SM{}", hex(&clock::random::<16>()));
        let fields = [
            ("MessageSid", sid.as_str()),
            ("AccountSid", ACCOUNT),
            ("SmsStatus", "received"),
            ("From", from),
            ("To", NUMBER),
            ("Body", text),
            ("NumMedia", "0"),
            ("NumSegments", "1"),
        ];
        self.call(&format!("/in/{CHANNEL}"), &BTreeMap::from(fields)).await
    }

    /// A citizen has written a letter.
    pub fn wrote(&self, from: &str, text: &str) {
        self.remember(Bubble { phone: from.to_owned(), text: text.to_owned(), is_from_citizen: true });
    }

    /// A letter lies in a citizen's mailbox.
    pub fn received(&self, to: &str, text: &str) {
        self.remember(Bubble { phone: to.to_owned(), text: text.to_owned(), is_from_citizen: false });
        self.answered.notify_waiters();
    }

    /// Takes an answer, and reports it delivered. The text of the API's document.
    pub async fn take(&self, fields: &BTreeMap<String, String>) -> String {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let sid = format!("SM{}", hex(&clock::random::<16>()));
        self.remember(Bubble { phone: field("To"), text: field("Body"), is_from_citizen: false });
        self.answered.notify_waiters();
        let report = [("MessageSid", sid.as_str()), ("MessageStatus", "delivered"), ("AccountSid", ACCOUNT)];
        if let Err(error) = self.call(&format!("/in/{CHANNEL}/status"), &BTreeMap::from(report)).await {
            tracing::warn!(%error, "the delivery report was not taken");
        }
        serde_json::json!({ "sid": sid, "status": "queued" }).to_string()
    }

    /// The last answer on a phone; waits for one.
    pub async fn answer_to(&self, phone: &str, patience: Duration) -> Option<String> {
        let looking = async {
            loop {
                let answered = self.answered.notified();
                let found =
                    self.bubbles().into_iter().rev().find(|bubble| bubble.phone == phone && !bubble.is_from_citizen);
                if let Some(bubble) = found {
                    return bubble.text;
                }
                // The bell may have rung between the look and the wait.
                let _ = tokio::time::timeout(Duration::from_millis(200), answered).await;
            }
        };
        tokio::time::timeout(patience, looking).await.ok()
    }

    async fn call(&self, path: &str, fields: &BTreeMap<&str, &str>) -> anyhow::Result<u16> {
        let url = format!("{}{path}", self.gateway);
        // The signature is over the URL and the fields in the order of their names.
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, KEY.as_bytes()));
        context.update(url.as_bytes());
        for (name, value) in fields {
            context.update(name.as_bytes());
            context.update(value.as_bytes());
        }
        let signature = STANDARD.encode(context.sign());
        let body = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", percent::encoded(value)))
            .collect::<Vec<_>>()
            .join("&");
        let headers = vec![
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("x-twilio-signature".to_owned(), signature),
        ];
        let shown = url.clone();
        let outgoing = Outgoing { method: "POST".to_owned(), url, shown, headers, body: body.into_bytes() };
        let response = self.client.send(outgoing).await.context("the gateway does not answer")?;
        Ok(response.status)
    }
}
