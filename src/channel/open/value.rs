//! The values of `[settings]`: each must be what the manifest asks for, and a secret must be referred to.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::Value;

use super::nearest_setting;
use crate::{
    channel::{
        document::Document,
        file::{ChannelFile, Environment, SettingValue},
        manifest::{Manifest, SettingKind, SettingRules},
    },
    diagnostic::Diagnostic,
    settings::{Setting, Settings},
};

/// In a sample: a fresh key pair. In a channel it would let in whoever knows the key of the samples.
const GENERATED: &str = "@generated";

/// Reads the values of one channel and gathers the mistakes.
pub(super) struct Values<'a> {
    pub document: &'a Document,
    pub environment: &'a Environment<'a>,
    pub config_dir: &'a Path,
    pub mistakes: &'a mut Vec<Diagnostic>,
}

/// The text of a default or of a sample's value.
pub fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Values<'_> {
    pub fn settings(&mut self, manifest: &Manifest, file: &ChannelFile, inherited: Option<&Settings>) -> Settings {
        for name in file.settings.keys().filter(|name| !manifest.settings.contains_key(*name)) {
            let message = format!("manifest {} has no setting `{name}`", manifest.id);
            let known: Vec<_> = manifest.settings.keys().map(String::as_str).collect();
            let hint =
                nearest_setting(name, manifest).unwrap_or_else(|| format!("its settings are {}", known.join(", ")));
            self.wrong(name, message, hint);
        }
        let mut settings = Settings::default();
        for (name, rules) in &manifest.settings {
            let value = match file.settings.get(name) {
                Some(value) => self.value(name, rules, value),
                None => inherited.and_then(|settings| settings.get(name)).cloned().or_else(|| self.absent(name, rules)),
            };
            if let Some(value) = value {
                settings.insert(name.clone(), value);
            }
        }
        settings
    }

    fn absent(&mut self, name: &str, rules: &SettingRules) -> Option<Setting> {
        if let Some(default) = &rules.default {
            return Some(Setting::Plain(text_of(default)));
        }
        if rules.is_required() {
            let how = if rules.secret { "{ env = \"NAME\" } or { file = \"PATH\" }" } else { "a value" };
            self.wrong(name, format!("setting `{name}` is missing"), format!("write under [settings]: {name} = {how}"));
        }
        None
    }

    fn value(&mut self, name: &str, rules: &SettingRules, value: &SettingValue) -> Option<Setting> {
        match (rules.secret, value) {
            (true, SettingValue::Secret(_)) => self.secrets(name, rules, std::slice::from_ref(value)),
            (true, SettingValue::List(values)) if rules.rotate || values.len() == 1 => {
                self.secrets(name, rules, values)
            }
            (true, SettingValue::List(_)) => {
                let hint = "give one reference: the manifest does not say `rotate`".to_owned();
                self.wrong(name, format!("setting `{name}` takes one value"), hint)
            }
            (true, _) => self.in_clear(name),
            (false, SettingValue::Secret(_) | SettingValue::List(_)) => {
                let message = format!("setting `{name}` is no secret and must be a plain value, not {}", value.kind());
                self.wrong(name, message, format!("write the value itself: {name} = \"...\""))
            }
            (false, SettingValue::Text(text) | SettingValue::Number(text)) => self.plain(name, rules, text.clone()),
            (false, SettingValue::Boolean(value)) => self.plain(name, rules, value.to_string()),
        }
    }

    fn secrets(&mut self, name: &str, rules: &SettingRules, references: &[SettingValue]) -> Option<Setting> {
        let mut secrets = Vec::new();
        for reference in references {
            let SettingValue::Secret(reference) = reference else { return self.in_clear(name) };
            match reference.resolve(self.config_dir, self.environment) {
                Ok(secret) if fits(rules, secret.expose_secret()) => secrets.push(secret),
                Ok(_) => {
                    let hint = format!("it must match {}", rules.pattern.as_deref().unwrap_or_default());
                    self.wrong(name, format!("the value of secret setting `{name}` has the wrong form"), hint);
                }
                Err(reason) => {
                    let reason = reason.to_string();
                    let (reason, hint) = reason.split_once("; ").unwrap_or((&reason, "give it a value"));
                    self.wrong(name, format!("setting `{name}`: {reason}"), hint.to_owned());
                }
            }
        }
        if references.is_empty() {
            self.wrong(name, format!("setting `{name}` is an empty list"), "give at least one reference".to_owned());
        }
        (!secrets.is_empty() && secrets.len() == references.len()).then_some(Setting::Secret(secrets))
    }

    fn in_clear(&mut self, name: &str) -> Option<Setting> {
        let hint = format!(
            "write only where it stands: {name} = {{ env = \"NAME\" }} or {{ file = \"PATH\" }}, and change the secret"
        );
        self.wrong(name, format!("setting `{name}` is a secret and stands here in clear"), hint)
    }

    fn plain(&mut self, name: &str, rules: &SettingRules, text: String) -> Option<Setting> {
        if text == GENERATED {
            let hint = "write the public key that the provider shows".to_owned();
            return self.wrong(
                name,
                format!("setting `{name}` asks for a generated key, which is for samples only"),
                hint,
            );
        }
        match mistake_in(rules, &text) {
            None => Some(Setting::Plain(text)),
            Some(mistake) => {
                let example =
                    rules.example.as_ref().map(|example| format!(", like {:?}", text_of(example))).unwrap_or_default();
                self.wrong(name, format!("setting `{name}` {}", mistake.what), format!("{}{example}", mistake.hint))
            }
        }
    }

    fn wrong(&mut self, name: &str, message: String, hint: String) -> Option<Setting> {
        self.mistakes.push(self.document.error(&format!("settings.{name}"), message, Some(hint)));
        None
    }
}

/// Why a value does not fit its setting.
#[derive(Debug)]
pub struct Mistake {
    pub what: String,
    pub hint: String,
}

/// Checks a plain value: of a channel, a sample, or the default.
pub fn mistake_in(rules: &SettingRules, text: &str) -> Option<Mistake> {
    let mistake = |what: &str, hint: &str| Some(Mistake { what: what.to_owned(), hint: hint.to_owned() });
    if text.trim().is_empty() {
        return mistake("is empty", "give it a value");
    }
    if text == GENERATED {
        return None;
    }
    match rules.kind {
        SettingKind::Url if !is_url(text) => {
            return mistake(
                "is no URL",
                "write one that begins with https:// and has a host, without a user or spaces",
            );
        }
        SettingKind::Number if text.parse::<f64>().is_err() => return mistake("is no number", "write a number"),
        SettingKind::Boolean if !matches!(text, "true" | "false") => {
            return mistake("is no boolean", "write true or false");
        }
        SettingKind::Choice => {
            let choices = rules.choices.as_deref().unwrap_or_default();
            if !choices.iter().any(|choice| choice == text) {
                return mistake("is none of the choices", &format!("choose one of {}", choices.join(", ")));
            }
        }
        SettingKind::Networks => {
            if let Some(wrong) = text.split(',').map(str::trim).find(|network| !is_network(network)) {
                return mistake(
                    &format!("holds {wrong:?}, which is no network"),
                    "write networks like 203.0.113.0/24, with commas between them",
                );
            }
        }
        SettingKind::Text | SettingKind::Url | SettingKind::Number | SettingKind::Boolean => {}
    }
    if fits(rules, text) {
        None
    } else {
        mistake("has the wrong form", &format!("it must match {}", rules.pattern.as_deref().unwrap_or_default()))
    }
}

/// Does the whole value match the pattern, where there is one?
fn fits(rules: &SettingRules, text: &str) -> bool {
    // A pattern that does not compile was reported by the lint of the manifest.
    let pattern = rules.pattern.as_ref().map(|pattern| regex_lite::Regex::new(&format!("^(?:{pattern})$")));
    pattern.is_none_or(|pattern| pattern.is_ok_and(|pattern| pattern.is_match(text)))
}

/// A whole URL of HTTP without credentials in it.
pub fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty()
        && !host.contains('@')
        && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

/// `203.0.113.0/24`, `2001:db8::/32`, or one address.
pub fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<std::net::IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::document::tests::document;

    const MANIFEST: &str = r#"
        manifest = 1
        id = "test"
        title = "Test"
        version = "1.0.0"
        adapter = "webhook"
        medium = "sms"
        address = "phone"
        [settings.token]
        label = "Token"
        secret = true
        rotate = true
        [settings.single]
        label = "Single"
        secret = true
        required = false
        [settings.account]
        label = "Account"
        pattern = "AC[0-9]+"
        example = "AC1"
        [settings.base]
        label = "Base"
        kind = "url"
        default = "https://a.example"
        [settings.nets]
        label = "Networks"
        kind = "networks"
        required = false
        [settings.size]
        label = "Size"
        kind = "choice"
        choices = ["s", "m"]
        required = false
    "#;

    fn read(settings: &str) -> (Settings, Vec<String>) {
        let manifest: Manifest = toml::from_str(MANIFEST).expect("a manifest");
        let document = document(&format!("manifest = \"test\"\n[settings]\n{settings}\n"));
        let (file, mistakes) = document.read::<ChannelFile>();
        assert_eq!(mistakes, Vec::new());
        let environment = |name: &str| (name == "TOKEN" || name == "OLD").then(|| name.to_lowercase());
        let mut mistakes = Vec::new();
        let mut values = Values {
            document: &document,
            environment: &environment,
            config_dir: Path::new("/nonexistent"),
            mistakes: &mut mistakes,
        };
        let settings = values.settings(&manifest, &file.expect("a file"), None);
        (settings, mistakes.into_iter().map(|mistake| mistake.message).collect())
    }

    #[test]
    fn a_good_channel_has_every_setting() {
        let (settings, mistakes) =
            read("token = [{ env = \"TOKEN\" }, { env = \"OLD\" }]\naccount = \"AC12\"\nnets = \"10.0.0.0/8, ::1\"");
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(settings.values("token"), ["token", "old"]);
        assert_eq!(settings.values("base"), ["https://a.example"], "the default");
        assert!(settings.get("single").is_none(), "not required");
    }

    #[test]
    fn every_mistake_names_its_setting() {
        let good = "token = { env = \"TOKEN\" }\naccount = \"AC1\"\n";
        for (settings, part) in [
            ("token = { env = \"TOKEN\" }", "`account` is missing"),
            ("account = \"AC1\"", "`token` is missing"),
            ("account = \"AC1\"\ntoken = \"hunter2\"", "`token` is a secret and stands here in clear"),
            ("account = \"AC1\"\ntoken = [\"hunter2\"]", "`token` is a secret and stands here in clear"),
            ("account = \"AC1\"\ntoken = 5", "`token` is a secret and stands here in clear"),
            ("account = \"AC1\"\ntoken = { env = \"NONE\" }", "NONE is not set"),
            ("account = \"AC1\"\ntoken = { file = \"none\" }", "`token`: the file"),
            ("account = \"AC1\"\ntoken = []", "`token` is an empty list"),
            ("account = \"xAC1\"\ntoken = { env = \"TOKEN\" }", "`account` has the wrong form"),
            ("account = { env = \"TOKEN\" }\ntoken = { env = \"TOKEN\" }", "`account` is no secret"),
            (&format!("{good}single = [{{ env = \"TOKEN\" }}, {{ env = \"OLD\" }}]"), "`single` takes one value"),
            (&format!("{good}base = \"ftp://a\""), "`base` is no URL"),
            (&format!("{good}base = \" \""), "`base` is empty"),
            (&format!("{good}nets = \"10.0.0.0/8, x\""), "`nets` holds \"x\""),
            (&format!("{good}size = \"l\""), "`size` is none of the choices"),
            ("account = \"@generated\"\ntoken = { env = \"TOKEN\" }", "for samples only"),
            (&format!("{good}tokn = \"\""), "has no setting `tokn`"),
        ] {
            let (_, mistakes) = read(settings);
            assert!(mistakes.len() == 1 && mistakes[0].contains(part), "{settings}: {mistakes:?}");
            assert!(!mistakes[0].contains("hunter2"));
        }
    }

    #[test]
    fn urls_and_networks_are_told_from_what_looks_alike() {
        for good in ["https://a.example", "http://10.0.0.1:80/x?y"] {
            assert!(is_url(good), "{good}");
        }
        for bad in ["a.example", "https://", "https://u:p@a.example", "https://a b", "javascript:x"] {
            assert!(!is_url(bad), "{bad}");
        }
        for bad in ["10.0.0.0/33", "::1/129", "10.0.0/8", "10.0.0.0/", ""] {
            assert!(!is_network(bad), "{bad}");
        }
    }
}
