//! The words of a letter: the best body of its tree of parts.
//!
//! Plain text is preferred to HTML unless it is empty, a stub or much poorer. Parts that follow each other are joined in
//! order, and forwarded letters are appended with a short heading. What does not become text stays an attachment.

use std::{borrow::Cow, collections::BTreeSet};

use memchr::{memchr_iter, memmem};

use super::{
    calendar,
    charset::{Loss, decode},
    fields::Field,
    flowed::{self, SoftSpace},
    html,
    limits::{BODY, TEXT},
    tree::{Part, Shape, Tree},
};

/// Names of what cannot be shown.
const ENCRYPTED: &str = "encrypted";
const SIGNED: &str = "signed";
const FORWARDED: &str = "---------- Forwarded message ---------";

/// What the parts of a letter say.
#[derive(Default)]
pub(super) struct Content {
    pub(super) text: String,
    /// Parts that are no attachments: they became text, or say the same as one that did, or only serve others.
    pub(super) used: BTreeSet<usize>,
    /// Identifiers of parts that a page shows in its midst.
    pub(super) shown: BTreeSet<String>,
    pub(super) unsupported: Option<&'static str>,
    pub(super) loss: Loss,
}

impl Content {
    pub(super) fn of(tree: &Tree<'_>) -> Self {
        let has_images =
            tree.parts.iter().any(|part| part.shape == Shape::Leaf && !part.kind.value.starts_with("text/"));
        let mut reader = Reader { tree, content: Self::default(), has_images, length: 0 };
        let mut text = reader.part(0);
        let mut content = reader.content;
        text.truncate(text.trim_end().len());
        let end = text.floor_char_boundary(TEXT);
        if end < text.len() {
            content.loss.note();
        }
        text.truncate(end);
        content.text = text;
        content
    }
}

/// How a part asks to be shown: `attachment`, `inline` or nothing, and its name.
pub(super) fn disposition(tree: &Tree<'_>, part: &Part, loss: &mut Loss) -> Field {
    let headers = tree.headers(part);
    headers.first("content-disposition").map(|field| Field::of(field, loss)).unwrap_or_default()
}

struct Reader<'t, 'x> {
    tree: &'t Tree<'x>,
    content: Content,
    has_images: bool,
    /// Bytes of text so far.
    length: usize,
}

impl Reader<'_, '_> {
    /// The text of a part and of all that it holds.
    fn part(&mut self, number: usize) -> String {
        let Some(part) = self.tree.part(number) else { return String::new() };
        match (part.shape, part.kind.value.as_str()) {
            (Shape::Leaf, _) => self.leaf(number, part),
            (Shape::Letter, _) => self.forwarded(part),
            (_, "multipart/alternative") => self.alternative(&part.children),
            (_, "multipart/signed") => {
                self.content.used.extend(part.children.iter().skip(1));
                part.children.first().map(|first| self.part(*first)).unwrap_or_default()
            }
            (_, "multipart/encrypted") => {
                self.content.unsupported = Some(ENCRYPTED);
                self.content.used.extend(part.children.first());
                String::new()
            }
            (_, "multipart/report") => {
                let texts = part.children.iter().take(1).map(|child| self.part(*child)).collect();
                part.children.iter().skip(1).for_each(|child| self.use_all(*child));
                texts
            }
            _ => self.sequence(&part.children),
        }
    }

    fn sequence(&mut self, children: &[usize]) -> String {
        let mut joined = String::new();
        for child in children {
            let text = self.part(*child);
            append(&mut joined, &text);
        }
        joined
    }

    /// Nothing in this part is text or an attachment of its own.
    fn use_all(&mut self, number: usize) {
        self.content.used.insert(number);
        for child in self.tree.part(number).map(|part| part.children.as_slice()).unwrap_or_default() {
            self.use_all(*child);
        }
    }

    fn leaf(&mut self, number: usize, part: &Part) -> String {
        let kind = part.kind.value.as_str();
        if kind.ends_with("/pkcs7-mime") || kind.ends_with("/x-pkcs7-mime") {
            let is_signed =
                part.kind.parameter("smime-type").is_some_and(|own| own.eq_ignore_ascii_case("signed-data"));
            self.content.unsupported = Some(if is_signed { SIGNED } else { ENCRYPTED });
        }
        if !self.is_text(number, part) {
            return String::new();
        }
        let is_calendar = matches!(kind, "text/calendar" | "application/ics");
        if !is_calendar {
            self.content.used.insert(number);
        }
        let body = self.decoded(number, part);
        let length = body.len();
        let text = match kind {
            "text/html" | "application/xhtml+xml" => {
                self.note_shown(&body);
                html::text(&body)
            }
            "text/calendar" | "application/ics" => calendar::text(&body),
            _ => self.plain(body, &part.kind),
        };
        // A page may be laid out to more than it holds.
        self.length += length.max(text.len());
        text
    }

    fn is_text(&mut self, number: usize, part: &Part) -> bool {
        let kind = part.kind.value.as_str();
        let is_text = match kind {
            "text/vcard"
            | "text/x-vcard"
            | "text/directory"
            | "text/csv"
            | "text/css"
            | "text/javascript"
            | "text/xml"
            | "text/rfc822-headers"
            | "text/x-amp-html"
            | "text/rtf" => false,
            "application/ics" | "application/xhtml+xml" => true,
            kind => kind.starts_with("text/"),
        };
        if !is_text {
            return false;
        }
        let disposition = disposition(self.tree, part, &mut self.content.loss);
        let is_named = disposition.parameter("filename").or_else(|| part.kind.parameter("name")).is_some();
        // A named text behind the body is a file that somebody attached; some programs name the body itself.
        let is_file = disposition.value == "attachment" || (is_named && self.length > 0);
        number == 0 || !is_file
    }

    /// The body as text. One that is too long stays an attachment as well, so that nothing of it is lost.
    fn decoded(&mut self, number: usize, part: &Part) -> String {
        let room = BODY.min(TEXT.saturating_sub(self.length));
        let body = part.encoding.decode(self.tree.body(part), room + 1);
        let is_long = body.len() > room;
        if is_long {
            self.content.loss.note();
            self.content.used.remove(&number);
        }
        let mut loss = self.content.loss;
        let body = body.get(..room).unwrap_or(&body);
        let charset = part.kind.parameter("charset").map(str::to_owned);
        let charset = charset.or_else(|| html::charset(body).filter(|_| part.kind.value == "text/html"));
        let text = decode(body, charset.as_deref(), &mut loss);
        self.content.loss = loss;
        with_newlines(text)
    }

    fn plain(&mut self, mut text: String, kind: &Field) -> String {
        if memmem::find(text.as_bytes(), b"-----BEGIN PGP ").is_some() {
            if text.contains("-----BEGIN PGP MESSAGE-----") {
                self.content.unsupported = Some(ENCRYPTED);
            }
            text = without_armour(&text);
        }
        let says = |name: &str, value: &str| kind.parameter(name).is_some_and(|own| own.eq_ignore_ascii_case(value));
        if says("format", "flowed") {
            let space = if says("delsp", "yes") { SoftSpace::Deleted } else { SoftSpace::Kept };
            return flowed::unwrap(&text, space);
        }
        text
    }

    fn note_shown(&mut self, page: &str) {
        self.content.shown.extend(html::shown_parts(page).into_iter().map(str::to_owned));
    }

    /// One of several ways to say the same.
    fn alternative(&mut self, children: &[usize]) -> String {
        let kind = |child: usize| self.tree.part(child).map(|part| part.kind.value.as_str()).unwrap_or_default();
        let first = |fits: fn(&str) -> bool| children.iter().copied().find(|child| fits(kind(*child)));
        let plain = first(|kind| matches!(kind, "text/plain" | "text/markdown"));
        let rich = first(|kind| kind == "text/html" || kind.starts_with("multipart/"));
        let calendar = first(|kind| kind == "text/calendar");
        let mut text = self.better(plain, rich);
        // An invitation beside a text stays a file.
        if let Some(calendar) = calendar.filter(|_| text.trim().is_empty()) {
            text = self.part(calendar);
        }
        for child in children {
            self.note_same(*child);
        }
        if text.trim().is_empty() {
            // Each child is read once, or levels of empty alternatives would double the work each time.
            let left = children.iter().copied().filter(|child| ![plain, rich, calendar].contains(&Some(*child)));
            return self.sequence(&left.collect::<Vec<_>>());
        }
        text
    }

    fn better(&mut self, plain: Option<usize>, rich: Option<usize>) -> String {
        let text = plain.map(|plain| self.part(plain)).unwrap_or_default();
        let Some(rich) = rich else { return text };
        let words = text.trim().len();
        let is_suspect = is_stub(&text) || self.weight(rich) > 2_000 + 10 * words;
        if words > 0 && !is_suspect {
            return text;
        }
        let full = self.part(rich);
        let is_poor = is_stub(&text) || words == 0 || full.len() > 4 * words + 200;
        if is_poor && !full.trim().is_empty() { full } else { text }
    }

    /// Bytes of the page in a part.
    fn weight(&self, number: usize) -> usize {
        let Some(part) = self.tree.part(number) else { return 0 };
        let own = if part.kind.value == "text/html" { self.tree.body(part).len() } else { 0 };
        own + part.children.iter().map(|child| self.weight(*child)).sum::<usize>()
    }

    /// What stands in this part was said already; its files stay files.
    fn note_same(&mut self, number: usize) {
        let Some(part) = self.tree.part(number) else { return };
        part.children.iter().for_each(|child| self.note_same(*child));
        let is_same = matches!(
            part.kind.value.as_str(),
            "text/html"
                | "text/plain"
                | "text/x-amp-html"
                | "text/enriched"
                | "text/richtext"
                | "text/rtf"
                | "text/markdown"
                | "text/watch-html"
        );
        if part.shape != Shape::Leaf || !is_same || self.content.used.contains(&number) {
            return;
        }
        if disposition(self.tree, part, &mut self.content.loss).value == "attachment" {
            return;
        }
        self.content.used.insert(number);
        if self.has_images && part.kind.value == "text/html" {
            let page = self.decoded(number, part);
            self.note_shown(&page);
        }
    }

    fn forwarded(&mut self, part: &Part) -> String {
        let Some((number, root)) = part.children.first().and_then(|child| Some((*child, self.tree.part(*child)?)))
        else {
            return String::new();
        };
        let headers = self.tree.headers(root);
        let mut heading = FORWARDED.to_owned();
        for name in ["From", "Date", "Subject"] {
            if let Some(value) = headers.text(name, &mut self.content.loss) {
                heading.extend(["\n", name, ": ", &value]);
            }
        }
        let text = self.part(number);
        append(&mut heading, &text);
        heading
    }
}

/// Every end of a line as a line feed.
fn with_newlines(text: Cow<'_, str>) -> String {
    let mut returns = memchr_iter(b'\r', text.as_bytes()).peekable();
    if returns.peek().is_none() {
        return text.into_owned();
    }
    let mut lines = String::with_capacity(text.len());
    let mut start = 0;
    for at in returns {
        lines.push_str(text.get(start..at).unwrap_or_default());
        start = at + 1;
        if text.as_bytes().get(start) != Some(&b'\n') {
            lines.push('\n');
        }
    }
    lines.push_str(text.get(start..).unwrap_or_default());
    lines
}

/// Joins texts with a blank line between them.
fn append(text: &mut String, more: &str) {
    let more = more.trim_end().trim_start_matches('\n');
    if more.is_empty() {
        return;
    }
    if !text.trim().is_empty() {
        text.truncate(text.trim_end().len());
        text.push_str("\n\n");
    }
    text.push_str(more);
}

/// A text that only says that the letter is written in HTML.
fn is_stub(text: &str) -> bool {
    if text.len() > 400 {
        return false;
    }
    let text = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    text.contains("html")
        && says(&[
            "view",
            "support",
            "client",
            "display",
            "read this",
            "lihat",
            "tampil",
            "dukung",
            "menampilkan",
            "format",
        ])
        && !text.contains("\n\n\n")
        && text.split_whitespace().count() <= 40
}

/// Clear-signed text without its armour (RFC 9580, section 7).
fn without_armour(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
    let Some((before, signed)) = text.split_once(BEGIN) else { return text.to_owned() };
    let (_, body) = signed.split_once("\n\n").unwrap_or(("", signed));
    let (body, after) = body.split_once("-----BEGIN PGP SIGNATURE-----").unwrap_or((body, ""));
    let after = after.split_once("-----END PGP SIGNATURE-----").map(|(_, after)| after).unwrap_or_default();
    let lines = body.lines().map(|line| line.strip_prefix("- ").unwrap_or(line));
    let body = lines.collect::<Vec<_>>().join("\n");
    format!("{before}{body}{after}")
}

#[cfg(test)]
mod tests;
