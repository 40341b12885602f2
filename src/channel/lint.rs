//! Checks a manifest (`channel-manifest.md` §10) and compiles it. All mistakes at once, each with its place in the file.
//!
//! What filters, templates and schemes find when they are compiled is put in its place here; what only the whole
//! manifest shows (a setting that nobody declared, a file that may come from nowhere) is found here.

use super::{
    document::{Document, did_you_mean},
    manifest::Manifest,
};
use crate::{
    adapter::{
        Engine,
        mail::{Mail, known_settings},
        webhook::{Sections, Webhook},
    },
    diagnostic::{Diagnostic, Severity},
    signature::Scheme,
};

mod capabilities;
mod heading;
mod hosts;
mod mapping;
mod requests;
pub mod samples;
mod settings;
mod templates;
mod uses;
mod verification;

/// Gathers the mistakes of one file.
#[derive(Debug)]
pub struct Report<'a> {
    document: &'a Document,
    mistakes: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub fn new(document: &'a Document) -> Self {
        Self { document, mistakes: Vec::new() }
    }

    /// A mistake at a dotted path. A second one at the same place is mostly the first in other words and is left out.
    pub fn error(&mut self, path: &str, message: impl Into<String>, hint: Option<String>) {
        let mistake = self.document.error(path, message, hint);
        let is_told = self.mistakes.iter().any(|told| {
            told.severity == Severity::Error
                && told.span == mistake.span
                && (self.document.has(path) || told.message == mistake.message)
        });
        if !is_told {
            self.mistakes.push(mistake);
        }
    }

    pub fn warning(&mut self, path: &str, message: impl Into<String>, hint: Option<String>) {
        let mistake = self.document.warning(path, message, hint);
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// All mistakes, in the order of the file.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.mistakes.sort_by_key(|mistake| mistake.span.start);
        self.mistakes
    }

    fn has_errors(&self) -> bool {
        self.mistakes.iter().any(|mistake| mistake.severity == Severity::Error)
    }
}

/// Checks everything but the samples' outcome. Gives the compiled parts when there is no error so far.
pub fn manifest(name: &str, manifest: &Manifest, report: &mut Report<'_>) -> Option<(Engine, Scheme)> {
    heading::check(name, manifest, report);
    let scheme = verification::check(manifest, report);
    let engine = match Mail::named(&manifest.adapter) {
        Some(mail) => {
            native_settings(mail, manifest, report);
            samples::check(manifest, report);
            let scheme = scheme?;
            return (!report.has_errors()).then_some((Engine::Mail(mail), scheme));
        }
        None => engine(manifest, report),
    };
    let uses = uses::of(manifest);
    capabilities::check(manifest, report);
    settings::check(manifest, &uses, report);
    mapping::check(manifest, &uses, report);
    templates::check(manifest, &uses, report);
    requests::check(manifest, report);
    hosts::check(manifest, report);
    samples::check(manifest, report);
    match (engine, scheme) {
        (Some(engine), Some(scheme)) if !report.has_errors() => Some((engine, scheme)),
        _ => None,
    }
}

/// A native adapter reads its settings by their names.
fn native_settings(mail: Mail, manifest: &Manifest, report: &mut Report<'_>) {
    let known = known_settings(mail);
    for name in manifest.settings.keys().filter(|name| !known.contains(&name.as_str())) {
        let hint = did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("the adapter {:?} reads {}", manifest.adapter, known.join(", ")));
        let message = format!("the adapter {:?} has no setting `{name}`", manifest.adapter);
        report.error(&format!("settings.{name}"), message, Some(hint));
    }
}

fn engine(manifest: &Manifest, report: &mut Report<'_>) -> Option<Engine> {
    let message = manifest.message.as_ref()?;
    let sections = Sections {
        receive: &manifest.receive,
        message,
        receipts: manifest.receipts.as_ref(),
        respond: &manifest.respond,
        handshakes: &manifest.handshakes,
        media: manifest.media.as_ref(),
        send: manifest.send.as_ref(),
        probe: manifest.probe.as_ref(),
    };
    match Webhook::compile(&sections) {
        Ok(engine) => Some(Engine::Webhook(Box::new(engine))),
        Err(errors) => {
            for error in errors {
                let path = format!("{}.{}", error.section, error.key);
                let message = format!("`{path}`: {}", error.message);
                report.error(path.trim_end_matches('.'), message, error.hint);
            }
            None
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::channel::document::tests::document;

    /// A manifest without mistakes; tests put theirs in.
    pub const GOOD: &str = r#"
manifest = 1
id = "test"
title = "Test"
version = "1.0.0"
adapter = "webhook"
medium = "sms"
address = "phone"

[settings.key]
label = "Key"
secret = true

[[verify]]
kind = "token"
from = "header:X-Key"
equals = "${key}"

[message]
each = "."
id = ".body.id"
from = ".body.from"
text = ".body.text"

[[sample]]
name = "one"
settings = { key = "k" }
url = "https://loket.example/in/test"
headers = { "X-Key" = "k", "Content-Type" = "application/json" }
body = '{"id":"1","from":"6281100000001","text":"x"}'
[sample.expect]
verify = "pass"
messages = [{ id = "1" }]
"#;

    /// What one check says of a manifest with some text put in the place of other text.
    pub fn told(
        replace: &str,
        with: &str,
        check: impl Fn(&Manifest, &mut Report<'_>),
    ) -> Vec<(Severity, String, String)> {
        assert!(GOOD.contains(replace), "{replace}");
        let text = GOOD.replace(replace, with);
        let document = document(&text);
        let (manifest, mistakes) = document.read::<Manifest>();
        assert_eq!(mistakes, Vec::new());
        let mut report = Report::new(&document);
        check(&manifest.expect("a manifest"), &mut report);
        let told = |mistake: Diagnostic| (mistake.severity, mistake.message, text[mistake.span].to_owned());
        report.finish().into_iter().map(told).collect()
    }

    /// Does one check say exactly one thing, of this severity, with these words, pointing at this text?
    pub fn tells(
        replace: &str,
        with: &str,
        check: impl Fn(&Manifest, &mut Report<'_>),
        expected: (Severity, &str, &str),
    ) {
        let told = told(replace, with, check);
        let (severity, words, shown) = expected;
        let good = told.len() == 1 && told[0].0 == severity && told[0].1.contains(words) && told[0].2 == shown;
        assert!(good, "{with}: {told:?}");
    }

    #[test]
    fn all_mistakes_of_shape_are_told_at_once() {
        let text =
            GOOD.replace("title", "titel").replace("kind = \"token\"", "kind = \"tokn\"").replace("text = ", "txet = ");
        let (_, mistakes) = document(&text).read::<Manifest>();
        let hints: Vec<_> = mistakes.iter().filter_map(|mistake| mistake.hint.as_deref()).collect();
        assert_eq!(hints, ["did you mean `text`?", "did you mean `title`?", "did you mean `token`?"], "{mistakes:#?}");
        assert_eq!(mistakes.len(), 3, "{mistakes:#?}");
    }
}
