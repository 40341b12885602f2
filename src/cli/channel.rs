//! `loket channel`: what is open, what is wrong with a file, what a captured request would become.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use serde_json::json;

use super::{ChannelCommand, Ending, client::configuration, output};
use crate::{
    channel::{
        Channel, ChannelSet, Slot,
        attempt::{self, Attempt, Verification},
        folders::{Files, Folders, read_up_to},
        provider::{Checked, Provider},
    },
    clock,
    config::Resolved,
    diagnostic::{Diagnostic, Severity},
    http::Http,
    mailbox::doctor::examine,
    outbox::probe::{ProbeResult, probe},
    runtime,
    telegram::doctor::{self, Task},
    units::Size,
};

mod bot;
mod mailbox;
mod new;

/// A captured request: the largest body, and its headers.
const LARGEST: Size = Size::mib(33);

pub fn run(command: ChannelCommand) -> Result<(), Ending> {
    match command {
        ChannelCommand::List { json } => list(json),
        ChannelCommand::New { manifest, id, settings } => new::new(&manifest, &id, &settings),
        ChannelCommand::Check { paths, json } => check(&paths, json),
        ChannelCommand::Try { channel, files, json, no_verify } => {
            let verification = if no_verify { Verification::Skip } else { Verification::Check };
            try_files(&channel, &files, verification, json)
        }
        ChannelCommand::Doctor { id, set_webhook, delete_webhook, json } => {
            let task = match (set_webhook, delete_webhook) {
                (true, _) => Task::SetWebhook,
                (_, true) => Task::DeleteWebhook,
                _ => Task::Look,
            };
            doctor(&id, task, json)
        }
    }
}

fn load(resolved: &Resolved) -> ChannelSet {
    runtime::channel_loader(resolved).start().1
}

/// What the files give, whether a gateway runs or not.
fn list(json: bool) -> Result<(), Ending> {
    let resolved = configuration()?;
    let set = load(&resolved);
    for (id, slot) in &set.slots {
        let (state, manifest, title) = match slot {
            Slot::Open(channel) if !channel.enabled => ("disabled", &*channel.manifest.id, &*channel.facts.title),
            Slot::Open(channel) => ("open", &*channel.manifest.id, &*channel.facts.title),
            Slot::Closed { .. } => ("closed", "", ""),
        };
        let is_polled = matches!(slot, Slot::Open(channel) if channel.polled().is_some());
        let url = (!is_polled).then(|| format!("{}/in/{id}", resolved.config.public_url));
        if json {
            output::json(
                &json!({ "id": id, "state": state, "manifest": manifest, "title": title, "url": url, "reasons": reasons(slot) }),
            )?;
        } else {
            let url = url.as_deref().unwrap_or("(asks for its updates)");
            output::line(&format!("{id:<20} {state:<9} {manifest:<20} {url}"));
        }
    }
    if !json {
        let mistakes: Vec<Diagnostic> = set.slots.values().flat_map(mistakes).chain(set.remarks).collect();
        output::diagnostics(&mistakes, false);
        if set.slots.is_empty() {
            output::line("no channels: `loket channel new MANIFEST ID` opens one");
        }
    }
    Ok(())
}

fn mistakes(slot: &Slot) -> Vec<Diagnostic> {
    match slot {
        Slot::Open(_) => Vec::new(),
        Slot::Closed { reasons } => reasons.to_vec(),
    }
}

fn reasons(slot: &Slot) -> Vec<String> {
    mistakes(slot).iter().map(Diagnostic::to_string).collect()
}

/// A manifest's file with the recorded requests beside it.
struct ManifestFile {
    name: String,
    source: Arc<crate::diagnostic::Source>,
    recordings: BTreeMap<String, bytes::Bytes>,
}

/// Reads every manifest of a folder, or one.
fn manifest_files(path: &Path) -> anyhow::Result<Vec<ManifestFile>> {
    let is_folder = path.is_dir();
    let folder = if is_folder { path } else { path.parent().unwrap_or(Path::new(".")) };
    std::fs::metadata(path).with_context(|| format!("{} is not there", path.display()))?;
    let files = Files::read(&Folders { manifests: folder.to_owned(), channels: folder.join("no-channels-here") });
    let wanted = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let manifests = files.manifests.iter().filter(|(name, _)| is_folder || **name == wanted);
    let read = manifests.map(|(name, file)| {
        if let Some(fault) = &file.fault {
            anyhow::bail!("{} cannot be read: {fault}", file.source.path.display());
        }
        Ok(ManifestFile { name: name.clone(), source: file.source.clone(), recordings: files.recordings.clone() })
    });
    read.collect()
}

fn rehearse(file: &ManifestFile) -> Checked {
    Provider::check(&file.name, &file.source, &file.recordings, clock::now(), runtime::normalised)
}

/// Lints, runs samples and derived refusals, and tells what each scheme proves.
fn check(paths: &[PathBuf], json: bool) -> Result<(), Ending> {
    let mut is_bad = false;
    let mut paths = paths.to_vec();
    if paths.is_empty() {
        let resolved = configuration()?;
        let set = load(&resolved);
        let found: Vec<Diagnostic> = set.slots.values().flat_map(mistakes).chain(set.remarks).collect();
        is_bad |= output::diagnostics(&found, json);
        paths.push(resolved.config.channels_dir);
    }
    let (mut manifests, mut samples, mut refusals) = (0, 0, 0);
    for path in &paths {
        for file in manifest_files(path)? {
            let checked = rehearse(&file);
            manifests += 1;
            samples += checked.rehearsals.len();
            refusals += checked.rehearsals.iter().map(|rehearsal| rehearsal.refusals.len()).sum::<usize>();
            is_bad |= report(&file.name, &checked, json)?;
        }
    }
    if !json {
        output::line(&format!("{manifests} manifests, {samples} samples, {refusals} derived refusals"));
    }
    if is_bad { Err(Ending::Failed) } else { Ok(()) }
}

/// True when the manifest has an error.
fn report(name: &str, checked: &Checked, json: bool) -> Result<bool, Ending> {
    let is_bad = checked.mistakes.iter().any(|mistake| mistake.severity == Severity::Error);
    let unproven = unproven(checked);
    if json {
        let mistakes: Vec<_> = checked.mistakes.iter().map(Diagnostic::line).collect();
        let proves = checked.proves.map(|(proves, url)| {
            json!({ "sender": proves.sender, "content": proves.content, "freshness": proves.freshness, "url": url })
        });
        let samples = checked.rehearsals.len();
        output::json(
            &json!({ "manifest": name, "ok": !is_bad, "proves": proves, "samples": samples, "not_proven": unproven, "mistakes": mistakes }),
        )?;
        return Ok(is_bad);
    }
    output::diagnostics(&checked.mistakes, false);
    let words = checked.proves.map(|(proves, url)| {
        let word = |is_proven: bool| if is_proven { "yes" } else { "no" };
        let (sender, content, fresh) = (word(proves.sender), word(proves.content), word(proves.freshness));
        format!("proves: sender {sender}, content {content}, URL {}, freshness {fresh}", word(url))
    });
    let state = if is_bad { "BAD " } else { "good" };
    output::line(&format!("{state} {name:<20} {}", words.unwrap_or_default()));
    if !unproven.is_empty() {
        output::line(&format!("     {:<20} accepted with: {}", "", unproven.join("; ")));
    }
    Ok(is_bad)
}

/// The changes that the scheme does not notice, each once.
fn unproven(checked: &Checked) -> Vec<&str> {
    let refusals = checked.rehearsals.iter().flat_map(|rehearsal| &rehearsal.refusals);
    let mut accepted: Vec<_> =
        refusals.filter(|derived| !derived.was_refused).map(|derived| derived.change.as_str()).collect();
    accepted.sort_unstable();
    accepted.dedup();
    accepted
}

/// The channel of that id, or a stand-in for the manifest of that name or path.
fn channel_or_manifest(name: &str) -> Result<Arc<Channel>, Ending> {
    let path = Path::new(name);
    let path = if path.is_file() {
        path.to_owned()
    } else {
        let resolved = configuration()?;
        match load(&resolved).slot(name) {
            Some(Slot::Open(channel)) => return Ok(channel.clone()),
            Some(slot) => {
                output::diagnostics(&mistakes(slot), false);
                return Err(Ending::Failed);
            }
            None => resolved.config.channels_dir.join(format!("{name}.toml")),
        }
    };
    if !path.is_file() {
        return Err(Ending::Misused(format!(
            "`{name}` is no channel, no manifest and no file: `loket channel list` shows the channels"
        )));
    }
    let file = manifest_files(&path)?.into_iter().next().context("the manifest's name must end in .toml")?;
    let checked = rehearse(&file);
    let Some(provider) = checked.provider else {
        output::diagnostics(&checked.mistakes, false);
        return Err(Ending::Failed);
    };
    let channel = attempt::stand_in(&provider, "https://loket.example")
        .map_err(|reason| Ending::Error(anyhow::anyhow!(reason)))?;
    Ok(Arc::new(channel))
}

fn try_files(name: &str, files: &[PathBuf], verification: Verification, json: bool) -> Result<(), Ending> {
    let channel = channel_or_manifest(name)?;
    let mut is_bad = false;
    for path in files {
        let content = read_up_to(path, LARGEST).with_context(|| format!("{} cannot be read", path.display()))?;
        let file = path.display().to_string();
        let attempt = attempt::try_file(&channel, &file, &content, verification, clock::now(), runtime::normalised);
        is_bad |= attempt.error.is_some();
        if json { output::json(&attempt)? } else { show(&attempt) }
    }
    if is_bad { Err(Ending::Failed) } else { Ok(()) }
}

fn show(attempt: &Attempt) {
    output::line(&format!("{}:", attempt.file));
    let verified = &attempt.verified;
    let result = serde_json::to_value(verified.result).unwrap_or_default();
    output::line(&format!("  verified  {} {}", result.as_str().unwrap_or_default(), verified.detail));
    for message in &attempt.messages {
        let text = serde_json::to_string_pretty(message).unwrap_or_default();
        output::line(&format!("  message   {}", text.replace('\n', "\n            ")));
    }
    for receipt in &attempt.receipts {
        output::line(&format!("  receipt   {} {:?}", receipt.id, receipt.status));
    }
    if let Some(reply) = &attempt.reply {
        output::line(&format!("  reply     {} {}", reply.status, reply.body));
    }
    if let Some(error) = &attempt.error {
        output::line(&format!("  error     {error}"));
    }
}

/// Asks the provider whether the credentials are good.
fn doctor(id: &str, task: Task, json: bool) -> Result<(), Ending> {
    let resolved = configuration()?;
    let set = load(&resolved);
    let channel = match set.slot(id) {
        Some(Slot::Open(channel)) => channel.clone(),
        Some(slot) => {
            output::diagnostics(&mistakes(slot), json);
            return Err(Ending::Failed);
        }
        None => return Err(Ending::Misused(format!("no channel `{id}`: `loket channel list` shows those that are"))),
    };
    let url = format!("{}/in/{id}", resolved.config.public_url);
    if task != Task::Look && channel.bot.is_none() {
        return Err(Ending::Misused(format!(
            "`{id}` is no Telegram bot: it has no webhook that could be set from here"
        )));
    }
    if task == Task::SetWebhook && channel.polled().is_some() {
        return Err(Ending::Misused(format!(
            "`{id}` asks for its updates itself, which Telegram refuses while a webhook is set: write updates = \"webhook\" first"
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let public_url = &resolved.config.public_url;
    let bot = async { anyhow::Ok(doctor::examine(&Http::new()?, &channel, task, public_url, clock::now()).await) };
    if let Some(health) = runtime.block_on(bot)? {
        return bot::report(id, channel.polled().is_none().then_some(&*url), &health, json);
    }
    if let Some(health) = runtime.block_on(async { anyhow::Ok(examine(&Http::new()?, &channel).await) })? {
        return mailbox::report(id, &health, json);
    }
    let result = runtime.block_on(async { anyhow::Ok(probe(&Http::new()?, &channel).await) })?;
    let (state, detail, owner) = match result {
        ProbeResult::None => ("unknown", "the manifest has no [probe]".to_owned(), None),
        ProbeResult::Good { owner } => ("good", "the provider takes them".to_owned(), owner),
        ProbeResult::Bad { reason, owner } => ("bad", reason, owner),
        ProbeResult::Unreachable { reason } => ("unknown", format!("the provider cannot be asked: {reason}"), None),
    };
    if json {
        output::json(&json!({ "id": id, "credentials": state, "detail": detail, "owner": owner, "url": url }))?;
    } else {
        output::line(&format!("credentials  {state}: {detail}"));
        if let Some(owner) = owner {
            output::line(&format!("webhook      {owner}"));
        }
        output::line(&format!("URL          {url}"));
    }
    if state == "bad" { Err(Ending::Failed) } else { Ok(()) }
}
