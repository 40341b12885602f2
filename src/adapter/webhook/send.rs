//! `[send]` and `[probe]`: composes the request of an answer, and judges what the provider says to it
//! (`channel-manifest.md` §3 and §5).
//!
//! In: a letter and the channel's settings, or the provider's answer. Out: a request that the shell sends, or what the
//! answer means. It is pure: it opens no socket, and the time is an argument. No address, text or secret may stand in an
//! error or in what `Debug` prints.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::rules::{Encode, ErrorCode, ProbeRules, SendRules};
use crate::{
    mapping::{Escape, Filter, MappingError, Surroundings, Template},
    message::{Choice, numbered},
    settings::Settings,
};

pub mod auth;
mod choices;
pub mod files;
mod judge;
pub mod media;
mod request;
mod split;
mod text;
mod url;
mod window;

use choices::Offer;
pub use choices::{Parts, Question};
use files::Files;
use request::{Content, RequestTemplate, Shape};
pub use window::Standing;
use window::Window;

/// Compiles the filters and templates of one section and gathers the mistakes.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    pub section: &'static str,
    pub errors: &'a mut Vec<MappingError>,
}

impl Compiler<'_> {
    /// None when there is no source, or it does not compile.
    pub fn filter(&mut self, key: &str, source: Option<&String>) -> Option<Filter> {
        Filter::compile(source?).map_err(|message| self.mistake(key, message)).ok()
    }

    pub fn template(&mut self, key: &str, source: &str, escape: Escape) -> Option<Template> {
        Template::compile(source, escape).map_err(|message| self.mistake(key, message)).ok()
    }

    fn mistake(&mut self, key: &str, message: impl Into<String>) {
        self.errors.push(MappingError {
            section: self.section,
            key: key.to_owned(),
            message: message.into(),
            hint: None,
        });
    }

    fn mistake_with_hint(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.errors.push(MappingError {
            section: self.section,
            key: key.to_owned(),
            message: message.into(),
            hint: Some(hint.into()),
        });
    }
}

/// A request of ours, ready to leave.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub method: String,
    /// Whole, with whatever secrets it holds.
    pub url: String,
    /// The URL as logs and errors may show it: values stand as their names in the manifest.
    pub shown: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Prints no secret and nothing of the citizen.
impl fmt::Debug for Outgoing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Outgoing({} {}, {} bytes)", self.method, self.shown, self.body.len())
    }
}

/// What an answer says and to whom.
#[derive(Clone)]
pub struct Letter<'a> {
    pub to: &'a str,
    /// Type of the address, as in `identities`: `phone`, `telegram_user_id` …
    pub to_type: &'a str,
    /// Our own number or account; empty when it is not known.
    pub from: &'a str,
    pub text: &'a str,
    /// BCP 47.
    pub language: &'a str,
    pub idempotency_key: &'a str,
    /// Where the provider may send its delivery reports.
    pub receipts_url: &'a str,
    /// The provider's id of the message that is answered.
    pub reply_to: Option<&'a str>,
    /// What the citizen may choose from.
    pub choices: &'a [Choice],
    /// The provider asks for the position itself, as `parts` said.
    pub asks_location: bool,
    /// The citizen's last message is longer ago than the provider's window: only the window's own body may leave.
    pub is_late: bool,
}

impl fmt::Debug for Letter<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Letter({}, {} bytes of text)", self.idempotency_key, self.text.len())
    }
}

/// What the provider answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// What came of it, within the limit of the shell.
    pub body: Vec<u8>,
}

impl fmt::Debug for Response {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Response({}, {} headers, {} bytes)", self.status, self.headers.len(), self.body.len())
    }
}

/// What the answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Accepted {
        /// What the provider's delivery reports will name.
        external_id: Option<String>,
    },
    /// Try again, not before `after` if the provider says so.
    Again {
        after: Option<Duration>,
        reason: String,
    },
    Never {
        reason: String,
    },
}

/// A manifest's `[send]`, compiled.
#[derive(Debug)]
pub struct Send {
    rules: SendRules,
    request: RequestTemplate,
    /// Buttons, then a list: the first that has room for the choices is taken.
    offers: Vec<Offer>,
    location: Option<Offer>,
    window: Option<Window>,
    files: Files,
    ok: Option<Filter>,
    external_id: Option<Filter>,
    error_code: Option<Filter>,
}

impl Send {
    /// Compiles every filter and template; all mistakes at once. None when there was one.
    pub(crate) fn compile(rules: &SendRules, errors: &mut Vec<MappingError>) -> Option<Self> {
        let before = errors.len();
        let mut compiler = Compiler { section: "send", errors };
        check_numbers(rules, &mut compiler);
        let shape =
            Shape { method: &rules.method, url: &rules.url, auth: rules.auth.as_ref(), headers: &rules.headers };
        let content = Content::compile(rules, &mut compiler);
        let request = RequestTemplate::compile(&shape, rules.query.as_ref(), content, &mut compiler);
        let ok = compiler.filter("ok", rules.ok.as_ref());
        let external_id = compiler.filter("external_id", rules.external_id.as_ref());
        let error_code = compiler.filter("error_code", rules.error_code.as_ref());
        let offers = [("buttons", rules.buttons.as_ref()), ("list", rules.list.as_ref())];
        let offers =
            offers.into_iter().filter_map(|(key, choices)| Offer::compile(key, choices?, rules.encode, &mut compiler));
        let offers = offers.collect();
        let location = rules.location.as_ref();
        let location = location.and_then(|location| Offer::compile("location", location, rules.encode, &mut compiler));
        let window = rules.window.as_ref().and_then(|window| Window::compile(window, rules.encode, &mut compiler));
        let files = Files::compile(rules, compiler.errors);
        let request = request.filter(|_| errors.len() == before)?;
        Some(Self { rules: rules.clone(), request, offers, location, window, files, ok, external_id, error_code })
    }

    pub fn rules(&self) -> &SendRules {
        &self.rules
    }

    /// The setting of kind `url` that the URL begins with; None where scheme and host are literal.
    pub fn url_setting(&self) -> Option<&str> {
        self.request.url_setting()
    }

    /// Cuts a long text as `split` says; one part without it. Choices that have no room as buttons or rows become numbered
    /// lines under the text first. A text that needs more parts than `max_parts` is an error: half an answer would look
    /// like a whole one.
    pub fn parts(&self, text: &str, choices: &[Choice], question: Question) -> Result<Parts, String> {
        let cut = |text: String| match &self.rules.split {
            Some(rules) => split::parts(&text, rules),
            None => Ok(vec![text]),
        };
        if let (Question::Position, Some(location)) = (question, &self.location) {
            let choices_are_shown = location.has_room(text, choices);
            let words = if choices_are_shown { text.to_owned() } else { numbered(text, choices) };
            let texts = if location.has_room(&words, &[]) { cut(words)? } else { Vec::new() };
            if texts.len() == 1 {
                return Ok(Parts { texts, choices_are_shown, asks_location: true });
            }
        }
        if !choices.is_empty() && self.offer(text, choices).is_some() {
            let texts = cut(text.to_owned())?;
            // Under one of several parts the choices would ask about half of what was said.
            if texts.len() == 1 {
                return Ok(Parts { texts, choices_are_shown: true, asks_location: false });
            }
        }
        Ok(Parts { texts: cut(numbered(text, choices))?, choices_are_shown: false, asks_location: false })
    }

    fn offer(&self, text: &str, choices: &[Choice]) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.has_room(text, choices))
    }

    /// May free text leave now? `heard_at` is the time of the citizen's last message; where it is not known the provider
    /// decides.
    pub fn standing(&self, heard_at: Option<Timestamp>, now: Timestamp) -> Standing {
        match (&self.window, heard_at) {
            (Some(window), Some(heard_at)) => window.standing(heard_at, now),
            _ => Standing::Free,
        }
    }

    /// The request that gets a token, where `auth` is `oauth2`. The shell keeps the token until it expires.
    pub fn oauth(&self, settings: &Settings) -> Result<Option<Outgoing>, String> {
        self.request.oauth(settings)
    }

    /// Composes the request of one part. `token` is what [`Self::oauth`] led to.
    pub fn compose(&self, letter: &Letter<'_>, settings: &Settings, token: Option<&str>) -> Result<Outgoing, String> {
        let content = match &self.window {
            Some(window) if letter.is_late => window.content(),
            _ if letter.asks_location => self.location.as_ref().map(Offer::content),
            _ if letter.choices.is_empty() => None,
            _ => self.offer(letter.text, letter.choices).map(Offer::content),
        };
        let mut outgoing = self.request.compose(content, &self.context(letter, settings), settings, token)?;
        if let Some(idempotency) = &self.rules.idempotency {
            outgoing.headers.push((idempotency.header.clone(), letter.idempotency_key.to_owned()));
        }
        Ok(outgoing)
    }

    fn context(&self, letter: &Letter<'_>, settings: &Settings) -> Value {
        // What is absent is `null` where the template writes JSON, and nothing at all where it writes text.
        let absent = if self.rules.encode == Encode::Json { Value::Null } else { Value::from("") };
        let mut context = settings_context(settings);
        let values = [
            ("to", json!(letter.to)),
            ("to_type", json!(letter.to_type)),
            ("from", json!(letter.from)),
            ("text", json!(letter.text)),
            ("lang", json!(letter.language)),
            ("idempotency_key", json!(letter.idempotency_key)),
            ("receipts_url", json!(letter.receipts_url)),
            ("reply_to", letter.reply_to.map_or_else(|| absent.clone(), Value::from)),
            ("template", absent.clone()),
            ("buttons", json!(letter.choices)),
        ];
        context.extend(values.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(context)
    }

    /// What an answer means. `now` is when it came, for a `Retry-After` that is a date.
    pub fn judge(&self, response: &Response, surroundings: &Surroundings<'_>, now: Timestamp) -> Judgement {
        let root = judge::root(response);
        let is_success = (200..300).contains(&response.status);
        let ok = judge::holds(self.ok.as_ref(), &root, surroundings);
        if is_success && ok == Ok(true) {
            return Judgement::Accepted { external_id: judge::word(self.external_id.as_ref(), &root, surroundings) };
        }
        let code = judge::word(self.error_code.as_ref(), &root, surroundings);
        let reason = judge::reason(response.status, code.as_deref(), is_success.then_some(ok));
        let is_among = |codes: &[ErrorCode]| code.as_ref().is_some_and(|code| codes.iter().any(|one| one.is(code)));
        let is_permanent = is_among(&self.rules.permanent);
        let may_pass = self.rules.retry.on.contains(&response.status) || is_among(&self.rules.temporary);
        // A provider that says 2xx and no at once does not speak in statuses, so `retry.on` cannot name the case: only
        // `permanent` ends it, and `retry.max`.
        if !is_permanent && (is_success || may_pass) {
            return Judgement::Again { after: judge::retry_after(response, now), reason };
        }
        Judgement::Never { reason }
    }
}

/// A manifest's `[probe]`, compiled.
#[derive(Debug)]
pub struct Probe {
    request: RequestTemplate,
    ok: Option<Filter>,
    owner: Option<Filter>,
}

impl Probe {
    pub(crate) fn compile(rules: &ProbeRules, errors: &mut Vec<MappingError>) -> Option<Self> {
        let before = errors.len();
        let mut compiler = Compiler { section: "probe", errors };
        let shape =
            Shape { method: &rules.method, url: &rules.url, auth: rules.auth.as_ref(), headers: &rules.headers };
        let request = RequestTemplate::compile(&shape, None, Some(Content::Empty), &mut compiler);
        let ok = compiler.filter("ok", rules.ok.as_ref());
        let owner = compiler.filter("owner", rules.owner.as_ref());
        let request = request.filter(|_| compiler.errors.len() == before)?;
        Some(Self { request, ok, owner })
    }

    /// As [`Send::oauth`].
    pub fn oauth(&self, settings: &Settings) -> Result<Option<Outgoing>, String> {
        self.request.oauth(settings)
    }

    pub fn compose(&self, settings: &Settings, token: Option<&str>) -> Result<Outgoing, String> {
        self.request.compose(None, &Value::Object(settings_context(settings)), settings, token)
    }

    /// Are the credentials good, and who holds the webhook now? Without `ok` any 2xx is good.
    pub fn judge(&self, response: &Response, surroundings: &Surroundings<'_>) -> (bool, Option<String>) {
        let root = judge::root(response);
        let is_good = match &self.ok {
            Some(filter) => judge::holds(Some(filter), &root, surroundings) == Ok(true),
            None => (200..300).contains(&response.status),
        };
        (is_good, judge::word(self.owner.as_ref(), &root, surroundings))
    }
}

/// `settings` and `secret`, as every template of a request of ours sees them.
fn settings_context(settings: &Settings) -> Map<String, Value> {
    let table = |values: &mut dyn Iterator<Item = (&str, &str)>| {
        Value::Object(values.map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
    };
    let mut context = Map::new();
    context.insert("settings".to_owned(), table(&mut settings.plain()));
    context.insert("secret".to_owned(), table(&mut settings.secrets()));
    context
}

fn escape_of(encode: Encode) -> Escape {
    match encode {
        Encode::Json => Escape::Json,
        Encode::Xml => Escape::Xml,
        Encode::Form | Encode::Query => Escape::Form,
        Encode::Text => Escape::Text,
    }
}

/// Numbers that would stop every answer, or let none wait.
fn check_numbers(rules: &SendRules, compiler: &mut Compiler<'_>) {
    if rules.retry.max == 0 {
        compiler.mistake_with_hint("retry.max", "no try at all would be made", "write at least 1");
    }
    if rules.retry.first > rules.retry.cap {
        compiler.mistake_with_hint(
            "retry.first",
            "the first wait is longer than `cap`",
            "lower `first` or raise `cap`",
        );
    }
    if !(rules.rate.per_second.is_finite() && rules.rate.per_second > 0.0) {
        compiler.mistake_with_hint("rate.per_second", "nothing would ever be sent", "write a number above 0");
    }
    if let Some(split) = &rules.split
        && (split.max_chars < split::LEAST_CHARS || split.max_parts == 0)
    {
        let least = format!("`max_chars` is at least {} and `max_parts` at least 1", split::LEAST_CHARS);
        compiler.mistake_with_hint("split", "no text fits", least);
    }
    if let Some(idempotency) = &rules.idempotency {
        request::check_header_name("idempotency.header", &idempotency.header, compiler);
    }
}

#[cfg(test)]
mod tests;
