//! What the gateway remembers of one sender on one channel, between messages.
//!
//! The bytes live in the store under the sender's key and change by compare-and-set. They hold no address and no words,
//! only what the rules of `complaint-format.md` §5.2 need.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::complaint::{Privacy, TrackingId};

/// Most reports that are remembered: STATUS without a number shows as many.
const REPORTS: usize = 5;
/// Most times of answers that are remembered: the loop breaker looks at no more.
const ANSWERS: usize = 8;

/// A report of this sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    #[serde(rename = "i")]
    pub complaint_id: Uuid,
    #[serde(rename = "t")]
    pub tracking_id: TrackingId,
    #[serde(rename = "q")]
    pub queue: String,
    /// When the last message that belongs to it was received, Unix seconds.
    #[serde(rename = "a")]
    pub at: i64,
    /// Hash of the description: the same text again is a possible duplicate.
    #[serde(rename = "h")]
    pub text: u64,
    /// Follow-ups so far.
    #[serde(rename = "s", default)]
    pub sequence: u32,
    #[serde(rename = "p")]
    pub privacy: Privacy,
}

/// The state of one sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Oldest first.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Remembered>,
    /// When we answered, Unix seconds, oldest first.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<i64>,
    /// The language that the citizen asked for.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// BERHENTI: no more notifications.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// When the hint about a text that is too short went out last, Unix seconds.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub short_hint_at: Option<i64>,
}

impl Memory {
    /// Reads the stored bytes; none and unreadable ones are an empty memory, as no complaint may fail because of it.
    pub fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn remember(&mut self, report: Remembered) {
        self.reports.push(report);
        let surplus = self.reports.len().saturating_sub(REPORTS);
        self.reports.drain(..surplus);
    }

    pub fn answered(&mut self, now: Timestamp) {
        self.answered.push(now.as_second());
        let surplus = self.answered.len().saturating_sub(ANSWERS);
        self.answered.drain(..surplus);
    }

    /// How many answers went out in the last `seconds`.
    pub fn answers_within(&self, seconds: i64, now: Timestamp) -> usize {
        self.answered.iter().filter(|at| now.as_second() - **at < seconds).count()
    }

    pub fn report(&mut self, id: &TrackingId) -> Option<&mut Remembered> {
        self.reports.iter_mut().find(|report| report.tracking_id == *id)
    }

    /// The last report, if its last message was received within `seconds`.
    pub fn recent(&mut self, seconds: i64, now: Timestamp) -> Option<&mut Remembered> {
        self.reports.last_mut().filter(|report| now.as_second() - report.at < seconds)
    }

    /// A report of the last `seconds` with the same text.
    pub fn same_text(&self, text: u64, seconds: i64, now: Timestamp) -> Option<&Remembered> {
        self.reports.iter().find(|report| report.text == text && now.as_second() - report.at < seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_nobody_can_read_are_an_empty_memory() {
        assert_eq!(Memory::read(b"{\"r\":7}"), Memory::default());
        assert_eq!(Memory::read(b""), Memory::default());
    }

    #[test]
    fn only_the_last_answers_are_counted() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let mut memory = Memory::default();
        for second in 0..20 {
            memory.answered(Timestamp::from_second(999_900 + second * 5).expect("a time"));
        }
        assert_eq!(memory.answers_within(300, now), ANSWERS);
        assert_eq!(memory.answers_within(6, now), 1);
        assert_eq!(Memory::read(&memory.write()), memory);
    }
}
