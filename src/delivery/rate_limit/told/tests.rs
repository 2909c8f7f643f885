use super::*;

const DATE_TEXT: &str = "Fri, 31 Dec 1999 23:59:30 GMT";
/// The same as seconds since the epoch.
const DATE_SECS: u64 = 946_684_770;

fn quota(headers: &[(&'static str, &str)]) -> Option<Quota> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    read(&map)
}

fn of(limit: Option<f64>, remaining: f64, reset: f64) -> Quota {
    Quota { limit, remaining, reset }
}

#[test]
fn the_structured_fields_are_read() {
    let policy = ("ratelimit-policy", r#""burst";q=10;w=1, "default";q=100;w=60"#);
    let quota_of = |value| quota(&[("ratelimit", value), policy]);
    assert_eq!(quota_of(r#""default";r=50;t=30"#), Some(of(Some(100.0), 50.0, 30.0)));
    assert_eq!(quota_of("default; r=50 ; t=30"), Some(of(Some(100.0), 50.0, 30.0)));
    assert_eq!(quota_of(r#""other";r=50;t=30"#), Some(of(None, 50.0, 30.0)));
    assert_eq!(quota_of(r#""default";r=50"#), Some(of(Some(100.0), 50.0, 60.0)), "the window");
    assert_eq!(quota_of(r#""default";t=30"#), None);
    assert_eq!(quota(&[("ratelimit", r#""default";r=50"#)]), None);
}

#[test]
fn of_several_policies_the_one_that_lasts_the_least_counts() {
    let limits = r#""hour";r=900;t=1800, "minute";r=5;t=30"#;
    assert_eq!(quota(&[("ratelimit", limits)]), Some(of(None, 5.0, 30.0)));
    let lines = [("ratelimit", r#""a";r=5;t=30"#), ("ratelimit", r#""b";r=0;t=3"#)];
    assert_eq!(quota(&lines), Some(of(None, 0.0, 3.0)));
}

#[test]
fn a_separator_in_a_string_separates_nothing() {
    assert_eq!(quota(&[("ratelimit", r#""a,b;r=1;t=9";r=50;t=30"#)]), Some(of(None, 50.0, 30.0)));
}

#[test]
fn the_older_forms_are_read() {
    let dictionary = ("ratelimit", "limit=100, remaining=50, reset=30");
    assert_eq!(quota(&[dictionary]), Some(of(Some(100.0), 50.0, 30.0)));
    let triple = [
        ("ratelimit-limit", "100, 100;w=60"),
        ("ratelimit-remaining", "50"),
        ("ratelimit-reset", "30"),
    ];
    assert_eq!(quota(&triple), Some(of(Some(100.0), 50.0, 30.0)));
    assert_eq!(quota(&triple[1..]), Some(of(None, 50.0, 30.0)));
    assert_eq!(quota(&triple[..2]), None);
}

#[test]
fn a_reset_may_be_a_time_of_day_by_the_answers_own_clock() {
    let quota_at = |reset: &str| {
        let remaining = ("x-ratelimit-remaining", "50");
        quota(&[remaining, ("x-ratelimit-reset", reset), ("date", DATE_TEXT)])
    };
    for reset in ["20", &format!("{}", DATE_SECS + 20), &format!("{}000", DATE_SECS + 20)] {
        assert_eq!(quota_at(reset), Some(of(None, 50.0, 20.0)), "{reset}");
    }
    assert_eq!(quota_at(&format!("{}", DATE_SECS - 20)), Some(of(None, 50.0, 0.0)));
    let without_date = [("x-ratelimit-remaining", "50"), ("x-ratelimit-reset", "946684790")];
    assert_eq!(quota(&without_date), None);
}

#[test]
fn what_cannot_be_read_says_nothing() {
    for value in ["", "-1", "NaN", "inf", "1e9", "many", "0x10", "1 2", &"9".repeat(400)] {
        let triple = [("ratelimit-remaining", value), ("ratelimit-reset", "30")];
        assert_eq!(quota(&triple), None, "{value:?}");
        let triple = [("ratelimit-remaining", "3"), ("ratelimit-reset", value)];
        assert_eq!(quota(&triple), None, "{value:?}");
        assert_eq!(quota(&[("ratelimit", &format!("a;r={value};t=3"))]), None, "{value:?}");
    }
    for value in [";;;", "\"", "\"a", ",", "a;b;c", "r=5;t=3", "=,=;=", "remaining=;reset="] {
        assert_eq!(quota(&[("ratelimit", value)]), None, "{value:?}");
    }
    assert_eq!(quota(&[]), None);
}

fn slows(limit: Option<f64>, remaining: f64, reset: f64, others: usize) -> Option<Told> {
    let quota = Quota { limit, remaining, reset };
    quota.slows(others, Instant::now(), Duration::from_mins(5))
}

#[tokio::test(start_paused = true)]
async fn half_of_a_quota_is_plenty() {
    assert_eq!(slows(Some(100.0), 50.0, 30.0, 0), None);
    let told = slows(Some(100.0), 49.0, 30.0, 0).unwrap();
    assert_eq!(told.interval, Duration::from_secs_f64(30.0 / 49.0));
    assert_eq!(told.from, Instant::now());
    // What is under way may not have been counted yet.
    assert!(slows(Some(100.0), 50.0, 30.0, 1).is_some());
    // Without a limit nobody knows what half of it is.
    assert!(slows(None, 1000.0, 30.0, 0).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_used_up_stops_until_it_is_renewed_or_the_longest_wait_is_over() {
    let now = Instant::now();
    assert_eq!(slows(Some(9.0), 0.0, 30.0, 5).unwrap().from - now, Duration::from_secs(30));
    let told = slows(None, 0.0, LONGEST, 0).unwrap();
    assert_eq!(told.from - now, Duration::from_mins(5));
    assert!(told.interval <= Duration::from_mins(5));
    assert!(slows(None, f64::MAX, 1.0, usize::MAX).is_some());
}
