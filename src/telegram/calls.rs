//! The Bot API as the doctor calls it, by `teloxide` over our own client.
//!
//! The library's request and its `True`, `SetWebhook` and errors are used as they are. Answers that only grow with the API
//! have types of ours: those of the library end at a kind of update, or at a missing field, that they do not know. Methods
//! go by the names of the documentation, which the library writes in another case. Errors of the library hold the URL, and so
//! the token: none of them leaves this module.

use std::time::Duration;

use reqwest::Url;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use teloxide::{
    ApiError, Bot, RequestError,
    payloads::{DeleteWebhook, SetWebhook},
    requests::{JsonRequest, Payload, Request as _},
    types::True,
};
use tokio::time::timeout;

use crate::{
    adapter::telegram::Account,
    http::{self, Http},
};

/// One call. The library waits for 10 s behind an answer of 5xx.
const PATIENCE: Duration = Duration::from_secs(28);

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("Telegram does not take the token: look at `bot_token`, and at `api_url` if it is set")]
    Token,
    /// Telegram's own words, cleaned.
    #[error("Telegram says no: {0}")]
    Said(String),
    /// Nothing is known.
    #[error("Telegram cannot be asked: {0}")]
    Unreachable(String),
}

/// <https://core.telegram.org/bots/api#user>, as `getMe` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Me {
    pub id: i64,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub can_join_groups: Option<bool>,
    #[serde(default)]
    pub can_read_all_group_messages: Option<bool>,
}

/// <https://core.telegram.org/bots/api#webhookinfo>. No Debug: its URL may hold somebody's secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(super) struct WebhookInfo {
    #[serde(default)]
    pub url: String,
    #[serde(default)]
    pub pending_update_count: u64,
    #[serde(default)]
    pub last_error_date: Option<i64>,
    #[serde(default)]
    pub last_error_message: Option<String>,
    #[serde(default)]
    pub max_connections: Option<u32>,
    #[serde(default)]
    pub allowed_updates: Option<Vec<String>>,
}

/// The methods by the names of the documentation.
macro_rules! method {
    ($name:ident($payload:ty) = $word:literal => $answer:ty) => {
        #[derive(Serialize)]
        #[serde(transparent)]
        struct $name($payload);

        impl Payload for $name {
            type Output = $answer;

            const NAME: &'static str = $word;
        }
    };
}

method!(AskMe(Nothing) = "getMe" => Me);
method!(AskWebhook(Nothing) = "getWebhookInfo" => WebhookInfo);
method!(Set(SetWebhook) = "setWebhook" => True);
method!(Delete(DeleteWebhook) = "deleteWebhook" => True);

/// No parameters.
#[derive(Serialize)]
struct Nothing {}

/// A webhook that is to be ours.
pub(super) struct Wanted<'a> {
    pub url: &'a str,
    pub max_connections: u8,
}

/// The Bot API for one bot. No Debug: the library's would print the token.
pub(super) struct Calls<'a> {
    account: &'a Account,
    bot: Bot,
}

impl<'a> Calls<'a> {
    pub fn new(http: &Http, account: &'a Account) -> Result<Self, Refusal> {
        let api_url =
            Url::parse(&account.api_url).map_err(|_| Refusal::Unreachable("`api_url` is no URL".to_owned()))?;
        let bot = Bot::with_client(account.token.expose_secret(), http.client()).set_api_url(api_url);
        Ok(Self { account, bot })
    }

    pub async fn me(&self) -> Result<Me, Refusal> {
        self.call(AskMe(Nothing {})).await
    }

    pub async fn webhook(&self) -> Result<WebhookInfo, Refusal> {
        self.call(AskWebhook(Nothing {})).await
    }

    /// <https://core.telegram.org/bots/api#setwebhook>. What waits is not dropped.
    pub async fn set_webhook(&self, wanted: &Wanted<'_>) -> Result<(), Refusal> {
        let url =
            Url::parse(wanted.url).map_err(|_| Refusal::Said("`public_url` of the gateway is no URL".to_owned()))?;
        let mut payload = SetWebhook::new(url);
        payload.max_connections = Some(wanted.max_connections);
        payload.secret_token = self.account.secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        // A kind that the library does not know yet is left out; Telegram would refuse a name that it does not know itself.
        let known = |kind: &String| serde_json::from_value(kind.as_str().into()).ok();
        payload.allowed_updates = Some(self.account.allowed.iter().filter_map(known).collect());
        self.call(Set(payload)).await.map(|True| ())
    }

    /// <https://core.telegram.org/bots/api#deletewebhook>. What waits is not dropped.
    pub async fn delete_webhook(&self) -> Result<(), Refusal> {
        let mut payload = DeleteWebhook::new();
        payload.drop_pending_updates = Some(false);
        self.call(Delete(payload)).await.map(|True| ())
    }

    async fn call<P>(&self, payload: P) -> Result<P::Output, Refusal>
    where
        P: Payload + Serialize + 'static,
        P::Output: DeserializeOwned,
    {
        match timeout(PATIENCE, JsonRequest::new(self.bot.clone(), payload).send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.refusal(&error)),
            Err(_) => Err(Refusal::Unreachable("no answer in time".to_owned())),
        }
    }

    /// In words that hold neither the URL nor what was being read.
    fn refusal(&self, error: &RequestError) -> Refusal {
        match error {
            RequestError::Api(ApiError::InvalidToken) => Refusal::Token,
            RequestError::Api(ApiError::Unknown(words)) => Refusal::Said(self.account.cleaned(words)),
            RequestError::Api(error) => Refusal::Said(self.account.cleaned(&error.to_string())),
            RequestError::RetryAfter(seconds) => Refusal::Unreachable(format!("come again in {} s", seconds.seconds())),
            RequestError::Network(error) => Refusal::Unreachable(http::why(error)),
            RequestError::MigrateToChatId(_) | RequestError::InvalidJson { .. } | RequestError::Io(_) => {
                Refusal::Unreachable("its answer cannot be understood".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::post};
    use tokio::net::TcpListener;

    use super::*;
    use crate::settings::{Setting, Settings};

    const TOKEN: &str = "1:made-up";

    fn account(api_url: &str) -> Account {
        let mut settings = Settings::default();
        settings.insert("bot_token", Setting::Secret(vec![TOKEN.into()]));
        settings.insert("secret_token", Setting::Secret(vec!["made-up-secret".into()]));
        settings.insert("api_url", Setting::Plain(api_url.to_owned()));
        Account::read(&settings).expect("an account")
    }

    /// A server that gives the same answer to everything, and puts back what it was asked where that says `{asked}`.
    async fn server(answer: &'static str) -> String {
        let router = Router::new().fallback(post(async move |uri: axum::http::Uri, body: String| {
            answer.replace("{asked}", &format!("{} {}", uri.path(), body.replace('"', "'")))
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/own")
    }

    async fn refused(api_url: &str) -> Refusal {
        let (account, http) = (account(api_url), Http::for_tests(Duration::from_millis(500)));
        let refusal = Calls::new(&http, &account).expect("calls").me().await.expect_err("refused");
        for shown in [refusal.to_string(), format!("{refusal:?}")] {
            assert!(!shown.contains(TOKEN) && !shown.contains("made-up") && !shown.contains("http"), "{shown}");
        }
        refusal
    }

    #[tokio::test]
    async fn no_failure_shows_the_url_or_what_was_read() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let refusal = refused(&format!("http://{closed}")).await;
        assert!(matches!(refusal, Refusal::Unreachable(_)), "{refusal}");
        // Nobody accepts, so that nothing comes.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let refusal = refused(&format!("http://{}", silent.local_addr().expect("an address"))).await;
        assert!(refusal.to_string().contains("too long"), "{refusal}");
        let refusal = refused(&server("{asked}").await).await;
        assert!(refusal.to_string().contains("understood"), "{refusal}");
        let refusal =
            refused(&server(r#"{"ok":false,"error_code":400,"description":"Bad Request: {asked}"}"#).await).await;
        assert!(refusal.to_string().contains("Bad Request: /own"), "{refusal}");
        let refusal = refused(&server(r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#).await).await;
        assert_eq!(refusal, Refusal::Token);
    }

    #[tokio::test]
    async fn a_webhook_is_set_with_all_that_the_channel_says() {
        let echo = server(r#"{"ok":false,"error_code":400,"description":"{asked}"}"#).await;
        let (account, http) = (account(&echo), Http::for_tests(Duration::from_secs(5)));
        let calls = Calls::new(&http, &account).expect("calls");
        let wanted = Wanted { url: "https://loket.example/in/bot", max_connections: 40 };
        let Err(Refusal::Said(asked)) = calls.set_webhook(&wanted).await else { panic!("the echo") };
        for part in ["/setWebhook", "'url':'https://loket.example/in/bot'", "'max_connections':40"] {
            assert!(asked.contains(part), "{part} is missing in {asked}");
        }
        let Err(Refusal::Said(asked)) = calls.delete_webhook().await else { panic!("the echo") };
        assert!(asked.contains("/deleteWebhook {'drop_pending_updates':false}"), "{asked}");
    }

    #[tokio::test]
    async fn an_answer_may_have_what_the_library_does_not_know() {
        let answer =
            r#"{"ok":true,"result":{"id":1,"first_name":"Lapor","url":"","allowed_updates":["message","invented"]}}"#;
        let account = account(&server(answer).await);
        let http = Http::for_tests(Duration::from_secs(5));
        let calls = Calls::new(&http, &account).expect("calls");
        assert_eq!(calls.me().await.expect("a bot").username, None);
        let info = calls.webhook().await.expect("a webhook");
        assert_eq!(info.allowed_updates.as_deref(), Some(&["message".to_owned(), "invented".to_owned()][..]));
    }
}
