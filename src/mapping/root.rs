//! The evaluation root: a verified request as filters see it, the same for every format (`channel-manifest.md` §4).
//!
//! In: the raw request. Out: one value of jaq, built without a detour. Every step has a bound: decompressed bytes, form
//! fields, parts, depth, and the number of values, as each takes many times the bytes that it has on the wire.

use std::{fmt, net::IpAddr};

use bytes::Bytes;
use jaq_json::{Map, Num, Rc, Val};
use jiff::Timestamp;
use serde_json::Value as Json;

use super::{
    MappingFault,
    rules::{BodyKind, ReceiveRules},
    value,
};
use crate::{receipt::Request, settings::Settings};

pub(super) mod body;
mod form;
pub(super) mod json;
mod multipart;
pub(super) mod text;
mod xml;

use form::Fields;
use text::Charset;

/// Values of one JSON or XML body.
const NODES: usize = 250_000;

/// A decoded request. Lives as long as one receipt is mapped, in one thread.
pub struct Root {
    value: Val,
    endpoint: String,
    lossy: bool,
    received_at: Timestamp,
    /// The body after `[receive] decode`.
    whole: Bytes,
    /// Fields of a form, and files of a multipart body, untouched.
    fields: form::Pairs,
    files: Vec<(String, Bytes)>,
}

/// Prints no content: it holds a citizen's words.
impl fmt::Debug for Root {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Root({})", self.endpoint)
    }
}

impl Root {
    /// Decodes a verified request. The fault says what the body is not, without its words.
    pub fn decode(
        request: &Request,
        endpoint: &str,
        remote: Option<IpAddr>,
        received_at: Timestamp,
        rules: &ReceiveRules,
        settings: &Settings,
    ) -> Result<Self, MappingFault> {
        let whole = |reason| MappingFault { item: None, reason };
        let query = form::split(request.query().as_bytes())
            .ok_or_else(|| whole("the query has more than 1000 fields".to_owned()))?;
        let mut content = Content::read(request, rules, &query).map_err(whole)?;
        let (body, fields, files) = std::mem::take(&mut content.bytes);
        let configured = configured(rules, &query, &content.pairs).unwrap_or(Charset::UTF_8);
        let query = Fields::of(query, configured);
        let form = Fields::of(content.pairs, content.charset.unwrap_or(configured));
        let lossy = content.lossy || query.lossy || form.lossy;
        let params = form::params(&query, &form);

        let mut root = Map::default();
        let mut put = |name: &'static str, value| drop(root.insert(Val::utf8_str(name), value));
        put("method", Val::utf8_str(request.method.clone()));
        put("path", Val::utf8_str(request.path().to_owned()));
        put("endpoint", Val::utf8_str(endpoint.to_owned()));
        put("query", Val::Obj(query.first));
        put("query_all", Val::Obj(query.all));
        put("form", Val::Obj(form.first));
        put("form_all", Val::Obj(form.all));
        put("params", Val::Obj(params));
        put("headers", headers(request));
        put("body", content.body);
        put("body_text", content.text.map_or(Val::Null, Val::utf8_str));
        put("files", Val::Arr(Rc::new(content.files)));
        put("remote", remote.map_or(Val::Null, |address| Val::utf8_str(address.to_string())));
        put("received_at", Val::Num(Num::from_integral(received_at.as_second())));
        put("settings", plain_settings(settings));
        let (value, endpoint) = (Val::obj(root), endpoint.to_owned());
        Ok(Self { value, endpoint, lossy, received_at, whole: body, fields, files })
    }

    /// For templates and handshakes.
    pub fn to_json(&self) -> Json {
        // A root that is too large for an answer leaves an empty one: whatever asks for a part of it finds nothing.
        value::json::to_json(&self.value).unwrap_or_else(|| Json::Object(serde_json::Map::new()))
    }

    /// Bytes of the request as they came: `body`, the `ref` of a file, or `form:NAME`.
    pub fn bytes(&self, name: &str) -> Option<&Bytes> {
        if name == "body" {
            return Some(&self.whole);
        }
        match name.strip_prefix("form:") {
            Some(field) => self.fields.iter().find(|(name, _)| name == field.as_bytes()).map(|(_, value)| value),
            None => self.files.iter().find(|(reference, _)| reference == name).map(|(_, bytes)| bytes),
        }
    }

    pub(super) fn received_at(&self) -> Timestamp {
        self.received_at
    }

    pub(super) fn value(&self) -> &Val {
        &self.value
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Bytes that were no text in their charset were replaced.
    pub(super) fn is_lossy(&self) -> bool {
        self.lossy
    }
}

/// The body, as far as its kind tells.
#[derive(Default)]
struct Content {
    body: Val,
    text: Option<Bytes>,
    pairs: form::Pairs,
    files: Vec<Val>,
    /// Of the form, ahead of the manifest's.
    charset: Option<Charset>,
    lossy: bool,
    /// Body, fields and files as they came.
    bytes: (Bytes, form::Pairs, Vec<(String, Bytes)>),
}

impl Content {
    fn read(request: &Request, rules: &ReceiveRules, query: &form::Pairs) -> Result<Self, String> {
        let header = request.header("content-type").unwrap_or_default();
        let (media_type, declared) = body::content_type(header);
        let decoded = body::decoded(request.body.clone(), rules)?;
        let declared = if decoded.is_utf8 { Some(Charset::UTF_8) } else { declared };
        let bytes = decoded.bytes;
        let whole = bytes.clone();
        let mut content = match body::kind(rules, &media_type, bytes.is_empty()) {
            BodyKind::Json => Self::json(bytes, rules)?,
            BodyKind::Xml => Self::xml(bytes, declared, rules)?,
            BodyKind::Form => Self::form(bytes, declared)?,
            BodyKind::Multipart => {
                let charset = configured(rules, query, &Vec::new()).unwrap_or(Charset::UTF_8);
                Self::multipart(header, bytes, charset)?
            }
            BodyKind::Text | BodyKind::Auto => {
                Self::text(bytes, declared.or_else(|| configured(rules, query, &Vec::new())))
            }
            BodyKind::None => Self::default(),
        };
        content.lossy |= decoded.lossy;
        content.bytes.0 = whole;
        Ok(content)
    }

    fn json(bytes: Bytes, rules: &ReceiveRules) -> Result<Self, String> {
        let (text, lossy) = text::utf8(bytes);
        let parsed = json::parse(&text, rules.max_depth).map_err(|fault| format!("the body is no JSON: {fault}"))?;
        Ok(Self { body: parsed.value, text: Some(text), lossy: lossy || parsed.lossy, ..Self::default() })
    }

    fn xml(bytes: Bytes, declared: Option<Charset>, rules: &ReceiveRules) -> Result<Self, String> {
        let charset = declared.or_else(|| body::xml_charset(&bytes)).unwrap_or(Charset::UTF_8);
        let (text, lossy) = charset.decode(bytes);
        let body = xml::parse(&String::from_utf8_lossy(&text), rules.max_depth.min(json::MAX_DEPTH))
            .map_err(|problem| format!("the body is no XML that is read: {problem}"))?;
        Ok(Self { body, text: Some(text), lossy, ..Self::default() })
    }

    fn form(bytes: Bytes, declared: Option<Charset>) -> Result<Self, String> {
        let pairs = form::split(&bytes).ok_or_else(|| "the form has more than 1000 fields".to_owned())?;
        let kept = (Bytes::new(), pairs.clone(), Vec::new());
        Ok(Self { pairs, text: Some(text::utf8(bytes).0), charset: declared, bytes: kept, ..Self::default() })
    }

    fn multipart(header: &str, bytes: Bytes, charset: Charset) -> Result<Self, String> {
        let parts = multipart::parse(header, bytes, charset)
            .map_err(|problem| format!("the multipart body is not read: {problem}"))?;
        let charset = Some(Charset::UTF_8);
        let kept = (Bytes::new(), parts.raw_fields, parts.raw_files);
        let (pairs, files) = (parts.fields, parts.files);
        Ok(Self { pairs, files, charset, lossy: parts.lossy, bytes: kept, ..Self::default() })
    }

    fn text(bytes: Bytes, charset: Option<Charset>) -> Self {
        let (text, lossy) = charset.unwrap_or(Charset::UTF_8).decode(bytes);
        Self { text: Some(text), lossy, ..Self::default() }
    }
}

/// The charset of the manifest: a label, or the parameter that holds one.
fn configured(rules: &ReceiveRules, query: &form::Pairs, form: &form::Pairs) -> Option<Charset> {
    match rules.charset.strip_prefix("param:") {
        Some(name) => text::charset(&form::first(query, name).or_else(|| form::first(form, name))?),
        None => text::charset(&rules.charset),
    }
}

/// The first value of each header.
fn headers(request: &Request) -> Val {
    let mut headers = Map::default();
    headers.reserve(request.headers.len());
    for (name, value) in &request.headers {
        let name = Val::utf8_str(name.clone());
        headers.entry(name).or_insert_with(|| Val::utf8_str(text::utf8(Bytes::copy_from_slice(value)).0));
    }
    Val::obj(headers)
}

fn plain_settings(settings: &Settings) -> Val {
    let plain = settings.plain().map(|(name, value)| (Val::utf8_str(name.to_owned()), Val::utf8_str(value.to_owned())));
    Val::obj(plain.collect())
}

#[cfg(test)]
mod tests;
