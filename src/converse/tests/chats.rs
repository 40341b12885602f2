//! Conversations, as a citizen has them: words and taps in, one answer to each message, and at the end one complaint.

use super::*;
use crate::{
    assemble::flush_due,
    complaint::{ConsentMethod, Intent, ReportType},
    converse::chat::{self, Idle},
    message::Group,
};

/// A citizen in a chat, who sees the last question's buttons.
struct Chat {
    citizen: Citizen,
    second: i64,
    buttons: Vec<String>,
    /// Of the last answer: the texts before it, and the number that it names.
    before: Vec<&'static str>,
    arguments: Vec<(&'static str, String)>,
    complaints: Vec<WholeComplaint>,
    follow_ups: Vec<WholeFollowUp>,
    expired: u64,
    drafted: u64,
    commands: u64,
}

impl Chat {
    fn new() -> Self {
        let mut citizen = Citizen::on(Medium::Telegram);
        citizen.channel.address = "telegram_user_id".to_owned();
        Self {
            citizen,
            second: 0,
            buttons: Vec::new(),
            before: Vec::new(),
            arguments: Vec::new(),
            complaints: Vec::new(),
            follow_ups: Vec::new(),
            expired: 0,
            drafted: 0,
            commands: 0,
        }
    }

    fn message(&mut self) -> Message {
        self.second += 5;
        let second = self.second;
        Message {
            id: Some(format!("5:{second}")),
            from: Some("5".to_owned()),
            sent_at: Some(at(second)),
            ..Message::default()
        }
    }

    /// The name of what is answered; None when nothing is.
    fn sends(&mut self, message: Message) -> Option<&'static str> {
        let origin = self.citizen.origin(self.second);
        let message = normalise(&origin, 0, message, &self.citizen.channel);
        let now = at(self.second);
        if let Assembly::Whole(assembled) = assemble(message, &mut self.citizen.sender, &self.citizen.channel, now) {
            return self.hears(&assembled);
        }
        self.drafted += 1;
        None
    }

    fn hears(&mut self, assembled: &Assembled) -> Option<&'static str> {
        let conversed = self.citizen.hears(self.second, assembled);
        let said = conversed.matter().say.clone();
        self.expired += conversed.matter().expired;
        match conversed {
            Conversed::Complaint(whole) => self.complaints.push(*whole),
            Conversed::FollowUp(whole) => self.follow_ups.push(*whole),
            Conversed::Drafted(_) => self.drafted += 1,
            Conversed::Command(_) => self.commands += 1,
        }
        if let Some(said) = &said {
            self.buttons = said.choices.iter().map(|offer| offer.key.clone()).collect();
            self.before.clone_from(&said.before);
            self.arguments.clone_from(&said.arguments);
            assert!(self.buttons.iter().all(|key| key.len() <= 64), "{:?}", self.buttons);
        }
        said.map(|said| said.message)
    }

    fn says(&mut self, text: &str) -> &'static str {
        let message = Message { text: Some(text.to_owned()), ..self.message() };
        self.sends(message).unwrap_or("nothing")
    }

    fn taps(&mut self, key: &str) -> &'static str {
        let button = self.buttons.iter().find(|button| button.ends_with(&format!(":{key}"))).cloned();
        let button = button.unwrap_or_else(|| panic!("no button {key} among {:?}", self.buttons));
        self.taps_on(&button)
    }

    fn taps_on(&mut self, button: &str) -> &'static str {
        let message = Message { action: Some(button.to_owned()), ..self.message() };
        self.sends(message).unwrap_or("nothing")
    }

    fn last_id(&self) -> Option<String> {
        self.arguments.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.clone())
    }

    fn photo(&mut self) -> Message {
        let photo = Attachment {
            reference: Some(format!("file{}", self.second)),
            media_type: Some("image/jpeg".to_owned()),
            ..Attachment::default()
        };
        Message { attachments: vec![photo], ..self.message() }
    }

    /// Nothing is written for so many seconds; timers fire.
    fn waits(&mut self, seconds: i64) -> Option<&'static str> {
        self.second += seconds;
        let now = at(self.second);
        let key = crate::store::SenderKey([self.citizen.number; 16]);
        let due = flush_due(&mut self.citizen.sender, key, &self.citizen.channel, now);
        let mut said = None;
        for assembled in due {
            self.drafted -= assembled.claims.len() as u64;
            said = self.hears(&assembled);
            self.drafted += assembled.claims.len() as u64 - 1;
        }
        match chat::idle(&mut self.citizen.sender, &Flow::default(), now) {
            Idle::Warned(warning) => Some(warning.message),
            Idle::Ended(messages) => {
                self.expired += messages;
                None
            }
            Idle::Waits => said,
        }
    }

    fn complaint(&self) -> &WholeComplaint {
        assert_eq!(self.complaints.len(), 1);
        &self.complaints[0]
    }
}

const WORDS: &str = "Lampu jalan di depan pasar padam sejak Senin, warga takut lewat malam hari.";

#[test]
fn a_patient_citizen_is_asked_everything_and_gets_a_number() {
    let mut chat = Chat::new();
    assert_eq!(chat.says("halo"), "chat.consent_ask");
    assert_eq!(chat.taps("consent_yes"), "chat.ask_type");
    assert_eq!(chat.taps("type_complaint"), "chat.description_more");
    assert_eq!(chat.says("Lampu jalan padam"), "chat.description_more");
    assert_eq!(chat.says("sejak hari Senin"), "chat.description_more");
    assert_eq!(chat.taps("done"), "chat.ask_when");
    assert_eq!(chat.taps("when_yesterday"), "chat.ask_location");
    assert_eq!(chat.says("Jl. Melati, Cilandak"), "chat.ask_agency");
    assert_eq!(chat.says("KOTACONTOH"), "chat.ask_attachments");
    let photo = chat.photo();
    assert_eq!(chat.sends(photo), None, "it waits for what comes with it");
    assert_eq!(chat.waits(3), Some("chat.ask_attachments"));
    assert_eq!(chat.taps("done"), "chat.ask_privacy");
    assert_eq!(chat.taps("privacy_anonymous"), "chat.review");
    assert_eq!(chat.taps("submit"), "chat.submitted");
    let whole = chat.complaint();
    let document = &whole.complaint;
    assert_eq!(document.description, "halo\nLampu jalan padam\nsejak hari Senin");
    assert_eq!(document.report_type, ReportType::Complaint);
    assert_eq!(document.incident_datetime.as_deref(), Some("2026-11-23"));
    assert_eq!(
        document.location.as_ref().and_then(|place| place.address_string.as_deref()),
        Some("Jl. Melati, Cilandak")
    );
    assert_eq!(document.agency_hint.as_ref().map(|hint| hint.name.as_str()), Some("Pemerintah Kota Contoh"));
    assert_eq!(document.attachments.len(), 1);
    assert_eq!(document.privacy.reporter_disclosure, ReporterDisclosure::Withheld);
    assert_eq!(document.consent.method, ConsentMethod::Button);
    assert!(document.consent.given_at.is_some() && !document.completeness.single_shot);
    assert!(document.completeness.missing.is_empty(), "{:?}", document.completeness.missing);
    assert_eq!(document.channel.message_ids.len(), 13, "{:?}", document.channel.message_ids);
    assert_eq!(document.raw_refs.len(), 13);
    assert!(chat.citizen.sender.draft.is_none());
}

#[test]
fn a_long_first_message_needs_consent_a_place_and_a_look() {
    let mut chat = Chat::new();
    assert_eq!(chat.says(WORDS), "chat.consent_ask");
    assert_eq!(chat.says("ya"), "chat.ask_location");
    let pin = Location { lat: -6.31, lon: 106.79, label: None, address: None, accuracy_m: None, live: false };
    let message = Message { location: Some(pin), ..chat.message() };
    assert_eq!(chat.sends(message), None);
    assert_eq!(chat.waits(3), Some("chat.review"));
    assert_eq!(chat.says("kirim"), "chat.submitted");
    let document = &chat.complaint().complaint;
    assert_eq!(document.description, WORDS);
    assert_eq!(document.consent.method, ConsentMethod::Text);
    assert!(document.location.as_ref().is_some_and(|place| place.geometry.is_some()));
}

#[test]
fn the_first_answer_greets_and_explains_and_asks_in_one_message() {
    let mut chat = Chat::new();
    let message = Message { text: Some(WORDS.to_owned()), ..chat.message() };
    let origin = chat.citizen.origin(5);
    let message = normalise(&origin, 0, message, &chat.citizen.channel);
    let Assembly::Whole(whole) = assemble(message, &mut chat.citizen.sender, &chat.citizen.channel, at(5)) else {
        panic!("a text is whole");
    };
    let conversed = chat.citizen.hears(5, &whole);
    let said = conversed.matter().say.clone().expect("an answer");
    assert_eq!(said.before, ["chat.welcome", "chat.privacy_notice"]);
    assert!(said.arguments.iter().any(|(name, value)| *name == "org" && value == "Kota Contoh"));
    assert_eq!(said.choices.len(), 3);
    assert!(matches!(conversed, Conversed::Drafted(_)));
}

#[test]
fn two_answers_that_do_not_fit_never_trap_anybody() {
    let mut chat = Chat::new();
    assert_eq!(chat.says("mau lapor"), "chat.consent_ask");
    assert_eq!(chat.says("lampu padam"), "chat.not_understood");
    assert_eq!(chat.says("di depan pasar"), "chat.ask_type");
    assert_eq!(chat.says("pokoknya gelap"), "chat.not_understood");
    assert_eq!(chat.says("gelap sekali"), "chat.ask_when");
    assert_eq!(chat.says("minggu lalu"), "chat.ask_location");
    for _ in 0..5 {
        if chat.says("LEWATI") == "chat.review" {
            break;
        }
    }
    assert_eq!(chat.says("1"), "chat.submitted");
    let document = &chat.complaint().complaint;
    assert_eq!(document.consent.method, ConsentMethod::ImpliedByMessage);
    assert_eq!(document.incident_datetime_text.as_deref(), Some("minggu lalu"));
    for words in ["lampu padam", "di depan pasar", "gelap sekali"] {
        assert!(document.description.contains(words), "{}", document.description);
    }
    assert_eq!(document.report_type, ReportType::Unclassified);
}

#[test]
fn a_cancelled_draft_leaves_nothing_and_its_messages_are_expired() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    chat.taps("consent_yes");
    assert_eq!(chat.says("BATAL"), "chat.cancelled");
    assert_eq!((chat.expired, chat.drafted), (2, 2));
    assert!(chat.complaints.is_empty() && chat.citizen.sender.draft.is_none());
    assert_eq!(chat.says("BATAL"), "chat.nothing_to_cancel");
    assert_eq!(chat.says("Batal terbang karena bandara banjir"), "chat.consent_ask");
    assert_eq!(chat.taps("consent_no"), "chat.consent_declined");
    assert_eq!(chat.expired, 3);
}

#[test]
fn a_second_tap_changes_nothing_and_a_stale_button_does_no_harm() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    let yes = chat.buttons[0].clone();
    assert_eq!(chat.taps_on(&yes), "chat.ask_location");
    assert_eq!(chat.taps_on(&yes), "nothing");
    assert_eq!(chat.says("lewati"), "chat.review");
    let submit = chat.buttons[0].clone();
    assert_eq!(chat.taps_on(&submit), "chat.submitted");
    assert_eq!(chat.taps_on(&submit), "chat.duplicate");
    assert_eq!(chat.complaints.len(), 1);
    assert_eq!(chat.taps_on("abcd1234:review:submit"), "chat.stale_button");
    assert_eq!(chat.taps_on("nonsense"), "chat.new_or_followup", "what is no button of ours is content");
}

#[test]
fn an_earlier_answer_can_be_changed_by_its_button() {
    let mut chat = Chat::new();
    chat.says("halo");
    chat.taps("consent_yes");
    let aspiration = chat.buttons[1].clone();
    chat.taps("type_complaint");
    assert_eq!(chat.taps_on(&aspiration), "chat.description_more");
    assert_eq!(
        chat.citizen.sender.draft.as_ref().and_then(|draft| draft.answers.report_type),
        Some(ReportType::Aspiration)
    );
}

#[test]
fn a_field_is_changed_from_the_review_and_the_review_comes_again() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    chat.taps("consent_yes");
    assert_eq!(chat.says("Jl. Melati"), "chat.review");
    assert_eq!(chat.taps("edit"), "chat.edit_which");
    assert_eq!(chat.taps("description"), "chat.description_more");
    assert_eq!(chat.says("Lampu di Jalan Mawar padam sejak Selasa"), "chat.description_more");
    assert_eq!(chat.says("SELESAI"), "chat.review");
    assert_eq!(chat.taps("edit"), "chat.edit_which");
    assert_eq!(chat.says("lokasi"), "chat.ask_location");
    assert_eq!(chat.says("Jl. Mawar"), "chat.review");
    assert_eq!(chat.taps("submit"), "chat.submitted");
    let document = &chat.complaint().complaint;
    assert_eq!(document.description, "Lampu di Jalan Mawar padam sejak Selasa");
    assert_eq!(document.location.as_ref().and_then(|place| place.address_string.as_deref()), Some("Jl. Mawar"));
}

#[test]
fn back_goes_to_the_question_before() {
    let mut chat = Chat::new();
    chat.says("halo");
    chat.taps("consent_yes");
    assert_eq!(chat.taps("type_complaint"), "chat.description_more");
    assert_eq!(chat.says("KEMBALI"), "chat.ask_type");
    assert_eq!(chat.says("BACK"), "chat.consent_ask");
    assert_eq!(chat.says("BACK"), "chat.consent_ask");
    assert_eq!(chat.says("ya"), "chat.description_more", "what was answered is not asked again");
}

#[test]
fn a_silent_citizen_is_reminded_once_and_then_the_draft_goes() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    assert_eq!(chat.waits(899), None);
    assert_eq!(chat.waits(2), Some("chat.idle_warning"));
    assert_eq!(chat.waits(600), None);
    assert_eq!(chat.says("ya"), "chat.ask_location", "any message goes on");
    assert_eq!(chat.waits(901), Some("chat.idle_warning"));
    assert_eq!(chat.waits(2_700), None);
    assert!(chat.citizen.sender.draft.is_none());
    assert_eq!(chat.expired, 2);
    assert_eq!(chat.says(WORDS), "chat.consent_ask");
}

#[test]
fn after_a_report_the_next_message_is_an_addition_or_a_new_report_as_the_citizen_says() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    chat.taps("consent_yes");
    chat.says("lewati");
    chat.taps("submit");
    assert_eq!(chat.says("tiangnya juga miring"), "chat.new_or_followup");
    assert_eq!(chat.taps("followup"), "chat.followup_saved");
    assert_eq!(chat.follow_ups[0].follow_up.description.as_deref(), Some("tiangnya juga miring"));
    assert_eq!(chat.follow_ups[0].follow_up.complaint_id, chat.complaints[0].complaint.complaint_id);
    assert_eq!(chat.says("Sampah menumpuk di pasar sejak minggu lalu dan bau sekali"), "chat.new_or_followup");
    assert_eq!(chat.says("laporan baru"), "chat.consent_ask");
    chat.taps("consent_yes");
    chat.says("lewati");
    assert_eq!(chat.taps("submit"), "chat.submitted");
    assert_eq!(chat.complaints.len(), 2);
    chat.waits(1_801);
    assert_eq!(chat.says("Air PAM mati sejak kemarin sore di rumah kami"), "chat.consent_ask");
}

#[test]
fn an_album_is_one_message_and_one_answer() {
    let mut chat = Chat::new();
    for place in 0..10 {
        let mut photo = chat.photo();
        chat.second -= 5;
        photo.id = Some(format!("5:{}", 1000 - place));
        photo.group = Some(Group::Album { key: "g1".to_owned() });
        photo.text = (place == 7).then(|| WORDS.to_owned());
        assert_eq!(chat.sends(photo), None);
    }
    assert_eq!(chat.waits(3), Some("chat.consent_ask"));
    chat.taps("consent_yes");
    chat.says("lewati");
    chat.taps("submit");
    let document = &chat.complaint().complaint;
    assert_eq!((document.attachments.len(), document.description.as_str()), (10, WORDS));
    assert_eq!(document.channel.message_ids.len(), 13);
}

#[test]
fn a_photo_and_the_words_behind_it_are_one_message() {
    let mut chat = Chat::new();
    let photo = chat.photo();
    assert_eq!(chat.sends(photo), None);
    chat.second -= 4;
    assert_eq!(chat.says(WORDS), "chat.consent_ask");
    assert_eq!(chat.waits(10), None);
    chat.taps("consent_yes");
    chat.says("lewati");
    chat.taps("submit");
    assert_eq!(chat.complaint().complaint.attachments.len(), 1);
    assert_eq!(chat.complaint().complaint.description, WORDS);
}

#[test]
fn an_edited_message_takes_the_place_of_its_words_before_the_report_is_sent() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    let edit = Message {
        id: Some("5:5:99".to_owned()),
        edit_of: Some("5:5".to_owned()),
        text: Some("Lampu jalan di depan SEKOLAH padam sejak Senin, warga takut lewat".to_owned()),
        ..chat.message()
    };
    assert_eq!(chat.sends(edit), None);
    chat.taps("consent_yes");
    chat.says("lewati");
    chat.taps("submit");
    assert!(chat.complaint().complaint.description.contains("SEKOLAH"));
    assert!(!chat.complaint().complaint.description.contains("pasar"));
}

#[test]
fn commands_work_in_the_middle_of_a_draft_and_leave_it_as_it_is() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    let draft = chat.citizen.sender.draft.clone();
    assert_eq!(chat.says("BANTUAN"), "chat.help");
    assert_eq!(chat.says("STATUS"), "chat.status_which");
    assert_eq!(chat.says("PRIVASI"), "chat.privacy_notice");
    assert!(chat.citizen.sender.draft == draft);
    assert_eq!(chat.says("bahasa en"), "chat.language_set");
    assert_eq!(chat.says("yes"), "chat.ask_location");
    assert_eq!(chat.says("RAHASIA"), "chat.ask_location");
    assert_eq!(chat.says("skip"), "chat.review");
    assert_eq!(chat.says("send"), "chat.submitted");
    let privacy = chat.complaint().complaint.privacy;
    assert_eq!(privacy.content_disclosure, crate::complaint::ContentDisclosure::Agency);
    assert_eq!(chat.complaint().complaint.reporter.preferred_language.as_deref(), Some("en"));
}

#[test]
fn a_withdrawal_is_confirmed_first() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    chat.taps("consent_yes");
    chat.says("lewati");
    chat.taps("submit");
    let id = chat.complaint().complaint.tracking_id.to_string();
    assert_eq!(chat.says(&format!("TARIK {id}")), "chat.withdraw_confirm");
    let yes = chat.buttons[0].clone();
    assert_eq!(chat.taps("withdraw_no"), "chat.status");
    assert!(chat.follow_ups.is_empty());
    assert_eq!(chat.taps_on(&yes), "sms.withdrawn");
    assert_eq!(chat.follow_ups[0].follow_up.intent, Intent::Withdrawal);
}

/// A citizen with this many reports.
fn reported(count: usize) -> (Chat, Vec<String>) {
    let mut chat = Chat::new();
    for number in 0..count {
        chat.waits(3_600);
        chat.says(&format!("{WORDS} Tiang nomor {number}."));
        chat.taps("consent_yes");
        chat.says("lewati");
        assert_eq!(chat.taps("submit"), "chat.submitted");
    }
    let ids = chat.complaints.iter().map(|whole| whole.complaint.tracking_id.to_string()).collect();
    (chat, ids)
}

#[test]
fn a_withdrawal_is_confirmed_in_words_where_there_are_no_buttons() {
    for (word, follow_ups) in [("ya", 1), ("1", 1), ("Ya, tarik", 1), ("2", 0), ("tidak", 0)] {
        let (mut chat, ids) = reported(1);
        assert_eq!(chat.says(&format!("TARIK {}", ids[0])), "chat.withdraw_confirm");
        chat.says(word);
        assert_eq!(chat.follow_ups.len(), follow_ups, "{word}");
        assert!(chat.citizen.sender.draft.is_none(), "{word}");
        assert_ne!(chat.says("ya"), "sms.withdrawn", "{word}: the question is over");
    }
}

#[test]
fn status_without_a_number_offers_the_reports_of_the_sender() {
    let (mut chat, ids) = reported(1);
    assert_eq!(chat.says("STATUS"), "chat.status", "{ids:?}: there is one only");
    let (mut chat, ids) = reported(3);
    for answer in ["1", &ids[2], &ids[2].replace('-', "").to_lowercase()] {
        assert_eq!(chat.says("STATUS"), "chat.status_which");
        assert_eq!(chat.buttons.len(), 3);
        let text = Message { text: Some(answer.to_owned()), ..chat.message() };
        assert_eq!(chat.sends(text), Some("chat.status"), "{answer}");
        assert_eq!(chat.last_id().as_deref(), Some(ids[2].as_str()), "{answer}");
    }
    assert_eq!(chat.says("STATUS"), "chat.status_which");
    let oldest = chat.buttons[2].clone();
    assert_eq!(chat.taps_on(&oldest), "chat.status");
    assert_eq!(chat.last_id().as_deref(), Some(ids[0].as_str()));
    assert!(chat.citizen.sender.draft.is_none());
}

#[test]
fn a_number_that_cannot_be_is_said_to_be_none_and_its_words_are_kept() {
    let mut chat = Chat::new();
    assert_eq!(chat.says("STATUS E3S-3E2-8JF"), "chat.consent_ask");
    assert_eq!(chat.before, ["chat.status_not_found", "chat.welcome", "chat.privacy_notice"]);
    assert_eq!(chat.last_id().as_deref(), Some("E3S3E28JF"));
    chat.taps("consent_yes");
    assert_eq!(chat.says("TAMBAH E3S-3E2-8JF dekat masjid"), "chat.not_understood");
    assert_eq!(chat.before, ["chat.status_not_found"]);
}

#[test]
fn a_photo_that_comes_too_late_for_its_album_is_added_to_the_report() {
    let member = |chat: &mut Chat| Message { group: Some(Group::Album { key: "a1".to_owned() }), ..chat.photo() };
    let mut chat = Chat::new();
    chat.says(WORDS);
    let photo = member(&mut chat);
    chat.sends(photo);
    chat.waits(20);
    chat.taps("consent_yes");
    chat.says("lewati");
    assert_eq!(chat.taps("submit"), "chat.submitted");
    let late = member(&mut chat);
    assert_eq!(chat.sends(late), Some("chat.followup_saved"));
    let added = &chat.follow_ups[0].follow_up;
    assert_eq!(added.complaint_id, chat.complaint().complaint.complaint_id);
    assert_eq!((added.intent, added.attachments.len()), (Intent::AdditionalInformation, 1));
    assert!(chat.citizen.sender.draft.is_none());
}

#[test]
fn a_kind_that_cannot_be_shown_is_kept_and_answered_once() {
    let mut chat = Chat::new();
    let sticker = |chat: &mut Chat| Message { unsupported: Some("sticker".to_owned()), ..chat.message() };
    let first = sticker(&mut chat);
    assert_eq!(chat.sends(first), Some("chat.consent_ask"));
    let second = sticker(&mut chat);
    assert_eq!(chat.sends(second), None);
    chat.taps("consent_yes");
    assert!(chat.citizen.sender.draft.as_ref().is_some_and(|draft| draft.messages() == 3));
}

#[derive(Clone, Debug)]
enum Doing {
    Says(String),
    Taps(u8),
    Photo,
    Pin,
    Sticker,
    Waits(i64),
}

fn doings() -> impl Strategy<Value = Vec<Doing>> {
    let words = prop_oneof![
        Just("ya".to_owned()),
        Just("tidak".to_owned()),
        Just("BATAL".to_owned()),
        Just("KEMBALI".to_owned()),
        Just("SELESAI".to_owned()),
        Just("LEWATI".to_owned()),
        Just("BARU".to_owned()),
        Just("STATUS".to_owned()),
        Just("ANONIM".to_owned()),
        Just("1".to_owned()),
        Just("kirim".to_owned()),
        Just("ubah".to_owned()),
        Just(WORDS.to_owned()),
        "[a-z]{1,12}( [a-z]{1,8}){0,4}",
        "(?s).{0,40}",
    ];
    let doing = prop_oneof![
        6 => words.prop_map(Doing::Says),
        4 => (0_u8..8).prop_map(Doing::Taps),
        1 => Just(Doing::Photo),
        1 => Just(Doing::Pin),
        1 => Just(Doing::Sticker),
        1 => (1_i64..4_000).prop_map(Doing::Waits),
    ];
    proptest::collection::vec(doing, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Whatever was said, in whatever order and at whatever time: BATAL and a new complaint work, and every message is in a
    /// draft, in an event, or was a command.
    #[test]
    fn from_everywhere_a_new_complaint_can_be_made(all in doings()) {
        let mut chat = Chat::new();
        let mut sent = 0_u64;
        for doing in all {
            match doing {
                Doing::Says(text) => { chat.says(&text); sent += 1; }
                Doing::Taps(place) => {
                    if let Some(button) = chat.buttons.get(usize::from(place)).cloned() { chat.taps_on(&button); sent += 1; }
                }
                Doing::Photo => { let photo = chat.photo(); chat.sends(photo); sent += 1; }
                Doing::Pin => {
                    let pin = Location { lat: -6.3, lon: 106.8, label: None, address: None, accuracy_m: None, live: false };
                    let message = Message { location: Some(pin), ..chat.message() };
                    chat.sends(message);
                    sent += 1;
                }
                Doing::Sticker => {
                    let message = Message { unsupported: Some("sticker".to_owned()), ..chat.message() };
                    chat.sends(message);
                    sent += 1;
                }
                Doing::Waits(seconds) => { chat.waits(seconds); }
            }
            let bytes = chat.citizen.sender.encode();
            prop_assert!(Sender::decode(&bytes).as_ref() == Ok(&chat.citizen.sender));
        }
        chat.waits(11);
        let open = chat.citizen.sender.draft.as_ref().map_or(0, |draft| draft.messages());
        let of_complaints: usize = chat.complaints.iter().map(|whole| whole.complaint.channel.message_ids.len()).sum();
        let ids = |whole: &WholeFollowUp| whole.follow_up.channel.message_ids.len();
        let of_follow_ups: usize = chat.follow_ups.iter().map(ids).sum();
        let in_events = (of_complaints + of_follow_ups) as u64;
        prop_assert_eq!(open + in_events + chat.expired + chat.commands, sent);
        chat.says("BATAL");
        prop_assert!(chat.citizen.sender.draft.is_none());
        let before = chat.complaints.len();
        chat.says("BARU");
        chat.says("ya");
        chat.says(WORDS);
        for _ in 0..12 {
            let question = chat.citizen.sender.draft.as_ref().map(|draft| draft.state);
            match question {
                Some(crate::sender::State::Description) => { chat.says("SELESAI"); }
                Some(crate::sender::State::Review) => { chat.says("kirim"); }
                Some(_) => { chat.says("LEWATI"); }
                None => break,
            }
        }
        prop_assert_eq!(chat.complaints.len(), before + 1);
        let last = chat.complaints.last().expect("it was just made");
        prop_assert!(last.complaint.description.contains(WORDS), "{}", last.complaint.description);
    }
}

#[test]
fn a_word_for_an_earlier_question_and_a_caption_are_no_answers() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    let captioned = |chat: &mut Chat, words: &str| Message { text: Some(words.to_owned()), ..chat.photo() };
    let photo = captioned(&mut chat, "ini lampunya");
    assert_eq!(chat.sends(photo), Some("chat.consent_ask"), "no answer that does not fit");
    assert_eq!(chat.says("ya"), "chat.ask_location");
    assert_eq!(chat.says("ya"), "chat.ask_location");
    let photo = captioned(&mut chat, "dan tiangnya");
    assert_eq!(chat.sends(photo), Some("chat.ask_location"));
    assert_eq!(chat.says("Jl. Melati"), "chat.review");
    assert_eq!(chat.says("Jl. Melati"), "chat.review", "it was said before");
    let photo = captioned(&mut chat, "kirim");
    assert_eq!(chat.sends(photo), Some("chat.submitted"));
    let document = &chat.complaint().complaint;
    assert_eq!(document.description, format!("{WORDS}\nini lampunya\ndan tiangnya"));
    let place = document.location.as_ref().and_then(|place| place.address_string.as_deref());
    assert_eq!((place, document.attachments.len()), (Some("Jl. Melati"), 3));
}

#[test]
fn a_draft_that_has_become_too_large_is_a_complaint_as_it_is() {
    for (text, messages) in [("x".to_owned(), 100), ("kata ".repeat(30_000), 2)] {
        let mut chat = Chat::new();
        let sent = (0..200).find(|_| {
            chat.second -= 4;
            chat.says(&text) == "chat.submitted"
        });
        assert_eq!(sent, Some(messages));
        assert_eq!(chat.complaint().complaint.channel.message_ids.len(), messages + 1);
    }
}

#[test]
fn photos_that_waited_for_words_are_kept_when_a_command_comes() {
    for word in ["BANTUAN", "STATUS", "BARU", "SELESAI", "RAHASIA", "bahasa id", "berhenti"] {
        let mut chat = Chat::new();
        let photo = chat.photo();
        chat.sends(photo);
        chat.second -= 4;
        assert_eq!(chat.says(word), "chat.consent_ask", "{word}");
        let files = |chat: &Chat| chat.citizen.sender.draft.as_ref().map(|draft| draft.files());
        assert_eq!(files(&chat), Some(1), "{word}");
        let privacy = chat.citizen.sender.draft.as_ref().and_then(|draft| draft.answers.privacy);
        assert_eq!(privacy, (word == "RAHASIA").then_some((false, true)), "{word}");
        let photo = chat.photo();
        chat.sends(photo);
        chat.second -= 4;
        chat.says("PRIVASI");
        assert_eq!(files(&chat), Some(2), "{word}");
    }
}

#[test]
fn a_message_that_was_taken_back_is_gone_from_the_draft_and_does_nothing_to_a_report() {
    let mut chat = Chat::new();
    chat.says(WORDS);
    chat.says("dan nomor saya 0811");
    let back = |chat: &mut Chat| Message { edit_of: Some("5:10".to_owned()), ..chat.message() };
    let taken = back(&mut chat);
    assert_eq!(chat.sends(taken), None);
    chat.says("ya");
    chat.says("lewati");
    assert_eq!(chat.says("kirim"), "chat.submitted");
    assert_eq!(chat.complaint().complaint.description, WORDS);
    let taken = back(&mut chat);
    assert_eq!(chat.sends(taken), None);
    assert!(chat.follow_ups.is_empty() && chat.citizen.sender.draft.is_none());
}
