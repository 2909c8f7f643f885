//! What answers teach the limiter.

use http::header::{HeaderName, RETRY_AFTER};

use super::*;
use crate::delivery::{
    rate_limit::RateLimit,
    test_support::{Outcome, answer_with},
};

/// A service that learns from what a script answers.
fn learning(limiter: &RateLimiter, script: &Script) -> RateLimit<Script> {
    let layer = RateLimitLayer::new(limiter.clone());
    let layer = layer.learning(Classes::default(), &Component::detached());
    layer.heeding_headers(secs(300)).layer(script.clone())
}

async fn send(limiter: &RateLimiter, outcome: Outcome) {
    learning(limiter, &Script::of([outcome])).oneshot(request()).await.unwrap();
}

const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

fn telling(remaining: &str, reset: &str) -> Outcome {
    answer_with(200, &[(LIMIT, "100"), (REMAINING, remaining), (RESET, reset)])
}

#[tokio::test(start_paused = true)]
async fn without_a_pace_nothing_is_waited_for() {
    let limiter = RateLimiter::unlimited();
    assert_eq!((limiter.available(), limiter.interval()), (Ok(usize::MAX), Duration::ZERO));
    assert_eq!(send_times(&limiter, 500).await, [Duration::ZERO; 500]);
}

#[tokio::test(start_paused = true)]
async fn a_429_begins_a_pace_that_no_other_failure_begins() {
    let limiter = RateLimiter::unlimited();
    for status in [500, 502, 503, 422, 200] {
        send(&limiter, answer(status)).await;
        assert_eq!(limiter.interval(), Duration::ZERO, "{status}");
    }
    send(&limiter, answer(429)).await;
    assert_eq!(limiter.interval(), millis(250));
    assert_eq!(send_times(&limiter, 3).await, [250, 500, 750].map(millis));
}

#[tokio::test(start_paused = true)]
async fn a_429_that_asks_for_a_long_wait_teaches_no_pace() {
    let limiter = RateLimiter::unlimited();
    send(&limiter, answer_with(429, &[(RETRY_AFTER, "60")])).await;
    assert_eq!(limiter.interval(), Duration::ZERO);
    send(&limiter, answer_with(429, &[(RETRY_AFTER, "1")])).await;
    assert_eq!(limiter.interval(), millis(250));
}

#[tokio::test(start_paused = true)]
async fn a_learned_pace_is_never_above_the_promised_one() {
    let limiter = limiter(1, secs(1), 5);
    send(&limiter, answer(429)).await;
    assert_eq!(limiter.interval(), secs(1));
}

#[tokio::test(start_paused = true)]
async fn refusals_of_what_was_sent_before_the_pace_was_slowed_count_once() {
    let limiter = RateLimiter::unlimited();
    let script = Script::new((0..200).map(|_| (millis(10), answer(200))));
    join_all((0..200).map(|_| learning(&limiter, &script).oneshot(request()))).await;
    let script = Script::new((0..50).map(|_| (millis(10), answer(429))));
    join_all((0..50).map(|_| learning(&limiter, &script).oneshot(request()))).await;
    // 85 % of the two hundred that were taken in the last tenth of a second.
    assert_eq!(limiter.interval().as_micros(), 1_000_000 / 1700);
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_of_what_was_sent_before_says_nothing_about_the_pace_since() {
    let limiter = RateLimiter::unlimited();
    let late = learning(&limiter, &Script::new([(secs(5), answer(429))])).oneshot(request());
    let late = tokio::spawn(late);
    sleep(millis(1)).await;
    send(&limiter, answer(429)).await;
    send(&limiter, answer(200)).await;
    late.await.unwrap().unwrap();
    assert!(limiter.interval() <= millis(250), "{:?}", limiter.interval());
    send(&limiter, answer(429)).await;
    assert!(limiter.interval() > millis(250), "{:?}", limiter.interval());
}

#[tokio::test(start_paused = true)]
async fn a_pace_that_was_not_refused_for_long_is_forgotten() {
    let limiter = RateLimiter::unlimited();
    send(&limiter, answer(429)).await;
    sleep(secs(9 * 60)).await;
    send(&limiter, answer(200)).await;
    assert_eq!(limiter.interval(), millis(250));
    sleep(secs(2 * 60)).await;
    send(&limiter, answer(200)).await;
    assert_eq!(limiter.interval(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_pace_grows_only_while_it_is_waited_for() {
    let limiter = RateLimiter::unlimited();
    send(&limiter, answer(429)).await;
    for _ in 0..20 {
        sleep(secs(1)).await;
        send(&limiter, answer(200)).await;
    }
    assert_eq!(limiter.interval(), millis(250));
    for _ in 0..20 {
        send(&limiter, answer(200)).await;
    }
    assert!(limiter.interval() < millis(60), "{:?}", limiter.interval());
}

#[tokio::test(start_paused = true)]
async fn while_plenty_of_a_quota_remains_nothing_changes() {
    let limiter = RateLimiter::unlimited();
    send(&limiter, telling("50", "10")).await;
    assert_eq!(limiter.available(), Ok(usize::MAX));
}

#[tokio::test(start_paused = true)]
async fn what_remains_of_a_quota_is_spread_until_it_is_renewed() {
    let limiter = RateLimiter::unlimited();
    send(&limiter, telling("10", "10")).await;
    assert_eq!(limiter.interval(), secs(1));
    assert_eq!(send_times(&limiter, 3).await, [0, 1, 2].map(secs));
    sleep(secs(8)).await;
    assert_eq!(limiter.interval(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_used_up_is_waited_for() {
    let limiter = RateLimiter::unlimited();
    send(&limiter, telling("0", "7")).await;
    let wait = limiter.available().unwrap_err();
    assert!((millis(6990)..=secs(7)).contains(&wait), "{wait:?}");
    assert_eq!(send_times(&limiter, 2).await, [7, 7].map(secs));
}

#[tokio::test(start_paused = true)]
async fn no_quota_stops_the_sink_for_longer_than_configured() {
    let limiter = RateLimiter::unlimited();
    send(&limiter, telling("0", "86400")).await;
    assert_eq!(send_times(&limiter, 1).await, [secs(300)]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_quota_ends_when_an_answer_says_that_there_is_one() {
    let limiter = RateLimiter::unlimited();
    let slow = learning(&limiter, &Script::new([(secs(5), telling("80", "60"))]));
    let slow = tokio::spawn(slow.oneshot(request()));
    tokio::task::yield_now().await;
    send(&limiter, telling("0", "200")).await;
    let times = send_times(&limiter, 1).await;
    slow.await.unwrap().unwrap();
    assert!(times[0] <= secs(6), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn headers_are_not_heeded_unless_asked_for() {
    let limiter = RateLimiter::unlimited();
    let layer = RateLimitLayer::new(limiter.clone());
    let layer = layer.learning(Classes::default(), &Component::detached());
    layer.layer(Script::of([telling("0", "60")])).oneshot(request()).await.unwrap();
    assert_eq!(limiter.available(), Ok(usize::MAX));
}

/// An endpoint that allows a hundred attempts in each ten seconds and says so.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_tells_its_quota_need_not_refuse_anything() {
    let limiter = RateLimiter::unlimited();
    let started = Instant::now();
    let used = std::sync::Mutex::new((0, 0));
    let (mut taken, mut most) = (0, 0);
    while taken < 500 {
        let passed = started.elapsed().as_millis();
        let (window, left) = (passed / 10_000, 10_000 - passed % 10_000);
        let remaining = {
            let mut used = used.lock().unwrap();
            *used = if used.0 == window { (window, used.1 + 1) } else { (window, 1) };
            most = most.max(used.1);
            100_i32.saturating_sub(used.1)
        };
        taken += 1;
        let reset = format!("{}.{:03}", left / 1000, left % 1000);
        send(&limiter, telling(&remaining.max(0).to_string(), &reset)).await;
    }
    assert!(most <= 100, "{most}");
    assert!(started.elapsed() <= secs(51), "{:?}", started.elapsed());
}
