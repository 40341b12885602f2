//! An answer as a letter: its headers and its two bodies, ready for whoever sends it. Nothing of what a citizen wrote is in
//! it but the address and the id of the letter that is answered (`threats.md` L2, L4).

use ring::hmac;
use uuid::Uuid;

use super::token::{message_id, token};
use crate::units::Size;

/// Most bytes of all files of a letter. In base64 they are a third larger, and mail servers take letters of 20 MB or more.
pub const ENCLOSED: Size = Size::mib(12);

/// What is to be said.
#[derive(Clone, Copy)]
pub struct Draft<'a> {
    /// Of the outbox; the same again when it is tried again.
    pub id: &'a str,
    pub complaint_id: Option<Uuid>,
    pub to: &'a str,
    pub subject: &'a str,
    pub text: &'a str,
    /// BCP 47.
    pub language: &'a str,
    /// The letter of the citizen that is answered.
    pub in_reply_to: Option<&'a str>,
    pub writer: Writer,
}

impl std::fmt::Debug for Draft<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Draft({})", self.id)
    }
}

/// Who wrote the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The gateway, on its own: nobody may answer that automatically (RFC 3834).
    Machine,
    /// A person at the agency.
    Person,
}

/// Where answers of a channel come from.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    pub from: &'a str,
    pub from_name: Option<&'a str>,
    /// The mailbox whose detail may hold a token.
    pub mailbox: &'a str,
    pub plus_addressing: bool,
}

/// A letter that is ready.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    pub from: String,
    pub from_name: Option<String>,
    pub to: String,
    pub reply_to: String,
    pub subject: String,
    pub message_id: String,
    pub in_reply_to: Option<String>,
    /// `auto-replied`, unless a person wrote it.
    pub is_automatic: bool,
    /// The envelope's sender; None is the null path, to which nothing is ever returned.
    pub return_path: Option<String>,
    pub language: String,
    pub text: String,
    pub html: String,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Answer({})", self.message_id)
    }
}

/// Writes the letter.
pub fn answer(draft: &Draft<'_>, desk: &Desk<'_>, key: &hmac::Key) -> Answer {
    let domain = desk.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let reply_to = match (draft.complaint_id, desk.mailbox.split_once('@')) {
        (Some(id), Some((local, domain))) if desk.plus_addressing => format!("{local}+{}@{domain}", token(key, id)),
        _ => desk.mailbox.to_owned(),
    };
    let is_automatic = draft.writer == Writer::Machine;
    Answer {
        from: desk.from.to_owned(),
        from_name: desk.from_name.and_then(header_text),
        to: draft.to.to_owned(),
        subject: header_text(draft.subject).unwrap_or_default(),
        message_id: message_id(key, draft.complaint_id, draft.id, domain),
        in_reply_to: draft.in_reply_to.filter(|id| is_message_id(id)).map(str::to_owned),
        is_automatic,
        // A bounce of a person's words has to come back, and finds its complaint by the token.
        return_path: (!is_automatic).then(|| reply_to.clone()),
        reply_to,
        language: draft.language.to_owned(),
        text: draft.text.to_owned(),
        html: html(draft.text, draft.language),
    }
}

/// A text as a header may hold it: no controls, so that no header can be smuggled in.
fn header_text(text: &str) -> Option<String> {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(200).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// `<something@something>` in plain letters: a citizen's client wrote it, and it goes into a header of ours.
fn is_message_id(id: &str) -> bool {
    id.len() <= 250
        && id.starts_with('<')
        && id.ends_with('>')
        && id[1..id.len() - 1].bytes().all(|byte| (0x21..=0x7e).contains(&byte) && !matches!(byte, b'<' | b'>'))
}

/// Paragraphs and lines, escaped; no link, no picture, nothing from outside.
fn html(text: &str, language: &str) -> String {
    let language: String = language.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
    let mut html = format!("<!doctype html>\n<html lang=\"{language}\"><head><meta charset=\"utf-8\"></head><body>\n");
    for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        html.push_str("<p>");
        for (place, line) in paragraph.lines().enumerate() {
            html.push_str(if place == 0 { "" } else { "<br>\n" });
            escape(line, &mut html);
        }
        html.push_str("</p>\n");
    }
    html.push_str("</body></html>\n");
    html
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(draft: Draft<'_>) -> Answer {
        let desk = Desk {
            from: "lapor@kota.example",
            from_name: Some("Kota"),
            mailbox: "lapor@kota.example",
            plus_addressing: true,
        };
        answer(&draft, &desk, &hmac::Key::new(hmac::HMAC_SHA256, b"k"))
    }

    fn draft() -> Draft<'static> {
        Draft {
            id: "0123456789abcdef0123",
            complaint_id: Some(Uuid::from_u128(7)),
            to: "siti@example.org",
            subject: "[#E3S-3E2-8JE] Laporan Anda kami terima",
            text: "Terima kasih.\n\nBaris <satu>\nbaris dua",
            language: "id",
            in_reply_to: Some("<a1@example.org>"),
            writer: Writer::Machine,
        }
    }

    #[test]
    fn an_acknowledgement_says_that_a_machine_wrote_it_and_where_it_is_answered() {
        let answer = written(draft());
        assert_eq!((answer.is_automatic, answer.return_path), (true, None));
        assert!(answer.reply_to.starts_with("lapor+") && answer.reply_to.ends_with("@kota.example"));
        assert_eq!(answer.in_reply_to.as_deref(), Some("<a1@example.org>"));
        assert!(answer.html.contains("<p>Baris &lt;satu&gt;<br>\nbaris dua</p>"), "{}", answer.html);
        assert!(answer.html.contains("<html lang=\"id\">"));
    }

    #[test]
    fn the_bounce_of_a_persons_words_comes_back_to_the_complaint() {
        let answer = written(Draft { writer: Writer::Person, ..draft() });
        assert_eq!((answer.is_automatic, answer.return_path), (false, Some(answer.reply_to)));
    }

    #[test]
    fn no_header_can_be_smuggled_in() {
        let answer =
            written(Draft { subject: "a\r\nBcc: all@example.org", in_reply_to: Some("<a@b>\r\nX: y"), ..draft() });
        assert_eq!(answer.subject, "a  Bcc: all@example.org");
        assert_eq!(answer.in_reply_to, None);
    }
}
