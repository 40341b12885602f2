//! A JSON pointer (RFC 6901) followed into raw bytes, without a tree of the document.
//!
//! In: the raw body. Out: the one scalar at the place, as text. A name that occurs twice on the way is told apart from
//! one that is missing, because two readers of such a document may each see another value.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// `/a/b/0`, split and unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pointed {
    Missing,
    One(String),
    Twice,
}

impl Pointer {
    /// None: the text is no pointer to something inside a document.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let segments = text.strip_prefix('/')?;
        Some(Self(segments.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()))
    }

    pub(super) fn segments(&self) -> &[String] {
        &self.0
    }

    /// The scalar at the place: a string's text, the digits of a number as they stand. What is no JSON has nothing.
    pub(super) fn find(&self, json: &[u8]) -> Pointed {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let hit = Step(&self.0).deserialize(&mut deserializer);
        match (hit, deserializer.end()) {
            (Ok(Hit::One(raw)), Ok(())) => scalar(raw.get()),
            (Ok(Hit::Twice), Ok(())) => Pointed::Twice,
            _ => Pointed::Missing,
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| write!(out, "/{}", segment.replace('~', "~0").replace('/', "~1")))
    }
}

fn scalar(raw: &str) -> Pointed {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw).map_or(Pointed::Missing, Pointed::One),
        Some(b'{' | b'[' | b'n') | None => Pointed::Missing,
        Some(_) => Pointed::One(raw.to_owned()),
    }
}

enum Hit<'de> {
    Missing,
    One(&'de RawValue),
    Twice,
}

/// The rest of the way.
#[derive(Clone, Copy)]
struct Step<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Hit<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Hit<'de>, D::Error> {
        if self.0.is_empty() {
            <&RawValue>::deserialize(deserializer).map(Hit::One)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Hit<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hit<'de>, A::Error> {
        let Some((name, rest)) = self.0.split_first() else { return Ok(Hit::Missing) };
        let mut hit = None;
        while let Some(is_wanted) = map.next_key_seed(NameIs(name))? {
            if is_wanted {
                let found = map.next_value_seed(Step(rest))?;
                hit = Some(if hit.is_some() { Hit::Twice } else { found });
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(hit.unwrap_or(Hit::Missing))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Hit<'de>, A::Error> {
        let Some((index, rest)) = self.0.split_first() else { return Ok(Hit::Missing) };
        let wanted = index.parse::<usize>().ok();
        let mut hit = Hit::Missing;
        for place in 0.. {
            if Some(place) == wanted {
                match list.next_element_seed(Step(rest))? {
                    Some(found) => hit = found,
                    None => break,
                }
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(hit)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Hit<'de>, E> {
        Ok(Hit::Missing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Hit<'de>, E> {
        Ok(Hit::Missing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Hit<'de>, E> {
        Ok(Hit::Missing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Hit<'de>, E> {
        Ok(Hit::Missing)
    }

    fn visit_str<E>(self, _: &str) -> Result<Hit<'de>, E> {
        Ok(Hit::Missing)
    }

    fn visit_unit<E>(self) -> Result<Hit<'de>, E> {
        Ok(Hit::Missing)
    }
}

/// Compares a name without keeping it.
struct NameIs<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for NameIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameIs<'_> {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(pointer: &str, json: &str) -> Pointed {
        Pointer::parse(pointer).expect(pointer).find(json.as_bytes())
    }

    #[test]
    fn a_scalar_is_found_as_it_stands() {
        let json = r#"{"a":{"b":[1,{"c~/d":"x\u0041"}]},"n":12345678901234567890123,"z":null,"t":true}"#;
        assert_eq!(find("/a/b/1/c~0~1d", json), Pointed::One("xA".to_owned()));
        assert_eq!(find("/n", json), Pointed::One("12345678901234567890123".to_owned()));
        assert_eq!(find("/t", json), Pointed::One("true".to_owned()));
        for missing in ["/a", "/a/b", "/a/b/2", "/a/b/x", "/z", "/q", "/n/a", "/"] {
            assert_eq!(find(missing, json), Pointed::Missing, "{missing}");
        }
    }

    #[test]
    fn a_name_that_occurs_twice_on_the_way_is_told() {
        assert_eq!(find("/a", r#"{"a":1,"a":1}"#), Pointed::Twice);
        assert_eq!(find("/a", r#"{"a":1,"\u0061":2}"#), Pointed::Twice);
        assert_eq!(find("/a/b", r#"{"a":{},"a":{"b":1}}"#), Pointed::Twice);
    }

    #[test]
    fn what_is_no_json_has_nothing() {
        for bad in [r#"{"a":1"#, r#"{"a":1} x"#, "", "\u{feff}{\"a\":1}"] {
            assert_eq!(find("/a", bad), Pointed::Missing, "{bad}");
        }
        let deep = format!("{{\"b\":{}{},\"a\":1}}", "[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(find("/a", &deep), Pointed::One("1".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_bytes_can_be_asked(pointer in "/[a-z0-9~/]{0,12}", bytes: Vec<u8>, text in "[{}\\[\\]\",:a0-9]{0,40}") {
            let pointer = Pointer::parse(&pointer).expect("begins with a slash");
            prop_assert_eq!(Pointer::parse(&pointer.to_string()), Some(pointer.clone()));
            let _ = pointer.find(&bytes);
            let _ = pointer.find(text.as_bytes());
        }
    }
}
