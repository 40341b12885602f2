//! What a message to a citizen may hold: texts, buttons, lists, templates, with the limits of the real API.

use serde_json::Value;

use super::{
    super::phones::{Bubble, Button, ButtonKind, Side},
    error::GraphError,
};

/// Characters of a text, and of the words beside a file.
const LONGEST_TEXT: usize = 4096;
const LONGEST_CAPTION: usize = 1024;
/// Characters of the text of a message with buttons. The page gives more for lists; the smaller number is kept here.
const LONGEST_BODY: usize = 1024;

type Read<T> = Result<T, GraphError>;

/// A message without a file.
pub fn of(kind: &str, body: &Value) -> Read<Bubble> {
    match kind {
        "text" => Ok(bubble(text(&body["text"]["body"], "text['body']", LONGEST_TEXT)?)),
        "interactive" => interactive(&body["interactive"]),
        "template" => template(&body["template"]),
        "location" => location(&body["location"]),
        _ => Err(GraphError::new(400, 131_051, "Message type unknown")),
    }
}

/// The words beside a file.
pub fn caption(media: &Value) -> Read<String> {
    if media["caption"].is_null() { Ok(String::new()) } else { text(&media["caption"], "caption", LONGEST_CAPTION) }
}

fn bubble(text: String) -> Bubble {
    Bubble::new("", Side::Gateway, text)
}

fn text(value: &Value, name: &str, longest: usize) -> Read<String> {
    let text = value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| GraphError::missing(name))?;
    if text.chars().count() > longest {
        return Err(GraphError::invalid(&format!("Param {name} must be at most {longest} characters long.")));
    }
    Ok(text.to_owned())
}

/// A text with its length in the words of the API.
fn short<'a>(value: &'a Value, name: &str, longest: usize) -> Read<&'a str> {
    let text = value.as_str().unwrap_or_default();
    if text.is_empty() || text.chars().count() > longest {
        return Err(GraphError::value(&format!("{name} length invalid. Min length: 1, Max length: {longest}")));
    }
    Ok(text)
}

fn interactive(interactive: &Value) -> Read<Bubble> {
    let mut bubble = bubble(text(&interactive["body"]["text"], "interactive['body']['text']", LONGEST_BODY)?);
    let action = &interactive["action"];
    bubble.buttons = match interactive["type"].as_str() {
        Some("button") => buttons(action)?,
        Some("list") => rows(action)?,
        Some("location_request_message") => {
            if action["name"] != "send_location" {
                return Err(GraphError::value("action name must be send_location"));
            }
            vec![Button {
                label: "Send location".to_owned(),
                data: "send_location".to_owned(),
                kind: ButtonKind::Location,
            }]
        }
        Some("cta_url") => {
            let parameters = &action["parameters"];
            let label = short(&parameters["display_text"], "Button title", 20)?.to_owned();
            vec![Button { label, data: short(&parameters["url"], "URL", 2000)?.to_owned(), kind: ButtonKind::Link }]
        }
        _ => return Err(GraphError::value("Interactive type is not supported")),
    };
    Ok(bubble)
}

fn buttons(action: &Value) -> Read<Vec<Button>> {
    let buttons = action["buttons"].as_array().ok_or_else(|| GraphError::missing("action['buttons']"))?;
    if buttons.is_empty() || buttons.len() > 3 {
        return Err(GraphError::value("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"));
    }
    let read = |button: &Value| {
        let reply = &button["reply"];
        let label = short(&reply["title"], "Button title", 20)?.to_owned();
        Ok(Button { label, data: short(&reply["id"], "Button id", 256)?.to_owned(), kind: ButtonKind::Button })
    };
    distinct(buttons.iter().map(read).collect::<Read<_>>()?)
}

fn rows(action: &Value) -> Read<Vec<Button>> {
    short(&action["button"], "Button text", 20)?;
    let sections = action["sections"].as_array().ok_or_else(|| GraphError::missing("action['sections']"))?;
    if sections.is_empty() || sections.len() > 10 {
        return Err(GraphError::value("Invalid sections count. Min allowed sections: 1, Max allowed sections: 10"));
    }
    let mut rows = Vec::new();
    for section in sections {
        if sections.len() > 1 {
            short(&section["title"], "Section title", 24)?;
        }
        for row in section["rows"].as_array().ok_or_else(|| GraphError::missing("rows"))? {
            let label = short(&row["title"], "Row title", 24)?.to_owned();
            if !row["description"].is_null() {
                short(&row["description"], "Row description", 72)?;
            }
            rows.push(Button { label, data: short(&row["id"], "Row id", 200)?.to_owned(), kind: ButtonKind::Row });
        }
    }
    if rows.is_empty() || rows.len() > 10 {
        return Err(GraphError::value("Total row count exceed max allowed count: 10"));
    }
    distinct(rows)
}

/// Ids, and titles of reply buttons, are given once.
fn distinct(buttons: Vec<Button>) -> Read<Vec<Button>> {
    for (place, button) in buttons.iter().enumerate() {
        let before = &buttons[..place];
        let is_titled_again =
            button.kind == ButtonKind::Button && before.iter().any(|other| other.label == button.label);
        if before.iter().any(|other| other.data == button.data) || is_titled_again {
            return Err(GraphError::value("Duplicate ids or titles are not allowed"));
        }
    }
    Ok(buttons)
}

/// A template with the words of its parameters: the invented citizens read those.
fn template(template: &Value) -> Read<Bubble> {
    text(&template["name"], "template['name']", 512)?;
    text(&template["language"]["code"], "template['language']['code']", 20)?;
    let mut words = Vec::new();
    for component in template["components"].as_array().into_iter().flatten() {
        for parameter in component["parameters"].as_array().into_iter().flatten() {
            let Some(word) = parameter["text"].as_str() else { continue };
            // The code was told by developers; the page only says that there is an issue.
            if word.contains(['\n', '\t']) || word.contains("     ") {
                let details = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces";
                return Err(GraphError::new(400, 132_018, details));
            }
            words.push(word);
        }
    }
    Ok(bubble(words.join(" ")))
}

fn location(location: &Value) -> Read<Bubble> {
    let number = |name: &str| location[name].as_f64().or_else(|| location[name].as_str()?.parse().ok());
    let place =
        number("latitude").zip(number("longitude")).ok_or_else(|| GraphError::missing("location['latitude']"))?;
    let name = location["name"].as_str().unwrap_or_default().to_owned();
    Ok(Bubble { place: Some(place), ..bubble(name) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn with_buttons(titles: &[&str]) -> Read<Bubble> {
        let buttons: Vec<_> = titles
            .iter()
            .enumerate()
            .map(|(place, title)| json!({ "type": "reply", "reply": { "id": place.to_string(), "title": title } }))
            .collect();
        let interactive = json!({ "type": "button", "body": { "text": "?" }, "action": { "buttons": buttons } });
        of("interactive", &json!({ "interactive": interactive }))
    }

    fn with_rows(count: usize, title: &str) -> Read<Bubble> {
        let rows: Vec<_> = (0..count).map(|row| json!({ "id": row.to_string(), "title": title })).collect();
        let action = json!({ "button": "Pilih", "sections": [{ "rows": rows }] });
        of("interactive", &json!({ "interactive": { "type": "list", "body": { "text": "?" }, "action": action } }))
    }

    #[test]
    fn three_buttons_of_twenty_characters_are_the_most() {
        assert_eq!(with_buttons(&["Ya", "Tidak", &"é".repeat(20)]).expect("a message").buttons.len(), 3);
        for titles in [&["a", "b", "c", "d"][..], &["a", "a"], &[&"x".repeat(21)], &[""], &[]] {
            assert_eq!(with_buttons(titles).expect_err("a refusal").code, 131_009, "{titles:?}");
        }
    }

    #[test]
    fn ten_rows_of_twenty_four_characters_are_the_most() {
        assert_eq!(with_rows(10, &"x".repeat(24)).expect("a message").buttons.len(), 10);
        for (count, title) in [(11, "x".to_owned()), (1, "x".repeat(25)), (0, "x".to_owned())] {
            assert_eq!(with_rows(count, &title).expect_err("a refusal").code, 131_009);
        }
    }

    #[test]
    fn a_text_has_its_length_and_a_template_no_lines() {
        let text = |length: usize| of("text", &json!({ "text": { "body": "x".repeat(length) } }));
        assert!(text(4096).is_ok());
        assert_eq!((text(4097).expect_err("long").code, text(0).expect_err("empty").code), (100, 131_008));
        let template = |word: &str| {
            let components = json!([{ "type": "body", "parameters": [{ "type": "text", "text": word }] }]);
            of(
                "template",
                &json!({ "template": { "name": "a", "language": { "code": "id" }, "components": components } }),
            )
        };
        assert_eq!(template("satu dua").expect("a message").text, "satu dua");
        assert_eq!(template("satu\ndua").expect_err("a line").code, 132_018);
        assert_eq!(of("hologram", &json!({})).expect_err("unknown").code, 131_051);
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(kind in 0..5_usize, text: String, depth in 0..5_usize) {
            let kind = ["text", "interactive", "template", "location", "other"][kind];
            let mut value = json!(text);
            for _ in 0..depth {
                value = json!({ "type": "list", "body": value, "action": value, "sections": [value], "rows": [value], "buttons": [value], "components": [value], "parameters": [value] });
            }
            let _ = of(kind, &json!({ kind: value }));
        }
    }
}
