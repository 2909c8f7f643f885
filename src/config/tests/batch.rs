use std::time::Duration;

use super::{errors, plan, warnings};
use crate::dispatch::{BatchSettings, Framing};

fn batch(options: &str) -> BatchSettings {
    plan(&format!("    batch: {{ {options} }}")).sinks.remove(0).batch
}

#[test]
fn each_profile_is_a_request_of_its_own_by_default() {
    let default = plan("    description: none").sinks.remove(0).batch;
    assert_eq!(default, BatchSettings::default());
    assert_eq!((default.max_profiles, default.max_bytes), (1, 1 << 20));
    assert_eq!(default.linger, Duration::from_millis(200));
}

#[test]
fn a_batch_is_read_as_written() {
    let written = batch(
        "max_profiles: 500, max_bytes: 262144, timeout_secs: 1.5, framing: envelope, \
         envelope_key: items, results_pointer: /data/results",
    );
    let expected = BatchSettings {
        max_profiles: 500,
        max_bytes: 262_144,
        linger: Duration::from_millis(1500),
        framing: Framing::Envelope("items".to_owned()),
        results: Some("/data/results".parse().unwrap()),
    };
    assert_eq!(written, expected);
    let envelope = batch("max_profiles: 2, framing: envelope");
    assert_eq!(envelope.framing, Framing::Envelope("profiles".to_owned()));
    assert_eq!(batch("max_profiles: 2, framing: ndjson").framing, Framing::Ndjson);
    let root = batch("max_profiles: 2, results_pointer: ''");
    assert_eq!(root.results, Some("".parse().unwrap()));
}

#[test]
fn what_cannot_work_in_a_batch_is_an_error() {
    for (options, message, help) in [
        ("max_profiles: 0", "`max_profiles` cannot be 0", "from 1 to 10000"),
        ("max_profiles: 1000000", "`max_profiles` cannot be 1000000", "from 1 to 10000"),
        ("max_profiles: -5", "`max_profiles` cannot be -5", "from 1 to 10000"),
        ("max_profiles: 9, max_bytes: 0", "`max_bytes` cannot be 0", "from 1024 to 104857600"),
        ("max_profiles: 9, max_bytes: 1099511627776", "`max_bytes` cannot be", "104857600"),
        ("max_profiles: 9, timeout_secs: 0", "`timeout_secs` cannot be 0 seconds", "0.001"),
        ("max_profiles: 9, timeout_secs: 7200", "`timeout_secs` cannot be 7200", "an hour"),
        ("max_profiles: 9, framing: csv", "`framing` must be `array`", "`envelope`"),
        (
            "max_profiles: 9, envelope_key: items",
            "`envelope_key` is given, but profiles are put in no envelope",
            "framing: envelope",
        ),
        (
            "max_profiles: 9, framing: ndjson, envelope_key: items",
            "`envelope_key` is given, but profiles are put in no envelope",
            "framing: envelope",
        ),
        (
            "max_profiles: 9, framing: envelope, envelope_key: versions",
            "`envelope_key` cannot be `versions`",
            "another name",
        ),
        (
            "max_profiles: 9, results_pointer: data.results",
            "`results_pointer` is no JSON Pointer: a JSON Pointer begins with `/`",
            "/results",
        ),
        ("max_profiles: 9, results_pointer: /a~b", "`~` stands only before 0 or 1", "`~0`"),
        ("max_profile: 9", "unknown option `max_profile`", "did you mean `max_profiles`?"),
    ] {
        let errors = errors(&format!("    batch: {{ {options} }}"));
        assert!(errors.contains(message), "{options}: {errors}");
        assert!(errors.contains(help), "{options}: {errors}");
        assert_eq!(errors.matches("help:").count(), 1, "{options}: {errors}");
    }
}

#[test]
fn options_that_do_nothing_without_a_batch_are_a_warning() {
    for (options, message) in [
        ("max_bytes: 4096", "`max_bytes` does nothing while each profile"),
        ("max_profiles: 1, framing: array", "`framing` does nothing while each profile"),
        (
            "framing: array, timeout_secs: 1, results_pointer: /results",
            "`timeout_secs`, `framing`, `results_pointer` do nothing while each profile",
        ),
    ] {
        let warnings = warnings(&format!("    batch: {{ {options} }}"));
        assert!(warnings.contains(message), "{options}: {warnings}");
        assert!(warnings.contains("max_profiles"), "{warnings}");
    }
    assert_eq!(warnings("    batch: { max_profiles: 2, framing: array }"), "");
    assert_eq!(warnings("    batch: { max_profiles: 1 }"), "");
}
