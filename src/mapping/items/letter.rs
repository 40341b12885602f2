//! `mime` of `[message]`: an item that is a whole letter. The mail reader takes over and fills every field; what the manifest
//! gives beside it is the envelope (`from`, `to`), and what the provider says of the sender (`auth`).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jaq_json::Val;

use super::{Fields, Mapping, Run};
use crate::{
    mail::{self, Circumstances, Envelope, envelope::Protocol},
    mapping::{
        Mapped, Root, Surroundings,
        fields::{Room, member},
    },
    message::MailAuthentication,
    receipt::{Check, CheckResult},
};

/// The verdicts that `auth` may give.
const METHODS: [&str; 3] = ["spf", "dkim", "dmarc"];

impl Mapping {
    /// The whole letter that the item at `place` is, byte for byte; None where it is none.
    pub fn letter(&self, root: &Root, place: usize, surroundings: &Surroundings<'_>) -> Option<Vec<u8>> {
        let (room, mapped) = (Room::new(), Mapped::default());
        let run = Run { root, pick: None, receiver: surroundings, surroundings, room, mapped };
        let item = run.each(&self.message.each, "message.each").ok()?.into_iter().nth(place)?;
        let letter = run.first(self.message.mime.as_ref()?, &item).ok()??;
        let bytes = run.bytes(&letter).ok()?.into_owned();
        Some(bytes)
    }
}

impl Run<'_> {
    /// Reads the letter that `mime` names, and adds what it says.
    pub(super) fn letter(&mut self, fields: &Fields, place: usize, item: &Val, mime: &Val) -> Result<(), String> {
        let recipients = self.text(fields.to.as_ref(), "to", item)?.unwrap_or_default();
        let envelope = Envelope {
            protocol: Some(Protocol::Webhook),
            mail_from: self.return_path(fields, item)?,
            rcpt_to: recipients.split(',').map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned).collect(),
            ..Envelope::default()
        };
        let circumstances = Circumstances {
            envelope: &envelope,
            ours: self.surroundings.ours,
            trusted_servers: self.surroundings.trusted_servers,
            received_at: self.root.received_at(),
        };
        let bytes = self.bytes(mime)?;
        let mut letter =
            mail::read(&bytes, &circumstances).map_err(|unreadable| format!("message.mime: {unreadable}"))?;
        if let Some((auth, checks)) = self.auth(fields, item)? {
            letter.message.auth.get_or_insert(auth);
            letter.checks.extend(checks);
        }
        self.mapped.add_letter(place, letter);
        Ok(())
    }

    /// Empty for the null path of machines: `""` or `<>` (RFC 5321, section 4.5.5). None where nothing is said.
    fn return_path(&mut self, fields: &Fields, item: &Val) -> Result<Option<String>, String> {
        let Some(filter) = &fields.from else { return Ok(None) };
        let output = self.first(filter, item).map_err(|reason| format!("message.from: {reason}"))?.unwrap_or_default();
        let is_null_path =
            matches!(&output, Val::TStr(text) | Val::BStr(text) if matches!(text.trim_ascii(), b"" | b"<>"));
        if is_null_path {
            return Ok(Some(String::new()));
        }
        self.room.text(&output).map_err(|reason| format!("message.from {reason}"))
    }

    /// A text is the letter itself; `{ref}` names bytes of the request: `body`, a file's `ref`, or `form:NAME`; `{base64}` holds
    /// them.
    fn bytes<'v>(&'v self, mime: &'v Val) -> Result<Cow<'v, [u8]>, String> {
        let text = |value: &'v Val| match value {
            Val::TStr(bytes) | Val::BStr(bytes) => Some(bytes.as_ref()),
            _ => None,
        };
        if let Some(letter) = text(mime) {
            return Ok(Cow::Borrowed(letter));
        }
        if let Some(packed) = text(member(mime, "base64")) {
            let packed: Vec<u8> = packed.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            return STANDARD
                .decode(packed)
                .map(Cow::Owned)
                .map_err(|_| "message.mime: `base64` is no base64".to_owned());
        }
        let name = text(member(mime, "ref")).ok_or("message.mime gives neither a text nor {ref} nor {base64}")?;
        let name = String::from_utf8_lossy(name);
        let found = self.root.bytes(&name).ok_or_else(|| format!("message.mime: the request has no bytes `{name}`"))?;
        Ok(Cow::Borrowed(found))
    }

    /// What the provider says of the sender: `{spf, dkim, dmarc}` in the words of RFC 8601; other words say nothing.
    pub(super) fn auth(
        &mut self,
        fields: &Fields,
        item: &Val,
    ) -> Result<Option<(MailAuthentication, Vec<Check>)>, String> {
        let Some(filter) = &fields.auth else { return Ok(None) };
        let output = self.first(filter, item).map_err(|reason| format!("message.auth: {reason}"))?;
        let Some(output) = output else { return Ok(None) };
        let mut checks = Vec::new();
        for method in METHODS {
            let word = self.room.text(member(&output, method)).map_err(|reason| format!("message.auth {reason}"))?;
            let result = word
                .and_then(|word| serde_json::from_value::<CheckResult>(word.trim().to_ascii_lowercase().into()).ok());
            checks.extend(result.map(|result| Check { method: method.to_owned(), result, detail: None }));
        }
        Ok(MailAuthentication::of(&checks).map(|auth| (auth, checks)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};
    use serde_json::{Value as Json, json};

    use crate::{
        mail::addresses::OurAddresses,
        mapping::{
            Mapped, Mapping, Root, Surroundings,
            rules::{MessageRules, ReceiveRules},
        },
        receipt::Request,
        settings::Settings,
    };

    const MANIFEST: &str = "each = '.body'\nmime = '.letter'\nfrom = '.from'\nto = '.to'\ntext = '.text'\n\
                            auth = '{spf: .spf, dkim: .dkim}'";

    fn mapped(item: &Json) -> Mapped {
        let (receive, settings) = (ReceiveRules::default(), Settings::default());
        let message: MessageRules = toml::from_str(MANIFEST).expect("rules");
        let mapping = Mapping::compile(&receive, &message, None).expect("a mapping");
        let request = Request {
            method: "POST".to_owned(),
            target: "/in/x".to_owned(),
            headers: vec![("content-type".to_owned(), b"application/json".to_vec())],
            body: item.to_string().into(),
        };
        let root = Root::decode(&request, "main", None, Timestamp::UNIX_EPOCH, &receive, &settings).expect("JSON");
        let zone = TimeZone::UTC;
        let ours = OurAddresses::parse("lapor@kota.example").expect("an address");
        let surroundings = Surroundings { ours: &ours, ..Surroundings::new(&settings, "ID", &zone) };
        mapping.run(&root, &surroundings).expect("items")
    }

    const LETTER: &str = "From: Siti <siti@example.org>\r\nTo: lapor@kota.example\r\n\r\nCaf\u{e9} rusak.\r\n";

    #[test]
    fn a_null_return_path_is_a_machines_however_the_provider_writes_it() {
        let is_automatic = |item: &Json| mapped(item).messages[0].1.auto.is_some();
        for path in ["", "<>", " <> "] {
            assert!(is_automatic(&json!({ "letter": LETTER, "from": path })), "{path:?}");
        }
        assert!(!is_automatic(&json!({ "letter": LETTER, "from": "siti@example.org" })));
        assert!(!is_automatic(&json!({ "letter": LETTER })));
    }

    #[test]
    fn a_letter_is_read_from_text_base64_and_the_request_itself() {
        let packed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, LETTER);
        let folded = format!("{}\r\n{}", &packed[..40], &packed[40..]);
        for letter in [json!(LETTER), json!({ "base64": packed }), json!({ "base64": folded })] {
            assert_eq!(mapped(&json!({ "letter": letter })).messages[0].1.text.as_deref(), Some("Caf\u{e9} rusak."));
        }
        assert_eq!(mapped(&json!({ "letter": { "ref": "body" } })).messages.len(), 1);
        for (letter, reason) in [
            (json!({ "base64": "?" }), "message.mime: `base64` is no base64"),
            (json!({ "ref": "form:none" }), "message.mime: the request has no bytes `form:none`"),
            (json!(7), "message.mime gives neither a text nor {ref} nor {base64}"),
        ] {
            let mapped = mapped(&json!({ "letter": letter }));
            assert_eq!((mapped.messages.len(), mapped.faults[0].reason.as_str()), (0, reason));
        }
    }

    #[test]
    fn what_a_provider_says_of_the_sender_are_checks_and_other_words_are_nothing() {
        let mapped = mapped(&json!({ "letter": LETTER, "spf": "PASS", "dkim": "GRAY" }));
        let checks: Vec<_> = mapped.checks.iter().map(|check| (check.method.as_str(), check.result)).collect();
        assert_eq!(checks, [("spf", crate::receipt::CheckResult::Pass)]);
    }

    #[test]
    fn a_letter_taken_apart_stands_in_its_thread_too() {
        let mapped = mapped(&json!({ "to": "Lapor+tok3n@kota.example", "text": "Sudah." }));
        let message = &mapped.messages[0].1;
        assert_eq!(
            (message.to.as_deref(), message.reply_token.as_deref()),
            (Some("lapor@kota.example"), Some("tok3n"))
        );
    }
}
