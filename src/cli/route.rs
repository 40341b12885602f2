//! `loket route explain`.

use std::path::Path;

use anyhow::Context as _;

use super::{Ending, client::configuration, output};
use crate::{complaint::Complaint, runtime};

/// Prints each rule and whether it takes the complaint, and where the complaint goes.
pub fn explain(file: &Path, json: bool) -> Result<(), Ending> {
    let resolved = configuration()?;
    let rules = runtime::load_rules(&resolved).map_err(|mistakes| {
        output::diagnostics(&mistakes, false);
        Ending::Failed
    })?;
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let complaint = complaint(&text).with_context(|| format!("{} holds no complaint", file.display()))?;
    let explanation = rules.routing.explain(&complaint, None);
    if json {
        return Ok(output::json(&explanation)?);
    }
    output::line(explanation.to_string().trim_end());
    Ok(())
}

/// A complaint, or an event whose `data` is one.
fn complaint(text: &str) -> anyhow::Result<Complaint> {
    let mut document: serde_json::Value = serde_json::from_str(text)?;
    if let Some(data) = document.get_mut("data") {
        document = data.take();
    }
    Ok(serde_json::from_value(document)?)
}
