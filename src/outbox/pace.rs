//! How fast a channel may send: a token bucket on monotonic time, kept as the time of the next send (the generic cell rate
//! algorithm). Sends are spread evenly; a tenth of a second's worth may go at once.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Part of a second whose sends may go at once.
const BURST: f64 = 0.1;

/// The slowest pace: one send in a hundred seconds.
const SLOWEST: f64 = 0.01;

/// The fastest pace.
const FASTEST: f64 = 100_000.0;

/// The pace of one channel, shared by its sends.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    interval: Duration,
    /// When the bucket would be empty if nothing more were sent: in the future after a burst.
    next: Instant,
}

impl State {
    /// How far ahead of the pace sends may go.
    fn slack(&self) -> Duration {
        // One send is always allowed; `BURST` adds those of a fast channel.
        let sends = (BURST / self.interval.as_secs_f64()).floor().max(1.0) - 1.0;
        self.interval.mul_f64(sends)
    }
}

impl Pace {
    pub fn new(per_second: f64, now: Instant) -> Self {
        Self(Mutex::new(State { interval: interval(per_second), next: now }))
    }

    /// A reloaded channel may have another pace.
    pub fn set_rate(&self, per_second: f64) {
        self.lock().interval = interval(per_second);
    }

    /// How many sends may leave now.
    pub fn allowed(&self, now: Instant) -> usize {
        let state = self.lock();
        let slack = state.slack();
        let ahead = state.next.saturating_duration_since(now);
        if ahead > slack {
            return 0;
        }
        // Behind `next` time was not used, and it is not saved up beyond the burst.
        (slack.saturating_sub(ahead).as_secs_f64() / state.interval.as_secs_f64() + 1e-6).floor() as usize + 1
    }

    /// Takes one send, and says how long it has to wait.
    pub fn reserve(&self, now: Instant) -> Duration {
        let mut state = self.lock();
        let slack = state.slack();
        let start = state.next.max(now);
        state.next = start + state.interval;
        start.saturating_duration_since(now).saturating_sub(slack)
    }

    /// When a send is allowed again.
    pub fn next(&self) -> Instant {
        let state = self.lock();
        let slack = state.slack();
        state.next.checked_sub(slack).unwrap_or(state.next)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interval(per_second: f64) -> Duration {
    // A pace that is no number is the slowest one.
    let per_second = if per_second.is_nan() { SLOWEST } else { per_second.clamp(SLOWEST, FASTEST) };
    Duration::from_secs_f64(1.0 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_in(per_second: f64, time: Duration) -> usize {
        let start = Instant::now();
        let pace = Pace::new(per_second, start);
        let mut sent = 0;
        for millis in 0..time.as_millis() as u64 {
            let now = start + Duration::from_millis(millis);
            for _ in 0..pace.allowed(now) {
                assert_eq!(pace.reserve(now), Duration::ZERO);
                sent += 1;
            }
        }
        sent
    }

    #[test]
    fn a_channel_sends_at_its_pace_and_no_faster() {
        assert_eq!(sent_in(10.0, Duration::from_secs(1)), 10);
        assert_eq!(sent_in(10.0, Duration::from_secs(10)), 100);
        assert_eq!(sent_in(1.0, Duration::from_secs(10)), 10);
        let fast = sent_in(500.0, Duration::from_secs(2));
        assert!((1000..=1051).contains(&fast), "{fast}");
    }

    #[test]
    fn time_that_was_not_used_is_not_saved_up() {
        let start = Instant::now();
        let pace = Pace::new(10.0, start);
        assert_eq!(pace.allowed(start + Duration::from_hours(1)), 1);
        let pace = Pace::new(100.0, start);
        assert_eq!(pace.allowed(start + Duration::from_hours(1)), 10);
    }

    #[test]
    fn a_reservation_ahead_of_the_pace_waits() {
        let start = Instant::now();
        let pace = Pace::new(10.0, start);
        assert_eq!(pace.reserve(start), Duration::ZERO);
        assert_eq!(pace.reserve(start), Duration::from_millis(100));
        assert_eq!(pace.reserve(start), Duration::from_millis(200));
        assert_eq!(pace.allowed(start + Duration::from_millis(299)), 0);
        assert_eq!(pace.allowed(start + Duration::from_millis(300)), 1);
    }

    #[test]
    fn a_pace_that_is_no_number_is_slow_and_not_endless() {
        let start = Instant::now();
        for rate in [f64::NAN, 0.0, -1.0] {
            let pace = Pace::new(rate, start);
            pace.reserve(start);
            assert_eq!(pace.reserve(start), Duration::from_secs(100));
        }
        assert!(Pace::new(f64::INFINITY, start).allowed(start) > 1000);
    }
}
