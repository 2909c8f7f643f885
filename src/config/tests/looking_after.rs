//! `api` and `state.dead_letters`.

use super::*;
use crate::store::LetterBounds;

/// A configuration with these lines beside the sources and sinks.
fn beside(lines: &str) -> Result<Plan, ConfigErrors> {
    yaml(&format!("{lines}\n{}", with("")), &[])
}

fn one_error(of: Result<Plan, ConfigErrors>) -> String {
    let errors = of.expect_err("it cannot be used");
    assert_eq!(errors.problems().len(), 1, "{errors}");
    errors.to_string()
}

#[test]
fn the_api_listens_on_this_machine_unless_it_is_switched_off() {
    let api = plan("").api.unwrap();
    assert_eq!(api.address.to_string(), "127.0.0.1:8686");
    assert!(api.token.is_none());
    assert!(beside("api: { enabled: false }").unwrap().api.is_none());
    assert!(beside("api: { enabled: false, address: 0.0.0.0:1 }").unwrap().api.is_none());
    let six = beside("api: { address: '[::1]:0' }").unwrap().api.unwrap();
    assert_eq!(six.address.to_string(), "[::1]:0");
}

#[test]
fn the_api_listens_beyond_this_machine_only_with_a_token() {
    let error = one_error(beside("api: { address: 0.0.0.0:8686 }"));
    assert!(error.contains("c.yaml:1:17: ") && error.contains("personal data"), "{error}");
    assert!(error.contains("set `api.token`"), "{error}");
    let api = beside("api: { address: 0.0.0.0:8686, token: t }").unwrap().api.unwrap();
    assert_eq!(text(&api.token.unwrap()), "t");
    for token in ["''", "'a b'", "'a\u{e4}'"] {
        let error = one_error(beside(&format!("api: {{ token: {token} }}")));
        assert!(error.contains("token"), "{error}");
    }
}

#[test]
fn a_bad_address_of_the_api_is_one_clear_error() {
    for address in ["localhost:8686", "127.0.0.1", "8686"] {
        let error = one_error(beside(&format!("api: {{ address: '{address}' }}")));
        assert!(error.contains("write for example 127.0.0.1:8080"), "{error}");
    }
    let clash = with("").replace("{ type: stdin }", "{ type: http_server, address: 0.0.0.0:8686 }");
    let error = one_error(yaml(&clash, &[]));
    assert!(error.contains("source `in` and the API listen at one address"), "{error}");
    assert!(yaml(&format!("api: {{ enabled: false }}\n{clash}"), &[]).is_ok());
    let error = one_error(beside("api: { adress: 127.0.0.1:1 }"));
    assert!(error.contains("did you mean `address`?"), "{error}");
}

#[test]
fn dead_letters_are_bounded_as_written() {
    let bounds = |lines: &str| plan(lines).sinks[0].state.dead_letters;
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    assert_eq!(bounds(""), LetterBounds { max: 100_000, max_age: days(30) });
    for (age, secs) in [("12h", 12 * 3600), ("2d", 48 * 3600), ("90m", 5400), ("60s", 60)] {
        let lines = format!("    state: {{ dead_letters: {{ max: 5, max_age: {age} }} }}");
        assert_eq!(bounds(&lines), LetterBounds { max: 5, max_age: Duration::from_secs(secs) });
    }
}

#[test]
fn absurd_bounds_of_dead_letters_are_one_clear_error_each() {
    let of = |options: &str| {
        one_error(yaml(&with(&format!("    state: {{ dead_letters: {{ {options} }} }}")), &[]))
    };
    assert!(of("max: 0").contains("`max` cannot be 0"));
    assert!(of("max: 99999999").contains("from 1 to 10000000"));
    for age in ["0d", "1s", "3651d", "99999999999999999999d", "18446744073709551615d"] {
        let error = of(&format!("max_age: {age}"));
        assert!(error.contains("`max_age`"), "{age}: {error}");
    }
    for age in ["30", "'30'", "month", "30 w", "-1d", "1.5d", "d"] {
        let error = of(&format!("max_age: {age}"));
        assert!(error.contains("`max_age` must be"), "{age}: {error}");
    }
}
