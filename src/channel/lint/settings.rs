//! `[settings]`: each well formed, each used, and each use naming one.

use super::{
    Report,
    uses::{Reading, Uses},
};
use crate::{
    adapter::telegram,
    channel::{
        document::did_you_mean,
        manifest::{Manifest, SettingKind, SettingRules},
        open::{mistake_in, text_of},
    },
};

pub fn check(manifest: &Manifest, uses: &Uses<'_>, report: &mut Report<'_>) {
    if manifest.adapter == telegram::NAME {
        of_a_bot(manifest, report);
    }
    for (name, rules) in &manifest.settings {
        setting(name, rules, report);
    }
    for used in &uses.settings {
        reading(manifest, &used.path, &used.name, used.reading, report);
    }
}

/// The adapter reads its settings by their names. Without a token there is no bot; what else is left out has its default.
fn of_a_bot(manifest: &Manifest, report: &mut Report<'_>) {
    let read =
        telegram::SETTINGS.iter().filter(|name| **name == telegram::TOKEN || manifest.settings.contains_key(**name));
    for name in read {
        let is_secret = telegram::SECRETS.contains(name);
        let path =
            if manifest.settings.contains_key(*name) { format!("settings.{name}") } else { "adapter".to_owned() };
        reading(manifest, &path, name, if is_secret { Reading::Secret } else { Reading::Plain }, report);
    }
}

/// Is a setting that is read declared, and may it be read so? Templates ask this too.
pub fn reading(manifest: &Manifest, path: &str, name: &str, reading: Reading, report: &mut Report<'_>) {
    let Some(rules) = manifest.settings.get(name) else {
        let known = manifest.settings.keys().map(String::as_str);
        let hint = did_you_mean(name, known).unwrap_or_else(|| format!("declare it as [settings.{name}]"));
        report.error(path, format!("`{path}` names the setting `{name}`, which there is not"), Some(hint));
        return;
    };
    match (reading, rules.secret) {
        (Reading::Plain, true) => {
            let hint =
                "templates of requests that we send read it as secret.NAME, jq compares with secret_eq(x; \"NAME\")"
                    .to_owned();
            report.error(path, format!("`{path}` reads the secret `{name}` as a plain setting"), Some(hint));
        }
        (Reading::Secret, false) => {
            let hint = format!("write settings.{name}, or make it secret = true");
            report.error(path, format!("`{path}` reads `{name}` as a secret, which it is not"), Some(hint));
        }
        _ => {}
    }
}

/// Warns of settings that are asked for and never used. `read` holds the names that anything reads.
pub fn unused(manifest: &Manifest, read: &[String], report: &mut Report<'_>) {
    for name in manifest.settings.keys().filter(|name| !read.contains(name)) {
        let hint = "leave it out: operators are asked for it".to_owned();
        report.warning(&format!("settings.{name}"), format!("setting `{name}` is never used"), Some(hint));
    }
}

fn setting(name: &str, rules: &SettingRules, report: &mut Report<'_>) {
    let path = format!("settings.{name}");
    let is_snake = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_snake || name.starts_with(|letter: char| !letter.is_ascii_lowercase()) {
        report.error(&path, format!("setting `{name}` is not in snake_case"), Some("use a-z, 0-9 and `_`".to_owned()));
    }
    if let Some(pattern) = &rules.pattern
        && let Err(error) = regex_lite::Regex::new(pattern)
    {
        report.error(&format!("{path}.pattern"), format!("`{path}.pattern` is no regular expression: {error}"), None);
        return;
    }
    match (rules.kind, &rules.choices) {
        (SettingKind::Choice, None) => {
            report.error(
                &format!("{path}.kind"),
                format!("setting `{name}` has no `choices`"),
                Some("list them: choices = [\"a\", \"b\"]".to_owned()),
            );
        }
        (kind, Some(_)) if kind != SettingKind::Choice => {
            report.error(
                &format!("{path}.choices"),
                format!("`{path}.choices` goes with kind = \"choice\" only"),
                None,
            );
        }
        _ => {}
    }
    if rules.rotate && !rules.secret {
        report.error(&format!("{path}.rotate"), format!("`{path}.rotate` goes with secret = true only"), None);
    }
    if rules.generate && !rules.secret {
        report.error(&format!("{path}.generate"), format!("`{path}.generate` goes with secret = true only"), None);
    }
    if rules.secret && rules.default.is_some() {
        let hint = "a manifest is shared and holds no secret; leave the default out".to_owned();
        report.error(&format!("{path}.default"), format!("secret setting `{name}` has a default"), Some(hint));
        return;
    }
    for (key, value) in [("default", &rules.default), ("example", &rules.example)] {
        let mistake = value.as_ref().and_then(|value| mistake_in(rules, &text_of(value)));
        if let Some(mistake) = mistake {
            report.error(&format!("{path}.{key}"), format!("`{path}.{key}` {}", mistake.what), Some(mistake.hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::lint::{
            tests::{tells, told},
            uses,
        },
        diagnostic::Severity::Error,
    };

    fn check_all(manifest: &Manifest, report: &mut Report<'_>) {
        check(manifest, &uses::of(manifest), report);
    }

    #[test]
    fn each_mistake_of_a_setting_is_told_in_its_place() {
        assert_eq!(told("", "", check_all), Vec::new());
        let put = |text: &str| format!("[settings.more]\nlabel = \"x\"\n{text}\n[[verify]]");
        for (with, words, shown) in [
            (put("pattern = \"(\""), "no regular expression", "\"(\""),
            (put("kind = \"choice\""), "has no `choices`", "\"choice\""),
            (put("choices = [\"a\"]"), "goes with kind", "[\"a\"]"),
            (put("rotate = true"), "goes with secret", "true"),
            (put("secret = true\ndefault = \"x\""), "has a default", "\"x\""),
            (put("kind = \"networks\"\nexample = \"10.0.0.0/99\""), "no network", "\"10.0.0.0/99\""),
            (put("kind = \"url\"\ndefault = \"a.example\""), "is no URL", "\"a.example\""),
            (put("pattern = \"A+\"\ndefault = \"B\""), "wrong form", "\"B\""),
            (put("").replace("more", "More"), "snake_case", "[settings.More]"),
        ] {
            tells("[[verify]]", &with, check_all, (Error, words, shown));
        }
    }

    #[test]
    fn a_use_must_name_a_setting_and_read_it_as_what_it_is() {
        tells("\"${key}\"", "\"${kee}\"", check_all, (Error, "`kee`, which there is not", "\"${kee}\""));
        tells("\".body.text\"", "\".settings.key\"", check_all, (Error, "as a plain setting", "\".settings.key\""));
        let filter = "'secret_eq(.a; \"nothing\")'";
        tells("\".body.text\"", filter, check_all, (Error, "`nothing`, which there is not", filter));
    }

    #[test]
    fn a_setting_that_nobody_reads_is_warned_of() {
        let told = told("", "", |manifest, report| unused(manifest, &[], report));
        assert!(told.len() == 1 && told[0].1.contains("`key` is never used"), "{told:?}");
    }
}
