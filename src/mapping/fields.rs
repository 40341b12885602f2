//! Results of filters as the fields of a message: strings, numbers, times, places, files.
//!
//! `null` and `""` mean absent; whole numbers become strings digit for digit. Anything else of another type is a fault that
//! names the field and the kind, never the value.

use jaq_json::{Num, Val};
use jiff::{Timestamp, tz::TimeZone};

use super::{filter::moment, value::Value};
use crate::message::{Attachment, Identity, Location};

/// Bytes of all results of one receipt.
const RESULT_BYTES: usize = 1 << 20;
/// Entries of a list in a message: attachments, references, names of a sender.
const ENTRIES: usize = 100;
/// Types of a sender's name that a manifest may give.
const IDENTITY_TYPES: [&str; 6] = ["phone", "email", "telegram_user_id", "whatsapp_bsuid", "opaque", "username"];

/// What the results of one receipt may still take.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
    /// A string had to be replaced in part, as it is no UTF-8.
    pub lossy: bool,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { left: RESULT_BYTES, lossy: false }
    }

    /// A string; None when it is empty or null.
    pub(super) fn text(&mut self, value: &Val) -> Result<Option<String>, String> {
        let text = match value {
            Val::Null => return Ok(None),
            Val::TStr(bytes) | Val::BStr(bytes) => {
                self.take(bytes.len())?;
                let text = String::from_utf8_lossy(bytes);
                self.lossy |= matches!(text, std::borrow::Cow::Owned(_));
                text.into_owned()
            }
            Val::Num(number) => {
                whole(number).ok_or_else(|| "gives a number with a fraction, not a string".to_owned())?
            }
            other => return Err(format!("gives {}, not a string", Value(other.clone()))),
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.left =
            self.left.checked_sub(bytes).ok_or_else(|| "gives more than 1 MiB with what is before it".to_owned())?;
        Ok(())
    }

    fn entry(&mut self, value: &Val, name: &'static str) -> Result<Option<String>, String> {
        self.text(member(value, name)).map_err(|reason| format!("`{name}` {reason}"))
    }

    /// A list of strings; one string alone is a list of one.
    pub(super) fn texts(&mut self, value: &Val) -> Result<Vec<String>, String> {
        match value {
            Val::Arr(items) => {
                let texts = bounded(items)?.iter().map(|item| self.text(item));
                texts.filter_map(Result::transpose).collect()
            }
            other => Ok(self.text(other)?.into_iter().collect()),
        }
    }

    /// `[{type, value}]`; entries without a value are left out.
    pub(super) fn identities(&mut self, value: &Val) -> Result<Vec<Identity>, String> {
        let mut identities = Vec::new();
        for entry in list(value)? {
            let Some(value) = self.entry(entry, "value")? else { continue };
            let kind = self.entry(entry, "type")?.ok_or("gives a name without a `type`")?;
            if !IDENTITY_TYPES.contains(&kind.as_str()) {
                return Err(format!("gives a `type` that is none of {}", IDENTITY_TYPES.join(", ")));
            }
            identities.push(Identity { kind, value });
        }
        Ok(identities)
    }

    /// `[{url or ref, media_type?, filename?, size_bytes?, sha256?, inline?}]`
    pub(super) fn attachments(&mut self, value: &Val) -> Result<Vec<Attachment>, String> {
        list(value)?.iter().map(|entry| self.attachment(entry)).collect()
    }

    fn attachment(&mut self, entry: &Val) -> Result<Attachment, String> {
        let attachment = Attachment {
            filename: self.entry(entry, "filename")?,
            media_type: self.entry(entry, "media_type")?,
            size_bytes: match member(entry, "size_bytes") {
                Val::Null => None,
                size => Some(count(size).ok_or("`size_bytes` gives no whole number")?),
            },
            sha256: self.entry(entry, "sha256")?,
            url: self.entry(entry, "url")?,
            reference: self.entry(entry, "ref")?,
            inline: matches!(member(entry, "inline"), Val::Bool(true)),
        };
        if attachment.url.is_none() && attachment.reference.is_none() {
            return Err("gives an entry with neither `url` nor `ref`".to_owned());
        }
        Ok(attachment)
    }

    /// `{lat, lon, label?, address?, accuracy_m?, live?}`, in degrees.
    pub(super) fn location(&mut self, value: &Val) -> Result<Option<Location>, String> {
        match value {
            Val::Null => return Ok(None),
            Val::Obj(_) => {}
            other => return Err(format!("gives {}, not an object", Value(other.clone()))),
        }
        let degrees = |name: &'static str, most: f64| {
            let value = decimal(member(value, name)).ok_or_else(|| format!("`{name}` gives no number"))?;
            if value.abs() <= most { Ok(value) } else { Err(format!("`{name}` is beyond {most} degrees")) }
        };
        Ok(Some(Location {
            lat: degrees("lat", 90.0)?,
            lon: degrees("lon", 180.0)?,
            label: self.entry(value, "label")?,
            address: self.entry(value, "address")?,
            accuracy_m: decimal(member(value, "accuracy_m")),
            live: matches!(member(value, "live"), Val::Bool(true)),
        }))
    }
}

/// RFC 3339 and the other ways that `epoch` knows, or seconds since 1970.
pub(super) fn moment_of(value: &Val, zone: &TimeZone) -> Result<Option<Timestamp>, String> {
    let moment = match value {
        Val::Null => return Ok(None),
        Val::TStr(text) | Val::BStr(text) if text.is_empty() => return Ok(None),
        Val::TStr(text) | Val::BStr(text) => moment::parse(&String::from_utf8_lossy(text), zone),
        Val::Num(_) => decimal(value).and_then(moment::from_number),
        other => return Err(format!("gives {}, not a time", Value(other.clone()))),
    };
    moment.map(Some).ok_or_else(|| "gives no time that is known".to_owned())
}

/// A whole number, also one that is written as a string.
pub(super) fn count(value: &Val) -> Option<u64> {
    match value {
        Val::Num(number) => whole(number)?.parse().ok(),
        Val::TStr(text) | Val::BStr(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// A finite number, also one that is written as a string.
fn decimal(value: &Val) -> Option<f64> {
    let number = match value {
        Val::Num(Num::Int(number)) => *number as f64,
        Val::Num(Num::Float(number)) => *number,
        Val::Num(number) => number.to_string().parse().ok()?,
        Val::TStr(text) | Val::BStr(text) => std::str::from_utf8(text).ok()?.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Digit for digit; None for what has a fraction.
fn whole(number: &Num) -> Option<String> {
    match number {
        Num::Int(_) | Num::BigInt(_) => Some(number.to_string()),
        // Division gives floats: `.date / 1` is still a whole number. Beyond 2^53 the digits are no longer those sent.
        Num::Float(value) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
            Some(format!("{value:.0}"))
        }
        Num::Dec(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.to_string()),
        Num::Float(_) | Num::Dec(_) => None,
    }
}

fn list(value: &Val) -> Result<&[Val], String> {
    match value {
        Val::Null => Ok(&[]),
        Val::Arr(items) => bounded(items),
        other => Err(format!("gives {}, not a list", Value(other.clone()))),
    }
}

fn bounded(items: &[Val]) -> Result<&[Val], String> {
    if items.len() > ENTRIES { Err(format!("gives a list of more than {ENTRIES}")) } else { Ok(items) }
}

/// A member of an object; null when there is none, or no object.
pub(super) fn member<'v>(value: &'v Val, name: &'static str) -> &'v Val {
    match value {
        Val::Obj(map) => map.get(&Val::utf8_str(name)).unwrap_or(&Val::Null),
        _ => &Val::Null,
    }
}

/// Does the value stand for yes? As in jq, everything does but `false` and `null`.
pub(super) fn is_true(value: Option<&Val>) -> bool {
    !matches!(value, None | Some(Val::Null | Val::Bool(false)))
}
