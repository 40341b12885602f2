//! `loket receipt`: proof of receipt, and the quarantine.

use serde_json::{Value, json};

use super::{Ending, ReceiptCommand, client::Gateway, output};
use crate::percent::encoded;

pub fn run(command: ReceiptCommand) -> Result<(), Ending> {
    let gateway = Gateway::connect()?;
    match command {
        ReceiptCommand::Show { id, json } => show(&gateway, &id, json),
        ReceiptCommand::List { json } => list(&gateway, json),
        ReceiptCommand::Replay { ids } => replay(&gateway, ids),
    }
}

fn quarantine(gateway: &Gateway) -> Result<Vec<Value>, Ending> {
    Ok(gateway.get("/v1/receipts")?["receipts"].as_array().cloned().unwrap_or_default())
}

fn list(gateway: &Gateway, json: bool) -> Result<(), Ending> {
    let receipts = quarantine(gateway)?;
    for receipt in &receipts {
        if json {
            output::json(receipt)?;
            continue;
        }
        let text = |key: &str| receipt[key].as_str().unwrap_or_default();
        output::line(&format!(
            "{}  {}  {:<20} {}",
            text("receipt_id"),
            text("received_at"),
            text("channel"),
            text("reason")
        ));
    }
    if receipts.is_empty() && !json {
        output::line("the quarantine is empty");
    }
    Ok(())
}

fn show(gateway: &Gateway, id: &str, json: bool) -> Result<(), Ending> {
    let proof = gateway.get(&format!("/v1/receipts/{}", encoded(id)))?;
    if json {
        return Ok(output::json(&proof)?);
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let field = |name: &str, value: &Value| output::line(&format!("{name:<10} {}", text(value)));
    field("receipt", &proof["receipt_id"]);
    field("channel", &proof["channel"]);
    field("accepted", &proof["received_at"]);
    field("verified", &proof["verified"]["result"]);
    field("sha256", &proof["sha256"]);
    field("state", &proof["state"]);
    if proof["reason"].is_string() {
        field("reason", &proof["reason"]);
    }
    for steps in proof["complaints"].as_array().into_iter().flatten() {
        output::line("");
        for (name, key) in [
            ("complaint", "complaint_id"),
            ("tracking", "tracking_id"),
            ("queue", "queue"),
            ("enqueued", "enqueued_at"),
            ("leased", "leased_at"),
            ("acked", "acked_at"),
        ] {
            field(name, &steps[key]);
        }
    }
    Ok(())
}

fn replay(gateway: &Gateway, mut ids: Vec<String>) -> Result<(), Ending> {
    if ids.is_empty() {
        ids = quarantine(gateway)?
            .iter()
            .filter_map(|receipt| receipt["receipt_id"].as_str().map(str::to_owned))
            .collect();
    }
    let mut failed = 0;
    for id in &ids {
        // One that cannot be read must not hold back those behind it.
        if let Err(Ending::Error(error)) = gateway.post(&format!("/v1/receipts/{}/replay", encoded(id)), &json!({})) {
            failed += 1;
            eprintln!("loket: {id}: {error:#}");
        }
    }
    output::line(&format!("{} brought back", ids.len() - failed));
    if failed == 0 { Ok(()) } else { Err(Ending::Failed) }
}
