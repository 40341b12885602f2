//! What the bot sends: texts, files and places, to citizens who have opened it and not blocked it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{
        files::File,
        parameters::Parameters,
        phones::{Bubble, ButtonKind, Enclosed, Side, Tick},
    },
    BotApi, markup, merged,
    method::Refusal,
    people::Person,
    seconds,
};

/// Characters of a text, and of the words beside a file. The real one counts UTF-16 units behind the formatting.
const LONGEST_TEXT: usize = 4096;
const LONGEST_CAPTION: usize = 1024;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Photo,
    Document,
    Video,
    Audio,
    Voice,
    Location,
}

impl Kind {
    /// By the method, in lower case.
    pub fn of(method: &str) -> Option<Self> {
        Some(match method {
            "sendmessage" => Self::Text,
            "sendphoto" => Self::Photo,
            "senddocument" => Self::Document,
            "sendvideo" => Self::Video,
            "sendaudio" => Self::Audio,
            "sendvoice" => Self::Voice,
            "sendlocation" => Self::Location,
            _ => return None,
        })
    }

    /// The parameter, and the field of the message, that holds the file.
    pub fn field(self) -> Option<&'static str> {
        Some(match self {
            Self::Text | Self::Location => return None,
            Self::Photo => "photo",
            Self::Document => "document",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Voice => "voice",
        })
    }
}

impl BotApi {
    /// Whom a call is for.
    pub(super) fn recipient(&self, parameters: &Parameters) -> Result<Person, Refusal> {
        if parameters.text("chat_id").is_none() {
            return Err(Refusal::bad("chat_id is empty"));
        }
        let mut people = self.people();
        let person = parameters.number("chat_id").and_then(|id| people.find(id));
        let person = person.ok_or_else(|| Refusal::bad("chat not found"))?;
        if person.has_blocked {
            return Err(Refusal::new(403, "Forbidden: bot was blocked by the user"));
        }
        Ok(person.clone())
    }

    /// Sends a message; the answer is the message.
    pub(super) fn send(self: &Arc<Self>, kind: Kind, parameters: &Parameters) -> Result<Value, Refusal> {
        let person = self.recipient(parameters)?;
        let markup = parameters.document("reply_markup").map_err(Refusal::bad)?;
        let buttons = markup::read(markup.as_ref())?;
        let (mut bubble, mut content) = self.content(kind, parameters)?;
        if let Some(replied) = self.replied(&person, parameters)? {
            bubble.reply_to = Some(replied.id.clone());
            content["reply_to_message"] = replied.document;
        }
        self.meter(person.id)?;
        if buttons.iter().any(|button| matches!(button.kind, ButtonKind::Button | ButtonKind::Link)) {
            content["reply_markup"] = markup.unwrap_or_default();
        }
        let id = self.next_message(person.id);
        let message = json!({ "message_id": id, "from": self.me, "chat": person.chat(), "date": seconds() });
        let message = merged(message, content);
        bubble.id = id.to_string();
        bubble.buttons = buttons;
        bubble.tick = Tick::Delivered;
        bubble.document = message.clone();
        self.phones.add(&person.id.to_string(), bubble);
        Ok(message)
    }

    /// The bubble, and the fields of the message that are its content.
    fn content(&self, kind: Kind, parameters: &Parameters) -> Result<(Bubble, Value), Refusal> {
        let Some(field) = kind.field() else {
            return if kind == Kind::Location { place(parameters) } else { text(parameters) };
        };
        let (id, file) = self.file_of(field, parameters)?;
        let caption = parameters.text("caption");
        if caption.as_ref().is_some_and(|caption| caption.encode_utf16().count() > LONGEST_CAPTION) {
            return Err(Refusal::bad("message caption is too long"));
        }
        let mut content = file_content(kind, &id, &file);
        if let Some(caption) = &caption {
            content["caption"] = json!(caption);
        }
        let mut bubble = Bubble::new("", Side::Gateway, caption.unwrap_or_default());
        bubble.file = Some(Enclosed { id, media_type: file.media_type.clone(), name: file.name.clone() });
        Ok((bubble, content))
    }

    /// The message that is replied to.
    fn replied(&self, person: &Person, parameters: &Parameters) -> Result<Option<Bubble>, Refusal> {
        let broken = |_| Refusal::bad("can't parse reply parameters JSON object");
        let reply = parameters.document("reply_parameters").map_err(broken)?;
        let id = match &reply {
            Some(reply) => reply["message_id"].as_i64(),
            None => parameters.number("reply_to_message_id"),
        };
        let Some(id) = id else { return Ok(None) };
        let found = self.phones.find(&person.id.to_string(), &id.to_string());
        let is_lenient = reply.is_some_and(|reply| reply["allow_sending_without_reply"] == json!(true))
            || parameters.is_set("allow_sending_without_reply");
        if found.is_none() && !is_lenient {
            return Err(Refusal::bad("message to be replied not found"));
        }
        Ok(found)
    }

    /// Takes the buttons of a message away, or others in their place.
    pub(super) fn change_buttons(&self, parameters: &Parameters) -> Result<Value, Refusal> {
        let person = self.recipient(parameters)?;
        let markup = parameters.document("reply_markup").map_err(Refusal::bad)?;
        let buttons = markup::read(markup.as_ref())?;
        let id = parameters.number("message_id").unwrap_or_default().to_string();
        let mut message = Value::Null;
        self.phones.change(&person.id.to_string(), &id, |bubble| {
            bubble.buttons = buttons;
            bubble.document["reply_markup"] = markup.unwrap_or_default();
            message = bubble.document.clone();
        });
        if message.is_null() { Err(Refusal::bad("message to edit not found")) } else { Ok(message) }
    }

    pub(super) fn next_message(&self, of: i64) -> i64 {
        self.people().find(of).map_or(1, |person| {
            person.last_message += 1;
            person.last_message
        })
    }
}

fn text(parameters: &Parameters) -> Result<(Bubble, Value), Refusal> {
    let text = parameters.text("text").filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Refusal::bad("message text is empty"))?;
    if text.encode_utf16().count() > LONGEST_TEXT {
        return Err(Refusal::bad("message is too long"));
    }
    let content = json!({ "text": text });
    Ok((Bubble::new("", Side::Gateway, text), content))
}

fn place(parameters: &Parameters) -> Result<(Bubble, Value), Refusal> {
    let number = |name: &str| parameters.decimal(name).ok_or_else(|| Refusal::bad(&format!("{name} is empty")));
    let (latitude, longitude) = (number("latitude")?, number("longitude")?);
    let mut bubble = Bubble::new("", Side::Gateway, "");
    bubble.place = Some((latitude, longitude));
    Ok((bubble, json!({ "location": { "latitude": latitude, "longitude": longitude } })))
}

/// A file as the field of a message. Sizes of pictures and lengths of films are invented: nobody here reads the bytes.
pub fn file_content(kind: Kind, id: &str, file: &File) -> Value {
    let mut field = json!({ "file_id": id, "file_unique_id": unique(id), "file_size": file.bytes.len() });
    if kind == Kind::Photo {
        let small = json!({ "file_id": format!("{id}-s"), "file_unique_id": format!("{}s", unique(id)), "width": 90, "height": 60, "file_size": file.bytes.len().min(2000) });
        let large = merged(field, json!({ "width": 1280, "height": 853 }));
        return json!({ "photo": [small, large] });
    }
    field["mime_type"] = json!(file.media_type);
    if let Some(name) = &file.name {
        field["file_name"] = json!(name);
    }
    match kind {
        Kind::Video => field = merged(field, json!({ "duration": 3, "width": 640, "height": 360 })),
        Kind::Audio | Kind::Voice => field["duration"] = json!(3),
        _ => {}
    }
    if kind == Kind::Voice {
        // A voice message has no name.
        field.as_object_mut().map(|field| field.remove("file_name"));
    }
    json!({ kind.field().unwrap_or("document"): field })
}

fn unique(id: &str) -> String {
    format!("AQAD{}", id.get(id.len().saturating_sub(12)..).unwrap_or_default())
}
