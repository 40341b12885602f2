//! A citizen with Telegram on their phone: what they send to the bot, and what they see.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    super::{
        files::File,
        phones::{Bubble, Button, ButtonKind, Enclosed, Side},
    },
    BotApi, merged, seconds,
    sending::{Kind, file_content},
};
use crate::{clock, complaint::hex};

/// One who writes. Cheap to clone; clones are the same citizen.
#[derive(Clone, Debug)]
pub struct Citizen {
    api: Arc<BotApi>,
    pub id: i64,
}

impl Citizen {
    pub(super) fn new(api: Arc<BotApi>, id: i64) -> Self {
        Self { api, id }
    }

    fn chat_name(&self) -> String {
        self.id.to_string()
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

    /// The message as the API shows it, with its number.
    fn message(&self, content: Value) -> (i64, Value) {
        let number = self.api.next_message(self.id);
        let mut people = self.api.people();
        let (user, chat) = people.find(self.id).map(|person| (person.user(), person.chat())).unwrap_or_default();
        let message = json!({ "message_id": number, "from": user, "chat": chat, "date": seconds() });
        (number, merged(message, content))
    }

    fn show(&self, number: i64, message: &Value, bubble: Bubble) {
        let bubble = Bubble { id: number.to_string(), document: message.clone(), ..bubble };
        self.api.phones.add(&self.chat_name(), bubble);
    }

    /// A message of any content, as the fields of a `Message` beside sender, chat, number and date.
    pub fn sends(&self, content: Value) -> i64 {
        let bubble = Bubble::new("", Side::Citizen, words_of(&content));
        self.sends_as(content, bubble)
    }

    fn sends_as(&self, content: Value, bubble: Bubble) -> i64 {
        let (number, message) = self.message(content);
        self.show(number, &message, bubble);
        self.api.update(self.id, "message", message);
        number
    }

    /// An update of any kind: nobody checks it, and no bubble shows it.
    pub fn sends_raw(&self, kind: &str, content: Value) -> Option<u64> {
        self.api.update(self.id, kind, content)
    }

    pub fn says(&self, text: &str) -> i64 {
        self.sends(spoken(text))
    }

    /// Opens the bot, by a link with a payload or without one.
    pub fn starts(&self, payload: &str) -> i64 {
        self.says(format!("/start {payload}").trim_end())
    }

    pub fn replies(&self, to: i64, text: &str) -> i64 {
        let replied = self.api.phones.find(&self.chat_name(), &to.to_string());
        let content = merged(spoken(text), json!({ "reply_to_message": replied.map(|bubble| bubble.document) }));
        let bubble = Bubble { reply_to: Some(to.to_string()), ..Bubble::new("", Side::Citizen, text) };
        self.sends_as(content, bubble)
    }

    /// Changes the words of a message that was sent.
    pub fn edits(&self, number: i64, text: &str) {
        let mut message = Value::Null;
        self.api.phones.change(&self.chat_name(), &number.to_string(), |bubble| {
            text.clone_into(&mut bubble.text);
            let field = if bubble.document.get("caption").is_some() { "caption" } else { "text" };
            bubble.document[field] = json!(text);
            bubble.document["edit_date"] = json!(seconds());
            message = bubble.document.clone();
        });
        if !message.is_null() {
            self.api.update(self.id, "edited_message", message);
        }
    }

    /// A file of a kind, with words beside it.
    pub fn sends_file(&self, kind: Kind, file: File, caption: Option<&str>) -> i64 {
        let (content, bubble) = self.enclosed(kind, file, caption, None);
        self.sends_as(content, bubble)
    }

    fn enclosed(&self, kind: Kind, file: File, caption: Option<&str>, album: Option<&str>) -> (Value, Bubble) {
        let id = self.api.keep(kind, file.clone());
        let mut content = file_content(kind, &id, &file);
        if let Some(caption) = caption {
            content["caption"] = json!(caption);
        }
        if let Some(album) = album {
            content["media_group_id"] = json!(album);
        }
        let mut bubble = Bubble::new("", Side::Citizen, caption.unwrap_or_default());
        bubble.file = Some(Enclosed { id, media_type: file.media_type, name: file.name });
        (content, bubble)
    }

    pub fn sends_photo(&self, bytes: Vec<u8>, caption: Option<&str>) -> i64 {
        self.sends_file(Kind::Photo, File::new(bytes, "image/jpeg"), caption)
    }

    pub fn sends_video(&self, bytes: Vec<u8>, caption: Option<&str>) -> i64 {
        self.sends_file(Kind::Video, File::new(bytes, "video/mp4").named("video.mp4"), caption)
    }

    pub fn sends_voice(&self, bytes: Vec<u8>) -> i64 {
        self.sends_file(Kind::Voice, File::new(bytes, "audio/ogg"), None)
    }

    pub fn sends_document(&self, file: File, caption: Option<&str>) -> i64 {
        self.sends_file(Kind::Document, file, caption)
    }

    /// Photos that belong together, the words on the first; one update each. When webhooks are mixed up, so are they.
    pub fn sends_album(&self, photos: Vec<Vec<u8>>, caption: Option<&str>) -> Vec<i64> {
        let album = u64::from_le_bytes(clock::random()).to_string();
        let mut parts = Vec::new();
        for (place, bytes) in photos.into_iter().enumerate() {
            let caption = caption.filter(|_| place == 0);
            let (content, bubble) = self.enclosed(Kind::Photo, File::new(bytes, "image/jpeg"), caption, Some(&album));
            let (number, message) = self.message(content);
            self.show(number, &message, bubble);
            parts.push((number, message));
        }
        let numbers = parts.iter().map(|(number, _)| *number).collect();
        if !self.api.delivery.mischief().jitter.is_zero() {
            parts.sort_by_cached_key(|_| clock::random::<4>());
        }
        for (_, message) in parts {
            self.api.update(self.id, "message", message);
        }
        numbers
    }

    pub fn shares_location(&self, latitude: f64, longitude: f64) -> i64 {
        self.shares(latitude, longitude, &json!({ "latitude": latitude, "longitude": longitude }))
    }

    /// A position that is shown for some seconds and moves.
    pub fn shares_live_location(&self, latitude: f64, longitude: f64, seconds: u32) -> i64 {
        let place =
            json!({ "latitude": latitude, "longitude": longitude, "live_period": seconds, "horizontal_accuracy": 20 });
        self.shares(latitude, longitude, &place)
    }

    fn shares(&self, latitude: f64, longitude: f64, place: &Value) -> i64 {
        let bubble = Bubble { place: Some((latitude, longitude)), ..Bubble::new("", Side::Citizen, "") };
        self.sends_as(json!({ "location": place }), bubble)
    }

    /// A live position moves: an edit of its message.
    pub fn moves(&self, number: i64, latitude: f64, longitude: f64) {
        let Some(bubble) = self.api.phones.find(&self.chat_name(), &number.to_string()) else { return };
        let mut message = merged(bubble.document, json!({ "edit_date": seconds() }));
        message["location"] =
            merged(message["location"].clone(), json!({ "latitude": latitude, "longitude": longitude }));
        self.api.update(self.id, "edited_message", message);
    }

    /// The own phone number, as a key of the keyboard asks for it.
    pub fn shares_contact(&self) -> i64 {
        let contact = self.api.people().find(self.id).map(
            |person| json!({ "phone_number": person.phone, "first_name": person.first_name, "user_id": person.id }),
        );
        self.sends(json!({ "contact": contact }))
    }

    /// Touches the newest button or key with this label, or with this data; `false` when there is none.
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
        match button.kind {
            ButtonKind::Key => _ = self.says(&button.label),
            // Where nobody lives: a corner of a park in the invented town.
            ButtonKind::Location => _ = self.shares_location(-6.31, 106.79),
            ButtonKind::Contact => _ = self.shares_contact(),
            ButtonKind::Button => self.taps(bubble, &button.data),
            ButtonKind::Row | ButtonKind::Link => return false,
        }
        true
    }

    fn taps(&self, bubble: &Bubble, data: &str) {
        let mut people = self.api.people();
        let id = people.tap(self.id);
        let user = people.find(self.id).map(|person| person.user());
        drop(people);
        let query = json!({
            "id": id, "from": user, "message": bubble.document, "chat_instance": hex(&self.id.to_be_bytes()), "data": data,
        });
        self.api.update(self.id, "callback_query", query);
    }

    /// The bot may write no more until it is unblocked.
    pub fn blocks(&self) {
        self.turns("member", "kicked", true);
    }

    pub fn unblocks(&self) {
        self.turns("kicked", "member", false);
    }

    fn turns(&self, from: &str, to: &str, has_blocked: bool) {
        let mut people = self.api.people();
        let Some(person) = people.find(self.id) else { return };
        person.has_blocked = has_blocked;
        let (user, chat) = (person.user(), person.chat());
        drop(people);
        let member = |status: &str| {
            let member = json!({ "user": self.api.me, "status": status });
            if status == "kicked" { merged(member, json!({ "until_date": 0 })) } else { member }
        };
        let content = json!({
            "chat": chat, "from": user, "date": seconds(), "old_chat_member": member(from), "new_chat_member": member(to),
        });
        self.api.update(self.id, "my_chat_member", content);
    }
}

/// A text; a command at its beginning is marked as one.
fn spoken(text: &str) -> Value {
    let mut content = json!({ "text": text });
    if text.len() > 1 && text.starts_with('/') {
        let command = text.split_whitespace().next().unwrap_or_default();
        let length = command.encode_utf16().count();
        content["entities"] = json!([{ "offset": 0, "length": length, "type": "bot_command" }]);
    }
    content
}

fn words_of(content: &Value) -> &str {
    content["text"].as_str().or_else(|| content["caption"].as_str()).unwrap_or_default()
}
