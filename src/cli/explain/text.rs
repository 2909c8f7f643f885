use std::fmt::Write;

use profile_http::{
    config::SinkPlan,
    profile::{Attributes, MappingSpec, UpdateMode},
};

use super::{
    explanation::{ConsentSeen, Explanation, Identity, Segment, Sent},
    hide,
    indent::indent,
};

/// Where what a label names begins.
const INDENT: usize = 14;

/// Text in two columns.
#[derive(Default)]
struct Rows(String);

impl Rows {
    fn heading(&mut self, text: &str) {
        self.line(text);
    }

    /// A label with what it names, which may have several lines.
    fn row(&mut self, label: &str, text: &str) {
        let mut label = format!("  {label}");
        for line in text.lines() {
            self.line(format!("{label:INDENT$}{line}").trim_end());
            label.clear();
        }
    }

    /// A row with a line for each item; none where there are none.
    fn list(&mut self, label: &str, items: impl Iterator<Item = String>) {
        self.row(label, &items.collect::<Vec<_>>().join("\n"));
    }

    fn line(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{text}");
    }
}

/// What holds for all records.
pub(super) fn introduction(sink: &SinkPlan) -> String {
    let spec = sink.mapping.spec();
    let mut rows = Rows::default();
    let endpoint = sink.delivery.endpoint.shown(None, hide::HIDDEN);
    rows.heading(&format!("sink {}: {} {endpoint}", sink.name, sink.delivery.method));
    if sink.batch.max_profiles > 1 {
        let most = sink.batch.max_profiles;
        rows.row("batch", &format!("up to {most} profiles a request; here each is sent alone"));
    }
    match &spec.attributes {
        Attributes::All => rows.row("attributes", "all"),
        Attributes::Listed(paths) if paths.is_empty() => rows.row("attributes", "none"),
        Attributes::Listed(paths) => rows.list("attributes", paths.iter().map(ToString::to_string)),
    }
    if spec.segments.is_empty() {
        rows.row("segments", "none; every profile is followed");
    }
    rows.list(
        "segments",
        spec.segments.iter().map(|segment| {
            let namespace = segment.namespace.iter().map(|namespace| format!("{namespace}/"));
            let name = segment.name.iter().map(|name| format!(" ({name})"));
            namespace.chain([segment.id.clone()]).chain(name).collect()
        }),
    );
    rows.list("consent", spec.consent.iter().map(ToString::to_string));
    let identities = spec.identities.as_ref().map(|names| names.join(", "));
    rows.row("identities", identities.as_deref().unwrap_or("all"));
    if sink.mapping.update_mode() == UpdateMode::Patch {
        rows.row(
            "records",
            "patches; each is merged into what those before it made of its profile",
        );
    }
    rows.line("");
    rows.line(
        "Nothing is sent. The records are explained from an empty store, each as if the endpoint\n\
         had taken what was sent for those before it. Idempotency-Key and Profile-Version are\n\
         made anew when it comes to sending.",
    );
    rows.0
}

/// What there is to say of one record.
pub(super) fn explanation(explanation: &Explanation, sink: &SinkPlan) -> String {
    let spec = sink.mapping.spec();
    let mut rows = Rows::default();
    rows.line("");
    rows.heading(&explanation.record);
    if let Some(key) = &explanation.key {
        rows.row("profile", &format!("{} = {}", key.path, visible(&key.id)));
    }
    if let Some(reason) = &explanation.reason {
        rows.row("invalid", reason);
        rows.row("sent", "nothing; an invalid record is set aside and changes nothing");
        return rows.0;
    }
    let mode = sink.mapping.update_mode();
    if mode == UpdateMode::Patch && explanation.verdict != "stale" {
        match &explanation.compared_with {
            None => rows.row("merged", "into nothing: no record before it is of this profile"),
            Some(former) => rows.row("merged", &format!("into what is known since {former}")),
        }
    }
    consent(&mut rows, explanation);
    followed(&mut rows, explanation, spec, mode);
    if explanation.version_missing {
        let path = spec.version.as_ref().map(ToString::to_string).unwrap_or_default();
        rows.row("version", &format!("none at {path}; taken as newer than what is known"));
    }
    match &explanation.request {
        None => rows.row("sent", &format!("nothing: {}", why_nothing(explanation))),
        Some(request) => {
            let triggers = &explanation.triggers;
            let because = |trigger| because(trigger, explanation, mode);
            rows.list("because", triggers.iter().copied().flat_map(because));
            sent(&mut rows, request);
        }
    }
    rows.0
}

/// How many records there were, and what became of them.
pub(super) fn total(records: usize, requests: usize, invalid: usize) -> String {
    let requests = match requests {
        1 => "1 request".to_owned(),
        requests => format!("{requests} requests"),
    };
    let invalid = if invalid == 0 { String::new() } else { format!(", {invalid} invalid") };
    format!("\n{records} records: {requests} would be sent{invalid}\n")
}

fn consent(rows: &mut Rows, explanation: &Explanation) {
    rows.list(
        "consent",
        explanation.consent.iter().map(|ConsentSeen { path, value, given }| match value {
            Some(value) if *given => format!("given: {path} is {value}"),
            Some(value) => format!("not given: {path} is {value}, neither \"y\" nor \"VI\""),
            None => format!("not given: there is nothing at {path}"),
        }),
    );
}

fn followed(rows: &mut Rows, explanation: &Explanation, spec: &MappingSpec, mode: UpdateMode) {
    let segments = &explanation.segments;
    if explanation.consent.iter().any(|seen| !seen.given) {
        rows.row("followed", "no: it does not consent");
    } else if spec.segments.is_empty() && !explanation.consent.is_empty() {
        rows.row("followed", "yes: it consents, and no segments are mapped");
    } else if spec.segments.is_empty() {
        rows.row("followed", "yes: no segments are mapped, so every profile is");
    } else if explanation.followed {
        let member_of = segments.iter().filter(|segment| segment.mapped && segment.is_member());
        let member_of = member_of.map(segment_text);
        rows.list("followed", member_of.map(|segment| format!("yes: member of {segment}")));
    } else {
        rows.row("followed", "no: member of no mapped segment");
        if segments.is_empty() {
            rows.row(
                "seen",
                match mode {
                    UpdateMode::Snapshot => "the record names no segment",
                    UpdateMode::Patch => "no segment is known of it",
                },
            );
        }
        rows.list(
            "seen",
            segments.iter().map(|segment| {
                let elsewhere = spec.segments.iter().find(|spec| spec.id == segment.id);
                let note = match elsewhere.and_then(|spec| spec.namespace.as_deref()) {
                    _ if segment.mapped => ", mapped".to_owned(),
                    Some(namespace) => format!(", mapped only in namespace {namespace}"),
                    None => ", not mapped".to_owned(),
                };
                format!("{}: {}{note}", segment_text(segment), segment.status)
            }),
        );
    }
}

fn why_nothing(explanation: &Explanation) -> String {
    if let Some(reason) = &explanation.unrenderable {
        return format!("{reason}; a dead letter until something relevant changes");
    }
    match explanation.verdict {
        "stale" => "its profile.version is lower than the known one, so the record is ignored",
        "not_followed" => "a profile that is not followed is remembered, but not sent",
        _ => {
            let former = explanation.compared_with.as_deref().unwrap_or("before");
            return format!(
                "no mapped attribute, mapped membership or identity has changed since {former}"
            );
        }
    }
    .to_owned()
}

/// A trigger with what set it off, a line for each.
fn because(trigger: &str, explanation: &Explanation, mode: UpdateMode) -> Vec<String> {
    let changes = &explanation.changes;
    let former = explanation.compared_with.as_deref();
    let refused = explanation.consent.iter().any(|seen| !seen.given);
    let joined = || changes.joined.iter().map(|s| format!("joined {}", segment_text(s)));
    let left = changes.left.iter().map(|segment| {
        let absent = changes.exits_by_absence.iter().any(|absent| absent.is_same(segment));
        let how = match mode {
            _ if !absent => "",
            UpdateMode::Snapshot => ": not named any more, so exited by absence",
            UpdateMode::Patch => ": removed by null, so exited by absence",
        };
        format!("left {}{how}", segment_text(segment))
    });
    let identities = |what: &'static str, identities: &'_ [Identity]| {
        let shown = |Identity { namespace, id }: &Identity| {
            format!("{what} {} = {}", visible(namespace), visible(id))
        };
        identities.iter().map(shown).collect::<Vec<_>>()
    };
    let what: Vec<String> = match trigger {
        "followed" if former.is_none() => vec!["nothing was known of it before".to_owned()],
        "followed" if changes.joined.is_empty() => vec!["it consents again".to_owned()],
        "followed" => joined().collect(),
        "membership" => joined().chain(left).collect(),
        "identity" => [
            identities("added", &changes.identities_added),
            identities("removed", &changes.identities_removed),
        ]
        .concat(),
        "attribute" => changes.attributes.iter().map(|path| format!("{path} changed")).collect(),
        "unfollowed" if refused => {
            vec!["it does not consent any more; its last export, without attributes".to_owned()]
        }
        "unfollowed" => vec!["member of no mapped segment now; its last export".to_owned()],
        _ => vec!["export.when is always".to_owned()],
    };
    what.into_iter().map(|what| format!("{trigger}: {what}")).collect()
}

fn sent(rows: &mut Rows, request: &Sent) {
    let Sent { method, url, headers, body } = request;
    let lines = headers.iter().map(|header| format!("{}: {}", header.name, header.value));
    rows.list("sent", [format!("{method} {url}")].into_iter().chain(lines));
    rows.line("");
    rows.row("", &indent(body.get()));
}

fn segment_text(segment: &Segment) -> String {
    let Segment { namespace, id, name, .. } = segment;
    let name = name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{}/{}{name}", visible(namespace), visible(id))
}

/// Text of a record, unable to move the cursor or to begin a line.
fn visible(text: &str) -> String {
    let escaped =
        |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(escaped).collect()
}
