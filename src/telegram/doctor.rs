//! `loket channel doctor` for a bot: whose token is it, who owns the webhook now, and does that fit the channel? On demand it
//! sets the webhook, or deletes it; what waits with Telegram is never dropped.
//!
//! It asks for no update: that would end the question of a gateway that polls.

use jiff::Timestamp;
use serde::Serialize;

use super::calls::{Calls, Me, Refusal, Wanted, WebhookInfo};
use crate::{
    adapter::telegram::{Account, Updates},
    channel::Channel,
    http::Http,
};

/// Connections by which Telegram delivers at once; its own default. Updates of one chat come one after another all the same.
const CONNECTIONS: u8 = 40;
/// A failure of the webhook is a problem for so long, and history behind that.
const RECENT: i64 = 3600;

/// What is to be done beside looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Look,
    SetWebhook,
    DeleteWebhook,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What keeps messages from coming. Empty: all is well.
    pub problems: Vec<String>,
    /// Worth knowing.
    pub notes: Vec<String>,
    /// What was done.
    pub done: Option<&'static str>,
    /// The token is good; None: nothing is known.
    pub is_token_good: Option<bool>,
    /// `webhook` or `polling`, as the channel says.
    pub updates: Option<Updates>,
    pub bot: Option<BotFacts>,
    pub webhook: Option<Webhook>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BotFacts {
    pub id: i64,
    pub name: String,
    pub username: Option<String>,
    pub can_join_groups: Option<bool>,
    /// False is the privacy mode: in groups it hears only what is for it.
    pub can_read_all_group_messages: Option<bool>,
}

/// The webhook as Telegram has it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// Ours whole; of somebody else's the host alone, as the rest may be a secret. None: there is none.
    pub owner: Option<String>,
    pub is_ours: bool,
    pub pending_updates: u64,
    pub last_error: Option<String>,
    pub last_error_at: Option<Timestamp>,
    pub max_connections: Option<u32>,
    /// Kinds that are sent; empty: Telegram's default.
    pub allowed_updates: Vec<String>,
}

/// Looks at the bot of a channel, after the task was done; None where the channel has none. `public_url` is the gateway's.
pub async fn examine(http: &Http, channel: &Channel, task: Task, public_url: &str, now: Timestamp) -> Option<Health> {
    let account = channel.bot.as_deref()?;
    let url = format!("{public_url}/in/{}", channel.receiver.as_ref().unwrap_or(channel.id()));
    let visit = Visit { account, channel: channel.id().as_str(), url: &url, now };
    let mut health = Health { updates: Some(account.updates), ..Health::default() };
    if let Err(refusal) = visit.make(http, task, &mut health).await {
        match refusal {
            Refusal::Token => health.is_token_good = Some(false),
            Refusal::Said(_) | Refusal::Unreachable(_) => {}
        }
        health.problems.push(refusal.to_string());
    }
    Some(health)
}

/// What a visit goes by.
struct Visit<'a> {
    account: &'a Account,
    channel: &'a str,
    /// Of the channel.
    url: &'a str,
    now: Timestamp,
}

impl Visit<'_> {
    async fn make(&self, http: &Http, task: Task, health: &mut Health) -> Result<(), Refusal> {
        let calls = Calls::new(http, self.account)?;
        let me = calls.me().await?;
        health.is_token_good = Some(true);
        self.judge_bot(&me, health);
        health.bot = Some(facts(me));
        match task {
            Task::Look => {}
            Task::SetWebhook => {
                calls.set_webhook(&Wanted { url: self.url, max_connections: CONNECTIONS }).await?;
                health.done = Some("the webhook is set to this channel's URL; what waited is kept");
            }
            Task::DeleteWebhook => {
                calls.delete_webhook().await?;
                health.done = Some("there is no webhook any more; what waited is kept for 24 hours");
            }
        }
        let info = calls.webhook().await?;
        let webhook = self.webhook(&info);
        match self.account.updates {
            Updates::Webhook => self.judge_webhook(&webhook, task, health),
            Updates::Polling => self.judge_polling(&webhook, health),
        }
        health.webhook = Some(webhook);
        Ok(())
    }

    /// In groups a bot is found by its name.
    fn judge_bot(&self, me: &Me, health: &mut Health) {
        let named = me.username.as_deref().unwrap_or_default();
        match self.account.username.as_deref() {
            None => health
                .notes
                .push(format!("`bot_username` is not set: in groups nothing is heard; for groups set it to {named:?}")),
            Some(ours) if !ours.eq_ignore_ascii_case(named) => {
                health.problems.push(format!(
                    "`bot_username` is {ours:?} and the bot of this token is {named:?}: is it the right token?"
                ));
            }
            Some(_) if me.can_read_all_group_messages == Some(true) => {
                let words =
                    "privacy mode is off: Telegram sends every message of a group, and what is not for the bot is left";
                health.notes.push(words.to_owned());
            }
            Some(_) => {}
        }
    }

    fn webhook(&self, info: &WebhookInfo) -> Webhook {
        let is_ours = info.url == self.url;
        let owner = (!info.url.is_empty()).then(|| if is_ours { info.url.clone() } else { host(&info.url) });
        Webhook {
            owner,
            is_ours,
            pending_updates: info.pending_update_count,
            last_error: info.last_error_message.as_deref().map(|words| self.account.cleaned(words)),
            last_error_at: info.last_error_date.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            max_connections: info.max_connections,
            allowed_updates: info.allowed_updates.clone().unwrap_or_default(),
        }
    }

    fn judge_webhook(&self, webhook: &Webhook, task: Task, health: &mut Health) {
        let Self { channel, url, .. } = self;
        let set = format!("`loket channel doctor {channel} --set-webhook` sets it");
        match &webhook.owner {
            None if task == Task::DeleteWebhook => {
                health.notes.push(format!(
                    "nothing comes to the channel now: {set} again, or `updates = \"polling\"` asks for it"
                ));
            }
            None => health.problems.push(format!("no webhook is set, so that nothing comes: {set}")),
            Some(owner) if !webhook.is_ours => {
                health.problems.push(format!("the webhook is {owner}, not {url}: {set}, and takes the bot over"));
            }
            Some(_) => {
                self.judge_kinds(webhook, &set, health);
                self.judge_deliveries(webhook, health);
            }
        }
    }

    fn judge_kinds(&self, webhook: &Webhook, set: &str, health: &mut Health) {
        let is_missing =
            |kind: &&String| !webhook.allowed_updates.is_empty() && !webhook.allowed_updates.contains(kind);
        let missing: Vec<_> = self.account.allowed.iter().filter(is_missing).map(String::as_str).collect();
        if !missing.is_empty() {
            health.problems.push(format!("Telegram does not send {}: {set} anew", missing.join(", ")));
        }
    }

    fn judge_deliveries(&self, webhook: &Webhook, health: &mut Health) {
        let Some(error) = &webhook.last_error else { return };
        let at = webhook.last_error_at.map_or_else(|| "at some time".to_owned(), |at| format!("at {at}"));
        let words = format!("Telegram could not deliver {at}: {error}");
        let is_recent = webhook.last_error_at.is_none_or(|at| self.now.as_second() - at.as_second() < RECENT);
        if is_recent && webhook.pending_updates > 0 { health.problems.push(words) } else { health.notes.push(words) }
    }

    fn judge_polling(&self, webhook: &Webhook, health: &mut Health) {
        if let Some(owner) = &webhook.owner {
            let channel = self.channel;
            health.problems.push(format!(
                "the channel asks for updates, and gets none while the webhook is {owner}: `loket channel doctor {channel} --delete-webhook` takes the bot over"
            ));
        }
    }
}

fn facts(me: Me) -> BotFacts {
    let Me { id, first_name, username, can_join_groups, can_read_all_group_messages } = me;
    BotFacts { id, name: first_name, username, can_join_groups, can_read_all_group_messages }
}

/// Scheme, host and port of a URL; what stands behind or before them may be a secret.
fn host(url: &str) -> String {
    let Ok(parsed) = reqwest::Url::parse(url) else { return "a URL that cannot be read".to_owned() };
    let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}/…", parsed.scheme(), parsed.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Setting, Settings};

    const URL: &str = "https://loket.example/in/bot";

    fn account(updates: &str) -> Account {
        let mut settings = Settings::default();
        settings.insert("bot_token", Setting::Secret(vec!["1:made-up".into()]));
        settings.insert("bot_username", Setting::Plain("lapor_kota_bot".to_owned()));
        settings.insert("updates", Setting::Plain(updates.to_owned()));
        Account::read(&settings).expect("an account")
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_500_000).expect("a time")
    }

    fn info(json: serde_json::Value) -> WebhookInfo {
        serde_json::from_value(json).expect("a webhook")
    }

    /// Problems and notes of a webhook.
    fn judged(updates: &str, info: &WebhookInfo) -> (Vec<String>, Vec<String>) {
        let account = account(updates);
        let visit = Visit { account: &account, channel: "bot", url: URL, now: now() };
        let (mut health, webhook) = (Health::default(), visit.webhook(info));
        match account.updates {
            Updates::Webhook => visit.judge_webhook(&webhook, Task::Look, &mut health),
            Updates::Polling => visit.judge_polling(&webhook, &mut health),
        }
        (health.problems, health.notes)
    }

    #[test]
    fn a_webhook_of_somebody_else_is_named_by_its_host() {
        let foreign = info(serde_json::json!({ "url": "https://user:word@other.example:8443/hook/s3cret?key=s3cret" }));
        for (updates, flag) in [("webhook", "--set-webhook"), ("polling", "--delete-webhook")] {
            let (problems, _) = judged(updates, &foreign);
            assert!(problems.len() == 1 && problems[0].contains("https://other.example:8443/…"), "{problems:?}");
            assert!(problems[0].contains(flag) && !problems[0].contains("s3cret"), "{problems:?}");
            assert!(!problems[0].contains("word@"), "{problems:?}");
        }
    }

    #[test]
    fn our_own_webhook_is_well_and_none_is_right_for_polling() {
        let none = info(serde_json::json!({ "url": "" }));
        let ours =
            info(serde_json::json!({ "url": URL, "allowed_updates": ["message", "edited_message", "callback_query"] }));
        assert_eq!(judged("webhook", &ours), (Vec::new(), Vec::new()));
        assert_eq!(judged("polling", &none), (Vec::new(), Vec::new()));
        assert!(judged("webhook", &none).0[0].contains("no webhook is set"));
        assert!(judged("polling", &ours).0[0].contains(URL));
    }

    #[test]
    fn kinds_that_are_not_sent_are_named() {
        let (problems, _) =
            judged("webhook", &info(serde_json::json!({ "url": URL, "allowed_updates": ["message", "poll"] })));
        assert!(problems[0].contains("does not send edited_message, callback_query"), "{problems:?}");
        let (problems, _) = judged("webhook", &info(serde_json::json!({ "url": URL })));
        assert_eq!(problems, Vec::<String>::new(), "Telegram's default has them all");
    }

    #[test]
    fn a_failed_delivery_is_a_problem_while_it_is_fresh_and_something_waits() {
        let failed = |ago: i64, waiting: u64| {
            info(serde_json::json!({
                "url": URL, "pending_update_count": waiting, "last_error_date": now().as_second() - ago,
                "last_error_message": "Wrong response from the webhook: 503 Service Unavailable"
            }))
        };
        let (problems, notes) = judged("webhook", &failed(60, 3));
        assert!(problems[0].contains("503 Service Unavailable") && problems[0].contains("2026-"), "{problems:?}");
        assert!(notes.is_empty());
        for old in [failed(60, 0), failed(7200, 3)] {
            let (problems, notes) = judged("webhook", &old);
            assert!(problems.is_empty() && notes.len() == 1, "{problems:?} {notes:?}");
        }
    }

    #[test]
    fn the_name_of_the_bot_is_compared() {
        let account = account("webhook");
        let visit = Visit { account: &account, channel: "bot", url: URL, now: now() };
        let me = |username: &str, reads_all: bool| Me {
            id: 1,
            first_name: "Lapor".to_owned(),
            username: Some(username.to_owned()),
            can_join_groups: Some(true),
            can_read_all_group_messages: Some(reads_all),
        };
        let judged = |me: &Me| {
            let mut health = Health::default();
            visit.judge_bot(me, &mut health);
            (health.problems, health.notes)
        };
        assert_eq!(judged(&me("Lapor_Kota_Bot", false)), (Vec::new(), Vec::new()));
        assert!(judged(&me("other_bot", false)).0[0].contains("is it the right token?"));
        assert!(judged(&me("lapor_kota_bot", true)).1[0].contains("privacy mode is off"));
    }
}
