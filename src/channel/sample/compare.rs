//! Is what a sample showed what it expects? What is not given is not looked at.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    channel::{
        attempt::Attempt,
        manifest::{Expect, ExpectReply, ExpectVerify},
    },
    receipt::VerdictResult,
};

/// Everything that is not as expected; samples are made up, so their values may be shown.
pub fn failures(expect: &Expect, shown: &Attempt) -> Vec<String> {
    let mut failures = Vec::new();
    verdict(expect, shown, &mut failures);
    if let Some(expected) = expect.handshake
        && expected != shown.is_handshake
    {
        let found = if shown.is_handshake { "is answered as a handshake" } else { "is no handshake" };
        failures.push(format!("handshake: expected {expected}, but the request {found}"));
    }
    if let Some(expected) = &expect.messages {
        list("messages", expected, &shown.messages, &mut failures);
    }
    if let Some(expected) = &expect.receipts {
        let reports: Vec<Value> =
            shown.receipts.iter().filter_map(|report| serde_json::to_value(report).ok()).collect();
        list("receipts", expected, &reports, &mut failures);
    }
    if let Some(expected) = &expect.reply {
        reply(expected, shown, &mut failures);
    }
    match (&expect.error, &shown.error) {
        (Some(part), Some(error)) if error.contains(part.as_str()) => {}
        (Some(part), found) => {
            failures.push(format!("error: expected one with {part:?}, found {:?}", found.as_deref().unwrap_or("none")));
        }
        // A message that could not be read is never what a sample is silent about.
        (None, Some(error))
            if expect.verify != Some(ExpectVerify::Fail) && shown.verified.result != VerdictResult::Fail =>
        {
            failures.push(format!("error: {error}"));
        }
        (None, _) => {}
    }
    failures
}

fn verdict(expect: &Expect, shown: &Attempt, failures: &mut Vec<String>) {
    let found = &shown.verified;
    // `verify = "none"` lets everything pass.
    let passed = found.result != VerdictResult::Fail && shown.reply.as_ref().is_none_or(|reply| reply.status != 401);
    match expect.verify {
        Some(ExpectVerify::Pass) if !passed => {
            let reason = shown.error.as_deref().unwrap_or(&found.detail);
            failures.push(format!("verify: expected pass, but the request is refused: {reason}"));
        }
        Some(ExpectVerify::Fail) if passed => failures.push("verify: expected fail, but the request passes".to_owned()),
        _ => {}
    }
}

fn reply(expected: &ExpectReply, shown: &Attempt, failures: &mut Vec<String>) {
    let Some(found) = &shown.reply else {
        failures.push("reply: expected one, found none".to_owned());
        return;
    };
    if let Some(status) = expected.status.filter(|status| *status != found.status) {
        failures.push(format!("reply.status: expected {status}, found {}", found.status));
    }
    if let Some(body) = expected.body.as_ref().filter(|body| **body != found.body) {
        failures.push(format!("reply.body: expected {body:?}, found {:?}", found.body));
    }
    if let Some(content_type) = &expected.content_type
        && found.content_type.as_ref() != Some(content_type)
    {
        failures.push(format!(
            "reply.content_type: expected {content_type:?}, found {:?}",
            found.content_type.as_deref().unwrap_or("none")
        ));
    }
}

fn list(name: &str, expected: &[serde_json::Map<String, Value>], found: &[Value], failures: &mut Vec<String>) {
    if expected.len() != found.len() {
        failures.push(format!("{name}: expected {}, found {}", expected.len(), found.len()));
        return;
    }
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        table(&format!("{name}[{index}]"), expected, found, failures);
    }
}

fn table(path: &str, expected: &serde_json::Map<String, Value>, found: &Value, failures: &mut Vec<String>) {
    for (key, expected) in expected {
        value(&format!("{path}.{key}"), expected, found.get(key).unwrap_or(&Value::Null), failures);
    }
}

/// Tables are compared key by key, lists element by element, everything else must be equal.
fn value(path: &str, expected: &Value, found: &Value, failures: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(_)) => table(path, expected, found, failures),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                value(&format!("{path}[{index}]"), expected, found, failures);
            }
        }
        _ if is_equal(expected, found) => {}
        _ => failures.push(format!("{path}: expected {expected}, found {found}")),
    }
}

/// Numbers are equal whatever way they are written, and so are times.
fn is_equal(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(expected), Value::Number(found)) => expected.as_f64() == found.as_f64(),
        (Value::String(expected), Value::String(found)) if expected != found => {
            matches!((expected.parse::<Timestamp>(), found.parse::<Timestamp>()), (Ok(expected), Ok(found)) if expected == found)
        }
        (Value::Number(expected), Value::String(found)) => {
            let seconds = found.parse::<Timestamp>().map(Timestamp::as_second);
            seconds.is_ok_and(|seconds| expected.as_i64() == Some(seconds))
        }
        _ => expected == found,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        channel::attempt::{Reply, Verified},
        message::{DeliveryReport, DeliveryStatus},
    };

    fn shown() -> Attempt {
        Attempt {
            file: String::new(),
            verified: Verified {
                result: VerdictResult::Pass,
                sender: true,
                content: true,
                freshness: false,
                detail: String::new(),
            },
            messages: vec![json!({
                "id": "1",
                "sent_at": "2026-01-01T00:00:00Z",
                "location": { "lat": -6.0, "lon": 106.8 },
                "attachments": [{ "url": "https://a.example/1", "media_type": "image/png" }],
            })],
            receipts: vec![DeliveryReport { id: "9".to_owned(), status: DeliveryStatus::Failed, error: None }],
            reply: Some(Reply { status: 200, body: "OK".to_owned(), content_type: None }),
            error: None,
            is_handshake: false,
        }
    }

    fn found(expect: &str) -> Vec<String> {
        failures(&toml::from_str(expect).expect("an expectation"), &shown())
    }

    #[test]
    fn what_is_given_must_be_equal_and_the_rest_is_not_looked_at() {
        for good in [
            "",
            "verify = 'pass'",
            "messages = [{ id = '1' }]",
            "messages = [{ sent_at = 1767225600, location = { lat = -6 } }]",
            "messages = [{ sent_at = '2026-01-01T07:00:00+07:00', attachments = [{ media_type = 'image/png' }] }]",
            "receipts = [{ id = '9', status = 'failed' }]",
            "reply = { status = 200, body = 'OK' }",
        ] {
            assert_eq!(found(good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn every_difference_is_named_with_its_place() {
        for (expect, part) in [
            ("verify = 'fail'", "verify: expected fail"),
            ("handshake = true", "is no handshake"),
            ("messages = []", "messages: expected 0, found 1"),
            ("messages = [{ id = '2' }]", "messages[0].id: expected \"2\", found \"1\""),
            ("messages = [{ text = 'x' }]", "messages[0].text: expected \"x\", found null"),
            ("messages = [{ attachments = [{ media_type = 'image/gif' }] }]", "messages[0].attachments[0].media_type"),
            ("messages = [{ attachments = [] }]", "messages[0].attachments"),
            ("receipts = [{ error = 'x' }]", "receipts[0].error"),
            ("reply = { status = 204 }", "reply.status"),
            ("reply = { content_type = 'text/plain' }", "reply.content_type"),
            ("error = 'x'", "error: expected one"),
        ] {
            let failures = found(expect);
            assert!(failures.len() == 1 && failures[0].contains(part), "{expect}: {failures:?}");
        }
    }

    #[test]
    fn an_error_that_nobody_expects_is_a_failure() {
        let shown = Attempt { error: Some("item 0: no".to_owned()), ..shown() };
        assert_eq!(failures(&Expect::default(), &shown), ["error: item 0: no"]);
    }
}
