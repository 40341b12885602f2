//! Mistakes in files, shown as a compiler shows them: file, line, column, cause and a hint. All of a file's mistakes are
//! gathered before anything is shown.
//!
//! Spans are believed by nobody: one that lies past the end of the text, or inside a character, is moved to the nearest
//! place that exists. Nothing here panics, whatever the file holds.

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

mod render;
mod suggest;

pub use render::{Line, Style, render_all};
pub use suggest::suggest;

/// Does the mistake keep the file from being used?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Warning,
    Error,
}

/// A file as it was read: mistakes point into it.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Source({})", self.path.display())
    }
}

/// Line and column of a byte, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Source {
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }

    /// Where a byte stands; a byte past the end is the end.
    pub fn place(&self, byte: usize) -> Place {
        let before = &self.text[..floor(&self.text, byte)];
        let start = before.rfind('\n').map_or(0, |line_feed| line_feed + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Place { line, column: before[start..].chars().count() + 1 }
    }

    /// The bytes of a line (from 1), without its end; the last line when there are fewer.
    pub fn line(&self, number: usize) -> Range<usize> {
        let mut start = 0;
        for _ in 1..number {
            match self.text[start..].find('\n') {
                Some(length) => start += length + 1,
                None => break,
            }
        }
        let length = self.text[start..].find('\n').unwrap_or(self.text.len() - start);
        start..start + self.text[start..start + length].trim_end_matches('\r').len()
    }
}

/// The next place at or before `byte` that is no inside of a character.
fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub source: Arc<Source>,
    /// Bytes of the text that are meant; empty at 0 when the whole file is.
    pub span: Range<usize>,
    /// What is wrong: lower case, no full stop, names the field.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn error(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, source: Arc::clone(source), span, message: message.into(), hint: None }
    }

    pub fn warning(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(source, span, message) }
    }

    /// About a file as a whole, or one that cannot be read.
    pub fn of_file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::error(&Source::new(path, ""), 0..0, message)
    }

    /// What TOML says about a file, with a proposal where a name is nearly right.
    pub fn of_toml(source: &Arc<Source>, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let whole = error.message().trim_end_matches('.');
        // Serde lists the names that it knows behind the comma: they make a better hint than a message.
        let unknown = ["unknown field", "unknown variant"].iter().any(|word| whole.starts_with(word));
        let Some((message, expected)) = whole.split_once(", expected ").filter(|_| unknown) else {
            return Self::error(source, span, whole);
        };
        let word = quoted(message).next().unwrap_or_default();
        let hint = match suggest(word, quoted(expected)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("expected {expected}"),
        };
        Self::error(source, span, message).with_hint(hint)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Where it begins.
    pub fn place(&self) -> Place {
        self.source.place(self.span.start)
    }

    /// The mistake is the file's, not a line's.
    fn is_of_whole_file(&self) -> bool {
        self.span == (0..0)
    }
}

/// The words between back-ticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// One line: `file:line:column: error: message (hint)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.source.path.display())?;
        if !self.is_of_whole_file() {
            let Place { line, column } = self.place();
            write!(out, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(out, ": {severity}: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(out, " ({hint})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        #[expect(dead_code, reason = "only read by serde")]
        priority: Option<u8>,
        #[expect(dead_code, reason = "only read by serde")]
        queue: Option<String>,
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let source = Source::new("a.toml", "abc\nö= 1\r\n\nlast");
        assert_eq!(source.place(0), Place { line: 1, column: 1 });
        assert_eq!(source.place(4), Place { line: 2, column: 1 });
        assert_eq!(source.place(5), Place { line: 2, column: 1 }, "inside the ö is the ö");
        assert_eq!(source.place(6), Place { line: 2, column: 2 });
        assert_eq!(source.place(999), Place { line: 4, column: 5 });
        assert_eq!(&source.text[source.line(2)], "ö= 1");
        assert_eq!(&source.text[source.line(99)], "last");
    }

    #[test]
    fn a_name_that_is_nearly_right_gets_the_right_one_as_hint() {
        let text = "queue = \"a\"\nprioritas = 3\n";
        let source = Source::new("routing.toml", text);
        let error = toml::from_str::<Table>(text).expect_err("an unknown key");
        let diagnostic = Diagnostic::of_toml(&source, &error);
        assert_eq!(
            diagnostic.to_string(),
            "routing.toml:2:1: error: unknown field `prioritas` (did you mean `priority`?)"
        );
        let error = toml::from_str::<Table>("colour = 3\n").expect_err("an unknown key");
        let diagnostic = Diagnostic::of_toml(&Source::new("routing.toml", "colour = 3\n"), &error);
        assert_eq!(diagnostic.hint.as_deref(), Some("expected `priority` or `queue`"));
    }

    #[test]
    fn broken_toml_points_at_its_place() {
        let text = "queue = \"a\npriority = 3\n";
        let error = toml::from_str::<Table>(text).expect_err("no end of the text");
        let diagnostic = Diagnostic::of_toml(&Source::new("routing.toml", text), &error);
        assert_eq!(diagnostic.place().line, 1, "{diagnostic}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_span_of_any_text_is_shown(text in "(\\PC|[\u{0}-\u{1f}]|\u{301}|\u{202e}|\t|\r|\n){0,60}", start in 0_usize..90, length in 0_usize..90) {
            let source = Source::new("x", text);
            let backwards = Range { start: start + length, end: start };
            for span in [start..start + length, backwards, usize::MAX..usize::MAX] {
                let diagnostic = Diagnostic::error(&source, span, "message").with_hint("hint");
                prop_assert!(diagnostic.render(Style::Plain).contains("message"));
                prop_assert!(diagnostic.render(Style::Coloured).contains("message"));
                let place = diagnostic.place();
                prop_assert!(place.line >= 1 && place.column >= 1);
                prop_assert!(diagnostic.to_string().contains("hint"));
            }
        }
    }
}
