//! How long a channel whose reading failed is left alone: 1 s, doubling up to 60 s, with jitter, so that many channels on
//! one server do not come back in step. Pure.

use std::time::Duration;

/// After so many failures in a row, at least one; `draw` is random. Between half of the time and all of it.
pub fn pause(failures: u32, draw: u64) -> Duration {
    let longest = 1000_u64.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(60_000);
    Duration::from_millis(longest / 2 + draw % (longest / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_a_minute() {
        for (failures, seconds) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u32::MAX, 60)] {
            let draws = (0..=60_000_u64).map(|draw| pause(failures, draw));
            let (shortest, longest) =
                draws.fold((Duration::MAX, Duration::ZERO), |(low, high), pause| (low.min(pause), high.max(pause)));
            assert_eq!(longest, Duration::from_secs(seconds), "after {failures}");
            assert_eq!(shortest, Duration::from_millis(seconds * 500), "after {failures}");
        }
    }
}
