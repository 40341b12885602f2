use proptest::prelude::*;

use super::*;

fn person() -> Traits<'static> {
    Traits {
        headers: &[],
        null_path: false,
        from: Some("budi@example.org"),
        subject: Some("Jalan rusak"),
        content_type: "text/plain",
        report_type: None,
        text: "Jalan di depan rumah rusak.",
        is_ours: false,
    }
}

/// Generated, bounce, list; None for a person.
fn verdict(traits: &Traits<'_>) -> Option<(bool, bool, bool)> {
    let found = recognise(traits)?;
    assert!(!found.reason.is_empty());
    Some((found.auto_generated, found.bounce, found.list))
}

const GENERATED: Option<(bool, bool, bool)> = Some((true, false, false));
const BOUNCE: Option<(bool, bool, bool)> = Some((true, true, false));
const LIST: Option<(bool, bool, bool)> = Some((false, false, true));

#[test]
fn a_header_of_a_machine_counts_alone() {
    for (name, value, expected) in [
        ("auto-submitted", "auto-generated", GENERATED),
        ("auto-submitted", "auto-replied (vacation)", GENERATED),
        ("auto-submitted", "Auto-Notified; owner-email=\"a@example.org\"", GENERATED),
        ("auto-submitted", "yes", GENERATED),
        ("auto-submitted", "no", None),
        ("auto-submitted", "No (a person)", None),
        ("auto-submitted", "", None),
        ("x-auto-response-suppress", "All", GENERATED),
        ("x-auto-response-suppress", "OOF, AutoReply", GENERATED),
        ("x-auto-response-suppress", "DR, RN, NRN", GENERATED),
        ("x-auto-response-suppress", "None", None),
        ("x-autoreply", "yes", GENERATED),
        ("x-autoreply", "no", None),
        ("x-autorespond", "Cuti", GENERATED),
        ("x-autorepond", "1", GENERATED),
        ("x-auto-reply", "1", GENERATED),
        ("x-loop", "laporan@lain.example", GENERATED),
        ("x-failed-recipients", "siti@example.org", BOUNCE),
        ("precedence", "bulk", LIST),
        ("precedence", "Junk", LIST),
        ("precedence", "list", LIST),
        ("precedence", "auto_reply", GENERATED),
        ("precedence", "first-class", None),
        ("list-id", "<warga.milis.example>", LIST),
        ("list-unsubscribe", "<mailto:keluar@milis.example>", LIST),
        ("list-post", "NO", LIST),
        ("x-google-group-id", "1234", LIST),
        ("x-beenthere", "warga@milis.example", LIST),
        ("mailing-list", "contact warga-help@milis.example", LIST),
        ("delivered-to", "Autoresponder", GENERATED),
        ("delivered-to", "lapor@kota.example", None),
        ("feedback-id", "1:2:3:kampanye", None),
        ("x-mailer", "Microsoft Outlook 16.0", None),
    ] {
        let headers = [(name.to_owned(), value.to_owned())];
        assert_eq!(verdict(&Traits { headers: &headers, ..person() }), expected, "{name}: {value}");
    }
}

#[test]
fn an_answering_machine_of_precedence_bulk_is_no_list() {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers =
        [header("precedence", "bulk"), header("auto-submitted", "auto-replied"), header("x-autoreply", "yes")];
    assert_eq!(verdict(&Traits { headers: &headers, ..person() }), GENERATED);
    let headers = [header("precedence", "list"), header("auto-submitted", "auto-generated")];
    assert_eq!(verdict(&Traits { headers: &headers, ..person() }), Some((true, false, true)));
}

#[test]
fn reports_are_told_by_their_type() {
    for (content_type, report_type, expected) in [
        ("multipart/report", Some("delivery-status"), BOUNCE),
        ("multipart/report", Some("Delivery-Status"), BOUNCE),
        ("multipart/report", Some("disposition-notification"), GENERATED),
        ("multipart/report", Some("feedback-report"), GENERATED),
        ("multipart/report", None, GENERATED),
        ("message/delivery-status", None, BOUNCE),
        ("multipart/mixed", Some("delivery-status"), None),
        ("multipart/alternative", None, None),
    ] {
        assert_eq!(
            verdict(&Traits { content_type, report_type, ..person() }),
            expected,
            "{content_type} {report_type:?}"
        );
    }
    assert_eq!(verdict(&Traits { null_path: true, ..person() }), GENERATED);
    assert_eq!(verdict(&Traits { is_ours: true, ..person() }), GENERATED);
}

#[test]
fn senders_that_take_no_answers_are_known_by_their_names() {
    for (from, expected) in [
        ("MAILER-DAEMON@mx.example.org", BOUNCE),
        ("MAILER-DAEMON", BOUNCE),
        ("postmaster@kantor.example", GENERATED),
        ("noreply@kantor.example", GENERATED),
        ("no-reply@kantor.example", GENERATED),
        ("noreply-laporan@kantor.example", GENERATED),
        ("info.noreply@kantor.example", GENERATED),
        ("donotreply@kantor.example", GENERATED),
        ("tidak-dibalas@kantor.example", GENERATED),
        ("bounces+77@kantor.example", GENERATED),
        ("noreplya@example.org", None),
        ("bu.noreen@example.org", None),
        ("kepala.postmasterindo@example.org", None),
        ("balas@example.org", None),
    ] {
        assert_eq!(verdict(&Traits { from: Some(from), ..person() }), expected, "{from}");
    }
    assert_eq!(verdict(&Traits { from: None, ..person() }), None);
}

#[test]
fn one_sentence_makes_no_bounce() {
    let (subject, text) = ("Gagal dikirim", "Email anda tidak dapat saya buka. Foto lubang jalan ada di sini.");
    let letter = || Traits { subject: Some(subject), text, ..person() };
    assert_eq!(verdict(&letter()), GENERATED);
    assert_eq!(verdict(&Traits { null_path: true, ..letter() }), BOUNCE);
}

#[test]
fn words_count_in_twos() {
    for (subject, text, expected) in [
        ("Automatic reply: Laporan", "I am out of the office until Monday.", GENERATED),
        ("Balasan otomatis: Laporan Anda", "Saya sedang cuti dan akan kembali pada 10 November.", GENERATED),
        ("Jawaban otomatis: Laporan", "Terima kasih atas email Anda. Saya sedang di\nluar kantor.", GENERATED),
        ("Di luar kantor", "Saya sedang cuti. Untuk hal mendesak hubungi Siti.", GENERATED),
        ("Out of Office: Budi", "I am on leave. For urgent matters call Siti.", GENERATED),
        ("自动答复: a", "thank you for your email", GENERATED),
        ("Undeliverable: Laporan", "Delivery has failed to these recipients or groups: siti@example.org", GENERATED),
        (
            "Delivery Status Notification (Failure)",
            "Address not found. Your message wasn\u{2019}t delivered to a@example.org",
            BOUNCE,
        ),
        ("Tidak terkirim: Laporan", "Pesan Anda tidak dapat dikirim. 550 5.1.1 user unknown", BOUNCE),
        ("failure notice", "Hi. This is the qmail-send program at mx.example.org.", BOUNCE),
        (
            "Kegagalan",
            "Hi. This is the qmail-send program at mx.example.org. I'm afraid I wasn't able to deliver your message. 550 user unknown",
            BOUNCE,
        ),
        (
            "Mail delivery failed: returning message to sender",
            "This message was created automatically by mail delivery software.",
            BOUNCE,
        ),
        ("Read: Laporan", "Your message To: Budi Subject: Laporan was read on Monday.", GENERATED),
        ("Dibaca: Laporan", "Pesan Anda telah dibaca pada 3 November 2025.", GENERATED),
        // People.
        (
            "Laporan jalan rusak, out of office hours",
            "The clerk was out of the office and will be back in the office on Monday.",
            None,
        ),
        ("Out of office", "Kantor kelurahan tutup terus.", None),
        ("Di luar kantor kelurahan ada pungli", "Petugas tidak di kantor.", None),
        ("Cuti: petugas menghilang", "Petugas sedang cuti terus.", None),
        ("Gagal dikirim: bantuan beras", "Harganya Rp 550 ribu.", None),
        ("Petugas sedang cuti", "Petugas tidak berada di tempat, katanya akan kembali pada Senin.", None),
        ("Re: Automatic reply: Laporan", "I am not out of the office, I am out of patience.", None),
        ("Fwd: Undeliverable: Laporan", "Delivery has failed to these recipients: my letters to you come back.", None),
        ("Tidak terkirim: paket bansos", "Bantuan tidak dapat dikirim ke alamat saya.", None),
        ("Undeliverable", "Paket saya tidak sampai.", None),
        ("Vacations are over", "I am on vacation and see rubbish on the beach.", None),
        (
            "Surat saya dikembalikan",
            "Server Anda menjawab 550 5.1.1 user unknown, your message to lapor was not delivered to you.",
            None,
        ),
        ("Pesan otomatis dari aplikasi antrean salah", "Nomor antrean saya tidak dipanggil.", None),
        ("Read: the sign on the bridge", "It says: closed.", None),
        ("", "", None),
    ] {
        let traits = Traits { subject: Some(subject), text, ..person() };
        assert_eq!(verdict(&traits), expected, "{subject}");
    }
}

#[test]
fn a_sign_of_the_path_makes_words_count() {
    let bounce = Traits { null_path: true, subject: Some("Undeliverable: Laporan"), text: "", ..person() };
    assert_eq!(verdict(&bounce), BOUNCE);
    let bounce =
        Traits { from: Some("postmaster@kantor.example"), subject: Some("Tidak terkirim: Laporan"), ..person() };
    assert_eq!(verdict(&bounce), BOUNCE);
    assert_eq!(recognise(&bounce).expect("a machine").reason, "sender that takes no answers");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_words_get_a_verdict(subject in ".{0,40}", text in ".{0,3000}", from in ".{0,30}", name in "[a-z-]{0,12}", value in ".{0,20}") {
        let headers = [(name, value)];
        let traits = Traits { headers: &headers, subject: Some(&subject), text: &text, from: Some(&from), ..person() };
        let verdict = recognise(&traits);
        prop_assert!(verdict.is_none_or(|found| found.auto_generated || found.bounce || found.list));
    }
}
