//! `[message]`: what compiles and is a mistake all the same.

use regex_lite::Regex;

use super::{Report, uses::Uses};
use crate::channel::manifest::Manifest;

pub fn check(manifest: &Manifest, uses: &Uses<'_>, report: &mut Report<'_>) {
    for each in uses.filters.iter().filter(|filter| matches!(filter.path, "message.each" | "receipts.each")) {
        if takes_one_of_a_list(each.source) {
            let hint = "take every item: write [] instead".to_owned();
            report.error(
                each.path,
                format!("`{}` takes one item of a list, so the others are lost", each.path),
                Some(hint),
            );
        }
    }
    let Some(message) = &manifest.message else { return };
    if message.id.is_none() && message.mime.is_none() {
        let hint = "without one, repetitions are told apart by their content, for 10 minutes or as long as `sent_at` is the same".to_owned();
        report.warning("message", "`message.id` is missing", Some(hint));
    }
    if message.from.is_none() && message.identities.is_none() && message.mime.is_none() {
        report.warning("message", "`message.from` is missing: nobody could be answered", None);
    }
    let iterates = message.each.contains("[]");
    let has_batch = manifest
        .samples
        .iter()
        .any(|sample| sample.expect.messages.as_ref().is_some_and(|messages| messages.len() > 1));
    if iterates && !has_batch {
        let hint = "add a sample whose request brings two messages".to_owned();
        report.warning("message.each", "`message.each` iterates, and no sample has two items", Some(hint));
    }
}

/// `.results[0]`, `first`, `last`, `nth(1)`: a constant index loses the other items of a batch. Inside of an object or a
/// list that the filter builds, it picks what goes with an item, and is fine.
fn takes_one_of_a_list(source: &str) -> bool {
    let words = r"(?:^|[|(\s])(?:first|last)\s*(?:$|[|)\s])|\bnth\s*\(\s*-?[0-9]|\[\s*-?[0-9]+\s*\]";
    Regex::new(words).expect("the pattern is fixed and compiles").is_match(&outermost(source))
}

/// The filter without what stands in texts, objects and lists; brackets around a number are an index and stay.
fn outermost(source: &str) -> String {
    let texts = Regex::new(r#""(?:[^"\\]|\\.)*""#).expect("the pattern is fixed and compiles");
    let inner = Regex::new(r"\{[^{}\[\]]*\}|\[[^{}\[\]]*\]").expect("the pattern is fixed and compiles");
    let is_index = |text: &str| {
        let number = text.trim_matches(['[', ']']).trim().trim_start_matches('-');
        text.starts_with('[') && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut outer = texts.replace_all(source, "").into_owned();
    // From the inside out; an index is set aside in letters that no filter has, so that each round ends with less.
    loop {
        let next = inner.replace_all(
            &outer,
            |found: &regex_lite::Captures<'_>| {
                if is_index(&found[0]) { "\u{1}" } else { "" }
            },
        );
        if next == outer {
            return outer.replace('\u{1}', "[0]");
        }
        outer = next.into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::lint::{tests::tells, uses},
        diagnostic::Severity::{Error, Warning},
    };

    #[test]
    fn an_index_is_told_from_what_looks_alike() {
        for bad in [
            ".body.results[0]",
            ".body.results[ -1 ]",
            ".a | first",
            "(.a | last)",
            "nth(0; .a[])",
            ".a[0]?",
            ".a[.b[0]]?, .a[1]",
        ] {
            assert!(takes_one_of_a_list(bad), "{bad}");
        }
        for good in
            [".", ".body.results[]?", ".body[\"a[0]\"][]", ".first", ".body.last[]", "first(.a[], .b)", ".a[1:]"]
        {
            assert!(!takes_one_of_a_list(good), "{good}");
        }
    }

    #[test]
    fn mistakes_of_the_mapping_are_told_in_their_place() {
        let check_all = |manifest: &Manifest, report: &mut Report<'_>| check(manifest, &uses::of(manifest), report);
        tells("each = \".\"", "each = \".body[0]\"", check_all, (Error, "takes one item", "\".body[0]\""));
        tells("each = \".\"", "each = \".body[]\"", check_all, (Warning, "no sample has two items", "\".body[]\""));
        tells("id = \".body.id\"\n", "", check_all, (Warning, "`message.id` is missing", "[message]"));
        tells("from = \".body.from\"\n", "", check_all, (Warning, "`message.from` is missing", "[message]"));
    }
}
