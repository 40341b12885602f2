//! What the gateway remembers of one sender on one channel: fragments that wait, the last reports, the last answers.
//!
//! It is the value of the store's [`crate::store::SenderState`]: the stages change it, the store compares its version. It
//! holds words and addresses only while a fragment waits. Everything in it has a bound.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::complaint::{Privacy, TrackingId};

mod draft;
mod fragments;

pub use draft::{Agreed, AgreedBy, Answers, Draft, FurtherReceipt, Kept, Part, Question, State, Submitted};
pub use fragments::{Flushed, Fragment, Gathering, Waiting};

/// Reports that are remembered: STATUS without a number shows as many.
const REPORTS: usize = 5;
/// Times of answers that are remembered: the loop breaker and the cap of a day look at no more.
pub const ANSWERS: usize = 32;
/// Look-ups within an hour; more are not answered.
const LOOK_UPS: usize = 10;
/// Older reports whose follow-ups are still numbered.
const COUNTS: usize = 16;
/// Ids of messages that are remembered for each report, to know an edit.
const MESSAGES: usize = 8;

/// A report of this sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    #[serde(rename = "i")]
    pub complaint_id: Uuid,
    #[serde(rename = "t")]
    pub tracking_id: TrackingId,
    /// Where it went; empty until the router has said so.
    #[serde(rename = "q")]
    pub queue: String,
    /// When the message that completed it was received, Unix seconds.
    #[serde(rename = "a")]
    pub at: i64,
    /// Hash of its words; 0 when there were none. The same words again are a possible duplicate.
    #[serde(rename = "h")]
    pub text: u64,
    /// Follow-ups so far.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub sequence: u32,
    #[serde(rename = "p")]
    pub privacy: Privacy,
    /// Hashes of its messages' ids: an edit of one of them corrects this report.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<u64>,
    /// It has the words of this earlier report, whose tracking id is the one that the citizen knows.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub first: Option<(Uuid, TrackingId)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// The memory of one sender.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sender {
    /// Fragments of messages that are not whole yet.
    #[serde(rename = "w", skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Messages that went on before they were whole: a fragment that comes late still finds its complaint.
    #[serde(rename = "f", skip_serializing_if = "Vec::is_empty")]
    pub flushed: Vec<Flushed>,
    /// Oldest first.
    #[serde(rename = "r", skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
    /// Follow-ups so far of reports that are no longer among the last.
    #[serde(rename = "n", skip_serializing_if = "Vec::is_empty")]
    counts: Vec<(Uuid, u32)>,
    /// When we answered, Unix seconds, oldest first.
    #[serde(rename = "a", skip_serializing_if = "Vec::is_empty")]
    answers: Vec<i64>,
    /// When the sender looked a report up, Unix seconds, oldest first.
    #[serde(rename = "u", skip_serializing_if = "Vec::is_empty")]
    look_ups: Vec<i64>,
    /// When the hint about a text that is too short went out last, Unix seconds.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    pub short_hint_at: Option<i64>,
    /// The language that the citizen asked for: `id` or `en`.
    #[serde(rename = "l", skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The complaint that a chat is asking about.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub draft: Option<Box<Draft>>,
    /// A draft was deleted because it was left too long, and the citizen has not been told yet.
    #[serde(rename = "e", skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub submitted: Option<Submitted>,
    /// Open until the next message.
    #[serde(rename = "k", skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// BERHENTI: no more notifications. Answers to the citizen's own messages still go.
    #[serde(rename = "x", skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

/// Prints nothing: fragments hold a citizen's words.
impl std::fmt::Debug for Sender {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sender(***)")
    }
}

impl Sender {
    /// From the store's bytes; empty bytes are a sender never seen. Bytes that cannot be read give an error that names the cause.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        // The message of the parser names the place, never the words.
        serde_json::from_slice(bytes).map_err(|error| {
            format!("a sender's memory cannot be read (line {}, column {})", error.line(), error.column())
        })
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("the memory is plain data with string keys")
    }

    /// When a timer has to look at it.
    pub fn deadline(&self) -> Option<Timestamp> {
        let draft = self.draft.iter().map(|draft| draft.next);
        let first = self.waiting.iter().map(|waiting| waiting.deadline).chain(draft).min()?;
        Timestamp::from_millisecond(first).ok()
    }

    /// Keeps the newest reports.
    pub fn remember(&mut self, mut report: Report) {
        report.messages.truncate(MESSAGES);
        self.reports.push(report);
        let surplus = self.reports.len().saturating_sub(REPORTS);
        let leaving = self.reports.drain(..surplus).filter(|report| report.sequence > 0);
        self.counts.extend(leaving.map(|report| (report.complaint_id, report.sequence)));
        keep_last(&mut self.counts, COUNTS);
    }

    /// Counts one follow-up more. `known` is the number that others know of.
    pub fn next_sequence(&mut self, complaint_id: Uuid, known: u32) -> u32 {
        if let Some(report) = self.report_mut(complaint_id) {
            report.sequence = report.sequence.max(known).saturating_add(1);
            return report.sequence;
        }
        let counted =
            self.counts.iter().position(|(id, _)| *id == complaint_id).map(|place| self.counts.remove(place).1);
        let next = counted.unwrap_or(0).max(known).saturating_add(1);
        self.counts.push((complaint_id, next));
        keep_last(&mut self.counts, COUNTS);
        next
    }

    pub fn report(&self, id: &TrackingId) -> Option<&Report> {
        self.reports.iter().find(|report| report.tracking_id == *id)
    }

    pub fn report_mut(&mut self, complaint_id: Uuid) -> Option<&mut Report> {
        self.reports.iter_mut().find(|report| report.complaint_id == complaint_id)
    }

    /// Notes where the router sent a complaint: its follow-ups go to the same queue.
    pub fn routed(&mut self, complaint_id: Uuid, queue: &str) {
        if let Some(report) = self.report_mut(complaint_id) {
            queue.clone_into(&mut report.queue);
        }
    }

    /// Notes that an answer goes out: too many in a short time are a loop between two machines.
    pub fn answered(&mut self, now: Timestamp) {
        self.answers.push(now.as_second());
        keep_last(&mut self.answers, ANSWERS);
    }

    /// When the last answer went out.
    pub fn answered_at(&self) -> Option<Timestamp> {
        self.answers.last().and_then(|at| Timestamp::from_second(*at).ok())
    }

    /// How many answers went out in the time before `now`; at most as many as are remembered.
    pub fn answers_within(&self, span: SignedDuration, now: Timestamp) -> usize {
        within(&self.answers, span.as_secs(), now)
    }

    /// Notes a look-up; false when the sender has used up those of an hour.
    pub fn may_look_up(&mut self, at: Timestamp) -> bool {
        let allowed = within(&self.look_ups, 3600, at) < LOOK_UPS;
        if allowed {
            self.look_ups.push(at.as_second());
            keep_last(&mut self.look_ups, LOOK_UPS);
        }
        allowed
    }
}

fn keep_last<T>(list: &mut Vec<T>, most: usize) {
    let surplus = list.len().saturating_sub(most);
    list.drain(..surplus);
}

fn within(times: &[i64], seconds: i64, now: Timestamp) -> usize {
    // A clock that was set back leaves times in the future: those far ahead must not keep a citizen silent (G8).
    times.iter().filter(|at| now.as_second().abs_diff(**at) < seconds.unsigned_abs()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::{ChosenBy, ContentDisclosure, ReporterDisclosure};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn report(number: u8) -> Report {
        Report {
            complaint_id: Uuid::from_bytes([number; 16]),
            tracking_id: TrackingId::from_random([number; 5]),
            queue: String::new(),
            at: 1_000,
            text: 7,
            sequence: 0,
            privacy: Privacy {
                reporter_disclosure: ReporterDisclosure::Agency,
                content_disclosure: ContentDisclosure::Public,
                chosen_by: ChosenBy::Default,
            },
            messages: vec![1; 100],
            first: None,
        }
    }

    #[test]
    fn a_memory_reads_back_as_it_was_written_and_stays_small() {
        let mut sender = Sender { language: Some("en".to_owned()), stopped: true, ..Sender::default() };
        for number in 0..20 {
            sender.remember(report(number));
            sender.answered(at(1_000 + i64::from(number)));
            sender.may_look_up(at(1_000));
        }
        sender.routed(Uuid::from_bytes([19; 16]), "dinas-jalan");
        let bytes = sender.encode();
        assert!(bytes.len() < 2_048, "{} bytes", bytes.len());
        assert!(Sender::decode(&bytes).as_ref() == Ok(&sender));
        assert_eq!(sender.reports.len(), REPORTS);
        assert_eq!(sender.reports.last().map(|report| report.queue.as_str()), Some("dinas-jalan"));
        assert_eq!(sender.deadline(), None);
    }

    #[test]
    fn follow_ups_are_numbered_even_when_five_reports_came_after() {
        let mut sender = Sender::default();
        sender.remember(report(0));
        assert_eq!(sender.next_sequence(Uuid::from_bytes([0; 16]), 0), 1);
        assert_eq!(sender.next_sequence(Uuid::from_bytes([0; 16]), 4), 5);
        for number in 1..7 {
            sender.remember(report(number));
        }
        assert_eq!(sender.next_sequence(Uuid::from_bytes([0; 16]), 0), 6);
        assert_eq!(sender.next_sequence(Uuid::from_bytes([99; 16]), 2), 3);
    }

    #[test]
    fn a_sender_never_seen_is_empty_and_unreadable_bytes_are_an_error() {
        assert!(Sender::decode(b"") == Ok(Sender::default()));
        let error = Sender::decode(b"{\"r\":7}").expect_err("a number is no list");
        assert!(error.contains("column"), "{error}");
    }

    #[test]
    fn only_answers_of_the_last_minutes_are_counted() {
        let mut sender = Sender::default();
        for second in [100, 390, 395, 399] {
            sender.answered(at(second));
        }
        assert_eq!(sender.answers_within(SignedDuration::from_secs(300), at(400)), 3);
        assert_eq!(sender.answers_within(SignedDuration::from_secs(6), at(400)), 2);
    }

    #[test]
    fn ten_look_ups_an_hour_are_answered() {
        let mut sender = Sender::default();
        assert_eq!((0..15).filter(|_| sender.may_look_up(at(5_000))).count(), 10);
        assert!(sender.may_look_up(at(5_000 + 3_600)));
    }
}
