//! Webhooks of WhatsApp: the handshake, batches of messages over several numbers, statuses.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::{
    super::{
        delivery::{Proof, Target},
        phones::{Bubble, Tick},
    },
    ACCOUNT, GraphApi, Statuses, chat_name,
    error::GraphError,
    people::Person,
};
use crate::{adapter::webhook::send::Outgoing, clock, complaint::hex, percent};

/// How long a batch that is not full waits for more.
const BATCH_WAIT: Duration = Duration::from_millis(20);
/// Requests at once. How many the real one sends is not published.
const AT_ONCE: usize = 32;

/// One message on its way.
#[derive(Debug)]
pub struct Item {
    pub number: String,
    pub contact: Value,
    pub message: Value,
}

/// Messages that wait to leave together.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
    /// Nothing leaves until it is released.
    is_held: bool,
}

impl GraphApi {
    /// Sets the webhook as the provider's console does: first the handshake, then it is called. `false` when the handshake
    /// was refused.
    pub async fn subscribe(self: &Arc<Self>, url: &str) -> anyhow::Result<bool> {
        let challenge = u32::from_le_bytes(clock::random()).to_string();
        let token = percent::encoded(&self.app.verify_token);
        let outgoing = Outgoing {
            method: "GET".to_owned(),
            url: format!("{url}?hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={token}"),
            shown: "the webhook".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let response = self.client.send(outgoing).await.context("the webhook does not answer")?;
        let is_taken = response.status == 200 && response.body == challenge.as_bytes();
        if is_taken {
            self.set_webhook(url);
        }
        Ok(is_taken)
    }

    /// The same without a handshake.
    pub fn set_webhook(&self, url: &str) {
        self.set_webhook_among(&[url.to_owned()]);
    }

    /// The same for several gateways behind one name: each webhook goes to one of them.
    pub fn set_webhook_among(&self, urls: &[String]) {
        let proof = Proof::Signature { header: "x-hub-signature-256", secret: self.app.app_secret.clone() };
        self.delivery.set_target(Some(Target::new(urls.to_vec(), proof, AT_ONCE)));
    }

    /// What citizens send from now on leaves in one webhook, when it is released.
    pub fn hold(&self) {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner).is_held = true;
    }

    pub fn release(self: &Arc<Self>) {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner).is_held = false;
        self.flush();
    }

    /// A message goes out, alone or with others.
    pub(super) fn deliver(self: &Arc<Self>, item: Item) {
        let size = self.switches().batch;
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.items.push(item);
        if batch.is_held {
            return;
        }
        let (is_full, is_first) = (batch.items.len() >= size, batch.items.len() == 1);
        drop(batch);
        if is_full {
            self.flush();
        } else if is_first {
            let api = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(BATCH_WAIT).await;
                let is_held = api.batch.lock().unwrap_or_else(PoisonError::into_inner).is_held;
                if !is_held {
                    api.flush();
                }
            });
        }
    }

    fn flush(&self) {
        let mut items = std::mem::take(&mut self.batch.lock().unwrap_or_else(PoisonError::into_inner).items);
        if items.is_empty() {
            return;
        }
        if !self.delivery.mischief().jitter.is_zero() {
            items.sort_by_cached_key(|_| clock::random::<4>());
        }
        // Each number has a change of its own.
        let mut numbers: Vec<(String, Vec<Value>, Vec<Value>)> = Vec::new();
        for Item { number, contact, message } in items {
            let place = numbers.iter().position(|(known, _, _)| *known == number).unwrap_or_else(|| {
                numbers.push((number, Vec::new(), Vec::new()));
                numbers.len() - 1
            });
            let (_, contacts, messages) = &mut numbers[place];
            if !contacts.contains(&contact) {
                contacts.push(contact);
            }
            messages.push(message);
        }
        let values = numbers.into_iter().map(|(number, contacts, messages)| {
            let fields = json!({ "contacts": contacts, "messages": messages });
            self.value(&number, fields)
        });
        let document = envelope(values.collect());
        // No order is promised: every webhook is delivered for itself.
        self.push(&hex(&clock::random::<8>()), document);
    }

    /// The phones of citizens show that their messages have arrived.
    pub(super) fn mark_delivered(&self, document: &[u8]) {
        let Ok(document) = serde_json::from_slice::<Value>(document) else { return };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for change in list(&document["entry"][0]["changes"]) {
            let number = change["value"]["metadata"]["phone_number_id"].as_str().unwrap_or_default().to_owned();
            for message in list(&change["value"]["messages"]) {
                let key = message["from"].as_str().or_else(|| message["from_user_id"].as_str()).unwrap_or_default();
                let id = message["id"].as_str().unwrap_or_default();
                let raise = |bubble: &mut Bubble| bubble.tick = bubble.tick.max(Tick::Delivered);
                self.phones.change(&chat_name(&number, key), id, raise);
            }
        }
    }

    /// Any document as a webhook, signed like all.
    pub fn sends_raw(self: &Arc<Self>, document: Value) {
        self.push(&hex(&clock::random::<8>()), document);
    }

    fn push(&self, lane: &str, document: Value) {
        // What finds no room is counted by the queue.
        let _ = self.delivery.push(lane, |_| document);
    }

    fn value(&self, number: &str, fields: Value) -> Value {
        let shown = self.app.numbers.get(number).map_or("", String::as_str);
        let mut value = json!({
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": shown, "phone_number_id": number },
        });
        if let (Value::Object(value), Value::Object(fields)) = (&mut value, fields) {
            value.extend(fields);
        }
        value
    }

    /// The usual statuses of a message that was accepted.
    pub(super) fn report(&self, number: &str, person: &Person, id: &str) {
        let statuses = self.switches().statuses;
        match statuses {
            Statuses::None => {}
            // One lane keeps them in order, as far as the provider is concerned.
            Statuses::InOrder => {
                for tick in [Tick::Sent, Tick::Delivered] {
                    self.status(id, number, person, id, tick, None);
                }
            }
            Statuses::Backwards => {
                for tick in [Tick::Read, Tick::Delivered, Tick::Sent] {
                    let lane = hex(&clock::random::<8>());
                    self.status(&lane, number, person, id, tick, None);
                }
            }
        }
    }

    /// One status of a message, in a lane of the queue.
    pub(super) fn status(
        &self,
        lane: &str,
        number: &str,
        person: &Person,
        id: &str,
        tick: Tick,
        error: Option<&GraphError>,
    ) {
        let mut status = Map::new();
        status.insert("id".to_owned(), json!(id));
        status.insert("status".to_owned(), json!(tick));
        status.insert("timestamp".to_owned(), json!(self.now().as_second().to_string()));
        status.extend(person.recipient());
        match error {
            Some(error) => status.insert("errors".to_owned(), json!([error.item()])),
            None => status.insert(
                "pricing".to_owned(),
                json!({ "billable": false, "pricing_model": "PMP", "category": "service", "type": "free_customer_service" }),
            ),
        };
        let fields = json!({ "contacts": [person.contact()], "statuses": [status] });
        self.push(lane, envelope(vec![self.value(number, fields)]));
    }
}

fn envelope(values: Vec<Value>) -> Value {
    let changes: Vec<_> = values.into_iter().map(|value| json!({ "field": "messages", "value": value })).collect();
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": ACCOUNT, "changes": changes }] })
}
