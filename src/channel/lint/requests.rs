//! Requests that we send: they go to a host that the manifest or the operator names, never to one that a citizen names.

use super::{Report, hosts::is_private, uses};
use crate::{
    adapter::webhook::rules::AuthTable,
    channel::manifest::{Manifest, SettingKind},
    settings::reference,
};

pub fn check(manifest: &Manifest, report: &mut Report<'_>) {
    if let Some(send) = &manifest.send {
        url(manifest, "send.url", &send.url, report);
        for (section, rules) in send.media.kinds() {
            if let Some(source) = rules.and_then(|rules| rules.url.as_ref()) {
                url(manifest, &format!("{section}.url"), source, report);
            }
        }
        let bodies = [send.body.is_some(), send.form.is_some(), send.query.is_some()];
        if !bodies.contains(&true) {
            let hint = "add `body`, [send.form] or [send.query]".to_owned();
            report.error("send", "`send` says nothing of what is sent", Some(hint));
        }
    }
    if let Some(probe) = &manifest.probe {
        url(manifest, "probe.url", &probe.url, report);
    }
    let resolve = manifest.media.as_ref().and_then(|media| media.resolve.as_ref());
    if let Some(resolve) = resolve {
        url(manifest, "media.resolve.url", &resolve.url, report);
    }
    if let Some(media) = manifest.media.as_ref().and_then(|media| media.url.as_deref()) {
        let is_given = matches!(media.trim_matches(['{', '}', ' ']), "url" | "resolved");
        if !is_given {
            url(manifest, "media.url", media, report);
        }
    }
    for (path, auth) in uses::auth_tables(manifest) {
        if let AuthTable::Oauth2 { token_url, .. } = auth {
            match reference(token_url) {
                Some(name) => must_be_url(manifest, path, name, report),
                None => literal(path, token_url, report),
            }
        }
    }
}

/// Scheme and host are literal, or one setting of kind `url`.
fn url(manifest: &Manifest, path: &str, template: &str, report: &mut Report<'_>) {
    let Some(rest) = template.strip_prefix("{{") else { return literal(path, template, report) };
    let variable = rest.split_once("}}").map(|(variable, rest)| (variable.trim().strip_prefix("settings."), rest));
    match variable {
        Some((Some(name), rest)) if rest.is_empty() || rest.starts_with(['/', '?']) => {
            must_be_url(manifest, path, name, report);
        }
        _ => {
            let hint =
                "begin with https:// and the host, or with {{ settings.NAME }} of kind \"url\" and a slash".to_owned();
            report.error(path, format!("`{path}` does not say which host it goes to"), Some(hint));
        }
    }
}

fn must_be_url(manifest: &Manifest, path: &str, name: &str, report: &mut Report<'_>) {
    if manifest.settings.get(name).is_some_and(|rules| rules.kind != SettingKind::Url) {
        let hint = format!("write kind = \"url\" in [settings.{name}]");
        report.error(
            path,
            format!("`{path}` takes its host from `{name}`, which is no setting of kind \"url\""),
            Some(hint),
        );
    }
}

fn literal(path: &str, url: &str, report: &mut Report<'_>) {
    let (is_plain, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => {
            report.error(
                path,
                format!("`{path}` is no URL of HTTP"),
                Some("begin with https:// and the host".to_owned()),
            );
            return;
        }
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if host.is_empty() || host.contains(['{', '$', '@', ' ']) {
        let hint = "write the host as it is, or take the whole beginning from a setting of kind \"url\"".to_owned();
        report.error(path, format!("`{path}` has no literal host"), Some(hint));
    } else if is_plain && !is_private(host) {
        report.warning(
            path,
            format!("`{path}` is http:// and can be read on the way"),
            Some("write https://".to_owned()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::lint::tests::{tells, told},
        diagnostic::Severity::{Error, Warning},
    };

    #[test]
    fn a_request_goes_where_the_manifest_or_the_operator_says() {
        let settings = "[settings.base]\nlabel = \"x\"\nkind = \"url\"\n[settings.name]\nlabel = \"x\"\n";
        let send = |url: &str| format!("{settings}[send]\nurl = \"{url}\"\nbody = \"x\"\n\n[[sample]]");
        for good in [
            "https://a.example/{{ to }}",
            "{{ settings.base }}",
            "{{ settings.base }}/x",
            "http://127.0.0.1:9/x",
            "http://10.1.2.3/",
        ] {
            assert_eq!(told("[[sample]]", &send(good), check), Vec::new(), "{good}");
        }
        for (bad, severity, words) in [
            ("https://{{ settings.name }}/x", Error, "no literal host"),
            ("{{ settings.name }}/x", Error, "no setting of kind"),
            ("{{ settings.base }}.evil.example/", Error, "which host"),
            ("{{ to }}/x", Error, "which host"),
            ("ftp://a.example", Error, "no URL of HTTP"),
            ("https://u@a.example", Error, "no literal host"),
            ("http://a.example/", Warning, "http://"),
        ] {
            tells("[[sample]]", &send(bad), check, (severity, words, &format!("\"{bad}\"")));
        }
        tells(
            "[[sample]]",
            "[send]\nurl = \"https://a.example\"\n\n[[sample]]",
            check,
            (Error, "says nothing", "[send]"),
        );
    }
}
