//! The conditions of a rule: each is a value or a list of alternatives, and every alternative is checked.

use std::ops::Range;

use serde::de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer};
use toml::de::DeValue;

use super::{Reader, Value};
use crate::{
    agencies::{is_region, phrases::Words},
    complaint::{ReportType, Sensitivity},
    diagnostic::{Diagnostic, suggest},
    receipt::ChannelId,
    route::condition::Condition,
};

impl Reader<'_> {
    /// The condition of a key; None where a value is wrong, which has been noted.
    pub(super) fn condition(&mut self, key: &str, value: &Value<'_>) -> Option<Condition> {
        let texts = self.alternatives(key, value)?;
        let source = self.source;
        let bad = |span: Range<usize>, text: &str, what: &str, hint: &str| {
            Diagnostic::error(source, span, format!("{key}: {text:?} {what}")).with_hint(hint)
        };
        let owned = |text: &str| text.to_owned();
        Some(match key {
            "channel" => Condition::Channel(self.each(texts, |_, text, span| {
                let hint = "write the name of its file in `channels/` without `.toml`";
                ChannelId::new(text).map(String::from).map_err(|_| bad(span, text, "is no channel id", hint))
            })?),
            "recipient" => Condition::Recipient(self.each(texts, |_, text, _| {
                Ok(text.chars().filter(|letter| !matches!(letter, ' ' | '-' | '(' | ')')).collect())
            })?),
            "keyword" => Condition::Keyword(self.each(texts, |_, text, span| {
                if text.contains(char::is_whitespace) {
                    return Err(bad(span, text, "is more than one word", "use `words` for words anywhere in the text"));
                }
                Ok(text.to_lowercase())
            })?),
            "service_code" => Condition::ServiceCode(self.each(texts, |_, text, _| Ok(owned(text)))?),
            "region" => Condition::Region(self.each(texts, |_, text, span| {
                let hint = "write the first parts of the code, like 31.74; all below it are meant";
                if is_region(text) { Ok(owned(text)) } else { Err(bad(span, text, "is no region code", hint)) }
            })?),
            "language" => Condition::Language(self.each(texts, |_, text, span| {
                let good =
                    |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
                let language = text.split('-').next().unwrap_or_default();
                let good = (2..=3).contains(&language.len()) && text.split('-').all(good);
                if good {
                    Ok(owned(text))
                } else {
                    Err(bad(span, text, "is no language", "write a code, like id, jv or en"))
                }
            })?),
            "report_type" => Condition::ReportType(
                self.each(texts, |reader, text, span| reader.word::<ReportType>(key, text, span))?,
            ),
            "sensitivity" => Condition::Sensitivity(
                self.each(texts, |reader, text, span| reader.word::<Sensitivity>(key, text, span))?,
            ),
            "words" => Condition::Words(self.each(texts, |reader, text, span| {
                let hint = "whole words are compared; punctuation does not count";
                let phrase = reader.words.insert(text).ok_or_else(|| bad(span, text, "has no word", hint))?;
                Ok((phrase, Words::of(text).joined()))
            })?),
            _ => Condition::Agency(self.each(texts, |reader, text, span| {
                let place = reader.agencies.place_of_code(text);
                let place = place.ok_or_else(|| reader.unknown_agency(text, span))?;
                Ok((place, reader.agencies.all()[place].code.clone()))
            })?),
        })
    }

    /// Makes something of each text; None when one of them was wrong.
    fn each<T>(
        &mut self,
        texts: Vec<(&str, Range<usize>)>,
        mut make: impl FnMut(&mut Self, &str, Range<usize>) -> Result<T, Diagnostic>,
    ) -> Option<Vec<T>> {
        let before = self.mistakes.len();
        let mut made = Vec::with_capacity(texts.len());
        for (text, span) in texts {
            match make(self, text, span) {
                Ok(one) => made.push(one),
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        (self.mistakes.len() == before).then_some(made)
    }

    /// The texts of a condition: one, or a list of alternatives.
    fn alternatives<'v>(&mut self, key: &str, value: &'v Value<'_>) -> Option<Vec<(&'v str, Range<usize>)>> {
        let values = match value.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            _ => vec![value],
        };
        if values.is_empty() {
            let hint = "list what it may be, or remove the key";
            self.mistake(value.span(), format!("{key}: the list is empty, so the rule never matches"), hint);
            return None;
        }
        let before = self.mistakes.len();
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            match self.text(value, key) {
                Some(text) if text.trim().is_empty() => {
                    let hint = "write what it has to be, or remove the key";
                    self.mistake(value.span(), format!("{key}: it is empty"), hint);
                }
                Some(text) => texts.push((text.trim(), value.span())),
                None => {}
            }
        }
        (self.mistakes.len() == before).then_some(texts)
    }

    fn word<T: DeserializeOwned>(&self, key: &str, text: &str, span: Range<usize>) -> Result<T, Diagnostic> {
        let deserializer: StrDeserializer<'_, toml::de::Error> = text.into_deserializer();
        T::deserialize(deserializer).map_err(|error| {
            let mistake = Diagnostic::of_toml(self.source, &error);
            Diagnostic { span, message: format!("{key}: there is no {text:?}"), ..mistake }
        })
    }

    fn unknown_agency(&self, code: &str, span: Range<usize>) -> Diagnostic {
        let codes = self.agencies.all().iter().map(|agency| agency.code.as_str());
        let hint = match suggest(code, codes) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add it to agencies.csv, or write the code of an agency that is there".to_owned(),
        };
        Diagnostic::error(self.source, span, format!("agency: {code:?} is not in the agencies table")).with_hint(hint)
    }
}
