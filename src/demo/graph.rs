//! A simulated Graph API of WhatsApp on the loopback interface, good enough that real clients run against it.
//!
//! In: calls at `/v<version>/<phone number id>/messages` and its neighbours, and what invented [`citizen`]s do. Out: answers and
//! error documents as the real one gives them, signed webhooks in batches without any order, statuses, and bubbles on the
//! citizens' phones. It keeps the real limits (buttons, lists, the 24-hour window, pace, places of media that are good for five
//! minutes) and fetches nothing from other machines. What it does not know: flows, catalogues, calls, groups, conversations'
//! prices. <https://developers.facebook.com/documentation/business-messaging/whatsapp>

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use tokio::{net::TcpListener, time::Instant};

use super::{
    delivery::{Delivery, Mischief, Policy},
    files::Files,
    pace::{Meter, Pace, TooFast},
    phones::Phones,
};
use crate::{clock, complaint::hex, http::Http};

pub mod citizen;
mod content;
mod error;
mod media;
pub mod people;
mod router;
mod sending;
mod webhook;

use citizen::Citizen;
use error::GraphError;
use people::{People, Person};
use webhook::Batch;

/// The id of the business account in webhooks.
const ACCOUNT: &str = "100000000000001";

/// What an app of the provider is made of. All of it is invented.
#[derive(Clone)]
pub struct App {
    pub access_token: String,
    pub app_secret: String,
    pub verify_token: String,
    /// Numbers of the business: the id of each, and how it is shown.
    pub numbers: BTreeMap<String, String>,
}

/// Prints no secret.
impl fmt::Debug for App {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "App({} numbers)", self.numbers.len())
    }
}

/// How a message that cannot be delivered is refused; the real one does both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Verdict {
    /// As the answer to the call.
    #[default]
    AtOnce,
    /// The call is accepted, and a status says that it failed.
    ByStatus,
}

/// How statuses of messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Statuses {
    /// Sent, delivered, and read once the citizen reads.
    #[default]
    InOrder,
    /// Read, delivered, sent, and maybe before the call has its answer.
    Backwards,
    None,
}

#[derive(Debug, Default)]
struct Switches {
    verdict: Verdict,
    statuses: Statuses,
    /// Messages of one webhook.
    batch: usize,
    is_token_expired: bool,
    /// So far the clock of the provider is ahead.
    ahead: SignedDuration,
    /// Templates that exist; empty: all do.
    templates: Vec<String>,
}

/// The provider. Shared; it ends with the process.
pub struct GraphApi {
    app: App,
    address: SocketAddr,
    delivery: Arc<Delivery>,
    phones: Phones,
    files: Files,
    client: Http,
    people: Mutex<People>,
    switches: Mutex<Switches>,
    meter: Mutex<Meter>,
    /// Given instead of the usual answer to the next messages.
    refusals: Mutex<VecDeque<GraphError>>,
    batch: Mutex<Batch>,
    places: Mutex<media::Places>,
}

impl fmt::Debug for GraphApi {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "GraphApi({})", self.address)
    }
}

impl GraphApi {
    /// Listens on a free port of the loopback interface.
    pub async fn start(app: App) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the Graph API")?;
        Self::serve(listener, app)
    }

    /// The same on a listener that is there already.
    pub fn serve(listener: TcpListener, app: App) -> anyhow::Result<Arc<Self>> {
        let api = Arc::new(Self {
            app,
            address: listener.local_addr()?,
            delivery: Delivery::new(Policy::whatsapp(), 1)?,
            phones: Phones::default(),
            files: Files::default(),
            client: Http::local()?,
            people: Mutex::new(People::default()),
            switches: Mutex::new(Switches { batch: 1, ..Switches::default() }),
            meter: Mutex::new(Meter::new(Some(Pace::whatsapp()))),
            refusals: Mutex::new(VecDeque::new()),
            batch: Mutex::new(Batch::default()),
            places: Mutex::new(media::Places::default()),
        });
        let weak = Arc::downgrade(&api);
        api.delivery.on_reply(move |document, _| {
            if let Some(api) = weak.upgrade() {
                api.mark_delivered(document);
            }
        });
        let router = router::router(Arc::clone(&api));
        tokio::spawn(async move {
            // It ends with the process.
            let _ = axum::serve(listener, router).await;
        });
        Ok(api)
    }

    /// What `graph_url` of a channel is set to.
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
        self.delivery.set_policy(Policy::whatsapp().hurried(base, longest));
    }

    pub fn set_verdict(&self, verdict: Verdict) {
        self.switches().verdict = verdict;
    }

    pub fn set_statuses(&self, statuses: Statuses) {
        self.switches().statuses = statuses;
    }

    /// Up to so many messages come in one webhook, when they come soon after each other.
    pub fn set_batch(&self, messages: usize) {
        self.switches().batch = messages.max(1);
    }

    /// The access token ran out, until an operator renews it.
    pub fn expire_token(&self) {
        self.switches().is_token_expired = true;
    }

    pub fn renew_token(&self) {
        self.switches().is_token_expired = false;
    }

    /// Only these templates exist.
    pub fn set_templates(&self, names: &[&str]) {
        self.switches().templates = names.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Time goes by for the provider alone: windows close, places of media run out.
    pub fn turn_clock(&self, hours: i64) {
        let mut switches = self.switches();
        switches.ahead = switches.ahead.saturating_add(SignedDuration::from_hours(hours));
    }

    /// The next messages are refused with these codes, in this order.
    pub fn refuse_next(&self, status: u16, code: i64) {
        let refusal = GraphError::new(status, code, "as a test wants it");
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push_back(refusal);
    }

    /// A citizen who writes to a number of the business.
    pub fn citizen(self: &Arc<Self>, number: &str, person: Person) -> Citizen {
        let key = self.people().enter(person);
        Citizen::new(Arc::clone(self), number.to_owned(), key)
    }

    fn now(&self) -> Timestamp {
        let ahead = self.switches().ahead;
        clock::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switches(&self) -> MutexGuard<'_, Switches> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May one more message be sent to a citizen?
    fn meter(&self, chat: &str) -> Result<(), GraphError> {
        if let Some(refusal) = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            return Err(refusal);
        }
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.take(chat, Instant::now()).map_err(|fast| match fast {
            TooFast::InAll(_) => GraphError::throughput(),
            TooFast::InChat(_) => GraphError::pair(),
        })
    }
}

/// The name of a citizen's chat with one number.
fn chat_name(number: &str, key: &str) -> String {
    format!("{number}/{key}")
}

/// A fresh id of a message.
fn wamid() -> String {
    format!("wamid.HBgN{}", hex(&clock::random::<18>()))
}

#[cfg(test)]
mod tests;
