//! Telegram: what stands beside the declarative engine with `adapter = "telegram"`. The manifest's own filters take updates
//! apart and its templates put answers together, as for every webhook; this is the account of the bot, with which the shell
//! asks for updates and looks after the webhook.
//!
//! In: the settings of a channel. Out: an [`Account`] that cannot be wrong. The token is part of every URL of the Bot API
//! (<https://core.telegram.org/bots/api#making-requests>): no URL that holds it may be shown.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::webhook::send::Outgoing;
use crate::{
    settings::{Setting, SettingError, Settings},
    signature::Transport,
};

/// The word for `adapter`.
pub const NAME: &str = "telegram";
/// The one setting that a manifest has to declare.
pub const TOKEN: &str = "bot_token";
const SECRET: &str = "secret_token";
/// Settings that are read by their names.
pub const SETTINGS: [&str; 6] = [TOKEN, SECRET, "bot_username", "api_url", "updates", "allowed_updates"];
/// Those of them that are secrets.
pub const SECRETS: [&str; 2] = [TOKEN, SECRET];

const API_URL: &str = "https://api.telegram.org";
/// What the manifest of this gateway reads.
const ALLOWED: &str = "message,edited_message,callback_query";

/// How updates come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Updates {
    /// Telegram calls our URL.
    Webhook,
    /// We ask for them: no public URL is needed.
    Polling,
}

/// A bot, as its channel says. Prints no secret.
#[derive(Debug)]
pub struct Account {
    pub token: SecretString,
    /// Of `setWebhook`; the first of two while it is rotated.
    pub secret: Option<SecretString>,
    /// Without `@`.
    pub username: Option<String>,
    /// Without a slash at the end.
    pub api_url: String,
    pub updates: Updates,
    /// Kinds of update that we ask for.
    pub allowed: Vec<String>,
}

/// The name of a method in a URL. Only letters, so that it leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method(String);

impl Method {
    pub fn new(name: &str) -> Option<Self> {
        let is_good = !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_good.then(|| Self(name.to_owned()))
    }
}

impl Account {
    /// Reads the settings of one channel; all mistakes at once.
    pub fn read(settings: &Settings) -> Result<Self, Vec<SettingError>> {
        let mut mistakes = Vec::new();
        let mut wrong = |setting, message: &str, hint: &str| {
            mistakes.push(SettingError { setting, message: message.to_owned(), hint: hint.to_owned() });
        };
        let token = secret(settings, TOKEN).unwrap_or_else(|| {
            wrong(TOKEN, "setting `bot_token` is missing", "write { env = \"NAME\" } with the token of @BotFather");
            SecretString::default()
        });
        if !token.expose_secret().bytes().all(is_of_token) {
            let hint = "copy it whole from @BotFather: digits, a colon, then letters, digits, _ and -";
            wrong(TOKEN, "the value of secret setting `bot_token` is no token of a bot", hint);
        }
        let api_url = text(settings, "api_url").unwrap_or_else(|| API_URL.to_owned());
        let api_url = api_url.trim_end_matches('/').to_owned();
        let is_web = api_url.starts_with("https://") || api_url.starts_with("http://");
        if !is_web || api_url.contains(['?', '#', '@']) {
            let hint = "write https://host, with a path if need be, and nothing behind it";
            wrong("api_url", "setting `api_url` is no address of a Bot API server", hint);
        }
        let updates = match text(settings, "updates").as_deref() {
            None | Some("webhook") => Updates::Webhook,
            Some("polling") => Updates::Polling,
            Some(_) => {
                wrong("updates", "setting `updates` is neither", "write \"webhook\" or \"polling\"");
                Updates::Webhook
            }
        };
        let allowed = text(settings, "allowed_updates").unwrap_or_else(|| ALLOWED.to_owned());
        let allowed: Vec<String> = allowed.split(',').map(|kind| kind.trim().to_owned()).collect();
        if !allowed.iter().all(|kind| is_kind(kind)) {
            let hint = "write kinds of update with commas between them, like message,callback_query";
            wrong("allowed_updates", "setting `allowed_updates` is no list of kinds", hint);
        }
        let username = text(settings, "bot_username").map(|name| name.trim_start_matches('@').to_owned());
        let account = Self { token, secret: secret(settings, SECRET), username, api_url, updates, allowed };
        if mistakes.is_empty() { Ok(account) } else { Err(mistakes) }
    }

    /// What is known of an update that we asked for.
    pub fn transport(&self) -> Transport {
        if self.api_url.starts_with("https://") { Transport::PolledOverTls } else { Transport::Unasked }
    }

    /// A call of the Bot API. `shown` says nothing of the token.
    pub fn call(&self, method: &Method, parameters: &Value) -> Outgoing {
        let (api_url, name) = (&self.api_url, &method.0);
        Outgoing {
            method: "POST".to_owned(),
            url: format!("{api_url}/bot{}/{name}", self.token.expose_secret()),
            shown: format!("{api_url}/bot{{{{ secret.bot_token }}}}/{name}"),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: parameters.to_string().into_bytes(),
        }
    }

    /// Words of the other side, short, on one line, and without the token, should they hold it.
    pub fn cleaned(&self, words: &str) -> String {
        let token = self.token.expose_secret();
        let words = if token.is_empty() { words.to_owned() } else { words.replace(token, "***") };
        words.chars().filter(|letter| !letter.is_control()).take(200).collect()
    }
}

/// The call that `[respond]` makes of its reply, where it does
/// (<https://core.telegram.org/bots/api#making-requests-when-getting-updates>): polled updates have no reply, so that it is
/// sent as a request.
pub fn call_of_reply(reply: &str) -> Option<(Method, Value)> {
    let Ok(Value::Object(mut parameters)) = serde_json::from_str(reply) else { return None };
    let method = parameters.remove("method")?;
    Some((Method::new(method.as_str()?)?, Value::Object(parameters)))
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-')
}

fn is_kind(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn text(settings: &Settings, name: &str) -> Option<String> {
    match settings.get(name)? {
        Setting::Plain(value) => Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
        Setting::Secret(_) => None,
    }
}

fn secret(settings: &Settings, name: &str) -> Option<SecretString> {
    match settings.get(name)? {
        Setting::Secret(values) => values.first().cloned(),
        Setting::Plain(_) => None,
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for Updates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Webhook => "webhook",
            Self::Polling => "polling",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(token: &str, plain: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        settings.insert(TOKEN, Setting::Secret(vec![token.into()]));
        for (name, value) in plain {
            settings.insert(*name, Setting::Plain((*value).to_owned()));
        }
        settings
    }

    #[test]
    fn a_token_alone_makes_a_bot_that_is_called() {
        let account = Account::read(&settings("1:made-up", &[])).expect("an account");
        assert_eq!((account.updates, account.api_url.as_str()), (Updates::Webhook, API_URL));
        assert_eq!(account.allowed, ["message", "edited_message", "callback_query"]);
        assert_eq!(account.transport(), Transport::PolledOverTls);
        let own = [("api_url", "http://127.0.0.1:8081/"), ("updates", "polling"), ("bot_username", "@lapor_bot")];
        let account = Account::read(&settings("1:made-up", &own)).expect("an account");
        assert_eq!((account.updates, account.transport()), (Updates::Polling, Transport::Unasked));
        assert_eq!(account.username.as_deref(), Some("lapor_bot"));
    }

    #[test]
    fn each_mistake_names_its_setting() {
        for (name, value) in [
            ("api_url", "ftp://a.example"),
            ("api_url", "https://a.example/?x=1"),
            ("api_url", "https://user:word@a.example"),
            ("updates", "both"),
            ("allowed_updates", "message;poll"),
            ("allowed_updates", "message,,poll"),
        ] {
            let mistakes = Account::read(&settings("1:made-up", &[(name, value)])).expect_err(value);
            assert_eq!(mistakes.iter().map(|mistake| mistake.setting).collect::<Vec<_>>(), [name], "{value}");
        }
        let mistakes = Account::read(&settings("1:made/../up", &[])).expect_err("a token that leads elsewhere");
        assert!(mistakes[0].setting == TOKEN && !format!("{mistakes:?}").contains("made/"), "{mistakes:?}");
        assert_eq!(Account::read(&Settings::default()).expect_err("no token").len(), 1);
    }

    #[test]
    fn a_call_shows_nothing_of_the_token() {
        let account = Account::read(&settings("1:made-up", &[])).expect("an account");
        let method = Method::new("getUpdates").expect("a name");
        let call = account.call(&method, &json!({ "timeout": 50 }));
        assert_eq!(call.url, "https://api.telegram.org/bot1:made-up/getUpdates");
        assert_eq!(call.shown, "https://api.telegram.org/bot{{ secret.bot_token }}/getUpdates");
        assert!(!format!("{call:?} {account:?}").contains("made-up"));
        assert_eq!(account.cleaned("no such bot1:made-up\nhere"), "no such bot***here");
    }

    #[test]
    fn a_reply_that_is_a_call_becomes_one() {
        let reply = r#"{"method": "answerCallbackQuery", "callback_query_id": "9"}"#;
        let (method, parameters) = call_of_reply(reply).expect("a call");
        assert_eq!(
            (method.to_string().as_str(), parameters),
            ("answerCallbackQuery", json!({ "callback_query_id": "9" }))
        );
        for other in ["", "ok", "{}", r#"{"method": 1}"#, r#"{"method": "../getMe"}"#, r#"["method"]"#] {
            assert!(call_of_reply(other).is_none(), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_reply_is_a_call_or_none(reply in ".{0,200}") {
            let _ = call_of_reply(&reply);
        }
    }
}
