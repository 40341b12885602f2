//! The functions that a filter may call: those of jq that touch nothing but their input, and ours (`channel-manifest.md` §4).

use std::sync::LazyLock;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use jaq_core::{
    Cv, Error, Exn, ValR, ValXs,
    load::{self, parse::Def},
    native::{self, Fun, bome, unary, v},
};
use jaq_json::{Num, Val};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::{
    super::{
        root::{json as document, text},
        value::{
            Value, json,
            meter::{self, STEP, charge},
        },
    },
    Engine, OUTPUTS, markup, moment,
};
use crate::phone;

type Native = native::Filter<jaq_core::RunPtr<Engine>>;

/// Functions of jq's library that are not there: they would end the process, print, or read clock and environment.
const ABSENT: [&str; 7] = ["halt", "env", "now", "localtime", "strflocaltime", "debug_empty", "stderr_empty"];
/// Definitions that are built on those.
const ABSENT_DEFINITIONS: [&str; 4] = ["halt", "halt_error", "debug", "stderr"];
/// Bytes of a text that is searched with a regular expression.
const SEARCHED: usize = 256 * 1024;

/// Definitions that stand before those of jq: they guard the regular expressions.
const GUARDS: &str = r"
def matches(re; flags): loket_searched | loket_matches(re; flags);
def split_matches(re; flags): loket_searched | loket_split_matches(re; flags);
def split_(re; flags): loket_searched | loket_split_(re; flags);
";

/// Definitions of jq that jaq does not have, as its manual gives them.
const ADDITIONS: &str = r"
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] |= $row);
def INDEX(f): INDEX(.[]; f);
def toarray: if isarray then . else [.] end;
def trimstr($x): ltrimstr($x) | rtrimstr($x);
def ascii: [.] | implode;
";

/// The definitions in jq, parsed once.
pub(super) fn definitions() -> Vec<Def> {
    static DEFINITIONS: LazyLock<Vec<Def>> = LazyLock::new(|| {
        let parsed = |source| load::parse(source, |parser| parser.defs()).expect("the definitions are ours and parse");
        let library = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let library = library.filter(|definition| !ABSENT_DEFINITIONS.contains(&definition.name));
        let guards: Vec<Def> = parsed(GUARDS);
        guards.into_iter().chain(library).chain(parsed(ADDITIONS)).collect()
    });
    DEFINITIONS.clone()
}

/// The functions in Rust. Ours come last and take the names of those they stand for.
pub(super) fn natives() -> Vec<Fun<Engine>> {
    let library = jaq_core::funs().chain(jaq_std::funs());
    let ours: Vec<_> = values().into_iter().chain(added()).map(|function| native::run::<Engine>(function)).collect();
    let is_ours = |name: &str| ours.iter().any(|(taken, ..)| *taken == name);
    let kept = library.filter(|(name, ..)| !ABSENT.contains(name) && !is_ours(name));
    let renamed = kept.map(|(name, arguments, run): Fun<Engine>| match name {
        "matches" => ("loket_matches", arguments, run),
        "split_matches" => ("loket_split_matches", arguments, run),
        "split_" => ("loket_split_", arguments, run),
        name => (name, arguments, run),
    });
    let mut all: Vec<_> = renamed.collect();
    all.extend(ours);
    all
}

/// An error that an operator may read as it is.
fn mistake(message: &str) -> Error<Value> {
    Error::str(message)
}

/// What jq's library does with the values of jaq, done with ours.
fn values() -> Vec<Native> {
    vec![
        ("range", v(3), range),
        ("fromjson", v(0), |cv| bome(from_json(&cv.1))),
        ("tojson", v(0), |cv| bome(Ok(Value::text(json::write(&cv.1.0))))),
        ("tobytes", v(0), |cv| bome(to_bytes(&cv.1))),
        ("length", v(0), |cv| bome(length(&cv.1))),
        ("contains", v(1), |cv| unary(cv, |value, part| Ok(contains(&value.0, &part.0).into()))),
        ("has", v(1), |cv| unary(cv, |value, key| has(&value.0, &key.0))),
        ("indices", v(1), |cv| unary(cv, |value, part| indices(&value.0, &part.0))),
        ("bsearch", v(1), |cv| unary(cv, |value, wanted| search(&value.0, &wanted.0))),
        ("loket_searched", v(0), |cv| bome(searched(cv.1))),
    ]
}

/// Ours.
fn added() -> Vec<Native> {
    vec![
        ("e164", v(0), |cv| {
            let country = cv.0.data().surroundings.country;
            bome(Ok(readable(&cv.1).and_then(|number| phone::e164(&number, country)).map_or(null(), Value::text)))
        }),
        ("digits", v(0), |cv| bome(digits(&cv.1))),
        ("epoch", v(0), |cv| {
            let zone = cv.0.data().surroundings.timezone;
            bome(epoch(&cv.1, zone))
        }),
        ("epoch", v(1), |cv| unary(cv, |value, zone| epoch(&value, &zone_named(&zone)?))),
        ("b64d", v(0), |cv| {
            let decoded = input(&cv.1, "b64d").and_then(|encoded| base64_decoded(encoded.as_bytes()));
            bome(decoded.map(|bytes| Value::text(text::utf8(bytes).0)))
        }),
        ("decode", v(2), decode),
        ("sha256", v(0), |cv| {
            bome(
                input(&cv.1, "sha256")
                    .map(|plain| Value::text(text::to_hex(digest(&SHA256, plain.as_bytes()).as_ref()))),
            )
        }),
        ("html_text", v(0), |cv| bome(input(&cv.1, "html_text").map(|html| Value::text(markup::text_of(&html))))),
        ("secret_eq", v(2), secret_eq),
    ]
}

fn null() -> Value {
    Value(Val::Null)
}

/// A string, or a number digit for digit.
fn readable(value: &Value) -> Option<String> {
    match &value.0 {
        Val::TStr(text) | Val::BStr(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Val::Num(number @ (Num::Int(_) | Num::BigInt(_))) => Some(number.to_string()),
        _ => None,
    }
}

/// The input of one of our functions, paid for twice: it is copied, and the result is about as long.
fn input(value: &Value, function: &'static str) -> Result<String, Error<Value>> {
    let text = readable(value).ok_or_else(|| mistake(&format!("`{function}`: the input is {value}, not a string")))?;
    charge(text.len() * 2 + STEP)?;
    Ok(text)
}

/// Stops at 1000 numbers, whatever the bounds.
fn range(mut cv: Cv<'_, Engine>) -> ValXs<'_, Value> {
    let by = cv.0.pop_var();
    let to = cv.0.pop_var();
    let mut next = Some(cv.0.pop_var());
    let zero = Value(Val::Num(Num::Int(0)));
    let numbers = std::iter::from_fn(move || {
        let current = next.take()?;
        let inside = match by.cmp(&zero) {
            std::cmp::Ordering::Greater => current < to,
            std::cmp::Ordering::Less => current > to,
            std::cmp::Ordering::Equal => current != to,
        };
        if !inside {
            return None;
        }
        match charge(STEP).and_then(|()| current.clone() + by.clone()) {
            Ok(following) => next = Some(following),
            Err(error) => return Some(Err(Exn::from(error))),
        }
        Some(Ok(current))
    });
    Box::new(numbers.take(OUTPUTS))
}

fn from_json(value: &Value) -> ValR<Value> {
    let source = input(value, "fromjson")?;
    // A value of two bytes takes about twenty times as many.
    charge(source.len() * 20)?;
    match document::parse(source.as_bytes(), document::MAX_DEPTH) {
        Ok(parsed) => Ok(Value(parsed.value)),
        Err(fault) => Err(mistake(&format!("`fromjson`: {fault}"))),
    }
}

fn to_bytes(value: &Value) -> ValR<Value> {
    fn gather(value: &Val, bytes: &mut Vec<u8>) -> Result<(), Error<Value>> {
        charge(STEP)?;
        match value {
            Val::TStr(text) | Val::BStr(text) => {
                charge(text.len())?;
                bytes.extend_from_slice(text);
                Ok(())
            }
            Val::Arr(items) => items.iter().try_for_each(|item| gather(item, bytes)),
            Val::Num(number) => {
                let byte = number.as_isize().and_then(|number| u8::try_from(number).ok());
                bytes.push(byte.ok_or_else(|| mistake("`tobytes`: a number is no byte"))?);
                Ok(())
            }
            _ => Err(mistake("`tobytes`: only strings, bytes, and lists of them can be used")),
        }
    }
    let mut bytes = Vec::new();
    gather(&value.0, &mut bytes)?;
    Ok(Value(Val::byte_str(bytes)))
}

fn length(value: &Value) -> ValR<Value> {
    match &value.0 {
        Val::Null => Ok(0_usize.into()),
        Val::TStr(text) => Ok(String::from_utf8_lossy(text).chars().count().into()),
        Val::BStr(bytes) => Ok(bytes.len().into()),
        Val::Arr(items) => Ok(items.len().into()),
        Val::Obj(map) => Ok(map.len().into()),
        Val::Num(_) if *value < Value(Val::Num(Num::Int(0))) => -value.clone(),
        Val::Num(_) => Ok(value.clone()),
        Val::Bool(_) => Err(mistake("`length`: a boolean has none")),
    }
}

/// jq's `contains`: strings by part, lists and objects by their members.
fn contains(whole: &Val, part: &Val) -> bool {
    if !meter::spend(STEP) {
        return false;
    }
    match (whole, part) {
        (Val::TStr(whole), Val::TStr(part)) | (Val::BStr(whole), Val::BStr(part)) => {
            places(whole, part).next().is_some()
        }
        (Val::Arr(whole), Val::Arr(part)) => part.iter().all(|part| whole.iter().any(|whole| contains(whole, part))),
        (Val::Obj(whole), Val::Obj(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        _ => whole == part,
    }
}

/// Byte places at which `part` begins. Linear for what filters look for: it skips to the first byte.
fn places<'t>(whole: &'t [u8], part: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    let starts = 0..(whole.len() + 1).saturating_sub(part.len());
    starts.filter(move |place| whole.get(*place..).is_some_and(|rest| rest.starts_with(part)))
}

fn has(value: &Val, key: &Val) -> ValR<Value> {
    match (value, key) {
        (Val::Obj(map), key) => Ok(map.contains_key(key).into()),
        (Val::Arr(items), Val::Num(number)) => {
            let place = number.as_isize().and_then(|index| usize::try_from(index).ok());
            Ok(place.is_some_and(|place| place < items.len()).into())
        }
        _ => Err(mistake("`has`: objects are asked for names, lists for numbers")),
    }
}

fn indices(value: &Val, part: &Val) -> ValR<Value> {
    match (value, part) {
        (Val::Null, _) => Ok(null()),
        (Val::TStr(_), Val::TStr(part)) if part.is_empty() => Ok(Value::from_iter([])),
        (Val::TStr(whole), Val::TStr(part)) => {
            // Counted in characters, in one pass beside the places.
            let whole_text = String::from_utf8_lossy(whole);
            let mut starts = whole_text.char_indices().map(|(byte, _)| byte).enumerate().peekable();
            let found = places(whole_text.as_bytes(), part).filter_map(|place| {
                while starts.next_if(|(_, byte)| *byte < place).is_some() {}
                starts.peek().map(|(character, _)| Value::from(*character))
            });
            Ok(found.collect())
        }
        (Val::Arr(_), Val::Arr(part)) if part.is_empty() => Ok(Value::from_iter([])),
        (Val::Arr(items), Val::Arr(part)) => {
            let windows = items.windows(part.len()).enumerate();
            Ok(windows.filter(|(_, window)| *window == part.as_slice()).map(|(place, _)| Value::from(place)).collect())
        }
        (Val::Arr(items), item) => Ok(items
            .iter()
            .enumerate()
            .filter(|(_, found)| *found == item)
            .map(|(place, _)| Value::from(place))
            .collect()),
        _ => Err(mistake("`indices`: a string is searched for a string, a list for an item")),
    }
}

fn search(value: &Val, wanted: &Val) -> ValR<Value> {
    let Val::Arr(items) = value else { return Err(mistake("`bsearch`: the input is no list")) };
    let place = match items.binary_search(wanted) {
        Ok(place) => place as isize,
        Err(place) => -1 - place as isize,
    };
    Ok(place.into())
}

fn searched(value: Value) -> ValR<Value> {
    match &value.0 {
        Val::TStr(text) if text.len() > SEARCHED => Err(mistake("`regex`: the text is longer than 256 KiB")),
        Val::TStr(text) => {
            charge(text.len())?;
            Ok(value)
        }
        _ => Ok(value),
    }
}

fn digits(value: &Value) -> ValR<Value> {
    if matches!(value.0, Val::Null) {
        return Ok(null());
    }
    let text = input(value, "digits")?;
    Ok(Value::text(text.chars().filter(char::is_ascii_digit).collect::<String>()))
}

fn epoch(value: &Value, zone: &jiff::tz::TimeZone) -> ValR<Value> {
    let moment = match &value.0 {
        Val::Null => return Ok(null()),
        Val::TStr(text) => moment::parse(&String::from_utf8_lossy(text), zone),
        Val::Num(_) => jaq_std::ValT::as_f64(value).and_then(moment::from_number),
        _ => None,
    };
    let moment = moment.ok_or_else(|| mistake(&format!("`epoch`: {value} holds no time that is known")))?;
    if moment.subsec_nanosecond() == 0 {
        return Ok(Value(Val::Num(Num::from_integral(moment.as_second()))));
    }
    Ok(Value::from(moment.as_millisecond() as f64 / 1000.0))
}

fn zone_named(value: &Value) -> Result<jiff::tz::TimeZone, Error<Value>> {
    let name = readable(value).unwrap_or_default();
    jiff::tz::TimeZone::get(&name).map_err(|_| mistake("`epoch`: the zone is not known; write it as in `Asia/Jakarta`"))
}

/// Standard or URL alphabet, with or without padding, line breaks ignored.
fn base64_decoded(encoded: &[u8]) -> Result<Vec<u8>, Error<Value>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    let one_alphabet: Vec<u8> = encoded
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    STANDARD.decode(one_alphabet).map_err(|_| mistake("`base64`: the input is not base64"))
}

/// `decode("hex"; "utf-16be")`
fn decode(mut cv: Cv<'_, Engine>) -> ValXs<'_, Value> {
    let charset = cv.0.pop_var();
    let encoding = cv.0.pop_var();
    let decoded = || {
        let encoded = input(&cv.1, "decode")?;
        let bytes = match readable(&encoding).as_deref() {
            Some("hex") => {
                text::from_hex(encoded.trim().as_bytes()).ok_or_else(|| mistake("`decode`: the input is not hex"))?
            }
            Some("base64") => base64_decoded(encoded.as_bytes())?,
            Some("percent") => text::percent_decoded(encoded.as_bytes(), text::Plus::Kept),
            _ => return Err(mistake("`decode`: the encoding is `hex`, `base64` or `percent`")),
        };
        let label = readable(&charset).unwrap_or_default();
        let charset = text::charset(&label).ok_or_else(|| mistake("`decode`: the charset is not known"))?;
        Ok(Value::text(charset.decode(bytes.into()).0))
    };
    bome(decoded())
}

/// True for any value of the setting. Every value is compared, over its hash, so that neither length nor place shows.
fn secret_eq(mut cv: Cv<'_, Engine>) -> ValXs<'_, Value> {
    let name = cv.0.pop_var();
    let candidate = cv.0.pop_var();
    let settings = cv.0.data().surroundings.settings;
    let (Some(name), Some(candidate)) = (readable(&name), readable(&candidate)) else {
        return bome(Ok(false.into()));
    };
    let candidate = digest(&SHA256, candidate.as_bytes());
    let equal = settings
        .values(&name)
        .into_iter()
        .filter(|value| !value.is_empty())
        .fold(subtle::Choice::from(0), |equal, value| {
            equal | digest(&SHA256, value.as_bytes()).as_ref().ct_eq(candidate.as_ref())
        });
    bome(Ok(bool::from(equal).into()))
}
