//! Points in time as providers write them: RFC 3339, RFC 5322, ISO 8601, `YYYY-MM-DD hh:mm:ss`, seconds or milliseconds.

use jiff::{Timestamp, Zoned, civil, fmt::rfc2822, tz::TimeZone};

/// Numbers from here on count milliseconds: as seconds they would lie 3,000 years ahead.
const MILLISECONDS_FROM: f64 = 1e11;
/// No way of writing a time is longer.
const LONGEST: usize = 64;

/// Reads a text; what names no zone is in `zone`.
pub(in crate::mapping) fn parse(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
        && text.rfind('-').unwrap_or(0) == 0
    {
        return whole(text).or_else(|| text.parse().ok().and_then(from_number));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    if let Ok(local) = text.parse::<civil::DateTime>() {
        return local.to_zoned(zone.clone()).ok().map(|moment| moment.timestamp());
    }
    if let Ok(moment) = rfc2822::parse(text) {
        return Some(moment.timestamp());
    }
    text.parse::<Zoned>().ok().map(|moment| moment.timestamp())
}

/// Digits without a fraction, exactly.
fn whole(digits: &str) -> Option<Timestamp> {
    let number: i64 = digits.parse().ok()?;
    if (number as f64).abs() < MILLISECONDS_FROM {
        Timestamp::from_second(number).ok()
    } else {
        Timestamp::from_millisecond(number).ok()
    }
}

/// Seconds or milliseconds since 1970, kept to the millisecond: a double holds no more.
pub(in crate::mapping) fn from_number(number: f64) -> Option<Timestamp> {
    if !number.is_finite() {
        return None;
    }
    let milliseconds = if number.abs() < MILLISECONDS_FROM { number * 1000.0 } else { number };
    // Beyond the years that are known the conversion saturates, and jiff refuses.
    Timestamp::from_millisecond(milliseconds.round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_time_gives_the_same_moment() {
        let jakarta = TimeZone::get("Asia/Jakarta").unwrap();
        let moment = Timestamp::from_second(1_767_225_600).unwrap();
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000+0000",
            "2026-01-01T07:00:00+07:00",
            "20260101T000000Z",
            "2026-01-01 07:00:00",
            "2026-01-01T07:00",
            "Thu, 01 Jan 2026 07:00:00 +0700",
            "1 Jan 2026 00:00:00 GMT",
            "1767225600",
            "1767225600000",
            "1767225600.0",
            " 1767225600 ",
        ] {
            assert_eq!(parse(text, &jakarta), Some(moment), "{text}");
        }
        assert_eq!(parse("2026-01-01", &jakarta).map(Timestamp::as_second), Some(1_767_225_600 - 7 * 3600));
    }

    #[test]
    fn what_is_no_time_gives_nothing() {
        for text in ["", "soon", "2026-13-01", "99999999999999999999", "1e9", "--", "-", &"1".repeat(65)] {
            assert_eq!(parse(text, &TimeZone::UTC), None, "{text}");
        }
        assert_eq!(from_number(f64::NAN), None);
        assert_eq!(from_number(1e300), None);
    }

    #[test]
    fn a_fraction_of_a_second_stays() {
        assert_eq!(from_number(1.5).map(Timestamp::as_millisecond), Some(1500));
        assert_eq!(from_number(1_767_225_600_123.0).map(Timestamp::as_millisecond), Some(1_767_225_600_123));
    }
}
