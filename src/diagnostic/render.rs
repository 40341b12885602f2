//! How mistakes are shown: as a compiler does for people, as one flat document for programs.

use std::ops::Range;

use annotate_snippets::{
    AnnotationKind, Element, Level, Origin, Renderer, Snippet, normalize_untrusted_str, renderer::DecorStyle,
};
use serde::Serialize;

use super::{Diagnostic, Place, Severity, floor};

/// Longer lines are not shown, only named: nobody reads them, and they can be a file of any size.
const LINE_MAX_BYTES: usize = 2000;

/// With or without escape sequences for colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Coloured,
}

/// What `--json` prints for one mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line<'a> {
    pub file: String,
    /// From 1, as is the column, which counts characters.
    pub line: usize,
    pub column: usize,
    pub severity: Severity,
    pub message: &'a str,
    pub hint: Option<&'a str>,
}

impl Diagnostic {
    /// The form for programs.
    pub fn line(&self) -> Line<'_> {
        let Place { line, column } = self.place();
        Line {
            file: self.source.path.display().to_string(),
            line,
            column,
            severity: self.severity,
            message: &self.message,
            hint: self.hint.as_deref(),
        }
    }

    /// The form for people: several lines, the last without a line feed.
    pub fn render(&self, style: Style) -> String {
        let path = self.source.path.display().to_string();
        let message = normalize_untrusted_str(&self.message);
        let hint = self.hint.as_deref().map(normalize_untrusted_str);
        let Place { line, column } = self.place();
        let shown = self.source.line(line);
        let element: Element<'_> = if self.is_of_whole_file() {
            Origin::path(path).into()
        } else if shown.len() > LINE_MAX_BYTES {
            Origin::path(path).line(line).char_column(column).into()
        } else {
            let snippet = Snippet::source(&self.source.text[shown.clone()]).path(path).line_start(line);
            snippet.annotation(AnnotationKind::Primary.span(self.span_in(&shown))).into()
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(message.as_str()).element(element);
        if let Some(hint) = &hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }

    /// The part of the span that lies in a line, in bytes of that line.
    fn span_in(&self, line: &Range<usize>) -> Range<usize> {
        let text = &self.source.text;
        let start = floor(text, self.span.start).clamp(line.start, line.end);
        let end = floor(text, self.span.end).clamp(start, line.end);
        start - line.start..end - line.start
    }
}

/// All of them, with an empty line between two.
pub fn render_all<'a>(diagnostics: impl IntoIterator<Item = &'a Diagnostic>, style: Style) -> String {
    diagnostics.into_iter().map(|diagnostic| diagnostic.render(style) + "\n").collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    fn example() -> Diagnostic {
        let source = Source::new("config/routing.toml", "[[rule]]\nnama = \"jalan\"\nqueue = \"jalan\"\n");
        Diagnostic::error(&source, 9..13, "unknown key `nama`").with_hint("did you mean `name`?")
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_and_a_hint() {
        let shown = example().render(Style::Plain);
        assert_eq!(
            shown,
            "error: unknown key `nama`\n --> config/routing.toml:2:1\n  |\n2 | nama = \"jalan\"\n  | ^^^^\n  |\n  = help: did you mean `name`?"
        );
        assert!(!shown.contains('\u{1b}'));
        assert!(example().render(Style::Coloured).contains('\u{1b}'));
    }

    #[test]
    fn a_program_gets_one_flat_document() {
        assert_eq!(
            serde_json::to_string(&example().line()).expect("plain data"),
            r#"{"file":"config/routing.toml","line":2,"column":1,"severity":"error","message":"unknown key `nama`","hint":"did you mean `name`?"}"#
        );
    }

    #[test]
    fn a_file_as_a_whole_is_named_without_a_line() {
        let shown = Diagnostic::of_file("config/agencies.csv", "it is not UTF-8").render(Style::Plain);
        assert_eq!(shown, "error: it is not UTF-8\n--> config/agencies.csv");
    }

    #[test]
    fn a_very_long_line_is_named_and_not_shown() {
        let source = Source::new("x.toml", "a".repeat(1 << 20));
        let shown = Diagnostic::error(&source, 70_000..70_001, "bad").render(Style::Plain);
        assert_eq!(shown, "error: bad\n--> x.toml:1:70001");
    }

    #[test]
    fn escape_sequences_of_a_file_do_not_reach_the_terminal() {
        let source = Source::new("x.toml", "a = \"\u{1b}[2J\"\n");
        let shown = Diagnostic::error(&source, 4..8, "bad \u{1b}[31m").render(Style::Plain);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}
