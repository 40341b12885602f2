//! Error documents of the Graph API. Handling is built around the code, not the status.
//!
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>; statuses that the page
//! gives differently over time are marked.

use serde_json::{Value, json};

use crate::{clock, complaint::hex};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    pub status: u16,
    pub code: i64,
    pub subcode: Option<i64>,
    pub details: String,
}

impl GraphError {
    pub fn new(status: u16, code: i64, details: &str) -> Self {
        Self { status, code, subcode: None, details: details.to_owned() }
    }

    /// A parameter that the API does not take.
    pub fn invalid(details: &str) -> Self {
        Self::new(400, 100, details)
    }

    /// A value of a parameter that WhatsApp does not take.
    pub fn value(details: &str) -> Self {
        Self::new(400, 131_009, details)
    }

    pub fn missing(parameter: &str) -> Self {
        Self::new(400, 131_008, &format!("Parameter '{parameter}' is mandatory"))
    }

    pub fn token() -> Self {
        Self { subcode: Some(463), ..Self::new(401, 190, "Error validating access token: the session has expired") }
    }

    pub fn unknown_object(id: &str) -> Self {
        let details = format!("Object with ID '{id}' does not exist, cannot be loaded due to missing permissions");
        Self { subcode: Some(33), ..Self::invalid(&details) }
    }

    /// More than 24 hours since the citizen wrote.
    pub fn re_engagement() -> Self {
        let details = "Message failed to send because more than 24 hours have passed since the customer last replied to this number.";
        Self::new(400, 131_047, details)
    }

    pub fn undeliverable() -> Self {
        Self::new(400, 131_026, "Message Undeliverable.")
    }

    /// Status as of the newest page; older ones say 400.
    pub fn throughput() -> Self {
        let details = "Message failed to send because there were too many messages sent from this phone number in a short period of time";
        Self::new(429, 130_429, details)
    }

    pub fn pair() -> Self {
        let details = "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time.";
        Self::new(400, 131_056, details)
    }

    fn title(&self) -> &'static str {
        match self.code {
            100 => "Invalid parameter",
            190 => "Access token has expired",
            130_429 => "Rate limit hit",
            131_008 => "Required parameter is missing",
            131_009 => "Parameter value is not valid",
            131_026 => "Message undeliverable",
            131_047 => "Re-engagement message",
            131_051 => "Unsupported message type",
            131_053 => "Media upload error",
            131_056 => "(Business Account, Consumer Account) pair rate limit hit",
            132_001 => "Template name does not exist in the translation",
            132_018 => "There's an issue with the parameters in your template",
            _ => "Something went wrong",
        }
    }

    /// As the answer to a call.
    pub fn document(&self) -> Value {
        let mut error = json!({
            "message": format!("(#{}) {}", self.code, self.title()),
            "type": "OAuthException",
            "code": self.code,
            "error_data": { "messaging_product": "whatsapp", "details": self.details },
            "fbtrace_id": hex(&clock::random::<8>()),
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = json!(subcode);
        }
        json!({ "error": error })
    }

    /// As an item of a status that failed.
    pub fn item(&self) -> Value {
        json!({
            "code": self.code, "title": self.title(), "message": self.title(),
            "error_data": { "details": self.details },
            "href": "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes",
        })
    }
}
