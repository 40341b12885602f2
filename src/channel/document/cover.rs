//! Covers what may be a secret in the text of a channel file before a mistake is shown on it: somebody may have written
//! a token where only a reference belongs. Lengths and lines stay, so that places still fit.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The text with every scalar covered, except where `keep` says yes to its dotted path (lists add no segment).
pub fn covered(text: &str, keep: &dyn Fn(&str) -> bool) -> String {
    let Ok(root) = DeTable::parse(text) else { return covered_lines(text) };
    let mut spans = Vec::new();
    gather(root.get_ref(), "", keep, &mut spans);
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        if let Some(bytes) = bytes.get_mut(span) {
            cover(bytes);
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// The text of a file that is no TOML: everything is covered that is no heading, no comment and no key.
fn covered_lines(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let end = begin + line.len();
        let value = match (line.trim_start().starts_with(['[', '#']), line.find('=')) {
            (true, _) => end,
            (false, Some(equals)) => begin + equals,
            (false, None) => begin,
        };
        if let Some(value) = bytes.get_mut(value..end) {
            cover(value);
        }
        begin = end;
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Letters and digits become asterisks; what shows the form (quotes, brackets, line ends) stays.
fn cover(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()) {
        *byte = b'*';
    }
}

fn gather(table: &DeTable<'_>, path: &str, keep: &dyn Fn(&str) -> bool, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        gather_value(value, &path, keep, spans);
    }
}

fn gather_value(value: &Spanned<DeValue<'_>>, path: &str, keep: &dyn Fn(&str) -> bool, spans: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => gather(table, path, keep, spans),
        DeValue::Array(array) => array.iter().for_each(|element| gather_value(element, path, keep, spans)),
        _ if keep(path) => {}
        _ => spans.push(value.span()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_covered_and_nothing_moves() {
        let text = "manifest = \"a\"\n[settings]\ntoken = \"hunter2é\" # note\nold = [{ env = \"A\" }, \"s3\"]\n";
        let keep = |path: &str| matches!(path, "manifest" | "settings.old.env");
        let covered = covered(text, &keep);
        assert_eq!(
            covered,
            "manifest = \"a\"\n[settings]\ntoken = \"*********\" # note\nold = [{ env = \"A\" }, \"**\"]\n"
        );
        assert_eq!(covered.len(), text.len());
    }

    #[test]
    fn a_broken_file_shows_keys_only() {
        let covered = covered("# note\n[settings]\ntoken = \"hunter2\nabc\n", &|_| true);
        assert_eq!(covered, "# note\n[settings]\ntoken = \"*******\n***\n");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        #[test]
        fn covering_keeps_every_place(text in "[\\PC\n=\\[\\]\"]{0,80}") {
            proptest::prop_assert_eq!(covered(&text, &|_| false).len(), text.len());
        }
    }
}
