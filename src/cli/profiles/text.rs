use std::fmt::Write;

use profile_http::{
    console::{MembershipView, ProfileView},
    store::{Dismissal, Forgotten},
};

use crate::cli::{
    explain::indent,
    table::{Table, count, printable},
};

/// A profile over several lines.
pub(super) fn profile(profile: &ProfileView) -> String {
    let mut text = format!("{} {}\n", profile.key_path, printable(&profile.key, false));
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:18}{}", format!("{name}:"), printable(value, false));
    };
    line("id", &profile.id);
    line("followed", yes(profile.followed));
    match profile.consent.as_deref() {
        Some("unknown") => line("consent", "unknown: nothing is exported until a record says it"),
        Some(consent) => line("consent", consent),
        None => {}
    }
    let delivery = match (profile.due, profile.in_flight) {
        (_, true) => "in flight".to_owned(),
        (true, _) => format!("due: {}", profile.triggers.join(", ")),
        (false, _) => "nothing is due".to_owned(),
    };
    line("delivery", &delivery);
    if let Some(since) = &profile.due_since {
        line("due since", since);
    }
    if let Some(until) = &profile.not_before {
        line("not before", until);
    }
    if profile.failures > 0 {
        line("failures", &profile.failures.to_string());
    }
    let number = |number: Option<u64>| number.map_or("none".to_owned(), |n| n.to_string());
    line("version", &number(profile.version));
    line("confirmed", &number(profile.confirmed));
    if let Some(version) = &profile.source_version {
        line("source version", version);
    }
    if profile.leaving {
        line("leaving", "forgotten once its last export was delivered or refused");
    }
    if profile.suppressed {
        line("suppressed", "its records are ignored");
    }
    if let Some(letter) = &profile.dead_letter {
        line("dead letter", &format!("{}, since {}", letter.reason, letter.at));
    }
    if !profile.memberships.is_empty() {
        text.push_str("  memberships:\n");
        push_indented(&mut text, &memberships(&profile.memberships));
    }
    text.push_str("  kept:\n");
    push_indented(&mut text, &printable(&indent(profile.kept.get()), true));
    match (&profile.export, &profile.export_error) {
        (Some(export), _) => {
            text.push_str("  export:\n");
            push_indented(&mut text, &printable(&indent(export.get()), true));
        }
        (None, error) => {
            let error = error.as_deref().unwrap_or("none");
            let _ = writeln!(text, "  export:           none: {error}");
        }
    }
    text
}

fn memberships(memberships: &[MembershipView]) -> String {
    let mut table = Table::new(&["NAMESPACE", "SEGMENT", "STATUS", "MAPPED", "QUALIFIED", "SINCE"]);
    for membership in memberships {
        table.line([
            membership.namespace.clone(),
            membership.id.clone(),
            membership.status.clone(),
            yes(membership.mapped).to_owned(),
            membership.last_qualification_time.clone().unwrap_or_else(|| "-".to_owned()),
            membership.updated.clone(),
        ]);
    }
    table.text()
}

fn push_indented(text: &mut String, block: &str) {
    for line in block.lines() {
        let _ = writeln!(text, "    {line}");
    }
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// What was forgotten of a profile, and what is left to happen.
pub(super) fn forgotten(
    forgotten: &Forgotten,
    how: Dismissal,
    erase: bool,
    is_running: bool,
) -> String {
    let Forgotten { known, leaving, in_flight, dead_letter, .. } = *forgotten;
    let Forgotten { invalid_records, answers, suppressed, erased, .. } = *forgotten;
    let mut lines = Vec::new();
    match (known, leaving) {
        (false, _) => lines.push("the profile was not known".to_owned()),
        (true, true) => {
            let when = if is_running { "" } else { " by the next run" };
            lines.push(format!(
                "the profile's last export is due; the profile is removed once that was \
                 delivered or refused{when}"
            ));
        }
        (true, false) => {
            let letter = if dead_letter { " with its dead letter" } else { "" };
            lines.push(format!("the profile is forgotten{letter}"));
            if how.exit {
                lines.push(
                    "there is no last export: the endpoint has not heard of the profile, or has \
                     its exits already"
                        .to_owned(),
                );
            }
        }
    }
    if in_flight {
        lines.push("a delivery of it is under way, which the endpoint may still take".to_owned());
    }
    if invalid_records > 0 {
        let records = count(invalid_records, "invalid record", "invalid records");
        lines.push(format!("{records} that named it forgotten"));
    }
    if answers > 0 {
        let letters = count(answers, "dead letter of another profile", "dead letters of others");
        lines.push(format!("{letters} lost the answer, which quoted it"));
    }
    if suppressed {
        lines.push("its records are ignored until `profile-http profiles unsuppress`".to_owned());
    }
    let something = known || invalid_records > 0 || answers > 0;
    if erased {
        lines.push("the store's files were rewritten: nothing of it is left in them".to_owned());
    } else if something {
        lines.push(
            match (leaving, erase) {
                (true, _) => {
                    "what its last export needs stays in the store's files until the first \
                          clean stop after that"
                }
                (false, true) => {
                    "somebody was forgotten while the store's files were rewritten; what \
                              is left in them goes at the next clean stop"
                }
                (false, false) => {
                    "what was removed stays in the store's files until the next clean \
                               stop; --erase rewrites them now"
                }
            }
            .to_owned(),
        );
    }
    lines.push(String::new());
    lines.join("\n")
}
