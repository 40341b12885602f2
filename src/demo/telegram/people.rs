//! The invented people of the Bot API: who they are, whether they have opened or blocked the bot, and which buttons turn.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::clock;

/// Most people; then the one with the smallest id goes.
const MOST_PEOPLE: usize = 50_000;
/// Most buttons that turn at once.
const MOST_TAPS: usize = 50_000;
/// Ids of people who were given none.
const FIRST_ID: i64 = 5_000_000_001;

#[derive(Clone, Debug)]
pub struct Person {
    pub id: i64,
    pub first_name: String,
    pub username: Option<String>,
    pub language: String,
    pub phone: String,
    pub has_blocked: bool,
    /// Number of the last message in the chat with the bot.
    pub last_message: i64,
}

impl Person {
    pub fn new(id: i64, first_name: &str, language: &str) -> Self {
        Self {
            id,
            first_name: first_name.to_owned(),
            username: None,
            language: language.to_owned(),
            // Numbers of this kind are given to nobody.
            phone: format!("+62811{:08}", id.rem_euclid(100_000_000)),
            has_blocked: false,
            last_message: 0,
        }
    }

    /// The person as a `User`.
    pub fn user(&self) -> Value {
        let mut user = json!({
            "id": self.id, "is_bot": false, "first_name": self.first_name, "language_code": self.language,
        });
        if let Some(username) = &self.username {
            user["username"] = json!(username);
        }
        user
    }

    /// The chat of the person with the bot as a `Chat`.
    pub fn chat(&self) -> Value {
        let mut chat = json!({ "id": self.id, "type": "private", "first_name": self.first_name });
        if let Some(username) = &self.username {
            chat["username"] = json!(username);
        }
        chat
    }
}

#[derive(Debug, Default)]
pub struct People {
    persons: BTreeMap<i64, Person>,
    /// Buttons that turn, by the id of their query: whose they are.
    pub taps: HashMap<String, i64>,
}

impl People {
    /// An id that nobody has.
    pub fn fresh(&self) -> i64 {
        self.persons.keys().next_back().map_or(FIRST_ID, |last| last.max(&(FIRST_ID - 1)) + 1)
    }

    /// Somebody new; who is known already stays as they are.
    pub fn enter(&mut self, person: Person) {
        if self.persons.len() >= MOST_PEOPLE {
            self.persons.pop_first();
        }
        self.persons.entry(person.id).or_insert(person);
    }

    pub fn find(&mut self, id: i64) -> Option<&mut Person> {
        self.persons.get_mut(&id)
    }

    /// A button begins to turn.
    pub fn tap(&mut self, of: i64) -> String {
        if self.taps.len() >= MOST_TAPS {
            self.taps.clear();
        }
        let id = u64::from_le_bytes(clock::random()).to_string();
        self.taps.insert(id.clone(), of);
        id
    }
}
