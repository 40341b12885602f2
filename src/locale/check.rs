//! What an operator's texts must keep, found before a citizen finds it. The built-in texts are held to the same rules.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use fluent_bundle::{FluentArgs, FluentValue};

use super::{Bundle, bundle, format, read};
use crate::{
    diagnostic::{Diagnostic, Source, suggest},
    gsm,
};

/// Characters of a button: what WhatsApp shows.
const BUTTON_MAX_CHARS: usize = 20;

/// The longest value that a text has to find room for. An agency may be longer: it stands last and is cut.
fn longest(name: &str) -> &'static str {
    match name {
        "id" => "MMM-MMM-MMM",
        "n" | "max" | "count" => "99",
        "mb" | "minutes" => "999",
        "date" => "30 September 2026",
        "status" => "Tidak dapat ditindaklanjuti",
        "url" => "lapor.kabupaten.example/privasi",
        "pin" => "000000",
        _ => "Dinas",
    }
}

/// One text of a file: its message, its attribute, and where its name stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub message: &'a str,
    pub attribute: Option<&'a str>,
    pub name: Range<usize>,
    /// The values that it uses, without `$`.
    pub values: Vec<&'a str>,
}

/// The texts of a file whose syntax is good: a message begins a line, an attribute an indented one with a dot.
pub(super) fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let key = line.split('=').next().unwrap_or_default().trim();
        let at = start + indent..start + indent + key.len();
        match (line.contains('='), key.strip_prefix('.'), entries.last()) {
            (true, Some(attribute), Some(Entry { message, .. })) if indent > 0 => {
                entries.push(Entry { message, attribute: Some(attribute), name: at, values: values(line) });
            }
            (true, None, _) if indent == 0 && key.starts_with(|letter: char| letter.is_ascii_alphabetic()) => {
                entries.push(Entry { message: key, attribute: None, name: at, values: values(line) });
            }
            _ => {
                if let Some(entry) = entries.last_mut().filter(|_| !line.starts_with('#')) {
                    entry.values.extend(values(line));
                }
            }
        }
        start += line.len();
    }
    entries
}

/// The `{$name}` of a line.
fn values(line: &str) -> Vec<&str> {
    let names = line.split('$').skip(1);
    names
        .map(|rest| {
            &rest[..rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len())]
        })
        .collect()
}

/// The texts of an operator's file, compiled, if nothing of them can fail.
pub(super) fn checked(code: &str, source: &Arc<Source>, built_in: &str) -> Result<Bundle, Vec<Diagnostic>> {
    let bundle = bundle(code, read(source)?);
    let known: BTreeMap<_, _> =
        entries(built_in).into_iter().map(|entry| ((entry.message, entry.attribute), entry.values)).collect();
    let mut mistakes = Vec::new();
    for entry in entries(&source.text) {
        let Some(values) = known.get(&(entry.message, entry.attribute)) else {
            mistakes.push(unknown(source, &entry, known.keys()));
            continue;
        };
        if let Some((message, hint)) = fault(&bundle, &entry, values) {
            mistakes.push(Diagnostic::error(source, entry.name, message).with_hint(hint));
        }
    }
    if mistakes.is_empty() { Ok(bundle) } else { Err(mistakes) }
}

fn unknown<'a>(
    source: &Arc<Source>,
    entry: &Entry<'_>,
    known: impl Iterator<Item = &'a (&'a str, Option<&'a str>)>,
) -> Diagnostic {
    let (message, proposal) = match entry.attribute {
        None => (format!("there is no text `{}`", entry.message), suggest(entry.message, known.map(|(name, _)| *name))),
        Some(attribute) => {
            let siblings = known.filter(|(name, _)| *name == entry.message).filter_map(|(_, attribute)| *attribute);
            (format!("the text `{}` has no `.{attribute}`", entry.message), suggest(attribute, siblings))
        }
    };
    let hint = match proposal {
        Some(name) => format!("did you mean `{name}`?"),
        None => "remove it; the texts that exist are listed in the file that is compiled in".to_owned(),
    };
    Diagnostic::error(source, entry.name.clone(), message).with_hint(hint)
}

/// What is wrong with a text when it is filled with the longest values, and what to do.
pub(super) fn fault(bundle: &Bundle, entry: &Entry<'_>, allowed: &[&str]) -> Option<(String, String)> {
    let mut values = FluentArgs::new();
    for name in allowed {
        values.set(*name, FluentValue::from(longest(name)));
    }
    // A message may have attributes only.
    let (text, errors) = format(bundle, entry.message, entry.attribute, &values)?;
    if let Some(error) = errors.first() {
        let hint = match allowed {
            [] => "it is given no values".to_owned(),
            names => {
                let mut names: Vec<String> = names.iter().map(|name| format!("{{${name}}}")).collect();
                names.sort_unstable();
                names.dedup();
                format!("it may use {}", names.join(", "))
            }
        };
        return Some((format!("`{}` cannot be filled: {error}", entry.message), hint));
    }
    if entry.message.starts_with("sms-") {
        return match gsm::septets(&text) {
            None => Some((
                format!("`{}` has letters that are not in the GSM 7 bit alphabet", entry.message),
                format!("write it like this: {}", gsm::fold(&text)),
            )),
            Some(septets) if septets > gsm::SINGLE_SEPTETS => Some((
                format!("`{}` has {septets} septets with the longest values and does not fit an SMS", entry.message),
                format!("shorten it to {} septets", gsm::SINGLE_SEPTETS),
            )),
            Some(_) => None,
        };
    }
    let letters = text.chars().count();
    (entry.message.starts_with("chat-") && entry.attribute.is_some() && letters > BUTTON_MAX_CHARS).then(|| {
        let button = format!("the button `{}` of `{}`", entry.attribute.unwrap_or_default(), entry.message);
        (format!("{button} has {letters} characters"), format!("shorten it to {BUTTON_MAX_CHARS}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::{ENGLISH, INDONESIAN, built_in},
        *,
    };

    #[test]
    fn both_languages_have_the_same_texts_with_the_same_values() {
        let of = |text| -> BTreeMap<_, BTreeSet<_>> {
            entries(text)
                .into_iter()
                .map(|entry| ((entry.message, entry.attribute), entry.values.into_iter().collect()))
                .collect()
        };
        let (indonesian, english) = (of(INDONESIAN), of(ENGLISH));
        assert_eq!(indonesian, english);
        assert!(english.len() > 100, "{}", english.len());
        assert_eq!(entries(ENGLISH).len(), english.len(), "a text stands twice");
    }

    #[test]
    fn every_built_in_text_keeps_the_limits_with_the_longest_values() {
        for (code, text) in [("id", INDONESIAN), ("en", ENGLISH)] {
            let bundle = built_in(code, text);
            for entry in entries(text) {
                let allowed = entry.values.clone();
                assert_eq!(fault(&bundle, &entry, &allowed), None, "{code} {}", entry.message);
            }
        }
    }

    #[test]
    fn the_longest_status_is_the_longest_label() {
        for text in [INDONESIAN, ENGLISH] {
            let bundle = built_in("id", text);
            for entry in
                entries(text).into_iter().filter(|entry| entry.message == "status-labels" && entry.attribute.is_some())
            {
                let label = format(&bundle, entry.message, entry.attribute, &FluentArgs::new()).expect("a label").0;
                assert!(label.len() <= longest("status").len(), "{label}");
            }
        }
    }
}
