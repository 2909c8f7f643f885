//! What answers say about the quota that is left.
//!
//! There are three ways to say it: the structured fields `RateLimit` and `RateLimit-Policy` of
//! draft-ietf-httpapi-ratelimit-headers, the three fields `RateLimit-Limit`, `-Remaining` and
//! `-Reset` of its older versions (with `RateLimit: limit=…, remaining=…, reset=…` in between), and
//! the same three with `X-` before them, whose reset may be a time of day.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header::DATE};
use tokio::time::Instant;

use super::pace::Pace;

#[cfg(test)]
mod heeding;
#[cfg(test)]
mod tests;

/// The longest time until a reset that is believed.
const LONGEST: f64 = 86_400.0;
/// Seconds from here on are a time of day, since the epoch; before, from now on.
const EPOCH_SECS: f64 = 1e8;
/// And from here on it is in milliseconds.
const EPOCH_MILLIS: f64 = 1e11;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static TRIPLES: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("ratelimit-limit"),
        HeaderName::from_static("ratelimit-remaining"),
        HeaderName::from_static("ratelimit-reset"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit"),
        HeaderName::from_static("x-ratelimit-remaining"),
        HeaderName::from_static("x-ratelimit-reset"),
    ],
];

/// The pace that an answer asks for, until the quota is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// No slot comes before.
    pub(super) from: Instant,
    interval: Duration,
    until: Instant,
}

/// A quota: how many attempts are left of how many, and for how many seconds from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quota {
    limit: Option<f64>,
    remaining: f64,
    reset: f64,
}

impl Told {
    pub(super) fn pace(&self, now: Instant) -> Option<Pace> {
        self.lasts(now).map(|_| Pace::watched(self.interval))
    }

    /// For how long it holds on, if it does.
    pub(super) fn lasts(&self, now: Instant) -> Option<Duration> {
        (now < self.until).then(|| self.until - now)
    }
}

impl Quota {
    /// How it slows attempts, of which `others` are under way and may not have been counted yet.
    ///
    /// Not at all while half of it remains. Then what remains is spread over the time that remains;
    /// and where nothing does, that time has to pass, but no more of it than `longest`.
    pub(super) fn slows(self, others: usize, now: Instant, longest: Duration) -> Option<Told> {
        #[expect(clippy::cast_precision_loss, reason = "attempts under way are few")]
        let remaining = self.remaining - others as f64;
        if self.limit.is_some_and(|limit| remaining * 2.0 >= limit) {
            return None;
        }
        let until = now + Duration::from_secs_f64(self.reset);
        let interval = Duration::from_secs_f64(self.reset / remaining.max(1.0)).min(longest);
        let from = if self.remaining < 1.0 { until.min(now + longest) } else { now };
        Some(Told { from, interval, until })
    }

    /// The seconds between two attempts that use it up.
    fn interval(&self) -> f64 {
        if self.remaining < 1.0 { f64::INFINITY } else { self.reset / self.remaining }
    }
}

/// The quota that an answer speaks of; of several the one that lasts the least.
pub(super) fn read(headers: &HeaderMap) -> Option<Quota> {
    let slower =
        |one: Quota, other: Quota| if one.interval() < other.interval() { other } else { one };
    let structured = headers.get_all(RATE_LIMIT).iter().filter_map(|value| value.to_str().ok());
    let structured = structured.filter_map(|value| {
        items(value)
            .filter_map(|item| of_item(headers, item))
            .chain(of_dictionary(value))
            .reduce(slower)
    });
    let triples = TRIPLES.iter().filter_map(|names| of_triple(headers, names));
    structured.chain(triples).reduce(slower)
}

/// An item such as `"default";r=50;t=30`, its quota found in the policy of that name.
fn of_item(headers: &HeaderMap, item: &str) -> Option<Quota> {
    let remaining = number(parameter(item, "r")?)?;
    let policies =
        headers.get_all(RATE_LIMIT_POLICY).iter().filter_map(|value| value.to_str().ok());
    let policy = policies.flat_map(items).find(|policy| name(policy) == name(item));
    let of_policy = |key| number(parameter(policy?, key)?);
    // An item may leave the time out; then the window is the longest that it can be.
    let reset = parameter(item, "t").and_then(number).or_else(|| of_policy("w"))?;
    Some(Quota { limit: of_policy("q"), remaining, reset: reset.min(LONGEST) })
}

/// `limit=100, remaining=50, reset=5`
fn of_dictionary(value: &str) -> Option<Quota> {
    let of = |key| {
        let members = value.split([',', ';']).filter_map(|member| member.split_once('='));
        members.map(|(key, value)| (key.trim(), value)).find(|member| member.0 == key)
    };
    let remaining = number(of("remaining")?.1)?;
    let reset = number(of("reset")?.1)?.min(LONGEST);
    Some(Quota { limit: of("limit").and_then(|(_, value)| number(value)), remaining, reset })
}

fn of_triple(headers: &HeaderMap, [limit, remaining, reset]: &[HeaderName; 3]) -> Option<Quota> {
    let text = |name| headers.get(name)?.to_str().ok();
    // The limit may be followed by policies.
    let first = |value: &str| number(value.split([',', ';']).next()?);
    let remaining = first(text(remaining)?)?;
    let reset = match number(text(reset)?)? {
        delta if delta < EPOCH_SECS => delta,
        time => {
            let time = if time < EPOCH_MILLIS { time } else { time / 1000.0 };
            let now = httpdate::parse_http_date(text(&DATE)?).ok()?;
            let now = now.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs_f64();
            (time - now).max(0.0)
        }
    };
    Some(Quota { limit: text(limit).and_then(first), remaining, reset: reset.min(LONGEST) })
}

/// The members of a list, split at commas that stand in no string.
fn items(list: &str) -> impl Iterator<Item = &str> {
    split(list, ',').map(str::trim)
}

/// What stands before an item's parameters.
fn name(item: &str) -> &str {
    split(item, ';').next().unwrap_or_default().trim().trim_matches('"')
}

fn parameter<'a>(item: &'a str, key: &str) -> Option<&'a str> {
    let parameters = split(item, ';').skip(1).filter_map(|parameter| parameter.split_once('='));
    parameters
        .map(|(key, value)| (key.trim(), value))
        .find(|found| found.0 == key)
        .map(|found| found.1)
}

/// Splits at a separator that stands in no string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |char| {
        is_quoted ^= char == '"';
        !is_quoted && char == separator
    })
}

/// A number that is neither negative nor more than a number.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|number: &f64| is_plain && number.is_finite())
}
