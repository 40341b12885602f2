//! A page reduced to the few elements that shape text: blocks, lists, quotations, preformatted text and line breaks.

use super::{
    super::limits::HTML_DEPTH,
    tags::{Token, Tokens},
};

/// A page that is safe to lay out.
#[derive(Default)]
pub(super) struct Reduced {
    pub(super) html: String,
    /// How many tags it holds.
    pub(super) tags: usize,
}

/// Are elements that nobody sees left out?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hidden {
    Dropped,
    Kept,
}

/// What separates cells of a row.
const CELL: &str = " | ";
const RULE: &str = "<div>________________________________</div>";

pub(super) fn reduce(html: &str) -> Reduced {
    let mut page = Page::default();
    if page.read(html, Hidden::Dropped) {
        return page.reduced;
    }
    // A hidden element that is never closed would swallow the letter.
    let mut page = Page::default();
    page.read(html, Hidden::Kept);
    page.reduced
}

/// Text and line breaks only.
pub(super) fn flat(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    for token in Tokens::of(html) {
        match token {
            Token::Text(text) => push_text(text, &mut out),
            Token::Open { name, .. } | Token::Close(name)
                if !out.is_empty() && !out.ends_with("<br><br>") && begins_line(name) =>
            {
                out.push_str("<br>");
            }
            _ => {}
        }
    }
    out
}

fn begins_line(name: &str) -> bool {
    name.eq_ignore_ascii_case("br") || block(name).is_some()
}

fn push_text(text: &str, out: &mut String) {
    if text == "<" { out.push_str("&lt;") } else { out.push_str(text) }
}

/// An element that begins a line, and what it becomes.
fn block(name: &str) -> Option<(&'static str, &'static str)> {
    const BLOCKS: [(&str, &str); 35] = [
        ("address", "div"),
        ("article", "div"),
        ("aside", "div"),
        ("blockquote", "blockquote"),
        ("caption", "div"),
        ("center", "div"),
        ("dd", "div"),
        ("div", "div"),
        ("dl", "div"),
        ("dt", "div"),
        ("fieldset", "div"),
        ("figure", "div"),
        ("footer", "div"),
        ("form", "div"),
        ("h1", "p"),
        ("h2", "p"),
        ("h3", "p"),
        ("h4", "p"),
        ("h5", "p"),
        ("h6", "p"),
        ("header", "div"),
        ("legend", "div"),
        ("li", "li"),
        ("main", "div"),
        ("nav", "div"),
        ("ol", "ol"),
        ("option", "div"),
        ("p", "p"),
        ("pre", "pre"),
        ("section", "div"),
        ("summary", "div"),
        ("table", "div"),
        ("tr", "div"),
        ("ul", "ul"),
        ("details", "div"),
    ];
    BLOCKS.iter().copied().find(|(own, _)| own.eq_ignore_ascii_case(name))
}

/// An element that is open: its name in the page, and in what is made of it.
#[derive(Debug, Clone, Copy)]
struct Element {
    name: &'static str,
    made: &'static str,
    /// For rows of tables: some text was written in it.
    has_text: bool,
    /// A cell began behind other text.
    is_separated: bool,
    /// The cell holds nothing yet, so that a block needs no line of its own.
    is_cell_empty: bool,
}

#[derive(Default)]
struct Page<'x> {
    reduced: Reduced,
    open: Vec<Element>,
    /// The element that hides what follows, and how many of its name are open within it.
    hidden: Option<(&'x str, usize)>,
}

impl<'x> Page<'x> {
    /// Gives whether all hidden elements were closed.
    fn read(&mut self, html: &'x str, hidden: Hidden) -> bool {
        self.reduced.html.reserve(html.len() / 2);
        for token in Tokens::of(html) {
            if self.skips(&token, hidden) {
                continue;
            }
            match token {
                Token::Text(text) => self.text(text),
                Token::Open { name, attributes } if is_indented(name, attributes) => {
                    self.open_block("blockquote", "div");
                }
                Token::Open { name, .. } => self.open(name),
                Token::Close(name) => self.close(name),
            }
        }
        self.close_to(0);
        self.hidden.is_none()
    }

    fn skips(&mut self, token: &Token<'x>, policy: Hidden) -> bool {
        match (&mut self.hidden, token) {
            (Some((name, depth)), Token::Open { name: other, .. }) if name.eq_ignore_ascii_case(other) => *depth += 1,
            (Some((name, depth)), Token::Close(other)) if name.eq_ignore_ascii_case(other) => {
                *depth -= 1;
                if *depth == 0 {
                    self.hidden = None;
                }
            }
            (Some(_), _) => {}
            (None, Token::Open { name, attributes }) if policy == Hidden::Dropped && is_hidden(name, attributes) => {
                self.hidden = Some((name, 1));
            }
            (None, _) => return false,
        }
        true
    }

    fn write_tag(&mut self, before: &str, name: &str) {
        self.reduced.tags += 1;
        self.reduced.html.push_str(before);
        self.reduced.html.push_str(name);
        self.reduced.html.push('>');
    }

    fn row(&mut self) -> Option<&mut Element> {
        self.open.iter_mut().rev().find(|open| open.name == "tr")
    }

    fn text(&mut self, text: &str) {
        if !text.trim().is_empty()
            && let Some(row) = self.row()
        {
            let is_separated = std::mem::take(&mut row.is_separated);
            (row.has_text, row.is_cell_empty) = (true, false);
            if is_separated {
                self.reduced.html.push_str(CELL);
            }
        }
        if self.open.iter().any(|open| open.made == "pre") {
            // Each of its lines is laid out by itself.
            self.reduced.tags += text.bytes().filter(|byte| *byte == b'\n').count();
        }
        push_text(text, &mut self.reduced.html);
    }

    fn open(&mut self, name: &str) {
        match name.to_ascii_lowercase().as_str() {
            "br" => self.write_tag("<", "br"),
            "hr" => self.reduced.html.push_str(RULE),
            "td" | "th" => {
                if let Some(at) = self.open.iter().rposition(|open| open.name == "tr") {
                    self.close_to(at + 1);
                }
                if let Some(row) = self.row() {
                    (row.is_separated, row.is_cell_empty) = (row.has_text, true);
                }
            }
            name => {
                if let Some((name, made)) = block(name) {
                    self.open_block(name, made);
                }
            }
        }
    }

    fn open_block(&mut self, name: &'static str, made: &'static str) {
        match name {
            "li" => self.close_within(&["li"], &["ul", "ol", "tr"]),
            "tr" => self.close_within(&["tr"], &["table"]),
            _ => self.close_within(&["p"], &["li", "tr", "blockquote", "table", "div"]),
        }
        let is_line = matches!(name, "p" | "div" | "center" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6");
        if is_line && self.row().is_some_and(|row| row.is_cell_empty) {
            return;
        }
        if let Some(row) = self.row() {
            row.is_separated = false;
        }
        if self.open.len() >= HTML_DEPTH {
            return self.write_tag("<", "br");
        }
        self.write_tag("<", made);
        self.open.push(Element { name, made, has_text: false, is_separated: false, is_cell_empty: false });
    }

    fn close(&mut self, name: &str) {
        let Some((name, _)) = block(name) else { return };
        // The end of an element within a cell never ends the row.
        match name {
            "table" => self.close_within(&["table"], &[]),
            "tr" => self.close_within(&["tr"], &["table"]),
            name => self.close_within(&[name], &["tr", "table"]),
        }
    }

    /// Closes the innermost of these elements and all within it, unless one of `walls` stands between.
    fn close_within(&mut self, names: &[&str], walls: &[&str]) {
        for (at, open) in self.open.iter().enumerate().rev() {
            if names.contains(&open.name) {
                return self.close_to(at);
            }
            if walls.contains(&open.name) {
                return;
            }
        }
    }

    fn close_to(&mut self, length: usize) {
        while self.open.len() > length {
            if let Some(open) = self.open.pop() {
                self.write_tag("</", open.made);
            }
        }
    }
}

/// Editors indent a writer's own words with the element for quotations, and say that it has no border; clients that quote
/// draw one or name the element.
fn is_indented(name: &str, attributes: &str) -> bool {
    if !name.eq_ignore_ascii_case("blockquote") {
        return false;
    }
    let attributes: String = attributes.chars().filter(|letter| !letter.is_whitespace()).collect();
    let attributes = attributes.to_ascii_lowercase();
    attributes.contains("border:none") && !attributes.contains("quote") && !attributes.contains("cite")
}

fn is_hidden(name: &str, attributes: &str) -> bool {
    let is_empty = ["br", "hr", "img", "input", "meta", "link", "col", "wbr", "area", "base", "p", "li", "tr", "td"];
    if attributes.len() < 6 || is_empty.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return false;
    }
    let attributes: String = attributes.chars().filter(|letter| !letter.is_whitespace()).collect();
    let attributes = attributes.to_ascii_lowercase();
    attributes.contains("display:none") || attributes.contains("mso-hide:all") || attributes == "hidden"
}
