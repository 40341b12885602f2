//! What a provider's answer says: the response root of `channel-manifest.md` §4, words of filters, and `Retry-After`.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, fmt::rfc2822, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::Response;
use crate::mapping::{Filter, Surroundings};

/// Longest wait that a provider may ask for. More is a mistake on its side, or somebody else's page.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Longest id of a message that a provider gives.
const LONGEST_WORD: usize = 256;

/// `{status, headers, body, body_text}`: names of headers in lower case with their first value; `body` is the JSON, or
/// null where there is none.
pub(super) fn root(response: &Response) -> Value {
    let mut headers = Map::new();
    for (name, value) in &response.headers {
        headers.entry(name.to_ascii_lowercase()).or_insert_with(|| Value::from(value.as_str()));
    }
    let body: Value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
    let text = String::from_utf8_lossy(&response.body);
    json!({ "status": response.status, "headers": headers, "body": body, "body_text": text })
}

/// Is the filter true? No filter always is. The error says that it could not be run.
pub(super) fn holds(filter: Option<&Filter>, root: &Value, surroundings: &Surroundings<'_>) -> Result<bool, ()> {
    let Some(filter) = filter else { return Ok(true) };
    let output = filter.run_first(root, surroundings).map_err(|_| ())?;
    Ok(output == Some(Value::Bool(true)))
}

/// The word or number that a filter finds, if it is short enough to be an id.
pub(super) fn word(filter: Option<&Filter>, root: &Value, surroundings: &Surroundings<'_>) -> Option<String> {
    let word = match filter?.run_first(root, surroundings).ok()?? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!word.is_empty() && word.len() <= LONGEST_WORD).then_some(word)
}

/// Words for operators. `ok` is what the filter said to a 2xx.
pub(super) fn reason(status: u16, code: Option<&str>, ok: Option<Result<bool, ()>>) -> String {
    let mut reason = format!("the provider answers {status}");
    if let Some(code) = code {
        reason.push_str(", code ");
        reason.push_str(shown_code(code));
    }
    match ok {
        Some(Err(())) => reason.push_str(", and `ok` could not be evaluated"),
        Some(Ok(_)) => reason.push_str(", but `ok` is not true"),
        None => {}
    }
    reason
}

/// A filter may point at a sentence that repeats the citizen's number; only what looks like a code is shown.
fn shown_code(code: &str) -> &str {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte);
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    if code.len() <= 48 && code.bytes().all(good) && digits < 8 { code } else { "(not shown)" }
}

/// RFC 9110 §10.2.3: seconds or a date. None where there is nothing to wait for: absent, unreadable, zero or past.
pub(super) fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let mut values = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    let value = values.next()?.1.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too long to be read is a long wait, too.
        value.parse().map_or(LONGEST_WAIT, Duration::from_secs)
    } else {
        Duration::try_from(http_date(value)?.duration_since(now)).ok()?
    };
    (!wait.is_zero()).then(|| wait.min(LONGEST_WAIT))
}

/// The three forms of RFC 9110 §5.6.7, of which two are obsolete and still to be read.
fn http_date(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text) {
        return Some(timestamp);
    }
    let obsolete = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let read = |format: &&str| DateTime::strptime(format, text).ok();
    obsolete.iter().find_map(read)?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(value: &str) -> Response {
        Response { status: 429, headers: vec![("Retry-After".to_owned(), value.to_owned())], body: Vec::new() }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_a_day() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().expect("a time");
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let cases = [
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", seconds(30)),
            ("Sun Nov  6 08:49:37 1994", seconds(30)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", seconds(86_400)),
            ("999999999", seconds(86_400)),
            ("99999999999999999999999999", seconds(86_400)),
            ("0", None),
            ("Sun, 06 Nov 1994 08:40:00 GMT", None),
            ("soon", None),
            ("", None),
            ("-5", None),
        ];
        for (value, expected) in cases {
            assert_eq!(retry_after(&answer(value), now), expected, "{value:?}");
        }
        assert_eq!(retry_after(&Response { status: 429, headers: Vec::new(), body: Vec::new() }, now), None);
    }

    #[test]
    fn the_root_has_json_and_text() {
        let headers = vec![("X-Id".to_owned(), "1".to_owned()), ("x-id".to_owned(), "2".to_owned())];
        let json = Response { status: 201, headers, body: br#"{"sid":"SM1"}"#.to_vec() };
        let expected = json!({ "status": 201, "headers": { "x-id": "1" }, "body": { "sid": "SM1" }, "body_text": "{\"sid\":\"SM1\"}" });
        assert_eq!(root(&json), expected);
        let text = Response { status: 200, headers: Vec::new(), body: b"OK \xff".to_vec() };
        assert_eq!(root(&text)["body"], Value::Null);
        assert_eq!(root(&text)["body_text"], "OK \u{fffd}");
    }

    #[test]
    fn a_code_that_may_be_an_address_is_not_shown() {
        assert_eq!(reason(400, Some("21610"), None), "the provider answers 400, code 21610");
        for code in ["+6281100000001 has opted out", "6281100000001", "citizen@contoh.example"] {
            assert_eq!(reason(400, Some(code), None), "the provider answers 400, code (not shown)");
        }
        assert!(reason(200, None, Some(Ok(false))).contains("`ok` is not true"));
    }

    proptest! {
        #[test]
        fn no_answer_panics(value in "\\PC{0,40}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut response = answer(&value);
            response.body = body;
            let wait = retry_after(&response, Timestamp::UNIX_EPOCH);
            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT && !wait.is_zero()));
            prop_assert_eq!(root(&response)["status"].as_u64(), Some(429));
        }
    }
}
