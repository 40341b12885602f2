use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::*;
use crate::{
    complaint::Medium,
    message::{Automatic, Group},
    receipt::{ChannelId, Proves, ReceiptId, Verdict},
};

fn channel() -> ChannelFacts {
    ChannelFacts::new(ChannelId::new("sms-1708").expect("a slug"), Medium::Sms, TimeZone::UTC)
}

fn origin(content: bool, second: i64) -> Arc<Origin> {
    Arc::new(Origin {
        id: ReceiptId(uuid::Uuid::nil()),
        channel: ChannelId::new("sms-1708").expect("a slug"),
        received_at: Timestamp::from_second(second).expect("a time"),
        draw: [7; 16],
        verdict: Verdict {
            result: VerdictResult::Pass,
            proves: Proves { sender: true, content, freshness: false },
            detail: String::new(),
            checks: Vec::new(),
            nonce: None,
        },
        media_type: "application/json".to_owned(),
        size_bytes: 1,
        sha256: [0; 32],
    })
}

fn message(id: Option<&str>, from: &str, text: &str) -> Message {
    Message {
        id: id.map(str::to_owned),
        from: Some(from.to_owned()),
        to: Some("1708".to_owned()),
        text: Some(text.to_owned()),
        ..Message::default()
    }
}

fn normalised(content: bool, message: Message) -> Normalised {
    normalise(&origin(content, 1_700_000_000), 0, message, &channel())
}

#[test]
fn a_sender_is_typed_and_only_a_number_can_be_answered() {
    for (from, kind, value, replyable) in [
        ("0811-0000-0001", "phone", "+6281100000001", true),
        ("1708", "short_code", "1708", false),
        ("3636", "short_code", "3636", false),
        ("TELKOMSEL", "alphanumeric", "TELKOMSEL", false),
        ("BPJSTK", "alphanumeric", "BPJSTK", false),
        ("+999000111222", "opaque", "+999000111222", true),
    ] {
        let message = normalised(true, message(Some("1"), from, "lampu jalan mati"));
        assert_eq!((message.identity.kind.as_str(), message.identity.value.as_str()), (kind, value), "{from}");
        // Our own short code writes to itself in the second line, which is the same answer.
        assert_eq!(message.replyable, replyable, "{from}");
        assert_eq!(message.flags.contains(&Flag::NotReplyable), !replyable, "{from}");
        assert_eq!(message.message.from.as_deref(), Some(value));
    }
}

#[test]
fn a_number_that_writes_to_itself_is_not_answered() {
    let mut own = message(Some("1"), "+6281100000001", "halo");
    own.to = Some("6281100000001".to_owned());
    assert!(!normalised(true, own).replyable);
}

#[test]
fn a_sender_with_several_names_keeps_the_first_as_primary() {
    let identity = |kind: &str, value: &str| Identity { kind: kind.to_owned(), value: value.to_owned() };
    let mut several = message(Some("1"), "whoever", "halo");
    several.identities = vec![
        identity("whatsapp_bsuid", "ID.1234567890"),
        identity("phone", "6281100000001"),
        identity("phone", "+6281100000001"),
        identity("email", "Warga@Contoh.EXAMPLE"),
        identity("planet", "mars"),
        identity("username", "  "),
    ];
    let message = normalised(true, several);
    let names: Vec<(&str, &str)> =
        message.message.identities.iter().map(|name| (name.kind.as_str(), name.value.as_str())).collect();
    assert_eq!(
        names,
        [
            ("whatsapp_bsuid", "ID.1234567890"),
            ("phone", "+6281100000001"),
            ("email", "Warga@contoh.example"),
            ("opaque", "mars"),
        ]
    );
}

#[test]
fn an_id_is_enough_only_where_the_content_is_proven() {
    let signed = normalised(true, message(Some("SM1"), "081100000001", "satu"));
    assert_eq!(signed.claim, "SM1");
    let (one, two) = (message(Some("SM1"), "081100000001", "satu"), message(Some("SM1"), "081100000001", "dua"));
    let (one, again, two) = (normalised(false, one.clone()), normalised(false, one), normalised(false, two));
    assert!(one.claim.starts_with("SM1~") && one.claim.len() == 4 + 16, "{}", one.claim);
    assert_eq!((&one.claim, &one.claim_keys), (&again.claim, &again.claim_keys));
    assert_ne!(one.claim_keys, two.claim_keys, "two complaints under one unsigned id both survive");
    assert!(!one.claim_is_weak && one.claim_window.is_none());
}

#[test]
fn other_pages_under_the_same_words_and_names_are_another_message() {
    let scanned = |pages: &str| {
        let mut message = message(Some("scan@printer"), "081100000001", "");
        let sha256 = Some(claim::sha256_hex(pages.as_bytes()));
        message.attachments = vec![Attachment { filename: Some("scan.pdf".into()), sha256, ..Attachment::default() }];
        normalised(false, message)
    };
    assert_eq!(scanned("one").claim_keys, scanned("one").claim_keys);
    assert_ne!(scanned("one").claim_keys, scanned("two").claim_keys);
}

#[test]
fn without_an_id_the_same_words_are_one_message_for_ten_minutes() {
    let at = |second| normalise(&origin(true, second), 0, message(None, "081100000001", "air mati"), &channel());
    let shares = |one: &Normalised, other: &Normalised| one.claim_keys.iter().any(|key| other.claim_keys.contains(key));
    for begin in [1_700_000_000, 1_700_000_399, 1_700_000_400] {
        let first = at(begin);
        assert!(first.claim_is_weak && first.flags.contains(&Flag::DedupeWeak));
        assert_eq!(first.claim_window, Some(Span::from_secs(600)));
        assert!(shares(&first, &at(begin + 1)) && shares(&first, &at(begin + 599)), "{begin}");
        assert!(!shares(&first, &at(begin + 1200)) && first.claim != at(begin + 1200).claim, "{begin}");
    }
    let mut dated = message(None, "081100000001", "air mati");
    dated.sent_at = Some(Timestamp::from_second(1_699_999_990).expect("a time"));
    let first = normalised(true, dated.clone());
    let later = normalise(&origin(true, 1_700_090_000), 0, dated, &channel());
    assert_eq!((first.claim_window, &first.claim_keys), (None, &later.claim_keys));
    assert_eq!(first.message.dedupe.as_deref(), Some("weak"));
}

#[test]
fn nobody_shares_a_memory_with_other_nobodies() {
    let nameless = |id: &str| Message { id: Some(id.to_owned()), text: Some("halo".to_owned()), ..Message::default() };
    let (one, two) = (normalised(true, nameless("1")), normalised(true, nameless("2")));
    assert_ne!(one.sender, two.sender);
    assert!(!one.replyable);
    let national = normalised(true, message(Some("1"), "081100000001", "a"));
    let international = normalised(true, message(Some("2"), "+6281100000001", "b"));
    assert_eq!(national.sender, international.sender, "one number in two spellings is one sender");
}

#[test]
fn ids_that_would_not_stand_in_a_key_are_hashed() {
    let odd = normalised(true, message(Some("a\nb\0"), "081100000001", "x"));
    assert!(odd.claim.starts_with("id-sha256:"), "{}", odd.claim);
    let long = normalised(true, message(Some(&"x".repeat(600)), "081100000001", "x"));
    assert_eq!(long.claim.len(), "id-sha256:".len() + 64);
    assert_eq!(normalised(true, message(Some("  "), "081100000001", "x")).message.id, None);
}

#[test]
fn remarks_are_flags_and_nothing_is_dropped() {
    let mut odd = message(Some("1"), "081100000001", "Kebakaran\0 di pasar \r\n");
    odd.lossy = true;
    odd.unsupported = Some("sticker".to_owned());
    odd.auto = Some(Automatic { auto_generated: true, bounce: false, list: true, reason: String::new() });
    let odd = normalised(true, odd);
    assert_eq!(odd.message.text.as_deref(), Some("Kebakaran di pasar"));
    for flag in [Flag::LossyText, Flag::UnsupportedContent, Flag::AutoReply, Flag::Bulk, Flag::EmergencySuspected] {
        assert!(odd.flags.contains(&flag), "{flag:?}");
    }
    let empty = normalised(true, message(Some("1"), "081100000001", " \n "));
    assert_eq!((empty.message.text.as_deref(), empty.flags.as_slice()), (None, &[Flag::EmptyText][..]));
}

#[test]
fn a_part_keeps_the_space_at_its_ends() {
    let mut part = message(Some("1"), "081100000001", "jalan ");
    part.group = Some(Group::Parts { key: "7".to_owned(), part: 1, total: 2 });
    assert_eq!(normalised(true, part).message.text.as_deref(), Some("jalan "));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_message_makes_it_panic_and_the_second_time_changes_nothing(
        id in proptest::option::of("(?s).{0,20}"),
        from in proptest::option::of("(?s).{0,30}|[+0-9 ]{0,16}"),
        to in proptest::option::of("(?s).{0,10}"),
        subject in proptest::option::of("(?s).{0,30}"),
        text in proptest::option::of("(?s).{0,200}"),
        kind in "phone|email|username|[a-z]{0,9}",
        language in proptest::option::of("[a-z-]{0,9}"),
        lat in proptest::num::f64::ANY, lon in proptest::num::f64::ANY,
        content: bool,
    ) {
        let mut wild = Message { id, to, subject, text, language, ..Message::default() };
        wild.location = Some(Location { lat, lon, label: from.clone(), address: None, accuracy_m: Some(lat), live: false });
        wild.attachments = vec![Attachment { filename: from.clone(), sha256: from.clone(), ..Attachment::default() }];
        wild.identities = from.iter().map(|value| Identity { kind: kind.clone(), value: value.clone() }).collect();
        wild.from = from;
        let once = normalised(content, wild);
        let twice = normalised(content, once.message.clone());
        prop_assert_eq!(&once.message, &twice.message);
        prop_assert_eq!(&once.claim, &twice.claim);
        prop_assert_eq!(&once.claim_keys, &twice.claim_keys);
        prop_assert_eq!(once.sender, twice.sender);
        prop_assert_eq!(&once.flags, &twice.flags);
        prop_assert!(!once.claim.chars().any(char::is_control));
        let text = once.message.text.as_deref().unwrap_or_default();
        prop_assert!(!text.chars().any(|letter| letter < ' ' && letter != '\n' && letter != '\t'));
    }
}
