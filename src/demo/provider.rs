//! The invented SMS provider: signs its webhooks as Twilio does, and takes answers at Twilio's path.
//!
//! As the real one it waits 15 seconds for us and does not come again when we answer anything but 2xx.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;

use super::{
    ACCOUNT, CHANNEL, KEY, NUMBER,
    phones::{Bubble, Phones, Side, Tick},
};
use crate::{adapter::webhook::send::Outgoing, clock, complaint::hex, http::Http, percent};

/// The provider, the phones that hang on it, and the mailboxes beside them.
#[derive(Debug)]
pub struct Provider {
    gateway: String,
    /// Where the gateway takes mail.
    pub mail: SocketAddr,
    client: Http,
    /// Chats by phone number, and mailboxes by address.
    pub phones: Phones,
}

impl Provider {
    pub fn new(gateway: String, mail: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { gateway, mail, client: Http::local()?, phones: Phones::default() })
    }

    /// A citizen texts us: one signed webhook. The status is the gateway's reply.
    pub async fn deliver(&self, from: &str, text: &str) -> anyhow::Result<u16> {
        let sid = format!("SM{}", hex(&clock::random::<16>()));
        self.phones.add(from, Bubble::new(&sid, Side::Citizen, text));
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
        let status = self.call(&format!("/in/{CHANNEL}"), &BTreeMap::from(fields)).await?;
        let tick = if (200..300).contains(&status) { Tick::Delivered } else { Tick::Failed };
        self.phones.change(from, &sid, |bubble| bubble.tick = tick);
        Ok(status)
    }

    /// A citizen has written a letter.
    pub fn wrote(&self, from: &str, text: &str) {
        self.phones.add(from, Bubble { tick: Tick::Delivered, ..Self::letter(Side::Citizen, text) });
    }

    /// A letter lies in a citizen's mailbox.
    pub fn received(&self, to: &str, text: &str) {
        self.phones.add(to, Bubble { tick: Tick::Delivered, ..Self::letter(Side::Gateway, text) });
    }

    fn letter(side: Side, text: &str) -> Bubble {
        Bubble::new(hex(&clock::random::<8>()), side, text)
    }

    /// Takes an answer, and reports it delivered. The text of the API's document.
    pub async fn take(&self, fields: &BTreeMap<String, String>) -> String {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let sid = format!("SM{}", hex(&clock::random::<16>()));
        let bubble = Bubble { tick: Tick::Delivered, ..Bubble::new(&sid, Side::Gateway, field("Body")) };
        self.phones.add(&field("To"), bubble);
        let report = [("MessageSid", sid.as_str()), ("MessageStatus", "delivered"), ("AccountSid", ACCOUNT)];
        if let Err(error) = self.call(&format!("/in/{CHANNEL}/status"), &BTreeMap::from(report)).await {
            tracing::warn!(%error, "the delivery report was not taken");
        }
        serde_json::json!({ "sid": sid, "status": "queued" }).to_string()
    }

    /// The first answer on a phone, or in a mailbox; waits for one.
    pub async fn answer_to(&self, whom: &str, patience: Duration) -> Option<String> {
        self.phones.answer(whom, 0, patience).await.map(|bubble| bubble.text)
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
