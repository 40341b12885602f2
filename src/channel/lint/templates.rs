//! Templates: each compiles, reads variables that there are, and shows a secret to nobody who may not see it.

use super::{
    Report, settings,
    uses::{Reading, Scope, TemplateUse, Uses},
};
use crate::{
    adapter::{
        mail::{Mail, known_settings},
        telegram,
    },
    channel::{document::did_you_mean, manifest::Manifest},
    complaint::Medium,
    mapping::Template,
};

const SEND: [&str; 12] = [
    "to",
    "to_type",
    "from",
    "text",
    "lang",
    "template",
    "buttons",
    "reply_to",
    "idempotency_key",
    "receipts_url",
    "settings",
    "secret",
];
/// Besides those of `[send]`.
const FILE: [&str; 4] = ["link", "media_type", "filename", "caption"];
const MEDIA: [&str; 5] = ["ref", "url", "resolved", "settings", "secret"];
const PROBE: [&str; 3] = ["cursor", "settings", "secret"];
const REQUEST: [&str; 15] = [
    "method",
    "path",
    "endpoint",
    "query",
    "form",
    "params",
    "query_all",
    "form_all",
    "headers",
    "body",
    "body_text",
    "files",
    "remote",
    "received_at",
    "settings",
];
/// Functions that MiniJinja brings along; they are named like variables.
const FUNCTIONS: [&str; 4] = ["range", "dict", "namespace", "loop"];

pub fn check(manifest: &Manifest, uses: &Uses<'_>, report: &mut Report<'_>) {
    let mut read: Vec<String> = uses.settings.iter().map(|used| used.name.clone()).collect();
    for used in &uses.templates {
        match Template::compile(used.source, used.escape) {
            Ok(template) => variables(manifest, used, &template, &mut read, report),
            Err(message) => report.error(&used.path, format!("`{}`: {message}", used.path), None),
        }
    }
    if manifest.medium == Medium::Email {
        // A channel for mail answers by SMTP too: the gateway reads these by their names.
        read.extend(known_settings(Mail::Smtp).into_iter().map(str::to_owned));
    }
    if manifest.adapter == telegram::NAME {
        read.extend(telegram::SETTINGS.map(str::to_owned));
    }
    settings::unused(manifest, &read, report);
}

fn variables(
    manifest: &Manifest,
    used: &TemplateUse<'_>,
    template: &Template,
    read: &mut Vec<String>,
    report: &mut Report<'_>,
) {
    let path = used.path.as_str();
    let known = match used.scope {
        Scope::Send => SEND.to_vec(),
        Scope::File => [SEND.as_slice(), &FILE].concat(),
        Scope::Media => MEDIA.to_vec(),
        Scope::Probe => PROBE.to_vec(),
        Scope::Request => REQUEST.to_vec(),
    };
    for name in template.variables() {
        let name = name.as_str();
        if name == "secret" && used.scope == Scope::Request {
            let hint = "what is answered can be read by whoever asks; take the secret out".to_owned();
            report.error(path, format!("`{path}` would show a secret"), Some(hint));
        } else if !known.contains(&name) && !FUNCTIONS.contains(&name) {
            let hint =
                did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("there are {}", known.join(", ")));
            report.error(path, format!("`{path}` reads `{name}`, which there is not"), Some(hint));
        }
    }
    for dotted in template.paths() {
        let mut segments = dotted.split('.');
        let reading = match segments.next() {
            Some("settings") => Reading::Plain,
            Some("secret") => Reading::Secret,
            _ => continue,
        };
        if let Some(name) = segments.next() {
            settings::reading(manifest, path, name, reading, report);
            read.push(name.to_owned());
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
        diagnostic::Severity::{Error, Warning},
    };

    fn check_all(manifest: &Manifest, report: &mut Report<'_>) {
        check(manifest, &uses::of(manifest), report);
    }

    #[test]
    fn a_template_reads_what_there_is() {
        let send = |url: &str, body: &str| format!("[send]\nurl = \"{url}\"\nbody = '{body}'\n\n[[sample]]");
        let url = "https://a.example";
        assert_eq!(told("[[sample]]", &send(url, "{{ text }}{{ secret.key }}"), check_all), Vec::new());
        for (body, words) in [
            ("{{ txt }}", "reads `txt`, which there is not"),
            ("{{ settings.key }}", "as a plain setting"),
            ("{{ secret.nothing }}", "`nothing`, which there is not"),
            ("{{ text", "`send.body`"),
        ] {
            tells("[[sample]]", &send(url, body), check_all, (Error, words, &format!("'{body}'")));
        }
    }

    #[test]
    fn a_reply_never_shows_a_secret() {
        let respond = "[respond]\nbody = '{{ secret.key }}'\n\n[[sample]]";
        tells("[[sample]]", respond, check_all, (Error, "would show a secret", "'{{ secret.key }}'"));
    }

    #[test]
    fn a_setting_that_nothing_reads_is_warned_of() {
        let more = "[settings.more]\nlabel = \"x\"\n\n[[verify]]";
        tells("[[verify]]", more, check_all, (Warning, "`more` is never used", "[settings.more]"));
    }
}
