//! The URL of a request of ours. No value can change where it goes: scheme and host are literal in the manifest, or one
//! setting of kind `url`, and what values add is percent-encoded and walks up no path.

use serde_json::Value;

use super::{Compiler, text::Text};
use crate::{
    mapping::Escape,
    settings::{Setting, Settings},
};

/// A URL, in two halves.
#[derive(Debug)]
pub(super) struct UrlTemplate {
    base: Base,
    /// Path and query.
    rest: Text,
    rest_source: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Base {
    /// `https://host` or `https://host:port`
    Literal(String),
    /// Name of a setting whose value begins like that, and may have a path.
    Setting(String),
}

impl UrlTemplate {
    pub fn compile(source: &str, compiler: &mut Compiler<'_>) -> Option<Self> {
        let (base, rest_source) = match halves(source) {
            Ok(halves) => halves,
            Err(message) => {
                let hint =
                    "write \"https://host/path\", or begin with one setting of kind url: \"{{ settings.base }}/path\"";
                compiler.mistake_with_hint("url", message, hint);
                return None;
            }
        };
        let rest = compiler.text("url", rest_source, Escape::Url)?;
        Some(Self { base, rest, rest_source: rest_source.to_owned() })
    }

    pub fn setting(&self) -> Option<&str> {
        match &self.base {
            Base::Setting(name) => Some(name),
            Base::Literal(_) => None,
        }
    }

    /// The URL as it goes out, and as it may be shown.
    pub fn render(&self, context: &Value, settings: &Settings) -> Result<(String, String), String> {
        let rest = self.rest.render(context).map_err(|message| format!("url: {message}"))?;
        check_rest(&rest)?;
        let (base, shown) = match &self.base {
            Base::Literal(base) => (base.as_str(), base.as_str()),
            Base::Setting(name) => {
                let base = settings.values(name).first().copied().unwrap_or_default();
                let base = base.trim_end_matches('/');
                check_base(base).map_err(|message| format!("url: the setting {name} {message}"))?;
                (base, if matches!(settings.get(name), Some(Setting::Plain(_))) { base } else { "***" })
            }
        };
        Ok((format!("{base}{rest}"), format!("{shown}{}", self.rest_source)))
    }
}

/// What decides where the request goes, and the rest.
fn halves(source: &str) -> Result<(Base, &str), String> {
    if let Some(inside) = source.strip_prefix("{{") {
        let (expression, rest) = inside.split_once("}}").ok_or("`{{` is not closed")?;
        let name =
            expression.trim().strip_prefix("settings.").ok_or("the host comes from something that is no setting")?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err("the host must be a setting as it is, without a filter".to_owned());
        }
        if !(rest.is_empty() || rest.starts_with(['/', '?'])) {
            return Err("behind the setting a path must begin".to_owned());
        }
        return Ok((Base::Setting(name.to_owned()), rest));
    }
    let start = authority_start(source).ok_or("the URL begins with neither https:// nor http://")?;
    let end = source[start..].find(['/', '?']).map_or(source.len(), |place| start + place);
    check_authority(&source[start..end])?;
    Ok((Base::Literal(source[..end].to_owned()), &source[end..]))
}

fn authority_start(url: &str) -> Option<usize> {
    ["https://", "http://"].into_iter().find(|scheme| url.starts_with(scheme)).map(str::len)
}

/// A name or an address, and a port; no credentials, no template.
fn check_authority(authority: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if authority.is_empty() || authority.starts_with(':') {
        return Err("the URL names no host".to_owned());
    }
    if !authority.bytes().all(good) {
        return Err("the host must be literal: letters, digits, `.`, `-` and a port".to_owned());
    }
    Ok(())
}

/// The value of a setting of kind `url`.
fn check_base(base: &str) -> Result<(), String> {
    let start = authority_start(base).ok_or("begins with neither https:// nor http://")?;
    let end = base[start..].find('/').map_or(base.len(), |place| start + place);
    check_authority(&base[start..end]).map_err(|_| "names no plain host".to_owned())?;
    let good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\' | b'"' | b'<' | b'>');
    if base[end..].bytes().all(good) { Ok(()) } else { Err("holds more than scheme, host and path".to_owned()) }
}

/// Values were percent-encoded, so that only dots are left to lead elsewhere on the same host.
fn check_rest(rest: &str) -> Result<(), String> {
    let path = rest.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(is_dots) {
        return Err("url: a value would lead to another path".to_owned());
    }
    if rest.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b' ' | b'#' | b'\\')) {
        return Err("url: it holds a space, `#`, `\\` or a control character".to_owned());
    }
    Ok(())
}

/// Adds a parameter to a URL.
pub(super) fn push_parameter(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    push_pair(url, name, value);
}

/// `name=value`, percent-encoded; right in a query and in a form.
pub(super) fn push_pair(out: &mut String, name: &str, value: &str) {
    push_encoded(out, name);
    out.push('=');
    push_encoded(out, value);
}

/// Percent-encodes everything but the unreserved characters of RFC 3986 §2.3.
fn push_encoded(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scheme_and_host_are_literal_or_one_setting() {
        let literal = |text: &str| Base::Literal(text.to_owned());
        let setting = |text: &str| Base::Setting(text.to_owned());
        let cases = [
            ("https://api.example/x/{{ to }}", Some((literal("https://api.example"), "/x/{{ to }}"))),
            ("http://10.0.0.1:8080/send?to={{ to }}", Some((literal("http://10.0.0.1:8080"), "/send?to={{ to }}"))),
            ("https://api.example?x=1", Some((literal("https://api.example"), "?x=1"))),
            ("https://api.example", Some((literal("https://api.example"), ""))),
            ("{{ settings.base }}/send", Some((setting("base"), "/send"))),
            ("{{settings.base}}", Some((setting("base"), ""))),
            ("https://{{ settings.host }}/send", None),
            ("https://api.{{ settings.zone }}.example/send", None),
            ("https://api.example{{ to }}/send", None),
            ("https://user:pass@api.example/", None),
            ("{{ secret.base }}/send", None),
            ("{{ to }}/send", None),
            ("{{ settings.base | lower }}/send", None),
            ("{{ settings.base }}.evil.example/", None),
            ("ftp://api.example/", None),
            ("https:///send", None),
            ("", None),
        ];
        for (source, expected) in cases {
            assert_eq!(halves(source).ok(), expected, "{source}");
        }
    }

    #[test]
    fn a_value_leads_to_no_other_path() {
        for rest in ["/a/../b", "/a/%2e%2E/b", "/..", "/.", "/a b", "/a#b", "/a\\b", "/a\r\nx"] {
            assert!(check_rest(rest).is_err(), "{rest:?}");
        }
        for rest in ["", "/a/b.json", "/a...b?x=..", "/v1.2/..a"] {
            assert!(check_rest(rest).is_ok(), "{rest:?}");
        }
    }

    #[test]
    fn a_base_in_a_setting_is_scheme_host_and_path() {
        for base in ["https://gateway.example", "http://127.0.0.1:9/api/v1"] {
            assert!(check_base(base).is_ok(), "{base}");
        }
        for base in
            ["", "gateway.example", "https://u:p@gateway.example", "https://a.example/x?y", "https://a.example/#"]
        {
            assert!(check_base(base).is_err(), "{base}");
        }
    }

    proptest! {
        #[test]
        fn an_encoded_value_holds_no_separator(value in "\\PC{0,40}") {
            let mut out = String::new();
            push_encoded(&mut out, &value);
            prop_assert!(out.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            let bytes = out.as_bytes();
            let mut decoded = Vec::new();
            let mut place = 0;
            while place < bytes.len() {
                if bytes[place] == b'%' {
                    decoded.push(u8::from_str_radix(&out[place + 1..place + 3], 16).expect("two digits"));
                    place += 3;
                } else {
                    decoded.push(bytes[place]);
                    place += 1;
                }
            }
            prop_assert_eq!(decoded, value.into_bytes());
        }

        #[test]
        fn no_source_panics(source in "[a-z:/{}. @?#\\\\%é-]{0,40}") {
            let _ = halves(&source);
            let _ = check_base(&source);
            let _ = check_rest(&source);
        }
    }
}
