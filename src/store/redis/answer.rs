//! Reading what Redis answers.

use redis::Value;
use serde::{Serialize, de::DeserializeOwned};

use crate::store::StoreError;

/// An answer of another shape than the command has. It is no reason to give a message up.
pub fn odd(what: &str) -> StoreError {
    StoreError::Away(format!(
        "redis answered {what} in a shape that nobody expects; is another program using these keys?"
    ))
}

/// The bytes of each text of a list; an empty one for what is no text.
pub fn texts(value: &Value) -> Vec<&[u8]> {
    match value {
        Value::Array(values) => values.iter().map(|value| text(value).unwrap_or_default()).collect(),
        _ => Vec::new(),
    }
}

/// The bytes of a text.
pub fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

pub fn string(value: &Value) -> Option<String> {
    text(value).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

pub fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => std::str::from_utf8(text(value)?).ok()?.parse().ok(),
    }
}

pub fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

/// A script's yes or no.
pub fn yes(value: &Value, what: &str) -> Result<bool, StoreError> {
    number(value).map(|number| number != 0).ok_or_else(|| odd(what))
}

/// How many.
pub fn count(value: &Value, what: &str) -> Result<usize, StoreError> {
    number(value).and_then(|number| usize::try_from(number).ok()).ok_or_else(|| odd(what))
}

/// A document as JSON.
pub fn document<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Broken(format!("a document cannot be written: {error}")))
}

/// A document that we wrote.
pub fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(what, &error))
}

/// The library's own text would quote what it found, which may be a citizen's.
pub fn unreadable(what: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Away(format!("{what} cannot be read: {:?} at column {}", error.classify(), error.column()))
}
