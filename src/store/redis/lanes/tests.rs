//! What a gateway makes of the signs of others, without a server.

use uuid::Uuid;

use super::*;
use crate::store::SenderKey;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).expect("a time")
}

fn turn(number: u128, second: i64) -> Turn {
    Turn { sender: SenderKey([7; 16]), receipt: ReceiptId(Uuid::from_u128(number)), place: 0, arrived_at: at(second) }
}

fn transition(turn: Turn) -> Transition {
    Transition {
        turn: Some(turn),
        reserved: None,
        receipt: turn.receipt,
        claims: Vec::new(),
        nonce: None,
        claims_until: at(0),
        sender: turn.sender,
        expected: 0,
        state: None,
        events: Vec::new(),
        outbox: Vec::new(),
        vault: None,
        record: None,
    }
}

/// What HGETALL answers.
fn signs(of: &[(&str, String)]) -> Value {
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    Value::Array(of.iter().flat_map(|(id, sign)| [text(id), text(sign)]).collect())
}

/// A gateway that knows of another, which has read as far as `second`.
fn beside(second: i64) -> Lanes {
    let mut lanes = Lanes::new([1; 8]);
    lanes.cleared(&[hex([1; 8])]);
    lanes.begun = Instant::now().checked_sub(PROBATION).expect("long ago");
    for beat in 1..=2 {
        lanes.see(&Value::Int(0), &signs(&[("0202020202020202", format!("{}:{beat}", nanos(at(second))))]));
    }
    lanes
}

#[test]
fn alone_a_gateway_takes_no_places() {
    let mut lanes = Lanes::new([1; 8]);
    lanes.see(&Value::Int(1), &signs(&[("0101010101010101", "0:1".to_owned())]));
    assert!(!lanes.is_shared() && !lanes.is_on_probation());
    lanes.note(&[turn(1, 1)]);
    assert!(lanes.take().is_empty() && lanes.leaving(&[turn(1, 1)]).is_empty());
    assert_eq!(lanes.place(&transition(turn(1, 1))), Ok(None));
}

#[test]
fn a_message_waits_until_the_others_have_read_as_far() {
    let mut lanes = beside(10);
    lanes.note(&[turn(1, 9), turn(2, 11)]);
    assert_eq!(lanes.take().len(), 1);
    assert_eq!(lanes.place(&transition(turn(1, 9))), Err(NotYet), "its place does not stand yet");
    lanes.taken();

    assert!(lanes.place(&transition(turn(1, 9))).is_ok());
    assert_eq!(lanes.place(&transition(turn(2, 11))), Err(NotYet));

    lanes.see(&Value::Int(0), &signs(&[("0202020202020202", format!("{}:9", nanos(at(11))))]));
    let lane = lanes.place(&transition(turn(2, 11))).expect("it may go on").expect("a place");
    assert!(lane.waits && lane.place.starts_with(&[7; 16]) && lane.place.ends_with(&[1; 8]));
}

#[test]
fn patience_ends_and_a_gateway_without_life_or_progress_is_not_waited_for() {
    let mut lanes = beside(0);
    lanes.note(&[turn(1, 5)]);
    lanes.take();
    lanes.taken();
    for _ in 0..PATIENCE {
        assert_eq!(lanes.place(&transition(turn(1, 5))), Err(NotYet));
    }
    assert!(!lanes.place(&transition(turn(1, 5))).expect("on it goes").expect("a place").waits);

    let mut lanes = beside(0);
    lanes.note(&[turn(1, 5)]);
    lanes.take();
    lanes.taken();
    // It gives signs and comes no further.
    for beat in 10..10 + i64::from(GONE_AFTER) {
        lanes.last_look = None;
        lanes.see(&Value::Int(0), &signs(&[("0202020202020202", format!("{}:{beat}", nanos(at(0))))]));
    }
    assert!(lanes.is_shared() && lanes.place(&transition(turn(1, 5))).is_ok());
    // It gives none.
    for _ in 0..GONE_AFTER {
        lanes.last_look = None;
        lanes.see(&Value::Int(0), &signs(&[("0202020202020202", format!("{}:39", nanos(at(0))))]));
    }
    assert!(!lanes.is_shared());
    let (ids, commands) = lanes.clearing();
    assert_eq!((ids.len(), commands.len()), (1, usize::from(PARTITIONS) + 1));
    assert_eq!(lanes.clearing().0.len(), 1, "until it is done");
    lanes.cleared(&ids);
    assert!(lanes.clearing().0.is_empty());
}

#[test]
fn a_sign_holds_as_far_as_all_places_stand() {
    let sign = |lanes: &mut Lanes| {
        let command = lanes.sign(nanos(at(20))).swap_remove(0).command;
        let words: Vec<String> = command
            .args_iter()
            .filter_map(|argument| match argument {
                redis::Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
                _ => None,
            })
            .collect();
        !words[3].starts_with("0:")
    };
    let mut lanes = beside(10);
    assert!(sign(&mut lanes));
    lanes.note(&[turn(1, 11)]);
    lanes.take();
    assert!(!sign(&mut lanes));
    lanes.taken();
    assert!(sign(&mut lanes));
    // Another gateway took this one for gone: its sign was not there any more.
    let theirs = signs(&[("0202020202020202", format!("{}:5", nanos(at(10))))]);
    lanes.see(&Value::Int(0), &theirs);
    lanes.see(&Value::Int(1), &theirs);
    assert!(!sign(&mut lanes));
    assert_eq!(lanes.take().len(), 1, "it takes its places again");
    lanes.taken();
    lanes.forget(&[turn(1, 11)]);
    assert!(lanes.leaving(&[turn(1, 11)]).is_empty() && sign(&mut lanes));
}

#[test]
fn a_gateway_that_took_its_leave_is_forgotten_at_once() {
    let mut lanes = beside(10);
    assert!(lanes.is_shared());
    lanes.see(&Value::Int(0), &signs(&[("0101010101010101", "0:3".to_owned())]));
    assert!(!lanes.is_shared());
}

#[test]
fn places_of_one_gateway_are_in_the_order_of_its_journal() {
    let mut lanes = beside(10);
    // The second arrived before the first and came to the journal behind it.
    lanes.note(&[turn(1, 9), turn(2, 8)]);
    lanes.take();
    let place = |lanes: &Lanes, number: u128| lanes.places[&(turn(number, 0).receipt, 0)].bytes.clone();
    assert!(place(&lanes, 1) < place(&lanes, 2));
}

#[test]
fn what_was_begun_alone_is_not_told_as_read_before_its_places_stand() {
    let mut lanes = beside(10);
    lanes.others.clear();
    lanes.note(&[turn(1, 9)]);
    // Another gateway comes while the message is under way.
    for beat in 1..=2 {
        lanes.see(&Value::Int(0), &signs(&[("0303030303030303", format!("0:{beat}"))]));
    }

    let sign = lanes.sign(nanos(at(20))).swap_remove(0).command;
    let words = sign.args_iter().filter_map(|word| match word {
        redis::Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    assert!(words.last().expect("a sign").starts_with("0:"));
    assert_eq!((lanes.take().len(), lanes.leaving(&[turn(1, 9)]).len()), (1, 1));
}
