//! `loket channel new`: writes a channel file from what the manifest asks for.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::{Ending, configuration, manifest_files, output, rehearse};
use crate::{
    adapter::telegram,
    channel::manifest::{Label, Manifest, SettingKind, SettingRules},
    receipt::ChannelId,
};

/// Settings come from `--set`; what is missing is asked for on a terminal.
pub fn new(manifest: &str, id: &str, given: &[String]) -> Result<(), Ending> {
    let resolved = configuration()?;
    let id = ChannelId::new(id).map_err(|error| Ending::Misused(format!("`{id}`: {error}")))?;
    let path = resolved.config.channels_dir.join(format!("{manifest}.toml"));
    if !path.is_file() {
        return Err(Ending::Misused(format!("no manifest {}: the folder holds those that are", path.display())));
    }
    let file = manifest_files(&path)?.into_iter().next().context("the manifest's name must end in .toml")?;
    let checked = rehearse(&file);
    let Some(provider) = checked.provider else {
        output::diagnostics(&checked.mistakes, false);
        return Err(Ending::Failed);
    };
    let folder = resolved.config_dir.join("channels");
    let target = folder.join(format!("{id}.toml"));
    if target.exists() {
        return Err(Ending::Misused(format!("{} is there already", target.display())));
    }
    let text = channel_file(&provider.manifest, given)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    std::fs::write(&target, text).with_context(|| format!("{} cannot be written", target.display()))?;
    output::line(&format!("wrote {}", target.display()));
    if provider.manifest.adapter == telegram::NAME {
        output::line(&format!(
            "by webhook: `loket channel doctor {id} --set-webhook` tells Telegram where the gateway is"
        ));
        output::line("with updates = \"polling\" nothing is to be told");
    } else {
        output::line(&format!("tell the provider: {}/in/{id}", resolved.config.public_url));
    }
    if provider.manifest.receipts.is_some() {
        output::line(&format!("delivery reports:  {}/in/{id}/status", resolved.config.public_url));
    }
    output::line(&format!(
        "a running gateway takes it up within 5 seconds; `loket channel doctor {id}` tries the credentials"
    ));
    Ok(())
}

fn channel_file(manifest: &Manifest, given: &[String]) -> Result<String, Ending> {
    let mut values = Vec::new();
    for pair in given {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Ending::Misused(format!("--set {pair}: write NAME=VALUE")))?;
        if !manifest.settings.contains_key(name) {
            let names: Vec<_> = manifest.settings.keys().map(String::as_str).collect();
            return Err(Ending::Misused(format!("the manifest has no setting `{name}`; it has {}", names.join(", "))));
        }
        values.push((name.to_owned(), value.to_owned()));
    }
    let mut text = format!("manifest = {}\n\n[settings]\n", quoted(&manifest.id));
    for (name, rules) in &manifest.settings {
        let value = match values.iter().find(|(given, _)| given == name) {
            Some((_, value)) => value.clone(),
            None => asked(name, rules)?,
        };
        if value.is_empty() {
            continue;
        }
        text += &written(name, rules, &value)?;
    }
    Ok(text)
}

/// Asks on a terminal; elsewhere a setting that is needed has to be given.
fn asked(name: &str, rules: &SettingRules) -> Result<String, Ending> {
    let is_required = rules.required.unwrap_or(rules.default.is_none());
    if !std::io::stdin().is_terminal() {
        if is_required {
            return Err(Ending::Misused(format!("setting `{name}` is needed: --set {name}={}", example(rules))));
        }
        return Ok(String::new());
    }
    let label = match &rules.label {
        Label::Plain(label) => label,
        Label::Both { en, .. } => en,
    };
    let kind = if rules.secret { "env:NAME or file:PATH" } else { "text" };
    let optional = if is_required { "" } else { ", empty for none" };
    print!("{label} ({kind}{optional}): ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let value = line.trim().to_owned();
    if value.is_empty() && is_required {
        return Err(Ending::Misused(format!("setting `{name}` is needed")));
    }
    Ok(value)
}

fn example(rules: &SettingRules) -> String {
    let example = rules.example.as_ref().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    example.unwrap_or_else(|| if rules.secret { "env:NAME".to_owned() } else { "…".to_owned() })
}

/// A setting as a line of TOML; a secret only as a reference.
fn written(name: &str, rules: &SettingRules, value: &str) -> Result<String, Ending> {
    if rules.secret {
        return match value.split_once(':') {
            Some((kind @ ("env" | "file"), place)) if !place.is_empty() => {
                Ok(format!("{name} = {{ {kind} = {} }}\n", quoted(place)))
            }
            _ => Err(Ending::Misused(format!(
                "setting `{name}` is a secret: write env:NAME or file:PATH, never the value itself"
            ))),
        };
    }
    match rules.kind {
        SettingKind::Number | SettingKind::Boolean => Ok(format!("{name} = {value}\n")),
        _ => Ok(format!("{name} = {}\n", quoted(value))),
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
