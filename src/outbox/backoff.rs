//! How long an answer waits for its next try: doubling from `retry.first` to `retry.cap`, with full jitter, so that what
//! failed together does not come back together. `Retry-After` wins. Pure.

use std::time::Duration;

use crate::adapter::webhook::rules::RetryRules;

/// The wait before the next try. `tries` were made so far, at least one; `draw` is random.
pub(super) fn wait(rules: &RetryRules, tries: u32, asked: Option<Duration>, draw: u64) -> Duration {
    if let Some(asked) = asked {
        return asked;
    }
    let doublings = tries.saturating_sub(1).min(31);
    let longest = rules.first.duration().saturating_mul(1 << doublings).min(rules.cap.duration());
    let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    // The remainder is even enough: the draw has 64 bits and a wait has less than 42.
    Duration::from_millis(draw % millis.saturating_add(1).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Span;

    fn rules() -> RetryRules {
        RetryRules { first: Span::from_secs(5), cap: Span::from_secs(60), ..RetryRules::default() }
    }

    #[test]
    fn the_longest_wait_doubles_up_to_the_cap() {
        let longest = |tries| {
            let draws = 0..=60_000_u64;
            draws.map(|draw| wait(&rules(), tries, None, draw)).max().expect("draws")
        };
        for (tries, seconds) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (u32::MAX, 60)] {
            assert_eq!(longest(tries), Duration::from_secs(seconds), "after {tries} tries");
        }
    }

    #[test]
    fn what_the_provider_asks_for_wins() {
        let asked = Some(Duration::from_secs(4000));
        assert_eq!(wait(&rules(), 1, asked, 7), Duration::from_secs(4000));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_cap(tries: u32, draw: u64, first in 0_u64..1 << 40, cap in 0_u64..1 << 40) {
            let rules = RetryRules { first: Span::from_millis(first), cap: Span::from_millis(cap), ..rules() };
            prop_assert!(wait(&rules, tries, None, draw) <= Duration::from_millis(cap));
        }
    }
}
