//! Values written as their place wants them.

use std::fmt;

use minijinja::{ErrorKind, Output, Value as Variable, value::ValueKind};
use serde_json::Value as Json;

use super::OUTPUT_BYTES;
use crate::{mapping::Escape, percent};

/// A path in a URL: its slashes stay, and it climbs to no other place.
pub(super) fn path(text: &str) -> Result<Variable, minijinja::Error> {
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Failure::Climbs.into());
    }
    Ok(Variable::from_safe_string(text.split('/').map(percent::encoded).collect::<Vec<_>>().join("/")))
}

pub(super) enum Failure {
    Write,
    Climbs,
    Undefined,
}

impl From<Failure> for minijinja::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Write => Self::new(ErrorKind::WriteFailure, "the output is full"),
            Failure::Climbs => Self::new(ErrorKind::InvalidOperation, "`.` and `..` are no segments of a path"),
            Failure::Undefined => Self::from(ErrorKind::UndefinedError),
        }
    }
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Self {
        Self::Write
    }
}

/// Writes a value as its place wants it.
pub(super) fn write(out: &mut Output<'_>, escape: Escape, value: &Variable) -> Result<(), Failure> {
    if value.is_undefined() {
        return Err(Failure::Undefined);
    }
    if let (true, Some(text)) = (value.is_safe(), value.as_str()) {
        return Ok(out.write_str(text)?);
    }
    let mut text = String::new();
    match (escape, value.as_str()) {
        (Escape::Json, _) => json(value, 0, &mut text)?,
        (_, Some(plain)) => plain.clone_into(&mut text),
        (_, None) if value.is_none() => {}
        (_, None) => json(value, 0, &mut text)?,
    }
    match escape {
        Escape::Json | Escape::Text => out.write_str(&text)?,
        Escape::Xml => out.write_str(&xml_escaped(&text))?,
        Escape::Url if matches!(text.as_str(), "." | "..") => return Err(Failure::Climbs),
        Escape::Url | Escape::Form => out.write_str(&percent::encoded(&text))?,
    }
    Ok(())
}

/// Deepest nesting of a value that is written as JSON.
const DEPTH: usize = 64;

/// A whole JSON value.
fn json(value: &Variable, depth: usize, out: &mut String) -> Result<(), Failure> {
    if depth > DEPTH || out.len() > OUTPUT_BYTES {
        return Err(Failure::Write);
    }
    if let Some(text) = value.as_str() {
        out.push_str(&Json::from(text).to_string());
        return Ok(());
    }
    match value.kind() {
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => {
            let number = value.to_string();
            out.push_str(if number.parse::<f64>().is_ok_and(f64::is_finite) { &number } else { "null" });
        }
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (place, item) in value.try_iter().map_err(|_| Failure::Write)?.enumerate() {
                if place > 0 {
                    out.push(',');
                }
                json(&item, depth + 1, out)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (place, name) in value.try_iter().map_err(|_| Failure::Write)?.enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&Json::from(name.to_string()).to_string());
                out.push(':');
                json(&value.get_item(&name).map_err(|_| Failure::Write)?, depth + 1, out)?;
            }
            out.push('}');
        }
        _ => out.push_str("null"),
    }
    Ok(())
}

fn xml_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // XML 1.0 has no place for control characters, escaped or not.
            control if control < ' ' && !matches!(control, '\t' | '\n' | '\r') => {}
            other => escaped.push(other),
        }
    }
    escaped
}
