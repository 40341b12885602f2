//! `loket schema` and `loket config`.

use schemars::schema_for;
use serde_json::{Value, json};

use super::{ConfigCommand, Ending, SchemaKind, client::configuration, output};
use crate::{
    channel, complaint,
    config::{self, Config},
    diagnostic::Severity,
    runtime,
};

/// Prints a JSON Schema, for editors and for consumers.
pub fn schema(what: SchemaKind) -> Result<(), Ending> {
    let text = match what {
        SchemaKind::Complaint => complaint::COMPLAINT_SCHEMA.to_owned(),
        SchemaKind::Followup => complaint::FOLLOWUP_SCHEMA.to_owned(),
        SchemaKind::Channel => serde_json::to_string_pretty(&channel::file::schema())?,
        SchemaKind::Manifest => serde_json::to_string_pretty(&channel::manifest::schema())?,
        SchemaKind::Config => serde_json::to_string_pretty(&schema_for!(Config))?,
    };
    output::line(text.trim_end());
    Ok(())
}

pub fn run(command: &ConfigCommand) -> Result<(), Ending> {
    match command {
        ConfigCommand::Check { json } => check(*json),
        ConfigCommand::Show { json } => show(*json),
    }
}

/// Every file of the configuration and every manifest that a channel uses.
fn check(json: bool) -> Result<(), Ending> {
    let resolved = config::load(&config::config_dir(), &config::environment).map_err(|mistakes| {
        output::diagnostics(&mistakes, json);
        Ending::Failed
    })?;
    let mut found = runtime::load_rules(&resolved).err().unwrap_or_default();
    let (_, set) = runtime::channel_loader(&resolved).start();
    for slot in set.slots.values() {
        if let channel::Slot::Closed { reasons } = slot {
            found.extend(reasons.iter().cloned());
        }
    }
    found.extend(set.remarks.iter().cloned());
    output::diagnostics(&found, json);
    if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(Ending::Failed);
    }
    if !json {
        output::line(&format!("good: {} channels", set.slots.len()));
    }
    Ok(())
}

/// The settings in force. References to secrets are shown, never their values.
fn show(json: bool) -> Result<(), Ending> {
    let resolved = configuration()?;
    let mut document = serde_json::to_value(&resolved.config)?;
    redact(&mut document);
    document["config_dir"] = json!(resolved.config_dir);
    if json {
        return Ok(output::json(&document)?);
    }
    // TOML has no null: what is not set is left out.
    if let Value::Object(table) = &mut document {
        table.retain(|_, value| !value.is_null());
        if let Some(Value::Object(journal)) = table.get_mut("journal") {
            journal.retain(|_, value| !value.is_null());
        }
    }
    output::line(toml::to_string(&document)?.trim_end());
    Ok(())
}

/// A store's URL may hold a password.
fn redact(document: &mut Value) {
    for key in ["api_token", "console_password"] {
        if !document[key].is_null() {
            document[key] = json!("***");
        }
    }
    if !document["journal"]["key"].is_null() {
        document["journal"]["key"] = json!("***");
    }
    for token in document["token"].as_array_mut().into_iter().flatten() {
        token["value"] = json!("***");
    }
}
