//! How updates leave: `setWebhook` and its kin, and `getUpdates` with its offset.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    super::{
        delivery::{Proof, Target},
        parameters::Parameters,
    },
    BotApi,
    method::Refusal,
};

pub const SECRET: &str = "x-telegram-bot-api-secret-token";
/// Requests at once, when nothing else is asked for.
pub const AT_ONCE: usize = 40;
/// Longest wait of a poll.
const LONGEST_POLL: i64 = 50;
/// A push between a look and a wait is not missed for longer than this.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl BotApi {
    pub(super) fn take_webhook(&self, parameters: &Parameters) -> Result<Value, Refusal> {
        let Some(url) = parameters.text("url") else { return Ok(self.delete_webhook(parameters)) };
        // The public server takes HTTPS only; one of your own takes HTTP too, and this one is on the same machine.
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(Refusal::bad("bad webhook: An HTTPS URL must be provided for webhook"));
        }
        let secret = parameters.text("secret_token");
        if secret.as_ref().is_some_and(|secret| secret.len() > 256) {
            return Err(Refusal::bad("secret token is too long"));
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        if secret.as_ref().is_some_and(|secret| !secret.chars().all(is_plain)) {
            return Err(Refusal::bad("secret token contains unallowed characters"));
        }
        let at_once = parameters.number("max_connections").unwrap_or(AT_ONCE as i64).clamp(1, 100);
        self.wish(parameters)?;
        self.wishes().max_connections = Some(at_once.unsigned_abs());
        self.drop_pending(parameters);
        let proof = secret.map_or(Proof::None, |token| Proof::Token { header: SECRET, token });
        let at_once = usize::try_from(at_once).unwrap_or(1);
        self.delivery.set_target(Some(Target::new(vec![url], proof, at_once)));
        Ok(json!(true))
    }

    pub(super) fn delete_webhook(&self, parameters: &Parameters) -> Value {
        self.delivery.set_target(None);
        self.wishes().max_connections = None;
        self.drop_pending(parameters);
        json!(true)
    }

    fn drop_pending(&self, parameters: &Parameters) {
        if parameters.is_set("drop_pending_updates") {
            self.delivery.forget_below(u64::MAX);
        }
    }

    /// `allowed_updates` holds until it is given anew; an empty list is the default.
    fn wish(&self, parameters: &Parameters) -> Result<(), Refusal> {
        let wishes = parameters.document("allowed_updates").map_err(|_| Refusal::bad("can't parse allowed_updates"))?;
        if let Some(Value::Array(wishes)) = wishes {
            self.wishes().allowed_updates = wishes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        Ok(())
    }

    pub(super) fn webhook_info(&self) -> Value {
        let target = self.delivery.target();
        let mut info = json!({
            "url": target.as_ref().map_or("", |target| target.url()),
            "has_custom_certificate": false,
            "pending_update_count": self.delivery.waiting(),
        });
        let wishes = self.wishes();
        if let Some(most) = wishes.max_connections {
            info["max_connections"] = json!(most);
        }
        if !wishes.allowed_updates.is_empty() {
            info["allowed_updates"] = json!(wishes.allowed_updates);
        }
        if let (Some(trouble), Some(_)) = (self.delivery.trouble(), target) {
            info["last_error_date"] = json!(trouble.at.as_second());
            info["last_error_message"] = json!(trouble.reason);
        }
        info
    }

    /// Long polling. A positive offset confirms every update below it, a negative one counts from the end.
    pub(super) async fn fetch_updates(self: &Arc<Self>, parameters: &Parameters) -> Result<Value, Refusal> {
        self.polling_is_free()?;
        self.wish(parameters)?;
        // Whoever comes later ends this poll.
        self.polls.send_modify(|polls| *polls += 1);
        let mut polls = self.polls.subscribe();
        let from = match parameters.number("offset").unwrap_or(0) {
            offset if offset < 0 => self.delivery.last(usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX)),
            offset => offset.unsigned_abs(),
        };
        self.confirm_below(from);
        let limit = usize::try_from(parameters.number("limit").unwrap_or(100).clamp(1, 100)).unwrap_or(100);
        let wait = parameters.number("timeout").unwrap_or(0).clamp(0, LONGEST_POLL).unsigned_abs();
        let end = Instant::now() + Duration::from_secs(wait);
        loop {
            let updates = self.delivery.peek(from, limit);
            let left = end.saturating_duration_since(Instant::now());
            if !updates.is_empty() || left.is_zero() {
                let read = |update: &bytes::Bytes| serde_json::from_slice(update).unwrap_or_default();
                return Ok(Value::Array(updates.iter().map(read).collect()));
            }
            tokio::select! {
                () = self.delivery.moves(left.min(LOOK_AGAIN)) => self.polling_is_free()?,
                _ = polls.changed() => return Err(Refusal::new(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )),
            }
        }
    }

    /// What a poll confirms has arrived.
    fn confirm_below(&self, number: u64) {
        for update in self.delivery.forget_below(number) {
            self.mark_delivered(&update);
        }
    }

    fn polling_is_free(&self) -> Result<(), Refusal> {
        if self.delivery.target().is_none() {
            return Ok(());
        }
        let reason = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
        Err(Refusal::new(409, reason))
    }
}
