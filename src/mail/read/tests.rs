use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::mail::{Envelope, addresses::OurAddresses};

fn read_at(letter: &[u8], envelope: &Envelope) -> Result<Letter, Unreadable> {
    let ours = OurAddresses::parse("lapor@kota.example, *@aduan.kota.example").expect("addresses");
    let trusted_servers = ["mx.kota.example".to_owned()];
    let received_at = "2025-11-05T03:00:00Z".parse().expect("a time");
    read(letter, &Circumstances { envelope, ours: &ours, trusted_servers: &trusted_servers, received_at })
}

fn message(letter: &[u8]) -> Message {
    read_at(letter, &Envelope::default()).expect("a letter").message
}

const SAMPLE: &str = "Return-Path: <budi@example.org>\r\n\
    Authentication-Results: mx.kota.example; spf=pass smtp.mailfrom=example.org; dkim=pass header.d=example.org\r\n\
    Received: from a by b; Wed, 5 Nov 2025 09:58:30 +0700\r\n\
    From: =?utf-8?Q?Budi_Santoso?= <Budi@Example.org>\r\n\
    To: Lapor <lapor+tok@kota.example>\r\n\
    Reply-To: rumah@example.org\r\n\
    Subject: =?utf-8?B?SmFsYW4gcnVzYWs=?=\r\n\
    Date: Wed, 5 Nov 2025 09:58:00 +0700\r\n\
    Message-ID: <a@example.org>\r\n\
    In-Reply-To: <b@kota.example>\r\n\
    References: <c@kota.example> <b@kota.example>\r\n\
    Content-Language: id, en\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"batas\"\r\n\
    \r\n\
    --batas\r\n\
    Content-Type: multipart/alternative; boundary=dalam\r\n\
    \r\n\
    --dalam\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\
    \r\n\
    Jalan rusak di kaf=C3=A9.\r\n\
    --dalam\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    \r\n\
    <p>Jalan rusak</p>\r\n\
    --dalam--\r\n\
    --batas\r\n\
    Content-Type: application/pdf; name=surat.pdf\r\n\
    Content-Disposition: attachment; filename*=utf-8''surat%20saya.pdf\r\n\
    Content-Transfer-Encoding: base64\r\n\
    \r\n\
    JVBERi0xLjQK\r\n\
    --batas--\r\n";

#[test]
fn a_letter_becomes_one_message() {
    let letter = read_at(SAMPLE.as_bytes(), &Envelope::default()).expect("a letter");
    let message = letter.message;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    assert_eq!(text(&message.id), "<a@example.org>");
    assert_eq!(text(&message.from), "Budi@example.org");
    assert_eq!(text(&message.sender_name), "Budi Santoso");
    assert_eq!(message.identities, [Identity { kind: "email".to_owned(), value: "Budi@example.org".to_owned() }]);
    assert_eq!(text(&message.to), "lapor@kota.example");
    assert_eq!(
        (text(&message.reply_token), text(&message.reply_address)),
        ("tok".to_owned(), "rumah@example.org".to_owned())
    );
    assert_eq!(text(&message.subject), "Jalan rusak");
    assert_eq!(text(&message.text), "Jalan rusak di kafé.");
    assert_eq!(message.sent_at.map(|date| date.to_string()).as_deref(), Some("2025-11-05T02:58:00Z"));
    assert_eq!((text(&message.reply_to), text(&message.language)), ("<b@kota.example>".to_owned(), "id".to_owned()));
    assert_eq!(message.references, ["<c@kota.example>", "<b@kota.example>"]);
    let [file] = &message.attachments[..] else { panic!("{} files", message.attachments.len()) };
    assert_eq!((text(&file.filename), text(&file.reference)), ("surat saya.pdf".to_owned(), "part:4".to_owned()));
    assert_eq!((file.size_bytes, file.inline), (Some(9), false));
    assert_eq!(letter.checks.len(), 2);
    assert!(message.auth.is_some() && !message.lossy);
}

#[test]
fn letters_without_the_usual_are_read() {
    let bare = message(b"halo");
    assert_eq!(bare.text.as_deref(), Some("halo"));
    assert!(bare.id.is_some_and(|id| id.len() == 71 && id.starts_with("sha256:")));
    let windows = message(b"From: Caf\xe9 <a@example.org>\nSubject: caf\xe9\n\ncaf\xe9");
    assert_eq!((windows.subject.as_deref(), windows.text.as_deref()), (Some("café"), Some("café")));
    assert!(!windows.lossy);
    let broken = message(b"Content-Type: text/plain; charset=utf-8\n\n\xc3\xa9 \xff");
    assert!(broken.lossy && broken.text.as_deref() == Some("é \u{fffd}"));
    for nothing in [&b""[..], b" \r\n\r\n"] {
        assert!(read_at(nothing, &Envelope::default()).is_err());
    }
    assert!(read_at(&vec![b'a'; limits::LETTER + 1], &Envelope::default()).is_err());
}

/// Letters that were made to be slow or large, at a size that a test without optimisation reads in a moment.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let nested: String = (0..10_000)
        .map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"))
        .collect::<Vec<_>>()
        .concat();
    let html = |page: String| format!("Content-Type: text/html\n\n{page}").into_bytes();
    let continuations: String =
        (0..200_000).map(|number| format!("\n name*{number}*=%41;")).collect::<Vec<_>>().concat();
    let words = "=?utf-8?Q?a?= ".repeat(100_000);
    vec![
        ("nested multiparts", nested.into_bytes()),
        ("nested letters", "Content-Type: message/rfc822\n\n".repeat(10_000).into_bytes()),
        (
            "parts",
            format!(
                "Content-Type: multipart/mixed; boundary=a\n\n{}",
                "--a\nContent-Type: image/png\n\nx\n".repeat(100_000)
            )
            .into_bytes(),
        ),
        (
            "empty parts",
            format!("Content-Type: multipart/mixed; boundary=a\n\n{}", "--a\n".repeat(100_000)).into_bytes(),
        ),
        ("a long field", format!("Subject: {}\n\nhalo", "a".repeat(8 << 20)).into_bytes()),
        ("many fields", format!("{}\nhalo", "X-Satu: dua\n".repeat(500_000)).into_bytes()),
        (
            "no final boundary",
            format!("Content-Type: multipart/mixed; boundary=a\n\n--a\n\n{}", "halo\n".repeat(500_000)).into_bytes(),
        ),
        ("continuations", format!("Content-Type: image/png;{continuations}\n\nx").into_bytes()),
        ("encoded words", format!("Subject: {words}\nFrom: {words}\nTo: {words}\n\nx").into_bytes()),
        ("words without end", format!("Subject: {}\n\nx", "=?utf-8?Q?".repeat(100_000)).into_bytes()),
        ("addresses", format!("From: {}\nTo: {}\n\nx", "(".repeat(60_000), "<a@b.c>,".repeat(100_000)).into_bytes()),
        ("deep HTML", html("<div><b>".repeat(50_000))),
        ("angle brackets", html("<".repeat(1_000_000))),
        ("tables", html("<table><tr><td>x".repeat(20_000))),
        ("a large page", html("<p>halo dunia</p>".repeat(40_000))),
        ("references", format!("References: {}\n\nx", "<a@b> ".repeat(200_000)).into_bytes()),
        ("letters in base64", nested_base64()),
        ("lines", "\n".repeat(2_000_000).into_bytes()),
    ]
}

fn nested_base64() -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut letter = b"Subject: x\n\nhalo".to_vec();
    for _ in 0..30 {
        let head = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n";
        letter = format!("{head}{}", STANDARD.encode(&letter)).into_bytes();
    }
    letter
}

#[test]
fn letters_made_to_be_slow_are_read_in_time() {
    let started = Instant::now();
    for (name, bomb) in bombs() {
        let one = Instant::now();
        let read = read_at(&bomb, &Envelope::default());
        if let Ok(letter) = &read {
            assert!(letter.message.attachments.len() <= limits::ATTACHMENTS, "{name}");
            assert!(letter.message.text.as_ref().is_none_or(|text| text.len() <= 2 * limits::TEXT), "{name}");
        }
        assert!(one.elapsed().as_secs() < 10, "{name}: {:?}", one.elapsed());
        println!("{name}: {:?}, {}", one.elapsed(), if read.is_ok() { "read" } else { "unreadable" });
    }
    println!("{:?}", started.elapsed());
}

#[test]
fn every_beginning_of_a_letter_is_read() {
    for end in 1..SAMPLE.len() {
        let read = read_at(&SAMPLE.as_bytes()[..end], &Envelope::default());
        assert!(read.is_ok(), "{end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_bytes_are_a_letter(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let is_blank = bytes.trim_ascii().is_empty();
        prop_assert_eq!(read_at(&bytes, &Envelope::default()).is_err(), is_blank);
    }

    #[test]
    fn a_spoilt_letter_is_read_and_its_files_are_found(
        spoilt in proptest::collection::vec((0..SAMPLE.len(), any::<u8>()), 0..20),
        cuts in proptest::collection::vec((0..SAMPLE.len(), 0..40_usize), 0..4),
    ) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        for (at, byte) in spoilt {
            bytes[at] = byte;
        }
        for (at, length) in cuts {
            let at = at.min(bytes.len());
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        let letter = read_at(&bytes, &Envelope::default()).expect("a letter");
        for file in letter.message.attachments {
            let found = crate::mail::attachments::part(&bytes, &file.reference.expect("a reference")).expect("its bytes");
            prop_assert_eq!(file.sha256, Some(sha256(&found)));
        }
    }
}
