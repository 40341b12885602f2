//! Which complaint does a letter belong to, and what does its subject say? (`complaint-format.md` §5.2, 4.)
//!
//! A signed reply address goes before a Message-ID of ours, and that before a number in the subject. The first two can be
//! had only by who was written to by us; a number can be guessed, so it counts for its own sender alone.

use ring::hmac;
use uuid::Uuid;

use crate::{complaint::TrackingId, gateway::Gateway, mail::token, message::Message, normalise::text::cut};

/// Marks of answers and forwards before a subject, in lower case.
const MARKS: [&str; 14] =
    ["re:", "fwd:", "fw:", "bls:", "trs:", "balas:", "aw:", "wg:", "antw:", "sv:", "vs:", "rif:", "res:", "tr:"];
/// Words in brackets that say nothing of the matter, in lower case.
const TAGS: [&str; 10] = [
    "rahasia",
    "confidential",
    "anonim",
    "anonymous",
    "external",
    "eksternal",
    "ext",
    "spam",
    "suspected spam",
    "bulk",
];

/// The complaint of the signed thread that a letter stands in.
pub fn complaint(message: &Message, gateway: &Gateway) -> Option<Uuid> {
    let key = gateway.reporter_key.get()?;
    let by_address = message.reply_token.as_deref().and_then(|token| token::complaint_of(key, token));
    by_address.or_else(|| of_our_letter(message, key))
}

/// Does the letter, or the report in it, name a letter of ours by its Message-ID?
pub fn names_a_letter_of_ours(message: &Message, gateway: &Gateway) -> bool {
    gateway.reporter_key.get().is_some_and(|key| of_our_letter(message, key).is_some())
}

fn of_our_letter(message: &Message, key: &hmac::Key) -> Option<Uuid> {
    // The newest reference is the last.
    let mut references = message.reply_to.iter().chain(message.references.iter().rev());
    references.find_map(|id| token::complaint_of_message_id(key, id))
}

/// The tracking number in the subject.
pub fn number(message: &Message) -> Option<TrackingId> {
    let subject = message.subject.as_deref()?;
    subject.split('#').skip(1).find_map(|rest| {
        let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-')).unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

/// Does the subject say that the letter answers another one, or name a report?
pub fn is_answer(message: &Message) -> bool {
    let subject = message.subject.as_deref().unwrap_or_default();
    without_mark(subject.trim()).is_some() || number(message).is_some()
}

/// What the subject says, if anything.
pub fn matter(message: &Message) -> Option<String> {
    title(message.subject.as_deref()?, usize::MAX)
}

/// What the marks in brackets ask for: anonymous, confidential.
pub fn wishes(message: &Message) -> (bool, bool) {
    let subject = message.subject.as_deref().unwrap_or_default().to_lowercase();
    let says = |words: [&str; 2]| words.iter().any(|word| subject.contains(&format!("[{word}]")));
    (says(["anonim", "anonymous"]), says(["rahasia", "confidential"]))
}

/// The subject without the marks of answers, tags and numbers of ours; at most `longest` characters.
pub fn title(subject: &str, longest: usize) -> Option<String> {
    let mut title = subject.trim();
    while let Some(rest) = without_mark(title).or_else(|| without_tag(title)) {
        title = rest.trim_start();
    }
    let (title, _) = cut(title.to_owned(), longest);
    Some(title.trim_end().to_owned()).filter(|title| !title.is_empty())
}

/// Without `Re:`, `RE :`, `Re[2]:`.
fn without_mark(title: &str) -> Option<&str> {
    let colon = title.find([':', '\u{ff1a}']).filter(|colon| *colon <= 12)?;
    let (mark, rest) = title.split_at(colon);
    let rest = rest.trim_start_matches([':', '\u{ff1a}']);
    let mark = mark.split(['[', '(']).next().unwrap_or_default().trim().to_lowercase();
    MARKS.contains(&format!("{mark}:").as_str()).then_some(rest)
}

fn without_tag(title: &str) -> Option<&str> {
    let (tag, rest) = title.strip_prefix('[')?.split_once(']')?;
    let tag = tag.trim().to_lowercase();
    let is_number = tag.strip_prefix('#').is_some_and(|id| id.parse::<TrackingId>().is_ok());
    (is_number || TAGS.contains(&tag.as_str())).then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letter(subject: &str) -> Message {
        Message { subject: Some(subject.to_owned()), ..Message::default() }
    }

    #[test]
    fn a_title_is_what_is_left_of_the_subject() {
        for (subject, expected) in [
            ("Jalan rusak", "Jalan rusak"),
            ("Re: FW: Fwd: Jalan rusak", "Jalan rusak"),
            ("RE[2]: Bls: Trs : Jalan rusak", "Jalan rusak"),
            ("[RAHASIA] Pungutan liar", "Pungutan liar"),
            ("Re: [#E3S-3E2-8JE] Laporan Anda kami terima", "Laporan Anda kami terima"),
            ("[EXTERNAL] [Anonim]  Pungli", "Pungli"),
            ("[Mendesak] banjir", "[Mendesak] banjir"),
            ("Dari: Jakarta", "Dari: Jakarta"),
            ("12:30 kereta tidak datang", "12:30 kereta tidak datang"),
        ] {
            assert_eq!(title(subject, 120).as_deref(), Some(expected), "{subject}");
        }
        assert_eq!(title(" Re: ", 120), None);
        assert_eq!(title("abcdef", 3).as_deref(), Some("abc"));
    }

    #[test]
    fn a_number_stands_behind_its_mark() {
        let number = |subject: &str| number(&letter(subject)).map(|id| id.to_string());
        assert_eq!(number("Re: [#E3S-3E2-8JE] Laporan").as_deref(), Some("E3S-3E2-8JE"));
        assert_eq!(number("tiket #12, laporan #e3s3e28je").as_deref(), Some("E3S-3E2-8JE"));
        assert_eq!(number("E3S-3E2-8JE"), None, "without the mark it is a word");
        assert_eq!(number("#E3S-3E2-8JF"), None);
    }

    #[test]
    fn wishes_stand_in_brackets() {
        assert_eq!(wishes(&letter("[Rahasia] x")), (false, true));
        assert_eq!(wishes(&letter("x [ANONYMOUS] [confidential]")), (true, true));
        assert_eq!(wishes(&letter("dokumen rahasia")), (false, false));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_subject_is_looked_at_without_a_panic(subject in "\\PC{0,80}") {
            let message = letter(&subject);
            let _ = (number(&message), wishes(&message), title(&subject, 120));
        }
    }
}
