//! The top level of a manifest, and which sections go with its adapter.

use super::Report;
use crate::{
    adapter::{mail::Mail, telegram},
    channel::{
        document::did_you_mean,
        manifest::{Manifest, Verify},
    },
    receipt::ChannelId,
};

/// The declarative adapter.
const WEBHOOK: &str = "webhook";
/// The adapters whose manifests the declarative engine reads.
const DECLARATIVE: [&str; 2] = [WEBHOOK, telegram::NAME];
/// The words of the specification that stand for native adapters.
const NATIVE: [&str; 6] = ["telegram", "whatsapp", "imap", "smtp", "form", "smpp"];
const ADDRESSES: [&str; 5] = ["phone", "email", "telegram_user_id", "whatsapp_bsuid", "opaque"];
/// Least letters of a `verify_reason`.
const REASON: usize = 20;

pub fn check(name: &str, manifest: &Manifest, report: &mut Report<'_>) {
    if manifest.manifest != 1 {
        let message =
            format!("`manifest` is {}, and this gateway knows version 1 of the specification", manifest.manifest);
        report.error("manifest", message, Some("write manifest = 1".to_owned()));
    }
    if manifest.id != name {
        let hint = format!("write id = {name:?}, or rename the file to {}.toml", manifest.id);
        report.error("id", format!("`id` is {:?} and the file is called {name}.toml", manifest.id), Some(hint));
    }
    if ChannelId::new(manifest.id.as_str()).is_err() {
        report.error("id", "`id` is no slug", Some("use 1 to 63 of a-z, 0-9 and `-`".to_owned()));
    }
    if manifest.title.trim().is_empty() {
        report.error("title", "`title` is empty", Some("say in a few words what this is".to_owned()));
    }
    if !is_semver(&manifest.version) {
        let message = format!("`version` is {:?}, which is no version", manifest.version);
        report.error("version", message, Some("write three numbers, like \"1.0.0\"".to_owned()));
    }
    if !ADDRESSES.contains(&manifest.address.as_str()) {
        let hint = did_you_mean(&manifest.address, ADDRESSES)
            .unwrap_or_else(|| format!("write one of {}", ADDRESSES.join(", ")));
        report.error(
            "address",
            format!("`address` is {:?}, which is no type of address", manifest.address),
            Some(hint),
        );
    }
    if manifest.docs.as_deref().is_some_and(|docs| !docs.starts_with("https://")) {
        report.error("docs", "`docs` is no https URL", Some("name the provider's page, or leave it out".to_owned()));
    }
    adapter(manifest, report);
    verify(manifest, report);
}

fn adapter(manifest: &Manifest, report: &mut Report<'_>) {
    let adapter = manifest.adapter.as_str();
    if DECLARATIVE.contains(&adapter) {
        if manifest.message.is_none() {
            let hint = "add [message] with at least `each`, `from` and `text`".to_owned();
            report.error("message", "`message` is missing: nothing says how a request is read", Some(hint));
        }
        return;
    }
    if !NATIVE.contains(&adapter) {
        let known = NATIVE.into_iter().chain([WEBHOOK]);
        let hint = did_you_mean(adapter, known)
            .unwrap_or_else(|| "write \"webhook\" for a provider that calls a URL".to_owned());
        report.error("adapter", format!("`adapter` is {adapter:?}, which is no adapter"), Some(hint));
        return;
    }
    if Mail::named(adapter).is_none() {
        report.error("adapter", format!("`adapter` {adapter:?} is not part of this gateway"), None);
    }
    let sections = [
        ("message", manifest.message.is_some()),
        ("receipts", manifest.receipts.is_some()),
        ("send", manifest.send.is_some()),
        ("handshake", !manifest.handshakes.is_empty()),
        ("verify", !manifest.verify.blocks().is_empty()),
    ];
    for (section, _) in sections.into_iter().filter(|(_, is_there)| *is_there) {
        let hint = "a native adapter reads, verifies and sends by itself; leave the section out".to_owned();
        report.error(section, format!("`{section}` does not go with the adapter {adapter:?}"), Some(hint));
    }
}

fn verify(manifest: &Manifest, report: &mut Report<'_>) {
    let reason = manifest.verify_reason.as_deref().map_or(0, |reason| reason.trim().chars().count());
    match &manifest.verify {
        Verify::Word(word) if word != "none" => {
            let hint = "write blocks of [[verify]], or verify = \"none\" with a verify_reason".to_owned();
            report.error("verify", format!("`verify` is {word:?}, which means nothing"), Some(hint));
        }
        Verify::Word(_) if reason < REASON => {
            let path = if manifest.verify_reason.is_some() { "verify_reason" } else { "verify" };
            let hint = format!("say in `verify_reason`, in {REASON} letters or more, why anybody may send");
            report.error(path, "`verify` is \"none\" without a reason", Some(hint));
        }
        Verify::Blocks(blocks) if blocks.is_empty() && DECLARATIVE.contains(&manifest.adapter.as_str()) => {
            let hint = "add [[verify]]; only where the provider proves nothing: verify = \"none\" and a verify_reason"
                .to_owned();
            report.error("verify", "`verify` is missing: anybody could send in a citizen's name", Some(hint));
        }
        Verify::Blocks(_) if manifest.verify_reason.is_some() => {
            report.warning("verify_reason", "`verify_reason` goes with verify = \"none\" only", None);
        }
        _ => {}
    }
}

fn is_semver(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').collect();
    numbers.len() == 3
        && numbers.iter().all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::lint::tests::{GOOD, tells, told},
        diagnostic::Severity::{Error, Warning},
    };

    fn check_as_test(manifest: &Manifest, report: &mut Report<'_>) {
        check("test", manifest, report);
    }

    #[test]
    fn a_good_heading_is_left_alone() {
        assert_eq!(told("", "", check_as_test), Vec::new());
    }

    #[test]
    fn each_mistake_of_the_heading_is_told_in_its_place() {
        for (replace, with, expected) in [
            ("manifest = 1", "manifest = 2", (Error, "knows version 1", "2")),
            ("id = \"test\"", "id = \"other\"", (Error, "the file is called test.toml", "\"other\"")),
            ("title = \"Test\"", "title = \" \"", (Error, "`title` is empty", "\" \"")),
            ("version = \"1.0.0\"", "version = \"1.0\"", (Error, "no version", "\"1.0\"")),
            ("address = \"phone\"", "address = \"fone\"", (Error, "no type of address", "\"fone\"")),
            ("address", "docs = \"http://a.example\"\naddress", (Error, "no https URL", "\"http://a.example\"")),
            ("adapter = \"webhook\"", "adapter = \"webhok\"", (Error, "no adapter", "\"webhok\"")),
            ("address", "verify_reason = \"because\"\naddress", (Warning, "goes with", "\"because\"")),
        ] {
            tells(replace, with, check_as_test, expected);
        }
    }

    #[test]
    fn nobody_may_send_unless_the_manifest_says_why() {
        let block = "[[verify]]\nkind = \"token\"\nfrom = \"header:X-Key\"\nequals = \"${key}\"\n";
        tells(block, "", check_as_test, (Error, "`verify` is missing", ""));
        let none = |with: &str| {
            assert!(GOOD.contains(block));
            told("address = \"phone\"", &format!("address = \"phone\"\n{with}"), |manifest, report| {
                let mut manifest = manifest.clone();
                manifest.verify = Verify::Word("none".to_owned());
                check("test", &manifest, report);
            })
        };
        assert_eq!(none("verify_reason = \"a drop box in our own network\""), Vec::new());
        assert!(none("verify_reason = \"because\"")[0].1.contains("without a reason"));
        assert!(none("")[0].1.contains("without a reason"));
    }

    #[test]
    fn a_section_that_the_adapter_does_not_know_is_told() {
        let told = told("adapter = \"webhook\"", "adapter = \"imap\"", check_as_test);
        assert!(told.iter().any(|(_, message, _)| message.contains("`message` does not go with")), "{told:?}");
    }
}
