//! Durations and sizes as people write them in files: the unit stands in the value (`"300s"`, `"10m"`, `"256 KiB"`).

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// The text is no duration or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUnit(String);

impl Span {
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub const fn duration(self) -> Duration {
        self.0
    }

    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// For arithmetic with timestamps. Every span that can be written fits.
    pub fn signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::try_from(self.0).unwrap_or(jiff::SignedDuration::MAX)
    }
}

/// Splits `"300 s"` into number and unit.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

impl FromStr for Span {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad =
            || BadUnit(format!("`{text}` is no duration: write a whole number and ms, s, m, h or d, like \"300s\""));
        let (number, unit) = number_and_unit(text).ok_or_else(bad)?;
        let seconds = match unit {
            "ms" => return Ok(Self::from_millis(number)),
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(bad()),
        };
        // A hundred thousand years is as good as for ever, and keeps the arithmetic of timestamps in range.
        let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= 86_400 * 36_500).ok_or_else(bad)?;
        Ok(Self::from_secs(seconds))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if !millis.is_multiple_of(1000) {
            return write!(out, "{millis}ms");
        }
        match self.0.as_secs() {
            seconds if seconds > 0 && seconds % 86_400 == 0 => write!(out, "{}d", seconds / 86_400),
            seconds if seconds > 0 && seconds % 3600 == 0 => write!(out, "{}h", seconds / 3600),
            seconds if seconds > 0 && seconds % 60 == 0 => write!(out, "{}m", seconds / 60),
            seconds => write!(out, "{seconds}s"),
        }
    }
}

/// A number of bytes: a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || {
            BadUnit(format!("`{text}` is no size: write a whole number and B, KiB, MiB, GiB or TiB, like \"256 KiB\""))
        };
        let (number, unit) = number_and_unit(text).ok_or_else(bad)?;
        let shift = match unit {
            "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(bad()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 > 0 && self.0.is_multiple_of(1 << shift) {
                return write!(out, "{} {unit}", self.0 >> shift);
            }
        }
        write!(out, "{} B", self.0)
    }
}

/// Both are strings in files, and in the schemas of files.
macro_rules! as_text {
    ($name:ident, $pattern:literal, $what:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $what })
            }
        }
    };
}

as_text!(Span, "^[0-9]+ ?(ms|s|m|h|d)$", "a duration, like 300s");
as_text!(Size, "^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$", "a size, like 256 KiB");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_back_as_it_was_written() {
        for text in ["0s", "500ms", "300s", "10m", "24h", "30d"] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
        assert_eq!("300s".parse::<Span>(), Ok(Span::from_secs(300)));
    }

    #[test]
    fn a_value_without_a_known_unit_is_refused_with_an_example() {
        for bad in ["300", "s", "-1s", "1.5h", "10 years", "99999999999d"] {
            let error = bad.parse::<Span>().expect_err(bad);
            assert!(error.to_string().contains("\"300s\""), "{error}");
        }
        for bad in ["256", "256KB", "99999999999999 TiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
        assert_eq!("256 KiB".parse::<Size>(), Ok(Size::kib(256)));
        assert_eq!(Size::mib(1).to_string(), "1 MiB");
    }
}
