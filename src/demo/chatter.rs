//! A citizen in front of a chat, whichever it is: what the story and the page let them do.

use std::{sync::Arc, time::Duration};

use super::{
    Providers, WHATSAPP_NUMBER,
    files::File,
    graph::{self, people::Person},
    phones::Bubble,
    telegram::{self, sending::Kind},
};

#[derive(Debug)]
pub enum Chatter {
    Telegram(telegram::citizen::Citizen),
    WhatsApp(graph::citizen::Citizen),
}

impl Chatter {
    /// By the number of the account.
    pub fn telegram(providers: &Providers, id: i64, name: &str) -> Self {
        Self::Telegram(Arc::clone(&providers.telegram).citizen_with(id, name, "id"))
    }

    /// By the phone number.
    pub fn whatsapp(providers: &Providers, phone: &str, name: &str) -> Self {
        let person = Person::with_phone(phone, name);
        Self::WhatsApp(Arc::clone(&providers.whatsapp).citizen(WHATSAPP_NUMBER, person))
    }

    pub fn says(&self, text: &str) {
        match self {
            Self::Telegram(citizen) => _ = citizen.says(text),
            Self::WhatsApp(citizen) => _ = citizen.says(text),
        }
    }

    /// A picture as one, anything else as a document.
    pub fn sends_file(&self, file: File, caption: Option<&str>) {
        let kind = file.media_type.split('/').next().unwrap_or_default().to_owned();
        match (self, kind.as_str()) {
            (Self::Telegram(citizen), "image") => _ = citizen.sends_file(Kind::Photo, file, caption),
            (Self::Telegram(citizen), "video") => _ = citizen.sends_file(Kind::Video, file, caption),
            (Self::Telegram(citizen), "audio") => _ = citizen.sends_file(Kind::Audio, file, caption),
            (Self::Telegram(citizen), _) => _ = citizen.sends_document(file, caption),
            (Self::WhatsApp(citizen), "image" | "video" | "audio") => _ = citizen.sends_file(&kind, file, caption),
            (Self::WhatsApp(citizen), _) => _ = citizen.sends_document(file, caption),
        }
    }

    pub fn shares_location(&self, latitude: f64, longitude: f64) {
        match self {
            Self::Telegram(citizen) => _ = citizen.shares_location(latitude, longitude),
            Self::WhatsApp(citizen) => _ = citizen.shares_location(latitude, longitude),
        }
    }

    /// Touches a button of a message, by its label or data; `false` when there is none.
    pub fn presses_on(&self, message: &str, word: &str) -> bool {
        match self {
            Self::Telegram(citizen) => citizen.presses_on(message, word),
            Self::WhatsApp(citizen) => citizen.presses_on(message, word),
        }
    }

    /// The answer that came behind `read` others; waits for it.
    pub async fn hears(&self, read: usize, patience: Duration) -> Option<Bubble> {
        match self {
            Self::Telegram(citizen) => citizen.hears(read, patience).await,
            Self::WhatsApp(citizen) => citizen.hears(read, patience).await,
        }
    }

    /// Looks at the chat: what was delivered is read.
    pub fn reads(&self) {
        if let Self::WhatsApp(citizen) = self {
            citizen.reads();
        }
    }
}
