use std::{num::NonZeroU32, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, sleep};

use crate::delivery::{
    RateLimitSettings, RateLimiter,
    test_support::{millis, secs},
};

const LONGEST: Duration = Duration::from_mins(5);

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    list.iter().map(pair).collect()
}

/// How long an attempt after an answer with these headers waits, and how long the one after it.
async fn waits(limiter: &RateLimiter, list: &[(&'static str, &str)]) -> (Duration, Duration) {
    limiter.heed(&headers(list), LONGEST);
    let began = Instant::now();
    limiter.take().await;
    let taken = Instant::now();
    limiter.take().await;
    (taken - began, taken.elapsed())
}

async fn unpaced(list: &[(&'static str, &str)]) -> (Duration, Duration) {
    waits(&RateLimiter::unlimited(), list).await
}

#[tokio::test(start_paused = true)]
async fn what_remains_is_spread_over_the_time_that_remains_however_it_is_said() {
    let now = "Thu, 01 Jan 2026 00:00:00 GMT"; // 1767225600
    for list in [
        &[("ratelimit", "\"default\";r=20;t=60"), ("ratelimit-policy", "\"default\";q=100;w=60")][..],
        &[("ratelimit", "\"a;b,c\";r=20;t=60"), ("ratelimit-policy", "\"x\";q=1, \"a;b,c\";q=100")],
        &[("ratelimit", "\"default\";r=20"), ("ratelimit-policy", "\"default\";q=100;w=60")],
        &[("ratelimit", "\"hour\";r=900;t=60, \"minute\";r=20;t=60")],
        &[("ratelimit", "limit=100, remaining=20, reset=60")],
        &[
            ("ratelimit-limit", "100, 100;w=60"),
            ("ratelimit-remaining", "20"),
            ("ratelimit-reset", "60"),
        ],
        &[
            ("x-ratelimit-limit", "100"),
            ("x-ratelimit-remaining", "20"),
            ("x-ratelimit-reset", "60"),
        ],
        &[("x-ratelimit-remaining", "20"), ("x-ratelimit-reset", "1767225660"), ("date", now)],
        &[("x-ratelimit-remaining", "20"), ("x-ratelimit-reset", "1767225660000"), ("date", now)],
    ] {
        assert_eq!(unpaced(list).await, (Duration::ZERO, secs(3)), "{list:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_the_quota_may_be_used_at_any_pace() {
    let list =
        [("ratelimit-limit", "100"), ("ratelimit-remaining", "50"), ("ratelimit-reset", "60")];
    assert_eq!(unpaced(&list).await, (Duration::ZERO, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_used_up_stops_until_it_is_renewed_but_for_no_longer_than_configured() {
    for (reset, wait) in [("7", 7), ("300", 300), ("301", 300), ("999999", 300)] {
        let list = [("ratelimit-remaining", "0"), ("ratelimit-reset", reset)];
        assert_eq!(unpaced(&list).await.0, secs(wait), "{reset}");
    }
}

#[tokio::test(start_paused = true)]
async fn hostile_and_odd_values_stop_nothing_for_longer_than_configured() {
    let huge = "9".repeat(400);
    let values = [
        "",
        "0",
        "-1",
        "1e9",
        "inf",
        "NaN",
        ".",
        "0.0001",
        "1.5",
        "18446744073709551616",
        "99999999",
        "100000000",
        "99999999999",
        &huge,
        "\"\"",
        ";;;",
        "a=b",
        "\u{1}",
    ];
    for (remaining, reset) in values.iter().flat_map(|one| values.map(|other| (*one, other))) {
        let item = format!("x;r={remaining};t={reset}, limit={reset}, remaining={remaining}");
        for list in [
            &[("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset)][..],
            &[
                ("ratelimit-limit", reset),
                ("ratelimit-remaining", remaining),
                ("ratelimit-reset", reset),
            ],
            &[("ratelimit", &item), ("ratelimit-policy", &item)],
        ] {
            if list.iter().any(|(_, value)| HeaderValue::from_str(value).is_err()) {
                continue;
            }
            let (first, second) = unpaced(list).await;
            assert!(first <= LONGEST && second <= LONGEST, "{list:?}: {first:?}, {second:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_renewed_early_gives_the_promised_pace_back_at_once() {
    let (num, burst) = (NonZeroU32::new(10).unwrap(), NonZeroU32::MIN);
    let limiter = RateLimiter::new(RateLimitSettings { num, per: secs(1), burst });
    limiter.heed(&headers(&[("ratelimit", "x;r=1;t=3600")]), LONGEST);
    limiter.take().await;
    limiter
        .heed(&headers(&[("ratelimit", "x;r=99;t=60"), ("ratelimit-policy", "x;q=100")]), LONGEST);
    assert!(
        limiter.available().is_err_and(|wait| wait <= millis(100)),
        "{:?}",
        limiter.available()
    );
    let began = Instant::now();
    limiter.take().await;
    assert_eq!(began.elapsed(), millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_quota_whose_time_is_over_is_forgotten() {
    let limiter = RateLimiter::unlimited();
    limiter.heed(&headers(&[("ratelimit", "x;r=1;t=10")]), LONGEST);
    sleep(secs(9)).await;
    limiter.take().await;
    // The next slot of that pace is later than it holds.
    assert_eq!(limiter.available(), Err(secs(1)));
    sleep(secs(1)).await;
    assert_eq!(waits(&limiter, &[]).await, (Duration::ZERO, Duration::ZERO));
}
