//! `[[sample]]`: each expects what there can be, and shows what it expects.

use serde_json::{Map, Value};

use super::Report;
use crate::{
    adapter::mail::Mail,
    channel::{
        document::did_you_mean,
        manifest::{Manifest, Sample, SampleSetting},
        open::{mistake_in, text_of},
        sample::Rehearsal,
    },
};

/// The fields that `loket channel try` prints (DESIGN §6).
const MESSAGE: [&str; 20] = [
    "id",
    "from",
    "identities",
    "to",
    "sender_name",
    "sent_at",
    "subject",
    "text",
    "text_full",
    "language",
    "location",
    "attachments",
    "reply_to",
    "references",
    "edit_of",
    "action",
    "group",
    "unsupported",
    "auto",
    "auth",
];
/// Fields of the tables in a message.
const INSIDE: [(&str, &[&str]); 6] = [
    ("identities", &["type", "value"]),
    ("location", &["lat", "lon", "label", "address", "accuracy_m", "live"]),
    ("attachments", &["filename", "media_type", "size_bytes", "sha256", "url", "ref", "inline"]),
    ("group", &["kind", "key", "part", "total"]),
    ("auto", &["auto_generated", "bounce", "list", "reason"]),
    ("auth", &["spf", "dkim", "dmarc"]),
];
/// `weak` where there is no id.
const DEDUPE: &str = "dedupe";
const RECEIPT: [&str; 3] = ["id", "status", "error"];

/// What can be seen without running them.
pub fn check(manifest: &Manifest, report: &mut Report<'_>) {
    let is_mail = Mail::named(&manifest.adapter).is_some();
    let passes = |sample: &Sample| sample.expect.shows_a_message(is_mail);
    if !manifest.samples.iter().any(passes) {
        let hint =
            "add a [[sample]] with a real request and expect = { verify = \"pass\", messages = [...] }".to_owned();
        report.error("sample", "there is no sample that passes: nothing shows that this manifest works", Some(hint));
    }
    for (place, sample) in manifest.samples.iter().enumerate() {
        one(manifest, place, sample, report);
    }
}

fn one(manifest: &Manifest, place: usize, sample: &Sample, report: &mut Report<'_>) {
    let path = format!("sample.{place}");
    let name = &sample.name;
    let expect = &sample.expect;
    let is_silent = expect.verify.is_none()
        && expect.handshake.is_none()
        && expect.messages.is_none()
        && expect.receipts.is_none()
        && expect.reply.is_none()
        && expect.error.is_none();
    if is_silent {
        report.error(&format!("{path}.expect"), format!("sample {name:?} expects nothing, so it cannot fail"), None);
    }
    for message in expect.messages.iter().flatten() {
        fields(&path, name, "message", message, &MESSAGE, report);
        for (field, known) in INSIDE {
            match message.get(field) {
                Some(Value::Object(table)) => fields(&path, name, field, table, known, report),
                Some(Value::Array(list)) => {
                    let tables = list.iter().filter_map(Value::as_object);
                    tables.for_each(|table| fields(&path, name, field, table, known, report));
                }
                _ => {}
            }
        }
    }
    for receipt in expect.receipts.iter().flatten() {
        fields(&path, name, "receipt", receipt, &RECEIPT, report);
    }
    for (setting, value) in &sample.settings {
        let path = format!("{path}.settings.{setting}");
        let Some(rules) = manifest.settings.get(setting) else {
            let hint = did_you_mean(setting, manifest.settings.keys().map(String::as_str));
            report.error(&path, format!("sample {name:?} gives `{setting}`, which is no setting"), hint);
            continue;
        };
        if let (SampleSetting::One(value), false) = (value, rules.secret)
            && let Some(mistake) = mistake_in(rules, &text_of(value))
        {
            report.error(&path, format!("sample {name:?}: `{setting}` {}", mistake.what), Some(mistake.hint));
        }
    }
}

fn fields(path: &str, sample: &str, what: &str, table: &Map<String, Value>, known: &[&str], report: &mut Report<'_>) {
    for field in table.keys().filter(|field| !known.contains(&field.as_str()) && *field != DEDUPE) {
        let hint =
            did_you_mean(field, known.iter().copied()).unwrap_or_else(|| format!("there are {}", known.join(", ")));
        let message = format!("sample {sample:?} expects `{field}`, which is no field of a {what}");
        report.error(&format!("{path}.expect"), message, Some(hint));
    }
}

/// What they showed when they were run.
pub fn judge(manifest: &Manifest, rehearsals: &[Rehearsal], report: &mut Report<'_>) {
    debug_assert_eq!(manifest.samples.len(), rehearsals.len(), "every sample was run");
    for (place, rehearsal) in rehearsals.iter().enumerate() {
        let path = format!("sample.{place}.name");
        if !rehearsal.failures.is_empty() {
            let failures = rehearsal.failures.join("; ");
            report.error(&path, format!("sample {:?} fails: {failures}", rehearsal.name), None);
        }
        let accepted: Vec<_> = rehearsal
            .refusals
            .iter()
            .filter(|derived| derived.is_hole())
            .map(|derived| derived.change.as_str())
            .collect();
        if !accepted.is_empty() {
            let hint = "make [[verify]] cover it, or the check does not prove what it seems to".to_owned();
            let message = format!("sample {:?} is still accepted with {}", rehearsal.name, accepted.join(", with "));
            report.error(&path, message, Some(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::{
            lint::tests::{tells, told},
            refusal::Derived,
        },
        diagnostic::Severity::Error,
    };

    #[test]
    fn a_sample_expects_what_there_can_be() {
        assert_eq!(told("", "", check), Vec::new());
        let expect = "verify = \"pass\"\nmessages = [{ id = \"1\" }]";
        for (replace, with, words, shown) in [
            ("verify = \"pass\"", "verify = \"fail\"", "no sample that passes", "[[sample]]"),
            (
                "messages = [{ id = \"1\" }]",
                "messages = [{ idd = \"1\" }]",
                "`idd`, which is no field of a message",
                "[sample.expect]",
            ),
            (
                expect,
                "verify = \"pass\"\nmessages = [{ attachments = [{ uri = \"1\" }] }]",
                "`uri`, which is no field of a attachments",
                "[sample.expect]",
            ),
            (
                expect,
                "verify = \"pass\"\nreceipts = [{ state = \"1\" }]",
                "`state`, which is no field of a receipt",
                "[sample.expect]",
            ),
            ("{ key = \"k\" }", "{ key = \"k\", kye = \"k\" }", "`kye`, which is no setting", "\"k\""),
        ] {
            let told = told(replace, with, check);
            let good =
                told.len() == 1 && told[0].0 == Error && told[0].1.contains(words) && told[0].2.starts_with(shown);
            assert!(good, "{with}: {told:?}");
        }
        let silent = format!("{expect}\n[[sample]]\nname = \"silent\"\nurl = \"https://a.example\"\nexpect = {{}}");
        tells(expect, &silent, check, (Error, "expects nothing", "{}"));
    }

    #[test]
    fn a_sample_that_fails_fails_the_manifest() {
        let rehearsal = |failures: &[&str], refusals: Vec<Derived>| Rehearsal {
            name: "one".to_owned(),
            failures: failures.iter().map(|failure| (*failure).to_owned()).collect(),
            refusals,
        };
        let derived =
            |must_be_refused, was_refused| Derived { change: "no signature".to_owned(), must_be_refused, was_refused };
        let judged = |rehearsal: Rehearsal| {
            told("", "", |manifest, report| judge(manifest, std::slice::from_ref(&rehearsal), report))
        };
        assert_eq!(judged(rehearsal(&[], vec![derived(true, true), derived(false, false)])), Vec::new());
        assert!(judged(rehearsal(&["messages: expected 1, found 0"], Vec::new()))[0].1.contains("found 0"));
        assert!(judged(rehearsal(&[], vec![derived(true, false)]))[0].1.contains("still accepted with no signature"));
    }
}
