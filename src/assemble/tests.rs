use jiff::tz::TimeZone;
use uuid::Uuid;

use super::*;
use crate::{
    complaint::{Flag, Medium},
    message::{Attachment, Message},
    normalise::normalise,
    receipt::{ChannelId, Proves, Verdict, VerdictResult},
};

const BEGIN: i64 = 1_700_000_000;

fn channel() -> ChannelFacts {
    ChannelFacts::new(ChannelId::new("sms-1708").expect("a slug"), Medium::Sms, TimeZone::UTC)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).expect("a time")
}

/// A message that came at a second, in a receipt of its own.
fn message(number: u8, second: i64, text: &str, group: Option<Group>) -> Normalised {
    let origin = Origin {
        id: ReceiptId(Uuid::from_bytes([number; 16])),
        channel: ChannelId::new("sms-1708").expect("a slug"),
        received_at: at(second),
        draw: [number; 16],
        verdict: Verdict {
            result: VerdictResult::Pass,
            proves: Proves { sender: true, content: number < 100, freshness: true },
            detail: String::new(),
            checks: Vec::new(),
            nonce: None,
        },
        media_type: "application/json".to_owned(),
        size_bytes: 9,
        sha256: [number; 32],
    };
    let message = Message {
        id: Some(format!("m{number}")),
        from: Some("+6281100000001".to_owned()),
        to: Some("1708".to_owned()),
        text: Some(text.to_owned()),
        group,
        reply_address: Some("via-us".to_owned()),
        ..Message::default()
    };
    normalise(&Arc::new(origin), 0, message, &channel())
}

fn part(number: u8, second: i64, text: &str, part: u8, total: u8) -> Normalised {
    message(number, second, text, Some(Group::Parts { key: "77".to_owned(), part, total }))
}

/// What the store does between two messages.
fn stored(sender: &Sender) -> Sender {
    Sender::decode(&sender.encode()).expect("what was written")
}

fn take(sender: &mut Sender, message: Normalised) -> Assembly {
    let now = message.origin.received_at;
    let taken = assemble(message, sender, &channel(), now);
    *sender = stored(sender);
    taken
}

fn whole(assembly: Assembly) -> Assembled {
    match assembly {
        Assembly::Whole(assembled) => *assembled,
        other => panic!("not whole: {other:?}"),
    }
}

fn flush(sender: &mut Sender, second: i64) -> Vec<Assembled> {
    flush_due(sender, SenderKey([1; 16]), &channel(), at(second))
}

fn text(assembled: &Assembled) -> &str {
    assembled.message.message.text.as_deref().unwrap_or_default()
}

fn permutations(items: &[u8]) -> Vec<Vec<u8>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |first: &u8| {
        let rest: Vec<u8> = items.iter().copied().filter(|item| item != first).collect();
        permutations(&rest).into_iter().map(|rest| [vec![*first], rest].concat()).collect::<Vec<_>>()
    };
    items.iter().flat_map(with_first).collect()
}

#[test]
fn four_parts_in_any_order_become_one_text() {
    let orders = permutations(&[1, 2, 3, 4]);
    assert_eq!(orders.len(), 24);
    for order in orders {
        let mut sender = Sender::default();
        let mut last = None;
        for (second, number) in (0..).zip(&order) {
            let words = ["", "Lampu jalan ", "di Jl Melati ", "padam sejak", " Senin "][usize::from(*number)];
            match take(&mut sender, part(*number, second, words, *number, 4)) {
                Assembly::Waits { claim_keys, receipt } => {
                    assert!(second < 3 && claim_keys.len() == 1 && receipt.0 == Uuid::from_bytes([*number; 16]));
                    assert_eq!(sender.deadline(), Some(at(600)), "the first part sets the time");
                }
                other => last = Some(whole(other)),
            }
        }
        let assembled = last.expect("the fourth part completes it");
        assert_eq!(text(&assembled), "Lampu jalan di Jl Melati padam sejak Senin", "{order:?}");
        assert_eq!(assembled.claims, ["m1", "m2", "m3", "m4"]);
        assert_eq!((assembled.message_ids.len(), assembled.origins.len()), (4, 4));
        assert_eq!((assembled.incomplete, assembled.received_at), (false, at(3)));
        assert_eq!(assembled.claim_keys.len(), 1, "the others were claimed when they came");
        assert_eq!(assembled.message.message.reply_address.as_deref(), Some("via-us"));
        assert_eq!(assembled.message.message.group, None);
        assert!(sender == Sender::default());
    }
}

#[test]
fn a_repeated_part_is_a_duplicate() {
    let mut sender = Sender::default();
    assert!(matches!(take(&mut sender, part(1, 0, "satu", 1, 2)), Assembly::Waits { .. }));
    assert!(matches!(take(&mut sender, part(2, 1, "satu", 1, 2)), Assembly::Repeated { .. }));
    assert_eq!(text(&whole(take(&mut sender, part(3, 2, " dua", 2, 2)))), "satu dua");
}

#[test]
fn a_reference_that_is_used_again_begins_a_new_message() {
    let mut sender = Sender::default();
    take(&mut sender, part(1, 0, "lama", 1, 2));
    assert!(matches!(take(&mut sender, part(2, 60, "baru", 1, 2)), Assembly::Waits { .. }));
    assert_eq!(sender.waiting.len(), 2);
    assert_eq!(text(&whole(take(&mut sender, part(3, 61, " sekali", 2, 2)))), "baru sekali");
    let left = flush(&mut sender, 600);
    assert_eq!(left.len(), 1);
    assert_eq!((text(&left[0]), left[0].incomplete), ("lama", true));
}

#[test]
fn parts_that_are_missing_are_not_waited_for_for_ever() {
    let mut sender = Sender::default();
    take(&mut sender, part(3, 0, "tiga", 3, 3));
    take(&mut sender, part(1, 5, "satu ", 1, 3));
    assert!(flush(&mut sender, 599).is_empty());
    let mut left = flush(&mut sender, 600);
    let assembled = left.pop().expect("its time is up");
    assert_eq!((text(&assembled), assembled.incomplete, left.len()), ("satu tiga", true, 0));
    assert!(assembled.claim_keys.is_empty() && sender.deadline().is_none());
    assert!(flush(&mut sender, 700).is_empty(), "it goes on once");

    let complaint = Uuid::from_bytes([9; 16]);
    assembled.became(complaint, &mut sender);
    let late = whole(take(&mut sender, part(2, 900, "dua", 2, 3)));
    assert_eq!((late.late_for, text(&late)), (Some(complaint), "dua"));
    // The part has come; another one with its number belongs to another message.
    assert!(matches!(take(&mut sender, part(4, 901, "lain", 2, 3)), Assembly::Waits { .. }));
}

#[test]
fn numbers_that_cannot_be_are_whole_messages_and_say_so() {
    for (number, total, incomplete) in [(0, 3, true), (4, 3, true), (1, 1, false), (1, 0, true)] {
        let mut sender = Sender::default();
        let assembled = whole(take(&mut sender, part(1, 0, "teks ", number, total)));
        assert_eq!((assembled.incomplete, text(&assembled)), (incomplete, "teks"), "{number} of {total}");
        assert!(sender == Sender::default());
    }
}

#[test]
fn a_sender_has_room_for_sixteen_open_messages() {
    let mut sender = Sender::default();
    for number in 0..20 {
        let group = Group::Parts { key: format!("ref {number}"), part: 1, total: 2 };
        let taken = take(&mut sender, message(number, 0, "satu", Some(group)));
        match taken {
            Assembly::Waits { .. } => assert!(number < 16),
            other => assert!(number >= 16 && whole(other).incomplete),
        }
    }
    assert_eq!(sender.waiting.len(), 16);
    assert_eq!(flush(&mut sender, 600).len(), 16);
    assert!(sender.flushed.len() <= 16);
}

#[test]
fn two_hundred_and_fifty_five_parts_find_room() {
    let mut sender = Sender::default();
    for number in 1..=254 {
        let taken = take(&mut sender, part(number, 0, &"\u{4e00}".repeat(67), number, 255));
        assert!(matches!(taken, Assembly::Waits { .. }), "{number}");
    }
    let assembled = whole(take(&mut sender, part(255, 1, "selesai", 255, 255)));
    assert_eq!(text(&assembled).chars().count(), 254 * 67 + 7);
}

#[test]
fn an_album_is_one_message_after_a_quiet_while() {
    let mut sender = Sender::default();
    let photo = |number: u8, second: i64, caption: &str| {
        let mut photo = message(number, second, caption, Some(Group::Album { key: "album".to_owned() }));
        photo.message.sent_at = Some(at(second));
        photo.message.attachments =
            vec![Attachment { filename: Some(format!("{number}.jpg")), ..Attachment::default() }];
        photo
    };
    take(&mut sender, photo(2, 1, "lubang"));
    take(&mut sender, photo(1, 0, "lubang"));
    take(&mut sender, photo(3, 2, "dari dekat"));
    assert_eq!(sender.deadline(), Some(at(4)), "two seconds after the last");
    let album = flush(&mut sender, 4).pop().expect("it is quiet");
    assert_eq!((text(&album), album.incomplete), ("lubang\ndari dekat", false));
    let files: Vec<_> = album.message.message.attachments.iter().filter_map(|file| file.filename.clone()).collect();
    assert_eq!(files, ["1.jpg", "2.jpg", "3.jpg"], "in the order of sending");
    for (number, second) in (10..16).zip((100..).step_by(2)) {
        take(&mut sender, photo(number, second, "x"));
    }
    assert_eq!(sender.deadline(), Some(at(110)), "never more than ten seconds");
}

#[test]
fn the_whole_is_proven_as_far_as_its_weakest_part() {
    let mut sender = Sender::default();
    take(&mut sender, part(1, 0, "satu", 1, 2));
    let assembled = whole(take(&mut sender, part(100, 1, "dua", 2, 2)));
    let proves = assembled.message.origin.verdict.proves;
    assert_eq!((proves.sender, proves.content), (true, false));
    assert!(assembled.claims[1].starts_with("m100~"), "its claim holds the content");
}

#[test]
fn words_of_an_emergency_are_found_across_parts() {
    let mut sender = Sender::default();
    take(&mut sender, part(1, 0, "ada keba", 1, 2));
    let assembled = whole(take(&mut sender, part(2, 1, "karan di pasar", 2, 2)));
    assert_eq!(assembled.message.flags, [Flag::EmergencySuspected]);
}

#[test]
fn a_joined_message_is_drawn_again_as_often_as_the_fragment_that_completed_it() {
    let mut sender = Sender::default();
    assert!(matches!(assemble(part(1, 0, "Lampu ", 1, 2), &mut sender, &channel(), at(0)), Assembly::Waits { .. }));
    let mut last = part(2, 1, "padam.", 2, 2);
    last.redraw = 3;

    let Assembly::Whole(whole) = assemble(last, &mut stored(&sender), &channel(), at(1)) else { panic!("whole") };

    assert_eq!((whole.message.redraw, whole.message.origin.draw), (3, [1; 16]));
}
