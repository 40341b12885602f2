//! A letter from each of the common clients, with the message that it becomes (`tests/letters/README.md`).

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use loket::mail::{Circumstances, Envelope, Letter, addresses::OurAddresses, attachments, read};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::repository;

/// What differs from what is expected, by its path. `null` means absent; keys that nobody expects may say anything.
fn differences(path: &str, expected: &Value, actual: &Value, out: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(_)) => {
            for (key, value) in expected {
                differences(&format!("{path}.{key}"), value, actual.get(key).unwrap_or(&Value::Null), out);
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (place, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                differences(&format!("{path}[{place}]"), expected, actual, out);
            }
        }
        // An empty list is not printed.
        (Value::Array(expected), Value::Null) if expected.is_empty() => {}
        (expected, actual) if expected == actual || same_time(expected, actual) => {}
        (expected, actual) => out.push(format!("{path}: expected {expected:#}\n but it is {actual:#}")),
    }
}

fn same_time(one: &Value, other: &Value) -> bool {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time(one).is_some_and(|one| Some(one) == time(other))
}

fn envelope(expected: &Value) -> Envelope {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let expected = &expected["envelope"];
    let rcpt_to = expected["rcpt_to"].as_array().into_iter().flatten().filter_map(text).collect();
    Envelope { mail_from: text(&expected["mail_from"]), rcpt_to, ..Envelope::default() }
}

fn letter(bytes: &[u8], expected: &Value) -> Letter {
    let ours = OurAddresses::parse("lapor@kota.example").expect("an address");
    let received_at = expected["received_at"].as_str().unwrap_or("2025-11-04T12:00:00Z");
    let envelope = envelope(expected);
    let received_at = received_at.parse().expect("a time");
    let circumstances = Circumstances { envelope: &envelope, ours: &ours, trusted_servers: &[], received_at };
    read(bytes, &circumstances).expect("a letter")
}

/// What was read in the words of the expectation.
fn shown(letter: &Letter) -> Value {
    let mut message = serde_json::to_value(&letter.message).expect("JSON");
    message["reply_address"] = json!(letter.message.reply_address);
    message["reply_token"] = json!(letter.message.reply_token);
    json!({
        "message": message,
        "lossy": letter.message.lossy,
        "reports": letter.reports,
        "checks": letter.checks,
    })
}

fn collection() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository("tests/letters")).expect("the collection");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut letters: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "eml")).collect();
    letters.sort();
    letters
}

/// The bytes of all letters.
static LETTERS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| collection().iter().map(|path| std::fs::read(path).expect("a letter")).collect());

/// What is expected of a letter.
fn expected(letter: &Path) -> Value {
    let expected = std::fs::read(letter.with_extension("json")).expect("what is expected of it");
    serde_json::from_slice(&expected).expect("JSON")
}

fn check(path: &Path) -> Vec<String> {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let bytes = std::fs::read(path).expect("a letter");
    let mut expected = expected(path);
    let letter = letter(&bytes, &expected);
    let mut out = Vec::new();
    for told in ["received_at", "envelope"] {
        expected.as_object_mut().expect("an object").remove(told);
    }
    differences(&name, &expected, &shown(&letter), &mut out);
    for file in &letter.message.attachments {
        let found = attachments::part(&bytes, file.reference.as_deref().expect("a reference"));
        if found.map(|found| found.len() as u64) != file.size_bytes {
            out.push(format!("{name}: the bytes of {:?} are not found", file.reference));
        }
    }
    out
}

#[test]
fn every_letter_of_the_collection_becomes_the_message_that_is_expected() {
    let letters = collection();

    let wrong: Vec<String> = letters.iter().flat_map(|path| check(path)).collect();

    assert!(letters.len() >= 60, "only {} letters", letters.len());
    assert!(wrong.is_empty(), "{} differences in {} letters:\n{}", wrong.len(), letters.len(), wrong.join("\n"));
}

/// As an operator sees them: the manifest's own address, today's clock, no envelope.
#[test]
fn loket_channel_try_shows_each_letter_as_it_is_expected() {
    let letters: Vec<_> = collection().into_iter().filter(|path| !expected(path)["envelope"].is_object()).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_loket"))
        .args(["channel", "try", "smtp", "--json"])
        .args(&letters)
        .current_dir(repository(""))
        .output()
        .expect("the program runs");

    let printed: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("one document a line"))
        .collect();
    let mut wrong = Vec::new();
    for (path, shown) in letters.iter().zip(&printed) {
        let mut message = expected(path)["message"].clone();
        for unseen in ["reply_address", "reply_token"] {
            message.as_object_mut().map(|message| message.remove(unseen));
        }
        differences(&path.display().to_string(), &message, &shown["messages"][0], &mut wrong);
    }

    assert_eq!(printed.len(), letters.len(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_beginning_of_a_letter_is_a_letter() {
    for whole in LETTERS.iter() {
        for step in 1..16 {
            let beginning = &whole[..whole.len() * step / 16];
            let message = letter(beginning, &Value::Null).message;
            assert!(message.id.is_some());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_spoilt_letter_is_a_letter_and_its_files_are_found(
        which in 0..1_000_usize,
        spoilt in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..30),
        cut in any::<usize>(),
        length in 0..100_usize,
        other in 0..1_000_usize,
    ) {
        let mut bytes = LETTERS[which % LETTERS.len()].clone();
        for (at, byte) in spoilt {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        // A stretch of another letter in the midst of this one.
        let foreign = &LETTERS[other % LETTERS.len()];
        let (at, from) = (cut % bytes.len(), cut % foreign.len());
        let end = bytes.len().min(at + length);
        bytes.splice(at..end, foreign[from..foreign.len().min(from + 10 * length)].iter().copied());

        for file in letter(&bytes, &Value::Null).message.attachments {
            let found = attachments::part(&bytes, &file.reference.expect("a reference")).expect("its bytes");
            prop_assert_eq!(file.size_bytes, Some(found.len() as u64));
        }
    }
}
