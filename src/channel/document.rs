//! A TOML file with the place of everything in it, so that a mistake found anywhere later points at its line.
//!
//! In: the text. Out: values of the file's type, and **all** of its mistakes: serde stops at the first, so the document
//! is mended behind each mistake and read again.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use crate::diagnostic::{Diagnostic, Severity, Source};

pub mod cover;
mod mend;

/// Most mistakes of one file that are shown; the rest follows when these are mended.
const MOST_MISTAKES: usize = 50;
/// Most mistakes of syntax: after a few they are consequences of the first.
const MOST_SYNTAX_MISTAKES: usize = 5;

/// A file that is TOML.
#[derive(Clone, Debug)]
pub struct Document {
    pub source: Arc<Source>,
    root: Node,
}

/// Where things stand; the values are in the text.
#[derive(Clone, Debug)]
struct Node {
    span: Range<usize>,
    kind: NodeKind,
}

#[derive(Clone, Debug)]
enum NodeKind {
    Scalar,
    Array(Vec<Node>),
    /// With the place of each key.
    Table(BTreeMap<String, (Range<usize>, Node)>),
}

impl Document {
    /// Reads the syntax; all mistakes of it at once.
    pub fn parse(source: Arc<Source>) -> Result<Self, Vec<Diagnostic>> {
        let (root, errors) = DeTable::parse_recoverable(&source.text);
        if errors.is_empty() {
            let root = Node { span: 0..0, kind: NodeKind::Table(table_nodes(root.get_ref())) };
            return Ok(Self { source, root });
        }
        let mistake = |error: &toml::de::Error| Diagnostic {
            severity: Severity::Error,
            source: Arc::clone(&source),
            span: error.span().unwrap_or_default(),
            message: format!("this is not TOML: {}", error.message().replace('\n', ", ")),
            hint: None,
        };
        Err(errors.iter().take(MOST_SYNTAX_MISTAKES).map(mistake).collect())
    }

    /// Reads the values. None when too much is missing to make anything of it; the mistakes say what.
    pub fn read<T: DeserializeOwned>(&self) -> (Option<T>, Vec<Diagnostic>) {
        let Ok(mut root) = DeTable::parse(&self.source.text) else { return (None, Vec::new()) };
        let mut mending = mend::Mending::default();
        let mut mistakes = Vec::new();
        // Each mistake takes a few rounds at most: one for each kind of value that may be wanted in its place.
        for _ in 0..MOST_MISTAKES * mend::KINDS {
            let error = match T::deserialize(Deserializer::from(root.clone())) {
                Ok(value) => return (Some(value), mistakes),
                Err(error) => error,
            };
            match mending.mend(&mut root, &error) {
                mend::Step::Found(mistake) if mistakes.len() < MOST_MISTAKES => {
                    let mend::Mistake { span, message, hint } = mistake;
                    mistakes.push(self.at(Severity::Error, span, message, hint));
                }
                mend::Step::GoOn => {}
                mend::Step::Found(_) | mend::Step::GiveUp => break,
            }
        }
        (None, mistakes)
    }

    /// Where a dotted path stands (`message.each`, `verify.0.key`): its value, or what encloses it most nearly.
    pub fn locate(&self, path: &str) -> Range<usize> {
        self.nearest(path).span.clone()
    }

    /// Where the key of an entry stands, where there is one; else as [`Self::locate`].
    pub fn locate_key(&self, path: &str) -> Range<usize> {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        match &self.nearest(parent).kind {
            NodeKind::Table(table) if table.contains_key(name) => table[name].0.clone(),
            _ => self.locate(path),
        }
    }

    fn nearest(&self, path: &str) -> &Node {
        let mut node = &self.root;
        for segment in path.split('.').filter(|segment| !segment.is_empty()) {
            let inner = match &node.kind {
                NodeKind::Scalar => None,
                NodeKind::Array(elements) => segment.parse().ok().and_then(|index: usize| elements.get(index)),
                NodeKind::Table(table) => table.get(segment).map(|(_, value)| value),
            };
            let Some(inner) = inner else { break };
            node = inner;
        }
        node
    }

    /// Is there anything at a dotted path?
    pub fn has(&self, path: &str) -> bool {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        matches!(&self.nearest(parent).kind, NodeKind::Table(table) if table.contains_key(name))
    }

    /// A mistake that keeps the file from being used.
    pub fn error(&self, path: &str, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        self.at(Severity::Error, self.locate(path), message, hint)
    }

    pub fn warning(&self, path: &str, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        self.at(Severity::Warning, self.locate(path), message, hint)
    }

    pub fn at(
        &self,
        severity: Severity,
        span: Range<usize>,
        text: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        Diagnostic { severity, source: Arc::clone(&self.source), span, message: text.into(), hint }
    }
}

fn table_nodes(table: &DeTable<'_>) -> BTreeMap<String, (Range<usize>, Node)> {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), (key.span(), node(value)))).collect()
}

fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let kind = match value.get_ref() {
        DeValue::Table(table) => NodeKind::Table(table_nodes(table)),
        DeValue::Array(array) => NodeKind::Array(array.iter().map(node).collect()),
        _ => NodeKind::Scalar,
    };
    Node { span: value.span(), kind }
}

/// The candidate that somebody may have meant: at most two letters away, and not more than a third of the word.
pub fn nearest_word<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = 2.min(word.chars().count().div_ceil(3));
    let rated = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    rated.filter(|(distance, _)| *distance <= most).min().map(|(_, candidate)| candidate)
}

/// The hint that goes with [`nearest_word`].
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest_word(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Letters to insert, leave out, exchange or swap with their neighbour (Damerau–Levenshtein, optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(64).collect(), to.chars().take(64).collect());
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let mut least =
                (above[column] + usize::from(letter != other)).min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && *letter == to[column - 1] && from[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[to.len()]
}

#[cfg(test)]
pub(crate) mod tests {
    use serde::Deserialize;

    use super::*;

    pub(crate) fn document(text: &str) -> Document {
        let source = Source { path: "test.toml".into(), text: text.to_owned() };
        Document::parse(Arc::new(source)).expect("TOML")
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "the fields are there to be asked for")]
    struct Inner {
        each: String,
        colour: Colour,
        #[serde(default)]
        lines: Vec<u32>,
        #[serde(default)]
        wait: Option<crate::units::Span>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "the fields are there to be asked for")]
    struct Outer {
        title: String,
        message: Inner,
        #[serde(default)]
        sample: Vec<Inner>,
    }

    /// What is wrong, with the text that is pointed at.
    fn mistakes(text: &str) -> Vec<(String, String, Option<String>)> {
        let (_, mistakes) = document(text).read::<Outer>();
        let shown = |mistake: Diagnostic| (text[mistake.span].to_owned(), mistake.message, mistake.hint);
        mistakes.into_iter().map(shown).collect()
    }

    #[test]
    fn a_path_is_found_or_what_encloses_it() {
        let text = "title = \"x\"\n[message]\neach = \".\"\n[[sample]]\neach = \"a\"\n[[sample]]\neach = \"b\"\n";
        let document = document(text);
        for (path, shown) in [
            ("title", "\"x\""),
            ("message.each", "\".\""),
            ("message.id", "[message]"),
            ("sample.1.each", "\"b\""),
            ("sample.1.name", "[[sample]]"),
        ] {
            assert_eq!(&text[document.locate(path)], shown, "{path}");
        }
        assert_eq!(document.locate("nothing"), 0..0);
        assert_eq!(&text[document.locate_key("message.each")], "each");
        assert!(document.has("message.each") && !document.has("message.id"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "titel = \"x\"\n[message]\nech = 1\ncolour = \"gren\"\nlines = [1, \"two\"]\nwait = \"300\"\n\
                    [[sample]]\neach = 5\ncolour = \"red\"\nnote = \"\"\n";
        let found = mistakes(text);
        let told = |shown: &str, part: &str, hint: Option<&str>| {
            found
                .iter()
                .any(|(text, message, given)| text == shown && message.contains(part) && given.as_deref() == hint)
        };
        assert!(told("titel", "`titel` is no key", Some("did you mean `title`?")), "{found:#?}");
        assert!(told("ech", "`message.ech` is no key", Some("did you mean `each`?")), "{found:#?}");
        assert!(told("\"gren\"", "`message.colour`", Some("did you mean `green`?")), "{found:#?}");
        assert!(told("\"two\"", "`message.lines.1` must be a whole number, not a string", None), "{found:#?}");
        assert!(told("\"300\"", "no duration", None), "{found:#?}");
        assert!(told("5", "`sample.0.each`", None), "{found:#?}");
        assert!(found.iter().any(|(text, message, _)| text == "note" && message.contains("no key")), "{found:#?}");
        assert_eq!(found.len(), 7, "{found:#?}");
    }

    #[test]
    fn what_is_missing_is_told_unless_it_was_only_misspelt() {
        let found = mistakes("[message]\ncolor = \"red\"\n[[sample]]\ncolour = \"red\"\n");
        let messages: Vec<_> = found.iter().map(|(_, message, _)| message.as_str()).collect();
        let expected = [
            "`message.color` is no key that is known here",
            "`message.each` is missing",
            "`sample.0.each` is missing",
            "`title` is missing",
        ];
        assert_eq!(messages, expected);
        assert_eq!(found[2].0, "[[sample]]");
    }

    #[test]
    fn mistakes_of_syntax_point_at_their_line() {
        let source = Arc::new(Source { path: "x.toml".into(), text: "a = 1\nb = = 2\n".to_owned() });
        let mistakes = Document::parse(source).expect_err("no TOML");
        assert!(mistakes[0].span.start >= 6 && mistakes[0].message.starts_with("this is not TOML"), "{mistakes:?}");
    }

    #[test]
    fn a_word_is_suggested_when_it_is_near() {
        assert_eq!(nearest_word("sent_att", ["sent_at", "text"]), Some("sent_at"));
        assert_eq!(nearest_word("sned", ["send", "sent_at"]), Some("send"));
        assert_eq!(nearest_word("id", ["to", "text"]), None);
        assert_eq!(nearest_word("", ["to"]), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_read_or_refused(text in "[\\PC\n=\\[\\]\"]{0,80}") {
            if let Ok(document) = Document::parse(Arc::new(Source { path: "x".into(), text })) {
                let _ = document.read::<Outer>();
                let _ = document.locate("message.each");
            }
        }
    }
}
