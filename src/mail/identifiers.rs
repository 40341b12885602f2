//! Message-IDs: the letter's own, and those of the letters it answers (RFC 5322, section 3.6.4).

use super::{
    headers::Headers,
    limits::{IDENTIFIER, REFERENCES},
};

/// The letter's own, with its brackets.
pub(super) fn own(headers: &Headers<'_>) -> Option<String> {
    let field = headers.first("message-id")?;
    let text = String::from_utf8_lossy(field);
    let bracketed = all(&text).into_iter().next();
    // Some programs leave the brackets out, and some put blanks in.
    let id = bracketed.unwrap_or_else(|| text.split_whitespace().collect());
    Some(id).filter(|id| !id.is_empty() && id != "<>" && id.len() <= IDENTIFIER)
}

/// Those of a field, in their order.
pub(super) fn of(headers: &Headers<'_>, name: &str) -> Vec<String> {
    headers.all(name).take(5).flat_map(|field| all(&String::from_utf8_lossy(field))).collect()
}

/// What the letter answers: `References`, then what only `In-Reply-To` names; the last ones.
pub(super) fn references(headers: &Headers<'_>) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for id in of(headers, "references").into_iter().rev().take(REFERENCES) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.reverse();
    for id in of(headers, "in-reply-to").into_iter().take(REFERENCES) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.split_off(ids.len().saturating_sub(REFERENCES))
}

fn all(text: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for piece in text.split('<').skip(1) {
        let Some((id, _)) = piece.split_once('>') else { continue };
        let id: String = id.split_whitespace().collect();
        if !id.is_empty() && id.len() < IDENTIFIER {
            ids.push(format!("<{id}>"));
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_their_brackets_and_lose_their_blanks() {
        let headers = Headers::of(
            b"Message-ID:  <a@example.org> (x)\nIn-Reply-To: Budi's letter of <b@x> <c@x>\nReferences: <a@x>\n <b@x>\n",
        );
        assert_eq!(own(&headers).as_deref(), Some("<a@example.org>"));
        assert_eq!(of(&headers, "in-reply-to"), ["<b@x>", "<c@x>"]);
        assert_eq!(references(&headers), ["<a@x>", "<b@x>", "<c@x>"]);
        assert_eq!(own(&Headers::of(b"Message-ID: tanpa@kurung\n")).as_deref(), Some("tanpa@kurung"));
        assert_eq!(own(&Headers::of(b"Message-ID: <>\nX: y\n")), None);
    }

    #[test]
    fn of_many_references_the_last_are_kept() {
        let field: String = (0..1_000).map(|number| format!(" <{number}@x>\n")).collect::<Vec<_>>().concat();
        let references = references(&Headers::of(format!("References:\n{field}").as_bytes()));
        assert_eq!((references.len(), references.last().map(String::as_str)), (50, Some("<999@x>")));
    }
}
