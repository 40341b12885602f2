//! The texts that a citizen reads: Fluent locales, Indonesian and English, which an operator can override.
//!
//! A text is named `section.name`, a button or label of it `section.name.key` (`chat.consent_ask.consent_yes`); in the
//! files that is the message `section-name` and its attribute `key`. The built-in files hold every text in both
//! languages. An operator's file holds the texts that are different, and is refused as a whole when one of them would
//! fail in front of a citizen: no such text, a value that it is not given, a button or an SMS that is too long.

use std::{borrow::Cow, fmt, path::Path, sync::Arc};

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use unic_langid::LanguageIdentifier;

use crate::diagnostic::{Diagnostic, Source};

mod check;

const INDONESIAN: &str = include_str!("../config/locales/id.ftl");
const ENGLISH: &str = include_str!("../config/locales/en.ftl");

type Bundle = FluentBundle<FluentResource>;

/// All texts in all languages, compiled.
pub struct Locales {
    indonesian: Language,
    english: Language,
}

/// The texts of one language.
struct Language {
    built_in: Bundle,
    /// Asked first.
    operator: Option<Bundle>,
}

impl fmt::Debug for Locales {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Locales(id, en)")
    }
}

impl Default for Locales {
    /// The compiled-in texts alone.
    fn default() -> Self {
        let language = |code, text| Language { built_in: built_in(code, text), operator: None };
        Self { indonesian: language("id", INDONESIAN), english: language("en", ENGLISH) }
    }
}

impl Locales {
    /// The compiled-in texts, overlaid with `locales/{id,en}.ftl` of the folder where those exist. All mistakes at once.
    pub fn load(folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        let mut locales = Self::default();
        let mut mistakes = Vec::new();
        for (code, built_in, language) in
            [("id", INDONESIAN, &mut locales.indonesian), ("en", ENGLISH, &mut locales.english)]
        {
            let path = folder.join("locales").join(format!("{code}.ftl"));
            match std::fs::read_to_string(&path) {
                Ok(text) if text == built_in => {}
                Ok(text) => match check::checked(code, &Source::new(path, text), built_in) {
                    Ok(bundle) => language.operator = Some(bundle),
                    Err(found) => mistakes.extend(found),
                },
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => mistakes.push(Diagnostic::of_file(path, error.to_string())),
            }
        }
        if mistakes.is_empty() { Ok(locales) } else { Err(mistakes) }
    }

    /// A text in the language (BCP 47; only its first part counts), in Indonesian where the language is not spoken here.
    /// Empty when there is no text of this name. A value that the text does not use is left aside.
    pub fn text(&self, message: &str, language: &str, arguments: &[(&str, String)]) -> String {
        let (id, attribute) = fluent_name(message);
        let language = self.language(language);
        let bundles = language.operator.iter().chain([&language.built_in]);
        let mut values = FluentArgs::with_capacity(arguments.len());
        for (name, value) in arguments {
            values.set(*name, FluentValue::String(Cow::Borrowed(value.as_str())));
        }
        // A text that the operator replaced without its buttons keeps the built-in ones.
        bundles
            .into_iter()
            .find_map(|bundle| format(bundle, &id, attribute, &values))
            .map_or_else(String::new, |it| it.0)
    }

    fn language(&self, tag: &str) -> &Language {
        let first = tag.split(['-', '_']).next().unwrap_or_default();
        if first.eq_ignore_ascii_case("en") { &self.english } else { &self.indonesian }
    }
}

/// `chat.consent_ask.consent_yes` as Fluent names it: `chat-consent_ask` and its attribute.
fn fluent_name(message: &str) -> (String, Option<&str>) {
    let (section, rest) = message.split_once(['.', '-']).unwrap_or((message, ""));
    match rest.split_once('.') {
        Some((name, attribute)) => (format!("{section}-{name}"), Some(attribute)),
        None => (format!("{section}-{rest}"), None),
    }
}

/// The text and what went wrong with it; None when the bundle has no such text.
fn format(
    bundle: &Bundle,
    id: &str,
    attribute: Option<&str>,
    values: &FluentArgs<'_>,
) -> Option<(String, Vec<String>)> {
    let message = bundle.get_message(id)?;
    let pattern = match attribute {
        Some(attribute) => message.get_attribute(attribute)?.value(),
        None => message.value()?,
    };
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, Some(values), &mut errors).into_owned();
    Some((text, errors.iter().map(ToString::to_string).collect()))
}

fn bundle(code: &str, resource: FluentResource) -> Bundle {
    let language: LanguageIdentifier = code.parse().expect("`id` and `en` are languages");
    let mut bundle = Bundle::new_concurrent(vec![language]);
    // The marks around values are for mixed directions of writing; in an SMS each costs the GSM alphabet.
    bundle.set_use_isolating(false);
    bundle.add_resource_overriding(resource);
    bundle
}

fn built_in(code: &str, text: &str) -> Bundle {
    let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, _)| resource);
    bundle(code, resource)
}

/// A file's syntax, read; its mistakes otherwise.
fn read(source: &Arc<Source>) -> Result<FluentResource, Vec<Diagnostic>> {
    FluentResource::try_new(source.text.clone()).map_err(|(_, errors)| {
        let shown = errors.into_iter().map(|error| {
            Diagnostic::error(source, error.pos.clone(), format!("this is no Fluent: {error}"))
                .with_hint("a text is `name = words`; its further lines and its buttons (`.key = words`) are indented")
        });
        shown.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_files_are_good_fluent() {
        for text in [INDONESIAN, ENGLISH] {
            assert!(FluentResource::try_new(text.to_owned()).is_ok());
        }
    }

    #[test]
    fn texts_are_those_of_the_conversation() {
        let locales = Locales::default();
        let id = || ("id", "E3S-3E2-8JE".to_owned());
        assert_eq!(locales.text("sms.followup_saved", "id", &[id()]), "Tambahan untuk E3S-3E2-8JE sudah dicatat.");
        assert_eq!(locales.text("sms-followup_saved", "en", &[id()]), "Your addition to E3S-3E2-8JE is recorded.");
        assert_eq!(locales.text("chat.consent_ask.consent_yes", "id", &[]), "Ya, lanjutkan");
        assert_eq!(locales.text("status.labels.closed", "en", &[]), "Done");
        assert_eq!(locales.text("email.ack_subject", "id", &[id()]), "[#E3S-3E2-8JE] Laporan Anda kami terima");
        let body = locales.text("email.ack_body", "en", &[id()]);
        assert!(body.contains(".\n\nReply to this email (keep the [#E3S-3E2-8JE] mark"), "{body}");
        assert!(locales.text("chat.review", "id", &[]).starts_with("Periksa laporan Anda:\nJenis: "));
    }

    #[test]
    fn variants_fall_back_to_their_language_and_the_rest_to_indonesian() {
        let locales = Locales::default();
        for (tag, text) in [
            ("en", "Language set to English."),
            ("en-GB", "Language set to English."),
            ("EN_us", "Language set to English."),
            ("id-ID", "Bahasa diganti ke Bahasa Indonesia."),
            ("jv", "Bahasa diganti ke Bahasa Indonesia."),
            ("", "Bahasa diganti ke Bahasa Indonesia."),
            ("enm", "Bahasa diganti ke Bahasa Indonesia."),
        ] {
            assert_eq!(locales.text("chat.language_set", tag, &[]), text, "{tag}");
        }
    }

    #[test]
    fn values_stand_in_the_text_without_marks_and_are_no_fluent() {
        let locales = Locales::default();
        let text = locales.text("sms.withdrawn", "en", &[("id", "{$url} { -x }".to_owned())]);
        assert_eq!(text, "Report {$url} { -x } is withdrawn as you asked.");
    }

    #[test]
    fn a_text_that_is_not_there_is_empty() {
        let locales = Locales::default();
        for name in
            ["", "chat", "chat.", "chat.welcome.x", "nothing.here", "a.b.c.d", "chat-consent_ask.", "status.labels"]
        {
            assert_eq!(locales.text(name, "en", &[]), "", "{name}");
        }
    }

    fn load(indonesian: &str) -> Result<Locales, Vec<Diagnostic>> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("locales")).expect("a folder");
        std::fs::write(folder.path().join("locales/id.ftl"), indonesian).expect("written");
        Locales::load(folder.path())
    }

    #[test]
    fn an_operator_replaces_one_text_and_keeps_the_others() {
        let locales = load("chat-consent_ask = Lanjut?\n    .consent_no = Jangan\n").expect("good");
        assert_eq!(locales.text("chat.consent_ask", "id", &[]), "Lanjut?");
        assert_eq!(locales.text("chat.consent_ask.consent_no", "id", &[]), "Jangan");
        assert_eq!(locales.text("chat.consent_ask.consent_yes", "id", &[]), "Ya, lanjutkan");
        assert_eq!(locales.text("chat.consent_ask", "en", &[]), "Shall we continue with your report?");
        assert!(Locales::load(Path::new("/nowhere")).is_ok(), "a missing file is an empty one");
    }

    #[test]
    fn a_text_that_would_fail_in_front_of_a_citizen_is_refused_with_its_line() {
        let long = "x".repeat(150);
        let file = format!(
            "# ours\nsms-ack = Nomor {{$nomor}}\nsms-withdrawn = {long} {{$id}}\nsms-help = Tulis “masalah”\nchat-welkome = Halo\nchat-rate = Puas?\n    .rate_good = Saya sangat puas sekali\n    .rate_best = Ya\n"
        );
        let mistakes = load(&file).expect_err("six mistakes");
        let shown: Vec<String> = mistakes.iter().map(|mistake| mistake.line().message.to_owned()).collect();
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.place().line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 7, 8], "{shown:#?}");
        assert_eq!(mistakes[0].hint.as_deref(), Some("it may use {$id}, {$n}, {$url}"));
        assert_eq!(mistakes[3].hint.as_deref(), Some("did you mean `chat-welcome`?"));
    }

    #[test]
    fn a_file_that_is_no_fluent_is_refused_with_its_line() {
        let mistakes = load("chat-welcome = Halo\nthis is nothing\n").expect_err("no Fluent");
        assert_eq!(mistakes[0].place().line, 2);
    }

    fn needs_to_be_shared<T: Send + Sync>() {}

    #[test]
    fn locales_can_be_shared_between_threads() {
        needs_to_be_shared::<Locales>();
    }
}
