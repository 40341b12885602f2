//! `[media]`: the requests that lead to a file, and what the first of two answers (`channel-manifest.md` §3).
//!
//! In: the `ref` or the `url` of an attachment, and the channel's settings. Out: requests that the shell sends. Where they may
//! go is not decided here: the shell holds every URL against the manifest's hosts before it connects.

use serde_json::Value;

use super::{
    Compiler, Outgoing, Response,
    auth::Auth,
    judge,
    request::{Content, RequestTemplate, Shape},
    settings_context,
    url::UrlTemplate,
};
use crate::{
    adapter::webhook::rules::MediaRules,
    mapping::{Filter, MappingError, Surroundings},
    settings::Settings,
};

/// Longest URL that is followed.
const LONGEST_URL: usize = 2048;

/// A manifest's `[media]`, compiled.
#[derive(Debug)]
pub struct Media {
    rules: MediaRules,
    resolve: Option<(RequestTemplate, Filter)>,
    place: Place,
    auth: Option<Auth>,
}

/// Where the bytes of a `ref` are.
#[derive(Debug)]
enum Place {
    /// `{{ url }}`
    Given,
    /// `{{ resolved }}`
    Resolved,
    Template(UrlTemplate),
}

/// The file that is wanted: one of the two is there.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub reference: Option<&'a str>,
    /// Fetched as it is.
    pub url: Option<&'a str>,
}

/// A URL may hold a token.
impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Wanted(***)")
    }
}

impl Media {
    /// Compiles every filter and template; all mistakes at once. None when there was one.
    pub(crate) fn compile(rules: &MediaRules, errors: &mut Vec<MappingError>) -> Option<Self> {
        let before = errors.len();
        let resolve = rules.resolve.as_ref().map(|resolve| {
            let mut compiler = Compiler { section: "media.resolve", errors };
            let none = std::collections::BTreeMap::new();
            let method = resolve.method.as_deref().unwrap_or("GET");
            let shape = Shape { method, url: &resolve.url, auth: resolve.auth.as_ref(), headers: &none };
            let request = RequestTemplate::compile(&shape, None, Some(Content::Empty), &mut compiler);
            request.zip(compiler.filter("at", Some(&resolve.at)))
        });
        let mut compiler = Compiler { section: "media", errors };
        let place = match rules.url.as_deref().map(|source| source.trim_matches(['{', '}', ' '])) {
            None if resolve.is_some() => Some(Place::Resolved),
            None | Some("url") => Some(Place::Given),
            Some("resolved") => Some(Place::Resolved),
            Some(_) => rules.url.as_ref().and_then(|url| UrlTemplate::compile(url, &mut compiler)).map(Place::Template),
        };
        let auth = rules.auth.as_ref().map(|table| Auth::compile(table, &mut compiler));
        let is_good = compiler.errors.len() == before;
        let resolve = match resolve {
            Some(resolve) => Some(resolve?),
            None => None,
        };
        is_good.then_some(Self { rules: rules.clone(), resolve, place: place?, auth })
    }

    pub fn rules(&self) -> &MediaRules {
        &self.rules
    }

    /// The settings of kind `url` that a request of ours begins with: their hosts are the operator's own.
    pub fn url_settings(&self) -> impl Iterator<Item = &str> {
        let place = match &self.place {
            Place::Template(template) => template.setting(),
            Place::Given | Place::Resolved => None,
        };
        self.resolve.as_ref().and_then(|(request, _)| request.url_setting()).into_iter().chain(place)
    }

    /// The requests that get tokens, where the auth of the first or of the second step is `oauth2`.
    pub fn oauth(&self, settings: &Settings) -> Result<[Option<Outgoing>; 2], String> {
        let first = self.resolve.as_ref().map_or(Ok(None), |(request, _)| request.oauth(settings))?;
        let second = self.auth.as_ref().map_or(Ok(None), |auth| auth.token_request(settings))?;
        Ok([first, second])
    }

    /// The first step of a `ref`; None where there is no such step.
    pub fn resolve(
        &self,
        wanted: Wanted<'_>,
        settings: &Settings,
        token: Option<&str>,
    ) -> Option<Result<Outgoing, String>> {
        let (request, _) = self.resolve.as_ref().filter(|_| wanted.url.is_none())?;
        Some(request.compose(None, &context(wanted, None, settings), settings, token))
    }

    /// The place that the first step answered. The error holds nothing of the answer.
    pub fn resolved(&self, response: &Response, surroundings: &Surroundings<'_>) -> Result<String, String> {
        let (_, at) = self.resolve.as_ref().ok_or("[media] has no `resolve`")?;
        let found = at.run_first(&judge::root(response), surroundings);
        let found = found.map_err(|_| "`media.resolve.at` cannot be run over the answer")?;
        match found {
            Some(Value::String(url)) if !url.is_empty() && url.len() <= LONGEST_URL => Ok(url),
            _ => Err("the provider named no place of the file".to_owned()),
        }
    }

    /// The request for the bytes, signed.
    pub fn bytes(
        &self,
        wanted: Wanted<'_>,
        resolved: Option<&str>,
        settings: &Settings,
        token: Option<&str>,
    ) -> Result<Outgoing, String> {
        let plain = |url: &str, shown: &str| (url.to_owned(), shown.to_owned());
        let (url, shown) = match (&self.place, wanted.url, resolved) {
            (_, Some(url), _) => plain(url, "the attachment's url"),
            (Place::Template(template), _, _) => template.render(&context(wanted, resolved, settings), settings)?,
            (Place::Resolved, _, Some(url)) => plain(url, "the place that [media] resolve gave"),
            _ => return Err("[media] does not say where a `ref` is".to_owned()),
        };
        let mut outgoing = Outgoing { method: "GET".to_owned(), url, shown, headers: Vec::new(), body: Vec::new() };
        if let Some(auth) = &self.auth {
            auth.apply(&mut outgoing, settings, token)?;
        }
        Ok(outgoing)
    }
}

fn context(wanted: Wanted<'_>, resolved: Option<&str>, settings: &Settings) -> Value {
    let mut context = settings_context(settings);
    let values = [("ref", wanted.reference), ("url", wanted.url), ("resolved", resolved)];
    context.extend(values.map(|(name, value)| (name.to_owned(), Value::from(value.unwrap_or_default()))));
    Value::Object(context)
}
