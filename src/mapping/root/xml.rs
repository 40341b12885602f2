//! XML as JSON (`channel-manifest.md` §4): an element is a string if it has only text, else an object with `@name` for
//! attributes, `#text` for text and children by name, a list where a name repeats. The document is an object with the root
//! element. Prefixes are kept. DTDs and entities other than the five built in are refused: they are how XML reads files and
//! fills memories.

use jaq_json::{Map, Rc, Val};
use quick_xml::{
    Reader,
    escape::unescape,
    events::{BytesStart, Event},
};

use super::NODES;

/// Attributes of one element.
const ATTRIBUTES: usize = 100;

/// An element that is being read.
#[derive(Default)]
struct Element {
    name: String,
    /// Attributes and children.
    members: Map,
    text: String,
}

impl Element {
    fn add(&mut self, name: String, value: Val) {
        let name = Val::utf8_str(name);
        match self.members.get_mut(&name) {
            // Only repetition makes a list: an element itself is never one.
            Some(Val::Arr(list)) => Rc::make_mut(list).push(value),
            Some(only) => {
                let first = std::mem::take(only);
                *only = Val::Arr(Rc::new(vec![first, value]));
            }
            None => {
                self.members.insert(name, value);
            }
        }
    }

    fn into_value(mut self) -> Val {
        if self.members.is_empty() {
            return Val::utf8_str(self.text);
        }
        // White space between children is layout.
        let text = self.text.trim();
        if !text.is_empty() {
            self.members.insert(Val::utf8_str("#text"), Val::utf8_str(text.to_owned()));
        }
        Val::obj(self.members)
    }
}

/// Parses a document; the error says what is wrong with it, without its words.
pub(super) fn parse(text: &str, max_depth: usize) -> Result<Val, &'static str> {
    let mut reader = Reader::from_str(text);
    let mut nodes = NODES;
    let mut open: Vec<Element> = Vec::new();
    let mut document = Element::default();
    loop {
        match reader.read_event().map_err(|_| "it is not well formed")? {
            Event::Start(start) => {
                if open.len() >= max_depth {
                    return Err("it is nested too deeply");
                }
                open.push(begin(&start, &mut nodes)?);
            }
            Event::Empty(start) => {
                let element = begin(&start, &mut nodes)?;
                close(element, open.last_mut().unwrap_or(&mut document));
            }
            Event::End(_) => {
                let element = open.pop().ok_or("it is not well formed")?;
                close(element, open.last_mut().unwrap_or(&mut document));
            }
            Event::Text(text) => match open.last_mut() {
                Some(element) => element.text.push_str(&text.xml10_content().map_err(|_| "it is no text")?),
                None if text.iter().all(u8::is_ascii_whitespace) => {}
                None => return Err("there is text outside of the root element"),
            },
            Event::CData(data) => {
                let element = open.last_mut().ok_or("there is text outside of the root element")?;
                element.text.push_str(&data.decode().map_err(|_| "it is no text")?);
            }
            Event::GeneralRef(reference) => {
                let element = open.last_mut().ok_or("there is text outside of the root element")?;
                let entity = format!("&{};", reference.decode().map_err(|_| "it is no text")?);
                element.text.push_str(&unescape(&entity).map_err(|_| "it uses an entity that is not built in")?);
            }
            Event::DocType(_) => return Err("it has a document type definition"),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match document.members.len() {
        1 if open.is_empty() && !matches!(document.members.values().next(), Some(Val::Arr(_))) => {
            Ok(Val::obj(document.members))
        }
        _ => Err("it has not one root element"),
    }
}

fn begin(start: &BytesStart<'_>, nodes: &mut usize) -> Result<Element, &'static str> {
    let name = start.name();
    let mut element = Element { name: text(name.as_ref())?.to_owned(), ..Element::default() };
    *nodes = nodes.checked_sub(1).ok_or("it has too many elements")?;
    for (place, attribute) in start.attributes().enumerate() {
        if place == ATTRIBUTES {
            return Err("an element has too many attributes");
        }
        *nodes = nodes.checked_sub(1).ok_or("it has too many elements")?;
        let attribute = attribute.map_err(|_| "it is not well formed")?;
        let value = unescape(text(&attribute.value)?).map_err(|_| "it uses an entity that is not built in")?;
        element.add(format!("@{}", text(attribute.key.as_ref())?), Val::utf8_str(value.into_owned()));
    }
    Ok(element)
}

/// The reader hands out bytes of the text that it was given.
fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(bytes).map_err(|_| "it is no text")
}

fn close(element: Element, parent: &mut Element) {
    let mut element = element;
    let name = std::mem::take(&mut element.name);
    parent.add(name, element.into_value());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<String, &'static str> {
        parse(text, 64).map(|value| value.to_string())
    }

    #[test]
    fn xml_becomes_json() {
        for (xml, expected) in [
            ("<a>x</a>", r#"{"a":"x"}"#),
            ("<a/>", r#"{"a":""}"#),
            ("<a b='1'>x</a>", r##"{"a":{"@b":"1","#text":"x"}}"##),
            ("<a><b>1</b><b>2</b><c/></a>", r#"{"a":{"b":["1","2"],"c":""}}"#),
            ("<a><b>1</b><b>2</b><b>3</b></a>", r#"{"a":{"b":["1","2","3"]}}"#),
            (
                "<?xml version=\"1.0\"?>\n<!-- c -->\n<s:a xmlns:s=\"u\"><s:b> x </s:b>\n</s:a>\n",
                r#"{"s:a":{"@xmlns:s":"u","s:b":" x "}}"#,
            ),
            ("<a>1 &lt; 2 &amp; &#65;&#x42;<![CDATA[<raw>&]]></a>", r#"{"a":"1 < 2 & AB<raw>&"}"#),
            ("<a q=\"&quot;&#10;\"/>", r#"{"a":{"@q":"\"\n"}}"#),
            ("<a>mixed <b>bold</b> text</a>", r##"{"a":{"b":"bold","#text":"mixed  text"}}"##),
        ] {
            assert_eq!(json(xml).as_deref(), Ok(expected), "{xml}");
        }
    }

    #[test]
    fn what_could_read_files_or_fill_memories_is_refused() {
        for (xml, fault) in [
            ("<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>", "it has a document type definition"),
            ("<a>&nbsp;</a>", "it uses an entity that is not built in"),
            ("<a b='&x;'/>", "it uses an entity that is not built in"),
            ("<a>", "it has not one root element"),
            ("<a></b>", "it is not well formed"),
            ("<a/><a/>", "it has not one root element"),
            ("<a/><b/>", "it has not one root element"),
            ("", "it has not one root element"),
            ("text", "there is text outside of the root element"),
            ("<a b='1' b='2'/>", "it is not well formed"),
        ] {
            assert_eq!(json(xml), Err(fault), "{xml}");
        }
        assert_eq!(json(&"<a>".repeat(100_000)), Err("it is nested too deeply"));
        assert_eq!(json(&format!("<a>{}</a>", "<b/>".repeat(NODES))), Err("it has too many elements"));
    }
}
