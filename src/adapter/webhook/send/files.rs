//! `[send.media]`: the requests that a file of an answer leaves with, and which files the provider takes. A provider fetches
//! a file by its link, or gets its bytes within the form (RFC 7578).

use serde_json::{Value, json};

use super::{
    Compiler, Letter, Outgoing, Send,
    request::{Content, Fields, RequestTemplate, Shape, fields, rendered},
};
use crate::{
    adapter::webhook::rules::{Encode, FileRules, SendRules},
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
mod tests {
    use super::*;
    use crate::settings::Setting;

    const MANIFESTS: [(&str, &str); 4] = [
        ("telegram", include_str!("../../../../channels/telegram.toml")),
        ("whatsapp-cloud", include_str!("../../../../channels/whatsapp-cloud.toml")),
        ("360dialog", include_str!("../../../../channels/360dialog.toml")),
        ("twilio-whatsapp", include_str!("../../../../channels/twilio-whatsapp.toml")),
    ];

    fn compiled(send: &str) -> Result<Send, Vec<String>> {
        let rules: SendRules = toml::from_str(send).expect("the section parses");
        let mut errors = Vec::new();
        let send = Send::compile(&rules, &mut errors);
        let told = |error: &MappingError| format!("{}.{}", error.section, error.key);
        send.ok_or_else(|| errors.iter().map(told).collect())
    }

    fn manifest(name: &str) -> Send {
        let (_, text) = MANIFESTS.iter().find(|(id, _)| *id == name).expect("a manifest");
        let manifest: toml::Table = toml::from_str(text).expect("the manifest parses");
        compiled(&toml::to_string(&manifest["send"]).expect("the section")).expect("no mistakes")
    }

    fn letter() -> Letter<'static> {
        Letter {
            to: "+6281100000001",
            to_type: "phone",
            from: "+15550001111",
            text: "",
            language: "id",
            idempotency_key: "ob_1-2",
            receipts_url: "https://loket.example/in/wa/status",
            reply_to: None,
            choices: &[],
            asks_location: false,
            is_late: false,
        }
    }

    fn settings() -> Settings {
        let mut settings = Settings::default();
        for (name, value) in [
            ("graph_url", "https://graph.example"),
            ("graph", "v22.0"),
            ("phone_number_id", "777"),
            ("api_url", "https://api.example"),
            ("account_sid", "AC1"),
        ] {
            settings.insert(name, Setting::Plain(value.to_owned()));
        }
        for name in ["access_token", "api_key", "auth_token", "bot_token"] {
            settings.insert(name, Setting::Secret(vec!["s3cret".into()]));
        }
        settings
    }

    fn enclosed(send: &Send, media_type: &str, size: u64, caption: Option<&str>) -> Enclosed {
        let link = "https://loket.example/files/t";
        let file = FileFacts { link, media_type, size, filename: "surat.pdf", caption, boundary: "b" };
        send.enclose(&letter(), &file, &settings(), None).expect("it is composed")
    }

    #[test]
    fn each_manifest_takes_what_its_provider_takes_and_says_what_that_is() {
        let mib = |mib: u64| mib << 20;
        for (name, media_type, size, is_taken) in [
            ("telegram", "image/jpeg", mib(9), true),
            ("telegram", "image/jpeg", mib(12), true),
            ("telegram", "application/zip", mib(47), true),
            ("telegram", "application/zip", mib(48), false),
            ("whatsapp-cloud", "image/jpeg", mib(4), true),
            ("whatsapp-cloud", "image/jpeg", mib(6), false),
            ("whatsapp-cloud", "image/gif", 1, false),
            ("whatsapp-cloud", "application/pdf", mib(90), true),
            ("360dialog", "audio/ogg", mib(15), true),
            ("360dialog", "audio/ogg", mib(16), false),
            ("twilio-whatsapp", "application/pdf", mib(15), true),
            ("twilio-whatsapp", "text/plain", 1, false),
        ] {
            let fit = manifest(name).fits(media_type, size, None);
            assert_eq!(fit.is_ok(), is_taken, "{name} {media_type} {size}: {fit:?}");
        }
        let unfit = manifest("whatsapp-cloud").fits("image/gif", 5, None).expect_err("not taken").to_string();
        assert!(
            unfit.contains("image/gif of 5 bytes") && unfit.contains("image (image/jpeg, image/png) up to 4880 KiB")
        );
        assert_eq!(
            manifest("telegram").fits("image/png", 1, Some(&"x".repeat(1025))),
            Err(Unfit::Caption { max: 1024 })
        );
        assert_eq!(manifest("360dialog").fits("audio/ogg", 1, Some("x")), Err(Unfit::Caption { max: 0 }));
        let text_only = compiled("url = 'https://a.example'\nbody = '1'").expect("no mistakes");
        assert_eq!(text_only.fits("image/png", 1, None), Err(Unfit::NoFiles));
    }

    #[test]
    fn a_picture_at_whatsapp_is_a_link_with_its_words() {
        for name in ["whatsapp-cloud", "360dialog"] {
            let Enclosed { outgoing, tail } = enclosed(&manifest(name), "image/png", 9, Some("Foto \"baru\""));
            let body: Value = serde_json::from_slice(&outgoing.body).expect("JSON");
            let image = json!({ "link": "https://loket.example/files/t", "caption": "Foto \"baru\"" });
            assert_eq!((&body["type"], &body["image"], tail), (&json!("image"), &image, None), "{name}");
            let document = enclosed(&manifest(name), "application/pdf", 9, None).outgoing;
            let body: Value = serde_json::from_slice(&document.body).expect("JSON");
            let expected = json!({ "link": "https://loket.example/files/t", "filename": "surat.pdf" });
            assert_eq!((&body["to"], &body["document"]), (&json!("6281100000001"), &expected), "{name}");
        }
        let outgoing = enclosed(&manifest("twilio-whatsapp"), "image/png", 9, None).outgoing;
        let form = String::from_utf8(outgoing.body).expect("a form");
        assert!(form.contains("MediaUrl=https%3A%2F%2Floket.example%2Ffiles%2Ft") && !form.contains("Body="), "{form}");
    }

    #[test]
    fn a_file_at_telegram_goes_to_the_method_of_its_kind() {
        for (media_type, size, method) in [
            ("image/png", 1, "sendPhoto"),
            ("image/png", 12 << 20, "sendDocument"),
            ("image/gif", 1, "sendDocument"),
            ("video/mp4", 1, "sendVideo"),
            ("audio/mpeg", 1, "sendAudio"),
            ("audio/ogg", 1, "sendDocument"),
        ] {
            let Enclosed { outgoing, tail } = enclosed(&manifest("telegram"), media_type, size, None);
            assert!(outgoing.url.ends_with(method), "{media_type}");
            assert_eq!(tail.as_deref(), Some(&b"\r\n--b--\r\n"[..]));
            let body = String::from_utf8(outgoing.body).expect("text");
            assert!(body.contains("name=\"chat_id\"\r\n\r\n+6281100000001\r\n") && !body.contains("caption"), "{body}");
        }
    }

    #[test]
    fn mistakes_name_their_kind() {
        let send = "url = 'https://a.example'\nbody = '1'\n";
        for (rules, expected) in [
            ("[media.image]\nmax_size = '1 MiB'", "send.media.image.body"),
            ("[media.image]\nmax_size = '1 MiB'\nbody = '{{ links }}'", "send.media.image.body"),
            ("[media.document]\nmax_size = '1 MiB'\nform = { a = '1' }", "send.media.document.form"),
            ("[media.video]\nmax_size = '1 MiB'\nform = { a = '1' }\nfile = 'a b'", "send.media.video.file"),
            ("[media.audio]\nmax_size = '1 MiB'\nform = { 'a\"' = '1' }\nfile = 'a'", "send.media.audio.form.a\""),
            ("[media.audio]\nmax_size = '1 MiB'\nbody = '1'\nfile = 'a'", "send.media.audio.body"),
        ] {
            assert_eq!(compiled(&format!("{send}{rules}")).expect_err("a mistake"), [expected], "{rules}");
        }
    }
}
