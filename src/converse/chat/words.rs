//! What a citizen's few words mean as the answer to a question: a button's label, its number, or another word for it.

use jiff::civil::Date;

use crate::{
    locale::Locales,
    sender::{Draft, State},
};

/// A choice of a question: its key, and the name of its label in the locales.
pub type Offered = (&'static str, &'static str);

/// Other words for a key, in lower case.
const SYNONYMS: [(&str, &[&str]); 20] = [
    ("consent_yes", &["ya", "y", "iya", "yes", "setuju", "ok", "oke", "lanjut", "lanjutkan", "agree"]),
    ("consent_no", &["tidak", "t", "no", "n", "nggak", "gak", "enggak", "tidak setuju"]),
    ("privacy_more", &["baca", "read"]),
    ("type_complaint", &["pengaduan", "aduan", "keluhan", "lapor", "laporan", "complaint"]),
    ("type_aspiration", &["aspirasi", "usul", "usulan", "saran", "suggestion"]),
    ("type_information", &["informasi", "info", "tanya", "bertanya", "information", "question"]),
    ("when_today", &["hari ini", "today", "tadi", "barusan"]),
    ("when_yesterday", &["kemarin", "yesterday"]),
    ("skip", &["lewati", "skip", "lewat"]),
    ("done", &["selesai", "done", "cukup", "sudah"]),
    ("privacy_normal", &["biasa", "normal"]),
    ("privacy_anonymous", &["anonim", "anonymous"]),
    ("privacy_confidential", &["rahasia", "confidential"]),
    ("privacy_both", &["anonim + rahasia", "anonim dan rahasia", "anonim rahasia", "both", "keduanya"]),
    ("submit", &["kirim", "send", "ya", "yes", "ok", "oke", "benar", "kirimkan"]),
    ("edit", &["ubah", "edit", "ganti", "change"]),
    ("followup", &["tambahan", "tambah", "addition", "add"]),
    ("withdraw_yes", &["ya", "y", "iya", "yes", "ok", "oke", "tarik", "withdraw"]),
    ("withdraw_no", &["tidak", "t", "no", "n", "nggak", "gak", "enggak", "batal", "cancel"]),
    ("new", &["baru", "new", "laporan baru", "new report"]),
];

/// The choices of whoever wants to withdraw a report.
pub const WITHDRAWAL: [Offered; 2] =
    [("withdraw_yes", "chat.withdraw_confirm.withdraw_yes"), ("withdraw_no", "chat.withdraw_confirm.withdraw_no")];

/// The choices of a question, in the order in which they are shown and numbered.
pub fn options(draft: &Draft, state: State, order: &[State]) -> Vec<Offered> {
    let has_words = draft.words().next().is_some();
    match state {
        State::Consent => vec![
            ("consent_yes", "chat.consent_ask.consent_yes"),
            ("consent_no", "chat.consent_ask.consent_no"),
            ("privacy_more", "chat.consent_ask.privacy_more"),
        ],
        State::Type => vec![
            ("type_complaint", "chat.ask_type.type_complaint"),
            ("type_aspiration", "chat.ask_type.type_aspiration"),
            ("type_information", "chat.ask_type.type_information"),
        ],
        State::Description if has_words => vec![("done", "chat.ask_attachments.done")],
        State::Description => Vec::new(),
        State::When => vec![
            ("when_today", "chat.ask_when.when_today"),
            ("when_yesterday", "chat.ask_when.when_yesterday"),
            ("skip", "chat.ask_when.skip"),
        ],
        State::Location => vec![("skip", "chat.ask_location.skip")],
        State::Agency => vec![("skip", "chat.ask_agency.skip")],
        State::Attachments if draft.files() > 0 => vec![("done", "chat.ask_attachments.done")],
        State::Attachments => vec![("skip", "chat.ask_attachments.skip")],
        State::Privacy => vec![
            ("privacy_normal", "chat.ask_privacy.privacy_normal"),
            ("privacy_anonymous", "chat.ask_privacy.privacy_anonymous"),
            ("privacy_confidential", "chat.ask_privacy.privacy_confidential"),
            ("privacy_both", "chat.ask_privacy.privacy_both"),
        ],
        State::Review => {
            vec![("submit", "chat.review.submit"), ("edit", "chat.review.edit"), ("cancel", "chat.review.cancel")]
        }
        State::Edit => order.iter().filter_map(|state| field(*state)).collect(),
        State::Addition => {
            vec![("followup", "chat.new_or_followup.followup"), ("new", "chat.new_or_followup.new")]
        }
    }
}

/// A field that the review can change.
fn field(state: State) -> Option<Offered> {
    Some(match state {
        State::Type => ("type", "chat.edit_which.type"),
        State::Description => ("description", "chat.edit_which.description"),
        State::When => ("when", "chat.edit_which.when"),
        State::Location => ("location", "chat.edit_which.location"),
        State::Agency => ("agency", "chat.edit_which.agency"),
        State::Attachments => ("attachments", "chat.edit_which.attachments"),
        State::Privacy => ("privacy", "chat.edit_which.privacy"),
        State::Consent | State::Review | State::Edit | State::Addition => return None,
    })
}

/// The key that a typed answer stands for: the number of a choice, its label in any language, or another word for it.
pub fn key(text: &str, options: &[Offered], locales: &Locales) -> Option<&'static str> {
    let said = plain(text);
    if said.is_empty() || said.len() > 40 {
        return None;
    }
    if let Ok(number) = said.parse::<usize>() {
        return number.checked_sub(1).and_then(|place| options.get(place)).map(|(key, _)| *key);
    }
    let is_label = |label: &str| ["id", "en"].iter().any(|language| plain(&locales.text(label, language, &[])) == said);
    let is_synonym = |key: &str| SYNONYMS.iter().any(|(of, words)| *of == key && words.contains(&said.as_str()));
    let fits = |(key, label): &&Offered| is_label(label) || is_synonym(key);
    options.iter().find(fits).map(|(key, _)| *key)
}

/// Is it a word that answers some question, though not this one? A second `ya` is no word of a complaint.
pub fn is_answer(text: &str) -> bool {
    let said = plain(text);
    SYNONYMS.iter().any(|(_, words)| words.contains(&said.as_str())) || said.parse::<u8>().is_ok()
}

/// Lower case, one space between words, no marks at the ends.
fn plain(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").trim_matches(['.', ',', '!', '?', '"', '\'', '(', ')', ':', ' ']).to_lowercase()
}

/// The day that a text names: today, yesterday, the day before, `20/11/2026`, `20-11`, `2026-11-20`.
pub fn day(text: &str, today: Date) -> Option<Date> {
    let said = plain(text);
    match said.as_str() {
        "hari ini" | "today" | "tadi" | "tadi pagi" | "barusan" => return Some(today),
        "kemarin" | "yesterday" | "kemaren" => return today.yesterday().ok(),
        "kemarin lusa" | "dua hari lalu" | "two days ago" => return today.yesterday().ok()?.yesterday().ok(),
        _ => {}
    }
    let numbers: Vec<i16> =
        said.split(['/', '-', '.', ' ']).map(|part| part.parse().ok()).collect::<Option<Vec<_>>>()?;
    let date = |year: i16, month: i16, day: i16| {
        let year = if year < 100 { year + 2000 } else { year };
        Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    };
    let found = match numbers[..] {
        [year, month, day] if year > 31 => date(year, month, day),
        [day, month, year] => date(year, month, day),
        [day, month] => date(today.year(), month, day),
        _ => None,
    }?;
    // What has not happened yet was last year's, or a slip: then the words stand alone.
    match found <= today {
        true => Some(found),
        false if numbers.len() == 2 => date(today.year() - 1, numbers[1], numbers[0]),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_as_people_here_write_it() {
        let today = Date::constant(2026, 11, 24);
        for (text, wanted) in [
            ("Hari ini", Some(today)),
            ("kemarin.", Some(Date::constant(2026, 11, 23))),
            ("20/11/2026", Some(Date::constant(2026, 11, 20))),
            ("20-11-26", Some(Date::constant(2026, 11, 20))),
            ("2026-11-20", Some(Date::constant(2026, 11, 20))),
            ("20/11", Some(Date::constant(2026, 11, 20))),
            ("25/12", Some(Date::constant(2025, 12, 25))),
            ("25/12/2026", None),
            ("31/02/2026", None),
            ("minggu lalu", None),
            ("", None),
        ] {
            assert_eq!(day(text, today), wanted, "{text}");
        }
    }

    #[test]
    fn a_number_a_label_in_any_language_and_another_word_are_the_same_answer() {
        let options: Vec<Offered> =
            vec![("consent_yes", "chat.consent_ask.consent_yes"), ("consent_no", "chat.consent_ask.consent_no")];
        let locales = Locales::default();
        for (text, wanted) in [
            ("1", Some("consent_yes")),
            ("2.", Some("consent_no")),
            ("Ya, lanjutkan", Some("consent_yes")),
            ("YES, CONTINUE", Some("consent_yes")),
            ("setuju!", Some("consent_yes")),
            ("tidak", Some("consent_no")),
            ("3", None),
            ("0", None),
            ("ya jalan rusak di depan pasar", None),
            ("", None),
        ] {
            assert_eq!(key(text, &options, &locales), wanted, "{text}");
        }
    }
}
