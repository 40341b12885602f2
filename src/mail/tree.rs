//! The parts of a letter (RFC 2046): where each begins and ends, found in one pass over its lines.
//!
//! Nothing is copied but letters that were forwarded in base64 or quoted-printable. Depth and number of parts are bounded;
//! what lies beyond is one file. A boundary of an outer multipart ends every inner one, and a final boundary may be missing.

use std::{collections::HashSet, ops::Range};

use memchr::memmem;

use super::{
    charset::Loss,
    fields::Field,
    headers::{Headers, is_field, is_known_field, line_length},
    limits::{BOUNDARY, DEPTH, PARTS},
    transfer::Encoding,
};

/// What a part is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Leaf,
    Multipart,
    /// A letter within the letter; its only child is the root of that.
    Letter,
}

/// A part. Its number in [`Tree::parts`] is the same each time the same bytes are read.
pub(super) struct Part {
    source: usize,
    head: Range<usize>,
    body: Range<usize>,
    pub(super) kind: Field,
    /// It says of what type it is.
    pub(super) is_typed: bool,
    pub(super) encoding: Encoding,
    pub(super) shape: Shape,
    pub(super) children: Vec<usize>,
}

/// All parts of a letter, each before its children; the first is the letter.
pub(super) struct Tree<'x> {
    letter: &'x [u8],
    /// Forwarded letters that had to be decoded.
    decoded: Vec<Vec<u8>>,
    pub(super) parts: Vec<Part>,
    /// Something passed a limit.
    pub(super) loss: Loss,
}

impl<'x> Tree<'x> {
    pub(super) fn of(letter: &'x [u8]) -> Self {
        let mut tree = Self { letter, decoded: Vec::new(), parts: Vec::new(), loss: Loss::default() };
        Scan::new(&mut tree, 0).run(None, 0);
        let coded = |part: &Part| part.shape == Shape::Letter && part.encoding != Encoding::Identity;
        let coded: Vec<usize> = (0..tree.parts.len()).filter(|part| tree.parts.get(*part).is_some_and(coded)).collect();
        for part in coded {
            tree.unfold(part);
        }
        tree
    }

    /// Reads a forwarded letter that was encoded. Only one level of it: so all of them are smaller than the letter.
    fn unfold(&mut self, number: usize) {
        let Some(part) = self.part(number) else { return };
        let bytes = part.encoding.decode(self.body(part), usize::MAX).into_owned();
        self.decoded.push(bytes);
        let source = self.decoded.len();
        Scan::new(self, source).run(Some(number), 1);
    }

    pub(super) fn part(&self, number: usize) -> Option<&Part> {
        self.parts.get(number)
    }

    fn source(&self, source: usize) -> &[u8] {
        match source.checked_sub(1) {
            None => self.letter,
            Some(decoded) => self.decoded.get(decoded).map(Vec::as_slice).unwrap_or_default(),
        }
    }

    /// The header fields of a part.
    pub(super) fn headers(&self, part: &Part) -> Headers<'_> {
        Headers::of(self.source(part.source).get(part.head.clone()).unwrap_or_default())
    }

    /// The body of a part, still encoded.
    pub(super) fn body(&self, part: &Part) -> &[u8] {
        self.source(part.source).get(part.body.clone()).unwrap_or_default()
    }
}

/// A part whose end is not known yet.
struct Open {
    part: usize,
    boundary: Option<Vec<u8>>,
    /// Its final boundary was met.
    is_closed: bool,
}

/// Where the next line belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Among the header fields of the innermost part.
    Head,
    Body,
}

struct Scan<'t, 'x> {
    tree: &'t mut Tree<'x>,
    source: usize,
    open: Vec<Open>,
    /// The boundaries of all open parts, so that a line of dashes is soon known to be none.
    boundaries: HashSet<Vec<u8>>,
    line_of_dashes: memmem::Finder<'static>,
    place: Place,
    /// The levels that lie above this source.
    above: usize,
}

impl<'t, 'x> Scan<'t, 'x> {
    fn new(tree: &'t mut Tree<'x>, source: usize) -> Self {
        Self {
            tree,
            source,
            open: Vec::new(),
            boundaries: HashSet::new(),
            line_of_dashes: memmem::Finder::new(b"\n--"),
            place: Place::Head,
            above: 0,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.tree.source(self.source)
    }

    fn run(mut self, parent: Option<usize>, above: usize) {
        self.above = above;
        let length = self.bytes().len();
        let mut at = self.start();
        self.begin(parent, at);
        while at < length {
            if self.place == Place::Body {
                at = self.dashes(at);
            }
            let rest = self.bytes().get(at..).unwrap_or_default();
            let end = at + line_length(rest);
            at = match self.delimiter(at, end) {
                Some((frame, is_final)) => {
                    self.close_to(frame, at);
                    match is_final {
                        true => self.finish(frame),
                        false if self.tree.parts.len() >= PARTS => return self.rest_as_file(frame, end),
                        false => self.begin(self.open.last().map(|open| open.part), end),
                    }
                    end
                }
                None if self.place == Place::Head => self.head_line(at, end),
                None => end,
            };
        }
        self.close_to(0, length);
        self.end_head(length);
        if let Some(open) = self.open.pop() {
            self.end_body(open.part, length);
        }
    }

    /// Blank lines before the first field, and the line that a mailbox file puts before a letter, are no part of it.
    fn start(&self) -> usize {
        let bytes = self.bytes();
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let first = bytes.get(blank..).unwrap_or_default();
        let length = line_length(first);
        if first.starts_with(b"From ") || first.starts_with(b">From ") {
            return blank + length;
        }
        if is_known_field(first.get(..length).unwrap_or_default()) { blank } else { 0 }
    }

    /// Where the next line from `at` on that may be a boundary begins, else the end: no other line of a body is looked at.
    fn dashes(&self, at: usize) -> usize {
        let bytes = self.bytes();
        let rest = bytes.get(at..).unwrap_or_default();
        match () {
            () if self.boundaries.is_empty() => bytes.len(),
            () if rest.starts_with(b"--") => at,
            () => self.line_of_dashes.find(rest).map_or(bytes.len(), |before| at + before + 1),
        }
    }

    /// The open multipart whose boundary this line is, and whether it is the final one.
    fn delimiter(&self, at: usize, end: usize) -> Option<(usize, bool)> {
        let line = self.bytes().get(at..end)?.strip_prefix(b"--")?.trim_ascii_end();
        let is_known = |boundary: &[u8]| self.boundaries.contains(boundary);
        if line.len() > BOUNDARY + 2 || !(is_known(line) || line.strip_suffix(b"--").is_some_and(is_known)) {
            return None;
        }
        let fits = |open: &Open| {
            let after = line.strip_prefix(open.boundary.as_deref()?)?;
            let (after, is_final) = after.strip_prefix(b"--").map_or((after, false), |after| (after, true));
            after.trim_ascii().is_empty().then_some(is_final)
        };
        let of = |closed: bool| {
            let open = self.open.iter().enumerate().rev().filter(move |(_, open)| open.is_closed == closed);
            open.filter_map(|(frame, open)| Some((frame, fits(open)?)))
        };
        of(false).next().or_else(|| of(true).next())
    }

    /// Ends all parts within the open part `frame`; the line end before a boundary belongs to it.
    fn close_to(&mut self, frame: usize, at: usize) {
        if self.open.len() == frame + 1 {
            return;
        }
        self.end_head(at);
        let before = self.bytes().get(..at).unwrap_or_default();
        let before = before.strip_suffix(b"\n").map_or(before, |before| before.strip_suffix(b"\r").unwrap_or(before));
        let end = before.len();
        while self.open.len() > frame + 1 {
            if let Some(open) = self.open.pop() {
                self.end_body(open.part, end);
                self.forget(open.boundary);
            }
        }
    }

    fn forget(&mut self, boundary: Option<Vec<u8>>) {
        let Some(boundary) = boundary else { return };
        if !self.open.iter().any(|open| open.boundary.as_ref() == Some(&boundary)) {
            self.boundaries.remove(&boundary);
        }
    }

    fn finish(&mut self, frame: usize) {
        if let Some(open) = self.open.get_mut(frame) {
            open.is_closed = true;
        }
        self.place = Place::Body;
    }

    fn end_body(&mut self, part: usize, end: usize) {
        if let Some(part) = self.tree.parts.get_mut(part) {
            part.body.end = end.max(part.body.start);
            if part.shape == Shape::Multipart && part.children.is_empty() {
                // No boundary of it ever came: what it holds is most likely text.
                part.shape = Shape::Leaf;
                "text/plain".clone_into(&mut part.kind.value);
            }
        }
    }

    /// A new part whose header begins at `at`.
    fn begin(&mut self, parent: Option<usize>, at: usize) {
        let number = self.tree.parts.len();
        self.tree.parts.push(Part {
            source: self.source,
            head: at..at,
            body: at..at,
            kind: Field::default(),
            is_typed: false,
            encoding: Encoding::Identity,
            shape: Shape::Leaf,
            children: Vec::new(),
        });
        if let Some(parent) = parent.and_then(|parent| self.tree.parts.get_mut(parent)) {
            parent.children.push(number);
        }
        self.open.push(Open { part: number, boundary: None, is_closed: false });
        self.place = Place::Head;
    }

    /// More parts than anybody reads: the rest is one file.
    fn rest_as_file(mut self, frame: usize, at: usize) {
        self.tree.loss.note();
        let length = self.bytes().len();
        self.begin(self.open.get(frame).map(|open| open.part), at);
        if let Some(part) = self.tree.parts.last_mut() {
            "application/octet-stream".clone_into(&mut part.kind.value);
            part.is_typed = true;
        }
        while let Some(open) = self.open.pop() {
            self.end_body(open.part, length);
        }
    }

    /// A line among header fields. Gives where the next line begins: the same place if this one is the body's first.
    fn head_line(&mut self, at: usize, end: usize) -> usize {
        let bytes = self.bytes();
        let line = bytes.get(at..end).unwrap_or_default();
        let head = self.open.last().and_then(|open| self.tree.part(open.part)).map_or(at, |part| part.head.start);
        if line.trim_ascii().is_empty() && !(line.starts_with(b" ") && head < at) {
            self.end_head_at(at, end);
            return end;
        }
        let continues = matches!(line.first(), Some(b' ' | b'\t')) && head < at;
        if continues || is_field(line) {
            return end;
        }
        // A line that is no field: the body begins without a blank line, unless fields follow without doubt.
        let next = bytes.get(end..).unwrap_or_default();
        if head < at && is_known_field(next.get(..line_length(next)).unwrap_or_default()) {
            return end;
        }
        self.end_head_at(at, at);
        at
    }

    fn end_head(&mut self, at: usize) {
        if self.place == Place::Head {
            self.end_head_at(at, at);
        }
    }

    /// The header is known: reads what the part is, and opens what it holds.
    fn end_head_at(&mut self, end: usize, body: usize) {
        self.place = Place::Body;
        let Some(number) = self.open.last().map(|open| open.part) else { return };
        let Some(part) = self.tree.parts.get_mut(number) else { return };
        part.head.end = end.max(part.head.start);
        part.body = body.max(part.head.end)..body.max(part.head.end);
        let Some(part) = self.tree.part(number) else { return };
        let mut loss = self.tree.loss;
        let headers = self.tree.headers(part);
        let default = if self.is_in_digest() { "message/rfc822" } else { "text/plain" };
        let typed = headers.first("content-type").map(|field| Field::of(field, &mut loss));
        let is_typed = typed.as_ref().is_some_and(|kind| kind.value.contains('/'));
        let mut kind = typed.unwrap_or_default();
        if !is_typed {
            default.clone_into(&mut kind.value);
        }
        let encoding = headers.text("content-transfer-encoding", &mut loss);
        let encoding = encoding.map_or(Encoding::Identity, |name| Encoding::named(&name));
        if headers.is_cut {
            loss.note();
        }
        self.tree.loss = loss;
        self.open_body(number, kind, encoding, body);
        if let Some(part) = self.tree.parts.get_mut(number) {
            part.is_typed = is_typed;
        }
    }

    fn open_body(&mut self, number: usize, kind: Field, encoding: Encoding, body: usize) {
        let is_deep = self.open.len() + self.above >= DEPTH;
        let is_letter = matches!(kind.value.as_str(), "message/rfc822" | "message/global" | "message/news");
        let is_multipart = kind.value.starts_with("multipart/");
        let is_plain = encoding == Encoding::Identity;
        let boundary = if is_multipart { self.boundary(&kind, body) } else { None };
        let shape = match () {
            () if is_deep && (is_letter || is_multipart) => {
                self.tree.loss.note();
                Shape::Leaf
            }
            // Letters within letters that were encoded twice are left as files.
            () if is_letter && (is_plain || self.source == 0) => Shape::Letter,
            () if is_multipart => Shape::Multipart,
            () => Shape::Leaf,
        };
        if shape == Shape::Multipart
            && let Some(open) = self.open.last_mut()
        {
            self.boundaries.extend(boundary.clone());
            open.boundary = boundary;
        }
        if let Some(part) = self.tree.parts.get_mut(number) {
            (part.kind, part.encoding, part.shape) = (kind, encoding, shape);
        }
        if shape == Shape::Letter && is_plain {
            if self.tree.parts.len() >= PARTS {
                self.tree.loss.note();
                return;
            }
            self.begin(Some(number), body);
        }
    }

    /// The boundary as declared, else what the first line of the body shows.
    fn boundary(&self, kind: &Field, body: usize) -> Option<Vec<u8>> {
        if let Some(boundary) = kind.parameter("boundary") {
            return Some(boundary.trim_end().as_bytes().to_vec()).filter(|boundary| boundary.len() <= BOUNDARY);
        }
        let body = self.bytes().get(body..)?.trim_ascii_start();
        let line = body.get(..line_length(body))?.trim_ascii_end().strip_prefix(b"--")?;
        (!line.is_empty() && line.len() <= BOUNDARY).then(|| line.to_vec())
    }

    fn is_in_digest(&self) -> bool {
        let parent = self.open.len().checked_sub(2).and_then(|above| self.open.get(above));
        let parent = parent.and_then(|open| self.tree.part(open.part));
        parent.is_some_and(|part| part.kind.value == "multipart/digest")
    }
}

#[cfg(test)]
mod tests;
