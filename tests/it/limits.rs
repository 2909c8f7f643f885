//! Where limit and pace settle, over endpoints that exist in virtual time. The scenarios and their
//! figures are those that Vector tests its adaptive request concurrency with, and some more.

#[path = "../../benches/limits/simulation.rs"]
mod simulation;

use profile_http::delivery::ConcurrencySettings;

use self::simulation::{CONSTANT, Endpoint, Measured, Times, simulate};

const ADAPTIVE: ConcurrencySettings = ConcurrencySettings::Adaptive { max: 200 };
const SETTLED: Times = Times { settling: 15, end: 45 };

/// What the adaptive limit does once it has settled, for each of a few seeds.
fn each_settled(endpoint: Endpoint, check: impl Fn(Measured)) {
    for seed in 1..=2 {
        let measured = simulate(endpoint, ADAPTIVE, SETTLED, seed);
        println!("{measured:?}");
        check(measured);
    }
}

#[test]
fn a_new_sink_is_at_full_speed_within_two_seconds() {
    let measured = simulate(CONSTANT, ADAPTIVE, Times { settling: 2, end: 4 }, 1);
    assert!(measured.per_second >= 1900.0, "{measured:?}");
}

#[test]
fn over_a_constant_link_the_limit_grows_to_the_most_that_is_allowed() {
    each_settled(CONSTANT, |measured| {
        assert!(measured.limit > 199.0 && measured.per_second > 1990.0);
    });
}

#[test]
fn over_a_jittery_link_the_limit_is_not_held_down_by_chance() {
    each_settled(Endpoint { jitter: 0.1, ..CONSTANT }, |measured| assert!(measured.limit > 160.0));
    each_settled(Endpoint { jitter: 0.5, ..CONSTANT }, |measured| assert!(measured.limit > 130.0));
}

#[test]
fn over_a_slow_link_few_requests_wait_for_each_other() {
    each_settled(Endpoint { scale: 1.0, ..CONSTANT }, |measured| {
        assert!(measured.limit <= 5.0 && measured.per_second > 9.5);
    });
}

#[test]
fn at_a_shallow_knee_the_limit_stays_near_it() {
    // Ten or eleven at once deliver 100 a second, and no other number does more.
    each_settled(Endpoint { knee: Some((10, 1.1)), ..CONSTANT }, |measured| {
        assert!((9.0..=16.0).contains(&measured.limit) && measured.per_second > 90.0);
    });
}

#[test]
fn an_endpoint_with_fifty_workers_is_kept_busy_without_a_long_queue() {
    each_settled(Endpoint { workers: Some(50), jitter: 0.1, ..CONSTANT }, |measured| {
        assert!((50.0..=120.0).contains(&measured.limit) && measured.per_second > 440.0);
    });
}

#[test]
fn drops_at_high_concurrency_keep_the_limit_near_what_is_answered() {
    each_settled(Endpoint { drops_beyond: Some(5), ..CONSTANT }, |measured| {
        assert!((5.0..=9.0).contains(&measured.limit) && measured.per_second > 45.0);
        assert!(measured.failed < 0.1);
    });
}

#[test]
fn refusals_at_high_concurrency_keep_the_limit_just_below() {
    for allowed in [5, 50] {
        each_settled(Endpoint { defers_beyond: Some(allowed), ..CONSTANT }, |measured| {
            assert!(measured.per_second > 9.0 * simulation::as_f64(allowed));
            assert!(measured.failed < 0.02);
        });
    }
}

#[test]
fn back_pressure_at_a_high_rate_keeps_the_limit_near_what_is_allowed() {
    each_settled(Endpoint { per_second: Some((100, 503)), ..CONSTANT }, |measured| {
        assert!((6.0..=14.0).contains(&measured.limit) && measured.per_second > 45.0);
    });
}

#[test]
fn refusals_at_a_high_rate_teach_the_pace() {
    each_settled(Endpoint { per_second: Some((100, 429)), ..CONSTANT }, |measured| {
        assert!(measured.per_second > 70.0 && measured.failed < 0.02);
    });
}

#[test]
fn the_pace_settles_at_what_a_leaky_bucket_allows() {
    for (delay, leaks, holds) in
        [(0.001, 50.0, 0.0), (0.001, 50.0, 5.0), (0.1, 50.0, 5.0), (0.01, 500.0, 50.0)]
    {
        each_settled(Endpoint { delay, bucket: Some((leaks, holds)), ..CONSTANT }, |measured| {
            assert!(measured.per_second > 0.9 * leaks && measured.failed < 0.02);
        });
    }
}

#[test]
fn a_slow_pace_is_found_too() {
    let endpoint = Endpoint { delay: 0.01, bucket: Some((1.0, 0.0)), ..CONSTANT };
    each_settled(endpoint, |measured| {
        assert!(measured.per_second > 0.7 && measured.failed < 0.03);
    });
}

#[test]
fn failures_that_neither_limit_nor_pace_can_help_slow_nothing() {
    each_settled(Endpoint { fails: (0.05, 503), jitter: 0.1, ..CONSTANT }, |measured| {
        assert!(measured.limit > 150.0);
    });
    let endpoint = Endpoint { fails: (0.0125, 429), delay: 0.05, jitter: 0.1, ..CONSTANT };
    each_settled(endpoint, |measured| assert!(measured.per_second > 1000.0));
}
