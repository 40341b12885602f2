//! `[[verify]]`: what the scheme says of its blocks, in their places, and whether the settings fit what they are used for.

use super::Report;
use crate::{
    adapter::mail::Mail,
    channel::manifest::{Manifest, SettingKind, Verify},
    mapping::rules::BodyKind,
    settings::reference,
    signature::{
        FormReading, Scheme, SchemeError,
        rules::{VerifyKind, VerifyRules},
    },
};

pub fn check(manifest: &Manifest, report: &mut Report<'_>) -> Option<Scheme> {
    for (place, block) in manifest.verify.blocks().iter().enumerate() {
        settings_of(manifest, place, block, report);
    }
    // A native mail adapter has no requests to verify: what is known of a letter's sender stands in its provenance.
    let is_native = Mail::named(&manifest.adapter).is_some();
    let is_none = is_native || matches!(&manifest.verify, Verify::Word(word) if word == "none");
    if !is_none && manifest.verify.blocks().is_empty() {
        // Told with the heading.
        return None;
    }
    let (scheme, errors) = Scheme::compile(manifest.verify.blocks(), manifest.verify_policy, is_none);
    for error in errors {
        put_in_place(error, report);
    }
    // Verification must look at a body as the mapping does, or the two would read two requests.
    let always = manifest.receive.body == BodyKind::Form;
    scheme.map(|scheme| if always { scheme.reading(FormReading::Always) } else { scheme })
}

fn put_in_place(error: SchemeError, report: &mut Report<'_>) {
    let SchemeError { block, key, message, hint, is_warning } = error;
    let path = match block {
        Some(block) => format!("verify.{block}.{key}"),
        None if key.is_empty() => "verify".to_owned(),
        None => key,
    };
    let path = path.trim_end_matches('.');
    let message = format!("`{path}`: {message}");
    if is_warning { report.warning(path, message, hint) } else { report.error(path, message, hint) }
}

fn settings_of(manifest: &Manifest, place: usize, block: &VerifyRules, report: &mut Report<'_>) {
    let shared_key =
        matches!(block.kind, VerifyKind::Hmac | VerifyKind::Hash).then_some(block.key.as_deref()).flatten();
    for (key, value) in
        [("key", shared_key), ("equals", block.equals.as_deref()), ("password", block.password.as_deref())]
    {
        let Some(value) = value else { continue };
        let path = format!("verify.{place}.{key}");
        match reference(value).map(|name| (name, manifest.settings.get(name))) {
            None => {
                let hint =
                    "a manifest is shared and holds no secret; write \"${name}\" of a setting with secret = true"
                        .to_owned();
                report.error(&path, format!("`{path}` is no reference to a setting"), Some(hint));
            }
            Some((name, Some(rules))) if !rules.secret => {
                let hint = format!("write secret = true in [settings.{name}]");
                report.error(&path, format!("`{path}` compares with `{name}`, which is no secret"), Some(hint));
            }
            Some(_) => {}
        }
    }
    let networks =
        block.allow.as_deref().and_then(reference).and_then(|name| Some((name, manifest.settings.get(name)?)));
    if let Some((name, _)) = networks.filter(|(_, rules)| rules.kind != SettingKind::Networks) {
        let path = format!("verify.{place}.allow");
        let hint = format!("write kind = \"networks\" in [settings.{name}]");
        report.error(&path, format!("`{path}` names `{name}`, which is no setting of kind \"networks\""), Some(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::lint::tests::{tells, told},
        diagnostic::Severity::Error,
    };

    fn check_settings(manifest: &Manifest, report: &mut Report<'_>) {
        for (place, block) in manifest.verify.blocks().iter().enumerate() {
            settings_of(manifest, place, block, report);
        }
    }

    #[test]
    fn a_key_is_a_secret_and_a_network_a_network() {
        assert_eq!(told("", "", check_settings), Vec::new());
        tells("\"${key}\"", "\"abc\"", check_settings, (Error, "no reference", "\"abc\""));
        tells("secret = true", "secret = false", check_settings, (Error, "which is no secret", "\"${key}\""));
        let ip = "kind = \"ip\"\nallow = \"${key}\"";
        let token = "kind = \"token\"\nfrom = \"header:X-Key\"\nequals = \"${key}\"";
        tells(token, ip, check_settings, (Error, "kind \"networks\"", "\"${key}\""));
    }

    #[test]
    fn what_a_scheme_says_is_put_in_its_place() {
        let error = |block, key: &str| SchemeError {
            block,
            key: key.to_owned(),
            message: "no".to_owned(),
            hint: None,
            is_warning: false,
        };
        for (block, key, shown) in [
            (Some(0), "equals", "\"${key}\""),
            (Some(0), "timestamp.tolerance", "[[verify]]"),
            (Some(0), "", "[[verify]]"),
            (None, "", "[[verify]]"),
        ] {
            let told = told("", "", |_, report| put_in_place(error(block, key), report));
            assert!(told[0].2.starts_with(shown), "{told:?}");
        }
    }
}
