//! One message out of the bytes of a letter.

use super::{
    Circumstances, Letter, Unreadable,
    attachments::{Listed, sha256},
    bounce,
    charset::Loss,
    dates,
    headers::Headers,
    identifiers, limits,
    machine::{Traits, is_looked_at, recognise},
    people::{Mailbox, People},
    quote, results,
    text::Content,
    tree::{Part, Tree},
    words,
};
use crate::message::{Automatic, Identity, MailAuthentication, Message};

/// Reads a letter. Any bytes are one; only too many of them are none.
pub fn read(letter: &[u8], circumstances: &Circumstances<'_>) -> Result<Letter, Unreadable> {
    if letter.len() > limits::LETTER {
        let limit = limits::LETTER >> 20;
        return Err(Unreadable(format!("the letter is larger than {limit} MiB, which is more than is read")));
    }
    if letter.trim_ascii().is_empty() {
        return Err(Unreadable("the letter is empty".to_owned()));
    }
    let tree = Tree::of(letter);
    let Some(root) = tree.part(0) else { return Err(Unreadable("the letter is empty".to_owned())) };
    Ok(Reading { letter, circumstances, tree: &tree, root, headers: tree.headers(root), loss: tree.loss }.letter())
}

/// A letter whose parts are known.
struct Reading<'r> {
    letter: &'r [u8],
    circumstances: &'r Circumstances<'r>,
    tree: &'r Tree<'r>,
    root: &'r Part,
    headers: Headers<'r>,
    loss: Loss,
}

impl Reading<'_> {
    fn letter(mut self) -> Letter {
        let content = Content::of(self.tree);
        let listed = Listed::of(self.tree, &content);
        let people = People::of(&self.headers, self.circumstances, &mut self.loss);
        let subject = self.headers.text("subject", &mut self.loss);
        let full = if content.text.trim().is_empty() { listed.text.unwrap_or_default() } else { content.text };
        let (text, text_full) = parted(&full, subject.as_deref(), self.answers_another(subject.as_deref()));
        let auto = self.machine(&people, subject.as_deref(), text.as_deref().unwrap_or_default());
        let bounce = auto.as_ref().filter(|auto| auto.bounce).map(|_| full.as_str());
        let reports = bounce::read(self.tree, &self.headers, bounce);
        let (checks, auth) = self.results(people.from.as_ref());
        let sent_at = dates::sent_at(&self.headers, self.circumstances.received_at, &mut self.loss);
        let is_lossy = [self.loss, content.loss, listed.loss].into_iter().any(Loss::happened);
        let from = people.from.as_ref().map(|from| from.address.clone());
        let message = Message {
            id: Some(identifiers::own(&self.headers).unwrap_or_else(|| format!("sha256:{}", sha256(self.letter)))),
            identities: from.iter().map(|from| Identity { kind: "email".to_owned(), value: from.clone() }).collect(),
            from,
            to: people.to,
            sender_name: people.from.and_then(|from| from.name),
            sent_at,
            subject,
            text,
            text_full,
            language: self.language(),
            attachments: listed.attachments,
            reply_to: identifiers::of(&self.headers, "in-reply-to").into_iter().next(),
            references: identifiers::references(&self.headers),
            unsupported: content.unsupported.map(str::to_owned),
            auto,
            auth,
            reply_address: people.reply,
            reply_token: people.detail,
            lossy: is_lossy,
            ..Message::default()
        };
        Letter { message, reports, checks }
    }

    fn results(&self, from: Option<&Mailbox>) -> (Vec<crate::receipt::Check>, Option<MailAuthentication>) {
        let domain = from.and_then(|from| from.address.rsplit('@').next());
        results::read(&self.headers, self.circumstances.trusted_servers, domain)
    }

    /// Only an answer to a letter can quote one that it does not name.
    fn answers_another(&self, subject: Option<&str>) -> bool {
        let refers = |name: &str| !identifiers::of(&self.headers, name).is_empty();
        subject.is_some_and(|subject| subject.contains(':')) || refers("in-reply-to") || refers("references")
    }

    /// Signs that no person wrote the letter.
    fn machine(&self, people: &People, subject: Option<&str>, text: &str) -> Option<Automatic> {
        let mut loss = Loss::default();
        let headers: Vec<(String, String)> = self
            .headers
            .iter()
            .filter(|(name, _)| is_looked_at(name))
            .map(|(name, value)| (name.to_ascii_lowercase(), words::text(value, &mut loss)))
            .collect();
        let null_header = self.headers.first("return-path").is_some_and(|path| path.trim_ascii() == b"<>");
        recognise(&Traits {
            headers: &headers,
            null_path: self.circumstances.envelope.mail_from.as_deref().map_or(null_header, str::is_empty),
            from: people.from.as_ref().map(|from| from.address.as_str()),
            subject,
            content_type: &self.root.kind.value,
            report_type: self.root.kind.parameter("report-type"),
            text,
            is_ours: people.is_ours,
        })
    }

    /// The first language of `Content-Language` (RFC 3282).
    fn language(&mut self) -> Option<String> {
        let field = self.headers.text("content-language", &mut self.loss)?;
        let tag = field.split([',', ';', ' ']).next()?.trim();
        let is_tag =
            (2..=35).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_tag.then(|| tag.to_owned())
    }
}

/// The new words, and everything where that is more. What was forwarded is new: the citizen complains about it.
fn parted(full: &str, subject: Option<&str>, answers_another: bool) -> (Option<String>, Option<String>) {
    let full = full.trim();
    if full.is_empty() {
        return (None, None);
    }
    if subject.is_some_and(quote::is_forwarded) {
        return (Some(full.to_owned()), None);
    }
    let split = quote::split(full);
    let has = |wanted: quote::Kind| split.parts.iter().any(|(kind, _)| *kind == wanted);
    if !answers_another && has(quote::Kind::Quote) && !has(quote::Kind::ReplyHeader) {
        // The marks are those of a list.
        return (Some(full.to_owned()), None);
    }
    let new = split.new_text(full);
    let is_more = new != full;
    (Some(new), is_more.then(|| full.to_owned()))
}

#[cfg(test)]
mod tests;
