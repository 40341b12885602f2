//! `reply_markup`: buttons under a message and keys under a chat, with the limits of the real API.

use serde_json::Value;

use super::{
    super::phones::{Button, ButtonKind},
    method::Refusal,
};

/// Bytes of `callback_data`.
const LONGEST_DATA: usize = 64;
const MOST_BUTTONS: usize = 100;

/// How one button is read.
type Read = fn(&Value) -> Result<Button, Refusal>;

/// The buttons of a message. Inline ones are part of the message; keys are not.
pub fn read(markup: Option<&Value>) -> Result<Vec<Button>, Refusal> {
    let Some(markup) = markup else { return Ok(Vec::new()) };
    if !markup.is_object() {
        return Err(Refusal::bad("object expected as reply markup"));
    }
    let (rows, read): (_, Read) = match (&markup["inline_keyboard"], &markup["keyboard"]) {
        (Value::Array(rows), _) => (rows, inline),
        (_, Value::Array(rows)) => (rows, key),
        // The keys go away, or the citizen is asked to reply: nothing to show.
        _ => return Ok(Vec::new()),
    };
    let mut buttons = Vec::new();
    for row in rows {
        let row = row.as_array().ok_or_else(|| Refusal::bad("expected an Array of buttons"))?;
        for button in row {
            buttons.push(read(button)?);
        }
    }
    if buttons.len() > MOST_BUTTONS {
        return Err(Refusal::bad("reply markup is too long"));
    }
    Ok(buttons)
}

fn inline(button: &Value) -> Result<Button, Refusal> {
    let label = label(button)?;
    if let Some(url) = button["url"].as_str() {
        return Ok(Button { label, data: url.to_owned(), kind: ButtonKind::Link });
    }
    let data = button["callback_data"].as_str();
    let data = data.ok_or_else(|| {
        Refusal::bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    })?;
    if data.is_empty() || data.len() > LONGEST_DATA {
        return Err(Refusal::bad("BUTTON_DATA_INVALID"));
    }
    Ok(Button { label, data: data.to_owned(), kind: ButtonKind::Button })
}

/// A key is an object, or its words alone.
fn key(button: &Value) -> Result<Button, Refusal> {
    let label = label(button)?;
    let kind = if button["request_location"] == Value::Bool(true) {
        ButtonKind::Location
    } else if button["request_contact"] == Value::Bool(true) {
        ButtonKind::Contact
    } else {
        ButtonKind::Key
    };
    Ok(Button { data: label.clone(), label, kind })
}

fn label(button: &Value) -> Result<String, Refusal> {
    let label = button.as_str().or_else(|| button["text"].as_str()).unwrap_or_default();
    if label.is_empty() {
        return Err(Refusal::bad("can't parse keyboard button: Field \"text\" must be of type String"));
    }
    Ok(label.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn inline_with(data: &str) -> Result<Vec<Button>, Refusal> {
        read(Some(&json!({ "inline_keyboard": [[{ "text": "Ya", "callback_data": data }]] })))
    }

    #[test]
    fn the_data_of_a_button_has_sixty_four_bytes() {
        assert_eq!(inline_with(&"x".repeat(64)).expect("a button")[0].kind, ButtonKind::Button);
        for data in [String::new(), "x".repeat(65), "é".repeat(33)] {
            assert_eq!(inline_with(&data).expect_err("a refusal").description, "Bad Request: BUTTON_DATA_INVALID");
        }
    }

    #[test]
    fn a_key_may_ask_for_the_position() {
        let markup = json!({ "keyboard": [[{ "text": "Kirim lokasi", "request_location": true }], ["Lewati"]] });
        let kinds: Vec<_> = read(Some(&markup)).expect("keys").iter().map(|key| key.kind).collect();
        assert_eq!(kinds, [ButtonKind::Location, ButtonKind::Key]);
    }

    proptest! {
        #[test]
        fn no_markup_makes_it_panic(text: String, depth in 0..4_usize) {
            let mut value = json!(text);
            for _ in 0..depth {
                value = json!([value, { "text": value }, { "text": "x", "callback_data": value }]);
            }
            let _ = read(Some(&json!({ "inline_keyboard": value })));
            let _ = read(Some(&json!({ "keyboard": value })));
            let _ = read(Some(&value));
        }
    }
}
