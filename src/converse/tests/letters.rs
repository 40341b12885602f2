//! Letters: which complaint they belong to, and who is answered.

use super::*;
use crate::{
    complaint::{Flag, Intent},
    mail::token::{message_id, token},
    message::{Automatic, MailAuthentication},
};

fn letter(citizen: &Citizen, subject: &str, text: &str) -> Message {
    Message {
        id: Some(format!("<a{}@example.org>", citizen.number)),
        from: Some("siti@example.org".to_owned()),
        to: Some("lapor@kota.example".to_owned()),
        subject: Some(subject.to_owned()),
        text: Some(text.to_owned()),
        ..Message::default()
    }
}

fn correspondent() -> Citizen {
    let mut citizen = Citizen::on(Medium::Email);
    citizen.channel.address = "email".to_owned();
    citizen
}

fn record(whole: &WholeComplaint, reporter_ref: &str) -> ComplaintRecord {
    ComplaintRecord {
        complaint_id: whole.complaint.complaint_id,
        tracking_id: whole.complaint.tracking_id.clone(),
        channel: ChannelId::new("sms-1708").expect("a slug"),
        reporter_ref: reporter_ref.to_owned(),
        queue: "triage".to_owned(),
        event_id: whole.event_id.clone(),
        language: "id".to_owned(),
        receipts: Vec::new(),
        received_at: at(0),
        enqueued_at: at(0),
        leased_at: None,
        acked_at: None,
        replyable: true,
        sequence: 0,
        status: Vec::new(),
    }
}

fn first(citizen: &mut Citizen) -> WholeComplaint {
    let message = letter(citizen, "Jalan rusak", "Jalan di depan pasar rusak sejak hujan kemarin.");
    let whole = complaint(citizen.sends(0, message));
    citizen.known = Some(record(&whole, &whole.complaint.reporter.reference));
    whole
}

#[test]
fn a_letter_to_the_signed_address_adds_to_its_complaint_whoever_writes_it() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    let token = token(siti.gateway.reporter_key(), whole.complaint.complaint_id);
    for (known, from) in [(siti.known.clone(), "siti@example.org"), (siti.known.clone(), "kantor@example.net")] {
        let mut writer = correspondent();
        writer.known = known;
        writer.number = 9;
        let mut message = letter(&writer, "tanpa nomor", "Lubangnya makin besar.");
        message.from = Some(from.to_owned());
        message.reply_token = Some(token.clone());
        let added = follow_up(writer.sends(60, message));
        assert_eq!(added.follow_up.complaint_id, whole.complaint.complaint_id);
        assert_eq!(added.follow_up.intent, Intent::AdditionalInformation);
    }
}

#[test]
fn a_letter_that_refers_to_ours_adds_to_its_complaint() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    let ours =
        message_id(siti.gateway.reporter_key(), Some(whole.complaint.complaint_id), "0123456789abcdef", "k.example");
    let mut message = letter(&siti, "x", "Lubangnya makin besar.");
    message.references = vec!["<other@example.org>".to_owned(), ours];
    assert_eq!(follow_up(siti.sends(60, message)).follow_up.complaint_id, whole.complaint.complaint_id);
}

#[test]
fn the_signed_address_goes_before_references_and_these_before_the_subject() {
    let mut siti = correspondent();
    let (one, two) = (first(&mut siti), first(&mut siti));
    siti.known = Some(record(&one, &one.complaint.reporter.reference));
    let key = siti.gateway.reporter_key();
    let mut message = letter(&siti, &format!("Re: [#{}] x", two.complaint.tracking_id), "Tambahan keterangan.");
    message.references = vec![message_id(key, Some(two.complaint.complaint_id), "0", "k.example")];
    message.reply_token = Some(token(key, one.complaint.complaint_id));
    assert_eq!(follow_up(siti.sends(60, message.clone())).follow_up.complaint_id, one.complaint.complaint_id);
    message.reply_token = Some("madeup".to_owned());
    message.id = Some("<other@example.org>".to_owned());
    assert_eq!(follow_up(siti.sends(90, message)).follow_up.complaint_id, two.complaint.complaint_id);
}

#[test]
fn a_number_in_the_subject_counts_for_its_own_sender_alone() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    let subject = format!("Re: [#{}] Laporan Anda kami terima", whole.complaint.tracking_id);
    let message = letter(&siti, &subject, "Lubangnya makin besar.");
    assert_eq!(follow_up(siti.sends(60, message)).follow_up.complaint_id, whole.complaint.complaint_id);

    let mut stranger = correspondent();
    stranger.known.clone_from(&siti.known);
    stranger.number = 7;
    let mut message = letter(&stranger, &subject, "Saya juga terganggu di sana.");
    message.from = Some("orang.lain@example.org".to_owned());
    let other = complaint(stranger.sends(90, message));
    let thread = other.complaint.thread.expect("a thread");
    assert_eq!(thread.relation, Some(crate::complaint::Relation::Mentions));
    assert_eq!(thread.related_complaint_id, Some(whole.complaint.complaint_id));
    let said = other.matter.say.expect("an acknowledgement");
    assert!(!said.arguments.iter().any(|(_, value)| *value == whole.complaint.tracking_id.to_string()));
}

#[test]
fn one_word_in_answer_to_our_letter_is_about_that_report() {
    let mut siti = correspondent();
    let (one, _two) = (first(&mut siti), first(&mut siti));
    siti.known = Some(record(&one, &one.complaint.reporter.reference));
    let mut message = letter(&siti, "Re: x", "ANONIM");
    message.reply_token = Some(token(siti.gateway.reporter_key(), one.complaint.complaint_id));
    let hidden = follow_up(siti.sends(60, message));
    assert_eq!((hidden.follow_up.complaint_id, hidden.kind), (one.complaint.complaint_id, EventKind::PrivacyChanged));
}

#[test]
fn nobody_withdraws_anothers_report_by_its_signed_address() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    let mut other = correspondent();
    other.known.clone_from(&siti.known);
    other.number = 7;
    let mut message = letter(&other, "x", &format!("TARIK {}", whole.complaint.tracking_id));
    message.from = Some("orang.lain@example.org".to_owned());
    message.reply_token = Some(token(siti.gateway.reporter_key(), whole.complaint.complaint_id));
    assert!(matches!(other.sends(60, message), Conversed::Command(_)));
}

#[test]
fn the_answer_to_a_question_of_the_agency_is_a_reply() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    let asked = StatusChange { status: "info_requested".to_owned(), note: None, at: at(30) };
    siti.known.as_mut().expect("a record").status.push(asked);
    let mut message = letter(&siti, "Re: x", "Di depan toko nomor tujuh.");
    message.reply_token = Some(token(siti.gateway.reporter_key(), whole.complaint.complaint_id));
    assert_eq!(follow_up(siti.sends(60, message)).follow_up.intent, Intent::Reply);
}

#[test]
fn a_machine_is_taken_in_and_not_answered() {
    let mut siti = correspondent();
    let mut message = letter(&siti, "Di luar kantor", "Saya sedang cuti.");
    message.auto = Some(Automatic { auto_generated: true, reason: "x".to_owned(), ..Automatic::default() });
    let whole = complaint(siti.sends(0, message));
    assert!(whole.complaint.screening.flags.contains(&Flag::AutoReply));
    assert_eq!(whole.matter.say, None);
}

#[test]
fn a_bounce_of_our_letter_is_no_complaint_and_any_other_is_one() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    let bounce = Automatic { bounce: true, auto_generated: true, list: false, reason: "x".to_owned() };
    let mut message = letter(&siti, "Undelivered", "Your message could not be delivered.");
    message.from = Some("mailer-daemon@example.org".to_owned());
    message.auto = Some(bounce);
    let other = complaint(siti.sends(60, Message { id: Some("<b1@example.org>".to_owned()), ..message.clone() }));
    assert_eq!(other.matter.say, None);
    siti.known = Some(record(&whole, &whole.complaint.reporter.reference));
    let nameless = Message {
        id: Some("<b2@example.org>".to_owned()),
        reply_token: Some(token(siti.gateway.reporter_key(), whole.complaint.complaint_id)),
        ..message.clone()
    };
    let kept = follow_up(siti.sends(75, nameless));
    assert_eq!((kept.matter.say, kept.follow_up.complaint_id), (None, whole.complaint.complaint_id));
    message.references =
        vec![message_id(siti.gateway.reporter_key(), Some(whole.complaint.complaint_id), "0", "k.example")];
    let Conversed::Command(obeyed) = siti.sends(90, message) else {
        panic!("a complaint of a machine about our letter")
    };
    assert_eq!((obeyed.matter.say, obeyed.complaint_id), (None, Some(whole.complaint.complaint_id)));
}

#[test]
fn a_letter_whose_sender_is_forged_is_kept_and_not_answered() {
    for (dmarc, aligned_only, is_answered) in
        [("pass", false, true), ("", false, true), ("fail", false, false), ("none", true, false), ("pass", true, true)]
    {
        let mut siti = correspondent();
        siti.channel.answers_aligned_only = aligned_only;
        let mut message = letter(&siti, "Jalan rusak", "Jalan di depan pasar rusak.");
        message.auth = Some(MailAuthentication { dmarc: dmarc.to_owned(), ..MailAuthentication::default() });
        let whole = complaint(siti.sends(0, message));
        assert_eq!(whole.matter.say.is_some(), is_answered, "{dmarc} {aligned_only}");
        let assurance = serde_json::to_value(whole.complaint.provenance.assurance).expect("JSON");
        assert_eq!(assurance == "contact_verified", dmarc == "pass", "{dmarc}");
    }
}

#[test]
fn a_mark_in_the_subject_hides_what_it_says() {
    let mut siti = correspondent();
    let message = letter(&siti, "[RAHASIA] Pungutan liar", "Petugas meminta uang.");
    let whole = complaint(siti.sends(0, message));
    assert_eq!(whole.complaint.privacy.content_disclosure, crate::complaint::ContentDisclosure::Agency);
    assert_eq!(whole.complaint.title.as_deref(), Some("Pungutan liar"));
}

#[test]
fn what_is_asked_for_first_is_the_number_in_a_command_then_the_thread_then_the_subject() {
    let siti = correspondent();
    let key = siti.gateway.reporter_key();
    let id = Uuid::from_u128(7);
    let asked = |message: Message| {
        let mut citizen = correspondent();
        let origin = citizen.origin(0);
        let message = normalise(&origin, 0, message, &citizen.channel);
        let Assembly::Whole(assembled) = assemble(message, &mut citizen.sender, &citizen.channel, at(0)) else {
            panic!("a letter is whole");
        };
        asks_about(&assembled, &citizen.sender, &citizen.channel, &citizen.gateway)
    };
    let number: TrackingId = "E3S-3E2-8JE".parse().expect("a number");
    let mut message = letter(&siti, "[#E3S-3E2-8JE] x", "Lubangnya makin besar.");
    assert_eq!(asked(message.clone()), Some(Asked::Tracking(number.clone())));
    message.reply_token = Some(token(key, id));
    assert_eq!(asked(message.clone()), Some(Asked::Complaint(id)));
    message.text = Some("STATUS E3S-3E2-8JE".to_owned());
    assert_eq!(asked(message), Some(Asked::Tracking(number)));
    assert_eq!(asked(letter(&siti, "x", "Lubangnya makin besar.")), None);
}

#[test]
fn the_ids_of_a_letter_whose_writer_is_hidden_name_no_server() {
    let mut siti = correspondent();
    let mut message = letter(&siti, "[ANONIM] Pungutan liar", "Petugas meminta uang.");
    message.references = vec!["<before@siti.example>".to_owned()];
    message.attachments = vec![Attachment { filename: Some("a.jpg".to_owned()), ..Attachment::default() }];
    let whole = complaint(siti.sends(0, message));
    let document = serde_json::to_string(&whole.complaint).expect("JSON");
    assert!(!document.contains("example.org") && !document.contains("siti.example"), "{document}");
    assert!(document.contains("id-hash:"));
}

#[test]
fn a_letter_with_a_matter_or_a_file_is_no_command() {
    for (subject, text, files) in
        [("Lampu jalan mati di Jalan Melati", "Bantuan", 0), ("Jalan rusak", "help", 1), ("", "Lapor", 1)]
    {
        let mut siti = correspondent();
        let mut message = letter(&siti, subject, text);
        message.attachments = vec![Attachment::default(); files];
        let whole = complaint(siti.sends(0, message));
        assert_eq!(whole.complaint.description, text);
    }
}

#[test]
fn one_word_in_answer_to_a_question_is_the_answer() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    let mut message = letter(&siti, "Re: x", "Selesai.");
    message.reply_token = Some(token(siti.gateway.reporter_key(), whole.complaint.complaint_id));
    assert_eq!(follow_up(siti.sends(60, message)).follow_up.description.as_deref(), Some("Selesai."));
}

#[test]
fn answers_to_one_complaint_do_not_go_where_another_letter_wants_its_own() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    for (number, reply) in [(5, "penipu@example.net"), (6, "lain@example.net")] {
        siti.number = number;
        let mut message = letter(&siti, "Jalan lain", &format!("Lubang nomor {number} makin besar sekali."));
        message.reply_address = Some(reply.to_owned());
        let other = complaint(siti.sends(i64::from(number) * 3_600, message));
        assert_eq!(other.matter.vault.to, reply);
        assert_ne!(other.matter.vault.reporter_ref, whole.matter.vault.reporter_ref);
    }
}

#[test]
fn a_forged_letter_neither_orders_nor_adds_by_number() {
    let mut siti = correspondent();
    let whole = first(&mut siti);
    let id = whole.complaint.tracking_id.clone();
    for (subject, text) in [
        ("x", format!("TARIK {id}")),
        ("", format!("HAPUS {id}")),
        (&*format!("[#{id}] x"), "Sudah beres semua.".to_owned()),
    ] {
        let mut message = letter(&siti, subject, &text);
        message.id = Some(format!("<{}@example.org>", text.len()));
        message.auth = Some(MailAuthentication { dmarc: "fail".to_owned(), ..MailAuthentication::default() });
        let forged = complaint(siti.sends(60, message));
        assert_eq!((forged.complaint.description, forged.matter.say), (text, None));
    }
}
