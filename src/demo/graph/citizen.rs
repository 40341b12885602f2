//! A citizen with WhatsApp on their phone: what they send to a number of the business, and what they see.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    super::{
        files::File,
        phones::{Bubble, Button, ButtonKind, Enclosed, Side, Tick},
    },
    GraphApi, Statuses, chat_name, wamid,
    webhook::Item,
};

/// One who writes to one number. Cheap to clone; clones are the same citizen.
#[derive(Clone, Debug)]
pub struct Citizen {
    api: Arc<GraphApi>,
    number: String,
    /// The phone number in digits, or the user id of one who hides it.
    pub key: String,
}

impl Citizen {
    pub(super) fn new(api: Arc<GraphApi>, number: String, key: String) -> Self {
        Self { api, number, key }
    }

    /// The name of the chat in [`GraphApi::phones`].
    pub fn chat_name(&self) -> String {
        chat_name(&self.number, &self.key)
    }

    /// Everything in the chat, oldest first.
    pub fn chat(&self) -> Vec<Bubble> {
        self.api.phones.of(&self.chat_name())
    }

    /// The answer that came behind `read` others; waits for it.
    pub async fn hears(&self, read: usize, patience: Duration) -> Option<Bubble> {
        self.api.phones.answer(&self.chat_name(), read, patience).await
    }

    /// What `look` finds in the chat, now or when it changes.
    pub async fn sees<T>(&self, patience: Duration, look: impl FnMut(&[Bubble]) -> Option<T>) -> Option<T> {
        self.api.phones.wait_for(&self.chat_name(), patience, look).await
    }

    /// A message of any kind, with its content and what it answers. The answer is its id.
    fn sends_as(&self, kind: &str, content: Value, context: Option<Value>, bubble: Bubble) -> String {
        let (id, now) = (wamid(), self.api.now());
        let mut people = self.api.people();
        let Some(person) = people.find(&self.key) else { return id };
        person.writes(&self.number, now);
        let (mut message, contact) = (person.sender(), person.contact());
        drop(people);
        message.insert("id".to_owned(), json!(id));
        message.insert("timestamp".to_owned(), json!(now.as_second().to_string()));
        message.insert("type".to_owned(), json!(kind));
        message.insert(kind.to_owned(), content);
        message.extend(context.map(|context| ("context".to_owned(), context)));
        let message = Value::Object(message);
        if !matches!(kind, "edit" | "revoke" | "reaction") {
            let bubble = Bubble { id: id.clone(), document: message.clone(), ..bubble };
            self.api.phones.add(&self.chat_name(), bubble);
        }
        self.api.deliver(Item { number: self.number.clone(), contact, message });
        id
    }

    /// A message of a kind that nobody has to know: `{"type": kind, kind: content}`.
    pub fn sends(&self, kind: &str, content: Value) -> String {
        let words = content["body"].as_str().unwrap_or_default().to_owned();
        self.sends_as(kind, content, None, Bubble::new("", Side::Citizen, words))
    }

    /// Any item of `messages`, as it is; no bubble shows it.
    pub fn sends_raw(&self, message: Value) {
        let contact = self.api.people().find(&self.key).map(|person| person.contact());
        self.api.deliver(Item { number: self.number.clone(), contact: contact.unwrap_or_default(), message });
    }

    pub fn says(&self, text: &str) -> String {
        self.sends("text", json!({ "body": text }))
    }

    pub fn replies(&self, to: &str, text: &str) -> String {
        let bubble = Bubble { reply_to: Some(to.to_owned()), ..Bubble::new("", Side::Citizen, text) };
        self.sends_as("text", json!({ "body": text }), Some(self.context(to)), bubble)
    }

    /// Names the message that is answered, and whose it is: the business.
    fn context(&self, of: &str) -> Value {
        let shown = self.api.app.numbers.get(&self.number).map_or("", String::as_str);
        let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
        json!({ "from": digits, "id": of })
    }

    /// A file of a kind: `image`, `video`, `audio`, `document`, `sticker`.
    pub fn sends_file(&self, kind: &str, file: File, caption: Option<&str>) -> String {
        let id = self.api.keep(file.clone());
        let mut content = json!({ "id": id, "mime_type": file.media_type });
        if let Some(caption) = caption {
            content["caption"] = json!(caption);
        }
        if let (Some(name), "document") = (&file.name, kind) {
            content["filename"] = json!(name);
        }
        let mut bubble = Bubble::new("", Side::Citizen, caption.unwrap_or_default());
        bubble.file = Some(Enclosed { id, media_type: file.media_type, name: file.name });
        self.sends_as(kind, content, None, bubble)
    }

    pub fn sends_image(&self, bytes: Vec<u8>, caption: Option<&str>) -> String {
        self.sends_file("image", File::new(bytes, "image/jpeg"), caption)
    }

    pub fn sends_voice(&self, bytes: Vec<u8>) -> String {
        let id = self.api.keep(File::new(bytes, "audio/ogg"));
        let content = json!({ "id": id, "mime_type": "audio/ogg; codecs=opus", "voice": true });
        let mut bubble = Bubble::new("", Side::Citizen, "");
        bubble.file = Some(Enclosed { id, media_type: "audio/ogg".to_owned(), name: None });
        self.sends_as("audio", content, None, bubble)
    }

    pub fn sends_document(&self, file: File, caption: Option<&str>) -> String {
        self.sends_file("document", file, caption)
    }

    pub fn shares_location(&self, latitude: f64, longitude: f64) -> String {
        let bubble = Bubble { place: Some((latitude, longitude)), ..Bubble::new("", Side::Citizen, "") };
        self.sends_as("location", json!({ "latitude": latitude, "longitude": longitude }), None, bubble)
    }

    /// Somebody's card, by name and number.
    pub fn shares_contact(&self, name: &str, phone: &str) -> String {
        let card = json!([{ "name": { "formatted_name": name, "first_name": name }, "phones": [{ "phone": phone }] }]);
        self.sends("contacts", card)
    }

    /// A kind that the API cannot show, like a poll.
    pub fn sends_unsupported(&self) -> String {
        let (id, mut message) =
            (wamid(), self.api.people().find(&self.key).map(|person| person.sender()).unwrap_or_default());
        message.insert("id".to_owned(), json!(id));
        message.insert("timestamp".to_owned(), json!(self.api.now().as_second().to_string()));
        message.insert("type".to_owned(), json!("unsupported"));
        let details = json!({ "details": "Message type is not currently supported" });
        message.insert("errors".to_owned(), json!([{ "code": 131_051, "title": "Message type unknown", "message": "Message type unknown", "error_data": details }]));
        self.sends_raw(Value::Object(message));
        id
    }

    /// Changes the words of a message that was sent: an event of its own.
    pub fn edits(&self, message: &str, text: &str) -> String {
        self.api.phones.change(&self.chat_name(), message, |bubble| text.clone_into(&mut bubble.text));
        let inner = json!({ "type": "text", "text": { "body": text } });
        self.sends_as("edit", json!({ "original_message_id": message, "message": inner }), None, nothing())
    }

    /// Takes a message back.
    pub fn revokes(&self, message: &str) -> String {
        self.api.phones.change(&self.chat_name(), message, |bubble| bubble.text.clear());
        self.sends_as("revoke", json!({ "original_message_id": message }), None, nothing())
    }

    pub fn reacts(&self, message: &str, emoji: &str) -> String {
        let reaction = Some(emoji.to_owned()).filter(|emoji| !emoji.is_empty());
        self.api.phones.change(&self.chat_name(), message, |bubble| bubble.reaction = reaction);
        self.sends_as("reaction", json!({ "message_id": message, "emoji": emoji }), None, nothing())
    }

    /// Touches the newest button or row with this title, or with this id; `false` when there is none.
    pub fn presses(&self, word: &str) -> bool {
        let found = self.chat().into_iter().rev().filter(|bubble| bubble.side == Side::Gateway);
        let found = found.into_iter().find_map(|bubble| bubble.button(word).cloned().map(|button| (bubble, button)));
        found.is_some_and(|(bubble, button)| self.touches(&bubble, &button))
    }

    /// Touches a button of one message, however old.
    pub fn presses_on(&self, message: &str, word: &str) -> bool {
        let bubble = self.api.phones.find(&self.chat_name(), message);
        bubble.is_some_and(|bubble| bubble.button(word).is_some_and(|button| self.touches(&bubble, button)))
    }

    fn touches(&self, bubble: &Bubble, button: &Button) -> bool {
        let kind = match button.kind {
            ButtonKind::Button => "button_reply",
            ButtonKind::Row => "list_reply",
            ButtonKind::Location => {
                // Where nobody lives: a corner of a park in the invented town.
                self.shares_location(-6.31, 106.79);
                return true;
            }
            _ => return false,
        };
        let content = json!({ "type": kind, kind: { "id": button.data, "title": button.label } });
        let shown = Bubble { reply_to: Some(bubble.id.clone()), ..Bubble::new("", Side::Citizen, &button.label) };
        self.sends_as("interactive", content, Some(self.context(&bubble.id)), shown);
        true
    }

    /// Reads the chat: what was delivered is now read, and a status says so.
    pub fn reads(&self) {
        let delivered = |bubble: &Bubble| bubble.side == Side::Gateway && bubble.tick == Tick::Delivered;
        let Some(person) = self.api.people().find(&self.key).cloned() else { return };
        for bubble in self.chat().into_iter().filter(delivered) {
            self.api.phones.change(&self.chat_name(), &bubble.id, |bubble| bubble.tick = Tick::Read);
            if self.api.switches().statuses == Statuses::InOrder {
                self.api.status(&bubble.id, &self.number, &person, &bubble.id, Tick::Read, None);
            }
        }
    }

    /// Nothing is delivered any more, as long as it is so.
    pub fn blocks(&self) {
        if let Some(person) = self.api.people().find(&self.key) {
            person.has_blocked = true;
        }
    }
}

fn nothing() -> Bubble {
    Bubble::new("", Side::Citizen, "")
}
