//! How long to wait after a failure.

use std::time::Duration;

/// Full-jitter exponential back-off: after the n-th failure in a row a random time up to `base * 2^n`, never past
/// `cap` and never below a tenth of what it could be, so that a fleet neither returns at once nor hammers.
///
/// It starts over only after a success, so a server that takes a connection and then fails gets no respite less.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    state: u64,
}

/// The longest that a server's `Retry-After` is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

impl Backoff {
    /// For an agent that has something new to send every `interval`: first about a tenth of that, at most ten times.
    #[must_use]
    pub fn new(interval: Duration, seed: u64) -> Self {
        Self { base: interval / 12, cap: (interval * 10).min(Duration::from_secs(900)), failures: 0, state: seed | 1 }
    }

    /// Notes a success.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Notes a failure and says how long to wait.
    pub fn fail(&mut self, retry_after: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.base.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        let jittered = ceiling.mul_f64(0.1 + 0.9 * self.uniform());
        // Those who were all told the same time must not all come at that time.
        let asked = retry_after.map(|asked| asked.min(MAX_RETRY_AFTER) + self.base.mul_f64(self.uniform()));
        asked.map_or(jittered, |asked| asked.max(jittered))
    }

    /// A number from 0 to 1 (xorshift64*; nothing here needs to be unpredictable).
    fn uniform(&mut self) -> f64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_differ_between_hosts() {
        let minute = Duration::from_secs(60);
        let mut longest = Duration::ZERO;
        let mut at_cap = std::collections::BTreeSet::new();
        for seed in 0..1000u64 {
            let mut backoff = Backoff::new(minute, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            assert!(backoff.fail(None) <= Duration::from_secs(10));
            for _ in 0..20 {
                longest = longest.max(backoff.fail(None));
            }
            at_cap.insert(backoff.fail(None).as_millis() / 1000);
            backoff.succeed();
            assert!(backoff.fail(None) <= Duration::from_secs(10));
        }
        assert!(longest <= Duration::from_secs(600) && longest > Duration::from_secs(590), "{longest:?}");
        assert!(at_cap.len() > 300, "a fleet spreads over the ten minutes: {} seconds", at_cap.len());
    }

    #[test]
    fn retry_after_is_obeyed_within_reason() {
        let mut backoff = Backoff::new(Duration::from_secs(60), 7);
        let asked = backoff.fail(Some(Duration::from_secs(300)));
        assert!((300..=305).contains(&asked.as_secs()), "{asked:?}");
        assert!(backoff.fail(Some(Duration::from_secs(u64::from(u32::MAX)))) <= Duration::from_secs(3610));
    }
}
