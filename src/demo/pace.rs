//! How fast simulated providers let us send: so much a second in all and in one chat, with bursts, or it is told how long to wait.

use std::collections::HashMap;

use tokio::time::Instant;

/// Most chats that are counted; then those that have not sent of late are forgotten.
const MOST_CHATS: usize = 10_000;

/// Messages a second, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub per_second: f64,
    pub burst: f64,
    pub chat_per_second: f64,
    pub chat_burst: f64,
}

impl Pace {
    /// The real limits are not published as numbers of a formula: "about 30 a second", "one a second in a chat, short bursts
    /// beyond it are accepted".
    pub fn telegram() -> Self {
        Self { per_second: 30.0, burst: 30.0, chat_per_second: 1.0, chat_burst: 10.0 }
    }

    /// 80 a second of a number; one in six seconds to the same citizen, 45 of them at once.
    pub fn whatsapp() -> Self {
        Self { per_second: 80.0, burst: 80.0, chat_per_second: 1.0 / 6.0, chat_burst: 45.0 }
    }
}

/// What was too fast, and the seconds to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooFast {
    InAll(u64),
    InChat(u64),
}

impl TooFast {
    pub fn seconds(self) -> u64 {
        match self {
            Self::InAll(seconds) | Self::InChat(seconds) => seconds,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn full(burst: f64, now: Instant) -> Self {
        Self { level: burst, at: now }
    }

    fn fill(&mut self, per_second: f64, burst: f64, now: Instant) {
        self.level = (self.level + now.duration_since(self.at).as_secs_f64() * per_second).min(burst);
        self.at = now;
    }

    /// Whole seconds until there is one again, at least one second.
    fn wait(&self, per_second: f64) -> u64 {
        ((1.0 - self.level) / per_second.max(0.001)).ceil().max(1.0) as u64
    }
}

/// Counts what is sent.
#[derive(Debug)]
pub struct Meter {
    pace: Option<Pace>,
    all: Option<Bucket>,
    chats: HashMap<String, Bucket>,
}

impl Meter {
    pub fn new(pace: Option<Pace>) -> Self {
        Self { pace, all: None, chats: HashMap::new() }
    }

    /// One message to a chat, or the seconds to wait. What is refused counts for nothing.
    pub fn take(&mut self, chat: &str, now: Instant) -> Result<(), TooFast> {
        let Some(pace) = self.pace else { return Ok(()) };
        if self.chats.len() >= MOST_CHATS {
            self.chats.retain(|_, bucket| {
                bucket.fill(pace.chat_per_second, pace.chat_burst, now);
                bucket.level < pace.chat_burst
            });
        }
        let all = self.all.get_or_insert_with(|| Bucket::full(pace.burst, now));
        all.fill(pace.per_second, pace.burst, now);
        let one = self.chats.entry(chat.to_owned()).or_insert_with(|| Bucket::full(pace.chat_burst, now));
        one.fill(pace.chat_per_second, pace.chat_burst, now);
        if all.level < 1.0 {
            return Err(TooFast::InAll(all.wait(pace.per_second)));
        }
        if one.level < 1.0 {
            return Err(TooFast::InChat(one.wait(pace.chat_per_second)));
        }
        all.level -= 1.0;
        one.level -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_chat_has_its_burst_and_then_one_a_second() {
        let (mut meter, now) = (Meter::new(Some(Pace::telegram())), Instant::now());
        assert_eq!((0..10).filter(|_| meter.take("5", now).is_ok()).count(), 10);
        assert_eq!(meter.take("5", now), Err(TooFast::InChat(1)));
        assert_eq!(meter.take("6", now), Ok(()), "another chat is not slowed down");
        let later = now + Duration::from_secs(1);
        assert_eq!((meter.take("5", later), meter.take("5", later)), (Ok(()), Err(TooFast::InChat(1))));
    }

    #[test]
    fn all_chats_together_have_thirty_a_second() {
        let (mut meter, now) = (Meter::new(Some(Pace::telegram())), Instant::now());
        assert_eq!((0..60).filter(|chat| meter.take(&chat.to_string(), now).is_ok()).count(), 30);
        let later = now + Duration::from_secs(1);
        assert_eq!((60..120).filter(|chat| meter.take(&chat.to_string(), later).is_ok()).count(), 30);
    }

    #[test]
    fn without_a_pace_nothing_is_refused() {
        let (mut meter, now) = (Meter::new(None), Instant::now());
        assert!((0..1000).all(|_| meter.take("5", now).is_ok()));
    }
}
