//! Arithmetic of values: what an operator may allocate is paid for before it runs.

use bytes::Bytes;
use jaq_core::{Error, ValR, ops::Math};
use jaq_json::{Map, Num, Rc, Val};

use super::{
    Value, json,
    meter::{ENTRY, STEP, charge},
};

/// Bits of the largest whole number that a product may be: no id, time or amount is longer.
const PRODUCT_BITS: u64 = 8192;

/// Runs an operator of jaq; its error names the kinds, not the values.
fn calculate(left: Value, op: Math, right: Value, run: impl FnOnce(Val, Val) -> jaq_json::ValR) -> ValR<Value> {
    charge(STEP)?;
    let kinds = (left.kind(), right.kind());
    run(left.0, right.0).map(Value).map_err(|_| Error::math(kinds.0.specimen(), op, kinds.1.specimen()))
}

impl std::ops::Add for Value {
    type Output = ValR<Self>;

    fn add(self, right: Self) -> ValR<Self> {
        charge(match (&self.0, &right.0) {
            (Val::TStr(left), Val::TStr(right)) | (Val::BStr(left), Val::BStr(right)) => left.len() + right.len(),
            (Val::Arr(left), Val::Arr(right)) => (left.len() + right.len()) * STEP,
            (Val::Obj(left), Val::Obj(right)) => (left.len() + right.len()) * ENTRY,
            (Val::Num(left), Val::Num(right)) => bytes_of(left) + bytes_of(right),
            _ => 0,
        })?;
        calculate(self, Math::Add, right, |left, right| left + right)
    }
}

/// Bytes of a number beyond those of its value.
fn bytes_of(number: &Num) -> usize {
    match number {
        Num::BigInt(number) => usize::try_from(number.bits() / 8).unwrap_or(usize::MAX / 4),
        Num::Dec(digits) => digits.len(),
        Num::Int(_) | Num::Float(_) => 0,
    }
}

impl std::ops::Sub for Value {
    type Output = ValR<Self>;

    fn sub(self, right: Self) -> ValR<Self> {
        charge(match (&self.0, &right.0) {
            (Val::Arr(left), Val::Arr(right)) => (left.len() + right.len() * 2) * STEP,
            (Val::Num(left), Val::Num(right)) => bytes_of(left) + bytes_of(right),
            _ => 0,
        })?;
        calculate(self, Math::Sub, right, |left, right| left - right)
    }
}

impl std::ops::Mul for Value {
    type Output = ValR<Self>;

    fn mul(self, right: Self) -> ValR<Self> {
        match (&self.0, &right.0) {
            (Val::TStr(text) | Val::BStr(text), Val::Num(times))
            | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) => {
                let times = match times {
                    // Larger than any machine word: the length is, too, unless it is negative.
                    Num::BigInt(_) => times.as_isize().unwrap_or(isize::MAX),
                    _ => times.as_isize().unwrap_or(0),
                };
                charge(text.len().saturating_mul(usize::try_from(times).unwrap_or(0)))?;
            }
            (Val::Num(left), Val::Num(right)) => {
                let bits = |number: &Num| if let Num::BigInt(number) = number { number.bits() } else { 64 };
                if bits(left) + bits(right) > PRODUCT_BITS {
                    return Err(Error::str("`*`: the product is too large"));
                }
            }
            (Val::Obj(left), Val::Obj(right)) => {
                // The merge goes into the nested objects.
                let weight = json::weight(&self.0).saturating_add(json::weight(&right_of(right)));
                charge(weight.max((left.len() + right.len()) * ENTRY))?;
            }
            _ => {}
        }
        calculate(self, Math::Mul, right, |left, right| left * right)
    }
}

fn right_of(map: &Rc<Map>) -> Val {
    Val::Obj(Rc::clone(map))
}

impl std::ops::Div for Value {
    type Output = ValR<Self>;

    /// Of strings: splits.
    fn div(self, right: Self) -> ValR<Self> {
        if let (Val::TStr(text) | Val::BStr(text), Val::TStr(separator) | Val::BStr(separator)) = (&self.0, &right.0) {
            let pieces = match &separator[..] {
                [] => text.len(),
                [byte] => text.split(|candidate| candidate == byte).count(),
                longer => text.len() / longer.len() + 1,
            };
            charge(pieces * (STEP + size_of::<Bytes>()))?;
        }
        calculate(self, Math::Div, right, |left, right| left / right)
    }
}

impl std::ops::Rem for Value {
    type Output = ValR<Self>;

    fn rem(self, right: Self) -> ValR<Self> {
        calculate(self, Math::Rem, right, |left, right| left % right)
    }
}

impl std::ops::Neg for Value {
    type Output = ValR<Self>;

    fn neg(self) -> ValR<Self> {
        charge(STEP)?;
        let kind = self.kind();
        (-self.0).map(Self).map_err(|_| Error::typ(kind.specimen(), "number"))
    }
}
