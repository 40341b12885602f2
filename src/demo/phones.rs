//! What stands on the screens of the invented citizens: one chat each, its bubbles in order, with buttons, keys and files.
//!
//! In: what a citizen sent and what a simulated provider was asked to send. Out: the bubbles, and a bell for those who wait.
//! Every citizen and every word here is invented, so bubbles may be printed; chats and bubbles are bounded.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::Notify;

/// Most bubbles that a chat remembers; then its oldest tenth goes.
const MOST_BUBBLES: usize = 1000;
/// Most chats; then the one with the first name goes.
const MOST_CHATS: usize = 50_000;
/// A bell that rang between a look and a wait is not missed for longer than this.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Who wrote a bubble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Citizen,
    Gateway,
}

/// How far a message came; never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tick {
    Sent,
    Delivered,
    Read,
    Failed,
}

/// What a touch of a button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonKind {
    /// Under its message; the touch comes as its data.
    Button,
    /// A row of a list that opens; the touch comes as its data.
    Row,
    /// A key of the keyboard under the chat; it comes as its words.
    Key,
    /// A key, or a button, that asks for the position.
    Location,
    /// A key that asks for the citizen's own phone number.
    Contact,
    /// Opens a page.
    Link,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Button {
    pub label: String,
    /// What comes back when it is touched; the place, for a link.
    pub data: String,
    pub kind: ButtonKind,
}

/// A file in a bubble; its bytes are in the provider's [`super::files::Files`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Enclosed {
    pub id: String,
    pub media_type: String,
    pub name: Option<String>,
}

/// A message on a phone.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Bubble {
    /// The provider's id of the message.
    pub id: String,
    pub side: Side,
    pub text: String,
    pub buttons: Vec<Button>,
    pub file: Option<Enclosed>,
    /// Latitude and longitude.
    pub place: Option<(f64, f64)>,
    pub reply_to: Option<String>,
    /// The emoji that the other side put on it.
    pub reaction: Option<String>,
    pub tick: Tick,
    /// The message as the provider's API shows it: for Telegram the `Message`, for WhatsApp what was asked or delivered.
    #[serde(skip)]
    pub document: Value,
}

impl Bubble {
    pub fn new(id: impl Into<String>, side: Side, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            side,
            text: text.into(),
            buttons: Vec::new(),
            file: None,
            place: None,
            reply_to: None,
            reaction: None,
            tick: Tick::Sent,
            document: Value::Null,
        }
    }

    /// The button with this label, or with this data.
    pub fn button(&self, word: &str) -> Option<&Button> {
        let by_label = self.buttons.iter().find(|button| button.label == word);
        by_label.or_else(|| self.buttons.iter().find(|button| button.data == word))
    }

    pub fn labels(&self) -> Vec<&str> {
        self.buttons.iter().map(|button| button.label.as_str()).collect()
    }
}

#[derive(Debug, Default)]
struct Chat {
    bubbles: Vec<Bubble>,
    rang: Arc<Notify>,
}

/// All chats of a provider.
#[derive(Debug, Default)]
pub struct Phones {
    chats: Mutex<BTreeMap<String, Chat>>,
}

impl Phones {
    fn chats(&self) -> MutexGuard<'_, BTreeMap<String, Chat>> {
        self.chats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, chat: &str, bubble: Bubble) {
        let mut chats = self.chats();
        if chats.len() >= MOST_CHATS && !chats.contains_key(chat) {
            chats.pop_first();
        }
        let chat = chats.entry(chat.to_owned()).or_default();
        if chat.bubbles.len() >= MOST_BUBBLES {
            chat.bubbles.drain(..MOST_BUBBLES / 10);
        }
        chat.bubbles.push(bubble);
        chat.rang.notify_waiters();
    }

    /// Changes a bubble; `false` when there is none with this id.
    pub fn change(&self, chat: &str, id: &str, change: impl FnOnce(&mut Bubble)) -> bool {
        let mut chats = self.chats();
        let Some(chat) = chats.get_mut(chat) else { return false };
        let Some(bubble) = chat.bubbles.iter_mut().rev().find(|bubble| bubble.id == id) else { return false };
        change(bubble);
        chat.rang.notify_waiters();
        true
    }

    /// The same in whichever chat it is, of those whose names begin so.
    pub fn change_below(&self, prefix: &str, id: &str, change: impl FnOnce(&mut Bubble)) -> bool {
        let mut chats = self.chats();
        let chats = chats.range_mut(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
        for (_, chat) in chats {
            if let Some(bubble) = chat.bubbles.iter_mut().rev().find(|bubble| bubble.id == id) {
                change(bubble);
                chat.rang.notify_waiters();
                return true;
            }
        }
        false
    }

    /// A chat, oldest bubble first; empty when there is none.
    pub fn of(&self, chat: &str) -> Vec<Bubble> {
        self.chats().get(chat).map(|chat| chat.bubbles.clone()).unwrap_or_default()
    }

    pub fn find(&self, chat: &str, id: &str) -> Option<Bubble> {
        self.chats().get(chat)?.bubbles.iter().rev().find(|bubble| bubble.id == id).cloned()
    }

    /// Every chat with its bubbles, in the order of their names.
    pub fn all(&self) -> Vec<(String, Vec<Bubble>)> {
        self.chats().iter().map(|(name, chat)| (name.clone(), chat.bubbles.clone())).collect()
    }

    /// What `look` finds in a chat, now or when it changes; nothing after `patience`.
    pub async fn wait_for<T>(
        &self,
        chat: &str,
        patience: Duration,
        mut look: impl FnMut(&[Bubble]) -> Option<T>,
    ) -> Option<T> {
        let looking = async {
            loop {
                let rang = {
                    let mut chats = self.chats();
                    let chat = chats.entry(chat.to_owned()).or_default();
                    if let Some(found) = look(&chat.bubbles) {
                        return found;
                    }
                    Arc::clone(&chat.rang)
                };
                let _ = tokio::time::timeout(LOOK_AGAIN, rang.notified()).await;
            }
        };
        tokio::time::timeout(patience, looking).await.ok()
    }

    /// The answer that came behind `read` others of the gateway.
    pub async fn answer(&self, chat: &str, read: usize, patience: Duration) -> Option<Bubble> {
        let look = |bubbles: &[Bubble]| bubbles.iter().filter(|bubble| bubble.side == Side::Gateway).nth(read).cloned();
        self.wait_for(chat, patience, look).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_hears_of_an_answer_and_of_no_word_of_their_own() {
        let phones = Arc::new(Phones::default());
        let waiting = tokio::spawn({
            let phones = Arc::clone(&phones);
            async move { phones.answer("5", 0, Duration::from_secs(5)).await }
        });
        phones.add("5", Bubble::new("1", Side::Citizen, "halo"));
        phones.add("6", Bubble::new("1", Side::Gateway, "for another"));
        phones.add("5", Bubble::new("2", Side::Gateway, "Selamat datang"));
        assert_eq!(waiting.await.expect("no panic").expect("an answer").id, "2");
        assert!(phones.answer("5", 1, Duration::from_millis(10)).await.is_none());
    }

    #[test]
    fn a_chat_forgets_its_oldest_bubbles() {
        let phones = Phones::default();
        for number in 0..=MOST_BUBBLES {
            phones.add("5", Bubble::new(number.to_string(), Side::Citizen, ""));
        }
        let bubbles = phones.of("5");
        assert!(bubbles.len() <= MOST_BUBBLES);
        assert_eq!(bubbles.last().expect("the newest").id, MOST_BUBBLES.to_string());
    }
}
