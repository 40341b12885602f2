//! A request of ours as the manifest writes it: method, URL, headers, authentication and content.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use super::{
    Compiler, Outgoing,
    auth::Auth,
    escape_of,
    text::Text,
    url::{UrlTemplate, push_pair, push_parameter},
};
use crate::{
    adapter::webhook::rules::{AuthTable, Encode, SendRules},
    mapping::Escape,
    settings::Settings,
};

/// Methods that a manifest may name.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that belong to the connection, not to a manifest.
const RESERVED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];

/// The keys that `[send]` and `[probe]` share.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub auth: Option<&'a AuthTable>,
    pub headers: &'a BTreeMap<String, String>,
}

/// A table of the manifest: names as they are, values as templates. A field whose value is empty is left out.
pub(super) type Fields = Vec<(String, Text)>;

/// What a request holds.
#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Body { encode: Encode, text: Text },
    Form(Fields),
}

impl Content {
    pub fn compile(rules: &SendRules, compiler: &mut Compiler<'_>) -> Option<Self> {
        match (&rules.body, &rules.form, rules.encode) {
            (Some(_), Some(_), _) => {
                compiler.mistake_with_hint("form", "there is a `body` and a `form`", "keep one of them");
                None
            }
            (Some(_), None, Encode::Query) => {
                compiler.mistake_with_hint("body", "`encode` is \"query\"", "write a table `query` instead of `body`");
                None
            }
            (Some(body), None, encode) => Self::of_template("body", body, encode, compiler),
            (None, Some(form), Encode::Form) => fields("form", form, compiler).map(Self::Form),
            (None, Some(_), _) => {
                compiler.mistake_with_hint("encode", "a `form` is not encoded like that", "write encode = \"form\"");
                None
            }
            (None, None, _) if rules.query.is_some() => Some(Self::Empty),
            (None, None, _) => {
                compiler.mistake_with_hint("body", "it is missing", "write `body`, `form` or `query`");
                None
            }
        }
    }

    /// A body that stands in for the usual one, such as one with buttons.
    pub fn of_template(key: &str, source: &str, encode: Encode, compiler: &mut Compiler<'_>) -> Option<Self> {
        let text = compiler.text(key, source, escape_of(encode))?;
        Some(Self::Body { encode, text })
    }

    /// A form that stands in for the usual body.
    pub fn of_form(form: &BTreeMap<String, String>, compiler: &mut Compiler<'_>) -> Option<Self> {
        fields("form", form, compiler).map(Self::Form)
    }

    /// The bytes, and the content type that they have unless the manifest says otherwise.
    fn render(&self, context: &Value) -> Result<(Vec<u8>, Option<&'static str>), String> {
        match self {
            Self::Empty => Ok((Vec::new(), None)),
            Self::Form(fields) => {
                let mut form = String::new();
                for (name, value) in rendered("form", fields, context)? {
                    if !form.is_empty() {
                        form.push('&');
                    }
                    push_pair(&mut form, name, &value);
                }
                Ok((form.into_bytes(), Some(content_type(Encode::Form))))
            }
            Self::Body { encode, text } => {
                let body = text.render(context).map_err(|message| format!("body: {message}"))?.into_owned();
                // A provider would answer 400 to this, and the answer would be given up on: here it names the template.
                if *encode == Encode::Json && serde_json::from_str::<&RawValue>(&body).is_err() {
                    return Err("body: what the template gives is no JSON".to_owned());
                }
                Ok((body.into_bytes(), Some(content_type(*encode))))
            }
        }
    }
}

fn content_type(encode: Encode) -> &'static str {
    match encode {
        Encode::Json => "application/json",
        Encode::Form | Encode::Query => "application/x-www-form-urlencoded",
        Encode::Xml => "text/xml; charset=utf-8",
        Encode::Text => "text/plain; charset=utf-8",
    }
}

/// Values are percent-encoded as a whole after they were rendered, literal parts too.
pub(super) fn fields(key: &str, table: &BTreeMap<String, String>, compiler: &mut Compiler<'_>) -> Option<Fields> {
    let compiled: Fields = table
        .iter()
        .filter_map(|(name, source)| {
            let text = compiler.text(&format!("{key}.{name}"), source, Escape::Text)?;
            Some((name.clone(), text))
        })
        .collect();
    (compiled.len() == table.len()).then_some(compiled)
}

/// The fields of a table that have a value.
pub(super) fn rendered<'a>(
    key: &str,
    fields: &'a Fields,
    context: &Value,
) -> Result<Vec<(&'a str, std::borrow::Cow<'a, str>)>, String> {
    let mut values = Vec::with_capacity(fields.len());
    for (name, text) in fields {
        let value = text.render(context).map_err(|message| format!("{key}.{name}: {message}"))?;
        if !value.is_empty() {
            values.push((name.as_str(), value));
        }
    }
    Ok(values)
}

/// A request, compiled.
#[derive(Debug)]
pub(super) struct RequestTemplate {
    method: String,
    url: UrlTemplate,
    auth: Option<Auth>,
    headers: Fields,
    query: Fields,
    content: Content,
}

impl RequestTemplate {
    /// `content` is None where it did not compile.
    pub fn compile(
        shape: &Shape<'_>,
        query: Option<&BTreeMap<String, String>>,
        content: Option<Content>,
        compiler: &mut Compiler<'_>,
    ) -> Option<Self> {
        if !METHODS.contains(&shape.method) {
            compiler.mistake_with_hint("method", "it is no method we send", format!("one of {}", METHODS.join(", ")));
        }
        let url = UrlTemplate::compile(shape.url, compiler);
        let auth = shape.auth.map(|table| Auth::compile(table, compiler));
        for name in shape.headers.keys() {
            check_header_name(&format!("headers.{name}"), name, compiler);
        }
        let headers = fields("headers", shape.headers, compiler);
        let query = query.map_or_else(|| Some(Fields::new()), |table| fields("query", table, compiler));
        let method = shape.method.to_owned();
        Some(Self { method, url: url?, auth, headers: headers?, query: query?, content: content? })
    }

    pub fn url_setting(&self) -> Option<&str> {
        self.url.setting()
    }

    pub fn oauth(&self, settings: &Settings) -> Result<Option<Outgoing>, String> {
        self.auth.as_ref().map_or(Ok(None), |auth| auth.token_request(settings))
    }

    /// `content` stands in for the usual content where there is one.
    pub fn compose(
        &self,
        content: Option<&Content>,
        context: &Value,
        settings: &Settings,
        token: Option<&str>,
    ) -> Result<Outgoing, String> {
        let (mut url, shown) = self.url.render(context, settings)?;
        for (name, value) in rendered("query", &self.query, context)? {
            push_parameter(&mut url, name, &value);
        }
        let mut headers = Vec::with_capacity(self.headers.len() + 3);
        for (name, value) in rendered("headers", &self.headers, context)? {
            check_header_value(name, &value)?;
            headers.push((name.to_owned(), value.into_owned()));
        }
        let (body, content_type) = content.unwrap_or(&self.content).render(context)?;
        let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(content_type) = content_type.filter(|_| !has_type) {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        let mut outgoing = Outgoing { method: self.method.clone(), url, shown, headers, body };
        if let Some(auth) = &self.auth {
            auth.apply(&mut outgoing, settings, token)?;
        }
        Ok(outgoing)
    }
}

/// RFC 9110 §5.6.2, and nothing that the connection sets itself.
pub(super) fn check_header_name(key: &str, name: &str, compiler: &mut Compiler<'_>) {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(good) {
        compiler.mistake_with_hint(key, "it is no name of a header", "write letters, digits and `-`");
    }
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        compiler.mistake_with_hint(key, format!("`{name}` belongs to the connection"), "leave it out");
    }
}

/// A line break would begin another header. The error names the header only: the value may be a secret.
pub(super) fn check_header_value(name: &str, value: &str) -> Result<(), String> {
    if value.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err(format!("headers.{name}: the value holds a line break or another control character"));
    }
    Ok(())
}
