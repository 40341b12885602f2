//! The demonstration: the real gateway with invented providers beside it, in one process and a temporary folder.
//!
//! Nothing is configured and nothing else is installed. A provider of SMS, mailboxes, a Telegram Bot API and a Graph API of
//! WhatsApp call the gateway and take its answers over real sockets on the loopback interface; only the citizens are invented.
//! The two simulations ([`telegram`], [`graph`]) are what the tests run against too.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    config,
    runtime::{self, Running, StartError, Strictness},
};

mod chatter;
pub mod delivery;
pub mod files;
pub mod graph;
mod mailbox;
pub mod pace;
mod page;
mod parameters;
pub mod phones;
mod provider;
mod setup;
pub mod story;
pub mod telegram;

use graph::GraphApi;
use provider::Provider;
use setup::Addresses;
use telegram::BotApi;

/// Ids of the demonstration's channels.
pub const CHANNEL: &str = "demo-sms";
pub const MAIL: &str = "demo-mail";
pub const TELEGRAM: &str = "demo-telegram";
pub const WHATSAPP: &str = "demo-whatsapp";
/// The address that citizens write to.
const ADDRESS: &str = "lapor@kota.example";
/// The account and the key of the invented provider of SMS.
const ACCOUNT: &str = "AC00000000000000000000000000000000";
const KEY: &str = "demo-auth-token";
/// The number that citizens text to.
const NUMBER: &str = "+6281500001708";
/// The bot, and what it and Telegram prove themselves with.
const BOT: &str = "lapor_kota_bot";
const BOT_TOKEN: &str = "1708:demo-bot-token";
const BOT_SECRET: &str = "demo-secret-token";
/// The number of WhatsApp by its id, and what the app and WhatsApp prove themselves with.
const WHATSAPP_NUMBER: &str = "100000000001709";
const WHATSAPP_SHOWN: &str = "+62 815 0000 1709";
const WHATSAPP_ACCESS: &str = "demo-access-token";
const WHATSAPP_SECRET: &str = "demo-app-secret";
const WHATSAPP_VERIFY: &str = "demo-verify-token";
/// The photo that is at hand: a lamp that is dark.
const PHOTO: &[u8] = include_bytes!("demo/lamp.jpg");

/// The invented world around the gateway.
#[derive(Debug)]
pub struct Providers {
    pub sms: Provider,
    pub telegram: Arc<BotApi>,
    pub whatsapp: Arc<GraphApi>,
}

/// A gateway and its invented world.
#[derive(Debug)]
pub struct Demo {
    pub gateway: Running,
    pub providers: Arc<Providers>,
    /// Where the page is.
    pub page: SocketAddr,
}

/// Starts everything in `folder`.
pub async fn start(folder: &Path, listen: SocketAddr) -> Result<Demo, StartError> {
    let page = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let page_address = page.local_addr().context("the address of the page")?;
    let gateway = TcpListener::bind((listen.ip(), 0)).await.context("a port for the gateway")?;
    let gateway_address = gateway.local_addr().context("the address of the gateway")?;
    let mailboxes = TcpListener::bind((listen.ip(), 0)).await.context("a port for the mailboxes")?;
    let (telegram, whatsapp) = chats().await?;
    let addresses = Addresses {
        sms: page_address,
        mailboxes: mailboxes.local_addr().context("the address of the mailboxes")?,
        telegram: telegram.url(),
        whatsapp: whatsapp.url(),
    };
    setup::write(folder, &addresses).context("the temporary folder cannot be written")?;
    let running = runtime::start(setup::resolved(folder, gateway_address), gateway, Strictness::Strict).await?;
    let mail = running.smtp.context("the gateway takes mail")?;
    let sms = Provider::new(format!("http://{gateway_address}"), mail).context("the invented provider")?;
    let providers = Arc::new(Providers { sms, telegram, whatsapp });
    tokio::spawn(mailbox::serve(mailboxes, Arc::clone(&providers)));
    let app = page::router(Arc::clone(&providers), running.app.clone());
    tokio::spawn(async move {
        // It ends with the process.
        let _ = axum::serve(page, app).await;
    });
    subscribe(&providers, gateway_address).await?;
    Ok(Demo { gateway: running, providers, page: page_address })
}

/// The two simulated chats.
async fn chats() -> anyhow::Result<(Arc<BotApi>, Arc<GraphApi>)> {
    let telegram = BotApi::start(BOT_TOKEN, BOT).await?;
    let whatsapp = GraphApi::start(graph::App {
        access_token: WHATSAPP_ACCESS.to_owned(),
        app_secret: WHATSAPP_SECRET.to_owned(),
        verify_token: WHATSAPP_VERIFY.to_owned(),
        numbers: [(WHATSAPP_NUMBER.to_owned(), WHATSAPP_SHOWN.to_owned())].into(),
    })
    .await?;
    Ok((telegram, whatsapp))
}

/// Both chats learn where the gateway is, as their consoles would have it.
async fn subscribe(providers: &Providers, gateway: SocketAddr) -> anyhow::Result<()> {
    let url = |channel: &str| format!("http://{gateway}/in/{channel}");
    let refused = |reason| anyhow::anyhow!("the webhook of Telegram is not set: {reason}");
    providers.telegram.set_webhook(&url(TELEGRAM), BOT_SECRET).map_err(refused)?;
    let is_taken = providers.whatsapp.subscribe(&url(WHATSAPP)).await?;
    anyhow::ensure!(is_taken, "the gateway refused the handshake of WhatsApp");
    Ok(())
}

/// Every event in every queue, with the queue's name.
async fn events(gateway: &Running) -> anyhow::Result<Vec<(String, Value)>> {
    let store = &gateway.app.store;
    let mut events = Vec::new();
    for queue in store.queues(crate::clock::now()).await? {
        for delivery in store.peek(&queue.name, None, 1000).await? {
            let event = serde_json::from_str(&delivery.event).unwrap_or_else(|_| json!({}));
            events.push((queue.name.clone(), event));
        }
    }
    Ok(events)
}

/// The folder of the demonstration, in the system's temporary folder.
pub fn folder() -> std::path::PathBuf {
    let name = format!("loket-demo-{}", crate::complaint::hex(&crate::clock::random::<6>()));
    config::temporary_folder().join(name)
}
