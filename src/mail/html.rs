//! HTML bodies as text: no marks of Markdown, no scripts, styles, comments or hidden elements; links as the words that are seen,
//! rows of tables on a line each, quotations with `> `.
//!
//! The page is first reduced to a handful of plain elements, with a bound on their depth and number, so that whatever came is
//! harmless to lay out. A large page is not laid out, only stripped.

mod reduce;
mod tags;

use html2text::render::{TaggedLine, TextDecorator};
use mail_parser::decoders::html::html_to_text;

use super::limits::{HTML, TAGS};

/// Columns; so many that no line of a letter is wrapped.
const WIDTH: usize = 20_000;

/// The text of a page.
pub(super) fn text(html: &str) -> String {
    let reduced = reduce::reduce(html);
    if reduced.html.len() <= HTML && reduced.tags <= TAGS {
        let layout = html2text::config::with_decorator(Plain).raw_mode(true).no_link_wrapping();
        if let Ok(text) = layout.string_from_read(reduced.html.as_bytes(), WIDTH) {
            return tidy(&text);
        }
    }
    tidy(&html_to_text(&reduce::flat(html)))
}

/// The identifiers of parts that a page shows in its midst (RFC 2392), without `cid:`.
pub(super) fn shown_parts(html: &str) -> Vec<&str> {
    let names = html.split("cid:").skip(1).take(1_000);
    let end = |letter: char| letter.is_whitespace() || "\"'<>)&".contains(letter);
    names.filter_map(|name| name.split(end).next()).filter(|name| !name.is_empty()).collect()
}

/// The charset that a page names in its head, for one that came without a label.
pub(super) fn charset(page: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(page.get(..2_048).unwrap_or(page)).to_ascii_lowercase();
    let meta = head.split("<meta").skip(1).find_map(|meta| meta.split('>').next()?.split_once("charset="))?;
    let end = |letter: char| !letter.is_ascii_alphanumeric() && !"-_:.".contains(letter);
    let name = meta.1.trim_start_matches(['"', '\'', ' ']).split(end).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// Blank lines one at a time, none at the ends, no blanks at ends of lines.
pub(super) fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_blank = true;
    for line in text.split('\n') {
        let line =
            line.trim_end_matches(|letter: char| letter.is_whitespace() || "\u{200b}\u{feff}\u{ad}".contains(letter));
        if line.is_empty() && is_blank {
            continue;
        }
        is_blank = line.is_empty();
        out.extend(line.chars().map(|letter| if letter == '\u{a0}' { ' ' } else { letter }));
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

/// Adds nothing to the words but `> `, `* ` and numbers of lists.
#[derive(Clone, Debug)]
struct Plain;

impl TextDecorator for Plain {
    type Annotation = ();

    fn decorate_link_start(&mut self, _: &str) -> (String, ()) {
        Default::default()
    }

    fn decorate_link_end(&mut self) -> String {
        String::new()
    }

    fn decorate_em_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_em_end(&self) -> String {
        String::new()
    }

    fn decorate_strong_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_strong_end(&self) -> String {
        String::new()
    }

    fn decorate_strikeout_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }

    fn decorate_code_start(&self) -> (String, ()) {
        Default::default()
    }

    fn decorate_code_end(&self) -> String {
        String::new()
    }

    fn decorate_preformat_first(&self) {}

    fn decorate_preformat_cont(&self) {}

    fn decorate_image(&mut self, _: &str, _: &str) -> (String, ()) {
        Default::default()
    }

    fn header_prefix(&self, _: usize) -> String {
        String::new()
    }

    fn quote_prefix(&self) -> String {
        "> ".to_owned()
    }

    fn unordered_item_prefix(&self) -> String {
        "* ".to_owned()
    }

    fn ordered_item_prefix(&self, number: i64) -> String {
        format!("{number}. ")
    }

    fn make_subblock_decorator(&self) -> Self {
        Self
    }

    fn finalise(&mut self, _: Vec<String>) -> Vec<TaggedLine<()>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_is_read_as_a_person_sees_it() {
        for (html, expected) in [
            ("<p>Yth. Bapak,</p><p>Jalan <b>rusak</b>.</p>", "Yth. Bapak,\n\nJalan rusak."),
            ("<div>satu</div><div>dua</div><div><br></div><div>tiga</div>", "satu\ndua\n\ntiga"),
            ("lihat <a href='http://x.example'>di sini</a><img src=a alt=logo>", "lihat di sini"),
            ("<style>p{}</style><script>x<y</script><!-- c --><title>t</title>halo", "halo"),
            ("<span style='display: none'>rahasia</span>halo", "halo"),
            ("<div style='display:none'>tak ditutup", "tak ditutup"),
            ("<table><tr><td>Nama<td>Budi</tr><tr><td></td><td>x</td></tr></table>y", "Nama | Budi\nx\ny"),
            ("<table><tr><td><p>Nama</p></td><td><p>Budi</p><p>Jl</p></td></tr></table>", "Nama | Budi\n\nJl"),
            ("<blockquote>kutip<br>dua<blockquote>dalam</blockquote></blockquote>", "> kutip\n> dua\n>\n> > dalam"),
            ("<ul><li>a<li>b</ul><ol><li>c</ol>", "* a\n* b\n1. c"),
            ("<pre>a\n  b</pre>", "a\n  b"),
            ("1 < 2 &amp; 3 &lt; 4 &eacute;&nbsp;<x y='>'>z", "1 < 2 & 3 < 4 é z"),
            ("<p>satu<p>dua<p>tiga", "satu\n\ndua\n\ntiga"),
            (
                "<div>Yth.</div><blockquote style=\"margin: 0 0 0 40px; border: none; padding: 0px;\"><div>satu</div><div>dua</div></blockquote>",
                "Yth.\nsatu\ndua",
            ),
            ("a<hr>b", "a\n________________________________\nb"),
            ("<h1>Judul</h1>isi", "Judul\n\nisi"),
            ("a<!-- tak ditutup", "a"),
            ("a <b", "a <b"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
        let head = b"<meta http-equiv=a content=\"text/html; charset=Windows-1251\">";
        assert_eq!(charset(head).as_deref(), Some("windows-1251"));
        assert_eq!(charset(b"<p>charset=utf-7").as_deref(), None);
        assert_eq!(shown_parts("<img src=\"cid:a@b\"><img src=cid:c>"), ["a@b", "c"]);
    }

    #[test]
    fn pages_made_to_be_slow_are_not() {
        let started = Instant::now();
        for bomb in [
            "<div>".repeat(100_000),
            "<".repeat(1_000_000),
            "<a ".repeat(200_000),
            "<!--".repeat(200_000),
            "<table><tr><td>".repeat(30_000),
            "<blockquote>".repeat(50_000) + "x",
            "<script>".repeat(100_000),
            "<p style='display:none'>".repeat(20_000),
            "</p>".repeat(100_000),
            "<a \"><b '>".repeat(50_000),
            "<hr>".repeat(50_000),
            "&".repeat(500_000),
        ] {
            assert!(text(&bomb).len() < 4 << 20);
        }
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_page_is_text(html in "(</?(p|div|table|tr|td|li|ul|ol|blockquote|pre|b|script|style|dl|x)( style='display:none'|/)?>|<!--|-->|&#?[a-z0-9]{0,4};?|<|>|\\PC){0,40}") {
            text(&html);
            tidy(&html_to_text(&reduce::flat(&html)));
        }
    }
}
