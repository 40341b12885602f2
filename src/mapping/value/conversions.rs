//! What becomes a value, and what jaq's library asks of one.

use bytes::Bytes;
use jaq_json::{Num, Rc, Val};

use super::{
    Value,
    meter::{STEP, spend},
};

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self(Val::Bool(value))
    }
}

impl From<isize> for Value {
    fn from(value: isize) -> Self {
        spend(STEP);
        Self(Val::from(value))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        spend(STEP);
        Self(Val::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        spend(STEP);
        Self(Val::from(value))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        spend(text.len() + STEP);
        Self::text(text)
    }
}

impl From<jaq_core::val::Range<Value>> for Value {
    fn from(range: jaq_core::val::Range<Value>) -> Self {
        let bounds = [("start", range.start), ("end", range.end)];
        let entries = bounds.into_iter().filter_map(|(key, bound)| Some((Val::utf8_str(key), bound?.0)));
        Self(Val::obj(entries.collect()))
    }
}

impl FromIterator<Value> for Value {
    /// Stops taking when nothing is left; the run is lost then.
    fn from_iter<T: IntoIterator<Item = Value>>(items: T) -> Self {
        let items = items.into_iter().take_while(|_| spend(STEP)).map(|item| item.0);
        let list = Self(Val::Arr(Rc::new(items.collect())));
        list.bounded().unwrap_or(Self(Val::Null))
    }
}

impl jaq_std::ValT for Value {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        match self.0 {
            Val::Arr(list) => {
                // Without an allowance there is nothing to sort or to group.
                let list = if spend(list.len() * STEP) { Rc::unwrap_or_clone(list) } else { Vec::new() };
                Ok(list.into_iter().map(Self).collect())
            }
            _ => Err(self),
        }
    }

    fn is_int(&self) -> bool {
        matches!(self.0, Val::Num(Num::Int(_) | Num::BigInt(_)))
    }

    fn as_isize(&self) -> Option<isize> {
        match &self.0 {
            Val::Num(number) => number.as_isize(),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        jaq_std::ValT::as_f64(&self.0)
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self.0, Val::TStr(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Val::BStr(text) | Val::TStr(text) => Some(text),
            _ => None,
        }
    }

    fn as_sub_str(&self, part: &[u8]) -> Self {
        spend(STEP);
        Self(self.0.as_sub_str(part))
    }

    fn from_utf8_bytes(text: impl AsRef<[u8]> + Send + 'static) -> Self {
        spend(text.as_ref().len() + STEP);
        Self::text(Bytes::from_owner(text))
    }
}
