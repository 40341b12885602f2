//! The methods by name, and how they refuse.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{super::parameters::Parameters, BotApi, merged, sending::Kind};

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub description: String,
    /// Seconds.
    pub retry_after: Option<u64>,
}

impl Refusal {
    pub fn new(code: u16, description: &str) -> Self {
        Self { code, description: description.to_owned(), retry_after: None }
    }

    pub fn bad(reason: &str) -> Self {
        Self::new(400, &format!("Bad Request: {reason}"))
    }

    pub fn too_many(seconds: u64) -> Self {
        let description = format!("Too Many Requests: retry after {seconds}");
        Self { code: 429, description, retry_after: Some(seconds) }
    }
}

impl BotApi {
    /// A call of a method but `getUpdates`, which waits. Names count in any case of letters.
    pub(super) fn call(self: &Arc<Self>, method: &str, parameters: &Parameters) -> Result<Value, Refusal> {
        match method.to_ascii_lowercase().as_str() {
            "getme" => Ok(self.describe()),
            "setwebhook" => self.take_webhook(parameters),
            "deletewebhook" => Ok(self.delete_webhook(parameters)),
            "getwebhookinfo" => Ok(self.webhook_info()),
            "getfile" => self.find_file(parameters),
            "answercallbackquery" => self.answer_tap(parameters),
            "sendchataction" => self.show_action(parameters),
            "editmessagereplymarkup" => self.change_buttons(parameters),
            name => match Kind::of(name) {
                Some(kind) => self.send(kind, parameters),
                None => Err(Refusal::new(404, "Not Found: method not found")),
            },
        }
    }

    fn describe(&self) -> Value {
        let more = json!({
            "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false,
            "can_connect_to_business": false, "has_main_web_app": false,
        });
        merged(self.me.clone(), more)
    }

    /// Stops the turning of a button.
    fn answer_tap(&self, parameters: &Parameters) -> Result<Value, Refusal> {
        let id = parameters.text("callback_query_id").unwrap_or_default();
        // The real one also gives up on a query after some time, which is published nowhere.
        let stale = "query is too old and response timeout expired or query ID is invalid";
        self.people().taps.remove(&id).ok_or_else(|| Refusal::bad(stale))?;
        self.answered.notify_waiters();
        Ok(json!(true))
    }

    fn show_action(&self, parameters: &Parameters) -> Result<Value, Refusal> {
        self.recipient(parameters)?;
        let action = parameters.text("action").unwrap_or_default();
        let is_known = action == "typing" || action.starts_with("upload_") || action.starts_with("record_");
        let is_known = is_known || matches!(action.as_str(), "choose_sticker" | "find_location");
        if is_known { Ok(json!(true)) } else { Err(Refusal::bad("wrong parameter action in request")) }
    }
}
