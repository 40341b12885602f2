use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::{
    adapter::{Engine, mail::Mail},
    channel::{ChannelFacts, manifest::Manifest},
    complaint::Medium,
    mail::addresses::OurAddresses,
    receipt::ChannelId,
    settings::Settings,
    signature::{Scheme, VerifyMode, rules::VerifyPolicy},
};

fn channel() -> Arc<Channel> {
    let manifest: Manifest = toml::from_str(include_str!("../../../channels/smtp.toml")).expect("a manifest");
    let (scheme, _) = Scheme::compile(&[], VerifyPolicy::default(), true);
    let settings = Settings::default();
    let verifier = scheme.expect("a scheme").with_keys(&settings, VerifyMode::Enforce, "").expect("no keys");
    Arc::new(Channel {
        facts: ChannelFacts::new(ChannelId::new("surat").expect("a slug"), Medium::Email, TimeZone::UTC),
        enabled: true,
        max_body: manifest.receive.max_body,
        manifest: Arc::new(manifest),
        engine: Arc::new(Engine::Mail(Mail::Smtp)),
        post: None,
        bot: None,
        ours: OurAddresses::none(),
        trusted_servers: Vec::new(),
        verifier,
        mode: VerifyMode::Enforce,
        settings,
        receiver: None,
        send_per_second: 1.0,
        acks_per_day: None,
        allow_private_media: false,
        receipts_url: String::new(),
    })
}

/// A session that is spoken to line by line.
struct Talk {
    session: Session,
    channel: Arc<Channel>,
}

impl Talk {
    fn of(dialect: Dialect) -> Self {
        let limits = Limits { letter: 1000, ..Limits::default() };
        Self { session: Session::new(dialect, "mx.kota.example".into(), limits, true), channel: channel() }
    }

    fn step(&mut self, line: &str) -> Step {
        let channel = &self.channel;
        self.session.line(line.as_bytes(), &|address| match address {
            address if address.ends_with("kota.example") => Found::Ours(channel.clone()),
            address if address.ends_with("@later.example") => Found::Later,
            _ => Found::Foreign,
        })
    }

    /// The first words of the answer.
    fn says(&mut self, line: &str) -> String {
        match self.step(line) {
            Step::Say(words) | Step::End(words) => words.chars().take(9).collect(),
            Step::Data => "354".to_owned(),
            Step::Chunk { size, is_last } => format!("{size} {is_last}"),
            Step::StartTls => "220".to_owned(),
        }
    }
}

#[test]
fn a_letter_is_handed_over_in_its_order() {
    let mut talk = Talk::of(Dialect::Smtp);
    for (line, answer) in [
        ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ("LHLO x.example", "500 5.5.1"),
        ("EHLO x.example", "250-mx.ko"),
        ("RCPT TO:<lapor@kota.example>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("MAIL FROM:<a@b.example> SIZE=1001", "552 5.3.4"),
        ("MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME", "250 2.1.0"),
        ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ("DATA", "554 5.5.1"),
        ("RCPT TO:<lapor@elsewhere.example>", "550 5.7.1"),
        ("RCPT TO:<lapor@later.example>", "451 4.3.0"),
        ("RCPT TO:<lapor@kota.example> NOTIFY=NEVER", "250 2.1.5"),
        ("DATA", "354"),
    ] {
        assert_eq!(talk.says(line), answer, "{line}");
    }
    let transaction = talk.session.transaction.expect("a letter");
    assert_eq!((transaction.mail_from.as_str(), transaction.recipients.len()), ("a@b.example", 1));
    assert_eq!(transaction.parameters, ["SIZE=1000", "BODY=8BITMIME"]);
    assert_eq!(transaction.recipients[0].parameters, ["NOTIFY=NEVER"]);
}

#[test]
fn nobody_learns_who_is_here_and_nobody_signs_in() {
    let mut talk = Talk::of(Dialect::Smtp);
    talk.says("EHLO x.example");
    assert_eq!(talk.says("VRFY lapor"), talk.says("VRFY nobody"));
    assert_eq!(talk.says("VRFY lapor"), "252 2.1.5");
    for line in ["EXPN all", "AUTH PLAIN AGEAYg==", "ETRN x", "ATRN x", "BURL imap://x LAST"] {
        assert!(talk.says(line).starts_with("50"), "{line}");
    }
}

#[test]
fn what_was_said_in_clear_is_forgotten_under_tls() {
    let mut talk = Talk::of(Dialect::Smtp);
    talk.says("EHLO x.example");
    talk.says("MAIL FROM:<a@b.example>");
    assert!(matches!(talk.step("STARTTLS"), Step::StartTls));
    talk.session.encrypted();
    assert_eq!(talk.says("RCPT TO:<lapor@kota.example>"), "503 5.5.1");
    assert_eq!(talk.says("MAIL FROM:<a@b.example>"), "503 5.5.1");
    let Step::Say(words) = talk.step("EHLO x.example") else { panic!("words") };
    assert!(!words.contains("STARTTLS") && words.contains("250 SIZE 1000\r\n"), "{words}");
    assert_eq!(talk.says("STARTTLS"), "503 5.5.1");
}

#[test]
fn chunks_and_data_do_not_mix() {
    let mut talk = Talk::of(Dialect::Lmtp);
    assert_eq!(talk.says("EHLO x.example"), "500 5.5.1");
    talk.says("LHLO x.example");
    talk.says("MAIL FROM:<>");
    talk.says("RCPT TO:<lapor@kota.example>");
    assert_eq!(talk.says("BDAT 10"), "10 false");
    assert_eq!(talk.says("DATA"), "503 5.5.1");
    assert_eq!(talk.says("RCPT TO:<lapor@kota.example>"), "503 5.5.1");
    assert_eq!(talk.says("BDAT 0 LAST"), "0 true");
    talk.says("RSET");
    assert!(matches!(talk.step("BDAT 99999 LAST"), Step::End(_)), "its bytes must not be read as commands");
}

#[test]
fn a_chunk_whose_size_nobody_knows_ends_the_session() {
    for line in
        ["BDAT", "BDAT x", "BDAT 5 4", "BDAT -1", "BDAT 184467440737095516155 LAST", "bdat 18446744073709551615"]
    {
        let mut talk = Talk::of(Dialect::Smtp);
        for before in ["EHLO x.example", "MAIL FROM:<>", "RCPT TO:<lapor@kota.example>"] {
            talk.says(before);
        }
        assert!(matches!(talk.step(line), Step::End(_)), "{line}");
    }
}

#[test]
fn a_letter_to_many_strangers_and_to_us_arrives() {
    let mut talk = Talk::of(Dialect::Smtp);
    talk.says("EHLO x.example");
    talk.says("MAIL FROM:<>");
    for _ in 0..99 {
        assert_eq!(talk.says("RCPT TO:<a@elsewhere.example>"), "550 5.7.1");
    }
    assert_eq!(talk.says("RCPT TO:<lapor@kota.example>"), "250 2.1.5");
    assert_eq!(talk.says("RCPT TO:<lapor@kota.example>"), "452 4.5.3");
    assert_eq!(talk.says("DATA"), "354");
}

#[test]
fn the_postmaster_has_no_domain_and_some_scanners_no_brackets() {
    let mut talk = Talk::of(Dialect::Smtp);
    talk.says("EHLO x.example");
    assert_eq!(talk.says("MAIL FROM:scanner@example.org SIZE=5"), "250 2.1.0");
    assert_eq!(talk.says("RCPT TO: lapor@kota.example"), "250 2.1.5");
    assert_eq!(talk.says("RCPT TO:<Postmaster>"), "250 2.1.5");
    assert_eq!(talk.says("RCPT TO:<>"), "550 5.7.1");
    let transaction = talk.session.transaction.expect("a letter");
    assert_eq!(transaction.mail_from, "scanner@example.org");
    assert_eq!(transaction.recipients[1].address, "postmaster@mx.kota.example");
}

#[test]
fn who_makes_nothing_but_mistakes_is_sent_away() {
    let mut talk = Talk::of(Dialect::Smtp);
    let ends = (0..30).position(|_| matches!(talk.step("NONSENSE"), Step::End(_)));
    assert_eq!(ends, Some(20));
}

#[test]
fn addresses_may_be_written_in_any_script() {
    let mut talk = Talk::of(Dialect::Smtp);
    talk.says("EHLO x.example");
    assert_eq!(talk.says("MAIL FROM:<\u{7528}\u{6237}@\u{4f8b}\u{5b50}.example> SMTPUTF8"), "250 2.1.0");
    assert_eq!(talk.says("RCPT TO:<lap\u{f6}r@kota.example>"), "250 2.1.5");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_line_is_answered(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..6)) {
        let mut talk = Talk::of(Dialect::Smtp);
        talk.says("EHLO x.example");
        for line in lines {
            let step = talk.session.line(&line, &|_| Found::Foreign);
            if let Step::Say(words) | Step::End(words) = step {
                prop_assert!(words.ends_with("\r\n") && words.lines().all(|line| line.len() > 3));
            }
        }
    }
}
