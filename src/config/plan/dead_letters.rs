use std::time::Duration;

use super::{Findings, Read, Section};
use crate::{
    config::{
        problem::Problem,
        written::{Node, Value},
    },
    store::LetterBounds,
};

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
    if let Some(Age(age)) = section.get("max_age") {
        bounds.max_age = age;
    }
    section.finish();
    bounds
}

/// A long time, as a number with its unit.
struct Age(Duration);

impl Read for Age {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        let text = match &node.value {
            Value::Text(text) => text.text.trim(),
            _ => "",
        };
        let Some(age) = parse(text) else {
            findings.error(
                Problem::at(
                    &node.place,
                    format!("`{name}` must be a number of days, hours, minutes or seconds"),
                )
                .help("write for example 30d, 12h, 90m or 3600s"),
            );
            return None;
        };
        if !(SHORTEST..=LONGEST).contains(&age) {
            findings.error(
                Problem::at(&node.place, format!("`{name}` cannot be {text}"))
                    .help("write an age from 1m to 3650d (ten years)"),
            );
            return None;
        }
        Some(Self(age))
    }
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let (_, seconds) = UNITS.into_iter().find(|(unit, _)| *unit == text[digits.len()..].trim())?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than fits is longer than what is allowed.
    let number = digits.parse::<u64>().unwrap_or(u64::MAX);
    Some(Duration::from_secs(number.saturating_mul(seconds)))
}
