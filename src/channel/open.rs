//! Opens a channel: the operator's file checked against its manifest, every secret resolved, the keys read.
//!
//! All mistakes of a file are told at once. They are shown on a text in which everything that may be a secret is covered.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::tz::TimeZone;

use super::{
    Channel, ChannelFacts, Normaliser,
    document::{Document, cover, did_you_mean},
    file::{ChannelFile, Environment, SettingValue},
    manifest::Manifest,
    provider::{Parts, Provider},
};
use crate::{
    adapter::{
        Engine,
        mail::{Answering, Mail, Post},
        telegram::{self, Account, Updates},
        webhook::send::Send,
    },
    complaint::ReplyCapability,
    diagnostic::{Diagnostic, Source},
    receipt::ChannelId,
    secret::SecretRef,
    settings::{SettingError, Settings},
    signature::{Verifier, VerifyMode},
    units::Size,
};

mod value;

pub use value::{mistake_in, text_of};

/// What the gateway gives to channels that do not say otherwise.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Without a slash at the end.
    pub public_url: String,
    /// ISO 3166.
    pub country: String,
    pub timezone: TimeZone,
    /// BCP 47.
    pub language: String,
    /// Relative paths of secret files begin here.
    pub config_dir: PathBuf,
    /// For the messages that samples expect.
    pub normalise: Normaliser,
}

/// What a channel file decides beside its settings.
#[derive(Clone, Debug)]
pub struct Terms {
    pub title: String,
    pub enabled: bool,
    pub country: String,
    pub timezone: TimeZone,
    pub language: String,
    pub acknowledge: bool,
    pub queue: Option<String>,
    pub receiver: Option<ChannelId>,
    pub mode: VerifyMode,
    pub max_body: Size,
    pub send_per_second: f64,
    pub acks_per_day: Option<u64>,
    pub allow_private_media: bool,
}

impl Terms {
    /// The defaults of the specification, which samples are written for.
    pub fn of_samples(manifest: &Manifest) -> Self {
        Self {
            title: manifest.title.clone(),
            enabled: true,
            country: "ID".to_owned(),
            timezone: TimeZone::get("Asia/Jakarta").unwrap_or(TimeZone::UTC),
            language: "id".to_owned(),
            acknowledge: true,
            queue: None,
            receiver: None,
            mode: VerifyMode::Enforce,
            max_body: manifest.receive.max_body,
            send_per_second: send_per_second(manifest),
            acks_per_day: None,
            allow_private_media: false,
        }
    }
}

fn send_per_second(manifest: &Manifest) -> f64 {
    manifest
        .send
        .as_ref()
        .map_or_else(|| crate::adapter::webhook::rules::RateRules::default().per_second, |send| send.rate.per_second)
}

/// A channel file that was read, with the manifest that it names.
#[derive(Clone, Debug)]
pub struct Written {
    /// Shows a text in which every value of a setting is covered.
    pub document: Document,
    pub file: ChannelFile,
    /// As it was read; never shown.
    source: Arc<Source>,
    /// What was wrong so far; [`open`] adds what is wrong with the settings.
    pub mistakes: Vec<Diagnostic>,
}

/// Reads a channel file; what its settings hold is not looked at yet.
pub fn read(source: &Arc<Source>) -> Result<Written, Vec<Diagnostic>> {
    let (document, file, mistakes) = match Document::parse(Arc::clone(source)) {
        Ok(document) => {
            let (file, mistakes) = document.read::<ChannelFile>();
            (Some(document), file, mistakes)
        }
        Err(mistakes) => (None, None, mistakes),
    };
    match (document, file) {
        (Some(mut document), Some(file)) => {
            document.source = covered(source, is_kept);
            let mistakes = on_text(&document.source, mistakes);
            Ok(Written { document, file, source: Arc::clone(source), mistakes })
        }
        _ => Err(on_text(&covered(source, is_kept), mistakes)),
    }
}

/// Values of a channel file that are never a secret.
const KEPT: [&str; 14] = [
    "manifest",
    "enabled",
    "title",
    "country",
    "timezone",
    "language",
    "queue",
    "acknowledge",
    "receiver",
    "verify.mode",
    "limits.max_body",
    "limits.send_per_second",
    "limits.acks_per_day",
    "media.allow_private",
];

fn is_kept(path: &str) -> bool {
    KEPT.contains(&path)
}

/// The text with everything covered but what may be kept and the places where secrets stand.
fn covered(source: &Source, keep: impl Fn(&str) -> bool) -> Arc<Source> {
    let is_reference = |path: &str| match path.rsplit_once('.') {
        Some((setting, "env" | "file")) => setting.starts_with("settings."),
        _ => false,
    };
    let text = cover::covered(&source.text, &|path| keep(path) || is_reference(path));
    Arc::new(Source { path: source.path.clone(), text })
}

fn on_text(text: &Arc<Source>, mut mistakes: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for mistake in &mut mistakes {
        mistake.source = Arc::clone(text);
    }
    mistakes.sort_by_key(|mistake| mistake.span.start);
    mistakes
}

/// An opened channel, with the files that its secrets were read from.
#[derive(Debug)]
pub struct Opened {
    pub channel: Arc<Channel>,
    pub secret_files: Vec<PathBuf>,
}

/// Opens a channel. `receiver` is the channel whose URL and keys it shares, when it names one: what it leaves out of its
/// settings is taken from there.
pub fn open(
    id: &ChannelId,
    written: &Written,
    provider: &Provider,
    receiver: Option<&Channel>,
    environment: &Environment<'_>,
    defaults: &Defaults,
) -> Result<Opened, Vec<Diagnostic>> {
    let Written { document, file, .. } = written;
    let mut mistakes = written.mistakes.clone();
    let mut values = value::Values { document, environment, config_dir: &defaults.config_dir, mistakes: &mut mistakes };
    let settings = values.settings(&provider.manifest, file, receiver.map(|receiver| &receiver.settings));
    let terms = terms(document, file, &provider.manifest, defaults, &mut mistakes);
    let mut native = Vec::new();
    let bot = bot(&provider.manifest, &settings).unwrap_or_else(|errors| {
        native.extend(errors);
        None
    });
    let post = post(&provider.engine, &settings, &defaults.config_dir).unwrap_or_else(|errors| {
        native.extend(errors);
        None
    });
    // What the manifest says of a setting was told already.
    if mistakes.is_empty() {
        mistakes.extend(native.into_iter().map(|SettingError { setting, message, hint }| {
            document.error(&format!("settings.{setting}"), message, Some(hint))
        }));
    }
    let is_polled = bot.as_ref().is_some_and(|bot| bot.updates == Updates::Polling);
    let verifier = if !mistakes.is_empty() {
        None
    } else if is_polled {
        Some(provider.scheme.shut(&defaults.public_url))
    } else {
        verifier(document, file, provider, &settings, defaults, &mut mistakes)
    };
    match (verifier, terms) {
        (Some(verifier), Some(terms)) if mistakes.is_empty() => {
            let keys = Keyed { verifier, settings, post, bot };
            let channel = channel(id.clone(), &provider.parts(), keys, terms, &defaults.public_url);
            Ok(Opened { channel: Arc::new(channel), secret_files: secret_files(file, &defaults.config_dir) })
        }
        _ => Err(covered_for(written, &provider.manifest, mistakes)),
    }
}

/// Mistakes of a channel file, shown so that only values which the manifest calls plain can be read.
pub fn covered_for(written: &Written, manifest: &Manifest, mistakes: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let is_plain = |path: &str| {
        let name = path.strip_prefix("settings.");
        name.and_then(|name| manifest.settings.get(name)).is_some_and(|rules| !rules.secret)
    };
    on_text(&covered(&written.source, |path| is_kept(path) || is_plain(path)), mistakes)
}

fn verifier(
    document: &Document,
    file: &ChannelFile,
    provider: &Provider,
    settings: &Settings,
    defaults: &Defaults,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Verifier> {
    match provider.scheme.with_keys(settings, file.verify.mode, &defaults.public_url) {
        Ok(verifier) => Some(verifier),
        Err(errors) => {
            mistakes.extend(errors.into_iter().map(|error| {
                let name = crate::settings::reference(&error.key).unwrap_or(&error.key);
                document.error(&format!("settings.{name}"), error.message, error.hint)
            }));
            None
        }
    }
}

fn terms(
    document: &Document,
    file: &ChannelFile,
    manifest: &Manifest,
    defaults: &Defaults,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Terms> {
    let before = mistakes.len();
    let mut wrong = |path: &str, message: String, hint: &str| {
        mistakes.push(document.error(path, message, Some(hint.to_owned())));
    };
    let country = file.country.clone().unwrap_or_else(|| defaults.country.clone());
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        wrong(
            "country",
            format!("`country` is {country:?}, which is no ISO 3166 code"),
            "write two capital letters, like \"ID\"",
        );
    }
    let timezone = match file.timezone.as_deref().map(TimeZone::get) {
        None => defaults.timezone.clone(),
        Some(Ok(timezone)) => timezone,
        Some(Err(_)) => {
            wrong("timezone", "`timezone` is no IANA name".to_owned(), "write a name like \"Asia/Jakarta\"");
            TimeZone::UTC
        }
    };
    let language = file.language.clone().unwrap_or_else(|| defaults.language.clone());
    if language.parse::<unic_langid::LanguageIdentifier>().is_err() {
        wrong(
            "language",
            format!("`language` is {language:?}, which is no BCP 47 tag"),
            "write a tag like \"id\" or \"en\"",
        );
    }
    if let Some(queue) = file.queue.as_deref().filter(|queue| ChannelId::new(*queue).is_err()) {
        wrong("queue", format!("`queue` is {queue:?}, which is no name of a queue"), "use a-z, 0-9 and `-`");
    }
    let receiver = match file.receiver.clone().map(ChannelId::new) {
        None => None,
        Some(Ok(receiver)) => Some(receiver),
        Some(Err(error)) => {
            wrong("receiver", "`receiver` is no channel id".to_owned(), &error.to_string());
            None
        }
    };
    let highest = send_per_second(manifest);
    let send_per_second = file.limits.send_per_second.unwrap_or(highest);
    if !(send_per_second > 0.0 && send_per_second <= highest) {
        let message = format!("`limits.send_per_second` is {send_per_second}, and the manifest allows {highest}");
        wrong(
            "limits.send_per_second",
            message,
            "a channel may only lower what the manifest allows; write a number above 0",
        );
    }
    let largest = manifest.receive.max_body;
    let max_body = file.limits.max_body.unwrap_or(largest);
    if max_body > largest || max_body == Size::bytes(0) {
        let message = format!("`limits.max_body` is {max_body}, and the manifest allows {largest}");
        wrong("limits.max_body", message, "a channel may only lower what the manifest allows");
    }
    (mistakes.len() == before).then(|| Terms {
        title: file.title.clone().unwrap_or_else(|| manifest.title.clone()),
        enabled: file.enabled,
        country,
        timezone,
        language,
        acknowledge: file.acknowledge,
        queue: file.queue.clone(),
        receiver,
        mode: file.verify.mode,
        max_body,
        send_per_second,
        acks_per_day: file.limits.acks_per_day,
        allow_private_media: file.media.allow_private,
    })
}

fn secret_files(file: &ChannelFile, config_dir: &Path) -> Vec<PathBuf> {
    fn gather(value: &SettingValue, config_dir: &Path, paths: &mut Vec<PathBuf>) {
        match value {
            SettingValue::Secret(SecretRef::File(path)) => paths.push(config_dir.join(path)),
            SettingValue::List(values) => values.iter().for_each(|value| gather(value, config_dir, paths)),
            _ => {}
        }
    }
    let mut paths = Vec::new();
    file.settings.values().for_each(|value| gather(value, config_dir, &mut paths));
    paths
}

/// What a channel's settings were made into.
#[derive(Debug)]
pub struct Keyed {
    pub verifier: Verifier,
    pub settings: Settings,
    /// Of a channel for mail.
    pub post: Option<Post>,
    /// Of a channel for a bot.
    pub bot: Option<Account>,
}

/// What the settings of a bot say; None for a manifest of another adapter.
pub fn bot(manifest: &Manifest, settings: &Settings) -> Result<Option<Account>, Vec<SettingError>> {
    (manifest.adapter == telegram::NAME).then(|| Account::read(settings)).transpose()
}

/// What the settings of a channel for mail say; None for every other channel.
pub fn post(engine: &Engine, settings: &Settings, config_dir: &Path) -> Result<Option<Post>, Vec<SettingError>> {
    // A provider whose webhook brings letters answers by SMTP too, where its manifest asks for a server.
    let has_addresses = settings.plain().any(|(name, _)| name == "addresses");
    let mail = engine.mail().or_else(|| has_addresses.then_some(Mail::Smtp));
    mail.map(|mail| mail.post(settings, config_dir)).transpose()
}

/// Puts a channel together.
pub fn channel(id: ChannelId, parts: &Parts<'_>, keyed: Keyed, terms: Terms, public_url: &str) -> Channel {
    let Keyed { verifier, settings, post, bot } = keyed;
    let manifest = parts.manifest;
    let message = manifest.message.as_ref();
    let receipts_at = terms.receiver.as_ref().unwrap_or(&id);
    let receipts_url = format!("{public_url}/in/{receipts_at}/status");
    let mut facts = ChannelFacts::new(id, manifest.medium, terms.timezone);
    facts.title = terms.title;
    manifest.provider().clone_into(&mut facts.provider);
    facts.address.clone_from(&manifest.address);
    facts.country = terms.country;
    facts.language = terms.language;
    facts.acknowledge = terms.acknowledge;
    facts.queue = terms.queue;
    facts.can_reply = match &post {
        Some(post) if post.submission.is_some() => true,
        _ => parts.engine.webhook().is_some_and(|webhook| webhook.send.is_some()),
    };
    facts.capabilities = manifest.capabilities.iter().filter_map(|capability| capability.of_replies()).collect();
    let send = parts.engine.webhook().and_then(|webhook| webhook.send.as_ref());
    let takes_files = send.map_or(facts.can_reply, Send::takes_files);
    facts.capabilities.extend(takes_files.then_some(ReplyCapability::Media));
    if let Some(post) = &post {
        facts.answers_a_day = Some(post.answers_a_day);
        facts.answers_aligned_only = post.answer == Answering::OnlyAligned;
    }
    if let Some(concat) = message.and_then(|message| message.concat.as_ref()) {
        facts.parts_timeout = concat.timeout;
    }
    if let Some(group) = message.and_then(|message| message.group.as_ref()) {
        (facts.album_window, facts.album_max) = (group.window, group.max);
    }
    Channel {
        facts,
        enabled: terms.enabled,
        manifest: Arc::clone(manifest),
        engine: Arc::clone(parts.engine),
        ours: post.as_ref().map(|post| post.ours.clone()).unwrap_or_default(),
        trusted_servers: post.as_ref().map(|post| post.trusted_servers.clone()).unwrap_or_default(),
        post: post.map(Arc::new),
        bot: bot.map(Arc::new),
        verifier,
        mode: terms.mode,
        settings,
        receiver: terms.receiver,
        max_body: terms.max_body,
        send_per_second: terms.send_per_second,
        acks_per_day: terms.acks_per_day,
        allow_private_media: terms.allow_private_media,
        receipts_url,
    }
}

/// The hint for a setting that the manifest does not know.
fn nearest_setting(name: &str, manifest: &Manifest) -> Option<String> {
    did_you_mean(name, manifest.settings.keys().map(String::as_str))
}
