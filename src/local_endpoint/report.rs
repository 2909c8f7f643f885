use std::{
    collections::BTreeMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::latency::Latency;

/// Custom headers beyond these are not remembered.
const HEADERS: usize = 64;

/// What the endpoint saw since it was started. Every request of one profile is either taken,
/// refused, unauthorized, or reset before it was taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests that carried profiles.
    pub requests: u64,
    /// Profiles that were taken, repeats included; where they come in batches, more than requests.
    pub taken: u64,
    /// Those of the taken whose version had been taken before.
    pub duplicates: u64,
    /// Those of the taken that came after a higher version of the profile.
    pub order_violations: u64,
    /// Requests answered with an error on purpose.
    pub refused: u64,
    /// Those without a token that holds.
    pub unauthorized: u64,
    /// Those whose body is not a profile.
    pub unreadable: u64,
    /// Those whose connection was reset before the profile was taken.
    pub reset_before: u64,
    /// Those of the taken whose connection was reset instead of an answer.
    pub reset_after: u64,
    /// Profiles that were taken at least once.
    pub profiles: u64,
    /// Bytes of the bodies that were taken.
    pub bytes: u64,
    /// Tokens that were granted.
    pub tokens: u64,
    /// Token requests that were refused.
    pub tokens_refused: u64,
    /// The most requests that were under way at once.
    pub max_concurrency: u64,
    /// Custom headers, each with the value it had last.
    pub headers: BTreeMap<String, String>,
    /// From the moment that `Profile-Version` tells to the first arrival of that version.
    pub latency_ms: Quantiles,
}

/// Quantiles of a time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// The counters behind a report.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: Counter,
    pub(super) taken: Counter,
    pub(super) duplicates: Counter,
    pub(super) order_violations: Counter,
    pub(super) refused: Counter,
    pub(super) unauthorized: Counter,
    pub(super) unreadable: Counter,
    pub(super) reset_before: Counter,
    pub(super) reset_after: Counter,
    pub(super) profiles: Counter,
    pub(super) bytes: Counter,
    pub(super) tokens: Counter,
    pub(super) tokens_refused: Counter,
    pub(super) latency: Latency,
    in_flight: AtomicU64,
    max_concurrency: AtomicU64,
    headers: RwLock<Vec<(HeaderName, HeaderValue)>>,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a AtomicU64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Counters {
    /// Counts a request as under way until what is returned is dropped.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.requests.add(1);
        let now = self.in_flight.fetch_add(1, Relaxed) + 1;
        self.max_concurrency.fetch_max(now, Relaxed);
        UnderWay(&self.in_flight)
    }

    /// Remembers the custom headers of a request.
    pub(super) fn see(&self, headers: &HeaderMap) {
        let custom = || headers.iter().filter(|(name, _)| is_custom(name));
        let known = self.headers.read().unwrap_or_else(PoisonError::into_inner);
        if custom().all(|(name, value)| known.iter().any(|(n, v)| n == name && v == value)) {
            return;
        }
        drop(known);
        let mut known = self.headers.write().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in custom() {
            known.retain(|(n, _)| n != name);
            if known.len() < HEADERS {
                known.push((name.clone(), value.clone()));
            }
        }
    }

    pub(super) fn report(&self) -> Report {
        let count = |counter: &Counter| counter.0.load(Relaxed);
        let headers = self.headers.read().unwrap_or_else(PoisonError::into_inner);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Report {
            requests: count(&self.requests),
            taken: count(&self.taken),
            duplicates: count(&self.duplicates),
            order_violations: count(&self.order_violations),
            refused: count(&self.refused),
            unauthorized: count(&self.unauthorized),
            unreadable: count(&self.unreadable),
            reset_before: count(&self.reset_before),
            reset_after: count(&self.reset_after),
            profiles: count(&self.profiles),
            bytes: count(&self.bytes),
            tokens: count(&self.tokens),
            tokens_refused: count(&self.tokens_refused),
            max_concurrency: self.max_concurrency.load(Relaxed),
            headers: headers.iter().map(|(n, v)| (n.to_string(), text(v))).collect(),
            latency_ms: self.latency.quantiles(),
        }
    }
}

/// Whether a header is none of those that every request of a sink or of curl has.
fn is_custom(name: &HeaderName) -> bool {
    !matches!(
        *name,
        header::HOST
            | header::CONTENT_TYPE
            | header::CONTENT_LENGTH
            | header::CONTENT_ENCODING
            | header::TRANSFER_ENCODING
            | header::CONNECTION
            | header::EXPECT
            | header::ACCEPT
            | header::ACCEPT_ENCODING
            | header::USER_AGENT
            | header::AUTHORIZATION
    ) && !matches!(name.as_str(), "profile-version" | "idempotency-key")
}
