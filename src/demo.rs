//! The demonstration: the real gateway with an invented SMS provider and invented mailboxes beside it, in one process and
//! a temporary folder.
//!
//! Nothing is configured and nothing else is installed. The provider signs its webhooks and takes the answers over real
//! sockets on the loopback interface, and so do the mailboxes; only the citizens are invented.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    config::{self, Config, GatewaySection, MailSection, Resolved, Scope, SmtpSection, StoreChoice, Token},
    runtime::{self, Running, StartError, Strictness},
};

mod mailbox;
mod page;
mod provider;

use provider::Provider;

/// Id of the demonstration's channel.
pub const CHANNEL: &str = "demo-sms";
/// Id of its mail channel, and the address that citizens write to.
pub const MAIL: &str = "demo-mail";
const ADDRESS: &str = "lapor@kota.example";
/// The account and the key of the invented provider.
const ACCOUNT: &str = "AC00000000000000000000000000000000";
const KEY: &str = "demo-auth-token";
/// The number that citizens text to.
const NUMBER: &str = "+6281500001708";

const MANIFEST: &str = include_str!("../channels/twilio-sms.toml");
const MAIL_MANIFEST: &str = include_str!("../channels/smtp.toml");
const ROUTING: &str = include_str!("../config/routing.toml");
const AGENCIES: &str = include_str!("../config/agencies.csv");

/// What the invented citizens write: plain, anonymous and confidential, with a keyword, and in English.
const SAMPLES: [(&str, &str); 4] = [
    ("+6281100000001", "Lampu jalan di depan Pasar Contoh padam sudah dua minggu, gelap sekali kalau malam."),
    ("+6281100000002", "ANONIM RAHASIA Ada pungutan liar saat urus KTP di kelurahan, diminta 50 ribu."),
    ("+6281100000003", "KOTACONTOH Sampah di Jl Melati belum diangkut sejak Senin, baunya sampai ke sekolah."),
    ("+6281100000004", "The water has been brown since Friday in our street near the old station."),
];

/// A letter: who writes, under which subject, and what.
const LETTER: (&str, &str, &str) = (
    "siti@example.org",
    "Jembatan di Desa Contoh",
    "Papan jembatan di Desa Contoh lepas tiga lembar, anak sekolah lewat di situ tiap pagi.\n\nDikirim dari iPhone saya",
);

/// A gateway and its invented world.
#[derive(Debug)]
pub struct Demo {
    pub gateway: Running,
    pub provider: Arc<Provider>,
    /// Where the page is.
    pub page: SocketAddr,
}

/// One message on its way, as the demonstration prints it.
#[derive(Debug)]
pub struct Story {
    pub from: &'static str,
    pub text: String,
    /// What the provider, or the citizen's mail server, was told.
    pub status: String,
    pub tracking_id: String,
    pub queue: String,
    pub answer: String,
}

/// Starts everything in `folder`.
pub async fn start(folder: &Path, listen: SocketAddr) -> Result<Demo, StartError> {
    let page = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let page_address = page.local_addr().context("the address of the page")?;
    let gateway = TcpListener::bind((listen.ip(), 0)).await.context("a port for the gateway")?;
    let gateway_address = gateway.local_addr().context("the address of the gateway")?;
    let mailboxes = TcpListener::bind((listen.ip(), 0)).await.context("a port for the mailboxes")?;
    let mailboxes_address = mailboxes.local_addr().context("the address of the mailboxes")?;
    write_files(folder, page_address, mailboxes_address).context("the temporary folder cannot be written")?;
    let resolved = resolved(folder, gateway_address);
    let running = runtime::start(resolved, gateway, Strictness::Strict).await?;
    let mail = running.smtp.context("the gateway takes mail")?;
    let provider = Provider::new(format!("http://{gateway_address}"), mail).context("the invented provider")?;
    let provider = Arc::new(provider);
    tokio::spawn(mailbox::serve(mailboxes, provider.clone()));
    let app = page::router(provider.clone(), running.app.clone());
    tokio::spawn(async move {
        // It ends with the process.
        let _ = axum::serve(page, app).await;
    });
    Ok(Demo { gateway: running, provider, page: page_address })
}

/// The manifests as they ship, but that answers go to the invented provider and the invented mailboxes.
fn write_files(folder: &Path, provider: SocketAddr, mailboxes: SocketAddr) -> std::io::Result<()> {
    let channels = folder.join("config").join("channels");
    std::fs::create_dir_all(&channels)?;
    std::fs::create_dir_all(folder.join("channels"))?;
    let local = format!("url         = \"http://{provider}");
    let manifest = MANIFEST.replace("url         = \"https://api.twilio.com", &local);
    std::fs::write(folder.join("channels/twilio-sms.toml"), manifest)?;
    std::fs::write(folder.join("channels/smtp.toml"), MAIL_MANIFEST)?;
    let mail = format!(
        "manifest = \"smtp\"\ntitle = \"Surat\"\n\n[settings]\naddresses = \"{ADDRESS}\"\nfrom_name = \"Lapor Kota Contoh\"\n\
         send_host = \"{}\"\nsend_port = {}\nsend_security = \"none\"\n",
        mailboxes.ip(),
        mailboxes.port()
    );
    std::fs::write(channels.join(format!("{MAIL}.toml")), mail)?;
    std::fs::write(folder.join("config/routing.toml"), ROUTING)?;
    std::fs::write(folder.join("config/agencies.csv"), AGENCIES)?;
    std::fs::write(folder.join("auth_token"), KEY)?;
    let channel = format!(
        "manifest = \"twilio-sms\"\ntitle = \"SMS 1708\"\n\n[settings]\naccount_sid = \"{ACCOUNT}\"\n\
         auth_token = {{ file = \"../auth_token\" }}\n"
    );
    std::fs::write(channels.join(format!("{CHANNEL}.toml")), channel)
}

fn resolved(folder: &Path, address: SocketAddr) -> Resolved {
    let config = Config {
        listen: address,
        public_url: format!("http://{address}"),
        data_dir: folder.join("data"),
        channels_dir: folder.join("channels"),
        mail: MailSection { resolver: "off".to_owned() },
        smtp: SmtpSection { listen: Some(SocketAddr::from((address.ip(), 0))), ..SmtpSection::default() },
        gateway: GatewaySection { organisation: "Pemerintah Kota Contoh".to_owned(), ..GatewaySection::default() },
        ..Config::default()
    };
    let timezone = jiff::tz::TimeZone::get(&config.gateway.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    let token: String = crate::complaint::hex(&crate::clock::random::<16>());
    Resolved {
        config,
        config_dir: folder.join("config"),
        timezone,
        tokens: vec![Token { scopes: vec![Scope::Core, Scope::Operator], value: SecretString::from(token) }],
        bucket: None,
        store: StoreChoice::Embedded,
        journal_key: None,
        trusted_proxies: Vec::new(),
        trusted_relays: Vec::new(),
    }
}

impl Demo {
    /// Sends the sample messages one by one and follows each to the queue and back to its phone.
    pub async fn tell(&self, mut told: impl FnMut(&Story)) -> anyhow::Result<()> {
        for (from, text) in SAMPLES {
            let status = self.provider.deliver(from, text).await?;
            let answer = self.provider.answer_to(from, Duration::from_secs(10)).await;
            let answer = answer.context("no acknowledgement came within 10 seconds")?;
            let (queue, tracking_id) = self.find(text).await?;
            let (text, status) = (text.to_owned(), format!("provider is told  {status}"));
            told(&Story { from, text, status, tracking_id, queue, answer });
        }
        self.write(&mut told).await
    }

    /// A citizen writes a letter to the gateway's mail server, and gets an answer into the mailbox.
    async fn write(&self, told: &mut impl FnMut(&Story)) -> anyhow::Result<()> {
        let (from, subject, text) = LETTER;
        let status = mailbox::write(&self.provider, from, subject, text).await?;
        let answer = self.provider.answer_to(from, Duration::from_secs(10)).await;
        let answer = answer.context("no letter came back within 10 seconds")?;
        let words = text.lines().next().unwrap_or_default();
        let (queue, tracking_id) = self.find(words).await?;
        let status = format!("her server is told {status}");
        told(&Story { from, text: format!("{subject}: {words}"), status, tracking_id, queue, answer });
        Ok(())
    }

    /// The queue in which the complaint with these words waits, and its tracking id.
    async fn find(&self, text: &str) -> anyhow::Result<(String, String)> {
        let last_words = text.rsplit(' ').take(3).collect::<Vec<_>>();
        for (queue, event) in events(&self.gateway).await? {
            let description = event["data"]["description"].as_str().unwrap_or_default();
            if last_words.iter().all(|word| description.contains(word)) {
                let tracking_id = event["data"]["tracking_id"].as_str().unwrap_or_default();
                return Ok((queue, tracking_id.to_owned()));
            }
        }
        anyhow::bail!("the complaint is in no queue")
    }
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
