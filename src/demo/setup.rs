//! The folder that the demonstration's gateway starts from: the shipped manifests, one channel each, and made-up secrets.

use std::{fs, io, net::SocketAddr, path::Path};

use secrecy::SecretString;

use super::{
    ACCOUNT, ADDRESS, BOT, BOT_SECRET, BOT_TOKEN, CHANNEL, KEY, MAIL, TELEGRAM, WHATSAPP, WHATSAPP_ACCESS,
    WHATSAPP_NUMBER, WHATSAPP_SECRET, WHATSAPP_VERIFY,
};
use crate::{
    config::{Config, GatewaySection, MailSection, MediaSection, Resolved, Scope, SmtpSection, StoreChoice, Token},
    units::Size,
};

const SMS_MANIFEST: &str = include_str!("../../channels/twilio-sms.toml");
const MAIL_MANIFEST: &str = include_str!("../../channels/smtp.toml");
const TELEGRAM_MANIFEST: &str = include_str!("../../channels/telegram.toml");
const WHATSAPP_MANIFEST: &str = include_str!("../../channels/whatsapp-cloud.toml");
const ROUTING: &str = include_str!("../../config/routing.toml");
const AGENCIES: &str = include_str!("../../config/agencies.csv");

/// Where the invented providers are.
pub struct Addresses {
    pub sms: SocketAddr,
    pub mailboxes: SocketAddr,
    pub telegram: String,
    pub whatsapp: String,
}

/// The manifests as they ship, but that answers by SMS go to the invented provider: it has no setting for that. The others have.
pub fn write(folder: &Path, addresses: &Addresses) -> io::Result<()> {
    let channels = folder.join("config").join("channels");
    fs::create_dir_all(&channels)?;
    fs::create_dir_all(folder.join("channels"))?;
    let local = format!("url         = \"http://{}", addresses.sms);
    let sms = SMS_MANIFEST.replace("url         = \"https://api.twilio.com", &local);
    for (name, manifest) in [
        ("twilio-sms", sms.as_str()),
        ("smtp", MAIL_MANIFEST),
        ("telegram", TELEGRAM_MANIFEST),
        ("whatsapp-cloud", WHATSAPP_MANIFEST),
    ] {
        fs::write(folder.join(format!("channels/{name}.toml")), manifest)?;
    }
    fs::write(folder.join("config/routing.toml"), ROUTING)?;
    fs::write(folder.join("config/agencies.csv"), AGENCIES)?;
    for (name, secret) in [
        ("auth_token", KEY),
        ("bot_token", BOT_TOKEN),
        ("bot_secret", BOT_SECRET),
        ("wa_access", WHATSAPP_ACCESS),
        ("wa_secret", WHATSAPP_SECRET),
        ("wa_verify", WHATSAPP_VERIFY),
    ] {
        fs::write(folder.join(name), secret)?;
    }
    for (id, channel) in channel_files(addresses) {
        fs::write(channels.join(format!("{id}.toml")), channel)?;
    }
    Ok(())
}

fn channel_files(addresses: &Addresses) -> [(&'static str, String); 4] {
    let Addresses { mailboxes, telegram, whatsapp, .. } = addresses;
    let sms = format!(
        "manifest = \"twilio-sms\"\ntitle = \"SMS 1708\"\n\n[settings]\naccount_sid = \"{ACCOUNT}\"\n\
         auth_token = {{ file = \"../auth_token\" }}\n"
    );
    let mail = format!(
        "manifest = \"smtp\"\ntitle = \"Surat\"\n\n[settings]\naddresses = \"{ADDRESS}\"\nfrom_name = \"Lapor Kota Contoh\"\n\
         send_host = \"{}\"\nsend_port = {}\nsend_security = \"none\"\n",
        mailboxes.ip(),
        mailboxes.port()
    );
    let telegram = format!(
        "manifest = \"telegram\"\ntitle = \"Bot\"\n\n[settings]\nbot_username = \"{BOT}\"\napi_url = \"{telegram}\"\n\
         bot_token = {{ file = \"../bot_token\" }}\nsecret_token = {{ file = \"../bot_secret\" }}\n\n[media]\nallow_private = true\n"
    );
    let whatsapp = format!(
        "manifest = \"whatsapp-cloud\"\ntitle = \"WhatsApp 1709\"\n\n[settings]\nphone_number_id = \"{WHATSAPP_NUMBER}\"\n\
         graph_url = \"{whatsapp}\"\naccess_token = {{ file = \"../wa_access\" }}\napp_secret = {{ file = \"../wa_secret\" }}\n\
         verify_token = {{ file = \"../wa_verify\" }}\n\n[media]\nallow_private = true\n"
    );
    [(CHANNEL, sms), (MAIL, mail), (TELEGRAM, telegram), (WHATSAPP, whatsapp)]
}

pub fn resolved(folder: &Path, address: SocketAddr) -> Resolved {
    let config = Config {
        listen: address,
        public_url: format!("http://{address}"),
        data_dir: folder.join("data"),
        channels_dir: folder.join("channels"),
        mail: MailSection { resolver: "off".to_owned() },
        smtp: SmtpSection { listen: Some(SocketAddr::from((address.ip(), 0))), ..SmtpSection::default() },
        gateway: GatewaySection { organisation: "Pemerintah Kota Contoh".to_owned(), ..GatewaySection::default() },
        // A demonstration keeps a few pictures; it runs on a full disk too.
        media: MediaSection { free_space: Size::mib(8), ..MediaSection::default() },
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
