//! The mail server's session and the end of a letter, over any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loket::smtp::{
    data::Unstuffing,
    limits::Limits,
    session::{Dialect, Found, Session, Step},
};

fuzz_target!(|bytes: &[u8]| {
    let mut session = Session::new(Dialect::Smtp, "mx.example".into(), Limits::default(), true);
    for line in bytes.split(|byte| *byte == b'\n') {
        match session.line(line, &|address| if address.len() % 2 == 0 { Found::Foreign } else { Found::Later }) {
            Step::Say(words) => assert!(words.ends_with("\r\n")),
            Step::End(_) => break,
            Step::StartTls => session.encrypted(),
            Step::Data | Step::Chunk { .. } => {}
        }
    }
    let (mut state, mut whole) = (Unstuffing::default(), Vec::new());
    let ended = state.feed(bytes, &mut whole);
    let (mut state, mut pieces) = (Unstuffing::default(), Vec::new());
    let ended_in_pieces = bytes.iter().position(|byte| state.feed(&[*byte], &mut pieces).is_some());
    assert_eq!(ended, ended_in_pieces.map(|at| at + 1));
    assert_eq!(whole, pieces);
});
