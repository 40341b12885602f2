//! The text of HTML, for providers that send letters or chat messages as markup. One pass, linear in the input.

/// Elements whose content is no text.
const DROPPED: [&str; 5] = ["script", "style", "head", "title", "template"];
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 19] = [
    "address",
    "article",
    "blockquote",
    "br",
    "div",
    "dl",
    "dd",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "p",
    "section",
    "tr",
];
/// Entities that letters use; others stay as they are written.
const ENTITIES: [(&str, char); 22] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bull", '•'),
    ("middot", '·'),
    ("deg", '°'),
    ("euro", '€'),
    ("laquo", '«'),
    ("raquo", '»'),
];
/// Longest name of an entity, and of a tag that is looked at.
const NAME_BYTES: usize = 12;

/// Text without tags, entities decoded, white space as a browser shows it; `script` and `style` are left out.
pub(super) fn text_of(html: &str) -> String {
    let mut out = Text { text: String::with_capacity(html.len() / 2), gap: false };
    let mut rest = html;
    while let Some(place) = rest.find(['<', '&']) {
        let (before, from) = rest.split_at(place);
        out.push_str(before);
        rest = if from.starts_with('&') { entity(from, &mut out) } else { tag(from, &mut out) };
    }
    out.push_str(rest);
    out.text.truncate(out.text.trim_end().len());
    out.text
}

/// Text that grows, with white space folded.
struct Text {
    text: String,
    gap: bool,
}

impl Text {
    fn push_str(&mut self, text: &str) {
        text.chars().for_each(|character| self.push(character));
    }

    fn push(&mut self, character: char) {
        if character.is_whitespace() {
            self.gap = true;
            return;
        }
        if self.gap && !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push(' ');
        }
        self.gap = false;
        self.text.push(character);
    }

    fn new_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.gap = false;
    }
}

/// Takes an entity from the front; gives what follows.
fn entity<'t>(from: &'t str, out: &mut Text) -> &'t str {
    let end = from.bytes().take(NAME_BYTES).position(|byte| byte == b';');
    let Some(name) = end.and_then(|end| from.get(1..end)) else {
        out.push('&');
        return from.get(1..).unwrap_or_default();
    };
    if let Some(character) = decoded(name) {
        out.push(character);
        from.get(name.len() + 2..).unwrap_or_default()
    } else {
        out.push('&');
        from.get(1..).unwrap_or_default()
    }
}

fn decoded(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|character| !character.is_control() || character.is_whitespace());
    }
    ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, character)| *character)
}

/// Takes a tag, a comment or a dropped element from the front; gives what follows.
fn tag<'t>(from: &'t str, out: &mut Text) -> &'t str {
    if from.starts_with("<!--") {
        return from.split_once("-->").map_or("", |(_, after)| after);
    }
    let inside = from.get(1..).unwrap_or_default();
    let is_end = inside.starts_with('/');
    let name: String = inside
        .trim_start_matches('/')
        .chars()
        .take(NAME_BYTES)
        .take_while(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    if name.is_empty() && !inside.starts_with(['!', '?', '/']) {
        // `a < b`: no tag.
        out.push('<');
        return inside;
    }
    let after = past_tag(inside);
    if BLOCKS.contains(&name.as_str()) {
        out.new_line();
    }
    if !is_end && DROPPED.contains(&name.as_str()) { past_element(after, &name) } else { after }
}

/// What follows the end of a tag; `>` inside a quoted attribute does not end it.
fn past_tag(inside: &str) -> &str {
    let mut quote = None;
    for (place, byte) in inside.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return inside.get(place + 1..).unwrap_or_default(),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows the end tag of an element; nothing when it never ends.
fn past_element<'t>(from: &'t str, name: &str) -> &'t str {
    let mut rest = from;
    while let Some((_, after)) = rest.split_once("</") {
        if after.get(..name.len()).is_some_and(|candidate| candidate.eq_ignore_ascii_case(name)) {
            return past_tag(after);
        }
        rest = after;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn html_becomes_what_a_reader_sees() {
        for (html, text) in [
            ("<p>Jalan <b>rusak</b> &amp; gelap</p><p>Jl.&nbsp;A</p>", "Jalan rusak & gelap\nJl. A"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<style>p { color: red }</style>x<SCRIPT>alert('<p>')</Script>y", "xy"),
            ("<!-- hidden > text -->shown", "shown"),
            ("<a title=\"a > b\">link</a>", "link"),
            ("1 < 2 &#38; 3 &#x3e; 2 &unknown; & done", "1 < 2 & 3 > 2 &unknown; & done"),
            ("  many \n\n spaces\t", "many spaces"),
            ("<script>never closed", ""),
            ("<p", ""),
            ("&#0;&#xD800;", "&#0;&#xD800;"),
            ("", ""),
        ] {
            assert_eq!(text_of(html), text, "{html}");
        }
    }

    #[test]
    fn many_open_brackets_take_linear_time() {
        // Quadratic work over a megabyte would not end within the test's time-out.
        for hostile in ["<", "&", "<!--", "<script>", "</", "<a \"", "&#"] {
            text_of(&hostile.repeat(1_000_000 / hostile.len()));
        }
    }
}
