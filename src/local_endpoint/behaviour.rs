use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// How the endpoint answers profiles. Shares are between 0 and 1, of all requests that are
/// authenticated; at most one of the failures befalls a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Answers every profile with this status. It is taken if that is a success.
    pub status: Option<u16>,
    /// `Retry-After` of `throttled` and of a `status` of 429 or 503.
    pub retry_after_secs: Option<u64>,
    /// The share answered 429 without `Retry-After`.
    pub rate_limited: f64,
    /// The share answered 429 with `Retry-After`, 1 second if `retry_after_secs` is not set.
    pub throttled: f64,
    /// The share answered 503.
    pub unavailable: f64,
    /// The share whose connection is reset before the profile is taken.
    pub reset_before: f64,
    /// The share whose connection is reset after the profile was taken.
    pub reset_after: f64,
    /// The share that is answered late, in whatever way.
    pub delayed: f64,
    /// How late.
    pub delay_ms: u64,
    /// Answers every token request with this status.
    pub token_status: Option<u16>,
}

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The profile is taken and answered with this status.
    Take(StatusCode),
    /// It is answered with this status.
    Refuse(StatusCode, Option<u64>),
    ResetBefore,
    ResetAfter,
}

impl Behaviour {
    /// Fails a share of the requests, in equal parts by 429, by 503 and by a reset before and
    /// after the profile is taken, and delays as many by 20 ms.
    pub fn failing(share: f64) -> Self {
        let part = share / 4.0;
        Self {
            rate_limited: part,
            unavailable: part,
            reset_before: part,
            reset_after: part,
            delayed: share,
            delay_ms: 20,
            ..Self::default()
        }
    }

    /// Answers everything with one status.
    pub fn answering(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        for status in [self.status, self.token_status].into_iter().flatten() {
            if !(200..=599).contains(&status) {
                return Err(format!("{status} is no status of an answer: 200 to 599"));
            }
        }
        let shares = self.failures().map(|(share, _)| share);
        let each = shares.iter().chain([&self.delayed]).all(|share| (0.0..=1.0).contains(share));
        if each && shares.iter().sum::<f64>() <= 1.0 + f64::EPSILON {
            Ok(())
        } else {
            Err("shares lie between 0 and 1, and so does the sum of the failures".to_owned())
        }
    }

    /// What befalls a request for which `luck` was drawn, evenly between 0 and 1.
    pub(super) fn fate(&self, mut luck: f64) -> Fate {
        for (share, fate) in self.failures() {
            if luck < share {
                return fate;
            }
            luck -= share;
        }
        let status = self.status.and_then(|status| StatusCode::from_u16(status).ok());
        match status.unwrap_or(StatusCode::OK) {
            status if status.is_success() => Fate::Take(status),
            status => {
                let waits = matches!(status.as_u16(), 429 | 503);
                Fate::Refuse(status, self.retry_after_secs.filter(|_| waits))
            }
        }
    }

    pub(super) fn delay(&self, luck: f64) -> Option<Duration> {
        (luck < self.delayed && self.delay_ms > 0).then(|| Duration::from_millis(self.delay_ms))
    }

    fn failures(&self) -> [(f64, Fate); 5] {
        let after = Some(self.retry_after_secs.unwrap_or(1));
        [
            (self.rate_limited, Fate::Refuse(StatusCode::TOO_MANY_REQUESTS, None)),
            (self.throttled, Fate::Refuse(StatusCode::TOO_MANY_REQUESTS, after)),
            (self.unavailable, Fate::Refuse(StatusCode::SERVICE_UNAVAILABLE, None)),
            (self.reset_before, Fate::ResetBefore),
            (self.reset_after, Fate::ResetAfter),
        ]
    }
}

/// The `n`th number of the sequence that a seed stands for, evenly between 0 and 1 (`SplitMix64`).
pub(super) fn luck(seed: u64, n: u64) -> f64 {
    let mut bits = seed.wrapping_add((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
    let fraction = (bits >> 11) as f64 / (1u64 << 53) as f64;
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_in_their_shares_and_in_the_same_order_for_the_same_seed() {
        let behaviour = Behaviour::failing(0.4);
        behaviour.check().unwrap();
        let draw = |seed| (0..10_000).map(move |n| behaviour.fate(luck(seed, n)));
        for fate in [Fate::ResetBefore, Fate::ResetAfter] {
            let count = draw(7).filter(|drawn| *drawn == fate).count();
            assert!((900..1100).contains(&count), "{fate:?}: {count}");
        }
        let taken = draw(7).filter(|fate| matches!(fate, Fate::Take(_))).count();
        assert!((5800..6200).contains(&taken), "{taken}");
        assert!(draw(7).eq(draw(7)));
        assert!(draw(7).ne(draw(8)));
    }

    #[test]
    fn shares_over_one_and_impossible_statuses_are_found() {
        assert!(
            Behaviour { unavailable: 0.6, rate_limited: 0.5, ..Default::default() }
                .check()
                .is_err()
        );
        assert!(Behaviour { delayed: 1.1, ..Default::default() }.check().is_err());
        assert!(Behaviour { reset_after: f64::NAN, ..Default::default() }.check().is_err());
        assert!(Behaviour::answering(42).check().is_err());
        assert!(Behaviour::failing(1.0).check().is_ok());
    }
}
