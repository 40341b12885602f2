//! The values that filters work on: those of jaq, each operation of which is paid for.
//!
//! A filter is written by somebody else and works on what strangers sent. `"x" * 1e9`, doubling in a `reduce`, or a number of
//! a million digits would take the memory of the whole gateway. So the values of jaq are wrapped, and each operation that
//! allocates asks `meter` first. Values nest at most `DEPTH` deep, as comparing and dropping them recurses.
//!
//! A value prints as its kind only ("a string"): errors of filters are shown to operators and must hold no words of a citizen.

use std::fmt;

use bytes::Bytes;
use jaq_core::{
    Error, Exn, ValR, ValT, ValX,
    box_iter::{BoxIter, box_once},
    path::Opt,
};
use jaq_json::{Map, Num, Rc, Val};

pub(super) mod json;
pub(super) mod meter;
mod conversions;
mod operators;

use meter::{ENTRY, STEP, charge, overrun, spend, stop};

/// What looking at one part of a value costs.
const LOOK: usize = STEP / 4;
/// How deep a value may nest that a filter builds.
pub(super) const DEPTH: usize = 128;

/// A value of jaq whose operations are paid for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value(pub(super) Val);

impl Value {
    /// Text that is UTF-8, or nearly: jaq keeps single bytes that are not.
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self(Val::utf8_str(text))
    }

    fn kind(&self) -> Kind {
        match &self.0 {
            Val::Null => Kind::Null,
            Val::Bool(_) => Kind::Boolean,
            Val::Num(_) => Kind::Number,
            Val::BStr(_) | Val::TStr(_) => Kind::Text,
            Val::Arr(_) => Kind::Array,
            Val::Obj(_) => Kind::Object,
        }
    }

    /// The value, if it nests no deeper than it may.
    fn bounded(self) -> Result<Self, Error<Self>> {
        if nests_within(&self.0, DEPTH) {
            Ok(self)
        } else {
            stop();
            Err(overrun())
        }
    }
}

/// Prints the kind, never the content.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self.kind() {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::Text => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Array,
    Object,
}

impl Kind {
    /// Stands for an operand that is gone when the error is made.
    fn specimen(self) -> Value {
        Value(match self {
            Self::Null => Val::Null,
            Self::Boolean => Val::Bool(true),
            Self::Number => Val::Num(Num::Int(0)),
            Self::Text => Val::utf8_str(Bytes::new()),
            Self::Array => Val::Arr(Rc::default()),
            Self::Object => Val::Obj(Rc::default()),
        })
    }
}

/// Only what a filter builds is looked at, and the look is paid for: values share their parts, so that a small one may be
/// huge when it is walked.
fn nests_within(value: &Val, depth: usize) -> bool {
    match value {
        Val::Arr(items) => depth > 0 && spend(items.len()) && items.iter().all(|item| nests_within(item, depth - 1)),
        Val::Obj(map) => depth > 0 && spend(map.len() * LOOK) && map.values().all(|item| nests_within(item, depth - 1)),
        _ => true,
    }
}

/// The content of a shared list; a copy is paid for.
fn owned_list(list: Rc<Vec<Val>>) -> Result<Vec<Val>, Error<Value>> {
    charge(list.len() * STEP)?;
    Ok(Rc::unwrap_or_clone(list))
}

fn owned_map(map: Rc<Map>) -> Result<Map, Error<Value>> {
    charge(map.len() * ENTRY)?;
    Ok(Rc::unwrap_or_clone(map))
}

/// One item of a loop: fails when nothing is left, so that the loop ends.
fn item(value: Val) -> ValR<Value> {
    charge(STEP)?;
    Ok(Value(value))
}

impl ValT for Value {
    fn from_num(number: &str) -> ValR<Self> {
        Val::from_num(number).map(Self).map_err(|_| Error::str("`number`: this is none"))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(entries: I) -> ValR<Self> {
        let mut map = Map::default();
        for (key, value) in entries {
            charge(ENTRY)?;
            map.insert(key.0, value.0);
        }
        Self(Val::obj(map)).bounded()
    }

    fn key_values(self) -> BoxIter<'static, ValR<(Self, Self), Self>> {
        match self.0 {
            Val::Arr(list) => match owned_list(list) {
                Ok(list) => {
                    Box::new(list.into_iter().enumerate().map(|(index, value)| Ok((Self::from(index), item(value)?))))
                }
                Err(error) => box_once(Err(error)),
            },
            Val::Obj(map) => match owned_map(map) {
                Ok(map) => Box::new(map.into_iter().map(|(key, value)| Ok((Self(key), item(value)?)))),
                Err(error) => box_once(Err(error)),
            },
            _ => box_once(Err(Error::typ(self, "iterable (array or object)"))),
        }
    }

    fn values(self) -> BoxIter<'static, ValR<Self>> {
        match self.0 {
            Val::Arr(list) => match owned_list(list) {
                Ok(list) => Box::new(list.into_iter().map(item)),
                Err(error) => box_once(Err(error)),
            },
            Val::Obj(map) => match owned_map(map) {
                Ok(map) => Box::new(map.into_iter().map(|(_, value)| item(value))),
                Err(error) => box_once(Err(error)),
            },
            _ => box_once(Err(Error::typ(self, "iterable (array or object)"))),
        }
    }

    fn index(self, index: &Self) -> ValR<Self> {
        charge(STEP)?;
        match (&self.0, &index.0) {
            (Val::Null, _) => Ok(Self(Val::Null)),
            (Val::Obj(map), key) => Ok(Self(map.get(key).cloned().unwrap_or_default())),
            (Val::Arr(list), Val::Num(number)) if number.as_isize().is_some() => {
                let place = number.as_isize().and_then(|index| place(index, list.len()));
                Ok(Self(place.and_then(|place| list.get(place).cloned()).unwrap_or_default()))
            }
            _ => {
                let (value, index) = (self.kind(), index.clone());
                self.0.index(&index.0).map(Self).map_err(|_| Error::index(value.specimen(), index))
            }
        }
    }

    fn range(self, range: jaq_core::val::Range<&Self>) -> ValR<Self> {
        if let Val::Arr(list) = &self.0 {
            charge(list.len() * STEP)?;
        }
        charge(STEP)?;
        let kind = self.kind();
        let range = range.start.map(|bound| &bound.0)..range.end.map(|bound| &bound.0);
        self.0.range(range).map(Self).map_err(|_| Error::typ(kind.specimen(), "array or string with whole bounds"))
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(self, opt: Opt, f: impl Fn(Self) -> I) -> ValX<'a, Self> {
        let mapped = match self.0 {
            Val::Arr(list) => {
                let mut mapped = Vec::new();
                for value in owned_list(list)? {
                    for result in f(item(value)?) {
                        charge(STEP)?;
                        mapped.push(result?.0);
                    }
                }
                Val::Arr(Rc::new(mapped))
            }
            Val::Obj(map) => {
                let mut mapped = Map::default();
                for (key, value) in owned_map(map)? {
                    if let Some(result) = f(item(value)?).next() {
                        charge(ENTRY)?;
                        mapped.insert(key, result?.0);
                    }
                }
                Val::obj(mapped)
            }
            _ => return opt.fail(self, |value| Exn::from(Error::typ(value, "iterable (array or object)"))),
        };
        Ok(Self(mapped).bounded()?)
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        let mapped = match (self.0, &index.0) {
            (Val::Obj(map), key) => {
                let mut map = owned_map(map)?;
                let value = map.get_mut(key).map(std::mem::take).unwrap_or_default();
                match f(Self(value)).next().transpose()? {
                    Some(result) => {
                        charge(ENTRY)?;
                        map.insert(key.clone(), result.0);
                    }
                    // Constant time, at the price of the order.
                    None => drop(map.swap_remove(key)),
                }
                Val::obj(map)
            }
            (Val::Arr(list), Val::Num(number)) => {
                let Some(place) = number.as_isize().and_then(|index| place(index, list.len())) else {
                    return opt.fail(Self(Val::Arr(list)), |_| Exn::from(Error::str("`index`: out of bounds")));
                };
                let mut list = owned_list(list)?;
                let value = list.get_mut(place).map(std::mem::take).unwrap_or_default();
                match f(Self(value)).next().transpose()? {
                    Some(result) => list.splice(place..=place, [result.0]).for_each(drop),
                    None => drop(list.remove(place)),
                }
                Val::Arr(Rc::new(list))
            }
            (value, _) => {
                return opt.fail(Self(value), |value| Exn::from(Error::index(value, index.clone())));
            }
        };
        Ok(Self(mapped).bounded()?)
    }

    /// Slices of lists only: jq itself refuses to change a slice of a string.
    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: jaq_core::val::Range<&Self>,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        let bound = |bound: Option<&Self>| match bound.map(|bound| &bound.0) {
            None | Some(Val::Null) => Some(None),
            Some(Val::Num(number)) => number.as_isize().map(Some),
            Some(_) => None,
        };
        let (list, start, end) = match (self.0, bound(range.start), bound(range.end)) {
            (Val::Arr(list), Some(start), Some(end)) => (list, start, end),
            (value, ..) => return opt.fail(Self(value), |value| Exn::from(Error::typ(value, "array"))),
        };
        let mut list = owned_list(list)?;
        let at = |bound: isize| place(bound, list.len()).unwrap_or(if bound < 0 { 0 } else { list.len() });
        let start = start.map_or(0, at);
        let end = end.map_or(list.len(), at).max(start);
        let slice = Val::Arr(Rc::new(list.get(start..end).unwrap_or_default().to_vec()));
        let replacement = match f(Self(slice)).next().transpose()?.map(|result| result.0) {
            None => Vec::new(),
            Some(Val::Arr(items)) => owned_list(items)?,
            Some(other) => return Err(Exn::from(Error::typ(Self(other), "array"))),
        };
        list.splice(start..end, replacement).for_each(drop);
        Ok(Self(Val::Arr(Rc::new(list))).bounded()?)
    }

    fn as_bool(&self) -> bool {
        !matches!(self.0, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Self {
        match self.0 {
            Val::BStr(text) | Val::TStr(text) => Self(Val::TStr(text)),
            other => Self::text(json::write(&other)),
        }
    }
}

/// The place of an index in a list; negative ones count from the end.
fn place(index: isize, length: usize) -> Option<usize> {
    let place = if index < 0 { length.checked_sub(index.unsigned_abs())? } else { index.unsigned_abs() };
    (place < length).then_some(place)
}
