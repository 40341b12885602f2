//! `loket queue`: what waits, what was given up on.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Ending, QueueCommand, client::Gateway, output};
use crate::percent::encoded;

pub fn run(command: QueueCommand) -> Result<(), Ending> {
    let gateway = Gateway::connect()?;
    match command {
        QueueCommand::List { json } => list(&gateway, json),
        QueueCommand::Stats { queue, json } => stats(&gateway, &queue, json),
        QueueCommand::Peek { queue, max, json } => {
            let path = format!("/v1/queues/{}/entries?max={max}", encoded(&queue));
            print_entries(&gateway.get(&path)?["deliveries"], json)
        }
        QueueCommand::Tail { queue, json } => tail(&gateway, &queue, json),
        QueueCommand::Dead { queue, json } => dead(&gateway, &queue, json),
        QueueCommand::Requeue { queue, delivery_ids } => {
            let path = format!("/v1/queues/{}/dead/requeue", encoded(&queue));
            let answer = gateway.post(&path, &json!({ "delivery_ids": delivery_ids }))?;
            output::line(&format!("{} put back", answer["count"]));
            Ok(())
        }
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn row(queue: &Value) -> String {
    let cell = |key: &str| queue[key].as_u64().unwrap_or_default();
    let name = queue["name"].as_str().unwrap_or_default();
    format!(
        "{name:<24} {:>9} {:>9} {:>6} {:>8} s",
        cell("depth"),
        cell("in_flight"),
        cell("dead"),
        cell("oldest_seconds")
    )
}

fn heading() {
    output::line(&format!("{:<24} {:>9} {:>9} {:>6} {:>10}", "queue", "waiting", "leased", "dead", "oldest"));
}

fn list(gateway: &Gateway, json: bool) -> Result<(), Ending> {
    let answer = gateway.get("/v1/queues")?;
    if !json {
        heading();
    }
    for queue in items(&answer["queues"]) {
        if json { output::json(queue)? } else { output::line(&row(queue)) }
    }
    Ok(())
}

fn stats(gateway: &Gateway, name: &str, json: bool) -> Result<(), Ending> {
    let answer = gateway.get("/v1/queues")?;
    let queue = items(&answer["queues"]).iter().find(|queue| queue["name"] == name);
    let queue = queue
        .ok_or_else(|| Ending::Error(anyhow::anyhow!("no queue `{name}`: `loket queue list` shows those that are")))?;
    if json {
        return Ok(output::json(queue)?);
    }
    heading();
    output::line(&row(queue));
    Ok(())
}

/// For people: when, what, from which channel; no words and no address.
fn print_entries(entries: &Value, json: bool) -> Result<(), Ending> {
    for delivery in items(entries) {
        if json {
            output::json(delivery)?;
            continue;
        }
        let event = &delivery["event"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (time, kind, source) = (text(&event["time"]), text(&event["type"]), text(&event["source"]));
        let tracking = text(&event["data"]["tracking_id"]);
        output::line(&format!("{time}  {tracking}  {kind}  {source}  {}", text(&delivery["delivery_id"])));
    }
    Ok(())
}

fn tail(gateway: &Gateway, queue: &str, json: bool) -> Result<(), Ending> {
    let mut after = None::<String>;
    loop {
        let page = after.as_deref().map(|after| format!("&after={}", encoded(after))).unwrap_or_default();
        let answer = gateway.get(&format!("/v1/queues/{}/entries?max=1000{page}", encoded(queue)))?;
        let entries = items(&answer["deliveries"]);
        print_entries(&answer["deliveries"], json)?;
        if let Some(last) = entries.last().and_then(|delivery| delivery["delivery_id"].as_str()) {
            after = Some(last.to_owned());
        } else {
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

fn dead(gateway: &Gateway, queue: &str, json: bool) -> Result<(), Ending> {
    let answer = gateway.get(&format!("/v1/queues/{}/dead?max=1000", encoded(queue)))?;
    for letter in items(&answer["dead"]) {
        if json {
            output::json(letter)?;
            continue;
        }
        let text = |key: &str| letter[key].as_str().unwrap_or_default();
        output::line(&format!(
            "{}  {}  {} attempts  {}",
            text("dead_at"),
            text("delivery_id"),
            letter["attempts"],
            text("reason")
        ));
    }
    Ok(())
}
