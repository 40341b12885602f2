//! Which settings, filters and templates a manifest has, with the place of each.

use regex_lite::Regex;

use crate::{
    adapter::webhook::{
        escape_of,
        rules::{AuthTable, Encode},
    },
    channel::manifest::Manifest,
    mapping::Escape,
    settings::reference,
};

/// A jq filter of the manifest.
#[derive(Clone, Copy, Debug)]
pub struct FilterUse<'a> {
    pub path: &'static str,
    /// Of a list of sections: which.
    pub place: Option<usize>,
    pub source: &'a str,
}

impl FilterUse<'_> {
    pub fn path(&self) -> String {
        self.place.map_or_else(|| self.path.to_owned(), |place| self.path.replace('#', &place.to_string()))
    }
}

/// Which variables a template may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Send,
    /// `[send.media]`
    File,
    Media,
    Probe,
    /// The evaluation root, without secrets.
    Request,
}

/// A template of the manifest.
#[derive(Clone, Debug)]
pub struct TemplateUse<'a> {
    pub path: String,
    pub source: &'a str,
    pub escape: Escape,
    pub scope: Scope,
}

/// How a setting is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// `"${name}"`: anything.
    Reference,
    /// jq's or a template's `settings.name`: no secret.
    Plain,
    /// `secret_eq` or a template's `secret.name`.
    Secret,
}

/// A setting that is read somewhere.
#[derive(Clone, Debug)]
pub struct SettingUse {
    pub path: String,
    pub name: String,
    pub reading: Reading,
}

/// Everything that a manifest uses.
#[derive(Debug)]
pub struct Uses<'a> {
    pub filters: Vec<FilterUse<'a>>,
    pub templates: Vec<TemplateUse<'a>>,
    /// Of references and filters; those of templates are found when they are compiled.
    pub settings: Vec<SettingUse>,
}

pub fn of(manifest: &Manifest) -> Uses<'_> {
    let filters = filters(manifest);
    let mut settings = references(manifest);
    for filter in &filters {
        read_by_filter(filter, &mut settings);
    }
    Uses { filters, templates: templates(manifest), settings }
}

fn filters(manifest: &Manifest) -> Vec<FilterUse<'_>> {
    let mut filters = Vec::new();
    if let Some(message) = &manifest.message {
        let keys = [
            ("message.each", Some(&message.each)),
            ("message.when", message.when.as_ref()),
            ("message.id", message.id.as_ref()),
            ("message.from", message.from.as_ref()),
            ("message.to", message.to.as_ref()),
            ("message.identities", message.identities.as_ref()),
            ("message.reply_address", message.reply_address.as_ref()),
            ("message.conversation_key", message.conversation_key.as_ref()),
            ("message.sender_name", message.sender_name.as_ref()),
            ("message.subject", message.subject.as_ref()),
            ("message.text", message.text.as_ref()),
            ("message.language", message.language.as_ref()),
            ("message.action", message.action.as_ref()),
            ("message.edit_of", message.edit_of.as_ref()),
            ("message.reply_to", message.reply_to.as_ref()),
            ("message.references", message.references.as_ref()),
            ("message.sent_at", message.sent_at.as_ref()),
            ("message.location", message.location.as_ref()),
            ("message.attachments", message.attachments.as_ref()),
            ("message.unsupported", message.unsupported.as_ref()),
            ("message.mime", message.mime.as_ref()),
            ("message.auth", message.auth.as_ref()),
            ("message.group.key", message.group.as_ref().map(|group| &group.key)),
            ("message.concat.when", message.concat.as_ref().and_then(|concat| concat.when.as_ref())),
            ("message.concat.ref", message.concat.as_ref().map(|concat| &concat.reference)),
            ("message.concat.part", message.concat.as_ref().map(|concat| &concat.part)),
            ("message.concat.total", message.concat.as_ref().map(|concat| &concat.total)),
        ];
        gather(&mut filters, None, keys);
    }
    if let Some(receipts) = &manifest.receipts {
        let keys = [
            ("receipts.each", Some(&receipts.each)),
            ("receipts.id", Some(&receipts.id)),
            ("receipts.status", Some(&receipts.status)),
            ("receipts.error", receipts.error.as_ref()),
        ];
        gather(&mut filters, None, keys);
    }
    if let Some(send) = &manifest.send {
        let keys = [
            ("send.ok", send.ok.as_ref()),
            ("send.external_id", send.external_id.as_ref()),
            ("send.error_code", send.error_code.as_ref()),
        ];
        gather(&mut filters, None, keys);
    }
    if let Some(probe) = &manifest.probe {
        gather(&mut filters, None, [("probe.ok", probe.ok.as_ref()), ("probe.owner", probe.owner.as_ref())]);
    }
    for (place, handshake) in manifest.handshakes.iter().enumerate() {
        let keys = [("handshake.#.when", Some(&handshake.when)), ("handshake.#.fetch", handshake.fetch.as_ref())];
        gather(&mut filters, Some(place), keys);
    }
    let pick = manifest.receive.pick.as_ref().map(|pick| &pick.from);
    let resolve = manifest.media.as_ref().and_then(|media| media.resolve.as_ref()).map(|resolve| &resolve.at);
    gather(&mut filters, None, [("receive.pick.from", pick), ("media.resolve.at", resolve)]);
    filters
}

fn gather<'a, const N: usize>(
    filters: &mut Vec<FilterUse<'a>>,
    place: Option<usize>,
    keys: [(&'static str, Option<&'a String>); N],
) {
    let used = |(path, source): (_, Option<&'a String>)| source.map(|source| FilterUse { path, place, source });
    filters.extend(keys.into_iter().filter_map(used));
}

fn templates(manifest: &Manifest) -> Vec<TemplateUse<'_>> {
    let mut templates = Vec::new();
    let respond = &manifest.respond;
    let escape = escape_of(respond.content_type.as_deref().unwrap_or_default());
    if let Some(source) = &respond.body {
        templates.push(TemplateUse { path: "respond.body".to_owned(), source, escape, scope: Scope::Request });
    }
    for (place, handshake) in manifest.handshakes.iter().enumerate() {
        let path = format!("handshake.{place}.respond.body");
        let escape = escape_of(&handshake.respond.content_type);
        templates.push(TemplateUse { path, source: &handshake.respond.body, escape, scope: Scope::Request });
    }
    if let Some(send) = &manifest.send {
        let mut add =
            |path: String, source, escape| templates.push(TemplateUse { path, source, escape, scope: Scope::Send });
        add("send.url".to_owned(), send.url.as_str(), Escape::Url);
        for (name, source) in &send.headers {
            add(format!("send.headers.{name}"), source, Escape::Text);
        }
        if let Some(source) = &send.body {
            add("send.body".to_owned(), source, escape_by(send.encode));
        }
        for (table, entries) in [("form", &send.form), ("query", &send.query)] {
            for (name, source) in entries.iter().flatten() {
                add(format!("send.{table}.{name}"), source, Escape::Form);
            }
        }
        for (name, choices) in [("buttons", &send.buttons), ("list", &send.list), ("location", &send.location)] {
            if let Some(choices) = choices {
                add(format!("send.{name}.body"), &choices.body, escape_by(send.encode));
            }
        }
        for (section, rules) in send.media.kinds().into_iter().filter_map(|(section, rules)| Some((section, rules?))) {
            let mut add =
                |path: String, source, escape| templates.push(TemplateUse { path, source, escape, scope: Scope::File });
            if let Some(source) = &rules.url {
                add(format!("{section}.url"), source, Escape::Url);
            }
            if let Some(source) = &rules.body {
                add(format!("{section}.body"), source, escape_by(send.encode));
            }
            for (name, source) in rules.form.iter().flatten() {
                add(format!("{section}.form.{name}"), source, Escape::Form);
            }
        }
        let mut add =
            |path: String, source, escape| templates.push(TemplateUse { path, source, escape, scope: Scope::Send });
        if let Some(source) = send.window.as_ref().and_then(|window| window.body.as_ref()) {
            add("send.window.body".to_owned(), source, escape_by(send.encode));
        }
    }
    if let Some(media) = &manifest.media {
        let urls = [
            ("media.url", media.url.as_ref()),
            ("media.resolve.url", media.resolve.as_ref().map(|resolve| &resolve.url)),
        ];
        for (path, source) in urls.into_iter().filter_map(|(path, source)| Some((path, source?))) {
            templates.push(TemplateUse { path: path.to_owned(), source, escape: Escape::Url, scope: Scope::Media });
        }
    }
    if let Some(probe) = &manifest.probe {
        let mut add =
            |path: String, source, escape| templates.push(TemplateUse { path, source, escape, scope: Scope::Probe });
        add("probe.url".to_owned(), probe.url.as_str(), Escape::Url);
        for (name, source) in &probe.headers {
            add(format!("probe.headers.{name}"), source, Escape::Text);
        }
    }
    templates
}

fn escape_by(encode: Encode) -> Escape {
    match encode {
        Encode::Json => Escape::Json,
        Encode::Form | Encode::Query => Escape::Form,
        Encode::Xml => Escape::Xml,
        Encode::Text => Escape::Text,
    }
}

/// Every `"${name}"`, and the setting that `pick` compares with.
fn references(manifest: &Manifest) -> Vec<SettingUse> {
    let mut uses = Vec::new();
    let mut add = |path: String, value: &str| {
        let used = reference(value).map(|name| SettingUse { path, name: name.to_owned(), reading: Reading::Reference });
        uses.extend(used);
    };
    for (place, block) in manifest.verify.blocks().iter().enumerate() {
        let keys = [
            ("key", &block.key),
            ("equals", &block.equals),
            ("user", &block.user),
            ("password", &block.password),
            ("allow", &block.allow),
            ("subject", &block.subject),
        ];
        for (key, value) in keys.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))) {
            add(format!("verify.{place}.{key}"), value);
        }
        for (claim, value) in &block.claims {
            add(format!("verify.{place}.claims.{claim}"), value);
        }
    }
    for (path, auth) in auth_tables(manifest) {
        auth.values().into_iter().for_each(|value| add(path.to_owned(), value));
    }
    if let Some(pick) = &manifest.receive.pick {
        let path = "receive.pick.setting".to_owned();
        uses.push(SettingUse { path, name: pick.setting.clone(), reading: Reading::Plain });
    }
    uses
}

/// The auth tables of requests that we send.
pub fn auth_tables(manifest: &Manifest) -> Vec<(&'static str, &AuthTable)> {
    let media = manifest.media.as_ref();
    let resolve = media.and_then(|media| media.resolve.as_ref());
    let tables = [
        ("send.auth", manifest.send.as_ref().and_then(|send| send.auth.as_ref())),
        ("probe.auth", manifest.probe.as_ref().and_then(|probe| probe.auth.as_ref())),
        ("media.auth", media.and_then(|media| media.auth.as_ref())),
        ("media.resolve.auth", resolve.and_then(|resolve| resolve.auth.as_ref())),
    ];
    tables.into_iter().filter_map(|(path, auth)| Some((path, auth?))).collect()
}

/// The ways in which a filter names a setting. The filter itself is checked where it is compiled; this finds names.
fn read_by_filter(filter: &FilterUse<'_>, uses: &mut Vec<SettingUse>) {
    let patterns = [
        (r#"\.settings\s*(?:\.?\s*\[\s*"([A-Za-z0-9_]+)"\s*\]|\.\s*([A-Za-z_][A-Za-z0-9_]*))"#, Reading::Plain),
        (r#"secret_eq\s*\([^;]*;\s*"([^"]*)"\s*\)"#, Reading::Secret),
    ];
    for (pattern, reading) in patterns {
        let pattern = Regex::new(pattern).expect("the pattern is fixed and compiles");
        for found in pattern.captures_iter(filter.source) {
            let name = found.get(1).or_else(|| found.get(2)).map_or("", |name| name.as_str());
            uses.push(SettingUse { path: filter.path(), name: name.to_owned(), reading });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_filter_are_found_by_name() {
        let source = r#".settings.a + $root.settings["b"] + (secret_eq(.query.token; "c") | tostring) + .settingsx + .x.settings"#;
        let mut uses = Vec::new();
        read_by_filter(&FilterUse { path: "handshake.#.when", place: Some(1), source }, &mut uses);
        let found: Vec<_> = uses.iter().map(|used| (used.path.as_str(), used.name.as_str(), used.reading)).collect();
        assert_eq!(
            found,
            [
                ("handshake.1.when", "a", Reading::Plain),
                ("handshake.1.when", "b", Reading::Plain),
                ("handshake.1.when", "c", Reading::Secret)
            ]
        );
    }
}
