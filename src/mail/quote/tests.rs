use proptest::prelude::*;

use super::*;

/// The kinds of the parts by their first letters (`N`, `H`eader, `Q`, `S`, `D`), and the new text.
fn told(text: &str) -> (String, String) {
    let split = split(text);
    let letter = |kind: &Kind| match kind {
        Kind::New => 'N',
        Kind::ReplyHeader => 'H',
        Kind::Quote => 'Q',
        Kind::Signature => 'S',
        Kind::Disclaimer => 'D',
    };
    (split.parts.iter().map(|(kind, _)| letter(kind)).collect(), split.new_text(text))
}

#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    for (text, kinds, new) in cases {
        let (found, found_new) = told(text);
        assert_eq!((found.as_str(), found_new.as_str()), (*kinds, *new), "of {text:?}");
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(told(&crlf).0, *kinds, "with CRLF of {text:?}");
    }
}

/// The whole text is new.
#[track_caller]
fn check_kept(texts: &[&str]) {
    for text in texts {
        assert_eq!(told(text), ("N".to_owned(), text.trim().to_owned()), "of {text:?}");
    }
}

const QUOTE: &str = "\n> Laporan Anda kami terima.\n> Nomor E3S-3E2-8JE\n";

#[test]
fn headers_above_quoted_lines_are_found_in_every_language() {
    for header in [
        "Pada tanggal Sen, 3 Nov 2025 pukul 08.15 Loket Kota <lapor@kota.example> menulis:",
        "Pada tanggal Sen, 3 Nov 2025 pukul 08.15 Loket Pengaduan Kota Contoh\n<lapor@kota.example> menulis:",
        "Pada tanggal Sen, 3 Nov 2025\npukul 08.15 Loket Pengaduan Kota Contoh\n<lapor@kota.example>\nmenulis:",
        "Pada 3 November 2025 08.15, Loket Kota <lapor@kota.example> menulis:",
        "Pada 3 Nov 2025, pada 08.15, Loket Kota <lapor@kota.example> menulis:",
        "Pada Senin, 3 November 2025 08.15.01 WIB, Loket Kota <lapor@kota.example> menulis:",
        "--- Pada Sen, 3/11/25, Loket Kota <lapor@kota.example> menulis:",
        "Pada Isn, 3 Nov 2025 pada 8:15 PTG Loket <lapor@kota.example> menulis:",
        "Pada 03/11/2025 08:15, Loket menulis:",
        "On Mon, 3 Nov 2025 at 08:15, Loket Kota <lapor@kota.example> wrote:",
        "On Mon, Nov 3, 2025 at 8:15 AM Loket Kota <\nlapor@kota.example> wrote:",
        "On 11/3/25 08:15, Loket wrote:",
        "On 3 Nov 2025, at 08:15, Loket Kota <lapor@kota.example> wrote:",
        "*On Mon, 3 Nov 2025 at 08:15, Loket wrote:*",
        "Loket Kota wrote:",
        "Loket Kota <lapor@kota.example> writes:",
        "Am 03.11.2025 um 08:15 schrieb Loket Kota <lapor@kota.example>:",
        "Am Mo., 3. Nov. 2025 um 08:15 Uhr schrieb Loket Kota <\nlapor@kota.example>:",
        "Op ma 3 nov 2025 om 08:15 schreef Loket Kota <lapor@kota.example>:",
        "Op 3-11-2025 om 08:15 schreef Loket:",
        "Den mån 3 nov. 2025 kl 08:15 skrev Loket <lapor@kota.example>:",
        "Le lun. 3 nov. 2025 à 08:15, Loket Kota <lapor@kota.example> a écrit :",
        "El lun, 3 nov 2025 a las 8:15, Loket Kota (<lapor@kota.example>)\nescribió:",
        "Em seg., 3 de nov. de 2025 às 08:15, Loket <lapor@kota.example> escreveu:",
        "Il giorno lun 3 nov 2025 alle ore 08:15 Loket <lapor@kota.example> ha scritto:",
        "W dniu pon., 3.11.2025 o 08:15 Loket <lapor@kota.example> napisał(a):",
        "Loket <lapor@kota.example> 于2025年11月3日周一 08:15写道：",
        "在 2025年11月3日，08:15，Loket <lapor@kota.example> 写道：",
        "2025年11月3日(月) 8:15 Loket <lapor@kota.example>:",
        "пн, 3 нояб. 2025 г. в 08:15, Loket <lapor@kota.example>:",
        "2025년 11월 3일 (월) 오전 8:15, Loket <lapor@kota.example>님이 작성:",
        "في الاثنين، 3 نوفمبر 2025 في 8:15 ص تمت كتابة ما يلي بواسطة Loket <lapor@kota.example>:",
        "Vào Th 2, 3 thg 11, 2025 vào lúc 08:15 Loket <lapor@kota.example> đã viết:",
    ] {
        for gap in ["", "\n"] {
            let text = format!("Lampu masih mati.\n\n{header}\n{gap}{QUOTE}");
            assert_eq!(told(&text), ("NHQ".to_owned(), "Lampu masih mati.".to_owned()), "{text}");
            let below = format!("{header}\n{gap}{QUOTE}\nLampu masih mati.\n");
            assert_eq!(told(&below), ("HQN".to_owned(), "Lampu masih mati.".to_owned()), "{below}");
        }
    }
}

#[test]
fn a_sure_header_needs_no_quoted_lines_below() {
    check(&[
        (
            "Belum selesai.\n\nPada Senin, 3 November 2025 08.15.01 WIB, Loket <lapor@kota.example> menulis:\n\n Laporan diterima.\n",
            "NHQ",
            "Belum selesai.",
        ),
        ("Not yet.\n\nOn 3/11/25, 08:15, \"Loket\" <lapor@kota.example> wrote:\n\n    Received.\n", "NHQ", "Not yet."),
        (
            "Belum.\n\nDikirim dari Yahoo Mail di Android \n \n  Pada Sen, 3 Nov 2025 pada 8:16, Loket<lapor@kota.example> menulis:   Terima kasih.\nNomor.",
            "NSHQ",
            "Belum.",
        ),
        ("Ya.\n\n>>> \"Loket\" <lapor@kota.example> 11/3/2025 4:20 PM >>>\nMohon kabar.\n", "NHQ", "Ya."),
        ("Belum.\n\nLoket <lapor@kota.example> 于2025年11月3日周一 08:15写道：\n收到。\n", "NHQ", "Belum."),
    ]);
}

#[test]
fn blocks_of_outlook_and_phones_are_headers() {
    for block in [
        "From: Loket <lapor@kota.example>\nSent: Monday, November 3, 2025 8:15 AM\nTo: Budi <budi@example.org>\nSubject: Laporan",
        "________________________________\nFrom: Loket <lapor@kota.example>\nSent: Monday, November 3, 2025 8:15 AM\nTo: Budi\nCc: Siti\nSubject: Laporan",
        "________________________________\nDari: Loket <lapor@kota.example>\nDikirim: Senin, 03 November 2025 08.15\nKepada: Budi\nPerihal: Laporan",
        "*Dari:* Loket <lapor@kota.example>\n*Dikirim:* 03 November 2025 08:15\n*Kepada:* Budi\n*Subjek:* Laporan",
        "*From:*Loket <lapor@kota.example>\n*Date:*Monday, 3 November 2025 at 08:15\n*To:*Budi\n*Subject:*Laporan",
        "-----Original Message-----\nFrom: Loket [mailto:lapor@kota.example]\nSent: Monday, November 03, 2025 8:15 AM\nTo: Budi\nSubject: Laporan",
        "-----Pesan Asli-----\nDari: Loket\nDikirim: 3 Nov 2025\nKepada: Budi\nPerihal: Laporan",
        "-------- Pesan asal --------\nDari: Loket <lapor@kota.example>\nTanggal: 03/11/25 08.15 (GMT+07:00)\nKepada: Budi\nSubjek: Laporan",
        "-------- Original message --------",
        "Von: Loket <lapor@kota.example>\nGesendet: Montag, 3. November 2025 08:15\nAn: Budi\nBetreff: Laporan",
        "De : Loket <lapor@kota.example>\nEnvoyé : lundi 3 novembre 2025 08:15\nÀ : Budi\nObjet : Laporan",
        "De: Loket <lapor@kota.example>\nEnviado: lunes, 3 de noviembre de 2025 8:15\nPara: Budi\nAsunto: Laporan",
        "Van: Loket <lapor@kota.example>\nVerzonden: maandag 3 november 2025 08:15\nAan: Budi\nOnderwerp: Laporan",
        "Da: Loket <lapor@kota.example>\nInviato: lunedì 3 novembre 2025 08:15\nA: Budi\nOggetto: Laporan",
        "发件人: Loket <lapor@kota.example>\n发送时间: 2025年11月3日 8:15\n收件人: Budi\n主题: Laporan",
        "差出人: Loket <lapor@kota.example>\n送信日時: 2025年11月3日 8:15\n宛先: Budi\n件名: Laporan",
        "From: Loket <lapor@kota.example>\nSent: Monday, November 3, 2025 8:15 AM\nTo: Budi <budi@example.org>;\n Siti <siti@example.org>\nSubject: Laporan",
        "From: Loket <lapor@kota.example>\n\nSent: Monday, November 3, 2025 8:15 AM\n\nTo: Budi\n\nSubject: Laporan",
    ] {
        let text = format!("Lampu masih mati.\n\n{block}\n\nLaporan Anda kami terima.\nNomor E3S-3E2-8JE\n");
        assert_eq!(told(&text), ("NHQ".to_owned(), "Lampu masih mati.".to_owned()), "{text}");
    }
}

#[test]
fn what_is_forwarded_is_new() {
    check_kept(&[
        "Mohon dibantu.\n\n---------- Forwarded message ---------\nFrom: PLN <info@listrik.example>\nDate: Mon, Nov 3, 2025 at 8:15 AM\nSubject: Padam\nTo: <budi@example.org>\n\nListrik padam.\n\nOn Mon, 3 Nov 2025 at 08:15, Budi <budi@example.org> wrote:\n> Kapan?\n> Besok?\n",
        "---------- Pesan terusan ---------\nDari: PLN <info@listrik.example>\nDate: Sen, 3 Nov 2025 pukul 08.15\nSubject: Padam\n\nListrik padam.\n\n-- \nPLN\n",
        "Begin forwarded message:\n\n> From: PLN <info@listrik.example>\n> Subject: Padam\n> \n> Listrik padam.\n",
        "Lihat.\n\n-------- Pesan Diteruskan --------\nDari: PLN\nTanggal: 3 Nov 2025 08:15\nPerihal: Padam\n\nListrik padam.",
        "Lihat.\n\n----- Pesan yang Diteruskan -----\nDari: PLN\n\nListrik padam.",
    ]);
    check(&[(
        "Mohon dibantu.\n\n-- \nBudi\n\n---------- Forwarded message ---------\nFrom: PLN\n\nPadam.",
        "NSN",
        "Mohon dibantu.\n\n---------- Forwarded message ---------\nFrom: PLN\n\nPadam.",
    )]);
    for (subject, is) in
        [("FW: a", true), ("Fwd: a", true), ("Trs: a", true), ("Re: Fwd: a", false), ("Forward", false)]
    {
        assert_eq!(is_forwarded(subject), is, "{subject}");
    }
}

#[test]
fn signatures_and_lines_of_phones_are_set_aside() {
    check(&[
        ("Jalan rusak.\n\n-- \nBudi\n0811\n", "NS", "Jalan rusak."),
        ("Jalan rusak.\n--\nBudi", "NS", "Jalan rusak."),
        ("Jalan rusak.\n\nDikirim dari iPhone saya", "NS", "Jalan rusak."),
        ("Jalan rusak.\n\nSent from my iPhone\n", "NS", "Jalan rusak."),
        ("Jalan rusak.\n\nTerkirim dari Samsung saya\n", "NS", "Jalan rusak."),
        ("Jalan rusak.\n\nDapatkan Outlook untuk Android<https://aka.ms/AAb9ysg>\n", "NS", "Jalan rusak."),
        ("Jalan rusak.\n\nGet Outlook for iOS\n<https://aka.ms/o0ukef>\n", "NS", "Jalan rusak."),
        ("Jalan rusak.\n\nDikirim dari Yahoo Mail di Android", "NS", "Jalan rusak."),
        ("Jalan rusak.\n\nSent with [Proton Mail](https://proton.example/) secure email.", "NS", "Jalan rusak."),
        ("Jalan rusak.\nDikirim dari iPhone saya", "NS", "Jalan rusak."),
        ("壊れた道。\n\niPhoneから送信", "NS", "壊れた道。"),
        (
            "Jalan rusak.\n\nBudi\n\nSent from my Galaxy\n\nOn Mon, 3 Nov 2025, Loket <l@kota.example> wrote:\n> a\n> b",
            "NSHQ",
            "Jalan rusak.\n\nBudi",
        ),
        ("Rusak.\n\nOn 3 Nov 2025, Loket <l@kota.example> wrote:\n> a\n\nSent from my iPhone", "NHQS", "Rusak."),
        (
            "Rusak.\n\nSent from my iPhone\n\n> On 3 Nov 2025, at 08:15, Loket <l@kota.example> wrote:\n> \n> \u{feff}a",
            "NSQ",
            "Rusak.",
        ),
        (
            "Rusak.\n_______________________________________________\nWarga mailing list\nhttps://milis.example/listinfo/warga\n",
            "NS",
            "Rusak.",
        ),
    ]);
    check_kept(&[
        "Hormat saya,\nBudi Santoso\nRT 03 RW 05",
        "Aduan itu sudah\ndikirim dari email kantor.",
        "Jalan rusak.\n\nDikirim dari kantor kecamatan surat itu ditolak.",
        "Sudah dua kali.\n--\nKronologi: pada tanggal tiga saya melapor ke kelurahan, lalu ke kecamatan, lalu ke dinas, dan di setiap tempat saya diminta kembali minggu depan karena berkasnya belum lengkap padahal semua sudah saya bawa, lihat foto.",
    ]);
}

#[test]
fn disclaimers_are_set_aside_and_citizens_words_are_not() {
    let english = "This e-mail and any attachments are confidential and intended solely for the addressee. If you have received this e-mail in error, please notify the sender and delete it.";
    let indonesian = "Email ini dan lampirannya bersifat rahasia dan hanya ditujukan kepada penerima yang dimaksud. Apabila Anda bukan penerima, dilarang menyebarluaskan isinya.";
    for disclaimer in [english, indonesian] {
        let text = format!("Jalan rusak.\n\nBudi\n\n{disclaimer}\n");
        assert_eq!(told(&text), ("ND".to_owned(), "Jalan rusak.\n\nBudi".to_owned()));
        let text = format!("Jalan rusak.\n\n-- \nBudi\n\n______________\nDISCLAIMER:\n{disclaimer}\n\n{english}\n");
        assert_eq!(told(&text), ("NSD".to_owned(), "Jalan rusak.".to_owned()));
        let text = format!("Rusak.\n\nOn 3 Nov 2025, X <l@kota.example> wrote:\n> a\n\n{disclaimer}\n");
        assert_eq!(told(&text), ("NHQD".to_owned(), "Rusak.".to_owned()));
    }
    check(&[("Rusak.\n\nPlease consider the environment before printing this e-mail.", "ND", "Rusak.")]);
    check_kept(&[
        "Yth. Wali Kota,\n\nSurat ini ditujukan kepada Bapak. Mohon identitas saya dirahasiakan, dan lampiran dilarang disebarluaskan.",
        "Email ini bersifat rahasia dan ditujukan kepada Ombudsman. Saya takut, mohon lampiran foto dihapus setelah dibaca.",
    ]);
    check(&[(english, "D", english)]);
}

#[test]
fn inline_answers_keep_everything() {
    check_kept(&[
        "On Mon, 3 Nov 2025, X <l@kota.example> wrote:\n> Di mana?\n\nJalan Melati.\n\n> Kapan?\n\nKemarin.",
        "Halo,\n\nOn Mon, 3 Nov 2025, X <l@kota.example> wrote:\n> Di mana?\n\nJalan Melati.",
        "> Di mana?\n> Kapan?\n\nJalan Melati.",
        "Lihat di bawah.\n\n> Halo,\n> Di mana?\nJalan Melati.\n> Kapan?\nKemarin.\n\nFrom: X <x@kota.example>\nSent: Monday, November 3, 2025 8:15 AM\nTo: Budi\nSubject: a\n\nb",
    ]);
}

#[test]
fn quoted_lines_come_in_many_shapes() {
    check(&[
        ("Ya.\n\n> satu\n> dua", "NQ", "Ya."),
        ("Ya.\n\n>satu\n>dua", "NQ", "Ya."),
        ("Ya.\n\n> > satu", "NQ", "Ya."),
        ("Ya.\n\n>> satu\n> dua", "NQ", "Ya."),
        ("Ya.\n\n  > satu\n\n  > dua", "NQ", "Ya."),
        (
            "Ya.\n\nOn Mon, 3 Nov 2025, A <a@kota.example> wrote:\n> a\n\nOn Sun, 2 Nov 2025, B <b@kota.example> wrote:\n> b",
            "NHQHQ",
            "Ya.",
        ),
        ("Ya.\n\n[Kutipan teks disembunyikan]\n[Kutipan teks disembunyikan]", "NQ", "Ya."),
        ("> satu\n> dua", "Q", "> satu\n> dua"),
    ]);
    check_kept(&[
        "Korban sekarang\n> 100 orang.",
        "Jumlah > 100 rumah.",
        "> 5 rumah: rusak\n> 10 rumah: terendam",
        "Keluhan saya:\n> jalan rusak\n> lampu mati",
        "Ya.\n> ini penting!",
    ]);
}

#[test]
fn own_words_that_look_like_headers_are_kept() {
    check_kept(&[
        "Dari: Budi Santoso\nKepada: Dinas PU\nPerihal: Jalan rusak\n\nDengan hormat, jalan rusak.",
        "\nDari: Budi <budi@example.org>\nTanggal: 3 November 2025 08.15\nKepada: Dinas PU\nPerihal: Jalan rusak\n\nDengan hormat.",
        "Kepada Yth.\nLurah\n\nDari: Budi\nTanggal: 3 November 2025\nKepada: Lurah\nPerihal: Jalan\n\nDengan hormat.",
        "Saya naik bus.\nDari: Jakarta\nKe: Bandung\nBus tidak datang.",
        "Pada tanggal 3 November 2025 pukul 08.15 petugas menulis:\nakan diperbaiki.\nSampai sekarang belum.",
        "On Monday the officer wrote: it is fixed. It is not.",
        "Petugas itu menulis: selesai.",
        "Catatan:\nDe: facto ditutup.",
        "____________________\nNama: Budi\nHal: jalan",
    ]);
}

#[test]
fn a_letter_without_new_words_says_what_it_quotes() {
    check(&[
        (
            "On Mon, 3 Nov 2025, X <l@kota.example> wrote:\n> a\n> b",
            "HQ",
            "On Mon, 3 Nov 2025, X <l@kota.example> wrote:\n> a\n> b",
        ),
        (
            "-----Original Message-----\nFrom: X\nSubject: a\n\nb",
            "HQ",
            "-----Original Message-----\nFrom: X\nSubject: a\n\nb",
        ),
        ("Sent from my iPhone", "S", "Sent from my iPhone"),
        ("", "", ""),
        (" \n\n", "N", ""),
    ]);
    let long = "> a\n".repeat(LONGEST / 4 + 1);
    assert_eq!(split(&long).parts, [(Kind::New, 0..long.len())]);
}

fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "> ",
        ">",
        ">>",
        "\n",
        "\r\n",
        "\n\n",
        "-- \n",
        "--\n",
        "On Mon, 3 Nov 2025, X <a@b.example> wrote:\n",
        "Pada ",
        "menulis:\n",
        "From: a@b.example\n",
        "Sent: 1 Jan 2025 08:15\n",
        "To: b\n",
        "Subject: c\n",
        "-----Original Message-----\n",
        "________________________________\n",
        "---------- Forwarded message ---------\n",
        "Sent from my iPhone\n",
        "teks",
        "jalan rusak\n",
        "\u{feff}",
        "\u{a0}",
        "écrit :\n",
        "写道：",
        "This e-mail and any attachments are confidential, delete it.\n",
    ]);
    prop_oneof![known.prop_map(str::to_owned), ".{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_parts_are_the_whole_text(fragments in prop::collection::vec(fragment(), 0..24)) {
        let text = fragments.concat();
        let split = split(&text);
        let mut end = 0;
        for (_, range) in &split.parts {
            prop_assert_eq!(range.start, end);
            prop_assert!(range.end > range.start);
            prop_assert!(text.get(range.clone()).is_some());
            end = range.end;
        }
        prop_assert_eq!(end, text.len());
        prop_assert!(split.parts.windows(2).all(|pair| pair[0].0 != pair[1].0));
        prop_assert_eq!(split.new_text(&text).is_empty(), text.trim().is_empty());
    }
}

#[test]
fn a_hostile_megabyte_takes_linear_time() {
    for piece in ["> a\nb\n", "On On On ", "On 1\nOn 2\nOn 3\nwrote:\n", "am 1 @:\n", "From:\n", "-- \na\n"] {
        let text = piece.repeat(LONGEST / piece.len());
        // A quadratic step would take minutes. This is without optimisation, on whatever machine runs the tests.
        let started = std::time::Instant::now();
        let split = split(&text);
        assert!(started.elapsed().as_secs() < 15, "{piece:?} took {:?}", started.elapsed());
        assert_eq!(split.parts.last().map(|(_, range)| range.end), Some(text.len()));
    }
}

#[test]
fn words_of_a_citizen_that_look_like_the_end_are_kept() {
    check_kept(&[
        "Saya naik bus.\n\nDari: Jakarta\nKe: Bandung\nTanggal: 3 November 2025 08.15\nBus tidak datang, uang tidak kembali.",
        "Kepada Yth. Dinas PU\n\nDari: Budi (budi@example.org)\nTanggal: 3 November 2025\nPerihal: Jalan rusak\n\nDengan hormat, jalan rusak.",
        "Data pelapor:\nPengirim: budi@example.org\nTanggal: 3 November 2025\nPerihal: Jalan rusak\nIsi: jalan rusak parah.",
        "Jalan rusak.\n________________________________\nSaya sudah bertanya di milis warga, tidak ada jawaban.",
        "Kronologi kejadian:\n--\nPukul 08.00 listrik padam.\nPukul 10.00 petugas datang, lalu pergi lagi.\n--\nMohon segera ditindaklanjuti oleh dinas.",
        "Saya menyimpan surat ini.\n\nPada 3 November 2025 pukul 08.15 petugas (petugas@kota.example) menulis:\nakan diperbaiki.\n\nSampai sekarang belum.",
        "Jawaban saya di bawah.\n\nFrom: Loket <lapor@kota.example>\nSent: Monday, November 3, 2025 8:15 AM\nTo: Budi\nSubject: Laporan\n\nDi mana?\nJalan Melati.",
    ]);
}

#[test]
fn a_disclaimer_right_below_the_last_words_takes_none_of_them() {
    check(&[(
        "Yth. Dinas PU,\n\nLampu jalan di Jalan Melati mati.\nThis e-mail and any attachments are confidential and intended solely for the addressee. If you have received this e-mail in error, please notify the sender and delete it.",
        "ND",
        "Yth. Dinas PU,\n\nLampu jalan di Jalan Melati mati.",
    )]);
}
