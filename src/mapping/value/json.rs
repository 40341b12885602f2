//! Values as JSON text and as `serde_json` values, and back.

use std::fmt::Write;

use jaq_json::{Map, Num, Rc, Val};
use serde_json::Value as Json;

use super::{DEPTH, meter};

/// Nodes of a value that becomes a `serde_json` value: results that are larger are no answer to anything.
const NODES: usize = 100_000;

/// Compact JSON, as `tojson` and `tostring` write it. Every node is paid for: shared parts are written as often as they occur.
pub(in crate::mapping) fn write(value: &Val) -> String {
    let mut text = String::new();
    // What was written when the allowance ended is lost with the run.
    let _ = write_into(value, DEPTH, &mut text);
    text
}

/// None: the allowance ended, or the value nests too deeply.
fn write_into(value: &Val, depth: usize, out: &mut String) -> Option<()> {
    let before = out.len();
    if !meter::spend(meter::STEP) {
        return None;
    }
    match value {
        Val::Null => out.push_str("null"),
        Val::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Val::Num(number) => write_number(number, out),
        Val::TStr(text) | Val::BStr(text) => write_text(&String::from_utf8_lossy(text), out),
        Val::Arr(_) | Val::Obj(_) if depth == 0 => {
            meter::stop();
            return None;
        }
        Val::Arr(list) => {
            out.push('[');
            for (place, item) in list.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_into(item, depth - 1, out)?;
            }
            out.push(']');
            return Some(());
        }
        Val::Obj(map) => {
            out.push('{');
            for (place, (key, item)) in map.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_into(key, depth - 1, out)?;
                out.push(':');
                write_into(item, depth - 1, out)?;
            }
            out.push('}');
            return Some(());
        }
    }
    meter::spend(out.len() - before).then_some(())
}

/// JSON knows no number that is none.
fn write_number(number: &Num, out: &mut String) {
    match number {
        Num::Float(value) if value.is_nan() => out.push_str("null"),
        Num::Float(value) if value.is_infinite() => {
            out.push_str(if *value > 0.0 { "1.7976931348623157e308" } else { "-1.7976931348623157e308" });
        }
        // Whole numbers print without a fraction, as jq prints them.
        Num::Float(value) if value.fract() == 0.0 && value.abs() < 1e17 => {
            let _ = write!(out, "{value:.0}");
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Bytes that a deep copy of the nested objects takes, roughly. The walk is paid for.
pub(super) fn weight(value: &Val) -> usize {
    match value {
        Val::Obj(map) if meter::spend(map.len()) => {
            map.values().map(weight).fold(map.len() * meter::ENTRY, usize::saturating_add)
        }
        _ => 0,
    }
}

/// A value for templates and handshakes. None: it is larger or deeper than any answer.
pub(in crate::mapping) fn to_json(value: &Val) -> Option<Json> {
    let mut nodes = NODES;
    convert(value, DEPTH, &mut nodes)
}

fn convert(value: &Val, depth: usize, nodes: &mut usize) -> Option<Json> {
    *nodes = nodes.checked_sub(1)?;
    Some(match value {
        Val::Null => Json::Null,
        Val::Bool(flag) => Json::Bool(*flag),
        Val::Num(number) => json_number(number),
        Val::TStr(text) | Val::BStr(text) => Json::String(String::from_utf8_lossy(text).into_owned()),
        Val::Arr(list) => {
            let depth = depth.checked_sub(1)?;
            Json::Array(list.iter().map(|item| convert(item, depth, nodes)).collect::<Option<_>>()?)
        }
        Val::Obj(map) => {
            let depth = depth.checked_sub(1)?;
            let entry = |(key, item): (&Val, &Val)| Some((key_text(key)?, convert(item, depth, nodes)?));
            Json::Object(map.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}

/// jaq allows any value as a key; JSON allows strings.
fn key_text(key: &Val) -> Option<String> {
    match key {
        Val::TStr(text) | Val::BStr(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

fn json_number(number: &Num) -> Json {
    match number {
        Num::Int(value) => Json::from(*value),
        Num::Float(value) => Json::from(*value),
        // A whole number that no machine word holds stays a string, digit for digit: it is an id.
        Num::BigInt(value) => {
            value.to_string().parse::<u64>().map_or_else(|_| Json::String(value.to_string()), Json::from)
        }
        Num::Dec(digits) => digits.parse::<f64>().map_or(Json::Null, Json::from),
    }
}

/// A document that somebody has parsed already, such as the answer of a provider.
pub(in crate::mapping) fn from_json(value: &Json) -> Val {
    match value {
        Json::Null => Val::Null,
        Json::Bool(flag) => Val::Bool(*flag),
        Json::Number(number) => Val::Num(if let Some(whole) = number.as_i64() {
            Num::from_integral(whole)
        } else if let Some(whole) = number.as_u64() {
            Num::from_integral(whole)
        } else {
            Num::Float(number.as_f64().unwrap_or(f64::NAN))
        }),
        Json::String(text) => Val::utf8_str(text.clone()),
        Json::Array(items) => Val::Arr(Rc::new(items.iter().map(from_json).collect())),
        Json::Object(entries) => {
            let map: Map = entries.iter().map(|(key, item)| (Val::utf8_str(key.clone()), from_json(item))).collect();
            Val::obj(map)
        }
    }
}
