//! Where webhooks go, how long a provider goes on trying, and how it may misbehave.

use std::{fmt, ops::RangeInclusive, time::Duration};

use ring::hmac;
use tokio::sync::Semaphore;

use crate::complaint::hex;

/// How a provider shows that a webhook is its own.
#[derive(Clone)]
pub enum Proof {
    None,
    /// The same words in a header each time.
    Token {
        header: &'static str,
        token: String,
    },
    /// HMAC-SHA256 of the body in hex, behind `sha256=`.
    Signature {
        header: &'static str,
        secret: String,
    },
}

/// Prints no secret.
impl fmt::Debug for Proof {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Proof")
    }
}

impl Proof {
    pub fn header(&self, body: &[u8]) -> Option<(String, String)> {
        match self {
            Self::None => None,
            Self::Token { header, token } => Some(((*header).to_owned(), token.clone())),
            Self::Signature { header, secret } => {
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
                Some(((*header).to_owned(), format!("sha256={}", hex(tag.as_ref()))))
            }
        }
    }
}

/// A webhook.
pub struct Target {
    /// What was set: the first, as the provider knows only one. The others are gateways behind the same name.
    pub urls: Vec<String>,
    pub proof: Proof,
    /// Requests at once.
    pub slots: Semaphore,
}

impl Target {
    /// One webhook, behind which are the gateways at these URLs: there is at least one.
    pub fn new(urls: Vec<String>, proof: Proof, at_once: usize) -> Self {
        Self { urls, proof, slots: Semaphore::new(at_once.max(1)) }
    }

    pub fn url(&self) -> &str {
        self.urls.first().map_or("", String::as_str)
    }

    /// Now this gateway, now that, as a balancer chooses; `chance` is any number.
    pub fn chosen(&self, chance: u64) -> &str {
        let count = u64::try_from(self.urls.len()).unwrap_or(u64::MAX).max(1);
        let place = usize::try_from(chance % count).unwrap_or(0);
        self.urls.get(place).map_or("", String::as_str)
    }
}

/// The proof is a secret, and so may the URL be.
impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Target")
    }
}

/// When a provider tries again, and until when.
#[derive(Clone, Debug)]
pub struct Policy {
    /// For one request, from the first byte to the last.
    pub patience: Duration,
    /// Statuses that end it.
    pub success: RangeInclusive<u16>,
    /// Before the first try again.
    pub first: Duration,
    /// Before the second; then each wait is twice the one before it.
    pub base: Duration,
    /// The longest wait is a chance between these two.
    pub longest: (Duration, Duration),
    /// Longest `Retry-After` that is obeyed; zero: none is.
    pub obeys: Duration,
    /// Age at which a document is dropped.
    pub gives_up: Duration,
    /// For how long a target may answer 410 before its webhook is taken away.
    pub closes: Option<Duration>,
}

impl Policy {
    /// Telegram's, as observed: at once, then doubling up to a chance between 60 and 120 seconds, for a day.
    pub fn telegram() -> Self {
        Self {
            patience: Duration::from_mins(1),
            success: 200..=299,
            first: Duration::ZERO,
            base: Duration::from_secs(1),
            longest: (Duration::from_mins(1), Duration::from_mins(2)),
            obeys: Duration::from_hours(1),
            gives_up: Duration::from_hours(24),
            closes: Some(Duration::from_hours(23)),
        }
    }

    /// WhatsApp's: 200 and nothing else, with back-off for up to seven days. How long it waits for a reply and between two
    /// tries is published nowhere; these are guesses on the careful side.
    pub fn whatsapp() -> Self {
        Self {
            patience: Duration::from_secs(10),
            success: 200..=200,
            first: Duration::from_secs(1),
            base: Duration::from_secs(2),
            longest: (Duration::from_mins(10), Duration::from_mins(15)),
            obeys: Duration::ZERO,
            gives_up: Duration::from_hours(7 * 24),
            closes: None,
        }
    }

    /// The same, but nobody waits longer than this between two tries. For tests and demonstrations.
    #[must_use]
    pub fn hurried(self, base: Duration, longest: Duration) -> Self {
        Self { first: self.first.min(base), base, longest: (longest, longest), ..self }
    }

    /// The wait behind a number of failures; `chance` is any number.
    pub fn wait(&self, failures: u32, chance: u64) -> Duration {
        if failures <= 1 {
            return self.first;
        }
        let (least, most) = self.longest;
        let spread = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
        let longest = least + Duration::from_millis(chance.checked_rem(spread).unwrap_or_default());
        self.base.saturating_mul(1_u32.checked_shl(failures - 2).unwrap_or(u32::MAX)).min(longest)
    }
}

/// How a provider misbehaves; by default it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mischief {
    /// How often each document is delivered again although it was taken.
    pub copies: u32,
    /// Before each document.
    pub delay: Duration,
    /// By chance up to this much more: documents of different lanes overtake each other.
    pub jitter: Duration,
}

impl Mischief {
    pub fn wait(&self, chance: u64) -> Duration {
        let jitter = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        self.delay + Duration::from_millis(chance.checked_rem(jitter).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn telegram_comes_again_at_once_then_doubles_up_to_two_minutes() {
        let policy = Policy::telegram();
        let waits: Vec<_> = (1..=5).map(|failures| policy.wait(failures, 0).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8]);
        assert_eq!(policy.wait(40, 30_000), Duration::from_secs(90));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(failures: u32, chance: u64) {
            for policy in [Policy::telegram(), Policy::whatsapp(), Policy::telegram().hurried(Duration::from_millis(1), Duration::from_millis(9))] {
                prop_assert!(policy.wait(failures, chance) <= policy.longest.1);
            }
        }
    }

    #[test]
    fn a_signature_is_over_the_body() {
        let proof = Proof::Signature { header: "x-hub-signature-256", secret: "key".to_owned() };
        // A known value for this key and this sentence.
        let (_, value) = proof.header(b"The quick brown fox jumps over the lazy dog").expect("a header");
        assert_eq!(value, "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    }
}
