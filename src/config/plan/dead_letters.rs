use std::time::Duration;

use super::{Findings, Located, Section};
use crate::{config::problem::Problem, store::LetterBounds};

/// Units of an age and their seconds.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600)];

const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(3650 * 24);

/// Reads `dead_letters` of `state`.
pub(super) fn read(state: &mut Section<'_>) -> LetterBounds {
    let mut bounds = LetterBounds::default();
    let Some(mut section) = state.section("dead_letters") else { return bounds };
    if let Some(max) = section.number("max", 1..=10_000_000) {
        bounds.max = max;
    }
    if let Some(written) = section.located::<String>("max_age")
        && let Some(age) = age(&written, section.findings())
    {
        bounds.max_age = age;
    }
    section.finish();
    bounds
}

fn age(written: &Located<String>, findings: &Findings) -> Option<Duration> {
    let Located { value: text, place } = written;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text[digits.len()..].trim();
    let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
    let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
    let (Some(number), Some(seconds)) = (number, seconds) else {
        findings.error(
            Problem::at(place, "`max_age` must be a number of days, hours, minutes or seconds")
                .help("write for example 30d, 12h, 90m or 3600s"),
        );
        return None;
    };
    let age = Duration::from_secs(number.saturating_mul(seconds));
    if (SHORTEST..=LONGEST).contains(&age) {
        return Some(age);
    }
    findings.error(
        Problem::at(place, format!("`max_age` cannot be {text}"))
            .help("write an age from 1m to 3650d (ten years)"),
    );
    None
}
