use std::fmt::Write;

use profile_http::console::LetterView;

use crate::cli::table::{Table, printable};

/// The widest reason in a table.
const REASON: usize = 80;

/// Letters as a table.
pub(super) fn table(letters: &[LetterView]) -> String {
    let mut table = Table::new(&["ID", "KIND", "AT", "KEY", "STATUS", "ATTEMPTS", "REASON"]);
    let shown = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    for letter in letters {
        let mut reason: String = letter.reason.chars().take(REASON).collect();
        if reason.len() < letter.reason.len() {
            reason.push('…');
        }
        table.line([
            letter.id.clone(),
            letter.kind.clone(),
            to_the_second(&letter.at),
            whose(letter),
            shown(letter.status.map(|status| status.to_string())),
            shown(letter.attempts.map(|attempts| attempts.to_string())),
            reason,
        ]);
    }
    table.text()
}

/// All that is kept of a letter, over several lines.
pub(super) fn letter(letter: &LetterView) -> String {
    let mut text = format!("{} ({})\n", letter.id, letter.kind);
    let mut line = |name: &str, value: &str| {
        let line = format!("  {:18}{}", format!("{name}:"), printable(value, false));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let invalid = letter.record.is_some();
    if invalid {
        line("source", &whose(letter));
    } else {
        let path = letter.key_path.as_deref().unwrap_or("key");
        line("profile", &format!("{path} {}", whose(letter)));
    }
    line("reason", &letter.reason);
    if let Some(id) = &letter.request_id {
        line("request id", id);
    }
    if let Some(version) = letter.version {
        line("version", &version.to_string());
    }
    if let Some(attempts) = letter.attempts {
        line("attempts", &attempts.to_string());
    }
    if let Some(since) = &letter.due_since {
        line("due since", since);
    }
    line(if invalid { "arrived" } else { "refused" }, &letter.at);
    for (name, value) in &letter.headers {
        line(name, value);
    }
    for (name, body) in [("answer", &letter.answer), ("record", &letter.record)] {
        match body.as_deref() {
            None => {}
            Some("") => line(name, "empty"),
            Some(body) => {
                line(name, "");
                for part in printable(body, true).lines() {
                    let _ = writeln!(text, "    {part}");
                }
                break;
            }
        }
    }
    text
}

/// The profile's key, or where an invalid record came from.
fn whose(letter: &LetterView) -> String {
    match (&letter.key, &letter.source, &letter.place) {
        (Some(key), ..) => key.clone(),
        (None, Some(source), Some(place)) => format!("{source}, {place}"),
        _ => "-".to_owned(),
    }
}

/// An RFC 3339 time without fractions.
fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}
