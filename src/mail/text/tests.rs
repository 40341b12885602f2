use super::*;

fn content(letter: &str) -> Content {
    Content::of(&Tree::of(letter.as_bytes()))
}

/// `{}` in a part stands for its header and body.
fn multipart(kind: &str, parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("--x\n{part}\n")).collect::<Vec<_>>().concat();
    format!("Content-Type: multipart/{kind}; boundary=x\n\n{parts}--x--\n")
}

const PLAIN: &str = "Content-Type: text/plain\n\nJalan rusak";
const HTML: &str = "Content-Type: text/html\n\n<p>Jalan <b>sangat</b> rusak</p>";

const CALENDAR: &str = "Content-Type: text/calendar\n\nBEGIN:VEVENT\nSUMMARY:Rapat\nEND:VEVENT";

#[test]
fn the_best_of_several_bodies_is_taken() {
    let stub = "Content-Type: text/plain\n\nYour mail client does not support HTML";
    let empty = "Content-Type: text/plain\n\n \n";
    let long = format!("Content-Type: text/html\n\n<p>{}</p>", "kata ".repeat(1000));
    for (letter, expected) in [
        (multipart("alternative", &[PLAIN, HTML]), "Jalan rusak"),
        (multipart("alternative", &[stub, HTML]), "Jalan sangat rusak"),
        (multipart("alternative", &[empty, HTML]), "Jalan sangat rusak"),
        (multipart("alternative", &[HTML]), "Jalan sangat rusak"),
        (multipart("mixed", &[PLAIN, HTML]), "Jalan rusak\n\nJalan sangat rusak"),
        (multipart("related", &[HTML]), "Jalan sangat rusak"),
        (multipart("alternative", &[PLAIN, CALENDAR]), "Jalan rusak"),
        (multipart("alternative", &[empty, CALENDAR]), "Rapat"),
        (multipart("signed", &[PLAIN, "Content-Type: application/pgp-signature\n\nx"]), "Jalan rusak"),
        (multipart("mixed", &["Content-Type: text/x-aneh\n\nhalo"]), "halo"),
        (multipart("mixed", &[PLAIN, "Content-Type: text/plain; name=a.txt\n\nisi"]), "Jalan rusak"),
        (multipart("mixed", &["Content-Type: message/rfc822\n\nFrom: a@example.org\nSubject: =?utf-8?Q?x?=\n\nisi"]), "---------- Forwarded message ---------\nFrom: a@example.org\nSubject: x\n\nisi"),
        ("Content-Type: text/plain; format=flowed\n\nJalan \nrusak".to_owned(), "Jalan rusak"),
        ("\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- -- halo\n-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----\n".to_owned(), "-- halo"),
    ] {
        assert_eq!(content(&letter).text, expected, "{letter}");
    }
    let poor = content(&multipart("alternative", &[PLAIN, &long]));
    assert!(poor.text.len() > 4_000);
}

#[test]
fn levels_of_empty_alternatives_are_read_once_each() {
    let level = |inner: String, level: usize| {
        format!(
            "Content-Type: multipart/alternative; boundary=b{level}\n\n--b{level}\n\n\n--b{level}\n{inner}\n--b{level}--\n"
        )
    };
    let letter = (0..30).fold("Content-Type: text/html\n\n<br>".to_owned(), level);
    assert_eq!(content(&letter).text, "");
}

#[test]
fn what_cannot_be_shown_has_a_name() {
    let letter = multipart(
        "encrypted",
        &["Content-Type: application/pgp-encrypted\n\nVersion: 1", "Content-Type: application/octet-stream\n\nx"],
    );
    let content = content(&letter);
    assert_eq!((content.text.as_str(), content.unsupported, content.used.len()), ("", Some("encrypted"), 1));
}

#[test]
fn a_text_beyond_the_limit_is_cut_and_stays_a_file() {
    let letter = format!("Content-Type: text/plain\n\n{}", "a".repeat(BODY + 10));
    let content = content(&letter);
    assert!(content.text.len() == BODY && content.loss.happened() && content.used.is_empty());
}
