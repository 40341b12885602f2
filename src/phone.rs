//! Phone numbers: E.164 where there is one, everything else kept as it is (`conversation-flow.md` §4).
//!
//! An international number is never rewritten, but for one slip that people make (`+6208…`). A national number gets the
//! country's code. Most numbers come as `+` and digits, and cost one look into a table; the numbering plans of all
//! countries are only loaded when a number does not say which country it is of.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, Region};

/// Longer texts are no phone numbers; E.164 has 15 digits, and people write brackets and spaces.
const LONGEST_TEXT: usize = 48;
/// Digits of an E.164 number, country code included.
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 7..=15;

/// E.164 of a number as a provider or a citizen writes it; national numbers are read as the country's (ISO 3166).
/// None: not a phone number (a short code, letters, too few or too many digits, no such country code).
pub fn e164(text: &str, country: &str) -> Option<String> {
    if let Some(digits) = text.strip_prefix('+')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return international(digits);
    }
    let written = text.trim();
    let written = written.strip_prefix("tel:").unwrap_or(written);
    if written.len() > LONGEST_TEXT {
        return None;
    }
    let (plus, rest) = match written.strip_prefix(['+', '\u{ff0b}']) {
        Some(rest) => (true, rest),
        None => (false, written),
    };
    let digits = digits_of(rest)?;
    if plus {
        return international(&digits);
    }
    if let Some(digits) = digits.strip_prefix("00") {
        return international(digits);
    }
    if country.eq_ignore_ascii_case("ID") { indonesian(&digits) } else { national(&digits, country) }
}

/// The digits between the marks that people set; None when there is anything else.
fn digits_of(text: &str) -> Option<String> {
    let mut digits = String::with_capacity(16);
    for letter in text.chars() {
        match letter {
            '0'..='9' => digits.push(letter),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' | '\u{2010}'..='\u{2014}' | '\u{202a}'..='\u{202e}' => {}
            _ => return None,
        }
    }
    Some(digits).filter(|digits| !digits.is_empty())
}

fn international(digits: &str) -> Option<String> {
    if let Some(slip) = digits.strip_prefix("620") {
        // No number in Indonesia begins with 0: it is the national prefix, written once too often.
        return indonesian_significant(slip);
    }
    (INTERNATIONAL.contains(&digits.len()) && has_calling_code(digits)).then(|| format!("+{digits}"))
}

/// Digits without `+` or `00` on a channel of Indonesia.
fn indonesian(digits: &str) -> Option<String> {
    if let Some(significant) = digits.strip_prefix('0') {
        return indonesian_significant(significant);
    }
    if let Some(significant) = digits.strip_prefix("62") {
        // No area code begins with 62 when its 0 is missing, so this is the country code.
        return indonesian_significant(significant.strip_prefix('0').unwrap_or(significant));
    }
    if is_indonesian_mobile(digits) {
        // The 0 was lost on the way, in a spreadsheet or a number type.
        return Some(format!("+62{digits}"));
    }
    foreign(digits)
}

/// 8 and 8 to 11 more digits.
fn is_indonesian_mobile(significant: &str) -> bool {
    significant.starts_with('8') && (9..=12).contains(&significant.len())
}

fn indonesian_significant(significant: &str) -> Option<String> {
    // Land lines have an area code of 2 or 3 digits and 5 to 8 more; 1 and 9 begin services without an area.
    let land_line =
        significant.starts_with(['2', '3', '4', '5', '6', '7', '9']) && (7..=11).contains(&significant.len());
    (is_indonesian_mobile(significant) || land_line).then(|| format!("+62{significant}"))
}

/// Digits without `+` on a channel of another country: its own number first.
fn national(digits: &str, country: &str) -> Option<String> {
    let own = country.len() == 2 && digits.len() >= 5;
    let region = Region::from_code(&country.to_ascii_uppercase()).ok().filter(|_| own);
    let valid = region.and_then(|region| {
        let number = PHONE_NUMBER_UTIL.parse(digits, Some(region)).ok()?;
        PHONE_NUMBER_UTIL.is_valid_number(&number).then(|| number.format_as(PhoneNumberFormat::E164).into_owned())
    });
    valid.or_else(|| foreign(digits))
}

/// Many providers leave the `+` away: digits that are a valid number of some country.
fn foreign(digits: &str) -> Option<String> {
    let candidate = (digits.len() >= 8).then(|| international(digits)).flatten()?;
    let number = PHONE_NUMBER_UTIL.parse(&candidate, None).ok()?;
    PHONE_NUMBER_UTIL.is_valid_number(&number).then_some(candidate)
}

/// Do the digits begin with a calling code that the ITU has assigned?
fn has_calling_code(digits: &str) -> bool {
    let number = |length: usize| digits.get(..length).and_then(|code| code.parse::<u16>().ok());
    let (Some(one), Some(two), Some(three)) = (number(1), number(2), number(3)) else { return false };
    matches!(one, 1 | 7)
        || matches!(
            two,
            20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98
        )
        || matches!(
            three,
            211..=213
                | 216
                | 218
                | 220..=258
                | 260..=269
                | 290
                | 291
                | 297..=299
                | 350..=359
                | 370..=378
                | 380..=383
                | 385..=387
                | 389
                | 420
                | 421
                | 423
                | 500..=509
                | 590..=599
                | 670
                | 672..=683
                | 685..=692
                | 800
                | 808
                | 850
                | 852
                | 853
                | 855
                | 856
                | 870
                | 878
                | 880..=883
                | 886
                | 888
                | 960..=968
                | 970..=977
                | 979
                | 992..=996
                | 998
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_numbers_of_the_specification_are_read_as_it_says() {
        for (text, number) in [
            ("081100000001", Some("+6281100000001")),
            ("0811-0000-0001", Some("+6281100000001")),
            ("0811 0000 0001", Some("+6281100000001")),
            ("(0811)00000001", Some("+6281100000001")),
            ("6281100000001", Some("+6281100000001")),
            ("+6281100000001", Some("+6281100000001")),
            ("006281100000001", Some("+6281100000001")),
            ("81100000001", Some("+6281100000001")),
            ("+62081100000001", Some("+6281100000001")),
            ("0215550123", Some("+62215550123")),
            ("1708", None),
            ("3636", None),
            ("TELKOMSEL", None),
            ("BPJSTK", None),
            ("+60123456789", Some("+60123456789")),
        ] {
            assert_eq!(e164(text, "ID").as_deref(), number, "{text}");
        }
    }

    #[test]
    fn other_ways_to_write_a_number_are_read_too() {
        for (text, country, number) in [
            ("+62 811-0000-0001", "ID", Some("+6281100000001")),
            ("tel:+6281100000001", "ID", Some("+6281100000001")),
            (" +6281100000001 ", "id", Some("+6281100000001")),
            ("0062 811 0000 0001", "ID", Some("+6281100000001")),
            ("62081100000001", "ID", Some("+6281100000001")),
            ("60123456789", "ID", Some("+60123456789")),
            ("81100000001", "SG", None),
            ("2025550123", "US", Some("+12025550123")),
            ("12025550123", "US", Some("+12025550123")),
            ("0811", "ID", None),
            ("08110000000123456", "ID", None),
            ("+6281100000001x5", "ID", None),
            ("+999123456789", "ID", None),
            ("+621", "ID", None),
            ("+", "ID", None),
            ("", "ID", None),
            ("+٠١٢٣٤٥٦٧٨", "ID", None),
            ("0215550123", "no country", None),
        ] {
            assert_eq!(e164(text, country).as_deref(), number, "{text} in {country}");
        }
    }

    #[test]
    fn the_table_of_calling_codes_is_that_of_the_numbering_plans() {
        let assigned: std::collections::BTreeSet<i32> = PHONE_NUMBER_UTIL.get_supported_calling_codes().collect();
        for code in 1..1000 {
            let text = code.to_string();
            let begins = (1..=text.len()).any(|length| assigned.contains(&text[..length].parse().expect("digits")));
            let longer = format!("{text}00");
            if text.len() == 3 {
                assert_eq!(has_calling_code(&longer), begins, "{code}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_text_makes_it_panic_and_a_number_stays_as_it_is(text in "\\PC{0,60}|[+0-9() -]{0,40}", country in "ID|US|SG|[A-Z]{0,3}") {
            if let Some(number) = e164(&text, &country) {
                prop_assert!((8..=16).contains(&number.len()) && number.starts_with('+'));
                prop_assert!(number[1..].bytes().all(|byte| byte.is_ascii_digit()));
                let again = e164(&number, &country);
                prop_assert_eq!(again.as_deref(), Some(number.as_str()));
            }
        }
    }
}
