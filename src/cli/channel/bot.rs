//! `loket channel doctor` for a bot.

use serde_json::json;

use crate::{
    cli::{Ending, output},
    telegram::doctor::{Health, Webhook},
};

/// Shows what was found. Fails when a problem was. A bot that is polled has no URL.
pub(super) fn report(id: &str, url: Option<&str>, health: &Health, json: bool) -> Result<(), Ending> {
    let is_good = health.problems.is_empty();
    let state = match health.is_token_good {
        Some(true) => "good",
        Some(false) => "bad",
        None => "unknown",
    };
    let owner = health.webhook.as_ref().and_then(|webhook| webhook.owner.as_ref());
    let detail = if is_good { "messages can come".to_owned() } else { health.problems.join("; ") };
    if json {
        output::json(
            &json!({ "id": id, "credentials": state, "detail": detail, "owner": owner, "url": url, "telegram": health }),
        )?;
        return if is_good { Ok(()) } else { Err(Ending::Failed) };
    }
    output::line(&format!("credentials  {state}"));
    if let Some(bot) = &health.bot {
        let username = bot.username.as_deref().unwrap_or("(no user name)");
        output::line(&format!("bot          @{username}, {}", bot.name));
        let word = |can: Option<bool>, yes, no| can.map_or("not told", |can| if can { yes } else { no });
        let joins = word(bot.can_join_groups, "may be added", "may not be added");
        let reads = word(
            bot.can_read_all_group_messages,
            "off, every message is sent to it",
            "on, it hears only what is for it",
        );
        output::line(&format!("groups       {joins}; privacy mode: {reads}"));
    }
    if let Some(updates) = health.updates {
        output::line(&format!("updates      {updates}"));
    }
    if let Some(webhook) = &health.webhook {
        show(webhook);
    }
    if let Some(url) = url {
        output::line(&format!("URL          {url}"));
    }
    if let Some(done) = health.done {
        output::line(&format!("done         {done}"));
    }
    health.notes.iter().for_each(|note| output::line(&format!("note         {note}")));
    health.problems.iter().for_each(|problem| output::line(&format!("problem      {problem}")));
    if is_good {
        output::line(&format!("result       {detail}"));
    }
    if is_good { Ok(()) } else { Err(Ending::Failed) }
}

fn show(webhook: &Webhook) {
    let whose = if webhook.is_ours { " (this channel)" } else { "" };
    output::line(&format!("webhook      {}{whose}", webhook.owner.as_deref().unwrap_or("none")));
    output::line(&format!("waiting      {} updates", webhook.pending_updates));
    if !webhook.allowed_updates.is_empty() {
        output::line(&format!("kinds        {}", webhook.allowed_updates.join(", ")));
    }
    if let Some(error) = &webhook.last_error {
        let at = webhook.last_error_at.map_or_else(String::new, |at| format!("{at}: "));
        output::line(&format!("last error   {at}{error}"));
    }
}
