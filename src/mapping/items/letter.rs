//! `mime` of `[message]`: an item that is a whole letter. The mail reader takes over and fills every field; what the manifest
//! gives beside it is the envelope (`from`, `to`), and what the provider says of the sender (`auth`).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jaq_json::Val;

use super::{Fields, Run};
use crate::{
    mail::{self, Circumstances, Envelope, envelope::Protocol},
    mapping::fields::member,
    message::MailAuthentication,
    receipt::{Check, CheckResult},
};

/// The verdicts that `auth` may give.
const METHODS: [&str; 3] = ["spf", "dkim", "dmarc"];

impl Run<'_> {
    /// Reads the letter that `mime` names, and adds what it says.
    pub(super) fn letter(&mut self, fields: &Fields, place: usize, item: &Val, mime: &Val) -> Result<(), String> {
        let bytes = self.bytes(mime)?.into_owned();
        let recipients = self.text(fields.to.as_ref(), "to", item)?.unwrap_or_default();
        let envelope = Envelope {
            protocol: Some(Protocol::Webhook),
            mail_from: self.text(fields.from.as_ref(), "from", item)?,
            rcpt_to: recipients.split(',').map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned).collect(),
            ..Envelope::default()
        };
        let circumstances = Circumstances {
            envelope: &envelope,
            ours: self.surroundings.ours,
            trusted_servers: self.surroundings.trusted_servers,
            received_at: self.root.received_at(),
        };
        let mut letter =
            mail::read(&bytes, &circumstances).map_err(|unreadable| format!("message.mime: {unreadable}"))?;
        if let Some((auth, checks)) = self.auth(fields, item)? {
            letter.message.auth.get_or_insert(auth);
            letter.checks.extend(checks);
        }
        self.mapped.add_letter(place, letter);
        Ok(())
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
