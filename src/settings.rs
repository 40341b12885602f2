//! The settings of one channel: the values behind `${name}` of its manifest.
//!
//! Secrets are resolved when the channel is loaded and live in a type that prints nothing. jq and templates of
//! `[respond]` see the plain ones only.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

/// One value. A secret has one or more: two are valid at once while a key is rotated.
#[derive(Clone, Debug)]
pub enum Setting {
    Plain(String),
    Secret(Vec<SecretString>),
}

/// All values of a channel, by name. A setting that the channel leaves out is not in it.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<String, Setting>);

impl Settings {
    pub fn insert(&mut self, name: impl Into<String>, setting: Setting) {
        self.0.insert(name.into(), setting);
    }

    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// Every value of a setting, the plain one or all of a secret, in order. Empty when it is not set.
    pub fn values(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Setting::Plain(value)) => vec![value],
            Some(Setting::Secret(values)) => values.iter().map(ExposeSecret::expose_secret).collect(),
            None => Vec::new(),
        }
    }

    /// The settings that are no secret, for jq and for answers.
    pub fn plain(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, setting)| match setting {
            Setting::Plain(value) => Some((name.as_str(), value.as_str())),
            Setting::Secret(_) => None,
        })
    }

    /// The current value (the first) of each secret, for the templates of requests that we send.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, setting)| match setting {
            Setting::Secret(values) => values.first().map(|value| (name.as_str(), value.expose_secret())),
            Setting::Plain(_) => None,
        })
    }
}

/// A mistake in one setting, found by an adapter that reads it by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    pub setting: &'static str,
    pub message: String,
    pub hint: String,
}

/// The name in `"${name}"`; `None` for a literal.
pub fn reference(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}').filter(|name| !name.is_empty() && !name.contains(['{', '}', '$']))
}
