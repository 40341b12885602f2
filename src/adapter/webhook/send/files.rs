//! `[send.media]`: the requests that a file of an answer leaves with, and which files the provider takes. A provider fetches
//! a file by its link, or gets its bytes within the form (RFC 7578).

use serde_json::{Value, json};

use super::{
    Compiler, Letter, Outgoing, Send,
    request::{Content, Fields, RequestTemplate, Shape, fields, rendered},
};
use crate::{
    adapter::webhook::rules::{Encode, SendRules, files::FileRules},
    mapping::MappingError,
    settings::Settings,
};

/// A file, as a request shows it.
#[derive(Clone, Copy)]
pub struct FileFacts<'a> {
    /// Where the provider may fetch it.
    pub link: &'a str,
    pub media_type: &'a str,
    pub size: u64,
    /// Cleaned.
    pub filename: &'a str,
    pub caption: Option<&'a str>,
    /// Random, so that no file holds it.
    pub boundary: &'a str,
}

impl std::fmt::Debug for FileFacts<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "FileFacts({}, {} bytes)", self.media_type, self.size)
    }
}

/// A request with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosed {
    pub outgoing: Outgoing,
    /// What stands behind the bytes of the file, where they follow the body; None where the provider fetches them.
    pub tail: Option<Vec<u8>>,
}

/// Why a file does not leave through this provider, for whoever wants to send it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("this channel sends text only")]
    NoFiles,
    #[error("this channel does not take {media_type} of {size} bytes; it takes {takes}")]
    File { media_type: String, size: u64, takes: String },
    #[error("this channel shows at most {max} characters under a file of this kind")]
    Caption { max: usize },
}

/// Every kind that there is, compiled.
#[derive(Debug)]
pub(super) struct Files(Vec<Kind>);

#[derive(Debug)]
struct Kind {
    /// `image`, …, as the manifest names it.
    name: &'static str,
    rules: FileRules,
    request: RequestTemplate,
    form: Option<(Fields, String)>,
}

impl Files {
    pub fn compile(rules: &SendRules, errors: &mut Vec<MappingError>) -> Self {
        let kinds = rules.media.kinds().into_iter().filter_map(|(section, kind)| {
            let mut compiler = Compiler { section, errors };
            Kind::compile(section, kind?, rules, &mut compiler)
        });
        Self(kinds.collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that takes it.
    fn kind(&self, media_type: &str, size: u64) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.takes(media_type, size))
    }
}

impl Kind {
    fn compile(
        section: &'static str,
        rules: &FileRules,
        send: &SendRules,
        compiler: &mut Compiler<'_>,
    ) -> Option<Self> {
        let before = compiler.errors.len();
        let url = rules.url.as_deref().unwrap_or(&send.url);
        let shape = Shape { method: &send.method, url, auth: send.auth.as_ref(), headers: &send.headers };
        let (content, form) = match (&rules.body, &rules.form, &rules.file) {
            (Some(_), None, Some(_)) | (None, None, _) | (Some(_), Some(_), _) => {
                let hint = "write `body`, or `form`, or `form` and `file`";
                compiler.mistake_with_hint("body", "it does not say what is sent", hint);
                return None;
            }
            (Some(body), None, None) => (Content::of_template("body", body, send.encode, compiler), None),
            (None, Some(form), None) if send.encode == Encode::Form => (Content::of_form(form, compiler), None),
            (None, Some(_), None) => {
                let hint = "write `file`, or encode = \"form\" in [send]";
                compiler.mistake_with_hint("form", "a form without `file` is not encoded like that", hint);
                return None;
            }
            (None, Some(form), Some(file)) => {
                (Some(Content::Empty), fields("form", form, compiler).map(|form| (form, file.clone())))
            }
        };
        if rules.file.as_ref().is_some_and(|name| !is_plain(name)) {
            compiler.mistake_with_hint("file", "it is no name of a field", "write letters, digits, `-` and `_`");
        }
        if let Some(name) = rules.form.iter().flatten().map(|(name, _)| name).find(|name| !is_plain(name)) {
            compiler.mistake_with_hint(&format!("form.{name}"), "it is no name of a field", "write letters and digits");
        }
        let request = RequestTemplate::compile(&shape, None, content, compiler);
        let request = request.filter(|_| compiler.errors.len() == before)?;
        let name = section.rsplit('.').next().unwrap_or(section);
        Some(Self { name, rules: rules.clone(), request, form })
    }

    fn takes(&self, media_type: &str, size: u64) -> bool {
        let is_of_kind = self.name == "document" || media_type.split('/').next() == Some(self.name);
        let fits = |entry: &String| match entry.strip_suffix("/*") {
            Some(family) => media_type.split('/').next() == Some(family),
            None => entry == media_type,
        };
        let is_listed = self.rules.types.is_empty() || self.rules.types.iter().any(fits);
        is_of_kind && is_listed && size <= self.rules.max_size.as_u64()
    }

    fn described(&self) -> String {
        let types = if self.rules.types.is_empty() { "any type".to_owned() } else { self.rules.types.join(", ") };
        format!("{} ({types}) up to {}", self.name, self.rules.max_size)
    }
}

/// In a header of a part: what would have to be quoted is refused.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl Send {
    /// May an answer have files at all?
    pub fn takes_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Does the provider take a file like this?
    pub fn fits(&self, media_type: &str, size: u64, caption: Option<&str>) -> Result<(), Unfit> {
        if self.files.is_empty() {
            return Err(Unfit::NoFiles);
        }
        let Some(kind) = self.files.kind(media_type, size) else {
            let takes = self.files.0.iter().map(Kind::described).collect::<Vec<_>>().join("; ");
            return Err(Unfit::File { media_type: media_type.to_owned(), size, takes });
        };
        let max = kind.rules.caption_max;
        if caption.is_some_and(|caption| caption.chars().count() > max) { Err(Unfit::Caption { max }) } else { Ok(()) }
    }

    /// The request of a file. The words of `letter` are not in it. The error is for operators.
    pub fn enclose(
        &self,
        letter: &Letter<'_>,
        file: &FileFacts<'_>,
        settings: &Settings,
        token: Option<&str>,
    ) -> Result<Enclosed, String> {
        let kind = self.files.kind(file.media_type, file.size);
        let kind = kind.ok_or("[send.media] takes no file of this type and size")?;
        let mut context = self.context(letter, settings);
        if let Value::Object(values) = &mut context {
            let caption = file.caption.map_or_else(|| values["template"].clone(), Value::from);
            let facts = [
                ("link", json!(file.link)),
                ("media_type", json!(file.media_type)),
                ("filename", json!(file.filename)),
                ("caption", caption),
            ];
            values.extend(facts.map(|(name, value)| (name.to_owned(), value)));
        }
        let mut outgoing = kind.request.compose(None, &context, settings, token)?;
        if let Some(idempotency) = &self.rules.idempotency {
            outgoing.headers.push((idempotency.header.clone(), letter.idempotency_key.to_owned()));
        }
        let Some((form, name)) = &kind.form else { return Ok(Enclosed { outgoing, tail: None }) };
        let boundary = file.boundary;
        outgoing.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        let content_type = format!("multipart/form-data; boundary={boundary}");
        outgoing.headers.push(("content-type".to_owned(), content_type));
        for (name, value) in rendered("form", form, &context)? {
            let part = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            outgoing.body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{}\"\r\ncontent-type: {}\r\n\r\n",
            quoted(file.filename),
            file.media_type
        );
        outgoing.body.extend_from_slice(head.as_bytes());
        Ok(Enclosed { outgoing, tail: Some(format!("\r\n--{boundary}--\r\n").into_bytes()) })
    }
}

/// A name between quotes, as browsers write it: UTF-8, and the three that would end it encoded.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests;
