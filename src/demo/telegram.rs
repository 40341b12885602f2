//! A simulated Telegram Bot API on the loopback interface, good enough that real clients run against it.
//!
//! In: calls of the bot at `/bot<token>/<method>` and `/file/bot<token>/<path>`, and what invented [`citizen`]s do. Out: answers
//! as the real one gives them, updates by webhook or long polling, and bubbles on the citizens' phones. It keeps the limits
//! of the real one (texts, buttons, pace, files) and its patience with webhooks, and fetches nothing from other machines.
//! What it does not know: groups, channels, formatting of texts (`parse_mode`), inline mode, payments.
//! <https://core.telegram.org/bots/api>

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    delivery::{Delivery, Mischief, Policy, Proof, Target},
    files::Files,
    pace::{Meter, Pace},
    parameters::Parameters,
    phones::{Phones, Tick},
};
use crate::{clock, http::Http};

pub mod citizen;
mod files;
mod markup;
mod method;
mod people;
mod router;
pub mod sending;
mod updates;

use citizen::Citizen;
use method::Refusal;
use people::{People, Person};

/// Updates that are sent when nothing else was asked for: all but these.
const NOT_BY_DEFAULT: [&str; 3] = ["chat_member", "message_reaction", "message_reaction_count"];

/// What was asked for by `setWebhook` or `getUpdates`.
#[derive(Debug, Default)]
struct Wishes {
    max_connections: Option<u64>,
    /// Empty: everything but what is not sent by default.
    allowed_updates: Vec<String>,
}

/// The provider. Shared; it ends with the process.
pub struct BotApi {
    token: String,
    /// The bot as a `User`.
    me: Value,
    address: SocketAddr,
    delivery: Arc<Delivery>,
    phones: Phones,
    files: Files,
    client: Http,
    people: Mutex<People>,
    wishes: Mutex<Wishes>,
    meter: Mutex<Meter>,
    /// Given instead of the usual answer to the next messages.
    refusals: Mutex<VecDeque<Refusal>>,
    /// Counts calls of getUpdates: a newer one ends an older one.
    polls: watch::Sender<u64>,
    answered: Notify,
}

impl fmt::Debug for BotApi {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BotApi({})", self.address)
    }
}

impl BotApi {
    /// Listens on a free port of the loopback interface. A token is like `1:made-up`; its number is the bot's id.
    pub async fn start(token: &str, username: &str) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the Bot API")?;
        Self::serve(listener, token, username)
    }

    /// The same on a listener that is there already.
    pub fn serve(listener: TcpListener, token: &str, username: &str) -> anyhow::Result<Arc<Self>> {
        let id =
            token.split(':').next().and_then(|id| id.parse::<u64>().ok()).context("a token begins with a number")?;
        let delivery = Delivery::new(Policy::telegram(), 1)?;
        let api = Arc::new(Self {
            token: token.to_owned(),
            me: json!({ "id": id, "is_bot": true, "first_name": username, "username": username }),
            address: listener.local_addr()?,
            delivery,
            phones: Phones::default(),
            files: Files::default(),
            client: Http::local()?,
            people: Mutex::new(People::default()),
            wishes: Mutex::new(Wishes::default()),
            meter: Mutex::new(Meter::new(Some(Pace::telegram()))),
            refusals: Mutex::new(VecDeque::new()),
            polls: watch::Sender::new(0),
            answered: Notify::new(),
        });
        let weak = Arc::downgrade(&api);
        api.delivery.on_reply(move |update, response| {
            if let Some(api) = weak.upgrade() {
                api.mark_delivered(update);
                api.call_of_reply(&response.body);
            }
        });
        let router = router::router(Arc::clone(&api));
        tokio::spawn(async move {
            // It ends with the process.
            let _ = axum::serve(listener, router).await;
        });
        Ok(api)
    }

    /// What `api_url` of a channel is set to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    pub fn phones(&self) -> &Phones {
        &self.phones
    }

    pub fn stored(&self) -> &Files {
        &self.files
    }

    /// Limits of pace; none at all without one.
    pub fn set_pace(&self, pace: Option<Pace>) {
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Meter::new(pace);
    }

    /// How webhooks are repeated, delayed and mixed up.
    pub fn set_mischief(&self, mischief: Mischief) {
        self.delivery.set_mischief(mischief);
    }

    /// Nobody waits longer than `longest` for the next try of a webhook.
    pub fn hurry(&self, base: Duration, longest: Duration) {
        self.delivery.set_policy(Policy::telegram().hurried(base, longest));
    }

    /// The next messages of the bot are refused with these codes, in this order; a number of seconds makes `retry_after`.
    pub fn refuse_next(&self, code: u16, description: &str, retry_after: Option<u64>) {
        let refusal = Refusal { code, description: description.to_owned(), retry_after };
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push_back(refusal);
    }

    /// Sets the webhook as the bot itself would.
    pub fn set_webhook(self: &Arc<Self>, url: &str, secret_token: &str) -> Result<(), String> {
        let values = json!({ "url": url, "secret_token": secret_token });
        let parameters = Parameters::of(values.as_object().cloned().unwrap_or_default());
        self.call("setWebhook", &parameters).map(|_| ()).map_err(|refusal| refusal.description)
    }

    /// The same for several gateways behind one name: each update goes to one of them.
    pub fn set_webhook_among(&self, urls: &[String], secret_token: &str) {
        let proof = Proof::Token { header: updates::SECRET, token: secret_token.to_owned() };
        self.delivery.set_target(Some(Target::new(urls.to_vec(), proof, updates::AT_ONCE)));
    }

    /// A citizen with a number of their own, who has opened the bot.
    pub fn citizen(self: &Arc<Self>, first_name: &str, language: &str) -> Citizen {
        let id = self.people().fresh();
        self.citizen_with(id, first_name, language)
    }

    /// A citizen by id, new or known.
    pub fn citizen_with(self: &Arc<Self>, id: i64, first_name: &str, language: &str) -> Citizen {
        self.people().enter(Person::new(id, first_name, language));
        Citizen::new(Arc::clone(self), id)
    }

    /// Buttons that turn on somebody's phone, as nobody has told that they were heard.
    pub fn turning(&self) -> usize {
        self.people().taps.len()
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One update of a chat; left out when the bot did not ask for its kind.
    fn update(&self, chat: i64, kind: &str, content: Value) -> Option<u64> {
        let allowed = &self.wishes().allowed_updates;
        let is_wanted =
            if allowed.is_empty() { !NOT_BY_DEFAULT.contains(&kind) } else { allowed.iter().any(|wish| wish == kind) };
        if !is_wanted {
            return None;
        }
        self.delivery.push(&chat.to_string(), |id| {
            let mut update = Map::new();
            update.insert("update_id".to_owned(), json!(id));
            update.insert(kind.to_owned(), content);
            Value::Object(update)
        })
    }

    /// The phone of a citizen shows that a message has arrived.
    fn mark_delivered(&self, update: &[u8]) {
        let Ok(update) = serde_json::from_slice::<Value>(update) else { return };
        let message = &update["message"];
        if let (Some(chat), Some(id)) = (message["chat"]["id"].as_i64(), message["message_id"].as_i64()) {
            self.phones.change(&chat.to_string(), &id.to_string(), |bubble| bubble.tick = Tick::Delivered);
        }
    }

    /// The reply to a webhook may be a call: its `method`, and the parameters beside it.
    fn call_of_reply(self: &Arc<Self>, body: &[u8]) {
        let Ok(Value::Object(mut values)) = serde_json::from_slice(body) else { return };
        let Some(Value::String(method)) = values.remove("method") else { return };
        // As the real one: what became of it is told to nobody.
        let _ = self.call(&method, &Parameters::of(values));
    }

    /// May the bot send one more message to a chat?
    fn meter(&self, chat: i64) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            return Err(refusal);
        }
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.take(&chat.to_string(), Instant::now()).map_err(|fast| Refusal::too_many(fast.seconds()))
    }
}

/// Seconds since 1970, as the API writes times.
fn seconds() -> i64 {
    clock::now().as_second()
}

/// Values beside each other in one object.
fn merged(mut values: Value, more: Value) -> Value {
    if let (Value::Object(values), Value::Object(more)) = (&mut values, more) {
        values.extend(more);
    }
    values
}

#[cfg(test)]
mod tests;
