use std::time::Duration;

use super::{Located, Section};
use crate::{
    config::{problem::Problem, written::Text},
    delivery::results::ResultsPointer,
    dispatch::{BatchSettings, Framing},
};

/// The most profiles in a request: more than any bulk interface is known to take.
const MOST_PROFILES: i128 = 10_000;

/// The longest that a profile may wait for others.
const LONGEST_LINGER: Duration = Duration::from_hours(1);

/// Where the envelope has the versions.
const VERSIONS: &str = "versions";

/// Reads `batch`.
pub(super) fn read(sink: &mut Section<'_>) -> BatchSettings {
    let mut settings = BatchSettings::default();
    let Some(mut section) = sink.section("batch") else { return settings };
    let mut options = ["max_bytes", "timeout_secs", "framing", "envelope_key", "results_pointer"]
        .into_iter()
        .filter(|key| section.has(key))
        .collect::<Vec<_>>();
    let is_single = !section.has("max_profiles");
    let max_profiles = section.number("max_profiles", 1..=MOST_PROFILES);
    settings.max_profiles = max_profiles.unwrap_or(1);
    if let Some(max_bytes) = section.number("max_bytes", 1024..=100 << 20) {
        settings.max_bytes = max_bytes;
    }
    if let Some(linger) = linger(&mut section) {
        settings.linger = linger;
    }
    settings.framing = framing(&mut section);
    settings.results = results(&mut section);
    if (is_single || max_profiles == Some(1)) && !options.is_empty() {
        let last = options.pop().map(|last| format!("`{last}`")).unwrap_or_default();
        let others = options.iter().map(|option| format!("`{option}`, ")).collect::<Vec<_>>();
        let (others, does) = (others.concat(), if options.is_empty() { "does" } else { "do" });
        section.findings().warn(
            Problem::at(
                section.place(),
                format!("{others}{last} {does} nothing while each profile is a request of its own"),
            )
            .help("set `max_profiles` to how many may share a request, for example 100"),
        );
    }
    section.finish();
    settings
}

fn linger(section: &mut Section<'_>) -> Option<Duration> {
    let Located { value, place } = section.located::<Duration>("timeout_secs")?;
    if value > LONGEST_LINGER {
        section.findings().error(
            Problem::at(
                &place,
                format!("`timeout_secs` cannot be {} seconds in `batch`", value.as_secs_f64()),
            )
            .help(
                "it is how long a profile waits for others to share its request with; write \
                 seconds, from 0.001 to 3600 (an hour)",
            ),
        );
        return None;
    }
    Some(value)
}

fn framing(section: &mut Section<'_>) -> Framing {
    let framings = [
        ("array", Framing::Array),
        ("ndjson", Framing::Ndjson),
        ("envelope", Framing::Envelope("profiles".to_owned())),
    ];
    let is_given = section.has("framing");
    let framing = section.choice("framing", &framings);
    let Some(Located { value: key, place }) = section.located::<String>("envelope_key") else {
        return framing.unwrap_or_default();
    };
    match framing {
        Some(Framing::Envelope(_)) if key == VERSIONS => section.findings().error(
            Problem::at(&place, format!("`envelope_key` cannot be `{VERSIONS}`"))
                .help("the envelope has the versions of the profiles there; choose another name"),
        ),
        Some(Framing::Envelope(_)) => return Framing::Envelope(key),
        // What is wrong with it has been said.
        None if is_given => {}
        _ => section.findings().error(
            Problem::at(&place, "`envelope_key` is given, but profiles are put in no envelope")
                .help("add `framing: envelope`, or remove `envelope_key`"),
        ),
    }
    framing.unwrap_or_default()
}

fn results(section: &mut Section<'_>) -> Option<ResultsPointer> {
    let Located { value, place } = section.located::<Text>("results_pointer")?;
    let pointer = value.text.parse::<ResultsPointer>();
    let problem = |error| {
        let message = format!("`results_pointer` is no JSON Pointer: {error}");
        section.findings().error(match message.split_once("; ") {
            Some((message, help)) => Problem::at(&place, message).help(help),
            None => Problem::at(&place, message),
        });
    };
    pointer.map_err(problem).ok()
}
