//! When a letter was written: the first date that can be true.

use jiff::{SignedDuration, Timestamp, ToSpan};
use mail_parser::DateTime;

use super::{charset::Loss, headers::Headers, words};

/// A date is believed that lies so long before the first server had the letter …
const BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// … or so long after: clocks of phones stand wrong.
const AFTER: SignedDuration = SignedDuration::from_hours(24);
/// 1995: nobody wrote such letters before. Programs that know no time write 1970 or 1980.
const FIRST: i64 = 788_918_400;
/// Hops that are looked at.
const HOPS: usize = 100;

/// `Date` if it is sane, else the oldest sane date of a hop, else none. A letter may have lain in a mailbox for years before
/// it is read here: what its own servers wrote counts for more than the day that it came.
pub(super) fn sent_at(headers: &Headers<'_>, received_at: Timestamp, loss: &mut Loss) -> Option<Timestamp> {
    let possible = |date: &Timestamp| date.as_second() >= FIRST && received_at.duration_since(*date) >= -AFTER;
    let hops = headers.all("received").take(HOPS).filter_map(|field| hop(field, &mut Loss::default()));
    let first_hop = hops.filter(possible).min();
    let fits = |date: &Timestamp| first_hop.is_none_or(|hop| (-AFTER..=BEFORE).contains(&hop.duration_since(*date)));
    let own = headers.first("date").and_then(|field| read(field, loss));
    own.filter(possible).filter(fits).or(first_hop)
}

/// The date of a hop stands behind the last semicolon (RFC 5321, section 4.4).
fn hop(field: &[u8], loss: &mut Loss) -> Option<Timestamp> {
    let start = field.iter().rposition(|byte| *byte == b';')? + 1;
    read(field.get(start..)?, loss)
}

fn read(field: &[u8], loss: &mut Loss) -> Option<Timestamp> {
    let field = international(&words::unfold(field.get(..field.len().min(200))?, loss));
    let line = format!("{field}\n");
    let date = DateTime::parse_rfc822(&line).or_else(|| without_zone(&field)).filter(is_date);
    // A leap second is the second before it.
    let date = date.or_else(|| DateTime::parse_rfc822(&line.replace(":60", ":59")).filter(is_date))?;
    let local = jiff::civil::date(date.year as i16, date.month as i8, date.day as i8);
    let local = local.at(date.hour as i8, date.minute as i8, date.second as i8, 0);
    let zone = i64::from(date.tz_hour) * 60 + i64::from(date.tz_minute);
    let zone = if date.tz_before_gmt { -zone } else { zone };
    let utc = local.checked_sub(zone.minutes()).ok()?;
    utc.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// With the names of months and zones that RFC 5322 knows: programs in Indonesia write their own.
fn international(date: &str) -> String {
    let mut words = String::with_capacity(date.len() + 8);
    for word in date.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        let zone = word.strip_prefix("GMT").or_else(|| word.strip_prefix("UTC"));
        match zone.filter(|zone| zone.starts_with(['+', '-'])) {
            Some(zone) => words.extend(zone.split(':')),
            None => words.push_str(international_word(word)),
        }
    }
    words
}

fn international_word(word: &str) -> &str {
    match word {
        "Mei" => "May",
        "Agu" | "Agt" | "Ags" => "Aug",
        "Okt" => "Oct",
        "Nop" => "Nov",
        "Des" => "Dec",
        "WIB" => "+0700",
        "WITA" => "+0800",
        "WIT" => "+0900",
        word => word,
    }
}

/// A date whose zone is missing is taken as UTC.
fn without_zone(field: &str) -> Option<DateTime> {
    DateTime::parse_rfc822(&format!("{field} +0000\n"))
}

/// Of the calendar, so that nothing overflows.
fn is_date(date: &DateTime) -> bool {
    date.is_valid() && jiff::civil::Date::new(date.year as i16, date.month as i8, date.day as i8).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(head: &str) -> Option<String> {
        let received_at = "2025-11-05T03:00:00Z".parse().expect("a time");
        sent_at(&Headers::of(head.as_bytes()), received_at, &mut Loss::default()).map(|date| date.to_string())
    }

    #[test]
    fn the_first_sane_date_is_taken() {
        for (head, expected) in [
            ("Date: Wed, 5 Nov 2025 09:58:01 +0700", Some("2025-11-05T02:58:01Z")),
            ("Date: 5 Nov 25 09:58 +0700 (WIB)", Some("2025-11-05T02:58:00Z")),
            ("Date: Rab, 5 Nop 2025 09:58:01 WIB", Some("2025-11-05T02:58:01Z")),
            ("Date: Wed, 5 Nov 2025 09:58:01 GMT+07:00", Some("2025-11-05T02:58:01Z")),
            ("Date: Wed, 05 Nov 2025 02:58:01", Some("2025-11-05T02:58:01Z")),
            ("Date: Wed, 05 Nov 2025 02:58:60 GMT", Some("2025-11-05T02:58:59Z")),
            ("Date: Thu, 1 Jan 1970 00:00:00 +0000", None),
            ("Date: Tue, 5 Nov 2030 00:00:00 +0000", None),
            ("Date: kemarin", None),
            ("Date: Fri, 31 Feb 2025 00:00:00 +0000", None),
            (
                "Received: from a; Wed, 5 Nov 2025 02:59:30 +0000\nReceived: by b for c;\n Wed, 5 Nov 2025 09:59:00 +0700\n\
                 Received: x; Thu, 1 Jan 1970 00:00:00 +0000\nDate: Thu, 1 Jan 1970 00:00:00 +0000",
                Some("2025-11-05T02:59:00Z"),
            ),
        ] {
            assert_eq!(sent(head).as_deref(), expected, "{head}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_date_is_read(field in "([A-Z][a-z]{2},? |[0-9]{1,5}|[:+() -]|\\PC){0,16}") {
            read(field.as_bytes(), &mut Loss::default());
        }
    }
}
