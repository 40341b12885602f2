//! SMS in one shot (`conversation-flow.md` §3): `[keyword SP] *(flag SP) text`.
//!
//! Keyword and flags are taken off the text. Place and date (`LOK …`, `TGL …`) are read and stay where they are.

use jiff::civil::Date;

use super::command::{is_anonymous, is_confidential};
use crate::complaint::AgencyHint;

/// What one message says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// As typed, in upper case, and the agency that it names.
    pub keyword: Option<(String, AgencyHint)>,
    pub anonymous: bool,
    pub confidential: bool,
    /// The words without keyword and flags.
    pub text: String,
    /// Behind `LOK`.
    pub location: Option<String>,
    /// Behind `TGL`: the words, and the day if they are one.
    pub incident: Option<(String, Option<Date>)>,
    pub too_short: bool,
}

/// Fewer characters or words are too short to act on.
const CHARACTERS: usize = 10;
const WORDS: usize = 2;
/// Longest place that is read, in characters.
const PLACE_MAX: usize = 200;

/// Reads a text. `keyword` looks the first word up in the agencies table, `today` completes a day without a year.
pub fn read(text: &str, keyword: impl Fn(&str) -> Option<AgencyHint>, today: Date) -> Reading {
    let mut reading = Reading::default();
    let mut rest = text.trim();
    let (first, after) = split_word(rest);
    if let Some(hint) = Some(bare(first)).filter(|token| !token.is_empty()).and_then(keyword) {
        reading.keyword = Some((bare(first).to_uppercase(), hint));
        rest = after;
    }
    loop {
        let (word, after) = split_word(rest);
        let flag = bare(word).to_lowercase();
        if is_anonymous(&flag) {
            reading.anonymous = true;
        } else if is_confidential(&flag) {
            reading.confidential = true;
        } else {
            break;
        }
        rest = after;
    }
    // Nothing but a keyword: those were the words.
    reading.text = if rest.is_empty() { text.trim().to_owned() } else { rest.to_owned() };
    reading.location = place(&reading.text);
    reading.incident = incident(&reading.text, today);
    reading.too_short = rest.chars().count() < CHARACTERS || rest.split_whitespace().count() < WORDS;
    reading
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn bare(word: &str) -> &str {
    word.trim_matches(['#', ':', ',', '.', ';', '-', '!', '[', ']'])
}

/// Does the text seem to say where? A word of a place, without judging it: for the choice of an answer only.
pub fn names_a_place(text: &str) -> bool {
    const SIGNS: &[&str] = &[
        "di",
        "depan",
        "dekat",
        "samping",
        "belakang",
        "seberang",
        "desa",
        "kelurahan",
        "kecamatan",
        "kel",
        "kec",
        "kab",
        "kota",
        "rt",
        "rw",
        "dusun",
        "gang",
        "gg",
        "blok",
        "jl",
        "km",
        "simpang",
        "perumahan",
        "at",
        "near",
        "in",
        "street",
        "village",
        "lok",
        "lokasi",
    ];
    crate::normalise::text::words(text).any(|word| SIGNS.contains(&word.as_str()))
}

/// Tags of one word: where they stand, and what follows.
fn tagged(text: &str, is_tag: impl Fn(&str) -> bool) -> Option<&str> {
    let mut begin = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let end = begin + word.len();
        if is_tag(word.trim_end()) {
            return Some(text[end..].trim_start_matches([' ', ':', '=', '-']));
        }
        begin = end;
    }
    None
}

/// `LOK` in any case; `LOKASI` is a word of sentences too, and counts in capitals or with a colon.
fn place(text: &str) -> Option<String> {
    let words = tagged(text, |word| {
        let bare = word.trim_end_matches(':').to_lowercase();
        bare == "lok" || (bare == "lokasi" && (word.ends_with(':') || word.starts_with("LOKASI")))
    })?;
    let words = &words[..end_of_place(words)];
    let end = words.char_indices().nth(PLACE_MAX).map_or(words.len(), |(end, _)| end);
    let words = words[..end].trim().trim_end_matches(['.', ',', ';']);
    Some(words.to_owned()).filter(|words| !words.is_empty())
}

/// A place ends with the line, at the next tag, or with the sentence; the dot of an abbreviation ends none (`Jl. Melati`).
fn end_of_place(words: &str) -> usize {
    let mut begin = 0;
    for word in words.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if matches!(bare.trim_end_matches(':').to_lowercase().as_str(), "tgl" | "tanggal") {
            return begin;
        }
        let ends_sentence = bare.ends_with(['!', '?', ';']) || (bare.ends_with('.') && bare.chars().count() > 5);
        begin += word.len();
        if ends_sentence || word.contains('\n') {
            return begin;
        }
    }
    words.len()
}

/// `TGL 20/11/2026`, `TGL 20-11`, `tgl: 20 Nov 2026`: day before month, as Indonesia writes it.
fn incident(text: &str, today: Date) -> Option<(String, Option<Date>)> {
    let words =
        tagged(text, |word| matches!(word.trim_end_matches([':', '.']).to_lowercase().as_str(), "tgl" | "tanggal"))?;
    let mut pieces = words.split_whitespace();
    let first = pieces.next()?.trim_end_matches([',', '.', ';']);
    let numbers: Vec<&str> = first.split(['/', '-', '.']).collect();
    if numbers.len() >= 2 {
        return Some((first.to_owned(), day(numbers[0], numbers[1], numbers.get(2).copied(), today)));
    }
    let month = pieces.next().map(|word| word.trim_end_matches([',', '.', ';'])).filter(|word| month(word).is_some());
    let Some(month) = month else {
        return first.starts_with(|letter: char| letter.is_ascii_digit()).then(|| (first.to_owned(), None));
    };
    let year = pieces.next().map(|word| word.trim_end_matches([',', '.', ';'])).filter(|word| word.len() == 4);
    let year = year.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let words = [Some(first), Some(month), year].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some((words, day(first, month, year, today)))
}

fn day(day: &str, month_text: &str, year: Option<&str>, today: Date) -> Option<Date> {
    let month = month(month_text)?;
    let day: i8 = day.parse().ok()?;
    let year = match year {
        None => return Date::new(today.year(), month, day).ok().map(|date| last_year_if_ahead(date, today)),
        Some(year) if year.len() == 2 => 2000 + year.parse::<i16>().ok()?,
        Some(year) if year.len() == 4 => year.parse().ok()?,
        Some(_) => return None,
    };
    // Other years are slips of the finger; the words are kept.
    Date::new(year, month, day).ok().filter(|date| (1900..=today.year() + 1).contains(&date.year()))
}

/// A day without a year that lies ahead was in the year before.
fn last_year_if_ahead(date: Date, today: Date) -> Date {
    if date <= today { date } else { Date::new(date.year() - 1, date.month(), date.day()).unwrap_or(date) }
}

fn month(text: &str) -> Option<i8> {
    const MONTHS: [&[&str]; 12] = [
        &["jan", "januari", "january"],
        &["feb", "februari", "february"],
        &["mar", "maret", "march"],
        &["apr", "april"],
        &["mei", "may"],
        &["jun", "juni", "june"],
        &["jul", "juli", "july"],
        &["agu", "agt", "ags", "agustus", "aug", "august"],
        &["sep", "sept", "september"],
        &["okt", "oktober", "oct", "october"],
        &["nov", "november"],
        &["des", "desember", "dec", "december"],
    ];
    if let Ok(number) = text.parse::<i8>() {
        return (1..=12).contains(&number).then_some(number);
    }
    let text = text.to_lowercase();
    MONTHS.iter().zip(1..).find(|(names, _)| names.contains(&text.as_str())).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::complaint::HintSource;

    fn table(token: &str) -> Option<AgencyHint> {
        let known = token.eq_ignore_ascii_case("KOTACONTOH");
        known.then(|| AgencyHint { code: None, name: "Pemerintah Kota Contoh".to_owned(), source: HintSource::Keyword })
    }

    fn today() -> Date {
        Date::constant(2026, 11, 24)
    }

    #[test]
    fn keyword_and_flags_come_off_at_the_beginning_only() {
        for (text, keyword, anonymous, confidential, words) in [
            ("KOTACONTOH ANONIM RAHASIA Ada pungutan liar", true, true, true, "Ada pungutan liar"),
            ("kotacontoh: lampu mati", true, false, false, "lampu mati"),
            ("anonim, rahasia: jalan rusak", false, true, true, "jalan rusak"),
            ("CONFIDENTIAL ANON road damaged", false, true, true, "road damaged"),
            ("jalan rusak ANONIM", false, false, false, "jalan rusak ANONIM"),
            ("lapor KOTACONTOH jalan rusak", false, false, false, "lapor KOTACONTOH jalan rusak"),
            ("KOTACONTOH", true, false, false, "KOTACONTOH"),
            ("anonimitas warga", false, false, false, "anonimitas warga"),
            ("", false, false, false, ""),
        ] {
            let reading = read(text, table, today());
            assert_eq!(
                (reading.keyword.is_some(), reading.anonymous, reading.confidential, reading.text.as_str()),
                (keyword, anonymous, confidential, words),
                "{text}"
            );
        }
        assert_eq!(read("kotacontoh. x", table, today()).keyword.map(|(word, _)| word).as_deref(), Some("KOTACONTOH"));
    }

    #[test]
    fn ten_characters_and_two_words_are_enough() {
        for (text, too_short) in [
            ("lampu mati", false),
            ("lampu mat", true),
            ("lampumatisemua", true),
            ("ANONIM lampu mat", true),
            ("", true),
        ] {
            assert_eq!(read(text, table, today()).too_short, too_short, "{text}");
        }
    }

    #[test]
    fn place_and_day_are_read_and_stay_where_they_are() {
        for (text, place, incident) in [
            (
                "Lampu mati LOK Jl. Melati No. 5 Cilandak TGL 20/11/2026",
                Some("Jl. Melati No. 5 Cilandak"),
                Some("2026-11-20"),
            ),
            ("Lampu mati, lokasi: depan pasar. Sudah lama.", Some("depan pasar"), None),
            ("LOKASI Pondok Labu\nLampu mati", Some("Pondok Labu"), None),
            ("di lokasi kejadian tidak ada petugas", None, None),
            ("banjir tgl 3-12", None, Some("2025-12-03")),
            ("banjir TGL: 20 Nov 2026, parah", None, Some("2026-11-20")),
            ("banjir tgl 1 mei", None, Some("2026-05-01")),
            ("banjir tgl 31/2/2026", None, None),
            ("lok", None, None),
        ] {
            let reading = read(text, table, today());
            assert_eq!(reading.text, text);
            assert_eq!(reading.location.as_deref(), place, "{text}");
            let date = reading.incident.and_then(|(_, date)| date).map(|date| date.to_string());
            assert_eq!(date.as_deref(), incident, "{text}");
        }
        let words = read("banjir tgl 31/2/2026", table, today()).incident;
        assert_eq!(words, Some(("31/2/2026".to_owned(), None)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_text_makes_it_panic(head in "(?i)(kotacontoh|anonim|lok|tgl|)", rest in "(?s).{0,80}") {
            let reading = read(&format!("{head} {rest} LOK {rest} TGL {rest}"), table, today());
            prop_assert!(reading.location.is_none_or(|place| !place.is_empty()));
            prop_assert!(reading.incident.is_none_or(|(words, _)| !words.is_empty()));
        }
    }
}
