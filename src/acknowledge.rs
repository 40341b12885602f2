//! Acknowledge: at most one answer a complaint, in the citizen's language, never to a machine or in a loop.
//!
//! In: what is to be said, and about what. Out: an answer for the outbox, or nothing. It never quotes the citizen's
//! words: a forged sender would make the gateway say them to somebody else. The id of an answer is derived from its
//! cause, so that a replay gives the same answer and the store keeps one of them.

use jiff::{SignedDuration, Timestamp};
use ring::digest;

use crate::{
    complaint::hex,
    converse::{
        AnsweredLetter, Said,
        said::{Label, Offer},
    },
    gsm,
    locale::Locales,
    message::Choice,
    receipt::ChannelId,
    sender::Sender,
    store::{LetterHead, OutboxEntry, OutboxKind},
};

/// A number that gets more answers than [`LOOP_ANSWERS`] within this time talks to us as a machine does.
pub const LOOP_WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// Answers to one sender within [`LOOP_WINDOW`], where one message is one complaint.
pub const LOOP_ANSWERS: usize = 3;
/// In a chat, where each message has its answer: more than a person in a hurry needs, and still an end for two machines.
pub const CHAT_ANSWERS: usize = 32;

/// Of [`Terms::answers_a_day`].
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Answers to a citizen's question, by their name without the medium. All others are our own initiative.
const ASKED_FOR: [&str; 11] = [
    "status",
    "status_not_found",
    "status_which",
    "help",
    "withdrawn",
    "withdraw_confirm",
    "erasure_received",
    "privacy_notice",
    "privacy_changed",
    "language_set",
    "stopped",
];

/// Texts that repeat the citizen's words: in a chat, to the account that wrote them a moment ago.
const QUOTING: [&str; 2] = ["chat.review", "chat.location_choose"];

/// Characters of a label.
const LABEL_MAX: usize = 24;

/// What an answer is about.
#[derive(Debug)]
pub struct Occasion<'a> {
    pub said: &'a Said,
    /// The event id, or the claim: the outbox id is derived from it, so that a replay adds nothing.
    pub cause: &'a str,
    pub reporter_ref: &'a str,
    pub complaint_id: Option<uuid::Uuid>,
    pub replyable: bool,
    /// The letter that is answered, on a channel for mail.
    pub letter: Option<&'a AnsweredLetter>,
}

/// What the channel allows.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub channel: &'a ChannelId,
    /// False: nothing is sent on our own initiative, as the channel or the citizen wants it; questions are still answered.
    pub acknowledge: bool,
    /// The manifest says how a text is sent.
    pub can_send: bool,
    /// Answers to one sender within [`LOOP_WINDOW`].
    pub answers_in_a_row: usize,
    /// Answers to one sender in a day, where there is a cap.
    pub answers_a_day: Option<usize>,
    /// The channel's name: the subject of a letter that is about no report.
    pub title: &'a str,
}

/// None where nothing may be sent: not replyable, the channel says `acknowledge = false` or cannot send, or a loop.
///
/// Also none on our own initiative after BERHENTI. The answer is noted in the sender's memory.
pub fn acknowledge(
    occasion: &Occasion<'_>,
    sender: &mut Sender,
    terms: Terms<'_>,
    locales: &Locales,
    now: Timestamp,
) -> Option<OutboxEntry> {
    let said = occasion.said;
    let wanted = terms.acknowledge || is_asked_for(said.message);
    let in_loop = sender.answers_within(LOOP_WINDOW, now) >= terms.answers_in_a_row;
    let enough = terms.answers_a_day.is_some_and(|most| sender.answers_within(DAY, now) >= most);
    if !occasion.replyable || !terms.can_send || !wanted || in_loop || enough {
        return None;
    }
    let text = text(said, locales)?;
    sender.answered(now);
    Some(OutboxEntry {
        reporter_ref: occasion.reporter_ref.to_owned(),
        complaint_id: occasion.complaint_id,
        text,
        language: said.language.clone(),
        head: occasion.letter.map(|letter| LetterHead {
            subject: subject(said, terms.title, locales),
            in_reply_to: letter.message_id.clone(),
        }),
        choices: said.choices.iter().map(|choice| offered(choice, said, locales)).collect(),
        asks_location: said.asks_location,
        // A notice is said even late.
        fleeting: !said.choices.is_empty() && said.before.is_empty(),
        ..OutboxEntry::new(
            outbox_id(terms.channel, occasion.cause),
            OutboxKind::Acknowledgement,
            terms.channel.clone(),
            now,
        )
    })
}

/// The number of the report, so that clients keep all letters about it together; the subject that a citizen wrote is
/// never repeated.
fn subject(said: &Said, title: &str, locales: &Locales) -> String {
    let Some(id) = said.arguments.iter().find(|(name, _)| *name == "id") else { return title.to_owned() };
    let subject = locales.text("email.ack_subject", &said.language, std::slice::from_ref(id));
    if said.message == "email.ack_body" { subject } else { format!("Re: {subject}") }
}

/// A choice with its label, cut to what every channel shows.
fn offered(offer: &Offer, said: &Said, locales: &Locales) -> Choice {
    let label = match &offer.label {
        Label::Text(name) => locales.text(name, &said.language, &[]),
        Label::Words(words) => words.clone(),
    };
    Choice { key: offer.key.clone(), label: label.chars().take(LABEL_MAX).collect() }
}

/// The words, if there are any. Those of the citizen stand among them only where the citizen is asked to check them.
fn text(said: &Said, locales: &Locales) -> Option<String> {
    if said.arguments.iter().any(|(name, _)| *name == "text") && !QUOTING.contains(&said.message) {
        return None;
    }
    let mut arguments = said.arguments.clone();
    for (argument, name) in &said.named {
        let value = locales.text(name, &said.language, &said.arguments);
        arguments.push((argument, value));
    }
    let texts = said.before.iter().chain([&said.message]).map(|name| locales.text(name, &said.language, &arguments));
    let text = texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
    // One SMS: what is longer is cut, and what would make it UCS-2 (the name of an agency) is written in plain letters.
    let text = if said.message.starts_with("sms") {
        gsm::cut(&gsm::fold(&text), gsm::SINGLE_SEPTETS).trim_end().to_owned()
    } else {
        text
    };
    (!text.is_empty()).then_some(text)
}

fn is_asked_for(message: &str) -> bool {
    message.split_once(['.', '-']).is_some_and(|(_, name)| ASKED_FOR.contains(&name))
}

/// Lower-case hex SHA-256 of channel id, `ack` and cause, joined by line feeds.
pub fn outbox_id(channel: &ChannelId, cause: &str) -> String {
    hex(digest::digest(&digest::SHA256, format!("{channel}\nack\n{cause}").as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn said(message: &'static str) -> Said {
        let arguments =
            vec![("id", "E3S-3E2-8JE".to_owned()), ("n", "3".to_owned()), ("url", "loket.example/data".to_owned())];
        Said::new(message, arguments, "id")
    }

    /// The answer on a channel that may do everything, to a sender who got none yet.
    struct Case {
        said: Said,
        cause: &'static str,
        replyable: bool,
        acknowledge: bool,
        can_send: bool,
        sender: Sender,
    }

    impl Default for Case {
        fn default() -> Self {
            let said = said("sms.ack");
            Self {
                said,
                cause: "event-1",
                replyable: true,
                acknowledge: true,
                can_send: true,
                sender: Sender::default(),
            }
        }
    }

    impl Case {
        fn answer(&mut self, now: Timestamp) -> Option<OutboxEntry> {
            let channel = ChannelId::new("sms-1708").expect("a slug");
            let occasion = Occasion {
                said: &self.said,
                cause: self.cause,
                reporter_ref: "rp_aaaaaaaaaaaaaaaaaaaa",
                complaint_id: None,
                replyable: self.replyable,
                letter: None,
            };
            let (acknowledge_here, can_send) = (self.acknowledge, self.can_send);
            let terms = Terms {
                channel: &channel,
                acknowledge: acknowledge_here,
                can_send,
                answers_in_a_row: LOOP_ANSWERS,
                answers_a_day: None,
                title: "Loket",
            };
            acknowledge(&occasion, &mut self.sender, terms, &Locales::default(), now)
        }
    }

    #[test]
    fn a_complaint_is_acknowledged_at_once_in_one_sms() {
        let mut case = Case::default();
        let entry = case.answer(NOW).expect("an answer");
        assert_eq!(
            entry.text,
            "Laporan diterima, no E3S-3E2-8JE. Diperiksa maks 3 hari kerja. Cek: STATUS E3S-3E2-8JE. Tambah: TAMBAH E3S-3E2-8JE teks. Data: loket.example/data"
        );
        assert!(gsm::septets(&entry.text) <= Some(160));
        assert_eq!((entry.kind, entry.due, entry.created, entry.attempts), (OutboxKind::Acknowledgement, NOW, NOW, 0));
        assert_eq!(case.sender.answers_within(LOOP_WINDOW, NOW), 1);
    }

    #[test]
    fn the_same_cause_has_the_same_id_on_one_channel() {
        let id = |cause| Case { cause, ..Case::default() }.answer(NOW).expect("an answer").id;
        assert_eq!(id("event-1"), id("event-1"));
        assert_ne!(id("event-1"), id("event-2"));
        let expected = digest::digest(&digest::SHA256, b"sms-1708\nack\nevent-1");
        assert_eq!(id("event-1"), hex(expected.as_ref()));
    }

    #[test]
    fn nothing_is_sent_where_nothing_may_be_sent() {
        for mut case in [
            Case { replyable: false, ..Case::default() },
            Case { can_send: false, ..Case::default() },
            Case { acknowledge: false, ..Case::default() },
            Case { said: said("sms.no_such_text"), ..Case::default() },
        ] {
            assert_eq!(case.answer(NOW), None);
            assert_eq!(case.sender.answers_within(LOOP_WINDOW, NOW), 0, "what was not sent does not count");
        }
    }

    #[test]
    fn a_question_is_answered_where_we_send_nothing_on_our_own() {
        for message in ["sms.status_not_found", "sms.help", "chat.stopped", "sms.withdrawn"] {
            let mut case = Case { acknowledge: false, said: said(message), ..Case::default() };
            assert!(case.answer(NOW).is_some(), "{message}");
        }
        for message in ["sms.ack_private", "sms.too_short", "sms.followup_saved", "sms.rate_limited"] {
            let mut case = Case { acknowledge: false, said: said(message), ..Case::default() };
            assert!(case.answer(NOW).is_none(), "{message}");
        }
    }

    #[test]
    fn the_fourth_answer_in_five_minutes_is_not_sent() {
        let mut case = Case::default();
        for second in 0..3 {
            assert!(case.answer(NOW + SignedDuration::from_secs(second)).is_some());
        }
        assert!(case.answer(NOW + SignedDuration::from_secs(299)).is_none());
        assert!(case.answer(NOW + SignedDuration::from_secs(300)).is_some(), "the first has gone out of sight");
        assert_eq!(case.sender.answers_within(LOOP_WINDOW, NOW + SignedDuration::from_secs(300)), 3);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_silence_a_citizen() {
        let mut case = Case::default();
        (0..3).for_each(|_| case.sender.answered(NOW + SignedDuration::from_hours(1)));
        assert!(case.answer(NOW).is_some());
    }

    #[test]
    fn the_words_of_the_citizen_are_never_sent_back() {
        let mut forwarded = said("chat.agency_question");
        forwarded.arguments.push(("text", "kata rahasia".to_owned()));
        assert_eq!(Case { said: forwarded, ..Case::default() }.answer(NOW), None);
    }

    #[test]
    fn a_question_is_one_message_with_what_comes_before_it_and_its_choices() {
        let mut question = said("chat.not_understood");
        question.before = vec!["chat.emergency"];
        question.named = vec![("question", "chat.consent_ask")];
        let yes = Offer { key: "abcd1234:consent:yes".to_owned(), label: Label::Text("chat.consent_ask.consent_yes") };
        let place = Offer {
            key: "abcd1234:location:0".to_owned(),
            label: Label::Words("Kelurahan Cilandak Barat, Jakarta".to_owned()),
        };
        question.choices = vec![yes, place];
        let entry = Case { said: question, ..Case::default() }.answer(NOW).expect("an answer");
        assert!(entry.text.starts_with("Bila ada bahaya") && entry.text.contains("\n\nMaaf"), "{}", entry.text);
        assert!(entry.text.contains("Lanjutkan membuat laporan?"), "{}", entry.text);
        let labels: Vec<_> = entry.choices.iter().map(|choice| choice.label.as_str()).collect();
        assert_eq!(labels, ["Ya, lanjutkan", "Kelurahan Cilandak Barat"]);
    }

    #[test]
    fn a_long_agency_is_cut_and_a_foreign_letter_is_written_plainly() {
        let mut status = said("sms.status");
        status.arguments.push(("agency", format!("Dinas – {}", "Kota Ž ".repeat(40))));
        let text = Case { said: status, ..Case::default() }.answer(NOW).expect("an answer").text;
        assert!(text.contains("Dinas - Kota Z Kota Z"), "{text}");
        assert!((150..=160).contains(&gsm::septets(&text).expect("GSM-7")), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_the_values_an_sms_is_one_sms(value in "\\PC{0,200}", language in "\\PC{0,5}") {
            for message in ["sms.ack", "sms.status", "sms.too_short"] {
                let arguments = vec![("id", value.clone()), ("agency", value.clone()), ("url", value.clone())];
                let said = Said::new(message, arguments, &language);
                let text = Case { said, ..Case::default() }.answer(NOW).expect("an answer").text;
                prop_assert!(gsm::septets(&text).is_some_and(|septets| septets <= 160));
            }
        }
    }
}
