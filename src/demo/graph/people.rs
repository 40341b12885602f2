//! The invented people of WhatsApp: known by a phone number, by an id that only this business sees, or by both.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// Most people; then the one with the first key goes.
const MOST_PEOPLE: usize = 50_000;
/// How long free text may be sent after the citizen's last message.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Debug, Default)]
pub struct Person {
    /// Digits only, with the country in front.
    pub phone: Option<String>,
    /// The business-scoped user id, like `ID.13491208655302741918`.
    pub user_id: Option<String>,
    pub name: String,
    /// Who has one hides the phone number.
    pub username: Option<String>,
    pub has_blocked: bool,
    /// When they wrote last, by the number they wrote to.
    pub heard: BTreeMap<String, Timestamp>,
}

impl Person {
    pub fn with_phone(phone: &str, name: &str) -> Self {
        let digits = phone.chars().filter(char::is_ascii_digit).collect();
        Self { phone: Some(digits), name: name.to_owned(), ..Self::default() }
    }

    pub fn with_user_id(user_id: &str, name: &str) -> Self {
        Self { user_id: Some(user_id.to_owned()), name: name.to_owned(), ..Self::default() }
    }

    /// What the person is found by.
    fn key(&self) -> String {
        self.phone.clone().or_else(|| self.user_id.clone()).unwrap_or_default()
    }

    /// The item of `contacts` in a webhook.
    pub fn contact(&self) -> Value {
        let mut profile = json!({ "name": self.name });
        if let Some(username) = &self.username {
            profile["username"] = json!(username);
        }
        let mut contact = Map::new();
        contact.insert("profile".to_owned(), profile);
        contact.extend(self.phone.iter().map(|phone| ("wa_id".to_owned(), json!(phone))));
        contact.extend(self.user_id.iter().map(|id| ("user_id".to_owned(), json!(id))));
        Value::Object(contact)
    }

    /// The fields of a message that say whose it is.
    pub fn sender(&self) -> Map<String, Value> {
        let mut sender = Map::new();
        sender.extend(self.phone.iter().map(|phone| ("from".to_owned(), json!(phone))));
        sender.extend(self.user_id.iter().map(|id| ("from_user_id".to_owned(), json!(id))));
        sender
    }

    /// The fields of a status that say whom the message was for.
    pub fn recipient(&self) -> Map<String, Value> {
        let mut recipient = Map::new();
        recipient.extend(self.phone.iter().map(|phone| ("recipient_id".to_owned(), json!(phone))));
        recipient.extend(self.user_id.iter().map(|id| ("recipient_user_id".to_owned(), json!(id))));
        recipient
    }

    pub fn writes(&mut self, number: &str, now: Timestamp) {
        self.heard.insert(number.to_owned(), now);
    }

    /// Has the person written to this number within the window?
    pub fn is_open(&self, number: &str, now: Timestamp) -> bool {
        self.heard.get(number).is_some_and(|heard| now.duration_since(*heard) < WINDOW)
    }
}

#[derive(Debug, Default)]
pub struct People {
    persons: BTreeMap<String, Person>,
}

impl People {
    /// Somebody new; who is known already stays as they are. The answer is their key.
    pub fn enter(&mut self, person: Person) -> String {
        if self.persons.len() >= MOST_PEOPLE {
            self.persons.pop_first();
        }
        let key = person.key();
        self.persons.entry(key.clone()).or_insert(person);
        key
    }

    pub fn find(&mut self, key: &str) -> Option<&mut Person> {
        self.persons.get_mut(key)
    }

    /// By phone number in any writing, or by user id.
    pub fn addressed(&self, to: Option<&str>, recipient: Option<&str>) -> Option<(String, Person)> {
        let key = match (to, recipient) {
            // The number counts when both are given.
            (Some(to), _) => to.chars().filter(char::is_ascii_digit).collect(),
            (None, Some(id)) => {
                let found = self.persons.iter().find(|(_, person)| person.user_id.as_deref() == Some(id));
                return found.map(|(key, person)| (key.clone(), person.clone()));
            }
            (None, None) => return None,
        };
        self.persons.get(&key).map(|person| (key, person.clone()))
    }
}
